/* What the files of learn share: the fused step "products of a tile, then the nearest of each row". */
#ifndef KT_LEARN_PRIVATE_H
#define KT_LEARN_PRIVATE_H

#include <stdint.h>

/* A run of centroids with the squares of their lengths. Borrowed. */
struct nearest_set {
    const float *values; /* count * dim */
    const float *norms;  /* count */
    uint32_t count;
    uint32_t dim;
    uint32_t first; /* the number of the first one */
};

/** Lowers `scores` (|c|^2 - 2 x.c) and sets `numbers` wherever a centroid of `set` is nearer than what stands
 * there. At equal scores what stands there stays: offer the sets by ascending numbers. */
void kt_nearest_lower(const struct nearest_set *set, const float *rows, uint32_t count, float *scores,
                      uint32_t *numbers);

#endif
