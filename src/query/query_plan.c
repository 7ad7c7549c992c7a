/* Which way: the index whose column and metric are the query's, else an exact scan. An answer is never
 * wrong because an index is missing, partial or of another metric; it is only slower.
 *
 * Under a filter the number of rows that it admits is known before the search, and the two ways are priced:
 * the rows admitted, each read by itself, or all in a row where they are many; or the lists that such a
 * search visits, by what calibrating learned, scanned for the admitted rows only. Prices are nanoseconds on
 * one machine and matter only as ratios.
 */
#include "query/query.h"

#include "base/bytes.h"

#include <math.h>

enum { MOST_ROWS = 1 << 20, LEAST_EF = 64 /* of a graph, where no recall is named */ };

static kith_status check_query(const struct kt_snapshot *snapshot, const kith_query *query, int column,
                               kith_error *error)
{
    const struct kt_field *field = &snapshot->schema->fields[column];
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

/* ---- what a way costs, in nanoseconds */

static const double stream_ns = 0.1; /* a byte read one after another */
static const double miss_ns = 60;    /* a row read by itself, beyond its bytes: some wait at once */
enum { LEARNED_K = 100, DENSE_OF = 6 };

static double price_of_rows(uint64_t matches, uint64_t rows, double row_bytes)
{
    double each = (double)matches * (row_bytes * stream_ns + miss_ns);
    return matches * DENSE_OF < rows ? each : (double)rows * row_bytes * stream_ns;
}

/* Codes that a search for k of the admitted rows scans: about those of a search for k / share of all rows.
 * What was learned ends at 100; from there on the volume that holds so many grows slower than their number.
 */
static kith_status price_of_lists(const struct kt_plan *plan, uint64_t matches, double row_bytes, double *out,
                                  kith_error *error)
{
    const struct kt_table_index *index = plan->index;
    const struct kt_index *open = NULL;
    struct kt_index_stats expect;
    double rows = (double)kt_max_u64(index->rows_indexed, 1), wanted = (double)plan->k + plan->offset;
    double k = wanted * rows / (double)kt_max_u64(matches, 1);
    kith_status status = kt_snapshot_index(plan->snapshot, index, &open, error);
    if (status) return status;
    index->ops->expect(open, (uint32_t)fmin(k, LEARNED_K), plan->recall, &expect);
    double more = k > LEARNED_K ? pow(k / LEARNED_K, 0.6) : 1;
    double codes = fmin((expect.codes ? (double)expect.codes : rows / 4) * more, rows);
    double lists = fmin((double)expect.lists * more, rows / 64);
    const struct kt_index_price *price = &index->ops->price;
    double code_bytes = (double)plan->snapshot->vectors[plan->column].dim * price->code_bits / 8 + 16;
    *out = price->start_ns + lists * price->list_ns +
           codes * (price->code_ns + code_bytes * price->code_byte_ns) +
           2 * wanted * (row_bytes * stream_ns + miss_ns);
    return KITH_OK;
}

/* Under a filter: by the index, or by reading the admitted rows. */
static kith_status compare_ways(struct kt_plan *plan, kith_error *error)
{
    if (plan->fast_search) /* which rows the index covers is part of the question */
        return kt_where_count(plan->where, plan->index, &plan->matches, error);
    const struct kt_vectors *vectors = &plan->snapshot->vectors[plan->column];
    double row_bytes = (double)vectors->dim * (double)kt_element_bytes(vectors->element);
    uint64_t matches = plan->where->rows.count; /* those that the index does not cover are read either way */
    double rows = price_of_rows(matches, plan->index->rows_indexed, row_bytes);
    double lists = plan->index->ops->price.start_ns;
    kith_status status = rows > lists ? price_of_lists(plan, matches, row_bytes, &lists, error) : KITH_OK;
    if (status) return status;
    if (rows > lists) return kt_where_count(plan->where, plan->index, &plan->matches, error);
    plan->index = NULL;
    plan->why = "few rows meet the filter";
    return KITH_OK;
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

kith_status kt_plan_make(struct kt_snapshot *snapshot, const kith_query *query, struct kt_where *where,
                         struct kt_plan *out, kith_error *error)
{
    struct kt_plan plan = { .snapshot = snapshot, .where = where, .postfilter = query->postfilter };
    kith_status status = kt_snapshot_vector_column(snapshot, query->column, query->dim, &plan.column, error);
    if (!status) status = check_query(snapshot, query, plan.column, error);
    plan.metric = query->metric;
    if (!status && !plan.metric) plan.metric = kt_snapshot_metric(snapshot, plan.column);
    if (!status) status = check_metric(snapshot, plan.column, plan.metric, error);
    if (!status) status = kt_snapshot_live(snapshot, &plan.live, error);
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
    plan.ef = query->ef;
    plan.least_ef = query->recall > 0 ? 0 : LEAST_EF;
    plan.recall = query->exact ? 1 : query->recall > 0 ? query->recall : KT_DEFAULT_RECALL;
    plan.threads = query->threads;
    plan.fast_search = query->fast_search;
    plan.lower = query->has_lower ? query->lower : -INFINITY;
    plan.upper = query->has_upper ? query->upper : INFINITY;
    choose_way(&plan, query);
    if (plan.index && where && !plan.postfilter) status = compare_ways(&plan, error);
    if (!status && plan.index && !plan.matches)
        status = kt_snapshot_lived(snapshot, plan.index, &plan.lived, error);
    if (status) return status;
    kt_snapshot_share(snapshot);
    if (where) kt_where_share(where);
    *out = plan;
    return KITH_OK;
}

void kt_plan_release(struct kt_plan *plan)
{
    kt_snapshot_release(plan->snapshot);
    kt_where_release(plan->where);
    plan->snapshot = NULL;
    plan->where = NULL;
}
