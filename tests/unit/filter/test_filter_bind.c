/* A tree meets a schema: names are found or near ones told, types settled or both named with the place, what
 * is constant is folded, what is cheap comes first, and what an index could answer is said. */
#include "unit/filter/filter_rows.h"

static kith_status try_bind(const char *text, const struct kt_schema *schema, bool predicate,
                            kith_error *error)
{
    struct kt_filter *filter = NULL;
    struct kt_expr *expr = rows_parse(text);
    kith_status status = kt_filter_bind(expr, schema, predicate, &filter, error);
    kt_filter_free(filter);
    kt_expr_release(expr);
    return status;
}

struct refusal {
    const char *text;
    kith_status status;
    const char *words;
};

static void assert_all_refused(const struct refusal *refusals, size_t count)
{
    struct kt_schema *schema = rows_schema();
    for (size_t i = 0; i < count; i++) {
        kith_error error = { 0 };
        if (try_bind(refusals[i].text, schema, true, &error) == KITH_OK)
            fail_msg("%s is fine", refusals[i].text);
        if (!strstr(error.message, refusals[i].words) || error.status != refusals[i].status)
            fail_msg("%s\n%s\ndoes not say %s", refusals[i].text, error.message, refusals[i].words);
    }
    kt_schema_release(schema);
}

static void names_are_found_or_near_ones_told(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        { "pryce > 3", KITH_NOT_FOUND, "there is no column \"pryce\"; near names: \"price\"" },
        { "flag AND zzzzzz = 3", KITH_NOT_FOUND, "there is no column \"zzzzzz\"; there are i8, i16" },
        { "zzzzzz = 3", KITH_NOT_FOUND, " more" },
        { "record.bb = 'x'", KITH_NOT_FOUND, "\"record\" has no field \"bb\"; there are a, b, c" },
        { "record.c.x = 1", KITH_NOT_FOUND, "\"c\" has no field \"x\"" },
        { "i32.a = 1", KITH_TYPE, "\"i32\" is int32, which has no field \"a\"" },
        { "record['zz'] = 1", KITH_NOT_FOUND, "has no field \"zz\"" },
        { "_distance < 0.5", KITH_NOT_FOUND, "distances come after; a distance range bounds them" },
        { "\"fizz\".a = 1", KITH_NOT_FOUND, "there is no column \"fizz\"" },
    };
    assert_all_refused(refusals, sizeof refusals / sizeof refusals[0]);
    struct kt_schema *schema = rows_schema();
    static const char *const fine[] = { "I8 = 1",          "Record.A = 1",         "\"Text\" = 'a'",
                                        "text = \"fizz\"", "\"fizz\" = text",      "_RowId = 3",
                                        "record['a'] = 1", "text IN (\"a\", 'b')", "record.c.D > 1" };
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        assert_ok(try_bind(fine[i], schema, true, &oops));
    kt_schema_release(schema);
}

static void a_name_that_differs_in_case_only_must_be_one(void **state)
{
    (void)state;
    static char lower[] = "ab", upper[] = "AB";
    struct kt_field fields[] = { sample_field(lower, KT_INT32), sample_field(upper, KT_UTF8) };
    struct kt_schema *schema = NULL;
    kith_error error = { 0 };
    assert_ok(kt_schema_new(fields, 2, NULL, &schema, &oops));
    assert_ok(try_bind("ab = 1 AND AB = 'x'", schema, true, &oops));
    assert_int_equal(try_bind("Ab = 1", schema, true, &error), KITH_INVALID);
    assert_says(&error, KITH_INVALID, "may mean several columns");
    kt_schema_release(schema);
}

