/* Body: distances of float32, float16, int8 and uint8 rows to a float query.
 *
 * The including file defines the vector `vf` of VF floats and vf_zero, vf_add, vf_sub, vf_fma, the loads
 * vf_load_f32, _f16, _i8, _u8 (each with a `_part` of fewer than VF numbers, zeros in the other lanes),
 * vf_sum4 (four vectors to four sums) and cosine4.
 *
 * A row is summed in four accumulators, since a fused multiply-add takes four cycles and two begin in each.
 * Step i of VF numbers goes to accumulator i mod 4, the last incomplete step to the fourth; then they are
 * added as (0+1)+(2+3). Horizontal sums cost as much as a short row, so four rows share one. Every element
 * type and `norm` go through row_sums(), which is why a vector is at distance 0 from itself. */

struct row_sums {
    vf sum;
    vf square; /* cosine only: the row's own */
};

KT_INLINE vf load_row(kith_element element, const unsigned char *row, size_t at)
{
    switch (element) {
    case KITH_F16:
        return vf_load_f16(row + at * 2);
    case KITH_I8:
        return vf_load_i8(row + at);
    case KITH_U8:
        return vf_load_u8(row + at);
    default:
        return vf_load_f32(row + at * 4);
    }
}

KT_INLINE vf load_row_part(kith_element element, const unsigned char *row, size_t at, size_t count)
{
    switch (element) {
    case KITH_F16:
        return vf_load_f16_part(row + at * 2, count);
    case KITH_I8:
        return vf_load_i8_part(row + at, count);
    case KITH_U8:
        return vf_load_u8_part(row + at, count);
    default:
        return vf_load_f32_part(row + at * 4, count);
    }
}

KT_INLINE void add_step(enum kt_term term, vf q, vf x, struct row_sums *sums)
{
    if (term == KT_TERM_L2) {
        vf difference = vf_sub(q, x);
        sums->sum = vf_fma(difference, difference, sums->sum);
    } else {
        sums->sum = vf_fma(term == KT_TERM_NORM ? x : q, x, sums->sum);
    }
    if (term == KT_TERM_COSINE) sums->square = vf_fma(x, x, sums->square);
}

/* One whole step; the query stays unread for a norm. */
KT_INLINE void add_whole(enum kt_term term, kith_element element, const unsigned char *query,
                         const unsigned char *row, size_t at, struct row_sums *sums)
{
    vf x = load_row(element, row, at);
    add_step(term, term == KT_TERM_NORM ? x : vf_load_f32(query + at * 4), x, sums);
}

KT_INLINE struct row_sums row_sums(enum kt_term term, kith_element element, const unsigned char *query,
                                   const unsigned char *row, size_t dim)
{
    struct row_sums s[4] = {
        { vf_zero(), vf_zero() }, { vf_zero(), vf_zero() }, { vf_zero(), vf_zero() }, { vf_zero(), vf_zero() }
    };
    size_t at = 0;
    for (; at + 4 * VF <= dim; at += 4 * VF) {
        add_whole(term, element, query, row, at, &s[0]);
        add_whole(term, element, query, row, at + VF, &s[1]);
        add_whole(term, element, query, row, at + 2 * VF, &s[2]);
        add_whole(term, element, query, row, at + 3 * VF, &s[3]);
    }
    size_t left = dim - at;
    if (left >= VF) add_whole(term, element, query, row, at, &s[0]);
    if (left >= 2 * VF) add_whole(term, element, query, row, at + VF, &s[1]);
    if (left >= 3 * VF) add_whole(term, element, query, row, at + 2 * VF, &s[2]);
    if (left % VF) {
        at = dim - left % VF;
        vf x = load_row_part(element, row, at, left % VF);
        add_step(term, term == KT_TERM_NORM ? x : vf_load_f32_part(query + at * 4, left % VF), x, &s[3]);
    }
    return (struct row_sums){ vf_add(vf_add(s[0].sum, s[1].sum), vf_add(s[2].sum, s[3].sum)),
                              vf_add(vf_add(s[0].square, s[1].square), vf_add(s[2].square, s[3].square)) };
}

KT_INLINE float norm_float(kith_element element, const void *vector, size_t dim)
{
    float sums[4];
    vf zero = vf_zero();
    vf_sum4(row_sums(KT_TERM_NORM, element, NULL, vector, dim).sum, zero, zero, zero, sums);
    return sums[0];
}

/* Distances of four rows from their sums. */
KT_INLINE void finish4(enum kt_term term, const float sums[4], const float squares[4], float norm,
                       float distances[4])
{
    if (term == KT_TERM_COSINE) {
        cosine4(sums, squares, norm, distances);
        return;
    }
    for (int r = 0; r < 4; r++) distances[r] = term == KT_TERM_DOT ? 1 - sums[r] : sums[r];
}

KT_INLINE int squares_fit(float norm, const float squares[4])
{
    int fit = norm >= KT_SQUARE_LOW && norm <= KT_SQUARE_HIGH;
    for (int r = 0; r < 4; r++) fit &= squares[r] >= KT_SQUARE_LOW && squares[r] <= KT_SQUARE_HIGH;
    return fit;
}

static __attribute__((noinline, cold)) void careful4(kith_element element, const void *query, float norm,
                                                     const unsigned char *row, size_t dim, size_t count,
                                                     const float squares[4], float distances[4])
{
    for (size_t r = 0; r < count; r++, row += dim * kt_element_bytes(element)) {
        const float only[4] = { squares[r], squares[r], squares[r], squares[r] };
        if (!squares_fit(norm, only)) distances[r] = kt_cosine_careful(element, query, row, dim);
    }
}

KT_INLINE void scan_float(enum kt_term term, kith_element element, const void *query, float norm,
                          const void *rows, size_t dim, size_t row_count, float *distances)
{
    const size_t row_bytes = dim * kt_element_bytes(element);
    const unsigned char *row = rows;
    float sums[4], squares[4];
    for (; row_count >= 4; row_count -= 4, row += 4 * row_bytes, distances += 4) {
        struct row_sums a = row_sums(term, element, query, row, dim);
        struct row_sums b = row_sums(term, element, query, row + row_bytes, dim);
        struct row_sums c = row_sums(term, element, query, row + 2 * row_bytes, dim);
        struct row_sums d = row_sums(term, element, query, row + 3 * row_bytes, dim);
        vf_sum4(a.sum, b.sum, c.sum, d.sum, sums);
        if (term == KT_TERM_COSINE) vf_sum4(a.square, b.square, c.square, d.square, squares);
        finish4(term, sums, squares, norm, distances);
        if (term == KT_TERM_COSINE && !squares_fit(norm, squares))
            careful4(element, query, norm, row, dim, 4, squares, distances);
    }
    for (; row_count > 0; row_count--, row += row_bytes, distances++) {
        struct row_sums a = row_sums(term, element, query, row, dim);
        float finished[4];
        vf_sum4(a.sum, a.sum, a.sum, a.sum, sums);
        if (term == KT_TERM_COSINE) vf_sum4(a.square, a.square, a.square, a.square, squares);
        finish4(term, sums, squares, norm, finished);
        if (term == KT_TERM_COSINE && !squares_fit(norm, squares))
            careful4(element, query, norm, row, dim, 1, squares, finished);
        distances[0] = finished[0];
    }
}
