/* kith import: rows from files into a table, all of them or none.
 *
 * Several files are one stream and so one commit. Into a table that is there rows are appended, else it is
 * created; --metric and --key belong to the making of a table, and are refused where they would be
 * silently without effect.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arrow_view.h"
#include "options.h"
#include "progress.h"
#include "reader.h"

struct settings {
    struct common common;
    const char *format;
    const char *vector;
    const char *columns;
    const char *metric;
    const char *key;
    const char *on_bad_vectors;
    float fill_value;
    bool append;
    bool overwrite;
    uint64_t rows;
};

#define FIELD(name) offsetof(struct settings, name)
static const struct option_spec options[] = {
    { "format", 'f', OPTION_TEXT, FIELD(format), "NAME", "format of the files, instead of guessing it",
      CLI_FORMATS },
    { "vector", 0, OPTION_TEXT, FIELD(vector), "NAME", "name of the vector column (default: vector)", NULL },
    { "columns", 0, OPTION_TEXT, FIELD(columns), "FILE", "more columns for the same rows, from another file",
      NULL },
    { "metric", 'm', OPTION_TEXT, FIELD(metric), "NAME", "how vectors are compared, for a new table",
      "l2|cosine|dot|hamming" },
    { "key", 0, OPTION_TEXT, FIELD(key), "COLUMN", "primary key, for a new table", NULL },
    { "append", 0, OPTION_FLAG, FIELD(append), NULL, "the table must be there already", NULL },
    { "overwrite", 0, OPTION_FLAG, FIELD(overwrite), NULL, "replace the table's rows and columns", NULL },
    { "on-bad-vectors", 0, OPTION_TEXT, FIELD(on_bad_vectors), "WHAT",
      "NaN, Inf or a wrong length (default: error)", "error|drop|fill|null" },
    { "fill-value", 0, OPTION_REAL, FIELD(fill_value), "X", "what --on-bad-vectors fill puts in (default: 0)",
      NULL },
    { "rows", 'n', OPTION_U64, FIELD(rows), "N", "at most the first N rows", NULL },
    { 0 },
};

/* All that an import holds. */
struct import {
    const struct command *self;
    struct settings set;
    struct location location;
    kith_database *database;
    kith_table *table; // NULL while it is not there
    struct ArrowSchema like;
    struct read_request *requests;
    size_t file_count;
    struct read_request sidecar;
    struct read_outcome outcome;
    struct progress progress;
    uint64_t rows_before;
};

static kith_status open_target(struct import *import, kith_error *error)
{
    kith_status status;
    if (import->set.append) {
        status = cli_open_table(&import->location, &import->database, &import->table, error);
    } else {
        status = kith_open(import->location.database, &import->database, error);
        if (status) return status;
        status = kith_open_table(import->database, import->location.table, &import->table, error);
        if (status == KITH_NOT_FOUND) return KITH_OK;
    }
    if (status || import->set.overwrite) return status;
    status = kith_table_count(import->table, NULL, &import->rows_before, error);
    return status ? status : kith_table_schema(import->table, &import->like, error);
}

/* --metric and --key where the table is there: fine when they say what it has, else refused. */
static kith_status check_making(struct import *import, kith_error *error)
{
    const struct settings *set = &import->set;
    if (!import->table || set->overwrite) return KITH_OK;
    if (set->key) {
        return cli_fail(error, KITH_INVALID,
                        "'%s' is there already; --key belongs to a new table (or to --overwrite)",
                        import->location.table);
    }
    if (!set->metric) return KITH_OK;
    bool same = false;
    struct text metric = { 0 };
    for (int64_t i = 0; i < import->like.n_children && !same; i++) {
        metric.size = 0;
        same = cli_metadata(import->like.children[i], "kith:metric", &metric) &&
               strcmp(metric.data, set->metric) == 0;
    }
    cli_text_release(&metric);
    if (same) return KITH_OK;
    return cli_fail(
        error, KITH_INVALID,
        "'%s' is there already, with another metric than %s; leave --metric out, or use --overwrite",
        import->location.table, set->metric);
}

