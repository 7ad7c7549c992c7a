/* Kith: an embedded vector database. This header is the whole contract; what is not here is not API.
 *
 * A database is a folder (or "memory://"). It holds tables; a table holds rows of Arrow columns, some
 * of them vectors (fixed-size lists). Rows go in and come out as Arrow C streams (kith_arrow.h).
 *
 * Rules that hold everywhere:
 *   - A function that can fail returns a kith_status and takes a `kith_error *` last, which may be NULL.
 *     On failure the outputs are left as they were; on success what `error` holds means nothing.
 *   - What a `**out` parameter receives belongs to the caller and is given back with the function named
 *     beside it; those functions take NULL. Pointers returned otherwise are borrowed from their object.
 *   - Option structs begin with `struct_size`, which KITH_INIT() fills; a field left zero takes its
 *     default, so a program built against an older header goes on working.
 *   - Handles may be used from any number of threads, and after fork() in parent and child. One handle
 *     is freed once, when nobody uses it any more.
 *   - An ArrowArrayStream given to a function is consumed by it, success or not; its release callback
 *     has been called when the function returns. One received belongs to the caller.
 *   - What is given to a function and is not said to be optional must be there: NULL is KITH_INVALID, and so
 *     is a number that is of no enum. Handles and places for outputs are taken as they are.
 *   - Strings are UTF-8 and end in NUL. Times are microseconds since 1970, UTC.
 */
#ifndef KITH_H
#define KITH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kith_arrow.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KITH_API __attribute__((visibility("default")))
#else
#define KITH_API
#endif

/** Declares an option struct with every field at its default:
 *  `kith_query query = KITH_INIT(kith_query);` */
#ifdef __cplusplus
#define KITH_INIT(type)                                                                                      \
    ([] {                                                                                                    \
        type kith_init_ = type();                                                                            \
        kith_init_.struct_size = sizeof(type);                                                               \
        return kith_init_;                                                                                   \
    }()) /* a brace with one value in it would warn of the others */
#else
#define KITH_INIT(type) ((type){ .struct_size = sizeof(type) })
#endif

/* ---- failing ------------------------------------------------------------------------------- */

typedef enum kith_status {
    KITH_OK = 0,
    KITH_INVALID,   /* an argument cannot be meant so; nothing was done */
    KITH_NOT_FOUND, /* no such table, column, index or version */
    KITH_EXISTS,    /* a table or index of that name is there already */
    KITH_TYPE,      /* the data's types do not fit the table's */
    KITH_IO,        /* the operating system refused: full disk, no permission, broken medium */
    KITH_CORRUPT,   /* bytes read are not the bytes written; the message names file and block */
    KITH_NO_MEMORY,
    KITH_CONFLICT,    /* another writer changed what this operation relied on */
    KITH_UNKNOWN,     /* the commit may or may not have happened (its sync failed after publishing) */
    KITH_CANCELLED,   /* a progress callback asked to stop; the table is as it was */
    KITH_UNSUPPORTED, /* not in this version of Kith, or refused by this file system */
    KITH_READ_ONLY,   /* the handle is pinned to an old version */
    KITH_TIMEOUT      /* the time that was given passed first; nothing was changed */
} kith_status;

typedef struct kith_error {
    kith_status status;
    char message[1024]; /* one sentence or more: what was expected, what was given, what to do */
} kith_error;

/** The short name of a status, e.g. "not found". Never NULL. */
KITH_API const char *kith_status_name(kith_status status);

/** The version of the library, e.g. "0.1.0". */
KITH_API const char *kith_version(void);

/** The instruction set that the vector kernels use: "avx512", "avx2", "neon" or "scalar". Chosen at the
 *  first use; the environment variable KITH_ISA names another one that the processor also has. */
KITH_API const char *kith_isa(void);

/* ---- progress and cancelling ----------------------------------------------------------------- */

typedef struct kith_progress {
    const char
        *stage; /* "rows", "train", "assign", "encode", "calibrate"; of a search "filter", "search", ... */
    uint64_t done;
    uint64_t total; /* 0 when not known */
} kith_progress;

/** Called from the calling thread, at least every 50 ms of work. A non-zero return cancels: the
 *  operation fails with KITH_CANCELLED and the table is as it was. Searches, scans and counts call it only to
 * ask whether to go on: from 40 ms on, with `done` and `total` 0. */
typedef int (*kith_progress_fn)(const kith_progress *progress, void *user);

/* ---- databases ------------------------------------------------------------------------------- */

typedef struct kith_database kith_database;
typedef struct kith_table kith_table;

typedef struct kith_names {
    size_t count;
    const char *const *names; /* sorted by bytes */
} kith_names;
KITH_API void kith_names_free(kith_names *names);

/** Opens the database at `uri`: a folder, made when absent; "~" and "~/..." mean the home folder;
 *  "memory://" is a new private database, "memory://name" one shared within the process.
 *  @param out  freed with kith_close() after every table of it was closed
 *  @return KITH_OK, KITH_INVALID for an unknown scheme, KITH_IO when the folder cannot be made */
KITH_API kith_status kith_open(const char *uri, kith_database **out, kith_error *error);
KITH_API void kith_close(kith_database *database);

/** The location as resolved, e.g. "/home/ann/.lancedb". Borrowed from the database. */
KITH_API const char *kith_uri(const kith_database *database);

/** Lists tables by name, at most `limit` (0 for all) of those that come after `after` (NULL for the start).
 */
KITH_API kith_status kith_list_tables(kith_database *database, const char *after, size_t limit,
                                      kith_names **out, kith_error *error);

