/* The rows of an answer: which columns, and their values copied out of the files.
 *
 * A row id leads to a segment by binary search and to a place in it by a subtraction or a rank; only the
 * bytes of that row are read and verified. Columns are filled one after another, so that a file is looked up
 * once for each run of hits in the same segment. An expression is evaluated over the columns it reads,
 * fetched in the same way.
 */
#include "query/query.h"

#include <stdio.h>

#include "base/bytes.h"

/* ---- which columns */

static bool wants(const struct kt_wanted *wanted, const char *name)
{
    for (size_t i = 0; wanted->columns && i < wanted->column_count; i++)
        if (strcmp(wanted->columns[i], name) == 0) return true;
    return false;
}

static kith_status unknown_column(const struct kt_schema *schema, const char *name, kith_error *error)
{
    struct kt_buffer names = { 0 };
    for (uint32_t i = 0; i < schema->count && names.size < 600; i++)
        kt_buffer_text(&names, "%s\"%s\"", i ? ", " : "", schema->fields[i].name);
    kith_status status = kt_fail(error, KITH_NOT_FOUND, "there is no column \"%.200s\"; the table has %.*s",
                                 name, (int)names.size, names.data ? (const char *)names.data : "");
    kt_buffer_release(&names);
    return status;
}

static struct kt_field made_field(const char *name, enum kt_type type)
{
    return (struct kt_field){ .name = (char *)name, .id = -1, .type = type, .nullable = type == KT_FLOAT32 };
}

/* `schema` is still nobody else's. */
static kith_status tell_recall(struct kt_schema *schema, const char *recall, kith_error *error)
{
    if (!schema->metadata) schema->metadata = json_object();
    if (schema->metadata && !json_object_set_new(schema->metadata, KT_RECALL_KEY, json_string(recall)))
        return KITH_OK;
    return kt_fail_memory(error, strlen(recall));
}

/* Column `name` of the result is an expression. */
static kith_status show_expression(const struct kt_schema *schema, const char *name, const char *text,
                                   struct kt_projected *item, struct kt_field *field, kith_error *error)
{
    struct kt_expr *expr = NULL;
    kith_status status = kt_expr_parse(text, NULL, 0, &expr, error);
    if (!status) status = kt_filter_bind(expr, schema, false, &item->filter, error);
    kt_expr_release(expr);
    if (status) return status;
    item->shown = KT_SHOW_EXPRESSION;
    *field = *kt_filter_field(item->filter);
    field->name = (char *)name;
    field->id = -1;
    return KITH_OK;
}

kith_status kt_projection_make(const struct kt_snapshot *snapshot, const struct kt_wanted *wanted,
                               struct kt_projection *out, kith_error *error)
{
    const struct kt_schema *schema = snapshot->schema;
    size_t most = (wanted->columns ? wanted->column_count : schema->count) + 3;
    struct kt_field *fields = kt_alloc_array(most, sizeof *fields);
    struct kt_projection projection = { .items = kt_alloc_array(most, sizeof *projection.items) };
    kith_status status = fields && projection.items ? KITH_OK : kt_fail_memory(error, most * sizeof *fields);
    uint32_t count = 0;
    if (projection.items) memset(projection.items, 0, most * sizeof *projection.items);

