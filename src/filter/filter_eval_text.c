/* Functions of text. Lengths and positions are characters of Unicode, not bytes.
 *
 * Texts that are ASCII, nearly all of them, are changed byte by byte; the others through utf8proc, which has
 * Unicode's simple mappings: one character becomes one character, whatever the language. A text that a
 * function leaves as it is, or cuts a part out of, is borrowed from where it was.
 */
#include <string.h>
#include <utf8proc.h>

#include "filter/filter_bind.h"

static bool begins_character(uint8_t byte)
{
    return (byte & 0xc0) != 0x80;
}

static int64_t characters(struct slice text)
{
    int64_t count = 0;
    for (size_t i = 0; i < text.size; i++) count += begins_character(text.at[i]);
    return count;
}

/* ---- small and capital letters ---- */

static bool is_ascii(struct slice text)
{
    uint8_t all = 0;
    for (size_t i = 0; i < text.size; i++) all |= text.at[i];
    return all < 0x80;
}

static uint8_t ascii_lower(uint8_t byte)
{
    return (uint8_t)(byte + ((byte >= 'A' && byte <= 'Z') ? 32 : 0));
}

static uint8_t ascii_upper(uint8_t byte)
{
    return (uint8_t)(byte - ((byte >= 'a' && byte <= 'z') ? 32 : 0));
}

/* Into `to`, which has room for twice the text: no simple mapping makes a character of two bytes or more than
 * that longer, and of one byte none longer than two. */
static size_t change_case(struct slice text, bool lower, uint8_t *to)
{
    size_t used = 0;
    if (is_ascii(text)) {
        if (lower)
            for (size_t i = 0; i < text.size; i++) to[i] = ascii_lower(text.at[i]);
        else
            for (size_t i = 0; i < text.size; i++) to[i] = ascii_upper(text.at[i]);
        return text.size;
    }
    for (size_t at = 0; at < text.size;) {
        utf8proc_int32_t character;
        utf8proc_ssize_t size =
            utf8proc_iterate(text.at + at, (utf8proc_ssize_t)(text.size - at), &character);
        if (size < 1) return used; /* text is valid UTF-8 wherever it came in */
        character = lower ? utf8proc_tolower(character) : utf8proc_toupper(character);
        used += (size_t)utf8proc_encode_char(character, to + used);
        at += (size_t)size;
    }
    return used;
}

bool kt_lower(struct kt_arena *arena, struct slice text, struct slice *out)
{
    bool same = true;
    for (size_t i = 0; i < text.size; i++) same &= text.at[i] < 0x80 && ascii_lower(text.at[i]) == text.at[i];
    *out = text;
    if (same) return true;
    uint8_t *to = kt_arena_take(arena, 2, text.size);
    if (to) *out = (struct slice){ to, change_case(text, true, to) };
    return to;
}

static kith_status case_row(struct call *call, uint32_t row, bool lower)
{
    uint8_t *to;
    struct slice text = call->args[0].bytes[row];
    kith_status status = kt_call_text(call, row, is_ascii(text) ? text.size : 2 * text.size, &to);
    if (!status) call->out->bytes[row].size = change_case(text, lower, to);
    return status;
}

kith_status kt_row_lower(struct call *call, uint32_t row)
{
    return case_row(call, row, true);
}

kith_status kt_row_upper(struct call *call, uint32_t row)
{
    return case_row(call, row, false);
}

/* ---- parts and joins ---- */

kith_status kt_row_length(struct call *call, uint32_t row)
{
    call->out->integers[row] = characters(call->args[0].bytes[row]);
    return KITH_OK;
}

kith_status kt_row_size(struct call *call, uint32_t row)
{
    call->out->integers[row] = (int64_t)call->args[0].bytes[row].size;
    return KITH_OK;
}

kith_status kt_row_trim(struct call *call, uint32_t row)
{
    struct slice text = call->args[0].bytes[row];
    if (call->node->fn != KT_FN_RTRIM)
        while (text.size && *text.at == ' ') text.at++, text.size--;
    if (call->node->fn != KT_FN_LTRIM)
        while (text.size && text.at[text.size - 1] == ' ') text.size--;
    call->out->bytes[row] = text;
    return KITH_OK;
}

/* Where a character begins, from 0; the end when there are fewer. */
static size_t offset_of(struct slice text, int64_t character)
{
    size_t at = 0;
    for (; at < text.size; at++) {
        if (!begins_character(text.at[at])) continue;
        if (character-- == 0) break;
    }
    return at;
}

/* substr(text, from, count) as SQLite has it: from 1; a negative `from` counts from the end; place 0 is
 * before the first character, and counts; a negative `count` takes the characters before. */
kith_status kt_row_substr(struct call *call, uint32_t row)
{
    struct slice text = call->args[0].bytes[row];
    int64_t length = characters(text), from = call->args[1].integers[row];
    int64_t count = call->node->count == 3 ? call->args[2].integers[row] : INT64_MAX;
    kt_wide begin = from < 0 ? (kt_wide)length + from : (kt_wide)from - 1, end = begin + count;
    if (count < 0) {
        end = begin;
        begin = end + count;
    }
    if (begin < 0) begin = 0;
    if (end > length) end = length;
    if (begin >= end) {
        call->out->bytes[row] = (struct slice){ text.at, 0 };
        return KITH_OK;
    }
    size_t first = offset_of(text, (int64_t)begin);
    struct slice rest = { text.at + first, text.size - first };
    call->out->bytes[row] = (struct slice){ rest.at, offset_of(rest, (int64_t)(end - begin)) };
    return KITH_OK;
}

kith_status kt_row_concat(struct call *call, uint32_t row)
{
    uint8_t *to;
    struct slice a = call->args[0].bytes[row], b = call->args[1].bytes[row];
    kith_status status = kt_call_text(call, row, a.size + b.size, &to);
    if (status) return status;
    if (a.size) memcpy(to, a.at, a.size);
    if (b.size) memcpy(to + a.size, b.at, b.size);
    return KITH_OK;
}

/* ---- what is in a text ---- */

kith_status kt_row_starts_with(struct call *call, uint32_t row)
{
    struct slice a = call->args[0].bytes[row], b = call->args[1].bytes[row];
    if (!b.size || (b.size <= a.size && memcmp(a.at, b.at, b.size) == 0)) kt_row_set(call->out->truth, row);
    return KITH_OK;
}

kith_status kt_row_ends_with(struct call *call, uint32_t row)
{
    struct slice a = call->args[0].bytes[row], b = call->args[1].bytes[row];
    if (!b.size || (b.size <= a.size && memcmp(a.at + a.size - b.size, b.at, b.size) == 0))
        kt_row_set(call->out->truth, row);
    return KITH_OK;
}

kith_status kt_row_contains(struct call *call, uint32_t row)
{
    struct slice a = call->args[0].bytes[row], b = call->args[1].bytes[row];
    if (!b.size || (b.size <= a.size && kt_find(a, b))) kt_row_set(call->out->truth, row);
    return KITH_OK;
}
