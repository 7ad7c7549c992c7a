/* The recall that is asked for, calibrated, expected and told: what an index learned and from whom, explain
 * and analyze, the metadata of an answer. And options of any age. */
#define _GNU_SOURCE
#include <pthread.h>

#include "unit/api/clusters.h"

enum { DIM = 16, ROWS = 6000, QUERIES = 300 };

/* A table of rows that lie anywhere, which makes an index work for its recall, without an index; and queries
 * like them. */
struct shop {
    kith_database *db;
    kith_table *table;
    struct rows rows, queries;
};

static struct shop shop_open(void)
{
    struct shop shop = { .rows = rows_random(ROWS, DIM, 1), .queries = rows_random(QUERIES, DIM, 2) };
    struct ArrowArrayStream data = rows_stream(&shop.rows, 0, ROWS);
    assert_ok(kith_open("memory://", &shop.db, error));
    assert_ok(kith_create_table(shop.db, "t", &data, NULL, &shop.table, error));
    return shop;
}

static void shop_close(struct shop *shop)
{
    kith_table_close(shop->table);
    kith_close(shop->db);
    rows_free(&shop->rows);
    rows_free(&shop->queries);
}

static char *explain(const struct shop *shop, const kith_query *query)
{
    char *text = NULL;
    assert_ok(kith_explain(shop->table, query, &text, error));
    return text;
}

/* How many searches the table's only index learned from, by its own account. */
static unsigned learned_from(const struct shop *shop)
{
    kith_indexes *indexes = indexes_of(shop->table);
    assert_int_equal(indexes->count, 1);
    json_t *calibration = json_loads(indexes->indexes[0].calibration, 0, NULL);
    unsigned queries = (unsigned)json_integer_value(json_object_get(calibration, "queries"));
    assert_true(queries > 0);
    json_decref(calibration);
    kith_indexes_free(indexes);
    return queries;
}

/* ---- what an index is calibrated on ---- */

static void an_index_is_calibrated_on_the_queries_it_is_given(void **state)
{
    (void)state;
    struct shop shop = shop_open();
    kith_index options = KITH_INIT(kith_index);
    kith_search_stats did = KITH_INIT(kith_search_stats);
    kith_query query = query_of(shop.queries.vectors, DIM, 10);
    uint64_t ids[10];
    float distances[10];
    query.stats = &did;
    assert_ok(kith_create_index(shop.table, &options, error));
    kith_indexes *on_rows = indexes_of(shop.table);
    assert_non_null(strstr(on_rows->indexes[0].calibration, "\"on\":\"rows\""));
    assert_ok(kith_search_ids(shop.table, &query, ids, distances, error));
    assert_false(did.on_queries);
    assert_int_equal(did.calibrated_with, learned_from(&shop));

    options.queries = shop.queries.vectors;
    options.query_count = QUERIES;
    assert_ok(kith_create_index(shop.table, &options, error));
    kith_indexes *on_queries = indexes_of(shop.table);
    assert_ok(kith_search_ids(shop.table, &query, ids, distances, error));
    assert_true(did.on_queries);
    assert_int_equal(did.calibrated_with, QUERIES);
    assert_true(did.expected_recall >= 0.95f && did.expected_recall < 1);
    char *text = explain(&shop, &query);
    assert_non_null(strstr(text, "calibrated on 300 queries of yours"));
    kith_text_free(text);
    shop_close(&shop);

    json_t *calibration = json_loads(on_queries->indexes[0].calibration, 0, NULL); /* it outlives the table */
    assert_string_equal(json_string_value(json_object_get(calibration, "on")), "queries");
    assert_int_equal(json_integer_value(json_object_get(calibration, "queries")), QUERIES);
    assert_true(json_array_size(json_object_get(calibration, "curves")) > 0);
    json_decref(calibration);
    assert_non_null(strstr(on_rows->indexes[0].calibration, "\"on\":\"rows\""));
    kith_indexes_free(on_rows);
    kith_indexes_free(on_queries);
}

