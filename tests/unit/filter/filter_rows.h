/* Rows to evaluate filters over: a column of every kind, with nulls, NaN, zeros of both signs, extremes,
 * texts of all lengths of UTF-8, dictionaries that hold nulls, lists and structs; and evaluating a text over
 * them. */
#ifndef KT_TESTS_FILTER_ROWS_H
#define KT_TESTS_FILTER_ROWS_H

#include <math.h>

#include "unit/column/column_samples.h"

#include "filter/filter_private.h"

/* ---- columns ---- */

struct column_kind {
    const char *name;
    enum kt_type type;
    enum kt_type item; /* of a list; of a dictionary's indices */
    int32_t width, scale;
    enum kt_unit unit;
};
static const struct column_kind column_kinds[] = {
    { "i8", KT_INT8, 0, 0, 0, 0 },
    { "i16", KT_INT16, 0, 0, 0, 0 },
    { "i32", KT_INT32, 0, 0, 0, 0 },
    { "i64", KT_INT64, 0, 0, 0, 0 },
    { "u8", KT_UINT8, 0, 0, 0, 0 },
    { "u16", KT_UINT16, 0, 0, 0, 0 },
    { "u32", KT_UINT32, 0, 0, 0, 0 },
    { "u64", KT_UINT64, 0, 0, 0, 0 },
    { "f16", KT_FLOAT16, 0, 0, 0, 0 },
    { "f32", KT_FLOAT32, 0, 0, 0, 0 },
    { "f64", KT_FLOAT64, 0, 0, 0, 0 },
    { "price", KT_DECIMAL128, 0, 12, 2, 0 },
    { "flag", KT_BOOL, 0, 0, 0, 0 },
    { "text", KT_UTF8, 0, 0, 0, 0 },
    { "long_text", KT_LARGE_UTF8, 0, 0, 0, 0 },
    { "word", KT_DICTIONARY, KT_INT32, 0, 0, 0 },
    { "word8", KT_DICTIONARY, KT_INT8, 0, 0, 0 },
    { "bytes", KT_BINARY, 0, 0, 0, 0 },
    { "pair", KT_FIXED_BINARY, 0, 2, 0, 0 },
    { "day", KT_DATE32, 0, 0, 0, 0 },
    { "day64", KT_DATE64, 0, 0, 0, 0 },
    { "clock", KT_TIME32, 0, 0, 0, KT_MILLISECOND },
    { "clock64", KT_TIME64, 0, 0, 0, KT_NANOSECOND },
    { "stamp", KT_TIMESTAMP, 0, 0, 0, KT_MICROSECOND },
    { "seconds", KT_TIMESTAMP, 0, 0, 0, KT_SECOND },
    { "lasting", KT_DURATION, 0, 0, 0, KT_MICROSECOND },
    { "numbers", KT_LIST, KT_INT32, 0, 0, 0 },
    { "labels", KT_LIST, KT_UTF8, 0, 0, 0 },
    { "switches", KT_FIXED_LIST, KT_BOOL, 3, 0, 0 },
    { "record", KT_STRUCT, 0, 0, 0, 0 },
    { "vector", KT_FIXED_LIST, KT_FLOAT32, 3, 0, 0 },
    { "nothing", KT_NULL, 0, 0, 0, 0 },
};
enum { KINDS = sizeof column_kinds / sizeof column_kinds[0] };

