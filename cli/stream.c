/* Walking an Arrow stream batch by batch. An error of the stream is an errno and a sentence; a block
 * whose checksum fails arrives here as EBADMSG, and the sentence names the file. */
#include "stream.h"

#include <errno.h>
#include <string.h>

static kith_status stream_failed(struct stream *stream, int code, kith_error *error)
{
    const char *why = stream->arrow.get_last_error(&stream->arrow);
    kith_status status = code == ENOMEM      ? KITH_NO_MEMORY
                         : code == ECANCELED ? KITH_CANCELLED
                         : code == EINVAL    ? KITH_INVALID
                         : code == EBADMSG   ? KITH_CORRUPT
                         : code == ETIMEDOUT ? KITH_TIMEOUT
                                             : KITH_IO;
    return cli_fail(error, status, "%s", why && *why ? why : strerror(code));
}

kith_status cli_stream_begin(struct stream *stream, kith_error *error)
{
    int code = stream->arrow.get_schema(&stream->arrow, &stream->schema);
    return code ? stream_failed(stream, code, error) : KITH_OK;
}

kith_status cli_stream_next(struct stream *stream, bool *more, kith_error *error)
{
    if (stream->batch.release) stream->batch.release(&stream->batch);
    stream->batch = (struct ArrowArray){ 0 };
    int code = stream->arrow.get_next(&stream->arrow, &stream->batch);
    if (code) return stream_failed(stream, code, error);
    *more = stream->batch.release != NULL;
    return KITH_OK;
}

void cli_stream_release(struct stream *stream)
{
    if (stream->batch.release) stream->batch.release(&stream->batch);
    if (stream->schema.release) stream->schema.release(&stream->schema);
    if (stream->arrow.release) stream->arrow.release(&stream->arrow);
    *stream = (struct stream){ 0 };
}
