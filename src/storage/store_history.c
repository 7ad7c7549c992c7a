/* The history of a table: what each commit that is still there did, read from the log itself.
 *
 * A state knows versions; the log knows more: the upkeep between them, which transactions shared a commit,
 * and under which keys they were asked for. How many rows a commit brought is in its own actions; how many it
 * took away follows from the rows that there were before and after, so that removing whole fragments counts
 * too. It is read from the newest commit backwards, one file a commit, and ends where a clean-up has been.
 */
#include <string.h>

#include "base/alloc.h"
#include "storage/storage_private.h"

/* What the actions of one commit say. */
struct tally {
    uint64_t added, deleted;
    bool restored;
};

static kith_status count_actions(struct kt_log_reader *reader, struct tally *tally, kith_error *error)
{
    while (reader->line != reader->lines_end) { /* payloads are left untaken */
        json_t *action = NULL;
        uint64_t rows = 0;
        kith_status status = kt_log_next(reader, &action, error);
        if (status) return status;
        const char *what = json_string_value(json_object_get(action, "do"));
        kt_json_u64(action, "rows", KT_LARGEST_ROW, &rows);
        if (!strcmp(what, "add_fragment")) tally->added += rows;
        if (!strcmp(what, "delete")) tally->deleted += rows;
        if (!strcmp(what, "restore")) tally->restored = true;
        json_decref(action);
    }
    return KITH_OK;
}

static void describe(const struct kt_commit_header *header, struct kt_past_commit *out)
{
    *out = (struct kt_past_commit){ .commit = header->commit,
                                    .version = header->version,
                                    .time_us = header->time_us,
                                    .transactions = header->txn_count };
    memcpy(out->operation, header->operation, sizeof out->operation);
    kt_hex(header->txns[0].id, sizeof header->txns[0].id, out->transaction);
    for (uint32_t i = 0; i < header->txn_count && !out->key[0]; i++)
        if (header->txns[i].key) memcpy(out->key, header->txns[i].key, strlen(header->txns[i].key) + 1);
}

/* A version that this commit began, and the one before it; NULL where there is none. */
static void find_versions(const struct kt_state *state, uint64_t commit,
                          const struct kt_version_entry **began, const struct kt_version_entry **before)
{
    *began = *before = NULL;
    for (uint32_t i = state->version_count; i-- > 0 && state->versions[i].commit >= commit;) {
        if (state->versions[i].commit != commit) continue;
        *began = &state->versions[i];
        if (i && state->versions[i - 1].version + 1 == state->versions[i].version)
            *before = &state->versions[i - 1];
    }
}

static void count_rows(const struct kt_state *state, const struct tally *tally, struct kt_past_commit *out)
{
    const struct kt_version_entry *began, *before;
    find_versions(state, out->commit, &began, &before);
    out->upkeep = !began;
    if (!began) return; /* the rows are the same, whatever was written again */
    uint64_t had = before ? before->rows : 0;
    out->rows_added = tally->restored ? began->rows : tally->added;
    out->rows_removed = tally->deleted;
    if (before && had + out->rows_added >= began->rows)
        out->rows_removed = had + out->rows_added - began->rows;
}

/* One commit; KITH_NOT_FOUND where it was forgotten. */
static kith_status read_commit(struct kt_store *store, const struct kt_state *state, uint64_t commit,
                               struct kt_past_commit *out, kith_error *error)
{
    struct kt_buffer bytes = { 0 };
    struct kt_log_reader reader = { 0 };
    struct kt_commit_header header = { 0 };
    struct tally tally = { 0 };
    char name[KT_LOG_NAME];
    kith_error why = { 0 };
    kt_log_name(commit, KT_LOG_COMMIT, name);
    kith_status status = kt_io_read(store->log, name, KT_LARGEST_COMMIT, &bytes, &why);
    if (status == KITH_NOT_FOUND) return status;
    kt_json_watch();
    if (!status) status = kt_log_open(bytes.data, bytes.size, &reader, &why);
    if (!status) status = kt_record_read_header(reader.header, &header, &why);
    if (!status) status = count_actions(&reader, &tally, &why);
    status = kt_json_watched(status, &why);
    if (!status) {
        describe(&header, out);
        count_rows(state, &tally, out);
        out->bytes = bytes.size;
    }
    kt_txns_free(header.txns, header.txn_count);
    kt_log_close(&reader);
    kt_buffer_release(&bytes);
    return status ? kt_fail(error, status, "%s/%s: %.500s", kt_io_root(store->log), name, why.message)
                  : KITH_OK;
}

kith_status kt_store_history(struct kt_store *store, const struct kt_state *state, uint64_t most,
                             struct kt_buffer *out, kith_error *error)
{
    uint64_t below = kt_state_private_part(state)->below;
    for (uint64_t commit = state->commit; commit && commit >= below && most; commit--, most--) {
        struct kt_past_commit past;
        kith_status status = read_commit(store, state, commit, &past, error);
        if (status == KITH_NOT_FOUND) return KITH_OK; /* a clean-up came by; all before it are gone, too */
        if (!status && !kt_buffer_append(out, &past, sizeof past)) status = kt_fail_memory(error, out->size);
        if (status) return status;
    }
    return KITH_OK;
}