static inline struct kt_schema *rows_schema(void)
{
    static char names[KINDS][16], a[] = "a", b[] = "b", c[] = "c", d[] = "d";
    static struct kt_field items[KINDS], members[3], deep;
    struct kt_field fields[KINDS];
    deep = sample_field(d, KT_FLOAT64);
    members[0] = sample_field(a, KT_INT32);
    members[1] = sample_field(b, KT_UTF8);
    members[2] = sample_field(c, KT_STRUCT);
    members[2].children = &deep;
    members[2].child_count = 1;
    for (int i = 0; i < KINDS; i++) {
        const struct column_kind *kind = &column_kinds[i];
        snprintf(names[i], sizeof names[i], "%s", kind->name);
        fields[i] = sample_field(names[i], kind->type);
        fields[i].unit = kind->unit;
        fields[i].width = kind->width;
        fields[i].scale = kind->scale;
        fields[i].index = kind->item;
        items[i] = sample_field(sample_names[3], kind->type == KT_DICTIONARY ? KT_UTF8 : kind->item);
        bool nested = kind->type == KT_LIST || kind->type == KT_FIXED_LIST || kind->type == KT_DICTIONARY;
        fields[i].children = nested ? &items[i] : kind->type == KT_STRUCT ? members : NULL;
        fields[i].child_count = nested ? 1 : kind->type == KT_STRUCT ? 3 : 0;
    }
    struct kt_schema *schema = NULL;
    assert_ok(kt_schema_new(fields, KINDS, NULL, &schema, &oops));
    for (int i = 0; i < KINDS; i++) schema->fields[i].id = i;
    return schema;
}

/* ---- values ---- */

static const char *const row_texts[] = { "",
                                         "a",
                                         "abc",
                                         "ABC",
                                         "Abd",
                                         "a_c",
                                         "x%y",
                                         "fizz buzz",
                                         "  pad ",
                                         "12",
                                         "-3.5",
                                         "it's",
                                         "\xc3\xa4"
                                         "b",
                                         "\xe6\x97\xa5\xe6\x9c\xac",
                                         "\xf0\x9f\x98\x80",
                                         "aaaaaaaaab",
                                         "abcabc",
                                         "cat01",
                                         "cat02" };
enum { ROW_TEXTS = sizeof row_texts / sizeof row_texts[0], WORDS = 7 };

static inline void put_number(struct kt_random *random, const struct kt_field *field, uint8_t *to)
{
    static const int64_t integers[] = { 0,
                                        1,
                                        -1,
                                        2,
                                        3,
                                        7,
                                        100,
                                        127,
                                        -128,
                                        255,
                                        32767,
                                        -32768,
                                        65535,
                                        INT32_MAX,
                                        INT32_MIN,
                                        UINT32_MAX,
                                        INT64_MAX,
                                        INT64_MIN,
                                        ((int64_t)1 << 53) + 1 };
    static const double doubles[] = {
        0.0, -0.0, 0.1, 0.5, 1.5, -2.5, 3, 1e10, 1e300, -1e300, 9007199254740992.0
    };
    double number = doubles[kt_random_below(random, 11)];
    int64_t integer = integers[kt_random_below(random, 19)];
    uint64_t odd = kt_random_below(random, 12);
    if (odd == 0) number = NAN;
    if (odd == 1) number = INFINITY;
    if (odd == 2) number = -INFINITY;
    float single = (float)number;
    static const uint16_t halves[] = { 0,      0x8000, 0x3800, 0x2e66, 0x3e00,
                                       0x7c00, 0xfc00, 0x7e00, 0x7bff, 0xc100 };
    uint16_t half = halves[kt_random_below(random, 10)];
    __extension__ __int128 wide = (integer % 1000) * 10 + (int64_t)kt_random_below(random, 3) * 5;
    switch (field->type) {
    case KT_FLOAT16:
        memcpy(to, &half, 2);
        break;
    case KT_FLOAT32:
        memcpy(to, &single, 4);
        break;
    case KT_FLOAT64:
        memcpy(to, &number, 8);
        break;
    case KT_DECIMAL128:
        memcpy(to, &wide, 16);
        break;
    default:
        if (field->type == KT_TIME32) integer = (int64_t)kt_random_below(random, 86400000);
        if (field->type == KT_TIME64) integer = (int64_t)kt_random_below(random, 86400) * 1000000007;
        if (field->type == KT_DATE64) integer = (integer % 20000) * 86400000;
        memcpy(to, &integer, kt_field_entry_bytes(field));
        break;
    }
}