static void queries_that_no_search_would_take_are_refused_before_the_build(void **state)
{
    (void)state;
    struct shop shop = shop_open();
    kith_index options = KITH_INIT(kith_index);
    kith_error failure = { 0 };
    options.query_count = 5; /* of nothing */
    assert_int_equal(kith_create_index(shop.table, &options, &failure), KITH_INVALID);
    assert_non_null(strstr(failure.message, "NULL"));
    options.queries = shop.queries.vectors;
    options.query_count = 0;
    assert_int_equal(kith_create_index(shop.table, &options, &failure), KITH_INVALID);
    options.query_count = SIZE_MAX / DIM; /* whose bytes no size_t counts */
    assert_int_equal(kith_create_index(shop.table, &options, &failure), KITH_INVALID);
    assert_non_null(strstr(failure.message, "more than any memory holds"));
    const float bad[] = { NAN, INFINITY, -INFINITY };
    for (int i = 0; i < 3; i++) {
        shop.queries.vectors[7 * DIM + 3] = bad[i];
        options.query_count = QUERIES;
        assert_int_equal(kith_create_index(shop.table, &options, &failure), KITH_INVALID);
        assert_non_null(strstr(failure.message, "query 7"));
        assert_non_null(strstr(failure.message, "position 3"));
        options.query_count = 7; /* the others are fine */
        assert_ok(kith_create_index(shop.table, &options, error));
        assert_ok(kith_drop_index(shop.table, "vector_idx", error));
    }
    assert_int_equal(index_count(shop.table), 0);
    shop_close(&shop);
}

static void a_build_is_refused_memory_that_cannot_do(void **state)
{
    (void)state;
    struct shop shop = shop_open();
    kith_index options = KITH_INIT(kith_index);
    kith_error failure = { 0 };
    const uint64_t least = 8 * ROWS + (4 << 20);
    char number[32];
    snprintf(number, sizeof number, "%llu", (unsigned long long)least);
    options.max_memory = least - 1;
    assert_int_equal(kith_create_index(shop.table, &options, &failure), KITH_INVALID);
    assert_non_null(strstr(failure.message, number));
    assert_int_equal(index_count(shop.table), 0);
    options.max_memory = least;
    assert_ok(kith_create_index(shop.table, &options, error));
    assert_true(recall_of(shop.table, &shop.rows, ROWS, &shop.queries, NULL) >= 0.9);
    shop_close(&shop);
}

static void an_index_with_nothing_to_choose_has_learned_nothing(void **state)
{
    (void)state;
    struct shop shop = shop_open();
    kith_index options = KITH_INIT(kith_index);
    kith_search_stats did = KITH_INIT(kith_search_stats);
    kith_query query = query_of(shop.queries.vectors, DIM, 10);
    uint64_t ids[10];
    float distances[10];
    options.num_partitions = 1;
    assert_ok(kith_create_index(shop.table, &options, error));
    kith_indexes *indexes = indexes_of(shop.table);
    assert_string_equal(indexes->indexes[0].calibration, "");
    kith_indexes_free(indexes);
    char *text = explain(&shop, &query);
    assert_non_null(strstr(text, "not calibrated: fixed probes"));
    kith_text_free(text);
    query.stats = &did;
    assert_ok(kith_search_ids(shop.table, &query, ids, distances, error));
    assert_float_equal(did.expected_recall, 0, 0);
    assert_int_equal(did.calibrated_with, 0);
    shop_close(&shop);
}

/* ---- explain and analyze ---- */

struct promise {
    double wanted, expected;
    unsigned with;
    unsigned long long lists, codes;
};

static struct promise promise_of(const struct shop *shop, float recall)
{
    static const char form[] =
        "  Recall: %lf wanted, calibrated on %u rows: %lf expected from about %llu lists, %llu codes";
    struct promise p = { 0 };
    kith_query query = query_of(shop->queries.vectors, DIM, 10);
    char *text = NULL;
    query.recall = recall;
    assert_ok(kith_explain(shop->table, &query, &text, error));
    assert_non_null(strstr(text, "  Recall: "));
    int read = sscanf(strstr(text, "  Recall: "), form, &p.wanted, &p.with, &p.expected, &p.lists, &p.codes);
    if (read != 5) fail_msg("%d of 5 numbers are in\n%s", read, text);
    kith_text_free(text);
    return p;
}

