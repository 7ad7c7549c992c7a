/* Filters as JSON, in the two forms that agents and libraries write.
 *
 * Mongo's, which Chroma and others took over:
 *     {"price": {"$lt": 9.5, "$gte": 1}, "tag": {"$in": ["a", "b"]}, "$or": [{"new": true}, {"stock": 3}]}
 * several members of an object hold together; a bare value is `$eq`.
 *
 * Haystack's:
 *     {"operator": "AND", "conditions": [{"field": "meta.tag", "operator": "==", "value": "a"}]}
 * told by its "operator" beside "field" or "conditions". The "meta." before a field is Haystack's own
 * name for what is not the document itself, and is dropped.
 *
 * Both have two truths and no third: a value that is missing is not equal, not in a list, not greater, and
 * the negation of each of these holds. The tree has three, so what could be null is closed off where it is
 * negated: `$ne` is IS DISTINCT FROM, and `$nin`, `$not`, `$nor`, `$not_contains` and "not in" are IS NOT
 * TRUE. Equal to null means that there is no value.
 *
 * Nothing is skipped: an operator that is not known, a member that is too many or twice there is refused. A
 * condition that is dropped silently returns rows that somebody meant to keep out.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "filter/filter_private.h"
#include "storage/store.h"

struct door {
    kith_error *error;
    uint32_t depth; /* of objects in objects; bounded, as whoever reads them recurses */
};

static kith_status invalid(struct door *door, const char *what, const char *where)
{
    return kt_fail(door->error, KITH_INVALID, "%s \"%.*s\"", what, kt_shown(where, strlen(where), 80), where);
}

/* ---- making ---- */

static kith_status one(struct door *door, enum kt_fn fn, struct kt_expr *x, struct kt_expr **out)
{
    return kt_expr_make(fn, &x, 1, out, door->error);
}

static kith_status two(struct door *door, enum kt_fn fn, struct kt_expr *x, struct kt_expr *y,
                       struct kt_expr **out)
{
    struct kt_expr *args[] = { x, y };
    return kt_expr_make(fn, args, 2, out, door->error);
}

/* Conditions that are collected, then joined by AND or OR. */
struct conditions {
    struct kt_expr **items;
    uint32_t count;
};

static kith_status conditions_init(struct door *door, size_t count, struct conditions *out)
{
    *out = (struct conditions){ .items = kt_alloc_array(count, sizeof *out->items) };
    return out->items ? KITH_OK : kt_fail_memory(door->error, count * sizeof *out->items);
}

/* Uses them up. None at all holds for every row. */
static kith_status join(struct door *door, enum kt_fn fn, kith_status status, struct conditions *conditions,
                        struct kt_expr **out)
{
    struct kt_value always = { .kind = KT_VALUE_BOOL, .boolean = true };
    if (status)
        for (uint32_t i = 0; i < conditions->count; i++) kt_expr_release(conditions->items[i]);
    else if (!conditions->count)
        status = kt_expr_literal(&always, out, door->error);
    else if (conditions->count == 1)
        *out = conditions->items[0];
    else
        status = kt_expr_make(fn, conditions->items, conditions->count, out, door->error);
    kt_free(conditions->items);
    return status;
}

/* x is not true: false, or null. */
static kith_status negate(struct door *door, kith_status status, struct kt_expr *x, struct kt_expr **out)
{
    return status ? status : one(door, KT_FN_IS_NOT_TRUE, x, out);
}

/* ---- values ---- */

static kith_status read_text(struct door *door, const json_t *json, struct kt_value *out)
{
    size_t size = json_string_length(json);
    out->kind = KT_VALUE_TEXT;
    out->text = kt_alloc(size + 1);
    if (!out->text) return kt_fail_memory(door->error, size + 1);
    memcpy(out->text, json_string_value(json), size + 1);
    out->size = size;
    return KITH_OK;
}

