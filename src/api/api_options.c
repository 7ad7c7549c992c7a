/* Option structs of any age: see kith.h's rule about struct_size. */
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
