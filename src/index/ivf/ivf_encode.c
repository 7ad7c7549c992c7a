/* Rows to their lists, and into codes: what building an index and adding a run to one have in common.
 *
 * All rows are read twice and never held: once in order, to be assigned, once list by list, to be encoded.
 * What is held is of every row its list and its place, and the bytes of the lists in work.
 *
 * The codes of a row say where in its list's neighbourhood it lies: x = m + c + r, the residual r is coded.
 * Three factors a row (quant.h) make of the code an estimate of the row's distance and of its error. For a
 * zero vector under cosine, whose distance is 1 by definition and not by geometry, what makes it so is added.
 *
 * A row farther than far_square is an outlier: the tree was not made for it, and, where the metric is dot,
 * neither is any row longer than the longest that the tree knew. It is kept as it is.
 *
 * Always true here: the bytes written are decided by rows, tree and instruction set, whatever the number of
 * threads; a null vector is nowhere; rows of a list, and outliers, ascend as positions do.
 */
#include "index/ivf/ivf_private.h"

enum { NO_LIST = -1 /* of a null vector */, OUTLIER = -2 };

struct ivf_worker { /* scratch of one thread */
    float *rows;    /* IVF_CHUNK * tree_dim */
    float *decoded, *centroid;
    uint8_t *codes; /* of a row, then of the rows of a block */
    uint8_t *extra; /* of a row */
    uint8_t there[IVF_CHUNK];
    struct kt_arena arena;
};

kith_status kt_ivf_encoding_init(struct ivf_encoding *e, const struct kt_index *index,
                                 const struct kt_vectors *vectors, struct kt_work *work, kith_error *error)
{
    const struct ivf_shape *s = &index->shape;
    size_t floats = (size_t)IVF_CHUNK * s->tree_dim;
    *e = (struct ivf_encoding){ .index = index, .work = work };
    kith_status status = kt_source_init(&e->source, vectors, &index->space, error);
    if (status) return status;
    e->worker_count = kt_work_threads(work);
    e->workers = kt_alloc_zero(e->worker_count, sizeof *e->workers);
    if (!e->workers) return kt_fail_memory(error, e->worker_count * sizeof *e->workers);
    for (uint32_t w = 0; w < e->worker_count; w++) {
        struct ivf_worker *worker = &e->workers[w];
        worker->rows = kt_alloc_aligned(floats * sizeof(float));
        worker->decoded = kt_alloc_array(s->tree_dim, sizeof(float));
        worker->centroid = kt_alloc_array(s->tree_dim, sizeof(float));
        worker->codes = kt_alloc_array(KT_BLOCK_ROWS + 1, s->tables);
        worker->extra = kt_alloc(index->layout.extra_bytes);
        if (!worker->rows || !worker->decoded || !worker->centroid || !worker->codes || !worker->extra)
            return kt_fail_memory(error, floats * sizeof(float));
    }
    return KITH_OK;
}

void kt_ivf_encoding_release(struct ivf_encoding *e)
{
    for (uint32_t w = 0; e->workers && w < e->worker_count; w++) {
        kt_free(e->workers[w].rows);
        kt_free(e->workers[w].decoded);
        kt_free(e->workers[w].centroid);
        kt_free(e->workers[w].codes);
        kt_free(e->workers[w].extra);
        kt_arena_release(&e->workers[w].arena);
    }
    kt_free(e->workers);
    kt_source_release(&e->source);
    kt_free(e->assigned);
    kt_free(e->order);
    kt_free(e->list_begin);
    kt_free(e->entries);
}

/* ---- every row its list ---- */

static kith_status assign_chunk(void *context, uint64_t begin, uint64_t end, uint32_t number,
                                kith_error *error)
{
    struct ivf_encoding *e = context;
    struct ivf_worker *worker = &e->workers[number];
    uint32_t nearest[IVF_CHUNK], count = (uint32_t)(end - begin), dim = e->index->shape.tree_dim;
    uint8_t outlier[IVF_CHUNK];
    kith_status status = kt_source_load(&e->source, begin, count, worker->rows, worker->there, error);
    for (uint32_t i = 0; !status && i < count; i++) {
        float *row = worker->rows + (size_t)i * dim;
        outlier[i] = !(kt_space_square(row, dim) <= e->index->shape.far_square);
        if (outlier[i]) memset(row, 0, dim * sizeof *row); /* the tree needs not bear it */
    }
    if (!status) status = kt_ivf_assign(e->index, worker->rows, count, &worker->arena, nearest, error);
    kt_arena_clear(&worker->arena);
    for (uint32_t i = 0; !status && i < count; i++)
        e->assigned[begin + i] = !worker->there[i] ? NO_LIST : outlier[i] ? OUTLIER : (int32_t)nearest[i];
    return status;
}

