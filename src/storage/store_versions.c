/* Versions: what users count, and where the log has each of them.
 *
 * A version begins with a commit that changes rows or schema; maintenance after it keeps the number, and the
 * newest commit that shows a version is the one that is read for it.
 */
#include <string.h>

#include "base/alloc.h"
#include "storage/storage_private.h"

kith_status kt_state_add_version(struct kt_state *state, const struct kt_version_entry *entry,
                                 kith_error *error)
{
    struct kt_version_entry *versions = kt_grown(state->versions, state->version_count, sizeof *entry);
    if (!versions) return kt_fail_memory(error, sizeof *entry);
    state->versions = versions;
    state->versions[state->version_count++] = *entry;
    return KITH_OK;
}

uint64_t kt_state_commit_of(const struct kt_state *state, uint64_t version)
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

/* ---- versions */

/* The newest state that can be read, past which the log is damaged. */
static kith_status newest_readable(struct kt_store *store, struct kt_state **out, kith_error *error)
{
    uint64_t reached;
    kith_status status = kt_store_load(store, out, error);
    if (status != KITH_CORRUPT) return status;
    struct kt_state *state = NULL;
    status = kt_store_load_log(store, UINT64_MAX, &state, &reached, error);
    if (status == KITH_CORRUPT && reached)
        status = kt_store_load_log(store, reached, &state, &reached, error);
    return status ? status : kt_store_refuse_dropped(store, state, out, error);
}

kith_status kt_store_load_version(struct kt_store *store, uint64_t version, struct kt_state **out,
                                  kith_error *error)
{
    struct kt_state *newest = NULL, *state = NULL;
    uint64_t reached;
    kith_status status = newest_readable(store, &newest, error);
    if (status) return status;
    uint64_t commit = kt_state_commit_of(newest, version);
    if (!commit)
        status =
            kt_fail(error, KITH_NOT_FOUND, "version %llu is not among the %u kept, the newest is %llu",
                    (unsigned long long)version, newest->version_count, (unsigned long long)newest->version);
    else if (commit == newest->commit)
        state = kt_state_share(newest);
    else
        status = kt_store_load_log(store, commit, &state, &reached, error);
    kt_state_release(newest);
    if (status) return status;
    if (state && state->commit == commit && state->version == version) {
        *out = state;
        return KITH_OK;
    }
    kt_state_release(state);
    return kt_fail(error, KITH_NOT_FOUND, "version %llu is no longer kept", (unsigned long long)version);
}
