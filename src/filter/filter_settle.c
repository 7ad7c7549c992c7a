/* Constants against columns: where a literal lies among the values that a column can hold.
 *
 * `int_col = '3'`, `int_col < 2.5`, `float_col >= 9007199254740993`, `day_col < '2024-05-01 12:00'`: each is
 * settled once, before any row is seen, into a value of the column's own type and whether it is exactly that
 * value. What is left for the rows is a comparison within one type, and it is exact: nothing is rounded that
 * the rows would have to be compared with.
 *
 * One thing is rounded on purpose. A number written with a point, beside a float32 or float16 column, means
 * the nearest float of that column: whoever stored 0.1 in a float32 column finds it by `x = 0.1`. A float
 * beside a decimal means its shortest decimal digits, so that `price = 1.1` finds 1.10.
 *
 * Comparisons become ranges of the column's values, closed where the type allows it. NaN is above all other
 * numbers: `x > 5` admits it, `x < 5` does not; the range of NaN alone is what lies above infinity.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "filter/filter_meaning.h"

/* ---- texts read as values ---- */

static struct slice trimmed(struct slice text)
{
    while (text.size && (text.at[0] == ' ' || (text.at[0] >= 9 && text.at[0] <= 13))) text.at++, text.size--;
    while (text.size &&
           (text.at[text.size - 1] == ' ' || (text.at[text.size - 1] >= 9 && text.at[text.size - 1] <= 13)))
        text.size--;
    return text;
}

/* Digits with at most one point: [+-]ddd[.ddd], as an integer of 128 bits and its scale. */
static bool read_wide(struct slice text, kt_wide *out, int32_t *scale)
{
    bool negative = text.size && text.at[0] == '-', point = false, any = false;
    size_t at = text.size && (text.at[0] == '-' || text.at[0] == '+');
    *out = 0;
    *scale = 0;
    for (; at < text.size; at++) {
        if (text.at[at] == '.' && !point) {
            point = true;
            continue;
        }
        if (text.at[at] < '0' || text.at[at] > '9') return false;
        if (!kt_wide_scale(out, 1) || __builtin_add_overflow(*out, text.at[at] - '0', out)) return false;
        any = true;
        *scale += point;
    }
    if (negative) *out = -*out;
    return any && *scale <= 38;
}

/* A number: as integer digits where it is that, else as a decimal, else as a double. */
static bool read_number(struct slice text, struct kt_field *as, struct cell *out)
{
    struct kt_value value;
    text = trimmed(text);
    *out = (struct cell){ 0 };
    *as = kt_field_plain(KT_DECIMAL128);
    if (read_wide(text, &out->wide, &as->scale)) return true;
    *as = kt_field_plain(KT_FLOAT64);
    if (!kt_value_read(KT_VALUE_FLOAT, (const char *)text.at, text.size, &value)) return false;
    out->number = value.number;
    return true;
}

/* Dates and timestamps are read as either is written: '2024-05-01' is a moment beside a timestamp too. */
static bool read_time(const struct kt_field *type, struct slice text, struct kt_value *value)
{
    const char *at = (const char *)text.at;
    if (type->type == KT_DURATION) return kt_value_read(KT_VALUE_INTERVAL, at, text.size, value);
    if (!kt_field_is_moment(type)) return kt_value_read(KT_VALUE_TIME, at, text.size, value);
    return kt_value_read(KT_VALUE_DATE, at, text.size, value) ||
           kt_value_read(KT_VALUE_TIMESTAMP, at, text.size, value);
}

bool kt_read_cell(const struct kt_field *type, struct slice text, struct kt_field *as, struct cell *out)
{
    struct kt_value value = { 0 };
    if (kt_field_is_number(type)) return read_number(text, as, out);
    bool fine = type->type == KT_BOOL ? kt_value_read(KT_VALUE_BOOL, (const char *)text.at, text.size, &value)
                                      : kt_field_tick(type) && read_time(type, text, &value);
    if (fine) kt_literal_cell(&value, as, out);
    return fine;
}

/* ---- what a type can hold ---- */

