/* The nearest centroid of many rows: by tiles of products, the smallest of each row taken while its tile is
 * still in the first-level cache, so that no matrix of rows x centroids is ever written.
 *
 * |x - c|^2 is ranked as |c|^2 - 2 x.c. That loses digits when rows lie far from the origin compared with
 * their distances from each other; who cares moves the origin to the rows' mean first (the IVF index does).
 *
 * A tree is searched in two steps, the `beam` nearest meso clusters of each row and then their centroids; the
 * rows of a call are grouped by meso cluster, so that this too is work on tiles. With beam >= meso_count the
 * tree gives what kt_nearest() gives.
 *
 * Always true here: equal scores go to the smaller number; a row's answer does not depend on the thread that
 * computes it, only (in the last bits of a sum) on its place in the call.
 */
#include "learn/learn.h"

#include <math.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "kernels/kernels.h"
#include "learn/learn_private.h"

enum {
    TILE_ROWS = 32,
    TILE_CENTROIDS = 64,     /* with TILE_ROWS: 8 KiB of products */
    TILE_FLOATS = 48 * 1024, /* of centroids: 192 KiB, to stay in a second-level cache while all rows pass */
    LANES = 8,
    NEAREST_ROWS = 256
};

/* The smallest of count scores, eight lanes at a time; branch-free, so that the compiler makes vectors of it.
 */
static void lowest_score(const float *norms, const float *products, uint32_t count, uint32_t first,
                         float *score, uint32_t *number)
{
    float least[LANES];
    uint32_t at[LANES];
    for (int l = 0; l < LANES; l++) {
        least[l] = INFINITY;
        at[l] = 0;
    }
    uint32_t j = 0;
    for (; j + LANES <= count; j += LANES) {
        for (uint32_t l = 0; l < LANES; l++) {
            float s = norms[j + l] - 2.0f * products[j + l];
            uint32_t less = s < least[l] ? 0xffffffffu : 0;
            least[l] = s < least[l] ? s : least[l];
            at[l] = (j & less) | (at[l] & ~less);
        }
    }
    float best = INFINITY;
    uint32_t best_at = 0;
    for (uint32_t l = 0; l < LANES; l++) {
        if (!(least[l] < best || (least[l] == best && at[l] + l < best_at))) continue;
        best = least[l];
        best_at = at[l] + l;
    }
    for (; j < count; j++) {
        float s = norms[j] - 2.0f * products[j];
        if (!(s < best)) continue;
        best = s;
        best_at = j;
    }
    if (best < *score) {
        *score = best;
        *number = first + best_at;
    }
}

void kt_nearest_lower(const struct nearest_set *set, const float *rows, uint32_t count, float *scores,
                      uint32_t *numbers)
{
    float products[TILE_ROWS * TILE_CENTROIDS];
    const struct kt_kernels *kernels = kt_kernels();
    uint32_t dim = set->dim;
    uint32_t step =
        kt_max_u32(LANES, kt_min_u32(TILE_CENTROIDS, TILE_FLOATS / kt_max_u32(dim, 1) / LANES * LANES));
    for (uint32_t c = 0; c < set->count; c += step) {
        uint32_t nc = kt_min_u32(step, set->count - c);
        for (uint32_t r = 0; r < count; r += TILE_ROWS) {
            uint32_t nr = kt_min_u32(TILE_ROWS, count - r);
            kernels->dot_tile(rows + (size_t)r * dim, nr, dim, set->values + (size_t)c * dim, nc, dim, dim,
                              products, TILE_CENTROIDS);
            for (uint32_t i = 0; i < nr; i++)
                lowest_score(set->norms + c, products + (size_t)i * TILE_CENTROIDS, nc, set->first + c,
                             &scores[r + i], &numbers[r + i]);
        }
    }
}

void kt_square_norms(const float *rows, uint64_t count, uint32_t dim, float *norms)
{
    const struct kt_kernels *kernels = kt_kernels();
    for (uint64_t i = 0; i < count; i++) norms[i] = kernels->norm[KITH_F32](rows + i * dim, dim);
}

