/* Lists and vectors.
 *
 * A list whose rows all have the length of the vector is a vector already: its numbers lie end to end, and
 * only their type may have to change. That is how nearly all vectors come (as lists, from Python), so it must
 * not cost a copy. Where a row is null or of another length, the numbers are laid out anew.
 *
 * NaN and Inf are looked for in the bits: all ones in the exponent. One or-ed comparison per number over the
 * whole column, which the compiler vectorises, tells in the usual case that nothing is wrong; only then rows
 * are looked at. Nulls among the numbers of a vector count as bad numbers too: a vector column stores none.
 */
#include <string.h>

#include "column/column_cast_private.h"

static int64_t item_begin(const struct kt_array *list, int64_t row)
{
    return list->field->type == KT_FIXED_LIST ? (list->offset + row) * list->field->width
                                              : kt_offset_at(list, row);
}

static int64_t item_count(const struct kt_array *list, int64_t row)
{
    return list->field->type == KT_FIXED_LIST ? list->field->width
                                              : kt_offset_at(list, row + 1) - kt_offset_at(list, row);
}

/* The items that the rows of a list reach, as an array. */
static struct kt_array items_of(const struct kt_array *list)
{
    struct kt_array items = list->children[0];
    int64_t first = list->length ? item_begin(list, 0) : 0, count = 0;
    if (list->length) count = item_begin(list, list->length - 1) + item_count(list, list->length - 1) - first;
    items.offset += first;
    items.length = count;
    return items;
}

static kith_status cast_items(struct cast *cast, const struct kt_array *items, struct kt_array *to,
                              bool may_round)
{
    struct cast inner = *cast;
    inner.aligned = false;
    inner.may_round = may_round;
    return kt_cast_array(&inner, items, to);
}

kith_status kt_cast_list(struct cast *cast, const struct kt_array *from, struct kt_array *to)
{
    struct kt_array items = items_of(from);
    int32_t *offsets = kt_cast_block(cast, from->length + 1, sizeof *offsets);
    if (!offsets || !kt_cast_validity(cast, from, &to->validity)) return kt_cast_memory(cast);
    if (items.length > INT32_MAX)
        return kt_fail(cast->error, KITH_INVALID,
                       "column \"%s\" would hold more than 2^31 - 1 items in one batch; send smaller batches",
                       cast->column);
    int64_t first = from->length ? item_begin(from, 0) : 0;
    offsets[0] = 0;
    for (int64_t i = 0; i < from->length; i++)
        offsets[i + 1] = (int32_t)(item_begin(from, i) + item_count(from, i) - first);
    to->values = (const uint8_t *)offsets;
    to->length = from->length;
    return cast_items(cast, &items, &to->children[0], false);
}

/* ---- fixed lists ---- */

static bool all_of_width(const struct kt_array *list, int64_t width)
{
    for (int64_t i = 0; i < list->length; i++)
        if (item_count(list, i) != width) return false;
    return true;
}

/* Writes `value` as a number of the item's type; false where it has no such value. */
static bool put_number(const struct kt_field *item, float value, uint8_t *to)
{
    int64_t whole = value >= -128 && value <= 255 ? (int64_t)value : -1000;
    double wide = (double)value;
    uint16_t half = kt_half_of(value);
    switch (item->type) {
    case KT_FLOAT32:
        memcpy(to, &value, 4);
        return true;
    case KT_FLOAT64:
        memcpy(to, &wide, 8);
        return true;
    case KT_FLOAT16:
        memcpy(to, &half, 2);
        return true;
    case KT_INT8:
    case KT_UINT8:
        *to = (uint8_t)whole;
        return (float)whole == value && whole >= (item->type == KT_INT8 ? -128 : 0) &&
               whole <= (item->type == KT_INT8 ? 127 : 255);
    default:
        return false;
    }
}

static kith_status cannot_fill(struct cast *cast, const struct kt_field *item)
{
    return kt_fail(cast->error, KITH_INVALID, "column \"%s\" cannot be filled with %g: its numbers are %s",
                   cast->column, (double)cast->options.fill_value, kt_type_name(item->type));
}

/* Lays rows of any length out as vectors of `width` numbers; `items` are the numbers, already of their new
 * type. */
