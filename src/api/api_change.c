/* Changing rows and columns: options are read, the query room does it. */
#include "api/api_private.h"
#include "query/query.h"

static struct kt_table *table_of(kith_table *table)
{
    return (struct kt_table *)table;
}

static kith_status tell(kith_status status, const kith_changed *done, kith_changed *out)
{
    if (!status) kt_changed_tell(done, out);
    return status;
}

kith_status kith_delete(kith_table *table, const kith_expr *filter, kith_changed *changed, kith_error *error)
{
    kith_changed done = { 0 };
    return tell(kt_delete(table_of(table), (const struct kt_expr *)filter, &done, error), &done, changed);
}

kith_status kith_delete_rows(kith_table *table, const uint64_t *row_ids, size_t count, kith_changed *changed,
                             kith_error *error)
{
    kith_changed done = { 0 };
    if (!row_ids && count) return kt_missing("the array of row ids", error);
    return tell(kt_delete_rows(table_of(table), row_ids, count, &done, error), &done, changed);
}

kith_status kith_update_rows(kith_table *table, const kith_update *options, kith_changed *changed,
                             kith_error *error)
{
    kith_changed done = { 0 };
    kith_update update = { 0 };
    kith_status status =
        options ? kt_options_read("kith_update", options, offsetof(kith_update, values), &update,
                                  sizeof update, error)
                : kt_fail(error, KITH_INVALID, "update needs options that say which columns to set");
    if (!status) status = kt_write_check(&update.write, error);
    if (!status && !update.assignments && update.assignment_count)
        status = kt_missing("the array of what to set", error);
    if (!status) return tell(kt_update(table_of(table), &update, &done, error), &done, changed);
    if (options) kt_stream_drop(options->values);
    return status;
}

kith_status kith_merge_rows(kith_table *table, struct ArrowArrayStream *data, const kith_merge *options,
                            kith_changed *changed, kith_error *error)
{
    kith_changed done = { 0 };
    kith_merge merge = { 0 };
    kith_status status =
        options
            ? kt_options_read("kith_merge", options, offsetof(kith_merge, write), &merge, sizeof merge, error)
            : kt_fail(error, KITH_INVALID, "merge needs options that say what to do with rows");
    if (!status) status = kt_write_check(&merge.write, error);
    if (!status) status = kt_lists_check(merge.on, merge.on_count, NULL, 0, error);
    if (!status && !data) status = kt_missing("the stream of rows", error);
    if (!status) return tell(kt_merge(table_of(table), data, &merge, &done, error), &done, changed);
    kt_stream_drop(data);
    return status;
}

kith_status kith_get(kith_table *table, struct ArrowArrayStream *keys, const kith_scan *options,
                     struct ArrowArrayStream *out, kith_error *error)
{
    kith_scan scan = { 0 };
    kith_status status = options ? kt_options_read("kith_scan", options, offsetof(kith_scan, columns), &scan,
                                                   sizeof scan, error)
                                 : KITH_OK;
    if (!status && options) status = kt_lists_check(scan.columns, scan.column_count, NULL, 0, error);
    if (!status && !keys) status = kt_missing("the stream of keys", error);
    if (!status) return kt_get(table_of(table), keys, options ? &scan : NULL, out, error);
    kt_stream_drop(keys);
    return status;
}

/* ---- columns */

kith_status kith_add_columns(kith_table *table, const kith_new_column *columns, size_t count,
                             kith_changed *changed, kith_error *error)
{
    kith_changed done = { 0 };
    return tell(kt_add_columns(table_of(table), columns, count, &done, error), &done, changed);
}

kith_status kith_alter_columns(kith_table *table, const kith_altered_column *columns, size_t count,
                               kith_changed *changed, kith_error *error)
{
    kith_changed done = { 0 };
    return tell(kt_alter_columns(table_of(table), columns, count, &done, error), &done, changed);
}

kith_status kith_drop_columns(kith_table *table, const char *const *names, size_t count,
                              kith_changed *changed, kith_error *error)
{
    kith_changed done = { 0 };
    return tell(kt_drop_columns(table_of(table), names, count, &done, error), &done, changed);
}

/* ---- upkeep */

kith_status kith_optimize(kith_table *table, const kith_upkeep *options, kith_upkeep_stats *stats,
                          kith_error *error)
{
    kith_upkeep upkeep = { .older_than_us = -1, .rewrite = true };
    kith_upkeep_stats done = { 0 };
    kith_status status = options ? kt_options_read("kith_upkeep", options, offsetof(kith_upkeep, orphans),
                                                   &upkeep, sizeof upkeep, error)
                                 : KITH_OK;
    if (!status) status = kt_table_optimize(table_of(table), &upkeep, &done, error);
    if (status || !stats) return status;
    size_t size = stats->struct_size && stats->struct_size < sizeof done ? stats->struct_size : sizeof done;
    done.struct_size = stats->struct_size;
    memcpy(stats, &done, size);
    return KITH_OK;
}

kith_status kith_erase(kith_table *table, const kith_erasing *options, kith_erased *done, kith_error *error)
{
    kith_erasing erasing = { 0 };
    kith_erased erased = { 0 };
    kith_status status = options ? kt_options_read("kith_erasing", options, offsetof(kith_erasing, alone),
                                                   &erasing, sizeof erasing, error)
                                 : kt_fail(error, KITH_INVALID, "erase needs options that say which rows");
    if (!status) status = kt_erase(table_of(table), &erasing, &erased, error);
    if (!done) return status;
    size_t size = done->struct_size && done->struct_size < sizeof erased ? done->struct_size : sizeof erased;
    erased.struct_size = done->struct_size;
    memcpy(done, &erased, size);
    return status;
}

kith_status kith_repair(kith_database *database, const char *name, char **words, kith_error *error)
{
    return kt_repair((struct kt_catalog *)database, name, words, error);
}

kith_status kith_backup(kith_table *table, const char *uri, kith_error *error)
{
    struct kt_catalog *to = NULL;
    kith_status status = kt_catalog_open(uri, &to, error);
    if (!status) status = kt_table_backup(table_of(table), to, error);
    kt_catalog_close(to);
    return status;
}
