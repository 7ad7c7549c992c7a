/* Numbers and times.
 *
 * Values pass through int64 or double in pieces that stay in the first-level cache: eight loads and eight
 * stores instead of a loop for each of a hundred pairs, each vectorised, and about as fast as memory. Whether
 * a piece lost anything is one flag; only then its rows are looked at one by one, and what lies under a null
 * is forgiven.
 *
 * uint64 above 2^63 looks negative in the int64 between; such values fit only uint64 itself (which is no
 * conversion) or a float, which takes them from the original.
 *
 * Times are integers with a factor: both are counted in nanoseconds, days in milliseconds.
 */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "column/column_cast_private.h"

enum { PIECE = 512 };

/* ---- half precision, by bits: no instruction is assumed ---- */

/* Round to nearest, ties to even. */
uint16_t kt_half_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (bits >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and above round to infinity */
    if (bits < 0x38800000) {                                  /* below 2^-14: a multiple of 2^-24 */
        float magnitude;
        memcpy(&magnitude, &bits, sizeof magnitude);
        return (uint16_t)(sign | (uint16_t)lrintf(magnitude * 0x1p24f));
    }
    uint32_t rounded = bits + 0xfff + (bits >> 13 & 1);
    return (uint16_t)(sign | (uint16_t)((rounded - 0x38000000) >> 13));
}

/* ---- loads and stores ---- */

static enum kt_type stored_as(enum kt_type type)
{
    switch (type) {
    case KT_DATE32:
    case KT_TIME32:
        return KT_INT32;
    case KT_DATE64:
    case KT_TIME64:
    case KT_TIMESTAMP:
    case KT_DURATION:
        return KT_INT64;
    default:
        return type;
    }
}

static void load_doubles(enum kt_type type, const void *from, int64_t count, double *out)
{
    int64_t integers[PIECE];
    switch (type) {
    case KT_FLOAT16:
        for (int64_t i = 0; i < count; i++) out[i] = (double)kt_half_to_float(((const uint16_t *)from)[i]);
        break;
    case KT_FLOAT32:
        for (int64_t i = 0; i < count; i++) out[i] = (double)((const float *)from)[i];
        break;
    case KT_FLOAT64:
        memcpy(out, from, (size_t)count * sizeof *out);
        break;
    case KT_UINT64:
        for (int64_t i = 0; i < count; i++) out[i] = (double)((const uint64_t *)from)[i];
        break;
    default:
        kt_load_integers(type, from, count, integers);
        for (int64_t i = 0; i < count; i++) out[i] = (double)integers[i];
        break;
    }
}

/* Stores what fits; `lost` is set for the others, whose places hold something. */
static bool store_integers(enum kt_type type, const int64_t *from, int64_t count, void *to)
{
    int64_t lost = 0;
    switch (type) {
    case KT_INT8:
        for (int64_t i = 0; i < count; i++) lost |= (((int8_t *)to)[i] = (int8_t)from[i]) ^ from[i];
        break;
    case KT_INT16:
        for (int64_t i = 0; i < count; i++) lost |= (((int16_t *)to)[i] = (int16_t)from[i]) ^ from[i];
        break;
    case KT_INT32:
        for (int64_t i = 0; i < count; i++) lost |= (((int32_t *)to)[i] = (int32_t)from[i]) ^ from[i];
        break;
    case KT_UINT8:
        for (int64_t i = 0; i < count; i++) lost |= (((uint8_t *)to)[i] = (uint8_t)from[i]) ^ from[i];
        break;
    case KT_UINT16:
        for (int64_t i = 0; i < count; i++) lost |= (((uint16_t *)to)[i] = (uint16_t)from[i]) ^ from[i];
        break;
    case KT_UINT32:
        for (int64_t i = 0; i < count; i++) lost |= (((uint32_t *)to)[i] = (uint32_t)from[i]) ^ from[i];
        break;
    case KT_UINT64:
        for (int64_t i = 0; i < count; i++) lost |= ((int64_t *)to)[i] = from[i];
        return lost >= 0;
    default:
        memcpy(to, from, (size_t)count * sizeof *from);
        break;
    }
    return lost == 0;
}

