/* Text, binary and dictionaries.
 *
 * Between the forms with offsets only the offsets change; the bytes are shared. Views are gathered into one
 * run of bytes. Text may become binary, binary becomes text only if it is UTF-8. Everything that becomes a
 * dictionary is encoded anew, row by row, so that the result has no text twice and no null among its values.
 */
#include <string.h>

#include "column/column_cast_private.h"

static kith_status too_long(struct cast *cast)
{
    return kt_fail(cast->error, KITH_INVALID,
                   "column \"%s\" would hold more than 2^31 - 1 bytes in one batch; send smaller batches",
                   cast->column);
}

static void put_offset(uint8_t *offsets, uint32_t size, int64_t at, int64_t value)
{
    memcpy(offsets + at * size, &value, size); /* little-endian: the low bytes */
}

/* Offsets of another width over the same bytes. */
static kith_status share_bytes(struct cast *cast, const struct kt_array *from, struct kt_array *to)
{
    uint32_t size = kt_type_offset_bytes(to->field->type);
    uint8_t *offsets = kt_cast_block(cast, from->length + 1, size);
    if (!offsets) return kt_cast_memory(cast);
    int64_t first = from->length ? kt_offset_at(from, 0) : 0,
            last = from->length ? kt_offset_at(from, from->length) : 0;
    if (size == 4 && last - first > INT32_MAX) return too_long(cast);
    put_offset(offsets, size, 0, 0);
    for (int64_t i = 1; i <= from->length; i++) put_offset(offsets, size, i, kt_offset_at(from, i) - first);
    to->values = offsets;
    to->data = from->data ? from->data + first : NULL;
    return KITH_OK;
}

/* Bytes end to end, wherever they were. */
static kith_status gather_bytes(struct cast *cast, const struct kt_array *from, struct kt_array *to)
{
    uint32_t size = kt_type_offset_bytes(to->field->type);
    uint8_t *offsets = kt_cast_block(cast, from->length + 1, size);
    int64_t total = 0, count;
    if (!offsets) return kt_cast_memory(cast);
    put_offset(offsets, size, 0, 0);
    for (int64_t i = 0; i < from->length; i++) {
        if (!kt_array_null(from, i)) {
            kt_array_bytes(from, i, &count);
            total += count;
        }
        put_offset(offsets, size, i + 1, total);
    }
    if (size == 4 && total > INT32_MAX) return too_long(cast);
    uint8_t *data = kt_cast_block(cast, total, 1), *at = data;
    if (!data) return kt_cast_memory(cast);
    for (int64_t i = 0; i < from->length; i++) {
        if (kt_array_null(from, i)) continue;
        const uint8_t *bytes = kt_array_bytes(from, i, &count);
        if (count) memcpy(at, bytes, (size_t)count);
        at += count;
    }
    to->values = offsets;
    to->data = data;
    return KITH_OK;
}

static kith_status fixed_bytes(struct cast *cast, const struct kt_array *from, struct kt_array *to)
{
    int64_t width = to->field->width, count;
    char text[40];
    uint8_t *values = kt_cast_block(cast, from->length, (size_t)width);
    if (!values) return kt_cast_memory(cast);
    for (int64_t i = 0; i < from->length; i++) {
        if (kt_array_null(from, i)) {
            memset(values + i * width, 0, (size_t)width);
            continue;
        }
        const uint8_t *bytes = kt_array_bytes(from, i, &count);
        if (count != width)
            return kt_fail(cast->error, KITH_INVALID, "column \"%s\" holds %lld bytes a row, %s has %lld",
                           cast->column, (long long)width, kt_cast_row(cast, i, text), (long long)count);
        if (width) memcpy(values + i * width, bytes, (size_t)width);
    }
    to->values = values;
    return KITH_OK;
}

