/* Deleting and updating rows.
 *
 * Which rows a filter admits is worked out on the newest snapshot; then one commit deletes them, and for an
 * update adds them again as they shall be, under new row ids. If another writer has deleted one of them
 * meanwhile, that commit is refused and everything is worked out again on what he left, for half a minute.
 * Rows that he only added do not matter: the change is then as if it had come first.
 */
#include "base/bytes.h"
#include "parallel/parallel.h"
#include "query/query_private.h"

enum { RETRY_SECONDS = 30 };

bool kt_again(kith_status status, double began, kith_changed *changed)
{
    changed->attempts++;
    return status == KITH_CONFLICT && kt_seconds() - began < RETRY_SECONDS;
}

kith_status kt_columns_changed(const struct kt_table *table, const struct kt_snapshot *before,
                               const struct kt_snapshot *now, const char *operation, kith_error *error)
{
    char news[KT_NEWS];
    return kt_fail(error, KITH_CONFLICT,
                   "the columns of table '%s' were changed (%s) during %s; its data are of "
                   "the old ones, give them again",
                   kt_table_name(table), kt_state_news(now->state, before->state, news), operation);
}

kith_status kt_selected_ids(const struct kt_selection *rows, uint64_t **out, kith_error *error)
{
    uint64_t *ids = kt_alloc_array(rows->count, sizeof *ids), count = 0;
    if (!ids) return kt_fail_memory(error, rows->count * sizeof *ids);
    for (uint64_t row = kt_selection_next(rows, 0); row != UINT64_MAX; row = kt_selection_next(rows, row + 1))
        ids[count++] = row;
    *out = ids;
    return KITH_OK;
}

/* ---- deleting */

static kith_status delete_selected(struct kt_table *table, struct kt_snapshot *base,
                                   const struct kt_selection *rows, kith_changed *changed, kith_error *error)
{
    uint64_t *ids = NULL;
    changed->version = base->state->version;
    changed->deleted = 0;
    if (!rows->count) return KITH_OK;
    kith_status status = kt_selected_ids(rows, &ids, error);
    const struct kt_change change = { .operation = "delete", .deleted = ids, .deleted_count = rows->count };
    if (!status) status = kt_table_change(table, base, &change, &changed->version, error);
    if (!status) changed->deleted = rows->count;
    kt_free(ids);
    return status;
}

kith_status kt_delete(struct kt_table *table, const struct kt_expr *filter, kith_changed *changed,
                      kith_error *error)
{
    double began = kt_seconds();
    kith_status status;
    if (!filter)
        return kt_fail(error, KITH_INVALID,
                       "delete() needs a filter that says which rows; \"true\" deletes every one");
    do {
        struct kt_snapshot *base = NULL;
        struct kt_where *where = NULL;
        status = kt_table_writable(table, &base, error);
        if (!status) status = kt_where_of(base, NULL, filter, NULL, &where, error);
        if (!status) status = delete_selected(table, base, &where->rows, changed, error);
        kt_where_release(where);
        kt_snapshot_release(base);
    } while (kt_again(status, began, changed));
    return status;
}

/* Those of the given rows that the snapshot has. */
static kith_status select_rows(const struct kt_snapshot *snapshot, const uint64_t *rows, size_t count,
                               struct kt_selection *out, kith_error *error)
{
    const uint64_t one = 1;
    uint32_t segment;
    uint64_t place;
    out->rows = snapshot->state->next_row;
    out->count = 0;
    out->words = kt_alloc_zero(out->rows / 64 + 1, sizeof *out->words);
    if (!out->words) return kt_fail_memory(error, out->rows / 8);
    for (size_t i = 0; i < count; i++)
        if (kt_snapshot_find(snapshot, rows[i], &segment, &place) && !kt_selected(out, rows[i]))
            kt_selection_put(out, rows[i], &one, 1);
    return KITH_OK;
}

kith_status kt_delete_rows(struct kt_table *table, const uint64_t *rows, size_t count, kith_changed *changed,
                           kith_error *error)
{
    double began = kt_seconds();
    kith_status status;
    do {
        struct kt_snapshot *base = NULL;
        struct kt_selection selected = { 0 };
        status = kt_table_writable(table, &base, error);
        if (!status) status = select_rows(base, rows, count, &selected, error);
        if (!status) status = delete_selected(table, base, &selected, changed, error);
        kt_free(selected.words);
        kt_snapshot_release(base);
    } while (kt_again(status, began, changed));
    return status;
}

/* ---- updating */

