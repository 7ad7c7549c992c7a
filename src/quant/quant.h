/* Quantizers: train, encode a row into a code, and prepare a query to score 32 codes at a time.
 *
 * Product quantization with 4-bit sub-quantisers (Jegou, Douze, Schmid 2011; fast-scan: Andre, Kermarrec, Le
 * Scouarnec 2015): a row x of list c is stored as the code of its residual x - c, y the decoded residual, and
 * one number that makes a single look-up table serve all lists: l2:   |q - c - y|^2 = |q - c|^2 + (|y|^2 + 2
 * c.y) - 2 q.y      correction |y|^2 + 2 c.y (ivf_build.c has a better one) dot:  q.(c + y) = q.c + q.y
 * correction 0 Cosine is l2 over unit-length rows. */
#ifndef KT_QUANT_QUANT_H
#define KT_QUANT_QUANT_H

#include "base/status.h"
#include "parallel/parallel.h"

enum { KT_PQ_CODES = 16 };

struct kt_pq {
    uint32_t dim;
    uint32_t tables; /* sub-quantisers of 4 bits; sub-quantiser t sees numbers [begin[t], begin[t + 1]) */
    uint32_t *begin; /* tables + 1 */
    float *
        codebook; /* for t: 16 rows of begin[t+1]-begin[t] floats, one after another, from 16 * begin[t] on */
    float *
        columns; /* the same by number, then by code: number d of code j at 16 * d + j, for d in 0 .. dim-1 */
};
/** Makes a pq around a copy of a codebook (16 * dim floats) that was trained before. */
kith_status kt_pq_init(uint32_t dim, uint32_t tables, const float *codebook, struct kt_pq *out,
                       kith_error *error);
void kt_pq_release(struct kt_pq *pq);

/** Learns `tables` codebooks from `count` residual rows. dim need not be a multiple: parts differ by one
 * number. */
kith_status kt_pq_train(uint32_t dim, uint32_t tables, uint32_t max_iterations, uint64_t seed,
                        const float *residuals, uint64_t count, struct kt_work *work, struct kt_pq *out,
                        kith_error *error);

/** Codes of one residual (`tables` bytes, each 0..15) and, when `decoded` is not NULL, the decoded residual
 * (dim floats). */
void kt_pq_encode(const struct kt_pq *pq, const float *residual, uint8_t *codes, float *decoded);

/** Lays the codes of up to 32 rows (row r at codes + r * tables) into one fast-scan block of tables * 16
 * bytes; missing rows are zero. */
void kt_pq_pack(const uint8_t *codes, uint32_t rows, uint32_t tables, uint8_t *block);

/** The codes of one row of a block. */
void kt_pq_unpack(const uint8_t *block, uint32_t row, uint32_t tables, uint8_t *codes);

/* A query's look-up table in bytes: sum of a block's entries times `scale`, plus `bias`, is about -2 q.y (l2)
 * or -q.y (dot). */
struct kt_pq_query {
    uint8_t *lut; /* tables * 16, 64-byte aligned, borrowed */
    float scale;
    float bias;
};
/** `lut` has room for tables * 16 bytes, `entries` for as many floats: it receives the table before it was
 * made bytes. `factor` is -2 for l2, -1 for dot. */
void kt_pq_prepare(const struct kt_pq *pq, const float *query, float factor, float *entries, uint8_t *lut,
                   struct kt_pq_query *out);

/* RaBitQ (Gao, Long 2024; several bits: Gao et al. 2025): a residual r = x - c, rotated, as the whole numbers
 * u of `bits` bits nearest to a multiple of it. v = u - (2^bits - 1)/2 points nearly where r does, and with
 * rho = r.r / v.r   the estimate of r.y for any y is rho v.y, right on the average, and off by a known
 * spread. |q - x|^2 = |q - c|^2 + (r.r + 2 rho c.v) - 2 rho q.v  +-  error |q - c| The first bit of each
 * number is its sign and is scanned for all rows of a list; the others (`extra`) are read for the few rows
 * whose bounds leave room, and the same formula with all bits narrows them. The same three factors serve a
 * product quantizer, v being the decoded residual. */
struct kt_factors {
    float add;                   /* r.r + 2 rho c.v */
    float rescale;               /* -2 rho */
    float error;                 /* of one standard deviation, for |q - c| = 1 */
    float across, reach, length; /* c.v, |v| and |r|: what rounding the others needs to know */
};
/** The factors of a code that means v. */
struct kt_factors kt_factors_of(const float *residual, const float *centroid, const float *v, uint32_t dim);

/* What factors are divided by before they are stored as halves: powers of two, so that only halves round. */
struct kt_units {
    float add, rescale, error;
};
/** The halves of add, rescale and error, in this order. `add` is of the rescale that was stored, the error is
 * rounded up and holds what rounding the other two leaves; where a half holds one of them not at all the
 * error is infinite and the others are zero. */
void kt_factors_round(const struct kt_factors *factors, const struct kt_units *units, uint16_t out[3]);

enum { KT_RABITQ_BITS = 9 };
/** Bytes of the bits of a row beyond the first of each number. dim is a multiple of 64. */
uint32_t kt_rabitq_extra_bytes(uint32_t dim, uint32_t bits);
/** Encodes a residual (dim floats): its signs as dim / 4 codes of 4 bits, a byte each (number 4 t + i is bit
 * i of code t); the other bits packed into `extra` (packed_dot's form, the widest part first); the factors of
 * the signs alone and of all bits. `v` is scratch of dim floats. */
void kt_rabitq_encode(uint32_t dim, uint32_t bits, const float *residual, const float *centroid, float *v,
                      uint8_t *codes, uint8_t *extra, struct kt_factors *of_signs, struct kt_factors *of_all);

/* What a query knows of itself. */
struct kt_rabitq_query {
    const uint8_t *lut; /* dim / 4 tables */
    const int8_t *bytes;
    float unit, bias; /* sum of look-ups * unit + bias = q.(signs as 0 and 1) */
    float byte_unit;  /* bytes * byte_unit = q */
    float sum;        /* of its numbers */
};
/** `lut` has room for 4 * dim bytes and is 64-byte aligned, `bytes` for dim. */
void kt_rabitq_prepare(uint32_t dim, const float *query, uint8_t *lut, int8_t *bytes,
                       struct kt_rabitq_query *out);
/** q.(signs as 0 and 1) of one row, whose codes stand two a byte, the first in the low half. */
float kt_rabitq_signs(const struct kt_rabitq_query *query, uint32_t dim, const uint8_t *codes);
/** q.v of all bits from q.(signs as 0 and 1). */
float kt_rabitq_product(const struct kt_rabitq_query *query, uint32_t dim, uint32_t bits, float signs,
                        const uint8_t *extra);
/** Rounds to -127..127 by one unit, which is returned. */
float kt_to_bytes(const float *values, uint32_t dim, int8_t *bytes);

#endif
