/* Memory may end at any step: each door is run with its k-th allocation failing, for every k. It fails with
 * KITH_NO_MEMORY or goes on to succeed; nothing is lost on the way, nothing freed twice.
 *
 * malloc and its kin are replaced for this program, which a sanitizer does as well: under one, the test is
 * skipped. The tokens of the JSON are short: jansson's lexer (2.14) may abort by an assert where it is
 * refused memory for a longer one. */
#include "unit/filter/filter_doors.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include "support/failing_malloc.h"

static kith_status to_text_and_back(kith_status status, struct kt_expr *expr, kith_error *error)
{
    struct kt_buffer text = { 0 };
    struct kt_expr *again = NULL;
    if (!status) status = kt_expr_to_sql(expr, &text, error);
    if (!status && !kt_buffer_append(&text, "", 1)) status = kt_fail_memory(error, 1);
    if (!status) status = kt_expr_parse((const char *)text.data, NULL, 0, &again, error);
    kt_buffer_release(&text);
    kt_expr_release(again);
    kt_expr_release(expr);
    return status;
}

static kith_status sql_and_back(kith_error *error)
{
    struct kt_value items[] = { { .kind = KT_VALUE_INT, .integer = 1 },
                                { .kind = KT_VALUE_TEXT, .text = (char[]){ "it's" }, .size = 4 } };
    struct kt_parameter parameters[] = {
        { NULL, { .kind = KT_VALUE_LIST, .items = items, .count = 2 } },
        { "n", { .kind = KT_VALUE_BYTES, .text = (char[]){ "\1\2" }, .size = 2 } },
    };
    struct kt_expr *expr = NULL;
    kith_status status = kt_expr_parse(
        "a.b['c'][1].d BETWEEN 1 AND 2.5 AND NOT (x IN (?, 'y', z) OR q NOT IN [1, \"two\"] AND w) AND "
        "CASE a WHEN 1 THEN :n WHEN 2 THEN X'0F' ELSE -`b c` END = t::timestamptz AND cast(u AS "
        "decimal(9,1)) > 0 "
        "AND \"p\" NOT LIKE 'a%' ESCAPE '!' AND array_has_any(l, ['a']) AND date '2024-02-29' < now() AND "
        "extract(year FROM d) = 1 AND decimal(4,1) '1.5' <> substr(a, 1) AND f AND g AND (h AND i AND j)",
        parameters, 2, &expr, error);
    return to_text_and_back(status, expr, error);
}

static kith_status json_and_back(kith_error *error)
{
    static const char text[] =
        "{\"a\": {\"$in\": [1, \"x\", null], \"$ne\": 2.5}, \"$or\": [{\"b.c\": true}, "
        "{\"operator\": \"NOT\", \"conditions\": [{\"field\": \"meta.f\", \"operator\": "
        "\"not in\", \"value\": [\"y\"]}]}, {\"d\": {\"$not\": {\"$exists\": false}}}]}";
    struct kt_expr *expr = NULL;
    kith_status status = kt_expr_from_json(text, strlen(text), &expr, error);
    return to_text_and_back(status, expr, error);
}

static kith_status shared_arguments(kith_error *error)
{
    struct kt_expr *chain = NULL, *longer = NULL;
    kith_status status = kt_expr_parse("a AND b AND c IN (1, 2)", NULL, 0, &chain, error);
    if (!status) {
        struct kt_expr *args[] = { kt_expr_share(chain), kt_expr_share(chain),
                                   kt_expr_share(chain->args[2]) };
        status = kt_expr_call("and", args, 3, &longer, error);
    }
    if (!status) {
        struct kt_expr *list = chain->args[2]->args[1];
        struct kt_expr *args[] = { kt_expr_share(chain), kt_expr_share(list), kt_expr_share(list) };
        kt_expr_release(longer);
        longer = NULL;
        status = kt_expr_call("not in", args, 3, &longer, error);
    }
    if (!status) {
        struct kt_expr *args[] = { kt_expr_share(chain), kt_expr_share(chain), kt_expr_share(chain) };
        kt_expr_release(longer);
        longer = NULL;
        status = kt_expr_call("not between", args, 3, &longer, error);
    }
    kt_expr_release(chain);
    kt_expr_release(longer);
    return status;
}

static void sql_survives_the_end_of_memory(void **state)
{
    (void)state;
    assert_true(fails_at_every_step(sql_and_back, false) > 20);
}
static void json_survives_the_end_of_memory(void **state)
{
    (void)state;
    assert_true(fails_at_every_step(json_and_back, false) > 20);
}
static void builders_survive_the_end_of_memory(void **state)
{
    (void)state;
    assert_true(fails_at_every_step(shared_arguments, false) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sql_survives_the_end_of_memory),
        cmocka_unit_test(json_survives_the_end_of_memory),
        cmocka_unit_test(builders_survive_the_end_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 77;
}

#endif
