/* Little-endian fields, growing byte buffers, and arithmetic that says when it overflows. */
#ifndef KT_BASE_BYTES_H
#define KT_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"

static inline uint16_t kt_get_u16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint32_t kt_get_u32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint64_t kt_get_u64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline float kt_get_f32(const void *p)
{
    float v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void kt_put_u16(void *p, uint16_t v)
{
    memcpy(p, &v, sizeof v);
}
static inline void kt_put_u32(void *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}
static inline void kt_put_u64(void *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}
static inline void kt_put_f32(void *p, float v)
{
    memcpy(p, &v, sizeof v);
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "Kith's files are little-endian, as its machines are");

static inline uint64_t kt_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}
static inline uint64_t kt_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}
static inline uint32_t kt_min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}
static inline uint32_t kt_max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}
/* As memcmp() says, and of two of which one begins with the other the shorter one is less. */
static inline int kt_compare_bytes(const void *a, size_t size_a, const void *b, size_t size_b)
{
    size_t both = size_a < size_b ? size_a : size_b;
    int order = both ? memcmp(a, b, both) : 0;
    return order ? order : (size_a > size_b) - (size_a < size_b);
}

static inline uint64_t kt_round_up(uint64_t value, uint64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

/** Whether bit `at` is set in an Arrow bitmap (least significant bit first). */
static inline bool kt_bit(const uint8_t *bits, uint64_t at)
{
    return (bits[at >> 3] >> (at & 7)) & 1;
}
static inline void kt_bit_set(uint8_t *bits, uint64_t at)
{
    bits[at >> 3] = (uint8_t)(bits[at >> 3] | 1u << (at & 7));
}
static inline void kt_bit_clear(uint8_t *bits, uint64_t at)
{
    bits[at >> 3] = (uint8_t)(bits[at >> 3] & ~(1u << (at & 7)));
}

/* Bytes that grow. Zeroed is empty. An append returns false when memory is out, and leaves the content. */
struct kt_buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
};
bool kt_buffer_reserve(struct kt_buffer *buffer, size_t extra);
bool kt_buffer_append(struct kt_buffer *buffer, const void *bytes, size_t count); /* bytes NULL: zeros */
bool kt_buffer_text(struct kt_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
void kt_buffer_release(struct kt_buffer *buffer);

/** The bytes of the character at `p`, or 0 where none is whole: Unicode's table 3-7, no overlong forms, no
 * surrogates, at most 10FFFF. */
static inline size_t kt_utf8_character(const uint8_t *p, const uint8_t *end)
{
    uint8_t first = p[0], low = 0x80, high = 0xbf;
    size_t size;
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf)
        size = 2;
    else if (first >= 0xe0 && first <= 0xef)
        size = 3;
    else if (first >= 0xf0 && first <= 0xf4)
        size = 4;
    else
        return 0;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
    if ((size_t)(end - p) < size || p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < size; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return size;
}

/* Lower-case hexadecimal. `out` of kt_hex takes 2 * count characters and a NUL. */
void kt_hex(const void *bytes, size_t count, char *out);
bool kt_unhex(const char *text, size_t count,
              void *out); /* false unless exactly 2 * count digits, then NUL */

/** XXH3, 64 bits: the checksum of every block and commit. */
uint64_t kt_hash(const void *bytes, size_t count);

#endif
