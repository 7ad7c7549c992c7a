/* Changing types: what is kept, what is refused, what happens to bad vectors. */
#include <math.h>

#include "unit/column/column_samples.h"

/* A batch of one column from values that lie in memory. */
static struct kt_batch *numbers(struct kt_schema *schema, const void *values, int64_t rows)
{
    struct kt_builder *builder = NULL;
    struct kt_batch *batch = NULL;
    assert_ok(kt_builder_new(schema, rows, &builder, &oops));
    assert_ok(kt_builder_append_values(builder, 0, values, rows, &oops));
    assert_ok(kt_builder_finish(builder, &batch, &oops));
    return batch;
}

/* Lists of `count` floats each; a count of -1 is a null. */
static struct kt_batch *lists(struct kt_schema *schema, const float *values, const int *counts, int64_t rows)
{
    struct kt_batch *batch = NULL;
    assert_ok(kt_batch_new(schema, rows, &batch, &oops));
    int32_t *offsets = kt_batch_block(batch, (size_t)(rows + 1) * 4);
    uint8_t *bits = kt_batch_block(batch, (size_t)rows / 8 + 1);
    kt_bits_fill(bits, 0, rows, true);
    offsets[0] = 0;
    for (int64_t i = 0; i < rows; i++) {
        offsets[i + 1] = offsets[i] + (counts[i] < 0 ? 0 : counts[i]);
        if (counts[i] < 0) kt_bit_clear(bits, (uint64_t)i);
    }
    float *copy = kt_batch_block(batch, (size_t)offsets[rows] * 4);
    memcpy(copy, values, (size_t)offsets[rows] * 4);
    struct kt_array *column = &batch->columns[0];
    column->length = rows;
    column->validity = bits;
    column->values = (const uint8_t *)offsets;
    column->children[0].length = offsets[rows];
    column->children[0].values = (const uint8_t *)copy;
    return batch;
}

static void assert_refused(struct kt_batch *batch, struct kt_schema *to, kith_status status,
                           const char *words)
{
    struct kt_batch *got = NULL;
    kith_error error = { 0 };
    assert_int_equal(kt_batch_cast(batch, to, &(struct kt_cast){ .first_row = 100 }, &got, &error), status);
    assert_says(&error, status, words);
    kt_batch_release(batch);
    kt_schema_release(to);
}

static void the_same_types_share_their_buffers(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    struct kt_schema *schema = sample_schema(), *other = NULL;
    struct kt_batch *batch = sample_batch(&random, schema, 50), *got = NULL;
    int vector = kt_schema_find(schema, "vector"), text = kt_schema_find(schema, "utf8");
    assert_ok(kt_schema_new(schema->fields, schema->count, NULL, &other, &oops));
    assert_ok(kt_batch_cast(batch, other, &(struct kt_cast){ .bad_vectors = KITH_BAD_NULL }, &got, &oops));
    assert_ptr_equal(got->columns[vector].children[0].values, batch->columns[vector].children[0].values);
    assert_ptr_equal(got->columns[text].data, batch->columns[text].data);
    kt_batch_release(batch);
    kt_batch_release(got);
    kt_schema_release(schema);
    kt_schema_release(other);
}

static void numbers_change_kind_where_nothing_is_lost(void **state)
{
    (void)state;
    static const enum kt_type types[] = { KT_INT8,   KT_INT16,  KT_INT32,   KT_INT64,   KT_UINT8,  KT_UINT16,
                                          KT_UINT32, KT_UINT64, KT_FLOAT16, KT_FLOAT32, KT_FLOAT64 };
    enum { TYPES = sizeof types / sizeof types[0], ROWS = 1500 };
    struct kt_schema *plain = sample_one("x", KT_INT8, KT_NULL);
    int8_t values[ROWS];
    for (int i = 0; i < ROWS; i++) values[i] = (int8_t)(i % 100);
    struct kt_batch *start = numbers(plain, values, ROWS);
    for (int a = 0; a < TYPES; a++)
        for (int b = 0; b < TYPES; b++) { /* there, on, and back */
            struct kt_schema *first = sample_one("x", types[a], KT_NULL),
                             *second = sample_one("x", types[b], KT_NULL);
            struct kt_batch *one = NULL, *two = NULL, *three = NULL;
            assert_ok(kt_batch_cast(start, first, NULL, &one, &oops));
            assert_ok(kt_batch_cast(one, second, NULL, &two, &oops));
            assert_ok(kt_batch_cast(two, plain, NULL, &three, &oops));
            assert_memory_equal(three->columns[0].values, values, ROWS);
            kt_batch_release(one);
            kt_batch_release(two);
            kt_batch_release(three);
            kt_schema_release(first);
            kt_schema_release(second);
        }
    kt_batch_release(start);
    kt_schema_release(plain);
}

