/* IVF indexes: raw lists are exact when all are visited, coded ones find what they should, nothing that a
 * user may store or ask for makes either fail, and one seed is one file. */
#define _GNU_SOURCE
#include "index_fixture.h"

#include <fcntl.h>
#include <math.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t seed = 5;

static struct kt_index_plan plan_of(kith_index_type type, kith_metric metric, uint32_t lists)
{
    return (struct kt_index_plan){ .type = type, .metric = metric, .num_partitions = lists, .seed = seed };
}

static json_int_t meta_number(const struct built *b, const char *key)
{
    return json_integer_value(json_object_get(b->meta, key));
}

/* ---- raw lists ---- */

static void raw_lists_visited_all_are_an_exact_scan(void **state)
{
    (void)state;
    for (int element = KITH_F32; element <= KITH_U8; element++) {
        for (int metric = KITH_L2; metric <= KITH_HAMMING; metric++) {
            struct column c;
            float query[33];
            struct kt_hit truth[50], hits[50];
            if (metric == KITH_HAMMING && element != KITH_U8) continue;
            column_init(&c, random_numbers(2000, 33, (kith_element)element, 40, seed), 2000, 33,
                        (kith_element)element);
            column_cut(&c, 7);
            struct built b = build(&c, plan_of(KITH_IVF_FLAT, (kith_metric)metric, 20), 0);
            for (uint64_t q = 0; q < 2000; q += 199) {
                column_floats(&c, q, query);
                struct kt_index_query ask = {
                    .vector = query, .metric = (kith_metric)metric, .candidates = 50, .nprobes = 20
                };
                assert_int_equal(exact_hits(&c, ask.metric, query, 50, truth), 50);
                assert_int_equal(index_hits(&b, &ask, hits, NULL), 50);
                for (int i = 0; i < 50; i++) {
                    assert_int_equal(hits[i].row, truth[i].row);
                    assert_true(hits[i].distance == truth[i].distance);
                }
            }
            built_release(&b);
            column_release(&c);
        }
    }
}

/* ---- codes ---- */

static void coded_lists_find_nearly_all_candidates(void **state)
{
    static const struct {
        kith_metric metric;
        kith_element element;
        double least;
    } cases[] = { { KITH_L2, KITH_F32, 0.95 },    { KITH_COSINE, KITH_F16, 0.95 },
                  { KITH_COSINE, KITH_I8, 0.95 }, { KITH_DOT, KITH_F32, 0.85 },
                  { KITH_L2, KITH_U8, 0.95 },     { KITH_L2, KITH_F64, 0.95 } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum { ROWS = 8000, DIM = 48, ASKED = 40 };
        struct column c;
        float *queries = kt_alloc_array((size_t)ASKED * DIM, sizeof *queries);
        column_init(&c, random_numbers(ROWS + ASKED, DIM, cases[i].element, 200, seed), ROWS + ASKED, DIM,
                    cases[i].element);
        for (uint64_t q = 0; q < ASKED; q++) column_floats(&c, ROWS + q, queries + q * DIM);
        c.rows = c.runs[0].rows = ROWS; /* the last ones only ask */
        struct built b = build(&c, plan_of(KITH_IVF_PQ, cases[i].metric, 64), 0);
        struct kt_index_query ask = { .metric = cases[i].metric, .candidates = 100, .nprobes = 16 };
        double recall = recall_of(&c, &b, queries, ASKED, ask);
        if (recall < cases[i].least) fail_msg("case %zu: recall %.3f", i, recall);
        built_release(&b);
        column_release(&c);
        kt_free(queries);
    }
}

