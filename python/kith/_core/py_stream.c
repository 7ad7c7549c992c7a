/* Arrow arrays and streams as Python passes them around: capsules, streams of one array, chains of streams.
 *
 * A capsule named "arrow_array_stream" owns its stream until somebody takes it. A chain asks a Python
 * iterator for one stream after another, so that a generator of batches is stored without ever being held
 * whole; it is the only stream here that runs Python code, and it takes the interpreter for exactly that. An
 * exception in the iterator stays set in the thread that asked, where kpy_raise_after() finds it: the user
 * sees their own error, not a sentence about it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "py_private.h"

static const char *const STREAM = "arrow_array_stream";
static const char *const ARRAY = "arrow_array";

/* ---- arrays ---- */

static void own_array_release(struct ArrowArray *array)
{
    for (int64_t i = 0; i < array->n_buffers; ++i) kpy_free((void *)array->buffers[i]);
    for (int64_t i = 0; i < array->n_children; ++i) {
        if (!array->children[i]) continue;
        kpy_array_release(array->children[i]);
        kpy_free(array->children[i]);
    }
    if (array->dictionary) {
        kpy_array_release(array->dictionary);
        kpy_free(array->dictionary);
    }
    kpy_free(array->buffers);
    kpy_free(array->children);
    array->release = NULL;
}

void kpy_array_release(struct ArrowArray *array)
{
    if (array->release) array->release(array);
    memset(array, 0, sizeof *array);
}

int kpy_array_init(struct ArrowArray *out, int64_t length, int64_t buffers, int64_t children)
{
    memset(out, 0, sizeof *out);
    out->length = length;
    out->release = own_array_release;
    out->buffers = kpy_calloc((size_t)buffers + 1, sizeof *out->buffers);
    out->children = children ? kpy_calloc((size_t)children, sizeof *out->children) : NULL;
    bool complete = out->buffers && (out->children || !children);
    if (complete) out->n_buffers = buffers;
    for (int64_t i = 0; complete && i < children; ++i) {
        out->children[i] = kpy_calloc(1, sizeof **out->children);
        complete = out->children[i];
        out->n_children = i + 1;
    }
    if (complete) return 0;
    kpy_array_release(out);
    PyErr_NoMemory();
    return -1;
}

int kpy_array_buffer(struct ArrowArray *array, int at, size_t bytes, void **out)
{
    *out = kpy_calloc(bytes ? bytes : 1, 1);
    if (!*out) return PyErr_NoMemory(), -1;
    array->buffers[at] = *out;
    return 0;
}

/* ---- capsules ---- */

static void stream_release(struct ArrowArrayStream *stream)
{
    if (stream->release) stream->release(stream);
    memset(stream, 0, sizeof *stream);
}

static void capsule_free(PyObject *capsule)
{
    struct ArrowArrayStream *stream = PyCapsule_GetPointer(capsule, STREAM);
    if (!stream) {
        PyErr_Clear();
        return;
    }
    stream_release(stream);
    kpy_free(stream);
}

PyObject *kpy_stream_capsule(struct ArrowArrayStream *stream)
{
    struct ArrowArrayStream *kept = kpy_malloc(sizeof *kept);
    if (!kept) {
        stream_release(stream);
        return PyErr_NoMemory();
    }
    *kept = *stream;
    memset(stream, 0, sizeof *stream);
    PyObject *capsule = PyCapsule_New(kept, STREAM, capsule_free);
    if (!capsule) {
        stream_release(kept);
        kpy_free(kept);
    }
    return capsule;
}

static struct ArrowArrayStream *stream_borrow(struct kpy_state *state, PyObject *capsule)
{
    struct ArrowArrayStream *stream = PyCapsule_GetPointer(capsule, STREAM);
    if (stream && !stream->release) {
        kpy_fail(state, KITH_INVALID, "the Arrow stream was consumed already");
        return NULL;
    }
    return stream;
}

int kpy_stream_take(struct kpy_state *state, PyObject *capsule, struct ArrowArrayStream *out)
{
    struct ArrowArrayStream *stream = stream_borrow(state, capsule);
    if (!stream) return -1;
    *out = *stream;
    memset(stream, 0, sizeof *stream);
    return 0;
}

/* ---- a stream that keeps a Python object alive ---- */

struct owned {
    struct ArrowArrayStream inner;
    PyObject *owner;
};

static int owned_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    struct owned *mine = stream->private_data;
    return mine->inner.get_schema(&mine->inner, out);
}

static int owned_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    struct owned *mine = stream->private_data;
    return mine->inner.get_next(&mine->inner, out);
}

