/* Training: what a build learns from a sample before it encodes any row.
 *
 * A row far from all others would pull the mean, the centroids and the codebooks so far that floats no longer
 * tell the others apart: one of length 1e7 among 40,000 of length 3 left nothing to be found. Such outliers
 * (far_square) teach nothing and are in no list; the file keeps them as they are and every search reads them.
 * They are few: at most 1 % of the sample (or 64 rows) is called so at a time, unless floats cannot hold
 * their distances. Where more are that far they are not outliers but what the column is like, and the near
 * ones, indexed with them, may be told apart badly.
 *
 * Centroids are rounded to bytes, each by its own unit, and from then on that is what they are: rows are
 * assigned to the rounded ones and their residuals are taken from them. A search reads a quarter of the
 * memory for them, and loses nothing to the rounding.
 *
 * The sample is held unrotated until its mean is known, then moved into the space of the tree.
 */
#include <math.h>

#include "base/bytes.h"
#include "index/ivf/ivf_private.h"

enum {
    CHUNK_ROWS = 256,
    CODE_SAMPLE = 32768,      /* rows that codebooks are learned from */
    LEAST_CODE_SAMPLE = 4096, /* however long they are */
    SAMPLE_RATE = 64,         /* rows a list, where the plan leaves it open ... */
    LEAST_RATE = 32,          /* ... and what memory may cut it down to */
    MEAN_ROWS = 65536,        /* enough to know the mean of all */
    TWO_LEVELS_FROM = 64,     /* lists */
    CODE_ITERATIONS = 15,
    FAR = 64,        /* times the median square: eight times as far as half of all */
    FAR_SHARE = 100, /* one in so many rows may be that far ... */
    FAR_FEW = 64,    /* ... or so many, where there are not many */
    FAR_ROUNDS = 4,
    WIDE = 64 /* bytes of a centroid are a multiple of it */
};
static const uint64_t sample_bytes = UINT64_C(224) << 20, code_sample_bytes = UINT64_C(128) << 20;
static const double most_square = 1e36; /* beyond, sums of a few squares leave float */

struct training {
    const struct kt_index_plan *plan;
    const struct ivf_shape *shape;
    struct kt_work *work;
    struct kt_source source;
    struct ivf_trained *out;
    struct kt_space raw; /* the space as the sample is loaded: no mean, no rotation */
    float *sample;       /* rows * tree_dim */
    uint64_t rows;
    uint32_t dim; /* of the tree's space */
};

/* ---- the sample ---- */

struct sampling {
    struct training *training;
    const uint64_t *picks;
    uint8_t *usable;
};

static kith_status sample_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                                kith_error *error)
{
    struct sampling *s = context;
    uint32_t dim = s->training->dim;
    (void)worker;
    for (uint64_t i = begin; i < end; i++) {
        float *row = s->training->sample + i * dim;
        kith_status status = kt_source_load(&s->training->source, s->picks[i], 1, row, &s->usable[i], error);
        if (status) return status;
        if (kt_kernels()->has_bad[KITH_F32](row, dim)) s->usable[i] = 0;
    }
    return KITH_OK;
}

static void drop_unusable(struct training *t, const uint8_t *usable)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < t->rows; i++) {
        if (!usable[i]) continue;
        if (kept != i) memmove(t->sample + kept * t->dim, t->sample + i * t->dim, t->dim * sizeof(float));
        kept++;
    }
    t->rows = kept;
}

struct moving {
    struct training *training;
    const float *shift;
};

static kith_status move_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker, kith_error *error)
{
    const struct moving *move = context;
    uint32_t dim = move->training->dim;
    (void)worker, (void)error;
    for (uint64_t i = begin; i < end; i++)
        for (uint32_t d = 0; d < dim; d++) move->training->sample[i * dim + d] -= move->shift[d];
    return KITH_OK;
}

