/* Binding: from a tree of names and values to nodes that know columns and types.
 *
 * A tree is walked once, leaves first. A leaf becomes a column or a literal; every other node asks
 * kt_bind_call() what its function makes of the types below it. What has only literals below it is evaluated
 * at once, by the same evaluator that rows go through, and becomes a literal: `now() - interval '7 days'`
 * costs a row nothing, and an overflow in it is told with its place.
 *
 * Names are looked up as they are written, then without regard to case. A name in double quotes that is no
 * column is a text, as SQLite and MySQL have it, because programs and people write "fizz" and mean 'fizz'.
 *
 * Nodes live in one arena of the filter and are never changed after binding. A node is an argument once: what
 * is needed twice is evaluated once by whoever needs it, and walking a filter takes no longer than it is
 * large.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "filter/filter_bind.h"

/* ---- what every file of binding uses ---- */

void *kt_bind_take(struct binder *binder, size_t count, size_t size)
{
    void *memory = kt_arena_take(&binder->filter->arena, count, size);
    if (memory)
        memset(memory, 0, count * size);
    else
        kt_fail_memory(binder->error, count * size);
    return memory;
}

struct node *kt_bind_node(struct binder *binder, enum kt_fn fn, const struct node *at, uint32_t count)
{
    struct node *node = kt_bind_take(binder, 1, sizeof *node);
    if (!node) return NULL;
    node->fn = fn;
    if (at) node->position = at->position;
    if (at) node->length = at->length;
    node->count = count;
    node->args = count ? kt_bind_take(binder, count, sizeof *node->args) : NULL;
    return count && !node->args ? NULL : node;
}

struct node *kt_bind_literal(struct binder *binder, const struct node *at, const struct kt_field *type,
                             const struct cell *cell)
{
    struct node *node = kt_bind_node(binder, KT_FN_LITERAL, at, 0);
    if (!node) return NULL;
    node->type = *type;
    node->form = kt_form_of(type->type);
    node->value = *cell;
    node->eval = kt_eval_literal;
    return node;
}

struct node *kt_bind_null(struct binder *binder, const struct node *at, enum kt_type type)
{
    struct kt_field field = kt_field_plain(type);
    return kt_bind_literal(binder, at, &field, &(struct cell){ .null = true });
}

kith_status kt_bind_fail(struct binder *binder, kith_status status, const struct node *at, const char *format,
                         ...)
{
    char words[640];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    return kt_fail_at(binder->error, status, binder->text, at->position, at->length, "%s", words);
}

void kt_bind_type_text(const struct node *node, char text[KT_TYPE_TEXT])
{
    if (node->form == FORM_SPAN)
        strcpy(text, "interval");
    else if (node->form == FORM_LIST)
        strcpy(text, "a list of values");
    else
        kt_field_type_text(&node->type, text, KT_TYPE_TEXT);
}

/* ---- columns ---- */

/* The field of that name: as it is, else without regard to case where only one is meant. -1: none, -2: which?
 */
static int find_field(const struct kt_field *fields, uint32_t count, const char *name)
{
    int found = -1;
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(fields[i].name, name) == 0) return (int)i;
    for (uint32_t i = 0; i < count; i++)
        if (strcasecmp(fields[i].name, name) == 0) found = found == -1 ? (int)i : -2;
    return found;
}

