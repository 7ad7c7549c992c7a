/* What the rules of the grammar build, and the parameters that stand for values in it.
 *
 * Values are bound, never pasted: a parameter is found by its mark and becomes a literal of the tree, so what
 * a text holds is never read as SQL. A list among the items of an IN stands for its own items; that is a
 * property of IN, and nothing here has to know it.
 *
 * A failure is told once, by the first who meets it; from then on every rule gives back what it is handed and
 * makes nothing, and the loop that feeds the grammar stops. Nodes remember where they were written, from the
 * first character of their first argument to the end of their last, for what is found out about them later.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "filter/filter_parse_private.h"

/* ---- failing ---- */

void kt_parse_fail(struct kt_parse *parse, struct kt_token at, const char *format, ...)
{
    char words[sizeof parse->error->message];
    va_list arguments;
    if (parse->status) return;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    parse->status = kt_fail_at(parse->error, KITH_INVALID, parse->text, at.start, at.size, "%s", words);
}

/* What a maker said, shown where it was written. */
static void fail_made(struct kt_parse *parse, struct kt_token at, kith_status status, const kith_error *made)
{
    if (parse->status) return;
    const char *text = status == KITH_NO_MEMORY ? NULL : parse->text;
    parse->status = kt_fail_at(parse->error, status, text, at.start, at.size, "%s", made->message);
}

static void fail_memory(struct kt_parse *parse, size_t bytes)
{
    if (!parse->status) parse->status = kt_fail_memory(parse->error, bytes);
}

struct expectation {
    bool holds;
    const char *words;
};

static size_t list_expectations(const struct kt_expected *could, const char *words[8])
{
    bool between = could->operation && !could->end && !could->close && !could->close_bracket &&
                   !could->comma && !could->when && !could->then && !could->as;
    const struct expectation all[] = {
        { could->value, "a value" },
        { could->name && !could->value, "a name" },
        { could->text && !could->value, "a text in single quotes" },
        { could->is_what && !could->value, "NULL, TRUE, FALSE or DISTINCT FROM" },
        { could->from, "FROM" },
        { could->open, "\"(\"" },
        { could->after_not, "BETWEEN, IN, LIKE or ILIKE" },
        { could->when, "WHEN" },
        { could->then, "THEN" },
        { could->otherwise, "WHEN, ELSE or END" },
        { could->as, "AS" },
        { could->close, "\")\"" },
        { could->close_bracket, "\"]\"" },
        { could->comma, "\",\"" },
        { between, "AND" },
        { could->operation, "an operator" },
        { could->end, "the end of the filter" },
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0] && count < 8; i++)
        if (all[i].holds) words[count++] = all[i].words;
    return count;
}

void kt_parse_unexpected(struct kt_parse *parse, struct kt_token token, const struct kt_expected *expected)
{
    const char *words[8], *piece = parse->text + token.start;
    char could[200] = "", found[80] = "the end of the filter";
    size_t count = list_expectations(expected, words), at = 0;
    for (size_t i = 0; i < count && at < sizeof could; i++) {
        const char *between = !i ? "" : i + 1 < count ? ", " : " or ";
        at += (size_t)snprintf(could + at, sizeof could - at, "%s%s", between, words[i]);
    }
    if (token.size)
        snprintf(found, sizeof found, "\"%.*s\"", kt_shown(piece, token.size, 60), piece);
    else
        token.size = 1; /* the place behind the text */
    if (expected->row)
        kt_parse_fail(parse, token, "comparisons stand in no row: write a < b AND b < c");
    else if (!count)
        kt_parse_fail(parse, token, "%s cannot stand here", found);
    else
        kt_parse_fail(parse, token, "expected %s, found %s", could, found);
}

/* ---- tokens ---- */

struct kt_token kt_token_to(struct kt_token first, struct kt_token last)
{
    return (struct kt_token){ first.start, last.start + last.size - first.start };
}

static struct kt_token span_of(const struct kt_expr *expr)
{
    return expr ? (struct kt_token){ expr->position, expr->length } : (struct kt_token){ 0 };
}

static struct kt_token both(struct kt_token a, struct kt_token b)
{
    if (!a.size || !b.size) return a.size ? a : b;
    uint32_t start = kt_min_u32(a.start, b.start), end = kt_max_u32(a.start + a.size, b.start + b.size);
    return (struct kt_token){ start, end - start };
}