/* Moves the origin of the sample, and of every row that is loaded from now on, to the sample's mean. */
static kith_status center(struct training *t, kith_error *error)
{
    uint32_t dim = t->dim;
    uint64_t step = t->rows / MEAN_ROWS + 1, rows = 0;
    double *sums = kt_alloc_zero(dim, sizeof *sums);
    float *shift = kt_alloc_zero(dim, sizeof *shift);
    if (!sums || !shift) {
        kt_free(sums);
        kt_free(shift);
        return kt_fail_memory(error, dim * (sizeof *sums + sizeof *shift));
    }
    for (uint64_t i = 0; i < t->rows; i += step, rows++)
        for (uint32_t d = 0; d < dim; d++) sums[d] += (double)t->sample[i * dim + d];
    for (uint32_t d = 0; rows && d < dim; d++) shift[d] = (float)(sums[d] / (double)rows);
    for (uint32_t d = 0; d < dim; d++) t->out->mean[d] += shift[d];
    struct moving move = { t, shift };
    kith_status status = kt_parallel_for(t->work, NULL, t->rows, CHUNK_ROWS, move_chunk, &move, error);
    kt_free(sums);
    kt_free(shift);
    return status;
}

/* ---- outliers ---- */

static int compare_squares(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* From what square on a row is an outlier: far beyond the median, or, where many are, far beyond all but
 * those many. Zeros have no say, lest few other rows be left to learn from where most are zero. */
static double far_square(const struct training *t, double *squares)
{
    uint64_t step = t->rows / MEAN_ROWS + 1, count = 0;
    if (t->shape->metric == KITH_HAMMING) return INFINITY;
    for (uint64_t i = 0; i < t->rows; i += step) {
        double square = kt_space_square(t->sample + i * t->dim, t->dim);
        if (square > 0) squares[count++] = square;
    }
    if (!count) return most_square;
    qsort(squares, count, sizeof *squares, compare_squares);
    uint64_t few = kt_min_u64(count / 2, kt_max_u64(FAR_FEW, count / FAR_SHARE));
    double far = FAR * squares[count / 2], last = squares[count - 1 - few];
    if (last > far) far = FAR * last;
    return far < most_square ? far : most_square;
}

static kith_status judge_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                               kith_error *error)
{
    struct sampling *s = context;
    const struct training *t = s->training;
    (void)worker, (void)error;
    for (uint64_t i = begin; i < end; i++)
        s->usable[i] = kt_space_square(t->sample + i * t->dim, t->dim) <= t->out->far_square;
    return KITH_OK;
}

/* dot: the longest row of the sample, and for each row the number that makes it as long. */
static void make_equally_long(struct training *t)
{
    double longest = 0;
    uint32_t used = t->shape->dim;
    for (uint64_t i = 0; i < t->rows; i++) {
        double square = kt_space_square(t->sample + i * t->dim, used);
        if (square > longest) longest = square;
    }
    for (uint64_t i = 0; i < t->rows; i++) {
        float *row = t->sample + i * t->dim;
        row[used] = (float)sqrt(longest - kt_space_square(row, used));
    }
    t->out->space.longest = longest;
}

/* Takes the outliers from the sample, first as seen from zero, then from the mean of those that are left,
 * until none is. */
static kith_status center_without_outliers(struct training *t, uint8_t *usable, kith_error *error)
{
    struct sampling s = { .training = t, .usable = usable };
    uint64_t before = 0;
    kith_status status = KITH_OK;
    double *squares = kt_alloc_array(kt_min_u64(t->rows, MEAN_ROWS) + 1, sizeof *squares);
    if (!squares) return kt_fail_memory(error, MEAN_ROWS * sizeof *squares);
    for (uint32_t round = 0; !status && round < FAR_ROUNDS && (round < 2 || t->rows < before); round++) {
        before = t->rows;
        if (round == 1 && t->shape->metric == KITH_DOT) make_equally_long(t);
        if (round) status = center(t, error);
        if (status) break;
        t->out->far_square = far_square(t, squares);
        status = kt_parallel_for(t->work, NULL, t->rows, CHUNK_ROWS, judge_chunk, &s, error);
        if (!status) drop_unusable(t, usable);
    }
    kt_free(squares);
    return status;
}

static kith_status rotate_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                                kith_error *error)
{
    struct training *t = context;
    (void)worker, (void)error;
    for (uint64_t i = begin; i < end; i++) kt_rotate(&t->out->space.rotation, t->sample + i * t->dim);
    return KITH_OK;
}

