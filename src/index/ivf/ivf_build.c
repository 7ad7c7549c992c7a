/* Building an IVF index: sample, learn the tree, give every row its list, learn the codes, encode, write.
 *
 * All rows are read twice (to assign, to encode), chunk by chunk, and never held as floats; what is held is
 * the sample, and of every row its list, its code and its correction. A row gets its list through the tree
 * with a beam, which is also how a search finds its first list: so a row's own vector leads to that row.
 *
 * The codes of a row say where in its list's neighbourhood it lies: x = m + c + r, the residual r is coded, y
 * is what the code means. A search adds one number a row; everything else of the distance is the list's or
 * the query's. |q - c - y|^2 = |q - c|^2 + (|y|^2 + 2 c.y) - 2 q.y     the distance to what the code means |q
 * - c - r|^2 ~ |q - c|^2 + (|r|^2 + 2 c.r) - 2 q.y     the row's own length, which is known here, kept The
 * first is right when the query lies along r as a near neighbour does, the second when it lies anywhere, as
 * in high dimensions it nearly does. Stored is y.r + 2 c.y, between the two: of 30 candidates at 20 lists it
 * keeps 84 % of the ten nearest of debian-minilm (the first 80, the second 76), 85 % of sift-photos (82, 78),
 * 94 % of glove-50 (93, 87). For a zero vector under cosine, whose distance is 1 by definition and not by
 * geometry, what makes it so is added.
 *
 * A row far from all others would pull the mean, the centroids and the codebooks so far that floats no longer
 * tell the others apart: one of length 1e7 among 40,000 of length 3 left nothing to be found. Such outliers
 * (far_square) teach nothing and are in no list; the file keeps them as they are and every search reads them.
 * They are few: at most 1 % of the sample (or 64 rows) is called so at a time, unless floats cannot hold
 * their distances. Where more are that far they are not outliers but what the column is like, and the near
 * ones, indexed with them, may be told apart badly.
 *
 * Always true here: the bytes written are decided by rows, plan and instruction set, whatever the number of
 * threads (a chunk is the same rows for any); a null vector is nowhere; rows of a list, and outliers,
 * ascend.
 */
#include <math.h>

#include "base/bytes.h"
#include "index/ivf/ivf_private.h"

enum {
    CHUNK_ROWS = 256,
    CODE_SAMPLE = 32768,      /* rows that codebooks are learned from */
    LEAST_CODE_SAMPLE = 4096, /* however long they are */
    SAMPLE_RATE = 256,        /* rows a list, where the plan leaves it open ... */
    LEAST_RATE = 32,          /* ... and what memory may cut it down to */
    MEAN_ROWS = 65536,        /* enough to know the mean of all */
    TWO_LEVELS_FROM = 64,     /* lists */
    CODE_ITERATIONS = 15,
    WRITE_BLOCKS = 64, /* blocks in one write */
    NO_LIST = -1,      /* of a null vector */
    OUTLIER = -2,
    FAR = 64,        /* times the median square: eight times as far as half of all */
    FAR_SHARE = 100, /* one in so many rows may be that far ... */
    FAR_FEW = 64,    /* ... or so many, where there are not many */
    FAR_ROUNDS = 4
};
static const uint64_t sample_bytes = UINT64_C(256) << 20, code_sample_bytes = UINT64_C(128) << 20;
static const double most_square = 1e36; /* beyond, sums of a few squares leave float */
static const float padding_correction = 3e38f;

struct build {
    const struct kt_index_plan *plan;
    struct kt_work *work;
    struct ivf_source source;
    struct ivf_shape shape;
    struct ivf_layout layout;
    float *sample; /* sample_rows * tree_dim; freed before rows are encoded */
    uint64_t sample_rows;
    float *mean;
    double far_square; /* rows whose square is not within this are outliers */
    struct kt_centroids centroids;
    float *norms, *meso_norms;
    struct kt_tree tree;
    struct kt_pq pq;

