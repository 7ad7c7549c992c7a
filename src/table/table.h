/* A table: its snapshots, and the operations that change it.
 *
 * A handle (kt_table) follows the newest version or is pinned to one. Reading goes through a snapshot: one
 * version, immutable, shared by reference; what it has opened (files, indexes) it shares with the
 * snapshots before and after it. */
#ifndef KT_TABLE_TABLE_H
#define KT_TABLE_TABLE_H

#include "column/column.h"
#include "filter/scalar.h"
#include "index/index.h"
#include "storage/store.h"

/* ---- a database is a folder of tables ---- */

struct kt_catalog;

kith_status kt_catalog_open(const char *uri, struct kt_catalog **out, kith_error *error);
void kt_catalog_close(struct kt_catalog *catalog);
const char *kt_catalog_uri(const struct kt_catalog *catalog);
/** Names in order, at most `limit` (0: all) after `after` (NULL: from the start). */
kith_status kt_catalog_list(struct kt_catalog *catalog, const char *after, size_t limit,
                            struct kt_io_names *out, kith_error *error);
kith_status kt_catalog_drop(struct kt_catalog *catalog, const char *name, kith_error *error);
kith_status kt_catalog_rename(struct kt_catalog *catalog, const char *from, const char *to,
                              kith_error *error);

/** What kith.h says of kith_repair() about the log; adds to `words`, without a zero. */
kith_status kt_catalog_repair(struct kt_catalog *catalog, const char *name, struct kt_buffer *words,
                              kith_error *error);

/* ---- tables ---- */

struct kt_table;

struct kt_snapshot;

/* Watches over what a table's key promises while rows are written. The query room has one; the table room
 * knows when to ask it. Not asked where the table has no key. */
struct kt_guard {
    void *context;
    /* Begins to watch rows of this schema, whose column `key` is the key. */
    kith_status (*begin)(void *context, const struct kt_schema *schema, int key, kith_error *error);
    /* Sees rows before they are written. */
    kith_status (*see)(void *context, const struct kt_batch *rows, kith_error *error);
    /* Before each attempt to commit: whether the rows seen may stand beside those of `snapshot`. */
    kith_status (*check)(void *context, struct kt_snapshot *snapshot, kith_error *error);
};

kith_status kt_table_create(struct kt_catalog *catalog, const char *name, struct ArrowArrayStream *data,
                            const kith_create *options, const struct kt_guard *guard, struct kt_table **out,
                            kith_error *error);
/** The newest version, or with `version` not 0 that one, pinned. */
kith_status kt_table_open(struct kt_catalog *catalog, const char *name, uint64_t version,
                          struct kt_table **out, kith_error *error);
void kt_table_free(struct kt_table *table);
const char *kt_table_name(const struct kt_table *table);

kith_status kt_table_insert(struct kt_table *table, struct ArrowArrayStream *data, const kith_write *options,
                            const struct kt_guard *guard, uint64_t *version, kith_error *error);

/* What one commit does to the rows of a table. */
struct kt_change {
    const char *operation;
    const uint64_t *deleted; /* row ids, rising */
    size_t deleted_count;
    kt_next_fn next; /* gives the rows to add, batches of the table's schema, then NULL; NULL: none */
    void *context;
    bool of_this_version; /* it rests on rows not being there, too: no other version will do */
    const kith_write *options;
};
/** Commits a change that was worked out on `base`. KITH_CONFLICT where another writer changed what it rests
 * on: then it is to be worked out again, on a newer snapshot. `version` may be NULL. */
kith_status kt_table_change(struct kt_table *table, struct kt_snapshot *base, const struct kt_change *change,
                            uint64_t *version, kith_error *error);
/* What a change of a table's columns does. */
struct kt_columns {
    const char *operation;
    struct kt_schema *schema; /* as it will be, with ids */
    const uint32_t *made;     /* columns of it whose values are written, */
    uint32_t made_count;
    /* by this: those columns, as `made`, of record batch `batch` of segment `number`. */
    kith_status (*make)(void *context, const struct kt_snapshot *snapshot, uint32_t number, uint32_t batch,
                        struct kt_schema *made, struct kt_batch **out, kith_error *error);
    void *context;
    int32_t next_field; /* the next field id to give */
    const char *key;    /* the key column's new name; NULL: as it was */
};
/** Commits it. KITH_CONFLICT where another writer changed rows or columns meanwhile. */
kith_status kt_table_set_columns(struct kt_table *table, struct kt_snapshot *base,
                                 const struct kt_columns *columns, uint64_t *version, kith_error *error);
/** What was done to the table since `base`, for messages: the newest three operations that users know, such
 * as "append, delete"; "upkeep" where there is none. @return `to` */