static bool names_a_vector(const struct ArrowSchema *schema, const char *name)
{
    int64_t at = cli_column_find(schema, name);
    return at >= 0 && schema->children[at]->format[0] == '+';
}

/* A --vector that names no column of numbers would pass for a table without vectors. */
static kith_status check_vector(const struct import *import, struct rows *rows, kith_error *error)
{
    if (!import->set.vector) return KITH_OK;
    struct ArrowSchema schema = { 0 };
    kith_status status = rows->schema(rows, &schema, error);
    if (status) return status;
    if (!names_a_vector(&schema, import->set.vector)) {
        struct text columns = { 0 };
        for (int64_t i = 0; i < schema.n_children; i++) {
            cli_text_printf(&columns, "%s%s (", i ? ", " : "", schema.children[i]->name);
            cli_type_text(schema.children[i], &columns);
            cli_text_puts(&columns, ")");
        }
        status = cli_fail(error, KITH_TYPE,
                          "--vector %s: expected a column of number lists of that name; there is %.700s",
                          import->set.vector, columns.data ? columns.data : "nothing");
        cli_text_release(&columns);
    }
    schema.release(&schema);
    return status;
}

static kith_status open_rows(struct import *import, struct rows **out, kith_error *error)
{
    struct rows *rows = NULL;
    kith_status status = cli_rows_chain(import->requests, import->file_count, &rows, error);
    if (status) return status;
    if (import->set.columns) {
        struct rows *more = NULL;
        status = cli_rows_open(&import->sidecar, &more, error);
        if (status) {
            cli_rows_free(rows);
            return status;
        }
        status = cli_rows_join(rows, import->requests[0].path, more, import->sidecar.path, &rows, error);
        if (status) return status;
    }
    status = check_vector(import, rows, error);
    if (status) {
        cli_rows_free(rows);
        return status;
    }
    import->progress.total_hint = rows->total;
    if (import->set.rows < UINT64_MAX && (!rows->total_known || import->set.rows < rows->total))
        import->progress.total_hint = import->set.rows;
    *out = rows;
    return KITH_OK;
}

static kith_bad_vectors bad_vectors_of(const char *word)
{
    if (!word || strcmp(word, "error") == 0) return KITH_BAD_ERROR;
    return strcmp(word, "drop") == 0   ? KITH_BAD_DROP
           : strcmp(word, "fill") == 0 ? KITH_BAD_FILL
                                       : KITH_BAD_NULL;
}

static kith_status write_rows(struct import *import, struct ArrowArrayStream *stream, kith_error *error)
{
    kith_write write = KITH_INIT(kith_write);
    write.bad_vectors = bad_vectors_of(import->set.on_bad_vectors);
    write.fill_value = import->set.fill_value;
    write.progress = cli_progress;
    write.progress_user = &import->progress;
    if (import->table && !import->set.overwrite)
        return kith_append(import->table, stream, &write, NULL, error);

    kith_table_close(import->table);
    import->table = NULL;
    kith_create create = KITH_INIT(kith_create);
    create.write = write;
    create.overwrite = import->set.overwrite;
    create.metric = import->set.metric;
    create.key = import->set.key;
    return kith_create_table(import->database, import->location.table, stream, &create, &import->table,
                             error);
}

static kith_status import_rows(struct import *import, kith_error *error)
{
    struct rows *rows = NULL;
    struct ArrowArrayStream stream = { 0 };
    kith_status status = open_target(import, error);
    if (!status) status = check_making(import, error);
    if (!status) status = open_rows(import, &rows, error);
    if (status) return status;
    import->outcome.limit = import->set.rows;
    cli_rows_stream(rows, &import->outcome, &stream);
    status = write_rows(import, &stream, error);
    cli_progress_end(&import->progress);
    // What went wrong in reading was said best where it was found.
    if (status && import->outcome.error.status) *error = import->outcome.error;
    return status ? error->status : KITH_OK;
}

