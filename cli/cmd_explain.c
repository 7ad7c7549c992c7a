/* kith explain: how a search is answered; with --analyze, what it then did. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arrow_view.h"
#include "options.h"
#include "query_vectors.h"
#include "where.h"

struct settings {
    struct common common;
    const char *vector;
    const char *row;
    const char *metric;
    const char *column;
    uint32_t k;
    uint32_t nprobes;
    uint32_t refine;
    uint32_t ef;
    float recall;
    struct where where;
    bool exact;
    bool analyze;
};

#define FIELD(name) offsetof(struct settings, name)
static const struct option_spec options[] = {
    { "analyze", 0, OPTION_FLAG, FIELD(analyze), NULL,
      "run the search, and tell what it did and what memory would take", NULL },
    { "vector", 'v', OPTION_TEXT, FIELD(vector), "WHAT",
      "a file of vectors, a JSON array, or - for either on stdin (default: some row)", NULL },
    { "row", 'r', OPTION_TEXT, FIELD(row), "ID", "the vector of the row with this _rowid", NULL },
    { "k", 'k', OPTION_U32, FIELD(k), "N", "rows to find for each vector (default: 10)", NULL },
    { "recall", 0, OPTION_REAL, FIELD(recall), "R",
      "wanted recall: 0, the fastest, to 1, exact (default: 0.95)", NULL },
    { "nprobes", 0, OPTION_U32, FIELD(nprobes), "N", "lists of the index to visit (default: chosen)", NULL },
    { "refine", 0, OPTION_U32, FIELD(refine), "N", "re-rank k * N candidates by their stored vectors", NULL },
    { "ef", 0, OPTION_U32, FIELD(ef), "N", "how far to walk an HNSW index (default: chosen)", NULL },
    { "metric", 'm', OPTION_TEXT, FIELD(metric), "NAME", "how vectors are compared (default: the column's)",
      "l2|cosine|dot|hamming" },
    { "column", 0, OPTION_TEXT, FIELD(column), "NAME", "vector column (default: the only one)", NULL },
    WHERE_OPTIONS(FIELD(where)),
    { "exact", 0, OPTION_FLAG, FIELD(exact), NULL, "scan every row", NULL },
    { 0 },
};

/* Without --vector and --row, the vector of some row: how a search is answered hardly depends on it. */
static kith_status find_vectors(kith_table *table, const struct settings *set, uint64_t row_id,
                                struct query_vectors *out, kith_error *error)
{
    struct ArrowSchema schema = { 0 };
    int64_t at = 0;
    uint64_t *row_ids = NULL;
    if (set->row) return cli_vectors_of_row(table, row_id, set->column, out, error);
    if (set->vector) return cli_vectors_read(set->vector, set->column, out, error);
    kith_status status = kith_table_schema(table, &schema, error);
    if (!status) status = cli_vector_column(&schema, set->column, &at, error);
    if (!status) status = cli_vectors_of_rows(table, schema.children[at]->name, 1, 0, out, &row_ids, error);
    free(row_ids);
    if (schema.release) schema.release(&schema);
    return status;
}

static kith_status explain(kith_table *table, const struct settings *set, uint64_t row_id, char **out,
                           kith_error *error)
{
    struct query_vectors vectors = { .count = 0 };
    kith_query query = KITH_INIT(kith_query);
    kith_expr *filter = NULL;
    kith_status status = find_vectors(table, set, row_id, &vectors, error);
    if (!status && set->metric) status = kith_metric_parse(set->metric, &query.metric, error);
    query.column = set->column;
    query.vectors = vectors.data;
    query.vector_count = vectors.count;
    query.element = vectors.element;
    query.dim = vectors.dim;
    query.k = set->k;
    query.nprobes = set->nprobes;
    query.refine_factor = set->refine;
    query.ef = set->ef;
    query.recall = cli_recall(set->recall);
    query.exact = set->exact;
    if (!status) status = cli_where(&set->where, &filter, error);
    query.filter = filter;
    if (!status) status = (set->analyze ? kith_analyze : kith_explain)(table, &query, out, error);
    kith_expr_free(filter);
    cli_vectors_release(&vectors);
    return status;
}

static void print_plan(const struct location *location, const struct settings *set, const char *text)
{
    size_t size = strlen(text);
    if (!set->common.json) {
        printf("%s%s", text, size && text[size - 1] == '\n' ? "" : "\n");
        return;
    }
    struct json json = { 0 };
    cli_json_open(&json, NULL, '{');
    cli_json_string(&json, "database", location->database);
    cli_json_string(&json, "table", location->table);
    cli_json_string(&json, set->analyze ? "analyze" : "explain", text);
    cli_json_close(&json, '}');
    cli_json_print(&json);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct settings set = { .k = 10, .recall = NAN };
    struct operands operands = { .at_least = 1, .at_most = 1 };
    struct location location = { 0 };
    kith_database *database = NULL;
    kith_table *table = NULL;
    kith_error error = { .status = KITH_OK };
    uint64_t row_id = 0;
    char *text = NULL;
    int code = cli_parse(self, argc, argv, &set, &operands);
    if (code >= 0) return code;
    if (set.vector && set.row) return cli_usage(self, "--vector and --row exclude each other");
    if (set.row && !cli_read_row_id(set.row, &row_id))
        return cli_usage(self, "--row expects a row id, given '%s'", set.row);
    code = cli_location_table(self, operands.items[0], &location);
    if (code >= 0) return code;
    kith_status status = cli_open_table(&location, &database, &table, &error);
    if (!status) status = explain(table, &set, row_id, &text, &error);
    if (!status) print_plan(&location, &set, text);
    code = status ? cli_report(&error) : cli_finish_output();
    cli_where_release(&set.where);
    kith_text_free(text);
    kith_table_close(table);
    kith_close(database);
    cli_location_release(&location);
    return code;
}

const struct command cli_cmd_explain = {
    "explain",
    "DB/TABLE",
    "Tell how a search is answered, and with --analyze what it then did.",
    "  kith explain films.db/film --recall 0.99\n"
    "  kith explain films.db/film --vector queries.npy --analyze",
    options,
    run,
};
