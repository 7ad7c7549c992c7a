/* Body: distances of float64 rows, from the including file's sum_double() and norm_double().
 *
 * The query's norm is summed here once more, in double: the caller's is a float, too coarse for rows that
 * differ from the query in the ninth digit, and infinite for a vector of length 1e20. */

#include <math.h>

/* Beyond these the product of two sums of squares is no longer a normal double. */
#define DOUBLE_SQUARE_LOW 1e-140
#define DOUBLE_SQUARE_HIGH 1e140

KT_INLINE float cosine_double(double dot, double q_square, double x_square, const void *query,
                              const void *row, size_t dim)
{
    int fit = q_square > DOUBLE_SQUARE_LOW && q_square < DOUBLE_SQUARE_HIGH && x_square > DOUBLE_SQUARE_LOW &&
              x_square < DOUBLE_SQUARE_HIGH;
    if (!fit) return kt_cosine_careful(KITH_F64, query, row, dim);
    /* The root of a rounded product of equal numbers need not be that number; so it is not taken. */
    double scale = q_square == x_square ? q_square : sqrt(q_square * x_square);
    double distance = 1 - dot / scale;
    if (distance < 0) return 0;
    return distance > 2 ? 2 : (float)distance;
}

KT_INLINE void scan_double(enum kt_term term, kith_element element, const void *query, float norm,
                           const void *rows, size_t dim, size_t row_count, float *distances)
{
    (void)norm;
    (void)element;
    double q_square = term == KT_TERM_COSINE ? norm_double(query, dim) : 0;
    const unsigned char *row = rows;
    for (size_t r = 0; r < row_count; r++, row += dim * sizeof(double)) {
        double x_square = 0;
        double sum = sum_double(term, query, row, dim, &x_square);
        if (term == KT_TERM_L2)
            distances[r] = (float)sum;
        else if (term == KT_TERM_DOT)
            distances[r] = (float)(1 - sum);
        else
            distances[r] = cosine_double(sum, q_square, x_square, query, row, dim);
    }
}