static void types_that_do_not_meet_are_both_named_with_the_place(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        { "text = 3", KITH_TYPE, "= does not go with string and int64" },
        { "flag AND text > i32", KITH_TYPE, "> does not go with string and int32" },
        { "flag AND text > i32", KITH_TYPE, "         ^" },
        { "day = 3", KITH_TYPE, "date32 and int64" },
        { "clock = timestamp '2024-01-01 00:00:00'", KITH_TYPE, "time32[ms] and timestamp[us]" },
        { "lasting > interval '1 month'", KITH_TYPE, "duration[us] and interval" },
        { "flag = 1.5", KITH_TYPE, "bool and double" },
        { "flag = 'maybe'", KITH_INVALID, "'maybe' cannot be read as bool" },
        { "i32 = 'three'", KITH_INVALID, "'three' cannot be read as int32" },
        { "i32 IN (1, 'three')", KITH_INVALID, "'three' cannot be read as int32" },
        { "day > '2023-02-29'", KITH_INVALID, "'2023-02-29' cannot be read as date32" },
        { "stamp > 'soon'", KITH_INVALID, "cannot be read as timestamp[us]" },
        { "text = X'00'", KITH_TYPE, "string and binary" },
        { "numbers = 3", KITH_TYPE, "list<int32> and int64" },
        { "vector = 3", KITH_TYPE, "\"vector\" is a vector, which a filter cannot look into" },
        { "vector[1] > 3", KITH_TYPE, "is a vector" },
        { "array_length(vector) > 3", KITH_TYPE, "is a vector" },
        { "record = 'x'", KITH_TYPE, "\"record\" is a struct; name one of its fields, as \"record.a\"" },
        { "i32 = [1, 2]", KITH_TYPE, "= takes one value here, not a list; IN takes lists" },
        { "text LIKE [1]", KITH_TYPE, "not a list" },
        { "i32 + text > 3", KITH_TYPE, "+ does not go with int32 and string" },
        { "i32 + 'x' > 3", KITH_INVALID, "'x' cannot be read as int32" },
        { "day * 2 = day", KITH_TYPE, "* does not go with date32 and int64" },
        { "i32 AND flag", KITH_TYPE, "AND takes true or false, this is int32" },
        { "NOT text", KITH_TYPE, "NOT takes true or false" },
        { "i32", KITH_TYPE, "a filter must be true or false, this is int32" },
        { "'text'", KITH_TYPE, "a filter must be true or false, this is string" },
        { "i32 LIKE 'a'", KITH_TYPE, "LIKE takes text, this is int32" },
        { "lower(i32) = 'a'", KITH_TYPE, "lower takes text, this is int32" },
        { "substr(text, 'a') = 'a'", KITH_INVALID, "cannot be cast to int64" },
        { "substr(text, f64) = 'a'", KITH_TYPE, "an integer, this is double" },
        { "abs(text) > 1", KITH_TYPE, "abs takes a number, this is string" },
        { "length(i32) = 1", KITH_TYPE, "length takes text, binary or a list" },
        { "array_has(text, 'a')", KITH_TYPE, "takes a list, this is string" },
        { "array_has(numbers, 'a')", KITH_INVALID, "'a' cannot be read as int32" },
        { "array_has_any(numbers, labels)", KITH_TYPE, "does not go with list<int32> and list<string>" },
        { "coalesce(i32, text) = 'a'", KITH_TYPE, "coalesce does not go with int32 and string" },
        { "CASE WHEN flag THEN 1 ELSE text END = 1", KITH_TYPE, "CASE does not go with" },
        { "CASE WHEN i32 THEN 1 END = 1", KITH_TYPE, "CASE takes true or false" },
        { "cast(day AS int) = 1", KITH_TYPE, "date32 cannot be cast to int32" },
        { "cast(numbers AS varchar) = 'a'", KITH_TYPE, "list<int32> cannot be cast to string" },
        { "date_part('era', day) = 1", KITH_INVALID, "there is no part \"era\"" },
        { "date_part('year', clock) = 1", KITH_TYPE, "time32[ms] has no part \"year\"" },
        { "date_part(text, day) = 1", KITH_TYPE, "the name of a part first" },
        { "regexp_like(text, text)", KITH_INVALID, "must be written down" },
        { "text LIKE 'a!' ESCAPE '!'", KITH_INVALID, "ends with its escape character" },
        { "text LIKE 'a' ESCAPE 'ab'", KITH_INVALID, "must be one character" },
        { "9223372036854775807 + 1 > i32", KITH_INVALID, "9223372036854775807 + 1 is beyond int64" },
        { "cast('x' AS int) = i32", KITH_INVALID, "'x' cannot be cast to int32" },
        { "interval '1 day' = 3", KITH_TYPE, "interval" },
        { "i32 = interval '1 day'", KITH_TYPE, "int32 and interval" },
    };
    assert_all_refused(refusals, sizeof refusals / sizeof refusals[0]);
    struct kt_schema *schema = rows_schema();
    kith_error error = { 0 };
    assert_int_equal(try_bind("interval '1 day'", schema, false, &error), KITH_TYPE);
    assert_ok(try_bind("vector", schema, false, &oops));
    assert_ok(try_bind("vector IS NOT NULL AND record IS NULL", schema, true, &oops));
    kt_schema_release(schema);
}

