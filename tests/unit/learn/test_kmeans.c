/* k-means makes as many clusters as can be, good ones, and the same ones on any number of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/random.h"
#include "learn/learn.h"

static const uint64_t seed = 20240229;

/* `count` rows around `blobs` random points, spread 0.1 of the points' own. */
static float *blob_rows(uint64_t count, uint32_t dim, uint32_t blobs)
{
    struct kt_random random = { seed };
    float *centers = kt_alloc_array((size_t)blobs * dim, sizeof *centers);
    float *rows = kt_alloc_array(count * dim, sizeof *rows);
    assert_non_null(centers);
    assert_non_null(rows);
    for (size_t i = 0; i < (size_t)blobs * dim; i++) centers[i] = kt_random_float(&random);
    for (uint64_t i = 0; i < count; i++) {
        const float *center = centers + kt_random_below(&random, blobs) * dim;
        for (uint32_t d = 0; d < dim; d++)
            rows[i * dim + d] = center[d] + 0.1f * (kt_random_float(&random) - 0.5f);
    }
    kt_free(centers);
    return rows;
}

static double distortion(const float *centroids, uint32_t k, uint32_t dim, const float *rows, uint64_t count)
{
    uint32_t *nearest = kt_alloc_array(count, sizeof *nearest);
    float *distances = kt_alloc_array(count, sizeof *distances);
    double sum = 0;
    kt_nearest(centroids, k, dim, rows, count, nearest, distances);
    for (uint64_t i = 0; i < count; i++) sum += (double)distances[i];
    kt_free(nearest);
    kt_free(distances);
    return sum;
}

static struct kt_centroids train(const struct kt_kmeans *options, const float *rows, uint64_t count,
                                 uint32_t threads)
{
    struct kt_centroids made = { 0 };
    struct kt_work work = { .threads = threads };
    kith_error error = { 0 };
    if (kt_kmeans_train(options, rows, count, &work, &made, &error)) fail_msg("%s", error.message);
    return made;
}

static void clusters_are_tighter_than_random_rows(void **state)
{
    enum { ROWS = 6000, DIM = 16, K = 100 };
    float *rows = blob_rows(ROWS, DIM, K);
    (void)state;
    for (int levels = 1; levels <= 2; levels++) {
        struct kt_kmeans options = {
            .dim = DIM, .clusters = K, .max_iterations = 25, .seed = seed, .two_levels = levels == 2
        };
        struct kt_centroids made = train(&options, rows, ROWS, 0);
        assert_int_equal(made.count, K);
        double ours = distortion(made.values, K, DIM, rows, ROWS),
               random = distortion(rows, K, DIM, rows, ROWS);
        if (ours > 0.5 * random)
            fail_msg("%d levels: distortion %g, of random rows %g", levels, ours, random);
        kt_centroids_release(&made);
    }
    kt_free(rows);
}

static void one_seed_is_one_result_for_any_threads(void **state)
{
    enum { ROWS = 5000, DIM = 33, K = 130 };
    float *rows = blob_rows(ROWS, DIM, 400);
    (void)state;
    for (int levels = 1; levels <= 2; levels++) {
        struct kt_kmeans options = {
            .dim = DIM, .clusters = K, .max_iterations = 8, .seed = seed, .two_levels = levels == 2
        };
        struct kt_centroids one = train(&options, rows, ROWS, 1), four = train(&options, rows, ROWS, 4);
        assert_int_equal(one.count, four.count);
        assert_int_equal(one.meso_count, four.meso_count);
        assert_memory_equal(one.values, four.values, (size_t)one.count * DIM * sizeof(float));
        assert_memory_equal(one.meso, four.meso, (size_t)one.meso_count * DIM * sizeof(float));
        kt_centroids_release(&one);
        kt_centroids_release(&four);
    }
    kt_free(rows);
}

static void meso_clusters_own_adjacent_centroids(void **state)
{
    enum { ROWS = 10000, DIM = 24, K = 256 };
    float *rows = blob_rows(ROWS, DIM, 1000);
    struct kt_kmeans options = { .dim = DIM, .clusters = K, .seed = seed, .two_levels = true };
    struct kt_centroids made = train(&options, rows, ROWS, 0);
    (void)state;
    assert_int_equal(made.count, K);
    assert_int_equal(made.meso_count, 16);
    assert_int_equal(made.meso_begin[0], 0);
    assert_int_equal(made.meso_begin[made.meso_count], K);
    for (uint32_t m = 0; m < made.meso_count; m++) assert_true(made.meso_begin[m] < made.meso_begin[m + 1]);
    kt_centroids_release(&made);
    kt_free(rows);
}

