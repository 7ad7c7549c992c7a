/* IVF indexes: all lists visited give the exact answer, few give nearly all of it, plans are filled or
 * refused in words, and a search visits and reads what it was asked to. (Any data: test_ivf_data.c; what
 * calibrating promises: test_ivf_calibrate.c.) */
#include "index_fixture.h"
#include "real_rows.h"

#include <math.h>

#include "quant/quant.h"

/* ---- exactness ---- */

/* Every third query is a row of the column, the others lie between two rows. */
static void query_near(const struct column *c, uint64_t number, kith_metric metric, float *out)
{
    float other[1000];
    column_floats(c, number * 7 % c->rows, out);
    if (number % 3 == 0 || metric == KITH_HAMMING) return;
    column_floats(c, (number * 13 + 1) % c->rows, other);
    for (uint32_t d = 0; d < c->vectors.dim; d++) out[d] = 0.8f * out[d] + 0.2f * other[d];
}

static void check_all_lists(const struct column *c, kith_index_type type, kith_metric metric)
{
    enum { ASKED = 15, K = 10, LISTS = 10 };
    struct built b = build(c, plan_of(type, metric, LISTS), 0);
    uint32_t found = 0, dim = c->vectors.dim;
    float query[1000];
    struct kt_hit truth[K], hits[K];
    for (uint64_t q = 0; q < ASKED; q++) {
        struct kt_index_query ask = { .vector = query, .k = K, .nprobes = LISTS };
        struct kt_index_stats stats = { 0 };
        query_near(c, q, metric, query);
        assert_int_equal(exact_hits(c, metric, query, K, truth), K);
        assert_int_equal(index_hits(c, &b, ask, hits, &stats), K);
        check_distances(c, &b, query, hits, K);
        assert_int_equal(stats.lists + stats.skipped, meta_number(&b, "partitions"));
        assert_true(stats.codes + stats.rows >= (uint64_t)meta_number(&b, "rows") && stats.bytes > 0);
        for (int i = 0; i < K; i++) found += hits[i].distance <= truth[K - 1].distance;
        for (int i = 0; type == KITH_IVF_FLAT && i < K; i++) assert_int_equal(hits[i].row, truth[i].row);
    }
    if (found < 0.99 * K * ASKED)
        fail_msg("type %d, metric %d, element %d, dim %u: %u of %d", type, metric, c->vectors.element, dim,
                 found, K * ASKED);
    built_release(&b);
}

static void all_lists_give_the_exact_answer(void **state)
{
    static const uint32_t dims[] = { 1, 2, 3, 31, 33, 64, 1000 };
    (void)state;
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        for (int element = KITH_F32; element <= KITH_U8; element++) {
            struct column c;
            uint64_t rows = dims[i] == 1000 ? 150 : 600;
            column_init(&c, random_numbers(rows, dims[i], (kith_element)element, 40), rows, dims[i],
                        (kith_element)element);
            column_cut(&c, 7);
            for (int metric = KITH_L2; metric <= KITH_HAMMING; metric++)
                for (size_t t = 0; t < TYPES; t++)
                    if (fits(types[t], (kith_metric)metric, (kith_element)element))
                        check_all_lists(&c, types[t], (kith_metric)metric);
            column_release(&c);
        }
    }
}

static void a_wanted_range_is_kept(void **state)
{
    enum { ROWS = 3000, DIM = 24, K = 50 };
    struct column c;
    float query[DIM];
    struct kt_hit truth[K], hits[K];
    (void)state;
    column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 30), ROWS, DIM, KITH_F32);
    column_floats(&c, 5, query);
    for (size_t t = 0; t < TYPES; t++) {
        struct built b = build(&c, plan_of(types[t], KITH_L2, 20), 0);
        struct kt_arena scratch = { 0 };
        struct kt_scan_query scan;
        struct kt_index_query ask = { .vector = query, .exact = &scan, .k = K, .nprobes = 20 };
        exact_hits(&c, KITH_L2, query, K, truth);
        assert_int_equal(kt_scan_prepare(&c.vectors, KITH_L2, query, KITH_F32, &scratch, &scan, NULL),
                         KITH_OK);
        for (int below = 0; below < K; below += 7) { /* the bound itself is not within */
            scan.upper = truth[below].distance;
            assert_int_equal(index_hits(&c, &b, ask, hits, NULL), below);
            for (int i = 0; i < below; i++) assert_int_equal(hits[i].row, truth[i].row);
        }
        kt_arena_release(&scratch);
        built_release(&b);
    }
    column_release(&c);
}

