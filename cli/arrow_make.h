/* Building Arrow schemas and arrays: from parts, and cell by cell. */
#ifndef CLI_ARROW_MAKE_H
#define CLI_ARROW_MAKE_H

#include "cli.h"
#include "map_file.h"
#include "scan_number.h"

/** A schema node with `children` zeroed children, to be made in turn. */
void cli_schema_make(struct ArrowSchema *out, const char *format, const char *name, int64_t children);
/** A deep copy of `from`, dictionaries included. */
void cli_schema_copy(const struct ArrowSchema *from, struct ArrowSchema *out);
/** A vector column: fixed_size_list<item>[dim], with `item` an Arrow format such as "f". */
void cli_schema_vector(struct ArrowSchema *out, const char *name, const char *item, int64_t dim);

/** An array node with zeroed children and empty buffers. */
void cli_array_make(struct ArrowArray *out, int64_t length, int64_t buffers, int64_t children);
/** Gives the array a buffer that it frees. */
void cli_array_own(struct ArrowArray *array, int64_t buffer, void *block);
/** Gives it one that lies in `map`, which it shares. */
void cli_array_borrow(struct ArrowArray *array, int64_t buffer, const void *data, struct mapped *map);

/* A batch that several slices share. */
struct shared_batch;
struct shared_batch *cli_batch_share(struct ArrowArray *take); /* `take` is moved from */
void cli_batch_unshare(struct shared_batch *batch);            /* NULL is allowed */
int64_t cli_batch_rows(const struct shared_batch *batch);
int64_t cli_batch_columns(const struct shared_batch *batch);
/** Rows [at, at + count) as a batch of its own, without a copy. */
void cli_batch_slice(struct shared_batch *batch, int64_t at, int64_t count, struct ArrowArray *out);

/* One column, cell by cell. */
enum cell_kind {
    CELL_NONE = 0,
    CELL_BOOL,
    CELL_INT,
    CELL_FLOAT,
    CELL_TEXT,
    CELL_LIST_INT,
    CELL_LIST_FLOAT,
    CELL_LIST_F32, /* vectors of several lengths: the library decides */
    CELL_VECTOR    /* `width` float32 */
};
const char *cli_kind_name(enum cell_kind kind);

struct maker {
    enum cell_kind kind;
    int64_t width;
    int64_t rows;
    int64_t nulls;
    struct text valid;   /* a byte a row */
    struct text values;  /* numbers, bools as bytes, or the bytes of text */
    struct text offsets; /* int32, one a row: where the row ends */
    int64_t items;
};
void cli_maker_schema(const struct maker *maker, const char *name, struct ArrowSchema *out);
void cli_maker_null(struct maker *maker);
void cli_maker_bool(struct maker *maker, bool value);
/** Into a column of whole numbers or of numbers. */
void cli_maker_number(struct maker *maker, const struct number *number);
void cli_maker_text(struct maker *maker, const char *text, size_t size);
/** One number of a list or vector. */
void cli_maker_item(struct maker *maker, const struct number *number);
void cli_maker_end_list(struct maker *maker);
/** Moves the rows into `out` and begins anew. */
void cli_maker_finish(struct maker *maker, struct ArrowArray *out);
void cli_maker_release(struct maker *maker);

#endif
