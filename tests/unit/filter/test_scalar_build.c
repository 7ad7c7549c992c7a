/* What a scalar index answers is what a scan of the column says: for every type, with nulls, extremes, NaN,
 * zeros of both signs, texts that begin alike, values that come often and once, no rows and one row; and its
 * bitmaps are those that CRoaring reads and writes. */
#include "filter/scalar_private.h"

#include <roaring/roaring.h>

#include "unit/filter/scalar_samples.h"

static uint64_t seed = 11;

enum { FIRST_ROW = 1000003, BEHIND = 200, PROBES = 60 };

/* ---- the plain scan ---- */

static bool matches(const struct cell *cell, const struct kt_probe *probe, const struct literal *low,
                    const struct literal *high)
{
    if (cell->kind == CELL_NULL) return false;
    if (low) {
        int order = cell_compare(cell, &low->cell);
        if (order < 0 || (order == 0 && probe->low_open)) return false;
    }
    if (high) {
        int order = cell_compare(cell, &high->cell);
        if (order > 0 || (order == 0 && probe->high_open)) return false;
    }
    return true;
}

/* What an index was asked, and whether its rows are those of `expected`, one byte a row. */
static void assert_rows(const struct kt_scalar *scalar, const struct kt_probe *probe, const uint8_t *expected,
                        int64_t count, const char *what)
{
    struct kt_selection out = selection_new(FIRST_ROW + (uint64_t)count + BEHIND);
    bool answered = false;
    uint64_t wanted = 1, estimate = 0;
    out.words[0] = 1, out.count = 1; /* of another piece */
    assert_ok(kt_scalar_probe(scalar, probe, &out, &answered, error));
    assert_true(answered);
    for (int64_t i = 0; i < count; i++) {
        wanted += expected[i];
        if (kt_selected(&out, FIRST_ROW + (uint64_t)i) != expected[i])
            fail_msg("%s: row %lld is %s", what, (long long)i, expected[i] ? "missing" : "too many");
    }
    assert_int_equal(out.count, wanted);
    assert_int_equal(kt_selection_count(&out, 0, out.rows), wanted);
    assert_ok(kt_scalar_estimate(scalar, probe, &estimate, &answered, error));
    assert_true(answered);
    bool several = probe->kind == KT_PROBE_HAS_ANY || probe->kind == KT_PROBE_HAS_ALL;
    if (several && probe->values.count > 1)
        assert_true(estimate + 1 >= wanted);
    else
        assert_int_equal(estimate + 1, wanted);
    free(out.words);
}

static void ask_range(const struct sample *s, const struct kt_scalar *scalar, struct kt_random *random,
                      const char *what)
{
    struct literal low, high;
    struct kt_probe probe = { .kind = KT_PROBE_RANGE };
    uint8_t *expected = calloc((size_t)s->array.length + 1, 1);
    literal_of(s, random, &low);
    literal_of(s, random, &high);
    uint64_t bounds = kt_random_below(random, 8);
    bool has_low = bounds != 0, has_high = bounds != 1;
    if (has_low && has_high && kt_random_below(random, 2) == 0) high.value = low.value, high.cell = low.cell;
    if (has_low) probe.low = low.value;
    if (has_high) probe.high = high.value;
    probe.low_open = kt_random_below(random, 2);
    probe.high_open = kt_random_below(random, 2);
    for (int64_t i = 0; i < s->array.length; i++)
        expected[i] = matches(&s->cells[i], &probe, has_low ? &low : NULL, has_high ? &high : NULL);
    assert_rows(scalar, &probe, expected, s->array.length, what);
    free(expected);
}

static void ask_in(const struct sample *s, const struct kt_scalar *scalar, struct kt_random *random,
                   const char *what)
{
    enum { MOST = 6 };
    struct literal literals[MOST];
    struct kt_value items[MOST];
    struct kt_probe probe = { .kind = KT_PROBE_IN };
    uint8_t *expected = calloc((size_t)s->array.length + 1, 1);
    size_t count = kt_random_below(random, MOST + 1);
    for (size_t i = 0; i < count; i++) {
        literal_of(s, random, &literals[i]);
        for (size_t j = 0; j < i; j++) /* no value twice */
            if (cell_compare(&literals[i].cell, &literals[j].cell) == 0) count = i;
        items[i] = literals[i].value;
        for (int64_t r = 0; r < s->array.length && i < count; r++)
            expected[r] |= s->cells[r].kind && cell_compare(&s->cells[r], &literals[i].cell) == 0;
    }
    probe.values = (struct kt_value){ .kind = KT_VALUE_LIST, .items = items, .count = count };
    assert_rows(scalar, &probe, expected, s->array.length, what);
    free(expected);
}