static void bad_regular_expressions_are_told_with_their_place(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        { "regexp_like(text, 'a(b')", KITH_INVALID, "at its character 4: a parenthesis is not closed" },
        { "regexp_like(text, 'ab)')", KITH_INVALID, "at its character 3: a parenthesis is closed" },
        { "regexp_like(text, '\xc3\xa4[b')", KITH_INVALID, "at its character 4: a bracket is not closed" },
        { "regexp_like(text, '*a')", KITH_INVALID, "at its character 1: there is nothing to repeat" },
        { "regexp_like(text, 'a**')", KITH_INVALID, "a repetition is repeated" },
        { "regexp_like(text, 'a{3,2}')", KITH_INVALID, "ends before it begins" },
        { "regexp_like(text, 'a{2000}')", KITH_INVALID, "more than 1000" },
        { "regexp_like(text, '((a{900}){900}){900}')", KITH_INVALID, "too many states" },
        { "regexp_like(text, '(((){900}){900}){900}')", KITH_INVALID, "too many states" },
        { "regexp_like(text, 'a\\')", KITH_INVALID, "it ends with a backslash" },
        { "regexp_like(text, '\\1')", KITH_INVALID, "there is no such escape" },
        { "regexp_like(text, '(?=a)')", KITH_INVALID, "a group begins with what is not known" },
        { "regexp_like(text, '[z-a]')", KITH_INVALID, "a range of characters ends before it begins" },
        { "regexp_like(text, '\\x{110000}')", KITH_INVALID, "hexadecimal" },
    };
    assert_all_refused(refusals, sizeof refusals / sizeof refusals[0]);
}

/* ---- what it became ---- */

static void assert_tells(const char *text, const char *told)
{
    struct kt_schema *schema = rows_schema();
    struct kt_filter *filter = rows_bind(text, schema, true);
    struct kt_buffer out = { 0 };
    assert_ok(kt_filter_tell(filter, &out, &oops));
    assert_true(kt_buffer_append(&out, "", 1));
    if (strcmp((const char *)out.data, told) != 0)
        fail_msg("%s\nis told as\n%s\nnot as\n%s", text, out.data, told);
    kt_buffer_release(&out);
    kt_filter_free(filter);
    kt_schema_release(schema);
}

static void constants_are_folded(void **state)
{
    (void)state;
    assert_tells("i32 > 1 + 2 * 3", "i32 > 7");
    assert_tells("3 < i32", "i32 > 3");
    assert_tells("text = lower('ABC') || 'd'", "text = 'abcd'");
    assert_tells("i32 > 1 AND 1 = 1", "i32 > 1");
    assert_tells("i32 > 1 OR 2 > 1", "TRUE");
    assert_tells("i32 > 1 AND NULL > 3 AND false", "FALSE");
    assert_tells("i32 IN ()", "FALSE");
    assert_tells("NOT i32 IN ()", "TRUE");
    assert_tells("i32 = NULL", "NULL");
    assert_tells("i32 IS DISTINCT FROM NULL", "i32 IS NOT NULL");
    assert_tells("nothing = 3", "NULL");
    assert_tells("day > date '2024-01-31' + interval '1 month' AND flag",
                 "flag AND day > timestamp '2024-02-29 00:00:00'");
    assert_tells("regexp_like('abc', 'b') AND flag", "flag");
    assert_tells("i32 BETWEEN 5 AND 7", "i32 >= 5 AND i32 <= 7");
}

