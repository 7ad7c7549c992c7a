/* Making trees. Every door ends here, so whatever holds of a tree is settled here, once.
 *
 * A node is immutable and shared by reference; `x BETWEEN a AND b` holds x twice and copies nothing. What a
 * limit counts is the tree as it would be written out, though: a shared part counts each time, so that
 * whoever walks a tree is bounded by the limits, and sharing cannot build a small tree that takes for ever.
 *
 * Always true of a tree:
 *   - depth and nodes are within KT_FILTER_DEPTH and KT_FILTER_NODES: whoever walks it may recurse;
 *   - the number of arguments is one that the function takes;
 *   - no AND is an argument of an AND, no OR of an OR: chains are one node, whatever the parentheses said;
 *   - no minus stands before a literal number: -5 is a literal;
 *   - the literals among the items of an IN are one literal list, in front; items are compared by value, so
 *     their order means nothing. A list of 100,000 is one node, and stays one when it is written and read;
 *   - a value is in its range, its text is UTF-8, a list holds no lists.
 */
#include <string.h>

#include "filter/filter_private.h"

/* ---- sharing ---- */

struct kt_expr *kt_expr_share(const struct kt_expr *expr)
{
    struct kt_expr *shared = (struct kt_expr *)(uintptr_t)expr; /* only the count changes */
    atomic_fetch_add_explicit(&shared->references, 1, memory_order_relaxed);
    return shared;
}

static void release_all(struct kt_expr **args, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) kt_expr_release(args[i]);
}

void kt_expr_release(struct kt_expr *expr)
{
    if (!expr || atomic_fetch_sub_explicit(&expr->references, 1, memory_order_acq_rel) != 1) return;
    release_all(expr->args, expr->count);
    kt_free(expr->args);
    for (uint32_t i = 0; i < expr->path_count; i++) kt_free(expr->path[i]);
    kt_free(expr->path);
    kt_value_release(&expr->value);
    kt_type_free(expr->type);
    kt_free(expr->source);
    kt_free(expr);
}

/* Nobody else holds it: it may still be changed. */
static bool is_ours(struct kt_expr *expr)
{
    return atomic_load_explicit(&expr->references, memory_order_acquire) == 1;
}

static struct kt_expr *node_new(enum kt_fn fn, kith_error *error)
{
    struct kt_expr *expr = kt_alloc_zero(1, sizeof *expr);
    if (!expr) {
        kt_fail_memory(error, sizeof *expr);
        return NULL;
    }
    atomic_init(&expr->references, 1);
    expr->fn = fn;
    expr->depth = expr->nodes = 1;
    return expr;
}

/* ---- leaves ---- */

kith_status kt_expr_literal(struct kt_value *value, struct kt_expr **out, kith_error *error)
{
    const char *fault = kt_value_fault(value);
    kith_status status = KITH_OK;
    struct kt_expr *expr = fault ? NULL : node_new(KT_FN_LITERAL, error);
    if (fault)
        status = kt_fail(error, KITH_INVALID, "%s", fault);
    else if (!expr)
        status = KITH_NO_MEMORY;
    if (status) {
        kt_value_release(value);
        return status;
    }
    if (value->kind == KT_VALUE_UINT && value->natural <= INT64_MAX) {
        value->kind = KT_VALUE_INT;
        value->integer = (int64_t)value->natural;
    }
    expr->value = *value;
    *value = (struct kt_value){ 0 };
    *out = expr;
    return KITH_OK;
}

kith_status kt_expr_column(const char *const *path, uint32_t count, struct kt_expr **out, kith_error *error)
{
    if (!count) return kt_fail(error, KITH_INVALID, "a column needs a name");
    if (count > KT_FILTER_DEPTH)
        return kt_fail(error, KITH_INVALID, "a path of %u names is longer than %d", count, KT_FILTER_DEPTH);
    struct kt_expr *expr = node_new(KT_FN_COLUMN, error);
    if (!expr) return KITH_NO_MEMORY;
    kith_status status = KITH_OK;
    expr->path = kt_alloc_zero(count, sizeof *expr->path);
    if (!expr->path) status = kt_fail_memory(error, count * sizeof *expr->path);
    for (uint32_t i = 0; !status && i < count; i++) {
        if (!kt_utf8_valid((const uint8_t *)path[i], strlen(path[i])))
            status = kt_fail(error, KITH_INVALID, "the name of a column is not UTF-8");
        else if (!(expr->path[expr->path_count] = kt_strdup(path[i])))
            status = kt_fail_memory(error, strlen(path[i]) + 1);
        else
            expr->path_count++;
    }
    if (status)
        kt_expr_release(expr);
    else
        *out = expr;
    return status;
}

