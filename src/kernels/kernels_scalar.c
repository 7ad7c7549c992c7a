/* The plain kernels: what every other table is held to, and what runs on a processor without AVX2.
 *
 * Sums of floats are kept in eight lanes, number i in lane i mod 8, which are added in a tree at the end:
 * more accurate than one running sum, and within what every machine's short vectors can do.
 *
 * Always true here, and in every other file of kernels:
 *   - all sums of one element type, norms included, go in one order, and a product q*x rounds as x*x does.
 *     So for q = x the dot product and both norms are the same number, whose cosine distance is exactly 0:
 *     the square root of the double product of two equal floats is that float;
 *   - a row's result does not depend on how many rows are in the call, or on where it stands among them;
 *   - integer sums are exact, so their order is free.
 */
#include "base/half.h"
#include "kernels/kernels_private.h"

#include <math.h>

#include "kernels/body_numbers.h"

/* Vectors as the compiler offers them for any machine, in memory or in registers. */
enum { LANES = 4, PAIR = 2 };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef double pair __attribute__((vector_size(PAIR * sizeof(double))));

/* ---- half precision */

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint16_t kt_float_to_half(float value)
{
    uint32_t bits = bits_of(value);
    uint32_t sign = (bits >> 16) & 0x8000;
    uint32_t size = bits & 0x7fffffff;
    if (size > 0x7f800000) return (uint16_t)(sign | 0x7e00 | ((size >> 13) & 0x3ff)); /* NaN, made quiet */
    if (size >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and above round to infinity */
    if (size < 0x38800000) { /* subnormal: an addition to 1/2 rounds to multiples of 2^-24 */
        return (uint16_t)(sign | (bits_of(float_of(size) + 0.5f) - bits_of(0.5f)));
    }
    size += 0xfff + ((size >> 13) & 1); /* to nearest, ties to even */
    return (uint16_t)(sign | (size - 0x38000000) >> 13);
}

static void f16_to_float(const void *from, size_t count, float *to)
{
    const unsigned char *p = from;
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, p + i * sizeof half, sizeof half);
        to[i] = kt_half_to_float(half);
    }
}

static void float_to_f16(const float *from, size_t count, uint16_t *to)
{
    for (size_t i = 0; i < count; i++) to[i] = kt_float_to_half(from[i]);
}

/* ---- floats */

/* Numbers at .. at+count-1 of a row, as floats; the rest of the lanes is zero. */
KT_INLINE void widen(kith_element element, const void *row, size_t at, size_t count, lanes *out)
{
    const unsigned char *p = (const unsigned char *)row + at * kt_element_bytes(element);
    float numbers[LANES] = { 0 };
    switch (element) {
    case KITH_F16:
        f16_to_float(p, count, numbers);
        break;
    case KITH_I8:
        i8_to_float(p, count, numbers);
        break;
    case KITH_U8:
        u8_to_float(p, count, numbers);
        break;
    default:
        memcpy(numbers, p, count * sizeof *numbers);
        break;
    }
    memcpy(out, numbers, sizeof numbers);
}

/* Adds the terms of the numbers at .. at+count-1. */
KT_INLINE void add_step(enum kt_term term, kith_element element, const void *query, const void *row,
                        size_t at, size_t count, lanes *sum)
{
    lanes q, x;
    widen(element, row, at, count, &x);
    q = x;
    if (term != KT_TERM_NORM) widen(KITH_F32, query, at, count, &q);
    *sum += term == KT_TERM_L2 ? (q - x) * (q - x) : q * x;
}

KT_INLINE float sum_float(enum kt_term term, kith_element element, const void *query, const void *row,
                          size_t dim)
{
    lanes s[2] = { { 0 }, { 0 } };
    size_t at = 0;
    for (; at + 2 * LANES <= dim; at += 2 * LANES) {
        add_step(term, element, query, row, at, LANES, &s[0]);
        add_step(term, element, query, row, at + LANES, LANES, &s[1]);
    }
    if (at < dim) {
        size_t first = dim - at < LANES ? dim - at : LANES;
        add_step(term, element, query, row, at, first, &s[0]);
        add_step(term, element, query, row, at + first, dim - at - first, &s[1]);
    }
    s[0] += s[1];
    return (s[0][0] + s[0][2]) + (s[0][1] + s[0][3]);
}

