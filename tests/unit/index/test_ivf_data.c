/* IVF indexes over any data: none, equal, zero, huge, far from the rest, of all lengths. No row is lost, no
 * few rows hide the others, and one seed is one file. */
#include "index_fixture.h"

#include <math.h>

/* ---- any data ---- */

static void one_seed_is_one_file_for_any_threads(void **state)
{
    struct column c;
    (void)state;
    column_init(&c, random_numbers(7000, 40, KITH_F16, 300), 7000, 40, KITH_F16);
    column_cut(&c, 11);
    for (size_t t = 0; t < TYPES; t++) {
        kith_metric metric = t % 2 ? KITH_COSINE : KITH_DOT;
        struct built one = build(&c, plan_of(types[t], metric, 100), 1),
                     four = build(&c, plan_of(types[t], metric, 100), 4);
        assert_int_equal(one.size, four.size);
        assert_memory_equal(one.bytes, four.bytes, one.size);
        assert_true(json_equal(one.meta, four.meta));
        built_release(&one);
        built_release(&four);
    }
    column_release(&c);
}

/* Builds all types and asks for everything: each row that is not null comes once. */
static void check_complete(struct column *c, kith_metric metric, uint32_t lists, uint64_t expected)
{
    float *query = kt_alloc_zero(c->vectors.dim, sizeof *query);
    struct kt_hit *hits = kt_alloc_array(c->rows + 10, sizeof *hits);
    for (size_t t = 0; t < TYPES; t++) {
        if (!fits(types[t], metric, c->vectors.element)) continue;
        struct built b = build(c, plan_of(types[t], metric, lists), 0);
        assert_int_equal(meta_number(&b, "rows"), expected);
        assert_true(meta_number(&b, "partitions") <= lists);
        for (uint64_t q = 0; q < 2 && q < c->rows; q++) {
            if (q) column_floats(c, c->rows - 1, query);
            struct kt_index_query ask = { .vector = query, .k = (uint32_t)c->rows + 10 };
            size_t found = index_hits(c, &b, ask, hits, NULL);
            if (found != expected)
                fail_msg("type %d, metric %d, dim %u, %llu rows: found %zu of %llu", types[t], metric,
                         c->vectors.dim, (unsigned long long)c->rows, found, (unsigned long long)expected);
            if (found < 1000) check_distances(c, &b, query, hits, found);
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
            float *equal = random_numbers(rows, dims[i], KITH_F32, 3),
                  *zero = kt_alloc_zero(rows * dims[i], sizeof *zero);
            for (uint64_t r = 1; r < rows; r++) memcpy(equal + r * dims[i], equal, dims[i] * sizeof *equal);
            column_init(&c, random_numbers(rows, dims[i], KITH_F32, 3), rows, dims[i], KITH_F32);
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
        column_init(&c, random_numbers(rows, 6, KITH_F32, 5), rows, 6, KITH_F32);
        check_complete(&c, KITH_L2, 256, rows);
        column_release(&c);
    }
    column_init(&c, random_numbers(3000, 6, KITH_U8, 50), 3000, 6, KITH_U8);
    column_cut(&c, 4);
    check_complete(&c, KITH_HAMMING, 30, 2250);
    check_complete(&c, KITH_L2, 30, 2250);
    column_release(&c);

    column_init(&c, random_numbers(3000, 6, KITH_F32, 50), 3000, 6, KITH_F32);
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
    column_init(&c, random_numbers(3000, 6, KITH_F32, 50), 3000, 6, KITH_F32);
    column_cut(&c, 1);
    kt_bit_set(c.validity, 3 + 7); /* all are null but this one, and the sample is one row */
    struct kt_index_plan plan = plan_of(KITH_IVF_FLAT, KITH_L2, 1);
    plan.sample_rate = 1;
    struct built b = build(&c, plan, 0);
    column_floats(&c, 7, query);
    assert_int_equal(index_hits(&c, &b, (struct kt_index_query){ .vector = query, .k = 3 }, hits, NULL), 1);
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
    for (size_t t = 0; t < TYPES; t++) {
        for (uint32_t runs = 0; runs <= 1; runs++) {
            c.vectors.run_count = runs;
            struct built b = build(&c, plan_of(types[t], KITH_L2, 0), 0);
            assert_int_equal(meta_number(&b, "partitions"), 0);
            assert_int_equal(
                index_hits(&c, &b, (struct kt_index_query){ .vector = query, .k = 1 }, &hit, NULL), 0);
            assert_null(calibrate(&c, &b, NULL, 0, 0));
            built_release(&b);
        }
    }
}

static void duplicates_by_the_thousand_are_all_kept(void **state)
{
    struct column c;
    (void)state;
    column_init(&c, random_numbers(6000, 12, KITH_F32, 6000), 6000, 12, KITH_F32);
    float *values = (float *)(void *)c.data;
    for (uint64_t r = 0; r < 6000; r++)
        if (r % 3) memcpy(values + r * 12, values + r % 9 * 12, 12 * sizeof *values);
    check_complete(&c, KITH_L2, 100, 6000);
    check_complete(&c, KITH_COSINE, 100, 6000);
    column_release(&c);
}

/* All in one list: what is nearer than thousands of equal rows comes before them, and of those the first. */
static void duplicates_hide_no_nearer_row(void **state)
{
    enum { ROWS = 5000, DIM = 20, NEAR = 6, K = 20 };
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct column c;
        struct kt_hit truth[K], hits[K];
        float query[DIM];
        column_init(&c, random_numbers(ROWS, DIM, KITH_F32, ROWS), ROWS, DIM, KITH_F32);
        float *values = (float *)(void *)c.data;
        column_floats(&c, 17, query);
        for (uint64_t r = 100; r < ROWS; r++)
            memcpy(values + r * DIM, values + 99 * DIM, DIM * sizeof *values);
        for (uint64_t r = 0; r < NEAR; r++)
            for (uint64_t d = 0; d < DIM; d++) values[r * 700 * DIM + d] = query[d] + (d == r ? 0.1f : 0);
        struct built b = build(&c, plan_of(types[t], KITH_L2, 1), 0);
        assert_int_equal(exact_hits(&c, KITH_L2, query, K, truth), K);
        assert_int_equal(index_hits(&c, &b, (struct kt_index_query){ .vector = query, .k = K }, hits, NULL),
                         K);
        for (int i = 0; i < K; i++) assert_int_equal(hits[i].row, truth[i].row);

        for (uint64_t d = 0; d < DIM; d++) query[d] = values[99 * DIM + d];
        assert_int_equal(index_hits(&c, &b, (struct kt_index_query){ .vector = query, .k = K }, hits, NULL),
                         K);
        for (uint64_t i = 0; i < K; i++) { /* equal distances come by row */
            assert_int_equal(hits[i].row, 99 + i);
            assert_true(hits[i].distance == 0.0f);
        }
        built_release(&b);
        column_release(&c);
    }
}

