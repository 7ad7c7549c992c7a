/* The Arrow C interfaces: what goes out comes back, in pieces too; what lies is refused in words. */
#include "unit/column/column_samples.h"

static void a_batch_survives_leaving_and_coming_back(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    struct kt_schema *schema = sample_schema(), *back = NULL;
    struct ArrowSchema exported_schema;
    assert_ok(kt_schema_export(schema, &exported_schema, &oops));
    assert_ok(kt_schema_import(&exported_schema, &back, &oops));
    exported_schema.release(&exported_schema);
    for (uint32_t i = 0; i < schema->count; i++)
        assert_true(kt_field_same_type(&schema->fields[i], &back->fields[i]));
    assert_true(json_equal(schema->metadata, back->metadata));
    for (int64_t rows = 0; rows < 100; rows = rows * 2 + 1) {
        struct kt_batch *batch = sample_batch(&random, schema, rows), *slice = NULL, *got = NULL;
        struct ArrowArray exported;
        assert_ok(kt_batch_slice(batch, rows / 3, rows - rows / 3, &slice, &oops));
        assert_ok(kt_batch_export(slice, &exported, &oops));
        kt_batch_release(batch);
        assert_ok(kt_batch_import(back, &exported, &got, &oops));
        assert_null(exported.release);
        assert_same_batch(slice, got);
        kt_batch_release(slice);
        kt_batch_release(got);
    }
    kt_schema_release(schema);
    kt_schema_release(back);
}

static void a_struct_array_may_begin_in_the_middle(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    struct kt_schema *schema = sample_schema();
    struct kt_batch *batch = sample_batch(&random, schema, 50), *got = NULL;
    struct ArrowArray exported;
    assert_ok(kt_batch_export(batch, &exported, &oops));
    exported.offset = 11;
    exported.length = 30;
    assert_ok(kt_batch_import(schema, &exported, &got, &oops));
    assert_int_equal(got->rows, 30);
    for (uint32_t c = 0; c < schema->count; c++)
        assert_same_rows(&batch->columns[c], 11, &got->columns[c], 0, 30);
    kt_batch_release(batch);
    kt_batch_release(got);
    kt_schema_release(schema);
}

static void children_may_be_moved_out_and_outlive_their_parent(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    struct kt_schema *schema = sample_schema();
    struct kt_batch *batch = sample_batch(&random, schema, 10);
    struct ArrowArray exported, moved;
    struct ArrowSchema exported_schema, moved_schema;
    assert_ok(kt_batch_export(batch, &exported, &oops));
    assert_ok(kt_schema_export(schema, &exported_schema, &oops));
    kt_batch_release(batch);
    int vector = kt_schema_find(schema, "vector");
    moved = *exported.children[vector];
    exported.children[vector]->release = NULL;
    moved_schema = *exported_schema.children[vector];
    exported_schema.children[vector]->release = NULL;
    exported.release(&exported);
    exported_schema.release(&exported_schema);
    assert_string_equal(moved_schema.format, "+w:3");
    assert_int_equal(moved.length, 10);
    assert_non_null(moved.children[0]->buffers[1]);
    moved.release(&moved);
    moved_schema.release(&moved_schema);
    kt_schema_release(schema);
}

static void a_stream_gives_its_batches_and_then_none(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    struct kt_schema *schema = sample_schema(), *got_schema = NULL;
    struct kt_batch *batches[] = { sample_batch(&random, schema, 5), sample_batch(&random, schema, 0),
                                   sample_batch(&random, schema, 9) };
    struct ArrowArrayStream stream;
    struct kt_batch *got = NULL;
    assert_ok(kt_stream_of_batches(schema, batches, 3, &stream, &oops));
    assert_ok(kt_stream_schema(&stream, &got_schema, &oops));
    for (int i = 0; i < 3; i++) {
        assert_ok(kt_stream_next(&stream, got_schema, &got, &oops));
        assert_same_batch(batches[i], got);
        kt_batch_release(got);
        kt_batch_release(batches[i]);
    }
    for (int i = 0; i < 2; i++) {
        assert_ok(kt_stream_next(&stream, got_schema, &got, &oops));
        assert_null(got);
    }
    stream.release(&stream);
    kt_schema_release(schema);
    kt_schema_release(got_schema);
}

static kith_status fails_at_once(void *context, struct kt_batch **out, kith_error *error)
{
    (void)context, (void)out;
    return kt_fail(error, KITH_CORRUPT, "the disk sang");
}

