/* The exact scan: every row of a range, block by block, at the speed of memory.
 *
 * A block is what fits in the second-level cache, so that one call of a kernel costs little and its distances
 * are still near when they are tested. A row is tested against the heap's bound first, against the wanted
 * range next and for being null last: nearly every row fails the first test, so a null row's meaningless
 * numbers are computed but never offered.
 *
 * Where only some rows are wanted and they are few, each is fetched by itself; many are scanned with the
 * others between them, which costs less than reading here and there.
 *
 * Always true here:
 *   - the query lies in the form that the kernel of the column wants: double for F64 columns, the column's
 * own integers where its values are whole and fit (the whole sum is then exact), bytes for hamming, else
 * float;
 *   - nothing allocates but kt_scan_prepare(), from the caller's scratch;
 *   - one row gives the same distance by kt_scan_rows() and kt_scan_hits().
 */
#include "index/index.h"

#include <math.h>

#include "base/bytes.h"

enum {
    SCAN_ROWS = 1024,        /* most rows of a kernel call; their distances are 4 KiB of stack */
    SCAN_BYTES = 256 * 1024, /* most bytes of one */
    SELECTED_HITS = 256,     /* wanted rows looked up at a time */
    HITS_AHEAD = 16,         /* rows fetched before the first of them is compared */
    FEW_OF = 6,         /* one row in so many is few; 1 in 4 to 1 in 8 cost the same at 128 to 784 numbers */
    HIT_LINES = 8,      /* cache lines of each asked for; the processor's own prefetch takes the rest */
    INTEGER_DIM = 65536 /* up to here the integer kernels' sums fit */
};

uint64_t kt_run_place(const struct kt_vectors_run *run, uint64_t row)
{
    if (row <= run->first_row) return 0;
    if (row >= run->first_row + run->span) return run->rows;
    return run->ranks ? kt_rank(run->ranks, row - run->ranks_row) - run->ranks_place : row - run->first_row;
}

int64_t kt_vectors_find(const struct kt_vectors *vectors, uint64_t row, uint64_t *place)
{
    uint32_t low = 0, high = vectors->run_count;
    while (low < high) { /* the first run that begins after `row` */
        uint32_t middle = low + (high - low) / 2;
        if (vectors->runs[middle].first_row <= row)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low) return -1;
    const struct kt_vectors_run *run = &vectors->runs[low - 1];
    if (row - run->first_row >= run->span) return -1;
    *place = kt_run_place(run, row);
    return kt_run_row(run, *place) == row ? (int64_t)low - 1 : -1;
}

/* ---- the query ---- */

static bool whole_numbers(const float *values, uint32_t dim, float least, float most)
{
    for (uint32_t i = 0; i < dim; i++)
        if (!(values[i] >= least && values[i] <= most) || values[i] != truncf(values[i])) return false;
    return true;
}

static kith_status query_floats(const void *vector, kith_element element, uint32_t dim,
                                struct kt_arena *scratch, float **out, kith_error *error)
{
    float *values = kt_arena_take(scratch, dim, sizeof *values);
    if (!values) return kt_fail_memory(error, (size_t)dim * sizeof *values);
    if (element == KITH_F32)
        memcpy(values, vector, (size_t)dim * sizeof *values);
    else
        kt_kernels()->to_float[element](vector, dim, values);
    *out = values;
    return KITH_OK;
}

static kith_status query_doubles(const void *vector, kith_element element, uint32_t dim,
                                 struct kt_arena *scratch, struct kt_scan_query *out, kith_error *error)
{
    double *values = kt_arena_take(scratch, dim, sizeof *values);
    if (!values) return kt_fail_memory(error, (size_t)dim * sizeof *values);
    if (element == KITH_F64) {
        memcpy(values, vector, (size_t)dim * sizeof *values);
    } else {
        float *narrow = NULL;
        kith_status status = query_floats(vector, element, dim, scratch, &narrow, error);
        if (status) return status;
        for (uint32_t i = 0; i < dim; i++) values[i] = (double)narrow[i];
    }
    out->vector = values;
    out->norm = kt_kernels()->norm[KITH_F64](values, dim);
    return KITH_OK;
}

/* The floats as the column's own integers, when they are such; else leaves `out` alone. */
static kith_status query_integers(const float *values, kith_element element, uint32_t dim,
                                  struct kt_arena *scratch, struct kt_scan_query *out, kith_error *error)
{
    bool is_signed = element == KITH_I8;
    if (!whole_numbers(values, dim, is_signed ? -128.0f : 0.0f, is_signed ? 127.0f : 255.0f)) return KITH_OK;
    uint8_t *bytes = kt_arena_take(scratch, dim, 1);
    if (!bytes) return kt_fail_memory(error, dim);
    for (uint32_t i = 0; i < dim; i++) bytes[i] = (uint8_t)(int)values[i];
    out->vector = bytes;
    out->integer = true;
    if (out->metric != KITH_HAMMING) out->norm = kt_kernels()->integer_norm[element](bytes, dim);
    return KITH_OK;
}

