/* Query vectors from JSON, from any file that 'kith import' reads, or from a row of the table. Numbers keep
 * the type they have: the library compares float16 queries with float16 rows without help.
 */
#include "query_vectors.h"

#include <jansson.h>
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
    struct read_outcome outcome = { .limit = 0 };
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
