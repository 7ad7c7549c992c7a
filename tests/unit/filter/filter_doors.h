/* Trees to try doors on: parsed, compared, written and read again, and random ones from a seed. */
#ifndef KT_TESTS_FILTER_DOORS_H
#define KT_TESTS_FILTER_DOORS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "filter/filter_private.h"

/* A test that fails prints its seed; KITH_SEED repeats it. */
static inline struct kt_random door_random(void)
{
    const char *given = getenv("KITH_SEED");
    struct kt_random random = { given ? strtoull(given, NULL, 10) : 20240611 };
    print_message("seed %llu\n", (unsigned long long)random.state);
    return random;
}

static kith_error oops; /* where calls that must succeed say why they did not */

static inline void assert_says(const kith_error *error, kith_status status, const char *words)
{
    if (!strstr(error->message, words)) fail_msg("\"%s\" does not say \"%s\"", error->message, words);
    assert_int_equal(error->status, status);
}

/* ---- in and out ---- */

static inline struct kt_expr *parse(const char *text)
{
    struct kt_expr *expr = NULL;
    if (kt_expr_parse(text, NULL, 0, &expr, &oops)) fail_msg("%s\n%s", text, oops.message);
    return expr;
}

static inline struct kt_expr *from_json(const char *text)
{
    struct kt_expr *expr = NULL;
    if (kt_expr_from_json(text, strlen(text), &expr, &oops)) fail_msg("%s\n%s", text, oops.message);
    return expr;
}

/* To be freed with kt_free(). */
static inline char *to_sql(const struct kt_expr *expr)
{
    struct kt_buffer text = { 0 };
    if (kt_expr_to_sql(expr, &text, &oops)) fail_msg("%s", oops.message);
    assert_true(kt_buffer_append(&text, "", 1));
    return (char *)text.data;
}

static inline void assert_refused(const char *text, const char *words)
{
    struct kt_expr *expr = NULL;
    kith_error error = { 0 };
    if (kt_expr_parse(text, NULL, 0, &expr, &error) == KITH_OK) fail_msg("%s\nwas read", text);
    assert_null(expr);
    assert_says(&error, KITH_INVALID, words);
}

static inline void assert_json_refused(const char *text, const char *words)
{
    struct kt_expr *expr = NULL;
    kith_error error = { 0 };
    if (kt_expr_from_json(text, strlen(text), &expr, &error) == KITH_OK) fail_msg("%s\nwas read", text);
    assert_null(expr);
    assert_says(&error, KITH_INVALID, words);
}

/* ---- the same tree ---- */

static inline bool same_value(const struct kt_value *a, const struct kt_value *b)
{
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case KT_VALUE_NULL:
        return true;
    case KT_VALUE_BOOL:
        return a->boolean == b->boolean;
    case KT_VALUE_UINT:
        return a->natural == b->natural;
    case KT_VALUE_FLOAT: /* a NaN is one, whatever its bits; -0 is not 0 */
        return isnan(a->number) ? isnan(b->number) : memcmp(&a->number, &b->number, sizeof a->number) == 0;
    case KT_VALUE_TEXT:
    case KT_VALUE_BYTES:
        return a->size == b->size && memcmp(a->text, b->text, a->size) == 0;
    case KT_VALUE_LIST:
        for (size_t i = 0; i < a->count; i++)
            if (i >= b->count || !same_value(&a->items[i], &b->items[i])) return false;
        return a->count == b->count;
    default:
        return a->integer == b->integer && a->scale == b->scale && a->months == b->months &&
               a->days == b->days && a->nanos == b->nanos && a->utc == b->utc;
    }
}

static inline bool same_tree(const struct kt_expr *a, const struct kt_expr *b)
{
    if (a->fn != b->fn || a->count != b->count || a->path_count != b->path_count || a->quoted != b->quoted ||
        !a->type != !b->type || a->depth != b->depth || a->nodes != b->nodes)
        return false;
    if (!same_value(&a->value, &b->value)) return false;
    if (a->type && !kt_field_same_type(a->type, b->type)) return false;
    for (uint32_t i = 0; i < a->path_count; i++)
        if (strcmp(a->path[i], b->path[i]) != 0) return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!same_tree(a->args[i], b->args[i])) return false;
    return true;
}

/* Written as SQL and read again, it is what it was. */
static inline void assert_comes_back(const struct kt_expr *expr)
{
    char *text = to_sql(expr);
    struct kt_expr *again = parse(text);
    if (!same_tree(expr, again)) {
        char *other = to_sql(again);
        fail_msg("%s\ncame back as\n%s", text, other);
    }
    kt_expr_release(again);
    kt_free(text);
}

/* ---- random trees ---- */

static inline struct kt_value random_text(struct kt_random *random)
{
    static const char *const pieces[] = { "a",  "'",    "''", "\"", "`",  ";",    "--",
                                          "/*", "*/",   "%",  "_",  "\\", "\n",   " OR 1=1",
                                          "ü",  "日本", "\t", "?",  ":x", "date", "\x7f" };
    struct kt_buffer text = { 0 };
    for (uint64_t i = kt_random_below(random, 5); i > 0; i--) {
        const char *piece = pieces[kt_random_below(random, sizeof pieces / sizeof pieces[0])];
        assert_true(kt_buffer_append(&text, piece, strlen(piece)));
    }
    size_t size = text.size;
    assert_true(kt_buffer_append(&text, "", 1));
    return (struct kt_value){ .kind = KT_VALUE_TEXT, .text = (char *)text.data, .size = size };
}

