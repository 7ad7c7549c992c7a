/* Checkpoints: the whole state in one file, so that opening reads a short tail of the log.
 *
 * One is due when the tail since the last exceeds 64 commits, or 16 where no old version is kept, and half
 * the last one's bytes, so that what is written for checkpoints stays in proportion to what is written for
 * commits. It is published like a commit; its failure is nobody's: the commits it covers say the same.
 */
#include <string.h>

#include "base/alloc.h"
#include "storage/storage_private.h"

enum { COMMITS = 64, OFF_COMMITS = 16 /* where one version is kept: so few files are, too */ };

/* Older ones are read too, for older versions. */
void kt_store_checkpoint_seen(struct kt_store *store, const struct kt_state *state, size_t bytes)
{
    if (state->commit < atomic_load(&store->checkpoint)) return;
    atomic_store(&store->checkpoint, state->commit);
    atomic_store(&store->checkpoint_bytes, bytes);
    atomic_store(&store->checkpoint_log_bytes, kt_state_private_part(state)->log_bytes);
}

static bool checkpoint_due(struct kt_store *store, const struct kt_state *state)
{
    uint64_t commits = state->commit - kt_min_u64(state->commit, atomic_load(&store->checkpoint));
    uint64_t log_bytes = kt_state_private_part(state)->log_bytes;
    uint64_t bytes = log_bytes - kt_min_u64(log_bytes, atomic_load(&store->checkpoint_log_bytes));
    uint64_t least = kt_state_keep_versions(state) == 1 ? OFF_COMMITS : COMMITS;
    return commits >= least && bytes >= atomic_load(&store->checkpoint_bytes) / 2;
}

/* Another process may have written one meanwhile. Its place in the log's bytes is not known without reading
 * it; that of this state is near enough. */
static void look_for_checkpoint(struct kt_store *store, const struct kt_state *state)
{
    struct kt_log_listing listing;
    if (kt_store_list_log(store, &listing, NULL)) return;
    for (size_t i = listing.names.count; i-- > 0;) {
        uint64_t commit;
        enum kt_log_kind kind;
        if (!kt_log_parse_name(listing.names.names[i], &commit, &kind) || kind != KT_LOG_CHECKPOINT) continue;
        if (commit > atomic_load(&store->checkpoint)) {
            atomic_store(&store->checkpoint, commit);
            atomic_store(&store->checkpoint_log_bytes, kt_state_private_part(state)->log_bytes);
        }
        break;
    }
    kt_io_names_release(&listing.names);
}

void kt_store_checkpoint_if_due(struct kt_store *store, const struct kt_state *state)
{
    struct kt_buffer bytes = { 0 };
    char name[KT_LOG_NAME];
    if (state->dropped || !checkpoint_due(store, state)) return;
    look_for_checkpoint(store, state);
    if (!checkpoint_due(store, state)) return;
    if (kt_checkpoint_encode(state, &bytes, NULL)) return;
    kt_log_name(state->commit, KT_LOG_CHECKPOINT, name);
    enum kt_published published = kt_io_publish(store->log, name, bytes.data, bytes.size, NULL);
    if (published == KT_WON || published == KT_LOST) kt_store_checkpoint_seen(store, state, bytes.size);
    kt_buffer_release(&bytes);
}

/* Publishes the checkpoint and reads it back. A damaged one in its place is replaced:
 * the state was read without it. */
static kith_status publish_checked(struct kt_store *store, const struct kt_state *state, bool damaged,
                                   kith_error *error)
{
    struct kt_buffer bytes = { 0 };
    struct kt_state *back = NULL;
    char name[KT_LOG_NAME];
    kt_log_name(state->commit, KT_LOG_CHECKPOINT, name);
    kith_status status = kt_checkpoint_encode(state, &bytes, error);
    if (!status && damaged) status = kt_io_remove(store->log, name, error);
    if (!status) {
        kith_error why = { 0 };
        enum kt_published published = kt_io_publish(store->log, name, bytes.data, bytes.size, &why);
        if (published == KT_REFUSED ||
            published == KT_UNKNOWN) /* what is not sure to stay is no checkpoint */
            status = kt_fail(error, why.status == KITH_NO_MEMORY ? KITH_NO_MEMORY : KITH_IO, "%.1000s",
                             why.message);
    }
    if (!status) status = kt_store_read_checkpoint(store, state->commit, &back, error);
    if (!status && back->hash != state->hash)
        status = kt_fail(error, KITH_CORRUPT, "%s/%s is of another history", kt_io_root(store->log), name);
    kt_state_release(back);
    kt_buffer_release(&bytes);
    return status;
}

kith_status kt_store_keep_checkpoint(struct kt_store *store, uint64_t commit, kith_error *error)
{
    struct kt_state *state = NULL;
    kith_status status = kt_store_read_checkpoint(store, commit, &state, error);
    if (status == KITH_NOT_FOUND || status == KITH_CORRUPT) {
        bool damaged = status == KITH_CORRUPT;
        status = kt_store_load_commit(store, commit, &state, error);
        if (!status) status = publish_checked(store, state, damaged, error);
    }
    kt_state_release(state);
    return status;
}
