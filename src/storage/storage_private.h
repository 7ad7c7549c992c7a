/* What the files of the storage room share. */
#ifndef KT_STORAGE_PRIVATE_H
#define KT_STORAGE_PRIVATE_H

#include <sys/types.h>

#include "base/lock.h"
#include "storage/store.h"

#define KT_LARGEST_COMMIT ((size_t)64 << 20)
#define KT_LARGEST_CHECKPOINT ((size_t)256 << 20)
#define KT_LARGEST_LINE ((size_t)16 << 20)
#define KT_LARGEST_ROW ((uint64_t)1 << 62)
#define KT_LARGEST_SPAN ((uint64_t)1 << 31) /* of a fragment, whose dead rows are a bitmap */
enum { KT_FORMAT = 1, KT_TXNS_KEPT = 4096, KT_LOG_NAME = 40 };

/* Which status a bad action has: CORRUPT both when a log is read, INVALID and CONFLICT in a transaction. */
struct kt_blame {
    kith_status malformed; /* it could never be right */
    kith_status missing;   /* what it speaks of is not there (any more) */
};

/** How many versions a table keeps; 1 where it was told to keep none but the newest. */
uint64_t kt_state_keep_versions(const struct kt_state *state);

/* ---- store_log.c: a file of the log is lines of JSON, then payloads, then a line that vouches for them */

enum kt_log_kind { KT_LOG_COMMIT, KT_LOG_CHECKPOINT };
void kt_log_name(uint64_t commit, enum kt_log_kind kind, char name[KT_LOG_NAME]);
bool kt_log_parse_name(const char *name, uint64_t *commit, enum kt_log_kind *kind);

/** `lines` is an array: the header, then the rest. */
kith_status kt_log_encode(json_t *lines, struct kt_bytes *const *payloads, size_t payload_count, size_t limit,
                          struct kt_buffer *out, kith_error *error);

/* A file of the log being read; borrows its bytes. */
struct kt_log_reader {
    json_t *header;
    const char *line, *lines_end; /* the lines not yet read */
    const uint8_t *payload;       /* the payloads not yet taken */
    json_t *lengths;              /* of all payloads */
    size_t taken;
};
/** Checks the last line against the bytes, and reads the header. Errors say what is wrong, not in which file.
 */
kith_status kt_log_open(const uint8_t *bytes, size_t size, struct kt_log_reader *out, kith_error *error);
/** The next line, an object with a text "do"; `*out` is NULL after the last one. */
kith_status kt_log_next(struct kt_log_reader *reader, json_t **out, kith_error *error);
/** Copies the next payload, which must have `length` bytes. */
kith_status kt_log_take(struct kt_log_reader *reader, uint64_t length, struct kt_bytes **out,
                        kith_error *error);
void kt_log_close(struct kt_log_reader *reader);

/* ---- store_record.c: fragments, pieces and headers as JSON */

/* A transaction as the log knows it. */
struct kt_txn_seen {
    uint8_t id[16];
    uint64_t commit, version; /* in which it was, and which that made or kept */
    char *key;                /* shared; NULL: none */
};

struct kt_commit_header {
    char table_id[33];
    uint64_t commit, version, parent;
    int64_t time_us;
    char operation[16];
    struct kt_txn_seen *txns; /* ids and keys: of one transaction, or of several that shared the commit */
    uint32_t txn_count;
};
struct kt_removed_file;
json_t *
kt_record_header(const struct kt_commit_header *header); /* NULL when memory is out, as for all below */
json_t *kt_record_fragment(const char *action, const struct kt_fragment *fragment);
json_t *kt_record_forget(uint64_t below);
json_t *kt_record_removed(const struct kt_removed_file *file); /* an entry of a list */
bool kt_record_read_removed(json_t *item, struct kt_removed_file *out);
json_t *kt_record_tag(const char *name, uint64_t version, uint64_t commit);
json_t *kt_record_delete(uint64_t rows, const struct kt_bytes *runs);
json_t *kt_record_piece(const struct kt_piece *piece);
/** The fragment is the caller's, also its references. */
kith_status kt_record_read_fragment(json_t *record, struct kt_log_reader *reader, struct kt_fragment *out,
                                    kith_error *error);