static void another_metric_than_the_index_has_is_refused(void **state)
{
    struct column c;
    struct kt_arena scratch = { 0 };
    struct kt_scan_query scan;
    struct kt_hit hit;
    struct kt_top top = { &hit, 0, 1 };
    kith_error error = { 0 };
    (void)state;
    column_init(&c, random_numbers(300, 8, KITH_F32, 30), 300, 8, KITH_F32);
    struct built b = build(&c, plan_of(KITH_INDEX_DEFAULT, KITH_COSINE, 2), 0);
    struct kt_index_query ask = { .vector = (const float *)(const void *)c.data, .exact = &scan, .k = 1 };
    assert_int_equal(kt_scan_prepare(&c.vectors, KITH_L2, ask.vector, KITH_F32, &scratch, &scan, NULL),
                     KITH_OK);
    assert_int_equal(index_try(&c, &b, ask, &top, NULL, &error), KITH_INVALID);
    assert_non_null(strstr(error.message, "another metric"));
    kt_arena_release(&scratch);
    built_release(&b);
    column_release(&c);
}

/* ---- codes ---- */

static void a_quarter_of_the_lists_gives_nearly_all_neighbours(void **state)
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
        float *queries = column_and_queries(&c, ROWS, ASKED, DIM, cases[i].element, 200);
        struct truth truth = truth_of(&c, cases[i].metric, queries, ASKED, 10);
        for (size_t t = 0; t < TYPES; t++) {
            struct built b = build(&c, plan_of(types[t], cases[i].metric, 64), 0);
            struct kt_index_stats stats = { 0 };
            double recall =
                recall_of(&c, &b, &truth, (struct kt_index_query){ .k = 10, .nprobes = 16 }, &stats);
            if (recall < cases[i].least) fail_msg("case %zu, type %d: recall %.3f", i, types[t], recall);
            assert_int_equal(stats.lists, ASKED * 16);
            assert_true(stats.rows < ASKED * ROWS / 10); /* bounds keep most stored rows from being read */
            built_release(&b);
        }
        truth_release(&truth);
        column_release(&c);
        kt_free(queries);
    }
}

/* Sixteen different rows, many times each, so that codes lose nothing: then the rows that estimates say are
 * the nearest, and no others are read, are the nearest. */
static void estimates_alone_give_the_answer_where_codes_lose_nothing(void **state)
{
    static const kith_metric metrics[] = { KITH_L2, KITH_COSINE, KITH_DOT };
    (void)state;
    for (size_t m = 0; m < 3 * TYPES; m++) {
        enum { ROWS = 640, DIM = 64, LISTS = 4 };
        struct column c;
        float query[DIM];
        struct kt_hit hits[ROWS], exact[ROWS];
        column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 16), ROWS, DIM, KITH_F32);
        float *values = (float *)(void *)c.data;
        for (uint64_t r = 16; r < ROWS; r++)
            memcpy(values + r * DIM, values + r % 16 * DIM, DIM * sizeof *values);
        for (uint64_t i = 0; i < ROWS * DIM; i++) values[i] += 0.5f; /* the mean is not the origin */
        struct kt_index_plan plan = plan_of(types[m % TYPES], metrics[m / TYPES], LISTS);
        if (plan.type == KITH_IVF_RQ) plan.num_bits = KT_RABITQ_BITS;
        struct built b = build(&c, plan, 0);
        for (uint64_t q = 0; q < 5; q++) {
            column_floats(&c, q, query);
            for (int d = 0; d < DIM; d++) query[d] *= d % 3 ? 1.0f : 0.5f;
            assert_int_equal(exact_hits(&c, plan.metric, query, ROWS, exact), ROWS);
            bool signs =
                plan.type == KITH_IVF_RQ || plan.type == KITH_IVF_SQ; /* whose query is rounded to 6 bits */
            float slack = (signs ? 0.15f : 0.02f) * (exact[ROWS - 1].distance - exact[0].distance);
            for (uint32_t k = 40; k < ROWS; k += 80) {
                struct kt_index_query ask = { .vector = query, .k = k, .nprobes = LISTS, .refine_factor = 1 };
                struct kt_index_stats stats = { 0 };
                assert_int_equal(index_hits(&c, &b, ask, hits, &stats), k);
                for (uint32_t i = 0; i < k; i++)
                    if (hits[i].distance > exact[i].distance + slack)
                        fail_msg("type %d, metric %d: %u-th of %u at %g, not %g", plan.type, plan.metric, i,
                                 k, (double)hits[i].distance, (double)exact[i].distance);
            }
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
    column_init(&c, random_numbers(10000, 16, KITH_F32, 10000), 10000, 16, KITH_F32);
    for (size_t t = 0; t < TYPES; t++) {
        static const int bits[TYPES] = { 4, 8, 8, 0 };
        struct built b = build(&c, plan_of(types[t], KITH_L2, 256), 0);
        assert_int_equal(meta_number(&b, "partitions"), 256);
        assert_int_equal(meta_number(&b, "rows"), 10000);
        assert_int_equal(meta_number(&b, "bits"), bits[t]);
        assert_int_equal(meta_number(&b, "sub_vectors"), types[t] == KITH_IVF_PQ ? 2 : 0);
        built_release(&b);
    }
    column_release(&c);
}

