/* One search: the query into the space of the tree, its lists nearest first, each scanned for candidates,
 * until going on is worth less than the wanted recall asks for; then the stored rows of those
 * candidates whose interval reaches below the k-th least upper bound, read in one wave.
 *
 * `nearest` holds the k least upper bounds. Whatever row has a lower bound above the worst of them has k rows
 * before it, as surely as bounds hold; how sure that is, is what the spreads say (ivf_calibrate.c). With a
 * refine_factor the spreads are zero and `nearest` holds k * refine_factor estimates: then the candidates
 * left are just those.
 *
 * Outliers are read as they are by every search.
 *
 * Curves are learned for 100 neighbours at most. Where more are wanted, by k or because a filter admits few,
 * the lists themselves are asked as well: see is_settled().
 */
#include <math.h>

#include "base/bytes.h"
#include "index/ivf/ivf_private.h"

enum {
    DEFAULT_PROBES = 40, /* where nothing was calibrated */
    DEFAULT_SHARE = 64,  /* and one in 64 of all lists */
    NEAREST_FEW = 8,     /* lists that are around a query */
    LEAST_TOLD = 9       /* lists, of which thirds tell something */
};

static const float least_misses = 0.4f; /* of those that are asked for */

static const float rounding = 0.289f; /* the standard error of a number that was rounded to a whole one */

static kith_status prepare_signs(struct ivf_search *s)
{
    uint32_t dim = s->index->shape.tree_dim;
    uint8_t *lut = kt_arena_take(s->scratch, (size_t)dim * 4, 1);
    int8_t *bytes = kt_arena_take(s->scratch, dim, 1);
    if (!lut || !bytes) return kt_fail_memory(s->error, (size_t)dim * 5);
    kt_rabitq_prepare(dim, s->vector, lut, bytes, &s->signs);
    s->lut = lut;
    s->unit = s->signs.unit;
    s->bias = s->signs.bias - s->signs.sum / 2;
    float top = (float)(1u << (s->index->shape.bits - 1));
    s->sign_slack = rounding * s->unit * sqrtf((float)s->index->shape.tables);
    s->slack = top * s->sign_slack + rounding * s->signs.byte_unit * top / 2 * sqrtf((float)dim);
    s->slack *= s->index->all.rescale;
    return KITH_OK;
}

static kith_status prepare_pq(struct ivf_search *s)
{
    size_t count = (size_t)s->index->shape.tables * KT_PQ_CODES;
    struct kt_pq_query table;
    float *entries = kt_arena_take(s->scratch, count, sizeof *entries);
    uint8_t *lut = kt_arena_take(s->scratch, count, 1);
    if (!entries || !lut) return kt_fail_memory(s->error, count * 5);
    kt_pq_prepare(&s->index->pq, s->vector, 1.0f, entries, lut, &table);
    s->lut = lut;
    s->unit = table.scale;
    s->bias = table.bias;
    s->sign_slack = rounding * s->unit * sqrtf((float)s->index->shape.tables);
    return KITH_OK;
}

/* The query in the space of the tree; NULL without memory. */
static const float *to_tree(const struct kt_index *index, const struct kt_index_query *query,
                            struct kt_arena *scratch)
{
    bool hamming = index->shape.metric == KITH_HAMMING;
    float *vector = kt_arena_take(scratch, index->shape.tree_dim, sizeof *vector);
    if (vector)
        kt_to_space(&index->space, hamming ? query->exact->vector : query->vector, KITH_F32, false, vector);
    return vector;
}

kith_status kt_ivf_search_begin(struct ivf_search *s)
{
    const struct ivf_shape *shape = &s->index->shape;
    const struct kt_index_query *query = s->query;
    bool hamming = shape->metric == KITH_HAMMING, integer = query->exact->integer && !hamming;
    if (query->exact->metric != shape->metric)
        return kt_fail(s->error, KITH_INVALID, "the index was built for another metric than the query's");
    if (s->vectors->dim != shape->dim || s->vectors->element != shape->element)
        return kt_fail(s->error, KITH_CORRUPT,
                       "%s is an index of vectors of %u numbers of another type or dimension",
                       kt_ivf_name(s->index), (unsigned)shape->dim);
    uint64_t wanted = (uint64_t)query->k * kt_max_u32(1, query->refine_factor);
    s->nearest.capacity = kt_max_u64(1, kt_min_u64(wanted, s->index->rows));
    s->nearest.hits = kt_arena_take(s->scratch, s->nearest.capacity, sizeof *s->nearest.hits);
    s->asks_late = query->exact->among && !query->matches;
    s->vector = to_tree(s->index, query, s->scratch);
    if (!s->vector || !s->nearest.hits) return kt_fail_memory(s->error, shape->tree_dim * sizeof(float));
    s->query_scale = kt_space_query_scale(&s->index->space, query->vector);
    s->exact_distance =
        (integer ? kt_kernels()->integer_distance : kt_kernels()->distance)[shape->metric][shape->element];
    const struct kt_index_matches *counts = query->matches ? query->matches : query->lived;
    if (!counts && s->index->thinned) counts = &s->index->held;
    kith_status status = kt_ivf_rank_begin(s->index, s->vector, counts, s->scratch, &s->ranking, s->error);
    if (!status) status = kt_ivf_scan_begin(s);
    if (!status && shape->kind == IVF_SIGNS) status = prepare_signs(s);
    if (!status && shape->kind == IVF_PQ) status = prepare_pq(s);
    s->unit *= s->index->first.rescale;
    s->bias *= s->index->first.rescale;
    s->sign_slack *= s->index->first.rescale;
    return status;
}

