/* Tables through the public contract: rows go in, come out, and are found. */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/wait.h>

#include "support/rows.h"

enum { DIM = 24 };

/* A table without an automatic index, which test_auto_index.c is about. */
static kith_table *table_of(kith_database *db, const char *name, const struct rows *rows, uint64_t count)
{
    struct ArrowArrayStream data = rows_stream(rows, 0, count);
    kith_create options = KITH_INIT(kith_create);
    kith_table *table = NULL;
    options.no_auto_index = true;
    assert_ok(kith_create_table(db, name, &data, &options, &table, error));
    return table;
}

static void add(kith_table *table, const struct rows *rows, uint64_t begin, uint64_t count)
{
    struct ArrowArrayStream data = rows_stream(rows, begin, count);
    assert_ok(kith_append(table, &data, NULL, NULL, error));
}

static uint64_t count_of(kith_table *table)
{
    uint64_t count = UINT64_MAX;
    assert_ok(kith_table_count(table, NULL, &count, error));
    return count;
}

static uint64_t version_of(kith_table *table)
{
    uint64_t version = 0;
    assert_ok(kith_table_version(table, &version, error));
    return version;
}

static kith_query query_of(const float *vector, uint32_t dim, uint32_t k)
{
    kith_query query = KITH_INIT(kith_query);
    query.vectors = vector;
    query.dim = dim;
    query.k = k;
    return query;
}

static void assert_nearest(kith_table *table, const struct rows *rows, uint64_t count, kith_metric metric,
                           const kith_query *query)
{
    struct near truth[64];
    uint64_t ids[64];
    float distances[64];
    brute_force(rows, count, metric, query->vectors, query->k, truth);
    assert_ok(kith_search_ids(table, query, ids, distances, error));
    for (uint32_t i = 0; i < query->k; i++) {
        assert_int_equal(ids[i], truth[i].row);
        if (isfinite(truth[i].distance))
            assert_float_equal(distances[i], truth[i].distance, 1e-5);
        else
            assert_true(isinf(distances[i]));
    }
}

static void rows_come_back_as_they_went_in(void **state)
{
    (void)state;
    struct rows rows = rows_random(5000, DIM, 1);
    char *folder = folder_new();
    kith_database *db = NULL;
    struct ArrowArrayStream out;
    assert_ok(kith_open(folder, &db, error));
    kith_table *table = table_of(db, "t", &rows, 3000);
    add(table, &rows, 3000, 2000);
    kith_table_close(table);
    assert_ok(kith_open_table(db, "t", &table, error));
    assert_int_equal(count_of(table), 5000);
    assert_ok(kith_table_scan(table, NULL, &out, error));
    kith_table_close(table);
    kith_close(db);

    struct kt_batch *batch = stream_batch(&out); /* the stream outlives table and database */
    assert_int_equal(batch->rows, 5000);
    for (int64_t i = 0; i < 5000; i++) {
        char text[32];
        int64_t length, id;
        const uint8_t *bytes = kt_array_bytes(&batch->columns[1], i, &length);
        memcpy(&id, batch->columns[0].values + 8 * i, 8);
        assert_int_equal(id, i);
        assert_int_equal(length, snprintf(text, sizeof text, "item %d", (int)i));
        assert_memory_equal(bytes, text, (size_t)length);
    }
    assert_memory_equal(batch->columns[2].children[0].values, rows.vectors, 5000 * DIM * sizeof(float));
    kt_batch_release(batch);
    rows_free(&rows);
    folder_remove(folder);
}

