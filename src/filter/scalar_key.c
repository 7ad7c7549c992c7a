/* Keys: values as strings of bytes whose order, byte by byte, is the order of the values, so that an index
 * file has one kind of page and one search for all types.
 *
 *   integers, times, dates   8 bytes, the highest first, the sign turned where the type has one; of the
 *                            column's own unit
 *   truths                   8 bytes: 0 or 1
 *   floats                   as f64, its bits turned so that negative ones descend; -0 becomes 0, every NaN
 *                            the greatest key there is
 *   decimals                 16 bytes, the highest first, the sign turned
 *   text, binary             as they are
 *
 * All numbers have 8 bytes whatever their width: a key of an int8 is not smaller, but there is one sort for
 * them, on integers.
 *
 * A literal need not be a value that the column can hold (1.5 seconds in a column of seconds, 300 in one of
 * int8). Its key is then the greatest that is below it, and says so: "equal" has no rows, and a bound lies
 * behind that key, on whichever side it is.
 */
#include "base/half.h"
#include "filter/scalar_private.h"

#include <math.h>

__extension__ typedef __int128 wide;

static const uint64_t sign_bit = UINT64_C(1) << 63;

enum key_form kt_key_form(const struct kt_field *field)
{
    switch (field->type) {
    case KT_UTF8:
    case KT_LARGE_UTF8:
    case KT_BINARY:
    case KT_LARGE_BINARY:
    case KT_FIXED_BINARY:
    case KT_DICTIONARY:
    case KT_DECIMAL128:
        return KEY_BYTES;
    default:
        return field->type >= KT_BOOL && field->type <= KT_DURATION ? KEY_NUMBER : KEY_NONE;
    }
}

void kt_put_key(uint8_t to[KT_NUMBER_BYTES], uint64_t key)
{
    kt_put_u64(to, __builtin_bswap64(key));
}

static uint64_t key_of_signed(int64_t value)
{
    return (uint64_t)value ^ sign_bit;
}

static uint64_t key_of_double(double value)
{
    uint64_t bits;
    if (isnan(value)) return UINT64_MAX;
    if (value == 0) value = 0; /* without its sign */
    memcpy(&bits, &value, sizeof bits);
    return bits & sign_bit ? ~bits : bits | sign_bit;
}

static void put_decimal_key(uint8_t to[KT_DECIMAL_BYTES], int64_t high, uint64_t low)
{
    kt_put_key(to, key_of_signed(high));
    kt_put_key(to + 8, low);
}

/* ---- of a column ---- */

uint64_t kt_key_number(const struct kt_array *array, int64_t row)
{
    const void *values = array->values;
    int64_t at = array->offset + row;
    switch (array->field->type) {
    case KT_BOOL:
        return kt_bit(values, (uint64_t)at);
    case KT_INT8:
        return key_of_signed(((const int8_t *)values)[at]);
    case KT_INT16:
        return key_of_signed(((const int16_t *)values)[at]);
    case KT_INT32:
    case KT_DATE32:
    case KT_TIME32:
        return key_of_signed(((const int32_t *)values)[at]);
    case KT_UINT8:
        return ((const uint8_t *)values)[at];
    case KT_UINT16:
        return ((const uint16_t *)values)[at];
    case KT_UINT32:
        return ((const uint32_t *)values)[at];
    case KT_UINT64:
        return ((const uint64_t *)values)[at];
    case KT_FLOAT16:
        return key_of_double((double)kt_half_to_float(((const uint16_t *)values)[at]));
    case KT_FLOAT32:
        return key_of_double((double)((const float *)values)[at]);
    case KT_FLOAT64:
        return key_of_double(((const double *)values)[at]);
    default:
        return key_of_signed(((const int64_t *)values)[at]);
    }
}