static struct kt_batch *one_number(enum kt_type type, const void *value)
{
    struct kt_schema *schema = sample_one("x", type, KT_NULL);
    struct kt_batch *batch = numbers(schema, value, 1);
    kt_schema_release(schema);
    return batch;
}

static void numbers_that_do_not_fit_are_named(void **state)
{
    (void)state;
    int64_t large = 300, negative = -1, odd = ((int64_t)1 << 53) + 1;
    uint64_t huge = UINT64_MAX;
    double half = 1.5, wide = 1e300, not = NAN;
    assert_refused(one_number(KT_INT64, &large), sample_one("x", KT_INT8, KT_NULL), KITH_INVALID,
                   "row 100 has 300");
    assert_refused(one_number(KT_INT64, &negative), sample_one("x", KT_UINT64, KT_NULL), KITH_INVALID,
                   "has -1");
    assert_refused(one_number(KT_UINT64, &huge), sample_one("x", KT_INT64, KT_NULL), KITH_INVALID,
                   "18446744073709551615");
    assert_refused(one_number(KT_INT64, &odd), sample_one("x", KT_FLOAT64, KT_NULL), KITH_INVALID,
                   "9007199254740993");
    assert_refused(one_number(KT_FLOAT64, &half), sample_one("x", KT_INT32, KT_NULL), KITH_INVALID, "1.5");
    assert_refused(one_number(KT_FLOAT64, &not ), sample_one("x", KT_INT32, KT_NULL), KITH_INVALID, "nan");
    assert_refused(one_number(KT_FLOAT64, &wide), sample_one("x", KT_FLOAT32, KT_NULL), KITH_INVALID,
                   "e+300");
    assert_refused(one_number(KT_INT64, &large), sample_one("x", KT_UTF8, KT_NULL), KITH_TYPE,
                   "is string; int64");
    assert_refused(one_number(KT_INT64, &large), sample_one("x", KT_BOOL, KT_NULL), KITH_TYPE, "is bool");
}

static float half_value(uint16_t half)
{
    float sign = half & 0x8000 ? -1.0f : 1.0f;
    int exponent = (half >> 10) & 31, fraction = half & 1023;
    return exponent ? sign * ldexpf((float)(1024 + fraction), exponent - 25)
                    : sign * ldexpf((float)fraction, -24);
}

static void halves_round_to_the_nearest(void **state)
{
    (void)state;
    enum { ALL = 0x7c00 };
    struct kt_schema *half = sample_one("x", KT_FLOAT16, KT_NULL),
                     *single = sample_one("x", KT_FLOAT32, KT_NULL);
    uint16_t *halves = malloc(2 * ALL * sizeof *halves);
    float between[ALL];
    for (int i = 0; i < ALL; i++) {
        halves[i] = (uint16_t)i;
        halves[ALL + i] = (uint16_t)(0x8000 | i);
    }
    struct kt_batch *from = numbers(half, halves, 2 * ALL), *floats = NULL, *back = NULL;
    assert_ok(kt_batch_cast(from, single, NULL, &floats, &oops));
    for (int i = 0; i < 2 * ALL; i++)
        assert_true(((const float *)(const void *)floats->columns[0].values)[i] == half_value(halves[i]));
    assert_ok(kt_batch_cast(floats, half, NULL, &back, &oops));
    assert_memory_equal(back->columns[0].values, halves, 2 * ALL * sizeof *halves);
    kt_batch_release(from);
    kt_batch_release(floats);
    kt_batch_release(back);
    for (int i = 0; i < ALL - 1; i++)
        between[i] = (half_value((uint16_t)i) + half_value((uint16_t)(i + 1))) / 2; /* ties go to even */
    between[ALL - 1] = 0;
    from = numbers(single, between, ALL);
    assert_ok(kt_batch_cast(from, half, NULL, &back, &oops));
    for (int i = 0; i < ALL - 1; i++)
        assert_int_equal(((const uint16_t *)(const void *)back->columns[0].values)[i], i + (i & 1));
    kt_batch_release(from);
    kt_batch_release(back);
    kt_schema_release(half);
    kt_schema_release(single);
    free(halves);
}

