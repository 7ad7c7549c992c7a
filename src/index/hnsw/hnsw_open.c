/* Opening the files of a graph: a header says what may be where, and no more is read but the patches of runs.
 * Whatever else a file says (numbers of nodes, offsets of rows) is looked at when it is used.
 */
#include "index/hnsw/hnsw_private.h"

static kith_status corrupt(const struct kt_view_file *file, const char *what, uint64_t is, uint64_t most,
                           kith_error *error)
{
    return kt_fail(error, KITH_CORRUPT, "%s is not an index Kith can read: %s is %llu, expected at most %llu",
                   kt_view_name(file), what, (unsigned long long)is, (unsigned long long)most);
}

struct header {
    struct hnsw_shape shape;
    struct hnsw_extent extent;
    uint32_t above[HNSW_LEVELS + 1];
};

static kith_status decode_fields(const struct kt_view_file *file, const uint8_t *p, uint32_t *value,
                                 kith_error *error)
{
    const struct {
        const char *name;
        uint32_t least, most;
    } fields[] = { { "metric", KITH_L2, KITH_HAMMING },
                   { "element type", 0, KITH_U8 },
                   { "dimension", 1, HNSW_MOST_DIM },
                   { "dimension of the space", 1, 8 * HNSW_MOST_DIM },
                   { "m", HNSW_LEAST_M, HNSW_MOST_M },
                   { "ef_construction", 1, HNSW_MOST_EF },
                   { "kind of file", 0, 1 },
                   { "first node", 0, HNSW_MOST_NODES - 1 },
                   { "nodes", 0, HNSW_MOST_NODES - 1 },
                   { "rows aside", 0, HNSW_MOST_NODES - 1 },
                   { "patches", 0, HNSW_MOST_NODES - 1 },
                   { "patches of higher levels", 0, HNSW_MOST_NODES - 1 },
                   { "entry", 0, HNSW_MOST_NODES - 1 },
                   { "top level", 0, HNSW_LEVELS } };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        value[i] = kt_get_u32(p + 8 + 4 * i);
        if (value[i] < fields[i].least || value[i] > fields[i].most)
            return corrupt(file, fields[i].name, value[i], fields[i].most, error);
    }
    return KITH_OK;
}

static kith_status decode_header(struct kt_view_file *file, struct header *h, kith_error *error)
{
    const uint8_t *p = NULL;
    uint32_t v[14] = { 0 };
    kith_status status = kt_view(file, 0, HNSW_HEADER_BYTES, &p, error);
    if (status) return status;
    if (memcmp(p, kt_hnsw_magic, sizeof kt_hnsw_magic))
        return kt_fail(error, KITH_CORRUPT, "%s is not an HNSW index", kt_view_name(file));
    status = decode_fields(file, p, v, error);
    if (status) return status;
    h->shape = (struct hnsw_shape){ .metric = (kith_metric)v[0],
                                    .element = (kith_element)v[1],
                                    .dim = v[2],
                                    .space_dim = v[3],
                                    .m = v[4],
                                    .ef_construction = v[5],
                                    .base_row = kt_get_u64(p + 64),
                                    .seed = kt_get_u64(p + 72),
                                    .graph = kt_get_u64(p + 88) };
    h->extent = (struct hnsw_extent){ .is_run = v[6],
                                      .first = v[7],
                                      .count = v[8],
                                      .aside = v[9],
                                      .patches = { v[10], v[11] },
                                      .entry = v[12],
                                      .top = v[13],
                                      .row_span = kt_get_u64(p + 96) };
    for (uint32_t l = 0; l <= HNSW_LEVELS; l++) h->above[l] = kt_get_u32(p + 104 + 4 * (size_t)l);
    return KITH_OK;
}

