/* The search for one vector or many: what the index answers, then the rows that no piece covers, scanned
 * exactly into the same heap.
 *
 * Many vectors are grouped: sorted by the place where the index begins, so that those which read the same
 * lists come one after another, and find them in the cache. Each is searched as it would be alone, and finds
 * the same rows. The work is cut between them; that of one vector, where more than one thread is asked for,
 * between the rows of an exact scan, which are many. (A search of lists takes less time than starting a
 * thread.)
 */
#include "query/query.h"

#include <math.h>

enum {
    GROUP_QUERIES = 16,     /* from so many vectors on they are grouped */
    CHUNK_QUERIES = 32,     /* at most; neighbours should be one worker's, */
    CHUNKS = 8,             /* and the workers done at about the same time */
    SHARED_BYTES = 4 << 20, /* an exact scan of so much is worth a thread */
    SHARED_CHUNKS = 16      /* of an exact scan, a thread */
};

struct run {
    const struct kt_plan *plan;
    const struct kt_index *index;
    const uint8_t *vectors;
    struct kt_hit *hits;
    uint32_t *counts;
    struct kt_index_stats *stats; /* one a vector, or NULL */
    struct kt_arena *scratch;     /* one a worker */
    uint64_t *order;              /* of the vectors: place << 32 | number; NULL: as they come */
    uint32_t scan_threads;        /* for the exact scan of one vector */
};

static const struct kt_vectors *vectors_of(const struct kt_plan *plan)
{
    return &plan->snapshot->vectors[plan->column];
}

/* The vector as floats, checked. */
static kith_status widen(const struct kt_plan *plan, const void *vector, struct kt_arena *scratch,
                         const float **out, kith_error *error)
{
    const struct kt_kernels *kernels = kt_kernels();
    uint32_t dim = vectors_of(plan)->dim;
    float *values = kt_arena_take(scratch, dim, sizeof *values);
    if (!values) return kt_fail_memory(error, dim * sizeof *values);
    kernels->to_float[plan->element](vector, dim, values);
    for (uint32_t i = 0; i < dim; i++)
        if (!isfinite(values[i]))
            return kt_fail(error, KITH_INVALID,
                           "the query vector holds %s at position %u; every number must be finite",
                           isnan(values[i]) ? "NaN" : "an infinity", (unsigned)i);
    *out = values;
    return KITH_OK;
}

/* A vector of the run in the forms that searching it takes. */
struct asked {
    const float *values;
    struct kt_scan_query scan;
};

static kith_status prepare(const struct run *run, size_t at, struct kt_arena *scratch, struct asked *out,
                           kith_error *error)
{
    const struct kt_plan *plan = run->plan;
    const void *vector = run->vectors + at * plan->vector_bytes;
    kt_arena_clear(scratch);
    kith_status status = widen(plan, vector, scratch, &out->values, error);
    if (!status)
        status = kt_scan_prepare(vectors_of(plan), plan->metric, vector, plan->element, scratch, &out->scan,
                                 error);
    out->scan.work = plan->work;
    out->scan.lower = plan->lower;
    out->scan.upper = plan->upper;
    out->scan.among = plan->where && !plan->postfilter ? &plan->where->rows : plan->live;
    return status;
}

static struct kt_index_query index_query(const struct kt_plan *plan, const struct asked *asked, size_t k)
{
    return (struct kt_index_query){
        .vector = asked->values,
        .exact = &asked->scan,
        .k = (uint32_t)k,
        .matches = plan->matches,
        .lived = plan->lived,
        .recall = plan->recall,
        .refine_factor = plan->refine_factor,
        .nprobes = plan->nprobes,
        .minimum_nprobes = plan->minimum_nprobes,
        .maximum_nprobes = plan->maximum_nprobes,
        .ef = plan->ef,
        .least_ef = plan->least_ef,
    };
}

/* ---- what no index covers ---- */

/* An exact scan that several threads share, each with a heap of its own. */
struct shared_scan {
    const struct kt_vectors *vectors;
    const struct kt_scan_query *query;
    uint64_t begin;
    struct kt_top *tops;
    struct kt_index_stats *stats;
};

static kith_status scan_share(void *context, uint64_t begin, uint64_t end, uint32_t worker, kith_error *error)
{
    const struct shared_scan *shared = context;
    return kt_scan_rows(shared->vectors, shared->query, shared->begin + begin, shared->begin + end,
                        &shared->tops[worker], &shared->stats[worker], error);
}

