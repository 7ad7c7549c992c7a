/* kith._core.Searcher: a kith_searcher as a callable. searcher(vector) -> (row ids, distances).
 *
 * The names are resolved and the options checked once; a call converts nothing but the vector. The library's
 * searcher is made for one type of number, Python users bring several, so there is one for each type, made
 * when it first comes. Answers are numpy arrays where numpy was handed in (`empty`), else memoryviews.
 *
 * A call costs 1 us beside the search, most of it numpy's: two arrays are made (0.1 us each) and asked where
 * their numbers are (0.1 us). So the arguments of numpy.empty are made once, its types as objects and not as
 * names.
 */
#include <string.h>

#include "py_private.h"

enum { ELEMENTS = KITH_U8 + 1 };

/* One of the two arrays of an answer. */
struct answer {
    const char *format; // of a memoryview
    size_t item_bytes;
    PyObject *type; // numpy's, or None
    PyObject *one;  // the arguments of numpy.empty for one vector; NULL without numpy
};

struct searcher {
    PyObject_HEAD PyObject *options; // keeps the table and the names
    PyObject *empty;                 // numpy.empty or None
    struct answer ids, distances;
    kith_searcher *handles[ELEMENTS];
};

static void searcher_dealloc(struct searcher *self)
{
    for (int i = 0; i < ELEMENTS; ++i) kith_searcher_free(self->handles[i]);
    Py_XDECREF(self->options);
    Py_XDECREF(self->empty);
    Py_XDECREF(self->ids.type);
    Py_XDECREF(self->ids.one);
    Py_XDECREF(self->distances.type);
    Py_XDECREF(self->distances.one);
    kpy_object_free((PyObject *)self);
}

/* ---- making one */

static int answer_init(struct answer *answer, const char *format, size_t item_bytes, PyObject *type,
                       unsigned int k)
{
    *answer = (struct answer){ .format = format, .item_bytes = item_bytes, .type = Py_NewRef(type) };
    if (type == Py_None) return 0;
    answer->one = Py_BuildValue("(IO)", k, type);
    return answer->one ? 0 : -1;
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
    query.query.stats = NULL;
    kith_status status =
        kith_searcher_new(((struct kpy_table *)options->table)->handle, &query.query, slot, &error);
    kpy_query_release(&query);
    if (!status) return *slot;
    kpy_raise(state, &error);
    return NULL;
}

/* What is wrong with a filter is told when the searcher is made, not by its first call. */
static int try_filter(struct kpy_state *state, struct searcher *self)
{
    const struct kpy_options *options = (struct kpy_options *)self->options;
    const struct kpy_vectors usual = { .element = KITH_F32, .dim = options->dim };
    if (!options->where || options->where == Py_None) return 0;
    return handle_for(state, self, &usual) ? 0 : -1;
}

PyObject *kpy_searcher_new(PyObject *module, PyObject *args)
{
    struct kpy_state *state = kpy_module_state(module);
    PyObject *options, *empty = Py_None, *id_type = Py_None, *distance_type = Py_None;
    if (!PyArg_ParseTuple(args, "O!|OOO", state->options_type, &options, &empty, &id_type, &distance_type))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(state->searcher_type, Py_tp_alloc);
    struct searcher *self = (struct searcher *)allocate(state->searcher_type, 0);
    if (!self) return NULL;
    unsigned int k = ((struct kpy_options *)options)->k;
    self->options = Py_NewRef(options);
    self->empty = Py_NewRef(empty);
    if (!answer_init(&self->ids, "Q", sizeof(uint64_t), id_type, k) &&
        !answer_init(&self->distances, "f", sizeof(float), distance_type, k) && !try_filter(state, self))
        return (PyObject *)self;
    Py_DECREF(self);
    return NULL;
}

/* ---- calling it */

static PyObject *numpy_array(struct searcher *self, const struct answer *answer,
                             const struct kpy_vectors *vectors, unsigned int k)
{
    if (!vectors->many) return PyObject_Call(self->empty, answer->one, NULL);
    return PyObject_CallFunction(self->empty, "(nI)O", (Py_ssize_t)vectors->count, k, answer->type);
}

static PyObject *plain_array(const struct answer *answer, const struct kpy_vectors *vectors, unsigned int k)
{
    Py_ssize_t bytes = (Py_ssize_t)(vectors->count * k * answer->item_bytes);
    PyObject *memory = PyByteArray_FromStringAndSize(NULL, bytes);
    PyObject *flat = memory ? PyMemoryView_FromObject(memory) : NULL, *array = NULL;
    if (flat && vectors->many && vectors->count) // Python's memoryviews have no rows of none
        array = PyObject_CallMethod(flat, "cast", "s(nI)", answer->format, (Py_ssize_t)vectors->count, k);
    else if (flat)
        array = PyObject_CallMethod(flat, "cast", "s", answer->format);
    Py_XDECREF(flat);
    Py_XDECREF(memory);
    return array;
}

/* An array of count x k (or just k) numbers, and where they are. */
static PyObject *array_for(struct searcher *self, const struct answer *answer,
                           const struct kpy_vectors *vectors, unsigned int k, void **numbers)
{
    PyObject *array = answer->one ? numpy_array(self, answer, vectors, k) : plain_array(answer, vectors, k);
    Py_buffer view;
    if (!array || PyObject_GetBuffer(array, &view, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS)) {
        Py_XDECREF(array);
        return NULL;
    }
    *numbers = view.buf;
    PyBuffer_Release(&view); // the array stays, and nobody else has it yet
    return array;
}

static PyObject *run(struct kpy_state *state, struct searcher *self, struct kpy_vectors *vectors)
{
    const struct kpy_options *options = (struct kpy_options *)self->options;
    void *ids, *distances;
    kith_error error = { 0 };
    kith_status status;
    if (vectors->dim != options->dim)
        return kpy_fail(state, KITH_INVALID, "the query vector has %u numbers, the column's vectors have %u",
                        vectors->dim, options->dim);
    kith_searcher *handle = handle_for(state, self, vectors);
    if (!handle) return NULL;
    PyObject *id_array = array_for(self, &self->ids, vectors, options->k, &ids);
    PyObject *distance_array =
        id_array ? array_for(self, &self->distances, vectors, options->k, &distances) : NULL;
    PyObject *result = distance_array ? PyTuple_Pack(2, id_array, distance_array) : NULL;
    Py_XDECREF(id_array);
    Py_XDECREF(distance_array);
    if (!result || !vectors->count) return result;
    Py_BEGIN_ALLOW_THREADS status =
        kith_searcher_run(handle, vectors->data, vectors->count, ids, distances, &error);
    Py_END_ALLOW_THREADS if (!status) return result;
    Py_DECREF(result);
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
