/* k-means (Lloyd), on one level or two.
 *
 * With two levels, sqrt(K) meso clusters are learned from a part of the rows, every row goes to its nearest
 * one, and each meso cluster is split on its own into a share of K proportional to its rows: K * sqrt(K)
 * products a row instead of K * K. Rows near a border between meso clusters suffer from it; two more rounds
 * in which every row may choose among the centroids of several meso clusters repair most of that.
 *
 * All levels are one loop over "positions": position p stands for row order[p], positions of a segment (a
 * meso cluster) lie together, and a position chooses among its segment's centroids. One level is one segment.
 *
 * The new centroids are computed cluster by cluster from the sorted assignment, each by one thread in the
 * order of positions: so sums do not depend on the number of threads, and no thread needs K * dim sums of its
 * own.
 *
 * Always true here:
 *   - the result is decided by rows, options and instruction set: never by threads or time;
 *   - seeds are distinct rows, so that K is cut to the number of distinct rows and not below it;
 *   - a cluster left empty takes the farthest row of the largest cluster of its segment that has spread, or,
 * when there is none, stays where it was.
 */
#include "learn/learn.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "learn/learn_private.h"

enum {
    CHUNK_ROWS = 256,
    MESO_SAMPLE = 256,   /* rows a meso cluster is learned from */
    SETTLED_SHARE = 200, /* stop when fewer than one row in 200 changes its cluster */
    REFINE_ROUNDS = 2,
    SUM_ROWS = 256, /* rows added up before they join the sum of all: keeps small addends from drowning */
    DEFAULT_ITERATIONS = 25,
    STEP_UNITS = 1000 /* progress units of one round */
};

/* ---- progress: rounds of many loops as one bar ---- */

struct rounds {
    struct kt_work work; /* what the loops get */
    struct kt_work *outer;
    uint64_t done, total;
};

static int rounds_progress(const kith_progress *progress, void *user)
{
    struct rounds *rounds = user;
    uint64_t part = progress->total ? progress->done * STEP_UNITS / progress->total : 0;
    return kt_work_tick(rounds->outer, "train", rounds->done * STEP_UNITS + part, rounds->total * STEP_UNITS,
                        NULL) != KITH_OK;
}

static void rounds_begin(struct rounds *rounds, struct kt_work *outer, uint64_t total)
{
    *rounds = (struct rounds){ .outer = outer, .total = total };
    rounds->work.threads = outer ? outer->threads : 0;
    rounds->work.user = rounds;
    if (outer && outer->progress) rounds->work.progress = rounds_progress;
}

/* ---- distinct rows, by a hash of their bytes ---- */

struct seen { /* open addressing; 0 is an empty slot */
    uint64_t *slots;
    uint64_t mask;
};

static bool seen_init(struct seen *seen, uint64_t most)
{
    uint64_t size = 16;
    while (size < 2 * most) size *= 2;
    seen->slots = kt_alloc_zero(size, sizeof *seen->slots);
    seen->mask = size - 1;
    return seen->slots != NULL;
}

static bool seen_add(struct seen *seen, uint64_t hash) /* whether it is new */
{
    hash += !hash;
    for (uint64_t at = hash & seen->mask;; at = (at + 1) & seen->mask) {
        if (seen->slots[at] == hash) return false;
        if (seen->slots[at]) continue;
        seen->slots[at] = hash;
        return true;
    }
}

struct hashing {
    const float *rows;
    uint32_t dim;
    uint64_t *hashes;
};

static kith_status hash_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker, kith_error *error)
{
    struct hashing *h = context;
    (void)worker, (void)error;
    for (uint64_t i = begin; i < end; i++)
        h->hashes[i] = kt_hash(h->rows + i * h->dim, h->dim * sizeof(float));
    return KITH_OK;
}

/* ---- Lloyd's loop ---- */

