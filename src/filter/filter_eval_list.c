/* Lists and structs: elements, lengths, and what is among the items.
 *
 * A register of nested values holds rows of an array; an element of a list is a row of the array of its
 * items, whatever that array's offset is (column.h). Null items are passed over: they are equal to nothing.
 */
#include <string.h>

#include "filter/filter_bind.h"

struct items { /* of one list: rows of `array` */
    const struct kt_array *array;
    int64_t begin, end;
};

static struct items items_of(const struct kt_array *list, int64_t row)
{
    struct items items = { .array = &list->children[0] };
    int64_t at = list->offset + row;
    const void *offsets = list->values;
    if (list->field->type == KT_FIXED_LIST) {
        items.begin = at * list->field->width;
        items.end = items.begin + list->field->width;
    } else if (list->field->type == KT_LIST) {
        items.begin = ((const int32_t *)offsets)[at];
        items.end = ((const int32_t *)offsets)[at + 1];
    } else {
        items.begin = ((const int64_t *)offsets)[at];
        items.end = ((const int64_t *)offsets)[at + 1];
    }
    return items;
}

/* ---- parts ---- */

static void put_cell(struct reg *out, enum form form, uint32_t row, const struct kt_array *array, int64_t at)
{
    struct cell cell;
    kt_array_cell(array, at, &cell);
    if (cell.null)
        kt_row_clear(out->known, row);
    else
        kt_reg_put(out, form, row, &cell);
}

static void known_as(const struct frame *frame, const struct node *node, const struct reg *of,
                     struct reg *out)
{
    memcpy(out->known, of->known, frame->words * sizeof *out->known);
    if (node->form == FORM_BOOL) memset(out->truth, 0, frame->words * sizeof *out->truth);
}

kith_status kt_eval_element(struct frame *frame, const struct node *node, const uint64_t *among,
                            struct reg *out)
{
    struct reg list, key;
    kith_status status = kt_reg_take(frame, node->form, out);
    struct mark mark = kt_mark(frame);
    if (!status) status = kt_eval(frame, node->args[0], among, &list);
    if (!status) status = kt_eval(frame, node->args[1], list.known, &key);
    if (status) return status;
    known_as(frame, node, &key, out);
    uint32_t row;
    for (struct walk walk = kt_walk(key.known, frame->words); kt_walk_next(&walk, &row);) {
        struct items items = items_of(list.array, list.integers[row]);
        int64_t wanted = key.integers[row], count = items.end - items.begin;
        int64_t at = wanted < 0 ? count + wanted : wanted - 1; /* from the end, or from 1: 0 is before it */
        if (at < 0 || at >= count)
            kt_row_clear(out->known, row);
        else
            put_cell(out, node->form, row, items.array, items.begin + at);
    }
    kt_rewind(frame, mark);
    return KITH_OK;
}

/* A field of a struct that is an element of a list. */
static kith_status eval_field(struct frame *frame, const struct node *node, const uint64_t *among,
                              struct reg *out)
{
    const uint32_t *field = node->plan;
    struct reg of;
    kith_status status = kt_reg_take(frame, node->form, out);
    struct mark mark = kt_mark(frame);
    if (!status) status = kt_eval(frame, node->args[0], among, &of);
    if (status) return status;
    known_as(frame, node, &of, out);
    uint32_t row;
    for (struct walk walk = kt_walk(of.known, frame->words); kt_walk_next(&walk, &row);)
        put_cell(out, node->form, row, &of.array->children[*field], of.array->offset + of.integers[row]);
    kt_rewind(frame, mark);
    return KITH_OK;
}

kith_status kt_bind_field(struct binder *binder, struct node *node, const char *name)
{
    const struct kt_field *parent = &node->args[0]->type;
    uint32_t *field = kt_bind_take(binder, 1, sizeof *field);
    if (!field) return KITH_NO_MEMORY;
    while (*field < parent->child_count && strcmp(parent->children[*field].name, name) != 0) ++*field;
    if (*field == parent->child_count)
        return kt_bind_fail(binder, KITH_NOT_FOUND, node, "the struct has no field \"%.80s\"", name);
    node->type = kt_field_made(&parent->children[*field]);
    node->form = kt_form_of(node->type.type);
    node->plan = field;
    node->eval = eval_field;
    node->cost = 6;
    return KITH_OK;
}

