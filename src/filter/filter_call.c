/* Functions by name: the one table of what there is, how many arguments each takes, and how it is called in
 * SQL and by builders.
 *
 * The first name of a function, in `facts`, is the one that is written; `others` are accepted. Beside SQL's,
 * these are the names that DuckDB and DataFusion have for the same thing, where they mean the same: concat(),
 * which skips nulls there, is not `||`. Case never matters.
 *
 * A few names stand for more than one node: "not in", "between", "-" of one argument, the casts, which take
 * their type as a literal text, and regexp_match, which is null where regexp_like is false.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "filter/filter_private.h"

enum { ANY = UINT16_MAX };

static const struct fact {
    const char *name;
    uint16_t least, most;
} facts[KT_FNS] = {
    [KT_FN_LITERAL] = { "a literal", 0, 0 },
    [KT_FN_COLUMN] = { "a column", 0, 0 },
    [KT_FN_AND] = { "AND", 2, ANY },
    [KT_FN_OR] = { "OR", 2, ANY },
    [KT_FN_NOT] = { "NOT", 1, 1 },
    [KT_FN_EQ] = { "=", 2, 2 },
    [KT_FN_NE] = { "<>", 2, 2 },
    [KT_FN_LT] = { "<", 2, 2 },
    [KT_FN_LE] = { "<=", 2, 2 },
    [KT_FN_GT] = { ">", 2, 2 },
    [KT_FN_GE] = { ">=", 2, 2 },
    [KT_FN_DISTINCT] = { "IS DISTINCT FROM", 2, 2 },
    [KT_FN_NOT_DISTINCT] = { "IS NOT DISTINCT FROM", 2, 2 },
    [KT_FN_IS_NULL] = { "IS NULL", 1, 1 },
    [KT_FN_IS_NOT_NULL] = { "IS NOT NULL", 1, 1 },
    [KT_FN_IS_TRUE] = { "IS TRUE", 1, 1 },
    [KT_FN_IS_NOT_TRUE] = { "IS NOT TRUE", 1, 1 },
    [KT_FN_IS_FALSE] = { "IS FALSE", 1, 1 },
    [KT_FN_IS_NOT_FALSE] = { "IS NOT FALSE", 1, 1 },
    [KT_FN_IN] = { "IN", 1, ANY },
    [KT_FN_LIKE] = { "LIKE", 2, 3 },
    [KT_FN_ILIKE] = { "ILIKE", 2, 3 },
    [KT_FN_REGEXP] = { "regexp_like", 2, 2 },
    [KT_FN_ADD] = { "+", 2, 2 },
    [KT_FN_SUB] = { "-", 2, 2 },
    [KT_FN_MUL] = { "*", 2, 2 },
    [KT_FN_DIV] = { "/", 2, 2 },
    [KT_FN_MOD] = { "%", 2, 2 },
    [KT_FN_NEG] = { "-", 1, 1 },
    [KT_FN_CONCAT] = { "||", 2, 2 },
    [KT_FN_CASE] = { "CASE", 2, ANY },
    [KT_FN_COALESCE] = { "coalesce", 1, ANY },
    [KT_FN_NULLIF] = { "nullif", 2, 2 },
    [KT_FN_GREATEST] = { "greatest", 1, ANY },
    [KT_FN_LEAST] = { "least", 1, ANY },
    [KT_FN_CAST] = { "CAST", 1, 1 },
    [KT_FN_TRY_CAST] = { "TRY_CAST", 1, 1 },
    [KT_FN_ELEMENT] = { "[]", 2, 2 },
    [KT_FN_JSON_GET] = { "->", 2, 2 },
    [KT_FN_JSON_TEXT] = { "->>", 2, 2 },
    [KT_FN_ABS] = { "abs", 1, 1 },
    [KT_FN_ROUND] = { "round", 1, 2 },
    [KT_FN_FLOOR] = { "floor", 1, 1 },
    [KT_FN_CEIL] = { "ceil", 1, 1 },
    [KT_FN_LENGTH] = { "length", 1, 1 },
    [KT_FN_LOWER] = { "lower", 1, 1 },
    [KT_FN_UPPER] = { "upper", 1, 1 },
    [KT_FN_TRIM] = { "trim", 1, 1 },
    [KT_FN_LTRIM] = { "ltrim", 1, 1 },
    [KT_FN_RTRIM] = { "rtrim", 1, 1 },
    [KT_FN_SUBSTR] = { "substr", 2, 3 },
    [KT_FN_STARTS_WITH] = { "starts_with", 2, 2 },
    [KT_FN_ENDS_WITH] = { "ends_with", 2, 2 },
    [KT_FN_CONTAINS] = { "contains", 2, 2 },
    [KT_FN_ARRAY_HAS] = { "array_has", 2, 2 },
    [KT_FN_ARRAY_HAS_ANY] = { "array_has_any", 2, 2 },
    [KT_FN_ARRAY_HAS_ALL] = { "array_has_all", 2, 2 },
    [KT_FN_ARRAY_LENGTH] = { "array_length", 1, 1 },
    [KT_FN_DATE_PART] = { "date_part", 2, 2 },
    [KT_FN_NOW] = { "now", 0, 0 },
    [KT_FN_ISNAN] = { "isnan", 1, 1 },
};

static const struct other {
    const char *name;
    enum kt_fn fn;
} others[] = {
    { "==", KT_FN_EQ },
    { "!=", KT_FN_NE },
    { "regexp_matches", KT_FN_REGEXP },
    { "mod", KT_FN_MOD },
    { "ifnull", KT_FN_COALESCE },
    { "element_at", KT_FN_ELEMENT },
    { "list_element", KT_FN_ELEMENT },
    { "array_element", KT_FN_ELEMENT },
    { "ceiling", KT_FN_CEIL },
    { "char_length", KT_FN_LENGTH },
    { "character_length", KT_FN_LENGTH },
    { "len", KT_FN_LENGTH },
    { "btrim", KT_FN_TRIM },
    { "substring", KT_FN_SUBSTR },
    { "prefix", KT_FN_STARTS_WITH },
    { "suffix", KT_FN_ENDS_WITH },
    { "array_contains", KT_FN_ARRAY_HAS },
    { "list_contains", KT_FN_ARRAY_HAS },
    { "list_has", KT_FN_ARRAY_HAS },
    { "list_has_any", KT_FN_ARRAY_HAS_ANY },
    { "list_has_all", KT_FN_ARRAY_HAS_ALL },
    { "cardinality", KT_FN_ARRAY_LENGTH },
    { "list_length", KT_FN_ARRAY_LENGTH },
    { "datepart", KT_FN_DATE_PART },
};
enum { OTHERS = sizeof others / sizeof others[0] };

static const char *const shapes[] = { "not in",   "between",   "not between",
                                      "not like", "not ilike", "regexp_match" };
enum { SHAPES = sizeof shapes / sizeof shapes[0], NAMES = (int)KT_FNS + (int)OTHERS + (int)SHAPES };

const char *kt_fn_name(enum kt_fn fn)
{
    return facts[fn].name;
}

static kith_status wrong_count(enum kt_fn fn, uint32_t count, kith_error *error)
{
    const struct fact *fact = &facts[fn];
    char takes[40];
    if (fact->least == fact->most)
        snprintf(takes, sizeof takes, "%u", fact->least);
    else if (fact->most == ANY)
        snprintf(takes, sizeof takes, "at least %u", fact->least);
    else
        snprintf(takes, sizeof takes, "%u to %u", fact->least, fact->most);
    return kt_fail(error, KITH_INVALID, "%s takes %s argument%s, and %u %s given", fact->name, takes,
                   fact->least == 1 && fact->most == 1 ? "" : "s", count, count == 1 ? "is" : "are");
}

kith_status kt_fn_check_count(enum kt_fn fn, uint32_t count, kith_error *error)
{
    if (fn <= KT_FN_COLUMN || fn >= KT_FNS || fn == KT_FN_CAST || fn == KT_FN_TRY_CAST)
        return kt_fail(error, KITH_INVALID, "%s is not made of arguments alone",
                       fn < KT_FNS ? facts[fn].name : "that");
    return count >= facts[fn].least && (facts[fn].most == ANY || count <= facts[fn].most)
               ? KITH_OK
               : wrong_count(fn, count, error);
}

/* ---- by name ---- */