/* `now()` is one moment for all rows. */
static void now_is_now(void **state)
{
    (void)state;
    static uint64_t bits[1];
    struct kt_schema *schema = rows_schema();
    struct kt_filter *filter =
        rows_bind("now() > timestamp '2024-01-01 00:00:00' AND now() < date '2200-01-01'", schema, true);
    struct kt_arena scratch = { 0 };
    assert_ok(kt_filter_eval(filter, &(struct kt_filter_rows){ .count = 64 }, NULL, &scratch, bits, &oops));
    assert_int_equal(bits[0], UINT64_MAX);
    kt_arena_release(&scratch);
    kt_filter_free(filter);
    kt_schema_release(schema);
}

static void the_cheap_and_selective_comes_first(void **state)
{
    (void)state;
    assert_tells("text LIKE '%a%' AND i32 = 5", "i32 = 5 AND text LIKE '%a%'");
    assert_tells("regexp_like(text, 'a') AND text = 'b' AND i32 > 5 AND word = 'x'",
                 "word = 'x' AND i32 > 5 AND text = 'b' AND regexp_like(text, 'a')");
    assert_tells("i32 > 5 AND flag AND i32 <= 9", "flag AND i32 > 5 AND i32 <= 9"); /* two ranges are one */
    /* what may fail stays behind its guard */
    assert_tells("text LIKE '%a%' AND i64 * i64 > 5", "text LIKE '%a%' AND i64 * i64 > 5");
    assert_tells("i64 * i64 > 5 AND text LIKE '%a%'", "i64 * i64 > 5 AND text LIKE '%a%'");
    assert_tells("regexp_like(text, 'a') OR i32 > 3", "i32 > 3 OR regexp_like(text, 'a')");
}

static void columns_are_those_that_are_read(void **state)
{
    (void)state;
    uint32_t count;
    struct kt_schema *schema = rows_schema();
    struct kt_filter *filter =
        rows_bind("word = 'a' AND i8 > 1 AND record.c.d > 2 AND i8 < _rowid", schema, true);
    const uint32_t *columns = kt_filter_columns(filter, &count);
    assert_int_equal(count, 3);
    assert_string_equal(schema->fields[columns[0]].name, "i8");
    assert_string_equal(schema->fields[columns[1]].name, "word");
    assert_string_equal(schema->fields[columns[2]].name, "record");
    kt_filter_free(filter);
    filter = rows_bind("i32 > 1 AND false", schema, true);
    kt_filter_columns(filter, &count);
    assert_int_equal(count, 0);
    kt_filter_free(filter);
    kt_schema_release(schema);
}

/* ---- what an index may answer ---- */

/* The probes of a text, one after another: "column kind low high" with ( and [ as mathematicians write them.
 */
static void show_value(const struct kt_value *value, struct kt_buffer *out)
{
    if (value->kind == KT_VALUE_NULL)
        kt_buffer_text(out, "..");
    else
        assert_ok(kt_value_to_sql(value, out, &oops));
}

