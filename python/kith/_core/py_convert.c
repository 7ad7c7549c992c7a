/* Rows or columns of Python values -> an Arrow stream of one batch.
 *
 * Rows are dicts: their cells are first sorted into columns, in the order in which the names are met, so that
 * a key that only a later row has is a column too (earlier rows are null there). Then each column is given a
 * type and built, by itself. With a `schema` the types are its own: rows get all its columns, in its order,
 * and no others, or with `part` only those that some row has; columns get the types of those it names, and
 * the core says what it thinks of the rest.
 *
 * A column of vectors with rows of other lengths than the schema's is handed on as a plain list: the core
 * holds the one rule about bad vectors.
 */
#include <string.h>

#include "py_private.h"

struct column {
    const char *name; // borrowed from the key or the schema, both of which outlive this
    PyObject *key;
    struct kpy_cells cells;
};

struct columns {
    struct column *items;
    Py_ssize_t count, room;
    Py_ssize_t rows;
    PyObject *index; // dict: name -> place
};

static void columns_release(struct columns *columns)
{
    for (Py_ssize_t i = 0; i < columns->count; ++i) {
        kpy_cells_release(&columns->items[i].cells);
        Py_XDECREF(columns->items[i].key);
    }
    kpy_free(columns->items);
    Py_XDECREF(columns->index);
}

static struct column *column_add(struct kpy_state *state, struct columns *columns, PyObject *key)
{
    if (!PyUnicode_Check(key))
        return (void)kpy_fail(state, KITH_TYPE, "a column's name must be text, not %R", key), NULL;
    const char *name = PyUnicode_AsUTF8AndSize(key, NULL);
    if (!name) return NULL;
    if (columns->count == columns->room) {
        Py_ssize_t room = columns->room ? 2 * columns->room : 8;
        struct column *more = kpy_realloc(columns->items, (size_t)room * sizeof *more);
        if (!more) return (void)PyErr_NoMemory(), NULL;
        columns->items = more;
        columns->room = room;
    }
    struct column *column = &columns->items[columns->count];
    if (kpy_cells_init(&column->cells, columns->rows)) return NULL;
    column->name = name;
    column->key = Py_NewRef(key);
    columns->count += 1;
    return column;
}

static struct column *column_of(struct kpy_state *state, struct columns *columns, PyObject *key,
                                Py_ssize_t likely)
{
    // Rows made by one piece of code have their keys in one order and, mostly, as the same objects.
    if (likely < columns->count && columns->items[likely].key == key) return &columns->items[likely];
    PyObject *place = PyDict_GetItemWithError(columns->index, key);
    if (place) return &columns->items[PyLong_AsSsize_t(place)];
    if (PyErr_Occurred()) return NULL;
    place = PyLong_FromSsize_t(columns->count);
    struct column *column = place ? column_add(state, columns, key) : NULL;
    if (column && PyDict_SetItem(columns->index, key, place)) column = NULL;
    Py_XDECREF(place);
    return column;
}

static int sort_row(struct kpy_state *state, struct columns *columns, PyObject *row, Py_ssize_t at)
{
    PyObject *key, *value;
    Py_ssize_t place = 0, likely = 0;
    if (!PyDict_Check(row)) {
        kpy_fail(state, KITH_TYPE, "row %zd is %R and not a dict", at, (PyObject *)Py_TYPE(row));
        return -1;
    }
    while (PyDict_Next(row, &place, &key, &value)) {
        struct column *column = column_of(state, columns, key, likely++);
        if (!column) return -1;
        kpy_set(&column->cells.items[at], Py_NewRef(value));
    }
    return 0;
}

static int sort_rows(struct kpy_state *state, PyObject *rows, struct columns *columns)
{
    columns->rows = PyList_Size(rows);
    columns->index = PyDict_New();
    if (!columns->index) return -1;
    for (Py_ssize_t at = 0; at < columns->rows; ++at) {
        PyObject *row = PyList_GetItem(rows, at);
        if (!row || sort_row(state, columns, row, at)) return -1;
    }
    return 0;
}

/* ---- one column ---- */

struct target { /* the batch that is being made */
    struct ArrowSchema schema;
    struct ArrowArray array;
};

static int target_init(struct target *target, int64_t rows, int64_t columns)
{
    memset(target, 0, sizeof *target);
    if (kpy_schema_init(&target->schema, "+s", "", columns)) return -1;
    target->schema.flags = 0;
    return kpy_array_init(&target->array, rows, 1, columns);
}

