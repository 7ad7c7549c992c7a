/* What stands in a line of the log: headers, fragments and pieces as JSON, there and back.
 *
 *   header
 * {"kith":1,"table":ID,"commit":7,"version":5,"parent":HASH,"txns":[{"id":ID,"key":"..."}],"time_us":T,
 *              "operation":"append","needs":[],"encryption":null}
 *   fragment  {"do":"add_fragment","first_row":0,"rows":9,"span":12,"files":[FILE with "fields":[0,1]],
 *              "inline":812,"stats":{}}; with "span" where it is not "rows",
 *              and "holes", the bytes of a payload of runs as `delete` has it
 *   piece     {"do":"add_piece","id":ID,"index":"v_idx","file":FILE,"covers":[[0,9]],"meta":{}}
 *   FILE      {"name":"data/ab12.arrow","length":N,"table":N,"tail":HASH,"block":16384}
 *
 * HASH is 16, ID 32 hexadecimal digits. `parent` is the XXH3 of the whole file of the commit before, zero
 * for the first. A later Kith that adds what an older one must not ignore names it in `needs`; other keys
 * that are not known here are ignored. Reading checks forms and types; what a fragment or piece may be is
 * checked where the state takes it (store_state.c), for a log and for a transaction alike.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "storage/storage_private.h"

enum { MOST_FIELDS = 65536, MOST_GROUPS = 65536 };

/* ---- small values */

void kt_hash_text(uint64_t hash, char out[17])
{
    uint64_t big_endian = __builtin_bswap64(hash);
    kt_hex(&big_endian, sizeof big_endian, out);
}

bool kt_json_u64(json_t *object, const char *key, uint64_t largest, uint64_t *out)
{
    json_t *value = json_object_get(object, key);
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (uint64_t)number > largest) return false;
    *out = (uint64_t)number;
    return true;
}

bool kt_json_hash(json_t *object, const char *key, uint64_t *out)
{
    const char *text = json_string_value(json_object_get(object, key));
    uint64_t big_endian;
    if (!text || !kt_unhex(text, sizeof big_endian, &big_endian)) return false;
    *out = __builtin_bswap64(big_endian);
    return true;
}

bool kt_json_id(json_t *object, const char *key, char out[33])
{
    const char *text = json_string_value(json_object_get(object, key));
    uint8_t bytes[16];
    if (!text || !kt_unhex(text, sizeof bytes, bytes)) return false;
    memcpy(out, text, 33);
    return true;
}

bool kt_operation_allowed(const char *operation)
{
    size_t length = strlen(operation);
    return length && length < 16 && strspn(operation, "abcdefghijklmnopqrstuvwxyz_") == length;
}

/* ---- headers */

static json_t *record_txn(const struct kt_txn_seen *txn)
{
    char id[33];
    kt_hex(txn->id, sizeof txn->id, id);
    return txn->key ? json_pack("{s:s,s:s}", "id", id, "key", txn->key) : json_pack("{s:s}", "id", id);
}

json_t *kt_record_header(const struct kt_commit_header *header)
{
    char parent[17];
    bool well = true;
    json_t *txns = json_array(), *record = NULL;
    for (uint32_t i = 0; i < header->txn_count && well; i++)
        well = json_array_append_new(txns, record_txn(&header->txns[i])) == 0;
    kt_hash_text(header->parent, parent);
    if (txns && well)
        record =
            json_pack("{s:i,s:s,s:I,s:I,s:s,s:O,s:I,s:s,s:[],s:n}", "kith", KT_FORMAT, "table",
                      header->table_id, "commit", (json_int_t)header->commit, "version",
                      (json_int_t)header->version, "parent", parent, "txns", txns, "time_us",
                      (json_int_t)header->time_us, "operation", header->operation, "needs", "encryption");
    json_decref(txns);
    return record;
}

kith_status kt_record_check_needs(json_t *header, kith_error *error)
{
    uint64_t format;
    json_t *needs = json_object_get(header, "needs"), *encryption = json_object_get(header, "encryption");
    if (!kt_json_u64(header, "kith", INT64_MAX, &format) || !format)
        return kt_fail(error, KITH_CORRUPT, "its header has no format version");
    if (format > KT_FORMAT)
        return kt_fail(error, KITH_UNSUPPORTED,
                       "it has format version %llu, this Kith reads up to %d; a newer Kith can read it",
                       (unsigned long long)format, KT_FORMAT);
    if (!json_is_array(needs))
        return kt_fail(error, KITH_CORRUPT, "its header has no list of needed features");
    if (json_array_size(needs)) {
        const char *name = json_string_value(json_array_get(needs, 0));
        return kt_fail(error, KITH_UNSUPPORTED,
                       "it needs the feature '%.64s', which this Kith has not; a newer Kith can read it",
                       name ? name : "?");
    }
    if (encryption && !json_is_null(encryption))
        return kt_fail(error, KITH_UNSUPPORTED,
                       "it is encrypted, which this Kith cannot read; a newer Kith can");
    return KITH_OK;
}

