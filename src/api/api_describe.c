/* What a table says of itself: schema, counts, versions, indexes. Each answer is taken from one snapshot. */
#include "api/api_private.h"
#include "query/query.h"
#include "storage/json.h"
#include "table/table.h"

/* The schema with "kith:metric" on each vector column, where the table was given a metric. */
static kith_status with_metric(struct kt_schema *schema, const char *metric, struct kt_schema **out,
                               kith_error *error)
{
    struct kt_schema *told = NULL;
    kith_status status = kt_schema_new(schema->fields, schema->count, schema->metadata, &told, error);
    for (uint32_t i = 0; i < schema->count && !status; i++) {
        if (!kt_field_is_vector(&schema->fields[i])) continue;
        json_t *metadata =
            schema->fields[i].metadata ? kt_json_copy(schema->fields[i].metadata) : json_object();
        if (!metadata || json_object_set_new(metadata, "kith:metric", json_string(metric))) {
            json_decref(metadata);
            status = kt_fail_memory(error, 64);
            break;
        }
        json_decref(told->fields[i].metadata);
        told->fields[i].metadata = metadata;
    }
    if (status)
        kt_schema_release(told);
    else
        *out = told;
    return status;
}

kith_status kith_table_schema(kith_table *table, struct ArrowSchema *out, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    struct kt_schema *schema = NULL;
    kith_status status = kt_table_snapshot((struct kt_table *)table, &snapshot, error);
    if (status) return status;
    const char *metric = json_string_value(json_object_get(snapshot->state->config, "metric"));
    if (metric)
        status = with_metric(snapshot->schema, metric, &schema, error);
    else
        schema = kt_schema_share(snapshot->schema);
    if (!status) status = kt_schema_export(schema, out, error);
    kt_schema_release(schema);
    kt_snapshot_release(snapshot);
    return status;
}

static kith_status count_rows(kith_table *table, const char *text, const struct kt_expr *filter,
                              struct kt_work *work, uint64_t *out, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    struct kt_where *where = NULL;
    kith_status status = kt_table_snapshot((struct kt_table *)table, &snapshot, error);
    if (!status) status = kt_where_of(snapshot, text, filter, work, &where, error);
    if (!status) *out = where ? where->rows.count : snapshot->state->rows;
    kt_where_release(where);
    kt_snapshot_release(snapshot);
    return status;
}

kith_status kith_table_count(kith_table *table, const char *where, uint64_t *out, kith_error *error)
{
    return count_rows(table, where, NULL, NULL, out, error);
}

kith_status kith_table_count_if(kith_table *table, const kith_expr *filter, uint64_t *out, kith_error *error)
{
    return count_rows(table, NULL, (const struct kt_expr *)filter, NULL, out, error);
}

kith_status kith_table_count_scan(kith_table *table, const kith_scan *options, uint64_t *out,
                                  kith_error *error)
{
    kith_scan scan;
    struct kt_work work = { 0 };
    kith_status status =
        kt_options_read("kith_scan", options, offsetof(kith_scan, columns), &scan, sizeof scan, error);
    if (status) return status;
    kt_work_limit(&work, scan.timeout_us, scan.progress, scan.progress_user);
    status = kt_work_poll(&work, "filter", error);
    return status ? status
                  : count_rows(table, scan.where, (const struct kt_expr *)scan.filter, &work, out, error);
}

kith_status kith_table_version(kith_table *table, uint64_t *out, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    kith_status status = kt_table_snapshot((struct kt_table *)table, &snapshot, error);
    if (!status) *out = snapshot->state->version;
    kt_snapshot_release(snapshot);
    return status;
}

/* ---- versions */

struct versions {
    kith_versions versions;       /* first */
    struct kt_snapshot *snapshot; /* lends the operations' names */
    kith_version_info infos[];
};

kith_status kith_table_versions(kith_table *table, kith_versions **out, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    kith_status status = kt_table_snapshot((struct kt_table *)table, &snapshot, error);
    if (status) return status;
    const struct kt_state *state = snapshot->state;
    struct versions *versions = kt_alloc(sizeof *versions + state->version_count * sizeof versions->infos[0]);
    if (!versions) {
        kt_snapshot_release(snapshot);
        return kt_fail_memory(error, sizeof *versions);
    }
    for (uint32_t i = 0; i < state->version_count; i++) {
        const struct kt_version_entry *entry = &state->versions[i];
        versions->infos[i] =
            (kith_version_info){ entry->version, entry->time_us, entry->rows, entry->operation };
    }
    versions->snapshot = snapshot;
    versions->versions = (kith_versions){ state->version_count, versions->infos };
    *out = &versions->versions;
    return KITH_OK;
}

