/* RaBitQ codes: estimates are right on the average and off by as much as their factors say, more bits mean
 * less, and the arithmetic on packed bits is the arithmetic on what they mean. */
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

enum { MOST_DIM = 448, QUERIES = 20, ROWS = 200 };
static const uint64_t seed = 29;
static const uint32_t dims[] = { 64, 192, MOST_DIM };
enum { DIMS = sizeof dims / sizeof *dims };

/* ---- one code and one query */

struct code {
    uint32_t dim, bits;
    float residual[MOST_DIM], centroid[MOST_DIM];
    float v[MOST_DIM]; /* what all bits mean */
    uint8_t codes[MOST_DIM / 4], extra[MOST_DIM];
    struct kt_factors of_signs, of_all; /* the same where there is one bit */
};

static void encode(struct code *c)
{
    kt_rabitq_encode(c->dim, c->bits, c->residual, c->centroid, c->v, c->codes, c->extra, &c->of_signs,
                     &c->of_all);
    if (c->bits == 1) c->of_all = c->of_signs;
}

struct asked {
    float vector[MOST_DIM];
    _Alignas(64) uint8_t lut[4 * MOST_DIM];
    int8_t bytes[MOST_DIM];
    struct kt_rabitq_query query;
};

static void ask(struct asked *a, uint32_t dim)
{
    kt_rabitq_prepare(dim, a->vector, a->lut, a->bytes, &a->query);
}

static uint32_t sum_of(const struct asked *a, const struct code *c)
{
    uint32_t sum = 0;
    for (uint32_t t = 0; t < c->dim / 4; t++) sum += a->lut[16 * t + c->codes[t]];
    return sum;
}

/* q.v as a search computes it, of the signs or of all bits. */
static float product(const struct asked *a, const struct code *c, bool all)
{
    float signs = a->query.unit * (float)sum_of(a, c) + a->query.bias;
    if (all && c->bits > 1) return kt_rabitq_product(&a->query, c->dim, c->bits, signs, c->extra);
    return signs - a->query.sum / 2;
}

/* The same of what the bits mean. */
static double plain_product(const struct asked *a, const struct code *c, bool all)
{
    double sum = 0;
    for (uint32_t d = 0; d < c->dim; d++)
        sum += (double)a->vector[d] * (all ? (double)c->v[d] : c->residual[d] > 0 ? 0.5 : -0.5);
    return sum;
}

static float gaussian(struct kt_random *random)
{
    double radius = sqrt(-2 * log(1 - (double)kt_random_float(random)));
    return (float)(radius * cos(6.283185307179586 * (double)kt_random_float(random)));
}

/* ---- how far estimates are off */

struct errors {
    double mean;     /* in standard errors */
    double share[4]; /* within so many standard errors */
    double size;     /* root of the mean square, in distances */
    double claimed;  /* the mean standard error */
};

static void add_error(struct errors *e, double off, double one)
{
    const double part = 1.0 / (QUERIES * ROWS);
    e->mean += off / one * part;
    e->size += off * off * part;
    e->claimed += one * part;
    for (int within = 1; within < 4; within++) e->share[within] += fabs(off) <= within * one ? part : 0;
}

/* Factors as a file keeps them, in units that suit residuals of about that length. */
static struct kt_factors stored(const struct kt_factors *f, float length, uint32_t dim, uint32_t bits)
{
    float side = exp2f(floorf(log2f(length / sqrtf((float)dim)))), square = exp2f(2 * floorf(log2f(length)));
    const struct kt_units units = { square, ldexpf(side, 1 - (int)bits), ldexpf(side, 1 - (int)bits) };
    uint16_t halves[3];
    float back[3];
    kt_factors_round(f, &units, halves);
    kt_kernels()->to_float[KITH_F16](halves, 3, back);
    return (struct kt_factors){ .add = back[0] * units.add,
                                .rescale = back[1] * units.rescale,
                                .error = back[2] * units.error };
}

enum how { IN_FLOATS, IN_HALVES, ROUNDED_QUERY };

/* The errors of 1 .. 9 bits: rows about a centroid and queries about the same, all at about 1 from it, itself
 * at about 1 from zero. out[0] is of the signs of codes of more bits. */
