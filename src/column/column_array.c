/* Reading arrays: nulls, texts, bitmaps.
 *
 * An array reads as Arrow says: element i is at `offset + i` of its buffers; a struct's child is read at the
 * same index (plus the child's own offset), a fixed list's at index times width, a list's at what its offsets
 * say. kt_ipc_column() lends arrays that begin in the middle of a file; the offsets of their children may be
 * negative, so that these sums come out right without a copy: add first, then use the sum.
 *
 * A dictionary may say null twice, in its indices and in its values; both count here.
 */
#include <string.h>

#include "column/column_private.h"

static inline int64_t load_integer(enum kt_type type, const uint8_t *values, int64_t at)
{
    const void *p = values;
    switch (type) {
    case KT_INT8:
        return ((const int8_t *)p)[at];
    case KT_UINT8:
        return ((const uint8_t *)p)[at];
    case KT_INT16:
        return ((const int16_t *)p)[at];
    case KT_UINT16:
        return ((const uint16_t *)p)[at];
    case KT_INT32:
        return ((const int32_t *)p)[at];
    case KT_UINT32:
        return ((const uint32_t *)p)[at];
    default:
        return ((const int64_t *)p)[at];
    }
}

void kt_load_integers(enum kt_type type, const void *from, int64_t count, int64_t *out)
{
    switch (type) {
    case KT_INT8:
        for (int64_t i = 0; i < count; i++) out[i] = ((const int8_t *)from)[i];
        break;
    case KT_INT16:
        for (int64_t i = 0; i < count; i++) out[i] = ((const int16_t *)from)[i];
        break;
    case KT_INT32:
        for (int64_t i = 0; i < count; i++) out[i] = ((const int32_t *)from)[i];
        break;
    case KT_UINT8:
        for (int64_t i = 0; i < count; i++) out[i] = ((const uint8_t *)from)[i];
        break;
    case KT_UINT16:
        for (int64_t i = 0; i < count; i++) out[i] = ((const uint16_t *)from)[i];
        break;
    case KT_UINT32:
        for (int64_t i = 0; i < count; i++) out[i] = ((const uint32_t *)from)[i];
        break;
    default:
        if (count) memcpy(out, from, (size_t)count * sizeof *out);
        break;
    }
}

void kt_array_integers(const struct kt_array *array, int64_t row, int64_t count, int64_t *out)
{
    kt_load_integers(kt_array_stored_type(array),
                     array->values + (array->offset + row) * kt_field_entry_bytes(array->field), count, out);
}

enum kt_type kt_array_stored_type(const struct kt_array *array)
{
    return array->field->type == KT_DICTIONARY ? array->field->index : array->field->type;
}

int64_t kt_array_integer(const struct kt_array *array, int64_t row)
{
    return load_integer(kt_array_stored_type(array), array->values, array->offset + row);
}

bool kt_array_null(const struct kt_array *array, int64_t row)
{
    if (array->validity && !kt_bit(array->validity, (uint64_t)(array->offset + row))) return true;
    if (array->field->type == KT_NULL) return true;
    if (array->field->type != KT_DICTIONARY || !array->children[0].validity) return false;
    return kt_array_null(&array->children[0], kt_array_integer(array, row));
}

int64_t kt_array_null_count(const struct kt_array *array)
{
    if (array->field->type == KT_NULL) return array->length;
    if (array->field->type == KT_DICTIONARY && array->children[0].validity) {
        int64_t nulls = 0;
        for (int64_t i = 0; i < array->length; i++) nulls += kt_array_null(array, i);
        return nulls;
    }
    return array->validity ? array->length - kt_bits_count(array->validity, array->offset, array->length) : 0;
}

/* A view: length in 4 bytes, then up to 12 bytes of text, or 4 of its beginning, 4 of buffer number, 4 of
 * offset. */
