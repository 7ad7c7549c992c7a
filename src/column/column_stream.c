/* The Arrow C stream interface: reading a producer's, making ours.
 *
 * A stream of ours is a function that gives batches and a context it frees. It is a struct on the heap, so
 * that it may be moved and released on any thread; as the specification has it, not used from two at once.
 * The message of the last failure is kept, and get_last_error() gives it.
 */
#include <errno.h>
#include <string.h>

#include "column/column_private.h"

/* ---- a producer's ---- */

static kith_status foreign_failure(struct ArrowArrayStream *stream, int code, kith_error *error)
{
    const char *words = stream->get_last_error ? stream->get_last_error(stream) : NULL;
    return kt_fail(error, KITH_INVALID, "the producer of the Arrow stream failed: %s",
                   words && *words ? words : strerror(code));
}

kith_status kt_stream_schema(struct ArrowArrayStream *stream, struct kt_schema **out, kith_error *error)
{
    struct ArrowSchema schema = { 0 };
    if (!stream || !stream->release || !stream->get_schema)
        return kt_fail(error, KITH_INVALID, "the Arrow stream has been released");
    int code = stream->get_schema(stream, &schema);
    if (code) return foreign_failure(stream, code, error);
    kith_status status = kt_schema_import(&schema, out, error);
    if (schema.release) schema.release(&schema);
    return status;
}

kith_status kt_stream_next(struct ArrowArrayStream *stream, struct kt_schema *schema, struct kt_batch **out,
                           kith_error *error)
{
    struct ArrowArray array = { 0 };
    if (!stream || !stream->release || !stream->get_next)
        return kt_fail(error, KITH_INVALID, "the Arrow stream has been released");
    int code = stream->get_next(stream, &array);
    if (code) return foreign_failure(stream, code, error);
    if (!array.release) {
        *out = NULL;
        return KITH_OK;
    }
    return kt_batch_import(schema, &array, out, error);
}

/* ---- ours ---- */

struct stream {
    struct kt_schema *schema;
    kt_next_fn next;
    void (*release)(void *context);
    void *context;
    kith_error error;
    bool ended;
};

static int code_of(kith_status status)
{
    switch (status) {
    case KITH_OK:
        return 0;
    case KITH_NO_MEMORY:
        return ENOMEM;
    case KITH_INVALID:
    case KITH_TYPE:
        return EINVAL;
    case KITH_CANCELLED:
        return ECANCELED;
    case KITH_TIMEOUT:
        return ETIMEDOUT;
    case KITH_UNSUPPORTED:
        return ENOSYS;
    case KITH_CORRUPT:
        return EBADMSG;
    default:
        return EIO;
    }
}

static int stream_get_schema(struct ArrowArrayStream *self, struct ArrowSchema *out)
{
    struct stream *stream = self->private_data;
    return code_of(kt_schema_export(stream->schema, out, &stream->error));
}

static int stream_get_next(struct ArrowArrayStream *self, struct ArrowArray *out)
{
    struct stream *stream = self->private_data;
    struct kt_batch *batch = NULL;
    kith_status status = KITH_OK;
    out->release = NULL;
    if (stream->ended) return 0;
    status = stream->next(stream->context, &batch, &stream->error);
    if (!status && batch) status = kt_batch_export(batch, out, &stream->error);
    stream->ended = status || !batch;
    kt_batch_release(batch);
    return code_of(status);
}

static const char *stream_get_last_error(struct ArrowArrayStream *self)
{
    struct stream *stream = self->private_data;
    return stream->error.status ? stream->error.message : NULL;
}

static void stream_release(struct ArrowArrayStream *self)
{
    struct stream *stream = self->private_data;
    if (stream->release) stream->release(stream->context);
    kt_schema_release(stream->schema);
    kt_free(stream);
    self->release = NULL;
}

kith_status kt_stream_make(struct kt_schema *schema, kt_next_fn next, void (*release)(void *context),
                           void *context, struct ArrowArrayStream *out, kith_error *error)
{
    struct stream *stream = kt_alloc_zero(1, sizeof *stream);
    if (!stream) return kt_fail_memory(error, sizeof *stream);
    stream->schema = kt_schema_share(schema);
    stream->next = next;
    stream->release = release;
    stream->context = context;
    *out = (struct ArrowArrayStream){
        .get_schema = stream_get_schema,
        .get_next = stream_get_next,
        .get_last_error = stream_get_last_error,
        .release = stream_release,
        .private_data = stream,
    };
    return KITH_OK;
}

/* ---- of batches in memory ---- */

struct batch_list {
    size_t count, at;
    struct kt_batch *batches[];
};

static kith_status list_next(void *context, struct kt_batch **out, kith_error *error)
{
    struct batch_list *list = context;
    (void)error;
    *out = NULL;
    if (list->at == list->count) return KITH_OK;
    *out = list->batches[list->at];
    list->batches[list->at++] = NULL; /* given away: memory goes as the consumer lets go */
    return KITH_OK;
}

static void list_release(void *context)
{
    struct batch_list *list = context;
    for (size_t i = list->at; i < list->count; i++) kt_batch_release(list->batches[i]);
    kt_free(list);
}

kith_status kt_stream_of_batches(struct kt_schema *schema, struct kt_batch *const *batches, size_t count,
                                 struct ArrowArrayStream *out, kith_error *error)
{
    size_t bytes = sizeof(struct batch_list) + count * sizeof(struct kt_batch *);
    struct batch_list *list = kt_alloc(bytes);
    if (!list) return kt_fail_memory(error, bytes);
    *list = (struct batch_list){ .count = count };
    for (size_t i = 0; i < count; i++) list->batches[i] = kt_batch_share(batches[i]);
    kith_status status = kt_stream_make(schema, list_next, list_release, list, out, error);
    if (status) list_release(list);
    return status;
}
