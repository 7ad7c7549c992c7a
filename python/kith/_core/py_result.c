/* Arrow -> Python values: a stream as a list of dicts, or as columns for a data frame.
 *
 * A stream is first read to its end without the interpreter; then each column's type is looked at once,
 * giving a `reader`, and its values are made in one pass. Rows are filled column by column: the dicts of a
 * batch are made first, and a column sets its key in each of them.
 *
 * Vectors become lists of floats, as LanceDB gives them. Dates, times and decimals are made by
 * kith._values.decode(), which knows the modules they come from; nothing else here runs Python code.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "py_private.h"

/* ---- reading a stream ---- */

static kith_status stream_failed(struct ArrowArrayStream *stream, int code, kith_error *error)
{
    const char *words = stream->get_last_error(stream);
    error->status = code == ENOMEM      ? KITH_NO_MEMORY
                    : code == EINVAL    ? KITH_INVALID
                    : code == EBADMSG   ? KITH_CORRUPT
                    : code == ETIMEDOUT ? KITH_TIMEOUT
                                        : KITH_IO;
    snprintf(error->message, sizeof error->message, "%s", words && *words ? words : strerror(code));
    return error->status;
}

static struct ArrowArray *next_slot(struct kpy_batches *batches)
{
    if (batches->count == batches->room) {
        size_t room = batches->room ? 2 * batches->room : 4;
        struct ArrowArray *more = kpy_realloc(batches->arrays, room * sizeof *more);
        if (!more) return NULL;
        batches->arrays = more;
        batches->room = room;
    }
    memset(&batches->arrays[batches->count], 0, sizeof *batches->arrays);
    return &batches->arrays[batches->count];
}

kith_status kpy_batches_read(struct ArrowArrayStream *stream, struct kpy_batches *out, kith_error *error)
{
    memset(out, 0, sizeof *out);
    int code = stream->get_schema(stream, &out->schema);
    kith_status status = code ? stream_failed(stream, code, error) : KITH_OK;
    while (!status) {
        struct ArrowArray *array = next_slot(out);
        code = array ? stream->get_next(stream, array) : ENOMEM;
        if (code) status = stream_failed(stream, code, error);
        if (code || !array->release) break;
        out->count += 1;
    }
    stream->release(stream);
    return status;
}

void kpy_batches_release(struct kpy_batches *batches)
{
    for (size_t i = 0; i < batches->count; ++i) kpy_array_release(&batches->arrays[i]);
    kpy_free(batches->arrays);
    kpy_schema_release(&batches->schema);
    memset(batches, 0, sizeof *batches);
}

/* ---- one column ---- */

enum shape {
    SHAPE_NULL,
    SHAPE_BOOL,
    SHAPE_NUMBER,
    SHAPE_TEXT,
    SHAPE_BYTES,
    SHAPE_FIXED_BYTES,
    SHAPE_ENCODED,
    SHAPE_LIST,
    SHAPE_FIXED_LIST,
    SHAPE_STRUCT,
    SHAPE_DICTIONARY
};

struct reader {
    struct kpy_state *state;
    enum shape shape;
    char number;   // SHAPE_NUMBER: its letter
    bool large;    // 64-bit offsets
    int64_t width; // SHAPE_FIXED_LIST: items; SHAPE_FIXED_BYTES, SHAPE_ENCODED: bytes
    const char *format;
    const struct ArrowSchema *field;
    const struct ArrowArray *array;
    struct reader *children; // of lists, structs; the values of a dictionary
    int64_t child_count;
};

static void reader_release(struct reader *reader)
{
    for (int64_t i = 0; reader->children && i < reader->child_count; ++i)
        reader_release(&reader->children[i]);
    kpy_free(reader->children);
    reader->children = NULL;
}