kith_status kt_scan_prepare(const struct kt_vectors *vectors, kith_metric metric, const void *vector,
                            kith_element element, struct kt_arena *scratch, struct kt_scan_query *out,
                            kith_error *error)
{
    static const char *const names[] = { "float32", "float16", "float64", "int8", "uint8" };
    static const char *const metrics[] = { "l2", "l2", "cosine", "dot", "hamming" };
    const struct kt_kernels *kernels = kt_kernels();
    uint32_t dim = vectors->dim;
    if (metric == KITH_METRIC_DEFAULT) metric = KITH_L2;
    *out = (struct kt_scan_query){ .metric = metric, .lower = -INFINITY, .upper = INFINITY };
    if (!kernels->distance[metric][vectors->element])
        return kt_fail(error, KITH_INVALID,
                       "the metric %s is not for vectors of %s; hamming is for uint8 and for nothing else",
                       metrics[metric], names[vectors->element]);
    if (vectors->element == KITH_F64) return query_doubles(vector, element, dim, scratch, out, error);

    float *values = NULL;
    kith_status status = query_floats(vector, element, dim, scratch, &values, error);
    if (status) return status;
    bool can =
        metric == KITH_HAMMING || (kernels->integer_distance[metric][vectors->element] && dim <= INTEGER_DIM);
    if (can) {
        status = query_integers(values, vectors->element, dim, scratch, out, error);
        if (status || out->integer) return status;
    }
    if (metric == KITH_HAMMING)
        return kt_fail(error, KITH_INVALID,
                       "a hamming query holds bytes, 8 bits each: whole numbers in 0..255");
    out->vector = values;
    out->norm = kernels->norm[KITH_F32](values, dim);
    return KITH_OK;
}

static kt_distance_fn scan_kernel(const struct kt_vectors *vectors, const struct kt_scan_query *query)
{
    const struct kt_kernels *kernels = kt_kernels();
    bool integer = query->integer && query->metric != KITH_HAMMING;
    return (integer ? kernels->integer_distance : kernels->distance)[query->metric][vectors->element];
}

/* ---- every row ---- */

static void offer_block(const struct kt_scan_query *query, const struct kt_vectors_view *view,
                        const float *distances, uint32_t count, const struct kt_vectors_run *run,
                        uint64_t place, struct kt_top *top)
{
    float bound = kt_top_bound(top);
    for (uint32_t i = 0; i < count; i++) {
        if (!(distances[i] <= bound)) continue;
        if (!kt_scan_in_range(query, distances[i])) continue;
        if (view->validity && !kt_bit(view->validity, view->bit_offset + i)) continue;
        uint64_t row = kt_run_row(run, place + i);
        if (query->among && !kt_selected(query->among, row)) continue;
        kt_top_offer(top, distances[i], row);
        bound = kt_top_bound(top);
    }
}

/* Vectors [offset, end) of one run. */
static kith_status scan_run(const struct kt_vectors *vectors, const struct kt_vectors_run *run,
                            uint64_t offset, uint64_t end, const struct kt_scan_query *query,
                            struct kt_top *top, kith_error *error)
{
    float distances[SCAN_ROWS];
    kt_distance_fn distance = scan_kernel(vectors, query);
    size_t row_bytes = vectors->dim * kt_element_bytes(vectors->element);
    uint64_t step = kt_max_u64(1, kt_min_u64(SCAN_ROWS, SCAN_BYTES / kt_max_u64(row_bytes, 1)));
    while (offset < end) {
        uint32_t count = (uint32_t)kt_min_u64(step, end - offset);
        struct kt_vectors_view view = { 0 };
        kith_status status = kt_work_poll(query->work, "search", error);
        if (!status) status = run->view(run->context, offset, count, &view, error);
        if (status) return status;
        distance(query->vector, query->norm, view.data, vectors->dim, count, distances);
        offer_block(query, &view, distances, count, run, offset, top);
        offset += count;
    }
    return KITH_OK;
}

