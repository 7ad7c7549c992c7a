/* The SQL door: what is read, as what, what is refused and how that is told. */
#include "unit/filter/filter_doors.h"

/* ---- reading ---- */

static void every_form_is_read(void **state)
{
    (void)state;
    /* As it may be written, and as Kith writes it: between them lies the tree. */
    static const char *const forms[][2] = {
        { "a == 1", "a = 1" },
        { "a != 1 and a <> 2", "a <> 1 AND a <> 2" },
        { "a<1 OR a<=1 OR a>1 OR a>=1", "a < 1 OR a <= 1 OR a > 1 OR a >= 1" },
        { "not a", "NOT a" },
        { "a is null or a IS NOT NULL", "a IS NULL OR a IS NOT NULL" },
        { "a is true or a is not true or a is false or a is not false",
          "a IS TRUE OR a IS NOT TRUE OR a IS FALSE OR a IS NOT FALSE" },
        { "a is distinct from b or a is not distinct from 1",
          "a IS DISTINCT FROM b OR a IS NOT DISTINCT FROM 1" },
        { "a in (1, 'x', b)", "a IN (1, 'x', b)" },
        { "a not in (1)", "a NOT IN (1)" },
        { "a in ()", "a IN ()" },
        { "a in [1, 2]", "a IN (1, 2)" },
        { "a between 1 and 2", "a >= 1 AND a <= 2" },
        { "a not between 1 and 2", "NOT (a >= 1 AND a <= 2)" },
        { "a like 'x%' or a not like 'x!%' escape '!'", "a LIKE 'x%' OR a NOT LIKE 'x!%' ESCAPE '!'" },
        { "a ilike 'x%' or a not ilike 'x!%' escape '!'", "a ILIKE 'x%' OR a NOT ILIKE 'x!%' ESCAPE '!'" },
        { "a+1-2*3/4%5", "a + 1 - 2 * 3 / 4 % 5" },
        { "-a = +b", "-a = b" },
        { "a||'x'", "a || 'x'" },
        { "case when a then 1 when b then 2 end", "CASE WHEN a THEN 1 WHEN b THEN 2 END" },
        { "case a when 1 then 'x' else 'y' end", "CASE WHEN a = 1 THEN 'x' ELSE 'y' END" },
        { "cast(a as int) = try_cast(b as double precision)", "CAST(a AS int) = TRY_CAST(b AS double)" },
        { "a::varchar = b::decimal(10, 2)", "CAST(a AS varchar) = CAST(b AS decimal(10,2))" },
        { "a::timestamp(3) < cast(b as timestamp with time zone)",
          "CAST(a AS timestamp(3)) < CAST(b AS timestamp with time zone)" },
        { "1 = 1.5e3 or 2 = .5 or 3 = 1.", "1 = 1500.0 OR 2 = 0.5 OR 3 = 1.0" },
        { "TRUE or fAlse or NuLL", "TRUE OR FALSE OR NULL" },
        { "a = x'0fAb'", "a = X'0FAB'" },
        { "a = date '2024-02-29'", "a = date '2024-02-29'" },
        { "a = time '1:02:03.5'", "a = time '01:02:03.500000'" },
        { "a = timestamp '2024-02-29T12:00+02:00'", "a = timestamp '2024-02-29 10:00:00Z'" },
        { "a = timestamp '2024-02-29'", "a = timestamp '2024-02-29 00:00:00'" },
        { "a > now() - interval '1 day 2 hours 3 minutes'", "a > now() - interval '1 days 7380 seconds'" },
        { "a = decimal '1.50'", "a = decimal '1.50'" },
        { "a = decimal(4,1) '1.5'", "a = CAST('1.5' AS decimal(4,1))" },
        { "a = float 'nan'", "a = float 'nan'" },
        { "a.b.c = 1", "a.b.c = 1" },
        { "a['b'] = a[-1]", "a['b'] = a[-1]" },
        { "a[1].b", "a[1]['b']" },
        { "meta->>'a.b' = 'x' and meta->'c' is not null",
          "meta ->> 'a.b' = 'x' AND meta -> 'c' IS NOT NULL" },
        { "\"a\" = `b c` or `when` = `x``y`", "\"a\" = `b c` OR `when` = `x``y`" },
        { "_rowid < 100", "_rowid < 100" },
        { "LOWER(a) = ceiling(b) or substring(a, 1, 2) = array_contains(t, 'x')",
          "lower(a) = ceil(b) OR substr(a, 1, 2) = array_has(t, 'x')" },
        { "array_has_any(t, ['x', 'y', NULL, -1])", "array_has_any(t, ['x', 'y', NULL, -1])" },
        { "array_has_all(t, [])", "array_has_all(t, [])" },
        { "extract(year from d) = 2024", "date_part('year', d) = 2024" },
        { "a -- a comment\n= /* another */ 1", "a = 1" },
        { "a = 'it''s'", "a = 'it''s'" },
        { "a = ''", "a = ''" },
        { "  (((a)))  ", "a" },
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct kt_expr *expr = parse(forms[i][0]);
        char *text = to_sql(expr);
        assert_string_equal(text, forms[i][1]);
        assert_comes_back(expr);
        kt_free(text);
        kt_expr_release(expr);
    }
}

