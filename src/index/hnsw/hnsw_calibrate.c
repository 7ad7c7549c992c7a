/* How far to walk for a wanted recall: nodes of the graph are searched for as if they were not in it (their
 * own links are not followed), or the user's queries are, with walks of many lengths. The truth is what all
 * codes say, and of a large graph a walk longer than any other. Everything that is added up is whole numbers,
 * so that the result does not depend on threads.
 *
 * What is promised is the mean less what a one-sided 95 % bound takes off. Rows without neighbourhoods need
 * the longest walks (20,000 x 384 Gaussian numbers: recall .84 at 512, .98 at 2,048), which are not replayed
 * for a sample whose neighbours were all found by a shorter one. Where even they are not enough and meet a
 * good part of all nodes, every row is to be read: that costs as much, and misses nothing.
 */
#include <math.h>

#include "index/hnsw/hnsw_private.h"

enum {
    SAMPLES = 256,
    GRAIN = 2,
    FEW_NODES = 32,            /* not more than one sample for so many */
    SCANNED_NODES = 128 << 10, /* whose codes are scanned about as fast as the longest walk goes */
    TRUTH_EF = 4096,
    USUAL_EF = 512, /* all up to it are replayed in any case */
    GOOD_PART = 4   /* of all nodes: one in so many */
};
/* Queries are not like rows: so many of the misses that are asked for are planned with where rows were asked
 * (debian-minilm's own queries: .90 asked for gave .88 without it). */
static const float strangers = 0.7f;
static const uint32_t efs[HNSW_EFS] = {
    10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048
};
static const uint32_t ks[HNSW_CURVES] = { 1, 10, HNSW_MOST_K };

struct tally {
    uint64_t hits[HNSW_CURVES][HNSW_EFS], squares[HNSW_CURVES][HNSW_EFS], codes[HNSW_EFS];
};

struct calibrating {
    const struct kt_index *graph;
    const struct kt_samples *queries;
    uint64_t *picks;
    struct kt_arena *arenas; /* one a worker */
    struct tally *tallies;
};

/* ---- replaying ---- */

static kith_status aim(const struct calibrating *c, uint64_t pick, struct hnsw_walk *walk,
                       struct kt_arena *scratch, kith_error *error)
{
    const struct kt_index *graph = c->graph;
    struct hnsw_look look;
    if (!c->queries) {
        kith_status status = kt_hnsw_look(graph, (uint32_t)pick, &look, error);
        if (!status) kt_hnsw_point(graph, &look, &walk->point);
        return status;
    }
    const float *vector = c->queries->vectors + pick * graph->shape.dim;
    uint8_t *bits = kt_arena_take(scratch, graph->shape.dim, 1);
    if (!bits) return kt_fail_memory(error, graph->shape.dim);
    for (uint32_t d = 0; graph->shape.metric == KITH_HAMMING && d < graph->shape.dim; d++)
        bits[d] = (uint8_t)vector[d];
    const struct kt_scan_query exact = { .vector = bits };
    const struct kt_index_query query = { .vector = vector, .exact = &exact };
    return kt_hnsw_point_of(graph, &query, scratch, &walk->point, error);
}

/* One walk; a node that is searched for is passed over. */
static kith_status walk_once(const struct calibrating *c, uint64_t pick, uint32_t ef, struct hnsw_walk *walk)
{
    kith_status status = kt_hnsw_descend(walk, 0);
    uint32_t first = status ? 0 : walk->pool[0].node;
    if (status) return status;
    kt_hnsw_walk_clear(walk);
    if (!c->queries && first == pick) { /* begin beside it */
        const uint32_t *links = NULL;
        status = kt_hnsw_links(c->graph, first, 0, &links, walk->error);
        if (!status && links[0] < c->graph->nodes) first = links[0];
    }
    if (!c->queries && first != pick) kt_hnsw_visit(walk, (uint32_t)pick);
    if (!status) status = kt_hnsw_walk_from(walk, first);
    return status ? status : kt_hnsw_walk_level(walk, 0, ef);
}

