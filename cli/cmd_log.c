/* kith log: what was done to a table, the newest first. */
#include <stdlib.h>

#include "json_out.h"
#include "options.h"
#include "table_print.h"

struct settings {
    struct common common;
    uint64_t most;
};

static const struct option_spec options[] = {
    { "commits", 'n', OPTION_U64, offsetof(struct settings, most), "N", "at most the newest N commits",
      NULL },
    { 0 },
};

/* Nobody signs a commit. What is known of whose it was: the key that it was asked for with, and its id. */
static void who_text(const kith_commit *commit, struct text *to)
{
    to->size = 0;
    cli_text_printf(to, "%.8s", commit->transaction);
    if (commit->transactions > 1) cli_text_printf(to, " and %u more", commit->transactions - 1);
    if (commit->key) cli_text_printf(to, " \"%s\"", commit->key);
}

static void print_commits(const kith_commits *commits)
{
    static const char *const headings[] = { ">VERSION",  "TIME (UTC)", "OPERATION", ">ROWS IN",
                                            ">ROWS OUT", "BY",         NULL };
    struct sheet *sheet = cli_sheet_new(headings);
    struct text who = { 0 };
    for (size_t i = 0; i < commits->count; i++) {
        const kith_commit *commit = &commits->commits[i];
        char when[32];
        cli_time_text(when, sizeof when, commit->time_us);
        who_text(commit, &who);
        cli_sheet_row(sheet);
        cli_sheet_count(sheet, commit->version);
        cli_sheet_cell(sheet, when);
        cli_sheet_cell(sheet, commit->operation);
        for (int out = 0; out < 2; out++) {
            if (commit->upkeep)
                cli_sheet_cell(sheet, "-");
            else
                cli_sheet_count(sheet, out ? commit->rows_removed : commit->rows_added);
        }
        cli_sheet_cell(sheet, who.data);
    }
    cli_text_release(&who);
    cli_sheet_print(sheet);
}

static void commits_json(const char *table, const kith_commits *commits)
{
    struct json json = { 0 };
    cli_json_open(&json, NULL, '{');
    cli_json_string(&json, "table", table);
    cli_json_open(&json, "commits", '[');
    for (size_t i = 0; i < commits->count; i++) {
        const kith_commit *commit = &commits->commits[i];
        cli_json_open(&json, NULL, '{');
        cli_json_count(&json, "version", commit->version);
        cli_json_int(&json, "time_us", commit->time_us);
        cli_json_string(&json, "operation", commit->operation);
        cli_json_bool(&json, "upkeep", commit->upkeep);
        cli_json_count(&json, "rows_added", commit->rows_added);
        cli_json_count(&json, "rows_removed", commit->rows_removed);
        cli_json_string(&json, "transaction", commit->transaction);
        cli_json_count(&json, "transactions", commit->transactions);
        cli_json_string(&json, "key", commit->key);
        cli_json_close(&json, '}');
    }
    cli_json_close(&json, ']');
    cli_json_close(&json, '}');
    cli_json_print(&json);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct settings set = { .most = UINT64_MAX };
    struct operands operands = { .at_least = 1, .at_most = 1 };
    struct location location = { 0 };
    kith_database *database = NULL;
    kith_table *table = NULL;
    kith_commits *commits = NULL;
    kith_error error = { .status = KITH_OK };
    int code = cli_parse(self, argc, argv, &set, &operands);
    if (code < 0) code = cli_location_table(self, operands.items[0], &location);
    if (code >= 0) return code;
    kith_status status = cli_open_table(&location, &database, &table, &error);
    if (!status) status = kith_table_log(table, (size_t)set.most, &commits, &error);
    kith_commits shown = { 0 };
    if (!status) shown = *commits;
    if (!set.most) shown.count = 0; // to the library it means all
    if (!status && set.common.json) commits_json(location.table, &shown);
    if (!status && !set.common.json) print_commits(&shown);
    kith_commits_free(commits);
    kith_table_close(table);
    kith_close(database);
    cli_location_release(&location);
    code = status ? cli_report(&error) : CLI_OK;
    int written = cli_finish_output();
    return code ? code : written;
}

const struct command cli_cmd_log = {
    "log",
    "DB/TABLE",
    "Show what was done to a table, the newest commit first.",
    "Goes back as far as versions are kept. BY is the transaction's id and, where there was one, its "
    "idempotency key.",
    options,
    run,
};
