/* Searching, reading and the Arrow IPC door. */
#include <math.h>

#include "api/api_private.h"
#include "base/bytes.h"
#include "base/lock.h"
#include "query/query.h"

static kith_status read_query(const kith_query *from, kith_query *to, kith_error *error)
{
    kith_status status =
        kt_options_read("kith_query", from, offsetof(kith_query, metric), to, sizeof *to, error);
    if (!status) status = kt_lists_check(to->columns, to->column_count, to->order_by, to->order_count, error);
    if (!status && !to->vector_count) to->vector_count = 1;
    return status;
}

static kith_status read_scan(const kith_scan *from, kith_scan *to, kith_error *error)
{
    kith_status status =
        kt_options_read("kith_scan", from, offsetof(kith_scan, offset), to, sizeof *to, error);
    return status ? status
                  : kt_lists_check(to->columns, to->column_count, to->order_by, to->order_count, error);
}

/* ---- one search */

/* Plans and runs `query` over `vectors`; the hits and counts are the caller's to free. */
struct answer {
    struct kt_plan plan;
    struct kt_hit *hits;
    uint32_t *counts;
    kith_search_stats did;
};

static void answer_release(struct answer *answer)
{
    kt_plan_release(&answer->plan);
    kt_free(answer->hits);
    kt_free(answer->counts);
}

/* Runs the plan, counting what it does. */
static kith_status run(struct answer *answer, const void *vectors, size_t count, kith_error *error)
{
    struct kt_index_stats *stats = kt_alloc_zero(count, sizeof *stats);
    if (!stats) return kt_fail_memory(error, count * sizeof *stats);
    double begin = kt_seconds();
    kith_status status =
        kt_plan_run(&answer->plan, vectors, count, answer->hits, answer->counts, stats, error);
    if (!status) {
        kt_plan_sum(&answer->plan, stats, count, &answer->did);
        answer->did.seconds = kt_seconds() - begin;
    }
    kt_free(stats);
    return status;
}

/* Tells the caller, whose struct may be of another age. */
static void give_stats(const kith_search_stats *did, kith_search_stats *to)
{
    size_t given = to ? to->struct_size : 0;
    if (!to) return;
    memcpy(to, did, given && given < sizeof *did ? given : sizeof *did);
    to->struct_size = given;
}

/* Where a prepared search keeps what its filter admitted last. */
struct kept_where {
    struct kt_lock lock; /* of `where` */
    struct kt_where *where;
};

/* What the query's filter admits in this snapshot: what is kept, where that is of it. */
static kith_status find_where(struct kt_snapshot *snapshot, const kith_query *query, struct kept_where *kept,
                              struct kt_work *work, struct kt_where **out, kith_error *error)
{
    struct kt_where *old = NULL;
    *out = NULL;
    if (!query->where && !query->filter) return KITH_OK;
    if (kept) {
        kt_lock_take(&kept->lock);
        if (kept->where && kept->where->snapshot == snapshot) *out = kt_where_share(kept->where);
        kt_lock_give(&kept->lock);
        if (*out) return KITH_OK;
    }
    work->threads = query->vector_count > 1 ? query->threads : kt_max_u32(query->threads, 1);
    kith_status status =
        kt_where_of(snapshot, query->where, (const struct kt_expr *)query->filter, work, out, error);
    if (status || !kept) return status;
    kt_lock_take(&kept->lock);
    old = kept->where;
    kept->where = kt_where_share(*out);
    kt_lock_give(&kept->lock);
    kt_where_release(old);
    return KITH_OK;
}

/* Plans the query for the table as it is now; the plan is the caller's to release, and asks `work`. */
static kith_status plan_now(kith_table *table, const kith_query *query, struct kept_where *kept,
                            struct kt_work *work, struct kt_plan *out, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    struct kt_where *where = NULL;
    kith_status status = kt_table_snapshot((struct kt_table *)table, &snapshot, error);
    if (!status) status = find_where(snapshot, query, kept, work, &where, error);
    if (!status) status = kt_plan_make(snapshot, query, where, out, error);
    if (!status) out->work = work;
    kt_where_release(where);
    kt_snapshot_release(snapshot);
    return status;
}

