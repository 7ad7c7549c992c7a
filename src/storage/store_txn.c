/* Transactions: files written first, then one commit that names them.
 *
 * A commit is tried on top of the newest state: `prepare` says what to do, the actions are applied to a copy
 * of that state and noted as lines of JSON, and the file log/<N+1> is published if no file has that name.
 * Losing means that somebody else's commit came first, so everything is prepared again, from nothing. How it
 * is done, for many threads at once, stands in store_group.c.
 *
 * What an outcome allows:
 *   - won: committed, whatever happens later;
 *   - refused, or a conflict that `prepare` reports: nothing was published, our files are removed;
 *   - unknown: the commit may be there, so its files stay. Removing them is how others lost data.
 *
 * A winner checks that the commit before it is still there. When a log is removed or forgotten, its files go
 * oldest first, so a name that looks free because it was removed has no predecessor either; or it has one
 * that another came to put there in the same way, whose bytes are not those that we read. Then the log is
 * read again, and the transaction's id in it decides.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "storage/storage_private.h"

/* ---- beginning, files */

kith_status kt_txn_begin(struct kt_store *store, const char *operation, struct kt_txn **out,
                         kith_error *error)
{
    if (!kt_operation_allowed(operation))
        return kt_fail(error, KITH_INVALID, "'%.40s' is no name of an operation: 1 to 15 of a-z and _",
                       operation);
    struct kt_txn *txn = kt_alloc_zero(1, sizeof *txn);
    if (!txn) return kt_fail_memory(error, sizeof *txn);
    txn->store = store;
    memcpy(txn->operation, operation, strlen(operation) + 1);
    kith_status status = kt_io_entropy(store->io, txn->id, sizeof txn->id, error);
    if (status)
        kt_free(txn);
    else
        *out = txn;
    return status;
}

/* The folder is made when the first file needs it. */
static kith_status create_sink(struct kt_io *io, const char *folder, const char *name, uint32_t block_bytes,
                               struct kt_sink **out, kith_error *error)
{
    kith_status status = kt_sink_create(io, name, block_bytes, out, error);
    if (status != KITH_NOT_FOUND) return status;
    if (!kt_io_exists(io, "log"))
        return kt_fail(error, KITH_NOT_FOUND, "%s: the table was dropped", kt_io_root(io));
    status = kt_io_mkdir(io, folder, error);
    return status ? status : kt_sink_create(io, name, block_bytes, out, error);
}

kith_status kt_txn_create(struct kt_txn *txn, const char *folder, const char *extension, uint32_t block_bytes,
                          struct kt_sink **out, char name[56], kith_error *error)
{
    bool data = !strcmp(folder, "data") && !strcmp(extension, "arrow");
    bool index = !strcmp(folder, "index") && !strcmp(extension, "kix");
    if (!data && !index)
        return kt_fail(error, KITH_INVALID, "a file in '%.20s' cannot end in '.%.20s'", folder, extension);
    struct kt_txn_file *files = kt_realloc_array(txn->files, txn->created + 1, sizeof *files);
    if (!files) return kt_fail_memory(error, sizeof *files);
    txn->files = files;

    char id[21];
    struct kt_txn_file *file = &files[txn->created];
    kt_hex(txn->id, 10, id);
    snprintf(file->name, sizeof file->name, "%s/%s-%04x.%s", folder, id, txn->created, extension);
    txn->created++; /* even if it fails: a name is never used twice */
    kith_status status = create_sink(txn->store->io, folder, file->name, block_bytes, out, error);
    if (status) return status;
    txn->uses_data |= data;
    txn->uses_index |= index;
    memcpy(name, file->name, sizeof file->name);
    return KITH_OK;
}

void kt_txn_maintenance(struct kt_txn *txn)
{
    txn->maintenance = true;
}

kith_status kt_txn_set_key(struct kt_txn *txn, const char *key, struct kt_repeat *repeat, kith_error *error)
{
    if (repeat) *repeat = (struct kt_repeat){ 0 };
    if (!kt_txn_key_allowed(key))
        return kt_fail(error, KITH_INVALID, "a transaction's key has 1 to %d bytes, not %zu", KT_LONGEST_KEY,
                       strlen(key));
    kt_json_watch();
    json_t *text = json_string(key); /* which looks whether it is UTF-8 */
    kith_status status = kt_json_watched(text ? KITH_OK : KITH_INVALID, error);
    json_decref(text);
    if (status == KITH_INVALID) return kt_fail(error, status, "a transaction's key must be UTF-8");
    char *shared = status ? NULL : kt_txn_key_new(key);
    if (!status && !shared) status = kt_fail_memory(error, strlen(key));
    if (status) return status;
    kt_shared_release(txn->key);
    txn->key = shared;
    txn->repeat = repeat;
    return KITH_OK;
}

void kt_txn_forget_attempt(struct kt_txn *txn)
{
    for (size_t i = 0; i < txn->payload_count; i++) kt_bytes_release(txn->payloads[i]);
    kt_free(txn->payloads);
    json_decref(txn->lines);
    kt_state_release(txn->state);
    txn->payloads = NULL;
    txn->payload_count = 0;
    txn->lines = NULL;
    txn->state = NULL;
}

/* ---- committing */

static void remove_files(struct kt_txn *txn)
{
    for (uint32_t i = 0; i < txn->created; i++) kt_io_remove(txn->store->io, txn->files[i].name, NULL);
}

static void txn_free(struct kt_txn *txn)
{
    kt_txn_forget_attempt(txn);
    kt_shared_release(txn->key);
    kt_free(txn->files);
    kt_free(txn);
}

void kt_txn_abandon(struct kt_txn *txn)
{
    if (!txn) return;
    remove_files(txn);
    txn_free(txn);
}

static kith_status sync_folders(struct kt_txn *txn, kith_error *error)
{
    kith_status status = KITH_OK;
    if (txn->uses_data) status = kt_io_sync_folder(txn->store->io, "data", error);
    if (!status && txn->uses_index) status = kt_io_sync_folder(txn->store->io, "index", error);
    return status;
}

kith_status kt_txn_commit(struct kt_txn *txn, kt_prepare_fn prepare, void *context, struct kt_state **out,
                          kith_error *error)
{
    kith_error own = { 0 };
    struct kt_member member = {
        .txn = txn, .prepare = prepare, .context = context, .error = error ? error : &own
    };
    member.status = sync_folders(txn, member.error);
    if (!member.status) kt_group_commit(txn->store, &member);
    if (member.repeated || (member.status && member.status != KITH_UNKNOWN)) remove_files(txn);
    txn_free(txn);
    if (member.status) return member.status;
    if (out)
        *out = member.state;
    else
        kt_state_release(member.state);
    return KITH_OK;
}
