/* Turning batches into fragments: which rows go into which file.
 *
 * A fragment has a file for each vector column and one for all other columns, each an Arrow IPC file with
 * the same record batches. Batches that arrive small are put together until they are worth a record batch;
 * large ones are written as they lie, without a copy. A fragment ends at a million rows or 256 MiB of
 * vectors. Fewer than 64 KiB of rows in all become inline bytes instead: they travel in the commit itself,
 * so that adding one row costs one file and one sync.
 *
 * A table with dictionary columns gets one record batch a fragment: an Arrow file has one dictionary a
 * column, so all its values must be known before the first batch is written; such fragments end earlier.
 */
#include "table/table_private.h"

enum {
    INLINE_BYTES = 64 * 1024,
    BATCH_ROWS = 64 * 1024, /* enough rows for a record batch */
    BATCH_BYTES = 16 * 1024 * 1024,
    FRAGMENT_ROWS = 1024 * 1024,
    FRAGMENT_BYTES = 256 * 1024 * 1024,
    DICTIONARY_FRAGMENT_BYTES = 64 * 1024 * 1024,
};

struct group_writer {
    struct kt_sink *sink;
    struct kt_ipc_writer *writer;
    struct kt_column_group group;
};

static bool has_dictionary(const struct kt_schema *schema)
{
    for (uint32_t i = 0; i < schema->count; i++)
        if (schema->fields[i].type == KT_DICTIONARY) return true;
    return false;
}

void kt_fragment_free(struct kt_fragment *fragment)
{
    for (uint32_t g = 0; g < fragment->group_count; g++) kt_free(fragment->groups[g].fields);
    kt_free(fragment->groups);
    kt_bytes_release(fragment->inline_rows);
    kt_bytes_release(fragment->stored);
    kt_bytes_release(fragment->holes);
    json_decref(fragment->stats);
    *fragment = (struct kt_fragment){ 0 };
}

static void pending_clear(struct kt_fragments *fragments)
{
    for (size_t i = 0; i < fragments->pending_count; i++) kt_batch_release(fragments->pending[i]);
    fragments->pending_count = 0;
    fragments->pending_rows = fragments->pending_bytes = 0;
}

static void groups_abandon(struct kt_fragments *fragments)
{
    for (uint32_t g = 0; fragments->groups && g < fragments->group_count; g++) {
        struct group_writer *group = &fragments->groups[g];
        kt_ipc_abandon(group->writer);
        kt_sink_abandon(group->sink);
        kt_free(group->group.fields);
    }
    kt_free(fragments->groups);
    fragments->groups = NULL;
    fragments->group_count = 0;
}

void kt_fragments_release(struct kt_fragments *fragments)
{
    pending_clear(fragments);
    groups_abandon(fragments);
    for (uint32_t i = 0; i < fragments->done_count; i++) kt_fragment_free(&fragments->done[i]);
    kt_free(fragments->done);
    kt_free(fragments->pending);
    json_decref(fragments->stats);
    *fragments = (struct kt_fragments){ 0 };
}

/* ---- one fragment's files */

static kith_status group_open(struct kt_fragments *fragments, const uint32_t *columns, uint32_t count,
                              uint32_t block_bytes, kith_error *error)
{
    struct group_writer *group = &fragments->groups[fragments->group_count];
    group->group.fields = kt_alloc_array(count, sizeof *group->group.fields);
    if (!group->group.fields) return kt_fail_memory(error, count * sizeof *group->group.fields);
    fragments->group_count++;
    group->group.field_count = count;
    for (uint32_t i = 0; i < count; i++) group->group.fields[i] = fragments->schema->fields[columns[i]].id;
    kith_status status = kt_txn_create(fragments->txn, "data", "arrow", block_bytes, &group->sink,
                                       group->group.file.name, error);
    if (!status)
        status =
            kt_ipc_begin(group->sink, KT_IPC_FILE, fragments->schema, columns, count, &group->writer, error);
    return status;
}

