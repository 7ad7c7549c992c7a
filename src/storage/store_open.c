/* Opening a table's folder, and following its log.
 *
 * The log is read from the newest checkpoint that is valid, then commit by commit until a name is free. The
 * listing of the folder finds checkpoints and the largest number; it does not decide where the log ends,
 * because a folder that is written to while it is listed may show a file and not the one before it. A name
 * that is free below the largest number is a gap, and the table is damaged.
 *
 * A commit that cannot be right is never skipped: those after it may rest on it. The error says which
 * version still can be read. A handle that knows commit N is current when N+1 is absent and N is present:
 * two system calls; N+1 alone would not do, since a removed log has no N+1 either.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "parallel/parallel.h"
#include "storage/storage_private.h"

enum { CHECKPOINT_COMMITS = 64 };

/* ---- the store */

kith_status kt_store_attach(struct kt_io *io, const char *name, struct kt_store **out, kith_error *error)
{
    struct kt_store *store = kt_alloc_zero(1, sizeof *store);
    if (!store) return kt_fail_memory(error, sizeof *store);
    kt_lock_init(&store->lock);
    store->parent = io;
    store->name = kt_strdup(name);
    kith_status status =
        store->name ? kt_io_open_sub(io, name, &store->io, error) : kt_fail_memory(error, strlen(name));
    if (!status) status = kt_io_open_sub(store->io, "log", &store->log, error);
    if (status)
        kt_store_close(store);
    else
        *out = store;
    return status;
}

void kt_store_close(struct kt_store *store)
{
    if (!store) return;
    kt_state_release(store->newest);
    kt_io_close(store->log);
    kt_io_close(store->io);
    kt_free(store->name);
    kt_lock_release(&store->lock);
    kt_free(store);
}

struct kt_io *kt_store_io(struct kt_store *store)
{
    return store->io;
}

static struct kt_state *known_state(struct kt_store *store)
{
    kt_lock_take(&store->lock);
    struct kt_state *known = store->newest ? kt_state_share(store->newest) : NULL;
    kt_lock_give(&store->lock);
    return known;
}

void kt_store_remember(struct kt_store *store, struct kt_state *state)
{
    struct kt_state *old = kt_state_share(state);
    kt_lock_take(&store->lock);
    if (!store->newest || store->newest->commit < state->commit) {
        struct kt_state *newer = old;
        old = store->newest;
        store->newest = newer;
    }
    kt_lock_give(&store->lock);
    kt_state_release(old);
}

/* ---- reading commits */

/* Puts the file's name in front of what is wrong with it, and the ways out behind. */
static kith_status blame_file(struct kt_store *store, const char *name, uint64_t version, kith_status status,
                              const kith_error *reason, kith_error *error)
{
    if (status != KITH_CORRUPT)
        return status == KITH_UNSUPPORTED
                   ? kt_fail(error, status, "%s/%s: %.500s", kt_io_root(store->log), name, reason->message)
                   : kt_fail(error, status, "%.1000s", reason->message);
    if (!version)
        return kt_fail(error, status,
                       "%s/%s is damaged: %.500s. It is the first commit; restore it from a copy",
                       kt_io_root(store->log), name, reason->message);
    return kt_fail(
        error, status,
        "%s/%s is damaged: %.500s. Version %llu, before it, can still be read by opening the table at it; "
        "to write again, restore the file from a copy",
        kt_io_root(store->log), name, reason->message, (unsigned long long)version);
}

/* Applies commit `state->commit + 1`; `*absent` when there is none. On failure the state is spoiled. */
static kith_status apply_next(struct kt_store *store, struct kt_state *state, bool *absent, kith_error *error)
{
    struct kt_buffer bytes = { 0 };
    kith_error reason = { 0 };
    char name[KT_LOG_NAME];
    uint64_t version = state->version;
    kt_log_name(state->commit + 1, KT_LOG_COMMIT, name);
    kith_status status = kt_io_read(store->log, name, KT_LARGEST_COMMIT, &bytes, &reason);
    *absent = status == KITH_NOT_FOUND;
    if (*absent) return KITH_OK;
    if (!status) status = kt_replay_commit(state, bytes.data, bytes.size, &reason);
    kt_buffer_release(&bytes);
    return status ? blame_file(store, name, version, status, &reason, error) : KITH_OK;
}

