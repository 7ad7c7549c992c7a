/* Types and single values: in which form a type is evaluated, what two types have in common, and the cells
 * that constants are kept in.
 *
 * Types widen by themselves only where nothing is lost or where everyone expects it: integers to int64,
 * integers to decimals, numbers to double beside a double, dates to timestamps, and units of time to the
 * finer one. Text is text, whether it lies in a dictionary or not. Text and numbers never meet by
 * themselves: only a literal is read as what it is compared with (filter_settle.c).
 *
 * Cells order as the columns of DuckDB do: NaN equals itself and is above all other numbers, -0 equals 0, and
 * texts compare by bytes.
 */
#include <math.h>
#include <string.h>

#include "filter/filter_meaning.h"

/* ---- forms ---- */

enum form kt_form_of(enum kt_type type)
{
    switch (type) {
    case KT_NULL:
        return FORM_NULL;
    case KT_BOOL:
        return FORM_BOOL;
    case KT_UINT64:
    case KT_DECIMAL128:
        return FORM_WIDE;
    case KT_FLOAT16:
    case KT_FLOAT32:
    case KT_FLOAT64:
        return FORM_FLOAT;
    case KT_UTF8:
    case KT_LARGE_UTF8:
    case KT_UTF8_VIEW:
    case KT_BINARY:
    case KT_LARGE_BINARY:
    case KT_BINARY_VIEW:
    case KT_FIXED_BINARY:
    case KT_DICTIONARY:
        return FORM_BYTES;
    case KT_FIXED_LIST:
    case KT_LIST:
    case KT_LARGE_LIST:
    case KT_STRUCT:
        return FORM_NESTED;
    default:
        return FORM_INT;
    }
}

struct kt_field kt_field_plain(enum kt_type type)
{
    static char empty[] = "";
    return (struct kt_field){ .name = empty,
                              .id = -1,
                              .type = type,
                              .nullable = true,
                              .width = type == KT_DECIMAL128 ? 38 : 0,
                              .unit = KT_MICROSECOND };
}

bool kt_field_is_integer(const struct kt_field *field)
{
    return field->type >= KT_INT8 && field->type <= KT_UINT64;
}

bool kt_field_is_float(const struct kt_field *field)
{
    return field->type >= KT_FLOAT16 && field->type <= KT_FLOAT64;
}

bool kt_field_is_number(const struct kt_field *field)
{
    return field->type >= KT_INT8 && field->type <= KT_DECIMAL128;
}

bool kt_field_is_text(const struct kt_field *field)
{
    enum kt_type type = field->type == KT_DICTIONARY ? field->children[0].type : field->type;
    return type == KT_UTF8 || type == KT_LARGE_UTF8 || type == KT_UTF8_VIEW;
}

bool kt_field_is_bytes(const struct kt_field *field)
{
    return kt_form_of(field->type) == FORM_BYTES;
}

bool kt_field_is_moment(const struct kt_field *field)
{
    return field->type == KT_DATE32 || field->type == KT_DATE64 || field->type == KT_TIMESTAMP;
}

bool kt_field_is_list(const struct kt_field *field)
{
    return field->type == KT_LIST || field->type == KT_LARGE_LIST || field->type == KT_FIXED_LIST;
}

int64_t kt_field_tick(const struct kt_field *field)
{
    static const int64_t units[] = { 1000000000, 1000000, 1000, 1 };
    switch (field->type) {
    case KT_DATE32:
        return INT64_C(86400000000000);
    case KT_DATE64:
        return 1000000;
    case KT_TIME32:
    case KT_TIME64:
    case KT_TIMESTAMP:
    case KT_DURATION:
        return units[field->unit];
    default:
        return 0;
    }
}

struct kt_field kt_field_made(const struct kt_field *type)
{
    if (!kt_field_is_bytes(type)) return *type;
    return kt_field_plain(kt_field_is_text(type) ? KT_UTF8 : KT_BINARY);
}

/* ---- what two types have in common ---- */

static struct kt_field common_number(const struct kt_field *a, const struct kt_field *b)
{
    struct kt_field out = kt_field_plain(KT_INT64);
    if (kt_field_is_float(a) || kt_field_is_float(b)) {
        out.type = KT_FLOAT64;
    } else if (kt_form_of(a->type) == FORM_WIDE || kt_form_of(b->type) == FORM_WIDE) {
        out = kt_field_plain(KT_DECIMAL128);
        out.scale = a->scale > b->scale ? a->scale : b->scale; /* 0 for integers */
    }
    return out;
}

