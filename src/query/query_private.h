/* What the files of the query room share. */
#ifndef KT_QUERY_PRIVATE_H
#define KT_QUERY_PRIVATE_H

#include "query/query.h"

/** Whether the query binds the search by numbers of its own, for which nothing was calibrated. */
bool kt_plan_is_bound(const struct kt_plan *plan);
/** The plan in words. A line that memory does not hold is missing; what has no line at all is a failure. */
kith_status kt_plan_tell(const struct kt_plan *plan, struct kt_buffer *text, kith_error *error);

/** Sorts rows, which come in insertion order, by some expressions. KITH_TYPE for one without an order. */
kith_status kt_order_rows(struct kt_snapshot *snapshot, const kith_order *order, size_t order_count,
                          struct kt_hit *hits, size_t count, kith_error *error);

/* What this machine's memory does for one thread (query_machine.c). */
struct kt_machine {
    double bytes_per_second; /* read one after another */
    double seconds_per_miss; /* of reads of which each says where the next one is */
};
/** Measures it at the first call in a process. */
kith_status kt_machine_memory(struct kt_machine *out, kith_error *error);

#endif