static void nulls_hide_what_would_not_fit(void **state)
{
    (void)state;
    struct kt_schema *wide = sample_one("x", KT_INT64, KT_NULL), *narrow = sample_one("x", KT_INT8, KT_NULL);
    int64_t values[] = { 5, 5000, -7 };
    uint8_t bits = 0x05;
    struct kt_batch *batch = numbers(wide, values, 3), *got = NULL;
    batch->columns[0].validity = &bits;
    assert_ok(kt_batch_cast(batch, narrow, NULL, &got, &oops));
    assert_int_equal(kt_array_null_count(&got->columns[0]), 1);
    assert_int_equal(kt_array_integer(&got->columns[0], 2), -7);
    kt_batch_release(batch);
    kt_batch_release(got);
    kt_schema_release(wide);
    kt_schema_release(narrow);
}

static void texts_keep_their_bytes_in_every_form(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    static const enum kt_type forms[] = { KT_UTF8, KT_LARGE_UTF8, KT_DICTIONARY, KT_BINARY, KT_LARGE_BINARY };
    struct kt_schema *text = sample_one("x", KT_UTF8, KT_UTF8);
    struct kt_batch *whole = sample_batch(&random, text, 60), *start = NULL;
    assert_ok(kt_batch_slice(whole, 9, 40, &start, &oops));
    for (int a = 0; a < 5; a++)
        for (int b = 0; b < 5; b++) {
            if ((a >= 3) != (b >= 3) && b == 2) continue; /* binary is no dictionary of text */
            struct kt_schema *first = sample_one("x", forms[a], KT_UTF8),
                             *second = sample_one("x", forms[b], KT_UTF8);
            struct kt_batch *one = NULL, *two = NULL, *back = NULL;
            assert_ok(kt_batch_cast(start, first, NULL, &one, &oops));
            if (!(forms[a] == KT_DICTIONARY && b >= 3)) {
                assert_ok(kt_batch_cast(one, second, NULL, &two, &oops));
                assert_ok(kt_batch_cast(two, text, NULL, &back, &oops));
                assert_same_batch(start, back);
            }
            kt_batch_release(one);
            kt_batch_release(two);
            kt_batch_release(back);
            kt_schema_release(first);
            kt_schema_release(second);
        }
    kt_batch_release(whole);
    kt_batch_release(start);
    kt_schema_release(text);
}

static void bytes_that_are_not_utf8_do_not_become_text(void **state)
{
    (void)state;
    struct kt_schema *binary = sample_one("x", KT_BINARY, KT_NULL);
    struct kt_batch *batch = NULL;
    static const int32_t offsets[] = { 0, 1 };
    assert_ok(kt_batch_new(binary, 1, &batch, &oops));
    batch->columns[0] = (struct kt_array){ .field = &binary->fields[0],
                                           .length = 1,
                                           .values = (const uint8_t *)offsets,
                                           .data = (const uint8_t *)"\x80" };
    kt_schema_release(binary);
    assert_refused(batch, sample_one("x", KT_UTF8, KT_NULL), KITH_INVALID, "row 100 is not UTF-8");
}

static void times_change_unit_when_exact(void **state)
{
    (void)state;
    struct kt_schema *seconds = sample_one("x", KT_TIMESTAMP, KT_NULL),
                     *nanos = sample_one("x", KT_TIMESTAMP, KT_NULL);
    seconds->fields[0].unit = KT_SECOND;
    nanos->fields[0].unit = KT_NANOSECOND;
    int64_t values[] = { 3, -4 }, odd[] = { 1 }, far[] = { INT64_MAX / 1000 };
    struct kt_batch *batch = numbers(seconds, values, 2), *got = NULL, *back = NULL;
    assert_ok(kt_batch_cast(batch, nanos, NULL, &got, &oops));
    assert_int_equal(kt_array_integer(&got->columns[0], 1), -4000000000);
    assert_ok(kt_batch_cast(got, seconds, NULL, &back, &oops));
    assert_same_batch(batch, back);
    kt_batch_release(batch);
    kt_batch_release(got);
    kt_batch_release(back);
    assert_refused(numbers(nanos, odd, 1), kt_schema_share(seconds), KITH_INVALID, "1 ns");
    assert_refused(numbers(seconds, far, 1), kt_schema_share(nanos), KITH_INVALID, "cannot hold exactly");
    kt_schema_release(seconds);
    kt_schema_release(nanos);
}

