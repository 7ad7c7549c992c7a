/* The lists of rows: of each the first that a search for it visits, by the arithmetic of ivf_rank.c to the
 * last bit. Many rows are done at a time, meso cluster by meso cluster, so that the centroids of one are read
 * from the cache for all rows that look into it; whole-number products are the same in any order.
 *
 * It used to be a product of matrices in floats, with the meso clusters nearest by floats: one row in fifty
 * then had a list that its own vector did not visit first.
 */
#include <math.h>

#include "index/ivf/ivf_private.h"

/* What is known of one row. */
struct seeker {
    struct ivf_query_bytes bytes;
    uint64_t best[IVF_EXACT]; /* keys, the least first */
    uint32_t known;
};

/* Rows and the meso clusters that each looks into. */
struct assigning {
    const struct kt_index *index;
    struct seeker *seekers;
    uint32_t *group;       /* numbers of rows by meso cluster */
    uint32_t *group_begin; /* mesos + 2 */
    uint64_t *mesos;       /* of each row mesos keys, nearest first */
    uint32_t *looks;       /* how many of them it looks into */
    float *distances;      /* to all meso clusters, or to the lists of one */
};

static bool take(struct assigning *a, uint32_t count, struct kt_arena *scratch)
{
    uint32_t mesos = a->index->shape.mesos, lists = a->index->shape.lists;
    a->seekers = kt_arena_take(scratch, count, sizeof *a->seekers);
    a->group = kt_arena_take(scratch, (size_t)count * mesos, sizeof *a->group);
    a->group_begin = kt_arena_take(scratch, (size_t)mesos + 2, sizeof *a->group_begin);
    a->mesos = kt_arena_take(scratch, (size_t)count * mesos, sizeof *a->mesos);
    a->looks = kt_arena_take(scratch, count, sizeof *a->looks);
    a->distances = kt_arena_take(scratch, lists, sizeof *a->distances);
    return a->seekers && a->group && a->group_begin && a->mesos && a->looks && a->distances;
}

/* The meso clusters that a row looks into: as a search does before it chooses its first list. */
static void choose_mesos(struct assigning *a, uint32_t row)
{
    const struct kt_index *index = a->index;
    const uint32_t *begin = index->meso_begin, mesos = index->shape.mesos;
    uint32_t wanted = kt_ivf_first_ranked(index), ranked = 0, looks = 0;
    uint64_t *keys = a->mesos + (size_t)row * mesos;
    kt_ivf_byte_distances(&a->seekers[row].bytes, &index->meso, index->layout.wide, 0, mesos, a->distances);
    for (uint32_t m = 0; m < mesos; m++) keys[m] = kt_ivf_key(a->distances[m], m);
    kt_ivf_sort_keys(keys, mesos);
    for (; looks < mesos && (ranked < wanted || looks < index->shape.beam); looks++) {
        uint32_t meso = (uint32_t)keys[looks];
        ranked += begin[meso + 1] - begin[meso];
    }
    a->looks[row] = looks;
}

/* A counting sort of rows by the meso clusters that they look into. */
static void group_rows(struct assigning *a, uint32_t count)
{
    uint32_t mesos = a->index->shape.mesos, *next = a->group_begin + 1;
    memset(a->group_begin, 0, ((size_t)mesos + 2) * sizeof *a->group_begin);
    for (uint32_t r = 0; r < count; r++)
        for (uint32_t i = 0; i < a->looks[r]; i++) next[(uint32_t)a->mesos[(size_t)r * mesos + i] + 1]++;
    for (uint32_t m = 0; m < mesos; m++) next[m + 1] += next[m];
    for (uint32_t r = 0; r < count; r++)
        for (uint32_t i = 0; i < a->looks[r]; i++)
            a->group[next[(uint32_t)a->mesos[(size_t)r * mesos + i]]++] = r;
}

static void offer(struct seeker *seeker, uint64_t key)
{
    uint32_t at = seeker->known;
    if (at == IVF_EXACT && key > seeker->best[--at]) return;
    for (; at && seeker->best[at - 1] > key; at--) seeker->best[at] = seeker->best[at - 1];
    seeker->best[at] = key;
    seeker->known = kt_min_u32(IVF_EXACT, seeker->known + 1);
}

/* The distance beyond which no list is among a row's nearest. */
static float limit_of(const struct seeker *seeker)
{
    uint32_t bits = (uint32_t)(seeker->best[IVF_EXACT - 1] >> 32);
    float limit;
    memcpy(&limit, &bits, sizeof limit);
    return seeker->known < IVF_EXACT ? INFINITY : limit;
}

static void look_into(struct assigning *a, uint32_t meso)
{
    const struct kt_index *index = a->index;
    uint32_t first = index->meso_begin[meso], lists = index->meso_begin[meso + 1] - first;
    for (uint32_t i = a->group_begin[meso]; i < a->group_begin[meso + 1]; i++) {
        struct seeker *seeker = &a->seekers[a->group[i]];
        float limit = limit_of(seeker);
        kt_ivf_byte_distances(&seeker->bytes, &index->centroids, index->layout.wide, first, lists,
                              a->distances);
        for (uint32_t l = 0; l < lists; l++) {
            if (!(a->distances[l] <= limit)) continue;
            offer(seeker, kt_ivf_key(a->distances[l], first + l));
            limit = limit_of(seeker);
        }
    }
}

static uint32_t settle(const struct kt_index *index, const struct seeker *seeker)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < seeker->known; i++) {
        uint32_t list = (uint32_t)seeker->best[i], bits = (uint32_t)(seeker->best[i] >> 32);
        float distance;
        memcpy(&distance, &bits, sizeof distance);
        distance =
            kt_ivf_finer_distance(&seeker->bytes, &index->centroids, index->layout.wide, list, distance);
        least = kt_min_u64(least, kt_ivf_key(distance, list));
    }
    return (uint32_t)least;
}

kith_status kt_ivf_assign(const struct kt_index *index, const float *rows, uint32_t count,
                          struct kt_arena *scratch, uint32_t *out, kith_error *error)
{
    struct assigning a = { .index = index };
    uint32_t wide = index->layout.wide, dim = index->shape.tree_dim;
    int8_t *bytes = kt_arena_take(scratch, (size_t)count * 2, wide);
    if (!bytes || !take(&a, count, scratch)) return kt_fail_memory(error, (size_t)count * 2 * wide);
    for (uint32_t r = 0; r < count; r++) {
        a.seekers[r] = (struct seeker){ .known = 0 };
        kt_ivf_query_bytes(rows + (size_t)r * dim, dim, wide, bytes + (size_t)r * 2 * wide,
                           &a.seekers[r].bytes);
        choose_mesos(&a, r);
    }
    group_rows(&a, count);
    for (uint32_t m = 0; m < index->shape.mesos; m++) look_into(&a, m);
    for (uint32_t r = 0; r < count; r++) out[r] = settle(index, &a.seekers[r]);
    return KITH_OK;
}