/* Numbers of all sizes: so many random bits. */
static inline int64_t random_integer(struct kt_random *random)
{
    uint64_t bits = kt_random_u64(random) >> kt_random_below(random, 64);
    return kt_random_below(random, 20) ? (int64_t)bits * (kt_random_below(random, 2) ? 1 : -1) : INT64_MIN;
}

static inline double random_double(struct kt_random *random)
{
    static const double odd[] = { 0.0, -0.0, 1.0, -1.5, 1e300, 5e-324, INFINITY, -INFINITY, NAN };
    uint64_t bits = kt_random_u64(random);
    double number;
    memcpy(&number, &bits, sizeof number);
    return kt_random_below(random, 2) ? number : odd[kt_random_below(random, sizeof odd / sizeof odd[0])];
}

static inline struct kt_value random_scalar(struct kt_random *random)
{
    struct kt_value value = { .kind = (enum kt_value_kind)kt_random_below(random, KT_VALUE_LIST) };
    int64_t integer = random_integer(random);
    switch (value.kind) {
    case KT_VALUE_NULL:
        break;
    case KT_VALUE_BOOL:
        value.boolean = integer & 1;
        break;
    case KT_VALUE_UINT:
        value.natural = (uint64_t)INT64_MAX + 1 + (kt_random_u64(random) >> 1);
        break;
    case KT_VALUE_FLOAT:
        value.number = random_double(random);
        break;
    case KT_VALUE_TEXT:
        return random_text(random);
    case KT_VALUE_BYTES:
        value = random_text(random);
        value.kind = KT_VALUE_BYTES;
        break;
    case KT_VALUE_DECIMAL:
        value.integer = integer;
        value.scale = (int32_t)kt_random_below(random, 20);
        break;
    case KT_VALUE_DATE:
        value.integer = integer >> 33;
        break;
    case KT_VALUE_TIME:
        value.integer = (int64_t)kt_random_below(random, (uint64_t)86400 * 1000000);
        value.nanos = (uint32_t)kt_random_below(random, 2) * 17;
        break;
    case KT_VALUE_TIMESTAMP:
        value.integer = integer;
        value.nanos = (uint32_t)kt_random_below(random, 2) * 999;
        value.utc = kt_random_below(random, 2);
        break;
    case KT_VALUE_INTERVAL:
        value.integer = integer;
        value.months = (int32_t)(integer >> 40);
        value.days = (int32_t)kt_random_below(random, 3) - 1;
        break;
    default:
        value.integer = integer;
    }
    return value;
}

static inline struct kt_expr *random_leaf(struct kt_random *random)
{
    static const char *const names[] = { "a",   "price",  "date", "when",   "a b",       "Ünï", "x`y",
                                         "1st", "select", "in",   "_rowid", "timestamp", "" };
    struct kt_expr *expr = NULL;
    kith_status status;
    if (kt_random_below(random, 2)) {
        const char *path[3];
        uint32_t count = 1 + (uint32_t)kt_random_below(random, 3);
        for (uint32_t i = 0; i < count; i++)
            path[i] = names[kt_random_below(random, sizeof names / sizeof names[0])];
        status = kt_expr_column(path, count, &expr, &oops);
        if (!status) expr->quoted = count == 1 && kt_random_below(random, 3) == 0;
    } else {
        struct kt_value value = random_scalar(random);
        if (kt_random_below(random, 10) == 0) {
            struct kt_value list = { .kind = KT_VALUE_LIST, .items = kt_alloc_zero(3, sizeof *list.items) };
            list.items[list.count++] = value;
            for (; list.count < 3; list.count++) list.items[list.count] = random_scalar(random);
            value = list;
        }
        status = kt_expr_literal(&value, &expr, &oops);
    }
    if (status) fail_msg("%s", oops.message);
    return expr;
}

/* A tree of any shape, types aside. */
static inline struct kt_expr *random_tree(struct kt_random *random, uint32_t depth)
{
    static const char *const types[] = { "int",           "uint64",       "double",      "text",
                                         "decimal(10,2)", "timestamp(9)", "timestamptz", "interval" };
    struct kt_expr *args[4], *expr = NULL;
    kith_status status;
    if (!depth || kt_random_below(random, 6) == 0) return random_leaf(random);
    enum kt_fn fn = (enum kt_fn)(KT_FN_AND + kt_random_below(random, KT_FNS - KT_FN_AND));
    if (fn == KT_FN_CAST || fn == KT_FN_TRY_CAST) {
        const char *type = types[kt_random_below(random, sizeof types / sizeof types[0])];
        args[0] = random_tree(random, depth - 1);
        status = kt_expr_cast_as(fn, args[0], type, strlen(type), &expr, &oops);
    } else {
        uint32_t count = 0, most = (uint32_t)kt_random_below(random, 5);
        while (kt_fn_check_count(fn, most, NULL)) most = (most + 1) % 5;
        for (; count < most; count++) args[count] = random_tree(random, depth - 1);
        status = kt_expr_make(fn, args, count, &expr, &oops);
    }
    if (status) fail_msg("%s", oops.message);
    return expr;
}

/* `before`, `piece` so many times, `after`; to be freed with kt_free(). */
static inline char *repeated(const char *before, const char *piece, size_t count, const char *after)
{
    struct kt_buffer text = { 0 };
    assert_true(kt_buffer_append(&text, before, strlen(before)));
    for (size_t i = 0; i < count; i++) assert_true(kt_buffer_append(&text, piece, strlen(piece)));
    assert_true(kt_buffer_append(&text, after, strlen(after) + 1));
    return (char *)text.data;
}

#endif
