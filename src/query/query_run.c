/* The search for one vector or many: what the index answers, then the rows that no piece covers, scanned
 * exactly into the same heap.
 */
#include "query/query.h"

#include <math.h>

struct run {
    const struct kt_plan *plan;
    const struct kt_index *index;
    const uint8_t *vectors;
    struct kt_hit *hits;
    uint32_t *counts;
    struct kt_index_stats *stats; /* one a vector, or NULL */
    struct kt_arena *scratch;     /* one a worker */
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

/* What the index finds, with the distances of the stored rows. */
static kith_status ask_index(const struct run *run, const float *vector, const struct kt_scan_query *scan,
                             struct kt_arena *scratch, struct kt_top *top, struct kt_index_stats *stats,
                             kith_error *error)
{
    const struct kt_plan *plan = run->plan;
    struct kt_index_query query = {
        .vector = vector,
        .exact = scan,
        .k = (uint32_t)top->capacity,
        .recall = plan->recall,
        .refine_factor = plan->refine_factor,
        .nprobes = plan->nprobes,
        .minimum_nprobes = plan->minimum_nprobes,
        .maximum_nprobes = plan->maximum_nprobes,
    };
    return plan->index->ops->search(run->index, vectors_of(plan), &query, scratch, top, stats, error);
}

/* Scans what the index does not cover; everything, without one. */
static kith_status scan_rest(const struct run *run, const struct kt_scan_query *scan, struct kt_top *top,
                             struct kt_index_stats *stats, kith_error *error)
{
    const struct kt_plan *plan = run->plan;
    const struct kt_vectors *vectors = vectors_of(plan);
    const struct kt_piece *piece = plan->index ? plan->index->piece : NULL;
    uint64_t begin = 0, end = plan->snapshot->state->next_row;
    if (piece && plan->fast_search) return KITH_OK;
    for (uint32_t i = 0; piece && i < piece->cover_count; i++) {
        kith_status status =
            piece->covers[i].begin > begin
                ? kt_scan_rows(vectors, scan, begin, piece->covers[i].begin, top, stats, error)
                : KITH_OK;
        if (status) return status;
        begin = piece->covers[i].end;
    }
    return begin < end ? kt_scan_rows(vectors, scan, begin, end, top, stats, error) : KITH_OK;
}

static kith_status run_one(const struct run *run, size_t at, struct kt_arena *scratch, kith_error *error)
{
    const struct kt_plan *plan = run->plan;
    const struct kt_vectors *vectors = vectors_of(plan);
    const void *vector = run->vectors + at * plan->vector_bytes;
    const float *values = NULL;
    struct kt_scan_query scan;
    struct kt_top top = { .capacity = (size_t)plan->k + plan->offset };
    struct kt_index_stats stats = { 0 };

    kt_arena_clear(scratch);
    kith_status status = widen(plan, vector, scratch, &values, error);
    if (!status)
        status = kt_scan_prepare(vectors, plan->metric, vector, plan->element, scratch, &scan, error);
    if (status) return status;
    scan.lower = plan->lower;
    scan.upper = plan->upper;
    top.hits = kt_arena_take(scratch, top.capacity, sizeof *top.hits);
    if (!top.hits) return kt_fail_memory(error, top.capacity * sizeof *top.hits);

    if (plan->index) status = ask_index(run, values, &scan, scratch, &top, &stats, error);
    if (!status) status = scan_rest(run, &scan, &top, &stats, error);
    if (status) return status;
    if (run->stats) run->stats[at] = stats;
    kt_top_sort(&top);
    uint32_t found = top.count > plan->offset ? (uint32_t)(top.count - plan->offset) : 0;
    memcpy(run->hits + at * plan->k, top.hits + plan->offset, found * sizeof *top.hits);
    run->counts[at] = found;
    return KITH_OK;
}

static kith_status run_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker, kith_error *error)
{
    const struct run *run = context;
    for (uint64_t at = begin; at < end; at++) {
        kith_status status = run_one(run, at, &run->scratch[worker], error);
        if (status) return status;
    }
    return KITH_OK;
}

kith_status kt_plan_run(const struct kt_plan *plan, const void *vectors, size_t count, struct kt_hit *hits,
                        uint32_t *counts, struct kt_index_stats *stats, kith_error *error)
{
    struct run run = { .plan = plan, .vectors = vectors, .hits = hits, .counts = counts, .stats = stats };
    kith_status status =
        plan->index ? kt_snapshot_index(plan->snapshot, plan->index, &run.index, error) : KITH_OK;
    if (status) return status;
    if (count <= 1) {
        struct kt_arena scratch = kt_snapshot_borrow(plan->snapshot);
        status = count ? run_one(&run, 0, &scratch, error) : KITH_OK;
        kt_snapshot_give_back(plan->snapshot, &scratch);
        return status;
    }
    struct kt_work work = { .threads = plan->threads };
    uint32_t threads = work.threads =
        kt_work_threads(&work); /* settled once: there is one scratch a worker */
    run.scratch = kt_alloc_zero(threads, sizeof *run.scratch);
    if (!run.scratch) return kt_fail_memory(error, threads * sizeof *run.scratch);
    status = kt_parallel_for(&work, NULL, count, 4, run_chunk, &run, error);
    for (uint32_t i = 0; i < threads; i++) kt_arena_release(&run.scratch[i]);
    kt_free(run.scratch);
    return status;
}