static struct kt_schema *decimals(int32_t precision, int32_t scale)
{
    struct kt_schema *schema = sample_one("x", KT_DECIMAL128, KT_NULL);
    schema->fields[0].width = precision;
    schema->fields[0].scale = scale;
    return schema;
}

static struct kt_batch *one_decimal(int32_t precision, int32_t scale, int64_t high, uint64_t low)
{
    struct kt_schema *schema = decimals(precision, scale);
    uint64_t value[] = { low, (uint64_t)high };
    struct kt_batch *batch = numbers(schema, value, 1);
    kt_schema_release(schema);
    return batch;
}

static void decimals_change_their_digits_when_exact(void **state)
{
    (void)state;
    struct kt_schema *money = decimals(10, 2), *wide = decimals(38, 4);
    int64_t values[] = { 1250, 0, -7, -1, 9999999999, 0 };
    struct kt_batch *batch = numbers(money, values, 3), *got = NULL, *back = NULL;
    assert_ok(kt_batch_cast(batch, wide, NULL, &got, &oops));
    assert_int_equal(kt_get_u64(got->columns[0].values), 125000);
    assert_int_equal(kt_get_u64(got->columns[0].values + 16), (uint64_t)-700);
    assert_int_equal(kt_get_u64(got->columns[0].values + 24), UINT64_MAX);
    assert_ok(kt_batch_cast(got, money, NULL, &back, &oops));
    assert_same_batch(batch, back);
    kt_batch_release(batch);
    kt_batch_release(got);
    kt_batch_release(back);
    assert_refused(one_decimal(38, 4, 0, 12345), kt_schema_share(money), KITH_INVALID,
                   "\"x\" is decimal128(10, 2); row 100 has 1.2345, which does not fit");
    assert_refused(one_decimal(38, 2, -1, (uint64_t)-5), decimals(10, 1), KITH_INVALID, "has -0.05,");
    assert_refused(one_decimal(38, 0, 0, 100000000), kt_schema_share(money), KITH_INVALID, "has 100000000,");
    assert_refused(one_decimal(38, 0, INT64_MAX / 16, 0), decimals(38, 30), KITH_INVALID, "does not fit");
    assert_refused(one_decimal(38, -40, 0, 3), kt_schema_share(money), KITH_INVALID, "has 3e40,");
    kt_schema_release(money);
    kt_schema_release(wide);
}

static void whole_numbers_become_decimals(void **state)
{
    (void)state;
    int64_t values[] = { 5, -3, 70 };
    uint64_t huge = UINT64_MAX;
    uint8_t bits = 0x03;
    double half = 0.5;
    struct kt_schema *integers = sample_one("x", KT_INT64, KT_NULL), *one_digit = decimals(2, 1),
                     *many = decimals(38, 1);
    struct kt_batch *batch = numbers(integers, values, 3), *got = NULL;
    batch->columns[0].validity = &bits; /* and 70 is forgiven under a null */
    assert_ok(kt_batch_cast(batch, one_digit, NULL, &got, &oops));
    assert_int_equal(kt_array_null_count(&got->columns[0]), 1);
    assert_int_equal(kt_get_u64(got->columns[0].values + 16), (uint64_t)-30);
    kt_batch_release(batch);
    kt_batch_release(got);
    batch = one_number(KT_UINT64, &huge);
    assert_ok(kt_batch_cast(batch, many, NULL, &got, &oops));
    assert_int_equal(kt_get_u64(got->columns[0].values + 8), 9); /* 10 times as much is 9 * 2^64 and a rest */
    kt_batch_release(batch);
    kt_batch_release(got);
    assert_refused(one_number(KT_INT64, &values[2]), kt_schema_share(one_digit), KITH_INVALID, "has 70,");
    assert_refused(one_number(KT_FLOAT64, &half), kt_schema_share(one_digit), KITH_TYPE, "double does not");
    kt_schema_release(integers);
    kt_schema_release(one_digit);
    kt_schema_release(many);
}

/* ---- columns ---- */

