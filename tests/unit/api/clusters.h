/* Rows in clusters, as embeddings lie, and what tests of indexes ask of a table. */
#ifndef TESTS_UNIT_API_CLUSTERS_H
#define TESTS_UNIT_API_CLUSTERS_H

#include "support/rows.h"

/* Row i lies about centre i % `clusters`. Rows of another `seed` lie about the same centres. */
static inline struct rows rows_clusters(uint64_t count, uint32_t dim, uint32_t clusters, uint64_t seed)
{
    struct rows centres = rows_random(clusters, dim, 99), rows = rows_random(count, dim, seed);
    for (uint64_t i = 0; i < count; i++)
        for (uint32_t d = 0; d < dim; d++)
            rows.vectors[i * dim + d] =
                0.35f * rows.vectors[i * dim + d] + centres.vectors[i % clusters * dim + d];
    rows_free(&centres);
    return rows;
}

static inline kith_query query_of(const float *vector, uint32_t dim, uint32_t k)
{
    kith_query query = KITH_INIT(kith_query);
    query.vectors = vector;
    query.dim = dim;
    query.k = k;
    return query;
}

static inline void add(kith_table *table, const struct rows *rows, uint64_t begin, uint64_t count)
{
    struct ArrowArrayStream data = rows_stream(rows, begin, count);
    assert_ok(kith_append(table, &data, NULL, NULL, error));
}

static inline uint64_t count_of(kith_table *table)
{
    uint64_t count = UINT64_MAX;
    assert_ok(kith_table_count(table, NULL, &count, error));
    return count;
}

static inline kith_indexes *indexes_of(kith_table *table)
{
    kith_indexes *indexes = NULL;
    assert_ok(kith_list_indexes(table, &indexes, error));
    return indexes;
}

static inline size_t index_count(kith_table *table)
{
    kith_indexes *indexes = indexes_of(table);
    size_t count = indexes->count;
    kith_indexes_free(indexes);
    return count;
}

/* Of the 10 nearest of `queries`, how many the table finds; adds to `did` (which may be NULL) what that took.
 */
static inline double recall_of(kith_table *table, const struct rows *rows, uint64_t count,
                               const struct rows *queries, kith_search_stats *did)
{
    enum { K = 10 };
    uint64_t found = 0;
    for (uint64_t q = 0; q < queries->count; q++) {
        struct near truth[K];
        uint64_t ids[K];
        float distances[K];
        kith_search_stats one = KITH_INIT(kith_search_stats);
        kith_query query = query_of(queries->vectors + q * queries->dim, queries->dim, K);
        query.stats = &one;
        brute_force(rows, count, KITH_L2, query.vectors, K, truth);
        assert_ok(kith_search_ids(table, &query, ids, distances, error));
        for (int i = 0; i < K; i++)
            for (int j = 0; j < K; j++) found += ids[i] == truth[j].row;
        if (!did) continue;
        did->lists += one.lists;
        did->codes += one.codes;
        did->rows_read += one.rows_read;
    }
    return (double)found / (double)(queries->count * K);
}

#endif
