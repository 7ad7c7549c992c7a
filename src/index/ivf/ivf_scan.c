/* Scanning a list: 32 estimates and their lower bounds at a time; a row whose bound is above the k-th least
 * upper bound so far is out, and nearly all are. Of the others the further bits are read, which lie beside
 * the list in the same order, and what their narrower bounds leave are candidates. No stored row is read
 * here.
 *
 *   estimate = |q - c|^2 + add + rescale * (q.v)    error = factor * |q - c| - rescale * slack      (quant.h)
 *
 * of one standard error; slack is that of q.v itself, which rounding the query's tables leaves. Factors are
 * halves in units of the index, which go into whatever a factor is multiplied by (ivf_store.c). An infinite
 * one is multiplied by no zero, so that its row is looked at.
 *
 * Where a filter wants some rows only, the bits of a block's rows are gathered first: a block with none is
 * not read any further than its offsets, and of the others no row that is not wanted is looked at closer.
 *
 * A list of the rows themselves is the same with errors of zero: the distance of a row is computed from its
 * copy in the list.
 *
 * Memory is asked for what will be needed and not waited for: rows that want a closer look are collected from
 * some blocks, and looked at after the next blocks were scanned, when their further bits have arrived; the
 * threshold is that much behind. Of a candidate only the place of its row offset is kept, which is read at
 * the end.
 *
 * Always true here: nothing allocates but from the query's scratch; padding lanes never pass a finite bound,
 * and are cut off while there is none.
 */
#include <float.h>
#include <math.h>

#include "base/bytes.h"
#include "index/ivf/ivf_private.h"

enum {
    SCAN_BLOCKS = 8, /* blocks of one kernel call: 1 KiB of sums */
    PAGE = 4096,
    PAGE_LINES = 4,   /* cache lines of each page of the next list asked for while this one is scanned */
    EXTRA_STEP = 128, /* bytes of a row's further bits from one prefetch to the next: lines come in pairs */
    FIRST_ROOM = 256, /* candidates */
    FIRST_K = 128
};

/* A list being scanned. */
struct scan {
    struct ivf_search *s;
    const uint8_t *blocks, *extra;
    uint32_t rows, rank;
    float distance;   /* of the query to the centroid: the square */
    float first, all; /* what a row's error is multiplied by, of the first code and of all bits */
};

/* Rows of one list that wait for their further bits. */
struct ivf_batch {
    struct scan scan;
    uint32_t count;
    struct lane {
        uint32_t row; /* of the list */
        uint32_t sum; /* of look-ups */
        float estimate, low;
    } lanes[SCAN_BLOCKS * KT_BLOCK_ROWS];
};

/* ---- candidates ---- */

static kith_status make_room(struct ivf_search *s)
{
    float limit = kt_top_bound(&s->nearest);
    size_t kept = 0;
    for (size_t i = 0; i < s->candidate_count; i++) {
        if (!(s->candidates[i].low <= limit)) continue;
        if (s->traces) s->traces[kept] = s->traces[i];
        s->candidates[kept++] = s->candidates[i];
    }
    s->candidate_count = kept;
    if (kept < s->candidate_room / 2) return KITH_OK;
    size_t room = s->candidate_room ? 2 * s->candidate_room : FIRST_ROOM;
    struct ivf_candidate *more = kt_arena_take(s->scratch, room, sizeof *more);
    struct ivf_trace *traces = s->traces ? kt_arena_take(s->scratch, room, sizeof *traces) : NULL;
    if (!more || (s->traces && !traces)) return kt_fail_memory(s->error, room * sizeof *more);
    if (kept) memcpy(more, s->candidates, kept * sizeof *more);
    if (kept && traces) memcpy(traces, s->traces, kept * sizeof *traces);
    s->candidates = more;
    s->traces = traces;
    s->candidate_room = room;
    return KITH_OK;
}

static const uint8_t *block_of(const struct scan *scan, uint32_t row)
{
    return scan->blocks + (size_t)(row / KT_BLOCK_ROWS) * scan->s->index->layout.block_bytes;
}

