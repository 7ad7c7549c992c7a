/* New nodes, in batches (after ParlayANN's Vamana: Manohar and others, 2024).
 *
 * The nodes of a batch walk the graph as it stands before the batch, each choosing its links, on all threads
 * and without a lock. Then the links back are sorted by the node that they lead from, and each such node
 * takes all its new ones at once: choosing anew among old and new costs the same for one as for many. So the
 * graph depends on the rows and their order, and not on the number of threads.
 *
 * Copies of a row would link to nothing but one another, and a walk that came among them stay there: they get
 * half of a list at most.
 *
 * By products nearly every candidate is nearer to some long row that was taken than to the node, so that few
 * would be left to link to (5 of 32), and half of all nodes be nobody's: lists are filled with the nearest of
 * those left out.
 *
 * A batch does not see itself. It is at most a fiftieth of the graph, and a quarter of the nodes that were
 * added in this call: rows of a cluster that nobody saw before find one another.
 */
#include <stdlib.h>

#include "index/hnsw/hnsw_private.h"

enum {
    GRAIN = 4,
    GROWTH = 4,
    BATCH_SHARE = 50,
    LEAST_BATCH = 64,
    MOST_BATCH = 4096,
    MOST_ROOM = 2 * HNSW_MOST_M
};

struct edge {       /* a link back that is wanted */
    uint64_t place; /* level << 32 | the node that it is to lead from */
    uint32_t to;
};

struct inserter { /* one a worker */
    struct kt_arena arena, scratch;
    struct hnsw_walk walk;
    uint8_t *code;
    struct kt_buffer dropped; /* nodes that lost a link to them, u32 */
};

struct inserting {
    struct kt_index *graph;
    const uint8_t *levels;
    struct inserter *workers;
    uint32_t begin, end; /* nodes of the batch */
    struct edge *edges;
    uint32_t edge_count, edge_room;
    uint32_t *groups; /* where the edges of another place begin */
    uint32_t group_count;
};

/* ---- choosing links ---- */

static const float same = 1e-6f; /* of its square: rows closer than that are copies of one another */

/* Copies fill half of a list at most: one in so many is taken, from a place on that differs from list to
 * list, lest all link to the same ones. */
static uint32_t step_among_copies(const struct hnsw_near *candidates, uint32_t count, float limit,
                                  uint32_t most)
{
    uint32_t copies = 0;
    while (copies < count && candidates[copies].distance <= limit) copies++;
    return kt_max_u32(1, copies / (most / 2) + (copies % (most / 2) != 0));
}

void kt_hnsw_fill_up(const struct hnsw_near *candidates, uint32_t count, uint32_t room, uint32_t *links)
{
    uint32_t chosen = kt_hnsw_count(links, room), have = chosen;
    for (uint32_t i = 0; i < count && have < room; i++) {
        uint32_t at = 0;
        while (at < chosen && links[at] != candidates[i].node) at++;
        if (at == chosen) links[have++] = candidates[i].node;
    }
}

kith_status kt_hnsw_select(const struct kt_index *graph, const struct hnsw_near *candidates, uint32_t count,
                           uint32_t most, uint8_t *scratch_code, uint32_t *links, kith_error *error)
{
    struct hnsw_look taken[MOST_ROOM];
    float distances[MOST_ROOM];
    struct hnsw_point point = { .code = scratch_code };
    uint32_t kept = 0, step = 0;
    bool has_copies = graph->shape.metric != KITH_DOT; /* where a distance tells */
    for (uint32_t i = 0; i < count && kept < most; i++) {
        struct hnsw_look look;
        kith_status status = kt_hnsw_look(graph, candidates[i].node, &look, error);
        if (status) return status;
        kt_hnsw_point(graph, &look, &point);
        bool copy = has_copies && candidates[i].distance <= same * point.square, nearer = false;
        if (copy && !step) step = step_among_copies(candidates, count, same * point.square, most);
        if (copy && (i + candidates[count - 1].node) % step) continue;
        for (uint32_t at = 0; at < kept && !nearer && !copy;
             at += 4) { /* most are refused by the first few */
            uint32_t some = kt_min_u32(4, kept - at);
            kt_hnsw_distances(graph, &point, taken + at, some, distances);
            for (uint32_t j = 0; j < some; j++) nearer |= distances[j] < candidates[i].distance;
        }
        if (nearer) continue;
        taken[kept] = look;
        links[kept++] = candidates[i].node;
    }
    for (uint32_t i = kept; i < most; i++) links[i] = HNSW_NONE;
    if (graph->shape.metric == KITH_DOT) kt_hnsw_fill_up(candidates, count, most, links);
    return KITH_OK;
}

