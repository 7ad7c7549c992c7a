/* What statistics rule out is never wrong, and what they can rule out they do. Blocks of few different values
 * are judged and then read: no row may pass where none was said to, none fail where all were. */
#include "unit/filter/filter_rows.h"

static enum kt_verdict judge(const char *text, const struct kt_batch *batch)
{
    struct kt_batch *batches[] = { (struct kt_batch *)(uintptr_t)batch };
    json_t *stats = kt_batches_stats(batches, 1);
    struct kt_filter *filter = rows_bind(text, batch->schema, true);
    enum kt_verdict verdict = kt_filter_judge(filter, stats);
    kt_filter_free(filter);
    json_decref(stats);
    return verdict;
}

/* Blocks of one or two rows of a larger one: so few values that much can be ruled out. */
static void verdicts_are_never_wrong(void **state)
{
    (void)state;
    static const char *const columns[] = {
        "i8",   "u16",  "i64",   "u64",   "f16", "f32",   "f64",  "price",
        "text", "word", "word8", "bytes", "day", "stamp", "flag", "lasting"
    };
    static const char *const values[][4] = {
        { "0", "1", "-128", "300" },
        { "0", "2", "65535", "2.5" },
        { "0", "9223372036854775807", "3", "-1" },
        { "0", "18446744073709551615", "-1", "3" },
        { "0.5", "65504", "-2.5", "0.0" },
        { "0.1", "1.5", "3", "1e300" },
        { "0.1", "-0.0", "3", "1e300" },
        { "0", "10", "0.05", "-3" },
        { "'abc'", "''", "'b'", "'x%y'" },
        { "'cat01'", "''", "'b'", "'abc'" },
        { "'cat01'", "''", "'b'", "'abc'" },
        { "X'616263'", "X''", "'b'", "X'ff'" },
        { "'1970-01-01'", "date '1970-01-02'", "'2024-01-01'", "'1969-12-31'" },
        { "'1970-01-01'", "date '1970-01-02'", "'2024-01-01'", "'1969-12-31'" },
        { "true", "false", "true", "false" },
        { "interval '1 second'", "interval '-1 hour'", "interval '0 days'", "interval '2 days'" }
    };
    static const char *const shapes[] = { "%1$s = %2$s",
                                          "%1$s <> %2$s",
                                          "%1$s < %2$s",
                                          "%1$s >= %2$s",
                                          "NOT (%1$s > %2$s)",
                                          "%1$s IS NULL",
                                          "%1$s IS NOT NULL",
                                          "%1$s IS DISTINCT FROM %2$s",
                                          "%1$s >= %2$s AND %1$s <= %3$s",
                                          "%1$s = %2$s OR %1$s IS NULL",
                                          "(%1$s < %2$s) IS NOT TRUE",
                                          "NOT (%1$s = %2$s OR %1$s > %3$s)",
                                          "(%1$s = %2$s) IS NULL",
                                          "%1$s < %2$s AND i32 + 1 > 0" };
    struct kt_random random = sample_random();
    struct kt_schema *schema = rows_schema();
    struct kt_batch *whole = rows_batch(&random, schema, 400);
    int ruled_out = 0, all = 0;
    for (int i = 0; i < 12000; i++) {
        char text[256];
        uint64_t bits[1] = { 0 };
        size_t c = kt_random_below(&random, sizeof columns / sizeof columns[0]);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, shapes[kt_random_below(&random, sizeof shapes / sizeof shapes[0])],
                 columns[c], values[c][kt_random_below(&random, 4)], values[c][kt_random_below(&random, 4)]);
#pragma GCC diagnostic pop
        struct kt_batch *few = NULL;
        int64_t rows = 1 + (int64_t)kt_random_below(&random, 3);
        assert_ok(kt_batch_slice(whole, (int64_t)kt_random_below(&random, 397), rows, &few, &oops));
        assert_true(rows_eval(text, few, NULL, bits));
        enum kt_verdict verdict = judge(text, few);
        int passed = __builtin_popcountll(bits[0]);
        if (verdict == KT_NO_ROW && passed)
            fail_msg("%s: %d of %lld rows pass, none should", text, passed, (long long)rows);
        if (verdict == KT_EVERY_ROW && passed < rows)
            fail_msg("%s: %d of %lld rows pass, all should", text, passed, (long long)rows);
        ruled_out += verdict == KT_NO_ROW;
        all += verdict == KT_EVERY_ROW;
        kt_batch_release(few);
    }
    print_message("%d blocks ruled out, %d whole\n", ruled_out, all);
    assert_true(ruled_out > 4000 && all > 1500);
    kt_batch_release(whole);
    kt_schema_release(schema);
}

