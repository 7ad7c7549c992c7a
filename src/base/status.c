/* Failing. The message is written into the caller's struct, so nothing is allocated on this path and
 * no state is kept between calls.
 *
 * A message quotes what users called their things, up to some length ("%.80s"), and ends where the struct
 * does. So a character may be cut, and half of one is no text: who reads the message as UTF-8 would fail on
 * it and never tell what had happened. Each cut character becomes a question mark, and so do bytes that never
 * were UTF-8, like those of a path.
 */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/bytes.h"

void kt_whole_characters(char *text)
{
    uint8_t *from = (uint8_t *)text, *to = from;
    const uint8_t *end = from + strlen(text);
    while (from < end) {
        size_t bytes = kt_utf8_character(from, end);
        for (size_t i = 0; i < bytes; i++) *to++ = *from++;
        if (bytes) continue;
        *to++ = '?';
        do from++;
        while ((*from & 0xc0) == 0x80);
    }
    *to = '\0';
}

kith_status kt_fail(kith_error *error, kith_status status, const char *format, ...)
{
    if (!error) return status;
    error->status = status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    kt_whole_characters(error->message);
    return status;
}

kith_status kt_fail_memory(kith_error *error, size_t bytes)
{
    return kt_fail(error, KITH_NO_MEMORY, "out of memory: %zu bytes could not be had", bytes);
}
