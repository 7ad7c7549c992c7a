/* JSON lines: one object a line. Keys are columns, in the order they first appear; a key that a line
 * leaves out is null. Arrays of numbers are lists or vectors; objects and other arrays are kept as
 * JSON text, and so is a column whose lines disagree about its type.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"
#include "read_guess.h"
#include "scan_json.h"

struct jsonl_rows {
    struct rows base;
    const char *path;
    struct mapped *map;
    size_t at;
    uint64_t line;
    const char *line_begin;
    struct text key, cell; // scratch
    struct guesses guesses;
    struct maker *makers;
};

enum { BATCH_BYTES = 16 << 20 };

static kith_status line_failed(const struct jsonl_rows *jsonl, const struct json_scan *scan,
                               kith_error *error)
{
    return cli_fail(error, KITH_INVALID, "'%s' line %llu, byte %lld: %s", jsonl->path,
                    (unsigned long long)jsonl->line, (long long)(scan->at - jsonl->line_begin) + 1,
                    scan->why);
}

/* The next line that is not blank; false at the end of the file. */
static bool next_line(struct jsonl_rows *jsonl, struct json_scan *scan)
{
    const char *data = (const char *)jsonl->map->data;
    while (jsonl->at < jsonl->map->size) {
        const char *begin = data + jsonl->at;
        size_t left = jsonl->map->size - jsonl->at;
        const char *newline = memchr(begin, '\n', left);
        size_t size = newline ? (size_t)(newline - begin) : left;
        jsonl->at += size + (newline != NULL);
        jsonl->line++;
        jsonl->line_begin = begin;
        for (size_t i = 0; i < size; i++) {
            if (begin[i] == ' ' || begin[i] == '\t' || begin[i] == '\r') continue;
            *scan = (struct json_scan){ .at = begin + i, .end = begin + size };
            return true;
        }
    }
    return false;
}

/* Lines mostly have their keys in one order, so the column is looked for where it should be first. */
static size_t column_of(const struct guesses *guesses, const char *name, size_t expected)
{
    if (expected < guesses->count && strcmp(guesses->columns[expected].name, name) == 0) return expected;
    for (size_t i = 0; i < guesses->count; i++) {
        if (strcmp(guesses->columns[i].name, name) == 0) return i;
    }
    return guesses->count;
}

static enum cell_kind kind_of(const struct json_value *value)
{
    switch (value->kind) {
    case JSON_IS_NULL:
        return CELL_NONE;
    case JSON_IS_BOOL:
        return CELL_BOOL;
    case JSON_IS_INT:
        return CELL_INT;
    case JSON_IS_FLOAT:
        return CELL_FLOAT;
    case JSON_IS_NUMBERS:
        return value->whole ? CELL_LIST_INT : CELL_LIST_FLOAT;
    case JSON_IS_STRING:
    case JSON_IS_OTHER:
        return CELL_TEXT;
    }
    return CELL_TEXT;
}

/* What a line says about the types of its columns. */
static kith_status guess_line(struct jsonl_rows *jsonl, struct json_scan *scan,
                              const struct read_request *request, kith_error *error)
{
    struct json_value value;
    size_t expected = 0;
    int more;
    if (jsonl->line == 1 && *scan->at == '[') {
        return cli_fail(
            error, KITH_INVALID,
            "'%s' is one JSON array; expected an object a line: jq -c '.[]' '%s' | kith import DB/TABLE -",
            jsonl->path, jsonl->path);
    }
    while ((more = cli_scan_member(scan, &jsonl->key, &value)) > 0) {
        size_t column = column_of(&jsonl->guesses, jsonl->key.data, expected);
        if (column == jsonl->guesses.count) cli_guess_add(&jsonl->guesses, jsonl->key.data, request);
        struct column_guess *guess = &jsonl->guesses.columns[column];
        if (guess->line == jsonl->line) {
            return cli_fail(error, KITH_INVALID, "'%s' line %llu has '%s' twice", jsonl->path,
                            (unsigned long long)jsonl->line, guess->name);
        }
        guess->line = jsonl->line;
        if (value.kind == JSON_IS_NUMBERS) {
            cli_guess_list(guess, kind_of(&value), value.items, jsonl->line);
        } else {
            cli_guess_see(guess, kind_of(&value), jsonl->line);
        }
        expected = column + 1;
    }
    return more < 0 ? line_failed(jsonl, scan, error) : KITH_OK;
}

static kith_status guess_types(struct jsonl_rows *jsonl, const struct read_request *request,
                               kith_error *error)
{
    struct json_scan scan;
    while (next_line(jsonl, &scan)) {
        kith_status status = guess_line(jsonl, &scan, request, error);
        if (status) return status;
        if (++jsonl->base.total % 1024 == 0 && cli_interrupted())
            return cli_fail(error, KITH_CANCELLED, "interrupted");
    }
    if (!jsonl->guesses.count)
        return cli_fail(error, KITH_INVALID, "'%s' has no keys in any line", jsonl->path);
    kith_status status = cli_guess_check(&jsonl->guesses, request, error);
    if (status) return status;
    jsonl->base.total_known = true;
    jsonl->makers = cli_guess_makers(&jsonl->guesses, request);
    jsonl->at = 0;
    jsonl->line = 0;
    return KITH_OK;
}

