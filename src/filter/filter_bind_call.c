/* Functions, when they are bound: one table of what each takes and gives, and for those whose types depend on
 * their arguments a binder.
 *
 * A function that is null where an argument is (all but those of logic and of choice) is null already here
 * where an argument is the literal NULL, of no type: so nothing below has to know values without a type.
 */
#include <string.h>
#include <time.h>

#include "filter/filter_bind.h"

typedef kith_status (*bind_fn)(struct binder *binder, struct node **node);

/* `takes`: a letter for each argument: t text, i integer, s text or what becomes text, l list. */
struct meaning {
    bind_fn bind; /* NULL: as the rest says */
    const char *takes;
    enum kt_type gives;
    row_fn row;
    float cost;
};

static kith_status become_null(struct binder *binder, struct node **node)
{
    *node = kt_bind_null(binder, *node, KT_NULL);
    return *node ? KITH_OK : KITH_NO_MEMORY;
}

static void become(struct node *node, enum kt_type type, eval_fn eval, float cost)
{
    node->type = kt_field_plain(type);
    node->form = kt_form_of(type);
    node->eval = eval;
    node->cost = cost;
    node->share = 0.5f;
}

/* ---- arguments ---- */

static kith_status refuse(struct binder *binder, const struct node *node, const struct node *arg,
                          const char *wanted)
{
    char type[KT_TYPE_TEXT];
    kt_bind_type_text(arg, type);
    return kt_bind_fail(binder, KITH_TYPE, arg, "%s takes %s, this is %s", kt_fn_name(node->fn), wanted,
                        type);
}

static kith_status take_argument(struct binder *binder, struct node *node, uint32_t i, char letter)
{
    struct node *arg = node->args[i];
    struct kt_field text = kt_field_plain(KT_UTF8), integer = kt_field_plain(KT_INT64);
    bool scalar = arg->form != FORM_NESTED && arg->form != FORM_SPAN && arg->form != FORM_LIST;
    switch (letter) {
    case 't':
        return kt_field_is_text(&arg->type) ? KITH_OK : refuse(binder, node, arg, "text");
    case 's':
        if (!scalar || arg->type.type == KT_BINARY) return refuse(binder, node, arg, "text");
        return kt_field_is_text(&arg->type) ? KITH_OK
                                            : kt_bind_cast(binder, KT_FN_CAST, &text, &node->args[i]);
    case 'i':
        if (!kt_field_is_integer(&arg->type) && !(kt_is_literal(arg) && kt_field_is_text(&arg->type)))
            return refuse(binder, node, arg, "an integer");
        return kt_bind_cast(binder, KT_FN_CAST, &integer, &node->args[i]);
    default:
        return kt_field_is_list(&arg->type) ? KITH_OK : refuse(binder, node, arg, "a list");
    }
}

/* ---- logic ---- */

static kith_status take_condition(struct binder *binder, const struct node *node, struct node **arg)
{
    if (kt_is_null(*arg)) {
        *arg = kt_bind_null(binder, *arg, KT_BOOL);
        return *arg ? KITH_OK : KITH_NO_MEMORY;
    }
    return (*arg)->form == FORM_BOOL ? KITH_OK : refuse(binder, node, *arg, "true or false");
}

/* Literals among the arguments of AND and OR decide or vanish. */
static kith_status simplify(struct binder *binder, struct node **place)
{
    struct node *node = *place;
    bool is_or = node->fn == KT_FN_OR;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < node->count; i++) {
        struct node *arg = node->args[i];
        bool settled = kt_is_literal(arg) && !arg->value.null;
        if (settled && arg->value.truth == is_or) {
            *place = arg;
            return KITH_OK;
        }
        if (!settled) node->args[kept++] = arg;
    }
    node->count = kept;
    if (kept == 1) *place = node->args[0];
    if (kept == 0) {
        struct kt_field type = kt_field_plain(KT_BOOL);
        *place = kt_bind_literal(binder, node, &type, &(struct cell){ .truth = !is_or });
    }
    return *place ? KITH_OK : KITH_NO_MEMORY;
}

