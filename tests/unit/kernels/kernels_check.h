/* What a table of kernels promises, checked without a test framework, so that a build for another processor
 * can run it under an emulator (kernels_check_main.c) and cmocka can run it here (test_kernels.c). The
 * includer defines _GNU_SOURCE for mmap().
 *
 * Every number is compared with its formula in double precision, written once more below; whole numbers must
 * be equal. Vectors end at a page that may not be touched, which a load past their end does not survive, and
 * so they begin at every alignment their type has. */
#ifndef KERNELS_CHECK_H
#define KERNELS_CHECK_H

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/random.h"
#include "kernels/kernels.h"

enum { LENDS = 4, LEND_BYTES = 4 << 20, ROWS_MAX = 9 };

static const size_t large_dims[] = { 255, 256, 257, 384, 768, 1000, 1536, 4096 };
static const char *const element_names[] = { "f32", "f16", "f64", "i8", "u8" };
static const char *const metric_names[] = { "none", "l2", "cosine", "dot", "hamming" };
static const kith_metric metrics[] = { KITH_L2, KITH_COSINE, KITH_DOT };

static char wrong_text[400];

static const char *wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(wrong_text, sizeof wrong_text, format, arguments);
    va_end(arguments);
    return wrong_text;
}

/* `bytes` that end where memory ends; good until the same `slot` is lent again. */
static void *lend(unsigned slot, size_t bytes)
{
    static unsigned char *ends[LENDS];
    if (!ends[slot]) {
        unsigned char *memory =
            mmap(NULL, LEND_BYTES + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(memory + LEND_BYTES, 65536, PROT_NONE);
        ends[slot] = memory + LEND_BYTES;
    }
    return ends[slot] - bytes;
}

/* The i-th of the dimensions worth trying: 1..130, then the large ones, then 0. */
static size_t dim_at(size_t i)
{
    if (i < 130) return i + 1;
    return i - 130 < sizeof large_dims / sizeof *large_dims ? large_dims[i - 130] : 0;
}

/* ---- numbers of every type ---- */

static double half_value(uint16_t half)
{
    int exponent = (half >> 10) & 31, mantissa = half & 1023;
    double size = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    if (exponent == 31) size = mantissa ? (double)NAN : (double)INFINITY;
    return half & 0x8000 ? -size : size;
}

static double number(kith_element element, const void *vector, size_t at)
{
    const unsigned char *p = (const unsigned char *)vector + at * kt_element_bytes(element);
    float f32;
    uint16_t f16;
    double f64;
    switch (element) {
    case KITH_F16:
        memcpy(&f16, p, 2);
        return half_value(f16);
    case KITH_F64:
        memcpy(&f64, p, 8);
        return f64;
    case KITH_I8:
        return (int8_t)*p;
    case KITH_U8:
        return *p;
    default:
        memcpy(&f32, p, 4);
        return f32;
    }
}

/* Finite numbers; those of floats are mostly in -1..1, sometimes all 100 times larger. */
static void fill(struct kt_random *random, kith_element element, size_t count, void *out)
{
    unsigned char *p = out;
    double scale = kt_random_below(random, 4) ? 1 : 100;
    for (size_t i = 0; i < count; i++, p += kt_element_bytes(element)) {
        double value = scale * (2.0 * (double)kt_random_float(random) - 1);
        float f32 = (float)value;
        uint16_t f16 = (uint16_t)(kt_random_u64(random) & 0xbfff); /* exponents up to 15: below 2 */
        switch (element) {
        case KITH_F16:
            memcpy(p, &f16, 2);
            break;
        case KITH_F64:
            memcpy(p, &value, 8);
            break;
        case KITH_F32:
            memcpy(p, &f32, 4);
            break;
        default:
            *p = (unsigned char)kt_random_u64(random);
        }
    }
}

static void fill_bytes(size_t count, unsigned char byte, void *out)
{
    memset(out, byte, count);
}

/* A vector as a query for rows of its own type: float, or double for f64. */
static void *as_query(kith_element element, const void *vector, size_t dim, unsigned slot)
{
    if (element == KITH_F64) return memcpy(lend(slot, dim * 8), vector, dim * 8);
    unsigned char *query = lend(slot, dim * 4);
    for (size_t i = 0; i < dim; i++) {
        float value = (float)number(element, vector, i);
        memcpy(query + i * 4, &value, 4);
    }
    return query;
}

/* ---- the formulas ---- */

struct expected {
    double distance;
    double slack; /* how far a sum in single precision may be off */
};

static struct expected formula(kith_metric metric, kith_element query_element, const void *query,
                               kith_element element, const void *row, size_t dim)
{
    double l2 = 0, dot = 0, size = 0, q_square = 0, x_square = 0;
    for (size_t i = 0; i < dim; i++) {
        double q = number(query_element, query, i), x = number(element, row, i);
        l2 += (q - x) * (q - x);
        dot += q * x;
        size += fabs(q * x);
        q_square += q * q;
        x_square += x * x;
    }
    if (metric == KITH_L2) return (struct expected){ l2, 2e-6 * l2 };
    if (metric == KITH_DOT) return (struct expected){ 1 - dot, 2e-6 * size + 1e-6 };
    double scale = sqrt(q_square) * sqrt(x_square);
    return (struct expected){ scale > 0 ? fmin(2, fmax(0, 1 - dot / scale)) : 1, 4e-6 };
}

static const char *compare(const char *what, kith_metric metric, kith_element element, size_t dim, size_t row,
                           size_t row_count, float got, struct expected want)
{
    if (fabs((double)got - want.distance) <= want.slack) return NULL;
    return wrong("%s %s %s, dim %zu, row %zu of %zu: %.9g, expected %.9g +- %.2g", what, metric_names[metric],
                 element_names[element], dim, row, row_count, (double)got, want.distance, want.slack);
}

/* ---- distances ---- */

static const char *check_batch(const struct kt_kernels *kernels, struct kt_random *random, kith_metric metric,
                               kith_element element, size_t dim, size_t row_count)
{
    kith_element query_element = element == KITH_F64 ? KITH_F64 : KITH_F32;
    size_t row_bytes = dim * kt_element_bytes(element);
    unsigned char *rows = lend(0, row_count * row_bytes);
    unsigned char *query = lend(1, dim * kt_element_bytes(query_element));
    float distances[ROWS_MAX + 1], alone;
    fill(random, element, row_count * dim, rows);
    fill(random, query_element, dim, query);
    for (size_t r = 0; r <= row_count; r++) distances[r] = -77;

    float norm = kernels->norm[query_element](query, dim);
    kernels->distance[metric][element](query, norm, rows, dim, row_count, distances);
    if (distances[row_count] != -77) return wrong("%zu distances asked, one more written", row_count);
    for (size_t r = 0; r < row_count; r++) {
        const void *row = rows + r * row_bytes;
        struct expected want = formula(metric, query_element, query, element, row, dim);
        const char *bad = compare("float", metric, element, dim, r, row_count, distances[r], want);
        if (bad) return bad;
        kernels->distance[metric][element](query, norm, row, dim, 1, &alone);
        if (alone != distances[r])
            return wrong("%s %s, dim %zu: row %zu is %.9g among %zu rows and %.9g alone",
                         metric_names[metric], element_names[element], dim, r, (double)distances[r],
                         row_count, (double)alone);
    }
    return NULL;
}

static const char *check_distances(const struct kt_kernels *kernels, uint64_t seed)
{
    struct kt_random random = { seed };
    for (size_t d = 0; d < 139; d++) {
        for (int element = KITH_F32; element <= KITH_U8; element++) {
            for (size_t m = 0; m < 3; m++) {
                size_t row_count = dim_at(d) > 130 ? 5 : (d + m) % (ROWS_MAX + 1);
                const char *bad =
                    check_batch(kernels, &random, metrics[m], (kith_element)element, dim_at(d), row_count);
                if (bad) return bad;
            }
        }
    }
    return NULL;
}

static const char *check_every_row_count(const struct kt_kernels *kernels, uint64_t seed)
{
    static const size_t dims[] = { 1, 3, 4, 7, 8, 15, 16, 17, 31, 33, 50, 63, 64, 65, 100, 128 };
    struct kt_random random = { seed };
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        for (size_t row_count = 0; row_count <= ROWS_MAX; row_count++) {
            for (int element = KITH_F32; element <= KITH_U8; element++) {
                const char *bad = check_batch(kernels, &random, metrics[row_count % 3], (kith_element)element,
                                              dims[d], row_count);
                if (bad) return bad;
            }
        }
    }
    return NULL;
}

