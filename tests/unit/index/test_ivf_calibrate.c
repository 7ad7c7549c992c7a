/* Calibrating an IVF index: a wanted recall is what a search then has, by no more lists than it takes; what
 * was learned is the same on any number of threads; and JSON that no calibration wrote is refused, never
 * believed. */
#include "index_fixture.h"

#include <math.h>

/* ---- what is promised ---- */

static const float wanted[] = { 0.8f, 0.9f, 0.95f, 0.99f };
enum { WANTED = sizeof wanted / sizeof *wanted };

/* For each wanted recall: as much is found, but for chance, and as much was expected; more takes more lists.
 */
static void check_recall(const struct column *c, const struct built *b, const struct truth *truth, uint32_t k)
{
    uint64_t lists[WANTED];
    for (int i = 0; i < WANTED; i++) {
        struct kt_index_stats stats = { 0 };
        struct kt_index_query ask = { .k = k, .recall = wanted[i] };
        double recall = recall_of(c, b, truth, ask, &stats), expected = (double)stats.expected;
        lists[i] = stats.lists;
        if (recall < (double)wanted[i] - 0.03 || recall < expected - 0.04) /* but for chance */
            fail_msg("type %d, metric %d, k %u: recall %.3f by %.1f lists, expected %.3f, wanted %.2f",
                     b->plan.type, b->plan.metric, k, recall, (double)stats.lists / (double)truth->count,
                     expected, (double)wanted[i]);
        if (expected < (double)wanted[i] - 0.03 || expected > 1)
            fail_msg("type %d, metric %d, k %u: expected %.3f, wanted %.2f", b->plan.type, b->plan.metric, k,
                     expected, (double)wanted[i]);
        if (i && lists[i] < lists[i - 1])
            fail_msg("type %d, k %u: recall %.2f took %llu lists, %.2f %llu", b->plan.type, k,
                     (double)wanted[i], (unsigned long long)lists[i], (double)wanted[i - 1],
                     (unsigned long long)lists[i - 1]);
    }
    assert_true(lists[0] < lists[WANTED - 1]);
    struct kt_index_query all = { .k = k, .nprobes = b->plan.num_partitions };
    double kept =
        recall_of(c, b, truth, all, NULL); /* by bounds; what is wanted is for lists unseen, mostly */
    if (kept < 0.98)
        fail_msg("type %d, metric %d, k %u: recall %.3f in all lists", b->plan.type, b->plan.metric, k, kept);
    assert_true(lists[WANTED - 2] < truth->count * (uint64_t)b->plan.num_partitions * 9 / 10);
}

static void a_wanted_recall_is_what_a_search_has(void **state)
{
    enum { ASKED = 1200 };
    static const struct {
        kith_index_type type;
        kith_metric metric;
        kith_element element;
        uint32_t dim;
        uint64_t rows;
    } cases[] = { { KITH_IVF_RQ, KITH_L2, KITH_F32, 20, 20000 },
                  { KITH_IVF_RQ, KITH_DOT, KITH_F32, 17, 8000 },
                  { KITH_IVF_SQ, KITH_L2, KITH_U8, 24, 8000 },
                  { KITH_IVF_FLAT, KITH_HAMMING, KITH_U8, 8, 8000 },
                  { KITH_IVF_PQ, KITH_COSINE, KITH_F16, 16, 20000 } };
    static const struct {
        uint32_t k, asked;
    } asks[] = { { 1, ASKED }, { 5, 400 }, { 10, 400 }, { 15, 300 }, { 100, 150 } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct column c;
        float *queries = column_and_queries(&c, cases[i].rows, ASKED, cases[i].dim, cases[i].element, 20);
        struct truth truth = truth_of(&c, cases[i].metric, queries, ASKED, 100);
        struct built b = build(&c, plan_of(cases[i].type, cases[i].metric, 0), 0);
        json_t *calibration = calibrate(&c, &b, NULL, 0, 0);
        reopen(&b, calibration);
        for (size_t k = 0; k < sizeof asks / sizeof *asks; k++) {
            truth.count = asks[k].asked;
            check_recall(&c, &b, &truth, asks[k].k);
        }
        json_decref(calibration);
        built_release(&b);
        truth_release(&truth);
        column_release(&c);
        kt_free(queries);
    }
}