static kith_status read_value(struct door *door, const json_t *json, const char *where, struct kt_value *out)
{
    *out = (struct kt_value){ 0 };
    switch (json_typeof(json)) {
    case JSON_NULL:
        return KITH_OK;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = (struct kt_value){ .kind = KT_VALUE_BOOL, .boolean = json_is_true(json) };
        return KITH_OK;
    case JSON_INTEGER:
        *out = (struct kt_value){ .kind = KT_VALUE_INT, .integer = json_integer_value(json) };
        return KITH_OK;
    case JSON_REAL:
        *out = (struct kt_value){ .kind = KT_VALUE_FLOAT, .number = json_real_value(json) };
        return KITH_OK;
    case JSON_STRING:
        return read_text(door, json, out);
    default:
        return kt_fail(
            door->error, KITH_INVALID,
            "\"%.*s\" is compared with %s, and only with a text, a number, a boolean or null it can "
            "be; for one of several values there are \"$in\" and \"in\"",
            kt_shown(where, strlen(where), 80), where, json_is_array(json) ? "an array" : "an object");
    }
}

static kith_status read_literal(struct door *door, const json_t *json, const char *where,
                                struct kt_expr **out)
{
    struct kt_value value;
    kith_status status = read_value(door, json, where, &value);
    return status ? status : kt_expr_literal(&value, out, door->error);
}

/* The values of an array without its nulls. */
static kith_status read_list(struct door *door, const json_t *array, const char *where, struct kt_value *out,
                             bool *nulls)
{
    kith_status status = KITH_OK;
    *out = (struct kt_value){ .kind = KT_VALUE_LIST };
    if (!json_is_array(array)) return invalid(door, "an array is needed to look for a value of", where);
    if (json_array_size(array) > KT_FILTER_LIST)
        return kt_fail(door->error, KITH_INVALID, "a list of %zu values is longer than %d",
                       json_array_size(array), KT_FILTER_LIST);
    out->items = kt_alloc_zero(json_array_size(array), sizeof *out->items);
    if (!out->items) return kt_fail_memory(door->error, json_array_size(array) * sizeof *out->items);
    for (size_t i = 0; !status && i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        if (json_is_null(item))
            *nulls = true;
        else
            status = read_value(door, item, where, &out->items[out->count++]);
    }
    if (status) kt_value_release(out);
    return status;
}

/* ---- comparisons: each takes x over ---- */

/* x = value or x IS DISTINCT FROM value; of null, whether there is a value. */
static kith_status read_equal(struct door *door, bool equal, struct kt_expr *x, const json_t *json,
                              const char *where, struct kt_expr **out)
{
    struct kt_expr *value = NULL;
    if (json_is_null(json)) return one(door, equal ? KT_FN_IS_NULL : KT_FN_IS_NOT_NULL, x, out);
    kith_status status = read_literal(door, json, where, &value);
    if (!status) return two(door, equal ? KT_FN_EQ : KT_FN_DISTINCT, x, value, out);
    kt_expr_release(x);
    return status;
}

static kith_status read_order(struct door *door, enum kt_fn fn, struct kt_expr *x, const json_t *json,
                              const char *where, struct kt_expr **out)
{
    struct kt_expr *value = NULL;
    kith_status status = read_literal(door, json, where, &value);
    if (!status) return two(door, fn, x, value, out);
    kt_expr_release(x);
    return status;
}

/* x IN (...), or with a null in the list: x IS NULL OR x IN (...). */
static kith_status read_in(struct door *door, struct kt_expr *x, const json_t *json, const char *where,
                           struct kt_expr **out)
{
    struct kt_value list;
    struct kt_expr *items = NULL, *in = NULL, *none = NULL, *again = kt_expr_share(x);
    bool nulls = false;
    kith_status status = read_list(door, json, where, &list, &nulls);
    if (!status) status = kt_expr_literal(&list, &items, door->error);
    if (status)
        kt_expr_release(x);
    else
        status = two(door, KT_FN_IN, x, items, &in);
    if (status || !nulls) {
        kt_expr_release(again);
        if (!status) *out = in;
        return status;
    }
    status = one(door, KT_FN_IS_NULL, again, &none);
    if (!status) return two(door, KT_FN_OR, none, in, out);
    kt_expr_release(in);
    return status;
}

