/* What is done to a graph once all its nodes are linked.
 *
 * Every node reachable: one that cannot be reached from the entry gets a link from one of the nearest nodes
 * that can: in a free place, or in place of a link to a node that others lead to as well. For dot in a free
 * place only: the nearest are always the few long rows, through which all walks go, and there are more rows
 * to be led to than these have links. Who gets no place is among the largest products of nobody near it.
 *
 * Order: the nodes that a node links to are numbered one after another where no number was given yet, and so
 * on from the last of them. A walk goes from neighbour to neighbour, so what it reads lies on fewer pages.
 * Within the nodes of one highest level only, as the levels of a base are told by number.
 */
#include "index/hnsw/hnsw_private.h"

enum { LOOK = 64 /* reachable nodes looked at for a place */, ROUNDS = 4 };

struct arranging {
    struct kt_index *graph;
    uint64_t *reached;  /* a bit a node */
    uint32_t *incoming; /* links to a node */
    uint32_t *queue;    /* of nodes */
    uint32_t queue_end;
    struct kt_arena arena;
};

static bool set_bit(uint64_t *words, uint32_t bit)
{
    bool was = words[bit / 64] >> (bit % 64) & 1;
    words[bit / 64] |= UINT64_C(1) << (bit % 64);
    return was;
}

/* Everything that is reachable from a node and was not reached yet. */
static kith_status reach_from(struct arranging *a, uint32_t node, kith_error *error)
{
    uint32_t room = kt_hnsw_room(a->graph, 0), at = a->queue_end;
    kith_status status = KITH_OK;
    if (set_bit(a->reached, node)) return KITH_OK;
    a->queue[a->queue_end++] = node;
    for (; !status && at < a->queue_end; at++) {
        const uint32_t *links = NULL;
        status = kt_hnsw_links(a->graph, a->queue[at], 0, &links, error);
        for (uint32_t i = 0; !status && i < room && links[i] != HNSW_NONE; i++)
            if (!set_bit(a->reached, links[i])) a->queue[a->queue_end++] = links[i];
    }
    return status;
}

static kith_status count_incoming(struct arranging *a, kith_error *error)
{
    uint32_t room = kt_hnsw_room(a->graph, 0);
    kith_status status = KITH_OK;
    memset(a->incoming, 0, (size_t)a->graph->nodes * sizeof *a->incoming);
    for (uint32_t node = 0; !status && node < a->graph->nodes; node++) {
        const uint32_t *links = NULL;
        status = kt_hnsw_links(a->graph, node, 0, &links, error);
        for (uint32_t i = 0; !status && i < room && links[i] != HNSW_NONE; i++) a->incoming[links[i]]++;
    }
    return status;
}

/* Where in a list a link more can stand, or `room`. */
static uint32_t place_in(const struct arranging *a, const uint32_t *links, uint32_t room)
{
    for (uint32_t i = 0; i < room; i++)
        if (links[i] == HNSW_NONE) return i;
    if (a->graph->shape.metric == KITH_DOT) return room;
    for (uint32_t i = room; i-- > 0;)
        if (a->incoming[links[i]] > 1) return i;
    return room;
}

/* Lets a reachable node near it lead to `node`. */
static kith_status lead_to(struct arranging *a, struct hnsw_walk *walk, uint32_t node, kith_error *error)
{
    uint32_t room = kt_hnsw_room(a->graph, 0);
    struct hnsw_look look;
    kith_status status = kt_hnsw_look(a->graph, node, &look, error);
    if (status) return status;
    kt_hnsw_point(a->graph, &look, &walk->point);
    status = kt_hnsw_descend(walk, 0);
    if (!status) status = kt_hnsw_walk_level(walk, 0, LOOK);
    for (uint32_t i = 0; !status && i < walk->count; i++) {
        uint32_t *links = NULL, from = walk->pool[i].node;
        status = kt_hnsw_own_links(a->graph, from, 0, &links, error);
        uint32_t at = status ? room : place_in(a, links, room);
        if (status || from == node || at == room || !(a->reached[from / 64] >> (from % 64) & 1)) continue;
        if (links[at] != HNSW_NONE) a->incoming[links[at]]--;
        links[at] = node;
        a->incoming[node]++;
        return reach_from(a, node, error);
    }
    return status;
}