/* Sixteen different rows, many times each: every residual is one of sixteen, so codes lose nothing. */
static void estimates_are_the_distances_where_codes_lose_nothing(void **state)
{
    static const kith_metric metrics[] = { KITH_L2, KITH_COSINE, KITH_DOT };
    (void)state;
    for (size_t m = 0; m < 3; m++) {
        enum { ROWS = 640, DIM = 64 };
        struct column c;
        float query[DIM];
        struct kt_hit hits[ROWS], exact[ROWS];
        column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 16, seed), ROWS, DIM, KITH_F32);
        float *values = (float *)(void *)c.data;
        for (uint64_t r = 16; r < ROWS; r++)
            memcpy(values + r * DIM, values + r % 16 * DIM, DIM * sizeof *values);
        for (uint64_t i = 0; i < ROWS * DIM; i++) values[i] += 0.5f; /* the mean is not the origin */
        struct built b = build(&c, plan_of(KITH_IVF_PQ, metrics[m], 4), 0);
        for (uint64_t q = 0; q < 5; q++) {
            column_floats(&c, q, query);
            for (int d = 0; d < DIM; d++) query[d] *= d % 3 ? 1.0f : 0.5f;
            struct kt_index_query ask = {
                .vector = query, .metric = metrics[m], .candidates = ROWS, .nprobes = 4
            };
            assert_int_equal(index_hits(&b, &ask, hits, NULL), ROWS);
            assert_int_equal(exact_hits(&c, metrics[m], query, ROWS, exact), ROWS);
            float spread = exact[ROWS - 1].distance - exact[0].distance;
            for (int i = 0; i < ROWS; i++)
                if (fabsf(hits[i].distance - exact[i].distance) > 0.02f * spread)
                    fail_msg("metric %zu: estimated %g, is %g", m, (double)hits[i].distance,
                             (double)exact[i].distance);
        }
        built_release(&b);
        column_release(&c);
    }
}

/* ---- what a plan asks for ---- */

static void as_many_lists_as_asked_for(void **state)
{
    struct column c;
    (void)state;
    column_init(&c, random_numbers(10000, 16, KITH_F32, 10000, seed), 10000, 16, KITH_F32);
    struct built b = build(&c, plan_of(KITH_IVF_PQ, KITH_L2, 256), 0);
    assert_int_equal(meta_number(&b, "partitions"), 256);
    assert_int_equal(meta_number(&b, "rows"), 10000);
    assert_int_equal(meta_number(&b, "bits"), 8);
    assert_int_equal(meta_number(&b, "sub_vectors"), 2);
    built_release(&b);
    column_release(&c);
}

static void plans_are_filled_or_refused_in_words(void **state)
{
    const struct kt_index_ops *pq = kt_index_ops(KITH_INDEX_DEFAULT), *flat = kt_index_ops(KITH_IVF_FLAT);
    struct kt_index_plan plan = { 0 };
    kith_error error = { 0 };
    (void)state;
    assert_int_equal(pq->type, KITH_IVF_PQ);
    assert_false(pq->exact);
    assert_true(flat->exact);
    assert_null(kt_index_ops(KITH_HNSW));

    static const uint32_t chosen[][2] = { { 768, 96 }, { 384, 48 }, { 50, 10 }, { 100, 25 },
                                          { 31, 4 },   { 3, 1 },    { 1, 1 } };
    for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++) {
        plan = (struct kt_index_plan){ .type = KITH_IVF_PQ };
        assert_int_equal(pq->plan(&plan, chosen[i][0], KITH_F32, 1000000, &error), KITH_OK);
        assert_int_equal(plan.num_sub_vectors, chosen[i][1]);
        assert_int_equal(plan.num_bits, 8);
        assert_int_equal(plan.num_partitions, 1000000 / 512);
    }
    plan = (struct kt_index_plan){ .num_sub_vectors = 7 };
    assert_int_equal(pq->plan(&plan, 48, KITH_F32, 1000, &error), KITH_INVALID);
    assert_non_null(strstr(error.message, "is 7, which does not divide the dimension 48; 6 and 8 do"));
    plan = (struct kt_index_plan){ .num_sub_vectors = 96 };
    assert_int_equal(pq->plan(&plan, 48, KITH_F32, 1000, &error), KITH_INVALID);
    plan = (struct kt_index_plan){ .num_bits = 5 };
    assert_int_equal(pq->plan(&plan, 48, KITH_F32, 1000, &error), KITH_INVALID);
    plan = (struct kt_index_plan){ .metric = KITH_HAMMING };
    assert_int_equal(pq->plan(&plan, 48, KITH_U8, 1000, &error), KITH_INVALID);
    assert_non_null(strstr(error.message, "IVF_FLAT"));
    assert_int_equal(flat->plan(&plan, 48, KITH_U8, 1000, &error), KITH_OK);
    assert_int_equal(flat->plan(&plan, 48, KITH_F32, 1000, &error), KITH_INVALID);
}