kith_status kt_record_read_piece(json_t *record, struct kt_piece *out, kith_error *error);
/** The transactions are the caller's, for kt_txns_free(). */
kith_status kt_record_read_header(json_t *record, struct kt_commit_header *out, kith_error *error);
void kt_txns_free(struct kt_txn_seen *txns, uint32_t count);
/** A key that may be kept: shared memory, or NULL when memory is out. */
char *kt_txn_key_new(const char *key);
bool kt_txn_key_allowed(const char *key);
/** Format version, needed features, encryption: what this Kith cannot read is KITH_UNSUPPORTED. */
kith_status kt_record_check_needs(json_t *header, kith_error *error);

bool kt_json_u64(json_t *object, const char *key, uint64_t largest, uint64_t *out);
bool kt_json_hash(json_t *object, const char *key, uint64_t *out);
bool kt_json_id(json_t *object, const char *key, char out[33]); /* 32 hexadecimal digits */
void kt_hash_text(uint64_t hash, char out[17]);
bool kt_operation_allowed(const char *operation);

/* ---- store_state.c: the state and what the actions do to it */

struct kt_removed_file {
    char name[56];
    uint64_t bytes;
    uint64_t commit; /* that took it out of the state; 0: it was in none */
};
struct kt_state_private {
    struct kt_removed_file *removed; /* in the order in which they left */
    uint32_t removed_count;
    struct kt_txn_seen *txns; /* the newest, oldest first */
    uint32_t txn_count;
    uint64_t log_bytes; /* of all commits from 1 on */
    uint64_t below;     /* commits below this one are forgotten, but for those with a tag */
};

/** An empty state. */
struct kt_state *kt_state_new(void);
/** A copy to be changed; what it holds is shared. */
struct kt_state *kt_state_copy(const struct kt_state *from);
struct kt_state_private *kt_state_private_part(const struct kt_state *state);

void kt_piece_release(struct kt_piece *piece);
/** Copies down to the arrays; JSON too, so that nobody outside can change what a state holds. */
kith_status kt_piece_copy(const struct kt_piece *from, struct kt_piece *out, kith_error *error);
/* Memory that several states share: a count of references in front. */
void *kt_shared_new(size_t bytes);
void *kt_shared_share(void *shared);
void kt_shared_release(void *shared);

/** The array with room for one more: it may have moved; NULL, and it stays, when memory is out. */
void *kt_grown(void *array, size_t count, size_t size);
void *kt_array_copy(const void *from, size_t count, size_t size);
/** Whether it may be the name of a file of the table: nothing else may be removed. */
bool kt_stored_name_allowed(const char *name);
/** Whether it may be the name and the seal of a file in `folder`. */
kith_status kt_stored_file_check(const struct kt_stored_file *file, const char *folder, const char *extension,
                                 struct kt_blame blame, kith_error *error);

/* The actions. Each takes over the fragment or piece, done or not. */
kith_status kt_state_set_schema(struct kt_state *state, json_t *schema, struct kt_blame blame,
                                kith_error *error);
kith_status kt_state_set_config(struct kt_state *state, const char *key, json_t *value, struct kt_blame blame,
                                kith_error *error);
kith_status kt_state_add_fragment(struct kt_state *state, struct kt_fragment *fragment, struct kt_blame blame,
                                  kith_error *error);
/** In a checkpoint, where row ids have gaps: only the order counts. */
kith_status kt_state_restore_fragment(struct kt_state *state, struct kt_fragment *fragment,
                                      struct kt_blame blame, kith_error *error);
/** `restore`: no rows, no schema, no settings, no pieces; what was there once follows. */
kith_status kt_state_clear(struct kt_state *state, kith_error *error);
kith_status kt_state_remove_fragment(struct kt_state *state, uint64_t first_row, struct kt_blame blame,
                                     kith_error *error);
kith_status kt_state_replace_fragments(struct kt_state *state, struct kt_fragment *fragment,
                                       struct kt_blame blame, kith_error *error);
/** On failure the state is spoiled. */
kith_status kt_state_delete(struct kt_state *state, const struct kt_bytes *runs, uint64_t rows,
                            struct kt_blame blame, kith_error *error);
kith_status kt_state_add_piece(struct kt_state *state, struct kt_piece *piece, struct kt_blame blame,
                               kith_error *error);
kith_status kt_state_remove_piece(struct kt_state *state, const char *id, struct kt_blame blame,
                                  kith_error *error);
