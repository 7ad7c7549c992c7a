/* Which lists are near a query: the meso clusters first, then the lists of the nearest of those, each by
 * whole-number products of bytes. No more is sorted than is asked for: a search that stops after ten lists
 * pays for the order of some thirty.
 *
 * The nearest lists are those below a threshold that a sample of the distances gives; so the pass over all of
 * them has no branch, and the number that passes is about the number wanted, not just it.
 *
 * Under a filter only lists with a row that it admits are ranked, as if the index had no others; and each has
 * a weight, the share of its rows that is admitted.
 *
 * Distances are first those of a query rounded to bytes. For lists that are visited, what the rounding left
 * over is added in finer bytes; for the first few that also settles their order. The first list is therefore,
 * of the IVF_EXACT nearest by bytes, the nearest by finer ones, whatever is sorted behind them; rows are
 * given their lists by the same rule with the same arithmetic (ivf_assign.c), so that the list of a row is
 * the first that its own vector finds.
 */
#include "index/ivf/ivf_private.h"

#include <math.h>

#include "base/bytes.h"

enum {
    FINER = 254,            /* low bytes are in 1/254 of the high ones */
    FIRST_SORT = 32,        /* lists, about; then as many as are sorted already */
    SAMPLE = 32,            /* distances that a threshold is taken from */
    RANK_LISTS = 64,        /* lists ranked at least, where there are as many, */
    RANK_BYTES = 64 * 1024, /* and as many as have so many bytes of centroids, ... */
    RANK_FACTOR = 4,        /* ... and so many times as many as are sorted */
    SOME = 64               /* distances computed at a time */
};

/* ---- order */

/* Makes keys the sorted lists from `at` on. */
static void put_sorted(struct ivf_ranking *r, uint32_t at, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)(r->keys[i] >> 32);
        memcpy(&r->near[at + i], &bits, sizeof bits);
        r->order[at + i] = (uint32_t)r->keys[i];
    }
}

/* The share of a list's rows that is wanted. One that rows have left is not worth a whole list. */
static float weight(const struct kt_index *index, uint32_t list, uint32_t wanted)
{
    float rows = (float)index->list_rows[list];
    return (float)wanted / (rows > index->typical ? rows : index->typical);
}

/* Gives the sorted lists from `at` on their weights. */
static void weigh_sorted(struct ivf_ranking *r, uint32_t at, uint32_t count)
{
    for (uint32_t i = at; r->matches && i < at + count; i++) {
        uint32_t list = r->order[i];
        r->near_weights[i] = weight(r->index, list, r->matches->lists[list]);
    }
}

static void insertion_sort(uint64_t *keys, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        uint64_t key = keys[i];
        uint32_t at = i;
        for (; at && keys[at - 1] > key; at--) keys[at] = keys[at - 1];
        keys[at] = key;
    }
}

/* Quicksort whose partition has no branch for a processor to guess wrong. Keys are all different, so the
 * middle one of three is neither the least nor alone. */
void kt_ivf_sort_keys(uint64_t *keys, uint32_t count)
{
    enum { SMALL = 20 };
    while (count > SMALL) {
        uint64_t a = keys[0], b = keys[count / 2], c = keys[count - 1];
        uint64_t pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
        uint32_t low = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint64_t key = keys[i];
            keys[i] = keys[low];
            keys[low] = key;
            low += key < pivot;
        }
        if (low < count - low) {
            kt_ivf_sort_keys(keys, low);
            keys += low;
            count -= low;
        } else {
            kt_ivf_sort_keys(keys + low, count - low);
            count = low;
        }
    }
    insertion_sort(keys, count);
}

/* A value that about `wanted` of the distances are not above, and IVF_EXACT of them in any case; IVF_FAR / 2
 * for all that are not far. */
static float threshold_for(const float *distances, uint32_t count, uint32_t wanted)
{
    float sample[SAMPLE] __attribute__((uninitialized));
    uint32_t taken = 0, step = count / SAMPLE + 1;
    for (uint32_t i = 0; i < count; i += step) { /* sorted as they come */
        float value = distances[i];
        uint32_t at = taken++;
        for (; at && sample[at - 1] > value; at--) sample[at] = sample[at - 1];
        sample[at] = value;
    }
    uint64_t rank = kt_max_u64(IVF_EXACT - 1, (uint64_t)wanted * taken / kt_max_u32(count, 1) + 1);
    float threshold = rank < taken ? sample[rank] : IVF_FAR;
    return threshold < IVF_FAR / 2 ? threshold : IVF_FAR / 2;
}