static struct kt_field common_time(const struct kt_field *a, const struct kt_field *b)
{
    struct kt_field out = kt_field_plain(a->type);
    bool a_stamp = a->type == KT_TIMESTAMP, b_stamp = b->type == KT_TIMESTAMP;
    if (a_stamp && b_stamp)
        out.unit = a->unit > b->unit ? a->unit : b->unit;
    else if (a_stamp || b_stamp)
        out = a_stamp ? *a : *b;
    else if (kt_field_is_moment(a))
        out.type = KT_DATE32;
    else
        out.unit = a->unit > b->unit ? a->unit : b->unit;
    out.timezone = a_stamp && a->timezone ? a->timezone : b_stamp ? b->timezone : NULL;
    if (a->type == KT_TIME32 || a->type == KT_TIME64)
        out.type = out.unit > KT_MILLISECOND ? KT_TIME64 : KT_TIME32;
    return out;
}

static bool same_kind_of_time(const struct kt_field *a, const struct kt_field *b)
{
    bool a_clock = a->type == KT_TIME32 || a->type == KT_TIME64,
         b_clock = b->type == KT_TIME32 || b->type == KT_TIME64;
    return (kt_field_is_moment(a) && kt_field_is_moment(b)) || (a_clock && b_clock) ||
           (a->type == KT_DURATION && b->type == KT_DURATION);
}

bool kt_field_common(const struct kt_field *a, const struct kt_field *b, struct kt_field *out)
{
    if (b->type == KT_NULL || kt_field_same_type(a, b))
        *out = *a;
    else if (a->type == KT_NULL)
        *out = *b;
    else if (kt_field_is_number(a) && kt_field_is_number(b))
        *out = common_number(a, b);
    else if (kt_field_is_text(a) && kt_field_is_text(b))
        *out = kt_field_plain(KT_UTF8);
    else if (kt_field_is_bytes(a) && kt_field_is_bytes(b) && !kt_field_is_text(a) && !kt_field_is_text(b))
        *out = kt_field_plain(KT_BINARY);
    else if (same_kind_of_time(a, b))
        *out = common_time(a, b);
    else
        return false;
    return true;
}

static bool pair_numbers(const struct kt_field *a, const struct kt_field *b, struct pair *out)
{
    bool floats = kt_field_is_float(a) || kt_field_is_float(b);
    int32_t a_scale = a->type == KT_DECIMAL128 ? a->scale : 0,
            b_scale = b->type == KT_DECIMAL128 ? b->scale : 0;
    int32_t least = a_scale < b_scale ? a_scale : b_scale;
    out->scale = a_scale ? a_scale : b_scale;
    if (out->a == out->b && !a_scale && !b_scale)
        out->kind = out->a == FORM_FLOAT ? PAIR_FLOAT : out->a == FORM_INT ? PAIR_INT : PAIR_WIDE;
    else if (floats)
        out->kind = out->a == FORM_INT || out->b == FORM_INT ? PAIR_INT_FLOAT : PAIR_WIDE_FLOAT;
    else
        out->kind = PAIR_WIDE;
    if (out->kind != PAIR_WIDE) return true;
    if (a_scale - least > 38 || b_scale - least > 38) return false;
    out->factor_a = kt_wide_power(b_scale - least);
    out->factor_b = kt_wide_power(a_scale - least);
    return true;
}

bool kt_pair_of(const struct kt_field *a, const struct kt_field *b, struct pair *out)
{
    struct kt_field common;
    *out = (struct pair){ .a = kt_form_of(a->type), .b = kt_form_of(b->type), .factor_a = 1, .factor_b = 1 };
    if (!kt_field_common(a, b, &common) || out->a == FORM_NESTED) return false;
    if (kt_field_is_number(a)) return pair_numbers(a, b, out);
    out->kind = out->a == FORM_BOOL ? PAIR_BOOL : out->a == FORM_BYTES ? PAIR_BYTES : PAIR_INT;
    if (kt_field_tick(a) != kt_field_tick(b)) { /* below 2^63 * 2^47: never an overflow */
        out->kind = PAIR_WIDE;
        out->factor_a = kt_field_tick(a);
        out->factor_b = kt_field_tick(b);
    }
    return true;
}

