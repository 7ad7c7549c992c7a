/* One search: the query as a code, a walk down the levels and over the lowest one, then the stored rows of
 * those that the codes leave in doubt.
 *
 * How many are in doubt follows from the codes: rounding moves a squared distance of d^2 by about
 * 2 d sqrt(u^2 + v^2) / sqrt(12), with u and v the units of the two codes. Whatever is within some of these
 * of the k-th distance is read. With a refine_factor it is k * refine_factor rows.
 *
 * Under a filter the walk goes through rows that it does not admit. It takes a pool in proportion to how few
 * it admits, and a larger one as long as the k-th that it found lies farther out than the walk has been;
 * beyond a bound all rows that are admitted are read: an answer is short only where the table is.
 */
#include <math.h>

#include "index/hnsw/hnsw_private.h"

enum {
    DEFAULT_EF = 64,
    LONG_EF = 2048, /* where the wanted recall is out of reach */
    MOST_EF = 1 << 14,
    MOST_POOL = 4096, /* under a filter */
    LEAST_REREAD = 2, /* rows beyond k, however sure the codes are */
    BATCH = 64
};
static const float doubts = 4.2f;      /* standard errors of the difference of two distances, three each */
static const float rounding = 0.2887f; /* the standard error of a number that was rounded to a whole one */

static kith_status check_query(const struct kt_index *graph, const struct kt_vectors *vectors,
                               const struct kt_index_query *query, kith_error *error)
{
    if (query->exact->metric != graph->shape.metric)
        return kt_fail(error, KITH_INVALID, "the index was built for another metric than the query's");
    if (vectors->dim != graph->shape.dim || vectors->element != graph->shape.element)
        return kt_fail(error, KITH_CORRUPT,
                       "%s is an index of vectors of %u numbers of another type or dimension",
                       kt_hnsw_name(graph), (unsigned)graph->shape.dim);
    return KITH_OK;
}

kith_status kt_hnsw_point_of(const struct kt_index *graph, const struct kt_index_query *query,
                             struct kt_arena *scratch, struct hnsw_point *out, kith_error *error)
{
    const struct hnsw_layout *layout = &graph->layout;
    uint32_t dim = graph->shape.space_dim;
    if (graph->shape.metric == KITH_HAMMING) {
        memcpy(out->code, query->exact->vector, graph->shape.dim);
        memset(out->code + graph->shape.dim, 0, layout->wide - graph->shape.dim);
        out->unit = out->square = 0;
        return KITH_OK;
    }
    float *vector = kt_arena_take(scratch, dim, sizeof *vector);
    float factors[2];
    if (!vector) return kt_fail_memory(error, dim * sizeof *vector);
    kt_to_space(&graph->space, query->vector, KITH_F32, false, vector);
    if (!kt_hnsw_encode(graph, vector, out->code,
                        factors)) { /* farther than floats tell: any direction will do */
        for (uint32_t d = 0; d < dim; d++) vector[d] = vector[d] > 0 ? 1.0f : -1.0f;
        kt_hnsw_encode(graph, vector, out->code, factors);
    }
    memset(out->code + layout->code_bytes, 0, layout->wide - layout->code_bytes);
    out->unit = factors[0];
    out->square = factors[1];
    return KITH_OK;
}

struct hnsw_search {
    const struct kt_index *graph;
    const struct kt_vectors *vectors;
    const struct kt_index_query *query;
    struct kt_arena *scratch;
    struct kt_top *top;
    struct kt_index_stats *stats;
    kith_error *error;
    struct hnsw_walk walk;
    uint32_t ef, pool;
    uint64_t admitted; /* rows of the index that may be found, about */
    bool reads_all;    /* no walk gives the wanted recall for less */
};