    int32_t *assigned;  /* list of each position, or NO_LIST */
    uint8_t *codes;     /* of each position, code_bytes: two sub-quantisers a byte */
    float *corrections; /* of each position */
    uint32_t code_bytes;
    uint32_t *order;      /* positions by list, then the outliers */
    uint64_t *list_begin; /* lists + 1 */
    struct worker *workers;
    uint32_t worker_count;
};

struct worker {     /* scratch of one thread */
    float *rows;    /* CHUNK_ROWS * tree_dim */
    float *decoded; /* dim */
    uint8_t *codes; /* tables */
    uint8_t there[CHUNK_ROWS];
    struct kt_arena arena;
};

static void build_release(struct build *b)
{
    for (uint32_t w = 0; b->workers && w < b->worker_count; w++) {
        kt_free(b->workers[w].rows);
        kt_free(b->workers[w].decoded);
        kt_free(b->workers[w].codes);
        kt_arena_release(&b->workers[w].arena);
    }
    kt_free(b->workers);
    kt_ivf_source_release(&b->source);
    kt_free(b->sample);
    kt_free(b->mean);
    kt_centroids_release(&b->centroids);
    kt_free(b->norms);
    kt_free(b->meso_norms);
    kt_pq_release(&b->pq);
    kt_free(b->assigned);
    kt_free(b->codes);
    kt_free(b->corrections);
    kt_free(b->order);
    kt_free(b->list_begin);
}

/* ---- shape and scratch ---- */

static kith_status build_shape(struct build *b, const struct kt_vectors *vectors, kith_error *error)
{
    const struct kt_index_plan *plan = b->plan;
    struct ivf_shape *s = &b->shape;
    *s = (struct ivf_shape){ .pq = plan->type == KITH_IVF_PQ,
                             .metric = plan->metric,
                             .element = vectors->element,
                             .dim = vectors->dim,
                             .tree_dim = b->source.tree_dim };
    if (s->pq) {
        s->sub_vectors = plan->num_sub_vectors;
        s->bits = plan->num_bits;
        s->tables =
            kt_min_u32(s->dim, plan->num_bits == 8 ? 2 * plan->num_sub_vectors : plan->num_sub_vectors);
    }
    if (b->source.rows) {
        const struct kt_vectors_run *last = &vectors->runs[vectors->run_count - 1];
        s->base_row = vectors->runs[0].first_row;
        s->row_span = last->first_row + last->rows - s->base_row;
    }
    if (s->row_span > UINT64_C(1) << 32)
        return kt_fail(
            error, KITH_UNSUPPORTED,
            "one piece of an index covers row ids over a range of at most 2^32; these go from %llu to %llu",
            (unsigned long long)s->base_row, (unsigned long long)(s->base_row + s->row_span - 1));
    return KITH_OK;
}

static kith_status workers_take(struct build *b, kith_error *error)
{
    size_t floats = (size_t)CHUNK_ROWS * b->shape.tree_dim;
    b->worker_count = kt_work_threads(b->work);
    b->workers = kt_alloc_zero(b->worker_count, sizeof *b->workers);
    if (!b->workers) return kt_fail_memory(error, b->worker_count * sizeof *b->workers);
    for (uint32_t w = 0; w < b->worker_count; w++) {
        struct worker *worker = &b->workers[w];
        worker->rows = kt_alloc_aligned(floats * sizeof(float));
        worker->decoded = kt_alloc_array(b->shape.dim, sizeof(float));
        worker->codes = kt_alloc((size_t)b->shape.tables + 1);
        if (!worker->rows || !worker->decoded || !worker->codes)
            return kt_fail_memory(error, floats * sizeof(float));
    }
    return KITH_OK;
}

/* ---- the sample ---- */

struct sampling {
    struct build *build;
    const uint64_t *picks;
    uint8_t *usable;
};

