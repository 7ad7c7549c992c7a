/* Cleaning up: old versions are forgotten, and the files that only they had are removed.
 *
 * What is done, and what a crash after each step leaves:
 *   0. where it is asked for, files that nobody commits any more enter the state's list (store_orphans.c);
 *   1. the files that an earlier clean-up made removable are removed again (it may have died before it did);
 *   2. a checkpoint at the oldest commit that stays, B, is made sure of and read back;
 *   3. one commit says that those files are gone, and forgets what is below B;
 *   4. the files that left at or before B are removed, but for those that a tag's state names: they stay in
 * the state's list until step 3 of the next clean-up, so that no crash between 3 and 4 loses sight of them;
 *   5. the names of the log below B go, lowest first, but for tags' checkpoints. What is left of them by a
 * crash the next one finds.
 *
 * Why nothing is removed that somebody will name: a file that left at or before B comes back only by
 * restoring a state at a commit below B, which is refused once B is forgotten unless a tag has that commit;
 * and no commit below B gets a tag that had none. So what a committed state says is removable is so for ever.
 *
 * Within a write it is done when enough has come together to pay for it, and then to a checkpoint that is
 * there anyway if files are not the reason.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "storage/storage_private.h"

enum {
    KEEP_VERSIONS = 1000,
    FEW_FILES = 32,   /* of which a table that keeps one version need not be rid at once */
    FEW_VERSIONS = 8, /* and versions */
    OFF_VERSIONS = 8, /* more than the one that stays */
    TRY_AGAIN = 64,   /* commits after a clean-up that failed or had nothing to do, */
    OFF_AGAIN = 8     /* and where one version is kept */
};
static const int64_t KEEP_US = (int64_t)7 * 24 * 3600 * 1000000;
static const uint64_t SOME_BYTES = (uint64_t)8 << 20, FEW_BYTES = (uint64_t)1 << 20;

/* ---- which versions stay */

/* Of the files that only states up to `commit` have: they left after it. */
static uint64_t bytes_left_after(const struct kt_state *state, uint64_t commit)
{
    const struct kt_state_private *mine = kt_state_private_part(state);
    uint64_t bytes = 0;
    for (uint32_t i = mine->removed_count; i-- > 0;)
        if (mine->removed[i].commit > commit && mine->removed[i].bytes <= UINT64_MAX - bytes)
            bytes += mine->removed[i].bytes;
    return bytes;
}

/* How long ago the version before this entry was replaced; a log may say any time. */
static int64_t age_us(const struct kt_version_entry *entry, int64_t now)
{
    int64_t age;
    return __builtin_sub_overflow(now, entry->time_us, &age) ? 0 : age;
}

/* The commit below which all is forgotten; that of the last clean-up when there is nothing to gain. */
static uint64_t choose(const struct kt_state *state, const struct kt_retention *keep, int64_t now)
{
    const struct kt_version_entry *versions = state->versions;
    uint32_t first = kt_state_first_version(state), oldest = state->version_count - 1;
    uint64_t below = kt_state_private_part(state)->below, commit = state->commit;
    while (oldest > first) {
        uint64_t newer = state->version_count - oldest;
        bool stays = newer < keep->keep_versions && age_us(&versions[oldest], now) < keep->keep_us &&
                     bytes_left_after(state, versions[oldest].commit - 1) < keep->keep_bytes;
        if (!stays) break;
        commit = versions[oldest].commit - 1;
        oldest--;
    }
    bool gains = oldest > first || bytes_left_after(state, below) > bytes_left_after(state, commit);
    return gains && commit > below ? commit : below;
}

/* ---- removing files */

/* What may be removed according to a committed state, and what of that was. */
struct removal {
    struct kt_removed_file *files;
    size_t count;
};

static void spare_named(struct removal *removal, const struct kt_state *state)
{
    size_t kept = 0;
    for (size_t i = 0; i < removal->count; i++)
        if (!kt_state_names_file(state, removal->files[i].name)) removal->files[kept++] = removal->files[i];
    removal->count = kept;
}

/* All that left at or before the last commit that was forgotten, without what a tag names. */
static kith_status find_removable(struct kt_store *store, const struct kt_state *state,
                                  struct removal *removal, kith_error *error)
{
    const struct kt_state_private *mine = kt_state_private_part(state);
    removal->files = kt_alloc_array(mine->removed_count + (size_t)1, sizeof *removal->files);
    if (!removal->files) return kt_fail_memory(error, mine->removed_count * sizeof *removal->files);
    for (uint32_t i = 0; i < mine->removed_count; i++)
        if (mine->removed[i].commit <= mine->below) removal->files[removal->count++] = mine->removed[i];
    spare_named(removal, state);
    for (uint32_t i = 0; i < state->tag_count && removal->count; i++) {
        struct kt_state *tagged = NULL;
        kith_status status = kt_store_load_commit(store, state->tags[i].commit, &tagged, error);
        if (status) return status;
        spare_named(removal, tagged);
        kt_state_release(tagged);
    }
    return KITH_OK;
}