void kt_txns_free(struct kt_txn_seen *txns, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) kt_shared_release(txns[i].key);
    kt_free(txns);
}

bool kt_txn_key_allowed(const char *key)
{
    size_t length = strlen(key);
    return length && length <= KT_LONGEST_KEY;
}

char *kt_txn_key_new(const char *key)
{
    size_t bytes = strlen(key) + 1;
    char *shared = kt_shared_new(bytes);
    if (shared) memcpy(shared, key, bytes);
    return shared;
}

static kith_status read_txn(json_t *record, struct kt_txn_seen *out, kith_error *error)
{
    char id[33];
    json_t *key = json_object_get(record, "key");
    if (!kt_json_id(record, "id", id) || !kt_unhex(id, sizeof out->id, out->id) ||
        (key && (!json_is_string(key) || !kt_txn_key_allowed(json_string_value(key)))))
        return kt_fail(error, KITH_CORRUPT, "a transaction in its header lacks an id or has a wrong key");
    out->key = key ? kt_txn_key_new(json_string_value(key)) : NULL;
    return key && !out->key ? kt_fail_memory(error, KT_LONGEST_KEY) : KITH_OK;
}

static kith_status read_txns(json_t *list, struct kt_commit_header *out, kith_error *error)
{
    size_t at;
    json_t *record;
    size_t count = json_array_size(list);
    if (!count || count > KT_TXNS_KEPT)
        return kt_fail(error, KITH_CORRUPT, "its header names %zu transactions", count);
    out->txns = kt_alloc_zero(count, sizeof *out->txns);
    if (!out->txns) return kt_fail_memory(error, count * sizeof *out->txns);
    json_array_foreach(list, at, record)
    {
        kith_status status = read_txn(record, &out->txns[at], error);
        out->txn_count = (uint32_t)at + 1;
        if (!status) continue;
        kt_txns_free(out->txns, out->txn_count);
        out->txns = NULL;
        out->txn_count = 0;
        return status;
    }
    return KITH_OK;
}

kith_status kt_record_read_header(json_t *record, struct kt_commit_header *out, kith_error *error)
{
    kith_status status = kt_record_check_needs(record, error);
    if (status) return status;
    const char *operation = json_string_value(json_object_get(record, "operation"));
    json_t *time = json_object_get(record, "time_us");
    bool well = kt_json_id(record, "table", out->table_id) &&
                kt_json_u64(record, "commit", INT64_MAX - 1, &out->commit) &&
                kt_json_u64(record, "version", INT64_MAX - 1, &out->version) &&
                kt_json_hash(record, "parent", &out->parent) && json_is_integer(time) && operation &&
                kt_operation_allowed(operation);
    if (!well) return kt_fail(error, KITH_CORRUPT, "its header lacks a field or has a wrong one");
    out->time_us = json_integer_value(time);
    memcpy(out->operation, operation, strlen(operation) + 1);
    return read_txns(json_object_get(record, "txns"), out, error);
}

/* ---- files */

static json_t *record_file(const struct kt_stored_file *file)
{
    char tail[17];
    kt_hash_text(file->seal.tail, tail);
    return json_pack("{s:s,s:I,s:I,s:s,s:I}", "name", file->name, "length", (json_int_t)file->seal.length,
                     "table", (json_int_t)file->seal.table, "tail", tail, "block",
                     (json_int_t)file->seal.block_bytes);
}

static bool read_file(json_t *record, struct kt_stored_file *out)
{
    const char *name = json_string_value(json_object_get(record, "name"));
    uint64_t block;
    if (!name || strlen(name) >= sizeof out->name) return false;
    memset(out, 0, sizeof *out);
    memcpy(out->name, name, strlen(name) + 1);
    if (!kt_json_u64(record, "length", INT64_MAX, &out->seal.length) ||
        !kt_json_u64(record, "table", INT64_MAX, &out->seal.table) ||
        !kt_json_hash(record, "tail", &out->seal.tail) || !kt_json_u64(record, "block", UINT32_MAX, &block))
        return false;
    out->seal.block_bytes = (uint32_t)block;
    return true;
}

/* ---- fragments */

