/* From the bytes of commits and checkpoints to states; store_encode.c goes the other way.
 *
 * A checkpoint has the same form and the same actions as a commit (one `delete` for everything that is dead);
 * it differs in its header, in that its fragments may leave gaps between their row ids, and in three lines
 * that no commit has:
 *
 *   {"kith":1,"table":ID,"checkpoint":64,"hash":HASH,"version":50,"next_row":900,"time_us":T,"log_bytes":N,
 *    "below":0,"needs":[],"encryption":null}
 *   {"do":"versions","list":[[version,commit,time_us,rows,"operation"],...]}
 *   {"do":"removed","list":[["data/<id>.arrow",bytes,commit],...]}
 *   {"do":"txns","list":[["<32 digits>",commit,version,"key"],...]}, "key" only where there is one
 *
 * `hash` is that of the commit it covers, to which the next commit's `parent` must be equal: a checkpoint
 * that belongs to another history is found out by the first commit after it.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "storage/storage_private.h"

static const struct kt_blame FILE_IS_BAD = { KITH_CORRUPT, KITH_CORRUPT };

/* ---- actions */

static kith_status read_number(json_t *action, const char *key, uint64_t *out, kith_error *error)
{
    if (kt_json_u64(action, key, KT_LARGEST_ROW, out)) return KITH_OK;
    return kt_fail(error, KITH_CORRUPT, "an action has no '%s', or not a number", key);
}

static kith_status replay_versions(struct kt_state *state, json_t *list, kith_error *error)
{
    size_t at;
    json_t *item;
    if (!json_is_array(list)) return kt_fail(error, KITH_CORRUPT, "the list of versions is none");
    json_array_foreach(list, at, item)
    {
        json_int_t version, commit, time_us, rows;
        const char *operation;
        if (json_unpack(item, "[I,I,I,I,s]", &version, &commit, &time_us, &rows, &operation) ||
            !kt_operation_allowed(operation))
            return kt_fail(error, KITH_CORRUPT, "the list of versions has a bad entry");
        const struct kt_version_entry *last =
            state->version_count ? &state->versions[state->version_count - 1] : NULL;
        if (version < 1 || commit < 1 || rows < 0 ||
            (last && ((uint64_t)version <= last->version || (uint64_t)commit <= last->commit)))
            return kt_fail(error, KITH_CORRUPT, "the list of versions is out of order");
        struct kt_version_entry entry = { (uint64_t)version, (uint64_t)commit, time_us, (uint64_t)rows, "" };
        memcpy(entry.operation, operation, strlen(operation) + 1);
        kith_status status = kt_state_add_version(state, &entry, error);
        if (status) return status;
    }
    return KITH_OK;
}

static kith_status replay_txn(struct kt_state *state, json_t *item, kith_error *error)
{
    const char *id, *key = json_string_value(json_array_get(item, 3));
    json_int_t commit, version;
    struct kt_txn_seen txn = { 0 };
    if (json_unpack(item, "[s,I,I]", &id, &commit, &version) || !kt_unhex(id, sizeof txn.id, txn.id) ||
        commit < 1 || version < 1 || (json_array_size(item) > 3 && (!key || !kt_txn_key_allowed(key))))
        return kt_fail(error, KITH_CORRUPT, "the list of transactions has a bad entry");
    txn.commit = (uint64_t)commit;
    txn.version = (uint64_t)version;
    if (key && !(txn.key = kt_txn_key_new(key))) return kt_fail_memory(error, strlen(key));
    kith_status status = kt_state_add_txn(state, &txn, error);
    kt_shared_release(txn.key);
    return status;
}

static kith_status replay_txns(struct kt_state *state, json_t *list, kith_error *error)
{
    size_t at;
    json_t *item;
    if (!json_is_array(list)) return kt_fail(error, KITH_CORRUPT, "the list of transactions is none");
    json_array_foreach(list, at, item)
    {
        kith_status status = replay_txn(state, item, error);
        if (status) return status;
    }
    return KITH_OK;
}

static kith_status replay_removed(struct kt_state *state, json_t *list, bool orphans, kith_error *error)
{
    size_t at;
    json_t *item;
    if (!json_is_array(list)) return kt_fail(error, KITH_CORRUPT, "the list of removed files is none");
    json_array_foreach(list, at, item)
    {
        struct kt_removed_file file;
        if (!kt_record_read_removed(item, &file) || (orphans && file.commit))
            return kt_fail(error, KITH_CORRUPT, "the list of removed files has a bad entry");
        kith_status status = orphans ? kt_state_orphan(state, &file, FILE_IS_BAD, error)
                                     : kt_state_add_removed(state, &file, error);
        if (status) return status;
    }
    return KITH_OK;
}