static void an_exact_search_is_brute_force_by_every_metric(void **state)
{
    (void)state;
    struct rows rows = rows_random(2000, DIM, 2);
    kith_database *db = NULL;
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_of(db, "t", &rows, 1500);
    add(table, &rows, 1500, 500);
    for (int metric = KITH_L2; metric <= KITH_DOT; metric++) {
        for (uint64_t row = 0; row < 20; row++) {
            kith_query query = query_of(rows.vectors + row * 97 * DIM, DIM, 10);
            query.metric = (kith_metric)metric;
            assert_nearest(table, &rows, 2000, (kith_metric)metric, &query);
        }
    }
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static void rows_added_after_an_index_are_found_beside_it(void **state)
{
    (void)state;
    struct rows rows = rows_random(3000, DIM, 3);
    kith_database *db = NULL;
    kith_index options = KITH_INIT(kith_index);
    kith_indexes *indexes = NULL;
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_of(db, "t", &rows, 2000);
    options.num_partitions = 16;
    options.num_sub_vectors = 6;
    options.type = KITH_IVF_PQ;
    assert_ok(kith_create_index(table, &options, error));
    for (uint64_t row = 2000; row < 3000; row += 100) add(table, &rows, row, 100);
    assert_ok(kith_list_indexes(table, &indexes, error));
    assert_int_equal(indexes->count, 1);
    assert_string_equal(indexes->indexes[0].name, "vector_idx");
    assert_int_equal(indexes->indexes[0].rows_indexed, 2000);
    assert_int_equal(indexes->indexes[0].rows_unindexed, 1000);
    assert_int_equal(indexes->indexes[0].num_partitions, 16);
    kith_indexes_free(indexes);

    for (uint64_t row = 0; row < 3000; row += 50) { /* all lists, all candidates: exact, index or not */
        kith_query query = query_of(rows.vectors + row * DIM, DIM, 10);
        query.nprobes = 16;
        query.refine_factor = 200;
        assert_nearest(table, &rows, 3000, KITH_L2, &query);
    }
    kith_query fast = query_of(rows.vectors + 2500 * DIM, DIM, 1);
    uint64_t id;
    float distance;
    fast.fast_search = true;
    assert_ok(kith_search_ids(table, &fast, &id, &distance, error));
    assert_true(id < 2000); /* fast_search leaves the new rows out */
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static void another_metric_than_the_index_is_answered_exactly(void **state)
{
    (void)state;
    struct rows rows = rows_random(1000, DIM, 4);
    kith_database *db = NULL;
    kith_index options = KITH_INIT(kith_index);
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_of(db, "t", &rows, 1000);
    options.num_sub_vectors = 2;
    assert_ok(kith_create_index(table, &options, error));
    kith_query query = query_of(rows.vectors, DIM, 20);
    query.metric = KITH_COSINE;
    assert_nearest(table, &rows, 1000, KITH_COSINE, &query);
    char *text = NULL;
    assert_ok(kith_explain(table, &query, &text, error));
    assert_non_null(strstr(text, "no index has this metric"));
    kith_text_free(text);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static void versions_count_what_changes_rows_and_can_be_read_again(void **state)
{
    (void)state;
    struct rows rows = rows_random(1000, DIM, 5);
    kith_database *db = NULL;
    kith_versions *versions = NULL;
    kith_index options = KITH_INIT(kith_index);
    kith_write overwrite = KITH_INIT(kith_write);
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_of(db, "t", &rows, 400);
    assert_int_equal(version_of(table), 1);
    add(table, &rows, 400, 300);
    assert_int_equal(version_of(table), 2);
    options.num_partitions = 4;
    assert_ok(kith_create_index(table, &options, error));
    assert_int_equal(version_of(table), 2);
    overwrite.mode = KITH_OVERWRITE;
    struct ArrowArrayStream data = rows_stream(&rows, 0, 100);
    assert_ok(kith_append(table, &data, &overwrite, NULL, error));
    assert_int_equal(version_of(table), 3);
    assert_int_equal(count_of(table), 100);

    assert_ok(kith_table_checkout(table, 2, error));
    assert_int_equal(count_of(table), 700);
    kith_query query = query_of(rows.vectors + 650 * DIM, DIM, 5);
    query.nprobes = 4;
    query.refine_factor = 100;
    assert_nearest(table, &rows, 700, KITH_L2, &query);
    kith_error failure = { 0 };
    data = rows_stream(&rows, 0, 1);
    assert_int_equal(kith_append(table, &data, NULL, NULL, &failure), KITH_READ_ONLY);
    assert_int_equal(kith_table_checkout(table, 99, &failure), KITH_NOT_FOUND);
    assert_int_equal(count_of(table), 700);
    assert_ok(kith_table_checkout_latest(table, error));
    assert_int_equal(count_of(table), 100);
    assert_ok(kith_table_versions(table, &versions, error));
    assert_int_equal(versions->count, 3);
    assert_int_equal(versions->versions[1].rows, 700);
    assert_string_equal(versions->versions[2].operation, "overwrite");
    kith_versions_free(versions);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static void handles_see_each_others_rows(void **state)
{
    (void)state;
    struct rows rows = rows_random(300, DIM, 6);
    kith_database *one = NULL, *two = NULL;
    kith_table *second = NULL;
    char *folder = folder_new();
    assert_ok(kith_open(folder, &one, error));
    assert_ok(kith_open(folder, &two, error));
    kith_table *first = table_of(one, "t", &rows, 100);
    assert_ok(kith_open_table(two, "t", &second, error));
    add(first, &rows, 100, 100);
    assert_int_equal(count_of(second), 200);
    add(second, &rows, 200, 100);
    assert_int_equal(count_of(first), 300);
    assert_ok(kith_rename_table(one, "t", "u", error));
    add(second, &rows, 0, 1); /* a handle survives the renaming */
    assert_int_equal(count_of(first), 301);
    assert_ok(kith_drop_table(two, "u", error));
    uint64_t count;
    assert_int_equal(kith_table_count(first, NULL, &count, NULL), KITH_NOT_FOUND);
    kith_table_close(first);
    kith_table_close(second);
    kith_close(one);
    kith_close(two);
    rows_free(&rows);
    folder_remove(folder);
}

static void names_are_listed_in_order_and_in_pages(void **state)
{
    (void)state;
    struct rows rows = rows_random(1, DIM, 7);
    kith_database *db = NULL, *other = NULL;
    kith_names *names = NULL;
    assert_ok(kith_open("memory://shop", &db, error));
    const char *wanted[] = { "a", "a-b", "a.b", "b" };
    for (int i = 3; i >= 0; i--) kith_table_close(table_of(db, wanted[i], &rows, 1));
    assert_ok(kith_open("memory://shop", &other, error)); /* the same by name */
    assert_ok(kith_list_tables(other, NULL, 0, &names, error));
    assert_int_equal(names->count, 4);
    for (int i = 0; i < 4; i++) assert_string_equal(names->names[i], wanted[i]);
    kith_names_free(names);
    assert_ok(kith_list_tables(db, "a", 2, &names, error));
    assert_int_equal(names->count, 2);
    assert_string_equal(names->names[0], "a-b");
    assert_string_equal(names->names[1], "a.b");
    kith_names_free(names);
    kith_close(other);
    assert_ok(kith_open("memory://", &other, error)); /* a private one */
    assert_ok(kith_list_tables(other, NULL, 0, &names, error));
    assert_int_equal(names->count, 0);
    kith_names_free(names);
    kith_close(other);
    kith_close(db);
    rows_free(&rows);
}

static void many_small_adds_leave_few_files(void **state)
{
    (void)state;
    struct rows rows = rows_random(300, DIM, 8);
    kith_database *db = NULL;
    kith_table_info info = KITH_INIT(kith_table_info);
    char *folder = folder_new();
    assert_ok(kith_open(folder, &db, error));
    kith_table *table = table_of(db, "t", &rows, 1);
    for (uint64_t i = 1; i < 300; i++) add(table, &rows, i, 1);
    assert_ok(kith_table_stats(table, &info, error));
    assert_int_equal(info.rows, 300);
    assert_int_equal(version_of(table), 300);
    assert_true(info.files <= 12);
    assert_true(info.fragments <= 80);
    for (uint64_t row = 0; row < 300; row += 13) {
        kith_query query = query_of(rows.vectors + row * DIM, DIM, 10);
        assert_nearest(table, &rows, 300, KITH_L2, &query);
    }
    kith_table_close(table);
    assert_ok(kith_open_table(db, "t", &table, error));
    assert_int_equal(count_of(table), 300);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
    folder_remove(folder);
}

static void what_cannot_be_meant_is_refused_in_words(void **state)
{
    (void)state;
    struct rows rows = rows_random(10, DIM, 9);
    kith_database *db = NULL;
    kith_table *other = NULL;
    kith_error failure = { 0 };
    uint64_t ids[8];
    float distances[8];
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_of(db, "t", &rows, 10);
    const char *names[] = { "", "a/b", "..", ".hidden", "-a", "a b", "\xc3\xa9" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct ArrowArrayStream data = rows_stream(&rows, 0, 1);
        assert_int_equal(kith_create_table(db, names[i], &data, NULL, &other, &failure), KITH_INVALID);
    }
    struct ArrowArrayStream data = rows_stream(&rows, 0, 1);
    assert_int_equal(kith_create_table(db, "t", &data, NULL, &other, &failure), KITH_EXISTS);
    assert_int_equal(kith_open_table(db, "u", &other, &failure), KITH_NOT_FOUND);
    assert_int_equal(kith_drop_table(db, "u", &failure), KITH_NOT_FOUND);
    assert_int_equal(kith_rename_table(db, "u", "v", &failure), KITH_NOT_FOUND);

    kith_query query = query_of(rows.vectors, DIM - 1, 3);
    assert_int_equal(kith_search_ids(table, &query, ids, distances, &failure), KITH_INVALID);
    assert_non_null(strstr(failure.message, "23"));
    assert_non_null(strstr(failure.message, "24"));
    query = query_of(rows.vectors, DIM, 0);
    assert_int_equal(kith_search_ids(table, &query, ids, distances, &failure), KITH_INVALID);
    float bad[DIM] = { 0 };
    bad[5] = NAN;
    query = query_of(bad, DIM, 3);
    assert_int_equal(kith_search_ids(table, &query, ids, distances, &failure), KITH_INVALID);
    assert_non_null(strstr(failure.message, "5"));
    query = query_of(rows.vectors, DIM, 3);
    query.column = "nothing";
    assert_int_equal(kith_search_ids(table, &query, ids, distances, &failure), KITH_NOT_FOUND);
    assert_non_null(strstr(failure.message, "\"vector\""));
    query.column = "item";
    assert_int_equal(kith_search_ids(table, &query, ids, distances, &failure), KITH_INVALID);
    query.column = NULL;
    query.metric = (kith_metric)77;
    assert_int_equal(kith_search_ids(table, &query, ids, distances, &failure), KITH_INVALID);
    query.metric = KITH_HAMMING;
    assert_int_equal(kith_search_ids(table, &query, ids, distances, &failure), KITH_INVALID);
    query.struct_size = 0;
    assert_int_equal(kith_search_ids(table, &query, ids, distances, &failure), KITH_INVALID);

    kith_index index = KITH_INIT(kith_index);
    index.type = KITH_IVF_PQ;
    index.num_sub_vectors = 5; /* does not divide 24 */
    assert_int_equal(kith_create_index(table, &index, &failure), KITH_INVALID);
    assert_non_null(strstr(failure.message, "24"));
    assert_int_equal(kith_drop_index(table, "nothing", &failure), KITH_NOT_FOUND);
    assert_int_equal(count_of(table), 10);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static void an_empty_table_answers_with_nothing_and_its_schema(void **state)
{
    (void)state;
    struct rows rows = rows_random(1, DIM, 10);
    kith_database *db = NULL;
    struct ArrowArrayStream out;
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_of(db, "t", &rows, 0);
    kith_query query = query_of(rows.vectors, DIM, 3);
    assert_ok(kith_search(table, &query, &out, error));
    struct kt_batch *batch = stream_batch(&out);
    assert_int_equal(batch->rows, 0);
    assert_int_equal(batch->schema->count, 4);
    assert_string_equal(batch->schema->fields[3].name, "_distance");
    kt_batch_release(batch);
    assert_ok(kith_create_index(table, NULL, error));
    add(table, &rows, 0, 1);
    assert_nearest(table, &rows, 1, KITH_L2, &query);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static void results_show_what_was_asked_for(void **state)
{
    (void)state;
    struct rows rows = rows_random(200, DIM, 11);
    kith_database *db = NULL;
    struct ArrowArrayStream out;
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_of(db, "t", &rows, 200);
    kith_query query = query_of(rows.vectors + 50 * DIM, DIM, 4);
    const char *columns[] = { "item" };
    query.columns = columns;
    query.column_count = 1;
    query.with_row_id = true;
    query.vector_count = 3;
    query.offset = 1;
    assert_ok(kith_search(table, &query, &out, error));
    struct kt_batch *batch = stream_batch(&out);
    assert_int_equal(batch->rows, 12);
    assert_int_equal(batch->schema->count, 4);
    assert_string_equal(batch->schema->fields[0].name, "item");
    assert_string_equal(batch->schema->fields[3].name, "query_index");
    for (int64_t i = 0; i < 12; i++) {
        struct near truth[5];
        uint64_t id;
        int32_t number;
        brute_force(&rows, 200, KITH_L2, rows.vectors + (50 + i / 4) * DIM, 5, truth);
        memcpy(&id, batch->columns[2].values + 8 * i, 8);
        memcpy(&number, batch->columns[3].values + 4 * i, 4);
        assert_int_equal(id, truth[i % 4 + 1].row); /* the offset left the nearest out */
        assert_int_equal(number, i / 4);
    }
    kt_batch_release(batch);
    uint64_t wanted[] = { 7, 9999, 3, 7 };
    assert_ok(kith_table_take(table, wanted, 4, NULL, &out, error));
    batch = stream_batch(&out);
    assert_int_equal(batch->rows, 3);
    assert_memory_equal(batch->columns[2].children[0].values, rows.vectors + 7 * DIM, DIM * sizeof(float));
    kt_batch_release(batch);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static void a_batch_larger_than_a_fragment_becomes_several(void **state)
{
    (void)state;
    enum { ROWS = 2 * 1024 * 1024 + 5 };
    struct rows rows = rows_random(ROWS, 1, 15);
    kith_database *db = NULL;
    kith_table_info info = KITH_INIT(kith_table_info);
    struct ArrowArrayStream out;
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_of(db, "t", &rows, ROWS);
    assert_ok(kith_table_stats(table, &info, error));
    assert_int_equal(info.rows, ROWS);
    assert_int_equal(info.fragments, 3);
    uint64_t wanted[] = { 1024 * 1024 - 1, 1024 * 1024, ROWS - 1 };
    assert_ok(kith_table_take(table, wanted, 3, NULL, &out, error));
    struct kt_batch *batch = stream_batch(&out);
    for (int64_t i = 0; i < 3; i++) {
        int64_t id;
        memcpy(&id, batch->columns[0].values + 8 * i, 8);
        assert_int_equal(id, wanted[i]);
    }
    kt_batch_release(batch);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static void a_thousand_batches_fold_into_few_fragments_and_files(void **state)
{
    (void)state;
    enum { ADDS = 700, ROWS = 600 };
    struct rows rows = rows_random(ROWS + 1, DIM, 16);
    kith_database *db = NULL;
    kith_table_info info = KITH_INIT(kith_table_info);
    kith_index options = KITH_INIT(kith_index);
    struct ArrowArrayStream out;
    uint64_t expected = 0;
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_of(db, "t", &rows, 0);
    for (uint64_t i = 0; i < ADDS; i++) { /* one row, then enough for files, and so on */
        uint64_t count = i % 2 ? ROWS : 1;
        struct ArrowArrayStream data = rows_stream_ids(&rows, 0, count, expected);
        assert_ok(kith_append(table, &data, NULL, NULL, error));
        expected += count;
        if (i == ADDS / 2)
            assert_ok(kith_create_index(table, &options, error)); /* row ids stay: it goes on being right */
    }
    assert_ok(kith_table_stats(table, &info, error));
    assert_int_equal(info.rows, expected);
    assert_true(info.fragments <= 130);
    assert_true(info.inline_bytes <= 300 * 1024);
    assert_ok(kith_table_scan(table, NULL, &out, error));
    struct kt_batch *batch = stream_batch(&out);
    for (int64_t i = 0; i < batch->rows; i++) { /* row ids and order survive every fold */
        int64_t id;
        memcpy(&id, batch->columns[0].values + 8 * i, 8);
        assert_int_equal(id, i);
    }
    kt_batch_release(batch);
    kith_query query = query_of(rows.vectors + 5 * DIM, DIM, 1);
    uint64_t id;
    float distance;
    assert_ok(kith_search_ids(table, &query, &id, &distance, error));
    assert_float_equal(distance, 0, 0);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static void a_table_of_more_files_than_descriptors_is_read(void **state)
{
    (void)state;
    enum { ADDS = 60, ROWS = 1200 };
    struct rows rows = rows_random(ROWS, DIM, 17);
    struct rlimit before, few;
    kith_database *db = NULL;
    char *folder = folder_new();
    assert_ok(kith_open(folder, &db, error));
    kith_table *tables[12]; /* 12 tables of 60 fragments of 2 files */
    for (int t = 0; t < 12; t++) {
        char name[8];
        snprintf(name, sizeof name, "t%d", t);
        tables[t] = table_of(db, name, &rows, 0);
        for (int i = 0; i < ADDS; i++) add(tables[t], &rows, 0, ROWS);
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){ 400, before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int t = 0; t < 12; t++) {
        struct ArrowArrayStream out;
        assert_ok(kith_table_scan(tables[t], NULL, &out, error));
        struct kt_batch *batch = stream_batch(&out);
        assert_int_equal(batch->rows, ADDS * ROWS);
        kt_batch_release(batch);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int t = 0; t < 12; t++) kith_table_close(tables[t]);
    kith_close(db);
    rows_free(&rows);
    folder_remove(folder);
}

static void a_damaged_newest_commit_leaves_the_version_before_it(void **state)
{
    (void)state;
    struct rows rows = rows_random(20, DIM, 18);
    kith_database *db = NULL;
    char *folder = folder_new(), path[400];
    assert_ok(kith_open(folder, &db, error));
    kith_table *table = table_of(db, "t", &rows, 10);
    add(table, &rows, 10, 10);
    kith_table_close(table);
    snprintf(path, sizeof path, "%s/t.kith/log/%020d.commit", folder, 2);
    assert_int_equal(truncate(path, 100), 0);
    kith_error failure = { 0 };
    assert_int_equal(kith_open_table(db, "t", &table, &failure), KITH_CORRUPT);
    assert_non_null(strstr(failure.message, "Version 1"));
    assert_ok(kith_open_table_version(db, "t", 1, &table, error));
    assert_int_equal(count_of(table), 10);
    kith_table_close(table);
    assert_int_equal(kith_open_table_version(db, "t", 2, &table, &failure), KITH_NOT_FOUND);
    kith_close(db);
    rows_free(&rows);
    folder_remove(folder);
}

static void overwriting_forgets_the_old_options(void **state)
{
    (void)state;
    struct rows rows = rows_random(50, DIM, 19);
    kith_database *db = NULL;
    kith_table *table = NULL;
    kith_create options = KITH_INIT(kith_create);
    options.metric = "cosine";
    assert_ok(kith_open("memory://", &db, error));
    struct ArrowArrayStream data = rows_stream(&rows, 0, 50);
    assert_ok(kith_create_table(db, "t", &data, &options, &table, error));
    kith_query query = query_of(rows.vectors, DIM, 5);
    assert_nearest(table, &rows, 50, KITH_COSINE, &query);
    kith_table_close(table);
    options = KITH_INIT(kith_create);
    options.overwrite = true;
    data = rows_stream(&rows, 0, 50);
    assert_ok(kith_create_table(db, "t", &data, &options, &table, error));
    char *text = NULL;
    assert_ok(kith_explain(table, &query, &text, error));
    assert_non_null(strstr(text, "by l2"));
    kith_text_free(text);
    kith_table_close(table);
    options.metric = "hamming"; /* of floats */
    data = rows_stream(&rows, 0, 50);
    assert_int_equal(kith_create_table(db, "t", &data, &options, &table, NULL), KITH_INVALID);
    kith_close(db);
    rows_free(&rows);
}

static int set_threads(const kith_progress *progress, void *user)
{
    (void)progress;
    char text[8];
    snprintf(text, sizeof text, "%d", 1 + ++*(int *)user % 7);
    return setenv("KITH_THREADS", text, 1);
}

static void the_number_of_threads_may_change_during_a_build(void **state)
{
    (void)state;
    struct rows rows = rows_random(30000, DIM, 20);
    kith_database *db = NULL;
    kith_index options = KITH_INIT(kith_index);
    int calls = 0;
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_of(db, "t", &rows, 30000);
    options.progress = set_threads;
    options.progress_user = &calls;
    setenv("KITH_THREADS", "1", 1);
    assert_ok(kith_create_index(table, &options, error));
    unsetenv("KITH_THREADS");
    assert_true(calls > 1);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static int cancel_at_once(const kith_progress *progress, void *user)
{
    (void)progress;
    ++*(int *)user;
    return 1;
}

static void a_cancelled_build_leaves_the_table_as_it_was(void **state)
{
    (void)state;
    struct rows rows = rows_random(5000, DIM, 12);
    kith_database *db = NULL;
    kith_indexes *indexes = NULL;
    kith_index options = KITH_INIT(kith_index);
    int calls = 0;
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_of(db, "t", &rows, 5000);
    options.progress = cancel_at_once;
    options.progress_user = &calls;
    assert_int_equal(kith_create_index(table, &options, NULL), KITH_CANCELLED);
    assert_true(calls >= 1);
    assert_ok(kith_list_indexes(table, &indexes, error));
    assert_int_equal(indexes->count, 0);
    kith_indexes_free(indexes);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static void a_forked_child_searches(void **state)
{
    (void)state;
    struct rows rows = rows_random(2000, DIM, 13), far = rows_random(1, DIM, 14);
    for (int i = 0; i < DIM; i++) far.vectors[i] += 100; /* what the children add is nobody's neighbour */
    kith_database *db = NULL;
    kith_index options = KITH_INIT(kith_index);
    char *folder = folder_new();
    assert_ok(kith_open(folder, &db, error));
    kith_table *table = table_of(db, "t", &rows, 2000);
    assert_ok(kith_create_index(table, &options, error));
    kith_query query = query_of(rows.vectors, DIM, 5);
    query.vector_count = 8;
    uint64_t ids[40], again[40];
    float distances[40];
    assert_ok(kith_search_ids(table, &query, ids, distances, error));
    for (int i = 0; i < 8; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(30);
            bool same = kith_search_ids(table, &query, again, distances, NULL) == KITH_OK &&
                        memcmp(ids, again, sizeof ids) == 0;
            struct ArrowArrayStream data = rows_stream(&far, 0, 1);
            _exit(same && kith_append(table, &data, NULL, NULL, NULL) == KITH_OK ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_int_equal(count_of(table), 2008);
    kith_table_close(table);
    kith_close(db);
    rows_free(&far);
    rows_free(&rows);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back_as_they_went_in),
        cmocka_unit_test(an_exact_search_is_brute_force_by_every_metric),
        cmocka_unit_test(rows_added_after_an_index_are_found_beside_it),
        cmocka_unit_test(another_metric_than_the_index_is_answered_exactly),
        cmocka_unit_test(versions_count_what_changes_rows_and_can_be_read_again),
        cmocka_unit_test(handles_see_each_others_rows),
        cmocka_unit_test(names_are_listed_in_order_and_in_pages),
        cmocka_unit_test(many_small_adds_leave_few_files),
        cmocka_unit_test(what_cannot_be_meant_is_refused_in_words),
        cmocka_unit_test(an_empty_table_answers_with_nothing_and_its_schema),
        cmocka_unit_test(results_show_what_was_asked_for),
        cmocka_unit_test(a_batch_larger_than_a_fragment_becomes_several),
        cmocka_unit_test(a_thousand_batches_fold_into_few_fragments_and_files),
        cmocka_unit_test(a_table_of_more_files_than_descriptors_is_read),
        cmocka_unit_test(a_damaged_newest_commit_leaves_the_version_before_it),
        cmocka_unit_test(overwriting_forgets_the_old_options),
        cmocka_unit_test(the_number_of_threads_may_change_during_a_build),
        cmocka_unit_test(a_cancelled_build_leaves_the_table_as_it_was),
        cmocka_unit_test(a_forked_child_searches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