/** Removes a table with all its rows. Other handles of it fail with KITH_NOT_FOUND from then on. */
KITH_API kith_status kith_drop_table(kith_database *database, const char *name, kith_error *error);

/** Gives a table another name. Handles opened before go on working.
 *  @return KITH_OK, KITH_NOT_FOUND, KITH_EXISTS, KITH_INVALID for a bad name; KITH_UNKNOWN when it has the
 * new name, or may have, and may lose it in a power cut; after any other failure it has the old one */
KITH_API kith_status kith_rename_table(kith_database *database, const char *from, const char *to,
                                       kith_error *error);

/* ---- filters --------------------------------------------------------------------------------- */

typedef enum kith_value_type {
    KITH_VALUE_NULL = 0,
    KITH_VALUE_BOOL,          /* integer is 0 or 1 */
    KITH_VALUE_INT,           /* integer */
    KITH_VALUE_UINT,          /* natural */
    KITH_VALUE_FLOAT,         /* number */
    KITH_VALUE_DECIMAL,       /* text, e.g. "12.50" */
    KITH_VALUE_TEXT,          /* text, size: UTF-8 */
    KITH_VALUE_BYTES,         /* text, size */
    KITH_VALUE_DATE,          /* integer: days since 1970-01-01 */
    KITH_VALUE_TIME,          /* integer: microseconds since midnight */
    KITH_VALUE_TIMESTAMP,     /* integer: microseconds since 1970-01-01T00:00 */
    KITH_VALUE_TIMESTAMP_UTC, /* the same, of a moment in UTC */
    KITH_VALUE_INTERVAL,      /* integer: microseconds */
    KITH_VALUE_LIST           /* items, size of them: for IN and array functions */
} kith_value_type;

/* A value for a filter, and what it is called where the text says `:name`. */
typedef struct kith_value {
    const char *name; /* NULL: for a `?`, in order */
    kith_value_type type;
    int64_t integer;
    uint64_t natural;
    double number;
    const char *text;
    size_t size;
    const struct kith_value *items;
} kith_value;

/** An expression over the columns of a table: immutable, of no table. Any number of threads may use it. */
typedef struct kith_expr kith_expr;
KITH_API void kith_expr_free(kith_expr *expr); /* NULL is allowed */

/** Reads an SQL expression, e.g. "price < ? AND tag IN (:tags)"; docs/FILTERS.md has the language. Values are
 * bound, never pasted: what a text parameter holds is text, whatever it looks like.
 *  @return KITH_OK; KITH_INVALID with the position, a caret and what was expected; also for a parameter too
 * few or too many, and beyond 64 KiB, a depth of 100 or 10,000 nodes */
KITH_API kith_status kith_expr_sql(const char *text, const kith_value *parameters, size_t count,
                                   kith_expr **out, kith_error *error);
/** Reads a filter as JSON, of Mongo's and Chroma's form, {"price": {"$lt": 9.5}, "tag": {"$in": ["a", "b"]}},
 * or of Haystack's, {"operator": "AND", "conditions": [{"field": "meta.tag", "operator": "==", "value":
 * "a"}]}. A missing value matches "$ne", "$nin", "!=" and "not in". */
KITH_API kith_status kith_expr_json(const char *text, kith_expr **out, kith_error *error);

/* Builders. Arguments stay the caller's. */
KITH_API kith_status kith_expr_literal(const kith_value *value, kith_expr **out, kith_error *error);
/** @param path  a column, then fields of structs: "a.b" */
KITH_API kith_status kith_expr_column(const char *path, kith_expr **out, kith_error *error);
/** Applies an operator or function by its SQL name: "and", "not", "=", "<", "is null", "in", "like", "+",
 * "lower", "array_has", ... and "cast", whose second argument is a literal text, the type. */
KITH_API kith_status kith_expr_call(const char *name, kith_expr *const *arguments, size_t count,
                                    kith_expr **out, kith_error *error);
/** The expression as SQL that kith_expr_sql() reads back. @param out  freed with kith_text_free() */
KITH_API kith_status kith_expr_to_sql(const kith_expr *expr, char **out, kith_error *error);

/* ---- tables ---------------------------------------------------------------------------------- */

typedef enum kith_bad_vectors { /* what to do with a vector that holds NaN or Inf, or is of a wrong length */
                                KITH_BAD_ERROR =
                                    0, /* fail with KITH_INVALID and the row's number; nothing is stored */
                                KITH_BAD_DROP, /* leave the row out */
                                KITH_BAD_FILL, /* replace NaN and Inf values by fill_value; pad or cut to the
                                                  length */
                                KITH_BAD_NULL  /* store a null vector, which no search finds */
} kith_bad_vectors;

typedef enum kith_write_mode { KITH_APPEND = 0, KITH_OVERWRITE } kith_write_mode;

typedef struct kith_write {
    size_t struct_size;
    kith_write_mode mode; /* KITH_OVERWRITE replaces all rows, keeping the older versions readable */
    kith_bad_vectors bad_vectors;
    float fill_value;
    kith_progress_fn progress; /* stage "rows"; then those of an index that is built unasked, where cancelling
                                  stops only the build: the rows are stored */
    void *progress_user;
    const char *idempotency_key; /* 1 to 200 bytes: a second write with the same key, among the last 4,096
                                    commits, is not done again; for a retry after KITH_UNKNOWN */
} kith_write;