/* Makes removals last: a file that comes back after its `gone` would stay for ever. */
static kith_status sync_folders(struct kt_store *store, kith_error *error)
{
    static const char *const folders[] = { "data", "index" };
    kith_status status = KITH_OK;
    for (int i = 0; i < 2 && !status; i++) {
        status = kt_io_sync_folder(store->io, folders[i], error);
        if (status == KITH_NOT_FOUND) status = KITH_OK; /* there was never a file in it */
    }
    return status;
}

/* Removes them; leaves in `removal` those that are gone. The first failure is told, the others are tried. */
static kith_status remove_files(struct kt_store *store, struct removal *removal, struct kt_cleaned *out,
                                kith_error *error)
{
    kith_status status = KITH_OK;
    size_t gone = 0;
    for (size_t i = 0; i < removal->count; i++) {
        struct kt_removed_file *file = &removal->files[i];
        bool there = kt_io_exists(store->io, file->name); /* for the count; a disk that refuses has no word */
        kith_status failed = kt_io_remove(store->io, file->name, status ? NULL : error);
        if (failed) {
            if (!status) status = failed;
            continue;
        }
        out->files += there;
        out->bytes += there ? file->bytes : 0;
        removal->files[gone++] = *file;
    }
    removal->count = gone;
    return status;
}

static kith_status remove_removable(struct kt_store *store, const struct kt_state *state,
                                    struct removal *removal, struct kt_cleaned *out, kith_error *error)
{
    kith_status status = find_removable(store, state, removal, error);
    if (status) {
        removal->count = 0;
        return status;
    }
    return removal->count ? remove_files(store, removal, out, error) : KITH_OK;
}

/* ---- removing names of the log */

bool kt_state_keeps_name(const struct kt_state *state, uint64_t commit, enum kt_log_kind kind)
{
    if (commit >= kt_state_private_part(state)->below) return true;
    for (uint32_t i = 0; kind == KT_LOG_CHECKPOINT && i < state->tag_count; i++)
        if (state->tags[i].commit == commit) return true;
    return false;
}

static kith_status remove_log(struct kt_store *store, const struct kt_state *state, kith_error *error)
{
    struct kt_log_listing listing;
    kith_status status = kt_store_list_log(store, &listing, error);
    if (status) return status;
    for (size_t i = 0; i < listing.names.count && !status; i++) { /* sorted: the lowest first */
        uint64_t commit;
        enum kt_log_kind kind;
        const char *name = listing.names.names[i];
        if (kt_log_parse_name(name, &commit, &kind) && !kt_state_keeps_name(state, commit, kind))
            status = kt_io_remove(store->log, name, error);
    }
    kt_io_names_release(&listing.names);
    return status;
}

/* ---- the clean-up */

struct forgetting {
    uint64_t below;
    const struct removal *gone;
};

static kith_status prepare(void *context, const struct kt_state *state, struct kt_txn *txn, kith_error *error)
{
    const struct forgetting *forgetting = context;
    if (kt_state_private_part(state)->below >= forgetting->below)
        return kt_fail(error, KITH_CONFLICT, "another clean-up came before this one");
    return kt_txn_forget(txn, forgetting->below, forgetting->gone->files, forgetting->gone->count, error);
}

/* Steps 2 and 3; `*state` becomes the one after it, whoever did it. */
static kith_status forget(struct kt_store *store, struct forgetting *forgetting, struct kt_state **state,
                          kith_error *error)
{
    struct kt_txn *txn = NULL;
    struct kt_state *after = NULL;
    kith_error why = { 0 };
    kith_status status = kt_store_keep_checkpoint(store, forgetting->below, &why);
    if (!status && forgetting->gone->count) status = sync_folders(store, &why);
    if (!status) status = kt_txn_begin(store, "clean", &txn, &why);
    if (!status) status = kt_txn_commit(txn, prepare, forgetting, &after, &why);
    if (status && !kt_store_load(store, &after, NULL) &&
        kt_state_private_part(after)->below >= forgetting->below)
        status = KITH_OK;
    if (status) {
        kt_state_release(after);
        return kt_fail(error, status, "%s", why.message);
    }
    kt_state_release(*state);
    *state = after;
    return KITH_OK;
}

static kith_status clean(struct kt_store *store, struct kt_state **state, uint64_t below, bool orphans,
                         struct kt_cleaned *out, kith_error *error)
{
    struct removal before = { 0 }, after = { 0 };
    struct forgetting forgetting = { below, &before };
    kith_status status = orphans ? kt_store_adopt_orphans(store, state, error) : KITH_OK;
    if (!status) status = remove_removable(store, *state, &before, out, error);
    if (!status && below > kt_state_private_part(*state)->below) {
        uint32_t versions = (*state)->version_count;
        status = forget(store, &forgetting, state, error);
        if (!status) out->versions += versions - kt_min_u32(versions, (*state)->version_count);
        if (!status) status = remove_removable(store, *state, &after, out, error);
    }
    if (!status) status = remove_log(store, *state, error);
    if (!status && orphans) status = kt_store_remove_passing(store, error);
    kt_free(before.files);
    kt_free(after.files);
    return status;
}

