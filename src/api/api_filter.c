/* Expressions: handles around the filter room's trees, and values copied into its form.
 *
 * Builders share the trees they are given, so that an argument may be used again and stays the caller's.
 */
#include <string.h>

#include "api/api_private.h"
#include "filter/filter.h"

static const struct kt_expr *tree_of(const kith_expr *expr)
{
    return (const struct kt_expr *)expr;
}

void kith_expr_free(kith_expr *expr)
{
    kt_expr_release((struct kt_expr *)expr);
}

/* ---- values */

static kith_status copy_bytes(const kith_value *from, enum kt_value_kind kind, struct kt_value *to,
                              kith_error *error)
{
    if (!from->text && from->size) return kt_missing("the text of a value", error);
    to->text = kt_alloc(from->size + 1);
    if (!to->text) return kt_fail_memory(error, from->size + 1);
    if (from->size) memcpy(to->text, from->text, from->size);
    to->text[from->size] = '\0';
    to->kind = kind;
    to->size = from->size;
    return KITH_OK;
}

static kith_status copy_decimal(const kith_value *from, struct kt_value *to, kith_error *error)
{
    if (!from->text) return kt_missing("the text of a decimal", error);
    if (kt_value_read(KT_VALUE_DECIMAL, from->text, strlen(from->text), to)) return KITH_OK;
    *to = (struct kt_value){ 0 };
    return kt_fail(error, KITH_INVALID, "\"%.40s\" is no decimal such as 12.50, of at most 18 digits",
                   from->text);
}

static kith_status copy_value(const kith_value *from, struct kt_value *to, kith_error *error);

static kith_status copy_list(const kith_value *from, struct kt_value *to, kith_error *error)
{
    kith_status status = KITH_OK;
    if (!from->items && from->size) return kt_missing("the items of a list", error);
    if (from->size > KT_FILTER_LIST)
        return kt_fail(error, KITH_INVALID, "a list of %zu values is longer than %d", from->size,
                       KT_FILTER_LIST);
    to->kind = KT_VALUE_LIST;
    to->items = kt_alloc_zero(from->size, sizeof *to->items);
    if (!to->items) return kt_fail_memory(error, from->size * sizeof *to->items);
    for (; !status && to->count < from->size; to->count++) {
        if (from->items[to->count].type == KITH_VALUE_LIST)
            status = kt_fail(error, KITH_INVALID, "a list must not hold lists");
        else
            status = copy_value(&from->items[to->count], &to->items[to->count], error);
    }
    return status;
}

/* Kinds that are a number; their names differ by a letter only. */
static const enum kt_value_kind kinds[] = {
    [KITH_VALUE_NULL] = KT_VALUE_NULL,
    [KITH_VALUE_BOOL] = KT_VALUE_BOOL,
    [KITH_VALUE_INT] = KT_VALUE_INT,
    [KITH_VALUE_UINT] = KT_VALUE_UINT,
    [KITH_VALUE_FLOAT] = KT_VALUE_FLOAT,
    [KITH_VALUE_DATE] = KT_VALUE_DATE,
    [KITH_VALUE_TIME] = KT_VALUE_TIME,
    [KITH_VALUE_TIMESTAMP] = KT_VALUE_TIMESTAMP,
    [KITH_VALUE_TIMESTAMP_UTC] = KT_VALUE_TIMESTAMP,
    [KITH_VALUE_INTERVAL] = KT_VALUE_INTERVAL,
};