kith_status kt_row_array_length(struct call *call, uint32_t row)
{
    struct items items = items_of(call->args[0].array, call->args[0].integers[row]);
    call->out->integers[row] = items.end - items.begin;
    return KITH_OK;
}

/* ---- what is among the items ---- */

/* Whether some item is the cell, or where there is a test, passes it. */
static bool has(const struct node *node, struct items items, const struct cell *cell)
{
    for (int64_t at = items.begin; at < items.end; at++) {
        struct cell item;
        kt_array_cell(items.array, at, &item);
        if (item.null) continue;
        if (cell ? kt_pair_equal(node->plan, &item, cell) : kt_test_has(node->test, &item)) return true;
    }
    return false;
}

/* Whether each value of the test's set is among the items. */
static bool has_each(const struct node *node, struct items items)
{
    enum form form = node->test->form;
    if (items.end - items.begin < node->test->count) return false;
    for (uint32_t v = 0; v < node->test->count; v++) {
        bool found = false;
        for (int64_t at = items.begin; !found && at < items.end; at++) {
            struct cell item;
            kt_array_cell(items.array, at, &item);
            found = !item.null && kt_cell_compare(form, &item, &node->test->values[v]) == 0;
        }
        if (!found) return false;
    }
    return true;
}

/* Whether each item (that is not null) of a written list's column passes the test. */
static bool all_pass(const struct node *node, struct items items)
{
    for (int64_t at = items.begin; at < items.end; at++) {
        struct cell item;
        kt_array_cell(items.array, at, &item);
        if (!item.null && !kt_test_has(node->test, &item)) return false;
    }
    return true;
}

/* Two lists of a row: whether some (or all) items of the second are among the first. */
static bool meet(const struct node *node, struct items first, struct items second, bool all)
{
    for (int64_t at = second.begin; at < second.end; at++) {
        struct cell item;
        kt_array_cell(second.array, at, &item);
        if (!item.null && has(node, first, &item) != all) return !all;
    }
    return all;
}

static bool passes(const struct node *node, const struct reg *a, const struct reg *b, uint32_t row)
{
    bool all = node->fn == KT_FN_ARRAY_HAS_ALL;
    if (node->test && node->args[0]->form == FORM_LIST)
        return all_pass(node, items_of(b->array, b->integers[row]));
    struct items items = items_of(a->array, a->integers[row]);
    if (node->test) return all ? !node->test->dropped && has_each(node, items) : has(node, items, NULL);
    if (node->fn == KT_FN_ARRAY_HAS) {
        struct cell cell;
        kt_reg_cell(b, node->args[1]->form, row, &cell);
        return has(node, items, &cell);
    }
    return meet(node, items, items_of(b->array, b->integers[row]), all);
}

kith_status kt_eval_array_has(struct frame *frame, const struct node *node, const uint64_t *among,
                              struct reg *out)
{
    struct reg args[2] = { 0 };
    uint64_t asked[KT_PIECE_WORDS];
    kith_status status = kt_reg_take(frame, FORM_BOOL, out);
    struct mark mark = kt_mark(frame);
    memcpy(asked, among, frame->words * sizeof *asked);
    for (uint32_t i = 0; !status && i < 2; i++) {
        if (node->test && kt_is_literal(node->args[i])) continue; /* it is the test */
        status = kt_eval(frame, node->args[i], asked, &args[i]);
        if (!status) memcpy(asked, args[i].known, frame->words * sizeof *asked);
    }
    if (status) return status;
    memcpy(out->known, asked, frame->words * sizeof *asked);
    memset(out->truth, 0, frame->words * sizeof *asked);
    uint32_t row;
    for (struct walk walk = kt_walk(asked, frame->words); kt_walk_next(&walk, &row);)
        if (passes(node, &args[0], &args[1], row)) kt_row_set(out->truth, row);
    kt_rewind(frame, mark);
    return KITH_OK;
}
