/* Columns to try things on: every type, nested ones too, with nulls, from a seed; and what it means that two
 * are equal. */
#ifndef KT_TESTS_COLUMN_SAMPLES_H
#define KT_TESTS_COLUMN_SAMPLES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "column/column_private.h"

/* A test that fails prints its seed; KITH_SEED repeats it. */
static inline struct kt_random sample_random(void)
{
    const char *given = getenv("KITH_SEED");
    struct kt_random random = { given ? strtoull(given, NULL, 10) : 20240611 };
    print_message("seed %llu\n", (unsigned long long)random.state);
    return random;
}

static kith_error oops; /* where calls that must succeed say why they did not */

#define assert_ok(call) /* a macro so that the line is that of the test */                                   \
    do {                                                                                                     \
        if ((call) != KITH_OK) fail_msg("%s", oops.message);                                                 \
    } while (0)

static inline void assert_says(const kith_error *error, kith_status status, const char *words)
{
    assert_int_equal(error->status, status);
    if (!strstr(error->message, words)) fail_msg("\"%s\" does not say \"%s\"", error->message, words);
}

/* ---- fields ---- */

static char sample_names[][8] = { "a", "b", "c", "item", "" };

static inline struct kt_field sample_field(char *name, enum kt_type type)
{
    return (struct kt_field){ .name = name,
                              .id = -1,
                              .type = type,
                              .nullable = true,
                              .index = KT_INT32,
                              .width = type == KT_DECIMAL128 ? 12 : 3,
                              .scale = type == KT_DECIMAL128 ? 2 : 0,
                              .unit = type == KT_TIME32 ? KT_MILLISECOND : KT_MICROSECOND };
}

/* All types that a table stores, each in a column named after it, with the nested ones at the end. Static
 * memory. */
static inline struct kt_schema *sample_schema(void)
{
    static char names[40][24];
    static char zone[] = "Europe/Berlin";
    struct kt_field item_f32 = sample_field(sample_names[3], KT_FLOAT32),
                    item_u8 = sample_field(sample_names[3], KT_UINT8),
                    item_text = sample_field(sample_names[3], KT_UTF8),
                    item_bool = sample_field(sample_names[3], KT_BOOL),
                    value = sample_field(sample_names[4], KT_UTF8),
                    large_value = sample_field(sample_names[4], KT_LARGE_UTF8);
    struct kt_field inner_list = sample_field(sample_names[3], KT_LIST),
                    inner_vector = sample_field(sample_names[2], KT_FIXED_LIST);
    inner_list.children = &item_text;
    inner_vector.children = &item_f32;
    inner_list.child_count = inner_vector.child_count = 1;
    struct kt_field members[] = { sample_field(sample_names[0], KT_INT16),
                                  sample_field(sample_names[1], KT_UTF8), inner_vector };
    struct kt_field fields[40];
    uint32_t count = 0;
    for (int type = KT_NULL; type <= KT_DURATION; type++) {
        snprintf(names[count], sizeof names[count], "%s", kt_type_name((enum kt_type)type));
        fields[count] = sample_field(names[count], (enum kt_type)type);
        if (type == KT_TIMESTAMP) fields[count].timezone = zone;
        count++;
    }
    struct {
        const char *name;
        enum kt_type type;
        struct kt_field *children;
        uint32_t child_count;
    } nested[] = {
        { "vector", KT_FIXED_LIST, &item_f32, 1 },
        { "bytes", KT_FIXED_LIST, &item_u8, 1 },
        { "flags", KT_FIXED_LIST, &item_bool, 1 },
        { "texts", KT_LIST, &item_text, 1 },
        { "deep", KT_LIST, &inner_list, 1 },
        { "truths", KT_LIST, &item_bool, 1 },
        { "record", KT_STRUCT, members, 3 },
        { "words", KT_DICTIONARY, &value, 1 },
        { "wide words", KT_DICTIONARY, &large_value, 1 },
    };
    for (size_t i = 0; i < sizeof nested / sizeof nested[0]; i++) {
        snprintf(names[count], sizeof names[count], "%s", nested[i].name);
        fields[count] = sample_field(names[count], nested[i].type);
        fields[count].children = nested[i].children;
        fields[count++].child_count = nested[i].child_count;
    }
    struct kt_schema *schema = NULL;
    json_t *metadata = json_pack("{s:s}", "made", "by a test: \xc3\xb6");
    assert_ok(kt_schema_new(fields, count, metadata, &schema, &oops));
    json_decref(metadata);
    int32_t id = 0;
    for (uint32_t i = 0; i < schema->count; i++) schema->fields[i].id = id++;
    return schema;
}