/* Rows that lie a thirtieth as far from their likes as those from each other: what is rounded in a query is
 * large beside what tells such rows apart. */
static void near_duplicates_are_told_apart(void **state)
{
    enum { ROWS = 3000, ASKED = 100, DIM = 64, GROUPS = 50 };
    struct kt_random random = { seed };
    struct column c;
    float *centers = kt_alloc_array((size_t)GROUPS * DIM, sizeof *centers);
    float *data = kt_alloc_aligned((size_t)(ROWS + ASKED) * DIM * sizeof *data);
    (void)state;
    for (size_t i = 0; i < (size_t)GROUPS * DIM; i++) centers[i] = 2 * kt_random_float(&random) - 1;
    for (size_t i = 0; i < (size_t)(ROWS + ASKED) * DIM; i++)
        data[i] = centers[i / DIM % GROUPS * DIM + i % DIM] + 0.06f * (kt_random_float(&random) - 0.5f);
    column_init(&c, data, ROWS + ASKED, DIM, KITH_F32);
    c.rows = c.runs[0].rows = ROWS;
    struct truth truth = truth_of(&c, KITH_L2, data + ROWS * DIM, ASKED, 10);
    for (size_t t = 0; t < TYPES; t++) {
        struct built b = build(&c, plan_of(types[t], KITH_L2, 25), 0);
        double all = recall_of(&c, &b, &truth, (struct kt_index_query){ .k = 10, .nprobes = 50 }, NULL);
        if (all < (types[t] == KITH_IVF_PQ ? 0.94 : 0.98))
            fail_msg("type %d: recall %.3f in all lists", types[t], all);
        json_t *calibration = calibrate(&c, &b, NULL, 0, 0);
        reopen(&b, calibration);
        struct kt_index_stats stats = { 0 };
        double recall = recall_of(&c, &b, &truth, (struct kt_index_query){ .k = 10 }, &stats);
        if (recall < (double)KT_DEFAULT_RECALL - 0.03)
            fail_msg("type %d: recall %.3f, expected %.3f", types[t], recall, (double)stats.expected);
        json_decref(calibration);
        built_release(&b);
    }
    truth_release(&truth);
    column_release(&c);
    kt_free(centers);
}

/* Lists that are clusters: rows need one of them each, queries from between them many, and rows are all that
 * was learned from. */
static void queries_between_clusters_are_told_from_those_in_one(void **state)
{
    enum { ROWS = 6000, ASKED = 100, DIM = 48, GROUPS = 50 };
    struct column c;
    float queries[2 * ASKED * DIM];
    (void)state;
    float *inside = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, GROUPS);
    struct kt_random random = { seed + 1 };
    for (size_t i = 0; i < (size_t)ASKED * DIM; i++) queries[i] = 2 * kt_random_float(&random) - 1;
    memcpy(queries + ASKED * DIM, inside, sizeof queries / 2);
    struct built b = build(&c, plan_of(KITH_INDEX_DEFAULT, KITH_L2, 0), 0);
    json_t *calibration = calibrate(&c, &b, NULL, 0, 0);
    reopen(&b, calibration);
    for (int i = 0; i < 2; i++) {
        struct truth truth = truth_of(&c, KITH_L2, queries + i * ASKED * DIM, ASKED, 10);
        struct kt_index_stats stats = { 0 };
        double recall = recall_of(&c, &b, &truth, (struct kt_index_query){ .k = 10 }, &stats);
        if (recall < (double)KT_DEFAULT_RECALL - 0.03)
            fail_msg("%s clusters: recall %.3f by %.1f lists", i ? "in" : "between", recall,
                     (double)stats.lists / ASKED);
        if (i) assert_true(stats.lists < 2 * ASKED);
        memset(&stats, 0, sizeof stats); /* who asks for nothing gets what is quick */
        recall_of(&c, &b, &truth, (struct kt_index_query){ .k = 10, .recall = 1e-6f }, &stats);
        assert_true(stats.lists < 3 * ASKED);
        truth_release(&truth);
    }
    json_decref(calibration);
    built_release(&b);
    column_release(&c);
    kt_free(inside);
}

