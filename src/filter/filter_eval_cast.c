/* Casts, one value at a time: CAST fails where a value has no counterpart, TRY_CAST gives null.
 *
 * Numbers that lose their fraction are rounded: floats to the even neighbour at a half, as processors and
 * DuckDB do, decimals away from zero, as people do. Times that become coarser are cut down. Text is read as
 * literals are (filter_settle.c), and written as they are written.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/filter_eval.h"

enum outcome { CAST_FINE, CAST_REFUSED, CAST_NO_MEMORY };

/* ---- to numbers ---- */

/* From one scale to another; a fraction is rounded away from zero at a half. */
static bool rescale(kt_wide *value, int32_t from, int32_t to)
{
    if (to >= from) return kt_wide_scale(value, to - from);
    if (from - to > 38) {
        *value = 0;
        return true;
    }
    kt_wide unit = kt_wide_power(from - to), rest = *value % unit;
    *value /= unit;
    if (rest >= unit - rest) (*value)++;
    if (-rest >= unit + rest) (*value)--;
    return true;
}

static bool double_to_wide(double number, int32_t scale, kt_wide *out)
{
    double scaled = scale ? number * pow(10, scale) : number;
    if (!(fabs(scaled) < 0x1p126)) return false; /* NaN too */
    *out = (kt_wide)nearbyint(scaled);
    return true;
}

static enum outcome to_number(const struct kt_field *from, const struct kt_field *to, struct cell *cell)
{
    enum form form = kt_form_of(from->type);
    int32_t from_scale = from->type == KT_DECIMAL128 ? from->scale : 0,
            to_scale = to->type == KT_DECIMAL128 ? to->scale : 0;
    kt_wide wide = form == FORM_WIDE ? cell->wide : form == FORM_BOOL ? cell->truth : cell->integer;
    if (kt_field_is_float(to)) {
        double number = form == FORM_FLOAT ? cell->number : kt_wide_double(wide, from_scale);
        cell->number = to->type == KT_FLOAT32   ? (double)(float)number
                       : to->type == KT_FLOAT16 ? (double)kt_half_to_float(kt_half_from(number))
                                                : number;
        return isinf(cell->number) && !isinf(number) ? CAST_REFUSED : CAST_FINE;
    }
    bool fine = form == FORM_FLOAT ? double_to_wide(cell->number, to_scale, &wide)
                                   : rescale(&wide, from_scale, to_scale);
    struct kt_bounds bounds = kt_field_bounds(to);
    if (!fine || wide < bounds.low || wide > bounds.high) return CAST_REFUSED;
    if (kt_form_of(to->type) == FORM_WIDE)
        cell->wide = wide;
    else
        cell->integer = (int64_t)wide;
    return CAST_FINE;
}

/* ---- to times ---- */

static enum outcome to_time(const struct kt_field *from, const struct kt_field *to, struct cell *cell,
                            bool span)
{
    const int64_t day = INT64_C(86400000000000);
    kt_wide value = (kt_wide)cell->integer * kt_field_tick(from), tick = kt_field_tick(to);
    bool clock = to->type == KT_TIME32 || to->type == KT_TIME64;
    if (span && cell->months) return CAST_REFUSED;
    if (span) value += (kt_wide)cell->days * day;
    if (clock && from->type == KT_TIMESTAMP) {
        value %= day;
        if (value < 0) value += day;
    }
    value = value / tick - (value % tick < 0);
    struct kt_bounds bounds = kt_field_bounds(to);
    cell->integer = (int64_t)value;
    return value < bounds.low || value > bounds.high ? CAST_REFUSED : CAST_FINE;
}

/* ---- to text ---- */

static bool put_wide(struct kt_buffer *out, kt_wide value, int32_t scale)
{
    char digits[64];
    int used = 0;
    if (scale < 0) kt_wide_scale(&value, -scale);
    bool negative = value < 0;
    do {
        int digit = (int)(value % 10);
        digits[used++] = (char)('0' + (digit < 0 ? -digit : digit));
        value /= 10;
        if (used == scale) digits[used++] = '.';
    } while (value || used <= scale + (scale > 0));
    if (negative) digits[used++] = '-';
    if (!kt_buffer_reserve(out, (size_t)used)) return false;
    while (used) out->data[out->size++] = (uint8_t)digits[--used];
    return true;
}

