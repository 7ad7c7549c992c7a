/* kith._core.Table: a kith_table as a Python object. Each method is one call of the library. */
#include <string.h>

#include "py_private.h"

PyObject *kpy_table_wrap(struct kpy_state *state, PyObject *database, kith_table *handle)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(state->table_type, Py_tp_alloc);
    struct kpy_table *self = (struct kpy_table *)allocate(state->table_type, 0);
    if (!self) {
        kith_table_close(handle);
        return NULL;
    }
    self->handle = handle;
    self->database = Py_NewRef(database);
    return (PyObject *)self;
}

static void table_dealloc(struct kpy_table *self)
{
    kith_table_close(self->handle);
    Py_XDECREF(self->database);
    kpy_object_free((PyObject *)self);
}

static PyObject *table_raise(struct kpy_table *self, const kith_error *error)
{
    return kpy_raise_after(kpy_object_state(self), error);
}

static PyObject *table_name(struct kpy_table *self, PyObject *unused)
{
    (void)unused;
    return PyUnicode_FromString(kith_table_name(self->handle));
}

/* ---- numbers ---- */

static PyObject *table_count(struct kpy_table *self, PyObject *args)
{
    PyObject *object = Py_None;
    struct kpy_where where;
    struct kpy_progress progress = { 0 };
    kith_scan options = KITH_INIT(kith_scan);
    long long timeout_us = 0;
    uint64_t rows = 0;
    kith_error error = { 0 };
    if (!PyArg_ParseTuple(args, "|OL", &object, &timeout_us) ||
        kpy_where(kpy_object_state(self), object, &where))
        return NULL;
    options.where = where.text;
    options.filter = where.filter;
    options.timeout_us = timeout_us;
    options.progress = kpy_progress;
    options.progress_user = &progress;
    progress.saved = PyEval_SaveThread();
    kith_status status = kith_table_count_scan(self->handle, &options, &rows, &error);
    PyEval_RestoreThread(progress.saved);
    return status ? table_raise(self, &error) : PyLong_FromUnsignedLongLong(rows);
}

static PyObject *table_stats(struct kpy_table *self, PyObject *unused)
{
    kith_table_info info = KITH_INIT(kith_table_info);
    kith_error error = { 0 };
    kith_status status;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS status = kith_table_stats(self->handle, &info, &error);
    Py_END_ALLOW_THREADS if (status) return table_raise(self, &error);
    return Py_BuildValue(
        "{sKsKsKsKsKsKsK}", "num_rows", (unsigned long long)info.rows, "version",
        (unsigned long long)info.version, "num_fragments", (unsigned long long)info.fragments, "num_files",
        (unsigned long long)info.files, "data_bytes", (unsigned long long)info.data_bytes, "index_bytes",
        (unsigned long long)info.index_bytes, "inline_bytes", (unsigned long long)info.inline_bytes);
}

static PyObject *table_verify(struct kpy_table *self, PyObject *unused)
{
    uint64_t files = 0;
    kith_error error = { 0 };
    kith_status status;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS status = kith_table_verify(self->handle, &files, &error);
    Py_END_ALLOW_THREADS return status ? table_raise(self, &error) : PyLong_FromUnsignedLongLong(files);
}

static PyObject *table_schema(struct kpy_table *self, PyObject *unused)
{
    struct ArrowSchema schema = { 0 };
    kith_error error = { 0 };
    kith_status status;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS status = kith_table_schema(self->handle, &schema, &error);
    Py_END_ALLOW_THREADS return status ? table_raise(self, &error) : kpy_schema_capsule(&schema);
}

/* ---- rows in ---- */