static void a_producers_words_are_passed_on(void **state)
{
    (void)state;
    struct kt_schema *schema = sample_one("x", KT_INT32, KT_NULL);
    struct ArrowArrayStream stream;
    struct kt_batch *got = NULL;
    kith_error error = { 0 };
    assert_ok(kt_stream_make(schema, fails_at_once, NULL, NULL, &stream, &oops));
    assert_int_equal(kt_stream_next(&stream, schema, &got, &error), KITH_INVALID);
    assert_says(&error, KITH_INVALID, "the disk sang");
    stream.release(&stream);
    kt_schema_release(schema);
}

/* ---- lies ---- */

static int released;
static void count_release(struct ArrowArray *array)
{
    released++;
    array->release = NULL;
}

struct lie {
    struct ArrowArray top, column, child;
    struct ArrowArray *columns[1], *children[1];
    const void *buffers[4], *child_buffers[4], *none[1];
};

static void lie_begin(struct lie *lie, int64_t rows, int64_t buffers)
{
    *lie = (struct lie){ 0 };
    lie->columns[0] = &lie->column;
    lie->children[0] = &lie->child;
    lie->top = (struct ArrowArray){ .length = rows,
                                    .n_children = 1,
                                    .n_buffers = 1,
                                    .buffers = lie->none,
                                    .children = lie->columns,
                                    .release = count_release };
    lie->column = (struct ArrowArray){
        .length = rows, .n_buffers = buffers, .buffers = lie->buffers, .release = count_release
    };
    lie->child = (struct ArrowArray){ .buffers = lie->child_buffers, .release = count_release };
    released = 0;
}

static void refused(struct lie *lie, struct kt_schema *schema, const char *words)
{
    struct kt_batch *got = NULL;
    kith_error error = { 0 };
    assert_int_equal(kt_batch_import(schema, &lie->top, &got, &error), KITH_INVALID);
    assert_says(&error, KITH_INVALID, words);
    assert_null(lie->top.release);
    assert_int_equal(released, 1);
}

static void lies_about_text_are_refused(void **state)
{
    (void)state;
    struct kt_schema *schema = sample_one("x", KT_UTF8, KT_NULL);
    struct lie lie;
    int32_t falling[] = { 0, 5, 3 }, negative[] = { -4, 0, 1 }, split[] = { 0, 1, 2 }, fine[] = { 0, 1, 2 };
    lie_begin(&lie, 2, 3);
    lie.buffers[1] = falling;
    lie.buffers[2] = "abcdefgh";
    refused(&lie, schema, "do not rise");
    lie_begin(&lie, 2, 3);
    lie.buffers[1] = negative;
    lie.buffers[2] = "abcdefgh";
    refused(&lie, schema, "do not rise");
    lie_begin(&lie, 2, 3);
    lie.buffers[1] = split;
    lie.buffers[2] = "\xc3\xb6"; /* one character in two rows */
    refused(&lie, schema, "row 0 of column \"x\" is not UTF-8");
    lie_begin(&lie, 2, 3);
    lie.buffers[1] = fine;
    lie.buffers[2] = "a\xff";
    refused(&lie, schema, "row 1 of column \"x\" is not UTF-8");
    lie_begin(&lie, 2, 3);
    lie.buffers[1] = fine;
    refused(&lie, schema, "offsets but no bytes");
    lie_begin(&lie, 2, 2);
    lie.buffers[1] = fine;
    refused(&lie, schema, "2 buffers");
    lie_begin(&lie, 2, 3);
    refused(&lie, schema, "no values");
    kt_schema_release(schema);
}

static void lies_about_lengths_are_refused(void **state)
{
    (void)state;
    struct kt_schema *lists = sample_one("x", KT_LIST, KT_INT32),
                     *vectors = sample_one("x", KT_FIXED_LIST, KT_FLOAT32);
    struct lie lie;
    int32_t offsets[] = { 0, 2, 4 }, numbers[8] = { 0 };
    lie_begin(&lie, 2, 2);
    lie.column.n_children = 1;
    lie.column.children = lie.children;
    lie.buffers[1] = offsets;
    lie.child.length = 3;
    lie.child.n_buffers = 2;
    lie.child_buffers[1] = numbers;
    refused(&lie, lists, "end at 4, beyond its 3 values");
    lie_begin(&lie, 2, 1);
    lie.column.n_children = 1;
    lie.column.children = lie.children;
    lie.child.length = 5;
    lie.child.n_buffers = 2;
    lie.child_buffers[1] = numbers;
    refused(&lie, vectors, "has 5 values, 6 are needed");
    lie_begin(&lie, 2, 1);
    refused(&lie, vectors, "0 children");
    lie_begin(&lie, 2, 1);
    lie.column.length = -1;
    lie.column.n_children = 1;
    lie.column.children = lie.children;
    refused(&lie, vectors, "length of -1");
    lie_begin(&lie, 2, 1);
    lie.column.length = 1;
    lie.column.n_children = 1;
    lie.column.children = lie.children;
    refused(&lie, vectors, "has 1 values, 2 are needed");
    kt_schema_release(lists);
    kt_schema_release(vectors);
}