static void columns_are_matched_by_name(void **state)
{
    (void)state;
    struct kt_field fields[] = { sample_field(sample_names[1], KT_INT64),
                                 sample_field(sample_names[0], KT_INT32) };
    struct kt_schema *to = NULL, *from = sample_one("a", KT_INT32, KT_NULL),
                     *unknown = sample_one("q", KT_INT32, KT_NULL);
    struct kt_batch *got = NULL;
    int32_t values[] = { 1, 2 };
    struct kt_batch *batch = numbers(from, values, 2);
    assert_ok(kt_schema_new(fields, 2, NULL, &to, &oops));
    assert_ok(kt_batch_cast(batch, to, NULL, &got, &oops));
    assert_int_equal(kt_array_null_count(&got->columns[0]), 2);
    assert_int_equal(kt_array_integer(&got->columns[1], 1), 2);
    kt_batch_release(got);
    kt_schema_release(to);
    fields[0].nullable = false;
    assert_ok(kt_schema_new(fields, 2, NULL, &to, &oops));
    assert_refused(batch, to, KITH_TYPE, "\"b\" is missing");
    assert_ok(kt_schema_new(fields, 2, NULL, &to, &oops));
    assert_refused(numbers(unknown, values, 2), to, KITH_INVALID,
                   "\"q\" does not exist in the table schema; its columns are \"b\", \"a\"");
    fields[0] = fields[1];
    struct kt_schema *twice = NULL;
    assert_ok(kt_schema_new(fields, 2, NULL, &twice, &oops));
    assert_ok(kt_batch_new(twice, 0, &batch, &oops));
    kt_schema_release(twice);
    assert_refused(batch, kt_schema_share(from), KITH_INVALID, "two columns of the data are named \"a\"");
    kt_schema_release(from);
    kt_schema_release(unknown);
}

static void null_columns_become_anything(void **state)
{
    (void)state;
    struct kt_schema *all = sample_schema();
    for (uint32_t i = 0; i < all->count; i++) {
        struct kt_schema *nothing = sample_one(all->fields[i].name, KT_NULL, KT_NULL), *to = NULL;
        struct kt_batch *batch = NULL, *got = NULL;
        assert_ok(kt_batch_new(nothing, 5, &batch, &oops));
        batch->columns[0].length = 5;
        assert_ok(kt_schema_new(&all->fields[i], 1, NULL, &to, &oops));
        assert_ok(kt_batch_cast(batch, to, NULL, &got, &oops));
        assert_int_equal(kt_array_null_count(&got->columns[0]), 5);
        kt_batch_release(batch);
        kt_batch_release(got);
        kt_schema_release(nothing);
        kt_schema_release(to);
    }
    kt_schema_release(all);
}

/* ---- vectors ---- */

static struct kt_batch *cast_lists(const float *values, const int *counts, int64_t rows, kith_bad_vectors bad)
{
    struct kt_schema *list = sample_one("vector", KT_LIST, KT_FLOAT32),
                     *vector = sample_one("vector", KT_FIXED_LIST, KT_FLOAT32);
    struct kt_batch *batch = lists(list, values, counts, rows), *got = NULL;
    assert_ok(
        kt_batch_cast(batch, vector, &(struct kt_cast){ .bad_vectors = bad, .fill_value = 9 }, &got, &oops));
    kt_batch_release(batch);
    kt_schema_release(list);
    kt_schema_release(vector);
    return got;
}

static void assert_vector(const struct kt_array *vectors, int64_t row, float a, float b, float c)
{
    float expected[] = { a, b, c };
    assert_false(kt_array_null(vectors, row));
    assert_memory_equal(kt_array_vector(vectors, row), expected, sizeof expected);
}