static PyObject *table_append(struct kpy_table *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = { "data",     "overwrite",       "bad_vectors", "fill_value",
                             "progress", "idempotency_key", NULL };
    kith_write options = KITH_INIT(kith_write);
    struct kpy_progress progress = { 0 };
    PyObject *capsule;
    int overwrite = 0, bad_vectors = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|pifOz", names, &capsule, &overwrite, &bad_vectors,
                                     &options.fill_value, &progress.callback, &options.idempotency_key))
        return NULL;
    options.mode = overwrite ? KITH_OVERWRITE : KITH_APPEND;
    options.bad_vectors = (kith_bad_vectors)bad_vectors;
    options.progress = kpy_progress;
    options.progress_user = &progress;

    struct ArrowArrayStream data;
    uint64_t version = 0;
    kith_error error = { 0 };
    if (kpy_stream_take(kpy_object_state(self), capsule, &data)) return NULL;
    progress.saved = PyEval_SaveThread();
    kith_status status = kith_append(self->handle, &data, &options, &version, &error);
    PyEval_RestoreThread(progress.saved);
    if (status) return table_raise(self, &error);
    // Ctrl-C in an index build that nobody asked for: the rows are stored, and the exception goes on its way.
    return PyErr_Occurred() ? NULL : PyLong_FromUnsignedLongLong(version);
}

/* ---- rows out ---- */

PyObject *kpy_table_stream(struct kpy_table *self, struct ArrowArrayStream *stream)
{
    return kpy_stream_own(stream, (PyObject *)self) ? NULL : kpy_stream_capsule(stream);
}

int kpy_order(struct kpy_state *state, PyObject *tuple, kith_order **out, size_t *count)
{
    Py_ssize_t size = tuple == Py_None ? 0 : PyTuple_Size(tuple);
    *out = NULL;
    *count = 0;
    if (size <= 0) return (int)size;
    kith_order *order = *out = kpy_calloc((size_t)size, sizeof *order);
    if (!order) return PyErr_NoMemory(), -1;
    for (Py_ssize_t i = 0; i < size; ++i) {
        PyObject *expression;
        int descending, nulls_first;
        if (!PyArg_ParseTuple(PyTuple_GetItem(tuple, i), "Opp", &expression, &descending, &nulls_first))
            return -1;
        order[i] = (kith_order){ .descending = descending, .nulls_first = nulls_first };
        order[i].expression = kpy_text(state, expression, "an expression to order by");
        if (!order[i].expression) return -1;
    }
    *count = (size_t)size;
    return 0;
}

void kpy_scan_release(struct kpy_scan *scan)
{
    kpy_free(scan->names);
    kpy_free(scan->expressions);
    kpy_free(scan->order);
}

int kpy_scan_init(struct kpy_state *state, PyObject *columns, PyObject *expressions, struct kpy_scan *scan)
{
    size_t count = 0;
    *scan = (struct kpy_scan){ .options = KITH_INIT(kith_scan) };
    if (kpy_texts(state, columns, false, &scan->names, &scan->options.column_count) ||
        kpy_texts(state, expressions, true, &scan->expressions, &count))
        return -1;
    if (scan->expressions && count != scan->options.column_count) {
        kpy_fail(state, KITH_INVALID, "%zu expressions are given for %zu columns", count,
                 scan->options.column_count);
        return -1;
    }
    scan->options.columns = scan->names;
    scan->options.expressions = scan->expressions;
    return 0;
}

static PyObject *table_scan(struct kpy_table *self, PyObject *args)
{
    struct kpy_state *state = kpy_object_state(self);
    struct kpy_scan scan;
    kith_scan *options = &scan.options;
    PyObject *columns, *limit, *where_object = Py_None, *expressions = Py_None, *order = Py_None,
                               *result = NULL;
    unsigned long long offset;
    long long timeout_us = 0;
    int with_row_id;
    struct kpy_progress progress = { 0 };
    struct kpy_where where;
    struct ArrowArrayStream stream;
    kith_error error = { 0 };

    if (!PyArg_ParseTuple(args, "OKOp|OOOL", &columns, &offset, &limit, &with_row_id, &where_object,
                          &expressions, &order, &timeout_us))
        return NULL;
    if (kpy_scan_init(state, columns, expressions, &scan)) goto out;
    options->offset = offset;
    options->with_row_id = with_row_id;
    if (limit != Py_None) options->limit = PyLong_AsUnsignedLongLong(limit);
    if (PyErr_Occurred() || kpy_where(state, where_object, &where) ||
        kpy_order(state, order, &scan.order, &options->order_count))
        goto out;
    options->none = limit != Py_None && !options->limit;
    options->where = where.text;
    options->filter = where.filter;
    options->order_by = scan.order;
    options->timeout_us = timeout_us;
    options->progress = kpy_progress;
    options->progress_user = &progress;
    progress.saved = PyEval_SaveThread();
    kith_status status = kith_table_scan(self->handle, options, &stream, &error);
    PyEval_RestoreThread(progress.saved);
    result = status ? table_raise(self, &error) : kpy_table_stream(self, &stream);
out:
    kpy_scan_release(&scan);
    return result;
}

