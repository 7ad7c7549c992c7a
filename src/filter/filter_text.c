/* A tree as SQL that is read back as the same tree.
 *
 * Parentheses are written where the grammar would read it otherwise, and around a comparison inside another,
 * where it would not but a person might. The levels are those of filter_grammar.y, weakest first.
 *
 * A name is written bare when it is made of ASCII letters, digits and _ and is no word of the grammar; else
 * in backticks. Double quotes are kept for what was in double quotes: such a name becomes a text where there
 * is no column of its name, so quoting any other name that way would change what it means.
 */
#include <string.h>

#include "filter/filter_parse_private.h"

enum level { OR = 1, AND, NOT, EQUAL, LESS, SUM, PRODUCT, JOIN, MINUS, PART, WHOLE };

struct writer {
    struct kt_buffer *out;
    kith_error *error;
    kith_status status; /* the first that went wrong: nothing is written after it */
};

static void put(struct writer *writer, const char *text)
{
    if (!writer->status && !kt_buffer_append(writer->out, text, strlen(text)))
        writer->status = kt_fail_memory(writer->error, writer->out->size);
}

static void put_name(struct writer *writer, const char *name, char quote)
{
    const char mark[2] = { quote, '\0' };
    put(writer, mark);
    for (; *name; name++) {
        const char character[2] = { *name, '\0' };
        put(writer, character);
        if (*name == quote) put(writer, mark);
    }
    put(writer, mark);
}

static bool is_plain(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    size_t size = strspn(name, letters);
    return size && !name[size] && (*name < '0' || *name > '9') && !kt_is_word_of_grammar(name, size);
}

static void put_column(struct writer *writer, const struct kt_expr *expr)
{
    for (uint32_t i = 0; i < expr->path_count; i++) {
        if (i) put(writer, ".");
        if (expr->quoted)
            put_name(writer, expr->path[i], '"');
        else if (is_plain(expr->path[i]))
            put(writer, expr->path[i]);
        else
            put_name(writer, expr->path[i], '`');
    }
}

static void put_value(struct writer *writer, const struct kt_value *value)
{
    if (!writer->status) writer->status = kt_value_to_sql(value, writer->out, writer->error);
}

static bool is_negated(const struct kt_expr *expr)
{
    enum kt_fn inner = expr->fn == KT_FN_NOT ? expr->args[0]->fn : KT_FN_NOT;
    return inner == KT_FN_IN || inner == KT_FN_LIKE || inner == KT_FN_ILIKE;
}

static enum level level_of_literal(const struct kt_value *value)
{
    bool minus = (value->kind == KT_VALUE_INT && value->integer < 0) ||
                 (value->kind == KT_VALUE_FLOAT && __builtin_signbit(value->number) &&
                  __builtin_isfinite(value->number));
    return minus ? MINUS : WHOLE;
}

static enum level level_of(const struct kt_expr *expr)
{
    switch (expr->fn) {
    case KT_FN_LITERAL:
        return level_of_literal(&expr->value);
    case KT_FN_OR:
        return OR;
    case KT_FN_AND:
        return AND;
    case KT_FN_NOT:
        return is_negated(expr) ? EQUAL : NOT;
    case KT_FN_LT:
    case KT_FN_LE:
    case KT_FN_GT:
    case KT_FN_GE:
        return LESS;
    case KT_FN_ADD:
    case KT_FN_SUB:
        return SUM;
    case KT_FN_MUL:
    case KT_FN_DIV:
    case KT_FN_MOD:
        return PRODUCT;
    case KT_FN_CONCAT:
    case KT_FN_JSON_GET:
    case KT_FN_JSON_TEXT:
        return JOIN;
    case KT_FN_NEG:
        return MINUS;
    case KT_FN_ELEMENT:
        return PART;
    default: /* from = to ILIKE, save the four above, they stand in one row */
        return expr->fn >= KT_FN_EQ && expr->fn <= KT_FN_ILIKE ? EQUAL : WHOLE;
    }
}

static void put_expr(struct writer *writer, const struct kt_expr *expr, enum level least);

static void put_between(struct writer *writer, const struct kt_expr *expr, uint32_t from, const char *between,
                        enum level least)
{
    for (uint32_t i = from; i < expr->count; i++) {
        if (i > from) put(writer, between);
        put_expr(writer, expr->args[i], least);
    }
}

/* a + b */
static void put_operator(struct writer *writer, const struct kt_expr *expr, enum level left, enum level right)
{
    put_expr(writer, expr->args[0], left);
    put(writer, " ");
    put(writer, kt_fn_name(expr->fn));
    put(writer, " ");
    put_expr(writer, expr->args[1], right);
}