static bool store_doubles(enum kt_type type, const double *from, int64_t count, void *to)
{
    bool lost = false;
    switch (type) {
    case KT_FLOAT16:
        for (int64_t i = 0; i < count; i++) {
            uint16_t half =
                kt_half_of((float)from[i]); /* rounds twice; the error stays below one unit of the half */
            ((uint16_t *)to)[i] = half;
            lost |= (half & 0x7c00) == 0x7c00 && isfinite(from[i]);
        }
        break;
    case KT_FLOAT32:
        for (int64_t i = 0; i < count; i++) {
            float value = (float)from[i];
            ((float *)to)[i] = value;
            lost |= (fabsf(value) > 0x1.fffffep127f) & (fabs(from[i]) < (double)INFINITY);
        }
        break;
    default:
        memcpy(to, from, (size_t)count * sizeof *from);
        break;
    }
    return !lost;
}

/* Doubles that are whole and inside int64 as integers; the flag is false when one is not. */
static bool whole(const double *from, int64_t count, int64_t *to)
{
    bool all = true;
    for (int64_t i = 0; i < count; i++) {
        bool inside = from[i] >= -0x1p63 && from[i] < 0x1p63;
        to[i] = inside ? (int64_t)from[i] : INT64_MIN;
        all &= inside && (double)to[i] == from[i];
    }
    return all;
}

/* ---- numbers ---- */

struct numbers {
    enum kt_type from, to;
    bool may_round;
};

static bool convert_numbers(const struct numbers *numbers, const void *from, int64_t count, void *to)
{
    int64_t integers[PIECE], back[PIECE];
    double doubles[PIECE];
    if (kt_type_is_float(numbers->from)) {
        load_doubles(numbers->from, from, count, doubles);
        if (kt_type_is_float(numbers->to))
            return store_doubles(numbers->to, doubles, count, to) || numbers->may_round;
        bool fine = whole(doubles, count, integers);
        return store_integers(numbers->to, integers, count, to) && fine;
    }
    if (kt_type_is_float(numbers->to)) {
        load_doubles(numbers->from, from, count, doubles);
        bool fine = store_doubles(numbers->to, doubles, count, to);
        if (numbers->may_round || !fine) return numbers->may_round;
        kt_load_integers(numbers->from, from, count, integers);
        load_doubles(numbers->to, to, count, doubles);
        fine = whole(doubles, count, back);
        return fine && memcmp(back, integers, (size_t)count * sizeof *back) == 0;
    }
    kt_load_integers(numbers->from, from, count, integers);
    int64_t negative = 0;
    for (int64_t i = 0; numbers->from == KT_UINT64 && i < count; i++) negative |= integers[i];
    return store_integers(numbers->to, integers, count, to) && negative >= 0;
}

bool kt_can_cast_number(const struct kt_field *from, const struct kt_field *to)
{
    return (kt_type_is_integer(from->type) || kt_type_is_float(from->type)) &&
           (kt_type_is_integer(to->type) || kt_type_is_float(to->type));
}

static kith_status number_lost(struct cast *cast, const struct kt_array *from, const struct kt_array *to,
                               int64_t row)
{
    char text[40], wanted[40];
    const uint8_t *value = from->values + (from->offset + row) * kt_field_value_bytes(from->field);
    kt_field_type_text(to->field, wanted, sizeof wanted);
    if (kt_type_is_float(from->field->type)) {
        double number;
        load_doubles(from->field->type, value, 1, &number);
        return kt_fail(cast->error, KITH_INVALID, "column \"%s\" is %s; %s has %.17g, which does not fit",
                       cast->column, wanted, kt_cast_row(cast, row, text), number);
    }
    int64_t number;
    kt_load_integers(from->field->type, value, 1, &number);
    if (from->field->type == KT_UINT64)
        return kt_fail(cast->error, KITH_INVALID, "column \"%s\" is %s; %s has %llu, which does not fit",
                       cast->column, wanted, kt_cast_row(cast, row, text), (unsigned long long)number);
    return kt_fail(cast->error, KITH_INVALID, "column \"%s\" is %s; %s has %lld, which does not fit",
                   cast->column, wanted, kt_cast_row(cast, row, text), (long long)number);
}

