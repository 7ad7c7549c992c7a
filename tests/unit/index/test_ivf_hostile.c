/* An index file may hold anything: opening, searching and calibrating it may fail, in words, and never reads
 * outside of it. The bytes are handed in as a file that was verified, so that no checksum stands before the
 * checks. (Run with a sanitizer.) */
#include "index_fixture.h"

#include <math.h>

enum { ROWS = 600, DIM = 17, LISTS = 70, FAR = 5 };

/* ---- using it ---- */

static void search(const struct column *c, const struct built *b, uint32_t nprobes, uint32_t k)
{
    float *query = kt_alloc_zero(DIM, sizeof *query); /* of its size exactly, as the file */
    struct kt_hit hits[ROWS];
    struct kt_top top = { hits, 0, k };
    struct kt_index_stats stats = { 0 };
    kith_error error = { 0 };
    struct kt_index_query ask = { .vector = query, .k = k, .nprobes = nprobes };
    query[0] = 1.0f, query[1] = 2.0f;
    if (index_try(c, b, ask, &top, &stats, &error)) assert_true(error.message[0] != 0);
    assert_true(top.count <= k);
    kt_free(query);
}

static void learn(const struct column *c, const struct built *b)
{
    float *queries = kt_alloc_zero(3 * DIM, sizeof *queries);
    struct kt_samples samples = { .vectors = queries, .count = 3 };
    struct kt_work work = { .threads = 1 };
    kith_error error = { 0 };
    json_t *out = NULL;
    if (b->ops->calibrate(b->index, &c->vectors, &samples, 1, &work, &out, &error))
        assert_true(error.message[0] != 0);
    json_decref(out);
    kt_free(queries);
}

/* Merges files `first` and on; where that goes well, what came of it is opened. */
static void merge_and_open(const struct column *c, const struct built *b, uint32_t first)
{
    uint64_t words[ROWS / 64 + 1];
    struct kt_selection live = { words, ROWS - 1, ROWS / 2 };
    struct kt_work work = { .threads = 1 };
    struct kt_buffer made = { 0 };
    struct kt_sink *sink = NULL;
    json_t *meta = NULL;
    kith_error error = { 0 };
    memset(words, 0x55, sizeof words);
    assert_int_equal(kt_sink_memory(&made, &sink, &error), KITH_OK);
    if (b->ops->merge(b->index, first, b->run_count + 1 - first, &live, &c->vectors, &work, sink, &meta,
                      &error)) {
        assert_true(error.message[0] != 0);
        kt_sink_abandon(sink);
    } else {
        struct built merged = { .ops = b->ops, .bytes = made.data };
        assert_int_equal(kt_sink_finish(sink, NULL, &error), KITH_OK);
        merged.size = made.size;
        merged.bytes = made.data;
        if (first)
            assert_int_equal(open_try(&merged, NULL, &merged.index, &error), KITH_CORRUPT);
        else if (!open_try(&merged, NULL, &merged.index, &error))
            b->ops->close(merged.index);
    }
    json_decref(meta);
    kt_buffer_release(&made);
}

/* Opens the bytes of `b` and asks a few things. */
static void use(const struct column *c, const struct built *b)
{
    struct built hostile = *b;
    kith_error error = { 0 };
    if (open_try(b, NULL, &hostile.index, &error)) {
        assert_true(error.message[0] != 0);
        return;
    }
    search(c, &hostile, 0, 10);
    search(c, &hostile, LISTS, ROWS);
    learn(c, &hostile);
    for (uint32_t first = 0; first < 2 && first <= b->run_count; first++) merge_and_open(c, &hostile, first);
    b->ops->close(hostile.index);
}

/* A small index of the type, with as many rows that are far from all others. */
static struct built example(kith_index_type type, kith_metric metric, uint64_t far, struct column *c)
{
    column_init(c, random_numbers(ROWS, DIM, KITH_F32, 30), ROWS, DIM, KITH_F32);
    for (size_t i = 0; i < far; i++) ((float *)(void *)c->data)[i * 100 * DIM] = 1e20f;
    struct built b = build(c, plan_of(type, metric, LISTS), 0);
    if (metric == KITH_L2) assert_int_equal(kt_get_u64(b.bytes + OUTLIERS_AT), far);
    return b;
}

/* ---- what is in it ---- */