struct update {
    const kith_update *options;
    struct kt_schema *given; /* the columns that options->values sets, as the table has them */
    struct kt_batch *values; /* one row of them */
    struct kt_snapshot *base;
    struct kt_where *where;
    struct kt_projection projection; /* every column, some of them expressions */
    uint64_t row;
    struct kt_hit *hits;
    struct kt_cast cast;
    struct kt_work work;
    uint64_t done; /* rows, for progress */
};

static kith_status check_target(const struct kt_snapshot *snapshot, const char *name, kith_error *error)
{
    int column = name ? kt_schema_find(snapshot->schema, name) : -1;
    if (column < 0)
        return kt_fail(error, KITH_NOT_FOUND, "there is no column \"%s\" to update", name ? name : "");
    if (column != kt_snapshot_key(snapshot)) return KITH_OK;
    return kt_fail(error, KITH_INVALID,
                   "column \"%s\" is the table's key and is not updated; delete the row and add it again",
                   name);
}

/* `count` rows of the value for a column. */
static kith_status repeat(struct kt_schema *one, const struct kt_array *value, int64_t count,
                          struct kt_batch **out, kith_error *error)
{
    struct kt_builder *builder = NULL;
    kith_status status = kt_builder_new(one, count, &builder, error);
    for (int64_t i = 0; i < count && !status; i++) status = kt_builder_append(builder, 0, value, 0, 1, error);
    if (!status) return kt_builder_finish(builder, out, error);
    kt_builder_free(builder);
    return status;
}

/* Puts the given values into all rows of a batch, which is replaced. */
static kith_status put_values(const struct update *update, struct kt_batch **batch, kith_error *error)
{
    struct kt_schema *schema = update->base->schema;
    struct kt_batch **parts = kt_alloc_zero(schema->count, sizeof *parts), *made = NULL;
    uint32_t *places = kt_alloc_zero(schema->count, sizeof *places);
    kith_status status = parts && places ? KITH_OK : kt_fail_memory(error, schema->count * sizeof *parts);
    for (uint32_t i = 0; i < schema->count && !status; i++) {
        int at = kt_schema_find(update->given, schema->fields[i].name);
        struct kt_schema *one = NULL;
        parts[i] = at < 0 ? kt_batch_share(*batch) : NULL;
        places[i] = at < 0 ? i : 0;
        if (at < 0) continue;
        status = kt_schema_new(&schema->fields[i], 1, NULL, &one, error);
        if (!status) status = repeat(one, &update->values->columns[at], (*batch)->rows, &parts[i], error);
        kt_schema_release(one);
    }
    if (!status) status = kt_batch_combine(schema, (*batch)->rows, parts, places, &made, error);
    for (uint32_t i = 0; parts && i < schema->count; i++) kt_batch_release(parts[i]);
    kt_free(parts);
    kt_free(places);
    if (status) return status;
    kt_batch_release(*batch);
    *batch = made;
    return KITH_OK;
}

/* The next rows as they shall be: a kt_next_fn. */
static kith_status next_updated(void *context, struct kt_batch **out, kith_error *error)
{
    struct update *update = context;
    struct kt_batch *fetched = NULL;
    *out = NULL;
    kith_status status = kt_rows_fetch(update->base, &update->projection, &update->where->rows, &update->row,
                                       update->hits, KT_ROWS_AT_ONCE, &fetched, error);
    if (status || !fetched) return status;
    update->cast.bad_vectors = update->options->write.bad_vectors;
    update->cast.fill_value = update->options->write.fill_value;
    if (update->cast.bad_vectors == KITH_BAD_DROP) update->cast.bad_vectors = KITH_BAD_ERROR;
    status = kt_batch_cast(fetched, update->base->schema, &update->cast, out, error);
    kt_batch_release(fetched);
    if (!status && update->given) status = put_values(update, out, error);
    if (status) return status;
    update->done += (uint64_t)(*out)->rows;
    return kt_work_tick(&update->work, "rows", update->done, update->where->rows.count, error);
}

