/* Which Arrow type fits a column of Python values.
 *
 * The rules are pyarrow's, with LanceDB's on top for vectors: a list column whose name contains "vector" or
 * "embedding" holds float32 (float16 where every row is a float16 array, uint8 where all numbers are integers
 * of 0..255). numpy scalars keep their width when all values agree; Python integers are int64, or uint64 when
 * one is larger; a column of nothing but None is of type null. Kinds that do not mix (text and numbers, say)
 * are refused with the row that broke the rule.
 *
 * What a type means here is learned once a type: `kinds` maps it to a number, and only types never seen
 * before cost a call to kith._values.kind().
 */
#include <string.h>

#include "py_private.h"

/* ---- kinds of values ---- */

static int ask_kind(struct kpy_state *state, PyObject *type, PyObject *value)
{
    PyObject *values = kpy_values(state);
    PyObject *answer = values ? PyObject_CallMethod(values, "kind", "OO", type, value) : NULL;
    long kind = answer ? PyLong_AsLong(answer) : -1;
    if (kind >= 0 && PyDict_SetItem(state->kinds, type, answer)) kind = -1;
    Py_XDECREF(answer);
    return (int)kind;
}

int kpy_kind(struct kpy_state *state, PyObject *value)
{
    if (!value || value == Py_None) return KPY_NULL;
    if (PyFloat_CheckExact(value)) return KPY_FLOAT;
    if (PyUnicode_CheckExact(value)) return KPY_STR;
    if (PyLong_CheckExact(value)) return KPY_INT;
    if (PyList_CheckExact(value)) return KPY_LIST;
    PyObject *type = (PyObject *)Py_TYPE(value);
    PyObject *known = PyDict_GetItemWithError(state->kinds, type);
    if (known) return (int)PyLong_AsLong(known);
    return PyErr_Occurred() ? -1 : ask_kind(state, type, value);
}

int kpy_cells_init(struct kpy_cells *cells, Py_ssize_t count)
{
    cells->count = count;
    cells->items = kpy_calloc(count ? (size_t)count : 1, sizeof *cells->items);
    if (cells->items) return 0;
    cells->count = 0;
    PyErr_NoMemory();
    return -1;
}

void kpy_cells_release(struct kpy_cells *cells)
{
    for (Py_ssize_t i = 0; i < cells->count; ++i) Py_XDECREF(cells->items[i]);
    kpy_free(cells->items);
    *cells = (struct kpy_cells){ 0 };
}

/* ---- what is known of a column ---- */

struct guess {
    enum kpy_kind kind;
    char width;      // of numbers, when all values were numpy's and agree; else 0
    bool mixed;      // widths that differ were seen
    bool past_int64; // an integer above the largest int64
    bool negative;
    bool past_uint8;
    Py_ssize_t length;  // of lists: in common, -1 when rows differ, -2 before the first
    struct guess *item; // KPY_LIST
    PyObject *fields;   // KPY_DICT: dict of name -> index into `members`
    struct guess *members;
    Py_ssize_t member_count;
    PyObject *extra; // KPY_DATETIME: the zone's name or None; KPY_DECIMAL: (digits before, after the point)
};

static const char *const kind_names[] = { "null",    "bool", "int",  "float",    "str",
                                          "bytes",   "date", "time", "datetime", "timedelta",
                                          "Decimal", "list", "dict", "array",    "other" };

static void guess_release(struct guess *guess)
{
    if (guess->item) guess_release(guess->item);
    PyMem_Free(guess->item);
    for (Py_ssize_t i = 0; i < guess->member_count; ++i) guess_release(&guess->members[i]);
    PyMem_Free(guess->members);
    Py_CLEAR(guess->fields);
    Py_CLEAR(guess->extra);
    memset(guess, 0, sizeof *guess);
}

static int look(struct kpy_state *state, struct guess *guess, PyObject *value);

static struct guess *item_of(struct guess *guess)
{
    if (guess->item) return guess->item;
    guess->item = PyMem_Calloc(1, sizeof *guess->item);
    if (!guess->item) PyErr_NoMemory();
    guess->length = -2;
    return guess->item;
}

static void note_length(struct guess *guess, Py_ssize_t length)
{
    guess->length = guess->length == -2 || guess->length == length ? length : -1;
}

