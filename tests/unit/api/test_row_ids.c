/* What a filter says of `_rowid` is answered by the ids: the rows of a scan, and no look at the others. */
#define _GNU_SOURCE
#include "support/rows.h"

enum { ROWS = 70000, DIM = 4 };

/* Rows in several fragments, some of them deleted, some updated, so that ids have holes. */
static kith_table *table_with_holes(kith_database *db, const struct rows *rows)
{
    kith_table *table = NULL;
    kith_expr *some = NULL;
    kith_update update = KITH_INIT(kith_update);
    const kith_assignment same = { .column = "item", .expression = "item || ''" };
    struct ArrowArrayStream data = rows_stream(rows, 0, 1000);
    assert_ok(kith_create_table(db, "t", &data, NULL, &table, error));
    data = rows_stream(rows, 1000, ROWS - 1000);
    assert_ok(kith_append(table, &data, NULL, NULL, error));
    assert_ok(kith_expr_sql("id % 7 = 3 AND id < 900", NULL, 0, &some, error));
    assert_ok(kith_delete(table, some, NULL, error));
    kith_expr_free(some);
    assert_ok(kith_expr_sql("id BETWEEN 500 AND 599", NULL, 0, &some, error));
    update.filter = some;
    update.assignments = &same;
    update.assignment_count = 1;
    assert_ok(kith_update_rows(table, &update, NULL, error));
    kith_expr_free(some);
    assert_ok(kith_optimize(table, NULL, NULL, error));
    return table;
}

static uint64_t count(kith_table *table, const char *where)
{
    uint64_t rows = 0;
    assert_ok(kith_table_count(table, where, &rows, error));
    return rows;
}

/* The same with `_rowid` in a form that nothing but a look at each row answers. */
static void assert_as_by_a_scan(kith_table *table, const char *where)
{
    char slow[400], *to = slow;
    for (const char *at = where; *at;) {
        size_t word = strncmp(at, "_rowid", 6) == 0 ? 6 : 1;
        to += word > 1 ? sprintf(to, "(_rowid + 0)") : sprintf(to, "%c", *at);
        at += word;
    }
    uint64_t by_ids = count(table, where), by_scan = count(table, slow);
    if (by_ids != by_scan)
        fail_msg("%s: %llu, by a scan %llu", where, (unsigned long long)by_ids, (unsigned long long)by_scan);
}

static void ids_are_found_as_a_scan_finds_them(void **state)
{
    static const char *const filters[] = {
        "_rowid = 0",
        "_rowid = 5",
        "_rowid = 3",
        "_rowid = 69999",
        "_rowid = 70050",
        "_rowid = 99999999",
        "_rowid IN (1, 2, 3, 10, 550, 69999, 70001, 123456789)",
        "_rowid IN (3)",
        "_rowid < 100",
        "_rowid <= 100",
        "_rowid > 69990",
        "_rowid >= 70000",
        "_rowid >= 0",
        "_rowid < 0",
        "_rowid BETWEEN 480 AND 620",
        "_rowid BETWEEN 620 AND 480",
        "_rowid > 900 AND _rowid < 1100",
        "_rowid > 900 AND id < 1100",
        "_rowid IN (1, 2, 510, 1200) AND id >= 2",
        "_rowid < 2000 AND item LIKE '%7'",
        "_rowid <> 5 AND id < 9",
        "_rowid = 5 OR id = 7",
        "NOT _rowid = 5 AND id < 10",
        "_rowid NOT IN (1, 2) AND id < 4",
        "_rowid = 5 AND _rowid = 6",
        "_rowid > 65530 AND _rowid < 65545 AND id % 2 = 0",
        "_rowid = 2.5",
        "_rowid < 2.5",
        "_rowid > -1 AND _rowid < 4",
        "_rowid = 18446744073709551615",
        "_rowid <= 18446744073709551615 AND id < 3",
        "_rowid IS NULL",
        "_rowid IS NOT NULL AND id < 5",
        "_rowid >= 70000 AND _rowid < 70010 AND id > 0",
    };
    struct rows rows = rows_random(ROWS, DIM, 3);
    kith_database *db = NULL;
    (void)state;
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_with_holes(db, &rows);
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) assert_as_by_a_scan(table, filters[i]);
    assert_int_equal(count(table, "_rowid = 5"), 1);
    assert_int_equal(count(table, "_rowid = 3"), 0);   /* deleted */
    assert_int_equal(count(table, "_rowid = 550"), 0); /* updated: it has another id */
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static void random_ids_and_conditions_agree_with_a_scan(void **state)
{
    struct rows rows = rows_random(ROWS, DIM, 4);
    struct kt_random random = { 11 };
    kith_database *db = NULL;
    char where[300];
    (void)state;
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_with_holes(db, &rows);
    printf("seed 11\n");
    for (int i = 0; i < 60; i++) {
        unsigned a = (unsigned)(kt_random_float(&random) * ROWS * 1.1f);
        unsigned b = a + (unsigned)(kt_random_float(&random) * 3000);
        unsigned c = (unsigned)(kt_random_float(&random) * ROWS);
        snprintf(where, sizeof where, "_rowid %s %u AND _rowid %s %u AND id %% 3 <> 1", i % 2 ? ">" : ">=", a,
                 i % 3 ? "<" : "<=", b);
        assert_as_by_a_scan(table, where);
        snprintf(where, sizeof where, "_rowid IN (%u, %u, %u) AND id > %u", a, b, c, c / 2);
        assert_as_by_a_scan(table, where);
    }
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

static void assert_told(kith_table *table, const char *where, const char *words)
{
    kith_query query = KITH_INIT(kith_query);
    char *text = NULL;
    query.dim = DIM;
    query.k = 3;
    query.where = where;
    assert_ok(kith_explain(table, &query, &text, error));
    if (!strstr(text, words)) fail_msg("%s: \"%s\" is not in\n%s", where, words, text);
    kith_text_free(text);
}

static void explain_tells_that_nothing_else_was_looked_at(void **state)
{
    struct rows rows = rows_random(ROWS, DIM, 5);
    kith_database *db = NULL;
    (void)state;
    assert_ok(kith_open("memory://", &db, error));
    kith_table *table = table_with_holes(db, &rows);
    assert_told(table, "_rowid = 5", "evaluated for 0 rows");
    assert_told(table, "_rowid = 5", "Ids: 1 part of the filter answered by the row ids");
    assert_told(table, "_rowid IN (5, 60000)", "evaluated for 0 rows");
    assert_told(table, "_rowid BETWEEN 1000 AND 1009 AND item LIKE '%7'", "evaluated for 10 rows");
    assert_told(table, "_rowid = 5 AND item LIKE '%5'", "evaluated for 1 rows");
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_found_as_a_scan_finds_them),
        cmocka_unit_test(random_ids_and_conditions_agree_with_a_scan),
        cmocka_unit_test(explain_tells_that_nothing_else_was_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
