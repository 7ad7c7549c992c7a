/* LIKE: patterns of text, `_` for one character and `%` for any number of them.
 *
 * A pattern is cut at its `%` into pieces. The first piece stands at the beginning of a text and the last at
 * its end, unless a `%` is there; each piece between is taken where it first occurs after the one before it,
 * which is never a mistake, because a `%` follows. So nothing is tried twice: time grows with the text and
 * with the longest piece, not with the number of ways to match.
 *
 * A piece without `_` is looked for by memmem(). `_` is one character of UTF-8, of up to four bytes.
 */
#define _GNU_SOURCE /* memmem */
#include <string.h>

#include "filter/filter_bind.h"

struct piece {
    const uint8_t *bytes;
    const uint8_t *any; /* of each byte: it stands for a character */
    uint32_t size, characters;
    bool plain; /* no `_` in it */
};
struct like {
    uint32_t count;
    bool open_begin, open_end; /* a `%` is there */
    struct piece pieces[];
};

static bool begins_character(uint8_t byte)
{
    return (byte & 0xc0) != 0x80;
}

/* ---- making ---- */

/* The size in bytes of the escape character where it stands in a pattern; 0 where it does not. */
static size_t escape_at(struct slice pattern, size_t at, const struct slice *escape)
{
    if (!escape || !escape->size || pattern.size - at < escape->size) return 0;
    return memcmp(pattern.at + at, escape->at, escape->size) == 0 ? escape->size : 0;
}

/* Cuts the pattern; `bytes` and `any` have room for all of it. */
static const char *cut(struct slice pattern, const struct slice *escape, uint8_t *bytes, uint8_t *any,
                       struct like *like)
{
    struct piece *piece = &like->pieces[0];
    uint32_t used = 0;
    bool was_many = false;
    *piece = (struct piece){ .bytes = bytes, .any = any, .plain = true };
    for (size_t at = 0; at < pattern.size; at++) {
        size_t escaped = escape_at(pattern, at, escape);
        at += escaped;
        if (at >= pattern.size) return "the pattern of LIKE ends with its escape character";
        uint8_t byte = pattern.at[at];
        bool many = !escaped && byte == '%';
        if (many && used == 0) like->open_begin = true;
        if (many && !was_many && used) like->count++;
        if (many && !was_many && used) {
            piece = &like->pieces[like->count];
            *piece = (struct piece){ .bytes = bytes + used, .any = any + used, .plain = true };
        }
        was_many = many;
        if (many) continue;
        any[used] = !escaped && byte == '_';
        bytes[used++] = byte;
        piece->size++;
        piece->characters += begins_character(byte);
        piece->plain &= !any[used - 1];
    }
    like->open_end = was_many;
    if (piece->size) like->count++;
    return NULL;
}

static bool is_one_character(const struct slice *escape)
{
    uint32_t characters = 0;
    for (size_t i = 0; i < escape->size; i++) characters += begins_character(escape->at[i]);
    return characters <= 1;
}

kith_status kt_like_make(struct kt_arena *arena, struct slice pattern, const struct slice *escape,
                         struct like **out, const char **fault, kith_error *error)
{
    size_t pieces = 1;
    *fault = NULL;
    for (size_t i = 0; i < pattern.size; i++) pieces += pattern.at[i] == '%';
    if (pattern.size > KT_FILTER_PATTERN)
        *fault = "the pattern of LIKE has more than 1024 bytes";
    else if (escape && !is_one_character(escape))
        *fault = "the escape of LIKE must be one character";
    if (*fault) return KITH_INVALID;
    struct like *like = kt_arena_take(arena, 1, sizeof *like + pieces * sizeof like->pieces[0]);
    uint8_t *bytes = like ? kt_arena_take(arena, 2, pattern.size + 1) : NULL;
    if (!bytes) return kt_fail_memory(error, pattern.size);
    *like = (struct like){ .count = 0 };
    *fault = cut(pattern, escape, bytes, bytes + pattern.size + 1, like);
    *out = like;
    return *fault ? KITH_INVALID : KITH_OK;
}

