/* Values: owned, copied, and as text. Reading and writing are one file so that each undoes the other; the
 * differences between SQL's literals and plain text are the quotes and the word before them.
 *
 * A double is written with the fewest digits that are read back as the same double. strtod() and printf() use
 * the decimal point of the process's locale, which is not ours to set: the point is put in and taken out by
 * hand.
 *
 * A decimal is an int64 and a scale: 18 digits, and with luck 19. A literal that needs more is refused where
 * it is read.
 */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter/filter_private.h"

enum { SCALE_MAX = 38, NUMBER_TEXT = 1024 };

/* ---- owning ---- */

void kt_value_release(struct kt_value *value)
{
    for (size_t i = 0; i < value->count; i++) kt_value_release(&value->items[i]);
    kt_free(value->items);
    kt_free(value->text);
    *value = (struct kt_value){ 0 };
}

bool kt_value_copy(const struct kt_value *from, struct kt_value *to)
{
    struct kt_value copy = *from;
    bool fine = true;
    copy.text = NULL;
    copy.items = NULL;
    copy.count = 0;
    if (from->text) {
        copy.text = kt_alloc(from->size + 1);
        fine = copy.text;
        if (fine) memcpy(copy.text, from->text, from->size + 1);
    }
    if (fine && from->count) fine = (copy.items = kt_alloc_zero(from->count, sizeof *copy.items));
    for (; fine && copy.count < from->count; copy.count++)
        fine = kt_value_copy(&from->items[copy.count], &copy.items[copy.count]);
    if (!fine) kt_value_release(&copy);
    *to = copy;
    return fine;
}

static const char *fault_in_list(const struct kt_value *list)
{
    if (list->count > KT_FILTER_LIST) return "a list is longer than 100,000 values";
    for (size_t i = 0; i < list->count; i++) {
        const char *fault = list->items[i].kind == KT_VALUE_LIST ? "a list must not hold lists"
                                                                 : kt_value_fault(&list->items[i]);
        if (fault) return fault;
    }
    return NULL;
}

const char *kt_value_fault(const struct kt_value *value)
{
    int64_t integer = value->integer;
    switch (value->kind) {
    case KT_VALUE_TEXT:
        if (!value->text) return "a text is missing";
        return kt_utf8_valid((const uint8_t *)value->text, value->size) ? NULL : "a text is not UTF-8";
    case KT_VALUE_BYTES:
        return value->text ? NULL : "bytes are missing";
    case KT_VALUE_DECIMAL:
        return value->scale < 0 || value->scale > SCALE_MAX ? "the scale of a decimal is not in 0..38" : NULL;
    case KT_VALUE_DATE:
        return integer < INT32_MIN || integer > INT32_MAX ? "a date is beyond 2^31 days from 1970" : NULL;
    case KT_VALUE_TIME:
        if (integer < 0 || integer >= (int64_t)86400 * 1000000) return "a time is not within a day";
        return value->nanos > 999 ? "the nanoseconds of a time are not in 0..999" : NULL;
    case KT_VALUE_TIMESTAMP:
        return value->nanos > 999 ? "the nanoseconds of a timestamp are not in 0..999" : NULL;
    case KT_VALUE_LIST:
        return fault_in_list(value);
    default:
        return value->kind > KT_VALUE_LIST ? "a value is of no kind that there is" : NULL;
    }
}

/* ---- reading ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_one_of(const char *text, size_t size, const char *const *words)
{
    for (; *words; words++)
        if (strlen(*words) == size && strncasecmp(text, *words, size) == 0) return true;
    return false;
}

static bool read_bool(const char *text, size_t size, struct kt_value *out)
{
    static const char *const yes[] = { "true", "t", "yes", "y", "1", NULL };
    static const char *const no[] = { "false", "f", "no", "n", "0", NULL };
    out->kind = KT_VALUE_BOOL;
    out->boolean = is_one_of(text, size, yes);
    return out->boolean || is_one_of(text, size, no);
}

static bool read_integer(const char *text, size_t size, struct kt_value *out)
{
    bool negative = size && *text == '-';
    uint64_t value = 0;
    size_t at = size && (*text == '-' || *text == '+');
    if (at == size) return false;
    for (; at < size; at++)
        if (!is_digit(text[at]) || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[at] - '0'), &value))
            return false;
    if (value > (uint64_t)INT64_MAX + (negative ? 1 : UINT64_MAX - INT64_MAX)) return false;
    out->kind = !negative && value > INT64_MAX ? KT_VALUE_UINT : KT_VALUE_INT;
    if (out->kind == KT_VALUE_UINT)
        out->natural = value;
    else
        out->integer = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

static size_t count_digits(const char *text, size_t size)
{
    size_t count = 0;
    while (count < size && is_digit(text[count])) count++;
    return count;
}

/* [+-] digits [. digits] [e [+-] digits], with a digit on one side of the point at least. */
static bool is_number(const char *text, size_t size)
{
    size_t at = size && (*text == '-' || *text == '+'), digits = count_digits(text + at, size - at);
    at += digits;
    if (at < size && text[at] == '.') {
        size_t more = count_digits(text + at + 1, size - at - 1);
        digits += more;
        at += 1 + more;
    }
    if (!digits) return false;
    if (at == size) return true;
    if ((text[at++] | 0x20) != 'e') return false;
    if (at < size && (text[at] == '-' || text[at] == '+')) at++;
    return at < size && count_digits(text + at, size - at) == size - at;
}

