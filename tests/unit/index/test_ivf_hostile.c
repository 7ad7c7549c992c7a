/* An index file may hold anything: opening and searching it may fail, in words, and never reads outside of
 * it. The bytes are handed in as a file that was verified, so that no checksum stands before the checks. (Run
 * with a sanitizer.) */
#include "index_fixture.h"

#include <math.h>

static uint64_t seed = 3; /* KITH_SEED gives another */

/* Opens bytes as an index and asks it a few things. */
static void use(const struct kt_index_ops *ops, const uint8_t *bytes, size_t size, uint32_t dim,
                kith_metric metric)
{
    struct kt_view_file *file = NULL;
    struct kt_index *index = NULL;
    kith_error error = { 0 };
    float query[64] = { 1.0f, 2.0f };
    struct kt_hit hits[400];
    uint8_t *copy = kt_alloc_aligned(size ? size : 1); /* of its size exactly, for the sanitizer */
    (void)dim;
    assert_non_null(copy);
    if (size) memcpy(copy, bytes, size);
    assert_int_equal(kt_view_from_memory("hostile", copy, size, &file, &error), KITH_OK);
    if (ops->open(file, &index, &error)) {
        assert_true(error.message[0] != 0);
        return;
    }
    for (uint32_t probes = 0; probes < 3; probes++) {
        struct kt_arena scratch = { 0 };
        struct kt_top top = { hits, 0, 400 };
        struct kt_index_stats stats = { 0 };
        struct kt_index_query ask = {
            .vector = query, .metric = metric, .candidates = 400, .nprobes = probes * 3
        };
        (void)ops->search(index, NULL, &ask, &scratch, &top, &stats, &error);
        kt_arena_release(&scratch);
    }
    ops->close(index);
}

static struct built example(kith_index_type type, struct column *c)
{
    column_init(c, random_numbers(600, 17, KITH_F32, 30, seed), 600, 17, KITH_F32);
    return build(
        c, (struct kt_index_plan){ .type = type, .metric = KITH_L2, .num_partitions = 70, .seed = seed }, 0);
}

static void any_change_is_refused_or_harmless(void **state)
{
    static const kith_index_type types[] = { KITH_IVF_PQ, KITH_IVF_FLAT };
    static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
    (void)state;
    for (size_t t = 0; t < 2; t++) {
        struct column c;
        struct built b = example(types[t], &c);
        struct kt_random random = { seed };
        for (int i = 0; i < 3000; i++) {
            /* mostly the header, then the directory's and the tree's numbers, then anywhere */
            size_t span = i % 3 == 0 ? 128 : i % 3 == 1 ? 4096 : b.size;
            size_t at = kt_random_below(&random, kt_min_u64(span, b.size)),
                   count = 1 + kt_random_below(&random, 8);
            uint8_t saved[8];
            count = kt_min_u64(count, b.size - at);
            memcpy(saved, b.bytes + at, count);
            for (size_t j = 0; j < count; j++)
                b.bytes[at + j] =
                    i % 2 ? values[kt_random_below(&random, sizeof values)] : (uint8_t)kt_random_u64(&random);
            use(b.ops, b.bytes, b.size, 17, KITH_L2);
            memcpy(b.bytes + at, saved, count);
        }
        built_release(&b);
        column_release(&c);
    }
}

static void every_field_of_the_header_bears_extremes(void **state)
{
    static const uint64_t extremes[] = {
        0, 1, 2, 31, 0x7fffffff, 0x80000000, 0xffffffff, UINT64_C(1) << 32, UINT64_C(1) << 58, UINT64_MAX
    };
    (void)state;
    struct column c;
    struct built b = example(KITH_IVF_PQ, &c);
    uint8_t saved[128];
    memcpy(saved, b.bytes, sizeof saved);
    for (size_t at = 8; at < 96; at += at < 56 ? 4 : 8) {
        for (size_t e = 0; e < sizeof extremes / sizeof *extremes; e++) {
            if (at < 56)
                kt_put_u32(b.bytes + at, (uint32_t)extremes[e]);
            else
                kt_put_u64(b.bytes + at, extremes[e]);
            use(b.ops, b.bytes, b.size, 17, KITH_L2);
            memcpy(b.bytes, saved, sizeof saved);
        }
    }
    built_release(&b);
    column_release(&c);
}

