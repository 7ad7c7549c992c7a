/* Body: what a scan of codes asks of vectors: fast-scan, bounds, and dot products of small whole numbers.
 *
 * The including file defines, beside the vectors of body_float.h and body_integer.h:
 *   scan_block   the sums of one block, of at most KT_SHORT_TABLES tables; `more` adds them to what is there
 *   vf_counts    VF sums, below 2^31, as floats
 *   vf_at_most   bit i set iff a[i] <= b[i], clear where either is NaN
 *   packed_step  adds the products of 64 bytes of q and as many packed numbers
 *   dot_step     adds the products of VB bytes of q and of a row, none of them -128
 *   dot_start    what such sums begin with, for a dot_step that is off by what only q decides
 *   vi_sum       all sums of one vector
 */

static void fastscan(const uint8_t *codes, size_t stride, size_t blocks, const uint8_t *lut, size_t tables,
                     uint32_t *sums)
{
    for (size_t b = 0; b < blocks; b++, codes += stride, sums += KT_BLOCK_ROWS) {
        size_t some = tables < KT_SHORT_TABLES ? tables : KT_SHORT_TABLES;
        scan_block(codes, lut, some, 0, sums);
        for (size_t t = some; t < tables; t += some) {
            some = tables - t < KT_SHORT_TABLES ? tables - t : KT_SHORT_TABLES;
            scan_block(codes + t * 16, lut + t * 16, some, 1, sums);
        }
    }
}

static void block_bounds(const uint32_t *sums, const void *factors, size_t stride, size_t blocks,
                         const struct kt_bounds *with, float *estimates, float *lows, uint32_t *masks)
{
    const vf base = vf_all(with->base), unit = vf_all(with->unit), bias = vf_all(with->bias);
    const vf add_unit = vf_all(with->add_unit);
    const vf slack = vf_all(with->slack), spread = vf_all(-with->spread), limit = vf_all(with->limit);
    const unsigned char *at = factors;
    for (size_t b = 0; b < blocks; b++, at += stride) {
        const unsigned char *add = at, *rescale = add + 2 * KT_BLOCK_ROWS,
                            *error = rescale + 2 * KT_BLOCK_ROWS;
        uint32_t mask = 0;
#pragma GCC unroll 8
        for (int r = 0; r < KT_BLOCK_ROWS; r += VF) {
            vf product = vf_fma(vf_counts(sums + r), unit, bias);
            vf factor = vf_load_f16(rescale + 2 * r);
            vf estimate = vf_fma(factor, product, vf_fma(vf_load_f16(add + 2 * r), add_unit, base));
            vf low = vf_fma(vf_load_f16(error + 2 * r), spread, vf_fma(factor, slack, estimate));
            vf_store(estimates + r, estimate);
            vf_store(lows + r, low);
            mask |= vf_at_most(low, limit) << r;
        }
        masks[b] = mask;
        sums += KT_BLOCK_ROWS, estimates += KT_BLOCK_ROWS, lows += KT_BLOCK_ROWS;
    }
}

/* Four bits of a sign table's entry choose four of these eight 16-bit numbers: what bit i adds when set is
 * number i, what it adds when clear number 4 + i. A row of bytes for each of the bits 0, 1 and 2 and the
 * entries 0..7; then bit 3, clear and set. */
static const uint8_t sign_picks[5][16] = {
    { 8, 9, 0, 1, 8, 9, 0, 1, 8, 9, 0, 1, 8, 9, 0, 1 },
    { 10, 11, 10, 11, 2, 3, 2, 3, 10, 11, 10, 11, 2, 3, 2, 3 },
    { 12, 13, 12, 13, 12, 13, 12, 13, 4, 5, 4, 5, 4, 5, 4, 5 },
    { 14, 15, 14, 15, 14, 15, 14, 15, 14, 15, 14, 15, 14, 15, 14, 15 },
    { 6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7 },
};

/* The parts of numbers of `bits` bits, a constant: each has a sum of its own. */
KT_INLINE int32_t packed_dot(unsigned bits, const int8_t *q, const uint8_t *packed, size_t dim)
{
    const uint8_t *bytes = (const uint8_t *)q, *four = packed, *two = four + (bits & 4 ? dim / 2 : 0);
    const uint8_t *one = two + (bits & 2 ? dim / 4 : 0);
    vi sum8 = vi_zero(), sum4 = vi_zero(), sum2 = vi_zero(), sum1 = vi_zero();
    for (size_t at = 0; at < dim; at += 64) {
        if (bits & 8) sum8 = packed_step(3, bytes + at, packed + at, sum8);
        if (bits & 4) sum4 = packed_step(2, bytes + at, four + at / 2, sum4);
        if (bits & 2) sum2 = packed_step(1, bytes + at, two + at / 4, sum2);
        if (bits & 1) sum1 = packed_step(0, bytes + at, one + at / 8, sum1);
    }
    uint32_t sum = bits & 8 ? vi_sum(sum8) : 0;
    if (bits & 4) sum += vi_sum(sum4) << (bits & 3);
    if (bits & 2) sum += vi_sum(sum2) << (bits & 1);
    if (bits & 1) sum += vi_sum(sum1);
    return (int32_t)sum;
}

/* A constant number of rows, at most 4, so that the sums become registers. */
KT_INLINE void dot_rows(size_t count, const uint8_t *q, const uint8_t *const rows[4], size_t dim, vi start,
                        vi sums[4])
{
#pragma GCC unroll 4
    for (size_t r = 0; r < 4; r++) sums[r] = start;
    for (size_t at = 0; at < dim; at += VB) {
        vb some = vb_load(q + at);
#pragma GCC unroll 4
        for (size_t r = 0; r < count; r++) sums[r] = dot_step(some, vb_load(rows[r] + at), sums[r]);
    }
}

static void dot_bytes(const int8_t *q, const int8_t *rows, size_t dim, size_t count, int32_t *out)
{
    const uint8_t *query = (const uint8_t *)q, *row = (const uint8_t *)rows;
    const vi start = dot_start(query, dim);
    uint32_t *to = (uint32_t *)out;
    vi sums[4];
    for (; count >= 4; count -= 4, row += 4 * dim, to += 4) {
        const uint8_t *const four[4] = { row, row + dim, row + 2 * dim, row + 3 * dim };
        dot_rows(4, query, four, dim, start, sums);
        vi_sum4(sums[0], sums[1], sums[2], sums[3], to);
    }
    for (; count > 0; count--, row += dim, to++) {
        const uint8_t *const one[4] = { row };
        dot_rows(1, query, one, dim, start, sums);
        *to = vi_sum(sums[0]);
    }
}

static void dot_bytes_at(const int8_t *q, const uint8_t *const *rows, size_t dim, size_t count, int32_t *out)
{
    const uint8_t *query = (const uint8_t *)q;
    const vi start = dot_start(query, dim);
    uint32_t *to = (uint32_t *)out;
    vi sums[4];
    for (; count >= 4; count -= 4, rows += 4, to += 4) {
        dot_rows(4, query, rows, dim, start, sums);
        vi_sum4(sums[0], sums[1], sums[2], sums[3], to);
    }
    for (; count > 0; count--, rows++, to++) {
        dot_rows(1, query, rows, dim, start, sums);
        *to = vi_sum(sums[0]);
    }
}