KT_INLINE float norm_float(kith_element element, const void *vector, size_t dim)
{
    return sum_float(KT_TERM_NORM, element, NULL, vector, dim);
}

/* NaN stays NaN. */
static float clamp_cosine(double distance)
{
    if (distance < 0) return 0;
    return distance > 2 ? 2 : (float)distance;
}

static int fits(float square)
{
    return square >= KT_SQUARE_LOW && square <= KT_SQUARE_HIGH;
}

/* Cosine passes over the row twice; the second time it is in the cache. */
KT_INLINE void scan_float(enum kt_term term, kith_element element, const void *query, float norm,
                          const void *rows, size_t dim, size_t row_count, float *distances)
{
    const unsigned char *row = rows;
    for (size_t r = 0; r < row_count; r++, row += dim * kt_element_bytes(element)) {
        float sum = sum_float(term == KT_TERM_L2 ? KT_TERM_L2 : KT_TERM_DOT, element, query, row, dim);
        float square = term == KT_TERM_COSINE ? norm_float(element, row, dim) : 0;
        if (term == KT_TERM_L2)
            distances[r] = sum;
        else if (term == KT_TERM_DOT)
            distances[r] = 1 - sum;
        else if (fits(square) && fits(norm))
            distances[r] = clamp_cosine(1 - sum / sqrt((double)norm * square));
        else
            distances[r] = kt_cosine_careful(element, query, row, dim);
    }
}

static double number_at(kith_element element, const void *row, size_t at)
{
    double number;
    if (element == KITH_F64) {
        memcpy(&number, (const unsigned char *)row + at * sizeof number, sizeof number);
        return number;
    }
    lanes one;
    widen(element, row, at, 1, &one);
    return one[0];
}

static double largest(kith_element element, const void *row, size_t dim)
{
    double largest = 0;
    for (size_t i = 0; i < dim; i++) {
        double size = fabs(number_at(element, row, i));    /* not fmax(): GCC 12 for ARM64 fails on it */
        if (size > largest || isnan(size)) largest = size; /* once NaN, it stays */
    }
    return largest;
}

/* Divided by its largest number a vector has a sum of squares between 1 and dim. */
float kt_cosine_careful(kith_element element, const void *query, const void *row, size_t dim)
{
    kith_element query_element = element == KITH_F64 ? KITH_F64 : KITH_F32;
    double q_scale = largest(query_element, query, dim), x_scale = largest(element, row, dim);
    if (q_scale == 0 || x_scale == 0) return 1;
    double dot = 0, q_square = 0, x_square = 0;
    for (size_t i = 0; i < dim; i++) {
        double q = number_at(query_element, query, i) / q_scale;
        double x = number_at(element, row, i) / x_scale;
        dot += q * x;
        q_square += q * q;
        x_square += x * x;
    }
    double scale = q_square == x_square ? q_square : sqrt(q_square * x_square);
    return clamp_cosine(1 - dot / scale);
}

/* ---- doubles */

KT_INLINE void add_pair(enum kt_term term, const unsigned char *query, const unsigned char *row, size_t count,
                        pair *sum, pair *square)
{
    pair q = { 0 }, x = { 0 };
    memcpy(&x, row, count * sizeof(double));
    memcpy(&q, query, count * sizeof(double));
    *sum += term == KT_TERM_L2 ? (q - x) * (q - x) : q * x;
    if (term == KT_TERM_COSINE) *square += x * x;
}

KT_INLINE double sum_double(enum kt_term term, const void *query, const void *row, size_t dim, double *square)
{
    const unsigned char *q = query, *x = row;
    pair sum = { 0 }, squares = { 0 };
    for (; dim >= PAIR; dim -= PAIR, q += sizeof(pair), x += sizeof(pair))
        add_pair(term, q, x, PAIR, &sum, &squares);
    if (dim) add_pair(term, q, x, 1, &sum, &squares);
    if (term == KT_TERM_COSINE) *square = squares[0] + squares[1];
    return sum[0] + sum[1];
}

