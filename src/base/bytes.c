/* Growing buffers, hexadecimal, and the one hash. xxHash is compiled in (XXH_INLINE_ALL): it is a header
 * as well as a library, and a wheel has one library less to carry.
 */
#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

bool kt_buffer_reserve(struct kt_buffer *buffer, size_t extra)
{
    size_t needed;
    if (__builtin_add_overflow(buffer->size, extra, &needed)) return false;
    if (needed <= buffer->capacity && buffer->data) return true;
    size_t capacity = buffer->capacity + buffer->capacity / 2;
    if (capacity < needed) capacity = needed;
    if (capacity < 64) capacity = 64;
    uint8_t *data = kt_realloc_array(buffer->data, capacity, 1);
    if (!data) return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

bool kt_buffer_append(struct kt_buffer *buffer, const void *bytes, size_t count)
{
    if (!kt_buffer_reserve(buffer, count)) return false;
    if (count && bytes) memcpy(buffer->data + buffer->size, bytes, count);
    if (count && !bytes) memset(buffer->data + buffer->size, 0, count);
    buffer->size += count;
    return true;
}

bool kt_buffer_text(struct kt_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (count < 0 || !kt_buffer_reserve(buffer, (size_t)count + 1)) return false;
    va_start(arguments, format);
    vsnprintf((char *)buffer->data + buffer->size, (size_t)count + 1, format, arguments);
    va_end(arguments);
    buffer->size += (size_t)count; /* the NUL stays behind the end */
    return true;
}

void kt_buffer_release(struct kt_buffer *buffer)
{
    kt_free(buffer->data);
    *buffer = (struct kt_buffer){ 0 };
}

void kt_hex(const void *bytes, size_t count, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = bytes;
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = digits[from[i] >> 4];
        out[2 * i + 1] = digits[from[i] & 15];
    }
    out[2 * count] = '\0';
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

bool kt_unhex(const char *text, size_t count, void *out)
{
    uint8_t *to = out;
    for (size_t i = 0; i < count; i++) {
        int high = digit(text[2 * i]);
        if (high < 0) return false;
        int low = digit(text[2 * i + 1]);
        if (low < 0) return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return text[2 * count] == '\0';
}

uint64_t kt_hash(const void *bytes, size_t count)
{
    return XXH3_64bits(bytes, count);
}
