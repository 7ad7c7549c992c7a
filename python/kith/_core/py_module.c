/* The module kith._core: its state, its functions, and how failures become exceptions.
 *
 * Initialisation is multi-phase and all types live on the heap, in the module's state: nothing here is static
 * and mutable, so that the module may be loaded by several interpreters. `kith.errors` and `kith._values` are
 * imported when they are first needed; importing kith must cost next to nothing.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "py_private.h"

struct kpy_state *kpy_module_state(PyObject *module)
{
    return PyModule_GetState(module);
}

struct kpy_state *kpy_object_state(void *object)
{
    return PyType_GetModuleState(Py_TYPE((PyObject *)object));
}

static PyObject *imported(PyObject **slot, const char *name)
{
    if (!*slot) *slot = PyImport_ImportModule(name);
    return *slot;
}

PyObject *kpy_values(struct kpy_state *state)
{
    return imported(&state->values, "kith._values");
}

/* ---- failing ---- */

PyObject *kpy_raise(struct kpy_state *state, const kith_error *error)
{
    PyObject *errors = imported(&state->errors, "kith.errors");
    if (!errors) return NULL;
    PyObject *exception = PyObject_CallMethod(
        errors, "from_status", "iN", (int)error->status,
        PyUnicode_DecodeUTF8(error->message, (Py_ssize_t)strlen(error->message), "replace"));
    if (exception) PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_XDECREF(exception);
    return NULL;
}

PyObject *kpy_fail(struct kpy_state *state, kith_status status, const char *format, ...)
{
    kith_error error = { .status = status };
    va_list values;
    va_start(values, format);
    PyObject *text = PyUnicode_FromFormatV(format, values);
    va_end(values);
    if (!text) return NULL;
    const char *utf8 = PyUnicode_AsUTF8AndSize(text, NULL);
    if (utf8) {
        snprintf(error.message, sizeof error.message, "%s", utf8);
        kpy_raise(state, &error);
    }
    Py_DECREF(text);
    return NULL;
}

PyObject *kpy_raise_after(struct kpy_state *state, const kith_error *error)
{
    if (PyErr_Occurred()) return NULL;
    return kpy_raise(state, error);
}

void kpy_place(struct kpy_state *state, const char *column, Py_ssize_t row)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyObject *values = kpy_values(state);
    PyObject *placed = values ? PyObject_CallMethod(values, "placed", "Osn", value, column, row) : NULL;
    if (placed) PyErr_SetObject((PyObject *)Py_TYPE(placed), placed);
    Py_XDECREF(placed);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
}

/* ---- progress ---- */

static int told_to_stop(const kith_progress *progress, PyObject *callback)
{
    if (PyErr_CheckSignals()) return 1;
    if (!callback || callback == Py_None) return 0;
    PyObject *answer =
        PyObject_CallFunction(callback, "sKK", progress->stage ? progress->stage : "",
                              (unsigned long long)progress->done, (unsigned long long)progress->total);
    int stop = !answer || answer == Py_False;
    Py_XDECREF(answer);
    return stop;
}

int kpy_progress(const kith_progress *progress, void *user)
{
    struct kpy_progress *mine = user;
    PyEval_RestoreThread(mine->saved);
    int stop = PyErr_Occurred() || told_to_stop(progress, mine->callback);
    mine->saved = PyEval_SaveThread();
    return stop;
}

/* ---- small functions ---- */

static PyObject *core_version(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyUnicode_FromString(kith_version());
}

static PyObject *core_isa(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyUnicode_FromString(kith_isa());
}

static PyObject *core_metric(PyObject *module, PyObject *name)
{
    kith_metric metric;
    kith_error error = { 0 };
    const char *text = PyUnicode_AsUTF8AndSize(name, NULL);
    if (!text) {
        PyErr_Clear();
        return kpy_fail(kpy_module_state(module), KITH_TYPE,
                        "a metric is a text: l2, cosine, dot or hamming; not %R", name);
    }
    if (kith_metric_parse(text, &metric, &error)) return kpy_raise(kpy_module_state(module), &error);
    return PyLong_FromLong((long)metric);
}

static PyObject *core_metric_name(PyObject *module, PyObject *metric)
{
    (void)module;
    long value = PyLong_AsLong(metric);
    if (value == -1 && PyErr_Occurred()) return NULL;
    return PyUnicode_FromString(kith_metric_name((kith_metric)value));
}

