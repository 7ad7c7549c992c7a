/* Time that is given to a search, a count, a scan: what needs more fails in words and changes nothing; and a
 * callback stops them. Whole answers that take longer than a limit are told from unpolled ones by the status
 * alone: no test here asserts a time. */
#define _GNU_SOURCE
#include <pthread.h>

#include "support/rows.h"

enum { ROWS = 300000, DIM = 8 };

struct shop {
    kith_database *db;
    kith_table *table;
    struct rows rows;
};

/* Long enough for any evaluation of it to take more than a millisecond. */
static const char slow[] = "regexp_like(item, '(1|2|3)(4|5|6)?[0-9]*(7|8)[0-9]?9$') OR "
                           "regexp_like(item, '^i?t?e?m? .*(99|88).*(77|66)0')";

static int setup(void **state)
{
    struct shop *shop = calloc(1, sizeof *shop);
    kith_create options = KITH_INIT(kith_create);
    options.auto_index_threshold = -1;
    shop->rows = rows_random(ROWS, DIM, 7);
    assert_ok(kith_open("memory://", &shop->db, error));
    struct ArrowArrayStream data = rows_stream(&shop->rows, 0, ROWS / 2);
    assert_ok(kith_create_table(shop->db, "t", &data, &options, &shop->table, error));
    data = rows_stream(&shop->rows, ROWS / 2, ROWS / 2);
    assert_ok(kith_append(shop->table, &data, NULL, NULL, error));
    *state = shop;
    return 0;
}

static int teardown(void **state)
{
    struct shop *shop = *state;
    kith_table_close(shop->table);
    kith_close(shop->db);
    rows_free(&shop->rows);
    free(shop);
    return 0;
}

