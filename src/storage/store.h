/* One table's folder: the log of commits, the state it adds up to, and the only way to change it.
 *
 * Storage does not know what a vector is, nor what Arrow is: the schema, statistics and the meaning of an
 * index piece are JSON that it carries. What it knows: files under names, row-id ranges, versions. */
#ifndef KT_STORAGE_STORE_H
#define KT_STORAGE_STORE_H

#include <jansson.h>
#include <stdatomic.h>

#include "base/selection.h"
#include "parallel/parallel.h"
#include "storage/blob.h"

struct kt_store; /* the folder; any number of threads */

/* A file of the table as the log names it. */
struct kt_stored_file {
    char name[56]; /* "data/<id>.arrow", "index/<id>.kix"; checked against that pattern when read */
    struct kt_seal seal;
};

/* Some columns of a fragment, in one file. */
struct kt_column_group {
    struct kt_stored_file file;
    int32_t *fields; /* field ids */
    uint32_t field_count;
};

struct kt_bytes { /* bytes that several states share */
    _Atomic uint32_t references;
    size_t size;
    uint8_t data[];
};
struct kt_bytes *kt_bytes_new(const void *data, size_t size); /* NULL when memory is out */
struct kt_bytes *kt_bytes_share(struct kt_bytes *bytes);
void kt_bytes_release(struct kt_bytes *bytes);

/* Row ids [first_row, first_row + span): in files, or inline in the log (then `inline_rows` is their bytes).
 * `rows` of them are stored; fewer than `span` where folding left dead ones out: those ids are holes. Of
 * those stored, `dead_rows` are deleted, never all. */
struct kt_fragment {
    uint64_t first_row;
    uint64_t span;
    uint64_t rows;
    uint64_t dead_rows;
    struct kt_bytes *dead; /* bit i: row first_row + i is stored and deleted; in whole words of 64 bits; NULL:
                              none */
    struct kt_bytes *stored; /* bit i: row first_row + i is no hole; NULL: there are none */
    struct kt_bytes *holes;  /* the same as the log says it; storage's own */
    struct kt_column_group *groups;
    uint32_t group_count;
    struct kt_bytes *inline_rows; /* reference-counted; NULL for rows in files */
    json_t *stats;                /* the table room's */
};
static inline uint64_t kt_fragment_end(const struct kt_fragment *fragment) /* of its row ids */
{
    return fragment->first_row + fragment->span;
}
static inline uint64_t kt_fragment_live(const struct kt_fragment *fragment) /* how many rows */
{
    return fragment->rows - fragment->dead_rows;
}
/** Row first_row + at, at < span, is deleted. */
static inline bool kt_fragment_is_dead(const struct kt_fragment *fragment, uint64_t at)
{
    return fragment->dead && kt_bit(fragment->dead->data, at);
}

/* An immutable piece of an index. */
struct kt_piece {
    char id[33]; /* hexadecimal, unique */
    char *index; /* the index's name */
    struct kt_stored_file file;
    struct kt_rows *covers; /* sorted, disjoint */
    uint32_t cover_count;
    json_t *meta; /* the table room's: column, type, metric, parameters */
};

struct kt_version_entry {
    uint64_t version,
        commit; /* the newest commit that shows this version is found by the log, this one began it */
    int64_t time_us;
    uint64_t rows;
    char operation[16];
};

enum { KT_LONGEST_TAG = 100 };
struct kt_tag { /* a name for a version, which is kept as long as it has one */
    char name[KT_LONGEST_TAG + 1];
    uint64_t version;
    uint64_t commit; /* that is read for it: it has a checkpoint */
};

/* Everything the log says up to one commit. Immutable once made, shared by reference. */
struct kt_state {
    _Atomic uint32_t references;
    char table_id[33];
    uint64_t commit;  /* number of the newest commit applied */
    uint64_t hash;    /* XXH3 of that commit's bytes: the next one's parent */
    uint64_t version; /* as users see it */
    uint64_t next_row;
    uint64_t rows; /* live ones */
    int64_t time_us;
    json_t *schema;                /* borrowed by readers; never changed */
    json_t *config;                /* object of strings and numbers */
    struct kt_fragment *fragments; /* by first_row */
    uint32_t fragment_count;
    struct kt_piece *pieces; /* in the order they were added */
    uint32_t piece_count;
    struct kt_version_entry *versions; /* oldest first */
    uint32_t version_count;
    struct kt_tag *tags; /* by name */
    uint32_t tag_count;
    uint64_t inline_bytes;
    uint32_t inline_count;
    bool dropped;
    bool uncommitted;   /* has changes that belong to no commit yet; only ever seen while preparing */
    void *private_part; /* storage's own: recent transactions, removed files */
};
struct kt_state *kt_state_share(const struct kt_state *state);
void kt_state_release(struct kt_state *state);
/** The number of the first fragment that ends after `row`; `fragment_count` when there is none. */
uint32_t kt_state_fragment_at(const struct kt_state *state, uint64_t row);
/** Whether `row` is stored and not deleted. */
bool kt_state_is_live(const struct kt_state *state, uint64_t row);

