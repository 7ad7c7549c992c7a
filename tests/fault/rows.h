/* Rows that know what they should be: an id and a salt say every value of a row, so what is read back needs
 * no copy of what was written. As Arrow streams, by hand: a test of memory must not allocate through the
 * library. */
#ifndef TESTS_FAULT_ROWS_H
#define TESTS_FAULT_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kith.h"

enum { ROW_DIM = 16 };
#define EXTRA_COLUMN "later" /* one that a scenario may add: id + 1 */

struct row {
    int64_t id;
    uint32_t salt; /* what its values are; the upper half: how many bytes its text is padded with */
};

struct rows { /* never changed once made */
    uint32_t references;
    size_t count;
    struct row row[];
};
struct rows *rows_new(size_t count);
struct rows *rows_share(struct rows *rows);
void rows_release(struct rows *rows); /* NULL is allowed */
/** The rows of `first`, then those of `then`; either may be NULL. */
struct rows *rows_join(const struct rows *first, const struct rows *then);
/** `count` rows, their ids from `first` on. */
struct rows *rows_range(int64_t first, size_t count, uint32_t salt);

/** The row of that id; NULL if there is none. */
const struct row *rows_find(const struct rows *rows, int64_t id);

void row_vector(struct row row, float out[ROW_DIM]);
int32_t row_number(struct row row); /* column "n", 0 to 99 */

/** Columns id int64, item utf8, n int32, vector float32[ROW_DIM]; one batch, none for no rows. */
void rows_stream(const struct rows *rows, struct ArrowArrayStream *out);
/** The column id alone. */
void rows_stream_ids(const struct rows *rows, struct ArrowArrayStream *out);

/** What is wrong with what was seen, in words; empty: nothing. */
struct complaint {
    char text[600];
};
bool complain(struct complaint *complaint, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* gives false; the first one stays */

struct rows_seen {
    struct rows *rows;
    uint64_t *row_ids; /* the values of "_rowid", where there is that column */
    bool extra;        /* there is a column EXTRA_COLUMN */
};
void rows_seen_release(struct rows_seen *seen); /* a zeroed one is fine */

/** Reads a stream of those columns to its end and releases it. Each value must be what its row's id and salt
 * say, EXTRA_COLUMN id + 1 or null, "_rowid" ascend where `ascending`; else there is a complaint.
 *  @return KITH_OK, or the stream's failure as KITH_IO with its words in `error`, and nothing in `out` */
kith_status rows_read(struct ArrowArrayStream *stream, bool ascending, struct rows_seen *out,
                      struct complaint *complaint, kith_error *error);

#endif