/* Changes some bytes of a file of `b`, uses it, and puts them back, again and again. */
static void change_and_use(const struct column *c, const struct built *b, uint8_t *bytes, size_t size,
                           int rounds)
{
    static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
    struct kt_random random = { seed };
    for (int i = 0; i < rounds; i++) {
        /* mostly the header, then the directory's and the tree's numbers, then anywhere */
        size_t span = i % 3 == 0 ? HEADER_BYTES : i % 3 == 1 ? 16384 : size;
        size_t at = kt_random_below(&random, kt_min_u64(span, size)), count = 1 + kt_random_below(&random, 8);
        uint8_t saved[8];
        count = kt_min_u64(count, size - at);
        memcpy(saved, bytes + at, count);
        for (size_t j = 0; j < count; j++)
            bytes[at + j] =
                i % 2 ? values[kt_random_below(&random, sizeof values)] : (uint8_t)kt_random_u64(&random);
        use(c, b);
        memcpy(bytes + at, saved, count);
    }
}

static void any_change_is_refused_or_harmless(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct column c;
        struct built b = example(types[t], t % 2 ? KITH_L2 : KITH_DOT, FAR, &c);
        change_and_use(&c, &b, b.bytes, b.size, 1000);
        built_release(&b);
        column_release(&c);
    }
}

/* Runs of the same rows again: a few of them, so that they stand by themselves, and all, in blocks too. */
static struct built example_with_runs(kith_index_type type, kith_metric metric, struct column *c)
{
    struct built b = example(type, metric, FAR, c);
    extend(c, &b, 90, 130);
    extend(c, &b, 0, ROWS);
    return b;
}

static void any_change_of_a_run_is_refused_or_harmless(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct column c;
        struct built b = example_with_runs(types[t], t % 2 ? KITH_L2 : KITH_DOT, &c);
        for (uint32_t run = 0; run < b.run_count; run++)
            change_and_use(&c, &b, b.runs[run].data, b.runs[run].size, 1000);
        built_release(&b);
        column_release(&c);
    }
}

static void set_extremes(const struct column *c, const struct built *b, uint8_t *header)
{
    static const uint64_t extremes[] = {
        0,         1, 2, 3, 4, 31, 0x7fffffff, 0x80000000, 0xffffffff, UINT64_C(1) << 32, UINT64_C(1) << 58,
        UINT64_MAX
    };
    uint8_t saved[HEADER_BYTES];
    memcpy(saved, header, sizeof saved);
    for (size_t at = KIND_AT; at <= LIST_BYTES_AT; at += at < BASE_ROW_AT ? 4 : 8) {
        for (size_t e = 0; e < sizeof extremes / sizeof *extremes; e++) {
            if (at < BASE_ROW_AT)
                kt_put_u32(header + at, (uint32_t)extremes[e]);
            else
                kt_put_u64(header + at, extremes[e]);
            use(c, b);
            memcpy(header, saved, sizeof saved);
        }
    }
}

static void every_field_of_the_header_bears_extremes(void **state)
{
    (void)state;
    for (size_t t = 0; t < 2 * TYPES; t++) {
        struct column c;
        struct built b = example(types[t % TYPES], t % 3 ? KITH_L2 : KITH_DOT, t < TYPES ? FAR : 0, &c);
        set_extremes(&c, &b, b.bytes);
        built_release(&b);
        column_release(&c);
    }
    for (size_t t = 0; t < TYPES; t++) {
        struct column c;
        struct built b = example_with_runs(types[t], t % 3 ? KITH_L2 : KITH_DOT, &c);
        for (uint32_t run = 0; run < b.run_count; run++) set_extremes(&c, &b, b.runs[run].data);
        built_release(&b);
        column_release(&c);
    }
}

/* Every number between the header and the lists may be no number. */
static void numbers_of_the_tree_bear_extremes(void **state)
{
    static const float extremes[] = { NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-45f, -1 };
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct column c;
        struct built b = example(types[t], t % 2 ? KITH_L2 : KITH_DOT, FAR, &c);
        uint8_t *whole = kt_alloc(b.size);
        struct kt_random random = { seed };
        memcpy(whole, b.bytes, b.size);
        uint64_t blocks = kt_get_u64(b.bytes + LIST_BYTES_AT);
        size_t end = b.size > blocks ? b.size - blocks : b.size; /* about where the lists begin */
        for (int round = 0; round < 100; round++) {
            for (int i = 0; i < 1 << round % 8; i++) {
                size_t at = HEADER_BYTES + 4 * kt_random_below(&random, (end - HEADER_BYTES) / 4);
                memcpy(b.bytes + at, &extremes[kt_random_below(&random, 7)], 4);
            }
            use(&c, &b);
            memcpy(b.bytes, whole, b.size);
        }
        kt_free(whole);
        built_release(&b);
        column_release(&c);
    }
}