static void note_width(struct guess *guess, char width, bool first)
{
    if (first)
        guess->width = width;
    else if (guess->width != width)
        guess->mixed = true;
}

static int mix(struct kpy_state *state, struct guess *guess, enum kpy_kind kind)
{
    enum kpy_kind had = guess->kind;
    if (had == kind) return 0;
    if (had == KPY_NULL) return guess->kind = kind, 0;
    if ((had == KPY_INT && kind == KPY_FLOAT) || (had == KPY_FLOAT && kind == KPY_INT)) {
        guess->kind = KPY_FLOAT;
        guess->mixed = true;
        return 0;
    }
    if (had == KPY_DATE && kind == KPY_DATETIME) return guess->kind = kind, 0;
    if (had == KPY_DATETIME && kind == KPY_DATE) return 0;
    kpy_fail(state, KITH_TYPE, "values of the kinds %s and %s stand in one column", kind_names[had],
             kind_names[kind]);
    return -1;
}

/* ---- looking at one value ---- */

static int look_int(struct guess *guess, PyObject *value)
{
    int overflow;
    PyObject *index = PyLong_Check(value) ? Py_NewRef(value) : PyNumber_Index(value);
    if (!index) return -1;
    long long number = PyLong_AsLongLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    if (number == -1 && PyErr_Occurred()) return -1;
    guess->past_int64 |= overflow > 0;
    guess->negative |= overflow < 0 || (!overflow && number < 0);
    guess->past_uint8 |= overflow || number > UINT8_MAX;
    return 0;
}

static void look_numbers(struct guess *item, const char *data, char format, Py_ssize_t count)
{
    bool is_float = format == 'e' || format == 'f' || format == 'g';
    if (is_float || format == 'C' || format == 'b') return;
    size_t bytes = kpy_number_bytes(format);
    for (Py_ssize_t i = 0; i < count && !(item->negative && item->past_uint8); ++i) {
        double number = kpy_number_get(data + (size_t)i * bytes, format);
        item->negative |= number < 0;
        item->past_uint8 |= number > UINT8_MAX;
    }
}

static enum kpy_kind number_kind(char format)
{
    if (format == 'b') return KPY_BOOL;
    return format == 'e' || format == 'f' || format == 'g' ? KPY_FLOAT : KPY_INT;
}

/* A one-dimensional buffer of numbers; anything else that is an array is looked at as a sequence. */
static int look_array(struct kpy_state *state, struct guess *guess, PyObject *value)
{
    Py_buffer view;
    struct guess *item = item_of(guess);
    if (!item) return -1;
    if (kpy_buffer(value, &view)) {
        PyErr_Clear(); // numpy's datetimes and objects say no
        return 1;
    }
    char format = kpy_number_format(&view);
    int status = 1;
    if (format && view.ndim == 1) {
        bool first = item->kind == KPY_NULL;
        Py_ssize_t count = view.itemsize ? view.len / view.itemsize : 0;
        note_length(guess, count);
        status = mix(state, item, number_kind(format));
        note_width(item, format, first);
        if (!status) look_numbers(item, view.buf, format, count);
    }
    PyBuffer_Release(&view);
    return status;
}

static int look_sequence(struct kpy_state *state, struct guess *guess, PyObject *value)
{
    struct guess *item = item_of(guess);
    PyObject *fast = !item ? NULL : PyList_CheckExact(value) ? Py_NewRef(value) : PySequence_List(value);
    if (!fast) return -1;
    int status = 0;
    Py_ssize_t count = PyList_Size(fast);
    note_length(guess, count);
    for (Py_ssize_t i = 0; i < count && !status; ++i) {
        PyObject *number = PyList_GetItem(fast, i);
        if (!number) break; // the list shrank meanwhile
        // Most lists are vectors of floats: after the first, a float adds nothing to what is known.
        if (item->kind == KPY_FLOAT && item->mixed && PyFloat_CheckExact(number)) continue;
        status = look(state, item, number);
    }
    Py_DECREF(fast);
    return PyErr_Occurred() ? -1 : status;
}

