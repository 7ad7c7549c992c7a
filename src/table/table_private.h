/* What the files of the table room share. */
#ifndef KT_TABLE_PRIVATE_H
#define KT_TABLE_PRIVATE_H

#include "base/lock.h"
#include "table/table.h"

enum { KT_LIVED_KEPT = 4 };

/* The open folder, shared by a handle and every snapshot and stream that came from it. */
struct kt_table_home {
    _Atomic uint32_t references;
    struct kt_store *store;
    struct kt_arena_chunk *_Atomic scratch; /* of a search that ended, for the next one; or NULL */
    _Atomic pid_t upkeep_by;                /* whose thread does upkeep; 0: nobody does */
    _Atomic bool upkeep_again;              /* somebody committed meanwhile, and left what is due to it */
    struct kt_lock lock;
    struct kt_lived *lived[KT_LIVED_KEPT]; /* the latest counts, guarded by the lock */
};
void kt_lived_release(struct kt_lived *lived); /* NULL is allowed */
struct kt_table_home *kt_home_share(struct kt_table_home *home);
void kt_home_release(struct kt_table_home *home);

struct kt_table {
    char *name;
    struct kt_table_home *home;
    struct kt_lock lock; /* guards `current` and `pinned` */
    struct kt_snapshot *current;
    bool pinned;
    _Atomic uint64_t calibrate_from; /* row id from which indexes are calibrated again, once it failed */
    _Atomic uint64_t auto_from;      /* rows from which an automatic index is tried again, once it failed */
};

struct kt_segment {
    _Atomic uint32_t references;
    uint64_t first_row, span, rows;
    struct kt_bytes *stored; /* which ids of the span there are; NULL: all */
    struct kt_ranks ranks;   /* of the same */
    uint32_t group_count;    /* 1 for inline rows */
    struct kt_io *io;        /* the table's; the snapshots that hold the segment hold the store */
    struct kt_stored_file *files;
    struct kt_bytes *inline_rows;
    struct kt_schema *schema;
    uint64_t *batch_begin; /* batch_count + 1: the segment's row where each record batch begins */
    uint32_t batch_count;
    int32_t *group_of; /* for each column of the schema: which file, or -1 when it is younger than the rows */
    struct kt_ipc_file *_Atomic *open; /* one a group */
};
/** Of the fragment, nothing open yet. */
kith_status kt_segment_new(struct kt_io *io, const struct kt_fragment *fragment,
                           const struct kt_schema *schema, struct kt_segment **out, kith_error *error);
void kt_segment_release(struct kt_segment *segment);
/** Whether the segment is that of the fragment. */
bool kt_segment_is(const struct kt_segment *segment, const struct kt_fragment *fragment,
                   const struct kt_schema *schema);

struct kt_io *kt_catalog_io(const struct kt_catalog *catalog);
kith_status kt_table_name_check(const char *name, kith_error *error);
/** "<name>.kith": the folder of a table. `to` has room for strlen(name) + 6. */
void kt_table_folder(const char *name, char *to);

/** Opens a snapshot of `state` (taken over), sharing what `older` (may be NULL) has open. */
kith_status kt_snapshot_open(struct kt_table_home *home, struct kt_state *state,
                             const struct kt_snapshot *older, struct kt_snapshot **out, kith_error *error);
/** Opens every file of the snapshot that is not open, so that it can be read whatever becomes of their names.
 * KITH_NOT_FOUND where one is missing: a later version no longer needs it, and it was removed. That one is
 * damaged is told when it is read. */
kith_status kt_snapshot_hold(const struct kt_snapshot *snapshot, kith_error *error);
/** The same for the files of a segment. */
kith_status kt_segment_hold(struct kt_segment *segment, kith_error *error);
/** Whether a reader of stored rows, or of an index, meets rows that are no longer there. */
bool kt_state_meets_dead(const struct kt_state *state);
/** Finds what the state's pieces are to a snapshot whose schema is set; and lets go of it. */
kith_status kt_pieces_open(struct kt_snapshot *snapshot, const struct kt_snapshot *older, kith_error *error);
void kt_pieces_release(struct kt_snapshot *snapshot);
/** The index of that name, or NULL. */
const struct kt_table_index *kt_snapshot_find_index(const struct kt_snapshot *snapshot, const char *name);
/** A handle without a snapshot; takes over `store`, on failure too. */
kith_status kt_table_new(const char *name, struct kt_store *store, struct kt_table **out, kith_error *error);
/** A snapshot of `state` (taken over), which the handle shows from now on unless it is pinned or shows a
 * newer one. */
