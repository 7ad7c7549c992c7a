/* HNSW beside the truth of an exact scan: any metric and type of numbers, rows in the base and in runs, some
 * of them dead, under filters; and that every row can be found. */
#include "index/hnsw/hnsw_private.h"
#include "real_rows.h"
#include "runs_fixture.h"

#include <math.h>

static struct kt_index_plan graph_plan(kith_metric metric)
{
    return (struct kt_index_plan){ .type = KITH_HNSW, .metric = metric, .seed = seed };
}

static double recall_at(const struct column *c, const struct built *b, const float *queries, uint64_t count,
                        struct kt_index_query ask)
{
    struct truth truth = truth_of(c, b->plan.metric, queries, count, ask.k);
    double recall = recall_of(c, b, &truth, ask, NULL);
    truth_release(&truth);
    return recall;
}

/* ---- plans */

static void plans_are_filled_or_refused_in_words(void **state)
{
    kith_error error = { 0 };
    struct kt_index_plan plan = graph_plan(KITH_METRIC_DEFAULT);
    (void)state;
    const struct kt_index_ops *ops = kt_index_ops(KITH_HNSW);
    assert_int_equal(ops->plan(&plan, 48, KITH_F32, 1000, &error), KITH_OK);
    assert_int_equal(plan.metric, KITH_L2);
    assert_int_equal(plan.m, 16);
    assert_int_equal(plan.ef_construction, 200);
    const struct {
        struct kt_index_plan plan;
        const char *words;
    } bad[] = { { { .m = 3 }, "m is 3; HNSW has 4 to 256" },
                { { .m = 257 }, "m is 257" },
                { { .ef_construction = 2000000 }, "ef_construction is 2000000; it is at most" },
                { { .num_bits = 3 }, "num_bits is 3; HNSW walks by codes of 8 bits" },
                { { .metric = KITH_HAMMING }, "hamming is for uint8" },
                { { .max_memory = 1000 }, "max_memory is 1000; an HNSW index over 1000 rows" } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        plan = bad[i].plan;
        assert_int_equal(ops->plan(&plan, 48, KITH_F32, 1000, &error), KITH_INVALID);
        if (!strstr(error.message, bad[i].words)) fail_msg("%s", error.message);
    }
}

/* ---- any column */

static const struct {
    uint32_t dim;
    kith_element element;
} columns[] = { { 24, KITH_F32 }, { 70, KITH_F16 }, { 16, KITH_U8 }, { 33, KITH_F64 }, { 48, KITH_I8 } };
enum { COLUMNS = sizeof columns / sizeof *columns };

static void any_metric_finds_what_a_scan_finds(void **state)
{
    enum { ROWS = IS_SANITIZED ? 1500 : 5000, FIRST = ROWS * 3 / 5, ASKED = 60 };
    (void)state;
    for (size_t i = 0; i < COLUMNS; i++) {
        struct column c;
        float *queries = column_and_queries(&c, ROWS, ASKED, columns[i].dim, columns[i].element, 300);
        for (int metric = KITH_L2; metric <= KITH_HAMMING; metric++) {
            if (!fits(KITH_HNSW, (kith_metric)metric, columns[i].element)) continue;
            struct built b = build_first(&c, graph_plan((kith_metric)metric), FIRST);
            assert_int_equal(meta_number(&b, "rows"), FIRST);
            assert_int_equal(extend_in_parts(&c, &b, FIRST), ROWS - FIRST);
            struct kt_index_query ask = { .k = 10, .ef = 128 };
            double recall = recall_at(&c, &b, queries, ASKED, ask);
            if (recall < (metric >= KITH_DOT ? 0.965 : 0.985)) /* whole distances: many are equal */
                fail_msg("metric %d, column %zu: recall %.4f", metric, i, recall);
            struct kt_hit hits[10];
            ask.vector = queries;
            check_distances(&c, &b, queries, hits, index_hits(&c, &b, ask, hits, NULL));
            built_release(&b);
        }
        kt_free(queries);
        column_release(&c);
    }
}

/* By products the long rows are near everything: others must be found behind them, in a base, in runs and
 * when all is made one, with whatever length a query has; and where no product is above zero. */