static void ask_null(const struct sample *s, const struct kt_scalar *scalar, const char *what)
{
    struct kt_probe probe = { .kind = KT_PROBE_NULL };
    uint8_t *expected = calloc((size_t)s->array.length + 1, 1);
    for (int64_t i = 0; i < s->array.length; i++) expected[i] = s->cells[i].kind == CELL_NULL;
    assert_rows(scalar, &probe, expected, s->array.length, what);
    free(expected);
}

static void ask_all(const struct sample *s, kith_index_type type, struct kt_random *random)
{
    char name[80], what[160];
    struct kt_buffer bytes = index_bytes(type, &s->array, FIRST_ROW);
    struct kt_scalar *scalar = NULL;
    kt_field_type_text(&s->field, name, sizeof name);
    snprintf(what, sizeof what, "%s over %lld rows of %s", kith_index_type_name(type),
             (long long)s->array.length, name);
    assert_ok(index_open(bytes.data, bytes.size, &s->field, &scalar, error));
    ask_null(s, scalar, what);
    for (int i = 0; i < PROBES; i++) ask_range(s, scalar, random, what);
    for (int i = 0; i < PROBES / 3; i++) ask_in(s, scalar, random, what);
    kt_scalar_close(scalar);
    kt_buffer_release(&bytes);
}

/* ---- columns of one value a row ---- */

static void answers_are_those_of_a_scan(void **state)
{
    static const struct {
        int64_t rows;
        uint64_t different, nulls;
    } shapes[] = { { 0, 5, 0 },   { 1, 5, 0 },    { 1, 5, 10 },     { 700, 1, 0 },
                   { 700, 4, 3 }, { 300, 4, 10 }, { 3000, 400, 1 }, { 3000, 2000, 0 } };
    struct kt_random random = { seed };
    (void)state;
    for (size_t t = 0; t < SAMPLE_TYPES; t++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            struct sample *s = sample_new(t, shapes[i].rows, shapes[i].different, shapes[i].nulls, &random);
            ask_all(s, KITH_BTREE, &random);
            ask_all(s, KITH_BITMAP, &random);
            sample_free(s);
        }
}

/* Enough rows for many pages and containers, whose rows lie 65,536 apart and more. */
static void large_columns_have_many_pages_and_containers(void **state)
{
    static const enum kt_type types[] = { KT_INT64, KT_FLOAT32, KT_UTF8, KT_DECIMAL128 };
    struct kt_random random = { seed };
    (void)state;
    for (size_t t = 0; t < SAMPLE_TYPES; t++)
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
            if (sample_types[t].type != types[i]) continue;
            struct sample *many = sample_new(t, 150000, 5000, 1, &random);
            struct sample *few = sample_new(t, 150000, 3, 5, &random);
            ask_all(many, KITH_BTREE, &random);
            ask_all(few, KITH_BITMAP, &random);
            sample_free(many);
            sample_free(few);
        }
}

static void rows_that_are_missing_between_batches_stay_missing(void **state)
{
    struct kt_random random = { seed };
    struct sample *s = sample_new(4, 100, 1, 0, &random);
    struct kt_scalar_build *build = NULL;
    struct kt_buffer bytes = { 0 };
    struct kt_sink *sink = NULL;
    struct kt_scalar *scalar = NULL;
    struct kt_probe probe = { .kind = KT_PROBE_RANGE };
    struct kt_selection out = selection_new(600000);
    bool answered;
    (void)state;
    assert_int_equal(s->field.type, KT_INT64);
    assert_ok(kt_scalar_begin(KITH_BITMAP, &s->field, &build, error));
    assert_ok(kt_scalar_add(build, &s->array, 70, error));
    assert_ok(kt_scalar_add(build, &s->array, 500000, error));
    assert_ok(kt_sink_memory(&bytes, &sink, error));
    assert_ok(kt_scalar_write(build, NULL, sink, error));
    assert_ok(kt_sink_finish(sink, NULL, error));
    assert_ok(index_open(bytes.data, bytes.size, &s->field, &scalar, error));
    assert_ok(kt_scalar_probe(scalar, &probe, &out, &answered, error));
    assert_int_equal(out.count, 200);
    assert_int_equal(kt_selection_count(&out, 70, 170), 100);
    assert_int_equal(kt_selection_count(&out, 500000, 500100), 100);
    kt_scalar_close(scalar);
    kt_scalar_build_free(build);
    kt_buffer_release(&bytes);
    free(out.words);
    sample_free(s);
}