int kpy_row_ids(PyObject *list, uint64_t **out, size_t *count)
{
    Py_ssize_t size = PyList_Size(list);
    *out = NULL;
    *count = size < 0 ? 0 : (size_t)size;
    if (size < 0) return -1;
    *out = kpy_calloc(*count, sizeof **out);
    if (!*out) return PyErr_NoMemory(), -1;
    for (Py_ssize_t i = 0; i < size; ++i) (*out)[i] = PyLong_AsUnsignedLongLong(PyList_GetItem(list, i));
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *table_take(struct kpy_table *self, PyObject *args)
{
    struct kpy_scan scan;
    PyObject *ids, *columns, *expressions = Py_None, *result = NULL;
    long long timeout_us = 0;
    int with_row_id;
    struct kpy_progress progress = { 0 };
    uint64_t *numbers = NULL;
    size_t count;
    struct ArrowArrayStream stream;
    kith_error error = { 0 };

    if (!PyArg_ParseTuple(args, "O!Op|OL", &PyList_Type, &ids, &columns, &with_row_id, &expressions,
                          &timeout_us))
        return NULL;
    if (kpy_scan_init(kpy_object_state(self), columns, expressions, &scan) ||
        kpy_row_ids(ids, &numbers, &count))
        goto out;
    scan.options.with_row_id = with_row_id;
    scan.options.timeout_us = timeout_us;
    scan.options.progress = kpy_progress;
    scan.options.progress_user = &progress;
    progress.saved = PyEval_SaveThread();
    kith_status status = kith_table_take(self->handle, numbers, count, &scan.options, &stream, &error);
    PyEval_RestoreThread(progress.saved);
    result = status ? table_raise(self, &error) : kpy_table_stream(self, &stream);
out:
    kpy_free(numbers);
    kpy_scan_release(&scan);
    return result;
}

/* ---- indexes ---- */

/* The vectors to calibrate on, as floats() gives them: `dim` numbers each. */
static int borrow_queries(struct kpy_table *self, const Py_buffer *view, unsigned int dim,
                          kith_index *options)
{
    size_t row_bytes = dim * sizeof(float);
    if (!view->buf) return 0;
    if (!row_bytes || !view->len || (size_t)view->len % row_bytes) {
        kpy_fail(kpy_object_state(self), KITH_INVALID, "%zd bytes are no vectors of %u numbers", view->len,
                 dim);
        return -1;
    }
    options->queries = view->buf;
    options->query_count = (size_t)view->len / row_bytes;
    return 0;
}

static PyObject *table_create_index(struct kpy_table *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = { "column",
                             "name",
                             "type",
                             "metric",
                             "num_partitions",
                             "num_sub_vectors",
                             "num_bits",
                             "max_iterations",
                             "sample_rate",
                             "seed",
                             "threads",
                             "keep",
                             "progress",
                             "queries",
                             "dim",
                             "max_memory",
                             "m",
                             "ef_construction",
                             NULL };
    kith_index options = KITH_INIT(kith_index);
    struct kpy_progress progress = { 0 };
    const char *type = NULL, *metric = NULL;
    int keep = 0;
    unsigned int dim = 0;
    unsigned long long seed = 0, max_memory = 0;
    Py_buffer queries = { 0 };
    kith_error error = { 0 };
    kith_status status = KITH_OK;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|zzzzIIIIIKIpOz*IKII", names, &options.column,
                                     &options.name, &type, &metric, &options.num_partitions,
                                     &options.num_sub_vectors, &options.num_bits, &options.max_iterations,
                                     &options.sample_rate, &seed, &options.threads, &keep, &progress.callback,
                                     &queries, &dim, &max_memory, &options.m, &options.ef_construction))
        return NULL;
    if (borrow_queries(self, &queries, dim, &options)) {
        PyBuffer_Release(&queries);
        return NULL;
    }
    options.keep = keep;
    options.seed = seed;
    options.max_memory = max_memory;
    if (type) status = kith_index_type_parse(type, &options.type, &error);
    if (!status && metric) status = kith_metric_parse(metric, &options.metric, &error);
    if (!status) {
        options.progress = kpy_progress;
        options.progress_user = &progress;
        progress.saved = PyEval_SaveThread();
        status = kith_create_index(self->handle, &options, &error);
        PyEval_RestoreThread(progress.saved);
    }
    if (queries.buf) PyBuffer_Release(&queries);
    if (status) return table_raise(self, &error);
    Py_RETURN_NONE;
}