static void makes_one_cluster_a_distinct_row_at_most(void **state)
{
    enum { ROWS = 3000, DIM = 5 };
    float *rows = kt_alloc_zero((size_t)ROWS * DIM, sizeof *rows);
    (void)state;
    static const uint32_t distinct[] = { 1, 2, 7, 90 };
    for (size_t i = 0; i < sizeof distinct / sizeof *distinct; i++) {
        for (uint32_t r = 0; r < ROWS; r++)
            for (uint32_t d = 0; d < DIM; d++) rows[(size_t)r * DIM + d] = (float)(r % distinct[i]);
        for (int levels = 1; levels <= 2; levels++) {
            struct kt_kmeans options = {
                .dim = DIM, .clusters = 200, .seed = seed, .two_levels = levels == 2
            };
            struct kt_centroids made = train(&options, rows, ROWS, 0);
            assert_int_equal(made.count, distinct[i]);
            double left = distortion(made.values, made.count, DIM, rows, ROWS);
            if (left > 0.01 * ROWS) fail_msg("%u distinct rows, %d levels: %g", distinct[i], levels, left);
            kt_centroids_release(&made);
        }
    }
    kt_free(rows);
}

static void a_crowd_of_duplicates_leaves_the_others_their_clusters(void **state)
{
    enum { ROWS = 4000, DIM = 8, K = 256 };
    float *rows = blob_rows(ROWS, DIM, ROWS);
    (void)state;
    memset(rows, 0, (size_t)ROWS / 2 * DIM * sizeof *rows); /* half of them are one row */
    struct kt_kmeans options = { .dim = DIM, .clusters = K, .seed = seed, .two_levels = true };
    struct kt_centroids made = train(&options, rows, ROWS, 0);
    uint32_t nearest[ROWS], used[K] = { 0 }, filled = 0;
    assert_int_equal(made.count, K);
    kt_nearest(made.values, made.count, DIM, rows, ROWS, nearest, NULL);
    for (uint32_t r = 0; r < ROWS; r++) filled += used[nearest[r]]++ == 0;
    assert_true(filled > K * 9 / 10);
    kt_centroids_release(&made);
    kt_free(rows);
}

static void few_rows_or_none_are_no_failure(void **state)
{
    float rows[5] = { 1, 2, 3, 4, 5 };
    (void)state;
    for (uint64_t count = 0; count <= 5; count++) {
        struct kt_kmeans options = { .dim = 1, .clusters = 256, .seed = seed, .two_levels = true };
        struct kt_centroids made = train(&options, rows, count, 0);
        assert_int_equal(made.count, count);
        kt_centroids_release(&made);
    }
}

/* ---- nearest ---- */

static uint32_t plain_nearest(const float *centroids, uint32_t k, uint32_t dim, const float *row,
                              double *distance)
{
    uint32_t best = 0;
    *distance = INFINITY;
    for (uint32_t c = 0; c < k; c++) {
        double sum = 0;
        for (uint32_t d = 0; d < dim; d++) sum += pow((double)(row[d] - centroids[(size_t)c * dim + d]), 2);
        if (sum >= *distance) continue;
        *distance = sum;
        best = c;
    }
    return best;
}

static void nearest_is_the_nearest(void **state)
{
    static const uint32_t dims[] = { 1, 2, 3, 31, 33, 100 }, counts[] = { 1, 2, 7, 8, 63, 64, 65, 200 };
    (void)state;
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        for (size_t j = 0; j < sizeof counts / sizeof *counts; j++) {
            uint32_t dim = dims[i], k = counts[j], nearest[300];
            float *centroids = blob_rows(k, dim, k), *rows = blob_rows(300, dim, 300), distances[300];
            kt_nearest(centroids, k, dim, rows, 300, nearest, distances);
            for (uint32_t r = 0; r < 300; r++) {
                double best;
                plain_nearest(centroids, k, dim, rows + (size_t)r * dim, &best);
                assert_true(nearest[r] < k);
                if (fabs((double)distances[r] - best) > 1e-4 * (1 + best))
                    fail_msg("dim %u, k %u: %g, not %g", dim, k, (double)distances[r], best);
            }
            kt_free(centroids);
            kt_free(rows);
        }
    }
}

