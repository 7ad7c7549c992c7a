/* Comparisons, when they are bound: with constants they become tests of one subject, so that the rows see a
 * range or a set of the subject's own values; else a pair of types that compare.
 *
 * The constant goes to the right: `3 < x` is `x > 3` from here on. LIKE without a wildcard is equality, LIKE
 * 'abc%' the range of texts that begin so; both can be answered by statistics and by an index then.
 *
 * `meta->>'price' > 5`: what a JSON path finds is text, but beside a number everyone means the number in it.
 * This is the one place where a text that is not written down becomes a number by itself; what is no number
 * is null.
 */
#include <stdlib.h>
#include <string.h>

#include "filter/filter_bind.h"

/* ---- tests ---- */

static void become_test(struct node *node, const struct node *subject, const struct test *test, float share)
{
    node->subject = subject;
    node->test = test;
    node->eval = kt_eval_test;
    node->form = FORM_BOOL;
    node->type = kt_field_plain(KT_BOOL);
    node->cost = test->form == FORM_BYTES ? 4 : test->kind == TEST_SET ? 3 : 0.3f;
    node->share = node->negate ? 1 - share : share;
}

static float share_of_range(const struct range *range)
{
    if (range->none) return 0;
    if (!range->has_low && !range->has_high) return 1;
    return range->has_low && range->has_high ? 0.1f : 0.4f;
}

kith_status kt_bind_range(struct binder *binder, struct node *node, const struct node *subject,
                          const struct range *range)
{
    struct test *test = kt_bind_take(binder, 1, sizeof *test);
    if (!test) return KITH_NO_MEMORY;
    test->kind = TEST_RANGE;
    test->form = subject->form;
    test->range = *range;
    become_test(node, subject, test, share_of_range(range));
    return KITH_OK;
}

/* ---- literals beside other types ---- */

kith_status kt_bind_mismatch(struct binder *binder, const struct node *node, const struct node *a,
                             const struct node *b)
{
    char left[KT_TYPE_TEXT], right[KT_TYPE_TEXT];
    kt_bind_type_text(a, left);
    kt_bind_type_text(b, right);
    return kt_bind_fail(binder, KITH_TYPE, node, "%s does not go with %s and %s", kt_fn_name(node->fn), left,
                        right);
}

/* A text literal that is no value of the type it stands beside. */
kith_status kt_bind_unreadable(struct binder *binder, const struct node *literal, const struct node *other)
{
    char type[KT_TYPE_TEXT];
    kt_bind_type_text(other, type);
    struct slice text = literal->value.bytes;
    return kt_bind_fail(binder, KITH_INVALID, literal, "'%.*s' cannot be read as %s",
                        (int)(text.size < 60 ? text.size : 60), (const char *)text.at, type);
}

static kith_status settle(struct binder *binder, const struct node *node, const struct node *subject,
                          const struct node *literal, struct point *point)
{
    switch (kt_settle(&subject->type, &literal->type, literal->form, &literal->value, point)) {
    case SETTLE_TYPE:
        return kt_bind_mismatch(binder, node, subject, literal);
    case SETTLE_TEXT:
        return kt_bind_unreadable(binder, literal, subject);
    default:
        return KITH_OK;
    }
}

/* What a JSON path finds, as a number. */
static kith_status number_in_json(struct binder *binder, struct node **subject, const struct kt_field *other)
{
    struct kt_field number = kt_field_plain(KT_FLOAT64);
    if ((*subject)->fn != KT_FN_JSON_TEXT || !kt_field_is_number(other)) return KITH_OK;
    return kt_bind_cast(binder, KT_FN_TRY_CAST, &number, subject);
}

/* ---- = < > and their kin ---- */

static enum kt_fn turned(enum kt_fn fn)
{
    switch (fn) {
    case KT_FN_LT:
        return KT_FN_GT;
    case KT_FN_LE:
        return KT_FN_GE;
    case KT_FN_GT:
        return KT_FN_LT;
    case KT_FN_GE:
        return KT_FN_LE;
    default:
        return fn;
    }
}

/* The constant to the right; of two constants a text, which is read as the other. */
static void turn(struct node *node)
{
    struct node *a = node->args[0], *b = node->args[1];
    if (!kt_is_literal(a) ||
        (kt_is_literal(b) && (!kt_field_is_text(&a->type) || kt_field_is_text(&b->type))))
        return;
    node->args[0] = b;
    node->args[1] = a;
    node->fn = turned(node->fn);
}

