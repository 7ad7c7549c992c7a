/* kith erase: rows deleted so that nothing is left of them in any file of the table. */
#include <stdlib.h>

#include "json_out.h"
#include "options.h"
#include "where.h"

struct settings {
    struct common common;
    struct where where;
    bool deleted, tags, alone;
};
#define FIELD(name) offsetof(struct settings, name)

static const struct option_spec options[] = {
    WHERE_OPTIONS(FIELD(where)),
    { "deleted", 0, OPTION_FLAG, FIELD(deleted), NULL,
      "instead of --where: only what was deleted or replaced before", NULL },
    { "tags", 0, OPTION_FLAG, FIELD(tags), NULL, "take the table's tags away, with the versions they keep",
      NULL },
    { "alone", 0, OPTION_FLAG, FIELD(alone), NULL,
      "nobody else writes now: files that no version names go, too", NULL },
    { 0 },
};

static void print_erased(const kith_erased *erased, bool as_json)
{
    struct json json = { 0 };
    if (!as_json) {
        printf("%llu rows deleted; %llu fragments and %llu indexes written anew, %llu older versions and "
               "%llu files "
               "removed. Looked through the folder: no file is left that held them\n",
               (unsigned long long)erased->rows, (unsigned long long)erased->fragments_rewritten,
               (unsigned long long)erased->indexes_rebuilt, (unsigned long long)erased->versions_removed,
               (unsigned long long)erased->files_removed);
        return;
    }
    cli_json_open(&json, NULL, '{');
    cli_json_count(&json, "rows", erased->rows);
    cli_json_count(&json, "version", erased->version);
    cli_json_count(&json, "fragments_rewritten", erased->fragments_rewritten);
    cli_json_count(&json, "indexes_rebuilt", erased->indexes_rebuilt);
    cli_json_count(&json, "versions_removed", erased->versions_removed);
    cli_json_count(&json, "tags_removed", erased->tags_removed);
    cli_json_count(&json, "files_removed", erased->files_removed);
    cli_json_count(&json, "bytes_removed", erased->bytes_removed);
    cli_json_close(&json, '}');
    cli_json_print(&json);
}

static int erase(const struct location *location, const struct settings *set)
{
    kith_error error = { .status = KITH_OK };
    kith_database *database = NULL;
    kith_table *table = NULL;
    kith_expr *filter = NULL;
    kith_erasing erasing = KITH_INIT(kith_erasing);
    kith_erased erased = KITH_INIT(kith_erased);
    kith_status status = cli_open_table(location, &database, &table, &error);
    if (!status) status = cli_where(&set->where, &filter, &error);
    erasing.filter = filter;
    erasing.tags = set->tags;
    erasing.alone = set->alone;
    if (!status) status = kith_erase(table, &erasing, &erased, &error);
    if (!status) print_erased(&erased, set->common.json);
    kith_expr_free(filter);
    kith_table_close(table);
    kith_close(database);
    return status ? cli_report(&error) : CLI_OK;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct settings set = { 0 };
    struct operands operands = { .at_least = 1, .at_most = 1 };
    struct location location = { 0 };
    int code = cli_parse(self, argc, argv, &set, &operands);
    if (code < 0 && set.deleted == (set.where.text != NULL))
        code = cli_usage(self, "either --where or --deleted says what to erase");
    if (code < 0) code = cli_location_table(self, operands.items[0], &location);
    if (code < 0) {
        code = erase(&location, &set);
        cli_location_release(&location);
        int written = cli_finish_output();
        code = code ? code : written;
    }
    cli_where_release(&set.where);
    return code;
}

const struct command cli_cmd_erase = {
    "erase",
    "DB/TABLE",
    "Delete rows so that nothing is left of them in any file.",
    "Files and indexes that hold them are written anew, and every version but the newest is removed. Exits "
    "with 5 "
    "when another writer's files are in the way, with 6 when tags are.",
    options,
    run,
};
