/* kith._core.Searcher: a kith_searcher as a callable. searcher(vector) -> (row ids, distances).
 *
 * The names are resolved and the options checked once; a call converts nothing but the vector. The library's
 * searcher is made for one type of number, Python users bring several, so there is one for each type, made
 * when it first comes. Answers are numpy arrays where numpy was handed in (`empty`), else memoryviews.
 */
#include <string.h>

#include "py_private.h"

enum { ELEMENTS = KITH_U8 + 1 };

struct searcher {
    PyObject_HEAD PyObject *options;   // keeps the table and the names
    PyObject *empty;                   // numpy.empty or None
    PyObject *id_type, *distance_type; // numpy's names of the types
    kith_searcher *handles[ELEMENTS];
};

static void searcher_dealloc(struct searcher *self)
{
    for (int i = 0; i < ELEMENTS; ++i) kith_searcher_free(self->handles[i]);
    Py_XDECREF(self->options);
    Py_XDECREF(self->empty);
    Py_XDECREF(self->id_type);
    Py_XDECREF(self->distance_type);
    kpy_object_free((PyObject *)self);
}

PyObject *kpy_searcher_new(PyObject *module, PyObject *args)
{
    struct kpy_state *state = kpy_module_state(module);
    PyObject *options, *empty;
    if (!PyArg_ParseTuple(args, "O!O", state->options_type, &options, &empty)) return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(state->searcher_type, Py_tp_alloc);
    struct searcher *self = (struct searcher *)allocate(state->searcher_type, 0);
    if (!self) return NULL;
    self->options = Py_NewRef(options);
    self->empty = Py_NewRef(empty);
    self->id_type = PyUnicode_InternFromString("u8");
    self->distance_type = PyUnicode_InternFromString("f4");
    if (self->id_type && self->distance_type) return (PyObject *)self;
    Py_DECREF(self);
    return NULL;
}

static kith_searcher *handle_for(struct kpy_state *state, struct searcher *self,
                                 const struct kpy_vectors *vectors)
{
    kith_searcher **slot = &self->handles[vectors->element];
    struct kpy_options *options = (struct kpy_options *)self->options;
    if (*slot) return *slot;
    struct kpy_query query;
    kith_error error = { 0 };
    if (kpy_query_init(state, options, &query)) return NULL;
    query.query.element = vectors->element;
    query.query.dim = vectors->dim;
    query.query.vectors = NULL;
    query.query.vector_count = 0;
    kith_status status =
        kith_searcher_new(((struct kpy_table *)options->table)->handle, &query.query, slot, &error);
    kpy_query_release(&query);
    if (!status) return *slot;
    kpy_raise(state, &error);
    return NULL;
}

/* An array of count x k (or just k) numbers, and where its bytes are. */
static PyObject *answer(struct searcher *self, PyObject *type, size_t item_bytes, const char *format,
                        const struct kpy_vectors *vectors, unsigned int k, Py_buffer *view)
{
    PyObject *array;
    if (self->empty != Py_None) {
        PyObject *shape =
            vectors->many ? Py_BuildValue("(nI)", (Py_ssize_t)vectors->count, k) : PyLong_FromUnsignedLong(k);
        array = shape ? PyObject_CallFunctionObjArgs(self->empty, shape, type, NULL) : NULL;
        Py_XDECREF(shape);
    } else {
        Py_ssize_t bytes = (Py_ssize_t)(vectors->count * k * item_bytes);
        PyObject *memory = PyByteArray_FromStringAndSize(NULL, bytes);
        PyObject *flat = memory ? PyMemoryView_FromObject(memory) : NULL;
        if (!flat)
            array = NULL;
        else if (!vectors->many)
            array = PyObject_CallMethod(flat, "cast", "s", format);
        else
            array = PyObject_CallMethod(flat, "cast", "s(nI)", format, (Py_ssize_t)vectors->count, k);
        Py_XDECREF(flat);
        Py_XDECREF(memory);
    }
    if (!array || !PyObject_GetBuffer(array, view, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS)) return array;
    Py_DECREF(array);
    return NULL;
}

static PyObject *run(struct kpy_state *state, struct searcher *self, struct kpy_vectors *vectors)
{
    unsigned int k = ((struct kpy_options *)self->options)->k;
    unsigned int dim = ((struct kpy_options *)self->options)->dim;
    Py_buffer ids, distances;
    kith_error error = { 0 };
    kith_status status;
    if (vectors->dim != dim)
        return kpy_fail(state, KITH_INVALID, "the query vector has %u numbers, the column's vectors have %u",
                        vectors->dim, dim);
    kith_searcher *handle = handle_for(state, self, vectors);
    if (!handle) return NULL;
    PyObject *id_array = answer(self, self->id_type, sizeof(uint64_t), "Q", vectors, k, &ids);
    if (!id_array) return NULL;
    PyObject *distance_array = answer(self, self->distance_type, sizeof(float), "f", vectors, k, &distances);
    if (!distance_array) {
        PyBuffer_Release(&ids);
        Py_DECREF(id_array);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS status =
        kith_searcher_run(handle, vectors->data, vectors->count, ids.buf, distances.buf, &error);
    Py_END_ALLOW_THREADS PyBuffer_Release(&ids);
    PyBuffer_Release(&distances);
    if (!status) return Py_BuildValue("(NN)", id_array, distance_array);
    Py_DECREF(id_array);
    Py_DECREF(distance_array);
    return kpy_raise(state, &error);
}

static PyObject *searcher_call(struct searcher *self, PyObject *args, PyObject *keywords)
{
    struct kpy_state *state = kpy_object_state(self);
    PyObject *value = PyTuple_Size(args) == 1 ? PyTuple_GetItem(args, 0) : NULL;
    struct kpy_vectors vectors;
    if (!value || (keywords && PyDict_Size(keywords))) {
        PyErr_SetString(PyExc_TypeError, "a searcher is called with one vector or one matrix");
        return NULL;
    }
    if (kpy_vectors_init(state, value, &vectors)) return NULL;
    PyObject *result = run(state, self, &vectors);
    kpy_vectors_release(&vectors);
    return result;
}

static PyType_Slot slots[] = {
    { Py_tp_dealloc, (void *)searcher_dealloc },
    { Py_tp_call, (void *)searcher_call },
    { Py_tp_doc, "searcher(vector) -> (row ids, distances)" },
    { 0, NULL },
};

PyType_Spec kpy_searcher_spec = {
    .name = "kith._core.Searcher",
    .basicsize = sizeof(struct searcher),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};