static void lies_about_nulls_and_dictionaries_are_refused(void **state)
{
    (void)state;
    struct kt_schema *numbers = sample_one("x", KT_INT32, KT_NULL),
                     *words = sample_one("x", KT_DICTIONARY, KT_UTF8);
    struct lie lie;
    int32_t values[] = { 0, 2 }, offsets[] = { 0, 1, 2 };
    uint8_t one_null = 0x01;
    lie_begin(&lie, 2, 2);
    lie.buffers[1] = values;
    lie.column.null_count = 1;
    refused(&lie, numbers, "no bitmap");
    lie_begin(&lie, 2, 2);
    lie.buffers[1] = values;
    lie.none[0] = &one_null;
    lie.top.null_count = -1;
    refused(&lie, numbers, "null as a whole");
    lie_begin(&lie, 2, 2);
    lie.buffers[1] = values;
    refused(&lie, words, "without its dictionary");
    lie_begin(&lie, 2, 2);
    lie.buffers[1] = values;
    lie.column.dictionary = &lie.child;
    lie.child.length = 2;
    lie.child.n_buffers = 3;
    lie.child_buffers[1] = offsets;
    lie.child_buffers[2] = "ab";
    refused(&lie, words, "dictionary index 2 of 2 values");
    kt_schema_release(numbers);
    kt_schema_release(words);
}

static void what_lies_under_a_null_does_not_matter(void **state)
{
    (void)state;
    struct kt_schema *texts = sample_one("x", KT_UTF8, KT_NULL),
                     *words = sample_one("x", KT_DICTIONARY, KT_UTF8);
    struct kt_batch *got = NULL;
    struct lie lie;
    int32_t values[] = { 99, 1 }, offsets[] = { 0, 1, 2 };
    uint8_t second = 0x02;
    lie_begin(&lie, 2, 3);
    lie.buffers[0] = &second;
    lie.buffers[1] = offsets;
    lie.buffers[2] = "\xff"
                     "b";
    lie.column.null_count = -1;
    assert_ok(kt_batch_import(texts, &lie.top, &got, &oops));
    kt_batch_release(got);
    lie_begin(&lie, 2, 2);
    lie.buffers[0] = &second;
    lie.buffers[1] = values;
    lie.column.null_count = 1;
    lie.column.dictionary = &lie.child;
    lie.child.length = 2;
    lie.child.n_buffers = 3;
    lie.child_buffers[1] = offsets;
    lie.child_buffers[2] = "ab";
    assert_ok(kt_batch_import(words, &lie.top, &got, &oops));
    assert_true(kt_array_null(&got->columns[0], 0));
    kt_batch_release(got);
    kt_schema_release(texts);
    kt_schema_release(words);
}

static void empty_arrays_may_lack_their_buffers(void **state)
{
    (void)state;
    struct kt_schema *texts = sample_one("x", KT_UTF8, KT_NULL);
    struct kt_batch *got = NULL;
    struct ArrowArray exported;
    struct lie lie;
    lie_begin(&lie, 0, 3);
    assert_ok(kt_batch_import(texts, &lie.top, &got, &oops));
    assert_ok(kt_batch_export(got, &exported, &oops));
    assert_non_null(exported.children[0]->buffers[1]);
    assert_non_null(exported.children[0]->buffers[2]);
    exported.release(&exported);
    kt_batch_release(got);
    kt_schema_release(texts);
}

static void a_buffer_askew_is_copied_straight(void **state)
{
    (void)state;
    struct kt_schema *schema = sample_one("x", KT_INT64, KT_NULL);
    struct kt_batch *got = NULL;
    struct lie lie;
    uint8_t bytes[40] = { 0 };
    int64_t numbers[] = { 7, -8, 9 };
    memcpy(bytes + 3, numbers, sizeof numbers);
    lie_begin(&lie, 3, 2);
    lie.buffers[1] = bytes + 3;
    assert_ok(kt_batch_import(schema, &lie.top, &got, &oops));
    assert_int_equal((uintptr_t)got->columns[0].values % 8, 0);
    assert_memory_equal(got->columns[0].values, numbers, sizeof numbers);
    kt_batch_release(got);
    kt_schema_release(schema);
}

