/* Searching an IVF index: rank the lists, scan them nearest first, offer what may be among the best.
 *
 * Lists are ranked by the exact distance to their centroids; where there are many, only among those of the
 * nearest meso clusters, several times as many as will be visited. Whatever the ranking finds, the list that
 * the build would have given the query as a row comes first: a row's own vector leads to that row.
 *
 * A block of codes gives 32 estimates at a time:
 *   l2       |q - m - c|^2 + correction + table sum            (m: the mean, c: the list's centroid)
 *   cosine   half of that, over unit lengths
 *   dot      1 - q.m - q.c + table sum
 * The list's part and the table's bias are one number a list. Estimates are made for all 32 without a branch
 * and compared with the bound of the heap, which is in the metric's own scale, as distances of other pieces
 * are; nearly all blocks end there. Without codes the kernel of the column computes the distances of the
 * stored rows: they are exact.
 *
 * Outliers (ivf_build.c) are read as they are by every search, after the lists, when few pass the bound.
 *
 * dot ranks lists by the inner product with their centroids, though they were made by l2: lists of long rows
 * are found, but one long row in a short list may be missed. Clustering for inner products (rows augmented to
 * one length) has its place in ivf_rows.c, where rows become what the tree sees.
 *
 * Always true here: nothing allocates but from the query's scratch; a row offset from the file is tested
 * against the span before it becomes a row id; padding lanes are never offered.
 */
#include <math.h>

#include "base/bytes.h"
#include "index/ivf/ivf_private.h"

enum {
    DEFAULT_PROBES = 40, /* recall@10 0.95 on real text embeddings, where 20 gave 0.90 */
    DEFAULT_SHARE = 64,  /* and one in 64 of all lists */
    FLAT_COARSE = 1024,  /* up to so many lists all are ranked */
    COARSE_FACTOR = 4,   /* above: at least so many lists are ranked for each one visited */
    SCAN_BLOCKS = 64,    /* blocks of one kernel call: 4 KiB of sums */
    MOST_TABLES = 256,   /* of one kernel call */
    AHEAD_LINES = 16     /* cache lines of the next list asked for while this one is scanned */
};

struct probe {
    uint32_t list;
    float distance; /* in the tree: squared, or 1 - inner product with the centroid */
};

struct search {
    const struct kt_index *index;
    const struct kt_index_query *query;
    struct kt_arena *scratch;
    struct kt_top *top;
    struct kt_index_stats *stats;
    kith_error *error;
    const float *vector; /* as the tree sees it; for dot without the mean taken off */
    float mean_product;  /* dot: q.m */
    struct kt_pq_query table;
    struct kt_scan_query exact; /* for stored rows */
    kt_distance_fn exact_distance;
    uint64_t rows; /* scanned */
};

/* ---- the query ---- */

static kith_status prepare_codes(struct search *s)
{
    size_t count = (size_t)s->index->shape.tables * KT_PQ_CODES;
    float *entries = kt_arena_take(s->scratch, count, sizeof *entries);
    uint8_t *lut = kt_arena_take(s->scratch, count, 1);
    if (!entries || !lut) return kt_fail_memory(s->error, count * 5);
    kt_pq_prepare(&s->index->pq, s->vector, s->query->metric == KITH_DOT ? -1.0f : -2.0f, entries, lut,
                  &s->table);
    return KITH_OK;
}

static kith_status prepare_exact(struct search *s)
{
    const struct ivf_shape *shape = &s->index->shape;
    struct kt_vectors column = { .dim = shape->dim, .element = shape->element };
    kith_status status =
        kt_scan_prepare(&column, shape->metric, s->query->vector, KITH_F32, s->scratch, &s->exact, s->error);
    bool integer = s->exact.integer && shape->metric != KITH_HAMMING;
    s->exact_distance =
        (integer ? kt_kernels()->integer_distance : kt_kernels()->distance)[shape->metric][shape->element];
    return status;
}

