/* The exact scan finds what a plain loop finds: every element type, every metric, over runs, nulls and
 * ranges. */
#include "index_fixture.h"

#include <math.h>

static double plain_distance(const struct column *c, kith_metric metric, const float *query, uint64_t at)
{
    float row[300];
    double sum = 0, qq = 0, xx = 0;
    column_floats(c, at, row);
    for (uint32_t d = 0; d < c->vectors.dim; d++) {
        double q = (double)query[d], x = (double)row[d];
        if (metric == KITH_L2) sum += (q - x) * (q - x);
        if (metric == KITH_HAMMING) sum += __builtin_popcount((unsigned)q ^ (unsigned)x);
        if (metric == KITH_DOT || metric == KITH_COSINE) sum += q * x;
        qq += q * q;
        xx += x * x;
    }
    if (metric == KITH_DOT) return 1 - sum;
    if (metric == KITH_COSINE) return qq > 0 && xx > 0 ? 1 - sum / sqrt(qq * xx) : 1;
    return sum;
}

static uint64_t row_id(const struct column *c, uint64_t at)
{
    for (uint32_t r = 0; r < c->vectors.run_count; r++) {
        if (at < c->runs[r].rows) return c->runs[r].first_row + at;
        at -= c->runs[r].rows;
    }
    return UINT64_MAX;
}

static void check_scan(const struct column *c, kith_metric metric, const float *query)
{
    struct kt_hit hits[20];
    size_t found = exact_hits(c, metric, query, 20, hits);
    double worst = found ? (double)hits[found - 1].distance : -INFINITY, slack = 1e-4 * (1 + fabs(worst));
    uint64_t nearer = 0, there = 0;
    for (uint64_t at = 0; at < c->rows; at++) {
        if (c->validity && !kt_bit(c->validity, at + 3)) continue;
        double distance = plain_distance(c, metric, query, at);
        there++;
        nearer += distance < worst - slack;
        for (size_t i = 0; i < found; i++)
            if (hits[i].row == row_id(c, at) && fabs((double)hits[i].distance - distance) > slack)
                fail_msg("row %llu: %g, not %g", (unsigned long long)hits[i].row, (double)hits[i].distance,
                         distance);
    }
    assert_int_equal(found, there < 20 ? there : 20);
    assert_true(nearer < 20);
    for (size_t i = 1; i < found; i++) assert_true(hits[i - 1].distance <= hits[i].distance);
}

static void finds_what_a_plain_loop_finds(void **state)
{
    static const uint32_t dims[] = { 1, 3, 31, 33, 128 };
    (void)state;
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        for (int element = KITH_F32; element <= KITH_U8; element++) {
            for (int metric = KITH_L2; metric <= KITH_HAMMING; metric++) {
                struct column c;
                float query[300];
                if (metric == KITH_HAMMING && element != KITH_U8) continue;
                column_init(&c, random_numbers(2500, dims[i], (kith_element)element, 5), 2500, dims[i],
                            (kith_element)element);
                column_floats(&c, 77, query);
                check_scan(&c, (kith_metric)metric, query);
                column_cut(&c, 3);
                check_scan(&c, (kith_metric)metric, query);
                for (uint32_t d = 0; metric != KITH_HAMMING && d < dims[i]; d++)
                    query[d] += 0.25f; /* no whole numbers */
                check_scan(&c, (kith_metric)metric, query);
                column_release(&c);
            }
        }
    }
}

static void a_row_is_at_no_distance_from_itself(void **state)
{
    (void)state;
    for (int element = KITH_F32; element <= KITH_U8; element++) {
        for (int metric = KITH_L2; metric <= KITH_COSINE; metric++) {
            struct column c;
            float query[300];
            struct kt_hit hit;
            column_init(&c, random_numbers(100, 50, (kith_element)element, 100), 100, 50,
                        (kith_element)element);
            column_floats(&c, 42, query);
            exact_hits(&c, (kith_metric)metric, query, 1, &hit);
            assert_int_equal(hit.row, 42);
            assert_true(hit.distance == 0.0f);
            column_release(&c);
        }
    }
}

