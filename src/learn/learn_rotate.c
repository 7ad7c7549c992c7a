/* A random rotation of any dimension in O(d log d): four rounds of random signs, a fast Hadamard transform of
 * the first (then the last, in turn) power of two of the numbers, and, where that is not all of them, a step
 * of Kac's walk that mixes each number with the one half the length away (as the RaBitQ authors' library
 * does it). After it no number of a vector says more than another, which is what codes of one bit a number
 * rest on.
 *
 * Every step is orthogonal but for a factor; the factors are multiplied into the signs. So a rotation is
 * 4 * dim floats, made again from a seed wherever it is needed, and never stored.
 */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "kernels/kernels.h"
#include "learn/learn.h"

enum { ROUNDS = 4, MULTIPLE = 64 };

uint32_t kt_rotation_dim(uint32_t dim)
{
    return (dim + MULTIPLE - 1) / MULTIPLE * MULTIPLE;
}

void kt_rotation_release(struct kt_rotation *rotation)
{
    kt_free(rotation->signs);
    *rotation = (struct kt_rotation){ 0 };
}

/* Where the transform of a round begins. */
static uint32_t round_begin(const struct kt_rotation *rotation, uint32_t round)
{
    return round % 2 ? rotation->dim - (1u << rotation->log_power) : 0;
}

kith_status kt_rotation_init(uint32_t dim, uint64_t seed, struct kt_rotation *out, kith_error *error)
{
    struct kt_rotation made = { .dim = kt_rotation_dim(dim) };
    struct kt_random random = { seed };
    while ((2u << made.log_power) <= made.dim) made.log_power++;
    uint32_t power = 1u << made.log_power;
    bool walks = power < made.dim;
    made.signs = kt_alloc_aligned((size_t)ROUNDS * made.dim * sizeof *made.signs);
    if (!made.signs) return kt_fail_memory(error, (size_t)ROUNDS * made.dim * sizeof *made.signs);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t begin = round_begin(&made, round);
        float transformed = 1 / sqrtf((float)power), step = walks ? sqrtf(0.5f) : 1;
        for (uint32_t i = 0; i < made.dim; i++) {
            bool inside = i >= begin && i < begin + power;
            float size = step * (inside ? transformed : 1);
            made.signs[(size_t)round * made.dim + i] = kt_random_u64(&random) >> 63 ? size : -size;
        }
    }
    *out = made;
    return KITH_OK;
}

void kt_rotate(const struct kt_rotation *rotation, float *values)
{
    uint32_t dim = rotation->dim, half = dim / 2;
    bool walks = (1u << rotation->log_power) < dim;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        const float *restrict signs = rotation->signs + (size_t)round * dim;
        float *restrict low = values, *restrict high = values + half;
        for (uint32_t i = 0; i < dim; i++) low[i] *= signs[i];
        kt_kernels()->hadamard(values + round_begin(rotation, round), rotation->log_power);
        for (uint32_t i = 0; walks && i < half; i++) {
            float a = low[i], b = high[i];
            low[i] = a + b;
            high[i] = a - b;
        }
    }
}