static void products_find_rows_of_any_length(void **state)
{
    enum { ROWS = IS_SANITIZED ? 2000 : 6000, FIRST = ROWS / 2, ASKED = 100, DIM = 32 };
    struct column c;
    struct kt_random random = { seed };
    (void)state;
    float *queries = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, 60);
    float *rows = (float *)(void *)c.data, *others = kt_alloc_array(ASKED * DIM, sizeof *others);
    assert_non_null(others);
    for (uint64_t r = 0; r < ROWS; r++) {
        float sum = 0;
        for (int i = 0; i < 12; i++) sum += kt_random_float(&random) - 0.5f; /* about normal */
        float length = r % 10 == 9 ? 0 : expf(sum);
        for (uint64_t d = 0; d < DIM; d++) rows[r * DIM + d] *= length;
    }
    struct built b = build_first(&c, graph_plan(KITH_DOT), FIRST);
    extend_in_parts(&c, &b, FIRST);
    for (int folded = 0; folded < 2; folded++) {
        if (folded) assert_int_equal(merge(&c, &b, 0, 1 + b.run_count, NULL), ROWS);
        struct kt_index_stats stats[3] = { { 0 } };
        for (int size = 0; size < 3; size++) {
            for (uint64_t i = 0; i < ASKED * DIM; i++) others[i] = ldexpf(queries[i], 14 * (size - 1));
            struct truth truth = truth_of(&c, KITH_DOT, others, ASKED, 100);
            struct kt_index_query ask = { .k = 10, .ef = 48 };
            double ten = recall_of(&c, &b, &truth, ask, &stats[size]);
            ask.k = ask.ef = 100;
            double hundred = recall_of(&c, &b, &truth, ask, NULL);
            if (ten < 0.985 || hundred < 0.95)
                fail_msg("folded %d, size %d: recall %.4f of 10, %.4f of 100", folded, size, ten, hundred);
            assert_int_equal(stats[size].codes, stats[0].codes);
            truth_release(&truth);
        }
    }
    for (uint64_t i = 0; i < ROWS * DIM; i++) rows[i] = fabsf(rows[i]);
    for (uint64_t i = 0; i < ASKED * DIM; i++) others[i] = -fabsf(queries[i]);
    struct built negative = build(&c, graph_plan(KITH_DOT), 2);
    assert_true(recall_at(&c, &negative, others, ASKED, (struct kt_index_query){ .k = 10, .ef = 64 }) == 1);
    built_release(&negative);
    built_release(&b);
    kt_free(others);
    kt_free(queries);
    column_release(&c);
}

static void every_row_is_reachable_and_found_by_its_own_vector(void **state)
{
    enum { ROWS = IS_SANITIZED ? 1500 : 6000, FIRST = ROWS * 2 / 3 };
    (void)state;
    for (size_t i = 0; i < COLUMNS; i++) {
        struct column c;
        column_init(&c, random_numbers(ROWS, columns[i].dim, columns[i].element, 500), ROWS, columns[i].dim,
                    columns[i].element);
        for (int metric = KITH_L2; metric <= KITH_HAMMING; metric++) {
            if (!fits(KITH_HNSW, (kith_metric)metric, columns[i].element)) continue;
            struct built b = build_first(&c, graph_plan((kith_metric)metric), FIRST);
            extend_in_parts(&c, &b, FIRST);
            check_complete(&c, &b, NULL);
            if (metric != KITH_DOT) check_own_vectors(&c, &b, 3);
            built_release(&b);
        }
        column_release(&c);
    }
}

/* Of noise, with few links, many nodes lose the last link to them as runs are added; each is given one again.
 */
static void no_node_of_a_run_is_left_without_a_link_to_it(void **state)
{
    enum { ROWS = 1500, FIRST = 500, STEP = 100, DIM = 48 };
    struct column c;
    struct kt_index_plan plan = graph_plan(KITH_L2);
    bool led[ROWS] = { false };
    (void)state;
    plan.m = 4;
    plan.ef_construction = 16;
    column_init(&c, random_numbers(ROWS, DIM, KITH_F32, ROWS), ROWS, DIM, KITH_F32);
    struct built b = build_first(&c, plan, FIRST);
    for (uint64_t at = FIRST; at < ROWS; at += STEP) extend(&c, &b, at, at + STEP);
    for (uint32_t node = 0; node < ROWS; node++) {
        const uint32_t *links = NULL;
        assert_int_equal(kt_hnsw_links(b.index, node, 0, &links, NULL), KITH_OK);
        for (uint32_t i = 0; i < 2 * plan.m && links[i] != HNSW_NONE; i++) led[links[i]] = true;
    }
    for (uint32_t node = 0; node < ROWS; node++)
        if (!led[node]) fail_msg("no list has node %u", node);
    built_release(&b);
    column_release(&c);
}