static kith_status prepare(struct search *s)
{
    const struct ivf_shape *shape = &s->index->shape;
    if (s->query->metric != shape->metric)
        return kt_fail(s->error, KITH_INVALID, "the index was built for another metric than the query's");
    float *vector = kt_arena_take(s->scratch, shape->tree_dim, sizeof *vector);
    if (!vector) return kt_fail_memory(s->error, shape->tree_dim * sizeof *vector);
    bool dot = shape->metric == KITH_DOT;
    kt_ivf_to_tree(s->query->vector, shape->dim, shape->metric, dot ? NULL : s->index->mean, vector);
    s->vector = vector;
    for (uint32_t d = 0; dot && d < shape->tree_dim; d++) s->mean_product += vector[d] * s->index->mean[d];
    kith_status status = shape->pq ? prepare_codes(s) : KITH_OK;
    return status || (shape->pq && !shape->outliers) ? status : prepare_exact(s);
}

/* ---- ranking lists ---- */

/* Distances to `count` centroids that lie one after another. */
static void rank_values(const struct search *s, const float *values, uint32_t count, float *out)
{
    bool dot = s->index->shape.metric == KITH_DOT;
    kt_distance_fn distance = kt_kernels()->distance[dot ? KITH_DOT : KITH_L2][KITH_F32];
    distance(s->vector, 0, values, s->index->shape.tree_dim, count, out);
    for (uint32_t i = 0; dot && i < count; i++) out[i] -= s->mean_product;
}

/* The meso clusters, nearest first. */
static kith_status rank_mesos(const struct search *s, struct kt_top *order)
{
    uint32_t count = s->index->shape.mesos;
    float *distances = kt_arena_take(s->scratch, count, sizeof *distances);
    *order =
        (struct kt_top){ .hits = kt_arena_take(s->scratch, count, sizeof *order->hits), .capacity = count };
    if (!distances || !order->hits) return kt_fail_memory(s->error, count * sizeof *order->hits);
    rank_values(s, s->index->tree.meso, count, distances);
    for (uint32_t m = 0; m < count; m++) kt_top_offer(order, distances[m], m);
    kt_top_sort(order);
    return KITH_OK;
}

/* Offers the lists of one meso cluster; `distances` has room for them. */
static void rank_lists_of(const struct search *s, uint32_t meso, float *distances, struct kt_top *lists)
{
    const struct kt_tree *tree = &s->index->tree;
    uint32_t begin = tree->meso_begin[meso], count = tree->meso_begin[meso + 1] - begin;
    rank_values(s, tree->values + (size_t)begin * tree->dim, count, distances);
    for (uint32_t i = 0; i < count; i++) kt_top_offer(lists, distances[i], begin + i);
}

/* Puts `first` before all others, where it is not already. */
static void move_to_front(struct kt_top *lists, struct kt_hit first)
{
    size_t at = 0;
    while (at < lists->count && lists->hits[at].row != first.row) at++;
    if (at == lists->count) at = lists->count - 1; /* it takes the last one's place */
    memmove(lists->hits + 1, lists->hits, at * sizeof *lists->hits);
    lists->hits[0] = first;
}

