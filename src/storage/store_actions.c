/* The actions of a transaction: each is done to the state that is being prepared and noted as a line of the
 * commit, with its payload if it has one.
 *
 * What a caller gives is copied first, so that the state holds nothing that can change under it. When an
 * action fails the attempt has failed: the state may have half of it, and both are thrown away.
 */
#include <string.h>

#include "base/alloc.h"
#include "storage/json.h"
#include "storage/storage_private.h"

static const struct kt_blame CALLER_IS_WRONG = { KITH_INVALID, KITH_CONFLICT };

/* ---- noting */

static kith_status check_open(const struct kt_txn *txn, kith_error *error)
{
    return txn->state ? KITH_OK
                      : kt_fail(error, KITH_INVALID,
                                "actions are added while a transaction is prepared, not before or after");
}

/* A file of our own: unless we stood still for so long that a clean-up took us for dead. It says so by a
 * commit before it removes anything, so in the state that this one is put on top of the file is in the list
 * of those that may be removed, or, where even that is history, not on disk; or no clean-up can remove it any
 * more, for it will find it named. (store_orphans.c) */
static kith_status check_own(const struct kt_txn *txn, const char *name, kith_error *error)
{
    kith_status status = KITH_NOT_FOUND;
    if (!kt_state_has_removed(txn->state, name)) status = kt_io_look(txn->store->io, name, error);
    if (status != KITH_NOT_FOUND) return status;
    return kt_fail(
        error, KITH_CONFLICT,
        "the file '%.55s', written for this %s, is gone: a clean-up took it for one that a writer had left "
        "a day ago; give the data again",
        name, txn->operation);
}

/* A file of an earlier commit may be named again, as by a fragment that gets another column; but not one that
 * may have been removed meanwhile. */
static kith_status check_file(const struct kt_txn *txn, const struct kt_stored_file *file, kith_error *error)
{
    for (uint32_t i = 0; i < txn->created; i++)
        if (!strcmp(txn->files[i].name, file->name)) return check_own(txn, file->name, error);
    if (kt_state_can_name(txn->state, file->name)) return KITH_OK;
    return kt_fail(error, KITH_CONFLICT,
                   "the file '%.55s', needed by %s, was removed from the table by another", file->name,
                   txn->operation);
}

/* Takes over `line`; NULL means that memory was out. */
static kith_status note(struct kt_txn *txn, json_t *line, kith_error *error)
{
    return json_array_append_new(txn->lines, line) ? kt_fail_memory(error, 64) : KITH_OK;
}

static kith_status note_payload(struct kt_txn *txn, struct kt_bytes *bytes, kith_error *error)
{
    struct kt_bytes **payloads = kt_realloc_array(txn->payloads, txn->payload_count + 1, sizeof *payloads);
    if (!payloads) return kt_fail_memory(error, sizeof *payloads);
    txn->payloads = payloads;
    payloads[txn->payload_count++] = kt_bytes_share(bytes);
    return KITH_OK;
}

static kith_status note_fragment_payloads(struct kt_txn *txn, const struct kt_fragment *fragment,
                                          kith_error *error)
{
    kith_status status = KITH_OK;
    if (fragment->inline_rows) status = note_payload(txn, fragment->inline_rows, error);
    if (!status && fragment->holes) status = note_payload(txn, fragment->holes, error);
    return status;
}

/* ---- the actions */

kith_status kt_txn_set_schema(struct kt_txn *txn, json_t *schema, kith_error *error)
{
    kith_status status = check_open(txn, error);
    if (status) return status;
    json_t *copy = kt_json_copy(schema);
    if (!copy) return kt_fail_memory(error, 64);
    status = kt_state_set_schema(txn->state, copy, CALLER_IS_WRONG, error);
    if (!status) status = note(txn, json_pack("{s:s,s:O}", "do", "schema", "schema", copy), error);
    json_decref(copy);
    return status;
}