/* ---- a vector and itself ---- */

static const char *check_self_of(const struct kt_kernels *kernels, kith_element element, const void *row,
                                 size_t dim)
{
    kith_element query_element = element == KITH_F64 ? KITH_F64 : KITH_F32;
    const void *query = as_query(element, row, dim, 1);
    float norm = kernels->norm[query_element](query, dim), distance = -1;
    if (kernels->norm[element](row, dim) != norm)
        return wrong("norm of %s and of its query differ, dim %zu", element_names[element], dim);
    kernels->distance[KITH_L2][element](query, norm, row, dim, 1, &distance);
    if (distance != 0)
        return wrong("l2 %s to itself is %g, dim %zu", element_names[element], (double)distance, dim);
    kernels->distance[KITH_COSINE][element](query, norm, row, dim, 1, &distance);
    if (distance != 0)
        return wrong("cosine %s to itself is %g, dim %zu", element_names[element], (double)distance, dim);
    if (element != KITH_I8 && element != KITH_U8) return NULL;
    norm = kernels->integer_norm[element](row, dim);
    kernels->integer_distance[KITH_COSINE][element](row, norm, row, dim, 1, &distance);
    if (distance != 0)
        return wrong("integer cosine %s to itself is %g, dim %zu", element_names[element], (double)distance,
                     dim);
    return NULL;
}

static const char *check_self(const struct kt_kernels *kernels, uint64_t seed)
{
    static const float scales[] = { 1, 1e-3f, 1e-18f, 1e-35f, 1e-42f, 1e18f, 1e20f, 3e37f };
    struct kt_random random = { seed };
    for (size_t d = 0; d < 4 * 138; d++) {
        size_t dim = dim_at(d % 138);
        for (int e = KITH_F32; e <= KITH_U8; e++) {
            kith_element element = (kith_element)e;
            unsigned char *row = lend(0, dim * kt_element_bytes(element));
            fill(&random, element, dim, row);
            if (dim == 1 && number(element, row, 0) == 0) continue;
            const char *bad = check_self_of(kernels, element, row, dim);
            if (bad) return bad;
        }
        float *row = lend(0, dim * sizeof *row);
        for (size_t i = 0; i < dim; i++) row[i] = scales[d % 8] * (0.1f + kt_random_float(&random));
        float distance = -1;
        kernels->distance[KITH_COSINE][KITH_F32](row, kernels->norm[KITH_F32](row, dim), row, dim, 1,
                                                 &distance);
        if (distance != 0)
            return wrong("cosine to itself is %g at scale %g, dim %zu", (double)distance,
                         (double)scales[d % 8], dim);
    }
    return NULL;
}

/* ---- cosine at its edges ---- */

static const char *expect_cosine(const struct kt_kernels *kernels, const float *q, const float *rows,
                                 size_t dim, size_t row_count, const float *want)
{
    float got[8];
    kernels->distance[KITH_COSINE][KITH_F32](q, kernels->norm[KITH_F32](q, dim), rows, dim, row_count, got);
    for (size_t r = 0; r < row_count; r++)
        if (!(fabsf(got[r] - want[r]) <= 1e-6f) && !(isnan(got[r]) && isnan(want[r])))
            return wrong("cosine of row %zu, dim %zu, is %.9g, expected %.9g", r, dim, (double)got[r],
                         (double)want[r]);
    return NULL;
}

static const char *check_cosine_edges(const struct kt_kernels *kernels, uint64_t seed)
{
    enum { DIM = 70, ROWS = 7 };
    static const float scales[ROWS] = { 1, 0, -1, 1e25f, -1e-30f, 1e-44f, NAN };
    static const float want[ROWS] = { 0, 1, 2, 0, 2, 0, NAN };
    static const float ones[ROWS] = { 1, 1, 1, 1, 1, 1, 1 };
    float q[DIM], rows[ROWS * DIM];
    (void)seed;
    for (size_t dim = 1; dim <= DIM; dim++) {
        for (size_t i = 0; i < dim; i++) q[i] = 3;
        for (size_t i = 0; i < ROWS * dim; i++) rows[i] = scales[i / dim] * 2;
        for (float scale = 1e-25f; scale < 1e30f; scale *= 1e10f) { /* of the query too */
            for (size_t i = 0; i < dim; i++) q[i] = scale * 3;
            const char *bad = expect_cosine(kernels, q, rows, dim, ROWS, want);
            if (bad) return bad;
        }
        memset(q, 0, sizeof q);
        const char *bad = expect_cosine(kernels, q, rows, dim, ROWS - 1, ones);
        if (bad) return bad;
    }
    uint8_t zeros[2 * DIM] = { 0 };
    float got[2];
    kernels->integer_distance[KITH_COSINE][KITH_U8](zeros, 0, zeros, DIM, 2, got);
    if (got[0] != 1 || got[1] != 1)
        return wrong("integer cosine of zero vectors is %g, %g", (double)got[0], (double)got[1]);
    return NULL;
}