kith_status kt_ivf_encoding_assign(struct ivf_encoding *e, kith_error *error)
{
    uint64_t rows = e->source.rows;
    e->assigned = kt_alloc_array(rows, sizeof *e->assigned);
    if (!e->assigned) return kt_fail_memory(error, rows * sizeof *e->assigned);
    if (!e->index->shape.lists) {
        for (uint64_t i = 0; i < rows; i++) e->assigned[i] = NO_LIST;
        return KITH_OK;
    }
    return kt_parallel_for(e->work, "assign", rows, IVF_CHUNK, assign_chunk, e, error);
}

/* Positions by list, then the outliers. */
static kith_status sort_rows(struct ivf_encoding *e, kith_error *error)
{
    uint32_t lists = e->index->shape.lists;
    e->order = kt_alloc_array(e->source.rows, sizeof *e->order);
    e->list_begin = kt_alloc_zero((size_t)lists + 2, sizeof *e->list_begin);
    if (!e->order || !e->list_begin) return kt_fail_memory(error, e->source.rows * sizeof *e->order);
    uint64_t *next = e->list_begin + 1; /* of list i at next[i], which in the end is list i's end */
    for (uint64_t p = 0; p < e->source.rows; p++)
        if (e->assigned[p] >= 0) next[e->assigned[p] + 1]++;
    for (uint32_t i = 0; i < lists; i++) next[i + 1] += next[i];
    uint64_t all = next[lists];
    for (uint64_t p = 0; p < e->source.rows; p++)
        if (e->assigned[p] == OUTLIER) e->order[all++] = (uint32_t)p;
    e->rows = all;
    e->outliers = all - next[lists];
    for (uint64_t p = 0; p < e->source.rows; p++)
        if (e->assigned[p] >= 0) e->order[next[e->assigned[p]]++] = (uint32_t)p;
    kt_free(e->assigned);
    e->assigned = NULL;
    return KITH_OK;
}

/* The lists that have any rows. */
static kith_status list_entries(struct ivf_encoding *e, kith_error *error)
{
    uint32_t lists = e->index->shape.lists;
    for (uint32_t i = 0; i < lists; i++) e->entry_count += e->list_begin[i + 1] > e->list_begin[i];
    e->entries = kt_alloc_array(e->entry_count, sizeof *e->entries);
    if (!e->entries) return kt_fail_memory(error, e->entry_count * sizeof *e->entries);
    for (uint32_t i = 0, at = 0; i < lists; i++) {
        uint32_t rows = (uint32_t)(e->list_begin[i + 1] - e->list_begin[i]);
        if (rows) e->entries[at++] = (struct ivf_entry){ i, rows };
    }
    return KITH_OK;
}

kith_status kt_ivf_encoding_sort(struct ivf_encoding *e, kith_error *error)
{
    kith_status status = sort_rows(e, error);
    return status ? status : list_entries(e, error);
}

/* ---- encoding ---- */

static uint32_t row_offset(const struct ivf_encoding *e, uint32_t position)
{
    return (uint32_t)(kt_source_row(&e->source, position) - e->index->shape.base_row);
}

/* Whether a row is a zero vector, whose cosine distance is 1; `numbers` is scratch. */
static kith_status is_zero_row(const struct ivf_encoding *e, uint32_t position, float *numbers, bool *zero,
                               kith_error *error)
{
    const struct ivf_shape *s = &e->index->shape;
    const void *data = NULL;
    *zero = false;
    if (s->metric != KITH_COSINE) return KITH_OK;
    kith_status status = kt_source_lend(&e->source, position, &data, error);
    if (status || !data) return status;
    kt_kernels()->to_float[s->element](data, s->dim, numbers);
    *zero = true;
    for (uint32_t d = 0; *zero && d < s->dim; d++) *zero = numbers[d] == 0;
    return KITH_OK;
}

/* The codes of the row that the worker holds, its further bits with their factors, and the factors of the
 * first code, rounded. `beside` is added to the distance. */