static void nearest_begin(uint32_t count, float *scores, uint32_t *numbers)
{
    for (uint32_t i = 0; i < count; i++) {
        scores[i] = INFINITY;
        numbers[i] = 0;
    }
}

static void scores_to_distances(const float *rows, uint32_t count, uint32_t dim, const float *scores,
                                float *distances)
{
    kt_square_norms(rows, count, dim, distances);
    for (uint32_t i = 0; i < count; i++) distances[i] = fmaxf(0.0f, distances[i] + scores[i]);
}

void kt_nearest(const float *centroids, uint32_t centroid_count, uint32_t dim, const float *rows,
                uint64_t count, uint32_t *nearest, float *distances)
{
    float scores[NEAREST_ROWS], norms[TILE_CENTROIDS];
    for (uint64_t r = 0; r < count; r += NEAREST_ROWS) {
        uint32_t nr = (uint32_t)kt_min_u64(NEAREST_ROWS, count - r);
        nearest_begin(nr, scores, nearest + r);
        for (uint32_t c = 0; c < centroid_count; c += TILE_CENTROIDS) {
            uint32_t nc = kt_min_u32(TILE_CENTROIDS, centroid_count - c);
            const float *values = centroids + (size_t)c * dim;
            kt_square_norms(values, nc, dim, norms);
            kt_nearest_lower(&(struct nearest_set){ values, norms, nc, dim, c }, rows + r * dim, nr, scores,
                             nearest + r);
        }
        if (distances) scores_to_distances(rows + r * dim, nr, dim, scores, distances + r);
    }
}

/* ---- through a tree ---- */

/* The scratch of one call over at most NEAREST_ROWS rows. */
struct descent {
    float *products;       /* NEAREST_ROWS * meso_count */
    uint32_t *beams;       /* NEAREST_ROWS * beam: the meso clusters of each row */
    uint32_t *group;       /* the rows, grouped by meso cluster */
    uint32_t *group_begin; /* meso_count + 1 */
    float *rows;           /* NEAREST_ROWS * dim: those of one meso cluster */
    float *scores;
    uint32_t *numbers;
};

static bool descent_take(struct descent *to, const struct kt_tree *tree, uint32_t beam,
                         struct kt_arena *scratch)
{
    to->products = kt_arena_take(scratch, (size_t)NEAREST_ROWS * tree->meso_count, sizeof(float));
    to->beams = kt_arena_take(scratch, (size_t)NEAREST_ROWS * beam, sizeof(uint32_t));
    to->group = kt_arena_take(scratch, (size_t)NEAREST_ROWS * beam, sizeof(uint32_t));
    to->group_begin = kt_arena_take(scratch, (size_t)tree->meso_count + 1, sizeof(uint32_t));
    to->rows = kt_arena_take(scratch, (size_t)NEAREST_ROWS * tree->dim, sizeof(float));
    to->scores = kt_arena_take(scratch, NEAREST_ROWS, sizeof(float));
    to->numbers = kt_arena_take(scratch, NEAREST_ROWS, sizeof(uint32_t));
    return to->products && to->beams && to->group && to->group_begin && to->rows && to->scores && to->numbers;
}

/* The `beam` meso clusters with the smallest scores. `scores` is used up. */
static void pick_beam(float *scores, uint32_t count, uint32_t beam, uint32_t *out)
{
    for (uint32_t b = 0; b < beam; b++) {
        float score = INFINITY;
        uint32_t number = 0;
        for (uint32_t m = 0; m < count; m++) {
            if (!(scores[m] < score)) continue;
            score = scores[m];
            number = m;
        }
        scores[number] = INFINITY;
        out[b] = number;
    }
}