/** Copies it, and shares its key. */
kith_status kt_state_add_txn(struct kt_state *state, const struct kt_txn_seen *txn, kith_error *error);
/** The transaction of that key among the newest 4,096, or NULL. */
const struct kt_txn_seen *kt_state_find_key(const struct kt_state *state, const char *key);
bool kt_state_has_txn(const struct kt_state *state, const uint8_t id[16]);
/** Puts the commit's number, hash, version, time and transaction into a state that has its actions. */
kith_status kt_state_commit(struct kt_state *state, const struct kt_commit_header *header, uint64_t hash,
                            size_t bytes, kith_error *error);

/* ---- store_fragments.c */

void kt_fragment_release(struct kt_fragment *fragment);
struct kt_fragment kt_fragment_share(const struct kt_fragment *from);
/** Copies down to the arrays and the JSON, without dead rows. A span of 0 becomes the number of rows. */
kith_status kt_fragment_copy(const struct kt_fragment *from, struct kt_fragment *out, kith_error *error);
/** Live rows of the fragments that lie in [first, end), where none reaches beyond it; else 0. */
uint64_t kt_state_live_within(const struct kt_state *state, uint64_t first, uint64_t end);
struct kt_runs;
kith_status kt_state_widen_fragment(struct kt_state *state, struct kt_fragment *fragment,
                                    struct kt_blame blame, kith_error *error);
/** Adds the rows of [first, end) that lived in `then` and do not in `state`. KITH_CONFLICT unless the
 * fragments there are whole, the same as then, and at least one. */
kith_status kt_state_died_since(const struct kt_state *state, const struct kt_state *then, uint64_t first,
                                uint64_t end, struct kt_runs *died, kith_error *error);
kith_status kt_state_remove_empty_fragments(struct kt_state *state, kith_error *error);
kith_status kt_state_remove_all_fragments(struct kt_state *state, kith_error *error);

/* ---- store_dead.c: rows as runs of row ids, the payload of `delete` */

/* Runs being written. Zeroed is empty. */
struct kt_runs {
    uint64_t rows; /* so far */
    struct kt_buffer bytes;
    struct kt_rows run; /* the last one, to which more may be added */
    uint64_t written;   /* where the run before it ended */
};
/** Rows [begin, end), none of them empty, each behind the one before it. */
kith_status kt_runs_add(struct kt_runs *runs, uint64_t begin, uint64_t end, kith_error *error);
/** The dead rows of a fragment. */
kith_status kt_runs_add_dead(struct kt_runs *runs, const struct kt_fragment *fragment, kith_error *error);
/** The rows that are dead in `now` (NULL: all) and were not in `then`; KITH_CONFLICT when any is back. */
kith_status kt_runs_add_died(struct kt_runs *runs, const struct kt_fragment *then,
                             const struct kt_fragment *now, kith_error *error);
/** The ids of [first, end) that no row of `state` lives under. */
kith_status kt_runs_add_holes(struct kt_runs *runs, const struct kt_state *state, uint64_t first,
                              uint64_t end, kith_error *error);
/** Makes fragment->stored of fragment->holes, which must be as many as its rows leave over. */
kith_status kt_fragment_read_holes(struct kt_fragment *fragment, kith_status malformed, kith_error *error);
kith_status kt_runs_end(struct kt_runs *runs, struct kt_bytes **out, kith_error *error);
void kt_runs_release(struct kt_runs *runs);

/* ---- store_removed.c: files that left the state, and are kept for the versions before */

kith_status kt_state_add_removed(struct kt_state *state, const struct kt_removed_file *file,
                                 kith_error *error);
/** In the commit that is being made or replayed. */
kith_status kt_state_file_left(struct kt_state *state, const struct kt_stored_file *file, kith_error *error);
void kt_state_file_came(struct kt_state *state, const struct kt_stored_file *file);
/** A file that was never in a state: from here on no commit may name it. */
kith_status kt_state_orphan(struct kt_state *state, const struct kt_removed_file *file, struct kt_blame blame,
                            kith_error *error);
/** Whether it is in the list. */
bool kt_state_has_removed(const struct kt_state *state, const char *name);
kith_status kt_state_gone(struct kt_state *state, const char *name, struct kt_blame blame, kith_error *error);
kith_status kt_state_forget(struct kt_state *state, uint64_t below, struct kt_blame blame, kith_error *error);
bool kt_state_names_file(const struct kt_state *state, const char *name);
/** Whether an action may name the file, made by an earlier commit: it is in the state, or left it so lately
 * that nobody may have removed it. */
bool kt_state_can_name(const struct kt_state *state, const char *name);

/* ---- store_versions.c */

kith_status kt_state_add_version(struct kt_state *state, const struct kt_version_entry *entry,
                                 kith_error *error);
