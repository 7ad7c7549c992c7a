/* Reading rows from files: one small interface that every format implements, and how it becomes the
 * ArrowArrayStream that the library takes. */
#ifndef CLI_READER_H
#define CLI_READER_H

#include "cli.h"
#include "map_file.h"

/* A source of batches. A format embeds it as its first member. */
struct rows {
    kith_status (*schema)(struct rows *self, struct ArrowSchema *out, kith_error *error);
    /** At most `most` rows; out->release stays NULL at the end. */
    kith_status (*next)(struct rows *self, int64_t most, struct ArrowArray *out, kith_error *error);
    void (*free)(struct rows *self);
    bool total_known;
    uint64_t total;
};
void cli_rows_free(struct rows *rows); /* NULL is allowed */

#define CLI_FORMATS "npy|fvecs|bvecs|ivecs|fbin|u8bin|i8bin|csv|tsv|jsonl|arrow"

struct read_request {
    const char *path;   /* "-" is standard input */
    const char *format; /* one of CLI_FORMATS; NULL to guess */
    const char *vector; /* the vector column's name; NULL: "vector" in vector files, a likely name in text */
    const struct ArrowSchema *like; /* the table that the rows are for; NULL for none */
};
/** Opens a file of any format. `request` and what it points to stay until `*out` is freed. */
kith_status cli_rows_open(const struct read_request *request, struct rows **out, kith_error *error);
/** The same for a file that is mapped already; `map` is taken over, success or not. */
kith_status cli_rows_open_map(const struct read_request *request, struct mapped *map, struct rows **out,
                              kith_error *error);

/* The formats; `map` is taken over, success or not. */
kith_status cli_read_npy(const struct read_request *request, struct mapped *map, struct rows **out,
                         kith_error *error);
kith_status cli_read_vecs(const struct read_request *request, const char *format, struct mapped *map,
                          struct rows **out, kith_error *error);
kith_status cli_read_bin(const struct read_request *request, const char *format, struct mapped *map,
                         struct rows **out, kith_error *error);
kith_status cli_read_csv(const struct read_request *request, char separator, struct mapped *map,
                         struct rows **out, kith_error *error);
kith_status cli_read_jsonl(const struct read_request *request, struct mapped *map, struct rows **out,
                           kith_error *error);
/** `map` may be NULL: then `fd` is read, which may be a pipe. */
kith_status cli_read_arrow(const struct read_request *request, struct mapped *map, int fd, struct rows **out,
                           kith_error *error);

/** The columns of `left`, then those of `right`, row by row. Takes both over, success or not. */
kith_status cli_rows_join(struct rows *left, const char *left_path, struct rows *right,
                          const char *right_path, struct rows **out, kith_error *error);
/** Files one after another; their schemas must be equal. `requests` stay until `*out` is freed. */
kith_status cli_rows_chain(const struct read_request *requests, size_t count, struct rows **out,
                           kith_error *error);

/* What a stream of ours went through: it outlives the stream, which the library consumes. */
struct read_outcome {
    uint64_t limit; /* most rows to give; UINT64_MAX for all */
    uint64_t rows;
    kith_error error; /* status KITH_OK unless reading failed */
};
/** Takes `rows` over. */
void cli_rows_stream(struct rows *rows, struct read_outcome *outcome, struct ArrowArrayStream *out);

#endif
