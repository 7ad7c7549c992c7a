/* Arithmetic and rounding.
 *
 * Sums and products of integers are made 64 rows at a time, all of them, with a bit for each that overflowed;
 * only a bit of a row that was asked for, and whose operands are known, is an error. Quotients by zero are
 * null, of floats too: that is what SQLite says, and it keeps infinities out of filters that never meant one.
 *
 * round() goes away from zero at a half. It works on a decimal's digits, which stay; the type does not
 * change.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "filter/filter_eval.h"

/* ---- sums and products ---- */

typedef uint64_t (*word_fn)(const struct reg *a, const struct reg *b, struct reg *out, uint32_t first);

static uint64_t add_integers(const struct reg *a, const struct reg *b, struct reg *out, uint32_t first)
{
    const int64_t *x = a->integers + first, *y = b->integers + first;
    uint64_t over = 0;
    for (int i = 0; i < 64; i++)
        over |= (uint64_t)__builtin_add_overflow(x[i], y[i], &out->integers[first + (uint32_t)i]) << i;
    return over;
}

static uint64_t subtract_integers(const struct reg *a, const struct reg *b, struct reg *out, uint32_t first)
{
    const int64_t *x = a->integers + first, *y = b->integers + first;
    uint64_t over = 0;
    for (int i = 0; i < 64; i++)
        over |= (uint64_t)__builtin_sub_overflow(x[i], y[i], &out->integers[first + (uint32_t)i]) << i;
    return over;
}

static uint64_t multiply_integers(const struct reg *a, const struct reg *b, struct reg *out, uint32_t first)
{
    const int64_t *x = a->integers + first, *y = b->integers + first;
    uint64_t over = 0;
    for (int i = 0; i < 64; i++)
        over |= (uint64_t)__builtin_mul_overflow(x[i], y[i], &out->integers[first + (uint32_t)i]) << i;
    return over;
}

static uint64_t add_doubles(const struct reg *a, const struct reg *b, struct reg *out, uint32_t first)
{
    for (uint32_t i = first; i < first + 64; i++) out->numbers[i] = a->numbers[i] + b->numbers[i];
    return 0;
}

static uint64_t subtract_doubles(const struct reg *a, const struct reg *b, struct reg *out, uint32_t first)
{
    for (uint32_t i = first; i < first + 64; i++) out->numbers[i] = a->numbers[i] - b->numbers[i];
    return 0;
}

static uint64_t multiply_doubles(const struct reg *a, const struct reg *b, struct reg *out, uint32_t first)
{
    for (uint32_t i = first; i < first + 64; i++) out->numbers[i] = a->numbers[i] * b->numbers[i];
    return 0;
}

static uint64_t add_wides(const struct reg *a, const struct reg *b, struct reg *out, uint32_t first)
{
    uint64_t over = 0;
    for (uint32_t i = 0; i < 64; i++)
        over |=
            (uint64_t)__builtin_add_overflow(a->wides[first + i], b->wides[first + i], &out->wides[first + i])
            << i;
    return over;
}

static uint64_t subtract_wides(const struct reg *a, const struct reg *b, struct reg *out, uint32_t first)
{
    uint64_t over = 0;
    for (uint32_t i = 0; i < 64; i++)
        over |=
            (uint64_t)__builtin_sub_overflow(a->wides[first + i], b->wides[first + i], &out->wides[first + i])
            << i;
    return over;
}

static uint64_t multiply_wides(const struct reg *a, const struct reg *b, struct reg *out, uint32_t first)
{
    uint64_t over = 0;
    for (uint32_t i = 0; i < 64; i++)
        over |=
            (uint64_t)__builtin_mul_overflow(a->wides[first + i], b->wides[first + i], &out->wides[first + i])
            << i;
    return over;
}

/* ---- quotients: zero makes null ---- */

static uint64_t divide_integers(const struct reg *a, const struct reg *b, struct reg *out, uint32_t first)
{
    uint64_t over = 0;
    for (uint32_t i = 0; i < 64; i++) {
        int64_t x = a->integers[first + i], y = b->integers[first + i];
        over |= (uint64_t)(x == INT64_MIN && y == -1) << i;
        if (y == 0)
            out->known[first / 64] &= ~(UINT64_C(1) << i);
        else
            out->integers[first + i] = y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y;
    }
    return over;
}