static bool read_double(const char *text, size_t size, struct kt_value *out)
{
    static const char *const nan[] = { "nan", NULL }, *const inf[] = { "inf", "infinity", NULL };
    char copy[NUMBER_TEXT + 16];
    size_t sign = size && (*text == '-' || *text == '+');
    double factor = sign && *text == '-' ? -1 : 1;
    out->kind = KT_VALUE_FLOAT;
    out->number = NAN;
    if (is_one_of(text + sign, size - sign, nan)) return true;
    out->number = factor * INFINITY;
    if (is_one_of(text + sign, size - sign, inf)) return true;
    if (size > NUMBER_TEXT || !is_number(text, size)) return false;
    const char *point = memchr(text, '.', size);
    size_t before = point ? (size_t)(point - text) : size;
    snprintf(copy, sizeof copy, "%.*s%s%.*s", (int)before, text, point ? localeconv()->decimal_point : "",
             point ? (int)(size - before - 1) : 0, point ? point + 1 : "");
    out->number = strtod(copy, NULL);
    return isfinite(out->number);
}

static bool read_decimal(const char *text, size_t size, struct kt_value *out)
{
    const char *point = memchr(text, '.', size);
    size_t scale = point ? (size_t)(text + size - point) - 1 : 0, used = 0;
    char digits[64];
    if (size >= sizeof digits || scale > SCALE_MAX) return false;
    for (size_t i = 0; i < size; i++)
        if (text + i != point) digits[used++] = text[i];
    if (!read_integer(digits, used, out) || out->kind != KT_VALUE_INT) return false;
    out->kind = KT_VALUE_DECIMAL;
    out->scale = (int32_t)scale;
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool kt_value_read(enum kt_value_kind kind, const char *text, size_t size, struct kt_value *out)
{
    while (size && is_space(*text)) text++, size--;
    while (size && is_space(text[size - 1])) size--;
    *out = (struct kt_value){ 0 };
    switch (kind) {
    case KT_VALUE_BOOL:
        return read_bool(text, size, out);
    case KT_VALUE_INT:
    case KT_VALUE_UINT:
        return read_integer(text, size, out);
    case KT_VALUE_FLOAT:
        return read_double(text, size, out);
    case KT_VALUE_DECIMAL:
        return read_decimal(text, size, out);
    case KT_VALUE_DATE:
        return kt_date_read(text, size, out);
    case KT_VALUE_TIME:
        return kt_time_read(text, size, out);
    case KT_VALUE_TIMESTAMP:
        return kt_timestamp_read(text, size, out);
    case KT_VALUE_INTERVAL:
        return kt_interval_read(text, size, out);
    default:
        return false;
    }
}

/* ---- writing ---- */

/* Puts a '.' in the place of the locale's. */
static void plain_point(char text[KT_DOUBLE_TEXT])
{
    const char *point = localeconv()->decimal_point;
    size_t size = strlen(point);
    char *at = strstr(text, point);
    if (!at || !size) return;
    *at = '.';
    memmove(at + 1, at + size, strlen(at + size) + 1);
}

void kt_double_text(double number, char text[KT_DOUBLE_TEXT])
{
    char written[KT_DOUBLE_TEXT] = "nan";
    for (int digits = 15; !isnan(number) && digits <= 17; digits++) {
        snprintf(written, sizeof written, "%.*g", digits, number);
        if (strtod(written, NULL) == number) break;
    }
    plain_point(written);
    if (isfinite(number) && !strpbrk(written, ".e")) strcat(written, ".0");
    memcpy(text, written, sizeof written);
}

static bool write_decimal(const struct kt_value *value, struct kt_buffer *out)
{
    char digits[72];
    bool negative = value->integer < 0;
    unsigned long long natural = negative ? 0 - (uint64_t)value->integer : (uint64_t)value->integer;
    int size = snprintf(digits, sizeof digits, "%0*llu", value->scale + 1, natural),
        whole = size - value->scale;
    return kt_buffer_text(out, "%s%.*s%s%s", negative ? "-" : "", whole, digits, value->scale ? "." : "",
                          digits + whole);
}

bool kt_value_write(const struct kt_value *value, struct kt_buffer *out)
{
    char number[KT_DOUBLE_TEXT];
    switch (value->kind) {
    case KT_VALUE_BOOL:
        return kt_buffer_text(out, value->boolean ? "true" : "false");
    case KT_VALUE_INT:
        return kt_buffer_text(out, "%lld", (long long)value->integer);
    case KT_VALUE_UINT:
        return kt_buffer_text(out, "%llu", (unsigned long long)value->natural);
    case KT_VALUE_FLOAT:
        kt_double_text(value->number, number);
        return kt_buffer_text(out, "%s", number);
    case KT_VALUE_DECIMAL:
        return write_decimal(value, out);
    default:
        return kt_time_write(value, out);
    }
}

static bool put_text(const struct kt_value *value, struct kt_buffer *out)
{
    const char *at = value->text, *end = at + value->size;
    bool fine = kt_buffer_append(out, "'", 1);
    while (fine && at < end) {
        const char *quote = memchr(at, '\'', (size_t)(end - at)), *upto = quote ? quote + 1 : end;
        fine = kt_buffer_append(out, at, (size_t)(upto - at)) && (!quote || kt_buffer_append(out, "'", 1));
        at = upto;
    }
    return fine && kt_buffer_append(out, "'", 1);
}

static bool put_bytes(const struct kt_value *value, struct kt_buffer *out)
{
    bool fine = kt_buffer_append(out, "X'", 2);
    for (size_t i = 0; fine && i < value->size; i++)
        fine = kt_buffer_text(out, "%02X", (unsigned char)value->text[i]);
    return fine && kt_buffer_append(out, "'", 1);
}

/* date '2024-02-29' */
static bool put_typed(const char *word, const struct kt_value *value, struct kt_buffer *out)
{
    return kt_buffer_text(out, "%s '", word) && kt_value_write(value, out) && kt_buffer_append(out, "'", 1);
}

static bool put_scalar(const struct kt_value *value, struct kt_buffer *out)
{
    switch (value->kind) {
    case KT_VALUE_NULL:
        return kt_buffer_text(out, "NULL");
    case KT_VALUE_BOOL:
        return kt_buffer_text(out, value->boolean ? "TRUE" : "FALSE");
    case KT_VALUE_FLOAT:
        return isfinite(value->number) ? kt_value_write(value, out) : put_typed("float", value, out);
    case KT_VALUE_DECIMAL:
        return put_typed("decimal", value, out);
    case KT_VALUE_TEXT:
        return put_text(value, out);
    case KT_VALUE_BYTES:
        return put_bytes(value, out);
    case KT_VALUE_DATE:
        return put_typed("date", value, out);
    case KT_VALUE_TIME:
        return put_typed("time", value, out);
    case KT_VALUE_TIMESTAMP:
        return put_typed("timestamp", value, out);
    case KT_VALUE_INTERVAL:
        return put_typed("interval", value, out);
    default:
        return kt_value_write(value, out);
    }
}

kith_status kt_value_to_sql(const struct kt_value *value, struct kt_buffer *out, kith_error *error)
{
    kith_status status = KITH_OK;
    bool fine = true;
    if (value->kind == KT_VALUE_TEXT && memchr(value->text, 0, value->size))
        return kt_fail(error, KITH_INVALID, "a text with a zero byte in it cannot be written as SQL");
    if (value->kind != KT_VALUE_LIST)
        return put_scalar(value, out) ? KITH_OK : kt_fail_memory(error, out->size);
    fine = kt_buffer_append(out, "[", 1);
    for (size_t i = 0; fine && !status && i < value->count; i++) {
        if (i) fine = kt_buffer_append(out, ", ", 2);
        if (fine) status = kt_value_to_sql(&value->items[i], out, error);
    }
    fine = fine && (status || kt_buffer_append(out, "]", 1));
    return fine ? status : kt_fail_memory(error, out->size);
}
