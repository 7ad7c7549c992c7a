/* Versions: what users count, and where the log has each of them.
 *
 * A version begins with a commit that changes rows or schema; maintenance after it keeps the number, and the
 * newest commit that shows a version is the one that is read for it. When older commits are forgotten, only
 * the versions stay that a tag names, and each of them is read from the checkpoint that its tag keeps.
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

/* Its number in the list, or how many there are. */
static uint32_t version_at(const struct kt_state *state, uint64_t version)
{
    uint32_t low = 0, high = state->version_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (state->versions[middle].version < version)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < state->version_count && state->versions[low].version == version;
    return found ? low : state->version_count;
}

/* The newest commit that shows the version of entry `at`; 0 when the version after it is not in the list, and
 * so nobody knows. */
static uint64_t last_commit(const struct kt_state *state, uint32_t at)
{
    const struct kt_version_entry *entry = &state->versions[at], *next = entry + 1;
    if (at + 1 == state->version_count) return state->commit;
    return next->version == entry->version + 1 ? next->commit - 1 : 0;
}

uint64_t kt_state_commit_of(const struct kt_state *state, uint64_t version)
{
    uint32_t at = version_at(state, version);
    uint64_t tagged = 0;
    if (at == state->version_count) return 0;
    uint64_t last = last_commit(state, at);
    if (last && last >= kt_state_private_part(state)->below) return last;
    for (uint32_t i = 0; i < state->tag_count; i++)
        if (state->tags[i].version == version) tagged = kt_max_u64(tagged, state->tags[i].commit);
    return tagged;
}

uint32_t kt_state_first_version(const struct kt_state *state)
{
    uint32_t first = state->version_count ? state->version_count - 1 : 0;
    while (first && last_commit(state, first - 1) &&
           last_commit(state, first - 1) >= kt_state_private_part(state)->below)
        first--;
    return first;
}

static bool has_tag(const struct kt_state *state, uint64_t version)
{
    for (uint32_t i = 0; i < state->tag_count; i++)
        if (state->tags[i].version == version) return true;
    return false;
}

void kt_state_forget_versions(struct kt_state *state)
{
    uint32_t first = kt_state_first_version(state), kept = 0;
    for (uint32_t i = 0; i < state->version_count; i++)
        if (i >= first || has_tag(state, state->versions[i].version))
            state->versions[kept++] = state->versions[i];
    state->version_count = kept;
}

/* ---- tags */

/* The first tag that is not before `name`. */
static uint32_t tag_at(const struct kt_state *state, const char *name)
{
    uint32_t at = 0;
    while (at < state->tag_count && strcmp(state->tags[at].name, name) < 0) at++;
    return at;
}

/* A version that only a tag had kept is forgotten with it. */
static void forget_unkept(struct kt_state *state, uint64_t version)
{
    uint32_t at = version_at(state, version);
    if (at == state->version_count || kt_state_commit_of(state, version)) return;
    state->version_count--;
    memmove(state->versions + at, state->versions + at + 1,
            (state->version_count - at) * sizeof *state->versions);
}

static kith_status remove_tag(struct kt_state *state, const char *name, struct kt_blame blame,
                              kith_error *error)
{
    uint32_t at = tag_at(state, name);
    if (at == state->tag_count || strcmp(state->tags[at].name, name))
        return kt_fail(error, blame.missing, "there is no tag '%.100s'", name);
    uint64_t version = state->tags[at].version;
    state->tag_count--;
    memmove(state->tags + at, state->tags + at + 1, (state->tag_count - at) * sizeof *state->tags);
    forget_unkept(state, version);
    return KITH_OK;
}

/* While one is made, the state's own number may be none. */
static uint64_t newest_version(const struct kt_state *state)
{
    return state->version_count ? state->versions[state->version_count - 1].version : 0;
}

