/* From rows to an Arrow stream, and files one after another.
 *
 * A failure while reading is told twice: to the library through get_last_error, as the interface wants,
 * and to the command through `read_outcome`, which keeps status and sentence whole. The second is what
 * the user gets to read.
 */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"

enum { BATCH_ROWS = 65536 };

void cli_rows_free(struct rows *rows)
{
    if (rows) rows->free(rows);
}

/* ---- the stream ---- */

struct stream_state {
    struct rows *rows;
    struct read_outcome *outcome;
};

static int errno_of(kith_status status)
{
    switch (status) {
    case KITH_OK:
        return 0;
    case KITH_CANCELLED:
        return ECANCELED;
    case KITH_INVALID:
    case KITH_TYPE:
        return EINVAL;
    default:
        return EIO;
    }
}

static int stream_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    struct stream_state *state = stream->private_data;
    return errno_of(state->rows->schema(state->rows, out, &state->outcome->error));
}

static int stream_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    struct stream_state *state = stream->private_data;
    struct read_outcome *outcome = state->outcome;
    *out = (struct ArrowArray){ 0 };
    if (cli_interrupted()) {
        return errno_of(cli_fail(&outcome->error, KITH_CANCELLED, "interrupted"));
    }
    uint64_t left = outcome->limit - outcome->rows;
    if (!left) return 0;
    uint64_t most = left < BATCH_ROWS ? left : BATCH_ROWS;
    kith_status status = state->rows->next(state->rows, (int64_t)most, out, &outcome->error);
    if (!status && out->release) outcome->rows += (uint64_t)out->length;
    return errno_of(status);
}

static const char *stream_error(struct ArrowArrayStream *stream)
{
    struct stream_state *state = stream->private_data;
    return state->outcome->error.message;
}

static void stream_release(struct ArrowArrayStream *stream)
{
    struct stream_state *state = stream->private_data;
    cli_rows_free(state->rows);
    free(state);
    stream->release = NULL;
}

void cli_rows_stream(struct rows *rows, struct read_outcome *outcome, struct ArrowArrayStream *out)
{
    struct stream_state *state = cli_alloc(sizeof *state);
    *state = (struct stream_state){ .rows = rows, .outcome = outcome };
    *out = (struct ArrowArrayStream){
        .get_schema = stream_schema,
        .get_next = stream_next,
        .get_last_error = stream_error,
        .release = stream_release,
        .private_data = state,
    };
}

/* ---- files one after another ---- */

struct chain {
    struct rows base;
    const struct read_request *requests;
    size_t count;
    size_t at;
    struct rows *file;         // requests[at], opened
    struct ArrowSchema schema; // of the first file
};

static void column_text(const struct ArrowSchema *column, struct text *to)
{
    cli_text_printf(to, "%s (%s)", column->name, column->format);
}

static bool same_type(const struct ArrowSchema *a, const struct ArrowSchema *b)
{
    if (strcmp(a->format, b->format) != 0 || a->n_children != b->n_children) return false;
    for (int64_t i = 0; i < a->n_children; i++) {
        if (!same_type(a->children[i], b->children[i])) return false;
    }
    return true;
}

static kith_status chain_check(struct chain *chain, kith_error *error)
{
    const char *path = chain->requests[chain->at].path;
    const char *first = chain->requests[0].path;
    struct ArrowSchema schema = { 0 };
    kith_status status = chain->file->schema(chain->file, &schema, error);
    if (status) return status;
    if (schema.n_children != chain->schema.n_children) {
        status = cli_fail(error, KITH_TYPE, "'%s' has %lld columns, '%s' has %lld; import them one by one",
                          path, (long long)schema.n_children, first, (long long)chain->schema.n_children);
    }
    for (int64_t i = 0; !status && i < schema.n_children; i++) {
        const struct ArrowSchema *have = schema.children[i], *want = chain->schema.children[i];
        if (strcmp(have->name, want->name) == 0 && same_type(have, want)) continue;
        struct text a = { 0 }, b = { 0 };
        column_text(have, &a);
        column_text(want, &b);
        status = cli_fail(error, KITH_TYPE,
                          "column %lld of '%s' is %s, of '%s' %s; import them one by one, so that the "
                          "second takes the table's types",
                          (long long)i + 1, path, a.data, first, b.data);
        cli_text_release(&a);
        cli_text_release(&b);
    }
    schema.release(&schema);
    return status;
}

static kith_status chain_schema(struct rows *self, struct ArrowSchema *out, kith_error *error)
{
    struct chain *chain = (struct chain *)self;
    return chain->file->schema(chain->file, out, error);
}

static kith_status chain_next(struct rows *self, int64_t most, struct ArrowArray *out, kith_error *error)
{
    struct chain *chain = (struct chain *)self;
    for (;;) {
        kith_status status = chain->file->next(chain->file, most, out, error);
        if (status || out->release || chain->at + 1 >= chain->count) return status;
        struct rows *following = NULL;
        status = cli_rows_open(&chain->requests[chain->at + 1], &following, error);
        if (status) return status;
        cli_rows_free(chain->file);
        chain->file = following;
        chain->at++;
        status = chain_check(chain, error);
        if (status) return status;
    }
}

static void chain_free(struct rows *self)
{
    struct chain *chain = (struct chain *)self;
    cli_rows_free(chain->file);
    if (chain->schema.release) chain->schema.release(&chain->schema);
    free(chain);
}

kith_status cli_rows_chain(const struct read_request *requests, size_t count, struct rows **out,
                           kith_error *error)
{
    struct rows *first = NULL;
    kith_status status = cli_rows_open(&requests[0], &first, error);
    if (status || count == 1) {
        if (!status) *out = first;
        return status;
    }
    struct chain *chain = cli_alloc(sizeof *chain);
    *chain = (struct chain){
        .base = { .schema = chain_schema, .next = chain_next, .free = chain_free },
        .requests = requests,
        .count = count,
        .file = first,
    };
    status = first->schema(first, &chain->schema, error);
    if (status) {
        chain_free(&chain->base);
        return status;
    }
    *out = &chain->base;
    return KITH_OK;
}
