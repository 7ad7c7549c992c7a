/* What the builder promises: rows come out as they went in, however they were handed over. */
#include "unit/column/column_samples.h"

static void append_all(struct kt_builder *builder, const struct kt_batch *from, int64_t step)
{
    for (uint32_t c = 0; c < from->schema->count; c++)
        for (int64_t at = 0; at < from->rows; at += step)
            assert_ok(kt_builder_append(builder, c, &from->columns[c], at,
                                        from->rows - at < step ? from->rows - at : step, &oops));
}

static void rows_come_out_as_they_went_in(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    struct kt_schema *schema = sample_schema();
    for (int64_t step = 1; step < 200; step = step * 3 + 1) {
        struct kt_batch *batch = sample_batch(&random, schema, 101), *slice = NULL, *built = NULL;
        struct kt_builder *builder = NULL;
        assert_ok(kt_batch_slice(batch, 13, 77, &slice, &oops));
        assert_ok(kt_builder_new(schema, 0, &builder, &oops));
        append_all(builder, slice, step);
        append_all(builder, batch, step);
        assert_ok(kt_builder_finish(builder, &built, &oops));
        assert_int_equal(built->rows, 178);
        for (uint32_t c = 0; c < schema->count; c++) {
            assert_same_rows(&slice->columns[c], 0, &built->columns[c], 0, 77);
            assert_same_rows(&batch->columns[c], 0, &built->columns[c], 77, 101);
        }
        kt_batch_release(batch);
        kt_batch_release(slice);
        kt_batch_release(built);
    }
    kt_schema_release(schema);
}

static void nulls_stand_between_values(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    struct kt_schema *schema = sample_schema();
    struct kt_batch *batch = sample_batch(&random, schema, 20), *built = NULL;
    struct kt_builder *builder = NULL;
    assert_ok(kt_builder_new(schema, 27, &builder, &oops));
    for (uint32_t c = 0; c < schema->count; c++) {
        assert_ok(kt_builder_append(builder, c, &batch->columns[c], 0, 20, &oops));
        assert_ok(kt_builder_append_nulls(builder, c, 7, &oops));
        assert_ok(kt_builder_append(builder, c, &batch->columns[c], 5, 3, &oops));
    }
    assert_ok(kt_builder_finish(builder, &built, &oops));
    for (uint32_t c = 0; c < schema->count; c++) {
        assert_same_rows(&batch->columns[c], 0, &built->columns[c], 0, 20);
        assert_same_rows(&batch->columns[c], 5, &built->columns[c], 27, 3);
        for (int64_t row = 20; row < 27; row++) assert_true(kt_array_null(&built->columns[c], row));
    }
    kt_batch_release(batch);
    kt_batch_release(built);
    kt_schema_release(schema);
}

static void null_vectors_leave_the_numbers_without_a_bitmap(void **state)
{
    (void)state;
    struct kt_schema *schema = sample_one("vector", KT_FIXED_LIST, KT_FLOAT32);
    struct kt_builder *builder = NULL;
    struct kt_batch *built = NULL;
    assert_ok(kt_builder_new(schema, 4, &builder, &oops));
    assert_ok(kt_builder_append_nulls(builder, 0, 4, &oops));
    assert_ok(kt_builder_finish(builder, &built, &oops));
    assert_int_equal(kt_array_null_count(&built->columns[0]), 4);
    assert_null(built->columns[0].children[0].validity);
    assert_int_equal(built->columns[0].children[0].length, 12);
    kt_batch_release(built);
    kt_schema_release(schema);
}

static struct kt_batch *words(struct kt_schema *schema, const char *const *texts, const int32_t *indices,
                              int64_t rows, int64_t values)
{
    struct kt_batch *batch = NULL;
    struct kt_text_map map = { 0 };
    assert_ok(kt_batch_new(schema, rows, &batch, &oops));
    for (int64_t i = 0; i < values; i++)
        kt_text_map_add(&map, (const uint8_t *)texts[i], (int64_t)strlen(texts[i]));
    assert_ok(kt_text_map_yield(&map, batch, &batch->columns[0].children[0], &oops));
    int32_t *copy = kt_batch_block(batch, (size_t)rows * 4);
    memcpy(copy, indices, (size_t)rows * 4);
    batch->columns[0].values = (const uint8_t *)copy;
    batch->columns[0].length = rows;
    return batch;
}

static void dictionaries_are_merged(void **state)
{
    (void)state;
    struct kt_schema *schema = sample_one("words", KT_DICTIONARY, KT_UTF8);
    struct kt_batch *one = words(schema, (const char *[]){ "red", "green" }, (int32_t[]){ 0, 1, 0 }, 3, 2);
    struct kt_batch *two = words(schema, (const char *[]){ "blue", "red", "unused" },
                                 (int32_t[]){ 1, 0, 1, 1, 0 }, 5, 3),
                    *built = NULL;
    struct kt_builder *builder = NULL;
    assert_ok(kt_builder_new(schema, 0, &builder, &oops));
    append_all(builder, one, 1);
    append_all(builder, two, 5);
    append_all(builder, two, 2);
    assert_ok(kt_builder_finish(builder, &built, &oops));
    assert_int_equal(built->columns[0].children[0].length,
                     3); /* red, green, blue: what no row uses is left behind */
    assert_same_rows(&one->columns[0], 0, &built->columns[0], 0, 3);
    assert_same_rows(&two->columns[0], 0, &built->columns[0], 3, 5);
    assert_same_rows(&two->columns[0], 0, &built->columns[0], 8, 5);
    kt_batch_release(one);
    kt_batch_release(two);
    kt_batch_release(built);
    kt_schema_release(schema);
}

