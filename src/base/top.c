/* A binary max-heap: its root is the worst hit kept, which is the one a better row replaces. Searches
 * test kt_top_bound() before they call, so that this code runs for a few rows in a thousand.
 */
#include "base/top.h"

static void sift_down(struct kt_hit *hits, size_t count, size_t at)
{
    struct kt_hit moving = hits[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) break;
        if (child + 1 < count && kt_hit_before(hits[child], hits[child + 1])) child++;
        if (!kt_hit_before(moving, hits[child])) break;
        hits[at] = hits[child];
        at = child;
    }
    hits[at] = moving;
}

static void sift_up(struct kt_hit *hits, size_t at)
{
    struct kt_hit moving = hits[at];
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (!kt_hit_before(hits[parent], moving)) break;
        hits[at] = hits[parent];
        at = parent;
    }
    hits[at] = moving;
}

void kt_top_offer(struct kt_top *top, float distance, uint64_t row)
{
    struct kt_hit hit = { distance, row };
    if (isnan(distance)) return;
    if (top->count < top->capacity) {
        top->hits[top->count] = hit;
        sift_up(top->hits, top->count++);
    } else if (top->capacity && kt_hit_before(hit, top->hits[0])) {
        top->hits[0] = hit;
        sift_down(top->hits, top->count, 0);
    }
}

void kt_top_sort(struct kt_top *top)
{
    for (size_t left = top->count; left > 1; left--) {
        struct kt_hit worst = top->hits[0];
        top->hits[0] = top->hits[left - 1];
        sift_down(top->hits, left - 1, 0);
        top->hits[left - 1] = worst;
    }
}