/* Rows of length zero are at the distance 1, not at the half that geometry alone would say: in great numbers
 * they would hide whatever is farther than that. */
static void zero_vectors_hide_no_other_row_under_cosine(void **state)
{
    enum { ROWS = 1000, DIM = 16, K = 10, ASKED = 30 };
    (void)state;
    for (size_t t = 0; t < 2 * TYPES; t++) {
        struct column c;
        float *queries = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, ROWS);
        float *values = (float *)(void *)c.data, zero = t < TYPES ? 0.0f : -0.0f;
        for (uint64_t r = 0; r < ROWS; r += 2)
            for (uint64_t d = 0; d < DIM; d++) values[r * DIM + d] = zero;
        struct truth truth =
            truth_of(&c, KITH_COSINE, queries, ASKED, 100); /* nearly all are beyond a half */
        struct built b = build(&c, plan_of(types[t % TYPES], KITH_COSINE, 4), 0);
        double recall = recall_of(&c, &b, &truth, (struct kt_index_query){ .k = 100, .nprobes = 4 }, NULL);
        if (recall < 0.99) fail_msg("type %d, %g: recall %.3f", types[t % TYPES], (double)zero, recall);
        built_release(&b);
        truth_release(&truth);
        column_release(&c);
        kt_free(queries);
    }
}