/* Applies all commits up to `last`. `*reached` is the last that could be. */
static kith_status apply_up_to(struct kt_store *store, struct kt_state *state, uint64_t last,
                               uint64_t *reached, kith_error *error)
{
    bool absent = false;
    *reached = state->commit;
    while (state->commit < last) {
        kith_status status = apply_next(store, state, &absent, error);
        if (status) return status;
        if (absent) break;
        *reached = state->commit;
    }
    return KITH_OK;
}

/* ---- reading from a checkpoint */

struct listing {
    struct kt_io_names names;
    uint64_t largest; /* number of any file of the log; 0: there is none */
};

static kith_status list_log(struct kt_store *store, struct listing *out, kith_error *error)
{
    *out = (struct listing){ 0 };
    kith_status status = kt_io_list(store->log, "", &out->names, error);
    if (status) return status;
    for (size_t i = 0; i < out->names.count; i++) {
        uint64_t commit;
        enum kt_log_kind kind;
        if (kt_log_parse_name(out->names.names[i], &commit, &kind))
            out->largest = kt_max_u64(out->largest, commit);
    }
    return KITH_OK;
}

static kith_status read_checkpoint(struct kt_store *store, const char *name, uint64_t commit,
                                   struct kt_state **out, kith_error *error)
{
    struct kt_buffer bytes = { 0 };
    struct kt_state *state = NULL;
    kith_status status = kt_io_read(store->log, name, KT_LARGEST_CHECKPOINT, &bytes, error);
    if (!status) status = kt_checkpoint_decode(bytes.data, bytes.size, &state, error);
    if (!status && state->commit != commit)
        status = kt_fail(error, KITH_CORRUPT, "it is the checkpoint of commit %llu",
                         (unsigned long long)state->commit);
    if (!status) {
        atomic_store(&store->checkpoint, commit);
        atomic_store(&store->checkpoint_bytes, bytes.size);
        atomic_store(&store->checkpoint_log_bytes, kt_state_private_part(state)->log_bytes);
        *out = state;
        state = NULL; // now the caller's
    }
    kt_state_release(state);
    kt_buffer_release(&bytes);
    return status;
}

/* The state of the newest valid checkpoint at or before `last`, else the empty one. An invalid checkpoint is
 * passed over: the commits it covers say the same, as long as they are there. */
static kith_status start_state(struct kt_store *store, const struct listing *listing, uint64_t last,
                               struct kt_state **out, kith_error *error)
{
    for (size_t i = listing->names.count; i-- > 0;) {
        const char *name = listing->names.names[i];
        uint64_t commit;
        enum kt_log_kind kind;
        if (!kt_log_parse_name(name, &commit, &kind) || kind != KT_LOG_CHECKPOINT || commit > last) continue;
        kith_status status = read_checkpoint(store, name, commit, out, error);
        if (!status || (status != KITH_CORRUPT && status != KITH_NOT_FOUND)) return status;
    }
    *out = kt_state_new();
    return *out ? KITH_OK : kt_fail_memory(error, sizeof **out);
}

static kith_status report_gap(struct kt_store *store, const struct kt_state *state, uint64_t largest,
                              kith_error *error)
{
    char name[KT_LOG_NAME];
    kt_log_name(state->commit + 1, KT_LOG_COMMIT, name);
    return kt_fail(error, KITH_CORRUPT,
                   "%s/%s is missing, while the log goes on to %llu; restore it from a copy%s",
                   kt_io_root(store->log), name, (unsigned long long)largest,
                   state->commit ? ", or read an older version" : "");
}

