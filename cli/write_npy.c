/* A vector column as .npy (read_npy.c draws the format). An array of numbers has no nulls: a row without
 * a vector is refused rather than filled in, so that row i of the file stays row i of the table.
 */
#include <string.h>

#include "arrow_view.h"
#include "writer.h"

static const char *type_of(kith_element element)
{
    switch (element) {
    case KITH_F32:
        return "<f4";
    case KITH_F16:
        return "<f2";
    case KITH_F64:
        return "<f8";
    case KITH_I8:
        return "|i1";
    case KITH_U8:
        return "|u1";
    }
    return "";
}

/* Version 1.0: padded with spaces to a multiple of 64 bytes, ended by a newline. */
static void add_header(struct text *to, kith_element element, uint64_t rows, uint32_t dim)
{
    char dict[128];
    int size = snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': (%llu, %u), }",
                        type_of(element), (unsigned long long)rows, dim);
    int padded = (10 + size + 1 + 63) / 64 * 64 - 10;
    char length[2] = { (char)(padded & 0xff), (char)(padded >> 8) };
    cli_text_add(to, "\x93NUMPY\x01\x00", 8);
    cli_text_add(to, length, 2);
    cli_text_printf(to, "%-*s\n", padded - 1, dict);
}

static kith_status add_batch(struct text *to, const struct stream *stream, int64_t at, uint64_t before,
                             kith_error *error)
{
    struct column_view column = cli_column(&stream->schema, &stream->batch, at);
    kith_element element = KITH_F32;
    uint32_t dim = 0;
    cli_is_vector(column.schema, &element, &dim);
    size_t bytes = dim * cli_element_bytes(element);
    for (int64_t i = 0; i < stream->batch.length; i++) {
        int64_t row = stream->batch.offset + i;
        if (cli_cell_is_null(column, row)) {
            return cli_fail(
                error, KITH_INVALID,
                "row %llu has no vector in '%s', which a .npy cannot say; export as arrow or jsonl",
                (unsigned long long)before + (unsigned long long)i, column.schema->name);
        }
        cli_text_add(to, cli_cell_vector(column, row), bytes);
    }
    return KITH_OK;
}

kith_status cli_write_npy(FILE *to, struct stream *stream, int64_t column, uint64_t rows,
                          struct write_progress *progress, kith_error *error)
{
    struct text text = { 0 };
    kith_element element = KITH_F32;
    uint32_t dim = 0;
    bool more = true;
    cli_is_vector(stream->schema.children[column], &element, &dim);
    add_header(&text, element, rows, dim);
    kith_status status = cli_write_text(to, &text, error);
    while (!status && more) {
        uint64_t before = progress->rows;
        status = cli_write_next(stream, progress, &more, error);
        if (!status && more) status = add_batch(&text, stream, column, before, error);
        if (!status) status = cli_write_text(to, &text, error);
    }
    cli_text_release(&text);
    if (!status && progress->rows != rows) {
        status = cli_fail(error, KITH_CORRUPT, "expected %llu rows, the table gave %llu",
                          (unsigned long long)rows, (unsigned long long)progress->rows);
    }
    return status;
}