kith_status kt_cast_bytes(struct cast *cast, const struct kt_array *from, struct kt_array *to)
{
    kith_status status;
    char text[40];
    bool becomes_text = kt_type_is_text(to->field->type) && !kt_type_is_text(from->field->type);
    if (kt_type_is_view(to->field->type) || (becomes_text && from->field->type == KT_FIXED_BINARY))
        return kt_cast_refuse(cast, from->field, to->field);
    if (!kt_cast_validity(cast, from, &to->validity)) return kt_cast_memory(cast);
    to->length = from->length;
    if (to->field->type == KT_FIXED_BINARY)
        status = fixed_bytes(cast, from, to);
    else if (kt_type_offset_bytes(from->field->type))
        status = share_bytes(cast, from, to);
    else
        status = gather_bytes(cast, from, to);
    for (int64_t i = 0; becomes_text && !status && i < to->length; i++) {
        int64_t count;
        const uint8_t *bytes = kt_array_bytes(to, i, &count);
        if (!kt_array_null(to, i) && !kt_utf8_valid(bytes, (size_t)count))
            status = kt_fail(cast->error, KITH_INVALID, "column \"%s\" holds text, %s is not UTF-8",
                             cast->column, kt_cast_row(cast, i, text));
    }
    return status;
}

/* ---- dictionaries ---- */

static bool speaks_text(const struct kt_field *field)
{
    return kt_type_is_text(field->type == KT_DICTIONARY ? field->children[0].type : field->type);
}

kith_status kt_cast_dictionary(struct cast *cast, const struct kt_array *from, struct kt_array *to)
{
    struct kt_text_map map = { 0 };
    kith_status status = KITH_OK;
    uint32_t width = kt_field_entry_bytes(to->field);
    if (!speaks_text(from->field) || !speaks_text(to->field))
        return kt_cast_refuse(cast, from->field, to->field);
    int64_t limit = width >= 4 ? INT32_MAX : (int64_t)1 << (8 * width - (to->field->index <= KT_INT64));
    uint8_t *indices = kt_cast_block(cast, from->length, width);
    uint8_t *validity = kt_cast_block(cast, (from->length + 7) / 8, 1);
    if (!indices || !validity) return kt_cast_memory(cast);
    memset(indices, 0, (size_t)from->length * width);
    memset(validity, 0, (size_t)(from->length + 7) / 8);
    bool nulls = false;
    for (int64_t i = 0; !status && i < from->length; i++) {
        int64_t count, index = 0;
        if (kt_array_null(from, i)) {
            nulls = true;
            continue;
        }
        const uint8_t *bytes = kt_array_bytes(from, i, &count);
        index = kt_text_map_add(&map, bytes, count);
        if (index < 0)
            status = kt_cast_memory(cast);
        else if (index >= limit)
            status = kt_fail(cast->error, KITH_INVALID,
                             "column \"%s\" has more distinct values than its %s indices can count",
                             cast->column, kt_type_name(to->field->index));
        memcpy(indices + i * width, &index, width);
        kt_bit_set(validity, (uint64_t)i);
    }
    to->length = from->length;
    to->values = indices;
    to->validity = nulls ? validity : NULL;
    if (!status) status = kt_text_map_yield(&map, cast->out, &to->children[0], cast->error);
    kt_text_map_release(&map);
    return status;
}

/* The values, cast once, then taken row by row. */
kith_status kt_cast_decode(struct cast *cast, const struct kt_array *from, struct kt_array *to)
{
    struct kt_schema *schema = NULL;
    struct kt_builder *builder = NULL;
    struct kt_batch *values = NULL, *taken = NULL;
    bool aligned = cast->aligned;
    struct kt_batch *owner = cast->out;
    kith_status status = kt_schema_new(to->field, 1, NULL, &schema, cast->error);
    if (!status) status = kt_batch_new(schema, from->children[0].length, &values, cast->error);
    if (!status) status = kt_builder_new(schema, from->length, &builder, cast->error);
    if (status) goto out;
    cast->aligned = false;
    cast->out = values;
    status = kt_cast_array(cast, &from->children[0], &values->columns[0]);
    cast->aligned = aligned;
    cast->out = owner;
    for (int64_t i = 0; !status && i < from->length; i++) {
        if (kt_array_null(from, i))
            status = kt_builder_append_nulls(builder, 0, 1, cast->error);
        else
            status =
                kt_builder_append(builder, 0, &values->columns[0], kt_array_integer(from, i), 1, cast->error);
    }
    if (status) goto out;
    status = kt_builder_finish(builder, &taken, cast->error);
    builder = NULL;
    if (!status) status = kt_batch_hold_batch(cast->out, taken, cast->error);
    if (!status) kt_array_adopt(to, &taken->columns[0]);
out:
    kt_builder_free(builder);
    kt_batch_release(values);
    kt_batch_release(taken);
    kt_schema_release(schema);
    return status;
}
