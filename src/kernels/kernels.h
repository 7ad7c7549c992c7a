/* The arithmetic on vectors, in batches, one table of functions for each instruction set.
 *
 * A table is chosen once, at the first call of kt_kernels(): the best that this processor has, or the one
 * that the environment variable KITH_ISA names ("scalar", "avx2", "avx512", "neon"), if the processor has
 * it. The scalar table is the meaning; every other one gives the same numbers up to the order of a sum
 * (exactly the same for integers). Kernels do not allocate and cannot fail. */
#ifndef KT_KERNELS_KERNELS_H
#define KT_KERNELS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "kith.h" /* kith_element, kith_metric */

/* Distances of one query to `rows` vectors that lie one after another, `dim` numbers each, no alignment
 * assumed. `norm` is kt_kernels.norm of the query (only cosine reads it).
 *   l2       sum (q - x)^2
 *   dot      1 - q.x
 *   cosine   1 - q.x / sqrt(q.q x.x), in 0..2; 1 when either is all zero
 *   hamming  bits that differ (uint8 only)
 * The element type is that of the rows. The query is float for F32, F16, I8 and U8 rows (so `norm` is that of
 * KITH_F32), double for F64 (which sums the norm itself, in double), and bytes for hamming. Sums are kept in
 * float (double for F64). Every type adds in the same order as `norm` does, so that the distance of a vector
 * to itself is exactly 0, by cosine too; and a row's distance does not depend on the other rows of the call.
 */
typedef void (*kt_distance_fn)(const void *query, float norm, const void *rows, size_t dim, size_t row_count,
                               float *distances);

/* The same for a query of the rows' own type, uint8 or int8, in whole numbers: exact while the sum fits
 * 32 bits (dim <= 65,536). */

/* Fast-scan. A block holds the codes of 32 rows for `tables` sub-quantisers of 4 bits, 16 bytes each:
 * byte j of sub-quantiser t is  (code of row 16 + p(j)) << 4 | code of row p(j),  with
 * p = 0,8,1,9,2,10,3,11,4,12,5,13,6,14,7,15, so that adding u16 lanes leaves rows 0-7 and 8-15 apart. */
enum { KT_BLOCK_ROWS = 32 };

struct kt_kernels {
    const char *name;

    /* distance[metric][element]; NULL where there is none (hamming is for U8 only). */
    kt_distance_fn distance[KITH_HAMMING + 1][KITH_U8 + 1];

    /* Query of the rows' own type; only [KITH_L2], [KITH_DOT], [KITH_COSINE] x {I8, U8}; NULL elsewhere. */
    kt_distance_fn integer_distance[KITH_HAMMING + 1][KITH_U8 + 1];

    /* Sum of squares of one vector of `element` numbers (F32, F16, F64, I8, U8), added in the order of the
     * distance functions. The first is for a float (F64: double) query, the second for integer queries. */
    float (*norm[KITH_U8 + 1])(const void *vector, size_t dim);
    float (*integer_norm[KITH_U8 + 1])(const void *vector, size_t dim);

    /* Widens `count` numbers of `element` (F32, F16, F64, I8, U8) to float, and narrows floats to F16. */
    void (*to_float[KITH_U8 + 1])(const void *from, size_t count, float *to);
    void (*to_half)(const float *from, size_t count, uint16_t *to);

    /* out[i * out_stride + j] = a_i . b_j  for `a_count` rows of a and `b_count` rows of b, strides in
     * floats: the inner loop of k-means and of coarse search in batches. */
    void (*dot_tile)(const float *a, size_t a_count, size_t a_stride, const float *b, size_t b_count,
                     size_t b_stride, size_t dim, float *out, size_t out_stride);

    /* Whether any of `count` numbers (F32, F16, F64) is NaN or infinite. */
    int (*has_bad[KITH_U8 + 1])(const void *numbers, size_t count);

    /* sums[b * 32 + r] = sum over t < tables of lut[t * 16 + code of row r in sub-quantiser t], for `blocks`
     * blocks whose codes begin `stride` bytes apart. tables <= 256, so that no u16 overflows; lut is 64-byte
     * aligned, codes 16-byte aligned. */
    void (*fastscan)(const uint8_t *codes, size_t stride, size_t blocks, const uint8_t *lut, size_t tables,
                     uint16_t *sums);

    /* In-place fast Hadamard transform of 2^log_count floats, not scaled. */
    void (*hadamard)(float *values, unsigned log_count);
};

const struct kt_kernels *kt_kernels(void);

/** The table of that name, or NULL when this processor or build has none. For tests and benchmarks. */
const struct kt_kernels *kt_kernels_named(const char *name);

/** Bytes of one number of `element`. */
static inline size_t kt_element_bytes(kith_element element)
{
    static const uint8_t bytes[] = { 4, 2, 8, 1, 1 };
    return bytes[element];
}

#endif