static void four_bits_take_half_the_bytes_of_eight(void **state)
{
    struct column c;
    (void)state;
    column_init(&c, random_numbers(6000, 64, KITH_F32, 100, seed), 6000, 64, KITH_F32);
    struct kt_index_plan plan = plan_of(KITH_IVF_PQ, KITH_L2, 8);
    plan.num_sub_vectors = 32;
    struct built eight = build(&c, plan, 0);
    plan.num_bits = 4;
    struct built four = build(&c, plan, 0);
    assert_in_range(eight.size - four.size, 6000 * 16, 6300 * 16);
    assert_int_equal(meta_number(&four, "bits"), 4);
    built_release(&eight);
    built_release(&four);
    column_release(&c);
}

static void visits_as_many_lists_as_asked(void **state)
{
    struct column c;
    float query[8] = { 0 };
    struct kt_hit hits[3000];
    (void)state;
    column_init(&c, random_numbers(3000, 8, KITH_F32, 500, seed), 3000, 8, KITH_F32);
    struct built b = build(&c, plan_of(KITH_IVF_PQ, KITH_L2, 50), 0);
    static const struct {
        uint32_t candidates, nprobes, least, most, lists_least, lists_most;
    } cases[] = {
        { 10, 1, 0, 0, 1, 1 },     { 10, 50, 0, 0, 50, 50 },  { 10, 1000, 0, 0, 50, 50 },
        { 3000, 2, 0, 0, 2, 2 },   { 3000, 0, 3, 7, 7, 7 },   { 1, 0, 3, 7, 3, 3 },
        { 3000, 0, 0, 0, 50, 50 }, { 3000, 0, 5, 0, 50, 50 }, { 10, 0, 0, 4, 4, 4 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kt_index_stats stats = { 0 };
        struct kt_index_query ask = { .vector = query,
                                      .metric = KITH_L2,
                                      .candidates = cases[i].candidates,
                                      .nprobes = cases[i].nprobes,
                                      .minimum_nprobes = cases[i].least,
                                      .maximum_nprobes = cases[i].most };
        size_t found = index_hits(&b, &ask, hits, &stats);
        if (stats.lists < cases[i].lists_least || stats.lists > cases[i].lists_most)
            fail_msg("case %zu: %llu lists", i, (unsigned long long)stats.lists);
        assert_int_equal(found, kt_min_u64(stats.rows, ask.candidates));
        if (stats.lists == 50) assert_int_equal(stats.rows, 3000);
    }
    built_release(&b);
    column_release(&c);
}

static void a_rows_own_vector_probes_its_list_first(void **state)
{
    struct column c;
    float query[24];
    struct kt_hit *hits = kt_alloc_array(20000, sizeof *hits);
    (void)state;
    column_init(&c, random_numbers(20000, 24, KITH_F32, 3000, seed), 20000, 24, KITH_F32);
    struct built b =
        build(&c, plan_of(KITH_IVF_PQ, KITH_COSINE, 1500), 0); /* enough for a coarse step of two levels */
    uint32_t there = 0;
    for (uint64_t i = 0; i < 20000; i += 40) {
        column_floats(&c, i, query);
        struct kt_index_query ask = {
            .vector = query, .metric = KITH_COSINE, .candidates = 20000, .nprobes = 1
        };
        size_t found = index_hits(&b, &ask, hits, NULL);
        for (size_t j = 0; j < found; j++) there += hits[j].row == i;
    }
    if (there < 498) fail_msg("%u of 500 rows found by their own vector in the first list", there);
    built_release(&b);
    column_release(&c);
    kt_free(hits);
}

/* ---- any data ---- */

static void one_seed_is_one_file_for_any_threads(void **state)
{
    static const kith_index_type types[] = { KITH_IVF_PQ, KITH_IVF_FLAT };
    struct column c;
    (void)state;
    column_init(&c, random_numbers(7000, 40, KITH_F16, 300, seed), 7000, 40, KITH_F16);
    column_cut(&c, 11);
    for (size_t t = 0; t < 2; t++) {
        struct built one = build(&c, plan_of(types[t], KITH_COSINE, 100), 1),
                     four = build(&c, plan_of(types[t], KITH_COSINE, 100), 4);
        assert_int_equal(one.size, four.size);
        assert_memory_equal(one.bytes, four.bytes, one.size);
        built_release(&one);
        built_release(&four);
    }
    column_release(&c);
}

/* Builds both types and asks for everything: each row that is not null comes once. */
static void check_complete(struct column *c, kith_metric metric, uint32_t lists, uint64_t expected)
{
    static const kith_index_type types[] = { KITH_IVF_PQ, KITH_IVF_FLAT };
    float *query = kt_alloc_zero(c->vectors.dim, sizeof *query);
    struct kt_hit *hits = kt_alloc_array(c->rows + 10, sizeof *hits);
    for (size_t t = 0; t < 2; t++) {
        if (metric == KITH_HAMMING && types[t] == KITH_IVF_PQ) continue;
        struct built b = build(c, plan_of(types[t], metric, lists), 0);
        assert_int_equal(meta_number(&b, "rows"), expected);
        assert_true(meta_number(&b, "partitions") <= lists);
        for (uint64_t q = 0; q < 2 && q < c->rows; q++) {
            if (q) column_floats(c, c->rows - 1, query);
            struct kt_index_query ask = { .vector = query,
                                          .metric = metric,
                                          .candidates = (uint32_t)c->rows + 10 };
            size_t found = index_hits(&b, &ask, hits, NULL);
            if (found != expected)
                fail_msg("dim %u, %llu rows: found %zu of %llu", c->vectors.dim, (unsigned long long)c->rows,
                         found, (unsigned long long)expected);
            for (size_t i = 0; i < found; i++) assert_true(kt_vectors_find(&c->vectors, hits[i].row) >= 0);
        }
        built_release(&b);
    }
    kt_free(query);
    kt_free(hits);
}

static void every_row_is_found_in_degenerate_columns(void **state)
{
    static const uint32_t dims[] = { 1, 2, 3, 31, 33, 1000 };
    (void)state;
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        for (int metric = KITH_L2; metric <= KITH_DOT; metric++) {
            struct column c;
            uint64_t rows = dims[i] == 1000 ? 150 : 700;
            float *equal = random_numbers(rows, dims[i], KITH_F32, 3, seed),
                  *zero = kt_alloc_zero(rows * dims[i], sizeof *zero);
            for (uint64_t r = 1; r < rows; r++) memcpy(equal + r * dims[i], equal, dims[i] * sizeof *equal);
            column_init(&c, random_numbers(rows, dims[i], KITH_F32, 3, seed), rows, dims[i], KITH_F32);
            check_complete(&c, (kith_metric)metric, 16, rows);
            column_release(&c);
            column_init(&c, equal, rows, dims[i], KITH_F32);
            check_complete(&c, (kith_metric)metric, 16, rows);
            column_release(&c);
            column_init(&c, zero, rows, dims[i], KITH_F32);
            check_complete(&c, (kith_metric)metric, 16, rows);
            column_release(&c);
        }
    }
}

