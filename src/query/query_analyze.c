/* The query run and told: what it did, how long it took, and how long memory takes for so much.
 *
 * The floor is what the bytes take when streamed plus what the dependent misses take one after another. A
 * search does better where caches hold what it reads or where it asks ahead, so the ratio may fall below 1;
 * far above 1 it says that time goes elsewhere than into memory. Everything runs on one thread, as the floor
 * does. Rows that are scanned exactly lie one after another: they are bytes, not misses.
 */
#include "base/bytes.h"
#include "query/query_private.h"

enum { RUNS = 5 };

struct analysis {
    kith_search_stats did;
    bool filtered;
    uint64_t misses;
    double seconds; /* the median */
    struct kt_machine machine;
};

/* Runs the plan once to warm up and then for the time; hits and counts are scratch. */
static kith_status run_often(const struct kt_plan *plan, const void *vectors, size_t count,
                             struct kt_hit *hits, uint32_t *counts, struct kt_index_stats *stats,
                             double *median, kith_error *error)
{
    double times[RUNS];
    for (int i = -1; i < RUNS; i++) {
        double begin = kt_seconds();
        kith_status status = kt_plan_run(plan, vectors, count, hits, counts, stats, error);
        double time = kt_seconds() - begin;
        if (status) return status;
        int at = i; /* sorted in */
        for (; at > 0 && times[at - 1] > time; at--) times[at] = times[at - 1];
        if (at >= 0) times[at] = time;
    }
    *median = times[RUNS / 2];
    return KITH_OK;
}

static kith_status measure(const struct kt_plan *plan, const void *vectors, size_t count,
                           struct analysis *analysis, kith_error *error)
{
    size_t rows;
    if (__builtin_mul_overflow(count, (size_t)plan->k, &rows)) rows = SIZE_MAX / 2;
    struct kt_hit *hits = kt_alloc_array(rows, sizeof *hits);
    uint32_t *counts = kt_alloc_array(count, sizeof *counts);
    struct kt_index_stats *stats = kt_alloc_zero(count, sizeof *stats);
    kith_status status = hits && counts && stats ? KITH_OK : kt_fail_memory(error, rows * sizeof *hits);
    if (!status) status = run_often(plan, vectors, count, hits, counts, stats, &analysis->seconds, error);
    if (!status) {
        kt_plan_sum(plan, stats, count, &analysis->did);
        bool each = plan->where && !plan->postfilter; /* then rows are read one by one */
        uint64_t rest = plan->index ? plan->index->rows_unindexed : plan->snapshot->state->rows;
        uint64_t streamed = each || (plan->index && plan->fast_search) ? 0 : rest * count;
        analysis->misses = analysis->did.lists + analysis->did.refined + analysis->did.rows_read -
                           kt_min_u64(streamed, analysis->did.rows_read);
        status = kt_machine_memory(&analysis->machine, error);
    }
    kt_free(hits);
    kt_free(counts);
    kt_free(stats);
    return status;
}

static void tell(const struct analysis *analysis, size_t count, struct kt_buffer *text)
{
    const kith_search_stats *did = &analysis->did;
    const struct kt_machine *machine = &analysis->machine;
    double bytes = (double)did->bytes / machine->bytes_per_second;
    double misses = (double)analysis->misses * machine->seconds_per_miss;
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        { "rows that match", did->matches }, { "lists without a match", did->lists_skipped },
        { "lists visited", did->lists },     { "codes scanned", did->codes },
        { "codes refined", did->refined },   { "rows read", did->rows_read },
        { "bytes touched", did->bytes },
    };
    for (size_t i = analysis->filtered ? 0 : 2; i < sizeof counts / sizeof *counts; i++)
        kt_buffer_text(text, "  %-23s%12llu\n", counts[i].name, (unsigned long long)counts[i].value);
    kt_buffer_text(text, "  %-23s%12llu  (an estimate)\n", "dependent cache misses",
                   (unsigned long long)analysis->misses);
    if (did->expected_recall > 0)
        kt_buffer_text(text, "  %-23s%12.3f\n", "expected recall", (double)did->expected_recall);
    else
        kt_buffer_text(text, "  %-23s%12s\n", "expected recall", "not known");
    kt_buffer_text(text, "  %-23s%12.1f us  (median of %d runs", "time", analysis->seconds * 1e6, RUNS);
    if (count > 1) kt_buffer_text(text, ", %zu vectors on one thread", count);
    kt_buffer_text(text, ")\n  %-23s%12.1f us  (bytes %.1f us at %.1f GB/s, misses %.1f us at %.0f ns)\n",
                   "floor", (bytes + misses) * 1e6, bytes * 1e6, machine->bytes_per_second / 1e9,
                   misses * 1e6, machine->seconds_per_miss * 1e9);
    double ratio = bytes + misses > 0 ? analysis->seconds / (bytes + misses) : 0;
    if (ratio > 0)
        kt_buffer_text(text, "  %-23s%12.1f%s\n", "time / floor", ratio,
                       ratio < 1 ? "     (caches hold what it reads)" : "");
}

kith_status kt_plan_analyze(struct kt_plan *plan, const void *vectors, size_t count, char **out,
                            kith_error *error)
{
    struct kt_buffer text = { 0 };
    struct analysis analysis = { .filtered = plan->where };
    if (!vectors) return kt_fail(error, KITH_INVALID, "a search needs a query vector");
    plan->threads = 1;
    kith_status status = kt_plan_tell(plan, &text, error);
    if (!status) status = measure(plan, vectors, count, &analysis, error);
    if (status) {
        kt_buffer_release(&text);
        return status;
    }
    tell(&analysis, count, &text);
    *out = (char *)text.data;
    return KITH_OK;
}