/* ---- distances */

void kt_ivf_byte_distances(const struct ivf_query_bytes *query, const struct ivf_bytes *of, uint32_t wide,
                           uint32_t first, uint32_t count, float *restrict out)
{
    int32_t dots[SOME] __attribute__((uninitialized));
    const float twice = -2 * query->unit, square = query->square;
    for (uint32_t at = 0; at < count; at += SOME) {
        size_t some = kt_min_u32(SOME, count - at);
        const float *restrict units = of->units + first + at, *restrict squares = of->squares + first + at;
        float *restrict to = out + at;
        kt_kernels()->dot_bytes(query->high, of->bytes + (size_t)(first + at) * wide, wide, (uint32_t)some,
                                dots);
        for (size_t i = 0; i < some; i++) {
            float distance = square + squares[i] + twice * units[i] * (float)dots[i];
            to[i] = distance > 0 ? distance : 0;
        }
    }
}

float kt_ivf_finer_distance(const struct ivf_query_bytes *query, const struct ivf_bytes *of, uint32_t wide,
                            uint32_t number, float distance)
{
    int32_t dot;
    kt_kernels()->dot_bytes(query->low, of->bytes + (size_t)number * wide, wide, 1, &dot);
    distance -= 2 * query->unit / FINER * of->units[number] * (float)dot;
    return distance > 0 ? distance : 0;
}

/* Adds what the high bytes left over to the distance of sorted list `at`. */
static void refine(struct ivf_ranking *r, uint32_t at)
{
    r->near[at] = kt_ivf_finer_distance(&r->query, &r->index->centroids, r->index->layout.wide, r->order[at],
                                        r->near[at]);
}

/* Of the `count` lists ranked last, those with a row that is wanted; how many. */
static uint32_t keep_wanted(struct ivf_ranking *r, uint32_t count)
{
    uint32_t kept = r->ranked;
    for (uint32_t i = r->ranked; i < r->ranked + count; i++) {
        uint32_t list = r->lists[i], wanted = r->matches->lists[list];
        if (!wanted) continue;
        r->lists[kept] = list;
        r->distances[kept] = r->distances[i];
        r->weights[kept++] = weight(r->index, list, wanted);
    }
    r->without += r->ranked + count - kept;
    return kept - r->ranked;
}

/* Ranks the lists of the next nearest meso clusters until `wanted` lists are ranked, and of those that
 * assigning a row looked into. */
static void rank_more(struct ivf_ranking *r, uint32_t wanted)
{
    const uint32_t *begin = r->index->meso_begin;
    while (r->mesos_ranked < r->meso_count &&
           (r->ranked < wanted || r->mesos_ranked < r->index->shape.beam)) {
        uint32_t meso = (uint32_t)r->mesos[r->mesos_ranked++];
        uint32_t count = begin[meso + 1] - begin[meso];
        kt_ivf_byte_distances(&r->query, &r->index->centroids, r->index->layout.wide, begin[meso], count,
                              r->distances + r->ranked);
        for (uint32_t i = 0; i < count; i++) r->lists[r->ranked + i] = begin[meso] + i;
        r->ranked += r->matches ? keep_wanted(r, count) : count;
    }
}

/* ---- asking */

void kt_ivf_query_bytes(const float *vector, uint32_t dim, uint32_t wide, int8_t *high,
                        struct ivf_query_bytes *out)
{
    static const float most = 126.5f;
    int8_t *low = high + wide;
    float unit = kt_to_bytes(vector, dim, high), scale = unit > 0 ? 1 / unit : 0;
    for (uint32_t d = 0; d < dim; d++) {
        float left = (vector[d] * scale - (float)high[d]) * FINER;
        left = left < most ? left : most;
        left = left > -most ? left : -most;
        low[d] = (int8_t)(int)(left + copysignf(0.5f, left));
    }
    memset(high + dim, 0, wide - dim);
    memset(low + dim, 0, wide - dim);
    *out = (struct ivf_query_bytes){ high, low, unit, kt_kernels()->norm[KITH_F32](vector, dim) };
}

uint32_t kt_ivf_first_ranked(const struct kt_index *index)
{
    uint32_t least = kt_max_u32(RANK_LISTS, RANK_BYTES / index->layout.wide);
    return kt_max_u32(least, RANK_FACTOR * FIRST_SORT);
}

