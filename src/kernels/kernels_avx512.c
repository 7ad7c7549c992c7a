/* The kernels for AVX-512 F, BW, VL, DQ, VNNI and VPOPCNTDQ: Intel since Ice Lake, AMD since Zen 4.
 *
 * The same as the AVX2 file with twice the width, so read that one first. What differs: an incomplete step
 * is a masked load, multiply-add of 16-bit pairs adds to its sum in one instruction (VNNI), and there are
 * registers for a larger tile. */
#include "kernels/kernels_private.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "kernels/body_numbers.h"
#include "kernels/body_x86.h"

/* ---- floats */

typedef __m512 vf;
enum { VF = 16, TILE_A = 6 };

/* The lowest `count` of at most 16 lanes. */
KT_INLINE __mmask16 first16(size_t count)
{
    return (__mmask16)((1u << count) - 1);
}

KT_INLINE vf vf_zero(void)
{
    return _mm512_setzero_ps();
}

KT_INLINE vf vf_all(float value)
{
    return _mm512_set1_ps(value);
}

KT_INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

KT_INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}

KT_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

KT_INLINE void vf_store(float *to, vf v)
{
    _mm512_storeu_ps(to, v);
}

KT_INLINE vf vf_load_f32(const void *p)
{
    return _mm512_loadu_ps(p);
}

KT_INLINE vf vf_load_f32_part(const void *p, size_t count)
{
    return _mm512_maskz_loadu_ps(first16(count), p);
}

KT_INLINE vf vf_load_f16(const unsigned char *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
}

KT_INLINE vf vf_load_f16_part(const unsigned char *p, size_t count)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first16(count), p));
}

KT_INLINE vf vf_load_i8(const unsigned char *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)p)));
}

KT_INLINE vf vf_load_i8_part(const unsigned char *p, size_t count)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(first16(count), p)));
}

KT_INLINE vf vf_load_u8(const unsigned char *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)p)));
}

KT_INLINE vf vf_load_u8_part(const unsigned char *p, size_t count)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(first16(count), p)));
}

KT_INLINE vf vf_counts(const uint32_t *sums)
{
    return _mm512_cvtepi32_ps(_mm512_loadu_si512(sums));
}

KT_INLINE uint32_t vf_at_most(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}

KT_INLINE __m256 fold_floats(__m512 v)
{
    return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}

KT_INLINE void vf_sum4(vf a, vf b, vf c, vf d, float sums[4])
{
    sum4_floats(fold_floats(a), fold_floats(b), fold_floats(c), fold_floats(d), sums);
}

/* The second addend of a stage is v with the lanes negated that are the upper half of their pair. */
KT_INLINE vf vf_hadamard(vf v)
{
    const __m512 minus = _mm512_set1_ps(-0.0f);
    v = _mm512_add_ps(_mm512_permute_ps(v, 0xb1), _mm512_mask_xor_ps(v, 0xaaaa, v, minus));
    v = _mm512_add_ps(_mm512_permute_ps(v, 0x4e), _mm512_mask_xor_ps(v, 0xcccc, v, minus));
    v = _mm512_add_ps(_mm512_shuffle_f32x4(v, v, 0xb1), _mm512_mask_xor_ps(v, 0xf0f0, v, minus));
    return _mm512_add_ps(_mm512_shuffle_f32x4(v, v, 0x4e), _mm512_mask_xor_ps(v, 0xff00, v, minus));
}

#include "kernels/body_float.h"
#include "kernels/body_hadamard.h"
#include "kernels/body_tile.h"

/* ---- doubles */

typedef __m512d vd;
enum { VD = 8 };

KT_INLINE vd vd_zero(void)
{
    return _mm512_setzero_pd();
}

KT_INLINE vd vd_add(vd a, vd b)
{
    return _mm512_add_pd(a, b);
}

KT_INLINE vd vd_sub(vd a, vd b)
{
    return _mm512_sub_pd(a, b);
}

KT_INLINE vd vd_fma(vd a, vd b, vd c)
{
    return _mm512_fmadd_pd(a, b, c);
}

KT_INLINE vd vd_load(const void *p)
{
    return _mm512_loadu_pd(p);
}