struct lloyd {
    const float *rows;
    uint32_t dim;
    uint64_t count;        /* positions */
    const uint32_t *order; /* the row of each position; NULL: its own number */
    uint32_t segments;
    const uint64_t *segment_begin;  /* segments + 1 positions */
    const uint32_t *centroid_begin; /* segments + 1 centroids */
    float *centroids, *norms;
    const struct kt_tree *tree; /* not NULL: positions choose through the tree, by `beam` */
    uint32_t beam;

    uint32_t *nearest;       /* by position */
    float *distances;        /* by position, squared */
    uint32_t *members;       /* positions, those of one centroid together */
    uint64_t *member_begin;  /* centroids + 1 */
    float *scratch;          /* of each worker, CHUNK_ROWS * dim */
    struct kt_arena *arenas; /* of each worker */
    uint32_t workers;
    _Atomic uint64_t moved;
};

static uint32_t lloyd_centroids(const struct lloyd *l)
{
    return l->centroid_begin[l->segments];
}

static const float *lloyd_row(const struct lloyd *l, uint64_t position)
{
    return l->rows + (l->order ? l->order[position] : position) * (size_t)l->dim;
}

static void lloyd_release(struct lloyd *l)
{
    kt_free(l->nearest);
    kt_free(l->distances);
    kt_free(l->members);
    kt_free(l->member_begin);
    kt_free(l->scratch);
    for (uint32_t i = 0; l->arenas && i < l->workers; i++) kt_arena_release(&l->arenas[i]);
    kt_free(l->arenas);
}

static kith_status lloyd_take(struct lloyd *l, const struct kt_work *work, kith_error *error)
{
    size_t scratch;
    l->workers = kt_work_threads(work);
    if (__builtin_mul_overflow((size_t)l->workers * CHUNK_ROWS, (size_t)l->dim * sizeof(float), &scratch))
        return kt_fail_memory(error, SIZE_MAX);
    l->nearest = kt_alloc_array(l->count, sizeof *l->nearest);
    l->distances = kt_alloc_array(l->count, sizeof *l->distances);
    l->members = kt_alloc_array(l->count, sizeof *l->members);
    l->member_begin = kt_alloc_array((size_t)lloyd_centroids(l) + 1, sizeof *l->member_begin);
    l->scratch = kt_alloc_aligned(scratch);
    l->arenas = kt_alloc_zero(l->workers, sizeof *l->arenas);
    if (l->nearest && l->distances && l->members && l->member_begin && l->scratch && l->arenas) {
        memset(l->nearest, 0xff, l->count * sizeof *l->nearest);
        return KITH_OK;
    }
    return kt_fail_memory(error, l->count * 12 + scratch);
}

static uint32_t segment_of(const struct lloyd *l, uint64_t position)
{
    uint32_t low = 0, high = l->segments;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (l->segment_begin[middle] <= position)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static const float *gather(const struct lloyd *l, uint64_t begin, uint64_t end, float *scratch)
{
    if (!l->order) return l->rows + begin * l->dim;
    for (uint64_t p = begin; p < end; p++)
        memcpy(scratch + (p - begin) * l->dim, lloyd_row(l, p), l->dim * sizeof(float));
    return scratch;
}

/* Positions [begin, end) of one segment. */
static void choose_in_segment(const struct lloyd *l, uint32_t segment, const float *rows, uint32_t count,
                              uint32_t *numbers, float *distances)
{
    uint32_t first = l->centroid_begin[segment];
    for (uint32_t i = 0; i < count; i++) {
        distances[i] = INFINITY;
        numbers[i] = first;
    }
    kt_nearest_lower(&(struct nearest_set){ l->centroids + (size_t)first * l->dim, l->norms + first,
                                            l->centroid_begin[segment + 1] - first, l->dim, first },
                     rows, count, distances, numbers);
    for (uint32_t i = 0; i < count; i++) {
        float square;
        kt_square_norms(rows + (size_t)i * l->dim, 1, l->dim, &square);
        distances[i] = fmaxf(0.0f, distances[i] + square);
    }
}

static kith_status assign_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                                kith_error *error)
{
    struct lloyd *l = context;
    uint32_t numbers[CHUNK_ROWS];
    float *scratch = l->scratch + (size_t)worker * CHUNK_ROWS * l->dim;
    uint64_t moved = 0;
    for (uint64_t p = begin, stop; p < end; p = stop) {
        uint32_t segment = segment_of(l, p);
        stop = kt_min_u64(end, l->segment_begin[segment + 1]);
        uint32_t count = (uint32_t)(stop - p);
        const float *rows = gather(l, p, stop, scratch);
        if (l->tree) {
            kith_status status = kt_tree_nearest(l->tree, l->beam, rows, count, &l->arenas[worker], numbers,
                                                 l->distances + p, error);
            kt_arena_clear(&l->arenas[worker]);
            if (status) return status;
        } else {
            choose_in_segment(l, segment, rows, count, numbers, l->distances + p);
        }
        for (uint32_t i = 0; i < count; i++) {
            moved += l->nearest[p + i] != numbers[i];
            l->nearest[p + i] = numbers[i];
        }
    }
    atomic_fetch_add(&l->moved, moved);
    return KITH_OK;
}

