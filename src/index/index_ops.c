/* Which index does what: one line a type. A type that stands in kith.h but not here is not in this version.
 */
#include "index/index.h"

#include "index/ivf/ivf_private.h"

static const struct kt_index_ops types[] = {
    { KITH_IVF_PQ, kt_ivf_plan_pq, kt_ivf_build, kt_ivf_open, kt_ivf_close, kt_ivf_search, .exact = false },
    { KITH_IVF_FLAT, kt_ivf_plan_flat, kt_ivf_build, kt_ivf_open, kt_ivf_close, kt_ivf_search,
      .exact = true },
};

const struct kt_index_ops *kt_index_ops(kith_index_type type)
{
    if (type == KITH_INDEX_DEFAULT) type = KITH_IVF_PQ;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == type) return &types[i];
    return NULL;
}
