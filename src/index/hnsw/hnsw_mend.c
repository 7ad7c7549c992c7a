/* Every node is led to by one of those that it leads to.
 *
 * Choosing links anew may drop the last link to a node, and a search would never find it again (Xiao and
 * others, 2024, counted 3 to 4 % of nodes after updates). That a node can be reached from somewhere is not
 * enough: a walk for its own vector comes to the nodes near it, and one of these must know it. So where none
 * of the nodes that it links to links back, the nearest of them is made to: in a free place of its list, or
 * in place of a node that is led to otherwise. For dot it is the first that has a free place, if one of them
 * or of their neighbours has; why nobody loses a place there is said in hnsw_arrange.c.
 */
#include "index/hnsw/hnsw_private.h"

enum {
    CHAIN = 8, /* nodes that may lose their places one for another */
    TRIES = 8  /* links of a list that are thought of as free, from the last on */
};

static bool has(const uint32_t *links, uint32_t room, uint32_t node)
{
    for (uint32_t i = 0; i < room && links[i] != HNSW_NONE; i++)
        if (links[i] == node) return true;
    return false;
}

/* Whether one of those that a node links to, but for `except`, links back. */
static kith_status is_led_to(const struct kt_index *graph, uint32_t node, uint32_t except, bool *out,
                             kith_error *error)
{
    const uint32_t *links = NULL, *others = NULL;
    uint32_t room = kt_hnsw_room(graph, 0);
    *out = false;
    if (node >= graph->nodes) /* it stood in a list of a file */
        return kt_fail(error, KITH_CORRUPT, "%s links to node %u of %u", kt_hnsw_name(graph), node,
                       graph->nodes);
    kith_status status = kt_hnsw_links(graph, node, 0, &links, error);
    for (uint32_t i = 0; !status && !*out && i < room && links[i] != HNSW_NONE; i++) {
        if (links[i] >= graph->nodes) return kt_hnsw_bad_link(graph, node, links[i], error);
        if (links[i] == except) continue;
        status = kt_hnsw_links(graph, links[i], 0, &others, error);
        *out = !status && has(others, room, node);
    }
    return status;
}

/* The place of a list that a node more may have: a free one, or one whose node is led to otherwise; else the
 * last.
 */
static kith_status place_in(const struct kt_index *graph, uint32_t from, const uint32_t *links, uint32_t *out,
                            kith_error *error)
{
    uint32_t room = kt_hnsw_room(graph, 0), count = kt_hnsw_count(links, room);
    kith_status status = KITH_OK;
    *out = count < room ? count : room - 1;
    for (uint32_t i = room; !status && count == room && i-- > room - kt_min_u32(TRIES, room);) {
        bool led = false;
        status = is_led_to(graph, links[i], from, &led, error);
        *out = i;
        if (led) break;
        if (i == room - kt_min_u32(TRIES, room)) *out = room - 1;
    }
    return status;
}

/* The first of the lists of some nodes that has a free place; `place` is the room of a list if none has. */
static kith_status free_place(const struct kt_index *graph, const uint32_t *nodes, uint32_t *from,
                              uint32_t *place, kith_error *error)
{
    const uint32_t *list = NULL;
    uint32_t room = kt_hnsw_room(graph, 0);
    kith_status status = KITH_OK;
    *place = room;
    for (uint32_t i = 0; !status && i < room && nodes[i] != HNSW_NONE && *place == room; i++) {
        if (nodes[i] >= graph->nodes) return kt_hnsw_bad_link(graph, *from, nodes[i], error);
        status = kt_hnsw_links(graph, nodes[i], 0, &list, error);
        if (!status) *place = kt_hnsw_count(list, room);
        if (*place < room) *from = nodes[i];
    }
    return status;
}

/* The same among the nodes that a node links to, then those that these do. */
static kith_status free_place_near(const struct kt_index *graph, uint32_t node, const uint32_t *links,
                                   uint32_t *from, uint32_t *place, kith_error *error)
{
    const uint32_t *list = NULL;
    uint32_t room = kt_hnsw_room(graph, 0);
    *from = node;
    kith_status status = free_place(graph, links, from, place, error);
    for (uint32_t i = 0; !status && i < room && links[i] != HNSW_NONE && *place == room; i++) {
        *from = links[i];
        status = kt_hnsw_links(graph, links[i], 0, &list, error);
        if (!status) status = free_place(graph, list, from, place, error);
    }
    return status;
}

/* The same, and which node lost its place for it. */
static kith_status mend_one(struct kt_index *graph, uint32_t node, uint32_t *displaced, kith_error *error)
{
    const uint32_t *links = NULL;
    uint32_t *list = NULL, place = 0;
    bool led = false;
    *displaced = HNSW_NONE;
    kith_status status = is_led_to(graph, node, HNSW_NONE, &led, error);
    if (!status) status = kt_hnsw_links(graph, node, 0, &links, error);
    if (status || led || links[0] == HNSW_NONE) return status;
    uint32_t from = links[0];
    if (graph->shape.metric == KITH_DOT) {
        status = free_place_near(graph, node, links, &from, &place, error);
    } else {
        status = kt_hnsw_links(graph, from, 0, &links, error);
        if (!status) status = place_in(graph, from, links, &place, error);
    }
    if (status || place == kt_hnsw_room(graph, 0)) return status;
    status = kt_hnsw_own_links(graph, from, 0, &list, error);
    if (status) return status;
    *displaced = list[place];
    list[place] = node;
    return KITH_OK;
}

kith_status kt_hnsw_mend(struct kt_index *graph, uint32_t node, kith_error *error)
{
    kith_status status = KITH_OK;
    for (int i = 0; !status && i < CHAIN && node != HNSW_NONE; i++)
        status = mend_one(graph, node, &node, error);
    return status;
}