/* Copies of a row link to one another: the rest of the graph must still be reached through them, and they
 * from it.
 */
static void copies_hide_nobody(void **state)
{
    enum { ROWS = 3000, DIM = 12, SAME = 150 };
    struct column c;
    float query[DIM];
    struct kt_hit hits[ROWS];
    (void)state;
    column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 100), ROWS, DIM, KITH_F32);
    for (uint64_t i = 1; i < SAME; i++) memcpy(c.data + i * 20 * DIM * 4, c.data, DIM * 4);
    struct built b = build(&c, graph_plan(KITH_L2), 2);
    check_own_vectors(&c, &b, 1);
    column_floats(&c, 0, query);
    struct kt_index_query ask = { .vector = query, .k = SAME };
    assert_int_equal(index_hits(&c, &b, ask, hits, NULL), SAME);
    assert_true(hits[SAME * 95 / 100].distance == 0);
    built_release(&b);
    column_release(&c);
}

static void rows_that_no_code_holds_are_found_all_the_same(void **state)
{
    enum { ROWS = 1000, DIM = 8 };
    struct column c;
    float query[DIM] = { 0 };
    struct kt_hit hits[3];
    (void)state;
    column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 50), ROWS, DIM, KITH_F32);
    float *numbers = (float *)(void *)c.data;
    for (uint32_t d = 0; d < DIM; d++) {
        numbers[10 * DIM + d] = 2e18f + (float)d * 1e17f; /* its square leaves what a walk can add up */
        numbers[500 * DIM + d] = 0;
        query[d] = numbers[10 * DIM + d];
    }
    for (int metric = KITH_L2; metric <= KITH_COSINE; metric++) {
        struct built b = build(&c, graph_plan((kith_metric)metric), 2);
        if (metric == KITH_L2) assert_int_equal(meta_number(&b, "outliers"), 1);
        struct kt_index_query ask = { .vector = query, .k = 3 };
        assert_int_equal(index_hits(&c, &b, ask, hits, NULL), 3);
        assert_int_equal(hits[0].row, 10);
        built_release(&b);
    }
    column_release(&c);
}

/* To a row of zeros the cosine distance is 1 from anywhere; nearer ones must not be hidden behind many such.
 */
static void rows_of_zeros_stand_where_they_should(void **state)
{
    enum { ROWS = 3000, DIM = 16, ASKED = 40 };
    struct column c;
    (void)state;
    float *queries = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, 40);
    for (uint64_t i = 0; i < ROWS; i += 4) memset(c.data + i * DIM * 4, 0, DIM * 4);
    for (uint64_t i = 0; i < ASKED * DIM; i++)
        queries[i] = queries[i] * 0.3f + (float)(i % 3) - 1; /* far off */
    struct built b = build_first(&c, graph_plan(KITH_COSINE), ROWS / 2);
    extend(&c, &b, ROWS / 2, ROWS);
    double recall = recall_at(&c, &b, queries, ASKED, (struct kt_index_query){ .k = 10, .ef = 100 });
    if (recall < 0.97) fail_msg("recall %.4f", recall);
    check_complete(&c, &b, NULL);
    built_release(&b);
    kt_free(queries);
    column_release(&c);
}

static void few_rows_or_none_are_a_graph_too(void **state)
{
    (void)state;
    for (uint64_t rows = 0; rows < 6; rows++) {
        struct column c;
        struct kt_hit hits[10];
        float query[5] = { 1, 2, 3, 4, 5 };
        column_init(&c, random_numbers(rows + 1, 5, KITH_F32, 2), rows, 5, KITH_F32);
        struct built b = build(&c, graph_plan(KITH_L2), 2);
        struct kt_index_query ask = { .vector = query, .k = 10 };
        assert_int_equal(index_hits(&c, &b, ask, hits, NULL), rows);
        json_decref(calibrate(&c, &b, NULL, 0, 2));
        built_release(&b);
        column_release(&c);
    }
}

/* ---- the same for any threads */