/* ---- what must be ruled out ---- */

/* Numbers 10..19, none null; and texts that begin with 64 times 'k' and end in a digit. */
static struct kt_batch *ten_rows(bool with_null)
{
    static char n[] = "n", f[] = "f", t[] = "t";
    struct kt_field fields[] = { sample_field(n, KT_INT32), sample_field(f, KT_FLOAT64),
                                 sample_field(t, KT_UTF8) };
    struct kt_schema *schema = NULL;
    struct kt_batch *batch = NULL;
    assert_ok(kt_schema_new(fields, 3, NULL, &schema, &oops));
    for (int i = 0; i < 3; i++) schema->fields[i].id = 10 + i;
    assert_ok(kt_batch_new(schema, 10, &batch, &oops));
    int32_t *numbers = kt_batch_block(batch, 40), *offsets = kt_batch_block(batch, 44);
    double *floats = kt_batch_block(batch, 80);
    uint8_t *data = kt_batch_block(batch, 700), *valid = kt_batch_block(batch, 2);
    kt_bits_fill(valid, 0, 10, true);
    kt_bit_clear(valid, 4);
    memset(data, 'k', 700);
    for (int i = 0; i <= 10; i++) offsets[i] = 65 * i;
    for (int i = 0; i < 10; i++) {
        numbers[i] = 10 + i;
        floats[i] = i == 3 && with_null ? (double)NAN : i;
        data[65 * i + 64] = (uint8_t)('0' + i);
    }
    for (int i = 0; i < 3; i++) {
        batch->columns[i].length = 10;
        if (with_null) batch->columns[i].validity = valid;
    }
    batch->columns[0].values = (uint8_t *)numbers;
    batch->columns[1].values = (uint8_t *)floats;
    batch->columns[2].values = (uint8_t *)offsets;
    batch->columns[2].data = data;
    kt_schema_release(schema);
    return batch;
}

#define K32 "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define K63 K32 "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define K64 K32 K32

