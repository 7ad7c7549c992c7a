/* What is told of a search: before it, the plan in words; after it, what it did and the recall of its answer.
 *
 * A recall is told only where something stands behind it. An exact scan's is 1. An index's is what was
 * calibrated for the recall wanted, and nothing once the query binds the search otherwise: nprobes and
 * maximum_nprobes stop it elsewhere, refine_factor reads other rows than the bounds ask for.
 */
#include <math.h>

#include "base/bytes.h"
#include "query/query_private.h"

static bool is_graph(const struct kt_plan *plan)
{
    return plan->index && plan->index->type == KITH_HNSW;
}

bool kt_plan_is_bound(const struct kt_plan *plan)
{
    if (is_graph(plan)) return plan->ef || plan->refine_factor;
    return plan->nprobes || plan->maximum_nprobes || plan->refine_factor;
}

/* ---- what was done */

void kt_plan_sum(const struct kt_plan *plan, const struct kt_index_stats *stats, size_t count,
                 kith_search_stats *out)
{
    const struct kt_table_index *index = plan->index;
    double expected = 0;
    *out = (kith_search_stats){ .struct_size = sizeof *out };
    for (size_t i = 0; i < count; i++) {
        out->lists += stats[i].lists;
        out->lists_skipped += stats[i].skipped;
        out->codes += stats[i].codes;
        out->refined += stats[i].extra;
        out->rows_read += stats[i].rows;
        out->bytes += stats[i].bytes;
        expected += (double)stats[i].expected;
    }
    if (!index)
        out->expected_recall = 1;
    else if (!kt_plan_is_bound(plan) && count)
        out->expected_recall = (float)(expected / (double)count);
    out->matches = plan->where ? plan->where->rows.count : plan->snapshot->state->rows;
    out->filter_seconds = plan->where ? plan->where->seconds : 0;
    out->on_queries = index && index->calibrated_on && strcmp(index->calibrated_on, "queries") == 0;
    out->calibrated_with = index ? index->calibrated_with : 0;
}

/* The text below is made for each search, of which the shortest take 10 us: printf would take a twentieth of
 * that. */
static char *put_text(char *to, const char *text)
{
    size_t length = strlen(text);
    memcpy(to, text, length + 1);
    return to + length;
}

static char *put_number(char *to, uint32_t number)
{
    char digits[10];
    int count = 0;
    do digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count) *to++ = digits[--count];
    return to;
}

/* Six digits after the point at most, and no zeros at their end. */
static char *put_share(char *to, float share)
{
    uint32_t rest = share > 0 ? (share < 1 ? (uint32_t)lroundf(share * 1e6f) : 1000000) : 0;
    *to++ = (char)('0' + rest / 1000000);
    rest %= 1000000;
    if (rest) *to++ = '.';
    for (uint32_t unit = 100000; rest; unit /= 10) {
        *to++ = (char)('0' + rest / unit);
        rest %= unit;
    }
    return to;
}

void kt_plan_recall_text(const struct kt_plan *plan, const kith_search_stats *did, char to[KT_RECALL_TEXT])
{
    const char *on = plan->index ? plan->index->calibrated_on : NULL;
    to = put_text(to, "{\"expected\": ");
    to = did->expected_recall > 0 ? put_share(to, did->expected_recall) : put_text(to, "null");
    to = put_share(put_text(to, ", \"wanted\": "), plan->recall);
    to = put_text(to, ", \"calibrated_on\": ");
    to = on ? put_text(put_text(put_text(to, "\""), on), "\"") : put_text(to, "null");
    to = put_number(put_text(to, ", \"calibrated_with\": "), did->calibrated_with);
    put_text(to, plan->index ? ", \"exact\": false}" : ", \"exact\": true}");
}

/* ---- the plan in words */

/* The line about recall. */
static kith_status tell_recall(const struct kt_plan *plan, struct kt_buffer *text, kith_error *error)
{
    const struct kt_table_index *index = plan->index;
    const struct kt_index *open = NULL;
    struct kt_index_stats expect;
    double wanted = (double)plan->recall;
    if (!index->calibrated_on) {
        kt_buffer_text(text, "  Recall: %g wanted, not calibrated: fixed probes\n", wanted);
        return KITH_OK;
    }
    kith_status status = kt_snapshot_index(plan->snapshot, index, &open, error);
    if (status) return status;
    bool yours = strcmp(index->calibrated_on, "queries") == 0;
    index->ops->expect(open, plan->k + plan->offset, plan->recall, &expect);
    if (kt_plan_is_bound(plan))
        kt_buffer_text(text, "  Recall: not known, the query sets %s or refine_factor; for %g,",
                       is_graph(plan) ? "ef" : "nprobes", wanted);
    else
        kt_buffer_text(text, "  Recall: %g wanted,", wanted);
    kt_buffer_text(text, " calibrated on %u %s: %.3f expected from about ", (unsigned)index->calibrated_with,
                   yours ? "queries of yours" : "rows", (double)expect.expected);
    if (expect.lists) kt_buffer_text(text, "%llu lists, ", (unsigned long long)expect.lists);
    if (expect.rows)
        kt_buffer_text(text, "all %llu rows: no walk that costs less gives it\n",
                       (unsigned long long)expect.rows);
    else
        kt_buffer_text(text, "%llu codes\n", (unsigned long long)expect.codes);
    return KITH_OK;
}

