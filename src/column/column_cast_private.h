/* What the files column_cast*.c share. The essay is in column_cast.c. */
#ifndef KT_COLUMN_CAST_PRIVATE_H
#define KT_COLUMN_CAST_PRIVATE_H

#include "column/column_private.h"

struct cast {
    struct kt_batch *out; /* owns what is made */
    struct kt_cast options;
    bool trusting;      /* leave vectors unchecked: a change of form only */
    bool aligned;       /* rows of the array at hand are rows of the batch (not so within lists) */
    bool may_round;     /* integers may become the nearest float: numbers of a vector */
    uint8_t *dropped;   /* a bit per row of the batch that is to go; NULL: none */
    const char *column; /* for messages */
    kith_error *error;
};

/* Each fills `to`, wired, with the values of `from`, and leaves its offset 0. */
kith_status kt_cast_array(struct cast *cast, const struct kt_array *from, struct kt_array *to);
kith_status kt_cast_nulls(struct cast *cast, int64_t count, struct kt_array *to);
kith_status kt_cast_number(struct cast *cast, const struct kt_array *from, struct kt_array *to);
kith_status kt_cast_time(struct cast *cast, const struct kt_array *from, struct kt_array *to);
kith_status kt_cast_decimal(struct cast *cast, const struct kt_array *from, struct kt_array *to);
kith_status kt_cast_bytes(struct cast *cast, const struct kt_array *from, struct kt_array *to);
kith_status kt_cast_dictionary(struct cast *cast, const struct kt_array *from, struct kt_array *to);
kith_status kt_cast_decode(struct cast *cast, const struct kt_array *from, struct kt_array *to);
kith_status kt_cast_list(struct cast *cast, const struct kt_array *from, struct kt_array *to);
kith_status kt_cast_fixed_list(struct cast *cast, const struct kt_array *from, struct kt_array *to);
/** Looks for NaN, Inf and nulls among the numbers of a vector column that was cast, and does what the options
 * say. */
kith_status kt_cast_vectors(struct cast *cast, struct kt_array *vectors);

uint16_t kt_half_of(float value); /* the nearest half, ties to even */
bool kt_can_cast_number(const struct kt_field *from, const struct kt_field *to);
bool kt_can_cast_decimal(const struct kt_field *from, const struct kt_field *to);
bool kt_can_cast_time(const struct kt_field *from, const struct kt_field *to);

kith_status kt_cast_refuse(struct cast *cast, const struct kt_field *from,
                           const struct kt_field *to); /* KITH_TYPE */
kith_status kt_cast_memory(struct cast *cast);
/** The bitmap of `from` from bit 0 on, or none. False: out of memory. */
bool kt_cast_validity(struct cast *cast, const struct kt_array *from, const uint8_t **out);
void *kt_cast_block(struct cast *cast, int64_t count, size_t size); /* NULL: out of memory */
bool kt_cast_drop(struct cast *cast, int64_t row); /* marks a row of the batch; false: out of memory */
/** "row 17" or, within lists, "a row": for messages. */
const char *kt_cast_row(const struct cast *cast, int64_t row, char text[40]);

#endif