static void a_graph_is_the_same_file_for_any_threads(void **state)
{
    enum { ROWS = 5000, FIRST = 3500, DIM = 40 };
    struct column c;
    (void)state;
    column_init(&c, random_numbers(ROWS, DIM, KITH_F16, 300), ROWS, DIM, KITH_F16);
    struct built one = build_first(&c, graph_plan(KITH_DOT), FIRST);
    struct column first = c;
    struct kt_vectors_run run = c.runs[0];
    run.rows = run.span = first.rows = FIRST;
    first.vectors.runs = &run;
    struct built many = build(&first, graph_plan(KITH_DOT), 5);
    assert_int_equal(one.size, many.size);
    assert_memory_equal(one.bytes, many.bytes, one.size);
    for (uint32_t threads = 1; threads <= 4; threads += 3) {
        struct kt_work work = { .threads = threads };
        json_t *meta = NULL;
        assert_int_equal(extend_try(&c, &one, (struct kt_rows){ FIRST, ROWS }, &work, &meta, NULL), KITH_OK);
        json_decref(meta);
    }
    assert_int_equal(one.runs[0].size, one.runs[1].size);
    assert_memory_equal(one.runs[0].data, one.runs[1].data, one.runs[0].size);
    built_release(&one);
    built_release(&many);
    column_release(&c);
}

/* ---- merging */

/* Half of the rows are replaced by others, in ten steps that are folded every third time. */
static void a_turnover_leaves_the_graph_as_good_as_new(void **state)
{
    enum { ROWS = 6000, ALL = 9000, DIM = 32, ASKED = 100, STEPS = 10 };
    struct column c;
    (void)state;
    float *queries = column_and_queries(&c, ALL, ASKED, DIM, KITH_F32, 200);
    struct built b = build_first(&c, graph_plan(KITH_L2), ROWS);
    struct kt_selection live = choose(&c, 1);
    for (uint64_t step = 1; step <= STEPS; step++) {
        uint64_t gone = step * (ALL - ROWS) / STEPS, come = ROWS + gone;
        extend(&c, &b, come - (ALL - ROWS) / STEPS, come);
        for (uint64_t row = 0; row < gone; row++) live.words[row / 64] &= ~(UINT64_C(1) << (row % 64));
        live.count = kt_selection_count(&live, 0, ALL);
        if (step % 3 == 0) {
            json_int_t rows = merge(&c, &b, 0, b.run_count + 1, &live);
            assert_int_equal(rows, ROWS);
            reopen(&b, NULL);
        }
    }
    json_int_t rows = merge(&c, &b, 0, b.run_count + 1, &live);
    assert_int_equal(rows, ROWS);
    reopen(&b, NULL);

    struct truth truth = truth_of(&c, KITH_L2, queries, ASKED, 200);
    struct kt_index_query ask = { .k = 10, .ef = 48 };
    double turned = recall_among(&c, &b, &truth, &live, ask);
    struct column left = c;
    left.runs[0].first_row = ALL - ROWS;
    left.runs[0].rows = left.runs[0].span = ROWS;
    left.memory[0].data += (ALL - ROWS) * left.memory[0].row_bytes;
    left.runs[0].context = &left.memory[0];
    left.vectors.runs = left.runs;
    left.rows = ROWS;
    struct built fresh = build(&left, graph_plan(KITH_L2), 2);
    double anew = recall_among(&left, &fresh, &truth, &live, ask);
    if (turned < anew - 0.01) fail_msg("recall %.4f after the turnover, %.4f built anew", turned, anew);
    for (uint64_t row = ALL - ROWS; row < ALL; row++) { /* every row that is left is found */
        float query[DIM];
        struct kt_hit hit;
        column_floats(&c, row, query);
        struct kt_index_query own = { .vector = query, .k = 1 };
        if (index_hits(&c, &b, own, &hit, NULL) != 1 || hit.distance > 0)
            fail_msg("row %llu is lost", (unsigned long long)row);
    }
    built_release(&fresh);
    built_release(&b);
    truth_release(&truth);
    kt_free(live.words);
    kt_free(queries);
    column_release(&c);
}

