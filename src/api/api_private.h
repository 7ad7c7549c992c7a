/* What the files of the api room share. */
#ifndef KT_API_PRIVATE_H
#define KT_API_PRIVATE_H

#include "base/status.h"
#include "kith.h"

/** Reads an option struct of any age. Each begins with its struct_size: one of an older header is shorter,
 * and what it lacks is zero; of one from a newer header the rest is not read. `size` is this version's; the
 * first `least` bytes are in every version. `name` is for the message. */
kith_status kt_options_read(const char *name, const void *from, size_t least, void *to, size_t size,
                            kith_error *error);

/** Says that an argument is NULL and must not be. */
kith_status kt_missing(const char *what, kith_error *error);
/** Whether what an option struct says of writing can be meant so. */
kith_status kt_write_check(const kith_write *write, kith_error *error);
/** Whether the columns and the order that are asked for are there to be read; their names are not looked at.
 */
kith_status kt_lists_check(const char *const *columns, size_t column_count, const kith_order *order,
                           size_t order_count, kith_error *error);
/** Hands out what was done, in as many bytes as the caller's header knows of; NULL is harmless. */
void kt_changed_tell(const kith_changed *done, kith_changed *out);
/** Releases a stream that was given to a call; NULL and a released one are harmless. */
void kt_stream_drop(struct ArrowArrayStream *stream);

#endif