static void lists_of_one_length_are_vectors_as_they_lie(void **state)
{
    (void)state;
    struct kt_schema *list = sample_one("vector", KT_LIST, KT_FLOAT32),
                     *vector = sample_one("vector", KT_FIXED_LIST, KT_FLOAT32);
    float values[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
    struct kt_batch *batch = lists(list, values, (int[]){ 3, 3, 3 }, 3), *slice = NULL, *got = NULL;
    assert_ok(kt_batch_slice(batch, 1, 2, &slice, &oops));
    assert_ok(kt_batch_cast(slice, vector, NULL, &got, &oops));
    assert_ptr_equal(kt_array_vector(&got->columns[0], 0), batch->columns[0].children[0].values + 12);
    assert_vector(&got->columns[0], 1, 7, 8, 9);
    kt_batch_release(batch);
    kt_batch_release(slice);
    kt_batch_release(got);
    kt_schema_release(list);
    kt_schema_release(vector);
}

static const float ragged[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
static const int ragged_counts[] = { 3, 2, -1, 4, 3 };

static void vectors_of_a_wrong_length_are_refused_with_both_numbers(void **state)
{
    (void)state;
    struct kt_schema *list = sample_one("vector", KT_LIST, KT_FLOAT32);
    assert_refused(lists(list, ragged, ragged_counts, 5), sample_one("vector", KT_FIXED_LIST, KT_FLOAT32),
                   KITH_INVALID, "column \"vector\" holds 3 numbers a vector, row 101 has 2");
    kt_schema_release(list);
}

static void vectors_of_a_wrong_length_are_dropped_filled_or_null(void **state)
{
    (void)state;
    struct kt_batch *got = cast_lists(ragged, ragged_counts, 5, KITH_BAD_DROP);
    assert_int_equal(got->rows, 3);
    assert_vector(&got->columns[0], 0, 1, 2, 3);
    assert_true(kt_array_null(&got->columns[0], 1));
    assert_vector(&got->columns[0], 2, 10, 11, 12);
    kt_batch_release(got);
    got = cast_lists(ragged, ragged_counts, 5, KITH_BAD_FILL);
    assert_vector(&got->columns[0], 1, 4, 5, 9);
    assert_true(kt_array_null(&got->columns[0], 2));
    assert_vector(&got->columns[0], 3, 6, 7, 8);
    kt_batch_release(got);
    got = cast_lists(ragged, ragged_counts, 5, KITH_BAD_NULL);
    assert_int_equal(kt_array_null_count(&got->columns[0]), 3);
    assert_vector(&got->columns[0], 4, 10, 11, 12);
    kt_batch_release(got);
}

static void nan_and_infinity_are_refused_dropped_filled_or_null(void **state)
{
    (void)state;
    const float values[] = { 1, 2, 3, 4, NAN, 6, 7, 8, -INFINITY, 10, 11, 12 };
    const int counts[] = { 3, 3, 3, 3 };
    struct kt_schema *list = sample_one("vector", KT_LIST, KT_FLOAT32);
    assert_refused(lists(list, values, counts, 4), sample_one("vector", KT_FIXED_LIST, KT_FLOAT32),
                   KITH_INVALID, "row 101 has NaN");
    assert_refused(lists(list, values, counts, 4), sample_one("vector", KT_FIXED_LIST, KT_FLOAT32),
                   KITH_INVALID, "'drop', 'fill' or 'null'");
    kt_schema_release(list);
    struct kt_batch *got = cast_lists(values, counts, 4, KITH_BAD_DROP);
    assert_int_equal(got->rows, 2);
    assert_vector(&got->columns[0], 1, 10, 11, 12);
    kt_batch_release(got);
    got = cast_lists(values, counts, 4, KITH_BAD_FILL);
    assert_vector(&got->columns[0], 1, 4, 9, 6);
    assert_vector(&got->columns[0], 2, 7, 8, 9);
    kt_batch_release(got);
    got = cast_lists(values, counts, 4, KITH_BAD_NULL);
    assert_int_equal(kt_array_null_count(&got->columns[0]), 2);
    assert_vector(&got->columns[0], 3, 10, 11, 12);
    kt_batch_release(got);
}

static void repaired_vectors_keep_the_nulls_of_their_slice(void **state)
{
    (void)state;
    struct kt_schema *vector = sample_one("vector", KT_FIXED_LIST, KT_FLOAT32);
    float values[] = { 1, 2, 3, 0, 0, 0, 7, NAN, 9, NAN, NAN, NAN };
    uint8_t bits = 0x05; /* rows 1 and 3 are null */
    for (int bad = KITH_BAD_FILL; bad <= KITH_BAD_NULL; bad++) {
        struct kt_batch *batch = NULL, *slice = NULL, *got = NULL;
        assert_ok(kt_batch_new(vector, 4, &batch, &oops));
        batch->columns[0].length = 4;
        batch->columns[0].validity = &bits;
        batch->columns[0].children[0].length = 12;
        batch->columns[0].children[0].values = (const uint8_t *)values;
        assert_ok(kt_batch_slice(batch, 1, 3, &slice, &oops));
        assert_ok(kt_batch_cast(slice, vector,
                                &(struct kt_cast){ .bad_vectors = (kith_bad_vectors)bad, .fill_value = 8 },
                                &got, &oops));
        assert_true(kt_array_null(&got->columns[0], 0));
        assert_true(kt_array_null(&got->columns[0], 2));
        if (bad == KITH_BAD_FILL)
            assert_vector(&got->columns[0], 1, 7, 8, 9);
        else
            assert_true(kt_array_null(&got->columns[0], 1));
        kt_batch_release(batch);
        kt_batch_release(slice);
        kt_batch_release(got);
    }
    kt_schema_release(vector);
}

/* ---- the schema a table stores ---- */

static void names_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *words;
    } names[] = {
        { "", "no name" }, { "a.b", "'.'" }, { "_rowid", "reserved" }, { "_distance", "reserved" }
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct kt_schema *schema = sample_one(names[i].name, KT_INT32, KT_NULL), *got = NULL;
        kith_error error = { 0 };
        assert_int_equal(kt_schema_normalize(schema, NULL, &got, &error), KITH_INVALID);
        assert_says(&error, KITH_INVALID, names[i].words);
        kt_schema_release(schema);
    }
    struct kt_field twins[] = { sample_field(sample_names[0], KT_INT32),
                                sample_field(sample_names[0], KT_UTF8) };
    struct kt_schema *schema = NULL, *got = NULL;
    kith_error error = { 0 };
    assert_ok(kt_schema_new(twins, 2, NULL, &schema, &oops));
    assert_int_equal(kt_schema_normalize(schema, NULL, &got, &error), KITH_INVALID);
    assert_says(&error, KITH_INVALID, "two columns are named \"a\"");
    kt_schema_release(schema);
}

