/* Numbers: which Arrow type a Python buffer holds, and copying between the types.
 *
 * One letter names a type, Arrow's own: c C s S i I l L for integers of 8 to 64 bits (capitals unsigned),
 * e f g for floats of 16, 32 and 64 bits, b for truth values, which a buffer keeps one a byte and Arrow one a
 * bit. Where both sides have one letter, copying is memcpy: this is what makes 10,000 numpy rows cheap.
 *
 * Half floats are rounded from the double to nearest, ties to even, in one step: going through float32 first
 * would round twice.
 */
#include <math.h>
#include <string.h>

#include "py_private.h"

size_t kpy_number_bytes(char format)
{
    switch (format) {
    case 'b':
    case 'c':
    case 'C':
        return 1;
    case 's':
    case 'S':
    case 'e':
        return 2;
    case 'i':
    case 'I':
    case 'f':
        return 4;
    case 'l':
    case 'L':
    case 'g':
        return 8;
    default:
        return 0;
    }
}

bool kpy_is_number(const char *format)
{
    return format[0] && !format[1] && format[0] != 'b' && kpy_number_bytes(format[0]);
}

bool kpy_is_vector_name(const char *name)
{
    static const char *const words[] = { "vector", "embedding" };
    for (; *name; ++name) {
        for (size_t word = 0; word < 2; ++word) {
            size_t at = 0;
            while (words[word][at] && (name[at] | 0x20) == words[word][at]) ++at;
            if (!words[word][at]) return true;
        }
    }
    return false;
}

static char integer_format(bool is_signed, Py_ssize_t bytes)
{
    switch (bytes) {
    case 1:
        return is_signed ? 'c' : 'C';
    case 2:
        return is_signed ? 's' : 'S';
    case 4:
        return is_signed ? 'i' : 'I';
    case 8:
        return is_signed ? 'l' : 'L';
    default:
        return 0;
    }
}

char kpy_number_format(const Py_buffer *view)
{
    const char *format = view->format ? view->format : "B";
    if (*format == '<' || *format == '=' || *format == '@' || *format == '|') ++format;
    if (!format[0] || format[1]) return 0; // also what is big-endian
    switch (format[0]) {
    case '?':
        return 'b';
    case 'e':
        return 'e';
    case 'f':
        return 'f';
    case 'd':
        return view->itemsize == 8 ? 'g' : 0;
    case 'b':
    case 'h':
    case 'i':
    case 'l':
    case 'q':
    case 'n':
        return integer_format(true, view->itemsize);
    case 'B':
    case 'H':
    case 'I':
    case 'L':
    case 'Q':
    case 'N':
        return integer_format(false, view->itemsize);
    default:
        return 0;
    }
}

/* ---- half floats ---- */

float kpy_half_to_float(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double value = exponent == 31 ? (fraction ? NAN : INFINITY)
                   : exponent     ? ldexp(1024 + fraction, exponent - 25)
                                  : ldexp(fraction, -24);
    return (float)(half & 0x8000 ? -value : value);
}

uint16_t kpy_float_to_half(double value)
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    double size = fabs(value);
    if (isnan(value)) return sign | 0x7e00;
    if (size >= 65520.0) return sign | 0x7c00; // rounds beyond the largest, 65504
    int exponent;
    frexp(size, &exponent); // size = 0.5..1 * 2^exponent
    if (size < 0x1p-14) exponent = -13;
    // nearbyint() rounds ties to even; a carry into the next exponent comes out right by itself
    uint32_t fraction = (uint32_t)nearbyint(ldexp(size, 11 - exponent));
    if (size < 0x1p-14) return (uint16_t)(sign | fraction);
    return (uint16_t)(sign | (((uint32_t)(exponent + 13) << 10) + fraction));
}

/* ---- one number ---- */

double kpy_number_get(const void *from, char format)
{
    switch (format) {
    case 'b':
    case 'C':
        return *(const uint8_t *)from;
    case 'c':
        return *(const int8_t *)from;
    case 's': {
        int16_t x;
        memcpy(&x, from, sizeof x);
        return x;
    }
    case 'S': {
        uint16_t x;
        memcpy(&x, from, sizeof x);
        return x;
    }
    case 'i': {
        int32_t x;
        memcpy(&x, from, sizeof x);
        return x;
    }
    case 'I': {
        uint32_t x;
        memcpy(&x, from, sizeof x);
        return x;
    }
    case 'l': {
        int64_t x;
        memcpy(&x, from, sizeof x);
        return (double)x;
    }
    case 'L': {
        uint64_t x;
        memcpy(&x, from, sizeof x);
        return (double)x;
    }
    case 'e': {
        uint16_t x;
        memcpy(&x, from, sizeof x);
        return kpy_half_to_float(x);
    }
    case 'f': {
        float x;
        memcpy(&x, from, sizeof x);
        return x;
    }
    case 'g': {
        double x;
        memcpy(&x, from, sizeof x);
        return x;
    }
    default:
        return 0;
    }
}

static int store_float(void *to, char format, double value)
{
    float single = (float)value;
    uint16_t half;
    switch (format) {
    case 'g':
        memcpy(to, &value, sizeof value);
        return 0;
    case 'f':
        memcpy(to, &single, sizeof single);
        return 0;
    default:
        half = kpy_float_to_half(value);
        memcpy(to, &half, sizeof half);
        return 0;
    }
}

