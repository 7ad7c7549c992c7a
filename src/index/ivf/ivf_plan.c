/* What a plan leaves open is filled here, and what cannot be is refused with what could.
 *
 * Lists of about LIST_ROWS rows: turning to another list then costs about as much as scanning one. A
 * sub-vector of 8 numbers at 8 bits (two 4-bit halves of 4) is one bit a number.
 */
#include "index/ivf/ivf_private.h"

#include "base/bytes.h"

enum {
    LIST_ROWS = 128,
    MOST_LISTS = 65536, /* chosen by itself */
    MOST_ASKED_LISTS = 1 << 20,
    ITERATIONS = 12,  /* more move few rows */
    DEFAULT_BITS = 4, /* a number, in all, of IVF_RQ */
    SQ_BITS = 8,      /* of IVF_SQ */
    LEAST_WIDTH = 4,
    MOST_WIDTH = 16,
    LIKED_WIDTH = 8 /* numbers a sub-vector */
};

static kith_status plan_lists(struct kt_index_plan *plan, uint64_t rows, kith_error *error)
{
    if (plan->num_partitions > MOST_ASKED_LISTS)
        return kt_fail(error, KITH_INVALID, "num_partitions is %u; at most %d are possible",
                       plan->num_partitions, MOST_ASKED_LISTS);
    if (plan->metric == KITH_METRIC_DEFAULT) plan->metric = KITH_L2;
    if (!plan->num_partitions)
        plan->num_partitions = (uint32_t)kt_max_u64(1, kt_min_u64(MOST_LISTS, rows / LIST_ROWS));
    if (!plan->max_iterations) plan->max_iterations = ITERATIONS;
    return KITH_OK;
}

static kith_status check_metric(const struct kt_index_plan *plan, kith_element element, kith_error *error)
{
    if ((plan->metric == KITH_HAMMING) && element != KITH_U8)
        return kt_fail(error, KITH_INVALID, "the metric hamming is for uint8 vectors, 8 bits a number");
    return KITH_OK;
}

kith_status kt_ivf_plan_flat(struct kt_index_plan *plan, uint32_t dim, kith_element element, uint64_t rows,
                             kith_error *error)
{
    (void)dim;
    kith_status status = check_metric(plan, element, error);
    if (!status) status = plan_lists(plan, rows, error);
    if (status) return status;
    plan->type = KITH_IVF_FLAT;
    plan->num_sub_vectors = plan->num_bits = 0; /* the rows themselves are kept */
    return KITH_OK;
}

/* Sub-vectors of 8 numbers where dim is a multiple, else of the least width in 4..16 that divides it, else
 * about 8. */
static uint32_t choose_sub_vectors(uint32_t dim)
{
    if (dim % LIKED_WIDTH == 0) return dim / LIKED_WIDTH;
    if (dim % (2 * LEAST_WIDTH) != 0)
        for (uint32_t width = LEAST_WIDTH; width <= MOST_WIDTH; width++)
            if (dim % width == 0) return dim / width;
    return kt_max_u32(1, (dim + LIKED_WIDTH - 1) / LIKED_WIDTH);
}

static uint32_t divisor_towards(uint32_t dim, uint32_t from, int step)
{
    uint32_t at = from;
    while (at > 0 && at <= dim && dim % at != 0) at = (uint32_t)((int64_t)at + step);
    return at > 0 && at <= dim ? at : step < 0 ? 1 : dim;
}

kith_status kt_ivf_plan_pq(struct kt_index_plan *plan, uint32_t dim, kith_element element, uint64_t rows,
                           kith_error *error)
{
    kith_status status = check_metric(plan, element, error);
    if (status) return status;
    if (plan->metric == KITH_HAMMING)
        return kt_fail(error, KITH_INVALID,
                       "IVF_PQ has no codes for the metric hamming; IVF_FLAT does it, exactly");
    if (plan->num_bits != 0 && plan->num_bits != 4 && plan->num_bits != 8)
        return kt_fail(error, KITH_INVALID, "num_bits is %u; IVF_PQ has 4 or 8 bits a sub-vector",
                       plan->num_bits);
    if (plan->num_sub_vectors > dim)
        return kt_fail(error, KITH_INVALID,
                       "num_sub_vectors is %u, more than the dimension, %u; it must divide it",
                       plan->num_sub_vectors, dim);
    if (plan->num_sub_vectors && dim % plan->num_sub_vectors != 0)
        return kt_fail(error, KITH_INVALID,
                       "num_sub_vectors is %u, which does not divide the dimension %u; %u and %u do",
                       plan->num_sub_vectors, dim, divisor_towards(dim, plan->num_sub_vectors, -1),
                       divisor_towards(dim, plan->num_sub_vectors, 1));
    status = plan_lists(plan, rows, error);
    if (status) return status;
    plan->type = KITH_IVF_PQ;
    if (!plan->num_bits) plan->num_bits = 8;
    if (!plan->num_sub_vectors) plan->num_sub_vectors = choose_sub_vectors(dim);
    return KITH_OK;
}

/* Signs of the rotated residual and further bits: `bits` a number in all. */
static kith_status plan_signs(struct kt_index_plan *plan, uint32_t bits, const char *name, uint32_t dim,
                              kith_element element, uint64_t rows, kith_error *error)
{
    (void)dim;
    kith_status status = check_metric(plan, element, error);
    if (status) return status;
    if (plan->metric == KITH_HAMMING) { /* bits already: the lists hold the rows, which are counted exactly */
        plan->num_bits = 0;
        return kt_ivf_plan_flat(plan, dim, element, rows, error);
    }
    if (plan->num_sub_vectors)
        return kt_fail(error, KITH_INVALID,
                       "num_sub_vectors is for IVF_PQ; %s codes every number by itself, in num_bits bits",
                       name);
    if (bits < 1 || bits > KT_RABITQ_BITS)
        return kt_fail(error, KITH_INVALID, "num_bits is %u; %s has 1 to %d bits a number", bits, name,
                       KT_RABITQ_BITS);
    status = plan_lists(plan, rows, error);
    plan->num_bits = bits;
    return status;
}

kith_status kt_ivf_plan_rq(struct kt_index_plan *plan, uint32_t dim, kith_element element, uint64_t rows,
                           kith_error *error)
{
    plan->type = KITH_IVF_RQ;
    return plan_signs(plan, plan->num_bits ? plan->num_bits : DEFAULT_BITS, "IVF_RQ", dim, element, rows,
                      error);
}

kith_status kt_ivf_plan_sq(struct kt_index_plan *plan, uint32_t dim, kith_element element, uint64_t rows,
                           kith_error *error)
{
    if (plan->num_bits && plan->num_bits != SQ_BITS)
        return kt_fail(error, KITH_INVALID, "num_bits is %u; IVF_SQ has %d bits a number, IVF_RQ 1 to %d",
                       plan->num_bits, SQ_BITS, KT_RABITQ_BITS);
    plan->type = KITH_IVF_SQ;
    return plan_signs(plan, SQ_BITS, "IVF_SQ", dim, element, rows, error);
}