static uint32_t level_of(const struct inserting *x, uint32_t node)
{
    if (x->levels) return x->levels[node - x->graph->parts[x->graph->part_count - 1].first];
    return kt_hnsw_base_level(&x->graph->upper, node);
}

/* The lists of one new node, by walking from the top. */
static kith_status link_node(struct inserting *x, struct inserter *worker, uint32_t node, kith_error *error)
{
    struct kt_index *graph = x->graph;
    struct hnsw_walk *walk = &worker->walk;
    struct hnsw_look look;
    uint32_t level = level_of(x, node), *links = NULL;
    walk->error = error;
    kith_status status = kt_hnsw_look(graph, node, &look, error);
    if (status) return status;
    kt_hnsw_point(graph, &look, &walk->point);
    status = kt_hnsw_descend(walk, kt_min_u32(level, graph->top));
    for (uint32_t l = kt_min_u32(level, graph->top) + 1; !status && l-- > 0;) {
        status = kt_hnsw_walk_level(walk, l, graph->shape.ef_construction);
        if (!status) status = kt_hnsw_own_links(graph, node, l, &links, error);
        if (!status)
            status =
                kt_hnsw_select(graph, walk->pool, walk->count, graph->shape.m, worker->code, links, error);
        uint32_t nearest = status ? 0 : walk->pool[0].node;
        kt_hnsw_walk_clear(walk);
        if (!status && l) status = kt_hnsw_walk_from(walk, nearest);
    }
    return status;
}

static kith_status link_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker, kith_error *error)
{
    struct inserting *x = context;
    kith_status status = KITH_OK;
    for (uint64_t i = begin; !status && i < end; i++)
        status = link_node(x, &x->workers[worker], x->begin + (uint32_t)i, error);
    return status;
}

/* ---- links back ---- */

