/* Writing the rows of a stream to an open file. */
#ifndef CLI_WRITER_H
#define CLI_WRITER_H

#include "stream.h"

struct write_progress {
    kith_progress_fn call;
    void *user;
    uint64_t total;
    uint64_t rows; /* of the batches read so far */
};

/* `stream` has begun; these read it to its end. */
kith_status cli_write_csv(FILE *to, struct stream *stream, struct write_progress *progress,
                          kith_error *error);
kith_status cli_write_jsonl(FILE *to, struct stream *stream, struct write_progress *progress,
                            kith_error *error);
/** The vector column at `column`, as an array of `rows` rows: a .npy says how many before the first. */
kith_status cli_write_npy(FILE *to, struct stream *stream, int64_t column, uint64_t rows,
                          struct write_progress *progress, kith_error *error);

/** Tells the progress that `rows` are written. @return KITH_CANCELLED when it asks to stop */
kith_status cli_write_tick(struct write_progress *progress, uint64_t rows, kith_error *error);
/** The next batch, after telling the progress; `*more` is false at the end. */
kith_status cli_write_next(struct stream *stream, struct write_progress *progress, bool *more,
                           kith_error *error);
/** Sends `text` on and empties it. */
kith_status cli_write_text(FILE *to, struct text *text, kith_error *error);

#endif