static void measure(uint32_t dim, enum how how, struct errors out[KT_RABITQ_BITS + 1])
{
    struct kt_random random = { seed };
    struct code *c = kt_alloc_zero(1, sizeof *c);
    struct asked *a = kt_alloc_aligned(sizeof *a);
    float scale = 1 / sqrtf((float)dim);
    assert_non_null(c);
    assert_non_null(a);
    c->dim = dim;
    memset(out, 0, (KT_RABITQ_BITS + 1) * sizeof *out);
    for (int q = 0; q < QUERIES; q++) {
        double away = 0;
        for (uint32_t d = 0; d < dim; d++) {
            c->centroid[d] = gaussian(&random) * scale;
            a->vector[d] = c->centroid[d] + gaussian(&random) * scale;
            away += pow((double)(a->vector[d] - c->centroid[d]), 2);
        }
        ask(a, dim);
        for (int r = 0; r < ROWS; r++) {
            double truth = 0;
            for (uint32_t d = 0; d < dim; d++) {
                c->residual[d] = gaussian(&random) * scale;
                truth += pow((double)a->vector[d] - (double)c->centroid[d] - (double)c->residual[d], 2);
            }
            for (uint32_t i = 0; i <= KT_RABITQ_BITS; i++) {
                c->bits = i ? i : KT_RABITQ_BITS;
                encode(c);
                struct kt_factors f = i ? c->of_all : c->of_signs;
                if (how == IN_HALVES) f = stored(&f, 1, dim, i ? i : 1);
                double qv = how != ROUNDED_QUERY ? plain_product(a, c, i > 0) : (double)product(a, c, i > 0);
                double estimate = away + (double)f.add + (double)f.rescale * qv;
                add_error(&out[i], estimate - truth, (double)f.error * sqrt(away));
            }
        }
    }
    for (uint32_t i = 0; i <= KT_RABITQ_BITS; i++) out[i].size = sqrt(out[i].size);
    kt_free(c);
    kt_free(a);
}

/* Shares as of a Gaussian: .683, .954, .997. */
static void check_errors(const struct errors *e, uint32_t dim, uint32_t bits)
{
    if (fabs(e->mean) > 0.06 || fabs(e->share[1] - 0.683) > 0.04 || fabs(e->share[2] - 0.954) > 0.02 ||
        e->share[3] < 0.994)
        fail_msg("dim %u, %u bits: off by %.3f on the average; %.3f, %.3f and %.4f within 1, 2 and 3 errors",
                 dim, bits, e->mean, e->share[1], e->share[2], e->share[3]);
}

static void estimates_err_as_their_factors_say(void **state)
{
    struct errors errors[KT_RABITQ_BITS + 1];
    (void)state;
    for (size_t i = 0; i < DIMS; i++) {
        measure(dims[i], IN_FLOATS, errors);
        for (uint32_t bits = 0; bits <= KT_RABITQ_BITS; bits++) check_errors(&errors[bits], dims[i], bits);
    }
}

/* As halves they err no more often than they say, and up to six bits they say hardly more. */
static void halves_err_as_they_say(void **state)
{
    static const double more[KT_RABITQ_BITS + 1] = {
        1.01, 1.01, 1.01, 1.01, 1.01, 1.01, 1.03, 1.07, 1.2, 1.5
    };
    struct errors floats[KT_RABITQ_BITS + 1], halves[KT_RABITQ_BITS + 1];
    (void)state;
    for (size_t i = 0; i < DIMS; i++) {
        measure(dims[i], IN_FLOATS, floats);
        measure(dims[i], IN_HALVES, halves);
        for (uint32_t bits = 0; bits <= KT_RABITQ_BITS; bits++) {
            const struct errors *h = &halves[bits], *f = &floats[bits];
            if (fabs(h->mean) > 0.06 || h->share[1] < 0.643 || h->share[2] < 0.934 || h->share[3] < 0.994)
                fail_msg(
                    "dim %u, %u bits: off by %.3f on the average; %.3f, %.3f, %.4f within 1, 2 and 3 errors",
                    dims[i], bits, h->mean, h->share[1], h->share[2], h->share[3]);
            if (h->claimed > more[bits] * f->claimed)
                fail_msg("dim %u, %u bits: halves say %g, floats %g", dims[i], bits, h->claimed, f->claimed);
        }
    }
}

/* Of a row that lies far from the rest: what rounding takes from add and rescale stands in the error, which
 * never gets less, and what a half does not hold is near to everything. */
