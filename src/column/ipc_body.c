/* Arrays as the body of a record batch: a list of nodes (length, nulls) and of buffers, in pre-order.
 *
 * Only the rows asked for are written. Where they begin in the middle of an array its buffers are mostly
 * written as they lie, from that row on; copied are only bitmaps that begin inside a byte and offsets that do
 * not begin at zero. The copies live in the body's scratch until the batch is written.
 *
 * Buffers begin at multiples of 64 in the body; their bytes are not padded in the metadata, only in the file.
 * A bitmap without nulls is not written, as the format allows.
 */
#include <string.h>

#include "column/ipc_private.h"

void kt_ipc_body_clear(struct ipc_body *body)
{
    kt_arena_clear(&body->scratch);
    body->nodes.size = body->buffers.size = body->pieces.size = 0;
    body->bytes = 0;
}

void kt_ipc_body_release(struct ipc_body *body)
{
    kt_arena_release(&body->scratch);
    kt_buffer_release(&body->nodes);
    kt_buffer_release(&body->buffers);
    kt_buffer_release(&body->pieces);
}

static bool add_node(struct ipc_body *body, int64_t length, int64_t nulls)
{
    int64_t node[2] = { length, nulls };
    return kt_buffer_append(&body->nodes, node, sizeof node);
}

static bool add_buffer(struct ipc_body *body, const uint8_t *bytes, int64_t size)
{
    int64_t buffer[2] = { (int64_t)body->bytes, size };
    body->bytes += kt_round_up((uint64_t)size, IPC_ALIGN);
    return kt_buffer_append(&body->buffers, buffer, sizeof buffer) &&
           kt_buffer_append(&body->pieces, &bytes, sizeof(const uint8_t *));
}

static bool add_bits(struct ipc_body *body, const uint8_t *bits, int64_t at, int64_t count)
{
    int64_t bytes = (count + 7) / 8;
    if (!bits || at % 8 == 0) return add_buffer(body, bits ? bits + at / 8 : NULL, bits ? bytes : 0);
    uint8_t *copy = kt_arena_take(&body->scratch, (size_t)bytes, 1);
    if (!copy) return false;
    if (bytes) copy[bytes - 1] = 0;
    kt_bits_copy(copy, 0, bits, at, count);
    return add_buffer(body, copy, bytes);
}

static bool add_offsets(struct ipc_body *body, const struct kt_array *array, int64_t row, int64_t count)
{
    static const int64_t zero = 0;
    int64_t size = kt_type_offset_bytes(array->field->type);
    if (!count) return add_buffer(body, (const uint8_t *)&zero, size);
    int64_t first = kt_offset_at(array, row);
    const uint8_t *from = array->values + (array->offset + row) * size;
    if (!first) return add_buffer(body, from, (count + 1) * size);
    uint8_t *copy = kt_arena_take(&body->scratch, (size_t)count + 1, (size_t)size);
    if (!copy) return false;
    for (int64_t i = 0; size == 4 && i <= count; i++)
        ((int32_t *)(void *)copy)[i] = ((const int32_t *)(const void *)from)[i] - (int32_t)first;
    for (int64_t i = 0; size == 8 && i <= count; i++)
        ((int64_t *)(void *)copy)[i] = ((const int64_t *)(const void *)from)[i] - first;
    return add_buffer(body, copy, (count + 1) * size);
}

static bool add_values(struct ipc_body *body, const struct kt_array *array, int64_t row, int64_t count)
{
    const struct kt_field *field = array->field;
    int64_t at = array->offset + row, entry = kt_field_entry_bytes(field);
    if (field->type == KT_NULL || field->type == KT_STRUCT || field->type == KT_FIXED_LIST) return true;
    if (field->type == KT_BOOL) return add_bits(body, array->values, at, count);
    if (!kt_type_offset_bytes(field->type))
        return add_buffer(body, count ? array->values + at * entry : NULL, count * entry);
    if (!add_offsets(body, array, row, count)) return false;
    if (field->child_count) return true;
    int64_t first = count ? kt_offset_at(array, row) : 0, last = count ? kt_offset_at(array, row + count) : 0;
    return add_buffer(body, last > first ? array->data + first : NULL, last - first);
}

static kith_status encode_children(struct ipc_encode *encode, const struct kt_array *array, int64_t row,
                                   int64_t count, kith_error *error)
{
    const struct kt_field *field = array->field;
    int64_t at = array->offset + row;
    kith_status status = KITH_OK;
    if (kt_type_offset_bytes(field->type)) {
        int64_t first = count ? kt_offset_at(array, row) : 0,
                last = count ? kt_offset_at(array, row + count) : 0;
        return kt_ipc_encode(encode, &array->children[0], first, last - first, error);
    }
    if (field->type == KT_FIXED_LIST)
        return kt_ipc_encode(encode, &array->children[0], at * field->width, count * field->width, error);
    for (uint32_t i = 0; !status && i < field->child_count; i++)
        status = kt_ipc_encode(encode, &array->children[i], at, count, error);
    return status;
}

kith_status kt_ipc_encode(struct ipc_encode *encode, const struct kt_array *array, int64_t row, int64_t count,
                          kith_error *error)
{
    struct ipc_body *body = encode->body;
    struct kt_array recoded = *array;
    bool coded = array->field->type == KT_DICTIONARY;
    if (coded) {
        kith_status status =
            encode->recode(encode->context, encode->dictionary++, array, row, count, &recoded, error);
        if (status) return status;
        if (recoded.values != array->values) row = 0; /* made for these rows */
    }
    int64_t at = recoded.offset + row;
    int64_t nulls = recoded.validity ? count - kt_bits_count(recoded.validity, at, count) : 0;
    if (array->field->type == KT_NULL) nulls = count;
    bool fine = add_node(body, count, nulls);
    if (array->field->type != KT_NULL)
        fine = fine && add_bits(body, nulls ? recoded.validity : NULL, at, count);
    fine = fine && add_values(body, &recoded, row, count);
    if (!fine)
        return kt_fail(error, KITH_NO_MEMORY, "out of memory while column \"%s\" was written",
                       array->field->name);
    return coded || !array->field->child_count ? KITH_OK : encode_children(encode, array, row, count, error);
}
