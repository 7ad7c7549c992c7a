/* What is checked when bytes come from outside, once: afterwards every loop in the library trusts them.
 *
 * Sizes are the business of whoever brings the bytes (column_import.c has only the producer's word,
 * ipc_lend.c knows the file). Checked here is what the values of one array claim about other bytes: that
 * offsets rise and end inside their data, that views lie inside their buffers, that dictionary indices name a
 * value, that text is UTF-8.
 *
 * The loops keep no branch per value: a disorder or a high bit is or-ed together and looked at in the end, so
 * that the compiler vectorises them, and a check costs a fraction of reading the bytes from memory.
 *
 * Text is validated whole: if the bytes of all rows together are UTF-8 and no row begins inside a character,
 * each row is. Only when that fails are the rows looked at one by one, because a producer may leave rubbish
 * under its nulls.
 */
#include <string.h>

#include "column/column_private.h"

/* ---- UTF-8 ---- */

static bool is_ascii(const uint8_t *bytes, size_t count)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < count; i++) seen |= bytes[i];
    return seen < 0x80;
}

bool kt_utf8_valid(const uint8_t *bytes, size_t count)
{
    enum { RUN = 64 };
    static const uint64_t high = 0x8080808080808080u;
    const uint8_t *p = bytes, *end = bytes + count;
    while (p < end) {
        if (*p >= 0x80) {
            size_t size = kt_utf8_character(p, end);
            if (!size) return false;
            p += size;
        } else if (end - p >= RUN && is_ascii(p, RUN)) {
            p += RUN;
        } else if (end - p >= 8 && !(kt_get_u64(p) & high)) {
            p += 8;
        } else {
            p++;
        }
    }
    return true;
}

/* Whether each of the texts that the offsets divide begins with a character, not inside one. */
static bool divided_well(const struct kt_array *array)
{
    bool narrow = kt_type_offset_bytes(array->field->type) == 4;
    const int32_t *offsets_32 = (const int32_t *)(const void *)array->values + array->offset;
    const int64_t *offsets_64 = (const int64_t *)(const void *)array->values + array->offset;
    int64_t last = kt_offset_at(array, array->length);
    unsigned inside = 0;
    for (int64_t row = 0; row < array->length; row++) {
        int64_t at = narrow ? offsets_32[row] : offsets_64[row];
        if (at < last) inside |= (array->data[at] & 0xc0) == 0x80;
    }
    return !inside;
}

/* ---- offsets ---- */

static bool rises_32(const int32_t *offsets, int64_t count)
{
    int32_t disorder = 0;
    for (int64_t i = 0; i < count; i++) disorder |= offsets[i + 1] < offsets[i];
    return !disorder && offsets[0] >= 0;
}

static bool rises_64(const int64_t *offsets, int64_t count)
{
    int64_t disorder = 0;
    for (int64_t i = 0; i < count; i++) disorder |= offsets[i + 1] < offsets[i];
    return !disorder && offsets[0] >= 0;
}

static kith_status check_offsets(const struct kt_array *array, int64_t limit, const char *column,
                                 kith_error *error)
{
    if (!array->length) return KITH_OK;
    bool narrow = kt_type_offset_bytes(array->field->type) == 4;
    bool rises = narrow
                     ? rises_32((const int32_t *)(const void *)array->values + array->offset, array->length)
                     : rises_64((const int64_t *)(const void *)array->values + array->offset, array->length);
    if (!rises) return kt_fail(error, KITH_INVALID, "the offsets of column \"%s\" do not rise", column);
    int64_t last = kt_offset_at(array, array->length);
    if (limit >= 0 && last > limit)
        return kt_fail(error, KITH_INVALID,
                       "the offsets of column \"%s\" end at %lld, beyond its %lld values", column,
                       (long long)last, (long long)limit);
    return KITH_OK;
}

kith_status kt_array_check_offsets(const struct kt_array *array, const struct kt_extent *extent,
                                   const char *column, kith_error *error)
{
    return check_offsets(array, array->field->child_count ? array->children[0].length : extent->data, column,
                         error);
}

static kith_status check_bytes(const struct kt_array *array, const char *column, kith_error *error)
{
    if (array->data || !array->length || kt_offset_at(array, 0) == kt_offset_at(array, array->length))
        return KITH_OK;
    return kt_fail(error, KITH_INVALID, "column \"%s\" has offsets but no bytes", column);
}

static kith_status check_text(const struct kt_array *array, const char *column, kith_error *error)
{
    int64_t count = 0;
    if (!array->length) return KITH_OK;
    int64_t first = kt_offset_at(array, 0), last = kt_offset_at(array, array->length);
    if (first == last) return KITH_OK;
    kith_status status = check_bytes(array, column, error);
    if (status) return status;
    if (is_ascii(array->data + first, (size_t)(last - first))) return KITH_OK;
    if (kt_utf8_valid(array->data + first, (size_t)(last - first)) && divided_well(array)) return KITH_OK;
    for (int64_t row = 0; row < array->length; row++) {
        const uint8_t *text = kt_array_bytes(array, row, &count);
        if (!kt_array_null(array, row) && !kt_utf8_valid(text, (size_t)count))
            return kt_fail(error, KITH_INVALID, "row %lld of column \"%s\" is not UTF-8", (long long)row,
                           column);
    }
    return KITH_OK;
}

/* ---- views and indices ---- */

