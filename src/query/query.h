/* Answering: which way a query goes, the search itself, and the rows that come of it. */
#ifndef KT_QUERY_QUERY_H
#define KT_QUERY_QUERY_H

#include "base/lock.h"
#include "filter/filter.h"
#include "parallel/parallel.h"
#include "table/table.h"

/* ---- which rows a filter admits ---- */

struct kt_where { /* immutable once made, shared by reference; of one snapshot */
    _Atomic uint32_t references;
    struct kt_snapshot *snapshot;
    struct kt_filter *filter;
    struct kt_selection rows;
    uint64_t evaluated, ruled; /* rows that the predicate was evaluated for, and that statistics settled */
    uint32_t probed;           /* parts of the predicate that an index over values answered, */
    uint32_t by_ids;           /* and that the row ids did */
    double seconds;
    struct kt_lock lock;              /* of `counted`, and of `rows` while they are found */
    struct kt_where_counted *counted; /* how the rows lie in indexes that were asked */
};
/** How the admitted rows lie in an index of the snapshot; `where` keeps the answer. */
kith_status kt_where_count(struct kt_where *where, const struct kt_table_index *index,
                           const struct kt_index_matches **out, kith_error *error);
/** Of an SQL text or an expression, as options have them; *out is NULL where both are. `work` says on how
 * many threads it is evaluated and until when; NULL: one a core, until it is done. */
kith_status kt_where_of(struct kt_snapshot *snapshot, const char *text, const struct kt_expr *expr,
                        struct kt_work *work, struct kt_where **out, kith_error *error);
struct kt_where *kt_where_share(struct kt_where *where);
void kt_where_release(struct kt_where *where); /* NULL is allowed */

/* ---- searching ---- */

/* A query whose names and numbers have been settled against one snapshot. */
struct kt_plan {
    struct kt_snapshot *snapshot;       /* held by the plan */
    const struct kt_table_index *index; /* NULL: every row is scanned exactly */
    const char *why;                    /* the reason of that choice, for people */
    struct kt_where *where;             /* NULL: every row will do, of */
    const struct kt_selection *live;    /* these; NULL: all that are stored */
    bool postfilter;
    const struct kt_index_matches *lived;   /* about how what is there lies in it; NULL: nearly all is */
    const struct kt_index_matches *matches; /* how what `where` admits lies in the index; NULL without it */
    int column;
    kith_metric metric;
    kith_element element; /* of the query's vectors */
    size_t vector_bytes;
    uint32_t k, offset;
    uint32_t refine_factor; /* 0: the index reads as many stored rows as its bounds say */
    float recall;           /* wanted */
    uint32_t nprobes, minimum_nprobes, maximum_nprobes;
    uint32_t ef, least_ef; /* of graphs; see kt_index_query */
    uint32_t threads;
    bool fast_search;
    float lower, upper;
    struct kt_work *work; /* borrowed: asked whether to go on; NULL: nobody minds how long it takes */
};

/** Shares the snapshot, and `where`, which is the query's filter over it. KITH_INVALID, KITH_NOT_FOUND,
 * KITH_UNSUPPORTED as kith_search() says. */
kith_status kt_plan_make(struct kt_snapshot *snapshot, const kith_query *query, struct kt_where *where,
                         struct kt_plan *out, kith_error *error);
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
enum kt_shown { KT_SHOW_COLUMN, KT_SHOW_ROW_ID, KT_SHOW_DISTANCE, KT_SHOW_QUERY_INDEX, KT_SHOW_EXPRESSION };
struct kt_projection {
    struct kt_schema *schema; /* of the result */
    struct kt_projected {
        enum kt_shown shown;
        uint32_t column;          /* of the table, for KT_SHOW_COLUMN */
        struct kt_filter *filter; /* for KT_SHOW_EXPRESSION */
    } * items;
    struct kt_work *work; /* borrowed: asked whether to go on by who fetches; NULL: nobody minds */
};
/* Which columns are wanted. */
struct kt_wanted {
    const char *const *columns;     /* NULL: all of the table's */
    const char *const *expressions; /* what they are, as SQL; NULL, or NULL in it: the column of that name */
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

/* In which order rows shall come: equal ones stay as they are. */
struct kt_ordering {
    const kith_order *by;
    size_t count;
    bool has_distance;    /* the rows are those of a search: `_distance` may be among the expressions */
    struct kt_work *work; /* asked whether to go on; or NULL */
};
/** Sorts rows by some expressions. KITH_TYPE for one without an order. */
kith_status kt_order_rows(struct kt_snapshot *snapshot, const struct kt_ordering *order, struct kt_hit *hits,
                          size_t count, kith_error *error);

/* ---- changing rows ---- */

/** kt_table_create() and kt_table_insert(), watching over the table's key. */
kith_status kt_create(struct kt_catalog *catalog, const char *name, struct ArrowArrayStream *data,
                      const kith_create *options, struct kt_table **out, kith_error *error);
kith_status kt_append(struct kt_table *table, struct ArrowArrayStream *data, const kith_write *options,
                      uint64_t *version, kith_error *error);
/** As kith.h says of kith_add_columns(), kith_alter_columns(), kith_drop_columns(). */
kith_status kt_add_columns(struct kt_table *table, const kith_new_column *columns, size_t count,
                           kith_changed *changed, kith_error *error);
kith_status kt_alter_columns(struct kt_table *table, const kith_altered_column *columns, size_t count,
                             kith_changed *changed, kith_error *error);
kith_status kt_drop_columns(struct kt_table *table, const char *const *names, size_t count,
                            kith_changed *changed, kith_error *error);
/** As kith.h says of kith_delete(), kith_delete_rows(), kith_update_rows(), kith_merge_rows(), kith_get().
 * `changed` is filled whole. Streams are consumed. */
/** As kith.h says of kith_erase(). */
kith_status kt_erase(struct kt_table *table, const kith_erasing *options, kith_erased *done,
                     kith_error *error);
kith_status kt_delete(struct kt_table *table, const struct kt_expr *filter, kith_changed *changed,
                      kith_error *error);
kith_status kt_delete_rows(struct kt_table *table, const uint64_t *rows, size_t count, kith_changed *changed,
                           kith_error *error);
kith_status kt_update(struct kt_table *table, const kith_update *options, kith_changed *changed,
                      kith_error *error);
kith_status kt_merge(struct kt_table *table, struct ArrowArrayStream *data, const kith_merge *options,
                     kith_changed *changed, kith_error *error);
kith_status kt_get(struct kt_table *table, struct ArrowArrayStream *keys, const kith_scan *options,
                   struct ArrowArrayStream *out, kith_error *error);

/** As kith.h says of kith_table_verify(). */
kith_status kt_verify(struct kt_table *table, uint64_t *files, kith_error *error);

/** As kith.h says of kith_repair(); *words is freed with kt_free(). */
kith_status kt_repair(struct kt_catalog *catalog, const char *name, char **words, kith_error *error);

/** A stream of the table's rows in order; shares the snapshot. */
kith_status kt_scan_open(struct kt_snapshot *snapshot, const kith_scan *options, struct ArrowArrayStream *out,
                         kith_error *error);

#endif
