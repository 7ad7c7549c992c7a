/* kith._core.Expr: a kith_expr as a Python object, and Python values as values of a filter.
 *
 * Values are handed over as values, whatever they look like: nothing here writes SQL. Numbers, texts and
 * bytes are read in place; what Python code must look at (dates, decimals, numpy's and pandas' scalars,
 * arrays) goes through kith._values.bound(), which answers with a plain object or with a type of the library
 * and its number.
 *
 * That code may change the lists it comes from. So a list is read from a tuple made of it, and every object
 * whose bytes are lent to the library is kept until the call is over.
 */
#include <string.h>

#include "py_private.h"

/* ---- values ---- */

/* Values for one call, and what they borrow from. */
struct values {
    struct kpy_state *state;
    kith_value *items;
    size_t count;
    PyObject *kept; // list
};

static void values_release(struct values *values)
{
    for (size_t i = 0; values->items && i < values->count; ++i) {
        if (values->items[i].type == KITH_VALUE_LIST) kpy_free((void *)(uintptr_t)values->items[i].items);
    }
    kpy_free(values->items);
    Py_XDECREF(values->kept);
    *values = (struct values){ 0 };
}

static int values_init(struct kpy_state *state, size_t count, struct values *out)
{
    *out = (struct values){ .state = state, .count = count };
    out->items = kpy_calloc(count, sizeof *out->items);
    out->kept = PyList_New(0);
    if (out->items && out->kept) return 0;
    if (!out->items) PyErr_NoMemory();
    values_release(out);
    return -1;
}

/* Keeps a new reference that is handed over; NULL passes through. The result is borrowed. */
static PyObject *keep(struct values *values, PyObject *object)
{
    if (!object) return NULL;
    int status = PyList_Append(values->kept, object);
    Py_DECREF(object);
    return status ? NULL : object;
}

static int take_integer(struct values *values, PyObject *object, kith_value *out)
{
    int overflow;
    out->type = KITH_VALUE_INT;
    out->integer = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow > 0) {
        out->type = KITH_VALUE_UINT;
        out->natural = PyLong_AsUnsignedLongLong(object);
        if (PyErr_Occurred()) {
            PyErr_Clear();
            overflow = -1;
        }
    }
    if (overflow < 0) {
        kpy_fail(values->state, KITH_INVALID,
                 "%S is beyond 64 bits: a whole number in a filter is from -2**63 to 2**64 - 1", object);
        return -1;
    }
    return PyErr_Occurred() ? -1 : 0;
}

static int take_bytes(PyObject *object, kith_value *out)
{
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(object, &bytes, &size)) return -1;
    *out = (kith_value){ .type = KITH_VALUE_BYTES, .text = bytes, .size = (size_t)size };
    return 0;
}

static int take_text(PyObject *object, kith_value *out)
{
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(object, &size);
    if (!text) return -1;
    *out = (kith_value){ .type = KITH_VALUE_TEXT, .text = text, .size = (size_t)size };
    return 0;
}

/* What bound() said in a tuple: a type of the library, and its number or text. */
static int take_tagged(PyObject *tuple, kith_value *out)
{
    int type;
    PyObject *value;
    if (!PyArg_ParseTuple(tuple, "iO", &type, &value)) return -1;
    if (type == KITH_VALUE_DECIMAL) {
        if (take_text(value, out)) return -1;
    } else {
        out->integer = PyLong_AsLongLong(value);
    }
    out->type = (kith_value_type)type;
    return PyErr_Occurred() ? -1 : 0;
}

static int take(struct values *values, PyObject *object, bool in_list, kith_value *out);

static int take_list(struct values *values, PyObject *list, bool in_list, kith_value *out)
{
    if (in_list) {
        kpy_fail(values->state, KITH_INVALID, "a list of a filter must not hold lists, as %R is one", list);
        return -1;
    }
    PyObject *items = keep(values, PySequence_Tuple(list));
    if (!items) return -1;
    size_t count = (size_t)PyTuple_Size(items);
    kith_value *made = kpy_calloc(count, sizeof *made);
    if (!made) return PyErr_NoMemory(), -1;
    *out = (kith_value){ .type = KITH_VALUE_LIST, .items = made, .size = count };
    for (size_t i = 0; i < count; ++i) {
        if (take(values, PyTuple_GetItem(items, (Py_ssize_t)i), true, &made[i])) return -1;
    }
    return 0;
}

