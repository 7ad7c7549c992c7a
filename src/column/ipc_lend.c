/* Arrays out of the body of a record batch, without a copy.
 *
 * Only the bytes of the rows asked for are taken from the source (a file under checksums reads and verifies
 * what is taken). A range that begins inside a byte of a bitmap begins up to seven rows early, with an offset
 * that says so; a column without a bitmap begins exactly. Children are cut likewise, each at its own place,
 * and their offsets are set so that Arrow's rule (read a child at the parent's index plus its own offset)
 * holds: they can be negative. For whole batches every cut is at zero, and so is every offset.
 *
 * The values are checked each time they are lent, because nothing remembers which rows were checked before;
 * the checks cost less than the hashing of the same bytes. Vectors have nothing to check.
 *
 * Compressed bodies: i64 uncompressed length (-1: stored as it is), then the zstd frame, per buffer. A
 * declared length is believed up to 256 MiB and a thousand times the compressed bytes.
 */
#include <string.h>
#include <zstd.h>

#include "column/ipc_private.h"

static const uint64_t LOADED_MAX = (uint64_t)256 << 20;
static const uint64_t RATIO_MAX = 1000;

static kith_status get(const struct ipc_source *source, uint64_t at, uint64_t count, const uint8_t **out,
                       kith_error *error)
{
    static const _Alignas(64) uint8_t nothing[64];
    *out = nothing;
    if (!count) return KITH_OK;
    if (source->file) return kt_view(source->file, at, count, out, error);
    *out = source->memory + at;
    return KITH_OK;
}

/* ---- compressed bodies ---- */

/* The uncompressed bytes of one buffer, from its prefix; *stored when they are not compressed at all. */
static kith_status loaded_bytes(const struct ipc_source *source, struct ipc_range range, uint64_t *bytes,
                                bool *stored, kith_error *error)
{
    const uint8_t *prefix;
    *bytes = 0;
    *stored = true;
    if (!range.size) return KITH_OK;
    if (range.size < 8)
        return kt_fail(error, KITH_CORRUPT, "%s: a compressed buffer has %llu bytes", source->name,
                       (unsigned long long)range.size);
    kith_status status = get(source, range.at, 8, &prefix, error);
    if (status) return status;
    int64_t declared = (int64_t)kt_get_u64(prefix);
    *stored = declared == -1;
    *bytes = *stored ? range.size - 8 : (uint64_t)declared;
    if (declared < -1 || *bytes > LOADED_MAX || (!*stored && *bytes > (range.size - 8) * RATIO_MAX))
        return kt_fail(error, KITH_CORRUPT,
                       "%s: a compressed buffer of %llu bytes claims to hold %lld; at most 256 MiB and 1000 "
                       "times are read",
                       source->name, (unsigned long long)range.size, (long long)declared);
    return KITH_OK;
}

static kith_status load_buffer(const struct ipc_source *source, struct ipc_range range, uint8_t *to,
                               uint64_t bytes, kith_error *error)
{
    const uint8_t *from;
    bool stored;
    uint64_t expected;
    kith_status status = loaded_bytes(source, range, &expected, &stored, error);
    if (status || !bytes) return status;
    status = get(source, range.at + 8, range.size - 8, &from, error);
    if (status) return status;
    if (expected != bytes)
        return kt_fail(error, KITH_CORRUPT, "%s: a compressed buffer changed while it was read",
                       source->name);
    if (stored) {
        memcpy(to, from, bytes);
        return KITH_OK;
    }
    size_t got = ZSTD_decompress(to, bytes, from, range.size - 8);
    if (!ZSTD_isError(got) && got == bytes) return KITH_OK;
    return kt_fail(error, KITH_CORRUPT, "%s: a zstd buffer cannot be decompressed: %s", source->name,
                   ZSTD_isError(got) ? ZSTD_getErrorName(got) : "it has another length than declared");
}