/* What must hold between the numbers of a header. */
static kith_status check_header(const struct kt_view_file *file, const struct header *h, kith_error *error)
{
    const struct hnsw_shape *s = &h->shape;
    const struct hnsw_extent *e = &h->extent;
    if (s->space_dim != kt_hnsw_space_dim(s->dim, s->metric))
        return corrupt(file, "dimension of the space", s->space_dim, s->dim, error);
    if (!kt_kernels()->distance[s->metric][s->element])
        return corrupt(file, "metric", s->metric, KITH_DOT, error);
    if (e->row_span > UINT64_C(1) << 32)
        return corrupt(file, "row span", e->row_span, UINT64_C(1) << 32, error);
    if (s->base_row > UINT64_MAX - e->row_span)
        return corrupt(file, "base row", s->base_row, UINT64_MAX, error);
    uint64_t nodes = (uint64_t)e->first + e->count;
    if (nodes >= HNSW_MOST_NODES) return corrupt(file, "nodes", nodes, HNSW_MOST_NODES, error);
    if (e->entry >= nodes && nodes) return corrupt(file, "entry", e->entry, nodes, error);
    for (uint32_t l = 0; l <= HNSW_LEVELS; l++) {
        uint64_t most = e->is_run ? 0 : l ? h->above[l - 1] : e->count;
        if (h->above[l] > most || (!l && h->above[0] < most))
            return corrupt(file, "nodes of a level", h->above[l], most, error);
    }
    return KITH_OK;
}

static bool belongs(const struct header *run, const struct kt_index *graph)
{
    const struct hnsw_shape *a = &run->shape, *b = &graph->shape;
    return run->extent.is_run && run->extent.first == graph->nodes && a->metric == b->metric &&
           a->element == b->element && a->dim == b->dim && a->m == b->m && a->base_row == b->base_row &&
           a->graph == b->graph;
}

static kith_status check_end(const struct kt_view_file *file, const struct hnsw_places *at, kith_error *error)
{
    if (at->end <= kt_view_length(file)) return KITH_OK;
    return kt_fail(error, KITH_CORRUPT, "%s has %llu bytes; what it describes takes %llu", kt_view_name(file),
                   (unsigned long long)kt_view_length(file), (unsigned long long)at->end);
}

static kith_status open_base(struct kt_index *graph, const struct header *h, const struct hnsw_places *at,
                             struct kt_view_file *file, kith_error *error)
{
    const uint8_t *mean = NULL;
    if (h->extent.is_run || h->extent.first) return corrupt(file, "kind of file", h->extent.is_run, 0, error);
    graph->shape = h->shape;
    kt_hnsw_layout(&graph->shape, &graph->layout);
    memcpy(graph->upper.above, h->above, sizeof graph->upper.above);
    memcpy(graph->upper.at, at->upper, sizeof graph->upper.at);
    graph->space = kt_hnsw_space(&graph->shape);
    kith_status status = kt_view(file, at->mean, graph->shape.space_dim * sizeof(float), &mean, error);
    graph->space.mean = (const float *)(const void *)mean;
    return status;
}

/* Takes up the patches of a file; those of later files come to stand in place of them. */
static kith_status take_patches(struct kt_index *graph, struct kt_view_file *file,
                                const struct hnsw_extent *e, const struct hnsw_places *at, kith_error *error)
{
    for (uint32_t upper = 0; upper < 2; upper++) {
        uint64_t size = (upper ? 2 + (uint64_t)graph->shape.m : 1 + 2 * (uint64_t)graph->shape.m) * 4;
        const uint8_t *bytes = NULL;
        kith_status status = kt_view(file, at->patches[upper], e->patches[upper] * size, &bytes, error);
        for (uint32_t i = 0; !status && i < e->patches[upper]; i++) {
            const uint8_t *patch = bytes + i * size;
            uint32_t node = kt_get_u32(patch), level = upper ? kt_get_u32(patch + 4) : 0;
            if (node >= graph->nodes) return corrupt(file, "node of a patch", node, graph->nodes, error);
            if (level > HNSW_LEVELS || (upper && !level))
                return corrupt(file, "level of a patch", level, HNSW_LEVELS, error);
            uintptr_t links = (uintptr_t)(patch + 4 + 4 * (size_t)upper);
            status = kt_hnsw_add_patch(graph, node, level, (uint32_t *)links, error); /* is only read */
        }
        if (status) return status;
    }
    return KITH_OK;
}

