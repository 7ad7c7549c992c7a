/* JSON in text columns: the value at a path, without building a document.
 *
 *     a.b     a[0].b    $.a.b     "a.b".c     a.0      keys of objects, places in arrays from 0, from the end
 *                                                       when negative
 *
 * One pass reads the whole text, because a text that is not JSON has no values at all; a text that ends in
 * rubbish is not JSON. Of a key that comes twice the first counts. Deeper than DEPTH_MAX is not read.
 *
 * `->>` gives the text of a string, and of anything else its JSON, without spaces; null is null. `->` gives
 * JSON always.
 */
#include <string.h>

#include "filter/filter_eval.h"

enum { DEPTH_MAX = 500, STEPS_MAX = 64, OFF_PATH = UINT32_MAX };

struct step {
    struct slice key;
    bool is_index;
    int64_t index;
};

struct json {
    const uint8_t *at, *end;
    const struct step *steps;
    uint32_t count, depth;
    struct slice found; /* at NULL: not yet */
};

/* ---- paths ---- */

static void number_of(struct step *step)
{
    size_t at = step->key.size && step->key.at[0] == '-';
    step->is_index = step->key.size > at && step->key.size < 18;
    for (size_t i = at; step->is_index && i < step->key.size; i++) {
        if (step->key.at[i] < '0' || step->key.at[i] > '9') step->is_index = false;
        step->index = step->index * 10 + (step->key.at[i] - '0');
    }
    if (at) step->index = -step->index;
}

/* The next step of a path; `rest` moves behind it and the point after it. */
static struct slice cut_step(struct slice *rest)
{
    const uint8_t *at = rest->at, *end = at + rest->size;
    bool bracket = *at == '[';
    if (bracket) at++;
    uint8_t quote = at < end && (*at == '"' || (bracket && *at == '\'')) ? *at++ : 0;
    const uint8_t *from = at;
    while (at < end && (quote ? *at != quote : bracket ? *at != ']' : *at != '.' && *at != '[')) at++;
    struct slice key = { from, (size_t)(at - from) };
    if (quote && at < end) at++;
    if (bracket && at < end && *at == ']') at++;
    if (at < end && *at == '.') at++;
    *rest = (struct slice){ at, (size_t)(end - at) };
    return key;
}

static bool split_path(struct slice path, struct step *steps, uint32_t *count)
{
    *count = 0;
    if (path.size && *path.at == '$') path.at++, path.size--;
    if (path.size && *path.at == '.') path.at++, path.size--;
    while (path.size) {
        if (*count == STEPS_MAX) return false;
        struct step *step = &steps[(*count)++];
        *step = (struct step){ .key = cut_step(&path) };
        number_of(step);
    }
    return true;
}

/* ---- strings ---- */

static int hex4(const uint8_t *at)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = at[i] >= '0' && at[i] <= '9' ? at[i] - '0' : (at[i] | 0x20) - 'a' + 10;
        value = value * 16 + digit;
    }
    return value;
}

static size_t put_utf8(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, c >>= 6) out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(c | (size == 2 ? 0xc0 : size == 3 ? 0xe0 : 0xf0));
    return size;
}

/* The bytes that the next one of a checked string stands for, or its escape. Half a surrogate pair is U+FFFD.
 */
static size_t next_piece(const uint8_t **at, const uint8_t *end, uint8_t out[4])
{
    static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    if (**at != '\\') {
        out[0] = *(*at)++;
        return 1;
    }
    uint8_t letter = (*at)[1];
    const char *found = strchr(letters, letter);
    *at += 2;
    if (letter != 'u') {
        out[0] = found ? (uint8_t)meanings[found - letters] : letter;
        return 1;
    }
    uint32_t c = (uint32_t)hex4(*at);
    *at += 4;
    bool pair = c >= 0xd800 && c < 0xdc00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u';
    uint32_t low = pair ? (uint32_t)hex4(*at + 2) : 0;
    if (low >= 0xdc00 && low < 0xe000) {
        *at += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xd800 && c < 0xe000) {
        c = 0xfffd;
    }
    return put_utf8(c, out);
}

static bool is_key(struct slice raw, struct slice key)
{
    const uint8_t *at = raw.at, *end = at + raw.size;
    size_t matched = 0;
    while (at < end) {
        uint8_t piece[4];
        size_t size = next_piece(&at, end, piece);
        if (key.size - matched < size || memcmp(key.at + matched, piece, size) != 0) return false;
        matched += size;
    }
    return matched == key.size;
}

/* ---- reading ---- */

static void skip_space(struct json *json)
{
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t'))
        json->at++;
}