kith_status kt_store_clean(struct kt_store *store, const struct kt_retention *keep, struct kt_cleaned *out,
                           kith_error *error)
{
    struct kt_state *state = NULL;
    struct kt_cleaned cleaned = { 0 };
    kith_status status = kt_store_load(store, &state, error);
    if (!status) {
        uint64_t below = keep->all ? state->commit : choose(state, keep, kt_io_now_us(store->io));
        status = clean(store, &state, below, keep->orphans, &cleaned, error);
    }
    kt_state_release(state);
    if (out) *out = cleaned;
    return status;
}

/* ---- within a write */

static uint64_t live_bytes(const struct kt_state *state)
{
    uint64_t bytes = state->inline_bytes;
    for (uint32_t i = 0; i < state->fragment_count; i++)
        for (uint32_t g = 0; g < state->fragments[i].group_count; g++)
            bytes += state->fragments[i].groups[g].file.seal.length;
    for (uint32_t i = 0; i < state->piece_count; i++) bytes += state->pieces[i].file.seal.length;
    return bytes;
}

uint64_t kt_state_keep_versions(const struct kt_state *state)
{
    const json_t *wanted = json_object_get(state->config, "keep_versions");
    json_int_t versions = json_is_integer(wanted) ? json_integer_value(wanted) : KEEP_VERSIONS;
    return versions > 0 ? (uint64_t)versions : KEEP_VERSIONS;
}

/* The files of older versions may be as large as the table, or as some megabytes where that is smaller: else
 * the clean-up of a small table's many versions would leave none. */
static struct kt_retention policy(const struct kt_state *state, uint64_t live)
{
    return (struct kt_retention){ .keep_versions = kt_state_keep_versions(state),
                                  .keep_us = KEEP_US,
                                  .keep_bytes = kt_max_u64(live, SOME_BYTES / 2) };
}

/* Whether enough files have left since the last clean-up; so much may be too much for a while, see DESIGN. */
static bool files_due(const struct kt_state *state, const struct kt_retention *keep, uint64_t live)
{
    const struct kt_state_private *mine = kt_state_private_part(state);
    uint32_t files = 0;
    for (uint32_t i = mine->removed_count; i-- > 0 && mine->removed[i].commit > mine->below;) files++;
    if (!files) return false;
    uint64_t bytes = bytes_left_after(state, mine->below);
    if (keep->keep_versions == 1) return files > FEW_FILES || bytes > live / 4 + FEW_BYTES;
    return bytes > live + SOME_BYTES;
}

static bool versions_due(const struct kt_state *state, const struct kt_retention *keep, int64_t now)
{
    uint32_t first = kt_state_first_version(state), old = first;
    uint64_t count = state->version_count - first;
    uint64_t slack = keep->keep_versions == 1 ? OFF_VERSIONS : keep->keep_versions / 16 + FEW_VERSIONS;
    if (count > keep->keep_versions + slack) return true;
    while (old + 1 < state->version_count && age_us(&state->versions[old + 1], now) >= keep->keep_us) old++;
    return old - first > FEW_VERSIONS + count / 16;
}

/* The newest checkpoint at or before `commit`, 0 when there is none: what is rounded down to it needs no new
 * one. */
static uint64_t checkpoint_before(struct kt_store *store, uint64_t commit)
{
    struct kt_log_listing listing;
    uint64_t found = 0;
    if (kt_store_list_log(store, &listing, NULL)) return 0;
    for (size_t i = 0; i < listing.names.count; i++) {
        uint64_t number;
        enum kt_log_kind kind;
        if (kt_log_parse_name(listing.names.names[i], &number, &kind) && kind == KT_LOG_CHECKPOINT &&
            number <= commit)
            found = number;
    }
    kt_io_names_release(&listing.names);
    return found;
}

void kt_store_clean_if_due(struct kt_store *store, const struct kt_state *state)
{
    if (state->dropped || !state->version_count || state->commit < atomic_load(&store->clean_from)) return;
    int64_t now = kt_io_now_us(store->io);
    uint64_t live = live_bytes(state);
    struct kt_retention keep = policy(state, live);
    bool files = files_due(state, &keep, live);
    if (!files && !versions_due(state, &keep, now)) return;
    struct kt_state *newest = kt_state_share(state);
    struct kt_cleaned ignored = { 0 };
    uint64_t below = choose(state, &keep, now);
    if (!files) below = checkpoint_before(store, below);
    bool pays = below > kt_state_private_part(state)->below;
    if (!pays || clean(store, &newest, below, false, &ignored, NULL))
        atomic_store(&store->clean_from, state->commit + (keep.keep_versions == 1 ? OFF_AGAIN : TRY_AGAIN));
    kt_state_release(newest);
}