size_t kt_ivf_offsets_at(const struct kt_index *index)
{
    return index->shape.kind == IVF_ROWS ? 0 : index->layout.codes_bytes + IVF_FACTOR_BYTES * KT_BLOCK_ROWS;
}

/* Where the row offset of a row of the list stands. */
static const uint8_t *offset_of(const struct scan *scan, uint32_t row)
{
    return block_of(scan, row) + kt_ivf_offsets_at(scan->s->index) + row % KT_BLOCK_ROWS * sizeof(uint32_t);
}

/* Adds a row with the interval low .. high. */
static kith_status add_candidate(const struct scan *scan, uint32_t row, float low, float high,
                                 const struct ivf_trace *trace)
{
    struct ivf_search *s = scan->s;
    const uint8_t *where = offset_of(scan, row);
    uint64_t tie = (uint64_t)scan->rank << 32 | row;
    if (s->left_out != UINT64_MAX && kt_get_u32(where) == s->left_out) return KITH_OK;
    kith_status status = s->candidate_count == s->candidate_room ? make_room(s) : KITH_OK;
    if (status) return status;
    __builtin_prefetch(where);
    if (s->traces) s->traces[s->candidate_count] = *trace;
    s->candidates[s->candidate_count++] = (struct ivf_candidate){ low, scan->rank, where };
    kt_top_offer(&s->nearest, high, tie);
    for (uint32_t i = 0; i < s->other_count; i++) kt_top_offer(&s->others[i], high, tie);
    return KITH_OK;
}

/* ---- codes ---- */

/* Three halves, as floats; the fourth number is zero. In line, because a call for three numbers costs more
 * than they do. */
typedef float four __attribute__((vector_size(16)));
typedef int32_t four_whole __attribute__((vector_size(16)));

static inline four load_factors(const uint8_t *end)
{
    typedef uint16_t four_halves __attribute__((vector_size(8)));
    uint64_t bits = kt_get_u64(end - sizeof bits) >> 16; /* before the factors stand bits enough */
    four_halves halves;
    memcpy(&halves, &bits, sizeof halves);
    four_whole whole = __builtin_convertvector(halves, four_whole);
    four_whole size = (whole & 0x7fff) << 13, special = (size >= 0x0f800000) & 0x7f800000;
    return (four)((four_whole)((four)size * 0x1p112f) | special | (whole & 0x8000) << 16);
}

/* The narrower interval of a row by all its bits. */
static kith_status look_closer(const struct scan *scan, const struct lane *lane)
{
    struct ivf_search *s = scan->s;
    const struct kt_index *index = s->index;
    float estimate = lane->estimate, low = lane->low, width = estimate - low, spread = s->sign_spread;
    if (scan->extra) {
        uint32_t extra_bytes = index->layout.extra_bytes;
        const uint8_t *bits = scan->extra + (size_t)lane->row * extra_bytes;
        four f = load_factors(bits + extra_bytes);
        float product =
            kt_rabitq_product(&s->signs, index->shape.tree_dim, index->shape.bits, lane->sum, bits);
        spread = s->spread;
        estimate = scan->distance + f[0] * index->all.add + f[1] * (product * index->all.rescale);
        width = f[2] * scan->all - f[1] * (spread * s->slack);
        low = estimate - width;
        s->stats->extra++;
        s->stats->bytes += extra_bytes;
    }
    if (!(low <= kt_top_bound(&s->nearest))) return KITH_OK;
    const struct ivf_trace trace = { lane->estimate, (lane->estimate - lane->low) / s->sign_spread, estimate,
                                     width / spread };
    return add_candidate(scan, lane->row, low, estimate + s->upper * width, &trace);
}

/* The rows of a block, by its row offsets, that are wanted; those beyond the list's end are not. */
static uint32_t wanted_of(const struct ivf_search *s, const uint8_t *offsets, uint32_t lanes)
{
    const struct kt_selection *among = s->query->exact->among;
    uint64_t base = s->index->shape.base_row;
    uint32_t mask = 0;
    for (uint32_t i = 0; i < lanes; i++)
        mask |= (uint32_t)kt_selected(among, base + kt_get_u32(offsets + 4 * (size_t)i)) << i;
    return mask;
}