static void merged_runs_answer_as_they_did(void **state)
{
    enum { ROWS = 4000, FIRST = 2500, DIM = 20, ASKED = 50 };
    struct column c;
    (void)state;
    float *queries = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, 100);
    struct built b = build_first(&c, graph_plan(KITH_COSINE), FIRST);
    for (uint64_t at = FIRST; at < ROWS; at += 300) extend(&c, &b, at, at + 300);
    struct kt_hit before[ASKED][10], after[10];
    struct kt_index_query ask = { .k = 10 };
    for (int q = 0; q < ASKED; q++) {
        ask.vector = queries + q * DIM;
        assert_int_equal(index_hits(&c, &b, ask, before[q], NULL), 10);
    }
    assert_int_equal(merge(&c, &b, 3, b.run_count - 2, NULL), 900);
    assert_int_equal(b.run_count, 3);
    reopen(&b, NULL);
    for (int q = 0; q < ASKED; q++) {
        ask.vector = queries + q * DIM;
        assert_int_equal(index_hits(&c, &b, ask, after, NULL), 10);
        for (int i = 0; i < 10; i++) assert_true(after[i].row == before[q][i].row);
    }
    extend(&c, &b, ROWS, ROWS); /* and it goes on */
    check_complete(&c, &b, NULL);
    built_release(&b);
    kt_free(queries);
    column_release(&c);
}

/* ---- filters */

static void an_answer_under_a_filter_is_never_short(void **state)
{
    enum { ROWS = 6000, DIM = 24, ASKED = 40 };
    static const double shares[] = { 1, 0.5, 0.1, 0.01, 0.001 };
    struct column c;
    (void)state;
    float *queries = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, 200);
    struct built b = build(&c, graph_plan(KITH_L2), 2);
    struct truth truth = truth_of(&c, KITH_L2, queries, ASKED, ROWS);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        struct kt_selection some = choose(&c, shares[i]), far = { kt_alloc_zero(ROWS / 64 + 1, 8), ROWS, 0 };
        double recall = recall_among(&c, &b, &truth, &some, (struct kt_index_query){ .k = 10, .ef = 64 });
        if (recall < 0.97) fail_msg("recall %.4f among %.3f", recall, shares[i]);
        for (uint64_t at = 0; at < some.count; at++) /* those that are farthest from the first query */
            far.words[truth.hits[ROWS - 1 - at].row / 64] |= UINT64_C(1)
                                                             << (truth.hits[ROWS - 1 - at].row % 64);
        far.count = some.count;
        struct truth first = truth;
        first.count = 1;
        recall = recall_among(&c, &b, &first, &far, (struct kt_index_query){ .k = 10, .ef = 64 });
        if (recall < 0.8) fail_msg("recall %.4f among the farthest %.3f", recall, shares[i]);
        kt_free(some.words);
        kt_free(far.words);
    }
    truth_release(&truth);
    built_release(&b);
    kt_free(queries);
    column_release(&c);
}

/* ---- recall */

static void a_wanted_recall_is_had_on_real_rows(void **state)
{
    enum { ASKED = 300 };
    static const float wanted[] = { 0.8f, 0.9f, 0.95f, 0.99f };
    (void)state;
    for (size_t s = 0; s < (getenv("KITH_LONG") ? REAL_SETS : 1); s++) {
        struct column c;
        if (!real_set_is_there(&real_sets[s])) continue;
        float *queries = real_column(&real_sets[s], &c, ASKED);
        struct built b = build(&c, graph_plan(real_sets[s].metric), 0);
        json_t *calibration = calibrate(&c, &b, NULL, 0, 0);
        reopen(&b, calibration);
        double last = 0;
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            struct kt_index_query ask = { .k = 10, .recall = wanted[i] };
            double recall = recall_at(&c, &b, queries, ASKED, ask);
            print_message("%s: wanted %.2f, had %.4f\n", real_sets[s].name, (double)wanted[i], recall);
            if (recall < (double)wanted[i] - 0.02) fail_msg("recall %.4f", recall);
            assert_true(recall >= last - 0.002);
            last = recall;
        }
        json_decref(calibration);
        built_release(&b);
        kt_free(queries);
        column_release(&c);
    }
}