static uint64_t sample_wanted(const struct training *t)
{
    uint64_t lists = t->plan->num_partitions, row_bytes = t->dim * sizeof(float), most = sample_bytes;
    uint64_t wanted = lists * (t->plan->sample_rate ? t->plan->sample_rate : SAMPLE_RATE);
    if (t->plan->max_memory) most = kt_min_u64(most, t->plan->max_memory / 2);
    if (!t->plan->sample_rate) wanted = kt_max_u64(kt_min_u64(wanted, most / row_bytes), lists * LEAST_RATE);
    if (t->shape->kind == IVF_PQ)
        wanted = kt_max_u64(wanted, kt_min_u64(CODE_SAMPLE, kt_min_u64(most, code_sample_bytes) / row_bytes));
    if (t->plan->max_memory) wanted = kt_min_u64(wanted, kt_max_u64(lists, most / row_bytes));
    return kt_min_u64(kt_min_u64(wanted, UINT32_MAX), t->source.rows);
}

static kith_status take_sample(struct training *t, kith_error *error)
{
    uint64_t wanted = sample_wanted(t);
    size_t row_bytes = t->dim * sizeof(float);
    struct sampling s = { .training = t };
    uint64_t *picks = kt_alloc_array(wanted, sizeof *picks);
    s.picks = picks;
    s.usable = kt_alloc_array(wanted, 1);
    t->sample = kt_alloc_array(kt_max_u64(wanted, 1), row_bytes);
    kith_status status = KITH_OK;
    if (!picks || !s.usable || !t->sample) {
        status = kt_fail_memory(error, wanted * row_bytes);
        goto out;
    }
    t->rows = kt_sample(t->source.rows, wanted, t->plan->seed, picks);
    status = kt_parallel_for(t->work, "train", wanted, CHUNK_ROWS, sample_chunk, &s, error);
    if (status) goto out;
    drop_unusable(t, s.usable);
    status = center_without_outliers(t, s.usable, error);
    if (!status && t->out->space.rotates)
        status = kt_parallel_for(t->work, NULL, t->rows, CHUNK_ROWS, rotate_chunk, t, error);
    if (!t->rows &&
        wanted) { /* all were null or outliers: one list around zero holds what the sample missed */
        memset(t->sample, 0, row_bytes);
        t->rows = 1;
    }
out:
    kt_free(picks);
    kt_free(s.usable);
    return status;
}

/* ---- the tree ---- */

/* Rounds centroids to bytes, and the floats to what the bytes say. */
static kith_status round_centroids(float *values, uint32_t count, uint32_t dim, int8_t **bytes, float **units,
                                   float **norms, kith_error *error)
{
    uint32_t wide = (uint32_t)kt_round_up(dim, WIDE);
    *bytes = kt_alloc_zero(count, wide);
    *units = kt_alloc_array(count, sizeof **units);
    *norms = kt_alloc_array(count, sizeof **norms);
    if (!*bytes || !*units || !*norms) return kt_fail_memory(error, (size_t)count * wide);
    for (uint32_t i = 0; i < count; i++) {
        float *value = values + (size_t)i * dim;
        int8_t *byte = *bytes + (size_t)i * wide;
        float unit = (*units)[i] = kt_to_bytes(value, dim, byte);
        for (uint32_t d = 0; d < dim; d++) value[d] = unit * (float)byte[d];
        kt_square_norms(value, 1, dim, *norms + i);
    }
    return KITH_OK;
}

static kith_status learn_tree(struct training *t, kith_error *error)
{
    struct ivf_trained *out = t->out;
    struct kt_kmeans options = { .dim = t->dim,
                                 .clusters = t->plan->num_partitions,
                                 .max_iterations = t->plan->max_iterations,
                                 .seed = t->plan->seed,
                                 .two_levels = t->plan->num_partitions > TWO_LEVELS_FROM };
    kith_status status = kt_kmeans_train(&options, t->sample, t->rows, t->work, &out->centroids, error);
    if (status) return status;
    struct kt_centroids *c = &out->centroids;
    status = round_centroids(c->values, c->count, c->dim, &out->bytes, &out->units, &out->norms, error);
    if (!status)
        status = round_centroids(c->meso, c->meso_count, c->dim, &out->meso_bytes, &out->meso_units,
                                 &out->meso_norms, error);
    out->tree = (struct kt_tree){ c->values,     out->norms, c->meso, out->meso_norms,
                                  c->meso_begin, c->count,   c->dim,  c->meso_count };
    out->beam = kt_tree_beam(c->meso_count);
    return status;
}

