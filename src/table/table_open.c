/* Handles: opening a table, following its versions, pinning one.
 *
 * A handle keeps the snapshot that it last saw. A read asks storage whether the log has gone on, which
 * costs two system calls when it has not; only then is a new snapshot made, from the old one. The lock
 * guards the two fields, nothing is read or opened under it, so two threads that find a new version at
 * once both make a snapshot and the newer stays.
 */
#include "table/table_private.h"

kith_status kt_table_new(const char *name, struct kt_store *store, struct kt_table **out, kith_error *error)
{
    struct kt_table *table = kt_alloc_zero(1, sizeof *table);
    struct kt_table_home *home = kt_alloc_zero(1, sizeof *home);
    char *copy = kt_strdup(name);
    if (!table || !home || !copy) {
        kt_free(table);
        kt_free(home);
        kt_free(copy);
        kt_store_close(store);
        return kt_fail_memory(error, sizeof *table);
    }
    atomic_init(&home->references, 1);
    home->store = store;
    kt_lock_init(&home->lock);
    table->home = home;
    table->name = copy;
    kt_lock_init(&table->lock);
    *out = table;
    return KITH_OK;
}

kith_status kt_table_adopt(struct kt_table *table, struct kt_state *state, const struct kt_snapshot *older,
                           struct kt_snapshot **out, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL, *spare = NULL;
    kith_status status = kt_snapshot_open(table->home, state, older, &snapshot, error);
    if (status) return status;
    kt_lock_take(&table->lock);
    if (!table->pinned && (!table->current || table->current->state->commit < snapshot->state->commit)) {
        spare = table->current;
        table->current = kt_snapshot_share(snapshot);
    }
    kt_lock_give(&table->lock);
    kt_snapshot_release(spare);
    *out = snapshot;
    return KITH_OK;
}

/* Opens all files of a version that is to be shown: once open, a clean-up takes nothing from whoever reads
 * it. */
static kith_status hold_version(const struct kt_snapshot *snapshot, uint64_t version, kith_error *error)
{
    kith_status status = kt_snapshot_hold(snapshot, error);
    if (status != KITH_NOT_FOUND) return status;
    return kt_fail(error, KITH_NOT_FOUND, "Version %llu no longer exists: its files were cleaned up",
                   (unsigned long long)version);
}

/* What a new handle shows first. */
static kith_status first_snapshot(struct kt_table *table, uint64_t version, kith_error *error)
{
    struct kt_state *state = NULL;
    kith_status status = version ? kt_store_load_version(table->home->store, version, &state, error)
                                 : kt_store_load(table->home->store, &state, error);
    if (status) return status;
    if (state->dropped) {
        kt_state_release(state);
        return kt_fail(error, KITH_NOT_FOUND, "Table '%s' was dropped", table->name);
    }
    table->pinned = version != 0;
    status = kt_snapshot_open(table->home, state, NULL, &table->current, error);
    return status || !version ? status : hold_version(table->current, version, error);
}

kith_status kt_table_open(struct kt_catalog *catalog, const char *name, uint64_t version,
                          struct kt_table **out, kith_error *error)
{
    char folder[300];
    struct kt_store *store = NULL;
    struct kt_table *table = NULL;
    kith_status status = kt_table_name_check(name, error);
    if (status) return status;
    kt_table_folder(name, folder);
    status = kt_store_open(kt_catalog_io(catalog), folder, &store, error);
    if (status == KITH_NOT_FOUND)
        return kt_fail(error, KITH_NOT_FOUND, "Table '%s' was not found in %s", name,
                       kt_catalog_uri(catalog));
    if (!status) status = kt_table_new(name, store, &table, error);
    if (status) return status;
    status = first_snapshot(table, version, error);
    if (status)
        kt_table_free(table);
    else
        *out = table;
    return status;
}

void kt_table_free(struct kt_table *table)
{
    if (!table) return;
    kt_snapshot_release(table->current);
    kt_home_release(table->home);
    kt_lock_release(&table->lock);
    kt_free(table->name);
    kt_free(table);
}

const char *kt_table_name(const struct kt_table *table)
{
    return table->name;
}

/* What the handle showed last. A handle whose first snapshot could not be made, after the commit that made
 * its table, has none yet. */
static kith_status current_of(struct kt_table *table, bool *pinned, struct kt_snapshot **out,
                              kith_error *error)
{
    kt_lock_take(&table->lock);
    struct kt_snapshot *current = table->current ? kt_snapshot_share(table->current) : NULL;
    *pinned = table->pinned;
    kt_lock_give(&table->lock);
    *out = current;
    if (current) return KITH_OK;
    struct kt_state *state = NULL;
    kith_status status = kt_store_load(table->home->store, &state, error);
    return status ? status : kt_table_adopt(table, state, NULL, out, error);
}

