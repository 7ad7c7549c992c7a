/* The kernels for AVX2 with FMA, F16C and POPCNT: nearly every x86-64 machine since 2013.
 *
 * This file says what a vector of 8 floats can do; the body files make the kernels of it. What has no common
 * body (the fast-scan of a block, Hamming, conversion to half) stands here whole. */
#include "kernels/kernels_private.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "kernels/body_numbers.h"
#include "kernels/body_x86.h"

/* ---- floats */

typedef __m256 vf;
enum { VF = 8, TILE_A = 3 };

KT_INLINE vf vf_zero(void)
{
    return _mm256_setzero_ps();
}

KT_INLINE vf vf_all(float value)
{
    return _mm256_set1_ps(value);
}

KT_INLINE vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}

KT_INLINE vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}

KT_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

KT_INLINE void vf_store(float *to, vf v)
{
    _mm256_storeu_ps(to, v);
}

/* Fewer than 8 bytes, zeros above them. Two overlapping loads never leave the row, and cost less than a
 * call of memcpy. */
KT_INLINE uint64_t load_bytes(const unsigned char *p, size_t count)
{
    if (count >= 4) {
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, p + count - 4, 4);
        return low | (uint64_t)high << (8 * (count - 4));
    }
    uint64_t bytes = 0;
    if (count >= 1) bytes = p[0];
    if (count >= 2) bytes |= (uint64_t)p[1] << 8;
    if (count >= 3) bytes |= (uint64_t)p[2] << 16;
    return bytes;
}

KT_INLINE __m128i load_part16(const unsigned char *p, size_t count)
{
    uint64_t low, high = 0;
    if (count >= 8) {
        memcpy(&low, p, 8);
        high = load_bytes(p + 8, count - 8);
    } else {
        low = load_bytes(p, count);
    }
    return _mm_set_epi64x((long long)high, (long long)low);
}

KT_INLINE vf vf_load_f32(const void *p)
{
    return _mm256_loadu_ps(p);
}

KT_INLINE vf vf_load_f32_part(const void *p, size_t count)
{
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lane));
}

KT_INLINE vf vf_load_f16(const unsigned char *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
}

KT_INLINE vf vf_load_f16_part(const unsigned char *p, size_t count)
{
    return _mm256_cvtph_ps(load_part16(p, 2 * count));
}

KT_INLINE vf vf_load_i8(const unsigned char *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p)));
}

KT_INLINE vf vf_load_i8_part(const unsigned char *p, size_t count)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128((long long)load_bytes(p, count))));
}

KT_INLINE vf vf_load_u8(const unsigned char *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)p)));
}

KT_INLINE vf vf_load_u8_part(const unsigned char *p, size_t count)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)load_bytes(p, count))));
}

KT_INLINE vf vf_counts(const uint32_t *sums)
{
    return _mm256_cvtepi32_ps(_mm256_loadu_si256((const void *)sums));
}

KT_INLINE uint32_t vf_at_most(vf a, vf b)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ));
}

KT_INLINE void vf_sum4(vf a, vf b, vf c, vf d, float sums[4])
{
    sum4_floats(a, b, c, d, sums);
}

KT_INLINE vf vf_hadamard(vf v)
{
    const __m256 odd = _mm256_setr_ps(0, -0.0f, 0, -0.0f, 0, -0.0f, 0, -0.0f);
    const __m256 odd2 = _mm256_setr_ps(0, 0, -0.0f, -0.0f, 0, 0, -0.0f, -0.0f);
    const __m256 odd4 = _mm256_setr_ps(0, 0, 0, 0, -0.0f, -0.0f, -0.0f, -0.0f);
    v = _mm256_add_ps(_mm256_permute_ps(v, 0xb1), _mm256_xor_ps(v, odd));
    v = _mm256_add_ps(_mm256_permute_ps(v, 0x4e), _mm256_xor_ps(v, odd2));
    return _mm256_add_ps(_mm256_permute2f128_ps(v, v, 1), _mm256_xor_ps(v, odd4));
}

#include "kernels/body_float.h"
#include "kernels/body_hadamard.h"
#include "kernels/body_tile.h"

/* ---- doubles */

typedef __m256d vd;
enum { VD = 4 };

KT_INLINE vd vd_zero(void)
{
    return _mm256_setzero_pd();
}

KT_INLINE vd vd_add(vd a, vd b)
{
    return _mm256_add_pd(a, b);
}

KT_INLINE vd vd_sub(vd a, vd b)
{
    return _mm256_sub_pd(a, b);
}

KT_INLINE vd vd_fma(vd a, vd b, vd c)
{
    return _mm256_fmadd_pd(a, b, c);
}

KT_INLINE vd vd_load(const void *p)
{
    return _mm256_loadu_pd(p);
}

KT_INLINE vd vd_load_part(const void *p, size_t count)
{
    __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
    return _mm256_maskload_pd(p, _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)count), lane));
}

KT_INLINE double vd_sum(vd v)
{
    __m128d half = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
    return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
}

#include "kernels/body_double_rows.h"

#include "kernels/body_double.h"

/* ---- integers */