/* The rows of each vector's answer in the order that the query asks for. */
static kith_status order_answer(const struct answer *answer, const kith_query *query, size_t count,
                                kith_error *error)
{
    const struct kt_ordering order = { query->order_by, query->order_count, true, answer->plan.work };
    kith_status status = KITH_OK;
    for (size_t q = 0; q < count && query->order_count && !status; q++)
        status = kt_order_rows(answer->plan.snapshot, &order, answer->hits + q * answer->plan.k,
                               answer->counts[q], error);
    return status;
}

static kith_status search(kith_table *table, const kith_query *query, struct kept_where *kept,
                          struct kt_work *work, const void *vectors, size_t count, struct answer *out,
                          kith_error *error)
{
    struct answer answer = { 0 };
    kt_work_limit(work, query->timeout_us, query->progress, query->progress_user);
    if (!vectors) return kt_fail(error, KITH_INVALID, "a search needs a query vector");
    kith_status status = plan_now(table, query, kept, work, &answer.plan, error);
    if (status) return status;

    size_t rows;
    if (__builtin_mul_overflow(count, (size_t)answer.plan.k, &rows)) rows = SIZE_MAX / 2;
    answer.hits = kt_alloc_array(rows, sizeof *answer.hits);
    answer.counts = kt_alloc_array(count, sizeof *answer.counts);
    status = answer.hits && answer.counts ? run(&answer, vectors, count, error)
                                          : kt_fail_memory(error, rows * sizeof *answer.hits);
    if (!status) status = order_answer(&answer, query, count, error);
    if (status) {
        answer_release(&answer);
        return status;
    }
    give_stats(&answer.did, query->stats);
    *out = answer;
    return KITH_OK;
}

kith_status kith_search(kith_table *table, const kith_query *options, struct ArrowArrayStream *out,
                        kith_error *error)
{
    kith_query query;
    struct answer answer;
    struct kt_projection projection = { 0 };
    struct kt_batch *batch = NULL;
    char recall[KT_RECALL_TEXT];
    struct kt_work work = { 0 };
    kith_status status = read_query(options, &query, error);
    if (!status)
        status = search(table, &query, NULL, &work, query.vectors, query.vector_count, &answer, error);
    if (status) return status;

    struct kt_wanted wanted = { query.columns,          query.expressions,
                                query.column_count,     query.no_columns,
                                query.with_row_id,      true,
                                query.vector_count > 1, recall };
    kt_plan_recall_text(&answer.plan, &answer.did, recall);
    status = kt_projection_make(answer.plan.snapshot, &wanted, &projection, error);
    projection.work = &work;
    if (!status)
        status = kt_fetch(answer.plan.snapshot, &projection, answer.hits, answer.counts, query.vector_count,
                          answer.plan.k, &batch, error);
    if (!status) status = kt_stream_of_batches(projection.schema, &batch, batch->rows ? 1 : 0, out, error);
    kt_batch_release(batch);
    kt_projection_release(&projection);
    answer_release(&answer);
    return status;
}

static kith_status search_ids(kith_table *table, const kith_query *query, struct kept_where *kept,
                              const void *vectors, size_t count, uint64_t *row_ids, float *distances,
                              kith_error *error)
{
    struct answer answer;
    struct kt_work work = { 0 };
    if (count && (!row_ids || !distances))
        return kt_missing("the array that row ids or distances go to", error);
    kith_status status = search(table, query, kept, &work, vectors, count, &answer, error);
    if (status) return status;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < query->k; j++) {
            bool found = j < answer.counts[i];
            const struct kt_hit *hit = &answer.hits[i * answer.plan.k + (found ? j : 0)];
            row_ids[i * query->k + j] = found ? hit->row : UINT64_MAX;
            distances[i * query->k + j] = found ? hit->distance : INFINITY;
        }
    }
    answer_release(&answer);
    return KITH_OK;
}