static void factors_round_to_bounds_that_hold(void **state)
{
    const struct kt_units units = { 1, 1, 1 };
    struct kt_random random = { seed };
    uint32_t out_of_range = 0;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint16_t halves[3];
        float back[3];
        double size = pow(10, 14 * (double)kt_random_float(&random) - 8);
        struct kt_factors f = { .add = (float)size * gaussian(&random),
                                .rescale = -(float)sqrt(size) * kt_random_float(&random),
                                .error = (float)sqrt(size) * kt_random_float(&random),
                                .across = (float)sqrt(size) * gaussian(&random),
                                .reach = 3,
                                .length = (float)sqrt(size) };
        kt_factors_round(&f, &units, halves);
        kt_kernels()->to_float[KITH_F16](halves, 3, back);
        assert_true(back[2] >= f.error);
        if (isinf(back[2])) {
            assert_true(back[0] == 0 && back[1] == 0);
            assert_true(fabsf(f.add) > 60000 || f.error > 60000);
            out_of_range++;
            continue;
        }
        double turn = (double)f.rescale - (double)back[1], turned = turn * (double)f.reach;
        double lost = (double)f.add + turn * (double)f.across - (double)back[0];
        double beside = lost / (double)f.length, own = (double)f.error;
        double least = sqrt(own * own + turned * turned + beside * beside);
        if ((double)back[2] < least * (1 - 1e-5) - 1e-9 || (double)back[2] > least * 1.001 + 6e-8)
            fail_msg("an error of %g is stored as %g; it is %g with what rounding adds", own, (double)back[2],
                     least);
        assert_true(fabs(turn) <= 0.0005 * fabs((double)f.rescale) + 3e-8);
        assert_true(fabs(lost) <= 0.0005 * (fabs((double)f.add) + fabs(turn * (double)f.across)) + 3e-8);
    }
    assert_in_range(out_of_range, 1000, 50000);
}

static void factors_at_the_ends_of_a_half(void **state)
{
    static const struct {
        struct kt_factors f;
        uint16_t halves[3];
    } cases[] = {
        { { 0 }, { 0, 0, 0 } },
        { { .add = 1 }, { 0x3c00, 0, 0 } },
        { { .add = 65504, .length = 1 }, { 0x7bff, 0, 0 } },
        { { .add = -65504, .rescale = -65504, .error = 65504, .length = 1 }, { 0xfbff, 0xfbff, 0x7bff } },
        { { .add = 65520, .length = 300 }, { 0, 0, 0x7c00 } },
        { { .rescale = -1e6f, .reach = 1 }, { 0, 0, 0x7c00 } },
        { { .error = 65505 }, { 0, 0, 0x7c00 } },
        { { .error = 0x1p-24f }, { 0, 0, 1 } },
        { { .error = 1e-12f }, { 0, 0, 1 } },
        { { .error = 1.00001f }, { 0, 0, 0x3c01 } },
        { { .add = 0x1p-26f }, { 0, 0, 0x7c00 } }, /* lost, and nothing to measure it by */
        { { .add = 0x1p-26f, .length = 0x1p-13f }, { 0, 0, 0x0800 } },
        { { .add = NAN, .length = 1 }, { 0, 0, 0x7c00 } },
        { { .error = NAN }, { 0, 0, 0x7c00 } },
        { { .rescale = NAN, .reach = 1 }, { 0, 0, 0x7c00 } },
        { { .add = INFINITY, .error = INFINITY, .length = INFINITY }, { 0, 0, 0x7c00 } },
    };
    const struct kt_units one = { 1, 1, 1 };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int scale = -60; scale <= 60; scale += 60) { /* units take the scale away */
            struct kt_factors f = cases[i].f;
            const struct kt_units units = { ldexpf(one.add, scale), ldexpf(one.rescale, scale / 2),
                                            ldexpf(one.error, scale / 2) };
            uint16_t halves[3] = { 0xffff, 0xffff, 0xffff };
            f.add *= units.add;
            f.rescale *= units.rescale;
            f.error *= units.error;
            f.length *= units.error;
            kt_factors_round(&f, &units, halves);
            for (int j = 0; j < 3; j++)
                if ((halves[j] & (halves[j] == 0x8000 ? 0x7fff : 0xffff)) != cases[i].halves[j])
                    fail_msg("case %zu, scale %d: half %d is %04x, not %04x", i, scale, j, halves[j],
                             cases[i].halves[j]);
        }
    }
}

/* With the query in a table and in bytes, as it is searched for. Its rounding is in no factor: beyond four
 * bits it is more than what the codes leave. */
static void a_rounded_query_adds_little_up_to_four_bits(void **state)
{
    struct errors errors[KT_RABITQ_BITS + 1];
    (void)state;
    for (size_t i = 0; i < DIMS; i++) {
        measure(dims[i], ROUNDED_QUERY, errors);
        for (uint32_t bits = 0; bits <= 4; bits++)
            if (fabs(errors[bits].mean) > 0.2 || errors[bits].share[2] < 0.9)
                fail_msg("dim %u, %u bits: off by %.3f on the average, %.3f within 2 errors", dims[i], bits,
                         errors[bits].mean, errors[bits].share[2]);
    }
}