typedef struct kith_create {
    size_t struct_size;
    kith_write write;   /* how to store the first rows; its struct_size may stay zero */
    bool exist_ok;      /* open the table when it exists, and leave its rows and `data` alone */
    bool overwrite;     /* replace the table's rows and schema when it exists */
    const char *metric; /* "l2", "cosine", "dot" or "hamming": the vector column's; NULL leaves it open */
    const char *key; /* the column that is the primary key: text or integers, never null, each once. NULL for
                        none */
    bool no_auto_index;           /* never make an index over vectors unasked */
    int64_t auto_index_threshold; /* rows from which a write builds the default index on each vector column
                                     that has none, before it returns; 0: 20,000; negative: never. Kept with
                                     the table. Such a build fails no write */
    const struct ArrowSchema
        *schema; /* the table's schema, to which the data is cast; NULL: the data's own. Borrowed */
    uint32_t keep_versions; /* old versions stay readable while they are fewer than this, younger than 7 days,
                               and their files smaller than the table; 0: 1,000; 1: only the newest is kept */
} kith_create;

/** Creates a table from an Arrow stream: its schema, and its batches as the first rows.
 *  A list column of numbers whose name contains "vector" or "embedding" becomes a vector column
 *  (a fixed-size list): of float32, or of uint8 when all values are whole numbers in 0..255.
 *  Views, large lists and large dictionaries are stored as their plain forms.
 *  @param name     letters, digits, '_', '-' and '.', beginning with a letter, digit or '_'
 *  @param data     consumed; a stream without batches makes an empty table
 *  @param options  may be NULL
 *  @param out      closed with kith_table_close()
 *  @return KITH_OK; KITH_EXISTS; KITH_INVALID for a bad name, bad vectors or a schema with no columns;
 *          KITH_TYPE for a column type Kith cannot store; KITH_IO */
KITH_API kith_status kith_create_table(kith_database *database, const char *name,
                                       struct ArrowArrayStream *data, const kith_create *options,
                                       kith_table **out, kith_error *error);

/** Opens a table at its newest version; the handle then follows newer ones by itself.
 *  @return KITH_OK, KITH_NOT_FOUND, KITH_CORRUPT (the message names the file and what to do) */
KITH_API kith_status kith_open_table(kith_database *database, const char *name, kith_table **out,
                                     kith_error *error);
/** Opens a table pinned to a version, as kith_table_checkout() does; also one whose newest commit is damaged.
 */
KITH_API kith_status kith_open_table_version(kith_database *database, const char *name, uint64_t version,
                                             kith_table **out, kith_error *error);
KITH_API void kith_table_close(kith_table *table);
KITH_API const char *kith_table_name(const kith_table *table);

/** Appends the rows of an Arrow stream. Columns are matched by name and cast where nothing is lost;
 *  a missing column is filled with nulls, an unknown one refused. When the call returns KITH_OK the
 *  rows are on disk and every later read of any process sees them; on any other status but
 *  KITH_UNKNOWN none of them is stored.
 *  @param options   may be NULL
 *  @param version   the table's version with these rows; may be NULL
 *  @return KITH_OK, KITH_TYPE, KITH_INVALID (bad vectors), KITH_EXISTS (a key that is there already, or twice
 *          in the data), KITH_IO, KITH_UNKNOWN, KITH_READ_ONLY */
KITH_API kith_status kith_append(kith_table *table, struct ArrowArrayStream *data, const kith_write *options,
                                 uint64_t *version, kith_error *error);

/** Exports the schema of the version the handle sees. Where the table was given a metric, the metadata
 *  "kith:metric" of its vector columns names it. */
KITH_API kith_status kith_table_schema(kith_table *table, struct ArrowSchema *out, kith_error *error);

/** Counts the rows that meet the SQL predicate `where`; all, where it is NULL. */
KITH_API kith_status kith_table_count(kith_table *table, const char *where, uint64_t *out, kith_error *error);
/** Counts the rows that meet `filter`. */
KITH_API kith_status kith_table_count_if(kith_table *table, const kith_expr *filter, uint64_t *out,
                                         kith_error *error);

typedef struct kith_order {
    const char *expression; /* a column, or SQL over the table's columns */
    bool descending;
    bool nulls_first; /* they come last otherwise */
} kith_order;

typedef struct kith_scan {
    size_t struct_size;
    const char *const *columns; /* NULL for all */
    size_t column_count;
    uint64_t offset;
    uint64_t limit;                 /* 0 for all; to read no rows at all ask for `none` */
    bool none;                      /* an empty stream of the schema */
    bool with_row_id;               /* adds a uint64 column "_rowid" */
    const char *where;              /* an SQL predicate that rows must meet; NULL: all */
    const kith_expr *filter;        /* instead of `where` */
    const char *const *expressions; /* as in kith_query */
    const kith_order *order_by;     /* NULL: insertion order. Equal rows come in that order, too */
    size_t order_count;
    int64_t timeout_us; /* KITH_TIMEOUT when so many have passed since the call, be it in the call or when
                           more is read from the stream; 0: never; negative: at once */
    kith_progress_fn progress; /* asked whether to go on, in the call only */
    void *progress_user;
} kith_scan;

/** Counts the rows that meet the filter of `options`, within its timeout. What else it says is not used.
 *  @return KITH_OK, KITH_INVALID, KITH_NOT_FOUND, KITH_TYPE, KITH_TIMEOUT, KITH_CANCELLED */
KITH_API kith_status kith_table_count_scan(kith_table *table, const kith_scan *options, uint64_t *out,
                                           kith_error *error);

/** Reads rows, in insertion order where nothing else is said. The stream pins the version it began with; its
 * arrays stay valid after the table is closed. */
KITH_API kith_status kith_table_scan(kith_table *table, const kith_scan *options,
                                     struct ArrowArrayStream *out, kith_error *error);

