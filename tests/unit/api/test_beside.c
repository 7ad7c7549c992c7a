/* One writer in the middle of another's call: while a stream is drained, or an index is built, a second
 * handle changes the table. What was asked for is then done on top of that, or refused in words that name
 * both.
 */
#define _GNU_SOURCE
#include "support/rows.h"

enum { DIM = 4, FEW = 40, MANY = 3000 };

/* A table and what a second handle of it does in the middle. */
struct beside {
    kith_database *db;
    kith_table *table, *other;
    struct rows rows;
    void (*meanwhile)(struct beside *beside);
    struct ArrowArrayStream inner;
};

static void beside_open(struct beside *beside, uint64_t rows, const char *key)
{
    struct ArrowArrayStream data;
    kith_create options = KITH_INIT(kith_create);
    options.no_auto_index = true;
    options.key = key;
    *beside = (struct beside){ .rows = rows_random(2 * MANY, DIM, 11) };
    assert_ok(kith_open("memory://", &beside->db, error));
    data = rows_stream(&beside->rows, 0, rows);
    assert_ok(kith_create_table(beside->db, "t", &data, &options, &beside->table, error));
    assert_ok(kith_open_table(beside->db, "t", &beside->other, error));
}

static void beside_close(struct beside *beside)
{
    kith_table_close(beside->table);
    kith_table_close(beside->other);
    kith_close(beside->db);
    rows_free(&beside->rows);
}

/* ---- a stream in whose middle something happens */

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    struct beside *beside = stream->private_data;
    return beside->inner.get_schema(&beside->inner, out);
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    struct beside *beside = stream->private_data;
    if (beside->meanwhile) beside->meanwhile(beside);
    beside->meanwhile = NULL;
    return beside->inner.get_next(&beside->inner, out);
}

static const char *get_last_error(struct ArrowArrayStream *stream)
{
    struct beside *beside = stream->private_data;
    return beside->inner.get_last_error(&beside->inner);
}

static void release(struct ArrowArrayStream *stream)
{
    struct beside *beside = stream->private_data;
    beside->inner.release(&beside->inner);
    stream->release = NULL;
}

static struct ArrowArrayStream interrupted(struct beside *beside, uint64_t begin, uint64_t count,
                                           void (*meanwhile)(struct beside *beside))
{
    beside->inner = rows_stream(&beside->rows, begin, count);
    beside->meanwhile = meanwhile;
    return (struct ArrowArrayStream){ get_schema, get_next, get_last_error, release, beside };
}

static int progress(const kith_progress *progress, void *user)
{
    struct beside *beside = user;
    (void)progress;
    void (*meanwhile)(struct beside *) = beside->meanwhile;
    beside->meanwhile = NULL;
    if (meanwhile) meanwhile(beside);
    return 0;
}

/* ---- what happens */

static void add_column(struct beside *beside)
{
    const kith_new_column column = { .name = "twice", .expression = "id * 2" };
    assert_ok(kith_add_columns(beside->other, &column, 1, NULL, error));
}

static void rename_and_drop(struct beside *beside)
{
    const kith_altered_column renamed = { .name = "id", .rename = "number" };
    const char *const item = "item";
    assert_ok(kith_alter_columns(beside->other, &renamed, 1, NULL, error));
    assert_ok(kith_drop_columns(beside->other, &item, 1, NULL, error));
}

static void delete_all(struct beside *beside)
{
    kith_expr *filter = NULL;
    assert_ok(kith_expr_sql("true", NULL, 0, &filter, error));
    assert_ok(kith_delete(beside->other, filter, NULL, error));
    kith_expr_free(filter);
}

static void replace_all(struct beside *beside)
{
    struct ArrowArrayStream data;
    delete_all(beside);
    data = rows_stream(&beside->rows, 0, FEW);
    assert_ok(kith_append(beside->other, &data, NULL, NULL, error));
}

/* ---- what is promised */

static uint64_t count(struct beside *beside, const char *where)
{
    uint64_t rows = 0;
    assert_ok(kith_table_count(beside->table, where, &rows, error));
    return rows;
}

static void rows_go_to_columns_that_were_added_while_they_came(void **state)
{
    static const uint64_t counts[] = { 3, MANY }; /* inside the log, and in files */
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct beside beside;
        beside_open(&beside, FEW, NULL);
        struct ArrowArrayStream data = interrupted(&beside, FEW, counts[i], add_column);
        assert_ok(kith_append(beside.table, &data, NULL, NULL, error));
        assert_int_equal(count(&beside, NULL), FEW + counts[i]);
        assert_int_equal(count(&beside, "twice = id * 2"), FEW);
        assert_int_equal(count(&beside, "twice IS NULL AND id >= 40"), counts[i]);
        assert_ok(kith_table_verify(beside.table, NULL, error));
        beside_close(&beside);
    }
}

static void columns_keep_their_values_under_another_name(void **state)
{
    struct beside beside;
    (void)state;
    beside_open(&beside, FEW, "id");
    struct ArrowArrayStream data = interrupted(&beside, FEW, MANY, rename_and_drop);
    assert_ok(kith_append(beside.table, &data, NULL, NULL, error));
    assert_int_equal(count(&beside, "number >= 0"), FEW + MANY);
    data = rows_stream(&beside.rows, 0, 1);
    kith_error error = { 0 };
    assert_int_equal(kith_append(beside.table, &data, NULL, NULL, &error),
                     KITH_INVALID); /* "id" is unknown */
    beside_close(&beside);
}

static void an_index_is_built_over_what_is_there_when_its_rows_went(void **state)
{
    struct beside beside;
    kith_index index = KITH_INIT(kith_index);
    (void)state;
    beside_open(&beside, MANY, NULL);
    index.column = "id";
    index.progress = progress;
    index.progress_user = &beside;
    beside.meanwhile = replace_all;
    assert_ok(kith_create_index(beside.table, &index, error));
    assert_null(beside.meanwhile);
    assert_int_equal(count(&beside, "id < 7"), 7);
    index.column = "item";
    beside.meanwhile = delete_all;
    assert_ok(kith_create_index(beside.table, &index, error));
    assert_int_equal(count(&beside, NULL), 0);
    beside_close(&beside);
}

static void a_conflict_names_both(void **state)
{
    static const char *const on[] = { "id" };
    struct beside beside;
    kith_merge merge = KITH_INIT(kith_merge);
    kith_error error = { 0 };
    (void)state;
    beside_open(&beside, FEW, NULL);
    merge.on = on;
    merge.on_count = 1;
    merge.insert_new = true;
    struct ArrowArrayStream data = interrupted(&beside, FEW, 5, add_column);
    assert_int_equal(kith_merge_rows(beside.table, &data, &merge, NULL, &error), KITH_CONFLICT);
    assert_non_null(strstr(error.message, "merge"));
    assert_non_null(strstr(error.message, "add_columns"));
    beside_close(&beside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_go_to_columns_that_were_added_while_they_came),
        cmocka_unit_test(columns_keep_their_values_under_another_name),
        cmocka_unit_test(an_index_is_built_over_what_is_there_when_its_rows_went),
        cmocka_unit_test(a_conflict_names_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