static kith_status lay_out(struct cast *cast, const struct kt_array *from, const struct kt_array *items,
                           struct kt_array *to)
{
    const struct kt_field *item = items->field;
    int64_t width = to->field->width, first = from->length ? item_begin(from, 0) : 0;
    size_t bytes = kt_field_value_bytes(item), row_bytes = bytes * (size_t)width;
    uint8_t fill[8] = { 0 };
    uint8_t *values = kt_cast_block(cast, from->length * width, bytes);
    uint8_t *inner = items->validity ? kt_cast_block(cast, (from->length * width + 7) / 8, 1) : NULL;
    uint8_t *validity = kt_cast_block(cast, (from->length + 7) / 8, 1);
    bool fillable = put_number(item, cast->options.fill_value, fill), nulls = false;
    if (!values || !validity || (items->validity && !inner)) return kt_cast_memory(cast);
    kt_bits_fill(validity, 0, from->length, true);
    if (inner) kt_bits_fill(inner, 0, from->length * width, true);
    for (int64_t i = 0; i < from->length; i++) {
        uint8_t *out = values + (size_t)i * row_bytes;
        int64_t begin = item_begin(from, i) - first, count = item_count(from, i),
                taken = count < width ? count : width;
        bool absent = kt_array_null(from, i), wrong = !absent && count != width;
        char text[40];
        if (wrong && (cast->options.bad_vectors == KITH_BAD_ERROR || !cast->aligned))
            return kt_fail(cast->error, KITH_INVALID,
                           "column \"%s\" holds %lld numbers a vector, %s has %lld (on_bad_vectors can be "
                           "'error', 'drop', 'fill' or 'null')",
                           cast->column, (long long)width, kt_cast_row(cast, i, text), (long long)count);
        if (wrong && cast->options.bad_vectors == KITH_BAD_DROP && !kt_cast_drop(cast, i))
            return kt_cast_memory(cast);
        if (wrong && cast->options.bad_vectors == KITH_BAD_FILL && count < width && !fillable)
            return cannot_fill(cast, item);
        if (absent || (wrong && cast->options.bad_vectors != KITH_BAD_FILL)) {
            memset(out, 0, row_bytes);
            kt_bit_clear(validity, (uint64_t)i);
            nulls = true;
            continue;
        }
        if (taken)
            memcpy(out, items->values + (size_t)(items->offset + begin) * bytes, (size_t)taken * bytes);
        for (int64_t k = taken; k < width; k++) memcpy(out + (size_t)k * bytes, fill, bytes);
        if (inner) kt_bits_copy(inner, i * width, items->validity, items->offset + begin, taken);
    }
    to->validity = nulls ? validity : NULL;
    to->children[0].length = from->length * width;
    to->children[0].offset = 0;
    to->children[0].values = values;
    to->children[0].validity = inner;
    return KITH_OK;
}

kith_status kt_cast_fixed_list(struct cast *cast, const struct kt_array *from, struct kt_array *to)
{
    struct kt_array items = items_of(from);
    bool vectors = kt_field_is_vector(to->field);
    to->length = from->length;
    kith_status status = cast_items(cast, &items, &to->children[0], vectors);
    if (status) return status;
    if (all_of_width(from, to->field->width))
        return kt_cast_validity(cast, from, &to->validity) ? KITH_OK : kt_cast_memory(cast);
    if (!kt_field_value_bytes(&to->field->children[0])) return kt_cast_refuse(cast, from->field, to->field);
    items = to->children[0];
    return lay_out(cast, from, &items, to);
}

/* ---- bad numbers ---- */

static bool any_bad_f32(const uint8_t *values, int64_t count)
{
    const uint32_t *bits = (const uint32_t *)(const void *)values;
    uint32_t bad = 0;
    for (int64_t i = 0; i < count; i++) bad |= (bits[i] & 0x7f800000u) == 0x7f800000u;
    return bad;
}

static bool any_bad_f64(const uint8_t *values, int64_t count)
{
    const uint64_t *bits = (const uint64_t *)(const void *)values;
    uint64_t bad = 0;
    for (int64_t i = 0; i < count; i++) bad |= (bits[i] & 0x7ff0000000000000u) == 0x7ff0000000000000u;
    return bad != 0;
}

static bool any_bad_f16(const uint8_t *values, int64_t count)
{
    const uint16_t *bits = (const uint16_t *)(const void *)values;
    uint16_t bad = 0;
    for (int64_t i = 0; i < count; i++) bad |= (bits[i] & 0x7c00u) == 0x7c00u;
    return bad;
}

static bool any_bad(enum kt_type type, const uint8_t *values, int64_t count)
{
    switch (type) {
    case KT_FLOAT16:
        return any_bad_f16(values, count);
    case KT_FLOAT32:
        return any_bad_f32(values, count);
    case KT_FLOAT64:
        return any_bad_f64(values, count);
    default:
        return false;
    }
}

/* The first bad number of a row, or -1. */
static int64_t bad_at(const struct kt_array *vectors, int64_t row)
{
    const struct kt_array *item = &vectors->children[0];
    int64_t width = vectors->field->width, at = (vectors->offset + row) * width + item->offset;
    size_t bytes = kt_field_value_bytes(item->field);
    const uint8_t *values = kt_array_vector(vectors, row);
    bool nulls = item->validity && kt_bits_count(item->validity, at, width) < width;
    if (!nulls && !any_bad(item->field->type, values, width)) return -1;
    for (int64_t i = 0; i < width; i++)
        if ((nulls && !kt_bit(item->validity, (uint64_t)(at + i))) ||
            any_bad(item->field->type, values + (size_t)i * bytes, 1))
            return i;
    return -1;
}