static void put_in(struct writer *writer, const struct kt_expr *expr, const char *word)
{
    const struct kt_expr *first = expr->count > 1 ? expr->args[1] : NULL;
    uint32_t from = 1;
    put_expr(writer, expr->args[0], SUM);
    put(writer, word);
    if (first && first->fn == KT_FN_LITERAL && first->value.kind == KT_VALUE_LIST) {
        for (size_t i = 0; i < first->value.count; i++) {
            if (i) put(writer, ", ");
            put_value(writer, &first->value.items[i]);
        }
        if (expr->count > ++from) put(writer, ", ");
    }
    put_between(writer, expr, from, ", ", OR);
    put(writer, ")");
}

static void put_like(struct writer *writer, const struct kt_expr *expr, bool negated)
{
    put_expr(writer, expr->args[0], SUM);
    put(writer, negated ? " NOT " : " ");
    put(writer, kt_fn_name(expr->fn));
    put(writer, " ");
    put_expr(writer, expr->args[1], SUM);
    if (expr->count == 2) return;
    put(writer, " ESCAPE ");
    put_expr(writer, expr->args[2], SUM);
}

static void put_not(struct writer *writer, const struct kt_expr *expr)
{
    const struct kt_expr *inner = expr->args[0];
    if (!is_negated(expr)) {
        put(writer, "NOT ");
        put_expr(writer, inner, NOT);
    } else if (inner->fn == KT_FN_IN) {
        put_in(writer, inner, " NOT IN (");
    } else {
        put_like(writer, inner, true);
    }
}

static void put_case(struct writer *writer, const struct kt_expr *expr)
{
    put(writer, "CASE");
    for (uint32_t i = 0; i + 1 < expr->count; i += 2) {
        put(writer, " WHEN ");
        put_expr(writer, expr->args[i], OR);
        put(writer, " THEN ");
        put_expr(writer, expr->args[i + 1], OR);
    }
    if (expr->count % 2) {
        put(writer, " ELSE ");
        put_expr(writer, expr->args[expr->count - 1], OR);
    }
    put(writer, " END");
}

static void put_cast(struct writer *writer, const struct kt_expr *expr)
{
    char type[KT_TYPE_NAME];
    kt_type_to_sql(expr->type, type);
    put(writer, kt_fn_name(expr->fn));
    put(writer, "(");
    put_expr(writer, expr->args[0], OR);
    put(writer, " AS ");
    put(writer, type);
    put(writer, ")");
}

static void put_call(struct writer *writer, const struct kt_expr *expr)
{
    put(writer, kt_fn_name(expr->fn));
    put(writer, "(");
    put_between(writer, expr, 0, ", ", OR);
    put(writer, ")");
}

static void put_node(struct writer *writer, const struct kt_expr *expr)
{
    enum level level = level_of(expr);
    switch (expr->fn) {
    case KT_FN_LITERAL:
        put_value(writer, &expr->value);
        return;
    case KT_FN_COLUMN:
        put_column(writer, expr);
        return;
    case KT_FN_AND:
        put_between(writer, expr, 0, " AND ", NOT);
        return;
    case KT_FN_OR:
        put_between(writer, expr, 0, " OR ", AND);
        return;
    case KT_FN_NOT:
        put_not(writer, expr);
        return;
    case KT_FN_IN:
        put_in(writer, expr, " IN (");
        return;
    case KT_FN_LIKE:
    case KT_FN_ILIKE:
        put_like(writer, expr, false);
        return;
    case KT_FN_NEG: /* never "--", which begins a comment */
        put(writer, "-");
        put_expr(writer, expr->args[0], PART);
        return;
    case KT_FN_CASE:
        put_case(writer, expr);
        return;
    case KT_FN_CAST:
    case KT_FN_TRY_CAST:
        put_cast(writer, expr);
        return;
    case KT_FN_ELEMENT:
        put_expr(writer, expr->args[0], PART);
        put(writer, "[");
        put_expr(writer, expr->args[1], OR);
        put(writer, "]");
        return;
    default:
        break;
    }
    if (level == WHOLE) {
        put_call(writer, expr);
    } else if (expr->count == 2) { /* read from the left, comparisons not in a row at all */
        enum level right = level + 1, left = level <= LESS ? SUM : level;
        put_operator(writer, expr, left, right < SUM ? SUM : right);
    } else { /* IS NULL and its like */
        put_expr(writer, expr->args[0], SUM);
        put(writer, " ");
        put(writer, kt_fn_name(expr->fn));
    }
}

static void put_expr(struct writer *writer, const struct kt_expr *expr, enum level least)
{
    bool inside = level_of(expr) < least;
    if (inside) put(writer, "(");
    put_node(writer, expr);
    if (inside) put(writer, ")");
}

kith_status kt_expr_to_sql(const struct kt_expr *expr, struct kt_buffer *out, kith_error *error)
{
    struct writer writer = { out, error, KITH_OK };
    put_expr(&writer, expr, OR);
    return writer.status;
}