/* Curves end at 100 neighbours; of clusters of 133 rows they tell nothing of the rows beyond the first. */
static void more_neighbours_than_curves_tell_of_are_found_too(void **state)
{
    enum { ASKED = 60, MOST_K = 1000 };
    static const struct {
        uint64_t rows;
        uint32_t dim, blobs;
        float slack;
    } cases[] = { { 20000, 20, 20, 0.03f }, { 20000, 48, 150, 0.1f } };
    static const uint32_t ks[] = { 300, MOST_K };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct column c;
        float *queries = column_and_queries(&c, cases[i].rows, ASKED, cases[i].dim, KITH_F32, cases[i].blobs);
        struct truth truth = truth_of(&c, KITH_L2, queries, ASKED, MOST_K);
        struct built b = build(&c, plan_of(KITH_INDEX_DEFAULT, KITH_L2, 0), 0);
        json_t *calibration = calibrate(&c, &b, NULL, 0, 0);
        reopen(&b, calibration);
        for (size_t k = 0; k < sizeof ks / sizeof *ks; k++) {
            for (size_t w = 1; w < WANTED; w++) {
                struct kt_index_stats stats = { 0 };
                struct kt_index_query ask = { .k = ks[k], .recall = wanted[w] };
                double recall = recall_of(&c, &b, &truth, ask, &stats);
                if (recall < (double)(wanted[w] - cases[i].slack))
                    fail_msg("%u blobs, k %u, wanted %.2f: recall %.3f by %.1f lists", cases[i].blobs, ks[k],
                             (double)wanted[w], recall, (double)stats.lists / ASKED);
            }
        }
        json_decref(calibration);
        built_release(&b);
        truth_release(&truth);
        column_release(&c);
        kt_free(queries);
    }
}

/* ---- on what it was learned ---- */

static double number_of(const json_t *calibration, const char *key)
{
    return json_number_value(json_object_get(calibration, key));
}

static const char *text_of(const json_t *calibration, const char *key)
{
    const char *text = json_string_value(json_object_get(calibration, key));
    return text ? text : "";
}

/* Queries unlike any row: what rows need says nothing of them. */
static void queries_unlike_rows_are_learned_from_queries(void **state)
{
    enum { ROWS = 20000, ASKED = 300, LEARNED = 1000, DIM = 16 };
    struct kt_random random = { seed };
    struct column c;
    float *queries = kt_alloc_array((size_t)(ASKED + LEARNED) * DIM, sizeof *queries);
    (void)state;
    kt_free(column_and_queries(&c, ROWS, 0, DIM, KITH_F32, 20));
    for (size_t i = 0; i < (size_t)(ASKED + LEARNED) * DIM; i++)
        queries[i] = 2 * kt_random_float(&random) - 1;
    struct truth truth = truth_of(&c, KITH_L2, queries, ASKED, 10);
    struct built b = build(&c, plan_of(KITH_IVF_RQ, KITH_L2, 0), 0);
    json_t *on_rows = calibrate(&c, &b, NULL, 0, 0),
           *on_queries = calibrate(&c, &b, queries + ASKED * DIM, LEARNED, 0);
    assert_string_equal(text_of(on_rows, "on"), "rows");
    assert_string_equal(text_of(on_queries, "on"), "queries");
    assert_true(number_of(on_queries, "queries") == LEARNED);
    assert_true(number_of(on_rows, "queries") >= LEARNED);
    reopen(&b, on_queries);
    for (int i = 0; i < WANTED; i++) {
        struct kt_index_query ask = { .k = 10, .recall = wanted[i] };
        double recall = recall_of(&c, &b, &truth, ask, NULL);
        if (recall < (double)wanted[i] - 0.03)
            fail_msg("recall %.3f, wanted %.2f", recall, (double)wanted[i]);
    }
    json_decref(on_rows);
    json_decref(on_queries);
    built_release(&b);
    truth_release(&truth);
    column_release(&c);
    kt_free(queries);
}