static void operators_bind_as_in_sqlite(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        { "a or b and not c = d", "a or (b and (not (c = d)))" },
        { "a and b or c and d", "(a and b) or (c and d)" },
        { "not a is null", "not (a is null)" },
        { "not a in (1)", "not (a in (1))" },
        { "a = b < c", "a = (b < c)" },
        { "a < b + c", "a < (b + c)" },
        { "a + b * c", "a + (b * c)" },
        { "a - b - c", "(a - b) - c" },
        { "a / b / c", "(a / b) / c" },
        { "a * b || c", "a * (b || c)" },
        { "-a * b", "(-a) * b" },
        { "-a::int", "-(a::int)" },
        { "-a[1]", "-(a[1])" },
        { "a || b[1]", "a || (b[1])" },
        { "a is null = b", "(a is null) = b" },
        { "a = b is null", "(a = b) is null" },
        { "a = b in (1)", "(a = b) in (1)" },
        { "a between 1 and 2 and b", "(a between 1 and 2) and b" },
        { "a between b + 1 and c + 2 or d", "(a between (b + 1) and (c + 2)) or d" },
        { "a not between 1 and 2 or b not in (1) and c not like 'x'",
          "(a not between 1 and 2) or ((b not in (1)) and (c not like 'x'))" },
        { "a like b || 'x' escape 'y' || 'z'", "a like (b || 'x') escape ('y' || 'z')" },
        { "meta->'a'->>'b' = 'x'", "((meta->'a')->>'b') = 'x'" },
        { "a::int::text = b", "((a::int)::text) = b" },
        { "a and (b and (c and d)) and e", "a and b and c and d and e" },
        { "a is distinct from b or c", "(a is distinct from b) or c" },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct kt_expr *bare = parse(pairs[i][0]), *explicit = parse(pairs[i][1]);
        if (!same_tree(bare, explicit)) fail_msg("%s is not %s", pairs[i][0], pairs[i][1]);
        kt_expr_release(bare);
        kt_expr_release(explicit);
    }
}