/** Fetches rows by row id, in the order given. An id that no row has is left out.
 *  @param options  columns, expressions, with_row_id, timeout_us and progress are used; may be NULL */
KITH_API kith_status kith_table_take(kith_table *table, const uint64_t *row_ids, size_t count,
                                     const kith_scan *options, struct ArrowArrayStream *out,
                                     kith_error *error);

/* ---- changing rows --------------------------------------------------------------------------- */

/* What a change did. */
typedef struct kith_changed {
    size_t struct_size;
    uint64_t version; /* the table's, with the change; the same as before where nothing was to be done */
    uint64_t inserted, updated, deleted; /* rows */
    uint32_t attempts;                   /* 1, and 1 more for each time that another writer came first */
} kith_changed;

/** Deletes the rows that meet `filter`. They are gone from every answer when the call returns; their bytes
 *  go when upkeep rewrites the files that hold them (kith_erase() does it now). A row that another writer
 *  changes meanwhile is looked at again.
 *  @param filter   NULL is KITH_INVALID: to delete every row, say "true"
 *  @param changed  may be NULL
 *  @return KITH_OK, KITH_INVALID, KITH_TYPE, KITH_CONFLICT after 30 s of losing, KITH_READ_ONLY, KITH_IO */
KITH_API kith_status kith_delete(kith_table *table, const kith_expr *filter, kith_changed *changed,
                                 kith_error *error);
/** Deletes rows by row id. An id that no row has is passed over. */
KITH_API kith_status kith_delete_rows(kith_table *table, const uint64_t *row_ids, size_t count,
                                      kith_changed *changed, kith_error *error);

typedef struct kith_assignment {
    const char *column;
    const char *expression; /* SQL over the row as it was, e.g. "price * 1.1" */
} kith_assignment;

typedef struct kith_update {
    size_t struct_size;
    const kith_expr *filter; /* which rows; NULL: all */
    const kith_assignment *assignments;
    size_t assignment_count;
    struct ArrowArrayStream *values; /* one row: its columns are set to its values. Consumed; NULL: none */
    kith_write write;                /* bad_vectors, fill_value, progress; its struct_size may stay zero */
} kith_update;

/** Sets columns of the rows that meet a filter. An updated row gets a new row id. The table's key cannot be
 *  set. @return as kith_delete(); KITH_NOT_FOUND for a column */
KITH_API kith_status kith_update_rows(kith_table *table, const kith_update *options, kith_changed *changed,
                                      kith_error *error);

typedef struct kith_merge {
    size_t struct_size;
    const char *const *on; /* columns by which rows are matched; NULL: the table's key */
    size_t on_count;
    bool update_matched;      /* a row of the table that matches becomes the one of `data` */
    const char *update_where; /* only where this holds: SQL over target.<column> and source.<column> */
    bool insert_new;          /* rows of `data` that match none are added */
    bool delete_missing;      /* rows of the table that match none of `data` are deleted */
    const char *delete_where; /* only where this holds: SQL over the table's columns */
    bool keep_last;           /* of rows of `data` that match each other the last counts; otherwise they are
                                 KITH_INVALID with update_matched, and each is a row of its own without */
    kith_write write;
} kith_merge;

/** Brings the rows of a stream into the table: updates those that match, inserts the others, in one commit.
 *  Null matches nothing. A column of the table that `data` lacks keeps its value in an updated row and is
 * null in a new one. The semantics are those of Delta's and LanceDB's merge.
 *  @return KITH_OK; KITH_INVALID, KITH_TYPE, KITH_NOT_FOUND (column), KITH_EXISTS (key), KITH_CONFLICT */
KITH_API kith_status kith_merge_rows(kith_table *table, struct ArrowArrayStream *data,
                                     const kith_merge *options, kith_changed *changed, kith_error *error);

/** Fetches rows by the table's key, in the order of the keys; a key that no row has is left out.
 *  @param keys     a stream of one column, of the key's type or one that casts to it. Consumed
 *  @param options  columns, expressions, with_row_id, timeout_us and progress are used; may be NULL
 *  @return KITH_OK, KITH_INVALID where the table has no key, KITH_TIMEOUT */
KITH_API kith_status kith_get(kith_table *table, struct ArrowArrayStream *keys, const kith_scan *options,
                              struct ArrowArrayStream *out, kith_error *error);

/* ---- changing columns ------------------------------------------------------------------------ */

typedef struct kith_new_column {
    const char *name;       /* NULL: that of `field` */
    const char *expression; /* its values, as SQL over the table's columns; NULL: null in every row */
    const struct ArrowSchema *field; /* its type, where there is no expression. Borrowed */
} kith_new_column;

/** Adds columns behind the others. Files with vectors are not rewritten.
 *  @return KITH_OK, KITH_EXISTS, KITH_INVALID, KITH_TYPE, KITH_CONFLICT */
KITH_API kith_status kith_add_columns(kith_table *table, const kith_new_column *columns, size_t count,
                                      kith_changed *changed, kith_error *error);

typedef struct kith_altered_column {
    const char *name;
    const char *rename; /* NULL: keeps its name */
    int nullable;       /* 1: null is allowed; -1: no longer, which no row may contradict; 0: as it is */
    const struct ArrowSchema *type; /* a type that holds every value of the old one; NULL: as it is */
} kith_altered_column;
KITH_API kith_status kith_alter_columns(kith_table *table, const kith_altered_column *columns, size_t count,
                                        kith_changed *changed, kith_error *error);
