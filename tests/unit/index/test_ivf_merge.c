/* Files of an index made one: nothing is lost but what is not live, nothing is encoded again, and what was
 * not merged goes on as before. */
#include "real_rows.h"
#include "runs_fixture.h"

enum { ROWS = 6000, FIRST = 4000, DIM = 40, LISTS = 60 };

static struct built start(struct column *c, kith_index_type type, kith_metric metric)
{
    column_init(c, random_numbers(ROWS, DIM, KITH_F32, 300), ROWS, DIM, KITH_F32);
    for (uint64_t r = FIRST - 50; metric == KITH_L2 && r < ROWS; r += 300) /* some are far from all others */
        ((float *)(void *)c->data)[r * DIM] = 1e15f + 1e13f * (float)r;
    return build_first(c, plan_of(type, metric, LISTS), FIRST);
}

static void merged_runs_are_the_run_of_all_their_rows(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES * 2; t++) {
        struct column c;
        struct built b = start(&c, types[t % TYPES], t < TYPES ? KITH_L2 : KITH_DOT);
        extend(&c, &b, FIRST, ROWS);
        struct kt_buffer once = b.runs[0];
        b.run_count = 0;
        reopen(&b, NULL);
        assert_int_equal(extend_in_parts(&c, &b, FIRST), ROWS - FIRST);
        assert_int_equal(merge(&c, &b, 2, 3, NULL), 30);
        assert_int_equal(b.run_count, 3);
        check_complete(&c, &b, NULL);
        assert_int_equal(merge(&c, &b, 1, 3, NULL), ROWS - FIRST);
        assert_int_equal(b.run_count, 1);
        assert_int_equal(b.runs[0].size, once.size);
        assert_memory_equal(b.runs[0].data, once.data, once.size);
        kt_buffer_release(&once);
        built_release(&b);
        column_release(&c);
    }
}

/* Alone it is only copied. */
static void a_base_merged_with_nothing_is_itself(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct column c;
        struct built b = start(&c, types[t], KITH_L2);
        size_t size = b.size;
        uint8_t *before = kt_alloc(size);
        memcpy(before, b.bytes, size);
        extend_in_parts(&c, &b, FIRST);
        assert_int_equal(merge(&c, &b, 0, 1, NULL), FIRST);
        assert_int_equal(b.size, size);
        assert_memory_equal(b.bytes, before, size);
        assert_int_equal(b.run_count, 5);
        kt_free(before);
        built_release(&b);
        column_release(&c);
    }
}

static void a_base_takes_runs_in_and_keeps_the_others(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct column c;
        struct built b = start(&c, types[t], KITH_COSINE);
        extend_in_parts(&c, &b, FIRST);
        json_int_t rows = merge(&c, &b, 0, 3, NULL);
        assert_int_equal(rows, FIRST + (ROWS - FIRST) / 2 + 1);
        assert_int_equal(b.run_count, 3);
        check_complete(&c, &b, NULL);
        check_own_vectors(&c, &b, 11);
        built_release(&b);
        column_release(&c);
    }
}

static void only_rows_that_are_live_stay(void **state)
{
    static const double shares[] = { 0.9, 0.4, 0.01, 0 };
    static const uint32_t firsts[] = { 0, 0, 1, 2 }, counts[] = { 6, 2, 5, 2 };
    (void)state;
    for (size_t t = 0; t < TYPES * 4; t++) {
        struct column c;
        struct built b = start(&c, types[t % TYPES], t < TYPES ? KITH_L2 : KITH_COSINE);
        struct kt_selection live = choose(&c, shares[t / TYPES]);
        uint8_t gone[ROWS] = { 0 };
        struct kt_index_shape shape;
        extend_in_parts(&c, &b, FIRST);
        b.ops->shape(b.index, &shape);
        uint32_t first = firsts[t / TYPES], count = counts[t / TYPES];
        uint64_t begin = first ? FIRST : 0, end = 0; /* of the rows of these files */
        for (uint32_t i = 0; i < first + count; i++) end += shape.rows[i];
        for (uint32_t i = 1; i < first; i++) begin += shape.rows[i];
        uint64_t stay = kt_selection_count(&live, begin, end);
        for (uint64_t r = begin; r < end; r++) gone[r] = !kt_selected(&live, r);
        assert_int_equal(merge(&c, &b, first, count, &live), stay);
        check_complete(&c, &b, gone);
        built_release(&b);
        kt_free(live.words);
        column_release(&c);
    }
}

static void what_cannot_be_merged_is_refused(void **state)
{
    static const uint32_t cases[][2] = { { 0, 0 }, { 0, 3 }, { 2, 1 }, { 1, UINT32_MAX }, { UINT32_MAX, 2 } };
    struct column c;
    struct built b = start(&c, KITH_IVF_RQ, KITH_L2);
    struct kt_work work = { .threads = 1 };
    json_t *meta = NULL;
    (void)state;
    extend(&c, &b, FIRST, ROWS);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kith_error error = { 0 };
        assert_int_equal(merge_try(&c, &b, cases[i][0], cases[i][1], NULL, &work, &meta, &error),
                         KITH_INVALID);
        assert_non_null(strstr(error.message, "2 files"));
    }
    built_release(&b);
    column_release(&c);
}