/* The same for some blocks: false where no row is wanted. */
static bool want_blocks(const struct scan *scan, uint32_t row, uint32_t some, uint32_t *wanted)
{
    uint32_t all = 0;
    for (uint32_t at = 0; at < some; at += KT_BLOCK_ROWS) {
        uint32_t lanes = kt_min_u32(KT_BLOCK_ROWS, some - at), b = at / KT_BLOCK_ROWS;
        wanted[b] = wanted_of(scan->s, offset_of(scan, row + at), lanes);
        scan->s->rows += (uint32_t)__builtin_popcount(wanted[b]);
        all |= wanted[b];
    }
    return all;
}

/* Adds the rows of `mask` of the block from `first_row` on to a batch. */
static void collect(struct ivf_batch *batch, uint32_t first_row, uint32_t mask, uint32_t block)
{
    const struct scan *scan = &batch->scan;
    const struct ivf_search *s = scan->s;
    const struct ivf_layout *layout = &s->index->layout;
    if (scan->rows - first_row < KT_BLOCK_ROWS) mask &= (1u << (scan->rows - first_row)) - 1;
    for (; mask; mask &= mask - 1) {
        uint32_t r = (uint32_t)__builtin_ctz(mask), row = first_row + r;
        const uint8_t *bits = scan->extra + (size_t)row * layout->extra_bytes;
        uint32_t at = block * KT_BLOCK_ROWS + r;
        batch->lanes[batch->count++] = (struct lane){ row, s->sums[at], s->estimates[at], s->lows[at] };
        for (uint32_t i = 0; i < layout->extra_bytes; i += EXTRA_STEP) __builtin_prefetch(bits + i);
    }
}

/* While fewer than k upper bounds are known, the k-th least of the wide ones of these rows will do: it keeps
 * most of the first list from being looked at closer. */
static float first_limit(const struct ivf_batch *batch)
{
    struct ivf_search *s = batch->scan.s;
    size_t k = s->nearest.capacity;
    struct kt_top top = { .hits = s->first, .capacity = k };
    if (!batch->scan.extra || batch->count <= k || k > FIRST_K) return INFINITY;
    for (uint32_t i = 0; i < batch->count; i++)
        kt_top_offer(&top, 2 * batch->lanes[i].estimate - batch->lanes[i].low, i);
    return kt_top_bound(&top);
}

static kith_status look_at(struct ivf_batch *batch)
{
    struct ivf_search *s = batch->scan.s;
    kith_status status = KITH_OK;
    if (!batch->count) return KITH_OK;
    float limit = kt_top_bound(&s->nearest);
    if (isinf(limit)) limit = first_limit(batch);
    for (uint32_t i = 0; !status && i < batch->count; i++) {
        const struct lane *lane = &batch->lanes[i];
        if (lane->low <= limit) status = look_closer(&batch->scan, lane);
    }
    batch->count = 0;
    return status;
}

kith_status kt_ivf_scan_rest(struct ivf_search *s)
{
    return look_at(s->waiting);
}