static kith_status sample_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                                kith_error *error)
{
    struct sampling *s = context;
    uint32_t dim = s->build->shape.tree_dim;
    (void)worker;
    for (uint64_t i = begin; i < end; i++) {
        float *row = s->build->sample + i * dim;
        kith_status status = kt_ivf_source_load(&s->build->source, s->picks[i], 1, row, &s->usable[i], error);
        if (status) return status;
        if (kt_kernels()->has_bad[KITH_F32](row, dim)) s->usable[i] = 0;
    }
    return KITH_OK;
}

static void drop_unusable(struct build *b, const uint8_t *usable)
{
    uint64_t kept = 0;
    uint32_t dim = b->shape.tree_dim;
    for (uint64_t i = 0; i < b->sample_rows; i++) {
        if (!usable[i]) continue;
        if (kept != i) memmove(b->sample + kept * dim, b->sample + i * dim, dim * sizeof(float));
        kept++;
    }
    b->sample_rows = kept;
}

struct centering {
    float *rows;
    const float *shift;
    uint32_t dim;
};

static kith_status center_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                                kith_error *error)
{
    const struct centering *move = context;
    (void)worker, (void)error;
    for (uint64_t i = begin; i < end; i++)
        for (uint32_t d = 0; d < move->dim; d++) move->rows[i * move->dim + d] -= move->shift[d];
    return KITH_OK;
}

