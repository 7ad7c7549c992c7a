/* The graph in memory: parts that hold nodes, and patches, which are lists that stand in place of those that
 * a file has. Files never change; so when a new node links to one of a file and that one links back, its list
 * is copied into a patch, and a run writes its patches out.
 *
 * Patches are found by a table of (node, level), and a bit a node says whether to look at all: an index of
 * one file pays nothing for them. Lists above the lowest level, which few nodes have, stand in the base by
 * level, where the highest nodes come first; those of all other nodes are patches.
 */
#include <math.h>

#include "base/random.h"
#include "index/hnsw/hnsw_private.h"

enum { LEAST_SLOTS = 64 };

const char *kt_hnsw_name(const struct kt_index *graph)
{
    return graph->part_count && graph->parts[0].file ? kt_view_name(graph->parts[0].file) : "the new index";
}

kith_status kt_hnsw_bad_link(const struct kt_index *graph, uint32_t node, uint32_t link, kith_error *error)
{
    return kt_fail(error, KITH_CORRUPT, "%s: node %u links to node %u of %u", kt_hnsw_name(graph), node, link,
                   graph->nodes);
}

kith_status kt_hnsw_lend(const struct hnsw_part *part, uint64_t offset, uint64_t count, const uint8_t **out,
                         kith_error *error)
{
    return kt_view(part->file, offset, count, out, error);
}

/* ---- patches ---- */

static uint32_t slot_of(const struct hnsw_patches *patches, uint32_t node, uint32_t level)
{
    uint32_t slot = (uint32_t)kt_mix((uint64_t)level << 32 | node) & patches->mask;
    while (patches->slots[slot].links &&
           (patches->slots[slot].node != node || patches->slots[slot].level != level))
        slot = (slot + 1) & patches->mask;
    return slot;
}

static bool grow(struct hnsw_patches *patches)
{
    if (patches->mask >= UINT32_MAX / 4) return false;
    uint32_t slots = patches->slots ? 2 * (patches->mask + 1) : LEAST_SLOTS;
    struct hnsw_patches larger = *patches;
    larger.mask = slots - 1;
    larger.slots = kt_alloc_zero(slots, sizeof *larger.slots);
    if (!larger.slots) return false;
    for (uint32_t i = 0; patches->slots && i <= patches->mask; i++) {
        const struct hnsw_patch *patch = &patches->slots[i];
        if (patch->links) larger.slots[slot_of(&larger, patch->node, patch->level)] = *patch;
    }
    kt_free(patches->slots);
    *patches = larger;
    return true;
}

kith_status kt_hnsw_add_patch(struct kt_index *graph, uint32_t node, uint32_t level, uint32_t *links,
                              kith_error *error)
{
    struct hnsw_patches *patches = &graph->patches;
    if ((!patches->slots || patches->count > patches->mask / 2) && !grow(patches))
        return kt_fail_memory(error, 2 * ((size_t)patches->mask + 1) * sizeof *patches->slots);
    uint32_t slot = slot_of(patches, node, level);
    patches->count += !patches->slots[slot].links;
    patches->slots[slot] = (struct hnsw_patch){ node, level, links };
    patches->marks[node / 64] |= UINT64_C(1) << (node % 64);
    return KITH_OK;
}

static uint32_t *find_patch(const struct kt_index *graph, uint32_t node, uint32_t level)
{
    const struct hnsw_patches *patches = &graph->patches;
    if (!patches->count || !(patches->marks[node / 64] >> (node % 64) & 1)) return NULL;
    return patches->slots[slot_of(patches, node, level)].links;
}

/* ---- lists ---- */