static void queries_beyond_all_numbers_do_no_harm(void **state)
{
    static const float huge[] = { NAN, INFINITY, 1e15f, 1e19f, -1e20f, 3e38f };
    enum { ROWS = 3000, DIM = 8, LEARNED = 50 };
    struct column c;
    float *queries = column_and_queries(&c, ROWS, LEARNED, DIM, KITH_F32, 20);
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct built b = build(&c, plan_of(types[t], t % 2 ? KITH_L2 : KITH_DOT, 20), 0);
        for (uint64_t q = 0; q < LEARNED; q += 2) queries[q * DIM] = huge[q / 2 % 6];
        json_t *some = calibrate(&c, &b, queries, LEARNED, 0);
        reopen(&b, some);
        for (uint64_t q = 0; q < LEARNED; q++) queries[q * DIM] = NAN;
        json_t *none = calibrate(&c, &b, queries, LEARNED, 0);
        if (none) reopen(&b, none);
        json_decref(some);
        json_decref(none);
        built_release(&b);
    }
    column_release(&c);
    kt_free(queries);
}

/* ---- the same for all ---- */

static void one_calibration_for_any_threads_that_survives_text(void **state)
{
    enum { ROWS = 4000, DIM = 24, ASKED = 20 };
    struct column c;
    float *queries = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, 20);
    (void)state;
    for (uint64_t r = 0; r < 5; r++) ((float *)(void *)c.data)[r * 100 * DIM] = 1e8f; /* outliers */
    column_cut(&c, 9);
    for (size_t t = 0; t < TYPES; t++) {
        struct built b = build(&c, plan_of(types[t], t % 2 ? KITH_L2 : KITH_COSINE, 0), 0);
        json_t *one = calibrate(&c, &b, NULL, 0, 1), *three = calibrate(&c, &b, NULL, 0, 3);
        json_t *on_one = calibrate(&c, &b, queries, ASKED, 1),
               *on_three = calibrate(&c, &b, queries, ASKED, 3);
        assert_true(json_equal(one, three));
        assert_true(json_equal(on_one, on_three));
        assert_false(json_equal(one, on_one));

        struct kt_hit hits[2][10];
        struct kt_index_stats stats[2] = { 0 };
        char *text = json_dumps(one, JSON_COMPACT);
        json_t *read = json_loads(text, 0, NULL);
        struct kt_index_query ask = { .vector = queries, .k = 10, .recall = 0.9f };
        for (int i = 0; i < 2; i++) {
            reopen(&b, i ? read : one);
            assert_int_equal(index_hits(&c, &b, ask, hits[i], &stats[i]), 10);
        }
        assert_memory_equal(&stats[0], &stats[1], sizeof stats[0]);
        free(text);
        json_decref(read);
        json_decref(one);
        json_decref(three);
        json_decref(on_one);
        json_decref(on_three);
        built_release(&b);
    }
    column_release(&c);
    kt_free(queries);
}

/* ---- what the user says goes before what was learned ---- */