static inline void rows_fill(struct kt_random *random, struct kt_batch *batch, struct kt_array *array,
                             int64_t rows);

static inline void put_texts(struct kt_random *random, struct kt_batch *batch, struct kt_array *array,
                             int64_t rows)
{
    uint32_t size = kt_type_offset_bytes(array->field->type);
    uint8_t *offsets = kt_batch_block(batch, (size_t)(rows + 1) * size);
    uint8_t *data = kt_batch_block(batch, (size_t)rows * 16 + 1);
    int64_t at = 0;
    memcpy(offsets, &at, size);
    for (int64_t i = 1; i <= rows; i++) {
        const char *text = row_texts[kt_random_below(random, ROW_TEXTS)];
        memcpy(data + at, text, strlen(text));
        at += (int64_t)strlen(text);
        memcpy(offsets + i * size, &at, size);
    }
    array->values = offsets;
    array->data = data;
}

/* A dictionary of a few words, one of them null, in codes of its type. */
static inline void put_words(struct kt_random *random, struct kt_batch *batch, struct kt_array *array,
                             int64_t rows)
{
    static const char *const words[WORDS] = { "cat01", "cat02", "abc", "", "ABC", "x%y", "\xc3\xa4" };
    struct kt_text_map map = { 0 };
    uint32_t size = kt_field_entry_bytes(array->field);
    uint8_t *codes = kt_batch_block(batch, (size_t)rows * size + 8), *valid = kt_batch_block(batch, 8);
    for (int i = 0; i < WORDS; i++)
        kt_text_map_add(&map, (const uint8_t *)words[i], (int64_t)strlen(words[i]));
    assert_ok(kt_text_map_yield(&map, batch, &array->children[0], &oops));
    if (array->field->index == KT_INT8) {
        kt_bits_fill(valid, 0, WORDS, true);
        kt_bit_clear(valid, 2);
        array->children[0].validity = valid;
    }
    for (int64_t i = 0; i < rows; i++) {
        uint64_t code = kt_random_below(random, WORDS);
        memcpy(codes + i * size, &code, size);
    }
    array->values = codes;
}

static inline void put_items(struct kt_random *random, struct kt_batch *batch, struct kt_array *array,
                             int64_t rows)
{
    int32_t *offsets = kt_batch_block(batch, (size_t)(rows + 1) * sizeof *offsets);
    offsets[0] = 0;
    for (int64_t i = 0; i < rows; i++) offsets[i + 1] = offsets[i] + (int32_t)kt_random_below(random, 4);
    array->values = (const uint8_t *)offsets;
    rows_fill(random, batch, &array->children[0], offsets[rows]);
}

static inline void rows_fill(struct kt_random *random, struct kt_batch *batch, struct kt_array *array,
                             int64_t rows)
{
    const struct kt_field *field = array->field;
    array->length = rows;
    if (field->type == KT_NULL) return;
    uint8_t *bits = kt_batch_block(batch, (size_t)(rows + 7) / 8 + 1);
    kt_bits_fill(bits, 0, rows, true);
    for (int64_t i = 0; i < rows; i++)
        if (!kt_random_below(random, 6)) kt_bit_clear(bits, (uint64_t)i);
    if (kt_random_below(random, 4)) array->validity = bits;
    if (field->type == KT_DICTIONARY) {
        put_words(random, batch, array, rows);
    } else if (field->type == KT_LIST) {
        put_items(random, batch, array, rows);
    } else if (kt_type_offset_bytes(field->type)) {
        put_texts(random, batch, array, rows);
    } else if (field->child_count) {
        for (uint32_t i = 0; i < field->child_count; i++)
            rows_fill(random, batch, &array->children[i],
                      field->type == KT_STRUCT ? rows : rows * field->width);
    } else {
        uint32_t size = kt_field_entry_bytes(field);
        uint8_t *values = kt_batch_block(batch, (size_t)rows * (size ? size : 1) + 16);
        array->values = values;
        for (int64_t i = 0; i < (size ? rows : (rows + 7) / 8); i++) {
            if (size && field->type != KT_FIXED_BINARY)
                put_number(random, field, values + i * size);
            else
                for (uint32_t k = 0; k < (size ? size : 1); k++)
                    values[i * (size ? size : 1) + k] = (uint8_t)kt_random_u64(random);
        }
    }
}