/* ---- codebooks ---- */

/* Keeps what codebooks are learned from. */
static kith_status thin_sample(struct training *t, kith_error *error)
{
    size_t row_bytes = t->dim * sizeof(float);
    uint64_t wanted = kt_max_u64(LEAST_CODE_SAMPLE, kt_min_u64(CODE_SAMPLE, code_sample_bytes / row_bytes));
    uint64_t *picks = kt_alloc_array(kt_min_u64(wanted, t->rows), sizeof *picks);
    if (!picks) return kt_fail_memory(error, wanted * sizeof *picks);
    t->rows = kt_sample(t->rows, wanted, t->plan->seed + 2, picks);
    for (uint64_t i = 0; i < t->rows; i++)
        if (picks[i] != i) memmove(t->sample + i * t->dim, t->sample + picks[i] * t->dim, row_bytes);
    kt_free(picks);
    return KITH_OK;
}

/* Rows of the sample become residuals, in place. */
static kith_status residual_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                                  kith_error *error)
{
    struct training *t = context;
    struct kt_arena arena = { 0 };
    uint32_t nearest[CHUNK_ROWS];
    float *rows = t->sample + begin * t->dim;
    (void)worker;
    kith_status status =
        kt_tree_nearest(&t->out->tree, t->out->beam, rows, end - begin, &arena, nearest, NULL, error);
    for (uint64_t r = 0; !status && r < end - begin; r++)
        for (uint32_t d = 0; d < t->dim; d++)
            rows[r * t->dim + d] -= t->out->centroids.values[(size_t)nearest[r] * t->dim + d];
    kt_arena_release(&arena);
    return status;
}

static kith_status learn_codes(struct training *t, kith_error *error)
{
    kith_status status = thin_sample(t, error);
    if (!status) status = kt_parallel_for(t->work, "train", t->rows, CHUNK_ROWS, residual_chunk, t, error);
    if (status) return status;
    return kt_pq_train(t->dim, t->shape->tables, CODE_ITERATIONS, t->plan->seed + 3, t->sample, t->rows,
                       t->work, &t->out->pq, error);
}

/* ---- all of it ---- */

static kith_status open_space(struct training *t, const struct kt_vectors *vectors, kith_error *error)
{
    struct ivf_trained *out = t->out;
    out->space = (struct kt_space){ .metric = t->shape->metric,
                                    .element = vectors->element,
                                    .dim = vectors->dim,
                                    .space_dim = t->shape->tree_dim,
                                    .rotates = t->shape->kind == IVF_SIGNS };
    t->dim = t->shape->tree_dim;
    t->raw = out->space; /* has no mean and no signs yet */
    out->mean = kt_alloc_zero(t->dim, sizeof *out->mean);
    if (!out->mean) return kt_fail_memory(error, t->dim * sizeof *out->mean);
    return KITH_OK;
}

kith_status kt_ivf_train(const struct kt_index_plan *plan, const struct ivf_shape *shape,
                         const struct kt_vectors *vectors, struct kt_work *work, struct ivf_trained *out,
                         kith_error *error)
{
    struct training t = { .plan = plan, .shape = shape, .work = work, .out = out };
    kith_status status = open_space(&t, vectors, error);
    if (!status) status = kt_source_init(&t.source, vectors, &t.raw, error);
    if (!status && out->space.rotates)
        status = kt_rotation_init(kt_space_dim(shape->dim, shape->metric, false), shape->seed,
                                  &out->space.rotation, error);
    if (!status) status = take_sample(&t, error);
    out->space.mean = out->mean;
    if (!status) status = learn_tree(&t, error);
    if (!status && shape->kind == IVF_PQ) status = learn_codes(&t, error);
    out->sample_rows = t.rows;
    kt_free(t.sample);
    kt_source_release(&t.source);
    return status;
}

void kt_ivf_trained_release(struct ivf_trained *trained)
{
    kt_free(trained->mean);
    kt_rotation_release(&trained->space.rotation);
    kt_centroids_release(&trained->centroids);
    kt_free(trained->norms);
    kt_free(trained->meso_norms);
    kt_free(trained->bytes);
    kt_free(trained->meso_bytes);
    kt_free(trained->units);
    kt_free(trained->meso_units);
    kt_pq_release(&trained->pq);
}