static void asked_numbers_of_lists_go_before_what_was_learned(void **state)
{
    enum { LISTS = 60, ROWS = 6000, DIM = 16, ASKED = 20 };
    static const struct {
        uint32_t k, nprobes, least, most, lists_least, lists_most;
    } cases[] = {
        { 10, 1, 0, 0, 1, 1 },           { 10, 7, 0, 0, 7, 7 },   { 10, LISTS, 0, 0, LISTS, LISTS },
        { 10, 0, 30, 0, 30, LISTS },     { 10, 0, 0, 2, 1, 2 },   { 10, 0, 4, 5, 4, 5 },
        { 10, 0, 0, 1, 1, 1 },           { ROWS, 0, 0, 3, 3, 3 }, { ROWS + 10, 0, 0, 0, LISTS, LISTS },
        { ROWS, 2, 0, 0, LISTS, LISTS },
    };
    struct column c;
    float *queries = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, 20);
    struct kt_hit *hits = kt_alloc_array(ROWS + 10, sizeof *hits);
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct built b = build(&c, plan_of(types[t], KITH_L2, LISTS), 0);
        json_t *calibration = calibrate(&c, &b, NULL, 0, 0);
        reopen(&b, calibration);
        for (size_t i = 0; i < ASKED * sizeof cases / sizeof *cases; i++) {
            size_t n = i / ASKED;
            struct kt_index_stats stats = { 0 };
            struct kt_index_query ask = { .vector = queries + i % ASKED * DIM,
                                          .k = cases[n].k,
                                          .recall = 0.99f,
                                          .nprobes = cases[n].nprobes,
                                          .minimum_nprobes = cases[n].least,
                                          .maximum_nprobes = cases[n].most };
            size_t found = index_hits(&c, &b, ask, hits, &stats);
            if (stats.lists < cases[n].lists_least || stats.lists > cases[n].lists_most)
                fail_msg("type %d, case %zu: %llu lists", types[t], n, (unsigned long long)stats.lists);
            assert_int_equal(found, kt_min_u64(stats.codes, ask.k));
        }
        json_decref(calibration);
        built_release(&b);
    }
    column_release(&c);
    kt_free(queries);
    kt_free(hits);
}

/* ---- any data ---- */

/* Calibrates whatever it is, and asks: as many rows as there are come, up to k. */
static void check_calibrates(const struct column *c, kith_index_type type, kith_metric metric, uint32_t lists,
                             size_t there)
{
    struct kt_hit hits[5];
    float query[8] = { 0 };
    struct built b = build(c, plan_of(type, metric, lists), 0);
    json_t *calibration = calibrate(c, &b, NULL, 0, 2);
    if (json_integer_value(json_object_get(b.meta, "partitions")) < 2) assert_null(calibration);
    reopen(&b, calibration);
    for (uint64_t q = 0; q < 3; q++) {
        struct kt_index_query ask = { .vector = query, .k = 5, .recall = q ? 0.99f : 0 };
        if (q && c->rows) column_floats(c, q % c->rows, query);
        assert_int_equal(index_hits(c, &b, ask, hits, NULL), kt_min_u64(5, there));
    }
    json_decref(calibration);
    built_release(&b);
}

static void any_column_can_be_calibrated(void **state)
{
    static const uint64_t counts[] = { 1, 2, 3, 9, 400 };
    enum { DIM = 8 };
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        for (int metric = KITH_L2; metric <= KITH_DOT; metric++) {
            for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
                struct column c;
                uint64_t rows = counts[i];
                column_init(&c, random_numbers(rows, DIM, KITH_F32, 30), rows, DIM, KITH_F32);
                float *values = (float *)(void *)c.data;
                check_calibrates(&c, types[t], (kith_metric)metric, 20, rows);
                for (uint64_t r = 1; r < rows; r += 2) /* half are one row */
                    memcpy(values + r * DIM, values, DIM * sizeof *values);
                check_calibrates(&c, types[t], (kith_metric)metric, 20, rows);
                for (uint64_t r = 0; r < rows; r += 3)
                    values[r * DIM] = 1e12f * (float)r; /* and some far away */
                check_calibrates(&c, types[t], (kith_metric)metric, 20, rows);
                for (uint64_t r = 1; r < rows; r++) memcpy(values + r * DIM, values, DIM * sizeof *values);
                check_calibrates(&c, types[t], (kith_metric)metric, 20, rows);
                memset(values, 0, rows * DIM * sizeof *values);
                check_calibrates(&c, types[t], (kith_metric)metric, 20, rows);
                column_cut(&c, 1); /* all null */
                check_calibrates(&c, types[t], (kith_metric)metric, 20, 0);
                column_release(&c);
            }
        }
    }
}

