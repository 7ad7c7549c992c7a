/* What the files of ivf share: the shape of an index, its open form, and rows as the tree sees them. */
#ifndef KT_INDEX_IVF_PRIVATE_H
#define KT_INDEX_IVF_PRIVATE_H

#include "index/index.h"
#include "learn/learn.h"
#include "quant/quant.h"

/* The numbers that decide where everything in an index file lies (ivf_store.c draws it). */
struct ivf_shape {
    bool pq; /* codes; else the rows themselves */
    kith_metric metric;
    kith_element element;
    uint32_t dim;
    uint32_t tree_dim;    /* dim, or the bits of a row where the metric is hamming */
    uint32_t tables;      /* 4-bit sub-quantisers; 0 without codes */
    uint32_t sub_vectors; /* as the user counts them */
    uint32_t bits;
    uint32_t lists;
    uint32_t mesos;
    uint32_t beam;     /* meso clusters that assigning a row looked into */
    uint64_t rows;     /* of all lists, and the outliers */
    uint64_t outliers; /* rows that are in no list: every search reads them as they are */
    uint64_t base_row; /* rows are stored as u32 from here */
    uint64_t row_span; /* every stored offset is below this */
    uint64_t blocks;
};

struct ivf_layout { /* byte offsets in the file; sizes where they are used twice */
    uint64_t mean, meso, meso_norms, meso_begin, centroids, norms, codebook, directory, lists, outliers, end;
    uint64_t block_bytes;     /* of a list */
    uint64_t row_block_bytes; /* of outliers, and of a list without codes */
    uint64_t codes_bytes;     /* in a block, padded: where the corrections begin */
};
void kt_ivf_layout(const struct ivf_shape *shape, struct ivf_layout *out);

struct ivf_list {
    uint64_t first_block;
    uint32_t rows;
};

/* An open index: borrowed sections of its file, and the codebook in both its forms. */
struct kt_index {
    struct kt_view_file *file;
    struct ivf_shape shape;
    struct ivf_layout layout;
    struct kt_tree tree;
    const float *mean;
    const uint8_t *directory;
    struct kt_pq pq;
};
struct ivf_list kt_ivf_list(const struct kt_index *index, uint32_t list);

/* What a writer has in hand before the lists. */
struct ivf_head {
    struct ivf_shape shape;
    const float *mean;
    const struct kt_centroids *centroids;
    const float *norms, *meso_norms;
    const struct kt_pq *pq;
    const uint64_t *list_begin; /* lists + 1: rows before each list */
};
/** Writes everything before the lists. */
kith_status kt_ivf_write_head(const struct ivf_head *head, struct kt_sink *sink, kith_error *error);

kith_status kt_ivf_open(struct kt_view_file *file, struct kt_index **out, kith_error *error);
void kt_ivf_close(struct kt_index *index);

/* ---- rows as the tree sees them: floats, of unit length for cosine, bits for hamming, less the mean ---- */

struct ivf_source {
    const struct kt_vectors *vectors;
    kith_metric metric;
    uint32_t tree_dim;
    const float *mean;   /* NULL: none is taken off */
    uint64_t rows;       /* positions 0 .. rows-1: the rows of all runs, one after another */
    uint64_t *run_begin; /* run_count + 1 positions */
};
kith_status kt_ivf_source_init(struct ivf_source *source, const struct kt_vectors *vectors,
                               kith_metric metric, kith_error *error);
void kt_ivf_source_release(struct ivf_source *source);
uint64_t kt_ivf_source_row(const struct ivf_source *source, uint64_t position);
/** Positions [begin, begin + count) into `out` (count * tree_dim) and, a byte each, whether there is a
 * vector; a null one reads as zeros. */
kith_status kt_ivf_source_load(const struct ivf_source *source, uint64_t begin, uint32_t count, float *out,
                               uint8_t *there, kith_error *error);
/** One vector of dim floats, as given by a user, the same way. `out` has tree_dim floats. */
void kt_ivf_to_tree(const float *vector, uint32_t dim, kith_metric metric, const float *mean, float *out);
/** The square of a row's length, where a float cannot hold it too; NaN or infinite only where the row is. */
double kt_ivf_square(const float *row, uint32_t tree_dim);
uint32_t kt_ivf_tree_dim(uint32_t dim, kith_metric metric);

/* ---- the operations ---- */

kith_status kt_ivf_plan_flat(struct kt_index_plan *plan, uint32_t dim, kith_element element, uint64_t rows,
                             kith_error *error);
kith_status kt_ivf_plan_pq(struct kt_index_plan *plan, uint32_t dim, kith_element element, uint64_t rows,
                           kith_error *error);
kith_status kt_ivf_build(const struct kt_index_plan *plan, const struct kt_vectors *vectors,
                         struct kt_work *work, struct kt_sink *sink, json_t **meta, kith_error *error);
kith_status kt_ivf_search(const struct kt_index *index, const struct kt_vectors *vectors,
                          const struct kt_index_query *query, struct kt_arena *scratch, struct kt_top *top,
                          struct kt_index_stats *stats, kith_error *error);

#endif