/* ... and every factor in a list: after the codes of each block, and behind the extra bits. */
static void numbers_of_the_lists_bear_extremes(void **state)
{
    static const uint16_t extremes[] = { 0x7e00, 0x7c00, 0xfc00, 0x7bff, 0xfbff, 0x0001, 0x8001, 0x0000 };
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct column c;
        struct built b = example(types[t], KITH_L2, FAR, &c);
        uint64_t blocks = kt_get_u64(b.bytes + LIST_BYTES_AT);
        uint8_t *whole = kt_alloc(b.size);
        memcpy(whole, b.bytes, b.size);
        for (size_t e = 0; e < sizeof extremes / sizeof *extremes; e++) {
            for (size_t step = 2; step < 4096; step *= 4) {
                for (size_t at = b.size - blocks; at + 2 <= b.size; at += step)
                    memcpy(b.bytes + at, &extremes[e], 2);
                use(&c, &b);
                memcpy(b.bytes, whole, b.size);
            }
        }
        kt_free(whole);
        built_release(&b);
        column_release(&c);
    }
}

/* An index with outliers, of which the header says other numbers. */
static void outliers_bear_extremes(void **state)
{
    static const uint64_t extremes[] = { 0, 1, 4, 5, 6, ROWS, ROWS + 1, UINT64_C(1) << 32, UINT64_MAX };
    enum { BYTES = (64 + FAR * DIM * 4 + 63) / 64 * 64 };
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct column c;
        struct built b = example(types[t], KITH_L2, FAR, &c);
        for (size_t e = 0; e < sizeof extremes / sizeof *extremes; e++) {
            kt_put_u64(b.bytes + OUTLIERS_AT, extremes[e]);
            use(&c, &b);
            kt_put_u64(b.bytes + ROWS_AT, ROWS - FAR + extremes[e]); /* and rows that go with it */
            use(&c, &b);
            kt_put_u64(b.bytes + ROWS_AT, ROWS);
        }
        kt_put_u64(b.bytes + OUTLIERS_AT, FAR);
        for (size_t at = b.size - BYTES; at < b.size; at += 4) { /* the outliers themselves */
            uint32_t saved = kt_get_u32(b.bytes + at);
            kt_put_u32(b.bytes + at, UINT32_MAX);
            use(&c, &b);
            kt_put_u32(b.bytes + at, saved);
        }
        built_release(&b);
        column_release(&c);
    }
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct column c;
        struct built b = example(types[t], KITH_L2, FAR, &c);
        for (size_t size = 0; size < b.size; size += size < 300 ? 1 : 997) {
            struct kt_view_file *file = open_copy("cut", b.bytes, size);
            struct kt_index *index = NULL;
            kith_error error = { 0 };
            assert_int_equal(b.ops->open(&file, 1, NULL, &index, &error), KITH_CORRUPT);
            assert_non_null(strstr(error.message, "cut"));
        }
        built_release(&b);
        column_release(&c);
    }
}

static void a_run_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct column c;
        struct built b = example_with_runs(types[t], KITH_L2, &c);
        size_t whole = b.runs[0].size;
        for (size_t size = 0; size < whole; size += size < 300 ? 1 : 97) {
            struct kt_index *index = NULL;
            kith_error error = { 0 };
            b.runs[0].size = size;
            assert_int_equal(open_try(&b, NULL, &index, &error), KITH_CORRUPT);
            assert_non_null(strstr(error.message, "test run"));
        }
        b.runs[0].size = whole;
        built_release(&b);
        column_release(&c);
    }
}

static void a_row_beyond_the_span_is_corrupt_and_named(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        struct column c;
        struct kt_hit hits[ROWS];
        struct kt_top top = { hits, 0, ROWS };
        kith_error error = { 0 };
        float query[DIM] = { 0 };
        column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 30), ROWS, DIM, KITH_F32);
        struct built b = build(&c, plan_of(types[t], KITH_L2, 1), 0);
        /* the only list is the last thing in the file; in a block with codes, factors come before the row
         * offsets */
        size_t offsets = b.size - kt_get_u64(b.bytes + LIST_BYTES_AT),
               tables = kt_get_u32(b.bytes + TABLES_AT);
        if (tables) offsets += kt_round_up(tables * 16, 64) + 3 * 32 * 2;
        assert_int_equal(kt_get_u32(b.bytes + offsets), 0);
        kt_put_u32(b.bytes + offsets, ROWS);
        struct kt_view_file *file = open_copy("beyond", b.bytes, b.size);
        b.ops->close(b.index);
        assert_int_equal(b.ops->open(&file, 1, NULL, &b.index, &error), KITH_OK);
        struct kt_index_query ask = { .vector = query, .k = ROWS };
        assert_int_equal(index_try(&c, &b, ask, &top, NULL, &error), KITH_CORRUPT);
        assert_non_null(strstr(error.message, "beyond"));
        built_release(&b);
        column_release(&c);
    }
}