static kith_status bind_and_or(struct binder *binder, struct node **node)
{
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < (*node)->count; i++)
        status = take_condition(binder, *node, &(*node)->args[i]);
    become(*node, KT_BOOL, (*node)->fn == KT_FN_AND ? kt_eval_and : kt_eval_or, 0.1f);
    return status ? status : simplify(binder, node);
}

static kith_status bind_not(struct binder *binder, struct node **node)
{
    kith_status status = take_condition(binder, *node, &(*node)->args[0]);
    const struct node *arg = (*node)->args[0];
    become(*node, KT_BOOL, kt_eval_not, 0.1f);
    (*node)->share = 1 - arg->share;
    if (arg->eval != kt_eval_test) return status;
    (*node)->subject = arg->subject; /* the test itself, turned */
    (*node)->test = arg->test;
    (*node)->negate = !arg->negate;
    (*node)->eval = kt_eval_test;
    (*node)->cost = arg->cost;
    return status;
}

static kith_status bind_is(struct binder *binder, struct node **node)
{
    enum kt_fn fn = (*node)->fn;
    bool truth = fn != KT_FN_IS_NULL && fn != KT_FN_IS_NOT_NULL;
    kith_status status = truth ? take_condition(binder, *node, &(*node)->args[0]) : KITH_OK;
    const struct node *arg = (*node)->args[0];
    if (!status && (arg->form == FORM_LIST || arg->form == FORM_SPAN))
        return refuse(binder, *node, arg, "a column or a value");
    become(*node, KT_BOOL, kt_eval_is, 0.3f);
    (*node)->share = fn == KT_FN_IS_NULL ? 0.1f : fn == KT_FN_IS_NOT_NULL ? 0.9f : arg->share;
    return status;
}

/* ---- choice ---- */

/* A literal as a value of the type, where it is one exactly. */
static kith_status adapt(struct binder *binder, const struct node *node, const struct kt_field *type,
                         struct node **literal, bool *fits)
{
    struct point point;
    enum settle settled = kt_settle(type, &(*literal)->type, (*literal)->form, &(*literal)->value, &point);
    *fits = settled == SETTLED && point.exact && !point.beyond;
    if (settled == SETTLE_TEXT) {
        struct node other = { .type = *type, .form = kt_form_of(type->type) };
        return kt_bind_unreadable(binder, *literal, &other);
    }
    (void)node;
    if (!*fits) return KITH_OK;
    *literal = kt_bind_literal(binder, *literal, type, &point.floor);
    return *literal ? KITH_OK : KITH_NO_MEMORY;
}

static kith_status join_type(struct binder *binder, const struct node *node, const struct node *arg,
                             struct kt_field *type)
{
    struct kt_field joined;
    struct node other = { .type = *type, .form = kt_form_of(type->type) };
    if (arg->form == FORM_LIST || arg->form == FORM_SPAN || arg->form == FORM_NESTED)
        return refuse(binder, node, arg, "single values");
    if (!kt_field_common(type, &arg->type, &joined)) return kt_bind_mismatch(binder, node, &other, arg);
    *type = joined;
    return KITH_OK;
}

/* Gives the arguments from `first` on, every `step`th, and a last one beyond `pairs`, one type. Columns
 * decide; literals that are values of that type exactly follow, others widen it. */
static kith_status bind_alike(struct binder *binder, struct node *node, const bool *which,
                              struct kt_field *out)
{
    struct kt_field type = kt_field_plain(KT_NULL);
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < node->count; i++)
        if (which[i] && !kt_is_literal(node->args[i])) status = join_type(binder, node, node->args[i], &type);
    for (uint32_t i = 0; !status && i < node->count; i++) {
        struct node **arg = &node->args[i];
        bool fits = false;
        if (!which[i] || !kt_is_literal(*arg) || kt_is_null(*arg)) continue;
        if (type.type != KT_NULL) status = adapt(binder, node, &type, arg, &fits);
        if (!status && !fits) status = join_type(binder, node, *arg, &type);
    }
    for (uint32_t i = 0; !status && i < node->count; i++)
        if (which[i]) status = kt_bind_cast(binder, KT_FN_CAST, &type, &node->args[i]);
    *out = type;
    return status;
}

