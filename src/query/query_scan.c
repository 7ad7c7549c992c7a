/* Reading a table from front to back, as a stream of batches.
 *
 * Each record batch of each segment becomes one batch of the stream. Its columns are lent from the mapped
 * files, several files side by side; nothing is copied, and the batch keeps the files open, so that a stream
 * may outlive table and database. Row ids are the one column that is made here.
 *
 * A time by which the rows are wanted holds for the call and for every read of the stream.
 *
 * Under a filter, or where rows were deleted, the admitted rows of a record batch are copied together. Where
 * rows come in another order, or expressions are shown, the rows are listed first and then fetched some at a
 * time, as those of a search are.
 */
#include "base/bytes.h"
#include "query/query_private.h"

struct scan {
    struct kt_snapshot *snapshot;
    struct kt_projection projection;
    uint32_t *columns; /* of the table, one a column of the result */
    bool shows_ids;
    struct kt_schema *ids; /* of a batch that holds row ids alone */
    uint64_t skip;         /* rows to leave out first */
    uint64_t left;         /* rows still wanted */
    uint32_t segment;
    uint64_t row;                    /* of the segment */
    struct kt_where *where;          /* NULL: no filter */
    const struct kt_selection *rows; /* that are to be shown; NULL: all that are stored */
    uint64_t *bits;                  /* of the record batch in work, by place */
    uint64_t bits_room;
    struct kt_hit *listed; /* the rows to give, where they are listed */
    size_t listed_count, given;
    struct kt_work work; /* says until when; its callback is only called while the stream is opened */
};

enum { LISTED_AT_ONCE = 8192 };

static void scan_release(void *context)
{
    struct scan *scan = context;
    kt_free(scan->columns);
    kt_free(scan->bits);
    kt_projection_release(&scan->projection);
    kt_schema_release(scan->ids);
    kt_where_release(scan->where);
    kt_free(scan->listed);
    kt_snapshot_release(scan->snapshot);
    kt_free(scan);
}