void kith_versions_free(kith_versions *versions)
{
    if (!versions) return;
    kt_snapshot_release(((struct versions *)versions)->snapshot);
    kt_free(versions);
}

struct commits {
    kith_commits commits;     /* first */
    struct kt_buffer history; /* lends the texts */
    kith_commit each[];
};

kith_status kith_table_log(kith_table *table, size_t limit, kith_commits **out, kith_error *error)
{
    struct kt_buffer history = { 0 };
    kith_status status =
        kt_table_history((struct kt_table *)table, limit ? limit : UINT64_MAX, &history, error);
    size_t count = history.size / sizeof(struct kt_past_commit);
    struct commits *commits = status ? NULL : kt_alloc(sizeof *commits + count * sizeof commits->each[0]);
    if (!status && !commits) status = kt_fail_memory(error, count * sizeof commits->each[0]);
    if (status) {
        kt_buffer_release(&history);
        return status;
    }
    const struct kt_past_commit *past = (const struct kt_past_commit *)(const void *)history.data;
    for (size_t i = 0; i < count; i++)
        commits->each[i] = (kith_commit){ .version = past[i].version,
                                          .time_us = past[i].time_us,
                                          .operation = past[i].operation,
                                          .rows_added = past[i].rows_added,
                                          .rows_removed = past[i].rows_removed,
                                          .key = past[i].key[0] ? past[i].key : NULL,
                                          .transaction = past[i].transaction,
                                          .transactions = past[i].transactions,
                                          .upkeep = past[i].upkeep };
    commits->history = history;
    commits->commits = (kith_commits){ count, commits->each };
    *out = &commits->commits;
    return KITH_OK;
}

void kith_commits_free(kith_commits *commits)
{
    if (!commits) return;
    struct commits *owner = (struct commits *)commits;
    kt_buffer_release(&owner->history);
    kt_free(owner);
}

kith_status kith_table_restore(kith_table *table, uint64_t version, kith_changed *changed, kith_error *error)
{
    kith_changed done = { .attempts = 1 };
    kith_status status = kt_table_restore((struct kt_table *)table, version, &done.version, error);
    if (!status) kt_changed_tell(&done, changed);
    return status;
}

struct tags {
    kith_tags tags;               /* first */
    struct kt_snapshot *snapshot; /* lends the names */
    kith_tag each[];
};

kith_status kith_list_tags(kith_table *table, kith_tags **out, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    kith_status status = kt_table_newest((struct kt_table *)table, &snapshot, error);
    if (status) return status;
    const struct kt_state *state = snapshot->state;
    struct tags *tags = kt_alloc(sizeof *tags + state->tag_count * sizeof tags->each[0]);
    if (!tags) {
        kt_snapshot_release(snapshot);
        return kt_fail_memory(error, sizeof *tags);
    }
    for (uint32_t i = 0; i < state->tag_count; i++)
        tags->each[i] = (kith_tag){ state->tags[i].name, state->tags[i].version };
    tags->snapshot = snapshot;
    tags->tags = (kith_tags){ state->tag_count, tags->each };
    *out = &tags->tags;
    return KITH_OK;
}

void kith_tags_free(kith_tags *tags)
{
    if (!tags) return;
    kt_snapshot_release(((struct tags *)tags)->snapshot);
    kt_free(tags);
}

kith_status kith_set_tag(kith_table *table, const char *name, uint64_t version, kith_tag_change change,
                         kith_error *error)
{
    if ((unsigned)change > KITH_TAG_DELETE)
        return kt_fail(error, KITH_INVALID, "%d is not a change of a tag", (int)change);
    return kt_table_tag((struct kt_table *)table, name, version, change, error);
}

/* ---- indexes */

struct indexes {
    kith_indexes indexes;         /* first */
    struct kt_snapshot *snapshot; /* lends the names */
    struct kt_buffer texts;       /* columns and calibrations, each ended by a NUL */
    kith_index_info infos[];
};

static uint32_t meta_number(const struct kt_piece *piece, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(piece->meta, key));
    return value > 0 ? (uint32_t)value : 0;
}