static void tell_probes(const struct kt_plan *plan, struct kt_buffer *text)
{
    if (plan->nprobes)
        kt_buffer_text(text, "nprobes %u", (unsigned)plan->nprobes);
    else
        kt_buffer_text(text, "nprobes chosen by the index");
    if (plan->minimum_nprobes || plan->maximum_nprobes)
        kt_buffer_text(text, " (minimum %u, maximum %u)", (unsigned)plan->minimum_nprobes,
                       (unsigned)plan->maximum_nprobes);
}

static kith_status tell_index(const struct kt_plan *plan, struct kt_buffer *text, kith_error *error)
{
    const struct kt_table_index *index = plan->index;
    json_int_t lists = json_integer_value(json_object_get(index->piece->meta, "partitions"));
    json_int_t m = json_integer_value(json_object_get(index->piece->meta, "m"));
    kt_buffer_text(text, "  Index \"%s\" %s: %llu rows ", index->name, kith_index_type_name(index->type),
                   (unsigned long long)index->rows_indexed);
    if (is_graph(plan) && plan->ef)
        kt_buffer_text(text, "with m %lld, ef %u", (long long)m, (unsigned)plan->ef);
    else if (is_graph(plan))
        kt_buffer_text(text, "with m %lld, ef chosen by the index", (long long)m);
    else
        kt_buffer_text(text, "in %lld partitions, ", (long long)lists);
    if (!is_graph(plan)) tell_probes(plan, text);
    kt_buffer_text(text, "\n");
    kith_status status = tell_recall(plan, text, error);
    if (plan->refine_factor)
        kt_buffer_text(text, "  Refine: %llu rows by their stored vectors\n",
                       (unsigned long long)plan->refine_factor * (plan->k + plan->offset));
    if (index->rows_unindexed)
        kt_buffer_text(text, "  ExactScan: %llu rows %s\n", (unsigned long long)index->rows_unindexed,
                       plan->fast_search ? "not in the index, left out (fast_search)" : "not in the index");
    return status;
}

static kith_status tell_where(const struct kt_plan *plan, struct kt_buffer *text, kith_error *error)
{
    const struct kt_where *where = plan->where;
    if (!where) return KITH_OK;
    kt_buffer_text(text, "  Filter: ");
    kith_status status = kt_filter_tell(where->filter, text, error);
    kt_buffer_text(text, "\n  Matches: %llu of %llu rows, known before the search; ",
                   (unsigned long long)where->rows.count, (unsigned long long)plan->snapshot->state->rows);
    kt_buffer_text(text, "evaluated for %llu rows, %llu settled by statistics, in %.2f ms\n",
                   (unsigned long long)where->evaluated, (unsigned long long)where->ruled,
                   where->seconds * 1e3);
    if (where->probed)
        kt_buffer_text(text, "  Values: %u %s of the filter answered by indexes over values\n",
                       (unsigned)where->probed, where->probed == 1 ? "part" : "parts");
    if (where->by_ids)
        kt_buffer_text(text, "  Ids: %u %s of the filter answered by the row ids\n", (unsigned)where->by_ids,
                       where->by_ids == 1 ? "part" : "parts");
    if (plan->postfilter)
        kt_buffer_text(text, "  Postfilter: searched without it, refused rows dropped after\n");
    return status;
}

kith_status kt_plan_tell(const struct kt_plan *plan, struct kt_buffer *text, kith_error *error)
{
    const struct kt_snapshot *snapshot = plan->snapshot;
    const struct kt_field *field = &snapshot->schema->fields[plan->column];
    kith_status status = KITH_OK;
    char type[120];
    kt_field_type_text(field, type, sizeof type);
    kt_buffer_text(text, "Search: the %u nearest", (unsigned)plan->k);
    if (plan->offset) kt_buffer_text(text, " after the first %u", (unsigned)plan->offset);
    kt_buffer_text(text, " by %s on \"%s\" %s, version %llu\n", kith_metric_name(plan->metric), field->name,
                   type, (unsigned long long)snapshot->state->version);
    status = tell_where(plan, text, error);
    uint64_t rows = plan->where && !plan->postfilter ? plan->where->rows.count : snapshot->state->rows;
    if (!status && plan->index)
        status = tell_index(plan, text, error);
    else if (!status)
        kt_buffer_text(text, "  ExactScan: %llu rows (%s)\n  Recall: 1, exact\n", (unsigned long long)rows,
                       plan->why);
    if (!status && !text->data) status = kt_fail_memory(error, 256);
    return status;
}

kith_status kt_plan_explain(const struct kt_plan *plan, char **out, kith_error *error)
{
    struct kt_buffer text = { 0 };
    kith_status status = kt_plan_tell(plan, &text, error);
    if (status)
        kt_buffer_release(&text);
    else
        *out = (char *)text.data;
    return status;
}
