/* Each function and operator by example: what it gives, when it is null, and what it refuses. The examples
 * are evaluated over the rows of one small table, so that columns and literals stand in both places. */
#include "unit/filter/filter_rows.h"

/* Three rows: what most examples ask about is in the first, the last is null in every column. */
static struct kt_batch *three_rows(void)
{
    static char names[][8] = { "i", "f", "t", "j", "d", "s", "l", "r", "b", "u", "p", "c", "lr" },
                item[] = "item";
    static struct kt_field number, members[2], record;
    number = sample_field(item, KT_INT32);
    members[0] = sample_field(sample_names[0], KT_INT32);
    members[1] = sample_field(sample_names[1], KT_UTF8);
    record = sample_field(item, KT_STRUCT);
    record.children = members;
    record.child_count = 2;
    struct kt_field fields[] = { sample_field(names[0], KT_INT32),       sample_field(names[1], KT_FLOAT64),
                                 sample_field(names[2], KT_UTF8),        sample_field(names[3], KT_UTF8),
                                 sample_field(names[4], KT_DATE32),      sample_field(names[5], KT_TIMESTAMP),
                                 sample_field(names[6], KT_LIST),        sample_field(names[7], KT_STRUCT),
                                 sample_field(names[8], KT_BINARY),      sample_field(names[9], KT_UINT64),
                                 sample_field(names[10], KT_DECIMAL128), sample_field(names[11], KT_TIME64),
                                 sample_field(names[12], KT_LIST) };
    fields[6].children = &number;
    fields[7].children = members;
    fields[12].children = &record;
    fields[6].child_count = fields[12].child_count = 1;
    fields[7].child_count = 2;
    struct kt_schema *schema = NULL;
    struct kt_batch *batch = NULL;
    assert_ok(kt_schema_new(fields, 13, NULL, &schema, &oops));
    assert_ok(kt_batch_new(schema, 3, &batch, &oops));
    kt_schema_release(schema);
    static const uint8_t two[] = { 3 };
    static const int32_t i[] = { 7, -3, 0 }, d[] = { 19782, -1, 0 }, l[] = { 1, 2, 3, 2 },
                         l_at[] = { 0, 3, 4, 4 }, t_at[] = { 0, 6, 9, 9 }, j_at[] = { 0, 79, 87, 87 },
                         r[] = { 5, 6, 0 }, r_at[] = { 0, 1, 3, 3 }, b_at[] = { 0, 2, 5, 5 },
                         lr_at[] = { 0, 1, 2, 3, 3 }, lr[] = { 10, 20, 30, 40 };
    static const double f[] = { 2.5, -0.0, 0 };
    static const uint64_t u[] = { UINT64_MAX, 3, 0 };
    static const int64_t s[] = { 1709210096123456, -1, 0 }, p[] = { 1250, 0, -305, -1, 0, 0 },
                         c[] = { 45296789012, 0, 0 };
    static const char json[] = "{\"a\": {\"b\": [1, -2.5, {\"c\": \"x\\u00e9\\n\"}]}, \"n\": null, \"t\": "
                               "true, \"a.b\": \"dot\"}not json";
    static const void *const values[] = { i, f, t_at, j_at, d, s, l_at, NULL, b_at, u, p, c, l_at };
    for (int k = 0; k < 13; k++) {
        batch->columns[k].length = 3;
        batch->columns[k].validity = two;
        batch->columns[k].values = values[k];
    }
    batch->columns[2].data = (const uint8_t *)"H\xc3\xa4llo"
                                              "abc";
    batch->columns[3].data = (const uint8_t *)json;
    batch->columns[8].data = (const uint8_t *)"\xff\x00"
                                              "abc";
    batch->columns[6].children[0].length = 4;
    batch->columns[6].children[0].values = (const uint8_t *)l;
    for (int k = 0; k < 2; k++) {
        struct kt_array *at = k ? &batch->columns[12].children[0] : &batch->columns[7];
        at->length = k ? 4 : 3;
        at->children[0].length = at->children[1].length = at->length;
        at->children[0].values = (const uint8_t *)(k ? lr : r);
        at->children[1].values = (const uint8_t *)(k ? lr_at : r_at);
        at->children[1].data = (const uint8_t *)"xyz";
    }
    return batch;
}

