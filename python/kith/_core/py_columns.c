/* The methods of kith._core.Table that change its columns. Each takes a tuple of what is wanted and gives the
 * version that has it.
 */
#include "py_private.h"

static PyObject *told(struct kpy_table *self, kith_status status, const kith_changed *changed,
                      const kith_error *error)
{
    if (status) return kpy_raise_after(kpy_object_state(self), error);
    return PyLong_FromUnsignedLongLong(changed->version);
}

/* The text of a str, NULL for None; -1 with an exception for anything else. */
static int text_or_none(struct kpy_state *state, PyObject *text, const char *what, const char **out)
{
    *out = text == Py_None ? NULL : kpy_text(state, text, what);
    return *out || text == Py_None ? 0 : -1;
}

static int type_or_none(struct kpy_state *state, PyObject *capsule, const struct ArrowSchema **out)
{
    *out = capsule == Py_None ? NULL : kpy_schema_borrow(state, capsule);
    return *out || capsule == Py_None ? 0 : -1;
}

/* Room for what a tuple lists; NULL with an exception. */
static void *room_for(PyObject *tuple, size_t bytes, size_t *count)
{
    Py_ssize_t size = PyTuple_Size(tuple);
    if (size < 0) return NULL;
    *count = (size_t)size;
    void *room = kpy_calloc(*count, bytes);
    if (!room) PyErr_NoMemory();
    return room;
}

PyObject *kpy_table_add_columns(struct kpy_table *self, PyObject *tuple)
{
    struct kpy_state *state = kpy_object_state(self);
    kith_changed changed = KITH_INIT(kith_changed);
    PyObject *name, *expression, *type, *result = NULL;
    kith_error error = { 0 };
    kith_status status;
    size_t count = 0;
    kith_new_column *columns = room_for(tuple, sizeof *columns, &count);
    if (!columns) return NULL;
    for (size_t i = 0; i < count; ++i) {
        if (!PyArg_ParseTuple(PyTuple_GetItem(tuple, (Py_ssize_t)i), "OOO", &name, &expression, &type) ||
            text_or_none(state, name, "the name of a column", &columns[i].name) ||
            text_or_none(state, expression, "an expression", &columns[i].expression) ||
            type_or_none(state, type, &columns[i].field))
            goto out;
    }
    Py_BEGIN_ALLOW_THREADS status = kith_add_columns(self->handle, columns, count, &changed, &error);
    Py_END_ALLOW_THREADS result = told(self, status, &changed, &error);
out:
    kpy_free(columns);
    return result;
}

PyObject *kpy_table_alter_columns(struct kpy_table *self, PyObject *tuple)
{
    struct kpy_state *state = kpy_object_state(self);
    kith_changed changed = KITH_INIT(kith_changed);
    PyObject *name, *rename, *type, *result = NULL;
    kith_error error = { 0 };
    kith_status status;
    size_t count = 0;
    kith_altered_column *columns = room_for(tuple, sizeof *columns, &count);
    if (!columns) return NULL;
    for (size_t i = 0; i < count; ++i) {
        if (!PyArg_ParseTuple(PyTuple_GetItem(tuple, (Py_ssize_t)i), "OOiO", &name, &rename,
                              &columns[i].nullable, &type) ||
            text_or_none(state, name, "the path of a column", &columns[i].name) ||
            text_or_none(state, rename, "the new name of a column", &columns[i].rename) ||
            type_or_none(state, type, &columns[i].type))
            goto out;
    }
    Py_BEGIN_ALLOW_THREADS status = kith_alter_columns(self->handle, columns, count, &changed, &error);
    Py_END_ALLOW_THREADS result = told(self, status, &changed, &error);
out:
    kpy_free(columns);
    return result;
}

PyObject *kpy_table_drop_columns(struct kpy_table *self, PyObject *tuple)
{
    kith_changed changed = KITH_INIT(kith_changed);
    const char **names = NULL;
    size_t count = 0;
    PyObject *result = NULL;
    kith_error error = { 0 };
    kith_status status;
    if (!kpy_texts(kpy_object_state(self), tuple, false, &names, &count)) {
        Py_BEGIN_ALLOW_THREADS status = kith_drop_columns(self->handle, names, count, &changed, &error);
        Py_END_ALLOW_THREADS result = told(self, status, &changed, &error);
    }
    kpy_free(names);
    return result;
}
