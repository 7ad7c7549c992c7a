/* Decimals, from decimals of other digits and from integers.
 *
 * Who reads money out of a file, a data frame or another database has as many digits as that program gave it:
 * 12.5 comes as decimal(3, 1), a sum as decimal(38, 2). So a decimal column takes them all, as an integer
 * column takes other integers, and each value is looked at: what has more digits behind the point than the
 * column, or more in all, is refused and never rounded. Floats are other numbers than they seem (12.1 is
 * none of them) and stay refused.
 *
 * Values are 128 bits in units of their scale, wherever they lie: Arrow asks for no more than 8 bytes of
 * alignment, so they are copied in and out.
 */
#include <stdio.h>
#include <string.h>

#include "column/column_cast_private.h"

__extension__ typedef __int128 wide;

enum { MOST_DIGITS = 38 };

bool kt_can_cast_decimal(const struct kt_field *from, const struct kt_field *to)
{
    return to->type == KT_DECIMAL128 && (from->type == KT_DECIMAL128 || kt_type_is_integer(from->type));
}

static wide power_of_ten(int32_t exponent) /* up to MOST_DIGITS */
{
    wide power = 1;
    while (exponent-- > 0) power *= 10;
    return power;
}

struct rescaling {
    wide factor, divisor; /* one of them is 1 */
    wide limit;           /* of what the column holds, in its units: below it, without a sign */
    bool far;             /* no value but 0 has a place there */
};

static struct rescaling rescaling_of(const struct kt_field *from, const struct kt_field *to)
{
    int32_t places = to->scale - (from->type == KT_DECIMAL128 ? from->scale : 0);
    int32_t digits = to->width < MOST_DIGITS ? to->width : MOST_DIGITS; /* more would be another's mistake */
    struct rescaling how = { 1, 1, power_of_ten(digits), places > MOST_DIGITS || places < -MOST_DIGITS };
    if (how.far) return how;
    if (places >= 0)
        how.factor = power_of_ten(places);
    else
        how.divisor = power_of_ten(-places);
    return how;
}

static bool rescale(const struct rescaling *how, wide value, wide *out)
{
    *out = 0;
    if (how->far) return value == 0;
    if (value % how->divisor || __builtin_mul_overflow(value / how->divisor, how->factor, &value))
        return false;
    *out = value;
    return value < how->limit && value > -how->limit;
}

static wide load(const struct kt_array *from, int64_t row)
{
    enum kt_type type = from->field->type;
    const uint8_t *at = from->values + (from->offset + row) * kt_field_value_bytes(from->field);
    int64_t integer;
    wide value;
    if (type == KT_DECIMAL128) {
        memcpy(&value, at, sizeof value);
        return value;
    }
    kt_load_integers(type, at, 1, &integer);
    return type == KT_UINT64 ? (wide)(uint64_t)integer : (wide)integer;
}

/* A value as people write it: "-12.50". A scale below 0 stands behind it: "5e3". */
static void write_decimal(wide value, int32_t scale, char *text, size_t room)
{
    char digits[2 * MOST_DIGITS + 4];
    int count = 0, length = 0;
    bool negative = value < 0;
    for (; value || !count || count <= scale; value /= 10) {
        if (count == (int)sizeof digits) break;
        int digit = (int)(value % 10);
        digits[count++] = (char)('0' + (digit < 0 ? -digit : digit));
    }
    if (negative) length += snprintf(text, room, "-");
    while (count-- && (size_t)length + 2 < room) {
        text[length++] = digits[count];
        if (count && count == scale) text[length++] = '.';
    }
    snprintf(text + length, room - (size_t)length, scale < 0 ? "e%d" : "", -scale);
}

static kith_status refuse_value(struct cast *cast, const struct kt_array *from, const struct kt_field *to,
                                int64_t row)
{
    char text[40], wanted[40], value[100];
    int32_t scale = from->field->type == KT_DECIMAL128 ? from->field->scale : 0;
    kt_field_type_text(to, wanted, sizeof wanted);
    write_decimal(load(from, row), scale, value, sizeof value);
    return kt_fail(cast->error, KITH_INVALID, "column \"%s\" is %s; %s has %s, which does not fit",
                   cast->column, wanted, kt_cast_row(cast, row, text), value);
}

kith_status kt_cast_decimal(struct cast *cast, const struct kt_array *from, struct kt_array *to)
{
    const struct rescaling how = rescaling_of(from->field, to->field);
    uint8_t *values = kt_cast_block(cast, from->length, sizeof(wide));
    if (!values || !kt_cast_validity(cast, from, &to->validity)) return kt_cast_memory(cast);
    to->values = values;
    to->length = from->length;
    for (int64_t i = 0; i < from->length; i++) {
        wide value = 0;
        bool null = from->validity && kt_array_null(from, i);
        if (!null && !rescale(&how, load(from, i), &value)) return refuse_value(cast, from, to->field, i);
        memcpy(values + (size_t)i * sizeof value, &value, sizeof value);
    }
    return KITH_OK;
}