static PyObject *table_drop_index(struct kpy_table *self, PyObject *name)
{
    const char *text = PyUnicode_AsUTF8AndSize(name, NULL);
    kith_error error = { 0 };
    kith_status status;
    if (!text) return NULL;
    Py_BEGIN_ALLOW_THREADS status = kith_drop_index(self->handle, text, &error);
    Py_END_ALLOW_THREADS if (status) return table_raise(self, &error);
    Py_RETURN_NONE;
}

static PyObject *index_dict(const kith_index_info *info)
{
    return Py_BuildValue(
        "{sssssssssssssIsIsIsKsKsKsLsIsI}", "name", info->name, "column", info->column, "type",
        kith_index_type_name(info->type), "metric", kith_metric_name(info->metric), "note",
        info->note ? info->note : "", "calibration", info->calibration ? info->calibration : "",
        "num_partitions", (unsigned int)info->num_partitions, "num_sub_vectors",
        (unsigned int)info->num_sub_vectors, "num_bits", (unsigned int)info->num_bits, "rows_indexed",
        (unsigned long long)info->rows_indexed, "rows_unindexed", (unsigned long long)info->rows_unindexed,
        "bytes", (unsigned long long)info->bytes, "created_us", (long long)info->created_us, "m",
        (unsigned int)info->m, "ef_construction", (unsigned int)info->ef_construction);
}

static PyObject *table_indexes(struct kpy_table *self, PyObject *unused)
{
    kith_indexes *indexes = NULL;
    kith_error error = { 0 };
    kith_status status;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS status = kith_list_indexes(self->handle, &indexes, &error);
    Py_END_ALLOW_THREADS if (status) return table_raise(self, &error);
    PyObject *list = PyList_New((Py_ssize_t)indexes->count);
    for (size_t i = 0; list && i < indexes->count; ++i) {
        PyObject *item = index_dict(&indexes->indexes[i]);
        if (!item || PyList_SetItem(list, (Py_ssize_t)i, item)) Py_CLEAR(list);
    }
    kith_indexes_free(indexes);
    return list;
}