bool kt_like_is_text(const struct like *like, struct slice *text)
{
    if (like->count > 1 || like->open_begin || like->open_end) return false;
    *text = (struct slice){ like->pieces[0].bytes, like->pieces[0].size };
    return like->pieces[0].plain;
}

bool kt_like_is_prefix(const struct like *like, struct slice *prefix)
{
    bool everything = like->count == 0 && like->open_end;
    if (!everything && (like->count != 1 || like->open_begin || !like->open_end)) return false;
    *prefix = (struct slice){ like->pieces[0].bytes, like->pieces[0].size };
    return like->pieces[0].plain;
}

/* ---- matching ---- */

const uint8_t *kt_find(struct slice text, struct slice what)
{
    return text.size < what.size ? NULL : memmem(text.at, text.size, what.at, what.size);
}

/* Where the piece ends when it begins at `at`; NULL when it does not match there. */
static const uint8_t *match_here(const struct piece *piece, const uint8_t *at, const uint8_t *end)
{
    if (piece->plain) {
        if ((size_t)(end - at) < piece->size) return NULL;
        return piece->size && memcmp(at, piece->bytes, piece->size) ? NULL : at + piece->size;
    }
    for (uint32_t i = 0; i < piece->size; i++) {
        if (at == end || (!piece->any[i] && *at != piece->bytes[i])) return NULL;
        at++;
        while (piece->any[i] && at < end && !begins_character(*at)) at++;
    }
    return at;
}

/* Where the first occurrence from `at` on ends. */
static const uint8_t *find(const struct piece *piece, const uint8_t *at, const uint8_t *end)
{
    if ((size_t)(end - at) < piece->size) return NULL;
    if (piece->plain) {
        const uint8_t *found =
            kt_find((struct slice){ at, (size_t)(end - at) }, (struct slice){ piece->bytes, piece->size });
        return found ? found + piece->size : NULL;
    }
    for (; at < end; at++) {
        if (!begins_character(*at)) continue;
        const uint8_t *found = match_here(piece, at, end);
        if (found) return found;
    }
    return NULL;
}

static bool match_at_end(const struct piece *piece, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *from = end;
    for (uint32_t i = 0; i < piece->characters; i++) {
        if (from <= at) return false;
        do from--;
        while (from > at && !begins_character(*from));
    }
    return match_here(piece, from, end) == end;
}

bool kt_like_match(const struct like *like, struct slice text)
{
    const uint8_t *at = text.at, *end = text.at + text.size;
    if (!like->count) return like->open_end || like->open_begin || !text.size;
    for (uint32_t i = 0; i < like->count; i++) {
        const struct piece *piece = &like->pieces[i];
        bool first = i == 0 && !like->open_begin, last = i + 1 == like->count && !like->open_end;
        if (first) {
            at = match_here(piece, at, end);
            if (!at || (last && at != end)) return false;
        } else if (last) {
            return match_at_end(piece, at, end);
        } else if (!(at = find(piece, at, end))) {
            return false;
        }
    }
    return true;
}

/* ---- rows ---- */

static kith_status like_row(struct call *call, uint32_t row, bool folded)
{
    const struct like *like = call->node->plan;
    struct slice text = call->args[0].bytes[row];
    struct kt_arena *texts = &call->frame->texts;
    if (folded && !kt_lower(texts, text, &text)) return kt_fail_memory(call->frame->error, text.size);
    if (!like) {
        struct slice pattern = call->args[1].bytes[row];
        struct like *made;
        const char *fault;
        if (folded && !kt_lower(texts, pattern, &pattern))
            return kt_fail_memory(call->frame->error, pattern.size);
        kith_status status =
            kt_like_make(texts, pattern, call->node->count == 3 ? &call->args[2].bytes[row] : NULL, &made,
                         &fault, call->frame->error);
        if (fault) return kt_fail(call->frame->error, KITH_INVALID, "%s", fault);
        if (status) return status;
        like = made;
    }
    if (kt_like_match(like, text)) kt_row_set(call->out->truth, row);
    return KITH_OK;
}

kith_status kt_row_like(struct call *call, uint32_t row)
{
    return like_row(call, row, false);
}

kith_status kt_row_ilike(struct call *call, uint32_t row)
{
    return like_row(call, row, true);
}