static void target_release(struct target *target)
{
    kpy_schema_release(&target->schema);
    kpy_array_release(&target->array);
}

/* A fixed-size list turned into a list of any length, for rows that do not fit. */
static int loosen(struct ArrowSchema *field)
{
    struct ArrowSchema list;
    if (kpy_schema_init(&list, "+l", field->name, 1)) return -1;
    list.flags = field->flags;
    if (kpy_schema_copy_plain(field->children[0], list.children[0])) {
        kpy_schema_release(&list);
        return -1;
    }
    kpy_schema_release(field);
    *field = list;
    return 0;
}

static int build_column(const struct kpy_inference *how, const struct ArrowSchema *hint, const char *name,
                        struct kpy_cells *cells, struct ArrowSchema *field, struct ArrowArray *out)
{
    // An empty hint ("null") knows nothing: new values may give the column its type.
    bool known = hint && strcmp(hint->format, "n");
    if (known ? kpy_schema_copy_plain(hint, field) : kpy_infer(how, name, cells, field)) return -1;
    if (!kpy_fits_vectors(field, cells) && loosen(field)) return -1;
    return kpy_build(how->state, field, cells, out);
}

static struct kpy_cells *cells_named(const struct columns *columns, const char *name)
{
    for (Py_ssize_t i = 0; i < columns->count; ++i) {
        if (!strcmp(columns->items[i].name, name)) return &columns->items[i].cells;
    }
    return NULL;
}

/* The columns of the schema, in its order; those that no row has are null, or with `part` not there. */
static int build_typed(const struct kpy_inference *how, const struct ArrowSchema *schema, bool part,
                       const struct columns *columns, struct target *target)
{
    struct kpy_cells nothing;
    int64_t at = 0;
    for (Py_ssize_t i = 0; i < columns->count; ++i) {
        if (kpy_schema_child(schema, columns->items[i].name)) continue;
        kpy_fail(how->state, KITH_INVALID, "field '%s' does not exist in the schema", columns->items[i].name);
        return -1;
    }
    if (target_init(target, columns->rows, part ? columns->count : schema->n_children) ||
        kpy_cells_init(&nothing, columns->rows))
        return -1;
    int status = 0;
    for (int64_t i = 0; !status && i < schema->n_children && at < target->schema.n_children; ++i) {
        const struct ArrowSchema *field = schema->children[i];
        struct kpy_cells *cells = cells_named(columns, field->name);
        if (part && !cells) continue;
        struct ArrowSchema *made = target->schema.children[at];
        status = kpy_schema_copy_plain(field, made);
        if (!status && cells && !kpy_fits_vectors(field, cells)) status = loosen(made);
        if (!status)
            status = kpy_build(how->state, made, cells ? cells : &nothing, target->array.children[at]);
        ++at;
    }
    kpy_cells_release(&nothing);
    return status;
}

static int build_columns(const struct kpy_inference *how, const struct columns *columns,
                         struct target *target)
{
    if (target_init(target, columns->rows, columns->count)) return -1;
    for (Py_ssize_t i = 0; i < columns->count; ++i) {
        struct column *column = &columns->items[i];
        if (build_column(how, NULL, column->name, &column->cells, target->schema.children[i],
                         target->array.children[i]))
            return -1;
    }
    return 0;
}

static PyObject *target_stream(struct target *target)
{
    struct ArrowArrayStream stream;
    return kpy_stream_of(&target->schema, &target->array, &stream) ? NULL : kpy_stream_capsule(&stream);
}

/* ---- the two doors ---- */

PyObject *kpy_rows_stream(PyObject *module, PyObject *args, PyObject *keywords)
{
    static char *names[] = { "rows", "schema", "loose", "part", NULL };
    struct kpy_inference how = { .state = kpy_module_state(module) };
    PyObject *rows, *capsule = Py_None, *result = NULL;
    const struct ArrowSchema *schema = NULL;
    int loose = 0, part = 0;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!|Opp", names, &PyList_Type, &rows, &capsule, &loose,
                                     &part))
        return NULL;
    how.loose = loose;
    if (capsule != Py_None && !(schema = kpy_schema_borrow(how.state, capsule))) return NULL;

    struct columns columns = { 0 };
    struct target target = { 0 };
    int status = sort_rows(how.state, rows, &columns);
    if (!status && schema)
        status = build_typed(&how, schema, part, &columns, &target);
    else if (!status)
        status = build_columns(&how, &columns, &target);
    if (!status) result = target_stream(&target);
    target_release(&target);
    columns_release(&columns);
    return result;
}