static bool *mark_values(struct binder *binder, const struct node *node)
{
    bool *which = kt_bind_take(binder, node->count, sizeof *which);
    bool is_case = node->fn == KT_FN_CASE;
    for (uint32_t i = 0; which && i < node->count; i++)
        which[i] = !is_case || i % 2 == 1 || (i + 1 == node->count && node->count % 2 == 1);
    return which;
}

static kith_status bind_choice(struct binder *binder, struct node **place)
{
    struct node *node = *place;
    struct kt_field type;
    bool *which = mark_values(binder, node);
    kith_status status = which ? bind_alike(binder, node, which, &type) : KITH_NO_MEMORY;
    for (uint32_t i = 0; !status && node->fn == KT_FN_CASE && i + 1 < node->count; i += 2)
        status = take_condition(binder, node, &node->args[i]);
    if (status) return status;
    eval_fn eval = node->fn == KT_FN_CASE       ? kt_eval_case
                   : node->fn == KT_FN_COALESCE ? kt_eval_coalesce
                   : node->fn == KT_FN_NULLIF   ? kt_eval_nullif
                                                : kt_eval_most;
    become(node, type.type, eval, 4);
    node->type = kt_field_made(&type);
    if (type.type == KT_NULL) return become_null(binder, place);
    struct pair *pair = kt_bind_take(binder, 1, sizeof *pair);
    if (!pair) return KITH_NO_MEMORY;
    kt_pair_of(&type, &type, pair);
    node->plan = pair;
    return KITH_OK;
}

/* ---- parts of lists and structs ---- */

static kith_status bind_element(struct binder *binder, struct node **place)
{
    struct node *node = *place, *of = node->args[0], *key = node->args[1];
    bool text = kt_is_literal(key) && kt_field_is_text(&key->type) && !key->value.null;
    if (kt_is_null(of) || kt_is_null(key)) return become_null(binder, place);
    if (of->type.type == KT_STRUCT) {
        if (!text) return refuse(binder, node, key, "the name of a field, in quotes");
        char name[256];
        size_t size = key->value.bytes.size < sizeof name - 1 ? key->value.bytes.size : sizeof name - 1;
        memcpy(name, key->value.bytes.at, size);
        name[size] = 0;
        if (of->place) {
            *place = of;
            return kt_bind_step(binder, of, name);
        }
        return kt_bind_field(binder, node, name);
    }
    kith_status status = take_argument(binder, node, 0, 'l');
    if (!status) status = take_argument(binder, node, 1, 'i');
    if (status) return status;
    node->type = kt_field_made(&of->type.children[0]);
    node->form = kt_form_of(node->type.type);
    node->eval = kt_eval_element;
    node->cost = 6;
    return KITH_OK;
}

/* The set that a list of values is beside items of a type. */
static kith_status bind_list_test(struct binder *binder, const struct node *node, const struct node *list,
                                  const struct kt_field *item, struct node *literal, const struct test **out)
{
    struct node subject = { .type = *item, .form = kt_form_of(item->type), .position = list->position };
    struct node *args[2] = { &subject, literal };
    struct node in = { .fn = node->fn, .args = args, .count = 2 };
    in.position = literal->position;
    in.length = literal->length;
    struct test *test;
    kith_status status = kt_bind_set(binder, &in, &test);
    if (!status) *out = test;
    return status;
}

static kith_status swap_lists(struct binder *binder, struct node *node)
{
    struct node *a = node->args[0], *b = node->args[1];
    if (a->form == FORM_LIST && node->fn == KT_FN_ARRAY_HAS_ANY && b->form != FORM_LIST) {
        node->args[0] = b;
        node->args[1] = a;
    } else if (a->form == FORM_LIST && b->form == FORM_LIST) {
        return refuse(binder, node, a, "a column of lists");
    }
    return KITH_OK;
}

/* array_has(list, value), array_has_any(list, list), array_has_all(list, list); either may be written down.
 */
