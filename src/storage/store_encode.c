/* From a state to its checkpoint; the form is drawn in store_replay.c. */
#include <string.h>

#include "base/alloc.h"
#include "storage/storage_private.h"

enum { ENTRIES_A_LINE = 256 };

/* Adds a line; takes it over, and NULL is memory that is out. */
static bool add(json_t *lines, json_t *line)
{
    return json_array_append_new(lines, line) == 0;
}

static bool add_config(json_t *lines, json_t *config)
{
    const char *key;
    json_t *value;
    json_object_foreach(config, key,
                        value) if (!add(lines, json_pack("{s:s,s:s,s:O}", "do", "set_config", "key", key,
                                                         "value", value))) return false;
    return true;
}

/* Begins a new line after so many entries, and returns its list, borrowed. */
static json_t *list_line(json_t *lines, json_t *list, const char *verb)
{
    if (list && json_array_size(list) < ENTRIES_A_LINE) return list;
    list = json_array();
    return list && add(lines, json_pack("{s:s,s:o}", "do", verb, "list", list)) ? list : NULL;
}

static bool add_versions(json_t *lines, const struct kt_state *state)
{
    json_t *list = NULL;
    for (uint32_t i = 0; i < state->version_count; i++) {
        const struct kt_version_entry *entry = &state->versions[i];
        list = list_line(lines, list, "versions");
        if (!list ||
            !add(list, json_pack("[I,I,I,I,s]", (json_int_t)entry->version, (json_int_t)entry->commit,
                                 (json_int_t)entry->time_us, (json_int_t)entry->rows, entry->operation)))
            return false;
    }
    return true;
}

static bool add_txns(json_t *lines, const struct kt_state_private *mine)
{
    json_t *list = NULL;
    for (uint32_t i = 0; i < mine->txn_count; i++) {
        char id[33];
        kt_hex(mine->txns[i].id, sizeof mine->txns[i].id, id);
        list = list_line(lines, list, "txns");
        const struct kt_txn_seen *txn = &mine->txns[i];
        json_t *item = json_pack("[s,I,I]", id, (json_int_t)txn->commit, (json_int_t)txn->version);
        if (item && txn->key && json_array_append_new(item, json_string(txn->key))) {
            json_decref(item);
            item = NULL;
        }
        if (!list || !add(list, item)) {
            if (!list) json_decref(item);
            return false;
        }
    }
    return true;
}

/* One `delete` for everything that is dead; `*runs` stays NULL when nothing is. */
static kith_status add_dead(json_t *lines, const struct kt_state *state, struct kt_bytes **runs,
                            kith_error *error)
{
    struct kt_runs dead = { 0 };
    kith_status status = KITH_OK;
    for (uint32_t i = 0; i < state->fragment_count && !status; i++)
        status = kt_runs_add_dead(&dead, &state->fragments[i], error);
    if (!status && dead.rows) status = kt_runs_end(&dead, runs, error);
    if (!status && dead.rows && !add(lines, kt_record_delete(dead.rows, *runs)))
        status = kt_fail_memory(error, (*runs)->size);
    kt_runs_release(&dead);
    return status;
}

kith_status kt_record_content(json_t *lines, const struct kt_state *state, const char *fragments,
                              struct kt_bytes **runs, kith_error *error)
{
    bool well = !state->schema || add(lines, json_pack("{s:s,s:O}", "do", "schema", "schema", state->schema));
    well = well && add_config(lines, state->config);
    for (uint32_t i = 0; well && i < state->fragment_count; i++)
        well = add(lines, kt_record_fragment(fragments, &state->fragments[i]));
    kith_status status = well ? add_dead(lines, state, runs, error) : KITH_NO_MEMORY;
    for (uint32_t i = 0; !status && i < state->piece_count; i++)
        if (!add(lines, kt_record_piece(&state->pieces[i]))) status = KITH_NO_MEMORY;
    return status == KITH_NO_MEMORY ? kt_fail_memory(error, state->fragment_count * sizeof *state->fragments)
                                    : status;
}

