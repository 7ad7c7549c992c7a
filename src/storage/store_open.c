/* A table's folder: opening it, creating it, and knowing what its newest commit is.
 *
 * A handle that knows commit N is current when N+1 is absent and N is present: two system calls; N+1 alone
 * would not do, since a log that was removed, or forgotten so far, has no N+1 either. Nor would the name of
 * N: where it was forgotten, a process that knew N-1 and stood still may have put another commit. In the same
 * way what was read after N counts if N is still there when it was read: names go lowest first, so the end
 * that was found was one then, and no name was put where a forgotten one had been. If N is gone, the log is
 * read anew.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "parallel/parallel.h"
#include "storage/storage_private.h"

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

struct kt_state *kt_store_known(struct kt_store *store)
{
    kt_lock_take(&store->lock);
    struct kt_state *known = store->newest ? kt_state_share(store->newest) : NULL;
    kt_lock_give(&store->lock);
    return known;
}

/* What was read of it before may no longer be what it says. */
void kt_store_forget_known(struct kt_store *store)
{
    kt_lock_take(&store->lock);
    struct kt_state *old = store->newest;
    store->newest = NULL;
    kt_lock_give(&store->lock);
    atomic_store(&store->quiet_until, 0);
    kt_state_release(old);
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

static kith_status no_table(struct kt_store *store, kith_error *error)
{
    return kt_fail(error, KITH_NOT_FOUND, "%s: there is no table, or it was dropped", kt_io_root(store->io));
}

/* Whether the folder that we hold is no longer the table of that name. A dropped table is moved away before
 * it is removed, and a log half removed looks like a damaged one. */
static bool is_gone(struct kt_store *store)
{
    struct kt_store *named = NULL;
    struct kt_state *state = NULL, *known = kt_store_known(store);
    uint64_t reached;
    kith_status status = kt_store_attach(store->parent, store->name, &named, NULL);
    if (!status) status = kt_store_load_log(named, UINT64_MAX, &state, &reached, NULL);
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
    kith_status status = kt_store_load_log(store, UINT64_MAX, out, &reached, error);
    if (status == KITH_NOT_FOUND || (status == KITH_CORRUPT && is_gone(store))) return no_table(store, error);
    if (!status && *out) kt_store_remember(store, *out);
    return status;
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

/* What the newest state is when that which is known has left the log. */
static kith_status start_anew(struct kt_store *store, struct kt_state **out, kith_error *error)
{
    struct kt_state *state = NULL;
    kith_status status = kt_store_reload(store, &state, error);
    if (status) return status;
    if (!state) return no_table(store, error);
    *out = state;
    return KITH_OK;
}

/* Reads on from `known`. */
static kith_status go_on(struct kt_store *store, const struct kt_state *known, struct kt_state **out,
                         kith_error *error)
{
    uint64_t reached;
    kith_error why = { 0 };
    struct kt_state *state = kt_state_copy(known);
    if (!state) return kt_fail_memory(error, sizeof *state);
    kith_status status = kt_store_apply(store, state, UINT64_MAX, &reached, &why);
    kith_status there = kt_store_look(store, known, error);
    if (!status && !there) {
        kt_store_remember(store, state);
        *out = state;
        return KITH_OK;
    }
    kt_state_release(state);
    if (there) return there == KITH_NOT_FOUND ? start_anew(store, out, error) : there;
    if (status == KITH_CORRUPT && is_gone(store)) return no_table(store, error);
    return kt_fail(error, status, "%s", why.message);
}

/* The newest state given an older one, dropped or not. A disk that does not say whether the older one is
 * still there has not said that it is the newest. */
static kith_status follow(struct kt_store *store, struct kt_state *known, struct kt_state **out,
                          kith_error *error)
{
    uint64_t stamp;
    kith_status there = KITH_OK;
    bool quiet = still_quiet(store, known->commit, &stamp);
    if (!quiet && kt_store_has_commit(store, known->commit + 1)) return go_on(store, known, out, error);
    if (!quiet) there = kt_store_look(store, known, error);
    if (there) return there == KITH_NOT_FOUND ? start_anew(store, out, error) : there;
    if (!quiet) remember_quiet(store, stamp);
    *out = kt_state_share(known);
    return KITH_OK;
}

kith_status kt_store_newest(struct kt_store *store, struct kt_state **out, kith_error *error)
{
    struct kt_state *known = kt_store_known(store);
    kith_status status = known ? follow(store, known, out, error) : kt_store_reload(store, out, error);
    kt_state_release(known);
    return status;
}

kith_status kt_store_refuse_dropped(struct kt_store *store, struct kt_state *state, struct kt_state **out,
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
    return status ? status : kt_store_refuse_dropped(store, state, out, error);
}

kith_status kt_store_refresh(struct kt_store *store, struct kt_state *known, struct kt_state **out,
                             kith_error *error)
{
    struct kt_state *state = NULL;
    kith_status status = follow(store, known, &state, error);
    return status ? status : kt_store_refuse_dropped(store, state, out, error);
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