static int shape_of(struct kpy_state *state, const struct ArrowSchema *field, struct reader *out)
{
    const char *format = field->format;
    out->format = format;
    out->number = format[0];
    out->large = format[0] == 'U' || format[0] == 'Z' || !strcmp(format, "+L");
    if (field->dictionary)
        out->shape = SHAPE_DICTIONARY;
    else if (!strcmp(format, "n"))
        out->shape = SHAPE_NULL;
    else if (!strcmp(format, "b"))
        out->shape = SHAPE_BOOL;
    else if (kpy_is_number(format))
        out->shape = SHAPE_NUMBER;
    else if (!strcmp(format, "u") || !strcmp(format, "U"))
        out->shape = SHAPE_TEXT;
    else if (!strcmp(format, "z") || !strcmp(format, "Z"))
        out->shape = SHAPE_BYTES;
    else if (!strcmp(format, "+l") || !strcmp(format, "+L"))
        out->shape = SHAPE_LIST;
    else if (!strcmp(format, "+s"))
        out->shape = SHAPE_STRUCT;
    else if (!strncmp(format, "w:", 2))
        out->shape = SHAPE_FIXED_BYTES;
    else if (!strncmp(format, "+w:", 3))
        out->shape = SHAPE_FIXED_LIST;
    else if (format[0] == 't' || format[0] == 'd')
        out->shape = SHAPE_ENCODED;
    else {
        kpy_fail(state, KITH_UNSUPPORTED,
                 "column '%s' is of Arrow type \"%s\", which has no Python value here",
                 field->name ? field->name : "", format);
        return -1;
    }
    if (out->shape == SHAPE_FIXED_BYTES || out->shape == SHAPE_FIXED_LIST)
        out->width = strtoll(strchr(format, ':') + 1, NULL, 10);
    if (out->shape == SHAPE_ENCODED) {
        bool narrow = !strcmp(format, "tdD") || !strcmp(format, "tts") || !strcmp(format, "ttm");
        out->width = format[0] == 'd' ? 16 : narrow ? 4 : 8;
    }
    return 0;
}

static int reader_init(struct kpy_state *state, const struct ArrowSchema *field,
                       const struct ArrowArray *array, struct reader *out)
{
    memset(out, 0, sizeof *out);
    out->state = state;
    out->field = field;
    out->array = array;
    if (shape_of(state, field, out)) return -1;
    bool dictionary = out->shape == SHAPE_DICTIONARY;
    int64_t count = dictionary ? 1 : field->n_children;
    if (!count) return 0;
    out->children = kpy_calloc((size_t)count, sizeof *out->children);
    if (!out->children) return PyErr_NoMemory(), -1;
    for (int64_t i = 0; i < count; ++i) {
        const struct ArrowSchema *child = dictionary ? field->dictionary : field->children[i];
        const struct ArrowArray *values = dictionary ? array->dictionary : array->children[i];
        out->child_count = i + 1;
        if (reader_init(state, child, values, &out->children[i])) return -1;
    }
    return 0;
}

/* ---- one value ---- */

static bool bit(const void *bits, int64_t at)
{
    return ((const uint8_t *)bits)[at >> 3] >> (at & 7) & 1;
}

static bool is_null(const struct ArrowArray *array, int64_t row)
{
    if (!array->n_buffers || array->null_count == 0 || !array->buffers[0]) return false;
    return !bit(array->buffers[0], array->offset + row);
}

static PyObject *number_value(const void *data, char format, int64_t at)
{
    const char *from = (const char *)data + (size_t)at * kpy_number_bytes(format);
    int64_t wide;
    uint64_t unsigned_wide;
    switch (format) {
    case 'e':
    case 'f':
    case 'g':
        return PyFloat_FromDouble(kpy_number_get(from, format));
    case 'l':
        memcpy(&wide, from, sizeof wide);
        return PyLong_FromLongLong(wide);
    case 'L':
        memcpy(&unsigned_wide, from, sizeof unsigned_wide);
        return PyLong_FromUnsignedLongLong(unsigned_wide);
    default:
        return PyLong_FromLong((long)kpy_number_get(from, format));
    }
}

