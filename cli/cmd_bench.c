/* kith bench: how good and how fast a table's index answers, at several wanted recalls. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arrow_view.h"
#include "measure.h"
#include "options.h"
#include "plot_svg.h"
#include "table_print.h"

struct settings {
    struct common common;
    const char *queries;
    const char *column;
    const char *recall;
    const char *plot;
    uint32_t k;
    uint32_t sample;
    uint64_t seed;
};

#define FIELD(name) offsetof(struct settings, name)
static const struct option_spec options[] = {
    { "queries", 0, OPTION_TEXT, FIELD(queries), "FILE",
      "vectors to search for (default: rows of the table, each left out of its answer)", NULL },
    { "k", 'k', OPTION_U32, FIELD(k), "N", "rows to find for each (default: 10)", NULL },
    { "recall", 0, OPTION_TEXT, FIELD(recall), "R,R,...",
      "what to ask for, from 0, the fastest, to 1, exact (default: 0.8 to 0.99)", NULL },
    { "sample", 0, OPTION_U32, FIELD(sample), "N", "at most so many queries, chosen at random (default: 256)",
      NULL },
    { "seed", 0, OPTION_U64, FIELD(seed), "N", "the same seed chooses the same queries", NULL },
    { "column", 0, OPTION_TEXT, FIELD(column), "NAME", "vector column (default: the only one)", NULL },
    { "plot", 0, OPTION_TEXT, FIELD(plot), "FILE", "draw recall against queries a second, as an SVG", NULL },
    { 0 },
};

struct bench {
    struct settings set;
    struct location location;
    kith_database *database;
    kith_table *table;
    char *column;
    char title[160]; // which index
    struct measuring measuring;
};

/* ---- what to measure ---- */

/* Reads "0.9,0.95" into rows. @return -1, or CLI_USAGE after saying why */
static int read_recalls(const struct command *self, const char *list, struct measuring *m)
{
    size_t count = 0;
    int code = -1;
    const char **items = cli_split(list, &count);
    m->rows = cli_alloc(count * sizeof *m->rows);
    for (size_t i = 0; i < count && code < 0; i++) {
        char *end = NULL;
        float recall = strtof(items[i], &end);
        if (end == items[i] || *end || !(recall >= 0 && recall <= 1))
            code = cli_usage(self, "--recall expects numbers from 0 to 1, given '%s'", items[i]);
        m->rows[m->count++].recall = recall;
    }
    if (code < 0 && !count) code = cli_usage(self, "--recall expects numbers from 0 to 1, given nothing");
    free(items);
    return code;
}

static kith_status find_column(struct bench *bench, kith_error *error)
{
    struct ArrowSchema schema = { 0 };
    int64_t at = 0;
    kith_status status = kith_table_schema(bench->table, &schema, error);
    if (!status) status = cli_vector_column(&schema, bench->set.column, &at, error);
    if (!status) bench->column = cli_copy_text(schema.children[at]->name);
    if (schema.release) schema.release(&schema);
    return status;
}

/* The newest index of the column, which is the one that answers. */
static kith_status find_index(struct bench *bench, kith_error *error)
{
    kith_indexes *indexes = NULL;
    const kith_index_info *found = NULL;
    kith_status status = kith_list_indexes(bench->table, &indexes, error);
    if (status) return status;
    for (size_t i = 0; i < indexes->count; i++) {
        const kith_index_info *index = &indexes->indexes[i];
        if (strcmp(index->column, bench->column) == 0 && (!found || index->created_us > found->created_us))
            found = index;
    }
    if (found)
        snprintf(bench->title, sizeof bench->title, "%s %s", kith_index_type_name(found->type), found->name);
    kith_indexes_free(indexes);
    return KITH_OK;
}

static kith_status find_queries(struct bench *bench, kith_error *error)
{
    const struct settings *set = &bench->set;
    struct measuring *m = &bench->measuring;
    m->table = bench->table;
    m->column = bench->column;
    m->k = set->k;
    m->progress.hidden = set->common.quiet;
    if (!set->queries) {
        if (m->k < 2) m->k = 2; // one of them is the row itself
        return cli_vectors_of_rows(m->table, m->column, set->sample, set->seed, &m->queries, &m->own, error);
    }
    kith_status status = cli_vectors_read(set->queries, set->column, &m->queries, error);
    if (!status) cli_vectors_sample(&m->queries, set->sample, set->seed);
    return status;
}

/* ---- telling ---- */

static void print_number(struct sheet *sheet, int decimals, double number)
{
    char text[40];
    snprintf(text, sizeof text, "%.*f", decimals, number);
    cli_sheet_cell(sheet, text);
}