static kith_status scan_on_threads(const struct shared_scan *shared, uint64_t rows, uint32_t threads,
                                   struct kt_arena *scratch, struct kt_top *top, struct kt_index_stats *stats,
                                   kith_error *error)
{
    struct shared_scan scan = *shared;
    struct kt_work own = { 0 }, *work = shared->query->work ? shared->query->work : &own;
    work->threads = threads;
    size_t k = top->capacity;
    scan.tops = kt_arena_take(scratch, threads, sizeof *scan.tops);
    scan.stats = kt_arena_take(scratch, threads, sizeof *scan.stats);
    struct kt_hit *hits = kt_arena_take(scratch, k * threads, sizeof *hits);
    if (!scan.tops || !scan.stats || !hits) return kt_fail_memory(error, k * threads * sizeof *hits);
    memset(scan.stats, 0, threads * sizeof *scan.stats);
    for (uint32_t i = 0; i < threads; i++)
        scan.tops[i] = (struct kt_top){ .hits = hits + i * k, .capacity = k };
    kith_status status =
        kt_parallel_for(work, NULL, rows, rows / (SHARED_CHUNKS * threads) + 1, scan_share, &scan, error);
    for (uint32_t i = 0; i < threads && !status; i++) {
        for (size_t j = 0; j < scan.tops[i].count; j++)
            kt_top_offer(top, scan.tops[i].hits[j].distance, scan.tops[i].hits[j].row);
        stats->rows += scan.stats[i].rows;
        stats->bytes += scan.stats[i].bytes;
    }
    return status;
}

static kith_status scan_span(const struct run *run, const struct kt_scan_query *scan, uint64_t begin,
                             uint64_t end, struct kt_arena *scratch, struct kt_top *top,
                             struct kt_index_stats *stats, kith_error *error)
{
    const struct kt_vectors *vectors = vectors_of(run->plan);
    uint64_t row_bytes = vectors->dim * kt_element_bytes(vectors->element);
    if (begin >= end) return KITH_OK;
    uint64_t worth = (end - begin) * row_bytes / SHARED_BYTES;
    uint32_t threads = (uint32_t)kt_min_u64(run->scan_threads, worth);
    if (threads < 2) return kt_scan_rows(vectors, scan, begin, end, top, stats, error);
    struct shared_scan shared = { .vectors = vectors, .query = scan, .begin = begin };
    return scan_on_threads(&shared, end - begin, threads, scratch, top, stats, error);
}

/* Scans what the index does not cover; everything, without one. */
static kith_status scan_rest(const struct run *run, const struct kt_scan_query *scan,
                             struct kt_arena *scratch, struct kt_top *top, struct kt_index_stats *stats,
                             kith_error *error)
{
    const struct kt_plan *plan = run->plan;
    const struct kt_table_index *index = plan->index;
    uint64_t begin = 0, end = plan->snapshot->state->next_row;
    if (index && plan->fast_search) return KITH_OK;
    for (uint32_t i = 0; index && i < index->cover_count; i++) {
        kith_status status = scan_span(run, scan, begin, index->covers[i].begin, scratch, top, stats, error);
        if (status) return status;
        begin = index->covers[i].end;
    }
    return scan_span(run, scan, begin, end, scratch, top, stats, error);
}

/* ---- one vector, or many ---- */

/* The `count` nearest rows into top, which is empty. */
static kith_status find(const struct run *run, const struct asked *asked, size_t count,
                        struct kt_arena *scratch, struct kt_top *top, struct kt_index_stats *stats,
                        kith_error *error)
{
    const struct kt_plan *plan = run->plan;
    kith_status status = KITH_OK;
    *top = (struct kt_top){ .capacity = count, .hits = kt_arena_take(scratch, count, sizeof *top->hits) };
    if (!top->hits) return kt_fail_memory(error, count * sizeof *top->hits);
    if (plan->index) {
        struct kt_index_query query = index_query(plan, asked, count);
        status = plan->index->ops->search(run->index, vectors_of(plan), &query, scratch, top, stats, error);
    }
    if (!status) status = scan_rest(run, &asked->scan, scratch, top, stats, error);
    if (!status) kt_top_sort(top);
    return status;
}

static void drop_refused(const struct kt_selection *admitted, struct kt_top *top)
{
    size_t kept = 0;
    for (size_t i = 0; i < top->count; i++)
        if (kt_selected(admitted, top->hits[i].row)) top->hits[kept++] = top->hits[i];
    top->count = kept;
}

/* Searches without the filter for more and more rows, until enough of them pass it. */
static kith_status find_and_filter(const struct run *run, const struct asked *asked, size_t wanted,
                                   struct kt_arena *scratch, struct kt_top *top, struct kt_index_stats *stats,
                                   kith_error *error)
{
    const struct kt_selection *admitted = &run->plan->where->rows;
    uint64_t all = kt_max_u64(run->plan->snapshot->state->rows, 1);
    double each = (double)all / (double)kt_max_u64(admitted->count, 1); /* rows to see for one that passes */
    uint64_t count = (uint64_t)((double)wanted * each * 1.25) + wanted;
    for (;;) {
        count = kt_min_u64(count, all);
        kith_status status = find(run, asked, count, scratch, top, stats, error);
        if (status) return status;
        size_t found = top->count;
        drop_refused(admitted, top);
        if (top->count >= kt_min_u64(wanted, admitted->count) || count == all || found < count)
            return KITH_OK;
        count *= 4;
    }
}

