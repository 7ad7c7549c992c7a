/* An index file may hold anything: opening it and asking it may fail, in words, and never reads or writes
 * outside of what is there. The bytes are handed in as a file that was verified, so that no checksum stands
 * before the checks. (Run with a sanitizer.) Behind a checksum, each flipped byte is found. */
#include "unit/filter/scalar_samples.h"

static uint64_t seed = 5;

/* The header's fields, as scalar_file.c draws them, and the rows of the examples. */
enum {
    KIND_AT = 8,
    PAGES_AT = 12,
    BASE_AT = 24,
    SPAN_AT = 32,
    NULL_BYTES_AT = 80,
    TYPE_AT = 96,
    HEADER_BYTES = 128,
    DIRECTORY_ENTRY = 24
};
enum { ROWS = 900, FIRST_ROW = 640 };

static const enum kt_type tried[] = { KT_INT32, KT_UTF8, KT_DECIMAL128, KT_BOOL };
enum { TRIED = sizeof tried / sizeof *tried, KINDS = 3 };
static const kith_index_type kinds[KINDS] = { KITH_BTREE, KITH_BITMAP, KITH_LABEL_LIST };

/* ---- examples ---- */

struct example {
    struct sample *sample;
    struct kt_field list;
    struct kt_array lists;
    int32_t *begin;
    const struct kt_field *field;
    struct kt_buffer bytes;
};

static struct example example_new(size_t type, kith_index_type kind, struct kt_random *random)
{
    struct example e = { 0 };
    size_t at = 0;
    while (sample_types[at].type != tried[type]) at++;
    e.sample = sample_new(at, ROWS, kind == KITH_BTREE ? 700 : 5, 2, random);
    e.begin = calloc(ROWS + 1, sizeof *e.begin);
    for (int32_t i = 0; i <= ROWS; i++) e.begin[i] = i;
    e.list = (struct kt_field){
        .name = (char *)"tags", .type = KT_LIST, .children = &e.sample->field, .child_count = 1
    };
    e.lists = (struct kt_array){ .length = ROWS, .values = (uint8_t *)e.begin, .children = &e.sample->array };
    return e;
}

static void example_index(struct example *e, kith_index_type kind)
{
    e->lists.field = &e->list; /* where the example lies now */
    e->field = kind == KITH_LABEL_LIST ? &e->list : &e->sample->field;
    e->bytes = index_bytes(kind, kind == KITH_LABEL_LIST ? &e->lists : &e->sample->array, FIRST_ROW);
}

static void example_free(struct example *e)
{
    kt_buffer_release(&e->bytes);
    free(e->begin);
    sample_free(e->sample);
}

/* ---- using it ---- */

static kith_status ask(const struct kt_scalar *scalar, const struct kt_probe *probe)
{
    enum { OUT_WORDS = (FIRST_ROW + ROWS + 63) / 64 };
    uint64_t *words = kt_alloc_zero(OUT_WORDS, sizeof *words); /* of its size exactly */
    struct kt_selection out = { .words = words, .rows = FIRST_ROW + ROWS };
    kith_error error = { 0 };
    uint64_t rows;
    bool answered;
    kith_status status = kt_scalar_probe(scalar, probe, &out, &answered, &error);
    if (status) assert_true(status == KITH_CORRUPT && error.message[0] != 0);
    assert_int_equal(out.count, kt_selection_count(&out, 0, out.rows));
    if (kt_scalar_estimate(scalar, probe, &rows, &answered, &error)) assert_true(error.message[0] != 0);
    kt_free(words);
    return status;
}

static kith_status ask_everything(const struct example *e, const struct kt_scalar *scalar)
{
    struct kt_random random = { seed };
    struct literal low, high;
    literal_of(e->sample, &random, &low);
    literal_of(e->sample, &random, &high);
    struct kt_value items[] = { low.value, high.value };
    struct kt_value values = { .kind = KT_VALUE_LIST, .items = items, .count = 2 };
    struct kt_probe probes[] = {
        { .kind = KT_PROBE_NULL },
        { .kind = KT_PROBE_RANGE },
        { .kind = KT_PROBE_RANGE, .low = low.value },
        { .kind = KT_PROBE_RANGE, .high = high.value, .high_open = true },
        { .kind = KT_PROBE_IN, .values = values },
        { .kind = KT_PROBE_HAS_ANY, .values = values },
        { .kind = KT_PROBE_HAS_ALL, .values = values },
    };
    kith_status first = KITH_OK;
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
        kith_status status = ask(scalar, &probes[i]);
        if (!first) first = status;
    }
    return first;
}

