/* Some files of a graph as one.
 *
 * Runs become a run: their nodes keep their numbers, and of the patches the last ones stand. All files become
 * a base: then dead nodes go. A node that linked to one takes the dead node's neighbours for candidates and
 * chooses anew (FreshDiskANN: Singh and others, 2021), so that walks that led through the dead lead past
 * them. Codes are moved, not made again.
 */
#include <stdio.h>

#include "index/hnsw/hnsw_private.h"

enum { CANDIDATES = 8 /* times the room of a list, at most */, GRAIN = 64 };

struct folding {
    const struct kt_index *from;
    struct kt_index to;
    const struct kt_selection *live;
    uint32_t *places; /* of each node in the new graph before it is arranged; HNSW_NONE: it is dead */
    uint32_t *nodes;  /* the other way */
    uint32_t count;
    struct kt_arena *arenas; /* one a worker */
    uint32_t *aside;
    uint32_t aside_count;
};

/* ---- who is left */

/* Gives live nodes their places: by level, highest first, as a base in memory has them. */
static kith_status place_nodes(struct folding *f, kith_error *error)
{
    uint32_t nodes = f->from->nodes, above[HNSW_LEVELS + 2] = { 0 }, next[HNSW_LEVELS + 1];
    uint8_t *levels = kt_alloc_zero((size_t)nodes + 1, 1);
    kith_status status = levels ? KITH_OK : kt_fail_memory(error, nodes);
    for (uint32_t node = 0; !status && node < nodes; node++) {
        uint64_t row = 0;
        status = kt_hnsw_row(f->from, node, &row, error);
        uint32_t level = kt_hnsw_level(&f->from->shape, row);
        bool live = !f->live || kt_selected(f->live, row);
        levels[node] = (uint8_t)level;
        f->places[node] = live ? 0 : HNSW_NONE;
        for (uint32_t l = 0; live && l <= level; l++) above[l]++;
    }
    for (uint32_t l = 0; l <= HNSW_LEVELS; l++) next[l] = above[l + 1];
    for (uint32_t node = 0; !status && node < nodes; node++) {
        if (f->places[node] == HNSW_NONE) continue;
        f->places[node] = next[levels[node]]++;
        f->nodes[f->places[node]] = node;
    }
    f->count = above[0];
    memcpy(f->to.upper.above, above, sizeof f->to.upper.above);
    kt_free(levels);
    return status;
}

/* ---- lists without the dead */

struct candidates {
    struct hnsw_near *near;
    uint32_t count, room;
};

static void add_candidate(struct candidates *c, uint32_t node)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (c->near[i].node == node) return;
    if (c->count < c->room) c->near[c->count++] = (struct hnsw_near){ 0, node };
}

/* The live nodes of a list, and those that its dead ones lead to. */
static kith_status gather(const struct folding *f, uint32_t node, uint32_t level, struct candidates *c,
                          kith_error *error)
{
    uint32_t room = kt_hnsw_room(f->from, level);
    const uint32_t *links = NULL, *further = NULL;
    kith_status status = kt_hnsw_links(f->from, node, level, &links, error);
    for (uint32_t i = 0; !status && i < room && links[i] != HNSW_NONE; i++) {
        if (links[i] >= f->from->nodes) return kt_hnsw_bad_link(f->from, node, links[i], error);
        if (f->places[links[i]] != HNSW_NONE) {
            add_candidate(c, links[i]);
            continue;
        }
        status = kt_hnsw_links(f->from, links[i], level, &further, error);
        for (uint32_t j = 0; !status && j < room && further[j] != HNSW_NONE; j++)
            if (further[j] < f->from->nodes && further[j] != node && f->places[further[j]] != HNSW_NONE)
                add_candidate(c, further[j]);
    }
    return status;
}

/* The list of one node and level in the new graph. */
static kith_status fold_list(const struct folding *f, uint32_t place, uint32_t level,
                             struct kt_arena *scratch, uint32_t *to, kith_error *error)
{
    uint32_t room = kt_hnsw_room(f->from, level), most = CANDIDATES * room, node = f->nodes[place];
    struct candidates c = { .room = most };
    kt_arena_clear(scratch);
    c.near = kt_arena_take(scratch, most, sizeof *c.near);
    uint32_t *links = kt_arena_take(scratch, room, sizeof *links);
    if (!c.near || !links) return kt_fail_memory(error, most * sizeof *c.near);
    kith_status status = gather(f, node, level, &c, error);
    if (status) return status;
    if (c.count > room) {
        status = kt_hnsw_choose(f->from, node, c.near, c.count, room, scratch, links, error);
        /* Where nodes were taken out, ways are to be many rather than short. */
        if (!status) kt_hnsw_fill_up(c.near, c.count, room, links);
        for (uint32_t i = 0; !status && i < room; i++)
            to[i] = links[i] == HNSW_NONE ? HNSW_NONE : f->places[links[i]];
        return status;
    }
    for (uint32_t i = 0; i < c.count; i++) to[i] = f->places[c.near[i].node];
    return KITH_OK; /* the rest is empty already */
}