static kith_status read_exists(struct door *door, struct kt_expr *x, const json_t *json, const char *where,
                               struct kt_expr **out)
{
    if (json_is_boolean(json))
        return one(door, json_is_true(json) ? KT_FN_IS_NOT_NULL : KT_FN_IS_NULL, x, out);
    kt_expr_release(x);
    return invalid(door, "\"$exists\" needs true or false for", where);
}

/* ---- operators of fields ---- */

enum deed { EQUAL, UNEQUAL, ORDER, IN, NOT_IN, CONTAINS, NOT_CONTAINS, EXISTS, NOT_THAT };

static const struct operation {
    const char *mongo, *haystack;
    enum deed deed;
    enum kt_fn fn;
} operations[] = {
    { "$eq", "==", EQUAL, KT_FN_EQ },
    { "$ne", "!=", UNEQUAL, KT_FN_DISTINCT },
    { "$gt", ">", ORDER, KT_FN_GT },
    { "$gte", ">=", ORDER, KT_FN_GE },
    { "$lt", "<", ORDER, KT_FN_LT },
    { "$lte", "<=", ORDER, KT_FN_LE },
    { "$in", "in", IN, KT_FN_IN },
    { "$nin", "not in", NOT_IN, KT_FN_IN },
    { "$contains", NULL, CONTAINS, KT_FN_CONTAINS },
    { "$not_contains", NULL, NOT_CONTAINS, KT_FN_CONTAINS },
    { "$exists", NULL, EXISTS, KT_FN_IS_NOT_NULL },
    { "$not", NULL, NOT_THAT, KT_FN_IS_NOT_TRUE },
};
enum { OPERATIONS = sizeof operations / sizeof operations[0] };

/* With the names that are near, or else all there are. */
static kith_status unknown(struct door *door, bool haystack, const char *name)
{
    const char *names[OPERATIONS + 3];
    char near[KT_NEAR_TEXT];
    size_t count = 0, at = 0;
    for (size_t i = 0; i < OPERATIONS; i++) {
        const char *known = haystack ? operations[i].haystack : operations[i].mongo;
        if (known) names[count++] = known;
    }
    names[count++] = haystack ? "AND" : "$and";
    names[count++] = haystack ? "OR" : "$or";
    names[count++] = haystack ? "NOT" : "$nor";
    kt_near_names(name, names, count, near);
    for (size_t i = 0; !near[at] && i < count; i++) /* they fit */
        at += (size_t)snprintf(near + at, sizeof near - at, "%s%s", i ? ", " : "; there are ", names[i]);
    return kt_fail(door->error, KITH_INVALID, "there is no operator \"%.*s\" here%s",
                   kt_shown(name, strlen(name), 80), name, near);
}

static kith_status read_operations(struct door *door, const struct kt_expr *x, const json_t *object,
                                   const char *where, struct kt_expr **out);

static kith_status apply(struct door *door, const struct operation *operation, struct kt_expr *x,
                         const json_t *json, const char *where, struct kt_expr **out)
{
    struct kt_expr *inner = NULL;
    kith_status status;
    switch (operation->deed) {
    case EQUAL:
    case UNEQUAL:
        return read_equal(door, operation->deed == EQUAL, x, json, where, out);
    case ORDER:
    case CONTAINS:
        return read_order(door, operation->fn, x, json, where, out);
    case NOT_CONTAINS:
        status = read_order(door, operation->fn, x, json, where, &inner);
        return negate(door, status, inner, out);
    case IN:
        return read_in(door, x, json, where, out);
    case NOT_IN:
        status = read_in(door, x, json, where, &inner);
        return negate(door, status, inner, out);
    case EXISTS:
        return read_exists(door, x, json, where, out);
    default:
        status = json_is_object(json) ? read_operations(door, x, json, where, &inner)
                                      : invalid(door, "\"$not\" needs an object of operators for", where);
        kt_expr_release(x);
        return negate(door, status, inner, out);
    }
}

