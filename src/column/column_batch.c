/* Batches: arrays, and whatever their buffers point into.
 *
 * A batch owns nothing but holds: small things in a list, each with a release function. An imported batch
 * holds the producer's ArrowArray, a slice the batch it was cut from, one read from a file the file, one that
 * was built a few blocks of memory. So that a built batch costs no allocation per buffer beyond the buffer, a
 * block carries its hold in the 64 bytes in front of it.
 *
 * Always true here:
 *   - the arrays of a batch, nested ones too, are one allocation, wired to the fields of its schema;
 *   - a batch never changes once its maker gave it away; sharing costs one atomic addition;
 *   - no offset in a batch is negative (in arrays that kt_ipc_column() lends it may be).
 */
#include <string.h>

#include "column/column_private.h"

enum { BLOCK_HEADER = 64 };
_Static_assert(sizeof(struct kt_hold) <= BLOCK_HEADER, "the hold of a block lies in front of it");

/* ---- memory ---- */

static void block_release(struct kt_hold *hold)
{
    kt_free(hold);
}

void *kt_block_new(size_t bytes)
{
    size_t whole;
    if (__builtin_add_overflow(bytes, BLOCK_HEADER, &whole)) return NULL;
    struct kt_hold *hold = kt_alloc_aligned(whole);
    if (!hold) return NULL;
    *hold = (struct kt_hold){ .release = block_release };
    return (uint8_t *)hold + BLOCK_HEADER;
}

void kt_block_free(void *block)
{
    if (block) kt_free((uint8_t *)block - BLOCK_HEADER);
}

void kt_batch_hold(struct kt_batch *batch, struct kt_hold *hold)
{
    hold->next = batch->holds;
    batch->holds = hold;
}

void kt_batch_own(struct kt_batch *batch, void *block)
{
    if (block) kt_batch_hold(batch, (struct kt_hold *)(void *)((uint8_t *)block - BLOCK_HEADER));
}

void *kt_batch_block(struct kt_batch *batch, size_t bytes)
{
    void *block = kt_block_new(bytes);
    kt_batch_own(batch, block);
    return block;
}

struct batch_hold {
    struct kt_hold hold;
    struct kt_batch *batch;
};

static void batch_hold_release(struct kt_hold *hold)
{
    kt_batch_release(((struct batch_hold *)(void *)hold)->batch);
    kt_free(hold);
}

kith_status kt_batch_hold_batch(struct kt_batch *batch, const struct kt_batch *other, kith_error *error)
{
    struct batch_hold *hold = kt_alloc(sizeof *hold);
    if (!hold) return kt_fail_memory(error, sizeof *hold);
    *hold = (struct batch_hold){ { NULL, batch_hold_release }, kt_batch_share(other) };
    kt_batch_hold(batch, &hold->hold);
    return KITH_OK;
}

/* ---- arrays ---- */

struct kt_array *kt_array_wire(struct kt_array *array, const struct kt_field *field, struct kt_array *room)
{
    array->field = field;
    array->children = field->child_count ? room : NULL;
    struct kt_array *next = room + field->child_count;
    for (uint32_t i = 0; i < field->child_count; i++)
        next = kt_array_wire(&room[i], &field->children[i], next);
    return next;
}

void kt_array_adopt(struct kt_array *to, const struct kt_array *from)
{
    const struct kt_field *field = to->field;
    struct kt_array *children = to->children;
    *to = *from;
    to->field = field;
    to->children = children;
    for (uint32_t i = 0; i < field->child_count; i++) kt_array_adopt(&children[i], &from->children[i]);
}

/* ---- batches ---- */