/* ---- whether it holds ---- */

static struct kt_index_look look(const struct column *c, const struct built *b, uint64_t first_row)
{
    struct kt_work work = { .threads = 2 };
    struct kt_index_look out;
    kith_error error = { 0 };
    if (b->ops->look(b->index, &c->vectors, NULL, first_row, 1, &work, &out, &error))
        fail_msg("%s", error.message);
    return out;
}

/* Rows that come around the points there are are found as well as those before; rows around others are not,
 * or lie far from their centroids. */
static void a_look_tells_strange_rows_from_usual_ones(void **state)
{
    enum { ROWS = 20000, MORE = 1000, DIM = 24, BLOBS = 60 };
    struct column c;
    (void)state;
    kt_free(column_and_queries(&c, ROWS + 2 * MORE, 0, DIM, KITH_F32, BLOBS));
    float *strange = (float *)(void *)c.data + (size_t)(ROWS + MORE) * DIM;
    for (size_t i = 0; i < MORE; i++)
        for (size_t d = 0; d < DIM; d++) strange[i * DIM + d] += i % 2 == d % 2 ? 1.5f : -1.5f;
    c.runs[0].rows = c.runs[0].span = ROWS;
    struct built b = build(&c, plan_of(KITH_INDEX_DEFAULT, KITH_L2, 0), 0);
    json_t *calibration = calibrate(&c, &b, NULL, 0, 0);
    double fit = json_number_value(json_object_get(calibration, "fit"));
    c.runs[0].rows = c.runs[0].span = ROWS + 2 * MORE;
    extend(&c, &b, ROWS, ROWS + 2 * MORE);
    reopen(&b, calibration);
    c.runs[0].rows = c.runs[0].span = ROWS + MORE;
    struct kt_index_look usual = look(&c, &b, ROWS);
    c.runs[0].rows = c.runs[0].span = ROWS + 2 * MORE;
    struct kt_index_look others = look(&c, &b, ROWS + MORE), none = look(&c, &b, ROWS + 2 * MORE);
    assert_true((double)usual.fit > 0.8 * fit && (double)usual.fit < 1.15 * fit);
    assert_true(usual.shortfall <= 0.03f);
    assert_true((double)others.fit > 1.5 * fit);
    assert_true(none.fit <= 0 && none.shortfall <= 0 && none.rows == 0 && usual.rows >= 48);
    json_decref(calibration);
    built_release(&b);
    column_release(&c);
}

static int refuse(const kith_progress *progress, void *user)
{
    (void)user;
    return strcmp(progress->stage, "calibrate") == 0;
}

static void calibrating_can_be_cancelled(void **state)
{
    struct column c;
    kith_error error = { 0 };
    struct kt_work work = { .progress = refuse };
    json_t *out = NULL;
    (void)state;
    kt_free(column_and_queries(&c, 3000, 0, 16, KITH_F32, 20));
    struct built b = build(&c, plan_of(KITH_INDEX_DEFAULT, KITH_L2, 0), 0);
    assert_int_equal(b.ops->calibrate(b.index, &c.vectors, NULL, 1, &work, &out, &error), KITH_CANCELLED);
    assert_null(out);
    built_release(&b);
    column_release(&c);
}

/* ---- JSON that is not a calibration ---- */