/* The first run that may hold `row` or one after it. */
static uint32_t first_run(const struct kt_vectors *vectors, uint64_t row)
{
    uint32_t low = 0, high = vectors->run_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (vectors->runs[middle].first_row + vectors->runs[middle].span <= row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- a few rows ---- */

static void fetch_lines(const uint8_t *data, size_t bytes)
{
    size_t lines = kt_min_u64(HIT_LINES, (bytes + 63) / 64);
    for (size_t i = 0; i < lines; i++) __builtin_prefetch(data + 64 * i);
}

/* Where the vector of `row` lies; NULL when the row is missing or null. */
static kith_status find_vector(const struct kt_vectors *vectors, uint64_t row, const uint8_t **out,
                               kith_error *error)
{
    uint64_t place;
    *out = NULL;
    int64_t at = kt_vectors_find(vectors, row, &place);
    if (at < 0) return KITH_OK;
    const struct kt_vectors_run *run = &vectors->runs[at];
    struct kt_vectors_view view = { 0 };
    kith_status status = run->view(run->context, place, 1, &view, error);
    if (status) return status;
    if (!view.validity || kt_bit(view.validity, view.bit_offset)) *out = view.data;
    return KITH_OK;
}

kith_status kt_scan_hits(const struct kt_vectors *vectors, const struct kt_scan_query *query,
                         struct kt_hit *hits, size_t count, kith_error *error)
{
    const uint8_t *data[HITS_AHEAD];
    kt_distance_fn distance = scan_kernel(vectors, query);
    size_t row_bytes = vectors->dim * kt_element_bytes(vectors->element);
    for (size_t begin = 0; begin < count; begin += HITS_AHEAD) {
        size_t n = kt_min_u64(HITS_AHEAD, count - begin);
        for (size_t i = 0; i < n; i++) {
            kith_status status = find_vector(vectors, hits[begin + i].row, &data[i], error);
            if (status) return status;
            if (data[i]) fetch_lines(data[i], row_bytes);
        }
        for (size_t i = 0; i < n; i++) {
            if (data[i])
                distance(query->vector, query->norm, data[i], vectors->dim, 1, &hits[begin + i].distance);
            else
                hits[begin + i].distance = NAN;
        }
    }
    return KITH_OK;
}

/* ---- rows that are wanted ---- */

/* Those of [begin, end) one by one. */
static kith_status scan_selected(const struct kt_vectors *vectors, const struct kt_scan_query *query,
                                 uint64_t begin, uint64_t end, struct kt_top *top, uint64_t *scanned,
                                 kith_error *error)
{
    struct kt_hit hits[SELECTED_HITS];
    uint64_t row = kt_selection_next(query->among, begin);
    while (row < end) {
        size_t count = 0;
        for (; row < end && count < SELECTED_HITS; row = kt_selection_next(query->among, row + 1))
            hits[count++] = (struct kt_hit){ 0, row };
        kith_status status = kt_work_poll(query->work, "search", error);
        if (!status) status = kt_scan_hits(vectors, query, hits, count, error);
        if (status) return status;
        for (size_t i = 0; i < count; i++)
            if (kt_scan_in_range(query, hits[i].distance)) kt_top_offer(top, hits[i].distance, hits[i].row);
        *scanned += count;
    }
    return KITH_OK;
}

static kith_status scan_span(const struct kt_vectors *vectors, const struct kt_scan_query *query,
                             uint64_t begin, uint64_t end, struct kt_top *top, uint64_t *scanned,
                             kith_error *error)
{
    for (uint32_t r = first_run(vectors, begin); r < vectors->run_count; r++) {
        const struct kt_vectors_run *run = &vectors->runs[r];
        if (run->first_row >= end) break;
        uint64_t from = kt_run_place(run, begin), to = kt_run_place(run, end);
        if (from >= to) continue;
        kith_status status = scan_run(vectors, run, from, to, query, top, error);
        if (status) return status;
        *scanned += to - from;
    }
    return KITH_OK;
}

kith_status kt_scan_rows(const struct kt_vectors *vectors, const struct kt_scan_query *query, uint64_t begin,
                         uint64_t end, struct kt_top *top, struct kt_index_stats *stats, kith_error *error)
{
    const struct kt_selection *among = query->among;
    uint64_t scanned = 0;
    kith_status status = KITH_OK;
    if (!top->capacity) return KITH_OK;
    end = among ? kt_min_u64(end, among->rows) : end;
    if (begin >= end) return KITH_OK;
    bool few = among && kt_selection_count(among, begin, end) < (end - begin) / FEW_OF;
    status = (few ? scan_selected : scan_span)(vectors, query, begin, end, top, &scanned, error);
    if (status) return status;
    if (stats) {
        stats->rows += scanned;
        stats->bytes += scanned * vectors->dim * kt_element_bytes(vectors->element);
    }
    return KITH_OK;
}
