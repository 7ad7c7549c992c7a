/* Which index does what: one line a type. A type that stands in kith.h but not here is not in this version.
 */
#include "index/index.h"

#include "index/hnsw/hnsw.h"
#include "index/ivf/ivf_private.h"

#define IVF(type, plan)                                                                                      \
    {                                                                                                        \
        type, plan, kt_ivf_build, kt_ivf_extend, kt_ivf_merge, kt_ivf_open, kt_ivf_close, kt_ivf_search,     \
            kt_ivf_count, kt_ivf_place, kt_ivf_calibrate, kt_ivf_look, kt_ivf_expect, kt_ivf_shape, 0,       \
        {                                                                                                    \
            15000, 300, 1.2, 0.03, 1                                                                         \
        } /* the query rotated, lists ranked; a code's row looked up */                                      \
    }
static const struct kt_index_ops types[] = {
    IVF(KITH_IVF_RQ, kt_ivf_plan_rq), /* the default */
    IVF(KITH_IVF_PQ, kt_ivf_plan_pq),
    IVF(KITH_IVF_SQ, kt_ivf_plan_sq),
    IVF(KITH_IVF_FLAT, kt_ivf_plan_flat),
};

const struct kt_index_ops *kt_index_ops(kith_index_type type)
{
    if (type == KITH_INDEX_DEFAULT) return &types[0];
    if (type == KITH_HNSW) return &kt_hnsw_ops;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == type) return &types[i];
    return NULL;
}