typedef __m256i vi;
typedef __m256i vb;
enum { VB = 32 };

KT_INLINE vi vi_zero(void)
{
    return _mm256_setzero_si256();
}

/* GCC 12 would load the same bytes again for each use; what has passed through here it keeps. */
KT_INLINE vb vb_load(const uint8_t *p)
{
    __m256i v = _mm256_loadu_si256((const void *)p);
    __asm__("" : "+x"(v));
    return v;
}

KT_INLINE vb vb_load_part(const uint8_t *p, size_t count)
{
    if (count < 16) return _mm256_zextsi128_si256(load_part16(p, count));
    return _mm256_set_m128i(load_part16(p + 16, count - 16), _mm_loadu_si128((const void *)p));
}

/* |q - x|, which fits 8 bits unsigned for both types. */
KT_INLINE __m256i differences(kith_element element, vb q, vb x)
{
    return element == KITH_I8 ? _mm256_sub_epi8(_mm256_max_epi8(q, x), _mm256_min_epi8(q, x))
                              : _mm256_sub_epi8(_mm256_max_epu8(q, x), _mm256_min_epu8(q, x));
}

/* The bytes at even and at odd places as 16-bit numbers. */
KT_INLINE __m256i evens(kith_element element, __m256i v)
{
    return element == KITH_I8 ? _mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8)
                              : _mm256_and_si256(v, _mm256_set1_epi16(255));
}

KT_INLINE __m256i odds(kith_element element, __m256i v)
{
    return element == KITH_I8 ? _mm256_srai_epi16(v, 8) : _mm256_srli_epi16(v, 8);
}

KT_INLINE vi add_bits(__m256i v, vi sum)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, /* twice */
                                            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    __m256i low = _mm256_shuffle_epi8(counts, _mm256_and_si256(v, nibble));
    __m256i high = _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble));
    return _mm256_add_epi32(sum, _mm256_sad_epu8(_mm256_add_epi8(low, high), vi_zero()));
}

/* A pair of products of 16-bit numbers fits 32 bits, whatever the bytes: multiply-add never saturates here,
 * as it would on bytes. */
KT_INLINE vi vi_step(enum kt_term term, kith_element element, vb q, vb x, vi sum)
{
    if (term == KT_TERM_HAMMING) return add_bits(_mm256_xor_si256(q, x), sum);
    if (term == KT_TERM_L2) {
        q = x = differences(element, q, x);
        element = KITH_U8;
    }
    __m256i even = _mm256_madd_epi16(evens(element, q), evens(element, x));
    __m256i odd = _mm256_madd_epi16(odds(element, q), odds(element, x));
    return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}

KT_INLINE void vi_sum4(vi a, vi b, vi c, vi d, uint32_t sums[4])
{
    sum4_integers(a, b, c, d, sums);
}

KT_INLINE uint32_t vi_sum(vi v)
{
    return sum_integers(v);
}

#include "kernels/body_integer.h"

/* ---- half precision */

static void f16_to_float(const void *from, size_t count, float *to)
{
    const unsigned char *p = from;
    size_t i = 0;
    for (; i + 8 <= count; i += 8) _mm256_storeu_ps(to + i, vf_load_f16(p + 2 * i));
    if (i == count) return;
    float last[8];
    _mm256_storeu_ps(last, vf_load_f16_part(p + 2 * i, count - i));
    memcpy(to + i, last, (count - i) * sizeof *to);
}

static void float_to_f16(const float *from, size_t count, uint16_t *to)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm_storeu_si128((void *)(to + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
    if (i == count) return;
    uint16_t last[8];
    _mm_storeu_si128((void *)last,
                     _mm256_cvtps_ph(vf_load_f32_part(from + i, count - i), _MM_FROUND_TO_NEAREST_INT));
    memcpy(to + i, last, (count - i) * sizeof *to);
}

/* ---- fast-scan */

/* A 16-bit lane of a looked-up vector holds the values of rows r (low byte) and r + 8 (high byte). `both`
 * adds such lanes as they are, `high` their high bytes; at the end both - 256 * high is the sum of the low
 * bytes modulo 2^16, which is all of it. That saves masking the low bytes at each step. */
struct scan_sums {
    __m256i both, high;
};

KT_INLINE void scan_add(struct scan_sums *s, __m256i values)
{
    s->both = _mm256_add_epi16(s->both, values);
    s->high = _mm256_add_epi16(s->high, _mm256_srli_epi16(values, 8));
}

/* What 32 bytes of codes look up, for rows 0-15 and rows 16-31. */
struct scan_pair {
    __m256i low, high;
};

KT_INLINE struct scan_pair scan_look(__m256i codes, __m256i lut)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    return (
        struct scan_pair){ _mm256_shuffle_epi8(lut, _mm256_and_si256(codes, nibble)),
                           _mm256_shuffle_epi8(lut, _mm256_and_si256(_mm256_srli_epi16(codes, 4), nibble)) };
}

KT_INLINE struct scan_pair scan_both(struct scan_pair a, struct scan_pair b)
{
    return (struct scan_pair){ _mm256_add_epi8(a.low, b.low), _mm256_add_epi8(a.high, b.high) };
}

