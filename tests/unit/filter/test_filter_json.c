/* The JSON doors: each filter beside the SQL that means the same. */
#include "unit/filter/filter_doors.h"

struct pair {
    const char *json, *sql;
};

static void assert_same(const struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct kt_expr *expr = from_json(pairs[i].json), *sql = parse(pairs[i].sql);
        char *text = to_sql(expr);
        if (!same_tree(expr, sql)) fail_msg("%s\nis %s", pairs[i].json, text);
        assert_comes_back(expr);
        kt_free(text);
        kt_expr_release(sql);
        kt_expr_release(expr);
    }
}

static void mongo_and_chroma(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        { "{}", "TRUE" },
        { "{\"a\": 1}", "a = 1" },
        { "{\"a\": \"x\", \"b\": true, \"c\": 1.5}", "a = 'x' AND b = TRUE AND c = 1.5" },
        { "{\"a\": null}", "a IS NULL" },
        { "{\"a\": {\"$eq\": 1}}", "a = 1" },
        { "{\"a\": {\"$eq\": null}}", "a IS NULL" },
        { "{\"a\": {\"$ne\": 1}}", "a IS DISTINCT FROM 1" },
        { "{\"a\": {\"$ne\": null}}", "a IS NOT NULL" },
        { "{\"a\": {\"$gt\": 1, \"$lte\": 5}}", "a > 1 AND a <= 5" },
        { "{\"a\": {\"$gte\": 1}, \"b\": {\"$lt\": \"x\"}}", "a >= 1 AND b < 'x'" },
        { "{\"a\": {\"$gt\": null}}", "a > NULL" },
        { "{\"a\": {\"$in\": [1, \"x\", true]}}", "a IN (1, 'x', TRUE)" },
        { "{\"a\": {\"$in\": []}}", "a IN ()" },
        { "{\"a\": {\"$in\": [1, null]}}", "a IS NULL OR a IN (1)" },
        { "{\"a\": {\"$nin\": [1]}}", "(a IN (1)) IS NOT TRUE" },
        { "{\"a\": {\"$nin\": [null]}}", "(a IS NULL OR a IN ()) IS NOT TRUE" },
        { "{\"a\": {\"$contains\": \"x\"}}", "contains(a, 'x')" },
        { "{\"a\": {\"$not_contains\": \"x\"}}", "contains(a, 'x') IS NOT TRUE" },
        { "{\"a\": {\"$exists\": true}}", "a IS NOT NULL" },
        { "{\"a\": {\"$exists\": false}}", "a IS NULL" },
        { "{\"a\": {\"$not\": {\"$gt\": 1, \"$lt\": 5}}}", "(a > 1 AND a < 5) IS NOT TRUE" },
        { "{\"$and\": [{\"a\": 1}, {\"b\": 2}]}", "a = 1 AND b = 2" },
        { "{\"$and\": [{\"a\": 1}]}", "a = 1" },
        { "{\"$or\": [{\"a\": 1}, {\"b\": 2, \"c\": 3}], \"d\": 4}", "(a = 1 OR b = 2 AND c = 3) AND d = 4" },
        { "{\"$nor\": [{\"a\": 1}, {\"b\": 2}]}", "(a = 1 OR b = 2) IS NOT TRUE" },
        { "{\"$not\": {\"a\": 1}}", "(a = 1) IS NOT TRUE" },
        { "{\"a.b\": 1}", "a.b = 1" },
        { "{\"a b\": 1}", "`a b` = 1" },
        { "{\"operator\": \"x\"}", "operator = 'x'" },
        { "{\"a\": \"x' OR 1=1; --\"}", "a = 'x'' OR 1=1; --'" },
        { "{\"a\": \"gr\\u00f6\\u00dfe\"}", "a = 'größe'" },
        { "{\"a\": -9223372036854775808}", "a = -9223372036854775808" },
    };
    assert_same(pairs, sizeof pairs / sizeof pairs[0]);
}

static void haystack(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        { "{\"field\": \"meta.a\", \"operator\": \"==\", \"value\": \"x\"}", "a = 'x'" },
        { "{\"field\": \"id\", \"operator\": \"!=\", \"value\": \"x\"}", "id IS DISTINCT FROM 'x'" },
        { "{\"field\": \"meta.a\", \"operator\": \"==\", \"value\": null}", "a IS NULL" },
        { "{\"field\": \"meta.a\", \"operator\": \"!=\", \"value\": null}", "a IS NOT NULL" },
        { "{\"field\": \"meta.a.b\", \"operator\": \">\", \"value\": 1}", "a.b > 1" },
        { "{\"field\": \"meta.a\", \"operator\": \">=\", \"value\": null}", "a >= NULL" },
        { "{\"field\": \"meta.a\", \"operator\": \"<\", \"value\": 1}", "a < 1" },
        { "{\"field\": \"meta.a\", \"operator\": \"<=\", \"value\": \"2024-01-01\"}", "a <= '2024-01-01'" },
        { "{\"field\": \"meta.a\", \"operator\": \"in\", \"value\": [1, 2]}", "a IN (1, 2)" },
        { "{\"field\": \"meta.a\", \"operator\": \"not in\", \"value\": [1, 2]}",
          "(a IN (1, 2)) IS NOT TRUE" },
        { "{\"operator\": \"AND\", \"conditions\": ["
          "{\"field\": \"meta.a\", \"operator\": \"==\", \"value\": 1},"
          "{\"operator\": \"OR\", \"conditions\": ["
          "{\"field\": \"meta.b\", \"operator\": \">\", \"value\": 2},"
          "{\"operator\": \"NOT\", \"conditions\": ["
          "{\"field\": \"meta.c\", \"operator\": \"==\", \"value\": 3},"
          "{\"field\": \"meta.d\", \"operator\": \"==\", \"value\": 4}]}]}]}",
          "a = 1 AND (b > 2 OR (c = 3 AND d = 4) IS NOT TRUE)" },
    };
    assert_same(pairs, sizeof pairs / sizeof pairs[0]);
}

