/* JSON written as it is made, so that a long answer need not be held twice, and so that a float32 of
 * 0.1 is printed as 0.1: jansson, which reads our JSON, would print the double nearest to it in 17 digits.
 *
 * A float's text is the shortest of 6 to 9 digits that reads back as the same float. printf is slow at
 * that (1.2 us a number, which is what exporting vectors costs); numbers of ordinary size are made
 * from a scaled integer instead, and the result is read back once to be sure.
 */
#include "json_out.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double powers[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9, 1e10,
                                 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20 };

/* Writes `digits` (a number below 10^9) as a decimal with `decimals` places. @return its length */
static size_t fixed_text(char *to, bool negative, uint64_t digits, int decimals)
{
    while (decimals > 0 && digits % 10 == 0) {
        digits /= 10;
        decimals--;
    }
    char reversed[40];
    int size = 0;
    for (int i = 0; digits || i <= decimals; i++) {
        if (i == decimals && decimals > 0) reversed[size++] = '.';
        reversed[size++] = (char)('0' + digits % 10);
        digits /= 10;
    }
    char *end = to;
    if (negative) *end++ = '-';
    while (size > 0) *end++ = reversed[--size];
    *end = '\0';
    return (size_t)(end - to);
}

/* The quick way, for 1e-5 <= |value| < 1e8. @return 0 when it does not serve */
static size_t quick_text(char *to, float value)
{
    double wide = fabs((double)value);
    if (!(wide >= 1e-5 && wide < 1e8)) return 0;
    int exponent = (int)floor(log10(wide));
    for (int digits = 6; digits <= 9; digits++) {
        int decimals = digits - 1 - exponent;
        if (decimals < 0) continue;
        uint64_t scaled = (uint64_t)llround(wide * powers[decimals]);
        if ((float)((double)scaled / powers[decimals]) != fabsf(value)) continue;
        size_t size = fixed_text(to, value < 0, scaled, decimals);
        return strtof(to, NULL) == value ? size : 0;
    }
    return 0;
}

static bool odd_text(struct text *to, double value, const char *odd)
{
    if (isfinite(value)) return false;
    cli_text_puts(to, odd ? odd : isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    return true;
}

void cli_text_float(struct text *to, float value, const char *odd)
{
    char digits[48];
    if (odd_text(to, (double)value, odd)) return;
    if (value == 0) {
        cli_text_add(to, "0", 1);
        return;
    }
    size_t size = quick_text(digits, value);
    for (int precision = 6; !size; precision++) {
        int written = snprintf(digits, sizeof digits, "%.*g", precision, (double)value);
        if (strtof(digits, NULL) == value || precision >= 9) size = (size_t)written;
    }
    cli_text_add(to, digits, size);
}

void cli_text_double(struct text *to, double value, const char *odd)
{
    char digits[48];
    if (odd_text(to, value, odd)) return;
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value) break;
    }
    cli_text_puts(to, digits);
}

void cli_text_json_string(struct text *to, const char *bytes, size_t size)
{
    cli_text_add(to, "\"", 1);
    size_t plain = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
        cli_text_add(to, bytes + plain, i - plain);
        plain = i + 1;
        const char *short_form = byte == '"'    ? "\\\""
                                 : byte == '\\' ? "\\\\"
                                 : byte == '\n' ? "\\n"
                                 : byte == '\t' ? "\\t"
                                                : NULL;
        if (short_form) {
            cli_text_puts(to, short_form);
        } else {
            cli_text_printf(to, "\\u%04x", byte);
        }
    }
    cli_text_add(to, bytes + plain, size - plain);
    cli_text_add(to, "\"", 1);
}

void cli_json_key(struct json *json, const char *key)
{
    if (json->comma) cli_text_add(&json->text, ",", 1);
    json->comma = true;
    if (!key) return;
    cli_text_json_string(&json->text, key, strlen(key));
    cli_text_add(&json->text, ":", 1);
}

void cli_json_open(struct json *json, const char *key, char bracket)
{
    cli_json_key(json, key);
    cli_text_add(&json->text, &bracket, 1);
    json->comma = false;
}

void cli_json_close(struct json *json, char bracket)
{
    cli_text_add(&json->text, &bracket, 1);
    json->comma = true;
}

void cli_json_string(struct json *json, const char *key, const char *value)
{
    cli_json_key(json, key);
    if (value) {
        cli_text_json_string(&json->text, value, strlen(value));
    } else {
        cli_text_puts(&json->text, "null");
    }
}

void cli_json_count(struct json *json, const char *key, uint64_t value)
{
    cli_json_key(json, key);
    cli_text_printf(&json->text, "%llu", (unsigned long long)value);
}

void cli_json_int(struct json *json, const char *key, int64_t value)
{
    cli_json_key(json, key);
    cli_text_printf(&json->text, "%lld", (long long)value);
}

void cli_json_real(struct json *json, const char *key, double value)
{
    cli_json_key(json, key);
    cli_text_double(&json->text, value, "null");
}

void cli_json_bool(struct json *json, const char *key, bool value)
{
    cli_json_key(json, key);
    cli_text_puts(&json->text, value ? "true" : "false");
}

void cli_json_flush(struct json *json, FILE *to)
{
    if (json->text.size) fwrite(json->text.data, 1, json->text.size, to);
    json->text.size = 0;
}

int cli_json_print(struct json *json)
{
    cli_text_add(&json->text, "\n", 1);
    cli_json_flush(json, stdout);
    cli_text_release(&json->text);
    return cli_finish_output();
}