/* The two's complement bits of an integer between -2^63 and 2^64-1; `negative` tells which half is meant. */
static int store_integer(void *to, char format, uint64_t bits, bool negative)
{
    int64_t value = (int64_t)bits;
    bool fits;
    switch (format) {
    case 'c':
        fits = negative ? value >= INT8_MIN : bits <= INT8_MAX;
        break;
    case 's':
        fits = negative ? value >= INT16_MIN : bits <= INT16_MAX;
        break;
    case 'i':
        fits = negative ? value >= INT32_MIN : bits <= INT32_MAX;
        break;
    case 'l':
        fits = negative || bits <= INT64_MAX;
        break;
    case 'C':
        fits = !negative && bits <= UINT8_MAX;
        break;
    case 'S':
        fits = !negative && bits <= UINT16_MAX;
        break;
    case 'I':
        fits = !negative && bits <= UINT32_MAX;
        break;
    default:
        fits = !negative;
        break;
    }
    if (!fits) {
        if (negative)
            PyErr_Format(PyExc_OverflowError, "%lld does not fit into the column's integers",
                         (long long)value);
        else
            PyErr_Format(PyExc_OverflowError, "%llu does not fit into the column's integers",
                         (unsigned long long)bits);
        return -1;
    }
    memcpy(to, &bits, kpy_number_bytes(format)); // little-endian: the low bytes come first
    return 0;
}

static int put_integer(void *to, char format, PyObject *value)
{
    int overflow;
    PyObject *index = PyLong_Check(value) ? Py_NewRef(value) : PyNumber_Index(value);
    if (!index) return -1;
    long long small = PyLong_AsLongLongAndOverflow(index, &overflow);
    unsigned long long bits = (unsigned long long)small;
    if (overflow > 0) bits = PyLong_AsUnsignedLongLong(index);
    if (overflow < 0) PyErr_Format(PyExc_OverflowError, "%S does not fit into 64 bits", index);
    Py_DECREF(index);
    if (PyErr_Occurred()) return -1;
    return store_integer(to, format, bits, small < 0 && !overflow);
}

int kpy_number_put(void *to, char format, PyObject *value)
{
    bool to_float = format == 'e' || format == 'f' || format == 'g';
    if (!to_float && !PyFloat_Check(value)) return put_integer(to, format, value);
    double number = PyFloat_AsDouble(value);
    if (number == -1.0 && PyErr_Occurred()) return -1;
    if (to_float) return store_float(to, format, number);
    if (number != floor(number) || fabs(number) >= 0x1p63) {
        PyErr_Format(PyExc_ValueError, "%S is not a whole number, as the column's type asks", value);
        return -1;
    }
    return store_integer(to, format, (uint64_t)(int64_t)number, number < 0);
}

/* ---- many numbers ---- */

static bool is_float(char format)
{
    return format == 'e' || format == 'f' || format == 'g';
}

static int copy_one(char *to, char to_format, const char *from, char from_format)
{
    if (is_float(to_format)) return store_float(to, to_format, kpy_number_get(from, from_format));
    if (is_float(from_format)) {
        double number = kpy_number_get(from, from_format);
        if (number == floor(number) && fabs(number) < 0x1p63)
            return store_integer(to, to_format, (uint64_t)(int64_t)number, number < 0);
        PyErr_SetString(PyExc_ValueError,
                        "the array holds numbers that are not whole, as the column's type asks");
        return -1;
    }
    uint64_t bits;
    if (from_format == 'L') {
        memcpy(&bits, from, sizeof bits);
        return store_integer(to, to_format, bits, false);
    }
    int64_t value;
    if (from_format == 'l')
        memcpy(&value, from, sizeof value);
    else
        value = (int64_t)kpy_number_get(from, from_format); // narrower integers are exact in a double
    return store_integer(to, to_format, (uint64_t)value, value < 0);
}

int kpy_numbers_copy(void *to, char to_format, const void *from, char from_format, Py_ssize_t count)
{
    size_t to_bytes = kpy_number_bytes(to_format), from_bytes = kpy_number_bytes(from_format);
    if (to_format == from_format) {
        memcpy(to, from, (size_t)count * to_bytes);
        return 0;
    }
    if (to_format == 'f' && from_format == 'g') { // numpy's default type on its way to the usual one
        for (Py_ssize_t i = 0; i < count; ++i) {
            double value;
            memcpy(&value, (const char *)from + (size_t)i * sizeof value, sizeof value);
            float single = (float)value;
            memcpy((char *)to + (size_t)i * sizeof single, &single, sizeof single);
        }
        return 0;
    }
    for (Py_ssize_t i = 0; i < count; ++i) {
        if (copy_one((char *)to + (size_t)i * to_bytes, to_format,
                     (const char *)from + (size_t)i * from_bytes, from_format))
            return -1;
    }
    return 0;
}

int kpy_buffer(PyObject *value, Py_buffer *view)
{
    if (!PyObject_GetBuffer(value, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) return 0;
    if (!PyErr_ExceptionMatches(PyExc_ValueError) && !PyErr_ExceptionMatches(PyExc_BufferError)) return -1;
    // Strided: numpy arrays copy themselves; anything else is read through a memoryview.
    PyErr_Clear();
    PyObject *whole = PyMemoryView_GetContiguous(value, PyBUF_READ, 'C');
    if (!whole) return -1;
    int status = PyObject_GetBuffer(whole, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT);
    Py_DECREF(whole);
    return status;
}