static PyObject *encoded_value(const struct reader *reader, int64_t at)
{
    PyObject *values = kpy_values(reader->state), *number;
    const char *from = (const char *)reader->array->buffers[1] + at * reader->width;
    if (!values) return NULL;
    if (reader->width == 16) {
        PyObject *raw = PyBytes_FromStringAndSize(from, 16);
        number = raw ? PyObject_CallMethod(values, "decode", "sN", reader->format, raw) : NULL;
        return number;
    }
    int32_t narrow;
    int64_t wide;
    if (reader->width == 4)
        memcpy(&narrow, from, sizeof narrow), wide = narrow;
    else
        memcpy(&wide, from, sizeof wide);
    return PyObject_CallMethod(values, "decode", "sL", reader->format, (long long)wide);
}

static PyObject *value_at(const struct reader *reader, int64_t row);

static PyObject *float_list(const float *data, int64_t count)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (int64_t i = 0; list && i < count; ++i) {
        PyObject *number = PyFloat_FromDouble((double)data[i]);
        if (!number || PyList_SetItem(list, (Py_ssize_t)i, number)) Py_CLEAR(list);
    }
    return list;
}

static PyObject *list_of(const struct reader *items, int64_t begin, int64_t count)
{
    const struct ArrowArray *array = items->array;
    bool plain = items->shape == SHAPE_NUMBER && (!array->buffers[0] || !array->null_count);
    int64_t at = array->offset + begin;
    if (plain && items->number == 'f') return float_list((const float *)array->buffers[1] + at, count);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (int64_t i = 0; list && i < count; ++i) {
        PyObject *value =
            plain ? number_value(array->buffers[1], items->number, at + i) : value_at(items, begin + i);
        if (!value || PyList_SetItem(list, (Py_ssize_t)i, value)) Py_CLEAR(list);
    }
    return list;
}

static void offsets_of(const struct reader *reader, int64_t at, int64_t *begin, int64_t *end)
{
    const void *offsets = reader->array->buffers[1];
    *begin = reader->large ? ((const int64_t *)offsets)[at] : ((const int32_t *)offsets)[at];
    *end = reader->large ? ((const int64_t *)offsets)[at + 1] : ((const int32_t *)offsets)[at + 1];
}

static PyObject *struct_value(const struct reader *reader, int64_t row)
{
    PyObject *dict = PyDict_New();
    for (int64_t i = 0; dict && i < reader->child_count; ++i) {
        PyObject *value = value_at(&reader->children[i], reader->array->offset + row);
        if (!value || PyDict_SetItemString(dict, reader->field->children[i]->name, value)) Py_CLEAR(dict);
        Py_XDECREF(value);
    }
    return dict;
}

/* `row` counts from the array's offset, as everywhere here. */
static PyObject *value_at(const struct reader *reader, int64_t row)
{
    const struct ArrowArray *array = reader->array;
    int64_t at = array->offset + row, begin, end;
    if (reader->shape == SHAPE_NULL || is_null(array, row)) Py_RETURN_NONE;
    switch (reader->shape) {
    case SHAPE_BOOL:
        return PyBool_FromLong(bit(array->buffers[1], at));
    case SHAPE_NUMBER:
        return number_value(array->buffers[1], reader->number, at);
    case SHAPE_TEXT:
        offsets_of(reader, at, &begin, &end);
        return PyUnicode_DecodeUTF8((const char *)array->buffers[2] + begin, (Py_ssize_t)(end - begin),
                                    "strict");
    case SHAPE_BYTES:
        offsets_of(reader, at, &begin, &end);
        return PyBytes_FromStringAndSize((const char *)array->buffers[2] + begin, (Py_ssize_t)(end - begin));
    case SHAPE_FIXED_BYTES:
        return PyBytes_FromStringAndSize((const char *)array->buffers[1] + at * reader->width,
                                         (Py_ssize_t)reader->width);
    case SHAPE_ENCODED:
        return encoded_value(reader, at);
    case SHAPE_LIST:
        offsets_of(reader, at, &begin, &end);
        return list_of(&reader->children[0], begin, end - begin);
    case SHAPE_FIXED_LIST:
        return list_of(&reader->children[0], at * reader->width, reader->width);
    case SHAPE_STRUCT:
        return struct_value(reader, row);
    case SHAPE_DICTIONARY: {
        const char *index = (const char *)array->buffers[1] + (size_t)at * kpy_number_bytes(reader->number);
        return value_at(&reader->children[0], (int64_t)kpy_number_get(index, reader->number));
    }
    default:
        Py_RETURN_NONE;
    }
}