/* ---- data of any size ---- */

/* Numbers 2^33 times as large, or as small, are the same codes and the same halves: all but the numbers of
 * the tree is one file, byte by byte. */
static void scaled_rows_have_the_same_lists(void **state)
{
    enum { ROWS = 3000, DIM = 40, UP = 33 };
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct built b[3];
        for (int i = 0; i < 3; i++) {
            struct column c;
            column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 60), ROWS, DIM, KITH_F32);
            float *values = (float *)(void *)c.data;
            for (size_t j = 0; j < (size_t)ROWS * DIM; j++) values[j] = ldexpf(values[j], UP * (i - 1));
            b[i] = build(&c, plan_of(types[t], KITH_L2, 20), 0);
            column_release(&c);
        }
        uint64_t lists = kt_get_u64(b[0].bytes + LIST_BYTES_AT);
        for (int i = 0; i < 3; i++) {
            int32_t scale = (int32_t)kt_get_u32(b[i].bytes + SCALE_AT);
            if (types[t] == KITH_IVF_FLAT) break; /* its lists are the numbers themselves */
            if (scale != (int32_t)kt_get_u32(b[1].bytes + SCALE_AT) + UP * (i - 1))
                fail_msg("type %d: a scale of %d", types[t], scale);
            assert_int_equal(b[i].size, b[1].size);
            assert_memory_equal(b[i].bytes + b[i].size - lists, b[1].bytes + b[1].size - lists, lists);
        }
        for (int i = 0; i < 3; i++) built_release(&b[i]);
    }
}

static void recall_does_not_depend_on_the_size_of_numbers(void **state)
{
    enum { ROWS = 3000, DIM = 48, ASKED = 50, LISTS = 20 };
    static const float sizes[] = { 1, 1e-10f, 1e-8f, 1e-3f, 1e3f, 1e8f, 1e10f };
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        for (int metric = KITH_L2; metric <= KITH_DOT; metric++) {
            uint64_t rows = 0;
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                struct column c;
                struct kt_index_stats stats = { 0 };
                if (metric == KITH_DOT && fabsf(log10f(sizes[i])) > 3)
                    continue; /* 1 - q.x is 1, or a float's end */
                float *queries = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, 200);
                float *values = (float *)(void *)c.data;
                for (size_t j = 0; j < (size_t)ROWS * DIM; j++) values[j] *= sizes[i];
                for (size_t j = 0; j < (size_t)ASKED * DIM; j++) queries[j] *= sizes[i];
                struct truth truth = truth_of(&c, (kith_metric)metric, queries, ASKED, 10);
                struct built b = build(&c, plan_of(types[t], (kith_metric)metric, LISTS), 0);
                struct kt_index_query ask = { .k = 10, .nprobes = LISTS };
                double recall = recall_of(&c, &b, &truth, ask, &stats);
                if (!i) rows = stats.rows;
                if (recall < 0.99 || stats.rows > rows + rows / 10)
                    fail_msg("type %d, metric %d, size %g: recall %.3f of %llu rows, %llu at size 1",
                             types[t], metric, (double)sizes[i], recall, (unsigned long long)stats.rows,
                             (unsigned long long)rows);
                built_release(&b);
                truth_release(&truth);
                column_release(&c);
                kt_free(queries);
            }
        }
    }
}