static const char *owned_error(struct ArrowArrayStream *stream)
{
    struct owned *mine = stream->private_data;
    return mine->inner.get_last_error(&mine->inner);
}

static void owned_release(struct ArrowArrayStream *stream)
{
    struct owned *mine = stream->private_data;
    stream_release(&mine->inner);
    if (Py_IsInitialized()) { // at the very end of the process there is nothing left to give back to
        PyGILState_STATE gil = PyGILState_Ensure();
        Py_DECREF(mine->owner);
        PyGILState_Release(gil);
    }
    kpy_free(mine);
    stream->release = NULL;
}

int kpy_stream_own(struct ArrowArrayStream *stream, PyObject *owner)
{
    struct owned *mine = kpy_malloc(sizeof *mine);
    if (!mine) {
        stream_release(stream);
        return PyErr_NoMemory(), -1;
    }
    mine->inner = *stream;
    mine->owner = owner;
    Py_INCREF(owner);
    *stream = (struct ArrowArrayStream){ owned_schema, owned_next, owned_error, owned_release, mine };
    return 0;
}

/* ---- a stream of one array, or of none ---- */

struct single {
    struct ArrowSchema schema;
    struct ArrowArray array;
};

static int single_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    // The copy is made without the interpreter's help: its failure leaves no exception behind.
    PyGILState_STATE gil = PyGILState_Ensure();
    int status = kpy_schema_copy(&((struct single *)stream->private_data)->schema, out);
    if (status) PyErr_Clear();
    PyGILState_Release(gil);
    return status ? ENOMEM : 0;
}

static int single_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    struct single *mine = stream->private_data;
    *out = mine->array;
    memset(&mine->array, 0, sizeof mine->array);
    return 0;
}

static const char *single_error(struct ArrowArrayStream *stream)
{
    (void)stream;
    return NULL;
}

static void single_release(struct ArrowArrayStream *stream)
{
    struct single *mine = stream->private_data;
    kpy_schema_release(&mine->schema);
    kpy_array_release(&mine->array);
    kpy_free(mine);
    stream->release = NULL;
}

int kpy_stream_of(struct ArrowSchema *schema, struct ArrowArray *array, struct ArrowArrayStream *out)
{
    struct single *mine = kpy_malloc(sizeof *mine);
    if (!mine) {
        kpy_schema_release(schema);
        kpy_array_release(array);
        return PyErr_NoMemory(), -1;
    }
    mine->schema = *schema;
    mine->array = *array;
    memset(schema, 0, sizeof *schema);
    memset(array, 0, sizeof *array);
    *out = (struct ArrowArrayStream){ single_schema, single_next, single_error, single_release, mine };
    return 0;
}

PyObject *kpy_array_stream(PyObject *module, PyObject *args)
{
    PyObject *schema_capsule, *array_capsule;
    if (!PyArg_ParseTuple(args, "OO", &schema_capsule, &array_capsule)) return NULL;
    struct ArrowSchema *schema = kpy_schema_borrow(kpy_module_state(module), schema_capsule);
    struct ArrowArray *array = schema ? PyCapsule_GetPointer(array_capsule, ARRAY) : NULL;
    struct ArrowArrayStream stream;
    if (!array) return NULL;
    if (!array->release)
        return kpy_fail(kpy_module_state(module), KITH_INVALID, "the Arrow array was consumed already");
    return kpy_stream_of(schema, array, &stream) ? NULL : kpy_stream_capsule(&stream);
}

PyObject *kpy_empty_stream(PyObject *module, PyObject *capsule)
{
    const struct ArrowSchema *from = kpy_schema_borrow(kpy_module_state(module), capsule);
    struct ArrowSchema schema;
    struct ArrowArray array = { 0 };
    struct ArrowArrayStream stream;
    if (!from || kpy_schema_copy(from, &schema)) return NULL;
    return kpy_stream_of(&schema, &array, &stream) ? NULL : kpy_stream_capsule(&stream);
}

PyObject *kpy_stream_schema(PyObject *module, PyObject *capsule)
{
    struct kpy_state *state = kpy_module_state(module);
    struct ArrowArrayStream *stream = stream_borrow(state, capsule);
    struct ArrowSchema schema = { 0 };
    if (!stream) return NULL;
    int status = stream->get_schema(stream, &schema);
    if (!status) return kpy_schema_capsule(&schema);
    if (PyErr_Occurred()) return NULL;
    const char *words = stream->get_last_error(stream);
    return kpy_fail(state, KITH_INVALID, "the Arrow stream has no schema: %s",
                    words ? words : strerror(status));
}

