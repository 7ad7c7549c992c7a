/* kith info: a database's tables, or all that is known of one table. */
#include <stdlib.h>
#include <string.h>

#include "index_print.h"
#include "options.h"
#include "table_print.h"

struct settings {
    struct common common;
    bool versions;
};

static const struct option_spec options[] = {
    { "versions", 0, OPTION_FLAG, offsetof(struct settings, versions), NULL,
      "list every version, not only the last five", NULL },
    { 0 },
};

/* ---- a database ---- */

/* The vector columns of a table, e.g. "vector float32[384]". */
static void vector_text(const struct ArrowSchema *schema, struct text *to)
{
    cli_text_add(to, "", 0);
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (!cli_is_vector(schema->children[i], NULL, NULL)) continue;
        if (to->size) cli_text_puts(to, ", ");
        cli_text_printf(to, "%s ", schema->children[i]->name);
        cli_type_text(schema->children[i], to);
    }
}

struct overview {
    kith_table_info info;
    size_t indexes;
    struct text vectors;
};

static kith_status overview_of(kith_database *database, const char *name, struct overview *out,
                               kith_error *error)
{
    kith_table *table = NULL;
    kith_indexes *indexes = NULL;
    struct ArrowSchema schema = { 0 };
    out->info = KITH_INIT(kith_table_info);
    kith_status status = kith_open_table(database, name, &table, error);
    if (!status) status = kith_table_stats(table, &out->info, error);
    if (!status) status = kith_list_indexes(table, &indexes, error);
    if (!status) status = kith_table_schema(table, &schema, error);
    if (!status) {
        vector_text(&schema, &out->vectors);
        out->indexes = indexes->count;
        schema.release(&schema);
    }
    kith_indexes_free(indexes);
    kith_table_close(table);
    return status;
}

static uint64_t all_bytes(const kith_table_info *info)
{
    return info->data_bytes + info->index_bytes + info->inline_bytes;
}

static void overview_json(struct json *json, const char *name, const struct overview *table,
                          const char *problem)
{
    cli_json_open(json, NULL, '{');
    cli_json_string(json, "table", name);
    cli_json_string(json, "error", problem);
    cli_json_count(json, "rows", table->info.rows);
    cli_json_count(json, "version", table->info.version);
    cli_json_count(json, "bytes", all_bytes(&table->info));
    cli_json_count(json, "indexes", table->indexes);
    cli_json_close(json, '}');
}

static void overview_row(struct sheet *sheet, const char *name, const struct overview *table,
                         const char *problem)
{
    cli_sheet_row(sheet);
    cli_sheet_cell(sheet, name);
    cli_sheet_count(sheet, table->info.rows);
    cli_sheet_count(sheet, table->info.version);
    cli_sheet_bytes(sheet, all_bytes(&table->info));
    cli_sheet_count(sheet, table->indexes);
    cli_sheet_cell(sheet, problem ? "cannot be read" : table->vectors.data);
}

/* Lists the tables; one that cannot be read is listed as such, and makes the exit code. */
static int show_database(kith_database *database, const struct settings *set)
{
    static const char *const headings[] = {
        "TABLE", ">ROWS", ">VERSION", ">SIZE", ">INDEXES", "VECTORS", NULL
    };
    kith_error error = { .status = KITH_OK };
    kith_names *names = NULL;
    int code = CLI_OK;
    if (kith_list_tables(database, NULL, 0, &names, &error)) return cli_report(&error);
    if (!names->count && !set->common.json && !set->common.quiet) fprintf(stderr, "no tables\n");

    struct json json = { 0 };
    struct sheet *sheet = set->common.json || !names->count ? NULL : cli_sheet_new(headings);
    cli_json_open(&json, NULL, '{');
    cli_json_string(&json, "database", kith_uri(database));
    cli_json_open(&json, "tables", '[');
    for (size_t i = 0; i < names->count; i++) {
        struct overview table = { .indexes = 0 };
        kith_status status = overview_of(database, names->names[i], &table, &error);
        if (status) code = cli_report(&error);
        overview_json(&json, names->names[i], &table, status ? error.message : NULL);
        if (sheet) overview_row(sheet, names->names[i], &table, status ? error.message : NULL);
        cli_text_release(&table.vectors);
    }
    cli_json_close(&json, ']');
    cli_json_close(&json, '}');
    kith_names_free(names);
    if (sheet) cli_sheet_print(sheet);
    if (set->common.json) cli_json_print(&json);
    cli_text_release(&json.text);
    return code;
}