/* `at` names a member, an element by its number, and so on down: "curves/0/unit". */
static void replace(json_t *in, const char *at, const char *by)
{
    const char *rest = strchr(at, '/');
    char key[32] = "";
    memcpy(key, at, rest ? (size_t)(rest - at) : strlen(at));
    size_t number = strtoul(key, NULL, 10);
    if (rest) {
        replace(json_is_array(in) ? json_array_get(in, number) : json_object_get(in, key), rest + 1, by);
    } else if (json_is_array(in)) {
        if (by)
            json_array_set_new(in, number, json_loads(by, JSON_DECODE_ANY, NULL));
        else
            json_array_remove(in, number);
    } else if (by) {
        json_object_set_new(in, key, json_loads(by, JSON_DECODE_ANY, NULL));
    } else {
        json_object_del(in, key);
    }
}

/* Opens with it; when that goes well, it is searched, which must do no harm. */
static kith_status open_with(const struct column *c, const struct built *b, const json_t *calibration)
{
    struct built other = *b;
    struct kt_hit hits[10];
    kith_error error = { 0 };
    kith_status status = open_try(b, calibration, &other.index, &error);
    if (status) {
        assert_non_null(strstr(error.message, "calibration"));
        return status;
    }
    for (uint32_t k = 1; k <= 10; k += 3) {
        struct kt_index_query ask = { .vector = (const float *)(const void *)c->data,
                                      .k = k,
                                      .recall = 0.9f };
        assert_int_equal(index_hits(c, &other, ask, hits, NULL), k);
    }
    b->ops->close(other.index);
    return KITH_OK;
}

static void json_that_is_no_calibration_is_refused(void **state)
{
    static const char *const kinds[] = { NULL, "\"text\"", "{}", "[]", "true", "null" };
    static const struct {
        const char *at;
        const char *out_of_range[4];
    } places[] = {
        { "rule", { "1", "3" } },
        { "sign_spread", { "[1, 2, 3]", "[1, 2, 3, 4, 5]" } },
        { "spread", { "[1, 2, 3]", "[1, 2, 3, 4, 5]" } },
        { "sign_spread/0", { "-1", "1e39", "1e300" } },
        { "spread/3", { "-1", "1e39", "1e300" } },
        { "curves", { "[{}, {}]", "[{}, {}, {}]" } },
        { "curves/0", { "7" } },
        { "curves/2", { "[1]" } },
        { "curves/0/k", { "-1", "0", "11", "1e3" } }, /* they ascend: 1, 10, 100 */
        { "curves/1/usual", { "-2", "1e39", "1e300" } },
        { "curves/1/from", { "-1", "1.5", "1e300" } },
        { "curves/1/unit", { "0", "-2", "1e39", "1e300" } },
        { "curves/1/linear", { "-1", "1e39", "1e300" } },
        { "curves/1/square", { "-1", "1e39", "1e300" } },
        { "curves/2/points", { "7", "[1, 2]", "[[1, 2, 3, 4]]" } },
        { "curves/2/points/0", { "[1, 2, 3, 4]", "[0.5, 0.5, 0.1, 3, 4, 5]" } },
        { "curves/2/points/1/0", { "0", "-1", "1.5", "1e39" } }, /* a share that falls */
        { "curves/2/points/1/1", { "-1", "1.5", "1e39" } },      /* recall */
        { "curves/2/points/1/2", { "-1", "1e39" } },
        { "curves/2/points/1/3", { "-1", "1e39" } },
        { "curves/2/points/1/4", { "-1", "1e39" } },
    };
    struct column c;
    uint32_t believed = 0;
    (void)state;
    kt_free(column_and_queries(&c, 2000, 0, 8, KITH_F32, 20));
    struct built b = build(&c, plan_of(KITH_INDEX_DEFAULT, KITH_L2, 40), 0);
    json_t *good = calibrate(&c, &b, NULL, 0, 0);
    assert_int_equal(open_with(&c, &b, good), KITH_OK);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        for (size_t j = 0; j < 10; j++) {
            const char *by = j < 6 ? kinds[j] : places[i].out_of_range[j - 6];
            if (!by && (j >= 6 || strcmp(places[i].at, "curves/2/points/0") == 0 ||
                        strcmp(places[i].at, "rule") == 0))
                continue; /* one point fewer; a calibration of before */
            json_t *bad = json_deep_copy(good);
            replace(bad, places[i].at, by);
            bool same =
                json_equal(bad, good) || (by && strcmp(by, "[]") == 0 && strstr(places[i].at, "points"));
            if (!same && open_with(&c, &b, bad) != KITH_CORRUPT) {
                print_message("%s as %s is believed\n", places[i].at, by ? by : "nothing");
                believed++;
            }
            json_decref(bad);
        }
    }
    static const char *const whole[] = { "[]", "\"rows\"", "1", "true", "{}", "{\"curves\": []}" };
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        json_t *bad = json_loads(whole[i], JSON_DECODE_ANY, NULL);
        if (open_with(&c, &b, bad) != KITH_CORRUPT) {
            print_message("%s is believed\n", whole[i]);
            believed++;
        }
        json_decref(bad);
    }
    assert_int_equal(open_with(&c, &b, NULL), KITH_OK); /* none at all is none */
    json_object_del(good, "rule");
    assert_int_equal(open_with(&c, &b, good), KITH_OK); /* and one of the rule before is none */
    json_decref(good);
    built_release(&b);
    column_release(&c);
    assert_int_equal(believed, 0);
}