/* Rows that point along the query or against it, where rounding would leave 0..2 on either side. */
static const char *check_cosine_range(const struct kt_kernels *kernels, uint64_t seed)
{
    struct kt_random random = { seed };
    float q[200], rows[6 * 200], got[6];
    for (size_t dim = 1; dim <= 200; dim++) {
        fill(&random, KITH_F32, dim, q);
        for (size_t i = 0; i < 6 * dim; i++)
            rows[i] = q[i % dim] * (i / dim % 2 ? 1.7f : -1.7f) * (1 + (float)(i / dim));
        kernels->distance[KITH_COSINE][KITH_F32](q, kernels->norm[KITH_F32](q, dim), rows, dim, 6, got);
        for (size_t r = 0; r < 6; r++)
            if (!(got[r] >= 0 && got[r] <= 2))
                return wrong("cosine %.9g is outside 0..2, dim %zu", (double)got[r], dim);
    }
    return NULL;
}

/* Values whose squares leave double, too: the float norm is infinite or zero there. */
static const char *check_double_edges(const struct kt_kernels *kernels, uint64_t seed)
{
    static const double scales[] = { 1, 1e100, 1e-100, 1e170, 1e-170, 1e300, 1e-300 };
    struct kt_random random = { seed };
    double q[20], rows[2 * 20];
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
        for (size_t i = 0; i < 20; i++) {
            q[i] = scales[s] * (1 + (double)kt_random_float(&random));
            rows[i] = q[i];
            rows[20 + i] = -q[i] * 3;
        }
        float got[2];
        kernels->distance[KITH_COSINE][KITH_F64](q, kernels->norm[KITH_F64](q, 20), rows, 20, 2, got);
        if (got[0] != 0 || fabsf(got[1] - 2) > 1e-6f)
            return wrong("cosine f64 at scale %g: %g and %g, expected 0 and 2", scales[s], (double)got[0],
                         (double)got[1]);
    }
    double near[2] = { 1, 0 }, turned[2] = { 1, 1e-4 };
    float tiny = 0;
    kernels->distance[KITH_COSINE][KITH_F64](near, 1, turned, 2, 1, &tiny);
    if (fabs((double)tiny - 5e-9) > 1e-13)
        return wrong("cosine f64 near 0 is %.9g, expected 5e-9", (double)tiny);
    return NULL;
}

/* ---- whole numbers ---- */

static float integer_formula(kith_metric metric, kith_element element, const void *a, const void *b,
                             size_t dim)
{
    int64_t l2 = 0, dot = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < dim; i++) {
        int64_t x = (int64_t)number(element, a, i), y = (int64_t)number(element, b, i);
        l2 += (x - y) * (x - y);
        dot += x * y;
        aa += x * x;
        bb += y * y;
    }
    if (metric == KITH_L2) return (float)l2;
    if (metric == KITH_DOT) return 1 - (float)dot;
    if (!aa || !bb) return 1;
    double cosine = (double)(float)dot / sqrt((double)(float)aa * (double)(float)bb);
    return (float)fmin(2, fmax(0, 1 - cosine));
}

static const char *check_integers_of(const struct kt_kernels *kernels, kith_element element,
                                     const unsigned char *query, const unsigned char *rows, size_t dim,
                                     size_t row_count)
{
    float got[ROWS_MAX];
    float norm = kernels->integer_norm[element](query, dim);
    for (size_t m = 0; m < 3; m++) {
        kernels->integer_distance[metrics[m]][element](query, norm, rows, dim, row_count, got);
        for (size_t r = 0; r < row_count; r++) {
            float want = integer_formula(metrics[m], element, query, rows + r * dim, dim);
            if (got[r] != want)
                return wrong("integer %s %s, dim %zu, row %zu of %zu: %.9g, not %.9g",
                             metric_names[metrics[m]], element_names[element], dim, r, row_count,
                             (double)got[r], (double)want);
        }
    }
    return NULL;
}

static const char *check_integers(const struct kt_kernels *kernels, uint64_t seed)
{
    struct kt_random random = { seed };
    for (size_t d = 0; d < 139; d++) {
        size_t dim = dim_at(d), row_count = d % (ROWS_MAX + 1);
        for (int e = KITH_I8; e <= KITH_U8; e++) {
            unsigned char *query = lend(0, dim), *rows = lend(1, row_count * dim);
            fill(&random, KITH_U8, dim, query);
            fill(&random, KITH_U8, row_count * dim, rows);
            const char *bad = check_integers_of(kernels, (kith_element)e, query, rows, dim, row_count);
            if (bad) return bad;
        }
    }
    return NULL;
}

static const char *check_integer_extremes(const struct kt_kernels *kernels, uint64_t seed)
{
    static const size_t dims[] = { 1, 31, 32, 33, 64, 1000, 4099, 65535, 65536 };
    static const unsigned char bytes[] = { 0, 0xff, 0x80, 0x7f };
    (void)seed;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        for (size_t pair = 0; pair < 16; pair++) {
            unsigned char *query = lend(0, dims[d]), *rows = lend(1, 5 * dims[d]);
            fill_bytes(dims[d], bytes[pair / 4], query);
            fill_bytes(5 * dims[d], bytes[pair % 4], rows);
            for (int e = KITH_I8; e <= KITH_U8; e++) {
                const char *bad = check_integers_of(kernels, (kith_element)e, query, rows, dims[d], 5);
                if (bad) return bad;
            }
        }
    }
    return NULL;
}

static const char *check_hamming(const struct kt_kernels *kernels, uint64_t seed)
{
    struct kt_random random = { seed };
    for (size_t d = 0; d < 139; d++) {
        size_t dim = dim_at(d), row_count = d % (ROWS_MAX + 1);
        unsigned char *query = lend(0, dim), *rows = lend(1, row_count * dim);
        float got[ROWS_MAX];
        fill(&random, KITH_U8, dim, query);
        fill(&random, KITH_U8, row_count * dim, rows);
        if (d % 3 == 0)
            for (size_t i = 0; i < row_count * dim; i++) rows[i] = (unsigned char)~query[i % dim];
        kernels->distance[KITH_HAMMING][KITH_U8](query, 0, rows, dim, row_count, got);
        for (size_t r = 0; r < row_count; r++) {
            unsigned want = 0;
            for (size_t bit = 0; bit < 8 * dim; bit++)
                want += ((query[bit / 8] ^ rows[r * dim + bit / 8]) >> (bit % 8)) & 1;
            if (got[r] != (float)want)
                return wrong("hamming, dim %zu, row %zu: %g, not %u", dim, r, (double)got[r], want);
        }
    }
    return NULL;
}