static bool is_word(const struct kt_parse *parse, struct kt_token token, const char *word)
{
    return strlen(word) == token.size && strncasecmp(parse->text + token.start, word, token.size) == 0;
}

/* What stands between quotes, doubled ones once; or the token as it is. To be freed. */
static char *unquote(struct kt_parse *parse, struct kt_token token, size_t *size)
{
    const char *from = parse->text + token.start, *end = from + token.size;
    char quote = *from == '\'' || *from == '"' || *from == '`' ? *from : '\0';
    char *text = kt_alloc((size_t)token.size + 1), *to = text;
    if (!text) {
        fail_memory(parse, token.size);
        return NULL;
    }
    if (quote) from++, end--;
    while (from < end) {
        if (quote && *from == quote) from++;
        *to++ = *from++;
    }
    *to = '\0';
    *size = (size_t)(to - text);
    return text;
}

/* ---- making nodes ---- */

static struct kt_expr *settle(struct kt_parse *parse, kith_status status, struct kt_expr *expr,
                              const kith_error *made, struct kt_token span)
{
    if (status) {
        fail_made(parse, span, status, made);
        return NULL;
    }
    expr->position = span.start; /* nobody else has seen it yet */
    expr->length = span.size;
    return expr;
}

static struct kt_expr *make(struct kt_parse *parse, enum kt_fn fn, struct kt_expr **args, uint32_t count,
                            struct kt_token span)
{
    kith_error made;
    struct kt_expr *expr = NULL;
    if (parse->status) {
        for (uint32_t i = 0; i < count; i++) kt_expr_release(args[i]);
        return NULL;
    }
    kith_status status = kt_expr_make(fn, args, count, &expr, &made);
    return settle(parse, status, expr, &made, span);
}

static struct kt_expr *literal(struct kt_parse *parse, struct kt_value *value, struct kt_token span)
{
    kith_error made;
    struct kt_expr *expr = NULL;
    if (parse->status) {
        kt_value_release(value);
        return NULL;
    }
    kith_status status = kt_expr_literal(value, &expr, &made);
    return settle(parse, status, expr, &made, span);
}

struct kt_expr *kt_parse_one(struct kt_parse *parse, enum kt_fn fn, struct kt_expr *x, struct kt_token token)
{
    return make(parse, fn, &x, 1, both(span_of(x), token));
}

struct kt_expr *kt_parse_two(struct kt_parse *parse, enum kt_fn fn, struct kt_expr *x, struct kt_expr *y)
{
    struct kt_expr *args[] = { x, y };
    return make(parse, fn, args, 2, both(span_of(x), span_of(y)));
}

struct kt_expr *kt_parse_not_if(struct kt_parse *parse, bool negated, struct kt_expr *x)
{
    return negated ? make(parse, KT_FN_NOT, &x, 1, span_of(x)) : x;
}

/* ---- several at once ---- */

void kt_args_release(struct kt_args *args)
{
    for (uint32_t i = 0; i < args->count; i++) kt_expr_release(args->items[i]);
    kt_free(args->items);
    *args = (struct kt_args){ 0 };
}

void kt_args_add(struct kt_parse *parse, struct kt_args *args, struct kt_expr *x)
{
    if (args->count == args->room) {
        uint32_t room = args->room ? 2 * args->room : 4;
        struct kt_expr **items = kt_realloc_array(args->items, room, sizeof *items);
        if (!items) {
            fail_memory(parse, room * sizeof *items);
            kt_expr_release(x);
            return;
        }
        args->items = items;
        args->room = room;
    }
    args->items[args->count++] = x;
}

/* A node of them all; they are used up. */
static struct kt_expr *make_of(struct kt_parse *parse, enum kt_fn fn, struct kt_args *args,
                               struct kt_token span)
{
    struct kt_expr *expr = make(parse, fn, args->items, args->count, span);
    args->count = 0;
    kt_args_release(args);
    return expr;
}

/* x before what the list holds. */
static struct kt_args put_first(struct kt_parse *parse, struct kt_expr *x, struct kt_args items)
{
    kt_args_add(parse, &items, x);
    for (uint32_t i = items.count; !parse->status && --i > 0;) {
        items.items[i] = items.items[i - 1];
        items.items[i - 1] = x;
    }
    return items;
}