/* KT_FNS where there is none. */
static enum kt_fn find(const char *name)
{
    for (int fn = KT_FN_AND; fn < KT_FNS; fn++)
        if (strcasecmp(facts[fn].name, name) == 0) return (enum kt_fn)fn;
    for (int i = 0; i < OTHERS; i++)
        if (strcasecmp(others[i].name, name) == 0) return others[i].fn;
    return KT_FNS;
}

static kith_status unknown(const char *name, kith_error *error)
{
    const char *names[NAMES];
    char near[KT_NEAR_TEXT];
    size_t count = 0;
    for (int fn = KT_FN_AND; fn < KT_FNS; fn++) names[count++] = facts[fn].name;
    for (int i = 0; i < OTHERS; i++) names[count++] = others[i].name;
    for (int i = 0; i < SHAPES; i++) names[count++] = shapes[i];
    kt_near_names(name, names, count, near);
    return kt_fail(error, KITH_INVALID, "there is no function \"%.80s\"%s", name, near);
}

static kith_status make_not(struct kt_expr *x, struct kt_expr **out, kith_error *error)
{
    return kt_expr_make(KT_FN_NOT, &x, 1, out, error);
}

/* x >= low AND x <= high */
static kith_status make_between(struct kt_expr **args, struct kt_expr **out, kith_error *error)
{
    struct kt_expr *both[2] = { 0 }, *low[2] = { kt_expr_share(args[0]), args[1] };
    kith_status status = kt_expr_make(KT_FN_GE, low, 2, &both[0], error);
    if (status) {
        kt_expr_release(args[0]);
        kt_expr_release(args[2]);
        return status;
    }
    struct kt_expr *high[2] = { args[0], args[2] };
    status = kt_expr_make(KT_FN_LE, high, 2, &both[1], error);
    if (status)
        kt_expr_release(both[0]);
    else
        status = kt_expr_make(KT_FN_AND, both, 2, out, error);
    return status;
}

