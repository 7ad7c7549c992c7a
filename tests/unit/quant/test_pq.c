/* Product quantization: codes are the nearest ones, more of them mean less distortion, and what the fast scan
 * adds up is the distance to what the codes mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/random.h"
#include "kernels/kernels.h"
#include "quant/quant.h"

static const uint64_t seed = 7;

static float *random_rows(uint64_t count, uint32_t dim)
{
    struct kt_random random = { seed };
    float *rows = kt_alloc_array(count * dim, sizeof *rows);
    assert_non_null(rows);
    for (uint64_t i = 0; i < count * dim; i++)
        rows[i] = kt_random_float(&random) + kt_random_float(&random) - 1.0f;
    return rows;
}

static struct kt_pq train(uint32_t dim, uint32_t tables, const float *rows, uint64_t count, uint32_t threads)
{
    struct kt_pq pq = { 0 };
    struct kt_work work = { .threads = threads };
    kith_error error = { 0 };
    if (kt_pq_train(dim, tables, 15, seed, rows, count, &work, &pq, &error)) fail_msg("%s", error.message);
    return pq;
}

static double distortion(const struct kt_pq *pq, const float *rows, uint64_t count)
{
    uint8_t codes[256];
    float decoded[256];
    double sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        kt_pq_encode(pq, rows + i * pq->dim, codes, decoded);
        for (uint32_t d = 0; d < pq->dim; d++) sum += pow((double)(rows[i * pq->dim + d] - decoded[d]), 2);
    }
    return sum / (double)count;
}

static void more_tables_mean_less_distortion(void **state)
{
    enum { ROWS = 3000, DIM = 64 };
    float *rows = random_rows(ROWS, DIM);
    double before = INFINITY;
    (void)state;
    for (uint32_t tables = 1; tables <= DIM; tables *= 2) {
        struct kt_pq pq = train(DIM, tables, rows, ROWS, 0);
        double now = distortion(&pq, rows, ROWS);
        if (now >= before) fail_msg("%u tables: %g, half as many: %g", tables, now, before);
        before = now;
        kt_pq_release(&pq);
    }
    double variance = DIM / 6.0; /* a sixth for each number; 16 codes for each leave next to nothing of it */
    if (before > 0.015 * variance) fail_msg("%g of %g is left", before, variance);
    kt_free(rows);
}

static void codes_are_the_nearest(void **state)
{
    static const uint32_t shapes[][2] = { { 1, 1 },  { 2, 1 },   { 3, 2 },   { 31, 4 },
                                          { 33, 8 }, { 64, 16 }, { 100, 99 } };
    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        uint32_t dim = shapes[s][0], tables = shapes[s][1];
        float *rows = random_rows(500, dim);
        struct kt_pq pq = train(dim, tables, rows, 500, 0);
        for (uint32_t r = 0; r < 500; r++) {
            uint8_t codes[100];
            kt_pq_encode(&pq, rows + (size_t)r * dim, codes, NULL);
            for (uint32_t t = 0; t < tables; t++) {
                uint32_t first = pq.begin[t], width = pq.begin[t + 1] - first;
                double gap[16], least = INFINITY;
                for (uint32_t j = 0; j < 16; j++) {
                    gap[j] = 0;
                    for (uint32_t d = 0; d < width; d++)
                        gap[j] += pow((double)(rows[(size_t)r * dim + first + d] -
                                               pq.codebook[(size_t)16 * first + j * width + d]),
                                      2);
                    least = fmin(least, gap[j]);
                }
                assert_true(codes[t] < 16);
                assert_true(gap[codes[t]] <= least * (1 + 1e-5) + 1e-9);
            }
        }
        kt_pq_release(&pq);
        kt_free(rows);
    }
}