/* Every column of the table, the assigned ones as their expressions. */
static kith_status project(struct update *update, kith_error *error)
{
    const struct kt_schema *schema = update->base->schema;
    const kith_update *options = update->options;
    const char **names = kt_alloc_array(2 * (size_t)schema->count, sizeof *names);
    kith_status status = names ? KITH_OK : kt_fail_memory(error, schema->count * sizeof *names);
    for (uint32_t i = 0; i < schema->count && !status; i++) {
        names[i] = schema->fields[i].name;
        names[schema->count + i] = NULL;
    }
    for (size_t i = 0; i < options->assignment_count && !status; i++) {
        const kith_assignment *set = &options->assignments[i];
        status = check_target(update->base, set->column, error);
        if (!status && !set->expression)
            status = kt_fail(error, KITH_INVALID, "column \"%s\" is set to no expression", set->column);
        int column = status ? -1 : kt_schema_find(schema, set->column);
        if (!status && names[schema->count + (uint32_t)column])
            status = kt_fail(error, KITH_INVALID, "column \"%s\" is set twice", set->column);
        if (!status) names[schema->count + (uint32_t)column] = set->expression;
    }
    struct kt_wanted wanted = { .columns = names,
                                .expressions = names + schema->count,
                                .column_count = schema->count };
    if (!status) status = kt_projection_make(update->base, &wanted, &update->projection, error);
    kt_free(names);
    return status;
}

/* Drains options->values, which must be one row, and casts it to the table's types. */
static kith_status read_values(struct update *update, const struct kt_snapshot *snapshot, kith_error *error)
{
    struct ArrowArrayStream *stream = update->options->values;
    struct kt_batch *batch = NULL;
    int64_t rows = 0;
    if (!stream) return KITH_OK;
    const struct kt_draining how = { .write = &update->options->write };
    kith_status status = kt_stream_drain(stream, snapshot->schema, &how, &update->given, &batch, error);
    if (!status) rows = batch->rows;
    for (uint32_t i = 0; !status && i < update->given->count; i++) {
        const char *name = update->given->fields[i].name;
        status = check_target(snapshot, name, error);
        for (size_t a = 0; a < update->options->assignment_count && !status; a++)
            if (update->options->assignments[a].column &&
                strcmp(update->options->assignments[a].column, name) == 0)
                status = kt_fail(error, KITH_INVALID, "column \"%s\" is set twice", name);
    }
    if (!status && rows != 1)
        status = kt_fail(error, KITH_INVALID, "values to set are one row, not %lld", (long long)rows);
    update->values = batch;
    return status;
}

static kith_status attempt_update(struct kt_table *table, struct update *update, kith_changed *changed,
                                  kith_error *error)
{
    const struct kt_expr *filter = (const struct kt_expr *)update->options->filter;
    uint64_t *ids = NULL;
    kith_status status = filter ? kt_where_of(update->base, NULL, filter, NULL, &update->where, error)
                                : kt_every_row(update->base, &update->where, error);
    if (!status) status = project(update, error);
    if (status) return status;
    const struct kt_selection *rows = &update->where->rows;
    changed->version = update->base->state->version;
    changed->updated = 0;
    if (!rows->count) return KITH_OK;
    update->row = kt_selection_next(rows, 0);
    update->done = 0;
    status = kt_selected_ids(rows, &ids, error);
    const struct kt_change change = { .operation = "update",
                                      .deleted = ids,
                                      .deleted_count = rows->count,
                                      .next = next_updated,
                                      .context = update,
                                      .options = &update->options->write };
    if (!status) status = kt_table_change(table, update->base, &change, &changed->version, error);
    if (!status) changed->updated = rows->count;
    kt_free(ids);
    return status;
}

kith_status kt_update(struct kt_table *table, const kith_update *options, kith_changed *changed,
                      kith_error *error)
{
    struct update update = { .options = options,
                             .work = { .progress = options->write.progress,
                                       .user = options->write.progress_user } };
    double began = kt_seconds();
    kith_status status;
    if (!options->assignment_count && !options->values)
        status = kt_fail(error, KITH_INVALID, "update() needs columns to set");
    else
        status = kt_table_writable(table, &update.base, error);
    if (!status) status = read_values(&update, update.base, error);
    update.hits = status ? NULL : kt_alloc_array(KT_ROWS_AT_ONCE, sizeof *update.hits);
    if (!status && !update.hits) status = kt_fail_memory(error, KT_ROWS_AT_ONCE * sizeof *update.hits);
    while (!status) {
        status = attempt_update(table, &update, changed, error);
        kt_where_release(update.where);
        kt_projection_release(&update.projection);
        update.where = NULL;
        if (!kt_again(status, began, changed)) break;
        struct kt_snapshot *before = update.base;
        update.base = NULL;
        status = kt_table_writable(table, &update.base, error);
        if (!status && update.given && update.base->schema != before->schema) /* the values are of others */
            status = kt_columns_changed(table, before, update.base, "update", error);
        kt_snapshot_release(before);
    }
    kt_free(update.hits);
    kt_batch_release(update.values);
    kt_schema_release(update.given);
    kt_snapshot_release(update.base);
    if (options->values && options->values->release) options->values->release(options->values);
    return status;
}
