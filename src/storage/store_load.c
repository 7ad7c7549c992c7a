/* Reading a table's log from its folder.
 *
 * The log is read from the newest checkpoint that is valid, then commit by commit until a name is free. The
 * listing of the folder finds checkpoints and the largest number; it does not decide where the log ends,
 * because a folder that is written to while it is listed may show a file and not the one before it. A name
 * that is free below the largest number is a gap, and the table is damaged.
 *
 * A commit that cannot be right is never skipped: those after it may rest on it. The error says which
 * version still can be read.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "storage/storage_private.h"

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

kith_status kt_store_apply(struct kt_store *store, struct kt_state *state, uint64_t last, uint64_t *reached,
                           kith_error *error)
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

kith_status kt_store_list_log(struct kt_store *store, struct kt_log_listing *out, kith_error *error)
{
    *out = (struct kt_log_listing){ 0 };
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

kith_status kt_store_read_checkpoint(struct kt_store *store, uint64_t commit, struct kt_state **out,
                                     kith_error *error)
{
    struct kt_buffer bytes = { 0 };
    struct kt_state *state = NULL;
    char name[KT_LOG_NAME];
    kt_log_name(commit, KT_LOG_CHECKPOINT, name);
    kith_status status = kt_io_read(store->log, name, KT_LARGEST_CHECKPOINT, &bytes, error);
    if (!status) status = kt_checkpoint_decode(bytes.data, bytes.size, &state, error);
    if (!status && state->commit != commit)
        status = kt_fail(error, KITH_CORRUPT, "it is the checkpoint of commit %llu",
                         (unsigned long long)state->commit);
    if (!status) {
        kt_store_checkpoint_seen(store, state, bytes.size);
        *out = state;
        state = NULL; // now the caller's
    }
    kt_state_release(state);
    kt_buffer_release(&bytes);
    return status;
}

/* The state of the newest valid checkpoint at or before `last`, else the empty one. An invalid checkpoint is
 * passed over: the commits it covers say the same, as long as they are there. */
static kith_status start_state(struct kt_store *store, const struct kt_log_listing *listing, uint64_t last,
                               struct kt_state **out, kith_error *error)
{
    for (size_t i = listing->names.count; i-- > 0;) {
        uint64_t commit;
        enum kt_log_kind kind;
        if (!kt_log_parse_name(listing->names.names[i], &commit, &kind) || kind != KT_LOG_CHECKPOINT ||
            commit > last)
            continue;
        kith_status status = kt_store_read_checkpoint(store, commit, out, error);
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

kith_status kt_store_load_log(struct kt_store *store, uint64_t last, struct kt_state **out, uint64_t *reached,
                              kith_error *error)
{
    struct kt_log_listing listing = { 0 };
    struct kt_state *state = NULL;
    *reached = 0;
    kith_status status = kt_store_list_log(store, &listing, error);
    if (status) goto out;
    status = start_state(store, &listing, last, &state, error);
    if (status) goto out;
    status = kt_store_apply(store, state, last, reached, error);
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

kith_status kt_store_load_commit(struct kt_store *store, uint64_t commit, struct kt_state **out,
                                 kith_error *error)
{
    struct kt_state *state = kt_store_known(store);
    uint64_t reached;
    kith_status status = KITH_OK;
    if (!state || state->commit != commit) {
        kt_state_release(state);
        state = NULL;
        status = kt_store_load_log(store, commit, &state, &reached, error);
    }
    if (!status && (!state || state->commit != commit))
        status = kt_fail(error, KITH_NOT_FOUND, "%s: commit %llu is not there", kt_io_root(store->log),
                         (unsigned long long)commit);
    if (status)
        kt_state_release(state);
    else
        *out = state;
    return status;
}