static kith_status replay_gone(struct kt_state *state, json_t *list, kith_error *error)
{
    size_t at;
    json_t *item;
    if (!json_is_array(list)) return kt_fail(error, KITH_CORRUPT, "the list of files that are gone is none");
    json_array_foreach(list, at, item)
    {
        const char *name = json_string_value(item);
        kith_status status = kt_state_gone(state, name ? name : "", FILE_IS_BAD, error);
        if (status) return status;
    }
    return KITH_OK;
}

static kith_status
replay_fragment(struct kt_state *state, json_t *action, struct kt_log_reader *reader, kith_error *error,
                kith_status (*take)(struct kt_state *, struct kt_fragment *, struct kt_blame, kith_error *))
{
    struct kt_fragment fragment;
    kith_status status = kt_record_read_fragment(action, reader, &fragment, error);
    return status ? status : take(state, &fragment, FILE_IS_BAD, error);
}

static kith_status replay_piece(struct kt_state *state, json_t *action, kith_error *error)
{
    struct kt_piece piece;
    kith_status status = kt_record_read_piece(action, &piece, error);
    return status ? status : kt_state_add_piece(state, &piece, FILE_IS_BAD, error);
}

static kith_status replay_delete(struct kt_state *state, json_t *action, struct kt_log_reader *reader,
                                 kith_error *error)
{
    uint64_t rows, length;
    struct kt_bytes *runs = NULL;
    kith_status status = read_number(action, "rows", &rows, error);
    if (!status) status = read_number(action, "bytes", &length, error);
    if (!status) status = kt_log_take(reader, length, &runs, error);
    if (!status) status = kt_state_delete(state, runs, rows, FILE_IS_BAD, error);
    kt_bytes_release(runs);
    return status;
}

static kith_status replay_tag(struct kt_state *state, json_t *action, bool checkpoint, kith_error *error)
{
    uint64_t version, commit;
    const char *name = json_string_value(json_object_get(action, "name"));
    kith_status status = read_number(action, "version", &version, error);
    if (!status) status = read_number(action, "commit", &commit, error);
    if (status) return status;
    return checkpoint ? kt_state_restore_tag(state, name ? name : "", version, commit, FILE_IS_BAD, error)
                      : kt_state_set_tag(state, name ? name : "", version, commit, FILE_IS_BAD, error);
}

static kith_status replay(struct kt_state *state, json_t *action, struct kt_log_reader *reader,
                          bool checkpoint, kith_error *error)
{
    const char *verb = json_string_value(json_object_get(action, "do"));
    if (!strcmp(verb, "add_fragment"))
        return replay_fragment(state, action, reader, error,
                               checkpoint ? kt_state_restore_fragment : kt_state_add_fragment);
    if (!strcmp(verb, "replace_fragments"))
        return replay_fragment(state, action, reader, error, kt_state_replace_fragments);
    if (!strcmp(verb, "widen_fragment"))
        return replay_fragment(state, action, reader, error, kt_state_widen_fragment);
    if (!strcmp(verb, "remove_fragment")) {
        uint64_t first;
        kith_status status = read_number(action, "first_row", &first, error);
        return status ? status : kt_state_remove_fragment(state, first, FILE_IS_BAD, error);
    }
    if (!strcmp(verb, "restore")) return kt_state_clear(state, error);
    if (!strcmp(verb, "restore_fragment"))
        return replay_fragment(state, action, reader, error, kt_state_restore_fragment);
    if (!strcmp(verb, "tag")) return replay_tag(state, action, checkpoint, error);
    if (!strcmp(verb, "delete")) return replay_delete(state, action, reader, error);
    if (!strcmp(verb, "add_piece")) return replay_piece(state, action, error);
    if (!strcmp(verb, "remove_piece")) {
        const char *id = json_string_value(json_object_get(action, "id"));
        return kt_state_remove_piece(state, id ? id : "", FILE_IS_BAD, error);
    }
    if (!strcmp(verb, "schema"))
        return kt_state_set_schema(state, json_object_get(action, "schema"), FILE_IS_BAD, error);
    if (!strcmp(verb, "set_config")) {
        const char *key = json_string_value(json_object_get(action, "key"));
        return kt_state_set_config(state, key ? key : "", json_object_get(action, "value"), FILE_IS_BAD,
                                   error);
    }
    if (!strcmp(verb, "orphans")) return replay_removed(state, json_object_get(action, "list"), true, error);
    if (!strcmp(verb, "gone")) return replay_gone(state, json_object_get(action, "files"), error);
    if (!strcmp(verb, "forget")) {
        uint64_t below;
        kith_status status = read_number(action, "below", &below, error);
        return status ? status : kt_state_forget(state, below, FILE_IS_BAD, error);
    }
    if (!strcmp(verb, "drop")) {
        state->dropped = true;
        return KITH_OK;
    }
    if (checkpoint && !strcmp(verb, "versions"))
        return replay_versions(state, json_object_get(action, "list"), error);
    if (checkpoint && !strcmp(verb, "removed"))
        return replay_removed(state, json_object_get(action, "list"), false, error);
    if (checkpoint && !strcmp(verb, "txns"))
        return replay_txns(state, json_object_get(action, "list"), error);
    return kt_fail(error, KITH_UNSUPPORTED,
                   "it has the action '%.64s', which this Kith does not know; a newer Kith can read it",
                   verb);
}

