/* The files of a graph.
 *
 *   header     256 bytes: magic, shape, extent, what stands at which level
 *   mean       space_dim floats; of a base alone
 *   upper      of a base: for each level from 1 on, the lists of its nodes, m numbers each
 *   codes      of its nodes, a multiple of 16 bytes each; 64 bytes more at the end
 *   factors    unit and square of the length of each code, floats
 *   rows       u32 from the base row
 *   links      of the lowest level, 2 m numbers each
 *   aside      offsets of rows that no code holds, u32
 *   patches    lists in place of others: node, then 2 m numbers; then those of higher levels: node, level, m
 *              numbers. By level, then by node
 *
 * Sections begin at multiples of 64. An unused place of a list is 2^32 - 1, and so are all behind it.
 */
#include <stdlib.h>

#include "index/hnsw/hnsw_private.h"

enum { WRITE_BYTES = 1 << 20 };

const char kt_hnsw_magic[8] = { 'K', 'I', 'T', 'H', 'H', 'N', 'S', '1' };

static uint64_t align(uint64_t at)
{
    return kt_round_up(at, HNSW_ALIGN);
}

void kt_hnsw_places(const struct hnsw_shape *shape, const uint32_t *above, const struct hnsw_extent *extent,
                    struct hnsw_places *out)
{
    struct hnsw_layout layout;
    uint64_t at = HNSW_HEADER_BYTES;
    kt_hnsw_layout(shape, &layout);
    out->mean = at;
    if (!extent->is_run) at = align(at + (uint64_t)shape->space_dim * sizeof(float));
    for (uint32_t l = 1; l <= HNSW_LEVELS; l++) {
        out->upper[l] = at;
        if (!extent->is_run) at = align(at + (uint64_t)above[l] * shape->m * sizeof(uint32_t));
    }
    uint64_t count = extent->count;
    out->codes = at;
    out->factors = at = align(at + count * layout.code_bytes + HNSW_SPARE);
    out->rows = at = align(at + count * 2 * sizeof(float));
    out->links = at = align(at + count * sizeof(uint32_t));
    out->aside = at = align(at + count * layout.link_bytes);
    out->patches[0] = at = align(at + (uint64_t)extent->aside * sizeof(uint32_t));
    at = align(at + (uint64_t)extent->patches[0] * (1 + 2 * (uint64_t)shape->m) * sizeof(uint32_t));
    out->patches[1] = at;
    out->end = align(at + (uint64_t)extent->patches[1] * (2 + (uint64_t)shape->m) * sizeof(uint32_t));
}

static void encode_header(const struct kt_index *graph, const struct hnsw_extent *e, uint8_t *p)
{
    const struct hnsw_shape *s = &graph->shape;
    const uint32_t fields[] = { s->metric,          s->element,    s->dim,   s->space_dim, s->m,
                                s->ef_construction, e->is_run,     e->first, e->count,     e->aside,
                                e->patches[0],      e->patches[1], e->entry, e->top };
    memset(p, 0, HNSW_HEADER_BYTES);
    memcpy(p, kt_hnsw_magic, sizeof kt_hnsw_magic);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) kt_put_u32(p + 8 + 4 * i, fields[i]);
    kt_put_u64(p + 64, s->base_row);
    kt_put_u64(p + 72, s->seed);
    memcpy(p + 80, &s->longest, sizeof s->longest);
    kt_put_u64(p + 88, s->graph);
    kt_put_u64(p + 96, e->row_span);
    for (uint32_t l = 0; l <= HNSW_LEVELS; l++)
        kt_put_u32(p + 104 + 4 * (size_t)l, e->is_run ? 0 : graph->upper.above[l]);
}

static uint32_t number_of(const struct hnsw_writing *w, uint32_t node)
{
    return w->numbers && node != HNSW_NONE ? w->numbers[node] : node;
}

/* ---- nodes ---- */

struct ordered { /* nodes of the file, as they are written: those of the graph */
    uint32_t *nodes;
};

static kith_status order_of(const struct hnsw_writing *w, struct ordered *out, kith_error *error)
{
    uint32_t count = w->extent.count;
    out->nodes = kt_alloc_array((size_t)count + 1, sizeof *out->nodes);
    if (!out->nodes) return kt_fail_memory(error, count * sizeof *out->nodes);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t node = w->extent.first + i;
        out->nodes[w->numbers ? w->numbers[node] : i] = node;
    }
    return KITH_OK;
}