kith_status kt_txn_set_config(struct kt_txn *txn, const char *key, json_t *value, kith_error *error)
{
    kith_status status = check_open(txn, error);
    if (status) return status;
    json_t *copy = value ? kt_json_copy(value) : json_null();
    if (!copy) return kt_fail_memory(error, 64);
    status = kt_state_set_config(txn->state, key, copy, CALLER_IS_WRONG, error);
    if (!status)
        status = note(txn, json_pack("{s:s,s:s,s:O}", "do", "set_config", "key", key, "value", copy), error);
    json_decref(copy);
    return status;
}

static kith_status
put_fragment(struct kt_txn *txn, struct kt_fragment *fragment, const char *action, kith_error *error,
             kith_status (*take)(struct kt_state *, struct kt_fragment *, struct kt_blame, kith_error *))
{
    kith_status status = KITH_OK;
    for (uint32_t i = 0; i < fragment->group_count && !status; i++)
        status = check_file(txn, &fragment->groups[i].file, error);
    if (!status) status = note(txn, kt_record_fragment(action, fragment), error);
    if (!status) status = note_fragment_payloads(txn, fragment, error);
    if (!status) return take(txn->state, fragment, CALLER_IS_WRONG, error);
    kt_fragment_release(fragment);
    return status;
}

kith_status kt_txn_add_fragment(struct kt_txn *txn, const struct kt_fragment *fragment, kith_error *error)
{
    struct kt_fragment copy;
    kith_status status = check_open(txn, error);
    if (!status) status = kt_fragment_copy(fragment, &copy, error);
    if (status) return status;
    copy.first_row = txn->state->next_row;
    return put_fragment(txn, &copy, "add_fragment", error, kt_state_add_fragment);
}

/* Ends `runs` and deletes them. */
static kith_status put_delete(struct kt_txn *txn, struct kt_runs *runs, kith_error *error)
{
    struct kt_bytes *bytes = NULL;
    if (!runs->rows) return KITH_OK;
    kith_status status = kt_runs_end(runs, &bytes, error);
    if (!status) status = note(txn, kt_record_delete(runs->rows, bytes), error);
    if (!status) status = note_payload(txn, bytes, error);
    if (!status) status = kt_state_delete(txn->state, bytes, runs->rows, CALLER_IS_WRONG, error);
    kt_bytes_release(bytes);
    return status;
}

kith_status kt_txn_delete(struct kt_txn *txn, const uint64_t *rows, size_t count, kith_error *error)
{
    struct kt_runs runs = { 0 };
    kith_status status = check_open(txn, error);
    for (size_t i = 0; i < count && !status; i++) {
        if ((i && rows[i] <= rows[i - 1]) || rows[i] >= KT_LARGEST_ROW)
            status = kt_fail(error, KITH_INVALID, "row %llu cannot come at this place of what is deleted",
                             (unsigned long long)rows[i]);
        else
            status = kt_runs_add(&runs, rows[i], rows[i] + 1, error);
    }
    if (!status) status = put_delete(txn, &runs, error);
    kt_runs_release(&runs);
    return status;
}

static kith_status check_inputs(const struct kt_fragment *fragment, const struct kt_state *then,
                                kith_error *error)
{
    uint64_t first = fragment->first_row, end = kt_fragment_end(fragment);
    uint64_t lived = end > first ? kt_state_live_within(then, first, end) : 0;
    if (fragment->rows == lived) return KITH_OK;
    return kt_fail(error, KITH_INVALID, "%llu rows cannot replace rows %llu to %llu, of which %llu lived",
                   (unsigned long long)fragment->rows, (unsigned long long)first, (unsigned long long)end,
                   (unsigned long long)lived);
}

static kith_status say_holes(struct kt_fragment *fragment, const struct kt_state *then, kith_error *error)
{
    struct kt_runs holes = { 0 };
    kith_status status =
        kt_runs_add_holes(&holes, then, fragment->first_row, kt_fragment_end(fragment), error);
    if (!status && holes.rows) status = kt_runs_end(&holes, &fragment->holes, error);
    if (!status) status = kt_fragment_read_holes(fragment, KITH_INVALID, error);
    kt_runs_release(&holes);
    return status;
}