/* Opens the bytes of `e` and asks it everything; the first failure. */
static kith_status use(const struct example *e)
{
    struct kt_scalar *scalar = NULL;
    kith_error error = { 0 };
    kith_status status = index_open(e->bytes.data, e->bytes.size, e->field, &scalar, &error);
    if (status) {
        assert_true(status == KITH_CORRUPT && error.message[0] != 0);
        return status;
    }
    status = ask_everything(e, scalar);
    kt_scalar_close(scalar);
    return status;
}

typedef void (*each_fn)(struct example *e, struct kt_random *random);

static void with_examples(each_fn each)
{
    struct kt_random random = { seed };
    for (size_t t = 0; t < TRIED; t++)
        for (size_t k = 0; k < KINDS; k++) {
            struct example e = example_new(t, kinds[k], &random);
            example_index(&e, kinds[k]);
            assert_int_equal(use(&e), KITH_OK);
            each(&e, &random);
            example_free(&e);
        }
}

/* ---- what is in it ---- */

static void change_some(struct example *e, struct kt_random *random)
{
    static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
    for (int i = 0; i < 1500; i++) {
        /* mostly the header, then what follows it, then anywhere */
        size_t span = i % 3 == 0 ? HEADER_BYTES : i % 3 == 1 ? 1024 : e->bytes.size;
        size_t at = kt_random_below(random, kt_min_u64(span, e->bytes.size));
        size_t count = kt_min_u64(1 + kt_random_below(random, 8), e->bytes.size - at);
        uint8_t saved[8];
        memcpy(saved, e->bytes.data + at, count);
        for (size_t j = 0; j < count; j++)
            e->bytes.data[at + j] =
                i % 2 ? values[kt_random_below(random, sizeof values)] : (uint8_t)kt_random_u64(random);
        use(e);
        memcpy(e->bytes.data + at, saved, count);
    }
}

static void any_change_is_refused_or_harmless(void **state)
{
    (void)state;
    with_examples(change_some);
}

static void try_extremes(struct example *e, struct kt_random *random)
{
    static const uint64_t extremes[] = { 0,
                                         1,
                                         2,
                                         3,
                                         64,
                                         ROWS,
                                         0x7fffffff,
                                         0x80000000,
                                         0xffffffff,
                                         UINT64_C(1) << 32,
                                         UINT64_C(1) << 63,
                                         UINT64_MAX - 63 };
    (void)random;
    for (size_t at = KIND_AT; at <= NULL_BYTES_AT; at += at < BASE_AT ? 4 : 8)
        for (size_t i = 0; i < sizeof extremes / sizeof *extremes; i++) {
            uint8_t saved[8];
            memcpy(saved, e->bytes.data + at, sizeof saved);
            if (at < BASE_AT)
                kt_put_u32(e->bytes.data + at, (uint32_t)extremes[i]);
            else
                kt_put_u64(e->bytes.data + at, extremes[i]);
            use(e);
            memcpy(e->bytes.data + at, saved, sizeof saved);
        }
}

static void every_field_of_the_header_bears_extremes(void **state)
{
    (void)state;
    with_examples(try_extremes);
}

/* The directory's numbers of a kind, all greater or less from some page on. */
static void shift_directory(struct example *e, struct kt_random *random)
{
    static const struct {
        size_t at, bytes;
    } fields[] = { { 0, 8 }, { 8, 8 }, { 16, 4 }, { 20, 4 } };
    static const uint64_t shifts[] = { 1,    4096,       8,    1 << 20,          504, UINT64_C(1) << 31,
                                       1000, UINT64_MAX, 2000, UINT64_C(1) << 50 };
    uint8_t *directory = e->bytes.data + HEADER_BYTES;
    size_t pages = kt_get_u32(e->bytes.data + PAGES_AT), bytes = (pages + 1) * DIRECTORY_ENTRY;
    uint8_t *saved = malloc(bytes);
    (void)random;
    memcpy(saved, directory, bytes);
    for (size_t f = 0; f < 4; f++)
        for (size_t s = 0; s < sizeof shifts / sizeof *shifts; s++)
            for (size_t from = 0; from <= pages; from++) {
                for (size_t p = from; p <= pages - (s % 2 == 0); p++) { /* the last one too, or not */
                    uint8_t *field = directory + p * DIRECTORY_ENTRY + fields[f].at;
                    uint64_t value = 0;
                    memcpy(&value, field, fields[f].bytes);
                    value += shifts[s];
                    memcpy(field, &value, fields[f].bytes);
                }
                use(e);
                memcpy(directory, saved, bytes);
            }
    free(saved);
}

static void a_directory_that_is_shifted_is_refused_or_harmless(void **state)
{
    (void)state;
    with_examples(shift_directory);
}