/* An index with outliers, of which the header says other numbers. */
static void outliers_bear_extremes(void **state)
{
    static const uint64_t extremes[] = { 0, 1, 4, 5, 6, 600, 601, UINT64_C(1) << 32, UINT64_MAX };
    struct column c;
    (void)state;
    column_init(&c, random_numbers(600, 17, KITH_F32, 30, seed), 600, 17, KITH_F32);
    for (size_t i = 0; i < 5; i++) ((float *)(void *)c.data)[i * 100 * 17] = 1e20f;
    struct built b =
        build(&c, (struct kt_index_plan){ .type = KITH_IVF_PQ, .num_partitions = 20, .seed = seed }, 0);
    assert_int_equal(kt_get_u64(b.bytes + 88), 5);
    for (size_t e = 0; e < sizeof extremes / sizeof *extremes; e++) {
        kt_put_u64(b.bytes + 88, extremes[e]);
        use(b.ops, b.bytes, b.size, 17, KITH_L2);
        kt_put_u64(b.bytes + 56, 595 + extremes[e]); /* and rows that go with it */
        use(b.ops, b.bytes, b.size, 17, KITH_L2);
        kt_put_u64(b.bytes + 56, 600);
    }
    kt_put_u64(b.bytes + 88, 5);
    for (size_t at = b.size - 3 * 1024; at < b.size; at += 4) { /* the outliers' own block */
        uint32_t saved = kt_get_u32(b.bytes + at);
        kt_put_u32(b.bytes + at, UINT32_MAX);
        use(b.ops, b.bytes, b.size, 17, KITH_L2);
        kt_put_u32(b.bytes + at, saved);
    }
    built_release(&b);
    column_release(&c);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    struct column c;
    struct built b = example(KITH_IVF_PQ, &c);
    (void)state;
    for (size_t size = 0; size < b.size; size += size < 300 ? 1 : 997) {
        struct kt_view_file *file = NULL;
        struct kt_index *index = NULL;
        kith_error error = { 0 };
        uint8_t *copy = kt_alloc_aligned(size ? size : 1);
        if (size) memcpy(copy, b.bytes, size);
        assert_int_equal(kt_view_from_memory("cut", copy, size, &file, &error), KITH_OK);
        assert_int_equal(b.ops->open(file, &index, &error), KITH_CORRUPT);
        assert_non_null(strstr(error.message, "cut"));
    }
    built_release(&b);
    column_release(&c);
}

static void a_row_beyond_the_span_is_corrupt_and_named(void **state)
{
    struct column c;
    struct built b = example(KITH_IVF_FLAT, &c);
    struct kt_view_file *file = NULL;
    struct kt_index *index = NULL;
    struct kt_arena scratch = { 0 };
    struct kt_hit hits[600];
    struct kt_top top = { hits, 0, 600 };
    struct kt_index_stats stats = { 0 };
    kith_error error = { 0 };
    float query[17] = { 0 };
    (void)state;
    size_t block = 4 * 32 + (32 * 17 * 4 + 63) / 64 * 64; /* the last block begins that far before the end */
    uint8_t *copy = kt_alloc_aligned(b.size);
    memcpy(copy, b.bytes, b.size);
    kt_put_u32(copy + b.size - block, 600);
    assert_int_equal(kt_view_from_memory("beyond", copy, b.size, &file, &error), KITH_OK);
    assert_int_equal(b.ops->open(file, &index, &error), KITH_OK);
    struct kt_index_query ask = { .vector = query, .metric = KITH_L2, .candidates = 600, .nprobes = 70 };
    assert_int_equal(b.ops->search(index, NULL, &ask, &scratch, &top, &stats, &error), KITH_CORRUPT);
    assert_non_null(strstr(error.message, "beyond"));
    kt_arena_release(&scratch);
    b.ops->close(index);
    built_release(&b);
    column_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_change_is_refused_or_harmless),
        cmocka_unit_test(every_field_of_the_header_bears_extremes),
        cmocka_unit_test(outliers_bear_extremes),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(a_row_beyond_the_span_is_corrupt_and_named),
    };
    const char *given = getenv("KITH_SEED");
    if (given) seed = strtoull(given, NULL, 10);
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