static void literals_have_the_kind_they_are_written_as(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct kt_value value;
    } literals[] = {
        { "9223372036854775807", { .kind = KT_VALUE_INT, .integer = INT64_MAX } },
        { "9223372036854775808", { .kind = KT_VALUE_UINT, .natural = (uint64_t)INT64_MAX + 1 } },
        { "18446744073709551615", { .kind = KT_VALUE_UINT, .natural = UINT64_MAX } },
        { "18446744073709551616", { .kind = KT_VALUE_FLOAT, .number = 0x1p64 } },
        { "-9223372036854775808", { .kind = KT_VALUE_INT, .integer = INT64_MIN } },
        { "-(-(5))", { .kind = KT_VALUE_INT, .integer = 5 } },
        { "1e3", { .kind = KT_VALUE_FLOAT, .number = 1000 } },
        { "-0.0", { .kind = KT_VALUE_FLOAT, .number = -0.0 } },
        { "0.1", { .kind = KT_VALUE_FLOAT, .number = 0.1 } },
        { "decimal '-0.050'", { .kind = KT_VALUE_DECIMAL, .integer = -50, .scale = 3 } },
        { "-decimal '7'", { .kind = KT_VALUE_DECIMAL, .integer = -7 } },
        { "date '1970-01-02'", { .kind = KT_VALUE_DATE, .integer = 1 } },
        { "date '0000-03-01'", { .kind = KT_VALUE_DATE, .integer = -719468 } },
        { "date '2000-02-29'", { .kind = KT_VALUE_DATE, .integer = 11016 } },
        { "time '23:59:59.999999999'",
          { .kind = KT_VALUE_TIME, .integer = (int64_t)86400 * 1000000 - 1, .nanos = 999 } },
        { "timestamp '1970-01-01 00:00:01.5'", { .kind = KT_VALUE_TIMESTAMP, .integer = 1500000 } },
        { "timestamp '1969-12-31T23:59:59.999999Z'",
          { .kind = KT_VALUE_TIMESTAMP, .integer = -1, .utc = true } },
        { "timestamp '1970-01-01 00:00:00 -05:30'",
          { .kind = KT_VALUE_TIMESTAMP, .integer = (int64_t)19800 * 1000000, .utc = true } },
        { "interval '1 year 2 months 3 weeks 4 days'",
          { .kind = KT_VALUE_INTERVAL, .months = 14, .days = 25 } },
        { "interval '-1.5 hours 30 seconds'",
          { .kind = KT_VALUE_INTERVAL, .integer = (int64_t)(30 - 5400) * 1000000 } },
        { "interval '01:30:00'", { .kind = KT_VALUE_INTERVAL, .integer = (int64_t)5400 * 1000000 } },
    };
    for (size_t i = 0; i < sizeof literals / sizeof literals[0]; i++) {
        struct kt_expr *expr = parse(literals[i].text);
        assert_int_equal(expr->fn, KT_FN_LITERAL);
        if (!same_value(&expr->value, &literals[i].value)) fail_msg("%s", literals[i].text);
        kt_expr_release(expr);
    }
}

static void words_that_are_no_operators_name_columns(void **state)
{
    (void)state;
    static const char *const names[] = { "date",     "time", "timestamp", "interval",  "decimal",
                                         "key",      "cast", "when",      "end",       "escape",
                                         "distinct", "from", "as",        "select",    "lower",
                                         "double",   "x",    "table",     "\"order\"", "größe" };
    char text[200];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(text, sizeof text, "%s > 3 AND CASE WHEN %s THEN %s ELSE -%s END IS DISTINCT FROM %s",
                 names[i], names[i], names[i], names[i], names[i]);
        struct kt_expr *expr = parse(text);
        assert_int_equal(expr->args[0]->args[0]->fn, KT_FN_COLUMN);
        assert_comes_back(expr);
        kt_expr_release(expr);
    }
}

static void nodes_remember_where_they_were_written(void **state)
{
    (void)state;
    const char *text = " price < 3 AND lower( tag ) = 'a' ";
    struct kt_expr *expr = parse(text), *call = expr->args[1]->args[0];
    assert_int_equal(expr->position, 1);
    assert_int_equal(expr->length, strlen(text) - 2);
    assert_int_equal(call->position, strcspn(text, "l"));
    assert_int_equal(call->length, strlen("lower( tag )"));
    assert_int_equal(call->args[0]->position, strcspn(text, "t"));
    kt_expr_release(expr);
}