static void assert_probes(const char *text, const char *wanted)
{
    static const char *const kinds[] = { "range", "in", "null", "any", "all" };
    uint32_t count;
    struct kt_schema *schema = rows_schema();
    struct kt_filter *filter = rows_bind(text, schema, true);
    const struct kt_probe *probes = kt_filter_probes(filter, &count);
    struct kt_buffer out = { 0 };
    for (uint32_t i = 0; i < count; i++) {
        bool is_id = probes[i].column == KT_PROBE_ROW_ID;
        const struct kt_field *field = is_id ? NULL : &schema->fields[probes[i].column];
        kt_buffer_text(&out, "%s%s", i ? "; " : "", is_id ? "_rowid" : field->name);
        for (uint32_t s = 0; s < probes[i].step_count; s++) {
            field = &field->children[probes[i].steps[s]];
            kt_buffer_text(&out, ".%s", field->name);
        }
        kt_buffer_text(&out, " %s", kinds[probes[i].kind]);
        if (probes[i].kind == KT_PROBE_RANGE) {
            kt_buffer_text(&out, " %c", probes[i].low_open ? '(' : '[');
            show_value(&probes[i].low, &out);
            kt_buffer_text(&out, ", ");
            show_value(&probes[i].high, &out);
            kt_buffer_text(&out, "%c", probes[i].high_open ? ')' : ']');
        } else if (probes[i].kind != KT_PROBE_NULL) {
            kt_buffer_text(&out, " ");
            assert_ok(kt_value_to_sql(&probes[i].values, &out, &oops));
        }
    }
    assert_true(kt_buffer_append(&out, "", 1));
    if (strcmp((const char *)out.data, wanted) != 0) fail_msg("%s\nhas %s\nnot %s", text, out.data, wanted);
    kt_buffer_release(&out);
    kt_filter_free(filter);
    kt_schema_release(schema);
}

static void conjuncts_over_one_column_are_probes(void **state)
{
    (void)state;
    assert_probes("i32 = 3", "i32 range [3, 3]");
    assert_probes("i32 > 3", "i32 range [4, ..]");
    assert_probes("i32 > 3 AND i32 < 2.5", "");
    assert_probes("i32 >= 3 AND flag AND 9 > i32", "flag range [TRUE, TRUE]; i32 range [3, 8]");
    assert_probes("i32 <> 3", "");
    assert_probes("i32 > 3 OR flag", "");
    assert_probes("f64 > 2.5", "f64 range (2.5, ..]");
    assert_probes("f64 < 2.5", "f64 range [.., 2.5)");
    assert_probes("f64 = cast('nan' AS double)", "f64 range (float 'inf', ..]");
    assert_probes("text >= 'a' AND text < 'b'", "text range ['a', 'b')");
    assert_probes("text LIKE 'ab%'", "text range ['ab', 'ac')");
    assert_probes("text LIKE 'ab'", "text range ['ab', 'ab']");
    assert_probes("text LIKE '%ab'", "");
    assert_probes("starts_with(text, 'ab')", "text range ['ab', 'ac')");
    assert_probes("word IN ('b', 'a', 'b', NULL)", "word in ['a', 'b']");
    assert_probes("i32 IN (3, 2.5, 1, '2')", "i32 in [1, 2, 3]");
    assert_probes("i8 IN (300)", "i8 in []");
    assert_probes("price = 1.5", "price range [decimal '1.50', decimal '1.50']");
    assert_probes("day > '2024-02-29'", "day range [19783, ..]"); /* in units of the column */
    assert_probes("seconds >= '1970-01-01 00:00:01.5'", "seconds range [2, ..]");
    assert_probes("i32 IS NULL", "i32 null");
    assert_probes("record.a = 3", "record.a range [3, 3]");
    assert_probes("record.c.d IS NULL", "record.c.d null");
    assert_probes("array_has(labels, 'x')", "labels any ['x']");
    assert_probes("array_has_any(labels, ['y', 'x'])", "labels any ['x', 'y']");
    assert_probes("array_has_all(numbers, [2, 1])", "numbers all [1, 2]");
    assert_probes("array_has_all(numbers, [2, 2.5])", "");
    assert_probes("i32 IS NOT DISTINCT FROM 3", "i32 range [3, 3]");
    assert_probes("(i32 = 3) IS TRUE", "i32 range [3, 3]");
    assert_probes("NOT flag", "");
    assert_probes("_rowid = 3", "_rowid range [3, 3]");
    assert_probes("_rowid IN (3, 9) AND _rowid > 3", "_rowid range [4, ..]; _rowid in [3, 9]");
    assert_probes("_rowid IS NULL", "");
}

