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
/** What --recall R means to the library: 0, the fastest, is no default there. @param recall  NaN: not given
 */
float cli_recall(float recall);
/** Reads what --row is given. @return whether it is a row id */
bool cli_read_row_id(const char *text, uint64_t *out);
/** From at most `count` rows that have a vector, chosen at random: the same seed chooses the same rows.
 *  @param row_ids  receives which they are, freed with free() */
kith_status cli_vectors_of_rows(kith_table *table, const char *column, size_t count, uint64_t seed,
                                struct query_vectors *out, uint64_t **row_ids, kith_error *error);
/** Keeps at most `count` of them, chosen at random. */
void cli_vectors_sample(struct query_vectors *vectors, size_t count, uint64_t seed);
/** All as float32. */
void cli_vectors_to_float(struct query_vectors *vectors);
void cli_vectors_release(struct query_vectors *vectors);

#endif