enum { KT_NEWS = 80 };
const char *kt_state_news(const struct kt_state *state, const struct kt_state *base, char to[KT_NEWS]);
/** The next field id: above all that the table ever gave. */
int32_t kt_snapshot_next_field(const struct kt_snapshot *snapshot);
/** The newest snapshot; KITH_READ_ONLY when the handle is pinned. */
kith_status kt_table_writable(struct kt_table *table, struct kt_snapshot **out, kith_error *error);
/** The column of the table's key, or -1. */
int kt_snapshot_key(const struct kt_snapshot *snapshot);
kith_status kt_table_checkout(struct kt_table *table, uint64_t version, kith_error *error);
/** Makes `version` (0: the one that the handle shows) the newest; *out is the new one's number. */
kith_status kt_table_restore(struct kt_table *table, uint64_t version, uint64_t *out, kith_error *error);
/** Adds struct kt_past_commit to `out`: what led to the version that the handle shows, newest first. */
kith_status kt_table_history(struct kt_table *table, uint64_t most, struct kt_buffer *out, kith_error *error);
kith_status kt_table_tag(struct kt_table *table, const char *name, uint64_t version, kith_tag_change change,
                         kith_error *error);
kith_status kt_table_checkout_latest(struct kt_table *table, kith_error *error);

/** As kith.h says of kith_optimize(). */
kith_status kt_table_optimize(struct kt_table *table, const kith_upkeep *options, kith_upkeep_stats *stats,
                              kith_error *error);
/** What kith_erase() does before it deletes rows, and after. */
kith_status kt_table_may_erase(struct kt_table *table, const kith_erasing *options, kith_error *error);
kith_status kt_table_erase_dead(struct kt_table *table, const kith_erasing *options, kith_erased *done,
                                kith_error *error);
/** Copies the version that the handle shows into another catalog. */
kith_status kt_table_backup(struct kt_table *table, struct kt_catalog *to, kith_error *error);
kith_status kt_table_create_index(struct kt_table *table, const kith_index *options, kith_error *error);
kith_status kt_table_drop_index(struct kt_table *table, const char *name, kith_error *error);

/* The metadata of an answer's schema that tells its recall; a table does not keep it. */
#define KT_RECALL_KEY "kith.recall"

/* ---- snapshots ---- */

/* The rows that one fragment stores, deleted ones too, its files opened when first used. */
struct kt_segment;

/* From a column to a field of structs in it. */
enum { KT_PATH_STEPS = 8 };
struct kt_path {
    uint32_t count; /* 0: the column itself */
    uint32_t steps[KT_PATH_STEPS];
};
const struct kt_field *kt_path_field(const struct kt_schema *schema, uint32_t column,
                                     const struct kt_path *path);
/** Whether it takes these steps. */
bool kt_path_is(const struct kt_path *path, const uint32_t *steps, uint32_t count);
/** Appends "a.b". False without memory. */
bool kt_path_text(const struct kt_schema *schema, uint32_t column, const struct kt_path *path,
                  struct kt_buffer *to);

/* One index as a snapshot sees it. */
struct kt_table_index {
    const char *name;
    int column;          /* of the schema */
    struct kt_path path; /* of an index over values: the field of it */
    kith_index_type type;
    kith_metric metric;             /* KITH_METRIC_DEFAULT for an index over values, which has none */
    const struct kt_index_ops *ops; /* NULL for an index over values: kt_snapshot.scalars has it */
    const struct kt_piece *piece;   /* the first: of an index over vectors its base */
    const struct kt_piece **parts;  /* of an index over vectors: the base, then its runs; else all pieces */
    uint32_t part_count;
    struct kt_rows *covers; /* row ids that the pieces cover: sorted, disjoint */
    uint32_t cover_count;
    uint64_t rows_indexed, rows_unindexed; /* that are there */
    uint64_t rows_dead;                    /* covered, and not there any more */
    uint64_t bytes;
    const char *calibrated_on;      /* "rows" or "queries"; NULL: not calibrated */
    uint32_t calibrated_with;       /* so many of them */
    struct kt_index_slot *slot;     /* private */
    struct kt_lived *_Atomic lived; /* private: kt_snapshot_lived(), once asked for */
};

/* A piece of an index over values, and the rows it answers for: those in piece->covers. Pieces of one index
 * have no row in common; indexes of one column may. Rows that no piece covers must be looked at. */
struct kt_table_scalar {
    const char *name;
    uint32_t column; /* of the schema */
    struct kt_path path;
    kith_index_type type;
    const struct kt_piece *piece;
    struct kt_index_slot *slot; /* private */
};

struct kt_snapshot {
    _Atomic uint32_t references;
    struct kt_state *state;
    struct kt_table_home *home; /* private: keeps the table's folder open */
    struct kt_io *io;           /* that folder */
    struct kt_schema *schema;
    struct kt_segment **segments; /* state->fragment_count of them, by first row */
    struct kt_vectors *vectors;   /* schema->count of them; run_count is 0 for other columns */
    struct kt_table_index *indexes;
    uint32_t index_count;
    struct kt_table_scalar *scalars; /* in the order they were built */
    uint32_t scalar_count;
    bool has_dead;                      /* of stored or indexed rows */
    _Atomic bool held;                  /* private: every file is open, or was found to be unreadable */
    struct kt_selection *_Atomic alive; /* private: kt_snapshot_live(), once asked for */
};