struct kt_expr *kt_parse_in(struct kt_parse *parse, struct kt_expr *x, struct kt_args items,
                            struct kt_token last)
{
    struct kt_token span = both(span_of(x), last);
    struct kt_args args = put_first(parse, x, items);
    return make_of(parse, KT_FN_IN, &args, span);
}

struct kt_expr *kt_parse_in_list(struct kt_parse *parse, struct kt_expr *x, struct kt_expr *list)
{
    if (list && list->value.kind != KT_VALUE_LIST)
        kt_parse_fail(parse, span_of(list), "IN without parentheses needs a list; write IN (...)");
    return kt_parse_two(parse, KT_FN_IN, x, list);
}

struct kt_expr *kt_parse_like(struct kt_parse *parse, enum kt_fn fn, struct kt_expr *x,
                              struct kt_expr *pattern, struct kt_expr *escape)
{
    struct kt_expr *args[] = { x, pattern, escape };
    struct kt_token span = both(both(span_of(x), span_of(pattern)), span_of(escape));
    return make(parse, fn, args, escape ? 3 : 2, span);
}

struct kt_expr *kt_parse_between(struct kt_parse *parse, struct kt_expr *x, struct kt_expr *low,
                                 struct kt_expr *high)
{
    struct kt_expr *again = x && !parse->status ? kt_expr_share(x) : NULL;
    struct kt_token span = both(span_of(x), span_of(high));
    low = kt_parse_two(parse, KT_FN_GE, x, low);
    high = kt_parse_two(parse, KT_FN_LE, again, high);
    struct kt_expr *args[] = { low, high };
    return make(parse, KT_FN_AND, args, 2, span);
}

struct kt_expr *kt_parse_case(struct kt_parse *parse, struct kt_token span, struct kt_args whens)
{
    return make_of(parse, KT_FN_CASE, &whens, span);
}

void kt_parse_case_of(struct kt_parse *parse, struct kt_expr *x, struct kt_args *whens)
{
    for (uint32_t i = 0; !parse->status && i < whens->count; i += 2)
        whens->items[i] = kt_parse_two(parse, KT_FN_EQ, kt_expr_share(x), whens->items[i]);
    kt_expr_release(x);
}

struct kt_expr *kt_parse_call(struct kt_parse *parse, struct kt_token name, struct kt_args args,
                              struct kt_token last)
{
    kith_error made;
    struct kt_expr *expr = NULL;
    struct kt_token span = kt_token_to(name, last);
    size_t size;
    char *word = unquote(parse, name, &size);
    if (parse->status) {
        kt_args_release(&args);
    } else {
        kith_status status = kt_expr_call(word, args.items, args.count, &expr, &made);
        args.count = 0;
        kt_args_release(&args);
        expr = settle(parse, status, expr, &made, span);
    }
    kt_free(word);
    return expr;
}

/* ---- casts ---- */

static struct kt_expr *cast(struct kt_parse *parse, enum kt_fn fn, struct kt_expr *x, struct kt_token type,
                            struct kt_token span)
{
    kith_error made;
    struct kt_expr *expr = NULL;
    if (parse->status) {
        kt_expr_release(x);
        return NULL;
    }
    kith_status status = kt_expr_cast_as(fn, x, parse->text + type.start, type.size, &expr, &made);
    return settle(parse, status, expr, &made, status == KITH_INVALID ? type : span);
}

struct kt_expr *kt_parse_cast(struct kt_parse *parse, struct kt_expr *x, struct kt_token type)
{
    return cast(parse, KT_FN_CAST, x, type, both(span_of(x), type));
}

struct kt_expr *kt_parse_cast_call(struct kt_parse *parse, struct kt_token name, struct kt_expr *x,
                                   struct kt_token type, struct kt_token last)
{
    bool tries = is_word(parse, name, "try_cast");
    if (!tries && !is_word(parse, name, "cast"))
        kt_parse_fail(parse, name, "AS and a type stand in CAST(...) and TRY_CAST(...) only");
    return cast(parse, tries ? KT_FN_TRY_CAST : KT_FN_CAST, x, type, kt_token_to(name, last));
}

/* ---- columns ---- */