KT_INLINE void scan_step(struct scan_sums s[2], struct scan_pair pair)
{
    scan_add(&s[0], pair.low);
    scan_add(&s[1], pair.high);
}

/* The two 128-bit halves belong to the even and odd sub-quantisers. */
KT_INLINE void scan_store(const struct scan_sums *s, int more, uint32_t *sums)
{
    __m256i low = _mm256_sub_epi16(s->both, _mm256_slli_epi16(s->high, 8));
    scan_put(_mm_add_epi16(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)), more, sums);
    scan_put(_mm_add_epi16(_mm256_castsi256_si128(s->high), _mm256_extracti128_si256(s->high, 1)), more,
             sums + 8);
}

/* At most KT_SHORT_TABLES tables. Four entries add up to a byte, so eight tables are widened at a time. */
KT_INLINE void scan_block(const uint8_t *codes, const uint8_t *lut, size_t tables, int more, uint32_t *sums)
{
    struct scan_sums s[2] = { { vi_zero(), vi_zero() }, { vi_zero(), vi_zero() } };
    size_t at = 0;
    for (; at + 128 <= tables * 16; at += 128) {
        scan_ahead(codes + at);
        scan_ahead(codes + at + 64);
        struct scan_pair a = scan_look(vb_load(codes + at), vb_load(lut + at));
        struct scan_pair b = scan_look(vb_load(codes + at + 32), vb_load(lut + at + 32));
        a = scan_both(a, b);
        b = scan_look(vb_load(codes + at + 64), vb_load(lut + at + 64));
        struct scan_pair c = scan_look(vb_load(codes + at + 96), vb_load(lut + at + 96));
        scan_step(s, scan_both(a, scan_both(b, c)));
    }
    for (; at + 32 <= tables * 16; at += 32) scan_step(s, scan_look(vb_load(codes + at), vb_load(lut + at)));
    if (at < tables * 16) /* an odd one: beside it a table of zeros */
        scan_step(s, scan_look(_mm256_zextsi128_si256(_mm_loadu_si128((const void *)(codes + at))),
                               _mm256_zextsi128_si256(_mm_loadu_si128((const void *)(lut + at)))));
    scan_store(&s[0], more, sums);
    scan_store(&s[1], more, sums + 16);
}

/* ---- small whole numbers */

/* 32 of 64 packed numbers of fewer than 8 bits, a byte each. */
KT_INLINE __m256i unpack(int log_bits, const uint8_t *packed, int half)
{
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, /* of 4 bytes */
                                            2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i bits = _mm256_set1_epi64x((long long)0x8040201008040201ULL);
    if (log_bits == 0) {
        int32_t word;
        memcpy(&word, packed + 4 * half, sizeof word);
        __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(word), spread);
        return _mm256_min_epu8(_mm256_and_si256(bytes, bits), _mm256_set1_epi8(1));
    }
    if (log_bits == 1) {
        __m256i both = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)packed));
        __m256i shifts = half ? _mm256_setr_epi64x(4, 4, 6, 6) : _mm256_setr_epi64x(0, 0, 2, 2);
        return _mm256_and_si256(_mm256_srlv_epi64(both, shifts), _mm256_set1_epi8(3));
    }
    __m256i both = vb_load(packed);
    return _mm256_and_si256(half ? _mm256_srli_epi16(both, 4) : both, _mm256_set1_epi8(15));
}

/* Whole bytes times 127, twice, would leave 16 bits. */
KT_INLINE vi add_wide_products(vb x, vb q, vi sum)
{
    __m256i even = _mm256_madd_epi16(evens(KITH_U8, x), evens(KITH_I8, q));
    __m256i odd = _mm256_madd_epi16(odds(KITH_U8, x), odds(KITH_I8, q));
    return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}

/* Four products of at most 15 x 127 fit 16 bits. */
KT_INLINE vi packed_step(int log_bits, const uint8_t *q, const uint8_t *packed, vi sum)
{
    if (log_bits == 3)
        return add_wide_products(vb_load(packed + 32), vb_load(q + 32),
                                 add_wide_products(vb_load(packed), vb_load(q), sum));
    __m256i first = _mm256_maddubs_epi16(unpack(log_bits, packed, 0), vb_load(q));
    __m256i second = _mm256_maddubs_epi16(unpack(log_bits, packed, 1), vb_load(q + 32));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_add_epi16(first, second), _mm256_set1_epi16(1)));
}

/* |q| times x under q's sign: without -128, two products fit 16 bits. */
KT_INLINE vi dot_step(vb q, vb x, vi sum)
{
    __m256i pair = _mm256_maddubs_epi16(_mm256_abs_epi8(q), _mm256_sign_epi8(x, q));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pair, _mm256_set1_epi16(1)));
}

KT_INLINE vi dot_start(const uint8_t *q, size_t dim)
{
    (void)q;
    (void)dim;
    return vi_zero();
}

#include "kernels/body_codes.h"
#include "kernels/body_signs_x86.h"

#define KT_ISA_NAME "avx2"
#define KT_ISA_TABLE kt_kernels_avx2
#include "kernels/body_table.h"

#endif
