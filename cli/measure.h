/* How good an index is: recall against the exact scan, and queries a second. */
#ifndef CLI_MEASURE_H
#define CLI_MEASURE_H

#include "progress.h"
#include "query_vectors.h"

struct measured { /* one wanted recall */
    float recall; /* as wanted; 0 asks for the fastest */
    double measured;
    double standard_error; /* of `measured`, over the queries */
    double expected;       /* as calibrated; 0 when that is not known */
    double queries_per_second;
    double lists, codes; /* a query, on the average */
};

struct measuring { /* zeroed is empty */
    kith_table *table;
    const char *column;
    struct query_vectors queries;
    uint64_t *own; /* the row that each query is, which is left out of its answers; NULL for real queries */
    uint32_t k;    /* rows a query, its own counted */
    struct progress progress;

    struct measured *rows; /* `recall` is given, the rest filled */
    size_t count;
    double exact_queries_per_second;
};

/** Fills the rows. @return KITH_CANCELLED when interrupted, or what a search failed with */
kith_status cli_measure(struct measuring *m, kith_error *error);
void cli_measuring_release(struct measuring *m);

#endif
