/* Python values -> an Arrow array of a type that is known.
 *
 * The type comes from py_infer.c, from a schema the user gave, or from the table that is added to; here each
 * value is only converted, and one that does not fit is refused with its column and row. A column is a run of
 * cells (strong references, NULL or None for null); the children of lists and structs are runs of cells
 * again, except for lists of numbers, whose numbers go straight into the buffer: one memcpy for each array,
 * one loop for each list.
 */
#include <stdlib.h>
#include <string.h>

#include "py_private.h"

static int build(struct kpy_state *state, const struct ArrowSchema *field, struct kpy_cells *cells,
                 struct ArrowArray *out, bool place);

static bool is_null(PyObject *value)
{
    return !value || value == Py_None;
}

static void set_bit(uint8_t *bits, Py_ssize_t at)
{
    bits[at >> 3] |= (uint8_t)(1 << (at & 7));
}

/* The validity bitmap: left out when there is no null. */
static int build_validity(const struct kpy_cells *cells, struct ArrowArray *out)
{
    void *bits = NULL;
    int64_t nulls = 0;
    for (Py_ssize_t i = 0; i < cells->count; ++i) nulls += is_null(cells->items[i]);
    out->null_count = nulls;
    if (!nulls) return 0;
    if (kpy_array_buffer(out, 0, (size_t)(cells->count + 7) / 8, &bits)) return -1;
    for (Py_ssize_t i = 0; i < cells->count; ++i) {
        if (!is_null(cells->items[i])) set_bit(bits, i);
    }
    return 0;
}

/* ---- values of one width ---- */

/* kith._values.encode(format, value): the value's integer in the column's unit; the 16 bytes of a decimal. */
static PyObject *encoded(struct kpy_state *state, const char *format, PyObject *value)
{
    PyObject *values = kpy_values(state);
    return values ? PyObject_CallMethod(values, "encode", "sO", format, value) : NULL;
}

static int put_encoded(struct kpy_state *state, void *to, const char *format, size_t bytes, PyObject *value)
{
    PyObject *number = encoded(state, format, value);
    if (!number) return -1;
    int status;
    if (bytes == 16) { // decimal128
        char *data = PyBytes_AsString(number);
        if (data) memcpy(to, data, 16);
        status = data ? 0 : -1;
    } else {
        status = kpy_number_put(to, bytes == 4 ? 'i' : 'l', number);
    }
    Py_DECREF(number);
    return status;
}

/* Bytes of one value of a temporal or decimal type; 0 for other types. */
static size_t encoded_bytes(const char *format)
{
    if (format[0] == 'd') return 16;
    if (format[0] != 't') return 0;
    if (format[1] == 'd') return format[2] == 'D' ? 4 : 8;
    if (format[1] == 't') return format[2] == 's' || format[2] == 'm' ? 4 : 8;
    return 8;
}

/* numpy's float16 and the like offer their bytes; Python's own numbers do not come here. */
static PyObject *plain_number(struct kpy_state *state, PyObject *value)
{
    int code = kpy_kind(state, value);
    if (code < 0) return NULL;
    int kind = code & 255;
    if (kind == KPY_INT || kind == KPY_FLOAT || kind == KPY_BOOL || kind == KPY_DECIMAL)
        return Py_NewRef(value);
    if (kind == KPY_OTHER) {
        PyObject *values = kpy_values(state);
        return values ? PyObject_CallMethod(values, "plain", "O", value) : NULL;
    }
    return kpy_fail(state, KITH_TYPE, "a number is wanted, not %R", value);
}

static int put_number(struct kpy_state *state, void *to, char format, PyObject *value)
{
    if (PyFloat_CheckExact(value) || PyLong_CheckExact(value)) return kpy_number_put(to, format, value);
    PyObject *number = plain_number(state, value);
    int status = number ? kpy_number_put(to, format, number) : -1;
    Py_XDECREF(number);
    return status;
}

static int put_fixed(struct kpy_state *state, const char *format, char *to, size_t bytes, PyObject *value)
{
    if (kpy_is_number(format)) return put_number(state, to, format[0], value);
    if (encoded_bytes(format)) return put_encoded(state, to, format, bytes, value);
    Py_buffer view; // fixed-size binary
    if (kpy_buffer(value, &view)) return -1;
    bool fits = (size_t)view.len == bytes;
    if (fits)
        memcpy(to, view.buf, bytes);
    else
        kpy_fail(state, KITH_TYPE, "%zd bytes were given, the column holds %zu", view.len, bytes);
    PyBuffer_Release(&view);
    return fits ? 0 : -1;
}

