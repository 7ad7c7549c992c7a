/* Answering: which way a query goes, the search itself, and the rows that come of it. */
#ifndef KT_QUERY_QUERY_H
#define KT_QUERY_QUERY_H

#include "table/table.h"

/* A query whose names and numbers have been settled against one snapshot. */
struct kt_plan {
    struct kt_snapshot *snapshot;       /* held by the plan */
    const struct kt_table_index *index; /* NULL: every row is scanned exactly */
    const char *why;                    /* the reason of that choice, for people */
    int column;
    kith_metric metric;
    kith_element element; /* of the query's vectors */
    size_t vector_bytes;
    uint32_t k, offset;
    uint32_t refine_factor; /* 0: the index reads as many stored rows as its bounds say */
    float recall;           /* wanted */
    uint32_t nprobes, minimum_nprobes, maximum_nprobes;
    uint32_t threads;
    bool fast_search;
    float lower, upper;
};

/** Shares the snapshot. KITH_INVALID, KITH_NOT_FOUND, KITH_UNSUPPORTED as kith_search() says. */
kith_status kt_plan_make(struct kt_snapshot *snapshot, const kith_query *query, struct kt_plan *out,
                         kith_error *error);
void kt_plan_release(struct kt_plan *plan);
/** Searches for `count` vectors (of plan->element, plan->vector_bytes each): hits of vector i from hits + i *
 * k on, counts[i] of them, nearest first, the offset taken off. Many vectors are shared among plan->threads
 * threads. `stats` has room for one a vector, or is NULL. */
kith_status kt_plan_run(const struct kt_plan *plan, const void *vectors, size_t count, struct kt_hit *hits,
                        uint32_t *counts, struct kt_index_stats *stats, kith_error *error);

/* ---- what is told of a search ---- */

/** Adds up what the searches for `count` vectors did. */
void kt_plan_sum(const struct kt_plan *plan, const struct kt_index_stats *stats, size_t count,
                 kith_search_stats *out);
/** The recall of an answer as JSON: what its schema says under KT_RECALL_KEY. */
enum { KT_RECALL_TEXT = 160 };
void kt_plan_recall_text(const struct kt_plan *plan, const kith_search_stats *did, char to[KT_RECALL_TEXT]);
/** The plan in words; to be freed with kt_free(). */
kith_status kt_plan_explain(const struct kt_plan *plan, char **out, kith_error *error);
/** The same, then runs it for `count` vectors, and tells what was done, how long it took, and how long memory
 * takes for so much. */
kith_status kt_plan_analyze(struct kt_plan *plan, const void *vectors, size_t count, char **out,
                            kith_error *error);

/* ---- the rows of an answer ---- */

/* What a result shows of each row, in order. */
enum kt_shown { KT_SHOW_COLUMN, KT_SHOW_ROW_ID, KT_SHOW_DISTANCE, KT_SHOW_QUERY_INDEX };
struct kt_projection {
    struct kt_schema *schema; /* of the result */
    struct kt_projected {
        enum kt_shown shown;
        uint32_t column; /* of the table, for KT_SHOW_COLUMN */
    } * items;
};
/* Which columns are wanted. */
struct kt_wanted {
    const char *const *columns; /* NULL: all of the table's */
    size_t column_count;
    bool none;          /* no column of the table */
    bool row_id;        /* adds "_rowid" */
    bool distance;      /* adds "_distance", last but for the query's number */
    bool query_index;   /* adds "query_index" */
    const char *recall; /* of the answer, for the schema's metadata; NULL: none */
};
kith_status kt_projection_make(const struct kt_snapshot *snapshot, const struct kt_wanted *wanted,
                               struct kt_projection *out, kith_error *error);
void kt_projection_release(struct kt_projection *projection);

/** Fetches the rows of hits, in order: counts[q] of them from hits + q * stride on, for each of `queries`
 * queries. Hits whose row is not there are left out. */
kith_status kt_fetch(const struct kt_snapshot *snapshot, const struct kt_projection *projection,
                     const struct kt_hit *hits, const uint32_t *counts, size_t queries, size_t stride,
                     struct kt_batch **out, kith_error *error);

/** A stream of the table's rows in order; shares the snapshot. */
kith_status kt_scan_open(struct kt_snapshot *snapshot, const kith_scan *options, struct ArrowArrayStream *out,
                         kith_error *error);

#endif
