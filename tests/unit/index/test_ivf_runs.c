/* An index that follows its table: rows that came later, in runs beside the base, are found as the base's
 * are, by any type and metric; each by its own vector, in the first list; whatever is not wanted any more is
 * not.
 */
#include "real_rows.h"
#include "runs_fixture.h"

#include <math.h>

/* ---- each row is there ---- */

static void every_row_is_found_by_its_own_vector(void **state)
{
    enum { ROWS = 6000, FIRST = 4000 };
    static const struct {
        uint32_t dim, lists;
        kith_element element;
    } cases[] = { { 24, 300, KITH_F32 }, { 70, 20, KITH_F16 }, { 3, 40, KITH_U8 }, { 33, 7, KITH_F64 } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct column c;
        column_init(&c, random_numbers(ROWS, cases[i].dim, cases[i].element, 500), ROWS, cases[i].dim,
                    cases[i].element);
        for (int metric = KITH_L2; metric <= KITH_HAMMING; metric++) {
            for (size_t t = 0; t < TYPES; t++) {
                if (!fits(types[t], (kith_metric)metric, cases[i].element)) continue;
                struct built b =
                    build_first(&c, plan_of(types[t], (kith_metric)metric, cases[i].lists), FIRST);
                assert_int_equal(extend_in_parts(&c, &b, FIRST), ROWS - FIRST);
                check_complete(&c, &b, NULL);
                if (metric != KITH_DOT) check_own_vectors(&c, &b, 7);
                built_release(&b);
            }
        }
        column_release(&c);
    }
}

static void nulls_and_ids_that_are_missing_are_no_rows(void **state)
{
    enum { ROWS = 3000, FIRST = 1000, DIM = 20 };
    struct column c;
    (void)state;
    column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 60), ROWS, DIM, KITH_F32);
    column_cut(&c, 7); /* ids 1000 .. 1999, 2007 .. 3006 and from 500000 on, every seventh null */
    for (size_t t = 0; t < TYPES; t++) {
        struct column first = c;
        struct kt_hit hits[ROWS];
        float query[DIM];
        first.vectors.run_count = 1;
        struct built b = build(&first, plan_of(types[t], KITH_COSINE, 30), 0);
        const struct kt_rows rows[] = { { 0, 900 }, { 1900, 2107 }, { 2107, 3000 }, { 3006, 500100 } };
        struct kt_work work = { .threads = 1 };
        struct kt_sink *sink = NULL;
        json_t *meta = NULL;
        assert_int_equal(kt_sink_memory(&b.runs[0], &sink, NULL), KITH_OK);
        assert_int_equal(b.ops->extend(b.index, &c.vectors, rows + 1, 3, &work, sink, &meta, NULL), KITH_OK);
        assert_int_equal(kt_sink_finish(sink, NULL, NULL), KITH_OK);
        b.run_count = 1;
        reopen(&b, NULL);
        uint32_t expected[2] = { 0 },
                 seen[2] = { 0 }; /* in the base and in the run, which doubles 100 rows */
        for (uint64_t at = 0; at < ROWS; at++) {
            bool there = at % 7 != 0;
            expected[0] += there && at < 1000;
            expected[1] += there && ((at >= 900 && at < 1993) || at == 1999 || (at >= 2000 && at < 2100));
        }
        assert_int_equal(json_integer_value(json_object_get(meta, "rows")), expected[1]);
        column_floats(&c, 5, query);
        struct kt_index_query ask = { .vector = query, .k = ROWS, .nprobes = 30 };
        size_t found = index_hits(&c, &b, ask, hits, NULL);
        assert_int_equal(found, expected[0] + expected[1]);
        for (size_t i = 0; i < found; i++) seen[hits[i].row >= 2000]++;
        assert_true(seen[1] > 900);
        json_decref(meta);
        built_release(&b);
    }
    column_release(&c);
}

static void a_run_is_the_same_file_for_any_threads(void **state)
{
    enum { ROWS = 5000, FIRST = 3000, DIM = 40 };
    struct column c;
    (void)state;
    column_init(&c, random_numbers(ROWS, DIM, KITH_F16, 300), ROWS, DIM, KITH_F16);
    for (size_t t = 0; t < TYPES; t++) {
        struct built b = build_first(&c, plan_of(types[t], KITH_DOT, 100), FIRST);
        for (uint32_t threads = 1; threads <= 4; threads += 3) {
            struct kt_work work = { .threads = threads };
            json_t *meta = NULL;
            assert_int_equal(extend_try(&c, &b, (struct kt_rows){ FIRST, ROWS }, &work, &meta, NULL),
                             KITH_OK);
            json_decref(meta);
        }
        assert_int_equal(b.runs[0].size, b.runs[1].size);
        assert_memory_equal(b.runs[0].data, b.runs[1].data, b.runs[0].size);
        built_release(&b);
    }
    column_release(&c);
}

