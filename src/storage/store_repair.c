/* Repairing a log that cannot be read.
 *
 * A commit that is damaged stops everything after it, so the newest one is the one that can be given up: it
 * is saved aside under a name that no reader looks at, and a commit that changes nothing takes its place, so
 * that the number is used and the log goes on. What the commit had changed is lost; its files stay for
 * whoever wants to look (orphans, to the clean-up). A damaged commit that others follow is not given up: they
 * rest on it.
 *
 * A damaged checkpoint is removed where the commits say the same, and written anew where somebody relies on
 * it.
 *
 * Nobody else may write meanwhile: a process that had read the commit while it was whole would go on from it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "storage/storage_private.h"

static kith_status say(struct kt_buffer *words, kith_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static kith_status say(struct kt_buffer *words, kith_error *error, const char *format, ...)
{
    char sentence[1500];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    return kt_buffer_text(words, "%s\n", sentence) ? KITH_OK : kt_fail_memory(error, strlen(sentence));
}

/* ---- the newest commit */

static kith_status save_aside(struct kt_store *store, const char *name, char aside[64], kith_error *error)
{
    uint8_t unique[4];
    char digits[9];
    kith_status status = kt_io_entropy(store->io, unique, sizeof unique, error);
    if (status) return status;
    kt_hex(unique, sizeof unique, digits);
    snprintf(aside, 64, "%s.damaged-%s", name, digits);
    return kt_io_rename(store->log, name, aside, error);
}

static kith_status publish_void(struct kt_store *store, const struct kt_state *state, kith_error *error)
{
    struct kt_buffer bytes = { 0 };
    uint8_t txn[16];
    char name[KT_LOG_NAME];
    kt_log_name(state->commit + 1, KT_LOG_COMMIT, name);
    kith_status status = kt_io_entropy(store->io, txn, sizeof txn, error);
    if (!status) status = kt_record_void(state, "repair", txn, kt_io_now_us(store->io), &bytes, error);
    if (!status) {
        kith_error why = { 0 };
        switch (kt_io_publish(store->log, name, bytes.data, bytes.size, &why)) {
        case KT_WON:
            break;
        case KT_LOST:
            status = kt_fail(error, KITH_CONFLICT,
                             "%s: somebody else wrote while the table was being repaired; look at it again",
                             kt_io_root(store->io));
            break;
        default:
            status = kt_fail(error, why.status ? why.status : KITH_IO, "%s", why.message);
        }
    }
    kt_buffer_release(&bytes);
    return status;
}

/* Gives up commit `reached` + 1, the newest, of which `why` says what is wrong with it. */
static kith_status give_up_newest(struct kt_store *store, uint64_t reached, const kith_error *why,
                                  struct kt_buffer *words, kith_error *error)
{
    struct kt_log_listing listing;
    struct kt_state *state = NULL;
    char name[KT_LOG_NAME], aside[64];
    kt_log_name(reached + 1, KT_LOG_COMMIT, name);
    kith_status status = kt_store_list_log(store, &listing, error);
    if (status) return status;
    kt_io_names_release(&listing.names);
    if (!reached || listing.largest != reached + 1 || !kt_store_has_commit(store, reached + 1))
        return kt_fail(error, KITH_CORRUPT, "%.900s. It cannot be repaired", why->message);
    status = kt_store_load_log(store, reached, &state, &reached, error);
    if (!status) status = save_aside(store, name, aside, error);
    if (!status) {
        kt_store_forget_known(store);
        status = publish_void(store, state, error);
    }
    if (!status)
        status =
            say(words, error,
                "%.900s\nThe commit was saved as log/%s, and one that changes nothing was put in its place: "
                "what it had changed is lost, version %llu is the newest.",
                why->message, aside, (unsigned long long)state->version);
    kt_state_release(state);
    return status;
}

/* ---- checkpoints */

static bool is_relied_on(const struct kt_state *state, uint64_t commit)
{
    for (uint32_t i = 0; i < state->tag_count; i++)
        if (state->tags[i].commit == commit) return true;
    return commit == kt_state_private_part(state)->below;
}

static kith_status repair_checkpoint(struct kt_store *store, const struct kt_state *newest, uint64_t commit,
                                     struct kt_buffer *words, kith_error *error)
{
    struct kt_state *state = NULL;
    kith_error damage = { 0 };
    char name[KT_LOG_NAME];
    kt_log_name(commit, KT_LOG_CHECKPOINT, name);
    kith_status status = kt_store_read_checkpoint(store, commit, &state, &damage);
    kt_state_release(state);
    state = NULL;
    if (status == KITH_OK || status == KITH_NOT_FOUND) return KITH_OK;
    if (status != KITH_CORRUPT) return kt_fail(error, status, "%s", damage.message);

    status = kt_store_load_commit(store, commit, &state, NULL);
    kt_state_release(state);
    if (status == KITH_CORRUPT || status == KITH_NOT_FOUND)
        return kt_fail(error, KITH_CORRUPT,
                       "%s/%s is damaged: %.400s. The commits that it stands for are forgotten; restore it "
                       "from a copy, or take away the tag that names it",
                       kt_io_root(store->log), name, damage.message);
    if (status) return kt_fail(error, status, "%s/%s could not be made anew", kt_io_root(store->log), name);
    status = kt_io_remove(store->log, name, error);
    bool anew = !status && is_relied_on(newest, commit);
    if (anew) status = kt_store_keep_checkpoint(store, commit, error);
    if (status) return status;
    return say(words, error, "%s/%s was damaged: %.400s. It was %s: the commits say the same.",
               kt_io_root(store->log), name, damage.message, anew ? "written anew" : "removed");
}

/* All are looked at; the first failure is told. */
static kith_status repair_checkpoints(struct kt_store *store, const struct kt_state *newest,
                                      struct kt_buffer *words, kith_error *error)
{
    struct kt_log_listing listing;
    kith_status status = kt_store_list_log(store, &listing, error);
    if (status) return status;
    for (size_t i = 0; i < listing.names.count; i++) {
        uint64_t commit;
        enum kt_log_kind kind;
        if (!kt_log_parse_name(listing.names.names[i], &commit, &kind) || kind != KT_LOG_CHECKPOINT) continue;
        kith_status failed = repair_checkpoint(store, newest, commit, words, status ? NULL : error);
        if (!status) status = failed;
    }
    kt_io_names_release(&listing.names);
    return status;
}

kith_status kt_store_repair(struct kt_store *store, struct kt_buffer *words, kith_error *error)
{
    struct kt_state *state = NULL;
    kith_error why = { 0 };
    uint64_t reached;
    kith_status status = kt_store_load_log(store, UINT64_MAX, &state, &reached, &why);
    if (status == KITH_CORRUPT) {
        status = give_up_newest(store, reached, &why, words, error);
        if (!status) status = kt_store_reload(store, &state, error);
    } else if (status) {
        kt_fail(error, status, "%s", why.message);
    }
    if (!status) status = kt_store_refuse_dropped(store, state, &state, error);
    if (status) return status;
    status = repair_checkpoints(store, state, words, error);
    kt_state_release(state);
    return status;
}