static void few_rows_many_lists_and_nulls_are_no_failure(void **state)
{
    struct column c;
    (void)state;
    for (uint64_t rows = 0; rows <= 5; rows++) {
        column_init(&c, random_numbers(rows, 6, KITH_F32, 5, seed), rows, 6, KITH_F32);
        check_complete(&c, KITH_L2, 256, rows);
        column_release(&c);
    }
    column_init(&c, random_numbers(3000, 6, KITH_U8, 50, seed), 3000, 6, KITH_U8);
    column_cut(&c, 4);
    check_complete(&c, KITH_HAMMING, 30, 2250);
    check_complete(&c, KITH_L2, 30, 2250);
    column_release(&c);

    column_init(&c, random_numbers(3000, 6, KITH_F32, 50, seed), 3000, 6, KITH_F32);
    column_cut(&c, 1); /* all null */
    check_complete(&c, KITH_COSINE, 30, 0);
    for (uint64_t r = 2990; r < 3000; r++)
        kt_bit_set(c.validity, 3 + r); /* ten left, that a small sample may miss */
    check_complete(&c, KITH_COSINE, 2, 10);
    column_release(&c);
}

static void rows_that_the_sample_missed_are_found(void **state)
{
    struct column c;
    float query[6];
    struct kt_hit hits[3];
    (void)state;
    column_init(&c, random_numbers(3000, 6, KITH_F32, 50, seed), 3000, 6, KITH_F32);
    column_cut(&c, 1);
    kt_bit_set(c.validity, 3 + 7); /* all are null but this one, and the sample is one row */
    struct kt_index_plan plan = plan_of(KITH_IVF_FLAT, KITH_L2, 1);
    plan.sample_rate = 1;
    struct built b = build(&c, plan, 0);
    column_floats(&c, 7, query);
    struct kt_index_query ask = { .vector = query, .metric = KITH_L2, .candidates = 3 };
    assert_int_equal(index_hits(&b, &ask, hits, NULL), 1);
    assert_int_equal(hits[0].row, 1007);
    built_release(&b);
    column_release(&c);
}