/* ---- rows ---- */

static int fill_column(struct kpy_state *state, const struct ArrowSchema *field,
                       const struct ArrowArray *array, PyObject *rows, Py_ssize_t first, int64_t offset,
                       int64_t length)
{
    struct reader reader;
    PyObject *key = PyUnicode_FromString(field->name);
    int status = key ? 0 : -1;
    if (!status) PyUnicode_InternInPlace(&key);
    if (!status)
        status = reader_init(state, field, array, &reader);
    else
        memset(&reader, 0, sizeof reader);
    for (int64_t i = 0; !status && i < length; ++i) {
        PyObject *value = value_at(&reader, offset + i);
        status = value ? PyDict_SetItem(PyList_GetItem(rows, first + (Py_ssize_t)i), key, value) : -1;
        Py_XDECREF(value);
    }
    reader_release(&reader);
    Py_XDECREF(key);
    return status;
}

static int fill_batch(struct kpy_state *state, const struct kpy_batches *batches, size_t batch,
                      PyObject *rows, Py_ssize_t first)
{
    const struct ArrowArray *array = &batches->arrays[batch];
    for (int64_t i = 0; i < array->length; ++i) {
        PyObject *row = PyDict_New();
        if (!row || PyList_SetItem(rows, first + (Py_ssize_t)i, row)) return -1;
    }
    for (int64_t column = 0; column < array->n_children; ++column) {
        if (fill_column(state, batches->schema.children[column], array->children[column], rows, first,
                        array->offset, array->length))
            return -1;
    }
    return 0;
}

PyObject *kpy_batches_rows(struct kpy_state *state, const struct kpy_batches *batches)
{
    int64_t count = 0;
    for (size_t i = 0; i < batches->count; ++i) count += batches->arrays[i].length;
    PyObject *rows = PyList_New((Py_ssize_t)count);
    Py_ssize_t first = 0;
    for (size_t i = 0; rows && i < batches->count; ++i) {
        if (fill_batch(state, batches, i, rows, first)) Py_CLEAR(rows);
        first += (Py_ssize_t)batches->arrays[i].length;
    }
    return rows;
}

static int take_batches(struct kpy_state *state, PyObject *capsule, struct kpy_batches *out)
{
    struct ArrowArrayStream stream;
    kith_error error = { 0 };
    kith_status status;
    memset(out, 0, sizeof *out);
    if (kpy_stream_take(state, capsule, &stream)) return -1;
    Py_BEGIN_ALLOW_THREADS status = kpy_batches_read(&stream, out, &error);
    Py_END_ALLOW_THREADS if (!status) return 0;
    kpy_raise_after(state, &error);
    kpy_batches_release(out);
    return -1;
}

PyObject *kpy_stream_rows(PyObject *module, PyObject *capsule)
{
    struct kpy_state *state = kpy_module_state(module);
    struct kpy_batches batches;
    if (take_batches(state, capsule, &batches)) return NULL;
    PyObject *rows = kpy_batches_rows(state, &batches);
    kpy_batches_release(&batches);
    return rows;
}

/* ---- columns: (name, format, item format or None, width, values, valid or None) ---- */

static size_t raw_bytes(const struct reader *reader)
{
    if (reader->shape == SHAPE_NUMBER) return kpy_number_bytes(reader->number);
    if (reader->shape == SHAPE_ENCODED) return (size_t)reader->width;
    if (reader->shape == SHAPE_FIXED_LIST && reader->children[0].shape == SHAPE_NUMBER)
        return (size_t)reader->width * kpy_number_bytes(reader->children[0].number);
    return 0;
}