static void keeps_to_row_ids_and_to_the_range(void **state)
{
    struct column c;
    struct kt_arena scratch = { 0 };
    struct kt_scan_query scan;
    struct kt_hit hits[5000];
    float query[8] = { 0 };
    (void)state;
    column_init(&c, random_numbers(3000, 8, KITH_F32, 9), 3000, 8, KITH_F32);
    column_cut(&c, 0);
    assert_int_equal(kt_scan_prepare(&c.vectors, KITH_L2, query, KITH_F32, &scratch, &scan, NULL), KITH_OK);

    struct kt_top some = { hits, 0, 5000 };
    struct kt_index_stats stats = { 0 };
    assert_int_equal(kt_scan_rows(&c.vectors, &scan, 1500, 2500, &some, &stats, NULL), KITH_OK);
    assert_int_equal(some.count,
                     500 + 493); /* [1500, 2000) of the first run and [2007, 2500) of the second */
    assert_int_equal(stats.rows, some.count);
    for (size_t i = 0; i < some.count; i++) assert_true(hits[i].row >= 1500 && hits[i].row < 2500);

    scan.lower = 1.0f;
    scan.upper = 2.0f;
    struct kt_top ring = { hits, 0, 5000 };
    assert_int_equal(kt_scan_rows(&c.vectors, &scan, 0, UINT64_MAX, &ring, NULL, NULL), KITH_OK);
    assert_true(ring.count > 0 && ring.count < 3000);
    for (size_t i = 0; i < ring.count; i++) assert_true(hits[i].distance >= 1.0f && hits[i].distance < 2.0f);
    kt_arena_release(&scratch);
    column_release(&c);
}

static void hits_get_the_distances_that_a_scan_gives(void **state)
{
    struct column c;
    struct kt_arena scratch = { 0 };
    struct kt_scan_query scan;
    struct kt_hit hits[100], again[103];
    float query[65];
    (void)state;
    column_init(&c, random_numbers(4000, 65, KITH_F16, 9), 4000, 65, KITH_F16);
    column_cut(&c, 5);
    column_floats(&c, 5, query);
    assert_int_equal(exact_hits(&c, KITH_COSINE, query, 100, hits), 100);
    for (int i = 0; i < 100; i++) again[i] = (struct kt_hit){ -1, hits[i].row };
    again[100].row = 0;      /* before all runs */
    again[101].row = 400000; /* between two */
    again[102].row = 1000;   /* null */
    assert_int_equal(kt_scan_prepare(&c.vectors, KITH_COSINE, query, KITH_F32, &scratch, &scan, NULL),
                     KITH_OK);
    assert_int_equal(kt_scan_hits(&c.vectors, &scan, again, 103, NULL), KITH_OK);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(again[i].row, hits[i].row);
        assert_true(again[i].distance == hits[i].distance);
    }
    for (int i = 100; i < 103; i++) assert_true(isnan(again[i].distance));
    kt_arena_release(&scratch);
    column_release(&c);
}

static void what_cannot_be_compared_is_refused(void **state)
{
    struct kt_vectors floats = { .dim = 2, .element = KITH_F32 }, bytes = { .dim = 2, .element = KITH_U8 };
    struct kt_arena scratch = { 0 };
    struct kt_scan_query scan;
    kith_error error = { 0 };
    float half[2] = { 0.5f, 1.0f };
    (void)state;
    assert_int_equal(kt_scan_prepare(&floats, KITH_HAMMING, half, KITH_F32, &scratch, &scan, &error),
                     KITH_INVALID);
    assert_non_null(strstr(error.message, "uint8"));
    assert_int_equal(kt_scan_prepare(&bytes, KITH_HAMMING, half, KITH_F32, &scratch, &scan, &error),
                     KITH_INVALID);
    assert_int_equal(kt_scan_prepare(&bytes, KITH_L2, half, KITH_F32, &scratch, &scan, &error), KITH_OK);
    assert_false(scan.integer);
    half[0] = 255.0f;
    assert_int_equal(kt_scan_prepare(&bytes, KITH_L2, half, KITH_F32, &scratch, &scan, &error), KITH_OK);
    assert_true(scan.integer);
    half[0] = 256.0f;
    assert_int_equal(kt_scan_prepare(&bytes, KITH_L2, half, KITH_F32, &scratch, &scan, &error), KITH_OK);
    assert_false(scan.integer);
    kt_arena_release(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_a_plain_loop_finds),
        cmocka_unit_test(a_row_is_at_no_distance_from_itself),
        cmocka_unit_test(keeps_to_row_ids_and_to_the_range),
        cmocka_unit_test(hits_get_the_distances_that_a_scan_gives),
        cmocka_unit_test(what_cannot_be_compared_is_refused),
    };
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
