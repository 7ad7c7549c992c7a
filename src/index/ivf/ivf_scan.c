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
 * Rows that stand by themselves, of which runs have a few a list, are estimated one by one: by the bytes of
 * the query where codes are signs, else by look-ups.
 *
 * Where a filter wants some rows only, the bits of a block's rows are gathered first: a block with none is
 * not read any further than its offsets, and of the others no row that is not wanted is looked at closer.
 * Where nobody counted what it wants, it wants nearly all: then a row is asked for only when it would be
 * looked at closer.
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

/* The rows that a list has in one file, being scanned. */
struct scan {
    struct ivf_search *s;
    const uint8_t *list, *extra;
    struct ivf_form form;
    uint64_t tie;     /* of its first row, among rows at the same distance */
    uint32_t rank;    /* of the list */
    float distance;   /* of the query to the centroid: the square */
    float first, all; /* what a row's error is multiplied by, of the first code and of all bits */
};

/* Rows of one list that wait for their further bits. */
struct ivf_batch {
    struct scan scan;
    uint32_t count;
    struct lane {
        uint32_t row; /* of the list */
        float signs;  /* q.(signs as 0 and 1) */
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

/* Where the row offset of a row of the list stands. */
static const uint8_t *offset_of(const struct scan *scan, uint32_t row)
{
    return scan->list + kt_ivf_offset_at(&scan->s->index->layout, &scan->form, row);
}

/* Adds a row with the interval low .. high. */
static kith_status add_candidate(const struct scan *scan, uint32_t row, float low, float high,
                                 const struct ivf_trace *trace)
{
    struct ivf_search *s = scan->s;
    const uint8_t *where = offset_of(scan, row);
    uint64_t tie = scan->tie + row;
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
            kt_rabitq_product(&s->signs, index->shape.tree_dim, index->shape.bits, lane->signs, bits);
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

static bool is_wanted(const struct ivf_search *s, const uint8_t *offset)
{
    return kt_selected(s->query->exact->among, s->index->shape.base_row + kt_get_u32(offset));
}

/* The rows of a block, by its row offsets, that are wanted; those beyond the list's end are not. */
static uint32_t wanted_of(const struct ivf_search *s, const uint8_t *offsets, uint32_t lanes)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < lanes; i++) mask |= (uint32_t)is_wanted(s, offsets + 4 * (size_t)i) << i;
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

/* Adds rows to a batch: of those from `first_row` on the ones of `mask`, which stand at `at` among the rows
 * estimated last. `signs` has q.(signs) of rows that stand by themselves; those of blocks follow from sums.
 */
static void collect(struct ivf_batch *batch, uint32_t first_row, uint32_t mask, uint32_t at,
                    const float *signs)
{
    const struct scan *scan = &batch->scan;
    const struct ivf_search *s = scan->s;
    const struct ivf_layout *layout = &s->index->layout;
    uint32_t left = scan->form.rows - first_row;
    if (left < KT_BLOCK_ROWS) mask &= (1u << left) - 1;
    for (; mask; mask &= mask - 1) {
        uint32_t r = (uint32_t)__builtin_ctz(mask), row = first_row + r;
        const uint8_t *bits = scan->extra + (size_t)row * layout->extra_bytes;
        if (s->asks_late && !is_wanted(s, offset_of(scan, row))) continue;
        float own = signs ? signs[r] : s->signs.unit * (float)s->sums[at + r] + s->signs.bias;
        batch->lanes[batch->count++] = (struct lane){ row, own, s->estimates[at + r], s->lows[at + r] };
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

/* Collects the rows of `masks` of some blocks, and looks at those that were collected before. */
static kith_status pass_on(const struct scan *scan, uint32_t row, uint32_t blocks, const uint32_t *masks,
                           const float *signs, float limit)
{
    struct ivf_search *s = scan->s;
    struct ivf_batch *fresh = s->fresh;
    fresh->scan = *scan;
    for (uint32_t b = 0; b < blocks; b++)
        if (masks[b]) collect(fresh, row + b * KT_BLOCK_ROWS, masks[b], b * KT_BLOCK_ROWS, signs);
    kith_status status = look_at(s->waiting);
    s->fresh = s->waiting;
    s->waiting = fresh;
    if (!status && isinf(limit)) status = look_at(fresh); /* the threshold is needed now */
    return status;
}

static kith_status scan_blocks(const struct scan *scan, struct kt_bounds *bounds)
{
    struct ivf_search *s = scan->s;
    const struct kt_kernels *kernels = kt_kernels();
    const struct ivf_layout *layout = &s->index->layout;
    bool filtered = s->query->exact->among && !s->asks_late;
    uint32_t masks[SCAN_BLOCKS] __attribute__((uninitialized));
    uint32_t wanted[SCAN_BLOCKS] __attribute__((uninitialized));
    kith_status status = KITH_OK;
    for (uint32_t row = 0; !status && row < scan->form.in_blocks; row += SCAN_BLOCKS * KT_BLOCK_ROWS) {
        uint32_t some = kt_min_u32(scan->form.in_blocks - row, SCAN_BLOCKS * KT_BLOCK_ROWS);
        uint32_t blocks = (some + KT_BLOCK_ROWS - 1) / KT_BLOCK_ROWS;
        const uint8_t *first = scan->list + row / KT_BLOCK_ROWS * layout->block_bytes;
        if (filtered && !want_blocks(scan, row, some, wanted)) continue;
        s->stats->codes += some;
        s->stats->bytes += blocks * layout->block_bytes;
        kernels->fastscan(first, layout->block_bytes, blocks, s->lut, s->index->shape.tables, s->sums);
        bounds->limit = kt_top_bound(&s->nearest);
        kernels->block_bounds(s->sums, first + layout->codes_bytes, layout->block_bytes, blocks, bounds,
                              s->estimates, s->lows, masks);
        for (uint32_t b = 0; filtered && b < blocks; b++) masks[b] &= wanted[b];
        status = pass_on(scan, row, blocks, masks, NULL, bounds->limit);
    }
    return status;
}

/* q.v of a row by itself in the unit of its rescale, and of its signs alone. */
static float product_alone(const struct ivf_search *s, const uint8_t *codes, float *signs)
{
    const struct kt_index *index = s->index;
    uint32_t tables = index->shape.tables, sum = 0;
    if (index->shape.kind == IVF_SIGNS) {
        *signs = kt_rabitq_signs(&s->signs, index->shape.tree_dim, codes);
        return (*signs - s->signs.sum / 2) * index->first.rescale;
    }
    for (uint32_t t = 0; t < tables; t++)
        sum += s->lut[t * KT_PQ_CODES + (uint32_t)(codes[t / 2] >> (t % 2 ? 4 : 0) & 15)];
    *signs = 0;
    return s->unit * (float)sum + s->bias;
}

/* The rows behind the blocks, fewer than a block's. */
static kith_status scan_alone(const struct scan *scan, struct kt_bounds *bounds)
{
    struct ivf_search *s = scan->s;
    const struct ivf_layout *layout = &s->index->layout;
    const uint8_t *item = scan->list + scan->form.items;
    uint32_t row = scan->form.in_blocks, count = scan->form.rows - row, mask = 0, wanted = UINT32_MAX;
    float signs[KT_BLOCK_ROWS] __attribute__((uninitialized));
    if (s->query->exact->among && !s->asks_late && !want_blocks(scan, row, count, &wanted)) return KITH_OK;
    bounds->limit = kt_top_bound(&s->nearest);
    for (uint32_t r = 0; r < count; r++, item += layout->item_bytes) {
        if (!(wanted >> r & 1)) continue;
        four f = load_factors(item + layout->item_bytes);
        float product = product_alone(s, item, &signs[r]);
        s->estimates[r] = bounds->base + f[0] * bounds->add_unit + f[1] * product;
        s->lows[r] = s->estimates[r] + f[1] * bounds->slack - f[2] * bounds->spread;
        mask |= (uint32_t)(s->lows[r] <= bounds->limit) << r;
    }
    s->stats->codes += count;
    s->stats->bytes += count * (layout->item_bytes + sizeof(uint32_t));
    return pass_on(scan, row, 1, &mask, signs, bounds->limit);
}

static kith_status scan_codes(const struct scan *scan)
{
    struct ivf_search *s = scan->s;
    struct kt_bounds bounds = { .base = scan->distance,
                                .add_unit = s->index->first.add,
                                .unit = s->unit,
                                .bias = s->bias,
                                .slack = s->sign_spread * s->sign_slack,
                                .spread = scan->first };
    kith_status status = scan_blocks(scan, &bounds);
    return status || scan->form.in_blocks == scan->form.rows ? status : scan_alone(scan, &bounds);
}

/* ---- rows ---- */

static kith_status scan_rows(const struct scan *scan)
{
    struct ivf_search *s = scan->s;
    const struct kt_index *index = s->index;
    const struct kt_scan_query *exact = s->query->exact;
    const struct ivf_trace trace = { 0 };
    bool filtered = exact->among && !s->asks_late;
    float distances[KT_BLOCK_ROWS] __attribute__((uninitialized));
    kith_status status = KITH_OK;
    for (uint32_t at = 0; !status && at < scan->form.rows; at += KT_BLOCK_ROWS) {
        const uint8_t *rows = scan->list + scan->form.items + at * index->layout.row_bytes;
        uint32_t lanes = kt_min_u32(KT_BLOCK_ROWS, scan->form.rows - at), wanted = UINT32_MAX;
        if (filtered && !want_blocks(scan, at, lanes, &wanted)) continue;
        s->exact_distance(exact->vector, exact->norm, rows, index->shape.dim, lanes, distances);
        s->stats->codes += lanes;
        s->stats->bytes += lanes * (index->layout.row_bytes + sizeof(uint32_t));
        for (uint32_t i = 0; !status && i < lanes; i++) {
            if (!(wanted >> i & 1)) continue;
            float distance = kt_space_distance(&index->space, s->query_scale, distances[i]);
            if (isnan(distance)) distance = INFINITY; /* no number, and yet a row */
            if (!(distance <= kt_top_bound(&s->nearest))) continue;
            if (!s->asks_late || is_wanted(s, offset_of(scan, at + i)))
                status = add_candidate(scan, at + i, distance, distance, &trace);
        }
    }
    return status;
}

/* ---- one list ---- */

/* Asks for the first lines of each page of the list to come; the processor goes on by itself, but not beyond
 * a page. */
static kith_status look_ahead(const struct ivf_search *s, uint32_t next)
{
    const struct kt_index *index = s->index;
    kith_status status = KITH_OK;
    for (uint32_t i = index->slice_begin[next]; !status && i < index->slice_begin[next + 1]; i++) {
        const struct ivf_slice *slice = &index->slices[i];
        struct ivf_form form =
            kt_ivf_form(&index->layout, index->parts[slice->part].extent.is_run, slice->rows);
        const uint8_t *list;
        if (!form.bytes) continue;
        status = kt_ivf_lend(index, slice, &form, &list, s->error);
        for (uint64_t at = 0; !status && at < form.extras; at += PAGE)
            for (uint32_t line = 0; line < PAGE_LINES; line++)
                __builtin_prefetch(list + at + (size_t)line * 64);
    }
    return status;
}

static inline float above_zero(float value)
{
    return value > FLT_MIN ? value : FLT_MIN;
}

kith_status kt_ivf_scan(struct ivf_search *s, const struct ivf_probe *probe, uint32_t rank, uint32_t next)
{
    const struct kt_index *index = s->index;
    float root = sqrtf(probe->distance);
    struct scan scan = { .s = s,
                         .tie = (uint64_t)rank << 32,
                         .rank = rank,
                         .distance = probe->distance,
                         .first = above_zero(s->sign_spread * root * index->first.error),
                         .all = above_zero(s->spread * root * index->all.error) };
    kith_status status = next != UINT32_MAX ? look_ahead(s, next) : KITH_OK;
    s->stats->lists++;
    for (uint32_t i = index->slice_begin[probe->list]; !status && i < index->slice_begin[probe->list + 1];
         i++) {
        const struct ivf_slice *slice = &index->slices[i];
        scan.form = kt_ivf_form(&index->layout, index->parts[slice->part].extent.is_run, slice->rows);
        if (!slice->rows) continue;
        status = kt_ivf_lend(index, slice, &scan.form, &scan.list, s->error);
        if (status) break;
        scan.extra = index->layout.extra_bytes ? scan.list + scan.form.extras : NULL;
        if (!s->query->exact->among || s->asks_late) s->rows += slice->rows;
        status = index->shape.kind == IVF_ROWS ? scan_rows(&scan) : scan_codes(&scan);
        scan.tie += slice->rows;
    }
    return status;
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

/* Offers outliers, of which `offsets` and `rows` stand one after another. */
static void offer_outliers(struct ivf_search *s, const uint8_t *offsets, const uint8_t *rows, uint32_t count)
{
    const struct kt_index *index = s->index;
    const struct kt_scan_query *exact = s->query->exact;
    float distances[KT_BLOCK_ROWS] __attribute__((uninitialized));
    s->exact_distance(exact->vector, exact->norm, rows, index->shape.dim, count, distances);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t offset = kt_get_u32(offsets + 4 * (size_t)i), row = index->shape.base_row + offset;
        float distance = isnan(distances[i]) ? INFINITY : distances[i];
        if (offset != s->left_out && offset < index->row_span && kt_scan_in_range(exact, distance) &&
            (!exact->among || kt_selected(exact->among, row)))
            kt_top_offer(s->top, distance, row);
    }
    s->stats->rows += count;
    s->stats->bytes += count * (index->layout.row_bytes + sizeof(uint32_t));
}

kith_status kt_ivf_scan_outliers(struct ivf_search *s)
{
    const struct kt_index *index = s->index;
    uint64_t row_bytes = index->layout.row_bytes;
    for (uint32_t p = 0; p < index->part_count; p++) {
        const struct ivf_part *part = &index->parts[p];
        uint32_t count = (uint32_t)part->extent.outliers;
        struct ivf_form form = kt_ivf_outlier_form(&index->layout, part->extent.is_run, count);
        for (uint32_t at = 0; at < count; at += KT_BLOCK_ROWS) {
            const uint8_t *offsets = NULL, *rows = NULL;
            uint32_t some = kt_min_u32(KT_BLOCK_ROWS, count - at);
            kith_status status = kt_view(part->file, part->outliers + at * sizeof(uint32_t),
                                         some * sizeof(uint32_t), &offsets, s->error);
            if (!status)
                status = kt_view(part->file, part->outliers + form.items + at * row_bytes, some * row_bytes,
                                 &rows, s->error);
            if (status) return status;
            offer_outliers(s, offsets, rows, some);
        }
    }
    return KITH_OK;
}