/** Removes columns, and the indexes over them. The last one cannot go, nor the key. */
KITH_API kith_status kith_drop_columns(kith_table *table, const char *const *names, size_t count,
                                       kith_changed *changed, kith_error *error);

/* ---- versions ----------------------------------------------------------------------------------- */

typedef struct kith_version_info {
    uint64_t version;
    int64_t time_us;
    uint64_t rows;
    const char *operation; /* "create", "append", "overwrite", "delete", "update", "merge", "restore", ... */
} kith_version_info;

typedef struct kith_versions {
    size_t count;
    const kith_version_info *versions; /* oldest first */
} kith_versions;
KITH_API void kith_versions_free(kith_versions *versions);

typedef struct kith_commit {
    uint64_t version; /* that it made, or kept */
    int64_t time_us;
    const char *operation; /* as above; upkeep: "fold", "index", "clean", "tag", ... */
    uint64_t rows_added;   /* an updated row is removed and added */
    uint64_t rows_removed;
    const char *key;         /* the idempotency key that it was asked for with; NULL: none */
    const char *transaction; /* an id that no other write has */
    uint32_t transactions;   /* writes of several threads that share the commit */
    bool upkeep;             /* it changed no row and no column */
} kith_commit;
typedef struct kith_commits {
    size_t count;
    const kith_commit *commits; /* newest first */
} kith_commits;
KITH_API void kith_commits_free(kith_commits *commits);
/** What led to the version that the handle reads, commit by commit, as far back as the log is kept.
 *  @param limit  at most so many; 0: all */
KITH_API kith_status kith_table_log(kith_table *table, size_t limit, kith_commits **out, kith_error *error);

/** The version that the handle reads: the pinned one, or else the newest. Versions count the commits
 *  that change rows or schema, from 1; index builds and upkeep keep it. */
KITH_API kith_status kith_table_version(kith_table *table, uint64_t *out, kith_error *error);
KITH_API kith_status kith_table_versions(kith_table *table, kith_versions **out, kith_error *error);

/** Pins the handle to a version; writes through it are refused with KITH_READ_ONLY until
 *  kith_table_checkout_latest(). @return KITH_OK, KITH_NOT_FOUND */
KITH_API kith_status kith_table_checkout(kith_table *table, uint64_t version, kith_error *error);
KITH_API kith_status kith_table_checkout_latest(kith_table *table, kith_error *error);
/** Makes the rows, columns and indexes of an older version the newest version. Row ids given since are not
 *  given again. A handle that is pinned follows again. @param version  0: the one that the handle is pinned
 * to
 *  @return KITH_OK, KITH_NOT_FOUND where the version is not kept any more */
KITH_API kith_status kith_table_restore(kith_table *table, uint64_t version, kith_changed *changed,
                                        kith_error *error);

typedef struct kith_tag {
    const char *name;
    uint64_t version;
} kith_tag;
typedef struct kith_tags {
    size_t count;
    const kith_tag *tags; /* by name */
} kith_tags;
KITH_API void kith_tags_free(kith_tags *tags);
KITH_API kith_status kith_list_tags(kith_table *table, kith_tags **out, kith_error *error);
typedef enum kith_tag_change { KITH_TAG_CREATE = 0, KITH_TAG_UPDATE, KITH_TAG_DELETE } kith_tag_change;
/** Names a version, which is then kept until the tag is deleted.
 *  @param version  ignored by KITH_TAG_DELETE
 *  @return KITH_OK; KITH_EXISTS for KITH_TAG_CREATE; KITH_NOT_FOUND for the others, and for the version */
KITH_API kith_status kith_set_tag(kith_table *table, const char *name, uint64_t version,
                                  kith_tag_change change, kith_error *error);

typedef struct kith_upkeep {
    size_t struct_size;
    int64_t older_than_us; /* versions replaced longer ago go; 0: all but the newest and tagged ones;
                              negative: by the table's settings */
    bool orphans;          /* look for files that no version knows, left by writers that died a day ago */
    bool rewrite;          /* fold fragments with dead rows, and small ones, now */
    kith_progress_fn progress;
    void *progress_user;
} kith_upkeep;
typedef struct kith_upkeep_stats {
    size_t struct_size;
    uint64_t versions_removed, files_removed, bytes_removed;
    uint64_t fragments_removed, fragments_added; /* by folding */
    uint64_t rows_indexed;                       /* that no index had before */
} kith_upkeep_stats;
/** Does now what writes do in passing: folds small fragments, brings indexes up to date, removes what old
 *  versions alone needed. Never needed.
 *  @param options  NULL: fold, and keep versions by the table's settings. In one that is given, zero forgets
 *                  every version that it may (older_than_us)
 *  @param stats    may be NULL */
KITH_API kith_status kith_optimize(kith_table *table, const kith_upkeep *options, kith_upkeep_stats *stats,
                                   kith_error *error);

typedef struct kith_erasing {
    size_t struct_size;
    const kith_expr *filter; /* which rows; NULL: only what was deleted or replaced before */
    bool tags;               /* take tags away: what they name goes with all older versions */
    bool alone;              /* nobody else writes now: files that no version names go, whatever their age */
    kith_progress_fn progress;
    void *progress_user;
} kith_erasing;
typedef struct kith_erased {
    size_t struct_size;
    uint64_t version;
    uint64_t rows; /* deleted now */
    uint64_t fragments_rewritten, indexes_rebuilt;
    uint64_t versions_removed, tags_removed, files_removed, bytes_removed;
} kith_erased;
/** Deletes rows so that nothing is left of them, nor of any that were deleted or replaced before: every file
 *  with their bytes is written anew without them, indexes over them are built anew, and all versions but the
 *  newest are removed. Then the table's folder is looked through: when the call returns KITH_OK there is no
 *  file in it but those of the newest version, none of which has a dead row. What copies, backups, handles
 *  that are open elsewhere, the file system and the disk keep of removed files is beyond it. A call that
 * fails on its way may have deleted the rows; it can be repeated.
 *  @param done  may be NULL
 *  @return KITH_OK; KITH_INVALID where there are tags and `tags` is not set: nothing is done then;
 *          KITH_CONFLICT naming a file that no version names; KITH_READ_ONLY; KITH_IO */
