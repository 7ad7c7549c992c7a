/* The methods of kith._core.Table that change rows, and get(), which finds them by key.
 *
 * Each is one call of the library, and gives what was done as a tuple: version, rows inserted, updated,
 * deleted, attempts. A filter comes as text or as a tree; the library takes trees here, so that text is read
 * first, with the interpreter held: that is quick and touches no file.
 */
#include "py_private.h"

/* ---- what goes in, what comes out */

/* A filter that outlives the call: the tree of an Expr, or one made of text. */
struct tree {
    PyObject *owner; /* a reference to the Expr */
    kith_expr *made;
    const kith_expr *expr; /* NULL: there is no filter */
};

static void tree_release(struct tree *tree)
{
    kith_expr_free(tree->made);
    Py_XDECREF(tree->owner);
}

static int tree_of(struct kpy_state *state, PyObject *where, struct tree *out)
{
    struct kpy_where read;
    kith_error error = { 0 };
    *out = (struct tree){ 0 };
    if (kpy_where(state, where, &read)) return -1;
    out->owner = Py_NewRef(where);
    if (read.text && kith_expr_sql(read.text, NULL, 0, &out->made, &error)) {
        kpy_raise(state, &error);
        tree_release(out);
        return -1;
    }
    out->expr = read.text ? out->made : read.filter;
    return 0;
}

/* What a change did. An exception that a progress callback or Ctrl-C left goes first: in an index build that
 * nobody asked for it stops that, and the rows are changed all the same. */
static PyObject *told(struct kpy_table *self, kith_status status, const kith_changed *changed,
                      const kith_error *error)
{
    if (status) return kpy_raise_after(kpy_object_state(self), error);
    if (PyErr_Occurred()) return NULL;
    return Py_BuildValue("(KKKKI)", (unsigned long long)changed->version,
                         (unsigned long long)changed->inserted, (unsigned long long)changed->updated,
                         (unsigned long long)changed->deleted, (unsigned int)changed->attempts);
}

/* ---- deleting */

PyObject *kpy_table_delete(struct kpy_table *self, PyObject *where)
{
    kith_changed changed = KITH_INIT(kith_changed);
    kith_error error = { 0 };
    kith_status status;
    struct tree filter;
    if (tree_of(kpy_object_state(self), where, &filter)) return NULL;
    Py_BEGIN_ALLOW_THREADS status = kith_delete(self->handle, filter.expr, &changed, &error);
    Py_END_ALLOW_THREADS tree_release(&filter);
    return told(self, status, &changed, &error);
}

PyObject *kpy_table_delete_rows(struct kpy_table *self, PyObject *list)
{
    kith_changed changed = KITH_INIT(kith_changed);
    kith_error error = { 0 };
    kith_status status;
    uint64_t *ids = NULL;
    size_t count;
    PyObject *result = NULL;
    if (!kpy_row_ids(list, &ids, &count)) {
        Py_BEGIN_ALLOW_THREADS status = kith_delete_rows(self->handle, ids, count, &changed, &error);
        Py_END_ALLOW_THREADS result = told(self, status, &changed, &error);
    }
    kpy_free(ids);
    return result;
}

/* ---- updating */

/* Of (column, SQL) each; the array is freed with kpy_free(), on failure too. */
static int read_assignments(struct kpy_state *state, PyObject *tuple, kith_assignment **out, size_t *count)
{
    Py_ssize_t size = PyTuple_Size(tuple);
    *out = NULL;
    *count = 0;
    if (size <= 0) return (int)size;
    kith_assignment *set = *out = kpy_calloc((size_t)size, sizeof *set);
    if (!set) return PyErr_NoMemory(), -1;
    for (Py_ssize_t i = 0; i < size; ++i) {
        PyObject *column, *expression;
        if (!PyArg_ParseTuple(PyTuple_GetItem(tuple, i), "OO", &column, &expression)) return -1;
        set[i].column = kpy_text(state, column, "the name of a column");
        set[i].expression = set[i].column ? kpy_text(state, expression, "an expression to set") : NULL;
        if (!set[i].expression) return -1;
    }
    *count = (size_t)size;
    return 0;
}