static bool add_removed(json_t *lines, const struct kt_state_private *mine)
{
    json_t *list = NULL;
    for (uint32_t i = 0; i < mine->removed_count; i++) {
        list = list_line(lines, list, "removed");
        if (!list || !add(list, kt_record_removed(&mine->removed[i]))) return false;
    }
    return true;
}

static bool add_tags(json_t *lines, const struct kt_state *state)
{
    bool well = true;
    for (uint32_t i = 0; i < state->tag_count && well; i++) {
        const struct kt_tag *tag = &state->tags[i];
        well = add(lines, kt_record_tag(tag->name, tag->version, tag->commit));
    }
    return well;
}

static kith_status add_state(json_t *lines, const struct kt_state *state, struct kt_bytes **runs,
                             kith_error *error)
{
    const struct kt_state_private *mine = kt_state_private_part(state);
    char hash[17];
    kt_hash_text(state->hash, hash);
    bool well =
        add(lines, json_pack("{s:i,s:s,s:I,s:s,s:I,s:I,s:I,s:I,s:I,s:[],s:n}", "kith", KT_FORMAT, "table",
                             state->table_id, "checkpoint", (json_int_t)state->commit, "hash", hash,
                             "version", (json_int_t)state->version, "next_row", (json_int_t)state->next_row,
                             "time_us", (json_int_t)state->time_us, "log_bytes", (json_int_t)mine->log_bytes,
                             "below", (json_int_t)mine->below, "needs", "encryption"));
    kith_status status = well ? kt_record_content(lines, state, "add_fragment", runs, error) : KITH_NO_MEMORY;
    if (status && well) return status;
    if (well && add_versions(lines, state) && add_tags(lines, state) && add_removed(lines, mine) &&
        add_txns(lines, mine))
        return KITH_OK;
    return kt_fail_memory(error, state->version_count * sizeof *state->versions);
}

kith_status kt_checkpoint_encode(const struct kt_state *state, struct kt_buffer *out, kith_error *error)
{
    size_t count = 0;
    kt_json_watch();
    json_t *lines = json_array();
    struct kt_bytes **payloads = kt_alloc_array(2 * (size_t)state->fragment_count + 1, sizeof *payloads);
    struct kt_bytes *runs = NULL;
    kith_status status = !lines || !payloads ? kt_fail_memory(error, state->fragment_count * sizeof *payloads)
                                             : add_state(lines, state, &runs, error);
    if (status) goto out;
    for (uint32_t i = 0; i < state->fragment_count; i++) {
        const struct kt_fragment *fragment = &state->fragments[i];
        if (fragment->inline_rows) payloads[count++] = fragment->inline_rows;
        if (fragment->holes) payloads[count++] = fragment->holes;
    }
    if (runs) payloads[count++] = runs;
    status = kt_json_watched(KITH_OK, error);
    if (!status) status = kt_log_encode(lines, payloads, count, KT_LARGEST_CHECKPOINT, out, error);
out:
    json_decref(lines);
    kt_bytes_release(runs);
    kt_free(payloads);
    return status;
}

kith_status kt_record_void(const struct kt_state *on, const char *operation, const uint8_t txn[16],
                           int64_t time_us, struct kt_buffer *out, kith_error *error)
{
    struct kt_txn_seen seen = { 0 };
    struct kt_commit_header header = { .commit = on->commit + 1,
                                       .version = on->version,
                                       .parent = on->hash,
                                       .time_us = time_us,
                                       .txns = &seen,
                                       .txn_count = 1 };
    memcpy(seen.id, txn, sizeof seen.id);
    memcpy(header.table_id, on->table_id, sizeof header.table_id);
    memcpy(header.operation, operation, strlen(operation) + 1);
    kt_json_watch();
    json_t *lines = json_array();
    kith_status status = KITH_OK;
    if (!lines || !add(lines, kt_record_header(&header))) status = kt_fail_memory(error, 256);
    status = kt_json_watched(status, error);
    if (!status) status = kt_log_encode(lines, NULL, 0, KT_LARGEST_COMMIT, out, error);
    json_decref(lines);
    return status;
}