static void no_rows_make_an_index_without_lists(void **state)
{
    struct column c;
    float query[6] = { 0 };
    struct kt_hit hit;
    (void)state;
    column_init(&c, NULL, 0, 6, KITH_F32);
    for (uint32_t runs = 0; runs <= 1; runs++) {
        c.vectors.run_count = runs;
        struct built b = build(&c, plan_of(KITH_IVF_PQ, KITH_L2, 0), 0);
        struct kt_index_query ask = { .vector = query, .metric = KITH_L2, .candidates = 1 };
        assert_int_equal(meta_number(&b, "partitions"), 0);
        assert_int_equal(index_hits(&b, &ask, &hit, NULL), 0);
        built_release(&b);
    }
}

static void duplicates_by_the_thousand_are_all_kept(void **state)
{
    struct column c;
    (void)state;
    column_init(&c, random_numbers(6000, 12, KITH_F32, 6000, seed), 6000, 12, KITH_F32);
    float *values = (float *)(void *)c.data;
    for (uint64_t r = 0; r < 6000; r++)
        if (r % 3) memcpy(values + r * 12, values + r % 9 * 12, 12 * sizeof *values);
    check_complete(&c, KITH_L2, 100, 6000);
    check_complete(&c, KITH_COSINE, 100, 6000);
    column_release(&c);
}

static void zero_vectors_do_not_crowd_out_candidates_under_cosine(void **state)
{
    struct column c;
    float query[16];
    struct kt_hit hits[500];
    (void)state;
    column_init(&c, random_numbers(500, 16, KITH_F32, 3, seed), 500, 16, KITH_F32);
    memset(c.data + 100 * 64, 0, 64);
    struct built b = build(&c, plan_of(KITH_IVF_PQ, KITH_COSINE, 4), 0);
    double sum = 0; /* of estimates; what a code gets wrong for q it gets wrong the other way for -q */
    for (int q = 0; q < 100; q++) {
        column_floats(&c, (uint64_t)q / 2, query);
        for (int d = 0; q % 2 && d < 16; d++) query[d] = -query[d];
        struct kt_index_query ask = {
            .vector = query, .metric = KITH_COSINE, .candidates = 500, .nprobes = 4
        };
        assert_int_equal(index_hits(&b, &ask, hits, NULL), 500);
        for (int i = 0; i < 500; i++) sum += hits[i].row == 100 ? (double)hits[i].distance : 0;
    }
    /* their distance is 1; geometry alone would make it a half */
    if (sum / 100 < 0.9) fail_msg("estimated %g on average", sum / 100);
    built_release(&b);
    column_release(&c);
}

/* ---- rows far from all others ---- */

enum { FAR_ROWS = 8000, FAR_DIM = 32, FAR_ASKED = 100 };

/* Uniform rows in [0, 1); those after FAR_ROWS only ask. */
static void uniform_column(struct column *c, kith_element element)
{
    struct kt_random random = { seed };
    size_t count = (size_t)(FAR_ROWS + FAR_ASKED) * FAR_DIM;
    uint8_t *data = kt_alloc_aligned(count * kt_element_bytes(element));
    assert_non_null(data);
    for (size_t i = 0; i < count; i++) {
        float value = kt_random_float(&random);
        if (element == KITH_F32)
            ((float *)(void *)data)[i] = value;
        else
            ((double *)(void *)data)[i] = (double)value;
    }
    column_init(c, data, FAR_ROWS + FAR_ASKED, FAR_DIM, element);
    c->rows = c->runs[0].rows = FAR_ROWS;
}

static void set_row(struct column *c, uint64_t row, float value)
{
    for (size_t d = 0; d < FAR_DIM; d++) ((float *)(void *)c->data)[row * FAR_DIM + d] = value;
}

static void found_by_its_own_vector(const struct column *c, const struct built *b, uint64_t row)
{
    float query[FAR_DIM];
    struct kt_hit hit;
    struct kt_index_query ask = { .vector = query, .metric = b->plan.metric, .candidates = 1 };
    column_floats(c, row, query);
    if (index_hits(b, &ask, &hit, NULL) != 1 || hit.row != row)
        fail_msg("row %llu, which begins with %g, is not found", (unsigned long long)row, (double)query[0]);
}