/* The `wanted` nearest lists, in order. `all` ranks every list there is. */
static kith_status rank_lists(const struct search *s, uint32_t wanted, bool all, struct probe **out,
                              uint32_t *out_count)
{
    const struct ivf_shape *shape = &s->index->shape;
    struct kt_top mesos, lists = { .capacity = wanted };
    struct kt_hit first = { INFINITY, 0 };
    lists.hits = kt_arena_take(s->scratch, wanted, sizeof *lists.hits);
    float *distances = kt_arena_take(s->scratch, shape->lists, sizeof *distances);
    struct probe *probes = kt_arena_take(s->scratch, wanted, sizeof *probes);
    if (!lists.hits || !distances || !probes)
        return kt_fail_memory(s->error, shape->lists * sizeof *distances);
    kith_status status = rank_mesos(s, &mesos);
    if (status) return status;
    all = all || shape->lists <= FLAT_COARSE;
    uint64_t enough = (uint64_t)COARSE_FACTOR * wanted, ranked = 0;
    for (uint32_t m = 0; m < mesos.count; m++) {
        uint32_t meso = (uint32_t)mesos.hits[m].row;
        if (!all && m >= 2 * shape->beam && ranked >= enough) break;
        rank_lists_of(s, meso, distances, &lists);
        ranked += s->index->tree.meso_begin[meso + 1] - s->index->tree.meso_begin[meso];
        for (uint32_t i = 0;
             m < shape->beam && i < s->index->tree.meso_begin[meso + 1] - s->index->tree.meso_begin[meso];
             i++) {
            struct kt_hit hit = { distances[i], s->index->tree.meso_begin[meso] + i };
            if (kt_hit_before(hit, first)) first = hit;
        }
    }
    kt_top_sort(&lists);
    if (lists.count && first.distance < INFINITY) move_to_front(&lists, first);
    for (size_t i = 0; i < lists.count; i++)
        probes[i] = (struct probe){ (uint32_t)lists.hits[i].row, lists.hits[i].distance };
    *out = probes;
    *out_count = (uint32_t)lists.count;
    return KITH_OK;
}

/* ---- scanning lists ---- */

static kith_status offer(struct search *s, float distance, uint32_t offset)
{
    const struct ivf_shape *shape = &s->index->shape;
    if (offset >= shape->row_span)
        return kt_fail(s->error, KITH_CORRUPT, "%s holds row offset %u; its rows end before %llu",
                       kt_view_name(s->index->file), offset, (unsigned long long)shape->row_span);
    kt_top_offer(s->top, distance, shape->base_row + offset);
    return KITH_OK;
}

/* distance = (base + correction + scale * sum) * unit, for 32 lanes; whether any is within the bound. */
static bool estimate_block(const uint32_t *sums, const float *corrections, float base, float scale,
                           float unit, float bound, float *out)
{
    uint32_t any = 0;
    for (int i = 0; i < KT_BLOCK_ROWS; i++) {
        out[i] = (base + corrections[i] + scale * (float)(int32_t)sums[i]) * unit;
        any |= out[i] <= bound;
    }
    return any;
}

/* The sums of up to SCAN_BLOCKS blocks, over as many kernel calls as the tables need. */
static void sum_tables(const struct search *s, const uint8_t *blocks, uint32_t count, uint32_t *sums)
{
    uint16_t part[SCAN_BLOCKS * KT_BLOCK_ROWS];
    uint32_t lanes = count * KT_BLOCK_ROWS, tables = s->index->shape.tables;
    for (uint32_t t = 0; t < tables; t += MOST_TABLES) {
        kt_kernels()->fastscan(blocks + (size_t)t * 16, s->index->layout.block_bytes, count,
                               s->table.lut + (size_t)t * 16, kt_min_u32(MOST_TABLES, tables - t), part);
        for (uint32_t i = 0; i < lanes; i++) sums[i] = (t ? sums[i] : 0) + part[i];
    }
}