static void cut_anywhere(struct example *e, struct kt_random *random)
{
    struct kt_buffer whole = e->bytes;
    (void)random;
    for (size_t size = 0; size < whole.size; size += size < 300 ? 1 : 37) {
        e->bytes.size = size;
        assert_int_equal(use(e), KITH_CORRUPT);
    }
    e->bytes = whole;
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    with_examples(cut_anywhere);
}

/* A span of fewer rows than there are: some row is beyond it, wherever rows stand. */
static void shorten_span(struct example *e, struct kt_random *random)
{
    (void)random;
    kt_put_u64(e->bytes.data + SPAN_AT, ROWS - 1);
    kith_status status = use(e);
    kt_put_u64(e->bytes.data + SPAN_AT, ROWS);
    if (e->field != &e->list) assert_int_equal(status, KITH_CORRUPT); /* no probe asks for all lists */
}

static void a_row_beyond_the_span_is_corrupt(void **state)
{
    (void)state;
    with_examples(shorten_span);
}

static void rename_type(struct example *e, struct kt_random *random)
{
    struct kt_scalar *scalar = NULL;
    kith_error error = { 0 };
    (void)random;
    e->bytes.data[TYPE_AT] = '\n'; /* not to be seen in a message */
    assert_int_equal(index_open(e->bytes.data, e->bytes.size, e->field, &scalar, &error), KITH_CORRUPT);
    assert_non_null(strstr(error.message, "some.kix is an index over a column of type ?"));
}

static void an_index_over_another_type_is_refused(void **state)
{
    (void)state;
    with_examples(rename_type);
}

static void rows_beyond_the_selection_are_refused(void **state)
{
    struct kt_random random = { seed };
    struct example e = example_new(0, KITH_BTREE, &random);
    struct kt_scalar *scalar = NULL;
    struct kt_probe probe = { .kind = KT_PROBE_RANGE };
    struct kt_selection out = selection_new(FIRST_ROW + ROWS - 1);
    kith_error told = { 0 };
    bool answered;
    (void)state;
    example_index(&e, KITH_BTREE);
    assert_ok(index_open(e.bytes.data, e.bytes.size, e.field, &scalar, error));
    assert_int_equal(kt_scalar_probe(scalar, &probe, &out, &answered, &told), KITH_CORRUPT);
    kt_scalar_close(scalar);
    free(out.words);
    example_free(&e);
}

/* ---- behind checksums ---- */

static void write_sealed(struct kt_io *io, const struct example *e, const uint8_t *bytes,
                         struct kt_seal *seal)
{
    struct kt_sink *sink = NULL;
    assert_ok(kt_io_remove(io, "some.kix", error));
    assert_ok(kt_sink_create(io, "some.kix", 4096, &sink, error));
    assert_ok(kt_sink_write(sink, bytes, e->bytes.size, error));
    assert_ok(kt_sink_finish(sink, seal, error));
}

static kith_status use_sealed(struct kt_io *io, const struct example *e, const struct kt_seal *seal)
{
    struct kt_view_file *file = NULL;
    struct kt_scalar *scalar = NULL;
    kith_error error = { 0 };
    kith_status status = kt_view_open(io, "some.kix", seal, &file, &error);
    if (!status) status = kt_scalar_open(file, e->field, &scalar, &error);
    if (!status) status = ask_everything(e, scalar);
    kt_scalar_close(scalar);
    return status;
}

/* The seal of the right bytes vouches for a file in which one is wrong: whatever is asked of that block
 * fails. */
static void a_flipped_byte_is_found(void **state)
{
    struct kt_random random = { seed };
    struct kt_io *io = NULL;
    struct example e = example_new(1, KITH_BTREE, &random);
    struct kt_seal right, ignored;
    (void)state;
    example_index(&e, KITH_BTREE);
    assert_ok(kt_io_open_memory(&io, error));
    write_sealed(io, &e, e.bytes.data, &right);
    assert_int_equal(use_sealed(io, &e, &right), KITH_OK);
    for (size_t at = 0; at < e.bytes.size; at += 101) {
        e.bytes.data[at] ^= 0x10;
        write_sealed(io, &e, e.bytes.data, &ignored);
        e.bytes.data[at] ^= 0x10;
        assert_int_equal(use_sealed(io, &e, &right), KITH_CORRUPT);
    }
    kt_io_close(io);
    example_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_change_is_refused_or_harmless),
        cmocka_unit_test(every_field_of_the_header_bears_extremes),
        cmocka_unit_test(a_directory_that_is_shifted_is_refused_or_harmless),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(a_row_beyond_the_span_is_corrupt),
        cmocka_unit_test(an_index_over_another_type_is_refused),
        cmocka_unit_test(rows_beyond_the_selection_are_refused),
        cmocka_unit_test(a_flipped_byte_is_found),
    };
    const char *given = getenv("KITH_SEED");
    if (given) seed = strtoull(given, NULL, 10);
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
