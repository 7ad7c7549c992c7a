/* kith index: build an index, list them, drop one. */
#include <stdlib.h>
#include <string.h>

#include "index_print.h"
#include "options.h"
#include "progress.h"
#include "query_vectors.h"
#include "table_print.h"

struct settings {
    struct common common;
    const char *type;
    const char *metric;
    const char *column;
    const char *name;
    const char *drop;
    uint32_t num_partitions;
    uint32_t num_sub_vectors;
    uint32_t m, ef_construction;
    uint32_t num_bits;
    uint32_t max_iterations;
    uint32_t sample_rate;
    uint32_t threads;
    uint64_t seed;
    uint64_t max_memory;
    const char *queries;
    bool list;
};

#define FIELD(name) offsetof(struct settings, name)
static const struct option_spec options[] = {
    { "type", 't', OPTION_TEXT, FIELD(type), "TYPE",
      "IVF_RQ (default), IVF_SQ, IVF_PQ, IVF_FLAT, HNSW; for filters BTREE, BITMAP, LABEL_LIST", NULL },
    { "metric", 'm', OPTION_TEXT, FIELD(metric), "NAME",
      "how vectors are compared (default: the column's, else l2)", "l2|cosine|dot|hamming" },
    { "column", 0, OPTION_TEXT, FIELD(column), "NAME", "default: the only vector column", NULL },
    { "name", 0, OPTION_TEXT, FIELD(name), "NAME", "name of the index (default: COLUMN_idx)", NULL },
    { "num-partitions", 0, OPTION_U32, FIELD(num_partitions), "N", "lists (default: from the number of rows)",
      NULL },
    { "num-sub-vectors", 0, OPTION_U32, FIELD(num_sub_vectors), "M",
      "codes a vector; divides its dimension (makes it IVF_PQ)", NULL },
    { "num-bits", 0, OPTION_U32, FIELD(num_bits), "B",
      "IVF_RQ: bits a number, 1 to 9 (default: 4); IVF_PQ: a code, 4 or 8", NULL },
    { "m", 0, OPTION_U32, FIELD(m), "M", "HNSW: links a row makes, 4 to 256 (default: 16)", NULL },
    { "ef-construction", 0, OPTION_U32, FIELD(ef_construction), "EF",
      "HNSW: near rows its links are chosen from (default: 200)", NULL },
    { "max-iterations", 0, OPTION_U32, FIELD(max_iterations), "N", "most rounds of k-means (default: 12)",
      NULL },
    { "sample-rate", 0, OPTION_U32, FIELD(sample_rate), "N", "rows a list to train on (default: 64)", NULL },
    { "queries", 0, OPTION_TEXT, FIELD(queries), "FILE",
      "calibrate recall on these vectors, not on rows of the table", NULL },
    { "max-memory", 0, OPTION_BYTES, FIELD(max_memory), "SIZE", "memory the build may take, e.g. 512MB",
      NULL },
    { "seed", 0, OPTION_U64, FIELD(seed), "N", "same seed, rows and options: same index", NULL },
    { "threads", 0, OPTION_U32, FIELD(threads), "N", "default: KITH_THREADS, else one a core", NULL },
    { "list", 'l', OPTION_FLAG, FIELD(list), NULL, "list the indexes instead", NULL },
    { "drop", 0, OPTION_TEXT, FIELD(drop), "NAME", "remove an index instead", NULL },
    { 0 },
};

/* What it measures by; NULL for an index over values. */
static const char *metric_of(const kith_index_info *index)
{
    return index->metric ? kith_metric_name(index->metric) : NULL;
}

void cli_index_json(struct json *json, const char *key, const kith_index_info *index)
{
    const char *calibration = index->calibration;
    cli_json_open(json, key, '{');
    cli_json_string(json, "name", index->name);
    cli_json_string(json, "column", index->column);
    cli_json_string(json, "type", kith_index_type_name(index->type));
    cli_json_string(json, "metric", metric_of(index));
    cli_json_count(json, "num_partitions", index->num_partitions);
    cli_json_count(json, "num_sub_vectors", index->num_sub_vectors);
    cli_json_count(json, "num_bits", index->num_bits);
    cli_json_count(json, "rows_indexed", index->rows_indexed);
    cli_json_count(json, "rows_unindexed", index->rows_unindexed);
    cli_json_count(json, "bytes", index->bytes);
    cli_json_int(json, "created_us", index->created_us);
    cli_json_string(json, "note", index->note);
    cli_json_key(json, "calibration");
    cli_text_puts(&json->text, calibration && *calibration ? calibration : "null"); // JSON already
    cli_json_close(json, '}');
}