/* A row a list is the least that there is: no block of 32 is made of it. */
static void few_rows_make_a_small_run(void **state)
{
    enum { ROWS = 21000, FIRST = 20000, DIM = 128, LISTS = 1000 };
    struct column c;
    (void)state;
    column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 3000), ROWS, DIM, KITH_F32);
    for (size_t t = 0; t < TYPES; t++) {
        struct built b = build_first(&c, plan_of(types[t], KITH_L2, LISTS), FIRST);
        size_t bits = types[t] == KITH_IVF_RQ   ? 4
                      : types[t] == KITH_IVF_SQ ? 8
                      : types[t] == KITH_IVF_PQ ? 1
                                                : 32;
        extend(&c, &b, FIRST, ROWS);
        size_t row = bits * DIM / 8 + 16, most = (ROWS - FIRST) * (row + 8 + 16) + HEADER_BYTES + 64;
        if (b.runs[0].size > most) fail_msg("type %d: %zu bytes", types[t], b.runs[0].size);
        built_release(&b);
    }
    column_release(&c);
}

/* ---- as good as an index over all of them ---- */

static void many_runs_answer_as_one_index_would(void **state)
{
    enum { ROWS = 8000, FIRST = 4000, ASKED = 60, DIM = 48, RUNS = 16 };
    (void)state;
    for (int metric = KITH_L2; metric <= KITH_DOT; metric++) {
        struct column c;
        float *queries = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, 200);
        struct truth truth = truth_of(&c, (kith_metric)metric, queries, ASKED, 10);
        for (size_t t = 0; t < TYPES; t++) {
            struct built whole = build(&c, plan_of(types[t], (kith_metric)metric, 64), 0);
            struct built b = build_first(&c, plan_of(types[t], (kith_metric)metric, 64), FIRST);
            for (uint64_t i = 0, each = (ROWS - FIRST) / RUNS; i < RUNS; i++)
                assert_int_equal(extend(&c, &b, FIRST + i * each, FIRST + (i + 1) * each), each);
            struct kt_index_stats stats[2] = { { 0 } };
            struct kt_index_query ask = { .k = 10, .nprobes = 16 };
            double one = recall_of(&c, &whole, &truth, ask, &stats[0]),
                   many = recall_of(&c, &b, &truth, ask, &stats[1]);
            if (many < one - 0.03)
                fail_msg("type %d, metric %d: recall %.3f, of one index %.3f", types[t], metric, many, one);
            assert_int_equal(stats[1].lists, stats[0].lists);
            struct kt_index_shape shape;
            b.ops->shape(b.index, &shape);
            stats[1].rows -= ASKED * shape.outliers;
            if (stats[1].rows > stats[0].rows * 3 / 2) /* as few stored rows are read */
                fail_msg("type %d, metric %d: %llu rows, of one index %llu", types[t], metric,
                         (unsigned long long)stats[1].rows, (unsigned long long)stats[0].rows);
            ask.nprobes = 64;
            double all = recall_of(&c, &b, &truth, ask, NULL);
            if (all < 0.99) fail_msg("type %d, metric %d: recall %.3f in all lists", types[t], metric, all);
            built_release(&whole);
            built_release(&b);
        }
        truth_release(&truth);
        column_release(&c);
        kt_free(queries);
    }
}

