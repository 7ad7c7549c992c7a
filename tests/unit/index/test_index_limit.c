/* Whoever searches may be told to stop: each way through the rows looks at the clock between lists or
 * batches. */
#include "index_fixture.h"

enum { ROWS = 6000, DIM = 16, K = 10 };

/* The status of a search whose time was over before it began. */
static kith_status late(const struct column *c, kith_index_type type, struct kt_index_query query,
                        const struct kt_selection *among)
{
    struct kt_work work = { 0 };
    struct kt_scan_query scan;
    struct kt_arena scratch = { 0 };
    struct kt_hit hits[ROWS];
    struct kt_top top = { hits, 0, query.k };
    struct kt_index_stats stats = { 0 };
    kith_error error = { 0 };
    kt_work_limit(&work, -1, NULL, NULL);
    assert_int_equal(kt_scan_prepare(&c->vectors, KITH_L2, query.vector, KITH_F32, &scratch, &scan, &error),
                     KITH_OK);
    scan.among = among;
    scan.work = &work;
    query.exact = &scan;
    kith_status status;
    if (type == KITH_INDEX_DEFAULT) {
        status = kt_scan_rows(&c->vectors, &scan, 0, UINT64_MAX, &top, &stats, &error);
    } else {
        struct built b = build(c, (struct kt_index_plan){ .type = type, .metric = KITH_L2, .seed = seed }, 0);
        status = b.ops->search(b.index, &c->vectors, &query, &scratch, &top, &stats, &error);
        built_release(&b);
    }
    if (status == KITH_TIMEOUT) assert_non_null(strstr(error.message, "timed out"));
    kt_arena_release(&scratch);
    return status;
}

static void every_search_stops_when_its_time_is_over(void **state)
{
    struct column c;
    float query[DIM] = { 0 };
    struct kt_index_query few = { .vector = query, .k = K }, all = { .vector = query, .k = ROWS };
    uint64_t words[ROWS / 64 + 1] = { [3] = 0x8421 };
    const struct kt_selection four = { .words = words, .rows = ROWS, .count = 4 };
    (void)state;
    column_init(&c, random_numbers(ROWS, DIM, KITH_F32, 9), ROWS, DIM, KITH_F32);
    column_cut(&c, 0);
    assert_int_equal(late(&c, KITH_INDEX_DEFAULT, few, NULL), KITH_TIMEOUT);
    assert_int_equal(late(&c, KITH_INDEX_DEFAULT, few, &four), KITH_TIMEOUT);
    for (size_t t = 0; t < TYPES; t++) assert_int_equal(late(&c, types[t], few, NULL), KITH_TIMEOUT);
    assert_int_equal(late(&c, KITH_HNSW, few, NULL), KITH_TIMEOUT); /* the walk */
    assert_int_equal(late(&c, KITH_HNSW, all, NULL), KITH_TIMEOUT); /* all rows read */
    column_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_search_stops_when_its_time_is_over) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