void cli_indexes_print(const kith_indexes *indexes)
{
    static const char *const headings[] = { "INDEX",    "COLUMN",   "TYPE",  "METRIC", ">LISTS",
                                            ">INDEXED", ">NOT YET", ">SIZE", NULL };
    struct sheet *sheet = cli_sheet_new(headings);
    for (size_t i = 0; i < indexes->count; i++) {
        const kith_index_info *index = &indexes->indexes[i];
        cli_sheet_row(sheet);
        cli_sheet_cell(sheet, index->name);
        cli_sheet_cell(sheet, index->column);
        cli_sheet_cell(sheet, kith_index_type_name(index->type));
        cli_sheet_cell(sheet, index->metric ? kith_metric_name(index->metric) : "-");
        cli_sheet_count(sheet, index->num_partitions);
        cli_sheet_count(sheet, index->rows_indexed);
        cli_sheet_count(sheet, index->rows_unindexed);
        cli_sheet_bytes(sheet, index->bytes);
    }
    cli_sheet_print(sheet);
    for (size_t i = 0; i < indexes->count; i++) {
        if (indexes->indexes[i].note[0])
            printf("%s: %s\n", indexes->indexes[i].name, indexes->indexes[i].note);
    }
}

static kith_status list(kith_table *table, const struct settings *set, kith_error *error)
{
    kith_indexes *indexes = NULL;
    kith_status status = kith_list_indexes(table, &indexes, error);
    if (status) return status;
    if (set->common.json) {
        struct json json = { 0 };
        cli_json_open(&json, NULL, '{');
        cli_json_open(&json, "indexes", '[');
        for (size_t i = 0; i < indexes->count; i++) cli_index_json(&json, NULL, &indexes->indexes[i]);
        cli_json_close(&json, ']');
        cli_json_close(&json, '}');
        cli_json_print(&json);
    } else if (indexes->count) {
        cli_indexes_print(indexes);
    } else if (!set->common.quiet) {
        fprintf(stderr, "no index; searches scan every row, which is exact\n");
    }
    kith_indexes_free(indexes);
    return KITH_OK;
}

static kith_status drop(kith_table *table, const struct settings *set, kith_error *error)
{
    kith_status status = kith_drop_index(table, set->drop, error);
    if (status) return status;
    if (set->common.json) {
        struct json json = { 0 };
        cli_json_open(&json, NULL, '{');
        cli_json_string(&json, "dropped", set->drop);
        cli_json_close(&json, '}');
        cli_json_print(&json);
    } else {
        printf("dropped %s\n", set->drop);
    }
    return KITH_OK;
}

static void report_one(const kith_index_info *index, const struct settings *set, double seconds)
{
    char rows[32], bytes[32];
    if (set->common.json) {
        struct json json = { 0 };
        cli_json_open(&json, NULL, '{');
        cli_index_json(&json, "index", index);
        cli_json_real(&json, "seconds", seconds);
        cli_json_close(&json, '}');
        cli_json_print(&json);
        return;
    }
    printf("%s: %s", index->name, kith_index_type_name(index->type));
    if (index->metric) printf(", %s, %u lists", kith_metric_name(index->metric), index->num_partitions);
    printf(" over %s rows in %.2f s, %s on disk\n", cli_count_text(rows, index->rows_indexed), seconds,
           cli_bytes_text(bytes, index->bytes));
    if (index->note[0]) printf("%s: %s\n", index->name, index->note);
}

