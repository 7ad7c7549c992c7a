/* Building an IVF index: train on a sample, give every row its list, then encode list by list and write.
 *
 * Factors are stored as halves, in units that follow from how long residuals are: that is measured on a few
 * thousand rows once all have their lists.
 *
 * Always true here: the bytes written are decided by rows, plan and instruction set, whatever the number of
 * threads.
 */
#include <math.h>
#include <stdio.h>

#include "index/ivf/ivf_private.h"

enum { SCALE_ROWS = 4096 /* tell how long residuals are */ };

struct build {
    const struct kt_index_plan *plan;
    struct kt_work *work;
    struct ivf_trained trained;
    struct kt_index index; /* the tree of the new index, which borrows from what was trained */
    uint64_t row_span;
    struct ivf_encoding encoding;
};

/* ---- shape ---- */

static uint32_t tables_of(const struct kt_index_plan *plan, const struct ivf_shape *s)
{
    if (s->kind == IVF_ROWS) return 0;
    if (s->kind == IVF_SIGNS) return s->tree_dim / 4;
    return kt_min_u32(s->dim, plan->num_bits == 8 ? 2 * plan->num_sub_vectors : plan->num_sub_vectors);
}

static kith_status build_shape(struct build *b, const struct kt_vectors *vectors, kith_error *error)
{
    const struct kt_index_plan *plan = b->plan;
    struct ivf_shape *s = &b->index.shape;
    *s = (struct ivf_shape){ .kind = plan->type == KITH_IVF_PQ     ? IVF_PQ
                                     : plan->type == KITH_IVF_FLAT ? IVF_ROWS
                                                                   : IVF_SIGNS,
                             .metric = plan->metric,
                             .element = vectors->element,
                             .dim = vectors->dim,
                             .sub_vectors = plan->num_sub_vectors,
                             .bits = plan->num_bits,
                             .seed = plan->seed + 4 };
    s->tree_dim = kt_space_dim(s->dim, s->metric, s->kind == IVF_SIGNS);
    s->tables = tables_of(plan, s);
    return kt_vectors_range(vectors, &s->base_row, &b->row_span, error);
}

/* What was trained becomes the tree. */
static void settle_tree(struct build *b)
{
    struct ivf_trained *t = &b->trained;
    struct kt_index *index = &b->index;
    index->shape.lists = t->centroids.count;
    index->shape.mesos = t->centroids.meso_count;
    index->shape.beam = t->beam;
    index->shape.longest = t->space.longest;
    index->shape.far_square = t->far_square;
    index->space = t->space;
    index->meso = (struct ivf_bytes){ t->meso_bytes, t->meso_units, t->meso_norms };
    index->centroids = (struct ivf_bytes){ t->bytes, t->units, t->norms };
    index->meso_begin = t->centroids.meso_begin;
    index->pq = t->pq;
    kt_ivf_layout(&index->shape, &index->layout);
}

/* How long residuals are: the root of the mean square of some, zeros not counted, down to a power of two. */
static kith_status measure_scale(struct build *b, kith_error *error)
{
    struct ivf_shape *s = &b->index.shape;
    const struct ivf_encoding *e = &b->encoding;
    uint64_t step = e->source.rows / SCALE_ROWS + 1, count = 0;
    float *row = kt_alloc_array(2 * (size_t)s->tree_dim, sizeof *row), *centroid = row + s->tree_dim;
    kith_status status = row ? KITH_OK : kt_fail_memory(error, 2 * s->tree_dim * sizeof *row);
    uint8_t there;
    double sum = 0;
    int exponent = 1;
    for (uint64_t p = 0; !status && s->kind != IVF_ROWS && p < e->source.rows; p += step) {
        if (e->assigned[p] < 0) continue;
        status = kt_source_load(&e->source, p, 1, row, &there, error);
        if (status) break;
        kt_ivf_centroid(&b->index, (uint32_t)e->assigned[p], centroid);
        for (uint32_t d = 0; d < s->tree_dim; d++) row[d] -= centroid[d];
        double square = kt_space_square(row, s->tree_dim);
        sum += square;
        count += square > 0;
    }
    kt_free(row);
    if (count && isfinite(sum)) (void)frexp(sqrt(sum / (double)count), &exponent);
    exponent--;
    s->scale = exponent < IVF_LEAST_SCALE  ? IVF_LEAST_SCALE
               : exponent > IVF_MOST_SCALE ? IVF_MOST_SCALE
                                           : exponent;
    kt_ivf_units(s, &b->index.first, &b->index.all);
    return status;
}

/* What is known once all rows have their lists. */
static void settle_crowd(struct build *b)
{
    const struct ivf_encoding *e = &b->encoding;
    double rows = 0, squares = 0;
    for (uint32_t i = 0; i < e->entry_count; i++) {
        rows += e->entries[i].rows;
        squares += (double)e->entries[i].rows * e->entries[i].rows;
    }
    float typical = (float)rows / (float)kt_max_u32(1, e->entry_count);
    b->index.shape.thin = b->index.shape.lists - e->entry_count;
    for (uint32_t i = 0; i < e->entry_count; i++)
        b->index.shape.thin += kt_ivf_is_thin(e->entries[i].rows, typical);
    b->index.shape.crowd = rows > 0 ? squares / rows : 0;
    b->index.shape.tree = kt_ivf_tree_hash(&b->index);
}

/* What a user may wonder about. */
static void note_on(const struct build *b, char *to, size_t size)
{
    const struct ivf_shape *s = &b->index.shape;
    int used = 0;
    to[0] = '\0';
    if (s->lists < b->plan->num_partitions)
        used = snprintf(
            to, size, "%u partitions of the %u asked for: %llu training rows hold no more different vectors",
            s->lists, b->plan->num_partitions, (unsigned long long)b->trained.sample_rows);
    if (s->kind == IVF_PQ && s->bits == 8)
        snprintf(to + used, size - (size_t)used, "%s8-bit codes are stored as %u sub-quantisers of 4 bits",
                 used ? "; " : "", s->tables);
}

kith_status kt_ivf_build(const struct kt_index_plan *plan, const struct kt_vectors *vectors,
                         struct kt_work *work, struct kt_sink *sink, json_t **meta, kith_error *error)
{
    struct build b = { .plan = plan, .work = work };
    struct ivf_encoding *e = &b.encoding;
    char note[384];
    kith_status status = build_shape(&b, vectors, error);
    if (!status) status = kt_ivf_train(plan, &b.index.shape, vectors, work, &b.trained, error);
    if (!status) {
        settle_tree(&b);
        status = kt_ivf_encoding_init(e, &b.index, vectors, work, error);
    }
    if (!status) status = kt_ivf_encoding_assign(e, error);
    if (!status) status = measure_scale(&b, error);
    if (!status) status = kt_ivf_encoding_sort(e, error);
    if (!status) {
        settle_crowd(&b);
        struct ivf_extent extent = kt_ivf_encoding_extent(e, false, b.row_span);
        status = kt_ivf_encoding_write(e, &extent, sink, error);
        note_on(&b, note, sizeof note);
        if (!status) status = kt_ivf_describe(&b.index, &extent, note, meta, error);
    }
    kt_ivf_encoding_release(e);
    kt_ivf_trained_release(&b.trained);
    return status;
}