kith_status kt_ivf_rank_begin(const struct kt_index *index, const float *vector,
                              const struct kt_index_matches *matches, struct kt_arena *scratch,
                              struct ivf_ranking *out, kith_error *error)
{
    uint32_t wide = index->layout.wide, dim = index->shape.tree_dim, lists = index->shape.lists;
    uint32_t mesos = index->shape.mesos;
    int8_t *bytes = kt_arena_take(scratch, 2, wide);
    *out = (struct ivf_ranking){ .index = index,
                                 .meso_count = mesos,
                                 .mesos = kt_arena_take(scratch, mesos, sizeof *out->mesos),
                                 .distances = kt_arena_take(scratch, lists, sizeof *out->distances),
                                 .lists = kt_arena_take(scratch, lists, sizeof *out->lists),
                                 .picks = kt_arena_take(scratch, (size_t)lists + 1, sizeof *out->picks),
                                 .keys = kt_arena_take(scratch, lists, sizeof *out->keys),
                                 .near = kt_arena_take(scratch, lists, sizeof *out->near),
                                 .order = kt_arena_take(scratch, lists, sizeof *out->order),
                                 .matches = matches };
    if (matches) {
        out->weights = kt_arena_take(scratch, lists, sizeof *out->weights);
        out->near_weights = kt_arena_take(scratch, lists, sizeof *out->near_weights);
        if (!out->weights || !out->near_weights) return kt_fail_memory(error, lists * sizeof(float));
    }
    if (!bytes || !out->mesos || !out->distances || !out->lists || !out->picks || !out->keys || !out->near ||
        !out->order)
        return kt_fail_memory(error, lists * sizeof *out->keys + 2 * (size_t)wide);
    kt_ivf_query_bytes(vector, dim, wide, bytes, &out->query);
    kt_ivf_byte_distances(&out->query, &index->meso, wide, 0, mesos,
                          out->distances); /* lists are not yet there */
    for (uint32_t m = 0; m < mesos; m++) out->mesos[m] = kt_ivf_key(out->distances[m], m);
    kt_ivf_sort_keys(out->mesos, mesos);
    return KITH_OK;
}

/* Sorts about `wanted` of the nearest lists that are not yet sorted behind those that are. */
static void sort_more(struct ivf_ranking *r, uint32_t wanted)
{
    uint32_t picked = 0;
    float threshold = threshold_for(r->distances, r->ranked, wanted);
    for (;;) {
        for (uint32_t i = 0; i < r->ranked; i++) {
            r->picks[picked] = i;
            picked += r->distances[i] <= threshold;
        }
        if (picked || threshold >= IVF_FAR / 2) break;
        threshold = IVF_FAR / 2;
    }
    for (uint32_t i = 0; i < picked; i++) {
        uint32_t at = r->picks[i];
        r->keys[i] = kt_ivf_key(r->distances[at], r->lists[at]);
        r->distances[at] = IVF_FAR;
    }
    kt_ivf_sort_keys(r->keys, picked);
    put_sorted(r, r->sorted, picked);
    weigh_sorted(r, r->sorted, picked);
    r->sorted += picked;
}

/* Puts the first few into the order of their exact distances. */
static void settle_first(struct ivf_ranking *r)
{
    uint32_t few = kt_min_u32(IVF_EXACT, r->sorted);
    for (uint32_t i = 0; i < few; i++) {
        refine(r, i);
        r->keys[i] = kt_ivf_key(r->near[i], r->order[i]);
    }
    insertion_sort(r->keys, few);
    put_sorted(r, 0, few);
    weigh_sorted(r, 0, few);
    r->refined = few;
}

bool kt_ivf_rank_get(struct ivf_ranking *r, uint32_t at, struct ivf_probe *out)
{
    if (at >= r->sorted) {
        uint32_t some = kt_max_u32(FIRST_SORT, r->sorted);
        rank_more(r, kt_max_u32(kt_ivf_first_ranked(r->index), RANK_FACTOR * (r->sorted + some)));
        sort_more(r, some);
        if (at >= r->sorted) return false;
    }
    if (!at) settle_first(r);
    if (at == r->refined) refine(r, r->refined++);
    *out = (struct ivf_probe){ r->order[at], r->near[at] };
    return true;
}

uint32_t kt_ivf_rank_nearest(struct ivf_ranking *r)
{
    uint32_t nearest = 0;
    rank_more(r, 1);
    if (!r->ranked) return 0;
    for (uint32_t i = 1; i < r->ranked; i++)
        if (r->distances[i] < r->distances[nearest]) nearest = i;
    return r->lists[nearest];
}