static kith_status check_views(const struct kt_array *array, const struct kt_extent *extent,
                               const char *column, kith_error *error)
{
    bool text = array->field->type == KT_UTF8_VIEW;
    for (int64_t row = 0; row < array->length; row++) {
        const uint8_t *view = array->values + 16 * (array->offset + row);
        if (kt_array_null(array, row)) continue;
        int32_t length = (int32_t)kt_get_u32(view), buffer = (int32_t)kt_get_u32(view + 8);
        int64_t at = (int32_t)kt_get_u32(view + 12);
        if (length < 0)
            return kt_fail(error, KITH_INVALID, "row %lld of column \"%s\" has a negative length",
                           (long long)row, column);
        if (length > 12 &&
            (buffer < 0 || buffer >= extent->view_count || at < 0 || at > extent->views[buffer] - length))
            return kt_fail(error, KITH_INVALID, "row %lld of column \"%s\" lies outside its buffers",
                           (long long)row, column);
        int64_t count;
        const uint8_t *bytes = kt_array_bytes(array, row, &count);
        if (text && !kt_utf8_valid(bytes, (size_t)count))
            return kt_fail(error, KITH_INVALID, "row %lld of column \"%s\" is not UTF-8", (long long)row,
                           column);
    }
    return KITH_OK;
}

/* Whether an index, as unsigned numbers of `type`, is not below `limit`; without a branch, many at a time. */
#define ANY_FROM(type)                                                                                       \
    do {                                                                                                     \
        const type *restrict index = (const type *)(const void *)at, least = (type)limit;                    \
        unsigned from = 0;                                                                                   \
        for (int64_t i = 0; i < count; i++) from |= index[i] >= least;                                       \
        return from;                                                                                         \
    } while (0)
static bool any_from(const uint8_t *at, unsigned bytes, int64_t count, uint64_t limit)
{
    switch (bytes) {
    case 1:
        ANY_FROM(uint8_t);
    case 2:
        ANY_FROM(uint16_t);
    case 4:
        ANY_FROM(uint32_t);
    default:
        ANY_FROM(uint64_t);
    }
}
#undef ANY_FROM

/* Whether all indices are those of values; a negative one is above all others as an unsigned number, and so
 * it is where `limit` ends with the signed ones. False also where the type is no index, or lies askew. */
static bool all_inside(const struct kt_array *array, uint64_t values)
{
    unsigned bytes;
    bool is_signed = false;
    switch (array->field->index) {
    case KT_INT8:
        is_signed = true; /* fall through */
    case KT_UINT8:
        bytes = 1;
        break;
    case KT_INT16:
        is_signed = true; /* fall through */
    case KT_UINT16:
        bytes = 2;
        break;
    case KT_INT32:
        is_signed = true; /* fall through */
    case KT_UINT32:
        bytes = 4;
        break;
    case KT_INT64:
        is_signed = true; /* fall through */
    case KT_UINT64:
        bytes = 8;
        break;
    default:
        return false;
    }
    uint64_t most = UINT64_MAX >> (64 - 8 * bytes + is_signed);
    if (values > most && !is_signed) return true; /* every number of the type is one */
    uint64_t limit = values > most ? most + 1 : values;
    const uint8_t *at = array->values + (size_t)array->offset * bytes;
    return (uintptr_t)at % bytes == 0 && !any_from(at, bytes, array->length, limit);
}

static kith_status check_indices(const struct kt_array *array, const char *column, kith_error *error)
{
    enum { PIECE = 512 };
    int64_t indices[PIECE];
    uint64_t values = (uint64_t)array->children[0].length;
    if (!array->length || all_inside(array, values)) return KITH_OK;
    for (int64_t at = 0; at < array->length; at += PIECE) {
        int64_t count = array->length - at < PIECE ? array->length - at : PIECE;
        unsigned outside = 0;
        kt_array_integers(array, at, count, indices);
        for (int64_t i = 0; i < count; i++) outside |= (uint64_t)indices[i] >= values;
        for (int64_t i = 0; outside && i < count; i++) { /* what lies under a null is forgiven */
            if ((uint64_t)indices[i] < values ||
                (array->validity && !kt_bit(array->validity, (uint64_t)(array->offset + at + i))))
                continue;
            return kt_fail(error, KITH_INVALID,
                           "row %lld of column \"%s\" has dictionary index %lld of %llu values",
                           (long long)(at + i), column, (long long)indices[i], (unsigned long long)values);
        }
    }
    return KITH_OK;
}

kith_status kt_array_check(const struct kt_array *array, const struct kt_extent *extent, const char *column,
                           kith_error *error)
{
    kith_status status;
    switch (array->field->type) {
    case KT_UTF8:
    case KT_LARGE_UTF8:
        status = kt_array_check_offsets(array, extent, column, error);
        return status ? status : check_text(array, column, error);
    case KT_BINARY:
    case KT_LARGE_BINARY:
        status = kt_array_check_offsets(array, extent, column, error);
        return status ? status : check_bytes(array, column, error);
    case KT_LIST:
    case KT_LARGE_LIST:
        return kt_array_check_offsets(array, extent, column, error);
    case KT_UTF8_VIEW:
    case KT_BINARY_VIEW:
        return check_views(array, extent, column, error);
    case KT_DICTIONARY:
        return check_indices(array, column, error);
    default:
        return KITH_OK;
    }
}
