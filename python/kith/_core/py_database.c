/* kith._core.Database: a kith_database as a Python object.
 *
 * A table holds a reference to its database, so that it is closed first, whatever order Python drops them in.
 * The interpreter is given up around every call that may touch a file.
 */
#include <string.h>

#include "py_private.h"

const char *kpy_text_or_null(PyObject *text)
{
    return !text || text == Py_None ? NULL : PyUnicode_AsUTF8AndSize(text, NULL);
}

const char *kpy_text(struct kpy_state *state, PyObject *text, const char *what)
{
    Py_ssize_t size;
    if (!PyUnicode_Check(text)) {
        kpy_fail(state, KITH_TYPE, "%s is a str, not %R", what, text);
        return NULL;
    }
    const char *utf8 = PyUnicode_AsUTF8AndSize(text, &size);
    if (utf8 && memchr(utf8, 0, (size_t)size)) {
        kpy_fail(state, KITH_INVALID, "%s has a zero character in it: %R", what, text);
        return NULL;
    }
    return utf8;
}

int kpy_texts(struct kpy_state *state, PyObject *tuple, bool gaps, const char ***out, size_t *count)
{
    *out = NULL;
    *count = 0;
    if (tuple == Py_None) return 0;
    Py_ssize_t size = PyTuple_Size(tuple);
    if (size < 0) return -1;
    *out = kpy_calloc((size_t)size, sizeof **out);
    if (!*out) return PyErr_NoMemory(), -1;
    for (Py_ssize_t i = 0; i < size; ++i) {
        PyObject *text = PyTuple_GetItem(tuple, i);
        if (gaps && text == Py_None) continue;
        (*out)[i] = kpy_text(state, text, "a name or an expression");
        if (!(*out)[i]) return -1;
    }
    *count = (size_t)size;
    return 0;
}

PyObject *kpy_open(PyObject *module, PyObject *uri)
{
    struct kpy_state *state = kpy_module_state(module);
    const char *text = PyUnicode_AsUTF8AndSize(uri, NULL);
    kith_database *handle = NULL;
    kith_error error = { 0 };
    kith_status status;
    if (!text) return NULL;
    Py_BEGIN_ALLOW_THREADS status = kith_open(text, &handle, &error);
    Py_END_ALLOW_THREADS if (status) return kpy_raise(state, &error);
    allocfunc allocate = (allocfunc)PyType_GetSlot(state->database_type, Py_tp_alloc);
    struct kpy_database *self = (struct kpy_database *)allocate(state->database_type, 0);
    if (self)
        self->handle = handle;
    else
        kith_close(handle);
    return (PyObject *)self;
}

static void database_dealloc(struct kpy_database *self)
{
    kith_close(self->handle);
    kpy_object_free((PyObject *)self);
}

static PyObject *database_uri(struct kpy_database *self, PyObject *unused)
{
    (void)unused;
    return PyUnicode_FromString(kith_uri(self->handle));
}

static PyObject *names_list(const kith_names *names)
{
    PyObject *list = PyList_New((Py_ssize_t)names->count);
    for (size_t i = 0; list && i < names->count; ++i) {
        PyObject *name = PyUnicode_FromString(names->names[i]);
        if (!name || PyList_SetItem(list, (Py_ssize_t)i, name)) Py_CLEAR(list);
    }
    return list;
}

static PyObject *database_list(struct kpy_database *self, PyObject *args)
{
    const char *after;
    Py_ssize_t limit;
    kith_names *names = NULL;
    kith_error error = { 0 };
    kith_status status;
    if (!PyArg_ParseTuple(args, "zn", &after, &limit)) return NULL;
    Py_BEGIN_ALLOW_THREADS status = kith_list_tables(self->handle, after, (size_t)limit, &names, &error);
    Py_END_ALLOW_THREADS if (status) return kpy_raise(kpy_object_state(self), &error);
    PyObject *list = names_list(names);
    kith_names_free(names);
    return list;
}

static PyObject *database_drop(struct kpy_database *self, PyObject *name)
{
    const char *text = PyUnicode_AsUTF8AndSize(name, NULL);
    kith_error error = { 0 };
    kith_status status;
    if (!text) return NULL;
    Py_BEGIN_ALLOW_THREADS status = kith_drop_table(self->handle, text, &error);
    Py_END_ALLOW_THREADS if (status) return kpy_raise(kpy_object_state(self), &error);
    Py_RETURN_NONE;
}