KT_INLINE vd vd_load_part(const void *p, size_t count)
{
    return _mm512_maskz_loadu_pd((__mmask8)first16(count), p);
}

KT_INLINE double vd_sum(vd v)
{
    __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd(v, 1));
    __m128d half = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
}

#include "kernels/body_double_rows.h"

#include "kernels/body_double.h"

/* ---- integers */

typedef __m512i vi;
typedef __m512i vb;
enum { VB = 64 };

/* The lowest `count` of 64 bytes, count < 64. */
KT_INLINE __mmask64 first64(size_t count)
{
    return ((__mmask64)1 << count) - 1;
}

KT_INLINE vi vi_zero(void)
{
    return _mm512_setzero_si512();
}

KT_INLINE vb vb_load(const uint8_t *p)
{
    return _mm512_loadu_si512(p);
}

KT_INLINE vb vb_load_part(const uint8_t *p, size_t count)
{
    return _mm512_maskz_loadu_epi8(first64(count), p);
}

/* |q - x|, which fits 8 bits unsigned for both types. */
KT_INLINE __m512i differences(kith_element element, vb q, vb x)
{
    return element == KITH_I8 ? _mm512_sub_epi8(_mm512_max_epi8(q, x), _mm512_min_epi8(q, x))
                              : _mm512_sub_epi8(_mm512_max_epu8(q, x), _mm512_min_epu8(q, x));
}

/* The bytes at even and at odd places as 16-bit numbers. */
KT_INLINE __m512i evens(kith_element element, __m512i v)
{
    return element == KITH_I8 ? _mm512_srai_epi16(_mm512_slli_epi16(v, 8), 8)
                              : _mm512_and_si512(v, _mm512_set1_epi16(255));
}

KT_INLINE __m512i odds(kith_element element, __m512i v)
{
    return element == KITH_I8 ? _mm512_srai_epi16(v, 8) : _mm512_srli_epi16(v, 8);
}

/* The multiply-add of 16-bit pairs (not its saturating form) is exact for both types; that of bytes would
 * need one signed and one unsigned operand. */
KT_INLINE vi vi_step(enum kt_term term, kith_element element, vb q, vb x, vi sum)
{
    if (term == KT_TERM_HAMMING) return _mm512_add_epi32(sum, _mm512_popcnt_epi32(_mm512_xor_si512(q, x)));
    if (term == KT_TERM_L2) {
        q = x = differences(element, q, x);
        element = KITH_U8;
    }
    sum = _mm512_dpwssd_epi32(sum, evens(element, q), evens(element, x));
    return _mm512_dpwssd_epi32(sum, odds(element, q), odds(element, x));
}

KT_INLINE __m256i fold_integers(__m512i v)
{
    return _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
}

KT_INLINE void vi_sum4(vi a, vi b, vi c, vi d, uint32_t sums[4])
{
    sum4_integers(fold_integers(a), fold_integers(b), fold_integers(c), fold_integers(d), sums);
}

KT_INLINE uint32_t vi_sum(vi v)
{
    return sum_integers(fold_integers(v));
}

#include "kernels/body_integer.h"

/* ---- half precision */

static void f16_to_float(const void *from, size_t count, float *to)
{
    const unsigned char *p = from;
    size_t i = 0;
    for (; i + 16 <= count; i += 16) _mm512_storeu_ps(to + i, vf_load_f16(p + 2 * i));
    if (i < count) _mm512_mask_storeu_ps(to + i, first16(count - i), vf_load_f16_part(p + 2 * i, count - i));
}

static void float_to_f16(const float *from, size_t count, uint16_t *to)
{
    size_t i = 0;
    for (; i + 16 <= count; i += 16)
        _mm256_storeu_si256((void *)(to + i),
                            _mm512_cvtps_ph(vf_load_f32(from + i), _MM_FROUND_TO_NEAREST_INT));
    if (i < count)
        _mm256_mask_storeu_epi16(
            to + i, first16(count - i),
            _mm512_cvtps_ph(vf_load_f32_part(from + i, count - i), _MM_FROUND_TO_NEAREST_INT));
}