static void real_rows_of_runs_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < REAL_SETS; i++) {
        enum { ASKED = 200 };
        const struct real_set *set = &real_sets[i];
        struct column c;
        if (!real_set_is_there(set) || (IS_SANITIZED && i)) continue; /* the first is small */
        float *queries = real_column(set, &c, ASKED);
        bool large = c.rows > 20000;
        size_t tried = large ? 1 : TYPES;
        uint64_t first = c.rows * 3 / 5;
        struct truth truth = truth_of(&c, set->metric, queries, ASKED, 10);
        for (size_t t = 0; t < tried; t++) {
            struct built b = build_first(&c, plan_of(types[t], set->metric, 0), first);
            for (uint64_t at = first, end; at < c.rows; at = end) {
                end = kt_min_u64(c.rows, at + c.rows / 10);
                extend(&c, &b, at, end);
            }
            if (set->metric != KITH_DOT) check_own_vectors(&c, &b, 37);
            json_t *calibration = types[t] == KITH_IVF_PQ ? NULL : calibrate(&c, &b, NULL, 0, 0);
            reopen(&b, calibration);
            struct kt_index_stats stats = { 0 };
            struct kt_index_query ask = { .k = 10, .recall = 0.95f };
            if (!calibration) ask.nprobes = b.plan.num_partitions / 2;
            double recall = recall_of(&c, &b, &truth, ask, &stats);
            print_message("%s, type %d: recall@10 %.4f by %.1f lists and %.1f rows\n", set->name, types[t],
                          recall, (double)stats.lists / ASKED, (double)stats.rows / ASKED);
            if (recall < 0.9) fail_msg("recall %.4f", recall);
            json_decref(calibration);
            built_release(&b);
        }
        truth_release(&truth);
        column_release(&c);
        kt_free(queries);
    }
}

/* ---- rows that the tree was not made for ---- */

static void rows_longer_than_any_before_are_found(void **state)
{
    enum { ROWS = 3000, FIRST = 2000, DIM = 32, ASKED = 50 };
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct column c;
        float *queries = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, 60);
        float *values = (float *)(void *)c.data;
        for (uint64_t r = FIRST; r < ROWS; r += 50) /* twice and a hundred times as long */
            for (uint64_t d = 0; d < DIM; d++) values[r * DIM + d] *= r % 100 ? 2.5f : 100.0f;
        struct truth truth = truth_of(&c, KITH_DOT, queries, ASKED, 10);
        struct built b = build_first(&c, plan_of(types[t], KITH_DOT, 16), FIRST);
        extend_in_parts(&c, &b, FIRST);
        struct kt_index_shape shape;
        b.ops->shape(b.index, &shape);
        assert_in_range(shape.outliers, 10, 25);
        check_complete(&c, &b, NULL);
        double recall = recall_of(&c, &b, &truth, (struct kt_index_query){ .k = 10, .nprobes = 16 }, NULL);
        if (recall < 0.99) fail_msg("type %d: recall %.3f", types[t], recall);
        truth_release(&truth);
        built_release(&b);
        column_release(&c);
        kt_free(queries);
    }
}

static void rows_far_from_all_others_are_found(void **state)
{
    enum { ROWS = 3000, FIRST = 2000, DIM = 32 };
    static const float values[] = { 1e4f, -1e7f, 1e10f, 1e25f, 3e38f };
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct column c;
        column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 60), ROWS, DIM, KITH_F32);
        for (uint64_t r = FIRST, i = 0; r < ROWS; r += 40, i++)
            for (uint64_t d = 0; d < DIM; d++)
                ((float *)(void *)c.data)[r * DIM + d] = values[i % 5] * (1 - 0.01f * (float)i);
        struct built b = build_first(&c, plan_of(types[t], KITH_L2, 16), FIRST);
        extend_in_parts(&c, &b, FIRST);
        check_complete(&c, &b, NULL);
        check_own_vectors(&c, &b, 40);
        built_release(&b);
        column_release(&c);
    }
}

/* ---- rows that are not wanted ---- */

/* Where nobody counted them, and where somebody did. */
static void rows_outside_a_selection_are_not_found(void **state)
{
    enum { ROWS = 6000, FIRST = 3500, ASKED = 30, DIM = 24, LISTS = 40 };
    static const double shares[] = { 1, 0.99, 0.9, 0.5, 0.02, 0.001, 0 };
    (void)state;
    for (int metric = KITH_L2; metric <= KITH_DOT; metric++) {
        struct column c;
        float *queries = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, 100);
        struct truth truth = truth_of(&c, (kith_metric)metric, queries, ASKED, ROWS);
        for (size_t t = 0; t < TYPES; t++) {
            struct built b = build_first(&c, plan_of(types[t], (kith_metric)metric, LISTS), FIRST);
            extend_in_parts(&c, &b, FIRST);
            for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
                struct kt_selection among = choose(&c, shares[i]);
                struct kt_index_matches matches = { 0 };
                assert_int_equal(b.ops->count(b.index, &among, &matches, NULL), KITH_OK);
                assert_in_range(matches.rows, among.count - kt_min_u64(among.count, 5), among.count);
                double counted =
                    recall_among(&c, &b, &truth, &among,
                                 (struct kt_index_query){ .k = 10, .matches = &matches, .nprobes = LISTS });
                double late = recall_among(&c, &b, &truth, &among,
                                           (struct kt_index_query){ .k = 10, .nprobes = LISTS });
                double least = types[t] == KITH_IVF_PQ ? 0.9 : 0.98;
                if (counted < least || late < least)
                    fail_msg("type %d, metric %d, share %g: counted %.3f, else %.3f", types[t], metric,
                             shares[i], counted, late);
                /* as many as there are, though no bound on lists says so */
                recall_among(&c, &b, &truth, &among, (struct kt_index_query){ .k = 10 });
                kt_free(matches.lists);
                kt_free(among.words);
            }
            built_release(&b);
        }
        truth_release(&truth);
        column_release(&c);
        kt_free(queries);
    }
}

