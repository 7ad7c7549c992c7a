/* What a caller can get wrong before anything is looked up: option structs of any age (kith.h's rule about
 * struct_size), numbers that are of no enum, pointers that are missing. A wrong pointer cannot be told from a
 * right one, but NULL can, and it is what a forgotten field holds. */
#include <string.h>

#include "api/api_private.h"

enum { MOST_BYTES = 4096 }; /* more than any version will have: a struct_size beyond it was never set */

kith_status kt_options_read(const char *name, const void *from, size_t least, void *to, size_t size,
                            kith_error *error)
{
    size_t given = 0;
    if (from) memcpy(&given, from, sizeof given);
    if (given < least || given > MOST_BYTES)
        return kt_fail(error, KITH_INVALID, "%s.struct_size is not set; declare it with KITH_INIT(%s)", name,
                       name);
    memset(to, 0, size);
    memcpy(to, from, given < size ? given : size);
    return KITH_OK;
}

kith_status kt_missing(const char *what, kith_error *error)
{
    return kt_fail(error, KITH_INVALID, "%s is missing: NULL was given", what);
}

kith_status kt_write_check(const kith_write *write, kith_error *error)
{
    if ((unsigned)write->mode > KITH_OVERWRITE)
        return kt_fail(error, KITH_INVALID, "%d is no kith_write_mode", (int)write->mode);
    if ((unsigned)write->bad_vectors > KITH_BAD_NULL)
        return kt_fail(error, KITH_INVALID, "%d is no kith_bad_vectors", (int)write->bad_vectors);
    return KITH_OK;
}

kith_status kt_lists_check(const char *const *columns, size_t column_count, const kith_order *order,
                           size_t order_count, kith_error *error)
{
    for (size_t i = 0; columns && i < column_count; i++)
        if (!columns[i]) return kt_missing("the name of a column", error);
    if (!order && order_count) return kt_missing("the array of what to order by", error);
    return KITH_OK;
}

void kt_changed_tell(const kith_changed *done, kith_changed *out)
{
    if (!out) return;
    size_t own = out->struct_size;
    memcpy(out, done, own && own < sizeof *out ? own : sizeof *out);
    out->struct_size = own;
}

void kt_stream_drop(struct ArrowArrayStream *stream)
{
    if (stream && stream->release) stream->release(stream);
}