/* A row's value as text; "NULL" for null. */
static void shown(const struct kt_batch *batch, const char *text, int64_t row, char out[128])
{
    char cast[600];
    int64_t size;
    snprintf(cast, sizeof cast, "CAST((%s) AS varchar)", text);
    struct kt_batch *values = rows_values(cast, batch);
    const uint8_t *at = kt_array_bytes(&values->columns[0], row, &size);
    if (kt_array_null(&values->columns[0], row))
        snprintf(out, 128, "NULL");
    else
        snprintf(out, 128, "%.*s", (int)size, (const char *)at);
    kt_batch_release(values);
}

struct example {
    const char *text, *gives;
};

static void assert_gives(const struct example *examples, size_t count)
{
    struct kt_batch *batch = three_rows();
    for (size_t i = 0; i < count; i++) {
        char got[128];
        shown(batch, examples[i].text, 0, got);
        if (strcmp(got, examples[i].gives) != 0)
            fail_msg("%s gives %s, not %s", examples[i].text, got, examples[i].gives);
    }
    kt_batch_release(batch);
}

#define ASSERT_GIVE(examples) assert_gives(examples, sizeof(examples) / sizeof(examples)[0])

static void texts_are_of_characters(void **state)
{
    (void)state;
    static const struct example examples[] = {
        { "length(t)", "5" },
        { "length(b)", "2" },
        { "length('\xf0\x9f\x98\x80')", "1" },
        { "upper(t)", "H\xc3\x84LLO" },
        { "lower('\xc3\x84' || 'BC')", "\xc3\xa4"
                                       "bc" },
        { "upper('stra\xc3\x9f' || 'e')", "STRA\xe1\xba\x9e"
                                          "E" },
        { "trim('  a b ')", "a b" },
        { "ltrim('  a ') || '|'", "a |" },
        { "'|' || rtrim('  a ')", "|  a" },
        { "trim('   ')", "" },
        { "substr(t, 2, 3)", "\xc3\xa4"
                             "ll" },
        { "substr(t, 2)", "\xc3\xa4llo" },
        { "substr('hello', -3, 2)", "ll" },
        { "substr('hello', 0, 2)", "h" }, /* place 0 is before the first, as in SQLite */
        { "substr('hello', 3, -2)", "he" },
        { "substr('hello', 9)", "" },
        { "substr('hello', -9, 5)", "h" },
        { "substr('hello', 2, 9223372036854775807)", "ello" },
        { "substr('hello', -9223372036854775808, 3)", "" },
        { "t || 1 || true", "H\xc3\xa4llo1true" },
        { "'a' || NULL", "NULL" },
        { "starts_with(t, 'H\xc3\xa4')", "true" },
        { "starts_with(t, '')", "true" },
        { "starts_with('a', t)", "false" },
        { "ends_with(t, 'llo')", "true" },
        { "contains(t, '\xc3\xa4l')", "true" },
        { "contains(t, '')", "true" },
        { "contains(NULL, 'a')", "NULL" },
    };
    ASSERT_GIVE(examples);
}

