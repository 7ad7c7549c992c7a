/* What to look at first: the order of conditions, lookups in dictionaries, and what an index may answer.
 *
 * The arguments of an AND are taken by cost against how many rows they refuse, those of an OR by cost against
 * how many they accept: the well-known order for independent conditions, by `cost / (1 - share)`. Costs are
 * nanoseconds of a row measured once; shares are guesses by kind. A condition that may fail in a row (an
 * overflow, a cast) never moves ahead of one that was written before it, since that one may be its guard.
 *
 * Two ranges of one column in an AND become one range: `x >= 3 AND x < 5` is one comparison, and one probe.
 *
 * A condition over nothing but one dictionary column that cannot fail becomes a lookup, as a whole, however
 * much is in it (filter_eval_test.c).
 *
 * A probe is a conjunct that says of one column of the schema, of a field in a struct, or of `_rowid` that it
 * is in a range, in a set, null, or a list that has some values. Its bounds are values of the column's own
 * type.
 */
#include <stdlib.h>
#include <string.h>

#include "filter/filter_bind.h"

/* ---- what is asked of a condition ---- */

static void ask_truth(struct node **place)
{
    while ((*place)->fn == KT_FN_IS_TRUE && (*place)->eval == kt_eval_is) *place = (*place)->args[0];
    struct node *node = *place;
    node->only_truth = true;
    if (node->eval == kt_eval_and || node->eval == kt_eval_or)
        for (uint32_t i = 0; i < node->count; i++) ask_truth(&node->args[i]);
}

/* ---- cost ---- */

static void weigh(struct node *node)
{
    bool is_test = node->eval == kt_eval_test;
    for (uint32_t i = 0; i < node->count; i++) {
        weigh(node->args[i]);
        if (!is_test) node->cost += node->args[i]->cost;
        node->may_fail |= node->args[i]->may_fail;
    }
    if (is_test) node->cost += node->subject->cost;
    if (node->fn == KT_FN_AND || node->fn == KT_FN_OR) {
        float all = 1;
        for (uint32_t i = 0; i < node->count; i++)
            all *= node->fn == KT_FN_AND ? node->args[i]->share : 1 - node->args[i]->share;
        node->share = node->fn == KT_FN_AND ? all : 1 - all;
    }
}

struct ranked {
    struct node *node;
    float rank;
    uint32_t at;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static kith_status sort_args(struct binder *binder, struct node *node)
{
    struct ranked *ranked = kt_bind_take(binder, node->count, sizeof *ranked);
    float highest = 0;
    if (!ranked) return KITH_NO_MEMORY;
    for (uint32_t i = 0; i < node->count; i++) {
        struct node *arg = node->args[i];
        float decided = node->fn == KT_FN_AND ? 1 - arg->share : arg->share;
        float rank = arg->cost / (decided > 0.001f ? decided : 0.001f);
        if (arg->may_fail && rank < highest) rank = highest;
        if (rank > highest) highest = rank;
        ranked[i] = (struct ranked){ arg, rank, i };
    }
    qsort(ranked, node->count, sizeof *ranked, by_rank);
    for (uint32_t i = 0; i < node->count; i++) node->args[i] = ranked[i].node;
    return KITH_OK;
}

/* ---- ranges of one column ---- */

static bool is_range(const struct node *node)
{
    return node->eval == kt_eval_test && node->test->kind == TEST_RANGE && !node->negate &&
           node->subject->place;
}

static bool same_place(const struct place *a, const struct place *b)
{
    return a->column == b->column && a->count == b->count &&
           memcmp(a->steps, b->steps, a->count * sizeof a->steps[0]) == 0;
}

/* `a` with the range of `b` as well, shown as both. */
static kith_status join_ranges(struct binder *binder, struct node **a, struct node *b)
{
    struct range both = kt_range_meet((*a)->test->form, &(*a)->test->range, &b->test->range);
    uint32_t count = (*a)->fn == KT_FN_AND ? (*a)->count : 1;
    struct node *node = kt_bind_node(binder, KT_FN_AND, *a, count + 1);
    if (!node) return KITH_NO_MEMORY;
    if (count > 1) memcpy(node->args, (*a)->args, count * sizeof *node->args);
    if (count == 1) node->args[0] = *a;
    node->args[count] = b;
    const struct node *subject = (*a)->subject;
    *a = node;
    return kt_bind_range(binder, node, subject, &both);
}

enum { JOINED = 64 }; /* conjuncts that are looked at: all pairs of many would take long */

static kith_status fuse(struct binder *binder, struct node *node)
{
    kith_status status = KITH_OK;
    uint32_t kept = 0;
    for (uint32_t i = 0; !status && i < node->count; i++) {
        struct node *arg = node->args[i];
        bool joined = false;
        for (uint32_t k = 0; !status && !joined && is_range(arg) && k < kept && k < JOINED; k++) {
            if (!is_range(node->args[k]) || !same_place(node->args[k]->subject->place, arg->subject->place))
                continue;
            status = join_ranges(binder, &node->args[k], arg);
            joined = true;
        }
        if (!joined) node->args[kept++] = arg;
    }
    node->count = kept;
    return status;
}

static kith_status fuse_all(struct binder *binder, struct node **place)
{
    struct node *node = *place;
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < node->count; i++) status = fuse_all(binder, &node->args[i]);
    if (status || node->eval != kt_eval_and) return status;
    status = fuse(binder, node);
    if (!status && node->count == 1) *place = node->args[0];
    return status;
}