static kith_status drop(struct kt_expr **args, uint32_t count, kith_status status)
{
    for (uint32_t i = 0; i < count; i++) kt_expr_release(args[i]);
    return status;
}

static kith_status call_cast(enum kt_fn fn, struct kt_expr **args, uint32_t count, struct kt_expr **out,
                             kith_error *error)
{
    const struct kt_value *type = count == 2 ? &args[1]->value : NULL;
    if (!type || type->kind != KT_VALUE_TEXT)
        return drop(
            args, count,
            kt_fail(error, KITH_INVALID, "%s takes a value and a literal text, the type", facts[fn].name));
    kith_status status = kt_expr_cast_as(fn, args[0], type->text, type->size, out, error);
    kt_expr_release(args[1]);
    return status;
}

static kith_status call_between(bool negated, struct kt_expr **args, uint32_t count, struct kt_expr **out,
                                kith_error *error)
{
    struct kt_expr *made = NULL;
    if (count != 3)
        return drop(args, count,
                    kt_fail(error, KITH_INVALID, "BETWEEN takes 3 arguments, and %u are given", count));
    kith_status status = make_between(args, &made, error);
    if (status) return status;
    if (negated) return make_not(made, out, error);
    *out = made;
    return KITH_OK;
}

/* DataFusion's regexp_match gives what matched, or null. A condition asks whether there is something: it is
 * true or null, so that IS NOT NULL says what it says there, and nobody takes "no match" for an answer. */
static kith_status call_match(struct kt_expr **args, uint32_t count, struct kt_expr **out, kith_error *error)
{
    struct kt_value no = { .kind = KT_VALUE_BOOL };
    struct kt_expr *made = NULL, *never = NULL;
    kith_status status = kt_expr_make(KT_FN_REGEXP, args, count, &made, error);
    if (!status) status = kt_expr_literal(&no, &never, error);
    if (status) {
        kt_expr_release(made);
        return status;
    }
    struct kt_expr *both[2] = { made, never };
    return kt_expr_make(KT_FN_NULLIF, both, 2, out, error);
}

kith_status kt_expr_call(const char *name, struct kt_expr **args, uint32_t count, struct kt_expr **out,
                         kith_error *error)
{
    struct kt_expr *made = NULL;
    bool negated = strncasecmp(name, "not ", 4) == 0;
    const char *rest = negated ? name + 4 : name;
    if (strcasecmp(rest, "between") == 0) return call_between(negated, args, count, out, error);
    if (strcasecmp(name, "regexp_match") == 0) return call_match(args, count, out, error);
    enum kt_fn fn = find(rest);
    if (fn == KT_FN_SUB && count == 1) fn = KT_FN_NEG;
    if (fn == KT_FNS || (negated && fn != KT_FN_IN && fn != KT_FN_LIKE && fn != KT_FN_ILIKE))
        return drop(args, count, unknown(name, error));
    if (fn == KT_FN_CAST || fn == KT_FN_TRY_CAST) return call_cast(fn, args, count, out, error);
    kith_status status = kt_expr_make(fn, args, count, &made, error);
    if (status) return status;
    if (negated) return make_not(made, out, error);
    *out = made;
    return KITH_OK;
}