/* Sorts positions by what they chose; those of one group stay in order. begin: groups + 1. */
static void group_positions(const uint32_t *chosen, uint64_t count, uint32_t groups, uint32_t *out,
                            uint64_t *begin)
{
    memset(begin, 0, ((size_t)groups + 1) * sizeof *begin);
    for (uint64_t p = 0; p < count; p++) begin[chosen[p] + 1]++;
    for (uint32_t g = 0; g < groups; g++) begin[g + 1] += begin[g];
    for (uint64_t p = 0; p < count; p++) out[begin[chosen[p]]++] = (uint32_t)p;
    for (uint32_t g = groups; g > 0; g--) begin[g] = begin[g - 1];
    begin[0] = 0;
}

static void add_row(float *sum, const float *row, uint32_t dim)
{
    for (uint32_t d = 0; d < dim; d++) sum[d] += row[d];
}

static void mean_of_cluster(const struct lloyd *l, uint32_t c, float *scratch)
{
    uint64_t begin = l->member_begin[c], end = l->member_begin[c + 1];
    float *sum = scratch, *part = scratch + l->dim;
    if (begin == end) return;
    memset(sum, 0, l->dim * sizeof *sum);
    for (uint64_t i = begin; i < end;) {
        uint64_t stop = kt_min_u64(end, i + SUM_ROWS);
        memset(part, 0, l->dim * sizeof *part);
        for (; i < stop; i++) add_row(part, lloyd_row(l, l->members[i]), l->dim);
        add_row(sum, part, l->dim);
    }
    float share = 1.0f / (float)(end - begin);
    float *centroid = l->centroids + (size_t)c * l->dim;
    for (uint32_t d = 0; d < l->dim; d++) centroid[d] = sum[d] * share;
}

static kith_status update_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                                kith_error *error)
{
    struct lloyd *l = context;
    (void)error;
    float *scratch = l->scratch + (size_t)worker * CHUNK_ROWS * l->dim;
    for (uint32_t c = (uint32_t)begin; c < end; c++) mean_of_cluster(l, c, scratch);
    kt_square_norms(l->centroids + begin * l->dim, end - begin, l->dim, l->norms + begin);
    return KITH_OK;
}

/* The position farthest from centroid c that chose it; UINT64_MAX when none is away from it. */
static uint64_t farthest_member(const struct lloyd *l, uint32_t c)
{
    uint64_t found = UINT64_MAX;
    float distance = 0;
    for (uint64_t i = l->member_begin[c]; i < l->member_begin[c + 1]; i++) {
        if (!(l->distances[l->members[i]] > distance)) continue;
        distance = l->distances[l->members[i]];
        found = l->members[i];
    }
    return found;
}