/** Makes the folder `name` under `io` with an empty log, or fails with KITH_EXISTS. The table exists from its
 *  first commit on. */
kith_status kt_store_create(struct kt_io *io, const char *name, struct kt_store **out, kith_error *error);
/** KITH_NOT_FOUND when there is no such folder or it holds no commit. */
kith_status kt_store_open(struct kt_io *io, const char *name, struct kt_store **out, kith_error *error);
void kt_store_close(struct kt_store *store);
struct kt_io *kt_store_io(struct kt_store *store); /* rooted in the table's folder */

/** The newest state. An invalid newest commit is KITH_CORRUPT with the file, the reason and what to do. */
kith_status kt_store_load(struct kt_store *store, struct kt_state **out, kith_error *error);
/** The newest state given an older one: costs two system calls when nothing is newer (then `*out` shares
 * `known`). KITH_NOT_FOUND when the table was dropped. */
kith_status kt_store_refresh(struct kt_store *store, struct kt_state *known, struct kt_state **out,
                             kith_error *error);
/** The state at the newest commit that shows `version`. KITH_NOT_FOUND when it is not kept. */
kith_status kt_store_load_version(struct kt_store *store, uint64_t version, struct kt_state **out,
                                  kith_error *error);

/* ---- old versions ---- */

/* Older versions stay while each of these holds; tags keep theirs whatever they say. */
struct kt_retention {
    uint64_t keep_versions; /* fewer than so many are newer; 1: only the newest version stays */
    int64_t keep_us;        /* replaced less long ago than this */
    uint64_t keep_bytes;    /* the files that only older versions have are together smaller than this */
    bool all;               /* everything that is not the newest state or a tag's goes, whatever is gained */
    bool orphans;           /* also removes files that no commit names and that are older than 24 hours */
};
struct kt_cleaned {
    uint64_t versions, files, bytes;
};
/** Forgets older versions and removes their files and commits, in a commit of its own (maintenance). A handle
 * at one of them reads what is in files that it has open. `out` may be NULL and is filled also on failure. */
kith_status kt_store_clean(struct kt_store *store, const struct kt_retention *keep, struct kt_cleaned *out,
                           kith_error *error);
/** Adds to `out` the names below the table's folder that nothing explains, and that stay for some seconds:
 * not the newest state, nor what is kept of the log. With `remove`, for when nobody else writes, they are
 * removed first, and those are added that are still there. */
kith_status kt_store_sweep(struct kt_store *store, bool remove, struct kt_io_names *out, kith_error *error);
/** After a write, given the state of its commit: the same when enough has come together, by the table's
 * setting "keep_versions" (1,000 when there is none), 7 days, and as many bytes as the table has. Never
 * fails. */
void kt_store_clean_if_due(struct kt_store *store, const struct kt_state *state);

/* A commit that is still in the log. */
struct kt_past_commit {
    uint64_t commit, version; /* which it made or kept */
    int64_t time_us;
    uint64_t rows_added, rows_removed; /* an updated row is both; none for upkeep */
    uint64_t bytes;                    /* of the commit itself */
    uint32_t transactions;             /* that shared it */
    bool upkeep;
    char operation[16];   /* of the first that users see */
    char transaction[33]; /* the first one's id */
    char key[201];        /* an idempotency key that one of them had, or "" */
};
/** Adds to `out` at most `most` of the commits up to `state`, newest first. */
kith_status kt_store_history(struct kt_store *store, const struct kt_state *state, uint64_t most,
                             struct kt_buffer *out, kith_error *error);

/* ---- when something is wrong, and before ---- */

/** Makes a log whose newest commit cannot be read take commits again: that commit is saved aside and what it
 * had changed is lost. Damaged checkpoints are removed, or written anew. Nobody else may write meanwhile.
 * Adds to `words`, a sentence or two for each, what was wrong and what was done; nothing is added when all is
 * well. KITH_CORRUPT when something can only be restored from a copy. */
kith_status kt_store_repair(struct kt_store *store, struct kt_buffer *words, kith_error *error);
/** Copies the table as it is in `state`, while others go on, to the folder `name` under `to`, which must not
 * be there (KITH_EXISTS). The copy is a table of its own with one version, that of `state`. KITH_NOT_FOUND
 * when a file of `state` was removed since. `work` may be NULL. */
kith_status kt_store_backup(struct kt_store *store, const struct kt_state *state, struct kt_io *to,
                            const char *name, struct kt_work *work, kith_error *error);

/* ---- changing it ---- */

struct kt_txn; /* the files written and the actions wanted */

kith_status kt_txn_begin(struct kt_store *store, const char *operation, struct kt_txn **out,
                         kith_error *error);
/** Starts a file of this transaction: folder is "data" or "index", extension "arrow" or "kix". */
kith_status kt_txn_create(struct kt_txn *txn, const char *folder, const char *extension, uint32_t block_bytes,
                          struct kt_sink **out, char name[56], kith_error *error);

/* Actions; each copies what it is given (json is incref'ed). They are added by the prepare function below,
 * which runs again, from nothing, each time the race for a commit is lost. */