static kith_status follow(struct kt_table *table, struct kt_snapshot **out, kith_error *error)
{
    bool pinned;
    struct kt_snapshot *current = NULL;
    kith_status status = current_of(table, &pinned, &current, error);
    if (status) return status;
    if (pinned) {
        *out = current;
        return KITH_OK;
    }
    struct kt_state *state = NULL;
    status = kt_store_refresh(table->home->store, current->state, &state, error);
    if (status == KITH_NOT_FOUND || (!status && state->dropped)) {
        if (!status) kt_state_release(state);
        status = kt_fail(error, KITH_NOT_FOUND, "Table '%s' was dropped", table->name);
    } else if (!status && state->commit == current->state->commit) {
        kt_state_release(state);
        *out = current;
        return KITH_OK;
    } else if (!status) {
        status = kt_table_adopt(table, state, current, out, error);
    }
    kt_snapshot_release(current);
    return status;
}

/* The newest snapshot of a handle that is not pinned. A file of it may be gone before it is open, where old
 * versions are not kept: then the log has moved on, and a newer one is had. */
kith_status kt_table_snapshot(struct kt_table *table, struct kt_snapshot **out, kith_error *error)
{
    enum { TRIES = 100 };
    uint64_t commit = 0;
    for (int i = 0;; i++) {
        struct kt_snapshot *snapshot = NULL;
        kith_status status = follow(table, &snapshot, error);
        if (status) return status;
        kith_status held = KITH_OK;
        if (!snapshot->held) {
            held = kt_snapshot_hold(snapshot, NULL);
            snapshot->held = !held;
        }
        bool newer = snapshot->state->commit > commit; /* else it is no race: reading will tell */
        if (held != KITH_NOT_FOUND || !newer || i == TRIES) {
            *out = snapshot;
            return KITH_OK;
        }
        commit = snapshot->state->commit;
        kt_snapshot_release(snapshot);
    }
}

kith_status kt_table_newest(struct kt_table *table, struct kt_snapshot **out, kith_error *error)
{
    bool pinned;
    struct kt_state *state = NULL;
    struct kt_snapshot *current = NULL;
    kith_status status = current_of(table, &pinned, &current, error);
    if (!status) status = kt_store_load(table->home->store, &state, error);
    if (!status) status = kt_snapshot_open(table->home, state, current, out, error);
    kt_snapshot_release(current);
    return status;
}

kith_status kt_table_writable(struct kt_table *table, struct kt_snapshot **out, kith_error *error)
{
    bool pinned;
    struct kt_snapshot *current = NULL;
    kith_status status = current_of(table, &pinned, &current, error);
    if (status) return status;
    uint64_t version = current->state->version;
    kt_snapshot_release(current);
    if (pinned)
        return kt_fail(error, KITH_READ_ONLY,
                       "table cannot be modified when a specific version is checked out: '%s' shows version "
                       "%llu; checkout_latest() makes it writable again",
                       table->name, (unsigned long long)version);
    return kt_table_snapshot(table, out, error);
}

void kt_table_unpin(struct kt_table *table)
{
    kt_lock_take(&table->lock);
    table->pinned = false;
    kt_lock_give(&table->lock);
}

/* Replaces what the handle shows. */
static void table_show(struct kt_table *table, struct kt_snapshot *snapshot, bool pinned)
{
    kt_lock_take(&table->lock);
    struct kt_snapshot *spare = table->current;
    table->current = snapshot;
    table->pinned = pinned;
    kt_lock_give(&table->lock);
    kt_snapshot_release(spare);
}

kith_status kt_table_checkout(struct kt_table *table, uint64_t version, kith_error *error)
{
    bool pinned;
    struct kt_state *state = NULL;
    struct kt_snapshot *current = NULL, *snapshot = NULL;
    kith_status status = current_of(table, &pinned, &current, error);
    if (status) return status;
    status = kt_store_load_version(table->home->store, version, &state, error);
    if (status == KITH_NOT_FOUND)
        status = kt_fail(error, KITH_NOT_FOUND,
                         "Version %llu no longer exists. Was it cleaned up? The newest is %llu",
                         (unsigned long long)version, (unsigned long long)current->state->version);
    else if (!status)
        status = kt_snapshot_open(table->home, state, current, &snapshot, error);
    kt_snapshot_release(current);
    if (!status) status = hold_version(snapshot, version, error);
    if (status)
        kt_snapshot_release(snapshot);
    else
        table_show(table, snapshot, true);
    return status;
}

kith_status kt_table_checkout_latest(struct kt_table *table, kith_error *error)
{
    bool pinned;
    struct kt_state *state = NULL;
    struct kt_snapshot *current = NULL, *snapshot = NULL;
    kith_status status = current_of(table, &pinned, &current, error);
    if (!status) status = kt_store_load(table->home->store, &state, error);
    if (!status) status = kt_snapshot_open(table->home, state, current, &snapshot, error);
    kt_snapshot_release(current);
    if (!status) table_show(table, snapshot, false);
    return status;
}
