/* What statistics of a block rule out, before the block is read.
 *
 * A condition may be true, false or null in some row of a block: statistics say which of the three cannot be.
 * A column's values lie between its least and greatest; a range that does not meet them makes a comparison
 * never true, one that holds all of them never false. AND, OR, NOT and IS combine the three as they combine
 * single values; whatever statistics do not speak of may be anything. So a verdict is never wrong, whatever
 * the block holds; it may only be that nothing is ruled out.
 *
 * Texts in statistics are cut at 64 bytes (column_stats.c): a least value stays a lower bound; a greatest one
 * stands for all texts that begin with it, so the bound is the first text that does not. Floats have NaN
 * counted apart.
 */
#include <math.h>
#include <string.h>

#include "filter/filter_eval.h"

enum { IS_TRUE = 1, IS_FALSE = 2, IS_NULL = 4, ANYTHING = 7, TEXT_MAX = 64 };

struct column_facts {
    int64_t rows, nulls, nans; /* -1: nobody says */
    bool has_values;           /* the range is known */
    struct range range;        /* of values that are neither null nor NaN */
    uint8_t low[TEXT_MAX + 1], high[TEXT_MAX + 1];
};

/* ---- reading ---- */

static const json_t *find_column(const struct kt_schema *schema, const json_t *stats, uint32_t column)
{
    const json_t *columns = json_object_get(stats, "columns"), *here = json_array_get(columns, column);
    json_int_t id = schema->fields[column].id;
    if (here && json_integer_value(json_object_get(here, "id")) == id) return here;
    for (size_t i = 0; id >= 0 && i < json_array_size(columns); i++) {
        here = json_array_get(columns, i);
        const json_t *other = json_object_get(here, "id");
        if (json_is_integer(other) && json_integer_value(other) == id) return here;
    }
    return NULL;
}

static int64_t number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static bool read_bound(const struct kt_field *type, const json_t *entry, const char *key, uint8_t *bytes,
                       struct cell *out)
{
    const char *hex = json_string_value(json_object_get(entry, key));
    size_t size = hex ? strlen(hex) / 2 : 0;
    static const uint8_t sizes[] = {
        [KT_BOOL] = 1,    [KT_INT8] = 1,    [KT_INT16] = 2,     [KT_INT32] = 4,   [KT_INT64] = 8,
        [KT_UINT8] = 1,   [KT_UINT16] = 2,  [KT_UINT32] = 4,    [KT_UINT64] = 8,  [KT_FLOAT16] = 2,
        [KT_FLOAT32] = 4, [KT_FLOAT64] = 8, [KT_DATE32] = 4,    [KT_DATE64] = 8,  [KT_DECIMAL128] = 16,
        [KT_TIME32] = 4,  [KT_TIME64] = 8,  [KT_TIMESTAMP] = 8, [KT_DURATION] = 8
    };
    bool text = kt_field_is_bytes(type);
    if (!hex || size > TEXT_MAX || !kt_unhex(hex, size, bytes)) return false;
    if (!text && (type->type > KT_DURATION || size != sizes[type->type] || !size)) return false;
    *out = (struct cell){ 0 };
    _Alignas(16) uint8_t value[16] = { 0 };
    if (!text) memcpy(value, bytes, size);
    if (text)
        out->bytes = (struct slice){ bytes, size };
    else /* an array of one */
        kt_array_cell(&(struct kt_array){ .field = type, .length = 1, .values = value }, 0, out);
    return true;
}

/* What begins with the greatest value lies below the first text that does not. */
static void open_cut(struct column_facts *facts)
{
    struct slice *high = &facts->range.high.bytes;
    if (high->size < TEXT_MAX) return;
    while (high->size && facts->high[high->size - 1] == 0xff) high->size--;
    facts->range.high_open = true;
    facts->range.has_high = high->size > 0;
    if (high->size) facts->high[high->size - 1]++;
}

static void read_facts(const struct kt_filter *filter, const json_t *stats, const struct place *place,
                       struct column_facts *out)
{
    *out = (struct column_facts){ .rows = -1, .nulls = -1, .nans = -1 };
    if (place->column < 0 || place->count) return;
    const struct kt_field *type = &filter->schema->fields[place->column];
    const json_t *entry = find_column(filter->schema, stats, (uint32_t)place->column);
    out->rows = number_of(stats, "rows");
    out->nulls = number_of(entry, "nulls");
    out->nans = kt_field_is_float(type) ? number_of(entry, "nans") : 0;
    out->has_values = read_bound(type, entry, "min", out->low, &out->range.low) &&
                      read_bound(type, entry, "max", out->high, &out->range.high);
    out->range.has_low = out->range.has_high = out->has_values;
    if (out->has_values && kt_field_is_bytes(type)) open_cut(out);
}

/* ---- one column ---- */

static bool within(enum form form, const struct range *inner, const struct range *outer)
{
    if (outer->none || (outer->has_low && !inner->has_low) || (outer->has_high && !inner->has_high))
        return false;
    if (outer->has_low) {
        int order = kt_cell_compare(form, &inner->low, &outer->low);
        if (order < 0 || (order == 0 && outer->low_open && !inner->low_open)) return false;
    }
    if (!outer->has_high) return true;
    int order = kt_cell_compare(form, &inner->high, &outer->high);
    return order < 0 || (order == 0 && (!outer->high_open || inner->high_open));
}