static kith_status groups_open(struct kt_fragments *fragments, kith_error *error)
{
    const struct kt_schema *schema = fragments->schema;
    uint32_t *others = kt_alloc_array(schema->count, sizeof *others), other_count = 0;
    fragments->groups = kt_alloc_zero(schema->count + 1, sizeof *fragments->groups);
    kith_status status =
        others && fragments->groups ? KITH_OK : kt_fail_memory(error, schema->count * sizeof *others);
    for (uint32_t i = 0; i < schema->count && !status; i++) {
        if (kt_field_is_vector(&schema->fields[i]))
            status = group_open(fragments, &i, 1, KT_BLOCK_VECTORS, error);
        else
            others[other_count++] = i;
    }
    if (!status && other_count) status = group_open(fragments, others, other_count, KT_BLOCK_COLUMNS, error);
    kt_free(others);
    json_decref(fragments->stats);
    fragments->stats = json_array();
    if (!status && !fragments->stats) status = kt_fail_memory(error, 64);
    return status;
}

static kith_status fragment_close(struct kt_fragments *fragments, kith_error *error)
{
    if (!fragments->groups) return KITH_OK;
    struct kt_fragment fragment = { .rows = fragments->rows };
    struct kt_fragment *done = kt_realloc_array(fragments->done, fragments->done_count + 1, sizeof *done);
    if (!done) return kt_fail_memory(error, sizeof *done);
    fragments->done = done;
    fragment.groups = kt_alloc_zero(fragments->group_count, sizeof *fragment.groups);
    fragment.stats = json_pack("{s:O}", "batches", fragments->stats);
    kith_status status =
        fragment.groups && fragment.stats ? KITH_OK : kt_fail_memory(error, sizeof *fragment.groups);

    for (uint32_t g = 0; g < fragments->group_count && !status; g++) {
        struct group_writer *group = &fragments->groups[g];
        status = kt_ipc_end(group->writer, error);
        group->writer = NULL;
        if (status) break;
        status = kt_sink_finish(group->sink, &group->group.file.seal, error);
        group->sink = NULL;
        if (status) break;
        fragment.groups[fragment.group_count++] = group->group;
        group->group.fields = NULL; /* the fragment's now */
    }
    groups_abandon(fragments);
    fragments->rows = fragments->bytes = 0;
    if (status)
        kt_fragment_free(&fragment);
    else
        fragments->done[fragments->done_count++] = fragment;
    return status;
}

/* ---- record batches */

/* All pending batches as one: shared when there is one, else copied together. */
static kith_status pending_join(const struct kt_fragments *fragments, struct kt_batch **out,
                                kith_error *error)
{
    if (fragments->pending_count == 1) {
        *out = kt_batch_share(fragments->pending[0]);
        return KITH_OK;
    }
    struct kt_builder *builder = NULL;
    kith_status status = kt_builder_new(fragments->schema, (int64_t)fragments->pending_rows, &builder, error);
    for (size_t i = 0; i < fragments->pending_count && !status; i++) {
        const struct kt_batch *batch = fragments->pending[i];
        for (uint32_t c = 0; c < fragments->schema->count && !status; c++)
            status = kt_builder_append(builder, c, &batch->columns[c], 0, batch->rows, error);
    }
    if (status) {
        kt_builder_free(builder);
        return status;
    }
    return kt_builder_finish(builder, out, error);
}

static kith_status pending_write(struct kt_fragments *fragments, kith_error *error)
{
    if (!fragments->pending_rows) return KITH_OK;
    struct kt_batch *batch = NULL;
    kith_status status = fragments->groups ? KITH_OK : groups_open(fragments, error);
    if (!status) status = pending_join(fragments, &batch, error);
    for (uint32_t g = 0; g < fragments->group_count && !status; g++)
        status = kt_ipc_write(fragments->groups[g].writer, batch, error);
    if (!status) {
        json_t *stats = kt_batches_stats(&batch, 1);
        if (!stats || json_array_append_new(fragments->stats, stats)) status = kt_fail_memory(error, 1024);
    }
    if (!status) {
        fragments->rows += (uint64_t)batch->rows;
        fragments->bytes += fragments->pending_bytes;
        pending_clear(fragments);
    }
    kt_batch_release(batch);
    return status;
}

static kith_status pending_add(struct kt_fragments *fragments, struct kt_batch *batch, uint64_t bytes,
                               kith_error *error)
{
    if (fragments->pending_count == fragments->pending_room) {
        size_t room = fragments->pending_room * 2 + 16;
        struct kt_batch **pending = kt_realloc_array(fragments->pending, room, sizeof(struct kt_batch *));
        if (!pending) return kt_fail_memory(error, room * sizeof *pending);
        fragments->pending = pending;
        fragments->pending_room = room;
    }
    fragments->pending[fragments->pending_count++] = kt_batch_share(batch);
    fragments->pending_rows += (uint64_t)batch->rows;
    fragments->pending_bytes += bytes;
    return KITH_OK;
}

