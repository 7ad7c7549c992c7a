/* An index follows its table: whatever was committed is found by its own vector, through the index, at the
 * default recall, after many small commits, deletions and updates, and on a handle that was just opened; and
 * the rows beside the index stay few.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>

#include "support/rows.h"

enum { DIM = 48, BASE = 4000, MOST = 12000, CLUSTERS = 40 };

struct following {
    char *folder;
    kith_database *db;
    kith_table *table;
    struct rows rows; /* row of the table with id i has vector i */
    bool *live;
    uint64_t next;
    struct kt_random random;
};

/* Vectors around centres that move on as rows come, so many times. */
static struct rows drifting(uint64_t eras)
{
    struct rows rows = rows_random(MOST, DIM, 5);
    struct rows centres = rows_random(CLUSTERS * eras, DIM, 6);
    struct kt_random random = { 7 };
    for (uint64_t i = 0; i < MOST; i++) {
        uint64_t era = i * eras / MOST, centre = era * CLUSTERS + kt_random_below(&random, CLUSTERS);
        for (uint32_t d = 0; d < DIM; d++)
            rows.vectors[i * DIM + d] = centres.vectors[centre * DIM + d] + 0.3f * rows.vectors[i * DIM + d];
    }
    rows_free(&centres);
    return rows;
}

static void add(struct following *f, uint64_t count)
{
    struct ArrowArrayStream data = rows_stream(&f->rows, f->next, count);
    assert_ok(kith_append(f->table, &data, NULL, NULL, error));
    for (uint64_t i = 0; i < count; i++) f->live[f->next++] = true;
}

static void start(struct following *f, kith_index_type type, uint64_t eras)
{
    kith_create create = KITH_INIT(kith_create);
    *f = (struct following){ .folder = folder_new(), .rows = drifting(eras), .random = { 3 } };
    f->live = calloc(MOST, sizeof *f->live);
    create.auto_index_threshold = BASE;
    assert_ok(kith_open(f->folder, &f->db, error));
    struct ArrowArrayStream data = rows_stream(&f->rows, 0, BASE);
    assert_ok(kith_create_table(f->db, "t", &data, &create, &f->table, error));
    for (f->next = 0; f->next < BASE; f->next++) f->live[f->next] = true;
    kith_index index = KITH_INIT(kith_index);
    index.type = type;
    if (type) assert_ok(kith_create_index(f->table, &index, error));
}

static void stop(struct following *f)
{
    assert_ok(kith_table_verify(f->table, NULL, error));
    kith_table_close(f->table);
    kith_close(f->db);
    rows_free(&f->rows);
    free(f->live);
    folder_remove(f->folder);
}

/* Every live row is found by its own vector, and nothing else is found. */
static void assert_findable(struct following *f, uint64_t step)
{
    uint64_t ids[10], missed = 0;
    float distances[10];
    kith_search_stats stats = KITH_INIT(kith_search_stats);
    kith_query query = KITH_INIT(kith_query);
    query.dim = DIM;
    query.k = 10;
    query.stats = &stats;
    for (uint64_t i = 0; i < f->next; i += step) {
        if (!f->live[i]) continue;
        query.vectors = f->rows.vectors + i * DIM;
        assert_ok(kith_search_ids(f->table, &query, ids, distances, error));
        missed += distances[0] != 0;
        assert_true(stats.lists > 0); /* it was the index */
    }
    assert_int_equal(missed, 0);
}

static const kith_index_info *first(const kith_indexes *indexes)
{
    assert_int_equal(indexes->count, 1);
    return &indexes->indexes[0];
}

static void assert_few_beside(struct following *f, uint64_t most)
{
    kith_indexes *indexes = NULL;
    assert_ok(kith_list_indexes(f->table, &indexes, error));
    assert_true(first(indexes)->rows_unindexed <= most);
    kith_indexes_free(indexes);
}

static void reopen(struct following *f)
{
    kith_table_close(f->table);
    assert_ok(kith_open_table(f->db, "t", &f->table, error));
}

static void delete_where(struct following *f, const char *text, uint64_t modulus, uint64_t rest)
{
    kith_expr *filter = NULL;
    assert_ok(kith_expr_sql(text, NULL, 0, &filter, error));
    assert_ok(kith_delete(f->table, filter, NULL, error));
    kith_expr_free(filter);
    for (uint64_t i = 0; i < f->next; i++)
        if (i % modulus == rest) f->live[i] = false;
}

static const kith_index_type types[] = { KITH_INDEX_DEFAULT, KITH_HNSW };
enum { TYPES = sizeof types / sizeof *types };

static void find_every_row(kith_index_type type)
{
    struct following f;
    const uint64_t few = 512 * 1024 / (DIM * 4);
    start(&f, type, 3);
    assert_findable(&f, 7);
    add(&f, 1);
    assert_findable(&f, 31);
    for (int i = 0; i < 10; i++) add(&f, 300);
    assert_few_beside(&f, few);
    assert_findable(&f, 11);
    for (int i = 0; i < 700; i++) add(&f, 1);
    assert_few_beside(&f, few);
    assert_findable(&f, 7);
    delete_where(&f, "id % 5 = 2", 5, 2);
    assert_findable(&f, 7);
    reopen(&f);
    assert_findable(&f, 13);
    stop(&f);
}

static void every_committed_row_is_found(void **state)
{
    (void)state;
    for (int t = 0; t < TYPES; t++) find_every_row(types[t]);
}