static double far_recall(const struct column *c, const struct built *b)
{
    return recall_of(c, b, (const float *)(const void *)c->data + FAR_ROWS * FAR_DIM, FAR_ASKED,
                     (struct kt_index_query){ .metric = b->plan.metric, .candidates = 200 });
}

static void outliers_are_found_and_hide_no_other_row(void **state)
{
    static const struct {
        kith_metric metric;
        uint64_t outliers;
        float value;
    } cases[] = { { KITH_L2, 1, 1e5f },     { KITH_L2, 1, 1e7f },     { KITH_L2, 1, 1e10f },
                  { KITH_L2, 1, 1e25f },    { KITH_L2, 1, -3e38f },   { KITH_L2, 12, 1e10f },
                  { KITH_L2, 70, 1e6f },    { KITH_L2, 1000, 1e30f }, { KITH_DOT, 5, -1e10f },
                  { KITH_COSINE, 5, 1e25f } };
    struct column c;
    double without[KITH_DOT + 1];
    (void)state;
    for (int metric = KITH_L2; metric <= KITH_DOT; metric++) {
        uniform_column(&c, KITH_F32);
        struct built b = build(&c, plan_of(KITH_IVF_PQ, (kith_metric)metric, 0), 0);
        without[metric] = far_recall(&c, &b);
        built_release(&b);
        column_release(&c);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t count = cases[i].outliers, step = FAR_ROWS / count;
        uniform_column(&c, KITH_F32);
        for (uint64_t o = 0; o < count; o++)
            set_row(&c, o * step + 7, cases[i].value * (1.0f - 0.5f * (float)o / (float)count));
        struct built b = build(&c, plan_of(KITH_IVF_PQ, cases[i].metric, 0), 0);
        assert_int_equal(meta_number(&b, "rows"), FAR_ROWS);
        double recall = far_recall(&c, &b);
        if (recall < without[cases[i].metric] - 0.02)
            fail_msg("case %zu: recall %.3f, without outliers %.3f", i, recall, without[cases[i].metric]);
        for (uint64_t o = 0; cases[i].metric == KITH_L2 && o < count; o += 1 + count / 50)
            found_by_its_own_vector(&c, &b, o * step + 7);
        built_release(&b);
        column_release(&c);
    }
}

/* Far from a place that is itself far from zero. */
static void outliers_are_seen_from_the_mean(void **state)
{
    struct column c;
    double recall[2];
    (void)state;
    for (int far = 0; far < 2; far++) {
        uniform_column(&c, KITH_F32);
        for (size_t i = 0; i < (size_t)(FAR_ROWS + FAR_ASKED) * FAR_DIM; i++)
            ((float *)(void *)c.data)[i] += 1e3f;
        for (uint64_t o = 0; far && o < 60; o++) set_row(&c, 130 * o, 5e3f + (float)o);
        struct built b = build(&c, plan_of(KITH_IVF_PQ, KITH_L2, 0), 0);
        recall[far] = far_recall(&c, &b);
        for (uint64_t o = 0; far && o < 60; o++) found_by_its_own_vector(&c, &b, 130 * o);
        built_release(&b);
        column_release(&c);
    }
    if (recall[1] < recall[0] - 0.02) fail_msg("recall %.3f, without outliers %.3f", recall[1], recall[0]);
}

static void rows_are_found_where_all_are_huge(void **state)
{
    static const float factors[] = { 1e15f, 1e18f, 1e25f };
    static const kith_index_type types[] = { KITH_IVF_PQ, KITH_IVF_FLAT };
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct column c;
        uniform_column(&c, KITH_F32);
        for (size_t j = 0; j < (size_t)(FAR_ROWS + FAR_ASKED) * FAR_DIM; j++)
            ((float *)(void *)c.data)[j] *= factors[i / 2];
        struct built b = build(&c, plan_of(types[i % 2], KITH_L2, 0), 0);
        assert_int_equal(meta_number(&b, "rows"), FAR_ROWS);
        for (uint64_t r = 0; r < FAR_ROWS; r += 997) found_by_its_own_vector(&c, &b, r);
        built_release(&b);
        column_release(&c);
    }
}

