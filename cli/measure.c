/* Measuring: the exact answers first, on all cores; then for each wanted recall the answers, compared with
 * them, and the time on one thread, query by query, of which the best round counts.
 *
 * Recall is counted by distance: a row that is as near as the k-th of the exact answer counts, whichever of
 * two equally near rows it is.
 *
 * A query that is a row of the table is left out of both answers. It is not made up for by asking for one row
 * more: an index decides by k how far it looks, so that k + 1 rows would be another question than the user's.
 */
#include "measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arrow_view.h"

enum { AT_ONCE = 16 }; // queries of one exact scan: Ctrl-C is heard between two
static const double round_seconds = 2.0;
static const double least_seconds = 0.25; // rounds are repeated until they took so long together

struct answers { /* k a query */
    uint64_t *ids;
    float *distances;
};

static void answers_init(struct answers *answers, const struct measuring *m)
{
    size_t count = m->queries.count * m->k;
    answers->ids = cli_alloc(count * sizeof *answers->ids);
    answers->distances = cli_alloc(count * sizeof *answers->distances);
}

static void answers_release(struct answers *answers)
{
    free(answers->ids);
    free(answers->distances);
}

static kith_status tell(struct measuring *m, const char *stage, size_t done, size_t total, kith_error *error)
{
    kith_progress at = { .stage = stage, .done = done, .total = total };
    if (!cli_progress(&at, &m->progress)) return KITH_OK;
    return cli_fail(error, KITH_CANCELLED, "interrupted");
}

static size_t vector_bytes(const struct measuring *m)
{
    return m->queries.dim * cli_element_bytes(m->queries.element);
}

static kith_query query_of(const struct measuring *m, float recall)
{
    kith_query query = KITH_INIT(kith_query);
    query.column = m->column;
    query.element = m->queries.element;
    query.dim = m->queries.dim;
    query.k = m->k;
    query.recall = cli_recall(recall);
    return query;
}

/* ---- answers ---- */

static kith_status ask_exactly(struct measuring *m, struct answers *out, kith_error *error)
{
    kith_query query = query_of(m, 1);
    kith_status status = KITH_OK;
    query.exact = true;
    for (size_t at = 0; at < m->queries.count && !status; at += AT_ONCE) {
        size_t left = m->queries.count - at;
        query.vectors = m->queries.data + at * vector_bytes(m);
        query.vector_count = left < AT_ONCE ? left : AT_ONCE;
        status = tell(m, "exact", at, m->queries.count, error);
        if (!status)
            status =
                kith_search_ids(m->table, &query, out->ids + at * m->k, out->distances + at * m->k, error);
    }
    return status;
}

/* Drops a query's own row, else the last, and gives how many rows are left. */
static uint32_t without_own(const struct measuring *m, size_t query, struct answers *answers)
{
    uint64_t *ids = answers->ids + query * m->k;
    float *distances = answers->distances + query * m->k;
    uint32_t count = m->k, at = 0;
    while (count > 0 && ids[count - 1] == UINT64_MAX) count--;
    if (!m->own) return count;
    while (at < count && ids[at] != m->own[query]) at++;
    if (at == count && count < m->k) return count; // it is not there, and nothing took its place
    for (; at + 1 < count; at++) {
        ids[at] = ids[at + 1];
        distances[at] = distances[at + 1];
    }
    return count ? count - 1 : 0;
}

static bool holds(const uint64_t *ids, uint32_t count, uint64_t id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] == id) return true;
    }
    return false;
}

/* The share of the true rows of one query that was found. `counts` are those of the truth. */
static double share_found(const struct measuring *m, size_t query, const struct answers *truth,
                          const uint32_t *counts, struct answers *found)
{
    uint32_t wanted = counts[query], hits = 0, have = without_own(m, query, found);
    size_t at = query * m->k;
    if (!wanted) return 1;
    for (uint32_t i = 0; i < have; i++) {
        hits += found->distances[at + i] <= truth->distances[at + wanted - 1] ||
                holds(truth->ids + at, wanted, found->ids[at + i]);
    }
    return (double)(hits < wanted ? hits : wanted) / wanted;
}