static kith_status lead_to_all(struct arranging *a, kith_error *error)
{
    uint32_t nodes = a->graph->nodes;
    struct hnsw_walk walk;
    kith_status status = kt_hnsw_walk_init(&walk, a->graph, nodes, LOOK, 0, &a->arena, error);
    for (uint32_t round = 0; !status && round < ROUNDS; round++) {
        memset(a->reached, 0, ((size_t)nodes / 64 + 1) * sizeof *a->reached);
        a->queue_end = 0;
        status = reach_from(a, a->graph->entry, error);
        if (status || a->queue_end == nodes) break;
        status = count_incoming(a, error);
        for (uint32_t node = 0; !status && node < nodes; node++)
            if (!(a->reached[node / 64] >> (node % 64) & 1)) status = lead_to(a, &walk, node, error);
    }
    return status;
}

/* Nodes in the order in which they are to lie, into `queue`. */
static kith_status order_nodes(struct arranging *a, kith_error *error)
{
    uint32_t nodes = a->graph->nodes, room = kt_hnsw_room(a->graph, 0), count = 0;
    uint32_t *stack = a->incoming, height = 0; /* which is not needed any more; a node is in it once */
    kith_status status = KITH_OK;
    memset(a->reached, 0, ((size_t)nodes / 64 + 1) * sizeof *a->reached);
    for (uint32_t begin = 0; begin <= nodes; begin++) { /* the entry first, then who is not reached from it */
        uint32_t from = begin ? begin - 1 : a->graph->entry;
        if (set_bit(a->reached, from)) continue;
        a->queue[count++] = stack[height++] = from;
        while (height) {
            const uint32_t *links = NULL;
            status = kt_hnsw_links(a->graph, stack[--height], 0, &links, error);
            if (status) return status;
            for (uint32_t i = 0; i < room && links[i] != HNSW_NONE; i++)
                if (!set_bit(a->reached, links[i])) a->queue[count++] = stack[height++] = links[i];
        }
    }
    return KITH_OK;
}

/* Numbers by level, highest first, and in that order within one. */
static void give_numbers(const struct arranging *a, uint32_t *numbers)
{
    const uint32_t *above = a->graph->upper.above;
    uint32_t next[HNSW_LEVELS + 1];
    for (uint32_t l = 0; l <= HNSW_LEVELS; l++) next[l] = l < HNSW_LEVELS ? above[l + 1] : 0;
    for (uint32_t i = 0; i < a->graph->nodes; i++) {
        uint32_t node = a->queue[i];
        numbers[node] = next[kt_hnsw_base_level(&a->graph->upper, node)]++;
    }
}

static kith_status mend_all(struct kt_index *graph, kith_error *error)
{
    kith_status status = KITH_OK;
    if (graph->shape.metric == KITH_DOT) return KITH_OK; /* being reachable finds a nearer place */
    for (uint32_t node = 0; !status && node < graph->nodes; node++) status = kt_hnsw_mend(graph, node, error);
    return status;
}

kith_status kt_hnsw_arrange(struct kt_index *graph, uint32_t *numbers, kith_error *error)
{
    size_t nodes = graph->nodes;
    struct arranging a = { .graph = graph };
    if (!nodes) return KITH_OK;
    a.reached = kt_alloc_array(nodes / 64 + 1, sizeof *a.reached);
    a.incoming = kt_alloc_array(nodes, sizeof *a.incoming);
    a.queue = kt_alloc_array(nodes, sizeof *a.queue);
    kith_status status = a.reached && a.incoming && a.queue
                             ? mend_all(graph, error)
                             : kt_fail_memory(error, nodes * (sizeof *a.incoming + sizeof *a.queue));
    if (!status) status = lead_to_all(&a, error);
    if (!status) status = order_nodes(&a, error);
    if (!status) give_numbers(&a, numbers);
    kt_arena_release(&a.arena);
    kt_free(a.reached);
    kt_free(a.incoming);
    kt_free(a.queue);
    return status;
}