/* x IS [NOT] DISTINCT FROM a constant: equality that is true or not. */
static kith_status bind_distinct(struct binder *binder, struct node **node)
{
    struct node *equal = kt_bind_node(binder, KT_FN_EQ, *node, 2);
    if (!equal) return KITH_NO_MEMORY;
    bool distinct = (*node)->fn == KT_FN_DISTINCT;
    memcpy(equal->args, (*node)->args, 2 * sizeof equal->args[0]);
    (*node)->fn = distinct ? KT_FN_IS_NOT_TRUE : KT_FN_IS_TRUE;
    (*node)->count = 1;
    (*node)->args[0] = equal;
    kith_status status = kt_bind_compare(binder, &(*node)->args[0]);
    return status ? status : kt_bind_call(binder, node);
}

static kith_status bind_with_null(struct binder *binder, struct node **node)
{
    bool distinct = (*node)->fn == KT_FN_DISTINCT, not_distinct = (*node)->fn == KT_FN_NOT_DISTINCT;
    if (!distinct && !not_distinct) {
        *node = kt_bind_null(binder, *node, KT_BOOL);
        return *node ? KITH_OK : KITH_NO_MEMORY;
    }
    if (kt_is_null((*node)->args[0])) (*node)->args[0] = (*node)->args[1];
    (*node)->fn = distinct ? KT_FN_IS_NOT_NULL : KT_FN_IS_NULL;
    (*node)->count = 1;
    return kt_bind_call(binder, node);
}

kith_status kt_bind_compare(struct binder *binder, struct node **place)
{
    struct node *node = *place;
    struct pair *pair;
    struct point point;
    turn(node);
    struct node *subject = node->args[0], *other = node->args[1];
    if (kt_is_null(subject) || kt_is_null(other)) return bind_with_null(binder, place);
    kith_status status = number_in_json(binder, &node->args[0], &other->type);
    if (!status && !kt_is_literal(other)) status = number_in_json(binder, &node->args[1], &subject->type);
    if (status) return status;
    subject = node->args[0];
    other = node->args[1];
    if (kt_is_literal(other)) {
        if (node->fn == KT_FN_DISTINCT || node->fn == KT_FN_NOT_DISTINCT) return bind_distinct(binder, place);
        status = settle(binder, node, subject, other, &point);
        if (status) return status;
        struct range range = kt_range_of(node->fn, &subject->type, &point);
        node->negate = node->fn == KT_FN_NE;
        return kt_bind_range(binder, node, subject, &range);
    }
    pair = kt_bind_take(binder, 1, sizeof *pair);
    if (!pair) return KITH_NO_MEMORY;
    if (!kt_pair_of(&subject->type, &other->type, pair))
        return kt_bind_mismatch(binder, node, subject, other);
    node->plan = pair;
    node->eval = kt_eval_compare;
    node->form = FORM_BOOL;
    node->type = kt_field_plain(KT_BOOL);
    node->cost = pair->kind == PAIR_BYTES ? 6 : 2;
    node->share = node->fn == KT_FN_EQ || node->fn == KT_FN_NOT_DISTINCT ? 0.1f : 0.5f;
    return KITH_OK;
}

/* ---- IN ---- */

static int order_truth(const void *a, const void *b)
{
    return kt_cell_compare(FORM_BOOL, a, b);
}
static int order_integers(const void *a, const void *b)
{
    return kt_cell_compare(FORM_INT, a, b);
}
static int order_wides(const void *a, const void *b)
{
    return kt_cell_compare(FORM_WIDE, a, b);
}
static int order_doubles(const void *a, const void *b)
{
    return kt_cell_compare(FORM_FLOAT, a, b);
}
static int order_bytes(const void *a, const void *b)
{
    return kt_cell_compare(FORM_BYTES, a, b);
}

static uint32_t sort_cells(enum form form, struct cell *cells, uint32_t count)
{
    static int (*const orders[])(const void *, const void *) = { [FORM_BOOL] = order_truth,
                                                                 [FORM_INT] = order_integers,
                                                                 [FORM_WIDE] = order_wides,
                                                                 [FORM_FLOAT] = order_doubles,
                                                                 [FORM_BYTES] = order_bytes };
    uint32_t kept = 0;
    if (count) qsort(cells, count, sizeof *cells, orders[form]);
    for (uint32_t i = 0; i < count; i++)
        if (!kept || kt_cell_compare(form, &cells[kept - 1], &cells[i]) != 0) cells[kept++] = cells[i];
    return kept;
}