/* The distances of the nearest by all codes; `count` is how many there are. */
static kith_status scan_codes(const struct calibrating *c, uint64_t pick, struct hnsw_walk *walk,
                              float truth[HNSW_CURVES], uint32_t *count)
{
    enum { AT_ONCE = 32 };
    const struct kt_index *graph = c->graph;
    struct kt_hit hits[HNSW_MOST_K];
    struct kt_top top = { hits, 0, HNSW_MOST_K };
    struct hnsw_look looks[AT_ONCE];
    float distances[AT_ONCE];
    for (uint32_t node = 0; node < graph->nodes; node += AT_ONCE) {
        uint32_t some = kt_min_u32(AT_ONCE, graph->nodes - node);
        kith_status status = KITH_OK;
        for (uint32_t i = 0; !status && i < some; i++)
            status = kt_hnsw_look(graph, node + i, &looks[i], walk->error);
        if (status) return status;
        kt_hnsw_distances(graph, &walk->point, looks, some, distances);
        for (uint32_t i = 0; i < some; i++)
            if (c->queries || node + i != pick) kt_top_offer(&top, distances[i], node + i);
    }
    kt_top_sort(&top);
    for (uint32_t k = 0; k < HNSW_CURVES && top.count; k++)
        truth[k] = hits[kt_min_u64(ks[k], top.count) - 1].distance;
    *count = (uint32_t)top.count;
    return KITH_OK;
}

static kith_status find_truth(const struct calibrating *c, uint64_t pick, struct hnsw_walk *walk,
                              float truth[HNSW_CURVES], uint32_t *count)
{
    if (c->graph->nodes <= SCANNED_NODES) return scan_codes(c, pick, walk, truth, count);
    kith_status status = walk_once(c, pick, TRUTH_EF, walk);
    if (status) return status;
    for (uint32_t k = 0; k < HNSW_CURVES && walk->count; k++)
        truth[k] = walk->pool[kt_min_u32(ks[k], walk->count) - 1].distance;
    *count = walk->count;
    return KITH_OK;
}

/* Counts what a walk of length `e` found; whether it was all. */
static bool count_found(const struct hnsw_walk *walk, const float truth[HNSW_CURVES], uint32_t all,
                        uint32_t e, struct tally *tally)
{
    bool found_all = true;
    for (uint32_t k = 0; k < HNSW_CURVES; k++) {
        uint32_t wanted = kt_min_u32(ks[k], all), hits = 0;
        for (uint32_t i = 0; i < kt_min_u32(wanted, walk->count); i++)
            hits += walk->pool[i].distance <= truth[k];
        uint64_t share = (uint64_t)hits * HNSW_MOST_K / wanted;
        tally->hits[k][e] += share;
        tally->squares[k][e] += share * share;
        found_all = found_all && hits == wanted;
    }
    return found_all;
}

static kith_status replay(const struct calibrating *c, uint64_t pick, struct kt_arena *scratch,
                          struct tally *tally, kith_error *error)
{
    struct hnsw_walk walk;
    uint32_t nodes = c->graph->nodes, all = 0;
    float truth[HNSW_CURVES];
    bool found_all = false;
    kith_status status =
        kt_hnsw_walk_init(&walk, c->graph, nodes, kt_min_u32(TRUTH_EF, nodes), 0, scratch, error);
    if (!status) status = aim(c, pick, &walk, scratch, error);
    if (!status) status = find_truth(c, pick, &walk, truth, &all);
    if (status || !all) return status;
    for (uint32_t e = 0; e < HNSW_EFS; e++) {
        if (efs[e] <= USUAL_EF || !found_all) {
            walk.codes = 0;
            status = walk_once(c, pick, kt_min_u32(efs[e], nodes), &walk);
            if (status) return status;
        }
        tally->codes[e] += walk.codes;
        found_all = count_found(&walk, truth, all, e, tally);
    }
    return KITH_OK;
}

static kith_status replay_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                                kith_error *error)
{
    const struct calibrating *c = context;
    kith_status status = KITH_OK;
    for (uint64_t i = begin; !status && i < end; i++) {
        kt_arena_clear(&c->arenas[worker]);
        status = replay(c, c->picks[i], &c->arenas[worker], &c->tallies[worker], error);
    }
    return status;
}

/* ---- what came of it ---- */

static void settle(const struct tally *sum, uint64_t count, bool on_queries, struct hnsw_calibration *out)
{
    double n = (double)count;
    *out = (struct hnsw_calibration){
        .known = true, .on_queries = on_queries, .queries = (uint32_t)count, .efs = HNSW_EFS
    };
    for (uint32_t e = 0; e < HNSW_EFS; e++) {
        out->ef[e] = efs[e];
        out->codes[e] = (float)((double)sum->codes[e] / n);
        for (uint32_t k = 0; k < HNSW_CURVES; k++) {
            double mean = (double)sum->hits[k][e] / HNSW_MOST_K / n;
            double square = (double)sum->squares[k][e] / (HNSW_MOST_K * HNSW_MOST_K) / n;
            double error = 1.645 * sqrt(fmax(square - mean * mean, 0) / n);
            out->recall[k][e] = (float)fmax(mean - error, e ? (double)out->recall[k][e - 1] : 0);
        }
    }
}