/* ---- lists that rows have left ---- */

/* The rows of a set that are less like its first than four fifths of them. */
static struct kt_selection far_fifth(const struct column *c)
{
    struct kt_hit *hits = kt_alloc_array(c->rows, sizeof *hits);
    struct kt_selection far = { kt_alloc_zero(c->rows / 64 + 1, sizeof(uint64_t)), c->rows, 0 };
    float *first = kt_alloc_array(c->vectors.dim, sizeof *first);
    const uint64_t one = 1;
    column_floats(c, 0, first);
    size_t count = exact_hits(c, KITH_COSINE, first, c->rows, hits);
    for (size_t i = count * 4 / 5; i < count; i++) kt_selection_put(&far, hits[i].row, &one, 1);
    kt_free(hits);
    kt_free(first);
    return far;
}

static json_t *calibrate_among(const struct column *c, const struct built *b, const struct kt_selection *live)
{
    struct kt_work work = { .threads = 2 };
    struct kt_samples samples = { .live = live };
    kith_error error = { 0 };
    json_t *out = NULL;
    if (b->ops->calibrate(b->index, &c->vectors, &samples, 1, &work, &out, &error))
        fail_msg("%s", error.message);
    return out;
}

/* Most of a real set goes, and what is asked for lies where it was. The lists there, of which a merge leaves
 * a few rows or none, are near the query: were they taken for lists like others, or others judged by how much
 * farther they are, a search would stop among them. */
static void queries_where_rows_were_find_those_that_are_left(void **state)
{
    enum { ASKED = 300 };
    const struct real_set *set = &real_sets[0];
    struct column c;
    (void)state;
    if (!real_set_is_there(set)) return;
    float *unused = real_column(set, &c, 1),
          *queries = kt_alloc_array((size_t)ASKED * set->dim, sizeof *queries);
    struct kt_selection live = far_fifth(&c);
    for (uint64_t q = 0, row = 0; q < ASKED; row++)
        if (!kt_selected(&live, row)) column_floats(&c, row, queries + q++ * set->dim);
    struct truth truth = truth_of(&c, set->metric, queries, ASKED, (uint32_t)c.rows);
    struct built b = build(&c, plan_of(KITH_IVF_RQ, set->metric, 0), 2);
    merge(&c, &b, 0, 1, &live);
    json_t *calibration = calibrate_among(&c, &b, &live);
    reopen(&b, calibration);
    double recall = recall_among(&c, &b, &truth, &live, (struct kt_index_query){ .k = 10, .recall = 0.95f });
    print_message("recall %.3f where rows were\n", recall);
    if (recall < 0.93) fail_msg("recall %.3f where rows were", recall);
    json_decref(calibration);
    built_release(&b);
    truth_release(&truth);
    kt_free(live.words);
    kt_free(queries);
    kt_free(unused);
    column_release(&c);
}

static void merging_is_the_same_for_any_threads(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct built b[2];
        for (uint32_t i = 0; i < 2; i++) {
            struct column c;
            struct kt_work work = { .threads = 1 + 3 * i };
            json_t *meta = NULL;
            b[i] = start(&c, types[t], KITH_L2);
            struct kt_selection live = choose(&c, 0.7);
            extend_in_parts(&c, &b[i], FIRST);
            assert_int_equal(merge_try(&c, &b[i], 0, 6, &live, &work, &meta, NULL), KITH_OK);
            json_decref(meta);
            kt_free(live.words);
            column_release(&c);
        }
        assert_int_equal(b[0].size, b[1].size);
        assert_memory_equal(b[0].bytes, b[1].bytes, b[0].size);
        built_release(&b[0]);
        built_release(&b[1]);
    }
}

static int refuse_at(const kith_progress *progress, void *user)
{
    return strcmp(progress->stage, user) == 0;
}

static void merging_can_be_cancelled(void **state)
{
    static const char *const stages[] = { "merge", "encode" };
    struct column c;
    struct built b = start(&c, KITH_IVF_RQ, KITH_L2);
    (void)state;
    extend(&c, &b, FIRST, ROWS);
    for (size_t i = 0; i < 2; i++) {
        char stage[8];
        json_t *meta = NULL;
        struct kt_work work = { .progress = refuse_at, .user = stage };
        snprintf(stage, sizeof stage, "%s", stages[i]);
        assert_int_equal(merge_try(&c, &b, 0, 2, NULL, &work, &meta, NULL), KITH_CANCELLED);
        assert_null(meta);
    }
    built_release(&b);
    column_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merged_runs_are_the_run_of_all_their_rows),
        cmocka_unit_test(a_base_merged_with_nothing_is_itself),
        cmocka_unit_test(a_base_takes_runs_in_and_keeps_the_others),
        cmocka_unit_test(only_rows_that_are_live_stay),
        cmocka_unit_test(what_cannot_be_merged_is_refused),
        cmocka_unit_test(queries_where_rows_were_find_those_that_are_left),
        cmocka_unit_test(merging_is_the_same_for_any_threads),
        cmocka_unit_test(merging_can_be_cancelled),
    };
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