static kith_status not_found(struct binder *binder, const struct node *at, const struct kt_field *parent,
                             const struct kt_field *fields, uint32_t count, const char *name)
{
    enum { MOST = 12 };
    char near[KT_NEAR_TEXT] = "";
    const char **names = kt_bind_take(binder, count ? count : 1, sizeof *names);
    if (!names) return KITH_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) names[i] = fields[i].name;
    kt_near_names(name, names, count, near);
    size_t used = strlen(near);
    for (uint32_t i = 0; !used && i < count && i < MOST; i++) { /* then the first of what there is */
        size_t at_end = strlen(near);
        snprintf(near + at_end, sizeof near - at_end, "%s%.*s", i ? ", " : "; there are ",
                 kt_shown(names[i], strlen(names[i]), 20), names[i]);
    }
    if (!used && count > MOST)
        snprintf(near + strlen(near), sizeof near - strlen(near), " and %u more", count - MOST);
    if (!parent && strcmp(name, "_distance") == 0)
        return kt_bind_fail(
            binder, KITH_NOT_FOUND, at,
            "there is no column \"_distance\" here: distances come after; a distance range bounds them");
    if (parent)
        return kt_bind_fail(binder, KITH_NOT_FOUND, at, "\"%.80s\" has no field \"%.80s\"%s", parent->name,
                            name, near);
    return kt_bind_fail(binder, KITH_NOT_FOUND, at, "there is no column \"%.80s\"%s", name, near);
}

static kith_status ambiguous(struct binder *binder, const struct node *at, const char *name)
{
    return kt_bind_fail(
        binder, KITH_INVALID, at,
        "\"%.80s\" may mean several columns, which differ in case; write it as one of them is", name);
}

/* The struct's field, one step further along. */
kith_status kt_bind_step(struct binder *binder, struct node *node, const char *name)
{
    struct kt_field parent = node->type;
    if (parent.type != KT_STRUCT) {
        char text[KT_TYPE_TEXT];
        kt_bind_type_text(node, text);
        return kt_bind_fail(binder, KITH_TYPE, node, "\"%.80s\" is %s, which has no field \"%.80s\"",
                            parent.name, text, name);
    }
    int found = find_field(parent.children, parent.child_count, name);
    if (found == -1) return not_found(binder, node, &parent, parent.children, parent.child_count, name);
    if (found < 0) return ambiguous(binder, node, name);
    uint32_t count = node->place->count;
    struct place *place = kt_bind_take(binder, 1, sizeof *place + (count + 1) * sizeof place->steps[0]);
    if (!place) return KITH_NO_MEMORY;
    place->column = node->place->column;
    place->count = count + 1;
    if (count) memcpy(place->steps, node->place->steps, count * sizeof place->steps[0]);
    place->steps[count] = (uint32_t)found;
    node->place = place;
    node->type = parent.children[found];
    node->form = kt_form_of(node->type.type);
    return KITH_OK;
}

/* A column of the type null holds nothing but nulls. */
static kith_status bind_null_column(struct binder *binder, struct node *node)
{
    struct node *null = kt_bind_null(binder, node, KT_NULL);
    if (null) *node = *null;
    return null ? KITH_OK : KITH_NO_MEMORY;
}

static kith_status bind_column(struct binder *binder, const struct kt_expr *expr, struct node *node)
{
    struct kt_schema *schema = binder->filter->schema;
    const char *name = expr->path[0];
    int found = find_field(schema->fields, schema->count, name);
    bool row_id = found == -1 && strcasecmp(name, "_rowid") == 0;
    if (found == -1 && !row_id && expr->quoted && expr->path_count == 1) {
        node->fn = KT_FN_LITERAL;
        node->type = kt_field_plain(KT_UTF8);
        node->form = FORM_BYTES;
        node->value.bytes = (struct slice){ (const uint8_t *)name, strlen(name) };
        node->eval = kt_eval_literal;
        return KITH_OK;
    }
    if (found == -1 && !row_id) return not_found(binder, node, NULL, schema->fields, schema->count, name);
    if (found == -2) return ambiguous(binder, node, name);
    if (!row_id && schema->fields[found].type == KT_NULL) return bind_null_column(binder, node);
    struct place *place = kt_bind_take(binder, 1, sizeof *place);
    if (!place) return KITH_NO_MEMORY;
    place->column = row_id ? -1 : found;
    node->place = place;
    node->share = 0.5f;
    node->type = row_id ? kt_field_plain(KT_UINT64) : schema->fields[found];
    node->form = kt_form_of(node->type.type);
    node->eval = kt_eval_column;
    kith_status status = KITH_OK;
    for (uint32_t i = 1; !status && i < expr->path_count; i++)
        status = kt_bind_step(binder, node, expr->path[i]);
    node->cost = node->form == FORM_BOOL ? 0.2f : node->form == FORM_BYTES ? 2 : 0.5f;
    return status;
}