/* A schema of one column. */
static inline struct kt_schema *sample_one(const char *name, enum kt_type type, enum kt_type item)
{
    char text[64];
    snprintf(text, sizeof text, "%s", name);
    struct kt_field field = sample_field(text, type), child = sample_field(sample_names[3], item);
    if (type == KT_FIXED_LIST || type == KT_LIST || type == KT_LARGE_LIST || type == KT_DICTIONARY) {
        field.children = &child;
        field.child_count = 1;
    }
    struct kt_schema *schema = NULL;
    assert_ok(kt_schema_new(&field, 1, NULL, &schema, &oops));
    return schema;
}

/* ---- values ---- */

static inline const char *sample_text(struct kt_random *random, size_t *size)
{
    static const char *const texts[] = { "",
                                         "a",
                                         "text",
                                         "\xc5\x81\xc3\xb3\x64\xc5\xba",
                                         "\xe6\x97\xa5\xe6\x9c\xac",
                                         "a text of more than twelve bytes" };
    const char *text = texts[kt_random_below(random, 6)];
    *size = strlen(text);
    return text;
}

static inline void sample_array(struct kt_random *random, struct kt_batch *batch, struct kt_array *array,
                                int64_t rows);

static inline void sample_offsets(struct kt_random *random, struct kt_batch *batch, struct kt_array *array,
                                  int64_t rows)
{
    const struct kt_field *field = array->field;
    uint32_t size = kt_type_offset_bytes(field->type);
    uint8_t *offsets = kt_batch_block(batch, (size_t)(rows + 1) * size),
            *data = kt_batch_block(batch, (size_t)rows * 64 + 1);
    int64_t at = 0;
    memcpy(offsets, &at, size);
    for (int64_t i = 1; i <= rows; i++) {
        if (field->child_count) {
            at += (int64_t)kt_random_below(random, 4);
        } else {
            size_t count;
            const char *text = sample_text(random, &count);
            memcpy(data + at, text, count);
            at += (int64_t)count;
        }
        memcpy(offsets + i * size, &at, size);
    }
    array->values = offsets;
    if (field->child_count)
        sample_array(random, batch, &array->children[0], at);
    else
        array->data = data;
}

static inline void sample_array(struct kt_random *random, struct kt_batch *batch, struct kt_array *array,
                                int64_t rows)
{
    const struct kt_field *field = array->field;
    array->length = rows;
    if (field->type == KT_NULL) return;
    if (field->nullable && kt_random_below(random, 4)) {
        uint8_t *bits = kt_batch_block(batch, (size_t)(rows + 7) / 8 + 1);
        kt_bits_fill(bits, 0, rows, true);
        for (int64_t i = 0; i < rows; i++)
            if (!kt_random_below(random, 5)) kt_bit_clear(bits, (uint64_t)i);
        array->validity = bits;
    }
    if (field->type == KT_STRUCT || field->type == KT_FIXED_LIST) {
        for (uint32_t i = 0; i < field->child_count; i++)
            sample_array(random, batch, &array->children[i],
                         field->type == KT_STRUCT ? rows : rows * field->width);
    } else if (kt_type_offset_bytes(field->type)) {
        sample_offsets(random, batch, array, rows);
    } else {
        size_t bytes =
            field->type == KT_BOOL ? (size_t)(rows + 7) / 8 : (size_t)rows * kt_field_entry_bytes(field);
        uint8_t *values = kt_batch_block(batch, bytes + 1);
        for (size_t i = 0; i < bytes; i++)
            values[i] = (uint8_t)(kt_random_u64(random) & 0x3f); /* no NaN among them */
        array->values = values;
        if (field->type != KT_DICTIONARY) return;
        struct kt_array *texts = &array->children[0];
        const char *words[] = { "red", "green", "", "blue" };
        struct kt_text_map map = { 0 };
        for (int i = 0; i < 4; i++)
            kt_text_map_add(&map, (const uint8_t *)words[i], (int64_t)strlen(words[i]));
        assert_ok(kt_text_map_yield(&map, batch, texts, &oops));
        for (int64_t i = 0; i < rows; i++) {
            uint64_t index = kt_random_below(random, 4);
            memcpy(values + (size_t)i * kt_field_entry_bytes(field), &index, kt_field_entry_bytes(field));
        }
    }
}

