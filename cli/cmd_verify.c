/* kith verify: read every byte of one table, or of all tables, against its checksum. */
#include <string.h>

#include "json_out.h"
#include "options.h"

struct settings {
    struct common common;
};

static const struct option_spec options[] = { { 0 } };

/* Checks one table. @return an exit code */
static int verify_table(kith_database *database, const char *name, struct json *json,
                        const struct settings *set)
{
    kith_error error = { .status = KITH_OK };
    kith_table *table = NULL;
    uint64_t files = 0;
    kith_status status = kith_open_table(database, name, &table, &error);
    if (!status) status = kith_table_verify(table, &files, &error);
    kith_table_close(table);
    cli_json_open(json, NULL, '{');
    cli_json_string(json, "table", name);
    cli_json_string(json, "status", kith_status_name(status));
    cli_json_count(json, "files", files);
    cli_json_string(json, "error", status ? error.message : NULL);
    cli_json_close(json, '}');
    if (!set->common.json) {
        char count[32];
        if (status) {
            printf("%s: %s\n", name, kith_status_name(status));
        } else {
            printf("%s: ok, %s files\n", name, cli_count_text(count, files));
        }
    }
    return status ? cli_report(&error) : CLI_OK;
}

static int verify_all(kith_database *database, struct json *json, const struct settings *set)
{
    kith_error error = { .status = KITH_OK };
    kith_names *names = NULL;
    int code = CLI_OK;
    if (kith_list_tables(database, NULL, 0, &names, &error)) return cli_report(&error);
    for (size_t i = 0; i < names->count; i++) {
        int one = verify_table(database, names->names[i], json, set);
        if (one && code != CLI_CORRUPT) code = one; // damage outranks other failures
    }
    kith_names_free(names);
    return code;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct settings set = { 0 };
    struct operands operands = { .at_least = 1, .at_most = 1 };
    struct location location = { 0 };
    struct json json = { 0 };
    kith_database *database = NULL;
    kith_error error = { .status = KITH_OK };
    int code = cli_parse(self, argc, argv, &set, &operands);
    if (code >= 0) return code;
    code = cli_location_any(self, operands.items[0], &location);
    if (code >= 0) return code;
    cli_json_open(&json, NULL, '{');
    cli_json_open(&json, "tables", '[');
    if (cli_open_database(&location, &database, &error)) {
        code = cli_report(&error);
    } else {
        code = location.table ? verify_table(database, location.table, &json, &set)
                              : verify_all(database, &json, &set);
    }
    cli_json_close(&json, ']');
    cli_json_close(&json, '}');
    if (set.common.json && database) cli_json_print(&json);
    cli_text_release(&json.text);
    kith_close(database);
    cli_location_release(&location);
    int written = cli_finish_output();
    return code ? code : written;
}

const struct command cli_cmd_verify = {
    "verify",
    "DB[/TABLE]",
    "Read every byte of a table, or of all tables, and check it against its checksum.",
    "Exits with 4 when something is damaged, naming the file and block.",
    options,
    run,
};