/* ---- writing ---- */

static void random_trees_come_back(void **state)
{
    (void)state;
    struct kt_random random = door_random();
    for (int i = 0; i < 20000; i++) {
        struct kt_expr *expr = random_tree(&random, 1 + (uint32_t)kt_random_below(&random, 5));
        assert_comes_back(expr);
        kt_expr_release(expr);
    }
}

static void a_zero_byte_in_a_text_cannot_be_written(void **state)
{
    (void)state;
    struct kt_value value = { .kind = KT_VALUE_TEXT, .text = kt_alloc(4), .size = 3 };
    struct kt_expr *expr = NULL;
    struct kt_buffer text = { 0 };
    kith_error error = { 0 };
    memcpy(value.text, "a\0b", 4);
    assert_int_equal(kt_expr_literal(&value, &expr, &oops), KITH_OK);
    assert_int_equal(kt_expr_to_sql(expr, &text, &error), KITH_INVALID);
    assert_says(&error, KITH_INVALID, "zero byte");
    kt_expr_release(expr);
    kt_buffer_release(&text);
}

/* ---- what holds of every tree ---- */

static void chains_are_one_node_however_long(void **state)
{
    (void)state;
    struct kt_buffer text = { 0 };
    assert_true(kt_buffer_text(&text, "a"));
    for (int i = 0; i < 3000; i++) assert_true(kt_buffer_text(&text, " OR (b AND c)"));
    assert_true(kt_buffer_append(&text, "", 1));
    struct kt_expr *expr = parse((const char *)text.data);
    assert_int_equal(expr->fn, KT_FN_OR);
    assert_int_equal(expr->count, 3001);
    assert_int_equal(expr->depth, 3);
    assert_int_equal(expr->nodes, 1 + 1 + 3000 * 3);
    kt_expr_release(expr);
    kt_buffer_release(&text);
}

static void a_shared_chain_is_not_lengthened(void **state)
{
    (void)state;
    struct kt_expr *chain = parse("a AND b"), *longer = NULL;
    struct kt_expr *args[] = { kt_expr_share(chain), parse("c AND d") };
    assert_int_equal(kt_expr_call("and", args, 2, &longer, &oops), KITH_OK);
    assert_int_equal(chain->count, 2);
    assert_int_equal(longer->count, 4);
    kt_expr_release(chain);
    assert_comes_back(longer);
    kt_expr_release(longer);
}

static void literals_of_in_are_one_list(void **state)
{
    (void)state;
    struct kt_expr *expr = parse("a IN (b, 1, c, NULL, 'x')");
    assert_int_equal(expr->count, 4);
    assert_int_equal(expr->args[1]->value.kind, KT_VALUE_LIST);
    assert_int_equal(expr->args[1]->value.count, 3);
    assert_string_equal(expr->args[2]->path[0], "b");
    assert_string_equal(expr->args[3]->path[0], "c");
    kt_expr_release(expr);
}

static void functions_are_called_by_any_of_their_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        uint32_t count;
    } calls[] = {
        { "AND", "a AND b", 2 },
        { "not", "NOT a", 1 },
        { "!=", "a <> b", 2 },
        { "Is Not Null", "a IS NOT NULL", 1 },
        { "is distinct from", "a IS DISTINCT FROM b", 2 },
        { "-", "-a", 1 },
        { "-", "a - b", 2 },
        { "in", "a IN (b, c)", 3 },
        { "not in", "a NOT IN (b)", 2 },
        { "between", "a >= b AND a <= c", 3 },
        { "not between", "NOT (a >= b AND a <= c)", 3 },
        { "not ilike", "a NOT ILIKE b", 2 },
        { "[]", "a[b]", 2 },
        { "->>", "a ->> b", 2 },
        { "case", "CASE WHEN a THEN b ELSE c END", 3 },
        { "list_contains", "array_has(a, b)", 2 },
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct kt_expr *args[] = { parse("a"), parse("b"), parse("c") }, *expr = NULL;
        for (uint32_t k = calls[i].count; k < 3; k++) kt_expr_release(args[k]);
        if (kt_expr_call(calls[i].name, args, calls[i].count, &expr, &oops)) fail_msg("%s", oops.message);
        char *text = to_sql(expr);
        assert_string_equal(text, calls[i].text);
        kt_free(text);
        kt_expr_release(expr);
    }
}

