/* Arithmetic, casts and parts of times, when they are bound: which types meet and what comes out.
 *
 *     integer o integer                  int64; an overflow is an error
 *     decimal o decimal or integer       decimal; of a quotient: double
 *     double  o number                   double
 *     date +- integer                    date, by days
 *     date, timestamp +- interval        timestamp
 *     date - date                        int64, days
 *     timestamp - timestamp              duration
 *     timestamp, duration +- duration    as the left one, in the finer unit
 *
 * A text literal beside a number is a number. A literal interval has months, which no column of durations can
 * hold; it is added by the calendar, row by row.
 */
#include <string.h>

#include "filter/filter_bind.h"

static void become(struct node *node, const struct kt_field *type, eval_fn eval, float cost)
{
    node->type = *type;
    node->form = kt_form_of(type->type);
    node->eval = eval;
    node->cost = cost;
    node->share = 0.5f;
}

static kith_status become_null(struct binder *binder, struct node **place)
{
    *place = kt_bind_null(binder, *place, KT_NULL);
    return *place ? KITH_OK : KITH_NO_MEMORY;
}

/* ---- casts ---- */

/* Whether a register of one type is one of the other. */
static bool same_values(const struct kt_field *from, const struct kt_field *to)
{
    bool integers = kt_field_is_integer(from) && kt_form_of(from->type) == FORM_INT && to->type == KT_INT64;
    bool floats = kt_field_is_float(from) && to->type == KT_FLOAT64;
    bool texts = kt_field_is_text(from) && kt_field_is_bytes(to) && to->type != KT_DICTIONARY &&
                 to->type != KT_FIXED_BINARY;
    bool binaries = kt_field_is_bytes(from) && to->type == KT_BINARY;
    bool naturals = from->type == KT_UINT64 && to->type == KT_DECIMAL128 && to->scale == 0 && to->width == 38;
    return integers || floats || texts || binaries || naturals || kt_field_same_type(from, to);
}

static bool can_cast(const struct kt_field *from, const struct kt_field *to)
{
    bool number = kt_field_is_number(from) || from->type == KT_BOOL;
    if (kt_form_of(from->type) == FORM_NESTED || kt_form_of(to->type) == FORM_NESTED) return false;
    if (kt_field_is_text(to) || kt_field_is_text(from)) return true;
    if (kt_field_is_bytes(to) || kt_field_is_bytes(from))
        return kt_field_is_bytes(to) && kt_field_is_bytes(from);
    if (kt_field_is_number(to) || to->type == KT_BOOL) return number;
    if (number) return false;
    bool clock = to->type == KT_TIME32 || to->type == KT_TIME64;
    struct kt_field common;
    return kt_field_common(from, to, &common) || (clock && from->type == KT_TIMESTAMP);
}

kith_status kt_bind_cast(struct binder *binder, enum kt_fn fn, const struct kt_field *type,
                         struct node **place)
{
    struct node *arg = *place;
    if (kt_field_same_type(&arg->type, type) && arg->form == kt_form_of(type->type)) return KITH_OK;
    if (arg->form == FORM_NULL) {
        *place = kt_bind_literal(binder, arg, type, &(struct cell){ .null = true });
        return *place ? KITH_OK : KITH_NO_MEMORY;
    }
    struct node *node = kt_bind_node(binder, fn, arg, 1);
    if (!node) return KITH_NO_MEMORY;
    node->args[0] = arg;
    bool same = same_values(&arg->type, type);
    bool to_double = arg->form == FORM_INT && type->type == KT_FLOAT64 && kt_field_is_integer(&arg->type);
    become(node, type, same ? kt_eval_same : to_double ? kt_eval_to_double : kt_eval_rows, same ? 0 : 3);
    node->row = kt_row_cast;
    node->may_fail = fn == KT_FN_CAST && !same && !to_double && !kt_field_is_text(type);
    if (node->eval == kt_eval_rows) node->cost = 25;
    *place = node;
    return kt_bind_fold(binder, place);
}