/* ---- fast-scan: see the AVX2 file for the two sums */

struct scan_sums {
    __m512i both, high;
};

KT_INLINE void scan_add(struct scan_sums *s, __m512i values)
{
    s->both = _mm512_add_epi16(s->both, values);
    s->high = _mm512_add_epi16(s->high, _mm512_srli_epi16(values, 8));
}

KT_INLINE void scan_step(struct scan_sums s[2], __m512i codes, __m512i lut)
{
    const __m512i nibble = _mm512_set1_epi8(15);
    scan_add(&s[0], _mm512_shuffle_epi8(lut, _mm512_and_si512(codes, nibble)));
    scan_add(&s[1], _mm512_shuffle_epi8(lut, _mm512_and_si512(_mm512_srli_epi16(codes, 4), nibble)));
}

/* The four 128-bit parts belong to four sub-quantisers. */
KT_INLINE __m128i fold_parts(__m512i v)
{
    __m256i half = _mm256_add_epi16(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
    return _mm_add_epi16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

KT_INLINE void scan_store(const struct scan_sums *s, int more, uint32_t *sums)
{
    __m512i low = _mm512_sub_epi16(s->both, _mm512_slli_epi16(s->high, 8));
    scan_put(fold_parts(low), more, sums);
    scan_put(fold_parts(s->high), more, sums + 8);
}

KT_INLINE void scan_block(const uint8_t *codes, const uint8_t *lut, size_t tables, int more, uint32_t *sums)
{
    struct scan_sums s[2] = { { vi_zero(), vi_zero() }, { vi_zero(), vi_zero() } };
    size_t at = 0;
    for (; at + 64 <= tables * 16; at += 64) {
        scan_ahead(codes + at);
        scan_step(s, _mm512_loadu_si512(codes + at), _mm512_load_si512(lut + at));
    }
    if (at < tables * 16) { /* one to three more: beside them tables of zeros */
        __mmask64 left = first64(tables * 16 - at);
        scan_step(s, _mm512_maskz_loadu_epi8(left, codes + at), _mm512_maskz_loadu_epi8(left, lut + at));
    }
    scan_store(&s[0], more, sums);
    scan_store(&s[1], more, sums + 16);
}

/* ---- small whole numbers: VNNI multiplies unsigned bytes by signed ones, exact for all of them */

KT_INLINE __m512i unpack(int log_bits, const uint8_t *packed)
{
    if (log_bits == 0) {
        uint64_t bits;
        memcpy(&bits, packed, sizeof bits);
        return _mm512_maskz_set1_epi8(bits, 1);
    }
    if (log_bits == 1) {
        __m512i four = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)packed));
        __m512i shifts = _mm512_setr_epi64(0, 0, 2, 2, 4, 4, 6, 6);
        return _mm512_and_si512(_mm512_srlv_epi64(four, shifts), _mm512_set1_epi8(3));
    }
    if (log_bits == 2) {
        __m512i both = _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)packed));
        __m512i shifts = _mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4);
        return _mm512_and_si512(_mm512_srlv_epi64(both, shifts), _mm512_set1_epi8(15));
    }
    return vb_load(packed);
}

KT_INLINE vi packed_step(int log_bits, const uint8_t *q, const uint8_t *packed, vi sum)
{
    return _mm512_dpbusd_epi32(sum, unpack(log_bits, packed), vb_load(q));
}

/* The row becomes unsigned by adding 128, of which dot_start() knows. */
KT_INLINE vi dot_step(vb q, vb x, vi sum)
{
    return _mm512_dpbusd_epi32(sum, _mm512_xor_si512(x, _mm512_set1_epi8(-128)), q);
}

KT_INLINE vi dot_start(const uint8_t *q, size_t dim)
{
    vi sum = vi_zero();
    for (size_t at = 0; at < dim; at += VB)
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(-128), vb_load(q + at));
    return _mm512_sub_epi32(vi_zero(), sum);
}

#include "kernels/body_codes.h"
#include "kernels/body_signs_x86.h"

#define KT_ISA_NAME "avx512"
#define KT_ISA_TABLE kt_kernels_avx512
#include "kernels/body_table.h"

#endif