/* The state at commit `last` or the newest before it; NULL when the log is empty. */
static kith_status load(struct kt_store *store, uint64_t last, struct kt_state **out, uint64_t *reached,
                        kith_error *error)
{
    struct listing listing = { 0 };
    struct kt_state *state = NULL;
    *reached = 0;
    kith_status status = list_log(store, &listing, error);
    if (status) goto out;
    status = start_state(store, &listing, last, &state, error);
    if (status) goto out;
    status = apply_up_to(store, state, last, reached, error);
    if (status) goto out;
    if (state->commit < kt_min_u64(last, listing.largest)) {
        status = report_gap(store, state, listing.largest, error);
        goto out;
    }
    if (!state->commit) {
        kt_state_release(state);
        state = NULL;
    }
    *out = state;
    state = NULL; // now the caller's
out:
    kt_state_release(state);
    kt_io_names_release(&listing.names);
    return status;
}

static kith_status no_table(struct kt_store *store, kith_error *error)
{
    return kt_fail(error, KITH_NOT_FOUND, "%s: there is no table, or it was dropped", kt_io_root(store->io));
}

/* Whether the folder that we hold is no longer the table of that name. A dropped table is moved away before
 * it is removed, and a log half removed looks like a damaged one. */
static bool is_gone(struct kt_store *store)
{
    struct kt_store *named = NULL;
    struct kt_state *state = NULL, *known = known_state(store);
    uint64_t reached;
    kith_status status = kt_store_attach(store->parent, store->name, &named, NULL);
    if (!status) status = load(named, UINT64_MAX, &state, &reached, NULL);
    bool another = state && known && strcmp(state->table_id, known->table_id);
    bool gone = status == KITH_NOT_FOUND || (!status && !state) || another;
    kt_state_release(state);
    kt_state_release(known);
    kt_store_close(named);
    return gone;
}

kith_status kt_store_reload(struct kt_store *store, struct kt_state **out, kith_error *error)
{
    uint64_t reached;
    kith_status status = load(store, UINT64_MAX, out, &reached, error);
    if (status == KITH_NOT_FOUND || (status == KITH_CORRUPT && is_gone(store))) return no_table(store, error);
    if (!status && *out) kt_store_remember(store, *out);
    return status;
}

static bool has_commit(struct kt_store *store, uint64_t commit)
{
    char name[KT_LOG_NAME];
    kt_log_name(commit, KT_LOG_COMMIT, name);
    return kt_io_exists(store->log, name);
}

/* Whether no name came into the log or left it since `commit` was seen to be its newest. A second after that
 * the names are looked for again, in case a file system's times are not what they should be. */
static bool still_quiet(struct kt_store *store, uint64_t commit, uint64_t *stamp)
{
    *stamp = kt_io_stamp(store->log);
    if (!*stamp) return false;
    *stamp ^= kt_mix(commit);
    return atomic_load(&store->quiet) == *stamp &&
           (int64_t)(kt_seconds() * 1e6) < atomic_load(&store->quiet_until);
}

static void remember_quiet(struct kt_store *store, uint64_t stamp)
{
    enum { BELIEVED_US = 1000000 };
    if (!stamp) return;
    atomic_store(&store->quiet_until, 0);
    atomic_store(&store->quiet, stamp);
    atomic_store(&store->quiet_until, (int64_t)(kt_seconds() * 1e6) + BELIEVED_US);
}

/* The newest state given an older one, dropped or not. */
static kith_status follow(struct kt_store *store, struct kt_state *known, struct kt_state **out,
                          kith_error *error)
{
    uint64_t stamp;
    if (still_quiet(store, known->commit, &stamp)) {
        *out = kt_state_share(known);
        return KITH_OK;
    }
    if (!has_commit(store, known->commit + 1)) {
        if (!has_commit(store, known->commit)) {
            struct kt_state *state = NULL;
            kith_status status = kt_store_reload(store, &state, error);
            if (status) return status;
            if (!state) return no_table(store, error);
            *out = state;
            return KITH_OK;
        }
        remember_quiet(store, stamp);
        *out = kt_state_share(known);
        return KITH_OK;
    }
    uint64_t reached;
    struct kt_state *state = kt_state_copy(known);
    if (!state) return kt_fail_memory(error, sizeof *state);
    kith_status status = apply_up_to(store, state, UINT64_MAX, &reached, error);
    if (status) {
        kt_state_release(state);
        return status == KITH_CORRUPT && is_gone(store) ? no_table(store, error) : status;
    }
    kt_store_remember(store, state);
    *out = state;
    return KITH_OK;
}

