/* Rows and queries as the learned part of an index sees them: floats, in a space where the square of the
 * euclidean distance orders rows as the metric does.
 *
 *   l2       the numbers as they are
 *   cosine   of unit length (a zero vector stays zero)
 *   dot      with one number more, which makes all rows as long as the longest: then a larger product
 *            is a smaller distance (Neyshabur, Srebro 2015). A query's is zero, and it is made as long
 *            too: what is nearest does not turn on its length, but all that was learned of distances
 *            does. Rows longer than the longest of the sample are outliers.
 *   hamming  one number a bit
 *
 * Then less the mean of the sample, and, where codes are bits, rotated.
 *
 * The mean goes because every later step loses digits to it: ranking by |c|^2 - 2 x.c, and above all the byte
 * table of a query, whose scale would be spent on the part that is the same for every row.
 *
 * A row may be so long or so short that a float does not hold the square of its length. Where the metric is
 * cosine it is brought near one first, by a power of two, which changes none of its digits; so only zero has
 * no direction.
 *
 * Rows and queries take the same steps in the same order, so that a row asked for as a query falls on itself
 * (dot excepted).
 */
#include <float.h>
#include <math.h>

#include "base/bytes.h"
#include "index/space.h"

uint32_t kt_space_dim(uint32_t dim, kith_metric metric, bool rotates)
{
    uint32_t plain = metric == KITH_HAMMING ? 8 * dim : metric == KITH_DOT ? dim + 1 : dim;
    return rotates ? kt_rotation_dim(plain) : plain;
}

/* Whether the square of a length lost nothing to the range of float. */
static bool well_inside(float square)
{
    return square >= 1e-24f && square <= 1e30f;
}

double kt_space_square(const float *vector, uint32_t dim)
{
    float square = kt_kernels()->norm[KITH_F32](vector, dim);
    if (well_inside(square)) return (double)square;
    double sum = 0;
    for (uint32_t d = 0; d < dim; d++) sum += (double)vector[d] * (double)vector[d];
    return sum;
}

/* Scales a row by a power of two until its largest number is between a half and one. */
static void bring_near_one(float *row, uint32_t dim)
{
    float largest = 0;
    int exponent = 0;
    for (uint32_t d = 0; d < dim; d++) largest = fmaxf(largest, fabsf(row[d]));
    if (isfinite(largest)) (void)frexpf(largest, &exponent);
    for (uint32_t d = 0; d < dim; d++) row[d] = ldexpf(row[d], -exponent);
}

static void make_unit(float *row, uint32_t dim)
{
    float square = kt_kernels()->norm[KITH_F32](row, dim);
    if (!well_inside(square)) {
        bring_near_one(row, dim);
        square = kt_kernels()->norm[KITH_F32](row, dim);
    }
    float scale = square > 0 ? 1.0f / sqrtf(square) : 0.0f;
    for (uint32_t d = 0; d < dim; d++) row[d] *= scale;
}

static void spread_bits(uint8_t byte, float *out)
{
    for (int b = 0; b < 8; b++) out[b] = (float)(byte >> b & 1);
}

/* The number that makes a row as long as the longest. */
static float missing_length(const struct kt_space *space, const float *row)
{
    double missing = space->longest - kt_space_square(row, space->dim);
    return space->longest > 0 ? (float)sqrt(missing) : 0; /* NaN for a longer one: so it is an outlier */
}

float kt_space_query_scale(const struct kt_space *space, const float *query)
{
    if (space->metric != KITH_DOT || !(space->longest > 0)) return 1;
    double square = kt_space_square(query, space->dim);
    return square > 0 ? (float)fmin(sqrt(space->longest / square), (double)FLT_MAX) : 1;
}

static void scale_query(const struct kt_space *space, float *query)
{
    float scale = kt_space_query_scale(space, query);
    for (uint32_t d = 0; d < space->dim; d++) query[d] *= scale;
    query[space->dim] = 0;
}

void kt_to_space(const struct kt_space *space, const void *numbers, kith_element element, bool is_row,
                 float *out)
{
    uint32_t dim = space->dim, used = kt_space_dim(dim, space->metric, false);
    if (space->metric == KITH_HAMMING) {
        for (uint32_t d = 0; d < dim; d++) spread_bits(((const uint8_t *)numbers)[d], out + (size_t)8 * d);
    } else {
        kt_kernels()->to_float[element](numbers, dim, out);
        if (space->metric == KITH_COSINE) make_unit(out, dim);
        if (space->metric == KITH_DOT && is_row) out[dim] = missing_length(space, out);
        if (space->metric == KITH_DOT && !is_row) scale_query(space, out);
    }
    for (uint32_t d = 0; space->mean && d < used; d++) out[d] -= space->mean[d];
    if (!space->rotates) return;
    memset(out + used, 0, (space->space_dim - used) * sizeof *out);
    if (space->rotation.signs) kt_rotate(&space->rotation, out);
}