/* Fills the empty clusters of one segment; `sizes` is used up: a donor counts half from then on. */
static void reseed_segment(struct lloyd *l, uint32_t segment, uint64_t *sizes)
{
    uint32_t begin = l->centroid_begin[segment], end = l->centroid_begin[segment + 1];
    for (uint32_t empty = begin; empty < end; empty++) {
        if (l->member_begin[empty] != l->member_begin[empty + 1]) continue;
        for (;;) {
            uint32_t donor = begin;
            for (uint32_t c = begin; c < end; c++)
                if (sizes[c] > sizes[donor]) donor = c;
            if (sizes[donor] < 2) return;
            uint64_t position = farthest_member(l, donor);
            sizes[donor] = position == UINT64_MAX ? 0 : sizes[donor] / 2;
            if (position == UINT64_MAX) continue;
            l->distances[position] = 0; /* taken */
            memcpy(l->centroids + (size_t)empty * l->dim, lloyd_row(l, position), l->dim * sizeof(float));
            kt_square_norms(l->centroids + (size_t)empty * l->dim, 1, l->dim, l->norms + empty);
            break;
        }
    }
}

static kith_status reseed(struct lloyd *l, kith_error *error)
{
    uint32_t centroids = lloyd_centroids(l), empty = 0;
    for (uint32_t c = 0; c < centroids; c++) empty += l->member_begin[c] == l->member_begin[c + 1];
    if (!empty) return KITH_OK;
    uint64_t *sizes = kt_alloc_array(centroids, sizeof *sizes);
    if (!sizes) return kt_fail_memory(error, centroids * sizeof *sizes);
    for (uint32_t c = 0; c < centroids; c++) sizes[c] = l->member_begin[c + 1] - l->member_begin[c];
    for (uint32_t s = 0; s < l->segments; s++) reseed_segment(l, s, sizes);
    kt_free(sizes);
    return KITH_OK;
}

/* At most `iterations` rounds of: choose, average. Empty clusters are filled unless a tree decides (a
 * centroid that moves away from its meso cluster would not be found there). */
static kith_status lloyd_run(struct lloyd *l, uint32_t iterations, struct rounds *rounds, kith_error *error)
{
    uint64_t end_of_level = rounds->done + iterations;
    kith_status status = lloyd_take(l, &rounds->work, error);
    uint32_t centroids = lloyd_centroids(l);
    kt_square_norms(l->centroids, centroids, l->dim, l->norms);
    for (uint32_t i = 0; !status && i < iterations; i++, rounds->done++) {
        atomic_store(&l->moved, 0);
        status = kt_parallel_for(&rounds->work, "train", l->count, CHUNK_ROWS, assign_chunk, l, error);
        if (status || (i && atomic_load(&l->moved) <= l->count / SETTLED_SHARE)) break;
        group_positions(l->nearest, l->count, centroids, l->members, l->member_begin);
        status = kt_parallel_for(&rounds->work, NULL, centroids, 8, update_chunk, l, error);
        if (!status && !l->tree && i + 1 < iterations) status = reseed(l, error);
    }
    rounds->done = end_of_level;
    return status;
}

/* ---- one training ---- */

struct training {
    const struct kt_kmeans *options;
    const float *rows;
    uint32_t dim;
    uint64_t count;
    uint64_t *hashes; /* of each row */
    uint64_t distinct;
    uint32_t iterations;
    struct rounds rounds;
};

static uint64_t row_at(const uint32_t *order, uint64_t position)
{
    return order ? order[position] : position;
}