/* What of a node goes into one array of the file. */
enum array { CODES, FACTORS, ROWS, LINKS, ARRAYS };

static uint32_t item_bytes(const struct kt_index *graph, enum array array)
{
    const uint32_t bytes[ARRAYS] = { graph->layout.code_bytes, 8, 4, graph->layout.link_bytes };
    return bytes[array];
}

static kith_status fill_item(const struct hnsw_writing *w, enum array array, uint32_t node, uint8_t *to,
                             kith_error *error)
{
    const struct kt_index *graph = w->graph;
    const uint32_t *links = NULL;
    struct hnsw_look look;
    uint64_t row = 0;
    kith_status status = KITH_OK;
    if (array == ROWS) {
        status = kt_hnsw_row(graph, node, &row, error);
        kt_put_u32(to, (uint32_t)(row - graph->shape.base_row));
        return status;
    }
    if (array == LINKS) {
        status = kt_hnsw_links(graph, node, 0, &links, error);
        for (uint32_t j = 0; !status && j < 2 * graph->shape.m; j++)
            kt_put_u32(to + 4 * (size_t)j, number_of(w, links[j]));
        return status;
    }
    status = kt_hnsw_look(graph, node, &look, error);
    if (!status)
        memcpy(to, array == CODES ? (const void *)look.code : look.factors, item_bytes(graph, array));
    return status;
}

static kith_status write_array(const struct hnsw_writing *w, enum array array, const struct ordered *order,
                               struct kt_sink *sink, kith_error *error)
{
    uint32_t bytes = item_bytes(w->graph, array), batch = kt_max_u32(1, WRITE_BYTES / bytes), filled = 0;
    uint8_t *buffer = kt_alloc((size_t)batch * bytes);
    kith_status status = buffer ? KITH_OK : kt_fail_memory(error, (size_t)batch * bytes);
    for (uint32_t i = 0; !status && i < w->extent.count; i++) {
        status = fill_item(w, array, order->nodes[i], buffer + (size_t)filled++ * bytes, error);
        if (status || (filled < batch && i + 1 < w->extent.count)) continue;
        status = kt_sink_write(sink, buffer, (size_t)filled * bytes, error);
        filled = 0;
    }
    if (!status && array == CODES) status = kt_sink_write(sink, NULL, HNSW_SPARE, error);
    kt_free(buffer);
    return status ? status : kt_sink_align(sink, HNSW_ALIGN, error);
}

static kith_status write_nodes(const struct hnsw_writing *w, const struct ordered *order,
                               struct kt_work *work, struct kt_sink *sink, kith_error *error)
{
    kith_status status = KITH_OK;
    for (enum array array = CODES; !status && array < ARRAYS; array++) {
        status = write_array(w, array, order, sink, error);
        if (!status) status = kt_work_tick(work, "write", (uint64_t)array + 1, ARRAYS, error);
    }
    return status;
}

static kith_status write_upper(const struct hnsw_writing *w, const struct ordered *order,
                               struct kt_sink *sink, kith_error *error)
{
    const struct kt_index *graph = w->graph;
    uint8_t buffer[4 * HNSW_MOST_M];
    uint32_t room = graph->shape.m;
    kith_status status = KITH_OK;
    for (uint32_t l = 1; !status && l <= HNSW_LEVELS && !w->extent.is_run; l++) {
        for (uint32_t i = 0; !status && i < graph->upper.above[l]; i++) {
            const uint32_t *links = NULL;
            status = kt_hnsw_links(graph, order->nodes[i], l, &links, error);
            if (status) break;
            for (uint32_t j = 0; j < room; j++) kt_put_u32(buffer + 4 * (size_t)j, number_of(w, links[j]));
            status = kt_sink_write(sink, buffer, 4 * (size_t)room, error);
        }
        if (!status) status = kt_sink_align(sink, HNSW_ALIGN, error);
    }
    return status;
}

/* ---- patches ---- */