/* Appends a batch's values to `values`, one memcpy, and to `valid` one byte a row. */
static void copy_raw(const struct reader *reader, int64_t offset, int64_t length, size_t bytes, char *values,
                     char *valid)
{
    const struct ArrowArray *array = reader->array, *data = array;
    int64_t at = array->offset + offset;
    if (reader->shape == SHAPE_FIXED_LIST) {
        data = reader->children[0].array;
        at = at * reader->width + data->offset;
        bytes /= (size_t)reader->width ? (size_t)reader->width : 1;
        length *= reader->width;
    }
    if (length && data->buffers[1])
        memcpy(values, (const char *)data->buffers[1] + (size_t)at * bytes, (size_t)length * bytes);
    if (reader->shape == SHAPE_FIXED_LIST) length /= reader->width ? reader->width : 1;
    for (int64_t i = 0; i < length; ++i) valid[i] = !is_null(array, offset + i);
}

static PyObject *column_raw(struct kpy_state *state, const struct kpy_batches *batches, int64_t column,
                            size_t bytes, int64_t rows, PyObject **valid)
{
    PyObject *values = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)((size_t)rows * bytes));
    *valid = values ? PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)rows) : NULL;
    if (!*valid) return Py_XDECREF(values), NULL;
    char *to = PyByteArray_AsString(values), *mark = PyByteArray_AsString(*valid);
    for (size_t i = 0; i < batches->count; ++i) {
        const struct ArrowArray *array = &batches->arrays[i];
        struct reader reader;
        if (!reader_init(state, batches->schema.children[column], array->children[column], &reader))
            copy_raw(&reader, array->offset, array->length, bytes, to, mark);
        reader_release(&reader);
        to += (size_t)array->length * bytes;
        mark += array->length;
    }
    return values;
}

static PyObject *column_objects(struct kpy_state *state, const struct kpy_batches *batches, int64_t column,
                                int64_t rows)
{
    PyObject *list = PyList_New((Py_ssize_t)rows);
    Py_ssize_t first = 0;
    for (size_t i = 0; list && i < batches->count; ++i) {
        const struct ArrowArray *array = &batches->arrays[i];
        struct reader reader;
        int status = reader_init(state, batches->schema.children[column], array->children[column], &reader);
        for (int64_t row = 0; !status && row < array->length; ++row) {
            PyObject *value = value_at(&reader, array->offset + row);
            status = value ? PyList_SetItem(list, first++, value) : -1;
        }
        reader_release(&reader);
        if (status) Py_CLEAR(list);
    }
    return list;
}

static PyObject *column_tuple(struct kpy_state *state, const struct kpy_batches *batches, int64_t column,
                              int64_t rows)
{
    const struct ArrowSchema *field = batches->schema.children[column];
    struct reader reader = { 0 };
    PyObject *values, *valid = NULL;
    if (shape_of(state, field, &reader)) return NULL;
    struct reader item = { 0 };
    if (reader.shape == SHAPE_FIXED_LIST) {
        if (shape_of(state, field->children[0], &item)) return NULL;
        reader.children = &item;
    }
    size_t bytes = raw_bytes(&reader);
    bool raw = bytes && reader.format[0] != 'd';
    if (raw)
        values = column_raw(state, batches, column, bytes, rows, &valid);
    else
        values = column_objects(state, batches, column, rows);
    if (!values) return NULL;
    return Py_BuildValue("(sszLNN)", field->name, field->format, raw && reader.children ? item.format : NULL,
                         (long long)reader.width, values, valid ? valid : Py_NewRef(Py_None));
}

PyObject *kpy_stream_columns(PyObject *module, PyObject *capsule)
{
    struct kpy_state *state = kpy_module_state(module);
    struct kpy_batches batches;
    int64_t rows = 0;
    if (take_batches(state, capsule, &batches)) return NULL;
    for (size_t i = 0; i < batches.count; ++i) rows += batches.arrays[i].length;
    PyObject *columns = PyTuple_New((Py_ssize_t)batches.schema.n_children);
    for (int64_t i = 0; columns && i < batches.schema.n_children; ++i) {
        PyObject *column = column_tuple(state, &batches, i, rows);
        if (!column || PyTuple_SetItem(columns, (Py_ssize_t)i, column)) Py_CLEAR(columns);
    }
    kpy_batches_release(&batches);
    return columns;
}
