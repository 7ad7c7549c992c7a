/* Query vectors from JSON, from any file that 'kith import' reads, or from rows of the table. Numbers keep
 * the type they have: the library compares float16 queries with float16 rows without help.
 */
#include "query_vectors.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arrow_view.h"
#include "reader.h"
#include "stream.h"

void cli_vectors_release(struct query_vectors *vectors)
{
    free(vectors->data);
    *vectors = (struct query_vectors){ 0 };
}

/* ---- JSON ---- */

static kith_status json_vector(const json_t *array, struct query_vectors *out, kith_error *error)
{
    size_t dim = json_array_size(array);
    if (!json_is_array(array) || !dim || dim > UINT32_MAX) {
        return cli_fail(error, KITH_INVALID,
                        "--vector: query %zu is no list of numbers; expected [0.1, 0.2, ...]", out->count);
    }
    if (out->count && dim != out->dim) {
        return cli_fail(error, KITH_INVALID, "--vector: query %zu has %zu numbers, the first %u", out->count,
                        dim, out->dim);
    }
    out->dim = (uint32_t)dim;
    out->data = cli_grow(out->data, (out->count + 1) * dim * sizeof(float));
    for (size_t i = 0; i < dim; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_number(item)) {
            return cli_fail(error, KITH_INVALID, "--vector: item %zu of query %zu is no number", i,
                            out->count);
        }
        float value = (float)json_number_value(item);
        memcpy(out->data + (out->count * dim + i) * sizeof value, &value, sizeof value);
    }
    out->count++;
    return KITH_OK;
}

static kith_status json_vectors(const char *text, size_t size, struct query_vectors *out, kith_error *error)
{
    json_error_t why;
    json_t *root = json_loadb(text, size, 0, &why);
    if (!root) {
        return cli_fail(error, KITH_INVALID,
                        "--vector: no JSON array, at byte %d: %s; expected [0.1, 0.2, ...]", why.position,
                        why.text);
    }
    kith_status status = KITH_OK;
    out->element = KITH_F32;
    if (json_is_array(json_array_get(root, 0))) {
        for (size_t i = 0; !status && i < json_array_size(root); i++)
            status = json_vector(json_array_get(root, i), out, error);
    } else {
        status = json_vector(root, out, error);
    }
    json_decref(root);
    return status;
}

/* ---- batches ---- */

static kith_status take_batch(const struct ArrowSchema *schema, const struct ArrowArray *batch, int64_t at,
                              struct query_vectors *out, kith_error *error)
{
    struct column_view column = cli_column(schema, batch, at);
    cli_is_vector(column.schema, &out->element, &out->dim);
    size_t bytes = out->dim * cli_element_bytes(out->element);
    for (int64_t i = 0; i < batch->length; i++) {
        if (cli_cell_is_null(column, batch->offset + i)) {
            return cli_fail(error, KITH_INVALID, "row %zu of '%s' has no vector to search with", out->count,
                            column.schema->name);
        }
        out->data = cli_grow(out->data, (out->count + 1) * bytes);
        memcpy(out->data + out->count * bytes, cli_cell_vector(column, batch->offset + i), bytes);
        out->count++;
    }
    return KITH_OK;
}

static kith_status take_stream(struct stream *stream, const char *column, struct query_vectors *out,
                               kith_error *error)
{
    int64_t at = 0;
    bool more = true;
    kith_status status = cli_stream_begin(stream, error);
    if (!status) status = cli_vector_column(&stream->schema, column, &at, error);
    while (!status && more) {
        status = cli_stream_next(stream, &more, error);
        if (!status && more) status = take_batch(&stream->schema, &stream->batch, at, out, error);
    }
    return status;
}

/* ---- files ---- */

static bool begins_with_bracket(const struct mapped *map)
{
    size_t at = 0;
    while (at < map->size && strchr(" \t\r\n", map->data[at]) && map->data[at]) at++;
    return at < map->size && map->data[at] == '[';
}