static int compare_patches(const void *a, const void *b)
{
    const struct hnsw_patch *x = a, *y = b;
    if (x->level != y->level) return x->level < y->level ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

/* Whether a patch stands in a file that is not among those that are written. */
static bool stands_elsewhere(const struct hnsw_writing *w, const struct hnsw_patch *patch)
{
    for (uint32_t i = 0; i < w->graph->part_count; i++) {
        const struct hnsw_part *part = &w->graph->parts[i];
        if (part->file && (uintptr_t)patch->links - (uintptr_t)part->window.map < kt_view_length(part->file))
            return part->first + part->count <= w->extent.first;
    }
    return false;
}

/* Those that the file is to have: not of nodes whose own list can say it. */
static kith_status list_patches(struct hnsw_writing *w, struct hnsw_patch **out, kith_error *error)
{
    const struct hnsw_patches *patches = &w->graph->patches;
    struct hnsw_extent *e = &w->extent;
    struct hnsw_patch *list = kt_alloc_array((size_t)patches->count + 1, sizeof *list);
    uint32_t count = 0;
    if (!list) return kt_fail_memory(error, patches->count * sizeof *list);
    for (uint32_t i = 0; e->is_run && patches->slots && i <= patches->mask; i++) {
        const struct hnsw_patch *patch = &patches->slots[i];
        bool own = patch->node >= e->first && patch->node - e->first < e->count;
        if (!patch->links || (!patch->level && own) || stands_elsewhere(w, patch)) continue;
        list[count++] = *patch;
        e->patches[patch->level > 0]++;
    }
    if (count) qsort(list, count, sizeof *list, compare_patches);
    *out = list;
    return KITH_OK;
}

static kith_status write_patches(const struct hnsw_writing *w, const struct hnsw_patch *list,
                                 struct kt_sink *sink, kith_error *error)
{
    uint8_t buffer[4 * (2 + 2 * HNSW_MOST_M)];
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < w->extent.patches[0] + w->extent.patches[1]; i++) {
        const struct hnsw_patch *patch = &list[i];
        uint32_t room = kt_hnsw_room(w->graph, patch->level), at = patch->level ? 2 : 1;
        kt_put_u32(buffer, patch->node);
        kt_put_u32(buffer + 4, patch->level);
        for (uint32_t j = 0; j < room; j++) kt_put_u32(buffer + 4 * (size_t)(at + j), patch->links[j]);
        status = kt_sink_write(sink, buffer, 4 * (size_t)(at + room), error);
        if (!status && i + 1 == w->extent.patches[0]) status = kt_sink_align(sink, HNSW_ALIGN, error);
    }
    return status ? status : kt_sink_align(sink, HNSW_ALIGN, error);
}

/* ---- all of it ---- */

static kith_status write_body(const struct hnsw_writing *w, const struct ordered *order,
                              const struct hnsw_patch *patches, struct kt_work *work, struct kt_sink *sink,
                              kith_error *error)
{
    const struct kt_index *graph = w->graph;
    uint8_t header[HNSW_HEADER_BYTES];
    encode_header(graph, &w->extent, header);
    kith_status status = kt_sink_write(sink, header, sizeof header, error);
    if (!status && !w->extent.is_run)
        status = kt_sink_write(sink, graph->space.mean, graph->shape.space_dim * sizeof(float), error);
    if (!status) status = kt_sink_align(sink, HNSW_ALIGN, error);
    if (!status) status = write_upper(w, order, sink, error);
    if (!status) status = write_nodes(w, order, work, sink, error);
    if (!status) status = kt_sink_write(sink, w->aside, w->extent.aside * sizeof *w->aside, error);
    if (!status) status = kt_sink_align(sink, HNSW_ALIGN, error);
    return status ? status : write_patches(w, patches, sink, error);
}

kith_status kt_hnsw_write(struct hnsw_writing *w, struct kt_work *work, struct kt_sink *sink,
                          kith_error *error)
{
    struct ordered order = { 0 };
    struct hnsw_patch *patches = NULL;
    kith_status status = order_of(w, &order, error);
    if (!status) status = list_patches(w, &patches, error);
    if (!status) status = write_body(w, &order, patches, work, sink, error);
    kt_free(order.nodes);
    kt_free(patches);
    return status;
}