static void scanned_sums_are_the_decoded_products(void **state)
{
    enum { DIM = 70, ROWS = 29, MOST = 70 };
    static const uint32_t counts[] = { 1, 2, 17, 35, 70 };
    float *rows = random_rows(1000, DIM), *query = random_rows(1, DIM), entries[MOST * 16];
    uint8_t *lut = kt_alloc_aligned(MOST * 16), *block = kt_alloc_aligned(MOST * 16);
    (void)state;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        uint32_t tables = counts[c];
        struct kt_pq pq = train(DIM, tables, rows, 1000, 0);
        struct kt_pq_query table;
        uint8_t codes[ROWS * MOST];
        float decoded[ROWS][DIM];
        uint32_t sums[32];
        for (uint32_t r = 0; r < ROWS; r++)
            kt_pq_encode(&pq, rows + (size_t)r * DIM, codes + (size_t)r * tables, decoded[r]);
        kt_pq_pack(codes, ROWS, tables, block);
        kt_pq_prepare(&pq, query, -2.0f, entries, lut, &table);
        kt_kernels()->fastscan(block, (size_t)tables * 16, 1, lut, tables, sums);
        for (uint32_t r = 0; r < ROWS; r++) {
            double exact = 0, estimate = (double)table.scale * sums[r] + (double)table.bias;
            for (uint32_t d = 0; d < DIM; d++) exact += -2.0 * (double)query[d] * (double)decoded[r][d];
            double rounding = 0.5 * tables * (double)table.scale + 1e-4;
            if (fabs(estimate - exact) > rounding)
                fail_msg("%u tables, row %u: %g, not %g +- %g", tables, r, estimate, exact, rounding);
        }
        kt_pq_release(&pq);
    }
    kt_free(rows);
    kt_free(query);
    kt_free(lut);
    kt_free(block);
}

static void one_seed_is_one_codebook_for_any_threads(void **state)
{
    float *rows = random_rows(2000, 40);
    struct kt_pq one = train(40, 10, rows, 2000, 1), four = train(40, 10, rows, 2000, 4), copy = { 0 };
    (void)state;
    assert_memory_equal(one.codebook, four.codebook, 16 * 40 * sizeof(float));
    assert_int_equal(kt_pq_init(40, 10, one.codebook, &copy, NULL), KITH_OK);
    assert_memory_equal(one.columns, copy.columns, 16 * 40 * sizeof(float));
    kt_pq_release(&one);
    kt_pq_release(&four);
    kt_pq_release(&copy);
    kt_free(rows);
}

static void equal_rows_and_no_rows_are_no_failure(void **state)
{
    float rows[100 * 4] = { 0 }, decoded[4], entries[2 * 16];
    uint8_t codes[2], *lut = kt_alloc_aligned(32);
    struct kt_pq_query table;
    (void)state;
    for (uint64_t count = 0; count <= 100; count += 50) {
        struct kt_pq pq = train(4, 2, rows, count, 0);
        kt_pq_encode(&pq, rows, codes, decoded);
        for (int d = 0; d < 4; d++) assert_true(decoded[d] == 0.0f);
        kt_pq_prepare(&pq, rows, -2.0f, entries, lut, &table);
        assert_true(table.scale == 0.0f && table.bias == 0.0f);
        kt_pq_release(&pq);
    }
    kt_free(lut);
}

static void more_tables_than_dimensions_are_refused(void **state)
{
    struct kt_pq pq = { 0 };
    kith_error error = { 0 };
    (void)state;
    assert_int_equal(kt_pq_train(4, 5, 1, seed, NULL, 0, NULL, &pq, &error), KITH_INVALID);
    assert_non_null(strstr(error.message, "5 sub-quantisers"));
    assert_int_equal(kt_pq_train(4, 0, 1, seed, NULL, 0, NULL, &pq, &error), KITH_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_tables_mean_less_distortion),
        cmocka_unit_test(codes_are_the_nearest),
        cmocka_unit_test(scanned_sums_are_the_decoded_products),
        cmocka_unit_test(one_seed_is_one_codebook_for_any_threads),
        cmocka_unit_test(equal_rows_and_no_rows_are_no_failure),
        cmocka_unit_test(more_tables_than_dimensions_are_refused),
    };
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