/** What the table shows now (pinned, or the newest). Released with kt_snapshot_release(). */
kith_status kt_table_snapshot(struct kt_table *table, struct kt_snapshot **out, kith_error *error);
/** The newest version, of a pinned handle too. */
kith_status kt_table_newest(struct kt_table *table, struct kt_snapshot **out, kith_error *error);
struct kt_snapshot *kt_snapshot_share(const struct kt_snapshot *snapshot);
void kt_snapshot_release(struct kt_snapshot *snapshot);

/** The segment that holds `row`, and where in it; false where there is no such row, or no longer. */
bool kt_snapshot_find(const struct kt_snapshot *snapshot, uint64_t row, uint32_t *segment, uint64_t *place);
/** The rows that are there: what a reader of stored rows has to ask, and of an index. *out is NULL where
 * nothing stored or indexed was deleted; it stays the snapshot's. */
kith_status kt_snapshot_live(const struct kt_snapshot *snapshot, const struct kt_selection **out,
                             kith_error *error);
/** How many rows of each list of an index over vectors are there, about, where many are not; else NULL. It
 * stays the snapshot's. */
kith_status kt_snapshot_lived(const struct kt_snapshot *snapshot, const struct kt_table_index *index,
                              const struct kt_index_matches **out, kith_error *error);
/** Counts the live rows with ids of [begin, end). */
uint64_t kt_state_count(const struct kt_state *state, uint64_t begin, uint64_t end);
/** The file of a column of a segment and the column's number in it; *out stays the segment's. */
kith_status kt_segment_column(struct kt_segment *segment, uint32_t column, struct kt_ipc_file **out,
                              uint32_t *file_column, kith_error *error);
/** Record batch `number` of a segment as a batch of `schema`, lent from the files: column i is column
 * columns[i] of the table (NULL: column i), or, where that is KT_EXTRA_COLUMN, the only column of `extra`,
 * which has as many rows. */
#define KT_EXTRA_COLUMN UINT32_MAX
kith_status kt_segment_lend(struct kt_segment *segment, uint32_t number, struct kt_schema *schema,
                            const uint32_t *columns, struct kt_batch *extra, struct kt_batch **out,
                            kith_error *error);
/** The record batch that holds the segment's row `row`: its number, and how many of its rows come from there
 * on. */
uint32_t kt_segment_batch(const struct kt_segment *segment, uint64_t row, uint64_t *rows);
uint64_t kt_segment_rows(const struct kt_segment *segment); /* stored */
/** Where a record batch begins; that behind the last one ends it. */
uint64_t kt_segment_batch_begin(const struct kt_segment *segment, uint32_t batch);
/** The id of the segment's row `place`. The ids of one segment rise; they run on from its first where
 * kt_segment_whole(). */
uint64_t kt_segment_id(const struct kt_segment *segment, uint64_t place);
bool kt_segment_whole(const struct kt_segment *segment);
/** The place of the first row whose id is `row` or more; kt_segment_rows() where there is none. */
uint64_t kt_segment_place(const struct kt_segment *segment, uint64_t row);
/** Of `count` bits, for the rows from `place` on, keeps those of rows that are selected. @return whether any
 * is left */
bool kt_segment_mask(const struct kt_segment *segment, uint64_t place, uint64_t count,
                     const struct kt_selection *selection, uint64_t *bits);
/** Selects the rows whose bits are set; none of them was. */
void kt_segment_put(const struct kt_segment *segment, uint64_t place, uint64_t count, const uint64_t *bits,
                    struct kt_selection *selection);
/** The ids of `count` rows from `place` on. */
void kt_segment_ids(const struct kt_segment *segment, uint64_t place, uint64_t count, uint64_t *ids);

/** Lends scratch for one search, warm from an earlier one where no other thread has it; and takes it back. */
struct kt_arena kt_snapshot_borrow(const struct kt_snapshot *snapshot);
void kt_snapshot_give_back(const struct kt_snapshot *snapshot, struct kt_arena *scratch);

/** The open index; stays the snapshot's. */
kith_status kt_snapshot_index(const struct kt_snapshot *snapshot, const struct kt_table_index *index,
                              const struct kt_index **out, kith_error *error);
kith_status kt_snapshot_scalar(const struct kt_snapshot *snapshot, const struct kt_table_scalar *scalar,
                               const struct kt_scalar **out, kith_error *error);

/** The vector column `name`; with NULL the table's only one, of several the only one of this dimension (0:
 * not known), or the one called "vector". KITH_NOT_FOUND and KITH_INVALID name the candidates. */
kith_status kt_snapshot_vector_column(const struct kt_snapshot *snapshot, const char *name, uint32_t dim,
                                      int *column, kith_error *error);
/** The metric of a vector column: as given at creation, else its index's, else KITH_L2. */
kith_metric kt_snapshot_metric(const struct kt_snapshot *snapshot, int column);
/** Checks every byte of a file of the table. KITH_CORRUPT, KITH_NOT_FOUND */
kith_status kt_snapshot_verify_file(const struct kt_snapshot *snapshot, const struct kt_stored_file *stored,
                                    kith_error *error);
/** Checks every byte of every file. */
kith_status kt_snapshot_verify(const struct kt_snapshot *snapshot, uint64_t *files, kith_error *error);

#endif
