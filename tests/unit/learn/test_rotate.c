/* A random rotation keeps what distances are made of, and leaves no number of a vector larger than the
 * others, whatever the vector was: the two things that codes of a bit a number rest on. */
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
#include "learn/learn.h"

enum { MOST_DIM = 4096 };
static const uint64_t seed = 17;
static const uint32_t dims[] = { 1, 2, 3, 31, 33, 50, 64, 65, 128, 384, 768, 784, 960, 1000, MOST_DIM };
enum { DIMS = sizeof dims / sizeof *dims };

static struct kt_rotation rotation_of(uint32_t dim, uint64_t of_seed)
{
    struct kt_rotation rotation = { 0 };
    kith_error error = { 0 };
    if (kt_rotation_init(dim, of_seed, &rotation, &error)) fail_msg("%s", error.message);
    assert_int_equal(rotation.dim, kt_rotation_dim(dim));
    return rotation;
}

/* `dim` random numbers, then the zeros that a rotation wants behind them. */
static void random_vector(struct kt_random *random, uint32_t dim, float *out)
{
    memset(out, 0, MOST_DIM * sizeof *out);
    for (uint32_t d = 0; d < dim; d++) out[d] = kt_random_float(random) - 0.3f;
}

static double product(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;
    for (uint32_t d = 0; d < dim; d++) sum += (double)a[d] * (double)b[d];
    return sum;
}

static void dimensions_are_rounded_up_to_whole_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIMS; i++) {
        uint32_t rotated = kt_rotation_dim(dims[i]);
        assert_int_equal(rotated % 64, 0);
        assert_in_range(rotated, dims[i], dims[i] + 63);
    }
}

static void lengths_and_inner_products_are_kept(void **state)
{
    static float a[MOST_DIM], b[MOST_DIM];
    struct kt_random random = { seed };
    (void)state;
    for (size_t i = 0; i < DIMS; i++) {
        struct kt_rotation rotation = rotation_of(dims[i], seed + i);
        for (int round = 0; round < 10; round++) {
            random_vector(&random, dims[i], a);
            random_vector(&random, dims[i], b);
            double aa = product(a, a, dims[i]), bb = product(b, b, dims[i]), ab = product(a, b, dims[i]);
            kt_rotate(&rotation, a);
            kt_rotate(&rotation, b);
            double gap = fmax(fabs(product(a, a, rotation.dim) - aa) / aa,
                              fabs(product(a, b, rotation.dim) - ab) / sqrt(aa * bb));
            if (gap > 1e-5) fail_msg("dim %u: off by %g", dims[i], gap);
        }
        kt_rotation_release(&rotation);
    }
}

static void one_seed_is_one_rotation_and_another_is_another(void **state)
{
    static float a[MOST_DIM], b[MOST_DIM], other[MOST_DIM];
    struct kt_random random = { seed };
    (void)state;
    for (size_t i = 0; i < DIMS; i++) {
        struct kt_rotation one = rotation_of(dims[i], 1), again = rotation_of(dims[i], 1),
                           two = rotation_of(dims[i], 2);
        random_vector(&random, dims[i], a);
        memcpy(b, a, sizeof b);
        memcpy(other, a, sizeof other);
        kt_rotate(&one, a);
        kt_rotate(&again, b);
        kt_rotate(&two, other);
        assert_memory_equal(a, b, one.dim * sizeof *a);
        double cosine = product(a, other, one.dim) / product(a, a, one.dim);
        if (fabs(cosine) > 5 / sqrt(one.dim)) fail_msg("dim %u: two seeds agree by %g", dims[i], cosine);
        kt_rotation_release(&one);
        kt_rotation_release(&again);
        kt_rotation_release(&two);
    }
}

/* A Gaussian vector has no number beyond six deviations, and no run of 64 with much more or less than its
 * share. Where the dimension is no power of two, a number that is outside of a round's transform is only
 * halved by the walk: after four rounds one may still be as large as a third of the vector. */
static void check_spread(const struct kt_rotation *rotation, float *values, const char *what, uint32_t dim)
{
    double all = product(values, values, dim), largest = 0, least = INFINITY, most = 0;
    bool power = (rotation->dim & (rotation->dim - 1)) == 0;
    kt_rotate(rotation, values);
    for (uint32_t d = 0; d < rotation->dim; d++) largest = fmax(largest, fabs((double)values[d]));
    for (uint32_t at = 0; at < rotation->dim; at += 64) {
        double part = product(values + at, values + at, 64) / all * (rotation->dim / 64);
        least = fmin(least, part);
        most = fmax(most, part);
    }
    largest /= sqrt(all);
    if (largest > (power ? 6 / sqrt(rotation->dim) : 0.45) || least < 0.2 || most > (power ? 2.2 : 3.5))
        fail_msg(
            "dim %u, %s: the largest number is %.2f of the length, parts have %.2f .. %.2f of their share",
            dim, what, largest, least, most);
}

static void no_vector_keeps_its_energy_in_a_few_numbers(void **state)
{
    static float values[MOST_DIM];
    (void)state;
    for (size_t i = 0; i < DIMS; i++) {
        struct kt_rotation rotation = rotation_of(dims[i], seed + i);
        uint32_t dim = dims[i], step = dim / 40 + 1;
        for (uint32_t d = 0; d < dim; d += step) {
            random_vector(NULL, 0, values);
            values[d] = 1;
            check_spread(&rotation, values, "one number", dim);
        }
        for (uint32_t width = 1; width <= dim;
             width *= 2) { /* what a transform without signs gathers again */
            random_vector(NULL, 0, values);
            for (uint32_t d = 0; d < dim; d++) values[d] = d / width % 2 ? -3.0f : 3.0f;
            check_spread(&rotation, values, "a square wave", dim);
        }
        kt_rotation_release(&rotation);
    }
}

static void zero_stays_zero_and_releasing_twice_is_harmless(void **state)
{
    static float values[MOST_DIM];
    struct kt_rotation rotation = rotation_of(50, seed);
    (void)state;
    random_vector(NULL, 0, values);
    kt_rotate(&rotation, values);
    for (uint32_t d = 0; d < 64; d++) assert_true(values[d] == 0.0f);
    kt_rotation_release(&rotation);
    kt_rotation_release(&rotation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dimensions_are_rounded_up_to_whole_words),
        cmocka_unit_test(lengths_and_inner_products_are_kept),
        cmocka_unit_test(one_seed_is_one_rotation_and_another_is_another),
        cmocka_unit_test(no_vector_keeps_its_energy_in_a_few_numbers),
        cmocka_unit_test(zero_stays_zero_and_releasing_twice_is_harmless),
    };
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
