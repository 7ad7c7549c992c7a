/* kith export: a table's rows to a file or to stdout.
 *
 * The handle is pinned to one version first, so that the count written into a .npy header is the count
 * of rows that follow, whoever else writes. A file is written beside its name and renamed when whole: an
 * export that fails leaves what was there before. A link is followed first, so that it goes on leading there.
 * A pipe or a device is written to as it is: a rename would put a file in its place.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arrow_view.h"
#include "options.h"
#include "progress.h"
#include "where.h"
#include "writer.h"

struct settings {
    struct common common;
    const char *format;
    const char *columns;
    const char *column;
    const char *output;
    struct where where;
    uint64_t rows;
};

#define FIELD(name) offsetof(struct settings, name)
static const struct option_spec options[] = {
    { "format", 'f', OPTION_TEXT, FIELD(format), "NAME", "default: by the name of the file, else jsonl",
      "arrow|stream|csv|jsonl|npy" },
    { "output", 'o', OPTION_TEXT, FIELD(output), "FILE", "file to write (default: standard output)", NULL },
    { "columns", 'c', OPTION_TEXT, FIELD(columns), "A,B", "columns to write (default: all)", NULL },
    { "column", 0, OPTION_TEXT, FIELD(column), "NAME", "npy: vector column (default: the only one)", NULL },
    WHERE_OPTIONS(FIELD(where)),
    { "rows", 'n', OPTION_U64, FIELD(rows), "N", "at most the first N rows", NULL },
    { 0 },
};

struct export
{
    struct settings set;
    const char *format;
    struct location location;
    kith_database *database;
    kith_table *table;
    const char **columns;
    kith_expr *filter;
    struct stream stream;
    struct progress progress;
    struct write_progress written;
    uint64_t rows; // that will be written
};

static const char *format_of(const struct settings *set)
{
    static const struct {
        const char *extension, *format;
    } known[] = {
        { "arrow", "arrow" }, { "ipc", "arrow" }, { "feather", "arrow" }, { "arrows", "stream" },
        { "csv", "csv" },     { "npy", "npy" },   { "jsonl", "jsonl" },   { "ndjson", "jsonl" },
    };
    const char *dot = set->output ? strrchr(set->output, '.') : NULL;
    if (set->format) return set->format;
    for (size_t i = 0; dot && i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(dot + 1, known[i].extension) == 0) return known[i].format;
    }
    return "jsonl";
}

static bool is_binary(const char *format)
{
    return strcmp(format, "csv") != 0 && strcmp(format, "jsonl") != 0;
}

/* npy: only the vector column is read. */
static kith_status choose_columns(struct export *export, kith_scan *scan, kith_error *error)
{
    const struct settings *set = &export->set;
    if (strcmp(export->format, "npy") == 0) {
        struct ArrowSchema schema = { 0 };
        int64_t at = 0;
        kith_status status = kith_table_schema(export->table, &schema, error);
        if (status) return status;
        status = cli_vector_column(&schema, set->column, &at, error);
        if (!status) export->columns = cli_split(schema.children[at]->name, &scan->column_count);
        schema.release(&schema);
        if (status) return status;
    } else if (set->columns) {
        export->columns = cli_split(set->columns, &scan->column_count);
    }
    scan->columns = export->columns;
    return KITH_OK;
}

static kith_status begin(struct export *export, kith_error *error)
{
    uint64_t version = 0;
    kith_scan scan = KITH_INIT(kith_scan);
    kith_status status = cli_open_table(&export->location, &export->database, &export->table, error);
    if (!status) status = kith_table_version(export->table, &version, error);
    if (!status) status = kith_table_checkout(export->table, version, error);
    if (!status) status = cli_where(&export->set.where, &export->filter, error);
    if (!status)
        status = export->filter ? kith_table_count_if(export->table, export->filter, &export->rows, error)
                                : kith_table_count(export->table, NULL, &export->rows, error);
    scan.filter = export->filter;
    if (!status) status = choose_columns(export, &scan, error);
    if (status) return status;
    if (export->set.rows < export->rows) export->rows = export->set.rows;
    scan.limit = export->rows;
    scan.none = !export->rows;
    export->written =
        (struct write_progress){ .call = cli_progress, .user = &export->progress, .total = export->rows };
    return kith_table_scan(export->table, &scan, &export->stream.arrow, error);
}

/* A stream that counts what passes through it, for the Arrow writer: the rows, the bar and Ctrl-C. */
static int passing_next(struct ArrowArrayStream *self, struct ArrowArray *out)
{
    struct export *export = self->private_data;
    struct write_progress *written = &export->written;
    kith_progress at = { .stage = "write", .done = written->rows, .total = written->total };
    if (written->call(&at, written->user)) return ECANCELED;
    int code = export->stream.arrow.get_next(&export->stream.arrow, out);
    if (!code && out->release) written->rows += (uint64_t)out->length;
    return code;
}

static int passing_schema(struct ArrowArrayStream *self, struct ArrowSchema *out)
{
    struct export *export = self->private_data;
    return export->stream.arrow.get_schema(&export->stream.arrow, out);
}