static json_t *record_group(const struct kt_column_group *group)
{
    json_t *record = record_file(&group->file), *fields = json_array();
    bool well = record && fields;
    for (uint32_t i = 0; well && i < group->field_count; i++)
        well = json_array_append_new(fields, json_integer(group->fields[i])) == 0;
    if (well && json_object_set(record, "fields", fields)) well = false;
    json_decref(fields);
    if (well) return record;
    json_decref(record);
    return NULL;
}

/* Takes over `value`; false also when it is NULL, that is, when memory is out. */
static bool put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

json_t *kt_record_fragment(const char *action, const struct kt_fragment *fragment)
{
    json_t *files = json_array();
    json_t *record = json_pack("{s:s,s:I,s:I}", "do", action, "first_row", (json_int_t)fragment->first_row,
                               "rows", (json_int_t)fragment->rows);
    bool well = files && record;
    for (uint32_t i = 0; well && i < fragment->group_count; i++)
        well = json_array_append_new(files, record_group(&fragment->groups[i])) == 0;
    well = well && json_object_set(record, "files", files) == 0;
    if (fragment->span != fragment->rows)
        well = well && put(record, "span", json_integer((json_int_t)fragment->span));
    if (fragment->holes) well = well && put(record, "holes", json_integer((json_int_t)fragment->holes->size));
    if (fragment->inline_rows)
        well = well && put(record, "inline", json_integer((json_int_t)fragment->inline_rows->size));
    if (fragment->stats) well = well && json_object_set(record, "stats", fragment->stats) == 0;
    json_decref(files);
    if (well) return record;
    json_decref(record);
    return NULL;
}

static bool count_fields(json_t *files, size_t *total)
{
    size_t at;
    json_t *file;
    *total = 0;
    if (!json_is_array(files) || json_array_size(files) > MOST_GROUPS) return false;
    json_array_foreach(files, at, file)
    {
        json_t *fields = json_object_get(file, "fields");
        if (!json_is_array(fields)) return false;
        *total += json_array_size(fields);
        if (*total > MOST_FIELDS) return false;
    }
    return true;
}

static bool read_group(json_t *record, int32_t *fields, struct kt_column_group *out)
{
    size_t at;
    json_t *field, *list = json_object_get(record, "fields");
    out->fields = fields;
    out->field_count = (uint32_t)json_array_size(list);
    json_array_foreach(list, at, field)
    {
        json_int_t id = json_integer_value(field);
        if (!json_is_integer(field) || id < 0 || id > INT32_MAX) return false;
        fields[at] = (int32_t)id;
    }
    return read_file(record, &out->file);
}

kith_status kt_record_read_fragment(json_t *record, struct kt_log_reader *reader, struct kt_fragment *out,
                                    kith_error *error)
{
    struct kt_fragment fragment = { 0 };
    json_t *files = json_object_get(record, "files"), *file;
    size_t total, at;
    kith_status status = KITH_OK;
    if (!kt_json_u64(record, "first_row", KT_LARGEST_ROW, &fragment.first_row) ||
        !kt_json_u64(record, "rows", KT_LARGEST_ROW, &fragment.rows) || !count_fields(files, &total))
        return kt_fail(error, KITH_CORRUPT, "a fragment lacks a field or has a wrong one");
    fragment.span = fragment.rows;
    if (json_object_get(record, "span") && !kt_json_u64(record, "span", KT_LARGEST_ROW, &fragment.span))
        return kt_fail(error, KITH_CORRUPT, "a fragment has a wrong span");

    fragment.group_count = (uint32_t)json_array_size(files);
    fragment.groups = kt_shared_new(fragment.group_count * sizeof *fragment.groups + total * sizeof(int32_t));
    if (!fragment.groups) return kt_fail_memory(error, total * sizeof(int32_t));
    int32_t *fields = (int32_t *)(void *)(fragment.groups + fragment.group_count);
    json_array_foreach(files, at, file)
    {
        if (!read_group(file, fields, &fragment.groups[at])) {
            status = kt_fail(error, KITH_CORRUPT,
                             "file %zu of the fragment at row %llu lacks a field or has a wrong one", at,
                             (unsigned long long)fragment.first_row);
            goto out;
        }
        fields += fragment.groups[at].field_count;
    }
    uint64_t length;
    if (json_object_get(record, "inline")) {
        if (!kt_json_u64(record, "inline", KT_LARGEST_CHECKPOINT, &length)) length = UINT64_MAX;
        status = kt_log_take(reader, length, &fragment.inline_rows, error);
        if (status) goto out;
    }
    if (json_object_get(record, "holes")) {
        if (!kt_json_u64(record, "holes", KT_LARGEST_CHECKPOINT, &length)) length = UINT64_MAX;
        status = kt_log_take(reader, length, &fragment.holes, error);
        if (status) goto out;
    }
    status = kt_fragment_read_holes(&fragment, KITH_CORRUPT, error);
    if (status) goto out;
    fragment.stats = json_incref(json_object_get(record, "stats"));
    *out = fragment;
    fragment = (struct kt_fragment){ 0 }; // now the caller's
out:
    kt_fragment_release(&fragment);
    return status;
}