static struct guess *member_of(struct guess *guess, PyObject *name)
{
    if (!guess->fields && !(guess->fields = PyDict_New())) return NULL;
    PyObject *at = PyDict_GetItemWithError(guess->fields, name);
    if (at) return &guess->members[PyLong_AsSsize_t(at)];
    if (PyErr_Occurred()) return NULL;
    struct guess *more = PyMem_Realloc(guess->members, (size_t)(guess->member_count + 1) * sizeof *more);
    if (!more) return PyErr_NoMemory(), NULL;
    guess->members = more;
    at = PyLong_FromSsize_t(guess->member_count);
    if (!at || PyDict_SetItem(guess->fields, name, at)) return Py_XDECREF(at), NULL;
    Py_DECREF(at);
    struct guess *member = &guess->members[guess->member_count++];
    memset(member, 0, sizeof *member);
    return member;
}

static int look_dict(struct kpy_state *state, struct guess *guess, PyObject *value)
{
    PyObject *name, *item;
    Py_ssize_t place = 0;
    if (!guess->fields && !(guess->fields = PyDict_New())) return -1;
    while (PyDict_Next(value, &place, &name, &item)) {
        if (!PyUnicode_Check(name)) {
            kpy_fail(state, KITH_TYPE, "a dict's keys must be text, not %R", name);
            return -1;
        }
        struct guess *member = member_of(guess, name);
        if (!member || look(state, member, item)) return -1;
    }
    return 0;
}

/* Zones and digits are found by Python code: extra = kith._values.join_extra(kind, extra, value). */
static int look_extra(struct kpy_state *state, struct guess *guess, int kind, PyObject *value)
{
    PyObject *values = kpy_values(state), *had = guess->extra ? guess->extra : Py_None;
    PyObject *extra = values ? PyObject_CallMethod(values, "join_extra", "iOO", kind, had, value) : NULL;
    if (!extra) return -1;
    kpy_set(&guess->extra, extra);
    return 0;
}

static int look(struct kpy_state *state, struct guess *guess, PyObject *value)
{
    int code = kpy_kind(state, value);
    if (code < 0) return -1;
    int kind = code & 255;
    if (kind == KPY_NULL) return 0;
    if (kind == KPY_OTHER) {
        PyObject *values = kpy_values(state);
        PyObject *plain = values ? PyObject_CallMethod(values, "plain", "O", value) : NULL;
        int status = plain ? look(state, guess, plain) : -1;
        Py_XDECREF(plain);
        return status;
    }
    bool first = guess->kind == KPY_NULL;
    if (mix(state, guess, kind == KPY_ARRAY ? KPY_LIST : (enum kpy_kind)kind)) return -1;
    switch (kind) {
    case KPY_INT:
    case KPY_FLOAT:
        note_width(guess, (char)(code >> 8), first);
        if (!guess->width) guess->mixed = true;
        return kind == KPY_INT ? look_int(guess, value) : 0;
    case KPY_DATETIME:
    case KPY_DECIMAL:
        return look_extra(state, guess, kind, value);
    case KPY_DICT:
        return look_dict(state, guess, value);
    case KPY_ARRAY: {
        int status = look_array(state, guess, value);
        return status == 1 ? look_sequence(state, guess, value) : status;
    }
    case KPY_LIST:
        return look_sequence(state, guess, value);
    default:
        return 0;
    }
}

/* ---- from what is known to a type ---- */

static char number_format(const struct guess *guess)
{
    if (guess->width && !guess->mixed) return guess->width;
    if (guess->kind == KPY_FLOAT) return 'g';
    return guess->past_int64 ? 'L' : 'l';
}

static char vector_format(const struct guess *item)
{
    if (item->kind == KPY_FLOAT) return item->width == 'e' && !item->mixed ? 'e' : 'f';
    return item->kind == KPY_INT && !item->negative && !item->past_uint8 ? 'C' : 'f';
}

static int guess_schema(const struct guess *guess, const char *name, struct ArrowSchema *out);

static int list_schema(const struct guess *guess, const char *name, bool is_vector, bool loose,
                       struct ArrowSchema *out)
{
    struct guess nothing = { 0 };
    const struct guess *item = guess->item ? guess->item : &nothing;
    bool numbers = item->kind == KPY_FLOAT || item->kind == KPY_INT;
    if (!is_vector || !numbers) {
        if (kpy_schema_init(out, "+l", name, 1)) return -1;
        if (!guess_schema(item, "item", out->children[0])) return 0;
        kpy_schema_release(out);
        return -1;
    }
    char list[32] = "+l", format[2] = { vector_format(item), 0 };
    if (!loose && guess->length > 0) PyOS_snprintf(list, sizeof list, "+w:%zd", guess->length);
    if (kpy_schema_init(out, list, name, 1)) return -1;
    if (!kpy_schema_init(out->children[0], format, "item", 0)) return 0;
    kpy_schema_release(out);
    return -1;
}

