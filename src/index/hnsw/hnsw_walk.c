/* Walking: from a node to the nearest ones, by links. What was met stands in a pool, nearest first; the
 * nearest one whose links were not followed yet is next, until all `ef` nearest have been. The pool is one
 * flat array: for pools of some hundred, moving the rest by one costs less than a heap's branches.
 *
 * Marks of visited nodes are bits, in lines of 512 that are cleared when one of them is first touched: a walk
 * pays for what it visits, however large the graph is.
 *
 * By products a long row is near everything, and a walk that keeps one node only stays at it: such a walk
 * keeps some on the level above the lowest.
 *
 * Under a filter every node leads the way, and those that are admitted are gathered beside the pool. The walk
 * may end once that many were gathered and the next node of the pool is farther than the last of them.
 */
#include "index/hnsw/hnsw_private.h"

enum {
    LINE = 512, /* nodes of a line */
    MOST_ROOM = 2 * HNSW_MOST_M,
    DESCENT_EF = 8,  /* on level 1, for dot */
    ASK_EVERY = 1024 /* lists followed: some hundred microseconds */
};
#define SEEN (UINT32_C(1) << 31)

kith_status kt_hnsw_walk_init(struct hnsw_walk *walk, const struct kt_index *graph, uint32_t nodes,
                              uint32_t capacity, uint32_t found, struct kt_arena *scratch, kith_error *error)
{
    size_t lines = (size_t)nodes / LINE + 1;
    *walk =
        (struct hnsw_walk){ .graph = graph, .capacity = capacity, .found_capacity = found, .error = error };
    walk->pool = kt_arena_take(scratch, (size_t)capacity + 1, sizeof *walk->pool);
    walk->found = kt_arena_take(scratch, (size_t)found + 1, sizeof *walk->found);
    walk->visited = kt_arena_take(scratch, lines * (LINE / 64), sizeof *walk->visited);
    walk->lines = kt_arena_take(scratch, lines / 64 + 1, sizeof *walk->lines);
    walk->point.code = kt_arena_take(scratch, graph->layout.wide, 1);
    if (!walk->pool || !walk->found || !walk->visited || !walk->lines || !walk->point.code)
        return kt_fail_memory(error, capacity * sizeof *walk->pool + nodes / 8);
    memset(walk->lines, 0, (lines / 64 + 1) * sizeof *walk->lines);
    return KITH_OK;
}

void kt_hnsw_walk_clear(struct hnsw_walk *walk)
{
    size_t lines = (size_t)walk->graph->nodes / LINE + 1;
    memset(walk->lines, 0, (lines / 64 + 1) * sizeof *walk->lines);
    walk->count = walk->found_count = 0;
}

/* Marks a node; whether it was. */
static inline bool visit(struct hnsw_walk *walk, uint32_t node)
{
    uint32_t line = node / LINE;
    uint64_t *words = walk->visited + (size_t)line * (LINE / 64), bit = UINT64_C(1) << (node % 64);
    if (!(walk->lines[line / 64] >> (line % 64) & 1)) {
        walk->lines[line / 64] |= UINT64_C(1) << (line % 64);
        memset(words, 0, LINE / 8);
    }
    uint64_t *word = words + node % LINE / 64;
    bool was = *word & bit;
    *word |= bit;
    return was;
}

void kt_hnsw_visit(struct hnsw_walk *walk, uint32_t node)
{
    visit(walk, node);
}

/* Puts a node in its place among the nearest; gives the place, or `capacity`. */
static inline uint32_t put(struct hnsw_near *pool, uint32_t *count, uint32_t capacity, float distance,
                           uint32_t node)
{
    if (*count == capacity && distance >= pool[capacity - 1].distance) return capacity;
    uint32_t low = 0, high = *count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (pool[middle].distance <= distance)
            low = middle + 1;
        else
            high = middle;
    }
    if (*count < capacity) ++*count;
    memmove(pool + low + 1, pool + low, (*count - 1 - low) * sizeof *pool);
    pool[low] = (struct hnsw_near){ distance, node };
    return low;
}

static kith_status gather(struct hnsw_walk *walk, float distance, uint32_t node)
{
    uint64_t row;
    if (walk->found_count == walk->found_capacity &&
        distance >= walk->found[walk->found_capacity - 1].distance)
        return KITH_OK;
    kith_status status = kt_hnsw_row(walk->graph, node, &row, walk->error);
    if (!status && kt_selected(walk->among, row))
        put(walk->found, &walk->found_count, walk->found_capacity, distance, node);
    return status;
}