static void patterns_match_characters(void **state)
{
    (void)state;
    static const struct example examples[] = {
        { "t LIKE 'H_llo'", "true" },
        { "t LIKE 'H__llo'", "false" },
        { "t LIKE 'h%'", "false" },
        { "t ILIKE 'h\xc3\x84%'", "true" },
        { "'' LIKE ''", "true" },
        { "'' LIKE '_'", "false" },
        { "'' LIKE '%%'", "true" },
        { "'abcabc' LIKE '%bc'", "true" },
        { "'abcab' LIKE '%bc'", "false" },
        { "'abc' LIKE 'abc%abc'", "false" }, /* the ends must not overlap */
        { "'abab' LIKE 'ab%ab'", "true" },
        { "'a%c' LIKE 'a!%c' ESCAPE '!'", "true" },
        { "'abc' LIKE 'a!%c' ESCAPE '!'", "false" },
        { "'a!c' LIKE 'a!!c' ESCAPE '!'", "true" },
        { "'a_b' LIKE '%\xc3\xa4_b' ESCAPE '\xc3\xa4'", "true" }, /* an escape of two bytes */
        { "'mississippi' LIKE '%iss%ip%'", "true" },
        { "'mississippi' LIKE 'm%iss_pp_'", "true" },
        { "t NOT LIKE '%z%'", "true" },
        { "'a' LIKE NULL", "NULL" },
        { "t LIKE t", "true" }, /* a pattern of a row */
        { "'x' LIKE '\xe6\x97\xa5'", "false" },
        { "'\xe6\x97\xa5\xe6\x9c\xac' LIKE '_\xe6\x9c\xac'", "true" },
    };
    ASSERT_GIVE(examples);
    /* A pattern for which trying every way would take until the end of time. */
    char text[4096];
    snprintf(text, sizeof text, "'%0200d' LIKE '%%0%%0%%0%%0%%0%%0%%0%%0%%0%%0%%0%%0%%0%%0%%0%%0%%0%%0%%1'",
             0);
    assert_gives(&(struct example){ text, "false" }, 1);
}

static void regular_expressions_are_found(void **state)
{
    (void)state;
    static const struct example examples[] = {
        { "regexp_like(t, 'l+o$')", "true" },
        { "regexp_like(t, '^l')", "false" },
        { "regexp_like(t, 'H.llo')", "true" },
        { "regexp_like(t, '^.{5}$')", "true" },
        { "regexp_match(t, 'l+o$')", "true" },
        { "regexp_match(t, '^l')", "NULL" },
        { "regexp_match(t, '^l') IS NOT NULL", "false" },
        { "REGEXP_MATCH(t, '^H') IS NOT NULL", "true" },
        { "NOT regexp_match(t, '^l')", "NULL" },
        { "regexp_like('', '')", "true" },
        { "regexp_like('', '^$')", "true" },
        { "regexp_like('ac', 'ab?c')", "true" },
        { "regexp_like('abbc', 'ab?c')", "false" },
        { "regexp_like('xaaay', 'xa{2,3}y')", "true" },
        { "regexp_like('xay', 'xa{2,3}y')", "false" },
        { "regexp_like('xaaaay', 'xa{2,}y')", "true" },
        { "regexp_like('a{2}', 'a\\{2\\}')", "true" },
        { "regexp_like('a{,2}', 'a{,2}')", "true" }, /* not of the form of a repetition: braces */
        { "regexp_like('foobar', '(foo|baz)(bar)?$')", "true" },
        { "regexp_like('foobaz', '^(?:foo|ba[rz])+$')", "true" },
        { "regexp_like('a1_', '^\\w\\d\\w$')", "true" },
        { "regexp_like('\xc3\xa4', '\\w')", "false" }, /* \w is ASCII */
        { "regexp_like('\xc3\xa4', '^[\xc3\xa0-\xc3\xbf]$')", "true" },
        { "regexp_like('\xc3\xa4', '^\\x{e4}$')", "true" },
        { "regexp_like('A', '\\x41')", "true" },
        { "regexp_like(']', '[]]')", "true" },
        { "regexp_like('-', '[a-]')", "true" },
        { "regexp_like('b', '[^a]')", "true" },
        { "regexp_like('5', '[^\\d]')", "false" },
        { "regexp_like('x', '[[:alpha:]]')", "true" },
        { "regexp_like('ABC', '(?i)abc')", "true" },
        { "regexp_like('ABC', 'a(?i)bc')", "false" },
        { "regexp_like('aBC', 'a(?i:b)C')", "true" },
        { "regexp_like('\xc3\x84', '(?i)\xc3\xa4')", "true" },
        { "regexp_like('a b', 'a\\sb')", "true" },
        { "regexp_like('one two', '\\btwo\\b')", "true" },
        { "regexp_like('onetwo', '\\btwo')", "false" },
        { "regexp_like('a' || CASE WHEN true THEN 'b' END, 'a.b|ab')", "true" },
        { "regexp_like(NULL, 'a')", "NULL" },
        { "regexp_like('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab', '^(a+)+$')", "false" },
        { "regexp_like('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '^(a|aa)+$')", "true" },
        { "regexp_like('xyz', '(x|y|)z')", "true" },
        { "regexp_like('ab', 'a*?b')", "true" },
    };
    ASSERT_GIVE(examples);
}

