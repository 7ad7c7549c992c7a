/* What the files of this room share. Nothing here may be compiled into common code under another file's
 * instruction set: inlines are always inlined, and a kernel file includes no header of another room (the
 * scalar one, which is common code, may). */
#ifndef KT_KERNELS_PRIVATE_H
#define KT_KERNELS_PRIVATE_H

#include "kernels/kernels.h"

/* A function that exists to be specialised by constant arguments. */
#define KT_INLINE static inline __attribute__((always_inline))

/* So many entries of look-up tables add up to what 16 bits hold. */
#define KT_SHORT_TABLES 1024

/* The numbers of a sign table count as zeros where no four of them have more than this in all: 255 divided by
 * much less would be infinite. */
#define KT_WIDTH_LOW 1e-30f

/* The tables; each exists where its processor family does. */
extern const struct kt_kernels kt_kernels_scalar;
extern const struct kt_kernels kt_kernels_avx2;
extern const struct kt_kernels kt_kernels_avx512;
extern const struct kt_kernels kt_kernels_neon;

/* What is summed over a row; cosine sums two things, and hamming is of bytes only. */
enum kt_term { KT_TERM_L2, KT_TERM_DOT, KT_TERM_COSINE, KT_TERM_NORM, KT_TERM_HAMMING };

/* Cosine from float sums is right while the sums of squares are in this range: above it they overflow,
 * below it their addends lose bits. Rows outside (zero vectors among them) go to kt_cosine_careful(). */
#define KT_SQUARE_LOW 1e-30f
#define KT_SQUARE_HIGH 3e38f

/** The cosine distance in double precision and scaled, right for all finite numbers; 1 for a zero vector.
 *  `query` is double for F64 and float for every other type of the row. */
float kt_cosine_careful(kith_element element, const void *query, const void *row, size_t dim);

/** IEEE half precision by integer arithmetic. */
uint16_t kt_float_to_half(float value);

#endif