static int compare_edges(const void *a, const void *b)
{
    const struct edge *x = a, *y = b;
    if (x->place != y->place) return x->place < y->place ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

static kith_status gather_list(struct inserting *x, uint32_t node, uint32_t level, kith_error *error)
{
    const uint32_t *links = NULL;
    uint32_t room = kt_hnsw_room(x->graph, level);
    if (x->edge_count + room > x->edge_room) {
        uint32_t more = 2 * x->edge_room + room;
        struct edge *edges = kt_realloc_array(x->edges, more, sizeof *edges);
        if (!edges) return kt_fail_memory(error, more * sizeof *edges);
        x->edges = edges;
        x->edge_room = more;
    }
    kith_status status = kt_hnsw_links(x->graph, node, level, &links, error);
    for (uint32_t i = 0; !status && i < room && links[i] != HNSW_NONE; i++)
        x->edges[x->edge_count++] = (struct edge){ (uint64_t)level << 32 | links[i], node };
    return status;
}

/* Sorts the links back and sees to it that the lists they go into can be written. */
static kith_status gather_edges(struct inserting *x, kith_error *error)
{
    uint32_t *links = NULL;
    kith_status status = KITH_OK;
    x->edge_count = x->group_count = 0;
    for (uint32_t node = x->begin; !status && node < x->end; node++)
        for (uint32_t level = 0; !status && level <= kt_min_u32(level_of(x, node), x->graph->top); level++)
            status = gather_list(x, node, level, error);
    if (status) return status;
    if (x->edge_count) qsort(x->edges, x->edge_count, sizeof *x->edges, compare_edges);
    kt_free(x->groups);
    x->groups = kt_alloc_array((size_t)x->edge_count + 1, sizeof *x->groups);
    if (!x->groups) return kt_fail_memory(error, x->edge_count * sizeof *x->groups);
    for (uint32_t i = 0; !status && i < x->edge_count; i++) {
        if (i && x->edges[i].place == x->edges[i - 1].place) continue;
        x->groups[x->group_count++] = i;
        status = kt_hnsw_own_links(x->graph, (uint32_t)x->edges[i].place, (uint32_t)(x->edges[i].place >> 32),
                                   &links, error);
    }
    x->groups[x->group_count] = x->edge_count;
    return status;
}

static int compare_near(const void *a, const void *b)
{
    const struct hnsw_near *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

kith_status kt_hnsw_choose(const struct kt_index *graph, uint32_t node, struct hnsw_near *candidates,
                           uint32_t count, uint32_t room, struct kt_arena *scratch, uint32_t *links,
                           kith_error *error)
{
    const struct hnsw_part *last = &graph->parts[graph->part_count - 1];
    struct hnsw_point point = { .code = kt_arena_take(scratch, graph->layout.wide, 1) };
    struct hnsw_look *looks = kt_arena_take(scratch, count, sizeof *looks), own;
    float *distances = kt_arena_take(scratch, count, sizeof *distances);
    if (!point.code || !looks || !distances) return kt_fail_memory(error, count * sizeof *looks);
    kith_status status = kt_hnsw_look(graph, node, &own, error);
    for (uint32_t i = 0; !status && i < count; i++) {
        if (candidates[i].node >= last->first + last->count) /* it stood in a file */
            return kt_hnsw_bad_link(graph, node, candidates[i].node, error);
        status = kt_hnsw_look(graph, candidates[i].node, &looks[i], error);
    }
    if (status) return status;
    kt_hnsw_point(graph, &own, &point);
    kt_hnsw_distances(graph, &point, looks, count, distances);
    for (uint32_t i = 0; i < count; i++) candidates[i].distance = distances[i];
    qsort(candidates, count, sizeof *candidates, compare_near);
    return kt_hnsw_select(graph, candidates, count, room, point.code, links, error);
}

/* Remembers who is not among the chosen any more, to be looked after in the end. */
static kith_status note_dropped(struct inserter *worker, const uint32_t *before, uint32_t count,
                                const uint32_t *links, uint32_t room, kith_error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = 0;
        while (at < room && links[at] != HNSW_NONE && links[at] != before[i]) at++;
        bool kept = at < room && links[at] == before[i];
        if (!kept && !kt_buffer_append(&worker->dropped, &before[i], sizeof *before))
            return kt_fail_memory(error, worker->dropped.size);
    }
    return KITH_OK;
}

static kith_status take_back(struct inserting *x, struct inserter *worker, uint32_t group, kith_error *error)
{
    const struct edge *edges = x->edges + x->groups[group];
    uint32_t more = x->groups[group + 1] - x->groups[group], *links = NULL;
    uint32_t node = (uint32_t)edges->place, level = (uint32_t)(edges->place >> 32);
    uint32_t room = kt_hnsw_room(x->graph, level);
    kith_status status = kt_hnsw_own_links(x->graph, node, level, &links, error);
    if (status) return status;
    uint32_t have = kt_hnsw_count(links, room);
    if (have + more <= room) {
        for (uint32_t i = 0; i < more; i++) links[have + i] = edges[i].to;
        return KITH_OK;
    }
    kt_arena_clear(&worker->scratch);
    struct hnsw_near *candidates = kt_arena_take(&worker->scratch, (size_t)have + more, sizeof *candidates);
    uint32_t *before = kt_arena_take(&worker->scratch, (size_t)have + more, sizeof *before);
    if (!candidates || !before) return kt_fail_memory(error, ((size_t)have + more) * sizeof *candidates);
    for (uint32_t i = 0; i < have; i++) candidates[i].node = links[i];
    for (uint32_t i = 0; i < more; i++) candidates[have + i].node = edges[i].to;
    for (uint32_t i = 0; i < have + more; i++) before[i] = candidates[i].node;
    status = kt_hnsw_choose(x->graph, node, candidates, have + more, room, &worker->scratch, links, error);
    return status || !x->levels || level ? status
                                         : note_dropped(worker, before, have + more, links, room, error);
}

static kith_status back_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker, kith_error *error)
{
    struct inserting *x = context;
    kith_status status = KITH_OK;
    for (uint64_t i = begin; !status && i < end; i++)
        status = take_back(x, &x->workers[worker], (uint32_t)i, error);
    return status;
}

/* ---- batches ---- */

/* Nodes from `begin` on that go together; a node above all others goes alone, for walks begin at it then. */
static uint32_t batch_end(const struct inserting *x, uint32_t first, uint32_t last)
{
    uint32_t begin = x->begin, share = kt_max_u32(LEAST_BATCH, begin / BATCH_SHARE);
    uint32_t some = kt_min_u32(kt_min_u32((begin - first) / GROWTH, share), MOST_BATCH);
    uint32_t end = kt_min_u32(begin + kt_max_u32(some, 1), last);
    if (level_of(x, begin) > x->graph->top) return begin + 1;
    for (uint32_t node = begin + 1; node < end; node++)
        if (level_of(x, node) > x->graph->top) return node;
    return end;
}