/* A learned stop holds with a few rows gone. */
static void few_dead_rows_cost_no_recall(void **state)
{
    enum { ROWS = 12000, FIRST = 9000, ASKED = 200, DIM = 20 };
    struct column c;
    float *queries = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, 100);
    struct truth truth = truth_of(&c, KITH_L2, queries, ASKED, 40);
    struct kt_selection among = choose(&c, 0.9);
    (void)state;
    struct built b = build_first(&c, plan_of(KITH_IVF_RQ, KITH_L2, 0), FIRST);
    extend_in_parts(&c, &b, FIRST);
    json_t *calibration = calibrate(&c, &b, NULL, 0, 0);
    reopen(&b, calibration);
    double recall = recall_among(&c, &b, &truth, &among, (struct kt_index_query){ .k = 10, .recall = 0.95f });
    if (recall < 0.92) fail_msg("recall %.3f", recall);
    json_decref(calibration);
    kt_free(among.words);
    built_release(&b);
    truth_release(&truth);
    column_release(&c);
    kt_free(queries);
}

/* ---- what does not go together ---- */

static void a_run_of_another_index_is_refused(void **state)
{
    enum { ROWS = 2000, FIRST = 1500, DIM = 16 };
    struct column c;
    (void)state;
    column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 50), ROWS, DIM, KITH_F32);
    for (size_t t = 0; t < TYPES; t++) {
        struct kt_index_plan plan = plan_of(types[t], KITH_L2, 10);
        struct built b = build_first(&c, plan, FIRST);
        plan.seed++;
        struct built other = build_first(&c, plan, FIRST);
        extend(&c, &b, FIRST, ROWS);
        struct kt_view_file *const files[] = { open_copy("a base", other.bytes, other.size),
                                               open_copy("a run", b.runs[0].data, b.runs[0].size) },
                                   *const bases[] = { open_copy("a base", b.bytes, b.size),
                                                      open_copy("a base too", b.bytes, b.size) },
                                   *const runs[] = { open_copy("a run", b.runs[0].data, b.runs[0].size) };
        struct kt_index *index = NULL;
        kith_error error = { 0 };
        assert_int_equal(b.ops->open(files, 2, NULL, &index, &error), KITH_CORRUPT);
        assert_non_null(strstr(error.message, "a run is a run of another index than a base"));
        assert_int_equal(b.ops->open(bases, 2, NULL, &index, &error), KITH_CORRUPT);
        assert_non_null(strstr(error.message, "a base too is not a run"));
        assert_int_equal(b.ops->open(runs, 1, NULL, &index, &error), KITH_CORRUPT);
        built_release(&other);
        built_release(&b);
    }
    column_release(&c);
}