/* ---- lists ---- */

/* Lists of the rows of a sample: list r has the rows [begin[r], begin[r + 1]). */
struct lists {
    struct kt_field field;
    struct kt_array array;
    int32_t *begin;
    uint8_t *validity;
    int64_t count;
};

static struct lists *lists_new(struct sample *s, struct kt_random *random)
{
    struct lists *lists = calloc(1, sizeof *lists);
    lists->begin = calloc((size_t)s->array.length + 2, sizeof *lists->begin);
    lists->validity = calloc((size_t)s->array.length + 1, 1);
    lists->field = (struct kt_field){
        .name = (char *)"tags", .type = KT_LIST, .nullable = true, .children = &s->field, .child_count = 1
    };
    for (int32_t at = 0; at < s->array.length;) {
        at += (int32_t)kt_random_below(random, 5);
        if (at > s->array.length) at = (int32_t)s->array.length;
        lists->begin[++lists->count] = at;
        if (lists->count == s->array.length) break;
    }
    for (int64_t i = 0; i < lists->count; i++)
        if (kt_random_below(random, 8)) kt_bit_set(lists->validity, (uint64_t)i);
    lists->array = (struct kt_array){ .field = &lists->field,
                                      .length = lists->count,
                                      .validity = lists->validity,
                                      .values = (uint8_t *)lists->begin,
                                      .children = &s->array };
    return lists;
}

static void lists_free(struct lists *lists)
{
    free(lists->begin);
    free(lists->validity);
    free(lists);
}

static bool list_has(const struct sample *s, const struct lists *lists, int64_t row, const struct cell *item)
{
    if (!kt_bit(lists->validity, (uint64_t)row)) return false;
    for (int32_t i = lists->begin[row]; i < lists->begin[row + 1]; i++)
        if (s->cells[i].kind && cell_compare(&s->cells[i], item) == 0) return true;
    return false;
}

static void ask_has(const struct sample *s, const struct lists *lists, const struct kt_scalar *scalar,
                    struct kt_random *random)
{
    enum { MOST = 3 };
    struct literal literals[MOST];
    struct kt_value items[MOST];
    bool all = kt_random_below(random, 2);
    size_t count = all + kt_random_below(random, MOST);
    uint8_t *expected = calloc((size_t)lists->count + 1, 1);
    for (size_t i = 0; i < count; i++) {
        literal_of(s, random, &literals[i]);
        items[i] = literals[i].value;
    }
    for (int64_t r = 0; r < lists->count; r++) {
        size_t has = 0;
        for (size_t i = 0; i < count; i++) has += list_has(s, lists, r, &literals[i].cell);
        expected[r] = all ? has == count : has > 0;
    }
    struct kt_probe probe = { .kind = all ? KT_PROBE_HAS_ALL : KT_PROBE_HAS_ANY,
                              .values = { .kind = KT_VALUE_LIST, .items = items, .count = count } };
    char name[120];
    kt_field_type_text(&lists->field, name, sizeof name);
    assert_rows(scalar, &probe, expected, lists->count, name);
    free(expected);
}

static void lists_are_found_by_their_items(void **state)
{
    struct kt_random random = { seed };
    (void)state;
    for (size_t t = 0; t < SAMPLE_TYPES; t++)
        for (int shape = 0; shape < 4; shape++) {
            struct sample *s = sample_new(t, shape ? 600 * shape : 1, shape == 3 ? 100 : 4, 2, &random);
            struct lists *lists = lists_new(s, &random);
            struct kt_buffer bytes = index_bytes(KITH_LABEL_LIST, &lists->array, FIRST_ROW);
            struct kt_scalar *scalar = NULL;
            struct kt_probe nulls = { .kind = KT_PROBE_NULL };
            uint8_t *expected = calloc((size_t)lists->count + 1, 1);
            assert_ok(index_open(bytes.data, bytes.size, &lists->field, &scalar, error));
            for (int i = 0; i < PROBES; i++) ask_has(s, lists, scalar, &random);
            for (int64_t i = 0; i < lists->count; i++) expected[i] = !kt_bit(lists->validity, (uint64_t)i);
            assert_rows(scalar, &nulls, expected, lists->count, "LABEL_LIST");
            free(expected);
            kt_scalar_close(scalar);
            kt_buffer_release(&bytes);
            lists_free(lists);
            sample_free(s);
        }
}