kith_status kt_txn_replace_fragments(struct kt_txn *txn, const struct kt_fragment *fragment,
                                     const struct kt_state *then, kith_error *error)
{
    struct kt_fragment copy;
    struct kt_runs died = { 0 };
    kith_status status = check_open(txn, error);
    if (!status) status = kt_fragment_copy(fragment, &copy, error);
    if (status) return status;
    uint64_t first = copy.first_row, end = kt_fragment_end(&copy);
    status = check_inputs(&copy, then, error);
    if (!status) status = say_holes(&copy, then, error);
    if (!status) status = kt_state_died_since(txn->state, then, first, end, &died, error);
    if (status)
        kt_fragment_release(&copy);
    else
        status = put_fragment(txn, &copy, "replace_fragments", error, kt_state_replace_fragments);
    if (!status) status = put_delete(txn, &died, error);
    kt_runs_release(&died);
    return status;
}

kith_status kt_txn_widen_fragment(struct kt_txn *txn, const struct kt_fragment *fragment, kith_error *error)
{
    struct kt_fragment copy;
    kith_status status = check_open(txn, error);
    if (!status) status = kt_fragment_copy(fragment, &copy, error);
    return status ? status : put_fragment(txn, &copy, "widen_fragment", error, kt_state_widen_fragment);
}

kith_status kt_txn_remove_fragment(struct kt_txn *txn, uint64_t first_row, kith_error *error)
{
    kith_status status = check_open(txn, error);
    if (!status) status = kt_state_remove_fragment(txn->state, first_row, CALLER_IS_WRONG, error);
    if (status) return status;
    return note(txn, json_pack("{s:s,s:I}", "do", "remove_fragment", "first_row", (json_int_t)first_row),
                error);
}

kith_status kt_txn_add_piece(struct kt_txn *txn, const struct kt_piece *piece, kith_error *error)
{
    struct kt_piece copy;
    kith_status status = check_open(txn, error);
    if (!status) status = kt_piece_copy(piece, &copy, error);
    if (status) return status;
    status = check_file(txn, &copy.file, error);
    if (!status) status = note(txn, kt_record_piece(&copy), error);
    if (!status) return kt_state_add_piece(txn->state, &copy, CALLER_IS_WRONG, error);
    kt_piece_release(&copy);
    return status;
}

kith_status kt_txn_remove_piece(struct kt_txn *txn, const char *id, kith_error *error)
{
    kith_status status = check_open(txn, error);
    if (!status) status = kt_state_remove_piece(txn->state, id, CALLER_IS_WRONG, error);
    return status ? status : note(txn, json_pack("{s:s,s:s}", "do", "remove_piece", "id", id), error);
}

/* ---- tags and what was */

kith_status kt_txn_set_tag(struct kt_txn *txn, const char *name, uint64_t version, kith_error *error)
{
    static const struct kt_blame blame = { KITH_INVALID, KITH_NOT_FOUND };
    kith_status status = check_open(txn, error);
    if (!status) status = kt_json_watched(KITH_OK, error); /* the checkpoint watches anew */
    if (status) return status;
    kt_txn_maintenance(txn);
    uint64_t commit = version ? kt_state_commit_of(txn->state, version) : 0;
    if (commit) status = kt_store_keep_checkpoint(txn->store, commit, error);
    if (!status) status = kt_state_set_tag(txn->state, name, version, commit, blame, error);
    return status ? status : note(txn, kt_record_tag(name, version, commit), error);
}

/* Whether the files of `old` are still there for sure: its commit is not forgotten, or has a tag. */
static bool is_kept(const struct kt_state *state, const struct kt_state *old)
{
    if (old->commit >= kt_state_private_part(state)->below) return true;
    for (uint32_t i = 0; i < state->tag_count; i++)
        if (state->tags[i].commit == old->commit) return true;
    return false;
}

static kith_status note_content(struct kt_txn *txn, const struct kt_state *old, kith_error *error)
{
    struct kt_bytes *runs = NULL;
    kith_status status =
        note(txn, json_pack("{s:s,s:I}", "do", "restore", "version", (json_int_t)old->version), error);
    if (!status) status = kt_record_content(txn->lines, old, "restore_fragment", &runs, error);
    for (uint32_t i = 0; i < old->fragment_count && !status; i++)
        status = note_fragment_payloads(txn, &old->fragments[i], error);
    if (!status && runs) status = note_payload(txn, runs, error);
    kt_bytes_release(runs);
    return status;
}

