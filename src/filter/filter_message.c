/* How a filter's failures are told: the place shown under the words, and names that may have been meant.
 *
 *     expected a value, found the end of the filter, at character 16
 *       price < 3 AND (
 *                      ^
 *
 * A place is counted in characters, as people count. Of a long line the part around the place is shown; a tab
 * or another control character is shown as a space, so that the caret stands where it belongs and nothing
 * from a filter can write to a terminal.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "filter/filter_private.h"

enum { WORDS = 640, BEFORE = 40, AFTER = 36 }; /* the message holds 1024 bytes, a character has at most 4 */

static bool starts_character(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}

static uint32_t characters(const char *from, const char *to)
{
    uint32_t count = 0;
    for (; from < to; from++) count += starts_character(*from);
    return count;
}

/* Steps over up to `count` characters, not beyond `limit`. */
static const char *back(const char *at, const char *limit, uint32_t count)
{
    while (count-- && at > limit) do
            at--;
        while (at > limit && !starts_character(*at));
    return at;
}

static const char *forth(const char *at, const char *limit, uint32_t count)
{
    while (count-- && at < limit) do
            at++;
        while (at < limit && !starts_character(*at));
    return at;
}

int kt_shown(const char *text, size_t size, size_t most)
{
    if (size <= most) return (int)size;
    while (most && !starts_character(text[most])) most--;
    return (int)most;
}

struct picture {
    char *to;
    size_t room;
};

__attribute__((format(printf, 2, 3))) static void draw(struct picture *picture, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(picture->to, picture->room, format, arguments);
    va_end(arguments);
    size_t used = count < 0 ? 0 : kt_min_u64((size_t)count, picture->room - 1);
    picture->to += used;
    picture->room -= used;
}

/* The part of the line between `first` and `last`, and the carets below [at, end). */
static void draw_line(struct picture *picture, const char *line, const char *line_end, const char *at,
                      const char *end)
{
    const char *first = back(at, line, BEFORE), *last = forth(at, line_end, AFTER);
    draw(picture, "\n  %s", first > line ? "..." : "");
    for (const char *c = first; c < last; c++) draw(picture, "%c", (unsigned char)*c < ' ' ? ' ' : *c);
    draw(picture, "%s\n  %*s", last < line_end ? "..." : "",
         (int)(characters(first, at) + (first > line ? 3 : 0)), "");
    draw(picture, "^");
    for (uint32_t i = 1, count = characters(at, end < last ? end : last); i < count; i++) draw(picture, "~");
}

static void show(struct picture *picture, const char *text, uint32_t position, uint32_t length)
{
    size_t size = strlen(text);
    const char *at = text + kt_min_u64(position, size),
               *end = at + kt_min_u64(length, size - (size_t)(at - text));
    const char *line = at, *line_end = at + strcspn(at, "\n");
    uint32_t number = 1;
    while (line > text && line[-1] != '\n') line--;
    for (const char *c = text; c < line; c++) number += *c == '\n';
    if (number > 1 || *line_end)
        draw(picture, ", at line %u, character %u", number, characters(line, at) + 1);
    else
        draw(picture, ", at character %u", characters(line, at) + 1);
    draw_line(picture, line, line_end, at, end < line_end ? end : line_end);
}

kith_status kt_fail_at(kith_error *error, kith_status status, const char *text, uint32_t position,
                       uint32_t length, const char *format, ...)
{
    if (!error) return status;
    char words[sizeof error->message]; /* the arguments may be the message that was there */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, text && length ? WORDS : sizeof words, format, arguments);
    va_end(arguments);
    struct picture picture = { error->message, sizeof error->message };
    error->status = status;
    draw(&picture, "%s", words);
    if (text && length) show(&picture, text, position, length);
    kt_whole_characters(error->message);
    return status;
}

/* ---- near names ---- */

enum { NEAR_LENGTH = 48, NEAR_COUNT = 3 };

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Letters to add, drop, change or swap with their neighbour, to make one name of the other. */
static uint32_t distance(const char *a, const char *b)
{
    uint8_t rows[3][NEAR_LENGTH + 1], *before = rows[0], *last = rows[1], *now = rows[2];
    size_t width = strlen(b);
    for (size_t j = 0; j <= width; j++) last[j] = (uint8_t)j;
    for (size_t i = 1; a[i - 1]; i++) {
        now[0] = (uint8_t)i;
        for (size_t j = 1; j <= width; j++) {
            bool same = lower(a[i - 1]) == lower(b[j - 1]);
            uint32_t best = kt_min_u32(last[j - 1] + !same, kt_min_u32(last[j], now[j - 1]) + 1u);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                best = kt_min_u32(best, before[j - 2] + 1u);
            now[j] = (uint8_t)best;
        }
        uint8_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[width];
}

/* The higher the less alike; UINT32_MAX for names that nobody would take for one another. */
static uint32_t unlikeness(const char *name, const char *other)
{
    size_t size = strlen(name), other_size = strlen(other);
    if (!size || size > NEAR_LENGTH || other_size > NEAR_LENGTH) return UINT32_MAX;
    uint32_t apart = distance(name, other);
    size_t shorter = kt_min_u64(size, other_size), shared = 0;
    while (shared < shorter && lower(name[shared]) == lower(other[shared])) shared++;
    if (shared == shorter && shorter >= 3) return kt_min_u32(apart, 2); /* one begins the other */
    return apart <= (size < 5 ? 1 : size < 9 ? 2 : 3) && apart < shorter ? apart : UINT32_MAX;
}

void kt_near_names(const char *name, const char *const *names, size_t count, char out[KT_NEAR_TEXT])
{
    struct {
        const char *name;
        uint32_t apart;
    } near[NEAR_COUNT + 1];
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t apart = unlikeness(name, names[i]);
        size_t at = found;
        if (apart == UINT32_MAX) continue;
        for (; at && near[at - 1].apart > apart; at--) near[at] = near[at - 1];
        near[at].name = names[i];
        near[at].apart = apart;
        if (found < NEAR_COUNT) found++;
    }
    struct picture picture = { out, KT_NEAR_TEXT };
    out[0] = '\0';
    for (size_t i = 0; i < found; i++) draw(&picture, "%s\"%s\"", i ? ", " : "; near names: ", near[i].name);
}
