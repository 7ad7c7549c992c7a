/* Body: distances of int8 and uint8 rows to a query of their own type, in whole numbers; Hamming among them.
 *
 * The including file defines the vector `vb` of VB bytes, the vector `vi` of 32-bit sums, and vb_load,
 * vb_load_part (fewer than VB bytes, zeros in the others), vi_zero, vi_step (adds the terms of VB pairs of
 * bytes), vi_sum4 (four vectors to four sums modulo 2^32) and cosine4. Sums are exact, so their order is
 * free, and pairs of zeros behind the last byte add nothing to any of them.
 *
 * Rows are taken in the order of their addresses, one statement each: as arguments of one call, which GCC
 * evaluates from the last, they defeated the processor's prefetcher and took three times as long from memory.
 */

struct integer_query {
    const uint8_t *bytes;
    vb tail; /* the last dim % VB bytes */
};

KT_INLINE struct integer_query integer_query(const void *query, size_t dim)
{
    size_t left = dim % VB;
    struct integer_query q = { .bytes = query };
    q.tail = vb_load_part(q.bytes + (dim - left), left);
    return q;
}

struct integer_sums {
    vi sum;
    vi square; /* cosine only: the row's own */
};

KT_INLINE void add_bytes(enum kt_term term, kith_element element, vb q, vb x, struct integer_sums *sums)
{
    sums->sum = vi_step(term == KT_TERM_COSINE ? KT_TERM_DOT : term, element, q, x, sums->sum);
    if (term == KT_TERM_COSINE) sums->square = vi_step(KT_TERM_DOT, element, x, x, sums->square);
}

KT_INLINE struct integer_sums integer_sums(enum kt_term term, kith_element element,
                                           const struct integer_query *query, const uint8_t *row, size_t dim)
{
    struct integer_sums s = { vi_zero(), vi_zero() };
    size_t at = 0;
    for (; at + VB <= dim; at += VB)
        add_bytes(term, element, vb_load(query->bytes + at), vb_load(row + at), &s);
    if (at < dim) add_bytes(term, element, query->tail, vb_load_part(row + at, dim - at), &s);
    return s;
}

KT_INLINE float norm_integer(kith_element element, const void *vector, size_t dim)
{
    const struct integer_query itself = integer_query(vector, dim);
    vi sum = integer_sums(KT_TERM_DOT, element, &itself, vector, dim).sum;
    uint32_t sums[4];
    vi_sum4(sum, sum, sum, sum, sums);
    return (float)sums[0];
}

/* Distances of four rows from their sums. The sum of an l2 may be 2^31 and more, the others of int8 negative.
 */
KT_INLINE void finish_integer4(enum kt_term term, kith_element element, const uint32_t sums[4],
                               const uint32_t squares[4], float norm, float distances[4])
{
    float dots[4], lengths[4];
    for (int r = 0; r < 4; r++) {
        int is_signed = element == KITH_I8 && term != KT_TERM_L2;
        dots[r] = is_signed ? (float)(int32_t)sums[r] : (float)sums[r];
        if (term == KT_TERM_COSINE)
            lengths[r] = (float)squares[r];
        else
            distances[r] = term == KT_TERM_DOT ? 1 - dots[r] : dots[r];
    }
    if (term == KT_TERM_COSINE) cosine4(dots, lengths, norm, distances);
}

KT_INLINE void scan_integer(enum kt_term term, kith_element element, const void *query, float norm,
                            const void *rows, size_t dim, size_t row_count, float *distances)
{
    const struct integer_query q = integer_query(query, dim);
    const uint8_t *row = rows;
    uint32_t sums[4], squares[4] = { 0 };
    for (; row_count >= 4; row_count -= 4, row += 4 * dim, distances += 4) {
        struct integer_sums a = integer_sums(term, element, &q, row, dim);
        struct integer_sums b = integer_sums(term, element, &q, row + dim, dim);
        struct integer_sums c = integer_sums(term, element, &q, row + 2 * dim, dim);
        struct integer_sums d = integer_sums(term, element, &q, row + 3 * dim, dim);
        vi_sum4(a.sum, b.sum, c.sum, d.sum, sums);
        if (term == KT_TERM_COSINE) vi_sum4(a.square, b.square, c.square, d.square, squares);
        finish_integer4(term, element, sums, squares, norm, distances);
    }
    for (; row_count > 0; row_count--, row += dim, distances++) {
        struct integer_sums a = integer_sums(term, element, &q, row, dim);
        float finished[4];
        vi_sum4(a.sum, a.sum, a.sum, a.sum, sums);
        if (term == KT_TERM_COSINE) vi_sum4(a.square, a.square, a.square, a.square, squares);
        finish_integer4(term, element, sums, squares, norm, finished);
        distances[0] = finished[0];
    }
}
