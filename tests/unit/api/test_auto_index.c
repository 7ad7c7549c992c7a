/* The index that nobody asked for: when it is built, when not, and that no write suffers from it. */
#define _GNU_SOURCE
#include "unit/api/clusters.h"

enum { DIM = 16, CLUSTERS = 40, ROWS = 3000 };

static kith_create from(int64_t threshold)
{
    kith_create options = KITH_INIT(kith_create);
    options.auto_index_threshold = threshold;
    return options;
}

static kith_table *table_with(kith_database *db, const char *name, const struct rows *rows, uint64_t count,
                              const kith_create *options)
{
    struct ArrowArrayStream data = rows_stream(rows, 0, count);
    kith_table *table = NULL;
    assert_ok(kith_create_table(db, name, &data, options, &table, error));
    return table;
}

static uint64_t version_of(kith_table *table)
{
    uint64_t version = 0;
    assert_ok(kith_table_version(table, &version, error));
    return version;
}

static void the_creation_that_reaches_the_threshold_builds_it(void **state)
{
    (void)state;
    struct rows rows = rows_clusters(ROWS, DIM, CLUSTERS, 1), queries = rows_clusters(200, DIM, CLUSTERS, 2);
    kith_create options = from(ROWS);
    kith_database *db = NULL;
    char *folder = folder_new();
    assert_ok(kith_open(folder, &db, error));
    kith_table *table = table_with(db, "few", &rows, ROWS - 1, &options);
    assert_int_equal(index_count(table), 0);
    kith_table_close(table);
    table = table_with(db, "enough", &rows, ROWS, &options);
    assert_int_equal(version_of(table), 1);
    assert_int_equal(index_count(table), 1);
    kith_table_close(table);

    assert_ok(kith_open_table(db, "enough", &table, error)); /* it is in the table, not in the handle */
    kith_indexes *indexes = indexes_of(table);
    assert_int_equal(indexes->count, 1);
    assert_string_equal(indexes->indexes[0].name, "vector_idx");
    assert_int_equal(indexes->indexes[0].type, KITH_IVF_RQ);
    assert_int_equal(indexes->indexes[0].metric, KITH_L2);
    assert_int_equal(indexes->indexes[0].rows_indexed, ROWS);
    kith_indexes_free(indexes);
    kith_search_stats did = { 0 };
    double recall = recall_of(table, &rows, ROWS, &queries, &did);
    printf("recall %.3f, %.0f codes a search\n", recall, (double)did.codes / 200);
    assert_true(recall >= 0.9);
    assert_true(did.codes > 0 && did.codes < 200 * ROWS / 2);
    kith_table_close(table);
    kith_close(db);
    rows_free(&queries);
    rows_free(&rows);
    folder_remove(folder);
}