/* Lists above the lowest level of nodes that are not of a base in memory are patches, made beforehand. */
static kith_status make_lists(struct inserting *x, kith_error *error)
{
    uint32_t *links = NULL;
    kith_status status = KITH_OK;
    for (uint32_t node = x->begin; !status && x->levels && node < x->end; node++)
        for (uint32_t level = 1; !status && level <= level_of(x, node); level++)
            status = kt_hnsw_own_links(x->graph, node, level, &links, error);
    return status;
}

static kith_status insert_batch(struct inserting *x, struct kt_work *work, kith_error *error)
{
    struct kt_index *graph = x->graph;
    kith_status status = make_lists(x, error);
    if (!status && graph->nodes) {
        status = kt_parallel_for(work, NULL, x->end - x->begin, GRAIN, link_chunk, x, error);
        if (!status) status = gather_edges(x, error);
        if (!status) status = kt_parallel_for(work, NULL, x->group_count, GRAIN, back_chunk, x, error);
    }
    if (!graph->nodes || level_of(x, x->begin) > graph->top) {
        graph->entry = x->begin;
        graph->top = level_of(x, x->begin);
    }
    graph->nodes = x->end;
    return status;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Nodes of a run, and those that lost a link to them, must still be found; in the order of their numbers,
 * whoever noted them. (Those of a base are seen to when it is arranged.) */
static kith_status mend(struct inserting *x, uint32_t threads, uint32_t first, uint32_t last,
                        kith_error *error)
{
    struct kt_buffer all = { 0 };
    bool fine = x->levels != NULL;
    kith_status status = KITH_OK;
    for (uint32_t i = 0; fine && i < threads; i++)
        fine = kt_buffer_append(&all, x->workers[i].dropped.data, x->workers[i].dropped.size);
    for (uint32_t node = first; fine && node < last; node++)
        fine = kt_buffer_append(&all, &node, sizeof node);
    if (x->levels && !fine) status = kt_fail_memory(error, all.size);
    uint32_t *nodes = (uint32_t *)(void *)all.data;
    size_t count = status ? 0 : all.size / sizeof *nodes;
    if (count) qsort(nodes, count, sizeof *nodes, compare_numbers);
    for (size_t i = 0; !status && i < count; i++)
        if (!i || nodes[i] != nodes[i - 1]) status = kt_hnsw_mend(x->graph, nodes[i], error);
    kt_buffer_release(&all);
    return status;
}

kith_status kt_hnsw_insert(struct kt_index *graph, const uint8_t *levels, struct kt_work *work,
                           kith_error *error)
{
    const struct hnsw_part *part = &graph->parts[graph->part_count - 1];
    uint32_t threads = kt_work_threads(work), last = part->first + part->count;
    struct inserting x = { .graph = graph, .levels = levels };
    kith_status status = KITH_OK;
    x.workers = kt_alloc_zero(threads, sizeof *x.workers);
    if (!x.workers) return kt_fail_memory(error, threads * sizeof *x.workers);
    for (uint32_t i = 0; !status && i < threads; i++) {
        struct inserter *worker = &x.workers[i];
        status = kt_hnsw_walk_init(&worker->walk, graph, last, graph->shape.ef_construction, 0,
                                   &worker->arena, error);
        worker->code = kt_arena_take(&worker->arena, graph->layout.wide, 1);
        if (!status && !worker->code) status = kt_fail_memory(error, graph->layout.wide);
    }
    for (x.begin = part->first; !status && x.begin < last; x.begin = x.end) {
        x.end = batch_end(&x, part->first, last);
        status = insert_batch(&x, work, error);
        if (!status) status = kt_work_tick(work, "link", x.end - part->first, part->count, error);
    }
    if (!status) status = mend(&x, threads, part->first, last, error);
    for (uint32_t i = 0; i < threads; i++) {
        kt_arena_release(&x.workers[i].arena);
        kt_arena_release(&x.workers[i].scratch);
        kt_buffer_release(&x.workers[i].dropped);
    }
    kt_free(x.workers);
    kt_free(x.edges);
    kt_free(x.groups);
    return status;
}