/* Makes the factors at `at`, `step` bytes from each other, the largest add and an infinite error. */
static void make_infinite(uint8_t *at, size_t step)
{
    kt_put_u16(at, 0x7bff);
    kt_put_u16(at + step, 0);
    kt_put_u16(at + 2 * step, 0x7c00);
}

/* However far their estimates are, and by estimates alone too. */
static void rows_of_infinite_error_are_read_by_every_search(void **state)
{
    static const kith_index_type coded[] = { KITH_IVF_RQ, KITH_IVF_PQ, KITH_IVF_SQ };
    enum { ODD = ROWS / 2 };
    (void)state;
    for (size_t t = 0; t < sizeof coded / sizeof *coded; t++) {
        struct column c;
        float query[DIM] = { 0 };
        struct kt_hit hits[10];
        column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 30), ROWS, DIM, KITH_F32);
        struct built b = build(&c, plan_of(coded[t], KITH_L2, 1), 0);
        size_t codes = kt_round_up(kt_get_u32(b.bytes + TABLES_AT) * 16, 64),
               block = codes + 32 * (3 * 2 + 4);
        size_t bits = kt_get_u32(b.bytes + TREE_DIM_AT) / 8 * (kt_get_u32(b.bytes + BITS_AT) - 1);
        uint8_t *list = b.bytes + b.size - kt_get_u64(b.bytes + LIST_BYTES_AT);
        uint8_t *extra = list + (ROWS + 31) / 32 * block + bits;
        for (size_t r = 1; r < ROWS; r += 2) {
            make_infinite(list + r / 32 * block + codes + r % 32 * 2, 32 * 2);
            if (coded[t] != KITH_IVF_PQ) make_infinite(extra + r * (bits + 3 * 2), 2);
        }
        reopen(&b, NULL);
        for (uint32_t factor = 0; factor < 2; factor++) {
            struct kt_index_stats stats = { 0 };
            struct kt_index_query ask = { .vector = query, .k = 10, .refine_factor = factor };
            assert_int_equal(index_hits(&c, &b, ask, hits, &stats), 10);
            if (stats.rows < ODD || stats.rows > ODD + ROWS / 4)
                fail_msg("type %d, factor %u: %llu rows read", coded[t], factor,
                         (unsigned long long)stats.rows);
        }
        built_release(&b);
        column_release(&c);
    }
}

static void an_older_form_is_refused_with_what_to_do(void **state)
{
    static const struct {
        uint8_t version;
        kith_status status;
        const char *says;
    } cases[] = { { '3', KITH_UNSUPPORTED, "create the index again" }, { '5', KITH_CORRUPT, "KITHIVF4" } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct column c;
        struct built b = example(KITH_IVF_RQ, KITH_L2, 0, &c);
        b.bytes[7] = cases[i].version;
        struct kt_view_file *file = open_copy("older", b.bytes, b.size);
        struct kt_index *index = NULL;
        kith_error error = { 0 };
        assert_int_equal(b.ops->open(&file, 1, NULL, &index, &error), cases[i].status);
        assert_non_null(strstr(error.message, "older"));
        assert_non_null(strstr(error.message, cases[i].says));
        built_release(&b);
        column_release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_change_is_refused_or_harmless),
        cmocka_unit_test(any_change_of_a_run_is_refused_or_harmless),
        cmocka_unit_test(every_field_of_the_header_bears_extremes),
        cmocka_unit_test(numbers_of_the_tree_bear_extremes),
        cmocka_unit_test(numbers_of_the_lists_bear_extremes),
        cmocka_unit_test(outliers_bear_extremes),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(a_run_cut_anywhere_is_refused),
        cmocka_unit_test(a_row_beyond_the_span_is_corrupt_and_named),
        cmocka_unit_test(rows_of_infinite_error_are_read_by_every_search),
        cmocka_unit_test(an_older_form_is_refused_with_what_to_do),
    };
    const char *given = getenv("KITH_SEED");
    if (given) seed = strtoull(given, NULL, 10);
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