static void blocks_without_a_row_are_ruled_out(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum kt_verdict without_null, with_null;
    } cases[] = {
        { "n < 10", KT_NO_ROW, KT_NO_ROW },
        { "n > 19", KT_NO_ROW, KT_NO_ROW },
        { "n >= 10", KT_EVERY_ROW, KT_SOME_ROWS },
        { "n = 15", KT_SOME_ROWS, KT_SOME_ROWS },
        { "n <> 25", KT_EVERY_ROW, KT_SOME_ROWS },
        { "n IN (1, 5, 25)", KT_NO_ROW, KT_NO_ROW },
        { "n IN (1, 12)", KT_SOME_ROWS, KT_SOME_ROWS },
        { "n NOT IN (1, 25)", KT_EVERY_ROW, KT_SOME_ROWS },
        { "n NOT IN (1, NULL)", KT_NO_ROW, KT_NO_ROW },
        { "n < 30 IS NOT FALSE", KT_EVERY_ROW, KT_EVERY_ROW },
        { "n IS NULL", KT_NO_ROW, KT_SOME_ROWS },
        { "n IS NOT NULL", KT_EVERY_ROW, KT_SOME_ROWS },
        { "n = 2.5", KT_NO_ROW, KT_NO_ROW },
        { "f >= 0", KT_EVERY_ROW, KT_SOME_ROWS },
        { "f > 100", KT_NO_ROW, KT_SOME_ROWS }, /* the NaN */
        { "f < -1", KT_NO_ROW, KT_NO_ROW },
        { "f <= 9 OR f IS NULL", KT_EVERY_ROW, KT_SOME_ROWS },
        { "n < 5 OR f < -5", KT_NO_ROW, KT_NO_ROW },
        { "n >= 5 AND f >= -5", KT_EVERY_ROW, KT_SOME_ROWS },
        { "n < 5 AND length(t) = 3", KT_NO_ROW, KT_NO_ROW },
        { "n > 5 OR length(t) = 3", KT_EVERY_ROW, KT_SOME_ROWS },
        { "NOT (n > 5)", KT_NO_ROW, KT_NO_ROW },
        { "t < 'k'", KT_NO_ROW, KT_NO_ROW },
        { "t > 'l'", KT_NO_ROW, KT_NO_ROW },
        { "t LIKE 'kk%'", KT_EVERY_ROW, KT_SOME_ROWS },
        { "t LIKE 'ka%'", KT_NO_ROW, KT_NO_ROW },
        { "t = '" K64 "5'", KT_SOME_ROWS, KT_SOME_ROWS }, /* beyond the cut the greatest is not known */
        { "t > '" K64 "z'", KT_SOME_ROWS, KT_SOME_ROWS },
        { "t >= '" K64 "'", KT_EVERY_ROW, KT_SOME_ROWS },
        { "t <= '" K64 "'", KT_SOME_ROWS, KT_SOME_ROWS },
        { "t >= '" K63 "l'", KT_NO_ROW, KT_NO_ROW }, /* the first text that none of them begins */
        { "t IN ('a', 'l')", KT_NO_ROW, KT_NO_ROW },
        { "_rowid < 5", KT_SOME_ROWS, KT_SOME_ROWS },
        { "true", KT_EVERY_ROW, KT_EVERY_ROW },
        { "NULL", KT_NO_ROW, KT_NO_ROW },
    };
    struct kt_batch *without = ten_rows(false), *with = ten_rows(true);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum kt_verdict first = judge(cases[i].text, without), second = judge(cases[i].text, with);
        if (first != cases[i].without_null) fail_msg("%s: %d", cases[i].text, (int)first);
        if (second != cases[i].with_null)
            fail_msg("%s: %d with a null and a NaN", cases[i].text, (int)second);
    }
    kt_batch_release(without);
    kt_batch_release(with);
}

static void statistics_that_say_little_rule_out_nothing(void **state)
{
    (void)state;
    static const char *const stats[] = {
        "{}",
        "{\"rows\": 10}",
        "{\"rows\": 10, \"columns\": []}",
        "{\"rows\": 10, \"columns\": [{\"id\": 99, \"nulls\": 0, \"min\": \"00000000\", \"max\": "
        "\"00000000\"}]}",
        "{\"rows\": 10, \"columns\": [{\"id\": 10, \"nulls\": 0}]}",
        "{\"rows\": 10, \"columns\": [{\"id\": 10, \"nulls\": 0, \"min\": \"zz\", \"max\": \"00000000\"}]}",
        "{\"rows\": 10, \"columns\": [{\"id\": 10, \"nulls\": 0, \"min\": \"00\", \"max\": \"01\"}]}",
        "{\"rows\": \"x\", \"columns\": [{\"id\": 10, \"nulls\": \"x\", \"min\": 7, \"max\": null}]}",
        "{\"rows\": 10, \"columns\": [{\"id\": 10, \"nulls\": 10}]}", /* all are null: this one says much */
    };
    struct kt_batch *batch = ten_rows(false);
    struct kt_filter *filter = rows_bind("n > 5", batch->schema, true);
    for (size_t i = 0; i < sizeof stats / sizeof stats[0]; i++) {
        json_t *json = json_loads(stats[i], 0, NULL);
        assert_non_null(json);
        bool last = i + 1 == sizeof stats / sizeof stats[0];
        if (kt_filter_judge(filter, json) != (last ? KT_NO_ROW : KT_SOME_ROWS)) fail_msg("%s", stats[i]);
        json_decref(json);
    }
    kt_filter_free(filter);
    kt_batch_release(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts_are_never_wrong),
        cmocka_unit_test(blocks_without_a_row_are_ruled_out),
        cmocka_unit_test(statistics_that_say_little_rule_out_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