/* Takes up to `wanted` distinct rows of positions [begin, end) as centroids; returns how many there were. */
static kith_status seed_centroids(const struct training *t, const uint32_t *order, uint64_t begin,
                                  uint64_t end, uint32_t wanted, float *centroids, uint32_t *made,
                                  kith_error *error)
{
    struct seen seen = { 0 };
    uint64_t *picks = kt_alloc_array(wanted, sizeof *picks);
    uint32_t found = 0;
    kith_status status = KITH_OK;
    if (!picks || !seen_init(&seen, wanted)) {
        status = kt_fail_memory(error, (size_t)wanted * 24);
        goto out;
    }
    uint64_t picked = kt_sample(end - begin, wanted, t->options->seed ^ kt_hash(&begin, sizeof begin), picks);
    for (uint64_t i = 0; i < picked; i++) {
        uint64_t row = row_at(order, begin + picks[i]);
        if (!seen_add(&seen, t->hashes[row])) continue;
        memcpy(centroids + (size_t)found++ * t->dim, t->rows + row * t->dim, t->dim * sizeof(float));
    }
    for (uint64_t p = begin; p < end && found < wanted; p++) { /* duplicates were picked: look at every row */
        uint64_t row = row_at(order, p);
        if (!seen_add(&seen, t->hashes[row])) continue;
        memcpy(centroids + (size_t)found++ * t->dim, t->rows + row * t->dim, t->dim * sizeof(float));
    }
out:
    kt_free(picks);
    kt_free(seen.slots);
    *made = found;
    return status;
}

static kith_status count_distinct(const struct training *t, const uint32_t *order, uint64_t begin,
                                  uint64_t end, uint64_t *out, kith_error *error)
{
    struct seen seen = { 0 };
    if (!seen_init(&seen, end - begin)) return kt_fail_memory(error, (size_t)(end - begin) * 32);
    *out = 0;
    for (uint64_t p = begin; p < end; p++) *out += seen_add(&seen, t->hashes[row_at(order, p)]);
    kt_free(seen.slots);
    return KITH_OK;
}

static void mean_of_rows(const float *rows, uint64_t count, uint32_t dim, float *mean)
{
    memset(mean, 0, dim * sizeof *mean);
    for (uint64_t i = 0; i < count; i++)
        for (uint32_t d = 0; d < dim; d++) mean[d] += rows[i * dim + d] / (float)count;
}

static bool centroids_take(struct kt_centroids *c, uint32_t count, uint32_t mesos, uint32_t dim)
{
    size_t bytes, meso_bytes;
    if (__builtin_mul_overflow((size_t)count * dim, sizeof(float), &bytes)) return false;
    if (__builtin_mul_overflow((size_t)mesos * dim, sizeof(float), &meso_bytes)) return false;
    *c = (struct kt_centroids){ .count = count, .meso_count = mesos, .dim = dim };
    c->values = kt_alloc_aligned(bytes);
    c->meso = kt_alloc_aligned(meso_bytes);
    c->meso_begin = kt_alloc_zero((size_t)mesos + 1, sizeof *c->meso_begin);
    return c->values && c->meso && c->meso_begin;
}

/* Clusters positions as one segment: into `wanted` centroids or as many as have distinct seeds. */
static kith_status train_flat(struct training *t, const uint32_t *order, uint64_t count, uint32_t wanted,
                              float *centroids, uint32_t *made, kith_error *error)
{
    uint64_t segment_begin[2] = { 0, count };
    uint32_t centroid_begin[2] = { 0 };
    struct lloyd l = { .rows = t->rows,
                       .dim = t->dim,
                       .count = count,
                       .order = order,
                       .segments = 1,
                       .segment_begin = segment_begin,
                       .centroid_begin = centroid_begin,
                       .centroids = centroids };
    kith_status status = seed_centroids(t, order, 0, count, wanted, centroids, &centroid_begin[1], error);
    if (status) goto out;
    *made = centroid_begin[1];
    l.norms = kt_alloc_array(*made, sizeof *l.norms);
    status = l.norms ? lloyd_run(&l, t->iterations, &t->rounds, error)
                     : kt_fail_memory(error, *made * sizeof *l.norms);
out:
    lloyd_release(&l);
    kt_free(l.norms);
    return status;
}