static void a_dictionary_too_large_for_its_indices_is_refused(void **state)
{
    (void)state;
    struct kt_schema *schema = sample_one("words", KT_DICTIONARY, KT_UTF8);
    schema->fields[0].index = KT_INT8;
    struct kt_batch *batch = NULL;
    struct kt_builder *builder = NULL;
    kith_error error = { 0 };
    kith_status status = KITH_OK;
    assert_ok(kt_builder_new(schema, 0, &builder, &oops));
    for (int i = 0; i < 200 && !status; i++) {
        char text[8];
        const char *texts[] = { text };
        int32_t zero = 0;
        snprintf(text, sizeof text, "t%d", i);
        batch = words(schema, texts, &zero, 1, 1);
        status = kt_builder_append(builder, 0, &batch->columns[0], 0, 1, &error);
        kt_batch_release(batch);
        assert_true(i < 128 || status);
    }
    assert_says(&error, KITH_INVALID, "more distinct values than its int8");
    kt_builder_free(builder);
    kt_schema_release(schema);
}

static void columns_of_unequal_length_are_refused(void **state)
{
    (void)state;
    struct kt_field fields[] = { sample_field(sample_names[0], KT_INT32),
                                 sample_field(sample_names[1], KT_INT32) };
    struct kt_schema *schema = NULL;
    struct kt_builder *builder = NULL;
    struct kt_batch *batch = NULL;
    kith_error error = { 0 };
    int32_t values[] = { 1, 2, 3 };
    assert_ok(kt_schema_new(fields, 2, NULL, &schema, &oops));
    assert_ok(kt_builder_new(schema, 3, &builder, &oops));
    assert_ok(kt_builder_append_values(builder, 0, values, 3, &oops));
    assert_ok(kt_builder_append_values(builder, 1, values, 2, &oops));
    assert_int_equal(kt_builder_finish(builder, &batch, &error), KITH_INVALID);
    assert_says(&error, KITH_INVALID, "\"b\" has 2 rows, \"a\" has 3");
    kt_schema_release(schema);
}

static void another_type_is_refused(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    struct kt_schema *wide = sample_one("x", KT_INT64, KT_NULL), *narrow = sample_one("x", KT_INT32, KT_NULL);
    struct kt_batch *batch = sample_batch(&random, wide, 3);
    struct kt_builder *builder = NULL;
    kith_error error = { 0 };
    assert_ok(kt_builder_new(narrow, 3, &builder, &oops));
    assert_int_equal(kt_builder_append(builder, 0, &batch->columns[0], 0, 3, &error), KITH_TYPE);
    assert_says(&error, KITH_TYPE, "\"x\" is int32, not int64");
    kt_builder_free(builder);
    kt_batch_release(batch);
    kt_schema_release(wide);
    kt_schema_release(narrow);
}

static void bits_are_copied_from_and_to_any_place(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    for (int trial = 0; trial < 3000; trial++) {
        uint8_t from[40], to[40], expected[40];
        for (int i = 0; i < 40; i++) {
            from[i] = (uint8_t)kt_random_u64(&random);
            to[i] = expected[i] = (uint8_t)kt_random_u64(&random);
        }
        int64_t from_at = (int64_t)kt_random_below(&random, 100),
                to_at = (int64_t)kt_random_below(&random, 100);
        int64_t count = (int64_t)kt_random_below(&random, 200), ones = 0;
        for (int64_t i = 0; i < count; i++) {
            bool bit = kt_bit(from, (uint64_t)(from_at + i));
            ones += bit;
            if (bit)
                kt_bit_set(expected, (uint64_t)(to_at + i));
            else
                kt_bit_clear(expected, (uint64_t)(to_at + i));
        }
        kt_bits_copy(to, to_at, from, from_at, count);
        assert_memory_equal(to, expected, sizeof to);
        assert_int_equal(kt_bits_count(from, from_at, count), ones);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_out_as_they_went_in),
        cmocka_unit_test(nulls_stand_between_values),
        cmocka_unit_test(null_vectors_leave_the_numbers_without_a_bitmap),
        cmocka_unit_test(dictionaries_are_merged),
        cmocka_unit_test(a_dictionary_too_large_for_its_indices_is_refused),
        cmocka_unit_test(columns_of_unequal_length_are_refused),
        cmocka_unit_test(another_type_is_refused),
        cmocka_unit_test(bits_are_copied_from_and_to_any_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