static kith_status make_row_ids(const struct scan *scan, uint64_t count, struct kt_batch **out,
                                kith_error *error)
{
    struct kt_builder *builder = NULL;
    uint64_t *ids = kt_alloc_array(count, sizeof *ids);
    kith_status status = ids ? kt_builder_new(scan->ids, (int64_t)count, &builder, error)
                             : kt_fail_memory(error, count * sizeof *ids);
    if (!status) kt_segment_ids(scan->snapshot->segments[scan->segment], scan->row, count, ids);
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
    if (scan->shows_ids) status = make_row_ids(scan, count, &ids, error);
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

/* Of a whole record batch its admitted rows, less scan->skip of them and no more than scan->left. */
static kith_status copy_admitted(const struct scan *scan, const struct kt_batch *whole, struct kt_batch **out,
                                 kith_error *error)
{
    const struct kt_selection bits = { .words = scan->bits, .rows = (uint64_t)whole->rows };
    uint64_t end = bits.rows, skip = scan->skip, left = scan->left;
    struct kt_builder *builder = NULL;
    kith_status status = kt_builder_new(whole->schema, whole->rows, &builder, error);
    uint64_t row = kt_selection_next(&bits, 0);
    for (; skip && row < end; skip--) row = kt_selection_next(&bits, row + 1);
    while (!status && left && row < end) {
        uint64_t stop = row + 1;
        for (left--; left && stop < end && kt_selected(&bits, stop); left--) stop++;
        for (uint32_t c = 0; !status && c < whole->schema->count; c++)
            status =
                kt_builder_append(builder, c, &whole->columns[c], (int64_t)row, (int64_t)(stop - row), error);
        row = kt_selection_next(&bits, stop);
    }
    if (status)
        kt_builder_free(builder);
    else
        status = kt_builder_finish(builder, out, error);
    return status;
}

/* How many rows of the record batch at the scan's place are admitted; scan->bits says which. */
static kith_status admit(struct scan *scan, uint64_t count, uint64_t *out, kith_error *error)
{
    *out = count;
    if (!scan->rows) return KITH_OK;
    if (scan->bits_room < count) {
        kt_free(scan->bits);
        scan->bits_room = 0;
        scan->bits = kt_alloc_array(count / 64 + 1, sizeof *scan->bits);
        if (!scan->bits) return kt_fail_memory(error, count / 8);
        scan->bits_room = count;
    }
    memset(scan->bits, 0xff, (count / 64 + 1) * sizeof *scan->bits);
    kt_segment_mask(scan->snapshot->segments[scan->segment], scan->row, count, scan->rows, scan->bits);
    const struct kt_selection bits = { .words = scan->bits, .rows = count };
    *out = kt_selection_count(&bits, 0, count);
    return KITH_OK;
}

static kith_status next_in_place(void *context, struct kt_batch **out, kith_error *error)
{
    struct scan *scan = context;
    uint64_t count = 0, admitted = 0;
    uint32_t number = 0;
    *out = NULL;
    kith_status status = kt_work_poll(&scan->work, "rows", error);
    if (status) return status;
    while (scan->left && scan->segment < scan->snapshot->state->fragment_count) {
        number = kt_segment_batch(scan->snapshot->segments[scan->segment], scan->row, &count);
        status = admit(scan, count, &admitted, error);
        if (status) return status;
        if (scan->skip < admitted) break;
        scan->skip -= admitted;
        advance(scan, count);
    }
    if (!scan->left || scan->segment >= scan->snapshot->state->fragment_count) return KITH_OK;

    struct kt_batch *whole = NULL;
    status = whole_batch(scan, number, count, &whole, error);
    if (status) return status;
    uint64_t wanted = kt_min_u64(admitted - scan->skip, scan->left);
    if (wanted == count)
        *out = kt_batch_share(whole);
    else if (scan->rows)
        status = copy_admitted(scan, whole, out, error);
    else
        status = kt_batch_slice(whole, (int64_t)scan->skip, (int64_t)wanted, out, error);
    kt_batch_release(whole);
    if (status) return status;
    scan->skip = 0;
    scan->left -= wanted;
    advance(scan, count);
    return KITH_OK;
}

/* ---- rows that are listed first */

static kith_status next_listed(void *context, struct kt_batch **out, kith_error *error)
{
    struct scan *scan = context;
    uint32_t some = (uint32_t)kt_min_u64(LISTED_AT_ONCE, scan->listed_count - scan->given);
    *out = NULL;
    if (!some) return KITH_OK;
    const struct kt_hit *hits = scan->listed + scan->given;
    scan->given += some;
    return kt_fetch(scan->snapshot, &scan->projection, hits, &some, 1, some, out, error);
}

/* The first `most` rows that are there and admitted, in insertion order. */
static kith_status list_rows(struct scan *scan, uint64_t most, kith_error *error)
{
    const struct kt_snapshot *snapshot = scan->snapshot;
    most = kt_min_u64(most, scan->where ? scan->where->rows.count : snapshot->state->rows);
    scan->listed = kt_alloc_array(most + 1, sizeof *scan->listed);
    if (!scan->listed) return kt_fail_memory(error, most * sizeof *scan->listed);
    if (scan->rows) {
        uint64_t row = kt_selection_next(scan->rows, 0);
        for (; scan->listed_count < most; row = kt_selection_next(scan->rows, row + 1))
            scan->listed[scan->listed_count++] = (struct kt_hit){ 0, row };
        return KITH_OK;
    }
    for (uint32_t s = 0; s < snapshot->state->fragment_count; s++)
        for (uint64_t i = 0; i < kt_segment_rows(snapshot->segments[s]) && scan->listed_count < most; i++)
            scan->listed[scan->listed_count++] =
                (struct kt_hit){ 0, kt_segment_id(snapshot->segments[s], i) };
    return KITH_OK;
}

static kith_status list_in_order(struct scan *scan, const kith_scan *options, kith_error *error)
{
    uint64_t shown = scan->left > UINT64_MAX - scan->skip ? UINT64_MAX : scan->skip + scan->left;
    kith_status status = list_rows(scan, options->order_count ? UINT64_MAX : shown, error);
    const struct kt_ordering order = { options->order_by, options->order_count, false, &scan->work };
    if (!status && options->order_count)
        status = kt_order_rows(scan->snapshot, &order, scan->listed, scan->listed_count, error);
    scan->given = kt_min_u64(scan->skip, scan->listed_count);
    scan->listed_count = scan->given + kt_min_u64(scan->left, scan->listed_count - scan->given);
    return status;
}

/* ---- opening */

static bool shows_expressions(const struct kt_projection *projection)
{
    for (uint32_t i = 0; projection->schema && i < projection->schema->count; i++)
        if (projection->items[i].shown == KT_SHOW_EXPRESSION) return true;
    return false;
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
    struct scan *scan = kt_alloc_zero(1, sizeof *scan);
    if (!scan) return kt_fail_memory(error, sizeof *scan);
    struct kt_wanted wanted = { .columns = options->columns,
                                .expressions = options->expressions,
                                .column_count = options->column_count,
                                .row_id = options->with_row_id };
    struct kt_field id = { .name = (char *)"_rowid", .id = -1, .type = KT_UINT64 };
    scan->snapshot = kt_snapshot_share(snapshot);
    scan->skip = options->offset;
    scan->left = options->none ? 0 : options->limit ? options->limit : UINT64_MAX;
    kith_status status = kt_projection_make(snapshot, &wanted, &scan->projection, error);
    bool listed = options->order_count || shows_expressions(&scan->projection);
    kt_work_limit(&scan->work, options->timeout_us, options->progress, options->progress_user);
    scan->projection.work = &scan->work;
    if (!status)
        status = kt_where_of(snapshot, options->where, (const struct kt_expr *)options->filter, &scan->work,
                             &scan->where, error);
    if (!status) status = kt_snapshot_live(snapshot, &scan->rows, error);
    if (scan->where) scan->rows = &scan->where->rows;
    if (!status) status = listed ? list_in_order(scan, options, error) : list_columns(scan, error);
    if (!status) status = kt_work_poll(&scan->work, "rows", error);
    scan->work.progress = NULL; /* what it was given may not outlive the call */
    if (!status) status = kt_schema_new(&id, 1, NULL, &scan->ids, error);
    if (!status)
        status = kt_stream_make(scan->projection.schema, listed ? next_listed : next_in_place, scan_release,
                                scan, out, error);
    if (status) scan_release(scan);
    return status;
}
