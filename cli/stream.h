/* Walking the Arrow streams that the library gives. */
#ifndef CLI_STREAM_H
#define CLI_STREAM_H

#include "cli.h"

struct stream { /* zeroed is empty */
    struct ArrowArrayStream arrow;
    struct ArrowSchema schema;
    struct ArrowArray batch;
};

/** Reads the schema of `stream->arrow`, which was just received. */
kith_status cli_stream_begin(struct stream *stream, kith_error *error);
/** The next batch into stream->batch, releasing the one before; `*more` is false at the end. */
kith_status cli_stream_next(struct stream *stream, bool *more, kith_error *error);
void cli_stream_release(struct stream *stream);

#endif
