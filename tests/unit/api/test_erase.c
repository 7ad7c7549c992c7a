/* Erased rows leave no byte: looked for in every file of the table, beside an index that keeps whole vectors.
 */
#define _GNU_SOURCE
#include "support/rows.h"

#include <ftw.h>
#include <sys/stat.h>

enum { DIM = 8, ROWS = 3000 };

static struct {
    const void *bytes;
    size_t size;
    uint32_t files;
} sought;

static int look(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)where;
    if (kind != FTW_F) return 0;
    FILE *file = fopen(path, "rb");
    char *bytes = malloc((size_t)about->st_size + 1);
    size_t size = fread(bytes, 1, (size_t)about->st_size, file);
    sought.files += memmem(bytes, size, sought.bytes, sought.size) != NULL;
    free(bytes);
    fclose(file);
    return 0;
}

/* How many files below `folder` have these bytes. */
static uint32_t files_with(const char *folder, const void *bytes, size_t size)
{
    sought.bytes = bytes, sought.size = size, sought.files = 0;
    assert_int_equal(nftw(folder, look, 8, FTW_PHYS), 0);
    return sought.files;
}

static uint64_t count(kith_table *table, const char *where)
{
    uint64_t rows = 0;
    assert_ok(kith_table_count(table, where, &rows, error));
    return rows;
}

static void nothing_is_left_of_erased_rows(void **state)
{
    char *folder = folder_new();
    kith_database *db = NULL;
    kith_table *table = NULL;
    struct rows rows = rows_random(ROWS, DIM, 3);
    struct ArrowArrayStream data = rows_stream(&rows, 0, ROWS - 10);
    kith_index index = KITH_INIT(kith_index);
    kith_erasing erasing = KITH_INIT(kith_erasing);
    kith_erased erased = KITH_INIT(kith_erased);
    kith_expr *filter = NULL;
    kith_error told = { 0 };
    (void)state;
    assert_ok(kith_open(folder, &db, error));
    assert_ok(kith_create_table(db, "t", &data, NULL, &table, error));
    index.column = "vector";
    index.type = KITH_IVF_FLAT;
    assert_ok(kith_create_index(table, &index, error));
    assert_ok(kith_set_tag(table, "before", 1, KITH_TAG_CREATE, error));
    data = rows_stream(&rows, ROWS - 10, 10); /* inside the log */
    assert_ok(kith_append(table, &data, NULL, NULL, error));
    assert_ok(kith_expr_sql("id % 100 = 95", NULL, 0, &filter, error));
    erasing.filter = filter;

    assert_int_equal(kith_erase(table, &erasing, NULL, &told), KITH_INVALID);
    assert_non_null(strstr(told.message, "\"before\""));
    assert_int_equal(count(table, NULL), ROWS);
    assert_true(files_with(folder, rows.vectors + 195 * DIM, DIM * sizeof(float)) >= 2);

    erasing.tags = true;
    assert_ok(kith_erase(table, &erasing, &erased, error));
    assert_int_equal(erased.rows, ROWS / 100);
    assert_int_equal(erased.tags_removed, 1);
    assert_int_equal(erased.indexes_rebuilt, 1);
    assert_int_equal(count(table, NULL), ROWS - ROWS / 100);
    for (uint32_t row = 95; row < ROWS; row += 100)
        assert_int_equal(files_with(folder, rows.vectors + row * DIM, DIM * sizeof(float)), 0);
    assert_true(files_with(folder, rows.vectors + 194 * DIM, DIM * sizeof(float)) >= 1);
    assert_true(files_with(folder, rows.vectors + (ROWS - 1) * DIM, DIM * sizeof(float)) >= 1);
    assert_ok(kith_table_verify(table, NULL, error));
    assert_int_equal(kith_table_checkout(table, 1, &told), KITH_NOT_FOUND);

    kith_expr_free(filter);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_is_left_of_erased_rows) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