/* Numbers that leave float, whose distances are no numbers: all rows are offered all the same. */
static void rows_beyond_float_never_vanish(void **state)
{
    (void)state;
    for (int metric = KITH_L2; metric <= KITH_DOT; metric++) {
        struct column c;
        uniform_column(&c, KITH_F64);
        for (size_t d = 0; d < FAR_DIM; d++)
            ((double *)(void *)c.data)[5 * FAR_DIM + d] = d % 2 ? 1e300 : -1e300;
        struct built b = build(&c, plan_of(KITH_IVF_PQ, (kith_metric)metric, 16), 0);
        float query[FAR_DIM];
        struct kt_hit *hits = kt_alloc_array(FAR_ROWS, sizeof *hits);
        uint32_t seen = 0;
        column_floats(&c, FAR_ROWS, query);
        struct kt_index_query ask = {
            .vector = query, .metric = (kith_metric)metric, .candidates = FAR_ROWS, .nprobes = 16
        };
        assert_int_equal(index_hits(&b, &ask, hits, NULL), FAR_ROWS);
        for (int i = 0; i < FAR_ROWS; i++) seen += hits[i].row == 5;
        assert_int_equal(seen, 1);
        kt_free(hits);
        built_release(&b);
        column_release(&c);
    }
}

/* Under cosine a length is nothing, be its square beyond float or below it. */
static void any_length_has_a_direction_under_cosine(void **state)
{
    static const float factors[] = { 1e-38f, 1e-25f, 1e20f, 1e25f, 1e38f };
    (void)state;
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        struct column plain, scaled;
        struct kt_hit hits[2][10];
        uniform_column(&plain, KITH_F32);
        uniform_column(&scaled, KITH_F32);
        for (size_t j = 0; j < (size_t)FAR_ROWS * FAR_DIM; j++)
            ((float *)(void *)scaled.data)[j] *= factors[i];
        struct built a = build(&plain, plan_of(KITH_IVF_PQ, KITH_COSINE, 16), 0),
                     b = build(&scaled, plan_of(KITH_IVF_PQ, KITH_COSINE, 16), 0);
        uint32_t same = 0;
        for (int q = 0; q < FAR_ASKED; q++) {
            struct kt_index_query ask = { .vector = (float *)(void *)plain.data + (FAR_ROWS + q) * FAR_DIM,
                                          .metric = KITH_COSINE,
                                          .candidates = 10 };
            assert_int_equal(index_hits(&a, &ask, hits[0], NULL), 10);
            assert_int_equal(index_hits(&b, &ask, hits[1], NULL), 10);
            for (int x = 0; x < 10; x++)
                for (int y = 0; y < 10; y++) same += hits[0][x].row == hits[1][y].row;
        }
        if (same < FAR_ASKED * 7)
            fail_msg("factor %g: only %u candidates are the same", (double)factors[i], same);
        built_release(&a);
        built_release(&b);
        column_release(&plain);
        column_release(&scaled);
    }
}

static void outliers_are_the_same_file_for_any_threads(void **state)
{
    struct column c;
    (void)state;
    uniform_column(&c, KITH_F32);
    for (uint64_t o = 0; o < 80; o++) set_row(&c, o * 100, 1e6f + (float)o);
    struct built a = build(&c, plan_of(KITH_IVF_PQ, KITH_L2, 70), 1),
                 b = build(&c, plan_of(KITH_IVF_PQ, KITH_L2, 70), 3);
    assert_int_equal(kt_get_u64(a.bytes + 88), 80);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.bytes, b.bytes, a.size);
    built_release(&a);
    built_release(&b);
    column_release(&c);
}

/* ---- cancelling, running out of memory is tested where everything is (tests/unit/api) ---- */

static int refuse_at(const kith_progress *progress, void *user)
{
    return strcmp(progress->stage, user) == 0;
}

static void a_build_can_be_cancelled_in_every_stage(void **state)
{
    static const char *const stages[] = { "train", "assign", "encode", "write" };
    struct column c;
    (void)state;
    column_init(&c, random_numbers(4000, 16, KITH_F32, 50, seed), 4000, 16, KITH_F32);
    for (size_t i = 0; i < 4; i++) {
        struct built b;
        char stage[8];
        kith_error error = { 0 };
        struct kt_work work = { .progress = refuse_at, .user = stage };
        snprintf(stage, sizeof stage, "%s", stages[i]);
        assert_int_equal(build_try(&c, plan_of(KITH_IVF_PQ, KITH_L2, 100), &work, &b, &error),
                         KITH_CANCELLED);
        assert_null(b.meta);
    }
    column_release(&c);
}