kith_status kt_expr_path(const char *dotted, struct kt_expr **out, kith_error *error)
{
    const char *path[KT_FILTER_DEPTH];
    uint32_t count = 0;
    bool fine = true;
    char *copy = kt_strdup(dotted), *next;
    if (!copy) return kt_fail_memory(error, strlen(dotted) + 1);
    for (char *name = copy; name && fine; name = next) {
        next = strchr(name, '.');
        if (next) *next++ = '\0';
        fine = *name && count < KT_FILTER_DEPTH;
        if (fine) path[count++] = name;
    }
    kith_status status = fine ? kt_expr_column(path, count, out, error)
                              : kt_fail(error, KITH_INVALID, "\"%.*s\" is no path of names with dots between",
                                        kt_shown(dotted, strlen(dotted), 80), dotted);
    kt_free(copy);
    return status;
}

/* ---- limits ---- */

/* Adds one more argument to what the node counts below it. */
static kith_status count_in(struct kt_expr *expr, const struct kt_expr *arg, kith_error *error)
{
    expr->nodes += arg->nodes; /* neither is above the limit: no overflow */
    expr->depth = kt_max_u32(expr->depth, arg->depth + 1);
    if (expr->nodes > KT_FILTER_NODES)
        return kt_fail(
            error, KITH_INVALID,
            "a filter of more than %d columns, values and operators is refused; many values fit in "
            "one list, bound to IN (?)",
            KT_FILTER_NODES);
    if (expr->depth > KT_FILTER_DEPTH)
        return kt_fail(error, KITH_INVALID, "a filter nested deeper than %d levels is refused",
                       KT_FILTER_DEPTH);
    return KITH_OK;
}

/* A node of arguments that are taken over, on failure too. */
static kith_status node_of(enum kt_fn fn, struct kt_expr **args, uint32_t count, struct kt_expr **out,
                           kith_error *error)
{
    struct kt_expr *expr = node_new(fn, error);
    kith_status status = expr ? KITH_OK : KITH_NO_MEMORY;
    if (!status && count && !(expr->args = kt_alloc_array(count, sizeof *expr->args)))
        status = kt_fail_memory(error, count * sizeof *expr->args);
    if (status) {
        release_all(args, count);
        kt_expr_release(expr);
        return status;
    }
    if (count) memcpy(expr->args, args, count * sizeof *args);
    expr->count = count;
    for (uint32_t i = 0; !status && i < count; i++) status = count_in(expr, args[i], error);
    if (status)
        kt_expr_release(expr);
    else
        *out = expr;
    return status;
}

/* ---- AND, OR: chains are one node ---- */

/* Room for powers of two only, so that a chain that grows by one rarely moves. */
static bool grows(uint32_t before, uint32_t after)
{
    uint32_t room = 1;
    while (room < before) room *= 2;
    return after > room;
}

static kith_status append(struct kt_expr *chain, struct kt_expr *arg, kith_error *error)
{
    if (!chain->args || grows(chain->count, chain->count + 1)) {
        size_t room = chain->count ? 2 * (size_t)chain->count : 2;
        struct kt_expr **args = kt_realloc_array(chain->args, room, sizeof *args);
        if (!args) {
            kt_expr_release(arg);
            return kt_fail_memory(error, room * sizeof *args);
        }
        chain->args = args;
    }
    chain->args[chain->count++] = arg;
    return count_in(chain, arg, error);
}

/* Appends an argument, or the arguments of one that is a chain of the same kind. */
static kith_status splice(struct kt_expr *chain, struct kt_expr *arg, kith_error *error)
{
    kith_status status = KITH_OK;
    if (arg->fn != chain->fn) return append(chain, arg, error);
    for (uint32_t i = 0; !status && i < arg->count; i++)
        status = append(chain, kt_expr_share(arg->args[i]), error);
    kt_expr_release(arg);
    return status;
}