static kith_status scan_codes(const struct scan *scan)
{
    struct ivf_search *s = scan->s;
    const struct kt_kernels *kernels = kt_kernels();
    const struct ivf_layout *layout = &s->index->layout;
    struct kt_bounds bounds = { .base = scan->distance,
                                .add_unit = s->index->first.add,
                                .unit = s->unit,
                                .bias = s->bias,
                                .slack = s->sign_spread * s->sign_slack,
                                .spread = scan->first };
    bool filtered = s->query->exact->among;
    uint32_t masks[SCAN_BLOCKS] __attribute__((uninitialized));
    uint32_t wanted[SCAN_BLOCKS] __attribute__((uninitialized));
    kith_status status = KITH_OK;
    for (uint32_t row = 0; !status && row < scan->rows; row += SCAN_BLOCKS * KT_BLOCK_ROWS) {
        uint32_t some = kt_min_u32(scan->rows - row, SCAN_BLOCKS * KT_BLOCK_ROWS);
        uint32_t blocks = (some + KT_BLOCK_ROWS - 1) / KT_BLOCK_ROWS;
        const uint8_t *first = block_of(scan, row);
        if (filtered && !want_blocks(scan, row, some, wanted)) continue;
        s->stats->codes += some;
        s->stats->bytes += blocks * layout->block_bytes;
        kernels->fastscan(first, layout->block_bytes, blocks, s->lut, s->index->shape.tables, s->sums);
        bounds.limit = kt_top_bound(&s->nearest);
        kernels->block_bounds(s->sums, first + layout->codes_bytes, layout->block_bytes, blocks, &bounds,
                              s->estimates, s->lows, masks);
        for (uint32_t b = 0; filtered && b < blocks; b++) masks[b] &= wanted[b];
        struct ivf_batch *fresh = s->fresh;
        fresh->scan = *scan;
        for (uint32_t b = 0; b < blocks; b++)
            if (masks[b]) collect(fresh, row + b * KT_BLOCK_ROWS, masks[b], b);
        status = look_at(s->waiting);
        s->fresh = s->waiting;
        s->waiting = fresh;
        if (!status && isinf(bounds.limit)) status = look_at(fresh); /* the threshold is needed now */
    }
    return status;
}

/* ---- rows ---- */

static kith_status scan_rows(const struct scan *scan)
{
    struct ivf_search *s = scan->s;
    const struct kt_index *index = s->index;
    const struct kt_scan_query *exact = s->query->exact;
    const struct ivf_trace trace = { 0 };
    float distances[KT_BLOCK_ROWS] __attribute__((uninitialized));
    kith_status status = KITH_OK;
    for (uint32_t at = 0; !status && at < scan->rows; at += KT_BLOCK_ROWS) {
        const uint8_t *block = block_of(scan, at);
        uint32_t lanes = kt_min_u32(KT_BLOCK_ROWS, scan->rows - at), wanted = UINT32_MAX;
        if (exact->among && !want_blocks(scan, at, lanes, &wanted)) continue;
        s->exact_distance(exact->vector, exact->norm, block + KT_BLOCK_ROWS * sizeof(uint32_t),
                          index->shape.dim, lanes, distances);
        s->stats->codes += lanes;
        s->stats->bytes += index->layout.block_bytes;
        for (uint32_t i = 0; !status && i < lanes; i++) {
            if (!(wanted >> i & 1)) continue;
            float distance = kt_ivf_tree_distance(&index->space, s->query_square, distances[i]);
            if (isnan(distance)) distance = INFINITY; /* no number, and yet a row */
            if (distance <= kt_top_bound(&s->nearest))
                status = add_candidate(scan, at + i, distance, distance, &trace);
        }
    }
    return status;
}

/* ---- one list ---- */

static kith_status lend_blocks(const struct ivf_search *s, const struct ivf_list *list, const uint8_t **out,
                               uint64_t *bytes)
{
    const struct ivf_layout *layout = &s->index->layout;
    *bytes = kt_round_up(list->rows, KT_BLOCK_ROWS) / KT_BLOCK_ROWS * layout->block_bytes;
    return kt_view(s->index->file, layout->lists + list->begin, *bytes, out, s->error);
}

/* Asks for the first lines of each page of the list to come; the processor goes on by itself, but not beyond
 * a page. */
static kith_status look_ahead(const struct ivf_search *s, uint32_t next)
{
    const uint8_t *blocks;
    uint64_t bytes;
    struct ivf_list list = kt_ivf_list(s->index, next);
    if (!list.rows) return KITH_OK;
    kith_status status = lend_blocks(s, &list, &blocks, &bytes);
    for (uint64_t at = 0; !status && at < bytes; at += PAGE)
        for (uint32_t i = 0; i < PAGE_LINES; i++) __builtin_prefetch(blocks + at + (size_t)i * 64);
    return status;
}