static kith_status scan_codes(struct search *s, const struct probe *probe, const uint8_t *blocks,
                              uint32_t rows)
{
    const struct ivf_layout *layout = &s->index->layout;
    float unit = s->index->shape.metric == KITH_COSINE ? 0.5f : 1.0f, base = probe->distance + s->table.bias;
    float estimates[KT_BLOCK_ROWS];
    uint32_t sums[SCAN_BLOCKS * KT_BLOCK_ROWS];
    uint32_t count = (rows + KT_BLOCK_ROWS - 1) / KT_BLOCK_ROWS;
    for (uint32_t b = 0; b < count; b++) {
        const uint8_t *block = blocks + b * layout->block_bytes;
        if (b % SCAN_BLOCKS == 0) sum_tables(s, block, kt_min_u32(SCAN_BLOCKS, count - b), sums);
        const float *corrections = (const float *)(const void *)(block + layout->codes_bytes);
        const uint8_t *offsets = block + layout->codes_bytes + KT_BLOCK_ROWS * sizeof(float);
        float bound = kt_top_bound(s->top);
        if (!estimate_block(sums + b % SCAN_BLOCKS * KT_BLOCK_ROWS, corrections, base, s->table.scale, unit,
                            bound, estimates))
            continue;
        uint32_t lanes = kt_min_u32(KT_BLOCK_ROWS, rows - b * KT_BLOCK_ROWS);
        for (uint32_t i = 0; i < lanes; i++) {
            if (!(estimates[i] <= bound)) continue;
            kith_status status = offer(s, estimates[i], kt_get_u32(offsets + 4 * i));
            if (status) return status;
            bound = kt_top_bound(s->top);
        }
    }
    return KITH_OK;
}

static kith_status scan_stored(struct search *s, const uint8_t *blocks, uint32_t rows)
{
    float distances[KT_BLOCK_ROWS];
    for (uint32_t at = 0; at < rows; at += KT_BLOCK_ROWS) {
        const uint8_t *block = blocks + at / KT_BLOCK_ROWS * s->index->layout.row_block_bytes;
        uint32_t lanes = kt_min_u32(KT_BLOCK_ROWS, rows - at);
        float bound = kt_top_bound(s->top);
        s->exact_distance(s->exact.vector, s->exact.norm, block + KT_BLOCK_ROWS * sizeof(uint32_t),
                          s->index->shape.dim, lanes, distances);
        for (uint32_t i = 0; i < lanes; i++) {
            float distance = isnan(distances[i]) ? INFINITY : distances[i]; /* no number, and yet a row */
            if (!(distance <= bound)) continue;
            kith_status status = offer(s, distance, kt_get_u32(block + 4 * i));
            if (status) return status;
            bound = kt_top_bound(s->top);
        }
    }
    return KITH_OK;
}

static kith_status scan_outliers(struct search *s)
{
    const struct ivf_layout *layout = &s->index->layout;
    uint64_t outliers = s->index->shape.outliers, at = layout->outliers;
    kith_status status = KITH_OK;
    for (uint64_t done = 0; !status && done < outliers; done += SCAN_BLOCKS * KT_BLOCK_ROWS) {
        const uint8_t *blocks = NULL;
        uint32_t rows = (uint32_t)kt_min_u64(outliers - done, SCAN_BLOCKS * KT_BLOCK_ROWS);
        uint64_t bytes = kt_round_up(rows, KT_BLOCK_ROWS) / KT_BLOCK_ROWS * layout->row_block_bytes;
        status = kt_view(s->index->file, at, bytes, &blocks, s->error);
        if (!status) status = scan_stored(s, blocks, rows);
        s->stats->rows += rows;
        s->stats->bytes += bytes;
        at += bytes;
    }
    return status;
}

/* Lends the blocks of a list and asks for their first lines; NULL for an empty list. */
static kith_status lend_list(struct search *s, uint32_t list, const uint8_t **blocks, uint32_t *rows)
{
    const struct ivf_layout *layout = &s->index->layout;
    struct ivf_list entry = kt_ivf_list(s->index, list);
    uint64_t bytes = kt_round_up(entry.rows, KT_BLOCK_ROWS) / KT_BLOCK_ROWS * layout->block_bytes;
    *blocks = NULL;
    *rows = entry.rows;
    if (!bytes) return KITH_OK;
    kith_status status = kt_view(s->index->file, layout->lists + entry.first_block * layout->block_bytes,
                                 bytes, blocks, s->error);
    for (uint32_t i = 0; !status && i < AHEAD_LINES && i * 64 < bytes; i++)
        __builtin_prefetch(*blocks + (size_t)i * 64);
    return status;
}