/* `a AND b AND c ...` is read from the left: the chain so far is ours and gets longer. */
static kith_status make_chain(enum kt_fn fn, struct kt_expr **args, uint32_t count, struct kt_expr **out,
                              kith_error *error)
{
    uint32_t taken = 0;
    struct kt_expr *chain = NULL;
    if (args[0]->fn == fn && is_ours(args[0])) {
        kt_free(args[0]->source); /* positions are no longer all of one text */
        args[0]->source = NULL;
        chain = args[0];
        taken = 1;
    } else {
        chain = node_new(fn, error);
    }
    kith_status status = chain ? KITH_OK : KITH_NO_MEMORY;
    while (!status && taken < count) status = splice(chain, args[taken++], error);
    release_all(args + taken, count - taken);
    if (status)
        kt_expr_release(chain);
    else
        *out = chain;
    return status;
}

/* ---- minus ---- */

static bool negate(struct kt_value *value)
{
    int64_t integer = value->integer;
    switch (value->kind) {
    case KT_VALUE_INT:
        if (integer == INT64_MIN)
            *value = (struct kt_value){ .kind = KT_VALUE_UINT, .natural = (uint64_t)INT64_MAX + 1 };
        else
            value->integer = -integer;
        return true;
    case KT_VALUE_UINT: /* above INT64_MAX: only the first of them has a negative */
        if (value->natural == (uint64_t)INT64_MAX + 1)
            *value = (struct kt_value){ .kind = KT_VALUE_INT, .integer = INT64_MIN };
        else
            *value = (struct kt_value){ .kind = KT_VALUE_FLOAT, .number = -(double)value->natural };
        return true;
    case KT_VALUE_FLOAT:
        value->number = -value->number;
        return true;
    case KT_VALUE_DECIMAL:
        if (integer == INT64_MIN) return false;
        value->integer = -integer;
        return true;
    default:
        return false;
    }
}

static kith_status make_minus(struct kt_expr **args, struct kt_expr **out, kith_error *error)
{
    struct kt_value value = { 0 };
    if (args[0]->fn == KT_FN_LITERAL) value = args[0]->value; /* a number has nothing to own */
    if (value.kind == KT_VALUE_NULL || !negate(&value)) return node_of(KT_FN_NEG, args, 1, out, error);
    kt_expr_release(args[0]);
    return kt_expr_literal(&value, out, error);
}

/* ---- IN ---- */

/* Moves the values of a literal to the end of a list that has room for them. */
static bool move_values(struct kt_expr *literal, struct kt_value *list)
{
    struct kt_value *from = &literal->value, *to = list->items;
    bool many = from->kind == KT_VALUE_LIST, ours = is_ours(literal);
    size_t count = many ? from->count : 1;
    if (many) from = from->items;
    for (size_t i = 0; i < count; i++) {
        if (!ours) {
            if (!kt_value_copy(&from[i], &to[list->count])) return false;
        } else {
            to[list->count] = from[i];
            from[i] = (struct kt_value){ 0 };
        }
        list->count++;
    }
    return true;
}

static void span_over(struct kt_expr *expr, const struct kt_expr *other)
{
    if (!other->length) return;
    uint32_t end = kt_max_u32(expr->position + expr->length, other->position + other->length);
    expr->position = expr->length ? kt_min_u32(expr->position, other->position) : other->position;
    expr->length = end - expr->position;
}

/* One list of all literals among the items; NULL in *out where they hold no value. */
static kith_status gather(struct kt_expr **items, uint32_t count, struct kt_expr **out, kith_error *error)
{
    struct kt_value list = { .kind = KT_VALUE_LIST };
    struct kt_expr *expr = NULL;
    size_t total = 0;
    for (uint32_t i = 0; i < count; i++)
        if (items[i]->fn == KT_FN_LITERAL)
            total += items[i]->value.kind == KT_VALUE_LIST ? items[i]->value.count : 1;
    if (!total) return KITH_OK;
    list.items = total <= KT_FILTER_LIST ? kt_alloc_zero(total, sizeof *list.items) : NULL;
    bool fine = list.items || total > KT_FILTER_LIST;
    for (uint32_t i = 0; fine && list.items && i < count; i++)
        if (items[i]->fn == KT_FN_LITERAL) fine = move_values(items[i], &list);
    kith_status status = fine ? KITH_OK : kt_fail_memory(error, total * sizeof *list.items);
    if (!status && !list.items)
        status =
            kt_fail(error, KITH_INVALID, "a list of %zu values is longer than %d", total, KT_FILTER_LIST);
    if (!status) status = kt_expr_literal(&list, &expr, error);
    kt_value_release(&list);
    for (uint32_t i = 0; !status && i < count; i++)
        if (items[i]->fn == KT_FN_LITERAL) span_over(expr, items[i]);
    *out = expr;
    return status;
}

