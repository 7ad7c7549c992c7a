/* Body: the look-up table of a query over sign bits, for AVX2 and AVX-512 both: 512 bits would save a tenth
 * of a microsecond a query. */

/* What the numbers of each of two tables add up to without their signs, in all four places of its half. */
KT_INLINE __m256 table_widths(__m256 numbers)
{
    __m256 width = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), numbers);
    width = _mm256_add_ps(width, _mm256_permute_ps(width, 0xb1));
    return _mm256_add_ps(width, _mm256_permute_ps(width, 0x4e));
}

KT_INLINE __m256i sign_pick(__m256i numbers, int pick)
{
    __m128i bytes = _mm_loadu_si128((const void *)sign_picks[pick]);
    return _mm256_shuffle_epi8(numbers, _mm256_broadcastsi128_si256(bytes));
}

/* The entries of two tables from their numbers, in 1/256 of a unit. They are rounded to that, so that a sum
 * of four errs by 1/128 of a unit beside its own rounding. */
KT_INLINE __m256i sign_entries(__m256 numbers)
{
    const __m256i half = _mm256_set1_epi64x(128);
    __m256i fixed = _mm256_cvtps_epi32(numbers);
    __m256i eight = _mm256_packus_epi32(fixed, _mm256_sub_epi32(_mm256_setzero_si256(), fixed));
    eight = _mm256_add_epi16(eight, half); /* to numbers 0 and 4, of which each entry has one */
    __m256i sum = _mm256_add_epi16(sign_pick(eight, 0), sign_pick(eight, 1));
    sum = _mm256_add_epi16(sum, sign_pick(eight, 2));
    return _mm256_packus_epi16(_mm256_srli_epi16(_mm256_add_epi16(sum, sign_pick(eight, 3)), 8),
                               _mm256_srli_epi16(_mm256_add_epi16(sum, sign_pick(eight, 4)), 8));
}

static void sign_table(const float *q, size_t tables, uint8_t *lut, float *unit, float *bias)
{
    const __m256 zero = _mm256_setzero_ps();
    size_t even = tables & ~(size_t)1; /* an odd one has zeros beside it */
    __m256 last = even < tables ? _mm256_zextps128_ps256(_mm_loadu_ps(q + 4 * even)) : zero;
    __m256 widths = table_widths(last), least = _mm256_min_ps(last, zero);
    for (size_t t = 0; t < even; t += 2)
        widths = _mm256_max_ps(widths, table_widths(_mm256_loadu_ps(q + 4 * t)));
    float widest =
        _mm_cvtss_f32(_mm_max_ss(_mm256_castps256_ps128(widths), _mm256_extractf128_ps(widths, 1)));
    __m256 scale = _mm256_set1_ps(widest >= KT_WIDTH_LOW ? 256 * KT_ENTRY_MOST / widest : 0);
    for (size_t t = 0; t < even; t += 2) {
        __m256 numbers = _mm256_loadu_ps(q + 4 * t);
        least = _mm256_add_ps(least, _mm256_min_ps(numbers, zero));
        _mm256_storeu_si256((void *)(lut + 16 * t), sign_entries(_mm256_mul_ps(numbers, scale)));
    }
    if (even < tables)
        _mm_storeu_si128((void *)(lut + 16 * even),
                         _mm256_castsi256_si128(sign_entries(_mm256_mul_ps(last, scale))));
    float sums[4];
    sum4_floats(least, least, least, least, sums);
    *unit = widest >= KT_WIDTH_LOW ? widest / KT_ENTRY_MOST : 0;
    *bias = sums[0];
}
