/* Building an IVF index: train on a sample, give every row its list, then encode list by list and write.
 *
 * All rows are read twice and never held: once in order, to be assigned, once list by list, to be encoded.
 * What is held is of every row its list, and the bytes of the lists in work. A row gets its list through the
 * tree with a beam, among the rounded centroids that a search sees: so a row's own vector leads to that row.
 *
 * The codes of a row say where in its list's neighbourhood it lies: x = m + c + r, the residual r is coded.
 * Three factors a row (quant.h) make of the code an estimate of the row's distance and of its error. For a
 * zero vector under cosine, whose distance is 1 by definition and not by geometry, what makes it so is added.
 * They are stored as halves, in units that follow from how long residuals are: that is measured on a few
 * thousand rows once all have their lists.
 *
 * Always true here: the bytes written are decided by rows, plan and instruction set, whatever the number of
 * threads; a null vector is nowhere; rows of a list, and outliers, ascend.
 */
#include <math.h>

#include "base/bytes.h"
#include "index/ivf/ivf_private.h"

enum {
    CHUNK_ROWS = 256,
    WRITE_BLOCKS = 64,  /* blocks of outliers in one write */
    BATCH_LISTS = 1024, /* lists encoded before they are written ... */
    SCALE_ROWS = 4096,  /* tell how long residuals are */
    NO_LIST = -1,       /* of a null vector */
    OUTLIER = -2
};
static const uint64_t batch_bytes = UINT64_C(16) << 20; /* ... and their bytes, but for one list alone */
static const uint16_t infinite = 0x7c00;                /* add, as a half, in padding lanes */

struct build {
    const struct kt_index_plan *plan;
    struct kt_work *work;
    struct ivf_trained trained;
    struct ivf_source source;
    struct ivf_shape shape;
    struct ivf_layout layout;
    struct kt_units first, all;
    int32_t *assigned;    /* list of each position, or NO_LIST or OUTLIER */
    uint32_t *order;      /* positions by list, then the outliers */
    uint64_t *list_begin; /* lists + 1 */
    struct worker *workers;
    uint32_t worker_count;
};

struct worker {     /* scratch of one thread */
    float *rows;    /* CHUNK_ROWS * tree_dim */
    float *decoded; /* tree_dim */
    uint8_t *codes; /* of the rows of a block */
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
    kt_ivf_trained_release(&b->trained);
    kt_free(b->assigned);
    kt_free(b->order);
    kt_free(b->list_begin);
}

/* ---- shape and scratch ---- */

static uint32_t tables_of(const struct kt_index_plan *plan, const struct ivf_shape *s)
{
    if (s->kind == IVF_ROWS) return 0;
    if (s->kind == IVF_SIGNS) return s->tree_dim / 4;
    return kt_min_u32(s->dim, plan->num_bits == 8 ? 2 * plan->num_sub_vectors : plan->num_sub_vectors);
}

static kith_status build_shape(struct build *b, const struct kt_vectors *vectors, kith_error *error)
{
    const struct kt_index_plan *plan = b->plan;
    struct ivf_shape *s = &b->shape;
    *s = (struct ivf_shape){ .kind = plan->type == KITH_IVF_PQ     ? IVF_PQ
                                     : plan->type == KITH_IVF_FLAT ? IVF_ROWS
                                                                   : IVF_SIGNS,
                             .metric = plan->metric,
                             .element = vectors->element,
                             .dim = vectors->dim,
                             .sub_vectors = plan->num_sub_vectors,
                             .bits = plan->num_bits,
                             .seed = plan->seed + 4 };
    s->tree_dim = kt_ivf_tree_dim(s->dim, s->metric, s->kind == IVF_SIGNS);
    s->tables = tables_of(plan, s);
    if (vectors->run_count) {
        const struct kt_vectors_run *last = &vectors->runs[vectors->run_count - 1];
        s->base_row = vectors->runs[0].first_row;
        s->row_span = last->first_row + last->span - s->base_row;
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
        worker->decoded = kt_alloc_array(b->shape.tree_dim, sizeof(float));
        worker->codes = kt_alloc((size_t)KT_BLOCK_ROWS * (b->shape.tables + 1));
        if (!worker->rows || !worker->decoded || !worker->codes)
            return kt_fail_memory(error, floats * sizeof(float));
    }
    return KITH_OK;
}

