/* Scalar indexes: which rows hold a value, without reading the column.
 *
 * BTREE keeps the rows in order of their values, so that a value or a range of them is a run of rows; BITMAP
 * keeps a bitmap for each distinct value, of which there should be few; LABEL_LIST keeps one for each
 * distinct item of a column of lists. An index is one immutable file over rows that it was given; it knows
 * nothing of tables, and answers in row ids.
 *
 * Values have one order here, that of the keys (scalar_key.c): numbers and times by what they are, text by
 * its UTF-8 bytes, false before true. -0 is 0; NaN equals NaN and is greater than every other number. */
#ifndef KT_FILTER_SCALAR_H
#define KT_FILTER_SCALAR_H

#include "filter/filter.h"
#include "parallel/parallel.h"

/** Whether the type is one of these. */
static inline bool kt_is_scalar_index(kith_index_type type)
{
    return type == KITH_BTREE || type == KITH_BITMAP || type == KITH_LABEL_LIST;
}
/** Whether an index of `type` can hold the column; KITH_INVALID says what would fit. */
kith_status kt_scalar_check(kith_index_type type, const struct kt_field *field, kith_error *error);

/* ---- the order ---- */

/** Whether values of the type have one. */
bool kt_has_order(const struct kt_field *field);
/** The values of two rows of a column that has an order, neither null: below 0, 0 or above, as memcmp() says.
 */
int kt_order_values(const struct kt_array *column, int64_t a, int64_t b);

/** Appends bytes that say the value of a row, not null, of a column that has an order: equal values, and no
 * others, have the same, and none begins with another's. False when memory is out. */
bool kt_put_value(const struct kt_array *column, int64_t row, struct kt_buffer *to);

/* ---- building ---- */

/* The values of a column, gathered: 16 bytes a row in memory, its text beside, and as much again to sort. */
struct kt_scalar_build;

/** `field` is borrowed; the column must have passed kt_scalar_check(). */
kith_status kt_scalar_begin(kith_index_type type, const struct kt_field *field, struct kt_scalar_build **out,
                            kith_error *error);
/** Adds all rows of `column`, which have the ids from `first_row` on: greater than all before. The array is
 * not kept. KITH_UNSUPPORTED when an index cannot hold as many. */
kith_status kt_scalar_add(struct kt_scalar_build *build, const struct kt_array *column, uint64_t first_row,
                          kith_error *error);
/** Sorts, and writes one payload into `sink`, which stays the caller's. Once. */
kith_status kt_scalar_write(struct kt_scalar_build *build, struct kt_work *work, struct kt_sink *sink,
                            kith_error *error);
void kt_scalar_build_free(struct kt_scalar_build *build); /* NULL is allowed */

/* ---- asking ---- */

struct kt_scalar; /* an open index: immutable, any number of threads ask it */

/** Takes over the reference to `file`, on failure too. KITH_CORRUPT when the file is not an index over a
 * column of `field`'s type, which is borrowed and must outlive the index. */
kith_status kt_scalar_open(struct kt_view_file *file, const struct kt_field *field, struct kt_scalar **out,
                           kith_error *error);
void kt_scalar_close(struct kt_scalar *scalar); /* NULL is allowed */

/** Selects the rows for which the probe is true in `out`, where other pieces may have selected rows of
 * theirs; `out` must reach to the last row of the index. `*answered` is false, and nothing selected, where
 * this index cannot tell: RANGE and IN are for BTREE and BITMAP, HAS_ANY and HAS_ALL for LABEL_LIST, NULL for
 * all. A value that is not of the column's type is not answered; a KT_VALUE_INT for a time is of the column's
 * own unit. On failure some rows may have been selected. */
kith_status kt_scalar_probe(const struct kt_scalar *scalar, const struct kt_probe *probe,
                            struct kt_selection *out, bool *answered, kith_error *error);
/** How many rows that would be, from a few pages: exact, but at most, for HAS_ANY and HAS_ALL. */
kith_status kt_scalar_estimate(const struct kt_scalar *scalar, const struct kt_probe *probe, uint64_t *rows,
                               bool *answered, kith_error *error);

#endif