static const char *check_norms(const struct kt_kernels *kernels, uint64_t seed)
{
    struct kt_random random = { seed };
    for (size_t d = 0; d < 139; d++) {
        size_t dim = dim_at(d);
        for (int e = KITH_F32; e <= KITH_U8; e++) {
            kith_element element = (kith_element)e;
            unsigned char *vector = lend(0, dim * kt_element_bytes(element));
            double want = 0;
            fill(&random, element, dim, vector);
            for (size_t i = 0; i < dim; i++) want += number(element, vector, i) * number(element, vector, i);
            float got = kernels->norm[element](vector, dim);
            if (fabs((double)got - want) > 2e-6 * want)
                return wrong("norm %s, dim %zu: %.9g, expected %.9g", element_names[e], dim, (double)got,
                             want);
            if ((element == KITH_I8 || element == KITH_U8) &&
                kernels->integer_norm[element](vector, dim) != (float)want)
                return wrong("integer norm %s, dim %zu, is not %.9g", element_names[e], dim, want);
        }
    }
    return NULL;
}

/* ---- conversions ---- */

static const char *check_to_float(const struct kt_kernels *kernels, uint64_t seed)
{
    struct kt_random random = { seed };
    for (size_t count = 0; count <= 70; count++) {
        for (int e = KITH_F32; e <= KITH_U8; e++) {
            unsigned char *from = lend(0, count * kt_element_bytes((kith_element)e));
            float *to = lend(1, count * sizeof *to);
            fill(&random, (kith_element)e, count, from);
            kernels->to_float[e](from, count, to);
            for (size_t i = 0; i < count; i++)
                if (to[i] != (float)number((kith_element)e, from, i))
                    return wrong("number %zu of %zu as float is %.9g, from %s", i, count, (double)to[i],
                                 element_names[e]);
        }
    }
    return NULL;
}

static const char *check_half_to_float(const struct kt_kernels *kernels, uint64_t seed)
{
    (void)seed;
    uint16_t *halves = lend(0, 65536 * sizeof *halves);
    float *floats = lend(1, 65536 * sizeof *floats);
    for (unsigned i = 0; i < 65536; i++) halves[i] = (uint16_t)i;
    kernels->to_float[KITH_F16](halves, 65536, floats);
    for (unsigned i = 0; i < 65536; i++) {
        float want = (float)half_value((uint16_t)i);
        if (isnan(want) ? !isnan(floats[i]) : floats[i] != want || signbit(floats[i]) != signbit(want))
            return wrong("half %04x is %.9g, not %.9g", i, (double)floats[i], (double)want);
    }
    return NULL;
}

/* The half nearest to a finite float, the even one of two equally near; found by trying. */
static bool is_nearest(float value, uint16_t half)
{
    double size = fabs((double)value), at = fabs(half_value(half));
    if (isinf(at)) return size >= 65520;
    double above = (half & 0x7fff) == 0x7bff ? 65536 : fabs(half_value((uint16_t)(half + 1)));
    double below = half & 0x7fff ? fabs(half_value((uint16_t)(half - 1))) : -1;
    double up = (at + above) / 2, down = (at + below) / 2;
    if (half & 1) return size > down && size < up;
    return size >= down && size <= up;
}

static const char *check_half_of(const struct kt_kernels *kernels, const float *floats, size_t count)
{
    uint16_t *halves = lend(1, count * sizeof *halves);
    kernels->to_half(floats, count, halves);
    for (size_t i = 0; i < count; i++) {
        bool right = isnan(floats[i])
                         ? (halves[i] & 0x7e00) == 0x7e00
                         : is_nearest(floats[i], halves[i]) && (halves[i] >> 15) == !!signbit(floats[i]);
        if (!right) return wrong("%.9g as half is %04x", (double)floats[i], halves[i]);
    }
    return NULL;
}

static const char *check_to_half(const struct kt_kernels *kernels, uint64_t seed)
{
    struct kt_random random = { seed };
    enum { COUNT = 65536 };
    float *floats = lend(0, COUNT * sizeof *floats);
    for (int part = 0; part < 5; part++) {
        for (unsigned i = 0; i < COUNT; i++) {
            double here = half_value((uint16_t)i), next = half_value((uint16_t)(i + 1));
            float middle = isfinite(here) && isfinite(next) ? (float)((here + next) / 2) : (float)here;
            uint32_t bits = (uint32_t)kt_random_u64(&random);
            if (part == 0) floats[i] = (float)here;
            if (part == 1) floats[i] = middle;
            if (part == 2) floats[i] = nextafterf(middle, 1e9f);
            if (part == 3) floats[i] = nextafterf(middle, -1e9f);
            if (part == 4) memcpy(&floats[i], &bits, 4);
        }
        const char *bad = check_half_of(kernels, floats, COUNT);
        if (bad) return bad;
    }
    static const float edges[] = { 65504, 65519.996f, 65520,    65536,    INFINITY,        -INFINITY, NAN,
                                   0,     -0.0f,      0x1p-24f, 0x1p-25f, 0x1.000002p-25f, 0x1p-149f, 3e38f };
    for (size_t count = 0; count <= sizeof edges / sizeof *edges; count++) {
        floats = lend(0, count * sizeof *floats);
        memcpy(floats, edges, count * sizeof *floats);
        const char *bad = check_half_of(kernels, floats, count);
        if (bad) return bad;
    }
    return NULL;
}

static const char *check_has_bad(const struct kt_kernels *kernels, uint64_t seed)
{
    static const double bad_numbers[] = { (double)INFINITY, -(double)INFINITY, (double)NAN };
    static const uint16_t bad_halves[] = { 0x7c00, 0xfc00, 0x7e01 };
    static const kith_element elements[] = { KITH_F32, KITH_F16, KITH_F64 };
    struct kt_random random = { seed };
    for (size_t count = 0; count <= 300; count++) {
        for (size_t e = 0; e < 3; e++) {
            kith_element element = elements[e];
            unsigned char *p = lend(0, count * kt_element_bytes(element));
            fill(&random, element, count, p);
            if (kernels->has_bad[element](p, count))
                return wrong("%zu finite %s are called bad", count, element_names[element]);
            if (!count) continue;
            double f64 = bad_numbers[count % 3];
            float f32 = (float)f64;
            const void *one = element == KITH_F16   ? (const void *)&bad_halves[count % 3]
                              : element == KITH_F32 ? (const void *)&f32
                                                    : &f64;
            size_t at = kt_random_below(&random, count);
            memcpy(p + at * kt_element_bytes(element), one, kt_element_bytes(element));
            if (!kernels->has_bad[element](p, count))
                return wrong("bad %s at %zu of %zu not seen", element_names[element], at, count);
        }
    }
    return NULL;
}

/* ---- tiles ---- */

struct tile_shape {
    size_t a_count, b_count, dim;
    size_t gap; /* by which strides exceed the row */
};