static kith_status measure_recall(struct measuring *m, const struct answers *truth, const uint32_t *counts,
                                  struct measured *row, kith_error *error)
{
    struct answers found = { NULL, NULL };
    kith_search_stats stats = KITH_INIT(kith_search_stats);
    kith_query query = query_of(m, row->recall);
    size_t count = m->queries.count;
    double sum = 0, squares = 0;
    query.vectors = m->queries.data;
    query.vector_count = count;
    query.stats = &stats;
    answers_init(&found, m);
    kith_status status = kith_search_ids(m->table, &query, found.ids, found.distances, error);
    for (size_t i = 0; i < count && !status; i++) {
        double share = share_found(m, i, truth, counts, &found);
        sum += share;
        squares += share * share;
    }
    answers_release(&found);
    row->measured = sum / (double)count;
    double variance = (squares - sum * row->measured) / (double)(count > 1 ? count - 1 : 1);
    row->standard_error = sqrt((variance > 0 ? variance : 0) / (double)count);
    row->expected = (double)stats.expected_recall;
    row->lists = (double)stats.lists / (double)count;
    row->codes = (double)stats.codes / (double)count;
    return status;
}

/* ---- time ---- */

/* One round over the queries, cut short where it takes long. @return queries a second */
static kith_status time_round(struct measuring *m, kith_searcher *searcher, struct answers *one,
                              double *speed, double *seconds, kith_error *error)
{
    kith_status status = KITH_OK;
    double begin = cli_now(), now = begin;
    size_t done = 0;
    while (!status && done < m->queries.count && now - begin < round_seconds) {
        status = kith_searcher_run(searcher, m->queries.data + done * vector_bytes(m), 1, one->ids,
                                   one->distances, error);
        done++;
        now = cli_now();
    }
    *seconds += now - begin;
    *speed = fmax(*speed, (double)done / fmax(now - begin, 1e-9));
    if (!status && cli_interrupted()) status = cli_fail(error, KITH_CANCELLED, "interrupted");
    return status;
}

static kith_status measure_speed(struct measuring *m, float recall, double *speed, kith_error *error)
{
    struct answers one = { cli_alloc(m->k * sizeof *one.ids), cli_alloc(m->k * sizeof *one.distances) };
    kith_query query = query_of(m, recall);
    kith_searcher *searcher = NULL;
    double seconds = 0;
    query.threads = 1;
    *speed = 0;
    kith_status status = kith_searcher_new(m->table, &query, &searcher, error);
    if (!status) status = kith_searcher_run(searcher, m->queries.data, 1, one.ids, one.distances, error);
    while (!status && seconds < least_seconds) status = time_round(m, searcher, &one, speed, &seconds, error);
    kith_searcher_free(searcher);
    answers_release(&one);
    return status;
}

kith_status cli_measure(struct measuring *m, kith_error *error)
{
    struct answers truth = { NULL, NULL };
    uint32_t *counts = cli_alloc(m->queries.count * sizeof *counts);
    answers_init(&truth, m);
    kith_status status = ask_exactly(m, &truth, error);
    for (size_t i = 0; i < m->queries.count && !status; i++) counts[i] = without_own(m, i, &truth);
    if (!status) status = measure_speed(m, 1, &m->exact_queries_per_second, error);
    for (size_t i = 0; i < m->count && !status; i++) {
        struct measured *row = &m->rows[i];
        status = tell(m, "recall", i, m->count, error);
        if (!status) status = measure_recall(m, &truth, counts, row, error);
        if (!status) status = measure_speed(m, row->recall, &row->queries_per_second, error);
    }
    cli_progress_end(&m->progress);
    answers_release(&truth);
    free(counts);
    return status;
}

void cli_measuring_release(struct measuring *m)
{
    cli_vectors_release(&m->queries);
    free(m->own);
    free(m->rows);
    *m = (struct measuring){ 0 };
}