/* ---- what is not answered ---- */

static void assert_not_answered(const struct kt_scalar *scalar, const struct kt_probe *probe)
{
    struct kt_selection out = selection_new(FIRST_ROW + 1000);
    bool answered = true;
    uint64_t rows;
    assert_ok(kt_scalar_probe(scalar, probe, &out, &answered, error));
    assert_false(answered);
    assert_int_equal(out.count, 0);
    assert_int_equal(kt_selection_count(&out, 0, out.rows), 0);
    answered = true;
    assert_ok(kt_scalar_estimate(scalar, probe, &rows, &answered, error));
    assert_false(answered);
    free(out.words);
}

static void values_of_other_types_are_not_answered(void **state)
{
    struct kt_random random = { seed };
    struct kt_value text = { .kind = KT_VALUE_TEXT, .text = (char *)"7", .size = 1 };
    (void)state;
    for (size_t t = 0; t < SAMPLE_TYPES; t++) {
        struct sample *s = sample_new(t, 200, 4, 1, &random);
        struct kt_buffer bytes = index_bytes(KITH_BTREE, &s->array, FIRST_ROW);
        struct kt_scalar *scalar = NULL;
        struct literal good;
        literal_of(s, &random, &good);
        struct kt_value interval = { .kind = KT_VALUE_INTERVAL, .months = 1 };
        struct kt_value wrong = type_is_text(s->field.type) ? interval : text;
        struct kt_value items[] = { good.value, wrong };
        struct kt_probe probes[] = {
            { .kind = KT_PROBE_RANGE, .low = good.value, .high = wrong },
            { .kind = KT_PROBE_RANGE, .low = wrong },
            { .kind = KT_PROBE_RANGE, .low = interval, .high = good.value },
            { .kind = KT_PROBE_IN, .values = { .kind = KT_VALUE_LIST, .items = items, .count = 2 } },
            { .kind = KT_PROBE_HAS_ANY, .values = { .kind = KT_VALUE_LIST, .items = items, .count = 1 } },
            { .kind = KT_PROBE_HAS_ALL, .values = { .kind = KT_VALUE_LIST, .items = items, .count = 1 } },
        };
        assert_ok(index_open(bytes.data, bytes.size, &s->field, &scalar, error));
        for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) assert_not_answered(scalar, &probes[i]);
        kt_scalar_close(scalar);
        kt_buffer_release(&bytes);
        sample_free(s);
    }
}

/* ---- what an index can hold ---- */

static void assert_refused(kith_index_type type, const struct kt_field *field, const char *words)
{
    kith_error error = { 0 };
    assert_int_equal(kt_scalar_check(type, field, &error), KITH_INVALID);
    if (!strstr(error.message, words)) fail_msg("\"%s\" does not say \"%s\"", error.message, words);
}

static void columns_that_do_not_fit_are_refused_and_what_fits_is_named(void **state)
{
    struct kt_field text = { .name = (char *)"item", .type = KT_UTF8 };
    struct kt_field number = { .name = (char *)"item", .type = KT_FLOAT32 };
    struct kt_field list = { .name = (char *)"tags", .type = KT_LIST, .children = &text, .child_count = 1 };
    struct kt_field lists = {
        .name = (char *)"nested", .type = KT_LIST, .children = &list, .child_count = 1
    };
    struct kt_field vector = {
        .name = (char *)"vector", .type = KT_FIXED_LIST, .width = 4, .children = &number, .child_count = 1
    };
    struct kt_field record = {
        .name = (char *)"point", .type = KT_STRUCT, .children = &text, .child_count = 1
    };
    (void)state;
    assert_ok(kt_scalar_check(KITH_LABEL_LIST, &list, error));
    assert_refused(KITH_BTREE, &list, "LABEL_LIST holds");
    assert_refused(KITH_BITMAP, &list, "LABEL_LIST holds");
    assert_refused(KITH_LABEL_LIST, &text, "BTREE and BITMAP hold");
    assert_refused(KITH_LABEL_LIST, &lists, "no index holds");
    assert_refused(KITH_BTREE, &lists, "no index holds");
    assert_refused(KITH_BTREE, &record, "no index holds");
    assert_refused(KITH_BTREE, &vector, "IVF_RQ");
    assert_refused(KITH_LABEL_LIST, &vector, "column \"vector\"");
    assert_refused(KITH_IVF_PQ, &text, "IVF_PQ is not an index of values");
}

