/* Searching among some rows: whatever lists hold them, as many are found as there are, and no other. */
#include "index_fixture.h"

enum { ROWS = 6000, DIM = 24, K = 10, QUERIES = 30 };

/* One row in `of`, or with `near` those whose first number is small: all in some lists. */
static struct kt_selection choose(const struct column *c, uint64_t of, bool near)
{
    struct kt_selection s = { kt_alloc_zero(c->rows / 64 + 1, sizeof(uint64_t)), c->rows, 0 };
    struct kt_random random = { seed };
    float *values = kt_alloc_array(c->vectors.dim, sizeof *values);
    assert_non_null(s.words);
    assert_non_null(values);
    for (uint64_t row = 0; row < c->rows; row++) {
        if (near) column_floats(c, row, values);
        bool chosen = near ? values[0] < -1.3f : kt_random_below(&random, of) == 0;
        const uint64_t one = 1;
        if (chosen) kt_selection_put(&s, row, &one, 1);
    }
    kt_free(values);
    return s;
}

/* The nearest of the chosen rows, by reading each. */
static size_t chosen_hits(const struct column *c, kith_metric metric, const float *query,
                          const struct kt_selection *among, struct kt_hit *hits)
{
    struct kt_hit *all = kt_alloc_array(c->rows, sizeof *all);
    assert_non_null(all);
    size_t count = exact_hits(c, metric, query, c->rows, all), kept = 0;
    for (size_t i = 0; i < count && kept < K; i++)
        if (kt_selected(among, all[i].row)) hits[kept++] = all[i];
    kt_free(all);
    return kept;
}

/* Recall over some queries; every answer is of chosen rows only and as long as it can be. */
static double recall_among(const struct column *c, const struct built *b, const struct kt_selection *among,
                           uint32_t nprobes)
{
    size_t found = 0, wanted = 0;
    struct kt_index_matches matches;
    assert_int_equal(b->ops->count(b->index, among, &matches, NULL), KITH_OK);
    assert_true(matches.rows <= among->count);
    for (uint64_t q = 0; q < QUERIES; q++) {
        struct kt_arena scratch = { 0 };
        struct kt_scan_query scan;
        struct kt_hit truth[K], hits[K];
        float query[DIM];
        column_floats(c, q * 131 % c->rows, query);
        assert_int_equal(kt_scan_prepare(&c->vectors, b->plan.metric, query, KITH_F32, &scratch, &scan, NULL),
                         KITH_OK);
        scan.among = among;
        struct kt_index_query ask = {
            .vector = query, .exact = &scan, .k = K, .matches = &matches, .nprobes = nprobes
        };
        size_t there = chosen_hits(c, b->plan.metric, query, among, truth);
        size_t count = index_hits(c, b, ask, hits, NULL);
        assert_int_equal(count, there);
        for (size_t i = 0; i < count; i++) {
            assert_true(kt_selected(among, hits[i].row));
            found += hits[i].distance <= truth[there - 1].distance;
        }
        wanted += there;
        check_distances(c, b, query, hits, count);
        kt_arena_release(&scratch);
    }
    kt_free(matches.lists);
    return wanted ? (double)found / (double)wanted : 1;
}

static void all_lists_give_the_nearest_of_the_chosen_rows(void **state)
{
    (void)state;
    for (int metric = KITH_L2; metric <= KITH_DOT; metric++) {
        struct column c;
        column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 12), ROWS, DIM, KITH_F32);
        column_cut(&c, 9);
        for (size_t t = 0; t < TYPES; t++) {
            struct built b = build(&c, plan_of(types[t], (kith_metric)metric, 40), 0);
            for (uint64_t of = 2; of <= 2000; of *= 10) {
                struct kt_selection among = choose(&c, of, false);
                double recall = recall_among(&c, &b, &among, 40);
                if (recall < (types[t] == KITH_IVF_PQ ? 0.9 : 0.99))
                    fail_msg("type %d, one in %d: %g", (int)types[t], (int)of, recall);
                kt_free(among.words);
            }
            built_release(&b);
        }
        column_release(&c);
    }
}

static void the_stop_learned_without_a_filter_holds_with_one(void **state)
{
    struct column c;
    (void)state;
    column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 12), ROWS, DIM, KITH_F32);
    struct built b = build(&c, plan_of(KITH_IVF_RQ, KITH_L2, 60), 0);
    for (uint64_t of = 2; of <= 2000; of *= 10) {
        struct kt_selection among = choose(&c, of, false);
        double recall = recall_among(&c, &b, &among, 0);
        if (recall < 0.93) fail_msg("one in %d: %g", (int)of, recall);
        kt_free(among.words);
    }
    struct kt_selection far = choose(&c, 0, true);
    double recall = recall_among(&c, &b, &far, 0);
    if (recall < 0.93) fail_msg("%d rows of one corner: %g", (int)far.count, recall);
    kt_free(far.words);
    built_release(&b);
    column_release(&c);
}

static void nothing_chosen_is_nothing_found(void **state)
{
    struct column c;
    (void)state;
    column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 12), ROWS, DIM, KITH_F32);
    struct kt_selection none = { kt_alloc_zero(ROWS / 64 + 1, sizeof(uint64_t)), ROWS, 0 };
    struct kt_selection few = { none.words, 100, 0 }; /* rows beyond its end are not chosen either */
    for (size_t t = 0; t < TYPES; t++) {
        struct built b = build(&c, plan_of(types[t], KITH_L2, 20), 0);
        assert_true(recall_among(&c, &b, &none, 0) == 1);
        assert_true(recall_among(&c, &b, &few, 0) == 1);
        built_release(&b);
    }
    kt_free(none.words);
    column_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_lists_give_the_nearest_of_the_chosen_rows),
        cmocka_unit_test(the_stop_learned_without_a_filter_holds_with_one),
        cmocka_unit_test(nothing_chosen_is_nothing_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
