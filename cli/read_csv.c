/* CSV as RFC 4180 has it: a header line, commas, cells in double quotes that may hold commas, line ends
 * and doubled quotes. TSV is the same with tabs. A byte-order mark and CRLF are accepted, blank lines
 * skipped.
 *
 * An empty cell is null, "" is the empty text. A line with fewer or more cells than the header is an
 * error that names it: padding it would put values under the wrong names.
 */
#include <stdlib.h>
#include <string.h>

#include "progress.h"
#include "read_guess.h"

struct csv_cell {
    size_t begin, end; // in the record's text, which has a NUL at `end`
    bool quoted;
};

struct csv_record { // one line, unquoted
    struct text text;
    struct csv_cell *cells;
    size_t count, capacity;
    uint64_t line; // where it began
};

struct csv_rows {
    struct rows base;
    const char *path;
    struct mapped *map;
    char separator;
    size_t at;
    uint64_t line;
    size_t body; // where the rows begin, and on which line
    uint64_t body_line;
    struct csv_record record;
    struct guesses guesses;
    struct maker *makers;
};

enum { BATCH_BYTES = 16 << 20, MOST_CELL = 1 << 30 };

static void cell_begin(struct csv_record *record)
{
    if (record->count == record->capacity) {
        record->capacity = record->capacity ? 2 * record->capacity : 16;
        record->cells = cli_grow(record->cells, record->capacity * sizeof *record->cells);
    }
    record->cells[record->count] = (struct csv_cell){ .begin = record->text.size };
}

static void cell_end(struct csv_record *record)
{
    record->cells[record->count++].end = record->text.size;
    cli_text_add(&record->text, "", 1);
}

/* Reads a quoted cell from after its opening quote to after its closing one. */
static kith_status read_quoted(struct csv_rows *csv, kith_error *error)
{
    const char *data = (const char *)csv->map->data;
    uint64_t opened = csv->line;
    for (;;) {
        size_t left = csv->map->size - csv->at;
        const char *quote = left ? memchr(data + csv->at, '"', left) : NULL;
        if (!quote || quote - (data + csv->at) > MOST_CELL) {
            return cli_fail(error, KITH_INVALID, "'%s' line %llu: a quoted cell is not closed", csv->path,
                            (unsigned long long)opened);
        }
        size_t size = (size_t)(quote - (data + csv->at));
        for (size_t i = 0; i < size; i++) csv->line += data[csv->at + i] == '\n';
        cli_text_add(&csv->record.text, data + csv->at, size);
        csv->at += size + 1;
        if (csv->at >= csv->map->size || data[csv->at] != '"') return KITH_OK;
        cli_text_add(&csv->record.text, "\"", 1);
        csv->at++;
    }
}

static size_t plain_size(const struct csv_rows *csv)
{
    const char *data = (const char *)csv->map->data;
    size_t end = csv->at;
    while (end < csv->map->size && data[end] != csv->separator && data[end] != '\n' && data[end] != '\r')
        end++;
    return end - csv->at;
}

/* Reads one line into csv->record; a count of 0 is the end of the file. */
static kith_status read_record(struct csv_rows *csv, kith_error *error)
{
    const char *data = (const char *)csv->map->data;
    size_t size = csv->map->size;
    struct csv_record *record = &csv->record;
    record->text.size = 0;
    record->count = 0;
    for (; csv->at < size && (data[csv->at] == '\n' || data[csv->at] == '\r'); csv->at++)
        csv->line += data[csv->at] == '\n';
    record->line = csv->line;
    while (csv->at < size) {
        cell_begin(record);
        if (data[csv->at] == '"') {
            csv->at++;
            record->cells[record->count].quoted = true;
            kith_status status = read_quoted(csv, error);
            if (status) return status;
            if (plain_size(csv)) {
                return cli_fail(error, KITH_INVALID,
                                "'%s' line %llu: cell %zu goes on after its closing quote; a quote inside a "
                                "cell is doubled",
                                csv->path, (unsigned long long)csv->line, record->count + 1);
            }
        } else {
            size_t plain = plain_size(csv);
            cli_text_add(&record->text, data + csv->at, plain);
            csv->at += plain;
        }
        cell_end(record);
        if (csv->at >= size || data[csv->at] != csv->separator) break;
        if (++csv->at == size) { // the file ends with a separator: one more, empty cell
            cell_begin(record);
            cell_end(record);
        }
    }
    if (csv->at < size && data[csv->at] == '\r') csv->at++;
    if (csv->at < size && data[csv->at] == '\n') {
        csv->at++;
        csv->line++;
    }
    return KITH_OK;
}

static const char *cell_text(const struct csv_rows *csv, size_t column)
{
    return csv->record.text.data + csv->record.cells[column].begin;
}

static kith_status check_record(const struct csv_rows *csv, kith_error *error)
{
    const struct csv_record *record = &csv->record;
    if (record->count != csv->guesses.count) {
        return cli_fail(error, KITH_INVALID, "'%s' line %llu has %zu cells, the header has %zu", csv->path,
                        (unsigned long long)record->line, record->count, csv->guesses.count);
    }
    int64_t bad = cli_text_bad_utf8(record->text.data, record->text.size);
    if (bad >= 0) {
        return cli_fail(
            error, KITH_INVALID,
            "'%s' line %llu holds the byte 0x%02x, which is not UTF-8; convert it: iconv -f latin1 -t utf-8",
            csv->path, (unsigned long long)record->line, (uint8_t)record->text.data[bad]);
    }
    return KITH_OK;
}