static void the_append_that_crosses_the_threshold_builds_it_once(void **state)
{
    (void)state;
    struct rows rows = rows_clusters(2 * ROWS, DIM, CLUSTERS, 3);
    kith_create options = from(ROWS);
    kith_database *db = NULL;
    options.metric = "cosine";
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_with(db, "t", &rows, 2000, &options);
    add(table, &rows, 2000, ROWS - 2001);
    assert_int_equal(index_count(table), 0);
    add(table, &rows, ROWS - 1, 1);
    assert_int_equal(index_count(table), 1);
    assert_int_equal(version_of(table), 3);
    add(table, &rows, ROWS, ROWS);
    kith_indexes *indexes = indexes_of(table);
    assert_int_equal(indexes->count, 1);
    assert_int_equal(indexes->indexes[0].metric, KITH_COSINE);
    assert_int_equal(indexes->indexes[0].rows_indexed, ROWS);
    assert_int_equal(indexes->indexes[0].rows_unindexed, ROWS);
    kith_indexes_free(indexes);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static void unless_told_otherwise_twenty_thousand_rows_are_enough(void **state)
{
    (void)state;
    struct rows rows = rows_clusters(20000, 4, CLUSTERS, 4);
    kith_database *db = NULL;
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_with(db, "t", &rows, 19999, NULL);
    assert_int_equal(index_count(table), 0);
    add(table, &rows, 19999, 1);
    assert_int_equal(index_count(table), 1);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static void it_is_never_built_where_that_was_said(void **state)
{
    (void)state;
    struct rows rows = rows_clusters(21000, 4, CLUSTERS, 5);
    kith_create off = KITH_INIT(kith_create), negative = from(-1), both = from(10);
    kith_database *db = NULL;
    kith_table *table = NULL;
    char *folder = folder_new();
    off.no_auto_index = both.no_auto_index = true;
    assert_ok(kith_open(folder, &db, error));
    const kith_create *options[] = { &off, &negative, &both };
    const char *names[] = { "off", "negative", "both" };
    for (int i = 0; i < 3; i++) {
        kith_table_close(table_with(db, names[i], &rows, 20500, options[i]));
        assert_ok(kith_open_table(db, names[i], &table, error));
        add(table, &rows, 20500, 500);
        assert_int_equal(index_count(table), 0);
        kith_table_close(table);
    }
    kith_close(db);
    rows_free(&rows);
    folder_remove(folder);
}

/* ---- nobody suffers from it */

static int stop_building(const kith_progress *progress, void *user)
{
    bool building = strcmp(progress->stage, "rows") != 0;
    *(int *)user += building;
    return building;
}

static void cancelling_it_keeps_the_rows(void **state)
{
    (void)state;
    struct rows rows = rows_clusters(2 * ROWS, DIM, CLUSTERS, 6);
    kith_create options = from(ROWS);
    kith_write write = KITH_INIT(kith_write);
    kith_database *db = NULL;
    kith_table *table = NULL;
    int stops = 0;
    uint64_t version = 0;
    options.write.progress = write.progress = stop_building;
    options.write.progress_user = write.progress_user = &stops;
    assert_ok(kith_open("memory://", &db, error));
    table = table_with(db, "created", &rows, ROWS, &options);
    assert_true(stops > 0);
    assert_int_equal(count_of(table), ROWS);
    assert_int_equal(index_count(table), 0);
    kith_table_close(table);

    options.write = (kith_write){ 0 };
    table = table_with(db, "added", &rows, 0, &options);
    struct ArrowArrayStream data = rows_stream(&rows, 0, ROWS);
    stops = 0;
    assert_ok(kith_append(table, &data, &write, &version, error));
    assert_int_equal(version, 2);
    assert_int_equal(stops, 1);
    assert_int_equal(count_of(table), ROWS);
    assert_int_equal(index_count(table), 0);
    add(table, &rows, ROWS, 100); /* this handle does not try again so soon ... */
    assert_int_equal(index_count(table), 0);
    add(table, &rows, ROWS + 100, 1000); /* ... but does when the table has grown */
    assert_int_equal(index_count(table), 1);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static int stop_rows(const kith_progress *progress, void *user)
{
    (void)user;
    return strcmp(progress->stage, "rows") == 0;
}

static void cancelling_the_rows_still_stores_none(void **state)
{
    (void)state;
    struct rows rows = rows_clusters(ROWS, DIM, CLUSTERS, 7);
    kith_create options = from(10);
    kith_write write = KITH_INIT(kith_write);
    kith_database *db = NULL;
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_with(db, "t", &rows, 5, &options);
    write.progress = stop_rows;
    struct ArrowArrayStream data = rows_stream(&rows, 0, ROWS);
    assert_int_equal(kith_append(table, &data, &write, NULL, NULL), KITH_CANCELLED);
    assert_int_equal(count_of(table), 5);
    assert_int_equal(index_count(table), 0);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

/* ---- whose place it takes, and who takes its own */

static void an_index_that_is_asked_for_takes_its_place(void **state)
{
    (void)state;
    struct rows rows = rows_clusters(ROWS, DIM, CLUSTERS, 8);
    kith_create options = from(ROWS);
    kith_index mine = KITH_INIT(kith_index);
    kith_database *db = NULL;
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_with(db, "t", &rows, ROWS, &options);
    mine.keep = true; /* what nobody asked for is nothing to keep */
    mine.metric = KITH_COSINE;
    assert_ok(kith_create_index(table, &mine, error));
    kith_indexes *indexes = indexes_of(table);
    assert_int_equal(indexes->count, 1);
    assert_string_equal(indexes->indexes[0].name, "vector_idx");
    assert_int_equal(indexes->indexes[0].metric, KITH_COSINE);
    kith_indexes_free(indexes);
    kith_error failure = { 0 };
    assert_int_equal(kith_create_index(table, &mine, &failure), KITH_EXISTS); /* but this one is */
    assert_non_null(strstr(failure.message, "vector_idx"));
    kith_table_close(table);

    table = table_with(db, "u", &rows, ROWS, &options);
    mine.name = "mine"; /* under another name too: a column has the automatic index or others */
    assert_ok(kith_create_index(table, &mine, error));
    indexes = indexes_of(table);
    assert_int_equal(indexes->count, 1);
    assert_string_equal(indexes->indexes[0].name, "mine");
    kith_indexes_free(indexes);
    kith_query query = query_of(rows.vectors, DIM, 1);
    char *text = NULL;
    assert_ok(kith_explain(table, &query, &text, error));
    assert_non_null(strstr(text, "by cosine")); /* the metric of the first index that somebody made */
    kith_text_free(text);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static void it_takes_the_place_of_none(void **state)
{
    (void)state;
    struct rows rows = rows_clusters(ROWS, DIM, CLUSTERS, 9);
    kith_create options = from(ROWS);
    kith_index mine = KITH_INIT(kith_index);
    kith_database *db = NULL;
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_with(db, "t", &rows, 1000, &options);
    mine.name = "mine";
    assert_ok(kith_create_index(table, &mine, error));
    add(table, &rows, 1000, ROWS - 1000);
    kith_indexes *indexes = indexes_of(table);
    assert_int_equal(indexes->count, 1);
    assert_string_equal(indexes->indexes[0].name, "mine");
    assert_int_equal(indexes->indexes[0].rows_indexed, 1000);
    kith_indexes_free(indexes);
    assert_ok(kith_drop_index(table, "mine", error)); /* only a write builds */
    assert_int_equal(index_count(table), 0);
    add(table, &rows, 0, 1);
    assert_int_equal(index_count(table), 1);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static void rows_that_replace_all_others_get_one_of_their_own(void **state)
{
    (void)state;
    struct rows rows = rows_clusters(2 * ROWS, DIM, CLUSTERS, 10);
    kith_create options = from(ROWS);
    kith_write overwrite = KITH_INIT(kith_write);
    kith_database *db = NULL;
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_with(db, "t", &rows, ROWS, &options);
    overwrite.mode = KITH_OVERWRITE;
    struct ArrowArrayStream data = rows_stream(&rows, 0, ROWS + 500);
    assert_ok(kith_append(table, &data, &overwrite, NULL, error));
    kith_indexes *indexes = indexes_of(table);
    assert_int_equal(indexes->count, 1);
    assert_int_equal(indexes->indexes[0].rows_indexed, ROWS + 500);
    kith_indexes_free(indexes);
    data = rows_stream(&rows, 0, 10);
    assert_ok(kith_append(table, &data, &overwrite, NULL, error));
    assert_int_equal(index_count(table), 0);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

/* Rows with the same vector in two columns. */
static struct ArrowArrayStream two_columns(const struct rows *rows)
{
    struct kt_field number = { .name = (char *)"item", .id = -1, .type = KT_FLOAT32, .nullable = true };
    struct kt_field fields[2];
    for (int i = 0; i < 2; i++)
        fields[i] = (struct kt_field){ .name = (char *)(i ? "b" : "a"),
                                       .id = -1,
                                       .type = KT_FIXED_LIST,
                                       .nullable = true,
                                       .width = (int32_t)rows->dim,
                                       .children = &number,
                                       .child_count = 1 };
    struct kt_schema *schema = NULL;
    struct kt_builder *builder = NULL;
    struct kt_batch *batch = NULL;
    struct ArrowArrayStream stream;
    assert_ok(kt_schema_new(fields, 2, NULL, &schema, error));
    assert_ok(kt_builder_new(schema, (int64_t)rows->count, &builder, error));
    for (uint32_t i = 0; i < 2; i++) {
        struct kt_array numbers = { .field = schema->fields[i].children,
                                    .length = (int64_t)(rows->count * rows->dim),
                                    .values = (const uint8_t *)rows->vectors };
        struct kt_array vector = { .field = &schema->fields[i],
                                   .length = (int64_t)rows->count,
                                   .children = &numbers };
        assert_ok(kt_builder_append(builder, i, &vector, 0, (int64_t)rows->count, error));
    }
    assert_ok(kt_builder_finish(builder, &batch, error));
    assert_ok(kt_stream_of_batches(schema, &batch, 1, &stream, error));
    kt_batch_release(batch);
    kt_schema_release(schema);
    return stream;
}

static void each_vector_column_without_one_gets_one(void **state)
{
    (void)state;
    struct rows rows = rows_clusters(ROWS, DIM, CLUSTERS, 11);
    kith_create options = from(ROWS + 1);
    kith_index mine = KITH_INIT(kith_index);
    kith_database *db = NULL;
    kith_table *table = NULL;
    assert_ok(kith_open("memory://", &db, error));
    struct ArrowArrayStream data = two_columns(&rows);
    assert_ok(kith_create_table(db, "t", &data, &options, &table, error));
    mine.column = "a";
    mine.name = "mine";
    assert_ok(kith_create_index(table, &mine, error));
    data = two_columns(&rows);
    assert_ok(kith_append(table, &data, NULL, NULL, error));
    kith_indexes *indexes = indexes_of(table);
    assert_int_equal(indexes->count, 2);
    int first =
        strcmp(indexes->indexes[0].name, "mine") != 0; /* calibrated again, as rows came: the last now */
    assert_string_equal(indexes->indexes[first].name, "mine");
    assert_string_equal(indexes->indexes[!first].name, "b_idx");
    kith_indexes_free(indexes);
    kith_table_close(table);

    options = from(ROWS);
    data = two_columns(&rows);
    assert_ok(kith_create_table(db, "u", &data, &options, &table, error));
    assert_int_equal(index_count(table), 2);
    kith_table_close(table);

    options = from(ROWS + 1); /* a name that is taken is not taken away */
    data = two_columns(&rows);
    assert_ok(kith_create_table(db, "v", &data, &options, &table, error));
    mine.name = "b_idx";
    assert_ok(kith_create_index(table, &mine, error));
    data = two_columns(&rows);
    assert_ok(kith_append(table, &data, NULL, NULL, error));
    indexes = indexes_of(table);
    assert_int_equal(indexes->count, 1);
    assert_string_equal(indexes->indexes[0].column, "a");
    kith_indexes_free(indexes);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_creation_that_reaches_the_threshold_builds_it),
        cmocka_unit_test(the_append_that_crosses_the_threshold_builds_it_once),
        cmocka_unit_test(unless_told_otherwise_twenty_thousand_rows_are_enough),
        cmocka_unit_test(it_is_never_built_where_that_was_said),
        cmocka_unit_test(cancelling_it_keeps_the_rows),
        cmocka_unit_test(cancelling_the_rows_still_stores_none),
        cmocka_unit_test(an_index_that_is_asked_for_takes_its_place),
        cmocka_unit_test(it_takes_the_place_of_none),
        cmocka_unit_test(rows_that_replace_all_others_get_one_of_their_own),
        cmocka_unit_test(each_vector_column_without_one_gets_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