static void turn_over(kith_index_type type)
{
    struct following f;
    kith_indexes *indexes = NULL, *as_built = NULL;
    start(&f, type, 3);
    assert_ok(kith_list_indexes(f.table, &as_built, error));
    for (uint64_t round = 0; round < 7; round++) {
        char text[64];
        add(&f, 1000);
        snprintf(text, sizeof text, "id >= %llu AND id < %llu", (unsigned long long)(round * 1000),
                 (unsigned long long)(round * 1000 + 1000));
        kith_expr *filter = NULL;
        assert_ok(kith_expr_sql(text, NULL, 0, &filter, error));
        assert_ok(kith_delete(f.table, filter, NULL, error));
        kith_expr_free(filter);
        for (uint64_t i = round * 1000; i < round * 1000 + 1000; i++) f.live[i] = false;
        assert_findable(&f, 17);
    }
    assert_ok(kith_list_indexes(f.table, &indexes, error));
    assert_true(first(indexes)->rows_indexed + first(indexes)->rows_unindexed == BASE);
    assert_non_null(first(as_built)->calibration); /* learned again, of other rows */
    assert_string_not_equal(first(as_built)->calibration, first(indexes)->calibration);
    kith_indexes_free(as_built);
    kith_indexes_free(indexes);
    assert_ok(kith_optimize(f.table, NULL, NULL, error));
    assert_few_beside(&f, 0);
    assert_findable(&f, 3);
    stop(&f);
}

static void a_table_that_turns_over_keeps_its_index_right(void **state)
{
    (void)state;
    for (int t = 0; t < TYPES; t++) turn_over(types[t]);
}

struct keeper {
    struct following *f;
    uint64_t begin, count;
    _Atomic bool at_it, go_on;
};

static int wait_in_the_upkeep(const kith_progress *progress, void *user)
{
    struct keeper *keeper = user;
    if (strcmp(progress->stage, "calibrate") != 0) return 0;
    atomic_store(&keeper->at_it, true);
    while (!atomic_load(&keeper->go_on)) usleep(1000);
    return 0;
}

static void *write_and_keep(void *context)
{
    struct keeper *keeper = context;
    struct ArrowArrayStream data = rows_stream(&keeper->f->rows, keeper->begin, keeper->count);
    kith_write write = KITH_INIT(kith_write);
    write.progress = wait_in_the_upkeep;
    write.progress_user = keeper;
    assert_ok(kith_append(keeper->f->table, &data, &write, NULL, error));
    return NULL;
}

/* While a thread looks at what an index learned, the last thing it does, others commit and go on; what is due
 * to them it does too. */
static void what_is_due_to_writes_beside_an_upkeep_is_done(void **state)
{
    enum { TRIES = 20000 };
    struct following f;
    const uint64_t few = 512 * 1024 / (DIM * 4);
    pthread_t thread;
    (void)state;
    start(&f, KITH_INDEX_DEFAULT, 3);
    struct keeper keeper = { .f = &f, .begin = f.next, .count = BASE / 8 };
    for (uint64_t i = 0; i < keeper.count; i++) f.live[f.next++] = true;
    assert_int_equal(pthread_create(&thread, NULL, write_and_keep, &keeper), 0);
    for (int i = 0; i < TRIES && !atomic_load(&keeper.at_it); i++) usleep(1000);
    assert_true(atomic_load(&keeper.at_it));
    add(&f, few + 200);
    kith_indexes *indexes = NULL;
    assert_ok(kith_list_indexes(f.table, &indexes, error));
    assert_true(first(indexes)->rows_unindexed > few); /* somebody else is at it */
    kith_indexes_free(indexes);
    atomic_store(&keeper.go_on, true);
    pthread_join(thread, NULL);
    assert_few_beside(&f, few);
    assert_findable(&f, 7);
    stop(&f);
}

static size_t commits_of(struct following *f, const char *operation)
{
    kith_commits *log = NULL;
    size_t count = 0;
    assert_ok(kith_table_log(f->table, 1000, &log, error));
    for (size_t i = 0; i < log->count; i++) count += strcmp(log->commits[i].operation, operation) == 0;
    kith_commits_free(log);
    return count;
}

/* Rows like those that were there leave what was learned as it is, though it is looked at after each tenth;
 * that others do not, is seen above. */
static void rows_like_those_before_cost_a_look(void **state)
{
    struct following f;
    kith_indexes *indexes = NULL, *as_built = NULL;
    (void)state;
    start(&f, KITH_INDEX_DEFAULT, 1);
    assert_ok(kith_list_indexes(f.table, &as_built, error));
    for (uint64_t i = 0; i < 3; i++) add(&f, BASE / 8);
    assert_findable(&f, 7);
    assert_ok(kith_list_indexes(f.table, &indexes, error));
    assert_non_null(first(as_built)->calibration);
    assert_string_equal(first(as_built)->calibration, first(indexes)->calibration);
    kith_indexes_free(as_built);
    kith_indexes_free(indexes);
    assert_true(commits_of(&f, "calibrate") >= 2);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_committed_row_is_found),
        cmocka_unit_test(a_table_that_turns_over_keeps_its_index_right),
        cmocka_unit_test(what_is_due_to_writes_beside_an_upkeep_is_done),
        cmocka_unit_test(rows_like_those_before_cost_a_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