static kith_index_info describe(const struct kt_table_index *index)
{
    const char *note = json_string_value(json_object_get(index->piece->meta, "note"));
    kith_index_info info = {
        .name = index->name,
        .column = "",
        .type = index->type,
        .metric = index->metric,
        .num_partitions = meta_number(index->piece, "partitions"),
        .num_sub_vectors = meta_number(index->piece, "sub_vectors"),
        .m = meta_number(index->piece, "m"),
        .ef_construction = meta_number(index->piece, "ef_construction"),
        .num_bits = meta_number(index->piece, "bits"),
        .rows_indexed = index->rows_indexed,
        .rows_unindexed = index->rows_unindexed,
        .bytes = index->bytes,
        .created_us = json_integer_value(json_object_get(index->piece->meta, "created_us")),
        .note = note ? note : "",
        .calibration = "",
    };
    return info;
}

static int add_text(const char *bytes, size_t count, void *buffer)
{
    return kt_buffer_append(buffer, bytes, count) ? 0 : -1;
}

/* What each index is of and what its calibration says, as text. They are pointed to when all are there: the
 * buffer moves. */
static kith_status write_texts(struct indexes *indexes, kith_error *error)
{
    const struct kt_snapshot *snapshot = indexes->snapshot;
    struct kt_buffer *texts = &indexes->texts;
    for (uint32_t i = 0; i < snapshot->index_count; i++) {
        const struct kt_table_index *index = &snapshot->indexes[i];
        const json_t *calibration = json_object_get(index->piece->meta, "calibration");
        if (!kt_path_text(snapshot->schema, (uint32_t)index->column, &index->path, texts) ||
            !kt_buffer_append(texts, "", 1))
            return kt_fail_memory(error, texts->size);
        if (calibration &&
            json_dump_callback(calibration, add_text, texts, JSON_COMPACT | JSON_REAL_PRECISION(6)))
            return kt_fail_memory(error, texts->size);
        if (!kt_buffer_append(texts, "", 1)) return kt_fail_memory(error, texts->size);
    }
    const char *text = (const char *)texts->data;
    for (uint32_t i = 0; i < snapshot->index_count; i++, text += strlen(text) + 1) {
        indexes->infos[i].column = text;
        text += strlen(text) + 1;
        indexes->infos[i].calibration = text;
    }
    return KITH_OK;
}

kith_status kith_list_indexes(kith_table *table, kith_indexes **out, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    kith_status status = kt_table_snapshot((struct kt_table *)table, &snapshot, error);
    if (status) return status;
    struct indexes *indexes = kt_alloc(sizeof *indexes + snapshot->index_count * sizeof indexes->infos[0]);
    if (!indexes) {
        kt_snapshot_release(snapshot);
        return kt_fail_memory(error, sizeof *indexes);
    }
    *indexes = (struct indexes){ .indexes = { snapshot->index_count, indexes->infos }, .snapshot = snapshot };
    for (uint32_t i = 0; i < snapshot->index_count; i++) indexes->infos[i] = describe(&snapshot->indexes[i]);
    status = write_texts(indexes, error);
    if (status)
        kith_indexes_free(&indexes->indexes);
    else
        *out = &indexes->indexes;
    return status;
}

void kith_indexes_free(kith_indexes *indexes)
{
    if (!indexes) return;
    struct indexes *owner = (struct indexes *)indexes;
    kt_snapshot_release(owner->snapshot);
    kt_buffer_release(&owner->texts);
    kt_free(owner);
}

/* ---- sizes */

kith_status kith_table_stats(kith_table *table, kith_table_info *out, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    kith_status status = kt_table_snapshot((struct kt_table *)table, &snapshot, error);
    if (status) return status;
    const struct kt_state *state = snapshot->state;
    kith_table_info info = { .struct_size = out->struct_size,
                             .rows = state->rows,
                             .version = state->version,
                             .fragments = state->fragment_count,
                             .inline_bytes = state->inline_bytes };
    for (uint32_t i = 0; i < state->fragment_count; i++)
        for (uint32_t g = 0; g < state->fragments[i].group_count; g++, info.files++)
            info.data_bytes += state->fragments[i].groups[g].file.seal.length;
    for (uint32_t i = 0; i < state->piece_count; i++, info.files++)
        info.index_bytes += state->pieces[i].file.seal.length;
    memcpy(out, &info, out->struct_size && out->struct_size < sizeof info ? out->struct_size : sizeof info);
    kt_snapshot_release(snapshot);
    return KITH_OK;
}

kith_status kith_table_verify(kith_table *table, uint64_t *files, kith_error *error)
{
    uint64_t count = 0;
    kith_status status = kt_verify((struct kt_table *)table, &count, error);
    if (!status && files) *files = count;
    return status;
}