static unsigned judge_values(const struct test *test, const struct range *range)
{
    unsigned found = 0;
    if (test->kind == TEST_RANGE) {
        struct range meet = kt_range_meet(test->form, range, &test->range);
        return (meet.none ? 0 : IS_TRUE) | (within(test->form, range, &test->range) ? 0 : IS_FALSE);
    }
    for (uint32_t i = 0; i < test->count && !found; i++)
        if (kt_range_has(test->form, range, &test->values[i])) found = IS_TRUE;
    bool one = range->has_low && range->has_high && !range->low_open && !range->high_open &&
               kt_cell_compare(test->form, &range->low, &range->high) == 0;
    return found | (one && found ? 0 : IS_FALSE);
}

static unsigned judge_test(const struct kt_filter *filter, const struct node *node, const json_t *stats)
{
    struct column_facts facts;
    if (!node->subject->place) return ANYTHING;
    read_facts(filter, stats, node->subject->place, &facts);
    unsigned may = 0;
    struct cell nan = { 0 };
    nan.number = (double)NAN;
    bool nothing = facts.rows >= 0 && facts.nulls >= facts.rows;
    if (facts.has_values)
        may = judge_values(node->test, &facts.range);
    else if (!nothing && !(facts.rows >= 0 && facts.nans > 0 && facts.nans + facts.nulls >= facts.rows))
        may = IS_TRUE | IS_FALSE;
    if (facts.nans < 0) may = IS_TRUE | IS_FALSE;
    if (facts.nans > 0) may |= kt_test_has(node->test, &nan) ? IS_TRUE : IS_FALSE;
    if (node->test->null_among && may & IS_FALSE) may = (may & ~(unsigned)IS_FALSE) | IS_NULL;
    if (node->negate) may = (may & IS_NULL) | (may & IS_TRUE ? IS_FALSE : 0) | (may & IS_FALSE ? IS_TRUE : 0);
    return may | (facts.nulls == 0 ? 0 : IS_NULL);
}

static unsigned judge_null(const struct kt_filter *filter, const struct node *node, const json_t *stats)
{
    struct column_facts facts;
    unsigned may = IS_TRUE | IS_FALSE;
    read_facts(filter, stats, node->args[0]->place, &facts);
    if (facts.nulls == 0) may = IS_FALSE;
    if (facts.rows >= 0 && facts.nulls >= facts.rows) may = IS_TRUE;
    if (node->fn == KT_FN_IS_NOT_NULL && may != (IS_TRUE | IS_FALSE)) may ^= IS_TRUE | IS_FALSE;
    return may;
}

/* ---- conditions ---- */

/* The worst of two for AND, the best for OR: true above null above false. */
static unsigned both(enum kt_fn fn, unsigned a, unsigned b)
{
    static const unsigned by_rank[] = { IS_FALSE, IS_NULL, IS_TRUE };
    unsigned out = 0;
    for (int x = 0; x < 3; x++)
        for (int y = 0; y < 3; y++)
            if (a & by_rank[x] && b & by_rank[y])
                out |= by_rank[fn == KT_FN_AND ? (x < y ? x : y) : (x > y ? x : y)];
    return out;
}

static unsigned is(enum kt_fn fn, unsigned may)
{
    unsigned yes = fn == KT_FN_IS_TRUE || fn == KT_FN_IS_NOT_TRUE     ? IS_TRUE
                   : fn == KT_FN_IS_FALSE || fn == KT_FN_IS_NOT_FALSE ? IS_FALSE
                                                                      : IS_NULL;
    bool turned = fn == KT_FN_IS_NOT_TRUE || fn == KT_FN_IS_NOT_FALSE || fn == KT_FN_IS_NOT_NULL;
    unsigned out = (may & yes ? IS_TRUE : 0) | (may & ~yes ? IS_FALSE : 0);
    if (!turned) return out;
    return (out & IS_TRUE ? IS_FALSE : 0) | (out & IS_FALSE ? IS_TRUE : 0);
}

static unsigned judge(const struct kt_filter *filter, const struct node *node, const json_t *stats)
{
    unsigned may;
    if (kt_is_literal(node)) return node->value.null ? IS_NULL : node->value.truth ? IS_TRUE : IS_FALSE;
    if (node->eval == kt_eval_lookup) return judge(filter, node->plan, stats);
    if (node->eval == kt_eval_test) return judge_test(filter, node, stats);
    if (node->eval == kt_eval_not) {
        may = judge(filter, node->args[0], stats);
        return (may & IS_NULL) | (may & IS_TRUE ? IS_FALSE : 0) | (may & IS_FALSE ? IS_TRUE : 0);
    }
    if (node->eval == kt_eval_and || node->eval == kt_eval_or) {
        may = node->fn == KT_FN_AND ? IS_TRUE : IS_FALSE;
        for (uint32_t i = 0; i < node->count; i++)
            may = both(node->fn, may, judge(filter, node->args[i], stats));
        return may;
    }
    if (node->eval != kt_eval_is) return ANYTHING;
    if (node->args[0]->place && (node->fn == KT_FN_IS_NULL || node->fn == KT_FN_IS_NOT_NULL))
        return judge_null(filter, node, stats);
    return node->args[0]->form == FORM_BOOL ? is(node->fn, judge(filter, node->args[0], stats))
                                            : (unsigned)(IS_TRUE | IS_FALSE);
}

enum kt_verdict kt_filter_judge(const struct kt_filter *filter, const json_t *stats)
{
    unsigned may = judge(filter, filter->root, stats);
    if (!(may & IS_TRUE)) return KT_NO_ROW;
    return may == IS_TRUE ? KT_EVERY_ROW : KT_SOME_ROWS;
}