static void numbers_are_exact_or_say_so(void **state)
{
    (void)state;
    static const struct example examples[] = {
        { "i + 1", "8" },
        { "i - 10", "-3" },
        { "i * i", "49" },
        { "i / 2", "3" },
        { "-7 / 2", "-3" },
        { "-7 % 2", "-1" },
        { "7 % -2", "1" },
        { "i / 0", "NULL" },
        { "i % 0", "NULL" },
        { "f / 0", "NULL" },
        { "f / -0.0", "NULL" },
        { "f % 0.0", "NULL" },
        { "1.5 + 1", "2.5" },
        { "5.5 % 2", "1.5" },
        { "-9223372036854775808 % -1", "0" },
        { "9223372036854775807 - 1", "9223372036854775806" },
        { "p + 1", "13.50" },
        { "p * p", "156.2500" },
        { "p / 2", "6.25" },
        { "p % 5", "2.50" },
        { "p + decimal '0.005'", "12.505" },
        { "-p", "-12.50" },
        { "u", "18446744073709551615" },
        { "u = 18446744073709551615", "true" },
        { "abs(-3)", "3" },
        { "abs(-2.5)", "2.5" },
        { "abs(p - 20)", "7.50" },
        { "round(2.5)", "3.0" },
        { "round(-2.5)", "-3.0" },
        { "round(3.14159, 2)", "3.14" },
        { "round(1234.5, -2)", "1200.0" },
        { "round(1250, -2)", "1300" },
        { "round(-1250, -2)", "-1300" },
        { "round(1249, -2)", "1200" },
        { "round(5, -30)", "0" },
        { "round(p, 1)", "12.50" },
        { "round(decimal '12.55', 1)", "12.60" },
        { "round(decimal '-12.55', 1)", "-12.60" },
        { "floor(-2.5)", "-3.0" },
        { "ceil(-2.5)", "-2.0" },
        { "floor(p - 20)", "-8.00" },
        { "ceil(decimal '1.01')", "2.00" },
        { "floor(7)", "7" },
        { "isnan(cast('nan' AS double))", "true" },
        { "isnan(f)", "false" },
        { "isnan(i)", "false" },
        { "greatest(1, NULL, 3, 2)", "3" },
        { "least(1.5, 1, NULL)", "1.0" },
        { "greatest(NULL, NULL)", "NULL" },
        { "greatest('a', 'b', t)", "b" },
        { "greatest(1.0, cast('nan' AS double))", "nan" },
        { "coalesce(NULL, i, 1)", "7" },
        { "coalesce(NULL, NULL)", "NULL" },
        { "nullif(i, 7)", "NULL" },
        { "nullif(i, 8)", "7" },
        { "nullif(i, NULL)", "7" },
        { "CASE WHEN i > 100 THEN 'big' WHEN i > 5 THEN 'some' ELSE 'few' END", "some" },
        { "CASE WHEN NULL THEN 1 END", "NULL" },
        { "CASE i WHEN 7 THEN 1.5 ELSE 2 END", "1.5" },
    };
    ASSERT_GIVE(examples);
}