struct kt_expr *kt_parse_column(struct kt_parse *parse, struct kt_token name)
{
    kith_error made;
    struct kt_expr *expr = NULL;
    size_t size;
    char *word = unquote(parse, name, &size);
    if (!word) return NULL;
    const char *path[] = { word };
    kith_status status = kt_expr_column(path, 1, &expr, &made);
    kt_free(word);
    expr = settle(parse, status, expr, &made, name);
    if (expr) expr->quoted = parse->text[name.start] == '"';
    return expr;
}

/* x.name, where x is a column and fields of it, is one path. */
static struct kt_expr *longer_path(struct kt_parse *parse, const struct kt_expr *x, const char *name,
                                   struct kt_token span)
{
    kith_error made;
    struct kt_expr *expr = NULL;
    const char **path = kt_alloc_array((size_t)x->path_count + 1, sizeof *path);
    if (!path) {
        fail_memory(parse, x->path_count * sizeof *path);
        return NULL;
    }
    for (uint32_t i = 0; i < x->path_count; i++) path[i] = x->path[i];
    path[x->path_count] = name;
    kith_status status = kt_expr_column(path, x->path_count + 1, &expr, &made);
    kt_free(path);
    return settle(parse, status, expr, &made, span);
}

struct kt_expr *kt_parse_field(struct kt_parse *parse, struct kt_expr *x, struct kt_token name)
{
    struct kt_expr *expr = NULL;
    struct kt_value value = { .kind = KT_VALUE_TEXT };
    value.text = unquote(parse, name, &value.size);
    if (parse->status) {
        kt_value_release(&value);
    } else if (x->fn == KT_FN_COLUMN) {
        expr = longer_path(parse, x, value.text, both(span_of(x), name));
        kt_value_release(&value);
    } else {
        return kt_parse_two(parse, KT_FN_ELEMENT, x, literal(parse, &value, name));
    }
    kt_expr_release(x);
    return expr;
}

struct kt_expr *kt_parse_element(struct kt_parse *parse, struct kt_expr *x, struct kt_expr *which,
                                 struct kt_token last)
{
    struct kt_expr *args[] = { x, which };
    return make(parse, KT_FN_ELEMENT, args, 2, both(span_of(x), last));
}

/* ---- values ---- */

struct kt_expr *kt_parse_null(struct kt_parse *parse, struct kt_token token)
{
    return literal(parse, &(struct kt_value){ .kind = KT_VALUE_NULL }, token);
}

struct kt_expr *kt_parse_truth(struct kt_parse *parse, bool truth, struct kt_token token)
{
    return literal(parse, &(struct kt_value){ .kind = KT_VALUE_BOOL, .boolean = truth }, token);
}

struct kt_expr *kt_parse_number(struct kt_parse *parse, struct kt_token token)
{
    struct kt_value value;
    const char *text = parse->text + token.start;
    if (!kt_value_read(KT_VALUE_INT, text, token.size, &value) &&
        !kt_value_read(KT_VALUE_FLOAT, text, token.size, &value))
        kt_parse_fail(parse, token, "this number is beyond what a float holds");
    return literal(parse, &value, token);
}

