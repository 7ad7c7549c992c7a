/* Expressions through the public contract: three doors to one tree, and values that are never read as text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kith.h"

static kith_error error;

static void assert_sql(kith_expr *expr, const char *expected)
{
    char *text = NULL;
    if (kith_expr_to_sql(expr, &text, &error)) fail_msg("%s", error.message);
    assert_string_equal(text, expected);
    kith_text_free(text);
    kith_expr_free(expr);
}

static kith_value text_value(const char *name, const char *text)
{
    return (kith_value){ .name = name, .type = KITH_VALUE_TEXT, .text = text, .size = strlen(text) };
}

static void sql_with_values(void **state)
{
    (void)state;
    kith_value tags[] = { text_value(NULL, "a"), text_value(NULL, "it's"), { .type = KITH_VALUE_NULL } };
    kith_value values[] = {
        { .type = KITH_VALUE_FLOAT, .number = 9.5 },
        { .name = "tags", .type = KITH_VALUE_LIST, .items = tags, .size = 3 },
        text_value(NULL, "'; drop table x --"),
    };
    kith_expr *expr = NULL;
    if (kith_expr_sql("price < ? AND tag IN (:tags) OR name = ?", values, 3, &expr, &error))
        fail_msg("%s", error.message);
    assert_sql(expr, "price < 9.5 AND tag IN ('a', 'it''s', NULL) OR name = '''; drop table x --'");
}

static void json(void **state)
{
    (void)state;
    kith_expr *expr = NULL;
    if (kith_expr_json("{\"price\": {\"$lt\": 9.5}, \"tag\": {\"$ne\": \"a\"}}", &expr, &error))
        fail_msg("%s", error.message);
    assert_sql(expr, "price < 9.5 AND tag IS DISTINCT FROM 'a'");
}

static void builders_leave_their_arguments_to_the_caller(void **state)
{
    (void)state;
    kith_value three = { .type = KITH_VALUE_INT, .integer = 3 }, name = text_value(NULL, "double");
    kith_expr *column = NULL, *value = NULL, *more = NULL, *both = NULL, *type = NULL, *cast = NULL;
    assert_int_equal(kith_expr_column("a.b", &column, &error), KITH_OK);
    assert_int_equal(kith_expr_literal(&three, &value, &error), KITH_OK);
    assert_int_equal(kith_expr_literal(&name, &type, &error), KITH_OK);
    assert_int_equal(kith_expr_call(">", (kith_expr *[]){ column, value }, 2, &more, &error), KITH_OK);
    assert_int_equal(kith_expr_call("and", (kith_expr *[]){ more, more }, 2, &both, &error), KITH_OK);
    assert_int_equal(kith_expr_call("cast", (kith_expr *[]){ column, type }, 2, &cast, &error), KITH_OK);
    assert_sql(cast, "CAST(a.b AS double)");
    assert_sql(both, "a.b > 3 AND a.b > 3");
    assert_sql(more, "a.b > 3");
    assert_sql(value, "3");
    assert_sql(column, "a.b");
    kith_expr_free(type);
    kith_expr_free(NULL);
}

static void every_kind_of_value(void **state)
{
    (void)state;
    const struct {
        kith_value value;
        const char *sql;
    } kinds[] = {
        { { .type = KITH_VALUE_NULL }, "NULL" },
        { { .type = KITH_VALUE_BOOL, .integer = 1 }, "TRUE" },
        { { .type = KITH_VALUE_INT, .integer = INT64_MIN }, "-9223372036854775808" },
        { { .type = KITH_VALUE_UINT, .natural = UINT64_MAX }, "18446744073709551615" },
        { { .type = KITH_VALUE_UINT, .natural = 7 }, "7" },
        { { .type = KITH_VALUE_FLOAT, .number = 0.1 }, "0.1" },
        { { .type = KITH_VALUE_DECIMAL, .text = "-12.50" }, "decimal '-12.50'" },
        { { .type = KITH_VALUE_TEXT, .text = NULL, .size = 0 }, "''" },
        { { .type = KITH_VALUE_BYTES, .text = "\0\xff", .size = 2 }, "X'00FF'" },
        { { .type = KITH_VALUE_DATE, .integer = 19782 }, "date '2024-02-29'" },
        { { .type = KITH_VALUE_TIME, .integer = 1500000 }, "time '00:00:01.500000'" },
        { { .type = KITH_VALUE_TIMESTAMP, .integer = -1 }, "timestamp '1969-12-31 23:59:59.999999'" },
        { { .type = KITH_VALUE_TIMESTAMP_UTC, .integer = 0 }, "timestamp '1970-01-01 00:00:00Z'" },
        { { .type = KITH_VALUE_INTERVAL, .integer = 1000001 }, "interval '1 seconds 1 microseconds'" },
        { { .type = KITH_VALUE_LIST }, "[]" },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        kith_expr *expr = NULL;
        if (kith_expr_literal(&kinds[i].value, &expr, &error)) fail_msg("%s", error.message);
        assert_sql(expr, kinds[i].sql);
    }
}

static void assert_literal_refused(kith_value value, const char *words)
{
    kith_expr *expr = NULL;
    assert_int_equal(kith_expr_literal(&value, &expr, &error), KITH_INVALID);
    if (!strstr(error.message, words)) fail_msg("\"%s\" does not say \"%s\"", error.message, words);
    assert_null(expr);
}

static void what_is_wrong_is_told(void **state)
{
    (void)state;
    kith_value inner = { .type = KITH_VALUE_LIST };
    kith_expr *expr = NULL;
    assert_literal_refused((kith_value){ .type = KITH_VALUE_DECIMAL, .text = "1e5" }, "no decimal");
    assert_literal_refused((kith_value){ .type = KITH_VALUE_DECIMAL }, "is missing");
    assert_literal_refused((kith_value){ .type = KITH_VALUE_TEXT, .text = "\xff", .size = 1 }, "not UTF-8");
    assert_literal_refused((kith_value){ .type = KITH_VALUE_TEXT, .size = 1 }, "is missing");
    assert_literal_refused((kith_value){ .type = KITH_VALUE_TIME, .integer = -1 }, "not within a day");
    assert_literal_refused((kith_value){ .type = KITH_VALUE_DATE, .integer = INT64_MAX }, "2^31 days");
    assert_literal_refused((kith_value){ .type = KITH_VALUE_LIST, .items = &inner, .size = 1 }, "hold lists");
    assert_literal_refused((kith_value){ .type = KITH_VALUE_LIST, .items = &inner, .size = 100001 },
                           "longer");
    assert_literal_refused((kith_value){ .type = (kith_value_type)99 }, "no kith_value_type");
    assert_int_equal(kith_expr_column("a.", &expr, &error), KITH_INVALID);
    assert_int_equal(kith_expr_column(NULL, &expr, &error), KITH_INVALID);
    assert_int_equal(kith_expr_sql(NULL, NULL, 0, &expr, &error), KITH_INVALID);
    assert_int_equal(kith_expr_sql("a = ?", NULL, 1, &expr, &error), KITH_INVALID);
    assert_int_equal(kith_expr_sql("a =", NULL, 0, &expr, NULL), KITH_INVALID);
    assert_int_equal(kith_expr_json("{", &expr, NULL), KITH_INVALID);
    assert_int_equal(kith_expr_call("lowr", NULL, 0, &expr, &error), KITH_INVALID);
    assert_non_null(strstr(error.message, "near names: \"lower\""));
    assert_int_equal(kith_expr_call("not", (kith_expr *[]){ NULL }, 1, &expr, &error), KITH_INVALID);
    assert_null(expr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sql_with_values),
        cmocka_unit_test(json),
        cmocka_unit_test(builders_leave_their_arguments_to_the_caller),
        cmocka_unit_test(every_kind_of_value),
        cmocka_unit_test(what_is_wrong_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
