/* The k best of many: nearest first, equal distances by the smaller row, so that a search gives the
 * same answer twice and pages neither repeat nor lose rows. */
#ifndef KT_BASE_TOP_H
#define KT_BASE_TOP_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kt_hit {
    float distance;
    uint64_t row;
};

static inline bool kt_hit_before(struct kt_hit a, struct kt_hit b)
{
    return a.distance < b.distance || (a.distance == b.distance && a.row < b.row);
}

/* A bounded max-heap over memory that the caller lends. */
struct kt_top {
    struct kt_hit *hits; /* room for `capacity` */
    size_t count;
    size_t capacity;
};

/** Distances above this are of no use any more: +infinity until the heap is full. */
static inline float kt_top_bound(const struct kt_top *top)
{
    return top->count < top->capacity ? INFINITY : top->hits[0].distance;
}
void kt_top_offer(struct kt_top *top, float distance, uint64_t row); /* NaN is never taken */
void kt_top_sort(struct kt_top *top); /* nearest first; after it, offer no more */

#endif