static void encode_row(const struct kt_index *index, struct ivf_worker *worker, float beside,
                       struct ivf_row *out)
{
    const struct ivf_shape *s = &index->shape;
    struct kt_factors first, all = { 0 };
    float *row = worker->rows;
    for (uint32_t d = 0; d < s->tree_dim; d++) row[d] -= worker->centroid[d];
    if (s->kind == IVF_PQ) {
        kt_pq_encode(&index->pq, row, worker->codes, worker->decoded);
        first = kt_factors_of(row, worker->centroid, worker->decoded, s->tree_dim);
    } else {
        kt_rabitq_encode(s->tree_dim, s->bits, row, worker->centroid, worker->decoded, worker->codes,
                         worker->extra, &first, &all);
    }
    if (index->layout.extra_bytes) {
        all.add += beside;
        kt_factors_round(&all, &index->all, out->factors);
        memcpy(worker->extra + index->layout.extra_bytes - IVF_FACTOR_BYTES, out->factors, IVF_FACTOR_BYTES);
    }
    first.add += beside;
    kt_factors_round(&first, &index->first, out->factors);
    out->codes = worker->codes;
    out->extra = worker->extra;
}

/* The row of a position as it is to lie in the list whose centroid the worker holds; what it points to is
 * valid until the worker's next row. */
static kith_status make_row(const struct ivf_encoding *e, uint32_t position, struct ivf_worker *worker,
                            struct ivf_row *out, kith_error *error)
{
    const void *data = NULL;
    bool zero = false;
    *out = (struct ivf_row){ .offset = row_offset(e, position) };
    if (e->index->shape.kind == IVF_ROWS) {
        kith_status status = kt_source_lend(&e->source, position, &data, error);
        out->numbers = data;
        return status;
    }
    kith_status status = kt_source_load(&e->source, position, 1, worker->rows, worker->there, error);
    if (!status) status = is_zero_row(e, position, worker->decoded, &zero, error);
    if (!status) encode_row(e->index, worker, zero ? 1 : 0, out);
    return status;
}

kith_status kt_ivf_encode_into(const struct ivf_encoding *e, struct ivf_filler *filler, uint32_t list,
                               const uint32_t *positions, uint32_t count, uint32_t number, kith_error *error)
{
    struct ivf_worker *worker = &e->workers[number];
    kith_status status = KITH_OK;
    kt_ivf_centroid(e->index, list, worker->centroid);
    for (uint32_t i = 0; !status && i < count; i++) {
        struct ivf_row row;
        status = make_row(e, positions[i], worker, &row, error);
        if (!status) kt_ivf_put(filler, &row);
    }
    return status;
}

struct ivf_filler kt_ivf_filler(const struct ivf_encoding *e, const struct ivf_form *form, uint8_t *list,
                                uint32_t number)
{
    uint8_t *codes = e->workers[number].codes + e->index->shape.tables;
    return (struct ivf_filler){ .index = e->index, .form = form, .list = list, .codes = codes };
}

/* ---- writing ---- */

static kith_status fill_list(void *context, uint32_t entry, const struct ivf_form *form, uint8_t *list,
                             uint32_t worker, kith_error *error)
{
    const struct ivf_encoding *e = context;
    struct ivf_filler filler = kt_ivf_filler(e, form, list, worker);
    uint32_t number = e->entries[entry].list;
    return kt_ivf_encode_into(e, &filler, number, e->order + e->list_begin[number], form->rows, worker,
                              error);
}

static kith_status fill_outliers(void *context, uint64_t first, uint32_t count, uint8_t *offsets,
                                 uint8_t *rows, kith_error *error)
{
    const struct ivf_encoding *e = context;
    const uint32_t *positions = e->order + (e->rows - e->outliers) + first;
    size_t row_bytes = e->index->layout.row_bytes;
    kith_status status = KITH_OK;
    for (uint32_t r = 0; offsets && r < count; r++) kt_put_u32(offsets + 4 * r, row_offset(e, positions[r]));
    for (uint32_t r = 0; !status && rows && r < count; r++) {
        const void *data = NULL;
        status = kt_source_lend(&e->source, positions[r], &data, error);
        if (!status) memcpy(rows + r * row_bytes, data, row_bytes);
    }
    return status;
}

struct ivf_extent kt_ivf_encoding_extent(const struct ivf_encoding *e, bool is_run, uint64_t row_span)
{
    return (struct ivf_extent){ .is_run = is_run,
                                .entries = e->entry_count,
                                .rows = e->rows,
                                .outliers = e->outliers,
                                .row_span = row_span };
}

kith_status kt_ivf_encoding_write(struct ivf_encoding *e, const struct ivf_extent *extent,
                                  struct kt_sink *sink, kith_error *error)
{
    struct ivf_writing writing = { .index = e->index,
                                   .extent = *extent,
                                   .entries = e->entries,
                                   .context = e,
                                   .fill = fill_list,
                                   .fill_outliers = fill_outliers };
    return kt_ivf_write(&writing, e->work, sink, error);
}