/* ---- a chain ---- */

struct chain {
    struct kpy_state *state;
    PyObject *iterator;
    struct ArrowSchema schema; /* of the first stream: all must have it */
    struct ArrowArrayStream current;
    uint64_t streams;
    char message[512];
};

static int chain_fail(struct chain *chain, const char *words)
{
    snprintf(chain->message, sizeof chain->message, "%s", words ? words : "unknown error");
    return EIO;
}

/* Says in words what the exception says, and leaves it set. */
static int chain_exception(struct chain *chain)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyObject *text = value ? PyObject_Str(value) : NULL;
    const char *words = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
    int status = chain_fail(chain, words);
    Py_XDECREF(text);
    PyErr_Restore(type, value, trace);
    return status;
}

/* Puts the next stream of the iterator into `current`; leaves it empty at the end. -1 with an exception. */
static int chain_advance(struct chain *chain)
{
    struct ArrowSchema schema = { 0 };
    stream_release(&chain->current);
    PyObject *capsule = PyIter_Next(chain->iterator);
    if (!capsule) return PyErr_Occurred() ? -1 : 0;
    int status = kpy_stream_take(chain->state, capsule, &chain->current);
    Py_DECREF(capsule);
    if (status) return -1;
    chain->streams += 1;
    int failed = chain->current.get_schema(&chain->current, &schema);
    if (failed) {
        const char *words = chain->current.get_last_error(&chain->current);
        if (!PyErr_Occurred()) kpy_fail(chain->state, KITH_INVALID, "%s", words ? words : strerror(failed));
        return -1;
    }
    if (!chain->schema.release) {
        chain->schema = schema;
        return 0;
    }
    bool same = kpy_schema_same(&chain->schema, &schema);
    kpy_schema_release(&schema);
    if (same) return 0;
    kpy_fail(chain->state, KITH_TYPE,
             "batch %llu has other columns or types than the first; give schema= "
             "to say what is meant",
             (unsigned long long)chain->streams);
    return -1;
}

static int chain_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    struct chain *chain = stream->private_data;
    PyGILState_STATE gil = PyGILState_Ensure();
    int status = kpy_schema_copy(&chain->schema, out);
    if (status) PyErr_Clear();
    PyGILState_Release(gil);
    return status ? ENOMEM : 0;
}

static int chain_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    struct chain *chain = stream->private_data;
    memset(out, 0, sizeof *out);
    while (chain->current.release) {
        int status = chain->current.get_next(&chain->current, out);
        if (status) return chain_fail(chain, chain->current.get_last_error(&chain->current)), status;
        if (out->release) return 0;
        PyGILState_STATE gil = PyGILState_Ensure();
        status = PyErr_CheckSignals() || chain_advance(chain) ? chain_exception(chain) : 0;
        PyGILState_Release(gil);
        if (status) return status;
    }
    return 0;
}

static const char *chain_error(struct ArrowArrayStream *stream)
{
    return ((struct chain *)stream->private_data)->message;
}

static void chain_release(struct ArrowArrayStream *stream)
{
    struct chain *chain = stream->private_data;
    stream_release(&chain->current);
    kpy_schema_release(&chain->schema);
    if (Py_IsInitialized()) {
        PyObject *type, *value, *trace;
        PyGILState_STATE gil = PyGILState_Ensure();
        PyErr_Fetch(&type, &value, &trace); // a generator that is closed here must not swallow it
        Py_DECREF(chain->iterator);
        PyErr_Restore(type, value, trace);
        PyGILState_Release(gil);
    }
    kpy_free(chain);
    stream->release = NULL;
}

PyObject *kpy_chain_stream(PyObject *module, PyObject *iterator)
{
    struct kpy_state *state = kpy_module_state(module);
    struct chain *chain = kpy_calloc(1, sizeof *chain);
    if (!chain) return PyErr_NoMemory();
    struct ArrowArrayStream stream = { chain_schema, chain_next, chain_error, chain_release, chain };
    chain->state = state;
    chain->iterator = iterator;
    Py_INCREF(iterator);
    if (!PyIter_Check(iterator)) {
        PyErr_SetString(PyExc_TypeError, "chain_stream() takes an iterator");
    } else if (!chain_advance(chain)) {
        if (chain->current.release) return kpy_stream_capsule(&stream);
        kpy_fail(state, KITH_INVALID,
                 "the iterator gave no rows, so that the columns are not known; give schema=");
    }
    stream_release(&stream);
    return NULL;
}