static void comparisons_do_not_round(void **state)
{
    (void)state;
    static const struct example examples[] = {
        { "9007199254740993 = 9007199254740992.0", "false" },
        { "9007199254740993 > 9007199254740992.0", "true" },
        { "9223372036854775807 < 9223372036854775808.0", "true" },
        { "18446744073709551615 > 9223372036854775807", "true" },
        { "i = '7'", "true" },
        { "i < '7.5'", "true" },
        { "i >= 6.5 AND i < 7.5", "true" },
        { "f = 2.5", "true" },
        { "p = 12.5", "true" },
        { "p = '12.50'", "true" },
        { "p < 12.500001", "true" },
        { "p IN (12.5, 3)", "true" },
        { "decimal '0.1' + decimal '0.2' = 0.3", "true" },
        { "0.1 + 0.2 = 0.3", "false" },
        { "cast('nan' AS double) = cast('nan' AS double)", "true" },
        { "cast('nan' AS double) > cast('inf' AS double)", "true" },
        { "f < cast('nan' AS double)", "true" },
        { "-0.0 = 0.0", "true" },
        { "d = '2024-02-29'", "true" },
        { "d < '2024-02-29 00:00:01'", "true" },
        { "d > timestamp '2024-02-28 23:59:59.999999'", "true" },
        { "s >= d", "true" },
        { "s < '2024-02-29 12:34:57'", "true" },
        { "c = '12:34:56.789012'", "true" },
        { "b = X'FF00'", "true" },
        { "b > 'abc'", "true" },
        { "t IS DISTINCT FROM NULL", "true" },
        { "NULL IS NOT DISTINCT FROM NULL", "true" },
        { "NULL = NULL", "NULL" },
        { "3 IN (1, NULL)", "NULL" },
        { "3 IN (3, NULL)", "true" },
        { "3 NOT IN (1, NULL)", "NULL" },
        { "i IN ('7', 2.5)", "true" },
        { "NULL IN (1)", "NULL" },
        { "true > false", "true" },
        { "i BETWEEN 7 AND 8", "true" },
    };
    ASSERT_GIVE(examples);
}

static void casts_change_type_or_refuse(void **state)
{
    (void)state;
    static const struct example examples[] = {
        { "cast(2.5 AS int)", "2" },
        { "cast(3.5 AS int)", "4" },
        { "cast(p AS int)", "13" }, /* decimals away from zero */
        { "cast('3.7' AS int)", "4" },
        { "cast(' 12 ' AS int)", "12" },
        { "try_cast('x' AS int)", "NULL" },
        { "try_cast(300 AS tinyint)", "NULL" },
        { "try_cast(u AS bigint)", "NULL" },
        { "try_cast(cast('nan' AS double) AS int)", "NULL" },
        { "try_cast('' AS int)", "NULL" },
        { "cast(1e3 AS bigint)", "1000" },
        { "cast('1e3' AS int)", "1000" },
        { "cast(true AS int)", "1" },
        { "cast(0 AS boolean)", "false" },
        { "cast('yes' AS boolean)", "true" },
        { "cast(0.1 AS float)", "0.1" },
        { "try_cast(1e5 AS float16)", "NULL" },
        { "cast(0.1 AS float16)", "0.1" },
        { "cast('0.1' AS decimal(5,2))", "0.10" },
        { "cast('-0.125' AS decimal(5,2))", "-0.13" },
        { "try_cast(1000 AS decimal(6,2))", "1000.00" },
        { "try_cast(1000 AS decimal(5,2))", "NULL" },
        { "cast('12345678901234567890123456789.5' AS decimal(38,1))", "12345678901234567890123456789.5" },
        { "cast(decimal '-0.05' AS varchar)", "-0.05" },
        { "cast('2024-02-29' AS date)", "2024-02-29" },
        { "try_cast('2023-02-29' AS date)", "NULL" },
        { "cast(s AS date)", "2024-02-29" },
        { "cast(d AS timestamp)", "2024-02-29 00:00:00" },
        { "cast(s AS timestamp(0))", "2024-02-29 12:34:56" },
        { "cast(timestamp '1969-12-31 23:59:59.5' AS timestamp(0))", "1969-12-31 23:59:59" },
        { "cast(s AS time)", "12:34:56.123456" },
        { "cast(t AS varchar)", "H\xc3\xa4llo" },
        { "try_cast(b AS varchar)", "NULL" }, /* not UTF-8 */
        { "cast(X'6162' AS varchar)", "ab" },
        { "cast(f AS varchar)", "2.5" },
        { "cast(NULL AS int)", "NULL" },
    };
    ASSERT_GIVE(examples);
}

