/* Body: the sums over float64 rows, in vectors.
 *
 * The including file defines the vector `vd` of VD doubles and vd_zero, vd_add, vd_sub, vd_fma, vd_load,
 * vd_load_part, vd_sum. Two accumulators, the last incomplete step in the second; norm goes the same way. */

struct double_sums {
    vd sum;
    vd square;
};

KT_INLINE void add_doubles(enum kt_term term, vd q, vd x, struct double_sums *sums)
{
    if (term == KT_TERM_L2) {
        vd difference = vd_sub(q, x);
        sums->sum = vd_fma(difference, difference, sums->sum);
    } else {
        sums->sum = vd_fma(q, x, sums->sum);
    }
    if (term == KT_TERM_COSINE) sums->square = vd_fma(x, x, sums->square);
}

KT_INLINE double sum_double(enum kt_term term, const void *query, const void *row, size_t dim, double *square)
{
    const unsigned char *q = query, *x = row;
    struct double_sums s[2] = { { vd_zero(), vd_zero() }, { vd_zero(), vd_zero() } };
    size_t at = 0;
    for (; at + 2 * VD <= dim; at += 2 * VD) {
        add_doubles(term, vd_load(q + at * 8), vd_load(x + at * 8), &s[0]);
        add_doubles(term, vd_load(q + (at + VD) * 8), vd_load(x + (at + VD) * 8), &s[1]);
    }
    size_t left = dim - at;
    if (left >= VD) add_doubles(term, vd_load(q + at * 8), vd_load(x + at * 8), &s[0]);
    if (left % VD) {
        at = dim - left % VD;
        add_doubles(term, vd_load_part(q + at * 8, left % VD), vd_load_part(x + at * 8, left % VD), &s[1]);
    }
    if (term == KT_TERM_COSINE) *square = vd_sum(vd_add(s[0].square, s[1].square));
    return vd_sum(vd_add(s[0].sum, s[1].sum));
}

/* A dot product with itself: the order is the same one. */
static double norm_double(const void *vector, size_t dim)
{
    return sum_double(KT_TERM_DOT, vector, vector, dim, NULL);
}