static PyMethodDef methods[] = {
    { "name", (PyCFunction)(void (*)(void))table_name, METH_NOARGS, "Its name." },
    { "count", (PyCFunction)(void (*)(void))table_count, METH_VARARGS,
      "count(where=None): how many rows it has, or how many meet a str or Expr." },
    { "version", (PyCFunction)(void (*)(void))kpy_table_version, METH_NOARGS, "The version that is read." },
    { "versions", (PyCFunction)(void (*)(void))kpy_table_versions, METH_NOARGS,
      "[(version, time_us, rows, operation)]" },
    { "checkout", (PyCFunction)(void (*)(void))kpy_table_checkout, METH_O,
      "Pins a version, or with None follows the newest." },
    { "restore", (PyCFunction)(void (*)(void))kpy_table_restore, METH_O,
      "Makes a version, or with 0 the pinned one, the newest; its number." },
    { "tags", (PyCFunction)(void (*)(void))kpy_table_tags, METH_NOARGS, "{name: version}" },
    { "set_tag", (PyCFunction)(void (*)(void))kpy_table_set_tag, METH_VARARGS,
      "set_tag(name, version, 0: create, 1: update, 2: delete)" },
    { "optimize", (PyCFunction)(void (*)(void))kpy_table_optimize, METH_VARARGS | METH_KEYWORDS,
      "optimize(older_than_us, orphans, rewrite, progress=None) -> dict of what was done" },
    { "stats", (PyCFunction)(void (*)(void))table_stats, METH_NOARGS, "Sizes, as a dict." },
    { "verify", (PyCFunction)(void (*)(void))table_verify, METH_NOARGS, "Reads every byte; how many files." },
    { "schema", (PyCFunction)(void (*)(void))table_schema, METH_NOARGS, "A schema capsule." },
    { "append", (PyCFunction)(void (*)(void))table_append, METH_VARARGS | METH_KEYWORDS,
      "append(stream capsule, ...) -> version" },
    { "scan", (PyCFunction)(void (*)(void))table_scan, METH_VARARGS,
      "scan(columns or None, offset, limit or None, with_row_id, where=None, expressions=None, order=None) "
      "-> "
      "stream capsule" },
    { "take", (PyCFunction)(void (*)(void))table_take, METH_VARARGS,
      "take(list of row ids, columns or None, with_row_id, expressions=None) -> stream capsule" },
    { "delete", (PyCFunction)(void (*)(void))kpy_table_delete, METH_O, "delete(where) -> what was done" },
    { "delete_rows", (PyCFunction)(void (*)(void))kpy_table_delete_rows, METH_O,
      "delete_rows(list of row ids) -> what was done" },
    { "update", (PyCFunction)(void (*)(void))kpy_table_update, METH_VARARGS | METH_KEYWORDS,
      "update(where, tuple of (column, SQL), values=None) -> what was done" },
    { "merge", (PyCFunction)(void (*)(void))kpy_table_merge, METH_VARARGS | METH_KEYWORDS,
      "merge(stream capsule, on=None, ...) -> what was done" },
    { "get", (PyCFunction)(void (*)(void))kpy_table_get, METH_VARARGS,
      "get(capsule of keys, columns or None, with_row_id, expressions or None) -> stream capsule" },
    { "add_columns", (PyCFunction)(void (*)(void))kpy_table_add_columns, METH_O,
      "add_columns(tuple of (name or None, SQL or None, schema capsule or None)) -> version" },
    { "alter_columns", (PyCFunction)(void (*)(void))kpy_table_alter_columns, METH_O,
      "alter_columns(tuple of (name, new name or None, nullable: 1, -1 or 0, schema capsule or None)) -> "
      "version" },
    { "drop_columns", (PyCFunction)(void (*)(void))kpy_table_drop_columns, METH_O,
      "drop_columns(tuple of names) -> version" },
    { "create_index", (PyCFunction)(void (*)(void))table_create_index, METH_VARARGS | METH_KEYWORDS,
      "create_index(...)" },
    { "drop_index", (PyCFunction)(void (*)(void))table_drop_index, METH_O, "drop_index(name)" },
    { "indexes", (PyCFunction)(void (*)(void))table_indexes, METH_NOARGS, "A list of dicts." },
    { NULL, NULL, 0, NULL },
};

static PyType_Slot slots[] = {
    { Py_tp_dealloc, (void *)table_dealloc },
    { Py_tp_methods, methods },
    { Py_tp_doc, "A kith_table." },
    { 0, NULL },
};

PyType_Spec kpy_table_spec = {
    .name = "kith._core.Table",
    .basicsize = sizeof(struct kpy_table),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};
