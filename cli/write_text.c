/* CSV and JSON lines, written so that 'kith import' reads them back as they were: a null is an empty cell
 * and an empty text is "", vectors are JSON arrays, numbers have all the digits they need.
 */
#include <string.h>

#include "arrow_view.h"
#include "writer.h"

enum { FLUSH_BYTES = 1 << 20 };

kith_status cli_write_tick(struct write_progress *progress, uint64_t rows, kith_error *error)
{
    kith_progress at = { .stage = "write", .done = rows, .total = progress->total };
    if (!progress->call || !progress->call(&at, progress->user)) return KITH_OK;
    return cli_fail(error, KITH_CANCELLED, "interrupted");
}

kith_status cli_write_next(struct stream *stream, struct write_progress *progress, bool *more,
                           kith_error *error)
{
    kith_status status = cli_write_tick(progress, progress->rows, error);
    if (!status) status = cli_stream_next(stream, more, error);
    if (!status && *more) progress->rows += (uint64_t)stream->batch.length;
    return status;
}

kith_status cli_write_text(FILE *to, struct text *text, kith_error *error)
{
    size_t size = text->size;
    text->size = 0;
    if (!size || fwrite(text->data, 1, size, to) == size) return KITH_OK;
    cli_fail_errno(error, "write", "the output");
    return error->status = KITH_IO;
}

static void csv_cell(struct text *to, const char *cell, size_t size)
{
    bool needed = !size || cell[0] == ' ' || cell[size - 1] == ' ';
    for (size_t i = 0; i < size && !needed; i++)
        needed = cell[i] == ',' || cell[i] == '"' || cell[i] == '\n' || cell[i] == '\r';
    if (!needed) {
        cli_text_add(to, cell, size);
        return;
    }
    cli_text_add(to, "\"", 1);
    for (const char *quote; (quote = size ? memchr(cell, '"', size) : NULL);) {
        size_t before = (size_t)(quote - cell) + 1;
        cli_text_add(to, cell, before);
        cli_text_add(to, "\"", 1);
        cell += before;
        size -= before;
    }
    cli_text_add(to, cell, size);
    cli_text_add(to, "\"", 1);
}

static void csv_header(struct text *to, const struct ArrowSchema *schema)
{
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (i) cli_text_add(to, ",", 1);
        csv_cell(to, schema->children[i]->name, strlen(schema->children[i]->name));
    }
    cli_text_add(to, "\n", 1);
}

static void csv_row(struct text *to, const struct stream *stream, int64_t row, struct text *cell)
{
    for (int64_t i = 0; i < stream->schema.n_children; i++) {
        if (i) cli_text_add(to, ",", 1);
        cell->size = 0;
        bool null = cli_cell_plain(cli_column(&stream->schema, &stream->batch, i), row, cell);
        if (!null) csv_cell(to, cell->data ? cell->data : "", cell->size);
    }
    cli_text_add(to, "\n", 1);
}

static void jsonl_row(struct text *to, const struct stream *stream, int64_t row, struct text *cell)
{
    (void)cell;
    for (int64_t i = 0; i < stream->schema.n_children; i++) {
        const char *name = stream->schema.children[i]->name;
        cli_text_add(to, i ? "," : "{", 1);
        cli_text_json_string(to, name, strlen(name));
        cli_text_add(to, ":", 1);
        cli_cell_json(cli_column(&stream->schema, &stream->batch, i), row, to);
    }
    cli_text_add(to, "}\n", 2);
}

/* A way to write one row; `cell` is scratch. */
typedef void (*row_writer)(struct text *to, const struct stream *stream, int64_t row, struct text *cell);

struct text_out {
    FILE *to;
    struct text text, cell;
    row_writer add_row;
};

static kith_status write_batch(struct text_out *out, const struct stream *stream,
                               struct write_progress *progress, kith_error *error)
{
    const struct ArrowArray *batch = &stream->batch;
    uint64_t before = progress->rows - (uint64_t)batch->length;
    kith_status status = KITH_OK;
    for (int64_t i = 0; !status && i < batch->length; i++) {
        out->add_row(&out->text, stream, batch->offset + i, &out->cell);
        if (out->text.size < FLUSH_BYTES) continue;
        status = cli_write_text(out->to, &out->text, error);
        if (!status) status = cli_write_tick(progress, before + (uint64_t)i + 1, error);
    }
    return status;
}

static kith_status write_batches(struct text_out *out, struct stream *stream, struct write_progress *progress,
                                 kith_error *error)
{
    bool more = true;
    kith_status status = KITH_OK;
    while (!status && more) {
        status = cli_write_next(stream, progress, &more, error);
        if (!status && more) status = write_batch(out, stream, progress, error);
    }
    if (!status) status = cli_write_text(out->to, &out->text, error);
    cli_text_release(&out->text);
    cli_text_release(&out->cell);
    return status;
}

kith_status cli_write_csv(FILE *to, struct stream *stream, struct write_progress *progress, kith_error *error)
{
    struct text_out out = { .to = to, .add_row = csv_row };
    csv_header(&out.text, &stream->schema);
    return write_batches(&out, stream, progress, error);
}

kith_status cli_write_jsonl(FILE *to, struct stream *stream, struct write_progress *progress,
                            kith_error *error)
{
    struct text_out out = { .to = to, .add_row = jsonl_row };
    return write_batches(&out, stream, progress, error);
}