/* Hash table and, for few values, ranges. */
static kith_status complete_set(struct binder *binder, const struct kt_field *type, struct test *test)
{
    uint32_t size = 256; /* sparse while it fits in a cache: most rows find a free slot at once */
    while (size < 2 * test->count) size *= 2;
    uint32_t *slots = kt_bind_take(binder, size, sizeof *slots);
    struct range *ones = kt_bind_take(binder, KT_FEW_VALUES, sizeof *ones);
    if (!slots || !ones) return KITH_NO_MEMORY;
    for (uint32_t i = 0; i < test->count; i++) {
        uint32_t at = kt_cell_hash(test->form, &test->values[i]) & (size - 1);
        while (slots[at]) at = (at + 1) & (size - 1);
        slots[at] = i + 1;
        if (test->form == FORM_BYTES) test->sizes |= UINT64_C(1) << (test->values[i].bytes.size % 64);
        if (i < KT_FEW_VALUES)
            ones[i] = kt_range_of(KT_FN_EQ, type, &(struct point){ .floor = test->values[i], .exact = true });
    }
    test->slots = slots;
    test->mask = size - 1;
    test->ones = ones;
    return KITH_OK;
}

static size_t values_of(const struct node *literal)
{
    return literal->form == FORM_LIST ? literal->source->count : 1;
}

/* Adds the values of a literal that the subject can have at all. */
static kith_status add_values(struct binder *binder, const struct node *node, const struct node *literal,
                              struct test *test, struct cell *cells)
{
    const struct node *subject = node->args[0];
    kith_status status = KITH_OK;
    for (size_t i = 0; !status && i < values_of(literal); i++) {
        struct node item = *literal;
        struct point point;
        if (literal->form == FORM_LIST)
            item.form = kt_literal_cell(&literal->source->items[i], &item.type, &item.value);
        if (kt_is_null(&item)) {
            test->null_among = true;
            continue;
        }
        status = settle(binder, node, subject, &item, &point);
        bool there = point.exact && !point.beyond;
        if (!status && there) cells[test->count++] = point.floor;
        test->dropped |= !there;
    }
    return status;
}

/* All literals among the items, as one set. */
kith_status kt_bind_set(struct binder *binder, const struct node *node, struct test **out)
{
    size_t count = 1;
    for (uint32_t i = 1; i < node->count; i++)
        if (kt_is_literal(node->args[i])) count += values_of(node->args[i]);
    struct cell *cells = kt_bind_take(binder, count, sizeof *cells);
    struct test *test = cells ? kt_bind_take(binder, 1, sizeof *test) : NULL;
    if (!test) return KITH_NO_MEMORY;
    *test = (struct test){ .kind = TEST_SET, .form = node->args[0]->form, .values = cells };
    kith_status status = KITH_OK;
    for (uint32_t i = 1; !status && i < node->count; i++)
        if (kt_is_literal(node->args[i])) status = add_values(binder, node, node->args[i], test, cells);
    if (status) return status;
    test->count = sort_cells(test->form, cells, test->count);
    *out = test;
    return complete_set(binder, &node->args[0]->type, test);
}

static kith_status bind_items(struct binder *binder, struct node *node, const struct test *test)
{
    struct pair *pairs = kt_bind_take(binder, node->count, sizeof *pairs);
    if (!pairs) return KITH_NO_MEMORY;
    for (uint32_t i = 1; i < node->count; i++)
        if (!kt_is_literal(node->args[i]) &&
            !kt_pair_of(&node->args[0]->type, &node->args[i]->type, &pairs[i]))
            return kt_bind_mismatch(binder, node, node->args[0], node->args[i]);
    node->plan = pairs;
    node->test = test;
    node->eval = kt_eval_in;
    node->form = FORM_BOOL;
    node->type = kt_field_plain(KT_BOOL);
    node->cost = 4;
    node->share = 0.2f;
    return KITH_OK;
}