kith_status kt_table_adopt(struct kt_table *table, struct kt_state *state, const struct kt_snapshot *older,
                           struct kt_snapshot **out, kith_error *error);

/* Row ids in intervals, sorted, disjoint, not touching. Zeroed is empty. */
struct kt_cover {
    struct kt_rows *rows;
    uint32_t count;
};
void kt_cover_release(struct kt_cover *cover);
/** All rows of a state, added to the empty `out`. */
kith_status kt_cover_state(const struct kt_state *state, struct kt_cover *out, kith_error *error);
/** Adds sorted, disjoint intervals. */
kith_status kt_cover_add(struct kt_cover *cover, const struct kt_rows *rows, uint32_t count,
                         kith_error *error);
/** Takes sorted, disjoint intervals off. */
kith_status kt_cover_subtract(struct kt_cover *cover, const struct kt_rows *rows, uint32_t count,
                              kith_error *error);
uint64_t kt_rows_count(const struct kt_rows *rows, uint32_t count);
/** How many rows are in both. */
uint64_t kt_rows_common(const struct kt_rows *a, uint32_t count_a, const struct kt_rows *b, uint32_t count_b);

/** As names below the column (new reference), and read again; false where there is no such field. */
json_t *kt_path_json(const struct kt_schema *schema, uint32_t column, const struct kt_path *path);
bool kt_path_read(const struct kt_field *column, const json_t *names, struct kt_path *out);
/** What "a.b" names; *column is -1 where no column begins so. KITH_NOT_FOUND and KITH_INVALID where one does,
 * and it has no such field. */
kith_status kt_path_find(const struct kt_schema *schema, const char *name, int *column, struct kt_path *out,
                         kith_error *error);

/** Writes an index over the values that the covered rows have in a column, those that are there; *held is how
 * many they are. */
kith_status kt_table_write_scalar(const struct kt_snapshot *snapshot, uint32_t column,
                                  const struct kt_path *path, kith_index_type type,
                                  const struct kt_cover *cover, struct kt_work *work, struct kt_sink *sink,
                                  uint64_t *held, kith_error *error);
/** How many rows the file of a piece has, dead ones among them. */
uint64_t kt_piece_held(const struct kt_piece *piece);
/** The rows that no piece of the index covers, added to the empty `out`; none, where they are too few for a
 * piece. */
kith_status kt_table_uncovered(const struct kt_snapshot *snapshot, const struct kt_table_index *index,
                               struct kt_cover *out, kith_error *error);
/** Whether so many rows were appended that an index is due for a piece more. */
bool kt_table_is_behind(const struct kt_snapshot *snapshot, const struct kt_table_index *index);
/** Whether so much came since an index over vectors was trained that it is to be built anew. */
bool kt_table_is_spent(const struct kt_table_index *index);
/** Whether an older version was put back by a commit after this one: then rows may live that were dead. */
bool kt_state_restored_since(const struct kt_state *state, uint64_t commit);
/** How many of its last files, or all, are to be merged; 0: none. */
uint32_t kt_table_to_merge(const struct kt_table_index *index);