static bool fits(const struct kt_field *field, const struct ipc_record *record, uint32_t *node,
                 const struct ipc_range *buffers, uint32_t first)
{
    const struct ipc_node *at = &record->nodes[(*node)++];
    if (!kt_ipc_sizes_fit(field, at, buffers + (at->buffer - first))) return false;
    for (uint32_t i = 0; field->type != KT_DICTIONARY && i < field->child_count; i++)
        if (!fits(&field->children[i], record, node, buffers, first)) return false;
    return true;
}

kith_status kt_ipc_load(const struct ipc_source *source, const struct ipc_record *record,
                        const struct kt_field *field, uint32_t node, struct ipc_loaded **out,
                        kith_error *error)
{
    uint32_t first = record->nodes[node].buffer, after = node + kt_ipc_nodes(field);
    uint32_t end = after < record->node_count ? record->nodes[after].buffer : record->buffer_count;
    struct ipc_loaded *loaded = kt_alloc_zero(1, sizeof *loaded + (end - first) * sizeof *loaded->buffers);
    kith_status status = KITH_OK;
    uint64_t total = 0;
    bool stored;

    if (!loaded) return kt_fail_memory(error, sizeof *loaded);
    loaded->buffers = (struct ipc_range *)(void *)(loaded + 1);
    loaded->first = first;
    for (uint32_t i = 0; !status && i < end - first; i++) {
        loaded->buffers[i].at = total;
        status = loaded_bytes(source, record->buffers[first + i], &loaded->buffers[i].size, &stored, error);
        total += kt_round_up(loaded->buffers[i].size, IPC_ALIGN);
    }
    if (status) goto out;
    if (!fits(field, record, &node, loaded->buffers, first)) {
        status = kt_fail(error, KITH_CORRUPT, "%s: a buffer of column \"%s\" is shorter than its rows",
                         source->name, field->name);
        goto out;
    }
    loaded->memory = kt_block_new(total);
    if (!loaded->memory) status = kt_fail_memory(error, total);
    for (uint32_t i = 0; !status && i < end - first; i++)
        status = load_buffer(source, record->buffers[first + i], loaded->memory + loaded->buffers[i].at,
                             loaded->buffers[i].size, error);
    if (status) goto out;
    *out = loaded;
    loaded = NULL;
out:
    kt_ipc_loaded_free(loaded);
    return status;
}

void kt_ipc_loaded_free(struct ipc_loaded *loaded)
{
    if (!loaded) return;
    kt_block_free(loaded->memory);
    kt_free(loaded);
}

/* ---- lending ---- */

/* The record's buffer number `number`, in the source or decompressed. */
static struct ipc_range range_of(const struct ipc_lend *lend, uint32_t number)
{
    return lend->loaded ? lend->loaded->buffers[number - lend->loaded->first] : lend->record->buffers[number];
}

static kith_status get_part(const struct ipc_lend *lend, uint32_t buffer, uint64_t at, uint64_t count,
                            const uint8_t **out, kith_error *error)
{
    struct ipc_source memory = { .memory = lend->loaded ? lend->loaded->memory : NULL };
    return get(lend->loaded ? &memory : &lend->source, range_of(lend, buffer).at + at, count, out, error);
}

/* What content checks find wrong in a file is damage to the file. */
static kith_status as_damage(const struct ipc_lend *lend, kith_status status, kith_error *error)
{
    if (status != KITH_INVALID) return status;
    kith_error inner = { 0 };
    if (error) inner = *error;
    return kt_fail(error, KITH_CORRUPT, "%s: %.900s", lend->source.name, inner.message);
}

static kith_status lend_views(struct ipc_lend *lend, const struct ipc_node *node, struct kt_array *array,
                              struct kt_extent *extent, kith_error *error)
{
    kith_status status = KITH_OK;
    if (!lend->owner)
        return kt_fail(error, KITH_UNSUPPORTED,
                       "%s: column \"%s\" holds views, which are read as whole batches only",
                       lend->source.name, array->field->name);
    const uint8_t **buffers =
        kt_batch_block(lend->owner, (node->views + 1) * (sizeof *buffers + sizeof(int64_t)));
    if (!buffers) return kt_fail_memory(error, node->views * sizeof *buffers);
    int64_t *sizes = (int64_t *)(void *)(buffers + node->views);
    for (uint32_t i = 0; !status && i < node->views; i++) {
        uint64_t size = range_of(lend, node->buffer + 2 + i).size;
        sizes[i] = (int64_t)size;
        status = get_part(lend, node->buffer + 2 + i, 0, size, &buffers[i], error);
    }
    array->view_buffers = buffers;
    extent->views = sizes;
    extent->view_count = node->views;
    return status;
}