static bool is_list(PyObject *object)
{
    return PyList_Check(object) || PyTuple_Check(object);
}

/* Into a zeroed value. 0; -1 with an exception; 1 where Python code has to look at the object. */
static int take_plain(struct values *values, PyObject *object, bool in_list, kith_value *out)
{
    if (object == Py_None) return 0;
    if (PyUnicode_Check(object)) return take_text(object, out);
    if (PyBool_Check(object)) {
        *out = (kith_value){ .type = KITH_VALUE_BOOL, .integer = object == Py_True };
        return 0;
    }
    if (PyLong_Check(object)) return take_integer(values, object, out);
    if (PyFloat_Check(object)) {
        *out = (kith_value){ .type = KITH_VALUE_FLOAT, .number = PyFloat_AsDouble(object) };
        return 0;
    }
    if (PyBytes_Check(object)) return take_bytes(object, out);
    return is_list(object) ? take_list(values, object, in_list, out) : 1;
}

static int take(struct values *values, PyObject *object, bool in_list, kith_value *out)
{
    int status = take_plain(values, object, in_list, out);
    if (status <= 0) return status;
    PyObject *module = kpy_values(values->state);
    PyObject *made = module ? keep(values, PyObject_CallMethod(module, "bound", "O", object)) : NULL;
    if (!made) return -1;
    if (PyTuple_Check(made)) return take_tagged(made, out);
    status = take_plain(values, made, in_list, out);
    if (status > 0) kpy_fail(values->state, KITH_TYPE, "%R is no value of a filter", object);
    return status ? -1 : 0;
}

/* ---- parameters ---- */

static int take_places(struct kpy_state *state, PyObject *given, struct values *out)
{
    PyObject *items = PySequence_Tuple(given);
    if (!items || values_init(state, (size_t)PyTuple_Size(items), out)) {
        Py_XDECREF(items);
        return -1;
    }
    if (!keep(out, items)) return -1;
    for (size_t i = 0; i < out->count; ++i) {
        if (take(out, PyTuple_GetItem(items, (Py_ssize_t)i), false, &out->items[i])) return -1;
    }
    return 0;
}

static int take_names(struct kpy_state *state, PyObject *given, struct values *out)
{
    PyObject *pairs = PyMapping_Items(given); // a new list, which nobody else has
    if (!pairs || values_init(state, (size_t)PyList_Size(pairs), out)) {
        Py_XDECREF(pairs);
        return -1;
    }
    if (!keep(out, pairs)) return -1;
    for (size_t i = 0; i < out->count; ++i) {
        PyObject *name, *value;
        if (!PyArg_ParseTuple(PyList_GetItem(pairs, (Py_ssize_t)i), "OO", &name, &value)) return -1;
        const char *text = kpy_text(state, name, "the name of a parameter");
        if (!text || take(out, value, false, &out->items[i])) return -1;
        out->items[i].name = text;
    }
    return 0;
}

static int take_parameters(struct kpy_state *state, PyObject *given, struct values *out)
{
    *out = (struct values){ 0 };
    if (given == Py_None) return 0;
    if (PyObject_HasAttrString(given, "keys")) return take_names(state, given, out);
    if (PySequence_Check(given) && !PyUnicode_Check(given) && !PyBytes_Check(given))
        return take_places(state, given, out);
    kpy_fail(state, KITH_INVALID, "params is a list of values, one for each ?, or a dict, for :name; not %R",
             given);
    return -1;
}

/* ---- the object ---- */

struct kpy_expr {
    PyObject_HEAD kith_expr *handle;
};

int kpy_where(struct kpy_state *state, PyObject *where, struct kpy_where *out)
{
    *out = (struct kpy_where){ 0 };
    if (where == Py_None) return 0;
    if (Py_TYPE(where) == state->expr_type) {
        out->filter = ((struct kpy_expr *)where)->handle;
        return 0;
    }
    out->text = kpy_text(state, where, "a filter");
    return out->text ? 0 : -1;
}

static PyObject *wrap(struct kpy_state *state, kith_expr *handle)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(state->expr_type, Py_tp_alloc);
    struct kpy_expr *self = (struct kpy_expr *)allocate(state->expr_type, 0);
    if (self)
        self->handle = handle;
    else
        kith_expr_free(handle);
    return (PyObject *)self;
}

static void expr_dealloc(struct kpy_expr *self)
{
    kith_expr_free(self->handle);
    kpy_object_free((PyObject *)self);
}