static inline float above_zero(float value)
{
    return value > FLT_MIN ? value : FLT_MIN;
}

kith_status kt_ivf_scan(struct ivf_search *s, const struct ivf_probe *probe, uint32_t rank, uint32_t next)
{
    const struct ivf_layout *layout = &s->index->layout;
    struct ivf_list list = kt_ivf_list(s->index, probe->list);
    float root = sqrtf(probe->distance);
    struct scan scan = { .s = s,
                         .rows = list.rows,
                         .rank = rank,
                         .distance = probe->distance,
                         .first = above_zero(s->sign_spread * root * s->index->first.error),
                         .all = above_zero(s->spread * root * s->index->all.error) };
    uint64_t bytes = 0;
    s->stats->lists++;
    if (!list.rows) return KITH_OK;
    kith_status status = lend_blocks(s, &list, &scan.blocks, &bytes);
    if (!status && layout->extra_bytes)
        status = kt_view(s->index->file, layout->lists + list.begin + bytes,
                         (uint64_t)list.rows * layout->extra_bytes, &scan.extra, s->error);
    if (!status && next != UINT32_MAX) status = look_ahead(s, next);
    if (status) return status;
    if (!s->query->exact->among) s->rows += list.rows;
    return s->index->shape.kind == IVF_ROWS ? scan_rows(&scan) : scan_codes(&scan);
}

kith_status kt_ivf_scan_begin(struct ivf_search *s)
{
    size_t rows = SCAN_BLOCKS * KT_BLOCK_ROWS;
    s->sums = kt_arena_take(s->scratch, rows, sizeof *s->sums);
    s->estimates = kt_arena_take(s->scratch, rows, sizeof *s->estimates);
    s->lows = kt_arena_take(s->scratch, rows, sizeof *s->lows);
    s->fresh = kt_arena_take(s->scratch, 1, sizeof *s->fresh);
    s->waiting = kt_arena_take(s->scratch, 1, sizeof *s->waiting);
    s->first = kt_arena_take(s->scratch, FIRST_K, sizeof *s->first);
    if (!s->sums || !s->estimates || !s->lows || !s->fresh || !s->waiting || !s->first)
        return kt_fail_memory(s->error, 2 * sizeof *s->fresh);
    s->fresh->count = s->waiting->count = 0;
    return make_room(s);
}

/* ---- outliers ---- */

kith_status kt_ivf_scan_outliers(struct ivf_search *s)
{
    const struct kt_index *index = s->index;
    const struct kt_scan_query *exact = s->query->exact;
    float distances[KT_BLOCK_ROWS] __attribute__((uninitialized));
    uint64_t outliers = index->shape.outliers, bytes = index->layout.row_block_bytes;
    for (uint64_t at = 0; at < outliers; at += KT_BLOCK_ROWS) {
        const uint8_t *block = NULL;
        uint32_t lanes = (uint32_t)kt_min_u64(KT_BLOCK_ROWS, outliers - at);
        kith_status status = kt_view(index->file, index->layout.outliers + at / KT_BLOCK_ROWS * bytes, bytes,
                                     &block, s->error);
        if (status) return status;
        s->exact_distance(exact->vector, exact->norm, block + KT_BLOCK_ROWS * sizeof(uint32_t),
                          index->shape.dim, lanes, distances);
        for (uint32_t i = 0; i < lanes; i++) {
            uint64_t offset = kt_get_u32(block + 4 * i);
            float distance = isnan(distances[i]) ? INFINITY : distances[i];
            uint64_t row = index->shape.base_row + offset;
            if (offset != s->left_out && offset < index->shape.row_span &&
                kt_scan_in_range(exact, distance) && (!exact->among || kt_selected(exact->among, row)))
                kt_top_offer(s->top, distance, row);
        }
        s->stats->rows += lanes;
        s->stats->bytes += bytes;
    }
    return KITH_OK;
}