static void explain_says_what_a_recall_takes(void **state)
{
    (void)state;
    struct shop shop = shop_open();
    assert_ok(kith_create_index(shop.table, NULL, error));
    struct promise least = promise_of(&shop, 0.5f), usual = promise_of(&shop, 0),
                   most = promise_of(&shop, 0.99f);
    assert_true(fabs(usual.wanted - 0.95) < 1e-6);
    assert_int_equal(usual.with, learned_from(&shop));
    assert_true(usual.expected >= 0.95 && most.expected >= 0.99 && most.expected <= 1);
    assert_true(least.codes <= usual.codes && usual.codes < most.codes && most.codes < ROWS);
    assert_true(usual.lists >= 1 && usual.lists < most.lists);
    /* no recall is had for less than a smaller one */
    for (float recall = 0.51f; recall < 0.99f; recall += 0.01f) {
        struct promise more = promise_of(&shop, recall);
        assert_true(more.codes >= least.codes && more.lists >= least.lists);
        assert_true(more.expected >= least.expected);
        least = more;
    }

    kith_search_stats did = { 0 };
    double recall = recall_of(shop.table, &shop.rows, ROWS, &shop.queries, &did);
    double codes = (double)did.codes / QUERIES;
    printf("%llu codes promised, %.0f scanned; recall %.3f\n", usual.codes, codes, recall);
    assert_true(codes > 0.7 * (double)usual.codes && codes < 1.4 * (double)usual.codes);
    assert_true(recall > 0.92);
    shop_close(&shop);
}

static void explain_promises_only_what_was_calibrated(void **state)
{
    (void)state;
    struct shop shop = shop_open();
    kith_query query = query_of(shop.queries.vectors, DIM, 10);
    char *text = explain(&shop, &query);
    assert_non_null(strstr(text, "ExactScan: 6000 rows (no index)"));
    assert_non_null(strstr(text, "Recall: 1, exact"));
    kith_text_free(text);
    assert_ok(kith_create_index(shop.table, NULL, error));
    query.vectors = NULL; /* there is nothing to run */
    query.recall = 1;
    text = explain(&shop, &query);
    assert_non_null(strstr(text, "Recall: 1, exact"));
    kith_text_free(text);
    query.recall = 0;
    query.nprobes = 3;
    text = explain(&shop, &query);
    assert_non_null(strstr(text, "Recall: not known"));
    kith_text_free(text);
    shop_close(&shop);
}

/* The number at the end of a line of analyze()'s table. */
static double figure(const char *text, const char *name)
{
    char line[64];
    snprintf(line, sizeof line, "\n  %s ", name);
    const char *at = strstr(text, line);
    if (!at) fail_msg("\"%s\" is not in\n%s", name, text);
    return strtod(at + strlen(line), NULL);
}

/* Of `text`, which is analyzed for a query that did `did`. */
static void assert_figures(const char *text, const kith_search_stats *did, uint64_t streamed)
{
    assert_true((uint64_t)figure(text, "lists visited") == did->lists);
    assert_true((uint64_t)figure(text, "codes scanned") == did->codes);
    assert_true((uint64_t)figure(text, "codes refined") == did->refined);
    assert_true((uint64_t)figure(text, "rows read") == did->rows_read);
    assert_true((uint64_t)figure(text, "bytes touched") == did->bytes);
    assert_true((uint64_t)figure(text, "dependent cache misses") ==
                did->lists + did->refined + did->rows_read - streamed);
    assert_true(fabs(figure(text, "expected recall") - (double)did->expected_recall) < 0.001);
    double time = figure(text, "time"), least = figure(text, "floor");
    assert_true(time > 0 && least > 0);
    assert_true(fabs(figure(text, "time / floor") - time / least) < 0.1);
}