kith_status kt_bind_written_cast(struct binder *binder, struct node **place)
{
    struct node *node = *place, *arg = node->args[0];
    struct kt_field type = node->type;
    char from[KT_TYPE_TEXT], to[KT_TYPE_TEXT];
    if (arg->form == FORM_SPAN || arg->form == FORM_LIST ||
        (arg->form != FORM_NULL && !can_cast(&arg->type, &type))) {
        kt_bind_type_text(arg, from);
        kt_field_type_text(&type, to, sizeof to);
        return kt_bind_fail(binder, KITH_TYPE, node, "%s cannot be cast to %s", from, to);
    }
    enum kt_fn fn = node->fn;
    *place = arg;
    return kt_bind_cast(binder, fn, &type, place);
}

/* ---- numbers ---- */

static kith_status cast_both(struct binder *binder, struct node *node, const struct kt_field *type)
{
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < node->count; i++)
        status = kt_bind_cast(binder, KT_FN_CAST, type, &node->args[i]);
    return status;
}

static int32_t scale_of(const struct node *node)
{
    return node->type.type == KT_DECIMAL128 ? node->type.scale : 0;
}

static kith_status cast_to_scale(struct binder *binder, struct node **arg, int32_t scale)
{
    struct kt_field type = kt_field_plain(KT_DECIMAL128);
    type.scale = scale;
    return kt_bind_cast(binder, KT_FN_CAST, &type, arg);
}

/* Decimals: a sum at the finer scale, a product at the sum of both. */
static kith_status bind_decimals(struct binder *binder, struct node *node)
{
    int32_t a = scale_of(node->args[0]), b = scale_of(node->args[1]), finer = a > b ? a : b;
    bool product = node->fn == KT_FN_MUL;
    struct kt_field type = kt_field_plain(KT_DECIMAL128);
    type.scale = product ? a + b : finer;
    if (type.scale > 38)
        return kt_bind_fail(binder, KITH_TYPE, node,
                            "the product of decimals of scale %d and %d has no place in "
                            "38 digits; cast one to double",
                            a, b);
    kith_status status = cast_to_scale(binder, &node->args[0], product ? a : finer);
    if (!status) status = cast_to_scale(binder, &node->args[1], product ? b : finer);
    become(node, &type, kt_eval_arithmetic, 4);
    node->may_fail = true;
    return status;
}

static kith_status bind_numbers(struct binder *binder, struct node *node)
{
    const struct kt_field *a = &node->args[0]->type, *b = &node->args[1]->type;
    struct kt_field type = kt_field_plain(KT_INT64);
    bool decimals = a->type == KT_DECIMAL128 || b->type == KT_DECIMAL128;
    if (kt_field_is_float(a) || kt_field_is_float(b) || (decimals && node->fn == KT_FN_DIV))
        type.type = KT_FLOAT64;
    else if (decimals)
        return bind_decimals(binder, node);
    kith_status status = cast_both(binder, node, &type);
    become(node, &type, kt_eval_arithmetic, node->fn == KT_FN_DIV || node->fn == KT_FN_MOD ? 6 : 1.5f);
    node->may_fail = type.type == KT_INT64 && node->fn != KT_FN_MOD;
    return status;
}

/* ---- times ---- */

static struct kt_field at_least_micro(const struct kt_field *moment)
{
    struct kt_field type = kt_field_plain(KT_TIMESTAMP);
    if (moment->type == KT_TIMESTAMP) {
        type = *moment;
        if (type.unit < KT_MICROSECOND) type.unit = KT_MICROSECOND;
    }
    return type;
}

/* moment +- a literal interval; `node->value` keeps the interval as it is to be added. */
static kith_status bind_span(struct binder *binder, struct node *node)
{
    struct cell span = node->args[1]->value;
    struct kt_field type = at_least_micro(&node->args[0]->type);
    if (node->args[0]->type.type == KT_DURATION) {
        if (span.months)
            return kt_bind_fail(binder, KITH_TYPE, node->args[1],
                                "months have no fixed length; a duration is longer by days and times only");
        type = node->args[0]->type;
        type.unit = type.unit < KT_MICROSECOND ? KT_MICROSECOND : type.unit;
    }
    if (node->fn == KT_FN_SUB && (__builtin_sub_overflow(0, span.months, &span.months) ||
                                  __builtin_sub_overflow(0, span.days, &span.days) ||
                                  __builtin_sub_overflow(0, span.integer, &span.integer)))
        return kt_bind_fail(binder, KITH_INVALID, node->args[1], "the interval is too long to be subtracted");
    struct cell *plan = kt_bind_take(binder, 1, sizeof *plan);
    if (!plan) return KITH_NO_MEMORY;
    *plan = span;
    kith_status status = kt_bind_cast(binder, KT_FN_CAST, &type, &node->args[0]);
    become(node, &type, kt_eval_span, 8);
    node->plan = plan;
    node->may_fail = true;
    return status;
}