static bool store_numbers(struct maker *maker, const struct json_value *value)
{
    struct number number;
    const char *at = NULL;
    if (maker->kind == CELL_VECTOR && value->items != maker->width) return false;
    if (maker->kind == CELL_LIST_INT && !value->whole) return false;
    while (cli_scan_number(value, &at, &number)) cli_maker_item(maker, &number);
    cli_maker_end_list(maker);
    return true;
}

/* Text as it is; whatever else a text column meets as compact JSON. */
static bool store_text(struct jsonl_rows *jsonl, struct maker *maker, const struct json_value *value)
{
    if (value->kind == JSON_IS_STRING) {
        jsonl->cell.size = 0;
        cli_scan_string(value, &jsonl->cell);
        cli_maker_text(maker, jsonl->cell.data, jsonl->cell.size);
        return true;
    }
    json_t *json = json_loadb(value->begin, (size_t)(value->end - value->begin), JSON_DECODE_ANY, NULL);
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(json);
    if (!text) return false;
    cli_maker_text(maker, text, strlen(text));
    free(text);
    return true;
}

static bool store(struct jsonl_rows *jsonl, struct maker *maker, const struct json_value *value)
{
    if (value->kind == JSON_IS_NULL) {
        cli_maker_null(maker);
        return true;
    }
    switch (maker->kind) {
    case CELL_BOOL:
        cli_maker_bool(maker, value->truth);
        return value->kind == JSON_IS_BOOL;
    case CELL_INT:
        cli_maker_number(maker, &value->number);
        return value->kind == JSON_IS_INT;
    case CELL_FLOAT:
        cli_maker_number(maker, &value->number);
        return value->kind == JSON_IS_INT || value->kind == JSON_IS_FLOAT;
    case CELL_LIST_INT:
    case CELL_LIST_FLOAT:
    case CELL_LIST_F32:
    case CELL_VECTOR:
        return value->kind == JSON_IS_NUMBERS && store_numbers(maker, value);
    case CELL_NONE:
    case CELL_TEXT:
        break;
    }
    return store_text(jsonl, maker, value);
}

static kith_status store_line(struct jsonl_rows *jsonl, struct json_scan *scan, int64_t row,
                              kith_error *error)
{
    struct json_value value;
    size_t expected = 0;
    int more;
    while ((more = cli_scan_member(scan, &jsonl->key, &value)) > 0) {
        size_t column = column_of(&jsonl->guesses, jsonl->key.data, expected);
        if (column == jsonl->guesses.count || jsonl->makers[column].rows != row ||
            !store(jsonl, &jsonl->makers[column], &value)) {
            return cli_fail(error, KITH_TYPE,
                            "'%s' line %llu: '%s' is not what it was when the file was first read",
                            jsonl->path, (unsigned long long)jsonl->line, jsonl->key.data);
        }
        expected = column + 1;
    }
    if (more < 0) return line_failed(jsonl, scan, error);
    for (size_t i = 0; i < jsonl->guesses.count; i++) {
        if (jsonl->makers[i].rows == row) cli_maker_null(&jsonl->makers[i]);
    }
    return KITH_OK;
}

static kith_status jsonl_schema(struct rows *self, struct ArrowSchema *out, kith_error *error)
{
    struct jsonl_rows *jsonl = (struct jsonl_rows *)self;
    (void)error;
    cli_makers_schema(jsonl->makers, &jsonl->guesses, out);
    return KITH_OK;
}

static kith_status jsonl_next(struct rows *self, int64_t most, struct ArrowArray *out, kith_error *error)
{
    struct jsonl_rows *jsonl = (struct jsonl_rows *)self;
    int64_t rows = 0;
    size_t begin = jsonl->at;
    struct json_scan scan;
    while (rows < most && jsonl->at - begin < BATCH_BYTES && next_line(jsonl, &scan)) {
        kith_status status = store_line(jsonl, &scan, rows, error);
        if (status) return status;
        rows++;
    }
    if (rows) cli_makers_finish(jsonl->makers, jsonl->guesses.count, rows, out);
    return KITH_OK;
}

static void jsonl_free(struct rows *self)
{
    struct jsonl_rows *jsonl = (struct jsonl_rows *)self;
    cli_makers_free(jsonl->makers, jsonl->guesses.count);
    cli_guess_release(&jsonl->guesses);
    cli_text_release(&jsonl->key);
    cli_text_release(&jsonl->cell);
    cli_map_release(jsonl->map);
    free(jsonl);
}

kith_status cli_read_jsonl(const struct read_request *request, struct mapped *map, struct rows **out,
                           kith_error *error)
{
    struct jsonl_rows *jsonl = cli_alloc(sizeof *jsonl);
    *jsonl = (struct jsonl_rows){
        .base = { .schema = jsonl_schema, .next = jsonl_next, .free = jsonl_free },
        .path = request->path,
        .map = map,
    };
    kith_status status = guess_types(jsonl, request, error);
    if (status) {
        jsonl_free(&jsonl->base);
        return status;
    }
    *out = &jsonl->base;
    return KITH_OK;
}