static void times_have_parts_and_move(void **state)
{
    (void)state;
    static const struct example examples[] = {
        { "date_part('year', d)", "2024" },
        { "date_part('QUARTER', d)", "1" },
        { "date_part('month', d)", "2" },
        { "date_part('day', d)", "29" },
        { "date_part('doy', d)", "60" },
        { "date_part('dow', d)", "4" },
        { "date_part('isodow', date '2024-03-03')", "7" },
        { "date_part('week', date '2024-12-30')", "1" }, /* of the next year */
        { "date_part('isoyear', date '2024-12-30')", "2025" },
        { "date_part('week', date '2021-01-03')", "53" },
        { "date_part('century', date '2000-12-31')", "20" },
        { "date_part('decade', d)", "202" },
        { "date_part('millennium', d)", "3" },
        { "date_part('hour', s)", "12" },
        { "date_part('minute', s)", "34" },
        { "date_part('second', s)", "56" },
        { "date_part('millisecond', s)", "56123" },
        { "date_part('microsecond', s)", "56123456" },
        { "date_part('hour', timestamp '1969-12-31 23:59:59')", "23" },
        { "date_part('epoch', timestamp '1970-01-01 00:00:01.5')", "1.5" },
        { "date_part('hour', c)", "12" },
        { "date_part('year', '2024-05-01')", "2024" },
        { "extract(year FROM s)", "2024" },
        { "d + 1", "2024-03-01" },
        { "d - 60", "2023-12-31" },
        { "d - date '2024-01-01'", "59" },
        { "d + interval '1 month'", "2024-03-29 00:00:00" },
        { "date '2024-01-31' + interval '1 month'", "2024-02-29 00:00:00" },
        { "date '2023-03-31' - interval '1 month'", "2023-02-28 00:00:00" },
        { "d - interval '1 year'", "2023-02-28 00:00:00" },
        { "interval '1 day' + d", "2024-03-01 00:00:00" },
        { "s - interval '12 hours 34 minutes'", "2024-02-29 00:00:56.123456" },
        { "s - timestamp '2024-02-28 12:34:56.123456' = interval '1 day'", "true" },
        { "s - timestamp '2024-02-29 12:00:00' > interval '34 minutes'", "true" },
        { "s > now()", "false" },
        { "now() - interval '7 days' < now()", "true" },
    };
    ASSERT_GIVE(examples);
}

static void lists_and_structs_have_parts(void **state)
{
    (void)state;
    static const struct example examples[] = {
        { "l[1]", "1" },
        { "l[-1]", "3" },
        { "l[4]", "NULL" },
        { "l[0]", "NULL" },
        { "l[NULL]", "NULL" },
        { "l[i - 5]", "2" },
        { "array_length(l)", "3" },
        { "length(l)", "3" },
        { "array_length([1, 2])", "2" },
        { "array_has(l, 2)", "true" },
        { "array_has(l, 9)", "false" },
        { "array_has(l, '3')", "true" },
        { "array_has(l, 2.5)", "false" },
        { "array_has(l, i - 5)", "true" },
        { "array_has([7, 8], i)", "true" },
        { "array_has(l, NULL)", "NULL" },
        { "array_has_any(l, [9, 3])", "true" },
        { "array_has_any([9, 3], l)", "true" },
        { "array_has_any(l, [])", "false" },
        { "array_has_all(l, [1, 3])", "true" },
        { "array_has_all(l, [1, 2.5])", "false" },
        { "array_has_all(l, [])", "true" },
        { "array_has_all([1, 2, 3, 4], l)", "true" },
        { "array_has_all([1, 2], l)", "false" },
        { "array_has_all(l, l)", "true" },
        { "contains(l, 3)", "true" },
        { "r.a", "5" },
        { "r['b']", "x" },
        { "r.a + 1 = 6", "true" },
        { "lr[2].a", "20" },
        { "lr[2]['b']", "y" },
        { "lr[9].a", "NULL" },
    };
    ASSERT_GIVE(examples);
}

