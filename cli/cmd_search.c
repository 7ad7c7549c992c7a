/* kith search: the rows nearest to vectors, or to a row.
 *
 * --exact answers twice: the table shown is the exact answer, and says of each row whether the approximate
 * one had it; recall counts a row at the distance of the k-th as found, since which of two equally near
 * rows comes last is chance. --row asks for one row more than wanted and leaves the row itself out.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "query_vectors.h"
#include "stream.h"
#include "table_print.h"
#include "where.h"

struct settings {
    struct common common;
    const char *vector;
    const char *row;
    const char *metric;
    const char *column;
    const char *columns;
    uint32_t k;
    uint32_t nprobes;
    uint32_t refine;
    uint32_t ef;
    float recall;  // NaN: not given
    float timeout; // seconds; NaN: none
    struct where where;
    bool exact;
    bool explain;
};

#define FIELD(name) offsetof(struct settings, name)
static const struct option_spec options[] = {
    { "vector", 'v', OPTION_TEXT, FIELD(vector), "WHAT",
      "a file of vectors, a JSON array, or - for either on stdin", NULL },
    { "row", 'r', OPTION_TEXT, FIELD(row), "ID", "more like this: the vector of the row with this _rowid",
      NULL },
    { "k", 'k', OPTION_U32, FIELD(k), "N", "rows to find for each vector (default: 10)", NULL },
    { "recall", 0, OPTION_REAL, FIELD(recall), "R",
      "wanted recall: 0, the fastest, to 1, exact (default: 0.95)", NULL },
    { "nprobes", 0, OPTION_U32, FIELD(nprobes), "N", "lists of the index to visit (default: chosen)", NULL },
    { "refine", 0, OPTION_U32, FIELD(refine), "N", "re-rank k * N candidates by their stored vectors", NULL },
    { "ef", 0, OPTION_U32, FIELD(ef), "N", "how far to walk an HNSW index (default: chosen)", NULL },
    { "metric", 'm', OPTION_TEXT, FIELD(metric), "NAME", "how vectors are compared (default: the column's)",
      "l2|cosine|dot|hamming" },
    { "column", 0, OPTION_TEXT, FIELD(column), "NAME", "vector column (default: the only one)", NULL },
    { "columns", 'c', OPTION_TEXT, FIELD(columns), "A,B", "columns to show (default: all)", NULL },
    WHERE_OPTIONS(FIELD(where)),
    { "timeout", 0, OPTION_REAL, FIELD(timeout), "SECONDS", "give up after so long (default: never)", NULL },
    { "exact", 0, OPTION_FLAG, FIELD(exact), NULL, "scan every row as well, and tell the recall of the index",
      NULL },
    { "explain", 0, OPTION_FLAG, FIELD(explain), NULL, "say how the search is answered, too", NULL },
    { 0 },
};

/* All that a search holds. */
struct search {
    struct settings set;
    struct location location;
    kith_database *database;
    kith_table *table;
    struct query_vectors vectors;
    kith_query query;
    kith_expr *filter;
    const char **columns;
    bool leave_out; // --row: the row itself
    uint64_t row_id;

    // --exact: what the approximate search found, query.k of each a vector
    uint64_t *ids;
    float *distances;
    double approximate_seconds, seconds;

    // the answer being shown
    struct stream stream;
    struct shown_columns shown;
    int64_t distance_at, row_at, query_at; // columns of the stream, -1 for none
    struct json json;
    struct sheet *sheet;
    size_t answer;     // which vector
    uint32_t rows;     // shown for it
    float last;        // distance of the last one
    double recall_sum; // over the answers done
};

static kith_status prepare(struct search *search, kith_error *error)
{
    struct settings *set = &search->set;
    kith_status status =
        search->leave_out
            ? cli_vectors_of_row(search->table, search->row_id, set->column, &search->vectors, error)
            : cli_vectors_read(set->vector, set->column, &search->vectors, error);
    if (status) return status;
    kith_query *query = &search->query;
    *query = KITH_INIT(kith_query);
    query->column = set->column;
    query->vectors = search->vectors.data;
    query->vector_count = search->vectors.count;
    query->element = search->vectors.element;
    query->dim = search->vectors.dim;
    query->k = set->k + search->leave_out;
    query->nprobes = set->nprobes;
    query->refine_factor = set->refine;
    query->ef = set->ef;
    query->recall = cli_recall(set->recall);
    query->with_row_id = true;
    if (!isnan(set->timeout))
        query->timeout_us = set->timeout > 0 ? (int64_t)((double)set->timeout * 1e6) : -1;
    if (set->metric) status = kith_metric_parse(set->metric, &query->metric, error);
    if (!status) status = cli_where(&set->where, &search->filter, error);
    query->filter = search->filter;
    if (set->columns) {
        char *all = cli_alloc(strlen(set->columns) + sizeof ",_distance");
        bool named = strstr(set->columns, "_distance") != NULL;
        sprintf(all, "%s%s", set->columns, named ? "" : ",_distance");
        search->columns = cli_split(all, &query->column_count);
        query->columns = search->columns;
        free(all);
    }
    return status;
}