static void print_sheet(const struct bench *bench)
{
    static const char *const headings[] = { ">RECALL",    ">MEASURED", ">+-",    ">EXPECTED",
                                            ">QUERIES/S", ">LISTS",    ">CODES", NULL };
    const struct measuring *m = &bench->measuring;
    struct sheet *sheet = cli_sheet_new(headings);
    for (size_t i = 0; i < m->count; i++) {
        const struct measured *row = &m->rows[i];
        struct text recall = { 0 };
        cli_text_float(&recall, row->recall, NULL);
        cli_sheet_row(sheet);
        cli_sheet_cell(sheet, recall.data);
        cli_text_release(&recall);
        print_number(sheet, 4, row->measured);
        print_number(sheet, 4, row->standard_error);
        if (row->expected > 0)
            print_number(sheet, 4, row->expected);
        else
            cli_sheet_cell(sheet, "-");
        cli_sheet_count(sheet, (uint64_t)(row->queries_per_second + 0.5));
        print_number(sheet, 1, row->lists);
        cli_sheet_count(sheet, (uint64_t)(row->codes + 0.5));
    }
    cli_sheet_row(sheet);
    cli_sheet_cell(sheet, "exact");
    print_number(sheet, 4, 1);
    print_number(sheet, 4, 0);
    print_number(sheet, 4, 1);
    cli_sheet_count(sheet, (uint64_t)(m->exact_queries_per_second + 0.5));
    cli_sheet_print(sheet);
}

static void print_text(const struct bench *bench)
{
    const struct measuring *m = &bench->measuring;
    printf("%s; %zu %s, k %u, one thread\n\n",
           bench->title[0] ? bench->title : "no index: every answer is exact", m->queries.count,
           m->own ? "rows of the table, each left out of its answer" : "queries", m->k);
    print_sheet(bench);
}

static void print_json(const struct bench *bench)
{
    const struct measuring *m = &bench->measuring;
    struct json json = { 0 };
    cli_json_open(&json, NULL, '{');
    cli_json_string(&json, "database", bench->location.database);
    cli_json_string(&json, "table", bench->location.table);
    cli_json_string(&json, "column", bench->column);
    cli_json_string(&json, "index", bench->title[0] ? bench->title : NULL);
    cli_json_count(&json, "k", m->k);
    cli_json_count(&json, "queries", m->queries.count);
    cli_json_string(&json, "source", m->own ? "rows" : "queries");
    cli_json_real(&json, "exact_queries_per_second", m->exact_queries_per_second);
    cli_json_open(&json, "rows", '[');
    for (size_t i = 0; i < m->count; i++) {
        const struct measured *row = &m->rows[i];
        cli_json_open(&json, NULL, '{');
        cli_json_key(&json, "recall");
        cli_text_float(&json.text, row->recall, "null");
        cli_json_real(&json, "measured", row->measured);
        cli_json_real(&json, "standard_error", row->standard_error);
        cli_json_real(&json, "expected", row->expected > 0 ? row->expected : NAN); // NaN is written as null
        cli_json_real(&json, "queries_per_second", row->queries_per_second);
        cli_json_real(&json, "lists", row->lists);
        cli_json_real(&json, "codes", row->codes);
        cli_json_close(&json, '}');
    }
    cli_json_close(&json, ']');
    cli_json_close(&json, '}');
    cli_json_print(&json);
}

static kith_status write_plot(const struct bench *bench, kith_error *error)
{
    const struct measuring *m = &bench->measuring;
    struct text svg = { 0 };
    kith_status status = KITH_OK;
    FILE *file = fopen(bench->set.plot, "w");
    if (!file) return cli_fail_errno(error, "write", bench->set.plot);
    cli_plot_svg(m->rows, m->count, m->k, bench->title[0] ? bench->title : "exact scan", &svg);
    bool whole = fwrite(svg.data, 1, svg.size, file) == svg.size;
    if (fclose(file) != 0 || !whole) status = cli_fail_errno(error, "write", bench->set.plot);
    cli_text_release(&svg);
    return status;
}

static kith_status run_bench(struct bench *bench, kith_error *error)
{
    kith_status status = cli_open_table(&bench->location, &bench->database, &bench->table, error);
    if (!status) status = find_column(bench, error);
    if (!status) status = find_index(bench, error);
    if (!status) status = find_queries(bench, error);
    if (!status) status = cli_measure(&bench->measuring, error);
    if (status) return status;
    if (bench->set.common.json)
        print_json(bench);
    else
        print_text(bench);
    return bench->set.plot ? write_plot(bench, error) : KITH_OK;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct bench bench = { .set = { .k = 10, .sample = 256, .recall = "0.8,0.85,0.9,0.95,0.97,0.98,0.99" } };
    struct operands operands = { .at_least = 1, .at_most = 1 };
    kith_error error = { .status = KITH_OK };
    const struct settings *set = &bench.set;
    int code = cli_parse(self, argc, argv, &bench.set, &operands);
    if (code >= 0) return code;
    if (set->k < 1 || set->k > 1000000) return cli_usage(self, "-k expects 1 to 1,000,000, given %u", set->k);
    if (set->sample < 1) return cli_usage(self, "--sample expects 1 or more");
    code = read_recalls(self, set->recall, &bench.measuring);
    if (code < 0) code = cli_location_table(self, operands.items[0], &bench.location);
    if (code < 0) code = run_bench(&bench, &error) ? cli_report(&error) : cli_finish_output();
    cli_measuring_release(&bench.measuring);
    free(bench.column);
    kith_table_close(bench.table);
    kith_close(bench.database);
    cli_location_release(&bench.location);
    return code;
}

const struct command cli_cmd_bench = {
    "bench",
    "DB/TABLE",
    "Measure recall and queries a second of a table's index.",
    "Each recall is asked of all queries. What was found is compared with the exact\n"
    "answers; the time is that of one thread.\n"
    "\n"
    "  kith bench films.db/film\n"
    "  kith bench films.db/film --queries queries.npy --recall 0.9,0.99 --plot film.svg",
    options,
    run,
};