/* ---- a table ---- */

struct table_facts {
    struct ArrowSchema schema;
    kith_table_info info;
    kith_indexes *indexes;
    kith_versions *versions;
};

static kith_status facts_of(kith_table *table, struct table_facts *out, kith_error *error)
{
    out->info = KITH_INIT(kith_table_info);
    kith_status status = kith_table_schema(table, &out->schema, error);
    if (!status) status = kith_table_stats(table, &out->info, error);
    if (!status) status = kith_list_indexes(table, &out->indexes, error);
    if (!status) status = kith_table_versions(table, &out->versions, error);
    return status;
}

static void facts_release(struct table_facts *facts)
{
    if (facts->schema.release) facts->schema.release(&facts->schema);
    kith_indexes_free(facts->indexes);
    kith_versions_free(facts->versions);
}

static void print_columns(const struct ArrowSchema *schema)
{
    static const char *const headings[] = { "COLUMN", "TYPE", "NULLS", "METRIC", NULL };
    struct sheet *sheet = cli_sheet_new(headings);
    struct text text = { 0 };
    for (int64_t i = 0; i < schema->n_children; i++) {
        const struct ArrowSchema *column = schema->children[i];
        cli_sheet_row(sheet);
        cli_sheet_cell(sheet, column->name);
        text.size = 0;
        cli_type_text(column, &text);
        cli_sheet_cell(sheet, text.data);
        cli_sheet_cell(sheet, column->flags & ARROW_FLAG_NULLABLE ? "allowed" : "refused");
        text.size = 0;
        if (!cli_metadata(column, "kith:metric", &text)) cli_text_add(&text, "", 0);
        cli_sheet_cell(sheet, text.data);
    }
    cli_text_release(&text);
    cli_sheet_print(sheet);
}

static void print_versions(const kith_versions *versions, bool all)
{
    static const char *const headings[] = { ">VERSION", "TIME (UTC)", "OPERATION", ">ROWS", NULL };
    struct sheet *sheet = cli_sheet_new(headings);
    size_t first = all || versions->count <= 5 ? 0 : versions->count - 5;
    for (size_t i = first; i < versions->count; i++) {
        const kith_version_info *version = &versions->versions[i];
        char when[32];
        cli_time_text(when, sizeof when, version->time_us);
        cli_sheet_row(sheet);
        cli_sheet_count(sheet, version->version);
        cli_sheet_cell(sheet, when);
        cli_sheet_cell(sheet, version->operation);
        cli_sheet_count(sheet, version->rows);
    }
    cli_sheet_print(sheet);
}

static void print_facts(const char *name, const struct table_facts *facts, bool all_versions)
{
    const kith_table_info *info = &facts->info;
    char rows[32], data[32], index[32];
    printf("%s: %s rows, version %llu\n", name, cli_count_text(rows, info->rows),
           (unsigned long long)info->version);
    printf("%s of rows, %s of indexes, in %llu files (%llu pieces)\n\n",
           cli_bytes_text(data, info->data_bytes + info->inline_bytes),
           cli_bytes_text(index, info->index_bytes), (unsigned long long)info->files,
           (unsigned long long)info->fragments);
    print_columns(&facts->schema);
    if (facts->indexes->count) {
        printf("\n");
        cli_indexes_print(facts->indexes);
    }
    printf("\n");
    print_versions(facts->versions, all_versions);
}