/* ---- folding ---- */

static bool can_fold(const struct node *node)
{
    for (uint32_t i = 0; i < node->count; i++)
        if (!kt_is_literal(node->args[i]) || (node->args[i]->form == FORM_LIST && node->fn != KT_FN_IN))
            return false;
    return node->count && node->eval && node->form != FORM_NESTED && node->form != FORM_SPAN;
}

kith_status kt_bind_fold(struct binder *binder, struct node **node)
{
    struct cell cell = { 0 };
    kith_error error = { 0 };
    if (kt_is_literal(*node) || !can_fold(*node)) return KITH_OK;
    kith_status status = kt_eval_constant(binder->filter, *node, &cell, &error);
    if (status) return kt_bind_fail(binder, status, *node, "%s", error.message);
    struct node *literal = kt_bind_literal(binder, *node, &(*node)->type, &cell);
    if (!literal) return KITH_NO_MEMORY;
    if (literal->form == FORM_NULL) literal->value.null = true;
    *node = literal;
    return KITH_OK;
}

/* ---- the walk ---- */

/* Vectors, structs and lists of values stand where a function knows what to do with them, and nowhere else.
 */
static kith_status check_argument(struct binder *binder, const struct node *node, const struct node *arg)
{
    bool is_null = node->fn == KT_FN_IS_NULL || node->fn == KT_FN_IS_NOT_NULL;
    if (is_null) return KITH_OK;
    if (kt_field_is_vector(&arg->type))
        return kt_bind_fail(binder, KITH_TYPE, arg,
                            "\"%.80s\" is a vector, which a filter cannot look into; a search finds rows by "
                            "it, and IS NULL tells whether it is there",
                            arg->type.name);
    if (arg->type.type == KT_STRUCT && node->fn != KT_FN_ELEMENT)
        return kt_bind_fail(binder, KITH_TYPE, arg,
                            "\"%.80s\" is a struct; name one of its fields, as \"%.80s.%s\"", arg->type.name,
                            arg->type.name, arg->type.child_count ? arg->type.children[0].name : "field");
    if (arg->form == FORM_LIST && node->fn != KT_FN_IN &&
        (node->fn < KT_FN_ARRAY_HAS || node->fn > KT_FN_ARRAY_LENGTH))
        return kt_bind_fail(binder, KITH_TYPE, arg, "%s takes one value here, not a list; IN takes lists",
                            kt_fn_name(node->fn));
    return KITH_OK;
}

static void bind_value(const struct kt_expr *expr, struct node *node)
{
    node->form = kt_literal_cell(&expr->value, &node->type, &node->value);
    node->source = &expr->value;
    node->eval = kt_eval_literal;
}

kith_status kt_bind_expr(struct binder *binder, const struct kt_expr *expr, struct node **out)
{
    struct node at = { .position = expr->position, .length = expr->length };
    struct node *node = kt_bind_node(binder, expr->fn, &at, expr->count);
    kith_status status = node ? KITH_OK : KITH_NO_MEMORY;
    if (status) return status;
    if (expr->type) node->type = *expr->type;
    if (expr->fn == KT_FN_LITERAL) bind_value(expr, node);
    if (expr->fn == KT_FN_COLUMN) status = bind_column(binder, expr, node);
    for (uint32_t i = 0; !status && i < expr->count; i++) {
        status = kt_bind_expr(binder, expr->args[i], &node->args[i]);
        if (!status) status = check_argument(binder, node, node->args[i]);
    }
    if (!status && expr->fn != KT_FN_LITERAL && expr->fn != KT_FN_COLUMN) {
        status = kt_bind_call(binder, &node);
        if (!status) status = kt_bind_fold(binder, &node);
    }
    if (!status) *out = node;
    return status;
}