/* Writing rows of one schema into fragments of a transaction: what insert and folding share. */
struct kt_fragments {
    struct kt_txn *txn;        /* borrowed */
    struct kt_schema *schema;  /* borrowed */
    struct kt_batch **pending; /* not yet written */
    size_t pending_count, pending_room;
    uint64_t pending_rows, pending_bytes;
    struct group_writer *groups; /* the open files of the fragment in work; NULL when there is none */
    uint32_t group_count;
    uint64_t rows, bytes; /* written into it */
    json_t *stats;
    struct kt_fragment *done; /* ended, with everything the log has to say of them but their row ids */
    uint32_t done_count;
};
/** Shares the batch. */
kith_status kt_fragments_add(struct kt_fragments *fragments, struct kt_batch *batch, kith_error *error);
/** Ends the last fragment; with `allow_inline` few rows in all become an inline fragment and no file. */
kith_status kt_fragments_end(struct kt_fragments *fragments, bool allow_inline, kith_error *error);
void kt_fragment_free(struct kt_fragment *fragment);       /* one of `done`, or made like it */
void kt_fragments_release(struct kt_fragments *fragments); /* abandons what is open */

/* The rows of fragments that were not committed, as a stream for other columns. Zeroed is empty. */
struct kt_redo {
    bool held;
    struct kt_segment **segments;
    uint32_t count;
    struct kt_schema *from, *lent; /* as they were written; of that, what there still is, by today's names */
    uint32_t *columns;             /* of `from`, for each of `lent` */
    struct kt_schema *to;          /* borrowed */
    uint32_t segment, batch;       /* the next */
};
/** Opens what the ended fragments wrote, so that it can be read when the files are removed. */
kith_status kt_redo_hold(struct kt_redo *redo, struct kt_io *io, const struct kt_fragments *fragments,
                         kith_error *error);
/** From here on kt_redo_next(), a kt_next_fn, gives the rows as batches of `to`. */
kith_status kt_redo_begin(struct kt_redo *redo, struct kt_schema *to, kith_error *error);
kith_status kt_redo_next(void *context, struct kt_batch **out, kith_error *error);
void kt_redo_release(struct kt_redo *redo);

/** Looks whether the calibrations of vector indexes still hold, and learns them again, where so much came or
 * went that it is due. */
kith_status kt_table_recalibrate(struct kt_table *table, const struct kt_snapshot *seen,
                                 kith_progress_fn progress, void *user, kith_error *error);
/** Notes of what rows the piece's calibration was learned. */
kith_status kt_piece_note_calibrated(const struct kt_snapshot *snapshot, json_t *meta, kith_error *error);

/** The handle follows the newest version from its next use on. */
void kt_table_unpin(struct kt_table *table);
/** What follows a commit that gave `state`: folds, indexes, clean-up. None of it fails the write. */
void kt_table_upkeep(struct kt_table *table, struct kt_state *state, const struct kt_snapshot *base,
                     const kith_write *options);
/** Merges small fragments at the table's end when they have become many. Maintenance: what fails is left for
 * a later write. */
void kt_table_fold(struct kt_table_home *home, struct kt_state *state);

/** Merges what is small and leaves out what is dead, all of it. */
kith_status kt_table_fold_all(struct kt_table *table, struct kt_work *work, kith_upkeep_stats *stats,
                              kith_error *error);
/** Builds the index that nobody asked for, and pieces over rows that were appended to indexes over values,
 * where `after`, the snapshot with a write's rows, is due for them. Maintenance; the write's progress
 * callback is told of it and can stop it. */
void kt_table_auto_index(struct kt_table *table, const struct kt_snapshot *after, const kith_write *options);
/** kt_table_create_index() for the first: KITH_EXISTS where it would take another index's place. */
kith_status kt_table_create_automatic(struct kt_table *table, const kith_index *options, kith_error *error);
/** kt_table_create_index() for the second: a piece more, over what the index named in `options` does not
 * cover. */
kith_status kt_table_extend_index(struct kt_table *table, const kith_index *options, kith_error *error);
/** Files [first, first + count) of the index named in `options` as one, without dead rows. */
kith_status kt_table_merge_index(struct kt_table *table, const kith_index *options, uint32_t first,
                                 uint32_t count, kith_error *error);
/** The index named in `options` once more, over all rows there are now, with the parameters that it has. */
kith_status kt_table_rebuild_index(struct kt_table *table, const kith_index *options, kith_error *error);
/** Whether the piece is of an index over the column with this field id. */
bool kt_piece_covers_field(const struct kt_piece *piece, int32_t field);

#endif