static inline struct kt_batch *sample_batch(struct kt_random *random, struct kt_schema *schema, int64_t rows)
{
    struct kt_batch *batch = NULL;
    assert_ok(kt_batch_new(schema, rows, &batch, &oops));
    for (uint32_t i = 0; i < schema->count; i++) sample_array(random, batch, &batch->columns[i], rows);
    return batch;
}

/* ---- equality: of what a reader would see ---- */

static inline bool same_value(const struct kt_array *a, int64_t row_a, const struct kt_array *b,
                              int64_t row_b)
{
    const struct kt_field *field = a->field;
    if (kt_array_null(a, row_a) || kt_array_null(b, row_b))
        return kt_array_null(a, row_a) == kt_array_null(b, row_b);
    int64_t at_a = a->offset + row_a, at_b = b->offset + row_b;
    if (field->type == KT_BOOL) return kt_bit(a->values, (uint64_t)at_a) == kt_bit(b->values, (uint64_t)at_b);
    if (field->type == KT_STRUCT) {
        for (uint32_t i = 0; i < field->child_count; i++)
            if (!same_value(&a->children[i], at_a, &b->children[i], at_b)) return false;
        return true;
    }
    if (field->type == KT_FIXED_LIST || field->type == KT_LIST) {
        int64_t first_a = at_a * field->width, first_b = at_b * field->width, count = field->width,
                count_b = count;
        if (field->type == KT_LIST) {
            first_a = kt_offset_at(a, row_a);
            first_b = kt_offset_at(b, row_b);
            count = kt_offset_at(a, row_a + 1) - first_a;
            count_b = kt_offset_at(b, row_b + 1) - first_b;
        }
        if (count != count_b) return false;
        for (int64_t i = 0; i < count; i++)
            if (!same_value(&a->children[0], first_a + i, &b->children[0], first_b + i)) return false;
        return true;
    }
    int64_t count_a = kt_field_value_bytes(field), count_b = count_a;
    const uint8_t *bytes_a = a->values + at_a * count_a, *bytes_b = b->values + at_b * count_b;
    if (kt_type_is_text(field->type) || kt_type_is_binary(field->type) || field->type == KT_DICTIONARY) {
        bytes_a = kt_array_bytes(a, row_a, &count_a);
        bytes_b = kt_array_bytes(b, row_b, &count_b);
    }
    return count_a == count_b && (!count_a || memcmp(bytes_a, bytes_b, (size_t)count_a) == 0);
}

static inline void assert_same_rows(const struct kt_array *a, int64_t row_a, const struct kt_array *b,
                                    int64_t row_b, int64_t count)
{
    assert_true(kt_field_same_type(a->field, b->field));
    for (int64_t i = 0; i < count; i++)
        if (!same_value(a, row_a + i, b, row_b + i))
            fail_msg("column \"%s\" differs in row %lld", a->field->name, (long long)(row_a + i));
}

static inline void assert_same_batch(const struct kt_batch *a, const struct kt_batch *b)
{
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->schema->count, b->schema->count);
    for (uint32_t i = 0; i < a->schema->count; i++) {
        assert_string_equal(a->schema->fields[i].name, b->schema->fields[i].name);
        assert_same_rows(&a->columns[i], 0, &b->columns[i], 0, a->rows);
    }
}

/* ---- files in memory ---- */

static inline struct kt_buffer sample_write(enum kt_ipc_form form, struct kt_schema *schema,
                                            struct kt_batch *const *batches, size_t count)
{
    struct kt_buffer bytes = { 0 };
    struct kt_sink *sink = NULL;
    struct kt_ipc_writer *writer = NULL;
    assert_ok(kt_sink_memory(&bytes, &sink, &oops));
    assert_ok(kt_ipc_begin(sink, form, schema, NULL, 0, &writer, &oops));
    for (size_t i = 0; i < count; i++) assert_ok(kt_ipc_write(writer, batches[i], &oops));
    assert_ok(kt_ipc_end(writer, &oops));
    assert_ok(kt_sink_finish(sink, NULL, &oops));
    return bytes;
}

/* The file in `bytes`, of which a copy is taken. */
static inline kith_status sample_open(const struct kt_buffer *bytes, struct kt_ipc_file **out,
                                      kith_error *error)
{
    struct kt_view_file *view = NULL;
    uint8_t *copy = kt_alloc_aligned(bytes->size);
    memcpy(copy, bytes->data, bytes->size);
    kith_status status = kt_view_from_memory("sample.arrow", copy, bytes->size, &view, error);
    return status ? status : kt_ipc_open(view, out, error);
}

#endif