/* Rows without neighbourhoods: walks have to be long, and where no walk is long enough every row is read. */
static void a_wanted_recall_is_had_where_rows_are_noise(void **state)
{
    enum { ROWS = 6000, ASKED = 40, DIM = 256 };
    static const float wanted[] = { 0.9f, 0.95f, 0.99f };
    static const uint32_t ms[] = { 16, 4 };
    struct column c;
    (void)state;
    float *queries = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, ROWS + ASKED);
    struct truth truth = truth_of(&c, KITH_COSINE, queries, ASKED, 10);
    for (int i = 0; i < 2; i++) {
        struct kt_index_plan plan = graph_plan(KITH_COSINE);
        plan.m = ms[i];
        plan.ef_construction = 60;
        struct built b = build(&c, plan, 2);
        json_t *calibration = calibrate(&c, &b, NULL, 0, 2);
        reopen(&b, calibration);
        for (size_t w = 0; w < sizeof wanted / sizeof *wanted; w++) {
            struct kt_index_query ask = { .k = 10, .recall = wanted[w] };
            struct kt_index_stats stats = { 0 };
            double recall = recall_of(&c, &b, &truth, ask, &stats);
            if (recall < (double)wanted[w] - 0.03 || recall < (double)stats.expected - 0.03)
                fail_msg("m %u: recall %.3f, expected %.3f, wanted %.2f, by %llu codes and %llu rows", ms[i],
                         recall, (double)stats.expected, (double)wanted[w], (unsigned long long)stats.codes,
                         (unsigned long long)stats.rows);
            struct kt_index_stats told = { 0 };
            b.ops->expect(b.index, 10, wanted[w], &told);
            assert_int_equal(told.rows != 0, stats.rows == (uint64_t)ROWS * ASKED);
        }
        json_decref(calibration);
        built_release(&b);
    }
    truth_release(&truth);
    kt_free(queries);
    column_release(&c);
}

static void an_ef_is_kept_and_never_too_small(void **state)
{
    enum { ROWS = 4000, DIM = 24 };
    struct column c;
    struct kt_hit hits[50];
    struct kt_index_stats few = { 0 }, many = { 0 }, least = { 0 };
    (void)state;
    float *queries = column_and_queries(&c, ROWS, 1, DIM, KITH_F32, 100);
    struct built b = build(&c, graph_plan(KITH_L2), 2);
    json_t *calibration = calibrate(&c, &b, NULL, 0, 2);
    reopen(&b, calibration);
    struct kt_index_query ask = { .vector = queries, .k = 5, .ef = 5 };
    index_hits(&c, &b, ask, hits, &few);
    ask.ef = 200;
    index_hits(&c, &b, ask, hits, &many);
    assert_true(few.lists < 60 && many.lists >= 200 && few.codes * 4 < many.codes);
    ask = (struct kt_index_query){ .vector = queries, .k = 5, .recall = 0.5f, .least_ef = 64 };
    index_hits(&c, &b, ask, hits, &least);
    assert_true(least.lists >= 64);
    ask = (struct kt_index_query){ .vector = queries, .k = 40, .ef = 5 };
    assert_int_equal(index_hits(&c, &b, ask, hits, NULL), 40);
    json_decref(calibration);
    built_release(&b);
    kt_free(queries);
    column_release(&c);
}

/* ---- hostile files */

enum { SMALL = 400, SMALL_FIRST = 300, SMALL_DIM = 17 };

static void use(const struct column *c, const struct built *b)
{
    struct built hostile = *b;
    float *query = kt_alloc_zero(SMALL_DIM, sizeof *query);
    struct kt_hit hits[SMALL];
    kith_error error = { 0 };
    query[0] = 1.0f, query[1] = 2.0f;
    if (!open_try(b, NULL, &hostile.index, &error)) {
        for (uint32_t k = 1; k <= SMALL; k *= 20) {
            struct kt_top top = { hits, 0, k };
            struct kt_index_query ask = { .vector = query, .k = k };
            if (index_try(c, &hostile, ask, &top, NULL, &error)) assert_true(error.message[0] != 0);
        }
        struct kt_samples samples = { .vectors = query, .count = 1 };
        struct kt_work work = { .threads = 1 };
        json_t *out = NULL, *meta = NULL;
        if (b->ops->calibrate(hostile.index, &c->vectors, &samples, 1, &work, &out, &error))
            assert_true(error.message[0] != 0);
        json_decref(out);
        struct built more = hostile;
        if (!extend_try(c, &more, (struct kt_rows){ SMALL_FIRST + 50, SMALL }, &work, &meta, &error))
            kt_buffer_release(&more.runs[more.run_count - 1]);
        json_decref(meta);
        struct kt_buffer made = { 0 };
        struct kt_sink *sink = NULL;
        meta = NULL;
        assert_int_equal(kt_sink_memory(&made, &sink, &error), KITH_OK);
        if (b->ops->merge(hostile.index, 0, b->run_count + 1, NULL, &c->vectors, &work, sink, &meta, &error))
            kt_sink_abandon(sink);
        else
            assert_int_equal(kt_sink_finish(sink, NULL, &error), KITH_OK);
        kt_buffer_release(&made);
        json_decref(meta);
        b->ops->close(hostile.index);
    } else {
        assert_true(error.message[0] != 0);
    }
    kt_free(query);
}