static json_t *numbers_json(const float *numbers, uint32_t count)
{
    json_t *array = json_array();
    for (uint32_t i = 0; array && i < count; i++) {
        if (!json_array_append_new(array, json_real(round((double)numbers[i] * 1e5) / 1e5))) continue;
        json_decref(array);
        array = NULL;
    }
    return array;
}

static json_t *to_json(const struct hnsw_calibration *c)
{
    float ef[HNSW_EFS];
    for (uint32_t e = 0; e < c->efs; e++) ef[e] = (float)c->ef[e];
    return json_pack("{s:s,s:I,s:o,s:[o,o,o],s:o}", "on", c->on_queries ? "queries" : "rows", "queries",
                     (json_int_t)c->queries, "ef", numbers_json(ef, c->efs), "recall",
                     numbers_json(c->recall[0], c->efs), numbers_json(c->recall[1], c->efs),
                     numbers_json(c->recall[2], c->efs), "codes", numbers_json(c->codes, c->efs));
}

static bool read_numbers(const json_t *array, uint32_t count, float *out)
{
    if (!json_is_array(array) || json_array_size(array) != count) return false;
    for (uint32_t i = 0; i < count; i++) {
        double value = json_number_value(json_array_get(array, i));
        if (!(value >= 0 && value < 1e15)) return false;
        out[i] = (float)value;
    }
    return true;
}

kith_status kt_hnsw_calibration_read(const json_t *json, struct hnsw_calibration *out, kith_error *error)
{
    struct hnsw_calibration c = { .known = true };
    float ef[HNSW_EFS];
    const json_t *recall = json_object_get(json, "recall");
    *out = (struct hnsw_calibration){ 0 };
    if (!json || json_is_null(json)) return KITH_OK;
    c.efs = (uint32_t)kt_min_u64(json_array_size(json_object_get(json, "ef")), HNSW_EFS + 1);
    bool fine = c.efs >= 1 && c.efs <= HNSW_EFS && read_numbers(json_object_get(json, "ef"), c.efs, ef) &&
                read_numbers(json_object_get(json, "codes"), c.efs, c.codes);
    for (uint32_t k = 0; fine && k < HNSW_CURVES; k++)
        fine = read_numbers(json_array_get(recall, k), c.efs, c.recall[k]);
    for (uint32_t e = 0; fine && e < c.efs; e++) {
        fine = ef[e] >= 1 && ef[e] <= HNSW_MOST_EF && (!e || ef[e] > ef[e - 1]);
        c.ef[e] = fine ? (uint32_t)ef[e] : 0;
    }
    if (!fine) return kt_fail(error, KITH_CORRUPT, "the calibration of an HNSW index is damaged");
    c.queries = (uint32_t)json_integer_value(json_object_get(json, "queries"));
    const char *on = json_string_value(json_object_get(json, "on"));
    c.on_queries = on && strcmp(on, "queries") == 0;
    *out = c;
    return KITH_OK;
}

/* ---- samples ---- */

static kith_status pick(struct calibrating *c, uint64_t seed, uint64_t *count, kith_error *error)
{
    const struct kt_index *graph = c->graph;
    uint64_t first = kt_min_u64(graph->upper.above[1], graph->nodes), lowest = graph->nodes - first;
    c->picks = kt_alloc_array(SAMPLES, sizeof *c->picks);
    if (!c->picks) return kt_fail_memory(error, SAMPLES * sizeof *c->picks);
    if (c->queries) {
        *count = kt_sample(c->queries->count, SAMPLES, seed, c->picks);
        return KITH_OK;
    }
    *count = kt_sample(lowest, kt_min_u64(SAMPLES, graph->nodes / FEW_NODES), seed, c->picks);
    for (uint64_t i = 0; i < *count; i++) c->picks[i] += first; /* higher ones lead the way down */
    return KITH_OK;
}