static kith_status read_header(struct csv_rows *csv, const struct read_request *request, kith_error *error)
{
    if (csv->map->size >= 3 && memcmp(csv->map->data, "\xef\xbb\xbf", 3) == 0) csv->at = 3;
    kith_status status = read_record(csv, error);
    if (status) return status;
    for (size_t i = 0; i < csv->record.count; i++) {
        const char *name = cell_text(csv, i);
        if (!*name || cli_text_bad_utf8(name, strlen(name)) >= 0) {
            return cli_fail(error, KITH_INVALID, "'%s': column %zu of the header line has no readable name",
                            csv->path, i + 1);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(csv->guesses.columns[j].name, name) != 0) continue;
            return cli_fail(error, KITH_INVALID, "'%s': the header line names '%s' twice", csv->path, name);
        }
        cli_guess_add(&csv->guesses, name, request);
    }
    csv->body = csv->at;
    csv->body_line = csv->line;
    if (csv->guesses.count) return KITH_OK;
    return cli_fail(error, KITH_INVALID, "'%s' has no header line", csv->path);
}

/* The first reading: types and the number of rows. */
static kith_status guess_types(struct csv_rows *csv, const struct read_request *request, kith_error *error)
{
    for (;;) {
        kith_status status = read_record(csv, error);
        if (status) return status;
        if (!csv->record.count) break;
        status = check_record(csv, error);
        if (status) return status;
        if (++csv->base.total % 4096 == 0 && cli_interrupted())
            return cli_fail(error, KITH_CANCELLED, "interrupted");
        for (size_t i = 0; i < csv->guesses.count; i++) {
            struct column_guess *guess = &csv->guesses.columns[i];
            const struct csv_cell *cell = &csv->record.cells[i];
            int64_t items = 0;
            if (guess->kind == CELL_TEXT && !guess->is_vector) continue;
            enum cell_kind kind = cli_text_kind(cell_text(csv, i), &items);
            if (kind == CELL_NONE && cell->quoted) kind = CELL_TEXT;
            if (kind == CELL_LIST_INT || kind == CELL_LIST_FLOAT) {
                cli_guess_list(guess, kind, items, csv->record.line);
            } else {
                cli_guess_see(guess, kind, csv->record.line);
            }
        }
    }
    kith_status status = cli_guess_check(&csv->guesses, request, error);
    if (status) return status;
    csv->base.total_known = true;
    csv->makers = cli_guess_makers(&csv->guesses, request);
    csv->at = csv->body;
    csv->line = csv->body_line;
    return KITH_OK;
}

static kith_status csv_schema(struct rows *self, struct ArrowSchema *out, kith_error *error)
{
    struct csv_rows *csv = (struct csv_rows *)self;
    (void)error;
    cli_makers_schema(csv->makers, &csv->guesses, out);
    return KITH_OK;
}

static kith_status csv_next(struct rows *self, int64_t most, struct ArrowArray *out, kith_error *error)
{
    struct csv_rows *csv = (struct csv_rows *)self;
    int64_t rows = 0;
    size_t bytes = 0;
    while (rows < most && bytes < BATCH_BYTES) {
        kith_status status = read_record(csv, error);
        if (status) return status;
        if (!csv->record.count) break;
        status = check_record(csv, error); // again: the file may have changed since the first reading
        if (status) return status;
        for (size_t i = 0; i < csv->guesses.count; i++) {
            const struct csv_cell *cell = &csv->record.cells[i];
            if (cli_text_store(&csv->makers[i], cell_text(csv, i), cell->end - cell->begin, cell->quoted))
                continue;
            return cli_fail(error, KITH_TYPE, "'%s' line %llu: column '%s' holds %s, given '%.60s'",
                            csv->path, (unsigned long long)csv->record.line, csv->guesses.columns[i].name,
                            cli_kind_name(csv->makers[i].kind), cell_text(csv, i));
        }
        bytes += csv->record.text.size;
        rows++;
    }
    if (rows) cli_makers_finish(csv->makers, csv->guesses.count, rows, out);
    return KITH_OK;
}

static void csv_free(struct rows *self)
{
    struct csv_rows *csv = (struct csv_rows *)self;
    cli_makers_free(csv->makers, csv->guesses.count);
    cli_guess_release(&csv->guesses);
    cli_text_release(&csv->record.text);
    free(csv->record.cells);
    cli_map_release(csv->map);
    free(csv);
}

kith_status cli_read_csv(const struct read_request *request, char separator, struct mapped *map,
                         struct rows **out, kith_error *error)
{
    struct csv_rows *csv = cli_alloc(sizeof *csv);
    *csv = (struct csv_rows){
        .base = { .schema = csv_schema, .next = csv_next, .free = csv_free },
        .path = request->path,
        .map = map,
        .separator = separator,
        .line = 1,
    };
    kith_status status = read_header(csv, request, error);
    if (!status) status = guess_types(csv, request, error);
    if (status) {
        csv_free(&csv->base);
        return status;
    }
    *out = &csv->base;
    return KITH_OK;
}