/* The double of the fewest digits among those that are this float or half. */
static double shortest(enum kt_type type, double value)
{
    char text[32];
    for (int digits = 3; digits < 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        double shorter = strtod(text, NULL);
        if ((type == KT_FLOAT16 ? (double)kt_half_to_float(kt_half_from(shorter)) : (double)(float)shorter) ==
            value)
            return shorter;
    }
    return value;
}

static enum outcome to_text(struct frame *frame, const struct kt_field *from, struct cell *cell)
{
    struct kt_buffer buffer = { 0 };
    bool fine = true;
    if (from->type == KT_FLOAT32 || from->type == KT_FLOAT16)
        cell->number = shortest(from->type, cell->number);
    struct kt_value value = kt_cell_value(from, cell, false);
    if (kt_form_of(from->type) == FORM_WIDE)
        fine = put_wide(&buffer, cell->wide, from->type == KT_DECIMAL128 ? from->scale : 0);
    else
        fine = kt_value_write(&value, &buffer);
    uint8_t *text = fine ? kt_text_take(frame, buffer.size) : NULL;
    if (text) memcpy(text, buffer.data, buffer.size);
    cell->bytes = (struct slice){ text, buffer.size };
    kt_buffer_release(&buffer);
    return text ? CAST_FINE : CAST_NO_MEMORY;
}

/* ---- the row ---- */

static enum outcome cast(struct frame *frame, const struct kt_field *from, const struct kt_field *to,
                         struct cell *cell)
{
    struct kt_field read;
    bool span = false;
    if (kt_field_is_bytes(to) && kt_field_is_bytes(from)) {
        bool fits = to->type != KT_FIXED_BINARY || cell->bytes.size == (size_t)to->width;
        bool text = !kt_field_is_text(to) || kt_field_is_text(from) ||
                    kt_utf8_valid(cell->bytes.at, cell->bytes.size);
        return fits && text ? CAST_FINE : CAST_REFUSED;
    }
    if (kt_field_is_text(to)) return to_text(frame, from, cell);
    if (kt_field_is_text(from)) {
        if (!kt_read_cell(to, cell->bytes, &read, cell)) return CAST_REFUSED;
        from = &read;
        span = from->type == KT_DURATION;
    }
    if (kt_field_tick(to)) return to_time(from, to, cell, span);
    if (to->type != KT_BOOL) return to_number(from, to, cell);
    enum form form = kt_form_of(from->type);
    cell->truth = form == FORM_BOOL    ? cell->truth
                  : form == FORM_FLOAT ? cell->number != 0
                  : form == FORM_WIDE  ? cell->wide != 0
                                       : cell->integer != 0;
    return CAST_FINE;
}

static kith_status refuse(struct call *call, const struct cell *given)
{
    const struct kt_field *from = &call->node->args[0]->type;
    char type[128], text[64] = "a value";
    kt_field_type_text(&call->node->type, type, sizeof type);
    struct cell cell = *given;
    if (kt_field_is_text(from) || to_text(call->frame, from, &cell) == CAST_FINE)
        snprintf(text, sizeof text, "'%.*s'", (int)(cell.bytes.size < 60 ? cell.bytes.size : 60),
                 (const char *)cell.bytes.at);
    return kt_fail(call->frame->error, KITH_INVALID, "%s cannot be cast to %s; TRY_CAST gives null for it",
                   text, type);
}

kith_status kt_row_cast(struct call *call, uint32_t row)
{
    const struct node *node = call->node;
    struct cell given, cell;
    kt_reg_cell(&call->args[0], node->args[0]->form, row, &given);
    cell = given;
    switch (cast(call->frame, &node->args[0]->type, &node->type, &cell)) {
    case CAST_NO_MEMORY:
        return KITH_NO_MEMORY;
    case CAST_REFUSED:
        if (node->fn == KT_FN_CAST) return refuse(call, &given);
        kt_call_null(call, row);
        return KITH_OK;
    default:
        kt_reg_put(call->out, node->form, row, &cell);
        return KITH_OK;
    }
}