kith_status kt_cast_number(struct cast *cast, const struct kt_array *from, struct kt_array *to)
{
    uint32_t in = kt_field_value_bytes(from->field), out = kt_field_value_bytes(to->field);
    struct numbers numbers = { from->field->type, to->field->type, cast->may_round };
    uint8_t *values = kt_cast_block(cast, from->length, out);
    if (!values || !kt_cast_validity(cast, from, &to->validity)) return kt_cast_memory(cast);
    to->values = values;
    to->length = from->length;
    for (int64_t at = 0; at < from->length; at += PIECE) {
        int64_t count = from->length - at < PIECE ? from->length - at : PIECE;
        const uint8_t *piece = from->values + (from->offset + at) * in;
        if (convert_numbers(&numbers, piece, count, values + at * out)) continue;
        for (int64_t i = 0; i < count; i++) {
            if (convert_numbers(&numbers, piece + i * in, 1, values + (at + i) * out)) continue;
            if (!kt_array_null(from, at + i)) return number_lost(cast, from, to, at + i);
            memset(values + (at + i) * out, 0, out);
        }
    }
    return KITH_OK;
}

/* ---- times ---- */

static int64_t ticks(const struct kt_field *field) /* nanoseconds of one; milliseconds for dates */
{
    static const int64_t units[] = { 1000000000, 1000000, 1000, 1 };
    if (field->type == KT_DATE32) return 86400000;
    return field->type == KT_DATE64 ? 1 : units[field->unit];
}

static bool same_zone_kind(const struct kt_field *a, const struct kt_field *b)
{
    return (a->timezone && *a->timezone) == (b->timezone && *b->timezone);
}

bool kt_can_cast_time(const struct kt_field *from, const struct kt_field *to)
{
    bool dates = (from->type == KT_DATE32 || from->type == KT_DATE64) &&
                 (to->type == KT_DATE32 || to->type == KT_DATE64);
    bool times = (from->type == KT_TIME32 || from->type == KT_TIME64) &&
                 (to->type == KT_TIME32 || to->type == KT_TIME64);
    bool stamps = from->type == KT_TIMESTAMP && to->type == KT_TIMESTAMP && same_zone_kind(from, to);
    return dates || times || stamps || (from->type == KT_DURATION && to->type == KT_DURATION);
}

static bool convert_time(int64_t value, int64_t from_ticks, int64_t to_ticks, int64_t *out)
{
    if (from_ticks >= to_ticks) return !__builtin_mul_overflow(value, from_ticks / to_ticks, out);
    int64_t divisor = to_ticks / from_ticks;
    *out = value / divisor;
    return value % divisor == 0;
}

kith_status kt_cast_time(struct cast *cast, const struct kt_array *from, struct kt_array *to)
{
    enum kt_type in = stored_as(from->field->type), out = stored_as(to->field->type);
    uint32_t in_bytes = kt_field_value_bytes(from->field), out_bytes = kt_field_value_bytes(to->field);
    int64_t from_ticks = ticks(from->field), to_ticks = ticks(to->field);
    uint8_t *values = kt_cast_block(cast, from->length, out_bytes);
    if (!values || !kt_cast_validity(cast, from, &to->validity)) return kt_cast_memory(cast);
    to->values = values;
    to->length = from->length;
    for (int64_t i = 0; i < from->length; i++) {
        int64_t value, converted = 0;
        char text[40], wanted[80];
        kt_load_integers(in, from->values + (from->offset + i) * in_bytes, 1, &value);
        if (convert_time(value, from_ticks, to_ticks, &converted) &&
            store_integers(out, &converted, 1, values + i * out_bytes))
            continue;
        memset(values + i * out_bytes, 0, out_bytes);
        if (kt_array_null(from, i)) continue;
        kt_field_type_text(to->field, wanted, sizeof wanted);
        return kt_fail(cast->error, KITH_INVALID,
                       "column \"%s\" is %s; %s has %lld %s, which it cannot hold exactly", cast->column,
                       wanted, kt_cast_row(cast, i, text), (long long)value,
                       from->field->type == KT_DATE64   ? "ms"
                       : from->field->type == KT_DATE32 ? "days"
                                                        : kt_unit_name(from->field->unit));
    }
    return KITH_OK;
}