static void what_an_index_answered_is_not_asked_again(void **state)
{
    (void)state;
    static uint64_t all[16], rest[16], only[16];
    uint32_t count;
    struct kt_random random = sample_random();
    struct kt_schema *schema = rows_schema();
    struct kt_batch *batch = rows_batch(&random, schema, 1000);
    struct kt_filter *filter = rows_bind("i8 > 1 AND text >= 'a' AND u16 + i16 > 3", schema, true);
    struct kt_array room[ROWS_COLUMNS];
    struct kt_filter_rows rows = rows_of(filter, batch, room);
    struct kt_arena scratch = { 0 };
    const struct kt_probe *probes = kt_filter_probes(filter, &count);
    assert_int_equal(count, 2);
    uint32_t i8 = strcmp(schema->fields[probes[0].column].name, "i8") == 0 ? 0 : 1;
    assert_ok(kt_filter_eval(filter, &rows, NULL, &scratch, all, &oops));
    assert_true(rows_eval("i8 > 1", batch, NULL, only));
    assert_ok(kt_filter_eval_rest(filter, UINT64_C(1) << i8, &rows, only, &scratch, rest, &oops));
    assert_memory_equal(all, rest, sizeof all);
    assert_ok(kt_filter_eval_rest(filter, UINT64_C(1) << i8, &rows, NULL, &scratch, rest, &oops));
    assert_true(rows_eval("text >= 'a' AND u16 + i16 > 3", batch, NULL, only));
    assert_memory_equal(only, rest, sizeof only);
    kt_arena_release(&scratch);
    kt_filter_free(filter);
    kt_batch_release(batch);
    kt_schema_release(schema);
}

/* A name for each value, many of them: a set of 100,000 is one node. */
static void long_lists_are_sets(void **state)
{
    (void)state;
    enum { VALUES = 100000 };
    static uint64_t bits[4];
    struct kt_value list = { .kind = KT_VALUE_LIST, .count = VALUES };
    list.items = kt_alloc_zero(VALUES, sizeof *list.items);
    for (int i = 0; i < VALUES; i++)
        list.items[i] = (struct kt_value){ .kind = KT_VALUE_INT, .integer = 3 * i };
    struct kt_expr *expr = NULL;
    struct kt_filter *filter = NULL;
    struct kt_schema *schema = rows_schema();
    struct kt_parameter parameter = { NULL, list };
    assert_ok(kt_expr_parse("i64 IN (?)", &parameter, 1, &expr, &oops));
    assert_ok(kt_filter_bind(expr, schema, true, &filter, &oops));
    int64_t values[256];
    for (int i = 0; i < 256; i++) values[i] = i * 1001;
    struct kt_array column = { .field = &schema->fields[kt_schema_find(schema, "i64")],
                               .length = 256,
                               .values = (uint8_t *)values };
    struct kt_arena scratch = { 0 };
    assert_ok(kt_filter_eval(filter, &(struct kt_filter_rows){ .columns = &column, .count = 256 }, NULL,
                             &scratch, bits, &oops));
    for (int i = 0; i < 256; i++)
        assert_int_equal(bit_of(bits, i), values[i] % 3 == 0 && values[i] < 3 * VALUES);
    kt_arena_release(&scratch);
    kt_filter_free(filter);
    kt_expr_release(expr);
    kt_value_release(&list);
    kt_schema_release(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_or_near_ones_told),
        cmocka_unit_test(a_name_that_differs_in_case_only_must_be_one),
        cmocka_unit_test(types_that_do_not_meet_are_both_named_with_the_place),
        cmocka_unit_test(bad_regular_expressions_are_told_with_their_place),
        cmocka_unit_test(constants_are_folded),
        cmocka_unit_test(now_is_now),
        cmocka_unit_test(the_cheap_and_selective_comes_first),
        cmocka_unit_test(columns_are_those_that_are_read),
        cmocka_unit_test(conjuncts_over_one_column_are_probes),
        cmocka_unit_test(what_an_index_answered_is_not_asked_again),
        cmocka_unit_test(long_lists_are_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