/* ---- showing ---- */

static bool was_found(const struct search *search, uint64_t row_id)
{
    const uint64_t *ids = search->ids + search->answer * search->query.k;
    for (uint32_t i = 0; i < search->query.k; i++) {
        if (ids[i] == row_id) return true;
    }
    return false;
}

static void answer_begin(struct search *search)
{
    search->rows = 0;
    search->last = 0;
    if (search->set.common.json) {
        cli_json_open(&search->json, NULL, '{');
        cli_json_count(&search->json, "query", search->answer);
        cli_json_open(&search->json, "rows", '[');
    } else {
        if (search->answer) printf("\n");
        if (search->vectors.count > 1) printf("query %zu\n", search->answer);
        search->sheet = cli_rows_sheet(&search->shown, search->set.exact ? "_found" : NULL);
    }
}

/* How many of the exact answer's rows the approximate one had. */
static uint32_t hits(const struct search *search)
{
    size_t at = search->answer * search->query.k;
    uint32_t count = 0;
    for (uint32_t i = 0; i < search->query.k; i++) {
        if (search->ids[at + i] == UINT64_MAX || (search->leave_out && search->ids[at + i] == search->row_id))
            continue;
        count += search->distances[at + i] <= search->last;
    }
    return count < search->rows ? count : search->rows;
}

static void answer_end(struct search *search)
{
    bool exact = search->set.exact;
    uint32_t found = exact ? hits(search) : 0;
    double recall = search->rows ? (double)found / search->rows : 1.0;
    search->recall_sum += recall;
    if (search->set.common.json) {
        cli_json_close(&search->json, ']');
        if (exact) cli_json_real(&search->json, "recall", recall);
        cli_json_close(&search->json, '}');
        if (search->json.text.size > 1u << 20) cli_json_flush(&search->json, stdout);
    } else {
        cli_sheet_print(search->sheet);
        search->sheet = NULL;
        if (exact)
            printf("recall %.3f: the approximate search found %u of %u\n", recall, found, search->rows);
    }
    search->answer++;
}

static void show_row(struct search *search, int64_t row)
{
    const struct ArrowArray *batch = &search->stream.batch;
    const struct ArrowSchema *schema = &search->stream.schema;
    int64_t at = batch->offset + row;
    uint64_t row_id = search->row_at < 0
                          ? UINT64_MAX
                          : (uint64_t)cli_cell_int(cli_column(schema, batch, search->row_at), at);
    bool left_out = search->leave_out && row_id == search->row_id;
    if (left_out || search->rows == search->query.k - search->leave_out) return;
    if (search->distance_at >= 0)
        search->last = cli_cell_float(cli_column(schema, batch, search->distance_at), at);
    search->rows++;
    bool found = search->set.exact && was_found(search, row_id);
    if (search->set.common.json) {
        cli_json_open(&search->json, NULL, '{');
        cli_row_json(&search->json, &search->shown, batch, row);
        if (search->set.exact) cli_json_bool(&search->json, "_found", found);
        cli_json_close(&search->json, '}');
    } else {
        cli_sheet_row(search->sheet);
        cli_rows_cells(search->sheet, &search->shown, batch, row);
        if (search->set.exact) cli_sheet_cell(search->sheet, found ? "yes" : "missed");
    }
}

/* Rows come vector by vector; one that found nothing has an empty answer. */
static void show_batch(struct search *search)
{
    const struct ArrowArray *batch = &search->stream.batch;
    for (int64_t row = 0; row < batch->length; row++) {
        size_t of = 0;
        if (search->query_at >= 0) {
            of = (size_t)cli_cell_int(cli_column(&search->stream.schema, batch, search->query_at),
                                      batch->offset + row);
        }
        while (search->answer < of) {
            answer_end(search);
            answer_begin(search);
        }
        show_row(search, row);
    }
}

static kith_status show_answers(struct search *search, kith_error *error)
{
    bool more = true;
    const struct ArrowSchema *schema = &search->stream.schema;
    kith_status status = cli_stream_begin(&search->stream, error);
    if (status) return status;
    cli_shown_init(&search->shown, schema);
    search->distance_at = cli_column_find(schema, "_distance");
    search->row_at = cli_column_find(schema, "_rowid");
    search->query_at = cli_column_find(schema, "query_index");
    answer_begin(search);
    while (!status && more) {
        status = cli_stream_next(&search->stream, &more, error);
        if (!status && more) show_batch(search);
    }
    while (!status && search->answer + 1 < search->vectors.count) {
        answer_end(search);
        answer_begin(search);
    }
    answer_end(search);
    return status;
}

/* ---- searching ---- */