/* More points than a curve has room for, and every number at its largest. */
static void crowded_calibrations_do_no_harm(void **state)
{
    static const char *const values[] = { "0", "1e-38", "1e38", "3.4e38", "1" };
    struct column c;
    (void)state;
    kt_free(column_and_queries(&c, 2000, 0, 8, KITH_F32, 20));
    struct built b = build(&c, plan_of(KITH_INDEX_DEFAULT, KITH_L2, 40), 0);
    json_t *good = calibrate(&c, &b, NULL, 0, 0), *many = json_deep_copy(good);
    json_t *points = json_object_get(json_array_get(json_object_get(many, "curves"), 1), "points");
    for (int i = 0; i < 100; i++) json_array_append(points, json_array_get(points, 0));
    assert_int_equal(open_with(&c, &b, many), KITH_CORRUPT);
    for (size_t i = 0; i < 5 * 5 * 5; i++) {
        json_t *bad = json_deep_copy(good);
        for (int curve = 0; curve < 3; curve++) {
            char at[32];
            snprintf(at, sizeof at, "curves/%d/unit", curve);
            replace(bad, at, values[i % 5]);
            snprintf(at, sizeof at, "curves/%d/linear", curve);
            replace(bad, at, values[i / 5 % 5]);
            snprintf(at, sizeof at, "curves/%d/square", curve);
            replace(bad, at, values[i / 25]);
        }
        replace(bad, "sign_spread/0", values[i % 5]);
        (void)open_with(&c, &b, bad);
        json_decref(bad);
    }
    json_decref(good);
    json_decref(many);
    built_release(&b);
    column_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wanted_recall_is_what_a_search_has),
        cmocka_unit_test(near_duplicates_are_told_apart),
        cmocka_unit_test(queries_between_clusters_are_told_from_those_in_one),
        cmocka_unit_test(more_neighbours_than_curves_tell_of_are_found_too),
        cmocka_unit_test(queries_unlike_rows_are_learned_from_queries),
        cmocka_unit_test(queries_beyond_all_numbers_do_no_harm),
        cmocka_unit_test(one_calibration_for_any_threads_that_survives_text),
        cmocka_unit_test(asked_numbers_of_lists_go_before_what_was_learned),
        cmocka_unit_test(any_column_can_be_calibrated),
        cmocka_unit_test(a_look_tells_strange_rows_from_usual_ones),
        cmocka_unit_test(calibrating_can_be_cancelled),
        cmocka_unit_test(json_that_is_no_calibration_is_refused),
        cmocka_unit_test(crowded_calibrations_do_no_harm),
    };
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