static double norm_double(const void *vector, size_t dim)
{
    return sum_double(KT_TERM_DOT, vector, vector, dim, NULL);
}

#include "kernels/body_double.h"

/* ---- integers */

KT_INLINE uint32_t term_integer(enum kt_term term, int32_t q, int32_t x)
{
    if (term == KT_TERM_L2) return (uint32_t)((q - x) * (q - x));
    if (term != KT_TERM_HAMMING) return (uint32_t)(q * x);
    uint32_t bits = (uint32_t)(q ^ x); /* counted in pairs, fours, and all eight */
    bits -= (bits >> 1) & 0x55;
    bits = (bits & 0x33) + ((bits >> 2) & 0x33);
    return (bits + (bits >> 4)) & 15;
}

KT_INLINE uint32_t sum_integer(enum kt_term term, kith_element element, const void *query, const void *row,
                               size_t dim)
{
    uint32_t sum = 0; /* a signed sum is meant modulo 2^32 */
    for (size_t i = 0; i < dim; i++) {
        int32_t x = element == KITH_I8 ? ((const int8_t *)row)[i] : ((const uint8_t *)row)[i];
        int32_t q = element == KITH_I8 ? ((const int8_t *)query)[i] : ((const uint8_t *)query)[i];
        sum += term_integer(term, q, x);
    }
    return sum;
}

KT_INLINE float norm_integer(kith_element element, const void *vector, size_t dim)
{
    return (float)sum_integer(KT_TERM_DOT, element, vector, vector, dim);
}

KT_INLINE void scan_integer(enum kt_term term, kith_element element, const void *query, float norm,
                            const void *rows, size_t dim, size_t row_count, float *distances)
{
    const unsigned char *row = rows;
    for (size_t r = 0; r < row_count; r++, row += dim) {
        uint32_t sum = sum_integer(term == KT_TERM_COSINE ? KT_TERM_DOT : term, element, query, row, dim);
        float dot = element == KITH_I8 ? (float)(int32_t)sum : (float)sum;
        float square = term == KT_TERM_COSINE ? norm_integer(element, row, dim) : 0;
        if (term == KT_TERM_L2 || term == KT_TERM_HAMMING)
            distances[r] = (float)sum;
        else if (term == KT_TERM_DOT)
            distances[r] = 1 - dot;
        else if (norm == 0 || square == 0)
            distances[r] = 1;
        else
            distances[r] = clamp_cosine(1 - dot / sqrt((double)norm * square));
    }
}

/* ---- the rest */

static void dot_tile(const float *a, size_t a_count, size_t a_stride, const float *b, size_t b_count,
                     size_t b_stride, size_t dim, float *out, size_t out_stride)
{
    for (size_t i = 0; i < a_count; i++)
        for (size_t j = 0; j < b_count; j++)
            out[i * out_stride + j] =
                sum_float(KT_TERM_DOT, KITH_F32, a + i * a_stride, b + j * b_stride, dim);
}

/* The row in the low nibble of byte j; the high nibble holds the row 16 above it. */
static size_t row_of_byte(size_t j)
{
    return (j & 1) * 8 + j / 2;
}

static void fastscan(const uint8_t *codes, size_t stride, size_t blocks, const uint8_t *lut, size_t tables,
                     uint32_t *sums)
{
    for (size_t b = 0; b < blocks; b++, codes += stride, sums += KT_BLOCK_ROWS) {
        memset(sums, 0, KT_BLOCK_ROWS * sizeof *sums);
        for (size_t t = 0; t < tables; t++) {
            for (size_t j = 0; j < 16; j++) {
                uint8_t code = codes[t * 16 + j];
                sums[row_of_byte(j)] += lut[t * 16 + (code & 15)];
                sums[row_of_byte(j) + 16] += lut[t * 16 + (code >> 4)];
            }
        }
    }
}