static kith_status train_one_level(struct training *t, uint32_t wanted, struct kt_centroids *out,
                                   kith_error *error)
{
    if (!centroids_take(out, wanted, 1, t->dim))
        return kt_fail_memory(error, (size_t)wanted * t->dim * sizeof(float));
    rounds_begin(&t->rounds, t->rounds.outer, t->iterations);
    kith_status status = train_flat(t, NULL, t->count, wanted, out->values, &out->count, error);
    mean_of_rows(out->values, out->count, t->dim, out->meso);
    out->meso_begin[1] = out->count;
    return status;
}

/* What the second level works on. */
struct split {
    float *meso;
    uint32_t meso_count;
    uint32_t *chosen;        /* the meso cluster of each row */
    uint32_t *order;         /* rows by meso cluster */
    uint64_t *segment_begin; /* meso_count + 1 */
    uint32_t *share;         /* centroids of each */
    uint64_t *most;          /* distinct rows of each: no more centroids than that */
};

static void split_release(struct split *s)
{
    kt_free(s->meso);
    kt_free(s->chosen);
    kt_free(s->order);
    kt_free(s->segment_begin);
    kt_free(s->share);
    kt_free(s->most);
}

static kith_status split_take(struct split *s, uint64_t rows, uint32_t mesos, uint32_t dim, kith_error *error)
{
    s->meso = kt_alloc_aligned((size_t)mesos * dim * sizeof(float));
    s->chosen = kt_alloc_array(rows, sizeof *s->chosen);
    s->order = kt_alloc_array(rows, sizeof *s->order);
    s->segment_begin = kt_alloc_zero((size_t)mesos + 1, sizeof *s->segment_begin);
    s->share = kt_alloc_zero(mesos, sizeof *s->share);
    s->most = kt_alloc_zero(mesos, sizeof *s->most);
    bool all = s->meso && s->chosen && s->order && s->segment_begin && s->share && s->most;
    return all ? KITH_OK : kt_fail_memory(error, rows * 8 + (size_t)mesos * dim * sizeof(float));
}

static kith_status train_meso(struct training *t, struct split *s, uint32_t wanted, kith_error *error)
{
    uint64_t sample = kt_min_u64(t->count, (uint64_t)wanted * MESO_SAMPLE);
    uint64_t *picks = kt_alloc_array(sample, sizeof *picks);
    kith_status status = picks ? KITH_OK : kt_fail_memory(error, sample * sizeof *picks);
    if (status) return status;
    kt_sample(t->count, sample, t->options->seed + 1, picks);
    for (uint64_t i = 0; i < sample; i++) s->order[i] = (uint32_t)picks[i];
    kt_free(picks);
    return train_flat(t, s->order, sample, wanted, s->meso, &s->meso_count, error);
}

struct choosing {
    const struct training *training;
    struct split *split;
};

static kith_status choose_meso_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                                     kith_error *error)
{
    struct choosing *c = context;
    (void)worker, (void)error;
    uint32_t dim = c->training->dim;
    kt_nearest(c->split->meso, c->split->meso_count, dim, c->training->rows + begin * dim, end - begin,
               c->split->chosen + begin, NULL);
    return KITH_OK;
}

/* Drops meso clusters that no row chose: segments are never empty. */
static void drop_empty_segments(struct split *s, uint32_t dim)
{
    uint32_t kept = 0;
    for (uint32_t m = 0; m < s->meso_count; m++) {
        uint64_t begin = s->segment_begin[m], end = s->segment_begin[m + 1];
        if (begin == end) continue;
        memmove(s->meso + (size_t)kept * dim, s->meso + (size_t)m * dim, dim * sizeof(float));
        s->segment_begin[kept++] = begin;
    }
    s->segment_begin[kept] = s->segment_begin[s->meso_count];
    s->meso_count = kept;
}

/* Gives out `clusters`: one each, then always to the segment with the most rows a cluster (d'Hondt), no
 * segment above its distinct rows. Returns how many found a place. */
