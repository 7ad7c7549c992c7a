/* Body: what the AVX2 and AVX-512 files both do with 256 bits, at the end of a row or of a block. */

#include <immintrin.h>

KT_INLINE void sum4_floats(__m256 a, __m256 b, __m256 c, __m256 d, float sums[4])
{
    __m256 t = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1)));
}

KT_INLINE void sum4_integers(__m256i a, __m256i b, __m256i c, __m256i d, uint32_t sums[4])
{
    __m256i t = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(t), _mm256_extracti128_si256(t, 1));
    _mm_storeu_si128((void *)sums, s);
}

KT_INLINE uint32_t sum_integers(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

/* The processor's own look-ahead ends with the page. With this, scattered lists of 20 blocks take a quarter
 * less time from memory, and a fiftieth more from the cache (Zen 3). It never faults. */
KT_INLINE void scan_ahead(const uint8_t *codes)
{
    _mm_prefetch((const void *)((uintptr_t)codes + 2048), _MM_HINT_T0);
}

/* Eight sums, widened; `more` adds to what stands there. */
KT_INLINE void scan_put(__m128i eight, int more, uint32_t *sums)
{
    __m256i wide = _mm256_cvtepu16_epi32(eight);
    if (more) wide = _mm256_add_epi32(wide, _mm256_loadu_si256((const void *)sums));
    _mm256_storeu_si256((void *)sums, wide);
}

/* In double, where the product of two floats is exact. 1 where either square is zero; NaN stays NaN, which
 * rests on max and min giving their second argument then. */
KT_INLINE void cosine4(const float dots[4], const float squares[4], float norm, float distances[4])
{
    const __m256d zero = _mm256_setzero_pd(), one = _mm256_set1_pd(1), two = _mm256_set1_pd(2);
    __m256d product = _mm256_mul_pd(_mm256_cvtps_pd(_mm_loadu_ps(squares)), _mm256_set1_pd(norm));
    __m256d cosine = _mm256_div_pd(_mm256_cvtps_pd(_mm_loadu_ps(dots)), _mm256_sqrt_pd(product));
    __m256d distance = _mm256_min_pd(two, _mm256_max_pd(zero, _mm256_sub_pd(one, cosine)));
    distance = _mm256_blendv_pd(distance, one, _mm256_cmp_pd(product, zero, _CMP_EQ_OQ));
    _mm_storeu_ps(distances, _mm256_cvtpd_ps(distance));
}