/* A row of one of two kinds: in the middle, within a millionth of it, or far on one side or the other. */
static void make_near_or_far(float *row, uint32_t dim, bool near, bool side)
{
    for (uint32_t d = 0; d < dim; d++) row[d] = near ? row[d] * 1e-6f : row[d] + (side ? 3.0f : -3.0f);
}

/* How long residuals are is measured on every third row of these. Where it is the near ones, halves cannot
 * hold the others at all; where it is the far ones, the others are hardly more than zeros. Yet each is found.
 */
static void rows_that_halves_cannot_hold_are_found(void **state)
{
    enum { ROWS = 10000, DIM = 24, ASKED = 40, LISTS = 8 };
    (void)state;
    for (size_t t = 0; t < 2 * TYPES; t++) {
        struct column c;
        struct kt_hit hits[10];
        float query[DIM];
        bool near = t < TYPES; /* that is what is measured */
        float *queries = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, ROWS + ASKED);
        float *values = (float *)(void *)c.data;
        for (size_t r = 0; r < ROWS; r++)
            make_near_or_far(values + r * DIM, DIM, (r % 3 == 0) == near, r % 2);
        for (size_t q = 0; q < ASKED; q++) make_near_or_far(queries + q * DIM, DIM, q % 4 < 2, q % 2);
        struct truth truth = truth_of(&c, KITH_L2, queries, ASKED, 10);
        struct built b = build(&c, plan_of(types[t % TYPES], KITH_L2, LISTS), 0);
        assert_int_equal(meta_number(&b, "rows"), ROWS);
        json_t *calibration = types[t % TYPES] == KITH_IVF_PQ ? NULL : calibrate(&c, &b, NULL, 0, 0);
        for (int calibrated = 0; calibrated < 2; calibrated++) {
            if (calibrated) reopen(&b, calibration); /* PQ's takes long, and is left out */
            struct kt_index_query ask = { .k = 10, .nprobes = LISTS };
            double recall = recall_of(&c, &b, &truth, ask, NULL);
            if (recall < 0.98)
                fail_msg("type %d, near %d, calibrated %d: recall %.3f", types[t % TYPES], near, calibrated,
                         recall);
            for (uint32_t factor = 0; factor <= 4; factor += 4) { /* by bounds, and by estimates alone */
                for (uint64_t r = 0; r < 60; r++) {
                    if (factor && (!near || r % 3 == 0)) continue; /* these have estimates, of halves */
                    ask.refine_factor = factor;
                    ask.vector = query;
                    column_floats(&c, r, query);
                    if (index_hits(&c, &b, ask, hits, NULL) != 10 || hits[0].row != r)
                        fail_msg("type %d, near %d, factor %u: row %llu is not found", types[t % TYPES], near,
                                 factor, (unsigned long long)r);
                }
            }
        }
        json_decref(calibration);
        truth_release(&truth);
        built_release(&b);
        column_release(&c);
        kt_free(queries);
    }
}

/* ---- products ---- */

/* Lengths from a thousandth to a thousand: nearly every answer is among the few longest rows. */
static void products_of_rows_of_all_lengths_are_found(void **state)
{
    enum { ROWS = 2000, DIM = 32, ASKED = 100, LISTS = 16 };
    struct column c;
    float *queries = column_and_queries(&c, ROWS, ASKED, DIM, KITH_F32, 60);
    float *values = (float *)(void *)c.data;
    struct kt_random random = { seed };
    (void)state;
    for (uint64_t r = 0; r < ROWS; r++) {
        float length = powf(10, 6 * kt_random_float(&random) - 3);
        for (uint64_t d = 0; d < DIM; d++) values[r * DIM + d] *= length;
    }
    struct truth truth = truth_of(&c, KITH_DOT, queries, ASKED, 10);
    for (size_t t = 0; t < TYPES; t++) {
        struct built b = build(&c, plan_of(types[t], KITH_DOT, LISTS), 0);
        double all = recall_of(&c, &b, &truth, (struct kt_index_query){ .k = 10, .nprobes = LISTS }, NULL);
        if (all < 0.99) fail_msg("type %d: recall@10 %.3f in all lists", types[t], all);
        json_t *calibration =
            types[t] == KITH_IVF_PQ ? NULL : calibrate(&c, &b, NULL, 0, 0); /* PQ's takes long */
        for (int calibrated = 0; calibrated < 2; calibrated++) {
            if (calibrated) reopen(&b, calibration);
            double first = recall_of(&c, &b, &truth, (struct kt_index_query){ .k = 1 }, NULL);
            if (first < 0.8) fail_msg("type %d, calibrated %d: recall@1 %.3f", types[t], calibrated, first);
        }
        json_decref(calibration);
        built_release(&b);
    }
    truth_release(&truth);
    column_release(&c);
    kt_free(queries);
}