/* Into a zeroed value; what it holds after a failure is the caller's to release. */
static kith_status copy_value(const kith_value *from, struct kt_value *to, kith_error *error)
{
    switch (from->type) {
    case KITH_VALUE_TEXT:
        return copy_bytes(from, KT_VALUE_TEXT, to, error);
    case KITH_VALUE_BYTES:
        return copy_bytes(from, KT_VALUE_BYTES, to, error);
    case KITH_VALUE_DECIMAL:
        return copy_decimal(from, to, error);
    case KITH_VALUE_LIST:
        return copy_list(from, to, error);
    default:
        break;
    }
    if ((uint32_t)from->type > KITH_VALUE_LIST)
        return kt_fail(error, KITH_INVALID, "%d is no kith_value_type", (int)from->type);
    *to = (struct kt_value){ .kind = kinds[from->type],
                             .boolean = from->integer != 0,
                             .utc = from->type == KITH_VALUE_TIMESTAMP_UTC,
                             .integer = from->integer,
                             .natural = from->natural,
                             .number = from->number };
    return KITH_OK;
}

static void free_parameters(struct kt_parameter *parameters, size_t count)
{
    for (size_t i = 0; i < count; i++) kt_value_release(&parameters[i].value);
    kt_free(parameters);
}

kith_status kith_expr_sql(const char *text, const kith_value *parameters, size_t count, kith_expr **out,
                          kith_error *error)
{
    kith_status status = KITH_OK;
    if (!text) return kt_missing("the text of the filter", error);
    if (!parameters && count) return kt_missing("the array of parameters", error);
    struct kt_parameter *copies = kt_alloc_zero(count, sizeof *copies);
    if (!copies) return kt_fail_memory(error, count * sizeof *copies);
    for (size_t i = 0; !status && i < count; i++) {
        copies[i].name = parameters[i].name;
        status = copy_value(&parameters[i], &copies[i].value, error);
    }
    if (!status) status = kt_expr_parse(text, copies, count, (struct kt_expr **)out, error);
    free_parameters(copies, count);
    return status;
}

kith_status kith_expr_json(const char *text, kith_expr **out, kith_error *error)
{
    if (!text) return kt_missing("the text of the filter", error);
    return kt_expr_from_json(text, strlen(text), (struct kt_expr **)out, error);
}

/* ---- builders */

kith_status kith_expr_literal(const kith_value *value, kith_expr **out, kith_error *error)
{
    struct kt_value copy = { 0 };
    if (!value) return kt_missing("the value", error);
    kith_status status = copy_value(value, &copy, error);
    if (!status) return kt_expr_literal(&copy, (struct kt_expr **)out, error);
    kt_value_release(&copy);
    return status;
}

kith_status kith_expr_column(const char *path, kith_expr **out, kith_error *error)
{
    if (!path) return kt_missing("the name of the column", error);
    return kt_expr_path(path, (struct kt_expr **)out, error);
}

kith_status kith_expr_call(const char *name, kith_expr *const *arguments, size_t count, kith_expr **out,
                           kith_error *error)
{
    if (!name) return kt_missing("the name of the function", error);
    if (!arguments && count) return kt_missing("the array of arguments", error);
    if (count > KT_FILTER_NODES)
        return kt_fail(error, KITH_INVALID, "%zu arguments are more than %d", count, KT_FILTER_NODES);
    for (size_t i = 0; i < count; i++)
        if (!arguments[i]) return kt_missing("an argument", error);
    struct kt_expr **shared = kt_alloc_array(count, sizeof *shared);
    if (!shared) return kt_fail_memory(error, count * sizeof *shared);
    for (size_t i = 0; i < count; i++) shared[i] = kt_expr_share(tree_of(arguments[i]));
    kith_status status = kt_expr_call(name, shared, (uint32_t)count, (struct kt_expr **)out, error);
    kt_free(shared);
    return status;
}

kith_status kith_expr_to_sql(const kith_expr *expr, char **out, kith_error *error)
{
    struct kt_buffer text = { 0 };
    if (!expr) return kt_missing("the expression", error);
    kith_status status = kt_expr_to_sql(tree_of(expr), &text, error);
    if (!status && !kt_buffer_append(&text, "", 1)) status = kt_fail_memory(error, text.size);
    if (status)
        kt_buffer_release(&text);
    else
        *out = (char *)text.data; /* freed with kith_text_free() */
    return status;
}