PyObject *kpy_table_update(struct kpy_table *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = { "where", "assignments", "values", "progress", NULL };
    struct kpy_state *state = kpy_object_state(self);
    kith_update options = KITH_INIT(kith_update);
    kith_changed changed = KITH_INIT(kith_changed);
    struct kpy_progress progress = { 0 };
    struct ArrowArrayStream stream;
    struct tree filter = { 0 };
    PyObject *where, *assignments, *values = Py_None, *result = NULL;
    kith_assignment *set = NULL;
    kith_error error = { 0 };

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO!|OO", names, &where, &PyTuple_Type, &assignments,
                                     &values, &progress.callback))
        return NULL;
    if (read_assignments(state, assignments, &set, &options.assignment_count)) goto out;
    if (tree_of(state, where, &filter)) goto out;
    if (values != Py_None) {
        if (kpy_stream_take(state, values, &stream)) goto out;
        options.values = &stream;
    }
    options.filter = filter.expr;
    options.assignments = set;
    options.write.progress = kpy_progress;
    options.write.progress_user = &progress;
    progress.saved = PyEval_SaveThread();
    kith_status status = kith_update_rows(self->handle, &options, &changed, &error);
    PyEval_RestoreThread(progress.saved);
    result = told(self, status, &changed, &error);
out:
    tree_release(&filter);
    kpy_free(set);
    return result;
}

/* ---- merging */

PyObject *kpy_table_merge(struct kpy_table *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = { "data",         "on",         "update_matched",
                             "update_where", "insert_new", "delete_missing",
                             "delete_where", "keep_last",  "bad_vectors",
                             "fill_value",   "progress",   NULL };
    struct kpy_state *state = kpy_object_state(self);
    kith_merge options = KITH_INIT(kith_merge);
    kith_changed changed = KITH_INIT(kith_changed);
    struct kpy_progress progress = { 0 };
    struct ArrowArrayStream data;
    PyObject *capsule, *on = Py_None, *result = NULL;
    const char **columns = NULL;
    int update = 0, insert = 0, missing = 0, last = 0, bad_vectors = 0;
    kith_error error = { 0 };

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|OpzppzpifO", names, &capsule, &on, &update,
                                     &options.update_where, &insert, &missing, &options.delete_where, &last,
                                     &bad_vectors, &options.write.fill_value, &progress.callback))
        return NULL;
    options.update_matched = update;
    options.insert_new = insert;
    options.delete_missing = missing;
    options.keep_last = last;
    options.write.bad_vectors = (kith_bad_vectors)bad_vectors;
    options.write.progress = kpy_progress;
    options.write.progress_user = &progress;
    if (!kpy_texts(state, on, false, &columns, &options.on_count) &&
        !kpy_stream_take(state, capsule, &data)) {
        options.on = columns;
        progress.saved = PyEval_SaveThread();
        kith_status status = kith_merge_rows(self->handle, &data, &options, &changed, &error);
        PyEval_RestoreThread(progress.saved);
        result = told(self, status, &changed, &error);
    }
    kpy_free(columns);
    return result;
}

/* ---- by key */

PyObject *kpy_table_get(struct kpy_table *self, PyObject *args)
{
    struct kpy_state *state = kpy_object_state(self);
    struct kpy_scan scan;
    struct ArrowArrayStream keys, stream;
    PyObject *capsule, *columns, *expressions, *result = NULL;
    int with_row_id;
    long long timeout_us = 0;
    struct kpy_progress progress = { 0 };
    kith_error error = { 0 };

    if (!PyArg_ParseTuple(args, "OOpO|L", &capsule, &columns, &with_row_id, &expressions, &timeout_us))
        return NULL;
    if (!kpy_scan_init(state, columns, expressions, &scan) && !kpy_stream_take(state, capsule, &keys)) {
        scan.options.with_row_id = with_row_id;
        scan.options.timeout_us = timeout_us;
        scan.options.progress = kpy_progress;
        scan.options.progress_user = &progress;
        progress.saved = PyEval_SaveThread();
        kith_status status = kith_get(self->handle, &keys, &scan.options, &stream, &error);
        PyEval_RestoreThread(progress.saved);
        result = status ? kpy_raise_after(state, &error) : kpy_table_stream(self, &stream);
    }
    kpy_scan_release(&scan);
    return result;
}