/* ---- rows far from all others ---- */

enum { FAR_ROWS = 5000, FAR_DIM = 32, FAR_ASKED = 100 };

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
    column_floats(c, row, query);
    if (index_hits(c, b, (struct kt_index_query){ .vector = query, .k = 1 }, &hit, NULL) != 1 ||
        hit.row != row)
        fail_msg("type %d: row %llu, which begins with %g, is not found", b->plan.type,
                 (unsigned long long)row, (double)query[0]);
}

static double far_recall(const struct column *c, const struct built *b, uint32_t nprobes)
{
    const float *queries = (const float *)(const void *)c->data + FAR_ROWS * FAR_DIM;
    struct truth truth = truth_of(c, b->plan.metric, queries, FAR_ASKED, 10);
    double recall = recall_of(c, b, &truth, (struct kt_index_query){ .k = 10, .nprobes = nprobes }, NULL);
    truth_release(&truth);
    return recall;
}

static void outliers_are_found_and_hide_no_other_row(void **state)
{
    static const struct {
        kith_metric metric;
        uint64_t outliers;
        float value;
    } cases[] = { { KITH_L2, 1, 1e5f },     { KITH_L2, 1, 1e7f },     { KITH_L2, 1, 1e10f },
                  { KITH_L2, 1, 1e25f },    { KITH_L2, 1, -3e38f },   { KITH_L2, 12, 1e10f },
                  { KITH_L2, 64, 1e6f },    { KITH_L2, 1000, 1e30f }, { KITH_DOT, 5, -1e10f },
                  { KITH_COSINE, 5, 1e25f } };
    struct column c;
    double without[2][KITH_DOT + 1];
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        kith_metric metric = KITH_L2 + (kith_metric)(i / 2);
        uniform_column(&c, KITH_F32);
        struct built b = build(&c, plan_of(types[i % 2], metric, 0), 0);
        without[i % 2][metric] = far_recall(&c, &b, 0);
        built_release(&b);
        column_release(&c);
    }
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        kith_metric metric = cases[i / 2].metric;
        uint64_t count = cases[i / 2].outliers, step = FAR_ROWS / count;
        uniform_column(&c, KITH_F32);
        for (uint64_t o = 0; o < count; o++)
            set_row(&c, o * step + 7, cases[i / 2].value * (1.0f - 0.5f * (float)o / (float)count));
        struct built b = build(&c, plan_of(types[i % 2], metric, 0), 0);
        assert_int_equal(meta_number(&b, "rows"), FAR_ROWS);
        double recall = far_recall(&c, &b, 0);
        if (recall < without[i % 2][metric] - 0.02)
            fail_msg("case %zu, type %d: recall %.3f, without outliers %.3f", i / 2, types[i % 2], recall,
                     without[i % 2][metric]);
        for (uint64_t o = 0; metric == KITH_L2 && o < count; o += 1 + count / 50)
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
    for (size_t i = 0; i < 4; i++) {
        uint64_t far = i % 2;
        uniform_column(&c, KITH_F32);
        for (size_t j = 0; j < (size_t)(FAR_ROWS + FAR_ASKED) * FAR_DIM; j++)
            ((float *)(void *)c.data)[j] += 1e3f;
        for (uint64_t o = 0; far && o < 60; o++) set_row(&c, 80 * o, 5e3f + (float)o);
        struct built b = build(&c, plan_of(types[i / 2], KITH_L2, 0), 0);
        recall[far] = far_recall(&c, &b, 0);
        assert_int_equal(kt_get_u64(b.bytes + OUTLIERS_AT), far ? 60 : 0);
        for (uint64_t o = 0; far && o < 60; o++) found_by_its_own_vector(&c, &b, 80 * o);
        built_release(&b);
        column_release(&c);
        if (far && recall[1] < recall[0] - 0.02)
            fail_msg("recall %.3f, without outliers %.3f", recall[1], recall[0]);
    }
}

