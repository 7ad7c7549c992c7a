/* What an HNSW index is told as, and the table of its operations.
 */
#include "index/hnsw/hnsw.h"
#include "index/hnsw/hnsw_private.h"

kith_status kt_hnsw_describe(const struct kt_index *graph, const struct hnsw_extent *extent, json_t **out,
                             kith_error *error)
{
    const struct hnsw_shape *s = &graph->shape;
    *out = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "partitions", (json_int_t)0, "sub_vectors",
                     (json_int_t)0, "bits", (json_int_t)(s->metric == KITH_HAMMING ? 1 : 8), "m",
                     (json_int_t)s->m, "ef_construction", (json_int_t)s->ef_construction, "rows",
                     (json_int_t)extent->count + (json_int_t)extent->aside, "outliers",
                     (json_int_t)extent->aside, "note", "");
    return *out ? KITH_OK : kt_fail_memory(error, 256);
}

/* How many rows of a selection there are in the graph is not counted one by one: it has no lists that could
 * be passed over. */
static kith_status count(const struct kt_index *graph, const struct kt_selection *among,
                         struct kt_index_matches *out, kith_error *error)
{
    uint64_t first = kt_min_u64(graph->shape.base_row, among->rows);
    uint64_t end = kt_min_u64(graph->shape.base_row + graph->row_span, among->rows);
    uint32_t *lists = kt_alloc_zero(1, sizeof *lists);
    if (!lists) return kt_fail_memory(error, sizeof *lists);
    *out = (struct kt_index_matches){ .lists = lists, .among = (uint64_t)graph->nodes + graph->aside };
    out->rows = kt_min_u64(out->among, kt_selection_count(among, first, end));
    return KITH_OK;
}

static kith_status place(const struct kt_index *graph, const struct kt_index_query *query,
                         struct kt_arena *scratch, uint32_t *out, kith_error *error)
{
    struct hnsw_walk walk;
    *out = 0;
    if (!graph->nodes) return KITH_OK;
    kith_status status = kt_hnsw_walk_init(&walk, graph, graph->nodes, 1, 0, scratch, error);
    if (!status) status = kt_hnsw_point_of(graph, query, scratch, &walk.point, error);
    if (!status) status = kt_hnsw_descend(&walk, 0);
    if (!status) *out = walk.pool[0].node;
    return status;
}

static void shape(const struct kt_index *graph, struct kt_index_shape *out)
{
    *out = (struct kt_index_shape){ .files = graph->part_count,
                                    .rows = graph->part_rows,
                                    .outliers = graph->aside };
}

const struct kt_index_ops kt_hnsw_ops = {
    .type = KITH_HNSW,
    .plan = kt_hnsw_plan,
    .build = kt_hnsw_build,
    .extend = kt_hnsw_extend,
    .merge = kt_hnsw_merge,
    .open = kt_hnsw_open,
    .close = kt_hnsw_close,
    .search = kt_hnsw_search,
    .count = count,
    .place = place,
    .calibrate = kt_hnsw_calibrate,
    .expect = kt_hnsw_expect,
    .shape = shape,
    .fold_share = 4,
    .price = { .start_ns = 5000, .code_ns = 15, .code_byte_ns = 0.04, .code_bits = 8 },
};
