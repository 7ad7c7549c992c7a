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
#include "base/random.h"
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
        "to write again, restore the file from a copy, or repair the table and lose what the commit changed",
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
        if (!kt_log_parse_name(out->names.names[i], &commit, &kind)) continue;
        out->largest = kt_max_u64(out->largest, commit);
        if (kind == KT_LOG_CHECKPOINT)
            out->checkpoint = kt_max_u64(out->checkpoint, commit);
        else if (!out->smallest || commit < out->smallest)
            out->smallest = commit;
    }
    return KITH_OK;
}

bool kt_store_has_commit(struct kt_store *store, uint64_t commit)
{
    char name[KT_LOG_NAME];
    kt_log_name(commit, KT_LOG_COMMIT, name);
    return kt_io_exists(store->log, name);
}

/* Every commit is another one's bytes, if only for its transaction's id; so the hash that the state has of
 * its last commit tells. It is worked out once: after that the time at which the file was written stands for
 * it. */
kith_status kt_store_look(struct kt_store *store, const struct kt_state *state, kith_error *error)
{
    struct kt_buffer bytes = { 0 };
    char name[KT_LOG_NAME];
    kt_log_name(state->commit, KT_LOG_COMMIT, name);
    uint64_t written = (uint64_t)kt_io_written_us(store->log, name);
    uint64_t seen = kt_mix(state->hash ^ kt_mix(written));
    if (written && atomic_load(&store->looked) == seen) return KITH_OK;
    kith_status status = kt_io_read(store->log, name, KT_LARGEST_COMMIT, &bytes, error);
    if (!status && kt_hash(bytes.data, bytes.size) != state->hash)
        status = kt_fail(error, KITH_NOT_FOUND, "%s/%s is another commit of that number",
                         kt_io_root(store->log), name);
    kt_buffer_release(&bytes);
    if (!status) atomic_store(&store->looked, seen);
    return status;
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
 * passed over, and `passed` says why: the commits it covers say the same, as long as they are there. */
static kith_status start_state(struct kt_store *store, const struct kt_log_listing *listing, uint64_t last,
                               struct kt_state **out, kith_error *passed, kith_error *error)
{
    for (size_t i = listing->names.count; i-- > 0;) {
        uint64_t commit;
        enum kt_log_kind kind;
        if (!kt_log_parse_name(listing->names.names[i], &commit, &kind) || kind != KT_LOG_CHECKPOINT ||
            commit > last)
            continue;
        kith_error why = { 0 };
        kith_status status = kt_store_read_checkpoint(store, commit, out, &why);
        if (!status) return KITH_OK;
        if (status != KITH_CORRUPT && status != KITH_NOT_FOUND)
            return kt_fail(error, status, "%s", why.message);
        if (status == KITH_CORRUPT && !passed->status)
            kt_fail(passed, status, "%s is damaged: %.400s", listing->names.names[i], why.message);
    }
    *out = kt_state_new();
    return *out ? KITH_OK : kt_fail_memory(error, sizeof **out);
}

static kith_status report_gap(struct kt_store *store, const struct kt_state *state, uint64_t largest,
                              const kith_error *passed, kith_error *error)
{
    char name[KT_LOG_NAME];
    kt_log_name(state->commit + 1, KT_LOG_COMMIT, name);
    if (passed->status)
        return kt_fail(error, KITH_CORRUPT,
                       "%s/%s, and the commits before it are forgotten; restore it from a copy",
                       kt_io_root(store->log), passed->message);
    return kt_fail(error, KITH_CORRUPT,
                   "%s/%s is missing, while the log goes on to %llu; restore it from a copy%s",
                   kt_io_root(store->log), name, (unsigned long long)largest,
                   state->commit ? ", or read an older version" : "");
}

/* The state at `last`, or the newest before it, by a listing. `*doubtful`: what was found may be due to a
 * clean-up that removed names meanwhile. */
static kith_status load_listed(struct kt_store *store, const struct kt_log_listing *listing, uint64_t last,
                               struct kt_state **out, uint64_t *reached, bool *doubtful, kith_error *error)
{
    struct kt_state *state = NULL;
    kith_error passed = { 0 };
    kith_status status = start_state(store, listing, last, &state, &passed, error);
    if (status) goto out;
    uint64_t start = state->commit;
    status = kt_store_apply(store, state, last, reached, error);
    if (status) goto out;
    if (state->commit < kt_min_u64(last, listing->largest)) {
        *doubtful = true;
        status = last < listing->smallest && !passed.status
                     ? kt_fail(error, KITH_NOT_FOUND, "%s: commit %llu was cleaned up",
                               kt_io_root(store->log), (unsigned long long)last)
                     : report_gap(store, state, listing->largest, &passed, error);
        goto out;
    }
    if (!state->commit) {
        kt_state_release(state);
        state = NULL;
    } else if (last == UINT64_MAX) { /* the end that was found was one if what it was reached from is there */
        status = kt_store_look(store, state, error);
        *doubtful = status == KITH_NOT_FOUND || !kt_store_has_commit(store, start ? start : 1);
        if (status == KITH_NOT_FOUND) status = KITH_OK;
        if (status) goto out;
    }
    *out = state;
    state = NULL; // now the caller's
out:
    kt_state_release(state);
    return status;
}

static bool has_moved(struct kt_store *store, const struct kt_log_listing *before)
{
    struct kt_log_listing now;
    if (kt_store_list_log(store, &now, NULL)) return true; /* the next look will say why */
    kt_io_names_release(&now.names);
    return now.smallest != before->smallest || now.checkpoint != before->checkpoint;
}

kith_status kt_store_load_log(struct kt_store *store, uint64_t last, struct kt_state **out, uint64_t *reached,
                              kith_error *error)
{
    enum { TRIES = 8 };
    for (int tries = 0;; tries++) {
        struct kt_log_listing listing;
        struct kt_state *state = NULL;
        bool doubtful = false;
        *reached = 0;
        kith_status status = kt_store_list_log(store, &listing, error);
        if (status) return status;
        status = load_listed(store, &listing, last, &state, reached, &doubtful, error);
        bool again = doubtful && tries < TRIES && has_moved(store, &listing);
        kt_io_names_release(&listing.names);
        if (!again) {
            if (!status) *out = state;
            return status;
        }
        kt_state_release(state);
    }
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