static void rows_are_found_where_all_are_huge(void **state)
{
    static const float factors[] = { 1e15f, 1e18f, 1e25f };
    (void)state;
    for (size_t i = 0; i < 3 * TYPES; i++) {
        struct column c;
        uniform_column(&c, KITH_F32);
        for (size_t j = 0; j < (size_t)(FAR_ROWS + FAR_ASKED) * FAR_DIM; j++)
            ((float *)(void *)c.data)[j] *= factors[i / TYPES];
        struct built b = build(&c, plan_of(types[i % TYPES], KITH_L2, 0), 0);
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
    for (size_t i = 0; i < 3 * TYPES; i++) {
        struct column c;
        uniform_column(&c, KITH_F64);
        for (size_t d = 0; d < FAR_DIM; d++)
            ((double *)(void *)c.data)[5 * FAR_DIM + d] = d % 2 ? 1e300 : -1e300;
        struct built b = build(&c, plan_of(types[i % TYPES], KITH_L2 + (kith_metric)(i / TYPES), 16), 0);
        float query[FAR_DIM];
        struct kt_hit *hits = kt_alloc_array(FAR_ROWS, sizeof *hits);
        uint32_t seen = 0;
        column_floats(&c, FAR_ROWS, query);
        struct kt_index_query ask = { .vector = query, .k = FAR_ROWS, .nprobes = 16 };
        assert_int_equal(index_hits(&c, &b, ask, hits, NULL), FAR_ROWS);
        for (int r = 0; r < FAR_ROWS; r++) seen += hits[r].row == 5;
        assert_int_equal(seen, 1);
        kt_free(hits);
        built_release(&b);
        column_release(&c);
    }
}

/* Under cosine a length is nothing, be its square beyond float or below it: rows are found by where they
 * point. (What their stored numbers can no longer say is the exact distance's loss.) */
static void any_length_has_a_direction_under_cosine(void **state)
{
    static const float factors[] = { 1e-18f, 1e-12f, 1e10f, 1e18f };
    (void)state;
    for (size_t t = 0; t < 2; t++) {
        struct column c;
        uniform_column(&c, KITH_F32);
        struct built plain = build(&c, plan_of(types[t], KITH_COSINE, 16), 0);
        double here = far_recall(&c, &plain, 4);
        for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
            struct column scaled;
            uniform_column(&scaled, KITH_F32);
            for (size_t j = 0; j < (size_t)FAR_ROWS * FAR_DIM; j++)
                ((float *)(void *)scaled.data)[j] *= factors[i];
            struct built b = build(&scaled, plan_of(types[t], KITH_COSINE, 16), 0);
            double there = far_recall(&scaled, &b, 4);
            if (there < here - 0.02)
                fail_msg("type %d, factor %g: recall %.3f, else %.3f", types[t], (double)factors[i], there,
                         here);
            built_release(&b);
            column_release(&scaled);
        }
        built_release(&plain);
        column_release(&c);
    }
}