static kith_status take_content(struct kt_state *state, const struct kt_state *old, kith_error *error)
{
    kith_status status = kt_state_clear(state, error);
    if (!status && old->schema) status = kt_state_set_schema(state, old->schema, CALLER_IS_WRONG, error);
    if (status) return status;
    json_decref(state->config);
    state->config = json_incref(old->config);
    for (uint32_t i = 0; i < old->fragment_count && !status; i++) {
        struct kt_fragment fragment = kt_fragment_share(&old->fragments[i]);
        status = kt_state_restore_fragment(state, &fragment, CALLER_IS_WRONG, error);
    }
    for (uint32_t i = 0; i < old->piece_count && !status; i++) {
        struct kt_piece piece;
        status = kt_piece_copy(&old->pieces[i], &piece, error);
        if (!status) status = kt_state_add_piece(state, &piece, CALLER_IS_WRONG, error);
    }
    return status;
}

kith_status kt_txn_restore(struct kt_txn *txn, const struct kt_state *old, kith_error *error)
{
    kith_status status = check_open(txn, error);
    if (status) return status;
    if (strcmp(old->table_id, txn->state->table_id))
        return kt_fail(error, KITH_INVALID, "a table cannot be restored to the state of another");
    if (!is_kept(txn->state, old))
        return kt_fail(error, KITH_NOT_FOUND, "version %llu is no longer kept",
                       (unsigned long long)old->version);
    status = take_content(txn->state, old, error);
    return status ? status : note_content(txn, old, error);
}

/* ---- forgetting */

static kith_status note_gone(struct kt_txn *txn, json_t *names, kith_error *error)
{
    if (!json_array_size(names)) return KITH_OK;
    return note(txn, json_pack("{s:s,s:O}", "do", "gone", "files", names), error);
}

static kith_status put_gone(struct kt_txn *txn, const struct kt_removed_file *gone, size_t count,
                            kith_error *error)
{
    enum { NAMES_A_LINE = 256 };
    json_t *names = json_array();
    kith_status status = names ? KITH_OK : kt_fail_memory(error, 64);
    for (size_t i = 0; i < count && !status; i++) {
        if (kt_state_gone(txn->state, gone[i].name, CALLER_IS_WRONG, NULL))
            continue; /* somebody else said so */
        if (json_array_append_new(names, json_string(gone[i].name))) status = kt_fail_memory(error, 64);
        if (status || json_array_size(names) < NAMES_A_LINE) continue;
        status = note_gone(txn, names, error);
        json_decref(names);
        names = json_array();
        if (!status && !names) status = kt_fail_memory(error, 64);
    }
    if (!status) status = note_gone(txn, names, error);
    json_decref(names);
    return status;
}

kith_status kt_txn_forget(struct kt_txn *txn, uint64_t below, const struct kt_removed_file *gone,
                          size_t count, kith_error *error)
{
    kith_status status = check_open(txn, error);
    if (status) return status;
    kt_txn_maintenance(txn);
    status = put_gone(txn, gone, count, error);
    if (!status) status = kt_state_forget(txn->state, below, CALLER_IS_WRONG, error);
    return status ? status : note(txn, kt_record_forget(below), error);
}

kith_status kt_txn_orphans(struct kt_txn *txn, const struct kt_removed_file *files, size_t count,
                           kith_error *error)
{
    json_t *list = json_array();
    kith_status status = check_open(txn, error);
    kt_txn_maintenance(txn);
    for (size_t i = 0; i < count && !status; i++) {
        status = kt_state_orphan(txn->state, &files[i], CALLER_IS_WRONG, error);
        if (!status && json_array_append_new(list, kt_record_removed(&files[i])))
            status = kt_fail_memory(error, sizeof *files);
    }
    if (!status) status = note(txn, json_pack("{s:s,s:O}", "do", "orphans", "list", list), error);
    json_decref(list);
    return status;
}

kith_status kt_txn_drop(struct kt_txn *txn, kith_error *error)
{
    kith_status status = check_open(txn, error);
    if (status) return status;
    txn->state->dropped = true;
    return note(txn, json_pack("{s:s}", "do", "drop"), error);
}