kith_status kt_hnsw_calibrate(const struct kt_index *graph, const struct kt_vectors *vectors,
                              const struct kt_samples *queries, uint64_t seed, struct kt_work *work,
                              json_t **out, kith_error *error)
{
    uint32_t threads = kt_work_threads(work);
    struct calibrating c = { .graph = graph, .queries = queries && queries->count ? queries : NULL };
    struct hnsw_calibration calibration;
    uint64_t count = 0;
    (void)vectors;
    *out = NULL;
    if (!graph->nodes) return KITH_OK;
    c.arenas = kt_alloc_zero(threads, sizeof *c.arenas);
    c.tallies = kt_alloc_zero(threads, sizeof *c.tallies);
    kith_status status = c.arenas && c.tallies ? pick(&c, seed, &count, error)
                                               : kt_fail_memory(error, threads * sizeof *c.tallies);
    if (!status && count) status = kt_parallel_for(work, "calibrate", count, GRAIN, replay_chunk, &c, error);
    for (uint32_t i = 1; !status && i < threads; i++)
        for (size_t j = 0; j < sizeof *c.tallies / sizeof(uint64_t); j++)
            ((uint64_t *)(void *)&c.tallies[0])[j] += ((const uint64_t *)(const void *)&c.tallies[i])[j];
    if (!status && count) {
        settle(&c.tallies[0], count, c.queries != NULL, &calibration);
        *out = to_json(&calibration);
        if (!*out) status = kt_fail_memory(error, 4096);
    }
    for (uint32_t i = 0; c.arenas && i < threads; i++) kt_arena_release(&c.arenas[i]);
    kt_free(c.arenas);
    kt_free(c.tallies);
    kt_free(c.picks);
    return status;
}

/* ---- asking ---- */

static uint32_t curve_for(uint32_t k)
{
    return k <= ks[0] ? 0 : k <= ks[1] ? 1 : 2;
}

/* The point of the curve at which a recall is had, between two of its efs: a number of them and a part. */
static float point_for(const struct hnsw_calibration *c, uint32_t curve, float recall)
{
    const float *have = c->recall[curve];
    uint32_t e = 0;
    while (e < c->efs && have[e] < recall) e++;
    if (e == c->efs) return (float)(c->efs - 1);
    if (!e || !(have[e] > have[e - 1])) return (float)e;
    return (float)(e - 1) + (recall - have[e - 1]) / (have[e] - have[e - 1]);
}

static float at_point(const float *values, uint32_t count, float point)
{
    uint32_t e = kt_min_u32((uint32_t)point, count - 1);
    float part = point - (float)e;
    return e + 1 < count ? values[e] + part * (values[e + 1] - values[e]) : values[e];
}

/* Whether walks that meet so many nodes do not give this recall. */
static bool is_out_of_reach(const struct kt_index *graph, uint32_t curve, float recall)
{
    const struct hnsw_calibration *c = &graph->calibration;
    return c->recall[curve][c->efs - 1] < recall && c->codes[c->efs - 1] * GOOD_PART > (float)graph->nodes;
}

static float planned(const struct hnsw_calibration *c, float recall)
{
    return c->on_queries ? recall : 1 - (1 - recall) * strangers;
}

uint32_t kt_hnsw_ef_for(const struct kt_index *graph, uint32_t k, float recall, float *expected)
{
    const struct hnsw_calibration *c = &graph->calibration;
    *expected = 0;
    if (!c->known) return 0;
    float wanted = planned(c, recall);
    float values[HNSW_EFS];
    uint32_t curve = curve_for(k);
    if (is_out_of_reach(graph, curve, wanted)) {
        *expected = 1;
        return HNSW_ALL;
    }
    float point = point_for(c, curve, wanted);
    for (uint32_t e = 0; e < c->efs; e++) values[e] = (float)c->ef[e];
    double ef = ceil((double)at_point(values, c->efs, point));
    if (k > ks[HNSW_CURVES - 1]) ef *= (double)k / ks[HNSW_CURVES - 1];
    *expected = fminf(recall, at_point(c->recall[curve], c->efs, point));
    return (uint32_t)fmin(ef, HNSW_MOST_EF);
}

void kt_hnsw_expect(const struct kt_index *graph, uint32_t k, float recall, struct kt_index_stats *out)
{
    const struct hnsw_calibration *c = &graph->calibration;
    *out = (struct kt_index_stats){ 0 };
    if (!c->known) return;
    if (is_out_of_reach(graph, curve_for(k), planned(c, recall))) {
        out->rows = out->codes = graph->nodes;
        out->expected = 1;
        return;
    }
    float point = point_for(c, curve_for(k), recall);
    out->codes = (uint64_t)at_point(c->codes, c->efs, point);
    out->expected = at_point(c->recall[curve_for(k)], c->efs, point);
}