static void refused(struct kt_index_plan plan, uint32_t dim, kith_element element, const char *why)
{
    kith_error error = { 0 };
    assert_int_equal(kt_index_ops(plan.type)->plan(&plan, dim, element, 1000, &error), KITH_INVALID);
    if (!strstr(error.message, why)) fail_msg("\"%s\" says nothing of \"%s\"", error.message, why);
}

static struct kt_index_plan filled(struct kt_index_plan plan, uint32_t dim, kith_element element)
{
    kith_error error = { 0 };
    if (kt_index_ops(plan.type)->plan(&plan, dim, element, 1000000, &error)) fail_msg("%s", error.message);
    return plan;
}

static void plans_are_filled_or_refused_in_words(void **state)
{
    (void)state;
    assert_int_equal(kt_index_ops(KITH_INDEX_DEFAULT)->type, KITH_IVF_RQ);
    assert_null(kt_index_ops(KITH_BTREE));
    for (size_t t = 0; t < TYPES; t++) {
        struct kt_index_plan plan = filled((struct kt_index_plan){ .type = types[t] }, 48, KITH_F32);
        assert_int_equal(kt_index_ops(types[t])->type, types[t]);
        assert_int_equal(plan.type, types[t]);
        assert_int_equal(plan.metric, KITH_L2);
        assert_int_equal(plan.num_partitions, 1000000 / 128);
        refused((struct kt_index_plan){ .type = types[t], .metric = KITH_HAMMING }, 48, KITH_F32, "uint8");
        refused((struct kt_index_plan){ .type = types[t], .num_partitions = 2000000 }, 48, KITH_F32,
                "1048576");
    }
    static const uint32_t chosen[][2] = { { 768, 96 }, { 384, 48 }, { 50, 10 }, { 100, 25 },
                                          { 31, 4 },   { 3, 1 },    { 1, 1 } };
    for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++) {
        struct kt_index_plan plan =
            filled((struct kt_index_plan){ .type = KITH_IVF_PQ }, chosen[i][0], KITH_F32);
        assert_int_equal(plan.num_sub_vectors, chosen[i][1]);
        assert_int_equal(plan.num_bits, 8);
    }
    refused((struct kt_index_plan){ .type = KITH_IVF_PQ, .num_sub_vectors = 7 }, 48, KITH_F32,
            "is 7, which does not divide the dimension 48; 6 and 8 do");
    refused((struct kt_index_plan){ .type = KITH_IVF_PQ, .num_sub_vectors = 96 }, 48, KITH_F32, "96");
    refused((struct kt_index_plan){ .type = KITH_IVF_PQ, .num_bits = 5 }, 48, KITH_F32, "4 or 8");
    refused((struct kt_index_plan){ .type = KITH_IVF_PQ, .metric = KITH_HAMMING }, 48, KITH_U8, "IVF_FLAT");

    for (uint32_t bits = 1; bits <= KT_RABITQ_BITS; bits++)
        assert_int_equal(filled((struct kt_index_plan){ .num_bits = bits }, 48, KITH_F32).num_bits, bits);
    assert_int_equal(filled((struct kt_index_plan){ 0 }, 48, KITH_F32).num_bits, 4);
    refused((struct kt_index_plan){ .num_bits = 10 }, 48, KITH_F32, "1 to 9");
    refused((struct kt_index_plan){ .num_sub_vectors = 4 }, 48, KITH_F32, "IVF_PQ");
    assert_int_equal(filled((struct kt_index_plan){ .type = KITH_IVF_SQ }, 48, KITH_F32).num_bits, 8);
    refused((struct kt_index_plan){ .type = KITH_IVF_SQ, .num_bits = 4 }, 48, KITH_F32, "IVF_RQ");

    for (size_t t = 0; t < TYPES; t++) { /* bits are compared as they are, in lists of rows */
        if (types[t] == KITH_IVF_PQ) continue;
        struct kt_index_plan hamming = { .type = types[t], .metric = KITH_HAMMING };
        assert_int_equal(filled(hamming, 48, KITH_U8).type, KITH_IVF_FLAT);
    }
}