/* The bytes that the offsets, which were found to rise, reach. */
static kith_status lend_bytes(struct ipc_lend *lend, const struct ipc_node *node, struct kt_array *array,
                              kith_error *error)
{
    const uint8_t *bytes;
    if (!array->length) return KITH_OK;
    int64_t first = kt_offset_at(array, 0), last = kt_offset_at(array, array->length);
    kith_status status =
        get_part(lend, node->buffer + 2, (uint64_t)first, (uint64_t)(last - first), &bytes, error);
    array->data =
        (const uint8_t *)((uintptr_t)bytes - (uintptr_t)first); /* so that offsets lead to their bytes */
    return status;
}

static kith_status lend_values(struct ipc_lend *lend, const struct ipc_node *node, struct kt_array *array,
                               uint64_t begin, uint64_t count, struct kt_extent *extent, kith_error *error)
{
    static const int64_t no_offsets[2] = { 0, 0 };
    const struct kt_field *field = array->field;
    uint32_t entry = kt_field_entry_bytes(field), offsets = kt_type_offset_bytes(field->type),
             values = node->buffer + 1;
    if (field->type == KT_NULL || field->type == KT_STRUCT || field->type == KT_FIXED_LIST) return KITH_OK;
    if (field->type == KT_BOOL)
        return get_part(lend, values, begin / 8, (count + 7) / 8, &array->values, error);
    if (offsets && !array->length) {
        array->values = (const uint8_t *)no_offsets;
        array->offset = 0;
        array->validity = NULL;
        return KITH_OK;
    }
    kith_status status =
        get_part(lend, values, begin * entry, (count + (offsets ? 1 : 0)) * entry, &array->values, error);
    if (!status && kt_type_is_view(field->type)) status = lend_views(lend, node, array, extent, error);
    if (!status && offsets && !field->child_count)
        extent->data = (int64_t)range_of(lend, node->buffer + 2).size;
    return status;
}

static kith_status lend_field(struct ipc_lend *lend, struct kt_array *array, uint64_t row, uint64_t count,
                              kith_error *error);

static kith_status lend_children(struct ipc_lend *lend, struct kt_array *array, uint64_t row, uint64_t count,
                                 kith_error *error)
{
    const struct kt_field *field = array->field;
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < field->child_count; i++) {
        struct kt_array *child = &array->children[i];
        int64_t begin = (int64_t)row, items = (int64_t)count,
                seen = array->offset; /* where this array sees the first item */
        if (field->type == KT_FIXED_LIST) {
            begin *= field->width;
            items *= field->width;
            seen *= field->width;
        } else if (field->type != KT_STRUCT) {
            begin = count ? kt_offset_at(array, 0) : 0;
            items = count ? kt_offset_at(array, (int64_t)count) - begin : 0;
            seen = begin;
            if (!row) { /* a whole batch: from its first item, whether offsets begin there or not */
                items += begin;
                begin = seen = 0;
            }
        }
        status = lend_field(lend, child, (uint64_t)begin, (uint64_t)items, error);
        child->offset -= seen;
        child->length = seen + items;
    }
    return status;
}