/* What was built: the index of that name, or the newest. */
static kith_status report(kith_table *table, const struct settings *set, double seconds, kith_error *error)
{
    kith_indexes *indexes = NULL;
    kith_status status = kith_list_indexes(table, &indexes, error);
    if (status) return status;
    const kith_index_info *found = NULL;
    for (size_t i = 0; i < indexes->count; i++) {
        const kith_index_info *index = &indexes->indexes[i];
        if (set->name ? strcmp(index->name, set->name) == 0 : !found || index->created_us > found->created_us)
            found = index;
    }
    if (found) report_one(found, set, seconds);
    kith_indexes_free(indexes);
    return KITH_OK;
}

/* The vectors of --queries as floats, of the column's dimension: what kith_create_index() cannot check. */
static kith_status read_queries(kith_table *table, const struct settings *set, struct query_vectors *out,
                                kith_error *error)
{
    struct ArrowSchema schema = { 0 };
    int64_t at = 0;
    uint32_t dim = 0;
    kith_status status = kith_table_schema(table, &schema, error);
    if (!status) status = cli_vector_column(&schema, set->column, &at, error);
    if (!status) cli_is_vector(schema.children[at], NULL, &dim);
    if (!status) status = cli_vectors_read(set->queries, set->column, out, error);
    if (!status && out->dim != dim)
        status = cli_fail(error, KITH_INVALID, "the vectors of '%s' have %u numbers, those of column '%s' %u",
                          set->queries, out->dim, schema.children[at]->name, dim);
    if (!status) cli_vectors_to_float(out);
    if (schema.release) schema.release(&schema);
    return status;
}

static kith_status build(kith_table *table, const struct settings *set, kith_error *error)
{
    struct progress progress = { .hidden = set->common.quiet };
    struct query_vectors queries = { .count = 0 };
    kith_index index = KITH_INIT(kith_index);
    kith_status status = KITH_OK;
    if (set->type) status = kith_index_type_parse(set->type, &index.type, error);
    if (!status && set->metric) status = kith_metric_parse(set->metric, &index.metric, error);
    if (!status && set->queries) status = read_queries(table, set, &queries, error);
    if (status) goto out;
    index.column = set->column;
    index.name = set->name;
    index.num_partitions = set->num_partitions;
    index.num_sub_vectors = set->num_sub_vectors;
    index.m = set->m;
    index.ef_construction = set->ef_construction;
    index.num_bits = set->num_bits;
    index.max_iterations = set->max_iterations;
    index.sample_rate = set->sample_rate;
    index.seed = set->seed;
    index.threads = set->threads;
    index.queries = (const float *)(const void *)queries.data;
    index.query_count = queries.count;
    index.max_memory = set->max_memory;
    index.progress = cli_progress;
    index.progress_user = &progress;

    double start = cli_now();
    status = kith_create_index(table, &index, error);
    double seconds = cli_now() - start;
    cli_progress_end(&progress);
    if (!status) status = report(table, set, seconds, error);
out:
    cli_vectors_release(&queries);
    return status;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct settings set = { 0 };
    struct operands operands = { .at_least = 1, .at_most = 1 };
    struct location location = { 0 };
    kith_database *database = NULL;
    kith_table *table = NULL;
    kith_error error = { .status = KITH_OK };
    kith_index_type type;

    int code = cli_parse(self, argc, argv, &set, &operands);
    if (code >= 0) return code;
    if (set.list && set.drop) return cli_usage(self, "--list and --drop exclude each other");
    if (set.type && kith_index_type_parse(set.type, &type, &error))
        return cli_usage(self, "%s", error.message);
    code = cli_location_table(self, operands.items[0], &location);
    if (code >= 0) return code;

    kith_status status = cli_open_table(&location, &database, &table, &error);
    if (!status)
        status = set.list   ? list(table, &set, &error)
                 : set.drop ? drop(table, &set, &error)
                            : build(table, &set, &error);
    code = status ? cli_report(&error) : cli_finish_output();
    kith_table_close(table);
    kith_close(database);
    cli_location_release(&location);
    return code;
}

const struct command cli_cmd_index = {
    "index",
    "DB/TABLE",
    "Build an index over a table's vectors, list its indexes, or drop one.",
    "Every choice has a default that suits the table. An index of the same name is\n"
    "replaced. Ctrl-C leaves the table as it was.\n"
    "\n"
    "  kith index films.db/film --metric cosine\n"
    "  kith index films.db/film --queries queries.npy --max-memory 512MB",
    options,
    run,
};