/* ---- every row its list ---- */

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
        outlier[i] = !(kt_ivf_square(row, (uint32_t)dim) <= b->trained.far_square);
        if (outlier[i]) memset(row, 0, dim * sizeof *row); /* the tree needs not bear it */
    }
    if (!status)
        status = kt_tree_nearest(&b->trained.tree, b->trained.beam, worker->rows, count, &worker->arena,
                                 nearest, NULL, error);
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
        b->shape.list_bytes += kt_ivf_list_bytes(&b->layout, b->list_begin[i + 1] - b->list_begin[i]);
    kt_free(b->assigned);
    b->assigned = NULL;
    return KITH_OK;
}

/* How long residuals are: the root of the mean square of some, zeros not counted, down to a power of two. */
static kith_status measure_scale(struct build *b, kith_error *error)
{
    uint64_t step = b->source.rows / SCALE_ROWS + 1, count = 0;
    uint32_t dim = b->shape.tree_dim;
    struct worker *worker = &b->workers[0];
    double sum = 0;
    int exponent = 1;
    for (uint64_t p = 0; b->shape.kind != IVF_ROWS && p < b->source.rows; p += step) {
        if (b->assigned[p] < 0) continue;
        const float *centroid = b->trained.centroids.values + (size_t)b->assigned[p] * dim;
        kith_status status = kt_ivf_source_load(&b->source, p, 1, worker->rows, worker->there, error);
        if (status) return status;
        for (uint32_t d = 0; d < dim; d++) worker->rows[d] -= centroid[d];
        double square = kt_ivf_square(worker->rows, dim);
        sum += square;
        count += square > 0;
    }
    if (count && isfinite(sum)) (void)frexp(sqrt(sum / (double)count), &exponent);
    exponent--;
    b->shape.scale = exponent < IVF_LEAST_SCALE  ? IVF_LEAST_SCALE
                     : exponent > IVF_MOST_SCALE ? IVF_MOST_SCALE
                                                 : exponent;
    kt_ivf_units(&b->shape, &b->first, &b->all);
    return KITH_OK;
}

static uint32_t row_offset(const struct build *b, uint32_t position)
{
    return (uint32_t)(kt_ivf_source_row(&b->source, position) - b->shape.base_row);
}

/* ---- encoding ---- */

/* Whether a row is a zero vector, whose cosine distance is 1; `numbers` is scratch. */
static kith_status is_zero_row(const struct build *b, uint32_t position, float *numbers, bool *zero,
                               kith_error *error)
{
    const void *data = NULL;
    *zero = false;
    if (b->shape.metric != KITH_COSINE) return KITH_OK;
    kith_status status = kt_ivf_source_lend(&b->source, position, &data, error);
    if (status || !data) return status;
    kt_kernels()->to_float[b->shape.element](data, b->shape.dim, numbers);
    *zero = true;
    for (uint32_t d = 0; *zero && d < b->shape.dim; d++) *zero = numbers[d] == 0;
    return KITH_OK;
}

/* The codes of a row, its further bits with their factors, and the factors of the first code, rounded.
 * `beside` is added to the distance. */
static void encode_row(const struct build *b, const float *centroid, float *row, float beside,
                       struct worker *worker, uint8_t *codes, uint8_t *extra, uint16_t rounded[3])
{
    const struct ivf_shape *s = &b->shape;
    struct kt_factors first, all = { 0 };
    for (uint32_t d = 0; d < s->tree_dim; d++) row[d] -= centroid[d];
    if (s->kind == IVF_PQ) {
        kt_pq_encode(&b->trained.pq, row, codes, worker->decoded);
        first = kt_factors_of(row, centroid, worker->decoded, s->tree_dim);
    } else {
        kt_rabitq_encode(s->tree_dim, s->bits, row, centroid, worker->decoded, codes, extra, &first, &all);
    }
    if (extra) {
        all.add += beside;
        kt_factors_round(&all, &b->all, rounded);
        memcpy(extra + kt_rabitq_extra_bytes(s->tree_dim, s->bits), rounded, IVF_FACTOR_BYTES);
    }
    first.add += beside;
    kt_factors_round(&first, &b->first, rounded);
}