struct kt_bounds kt_field_bounds(const struct kt_field *type)
{
    static const struct {
        int64_t low, high;
    } integers[] = {
        [KT_BOOL] = { 0, 1 },
        [KT_INT8] = { INT8_MIN, INT8_MAX },
        [KT_INT16] = { INT16_MIN, INT16_MAX },
        [KT_INT32] = { INT32_MIN, INT32_MAX },
        [KT_INT64] = { INT64_MIN, INT64_MAX },
        [KT_UINT8] = { 0, UINT8_MAX },
        [KT_UINT16] = { 0, UINT16_MAX },
        [KT_UINT32] = { 0, UINT32_MAX },
    };
    if (type->type <= KT_UINT32)
        return (struct kt_bounds){ integers[type->type].low, integers[type->type].high };
    if (type->type == KT_UINT64) return (struct kt_bounds){ 0, UINT64_MAX };
    if (type->type == KT_DECIMAL128) {
        kt_wide most = kt_wide_power(type->width) - 1;
        return (struct kt_bounds){ -most, most };
    }
    if (type->type == KT_DATE32 || type->type == KT_TIME32) return (struct kt_bounds){ INT32_MIN, INT32_MAX };
    return (struct kt_bounds){ INT64_MIN, INT64_MAX };
}

static void set_wide(const struct kt_field *type, kt_wide value, struct point *out)
{
    if (kt_form_of(type->type) == FORM_WIDE) out->floor.wide = value;
    out->floor.integer = (int64_t)value;
    out->floor.truth = value != 0;
}

/* The constant is at `floor`, or between it and the next value. */
static void settle_whole(const struct kt_field *type, kt_wide floor, bool exact, struct point *out)
{
    struct kt_bounds bounds = kt_field_bounds(type);
    out->exact = exact;
    if (floor > bounds.high) {
        out->beyond = 1;
        out->exact = false;
    } else if (floor < bounds.low) {
        out->beyond = -1;
        out->exact = false;
    } else {
        set_wide(type, floor, out);
    }
}

static void settle_scaled(const struct kt_field *type, kt_wide value, int32_t scale, struct point *out)
{
    int32_t wanted = type->type == KT_DECIMAL128 ? type->scale : 0;
    bool exact = true;
    if (wanted < scale - 38) {
        settle_whole(type, value < 0 ? -1 : 0, value == 0, out);
    } else if (wanted < scale) {
        kt_wide unit = kt_wide_power(scale - wanted), floor = value / unit - (value % unit < 0);
        exact = value % unit == 0;
        settle_whole(type, floor, exact, out);
    } else if (kt_wide_scale(&value, wanted - scale)) {
        settle_whole(type, value, true, out);
    } else {
        out->beyond = value < 0 ? -1 : 1;
    }
}

/* The shortest digits that read back as the double, as a decimal. False: too large, or too small to differ
 * from 0 in 38 digits. */
static bool shortest_decimal(double number, kt_wide *out, int32_t *scale)
{
    char text[KT_DOUBLE_TEXT];
    kt_double_text(number, text);
    char *exponent = strpbrk(text, "eE");
    long power = exponent ? strtol(exponent + 1, NULL, 10) : 0;
    size_t size = exponent ? (size_t)(exponent - text) : strlen(text);
    if (!read_wide((struct slice){ (const uint8_t *)text, size }, out, scale)) return false;
    if (power < 0) *scale -= (int32_t)power;
    return *scale <= 38 && (power <= 0 || (power <= 38 && kt_wide_scale(out, (int32_t)power)));
}

static void settle_double(const struct kt_field *type, double number, struct point *out)
{
    kt_wide wide;
    int32_t scale;
    if (isnan(number) || number >= 0x1p126 || number <= -0x1p126) {
        out->beyond = number <= -0x1p126 ? -1 : 1;
    } else if (type->type != KT_DECIMAL128) {
        settle_whole(type, (kt_wide)floor(number), floor(number) == number, out);
    } else if (shortest_decimal(number, &wide, &scale)) {
        settle_scaled(type, wide, scale, out);
    } else if (fabs(number) < 1) { /* smaller than any decimal but 0 */
        settle_whole(type, number < 0 ? -1 : 0, false, out);
    } else {
        out->beyond = number < 0 ? -1 : 1;
    }
}

/* ---- floats ---- */