/* Moves the origin of the sample, and of every row that is loaded from now on, to the sample's mean. */
static kith_status center(struct build *b, kith_error *error)
{
    uint32_t dim = b->shape.tree_dim;
    uint64_t step = b->sample_rows / MEAN_ROWS + 1, rows = 0;
    double *sums = kt_alloc_zero(dim, sizeof *sums);
    float *shift = kt_alloc_zero(dim, sizeof *shift);
    if (!sums || !shift) {
        kt_free(sums);
        kt_free(shift);
        return kt_fail_memory(error, dim * (sizeof *sums + sizeof *shift));
    }
    for (uint64_t i = 0; i < b->sample_rows; i += step, rows++)
        for (uint32_t d = 0; d < dim; d++) sums[d] += (double)b->sample[i * dim + d];
    for (uint32_t d = 0; rows && d < dim; d++) shift[d] = (float)(sums[d] / (double)rows);
    for (uint32_t d = 0; d < dim; d++) b->mean[d] += shift[d];
    struct centering move = { b->sample, shift, dim };
    kith_status status =
        kt_parallel_for(b->work, NULL, b->sample_rows, CHUNK_ROWS, center_chunk, &move, error);
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
static double far_square(const struct build *b, double *squares)
{
    uint32_t dim = b->shape.tree_dim;
    uint64_t step = b->sample_rows / MEAN_ROWS + 1, count = 0;
    if (b->shape.metric == KITH_HAMMING) return INFINITY;
    for (uint64_t i = 0; i < b->sample_rows; i += step) {
        double square = kt_ivf_square(b->sample + i * dim, dim);
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
    uint32_t dim = s->build->shape.tree_dim;
    (void)worker, (void)error;
    for (uint64_t i = begin; i < end; i++)
        s->usable[i] = kt_ivf_square(s->build->sample + i * dim, dim) <= s->build->far_square;
    return KITH_OK;
}

/* Takes the outliers from the sample, first as seen from zero, then from the mean of those that are left,
 * until none is. */
static kith_status center_without_outliers(struct build *b, uint8_t *usable, kith_error *error)
{
    struct sampling s = { .build = b, .usable = usable };
    uint64_t before = 0;
    kith_status status = KITH_OK;
    double *squares = kt_alloc_array(kt_min_u64(b->sample_rows, MEAN_ROWS), sizeof *squares);
    b->mean = kt_alloc_zero(b->shape.tree_dim, sizeof *b->mean);
    if (!squares || !b->mean)
        status = kt_fail_memory(error, MEAN_ROWS * sizeof *squares + b->shape.tree_dim * sizeof *b->mean);
    for (uint32_t round = 0; !status && round < FAR_ROUNDS && (round < 2 || b->sample_rows < before);
         round++) {
        before = b->sample_rows;
        if (round) status = center(b, error);
        if (status) break;
        b->far_square = far_square(b, squares);
        status = kt_parallel_for(b->work, NULL, b->sample_rows, CHUNK_ROWS, judge_chunk, &s, error);
        if (!status) drop_unusable(b, usable);
    }
    kt_free(squares);
    b->source.mean = b->mean;
    return status;
}

static uint64_t sample_wanted(const struct build *b)
{
    uint64_t lists = b->plan->num_partitions, row_bytes = b->shape.tree_dim * sizeof(float);
    uint64_t wanted = lists * (b->plan->sample_rate ? b->plan->sample_rate : SAMPLE_RATE);
    if (!b->plan->sample_rate)
        wanted = kt_max_u64(kt_min_u64(wanted, sample_bytes / row_bytes), lists * LEAST_RATE);
    if (b->shape.pq) wanted = kt_max_u64(wanted, kt_min_u64(CODE_SAMPLE, code_sample_bytes / row_bytes));
    return kt_min_u64(kt_min_u64(wanted, UINT32_MAX), b->source.rows);
}

static kith_status take_sample(struct build *b, kith_error *error)
{
    uint64_t wanted = sample_wanted(b);
    size_t row_bytes = b->shape.tree_dim * sizeof(float);
    struct sampling s = { .build = b };
    uint64_t *picks = kt_alloc_array(wanted, sizeof *picks);
    s.picks = picks;
    s.usable = kt_alloc_array(wanted, 1);
    b->sample = kt_alloc_array(wanted, row_bytes);
    kith_status status = KITH_OK;
    if (!picks || !s.usable || !b->sample) {
        status = kt_fail_memory(error, wanted * row_bytes);
        goto out;
    }
    b->sample_rows = kt_sample(b->source.rows, wanted, b->plan->seed, picks);
    status = kt_parallel_for(b->work, "train", wanted, CHUNK_ROWS, sample_chunk, &s, error);
    if (status) goto out;
    drop_unusable(b, s.usable);
    status = center_without_outliers(b, s.usable, error);
    if (!b->sample_rows &&
        wanted) { /* all were null or outliers: one list around zero holds what the sample missed */
        memset(b->sample, 0, row_bytes);
        b->sample_rows = 1;
    }
out:
    kt_free(picks);
    kt_free(s.usable);
    return status;
}

/* ---- the tree ---- */

static kith_status learn_tree(struct build *b, kith_error *error)
{
    struct kt_kmeans options = { .dim = b->shape.tree_dim,
                                 .clusters = b->plan->num_partitions,
                                 .max_iterations = b->plan->max_iterations,
                                 .seed = b->plan->seed,
                                 .two_levels = b->plan->num_partitions > TWO_LEVELS_FROM };
    kith_status status = kt_kmeans_train(&options, b->sample, b->sample_rows, b->work, &b->centroids, error);
    if (status) return status;
    struct kt_centroids *c = &b->centroids;
    b->norms = kt_alloc_array(c->count, sizeof *b->norms);
    b->meso_norms = kt_alloc_array(c->meso_count, sizeof *b->meso_norms);
    if (!b->norms || !b->meso_norms) return kt_fail_memory(error, c->count * sizeof *b->norms);
    kt_square_norms(c->values, c->count, c->dim, b->norms);
    kt_square_norms(c->meso, c->meso_count, c->dim, b->meso_norms);
    b->tree = (struct kt_tree){ c->values,     b->norms, c->meso, b->meso_norms,
                                c->meso_begin, c->count, c->dim,  c->meso_count };
    b->shape.lists = c->count;
    b->shape.mesos = c->meso_count;
    b->shape.beam = kt_tree_beam(c->meso_count);
    return KITH_OK;
}

/* ---- the codes ---- */

/* Keeps what codebooks are learned from. */
static kith_status thin_sample(struct build *b, kith_error *error)
{
    uint32_t dim = b->shape.dim;
    uint64_t wanted =
        kt_max_u64(LEAST_CODE_SAMPLE, kt_min_u64(CODE_SAMPLE, code_sample_bytes / (dim * sizeof(float))));
    uint64_t *picks = kt_alloc_array(kt_min_u64(wanted, b->sample_rows), sizeof *picks);
    if (!picks) return kt_fail_memory(error, wanted * sizeof *picks);
    b->sample_rows = kt_sample(b->sample_rows, wanted, b->plan->seed + 2, picks);
    for (uint64_t i = 0; i < b->sample_rows; i++)
        if (picks[i] != i) memmove(b->sample + i * dim, b->sample + picks[i] * dim, dim * sizeof(float));
    kt_free(picks);
    return KITH_OK;
}

/* Rows of the sample become residuals, in place. */
static kith_status residual_chunk(void *context, uint64_t begin, uint64_t end, uint32_t number,
                                  kith_error *error)
{
    struct build *b = context;
    struct kt_arena *arena = &b->workers[number].arena;
    uint32_t dim = b->shape.dim, nearest[CHUNK_ROWS];
    float *rows = b->sample + begin * dim;
    kith_status status =
        kt_tree_nearest(&b->tree, b->shape.beam, rows, end - begin, arena, nearest, NULL, error);
    kt_arena_clear(arena);
    for (uint64_t r = 0; !status && r < end - begin; r++)
        for (uint32_t d = 0; d < dim; d++)
            rows[r * dim + d] -= b->centroids.values[(size_t)nearest[r] * dim + d];
    return status;
}

static kith_status learn_codes(struct build *b, kith_error *error)
{
    kith_status status = thin_sample(b, error);
    if (!status)
        status = kt_parallel_for(b->work, "train", b->sample_rows, CHUNK_ROWS, residual_chunk, b, error);
    if (status) return status;
    return kt_pq_train(b->shape.dim, b->shape.tables, CODE_ITERATIONS, b->plan->seed + 3, b->sample,
                       b->sample_rows, b->work, &b->pq, error);
}

/* ---- every row ---- */

static kith_status assign_chunk(void *context, uint64_t begin, uint64_t end, uint32_t number,
                                kith_error *error)
{
    struct build *b = context;
    struct worker *worker = &b->workers[number];
    uint32_t nearest[CHUNK_ROWS], count = (uint32_t)(end - begin);
    size_t dim = b->shape.tree_dim;
    uint8_t outlier[CHUNK_ROWS];
    kith_status status = kt_ivf_source_load(&b->source, begin, count, worker->rows, worker->there, error);
    for (uint32_t i = 0; !status && i < count; i++) {
        float *row = worker->rows + i * dim;
        outlier[i] = !(kt_ivf_square(row, (uint32_t)dim) <= b->far_square);
        if (outlier[i]) memset(row, 0, dim * sizeof *row); /* the tree needs not bear it */
    }
    if (!status)
        status = kt_tree_nearest(&b->tree, b->shape.beam, worker->rows, count, &worker->arena, nearest, NULL,
                                 error);
    kt_arena_clear(&worker->arena);
    for (uint32_t i = 0; !status && i < count; i++)
        b->assigned[begin + i] = !worker->there[i] ? NO_LIST : outlier[i] ? OUTLIER : (int32_t)nearest[i];
    return status;
}

static kith_status assign_rows(struct build *b, kith_error *error)
{
    b->assigned = kt_alloc_array(b->source.rows, sizeof *b->assigned);
    if (!b->assigned) return kt_fail_memory(error, b->source.rows * sizeof *b->assigned);
    if (!b->shape.lists) {
        for (uint64_t i = 0; i < b->source.rows; i++) b->assigned[i] = NO_LIST;
        return KITH_OK;
    }
    return kt_parallel_for(b->work, "assign", b->source.rows, CHUNK_ROWS, assign_chunk, b, error);
}

/* What a search adds for this row, y.r + 2 c.y. */
static float correction_of(const struct build *b, const float *centroid, const float *residual,
                           const float *decoded, bool zero)
{
    float sum = 0;
    if (b->shape.metric == KITH_DOT) return 0;
    for (uint32_t d = 0; d < b->shape.dim; d++) sum += decoded[d] * (residual[d] + 2.0f * centroid[d]);
    return sum + (zero ? 1.0f : 0.0f);
}

/* Whether this row of the tree was a zero vector before the mean was taken off. */
static bool is_zero_row(const struct build *b, const float *row)
{
    if (b->shape.metric != KITH_COSINE) return false;
    for (uint32_t d = 0; d < b->shape.dim; d++)
        if (row[d] != 0.0f - b->mean[d]) return false;
    return true;
}

static void encode_row(struct build *b, uint64_t position, float *row, struct worker *worker)
{
    uint32_t dim = b->shape.dim, tables = b->shape.tables;
    const float *centroid = b->centroids.values + (size_t)b->assigned[position] * dim;
    bool zero = is_zero_row(b, row);
    for (uint32_t d = 0; d < dim; d++) row[d] -= centroid[d];
    kt_pq_encode(&b->pq, row, worker->codes, worker->decoded);
    worker->codes[tables] = 0; /* the other half of the last byte */
    uint8_t *packed = b->codes + position * b->code_bytes;
    for (uint32_t t = 0; t < tables; t += 2)
        packed[t / 2] = (uint8_t)(worker->codes[t] | worker->codes[t + 1] << 4);
    b->corrections[position] = correction_of(b, centroid, row, worker->decoded, zero);
}

static kith_status encode_chunk(void *context, uint64_t begin, uint64_t end, uint32_t number,
                                kith_error *error)
{
    struct build *b = context;
    struct worker *worker = &b->workers[number];
    kith_status status =
        kt_ivf_source_load(&b->source, begin, (uint32_t)(end - begin), worker->rows, worker->there, error);
    if (status) return status;
    for (uint64_t p = begin; p < end; p++)
        if (b->assigned[p] >= 0) encode_row(b, p, worker->rows + (p - begin) * b->shape.dim, worker);
    return KITH_OK;
}

static kith_status encode_rows(struct build *b, kith_error *error)
{
    b->code_bytes = (b->shape.tables + 1) / 2;
    b->codes = kt_alloc_array(b->source.rows, b->code_bytes);
    b->corrections = kt_alloc_array(b->source.rows, sizeof *b->corrections);
    if (!b->codes || !b->corrections)
        return kt_fail_memory(error, b->source.rows * (b->code_bytes + sizeof *b->corrections));
    return kt_parallel_for(b->work, "encode", b->source.rows, CHUNK_ROWS, encode_chunk, b, error);
}

/* ---- the lists ---- */

static kith_status sort_rows(struct build *b, kith_error *error)
{
    uint32_t lists = b->shape.lists;
    b->order = kt_alloc_array(b->source.rows, sizeof *b->order);
    b->list_begin = kt_alloc_zero((size_t)lists + 2, sizeof *b->list_begin);
    if (!b->order || !b->list_begin) return kt_fail_memory(error, b->source.rows * sizeof *b->order);
    uint64_t *next = b->list_begin + 1; /* of list i at next[i], which in the end is list i's end */
    for (uint64_t p = 0; p < b->source.rows; p++)
        if (b->assigned[p] >= 0) next[b->assigned[p] + 1]++;
    for (uint32_t i = 0; i < lists; i++) next[i + 1] += next[i];
    uint64_t all = next[lists];
    for (uint64_t p = 0; p < b->source.rows; p++)
        if (b->assigned[p] == OUTLIER) b->order[all++] = (uint32_t)p;
    b->shape.rows = all;
    b->shape.outliers = all - next[lists];
    for (uint64_t p = 0; p < b->source.rows; p++)
        if (b->assigned[p] >= 0) b->order[next[b->assigned[p]]++] = (uint32_t)p;
    for (uint32_t i = 0; i < lists; i++)
        b->shape.blocks +=
            kt_round_up(b->list_begin[i + 1] - b->list_begin[i], KT_BLOCK_ROWS) / KT_BLOCK_ROWS;
    return KITH_OK;
}

static uint32_t row_offset(const struct build *b, uint32_t position)
{
    return (uint32_t)(kt_ivf_source_row(&b->source, position) - b->shape.base_row);
}

static void code_block(const struct build *b, const uint32_t *positions, uint32_t count, uint8_t *codes,
                       uint8_t *block)
{
    uint32_t tables = b->shape.tables;
    uint8_t *corrections = block + b->layout.codes_bytes,
            *offsets = corrections + KT_BLOCK_ROWS * sizeof(float);
    for (uint32_t r = 0; r < count; r++) {
        const uint8_t *packed = b->codes + (uint64_t)positions[r] * b->code_bytes;
        for (uint32_t t = 0; t < tables; t++) codes[r * tables + t] = packed[t / 2] >> (t % 2 * 4) & 15;
    }
    kt_pq_pack(codes, count, tables, block);
    for (uint32_t r = 0; r < KT_BLOCK_ROWS; r++) {
        kt_put_f32(corrections + 4 * r, r < count ? b->corrections[positions[r]] : padding_correction);
        kt_put_u32(offsets + 4 * r, r < count ? row_offset(b, positions[r]) : 0);
    }
}

static kith_status raw_block(const struct build *b, const uint32_t *positions, uint32_t count, uint8_t *block,
                             kith_error *error)
{
    const struct kt_vectors *vectors = b->source.vectors;
    size_t row_bytes = vectors->dim * kt_element_bytes(vectors->element);
    uint8_t *rows = block + KT_BLOCK_ROWS * sizeof(uint32_t);
    for (uint32_t r = 0; r < count; r++) {
        struct kt_vectors_view view = { 0 };
        uint64_t row = kt_ivf_source_row(&b->source, positions[r]);
        const struct kt_vectors_run *run = &vectors->runs[kt_vectors_find(vectors, row)];
        kith_status status = run->view(run->context, row - run->first_row, 1, &view, error);
        if (status) return status;
        kt_put_u32(block + 4 * r, row_offset(b, positions[r]));
        memcpy(rows + r * row_bytes, view.data, row_bytes);
    }
    return KITH_OK;
}

struct writing {
    struct kt_sink *sink;
    uint8_t *codes;  /* of one block */
    uint8_t *blocks; /* WRITE_BLOCKS of the larger kind */
};

/* The rows order[at] .. order[end - 1], one list or the outliers, WRITE_BLOCKS blocks at a time. */
static kith_status write_rows(const struct build *b, uint64_t at, uint64_t end, bool coded,
                              const struct writing *w, kith_error *error)
{
    uint64_t block_bytes = coded ? b->layout.block_bytes : b->layout.row_block_bytes;
    kith_status status = KITH_OK;
    while (!status && at < end) {
        uint32_t filled = 0;
        for (; !status && filled < WRITE_BLOCKS && at < end; filled++) {
            uint32_t count = (uint32_t)kt_min_u64(KT_BLOCK_ROWS, end - at);
            uint8_t *block = w->blocks + filled * block_bytes;
            memset(block, 0, block_bytes);
            if (coded)
                code_block(b, b->order + at, count, w->codes, block);
            else
                status = raw_block(b, b->order + at, count, block, error);
            at += count;
        }
        if (!status) status = kt_sink_write(w->sink, w->blocks, filled * block_bytes, error);
        if (!status) status = kt_work_tick(b->work, "write", at, b->shape.rows, error);
    }
    return status;
}

static kith_status write_lists(struct build *b, struct kt_sink *sink, kith_error *error)
{
    size_t code_bytes = (size_t)KT_BLOCK_ROWS * (b->shape.tables + 1);
    uint64_t block_bytes = b->shape.outliers ? kt_max_u64(b->layout.block_bytes, b->layout.row_block_bytes)
                                             : b->layout.block_bytes;
    struct writing w = { sink, kt_alloc(code_bytes), kt_alloc_aligned(WRITE_BLOCKS * block_bytes) };
    kith_status status =
        w.blocks && w.codes ? KITH_OK : kt_fail_memory(error, WRITE_BLOCKS * block_bytes + code_bytes);
    for (uint32_t i = 0; !status && i < b->shape.lists; i++)
        status = write_rows(b, b->list_begin[i], b->list_begin[i + 1], b->shape.pq, &w, error);
    if (!status) status = write_rows(b, b->shape.rows - b->shape.outliers, b->shape.rows, false, &w, error);
    kt_free(w.blocks);
    kt_free(w.codes);
    return status;
}

static kith_status write_index(struct build *b, struct kt_sink *sink, kith_error *error)
{
    struct ivf_head head = { .shape = b->shape,
                             .mean = b->mean,
                             .centroids = &b->centroids,
                             .norms = b->norms,
                             .meso_norms = b->meso_norms,
                             .pq = &b->pq,
                             .list_begin = b->list_begin };
    kt_ivf_layout(&b->shape, &b->layout);
    kith_status status = kt_ivf_write_head(&head, sink, error);
    return status ? status : write_lists(b, sink, error);
}

/* ---- what was done ---- */

static kith_status describe(const struct build *b, json_t **meta, kith_error *error)
{
    const struct ivf_shape *s = &b->shape;
    char note[256] = "", codes[128] = "", outliers[128] = "";
    if (s->lists < b->plan->num_partitions)
        snprintf(note, sizeof note,
                 "%u partitions of the %u asked for: %llu training rows hold no more different vectors",
                 s->lists, b->plan->num_partitions, (unsigned long long)b->sample_rows);
    if (s->pq && s->bits == 8)
        snprintf(codes, sizeof codes, "%s8-bit codes are stored as %u sub-quantisers of 4 bits",
                 *note ? "; " : "", s->tables);
    if (s->outliers)
        snprintf(outliers, sizeof outliers, "%s%llu rows far from all others are read by every search",
                 *note || *codes ? "; " : "", (unsigned long long)s->outliers);
    json_t *made = json_pack("{s:I, s:I, s:I, s:I, s:s++}", "partitions", (json_int_t)s->lists, "sub_vectors",
                             (json_int_t)s->sub_vectors, "bits", (json_int_t)s->bits, "rows",
                             (json_int_t)s->rows, "note", note, codes, outliers);
    if (!made) return kt_fail_memory(error, sizeof note);
    *meta = made;
    return KITH_OK;
}

kith_status kt_ivf_build(const struct kt_index_plan *plan, const struct kt_vectors *vectors,
                         struct kt_work *work, struct kt_sink *sink, json_t **meta, kith_error *error)
{
    struct build b = { .plan = plan, .work = work };
    kith_status status = kt_ivf_source_init(&b.source, vectors, plan->metric, error);
    if (!status) status = build_shape(&b, vectors, error);
    if (!status) status = workers_take(&b, error);
    if (!status) status = take_sample(&b, error);
    if (!status) status = learn_tree(&b, error);
    if (!status) status = assign_rows(&b, error);
    if (!status && b.shape.pq) status = learn_codes(&b, error);
    kt_free(b.sample);
    b.sample = NULL;
    if (!status && b.shape.pq) status = encode_rows(&b, error);
    if (!status) status = sort_rows(&b, error);
    if (!status) status = write_index(&b, sink, error);
    if (!status) status = describe(&b, meta, error);
    build_release(&b);
    return status;
}