static kith_status code_block(const struct build *b, uint32_t list, const uint32_t *positions, uint32_t count,
                              struct worker *worker, uint8_t *block, uint8_t *extra, kith_error *error)
{
    uint32_t tables = b->shape.tables, dim = b->shape.tree_dim, extra_bytes = b->layout.extra_bytes;
    const float *centroid = b->trained.centroids.values + (size_t)list * dim;
    uint8_t *factors = block + b->layout.codes_bytes, *offsets = factors + IVF_FACTOR_BYTES * KT_BLOCK_ROWS;
    for (uint32_t r = 0; r < KT_BLOCK_ROWS; r++) {
        uint16_t rounded[3] = { infinite, 0, 0 };
        if (r < count) {
            bool zero = false;
            uint8_t *own = extra_bytes ? extra + (size_t)r * extra_bytes : NULL;
            kith_status status =
                kt_ivf_source_load(&b->source, positions[r], 1, worker->rows, worker->there, error);
            if (!status) status = is_zero_row(b, positions[r], worker->decoded, &zero, error);
            if (status) return status;
            encode_row(b, centroid, worker->rows, zero ? 1 : 0, worker, worker->codes + (size_t)r * tables,
                       own, rounded);
            kt_put_u32(offsets + 4 * r, row_offset(b, positions[r]));
        }
        for (uint32_t i = 0; i < 3; i++) kt_put_u16(factors + 2 * (i * KT_BLOCK_ROWS + r), rounded[i]);
    }
    kt_pq_pack(worker->codes, count, tables, block);
    return KITH_OK;
}

static kith_status row_block(const struct build *b, const uint32_t *positions, uint32_t count, uint8_t *block,
                             kith_error *error)
{
    size_t row_bytes = b->shape.dim * kt_element_bytes(b->shape.element);
    uint8_t *rows = block + KT_BLOCK_ROWS * sizeof(uint32_t);
    for (uint32_t r = 0; r < count; r++) {
        const void *data = NULL;
        kith_status status = kt_ivf_source_lend(&b->source, positions[r], &data, error);
        if (status) return status;
        kt_put_u32(block + 4 * r, row_offset(b, positions[r]));
        memcpy(rows + r * row_bytes, data, row_bytes);
    }
    return KITH_OK;
}

/* ---- writing ---- */

/* Some lists on their way to the file. */
struct batch {
    struct build *build;
    uint32_t first; /* list */
    uint8_t *bytes;
    uint64_t *at; /* where each begins */
};

static kith_status fill_list(void *context, uint64_t begin, uint64_t end, uint32_t number, kith_error *error)
{
    const struct batch *batch = context;
    struct build *b = batch->build;
    kith_status status = KITH_OK;
    for (uint64_t i = begin; !status && i < end; i++) {
        uint32_t list = batch->first + (uint32_t)i;
        const uint32_t *positions = b->order + b->list_begin[list];
        uint64_t rows = b->list_begin[list + 1] - b->list_begin[list];
        uint8_t *block = batch->bytes + batch->at[i];
        uint8_t *extra = block + kt_round_up(rows, KT_BLOCK_ROWS) / KT_BLOCK_ROWS * b->layout.block_bytes;
        for (uint64_t r = 0; !status && r < rows; r += KT_BLOCK_ROWS) {
            uint32_t count = (uint32_t)kt_min_u64(KT_BLOCK_ROWS, rows - r);
            if (b->shape.kind == IVF_ROWS)
                status = row_block(b, positions + r, count, block, error);
            else
                status = code_block(b, list, positions + r, count, &b->workers[number], block,
                                    extra + r * b->layout.extra_bytes, error);
            block += b->layout.block_bytes;
        }
    }
    return status;
}

/* How many lists from `first` on go together, and where they begin. */
static uint32_t plan_batch(const struct build *b, uint32_t first, uint64_t *at, uint64_t *bytes)
{
    uint32_t count = 0;
    *bytes = 0;
    while (first + count < b->shape.lists && count < BATCH_LISTS) {
        uint32_t list = first + count;
        uint64_t more = kt_ivf_list_bytes(&b->layout, b->list_begin[list + 1] - b->list_begin[list]);
        if (count && *bytes + more > batch_bytes) break;
        at[count++] = *bytes;
        *bytes += more;
    }
    return count;
}

