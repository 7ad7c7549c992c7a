/* The vectors of a search, wherever the user has them. */
#ifndef CLI_QUERY_VECTORS_H
#define CLI_QUERY_VECTORS_H

#include "cli.h"

struct query_vectors { /* zeroed is empty */
    uint8_t *data;     /* count * dim numbers */
    kith_element element;
    uint32_t dim;
    size_t count;
};

/** From "[0.1, 0.2]", "[[..], [..]]", a file of vectors, or "-" for either of them on standard input.
 *  @param column  which column of the file; NULL for the only vector column */
kith_status cli_vectors_read(const char *source, const char *column, struct query_vectors *out,
                             kith_error *error);
/** From a row of the table. @param column  NULL for the only vector column */
kith_status cli_vectors_of_row(kith_table *table, uint64_t row_id, const char *column,
                               struct query_vectors *out, kith_error *error);
void cli_vectors_release(struct query_vectors *vectors);

#endif