static void lists_named_like_vectors_become_vectors(void **state)
{
    (void)state;
    struct kt_schema *list = sample_one("My_Embedding", KT_LIST, KT_FLOAT32),
                     *other = sample_one("scores", KT_LIST, KT_FLOAT32), *got = NULL;
    struct kt_batch *batch = lists(list, ragged, ragged_counts, 5),
                    *scores = lists(other, ragged, ragged_counts, 5);
    char text[80];
    assert_ok(kt_schema_normalize(list, batch, &got, &oops));
    kt_field_type_text(&got->fields[0], text, sizeof text);
    assert_string_equal(text, "fixed_size_list<float>[3]");
    assert_int_equal(got->fields[0].id, 0);
    assert_int_equal(got->fields[0].children[0].id, 1);
    kt_schema_release(got);
    assert_ok(kt_schema_normalize(list, NULL, &got, &oops));
    assert_int_equal(got->fields[0].type, KT_LIST);
    kt_schema_release(got);
    assert_ok(kt_schema_normalize(other, scores, &got, &oops));
    assert_int_equal(got->fields[0].type, KT_LIST);
    kt_schema_release(got);
    kt_batch_release(batch);
    kt_batch_release(scores);
    kt_schema_release(list);
    kt_schema_release(other);
}

static void dictionaries_get_room_to_grow(void **state)
{
    (void)state;
    struct kt_schema *words = sample_one("words", KT_DICTIONARY, KT_UTF8_VIEW),
                     *codes = sample_one("codes", KT_DICTIONARY, KT_INT64), *got = NULL;
    words->fields[0].index = KT_UINT8;
    assert_ok(kt_schema_normalize(words, NULL, &got, &oops));
    assert_int_equal(got->fields[0].index, KT_INT32);
    assert_int_equal(got->fields[0].children[0].type, KT_UTF8);
    kt_schema_release(got);
    assert_ok(kt_schema_normalize(codes, NULL, &got, &oops));
    assert_int_equal(got->fields[0].type, KT_INT64);
    kt_schema_release(got);
    kt_schema_release(words);
    kt_schema_release(codes);
}

static void the_log_keeps_a_schema_whole(void **state)
{
    (void)state;
    struct kt_schema *schema = sample_schema(), *got = NULL;
    schema->fields[3].nullable = false;
    schema->fields[4].metadata = json_pack("{s:s}", "ARROW:extension:name", "arrow.json");
    schema->fields[schema->count - 1].ordered = true;
    json_t *json = kt_schema_to_json(schema), *again = NULL;
    assert_ok(kt_schema_from_json(json, &got, &oops));
    again = kt_schema_to_json(got);
    assert_true(json_equal(json, again));
    for (uint32_t i = 0; i < schema->count; i++)
        assert_true(kt_field_same_type(&schema->fields[i], &got->fields[i]));
    assert_false(got->fields[3].nullable);
    assert_true(got->fields[schema->count - 1].ordered);
    json_decref(json);
    json_decref(again);
    kt_schema_release(schema);
    kt_schema_release(got);
}