/** The newest commit that shows `version` and can be read; 0 when it is not kept. */
uint64_t kt_state_commit_of(const struct kt_state *state, uint64_t version);
/** Drops the versions that can no longer be read. */
void kt_state_forget_versions(struct kt_state *state);
/** The first version that a commit from `below` on shows: those before it are there for their tags. */
uint32_t kt_state_first_version(const struct kt_state *state);
/** A tag; version 0 takes it away. */
kith_status kt_state_set_tag(struct kt_state *state, const char *name, uint64_t version, uint64_t commit,
                             struct kt_blame blame, kith_error *error);
/** In a checkpoint, where it is not known which commit shows a version of old. */
kith_status kt_state_restore_tag(struct kt_state *state, const char *name, uint64_t version, uint64_t commit,
                                 struct kt_blame blame, kith_error *error);

/* ---- store_replay.c, store_encode.c: commits and checkpoints to states, and states to checkpoints */

/** Applies a commit's bytes to `state`, which must be the one before it. */
kith_status kt_replay_commit(struct kt_state *state, const uint8_t *bytes, size_t size, kith_error *error);
/** Adds what `state` holds to `lines`, for a checkpoint or a restore: schema, settings, fragments by the
 * action `fragments`, a `delete` (then `*runs` is its payload), pieces. */
kith_status kt_record_content(json_t *lines, const struct kt_state *state, const char *fragments,
                              struct kt_bytes **runs, kith_error *error);
/** The bytes of a commit on top of `on` that changes nothing. */
kith_status kt_record_void(const struct kt_state *on, const char *operation, const uint8_t txn[16],
                           int64_t time_us, struct kt_buffer *out, kith_error *error);
kith_status kt_checkpoint_encode(const struct kt_state *state, struct kt_buffer *out, kith_error *error);
kith_status kt_checkpoint_decode(const uint8_t *bytes, size_t size, struct kt_state **out, kith_error *error);

/* ---- store_open.c */

struct kt_store {
    struct kt_io *io;
    struct kt_io *log;
    struct kt_io *parent; /* where the folder has its name; lives as long as `io`, which is below it */
    char *name;
    struct kt_lock lock;
    struct kt_state *newest;              /* the newest state seen, or NULL; guarded by the lock */
    struct kt_member *queue, **queue_end; /* who waits to commit, */
    bool led;                             /* whether a thread commits now, */
    _Atomic uint64_t passing;             /* states of which others were prepared on */
    pid_t queue_process;                  /* and in which process; guarded by the lock */
    _Atomic uint64_t quiet;      /* stamp of the log when its newest commit was last looked for, mixed with
                                    that commit; */
    _Atomic uint64_t looked;     /* hash of the commit last looked at, and the time of its file */
    _Atomic int64_t quiet_until; /* so long it is believed, in microseconds */
    _Atomic uint64_t checkpoint; /* commit of the newest checkpoint known of; */
    _Atomic uint64_t checkpoint_bytes;     /* its size; */
    _Atomic uint64_t checkpoint_log_bytes; /* the log's bytes up to it */
    _Atomic uint64_t clean_from; /* commit from which on cleaning up is tried again after it failed */
};
/** A store over a folder, whatever is in it; nothing is read yet. */
kith_status kt_store_attach(struct kt_io *io, const char *name, struct kt_store **out, kith_error *error);
/** The newest state, dropped or not; `*out` is NULL when the log is there and empty. */
kith_status kt_store_newest(struct kt_store *store, struct kt_state **out, kith_error *error);
/** Reads the log from its newest checkpoint, trusting no older state. */
kith_status kt_store_reload(struct kt_store *store, struct kt_state **out, kith_error *error);
void kt_store_remember(struct kt_store *store, struct kt_state *state);
void kt_store_forget_known(struct kt_store *store);
struct kt_state *kt_store_known(struct kt_store *store); /* the newest seen, or NULL */
/** Hands `state` on, or says that there is no table when it is NULL or dropped. */
kith_status kt_store_refuse_dropped(struct kt_store *store, struct kt_state *state, struct kt_state **out,
                                    kith_error *error);

/* ---- store_load.c: the log in its folder */

struct kt_log_listing {
    struct kt_io_names names;
    uint64_t largest;    /* number of any file of the log; 0: there is none */
    uint64_t smallest;   /* number of a commit, */
    uint64_t checkpoint; /* the largest of a checkpoint; likewise */
};
bool kt_store_has_commit(struct kt_store *store, uint64_t commit);
/** Whether the commit that a state ends in is still in the log: KITH_OK, KITH_NOT_FOUND, or another status
 * where nobody can tell. Another commit of its number is not it: a process that stood still for long may put
 * one where the name had been forgotten, and takes it away when it sees that; or dies before it does. */