/* The list of a level above the lowest, of the base; HNSW_NONE alone for a node that has none. */
static kith_status upper_links(const struct kt_index *graph, uint32_t node, uint32_t level,
                               const uint32_t **out, kith_error *error)
{
    static const uint32_t none = HNSW_NONE;
    const struct hnsw_upper *upper = &graph->upper;
    uint64_t at = (uint64_t)node * graph->shape.m;
    const uint8_t *bytes = NULL;
    *out = &none;
    if (level > HNSW_LEVELS || node >= upper->above[level]) return KITH_OK;
    if (upper->memory[level]) {
        *out = upper->memory[level] + at;
        return KITH_OK;
    }
    kith_status status = kt_view(graph->parts[0].file, upper->at[level] + at * sizeof(uint32_t),
                                 graph->shape.m * sizeof(uint32_t), &bytes, error);
    *out = (const uint32_t *)(const void *)bytes;
    return status;
}

kith_status kt_hnsw_links(const struct kt_index *graph, uint32_t node, uint32_t level, const uint32_t **out,
                          kith_error *error)
{
    const uint8_t *bytes = NULL;
    *out = find_patch(graph, node, level);
    if (*out) return KITH_OK;
    if (level) return upper_links(graph, node, level, out, error);
    const struct hnsw_part *part = kt_hnsw_part(graph, node);
    uint64_t at = node - part->first, size = graph->layout.link_bytes;
    if (part->link_memory) {
        *out = part->link_memory + at * 2 * graph->shape.m;
        return KITH_OK;
    }
    kith_status status = kt_hnsw_lend_short(part, part->links + at * size, size, &bytes, error);
    *out = (const uint32_t *)(const void *)bytes;
    return status;
}

/* Copies what stands there now into a patch. */
static kith_status make_patch(struct kt_index *graph, uint32_t node, uint32_t level, uint32_t **out,
                              kith_error *error)
{
    const uint32_t *now = NULL;
    uint32_t room = kt_hnsw_room(graph, level);
    kith_status status = kt_hnsw_links(graph, node, level, &now, error);
    if (status) return status;
    uint32_t *links = kt_arena_take(&graph->lists, room, sizeof *links);
    if (!links) return kt_fail_memory(error, room * sizeof *links);
    uint32_t count = kt_hnsw_count(now, room);
    memset(links, 0xff, room * sizeof *links);
    memcpy(links, now, count * sizeof *links);
    *out = links;
    return kt_hnsw_add_patch(graph, node, level, links, error);
}

/* Whether a patch is in memory that may be written. */
static bool is_ours(const struct kt_index *graph, const uint32_t *links)
{
    for (uint32_t i = 0; i < graph->part_count; i++) {
        const struct hnsw_part *part = &graph->parts[i];
        if (!part->file) continue;
        uintptr_t at = (uintptr_t)links - (uintptr_t)part->window.map;
        if (at < kt_view_length(part->file)) return false;
    }
    return true;
}

kith_status kt_hnsw_own_links(struct kt_index *graph, uint32_t node, uint32_t level, uint32_t **out,
                              kith_error *error)
{
    const struct hnsw_part *part = kt_hnsw_part(graph, node);
    *out = find_patch(graph, node, level);
    if (*out && is_ours(graph, *out)) return KITH_OK;
    if (!*out && part->link_memory && !level) {
        *out = part->link_memory + (uint64_t)(node - part->first) * 2 * graph->shape.m;
        return KITH_OK;
    }
    if (!*out && part->link_memory && node < graph->upper.above[level]) {
        *out = graph->upper.memory[level] + (uint64_t)node * graph->shape.m;
        return KITH_OK;
    }
    return make_patch(graph, node, level, out, error);
}

/* ---- nodes ---- */

static void release_part(struct hnsw_part *part)
{
    if (part->file) kt_view_close(part->file);
    kt_free(part->code_memory);
    kt_free(part->factor_memory);
    kt_free(part->row_memory);
    kt_free(part->link_memory);
}

