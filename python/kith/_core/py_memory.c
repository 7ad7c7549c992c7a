/* The extension's memory. What an Arrow array or stream owns is given back by whoever holds it last, from any
 * thread and without the interpreter, so it is C's own; the limited API of CPython 3.11 has no such
 * allocator. malloc is called in this file only.
 */
#include <stdlib.h>

#include "py_private.h"

void *kpy_malloc(size_t bytes)
{
    return malloc(bytes ? bytes : 1);
}

void *kpy_calloc(size_t count, size_t bytes)
{
    return calloc(count ? count : 1, bytes ? bytes : 1);
}

void *kpy_realloc(void *memory, size_t bytes)
{
    return realloc(memory, bytes ? bytes : 1);
}

void kpy_free(void *memory)
{
    free(memory);
}

void kpy_set(PyObject **slot, PyObject *value)
{
    PyObject *old = *slot;
    *slot = value;
    Py_XDECREF(old);
}

void kpy_object_free(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}
