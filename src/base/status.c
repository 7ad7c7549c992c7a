/* Failing. The message is written into the caller's struct, so nothing is allocated on this path and
 * no state is kept between calls.
 */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

kith_status kt_fail(kith_error *error, kith_status status, const char *format, ...)
{
    if (!error) return status;
    error->status = status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return status;
}

kith_status kt_fail_memory(kith_error *error, size_t bytes)
{
    return kt_fail(error, KITH_NO_MEMORY, "out of memory: %zu bytes could not be had", bytes);
}