const uint8_t *kt_key_bytes(const struct kt_array *array, int64_t row, uint8_t room[KT_DECIMAL_BYTES],
                            int64_t *count)
{
    if (array->field->type != KT_DECIMAL128) return kt_array_bytes(array, row, count);
    const uint8_t *value = array->values + (array->offset + row) * KT_DECIMAL_BYTES;
    put_decimal_key(room, (int64_t)kt_get_u64(value + 8), kt_get_u64(value));
    *count = KT_DECIMAL_BYTES;
    return room;
}

bool kt_has_order(const struct kt_field *field)
{
    return kt_key_form(field) != KEY_NONE;
}

int kt_order_values(const struct kt_array *column, int64_t a, int64_t b)
{
    if (kt_key_form(column->field) == KEY_NUMBER) {
        uint64_t x = kt_key_number(column, a), y = kt_key_number(column, b);
        return (x > y) - (x < y);
    }
    uint8_t rooms[2][KT_DECIMAL_BYTES];
    int64_t x_count, y_count;
    const uint8_t *x = kt_key_bytes(column, a, rooms[0], &x_count);
    const uint8_t *y = kt_key_bytes(column, b, rooms[1], &y_count);
    return kt_compare_bytes(x, (size_t)x_count, y, (size_t)y_count);
}

bool kt_put_value(const struct kt_array *column, int64_t row, struct kt_buffer *to)
{
    if (kt_key_form(column->field) == KEY_NUMBER) {
        uint64_t number = kt_key_number(column, row);
        return kt_buffer_append(to, &number, sizeof number);
    }
    uint8_t room[KT_DECIMAL_BYTES];
    int64_t count;
    const uint8_t *bytes = kt_key_bytes(column, row, room, &count);
    uint64_t size = (uint64_t)count;
    return kt_buffer_append(to, &size, sizeof size) && (!size || kt_buffer_append(to, bytes, size));
}

/* ---- of a literal ---- */

/* A number of the column's unit: `floor`, or between it and the next. */
struct whole {
    wide floor;
    bool between;
};

static struct whole divided(wide value, wide by)
{
    wide floor = value / by;
    if (value % by != 0 && value < 0) floor--;
    return (struct whole){ floor, floor * by != value };
}

static struct whole of_nanoseconds(wide nanoseconds, enum kt_unit unit)
{
    static const int64_t each[] = {
        [KT_SECOND] = 1000000000, [KT_MILLISECOND] = 1000000, [KT_MICROSECOND] = 1000, [KT_NANOSECOND] = 1
    };
    return divided(nanoseconds, each[unit]);
}

/* A time, timestamp or interval without months, in nanoseconds. */
static wide nanoseconds_of(const struct kt_value *value)
{
    const wide day = (wide)86400 * 1000000000;
    wide within = (wide)value->integer * 1000 + value->nanos;
    return value->kind == KT_VALUE_INTERVAL ? value->days * day + within : within;
}

/* A date, time or truth; false where the literal is of another type than the column. */
static bool ticks_of(const struct kt_field *field, const struct kt_value *value, struct whole *out)
{
    const int64_t day_ms = 86400000;
    switch (field->type) {
    case KT_BOOL:
        *out = (struct whole){ value->boolean, false };
        return value->kind == KT_VALUE_BOOL;
    case KT_DATE32:
        *out = (struct whole){ value->integer, false };
        return value->kind == KT_VALUE_DATE;
    case KT_DATE64:
        *out = (struct whole){ (wide)value->integer * day_ms, false };
        return value->kind == KT_VALUE_DATE;
    case KT_TIME32:
    case KT_TIME64:
        *out = of_nanoseconds(nanoseconds_of(value), field->unit);
        return value->kind == KT_VALUE_TIME;
    case KT_TIMESTAMP:
        *out = of_nanoseconds(nanoseconds_of(value), field->unit);
        return value->kind == KT_VALUE_TIMESTAMP;
    case KT_DURATION:
        *out = of_nanoseconds(nanoseconds_of(value), field->unit);
        return value->kind == KT_VALUE_INTERVAL && !value->months;
    default:
        return false;
    }
}