static kith_status sort_all(struct binder *binder, struct node *node)
{
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < node->count; i++) status = sort_all(binder, node->args[i]);
    if (!status && (node->eval == kt_eval_and || node->eval == kt_eval_or)) status = sort_args(binder, node);
    return status;
}

/* ---- lookups ---- */

/* The one dictionary column below a node, in `found`. False: there are others. */
static bool only_dictionary(const struct node *node, const struct node **found)
{
    if (node->place) {
        if (node->type.type != KT_DICTIONARY) return false;
        if (*found && !same_place((*found)->place, node->place)) return false;
        *found = node;
    }
    for (uint32_t i = 0; i < node->count; i++)
        if (!only_dictionary(node->args[i], found)) return false;
    return true;
}

static kith_status make_lookup(struct binder *binder, struct node **place, const struct node *column)
{
    struct node *lookup = kt_bind_take(binder, 1, sizeof *lookup);
    if (!lookup) return KITH_NO_MEMORY;
    *lookup = **place; /* shown as what it looks up */
    lookup->plan = *place;
    lookup->subject = column;
    lookup->eval = kt_eval_lookup;
    lookup->slot = binder->filter->slot_count++;
    lookup->cost = 1;
    *place = lookup;
    return KITH_OK;
}

static kith_status look_up_all(struct binder *binder, struct node **place)
{
    struct node *node = *place;
    const struct node *column = NULL;
    kith_status status = KITH_OK;
    if (node->form == FORM_BOOL && node->count && !node->may_fail && only_dictionary(node, &column) && column)
        return make_lookup(binder, place, column);
    for (uint32_t i = 0; !status && i < node->count; i++) status = look_up_all(binder, &node->args[i]);
    return status;
}

/* ---- probes ---- */

/* Whether the value is one that says exactly what the cell is. */
static bool says_all(const struct kt_field *type, const struct cell *cell)
{
    return type->type != KT_DECIMAL128 || (cell->wide >= INT64_MIN && cell->wide <= INT64_MAX);
}

static bool probe_range(const struct kt_field *type, const struct range *range, struct kt_probe *probe)
{
    if (range->none || (!range->has_low && !range->has_high)) return false;
    if ((range->has_low && !says_all(type, &range->low)) ||
        (range->has_high && !says_all(type, &range->high)))
        return false;
    probe->kind = KT_PROBE_RANGE;
    probe->low_open = range->low_open;
    probe->high_open = range->high_open;
    if (range->has_low) probe->low = kt_cell_value(type, &range->low, true);
    if (range->has_high) probe->high = kt_cell_value(type, &range->high, true);
    return true;
}