    for (size_t i = 0; !status && !wanted->none && i < most - 3; i++) {
        int column = (int)i;
        if (wanted->columns) {
            const char *name = wanted->columns[i];
            if (wanted->expressions && wanted->expressions[i] && strcmp(wanted->expressions[i], name) != 0) {
                status = show_expression(schema, name, wanted->expressions[i], &projection.items[count],
                                         &fields[count], error);
                count++;
                continue;
            }
            column = kt_schema_find(schema, name);
            if (column < 0 &&
                (strcmp(name, "_rowid") == 0 || (wanted->distance && strcmp(name, "_distance") == 0))) {
                bool is_row = name[1] == 'r';
                projection.items[count] =
                    (struct kt_projected){ .shown = is_row ? KT_SHOW_ROW_ID : KT_SHOW_DISTANCE };
                fields[count++] = made_field(name, is_row ? KT_UINT64 : KT_FLOAT32);
                continue;
            }
            if (column < 0) {
                status = unknown_column(schema, name, error);
                break;
            }
        }
        projection.items[count] = (struct kt_projected){ .column = (uint32_t)column };
        fields[count++] = schema->fields[column];
    }
    if (!status && wanted->distance && !wants(wanted, "_distance")) {
        projection.items[count] = (struct kt_projected){ .shown = KT_SHOW_DISTANCE };
        fields[count++] = made_field("_distance", KT_FLOAT32);
    }
    if (!status && wanted->row_id && !wants(wanted, "_rowid")) {
        projection.items[count] = (struct kt_projected){ .shown = KT_SHOW_ROW_ID };
        fields[count++] = made_field("_rowid", KT_UINT64);
    }
    if (!status && wanted->query_index) {
        projection.items[count] = (struct kt_projected){ .shown = KT_SHOW_QUERY_INDEX };
        fields[count++] = made_field("query_index", KT_INT32);
    }
    if (!status) status = kt_schema_new(fields, count, schema->metadata, &projection.schema, error);
    if (!status && wanted->recall) status = tell_recall(projection.schema, wanted->recall, error);
    kt_free(fields);
    if (status) {
        for (uint32_t i = 0; !projection.schema && projection.items && i < count; i++)
            kt_filter_free(projection.items[i].filter);
        kt_projection_release(&projection);
        return status;
    }
    *out = projection;
    return KITH_OK;
}

void kt_projection_release(struct kt_projection *projection)
{
    for (uint32_t i = 0; projection->schema && i < projection->schema->count; i++)
        kt_filter_free(projection->items[i].filter);
    kt_schema_release(projection->schema);
    kt_free(projection->items);
    *projection = (struct kt_projection){ 0 };
}

/* ---- their values */

enum { ASK_EVERY = 8192 }; /* rows, whether to go on */

struct found { /* a hit and where its row lies */
    struct kt_hit hit;
    uint32_t segment;
    int32_t query;
    uint64_t place;
};

static size_t locate(const struct kt_snapshot *snapshot, const struct kt_hit *hits, const uint32_t *counts,
                     size_t queries, size_t stride, struct found *found)
{
    size_t count = 0;
    for (size_t q = 0; q < queries; q++) {
        for (uint32_t i = 0; i < counts[q]; i++) {
            struct kt_hit hit = hits[q * stride + i];
            uint32_t segment;
            uint64_t place;
            if (kt_snapshot_find(snapshot, hit.row, &segment, &place))
                found[count++] = (struct found){ hit, segment, (int32_t)q, place };
        }
    }
    return count;
}

static kith_status fetch_column(const struct kt_snapshot *snapshot, uint32_t column, struct kt_work *work,
                                const struct found *found, size_t count, struct kt_builder *builder,
                                uint32_t to, kith_error *error)
{
    struct kt_arena scratch = { 0 };
    struct kt_ipc_file *file = NULL;
    struct kt_array array, *room = NULL;
    uint32_t file_column = 0;
    kith_status status = KITH_OK;
    for (size_t i = 0; i < count && !status; i++) {
        if (i % ASK_EVERY == 0) status = kt_work_poll(work, "fetch", error);
        if (status) break;
        if (!i || found[i].segment != found[i - 1].segment) {
            status =
                kt_segment_column(snapshot->segments[found[i].segment], column, &file, &file_column, error);
            if (status) break;
            kt_arena_clear(&scratch);
            room = kt_arena_take(&scratch, kt_ipc_room(file, file_column) + 1, sizeof *room);
            if (!room) status = kt_fail_memory(error, sizeof *room);
        }
        if (!status) status = kt_ipc_column(file, file_column, found[i].place, 1, &array, room, error);
        if (!status) status = kt_builder_append(builder, to, &array, 0, 1, error);
    }
    kt_arena_release(&scratch);
    return status;
}

static kith_status fill_made(enum kt_shown shown, const struct found *found, size_t count,
                             struct kt_builder *builder, uint32_t to, kith_error *error)
{
    kith_status status = KITH_OK;
    for (size_t i = 0; i < count && !status; i++) {
        const void *value = shown == KT_SHOW_ROW_ID     ? (const void *)&found[i].hit.row
                            : shown == KT_SHOW_DISTANCE ? (const void *)&found[i].hit.distance
                                                        : (const void *)&found[i].query;
        status = kt_builder_append_values(builder, to, value, 1, error);
    }
    return status;
}