static kith_status file_vectors(const char *path, const char *column, struct query_vectors *out,
                                kith_error *error)
{
    struct mapped *map = NULL;
    struct rows *rows = NULL;
    struct read_outcome outcome = { .limit = UINT64_MAX };
    struct stream stream = { .batch = { .length = 0 } };
    struct read_request request = { .path = path, .vector = column };
    kith_status status = cli_map_open(path, &map, error);
    if (status) return status;
    if (begins_with_bracket(map)) {
        status = json_vectors((const char *)map->data, map->size, out, error);
        cli_map_release(map);
        return status;
    }
    status = cli_rows_open_map(&request, map, &rows, error);
    if (status) return status;
    cli_rows_stream(rows, &outcome, &stream.arrow);
    status = take_stream(&stream, column, out, error);
    if (status && outcome.error.status) *error = outcome.error;
    cli_stream_release(&stream);
    if (!status && !out->count)
        status = cli_fail(error, KITH_INVALID, "'%s' has no rows; expected a vector to search with", path);
    return status ? error->status : KITH_OK;
}

kith_status cli_vectors_read(const char *source, const char *column, struct query_vectors *out,
                             kith_error *error)
{
    if (*source == '[') return json_vectors(source, strlen(source), out, error);
    return file_vectors(source, column, out, error);
}

kith_status cli_vectors_of_row(kith_table *table, uint64_t row_id, const char *column,
                               struct query_vectors *out, kith_error *error)
{
    struct stream stream = { .batch = { .length = 0 } };
    kith_status status = kith_table_take(table, &row_id, 1, NULL, &stream.arrow, error);
    if (!status) status = take_stream(&stream, column, out, error);
    cli_stream_release(&stream);
    if (!status && !out->count) {
        status = cli_fail(error, KITH_NOT_FOUND,
                          "there is no row with id %llu; ids are the _rowid of a search's answer",
                          (unsigned long long)row_id);
    }
    return status;
}

float cli_recall(float recall)
{
    return isnan(recall) ? 0 : recall == 0 ? FLT_MIN : recall;
}

bool cli_read_row_id(const char *text, uint64_t *out)
{
    char *end = NULL;
    *out = strtoull(text, &end, 10);
    return end != text && !*end && *text != '-';
}

/* ---- random rows ---- */

/* SplitMix64: enough for choosing, and the same on every machine. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static size_t sort_unique(uint64_t *numbers, size_t count)
{
    size_t kept = 0;
    qsort(numbers, count, sizeof *numbers, by_size);
    for (size_t i = 0; i < count; i++) {
        if (!i || numbers[i] != numbers[i - 1]) numbers[kept++] = numbers[i];
    }
    return kept;
}

/* Different numbers below `range`, rising. @return how many: `count`, or all there are */
static size_t choose(uint64_t range, size_t count, uint64_t seed, uint64_t *out)
{
    size_t have = 0;
    if (range <= count) {
        for (; have < range; have++) out[have] = have;
        return have;
    }
    while (have < count) {
        for (size_t i = have; i < count; i++) out[i] = next_random(&seed) % range;
        have = sort_unique(out, count);
    }
    return have;
}

/* The id of the newest row, plus 1. */
static kith_status row_id_range(kith_table *table, const char *column, uint64_t *out, kith_error *error)
{
    uint64_t rows = 0;
    struct stream stream = { .batch = { .length = 0 } };
    bool more = false;
    *out = 0;
    kith_status status = kith_table_count(table, NULL, &rows, error);
    if (status || !rows) return status;
    kith_scan last = KITH_INIT(kith_scan);
    last.columns = &column;
    last.column_count = 1;
    last.with_row_id = true;
    last.offset = rows - 1;
    status = kith_table_scan(table, &last, &stream.arrow, error);
    if (!status) status = cli_stream_begin(&stream, error);
    if (!status) status = cli_stream_next(&stream, &more, error);
    if (!status && more) {
        int64_t at = cli_column_find(&stream.schema, "_rowid");
        *out = (uint64_t)cli_cell_int(cli_column(&stream.schema, &stream.batch, at), stream.batch.offset) + 1;
    }
    cli_stream_release(&stream);
    return status;
}