/* ---- the door ---- */

static void mark_columns(struct kt_filter *filter, const struct node *node)
{
    if (node->place && node->place->column >= 0) filter->column_at[node->place->column] = 0;
    for (uint32_t i = 0; i < node->count; i++) mark_columns(filter, node->args[i]);
}

static kith_status collect_columns(struct binder *binder)
{
    struct kt_filter *filter = binder->filter;
    filter->columns = kt_bind_take(binder, filter->schema->count + 1, sizeof *filter->columns);
    if (!filter->columns) return KITH_NO_MEMORY;
    mark_columns(filter, filter->root);
    for (uint32_t c = 0; c < filter->schema->count; c++) {
        if (filter->column_at[c] < 0) continue;
        filter->column_at[c] = (int32_t)filter->column_count;
        filter->columns[filter->column_count++] = c;
    }
    return KITH_OK;
}

static kith_status check_predicate(struct binder *binder, struct node **root)
{
    char text[KT_TYPE_TEXT];
    if ((*root)->form == FORM_NULL) {
        *root = kt_bind_null(binder, *root, KT_BOOL);
        return *root ? KITH_OK : KITH_NO_MEMORY;
    }
    if ((*root)->form == FORM_BOOL) return KITH_OK;
    kt_bind_type_text(*root, text);
    return kt_bind_fail(binder, KITH_TYPE, *root, "a filter must be true or false, this is %s", text);
}

static kith_status check_value(struct binder *binder, struct node *root)
{
    if (root->form != FORM_SPAN && root->form != FORM_LIST) return KITH_OK;
    char text[KT_TYPE_TEXT];
    kt_bind_type_text(root, text);
    return kt_bind_fail(binder, KITH_TYPE, root, "%s is no value that a column can hold", text);
}

static kith_status bind(struct binder *binder, const struct kt_expr *expr, bool predicate)
{
    struct kt_filter *filter = binder->filter;
    filter->column_at = kt_bind_take(binder, filter->schema->count + 1, sizeof *filter->column_at);
    if (!filter->column_at) return KITH_NO_MEMORY;
    memset(filter->column_at, 0xff, filter->schema->count * sizeof *filter->column_at); /* -1 */
    kith_status status = kt_bind_expr(binder, expr, &filter->root);
    if (!status)
        status = predicate ? check_predicate(binder, &filter->root) : check_value(binder, filter->root);
    if (!status) status = kt_order(binder, predicate);
    return status ? status : collect_columns(binder);
}

kith_status kt_filter_bind(const struct kt_expr *expr, const struct kt_schema *schema, bool predicate,
                           struct kt_filter **out, kith_error *error)
{
    struct kt_filter *filter = kt_alloc_zero(1, sizeof *filter);
    if (!filter) return kt_fail_memory(error, sizeof *filter);
    filter->schema = kt_schema_share(schema);
    filter->expr = kt_expr_share(expr);
    struct binder binder = { .filter = filter, .text = expr->source, .error = error };
    kith_status status = bind(&binder, expr, predicate);
    if (status)
        kt_filter_free(filter);
    else
        *out = filter;
    return status;
}

void kt_filter_free(struct kt_filter *filter)
{
    if (!filter) return;
    kt_expr_release(filter->expr);
    kt_schema_release(filter->schema);
    kt_arena_release(&filter->arena);
    kt_free(filter);
}

const uint32_t *kt_filter_columns(const struct kt_filter *filter, uint32_t *count)
{
    *count = filter->column_count;
    return filter->columns;
}

const struct kt_field *kt_filter_field(const struct kt_filter *filter)
{
    return &filter->root->type;
}
