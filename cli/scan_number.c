/* Decimal numbers, quickly and correctly rounded: files of vectors are little else.
 *
 * A number of at most 15 digits and an exponent of at most 22 is the quotient or product of two doubles
 * that are exact, and so rounded once (Clinger 1990); others go to strtod. "007" is no number: codes lose
 * their zeros that way.
 */
#include "scan_number.h"

#include <stdlib.h>
#include <string.h>

static const double powers[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

/* What the characters said. */
struct decimal {
    uint64_t mantissa; // wraps beyond 19 digits
    int digits, decimals, exponent;
    bool negative, whole;
};

static bool is_digit(const char *at, const char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

static const char *read_digits(const char *at, const char *end, struct decimal *out)
{
    for (; is_digit(at, end); at++) {
        out->mantissa = out->mantissa * 10 + (uint64_t)(*at - '0');
        out->digits++;
    }
    return at;
}

static const char *read_exponent(const char *at, const char *end, struct decimal *out)
{
    const char *sign = at + 1;
    const char *digit = sign + (sign < end && (*sign == '-' || *sign == '+'));
    if (!is_digit(digit, end)) return NULL;
    for (at = digit; is_digit(at, end); at++) {
        if (out->exponent < 10000) out->exponent = out->exponent * 10 + (*at - '0');
    }
    if (*sign == '-') out->exponent = -out->exponent;
    return at;
}

static const char *read_decimal(const char *at, const char *end, struct decimal *out)
{
    out->negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    const char *first = at;
    at = read_digits(at, end, out);
    if (out->digits > 1 && *first == '0') return NULL;
    out->whole = true;
    if (at < end && *at == '.' && is_digit(at + 1, end)) {
        int before = out->digits;
        at = read_digits(at + 1, end, out);
        out->decimals = out->digits - before;
        out->whole = false;
    }
    if (!out->digits) return NULL;
    if (at < end && (*at == 'e' || *at == 'E')) {
        out->whole = false;
        at = read_exponent(at, end, out);
    }
    return at;
}

/* strtod wants a NUL, which the end of a mapped file does not have. */
static double by_strtod(const char *begin, const char *end)
{
    size_t size = (size_t)(end - begin);
    char *copy = cli_alloc(size + 1);
    memcpy(copy, begin, size);
    double value = strtod(copy, NULL);
    free(copy);
    return value;
}

const char *cli_number_read(const char *at, const char *end, struct number *out)
{
    struct decimal decimal = { 0 };
    const char *stop = read_decimal(at, end, &decimal);
    if (!stop) return NULL;
    uint64_t most = (uint64_t)INT64_MAX + decimal.negative;
    out->whole = decimal.whole && decimal.digits <= 19 && decimal.mantissa <= most;
    out->integer = (int64_t)(decimal.negative ? 0 - decimal.mantissa : decimal.mantissa);
    int scale = decimal.exponent - decimal.decimals;
    if (decimal.digits <= 15 && scale >= -22 && scale <= 22) {
        double exact = (double)decimal.mantissa;
        exact = scale < 0 ? exact / powers[-scale] : exact * powers[scale];
        out->real = decimal.negative ? -exact : exact;
    } else {
        out->real = by_strtod(at, stop);
    }
    return stop;
}
