/* Body: loops over plain numbers that the compiler turns into vector code by itself, under the flags of
 * the file that includes this. Loads go through memcpy because rows have no alignment. */

#include <string.h>

static void f32_to_float(const void *from, size_t count, float *to)
{
    if (count) memmove(to, from, count * sizeof *to); /* count 0 may come with NULL */
}

static void f64_to_float(const void *from, size_t count, float *to)
{
    const unsigned char *p = from;
    for (size_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, p + i * sizeof value, sizeof value);
        to[i] = (float)value;
    }
}

static void i8_to_float(const void *from, size_t count, float *to)
{
    const int8_t *p = from;
    for (size_t i = 0; i < count; i++) to[i] = (float)p[i];
}

static void u8_to_float(const void *from, size_t count, float *to)
{
    const uint8_t *p = from;
    for (size_t i = 0; i < count; i++) to[i] = (float)p[i];
}

/* A number is NaN or infinite when its exponent is all ones. The inner loops have no way out, so that they
 * become vector code; a bad number is looked for once a chunk. */
enum { BAD_CHUNK = 256 };

static int f32_has_bad(const void *numbers, size_t count)
{
    const unsigned char *p = numbers;
    for (size_t at = 0; at < count; at += BAD_CHUNK) {
        size_t end = count - at < BAD_CHUNK ? count : at + BAD_CHUNK;
        int32_t bad = 0;
        for (size_t i = at; i < end; i++) {
            int32_t bits;
            memcpy(&bits, p + i * sizeof bits, sizeof bits);
            bad |= (bits & 0x7f800000) == 0x7f800000;
        }
        if (bad) return 1;
    }
    return 0;
}

static int f16_has_bad(const void *numbers, size_t count)
{
    const unsigned char *p = numbers;
    for (size_t at = 0; at < count; at += BAD_CHUNK) {
        size_t end = count - at < BAD_CHUNK ? count : at + BAD_CHUNK;
        int16_t bad = 0;
        for (size_t i = at; i < end; i++) {
            int16_t bits;
            memcpy(&bits, p + i * sizeof bits, sizeof bits);
            bad = (int16_t)(bad | ((bits & 0x7c00) == 0x7c00));
        }
        if (bad) return 1;
    }
    return 0;
}

static int f64_has_bad(const void *numbers, size_t count)
{
    const unsigned char *p = numbers;
    for (size_t at = 0; at < count; at += BAD_CHUNK) {
        size_t end = count - at < BAD_CHUNK ? count : at + BAD_CHUNK;
        int64_t bad = 0;
        for (size_t i = at; i < end; i++) {
            int64_t bits;
            memcpy(&bits, p + i * sizeof bits, sizeof bits);
            bad |= (bits & 0x7ff0000000000000) == 0x7ff0000000000000;
        }
        if (bad) return 1;
    }
    return 0;
}