/* ---- Mongo's form ---- */

static const struct operation *find_mongo(const char *name)
{
    for (size_t i = 0; i < OPERATIONS; i++)
        if (strcmp(operations[i].mongo, name) == 0) return &operations[i];
    return NULL;
}

static kith_status deeper(struct door *door)
{
    if (door->depth++ < KT_FILTER_DEPTH) return KITH_OK;
    return kt_fail(door->error, KITH_INVALID, "a filter nested deeper than %d levels is refused",
                   KT_FILTER_DEPTH);
}

/* {"$gt": 1, "$lt": 5} of x, which is borrowed. */
static kith_status read_operations(struct door *door, const struct kt_expr *x, const json_t *object,
                                   const char *where, struct kt_expr **out)
{
    struct conditions all;
    const char *name;
    json_t *value;
    kith_status status = deeper(door);
    if (!status && !json_object_size(object)) status = invalid(door, "there is no operator for", where);
    if (!status) status = conditions_init(door, json_object_size(object), &all);
    if (status) return status;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        const struct operation *operation = find_mongo(name);
        if (!operation)
            status =
                name[0] == '$'
                    ? unknown(door, false, name)
                    : invalid(door, "fields of a struct are written \"a.b\"; this is no operator:", name);
        else
            status = apply(door, operation, kt_expr_share(x), value, where, &all.items[all.count]);
        if (status) break;
        all.count++;
    }
    door->depth--;
    return join(door, KT_FN_AND, status, &all, out);
}

static kith_status read_field(struct door *door, const char *name, const json_t *value, struct kt_expr **out)
{
    struct kt_expr *x = NULL;
    kith_status status = kt_expr_path(name, &x, door->error);
    if (status) return status;
    if (!json_is_object(value)) return read_equal(door, true, x, value, name, out);
    status = read_operations(door, x, value, name, out);
    kt_expr_release(x);
    return status;
}

static kith_status read_filter(struct door *door, const json_t *json, struct kt_expr **out);

static kith_status read_array(struct door *door, enum kt_fn fn, const char *name, const json_t *array,
                              struct kt_expr **out)
{
    struct conditions all;
    if (!json_is_array(array) || !json_array_size(array))
        return invalid(door, "an array of at least one condition is needed for", name);
    kith_status status = conditions_init(door, json_array_size(array), &all);
    if (status) return status;
    for (size_t i = 0; !status && i < json_array_size(array); i++) {
        status = read_filter(door, json_array_get(array, i), &all.items[all.count]);
        all.count += !status;
    }
    return join(door, fn, status, &all, out);
}

static kith_status read_logic(struct door *door, const char *name, const json_t *value, struct kt_expr **out)
{
    struct kt_expr *inner = NULL;
    kith_status status;
    if (strcmp(name, "$and") == 0) return read_array(door, KT_FN_AND, name, value, out);
    if (strcmp(name, "$or") == 0) return read_array(door, KT_FN_OR, name, value, out);
    if (strcmp(name, "$nor") == 0) {
        status = read_array(door, KT_FN_OR, name, value, &inner);
        return negate(door, status, inner, out);
    }
    if (strcmp(name, "$not") == 0) {
        status = read_filter(door, value, &inner);
        return negate(door, status, inner, out);
    }
    return find_mongo(name) ? invalid(door, "there must be a field around the operator", name)
                            : unknown(door, false, name);
}