static PyObject *database_rename(struct kpy_database *self, PyObject *args)
{
    const char *from, *to;
    kith_error error = { 0 };
    kith_status status;
    if (!PyArg_ParseTuple(args, "ss", &from, &to)) return NULL;
    Py_BEGIN_ALLOW_THREADS status = kith_rename_table(self->handle, from, to, &error);
    Py_END_ALLOW_THREADS if (status) return kpy_raise(kpy_object_state(self), &error);
    Py_RETURN_NONE;
}

static PyObject *database_open_table(struct kpy_database *self, PyObject *args)
{
    struct kpy_state *state = kpy_object_state(self);
    const char *text;
    unsigned long long version = 0;
    kith_table *table = NULL;
    kith_error error = { 0 };
    kith_status status;
    if (!PyArg_ParseTuple(args, "s|K", &text, &version)) return NULL;
    Py_BEGIN_ALLOW_THREADS status = version
                                        ? kith_open_table_version(self->handle, text, version, &table, &error)
                                        : kith_open_table(self->handle, text, &table, &error);
    Py_END_ALLOW_THREADS if (status) return kpy_raise(state, &error);
    return kpy_table_wrap(state, (PyObject *)self, table);
}

static PyObject *database_create_table(struct kpy_database *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = { "name",       "data",   "exist_ok",      "overwrite",  "bad_vectors",
                             "fill_value", "metric", "key",           "auto_index", "threshold",
                             "progress",   "schema", "keep_versions", NULL };
    struct kpy_state *state = kpy_object_state(self);
    kith_create options = KITH_INIT(kith_create);
    struct kpy_progress progress = { 0 };
    const char *name;
    PyObject *capsule, *schema = NULL;
    int exist_ok = 0, overwrite = 0, bad_vectors = 0, auto_index = 1;
    long long threshold = 0;
    float fill_value = 0;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "sO|ppifzzpLOOI", names, &name, &capsule, &exist_ok,
                                     &overwrite, &bad_vectors, &fill_value, &options.metric, &options.key,
                                     &auto_index, &threshold, &progress.callback, &schema,
                                     &options.keep_versions))
        return NULL;
    if (schema && schema != Py_None) {
        options.schema = PyCapsule_GetPointer(schema, "arrow_schema");
        if (!options.schema) return NULL;
    }
    options.exist_ok = exist_ok;
    options.overwrite = overwrite;
    options.no_auto_index = !auto_index;
    options.auto_index_threshold = threshold;
    options.write.struct_size = sizeof options.write;
    options.write.bad_vectors = (kith_bad_vectors)bad_vectors;
    options.write.fill_value = fill_value;
    options.write.progress = kpy_progress;
    options.write.progress_user = &progress;

    struct ArrowArrayStream data;
    kith_table *table = NULL;
    kith_error error = { 0 };
    if (kpy_stream_take(state, capsule, &data)) return NULL;
    progress.saved = PyEval_SaveThread();
    kith_status status = kith_create_table(self->handle, name, &data, &options, &table, &error);
    PyEval_RestoreThread(progress.saved);
    if (status) return kpy_raise_after(state, &error);
    PyObject *made = kpy_table_wrap(state, (PyObject *)self, table);
    if (PyErr_Occurred())
        Py_CLEAR(made); // Ctrl-C in an index build that nobody asked for: the table is there
    return made;
}

static PyMethodDef methods[] = {
    { "uri", (PyCFunction)(void (*)(void))database_uri, METH_NOARGS, "Where it is, as resolved." },
    { "list", (PyCFunction)(void (*)(void))database_list, METH_VARARGS, "list(after, limit) -> names" },
    { "drop", (PyCFunction)(void (*)(void))database_drop, METH_O, "drop(name)" },
    { "rename", (PyCFunction)(void (*)(void))database_rename, METH_VARARGS, "rename(old, new)" },
    { "open_table", (PyCFunction)(void (*)(void))database_open_table, METH_VARARGS,
      "open_table(name, version=newest) -> Table" },
    { "create_table", (PyCFunction)(void (*)(void))database_create_table, METH_VARARGS | METH_KEYWORDS,
      "create_table(name, stream capsule, ...) -> Table" },
    { NULL, NULL, 0, NULL },
};

static PyType_Slot slots[] = {
    { Py_tp_dealloc, (void *)database_dealloc },
    { Py_tp_methods, methods },
    { Py_tp_doc, "A kith_database." },
    { 0, NULL },
};

PyType_Spec kpy_database_spec = {
    .name = "kith._core.Database",
    .basicsize = sizeof(struct kpy_database),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};