static void json_is_read_strictly(void **state)
{
    (void)state;
    static const struct example examples[] = {
        { "j ->> 'a.b[0]'", "1" },
        { "j ->> 'a.b.1'", "-2.5" },
        { "j ->> '$.a.b[2].c'", "x\xc3\xa9\n" },
        { "j ->> 'a.b[-1].c'", "x\xc3\xa9\n" },
        { "j -> 'a'", "{\"b\":[1,-2.5,{\"c\":\"x\\u00e9\\n\"}]}" },
        { "j -> 'a.b[2].c'", "\"x\\u00e9\\n\"" },
        { "j ->> 'n'", "NULL" },
        { "j -> 'n'", "null" },
        { "j ->> 't'", "true" },
        { "j ->> '\"a.b\"'", "dot" },
        { "j ->> '[''a.b'']'", "dot" },
        { "j ->> 'missing'", "NULL" },
        { "j ->> 'a.b.c'", "NULL" },
        { "'[1,2' ->> '0'", "NULL" },
        { "'[1,2] ' ->> '0'", "1" },
        { "'[1,2]x' ->> '0'", "NULL" },
        { "'{\"a\":1,\"a\":2}' ->> 'a'", "1" },
        { "'{\"a\":01}' ->> 'a'", "NULL" },
        { "'{\"a\":1.}' ->> 'a'", "NULL" },
        { "'{\"a\":\"\\ud83d\\ude00\"}' ->> 'a'", "\xf0\x9f\x98\x80" },
        { "'{\"a\":\"\\ud83d\"}' ->> 'a'", "\xef\xbf\xbd" },
        { "'{\"a\":\"\\q\"}' ->> 'a'", "NULL" },
        { "'{\"\\u0061\":3}' ->> 'a'", "3" },
        { "'7' ->> '$'", "7" },
        { "'' ->> 'a'", "NULL" },
        { "t ->> 'a'", "NULL" },
        { "j ->> 'a.b[0]' > 0", "true" }, /* a number beside a number */
        { "j ->> 'a.b[1]' IN (-2.5, 7)", "true" },
        { "j ->> 't' > 0", "NULL" },
        { "(j -> 'a') ->> 'b[0]'", "1" },
    };
    ASSERT_GIVE(examples);
    char deep[4200] = "'";
    for (int i = 0; i < 2000; i++) strcat(deep, "[");
    strcat(deep, "' ->> '0'");
    struct kt_batch *batch = three_rows();
    struct kt_batch *values = rows_values(deep, batch);
    assert_true(kt_array_null(&values->columns[0], 0));
    kt_batch_release(values);
    kt_batch_release(batch);
}

static void a_null_makes_null(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "i + 1",
        "-i",
        "f * 2",
        "abs(i)",
        "round(f, 1)",
        "length(t)",
        "upper(t)",
        "t || 'a'",
        "substr(t, 1)",
        "i = 1",
        "t LIKE 'a'",
        "t ILIKE 'a'",
        "regexp_like(t, 'a')",
        "i IN (1, 2)",
        "i NOT IN (1)",
        "NOT (i = 1)",
        "l[1]",
        "array_length(l)",
        "array_has(l, 1)",
        "r.a",
        "lr[1].a",
        "j ->> 'a'",
        "date_part('year', d)",
        "d + 1",
        "s + interval '1 day'",
        "cast(i AS varchar)",
        "try_cast(t AS int)",
        "nullif(i, 1)",
        "greatest(i, NULL)",
        "f + p",
        "isnan(f)",
        "starts_with(t, 'a')",
        "i BETWEEN 1 AND 2",
        "b = X'00'",
        "u > 3",
        "c < time '12:00'",
        "s - s",
        "t < 'b'",
    };
    struct kt_batch *batch = three_rows();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct kt_batch *values = rows_values(texts[i], batch);
        if (!kt_array_null(&values->columns[0], 2)) fail_msg("%s is not null", texts[i]);
        kt_batch_release(values);
    }
    kt_batch_release(batch);
}