static kith_status replay_all(struct kt_state *state, struct kt_log_reader *reader, bool checkpoint,
                              kith_error *error)
{
    for (;;) {
        json_t *action;
        kith_status status = kt_log_next(reader, &action, error);
        if (status || !action) return status;
        status = replay(state, action, reader, checkpoint, error);
        json_decref(action);
        if (status) return status;
    }
}

/* ---- commits */

static kith_status check_header(const struct kt_state *state, const struct kt_commit_header *header,
                                kith_error *error)
{
    if (header->commit != state->commit + 1)
        return kt_fail(error, KITH_CORRUPT, "it says to be commit %llu, expected %llu",
                       (unsigned long long)header->commit, (unsigned long long)state->commit + 1);
    if (state->commit && strcmp(header->table_id, state->table_id))
        return kt_fail(error, KITH_CORRUPT, "it belongs to table %s, the commits before it to %s",
                       header->table_id, state->table_id);
    if (header->parent != state->hash)
        return kt_fail(error, KITH_CORRUPT,
                       "it was made on top of another commit %llu (checksum %016llx, here %016llx)",
                       (unsigned long long)state->commit, (unsigned long long)header->parent,
                       (unsigned long long)state->hash);
    if (header->version != state->version + 1 && (header->version != state->version || !state->commit))
        return kt_fail(error, KITH_CORRUPT, "it says version %llu after %llu",
                       (unsigned long long)header->version, (unsigned long long)state->version);
    if (state->dropped) return kt_fail(error, KITH_CORRUPT, "it comes after the table was dropped");
    return KITH_OK;
}

kith_status kt_replay_commit(struct kt_state *state, const uint8_t *bytes, size_t size, kith_error *error)
{
    struct kt_log_reader reader = { 0 };
    struct kt_commit_header header = { 0 };
    kt_json_watch();
    kith_status status = kt_log_open(bytes, size, &reader, error);
    if (status) goto out;
    status = kt_record_read_header(reader.header, &header, error);
    if (status) goto out;
    status = check_header(state, &header, error);
    if (status) goto out;
    status = replay_all(state, &reader, false, error);
    if (status) goto out;
    status = kt_state_commit(state, &header, kt_hash(bytes, size), size, error);
out:
    kt_txns_free(header.txns, header.txn_count);
    kt_log_close(&reader);
    return kt_json_watched(status, error);
}

/* ---- checkpoints */

static kith_status checkpoint_header(struct kt_state *state, json_t *header, kith_error *error)
{
    struct kt_state_private *mine = kt_state_private_part(state);
    kith_status status = kt_record_check_needs(header, error);
    if (status) return status;
    json_t *time = json_object_get(header, "time_us");
    if (!kt_json_id(header, "table", state->table_id) ||
        !kt_json_u64(header, "checkpoint", INT64_MAX - 1, &state->commit) ||
        !kt_json_hash(header, "hash", &state->hash) ||
        !kt_json_u64(header, "version", INT64_MAX - 1, &state->version) ||
        !kt_json_u64(header, "next_row", KT_LARGEST_ROW, &state->next_row) || !state->commit ||
        !state->version || !kt_json_u64(header, "log_bytes", INT64_MAX - 1, &mine->log_bytes) ||
        !kt_json_u64(header, "below", state->commit, &mine->below) || !json_is_integer(time))
        return kt_fail(error, KITH_CORRUPT, "its header lacks a field or has a wrong one");
    state->time_us = json_integer_value(time);
    return KITH_OK;
}

kith_status kt_checkpoint_decode(const uint8_t *bytes, size_t size, struct kt_state **out, kith_error *error)
{
    struct kt_log_reader reader = { 0 };
    kt_json_watch();
    struct kt_state *state = kt_state_new();
    kith_status status =
        state ? kt_log_open(bytes, size, &reader, error) : kt_fail_memory(error, sizeof *state);
    if (status) goto out;
    status = checkpoint_header(state, reader.header, error);
    if (status) goto out;
    status = replay_all(state, &reader, true, error);
    if (status) goto out;
    const struct kt_version_entry *last =
        state->version_count ? &state->versions[state->version_count - 1] : NULL;
    if (!last || last->version != state->version || last->commit > state->commit) {
        status = kt_fail(error, KITH_CORRUPT, "its list of versions does not end with version %llu",
                         (unsigned long long)state->version);
        goto out;
    }
    status = kt_json_watched(status, error);
    if (status) goto out;
    *out = state;
    state = NULL; // now the caller's
out:
    kt_log_close(&reader);
    kt_state_release(state);
    return kt_json_watched(status, error);
}
