/* Columns of every type that an index of values holds, and what a plain scan says of them.
 *
 * A sample keeps each value twice: in an Arrow array, which is what an index is built from, and as a cell
 * that is compared without keys, bit tricks or units: whole numbers in 128 bits, doubles, bytes. Literals are
 * cells too, so that what an index answers is held to comparisons of cells alone. */
#ifndef TESTS_SCALAR_SAMPLES_H
#define TESTS_SCALAR_SAMPLES_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/random.h"
#include "filter/scalar.h"

#define assert_ok(call)                                                                                      \
    do {                                                                                                     \
        kith_error ok_error = { 0 };                                                                         \
        kith_error *error = &ok_error;                                                                       \
        kith_status ok_status = (call);                                                                      \
        if (ok_status) fail_msg("%s: %s: %s", #call, kith_status_name(ok_status), ok_error.message);         \
    } while (0)

__extension__ typedef __int128 wide;

/* ---- cells ---- */

enum cell_kind { CELL_NULL, CELL_WHOLE, CELL_NUMBER, CELL_BYTES };

struct cell {
    enum cell_kind kind;
    wide whole; /* times in nanoseconds, decimals in units of 10^-FINEST */
    double number;
    const char *bytes;
    size_t size;
};
enum { FINEST = 4 };

static inline int cell_compare(const struct cell *a, const struct cell *b)
{
    if (a->kind == CELL_WHOLE) return (a->whole > b->whole) - (a->whole < b->whole);
    if (a->kind == CELL_NUMBER) {
        if (isnan(a->number) || isnan(b->number)) return !!isnan(a->number) - !!isnan(b->number);
        return (a->number > b->number) - (a->number < b->number);
    }
    size_t both = a->size < b->size ? a->size : b->size;
    int order = both ? memcmp(a->bytes, b->bytes, both) : 0;
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

/* ---- types ---- */

static const struct sample_type {
    enum kt_type type;
    enum kt_unit unit;
    int32_t width, scale;
} sample_types[] = {
    { KT_BOOL, 0, 0, 0 },
    { KT_INT8, 0, 0, 0 },
    { KT_INT16, 0, 0, 0 },
    { KT_INT32, 0, 0, 0 },
    { KT_INT64, 0, 0, 0 },
    { KT_UINT8, 0, 0, 0 },
    { KT_UINT16, 0, 0, 0 },
    { KT_UINT32, 0, 0, 0 },
    { KT_UINT64, 0, 0, 0 },
    { KT_FLOAT16, 0, 0, 0 },
    { KT_FLOAT32, 0, 0, 0 },
    { KT_FLOAT64, 0, 0, 0 },
    { KT_DECIMAL128, 0, 38, 2 },
    { KT_UTF8, 0, 0, 0 },
    { KT_LARGE_UTF8, 0, 0, 0 },
    { KT_BINARY, 0, 0, 0 },
    { KT_LARGE_BINARY, 0, 0, 0 },
    { KT_FIXED_BINARY, 0, 3, 0 },
    { KT_DATE32, 0, 0, 0 },
    { KT_DATE64, KT_MILLISECOND, 0, 0 },
    { KT_TIME32, KT_SECOND, 0, 0 },
    { KT_TIME32, KT_MILLISECOND, 0, 0 },
    { KT_TIME64, KT_MICROSECOND, 0, 0 },
    { KT_TIME64, KT_NANOSECOND, 0, 0 },
    { KT_TIMESTAMP, KT_SECOND, 0, 0 },
    { KT_TIMESTAMP, KT_MILLISECOND, 0, 0 },
    { KT_TIMESTAMP, KT_MICROSECOND, 0, 0 },
    { KT_TIMESTAMP, KT_NANOSECOND, 0, 0 },
    { KT_DURATION, KT_SECOND, 0, 0 },
    { KT_DURATION, KT_NANOSECOND, 0, 0 },
    { KT_DICTIONARY, 0, 0, 0 },
};
enum { SAMPLE_TYPES = sizeof sample_types / sizeof *sample_types };

static inline bool type_has_bytes(enum kt_type type)
{
    return type == KT_DICTIONARY || (type >= KT_UTF8 && type <= KT_FIXED_BINARY);
}
static inline bool type_is_text(enum kt_type type)
{
    return type == KT_DICTIONARY || type == KT_UTF8 || type == KT_LARGE_UTF8;
}
static inline bool type_is_float(enum kt_type type)
{
    return type >= KT_FLOAT16 && type <= KT_FLOAT64;
}
static inline bool type_is_natural(enum kt_type type)
{
    return type == KT_BOOL || (type >= KT_UINT8 && type <= KT_UINT64);
}
static inline size_t type_bytes(enum kt_type type)
{
    switch (type) {
    case KT_INT8:
    case KT_UINT8:
        return 1;
    case KT_INT16:
    case KT_UINT16:
    case KT_FLOAT16:
        return 2;
    case KT_INT32:
    case KT_UINT32:
    case KT_FLOAT32:
    case KT_DATE32:
    case KT_TIME32:
        return 4;
    case KT_DECIMAL128:
        return 16;
    default:
        return 8;
    }
}
/* Nanoseconds of a column's unit; for others what a whole number counts. */
static inline wide type_step(const struct kt_field *field)
{
    static const int64_t each[] = { 1000000000, 1000000, 1000, 1 };
    if (field->type == KT_DECIMAL128) return 100; /* FINEST - scale */
    if (field->type == KT_DATE32) return (wide)86400 * 1000000000;
    if (field->type < KT_DATE64 || field->type > KT_DURATION) return 1;
    return each[field->unit];
}

/* ---- columns ---- */

enum { ARRAY_OFFSET = 3 }; /* the arrays begin in the middle of their buffers */

struct sample {
    struct kt_field field, child;
    struct kt_array array, values; /* `values` are a dictionary's */
    struct cell *cells;
    char **pool; /* texts that the cells point to */
    size_t *pool_sizes;
    size_t pool_count;
    void *memory[8];
    int memory_count;
};

static inline void *sample_room(struct sample *s, size_t bytes)
{
    return s->memory[s->memory_count++] = calloc(1, bytes + 1);
}

/* Texts that begin alike, are beginnings of each other, hold zeros, are empty, or long. */
static inline void sample_pool(struct sample *s, struct kt_random *random, size_t count)
{
    static const char *const heads[] = { "",
                                         "a",
                                         "https://www.kith.example/",
                                         "\xc3\xa9",
                                         "zz\xff",
                                         "\xe6\x97\xa5",
                                         "the same seven bytes again, " };
    bool text = type_is_text(s->field.type);
    s->pool = calloc(count, sizeof *s->pool);
    s->pool_sizes = calloc(count, sizeof *s->pool_sizes);
    s->pool_count = count;
    for (size_t i = 0; i < count; i++) {
        size_t h = kt_random_below(random, text ? 4 : 7), size = strlen(heads[h]);
        s->pool[i] = calloc(1, 6000);
        memcpy(s->pool[i], heads[h], size);
        if (kt_random_below(random, 4)) size += (size_t)sprintf(s->pool[i] + size, "%d", (int)(i / 3));
        if (kt_random_below(random, 4) == 0) size += 1 + kt_random_below(random, 3); /* zeros */
        if (i == 1) memset(s->pool[i], 'x', size = 5000);
        s->pool_sizes[i] = s->field.type == KT_FIXED_BINARY ? 3 : size;
    }
}

static inline struct cell pool_cell(const struct sample *s, size_t i)
{
    return (struct cell){ .kind = CELL_BYTES, .bytes = s->pool[i], .size = s->pool_sizes[i] };
}

static inline void put_texts(struct sample *s, struct kt_array *array, const struct cell *cells,
                             int64_t count)
{
    bool large = array->field->type == KT_LARGE_UTF8 || array->field->type == KT_LARGE_BINARY;
    size_t sum = 0, at = 0;
    for (int64_t i = 0; i < count; i++) sum += cells[i].size;
    char *data = sample_room(s, sum);
    uint8_t *offsets = sample_room(s, (size_t)(count + 1 + ARRAY_OFFSET) * 8);
    for (int64_t i = 0; i <= count; i++) {
        int64_t slot = i + array->offset;
        if (large)
            ((int64_t *)(void *)offsets)[slot] = (int64_t)at;
        else
            ((int32_t *)(void *)offsets)[slot] = (int32_t)at;
        if (i == count || cells[i].kind == CELL_NULL) continue;
        memcpy(data + at, cells[i].bytes, cells[i].size);
        at += cells[i].size;
    }
    array->values = offsets;
    array->data = (uint8_t *)data;
}

static inline void put_fixed_bytes(struct sample *s, const struct cell *cells, int64_t count)
{
    char *values = sample_room(s, (size_t)(count + ARRAY_OFFSET) * 3);
    for (int64_t i = 0; i < count; i++)
        if (cells[i].kind) memcpy(values + (i + ARRAY_OFFSET) * 3, cells[i].bytes, 3);
    s->array.values = (uint8_t *)values;
}

/* The pool is the dictionary; a null value stands at its end, and some rows that are null point there. */
static inline void put_dictionary(struct sample *s, const struct cell *cells, int64_t count)
{
    struct cell *texts = sample_room(s, (s->pool_count + 1) * sizeof *texts);
    int32_t *indices = sample_room(s, (size_t)(count + ARRAY_OFFSET) * sizeof *indices);
    uint8_t *validity = sample_room(s, s->pool_count / 8 + 1);
    for (size_t i = 0; i < s->pool_count; i++) {
        texts[i] = pool_cell(s, i);
        kt_bit_set(validity, i);
    }
    s->values = (struct kt_array){ .field = &s->child, .length = (int64_t)s->pool_count + 1 };
    put_texts(s, &s->values, texts, s->values.length);
    s->values.validity = validity;
    for (int64_t i = 0; i < count; i++) {
        size_t at = s->pool_count;
        if (cells[i].kind)
            for (at = 0; s->pool[at] != cells[i].bytes;) at++;
        indices[i + ARRAY_OFFSET] = (int32_t)at;
    }
    s->array.values = (uint8_t *)indices;
    s->array.children = &s->values;
}

/* ---- numbers ---- */

static const struct {
    uint16_t bits;
    double value;
} halves[] = {
    { 0x0000, 0.0 },
    { 0x8000, -0.0 },
    { 0x3c00, 1.0 },
    { 0xbc00, -1.0 },
    { 0x7c00, INFINITY },
    { 0xfc00, -INFINITY },
    { 0x7e00, NAN },
    { 0xfe01, NAN },
    { 0x7bff, 65504.0 },
    { 0xfbff, -65504.0 },
    { 0x0001, 0x1p-24 },
    { 0x83ff, -1023 * 0x1p-24 },
    { 0x3555, 0.333251953125 },
};
static const double odd_numbers[] = { 0.0,  -0.0,  1,     -1,     INFINITY, -INFINITY, NAN,
                                      1e38, -1e38, 1e-40, -1e-40, 0.1f,     16777216 };

/* A whole number of the column's own unit that the type can hold. */
static inline wide sample_whole(const struct sample *s, struct kt_random *random, uint64_t different)
{
    size_t bits = 8 * type_bytes(s->field.type);
    bool natural = type_is_natural(s->field.type);
    if (s->field.type == KT_BOOL) return (wide)kt_random_below(random, 2);
    wide most = natural ? ((wide)1 << (bits & 127)) - 1 : ((wide)1 << ((bits - 1) & 127)) - 1;
    if (s->field.type == KT_DECIMAL128) most = (wide)1000000000000000000 * 10000000000000000;
    wide small = (wide)kt_random_below(random, different) - (natural ? 0 : (wide)(different / 2));
    if (kt_random_below(random, 10) == 0 && different > 2)
        small = kt_random_below(random, 2) ? most : natural ? 0 : -most;
    wide folded = small % (most + 1);
    return folded;
}

static inline struct cell sample_number(const struct sample *s, struct kt_random *random, uint64_t different,
                                        uint8_t *to)
{
    struct cell cell = { .kind = CELL_NUMBER };
    if (s->field.type == KT_FLOAT16) {
        size_t i = kt_random_below(random, kt_min_u64(different, sizeof halves / sizeof *halves));
        kt_put_u16(to, halves[i].bits);
        cell.number = halves[i].value;
        return cell;
    }
    size_t some = sizeof odd_numbers / sizeof *odd_numbers, i = kt_random_below(random, different);
    cell.number = i < some ? odd_numbers[i] : (double)i / 4 - 100;
    if (s->field.type == KT_FLOAT32) {
        kt_put_f32(to, (float)cell.number);
        cell.number = (double)(float)cell.number;
    } else {
        memcpy(to, &cell.number, 8);
    }
    return cell;
}

static inline void put_numbers(struct sample *s, struct kt_random *random, uint64_t different, int64_t count)
{
    size_t width = type_bytes(s->field.type);
    uint8_t *values = sample_room(s, (size_t)(count + ARRAY_OFFSET) * 16);
    for (int64_t i = 0; i < count; i++) {
        uint8_t *to = values + (size_t)(i + ARRAY_OFFSET) * width;
        struct cell cell;
        if (type_is_float(s->field.type)) {
            cell = sample_number(s, random, different, to);
        } else {
            wide whole = sample_whole(s, random, different);
            cell = (struct cell){ .kind = CELL_WHOLE, .whole = whole * type_step(&s->field) };
            if (s->field.type != KT_BOOL)
                memcpy(to, &whole, width);
            else if (whole)
                kt_bit_set(values, (uint64_t)(i + ARRAY_OFFSET));
        }
        if (s->cells[i].kind != CELL_NULL) s->cells[i] = cell;
    }
    s->array.values = values;
}

/* `count` rows of about `different` values, `nulls` in ten of them null. */
static inline struct sample *sample_new(size_t type, int64_t count, uint64_t different, uint64_t nulls,
                                        struct kt_random *random)
{
    const struct sample_type *t = &sample_types[type];
    struct sample *s = calloc(1, sizeof *s);
    s->field = (struct kt_field){ .name = (char *)"value",
                                  .type = t->type,
                                  .nullable = true,
                                  .unit = t->unit,
                                  .width = t->width,
                                  .scale = t->scale,
                                  .index = KT_INT32 };
    s->child = (struct kt_field){ .name = (char *)"", .type = KT_UTF8, .nullable = true };
    if (t->type == KT_DICTIONARY) s->field.children = &s->child, s->field.child_count = 1;
    s->array = (struct kt_array){ .field = &s->field, .length = count, .offset = ARRAY_OFFSET };
    s->cells = calloc((size_t)count + 1, sizeof *s->cells);
    bool bytes = type_has_bytes(t->type);
    if (bytes) sample_pool(s, random, different);
    uint8_t *validity = sample_room(s, (size_t)(count + ARRAY_OFFSET) / 8 + 1);
    for (int64_t i = 0; i < count; i++) {
        bool valid = kt_random_below(random, 10) >= nulls;
        s->cells[i].kind = valid ? CELL_WHOLE : CELL_NULL;
        if (valid && bytes) s->cells[i] = pool_cell(s, kt_random_below(random, different));
        if (valid || (t->type == KT_DICTIONARY && i % 2)) kt_bit_set(validity, (uint64_t)(i + ARRAY_OFFSET));
    }
    s->array.validity = nulls ? validity : NULL;
    if (t->type == KT_DICTIONARY)
        put_dictionary(s, s->cells, count);
    else if (t->type == KT_FIXED_BINARY)
        put_fixed_bytes(s, s->cells, count);
    else if (bytes)
        put_texts(s, &s->array, s->cells, count);
    else
        put_numbers(s, random, different, count);
    return s;
}

static inline void sample_free(struct sample *s)
{
    for (int i = 0; i < s->memory_count; i++) free(s->memory[i]);
    for (size_t i = 0; i < s->pool_count; i++) free(s->pool[i]);
    free(s->pool);
    free(s->pool_sizes);
    free(s->cells);
    free(s);
}

/* ---- literals ---- */

struct literal {
    struct kt_value value;
    struct cell cell;
    char text[32];
};

static inline void literal_whole(const struct sample *s, struct kt_random *random, struct literal *out)
{
    static const int64_t odd[] = { -1, 0, 300, -300, 70000, INT64_MIN, INT64_MAX };
    wide whole = sample_whole(s, random, 20) + (wide)kt_random_below(random, 3) - 1;
    if (kt_random_below(random, 5) == 0) whole = odd[kt_random_below(random, 7)];
    if (kt_random_below(random, 20) == 0) whole = (wide)UINT64_MAX - 5;
    if (whole < INT64_MIN) whole = INT64_MIN;
    if (whole > UINT64_MAX) whole = UINT64_MAX;
    out->value.kind = whole > INT64_MAX ? KT_VALUE_UINT : KT_VALUE_INT;
    out->value.natural = (uint64_t)whole;
    out->value.integer = (int64_t)whole;
    out->cell = (struct cell){ .kind = CELL_WHOLE, .whole = whole };
}

/* A time of the column, or one near it that its unit may not be able to say. */
static inline void literal_time(const struct sample *s, struct kt_random *random, struct literal *out)
{
    wide nanoseconds, micros;
    do {
        nanoseconds = sample_whole(s, random, 20) * type_step(&s->field);
        if (kt_random_below(random, 3) == 0)
            nanoseconds += (wide)kt_random_below(random, 3000) * (type_step(&s->field) / 1000 + 1) - 1000;
        micros = nanoseconds / 1000 - (nanoseconds % 1000 < 0);
    } while (micros > INT64_MAX || micros < INT64_MIN);
    out->value.kind = s->field.type == KT_TIMESTAMP  ? KT_VALUE_TIMESTAMP
                      : s->field.type == KT_DURATION ? KT_VALUE_INTERVAL
                                                     : KT_VALUE_TIME;
    out->value.integer = (int64_t)micros;
    out->value.nanos = (uint32_t)(nanoseconds - micros * 1000);
    if (s->field.type == KT_DURATION && micros > -1000000 && micros < 1000000) {
        out->value.days = (int32_t)kt_random_below(random, 3);
        nanoseconds += (wide)out->value.days * 86400 * 1000000000;
    }
    out->cell = (struct cell){ .kind = CELL_WHOLE, .whole = nanoseconds };
    wide ticks = nanoseconds / type_step(&s->field);
    bool exact = ticks * type_step(&s->field) == nanoseconds && ticks >= INT64_MIN && ticks <= INT64_MAX;
    if (exact && kt_random_below(random, 4) == 0)
        out->value = (struct kt_value){ .kind = KT_VALUE_INT, .integer = (int64_t)ticks };
}

static inline void literal_date(const struct sample *s, struct kt_random *random, struct literal *out)
{
    wide days = (wide)kt_random_below(random, 30) - 15;
    out->value.kind = KT_VALUE_DATE;
    if (kt_random_below(random, 5) == 0) days = kt_random_below(random, 2) ? INT64_MAX : INT64_MIN;
    out->value.integer = (int64_t)days;
    (void)s;
    out->cell = (struct cell){ .kind = CELL_WHOLE, .whole = days * 86400 * 1000000000 };
}

static inline void literal_decimal(struct kt_random *random, struct literal *out)
{
    int64_t integer = (int64_t)kt_random_below(random, 4000) - 2000;
    if (kt_random_below(random, 5) == 0) integer = kt_random_below(random, 2) ? INT64_MAX : INT64_MIN;
    int32_t scale = (int32_t)kt_random_below(random, FINEST + 1);
    if (kt_random_below(random, 3) == 0) scale = -12; /* 10^12 times the integer */
    out->value.kind = KT_VALUE_DECIMAL;
    out->value.integer = integer;
    out->value.scale = scale;
    out->cell = (struct cell){ .kind = CELL_WHOLE, .whole = integer };
    for (int32_t i = scale; i < FINEST; i++) out->cell.whole *= 10;
}

static inline void literal_number(const struct sample *s, struct kt_random *random, struct literal *out)
{
    uint8_t ignored[8];
    out->cell = sample_number(s, random, 40, ignored);
    if (kt_random_below(random, 4) == 0) out->cell.number += 1e-9;
    out->value.kind = KT_VALUE_FLOAT;
    out->value.number = out->cell.number;
}

static inline void literal_bytes(const struct sample *s, struct kt_random *random, struct literal *out)
{
    struct cell cell = pool_cell(s, kt_random_below(random, s->pool_count));
    size_t change = kt_random_below(random, 4);
    if (cell.size < sizeof out->text - 1 && change < 2) { /* a letter more or less */
        memcpy(out->text, cell.bytes, cell.size);
        cell.bytes = out->text;
        if (change == 0)
            out->text[cell.size++] = (char)kt_random_below(random, 100);
        else if (cell.size)
            cell.size--;
    }
    out->value.kind = type_is_text(s->field.type) ? KT_VALUE_TEXT : KT_VALUE_BYTES;
    out->value.text = (char *)cell.bytes;
    out->value.size = cell.size;
    out->cell = cell;
}

/* `out` must stay where it is: its cell may point into it. */
static inline void literal_of(const struct sample *s, struct kt_random *random, struct literal *out)
{
    *out = (struct literal){ 0 };
    switch (s->field.type) {
    case KT_BOOL:
        out->value.kind = KT_VALUE_BOOL;
        out->value.boolean = kt_random_below(random, 2);
        out->cell = (struct cell){ .kind = CELL_WHOLE, .whole = out->value.boolean };
        return;
    case KT_DECIMAL128:
        literal_decimal(random, out);
        return;
    case KT_DATE32:
    case KT_DATE64:
        literal_date(s, random, out);
        return;
    case KT_TIME32:
    case KT_TIME64:
    case KT_TIMESTAMP:
    case KT_DURATION:
        literal_time(s, random, out);
        return;
    default:
        if (type_has_bytes(s->field.type))
            literal_bytes(s, random, out);
        else if (type_is_float(s->field.type))
            literal_number(s, random, out);
        else
            literal_whole(s, random, out);
    }
}

/* ---- indexes ---- */

/* The file of an index over rows [first, + length) of an array, in memory. */
static inline struct kt_buffer index_bytes(kith_index_type type, const struct kt_array *array, uint64_t first)
{
    struct kt_buffer bytes = { 0 };
    struct kt_sink *sink = NULL;
    struct kt_scalar_build *build = NULL;
    struct kt_array part = *array;
    assert_ok(kt_scalar_check(type, array->field, error));
    assert_ok(kt_scalar_begin(type, array->field, &build, error));
    for (int64_t at = 0; at < array->length; at += part.length) { /* in two parts */
        part.offset = array->offset + at;
        part.length = at ? array->length - at : (array->length + 2) / 3;
        assert_ok(kt_scalar_add(build, &part, first + (uint64_t)at, error));
    }
    assert_ok(kt_sink_memory(&bytes, &sink, error));
    assert_ok(kt_scalar_write(build, NULL, sink, error));
    assert_ok(kt_sink_finish(sink, NULL, error));
    kt_scalar_build_free(build);
    return bytes;
}

/* Opens a copy of the bytes, of their size exactly, as a file that needs no checksum. */
static inline kith_status index_open(const uint8_t *bytes, size_t size, const struct kt_field *field,
                                     struct kt_scalar **out, kith_error *error)
{
    struct kt_view_file *file = NULL;
    uint8_t *copy = kt_alloc_aligned(size ? size : 1);
    if (!copy) return kt_fail_memory(error, size);
    if (size) memcpy(copy, bytes, size);
    kith_status status = kt_view_from_memory("some.kix", copy, size, &file, error);
    return status ? status : kt_scalar_open(file, field, out, error);
}

static inline struct kt_selection selection_new(uint64_t rows)
{
    return (struct kt_selection){ .words = calloc((rows + 63) / 64 + 1, 8), .rows = rows };
}

#endif