json_t *kt_record_forget(uint64_t below)
{
    return json_pack("{s:s,s:I}", "do", "forget", "below", (json_int_t)below);
}

json_t *kt_record_removed(const struct kt_removed_file *file)
{
    return json_pack("[s,I,I]", file->name, (json_int_t)file->bytes, (json_int_t)file->commit);
}

bool kt_record_read_removed(json_t *item, struct kt_removed_file *out)
{
    const char *name;
    json_int_t bytes, commit;
    *out = (struct kt_removed_file){ 0 };
    if (json_unpack(item, "[s,I,I]", &name, &bytes, &commit) || strlen(name) >= sizeof out->name ||
        !kt_stored_name_allowed(name) || bytes < 0 || commit < 0)
        return false;
    memcpy(out->name, name, strlen(name));
    out->bytes = (uint64_t)bytes;
    out->commit = (uint64_t)commit;
    return true;
}

json_t *kt_record_tag(const char *name, uint64_t version, uint64_t commit)
{
    return json_pack("{s:s,s:s,s:I,s:I}", "do", "tag", "name", name, "version", (json_int_t)version, "commit",
                     (json_int_t)commit);
}

json_t *kt_record_delete(uint64_t rows, const struct kt_bytes *runs)
{
    return json_pack("{s:s,s:I,s:I}", "do", "delete", "rows", (json_int_t)rows, "bytes",
                     (json_int_t)runs->size);
}

/* ---- pieces */

json_t *kt_record_piece(const struct kt_piece *piece)
{
    json_t *covers = json_array();
    bool well = covers != NULL;
    for (uint32_t i = 0; well && i < piece->cover_count; i++)
        well = json_array_append_new(covers, json_pack("[I,I]", (json_int_t)piece->covers[i].begin,
                                                       (json_int_t)piece->covers[i].end)) == 0;
    json_t *record = json_pack("{s:s,s:s,s:s,s:o}", "do", "add_piece", "id", piece->id, "index", piece->index,
                               "file", record_file(&piece->file));
    well = well && record && json_object_set(record, "covers", covers) == 0;
    if (piece->meta) well = well && json_object_set(record, "meta", piece->meta) == 0;
    json_decref(covers);
    if (well) return record;
    json_decref(record);
    return NULL;
}

static bool read_covers(json_t *list, struct kt_rows *covers)
{
    size_t at;
    json_t *pair;
    json_array_foreach(list, at, pair)
    {
        json_t *begin = json_array_get(pair, 0), *end = json_array_get(pair, 1);
        if (!json_is_integer(begin) || !json_is_integer(end)) return false;
        if (json_integer_value(begin) < 0 || json_integer_value(end) < 0) return false;
        covers[at] =
            (struct kt_rows){ (uint64_t)json_integer_value(begin), (uint64_t)json_integer_value(end) };
    }
    return true;
}

kith_status kt_record_read_piece(json_t *record, struct kt_piece *out, kith_error *error)
{
    struct kt_piece piece = { 0 };
    json_t *covers = json_object_get(record, "covers");
    const char *index = json_string_value(json_object_get(record, "index"));
    if (!kt_json_id(record, "id", piece.id) || !index || !json_is_array(covers) ||
        json_array_size(covers) > UINT32_MAX || !read_file(json_object_get(record, "file"), &piece.file))
        return kt_fail(error, KITH_CORRUPT, "an index piece lacks a field or has a wrong one");

    piece.cover_count = (uint32_t)json_array_size(covers);
    size_t bytes = piece.cover_count * sizeof *piece.covers;
    piece.covers = kt_shared_new(bytes + strlen(index) + 1);
    if (!piece.covers) return kt_fail_memory(error, bytes);
    piece.index = (char *)piece.covers + bytes;
    memcpy(piece.index, index, strlen(index) + 1);
    if (!read_covers(covers, piece.covers)) {
        kt_piece_release(&piece);
        return kt_fail(error, KITH_CORRUPT, "index piece %s covers rows that are no numbers", out->id);
    }
    piece.meta = json_incref(json_object_get(record, "meta"));
    *out = piece;
    return KITH_OK;
}
