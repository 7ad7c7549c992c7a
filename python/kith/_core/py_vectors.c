/* The vectors of a query: whatever holds numbers, as one block of them.
 *
 * A contiguous buffer of float16, float32, float64, int8 or uint8 is borrowed as it is; the view is kept, so
 * that the memory stays. Lists and tuples are read into float32 by a direct loop (a vector of 768 Python
 * floats costs about 4 us, through numpy it would be 30). Other objects are asked for their array
 * (`__array__`: pyarrow arrays, Polars and pandas series, tensors) and else for their items.
 */
#include <string.h>

#include "py_private.h"

void kpy_vectors_release(struct kpy_vectors *vectors)
{
    if (vectors->has_view) PyBuffer_Release(&vectors->view);
    kpy_free(vectors->copied);
    memset(vectors, 0, sizeof *vectors);
}

static bool element_of(char format, kith_element *out)
{
    switch (format) {
    case 'f':
        *out = KITH_F32;
        return true;
    case 'e':
        *out = KITH_F16;
        return true;
    case 'g':
        *out = KITH_F64;
        return true;
    case 'c':
        *out = KITH_I8;
        return true;
    case 'C':
        *out = KITH_U8;
        return true;
    default:
        return false;
    }
}

static int set_shape(struct kpy_state *state, struct kpy_vectors *out, Py_ssize_t count, Py_ssize_t dim)
{
    if (dim < 1 || dim > UINT32_MAX) {
        kpy_fail(state, KITH_INVALID, "the query vector is empty");
        return -1;
    }
    out->dim = (unsigned int)dim;
    out->count = (size_t)count;
    return 0;
}

static int from_view(struct kpy_state *state, struct kpy_vectors *out)
{
    const Py_buffer *view = &out->view;
    char format = kpy_number_format(view);
    if (!format || (view->ndim != 1 && view->ndim != 2)) {
        kpy_fail(
            state, KITH_TYPE,
            "a query is a vector of numbers or a matrix of them; this has %d dimensions of format \"%s\"",
            view->ndim, view->format ? view->format : "B");
        return -1;
    }
    out->many = view->ndim == 2;
    if (set_shape(state, out, out->many ? view->shape[0] : 1, view->shape[out->many ? 1 : 0])) return -1;
    out->data = view->buf;
    if (element_of(format, &out->element)) return 0;
    Py_ssize_t numbers = (Py_ssize_t)(out->count * out->dim);
    out->copied = kpy_malloc((size_t)numbers * sizeof(float) + 1); // a matrix may have no rows
    if (!out->copied) return PyErr_NoMemory(), -1;
    out->element = KITH_F32;
    out->data = out->copied;
    return kpy_numbers_copy(out->copied, 'f', view->buf, format, numbers);
}

/* ---- lists ---- */

static int read_floats(struct kpy_state *state, PyObject *list, float *to, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; ++i) {
        PyObject *number = PyList_GetItem(list, i);
        if (number && PyFloat_CheckExact(number)) {
            to[i] = (float)PyFloat_AsDouble(number);
        } else if (!number || number == Py_None || kpy_number_put(&to[i], 'f', number)) {
            if (number && (number == Py_None || PyErr_ExceptionMatches(PyExc_TypeError))) {
                PyErr_Clear();
                kpy_fail(state, KITH_TYPE, "a query vector holds %R, which is no number", number);
            }
            return -1;
        }
    }
    return 0;
}

static bool holds_numbers(PyObject *value)
{
    return PyFloat_Check(value) || PyLong_Check(value) || value == Py_None;
}

static int read_row(struct kpy_state *state, PyObject *row, float *to, Py_ssize_t dim)
{
    Py_buffer view;
    if (!PyList_Check(row) && PyObject_CheckBuffer(row)) {
        if (kpy_buffer(row, &view)) return -1;
        char format = kpy_number_format(&view);
        bool fits = format && view.ndim == 1 && view.shape[0] == dim;
        int status = fits ? kpy_numbers_copy(to, 'f', view.buf, format, dim) : -1;
        if (!fits) kpy_fail(state, KITH_INVALID, "the vectors of one search must have one length, %zd", dim);
        PyBuffer_Release(&view);
        return status;
    }
    PyObject *list = PySequence_List(row);
    if (!list) return -1;
    int status = PyList_Size(list) == dim ? read_floats(state, list, to, dim) : -1;
    if (status && !PyErr_Occurred())
        kpy_fail(state, KITH_INVALID,
                 "the vectors of one search must have one length: %zd was followed by %zd", dim,
                 PyList_Size(list));
    Py_DECREF(list);
    return status;
}