static kith_status run_one(const struct run *run, size_t at, struct kt_arena *scratch, kith_error *error)
{
    const struct kt_plan *plan = run->plan;
    struct asked asked;
    struct kt_top top;
    struct kt_index_stats stats = { 0 };
    size_t wanted = (size_t)plan->k + plan->offset;
    bool after = plan->where && plan->postfilter;
    kith_status status = prepare(run, at, scratch, &asked, error);
    if (!status) status = (after ? find_and_filter : find)(run, &asked, wanted, scratch, &top, &stats, error);
    if (status) return status;
    if (run->stats) run->stats[at] = stats;
    uint32_t found = top.count > plan->offset ? (uint32_t)(top.count - plan->offset) : 0;
    found = kt_min_u32(found, plan->k);
    memcpy(run->hits + at * plan->k, top.hits + plan->offset, found * sizeof *top.hits);
    run->counts[at] = found;
    return KITH_OK;
}

static kith_status run_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker, kith_error *error)
{
    const struct run *run = context;
    for (uint64_t i = begin; i < end; i++) {
        kith_status status = kt_work_poll(run->plan->work, "search", error);
        if (status) return status;
        size_t at = run->order ? (uint32_t)run->order[i] : i;
        status = run_one(run, at, &run->scratch[worker], error);
        if (status) return status;
    }
    return KITH_OK;
}

/* Where the search for each vector of the chunk begins. */
static kith_status place_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                               kith_error *error)
{
    const struct run *run = context;
    struct kt_arena *scratch = &run->scratch[worker];
    for (uint64_t at = begin; at < end; at++) {
        struct asked asked;
        uint32_t place = 0;
        kith_status status = prepare(run, at, scratch, &asked, error);
        if (status) return status;
        struct kt_index_query query = index_query(run->plan, &asked, run->plan->k);
        status = run->plan->index->ops->place(run->index, &query, scratch, &place, error);
        if (status) return status;
        run->order[at] = (uint64_t)place << 32 | at;
    }
    return KITH_OK;
}

static int compare_places(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static kith_status group(struct run *run, struct kt_work *work, size_t count, uint64_t grain,
                         kith_error *error)
{
    if (!run->index || count < GROUP_QUERIES || count > UINT32_MAX) return KITH_OK;
    run->order = kt_alloc_array(count, sizeof *run->order);
    if (!run->order) return kt_fail_memory(error, count * sizeof *run->order);
    kith_status status = kt_parallel_for(work, NULL, count, grain, place_chunk, run, error);
    if (!status) qsort(run->order, count, sizeof *run->order, compare_places);
    return status;
}

static kith_status run_many(struct run *run, size_t count, kith_error *error)
{
    struct kt_work own = { 0 }, *work = run->plan->work ? run->plan->work : &own;
    work->threads = run->plan->threads;
    uint32_t threads = work->threads =
        kt_work_threads(work); /* settled once: there is one scratch a worker */
    uint64_t grain = kt_max_u64(1, kt_min_u64(CHUNK_QUERIES, count / (CHUNKS * threads)));
    run->scratch = kt_alloc_zero(threads, sizeof *run->scratch);
    if (!run->scratch) return kt_fail_memory(error, threads * sizeof *run->scratch);
    kith_status status = group(run, work, count, grain, error);
    if (!status) status = kt_parallel_for(work, NULL, count, grain, run_chunk, run, error);
    for (uint32_t i = 0; i < threads; i++) kt_arena_release(&run->scratch[i]);
    kt_free(run->scratch);
    kt_free(run->order);
    return status;
}

kith_status kt_plan_run(const struct kt_plan *plan, const void *vectors, size_t count, struct kt_hit *hits,
                        uint32_t *counts, struct kt_index_stats *stats, kith_error *error)
{
    struct run run = { .plan = plan, .vectors = vectors, .hits = hits, .counts = counts, .stats = stats };
    kith_status status =
        plan->index ? kt_snapshot_index(plan->snapshot, plan->index, &run.index, error) : KITH_OK;
    if (!status) status = kt_work_poll(plan->work, "search", error);
    if (status || !count) return status;
    if (count > 1) return run_many(&run, count, error);
    struct kt_arena scratch = kt_snapshot_borrow(plan->snapshot);
    run.scan_threads = plan->threads;
    status = run_one(&run, 0, &scratch, error);
    kt_snapshot_give_back(plan->snapshot, &scratch);
    return status;
}