kith_status kt_store_look(struct kt_store *store, const struct kt_state *state, kith_error *error);
kith_status kt_store_list_log(struct kt_store *store, struct kt_log_listing *out, kith_error *error);
/** Applies all commits up to `last` that are there. `*reached` is the last that could be. */
kith_status kt_store_apply(struct kt_store *store, struct kt_state *state, uint64_t last, uint64_t *reached,
                           kith_error *error);
/** The state at commit `last` or the newest before it; NULL when the log is empty. */
kith_status kt_store_load_log(struct kt_store *store, uint64_t last, struct kt_state **out, uint64_t *reached,
                              kith_error *error);
/** The state at `commit` exactly. */
kith_status kt_store_load_commit(struct kt_store *store, uint64_t commit, struct kt_state **out,
                                 kith_error *error);
kith_status kt_store_read_checkpoint(struct kt_store *store, uint64_t commit, struct kt_state **out,
                                     kith_error *error);

/* ---- store_clean.c */

/** Whether a file of the log is one that the state needs, or a tag. */
bool kt_state_keeps_name(const struct kt_state *state, uint64_t commit, enum kt_log_kind kind);

/* ---- store_orphans.c */

/** Puts the files that no commit names, and that nobody has written to for a day, into the list of those that
 * may be removed, by a commit. `*state` becomes the one after it. */
kith_status kt_store_adopt_orphans(struct kt_store *store, struct kt_state **state, kith_error *error);
/** Removes names from the log's folder that were to become a commit's or a checkpoint's a day ago. */
kith_status kt_store_remove_passing(struct kt_store *store, kith_error *error);

/* ---- store_checkpoint.c */

void kt_store_checkpoint_seen(struct kt_store *store, const struct kt_state *state, size_t bytes);
/** Makes sure that `commit` has a checkpoint that can be read back. */
kith_status kt_store_keep_checkpoint(struct kt_store *store, uint64_t commit, kith_error *error);
void kt_store_checkpoint_if_due(struct kt_store *store, const struct kt_state *state);

/* ---- store_txn.c, store_actions.c, store_drop.c */

struct kt_txn_file {
    char name[56];
};

struct kt_txn {
    struct kt_store *store;
    uint8_t id[16];
    char *key; /* shared; NULL: none */
    struct kt_repeat *repeat;
    char operation[16];
    bool maintenance;
    bool uses_data, uses_index;
    uint32_t created;
    struct kt_txn_file *files; /* `created` names */
    /* of one attempt: */
    struct kt_state *state; /* the base with the actions so far; NULL outside of prepare */
    json_t *lines;          /* the actions */
    struct kt_bytes **payloads;
    size_t payload_count;
};

/** Forgets the commits below `below`, and the files `gone`, which were removed. */
kith_status kt_txn_forget(struct kt_txn *txn, uint64_t below, const struct kt_removed_file *gone,
                          size_t count, kith_error *error);
/** Takes files that no commit names into the list of those that may be removed. */
kith_status kt_txn_orphans(struct kt_txn *txn, const struct kt_removed_file *files, size_t count,
                           kith_error *error);
kith_status kt_txn_drop(struct kt_txn *txn, kith_error *error);
/** Throws away what a prepare function has done. */
void kt_txn_forget_attempt(struct kt_txn *txn);

/* ---- store_group.c */

/* A transaction in the queue, on the stack of the thread that waits for it. */
struct kt_member {
    struct kt_txn *txn;
    kt_prepare_fn prepare;
    void *context;
    kith_status status; /* once settled; */
    bool settled, repeated;
    kith_error *error;
    struct kt_state *state; /* on KITH_OK: the member's reference */
    bool included;          /* in the attempt that is being made */
    struct kt_member *next;
    bool done, leads;    /* guarded by the store's lock, as `next` while it is in the queue */
    pthread_cond_t wake; /* when one of them became true */
};
/** Commits the member, alone or with those of other threads; returns when it is settled. */
void kt_group_commit(struct kt_store *store, struct kt_member *member);
/** Moves the folder of a table whose newest commit is `drop` out of the way and removes it. */
void kt_drop_folder(struct kt_io *parent, const char *name, const char *table_id);

#endif
