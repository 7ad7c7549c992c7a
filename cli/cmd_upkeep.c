/* kith compact, repair, backup: what writes do in passing, done now; a log that takes commits again; a copy.
 */
#include <stdlib.h>
#include <string.h>

#include "json_out.h"
#include "options.h"

struct settings {
    struct common common;
    bool all_versions;
};

/* One table, opened unless its log may be damaged. */
struct place {
    struct location location;
    kith_database *database;
    kith_table *table;
};

static int place_open(const struct command *self, const char *text, bool with_table, struct place *place)
{
    kith_error error = { .status = KITH_OK };
    int code = cli_location_table(self, text, &place->location);
    if (code >= 0) return code;
    kith_status status = cli_open_database(&place->location, &place->database, &error);
    if (!status && with_table)
        status = kith_open_table(place->database, place->location.table, &place->table, &error);
    return status ? cli_report(&error) : -1;
}

static int place_close(struct place *place, int code)
{
    kith_table_close(place->table);
    kith_close(place->database);
    cli_location_release(&place->location);
    int written = cli_finish_output();
    return code ? code : written;
}

/* ---- compact */

static const struct option_spec compact_options[] = {
    { "all-versions", 0, OPTION_FLAG, offsetof(struct settings, all_versions), NULL,
      "forget every version but the newest and those with tags", NULL },
    { 0 },
};

static void print_stats(const kith_upkeep_stats *stats, const struct settings *set)
{
    struct json json = { 0 };
    if (!set->common.json) {
        printf("%llu fragments became %llu, %llu rows were indexed, %llu versions forgotten, %llu files "
               "removed\n",
               (unsigned long long)stats->fragments_removed, (unsigned long long)stats->fragments_added,
               (unsigned long long)stats->rows_indexed, (unsigned long long)stats->versions_removed,
               (unsigned long long)stats->files_removed);
        return;
    }
    cli_json_open(&json, NULL, '{');
    cli_json_count(&json, "fragments_removed", stats->fragments_removed);
    cli_json_count(&json, "fragments_added", stats->fragments_added);
    cli_json_count(&json, "rows_indexed", stats->rows_indexed);
    cli_json_count(&json, "versions_removed", stats->versions_removed);
    cli_json_count(&json, "files_removed", stats->files_removed);
    cli_json_count(&json, "bytes_removed", stats->bytes_removed);
    cli_json_close(&json, '}');
    cli_json_print(&json);
    cli_text_release(&json.text);
}

static int run_compact(const struct command *self, int argc, char **argv)
{
    struct settings set = { 0 };
    struct operands operands = { .at_least = 1, .at_most = 1 };
    struct place place = { 0 };
    kith_error error = { .status = KITH_OK };
    kith_upkeep upkeep = KITH_INIT(kith_upkeep);
    kith_upkeep_stats stats = KITH_INIT(kith_upkeep_stats);
    int code = cli_parse(self, argc, argv, &set, &operands);
    if (code >= 0) return code;
    code = place_open(self, operands.items[0], true, &place);
    if (code >= 0) return place_close(&place, code);
    upkeep.rewrite = upkeep.orphans = true;
    upkeep.older_than_us = set.all_versions ? 0 : -1;
    code = CLI_OK;
    if (kith_optimize(place.table, &upkeep, &stats, &error))
        code = cli_report(&error);
    else
        print_stats(&stats, &set);
    return place_close(&place, code);
}

const struct command cli_cmd_compact = {
    "compact",
    "DB/TABLE",
    "Do now what writes do in passing: fold, index, and remove what is not needed.",
    "Never needed. Rows that were deleted lose their bytes; versions that still show them keep theirs.",
    compact_options,
    run_compact,
};

/* ---- repair and backup */

static const struct option_spec no_options[] = { { 0 } };

static void repair_json(const char *table, kith_status status, const char *words, const kith_error *error)
{
    struct json json = { 0 };
    cli_json_open(&json, NULL, '{');
    cli_json_string(&json, "table", table);
    cli_json_string(&json, "status", kith_status_name(status));
    cli_json_string(&json, "repaired", words && words[0] ? words : NULL);
    cli_json_string(&json, "error", status ? error->message : NULL);
    cli_json_close(&json, '}');
    cli_json_print(&json);
}

static int run_repair(const struct command *self, int argc, char **argv)
{
    struct settings set = { 0 };
    struct operands operands = { .at_least = 1, .at_most = 1 };
    struct place place = { 0 };
    kith_error error = { .status = KITH_OK };
    char *words = NULL;
    int code = cli_parse(self, argc, argv, &set, &operands);
    if (code >= 0) return code;
    code = place_open(self, operands.items[0], false, &place);
    if (code >= 0) return place_close(&place, code);
    kith_status status = kith_repair(place.database, place.location.table, &words, &error);
    if (set.common.json)
        repair_json(place.location.table, status, words, &error);
    else if (words)
        printf("%s", words[0] ? words : "nothing was wrong\n");
    code = status ? cli_report(&error) : CLI_OK;
    kith_text_free(words);
    return place_close(&place, code);
}

const struct command cli_cmd_repair = {
    "repair",
    "DB/TABLE",
    "Make a table whose newest commit cannot be read take commits again, and drop damaged indexes.",
    "The commit is saved beside the log, and what it changed is lost. Damaged rows are told, with exit code "
    "4: they "
    "can only be restored from a copy. Nobody may write meanwhile.",
    no_options,
    run_repair,
};

/* What was copied, from the copy. */
static kith_status backup_json(const struct place *place, const char *uri, kith_error *error)
{
    kith_database *to = NULL;
    kith_table *copy = NULL;
    uint64_t rows = 0;
    struct json json = { 0 };
    kith_status status = kith_open(uri, &to, error);
    if (!status) status = kith_open_table(to, place->location.table, &copy, error);
    if (!status) status = kith_table_count(copy, NULL, &rows, error);
    if (!status) {
        cli_json_open(&json, NULL, '{');
        cli_json_string(&json, "database", place->location.database);
        cli_json_string(&json, "table", place->location.table);
        cli_json_string(&json, "destination", uri);
        cli_json_count(&json, "rows", rows);
        cli_json_close(&json, '}');
        cli_json_print(&json);
    }
    kith_table_close(copy);
    kith_close(to);
    return status;
}

static int run_backup(const struct command *self, int argc, char **argv)
{
    struct settings set = { 0 };
    struct operands operands = { .at_least = 2, .at_most = 2 };
    struct place place = { 0 };
    kith_error error = { .status = KITH_OK };
    int code = cli_parse(self, argc, argv, &set, &operands);
    if (code >= 0) return code;
    code = place_open(self, operands.items[0], true, &place);
    if (code >= 0) return place_close(&place, code);
    kith_status status = kith_backup(place.table, operands.items[1], &error);
    if (!status && set.common.json) status = backup_json(&place, operands.items[1], &error);
    code = status ? cli_report(&error) : CLI_OK;
    return place_close(&place, code);
}

const struct command cli_cmd_backup = {
    "backup",
    "DB/TABLE DESTINATION",
    "Copy a table as it is now into another database, while others go on writing.",
    "DESTINATION is a folder, made when absent; it must not have a table of that name.",
    no_options,
    run_backup,
};