kith_status kt_batch_new(struct kt_schema *schema, int64_t rows, struct kt_batch **out, kith_error *error)
{
    uint64_t nodes = 0;
    for (uint32_t i = 0; i < schema->count; i++) nodes += kt_field_nodes(&schema->fields[i]);
    size_t head = kt_round_up(sizeof(struct kt_batch), _Alignof(struct kt_array));
    size_t bytes = head + nodes * sizeof(struct kt_array);
    struct kt_batch *batch = kt_alloc_zero(1, bytes);
    if (!batch) return kt_fail_memory(error, bytes);
    atomic_init(&batch->references, 1);
    batch->schema = kt_schema_share(schema);
    batch->rows = rows;
    batch->columns = (struct kt_array *)(void *)((uint8_t *)batch + head);
    struct kt_array *room = batch->columns + schema->count;
    for (uint32_t i = 0; i < schema->count; i++)
        room = kt_array_wire(&batch->columns[i], &schema->fields[i], room);
    *out = batch;
    return KITH_OK;
}

struct kt_batch *kt_batch_share(const struct kt_batch *batch)
{
    struct kt_batch *shared = (struct kt_batch *)(uintptr_t)batch; /* only the count changes */
    atomic_fetch_add_explicit(&shared->references, 1, memory_order_relaxed);
    return shared;
}

void kt_batch_release(struct kt_batch *batch)
{
    if (!batch || atomic_fetch_sub_explicit(&batch->references, 1, memory_order_acq_rel) != 1) return;
    struct kt_hold *hold = batch->holds;
    while (hold) {
        struct kt_hold *next = hold->next;
        hold->release(hold);
        hold = next;
    }
    kt_schema_release(batch->schema);
    kt_free(batch);
}

kith_status kt_batch_slice(const struct kt_batch *batch, int64_t begin, int64_t count, struct kt_batch **out,
                           kith_error *error)
{
    struct kt_batch *slice = NULL;
    if (begin < 0 || count < 0 || begin > batch->rows || count > batch->rows - begin)
        return kt_fail(error, KITH_INVALID, "rows %lld to %lld are not in a batch of %lld", (long long)begin,
                       (long long)(begin + count), (long long)batch->rows);
    kith_status status = kt_batch_new(batch->schema, count, &slice, error);
    if (!status) status = kt_batch_hold_batch(slice, batch, error);
    if (status) goto out;
    for (uint32_t i = 0; i < batch->schema->count; i++) {
        kt_array_adopt(&slice->columns[i], &batch->columns[i]);
        slice->columns[i].offset += begin;
        slice->columns[i].length = count;
    }
    *out = slice;
    slice = NULL;
out:
    kt_batch_release(slice);
    return status;
}

static uint64_t range_bytes(const struct kt_array *array, int64_t row, int64_t count)
{
    const struct kt_field *field = array->field;
    uint64_t bytes = array->validity ? (uint64_t)count / 8 : 0;
    bytes += field->type == KT_BOOL ? (uint64_t)count / 8 : (uint64_t)count * kt_field_entry_bytes(field);
    bool lists = field->type == KT_LIST || field->type == KT_LARGE_LIST;
    if (kt_type_offset_bytes(field->type) && count > 0) {
        int64_t first = kt_offset_at(array, row), last = kt_offset_at(array, row + count);
        if (lists)
            bytes += range_bytes(&array->children[0], first, last - first);
        else
            bytes += (uint64_t)(last - first);
    } else if (kt_type_is_view(field->type)) {
        for (int64_t i = 0, size; i < count; i++) {
            if (kt_array_null(array, row + i)) continue;
            kt_array_bytes(array, row + i, &size);
            bytes += size > 12 ? (uint64_t)size : 0;
        }
    } else if (field->type == KT_FIXED_LIST) {
        bytes += range_bytes(&array->children[0], (array->offset + row) * field->width, count * field->width);
    } else if (field->type == KT_STRUCT) {
        for (uint32_t i = 0; i < field->child_count; i++)
            bytes += range_bytes(&array->children[i], array->offset + row, count);
    } else if (field->type == KT_DICTIONARY) {
        bytes += range_bytes(&array->children[0], 0, array->children[0].length);
    }
    return bytes;
}

uint64_t kt_batch_bytes(const struct kt_batch *batch)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < batch->schema->count; i++)
        bytes += range_bytes(&batch->columns[i], 0, batch->rows);
    return bytes;
}