static const char *passing_error(struct ArrowArrayStream *self)
{
    struct export *export = self->private_data;
    return cli_interrupted() ? "interrupted" : export->stream.arrow.get_last_error(&export->stream.arrow);
}

static void passing_release(struct ArrowArrayStream *self)
{
    self->release = NULL; // the real stream goes with the export
}

static kith_status write_arrow(struct export *export, FILE *to, kith_error *error)
{
    struct ArrowArrayStream passing = {
        .get_schema = passing_schema,
        .get_next = passing_next,
        .get_last_error = passing_error,
        .release = passing_release,
        .private_data = export,
    };
    kith_status status = kith_ipc_write(fileno(to), &passing, strcmp(export->format, "stream") == 0, error);
    return status && cli_interrupted() ? cli_fail(error, KITH_CANCELLED, "interrupted") : status;
}

static kith_status write_rows(struct export *export, FILE *to, kith_error *error)
{
    struct stream *stream = &export->stream;
    if (is_binary(export->format) && strcmp(export->format, "npy") != 0)
        return write_arrow(export, to, error);
    kith_status status = cli_stream_begin(stream, error);
    if (status) return status;
    if (strcmp(export->format, "npy") == 0)
        return cli_write_npy(to, stream, 0, export->rows, &export->written, error);
    if (strcmp(export->format, "csv") == 0) return cli_write_csv(to, stream, &export->written, error);
    return cli_write_jsonl(to, stream, &export->written, error);
}

static kith_status write_to(struct export *export, const char *path, kith_error *error)
{
    FILE *to = fopen(path, "wb");
    kith_status status = to ? write_rows(export, to, error) : KITH_OK;
    if (!status && (!to || fclose(to))) return cli_fail_errno(error, "write", export->set.output);
    if (status) fclose(to);
    return status;
}

/* Writes beside the file's name, then renames; or to what is no file. */
static kith_status write_file(struct export *export, kith_error *error)
{
    struct stat there;
    struct text partial = { 0 };
    const char *path = export->set.output;
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode)) return write_to(export, path, error);
    char *target = realpath(path, NULL); // NULL: there is none yet
    if (target) path = target;
    cli_text_printf(&partial, "%s.%ld.partial", path, (long)getpid());
    kith_status status = write_to(export, partial.data, error);
    if (!status && rename(partial.data, path))
        status = cli_fail_errno(error, "rename the whole export to", export->set.output);
    if (status) unlink(partial.data);
    cli_text_release(&partial);
    free(target);
    return status;
}

static void summary(const struct export *export, double seconds)
{
    char count[32];
    if (export->set.common.json) {
        struct json json = { 0 };
        cli_json_open(&json, NULL, '{');
        cli_json_string(&json, "database", export->location.database);
        cli_json_string(&json, "table", export->location.table);
        cli_json_string(&json, "format", export->format);
        cli_json_string(&json, "output", export->set.output);
        cli_json_count(&json, "rows", export->written.rows);
        cli_json_real(&json, "seconds", seconds);
        cli_json_close(&json, '}');
        cli_json_print(&json);
    } else {
        printf("%s rows to %s in %.2f s\n", cli_count_text(count, export->written.rows), export->set.output,
               seconds);
    }
}

static kith_status run_export(struct export *export, kith_error *error)
{
    double start = cli_now();
    kith_status status = begin(export, error);
    if (!status) status = export->set.output ? write_file(export, error) : write_rows(export, stdout, error);
    cli_progress_end(&export->progress);
    if (!status && export->set.output) summary(export, cli_now() - start);
    return status;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct export export = { .set = { .rows = UINT64_MAX } };
    struct operands operands = { .at_least = 1, .at_most = 1 };
    kith_error error = { .status = KITH_OK };
    int code = cli_parse(self, argc, argv, &export.set, &operands);
    if (code >= 0) return code;
    struct settings *set = &export.set;
    if (set->output && strcmp(set->output, "-") == 0) set->output = NULL;
    export.format = format_of(set);
    export.progress.hidden = set->common.quiet || (!set->output && isatty(STDOUT_FILENO));
    if (!set->output && is_binary(export.format) && isatty(STDOUT_FILENO)) {
        return cli_usage(self, "%s is no text for a terminal; give a file with -o, or pipe it on",
                         export.format);
    }
    if (!set->output && set->common.json)
        return cli_usage(self, "--json tells of an export to a file; give one with -o");
    if (set->columns && strcmp(export.format, "npy") == 0)
        return cli_usage(self, "npy holds one column: --column NAME");
    code = cli_location_table(self, operands.items[0], &export.location);
    if (code >= 0) return code;

    code = run_export(&export, &error) ? cli_report(&error) : cli_finish_output();
    cli_stream_release(&export.stream);
    free(export.columns);
    kith_expr_free(export.filter);
    cli_where_release(&export.set.where);
    kith_table_close(export.table);
    kith_close(export.database);
    cli_location_release(&export.location);
    return code;
}

const struct command cli_cmd_export = {
    "export",
    "DB/TABLE",
    "Write a table's rows as an Arrow file or stream, CSV, JSON lines or .npy.",
    "  kith export films.db/film -o film.arrow\n"
    "  kith export films.db/film --columns title,year --format csv | head",
    options,
    run,
};