kith_status kt_store_newest(struct kt_store *store, struct kt_state **out, kith_error *error)
{
    struct kt_state *known = known_state(store);
    kith_status status = known ? follow(store, known, out, error) : kt_store_reload(store, out, error);
    kt_state_release(known);
    return status;
}

static kith_status refuse_dropped(struct kt_store *store, struct kt_state *state, struct kt_state **out,
                                  kith_error *error)
{
    if (state && !state->dropped) {
        *out = state;
        return KITH_OK;
    }
    kt_state_release(state);
    return no_table(store, error);
}

kith_status kt_store_load(struct kt_store *store, struct kt_state **out, kith_error *error)
{
    struct kt_state *state = NULL;
    kith_status status = kt_store_newest(store, &state, error);
    return status ? status : refuse_dropped(store, state, out, error);
}

kith_status kt_store_refresh(struct kt_store *store, struct kt_state *known, struct kt_state **out,
                             kith_error *error)
{
    struct kt_state *state = NULL;
    kith_status status = follow(store, known, &state, error);
    return status ? status : refuse_dropped(store, state, out, error);
}

/* ---- versions */

/* The newest state that can be read, past which the log is damaged. */
static kith_status newest_readable(struct kt_store *store, struct kt_state **out, kith_error *error)
{
    uint64_t reached;
    kith_status status = kt_store_load(store, out, error);
    if (status != KITH_CORRUPT) return status;
    struct kt_state *state = NULL;
    status = load(store, UINT64_MAX, &state, &reached, error);
    if (status == KITH_CORRUPT && reached) status = load(store, reached, &state, &reached, error);
    return status ? status : refuse_dropped(store, state, out, error);
}

/* The newest commit that shows `version`; 0 when it is not kept. */
static uint64_t commit_of(const struct kt_state *state, uint64_t version)
{
    uint32_t low = 0, high = state->version_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (state->versions[middle].version < version)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == state->version_count || state->versions[low].version != version) return 0;
    return low + 1 == state->version_count ? state->commit : state->versions[low + 1].commit - 1;
}

kith_status kt_store_load_version(struct kt_store *store, uint64_t version, struct kt_state **out,
                                  kith_error *error)
{
    struct kt_state *newest = NULL, *state = NULL;
    uint64_t reached;
    kith_status status = newest_readable(store, &newest, error);
    if (status) return status;
    uint64_t commit = commit_of(newest, version);
    if (!commit)
        status =
            kt_fail(error, KITH_NOT_FOUND, "version %llu is not among the %u kept, the newest is %llu",
                    (unsigned long long)version, newest->version_count, (unsigned long long)newest->version);
    else if (commit == newest->commit)
        state = kt_state_share(newest);
    else
        status = load(store, commit, &state, &reached, error);
    kt_state_release(newest);
    if (status) return status;
    if (state && state->commit == commit && state->version == version) {
        *out = state;
        return KITH_OK;
    }
    kt_state_release(state);
    return kt_fail(error, KITH_NOT_FOUND, "version %llu is no longer kept", (unsigned long long)version);
}

/* ---- opening and creating */

kith_status kt_store_open(struct kt_io *io, const char *name, struct kt_store **out, kith_error *error)
{
    struct kt_store *store = NULL;
    struct kt_state *state = NULL;
    kith_status status = kt_store_attach(io, name, &store, error);
    if (status) return status;
    status = kt_store_load(store, &state, error);
    kt_state_release(state);
    if (status &&
        status != KITH_CORRUPT) { /* a damaged log can be opened: older versions are read through it */
        kt_store_close(store);
        return status;
    }
    *out = store;
    return KITH_OK;
}

