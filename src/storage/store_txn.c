/* Transactions: files written first, then one commit that names them.
 *
 * A commit is tried on top of the newest state: `prepare` says what to do, the actions are applied to a copy
 * of that state and noted as lines of JSON, and the file log/<N+1> is published if no file has that name.
 * Losing means that somebody else's commit came first, so everything is prepared again, from nothing.
 *
 * What an outcome allows:
 *   - won: committed, whatever happens later;
 *   - refused, or a conflict that `prepare` reports: nothing was published, our files are removed;
 *   - unknown: the commit may be there, so its files stay. Removing them is how others lost data.
 *
 * A winner checks that the commit before it is still there. When a log is removed, its files go oldest
 * first, so a name that looks free because it was removed has no predecessor either. Then the log is read
 * again, and the transaction's id in it decides.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/random.h"
#include "storage/storage_private.h"

enum { RETRY_SECONDS = 30, LONGEST_PAUSE_MS = 64 };

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

/* ---- one attempt */

static void forget_attempt(struct kt_txn *txn)
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

static kith_status begin_attempt(struct kt_txn *txn, const struct kt_state *base, kith_error *error)
{
    txn->state = kt_state_copy(base);
    txn->lines = json_array();
    if (txn->state && txn->lines && json_array_append_new(txn->lines, json_null()) == 0) return KITH_OK;
    return kt_fail_memory(error, sizeof *txn->state);
}

/* ---- committing */

static void remove_files(struct kt_txn *txn)
{
    for (uint32_t i = 0; i < txn->created; i++) kt_io_remove(txn->store->io, txn->files[i].name, NULL);
}