static void pick_beams(const struct kt_tree *tree, uint32_t beam, const float *rows, uint32_t count,
                       struct descent *d)
{
    uint32_t mesos = tree->meso_count;
    kt_kernels()->dot_tile(rows, count, tree->dim, tree->meso, mesos, tree->dim, tree->dim, d->products,
                           mesos);
    for (uint32_t i = 0; i < count; i++) {
        float *scores = d->products + (size_t)i * mesos;
        for (uint32_t m = 0; m < mesos; m++) scores[m] = tree->meso_norms[m] - 2.0f * scores[m];
        pick_beam(scores, mesos, beam, d->beams + (size_t)i * beam);
    }
}

/* A counting sort of (row, meso cluster) pairs by meso cluster; rows ascend within one. */
static void group_by_meso(uint32_t mesos, uint32_t beam, uint32_t count, struct descent *d)
{
    memset(d->group_begin, 0, ((size_t)mesos + 1) * sizeof *d->group_begin);
    for (uint32_t i = 0; i < count * beam; i++) d->group_begin[d->beams[i] + 1]++;
    for (uint32_t m = 0; m < mesos; m++) d->group_begin[m + 1] += d->group_begin[m];
    for (uint32_t i = 0; i < count * beam; i++) d->group[d->group_begin[d->beams[i]]++] = i / beam;
    for (uint32_t m = mesos; m > 0; m--) d->group_begin[m] = d->group_begin[m - 1];
    d->group_begin[0] = 0;
}

static void descend(const struct kt_tree *tree, uint32_t meso, const float *rows, struct descent *d,
                    float *scores, uint32_t *nearest)
{
    const uint32_t *members = d->group + d->group_begin[meso];
    uint32_t count = d->group_begin[meso + 1] - d->group_begin[meso];
    uint32_t first = tree->meso_begin[meso];
    size_t row_bytes = (size_t)tree->dim * sizeof(float);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(d->rows + (size_t)i * tree->dim, rows + (size_t)members[i] * tree->dim, row_bytes);
        d->scores[i] = scores[members[i]];
        d->numbers[i] = nearest[members[i]];
    }
    kt_nearest_lower(&(struct nearest_set){ tree->values + (size_t)first * tree->dim, tree->norms + first,
                                            tree->meso_begin[meso + 1] - first, tree->dim, first },
                     d->rows, count, d->scores, d->numbers);
    for (uint32_t i = 0; i < count; i++) {
        scores[members[i]] = d->scores[i];
        nearest[members[i]] = d->numbers[i];
    }
}

kith_status kt_tree_nearest(const struct kt_tree *tree, uint32_t beam, const float *rows, uint64_t count,
                            struct kt_arena *scratch, uint32_t *nearest, float *distances, kith_error *error)
{
    struct descent d = { 0 };
    float scores[NEAREST_ROWS];
    bool all = beam >= tree->meso_count;
    if (!all && !descent_take(&d, tree, beam, scratch))
        return kt_fail_memory(error, (size_t)NEAREST_ROWS * tree->dim * sizeof(float));
    for (uint64_t r = 0; r < count; r += NEAREST_ROWS) {
        uint32_t nr = (uint32_t)kt_min_u64(NEAREST_ROWS, count - r);
        const float *some = rows + r * tree->dim;
        nearest_begin(nr, scores, nearest + r);
        if (all) {
            kt_nearest_lower(&(struct nearest_set){ tree->values, tree->norms, tree->count, tree->dim, 0 },
                             some, nr, scores, nearest + r);
        } else {
            pick_beams(tree, beam, some, nr, &d);
            group_by_meso(tree->meso_count, beam, nr, &d);
            for (uint32_t m = 0; m < tree->meso_count; m++) descend(tree, m, some, &d, scores, nearest + r);
        }
        if (distances) scores_to_distances(some, nr, tree->dim, scores, distances + r);
    }
    return KITH_OK;
}

uint32_t kt_tree_beam(uint32_t meso_count)
{
    return meso_count <= 16 ? meso_count : kt_max_u32(8, meso_count / 8);
}