static void types_have_the_names_of_sql_and_of_arrow(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        { "INT", "int" },
        { "int8", "int8" },
        { "BIGINT", "bigint" },
        { "float", "float" },
        { "double \n precision", "double" },
        { "halffloat", "float16" },
        { "character varying", "varchar" },
        { "large_string", "large_utf8" },
        { "numeric", "decimal(18,3)" },
        { "decimal(10)", "decimal(10,0)" },
        { "decimal128(38, 38)", "decimal(38,38)" },
        { "date32[day]", "date" },
        { "date64[ms]", "date64" },
        { "time", "time" },
        { "time32[s]", "time(0)" },
        { "time(3)", "time(3)" },
        { "time64[ns]", "time(9)" },
        { "timestamp(5)", "timestamp" },
        { "timestamp[ns]", "timestamp(9)" },
        { "timestamp[us, UTC]", "timestamp with time zone" },
        { "timestamp(3) with time zone", "timestamp(3) with time zone" },
        { "duration[ms]", "interval(3)" },
        { "bytea", "blob" },
    };
    static const char *const wrong[] = { "",
                                         "list<int>",
                                         "int(3)",
                                         "decimal(0,0)",
                                         "decimal(5,6)",
                                         "decimal(",
                                         "date32[s]",
                                         "timestamp(10)",
                                         "timestamp[h]",
                                         "time[us,UTC]",
                                         "timestamp[us, Europe/Berlin]",
                                         "int[32",
                                         "decimal(1,2,3)",
                                         "int int" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct kt_expr *expr = NULL;
        char name[KT_TYPE_NAME];
        if (kt_expr_cast(parse("a"), names[i][0], &expr, &oops)) fail_msg("%s", oops.message);
        kt_type_to_sql(expr->type, name);
        assert_string_equal(name, names[i][1]);
        assert_comes_back(expr);
        kt_expr_release(expr);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct kt_expr *expr = NULL;
        kith_error error = { 0 };
        if (!kt_expr_cast(parse("a"), wrong[i], &expr, &error)) fail_msg("%s was a type", wrong[i]);
        assert_says(&error, KITH_INVALID, "type ");
    }
}

/* ---- parameters ---- */

static struct kt_parameter text_parameter(const char *name, const char *text)
{
    return (struct kt_parameter){
        name, { .kind = KT_VALUE_TEXT, .text = (char *)(uintptr_t)text, .size = strlen(text) }
    };
}

static void parameters_are_values_and_never_text(void **state)
{
    (void)state;
    struct kt_value items[] = { { .kind = KT_VALUE_INT, .integer = 1 }, { .kind = KT_VALUE_NULL } };
    struct kt_parameter parameters[] = {
        text_parameter(NULL, "x' OR 1=1; --"),
        { "limit", { .kind = KT_VALUE_FLOAT, .number = 9.5 } },
        { NULL, { .kind = KT_VALUE_LIST, .items = items, .count = 2 } },
    };
    struct kt_expr *expr = NULL;
    if (kt_expr_parse("a = ? AND b < :limit AND c > :limit AND d IN (?, 7)", parameters, 3, &expr, &oops))
        fail_msg("%s", oops.message);
    char *text = to_sql(expr);
    assert_string_equal(text, "a = 'x'' OR 1=1; --' AND b < 9.5 AND c > 9.5 AND d IN (1, NULL, 7)");
    kt_free(text);
    assert_comes_back(expr);
    kt_expr_release(expr);
}