static const char *check_tile_of(const struct kt_kernels *kernels, struct kt_random *random,
                                 const struct tile_shape *shape)
{
    size_t stride = shape->dim + shape->gap, out_stride = shape->b_count + shape->gap;
    size_t a_size = shape->a_count ? (shape->a_count - 1) * stride + shape->dim : 0;
    size_t b_size = shape->b_count ? (shape->b_count - 1) * stride + shape->dim : 0;
    float *a = lend(0, a_size * sizeof *a), *b = lend(1, b_size * sizeof *b);
    float *out = lend(2, shape->a_count * out_stride * sizeof *out), single;
    fill(random, KITH_F32, a_size, a);
    fill(random, KITH_F32, b_size, b);
    for (size_t i = 0; i < shape->a_count * out_stride; i++) out[i] = -77;
    kernels->dot_tile(a, shape->a_count, stride, b, shape->b_count, stride, shape->dim, out, out_stride);
    for (size_t i = 0; i < shape->a_count * out_stride; i++) {
        size_t row = i / out_stride, column = i % out_stride;
        if (column >= shape->b_count) {
            if (out[i] != -77) return wrong("a tile wrote between its rows");
            continue;
        }
        struct expected want =
            formula(KITH_DOT, KITH_F32, a + row * stride, KITH_F32, b + column * stride, shape->dim);
        if (!(fabs((double)out[i] - (1 - want.distance)) <= want.slack))
            return wrong("tile %zux%zu, dim %zu, at %zu,%zu: %.9g, not %.9g", shape->a_count, shape->b_count,
                         shape->dim, row, column, (double)out[i], 1 - want.distance);
        kernels->dot_tile(a + row * stride, 1, stride, b + column * stride, 1, stride, shape->dim, &single,
                          1);
        if (single != out[i])
            return wrong("a product of dim %zu depends on its place in the tile", shape->dim);
    }
    return NULL;
}

static const char *check_tiles(const struct kt_kernels *kernels, uint64_t seed)
{
    struct kt_random random = { seed };
    for (size_t d = 0; d < 138; d++) {
        struct tile_shape shape = { d % 14, (d / 3) % 11, dim_at(d), d % 4 };
        const char *bad = check_tile_of(kernels, &random, &shape);
        if (bad) return bad;
    }
    for (size_t i = 0; i < 14 * 11; i++) {
        struct tile_shape shape = { i % 14, i / 14, 20 + i % 7, i % 3 };
        const char *bad = check_tile_of(kernels, &random, &shape);
        if (bad) return bad;
    }
    struct tile_shape panels[] = { { 7, 211, 768, 0 }, { 13, 1030, 50, 2 }, { 2, 18, 4096, 0 } };
    for (size_t i = 0; i < 3; i++) {
        const char *bad = check_tile_of(kernels, &random, &panels[i]);
        if (bad) return bad;
    }
    return NULL;
}

/* ---- fast-scan ---- */

static uint32_t scan_formula(const uint8_t *block, const uint8_t *lut, size_t tables, size_t row)
{
    static const size_t order[16] = { 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15 };
    uint32_t sum = 0;
    size_t byte = 0;
    while (order[byte] != row % 16) byte++;
    for (size_t t = 0; t < tables; t++) {
        uint8_t pair = block[t * 16 + byte];
        sum += lut[t * 16 + (row < 16 ? pair & 15 : pair >> 4)];
    }
    return sum;
}

static const char *check_fastscan(const struct kt_kernels *kernels, uint64_t seed)
{
    enum { MOST = 2100 };
    static const size_t counts[] = { 0,  1,  2,  3,  4,   5,   6,   7,    8,    9,    12,
                                     13, 32, 96, 97, 192, 254, 255, 1023, 1024, 1025, MOST };
    struct kt_random random = { seed };
    for (size_t c = 0; c < 6 * sizeof counts / sizeof *counts; c++) {
        size_t tables = counts[c / 6], blocks = c % 6, stride = tables * 16 + 16 * (c % 3);
        uint8_t *codes = lend(0, blocks ? (blocks - 1) * stride + tables * 16 : 0);
        uint8_t lut_memory[MOST * 16 + 64];
        uint8_t *lut = lut_memory + (64 - (uintptr_t)lut_memory % 64) % 64;
        uint32_t sums[5 * KT_BLOCK_ROWS + 1];
        fill(&random, KITH_U8, blocks ? (blocks - 1) * stride + tables * 16 : 0, codes);
        fill(&random, KITH_U8, tables * 16, lut);
        for (size_t i = 0; i < tables * 16; i++) lut[i] &= KT_ENTRY_MOST;
        if (c % 2) fill_bytes(tables * 16, KT_ENTRY_MOST, lut);
        sums[blocks * KT_BLOCK_ROWS] = 0x7777;
        kernels->fastscan(codes, stride, blocks, lut, tables, sums);
        if (sums[blocks * KT_BLOCK_ROWS] != 0x7777) return wrong("fastscan wrote past %zu blocks", blocks);
        for (size_t i = 0; i < blocks * KT_BLOCK_ROWS; i++) {
            uint32_t want = scan_formula(codes + i / 32 * stride, lut, tables, i % 32);
            if (sums[i] != want)
                return wrong("fastscan of %zu tables, row %zu: %u, not %u", tables, i, sums[i], want);
        }
    }
    return NULL;
}

/* ---- bounds ---- */

static double between(struct kt_random *random, double low, double high)
{
    return low + (high - low) * (double)kt_random_float(random);
}

struct bound {
    double estimate, low;
    double slack; /* how far either may be off in single precision */
};

static struct bound bound_formula(uint32_t sum, const uint16_t *factors, size_t row,
                                  const struct kt_bounds *with)
{
    double add = half_value(factors[row]) * (double)with->add_unit;
    double rescale = half_value(factors[KT_BLOCK_ROWS + row]);
    double error = half_value(factors[2 * KT_BLOCK_ROWS + row]) * (double)with->spread;
    double base = (double)with->base, product = (double)with->unit * sum, bias = (double)with->bias;
    double estimate = base + add + rescale * (product + bias), slack = rescale * (double)with->slack;
    double size =
        fabs(base) + fabs(add) + fabs(rescale) * (fabs(product) + fabs(bias)) + fabs(error) + fabs(slack);
    return (struct bound){ estimate, estimate + slack - error, 4e-7 * size };
}

/* Within `slack`, or the same infinity. */
static bool close_to(double is, double want, double slack)
{
    return isinf(want) ? is == want : fabs(is - want) <= slack;
}

/* The half nearest to a number that has one within its range. */
static uint16_t half_near(const struct kt_kernels *kernels, double value)
{
    float narrow = (float)value;
    uint16_t half;
    kernels->to_half(&narrow, 1, &half);
    return half;
}