static kith_status fold_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker, kith_error *error)
{
    struct folding *f = context;
    struct kt_index *to = &f->to;
    kith_status status = KITH_OK;
    for (uint64_t i = begin; !status && i < end; i++) {
        uint32_t place = (uint32_t)i;
        const struct hnsw_part *part = &to->parts[0];
        struct hnsw_look old;
        uint64_t row;
        status = kt_hnsw_look(f->from, f->nodes[place], &old, error);
        if (!status) status = kt_hnsw_row(f->from, f->nodes[place], &row, error);
        if (status) break;
        memcpy(part->code_memory + i * to->layout.code_bytes, old.code, to->layout.code_bytes);
        memcpy(part->factor_memory + 2 * i, old.factors, 2 * sizeof(float));
        part->row_memory[i] = (uint32_t)(row - to->shape.base_row);
        for (uint32_t l = 0; !status && l <= HNSW_LEVELS && place < to->upper.above[l]; l++) {
            uint32_t *list = l ? to->upper.memory[l] + (size_t)place * to->shape.m
                               : part->link_memory + i * 2 * to->shape.m;
            status = fold_list(f, place, l, &f->arenas[worker], list, error);
        }
    }
    return status;
}

/* ---- rows aside */

static kith_status gather_aside(struct folding *f, uint32_t first, uint32_t count, kith_error *error)
{
    f->aside = kt_alloc_array((size_t)f->from->aside + 1, sizeof *f->aside);
    if (!f->aside) return kt_fail_memory(error, f->from->aside * sizeof *f->aside);
    for (uint32_t p = first; p < first + count; p++) {
        const struct hnsw_part *part = &f->from->parts[p];
        const uint8_t *bytes = NULL;
        kith_status status = kt_hnsw_lend(part, part->aside, (uint64_t)part->aside_count * 4, &bytes, error);
        if (status) return status;
        for (uint32_t i = 0; i < part->aside_count; i++) {
            uint32_t offset = kt_get_u32(bytes + 4 * (size_t)i);
            if (!f->live || kt_selected(f->live, f->from->shape.base_row + offset))
                f->aside[f->aside_count++] = offset;
        }
    }
    return KITH_OK;
}

/* ---- both kinds */

static kith_status fold(struct folding *f, struct kt_work *work, kith_error *error)
{
    uint32_t threads = kt_work_threads(work);
    size_t nodes = f->from->nodes;
    f->places = kt_alloc_array(nodes + 1, sizeof *f->places);
    f->nodes = kt_alloc_array(nodes + 1, sizeof *f->nodes);
    f->arenas = kt_alloc_zero(threads, sizeof *f->arenas);
    if (!f->places || !f->nodes || !f->arenas) return kt_fail_memory(error, 2 * nodes * sizeof *f->places);
    kith_status status = place_nodes(f, error);
    if (!status) status = kt_hnsw_add_memory(&f->to, f->count, error);
    if (!status) status = kt_hnsw_add_upper(&f->to, error);
    if (!status) status = kt_parallel_for(work, "fold", f->count, GRAIN, fold_chunk, f, error);
    for (uint32_t i = 0; i < threads; i++) kt_arena_release(&f->arenas[i]);
    f->to.nodes = f->count;
    f->to.entry = 0;
    while (f->to.top < HNSW_LEVELS && f->to.upper.above[f->to.top + 1]) f->to.top++;
    return status;
}

static kith_status name_tree(const struct kt_index *graph, json_t *meta, kith_error *error)
{
    char text[32];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)graph->shape.graph);
    return json_object_set_new(meta, "tree", json_string(text)) ? kt_fail_memory(error, sizeof text)
                                                                : KITH_OK;
}

static kith_status merge_all(struct folding *f, struct kt_work *work, struct kt_sink *sink, json_t **meta,
                             kith_error *error)
{
    f->to = (struct kt_index){ .shape = f->from->shape,
                               .layout = f->from->layout,
                               .space = f->from->space, /* its mean is the base's, which stays open */
                               .row_span = f->from->row_span };
    kith_status status = fold(f, work, error);
    if (!status) status = gather_aside(f, 0, f->from->part_count, error);
    if (!status) status = kt_hnsw_write_base(&f->to, f->aside, f->aside_count, work, sink, meta, error);
    if (!status) status = name_tree(&f->to, *meta, error);
    kt_hnsw_release(&f->to);
    return status;
}

static kith_status merge_runs(struct folding *f, uint32_t first, uint32_t count, struct kt_work *work,
                              struct kt_sink *sink, json_t **meta, kith_error *error)
{
    const struct hnsw_part *parts = f->from->parts + first, *last = parts + count - 1;
    f->live = NULL; /* numbers stay, and so do nodes */
    kith_status status = gather_aside(f, first, count, error);
    struct hnsw_writing writing = { .graph = f->from,
                                    .extent = { .is_run = true,
                                                .first = parts->first,
                                                .count = last->first + last->count - parts->first,
                                                .aside = f->aside_count,
                                                .entry = f->from->entry,
                                                .top = f->from->top,
                                                .row_span = f->from->row_span },
                                    .aside = f->aside };
    if (!status) status = kt_hnsw_write(&writing, work, sink, error);
    return status ? status : kt_hnsw_describe(f->from, &writing.extent, meta, error);
}

kith_status kt_hnsw_merge(const struct kt_index *graph, uint32_t first, uint32_t count,
                          const struct kt_selection *live, const struct kt_vectors *vectors,
                          struct kt_work *work, struct kt_sink *sink, json_t **meta, kith_error *error)
{
    struct folding f = { .from = graph, .live = live };
    (void)vectors;
    if (first + count != graph->part_count)
        return kt_fail(error, KITH_CONFLICT, "runs were added to %s while others were merged",
                       kt_hnsw_name(graph));
    kith_status status = first ? merge_runs(&f, first, count, work, sink, meta, error)
                               : merge_all(&f, work, sink, meta, error);
    kt_free(f.places);
    kt_free(f.nodes);
    kt_free(f.arenas);
    kt_free(f.aside);
    return status;
}