/* ---- wide numbers and halves ---- */

kt_wide kt_wide_power(int32_t digits)
{
    kt_wide power = 1;
    while (digits-- > 0) power *= 10;
    return power;
}

bool kt_wide_scale(kt_wide *value, int32_t digits)
{
    if (digits > 38) return *value == 0;
    return !__builtin_mul_overflow(*value, kt_wide_power(digits), value);
}

double kt_wide_double(kt_wide value, int32_t scale)
{
    if (scale < 0) return (double)value * (double)kt_wide_power(-scale);
    return scale ? (double)value / (double)kt_wide_power(scale) : (double)value;
}

/* Halves in the order of their bits are halves in order of size: the nearest is found by rounding to a
 * multiple of the last place. */
uint16_t kt_half_from(double value)
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    double size = fabs(value);
    if (isnan(value)) return 0x7e00;
    if (size >= 65520) return sign | 0x7c00; /* half a place above the greatest */
    if (size < 0x1p-14) return (uint16_t)(sign | (uint16_t)nearbyint(size * 0x1p24));
    int exponent = ilogb(size);
    int places = (int)nearbyint(ldexp(size, 10 - exponent)); /* 1024..2048, the last carries over */
    return (uint16_t)(sign | (uint16_t)(((exponent + 15) << 10) + places - 1024));
}

/* ---- cells ---- */

static void time_cell(const struct kt_value *value, struct kt_field *type, struct cell *cell)
{
    static char zone[] = "UTC";
    int64_t fine;
    if (value->utc) type->timezone = zone;
    if (!value->nanos || __builtin_mul_overflow(value->integer, 1000, &fine)) return;
    type->unit = KT_NANOSECOND;
    cell->integer = fine + value->nanos;
}

enum form kt_literal_cell(const struct kt_value *value, struct kt_field *type, struct cell *cell)
{
    static const struct {
        enum kt_type type;
        enum form form;
    } kinds[] = {
        [KT_VALUE_NULL] = { KT_NULL, FORM_NULL },          [KT_VALUE_BOOL] = { KT_BOOL, FORM_BOOL },
        [KT_VALUE_INT] = { KT_INT64, FORM_INT },           [KT_VALUE_UINT] = { KT_UINT64, FORM_WIDE },
        [KT_VALUE_FLOAT] = { KT_FLOAT64, FORM_FLOAT },     [KT_VALUE_DECIMAL] = { KT_DECIMAL128, FORM_WIDE },
        [KT_VALUE_TEXT] = { KT_UTF8, FORM_BYTES },         [KT_VALUE_BYTES] = { KT_BINARY, FORM_BYTES },
        [KT_VALUE_DATE] = { KT_DATE32, FORM_INT },         [KT_VALUE_TIME] = { KT_TIME64, FORM_INT },
        [KT_VALUE_TIMESTAMP] = { KT_TIMESTAMP, FORM_INT }, [KT_VALUE_INTERVAL] = { KT_DURATION, FORM_SPAN },
        [KT_VALUE_LIST] = { KT_LIST, FORM_LIST },
    };
    enum form form = kinds[value->kind].form;
    *type = kt_field_plain(kinds[value->kind].type);
    *cell = (struct cell){ .null = form == FORM_NULL,
                           .truth = value->boolean,
                           .months = value->months,
                           .days = value->days,
                           .integer = value->integer };
    if (form == FORM_FLOAT) cell->number = value->number;
    if (form == FORM_BYTES) cell->bytes = (struct slice){ (const uint8_t *)value->text, value->size };
    if (value->kind == KT_VALUE_UINT) cell->wide = value->natural;
    if (value->kind == KT_VALUE_DECIMAL) {
        cell->wide = value->integer;
        type->scale = value->scale;
    }
    if (value->kind == KT_VALUE_TIME || value->kind == KT_VALUE_TIMESTAMP) time_cell(value, type, cell);
    return form;
}

int kt_slice_compare(struct slice a, struct slice b)
{
    return kt_compare_bytes(a.at, a.size, b.at, b.size);
}

static int compare_doubles(double a, double b)
{
    if (isnan(a) || isnan(b)) return (int)isnan(a) - (int)isnan(b);
    return (a > b) - (a < b);
}