kith_status kt_txn_set_schema(struct kt_txn *txn, json_t *schema, kith_error *error);
kith_status kt_txn_set_config(struct kt_txn *txn, const char *key, json_t *value,
                              kith_error *error); /* NULL removes */
/** Row ids are given by storage, from the state's next_row on, in the order of the calls;
 * `fragment->first_row` is ignored, a span of 0 is the number of rows. */
kith_status kt_txn_add_fragment(struct kt_txn *txn, const struct kt_fragment *fragment, kith_error *error);
kith_status kt_txn_remove_fragment(struct kt_txn *txn, uint64_t first_row, kith_error *error);
/** Deletes `rows`, ascending and distinct. KITH_INVALID for disorder; KITH_CONFLICT names a row that is not
 * there (any more). */
kith_status kt_txn_delete(struct kt_txn *txn, const uint64_t *rows, size_t count, kith_error *error);
/** What folding needs: puts one fragment in the place of all those inside [first_row, first_row + span). Its
 * rows are those that live there in the state `then`, which is what the writer read; they keep their ids.
 * Rows that died since are dead in the new fragment too. KITH_CONFLICT unless the fragments of `then` are
 * still there, or when all their rows died; KITH_INVALID when `rows` is not the number of rows that lived
 * then. */
kith_status kt_txn_replace_fragments(struct kt_txn *txn, const struct kt_fragment *fragment,
                                     const struct kt_state *then, kith_error *error);
/** Puts other files, or other inline rows, in the place of those of a fragment, which must be the same as
 * when `fragment` was copied from it and changed: the rows keep their ids and places, and stay dead where
 * they are. What adding columns needs. */
kith_status kt_txn_widen_fragment(struct kt_txn *txn, const struct kt_fragment *fragment, kith_error *error);
kith_status kt_txn_add_piece(struct kt_txn *txn, const struct kt_piece *piece, kith_error *error);
kith_status kt_txn_remove_piece(struct kt_txn *txn, const char *id, kith_error *error);
/** Names a version that is kept, 0: takes the name away. Maintenance. Publishes a checkpoint of the version
 * first, so that it can be read when the commits before it are gone. KITH_NOT_FOUND when the version is not
 * kept, or there is no tag of that name to take away; another version's tag is moved. */
kith_status kt_txn_set_tag(struct kt_txn *txn, const char *name, uint64_t version, kith_error *error);
/** Makes the table what it was in `old`: schema, settings, fragments with their dead rows, index pieces. Row
 * ids and versions go on. KITH_NOT_FOUND when `old` is not kept any more: its files may be gone. */
kith_status kt_txn_restore(struct kt_txn *txn, const struct kt_state *old, kith_error *error);
/** Marks the commit as maintenance: it keeps the users' version. */
void kt_txn_maintenance(struct kt_txn *txn);

enum { KT_LONGEST_KEY = 200 };
struct kt_repeat {
    uint64_t commit, version; /* of the transaction that had the key; 0 when there was none */
};
/** Gives the transaction a key of 1 to 200 bytes of UTF-8, which the table remembers for its last 4,096
 * transactions. If it knows the key already when this one is committed, nothing is published, the
 * transaction's files are removed, and the commit succeeds with the newest state; then `*repeat` (may be
 * NULL, else must live until the commit) says which transaction that was. */
kith_status kt_txn_set_key(struct kt_txn *txn, const char *key, struct kt_repeat *repeat, kith_error *error);

/** Says what to commit on top of `state`; KITH_CONFLICT (or any status) when it can no longer be done. May be
 * called by another thread that commits to this store, may not commit to it itself. `state` may have the
 * changes of other threads that share the commit (`uncommitted`): then its commit is the one before them all,
 * and its version, when one of them was more than maintenance, a number that no version ever has. It must not
 * be kept. */
typedef kith_status (*kt_prepare_fn)(void *context, const struct kt_state *state, struct kt_txn *txn,
                                     kith_error *error);

/** Syncs the transaction's folders, then prepares and publishes until it wins, for 30 s with jitter. Threads
 * that commit to one store at once share commits, each with its own outcome. On KITH_OK `*out` (may be NULL)
 * is the state with this commit, which may have other threads' changes too. A definite failure removes the
 * transaction's files; KITH_UNKNOWN leaves them. The transaction is gone either way. Writes a checkpoint when
 * one is due; its failure is not told. */
kith_status kt_txn_commit(struct kt_txn *txn, kt_prepare_fn prepare, void *context, struct kt_state **out,
                          kith_error *error);
void kt_txn_abandon(struct kt_txn *txn); /* removes its files; NULL is allowed */

/** From here to kt_json_watched() this thread notes when JSON is refused memory; the latter turns `status`
 * into KITH_NO_MEMORY if it was. Around everything that is read from JSON or written as it. */
void kt_json_watch(void);
kith_status kt_json_watched(kith_status status, kith_error *error);

/** Commits `drop`, renames the folder away and removes it. */
kith_status kt_store_drop(struct kt_store *store, struct kt_io *parent, const char *name, kith_error *error);

#endif