static void four_bits_take_half_the_bytes_of_eight(void **state)
{
    struct column c;
    (void)state;
    column_init(&c, random_numbers(6000, 64, KITH_F32, 100), 6000, 64, KITH_F32);
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

/* Beside the signs: an eighth of a byte for each number and bit, and three factors a row. */
static void every_bit_of_rq_takes_an_eighth_of_a_byte(void **state)
{
    enum { ROWS = 3000, DIM = 70, WIDE = 128 };
    struct column c;
    size_t sizes[KT_RABITQ_BITS + 1];
    (void)state;
    column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 100), ROWS, DIM, KITH_F32);
    for (uint32_t bits = 1; bits <= KT_RABITQ_BITS; bits++) {
        struct kt_index_plan plan = plan_of(KITH_IVF_RQ, KITH_L2, 8);
        plan.num_bits = bits;
        struct built b = build(&c, plan, 0);
        sizes[bits] = b.size;
        size_t extra = ROWS * ((bits - 1) * (WIDE / 8) + (bits > 1 ? 6 : 0));
        assert_in_range(sizes[bits] - sizes[1], extra, extra + 8 * 63);
        assert_int_equal(meta_number(&b, "bits"), bits);
        built_release(&b);
    }
    column_release(&c);
}

static void visits_as_many_lists_as_asked(void **state)
{
    enum { LISTS = 50, ROWS = 3000 };
    struct column c;
    float query[8] = { 0 };
    struct kt_hit hits[ROWS];
    (void)state;
    column_init(&c, random_numbers(ROWS, 8, KITH_F32, 500), ROWS, 8, KITH_F32);
    static const struct {
        uint32_t k, nprobes, least, most, lists_least, lists_most;
    } cases[] = {
        { 10, 1, 0, 0, 1, 1 },
        { 10, LISTS, 0, 0, LISTS, LISTS },
        { 10, 1000, 0, 0, LISTS, LISTS },
        { 10, 0, 0, 0, 1, LISTS },
        { 10, 0, 0, 4, 1, 4 },
        { 1, 0, 3, 7, 3, 7 },
        { 10, 0, LISTS, 0, LISTS, LISTS },
        { 10, 0, 20, 20, 20, 20 },
        /* until there are k rows, unless there is a maximum */
        { ROWS, 2, 0, 0, LISTS, LISTS },
        { ROWS, 0, 5, 0, LISTS, LISTS },
        { ROWS, 0, 0, 0, LISTS, LISTS },
        { ROWS, 0, 3, 7, 7, 7 },
        { ROWS, 2, 0, 3, 3, 3 },
    };
    for (size_t t = 0; t < TYPES; t++) {
        struct built b = build(&c, plan_of(types[t], KITH_L2, LISTS), 0);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            struct kt_index_stats stats = { 0 };
            struct kt_index_query ask = { .vector = query,
                                          .k = cases[i].k,
                                          .nprobes = cases[i].nprobes,
                                          .minimum_nprobes = cases[i].least,
                                          .maximum_nprobes = cases[i].most };
            size_t found = index_hits(&c, &b, ask, hits, &stats);
            if (stats.lists < cases[i].lists_least || stats.lists > cases[i].lists_most)
                fail_msg("type %d, case %zu: %llu lists", types[t], i, (unsigned long long)stats.lists);
            assert_int_equal(found, kt_min_u64(stats.codes, ask.k));
            if (stats.lists == LISTS) assert_int_equal(stats.codes, ROWS);
            assert_true(stats.expected == 0.0f); /* nothing was calibrated */
        }
        built_release(&b);
    }
    column_release(&c);
}

static void a_refine_factor_says_how_many_rows_are_read(void **state)
{
    enum { ROWS = 6000, DIM = 32, LISTS = 30, ASKED = 30 };
    struct column c;
    float *queries = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, 300);
    struct truth truth = truth_of(&c, KITH_L2, queries, ASKED, 10);
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct built b = build(&c, plan_of(types[t], KITH_L2, LISTS), 0);
        double before = 0;
        for (uint32_t factor = 1; factor <= 16; factor *= 4) {
            struct kt_index_stats stats = { 0 };
            struct kt_index_query ask = { .k = 10, .nprobes = LISTS, .refine_factor = factor };
            double recall = recall_of(&c, &b, &truth, ask, &stats);
            assert_in_range(stats.rows, ASKED * 10 * factor, ASKED * 10 * factor + ASKED);
            if (recall < before)
                fail_msg("type %d, factor %u: recall %.3f, before %.3f", types[t], factor, recall, before);
            before = recall;
        }
        if (before < 0.99) fail_msg("type %d: recall %.3f of 160 rows", types[t], before);
        built_release(&b);
    }
    truth_release(&truth);
    column_release(&c);
    kt_free(queries);
}