int kt_cell_compare(enum form form, const struct cell *a, const struct cell *b)
{
    switch (form) {
    case FORM_BOOL:
        return (int)a->truth - (int)b->truth;
    case FORM_WIDE:
        return (a->wide > b->wide) - (a->wide < b->wide);
    case FORM_FLOAT:
        return compare_doubles(a->number, b->number);
    case FORM_BYTES:
        return kt_slice_compare(a->bytes, b->bytes);
    default:
        return (a->integer > b->integer) - (a->integer < b->integer);
    }
}

uint32_t kt_cell_hash(enum form form, const struct cell *cell)
{
    uint64_t bits = form == FORM_BOOL ? cell->truth : (uint64_t)cell->integer;
    if (form == FORM_BYTES) return (uint32_t)kt_hash(cell->bytes.at, cell->bytes.size);
    if (form == FORM_WIDE) bits = (uint64_t)cell->wide ^ (uint64_t)(cell->wide >> 64) * 31;
    if (form == FORM_FLOAT) {
        double number = isnan(cell->number) ? (double)INFINITY : cell->number + 0.0; /* -0 becomes 0 */
        memcpy(&bits, &number, sizeof bits);
    }
    return kt_hash_integer(bits);
}

/* ---- cells as values ---- */

static struct kt_value wide_value(const struct kt_field *type, kt_wide wide)
{
    if (type->type == KT_UINT64 && wide > INT64_MAX)
        return (struct kt_value){ .kind = KT_VALUE_UINT, .natural = (uint64_t)wide };
    if (type->type == KT_UINT64) return (struct kt_value){ .kind = KT_VALUE_INT, .integer = (int64_t)wide };
    if (wide >= INT64_MIN && wide <= INT64_MAX)
        return (struct kt_value){ .kind = KT_VALUE_DECIMAL, .integer = (int64_t)wide, .scale = type->scale };
    return (struct kt_value){ .kind = KT_VALUE_FLOAT, .number = kt_wide_double(wide, type->scale) };
}

static int64_t floor_divide(kt_wide a, kt_wide b)
{
    kt_wide floor = a / b - (a % b < 0);
    return floor > INT64_MAX ? INT64_MAX : floor < INT64_MIN ? INT64_MIN : (int64_t)floor;
}

static struct kt_value time_value(const struct kt_field *type, int64_t ticks)
{
    int64_t tick = kt_field_tick(type);
    struct kt_value value = { .kind = KT_VALUE_TIMESTAMP, .utc = type->timezone && *type->timezone };
    value.integer = floor_divide((kt_wide)ticks * tick, 1000);
    if (tick == 1) value.nanos = (uint32_t)(ticks - value.integer * 1000);
    if (type->type == KT_DATE32 || type->type == KT_DATE64) {
        value.kind = KT_VALUE_DATE;
        value.integer = type->type == KT_DATE32 ? ticks : floor_divide(ticks, 86400000);
    } else if (type->type == KT_DURATION) {
        value = (struct kt_value){ .kind = KT_VALUE_INTERVAL, .integer = value.integer };
    } else if (type->type != KT_TIMESTAMP) {
        value = (struct kt_value){ .kind = KT_VALUE_TIME, .integer = value.integer };
    }
    return value;
}

struct kt_value kt_cell_value(const struct kt_field *type, const struct cell *cell, bool stored)
{
    struct kt_value value = { .kind = KT_VALUE_INT, .integer = cell->integer };
    if (cell->null) return (struct kt_value){ .kind = KT_VALUE_NULL };
    switch (kt_form_of(type->type)) {
    case FORM_BOOL:
        return (struct kt_value){ .kind = KT_VALUE_BOOL, .boolean = cell->truth };
    case FORM_FLOAT:
        return (struct kt_value){ .kind = KT_VALUE_FLOAT, .number = cell->number };
    case FORM_WIDE:
        return wide_value(type, cell->wide);
    case FORM_BYTES:
        value = (struct kt_value){ .kind = kt_field_is_text(type) ? KT_VALUE_TEXT : KT_VALUE_BYTES };
        value.text = (char *)(uintptr_t)cell->bytes.at;
        value.size = cell->bytes.size;
        return value;
    default:
        return kt_field_tick(type) && !stored ? time_value(type, cell->integer) : value;
    }
}