static int build_fixed(struct kpy_state *state, const struct ArrowSchema *field,
                       const struct kpy_cells *cells, size_t bytes, struct ArrowArray *out, Py_ssize_t *row)
{
    void *data;
    if (kpy_array_init(out, cells->count, 2, 0) || build_validity(cells, out)) return -1;
    if (kpy_array_buffer(out, 1, (size_t)cells->count * bytes, &data)) return -1;
    for (*row = 0; *row < cells->count; ++*row) {
        PyObject *value = cells->items[*row];
        if (is_null(value)) continue;
        if (put_fixed(state, field->format, (char *)data + (size_t)*row * bytes, bytes, value)) return -1;
    }
    return 0;
}

static int build_bits(struct kpy_state *state, const struct kpy_cells *cells, struct ArrowArray *out,
                      Py_ssize_t *row)
{
    void *bits;
    if (kpy_array_init(out, cells->count, 2, 0) || build_validity(cells, out)) return -1;
    if (kpy_array_buffer(out, 1, (size_t)(cells->count + 7) / 8, &bits)) return -1;
    for (*row = 0; *row < cells->count; ++*row) {
        PyObject *value = cells->items[*row];
        if (is_null(value)) continue;
        int code = kpy_kind(state, value);
        if (code < 0) return -1;
        if ((code & 255) != KPY_BOOL) {
            kpy_fail(state, KITH_TYPE, "True or False is wanted, not %R", value);
            return -1;
        }
        if (PyObject_IsTrue(value)) set_bit(bits, *row);
    }
    return 0;
}

static int build_nulls(struct kpy_state *state, const struct kpy_cells *cells, struct ArrowArray *out,
                       Py_ssize_t *row)
{
    if (kpy_array_init(out, cells->count, 0, 0)) return -1;
    out->null_count = cells->count;
    for (*row = 0; *row < cells->count; ++*row) {
        if (is_null(cells->items[*row])) continue;
        kpy_fail(state, KITH_TYPE,
                 "the column held nothing but nulls so far, so that its type is not known; "
                 "give schema= to say it");
        return -1;
    }
    return 0;
}

/* ---- text and bytes ---- */

struct text { /* the bytes of all rows, one after another */
    char *bytes;
    size_t used, room;
};

static int text_append(struct text *text, const char *bytes, size_t count)
{
    if (text->used + count > text->room) {
        size_t room = text->room * 2 > text->used + count ? text->room * 2 : text->used + count + 256;
        char *more = kpy_realloc(text->bytes, room);
        if (!more) return PyErr_NoMemory(), -1;
        text->bytes = more;
        text->room = room;
    }
    memcpy(text->bytes + text->used, bytes, count);
    text->used += count;
    return 0;
}