static void outliers_are_the_same_file_for_any_threads(void **state)
{
    struct column c;
    (void)state;
    uniform_column(&c, KITH_F32);
    for (uint64_t o = 0; o < 50; o++) set_row(&c, o * 100, 1e6f + (float)o);
    for (size_t t = 0; t < TYPES; t++) {
        struct built a = build(&c, plan_of(types[t], KITH_L2, 70), 1),
                     b = build(&c, plan_of(types[t], KITH_L2, 70), 3);
        assert_int_equal(kt_get_u64(a.bytes + OUTLIERS_AT), 50);
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.bytes, b.bytes, a.size);
        built_release(&a);
        built_release(&b);
    }
    column_release(&c);
}

/* ---- little memory ---- */

static uint64_t hash_of(const struct built *b)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < b->size; i++) hash = kt_mix(hash + b->bytes[i]);
    return hash;
}

static void a_build_in_little_memory_finds_as_much(void **state)
{
    struct column c;
    (void)state;
    uniform_column(&c, KITH_F32);
    for (size_t t = 0; t < TYPES; t++) {
        double recall[2];
        size_t size[2];
        uint64_t hash[2];
        for (int little = 0; little < 2; little++) {
            struct kt_index_plan plan = plan_of(types[t], KITH_L2, 16);
            plan.max_memory = little ? 128 * 1024 : 0; /* the rows are 640 KiB */
            struct built b = build(&c, plan, 0);
            assert_int_equal(meta_number(&b, "rows"), FAR_ROWS);
            recall[little] = far_recall(&c, &b, 4);
            size[little] = b.size;
            hash[little] = hash_of(&b);
            built_release(&b);
        }
        if (recall[1] < recall[0] - 0.05)
            fail_msg("type %d: recall %.3f, with memory %.3f", types[t], recall[1], recall[0]);
        assert_true(hash[0] != hash[1]); /* it learned from fewer rows */
        assert_in_range(size[1], size[0] - size[0] / 20, size[0] + size[0] / 20);
    }
    struct kt_index_plan plan = plan_of(KITH_INDEX_DEFAULT, KITH_L2, 16);
    plan.max_memory = 1; /* a row a list is the least that it learns from */
    struct built b = build(&c, plan, 0);
    assert_int_equal(meta_number(&b, "rows"), FAR_ROWS);
    for (uint64_t r = 0; r < FAR_ROWS; r += 997) found_by_its_own_vector(&c, &b, r);
    built_release(&b);
    column_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_seed_is_one_file_for_any_threads),
        cmocka_unit_test(every_row_is_found_in_degenerate_columns),
        cmocka_unit_test(few_rows_many_lists_and_nulls_are_no_failure),
        cmocka_unit_test(rows_that_the_sample_missed_are_found),
        cmocka_unit_test(no_rows_make_an_index_without_lists),
        cmocka_unit_test(duplicates_by_the_thousand_are_all_kept),
        cmocka_unit_test(duplicates_hide_no_nearer_row),
        cmocka_unit_test(zero_vectors_hide_no_other_row_under_cosine),
        cmocka_unit_test(scaled_rows_have_the_same_lists),
        cmocka_unit_test(recall_does_not_depend_on_the_size_of_numbers),
        cmocka_unit_test(rows_that_halves_cannot_hold_are_found),
        cmocka_unit_test(products_of_rows_of_all_lengths_are_found),
        cmocka_unit_test(outliers_are_found_and_hide_no_other_row),
        cmocka_unit_test(outliers_are_seen_from_the_mean),
        cmocka_unit_test(rows_are_found_where_all_are_huge),
        cmocka_unit_test(rows_beyond_float_never_vanish),
        cmocka_unit_test(any_length_has_a_direction_under_cosine),
        cmocka_unit_test(outliers_are_the_same_file_for_any_threads),
        cmocka_unit_test(a_build_in_little_memory_finds_as_much),
    };
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