/* How far to walk: as asked, or as calibrated; and how large a pool that takes under a filter. */
static void choose_ef(struct hnsw_search *s)
{
    const struct kt_index_query *query = s->query;
    uint32_t k = query->k, least = kt_max_u32(k + k / 2, query->least_ef);
    uint64_t nodes = kt_max_u64(s->graph->nodes, 1);
    float recall = query->recall > 0 ? query->recall : KT_DEFAULT_RECALL;
    s->ef = kt_hnsw_ef_for(s->graph, k, recall, &s->stats->expected);
    s->reads_all = s->ef == HNSW_ALL && !query->ef && !query->refine_factor && !query->exact->among;
    if (!s->ef) s->ef = DEFAULT_EF;
    if (s->ef == HNSW_ALL) s->ef = LONG_EF;
    s->ef = kt_max_u32(s->ef, least);
    if (query->ef) s->ef = kt_max_u32(query->ef, k);
    if (query->refine_factor)
        s->ef = (uint32_t)kt_max_u64(s->ef, kt_min_u64((uint64_t)k * query->refine_factor, UINT32_MAX));
    s->ef = (uint32_t)kt_max_u64(1, kt_min_u64(s->ef, nodes));
    s->pool = s->ef;
    s->admitted = nodes;
    if (!query->exact->among) return;
    s->admitted =
        kt_max_u64(1, kt_min_u64(query->matches ? query->matches->rows : query->exact->among->count, nodes));
    double wider = (double)s->ef * (double)nodes / (double)s->admitted;
    s->pool = (uint32_t)fmin(fmin(fmax(wider, s->ef), fmax(MOST_POOL, s->ef)), (double)nodes);
}

/* How far from a distance others are in doubt with it. */
static kith_status doubt_at(const struct hnsw_search *s, const struct hnsw_near *near, float *out)
{
    const struct hnsw_point *q = &s->walk.point;
    struct hnsw_look x;
    kith_status status = kt_hnsw_look(s->graph, near->node, &x, s->error);
    if (status) return status;
    float unit = x.factors[0], square = x.factors[1];
    float variance = s->graph->shape.metric == KITH_DOT
                         ? q->square * unit * unit + square * q->unit * q->unit
                         : fmaxf(near->distance, 0) * (unit * unit + q->unit * q->unit);
    *out = doubts * 2 * rounding * sqrtf(variance);
    return KITH_OK;
}

/* Reads the stored rows of those that may be among the k nearest. */
static kith_status read_rows(struct hnsw_search *s, const struct hnsw_near *near, uint32_t count)
{
    const struct kt_index *graph = s->graph;
    uint32_t k = s->query->k, reread = 0;
    struct kt_hit *hits = kt_arena_take(s->scratch, (size_t)count + 1, sizeof *hits);
    if (!hits) return kt_fail_memory(s->error, count * sizeof *hits);
    float last = count ? near[kt_min_u32(k, count) - 1].distance : 0, slack = 0;
    kith_status status = count ? doubt_at(s, &near[kt_min_u32(k, count) - 1], &slack) : KITH_OK;
    if (status) return status;
    for (uint32_t i = 0; i < count; i++) {
        if (s->query->refine_factor ? i >= (uint64_t)k * s->query->refine_factor
                                    : i >= k + LEAST_REREAD && near[i].distance > last + slack)
            break;
        status = kt_hnsw_row(graph, near[i].node, &hits[reread].row, s->error);
        if (status) return status;
        reread++;
    }
    status = kt_scan_hits(s->vectors, s->query->exact, hits, reread, s->error);
    for (uint32_t i = 0; !status && i < reread; i++)
        if (kt_scan_in_range(s->query->exact, hits[i].distance))
            kt_top_offer(s->top, hits[i].distance, hits[i].row);
    s->stats->rows += reread;
    s->stats->bytes += reread * s->vectors->dim * kt_element_bytes(s->vectors->element);
    return status;
}

static kith_status read_aside(struct hnsw_search *s)
{
    for (uint32_t p = 0; s->graph->aside && p < s->graph->part_count; p++) {
        const struct hnsw_part *part = &s->graph->parts[p];
        const uint8_t *bytes = NULL;
        kith_status status =
            kt_hnsw_lend(part, part->aside, (uint64_t)part->aside_count * 4, &bytes, s->error);
        for (uint32_t i = 0; !status && i < part->aside_count; i++) {
            struct kt_hit hit = { 0, s->graph->shape.base_row + kt_get_u32(bytes + 4 * (size_t)i) };
            if (s->query->exact->among && !kt_selected(s->query->exact->among, hit.row)) continue;
            status = kt_scan_hits(s->vectors, s->query->exact, &hit, 1, s->error);
            if (!status && kt_scan_in_range(s->query->exact, hit.distance))
                kt_top_offer(s->top, hit.distance, hit.row);
            s->stats->rows++;
        }
        if (status) return status;
    }
    return KITH_OK;
}