static void rows_too_far_apart_are_refused(void **state)
{
    struct kt_random random = { seed };
    struct sample *s = sample_new(4, 10, 4, 1, &random);
    struct kt_scalar_build *build = NULL;
    kith_error told = { 0 };
    (void)state;
    assert_ok(kt_scalar_begin(KITH_BTREE, &s->field, &build, error));
    assert_ok(kt_scalar_add(build, &s->array, 5, error));
    assert_int_equal(kt_scalar_add(build, &s->array, UINT64_C(1) << 32, &told), KITH_UNSUPPORTED);
    assert_non_null(strstr(told.message, "4294967295"));
    kt_scalar_build_free(build);
    sample_free(s);
}

/* ---- literals that no column can hold ---- */

static uint64_t count_rows(const struct kt_scalar *scalar, const struct kt_probe *probe)
{
    struct kt_selection out = selection_new(FIRST_ROW + 1000);
    bool answered;
    assert_ok(kt_scalar_probe(scalar, probe, &out, &answered, error));
    assert_true(answered);
    free(out.words);
    return out.count;
}

static void decimals_beyond_128_bits_are_beyond_every_value(void **state)
{
    struct kt_random random = { seed };
    size_t type = 0;
    (void)state;
    while (sample_types[type].type != KT_DECIMAL128) type++;
    struct sample *s = sample_new(type, 500, 300, 0, &random);
    struct kt_buffer bytes = index_bytes(KITH_BTREE, &s->array, FIRST_ROW);
    struct kt_scalar *scalar = NULL;
    assert_ok(index_open(bytes.data, bytes.size, &s->field, &scalar, error));
    for (int64_t integer = -5; integer <= 5; integer += 10) {
        struct kt_value far = { .kind = KT_VALUE_DECIMAL, .integer = integer, .scale = -50 };
        struct kt_probe above = { .kind = KT_PROBE_RANGE, .low = far };
        struct kt_probe below = { .kind = KT_PROBE_RANGE, .high = far };
        struct kt_probe same = { .kind = KT_PROBE_IN,
                                 .values = { .kind = KT_VALUE_LIST, .items = &far, .count = 1 } };
        assert_int_equal(count_rows(scalar, &above), integer < 0 ? 500 : 0);
        assert_int_equal(count_rows(scalar, &below), integer < 0 ? 0 : 500);
        assert_int_equal(count_rows(scalar, &same), 0);
    }
    kt_scalar_close(scalar);
    kt_buffer_release(&bytes);
    sample_free(s);
}

/* ---- bitmaps ---- */

/* Rows of a kind: a few, many, runs, or all of that. */
static size_t random_rows(struct kt_random *random, uint32_t *rows, size_t most)
{
    size_t count = 0;
    uint32_t row = 0;
    while (count < most) {
        uint64_t kind = kt_random_below(random, 4), some = kt_random_below(random, 9000);
        uint32_t step = kind == 0 ? 1 : kind == 1 ? 3 : kind == 2 ? 11 : 70000;
        row += (uint32_t)kt_random_below(random, kind == 3 ? 1000000 : 100);
        for (uint64_t i = 0; i < (kind == 3 ? 3 : some) && count < most; i++) rows[count++] = row += step;
    }
    return count;
}

static void assert_selects(const struct bitmap *bitmap, uint64_t span, const uint32_t *rows, size_t count)
{
    enum { BASE = 64 * 5 };
    struct kt_selection out = selection_new(BASE + span);
    uint64_t at = 0;
    assert_ok(kt_bitmap_select(bitmap, BASE, span, &out, error));
    assert_int_equal(out.count, count);
    for (size_t i = 0; i < count; i++, at++) {
        at = kt_selection_next(&out, at);
        assert_int_equal(at, BASE + (uint64_t)rows[i]);
    }
    free(out.words);
}