static PyObject *expr_to_sql(struct kpy_expr *self, PyObject *unused)
{
    char *text = NULL;
    kith_error error = { 0 };
    (void)unused;
    if (kith_expr_to_sql(self->handle, &text, &error)) return kpy_raise(kpy_object_state(self), &error);
    PyObject *result = PyUnicode_FromString(text);
    kith_text_free(text);
    return result;
}

static PyMethodDef methods[] = {
    { "to_sql", (PyCFunction)(void (*)(void))expr_to_sql, METH_NOARGS, "The expression as SQL." },
    { NULL, NULL, 0, NULL },
};

static PyType_Slot slots[] = {
    { Py_tp_dealloc, (void *)expr_dealloc },
    { Py_tp_methods, methods },
    { Py_tp_doc, "A kith_expr." },
    { 0, NULL },
};

PyType_Spec kpy_expr_spec = {
    .name = "kith._core.Expr",
    .basicsize = sizeof(struct kpy_expr),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

/* ---- making them ---- */

static PyObject *made(struct kpy_state *state, kith_status status, kith_expr *handle, const kith_error *error)
{
    return status ? kpy_raise(state, error) : wrap(state, handle);
}

PyObject *kpy_expr_sql(PyObject *module, PyObject *args)
{
    struct kpy_state *state = kpy_module_state(module);
    PyObject *object, *parameters = Py_None, *result = NULL;
    struct values values;
    kith_expr *handle = NULL;
    kith_error error = { 0 };
    if (!PyArg_ParseTuple(args, "O|O", &object, &parameters)) return NULL;
    const char *text = kpy_text(state, object, "the text of a filter");
    if (text && !take_parameters(state, parameters, &values)) {
        kith_status status = kith_expr_sql(text, values.items, values.count, &handle, &error);
        result = made(state, status, handle, &error);
    }
    if (text) values_release(&values);
    return result;
}

PyObject *kpy_expr_json(PyObject *module, PyObject *object)
{
    struct kpy_state *state = kpy_module_state(module);
    kith_expr *handle = NULL;
    kith_error error = { 0 };
    const char *text = kpy_text(state, object, "the text of a filter");
    if (!text) return NULL;
    kith_status status = kith_expr_json(text, &handle, &error);
    return made(state, status, handle, &error);
}

PyObject *kpy_expr_literal(PyObject *module, PyObject *object)
{
    struct kpy_state *state = kpy_module_state(module);
    struct values values;
    PyObject *result = NULL;
    kith_expr *handle = NULL;
    kith_error error = { 0 };
    if (values_init(state, 1, &values)) return NULL;
    if (!take(&values, object, false, values.items)) {
        kith_status status = kith_expr_literal(values.items, &handle, &error);
        result = made(state, status, handle, &error);
    }
    values_release(&values);
    return result;
}

PyObject *kpy_expr_column(PyObject *module, PyObject *object)
{
    struct kpy_state *state = kpy_module_state(module);
    kith_expr *handle = NULL;
    kith_error error = { 0 };
    const char *path = kpy_text(state, object, "the name of a column");
    if (!path) return NULL;
    kith_status status = kith_expr_column(path, &handle, &error);
    return made(state, status, handle, &error);
}

PyObject *kpy_expr_call(PyObject *module, PyObject *args)
{
    struct kpy_state *state = kpy_module_state(module);
    PyObject *name, *arguments, *result = NULL;
    kith_expr *handle = NULL;
    kith_error error = { 0 };
    if (!PyArg_ParseTuple(args, "OO!", &name, &PyTuple_Type, &arguments)) return NULL;
    const char *text = kpy_text(state, name, "the name of a function");
    size_t count = (size_t)PyTuple_Size(arguments);
    kith_expr **handles = text ? kpy_calloc(count, sizeof *handles) : NULL;
    if (!handles) return text ? PyErr_NoMemory() : NULL;
    for (size_t i = 0; i < count; ++i) {
        PyObject *argument = PyTuple_GetItem(arguments, (Py_ssize_t)i);
        if (Py_TYPE(argument) != state->expr_type) {
            PyErr_SetString(PyExc_TypeError, "a kith._core.Expr is wanted");
            goto out;
        }
        handles[i] = ((struct kpy_expr *)argument)->handle;
    }
    kith_status status = kith_expr_call(text, handles, count, &handle, &error);
    result = made(state, status, handle, &error);
out:
    kpy_free(handles);
    return result;
}