KITH_API kith_status kith_erase(kith_table *table, const kith_erasing *options, kith_erased *done,
                                kith_error *error);

typedef struct kith_table_info {
    size_t struct_size;
    uint64_t rows;
    uint64_t version;
    uint64_t fragments; /* pieces of rows, inline ones counted */
    uint64_t files;     /* data and index files of this version */
    uint64_t data_bytes;
    uint64_t index_bytes;
    uint64_t inline_bytes; /* rows that still live in the log */
} kith_table_info;
KITH_API kith_status kith_table_stats(kith_table *table, kith_table_info *out, kith_error *error);

/** Reads every byte of the handle's version and checks it against its checksum; then that fragments have the
 *  columns and rows that the log says, that no key is there twice, and that indexes hold the rows they cover.
 *  @param files  receives the number of files that were read; may be NULL
 *  @return KITH_OK, or KITH_CORRUPT naming the first bad file and block */
KITH_API kith_status kith_table_verify(kith_table *table, uint64_t *files, kith_error *error);

/** Makes a table whose newest commit cannot be read take commits again: that commit is saved aside, and what
 * it changed is lost; damaged checkpoints are removed or written anew, damaged indexes dropped. Then it looks
 * at everything else as kith_table_verify() does. Nobody else may write meanwhile.
 *  @param words  what was wrong and what was done, "" if nothing; freed with kith_text_free(). May be NULL.
 * Also set on failure, where something had been done, else NULL
 *  @return KITH_OK; KITH_CORRUPT when something can only be restored from a copy; KITH_NOT_FOUND; KITH_IO */
KITH_API kith_status kith_repair(kith_database *database, const char *name, char **words, kith_error *error);
/** Copies the version that the handle shows into the database at `uri`, made when absent, as a table of the
 * same name with one version, while others go on writing. @return KITH_OK; KITH_EXISTS; KITH_IO */
KITH_API kith_status kith_backup(kith_table *table, const char *uri, kith_error *error);

/* ---- indexes --------------------------------------------------------------------------------- */

typedef enum kith_metric {
    KITH_METRIC_DEFAULT = 0, /* the column's own, else l2 */
    KITH_L2,                 /* squared euclidean distance */
    KITH_COSINE,             /* 1 - cosine similarity, 0..2; 1 for a zero vector */
    KITH_DOT,                /* 1 - q.x */
    KITH_HAMMING             /* bits that differ; uint8 vectors hold 8 bits a value */
} kith_metric;

/** "l2", "euclidean", "cosine", "dot", "ip" or "hamming", in any case. @return KITH_OK or KITH_INVALID */
KITH_API kith_status kith_metric_parse(const char *name, kith_metric *out, kith_error *error);
KITH_API const char *kith_metric_name(kith_metric metric);

typedef enum kith_index_type {
    KITH_INDEX_DEFAULT = 0, /* IVF_RQ; IVF_PQ where num_sub_vectors is given; over a column that is no vector
                               BTREE, over lists LABEL_LIST */
    /* over vectors */
    KITH_IVF_FLAT, /* inverted lists (Sivic, Zisserman 2003) of the rows as they are */
    KITH_IVF_PQ,   /* ... of product-quantized residuals (Jegou, Douze, Schmid 2011), scanned as 4-bit codes
                      (Andre, Kermarrec, Le Scouarnec 2015) */
    KITH_IVF_SQ,   /* ... of codes of 8 bits a number: IVF_RQ with num_bits 8 */
    KITH_IVF_RQ, /* ... of RaBitQ codes (Gao, Long 2024) of rotated residuals, whose error bounds decide which
                    stored rows are read */
    KITH_HNSW, /* a graph of rows that are near each other (Malkov, Yashunin 2018), walked by codes of 8 bits
                  a number; stored rows are read at the end */
    /* over the values of other columns, for filters */
    KITH_BTREE,     /* rows in the order of their values: single values and ranges */
    KITH_BITMAP,    /* a bitmap of rows for each value: few different ones */
    KITH_LABEL_LIST /* a bitmap of rows for each item of a column of lists */
} kith_index_type;
KITH_API kith_status kith_index_type_parse(const char *name, kith_index_type *out, kith_error *error);
KITH_API const char *kith_index_type_name(kith_index_type type);