static void a_file_may_hold_anything(void **state)
{
    enum { ROUNDS = 3000 };
    struct column c;
    const char *given = getenv("KITH_SEED");
    struct kt_random random = { given ? strtoull(given, NULL, 10) : 77 };
    uint64_t rounds = getenv("KITH_LONG") ? 20 * ROUNDS : ROUNDS;
    (void)state;
    column_init(&c, random_numbers(SMALL, SMALL_DIM, KITH_F32, 20), SMALL, SMALL_DIM, KITH_F32);
    struct built b = build_first(&c, graph_plan(KITH_L2), SMALL_FIRST);
    extend(&c, &b, SMALL_FIRST, SMALL_FIRST + 50);
    for (uint64_t i = 0; i < rounds; i++) {
        bool base = kt_random_below(&random, 2);
        uint8_t *bytes = base ? b.bytes : b.runs[0].data;
        size_t size = base ? b.size : b.runs[0].size;
        size_t at = kt_random_below(&random, kt_random_below(&random, 2) ? 256 : size);
        uint8_t old[4];
        uint32_t value = (uint32_t)kt_random_u64(&random) >> kt_random_below(&random, 32);
        at = at / 4 * 4;
        memcpy(old, bytes + at, 4);
        memcpy(bytes + at, &value, 4);
        use(&c, &b);
        memcpy(bytes + at, old, 4);
    }
    for (size_t size = 0; size < b.size; size += 97) {
        struct built cut = b;
        cut.size = size;
        cut.run_count = 0;
        use(&c, &cut);
    }
    built_release(&b);
    column_release(&c);
}

static void files_of_another_graph_are_refused(void **state)
{
    struct column c;
    kith_error error = { 0 };
    struct kt_index *index = NULL;
    (void)state;
    column_init(&c, random_numbers(SMALL, SMALL_DIM, KITH_F32, 20), SMALL, SMALL_DIM, KITH_F32);
    struct built a = build_first(&c, graph_plan(KITH_L2), SMALL_FIRST), b;
    struct kt_index_plan other = graph_plan(KITH_L2);
    other.seed++;
    b = build_first(&c, other, SMALL_FIRST);
    extend(&c, &a, SMALL_FIRST, SMALL);
    b.runs[b.run_count++] = a.runs[0];
    assert_int_equal(open_try(&b, NULL, &index, &error), KITH_CORRUPT);
    assert_non_null(strstr(error.message, "does not belong to"));
    b.run_count = 0;
    built_release(&a);
    built_release(&b);
    column_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_filled_or_refused_in_words),
        cmocka_unit_test(any_metric_finds_what_a_scan_finds),
        cmocka_unit_test(products_find_rows_of_any_length),
        cmocka_unit_test(every_row_is_reachable_and_found_by_its_own_vector),
        cmocka_unit_test(no_node_of_a_run_is_left_without_a_link_to_it),
        cmocka_unit_test(copies_hide_nobody),
        cmocka_unit_test(rows_that_no_code_holds_are_found_all_the_same),
        cmocka_unit_test(rows_of_zeros_stand_where_they_should),
        cmocka_unit_test(few_rows_or_none_are_a_graph_too),
        cmocka_unit_test(a_graph_is_the_same_file_for_any_threads),
        cmocka_unit_test(a_turnover_leaves_the_graph_as_good_as_new),
        cmocka_unit_test(merged_runs_answer_as_they_did),
        cmocka_unit_test(an_answer_under_a_filter_is_never_short),
        cmocka_unit_test(a_wanted_recall_is_had_on_real_rows),
        cmocka_unit_test(a_wanted_recall_is_had_where_rows_are_noise),
        cmocka_unit_test(an_ef_is_kept_and_never_too_small),
        cmocka_unit_test(a_file_may_hold_anything),
        cmocka_unit_test(files_of_another_graph_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