static int struct_schema(const struct guess *guess, const char *name, struct ArrowSchema *out)
{
    PyObject *key, *at;
    Py_ssize_t place = 0;
    if (kpy_schema_init(out, "+s", name, guess->member_count)) return -1;
    while (PyDict_Next(guess->fields, &place, &key, &at)) {
        Py_ssize_t index = PyLong_AsSsize_t(at);
        const char *text = PyUnicode_AsUTF8AndSize(key, NULL);
        if (!text || guess_schema(&guess->members[index], text, out->children[index])) {
            kpy_schema_release(out);
            return -1;
        }
    }
    return 0;
}

static int extra_schema(const struct guess *guess, const char *name, struct ArrowSchema *out)
{
    char format[128];
    if (guess->kind == KPY_DATETIME) {
        const char *zone = "";
        if (guess->extra && guess->extra != Py_None && !(zone = PyUnicode_AsUTF8AndSize(guess->extra, NULL)))
            return -1;
        PyOS_snprintf(format, sizeof format, "tsu:%s", zone);
    } else {
        int before, after;
        if (!PyArg_ParseTuple(guess->extra, "ii", &before, &after)) return -1;
        PyOS_snprintf(format, sizeof format, "d:%d,%d", before + after ? before + after : 1, after);
    }
    return kpy_schema_init(out, format, name, 0);
}

static int guess_schema(const struct guess *guess, const char *name, struct ArrowSchema *out)
{
    char format[2] = { 0, 0 };
    switch (guess->kind) {
    case KPY_BOOL:
        return kpy_schema_init(out, "b", name, 0);
    case KPY_STR:
        return kpy_schema_init(out, "u", name, 0);
    case KPY_BYTES:
        return kpy_schema_init(out, "z", name, 0);
    case KPY_DATE:
        return kpy_schema_init(out, "tdD", name, 0);
    case KPY_TIME:
        return kpy_schema_init(out, "ttu", name, 0);
    case KPY_DURATION:
        return kpy_schema_init(out, "tDu", name, 0);
    case KPY_DATETIME:
    case KPY_DECIMAL:
        return extra_schema(guess, name, out);
    case KPY_LIST:
        return list_schema(guess, name, false, false, out);
    case KPY_DICT:
        return struct_schema(guess, name, out);
    case KPY_INT:
    case KPY_FLOAT:
        format[0] = number_format(guess);
        return kpy_schema_init(out, format, name, 0);
    default:
        return kpy_schema_init(out, "n", name, 0);
    }
}

int kpy_infer(const struct kpy_inference *how, const char *name, const struct kpy_cells *cells,
              struct ArrowSchema *out)
{
    struct guess guess = { 0 };
    int status = 0;
    for (Py_ssize_t row = 0; row < cells->count && !status; ++row) {
        status = look(how->state, &guess, cells->items[row]);
        if (status) kpy_place(how->state, name, row);
    }
    if (!status && guess.kind == KPY_LIST) {
        status = list_schema(&guess, name, kpy_is_vector_name(name), how->loose, out);
    } else if (!status) {
        status = guess_schema(&guess, name, out);
    }
    guess_release(&guess);
    return status;
}

int kpy_infer_buffer(const struct kpy_inference *how, const char *name, const Py_buffer *view,
                     struct ArrowSchema *out)
{
    char format[2] = { kpy_number_format(view), 0 }, list[32];
    if (view->ndim == 1) return kpy_schema_init(out, format, name, 0);
    if (kpy_is_vector_name(name)) {
        struct guess item = { .kind = number_kind(format[0]), .width = format[0] };
        look_numbers(&item, view->buf, format[0], view->itemsize ? view->len / view->itemsize : 0);
        format[0] = vector_format(&item);
    }
    PyOS_snprintf(list, sizeof list, how->loose ? "+l" : "+w:%zd", view->shape[1]);
    if (kpy_schema_init(out, list, name, 1)) return -1;
    if (!kpy_schema_init(out->children[0], format, "item", 0)) return 0;
    kpy_schema_release(out);
    return -1;
}
