/* Which way: the index whose column and metric are the query's, else an exact scan. An answer is never
 * wrong because an index is missing, partial or of another metric; it is only slower.
 *
 * Re-ranking: whatever codes an index keeps, the distances reported are those of the stored rows, so at
 * least k candidates are re-ranked. Without refine_factor ten times as many are, and never fewer than 100:
 * reading one stored vector costs about as much as scanning 30 codes, and recall rises by a third on the
 * data that LanceDB's default leaves at 0.6.
 */
#include "query/query.h"

#include <math.h>
#include <stdio.h>

enum { REFINE_FACTOR = 10, CANDIDATES_LEAST = 100, CANDIDATES_MOST = 1 << 20 };

static kith_status check_query(const struct kt_snapshot *snapshot, const kith_query *query, int column,
                               kith_error *error)
{
    const struct kt_field *field = &snapshot->schema->fields[column];
    if (query->where) return kt_fail(error, KITH_UNSUPPORTED, "filters are not in this version of Kith");
    if (query->k == 0)
        return kt_fail(error, KITH_INVALID, "Limit is required for ANN/KNN queries: k must be at least 1");
    if ((uint64_t)query->k + query->offset > CANDIDATES_MOST)
        return kt_fail(error, KITH_INVALID, "k + offset is %llu; at most %d rows can be asked for at once",
                       (unsigned long long)query->k + query->offset, CANDIDATES_MOST);
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

bool kt_plan_refines(const struct kt_plan *plan)
{
    return plan->index &&
           !(plan->index->ops->exact && plan->snapshot->vectors[plan->column].element != KITH_F64);
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
    if (plan->why) return;

    uint64_t wanted = (uint64_t)plan->k + plan->offset, candidates = wanted;
    if (kt_plan_refines(plan)) {
        candidates = wanted * (query->refine_factor ? query->refine_factor : REFINE_FACTOR);
        if (!query->refine_factor && candidates < CANDIDATES_LEAST) candidates = CANDIDATES_LEAST;
    }
    candidates = kt_min_u64(candidates, kt_max_u64(plan->snapshot->state->rows, 1));
    plan->candidates = (uint32_t)kt_min_u64(kt_max_u64(candidates, 1), CANDIDATES_MOST);
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

kith_status kt_plan_explain(const struct kt_plan *plan, char **out, kith_error *error)
{
    const struct kt_snapshot *snapshot = plan->snapshot;
    const struct kt_field *field = &snapshot->schema->fields[plan->column];
    struct kt_buffer text = { 0 };
    char type[120];
    kt_field_type_text(field, type, sizeof type);
    unsigned long long rows = snapshot->state->rows;

    kt_buffer_text(&text, "Search: the %u nearest", (unsigned)plan->k);
    if (plan->offset) kt_buffer_text(&text, " after the first %u", (unsigned)plan->offset);
    kt_buffer_text(&text, " by %s on \"%s\" %s, version %llu\n", kith_metric_name(plan->metric), field->name,
                   type, (unsigned long long)snapshot->state->version);
    if (!plan->index) {
        kt_buffer_text(&text, "  ExactScan: %llu rows (%s)\n", rows, plan->why);
    } else {
        const struct kt_table_index *index = plan->index;
        json_int_t lists = json_integer_value(json_object_get(index->piece->meta, "partitions"));
        kt_buffer_text(&text, "  Index \"%s\" %s: %llu rows in %lld partitions, ", index->name,
                       kith_index_type_name(index->type), (unsigned long long)index->rows_indexed,
                       (long long)lists);
        if (plan->nprobes)
            kt_buffer_text(&text, "nprobes %u", (unsigned)plan->nprobes);
        else
            kt_buffer_text(&text, "nprobes chosen by the index");
        if (plan->minimum_nprobes || plan->maximum_nprobes)
            kt_buffer_text(&text, " (minimum %u, maximum %u)", (unsigned)plan->minimum_nprobes,
                           (unsigned)plan->maximum_nprobes);
        kt_buffer_text(&text, "\n");
        if (kt_plan_refines(plan))
            kt_buffer_text(&text, "  Refine: %u candidates by their stored vectors\n",
                           (unsigned)plan->candidates);
        if (index->rows_unindexed)
            kt_buffer_text(&text, "  ExactScan: %llu rows %s\n", (unsigned long long)index->rows_unindexed,
                           plan->fast_search ? "not in the index, left out (fast_search)"
                                             : "not in the index");
    }
    if (!text.data) return kt_fail_memory(error, 256);
    *out = (char *)text.data;
    return KITH_OK;
}