static inline struct kt_batch *rows_batch(struct kt_random *random, struct kt_schema *schema, int64_t rows)
{
    struct kt_batch *batch = NULL;
    assert_ok(kt_batch_new(schema, rows, &batch, &oops));
    for (uint32_t i = 0; i < schema->count; i++) rows_fill(random, batch, &batch->columns[i], rows);
    return batch;
}

/* ---- evaluating ---- */

static inline struct kt_expr *rows_parse(const char *text)
{
    struct kt_expr *expr = NULL;
    if (kt_expr_parse(text, NULL, 0, &expr, &oops)) fail_msg("%s\n%s", text, oops.message);
    return expr;
}

static inline struct kt_filter *rows_bind(const char *text, const struct kt_schema *schema, bool predicate)
{
    struct kt_filter *filter = NULL;
    struct kt_expr *expr = rows_parse(text);
    if (kt_filter_bind(expr, schema, predicate, &filter, &oops)) fail_msg("%s\n%s", text, oops.message);
    kt_expr_release(expr);
    return filter;
}

enum { ROWS_COLUMNS = 64, ROWS_WORDS = KT_FILTER_ROWS / 64 };

/* The rows of a batch's columns, as the filter wants them. */
static inline struct kt_filter_rows rows_of(const struct kt_filter *filter, const struct kt_batch *batch,
                                            struct kt_array room[ROWS_COLUMNS])
{
    uint32_t count;
    const uint32_t *columns = kt_filter_columns(filter, &count);
    for (uint32_t i = 0; i < count; i++) room[i] = batch->columns[columns[i]];
    return (struct kt_filter_rows){ .columns = room, .count = (uint32_t)batch->rows };
}

/* The bits of a text over a batch; false where a row fails, with `oops` saying how. */
static inline bool rows_eval(const char *text, const struct kt_batch *batch, const uint64_t *among,
                             uint64_t *bits)
{
    struct kt_array room[ROWS_COLUMNS];
    struct kt_arena scratch = { 0 };
    struct kt_filter *filter = rows_bind(text, batch->schema, true);
    struct kt_filter_rows rows = rows_of(filter, batch, room);
    memset(bits, 0xee, (size_t)(batch->rows + 63) / 64 * 8);
    kith_status status = kt_filter_eval(filter, &rows, among, &scratch, bits, &oops);
    kt_arena_release(&scratch);
    kt_filter_free(filter);
    return status == KITH_OK;
}

/* The values of a text over a batch, as a batch of one column. */
static inline struct kt_batch *rows_values(const char *text, const struct kt_batch *batch)
{
    struct kt_array room[ROWS_COLUMNS];
    struct kt_filter *filter = rows_bind(text, batch->schema, false);
    struct kt_filter_rows rows = rows_of(filter, batch, room);
    struct kt_schema *schema = NULL;
    struct kt_builder *builder = NULL;
    struct kt_batch *out = NULL;
    assert_ok(kt_schema_new(kt_filter_field(filter), 1, NULL, &schema, &oops));
    assert_ok(kt_builder_new(schema, batch->rows, &builder, &oops));
    if (kt_filter_values(filter, &rows, builder, 0, &oops)) fail_msg("%s\n%s", text, oops.message);
    assert_ok(kt_builder_finish(builder, &out, &oops));
    kt_schema_release(schema);
    kt_filter_free(filter);
    return out;
}

static inline bool bit_of(const uint64_t *bits, int64_t row)
{
    return bits[row / 64] >> (row % 64) & 1;
}

#endif