static kith_status read_mongo(struct door *door, const json_t *object, struct kt_expr **out)
{
    struct conditions all;
    const char *name;
    json_t *value;
    kith_status status = conditions_init(door, json_object_size(object), &all);
    if (status) return status;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        status = name[0] == '$' ? read_logic(door, name, value, &all.items[all.count])
                                : read_field(door, name, value, &all.items[all.count]);
        if (status) break;
        all.count++;
    }
    return join(door, KT_FN_AND, status, &all, out);
}

/* ---- Haystack's form ---- */

static bool is_haystack(const json_t *object)
{
    return json_is_string(json_object_get(object, "operator")) &&
           (json_object_get(object, "field") || json_object_get(object, "conditions"));
}

static kith_status read_comparison(struct door *door, const char *name, const json_t *object,
                                   struct kt_expr **out)
{
    const char *field = json_string_value(json_object_get(object, "field"));
    const json_t *value = json_object_get(object, "value");
    struct kt_expr *x = NULL;
    if (!field || !value || json_object_size(object) != 3)
        return kt_fail(
            door->error, KITH_INVALID,
            "a comparison has \"field\", which is a text, \"operator\" and \"value\", and nothing else");
    if (strncmp(field, "meta.", 5) == 0) field += 5;
    for (size_t i = 0; i < OPERATIONS; i++) {
        if (!operations[i].haystack || strcasecmp(operations[i].haystack, name) != 0) continue;
        kith_status status = kt_expr_path(field, &x, door->error);
        return status ? status : apply(door, &operations[i], x, value, field, out);
    }
    return unknown(door, true, name);
}

static kith_status read_haystack(struct door *door, const json_t *object, struct kt_expr **out)
{
    const char *name = json_string_value(json_object_get(object, "operator"));
    const json_t *conditions = json_object_get(object, "conditions");
    struct kt_expr *inner = NULL;
    if (!conditions) return read_comparison(door, name, object, out);
    if (json_object_size(object) != 2)
        return invalid(door, "nothing stands beside \"operator\" and \"conditions\" of", name);
    if (strcasecmp(name, "AND") == 0) return read_array(door, KT_FN_AND, name, conditions, out);
    if (strcasecmp(name, "OR") == 0) return read_array(door, KT_FN_OR, name, conditions, out);
    if (strcasecmp(name, "NOT") != 0) return unknown(door, true, name);
    kith_status status = read_array(door, KT_FN_AND, name, conditions, &inner);
    return negate(door, status, inner, out);
}

/* ---- the whole ---- */

static kith_status read_filter(struct door *door, const json_t *json, struct kt_expr **out)
{
    if (!json_is_object(json))
        return kt_fail(door->error, KITH_INVALID,
                       "a filter in JSON is an object, as in {\"price\": {\"$lt\": 9.5}}");
    kith_status status = deeper(door);
    if (status) return status;
    status = is_haystack(json) ? read_haystack(door, json, out) : read_mongo(door, json, out);
    door->depth--;
    return status;
}

static kith_status load(const char *text, size_t size, json_t **out, kith_error *error)
{
    json_error_t reason;
    if (size > KT_FILTER_JSON)
        return kt_fail(error, KITH_INVALID, "the filter has %zu bytes of JSON, and at most %d are read", size,
                       KT_FILTER_JSON);
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &reason);
    return *out
               ? KITH_OK
               : kt_fail(error, KITH_INVALID, "the JSON of the filter cannot be read: line %d, column %d: %s",
                         reason.line, reason.column, reason.text);
}

kith_status kt_expr_from_json(const char *text, size_t size, struct kt_expr **out, kith_error *error)
{
    struct door door = { .error = error };
    struct kt_expr *expr = NULL;
    json_t *json = NULL;
    kt_json_watch();
    kith_status status = kt_json_watched(load(text, size, &json, error), error);
    if (!status) status = read_filter(&door, json, &expr);
    json_decref(json);
    if (!status) *out = expr;
    return status;
}
