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

/* The bytes of the character that begins here; 0 where none does, or not all of it is there. Forms that UTF-8
 * forbids (too long, surrogates, beyond the last character) are none. */
static int character_bytes(const unsigned char *at)
{
    static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    int bytes = *at < 0x80 ? 1 : *at < 0xc0 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : *at < 0xf8 ? 4 : 0;
    unsigned code = bytes > 1 ? *at & (0xffu >> (bytes + 1)) : *at;
    for (int i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0; /* the zero at the end as well */
        code = code << 6 | (at[i] & 0x3f);
    }
    if (bytes > 1 && (code < least[bytes] || code > 0x10ffff || (code >> 11) == 0x1b)) return 0;
    return bytes;
}

void kt_whole_characters(char *text)
{
    unsigned char *from = (unsigned char *)text, *to = from;
    while (*from) {
        int bytes = character_bytes(from);
        for (int i = 0; i < bytes; i++) *to++ = *from++;
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