static void rows_that_do_not_fit_are_refused_in_words(void **state)
{
    enum { ROWS = 900, DIM = 8 };
    struct column c;
    struct kt_work work = { .threads = 1 };
    json_t *meta = NULL;
    kith_error error = { 0 };
    (void)state;
    column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 50), ROWS, DIM, KITH_F32);
    column_cut(&c, 0);
    struct column later = c;
    later.vectors.runs = c.runs + 1;
    later.vectors.run_count = 1;
    struct built b = build(&later, plan_of(KITH_INDEX_DEFAULT, KITH_L2, 4), 0);
    assert_int_equal(extend_try(&c, &b, (struct kt_rows){ 0, 5000 }, &work, &meta, &error), KITH_UNSUPPORTED);
    assert_non_null(strstr(error.message, "create the index again"));
    c.runs[2].first_row = c.runs[1].first_row + (UINT64_C(1) << 32) - 299; /* one too many */
    assert_int_equal(extend_try(&c, &b, (struct kt_rows){ 400000, UINT64_MAX }, &work, &meta, &error),
                     KITH_UNSUPPORTED);
    assert_non_null(strstr(error.message, "2^32"));
    c.runs[2].first_row--;
    assert_int_equal(extend(&c, &b, 400000, UINT64_MAX), 300);
    assert_int_equal(extend(&c, &b, 600000, 700000), 0); /* none of them is there */
    built_release(&b);
    column_release(&c);

    column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 50), ROWS, DIM, KITH_F32);
    struct built none = build_first(&c, plan_of(KITH_INDEX_DEFAULT, KITH_L2, 4), 0);
    assert_int_equal(extend_try(&c, &none, (struct kt_rows){ 0, ROWS }, &work, &meta, &error),
                     KITH_UNSUPPORTED);
    assert_non_null(strstr(error.message, "no lists"));
    assert_null(meta);
    built_release(&none);
    column_release(&c);
}

static int refuse_at(const kith_progress *progress, void *user)
{
    return strcmp(progress->stage, user) == 0;
}

static void adding_rows_can_be_cancelled(void **state)
{
    enum { ROWS = 3000, FIRST = 1000 };
    static const char *const stages[] = { "assign", "encode" };
    struct column c;
    (void)state;
    column_init(&c, random_numbers(ROWS, 16, KITH_F32, 50), ROWS, 16, KITH_F32);
    struct built b = build_first(&c, plan_of(KITH_INDEX_DEFAULT, KITH_L2, 30), FIRST);
    for (size_t i = 0; i < 2; i++) {
        char stage[8];
        json_t *meta = NULL;
        struct kt_work work = { .progress = refuse_at, .user = stage };
        snprintf(stage, sizeof stage, "%s", stages[i]);
        assert_int_equal(extend_try(&c, &b, (struct kt_rows){ FIRST, ROWS }, &work, &meta, NULL),
                         KITH_CANCELLED);
        assert_null(meta);
    }
    built_release(&b);
    column_release(&c);
}

static void the_shape_tells_files_and_crowds(void **state)
{
    enum { ROWS = 6000, FIRST = 3000, DIM = 12 };
    struct column c;
    struct kt_index_shape shape;
    (void)state;
    column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 2000), ROWS, DIM, KITH_F32);
    struct built b = build_first(&c, plan_of(KITH_INDEX_DEFAULT, KITH_L2, 30), FIRST);
    b.ops->shape(b.index, &shape);
    assert_int_equal(shape.files, 1);
    assert_int_equal(shape.rows[0], FIRST);
    assert_int_equal(shape.lists, 30);
    assert_true(shape.largest >= FIRST / 30 && shape.crowd >= FIRST / 30.0);
    assert_true(fabs(shape.crowd - shape.crowd_as_built) < 1e-6);
    extend_in_parts(&c, &b, FIRST);
    double before = shape.crowd;
    b.ops->shape(b.index, &shape);
    assert_int_equal(shape.files, 6);
    assert_int_equal(shape.rows[2], 1);
    assert_int_equal(shape.rows[3], 0);
    assert_int_equal(shape.rows[0] + shape.rows[1] + shape.rows[2] + shape.rows[4] + shape.rows[5], ROWS);
    assert_true(fabs(shape.crowd / before - 2) < 0.2 && fabs(shape.crowd_as_built - before) < 1e-6);
    built_release(&b);
    column_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_found_by_its_own_vector),
        cmocka_unit_test(nulls_and_ids_that_are_missing_are_no_rows),
        cmocka_unit_test(a_run_is_the_same_file_for_any_threads),
        cmocka_unit_test(few_rows_make_a_small_run),
        cmocka_unit_test(many_runs_answer_as_one_index_would),
        cmocka_unit_test(real_rows_of_runs_are_found),
        cmocka_unit_test(rows_longer_than_any_before_are_found),
        cmocka_unit_test(rows_far_from_all_others_are_found),
        cmocka_unit_test(rows_outside_a_selection_are_not_found),
        cmocka_unit_test(few_dead_rows_cost_no_recall),
        cmocka_unit_test(a_run_of_another_index_is_refused),
        cmocka_unit_test(rows_that_do_not_fit_are_refused_in_words),
        cmocka_unit_test(adding_rows_can_be_cancelled),
        cmocka_unit_test(the_shape_tells_files_and_crowds),
    };
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