static void every_bit_more_takes_off_a_third_of_the_error(void **state)
{
    struct errors errors[KT_RABITQ_BITS + 1];
    (void)state;
    for (size_t i = 0; i < DIMS; i++) {
        measure(dims[i], IN_FLOATS, errors);
        for (uint32_t bits = 2; bits <= KT_RABITQ_BITS; bits++) {
            const struct errors *now = &errors[bits], *before = now - 1;
            if (now->size > before->size * 2 / 3 || now->claimed > before->claimed * 2 / 3)
                fail_msg("dim %u: %u bits err by %g and say %g, one less by %g and %g", dims[i], bits,
                         now->size, now->claimed, before->size, before->claimed);
        }
    }
}

/* ---- what is exact */

static void a_zero_residual_is_estimated_exactly(void **state)
{
    struct kt_random random = { seed };
    struct code *c = kt_alloc_zero(1, sizeof *c);
    (void)state;
    assert_non_null(c);
    for (c->bits = 1; c->bits <= KT_RABITQ_BITS; c->bits++) {
        c->dim = 128;
        for (uint32_t d = 0; d < c->dim; d++) c->centroid[d] = gaussian(&random);
        memset(&c->of_all, 0xff, sizeof c->of_all);
        encode(c);
        assert_true(c->of_signs.add == 0 && c->of_signs.rescale == 0 && c->of_signs.error == 0);
        assert_true(c->of_all.add == 0 && c->of_all.rescale == 0 && c->of_all.error == 0);
    }
    kt_free(c);
}

/* A residual that is a multiple of a code loses nothing: signs, all of one size. */
static void residuals_that_codes_can_say_have_no_error(void **state)
{
    struct kt_random random = { seed };
    struct code *c = kt_alloc_zero(1, sizeof *c);
    (void)state;
    assert_non_null(c);
    c->dim = 256, c->bits = 1;
    for (uint32_t d = 0; d < c->dim; d++) {
        c->residual[d] = kt_random_u64(&random) >> 63 ? 0.25f : -0.25f;
        c->centroid[d] = gaussian(&random);
    }
    encode(c);
    assert_true(c->of_signs.error < 1e-3f);
    assert_true(fabsf(c->of_signs.rescale + 2 * 0.5f) < 1e-4f); /* v is twice the residual: rho is a half */
    kt_free(c);
}

/* ---- packed bits */

/* A query of whole numbers up to 127 is its own bytes, so what is unpacked must add up to the last digit. */
static void packed_bits_multiply_as_what_they_mean(void **state)
{
    struct kt_random random = { seed };
    struct code *c = kt_alloc_zero(1, sizeof *c);
    struct asked *a = kt_alloc_aligned(sizeof *a);
    (void)state;
    assert_non_null(c);
    assert_non_null(a);
    for (size_t i = 0; i < DIMS; i++) {
        c->dim = dims[i];
        for (uint32_t d = 0; d < c->dim; d++) {
            a->vector[d] = (float)kt_random_below(&random, 255) - 127;
            c->residual[d] = gaussian(&random);
        }
        a->vector[0] = 127;
        ask(a, c->dim);
        assert_true(a->query.byte_unit == 1.0f);
        for (c->bits = 2; c->bits <= KT_RABITQ_BITS; c->bits++) {
            double low = 0, top = 1u << (c->bits - 1), half = top - 0.5, size = 0;
            encode(c);
            for (uint32_t d = 0; d < c->dim; d++) {
                double u = (double)c->v[d] + half; /* the whole number that is stored */
                assert_true(u == floor(u) && u >= 0 && u < 2 * top);
                assert_int_equal(u >= top, c->codes[d / 4] >> d % 4 & 1);
                low += (double)a->vector[d] * (u >= top ? u - top : u);
                size += fabs((double)a->vector[d]) * top;
            }
            double signs = (double)(a->query.unit * (float)sum_of(a, c) + a->query.bias);
            double expected = top * signs + low - half * (double)a->query.sum,
                   is = (double)product(a, c, true);
            if (fabs(is - expected) > 1e-6 * size)
                fail_msg("dim %u, %u bits: %.1f, not %.1f", c->dim, c->bits, is, expected);
        }
    }
    kt_free(c);
    kt_free(a);
}

