/* Learning from vectors: samples and k-means. Deterministic by seed, for any number of threads, on one
 * instruction set. */
#ifndef KT_LEARN_LEARN_H
#define KT_LEARN_LEARN_H

#include "base/alloc.h"
#include "base/status.h"
#include "parallel/parallel.h"

struct kt_kmeans {
    uint32_t dim;
    uint32_t clusters;       /* wanted; what was made may be fewer: never more than distinct rows */
    uint32_t max_iterations; /* of each level; it stops earlier when few rows change cluster */
    uint64_t seed;
    bool two_levels; /* sqrt(clusters) meso clusters first, then each on its own: for many clusters */
};

/* What came out. Centroids of one meso cluster lie next to each other. Freed with kt_centroids_release(). */
struct kt_centroids {
    float *values; /* count * dim, 64-byte aligned */
    uint32_t count;
    uint32_t dim;
    float *meso; /* meso_count * dim: the means of the meso clusters; one over all where there is one level */
    uint32_t meso_count;
    uint32_t *meso_begin; /* meso_count + 1: centroids [meso_begin[m], meso_begin[m + 1]) are m's */
};
void kt_centroids_release(struct kt_centroids *centroids);

/** Clusters `count` rows of dim floats. Empty clusters are re-seeded from the largest ones. */
kith_status kt_kmeans_train(const struct kt_kmeans *options, const float *rows, uint64_t count,
                            struct kt_work *work, struct kt_centroids *out, kith_error *error);

/** The nearest centroid (l2) of each of `count` rows, ties to the smaller number; `distances` (squared) may
 * be NULL. One thread. */
void kt_nearest(const float *centroids, uint32_t centroid_count, uint32_t dim, const float *rows,
                uint64_t count, uint32_t *nearest, float *distances);

/* Centroids that are found through their meso clusters. Borrowed: from a kt_centroids, or from an index file.
 */
struct kt_tree {
    const float *values; /* count * dim */
    const float *norms;  /* count: squares of their lengths */
    const float *meso;   /* meso_count * dim */
    const float *meso_norms;
    const uint32_t *meso_begin; /* meso_count + 1 */
    uint32_t count, dim, meso_count;
};
/** As kt_nearest(), among the centroids of the `beam` nearest meso clusters of each row; among all when beam
 * >= meso_count. */
kith_status kt_tree_nearest(const struct kt_tree *tree, uint32_t beam, const float *rows, uint64_t count,
                            struct kt_arena *scratch, uint32_t *nearest, float *distances, kith_error *error);
/** The beam that rows are assigned with. */
uint32_t kt_tree_beam(uint32_t meso_count);
/** Squares of the lengths of `count` rows. */
void kt_square_norms(const float *rows, uint64_t count, uint32_t dim, float *norms);

/** `wanted` distinct numbers below `count`, ascending; all of them when count <= wanted. `out` has room for
 * `wanted`. */
uint64_t kt_sample(uint64_t count, uint64_t wanted, uint64_t seed, uint64_t *out);

/* A random rotation (learn_rotate.c), made from a seed. */
struct kt_rotation {
    uint32_t dim; /* a multiple of 64 */
    uint32_t log_power;
    float *signs;
};
/** The number of dimensions that vectors of `dim` have after a rotation: zeros are appended before it. */
uint32_t kt_rotation_dim(uint32_t dim);
kith_status kt_rotation_init(uint32_t dim, uint64_t seed, struct kt_rotation *out, kith_error *error);
void kt_rotation_release(struct kt_rotation *rotation);
/** Rotates kt_rotation_dim() numbers in place. */
void kt_rotate(const struct kt_rotation *rotation, float *values);

#endif