static void a_bound_list_is_one_node(void **state)
{
    (void)state;
    struct kt_value list = { .kind = KT_VALUE_LIST, .count = KT_FILTER_LIST };
    struct kt_parameter parameter = { .name = "ids" };
    struct kt_expr *expr = NULL;
    kith_error error = { 0 };
    list.items = kt_alloc_zero(list.count + 1, sizeof *list.items);
    for (size_t i = 0; i <= list.count; i++)
        list.items[i] = (struct kt_value){ .kind = KT_VALUE_INT, .integer = (int64_t)i };
    parameter.value = list;
    assert_int_equal(kt_expr_parse("id IN (:ids)", &parameter, 1, &expr, &oops), KITH_OK);
    assert_int_equal(expr->nodes, 3);
    kt_expr_release(expr);
    expr = NULL;
    assert_int_equal(kt_expr_parse("id IN :ids", &parameter, 1, &expr, &oops), KITH_OK);
    assert_int_equal(expr->args[1]->value.count, KT_FILTER_LIST);
    kt_expr_release(expr);
    expr = NULL;
    parameter.value.count++;
    assert_int_equal(kt_expr_parse("id IN (:ids)", &parameter, 1, &expr, &error), KITH_INVALID);
    assert_says(&error, KITH_INVALID, "100,000");
    parameter.value.count--;
    assert_int_equal(kt_expr_parse("id IN (:ids, 1)", &parameter, 1, &expr, &error), KITH_INVALID);
    assert_says(&error, KITH_INVALID, "100001");
    kt_free(list.items);
}

static void every_parameter_is_used_and_every_mark_has_one(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } wrong[] = {
        { "a = ? AND b = ? AND c = :n", "there is no value for this \"?\": 1 is given, at character 15" },
        { "a = :n", "1 value is given for 0 \"?\"" },
        { "a = ?", "a value is given for \":n\", which the filter lacks" },
        { "a = ? AND b = :m", "there is no value for \":m\"" },
        { "a = ? AND b IN :n", "IN without parentheses needs a list" },
    };
    struct kt_parameter parameters[] = { text_parameter(NULL, "x"), text_parameter("n", "y"),
                                         text_parameter("n", "z") };
    struct kt_expr *expr = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        kith_error error = { 0 };
        assert_int_equal(kt_expr_parse(wrong[i].text, parameters, 2, &expr, &error), KITH_INVALID);
        assert_says(&error, KITH_INVALID, wrong[i].words);
    }
    kith_error error = { 0 };
    assert_int_equal(kt_expr_parse("a = ? AND b = :n", parameters, 3, &expr, &error), KITH_INVALID);
    assert_says(&error, KITH_INVALID, "two values are given for \":n\"");
    assert_null(expr);
}

/* ---- refusing ---- */