static void expressions_keep_their_types(void **state)
{
    (void)state;
    static const struct example examples[] = {
        { "i", "int32" },
        { "i + 1", "int64" },
        { "f", "double" },
        { "i / 2.0", "double" },
        { "p", "decimal128(12, 2)" },
        { "p + 1", "decimal128(38, 2)" },
        { "coalesce(i, 0)", "int32" },
        { "coalesce(i, 5000000000)", "int64" },
        { "coalesce(i, 2.5)", "double" },
        { "coalesce(d, '2024-01-01')", "date32" },
        { "CASE WHEN i > 1 THEN t ELSE 'x' END", "string" },
        { "i > 3", "bool" },
        { "d + 1", "date32" },
        { "d + interval '1 day'", "timestamp[us]" },
        { "s - s", "duration[us]" },
        { "cast(i AS smallint)", "int16" },
        { "l", "list<int32>" },
        { "r", "struct<a: int32, b: string>" },
        { "l[1]", "int32" },
        { "u", "uint64" },
        { "NULL", "null" },
    };
    struct kt_batch *batch = three_rows();
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        char type[128];
        struct kt_batch *values = rows_values(examples[i].text, batch);
        kt_field_type_text(&values->schema->fields[0], type, sizeof type);
        if (strcmp(type, examples[i].gives) != 0)
            fail_msg("%s is %s, not %s", examples[i].text, type, examples[i].gives);
        assert_int_equal(values->rows, 3);
        kt_batch_release(values);
    }
    kt_batch_release(batch);
}

static void what_is_too_large_is_told(void **state)
{
    (void)state;
    static const struct example examples[] = {
        { "i + 9223372036854775807", "7 + 9223372036854775807 is beyond int64" },
        { "i * -9223372036854775807", "is beyond int64" },
        { "-9223372036854775808 / (i - 8)", "is beyond int64" },
        { "abs(i * 0 - 9223372036854775807 - 1)", "abs of -9223372036854775808" },
        { "u + i", "cannot be cast to int64" },
        { "cast(t AS int)", "'H\xc3\xa4llo' cannot be cast to int32; TRY_CAST gives null for it" },
        { "cast(i + 200 AS tinyint)", "'207' cannot be cast to int8" },
        { "s + interval '300000 years'", "beyond what a timestamp can hold" },
        { "cast(p * 1000000 AS decimal(4, 1))", "cannot be cast to decimal128(4, 1)" },
        { "t LIKE t || '!' ESCAPE '!'", "ends with its escape" },
    };
    struct kt_batch *batch = three_rows();
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        struct kt_array room[ROWS_COLUMNS];
        struct kt_schema *schema = NULL;
        struct kt_builder *builder = NULL;
        kith_error error = { 0 };
        struct kt_filter *filter = rows_bind(examples[i].text, batch->schema, false);
        struct kt_filter_rows rows = rows_of(filter, batch, room);
        assert_ok(kt_schema_new(kt_filter_field(filter), 1, NULL, &schema, &oops));
        assert_ok(kt_builder_new(schema, 3, &builder, &oops));
        if (kt_filter_values(filter, &rows, builder, 0, &error) == KITH_OK)
            fail_msg("%s is fine", examples[i].text);
        assert_says(&error, KITH_INVALID, examples[i].gives);
        kt_builder_free(builder);
        kt_schema_release(schema);
        kt_filter_free(filter);
    }
    kt_batch_release(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_of_characters),       cmocka_unit_test(patterns_match_characters),
        cmocka_unit_test(regular_expressions_are_found), cmocka_unit_test(numbers_are_exact_or_say_so),
        cmocka_unit_test(comparisons_do_not_round),      cmocka_unit_test(casts_change_type_or_refuse),
        cmocka_unit_test(times_have_parts_and_move),     cmocka_unit_test(lists_and_structs_have_parts),
        cmocka_unit_test(json_is_read_strictly),         cmocka_unit_test(a_null_makes_null),
        cmocka_unit_test(expressions_keep_their_types),  cmocka_unit_test(what_is_too_large_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