static kith_status probe_set(struct binder *binder, const struct kt_field *type, const struct test *test,
                             struct kt_probe *probe, bool *fits)
{
    *fits = true;
    for (uint32_t i = 0; i < test->count; i++) *fits &= says_all(type, &test->values[i]);
    if (!*fits) return KITH_OK;
    probe->values.kind = KT_VALUE_LIST;
    probe->values.count = test->count;
    probe->values.items = kt_bind_take(binder, test->count + 1, sizeof *probe->values.items);
    if (!probe->values.items) return KITH_NO_MEMORY;
    for (uint32_t i = 0; i < test->count; i++)
        probe->values.items[i] = kt_cell_value(type, &test->values[i], true);
    return KITH_OK;
}

static bool is_column(const struct node *node)
{
    return node->place && node->place->column >= 0;
}

/* What the probe is of; -1, the place of `_rowid`, becomes KT_PROBE_ROW_ID. */
static void probe_of(const struct node *node, struct kt_probe *probe)
{
    probe->column = (uint32_t)node->place->column;
    probe->steps = node->place->steps;
    probe->step_count = node->place->count;
}

static kith_status probe_list(struct binder *binder, const struct node *node, struct kt_probe *probe,
                              bool *fits)
{
    const struct node *list = node->args[0];
    if (!node->test || !is_column(list) || node->test->dropped || !node->test->count) return KITH_OK;
    probe->kind = node->fn == KT_FN_ARRAY_HAS_ALL ? KT_PROBE_HAS_ALL : KT_PROBE_HAS_ANY;
    probe_of(list, probe);
    return probe_set(binder, &list->type.children[0], node->test, probe, fits);
}

/* `flag` alone is `flag = true`. */
static void probe_flag(const struct node *node, struct kt_probe *probe)
{
    probe->kind = KT_PROBE_RANGE;
    probe_of(node, probe);
    probe->low = probe->high = (struct kt_value){ .kind = KT_VALUE_BOOL, .boolean = true };
}

static kith_status find_probe(struct binder *binder, const struct node *node, struct kt_probe *probe,
                              bool *fits)
{
    const struct node *asked = node->eval == kt_eval_lookup ? node->plan : node;
    *fits = false;
    *probe = (struct kt_probe){ 0 };
    if (asked->eval == kt_eval_array_has) return probe_list(binder, asked, probe, fits);
    if (asked->form == FORM_BOOL && is_column(asked)) {
        probe_flag(asked, probe);
        *fits = true;
    } else if (asked->fn == KT_FN_IS_NULL && is_column(asked->args[0])) {
        *fits = true;
        probe->kind = KT_PROBE_NULL;
        probe_of(asked->args[0], probe);
    } else if (asked->eval == kt_eval_test && !asked->negate && asked->subject->place) {
        probe_of(asked->subject, probe);
        probe->kind = KT_PROBE_IN;
        if (asked->test->kind == TEST_SET)
            return probe_set(binder, &asked->subject->type, asked->test, probe, fits);
        *fits = probe_range(&asked->subject->type, &asked->test->range, probe);
    }
    return KITH_OK;
}

static kith_status find_probes(struct binder *binder)
{
    struct kt_filter *filter = binder->filter;
    struct node *root = filter->root;
    bool is_and = root->eval == kt_eval_and;
    filter->conjunct_count = is_and ? root->count : 1;
    filter->conjuncts = is_and ? root->args : kt_bind_take(binder, 1, sizeof *filter->conjuncts);
    filter->probe_of = kt_bind_take(binder, filter->conjunct_count, sizeof *filter->probe_of);
    filter->probes = kt_bind_take(binder, KT_PROBES, sizeof *filter->probes);
    if (!filter->conjuncts || !filter->probe_of || !filter->probes) return KITH_NO_MEMORY;
    if (!is_and) filter->conjuncts[0] = root;
    for (uint32_t c = 0; c < filter->conjunct_count; c++) {
        bool fits = false;
        filter->probe_of[c] = -1;
        if (filter->probe_count == KT_PROBES) continue;
        struct kt_probe *probe = &filter->probes[filter->probe_count];
        kith_status status = find_probe(binder, filter->conjuncts[c], probe, &fits);
        if (status) return status;
        if (fits) filter->probe_of[c] = (int32_t)filter->probe_count++;
    }
    return KITH_OK;
}