float kt_space_distance(const struct kt_space *space, float query_scale, float distance)
{
    if (space->metric == KITH_COSINE) return 2 * distance;
    if (space->metric != KITH_DOT) return distance;
    return 2 * (float)space->longest - 2 * query_scale * (1 - distance);
}

kith_status kt_vectors_range(const struct kt_vectors *vectors, uint64_t *base_row, uint64_t *row_span,
                             kith_error *error)
{
    *base_row = *row_span = 0;
    if (!vectors->run_count) return KITH_OK;
    const struct kt_vectors_run *last = &vectors->runs[vectors->run_count - 1];
    *base_row = vectors->runs[0].first_row;
    *row_span = last->first_row + last->span - *base_row;
    if (*row_span <= UINT64_C(1) << 32) return KITH_OK;
    return kt_fail(
        error, KITH_UNSUPPORTED,
        "one piece of an index covers row ids over a range of at most 2^32; these go from %llu to %llu",
        (unsigned long long)*base_row, (unsigned long long)(*base_row + *row_span - 1));
}

kith_status kt_source_init(struct kt_source *source, const struct kt_vectors *vectors,
                           const struct kt_space *space, kith_error *error)
{
    *source = (struct kt_source){ .vectors = vectors, .space = space };
    source->run_begin = kt_alloc_zero((size_t)vectors->run_count + 1, sizeof *source->run_begin);
    if (!source->run_begin)
        return kt_fail_memory(error, ((size_t)vectors->run_count + 1) * sizeof *source->run_begin);
    for (uint32_t r = 0; r < vectors->run_count; r++)
        source->run_begin[r + 1] = source->run_begin[r] + vectors->runs[r].rows;
    source->rows = source->run_begin[vectors->run_count];
    return KITH_OK;
}

void kt_source_release(struct kt_source *source)
{
    kt_free(source->run_begin);
    *source = (struct kt_source){ 0 };
}

static uint32_t run_of(const struct kt_source *source, uint64_t position)
{
    uint32_t low = 0, high = source->vectors->run_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (source->run_begin[middle] <= position)
            low = middle;
        else
            high = middle;
    }
    return low;
}

uint64_t kt_source_row(const struct kt_source *source, uint64_t position)
{
    uint32_t run = run_of(source, position);
    return kt_run_row(&source->vectors->runs[run], position - source->run_begin[run]);
}

kith_status kt_source_lend(const struct kt_source *source, uint64_t position, const void **out,
                           kith_error *error)
{
    uint32_t run = run_of(source, position);
    while (source->run_begin[run + 1] <= position) run++;
    const struct kt_vectors_run *from = &source->vectors->runs[run];
    struct kt_vectors_view view = { 0 };
    kith_status status = from->view(from->context, position - source->run_begin[run], 1, &view, error);
    if (!status) *out = !view.validity || kt_bit(view.validity, view.bit_offset) ? view.data : NULL;
    return status;
}

static kith_status load_from_run(const struct kt_source *source, uint32_t run, uint64_t offset,
                                 uint32_t count, float *out, uint8_t *there, kith_error *error)
{
    const struct kt_vectors_run *from = &source->vectors->runs[run];
    const struct kt_space *space = source->space;
    size_t row_bytes = space->dim * kt_element_bytes(space->element);
    struct kt_vectors_view view = { 0 };
    kith_status status = from->view(from->context, offset, count, &view, error);
    if (status) return status;
    for (uint32_t i = 0; i < count; i++) {
        float *row = out + (size_t)i * space->space_dim;
        there[i] = !view.validity || kt_bit(view.validity, view.bit_offset + i);
        if (there[i])
            kt_to_space(space, (const uint8_t *)view.data + i * row_bytes, space->element, true, row);
        else
            memset(row, 0, space->space_dim * sizeof *row);
    }
    return KITH_OK;
}

kith_status kt_source_load(const struct kt_source *source, uint64_t begin, uint32_t count, float *out,
                           uint8_t *there, kith_error *error)
{
    while (count) {
        uint32_t run = run_of(source, begin);
        while (source->run_begin[run + 1] <= begin) run++; /* empty runs share their begin */
        uint32_t some = (uint32_t)kt_min_u64(count, source->run_begin[run + 1] - begin);
        kith_status status =
            load_from_run(source, run, begin - source->run_begin[run], some, out, there, error);
        if (status) return status;
        begin += some;
        out += (size_t)some * source->space->space_dim;
        there += some;
        count -= some;
    }
    return KITH_OK;
}