static kith_status bind_array(struct binder *binder, struct node **place)
{
    struct node *node = *place;
    if (kt_is_null(node->args[0]) || kt_is_null(node->args[1])) return become_null(binder, place);
    if (node->fn == KT_FN_ARRAY_HAS && node->args[0]->form == FORM_LIST) { /* value IN (list) */
        struct node *in = kt_bind_node(binder, KT_FN_IN, node, 2);
        if (!in) return KITH_NO_MEMORY;
        in->args[0] = node->args[1];
        in->args[1] = node->args[0];
        *place = in;
        return kt_bind_in(binder, place);
    }
    kith_status status = swap_lists(binder, node);
    struct node *a = node->args[0], *b = node->args[1];
    struct node *column = a->form == FORM_LIST ? b : a, *other = a->form == FORM_LIST ? a : b;
    if (!status) status = kt_field_is_list(&column->type) ? KITH_OK : refuse(binder, node, column, "a list");
    if (status) return status;
    const struct kt_field *item = &column->type.children[0];
    become(node, KT_BOOL, kt_eval_array_has, 12);
    node->share = 0.1f;
    if (node->fn == KT_FN_ARRAY_HAS ? kt_is_literal(other) : other->form == FORM_LIST)
        return bind_list_test(binder, node, column, item, other, &node->test);
    if (node->fn != KT_FN_ARRAY_HAS && !kt_field_is_list(&other->type))
        return refuse(binder, node, other, "a list");
    struct pair *pair = kt_bind_take(binder, 1, sizeof *pair);
    if (!pair) return KITH_NO_MEMORY;
    const struct kt_field *b_type = node->fn == KT_FN_ARRAY_HAS ? &other->type : &other->type.children[0];
    node->plan = pair;
    return kt_pair_of(item, b_type, pair) ? KITH_OK : kt_bind_mismatch(binder, node, column, other);
}

static kith_status bind_array_length(struct binder *binder, struct node **place)
{
    struct node *node = *place, *arg = node->args[0];
    struct kt_field type = kt_field_plain(KT_INT64);
    if (kt_is_null(arg)) return become_null(binder, place);
    if (arg->form == FORM_LIST) {
        *place =
            kt_bind_literal(binder, node, &type, &(struct cell){ .integer = (int64_t)arg->source->count });
        return *place ? KITH_OK : KITH_NO_MEMORY;
    }
    become(node, KT_INT64, kt_eval_rows, 2);
    node->row = kt_row_array_length;
    return take_argument(binder, node, 0, 'l');
}

/* ---- texts ---- */

static kith_status bind_length(struct binder *binder, struct node **place)
{
    const struct node *arg = (*place)->args[0];
    if (kt_field_is_list(&arg->type) || arg->form == FORM_LIST) return bind_array_length(binder, place);
    become(*place, KT_INT64, kt_eval_rows, 6);
    (*place)->row = kt_field_is_text(&arg->type) ? kt_row_length : kt_row_size;
    if (kt_is_null(arg)) return become_null(binder, place);
    return kt_field_is_bytes(&arg->type) ? KITH_OK : refuse(binder, *place, arg, "text, binary or a list");
}

static kith_status bind_like(struct binder *binder, struct node **place)
{
    kith_status status = KITH_OK;
    for (uint32_t i = 0; i < (*place)->count; i++)
        if (kt_is_null((*place)->args[i])) return become_null(binder, place);
    for (uint32_t i = 0; !status && i < (*place)->count; i++) status = take_argument(binder, *place, i, 't');
    become(*place, KT_BOOL, kt_eval_rows, 30);
    return status ? status : kt_bind_like(binder, *place);
}

