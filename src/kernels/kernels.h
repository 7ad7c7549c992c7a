/* The arithmetic on vectors, in batches, one table of functions for each instruction set.
 *
 * A table is chosen once, at the first call of kt_kernels(): the best that this processor has, or the one
 * that the environment variable KITH_ISA names ("scalar", "avx2", "avx512", "neon"), if the processor has
 * it. The scalar table is the meaning; every other one gives the same numbers up to the order of a sum
 * (exactly the same for integers). Kernels do not allocate and cannot fail. */
#ifndef KT_KERNELS_KERNELS_H
#define KT_KERNELS_KERNELS_H

#include <stdatomic.h>
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
enum { KT_BLOCK_ROWS = 32, KT_ENTRY_MOST = 63 /* of a look-up table: four of them add up to a byte */ };

/* What one list and one query add to the bounds of a block. */
struct kt_bounds {
    float base, add_unit, unit, bias, slack, spread, limit;
};

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
     * blocks whose codes begin `stride` bytes apart. Entries of lut are at most KT_ENTRY_MOST; lut is 64-byte
     * aligned, codes 16-byte aligned; tables is at most 2^23, so that a sum is below 2^31. */
    void (*fastscan)(const uint8_t *codes, size_t stride, size_t blocks, const uint8_t *lut, size_t tables,
                     uint32_t *sums);

    /* Estimates of the 32 rows of each of `blocks` blocks from their sums (32 a block, each below 2^31), what
     * they may be at least, and which of them may be near:
     *   estimate = base + add * add_unit + rescale * (unit * sum + bias)
     *   low      = estimate + rescale * slack - error * spread
     * and bit r of the block's mask is set iff low <= limit. The factors of a block are add, rescale (which
     * is negative) and error, 32 halves each; those of the next block begin `stride` bytes after. A spread
     * above zero lets a row of infinite error pass any limit. */
    void (*block_bounds)(const uint32_t *sums, const void *factors, size_t stride, size_t blocks,
                         const struct kt_bounds *with, float *estimates, float *lows, uint32_t *masks);

    /* The look-up table of a query over sign bits: entry j of table t stands for the sum of those of numbers
     * q[4t .. 4t+3] whose bit is set in j; sum of entries * *unit + *bias is the sum of them all. Entries are
     * bytes, by one unit for all tables, rounded within 0.51 of it. *unit is 0 where q is all zero, or so
     * small that it counts as zero (no four numbers add up to 1e-30). */
    void (*sign_table)(const float *q, size_t tables, uint8_t *lut, float *unit, float *bias);

    /* Sum of q[i] * x[i] over `dim` numbers, a multiple of 64; q within -127..127. x are whole numbers of 1
     * to 8 bits (packed_dot[1..8]), split into parts of 8, 4, 2 and 1 bits, the highest bits in the widest
     * part; the widest part of all numbers comes first. In a part each 64 numbers are packed in as many bytes
     * as they need: 1 bit   number i is bit i mod 8 of byte i / 8 2 bits  number i is bits 2 (i / 16) .. of
     * byte i mod 16 4 bits  number i is bits 4 (i / 32) .. of byte i mod 32 */
    int32_t (*packed_dot[9])(const int8_t *q, const uint8_t *packed, size_t dim);

    /* out[r] = q . x_r in whole numbers for `count` rows of `dim` bytes, all within -127..127; dim is a
     * multiple of 64 and at most 65,536 * 2. Rows are `dim` bytes apart. */
    void (*dot_bytes)(const int8_t *q, const int8_t *rows, size_t dim, size_t count, int32_t *out);

    /* The same for rows that lie anywhere, and whose bytes may be any where those of q are 0. */
    void (*dot_bytes_at)(const int8_t *q, const uint8_t *const *rows, size_t dim, size_t count, int32_t *out);

    /* In-place fast Hadamard transform of 2^log_count floats, not scaled. */
    void (*hadamard)(float *values, unsigned log_count);
};

extern const struct kt_kernels *_Atomic kt_kernels_chosen;
const struct kt_kernels *kt_kernels_choose(void);
static inline const struct kt_kernels *kt_kernels(void)
{
    const struct kt_kernels *chosen = atomic_load_explicit(&kt_kernels_chosen, memory_order_relaxed);
    return chosen ? chosen : kt_kernels_choose();
}

/** The table of that name, or NULL when this processor or build has none. For tests and benchmarks. */
const struct kt_kernels *kt_kernels_named(const char *name);

/** Bytes of one number of `element`. */
static inline size_t kt_element_bytes(kith_element element)
{
    static const uint8_t bytes[] = { 4, 2, 8, 1, 1 };
    return bytes[element];
}

#endif