static void what_is_wrong_is_told_where_it_is(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        { "price <", "expected a value, found the end of the filter, at character 8\n  price <\n         ^" },
        { "", "expected a value, found the end of the filter, at character 1" },
        { "a b", "expected an operator or the end of the filter, found \"b\", at character 3\n  a b\n    ^" },
        { "(a = 1", "expected \")\" or an operator, found the end of the filter" },
        { "a IN (1, ", "expected a value, found the end of the filter" },
        { "a[1 = 2", "expected \"]\"" },
        { "a BETWEEN 1", "expected AND or an operator, found the end" },
        { "a IS 5", "expected NULL, TRUE, FALSE or DISTINCT FROM, found \"5\"" },
        { "'a' IN b", "expected \"(\", found \"b\", at character 8" },
        { "a NOT 5", "expected BETWEEN, IN, LIKE or ILIKE, found \"5\"" },
        { "CASE 5", "expected WHEN or an operator, found the end" },
        { "CASE WHEN a THEN b", "expected WHEN, ELSE or END" },
        { "CASE WHEN a", "expected THEN or an operator" },
        { "a.", "expected a name, found the end" },
        { "1 < a < 5", "comparisons stand in no row: write a < b AND b < c, at character 7" },
        { "a < 3; drop table x",
          "a filter is one expression: nothing may follow it, not even a \";\", at character 6" },
        { "a < 3;", "not even a \";\"" },
        { "a = 'x", "this text has no end: the closing ' is missing, at character 5" },
        { "a = \"x", "this name has no end" },
        { "a /* b", "this comment has no end" },
        { "a = X'0'", "pairs of hexadecimal digits" },
        { "a = 12abc", "\"12abc\" is no number" },
        { "a && b", "\"&\" is no operator: write AND" },
        { "a | b", "write OR, or || to join texts" },
        { "!a", "write NOT, or != for unequal" },
        { "a = $1", "\"$\" means nothing here" },
        { "{\"a\": 1}", "filters in JSON have a function of their own" },
        { "a = : b", "needs the name of a parameter" },
        { "a = 1e999", "beyond what a float holds" },
        { "lowr(a) = 1",
          "there is no function \"lowr\"; near names: \"lower\", at character 1\n  lowr(a) = 1\n  ^~~~~~~" },
        { "lower(a, b)", "lower takes 1 argument, and 2 are given" },
        { "substr(a)", "substr takes 2 to 3 arguments, and 1 is given" },
        { "a::intt = 1", "there is no type \"intt\" to cast to; near names: \"int" },
        { "a::decimal(40,2)", "precision in 1..38" },
        { "a::varchar(20)", "takes nothing in brackets" },
        { "lower(a AS int)", "AS and a type stand in CAST(...) and TRY_CAST(...) only" },
        { "lower(a) 'x'", "expected an operator or the end of the filter, found a text" },
        { "foo 'x'", "\"foo\" before a text means nothing; date, time, timestamp" },
        { "date '2024-02-30' = d", "this is no date such as 2024-02-29, at character 6" },
        { "date '2024-2'", "this is no date" },
        { "time '24:00:00'", "this is no time" },
        { "timestamp '2024-01-01 10:00:00.1234567890'", "this is no timestamp" },
        { "interval '1 fortnight'", "this is no interval" },
        { "interval '0.5 days'", "this is no interval" },
        { "decimal '1234567890123456789012'", "at most 18 digits" },
        { "[a]", "a list in brackets holds literals only" },
        { "[[1]]", "a list must not hold lists" },
        { "a =\n b c", "found \"c\", at line 2, character 4\n   b c\n     ^" },
        { "größe = = 1", "at character 9\n  größe = = 1\n          ^" },
        { "a = \xff", "the filter is not UTF-8" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) assert_refused(wrong[i][0], wrong[i][1]);
}

static void of_a_long_line_the_part_that_matters_is_shown(void **state)
{
    (void)state;
    char text[2000] = "";
    kith_error error = { 0 };
    struct kt_expr *expr = NULL;
    for (int i = 0; i < 140; i++) strcat(text, i == 100 ? "b ) AND " : "a = 1 AND ");
    assert_int_equal(kt_expr_parse(text, NULL, 0, &expr, &error), KITH_INVALID);
    assert_says(&error, KITH_INVALID, "at character 1003\n  ...");
    assert_true(strlen(error.message) < 300);
    const char *line = strchr(error.message, '\n') + 1, *caret = strchr(line, '\n') + 1;
    assert_int_equal(line[strcspn(caret, "^")], ')');
}

static void control_characters_are_not_shown(void **state)
{
    (void)state;
    kith_error error = { 0 };
    struct kt_expr *expr = NULL;
    assert_int_equal(kt_expr_parse("\t'\033[31m' b", NULL, 0, &expr, &error), KITH_INVALID);
    assert_null(strchr(error.message, '\033'));
    assert_null(strchr(error.message, '\t'));
}

/* ---- limits ---- */