static kith_status open_part(struct kt_index *graph, uint32_t number, struct header *headers,
                             kith_error *error)
{
    struct hnsw_part *part = &graph->parts[number];
    struct header *h = &headers[number];
    struct hnsw_places at;
    kith_status status = decode_header(part->file, h, error);
    if (!status) status = check_header(part->file, h, error);
    if (status) return status;
    kt_hnsw_places(&h->shape, h->above, &h->extent, &at);
    status = check_end(part->file, &at, error);
    if (!status && !number) status = open_base(graph, h, &at, part->file, error);
    if (status) return status;
    if (number && !belongs(h, graph))
        return kt_fail(error, KITH_CORRUPT, "%s does not belong to %s", kt_view_name(part->file),
                       kt_view_name(graph->parts[0].file));
    part->codes = at.codes;
    part->factors = at.factors;
    part->rows = at.rows;
    part->links = at.links;
    part->first = h->extent.first;
    part->count = h->extent.count;
    part->aside = at.aside;
    part->aside_count = h->extent.aside;
    kt_view_jumps(part->file);
    kt_view_window(part->file, &part->window);
    if (graph->layout.wide > KT_BLOCK_VECTORS) part->window.table = 0; /* longer than it can tell */
    if ((uint64_t)graph->aside + part->aside_count >= HNSW_MOST_NODES)
        return corrupt(part->file, "rows aside", part->aside_count, HNSW_MOST_NODES, error);
    graph->nodes += part->count;
    graph->aside += part->aside_count;
    graph->part_rows[number] = (uint64_t)part->count + part->aside_count;
    graph->row_span = kt_max_u64(graph->row_span, h->extent.row_span);
    graph->entry = h->extent.entry;
    graph->top = h->extent.top;
    return KITH_OK;
}

static kith_status open_parts(struct kt_index *graph, struct header *headers, kith_error *error)
{
    uint32_t patches = 0;
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < graph->part_count; i++) {
        status = open_part(graph, i, headers, error);
        patches |= headers[i].extent.patches[0] | headers[i].extent.patches[1];
    }
    if (status || !patches) return status;
    graph->patches.marks = kt_alloc_zero((size_t)graph->nodes / 64 + 1, sizeof *graph->patches.marks);
    if (!graph->patches.marks) return kt_fail_memory(error, graph->nodes / 8);
    for (uint32_t i = 0; !status && i < graph->part_count; i++) {
        struct hnsw_places at;
        kt_hnsw_places(&headers[i].shape, headers[i].above, &headers[i].extent, &at);
        status = take_patches(graph, graph->parts[i].file, &headers[i].extent, &at, error);
    }
    return status;
}

kith_status kt_hnsw_open(struct kt_view_file *const *files, uint32_t count, const json_t *calibration,
                         struct kt_index **out, kith_error *error)
{
    struct kt_index *graph = kt_alloc_zero(1, sizeof *graph);
    struct hnsw_part *parts = kt_alloc_zero(count, sizeof *parts);
    uint64_t *part_rows = kt_alloc_zero(count, sizeof *part_rows);
    struct header *headers = kt_alloc_zero(count, sizeof *headers);
    kith_status status = KITH_OK;
    if (!graph || !parts || !part_rows || !headers) {
        for (uint32_t i = 0; i < count; i++) kt_view_close(files[i]);
        kt_free(graph);
        kt_free(parts);
        kt_free(part_rows);
        kt_free(headers);
        return kt_fail_memory(error, count * sizeof *headers);
    }
    for (uint32_t i = 0; i < count; i++) parts[i].file = files[i];
    graph->parts = parts;
    graph->part_count = count;
    graph->part_rows = part_rows;
    status = open_parts(graph, headers, error);
    if (!status) status = kt_hnsw_calibration_read(calibration, &graph->calibration, error);
    kt_free(headers);
    if (status)
        kt_hnsw_close(graph);
    else
        *out = graph;
    return status;
}

void kt_hnsw_close(struct kt_index *graph)
{
    if (!graph) return;
    kt_hnsw_release(graph);
    kt_free(graph);
}