static int text_append_value(struct kpy_state *state, struct text *text, bool is_text, PyObject *value)
{
    if (is_text) {
        Py_ssize_t count;
        if (PyUnicode_Check(value)) {
            const char *bytes = PyUnicode_AsUTF8AndSize(value, &count);
            return bytes ? text_append(text, bytes, (size_t)count) : -1;
        }
        PyObject *values = kpy_values(state), *plain = NULL;
        if (values) plain = PyObject_CallMethod(values, "text", "O", value);
        int status = plain ? text_append_value(state, text, true, plain) : -1;
        Py_XDECREF(plain);
        return status;
    }
    if (PyUnicode_Check(value)) {
        kpy_fail(state, KITH_TYPE, "bytes are wanted, not the text %R", value);
        return -1;
    }
    Py_buffer view;
    if (kpy_buffer(value, &view)) return -1;
    int status = text_append(text, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return status;
}

static void set_offset(void *offsets, bool large, Py_ssize_t at, size_t value)
{
    if (large)
        ((int64_t *)offsets)[at] = (int64_t)value;
    else
        ((int32_t *)offsets)[at] = (int32_t)value;
}

static int check_offset(struct kpy_state *state, bool large, size_t value)
{
    if (large || value <= INT32_MAX) return 0;
    kpy_fail(state, KITH_INVALID,
             "one batch of a column would be larger than 2 GiB; give the data in smaller batches");
    return -1;
}

static int build_text(struct kpy_state *state, char format, const struct kpy_cells *cells,
                      struct ArrowArray *out, Py_ssize_t *row)
{
    bool large = format == 'U' || format == 'Z', is_text = format == 'u' || format == 'U';
    struct text text = { 0 };
    void *offsets;
    if (kpy_array_init(out, cells->count, 3, 0) || build_validity(cells, out)) return -1;
    if (kpy_array_buffer(out, 1, (size_t)(cells->count + 1) * (large ? 8 : 4), &offsets)) return -1;
    int status = text_append(&text, "", 0);
    for (*row = 0; !status && *row < cells->count; ++*row) {
        PyObject *value = cells->items[*row];
        if (!is_null(value) && text_append_value(state, &text, is_text, value)) break;
        if (check_offset(state, large, text.used)) break;
        set_offset(offsets, large, *row + 1, text.used);
    }
    if (!text.bytes) text.bytes = kpy_calloc(1, 1); // a buffer of no bytes still has an address
    out->buffers[2] = text.bytes;
    return status || *row < cells->count ? -1 : 0;
}

/* ---- lists ---- */

static Py_ssize_t length_of(PyObject *value)
{
    return PyList_CheckExact(value) ? PyList_Size(value) : PyObject_Size(value);
}

/* Copies the numbers of one row; `to` has room for `count`. */
static int put_numbers(struct kpy_state *state, char format, char *to, Py_ssize_t count, PyObject *value)
{
    size_t bytes = kpy_number_bytes(format);
    if (!PyList_CheckExact(value) && PyObject_CheckBuffer(value)) {
        Py_buffer view;
        if (kpy_buffer(value, &view)) return -1;
        char from = kpy_number_format(&view);
        bool plain = from && view.ndim == 1 && view.len == count * view.itemsize;
        int status = plain ? kpy_numbers_copy(to, format, view.buf, from, count) : 1;
        PyBuffer_Release(&view);
        if (status != 1) return status;
    }
    PyObject *list = PyList_CheckExact(value) ? Py_NewRef(value) : PySequence_List(value);
    int status = list ? 0 : -1;
    for (Py_ssize_t i = 0; !status && i < count; ++i) {
        PyObject *number = PyList_GetItem(list, i);
        if (number && PyFloat_CheckExact(number) && format == 'f') {
            float single = (float)PyFloat_AsDouble(number);
            memcpy(to + (size_t)i * bytes, &single, sizeof single);
        } else if (number && !is_null(number)) {
            status = put_number(state, to + (size_t)i * bytes, format, number);
        } else {
            if (number) kpy_fail(state, KITH_TYPE, "None stands inside a vector");
            status = -1;
        }
    }
    Py_XDECREF(list);
    return status;
}

/* The lengths of all rows: `offsets` gets count + 1 sums, or stays unset for fixed-size lists. */
static int list_offsets(struct kpy_state *state, const struct kpy_cells *cells, bool large, void *offsets,
                        Py_ssize_t *total, Py_ssize_t *row)
{
    *total = 0;
    for (*row = 0; *row < cells->count; ++*row) {
        PyObject *value = cells->items[*row];
        if (!is_null(value)) {
            Py_ssize_t length = PyUnicode_Check(value) || PyDict_Check(value) ? -1 : length_of(value);
            if (length < 0) {
                if (!PyErr_Occurred()) kpy_fail(state, KITH_TYPE, "a list is wanted, not %R", value);
                return -1;
            }
            *total += length;
        }
        if (check_offset(state, large, (size_t)*total)) return -1;
        set_offset(offsets, large, *row + 1, (size_t)*total);
    }
    return 0;
}

static Py_ssize_t offset_at(const void *offsets, bool large, Py_ssize_t at)
{
    return large ? (Py_ssize_t)((const int64_t *)offsets)[at] : (Py_ssize_t)((const int32_t *)offsets)[at];
}

/* Children that are numbers without nulls go straight into their buffer. */
static int build_items_numbers(struct kpy_state *state, char format, const struct kpy_cells *cells,
                               const void *offsets, bool large, Py_ssize_t total, struct ArrowArray *out,
                               Py_ssize_t *row)
{
    void *data;
    size_t bytes = kpy_number_bytes(format);
    if (kpy_array_init(out, total, 2, 0) || kpy_array_buffer(out, 1, (size_t)total * bytes, &data)) return -1;
    for (*row = 0; *row < cells->count; ++*row) {
        Py_ssize_t begin = offset_at(offsets, large, *row), end = offset_at(offsets, large, *row + 1);
        if (begin == end) continue;
        if (put_numbers(state, format, (char *)data + (size_t)begin * bytes, end - begin, cells->items[*row]))
            return -1;
    }
    return 0;
}

static int build_items_cells(struct kpy_state *state, const struct ArrowSchema *item,
                             const struct kpy_cells *cells, const void *offsets, bool large, Py_ssize_t total,
                             struct ArrowArray *out, Py_ssize_t *row)
{
    struct kpy_cells items;
    int status = kpy_cells_init(&items, total);
    for (*row = 0; !status && *row < cells->count; ++*row) {
        Py_ssize_t begin = offset_at(offsets, large, *row), end = offset_at(offsets, large, *row + 1);
        for (Py_ssize_t i = begin; !status && i < end; ++i) {
            items.items[i] = PySequence_GetItem(cells->items[*row], i - begin);
            status = items.items[i] ? 0 : -1;
        }
        if (status) break;
    }
    if (!status) status = build(state, item, &items, out, false);
    kpy_cells_release(&items);
    return status;
}

/* Whether some list holds None: then the numbers have a validity of their own and go through cells. */
static bool any_null_inside(const struct kpy_cells *cells)
{
    for (Py_ssize_t row = 0; row < cells->count; ++row) {
        PyObject *value = cells->items[row];
        if (is_null(value) || !PyList_CheckExact(value)) continue;
        Py_ssize_t count = PyList_Size(value);
        for (Py_ssize_t i = 0; i < count; ++i) {
            if (PyList_GetItem(value, i) == Py_None) return true;
        }
    }
    return false;
}

static int build_list(struct kpy_state *state, const struct ArrowSchema *field, const struct kpy_cells *cells,
                      struct ArrowArray *out, Py_ssize_t *row)
{
    bool large = field->format[1] == 'L';
    const struct ArrowSchema *item = field->children[0];
    Py_ssize_t total;
    void *offsets;
    if (kpy_array_init(out, cells->count, 2, 1) || build_validity(cells, out)) return -1;
    if (kpy_array_buffer(out, 1, (size_t)(cells->count + 1) * (large ? 8 : 4), &offsets)) return -1;
    if (list_offsets(state, cells, large, offsets, &total, row)) return -1;
    if (kpy_is_number(item->format) && !any_null_inside(cells))
        return build_items_numbers(state, item->format[0], cells, offsets, large, total, out->children[0],
                                   row);
    return build_items_cells(state, item, cells, offsets, large, total, out->children[0], row);
}

static int build_fixed_list(struct kpy_state *state, const struct ArrowSchema *field,
                            const struct kpy_cells *cells, Py_ssize_t dim, struct ArrowArray *out,
                            Py_ssize_t *row)
{
    const struct ArrowSchema *item = field->children[0];
    size_t bytes = kpy_number_bytes(item->format[0]);
    void *data;
    if (!kpy_is_number(item->format)) {
        kpy_fail(state, KITH_TYPE,
                 "a fixed-size list of Arrow type \"%s\" cannot be built from Python values", item->format);
        return -1;
    }
    if (kpy_array_init(out, cells->count, 1, 1) || build_validity(cells, out)) return -1;
    if (kpy_array_init(out->children[0], cells->count * dim, 2, 0)) return -1;
    if (kpy_array_buffer(out->children[0], 1, (size_t)cells->count * (size_t)dim * bytes, &data)) return -1;
    for (*row = 0; *row < cells->count; ++*row) {
        PyObject *value = cells->items[*row];
        if (is_null(value)) continue;
        if (put_numbers(state, item->format[0], (char *)data + (size_t)(*row * dim) * bytes, dim, value))
            return -1;
    }
    return 0;
}

/* Rows of another length than the type's: as lists they go to the core, which knows what on_bad_vectors says.
 */
static bool all_of_length(const struct kpy_cells *cells, Py_ssize_t dim)
{
    for (Py_ssize_t row = 0; row < cells->count; ++row) {
        PyObject *value = cells->items[row];
        if (is_null(value)) continue;
        if (length_of(value) != dim) {
            PyErr_Clear();
            return false;
        }
    }
    return true;
}

/* ---- structs and dictionaries ---- */

static int struct_cells(struct kpy_state *state, const struct ArrowSchema *field,
                        const struct kpy_cells *cells, struct kpy_cells *members, Py_ssize_t *row)
{
    for (*row = 0; *row < cells->count; ++*row) {
        PyObject *value = cells->items[*row], *name, *item;
        Py_ssize_t place = 0;
        if (is_null(value)) continue;
        if (!PyDict_Check(value)) {
            kpy_fail(state, KITH_TYPE, "a dict is wanted, not %R", value);
            return -1;
        }
        while (PyDict_Next(value, &place, &name, &item)) {
            const char *text = PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
            const struct ArrowSchema *member = text ? kpy_schema_child(field, text) : NULL;
            if (!member) {
                if (!PyErr_Occurred()) kpy_fail(state, KITH_INVALID, "the struct has no field %R", name);
                return -1;
            }
            int64_t at = 0;
            while (field->children[at] != member) ++at;
            kpy_set(&members[at].items[*row], Py_NewRef(item));
        }
    }
    return 0;
}

static int build_struct(struct kpy_state *state, const struct ArrowSchema *field,
                        const struct kpy_cells *cells, struct ArrowArray *out, Py_ssize_t *row)
{
    size_t count = (size_t)field->n_children;
    if (kpy_array_init(out, cells->count, 1, field->n_children) || build_validity(cells, out)) return -1;
    struct kpy_cells *members = kpy_calloc(count ? count : 1, sizeof *members);
    int status = members ? 0 : (PyErr_NoMemory(), -1);
    for (size_t i = 0; !status && i < count; ++i) status = kpy_cells_init(&members[i], cells->count);
    if (!status) status = struct_cells(state, field, cells, members, row);
    for (size_t i = 0; !status && i < count; ++i)
        status = build(state, field->children[i], &members[i], out->children[i], false);
    for (size_t i = 0; members && i < count; ++i) kpy_cells_release(&members[i]);
    kpy_free(members);
    return status;
}

/* The place of a value among the distinct ones, which it joins when it is new. */
static PyObject *place_of(PyObject *seen, PyObject *value)
{
    PyObject *at = PyDict_GetItemWithError(seen, value);
    if (at || PyErr_Occurred()) return Py_XNewRef(at);
    at = PyLong_FromSsize_t(PyDict_Size(seen));
    if (at && PyDict_SetItem(seen, value, at)) Py_CLEAR(at);
    return at;
}

static int build_dictionary(struct kpy_state *state, const struct ArrowSchema *field,
                            const struct kpy_cells *cells, struct ArrowArray *out, Py_ssize_t *row)
{
    PyObject *seen = PyDict_New();
    struct kpy_cells distinct = { 0 }, indices = { 0 };
    int status = seen ? kpy_cells_init(&indices, cells->count) : -1;
    for (*row = 0; !status && *row < cells->count; ++*row) {
        if (is_null(cells->items[*row])) continue;
        PyObject *at = place_of(seen, cells->items[*row]);
        if (!at) break;
        indices.items[*row] = at;
    }
    if (!status && *row < cells->count) status = -1;
    if (!status) status = kpy_cells_init(&distinct, PyDict_Size(seen));
    PyObject *key, *at;
    Py_ssize_t place = 0;
    while (!status && PyDict_Next(seen, &place, &key, &at))
        distinct.items[PyLong_AsSsize_t(at)] = Py_NewRef(key);
    if (!status) status = build_fixed(state, field, &indices, kpy_number_bytes(field->format[0]), out, row);
    if (!status && !(out->dictionary = kpy_calloc(1, sizeof *out->dictionary)))
        status = (PyErr_NoMemory(), -1);
    if (!status) status = build(state, field->dictionary, &distinct, out->dictionary, false);
    kpy_cells_release(&indices);
    kpy_cells_release(&distinct);
    Py_XDECREF(seen);
    return status;
}

/* ---- the choice ---- */

static int build_any(struct kpy_state *state, const struct ArrowSchema *field, const struct kpy_cells *cells,
                     struct ArrowArray *out, Py_ssize_t *row)
{
    const char *format = field->format;
    int64_t width = 0;
    if (field->dictionary) return build_dictionary(state, field, cells, out, row);
    if (!strncmp(format, "+w:", 3) || !strncmp(format, "w:", 2))
        width = strtol(strchr(format, ':') + 1, NULL, 10);
    if (!strcmp(format, "n")) return build_nulls(state, cells, out, row);
    if (!strcmp(format, "b")) return build_bits(state, cells, out, row);
    if (kpy_is_number(format)) return build_fixed(state, field, cells, kpy_number_bytes(format[0]), out, row);
    if (encoded_bytes(format)) return build_fixed(state, field, cells, encoded_bytes(format), out, row);
    if (format[0] == 'w') return build_fixed(state, field, cells, (size_t)width, out, row);
    if (!format[1] && strchr("uUzZ", format[0])) return build_text(state, format[0], cells, out, row);
    if (!strcmp(format, "+l") || !strcmp(format, "+L")) return build_list(state, field, cells, out, row);
    if (!strcmp(format, "+s")) return build_struct(state, field, cells, out, row);
    if (format[0] == '+' && format[1] == 'w')
        return build_fixed_list(state, field, cells, (Py_ssize_t)width, out, row);
    kpy_fail(state, KITH_TYPE, "a column of Arrow type \"%s\" cannot be built from Python values", format);
    return -1;
}

/* Values of types that only kith._values knows become plain ones first: some of them turn out to be null. */
static int make_plain(struct kpy_state *state, struct kpy_cells *cells, Py_ssize_t *row)
{
    for (Py_ssize_t i = 0; i < cells->count; ++i) {
        int code = kpy_kind(state, cells->items[i]);
        if (code >= 0 && (code & 255) != KPY_OTHER) continue;
        PyObject *values = code < 0 ? NULL : kpy_values(state);
        PyObject *plain = values ? PyObject_CallMethod(values, "plain", "O", cells->items[i]) : NULL;
        *row = i;
        if (!plain) return -1;
        kpy_set(&cells->items[i], plain);
    }
    return 0;
}

static int build(struct kpy_state *state, const struct ArrowSchema *field, struct kpy_cells *cells,
                 struct ArrowArray *out, bool place)
{
    Py_ssize_t row = cells->count;
    if (!make_plain(state, cells, &row) && !build_any(state, field, cells, out, &row)) return 0;
    kpy_array_release(out);
    if (place) kpy_place(state, field->name, row < cells->count ? row : -1);
    return -1;
}

int kpy_build(struct kpy_state *state, const struct ArrowSchema *field, struct kpy_cells *cells,
              struct ArrowArray *out)
{
    return build(state, field, cells, out, true);
}

bool kpy_fits_vectors(const struct ArrowSchema *field, const struct kpy_cells *cells)
{
    if (strncmp(field->format, "+w:", 3)) return true;
    return all_of_length(cells, strtol(field->format + 3, NULL, 10));
}

/* ---- whole columns from one buffer ---- */

int kpy_build_buffer(struct kpy_state *state, const struct ArrowSchema *field, const Py_buffer *view,
                     struct ArrowArray *out)
{
    const struct ArrowSchema *number = view->ndim == 2 && field->n_children == 1 ? field->children[0] : field;
    char from = kpy_number_format(view);
    bool lists = number != field;
    Py_ssize_t rows = view->shape[0], width = lists ? view->shape[1] : 1;
    bool fixed = !strncmp(field->format, "+w:", 3), list = !strcmp(field->format, "+l");
    (void)state;

    if (from == 'b' || !kpy_is_number(number->format) || field->dictionary) return 1;
    if (view->ndim == 2 && !list && !(fixed && strtol(field->format + 3, NULL, 10) == width)) return 1;
    if (view->ndim == 1 && lists) return 1;

    struct ArrowArray *numbers = lists ? NULL : out;
    void *data;
    if (lists) {
        if (kpy_array_init(out, rows, list ? 2 : 1, 1)) return -1;
        numbers = out->children[0];
        if (list && kpy_array_buffer(out, 1, (size_t)(rows + 1) * 4, &data)) goto fail;
        for (Py_ssize_t row = 0; list && row <= rows; ++row)
            set_offset(data, false, row, (size_t)(row * width));
    }
    if (kpy_array_init(numbers, rows * width, 2, 0)) goto fail;
    if (kpy_array_buffer(numbers, 1, (size_t)(rows * width) * kpy_number_bytes(number->format[0]), &data))
        goto fail;
    if (kpy_numbers_copy(data, number->format[0], view->buf, from, rows * width)) goto fail;
    return 0;
fail:
    kpy_array_release(out);
    return -1;
}
