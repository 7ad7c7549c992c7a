/* Texts made to hurt: filters with bytes changed, cut, doubled and put together from pieces of others may be
 * refused, in words, but neither crash, nor leak, nor be read as something that does not come back. Worth
 * most under -DKITH_SANITIZE=address,undefined. */
#include "unit/filter/filter_doors.h"

enum { VARIANTS = 20000, ROOM = 4096 };

static const char *const sql[] = {
    "price >= 500 AND category IN ('cat03', 'cat07', \"x\") AND rating < 0.5 OR NOT (a IS NULL)",
    "CASE a WHEN 1 THEN 'x' WHEN -2.5e-3 THEN b || 'y' ELSE \"q\"\"q\" END LIKE 'a!%_' ESCAPE '!'",
    "CAST(x AS decimal(10, 2)) = y::timestamp(3) -- comment\n AND TRY_CAST(z AS double precision) IS NOT "
    "TRUE",
    "timestamp '2024-02-29T23:59:59.123456789+02:00' > t AND d = date '2024-02-29' /* c */ - interval '1 "
    "day'",
    "meta->>'a.b' = X'0fAB' AND l[-1].f['g'] IS NOT DISTINCT FROM `a b`.c AND array_has_any(t, ['x', NULL])",
    "a BETWEEN b AND c AND d NOT BETWEEN -1 AND +1 OR e NOT IN () AND f NOT ILIKE g AND h IN (?, :n) OR i IN "
    "?",
    "substr(lower(trim(a)), 1, 2) = round(b % 3 / 4 * 5 - - 6, 2) AND extract(year FROM c) <> "
    "18446744073709551615",
};
static const char *const json[] = {
    "{\"price\": {\"$lt\": 9.5, \"$gte\": 1}, \"tag\": {\"$in\": [\"a\", null, 3]}, \"$or\": [{\"new\": "
    "true}, {\"a.b\": -3}]}",
    "{\"$nor\": [{\"a\": {\"$not\": {\"$ne\": null, \"$exists\": false}}}, {\"$not\": {\"b\": {\"$nin\": "
    "[]}}}]}",
    "{\"operator\": \"AND\", \"conditions\": [{\"field\": \"meta.tag\", \"operator\": \"==\", \"value\": "
    "\"a\"},"
    "{\"operator\": \"NOT\", \"conditions\": [{\"field\": \"x\", \"operator\": \"not in\", \"value\": [1, "
    "2.5]}]}]}",
    "{\"a\": {\"$contains\": \"\\u00fc\\n'\\u0000\"}, \"b\": {\"$not_contains\": \"x\"}}",
};
enum { SQLS = sizeof sql / sizeof sql[0], JSONS = sizeof json / sizeof json[0] };

static size_t put(char *to, size_t at, const char *from, size_t count)
{
    if (at + count >= ROOM) count = ROOM - 1 - at;
    memmove(to + at, from, count);
    return at + count;
}

/* One change: a bit, a byte, a piece taken out, doubled, or replaced by one of another text. */
static size_t change(struct kt_random *random, char *text, size_t size, const char *const *others,
                     size_t count)
{
    static const char bytes[] = "'\"`()[]{},.:;?$-+*/%<>=!|&0129eExX \n\\\t\x80\xff\x01";
    char rest[ROOM];
    const char *other = others[kt_random_below(random, count)];
    size_t at = kt_random_below(random, size + 1), cut = kt_random_below(random, 12);
    size_t from = kt_random_below(random, strlen(other)),
           piece = kt_random_below(random, strlen(other) - from + 1);
    if (cut > size - at) cut = size - at;
    size_t tail = put(rest, 0, text + at + cut, size - at - cut);
    switch (kt_random_below(random, 6)) {
    case 0:
        if (at < size) text[at] ^= (char)(1 << kt_random_below(random, 8));
        return size;
    case 1:
        at = put(text, at, &bytes[kt_random_below(random, sizeof bytes - 1)], 1);
        return put(text, at, rest, tail);
    case 2:
        return put(text, at, rest, tail);
    case 3:
        at = put(text, at + cut, text + at, cut);
        return put(text, at, rest, tail);
    case 4:
        return at;
    default:
        at = put(text, at, other + from, piece);
        return put(text, at, rest, tail);
    }
}

static size_t mutant(struct kt_random *random, char *text, const char *const *seeds, size_t count)
{
    const char *seed = seeds[kt_random_below(random, count)];
    size_t size = put(text, 0, seed, strlen(seed));
    for (uint64_t i = kt_random_below(random, 5) + 1; i > 0; i--)
        size = change(random, text, size, seeds, count);
    text[size] = '\0';
    return size;
}

/* A tree that was read is whole, and comes back where SQL can write it. */
static bool settle(kith_status status, struct kt_expr *expr, const kith_error *error, const char *text)
{
    struct kt_buffer written = { 0 };
    kith_error unwritten;
    if (status) {
        assert_null(expr);
        if (status != KITH_INVALID || !error->message[0]) fail_msg("%s\nfailed as %d", text, (int)status);
        return false;
    }
    if (kt_expr_to_sql(expr, &written, &unwritten) == KITH_OK && written.size <= KT_FILTER_TEXT)
        assert_comes_back(expr);
    kt_buffer_release(&written);
    kt_expr_release(expr);
    return true;
}