/* The columns that an expression reads, of the rows found. */
static kith_status fetch_inputs(const struct kt_snapshot *snapshot, const struct kt_filter *filter,
                                struct kt_work *work, const struct found *found, size_t count,
                                struct kt_batch **out, kith_error *error)
{
    uint32_t columns = 0;
    const uint32_t *numbers = kt_filter_columns(filter, &columns);
    struct kt_field *fields = kt_alloc_array(columns + 1, sizeof *fields);
    struct kt_schema *schema = NULL;
    struct kt_builder *builder = NULL;
    kith_status status = fields ? KITH_OK : kt_fail_memory(error, columns * sizeof *fields);
    for (uint32_t i = 0; !status && i < columns; i++) fields[i] = snapshot->schema->fields[numbers[i]];
    if (!status) status = kt_schema_new(fields, columns, NULL, &schema, error);
    if (!status) status = kt_builder_new(schema, (int64_t)count, &builder, error);
    for (uint32_t i = 0; !status && i < columns; i++)
        status = fetch_column(snapshot, numbers[i], work, found, count, builder, i, error);
    if (status)
        kt_builder_free(builder);
    else
        status = kt_builder_finish(builder, out, error);
    kt_schema_release(schema);
    kt_free(fields);
    return status;
}

static kith_status fill_expression(const struct kt_snapshot *snapshot, const struct kt_filter *filter,
                                   struct kt_work *work, const struct found *found, size_t count,
                                   struct kt_builder *builder, uint32_t to, kith_error *error)
{
    uint64_t *ids = kt_alloc_array(count, sizeof *ids);
    struct kt_batch *inputs = NULL;
    uint32_t columns = 0;
    kt_filter_columns(filter, &columns); /* none, of a constant: then there is no batch to cut */
    kith_status status = ids ? fetch_inputs(snapshot, filter, work, found, count, &inputs, error)
                             : kt_fail_memory(error, count * sizeof *ids);
    for (size_t i = 0; !status && i < count; i++) ids[i] = found[i].hit.row;
    for (size_t at = 0; !status && at < count; at += KT_FILTER_ROWS) {
        struct kt_batch *some = NULL;
        uint32_t rows = (uint32_t)kt_min_u64(KT_FILTER_ROWS, count - at);
        status = kt_work_poll(work, "fetch", error);
        if (!status && columns) status = kt_batch_slice(inputs, (int64_t)at, rows, &some, error);
        if (status) break;
        const struct kt_filter_rows part = {
            .columns = some ? some->columns : NULL, .row_ids = ids + at, .count = rows, .work = work
        };
        status = kt_filter_values(filter, &part, builder, to, error);
        kt_batch_release(some);
    }
    kt_batch_release(inputs);
    kt_free(ids);
    return status;
}

kith_status kt_fetch(const struct kt_snapshot *snapshot, const struct kt_projection *projection,
                     const struct kt_hit *hits, const uint32_t *counts, size_t queries, size_t stride,
                     struct kt_batch **out, kith_error *error)
{
    size_t most = 0;
    for (size_t q = 0; q < queries; q++) most += counts[q];
    struct kt_builder *builder = NULL;
    struct found *found = kt_alloc_array(most, sizeof *found);
    kith_status status = found ? kt_builder_new(projection->schema, (int64_t)most, &builder, error)
                               : kt_fail_memory(error, most * sizeof *found);
    size_t count = status ? 0 : locate(snapshot, hits, counts, queries, stride, found);
    for (uint32_t i = 0; !status && i < projection->schema->count; i++) {
        const struct kt_projected *item = &projection->items[i];
        if (item->shown == KT_SHOW_COLUMN)
            status = fetch_column(snapshot, item->column, projection->work, found, count, builder, i, error);
        else if (item->shown == KT_SHOW_EXPRESSION)
            status =
                fill_expression(snapshot, item->filter, projection->work, found, count, builder, i, error);
        else
            status = fill_made(item->shown, found, count, builder, i, error);
    }
    if (status)
        kt_builder_free(builder);
    else
        status = kt_builder_finish(builder, out, error);
    kt_free(found);
    return status;
}