static kith_status bind_regexp(struct binder *binder, struct node **place)
{
    struct node *node = *place, *pattern = node->args[1];
    struct regexp *regexp;
    struct regexp_fault fault;
    if (kt_is_null(node->args[0]) || kt_is_null(pattern)) return become_null(binder, place);
    kith_status status = take_argument(binder, node, 0, 't');
    if (!status) status = take_argument(binder, node, 1, 't');
    if (!status && !kt_is_literal(pattern))
        status =
            kt_bind_fail(binder, KITH_INVALID, pattern, "the pattern of regexp_like must be written down");
    if (status) return status;
    status = kt_regexp_make(&binder->filter->arena, pattern->value.bytes, &regexp, &fault, binder->error);
    if (status == KITH_INVALID)
        return kt_bind_fail(binder, status, pattern,
                            "the pattern of regexp_like is wrong at its character %u: %s", fault.at + 1,
                            fault.words);
    become(node, KT_BOOL, kt_eval_rows, 300);
    node->row = kt_row_regexp;
    node->plan = regexp;
    node->share = 0.2f;
    return status;
}

static kith_status bind_starts_with(struct binder *binder, struct node **place)
{
    struct node *node = *place;
    if (kt_is_null(node->args[0]) || kt_is_null(node->args[1])) return become_null(binder, place);
    kith_status status = take_argument(binder, node, 0, 't');
    if (!status) status = take_argument(binder, node, 1, 't');
    become(node, KT_BOOL, kt_eval_rows, 5);
    node->row = kt_row_starts_with;
    if (status || !kt_is_literal(node->args[1])) return status;
    return kt_bind_prefix(binder, node, node->args[1]->value.bytes);
}

static kith_status bind_contains(struct binder *binder, struct node **place)
{
    struct node *node = *place;
    if (kt_field_is_list(&node->args[0]->type) || node->args[0]->form == FORM_LIST) {
        node->fn = KT_FN_ARRAY_HAS;
        return bind_array(binder, place);
    }
    if (kt_is_null(node->args[0]) || kt_is_null(node->args[1])) return become_null(binder, place);
    kith_status status = take_argument(binder, node, 0, 't');
    if (!status) status = take_argument(binder, node, 1, 't');
    become(node, KT_BOOL, kt_eval_rows, 20);
    node->row = kt_row_contains;
    node->share = 0.2f;
    return status;
}

/* ---- the table ---- */

static kith_status bind_now(struct binder *binder, struct node **place)
{
    static char zone[] = "UTC";
    struct timespec now;
    struct kt_field type = kt_field_plain(KT_TIMESTAMP);
    type.timezone = zone;
    timespec_get(&now, TIME_UTC);
    struct cell cell = { .integer = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 };
    *place = kt_bind_literal(binder, *place, &type, &cell);
    return *place ? KITH_OK : KITH_NO_MEMORY;
}