static kith_status explain(struct search *search, kith_error *error)
{
    char *text = NULL;
    kith_status status = kith_explain(search->table, &search->query, &text, error);
    if (status) return status;
    if (search->set.common.json) {
        cli_json_string(&search->json, "explain", text);
    } else {
        size_t size = strlen(text);
        printf("%s%s\n", text, size && text[size - 1] == '\n' ? "" : "\n");
    }
    kith_text_free(text);
    return KITH_OK;
}

static kith_status approximate(struct search *search, kith_error *error)
{
    size_t count = search->query.k * search->vectors.count;
    search->ids = cli_alloc(count * sizeof *search->ids);
    search->distances = cli_alloc(count * sizeof *search->distances);
    double start = cli_now();
    kith_status status =
        kith_search_ids(search->table, &search->query, search->ids, search->distances, error);
    search->approximate_seconds = cli_now() - start;
    return status;
}

static kith_status answer(struct search *search, kith_error *error)
{
    bool json = search->set.common.json;
    kith_status status = KITH_OK;
    if (search->set.explain) status = explain(search, error);
    if (!status && search->set.exact) {
        status = approximate(search, error);
        search->query.exact = true;
    }
    if (status) return status;
    double start = cli_now();
    status = kith_search(search->table, &search->query, &search->stream.arrow, error);
    search->seconds = cli_now() - start;
    if (status) return status;
    if (json) cli_json_open(&search->json, "answers", '[');
    status = show_answers(search, error);
    if (json) cli_json_close(&search->json, ']');
    return status;
}

static void close_report(struct search *search)
{
    double recall = search->recall_sum / (double)search->vectors.count;
    bool exact = search->set.exact;
    if (search->set.common.json) {
        if (exact) cli_json_real(&search->json, "recall", recall);
        if (exact) cli_json_real(&search->json, "approximate_seconds", search->approximate_seconds);
        cli_json_real(&search->json, "seconds", search->seconds);
        cli_json_close(&search->json, '}');
        cli_json_print(&search->json);
        return;
    }
    if (exact && search->vectors.count > 1)
        printf("\nrecall %.4f over %zu queries\n", recall, search->vectors.count);
    if (search->set.common.quiet) return;
    fflush(stdout);
    if (exact) fprintf(stderr, "approximate %.1f ms, ", search->approximate_seconds * 1e3);
    fprintf(stderr, "%s%.1f ms\n", exact ? "exact " : "", search->seconds * 1e3);
}

static kith_status run_search(struct search *search, kith_error *error)
{
    kith_status status = cli_open_table(&search->location, &search->database, &search->table, error);
    if (!status) status = prepare(search, error);
    if (status) return status;
    if (search->set.common.json) {
        cli_json_open(&search->json, NULL, '{');
        cli_json_string(&search->json, "database", search->location.database);
        cli_json_string(&search->json, "table", search->location.table);
        cli_json_count(&search->json, "k", search->query.k - search->leave_out);
    }
    status = answer(search, error);
    if (!status) close_report(search);
    return status;
}

static void search_release(struct search *search)
{
    cli_shown_release(&search->shown);
    cli_stream_release(&search->stream);
    cli_vectors_release(&search->vectors);
    cli_text_release(&search->json.text);
    kith_expr_free(search->filter);
    cli_where_release(&search->set.where);
    free(search->columns);
    free(search->ids);
    free(search->distances);
    kith_table_close(search->table);
    kith_close(search->database);
    cli_location_release(&search->location);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct search search = { .set = { .k = 10, .recall = NAN, .timeout = NAN } };
    struct operands operands = { .at_least = 1, .at_most = 1 };
    kith_error error = { .status = KITH_OK };
    int code = cli_parse(self, argc, argv, &search.set, &operands);
    if (code >= 0) return code;
    const struct settings *set = &search.set;
    if (!set->vector == !set->row) return cli_usage(self, "expected one of --vector and --row");
    if (set->k < 1 || set->k > 1000000) return cli_usage(self, "-k expects 1 to 1,000,000, given %u", set->k);
    if (set->row) {
        search.leave_out = true;
        if (!cli_read_row_id(set->row, &search.row_id))
            return cli_usage(self, "--row expects a row id, given '%s'", set->row);
    }
    code = cli_location_table(self, operands.items[0], &search.location);
    if (code >= 0) return code;
    code = run_search(&search, &error) ? cli_report(&error) : cli_finish_output();
    search_release(&search);
    return code;
}

const struct command cli_cmd_search = {
    "search",
    "DB/TABLE (--vector WHAT | --row ID)",
    "Find the rows nearest to a vector, to each vector of a file, or to a row.",
    "  kith search films.db/film --row 17 -k 5 --columns title,year\n"
    "  kith search films.db/film --vector '[0.1, 0.7, 0.2]'\n"
    "  kith search films.db/film --vector queries.npy --exact\n"
    "  kith search films.db/film --row 17 --where 'year >= ? AND genre = ?' --param 1990 --param drama",
    options,
    run,
};
