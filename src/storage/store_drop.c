/* Dropping a table: a commit says so, then the folder is moved out of the way, then it is removed.
 *
 * After the commit the table is gone for everyone; what follows is tidying, and whoever next creates a table
 * of that name does it if the dropper died. The folder is moved by name, and between a look and a rename a
 * name may come to mean another table, so what was moved is looked at again, and put back if it is alive.
 */
#include <stdio.h>
#include <string.h>

#include "storage/storage_private.h"

static kith_status prepare_drop(void *context, const struct kt_state *state, struct kt_txn *txn,
                                kith_error *error)
{
    (void)context;
    if (!state->commit) return kt_fail(error, KITH_NOT_FOUND, "there is no table to drop");
    return kt_txn_drop(txn, error);
}

/* Whether the folder `name` holds the dropped table `table_id`. */
static bool is_dropped(struct kt_io *parent, const char *name, const char *table_id)
{
    struct kt_store *store = NULL;
    struct kt_state *state = NULL;
    if (kt_store_attach(parent, name, &store, NULL)) return false;
    kith_status status = kt_store_newest(store, &state, NULL);
    bool dropped = !status && state && state->dropped && !strcmp(state->table_id, table_id);
    kt_state_release(state);
    kt_store_close(store);
    return dropped;
}

void kt_drop_folder(struct kt_io *parent, const char *name, const char *table_id)
{
    char away[64];
    snprintf(away, sizeof away, ".dropped-%s", table_id);
    kith_status status = kt_io_rename(parent, name, away, NULL);
    if (status == KITH_EXISTS) { /* left by somebody who died while removing it, or about to be removed */
        kt_io_remove_tree(parent, away, NULL);
        if (!is_dropped(parent, name, table_id)) return;
        status = kt_io_rename(parent, name, away, NULL);
    }
    bool moved = !status || status == KITH_UNKNOWN;
    if (moved && !is_dropped(parent, away, table_id)) {
        kt_io_rename(parent, away, name, NULL); /* a table that was created meanwhile */
        return;
    }
    if (moved || status == KITH_NOT_FOUND) kt_io_remove_tree(parent, away, NULL);
}

/* A log that cannot be read takes no commit: the folder goes as it is. */
static kith_status drop_damaged(struct kt_store *store, struct kt_io *parent, const char *name,
                                kith_error *error)
{
    uint8_t id[16];
    char away[64] = ".dropped-";
    kith_status status = kt_io_entropy(store->io, id, sizeof id, error);
    if (status) return status;
    kt_hex(id, sizeof id, away + strlen(away));
    status = kt_io_rename(parent, name, away, error);
    if (!status) kt_io_remove_tree(parent, away, NULL);
    return status;
}

kith_status kt_store_drop(struct kt_store *store, struct kt_io *parent, const char *name, kith_error *error)
{
    struct kt_txn *txn = NULL;
    struct kt_state *state = NULL;
    kith_status status = kt_txn_begin(store, "drop", &txn, error);
    if (status) return status;
    status = kt_txn_commit(txn, prepare_drop, NULL, &state, error);
    if (status == KITH_CORRUPT) return drop_damaged(store, parent, name, error);
    if (status) return status;
    kt_drop_folder(parent, name, state->table_id);
    kt_state_release(state);
    return KITH_OK;
}