static bool take(struct json *json, char c)
{
    skip_space(json);
    if (json->at == json->end || *json->at != (uint8_t)c) return false;
    json->at++;
    return true;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool read_escape(struct json *json) /* the backslash is behind us */
{
    if (json->at == json->end) return false;
    uint8_t letter = *json->at++;
    if (letter != 'u') return letter && strchr("\"\\/bfnrt", letter);
    if (json->end - json->at < 4) return false;
    for (int i = 0; i < 4; i++)
        if (!is_hex(*json->at++)) return false;
    return true;
}

/* A string; `raw` is what is between its quotes. */
static bool read_string(struct json *json, struct slice *raw)
{
    if (!take(json, '"')) return false;
    raw->at = json->at;
    while (json->at < json->end && *json->at != '"') {
        uint8_t c = *json->at++;
        if (c < 0x20 || (c == '\\' && !read_escape(json))) return false;
    }
    raw->size = (size_t)(json->at - raw->at);
    return take(json, '"');
}

static bool read_digits(struct json *json)
{
    const uint8_t *from = json->at;
    while (json->at < json->end && *json->at >= '0' && *json->at <= '9') json->at++;
    return json->at > from;
}

static bool read_number(struct json *json)
{
    if (*json->at == '-') json->at++;
    const uint8_t *from = json->at;
    if (!read_digits(json) || (*from == '0' && json->at - from > 1)) return false;
    if (json->at < json->end && *json->at == '.') {
        json->at++;
        if (!read_digits(json)) return false;
    }
    if (json->at < json->end && (*json->at | 0x20) == 'e') {
        json->at++;
        if (json->at < json->end && (*json->at == '+' || *json->at == '-')) json->at++;
        return read_digits(json);
    }
    return true;
}

static bool read_word(struct json *json, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(json->end - json->at) < size || memcmp(json->at, word, size) != 0) return false;
    json->at += size;
    return true;
}

static bool read_value(struct json *json, uint32_t step);

static bool read_object(struct json *json, uint32_t step)
{
    bool wanted = step < json->count;
    if (take(json, '}')) return true;
    do {
        struct slice key;
        if (!read_string(json, &key) || !take(json, ':')) return false;
        bool here = wanted && is_key(key, json->steps[step].key);
        if (here) wanted = false;
        if (!read_value(json, here ? step + 1 : OFF_PATH)) return false;
    } while (take(json, ','));
    return take(json, '}');
}

static bool read_array(struct json *json, uint32_t step)
{
    const uint8_t *from = json->at;
    bool wanted = step < json->count && json->steps[step].is_index;
    int64_t place = 0, index = wanted ? json->steps[step].index : -1;
    if (take(json, ']')) return true;
    do {
        if (!read_value(json, wanted && place == index ? step + 1 : OFF_PATH)) return false;
        place++;
    } while (take(json, ','));
    if (!take(json, ']')) return false;
    if (!wanted || index >= 0 || index < -place) return true;
    const uint8_t *end = json->at; /* from the end: once more, now that the length is known */
    struct step counted = json->steps[step], *steps = (struct step *)(uintptr_t)&json->steps[step];
    steps->index = index + place;
    json->at = from;
    bool fine = read_array(json, step);
    *steps = counted;
    json->at = end;
    return fine;
}

static bool read_value(struct json *json, uint32_t step)
{
    struct slice raw;
    skip_space(json);
    if (json->at == json->end || json->depth == DEPTH_MAX) return false;
    const uint8_t *from = json->at;
    bool fine = false;
    json->depth++;
    if (*from == '{' && take(json, '{'))
        fine = read_object(json, step);
    else if (*from == '[' && take(json, '['))
        fine = read_array(json, step);
    else if (*from == '"')
        fine = read_string(json, &raw);
    else if (*from == '-' || (*from >= '0' && *from <= '9'))
        fine = read_number(json);
    else
        fine = read_word(json, "true") || read_word(json, "false") || read_word(json, "null");
    json->depth--;
    if (fine && step == json->count) json->found = (struct slice){ from, (size_t)(json->at - from) };
    return fine;
}

/* ---- rows ---- */

/* A value of JSON without the spaces between its parts. */
static kith_status put_dense(struct call *call, uint32_t row, struct slice value)
{
    uint8_t *to;
    bool in_string = false;
    kith_status status = kt_call_text(call, row, value.size, &to);
    if (status) return status;
    size_t used = 0;
    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = value.at[i];
        if (!in_string && (c == ' ' || c == '\n' || c == '\r' || c == '\t')) continue;
        to[used++] = c;
        if (in_string && c == '\\') to[used++] = value.at[++i];
        if (c == '"') in_string = !in_string;
    }
    call->out->bytes[row].size = used;
    return KITH_OK;
}

static kith_status put_string(struct call *call, uint32_t row, struct slice raw)
{
    const uint8_t *at = raw.at, *end = at + raw.size;
    uint8_t *to;
    size_t used = 0;
    kith_status status = kt_call_text(call, row, raw.size, &to);
    while (!status && at < end) {
        uint8_t piece[4];
        size_t size = next_piece(&at, end, piece);
        memcpy(to + used, piece, size);
        used += size;
    }
    if (!status) call->out->bytes[row].size = used;
    return status;
}

static bool find(struct slice text, struct slice path, struct slice *found)
{
    struct step steps[STEPS_MAX];
    struct json json = { .at = text.at, .end = text.at + text.size, .steps = steps };
    if (!text.size || !split_path(path, steps, &json.count) || !read_value(&json, 0)) return false;
    skip_space(&json);
    *found = json.found;
    return json.at == json.end && found->at;
}

kith_status kt_row_json_get(struct call *call, uint32_t row)
{
    struct slice found;
    if (find(call->args[0].bytes[row], call->args[1].bytes[row], &found)) return put_dense(call, row, found);
    kt_call_null(call, row);
    return KITH_OK;
}

kith_status kt_row_json_text(struct call *call, uint32_t row)
{
    struct slice found;
    bool there = find(call->args[0].bytes[row], call->args[1].bytes[row], &found);
    if (there && *found.at == '"')
        return put_string(call, row, (struct slice){ found.at + 1, found.size - 2 });
    if (there && *found.at != 'n') return put_dense(call, row, found);
    kt_call_null(call, row);
    return KITH_OK;
}