static void views_are_checked_and_become_text(void **state)
{
    (void)state;
    struct kt_schema *views = sample_one("x", KT_UTF8_VIEW, KT_NULL), *plain = NULL;
    struct kt_batch *got = NULL, *cast = NULL;
    struct lie lie;
    uint8_t entries[32] = { 0 };
    const char *text = "a text of more than twelve bytes";
    int64_t sizes[] = { 32 }, count;
    memcpy(entries + 4, "short", 5);
    kt_put_u32(entries, 5);
    kt_put_u32(entries + 16, 30);
    memcpy(entries + 20, text + 2, 4);
    kt_put_u32(entries + 28, 2);
    for (uint32_t at = 3; at >= 2; at--) {
        lie_begin(&lie, 2, 4);
        lie.buffers[1] = entries;
        lie.buffers[2] = text;
        lie.buffers[3] = sizes;
        kt_put_u32(entries + 28, at);
        if (at == 3)
            refused(&lie, views, "outside its buffers");
        else
            assert_ok(kt_batch_import(views, &lie.top, &got, &oops));
    }
    assert_ok(kt_schema_plain(views, &plain, &oops));
    assert_int_equal(plain->fields[0].type, KT_UTF8);
    assert_ok(kt_batch_plain(got, plain, &cast, &oops));
    kt_batch_release(got);
    assert_memory_equal(kt_array_bytes(&cast->columns[0], 0, &count), "short", 5);
    assert_int_equal(count, 5);
    assert_memory_equal(kt_array_bytes(&cast->columns[0], 1, &count), text + 2, 30);
    kt_batch_release(cast);
    kt_schema_release(views);
    kt_schema_release(plain);
}

static void types_that_cannot_be_stored_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *format, *words;
    } types[] = {
        { "+m", "a map" },         { "+ud:0,1", "a union" }, { "+r", "run-end" },
        { "tiM", "an interval" },  { "+vl", "a list view" }, { "d:40,2,256", "other than 128" },
        { "??", "does not know" }, { "w:99999999", "size" }, { "+w:-1", "size" },
        { "d:0,0", "precision" },
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct ArrowSchema column = { .format = types[i].format,
                                      .name = "odd",
                                      .flags = ARROW_FLAG_NULLABLE },
                           child = { .format = "i", .name = "item" };
        struct ArrowSchema *columns[] = { &column }, *children[] = { &child };
        struct ArrowSchema top = { .format = "+s", .n_children = 1, .children = columns };
        struct kt_schema *got = NULL;
        kith_error error = { 0 };
        top.release = column.release = child.release =
            (void (*)(struct ArrowSchema *))(uintptr_t)1; /* never called: import borrows */
        if (strncmp(types[i].format, "+w", 2) == 0) {
            column.children = children;
            column.n_children = 1;
        }
        assert_int_equal(kt_schema_import(&top, &got, &error), KITH_TYPE);
        assert_says(&error, KITH_TYPE, "\"odd\"");
        assert_says(&error, KITH_TYPE, types[i].words);
    }
}

static void nesting_has_an_end(void **state)
{
    (void)state;
    enum { DEEP = 60 };
    struct ArrowSchema levels[DEEP], *pointers[DEEP];
    struct kt_schema *got = NULL;
    kith_error error = { 0 };
    for (int i = 0; i < DEEP; i++) {
        levels[i] = (struct ArrowSchema){ .format = i == 0          ? "+s"
                                                    : i == DEEP - 1 ? "i"
                                                                    : "+l",
                                          .name = "x",
                                          .n_children = i < DEEP - 1,
                                          .children = i < DEEP - 1 ? &pointers[i + 1] : NULL,
                                          .release = (void (*)(struct ArrowSchema *))(uintptr_t)1 };
        pointers[i] = &levels[i];
    }
    assert_int_equal(kt_schema_import(&levels[0], &got, &error), KITH_TYPE);
    assert_says(&error, KITH_TYPE, "32 levels");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_survives_leaving_and_coming_back),
        cmocka_unit_test(a_struct_array_may_begin_in_the_middle),
        cmocka_unit_test(children_may_be_moved_out_and_outlive_their_parent),
        cmocka_unit_test(a_stream_gives_its_batches_and_then_none),
        cmocka_unit_test(a_producers_words_are_passed_on),
        cmocka_unit_test(lies_about_text_are_refused),
        cmocka_unit_test(lies_about_lengths_are_refused),
        cmocka_unit_test(lies_about_nulls_and_dictionaries_are_refused),
        cmocka_unit_test(what_lies_under_a_null_does_not_matter),
        cmocka_unit_test(empty_arrays_may_lack_their_buffers),
        cmocka_unit_test(a_buffer_askew_is_copied_straight),
        cmocka_unit_test(views_are_checked_and_become_text),
        cmocka_unit_test(types_that_cannot_be_stored_are_named),
        cmocka_unit_test(nesting_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