#define assert_late(call)                                                                                    \
    do {                                                                                                     \
        kith_error late_error = { 0 };                                                                       \
        kith_error *error = &late_error;                                                                     \
        kith_status late_status = (call);                                                                    \
        if (late_status != KITH_TIMEOUT || !strstr(late_error.message, "timed out"))                         \
            fail_msg("%s: %s: %s", #call, kith_status_name(late_status), late_error.message);                \
    } while (0)

static kith_query query_of(const struct shop *shop, int64_t timeout_us)
{
    kith_query query = KITH_INIT(kith_query);
    query.vectors = shop->rows.vectors;
    query.dim = DIM;
    query.k = 10;
    query.timeout_us = timeout_us;
    return query;
}

static kith_scan scan_of(const char *where, int64_t timeout_us)
{
    kith_scan scan = KITH_INIT(kith_scan);
    scan.where = where;
    scan.timeout_us = timeout_us;
    return scan;
}

static void a_time_that_is_over_is_told_by_every_door(void **state)
{
    struct shop *shop = *state;
    kith_query query = query_of(shop, -1);
    kith_scan scan = scan_of("id = 3", -1), plain = scan_of(NULL, -1);
    struct ArrowArrayStream stream = { 0 };
    uint64_t ids[10], count = 77, row = 5;
    float distances[10];
    char *text = NULL;
    assert_late(kith_search(shop->table, &query, &stream, error));
    assert_late(kith_search_ids(shop->table, &query, ids, distances, error));
    query.where = "id < 1000";
    assert_late(kith_search(shop->table, &query, &stream, error));
    assert_late(kith_explain(shop->table, &query, &text, error));
    assert_late(kith_table_count_scan(shop->table, &scan, &count, error));
    assert_late(kith_table_scan(shop->table, &scan, &stream, error));
    assert_late(kith_table_scan(shop->table, &plain, &stream, error));
    assert_late(kith_table_take(shop->table, &row, 1, &plain, &stream, error));
    assert_int_equal(count, 77);
    assert_null(stream.release);
    assert_null(text);
}

static void a_searcher_gives_each_run_its_time(void **state)
{
    struct shop *shop = *state;
    kith_query query = query_of(shop, 60 * 1000 * 1000);
    kith_searcher *searcher = NULL;
    uint64_t ids[10];
    float distances[10];
    assert_ok(kith_searcher_new(shop->table, &query, &searcher, error));
    for (int i = 0; i < 3; i++)
        assert_ok(kith_searcher_run(searcher, query.vectors, 1, ids, distances, error));
    kith_searcher_free(searcher);
    query.timeout_us = -1;
    assert_ok(kith_searcher_new(shop->table, &query, &searcher, error));
    assert_late(kith_searcher_run(searcher, query.vectors, 1, ids, distances, error));
    kith_searcher_free(searcher);
}

static void enough_time_changes_nothing(void **state)
{
    struct shop *shop = *state;
    kith_query query = query_of(shop, INT64_MAX);
    kith_scan scan = scan_of("id < 1234", 3600LL * 1000 * 1000);
    struct ArrowArrayStream stream = { 0 };
    uint64_t ids[10], with[10], count = 0;
    float distances[10];
    assert_ok(kith_search_ids(shop->table, &query, with, distances, error));
    query.timeout_us = 0;
    assert_ok(kith_search_ids(shop->table, &query, ids, distances, error));
    assert_memory_equal(ids, with, sizeof ids);
    assert_ok(kith_table_count_scan(shop->table, &scan, &count, error));
    assert_int_equal(count, 1234);
    assert_ok(kith_table_scan(shop->table, &scan, &stream, error));
    struct kt_batch *batch = stream_batch(&stream);
    assert_int_equal(batch->rows, 1234);
    kt_batch_release(batch);
}

static void a_long_evaluation_ends_within_it(void **state)
{
    struct shop *shop = *state;
    kith_scan scan = scan_of(slow, 1000);
    kith_query query = query_of(shop, 1000);
    struct ArrowArrayStream stream = { 0 };
    uint64_t count;
    query.where = slow;
    assert_late(kith_table_count_scan(shop->table, &scan, &count, error));
    assert_late(kith_table_scan(shop->table, &scan, &stream, error));
    assert_late(kith_search(shop->table, &query, &stream, error));
}

static void a_search_for_many_vectors_ends_within_it(void **state)
{
    struct shop *shop = *state;
    for (uint32_t threads = 1; threads <= 2; threads++) {
        kith_query query = query_of(shop, 2000);
        struct ArrowArrayStream stream = { 0 };
        query.vector_count = 500;
        query.threads = threads;
        assert_late(kith_search(shop->table, &query, &stream, error));
    }
}

static void sorting_ends_within_it(void **state)
{
    struct shop *shop = *state;
    kith_scan scan = scan_of(NULL, 2000);
    const kith_order order = { .expression = "item", .descending = true };
    struct ArrowArrayStream stream = { 0 };
    scan.order_by = &order;
    scan.order_count = 1;
    assert_late(kith_table_scan(shop->table, &scan, &stream, error));
}

static void a_stream_is_read_within_it(void **state)
{
    struct shop *shop = *state;
    kith_scan scan = scan_of(NULL, 300 * 1000);
    struct ArrowArrayStream stream = { 0 };
    struct ArrowArray array = { 0 };
    kith_status status = kith_table_scan(shop->table, &scan, &stream, NULL);
    if (status == KITH_TIMEOUT) return; /* a machine that stood still */
    assert_int_equal(status, KITH_OK);
    usleep(310 * 1000);
    assert_int_not_equal(stream.get_next(&stream, &array), 0);
    assert_non_null(strstr(stream.get_last_error(&stream), "timed out"));
    stream.release(&stream);
}

/* ---- stopping */

struct stopping {
    pthread_t caller;
    int calls;
};

static int stop(const kith_progress *progress, void *user)
{
    struct stopping *stopping = user;
    assert_non_null(progress->stage);
    assert_true(pthread_equal(stopping->caller, pthread_self()));
    stopping->calls++;
    return 1;
}

/* As long as it takes for the callback to be asked at all. */
static void a_callback_stops_what_takes_long(void **state)
{
    struct shop *shop = *state;
    struct stopping stopping = { .caller = pthread_self() };
    kith_query query = query_of(shop, 0);
    kith_error error = { 0 };
    uint64_t *ids = malloc((size_t)10 * 2000 * sizeof *ids);
    float *distances = malloc((size_t)10 * 2000 * sizeof *distances);
    query.vector_count = 2000; /* of ROWS each: seconds */
    query.progress = stop;
    query.progress_user = &stopping;
    for (uint32_t threads = 1; threads <= 2; threads++) {
        query.threads = threads;
        stopping.calls = 0;
        assert_int_equal(kith_search_ids(shop->table, &query, ids, distances, &error), KITH_CANCELLED);
        assert_int_equal(stopping.calls, 1);
    }
    free(ids);
    free(distances);
}

static void a_callback_is_not_asked_about_what_is_soon_done(void **state)
{
    struct shop *shop = *state;
    struct stopping stopping = { .caller = pthread_self() };
    kith_query query = query_of(shop, 0);
    uint64_t ids[10];
    float distances[10];
    query.progress = stop;
    query.progress_user = &stopping;
    query.where = "id = 5";
    kith_status status = kith_search_ids(shop->table, &query, ids, distances, NULL);
    if (!stopping.calls) assert_int_equal(status, KITH_OK); /* else the machine stood still for 40 ms */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_that_is_over_is_told_by_every_door),
        cmocka_unit_test(a_searcher_gives_each_run_its_time),
        cmocka_unit_test(enough_time_changes_nothing),
        cmocka_unit_test(a_long_evaluation_ends_within_it),
        cmocka_unit_test(a_search_for_many_vectors_ends_within_it),
        cmocka_unit_test(sorting_ends_within_it),
        cmocka_unit_test(a_stream_is_read_within_it),
        cmocka_unit_test(a_callback_stops_what_takes_long),
        cmocka_unit_test(a_callback_is_not_asked_about_what_is_soon_done),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