/* A column that is an array of numbers is copied as a whole; 1 when it has to be taken apart. */
static int column_from_buffer(const struct kpy_inference *how, const struct ArrowSchema *hint,
                              const char *name, PyObject *value, struct ArrowSchema *field,
                              struct ArrowArray *out, Py_ssize_t *rows)
{
    Py_buffer view;
    if (!PyObject_CheckBuffer(value) || PyBytes_Check(value)) return 1;
    if (kpy_buffer(value, &view)) {
        PyErr_Clear(); // numpy's datetimes and objects say no
        return 1;
    }
    char format = kpy_number_format(&view);
    bool plain = format && format != 'b' && (view.ndim == 1 || view.ndim == 2);
    int status = plain ? 0 : 1;
    if (plain) {
        if (*rows == -1) *rows = view.shape[0];
        if (view.shape[0] != *rows) {
            kpy_fail(how->state, KITH_INVALID, "column '%s' has %zd rows, the columns before it %zd", name,
                     view.shape[0], *rows);
            status = -1;
        } else {
            status = hint ? kpy_schema_copy_plain(hint, field) : kpy_infer_buffer(how, name, &view, field);
        }
        if (!status) status = kpy_build_buffer(how->state, field, &view, out);
        if (status == 1) kpy_schema_release(field);
    }
    PyBuffer_Release(&view);
    return status;
}

static int column_from_sequence(const struct kpy_inference *how, const struct ArrowSchema *hint,
                                const char *name, PyObject *value, struct ArrowSchema *field,
                                struct ArrowArray *out, Py_ssize_t *rows)
{
    struct kpy_cells cells;
    PyObject *list = PySequence_List(value);
    if (!list) return -1;
    Py_ssize_t count = PyList_Size(list);
    if (*rows == -1) *rows = count;
    int status = count == *rows ? kpy_cells_init(&cells, count) : -1;
    if (count != *rows)
        kpy_fail(how->state, KITH_INVALID, "column '%s' has %zd rows, the columns before it %zd", name, count,
                 *rows);
    if (!status) {
        for (Py_ssize_t i = 0; i < count; ++i) cells.items[i] = Py_NewRef(PyList_GetItem(list, i));
        status = build_column(how, hint, name, &cells, field, out);
        kpy_cells_release(&cells);
    }
    Py_DECREF(list);
    return status;
}

static int columns_build(const struct kpy_inference *how, const struct ArrowSchema *schema, PyObject *columns,
                         struct target *target)
{
    PyObject *key, *value;
    Py_ssize_t place = 0, rows = -1;
    int64_t at = 0;
    if (target_init(target, 0, PyDict_Size(columns))) return -1;
    while (PyDict_Next(columns, &place, &key, &value)) {
        const char *name = PyUnicode_Check(key) ? PyUnicode_AsUTF8AndSize(key, NULL) : NULL;
        if (!name) {
            if (!PyErr_Occurred())
                kpy_fail(how->state, KITH_TYPE, "a column's name must be text, not %R", key);
            return -1;
        }
        const struct ArrowSchema *hint = schema ? kpy_schema_child(schema, name) : NULL;
        struct ArrowSchema *field = target->schema.children[at];
        struct ArrowArray *out = target->array.children[at++];
        int status = column_from_buffer(how, hint, name, value, field, out, &rows);
        if (status == 1) status = column_from_sequence(how, hint, name, value, field, out, &rows);
        if (status) return -1;
    }
    target->array.length = rows < 0 ? 0 : rows;
    return 0;
}

PyObject *kpy_columns_stream(PyObject *module, PyObject *args, PyObject *keywords)
{
    static char *names[] = { "columns", "schema", "loose", NULL };
    struct kpy_inference how = { .state = kpy_module_state(module) };
    PyObject *columns, *capsule = Py_None, *result = NULL;
    const struct ArrowSchema *schema = NULL;
    int loose = 0;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!|Op", names, &PyDict_Type, &columns, &capsule,
                                     &loose))
        return NULL;
    how.loose = loose;
    if (capsule != Py_None && !(schema = kpy_schema_borrow(how.state, capsule))) return NULL;
    struct target target = { 0 };
    if (!columns_build(&how, schema, columns, &target)) result = target_stream(&target);
    target_release(&target);
    return result;
}