/* Both in the finer unit; then they are integers. */
static kith_status bind_ticks(struct binder *binder, struct node *node, struct kt_field left,
                              struct kt_field right, struct kt_field type)
{
    bool units = left.type != KT_DATE32;
    enum kt_unit unit = left.unit > right.unit ? left.unit : right.unit;
    if (units) left.unit = right.unit = type.unit = unit;
    kith_status status = kt_bind_cast(binder, KT_FN_CAST, &left, &node->args[0]);
    if (!status) status = kt_bind_cast(binder, KT_FN_CAST, &right, &node->args[1]);
    become(node, &type, kt_eval_arithmetic, 2);
    node->may_fail = true;
    return status;
}

static kith_status bind_times(struct binder *binder, struct node *node, bool *fine)
{
    const struct kt_field *a = &node->args[0]->type, *b = &node->args[1]->type;
    struct kt_field days = kt_field_plain(KT_INT64), day = kt_field_plain(KT_DATE32),
                    span = kt_field_plain(KT_DURATION), moment = at_least_micro(a);
    bool minus = node->fn == KT_FN_SUB, a_date = a->type == KT_DATE32 || a->type == KT_DATE64,
         b_date = b->type == KT_DATE32 || b->type == KT_DATE64;
    *fine = minus || node->fn == KT_FN_ADD;
    if (!*fine) return KITH_OK;
    if (node->args[1]->form == FORM_SPAN && (kt_field_is_moment(a) || a->type == KT_DURATION))
        return bind_span(binder, node);
    if (a_date && kt_field_is_integer(b)) return bind_ticks(binder, node, day, days, day);
    if (a_date && b_date && minus) return bind_ticks(binder, node, day, day, days);
    if (a->type == KT_TIMESTAMP) moment = *a;
    if (kt_field_is_moment(a) && kt_field_is_moment(b) && minus)
        return bind_ticks(binder, node, moment, b->type == KT_TIMESTAMP ? *b : moment, span);
    if (kt_field_is_moment(a) && b->type == KT_DURATION && node->args[1]->form != FORM_SPAN)
        return bind_ticks(binder, node, moment, *b, moment);
    if (a->type == KT_DURATION && b->type == KT_DURATION && node->args[0]->form != FORM_SPAN)
        return bind_ticks(binder, node, *a, *b, *a);
    *fine = false;
    return KITH_OK;
}

/* ---- the doors ---- */

/* A text literal beside another type, as a literal of that. */
static kith_status read_beside(struct binder *binder, struct node **literal, const struct node *other)
{
    struct kt_field type;
    struct cell cell;
    if (!kt_is_literal(*literal) || !kt_field_is_text(&(*literal)->type) || kt_field_is_bytes(&other->type))
        return KITH_OK;
    if (!kt_read_cell(&other->type, (*literal)->value.bytes, &type, &cell))
        return kt_bind_unreadable(binder, *literal, other);
    *literal = kt_bind_literal(binder, *literal, &type, &cell);
    if (*literal && type.type == KT_DURATION) (*literal)->form = FORM_SPAN;
    return *literal ? KITH_OK : KITH_NO_MEMORY;
}

/* What is added comes second: interval + date, 3 + date. */
static void put_moment_first(struct node *node)
{
    struct node *a = node->args[0], *b = node->args[1];
    bool swap = node->fn == KT_FN_ADD && kt_field_tick(&b->type) && b->form != FORM_SPAN &&
                (!kt_field_tick(&a->type) || a->form == FORM_SPAN ||
                 (a->type.type == KT_DURATION && b->type.type != KT_DURATION));
    if (!swap) return;
    node->args[0] = b;
    node->args[1] = a;
}

kith_status kt_bind_arithmetic(struct binder *binder, struct node **place)
{
    struct node *node = *place;
    bool fine = true;
    if (kt_is_null(node->args[0]) || kt_is_null(node->args[1])) return become_null(binder, place);
    kith_status status = read_beside(binder, &node->args[0], node->args[1]);
    if (!status) status = read_beside(binder, &node->args[1], node->args[0]);
    if (status) return status;
    put_moment_first(node);
    const struct node *a = node->args[0], *b = node->args[1];
    if (kt_field_is_number(&a->type) && kt_field_is_number(&b->type)) return bind_numbers(binder, node);
    status = bind_times(binder, node, &fine);
    return fine ? status : kt_bind_mismatch(binder, node, a, b);
}