static void what_is_wrong_is_told(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        { "", "cannot be read: line 1" },
        { "{\"a\": ", "cannot be read: line 1, column 6" },
        { "{\"a\": 1} x", "end of file expected" },
        { "{\"a\": 1, \"a\": 2}", "duplicate object key" },
        { "{\"$or\": [{\"a\": 1}], \"$or\": [{\"b\": 1}]}", "duplicate object key" },
        { "{\"a\": \"\xff\"}", "unable to decode byte 0xff" },
        { "{\"a\": 99999999999999999999}", "too big integer" },
        { "[]", "a filter in JSON is an object" },
        { "3", "a filter in JSON is an object" },
        { "{\"a\": {\"$gtt\": 1}}", "there is no operator \"$gtt\" here; near names: \"$gt\"" },
        { "{\"$adn\": [{\"a\": 1}]}", "there is no operator \"$adn\" here; near names: \"$and\"" },
        { "{\"$gt\": 1}", "there must be a field around the operator \"$gt\"" },
        { "{\"a\": {\"b\": 1}}", "fields of a struct are written \"a.b\"; this is no operator: \"b\"" },
        { "{\"a\": {\"$gt\": 1, \"b\": 1}}", "this is no operator: \"b\"" },
        { "{\"a\": {}}", "there is no operator for \"a\"" },
        { "{\"a\": [1]}", "\"a\" is compared with an array" },
        { "{\"a\": {\"$eq\": {\"b\": 1}}}", "\"a\" is compared with an object" },
        { "{\"a\": {\"$in\": 1}}", "an array is needed to look for a value of \"a\"" },
        { "{\"a\": {\"$in\": [[1]]}}", "\"a\" is compared with an array" },
        { "{\"a\": {\"$exists\": 1}}", "\"$exists\" needs true or false for \"a\"" },
        { "{\"a\": {\"$not\": 1}}", "\"$not\" needs an object of operators for \"a\"" },
        { "{\"$and\": []}", "an array of at least one condition is needed for \"$and\"" },
        { "{\"$or\": {\"a\": 1}}", "an array of at least one condition" },
        { "{\"$and\": [1]}", "a filter in JSON is an object" },
        { "{\"\": 1}", "\"\" is no path of names" },
        { "{\"a..b\": 1}", "\"a..b\" is no path of names" },
        { "{\"field\": \"a\", \"operator\": \"=\", \"value\": 1}",
          "there is no operator \"=\" here; there are ==, !=, >, >=, <, <=, in, not in, AND, OR, NOT" },
        { "{\"field\": \"a\", \"operator\": \"==\"}", "a comparison has \"field\"" },
        { "{\"field\": 3, \"operator\": \"==\", \"value\": 1}", "a comparison has \"field\"" },
        { "{\"field\": \"a\", \"operator\": \"==\", \"value\": 1, \"x\": 1}", "and nothing else" },
        { "{\"operator\": \"XOR\", \"conditions\": [{\"a\": 1}]}", "there is no operator \"XOR\"" },
        { "{\"operator\": \"AND\", \"conditions\": []}", "an array of at least one condition" },
        { "{\"operator\": \"AND\", \"conditions\": [{\"a\": 1}], \"a\": 1}", "nothing stands beside" },
        { "{\"field\": \"meta.\", \"operator\": \"==\", \"value\": 1}", "is no path of names" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) assert_json_refused(wrong[i][0], wrong[i][1]);
}

static void assert_repeated_refused(const char *before, const char *piece, size_t count, const char *after,
                                    const char *words)
{
    char *text = repeated(before, piece, count, after);
    assert_json_refused(text, words);
    kt_free(text);
}

static void assert_nested_refused(const char *open, const char *close)
{
    char *opened = repeated("", open, KT_FILTER_DEPTH + 1, "{}");
    assert_repeated_refused(opened, close, KT_FILTER_DEPTH + 1, "", "nested deeper than 100 levels");
    kt_free(opened);
}

static void what_is_beyond_a_limit_is_refused_in_words(void **state)
{
    (void)state;
    assert_repeated_refused("{}", " ", KT_FILTER_JSON, "", "bytes of JSON");
    assert_repeated_refused("", "[", 100000, "", "cannot be read");
    assert_repeated_refused("{\"$or\": [{\"a\": 1}", ",{\"a\": 1}", 4000, "]}", "more than 10000 columns");
    assert_repeated_refused("{\"a\": {\"$in\": [1", ",1", KT_FILTER_LIST, "]}}", "longer than 100000");
    assert_nested_refused("{\"$not\":", "}");
    assert_nested_refused("{\"$and\":[", "]}"); /* of one condition: no node of the tree */
    assert_nested_refused("{\"operator\":\"AND\",\"conditions\":[", "]}");
    char *text = repeated("{\"a\": {\"$in\": [1", ",1", KT_FILTER_LIST - 1, "]}}");
    struct kt_expr *expr = from_json(text);
    assert_int_equal(expr->nodes, 3);
    kt_expr_release(expr);
    kt_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mongo_and_chroma),
        cmocka_unit_test(haystack),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(what_is_beyond_a_limit_is_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