static double next_below(enum kt_type type, double value)
{
    if (type == KT_FLOAT32) return (double)nextafterf((float)value, -INFINITY);
    if (type == KT_FLOAT64) return nextafter(value, -(double)INFINITY);
    uint16_t half = kt_half_from(value); /* neighbours in size are neighbours as bits */
    if ((half & 0x7fff) == 0) return (double)kt_half_to_float(0x8001);
    return (double)kt_half_to_float((uint16_t)(half & 0x8000 ? half + 1 : half - 1));
}

static double rounded(enum kt_type type, double value)
{
    if (type == KT_FLOAT16) return (double)kt_half_to_float(kt_half_from(value));
    return type == KT_FLOAT32 ? (double)(float)value : value;
}

/* A literal float: the nearest one of the type, unless that is an infinity that was not written. */
static void settle_float(enum kt_type type, double number, struct point *out)
{
    double near = rounded(type, number);
    out->exact = !isinf(near) || isinf(number);
    if (!out->exact && near > 0) near = next_below(type, near);
    out->floor.number = near + 0.0; /* -0 becomes 0 */
}

/* An integer: exact, or between two floats. Doubles hold nearly all of 128 bits' range, and halves little of
 * it. */
static void settle_integer(enum kt_type type, kt_wide value, struct point *out)
{
    double near = rounded(type, (double)value);
    bool inside = near < 0x1p126 && near > -0x1p126;
    if (inside ? (kt_wide)near > value : near > 0) near = next_below(type, near);
    out->exact = inside && (kt_wide)near == value;
    out->floor.number = near + 0.0;
}

/* ---- times ---- */

static bool same_kind_of_time(const struct kt_field *a, const struct kt_field *b)
{
    struct kt_field common;
    return kt_field_tick(a) && kt_field_tick(b) && kt_field_common(a, b, &common);
}

static bool settle_time(const struct kt_field *type, const struct kt_field *as, const struct cell *cell,
                        bool span, struct point *out)
{
    if (!same_kind_of_time(type, as) || (span && cell->months)) return false;
    kt_wide value = (kt_wide)cell->integer * kt_field_tick(as);
    if (span) value += (kt_wide)cell->days * INT64_C(86400000000000);
    kt_wide tick = kt_field_tick(type);
    settle_whole(type, value / tick - (value % tick < 0), value % tick == 0, out);
    return true;
}

/* ---- the door ---- */

static enum settle settle_number(const struct kt_field *type, const struct kt_field *as,
                                 const struct cell *cell, struct point *out)
{
    enum form form = kt_form_of(as->type);
    kt_wide wide = form == FORM_INT ? cell->integer : cell->wide;
    if (!kt_field_is_number(as)) return SETTLE_TYPE;
    if (kt_field_is_float(type)) {
        if (form != FORM_FLOAT && as->scale <= 0)
            settle_integer(type->type, wide, out);
        else
            settle_float(type->type, form == FORM_FLOAT ? cell->number : kt_wide_double(wide, as->scale),
                         out);
    } else if (form == FORM_FLOAT) {
        settle_double(type, cell->number, out);
    } else {
        settle_scaled(type, wide, as->scale, out);
    }
    return SETTLED;
}

enum settle kt_settle(const struct kt_field *type, const struct kt_field *as, enum form form,
                      const struct cell *constant, struct point *out)
{
    struct kt_field read;
    struct cell cell = *constant;
    bool text = kt_field_is_text(as);
    *out = (struct point){ .floor = cell, .exact = true };
    if (form == FORM_LIST || form == FORM_NESTED || kt_form_of(type->type) == FORM_NESTED) return SETTLE_TYPE;
    if (kt_field_is_bytes(type)) /* text is bytes; bytes need not be text */
        return text || (as->type == KT_BINARY && !kt_field_is_text(type)) ? SETTLED : SETTLE_TYPE;
    if (text && !kt_read_cell(type, cell.bytes, &read, &cell)) return SETTLE_TEXT;
    if (text) as = &read;
    out->floor = (struct cell){ 0 };
    if (type->type == KT_BOOL && as->type == KT_BOOL) {
        out->floor = cell;
        return SETTLED;
    }
    if (kt_field_is_number(type) || (type->type == KT_BOOL && kt_field_is_integer(as)))
        return settle_number(type, as, &cell, out);
    bool span = form == FORM_SPAN || (text && as->type == KT_DURATION);
    return settle_time(type, as, &cell, span, out) ? SETTLED : SETTLE_TYPE;
}