static void analyze_tells_what_the_search_did(void **state)
{
    (void)state;
    struct shop shop = shop_open();
    kith_search_stats did = KITH_INIT(kith_search_stats);
    uint64_t ids[30];
    float distances[30];
    char *text = NULL;
    assert_ok(kith_create_index(shop.table, NULL, error));
    add(shop.table, &shop.rows, 0, 100); /* scanned beside the index: bytes, but no misses */
    kith_query query = query_of(shop.queries.vectors, DIM, 10);
    query.stats = &did;
    assert_ok(kith_search_ids(shop.table, &query, ids, distances, error));
    assert_ok(kith_analyze(shop.table, &query, &text, error));
    char *plan = explain(&shop, &query);
    assert_memory_equal(text, plan, strlen(plan));
    kith_text_free(plan);
    assert_figures(text, &did, 100);
    kith_text_free(text);

    query.exact = true;
    query.vector_count = 3;
    assert_ok(kith_search_ids(shop.table, &query, ids, distances, error));
    assert_int_equal(did.rows_read, 3 * (ROWS + 100));
    assert_ok(kith_analyze(shop.table, &query, &text, error));
    assert_figures(text, &did, did.rows_read);
    kith_text_free(text);
    query.vectors = NULL;
    assert_int_equal(kith_analyze(shop.table, &query, &text, NULL), KITH_INVALID);
    query.dim = DIM + 1;
    assert_int_equal(kith_analyze(shop.table, &query, &text, NULL), KITH_INVALID);
    shop_close(&shop);
}

static void *analyze_once(void *context)
{
    const struct shop *shop = context;
    kith_query query = query_of(shop->queries.vectors, DIM, 10);
    char *text = NULL;
    return kith_analyze(shop->table, &query, &text, NULL) ? NULL : text;
}

/* What was measured of the memory: "(bytes 2.9 us at 13.0 GB/s, misses 53.7 us at 147 ns)". */
static void machine_of(const char *text, double *bandwidth, double *latency)
{
    double ignored;
    const char *at = strstr(text, "(bytes ");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "(bytes %lf us at %lf GB/s, misses %lf us at %lf ns", &ignored, bandwidth,
                            &ignored, latency),
                     4);
}

static void threads_agree_about_the_machine(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    struct shop shop = shop_open();
    pthread_t threads[THREADS];
    double bandwidth[THREADS], latency[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, analyze_once, &shop), 0);
    for (int i = 0; i < THREADS; i++) {
        void *text = NULL;
        pthread_join(threads[i], &text);
        assert_non_null(text);
        machine_of(text, &bandwidth[i], &latency[i]);
        assert_true(bandwidth[i] == bandwidth[0] && latency[i] == latency[0]);
        kith_text_free(text);
    }
    printf("%.1f GB/s, %.0f ns\n", bandwidth[0], latency[0]);
    assert_true(bandwidth[0] > 0.001 && bandwidth[0] < 1000);
    assert_true(latency[0] >= 1 && latency[0] < 20000);
    shop_close(&shop);
}

/* ---- the metadata of an answer ---- */

static json_t *told_recall(const struct shop *shop, const kith_query *query)
{
    struct ArrowArrayStream out;
    struct kt_schema *schema = NULL;
    assert_ok(kith_search(shop->table, query, &out, error));
    assert_ok(kt_stream_schema(&out, &schema, error));
    json_t *told = json_loads(json_string_value(json_object_get(schema->metadata, "kith.recall")), 0, NULL);
    assert_int_equal(json_object_size(told), 5);
    kt_schema_release(schema);
    out.release(&out);
    return told;
}