struct kt_expr *kt_parse_text(struct kt_parse *parse, struct kt_token token)
{
    struct kt_value value = { .kind = KT_VALUE_TEXT };
    value.text = unquote(parse, token, &value.size);
    return literal(parse, &value, token);
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

struct kt_expr *kt_parse_bytes(struct kt_parse *parse, struct kt_token token)
{
    const char *digits = parse->text + token.start + 2; /* behind X' */
    struct kt_value value = { .kind = KT_VALUE_BYTES, .size = (token.size - 3) / 2 };
    value.text = kt_alloc(value.size + 1);
    if (!value.text) {
        fail_memory(parse, value.size + 1);
        return NULL;
    }
    for (size_t i = 0; i < value.size; i++)
        value.text[i] = (char)(digit(digits[2 * i]) << 4 | digit(digits[2 * i + 1]));
    value.text[value.size] = '\0';
    return literal(parse, &value, token);
}

static const struct typed {
    const char *word;
    enum kt_value_kind kind;
    const char *example;
} typed[] = {
    { "date", KT_VALUE_DATE, "2024-02-29" },
    { "time", KT_VALUE_TIME, "23:59:59.5" },
    { "timestamp", KT_VALUE_TIMESTAMP, "2024-02-29 23:59:59.5Z" },
    { "timestamptz", KT_VALUE_TIMESTAMP, "2024-02-29 23:59:59.5+01:00" },
    { "interval", KT_VALUE_INTERVAL, "1 day 2 hours" },
    { "decimal", KT_VALUE_DECIMAL, "12.50, of at most 18 digits" },
    { "numeric", KT_VALUE_DECIMAL, "12.50, of at most 18 digits" },
    { "float", KT_VALUE_FLOAT, "1.5e-3 or nan" },
    { "double", KT_VALUE_FLOAT, "1.5e-3 or nan" },
};

struct kt_expr *kt_parse_typed(struct kt_parse *parse, struct kt_token word, struct kt_token text)
{
    const struct typed *found = NULL;
    struct kt_value value = { 0 };
    size_t size;
    for (size_t i = 0; i < sizeof typed / sizeof typed[0]; i++)
        if (is_word(parse, word, typed[i].word)) found = &typed[i];
    if (!found) {
        kt_parse_fail(parse, word,
                      "\"%.*s\" before a text means nothing; date, time, timestamp, interval, decimal and "
                      "float may stand there",
                      kt_shown(parse->text + word.start, word.size, 60), parse->text + word.start);
        return NULL;
    }
    char *between = unquote(parse, text, &size);
    if (between && !kt_value_read(found->kind, between, size, &value))
        kt_parse_fail(parse, text, "this is no %s such as %s", found->word, found->example);
    kt_free(between);
    if (is_word(parse, word, "timestamptz")) value.utc = true;
    return literal(parse, &value, kt_token_to(word, text));
}

struct kt_expr *kt_parse_typed_cast(struct kt_parse *parse, struct kt_token word, struct kt_token type,
                                    struct kt_token text)
{
    if (!is_word(parse, word, "decimal") && !is_word(parse, word, "numeric") &&
        !is_word(parse, word, "timestamp") && !is_word(parse, word, "time"))
        kt_parse_fail(parse, text, "expected an operator or the end of the filter, found a text");
    return cast(parse, KT_FN_CAST, kt_parse_text(parse, text), type, kt_token_to(type, text));
}

/* A text in double quotes cannot be a column here. */
static bool take_item(struct kt_expr *item, struct kt_value *to)
{
    if (item->fn == KT_FN_LITERAL) return kt_value_copy(&item->value, to);
    to->kind = KT_VALUE_TEXT;
    to->text = kt_strdup(item->path[0]);
    to->size = to->text ? strlen(to->text) : 0;
    return to->text;
}

struct kt_expr *kt_parse_list(struct kt_parse *parse, struct kt_token span, struct kt_args items)
{
    struct kt_value list = { .kind = KT_VALUE_LIST };
    for (uint32_t i = 0; !parse->status && i < items.count; i++)
        if (items.items[i]->fn != KT_FN_LITERAL && !items.items[i]->quoted)
            kt_parse_fail(parse, span_of(items.items[i]), "a list in brackets holds literals only");
    if (!parse->status && items.count && !(list.items = kt_alloc_zero(items.count, sizeof *list.items)))
        fail_memory(parse, items.count * sizeof *list.items);
    for (; !parse->status && list.count < items.count; list.count++)
        if (!take_item(items.items[list.count], &list.items[list.count])) fail_memory(parse, 0);
    kt_args_release(&items);
    return literal(parse, &list, span);
}

/* date_part('year', x) */
struct kt_expr *kt_parse_extract(struct kt_parse *parse, struct kt_token name, struct kt_token part,
                                 struct kt_expr *x, struct kt_token last)
{
    if (!is_word(parse, name, "extract"))
        kt_parse_fail(parse, name, "FROM stands in extract(part FROM x) and IS DISTINCT FROM only");
    struct kt_expr *args[] = { kt_parse_text(parse, part), x };
    return make(parse, KT_FN_DATE_PART, args, 2, kt_token_to(name, last));
}

/* ---- parameters ---- */

/* The parameter of the next `?`: the marks are counted, and so are the values without a name. */
static const struct kt_parameter *next_value(struct kt_parse *parse, struct kt_token token)
{
    size_t given = 0;
    for (size_t i = 0; i < parse->count; i++) {
        if (parse->parameters[i].name) continue;
        if (given++ < parse->marks) continue;
        parse->marks++;
        parse->used[i] = true;
        return &parse->parameters[i];
    }
    kt_parse_fail(parse, token, "there is no value for this \"?\": %zu %s given", given,
                  given == 1 ? "is" : "are");
    return NULL;
}

static const struct kt_parameter *named_value(struct kt_parse *parse, struct kt_token token)
{
    const char *name = parse->text + token.start + 1;
    size_t size = token.size - 1;
    for (size_t i = 0; i < parse->count; i++) {
        const char *given = parse->parameters[i].name;
        if (!given || strlen(given) != size || memcmp(given, name, size) != 0) continue;
        parse->used[i] = true;
        return &parse->parameters[i];
    }
    kt_parse_fail(parse, token, "there is no value for \":%.*s\"", kt_shown(name, size, 80), name);
    return NULL;
}

struct kt_expr *kt_parse_parameter(struct kt_parse *parse, struct kt_token token)
{
    struct kt_value value = { 0 };
    const struct kt_parameter *found =
        parse->text[token.start] == '?' ? next_value(parse, token) : named_value(parse, token);
    if (found && !kt_value_copy(&found->value, &value)) fail_memory(parse, found->value.size);
    return literal(parse, &value, token);
}

static kith_status check_names(const struct kt_parse *parse)
{
    for (size_t i = 0; i < parse->count; i++) {
        const char *name = parse->parameters[i].name;
        for (size_t j = 0; name && j < i; j++)
            if (parse->parameters[j].name && strcmp(parse->parameters[j].name, name) == 0)
                return kt_fail(parse->error, KITH_INVALID, "two values are given for \":%.80s\"", name);
    }
    return KITH_OK;
}

static kith_status check_used(const struct kt_parse *parse)
{
    size_t given = 0;
    for (size_t i = 0; i < parse->count; i++) given += !parse->parameters[i].name;
    if (given > parse->marks)
        return kt_fail(parse->error, KITH_INVALID, "%zu value%s given for %zu \"?\" in the filter", given,
                       given == 1 ? " is" : "s are", parse->marks);
    for (size_t i = 0; i < parse->count; i++)
        if (!parse->used[i])
            return kt_fail(parse->error, KITH_INVALID,
                           "a value is given for \":%.80s\", which the filter lacks",
                           parse->parameters[i].name);
    return KITH_OK;
}

/* ---- the whole ---- */

static void feed(struct kt_parse *parse, void *grammar)
{
    uint32_t at = 0;
    struct kt_token token;
    for (int kind = 1; kind > 0 && !parse->status;) {
        kind = kt_lex(parse, &at, &token);
        if (kind > 0) kt_grammar(grammar, kind, token, parse);
    }
    if (!parse->status) kt_grammar(grammar, 0, token, parse);
}

static kith_status check_text(const char *text, kith_error *error)
{
    size_t size = strlen(text);
    if (size > KT_FILTER_TEXT)
        return kt_fail(error, KITH_INVALID,
                       "the filter has %zu bytes, and at most %d are read; values are better bound, to ? or "
                       ":name",
                       size, KT_FILTER_TEXT);
    return kt_utf8_valid((const uint8_t *)text, size)
               ? KITH_OK
               : kt_fail(error, KITH_INVALID, "the filter is not UTF-8");
}

kith_status kt_expr_parse(const char *text, const struct kt_parameter *parameters, size_t count,
                          struct kt_expr **out, kith_error *error)
{
    void *grammar = NULL;
    struct kt_parse parse = { .text = text, .parameters = parameters, .count = count, .error = error };
    kith_status status = check_text(text, error);
    if (!status) status = check_names(&parse);
    if (status) return status;
    parse.size = (uint32_t)strlen(text);
    parse.used = kt_alloc_zero(count, sizeof *parse.used);
    if (parse.used) grammar = kt_grammarAlloc(kt_alloc);
    if (grammar)
        feed(&parse, grammar);
    else
        fail_memory(&parse, sizeof parse);
    kt_grammarFree(grammar, kt_free);
    if (!parse.status) parse.status = check_used(&parse);
    if (!parse.status && !(parse.result->source = kt_strdup(text))) fail_memory(&parse, parse.size);
    if (parse.status)
        kt_expr_release(parse.result);
    else
        *out = parse.result;
    kt_free(parse.used);
    return parse.status;
}