static void txn_free(struct kt_txn *txn)
{
    forget_attempt(txn);
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

/* The state to build on: for a table that is being created, an empty one with the id it will have. */
static kith_status base_state(struct kt_txn *txn, struct kt_state **out, kith_error *error)
{
    struct kt_state *state = NULL;
    uint8_t id[16];
    kith_status status = kt_store_newest(txn->store, &state, error);
    if (status) return status;
    if (state && state->dropped) {
        kt_state_release(state);
        return kt_fail(error, KITH_NOT_FOUND, "%s: the table was dropped", kt_io_root(txn->store->io));
    }
    if (!state) {
        status = kt_io_entropy(txn->store->io, id, sizeof id, error);
        if (status) return status;
        state = kt_state_new();
        if (!state) return kt_fail_memory(error, sizeof *state);
        kt_hex(id, sizeof id, state->table_id);
    }
    *out = state;
    return KITH_OK;
}

static kith_status encode(struct kt_txn *txn, const struct kt_state *base, struct kt_commit_header *header,
                          struct kt_buffer *out, kith_error *error)
{
    bool keeps_version = txn->maintenance && base->commit;
    *header = (struct kt_commit_header){ .commit = base->commit + 1,
                                         .version = base->version + !keeps_version,
                                         .parent = base->hash,
                                         .time_us = kt_io_now_us(txn->store->io) };
    memcpy(header->table_id, base->table_id, sizeof header->table_id);
    memcpy(header->operation, txn->operation, sizeof header->operation);
    memcpy(header->txn, txn->id, sizeof header->txn);
    if (json_array_set_new(txn->lines, 0, kt_record_header(header))) return kt_fail_memory(error, 64);
    return kt_log_encode(txn->lines, txn->payloads, txn->payload_count, KT_LARGEST_COMMIT, out, error);
}

/* The first commit has no predecessor: it counts if the folder still has its name. */
static kith_status confirm_first(struct kt_store *store, kith_error *error)
{
    char name[KT_LOG_NAME], path[1400];
    kt_log_name(1, KT_LOG_COMMIT, name);
    snprintf(path, sizeof path, "%s/log/%s", store->name, name);
    if (kt_io_exists(store->parent, path)) return KITH_OK;
    return kt_fail(error, KITH_UNKNOWN, "%s: the folder was moved away while the table was created",
                   kt_io_root(store->io));
}

/* The winner's check, see above. */
static kith_status confirm(struct kt_txn *txn, uint64_t commit, kith_error *error)
{
    struct kt_store *store = txn->store;
    struct kt_state *state = NULL;
    char name[KT_LOG_NAME];
    if (commit == 1) return confirm_first(store, error);
    kt_log_name(commit - 1, KT_LOG_COMMIT, name);
    if (kt_io_exists(store->log, name)) return KITH_OK;

    kith_status status = kt_store_reload(store, &state, error);
    bool ours = !status && state && kt_state_has_txn(state, txn->id);
    bool dropped = !status && (!state || state->dropped);
    kt_state_release(state);
    if (ours) return KITH_OK;
    if (status == KITH_NOT_FOUND) return status;
    if (dropped) return kt_fail(error, KITH_NOT_FOUND, "%s: the table was dropped", kt_io_root(store->io));
    if (!status)
        return kt_fail(error, KITH_CONFLICT, "%s: the log moved on past commit %llu", kt_io_root(store->io),
                       (unsigned long long)commit);
    return kt_fail(error, KITH_UNKNOWN, "%s/%s vanished while the commit after it was made",
                   kt_io_root(store->log), name);
}

/* One attempt: `*lost` when somebody else was first. */
static kith_status attempt(struct kt_txn *txn, kt_prepare_fn prepare, void *context, bool *lost,
                           struct kt_state **out, kith_error *error)
{
    struct kt_state *base = NULL;
    struct kt_buffer bytes = { 0 };
    struct kt_commit_header header;
    char name[KT_LOG_NAME];
    kith_status status = base_state(txn, &base, error);
    if (status) goto out;
    kt_json_watch();
    status = begin_attempt(txn, base, error);
    if (status) goto out;
    status = kt_json_watched(prepare(context, base, txn, error), error);
    if (status) goto out;
    status = encode(txn, base, &header, &bytes, error);
    if (status) goto out;
    /* Made whole before publishing: nothing may fail afterwards. */
    status = kt_state_commit(txn->state, &header, kt_hash(bytes.data, bytes.size), bytes.size, error);
    if (status) goto out;
    kt_log_name(header.commit, KT_LOG_COMMIT, name);
    switch (kt_io_publish(txn->store->log, name, bytes.data, bytes.size, error)) {
    case KT_WON:
        status = confirm(txn, header.commit, error);
        break;
    case KT_LOST:
        *lost = true;
        goto out;
    case KT_UNKNOWN:
        status = KITH_UNKNOWN;
        break;
    case KT_REFUSED:
        status = error ? error->status : KITH_IO;
        break;
    }
    if (status) goto out;
    *out = txn->state;
    txn->state = NULL; // now the caller's
out:
    forget_attempt(txn);
    kt_buffer_release(&bytes);
    kt_state_release(base);
    return status;
}

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Sleeps a random part of a time that doubles: losers must not meet again. */
static void pause_a_little(struct kt_random *random, uint32_t losses)
{
    uint64_t most_ms = losses < 6 ? 1u << losses : LONGEST_PAUSE_MS;
    uint64_t ns = kt_random_below(random, most_ms * 1000000);
    nanosleep(&(struct timespec){ .tv_nsec = (long)ns }, NULL);
}

static kith_status commit(struct kt_txn *txn, kt_prepare_fn prepare, void *context, struct kt_state **out,
                          kith_error *error)
{
    struct kt_random random = { kt_get_u64(txn->id) };
    int64_t deadline = monotonic_ms() + RETRY_SECONDS * 1000;
    kith_status status = sync_folders(txn, error);
    if (status) return status;
    for (uint32_t losses = 0;; losses++) {
        bool lost = false;
        status = attempt(txn, prepare, context, &lost, out, error);
        if (status || !lost) return status;
        if (monotonic_ms() > deadline)
            return kt_fail(error, KITH_CONFLICT,
                           "%s: %u other commits came first in %d s; try again when fewer write",
                           kt_io_root(txn->store->io), losses + 1, RETRY_SECONDS);
        pause_a_little(&random, losses);
    }
}

kith_status kt_txn_commit(struct kt_txn *txn, kt_prepare_fn prepare, void *context, struct kt_state **out,
                          kith_error *error)
{
    kith_error own = { 0 };
    struct kt_state *state = NULL;
    struct kt_store *store = txn->store;
    kith_status status = commit(txn, prepare, context, &state, error ? error : &own);
    if (status && status != KITH_UNKNOWN) remove_files(txn);
    txn_free(txn);
    if (status) return status;
    kt_store_remember(store, state);
    kt_store_checkpoint_if_due(store, state);
    if (out)
        *out = state;
    else
        kt_state_release(state);
    return KITH_OK;
}