static PyMethodDef functions[] = {
    { "version", core_version, METH_NOARGS, "The version of the C library." },
    { "isa", core_isa, METH_NOARGS, "The instruction set that the kernels use." },
    { "metric", core_metric, METH_O, "The number of a metric's name." },
    { "metric_name", core_metric_name, METH_O, "The name of a metric's number." },
    { "open", kpy_open, METH_O, "open(uri) -> Database" },
    { "rows_stream", (PyCFunction)(void (*)(void))kpy_rows_stream, METH_VARARGS | METH_KEYWORDS,
      "rows_stream(rows, schema=None, loose=False, part=False) -> arrow_array_stream capsule" },
    { "columns_stream", (PyCFunction)(void (*)(void))kpy_columns_stream, METH_VARARGS | METH_KEYWORDS,
      "columns_stream(columns, schema=None, loose=False) -> arrow_array_stream capsule" },
    { "array_stream", kpy_array_stream, METH_VARARGS, "array_stream(schema, array) -> stream capsule" },
    { "chain_stream", kpy_chain_stream, METH_O, "chain_stream(iterator of stream capsules) -> capsule" },
    { "empty_stream", kpy_empty_stream, METH_O, "empty_stream(schema capsule) -> stream capsule" },
    { "stream_schema", kpy_stream_schema, METH_O,
      "The schema capsule of a stream capsule, which stays whole." },
    { "stream_rows", kpy_stream_rows, METH_O, "Consumes a stream capsule into a list of dicts." },
    { "stream_columns", kpy_stream_columns, METH_O, "Consumes a stream capsule into columns." },
    { "schema_fields", kpy_schema_fields, METH_O, "A schema capsule as nested tuples." },
    { "schema_make", kpy_schema_make, METH_O, "Nested tuples as a schema capsule." },
    { "search_rows", (PyCFunction)(void (*)(void))kpy_search_rows, METH_FASTCALL,
      "search_rows(options, timeout_us=0): runs a search; a list of dicts." },
    { "search_stream", (PyCFunction)(void (*)(void))kpy_search_stream, METH_FASTCALL,
      "search_stream(options, timeout_us=0): runs a search; a stream capsule." },
    { "search_explain", kpy_search_explain, METH_O, "Says how a search would be answered." },
    { "search_analyze", kpy_search_analyze, METH_O, "Runs a search, and says how it was answered." },
    { "searcher", kpy_searcher_new, METH_VARARGS,
      "searcher(options, numpy.empty=None, dtype of ids=None, dtype of distances=None) -> Searcher" },
    { "sql", kpy_expr_sql, METH_VARARGS, "sql(text, params=None) -> Expr" },
    { "json", kpy_expr_json, METH_O, "json(text) -> Expr" },
    { "literal", kpy_expr_literal, METH_O, "literal(value) -> Expr" },
    { "column", kpy_expr_column, METH_O, "column(path) -> Expr" },
    { "call", kpy_expr_call, METH_VARARGS, "call(name, tuple of Expr) -> Expr" },
    { "floats", kpy_floats, METH_VARARGS, "floats(matrix, dim) -> a bytearray of float32, row by row" },
    { NULL, NULL, 0, NULL },
};

/* ---- life and death ---- */

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **out)
{
    *out = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *out ? PyModule_AddType(module, *out) : -1;
}

static int module_exec(PyObject *module)
{
    struct kpy_state *state = kpy_module_state(module);
    state->kinds = PyDict_New();
    if (!state->kinds) return -1;
    if (add_type(module, &kpy_database_spec, &state->database_type)) return -1;
    if (add_type(module, &kpy_table_spec, &state->table_type)) return -1;
    if (add_type(module, &kpy_options_spec, &state->options_type)) return -1;
    if (add_type(module, &kpy_searcher_spec, &state->searcher_type)) return -1;
    return add_type(module, &kpy_expr_spec, &state->expr_type);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct kpy_state *state = kpy_module_state(module);
    Py_VISIT(state->kinds);
    Py_VISIT(state->values);
    Py_VISIT(state->errors);
    Py_VISIT(state->database_type);
    Py_VISIT(state->table_type);
    Py_VISIT(state->options_type);
    Py_VISIT(state->searcher_type);
    Py_VISIT(state->expr_type);
    return 0;
}

static int module_clear(PyObject *module)
{
    struct kpy_state *state = kpy_module_state(module);
    Py_CLEAR(state->kinds);
    Py_CLEAR(state->values);
    Py_CLEAR(state->errors);
    Py_CLEAR(state->database_type);
    Py_CLEAR(state->table_type);
    Py_CLEAR(state->options_type);
    Py_CLEAR(state->searcher_type);
    Py_CLEAR(state->expr_type);
    return 0;
}

static void module_free(void *module)
{
    module_clear(module);
}

static PyModuleDef_Slot slots[] = {
    { Py_mod_exec, (void *)module_exec },
    { 0, NULL },
};

static PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "kith._core",
    .m_doc = "The C library as Python sees it. Private: use the package kith.",
    .m_size = sizeof(struct kpy_state),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&definition);
}