/* ---- real rows, where the environment names them ---- */

static void *map_npy(const char *set, const char *name, size_t *bytes)
{
    char path[512];
    struct stat stat;
    snprintf(path, sizeof path, "%s/%s/%s.npy", getenv("KITH_DATA"), set, name);
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &stat)) fail_msg("cannot open %s", path);
    uint8_t *map = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    assert_true(map != MAP_FAILED);
    *bytes = (size_t)stat.st_size - 128; /* after the header */
    return map + 128;
}

static void real_rows_are_found(void **state)
{
    static const struct {
        const char *name;
        kith_metric metric;
        kith_element element;
        uint32_t dim, nprobes, candidates;
        double least;
    } sets[] = { { "debian-minilm", KITH_COSINE, KITH_F16, 384, 78, 200, 0.97 },
                 { "debian-minilm", KITH_COSINE, KITH_F16, 384, 20, 200, 0.86 },
                 { "sift-photos-100k", KITH_L2, KITH_U8, 128, 20, 200, 0.94 } };
    (void)state;
    if (!getenv("KITH_DATA")) {
        print_message("skipped: KITH_DATA names no folder of real vectors\n");
        skip();
    }
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        enum { ASKED = 200 };
        struct column c;
        size_t bytes, ignored, row_bytes = sets[i].dim * kt_element_bytes(sets[i].element);
        void *rows = map_npy(sets[i].name, "base", &bytes), *asked = map_npy(sets[i].name, "query", &ignored);
        float *queries = kt_alloc_array((size_t)ASKED * sets[i].dim, sizeof *queries);
        column_init(&c, rows, bytes / row_bytes, sets[i].dim, sets[i].element);
        kt_kernels()->to_float[sets[i].element](asked, (size_t)ASKED * sets[i].dim, queries);
        struct built b = build(&c, plan_of(KITH_IVF_PQ, sets[i].metric, 0), 0);
        struct kt_index_query ask = { .metric = sets[i].metric,
                                      .candidates = sets[i].candidates,
                                      .nprobes = sets[i].nprobes };
        double recall = recall_of(&c, &b, queries, ASKED, ask);
        print_message("%s: recall@10 %.4f at %u lists\n", sets[i].name, recall, sets[i].nprobes);
        if (recall < sets[i].least)
            fail_msg("%s: recall %.4f, wanted %.2f", sets[i].name, recall, sets[i].least);
        built_release(&b);
        kt_free(queries);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_lists_visited_all_are_an_exact_scan),
        cmocka_unit_test(coded_lists_find_nearly_all_candidates),
        cmocka_unit_test(estimates_are_the_distances_where_codes_lose_nothing),
        cmocka_unit_test(as_many_lists_as_asked_for),
        cmocka_unit_test(plans_are_filled_or_refused_in_words),
        cmocka_unit_test(four_bits_take_half_the_bytes_of_eight),
        cmocka_unit_test(visits_as_many_lists_as_asked),
        cmocka_unit_test(a_rows_own_vector_probes_its_list_first),
        cmocka_unit_test(one_seed_is_one_file_for_any_threads),
        cmocka_unit_test(every_row_is_found_in_degenerate_columns),
        cmocka_unit_test(few_rows_many_lists_and_nulls_are_no_failure),
        cmocka_unit_test(rows_that_the_sample_missed_are_found),
        cmocka_unit_test(no_rows_make_an_index_without_lists),
        cmocka_unit_test(duplicates_by_the_thousand_are_all_kept),
        cmocka_unit_test(zero_vectors_do_not_crowd_out_candidates_under_cosine),
        cmocka_unit_test(outliers_are_found_and_hide_no_other_row),
        cmocka_unit_test(outliers_are_seen_from_the_mean),
        cmocka_unit_test(rows_are_found_where_all_are_huge),
        cmocka_unit_test(rows_beyond_float_never_vanish),
        cmocka_unit_test(any_length_has_a_direction_under_cosine),
        cmocka_unit_test(outliers_are_the_same_file_for_any_threads),
        cmocka_unit_test(a_build_can_be_cancelled_in_every_stage),
        cmocka_unit_test(real_rows_are_found),
    };
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