/* ---- statistics ---- */

static void assert_range(enum kt_type type, const void *values, int64_t rows, const char *low,
                         const char *high, int nans)
{
    struct kt_schema *schema = sample_one("x", type, KT_NULL);
    schema->fields[0].id = 7;
    struct kt_batch *batch = numbers(schema, values, rows);
    json_t *stats = kt_batches_stats(&batch, 1),
           *column = json_array_get(json_object_get(stats, "columns"), 0);
    assert_int_equal(json_integer_value(json_object_get(stats, "rows")), rows);
    assert_int_equal(json_integer_value(json_object_get(column, "id")), 7);
    assert_int_equal(json_integer_value(json_object_get(column, "nans")), nans);
    assert_string_equal(json_string_value(json_object_get(column, "min")), low);
    assert_string_equal(json_string_value(json_object_get(column, "max")), high);
    json_decref(stats);
    kt_batch_release(batch);
    kt_schema_release(schema);
}

static void statistics_know_the_order_of_each_type(void **state)
{
    (void)state;
    assert_range(KT_INT16, (int16_t[]){ 3, -2, 1 }, 3, "feff", "0300", 0);
    assert_range(KT_UINT16, (uint16_t[]){ 3, 0xfffe, 1 }, 3, "0100", "feff", 0);
    assert_range(KT_FLOAT32, (float[]){ -1.5f, NAN, 2.0f, -1.0f }, 4, "0000c0bf", "00000040", 1);
    assert_range(KT_FLOAT32, (float[]){ 0.0f }, 1, "00000080", "00000000", 0);
    assert_range(KT_FLOAT64, (double[]){ 1.0, -INFINITY }, 2, "000000000000f0ff", "000000000000f03f", 0);
    assert_range(KT_DECIMAL128, (int64_t[]){ -1, -1, 1, 0, 2, 0 }, 3, "ffffffffffffffffffffffffffffffff",
                 "02000000000000000000000000000000", 0);
}

static void statistics_of_nothing_have_no_range(void **state)
{
    (void)state;
    struct kt_schema *schema = sample_one("x", KT_FLOAT32, KT_NULL);
    float none[] = { NAN };
    struct kt_batch *batch = numbers(schema, none, 1);
    json_t *stats = kt_batches_stats(&batch, 1),
           *column = json_array_get(json_object_get(stats, "columns"), 0);
    assert_null(json_object_get(column, "min"));
    assert_int_equal(json_integer_value(json_object_get(column, "nans")), 1);
    json_decref(stats);
    stats = kt_batches_stats(NULL, 0);
    assert_int_equal(json_integer_value(json_object_get(stats, "rows")), 0);
    json_decref(stats);
    kt_batch_release(batch);
    kt_schema_release(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_types_share_their_buffers),
        cmocka_unit_test(numbers_change_kind_where_nothing_is_lost),
        cmocka_unit_test(numbers_that_do_not_fit_are_named),
        cmocka_unit_test(halves_round_to_the_nearest),
        cmocka_unit_test(nulls_hide_what_would_not_fit),
        cmocka_unit_test(texts_keep_their_bytes_in_every_form),
        cmocka_unit_test(bytes_that_are_not_utf8_do_not_become_text),
        cmocka_unit_test(times_change_unit_when_exact),
        cmocka_unit_test(decimals_change_their_digits_when_exact),
        cmocka_unit_test(whole_numbers_become_decimals),
        cmocka_unit_test(columns_are_matched_by_name),
        cmocka_unit_test(null_columns_become_anything),
        cmocka_unit_test(lists_of_one_length_are_vectors_as_they_lie),
        cmocka_unit_test(vectors_of_a_wrong_length_are_refused_with_both_numbers),
        cmocka_unit_test(vectors_of_a_wrong_length_are_dropped_filled_or_null),
        cmocka_unit_test(nan_and_infinity_are_refused_dropped_filled_or_null),
        cmocka_unit_test(repaired_vectors_keep_the_nulls_of_their_slice),
        cmocka_unit_test(names_that_cannot_be_are_refused),
        cmocka_unit_test(lists_named_like_vectors_become_vectors),
        cmocka_unit_test(dictionaries_get_room_to_grow),
        cmocka_unit_test(the_log_keeps_a_schema_whole),
        cmocka_unit_test(statistics_know_the_order_of_each_type),
        cmocka_unit_test(statistics_of_nothing_have_no_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