static const char *check_bounds_of(const struct kt_kernels *kernels, const uint32_t *sums,
                                   const uint16_t *factors, const struct kt_bounds *with)
{
    float *estimates = lend(2, KT_BLOCK_ROWS * sizeof *estimates);
    float *lows = lend(3, KT_BLOCK_ROWS * sizeof *lows);
    uint32_t near = 0;
    kernels->block_bounds(sums, factors, 0, 1, with, estimates, lows, &near);
    for (size_t r = 0; r < KT_BLOCK_ROWS; r++) {
        struct bound want = bound_formula(sums[r], factors, r, with);
        if (!close_to((double)estimates[r], want.estimate, want.slack))
            return wrong("estimate of row %zu: %.9g, not %.9g", r, (double)estimates[r], want.estimate);
        if (!close_to((double)lows[r], want.low, want.slack))
            return wrong("low of row %zu: %.9g, not %.9g", r, (double)lows[r], want.low);
        if ((near >> r & 1) != (lows[r] <= with->limit))
            return wrong("row %zu of low %.9g is %snear by limit %.9g", r, (double)lows[r],
                         near >> r & 1 ? "" : "not ", (double)with->limit);
        double above = want.low - (double)with->limit;
        if (fabs(above) > want.slack && (near >> r & 1) != (above < 0))
            return wrong("row %zu of low %.9g is %snear by limit %.9g", r, want.low,
                         near >> r & 1 ? "" : "not ", (double)with->limit);
        if (isnan(with->limit) && near >> r & 1) return wrong("row %zu is near by limit NaN", r);
    }
    return NULL;
}

static const char *check_bounds(const struct kt_kernels *kernels, uint64_t seed)
{
    struct kt_random random = { seed };
    uint32_t *sums = lend(0, KT_BLOCK_ROWS * sizeof *sums);
    uint16_t *factors = lend(1, 3 * KT_BLOCK_ROWS * sizeof *factors);
    for (int run = 0; run < 400; run++) {
        uint64_t most = run % 4 ? 65281 : UINT64_C(1) << 31;
        struct kt_bounds with = { .base = (float)between(&random, -2, 4),
                                  .add_unit = run % 5 ? ldexpf(1, run % 9 - 4) : 1,
                                  .slack = run % 3 ? (float)between(&random, 0, 2) : 0,
                                  .unit = (float)(between(&random, 0, 8) / (double)most),
                                  .bias = (float)between(&random, -4, 0),
                                  .spread = (float)between(&random, 0, 2) };
        for (size_t r = 0; r < KT_BLOCK_ROWS; r++) {
            sums[r] = (uint32_t)kt_random_below(&random, most);
            factors[r] = half_near(kernels, between(&random, -1, 3));
            factors[KT_BLOCK_ROWS + r] = half_near(kernels, between(&random, -2, 1));
            factors[2 * KT_BLOCK_ROWS + r] = half_near(kernels, between(&random, 0, 0.5));
        }
        if (run % 4 == 0) sums[run / 4 % KT_BLOCK_ROWS] = INT32_MAX;
        size_t pads = (size_t)run % 7;
        for (size_t r = KT_BLOCK_ROWS - pads; r < KT_BLOCK_ROWS; r++) factors[r] = 0x7c00;
        double middle = bound_formula(sums[0], factors, 0, &with).low;
        const float limits[] = {
            (float)middle, (float)(middle + between(&random, -1, 1)), 1e6f, -1e6f, INFINITY, -INFINITY, NAN
        };
        for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
            with.limit = limits[l];
            const char *bad = check_bounds_of(kernels, sums, factors, &with);
            if (bad) return bad;
        }
    }
    return NULL;
}

/* Numbers that are no numbers are near to nothing. */
static const char *check_bounds_nan(const struct kt_kernels *kernels, uint64_t seed)
{
    uint32_t sums[KT_BLOCK_ROWS] = { 0 };
    uint16_t factors[3 * KT_BLOCK_ROWS] = { 0 };
    float estimates[KT_BLOCK_ROWS], lows[KT_BLOCK_ROWS];
    const struct kt_bounds with = { .add_unit = 1, .unit = 1, .limit = INFINITY };
    (void)seed;
    for (size_t r = 0; r < KT_BLOCK_ROWS; r++) {
        factors[r] = 0x7e00;
        uint32_t near = 0;
        kernels->block_bounds(sums, factors, 0, 1, &with, estimates, lows, &near);
        if (near != ~(UINT32_C(1) << r)) return wrong("with row %zu NaN, rows %08x are near", r, near);
        factors[r] = 0;
    }
    return NULL;
}

/* Every half means the same to every table: as add, as rescale and as error, in each of the lanes. With ones
 * and zeros beside it, what comes out is the half itself. */
static const char *check_bounds_halves(const struct kt_kernels *kernels, uint64_t seed)
{
    enum { BLOCKS = 3, STRIDE = 2 * 3 * KT_BLOCK_ROWS + 64, ROWS = BLOCKS * KT_BLOCK_ROWS };
    static const struct kt_bounds with[3] = { { .add_unit = 1, .limit = 1 },
                                              { .bias = 1, .limit = 1 },
                                              { .spread = -1, .limit = 1 } };
    uint32_t sums[ROWS] = { 0 }, masks[BLOCKS];
    float out[2][ROWS];
    (void)seed;
    for (uint32_t i = 0; i < 3 * (65536 / ROWS + 1); i++) {
        uint8_t *factors = lend(0, (BLOCKS - 1) * STRIDE + 2 * 3 * KT_BLOCK_ROWS);
        uint32_t which = i % 3, first = i / 3 * ROWS;
        memset(factors, 0, (BLOCKS - 1) * STRIDE + 2 * 3 * KT_BLOCK_ROWS);
        for (uint32_t r = 0; r < ROWS; r++) {
            uint16_t half = (uint16_t)(first + r);
            memcpy(factors + r / KT_BLOCK_ROWS * STRIDE + 2 * (which * KT_BLOCK_ROWS + r % KT_BLOCK_ROWS),
                   &half, sizeof half);
        }
        kernels->block_bounds(sums, factors, STRIDE, BLOCKS, &with[which], out[0], out[1], masks);
        for (uint32_t r = 0; r < ROWS; r++) {
            double want = half_value((uint16_t)(first + r)), is = (double)out[which == 2][r];
            uint32_t near = masks[r / KT_BLOCK_ROWS] >> r % KT_BLOCK_ROWS & 1;
            bool right = isnan(want) ? isnan(is) : is == want;
            if (!right || (isfinite(want) && near != (want <= 1)))
                return wrong("half %04x as factor %u in lane %u: %.9g, not %.9g", (first + r) & 0xffff, which,
                             r, is, want);
        }
    }
    return NULL;
}