kith_status kith_search_ids(kith_table *table, const kith_query *options, uint64_t *row_ids, float *distances,
                            kith_error *error)
{
    kith_query query;
    kith_status status = read_query(options, &query, error);
    if (status) return status;
    return search_ids(table, &query, NULL, query.vectors, query.vector_count, row_ids, distances, error);
}

/* The query and its plan. */
static kith_status plan_of(kith_table *table, const kith_query *options, kith_query *query,
                           struct kt_work *work, struct kt_plan *plan, kith_error *error)
{
    kith_status status = read_query(options, query, error);
    if (status) return status;
    kt_work_limit(work, query->timeout_us, query->progress, query->progress_user);
    return plan_now(table, query, NULL, work, plan, error);
}

kith_status kith_explain(kith_table *table, const kith_query *options, char **out, kith_error *error)
{
    kith_query query;
    struct kt_plan plan;
    struct kt_work work = { 0 };
    kith_status status = plan_of(table, options, &query, &work, &plan, error);
    if (status) return status;
    status = kt_plan_explain(&plan, out, error);
    kt_plan_release(&plan);
    return status;
}

kith_status kith_analyze(kith_table *table, const kith_query *options, char **out, kith_error *error)
{
    kith_query query;
    struct kt_plan plan;
    struct kt_work work = { 0 };
    kith_status status = plan_of(table, options, &query, &work, &plan, error);
    if (status) return status;
    status = kt_plan_analyze(&plan, query.vectors, query.vector_count, out, error);
    kt_plan_release(&plan);
    return status;
}

void kith_text_free(char *text)
{
    kt_free(text);
}

/* ---- a prepared search */

struct kith_searcher {
    kith_table *table;
    kith_query query;
    char *column;
    struct kt_expr *filter;
    struct kept_where kept;
};

/* Keeps what of the query outlives the call. */
static kith_status keep_query(kith_searcher *searcher, const kith_query *options, kith_error *error)
{
    kith_query *query = &searcher->query;
    kith_status status = read_query(options, query, error);
    if (status) return status;
    if (query->column && !(searcher->column = kt_strdup(query->column))) status = kt_fail_memory(error, 64);
    if (query->where && query->filter)
        status =
            kt_fail(error, KITH_INVALID, "a filter was given twice, as text and as an expression; give one");
    else if (!status && query->where)
        status = kt_expr_parse(query->where, NULL, 0, &searcher->filter, error);
    else if (query->filter)
        searcher->filter = kt_expr_share((const struct kt_expr *)query->filter);
    query->column = searcher->column;
    query->filter = (const kith_expr *)searcher->filter;
    query->where = NULL;
    query->vectors = NULL;
    query->stats = NULL;
    query->columns = NULL;
    query->expressions = NULL;
    query->progress = NULL;
    query->order_by = NULL;
    query->order_count = 0;
    return status;
}

kith_status kith_searcher_new(kith_table *table, const kith_query *options, kith_searcher **out,
                              kith_error *error)
{
    struct kt_plan plan;
    struct kt_work work = { 0 };
    kith_searcher *searcher = kt_alloc_zero(1, sizeof *searcher);
    if (!searcher) return kt_fail_memory(error, sizeof *searcher);
    searcher->table = table;
    kt_lock_init(&searcher->kept.lock);
    kith_status status = keep_query(searcher, options, error);
    kith_query first;
    if (!status) status = read_query(options, &first, error);
    if (!status) { /* to tell what is wrong now, not later, and with the text of the filter */
        const char *where = first.where;
        first = searcher->query;
        first.where = where;
        if (where) first.filter = NULL;
        status = plan_now(table, &first, &searcher->kept, &work, &plan, error);
    }
    if (status) {
        kith_searcher_free(searcher);
        return status;
    }
    kt_plan_release(&plan);
    *out = searcher;
    return KITH_OK;
}

void kith_searcher_free(kith_searcher *searcher)
{
    if (!searcher) return;
    kt_where_release(searcher->kept.where);
    kt_lock_release(&searcher->kept.lock);
    kt_expr_release(searcher->filter);
    kt_free(searcher->column);
    kt_free(searcher);
}