kith_status kt_ivf_search_end(struct ivf_search *s)
{
    kith_status status = kt_ivf_scan_rest(s);
    if (status) return status;
    float limit = kt_top_bound(&s->nearest);
    size_t count = 0;
    struct kt_hit *hits = kt_arena_take(s->scratch, s->candidate_count, sizeof *hits);
    if (!hits) return kt_fail_memory(s->error, s->candidate_count * sizeof *hits);
    for (size_t i = 0; i < s->candidate_count; i++) {
        if (!(s->candidates[i].low <= limit)) continue;
        uint32_t offset = kt_get_u32(s->candidates[i].where);
        if (offset >= s->index->row_span)
            return kt_fail(s->error, KITH_CORRUPT, "%s holds row offset %u; its rows end before %llu",
                           kt_ivf_name(s->index), offset, (unsigned long long)s->index->row_span);
        hits[count++] = (struct kt_hit){ 0, s->index->shape.base_row + offset };
    }
    status = kt_scan_hits(s->vectors, s->query->exact, hits, count, s->error);
    if (status) return status;
    for (size_t i = 0; i < count; i++)
        if (kt_scan_in_range(s->query->exact, hits[i].distance))
            kt_top_offer(s->top, hits[i].distance, hits[i].row);
    s->stats->rows += count;
    s->stats->bytes += count * s->vectors->dim * kt_element_bytes(s->vectors->element);
    return kt_ivf_scan_outliers(s);
}

/* How many lists to visit in any case, and at most. */
static void choose_probes(const struct kt_index_query *query, uint32_t lists, bool calibrated,
                          uint32_t *least, uint32_t *most)
{
    *least = query->minimum_nprobes ? query->minimum_nprobes : query->nprobes;
    *most = query->maximum_nprobes ? query->maximum_nprobes : query->nprobes ? query->nprobes : lists;
    if (!*least) *least = calibrated ? 1 : kt_min_u32(*most, DEFAULT_PROBES + lists / DEFAULT_SHARE);
    if (!calibrated && !query->maximum_nprobes) *most = *least;
    *least = kt_min_u32(kt_max_u32(*least, 1), lists);
    *most = kt_max_u32(*least, kt_min_u32(*most, lists));
}

/* Where a filter admits one row in a hundred of the lists that have any, the tenth match is about the
 * thousandth neighbour: what was learned for that many says best when to stop. */
static uint32_t neighbours_for(const struct ivf_search *s)
{
    const struct kt_index_matches *matches = s->query->matches;
    if (!matches || !matches->rows) return s->query->k;
    double all = (double)matches->among / (double)matches->rows;
    return (uint32_t)fmin((double)s->query->k * all, UINT32_MAX);
}

/* Where few of the rows around the query are admitted and many farther away, the lists between hold admitted
 * rows on their far side only, so that their mass is taken for more than it is: fewer misses are asked for
 * then. Measured with filters that cut a set across (debian-minilm, sift-photos): .95 asked for gave .93
 * without this. */
static float worth_under_filter(const struct ivf_search *s, const struct ivf_rule *rule, float wanted)
{
    const struct kt_index_matches *matches = s->query->matches;
    const struct ivf_ranking *ranking = &s->ranking;
    uint32_t few = kt_min_u32(NEAREST_FEW, ranking->sorted);
    float around = 0, expected;
    for (uint32_t i = 0; i < few; i++) around += ranking->near_weights[i];
    float usual = (float)matches->rows / (float)matches->among, share = around / (float)few / usual;
    wanted = 1 - (1 - wanted) * fmaxf(fminf(share, 1), least_misses);
    return kt_ivf_worth_for(s->index->calibration, rule, wanted, &expected);
}

/* Where rows have left lists, queries near them find their neighbours farther off, in more lists, than the
 * rows do that the calibration was learned of: so few of the misses are planned with (sift-photos-100k, half
 * turned over: 0.93 to 0.96 at the worst step). */
static float worth_where_rows_went(const struct ivf_search *s, const struct ivf_rule *rule, float wanted)
{
    static const float misses = 0.7f;
    float expected;
    return kt_ivf_worth_for(s->index->calibration, rule, 1 - (1 - wanted) * misses, &expected);
}

/* Rows seen of those that are wanted: where wanted rows are told late only the nearest are, up to as many as
 * the answer needs. */
static uint64_t rows_seen(const struct ivf_search *s)
{
    return s->asks_late ? s->nearest.count : s->rows;
}