static kith_status write_lists(struct build *b, struct kt_sink *sink, kith_error *error)
{
    uint64_t at[BATCH_LISTS], room = 0;
    struct batch batch = { .build = b, .at = at };
    kith_status status = KITH_OK;
    for (uint32_t first = 0, count; !status && first < b->shape.lists; first += count) {
        uint64_t bytes;
        count = plan_batch(b, first, at, &bytes);
        if (bytes > room) {
            kt_free(batch.bytes);
            room = bytes;
            batch.bytes = kt_alloc_aligned(room);
            if (!batch.bytes) return kt_fail_memory(error, room);
        }
        batch.first = first;
        if (bytes) memset(batch.bytes, 0, bytes);
        status = kt_parallel_for(b->work, NULL, count, 1, fill_list, &batch, error);
        if (!status && bytes) status = kt_sink_write(sink, batch.bytes, bytes, error);
        if (!status)
            status = kt_work_tick(b->work, "encode", b->list_begin[first + count], b->shape.rows, error);
    }
    kt_free(batch.bytes);
    return status;
}

static kith_status write_outliers(const struct build *b, struct kt_sink *sink, kith_error *error)
{
    uint64_t bytes = b->layout.row_block_bytes, at = b->shape.rows - b->shape.outliers;
    kith_status status = KITH_OK;
    if (at == b->shape.rows) return KITH_OK;
    uint8_t *block = kt_alloc_aligned(bytes);
    if (!block) return kt_fail_memory(error, bytes);
    for (; !status && at < b->shape.rows; at += KT_BLOCK_ROWS) {
        memset(block, 0, bytes);
        status = row_block(b, b->order + at, (uint32_t)kt_min_u64(KT_BLOCK_ROWS, b->shape.rows - at), block,
                           error);
        if (!status) status = kt_sink_write(sink, block, bytes, error);
    }
    kt_free(block);
    return status;
}

static kith_status write_index(struct build *b, struct kt_sink *sink, kith_error *error)
{
    struct ivf_trained *t = &b->trained;
    struct ivf_head head = { .shape = b->shape,
                             .mean = t->mean,
                             .meso = { t->meso_bytes, t->meso_units, t->meso_norms },
                             .centroids = { t->bytes, t->units, t->norms },
                             .meso_begin = t->centroids.meso_begin,
                             .codebook = t->pq.codebook,
                             .list_begin = b->list_begin };
    kith_status status = kt_ivf_write_head(&head, sink, error);
    if (!status) status = write_lists(b, sink, error);
    return status ? status : write_outliers(b, sink, error);
}

/* ---- what was done ---- */

static kith_status describe(const struct build *b, json_t **meta, kith_error *error)
{
    const struct ivf_shape *s = &b->shape;
    char note[256] = "", codes[128] = "", outliers[128] = "";
    if (s->lists < b->plan->num_partitions)
        snprintf(note, sizeof note,
                 "%u partitions of the %u asked for: %llu training rows hold no more different vectors",
                 s->lists, b->plan->num_partitions, (unsigned long long)b->trained.sample_rows);
    if (s->kind == IVF_PQ && s->bits == 8)
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
    kith_status status = build_shape(&b, vectors, error);
    if (!status) status = kt_ivf_train(plan, &b.shape, vectors, work, &b.trained, error);
    if (!status) status = kt_ivf_source_init(&b.source, vectors, &b.trained.space, error);
    if (!status) status = workers_take(&b, error);
    if (!status) {
        b.shape.lists = b.trained.centroids.count;
        b.shape.mesos = b.trained.centroids.meso_count;
        b.shape.beam = b.trained.beam;
        b.shape.longest = b.trained.space.longest;
        kt_ivf_layout(&b.shape, &b.layout);
        status = assign_rows(&b, error);
    }
    if (!status) status = measure_scale(&b, error);
    if (!status) status = sort_rows(&b, error);
    if (!status) {
        kt_ivf_layout(&b.shape, &b.layout);
        status = write_index(&b, sink, error);
    }
    if (!status) status = describe(&b, meta, error);
    build_release(&b);
    return status;
}