static int from_list(struct kpy_state *state, PyObject *list, struct kpy_vectors *out)
{
    Py_ssize_t items = PyList_Size(list), dim = items;
    PyObject *first = items ? PyList_GetItem(list, 0) : NULL;
    if (first && !holds_numbers(first)) {
        // numpy's scalars are numbers that also are buffers: only what has a length is a row
        dim = PyObject_Size(first);
        if (dim < 0) PyErr_Clear();
        out->many = dim >= 0;
        if (dim < 0) dim = items;
    }
    if (set_shape(state, out, out->many ? items : 1, dim)) return -1;
    out->copied = kpy_malloc(out->count * (size_t)dim * sizeof(float));
    if (!out->copied) return PyErr_NoMemory(), -1;
    out->data = out->copied;
    out->element = KITH_F32;
    if (!out->many) return read_floats(state, list, out->copied, dim);
    for (Py_ssize_t i = 0; i < items; ++i) {
        if (read_row(state, PyList_GetItem(list, i), (float *)out->copied + i * dim, dim)) return -1;
    }
    return 0;
}

static int from_other(struct kpy_state *state, PyObject *value, struct kpy_vectors *out)
{
    PyObject *values = kpy_values(state);
    PyObject *plain = values ? PyObject_CallMethod(values, "numbers", "O", value) : NULL;
    if (!plain) return -1;
    int status = kpy_vectors_init(state, plain, out);
    Py_DECREF(plain);
    return status;
}

int kpy_vectors_init(struct kpy_state *state, PyObject *value, struct kpy_vectors *out)
{
    int status;
    memset(out, 0, sizeof *out);
    if (PyList_Check(value) || PyTuple_Check(value)) {
        PyObject *list = PyList_Check(value) ? Py_NewRef(value) : PySequence_List(value);
        status = list ? from_list(state, list, out) : -1;
        Py_XDECREF(list);
    } else if (PyObject_CheckBuffer(value) && !PyBytes_Check(value)) {
        status = kpy_buffer(value, &out->view);
        out->has_view = !status;
        if (status) PyErr_Clear(); // numpy's datetimes and objects say no
        status = status ? from_other(state, value, out) : from_view(state, out);
    } else {
        status = from_other(state, value, out);
    }
    if (status) kpy_vectors_release(out);
    return status;
}

/* ---- many vectors at once, as float32 ---- */

static int check_matrix(struct kpy_state *state, const struct kpy_vectors *vectors, unsigned int dim)
{
    if (!vectors->many)
        kpy_fail(state, KITH_INVALID,
                 "a matrix is wanted, one vector a row; this is one vector of %u numbers", vectors->dim);
    else if (vectors->dim != dim)
        kpy_fail(state, KITH_INVALID, "the queries have %u numbers, the column's vectors have %u",
                 vectors->dim, dim);
    else if (!vectors->count)
        kpy_fail(state, KITH_INVALID, "the matrix of queries is empty: it has no rows");
    else
        return 0;
    return -1;
}

PyObject *kpy_floats(PyObject *module, PyObject *args)
{
    static const char formats[] = {
        [KITH_F32] = 'f', [KITH_F16] = 'e', [KITH_F64] = 'g', [KITH_I8] = 'c', [KITH_U8] = 'C'
    };
    struct kpy_state *state = kpy_module_state(module);
    struct kpy_vectors vectors;
    PyObject *value, *result = NULL;
    unsigned int dim;
    if (!PyArg_ParseTuple(args, "OI", &value, &dim) || kpy_vectors_init(state, value, &vectors)) return NULL;
    if (!check_matrix(state, &vectors, dim)) {
        Py_ssize_t numbers = (Py_ssize_t)(vectors.count * dim);
        result = PyByteArray_FromStringAndSize(NULL, numbers * (Py_ssize_t)sizeof(float));
        float *floats = result ? (float *)(void *)PyByteArray_AsString(result) : NULL;
        if (floats && kpy_numbers_copy(floats, 'f', vectors.data, formats[vectors.element], numbers))
            Py_CLEAR(result);
    }
    kpy_vectors_release(&vectors);
    return result;
}