static void assert_repeated_refused(const char *before, const char *piece, size_t count, const char *after,
                                    const char *words)
{
    char *text = repeated(before, piece, count, after);
    assert_refused(text, words);
    kt_free(text);
}

static void assert_repeated_read(const char *before, const char *piece, size_t count, const char *after)
{
    char *text = repeated(before, piece, count, after);
    struct kt_expr *expr = parse(text);
    assert_comes_back(expr);
    kt_expr_release(expr);
    kt_free(text);
}

static void what_is_beyond_a_limit_is_refused_in_words(void **state)
{
    (void)state;
    assert_repeated_read("a", " ", KT_FILTER_TEXT - 1, "");
    assert_repeated_refused("a", " ", KT_FILTER_TEXT, "", "at most 65536 are read");
    assert_repeated_read("a", " + a", KT_FILTER_DEPTH - 1, "");
    assert_repeated_refused("a", " + a", KT_FILTER_DEPTH, "", "nested deeper than 100 levels");
    assert_repeated_read("coalesce(a", ",a", KT_FILTER_NODES - 2, ")");
    assert_repeated_refused("coalesce(a", ",a", KT_FILTER_NODES - 1, ")", "more than 10000 columns");
    assert_repeated_read("a", " OR a", KT_FILTER_NODES - 2, "");
    assert_repeated_refused("a", " OR a", KT_FILTER_NODES - 1, "", "more than 10000 columns");
    assert_repeated_read("a IN (1", ",1", 20000, ")");
    assert_repeated_refused("", "(", 5000, "a", "nested too deeply");
    assert_repeated_refused("", "NOT ", 5000, "a", "nested");
    assert_repeated_refused("", "a[", 5000, "a", "nested");
    assert_repeated_refused("a = '", "x", KT_FILTER_PATTERN, "' OR a LIKE b OR a LIKE 'y", "has no end");
    assert_repeated_read("a LIKE '", "x", KT_FILTER_PATTERN, "'");
    assert_repeated_refused("a LIKE '", "x", KT_FILTER_PATTERN + 1, "'", "at most 1024");
    assert_repeated_refused("regexp_like(a, '", "x", KT_FILTER_PATTERN + 1, "')", "at most 1024");
}

/* Each BETWEEN holds its left side twice: a hundred of them would be 2^100 nodes. */
static void sharing_does_not_get_around_a_limit(void **state)
{
    (void)state;
    assert_repeated_refused("", "(", 30, "a", "expected");
    char *text = repeated("((((((((((((((((((((a", " BETWEEN 1 AND 2)", 20, "");
    assert_refused(text, "more than 10000 columns");
    kt_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_read),
        cmocka_unit_test(operators_bind_as_in_sqlite),
        cmocka_unit_test(literals_have_the_kind_they_are_written_as),
        cmocka_unit_test(words_that_are_no_operators_name_columns),
        cmocka_unit_test(nodes_remember_where_they_were_written),
        cmocka_unit_test(random_trees_come_back),
        cmocka_unit_test(a_zero_byte_in_a_text_cannot_be_written),
        cmocka_unit_test(chains_are_one_node_however_long),
        cmocka_unit_test(a_shared_chain_is_not_lengthened),
        cmocka_unit_test(literals_of_in_are_one_list),
        cmocka_unit_test(functions_are_called_by_any_of_their_names),
        cmocka_unit_test(types_have_the_names_of_sql_and_of_arrow),
        cmocka_unit_test(parameters_are_values_and_never_text),
        cmocka_unit_test(a_bound_list_is_one_node),
        cmocka_unit_test(every_parameter_is_used_and_every_mark_has_one),
        cmocka_unit_test(what_is_wrong_is_told_where_it_is),
        cmocka_unit_test(of_a_long_line_the_part_that_matters_is_shown),
        cmocka_unit_test(control_characters_are_not_shown),
        cmocka_unit_test(what_is_beyond_a_limit_is_refused_in_words),
        cmocka_unit_test(sharing_does_not_get_around_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