static void columns_json(struct json *json, const struct ArrowSchema *schema)
{
    struct text text = { 0 };
    cli_json_open(json, "columns", '[');
    for (int64_t i = 0; i < schema->n_children; i++) {
        const struct ArrowSchema *column = schema->children[i];
        cli_json_open(json, NULL, '{');
        cli_json_string(json, "name", column->name);
        text.size = 0;
        cli_type_text(column, &text);
        cli_json_string(json, "type", text.data);
        cli_json_bool(json, "nullable", (column->flags & ARROW_FLAG_NULLABLE) != 0);
        text.size = 0;
        cli_json_string(json, "metric", cli_metadata(column, "kith:metric", &text) ? text.data : NULL);
        cli_json_close(json, '}');
    }
    cli_json_close(json, ']');
    cli_text_release(&text);
}

static void facts_json(const struct location *location, const struct table_facts *facts)
{
    const kith_table_info *info = &facts->info;
    struct json json = { 0 };
    cli_json_open(&json, NULL, '{');
    cli_json_string(&json, "database", location->database);
    cli_json_string(&json, "table", location->table);
    cli_json_count(&json, "rows", info->rows);
    cli_json_count(&json, "version", info->version);
    cli_json_count(&json, "fragments", info->fragments);
    cli_json_count(&json, "files", info->files);
    cli_json_count(&json, "data_bytes", info->data_bytes);
    cli_json_count(&json, "index_bytes", info->index_bytes);
    cli_json_count(&json, "inline_bytes", info->inline_bytes);
    columns_json(&json, &facts->schema);
    cli_json_open(&json, "indexes", '[');
    for (size_t i = 0; i < facts->indexes->count; i++)
        cli_index_json(&json, NULL, &facts->indexes->indexes[i]);
    cli_json_close(&json, ']');
    cli_json_open(&json, "versions", '[');
    for (size_t i = 0; i < facts->versions->count; i++) {
        const kith_version_info *version = &facts->versions->versions[i];
        cli_json_open(&json, NULL, '{');
        cli_json_count(&json, "version", version->version);
        cli_json_int(&json, "time_us", version->time_us);
        cli_json_string(&json, "operation", version->operation);
        cli_json_count(&json, "rows", version->rows);
        cli_json_close(&json, '}');
    }
    cli_json_close(&json, ']');
    cli_json_close(&json, '}');
    cli_json_print(&json);
}

static int show_table(kith_database *database, const struct location *location, const struct settings *set)
{
    kith_error error = { .status = KITH_OK };
    kith_table *table = NULL;
    struct table_facts facts = { .indexes = NULL };
    kith_status status = kith_open_table(database, location->table, &table, &error);
    if (!status) status = facts_of(table, &facts, &error);
    if (!status && set->common.json) facts_json(location, &facts);
    if (!status && !set->common.json) print_facts(location->table, &facts, set->versions);
    facts_release(&facts);
    kith_table_close(table);
    return status ? cli_report(&error) : CLI_OK;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct settings set = { 0 };
    struct operands operands = { .at_least = 1, .at_most = 1 };
    struct location location = { 0 };
    kith_database *database = NULL;
    kith_error error = { .status = KITH_OK };
    int code = cli_parse(self, argc, argv, &set, &operands);
    if (code >= 0) return code;
    code = cli_location_any(self, operands.items[0], &location);
    if (code >= 0) return code;
    if (cli_open_database(&location, &database, &error)) {
        code = cli_report(&error);
    } else {
        code = location.table ? show_table(database, &location, &set) : show_database(database, &set);
    }
    kith_close(database);
    cli_location_release(&location);
    int written = cli_finish_output();
    return code ? code : written;
}

const struct command cli_cmd_info = {
    "info", "DB[/TABLE]", "Show a database's tables, or a table's columns, size, indexes and versions.",
    NULL,   options,      run,
};