static void ties_go_to_the_smaller_number(void **state)
{
    float centroids[40 * 3], row[3] = { 1, 2, 3 };
    uint32_t nearest = 99;
    (void)state;
    for (int c = 0; c < 40; c++)
        for (int d = 0; d < 3; d++) centroids[c * 3 + d] = c < 5 ? 100.0f : row[d];
    kt_nearest(centroids, 40, 3, row, 1, &nearest, NULL);
    assert_int_equal(nearest, 5);
}

static void a_beam_finds_nearly_what_all_find(void **state)
{
    enum { ROWS = 20000, ASKED = 1000, DIM = 20, K = 1024 };
    float *rows = blob_rows(ROWS, DIM, 3000), norms[K], meso_norms[64];
    uint32_t all[ASKED], some[ASKED], full[ASKED], agree = 0;
    struct kt_kmeans options = {
        .dim = DIM, .clusters = K, .seed = seed, .two_levels = true, .max_iterations = 10
    };
    struct kt_centroids made = train(&options, rows, ROWS, 0);
    struct kt_arena scratch = { 0 };
    (void)state;
    assert_true(made.meso_count <= 64);
    kt_square_norms(made.values, made.count, DIM, norms);
    kt_square_norms(made.meso, made.meso_count, DIM, meso_norms);
    struct kt_tree tree = { made.values,     norms,      made.meso, meso_norms,
                            made.meso_begin, made.count, DIM,       made.meso_count };
    kt_nearest(made.values, made.count, DIM, rows, ASKED, all, NULL);
    assert_int_equal(kt_tree_nearest(&tree, made.meso_count, rows, ASKED, &scratch, full, NULL, NULL),
                     KITH_OK);
    assert_int_equal(
        kt_tree_nearest(&tree, kt_tree_beam(made.meso_count), rows, ASKED, &scratch, some, NULL, NULL),
        KITH_OK);
    assert_memory_equal(all, full, sizeof all);
    for (int i = 0; i < ASKED; i++) agree += all[i] == some[i];
    if (agree < ASKED * 97 / 100) fail_msg("only %u of %d rows agree", agree, ASKED);
    kt_arena_release(&scratch);
    kt_centroids_release(&made);
    kt_free(rows);
}

/* ---- samples, cancelling ---- */

static void a_sample_is_distinct_and_ascends(void **state)
{
    uint64_t out[1000], again[1000];
    (void)state;
    assert_int_equal(kt_sample(1000000, 1000, seed, out), 1000);
    for (int i = 1; i < 1000; i++) assert_true(out[i - 1] < out[i]);
    assert_true(out[999] < 1000000);
    kt_sample(1000000, 1000, seed, again);
    assert_memory_equal(out, again, sizeof out);
    assert_int_equal(kt_sample(7, 1000, seed, out), 7);
    for (uint64_t i = 0; i < 7; i++) assert_int_equal(out[i], i);
    assert_int_equal(kt_sample(0, 1000, seed, out), 0);
}

static int refuse(const kith_progress *progress, void *user)
{
    *(uint64_t *)user = progress->done;
    return 1;
}

static void a_refused_progress_call_ends_the_training(void **state)
{
    float *rows = blob_rows(3000, 8, 100);
    uint64_t done = 0;
    struct kt_work work = { .progress = refuse, .user = &done };
    struct kt_kmeans options = { .dim = 8, .clusters = 100, .seed = seed, .two_levels = true };
    struct kt_centroids made = { 0 };
    kith_error error = { 0 };
    (void)state;
    assert_int_equal(kt_kmeans_train(&options, rows, 3000, &work, &made, &error), KITH_CANCELLED);
    assert_null(made.values);
    kt_free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clusters_are_tighter_than_random_rows),
        cmocka_unit_test(one_seed_is_one_result_for_any_threads),
        cmocka_unit_test(meso_clusters_own_adjacent_centroids),
        cmocka_unit_test(makes_one_cluster_a_distinct_row_at_most),
        cmocka_unit_test(a_crowd_of_duplicates_leaves_the_others_their_clusters),
        cmocka_unit_test(few_rows_or_none_are_no_failure),
        cmocka_unit_test(nearest_is_the_nearest),
        cmocka_unit_test(ties_go_to_the_smaller_number),
        cmocka_unit_test(a_beam_finds_nearly_what_all_find),
        cmocka_unit_test(a_sample_is_distinct_and_ascends),
        cmocka_unit_test(a_refused_progress_call_ends_the_training),
    };
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