kith_status kt_hnsw_add_memory(struct kt_index *graph, uint32_t count, kith_error *error)
{
    struct hnsw_part *parts = kt_realloc_array(graph->parts, (size_t)graph->part_count + 1, sizeof *parts);
    if (!parts) return kt_fail_memory(error, sizeof *parts);
    graph->parts = parts;
    size_t code_bytes = (size_t)count * graph->layout.code_bytes + HNSW_SPARE,
           words = ((size_t)graph->nodes + count) / 64 + 1;
    size_t link_bytes = (size_t)count * graph->layout.link_bytes;
    struct hnsw_part part = { .first = graph->nodes,
                              .count = count,
                              .code_memory = kt_alloc_large(code_bytes),
                              .factor_memory = kt_alloc_array(2 * (size_t)count, sizeof(float)),
                              .row_memory = kt_alloc_array(count, sizeof(uint32_t)),
                              .link_memory = kt_alloc_large(link_bytes) };
    uint64_t *marks = kt_alloc_zero(words, sizeof *marks);
    if (!part.code_memory || !part.factor_memory || !part.row_memory || !part.link_memory || !marks) {
        release_part(&part);
        kt_free(marks);
        return kt_fail_memory(error, code_bytes + link_bytes);
    }
    if (graph->patches.marks)
        memcpy(marks, graph->patches.marks, ((size_t)graph->nodes / 64 + 1) * sizeof *marks);
    kt_free(graph->patches.marks);
    graph->patches.marks = marks;
    memset(part.code_memory + code_bytes - HNSW_SPARE, 0, HNSW_SPARE);
    memset(part.link_memory, 0xff, link_bytes); /* every list is empty */
    parts[graph->part_count++] = part;
    return KITH_OK;
}

kith_status kt_hnsw_add_upper(struct kt_index *graph, kith_error *error)
{
    struct hnsw_upper *upper = &graph->upper;
    for (uint32_t l = 1; l <= HNSW_LEVELS && upper->above[l]; l++) {
        size_t bytes = (size_t)upper->above[l] * graph->shape.m * sizeof(uint32_t);
        upper->memory[l] = kt_alloc(bytes);
        if (!upper->memory[l]) return kt_fail_memory(error, bytes);
        memset(upper->memory[l], 0xff, bytes);
    }
    return KITH_OK;
}

kith_status kt_hnsw_row(const struct kt_index *graph, uint32_t node, uint64_t *out, kith_error *error)
{
    const struct hnsw_part *part = kt_hnsw_part(graph, node);
    uint64_t at = node - part->first;
    const uint8_t *bytes = (const uint8_t *)(part->row_memory + (part->row_memory ? at : 0));
    kith_status status =
        part->row_memory ? KITH_OK : kt_hnsw_lend_short(part, part->rows + 4 * at, 4, &bytes, error);
    if (status) return status;
    uint32_t offset = kt_get_u32(bytes);
    if (offset >= graph->row_span)
        return kt_fail(error, KITH_CORRUPT, "%s holds row offset %u; its rows end before %llu",
                       kt_hnsw_name(graph), offset, (unsigned long long)graph->row_span);
    *out = graph->shape.base_row + offset;
    return KITH_OK;
}

uint32_t kt_hnsw_level(const struct hnsw_shape *shape, uint64_t row)
{
    double uniform = ((double)(kt_mix(kt_mix(shape->seed) ^ row) >> 11) + 1) * 0x1p-53; /* in (0, 1] */
    double level = -log(uniform) / log((double)shape->m);
    return (uint32_t)fmin(level, HNSW_LEVELS);
}

void kt_hnsw_release(struct kt_index *graph)
{
    for (uint32_t i = 0; i < graph->part_count; i++) release_part(&graph->parts[i]);
    for (uint32_t l = 0; l <= HNSW_LEVELS; l++) kt_free(graph->upper.memory[l]);
    kt_arena_release(&graph->lists);
    kt_free(graph->parts);
    kt_free(graph->own_mean);
    kt_free(graph->patches.marks);
    kt_free(graph->patches.slots);
    kt_free(graph->part_rows);
}
