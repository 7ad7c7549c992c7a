/* What is forgotten is told: a NULL where something must be, a number that is of no enum. And what a call
 * tells of itself it tells whole. */
#define _DEFAULT_SOURCE
#include "support/rows.h"

struct opened {
    kith_database *database;
    kith_table *table;
    struct rows rows;
};

static struct opened open_table(void)
{
    struct opened o = { .rows = rows_random(50, 4, 1) };
    struct ArrowArrayStream stream = rows_stream(&o.rows, 0, 50);
    assert_ok(kith_open("memory://", &o.database, error));
    assert_ok(kith_create_table(o.database, "t", &stream, NULL, &o.table, error));
    return o;
}

static void close_table(struct opened *o)
{
    kith_table_close(o->table);
    kith_close(o->database);
    rows_free(&o->rows);
}

#define assert_missing(call)                                                                                 \
    do {                                                                                                     \
        kith_error missing_error = { 0 };                                                                    \
        kith_error *error = &missing_error;                                                                  \
        assert_int_equal((call), KITH_INVALID);                                                              \
        if (!strstr(missing_error.message, "missing")) fail_msg("%s: %s", #call, missing_error.message);     \
    } while (0)

static void null_where_rows_are_wanted_is_refused(void **state)
{
    (void)state;
    struct opened o = open_table();
    struct ArrowArrayStream out;
    kith_create unset = { 0 };
    kith_write unset_write = { 0 };
    kith_merge merge = KITH_INIT(kith_merge);
    merge.insert_new = true;
    const char *const no_name[] = { NULL };
    assert_int_equal(kith_create_table(o.database, "u", NULL, NULL, &o.table, NULL), KITH_INVALID);
    assert_int_equal(kith_create_table(o.database, "u", NULL, &unset, &o.table, NULL), KITH_INVALID);
    assert_int_equal(kith_append(o.table, NULL, NULL, NULL, NULL), KITH_INVALID);
    assert_int_equal(kith_append(o.table, NULL, &unset_write, NULL, NULL), KITH_INVALID);
    assert_int_equal(kith_ipc_write(1, NULL, true, NULL), KITH_INVALID);
    assert_missing(kith_merge_rows(o.table, NULL, &merge, NULL, error));
    merge.on = no_name;
    merge.on_count = 1;
    assert_missing(kith_merge_rows(o.table, NULL, &merge, NULL, error));
    assert_missing(kith_get(o.table, NULL, NULL, &out, error));
    close_table(&o);
}

static void null_where_names_or_numbers_are_wanted_is_refused(void **state)
{
    (void)state;
    struct opened o = open_table();
    struct ArrowArrayStream out;
    const char *const columns[] = { "id", NULL };
    kith_scan scan = KITH_INIT(kith_scan);
    scan.columns = columns;
    scan.column_count = 2;
    assert_missing(kith_table_scan(o.table, &scan, &out, error));
    assert_missing(kith_table_take(o.table, NULL, 3, NULL, &out, error));
    scan.columns = NULL;
    scan.order_count = 1;
    assert_missing(kith_table_scan(o.table, &scan, &out, error));

    kith_query query = KITH_INIT(kith_query);
    query.vectors = o.rows.vectors;
    query.dim = 4;
    query.k = 3;
    assert_missing(kith_search_ids(o.table, &query, NULL, NULL, error));
    query.columns = columns;
    query.column_count = 2;
    assert_missing(kith_search(o.table, &query, &out, error));

    kith_update update = KITH_INIT(kith_update);
    update.assignment_count = 1;
    assert_missing(kith_update_rows(o.table, &update, NULL, error));
    assert_missing(kith_drop_index(o.table, NULL, error));
    assert_missing(kith_delete_rows(o.table, NULL, 1, NULL, error));
    close_table(&o);
}

static void a_number_of_no_enum_is_refused(void **state)
{
    (void)state;
    struct opened o = open_table();
    uint64_t count = 0;
    for (int wrong = 0; wrong < 2; wrong++) {
        struct ArrowArrayStream stream = rows_stream(&o.rows, 0, 50);
        kith_write write = KITH_INIT(kith_write);
        if (wrong)
            write.mode = (kith_write_mode)9;
        else
            write.bad_vectors = (kith_bad_vectors)9;
        assert_int_equal(kith_append(o.table, &stream, &write, NULL, NULL), KITH_INVALID);
        assert_null(stream.release);
    }
    assert_ok(kith_table_count(o.table, NULL, &count, error));
    assert_int_equal(count, 50);
    kith_altered_column altered = { .name = "id", .nullable = 7 };
    assert_int_equal(kith_alter_columns(o.table, &altered, 1, NULL, NULL), KITH_INVALID);
    close_table(&o);
}

static void restoring_tells_all_that_it_did(void **state)
{
    (void)state;
    struct opened o = open_table();
    uint64_t first[] = { 0 };
    kith_changed changed = KITH_INIT(kith_changed);
    assert_ok(kith_delete_rows(o.table, first, 1, &changed, error));
    assert_int_equal(changed.deleted, 1);
    assert_ok(kith_table_restore(o.table, 1, &changed, error));
    assert_int_equal(changed.version, 3);
    assert_int_equal(changed.deleted, 0);
    assert_int_equal(changed.attempts, 1);
    assert_int_equal(changed.struct_size, sizeof changed);
    close_table(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_where_rows_are_wanted_is_refused),
        cmocka_unit_test(null_where_names_or_numbers_are_wanted_is_refused),
        cmocka_unit_test(a_number_of_no_enum_is_refused),
        cmocka_unit_test(restoring_tells_all_that_it_did),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