static void block_bounds(const uint32_t *sums, const void *factors, size_t stride, size_t blocks,
                         const struct kt_bounds *with, float *estimates, float *lows, uint32_t *masks)
{
    const unsigned char *at = factors;
    float f[3 * KT_BLOCK_ROWS];
    const float *add = f, *rescale = add + KT_BLOCK_ROWS, *error = rescale + KT_BLOCK_ROWS;
    for (size_t b = 0; b < blocks; b++, at += stride) {
        f16_to_float(at, 3 * KT_BLOCK_ROWS, f);
        masks[b] = 0;
        for (int r = 0; r < KT_BLOCK_ROWS; r++) {
            float product = with->unit * (float)sums[r] + with->bias;
            estimates[r] = with->base + add[r] * with->add_unit + rescale[r] * product;
            lows[r] = estimates[r] + rescale[r] * with->slack - error[r] * with->spread;
            masks[b] |= (uint32_t)(lows[r] <= with->limit) << r;
        }
        sums += KT_BLOCK_ROWS, estimates += KT_BLOCK_ROWS, lows += KT_BLOCK_ROWS;
    }
}

static void sign_table(const float *q, size_t tables, uint8_t *lut, float *unit, float *bias)
{
    float widest = 0, least = 0;
    for (size_t t = 0; t < tables; t++) {
        float width = 0;
        for (size_t i = 4 * t; i < 4 * t + 4; i++) {
            width += fabsf(q[i]);
            least += q[i] < 0 ? q[i] : 0;
        }
        widest = width > widest ? width : widest;
    }
    float scale = widest >= KT_WIDTH_LOW ? KT_ENTRY_MOST / widest : 0;
    for (size_t t = 0; t < tables; t++, q += 4) {
        float from = 0;
        for (int i = 0; i < 4; i++) from += q[i] < 0 ? q[i] : 0;
        for (int j = 0; j < 16; j++) {
            float sum = 0;
            for (int i = 0; i < 4; i++) sum += j >> i & 1 ? q[i] : 0;
            lut[t * 16 + (size_t)j] = (uint8_t)((sum - from) * scale + 0.5f);
        }
    }
    *unit = widest >= KT_WIDTH_LOW ? widest / KT_ENTRY_MOST : 0;
    *bias = least;
}

/* One part: numbers of `width` bits. */
static int32_t part_dot(unsigned width, const int8_t *q, const uint8_t *packed, size_t dim)
{
    int32_t sum = 0;
    for (size_t at = 0; at < dim; at += 64, packed += 8 * width) {
        for (size_t i = 0; i < 64; i++) {
            size_t byte = width == 1 ? i / 8 : i % (8 * width),
                   shift = width == 1 ? i % 8 : i / (8 * width) * width;
            sum += q[at + i] * (packed[byte] >> shift & ((1 << width) - 1));
        }
    }
    return sum;
}

KT_INLINE int32_t packed_dot(unsigned bits, const int8_t *q, const uint8_t *packed, size_t dim)
{
    int32_t sum = 0;
    for (unsigned width = 8; width; width /= 2) {
        if (!(bits & width)) continue;
        sum += part_dot(width, q, packed, dim) * (1 << (bits & (width - 1)));
        packed += dim / 8 * width;
    }
    return sum;
}

static void dot_bytes(const int8_t *q, const int8_t *rows, size_t dim, size_t count, int32_t *out)
{
    for (size_t r = 0; r < count; r++, rows += dim) {
        int32_t sum = 0;
        for (size_t i = 0; i < dim; i++) sum += q[i] * rows[i];
        out[r] = sum;
    }
}

static void dot_bytes_at(const int8_t *q, const uint8_t *const *rows, size_t dim, size_t count, int32_t *out)
{
    for (size_t r = 0; r < count; r++) dot_bytes(q, (const int8_t *)rows[r], dim, 1, out + r);
}

static void hadamard(float *values, unsigned log_count)
{
    size_t count = (size_t)1 << log_count;
    for (size_t half = 1; half < count; half *= 2) {
        for (size_t at = 0; at < count; at += 2 * half) {
            for (size_t i = at; i < at + half; i++) {
                float a = values[i], b = values[i + half];
                values[i] = a + b;
                values[i + half] = a - b;
            }
        }
    }
}

#define KT_ISA_NAME "scalar"
#define KT_ISA_TABLE kt_kernels_scalar
#include "kernels/body_table.h"