static double told(const json_t *recall, const char *key)
{
    const json_t *value = json_object_get(recall, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void an_answer_tells_its_recall(void **state)
{
    (void)state;
    struct shop shop = shop_open();
    kith_query query = query_of(shop.queries.vectors, DIM, 10);
    json_t *recall = told_recall(&shop, &query);
    assert_true(json_is_true(json_object_get(recall, "exact")));
    assert_true(fabs(told(recall, "expected") - 1) < 1e-6);
    assert_true(fabs(told(recall, "wanted") - 0.95) < 1e-6);
    assert_true(json_is_null(json_object_get(recall, "calibrated_on")));
    assert_true(fabs(told(recall, "calibrated_with") - 0) < 1e-6);
    json_decref(recall);

    kith_index options = KITH_INIT(kith_index);
    options.queries = shop.queries.vectors;
    options.query_count = QUERIES;
    assert_ok(kith_create_index(shop.table, NULL, error));
    query.recall = 0.9f;
    query.vector_count = 2;
    recall = told_recall(&shop, &query);
    assert_true(json_is_false(json_object_get(recall, "exact")));
    assert_true(told(recall, "expected") >= 0.9 && told(recall, "expected") < 1);
    assert_true(fabs(told(recall, "wanted") - 0.9) < 1e-6);
    assert_string_equal(json_string_value(json_object_get(recall, "calibrated_on")), "rows");
    assert_true((unsigned)told(recall, "calibrated_with") == learned_from(&shop));
    json_decref(recall);
    assert_ok(kith_create_index(shop.table, &options, error));
    recall = told_recall(&shop, &query);
    assert_string_equal(json_string_value(json_object_get(recall, "calibrated_on")), "queries");
    json_decref(recall);
    query.nprobes = 1; /* of that nobody knows */
    recall = told_recall(&shop, &query);
    assert_true(json_is_null(json_object_get(recall, "expected")));
    assert_true(json_is_false(json_object_get(recall, "exact")));
    json_decref(recall);
    query.exact = true;
    recall = told_recall(&shop, &query);
    assert_true(fabs(told(recall, "wanted") - 1) < 1e-6);
    json_decref(recall);
    shop_close(&shop);
}

static void a_table_made_of_an_answer_does_not_keep_its_recall(void **state)
{
    (void)state;
    static const char pairs[] = "\1\0\0\0\13\0\0\0kith.recall\2\0\0\0{}"; /* as an answer's schema has it */
    struct shop shop = shop_open();
    struct ArrowSchema schema;
    kith_table *copy = NULL;
    kith_create options = KITH_INIT(kith_create);
    struct kt_schema *plain = rows_schema(DIM);
    assert_ok(kt_schema_export(plain, &schema, error));
    kt_schema_release(plain);
    schema.metadata = pairs;
    options.schema = &schema;
    struct ArrowArrayStream data = rows_stream(&shop.rows, 0, 10);
    assert_ok(kith_create_table(shop.db, "copy", &data, &options, &copy, error));
    schema.release(&schema);
    assert_ok(kith_table_schema(copy, &schema, error));
    assert_null(schema.metadata);
    schema.release(&schema);
    kith_table_close(copy);
    shop_close(&shop);
}

/* ---- options of any age ---- */

static void an_older_option_struct_lacks_what_came_later(void **state)
{
    (void)state;
    struct shop shop = shop_open();
    kith_index index;
    memset(&index, 0xa5, sizeof index); /* what lies behind an older struct is anything */
    memset(&index, 0, offsetof(kith_index, queries));
    index.struct_size = offsetof(kith_index, queries);
    assert_ok(kith_create_index(shop.table, &index, error));
    kith_indexes *indexes = indexes_of(shop.table);
    assert_non_null(strstr(indexes->indexes[0].calibration, "\"on\":\"rows\""));
    kith_indexes_free(indexes);

    kith_create create;
    kith_table *table = NULL;
    memset(&create, 0xa5, sizeof create);
    memset(&create, 0, offsetof(kith_create, metric));
    create.struct_size = offsetof(kith_create, metric);
    struct ArrowArrayStream data = rows_stream(&shop.rows, 0, 10);
    assert_ok(kith_create_table(shop.db, "old", &data, &create, &table, error));
    kith_table_close(table);

    kith_query query = query_of(shop.queries.vectors, DIM, 10);
    uint64_t ids[10];
    float distances[10];
    query.stats = (kith_search_stats *)(uintptr_t)0xa5a5;
    query.struct_size = offsetof(kith_query, stats);
    assert_ok(kith_search_ids(shop.table, &query, ids, distances, error));

    kith_search_stats did;
    memset(&did, 0xa5, sizeof did);
    did.struct_size = offsetof(kith_search_stats, expected_recall);
    query.struct_size = sizeof query;
    query.stats = &did;
    assert_ok(kith_search_ids(shop.table, &query, ids, distances, error));
    assert_true(did.lists > 0 && did.lists < ROWS);
    assert_int_equal(did.calibrated_with, 0xa5a5a5a5); /* not this struct's */
    assert_int_equal(did.struct_size, offsetof(kith_search_stats, expected_recall));
    shop_close(&shop);
}

static void a_newer_option_struct_is_read_as_far_as_it_is_known(void **state)
{
    (void)state;
    struct shop shop = shop_open();
    struct {
        kith_index index;
        char more[64];
    } newer = { .index = { .struct_size = sizeof newer, .num_partitions = 20 } };
    assert_ok(kith_create_index(shop.table, &newer.index, error));
    kith_indexes *indexes = indexes_of(shop.table);
    assert_int_equal(indexes->indexes[0].num_partitions, 20);
    kith_indexes_free(indexes);
    shop_close(&shop);
}

static int releases;
static void (*release_inner)(struct ArrowArrayStream *);
static void count_release(struct ArrowArrayStream *stream)
{
    releases++;
    release_inner(stream);
}

/* A stream whose release is counted. */
static struct ArrowArrayStream counted_stream(const struct rows *rows)
{
    struct ArrowArrayStream data = rows_stream(rows, 0, 10);
    release_inner = data.release;
    data.release = count_release;
    return data;
}

static void an_option_struct_of_no_size_is_refused_and_consumes_the_data(void **state)
{
    (void)state;
    struct shop shop = shop_open();
    kith_create create = { 0 };
    kith_write write = { 0 };
    kith_index index = { 0 };
    kith_scan scan = { 0 };
    kith_table *table = NULL;
    kith_error failure = { 0 };
    struct ArrowArrayStream data = counted_stream(&shop.rows), out;
    assert_int_equal(kith_create_table(shop.db, "u", &data, &create, &table, &failure), KITH_INVALID);
    assert_non_null(strstr(failure.message, "KITH_INIT(kith_create)"));
    data = counted_stream(&shop.rows);
    assert_int_equal(kith_append(shop.table, &data, &write, NULL, &failure), KITH_INVALID);
    assert_int_equal(releases, 2);
    assert_int_equal(kith_create_index(shop.table, &index, &failure), KITH_INVALID);
    assert_int_equal(kith_table_scan(shop.table, &scan, &out, &failure), KITH_INVALID);
    assert_int_equal(kith_table_take(shop.table, (uint64_t[]){ 1 }, 1, &scan, &out, &failure), KITH_INVALID);
    index.struct_size = (size_t)-1; /* never set */
    assert_int_equal(kith_create_index(shop.table, &index, &failure), KITH_INVALID);
    assert_int_equal(count_of(shop.table), ROWS);
    shop_close(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_agree_about_the_machine), /* first: it is measured once */
        cmocka_unit_test(an_index_is_calibrated_on_the_queries_it_is_given),
        cmocka_unit_test(queries_that_no_search_would_take_are_refused_before_the_build),
        cmocka_unit_test(a_build_is_refused_memory_that_cannot_do),
        cmocka_unit_test(an_index_with_nothing_to_choose_has_learned_nothing),
        cmocka_unit_test(explain_says_what_a_recall_takes),
        cmocka_unit_test(explain_promises_only_what_was_calibrated),
        cmocka_unit_test(analyze_tells_what_the_search_did),
        cmocka_unit_test(an_answer_tells_its_recall),
        cmocka_unit_test(a_table_made_of_an_answer_does_not_keep_its_recall),
        cmocka_unit_test(an_older_option_struct_lacks_what_came_later),
        cmocka_unit_test(a_newer_option_struct_is_read_as_far_as_it_is_known),
        cmocka_unit_test(an_option_struct_of_no_size_is_refused_and_consumes_the_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