static kith_status lend_field(struct ipc_lend *lend, struct kt_array *array, uint64_t row, uint64_t count,
                              kith_error *error)
{
    const struct kt_field *field = array->field;
    const struct ipc_node *node = &lend->record->nodes[lend->node++];
    static const int64_t no_value = 0;
    struct kt_extent extent = { .data = -1 };
    if (row > (uint64_t)node->length || count > (uint64_t)node->length - row)
        return kt_fail(error, KITH_CORRUPT, "%s: column \"%s\" has %lld values, %llu are needed",
                       lend->source.name, field->name, (long long)node->length,
                       (unsigned long long)(row + count));
    bool bits = node->nulls || field->type == KT_BOOL;
    uint64_t early = bits ? row & 7 : 0, begin = row - early;
    array->offset = (int64_t)early;
    array->length = (int64_t)count;
    array->validity = array->data = array->values = NULL;
    array->view_buffers = NULL;
    kith_status status = KITH_OK;
    if (node->nulls && field->type != KT_NULL)
        status = get_part(lend, node->buffer, begin / 8, (count + early + 7) / 8, &array->validity, error);
    if (!status) status = lend_values(lend, node, array, begin, count + early, &extent, error);
    if (status) return status;
    if (field->type == KT_DICTIONARY) {
        struct kt_batch *values =
            *lend->dictionaries++; /* none is one without values: only nulls may refer to it */
        struct kt_array none = { .field = &field->children[0], .values = (const uint8_t *)&no_value };
        kt_array_adopt(&array->children[0], values ? &values->columns[0] : &none);
    } else if (field->child_count) {
        array->children[0].length =
            lend->record->nodes[lend->node].length; /* what offsets are measured against */
    }
    if (kt_type_offset_bytes(field->type)) {
        status = kt_array_check_offsets(array, &extent, field->name, error);
        if (!status && !field->child_count) status = lend_bytes(lend, node, array, error);
    }
    if (!status) status = kt_array_check(array, &extent, field->name, error);
    if (status) return as_damage(lend, status, error);
    return field->type == KT_DICTIONARY ? KITH_OK : lend_children(lend, array, row, count, error);
}

kith_status kt_ipc_lend(struct ipc_lend *lend, struct kt_array *array, uint64_t row, uint64_t count,
                        kith_error *error)
{
    return lend_field(lend, array, row, count, error);
}

/* ---- whole batches ---- */

kith_status kt_ipc_make_batch(const struct ipc_source *source, const struct ipc_record *record,
                              struct kt_schema *schema, struct kt_batch *const *dictionaries,
                              struct kt_batch **out, kith_error *error)
{
    struct kt_batch *batch = NULL;
    kith_status status = kt_batch_new(schema, (int64_t)record->rows, &batch, error);
    if (status) return status;
    struct ipc_lend lend = {
        .source = *source, .record = record, .dictionaries = dictionaries, .owner = batch
    };
    for (uint32_t i = 0; !status && i < schema->count; i++) {
        struct ipc_loaded *loaded = NULL;
        if (record->zstd) {
            status = kt_ipc_load(source, record, &schema->fields[i], lend.node, &loaded, error);
            if (status) break;
            kt_batch_own(batch, loaded->memory);
        }
        lend.loaded = loaded;
        status = kt_ipc_lend(&lend, &batch->columns[i], 0, record->rows, error);
        if (loaded) loaded->memory = NULL; /* the batch's */
        kt_ipc_loaded_free(loaded);
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < schema->count; i++) count += kt_ipc_dictionaries(&schema->fields[i]);
    for (uint32_t i = 0; !status && i < count; i++)
        if (dictionaries[i]) status = kt_batch_hold_batch(batch, dictionaries[i], error);
    if (status)
        kt_batch_release(batch);
    else
        *out = batch;
    return status;
}

kith_status kt_ipc_values_schema(const struct kt_field *dictionary, struct kt_schema **out, kith_error *error)
{
    return kt_schema_new(&dictionary->children[0], 1, NULL, out, error);
}

kith_status kt_ipc_join(struct kt_batch *values, struct kt_batch *more, struct kt_batch **out,
                        kith_error *error)
{
    struct kt_builder *builder = NULL;
    kith_status status = kt_builder_new(values->schema, values->rows + more->rows, &builder, error);
    if (status) return status;
    status =
        kt_builder_append(builder, 0, &values->columns[0], 0, values->rows, error); /* which refuses views */
    if (!status) status = kt_builder_append(builder, 0, &more->columns[0], 0, more->rows, error);
    if (!status) return kt_builder_finish(builder, out, error);
    kt_builder_free(builder);
    return status;
}