static const struct meaning meanings[KT_FNS] = {
    [KT_FN_AND] = { .bind = bind_and_or },
    [KT_FN_OR] = { .bind = bind_and_or },
    [KT_FN_NOT] = { .bind = bind_not },
    [KT_FN_EQ] = { .bind = kt_bind_compare },
    [KT_FN_NE] = { .bind = kt_bind_compare },
    [KT_FN_LT] = { .bind = kt_bind_compare },
    [KT_FN_LE] = { .bind = kt_bind_compare },
    [KT_FN_GT] = { .bind = kt_bind_compare },
    [KT_FN_GE] = { .bind = kt_bind_compare },
    [KT_FN_DISTINCT] = { .bind = kt_bind_compare },
    [KT_FN_NOT_DISTINCT] = { .bind = kt_bind_compare },
    [KT_FN_IS_NULL] = { .bind = bind_is },
    [KT_FN_IS_NOT_NULL] = { .bind = bind_is },
    [KT_FN_IS_TRUE] = { .bind = bind_is },
    [KT_FN_IS_NOT_TRUE] = { .bind = bind_is },
    [KT_FN_IS_FALSE] = { .bind = bind_is },
    [KT_FN_IS_NOT_FALSE] = { .bind = bind_is },
    [KT_FN_IN] = { .bind = kt_bind_in },
    [KT_FN_LIKE] = { .bind = bind_like },
    [KT_FN_ILIKE] = { .bind = bind_like },
    [KT_FN_REGEXP] = { .bind = bind_regexp },
    [KT_FN_ADD] = { .bind = kt_bind_arithmetic },
    [KT_FN_SUB] = { .bind = kt_bind_arithmetic },
    [KT_FN_MUL] = { .bind = kt_bind_arithmetic },
    [KT_FN_DIV] = { .bind = kt_bind_arithmetic },
    [KT_FN_MOD] = { .bind = kt_bind_arithmetic },
    [KT_FN_NEG] = { .bind = kt_bind_rounding },
    [KT_FN_CONCAT] = { .takes = "ss", .gives = KT_UTF8, .row = kt_row_concat, .cost = 15 },
    [KT_FN_CASE] = { .bind = bind_choice },
    [KT_FN_COALESCE] = { .bind = bind_choice },
    [KT_FN_NULLIF] = { .bind = bind_choice },
    [KT_FN_GREATEST] = { .bind = bind_choice },
    [KT_FN_LEAST] = { .bind = bind_choice },
    [KT_FN_CAST] = { .bind = kt_bind_written_cast },
    [KT_FN_TRY_CAST] = { .bind = kt_bind_written_cast },
    [KT_FN_ELEMENT] = { .bind = bind_element },
    [KT_FN_JSON_GET] = { .takes = "ts", .gives = KT_UTF8, .row = kt_row_json_get, .cost = 150 },
    [KT_FN_JSON_TEXT] = { .takes = "ts", .gives = KT_UTF8, .row = kt_row_json_text, .cost = 150 },
    [KT_FN_ABS] = { .bind = kt_bind_rounding },
    [KT_FN_ROUND] = { .bind = kt_bind_rounding },
    [KT_FN_FLOOR] = { .bind = kt_bind_rounding },
    [KT_FN_CEIL] = { .bind = kt_bind_rounding },
    [KT_FN_LENGTH] = { .bind = bind_length },
    [KT_FN_LOWER] = { .takes = "t", .gives = KT_UTF8, .row = kt_row_lower, .cost = 20 },
    [KT_FN_UPPER] = { .takes = "t", .gives = KT_UTF8, .row = kt_row_upper, .cost = 20 },
    [KT_FN_TRIM] = { .takes = "t", .gives = KT_UTF8, .row = kt_row_trim, .cost = 4 },
    [KT_FN_LTRIM] = { .takes = "t", .gives = KT_UTF8, .row = kt_row_trim, .cost = 4 },
    [KT_FN_RTRIM] = { .takes = "t", .gives = KT_UTF8, .row = kt_row_trim, .cost = 4 },
    [KT_FN_SUBSTR] = { .takes = "tii", .gives = KT_UTF8, .row = kt_row_substr, .cost = 8 },
    [KT_FN_STARTS_WITH] = { .bind = bind_starts_with },
    [KT_FN_ENDS_WITH] = { .takes = "tt", .gives = KT_BOOL, .row = kt_row_ends_with, .cost = 5 },
    [KT_FN_CONTAINS] = { .bind = bind_contains },
    [KT_FN_ARRAY_HAS] = { .bind = bind_array },
    [KT_FN_ARRAY_HAS_ANY] = { .bind = bind_array },
    [KT_FN_ARRAY_HAS_ALL] = { .bind = bind_array },
    [KT_FN_ARRAY_LENGTH] = { .bind = bind_array_length },
    [KT_FN_DATE_PART] = { .bind = kt_bind_date_part },
    [KT_FN_NOW] = { .bind = bind_now },
    [KT_FN_ISNAN] = { .bind = kt_bind_rounding },
};

kith_status kt_bind_call(struct binder *binder, struct node **place)
{
    struct node *node = *place;
    const struct meaning *meaning = &meanings[node->fn];
    kith_status status = KITH_OK;
    if (meaning->bind) return meaning->bind(binder, place);
    for (uint32_t i = 0; i < node->count; i++)
        if (kt_is_null(node->args[i])) return become_null(binder, place);
    for (uint32_t i = 0; !status && i < node->count; i++)
        status = take_argument(binder, node, i, meaning->takes[i]);
    become(node, meaning->gives, kt_eval_rows, meaning->cost);
    node->row = meaning->row;
    return status;
}