kith_status kt_hnsw_walk_from(struct hnsw_walk *walk, uint32_t node)
{
    struct hnsw_look look;
    float distance;
    if (visit(walk, node)) return KITH_OK;
    kith_status status = kt_hnsw_look(walk->graph, node, &look, walk->error);
    if (status) return status;
    kt_hnsw_distances(walk->graph, &walk->point, &look, 1, &distance);
    walk->codes++;
    if (walk->among) status = gather(walk, distance, node);
    put(walk->pool, &walk->count, walk->capacity, distance, node);
    return status;
}

/* Nodes of a list that were not visited. */
struct met {
    uint32_t count;
    uint32_t nodes[MOST_ROOM];
    struct hnsw_look looks[MOST_ROOM];
};

static kith_status meet(struct hnsw_walk *walk, uint32_t node, uint32_t level, struct met *met)
{
    const struct kt_index *graph = walk->graph;
    const uint32_t *links = NULL;
    uint32_t room = kt_hnsw_room(graph, level);
    met->count = 0;
    kith_status status = kt_hnsw_links(graph, node, level, &links, walk->error);
    for (uint32_t i = 0; !status && i < room && links[i] != HNSW_NONE; i++) {
        if (__builtin_expect(links[i] >= graph->nodes, 0))
            return kt_hnsw_bad_link(graph, node, links[i], walk->error);
        if (visit(walk, links[i])) continue;
        status = kt_hnsw_look(graph, links[i], &met->looks[met->count], walk->error);
        __builtin_prefetch(met->looks[met->count].code);
        atomic_signal_fence(memory_order_seq_cst); /* GCC 12 drops all but the first without it */
        if (graph->layout.code_bytes > 64) __builtin_prefetch(met->looks[met->count].code + 64);
        atomic_signal_fence(memory_order_seq_cst);
        __builtin_prefetch(met->looks[met->count].factors);
        met->nodes[met->count++] = links[i];
    }
    return status;
}

/* Asks for the list of the lowest level that is likely to be followed next (where a patch stands in its
 * place, in vain). */
static inline void fetch_links(const struct kt_index *graph, uint32_t node)
{
    const struct hnsw_part *part = kt_hnsw_part(graph, node & ~SEEN);
    uint64_t at = (uint64_t)((node & ~SEEN) - part->first) * graph->layout.link_bytes;
    const uint8_t *list =
        part->link_memory ? (const uint8_t *)part->link_memory + at : part->window.map + part->links + at;
    __builtin_prefetch(list);
    atomic_signal_fence(memory_order_seq_cst);
    __builtin_prefetch(list + 64);
}

kith_status kt_hnsw_walk_level(struct hnsw_walk *walk, uint32_t level, uint32_t ef)
{
    struct met met;
    float distances[MOST_ROOM];
    uint32_t capacity = kt_min_u32(ef, walk->capacity), at = 0;
    walk->count = kt_min_u32(walk->count, capacity);
    while (at < walk->count) {
        struct hnsw_near *near = &walk->pool[at];
        if (near->node & SEEN) {
            at++;
            continue;
        }
        if (walk->among && walk->found_count == walk->found_capacity &&
            near->distance > walk->found[walk->found_count - 1].distance)
            break;
        uint32_t node = near->node, first = capacity;
        near->node |= SEEN;
        kith_status status =
            walk->expanded++ % ASK_EVERY ? KITH_OK : kt_work_poll(walk->work, "search", walk->error);
        if (!status) status = meet(walk, node, level, &met);
        if (status) return status;
        if (!level && at + 1 < walk->count) fetch_links(walk->graph, walk->pool[at + 1].node);
        kt_hnsw_distances(walk->graph, &walk->point, met.looks, met.count, distances);
        walk->codes += met.count;
        for (uint32_t i = 0; i < met.count; i++) {
            if (walk->among) status = gather(walk, distances[i], met.nodes[i]);
            if (status) return status;
            uint32_t place = put(walk->pool, &walk->count, capacity, distances[i], met.nodes[i]);
            if (!level && place <= at + 1) fetch_links(walk->graph, met.nodes[i]);
            first = kt_min_u32(first, place);
        }
        if (first <= at) at = first;
    }
    for (uint32_t i = 0; i < walk->count; i++) walk->pool[i].node &= ~SEEN;
    return KITH_OK;
}

kith_status kt_hnsw_descend(struct hnsw_walk *walk, uint32_t level)
{
    uint32_t nearest = walk->graph->entry;
    bool product = walk->graph->shape.metric == KITH_DOT;
    kith_status status = KITH_OK;
    for (uint32_t l = walk->graph->top; !status && l > level; l--) {
        kt_hnsw_walk_clear(walk);
        status = kt_hnsw_walk_from(walk, nearest);
        if (!status) status = kt_hnsw_walk_level(walk, l, product && l == 1 ? DESCENT_EF : 1);
        if (!status) nearest = walk->pool[0].node;
    }
    kt_hnsw_walk_clear(walk);
    return status ? status : kt_hnsw_walk_from(walk, nearest);
}
