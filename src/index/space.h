/* Rows and queries as the learned part of an index sees them: floats, in a space where the square of the
 * euclidean distance orders rows as the metric does. And the rows of a table by position, or cut down to
 * some. */
#ifndef KT_INDEX_SPACE_H
#define KT_INDEX_SPACE_H

#include "index/index.h"
#include "learn/learn.h"

struct kt_space {
    kith_metric metric;
    kith_element element;
    uint32_t dim;       /* of the column */
    uint32_t space_dim; /* of the space */
    bool rotates;
    struct kt_rotation rotation; /* when it rotates */
    const float *mean;           /* before the rotation; NULL: none is taken off */
    double longest;              /* dot: the square that rows are made up to; 0: not known yet */
};
uint32_t kt_space_dim(uint32_t dim, kith_metric metric, bool rotates);
/** Numbers as a column holds them into the space. `is_row`: rows are brought to one length by a number
 * more where the metric is dot, queries by a factor. `out` has space_dim floats. */
void kt_to_space(const struct kt_space *space, const void *numbers, kith_element element, bool is_row,
                 float *out);
/** The square of a vector's length, where a float cannot hold it too; NaN or infinite only where it is. */
double kt_space_square(const float *vector, uint32_t dim);
/** By what a query is multiplied to be as long as rows are, where the metric is dot; 1 for others, and where
 * nothing makes it long. */
float kt_space_query_scale(const struct kt_space *space, const float *query);
/** The square of a distance in the space from the metric's own distance to a query of that scale. */
float kt_space_distance(const struct kt_space *space, float query_scale, float distance);

/* ---- rows of a table by position ---- */

/** The first row id, and from there to behind the last; 0 where there are no rows. KITH_UNSUPPORTED when they
 * are more than 32 bits tell apart. */
kith_status kt_vectors_range(const struct kt_vectors *vectors, uint64_t *base_row, uint64_t *row_span,
                             kith_error *error);

struct kt_source {
    const struct kt_vectors *vectors;
    const struct kt_space *space;
    uint64_t rows;       /* positions 0 .. rows-1: the rows of all runs, one after another */
    uint64_t *run_begin; /* run_count + 1 positions */
};
kith_status kt_source_init(struct kt_source *source, const struct kt_vectors *vectors,
                           const struct kt_space *space, kith_error *error);
void kt_source_release(struct kt_source *source);
uint64_t kt_source_row(const struct kt_source *source, uint64_t position);
/** Lends the stored numbers of one position; NULL for a null vector. */
kith_status kt_source_lend(const struct kt_source *source, uint64_t position, const void **out,
                           kith_error *error);
/** Positions [begin, begin + count) in the space into `out` (count * space_dim) and, a byte each, whether
 * there is a vector; a null one reads as zeros. */
kith_status kt_source_load(const struct kt_source *source, uint64_t begin, uint32_t count, float *out,
                           uint8_t *there, kith_error *error);

/* ---- some rows of a table ---- */

/* Vectors of some intervals of row ids alone; borrows from the vectors they were cut from. */
struct kt_cut {
    struct kt_vectors vectors;
    struct kt_clip *clips;
};
/** `rows` are sorted and disjoint. Release it after a failure too. */
kith_status kt_cut_init(struct kt_cut *cut, const struct kt_vectors *vectors, const struct kt_rows *rows,
                        uint32_t count, kith_error *error);
void kt_cut_release(struct kt_cut *cut);

#endif