/* Adds rows that fit the fragment in work, and ends what is full. */
static kith_status add_part(struct kt_fragments *fragments, struct kt_batch *batch, uint64_t bytes,
                            uint64_t limit, kith_error *error)
{
    bool one_batch = has_dictionary(fragments->schema);
    kith_status status = pending_add(fragments, batch, bytes, error);
    if (status) return status;
    bool full = fragments->rows + fragments->pending_rows >= FRAGMENT_ROWS ||
                fragments->bytes + fragments->pending_bytes >= limit;
    bool worth_writing = fragments->pending_rows >= BATCH_ROWS || fragments->pending_bytes >= BATCH_BYTES;
    if (full || (worth_writing && !one_batch)) status = pending_write(fragments, error);
    if (!status && full) status = fragment_close(fragments, error);
    return status;
}

kith_status kt_fragments_add(struct kt_fragments *fragments, struct kt_batch *batch, kith_error *error)
{
    uint64_t limit = has_dictionary(fragments->schema) ? DICTIONARY_FRAGMENT_BYTES : FRAGMENT_BYTES;
    uint64_t rows = (uint64_t)batch->rows, row_bytes = rows ? kt_batch_bytes(batch) / rows + 1 : 1;
    for (uint64_t row = 0; row < rows;) {
        uint64_t used_rows = fragments->rows + fragments->pending_rows,
                 used_bytes = fragments->bytes + fragments->pending_bytes;
        uint64_t room = kt_min_u64(FRAGMENT_ROWS - used_rows,
                                   used_bytes < limit ? (limit - used_bytes) / row_bytes + 1 : 1);
        uint64_t count = kt_min_u64(rows - row, room);
        struct kt_batch *part = NULL;
        kith_status status = KITH_OK;
        if (count == rows)
            part = kt_batch_share(batch);
        else
            status = kt_batch_slice(batch, (int64_t)row, (int64_t)count, &part, error);
        if (!status) status = add_part(fragments, part, count * row_bytes, limit, error);
        kt_batch_release(part);
        if (status) return status;
        row += count;
    }
    return KITH_OK;
}

/* ---- the end */

static kith_status pending_inline(struct kt_fragments *fragments, struct kt_bytes **out, kith_error *error)
{
    struct kt_batch *batch = NULL;
    struct kt_sink *sink = NULL;
    struct kt_ipc_writer *writer = NULL;
    struct kt_buffer bytes = { 0 };
    kith_status status = pending_join(fragments, &batch, error);
    if (!status) status = kt_sink_memory(&bytes, &sink, error);
    if (!status) status = kt_ipc_begin(sink, KT_IPC_FILE, fragments->schema, NULL, 0, &writer, error);
    if (!status) status = kt_ipc_write(writer, batch, error);
    if (!status) {
        status = kt_ipc_end(writer, error);
        writer = NULL;
    }
    if (!status) {
        status = kt_sink_finish(sink, NULL, error);
        sink = NULL;
    }
    if (!status && !(*out = kt_bytes_new(bytes.data, bytes.size))) status = kt_fail_memory(error, bytes.size);
    kt_ipc_abandon(writer);
    kt_sink_abandon(sink);
    kt_batch_release(batch);
    kt_buffer_release(&bytes);
    return status;
}

kith_status kt_fragments_end(struct kt_fragments *fragments, bool allow_inline, kith_error *error)
{
    bool few = !fragments->groups && !fragments->done_count && fragments->pending_bytes < INLINE_BYTES;
    if (allow_inline && few && fragments->pending_rows) {
        struct kt_bytes *bytes = NULL;
        kith_status status = pending_inline(fragments, &bytes, error);
        if (status) return status;
        if (bytes->size < INLINE_BYTES) {
            fragments->done = kt_alloc_zero(1, sizeof *fragments->done);
            if (!fragments->done) {
                kt_bytes_release(bytes);
                return kt_fail_memory(error, sizeof *fragments->done);
            }
            fragments->done[0] =
                (struct kt_fragment){ .rows = fragments->pending_rows, .inline_rows = bytes };
            fragments->done_count = 1;
            pending_clear(fragments);
            return KITH_OK;
        }
        kt_bytes_release(bytes);
    }
    kith_status status = pending_write(fragments, error);
    if (!status) status = fragment_close(fragments, error);
    return status;
}