static uint32_t share_clusters(struct split *s, uint32_t clusters)
{
    uint32_t given = 0;
    for (uint32_t m = 0; m < s->meso_count; m++, given++) s->share[m] = 1;
    for (; given < clusters; given++) {
        double most = 0;
        uint32_t to = UINT32_MAX;
        for (uint32_t m = 0; m < s->meso_count; m++) {
            double rows = (double)(s->segment_begin[m + 1] - s->segment_begin[m]) / (double)(s->share[m] + 1);
            if (s->share[m] >= s->most[m] || rows <= most) continue;
            most = rows;
            to = m;
        }
        if (to == UINT32_MAX) break;
        s->share[to]++;
    }
    return given;
}

static kith_status split_rows(struct training *t, struct split *s, uint32_t clusters, kith_error *error)
{
    struct choosing c = { t, s };
    kith_status status =
        kt_parallel_for(&t->rounds.work, "train", t->count, CHUNK_ROWS, choose_meso_chunk, &c, error);
    t->rounds.done++;
    if (status) return status;
    group_positions(s->chosen, t->count, s->meso_count, s->order, s->segment_begin);
    drop_empty_segments(s, t->dim);
    for (uint32_t m = 0; m < s->meso_count; m++) {
        uint64_t begin = s->segment_begin[m], end = s->segment_begin[m + 1];
        s->most[m] = end - begin;
        if (t->distinct < t->count) status = count_distinct(t, s->order, begin, end, &s->most[m], error);
        if (status) return status;
    }
    share_clusters(s, clusters);
    return KITH_OK;
}

static kith_status train_fine(struct training *t, const struct split *s, struct kt_centroids *out,
                              float *norms, kith_error *error)
{
    struct lloyd l = { .rows = t->rows,
                       .dim = t->dim,
                       .count = t->count,
                       .order = s->order,
                       .segments = s->meso_count,
                       .segment_begin = s->segment_begin,
                       .centroid_begin = out->meso_begin,
                       .centroids = out->values,
                       .norms = norms };
    kith_status status = KITH_OK;
    uint32_t at = 0;
    for (uint32_t m = 0; !status && m < s->meso_count; m++) {
        uint32_t made = 0;
        status = seed_centroids(t, s->order, s->segment_begin[m], s->segment_begin[m + 1], s->share[m],
                                out->values + (size_t)at * t->dim, &made, error);
        out->meso_begin[m] = at;
        at += made;
    }
    out->count = out->meso_begin[s->meso_count] = at;
    if (!status) status = lloyd_run(&l, t->iterations, &t->rounds, error);
    lloyd_release(&l);
    return status;
}

/* The meso cluster's mean, by the rows that chose its centroids in the last round. */
static void average_meso(const struct lloyd *l, struct kt_centroids *out)
{
    for (uint32_t m = 0; m < out->meso_count; m++) {
        uint64_t rows = l->member_begin[out->meso_begin[m + 1]] - l->member_begin[out->meso_begin[m]];
        float *mean = out->meso + (size_t)m * out->dim;
        if (!rows) continue;
        memset(mean, 0, out->dim * sizeof *mean);
        for (uint32_t c = out->meso_begin[m]; c < out->meso_begin[m + 1]; c++) {
            float share = (float)(l->member_begin[c + 1] - l->member_begin[c]) / (float)rows;
            for (uint32_t d = 0; d < out->dim; d++) mean[d] += share * out->values[(size_t)c * out->dim + d];
        }
    }
}