/* A row of infinite error is near by any limit while the spread is above zero, be it the least float. */
static const char *check_bounds_infinite(const struct kt_kernels *kernels, uint64_t seed)
{
    uint32_t sums[KT_BLOCK_ROWS] = { 0 }, near = 0;
    uint16_t factors[3 * KT_BLOCK_ROWS] = { 0 };
    float estimates[KT_BLOCK_ROWS], lows[KT_BLOCK_ROWS];
    (void)seed;
    for (size_t r = 0; r < KT_BLOCK_ROWS; r += 3) factors[2 * KT_BLOCK_ROWS + r] = 0x7c00;
    const struct kt_bounds with = { .base = 1e30f, .add_unit = 1, .spread = 0x1p-126f, .limit = -1e30f };
    kernels->block_bounds(sums, factors, 0, 1, &with, estimates, lows, &near);
    if (near != 0x49249249) return wrong("every third row has an infinite error, and %08x are near", near);
    return NULL;
}

/* ---- sign tables ---- */

static const char *check_signs_of(const struct kt_kernels *kernels, const float *q, size_t tables)
{
    uint8_t *lut = lend(1, tables * 16);
    float unit = NAN, bias = NAN;
    double widest = 0, least = 0;
    kernels->sign_table(q, tables, lut, &unit, &bias);
    for (size_t t = 0; t < tables; t++) {
        double width = 0, from = 0;
        for (size_t i = 4 * t; i < 4 * t + 4; i++) {
            width += fabs((double)q[i]);
            from += fmin((double)q[i], 0);
        }
        for (unsigned j = 0; j < 16; j++) {
            double sum = 0;
            for (unsigned i = 0; i < 4; i++) sum += j >> i & 1 ? (double)q[4 * t + i] : 0;
            double off = lut[t * 16 + j] * (double)unit - (sum - from);
            if (!(fabs(off) <= fmax(0.51 * (double)unit, 1e-30)) || (unit == 0 && lut[t * 16 + j] != 0))
                return wrong("entry %u of table %zu of %zu is %u units of %g for %g", j, t, tables,
                             lut[t * 16 + j], (double)unit, sum - from);
        }
        widest = fmax(widest, width);
        least += from;
    }
    if (!(fabs((double)unit * KT_ENTRY_MOST - widest) <= fmax(1e-6 * widest, 1e-30)))
        return wrong("unit of %zu tables is %g, not %g", tables, (double)unit, widest / KT_ENTRY_MOST);
    if (!(fabs((double)bias - least) <= 2e-6 * fabs(least)))
        return wrong("bias of %zu tables is %g, not %g", tables, (double)bias, least);
    return NULL;
}

static const char *check_signs(const struct kt_kernels *kernels, uint64_t seed)
{
    static const float scales[] = { 1, 0, -1, 1e-28f, 1e-32f, 1e-44f, 1e30f };
    enum { KINDS = 3 + sizeof scales / sizeof *scales };
    struct kt_random random = { seed };
    for (size_t i = 0; i < 42 * KINDS; i++) {
        size_t tables = i / KINDS < 41 ? i / KINDS : 256, kind = i % KINDS, count = 4 * tables;
        float *q = lend(0, count * sizeof *q);
        fill(&random, KITH_F32, count, q);
        for (size_t n = 0; n < count; n++) {
            if (kind >= 3) q[n] = kind % 2 ? scales[kind - 3] : scales[kind - 3] * q[n]; /* alike, or not */
            if (kind == 1) q[n] = fabsf(q[n]);
            if (kind == 2) q[n] = kt_random_below(&random, 3) ? -fabsf(q[n]) * (n < 4 ? 50 : 1) : 0;
        }
        const char *bad = check_signs_of(kernels, q, tables);
        if (bad) return bad;
    }
    return NULL;
}

/* A fast-scan through it gives the sums of signs that it stands for. */
static const char *check_signs_scanned(const struct kt_kernels *kernels, uint64_t seed)
{
    enum { TABLES = 96 };
    struct kt_random random = { seed };
    float q[4 * TABLES], unit, bias;
    uint8_t memory[2 * TABLES * 16 + 64], *lut = memory + (64 - (uintptr_t)memory % 64) % 64;
    uint8_t *codes = lut + TABLES * 16; /* of the 32 rows, those 0 and 16 */
    uint32_t sums[KT_BLOCK_ROWS];
    fill(&random, KITH_F32, 4 * TABLES, q);
    fill(&random, KITH_U8, TABLES * 16, codes);
    kernels->sign_table(q, TABLES, lut, &unit, &bias);
    kernels->fastscan(codes, TABLES * 16, 1, lut, TABLES, sums);
    double want[2] = { 0, 0 };
    for (size_t i = 0; i < 4 * TABLES; i++) {
        uint8_t code = codes[i / 4 * 16];
        want[0] += code >> i % 4 & 1 ? (double)q[i] : 0;
        want[1] += code >> (4 + i % 4) & 1 ? (double)q[i] : 0;
    }
    for (size_t r = 0; r < 2; r++) {
        double got = sums[16 * r] * (double)unit + (double)bias;
        if (!(fabs(got - want[r]) <= 0.51 * TABLES * (double)unit))
            return wrong("row %zu by its signs is %g, not %g", 16 * r, got, want[r]);
    }
    return NULL;
}

/* ---- small whole numbers ---- */

/* Number i of `dim` packed in `bits` bits: parts of 8, 4, 2 and 1 bits, the highest bits in the widest; in a
 * part each group of 64 by itself. */
static void pack_number(uint8_t *packed, size_t dim, size_t bits, size_t i, unsigned value)
{
    for (size_t width = 8; width; width /= 2) {
        if (!(bits & width)) continue;
        size_t group_bytes = 8 * width, within = i % 64;
        size_t byte = width == 1 ? within / 8 : within % group_bytes;
        size_t shift = width == 1 ? within % 8 : width * (within / group_bytes);
        unsigned part = value >> (bits & (width - 1)) & ((1u << width) - 1);
        packed[i / 64 * group_bytes + byte] |= (uint8_t)(part << shift);
        packed += dim / 8 * width;
    }
}

/* Random numbers (0), or the largest (1), or the least (2), or both in turn (3). */
static void fill_whole(struct kt_random *random, int how, size_t count, int8_t *q)
{
    for (size_t i = 0; i < count; i++) {
        int number = how == 0 ? (int)kt_random_below(random, 255) - 127 : 127;
        q[i] = (int8_t)(how == 2 || (how == 3 && i % 2) ? -number : number);
    }
}