/* With any query, the product is off by no more than rounding the query and its table can make of it. */
static void products_are_those_of_floats_but_for_rounding(void **state)
{
    struct kt_random random = { seed };
    struct code *c = kt_alloc_zero(1, sizeof *c);
    struct asked *a = kt_alloc_aligned(sizeof *a);
    (void)state;
    assert_non_null(c);
    assert_non_null(a);
    for (size_t i = 0; i < 100 * DIMS; i++) {
        c->dim = dims[i % DIMS];
        c->bits = 1 + (uint32_t)kt_random_below(&random, KT_RABITQ_BITS);
        for (uint32_t d = 0; d < c->dim; d++) {
            a->vector[d] = gaussian(&random) * 1e-3f;
            c->residual[d] = gaussian(&random) * 1e3f;
        }
        encode(c);
        ask(a, c->dim);
        double top = 1u << (c->bits - 1), tables = c->dim / 4.0;
        double deviation = top * (double)a->query.unit * sqrt(tables / 12) +
                           (double)a->query.byte_unit * top * sqrt(c->dim / 36.0);
        double off = (double)product(a, c, true) - plain_product(a, c, true);
        if (fabs(off) > 6 * deviation)
            fail_msg("dim %u, %u bits: off by %g, %.1f deviations", c->dim, c->bits, off,
                     fabs(off) / deviation);
    }
    kt_free(c);
    kt_free(a);
}

static void a_row_takes_as_many_extra_bytes_as_it_has_bits(void **state)
{
    struct code *c = kt_alloc_zero(1, sizeof *c);
    struct kt_random random = { seed };
    (void)state;
    assert_non_null(c);
    c->dim = 192;
    for (uint32_t d = 0; d < c->dim; d++) c->residual[d] = gaussian(&random);
    for (c->bits = 1; c->bits <= KT_RABITQ_BITS; c->bits++) {
        uint32_t bytes = kt_rabitq_extra_bytes(c->dim, c->bits), changed = 0;
        assert_int_equal(bytes, 192 / 8 * (c->bits - 1));
        memset(c->extra, 0xa5, sizeof c->extra);
        encode(c);
        for (uint32_t i = 0; i < bytes; i++) changed += c->extra[i] != 0xa5;
        if (bytes) assert_true(changed > bytes / 2);
        for (size_t i = bytes; i < sizeof c->extra; i++) assert_int_equal(c->extra[i], 0xa5);
    }
    kt_free(c);
}

/* ---- bytes */

static void bytes_are_the_nearest_by_one_unit(void **state)
{
    struct kt_random random = { seed };
    float values[MOST_DIM];
    int8_t bytes[MOST_DIM];
    (void)state;
    for (float size = 1e-20f; size < 1e21f; size *= 1e4f) {
        float largest = 0;
        for (uint32_t d = 0; d < MOST_DIM; d++) {
            values[d] = gaussian(&random) * size;
            largest = fmaxf(largest, fabsf(values[d]));
        }
        float unit = kt_to_bytes(values, MOST_DIM, bytes);
        assert_true(fabsf(unit - largest / 127) <= 1e-6f * unit);
        for (uint32_t d = 0; d < MOST_DIM; d++) {
            assert_true(bytes[d] >= -127);
            assert_true(fabsf(values[d] - unit * (float)bytes[d]) <= 0.5001f * unit);
        }
    }
    memset(values, 0, sizeof values);
    assert_true(kt_to_bytes(values, MOST_DIM, bytes) == 0.0f);
    for (uint32_t d = 0; d < MOST_DIM; d++) assert_int_equal(bytes[d], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_err_as_their_factors_say),
        cmocka_unit_test(halves_err_as_they_say),
        cmocka_unit_test(factors_round_to_bounds_that_hold),
        cmocka_unit_test(factors_at_the_ends_of_a_half),
        cmocka_unit_test(a_rounded_query_adds_little_up_to_four_bits),
        cmocka_unit_test(every_bit_more_takes_off_a_third_of_the_error),
        cmocka_unit_test(a_zero_residual_is_estimated_exactly),
        cmocka_unit_test(residuals_that_codes_can_say_have_no_error),
        cmocka_unit_test(packed_bits_multiply_as_what_they_mean),
        cmocka_unit_test(products_are_those_of_floats_but_for_rounding),
        cmocka_unit_test(a_row_takes_as_many_extra_bytes_as_it_has_bits),
        cmocka_unit_test(bytes_are_the_nearest_by_one_unit),
    };
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