static const uint8_t *view_bytes(const struct kt_array *array, int64_t row, int64_t *count)
{
    const uint8_t *view = array->values + 16 * (array->offset + row);
    uint32_t length = kt_get_u32(view);
    *count = length;
    if (length <= 12) return view + 4;
    return array->view_buffers[kt_get_u32(view + 8)] + kt_get_u32(view + 12);
}

const uint8_t *kt_array_bytes(const struct kt_array *array, int64_t row, int64_t *count)
{
    switch (array->field->type) {
    case KT_DICTIONARY:
        return kt_array_bytes(&array->children[0], kt_array_integer(array, row), count);
    case KT_UTF8_VIEW:
    case KT_BINARY_VIEW:
        return view_bytes(array, row, count);
    case KT_FIXED_BINARY: {
        *count = array->field->width;
        return array->values + (array->offset + row) * array->field->width;
    }
    case KT_UTF8:
    case KT_BINARY: {
        const int32_t *offsets = (const int32_t *)(const void *)array->values + (array->offset + row);
        *count = offsets[1] - offsets[0];
        return array->data + offsets[0];
    }
    case KT_LARGE_UTF8:
    case KT_LARGE_BINARY: {
        const int64_t *offsets = (const int64_t *)(const void *)array->values + (array->offset + row);
        *count = offsets[1] - offsets[0];
        return array->data + offsets[0];
    }
    default:
        *count = 0;
        return NULL;
    }
}

const uint8_t *kt_array_vector(const struct kt_array *array, int64_t row)
{
    const struct kt_array *item = &array->children[0];
    int64_t at = (array->offset + row) * array->field->width + item->offset;
    return item->values + at * kt_field_value_bytes(item->field);
}

/* ---- bitmaps ---- */

int64_t kt_bits_count(const uint8_t *bits, int64_t at, int64_t count)
{
    int64_t ones = 0, end = at + count;
    while (at < end && (at & 7)) ones += kt_bit(bits, (uint64_t)at++);
    for (; end - at >= 64; at += 64) ones += __builtin_popcountll(kt_get_u64(bits + (at >> 3)));
    for (; end - at >= 8; at += 8) ones += __builtin_popcount(bits[at >> 3]);
    while (at < end) ones += kt_bit(bits, (uint64_t)at++);
    return ones;
}

static void put_bit(uint8_t *bits, int64_t at, bool value)
{
    if (value)
        kt_bit_set(bits, (uint64_t)at);
    else
        kt_bit_clear(bits, (uint64_t)at);
}

void kt_bits_fill(uint8_t *to, int64_t at, int64_t count, bool value)
{
    int64_t end = at + count;
    while (at < end && (at & 7)) put_bit(to, at++, value);
    if (end - at >= 8) memset(to + (at >> 3), value ? 0xff : 0, (size_t)((end - at) >> 3));
    at += (end - at) & ~(int64_t)7;
    while (at < end) put_bit(to, at++, value);
}

void kt_bits_copy(uint8_t *to, int64_t to_at, const uint8_t *from, int64_t from_at, int64_t count)
{
    int64_t i = 0;
    while (i < count && ((to_at + i) & 7)) {
        put_bit(to, to_at + i, kt_bit(from, (uint64_t)(from_at + i)));
        i++;
    }
    uint8_t *out = to + ((to_at + i) >> 3);
    const uint8_t *in = from + ((from_at + i) >> 3);
    unsigned shift = (unsigned)((from_at + i) & 7);
    int64_t bytes = (count - i) >> 3;
    if (shift == 0 && bytes) memcpy(out, in, (size_t)bytes);
    for (int64_t k = 0; shift && k < bytes;
         k++) /* the byte after the last one holds bits that are wanted: it is there */
        out[k] = (uint8_t)(in[k] >> shift | in[k + 1] << (8 - shift));
    for (i += bytes * 8; i < count; i++) put_bit(to, to_at + i, kt_bit(from, (uint64_t)(from_at + i)));
}