/* Scans probes [begin, end), each while the next one is on its way, until at least `enough` rows were seen.
 */
static kith_status scan_probes(struct search *s, const struct probe *probes, uint32_t begin, uint32_t end,
                               uint64_t enough)
{
    const uint8_t *blocks = NULL, *next = NULL;
    uint32_t rows = 0, next_rows = 0;
    if (begin >= end || s->rows >= enough) return KITH_OK;
    kith_status status = lend_list(s, probes[begin].list, &next, &next_rows);
    for (uint32_t i = begin; !status && i < end && s->rows < enough; i++) {
        blocks = next;
        rows = next_rows;
        if (i + 1 < end) status = lend_list(s, probes[i + 1].list, &next, &next_rows);
        if (status) break;
        if (rows)
            status =
                s->index->shape.pq ? scan_codes(s, &probes[i], blocks, rows) : scan_stored(s, blocks, rows);
        s->rows += rows;
        s->stats->lists++;
        s->stats->rows += rows;
        s->stats->bytes += kt_round_up(rows, KT_BLOCK_ROWS) / KT_BLOCK_ROWS * s->index->layout.block_bytes;
    }
    return status;
}

/* How many lists to visit in any case, and at most while rows are missing. */
static void choose_probes(const struct kt_index_query *query, uint32_t lists, uint32_t *least, uint32_t *most)
{
    *least = query->minimum_nprobes ? query->minimum_nprobes : query->nprobes;
    *most = query->maximum_nprobes ? query->maximum_nprobes : query->nprobes ? query->nprobes : lists;
    if (!*least) *least = kt_min_u32(*most, DEFAULT_PROBES + lists / DEFAULT_SHARE);
    *least = kt_min_u32(*least, lists);
    *most = kt_max_u32(*least, kt_min_u32(*most, lists));
}

/* Goes on from the `visited` probes through the others of all lists, nearest first, until there are
 * candidates enough. */
static kith_status scan_further(struct search *s, const struct probe *visited, uint32_t count, uint32_t most)
{
    uint32_t lists = s->index->shape.lists, ranked = 0, left = 0;
    struct probe *probes = NULL;
    uint8_t *seen = kt_arena_take(s->scratch, lists, 1);
    if (!seen) return kt_fail_memory(s->error, lists);
    kith_status status = rank_lists(s, lists, true, &probes, &ranked);
    if (status) return status;
    memset(seen, 0, lists);
    for (uint32_t i = 0; i < count; i++) seen[visited[i].list] = 1;
    for (uint32_t i = 0; i < ranked; i++)
        if (!seen[probes[i].list]) probes[left++] = probes[i];
    return scan_probes(s, probes, 0, kt_min_u32(left, most - count), s->query->candidates);
}

kith_status kt_ivf_search(const struct kt_index *index, const struct kt_vectors *vectors,
                          const struct kt_index_query *query, struct kt_arena *scratch, struct kt_top *top,
                          struct kt_index_stats *stats, kith_error *error)
{
    struct kt_index_stats none = { 0 };
    struct search s = { .index = index,
                        .query = query,
                        .scratch = scratch,
                        .top = top,
                        .stats = stats ? stats : &none,
                        .error = error };
    struct probe *probes = NULL;
    uint32_t least, most, count = 0;
    (void)vectors;
    if (!index->shape.lists || !top->capacity) return KITH_OK;
    choose_probes(query, index->shape.lists, &least, &most);
    kith_status status = prepare(&s);
    if (!status) status = rank_lists(&s, least, least >= index->shape.lists, &probes, &count);
    if (!status) status = scan_probes(&s, probes, 0, count, UINT64_MAX);
    if (!status && most > count && s.rows < query->candidates) status = scan_further(&s, probes, count, most);
    return status ? status : scan_outliers(&s);
}