/* Reads every row of the index that is admitted. */
static kith_status read_all(struct hnsw_search *s)
{
    const struct kt_index *graph = s->graph;
    struct kt_hit hits[BATCH];
    uint32_t count = 0;
    for (uint32_t node = 0; node < graph->nodes; node++) {
        uint64_t row = 0;
        kith_status status = kt_hnsw_row(graph, node, &row, s->error);
        if (status) return status;
        if (!s->query->exact->among || kt_selected(s->query->exact->among, row)) hits[count++].row = row;
        if (count < BATCH && node + 1 < graph->nodes) continue;
        status = kt_work_poll(s->query->exact->work, "search", s->error);
        if (!status) status = kt_scan_hits(s->vectors, s->query->exact, hits, count, s->error);
        for (uint32_t i = 0; !status && i < count; i++)
            if (kt_scan_in_range(s->query->exact, hits[i].distance))
                kt_top_offer(s->top, hits[i].distance, hits[i].row);
        if (status) return status;
        s->stats->rows += count;
        count = 0;
    }
    return KITH_OK;
}

/* Walks over the lowest level with a pool of this size. */
static kith_status walk_with(struct hnsw_search *s, uint32_t pool)
{
    struct hnsw_walk *w = &s->walk;
    kith_status status = kt_hnsw_walk_init(w, s->graph, s->graph->nodes, pool, s->ef, s->scratch, s->error);
    w->work = s->query->exact->work;
    if (!status) status = kt_hnsw_point_of(s->graph, s->query, s->scratch, &w->point, s->error);
    if (!status) status = kt_hnsw_descend(w, 0);
    if (status) return status;
    w->among = s->query->exact->among;
    if (w->among) { /* the node that the walk begins at was put there without asking */
        uint32_t first = w->pool[0].node;
        kt_hnsw_walk_clear(w);
        status = kt_hnsw_walk_from(w, first);
    }
    if (!status) status = kt_hnsw_walk_level(w, 0, pool);
    s->stats->codes += w->codes;
    s->stats->lists += w->expanded;
    s->stats->bytes += w->codes * s->graph->layout.code_bytes + w->expanded * s->graph->layout.link_bytes;
    return status;
}

/* Whether the k-th that was found lies where the walk has been: what was met on the way there, far off, is
 * not yet an answer. Nor is what has a negative product with the query: a walk leads to large products, and
 * the least negative ones are those of short rows, to which it does not come. */
static bool is_answered(const struct hnsw_search *s)
{
    const struct hnsw_walk *w = &s->walk;
    uint32_t k = (uint32_t)kt_min_u64(s->query->k, s->admitted);
    const struct hnsw_near *near = w->among ? w->found : w->pool;
    if ((w->among ? w->found_count : w->count) < k) return false;
    if (s->graph->shape.metric == KITH_DOT && near[k - 1].distance > 0) return false;
    return !w->among || w->count < w->capacity || w->found[k - 1].distance <= w->pool[w->count - 1].distance;
}

/* Under a filter whose rows lie elsewhere the pool is made larger, as long as a walk of four times the codes
 * costs less than reading the rows that are admitted: a row costs about as much as two codes. */
static kith_status walk(struct hnsw_search *s)
{
    kith_status status = walk_with(s, s->pool);
    uint32_t most = (uint32_t)kt_min_u64(kt_max_u32(MOST_POOL, s->ef), s->graph->nodes);
    while (!status && !is_answered(s) && s->walk.among && s->pool < most &&
           2 * s->walk.codes <= s->admitted) {
        s->pool = kt_min_u32(most, 4 * s->pool);
        status = walk_with(s, s->pool);
    }
    return status;
}

kith_status kt_hnsw_search(const struct kt_index *graph, const struct kt_vectors *vectors,
                           const struct kt_index_query *query, struct kt_arena *scratch, struct kt_top *top,
                           struct kt_index_stats *stats, kith_error *error)
{
    struct kt_index_stats none = { 0 };
    struct hnsw_search s = { .graph = graph,
                             .vectors = vectors,
                             .query = query,
                             .scratch = scratch,
                             .top = top,
                             .stats = stats ? stats : &none,
                             .error = error };
    kith_status status = check_query(graph, vectors, query, error);
    if (status || !top->capacity) return status;
    status = read_aside(&s);
    if (status || !graph->nodes) return status;
    choose_ef(&s);
    if (s.reads_all || s.ef > MOST_EF) { /* a flat pool of so many costs more than reading every row */
        s.stats->expected = 1;
        return read_all(&s);
    }
    status = walk(&s);
    if (status) return status;
    if (is_answered(&s))
        return s.walk.among ? read_rows(&s, s.walk.found, s.walk.found_count)
                            : read_rows(&s, s.walk.pool, s.walk.count);
    s.stats->expected = 0;
    return read_all(&s);
}