/* The same, or an integer: of the column's own unit where that is of time. */
static bool whole_of(const struct kt_field *field, const struct kt_value *value, struct whole *out)
{
    bool natural = value->kind == KT_VALUE_UINT;
    if (field->type == KT_BOOL || (value->kind != KT_VALUE_INT && !natural))
        return ticks_of(field, value, out);
    *out = (struct whole){ natural ? (wide)value->natural : value->integer, false };
    return true;
}

static bool is_unsigned(enum kt_type type)
{
    return type == KT_BOOL || (type >= KT_UINT8 && type <= KT_UINT64);
}

static uint64_t key_of_whole(struct whole whole, bool natural, struct key *out)
{
    wide least = natural ? 0 : INT64_MIN, most = natural ? (wide)UINT64_MAX : INT64_MAX;
    out->before = whole.floor < least;
    out->between = whole.between || whole.floor > most;
    wide kept = whole.floor > most ? most : whole.floor;
    return natural ? (uint64_t)kept : key_of_signed((int64_t)kept);
}

/* integer * 10^places, or `false` where 128 bits do not hold it: it is beyond every decimal then. */
static bool scaled(int64_t integer, int64_t places, struct whole *out)
{
    enum { MOST_PLACES = 38 }; /* of a decimal128; no int64 is left of more */
    wide value = integer, by = 1;
    if (places < -MOST_PLACES) places = -MOST_PLACES;
    for (int64_t i = places; i < 0; i++) by *= 10;
    *out = divided(value, by);
    for (int64_t i = 0; i < places && value; i++)
        if (__builtin_mul_overflow(value, 10, &value)) return false;
    if (places > 0) *out = (struct whole){ value, false };
    return true;
}

static bool key_of_decimal(const struct kt_field *field, const struct kt_value *value, struct key *out)
{
    struct whole whole;
    if (value->kind != KT_VALUE_DECIMAL && value->kind != KT_VALUE_INT) return false;
    int64_t scale = value->kind == KT_VALUE_INT ? 0 : value->scale;
    bool held = scaled(value->integer, field->scale - scale, &whole);
    out->before = !held && value->integer < 0;
    out->between = !held || whole.between;
    out->bytes = out->room;
    out->size = KT_DECIMAL_BYTES;
    if (held)
        put_decimal_key(out->room, (int64_t)(whole.floor >> 64), (uint64_t)whole.floor);
    else
        memset(out->room, 0xff, sizeof out->room); /* the greatest */
    return true;
}

static bool key_of_bytes(const struct kt_field *field, const struct kt_value *value, struct key *out)
{
    bool text = field->type == KT_UTF8 || field->type == KT_LARGE_UTF8 || field->type == KT_DICTIONARY;
    out->bytes = (const uint8_t *)value->text;
    out->size = value->size;
    return value->kind == (text ? KT_VALUE_TEXT : KT_VALUE_BYTES);
}

bool kt_key_of_value(const struct kt_field *field, const struct kt_value *value, struct key *out)
{
    struct whole whole;
    uint64_t key;
    *out = (struct key){ 0 };
    if (field->type == KT_DECIMAL128) return key_of_decimal(field, value, out);
    if (kt_key_form(field) == KEY_BYTES) return key_of_bytes(field, value, out);
    if (field->type >= KT_FLOAT16 && field->type <= KT_FLOAT64) {
        if (value->kind != KT_VALUE_FLOAT) return false;
        key = key_of_double(value->number);
    } else {
        if (!whole_of(field, value, &whole)) return false;
        key = key_of_whole(whole, is_unsigned(field->type), out);
    }
    kt_put_key(out->room, key);
    out->bytes = out->room;
    out->size = KT_NUMBER_BYTES;
    return true;
}