static void a_rows_own_vector_probes_its_list_first(void **state)
{
    struct column c;
    float query[24];
    struct kt_hit hit;
    (void)state;
    column_init(&c, random_numbers(20000, 24, KITH_F32, 3000), 20000, 24, KITH_F32);
    for (int metric = KITH_L2; metric <= KITH_COSINE; metric++) {
        struct built b = build(&c, plan_of(KITH_IVF_RQ, (kith_metric)metric, 1500),
                               0); /* enough for a coarse step of two levels */
        uint32_t there = 0;
        for (uint64_t i = 0; i < 20000; i += 40) {
            column_floats(&c, i, query);
            struct kt_index_query ask = { .vector = query, .k = 1, .nprobes = 1 };
            there += index_hits(&c, &b, ask, &hit, NULL) == 1 && hit.row == i;
        }
        if (there < 500) fail_msg("%u of 500 rows found by their own vector in the first list", there);
        built_release(&b);
    }
    column_release(&c);
}

/* ---- cancelling, running out of memory is tested where everything is (tests/unit/api) ---- */

static int refuse_at(const kith_progress *progress, void *user)
{
    return strcmp(progress->stage, user) == 0;
}

static void a_build_can_be_cancelled_in_every_stage(void **state)
{
    static const char *const stages[] = { "train", "assign", "encode" };
    struct column c;
    (void)state;
    column_init(&c, random_numbers(4000, 16, KITH_F32, 50), 4000, 16, KITH_F32);
    for (size_t i = 0; i < 3 * TYPES; i++) {
        struct built b;
        char stage[8];
        kith_error error = { 0 };
        struct kt_work work = { .progress = refuse_at, .user = stage };
        snprintf(stage, sizeof stage, "%s", stages[i % 3]);
        assert_int_equal(build_try(&c, plan_of(types[i / 3], KITH_L2, 100), &work, &b, &error),
                         KITH_CANCELLED);
        assert_null(b.meta);
    }
    column_release(&c);
}

/* ---- real rows, where the environment names them ---- */

static void real_rows_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < REAL_SETS; i++) {
        enum { ASKED = 300 };
        const struct real_set *set = &real_sets[i];
        struct column c;
        if (!real_set_is_there(set)) continue;
        float *queries = real_column(set, &c, ASKED);
        struct truth truth = truth_of(&c, set->metric, queries, ASKED, 10);
        struct built b = build(&c, plan_of(KITH_INDEX_DEFAULT, set->metric, 0), 0);
        json_t *calibration = calibrate(&c, &b, NULL, 0, 0);
        reopen(&b, calibration);
        for (double wanted = 0.9; wanted < 1; wanted += 0.045) {
            struct kt_index_stats stats = { 0 };
            struct kt_index_query ask = { .k = 10, .recall = (float)wanted };
            double recall = recall_of(&c, &b, &truth, ask, &stats);
            print_message("%s: recall@10 %.4f, wanted %.2f, by %.1f lists and %.1f rows\n", set->name, recall,
                          wanted, (double)stats.lists / ASKED, (double)stats.rows / ASKED);
            if (recall < wanted - 0.05) fail_msg("%s: recall %.4f, wanted %.2f", set->name, recall, wanted);
        }
        json_decref(calibration);
        built_release(&b);
        truth_release(&truth);
        column_release(&c);
        kt_free(queries);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_lists_give_the_exact_answer),
        cmocka_unit_test(a_wanted_range_is_kept),
        cmocka_unit_test(another_metric_than_the_index_has_is_refused),
        cmocka_unit_test(a_quarter_of_the_lists_gives_nearly_all_neighbours),
        cmocka_unit_test(estimates_alone_give_the_answer_where_codes_lose_nothing),
        cmocka_unit_test(as_many_lists_as_asked_for),
        cmocka_unit_test(plans_are_filled_or_refused_in_words),
        cmocka_unit_test(four_bits_take_half_the_bytes_of_eight),
        cmocka_unit_test(every_bit_of_rq_takes_an_eighth_of_a_byte),
        cmocka_unit_test(visits_as_many_lists_as_asked),
        cmocka_unit_test(a_refine_factor_says_how_many_rows_are_read),
        cmocka_unit_test(a_rows_own_vector_probes_its_list_first),
        cmocka_unit_test(a_build_can_be_cancelled_in_every_stage),
        cmocka_unit_test(real_rows_are_found),
    };
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