typedef struct kith_index {
    size_t struct_size;
    const char
        *column; /* NULL: the table's vector column; "a.b": a field of a struct, for an index over values */
    const char *name; /* NULL: "<column>_idx" */
    kith_index_type type;
    kith_metric metric;
    uint32_t num_partitions;  /* 0: chosen from the number of rows */
    uint32_t num_sub_vectors; /* IVF_PQ; must divide the dimension; 0: chosen */
    uint32_t num_bits; /* IVF_PQ: 4 or 8 (the default) bits a sub-vector; 8 is stored as two 4-bit halves.
                          IVF_RQ: 1 to 9 bits a number, 4 by default */
    uint32_t max_iterations; /* of k-means; 0: 12 at most, stopping when settled */
    uint32_t sample_rate;    /* training rows a partition; 0: 64 */
    uint64_t seed;           /* the same seed, rows and parameters give the same index */
    uint32_t threads;        /* 0: KITH_THREADS, else one a core */
    bool keep; /* fail with KITH_EXISTS where an index of that name exists, instead of replacing it. One that
                  was built unasked is replaced all the same */
    kith_progress_fn progress;
    void *progress_user;
    const float *queries; /* vectors of the column's dimension, like those that will be asked, some hundreds
                             or more: the index is calibrated on them. NULL: on rows of the table. Borrowed */
    size_t query_count;
    uint64_t max_memory; /* bytes that the build may hold beside the table: at least 8 a row and 4 MiB; less
                            is KITH_INVALID. HNSW needs all of its index and some, as the message says. 0: as
                            much as it likes */
    uint32_t m;          /* HNSW: links that a row makes, 4 to 256, and at most twice as many that it has;
                            0: 16 */
    uint32_t ef_construction; /* HNSW: how many near rows its links are chosen from; 0: 200 */
} kith_index;

/** Builds an index over the rows of the newest version. Rows added later are found all the same:
 *  they are scanned exactly beside it. It replaces the index of its name, and the one that was built unasked
 *  on its column. An index over values is extended by the write that leaves it more than 20,000 rows, and
 * more than a quarter of what it covers, behind, and its files are merged as they become many or half dead;
 * the fields of `options` that are for vectors must be zero for it.
 *  @param options  may be NULL
 *  @return KITH_OK; KITH_INVALID for parameters that do not fit (the message says what would);
 *          KITH_NOT_FOUND for the column; KITH_CANCELLED; KITH_IO; KITH_READ_ONLY */
KITH_API kith_status kith_create_index(kith_table *table, const kith_index *options, kith_error *error);
/** Removes an index. The next write builds one unasked where the table's settings say so (kith_create). */
KITH_API kith_status kith_drop_index(kith_table *table, const char *name, kith_error *error);

typedef struct kith_index_info {
    const char *name;
    const char *column; /* "a.b" for a field of a struct */
    kith_index_type type;
    kith_metric metric;      /* KITH_METRIC_DEFAULT for an index over values, which has none */
    uint32_t num_partitions; /* as trained */
    uint32_t num_sub_vectors;
    uint32_t num_bits;
    uint64_t rows_indexed;
    uint64_t rows_unindexed;
    uint64_t bytes;
    int64_t created_us;
    const char *note;        /* what was done otherwise than asked, "" if nothing */
    const char *calibration; /* JSON: what a wanted recall takes, as learned at the build; "" if nothing was
                                learned */
    uint32_t m;              /* of HNSW, else 0 */
    uint32_t ef_construction;
} kith_index_info;

typedef struct kith_indexes {
    size_t count;
    const kith_index_info *indexes;
} kith_indexes;
KITH_API void kith_indexes_free(kith_indexes *indexes);
KITH_API kith_status kith_list_indexes(kith_table *table, kith_indexes **out, kith_error *error);

/* ---- searching ------------------------------------------------------------------------------- */

typedef enum kith_element { /* the type of the numbers in a vector */
                            KITH_F32 = 0,
                            KITH_F16,
                            KITH_F64,
                            KITH_I8,
                            KITH_U8
} kith_element;

/* What a search did, summed over its vectors. */
typedef struct kith_search_stats {
    size_t struct_size;
    uint64_t lists;           /* visited in the index */
    uint64_t codes;           /* rows whose codes were scanned */
    uint64_t refined;         /* rows whose further bits were read */
    uint64_t rows_read;       /* stored vectors: candidates of the index, and rows it does not cover */
    uint64_t bytes;           /* touched by all of these */
    float expected_recall;    /* 1: exact; 0: not known, as the index was not calibrated, or nprobes,
                                 maximum_nprobes or refine_factor bind the search; else the mean over vectors */
    bool on_queries;          /* calibrated on the user's own queries; else on rows of the table */
    uint32_t calibrated_with; /* so many of them */
    double seconds;
    uint64_t matches;       /* rows that the filter admits; all, without one */
    uint64_t lists_skipped; /* of the lists: they hold no such row */
    double filter_seconds;  /* that finding them took; not in `seconds` */
} kith_search_stats;