/* Every row is within the span, so one row less is one too few: whatever form the last container has. */
static void assert_bounded(const struct bitmap *bitmap, uint64_t span)
{
    struct kt_selection out = selection_new(span);
    kith_error error = { 0 };
    if (span) assert_int_equal(kt_bitmap_select(bitmap, 0, span - 1, &out, &error), KITH_CORRUPT);
    free(out.words);
}

/* Ours, as it is read by us and by CRoaring; and CRoaring's, as it is read by us. */
static void assert_exchanged(const uint32_t *rows, size_t count, bool runs)
{
    struct kt_buffer ours = { 0 }, theirs = { 0 };
    uint64_t span = count ? (uint64_t)rows[count - 1] + 1 : 0;
    uint32_t *back = calloc(count + 1, sizeof *back);
    assert_true(kt_bitmap_write(&ours, rows, count));
    struct bitmap bitmap = { ours.data, ours.size, "ours" };
    assert_selects(&bitmap, span, rows, count);
    assert_bounded(&bitmap, span);

    roaring_bitmap_t *read = roaring_bitmap_portable_deserialize_safe((char *)ours.data, ours.size);
    assert_non_null(read);
    assert_int_equal(roaring_bitmap_get_cardinality(read), count);
    roaring_bitmap_to_uint32_array(read, back);
    assert_memory_equal(rows, back, count * sizeof *rows);
    roaring_bitmap_free(read);
    roaring_bitmap_t *made = roaring_bitmap_of_ptr(count, rows);
    if (runs) roaring_bitmap_run_optimize(made);
    assert_true(kt_buffer_append(&theirs, NULL, roaring_bitmap_portable_size_in_bytes(made)));
    roaring_bitmap_portable_serialize(made, (char *)theirs.data);
    bitmap = (struct bitmap){ theirs.data, theirs.size, "theirs" };
    assert_selects(&bitmap, span, rows, count);
    assert_bounded(&bitmap, span);
    roaring_bitmap_free(made);
    kt_buffer_release(&theirs);
    kt_buffer_release(&ours);
    free(back);
}

static void bitmaps_are_those_of_croaring(void **state)
{
    enum { MOST = 60000 };
    struct kt_random random = { seed };
    uint32_t *rows = calloc(MOST, sizeof *rows);
    (void)state;
    for (int i = 0; i < 60; i++) {
        size_t count = random_rows(&random, rows, i ? 1 + kt_random_below(&random, MOST) : 0);
        assert_exchanged(rows, count, i % 2);
    }
    free(rows);
}

/* As many containers, and as many rows in them, as where the form changes. */
static void bitmaps_change_their_form_where_croaring_does(void **state)
{
    uint32_t *rows = calloc(8 * 65536, sizeof *rows);
    (void)state;
    for (uint32_t containers = 1; containers < 7; containers++)
        for (uint32_t step = 1; step < 4; step++)
            for (uint32_t each = 4095; each < 4099; each++) {
                size_t count = 0;
                for (uint32_t c = 0; c < containers; c++)
                    for (uint32_t i = 0; i < each; i++) rows[count++] = 65536 * 2 * c + 7 + i * step;
                assert_exchanged(rows, count, true);
                assert_exchanged(rows, count, false);
            }
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_a_scan),
        cmocka_unit_test(large_columns_have_many_pages_and_containers),
        cmocka_unit_test(rows_that_are_missing_between_batches_stay_missing),
        cmocka_unit_test(lists_are_found_by_their_items),
        cmocka_unit_test(values_of_other_types_are_not_answered),
        cmocka_unit_test(columns_that_do_not_fit_are_refused_and_what_fits_is_named),
        cmocka_unit_test(rows_too_far_apart_are_refused),
        cmocka_unit_test(decimals_beyond_128_bits_are_beyond_every_value),
        cmocka_unit_test(bitmaps_are_those_of_croaring),
        cmocka_unit_test(bitmaps_change_their_form_where_croaring_does),
    };
    const char *given = getenv("KITH_SEED");
    if (given) seed = strtoull(given, NULL, 10);
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