static uint64_t modulo_integers(const struct reg *a, const struct reg *b, struct reg *out, uint32_t first)
{
    for (uint32_t i = 0; i < 64; i++) {
        int64_t x = a->integers[first + i], y = b->integers[first + i];
        if (y == 0)
            out->known[first / 64] &= ~(UINT64_C(1) << i);
        else
            out->integers[first + i] = y == -1 ? 0 : x % y;
    }
    return 0;
}

static uint64_t divide_doubles(const struct reg *a, const struct reg *b, struct reg *out, uint32_t first)
{
    uint64_t zero = 0;
    for (uint32_t i = 0; i < 64; i++) {
        out->numbers[first + i] = a->numbers[first + i] / b->numbers[first + i];
        zero |= (uint64_t)(b->numbers[first + i] == 0) << i;
    }
    out->known[first / 64] &= ~zero;
    return 0;
}

static uint64_t modulo_doubles(const struct reg *a, const struct reg *b, struct reg *out, uint32_t first)
{
    uint64_t zero = 0;
    for (uint32_t i = 0; i < 64; i++) {
        out->numbers[first + i] = fmod(a->numbers[first + i], b->numbers[first + i]);
        zero |= (uint64_t)(b->numbers[first + i] == 0) << i;
    }
    out->known[first / 64] &= ~zero;
    return 0;
}

static uint64_t modulo_wides(const struct reg *a, const struct reg *b, struct reg *out, uint32_t first)
{
    for (uint32_t i = 0; i < 64; i++) {
        kt_wide y = b->wides[first + i];
        if (y == 0)
            out->known[first / 64] &= ~(UINT64_C(1) << i);
        else
            out->wides[first + i] = y == -1 ? 0 : a->wides[first + i] % y;
    }
    return 0;
}

static const word_fn words[KT_FN_MOD - KT_FN_ADD + 1][FORM_FLOAT + 1] = {
    [KT_FN_ADD -
     KT_FN_ADD] = { [FORM_INT] = add_integers, [FORM_FLOAT] = add_doubles, [FORM_WIDE] = add_wides },
    [KT_FN_SUB - KT_FN_ADD] = { [FORM_INT] = subtract_integers,
                                [FORM_FLOAT] = subtract_doubles,
                                [FORM_WIDE] = subtract_wides },
    [KT_FN_MUL - KT_FN_ADD] = { [FORM_INT] = multiply_integers,
                                [FORM_FLOAT] = multiply_doubles,
                                [FORM_WIDE] = multiply_wides },
    [KT_FN_DIV - KT_FN_ADD] = { [FORM_INT] = divide_integers, [FORM_FLOAT] = divide_doubles },
    [KT_FN_MOD - KT_FN_ADD] = { [FORM_INT] = modulo_integers,
                                [FORM_FLOAT] = modulo_doubles,
                                [FORM_WIDE] = modulo_wides },
};

static kith_status overflow(const struct frame *frame, const struct node *node, const struct reg *a,
                            const struct reg *b, uint32_t row)
{
    if (node->form == FORM_WIDE)
        return kt_fail(frame->error, KITH_INVALID, "a result of %s is beyond the digits of a decimal",
                       kt_fn_name(node->fn));
    return kt_fail(frame->error, KITH_INVALID, "%" PRId64 " %s %" PRId64 " is beyond int64", a->integers[row],
                   kt_fn_name(node->fn), b->integers[row]);
}

kith_status kt_eval_arithmetic(struct frame *frame, const struct node *node, const uint64_t *among,
                               struct reg *out)
{
    struct reg a, b;
    word_fn word = words[node->fn - KT_FN_ADD][node->form];
    kith_status status = kt_reg_take(frame, node->form, out);
    struct mark mark = kt_mark(frame);
    if (!status) status = kt_eval(frame, node->args[0], among, &a);
    if (!status) status = kt_eval(frame, node->args[1], a.known, &b);
    for (uint32_t w = 0; !status && w < frame->words; w++) {
        out->known[w] = b.known[w];
        if (!b.known[w]) continue;
        uint64_t over = word(&a, &b, out, w * 64) & out->known[w];
        if (over) status = overflow(frame, node, &a, &b, w * 64 + (uint32_t)__builtin_ctzll(over));
    }
    kt_rewind(frame, mark);
    return status;
}

/* ---- changes of type that change no value ---- */

kith_status kt_eval_same(struct frame *frame, const struct node *node, const uint64_t *among, struct reg *out)
{
    return kt_eval(frame, node->args[0], among, out);
}

