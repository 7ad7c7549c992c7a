/* What the files of the query room share. */
#ifndef KT_QUERY_PRIVATE_H
#define KT_QUERY_PRIVATE_H

#include "parallel/parallel.h"
#include "query/query.h"

/** Whether the query binds the search by numbers of its own, for which nothing was calibrated. */
bool kt_plan_is_bound(const struct kt_plan *plan);
/** The plan in words. A line that memory does not hold is missing; what has no line at all is a failure. */
kith_status kt_plan_tell(const struct kt_plan *plan, struct kt_buffer *text, kith_error *error);

/* ---- rows by their values (query_keys.c) */

struct kt_keys; /* values that rows are to have in some columns */
/** `columns` are numbers in `schema`. KITH_TYPE for one whose values have no order. */
kith_status kt_keys_new(const struct kt_schema *schema, const uint32_t *columns, uint32_t count,
                        struct kt_keys **out, kith_error *error);
void kt_keys_free(struct kt_keys *keys);
const struct kt_schema *kt_keys_schema(const struct kt_keys *keys); /* of the columns alone */
uint32_t kt_keys_count(const struct kt_keys *keys);
/** Adds the values of a row, as the next number. *twin is the number of the first that is the same, or its
 * own. A row with a null among them is the same as none. */
kith_status kt_keys_add(struct kt_keys *keys, const struct kt_array *const *columns, int64_t row,
                        uint32_t *twin, kith_error *error);
bool kt_keys_is_null(const struct kt_keys *keys, uint32_t number);
struct kt_match {
    uint64_t row;    /* of the table */
    uint32_t number; /* of the first key that it has */
};
/** All rows that have one of the keys, rising; freed with kt_free(). */
kith_status kt_keys_match(const struct kt_keys *keys, struct kt_snapshot *snapshot, struct kt_match **out,
                          size_t *count, kith_error *error);

enum { KT_ROWS_AT_ONCE = 8192 };
/** Fetches up to `most` selected rows from *from on, which moves; UINT64_MAX is the end. `hits` has room for
 * them. *out is NULL where there are none. */
kith_status kt_rows_fetch(const struct kt_snapshot *snapshot, const struct kt_projection *projection,
                          const struct kt_selection *rows, uint64_t *from, struct kt_hit *hits, uint32_t most,
                          struct kt_batch **out, kith_error *error);
/** Lends what `filter` reads of `rows` rows of segment `number`, which lie in one record batch, from place
 * `row` on. */
kith_status kt_lend_columns(const struct kt_snapshot *snapshot, const struct kt_filter *filter,
                            uint32_t number, uint64_t row, uint32_t rows, struct kt_arena *scratch,
                            struct kt_filter_rows *out, kith_error *error);
struct kt_draining {
    const kith_write *write; /* what to do with bad vectors */
    const char *only;        /* the stream has one column, whatever its name, and it is this one; or NULL */
    struct kt_work *work;    /* told of the rows that were read; or NULL */
};
/** Reads a stream to its end, cast to the table's columns of the names it has: *given is their schema. */
kith_status kt_stream_drain(struct ArrowArrayStream *stream, const struct kt_schema *table,
                            const struct kt_draining *how, struct kt_schema **given, struct kt_batch **out,
                            kith_error *error);
/** The ids of selected rows; freed with kt_free(). */
kith_status kt_selected_ids(const struct kt_selection *rows, uint64_t **out, kith_error *error);
/** After an attempt to change rows: whether to try once more. */
bool kt_again(kith_status status, double began, kith_changed *changed);
/** KITH_CONFLICT: data that were read for the columns of `before` cannot go to those of `now`. */
kith_status kt_columns_changed(const struct kt_table *table, const struct kt_snapshot *before,
                               const struct kt_snapshot *now, const char *operation, kith_error *error);
/** A filter that admits every row. */
kith_status kt_every_row(struct kt_snapshot *snapshot, struct kt_where **out, kith_error *error);

/* What this machine's memory does for one thread (query_machine.c). */
struct kt_machine {
    double bytes_per_second; /* read one after another */
    double seconds_per_miss; /* of reads of which each says where the next one is */
};
/** Measures it at the first call in a process. */
kith_status kt_machine_memory(struct kt_machine *out, kith_error *error);

/* ---- query_verify.c */

/** That an index over vectors holds as many of the rows that it covers as have a vector. */
kith_status kt_verify_index(struct kt_snapshot *snapshot, const struct kt_table_index *index,
                            kith_error *error);

#endif
