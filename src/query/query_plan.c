/* Which way: the index whose column and metric are the query's, else an exact scan. An answer is never
 * wrong because an index is missing, partial or of another metric; it is only slower.
 */
#include "query/query.h"

#include <math.h>

enum { MOST_ROWS = 1 << 20 };

static kith_status check_query(const struct kt_snapshot *snapshot, const kith_query *query, int column,
                               kith_error *error)
{
    const struct kt_field *field = &snapshot->schema->fields[column];
    if (query->where) return kt_fail(error, KITH_UNSUPPORTED, "filters are not in this version of Kith");
    if (query->k == 0)
        return kt_fail(error, KITH_INVALID, "Limit is required for ANN/KNN queries: k must be at least 1");
    if ((uint64_t)query->k + query->offset > MOST_ROWS)
        return kt_fail(error, KITH_INVALID, "k + offset is %llu; at most %d rows can be asked for at once",
                       (unsigned long long)query->k + query->offset, MOST_ROWS);
    if ((unsigned)query->metric > KITH_HAMMING)
        return kt_fail(error, KITH_INVALID, "%d is not a metric", (int)query->metric);
    if ((unsigned)query->element > KITH_U8)
        return kt_fail(error, KITH_INVALID, "%d is not an element type", (int)query->element);
    if (query->dim != (uint32_t)field->width)
        return kt_fail(error, KITH_INVALID,
                       "the query vector has %u numbers, column \"%s\" holds vectors of %d",
                       (unsigned)query->dim, field->name, (int)field->width);
    if (query->recall < 0 || query->recall > 1 || isnan(query->recall))
        return kt_fail(error, KITH_INVALID, "recall must be between 0 and 1, not %g", (double)query->recall);
    if (query->minimum_nprobes && query->maximum_nprobes && query->minimum_nprobes > query->maximum_nprobes)
        return kt_fail(error, KITH_INVALID, "minimum_nprobes is %u, more than maximum_nprobes, %u",
                       (unsigned)query->minimum_nprobes, (unsigned)query->maximum_nprobes);
    if ((query->has_lower && isnan(query->lower)) || (query->has_upper && isnan(query->upper)) ||
        (query->has_lower && query->has_upper && !(query->lower < query->upper)))
        return kt_fail(error, KITH_INVALID, "no distance lies in [%g, %g)", (double)query->lower,
                       (double)query->upper);
    return KITH_OK;
}

static kith_status check_metric(const struct kt_snapshot *snapshot, int column, kith_metric metric,
                                kith_error *error)
{
    if (metric != KITH_HAMMING || kt_field_element(&snapshot->schema->fields[column]) == KITH_U8)
        return KITH_OK;
    char type[120];
    kt_field_type_text(&snapshot->schema->fields[column], type, sizeof type);
    return kt_fail(error, KITH_INVALID, "hamming compares the bits of uint8 vectors; column \"%s\" is %s",
                   snapshot->schema->fields[column].name, type);
}

/* The newest index that answers for this column and metric. */
static const struct kt_table_index *choose_index(const struct kt_snapshot *snapshot, int column,
                                                 kith_metric metric)
{
    for (uint32_t i = snapshot->index_count; i-- > 0;) {
        const struct kt_table_index *index = &snapshot->indexes[i];
        if (index->column == column && index->metric == metric && index->rows_indexed) return index;
    }
    return NULL;
}

static const char *why_no_index(const struct kt_snapshot *snapshot, int column, kith_metric metric)
{
    const char *why = "no index";
    for (uint32_t i = 0; i < snapshot->index_count; i++) {
        if (snapshot->indexes[i].column != column) continue;
        if (snapshot->indexes[i].metric == metric) return "the index was built over no rows; create it again";
        why = "no index has this metric";
    }
    return why;
}

static void choose_way(struct kt_plan *plan, const kith_query *query)
{
    plan->why = NULL;
    if (query->exact)
        plan->why = "asked for";
    else if (query->recall == 1)
        plan->why = "recall 1 was asked for";
    else if (query->has_lower)
        plan->why = "a lower bound on the distance";
    else if (!(plan->index = choose_index(plan->snapshot, plan->column, plan->metric)))
        plan->why = why_no_index(plan->snapshot, plan->column, plan->metric);
}

kith_status kt_plan_make(struct kt_snapshot *snapshot, const kith_query *query, struct kt_plan *out,
                         kith_error *error)
{
    struct kt_plan plan = { .snapshot = snapshot };
    kith_status status = kt_snapshot_vector_column(snapshot, query->column, &plan.column, error);
    if (!status) status = check_query(snapshot, query, plan.column, error);
    plan.metric = query->metric;
    if (!status && !plan.metric) plan.metric = kt_snapshot_metric(snapshot, plan.column);
    if (!status) status = check_metric(snapshot, plan.column, plan.metric, error);
    if (status) return status;

    plan.element = query->element;
    plan.vector_bytes = query->dim * kt_element_bytes(query->element);
    uint64_t rows = kt_max_u64(snapshot->state->rows, 1); /* nobody finds more than there are */
    plan.offset = (uint32_t)kt_min_u64(query->offset, rows);
    plan.k = (uint32_t)kt_min_u64(query->k, rows);
    plan.nprobes = query->nprobes;
    plan.minimum_nprobes = query->minimum_nprobes;
    plan.maximum_nprobes = query->maximum_nprobes;
    plan.refine_factor = query->refine_factor;
    plan.recall = query->exact ? 1 : query->recall > 0 ? query->recall : KT_DEFAULT_RECALL;
    plan.threads = query->threads;
    plan.fast_search = query->fast_search;
    plan.lower = query->has_lower ? query->lower : -INFINITY;
    plan.upper = query->has_upper ? query->upper : INFINITY;
    choose_way(&plan, query);
    kt_snapshot_share(snapshot);
    *out = plan;
    return KITH_OK;
}

void kt_plan_release(struct kt_plan *plan)
{
    kt_snapshot_release(plan->snapshot);
    plan->snapshot = NULL;
}