static const char *check_packed_of(const struct kt_kernels *kernels, struct kt_random *random, int how,
                                   size_t bits, size_t dim)
{
    size_t bytes = dim * bits / 8, gap = (size_t)how % 2; /* before the end */
    int8_t *q = lend(0, dim + gap);
    uint8_t *packed = lend(1, bytes + gap);
    int64_t want = 0;
    fill_whole(random, how / 3, dim, q);
    fill_bytes(bytes, 0, packed);
    for (size_t i = 0; i < dim; i++) {
        unsigned most = (1u << bits) - 1;
        unsigned x = how % 3 == 0 ? (unsigned)kt_random_below(random, most + 1) : how % 3 == 1 ? most : 0;
        pack_number(packed, dim, bits, i, x);
        want += q[i] * (int64_t)x;
    }
    int32_t got = kernels->packed_dot[bits](q, packed, dim);
    if (got != want) return wrong("dot of %zu bits, dim %zu: %d, not %lld", bits, dim, got, (long long)want);
    return NULL;
}

static const char *check_packed(const struct kt_kernels *kernels, uint64_t seed)
{
    struct kt_random random = { seed };
    for (size_t dim = 0; dim <= 1088; dim += 64) {
        for (size_t bits = 1; bits <= 8; bits++) {
            for (int how = 0; how < 12; how++) {
                const char *bad = check_packed_of(kernels, &random, how, bits, dim == 0 && how ? 65536 : dim);
                if (bad) return bad;
            }
        }
    }
    return NULL;
}

/* The same rows from the last on, with anything where the query has zeros. */
static const char *check_dots_at(const struct kt_kernels *kernels, int how, int8_t *q, int8_t *rows,
                                 size_t dim, size_t count)
{
    const uint8_t *at[ROWS_MAX];
    int32_t got[ROWS_MAX + 1];
    size_t zeros = (size_t)how % 3 * (dim / 4);
    if (zeros) memset(q + dim - zeros, 0, zeros);
    for (size_t r = 0; r < count; r++) {
        at[r] = (const uint8_t *)rows + (count - 1 - r) * dim;
        if (zeros) memset(rows + (r + 1) * dim - zeros, how % 2 ? -128 : 127, zeros);
    }
    got[count] = 777;
    kernels->dot_bytes_at(q, at, dim, count, got);
    if (got[count] != 777) return wrong("%zu dots of bytes asked, one more written", count);
    for (size_t r = 0; r < count; r++) {
        int64_t want = 0;
        for (size_t i = 0; i < dim; i++) want += q[i] * (int8_t)at[r][i];
        if (got[r] != want)
            return wrong("dot of bytes anywhere, dim %zu, row %zu of %zu: %d, not %lld", dim, r, count,
                         got[r], (long long)want);
    }
    return NULL;
}

static const char *check_dots_of(const struct kt_kernels *kernels, struct kt_random *random, int how,
                                 size_t dim, size_t count)
{
    size_t gap = (size_t)how % 2; /* before the end */
    int8_t *q = lend(0, dim + gap), *rows = lend(1, dim * count + gap);
    int32_t *got = lend(2, (count + 1) * sizeof *got);
    fill_whole(random, how / 4, dim, q);
    fill_whole(random, how % 4, dim * count, rows);
    got[count] = 777;
    kernels->dot_bytes(q, rows, dim, count, got);
    if (got[count] != 777) return wrong("%zu dots of bytes asked, one more written", count);
    for (size_t r = 0; r < count; r++) {
        int64_t want = 0;
        for (size_t i = 0; i < dim; i++) want += q[i] * rows[r * dim + i];
        if (got[r] != want)
            return wrong("dot of bytes, dim %zu, row %zu of %zu: %d, not %lld", dim, r, count, got[r],
                         (long long)want);
    }
    return check_dots_at(kernels, how, q, rows, dim, count);
}

static const char *check_dots(const struct kt_kernels *kernels, uint64_t seed)
{
    struct kt_random random = { seed };
    for (size_t d = 0; d < 18; d++) {
        size_t dim = d < 16 ? 64 * (d + 1) : 65536 * (d - 15);
        for (int how = 0; how < 16; how++) {
            for (size_t count = 0; count <= ROWS_MAX; count += d < 16 ? 1 : 3) {
                const char *bad = check_dots_of(kernels, &random, how, dim, count);
                if (bad) return bad;
            }
        }
    }
    return NULL;
}

/* ---- Hadamard ---- */

static const char *check_hadamard(const struct kt_kernels *kernels, uint64_t seed)
{
    struct kt_random random = { seed };
    for (unsigned log_count = 0; log_count <= 13; log_count++) {
        size_t count = (size_t)1 << log_count, step = count > 512 ? count / 61 : 1;
        float *values = lend(0, count * sizeof *values), *original = lend(1, count * sizeof *values);
        fill(&random, KITH_F32, count, original);
        memcpy(values, original, count * sizeof *values);
        kernels->hadamard(values, log_count);
        for (size_t i = 0; i < count; i += step) {
            double want = 0, size = 0;
            for (size_t j = 0; j < count; j++) { /* the sign is the parity of the bits that i and j share */
                double value = (double)original[j];
                want += __builtin_parityll(i & j) ? -value : value;
                size += fabs(value);
            }
            if (fabs((double)values[i] - want) > 1e-6 * size)
                return wrong("hadamard of 2^%u at %zu: %.9g, not %.9g", log_count, i, (double)values[i],
                             want);
        }
    }
    return NULL;
}

static const struct kernels_check {
    const char *promise;
    const char *(*run)(const struct kt_kernels *kernels, uint64_t seed); /* NULL, or what went wrong */
} kernels_checks[] = {
    { "distances are those of the formulas", check_distances },
    { "any number of rows", check_every_row_count },
    { "a vector is at distance 0 from itself", check_self },
    { "cosine of zero, huge, tiny and NaN vectors", check_cosine_edges },
    { "cosine stays in 0..2", check_cosine_range },
    { "cosine of doubles beyond the range of their squares", check_double_edges },
    { "integer distances are exact", check_integers },
    { "integer distances are exact up to dim 65,536", check_integer_extremes },
    { "hamming counts bits", check_hamming },
    { "norms", check_norms },
    { "every type widens to float", check_to_float },
    { "every half widens exactly", check_half_to_float },
    { "floats narrow to the nearest half", check_to_half },
    { "NaN and infinity are found", check_has_bad },
    { "tiles of any shape", check_tiles },
    { "fastscan adds up the tables", check_fastscan },
    { "bounds of a block are those of the formula", check_bounds },
    { "a row of NaN is near to nothing", check_bounds_nan },
    { "every half is the same factor to every table", check_bounds_halves },
    { "a row of infinite error is near to everything", check_bounds_infinite },
    { "sign tables hold the sums, rounded", check_signs },
    { "fastscan through a sign table adds up numbers by sign", check_signs_scanned },
    { "dot products of packed numbers are exact", check_packed },
    { "dot products of bytes are exact", check_dots },
    { "hadamard is the transform", check_hadamard },
};
enum { KERNELS_CHECKS = sizeof kernels_checks / sizeof kernels_checks[0] };

#endif