/* Puts the list behind the first argument, the other items behind it. Changes `args` and *count. */
static kith_status fold_items(struct kt_expr **args, uint32_t *count, kith_error *error)
{
    struct kt_expr *list = NULL, **items = args + 1;
    uint32_t literals = 0, kept = 0;
    for (uint32_t i = 0; i + 1 < *count; i++) literals += items[i]->fn == KT_FN_LITERAL;
    kith_status status = gather(items, *count - 1, &list, error);
    if (status || !literals) return status;
    for (uint32_t i = 0; i + 1 < *count; i++) {
        if (items[i]->fn == KT_FN_LITERAL)
            kt_expr_release(items[i]);
        else
            items[kept++] = items[i];
    }
    if (list) {
        memmove(items + 1, items, kept * sizeof(struct kt_expr *));
        items[0] = list;
    }
    *count = 1 + kept + (list != NULL);
    return KITH_OK;
}

static kith_status make_in(struct kt_expr **given, uint32_t count, struct kt_expr **out, kith_error *error)
{
    struct kt_expr **args = kt_alloc_array(count, sizeof *args); /* `given` stays as the caller has it */
    kith_status status = args ? KITH_OK : kt_fail_memory(error, count * sizeof *args);
    if (!args) {
        release_all(given, count);
        return status;
    }
    memcpy(args, given, count * sizeof *args);
    if (count != 2 || args[1]->fn != KT_FN_LITERAL || args[1]->value.kind != KT_VALUE_LIST ||
        !args[1]->value.count)
        status = fold_items(args, &count, error);
    if (status)
        release_all(args, count);
    else
        status = node_of(KT_FN_IN, args, count, out, error);
    kt_free(args);
    return status;
}

/* ---- everything else ---- */

/* Patterns that are written down; one that a column holds is looked at when it is used. */
static kith_status check_pattern(enum kt_fn fn, struct kt_expr **args, kith_error *error)
{
    if (fn != KT_FN_LIKE && fn != KT_FN_ILIKE && fn != KT_FN_REGEXP) return KITH_OK;
    if (args[1]->fn != KT_FN_LITERAL || args[1]->value.size <= KT_FILTER_PATTERN) return KITH_OK;
    return kt_fail(error, KITH_INVALID, "the pattern of %s has %zu bytes; at most %d are allowed",
                   kt_fn_name(fn), args[1]->value.size, KT_FILTER_PATTERN);
}

static kith_status check(enum kt_fn fn, struct kt_expr **args, uint32_t count, kith_error *error)
{
    kith_status status = kt_fn_check_count(fn, count, error);
    return status ? status : check_pattern(fn, args, error);
}

kith_status kt_expr_make(enum kt_fn fn, struct kt_expr **args, uint32_t count, struct kt_expr **out,
                         kith_error *error)
{
    kith_status status = check(fn, args, count, error);
    if (status) {
        release_all(args, count);
        return status;
    }
    if (fn == KT_FN_AND || fn == KT_FN_OR) return make_chain(fn, args, count, out, error);
    if (fn == KT_FN_NEG) return make_minus(args, out, error);
    if (fn == KT_FN_IN) return make_in(args, count, out, error);
    return node_of(fn, args, count, out, error);
}

/* ---- casts ---- */

kith_status kt_expr_cast_as(enum kt_fn fn, struct kt_expr *x, const char *type, size_t size,
                            struct kt_expr **out, kith_error *error)
{
    struct kt_field *field = NULL;
    struct kt_expr *expr = NULL;
    kith_status status = kt_type_named(type, size, &field, error);
    if (status) {
        kt_expr_release(x);
        return status;
    }
    status = node_of(fn, &x, 1, &expr, error);
    if (status) {
        kt_type_free(field);
        return status;
    }
    expr->type = field;
    *out = expr;
    return KITH_OK;
}

kith_status kt_expr_cast(struct kt_expr *x, const char *type, struct kt_expr **out, kith_error *error)
{
    return kt_expr_cast_as(KT_FN_CAST, x, type, strlen(type), out, error);
}