/* What a JSON path finds beside numbers is a number. */
static kith_status numbers_in_json(struct binder *binder, struct node *node)
{
    for (uint32_t i = 1; i < node->count; i++) {
        struct node item = *node->args[i];
        if (item.form == FORM_LIST && item.source->count)
            item.form = kt_literal_cell(&item.source->items[0], &item.type, &item.value);
        if (kt_field_is_number(&item.type)) return number_in_json(binder, &node->args[0], &item.type);
    }
    return KITH_OK;
}

kith_status kt_bind_in(struct binder *binder, struct node **place)
{
    struct node *node = *place;
    struct test *test;
    size_t values = 0, others = 0;
    for (uint32_t i = 1; i < node->count; i++) {
        if (kt_is_literal(node->args[i]))
            values += values_of(node->args[i]);
        else
            others++;
    }
    if (!values && !others) { /* nothing is in an empty list, not even null */
        struct kt_field type = kt_field_plain(KT_BOOL);
        *place = kt_bind_literal(binder, node, &type, &(struct cell){ .truth = false });
        return *place ? KITH_OK : KITH_NO_MEMORY;
    }
    if (kt_is_null(node->args[0])) {
        *place = kt_bind_null(binder, node, KT_BOOL);
        return *place ? KITH_OK : KITH_NO_MEMORY;
    }
    kith_status status = numbers_in_json(binder, node);
    if (!status) status = kt_bind_set(binder, node, &test);
    if (status) return status;
    if (others) return bind_items(binder, node, test);
    float share = 0.1f * (float)test->count;
    become_test(node, node->args[0], test, share < 0.9f ? share : 0.9f);
    return KITH_OK;
}

/* ---- LIKE ---- */

/* A pattern's text with a zero behind it, as those of literals. */
static uint8_t *copy_text(struct binder *binder, struct slice text)
{
    uint8_t *copy = kt_bind_take(binder, text.size + 1, 1);
    if (copy && text.size) memcpy(copy, text.at, text.size);
    return copy;
}

/* Texts that begin with `prefix`: up to the first text that does not, which is the prefix with its last byte
 * one higher. UTF-8 has no byte 0xff. */
static kith_status prefix_range(struct binder *binder, struct slice prefix, struct range *out)
{
    *out = (struct range){ .has_low = prefix.size, .has_high = prefix.size, .high_open = true };
    uint8_t *begin = copy_text(binder, prefix), *end = copy_text(binder, prefix);
    if (!begin || !end) return KITH_NO_MEMORY;
    if (prefix.size) end[prefix.size - 1]++;
    out->low.bytes = (struct slice){ begin, prefix.size };
    out->high.bytes = (struct slice){ end, prefix.size };
    return KITH_OK;
}

kith_status kt_bind_prefix(struct binder *binder, struct node *node, struct slice prefix)
{
    struct range range;
    kith_status status = prefix_range(binder, prefix, &range);
    return status ? status : kt_bind_range(binder, node, node->args[0], &range);
}

kith_status kt_bind_like(struct binder *binder, struct node *node)
{
    struct slice pattern = node->args[1]->value.bytes, prefix;
    const struct node *escape = node->count == 3 ? node->args[2] : NULL;
    const char *fault = NULL;
    struct like *like = NULL;
    node->eval = kt_eval_rows;
    node->row = node->fn == KT_FN_LIKE ? kt_row_like : kt_row_ilike;
    node->cost = 30;
    node->share = 0.2f;
    node->may_fail = !kt_is_literal(node->args[1]);
    if (!kt_is_literal(node->args[1]) || (escape && !kt_is_literal(escape))) return KITH_OK;
    if (node->fn == KT_FN_ILIKE && !kt_lower(&binder->filter->arena, pattern, &pattern))
        return kt_fail_memory(binder->error, pattern.size);
    kith_status status = kt_like_make(&binder->filter->arena, pattern, escape ? &escape->value.bytes : NULL,
                                      &like, &fault, binder->error);
    if (fault) return kt_bind_fail(binder, KITH_INVALID, node->args[1], "%s", fault);
    if (status) return status;
    node->plan = like;
    bool whole = kt_like_is_text(like, &prefix);
    if (node->fn == KT_FN_ILIKE || (!whole && !kt_like_is_prefix(like, &prefix))) return KITH_OK;
    if (!whole) return kt_bind_prefix(binder, node, prefix);
    struct range range;
    status = prefix_range(binder, prefix, &range);
    range.high = range.low;
    range.has_low = range.has_high = true;
    range.high_open = false;
    return status ? status : kt_bind_range(binder, node, node->args[0], &range);
}