kith_status kt_eval_to_double(struct frame *frame, const struct node *node, const uint64_t *among,
                              struct reg *out)
{
    struct reg from;
    kith_status status = kt_reg_take(frame, FORM_FLOAT, out);
    struct mark mark = kt_mark(frame);
    if (!status) status = kt_eval(frame, node->args[0], among, &from);
    if (status) return status;
    memcpy(out->known, from.known, frame->words * sizeof *out->known);
    for (uint32_t i = 0; i < frame->words * 64; i++) out->numbers[i] = (double)from.integers[i];
    kt_rewind(frame, mark);
    return KITH_OK;
}

/* ---- one number ---- */

static double round_double(double value, int64_t digits)
{
    if (digits == 0 || !isfinite(value)) return round(value);
    if (digits > 300 || digits < -308) return digits > 0 ? value : 0;
    double unit = pow(10, (double)(digits < 0 ? -digits : digits));
    double scaled = digits < 0 ? value / unit : value * unit;
    if (!isfinite(scaled)) return value;
    return digits < 0 ? round(scaled) * unit : round(scaled) / unit;
}

/* Rounds units to a multiple of 10^digits of them. -1 down, 1 up, 0 to the nearest. */
static bool round_wide(kt_wide value, int64_t digits, int direction, kt_wide *out)
{
    *out = value;
    if (digits <= 0) return true;
    if (digits > 38) {
        *out = 0;
        return direction == 0 || value == 0 || (value > 0) != (direction > 0);
    }
    kt_wide unit = kt_wide_power((int32_t)digits), rest = value % unit;
    kt_wide toward = value - rest; /* to zero */
    bool away =
        direction ? rest != 0 && (rest > 0) == (direction > 0) : rest >= unit - rest || -rest >= unit + rest;
    if (!away) {
        *out = toward;
        return true;
    }
    return value < 0 ? !__builtin_sub_overflow(toward, unit, out)
                     : !__builtin_add_overflow(toward, unit, out);
}

static double rounded_double(enum kt_fn fn, double value, int64_t digits)
{
    switch (fn) {
    case KT_FN_ABS:
        return fabs(value);
    case KT_FN_NEG:
        return -value;
    case KT_FN_FLOOR:
        return floor(value);
    case KT_FN_CEIL:
        return ceil(value);
    default:
        return round_double(value, digits);
    }
}

/* `scale` units make one. */
static bool rounded_wide(enum kt_fn fn, kt_wide value, int32_t scale, int64_t digits, kt_wide *out)
{
    switch (fn) {
    case KT_FN_ABS:
        *out = value;
        return value >= 0 || !__builtin_sub_overflow((kt_wide)0, value, out);
    case KT_FN_NEG:
        return !__builtin_sub_overflow((kt_wide)0, value, out);
    case KT_FN_FLOOR:
        return round_wide(value, scale, -1, out);
    case KT_FN_CEIL:
        return round_wide(value, scale, 1, out);
    default:
        if (digits < -400) digits = -400;
        return digits >= scale || round_wide(value, scale - digits, 0, out);
    }
}

kith_status kt_row_rounding(struct call *call, uint32_t row)
{
    const struct node *node = call->node;
    int64_t digits = node->count == 2 ? call->args[1].integers[row] : 0;
    enum form form = node->args[0]->form;
    kt_wide value = 0, rounded;
    if (node->fn == KT_FN_ISNAN) {
        if (form == FORM_FLOAT && isnan(call->args[0].numbers[row])) kt_row_set(call->out->truth, row);
        return KITH_OK;
    }
    if (form == FORM_FLOAT) {
        call->out->numbers[row] = rounded_double(node->fn, call->args[0].numbers[row], digits);
        return KITH_OK;
    }
    value = rounded = form == FORM_INT ? call->args[0].integers[row] : call->args[0].wides[row];
    bool fine = rounded_wide(node->fn, value, node->type.type == KT_DECIMAL128 ? node->type.scale : 0, digits,
                             &rounded);
    if (form == FORM_INT && (rounded > INT64_MAX || rounded < INT64_MIN)) fine = false;
    if (!fine)
        return kt_fail(call->frame->error, KITH_INVALID, "%s of %" PRId64 " is beyond its type",
                       kt_fn_name(node->fn), (int64_t)value);
    if (form == FORM_INT)
        call->out->integers[row] = (int64_t)rounded;
    else
        call->out->wides[row] = rounded;
    return KITH_OK;
}