static kith_status refine(struct training *t, struct kt_centroids *out, float *norms, kith_error *error)
{
    uint64_t segment_begin[2] = { 0, t->count };
    uint32_t centroid_begin[2] = { 0, out->count };
    float *meso_norms = kt_alloc_array(out->meso_count, sizeof *meso_norms);
    if (!meso_norms) return kt_fail_memory(error, out->meso_count * sizeof *meso_norms);
    kt_square_norms(out->meso, out->meso_count, t->dim, meso_norms);
    struct kt_tree tree = { out->values,     norms,      out->meso, meso_norms,
                            out->meso_begin, out->count, t->dim,    out->meso_count };
    struct lloyd l = { .rows = t->rows,
                       .dim = t->dim,
                       .count = t->count,
                       .segments = 1,
                       .segment_begin = segment_begin,
                       .centroid_begin = centroid_begin,
                       .centroids = out->values,
                       .norms = norms,
                       .tree = &tree,
                       .beam = kt_tree_beam(out->meso_count) };
    kith_status status = lloyd_run(&l, REFINE_ROUNDS, &t->rounds, error);
    if (!status) average_meso(&l, out);
    lloyd_release(&l);
    kt_free(meso_norms);
    return status;
}

static kith_status train_two_levels(struct training *t, uint32_t wanted, struct kt_centroids *out,
                                    kith_error *error)
{
    struct split s = { 0 };
    uint32_t mesos = (uint32_t)lrint(sqrt((double)wanted));
    float *norms = kt_alloc_array(wanted, sizeof *norms);
    rounds_begin(&t->rounds, t->rounds.outer, 2ull * t->iterations + 1 + REFINE_ROUNDS);
    kith_status status = norms ? split_take(&s, t->count, mesos, t->dim, error)
                               : kt_fail_memory(error, wanted * sizeof *norms);
    if (!status) status = train_meso(t, &s, mesos, error);
    if (!status) status = split_rows(t, &s, wanted, error);
    if (status) goto out;
    if (!centroids_take(out, wanted, s.meso_count, t->dim)) {
        status = kt_fail_memory(error, (size_t)wanted * t->dim * sizeof(float));
        goto out;
    }
    memcpy(out->meso, s.meso, (size_t)s.meso_count * t->dim * sizeof(float));
    status = train_fine(t, &s, out, norms, error);
    if (!status) status = refine(t, out, norms, error);
out:
    split_release(&s);
    kt_free(norms);
    return status;
}

void kt_centroids_release(struct kt_centroids *centroids)
{
    kt_free(centroids->values);
    kt_free(centroids->meso);
    kt_free(centroids->meso_begin);
    *centroids = (struct kt_centroids){ 0 };
}

kith_status kt_kmeans_train(const struct kt_kmeans *options, const float *rows, uint64_t count,
                            struct kt_work *work, struct kt_centroids *out, kith_error *error)
{
    struct kt_centroids made = { .dim = options->dim };
    struct training t = { .options = options,
                          .rows = rows,
                          .dim = options->dim,
                          .count = count,
                          .iterations =
                              options->max_iterations ? options->max_iterations : DEFAULT_ITERATIONS,
                          .rounds.outer = work };
    kith_status status = KITH_OK;
    if (!count || !options->clusters) goto out;
    if (count > UINT32_MAX) {
        status = kt_fail(error, KITH_INVALID,
                         "k-means is made for at most %u rows, not %llu: take a smaller sample", UINT32_MAX,
                         (unsigned long long)count);
        goto out;
    }
    t.hashes = kt_alloc_array(count, sizeof *t.hashes);
    if (!t.hashes) {
        status = kt_fail_memory(error, count * sizeof *t.hashes);
        goto out;
    }
    struct hashing hashing = { rows, options->dim, t.hashes };
    status = kt_parallel_for(work, NULL, count, CHUNK_ROWS, hash_chunk, &hashing, error);
    if (!status) status = count_distinct(&t, NULL, 0, count, &t.distinct, error);
    if (status) goto out;
    uint32_t clusters = (uint32_t)kt_min_u64(options->clusters, t.distinct);
    status = options->two_levels && clusters >= 4 ? train_two_levels(&t, clusters, &made, error)
                                                  : train_one_level(&t, clusters, &made, error);
out:
    kt_free(t.hashes);
    if (!status) {
        *out = made;
        made = (struct kt_centroids){ 0 };
    }
    kt_centroids_release(&made);
    return status;
}