static kith_status negate_span(struct binder *binder, struct node **place)
{
    struct node *span = (*place)->args[0];
    struct cell *cell = &span->value;
    if (__builtin_sub_overflow(0, cell->months, &cell->months) ||
        __builtin_sub_overflow(0, cell->days, &cell->days) ||
        __builtin_sub_overflow(0, cell->integer, &cell->integer))
        return kt_bind_fail(binder, KITH_INVALID, span, "the interval is too long to be negative");
    *place = span;
    return KITH_OK;
}

kith_status kt_bind_rounding(struct binder *binder, struct node **place)
{
    struct node *node = *place;
    const struct node *arg = node->args[0];
    struct kt_field type = arg->type, digits = kt_field_plain(KT_INT64);
    kith_status status = KITH_OK;
    if (kt_is_null(arg) || (node->count == 2 && kt_is_null(node->args[1]))) return become_null(binder, place);
    if (node->fn == KT_FN_NEG && arg->form == FORM_SPAN) return negate_span(binder, place);
    if (!kt_field_is_number(&type) && !(node->fn == KT_FN_NEG && type.type == KT_DURATION)) {
        char text[KT_TYPE_TEXT];
        kt_bind_type_text(arg, text);
        return kt_bind_fail(binder, KITH_TYPE, arg, "%s takes a number, this is %s", kt_fn_name(node->fn),
                            text);
    }
    if (node->count == 2 && !kt_field_is_integer(&node->args[1]->type))
        return kt_bind_fail(binder, KITH_TYPE, node->args[1], "round takes a whole number of digits");
    if (node->count == 2) status = kt_bind_cast(binder, KT_FN_CAST, &digits, &node->args[1]);
    if (kt_field_is_float(&type)) type = kt_field_plain(KT_FLOAT64);
    if (kt_field_is_integer(&type)) type = kt_field_plain(KT_INT64);
    if (!status) status = kt_bind_cast(binder, KT_FN_CAST, &type, &node->args[0]);
    if (node->fn == KT_FN_ISNAN) type = kt_field_plain(KT_BOOL);
    become(node, &type, kt_eval_rows, 4);
    node->row = kt_row_rounding;
    node->may_fail = type.type != KT_FLOAT64 && type.type != KT_BOOL;
    return status;
}

kith_status kt_bind_date_part(struct binder *binder, struct node **place)
{
    struct node *node = *place, *part = node->args[0];
    struct kt_field type = kt_field_plain(KT_INT64), moment = kt_field_plain(KT_TIMESTAMP);
    struct node stamp = { .type = moment, .form = FORM_INT };
    struct date_part *plan = kt_bind_take(binder, 1, sizeof *plan);
    if (!plan) return KITH_NO_MEMORY;
    if (kt_is_null(part) || kt_is_null(node->args[1])) return become_null(binder, place);
    if (!kt_is_literal(part) || !kt_field_is_text(&part->type))
        return kt_bind_fail(binder, KITH_TYPE, part, "date_part takes the name of a part first, in quotes");
    if (!kt_date_part_named(part->value.bytes, plan))
        return kt_bind_fail(binder, KITH_INVALID, part,
                            "there is no part \"%.*s\"; there are year, quarter, month, week, day, dow, doy, "
                            "hour, minute, second, millisecond, microsecond, epoch and more",
                            (int)(part->value.bytes.size < 40 ? part->value.bytes.size : 40),
                            (const char *)part->value.bytes.at);
    kith_status status = read_beside(binder, &node->args[1], &stamp);
    if (status) return status;
    const struct node *of = node->args[1];
    if (of->form == FORM_SPAN || !kt_date_part_fits(plan, &of->type)) {
        char text[KT_TYPE_TEXT];
        kt_bind_type_text(of, text);
        return kt_bind_fail(binder, KITH_TYPE, of, "%s has no part \"%s\"", text, plan->name);
    }
    if (plan->gives_double) type.type = KT_FLOAT64;
    become(node, &type, kt_eval_rows, 12);
    node->row = kt_row_date_part;
    node->plan = plan;
    return KITH_OK;
}