static bool use_sql(const char *text)
{
    struct kt_value item = { .kind = KT_VALUE_INT, .integer = 7 };
    struct kt_parameter parameters[] = {
        { NULL, { .kind = KT_VALUE_TEXT, .text = (char[]){ "x'y" }, .size = 3 } },
        { NULL, { .kind = KT_VALUE_LIST, .items = &item, .count = 1 } },
        { "n", { .kind = KT_VALUE_NULL } },
    };
    struct kt_expr *expr = NULL;
    kith_error error = { 0 };
    /* With as many values as there are marks, so that texts with marks can be right as well. */
    size_t count = strstr(text, ":n") ? 3 : strchr(text, '?') ? 2 : 0;
    kith_status status = kt_expr_parse(text, parameters, count, &expr, &error);
    return settle(status, expr, &error, text);
}

static bool use_json(const char *text, size_t size)
{
    struct kt_expr *expr = NULL;
    kith_error error = { 0 };
    kith_status status = kt_expr_from_json(text, size, &expr, &error);
    return settle(status, expr, &error, text);
}

static void changed_sql_is_refused_in_words_or_read(void **state)
{
    (void)state;
    struct kt_random random = door_random();
    char text[ROOM];
    int read = 0;
    for (size_t i = 0; i < SQLS; i++) assert_true(use_sql(sql[i]));
    for (int i = 0; i < VARIANTS; i++) {
        mutant(&random, text, sql, SQLS);
        read += use_sql(text);
    }
    print_message("%d of %d variants were filters\n", read, VARIANTS);
    assert_true(read > VARIANTS / 100 && read < VARIANTS);
}

static void changed_json_is_refused_in_words_or_read(void **state)
{
    (void)state;
    struct kt_random random = door_random();
    char text[ROOM];
    int read = 0;
    for (size_t i = 0; i < JSONS; i++) assert_true(use_json(json[i], strlen(json[i])));
    for (int i = 0; i < VARIANTS; i++) {
        size_t size = mutant(&random, text, json, JSONS);
        read += use_json(text, size);
    }
    print_message("%d of %d variants were filters\n", read, VARIANTS);
    assert_true(read > VARIANTS / 100 && read < VARIANTS);
}

static void random_bytes_are_refused_in_words(void **state)
{
    (void)state;
    struct kt_random random = door_random();
    char text[ROOM];
    for (int i = 0; i < VARIANTS; i++) {
        size_t size = kt_random_below(&random, 200);
        uint64_t range = kt_random_below(&random, 2) ? 256 : 96;
        for (size_t k = 0; k < size; k++)
            text[k] = (char)(kt_random_below(&random, range) + (range == 96 ? ' ' : 0));
        text[size] = '\0';
        use_sql(text);
        use_json(text, size);
    }
}

/* Every prefix of a filter: each token, and each part of one, is once the last. */
static void cut_filters_are_refused_in_words_or_read(void **state)
{
    (void)state;
    char text[ROOM];
    for (size_t i = 0; i < SQLS + JSONS; i++) {
        const char *seed = i < SQLS ? sql[i] : json[i - SQLS];
        for (size_t size = strlen(seed); size-- > 0;) {
            text[put(text, 0, seed, size)] = '\0';
            if (i < SQLS)
                use_sql(text);
            else
                assert_false(use_json(text, size));
        }
    }
}

/* 64 KiB of one thing: what nests, what piles up, what does not end. */
static void as_much_as_is_allowed_of_one_thing(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "(",
        ")",
        "[",
        "]",
        "a ",
        "a AND ",
        "NOT ",
        "- ",
        "+",
        "a[",
        "a(",
        "a.",
        "a::",
        "'",
        "''",
        "\"",
        "`",
        "1",
        "1.",
        "x'",
        "?",
        ":a",
        "--",
        "/*",
        "case ",
        "case when a then ",
        "cast(",
        "a = ",
        "a < ",
        "a in (",
        "a like b escape ",
        "a between ",
        "a, ",
        "null ",
        "a is not ",
        "date '",
        ";",
        "\\",
        "{\"a\":",
        "[{",
        "(a IN (",
        "a||",
        "{\"$not\":",
        "{\"$and\":[",
        "a -> ",
        "greatest(a,",
        "1e",
        ".",
        "date",
    };
    char *text = kt_alloc(KT_FILTER_TEXT + 1);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        size_t size = strlen(pieces[i]), at = 0;
        for (; at + size <= KT_FILTER_TEXT; at += size) memcpy(text + at, pieces[i], size);
        text[at] = '\0';
        use_sql(text);
        use_json(text, at);
    }
    kt_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_sql_is_refused_in_words_or_read),
        cmocka_unit_test(changed_json_is_refused_in_words_or_read),
        cmocka_unit_test(random_bytes_are_refused_in_words),
        cmocka_unit_test(cut_filters_are_refused_in_words_or_read),
        cmocka_unit_test(as_much_as_is_allowed_of_one_thing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
