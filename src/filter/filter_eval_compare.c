/* Two values of a row against each other: comparisons of columns, IN with columns among its items, nullif,
 * greatest and least.
 *
 * How two types compare is settled when they are bound (struct pair); rows then give a sign each, -1, 0 or 1,
 * and the comparison accepts some of the three. Nothing is rounded: an integer beside a double compares as
 * the real numbers they are, decimals of two scales and times of two units in 128 bits. Only decimals beside
 * floats become doubles, as everywhere.
 */
#include <math.h>
#include <string.h>

#include "filter/filter_eval.h"

static int sign_of_doubles(double a, double b)
{
    if (isnan(a) || isnan(b)) return (int)isnan(a) - (int)isnan(b);
    return (a > b) - (a < b);
}

static int sign_of_mixed(int64_t a, double b)
{
    if (isnan(b) || b >= 0x1p63) return -1;
    if (b < -0x1p63) return 1;
    int64_t whole = (int64_t)b; /* towards zero */
    if (a != whole) return a > whole ? 1 : -1;
    double rest = b - (double)whole;
    return (rest < 0) - (rest > 0);
}

/* One of the factors is 1, or neither product can overflow. */
static int sign_of_wides(kt_wide a, kt_wide b, const struct pair *pair)
{
    kt_wide x, y;
    if (__builtin_mul_overflow(a, pair->factor_a, &x)) return a < 0 ? -1 : 1;
    if (__builtin_mul_overflow(b, pair->factor_b, &y)) return b < 0 ? 1 : -1;
    return (x > y) - (x < y);
}

static kt_wide wide_at(const struct reg *reg, enum form form, uint32_t row)
{
    return form == FORM_WIDE ? reg->wides[row] : reg->integers[row];
}

static double double_at(const struct reg *reg, enum form form, const struct pair *pair, uint32_t row)
{
    return form == FORM_FLOAT ? reg->numbers[row] : kt_wide_double(reg->wides[row], pair->scale);
}

static int sign_at(const struct pair *pair, const struct reg *a, const struct reg *b, uint32_t row)
{
    switch (pair->kind) {
    case PAIR_BOOL:
        return (int)kt_row_bit(a->truth, row) - (int)kt_row_bit(b->truth, row);
    case PAIR_WIDE:
        return sign_of_wides(wide_at(a, pair->a, row), wide_at(b, pair->b, row), pair);
    case PAIR_WIDE_FLOAT:
        return sign_of_doubles(double_at(a, pair->a, pair, row), double_at(b, pair->b, pair, row));
    case PAIR_INT_FLOAT:
        return pair->a == FORM_INT ? sign_of_mixed(a->integers[row], b->numbers[row])
                                   : -sign_of_mixed(b->integers[row], a->numbers[row]);
    case PAIR_FLOAT:
        return sign_of_doubles(a->numbers[row], b->numbers[row]);
    case PAIR_BYTES: {
        int order = kt_slice_compare(a->bytes[row], b->bytes[row]);
        return (order > 0) - (order < 0);
    }
    default:
        return (a->integers[row] > b->integers[row]) - (a->integers[row] < b->integers[row]);
    }
}

static void *cell_value(struct cell *cell, enum form form)
{
    switch (form) {
    case FORM_FLOAT:
        return &cell->number;
    case FORM_WIDE:
        return &cell->wide;
    case FORM_BYTES:
        return &cell->bytes;
    default:
        return &cell->integer;
    }
}

/* Cells as registers of one row. */
bool kt_pair_equal(const struct pair *pair, const struct cell *a, const struct cell *b)
{
    uint64_t known = 1, a_truth = a->truth, b_truth = b->truth;
    struct cell x = *a, y = *b;
    struct reg left = { .known = &known,
                        .values = pair->kind == PAIR_BOOL ? (void *)&a_truth : cell_value(&x, pair->a) },
               right = { .known = &known,
                         .values = pair->kind == PAIR_BOOL ? (void *)&b_truth : cell_value(&y, pair->b) };
    return sign_at(pair, &left, &right, 0) == 0;
}

/* The signs of rows that are known in both. */
static void compare(const struct frame *frame, const struct pair *pair, const struct reg *a,
                    const struct reg *b, int8_t *sign)
{
    uint64_t known[KT_PIECE_WORDS];
    uint32_t row, rows = frame->words * 64;
    if (pair->kind == PAIR_INT) {
        for (uint32_t i = 0; i < rows; i++)
            sign[i] = (int8_t)((a->integers[i] > b->integers[i]) - (a->integers[i] < b->integers[i]));
        return;
    }
    for (uint32_t w = 0; w < frame->words; w++) known[w] = a->known[w] & b->known[w];
    for (struct walk walk = kt_walk(known, frame->words); kt_walk_next(&walk, &row);)
        sign[row] = (int8_t)sign_at(pair, a, b, row);
}

/* A word of rows whose sign is accepted: bit 0 for below, 1 for equal, 2 for above. */
static uint64_t accepted(const int8_t *sign, unsigned accept)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < 64; i++) bits |= (uint64_t)(accept >> (sign[i] + 1) & 1) << i;
    return bits;
}

static unsigned accept_of(enum kt_fn fn)
{
    static const uint8_t accepts[] = {
        [KT_FN_EQ] = 2, [KT_FN_NE] = 5, [KT_FN_LT] = 1, [KT_FN_LE] = 3, [KT_FN_GT] = 4, [KT_FN_GE] = 6
    };
    return fn <= KT_FN_GE ? accepts[fn] : 2;
}