const struct kt_probe *kt_filter_probes(const struct kt_filter *filter, uint32_t *count)
{
    *count = filter->probe_count;
    return filter->probes;
}

/* ---- the door ---- */

kith_status kt_order(struct binder *binder, bool predicate)
{
    struct kt_filter *filter = binder->filter;
    if (predicate) ask_truth(&filter->root);
    kith_status status = fuse_all(binder, &filter->root);
    if (status) return status;
    weigh(filter->root);
    status = look_up_all(binder, &filter->root);
    if (!status) status = sort_all(binder, filter->root);
    if (!status && predicate) status = find_probes(binder);
    return status;
}

/* ---- telling ---- */

static kith_status literal_expr(const struct node *node, struct kt_expr **out, kith_error *error)
{
    struct kt_value value = kt_cell_value(&node->type, &node->value, false), copy;
    const struct kt_value *from = node->source && node->form != FORM_SPAN ? node->source : &value;
    if (node->form == FORM_SPAN)
        value = (struct kt_value){ .kind = KT_VALUE_INTERVAL,
                                   .months = node->value.months,
                                   .days = node->value.days,
                                   .integer = node->value.integer };
    return kt_value_copy(from, &copy) ? kt_expr_literal(&copy, out, error)
                                      : kt_fail_memory(error, from->size);
}

static kith_status column_expr(const struct kt_filter *filter, const struct node *node, struct kt_expr **out,
                               kith_error *error)
{
    const char *path[KT_FILTER_DEPTH];
    const struct place *place = node->place;
    const struct kt_field *field = place->column < 0 ? NULL : &filter->schema->fields[place->column];
    path[0] = field ? field->name : "_rowid";
    for (uint32_t i = 0; i < place->count; i++) {
        field = &field->children[place->steps[i]];
        path[i + 1] = field->name;
    }
    return kt_expr_column(path, place->count + 1, out, error);
}

/* The node as an expression again, which is then written as any other. */
static kith_status expr_of(const struct kt_filter *filter, const struct node *node, struct kt_expr **out,
                           kith_error *error)
{
    char type[KT_TYPE_NAME];
    if (kt_is_literal(node)) return literal_expr(node, out, error);
    if (node->place) return column_expr(filter, node, out, error);
    struct kt_expr **args = kt_alloc_zero(node->count, sizeof(struct kt_expr *));
    if (!args) return kt_fail_memory(error, node->count * sizeof *args);
    kith_status status = KITH_OK;
    uint32_t made = 0;
    for (; !status && made < node->count; made++)
        status = expr_of(filter, node->args[made], &args[made], error);
    if (status) {
        for (uint32_t i = 0; i + 1 < made; i++) kt_expr_release(args[i]);
    } else if (node->fn == KT_FN_CAST || node->fn == KT_FN_TRY_CAST) {
        kt_type_to_sql(&node->type, type);
        status = kt_expr_cast_as(node->fn, args[0], type, strlen(type), out, error);
    } else {
        status = kt_expr_make(node->fn, args, node->count, out, error);
    }
    kt_free(args);
    return status;
}

kith_status kt_filter_tell(const struct kt_filter *filter, struct kt_buffer *out, kith_error *error)
{
    struct kt_expr *expr = NULL;
    kith_status status = expr_of(filter, filter->root, &expr, error);
    if (!status) status = kt_expr_to_sql(expr, out, error);
    kt_expr_release(expr);
    return status;
}

bool kt_filter_answered(const struct kt_filter *filter, uint64_t answered)
{
    for (uint32_t c = 0; c < filter->conjunct_count; c++)
        if (filter->probe_of[c] < 0 || !(answered >> filter->probe_of[c] & 1)) return false;
    return true;
}