typedef struct kith_query {
    size_t struct_size;
    const char *column;  /* NULL: the table's vector column; of several the only one of this dimension, else
                            "vector" */
    const void *vectors; /* vector_count vectors of dim numbers, one after another; borrowed */
    kith_element element;
    uint32_t dim;
    size_t vector_count; /* 0 means 1 */
    uint32_t k;          /* rows a vector; must be at least 1 */
    uint32_t offset;     /* leaves out the nearest `offset` rows */
    kith_metric metric;  /* one that differs from the index's is answered by an exact scan */

    uint32_t nprobes; /* lists to visit; 0: chosen. minimum and maximum bound an adaptive choice */
    uint32_t minimum_nprobes;
    uint32_t maximum_nprobes;
    uint32_t refine_factor; /* re-ranks k * refine_factor candidates by their stored vectors; 0: chosen */
    uint32_t ef;  /* HNSW: how many near rows a walk keeps, k at least; 0: as many as the recall takes, and
                     where no recall is named not fewer than 64 or one and a half times k. Unused by others */
    float recall; /* wanted recall, 0 < r <= 1; 1 is exact; 0: the default, 0.95. An index visits as
                     many lists as that took when it was calibrated */
    bool exact;   /* scan every row, no index */
    bool fast_search; /* leave out rows that no index covers */

    bool has_lower, has_upper; /* keep rows with lower <= distance < upper */
    float lower, upper;

    const char
        *where; /* an SQL predicate that rows must meet; NULL: all. As many as k are found where so many meet
                   it. What varies belongs into the parameters of kith_expr_sql() and `filter` */

    const char *const *columns; /* of the result; NULL for all. "_distance" and "_rowid" may be named */
    size_t column_count;
    bool no_columns;  /* only _distance, and what else is asked below */
    bool with_row_id; /* adds a uint64 column "_rowid" */
    uint32_t threads; /* of many vectors, which are grouped by the lists they read; 0: KITH_THREADS, else one
                         a core. For one vector more than 1 shares an exact scan of 8 MiB or more */
    kith_search_stats *stats; /* receives what was done; NULL: nobody asks. A searcher ignores it */
    const kith_expr *filter;  /* instead of `where`. A searcher shares it */
    bool postfilter; /* search first, then drop rows that the filter refuses, until k are left. The same
                        answer by another way, which is quicker where nearly every row is admitted */
    const char *const *expressions; /* beside `columns`: what column i is, as SQL over the table's columns;
                                       NULL, or NULL in it: the column of that name */
    int64_t timeout_us;        /* KITH_TIMEOUT when so many have passed and the answer is not there; 0: never;
                                  negative: at once. Looked at every few thousand rows of a filter or a scan, and at
                                  each list. A searcher gives each run so much */
    kith_progress_fn progress; /* asked whether to go on. A searcher does not use it */
    void *progress_user;
    const kith_order *order_by; /* in which order the k nearest come; "_distance" by itself may be one of the
                                   expressions. NULL: nearest first, as equal rows do in any case. A searcher
                                   does not use it */
    size_t order_count;
} kith_query;

/** Finds the `k` rows nearest to each vector, nearest first where `order_by` says nothing else, equal
 * distances by row id. Sees the rows committed before the call. Rows whose vector is null are never found.
 *  @param out  the rows' columns, then "_distance" (float32), "_rowid" when asked, and "query_index"
 *              (int32) when vector_count > 1. Fewer than k rows come when fewer exist. The schema's metadata
 *              "kith.recall" tells the recall to expect, as JSON: {"expected": 0.953, "wanted": 0.95,
 *              "calibrated_on": "rows", "calibrated_with": 2560, "exact": false}. Where it is
 *              not known "expected" is null; "calibrated_on" may be "queries" or null, too
 *  @return KITH_OK; KITH_INVALID (dimension, k, NaN in the query, a range that is empty);
 *          KITH_NOT_FOUND (column); KITH_TYPE (where); KITH_TIMEOUT, KITH_CANCELLED; KITH_CORRUPT, KITH_IO */
KITH_API kith_status kith_search(kith_table *table, const kith_query *query, struct ArrowArrayStream *out,
                                 kith_error *error);

/** The same, giving only row ids and distances: vector_count * k of each, row by row, padded with
 *  UINT64_MAX and +infinity where fewer rows exist. */
KITH_API kith_status kith_search_ids(kith_table *table, const kith_query *query, uint64_t *row_ids,
                                     float *distances, kith_error *error);

/** Says in words how the query would be answered: index, lists to visit, the recall to expect and what that
 *  was calibrated on, rows scanned exactly. `vectors` may be NULL.
 *  @param out  freed with kith_text_free() */
KITH_API kith_status kith_explain(kith_table *table, const kith_query *query, char **out, kith_error *error);
/** The same, then runs the query, on one thread, without fetching its rows, and tells what was done: lists,
 *  codes, rows and bytes read, the recall to expect, the time it took (the median of five runs), and the
 *  floor: the time that so many bytes and dependent cache misses take at the bandwidth and latency of this
 *  machine's memory, which are measured at the first call in a process (some 30 ms, 64 MiB).
 *  @param out  freed with kith_text_free() */
KITH_API kith_status kith_analyze(kith_table *table, const kith_query *query, char **out, kith_error *error);
KITH_API void kith_text_free(char *text);

/** A search prepared once: the names resolved, the options checked. It follows new versions of the
 *  table. Any number of threads may run one searcher. */
typedef struct kith_searcher kith_searcher;

/** @param query  `vectors` and `vector_count` are ignored; `dim` and `element` are those of every run.
 *                The strings are copied.
 *  @param out    freed with kith_searcher_free(), before its table is closed */
KITH_API kith_status kith_searcher_new(kith_table *table, const kith_query *query, kith_searcher **out,
                                       kith_error *error);
KITH_API void kith_searcher_free(kith_searcher *searcher);

/** As kith_search_ids(), for `vector_count` vectors. */
KITH_API kith_status kith_searcher_run(kith_searcher *searcher, const void *vectors, size_t vector_count,
                                       uint64_t *row_ids, float *distances, kith_error *error);

/* ---- Arrow IPC ------------------------------------------------------------------------------- */

/** Reads an Arrow IPC file or stream (told apart by their first bytes) from a file descriptor, which
 *  must stay open while `out` is read and is not closed. Compressed bodies (zstd) are accepted. */
KITH_API kith_status kith_ipc_read(int fd, struct ArrowArrayStream *out, kith_error *error);

/** Writes a stream as an Arrow IPC file, or with `as_stream` as an IPC stream, to a file descriptor. */
KITH_API kith_status kith_ipc_write(int fd, struct ArrowArrayStream *data, bool as_stream, kith_error *error);

#ifdef __cplusplus
}
#endif

#endif /* KITH_H */