/* What stands in the way of creating a table: KITH_EXISTS; KITH_OK and `dropped` when a dropped table has
 * not been removed yet. */
static kith_status look(struct kt_store *store, char dropped[33], kith_error *error)
{
    struct kt_state *state = NULL;
    dropped[0] = '\0';
    kith_status status = kt_store_reload(store, &state, error);
    if (status == KITH_NOT_FOUND || (!status && !state)) return KITH_OK;
    if (!status && state->dropped) memcpy(dropped, state->table_id, 33);
    bool gone = !status && state->dropped;
    kt_state_release(state);
    if (gone) return KITH_OK;
    if (status == KITH_IO || status == KITH_NO_MEMORY) return status;
    return kt_fail(error, KITH_EXISTS, "%s: there is a table already", kt_io_root(store->io));
}

kith_status kt_store_create(struct kt_io *io, const char *name, struct kt_store **out, kith_error *error)
{
    enum { DROPPED_ONES = 16 }; /* that may be in the way, one after the other */
    for (int i = 0; i < DROPPED_ONES; i++) {
        struct kt_store *store = NULL;
        char dropped[33];
        kith_status status = kt_store_attach(io, name, &store, error);
        if (status) return status;
        status = look(store, dropped, error);
        if (!status && !dropped[0]) {
            status = kt_io_mkdir(store->log, "", error);
            if (!status) {
                *out = store;
                return KITH_OK;
            }
        }
        kt_store_close(store);
        if (status) return status;
        kt_drop_folder(io, name, dropped);
    }
    return kt_fail(error, KITH_IO, "%s/%s: a dropped table is in the way and could not be moved",
                   kt_io_root(io), name);
}

/* ---- checkpoints */

static bool checkpoint_due(struct kt_store *store, const struct kt_state *state)
{
    uint64_t commits = state->commit - kt_min_u64(state->commit, atomic_load(&store->checkpoint));
    uint64_t log_bytes = kt_state_private_part(state)->log_bytes;
    uint64_t bytes = log_bytes - kt_min_u64(log_bytes, atomic_load(&store->checkpoint_log_bytes));
    return commits >= CHECKPOINT_COMMITS && bytes >= atomic_load(&store->checkpoint_bytes) / 2;
}

/* Another process may have written one meanwhile. Its place in the log's bytes is not known without reading
 * it; that of this state is near enough. */
static void look_for_checkpoint(struct kt_store *store, const struct kt_state *state)
{
    struct listing listing;
    if (list_log(store, &listing, NULL)) return;
    for (size_t i = listing.names.count; i-- > 0;) {
        uint64_t commit;
        enum kt_log_kind kind;
        if (!kt_log_parse_name(listing.names.names[i], &commit, &kind) || kind != KT_LOG_CHECKPOINT) continue;
        if (commit > atomic_load(&store->checkpoint)) {
            atomic_store(&store->checkpoint, commit);
            atomic_store(&store->checkpoint_log_bytes, kt_state_private_part(state)->log_bytes);
        }
        break;
    }
    kt_io_names_release(&listing.names);
}

void kt_store_checkpoint_if_due(struct kt_store *store, const struct kt_state *state)
{
    struct kt_buffer bytes = { 0 };
    char name[KT_LOG_NAME];
    if (state->dropped || !checkpoint_due(store, state)) return;
    look_for_checkpoint(store, state);
    if (!checkpoint_due(store, state)) return;
    if (kt_checkpoint_encode(state, &bytes, NULL)) return;
    kt_log_name(state->commit, KT_LOG_CHECKPOINT, name);
    enum kt_published published = kt_io_publish(store->log, name, bytes.data, bytes.size, NULL);
    if (published == KT_WON || published == KT_LOST) {
        atomic_store(&store->checkpoint, state->commit);
        atomic_store(&store->checkpoint_bytes, bytes.size);
        atomic_store(&store->checkpoint_log_bytes, kt_state_private_part(state)->log_bytes);
    }
    kt_buffer_release(&bytes);
}
