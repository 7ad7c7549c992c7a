/* Reading a table from front to back, as a stream of batches.
 *
 * Each record batch of each segment becomes one batch of the stream. Its columns are lent from the mapped
 * files, several files side by side; nothing is copied, and the batch keeps the files open, so that a stream
 * may outlive table and database. Row ids are the one column that is made here.
 */
#include "query/query.h"

struct scan {
    struct kt_snapshot *snapshot;
    struct kt_projection projection;
    uint32_t *columns; /* of the table, one a column of the result */
    bool shows_ids;
    struct kt_schema *ids; /* of a batch that holds row ids alone */
    uint64_t skip;         /* rows to leave out first */
    uint64_t left;         /* rows still wanted */
    uint32_t segment;
    uint64_t row; /* of the segment */
};

static void scan_release(void *context)
{
    struct scan *scan = context;
    kt_free(scan->columns);
    kt_projection_release(&scan->projection);
    kt_schema_release(scan->ids);
    kt_snapshot_release(scan->snapshot);
    kt_free(scan);
}

static kith_status make_row_ids(const struct scan *scan, uint64_t first, uint64_t count,
                                struct kt_batch **out, kith_error *error)
{
    struct kt_builder *builder = NULL;
    uint64_t *ids = kt_alloc_array(count, sizeof *ids);
    kith_status status = ids ? kt_builder_new(scan->ids, (int64_t)count, &builder, error)
                             : kt_fail_memory(error, count * sizeof *ids);
    for (uint64_t i = 0; i < count && !status; i++) ids[i] = first + i;
    if (!status) status = kt_builder_append_values(builder, 0, ids, (int64_t)count, error);
    if (status)
        kt_builder_free(builder);
    else
        status = kt_builder_finish(builder, out, error);
    kt_free(ids);
    return status;
}

/* The next record batch as it lies, all its rows. */
static kith_status whole_batch(struct scan *scan, uint32_t number, uint64_t count, struct kt_batch **out,
                               kith_error *error)
{
    struct kt_segment *segment = scan->snapshot->segments[scan->segment];
    struct kt_batch *ids = NULL;
    kith_status status = KITH_OK;
    if (scan->shows_ids)
        status = make_row_ids(scan, kt_segment_first_row(segment) + scan->row, count, &ids, error);
    if (!status)
        status = kt_segment_lend(segment, number, scan->projection.schema, scan->columns, ids, out, error);
    kt_batch_release(ids);
    return status;
}

static void advance(struct scan *scan, uint64_t count)
{
    scan->row += count;
    if (scan->row < kt_segment_rows(scan->snapshot->segments[scan->segment])) return;
    scan->segment++;
    scan->row = 0;
}

static kith_status scan_next(void *context, struct kt_batch **out, kith_error *error)
{
    struct scan *scan = context;
    uint64_t count = 0;
    uint32_t number = 0;
    *out = NULL;
    while (scan->left && scan->segment < scan->snapshot->state->fragment_count) {
        number = kt_segment_batch(scan->snapshot->segments[scan->segment], scan->row, &count);
        if (scan->skip < count) break;
        scan->skip -= count;
        advance(scan, count);
    }
    if (!scan->left || scan->segment >= scan->snapshot->state->fragment_count) return KITH_OK;

    struct kt_batch *whole = NULL;
    kith_status status = whole_batch(scan, number, count, &whole, error);
    if (status) return status;
    uint64_t wanted = kt_min_u64(count - scan->skip, scan->left);
    if (wanted == count)
        *out = kt_batch_share(whole);
    else
        status = kt_batch_slice(whole, (int64_t)scan->skip, (int64_t)wanted, out, error);
    kt_batch_release(whole);
    if (status) return status;
    scan->skip = 0;
    scan->left -= wanted;
    advance(scan, count);
    return KITH_OK;
}

static kith_status list_columns(struct scan *scan, kith_error *error)
{
    uint32_t count = scan->projection.schema->count;
    scan->columns = kt_alloc_array(count, sizeof *scan->columns);
    if (!scan->columns) return kt_fail_memory(error, count * sizeof *scan->columns);
    for (uint32_t i = 0; i < count; i++) {
        bool is_id = scan->projection.items[i].shown == KT_SHOW_ROW_ID;
        scan->columns[i] = is_id ? KT_EXTRA_COLUMN : scan->projection.items[i].column;
        scan->shows_ids |= is_id;
    }
    return KITH_OK;
}

kith_status kt_scan_open(struct kt_snapshot *snapshot, const kith_scan *options, struct ArrowArrayStream *out,
                         kith_error *error)
{
    kith_scan defaults = KITH_INIT(kith_scan);
    if (!options) options = &defaults;
    if (options->where) return kt_fail(error, KITH_UNSUPPORTED, "filters are not in this version of Kith");
    struct scan *scan = kt_alloc_zero(1, sizeof *scan);
    if (!scan) return kt_fail_memory(error, sizeof *scan);
    struct kt_wanted wanted = { .columns = options->columns,
                                .column_count = options->column_count,
                                .row_id = options->with_row_id };
    struct kt_field id = { .name = (char *)"_rowid", .id = -1, .type = KT_UINT64 };
    scan->snapshot = kt_snapshot_share(snapshot);
    scan->skip = options->offset;
    scan->left = options->none ? 0 : options->limit ? options->limit : UINT64_MAX;
    kith_status status = kt_projection_make(snapshot, &wanted, &scan->projection, error);
    if (!status) status = list_columns(scan, error);
    if (!status) status = kt_schema_new(&id, 1, NULL, &scan->ids, error);
    if (!status) status = kt_stream_make(scan->projection.schema, scan_next, scan_release, scan, out, error);
    if (status) scan_release(scan);
    return status;
}