/* More neighbours are wanted than curves were learned for: what the lists seen last brought tells what those
 * unseen hold. If it falls from a third of them to the next by as much as from the middle one to the last,
 * the unseen ones hold last^2 / (middle - last). Where lists are clusters that hold fewer rows than are
 * wanted the curves know nothing of what comes then (40,000 rows in 300 clusters, k 300: recall .67 where .99
 * was asked for). */
static bool is_settled(const struct ivf_search *s, uint32_t visited, float wanted)
{
    float limit = kt_top_bound(&s->nearest);
    uint32_t third = visited / 3, all = 0, middle = 0, late = 0;
    if (visited < LEAST_TOLD) return false;
    for (size_t i = 0; i < s->candidate_count; i++) {
        if (!(s->candidates[i].low <= limit)) continue;
        uint32_t from_end = visited - 1 - s->candidates[i].rank;
        all++;
        late += from_end < third;
        middle += from_end >= third && from_end < 2 * third;
    }
    float last = (float)late + sqrtf((float)late), less = (float)middle - last; /* some may be chance */
    return !late || (less > 0 && last * last <= (1 - wanted) * (float)all * less);
}

/* Visits lists until enough is seen; while fewer rows than wanted were seen it is not, unless the user set a
 * bound. */
static kith_status visit_lists(struct ivf_search *s, float wanted_recall)
{
    const struct kt_index_query *query = s->query;
    const struct ivf_calibration *calibration = s->index->calibration;
    struct ivf_stop stop = { .bound = INFINITY, .tail_bound = INFINITY };
    struct ivf_ranking *ranking = &s->ranking;
    struct ivf_probe probe;
    uint32_t least, most, ask_at = 0;
    float target = 0;
    bool is_more = neighbours_for(s) > IVF_MOST_K;
    choose_probes(query, s->index->shape.lists, calibration->known, &least, &most);
    if (calibration->known) {
        kt_ivf_rule_for(calibration, neighbours_for(s), &stop.rule);
        target = kt_ivf_worth_for(calibration, &stop.rule, wanted_recall, &s->stats->expected);
        if (ranking->matches && !query->matches) target = worth_where_rows_went(s, &stop.rule, wanted_recall);
    }
    for (uint32_t at = 0; kt_ivf_rank_get(ranking, at, &probe); at++) {
        uint32_t next = at + 1 < ranking->sorted ? ranking->order[at + 1] : UINT32_MAX;
        if (!at && calibration->known && query->matches)
            target = worth_under_filter(s, &stop.rule, wanted_recall);
        kith_status status = kt_work_poll(query->exact->work, "search", s->error);
        if (!status) status = kt_ivf_scan(s, &probe, at, next);
        if (status) return status;
        if (query->matches && s->rows >= query->matches->rows) break;
        if (at + 1 >= most && (query->maximum_nprobes || rows_seen(s) >= query->k)) break;
        if (at + 1 < least || rows_seen(s) < query->k || !calibration->known) continue;
        if (kt_ivf_stop_worth(&stop, ranking, at, kt_top_bound(&s->nearest)) > target) continue;
        if (!is_more) break;
        if (at < ask_at) continue;
        if (is_settled(s, at + 1, wanted_recall)) break;
        ask_at = at + 1 + at / 8;
    }
    return KITH_OK;
}

kith_status kt_ivf_search(const struct kt_index *index, const struct kt_vectors *vectors,
                          const struct kt_index_query *query, struct kt_arena *scratch, struct kt_top *top,
                          struct kt_index_stats *stats, kith_error *error)
{
    struct kt_index_stats none = { 0 };
    struct ivf_search s = { .index = index,
                            .vectors = vectors,
                            .query = query,
                            .scratch = scratch,
                            .top = top,
                            .stats = stats ? stats : &none,
                            .error = error,
                            .upper = 1,
                            .left_out = UINT64_MAX };
    float recall = query->recall > 0 ? query->recall : KT_DEFAULT_RECALL;
    if (!index->shape.lists || !top->capacity) return KITH_OK;
    kith_status status = kt_ivf_search_begin(&s);
    if (status) return status;
    if (!query->refine_factor) kt_ivf_spreads(index->calibration, recall, &s.sign_spread, &s.spread);
    status = visit_lists(&s, recall);
    s.stats->skipped += s.ranking.without;
    return status ? status : kt_ivf_search_end(&s);
}

kith_status kt_ivf_place(const struct kt_index *index, const struct kt_index_query *query,
                         struct kt_arena *scratch, uint32_t *out, kith_error *error)
{
    struct ivf_ranking ranking;
    *out = 0;
    if (!index->shape.lists) return KITH_OK;
    const float *vector = to_tree(index, query, scratch);
    if (!vector) return kt_fail_memory(error, index->shape.tree_dim * sizeof *vector);
    kith_status status = kt_ivf_rank_begin(index, vector, query->matches, scratch, &ranking, error);
    if (!status) *out = kt_ivf_rank_nearest(&ranking);
    return status;
}