/* ---- ranges ---- */

static void only_nan(struct range *range)
{
    *range = (struct range){ .none = range->none, .has_low = true, .low_open = true };
    range->low.number = (double)INFINITY;
}

/* Ranges whose ends are NaN, said without it. */
static void without_nan(struct range *range)
{
    if (range->has_low && isnan(range->low.number)) {
        range->none = range->low_open;
        only_nan(range);
    } else if (range->has_high && isnan(range->high.number)) {
        range->has_high = range->high_open;
        range->high.number = (double)INFINITY;
        range->high_open = false;
    } else if (range->has_high && range->high_open && range->high.number == -(double)INFINITY) {
        range->none = true;
    }
}

static void step(enum form form, struct cell *cell, int by)
{
    if (form == FORM_WIDE)
        cell->wide += by;
    else
        cell->integer += by;
}

/* Whole numbers have a next one: open ends are closed ones, unless they are the last that the type has. */
static void close_ends(const struct kt_field *type, struct range *range)
{
    enum form form = kt_form_of(type->type);
    struct kt_bounds bounds = kt_field_bounds(type);
    kt_wide low = form == FORM_WIDE ? range->low.wide : range->low.integer,
            high = form == FORM_WIDE ? range->high.wide : range->high.integer;
    range->none |= (range->low_open && low >= bounds.high) || (range->high_open && high <= bounds.low);
    if (!range->none && range->low_open) step(form, &range->low, 1);
    if (!range->none && range->high_open) step(form, &range->high, -1);
    range->low_open = range->high_open = false;
}

static struct range all_or_none(bool all)
{
    return (struct range){ .none = !all };
}

struct range kt_range_of(enum kt_fn comparison, const struct kt_field *type, const struct point *point)
{
    enum form form = kt_form_of(type->type);
    struct range range = { .low = point->floor, .high = point->floor };
    bool below = comparison == KT_FN_LT || comparison == KT_FN_LE;
    bool equal = comparison == KT_FN_EQ || comparison == KT_FN_NE;
    if (point->beyond) return all_or_none(!equal && below == (point->beyond > 0));
    if (equal) {
        range.none = !point->exact;
        range.has_low = range.has_high = true;
    } else if (below) {
        range.has_high = true;
        range.high_open = comparison == KT_FN_LT && point->exact;
    } else {
        range.has_low = true;
        range.low_open = comparison == KT_FN_GT || !point->exact;
    }
    if (form == FORM_FLOAT)
        without_nan(&range);
    else if (form == FORM_INT || form == FORM_WIDE)
        close_ends(type, &range);
    return range;
}

struct range kt_range_meet(enum form form, const struct range *a, const struct range *b)
{
    struct range out = *a;
    int low = a->has_low && b->has_low ? kt_cell_compare(form, &b->low, &a->low) : b->has_low;
    if (low > 0 || (low == 0 && b->has_low && b->low_open)) {
        out.has_low = b->has_low;
        out.low = b->low;
        out.low_open = b->low_open;
    }
    int high = a->has_high && b->has_high ? kt_cell_compare(form, &a->high, &b->high) : b->has_high;
    if (high > 0 || (high == 0 && b->has_high && b->high_open)) {
        out.has_high = b->has_high;
        out.high = b->high;
        out.high_open = b->high_open;
    }
    out.none |= b->none;
    if (out.has_low && out.has_high) {
        int order = kt_cell_compare(form, &out.low, &out.high);
        out.none |= order > 0 || (order == 0 && (out.low_open || out.high_open));
    }
    return out;
}

bool kt_range_has(enum form form, const struct range *range, const struct cell *cell)
{
    if (range->none) return false;
    if (range->has_low) {
        int order = kt_cell_compare(form, cell, &range->low);
        if (order < 0 || (order == 0 && range->low_open)) return false;
    }
    if (!range->has_high) return true;
    int order = kt_cell_compare(form, cell, &range->high);
    return order < 0 || (order == 0 && !range->high_open);
}