kith_status kt_eval_compare(struct frame *frame, const struct node *node, const uint64_t *among,
                            struct reg *out)
{
    const struct pair *pair = node->plan;
    bool distinct = node->fn == KT_FN_DISTINCT || node->fn == KT_FN_NOT_DISTINCT;
    int8_t sign[KT_PIECE] = { 0 };
    struct reg a, b;
    kith_status status = kt_reg_take(frame, FORM_BOOL, out);
    struct mark mark = kt_mark(frame);
    if (!status) status = kt_eval(frame, node->args[0], among, &a);
    if (!status) status = kt_eval(frame, node->args[1], distinct ? among : a.known, &b);
    if (status) return status;
    compare(frame, pair, &a, &b, sign);
    for (uint32_t w = 0; w < frame->words; w++) {
        uint64_t both = a.known[w] & b.known[w], hits = accepted(sign + w * 64, accept_of(node->fn)) & both;
        out->known[w] = distinct ? among[w] : both;
        if (distinct) hits |= among[w] & ~a.known[w] & ~b.known[w];
        out->truth[w] = node->fn == KT_FN_DISTINCT ? among[w] & ~hits : hits;
    }
    kt_rewind(frame, mark);
    return KITH_OK;
}

/* x IN (values, columns...): the values are the node's test. */
kith_status kt_eval_in(struct frame *frame, const struct node *node, const uint64_t *among, struct reg *out)
{
    const struct pair *pairs = node->plan;
    uint64_t ask[KT_PIECE_WORDS], hits[KT_PIECE_WORDS] = { 0 };
    int8_t sign[KT_PIECE] = { 0 };
    struct reg x, item;
    kith_status status = kt_reg_take(frame, FORM_BOOL, out);
    struct mark mark = kt_mark(frame);
    if (!status) status = kt_eval(frame, node->args[0], among, &x);
    if (status) return status;
    if (node->test) kt_test_reg(frame, node->test, &x, hits);
    for (uint32_t w = 0; w < frame->words; w++) {
        out->truth[w] = hits[w];
        out->known[w] = node->test && node->test->null_among ? hits[w] : x.known[w];
        ask[w] = x.known[w] & ~hits[w];
    }
    struct mark above = kt_mark(frame);
    for (uint32_t i = 1; !status && i < node->count; i++) {
        if (kt_is_literal(node->args[i])) continue;
        status = kt_eval(frame, node->args[i], ask, &item);
        if (status) break;
        compare(frame, &pairs[i], &x, &item, sign);
        for (uint32_t w = 0; w < frame->words; w++) {
            uint64_t equal = accepted(sign + w * 64, accept_of(KT_FN_EQ)) & item.known[w] & ask[w];
            out->truth[w] |= equal;
            out->known[w] &= item.known[w];
            ask[w] &= ~equal;
        }
        kt_rewind(frame, above);
    }
    for (uint32_t w = 0; w < frame->words; w++) out->known[w] |= out->truth[w];
    kt_rewind(frame, mark);
    return status;
}

kith_status kt_eval_nullif(struct frame *frame, const struct node *node, const uint64_t *among,
                           struct reg *out)
{
    int8_t sign[KT_PIECE] = { 0 };
    struct reg a, b;
    kith_status status = kt_reg_take(frame, node->form, out);
    struct mark mark = kt_mark(frame);
    if (!status) status = kt_eval(frame, node->args[0], among, &a);
    if (!status) status = kt_eval(frame, node->args[1], a.known, &b);
    if (status) return status;
    compare(frame, node->plan, &a, &b, sign);
    memset(out->known, 0, frame->words * sizeof *out->known);
    uint64_t kept[KT_PIECE_WORDS];
    for (uint32_t w = 0; w < frame->words; w++)
        kept[w] = a.known[w] & ~(accepted(sign + w * 64, accept_of(KT_FN_EQ)) & b.known[w]);
    if (node->form == FORM_BOOL) memset(out->truth, 0, frame->words * sizeof *out->truth);
    kt_reg_merge(frame, node->form, out, &a, kept);
    kt_rewind(frame, mark);
    return KITH_OK;
}

/* greatest() and least(): nulls are passed over. */
kith_status kt_eval_most(struct frame *frame, const struct node *node, const uint64_t *among, struct reg *out)
{
    unsigned better = node->fn == KT_FN_GREATEST ? accept_of(KT_FN_GT) : accept_of(KT_FN_LT);
    int8_t sign[KT_PIECE] = { 0 };
    kith_status status = kt_reg_take(frame, node->form, out);
    if (status) return status;
    struct mark mark = kt_mark(frame);
    memset(out->known, 0, frame->words * sizeof *out->known);
    if (node->form == FORM_BOOL) memset(out->truth, 0, frame->words * sizeof *out->truth);
    for (uint32_t i = 0; !status && i < node->count; i++) {
        uint64_t take[KT_PIECE_WORDS];
        struct reg item;
        status = kt_eval(frame, node->args[i], among, &item);
        if (status) break;
        compare(frame, node->plan, &item, out, sign);
        for (uint32_t w = 0; w < frame->words; w++)
            take[w] = item.known[w] & (~out->known[w] | accepted(sign + w * 64, better));
        kt_reg_merge(frame, node->form, out, &item, take);
        kt_rewind(frame, mark);
    }
    return status;
}