kith_status kith_searcher_run(kith_searcher *searcher, const void *vectors, size_t vector_count,
                              uint64_t *row_ids, float *distances, kith_error *error)
{
    return search_ids(searcher->table, &searcher->query, &searcher->kept, vectors, vector_count, row_ids,
                      distances, error);
}

/* ---- reading rows */

kith_status kith_table_scan(kith_table *table, const kith_scan *options, struct ArrowArrayStream *out,
                            kith_error *error)
{
    kith_scan scan;
    struct kt_snapshot *snapshot = NULL;
    kith_status status = options ? read_scan(options, &scan, error) : KITH_OK;
    if (!status) status = kt_table_snapshot((struct kt_table *)table, &snapshot, error);
    if (!status) status = kt_scan_open(snapshot, options ? &scan : NULL, out, error);
    kt_snapshot_release(snapshot);
    return status;
}

kith_status kith_table_take(kith_table *table, const uint64_t *row_ids, size_t count,
                            const kith_scan *options, struct ArrowArrayStream *out, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    struct kt_projection projection = { 0 };
    struct kt_batch *batch = NULL;
    struct kt_hit *hits = kt_alloc_array(count, sizeof *hits);
    uint32_t one_count = (uint32_t)count;
    struct kt_work work = { 0 };
    kith_scan scan = { 0 };
    kith_status status = options ? read_scan(options, &scan, error) : KITH_OK;
    if (!status && count > UINT32_MAX)
        status = kt_fail(error, KITH_INVALID, "at most %u rows can be taken at once", (unsigned)UINT32_MAX);
    if (!status && count && !row_ids) status = kt_missing("the array of row ids", error);
    if (!status && !hits) status = kt_fail_memory(error, count * sizeof *hits);
    for (size_t i = 0; i < count && !status; i++) hits[i] = (struct kt_hit){ 0, row_ids[i] };

    struct kt_wanted wanted = { .columns = scan.columns,
                                .expressions = scan.expressions,
                                .column_count = scan.column_count,
                                .row_id = scan.with_row_id };
    if (!status) status = kt_table_snapshot((struct kt_table *)table, &snapshot, error);
    if (!status) status = kt_projection_make(snapshot, &wanted, &projection, error);
    kt_work_limit(&work, scan.timeout_us, scan.progress, scan.progress_user);
    projection.work = &work;
    if (!status) status = kt_work_poll(&work, "fetch", error);
    if (!status) status = kt_fetch(snapshot, &projection, hits, &one_count, 1, count, &batch, error);
    if (!status) status = kt_stream_of_batches(projection.schema, &batch, batch->rows ? 1 : 0, out, error);
    kt_batch_release(batch);
    kt_projection_release(&projection);
    kt_snapshot_release(snapshot);
    kt_free(hits);
    return status;
}

/* ---- Arrow IPC */

kith_status kith_ipc_read(int fd, struct ArrowArrayStream *out, kith_error *error)
{
    return kt_ipc_read_descriptor(fd, out, error);
}

kith_status kith_ipc_write(int fd, struct ArrowArrayStream *data, bool as_stream, kith_error *error)
{
    struct kt_schema *schema = NULL;
    struct kt_sink *sink = NULL;
    struct kt_ipc_writer *writer = NULL;
    kith_status status = kt_stream_schema(data, &schema, error); // which finds a missing one
    if (!status) status = kt_sink_descriptor(fd, &sink, error);
    if (!status)
        status = kt_ipc_begin(sink, as_stream ? KT_IPC_STREAM : KT_IPC_FILE, schema, NULL, 0, &writer, error);
    while (!status) {
        struct kt_batch *batch = NULL;
        status = kt_stream_next(data, schema, &batch, error);
        if (status || !batch) break;
        status = kt_ipc_write(writer, batch, error);
        kt_batch_release(batch);
    }
    if (!status) {
        status = kt_ipc_end(writer, error);
        writer = NULL;
    }
    if (!status) {
        status = kt_sink_finish(sink, NULL, error);
        sink = NULL;
    }
    kt_ipc_abandon(writer);
    kt_sink_abandon(sink);
    kt_schema_release(schema);
    kt_stream_drop(data);
    return status;
}