struct repair { /* made when the first bad row comes */
    uint8_t *values, *validity;
};

/* A copy of a column's numbers, or of its nulls, that may be changed. */
static bool repair_begin(struct cast *cast, struct kt_array *vectors, struct repair *repair)
{
    int64_t width = vectors->field->width;
    size_t row_bytes = kt_field_value_bytes(vectors->children[0].field) * (size_t)width;
    if (cast->options.bad_vectors == KITH_BAD_FILL && !repair->values) {
        repair->values = kt_cast_block(cast, vectors->length, row_bytes);
        if (!repair->values) return false;
        memcpy(repair->values, kt_array_vector(vectors, 0), (size_t)vectors->length * row_bytes);
    }
    if (cast->options.bad_vectors == KITH_BAD_NULL && !repair->validity) {
        repair->validity = kt_cast_block(cast, (vectors->length + 7) / 8, 1);
        if (!repair->validity) return false;
        kt_bits_fill(repair->validity, 0, vectors->length, true);
        if (vectors->validity)
            kt_bits_copy(repair->validity, 0, vectors->validity, vectors->offset, vectors->length);
    }
    return true;
}

static kith_status fill_row(struct cast *cast, const struct kt_array *vectors, int64_t row, uint8_t *out)
{
    const struct kt_array *item = &vectors->children[0];
    int64_t width = vectors->field->width, at = (vectors->offset + row) * width + item->offset;
    size_t bytes = kt_field_value_bytes(item->field);
    uint8_t fill[8] = { 0 };
    if (!put_number(item->field, cast->options.fill_value, fill)) return cannot_fill(cast, item->field);
    for (int64_t i = 0; i < width; i++) {
        bool absent = item->validity && !kt_bit(item->validity, (uint64_t)(at + i));
        if (absent || any_bad(item->field->type, out + (size_t)i * bytes, 1))
            memcpy(out + (size_t)i * bytes, fill, bytes);
    }
    return KITH_OK;
}

static kith_status bad_row(struct cast *cast, struct kt_array *vectors, int64_t row, int64_t at,
                           struct repair *repair)
{
    char text[40];
    if (cast->options.bad_vectors == KITH_BAD_ERROR)
        return kt_fail(cast->error, KITH_INVALID,
                       "column \"%s\": the vector in %s has NaN, infinity or null at position %lld "
                       "(on_bad_vectors can be 'error', 'drop', 'fill' or 'null')",
                       cast->column, kt_cast_row(cast, row, text), (long long)at);
    if (cast->options.bad_vectors == KITH_BAD_DROP)
        return kt_cast_drop(cast, row) ? KITH_OK : kt_cast_memory(cast);
    if (!repair_begin(cast, vectors, repair)) return kt_cast_memory(cast);
    if (cast->options.bad_vectors == KITH_BAD_NULL) {
        kt_bit_clear(repair->validity, (uint64_t)row);
        return KITH_OK;
    }
    size_t row_bytes = kt_field_value_bytes(vectors->children[0].field) * (size_t)vectors->field->width;
    return fill_row(cast, vectors, row, repair->values + (size_t)row * row_bytes);
}

kith_status kt_cast_vectors(struct cast *cast, struct kt_array *vectors)
{
    struct kt_array *item = &vectors->children[0];
    int64_t width = vectors->field->width, numbers = vectors->length * width;
    struct repair repair = { 0 };
    kith_status status = KITH_OK;
    if (!numbers) return KITH_OK;
    if (!item->validity && !any_bad(item->field->type, kt_array_vector(vectors, 0), numbers)) return KITH_OK;
    for (int64_t row = 0; !status && row < vectors->length; row++) {
        if (kt_array_null(vectors, row) || (cast->dropped && kt_bit(cast->dropped, (uint64_t)row))) continue;
        int64_t at = bad_at(vectors, row);
        if (at >= 0) status = bad_row(cast, vectors, row, at, &repair);
    }
    if (status) return status;
    item->validity = NULL; /* what was null among the numbers is filled, or its row null or gone */
    if (!repair.values && !repair.validity) return KITH_OK;
    if (repair.validity) {
        item->offset += vectors->offset * width;
        item->length = numbers;
        vectors->offset = 0;
        vectors->validity = repair.validity;
    }
    if (repair.values) { /* begins at row 0, however far in the array begins */
        const uint8_t *validity;
        if (!kt_cast_validity(cast, vectors, &validity)) return kt_cast_memory(cast);
        vectors->validity = validity;
        vectors->offset = 0;
        item->values = repair.values;
        item->offset = 0;
        item->length = numbers;
    }
    return KITH_OK;
}