kith_status kt_state_restore_tag(struct kt_state *state, const char *name, uint64_t version, uint64_t commit,
                                 struct kt_blame blame, kith_error *error)
{
    uint32_t at = version_at(state, version);
    size_t length = strlen(name);
    if (!length || length > KT_LONGEST_TAG)
        return kt_fail(error, blame.malformed, "a tag has a name of 1 to %d bytes, not %zu", KT_LONGEST_TAG,
                       length);
    if (at == state->version_count)
        return kt_fail(error, blame.missing, "version %llu is not among the %u kept, the newest is %llu",
                       (unsigned long long)version, state->version_count,
                       (unsigned long long)newest_version(state));
    uint64_t last = last_commit(state, at);
    if (!last) last = state->versions[at + 1].commit - 1;
    if (commit < state->versions[at].commit || commit > last)
        return kt_fail(error, blame.malformed, "commit %llu does not show version %llu",
                       (unsigned long long)commit, (unsigned long long)version);
    at = tag_at(state, name);
    if (at == state->tag_count || strcmp(state->tags[at].name, name)) {
        struct kt_tag *tags = kt_grown(state->tags, state->tag_count, sizeof *tags);
        if (!tags) return kt_fail_memory(error, sizeof *tags);
        state->tags = tags;
        memmove(tags + at + 1, tags + at, (state->tag_count++ - at) * sizeof *tags);
        tags[at].version = version;
    }
    uint64_t before = state->tags[at].version;
    state->tags[at] = (struct kt_tag){ .version = version, .commit = commit };
    memcpy(state->tags[at].name, name, length + 1);
    forget_unkept(state, before);
    return KITH_OK;
}

kith_status kt_state_set_tag(struct kt_state *state, const char *name, uint64_t version, uint64_t commit,
                             struct kt_blame blame, kith_error *error)
{
    if (!version) return remove_tag(state, name, blame, error);
    uint64_t shown = kt_state_commit_of(state, version);
    if (shown && commit != shown)
        return kt_fail(error, blame.malformed, "a tag reads version %llu at commit %llu, not %llu",
                       (unsigned long long)version, (unsigned long long)shown, (unsigned long long)commit);
    return kt_state_restore_tag(state, name, version, commit, blame, error);
}

/* ---- reading a version */

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

static kith_status load_kept(struct kt_store *store, uint64_t version, const struct kt_state *newest,
                             struct kt_state **out, kith_error *error)
{
    uint64_t commit = kt_state_commit_of(newest, version);
    if (!commit)
        return kt_fail(error, KITH_NOT_FOUND, "version %llu is not among the %u kept, the newest is %llu",
                       (unsigned long long)version, newest->version_count,
                       (unsigned long long)newest->version);
    struct kt_state *state = NULL;
    if (commit == newest->commit) state = kt_state_share((struct kt_state *)newest);
    kith_status status = state ? KITH_OK : kt_store_load_commit(store, commit, &state, error);
    if (status) return status;
    if (state->version == version) {
        *out = state;
        return KITH_OK;
    }
    kt_state_release(state);
    return kt_fail(error, KITH_NOT_FOUND, "version %llu is no longer kept", (unsigned long long)version);
}

/* A clean-up may forget commits while they are read; then the newest state says what is kept. */
kith_status kt_store_load_version(struct kt_store *store, uint64_t version, struct kt_state **out,
                                  kith_error *error)
{
    for (;;) {
        struct kt_state *newest = NULL, *later = NULL;
        kith_error why = { 0 };
        kith_status status = newest_readable(store, &newest, error);
        if (status) return status;
        status = load_kept(store, version, newest, out, &why);
        bool moved = (status == KITH_NOT_FOUND || status == KITH_CORRUPT) &&
                     !newest_readable(store, &later, NULL) &&
                     kt_state_private_part(later)->below != kt_state_private_part(newest)->below;
        kt_state_release(newest);
        kt_state_release(later);
        if (!status) return KITH_OK;
        if (!moved) return kt_fail(error, status, "%s", why.message);
    }
}