static int summary(const struct import *import, double seconds)
{
    kith_error error = { .status = KITH_OK };
    kith_table_info info = KITH_INIT(kith_table_info);
    kith_status status = kith_table_stats(import->table, &info, &error);
    if (status) return cli_report(&error);
    uint64_t rows = info.rows - import->rows_before;
    uint64_t bytes = info.data_bytes + info.index_bytes + info.inline_bytes;
    double rate = (double)rows / (seconds > 1e-6 ? seconds : 1e-6);
    if (import->set.common.json) {
        struct json json = { 0 };
        cli_json_open(&json, NULL, '{');
        cli_json_string(&json, "database", import->location.database);
        cli_json_string(&json, "table", import->location.table);
        cli_json_count(&json, "rows", rows);
        cli_json_count(&json, "rows_total", info.rows);
        cli_json_count(&json, "version", info.version);
        cli_json_count(&json, "bytes", bytes);
        cli_json_real(&json, "seconds", seconds);
        cli_json_close(&json, '}');
        return cli_json_print(&json);
    }
    char count[32], speed[32], size[32];
    printf("%s rows into %s/%s in %.2f s (%s rows/s), %s on disk\n", cli_count_text(count, rows),
           import->location.database, import->location.table, seconds, cli_count_text(speed, (uint64_t)rate),
           cli_bytes_text(size, bytes));
    return cli_finish_output();
}

static void requests_for(struct import *import, char **paths, int count)
{
    const struct settings *set = &import->set;
    const struct ArrowSchema *like = &import->like;
    import->requests = cli_alloc((size_t)count * sizeof *import->requests);
    import->file_count = (size_t)count;
    for (int i = 0; i < count; i++) {
        import->requests[i] = (struct read_request){
            .path = paths[i], .format = set->format, .vector = set->vector, .like = like
        };
    }
    import->sidecar = (struct read_request){ .path = set->columns, .like = like };
}

static void import_release(struct import *import)
{
    if (import->like.release) import->like.release(&import->like);
    cli_location_release(&import->location);
    free(import->requests);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct import import = { .self = self, .set = { .rows = UINT64_MAX } };
    struct operands operands = { .at_least = 2 };
    kith_error error = { .status = KITH_OK };
    int code = cli_parse(self, argc, argv, &import.set, &operands);
    if (code >= 0) return code;
    if (import.set.append && import.set.overwrite)
        return cli_usage(self, "--append and --overwrite exclude each other");
    code = cli_location_table(self, operands.items[0], &import.location);
    if (code >= 0) return code;
    requests_for(&import, operands.items + 1, operands.count - 1);
    import.progress.hidden = import.set.common.quiet;

    struct stat before;
    bool new_folder = stat(import.location.database, &before) != 0;
    double start = cli_now();
    kith_status status = import_rows(&import, &error);
    code = status ? cli_report(&error) : summary(&import, cli_now() - start);
    bool leave_nothing = status && new_folder;
    kith_table_close(import.table);
    kith_close(import.database);
    if (leave_nothing) (void)rmdir(import.location.database); // only an empty folder goes
    import_release(&import);
    return code;
}

const struct command cli_cmd_import = {
    "import",
    "DB/TABLE FILE...",
    "Bring rows from files into a table, creating it when it is not there.",
    "Files: .npy, .fvecs, .bvecs, .ivecs, .fbin, .u8bin, .i8bin hold vectors;\n"
    ".csv, .tsv, .jsonl and .arrow hold any columns. '-' is standard input.\n"
    "The rows of all files are stored, or none of them.\n"
    "\n"
    "  kith import films.db/film vectors.npy --columns films.csv --metric cosine\n"
    "  zcat rows.jsonl.gz | kith import films.db/film -",
    options,
    run,
};