/* The vectors of a batch that are there, and whose they are. */
static void take_present(const struct stream *stream, int64_t at, struct query_vectors *out,
                         uint64_t *row_ids)
{
    const struct ArrowArray *batch = &stream->batch;
    struct column_view column = cli_column(&stream->schema, batch, at);
    struct column_view ids = cli_column(&stream->schema, batch, cli_column_find(&stream->schema, "_rowid"));
    size_t bytes = out->dim * cli_element_bytes(out->element);
    for (int64_t i = 0; i < batch->length; i++) {
        if (cli_cell_is_null(column, batch->offset + i)) continue;
        memcpy(out->data + out->count * bytes, cli_cell_vector(column, batch->offset + i), bytes);
        row_ids[out->count++] = (uint64_t)cli_cell_int(ids, batch->offset + i);
    }
}

static kith_status take_rows(kith_table *table, const char *column, const uint64_t *wanted, size_t count,
                             struct query_vectors *out, uint64_t *row_ids, kith_error *error)
{
    struct stream stream = { .batch = { .length = 0 } };
    kith_scan options = KITH_INIT(kith_scan);
    bool more = true;
    int64_t at = 0;
    options.columns = &column;
    options.column_count = 1;
    options.with_row_id = true;
    kith_status status = kith_table_take(table, wanted, count, &options, &stream.arrow, error);
    if (!status) status = cli_stream_begin(&stream, error);
    if (!status) status = cli_vector_column(&stream.schema, column, &at, error);
    if (!status) {
        cli_is_vector(stream.schema.children[at], &out->element, &out->dim);
        out->data = cli_alloc(count * out->dim * cli_element_bytes(out->element));
    }
    while (!status && more) {
        status = cli_stream_next(&stream, &more, error);
        if (!status && more) take_present(&stream, at, out, row_ids);
    }
    cli_stream_release(&stream);
    return status;
}

kith_status cli_vectors_of_rows(kith_table *table, const char *column, size_t count, uint64_t seed,
                                struct query_vectors *out, uint64_t **row_ids, kith_error *error)
{
    uint64_t range = 0;
    kith_status status = row_id_range(table, column, &range, error);
    if (!status && !range) status = cli_fail(error, KITH_INVALID, "the table has no rows");
    if (status) return status;
    uint64_t *wanted = cli_alloc(count * sizeof *wanted);
    *row_ids = cli_alloc(count * sizeof **row_ids);
    size_t chosen = choose(range, count, seed, wanted);
    status = take_rows(table, column, wanted, chosen, out, *row_ids, error);
    free(wanted);
    if (!status && !out->count)
        status = cli_fail(error, KITH_INVALID, "there are no rows with a vector to search for");
    return status;
}

void cli_vectors_sample(struct query_vectors *vectors, size_t count, uint64_t seed)
{
    if (vectors->count <= count) return;
    size_t bytes = vectors->dim * cli_element_bytes(vectors->element);
    uint64_t *chosen = cli_alloc(count * sizeof *chosen);
    choose(vectors->count, count, seed, chosen);
    for (size_t i = 0; i < count; i++) // rising: none is overwritten before it was moved
        memmove(vectors->data + i * bytes, vectors->data + chosen[i] * bytes, bytes);
    vectors->count = count;
    free(chosen);
}

static float number_at(const struct query_vectors *vectors, size_t i)
{
    union {
        uint16_t half;
        float one;
        double wide;
        int8_t whole;
        uint8_t natural;
    } number;
    size_t bytes = cli_element_bytes(vectors->element);
    memcpy(&number, vectors->data + i * bytes, bytes);
    switch (vectors->element) {
    case KITH_F16:
        return cli_half_to_float(number.half);
    case KITH_F64:
        return (float)number.wide;
    case KITH_I8:
        return (float)number.whole;
    case KITH_U8:
        return (float)number.natural;
    case KITH_F32:
        break;
    }
    return number.one;
}

void cli_vectors_to_float(struct query_vectors *vectors)
{
    size_t numbers = vectors->count * vectors->dim;
    float *floats = cli_alloc(numbers * sizeof *floats);
    for (size_t i = 0; i < numbers; i++) floats[i] = number_at(vectors, i);
    free(vectors->data);
    vectors->data = (uint8_t *)floats;
    vectors->element = KITH_F32;
}
