/* What a plan leaves open, and what is refused. M 16 and ef_construction 200 are what graphs are compared at.
 */
#include "index/hnsw/hnsw_private.h"

enum { DEFAULT_M = 16, DEFAULT_EF_CONSTRUCTION = 200 };

static uint64_t bytes_needed(const struct kt_index_plan *plan, uint32_t dim, uint64_t rows)
{
    struct hnsw_shape shape = {
        .metric = plan->metric, .dim = dim, .space_dim = kt_hnsw_space_dim(dim, plan->metric), .m = plan->m
    };
    struct hnsw_layout layout;
    kt_hnsw_layout(&shape, &layout);
    return rows * (layout.code_bytes + layout.link_bytes + 12 + 4 * (uint64_t)plan->m / 2 + 24) +
           (UINT64_C(20) << 20); /* levels, positions, batches; a sample */
}

kith_status kt_hnsw_plan(struct kt_index_plan *plan, uint32_t dim, kith_element element, uint64_t rows,
                         kith_error *error)
{
    if (plan->metric == KITH_METRIC_DEFAULT) plan->metric = KITH_L2;
    if (plan->metric == KITH_HAMMING && element != KITH_U8)
        return kt_fail(error, KITH_INVALID, "the metric hamming is for uint8 vectors, 8 bits a number");
    if (plan->m && (plan->m < HNSW_LEAST_M || plan->m > HNSW_MOST_M))
        return kt_fail(error, KITH_INVALID, "m is %u; HNSW has %d to %d links a node", plan->m, HNSW_LEAST_M,
                       HNSW_MOST_M);
    if (plan->ef_construction > HNSW_MOST_EF)
        return kt_fail(error, KITH_INVALID, "ef_construction is %u; it is at most %d", plan->ef_construction,
                       HNSW_MOST_EF);
    if (plan->num_bits && plan->num_bits != 8)
        return kt_fail(error, KITH_INVALID, "num_bits is %u; HNSW walks by codes of 8 bits a number",
                       plan->num_bits);
    if (dim > HNSW_MOST_DIM)
        return kt_fail(error, KITH_INVALID, "vectors have %u numbers; HNSW has codes of at most %d", dim,
                       HNSW_MOST_DIM);
    plan->type = KITH_HNSW;
    plan->num_partitions = plan->num_sub_vectors = 0; /* of LanceDB's IVF_HNSW types: there is one graph */
    plan->num_bits = 8;
    if (!plan->m) plan->m = DEFAULT_M;
    if (!plan->ef_construction) plan->ef_construction = DEFAULT_EF_CONSTRUCTION;
    plan->ef_construction = kt_max_u32(plan->ef_construction, plan->m);
    uint64_t needed = bytes_needed(plan, dim, rows);
    if (plan->max_memory && plan->max_memory < needed)
        return kt_fail(error, KITH_INVALID,
                       "max_memory is %llu; an HNSW index over %llu rows with m = %u is built in %llu bytes. "
                       "IVF_RQ is built in less",
                       (unsigned long long)plan->max_memory, (unsigned long long)rows, plan->m,
                       (unsigned long long)needed);
    return KITH_OK;
}
