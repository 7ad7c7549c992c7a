/* A table that changes, against a plain array: random appends, deletions, updates, merges and changes of
 * columns, each followed by everything a reader may ask: scans, counts, fetches by row id and by key, exact
 * searches, filters. Sizes cross those where rows leave the log, where fragments fold, and where a fragment
 * is mostly dead.
 */
#define _GNU_SOURCE
#include "support/rows.h"

enum { DIM = 4, MOST = 20000, POOL = 4096 };

struct model {
    kith_database *db;
    kith_table *table;
    struct kt_random random;
    struct rows pool; /* vectors; row of the table has vector `which` of it */
    int64_t *ids;     /* of live rows, in no order */
    uint32_t *which;
    size_t count;
    int64_t next_id;
};

static uint64_t below(struct model *m, uint64_t limit)
{
    return kt_random_below(&m->random, limit);
}

/* A stream of `count` rows with the given ids and vectors. */
static struct ArrowArrayStream stream_of(struct model *m, const int64_t *ids, const uint32_t *which,
                                         size_t count)
{
    struct kt_batch **batches = calloc(count + 1, sizeof *batches);
    struct kt_schema *schema = rows_schema(DIM);
    struct kt_builder *builder = NULL;
    struct kt_batch *all = NULL;
    struct ArrowArrayStream out = { 0 };
    assert_ok(kt_builder_new(schema, (int64_t)count, &builder, error));
    for (size_t i = 0; i < count; i++) {
        struct ArrowArrayStream one = rows_stream_ids(&m->pool, which[i], 1, (uint64_t)ids[i]);
        batches[i] = stream_batch(&one);
        for (uint32_t c = 0; c < schema->count; c++)
            assert_ok(kt_builder_append(builder, c, &batches[i]->columns[c], 0, 1, error));
        kt_batch_release(batches[i]);
    }
    assert_ok(kt_builder_finish(builder, &all, error));
    assert_ok(kt_stream_of_batches(schema, &all, 1, &out, error));
    kt_batch_release(all);
    kt_schema_release(schema);
    free(batches);
    return out;
}

static size_t find(const struct model *m, int64_t id)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->ids[i] == id) return i;
    return SIZE_MAX;
}

static void put(struct model *m, int64_t id, uint32_t which)
{
    size_t at = find(m, id);
    if (at == SIZE_MAX) at = m->count++;
    assert_true(at < MOST);
    m->ids[at] = id;
    m->which[at] = which;
}

static void drop(struct model *m, size_t at)
{
    m->count--;
    m->ids[at] = m->ids[m->count];
    m->which[at] = m->which[m->count];
}

/* ---- reading */

static int64_t id_at(const struct kt_batch *batch, int64_t row)
{
    int64_t id;
    const struct kt_array *column = &batch->columns[kt_schema_find(batch->schema, "id")];
    memcpy(&id, column->values + 8 * (column->offset + row), 8);
    return id;
}

static void assert_row(struct model *m, const struct kt_batch *batch, int64_t row, bool *seen)
{
    size_t at = find(m, id_at(batch, row));
    assert_true(at != SIZE_MAX);
    assert_false(seen[at]);
    seen[at] = true;
    const struct kt_array *vector = &batch->columns[kt_schema_find(batch->schema, "vector")];
    assert_memory_equal(kt_array_vector(vector, row), m->pool.vectors + m->which[at] * DIM,
                        DIM * sizeof(float));
}

static void assert_scan(struct model *m, const char *where, int64_t modulus)
{
    struct ArrowArrayStream out;
    kith_scan scan = KITH_INIT(kith_scan);
    bool *seen = calloc(m->count + 1, sizeof *seen);
    size_t wanted = 0;
    scan.where = where;
    scan.with_row_id = true;
    assert_ok(kith_table_scan(m->table, &scan, &out, error));
    struct kt_batch *batch = stream_batch(&out);
    for (size_t i = 0; i < m->count; i++) wanted += modulus == 0 || m->ids[i] % modulus == 0;
    assert_int_equal(batch->rows, wanted);
    for (int64_t i = 0; i < batch->rows; i++) assert_row(m, batch, i, seen);

    const uint64_t *row_ids = (const uint64_t *)(const void *)batch->columns[batch->schema->count - 1].values;
    for (int64_t i = 1; i < batch->rows; i++) assert_true(row_ids[i] > row_ids[i - 1]);
    if (batch->rows) { /* and each is found again by its row id */
        uint64_t some[3];
        int64_t at[3];
        for (int i = 0; i < 3; i++) some[i] = row_ids[at[i] = (int64_t)below(m, (uint64_t)batch->rows)];
        assert_ok(kith_table_take(m->table, some, 3, NULL, &out, error));
        struct kt_batch *taken = stream_batch(&out);
        assert_int_equal(taken->rows, 3);
        for (int i = 0; i < 3; i++) assert_int_equal(id_at(taken, i), id_at(batch, at[i]));
        kt_batch_release(taken);
    }
    kt_batch_release(batch);
    free(seen);
}

/* The nearest row is one with the vector asked for, and k come whenever there are k. */
static void assert_search(struct model *m, bool exact)
{
    enum { K = 5 };
    uint64_t rows[K];
    float distances[K];
    if (!m->count) return;
    size_t at = below(m, m->count);
    kith_query query = KITH_INIT(kith_query);
    query.vectors = m->pool.vectors + m->which[at] * DIM;
    query.dim = DIM;
    query.k = K;
    query.exact = exact;
    assert_ok(kith_search_ids(m->table, &query, rows, distances, error));
    assert_float_equal(distances[0], 0, 0);
    size_t wanted = m->count < K ? m->count : K;
    for (size_t i = 0; i < K; i++) assert_true((rows[i] != UINT64_MAX) == (i < wanted));
    struct ArrowArrayStream out; /* and all of them are there */
    assert_ok(kith_table_take(m->table, rows, wanted, NULL, &out, error));
    struct kt_batch *taken = stream_batch(&out);
    assert_int_equal(taken->rows, wanted);
    kt_batch_release(taken);
}

static void assert_get(struct model *m)
{
    struct ArrowArrayStream keys, out;
    struct kt_field field = { .name = (char *)"id", .id = -1, .type = KT_INT64 };
    struct kt_schema *schema = NULL;
    struct kt_builder *builder = NULL;
    struct kt_batch *batch = NULL;
    if (!m->count) return;
    const int64_t wanted[] = { m->ids[below(m, m->count)], m->next_id + 5, m->ids[below(m, m->count)] };
    int64_t there = wanted[0] == wanted[2] ? 1 : 2;
    assert_ok(kt_schema_new(&field, 1, NULL, &schema, error));
    assert_ok(kt_builder_new(schema, 3, &builder, error));
    assert_ok(kt_builder_append_values(builder, 0, wanted, 3, error));
    assert_ok(kt_builder_finish(builder, &batch, error));
    assert_ok(kt_stream_of_batches(schema, &batch, 1, &keys, error));
    kt_batch_release(batch);
    kt_schema_release(schema);
    assert_ok(kith_get(m->table, &keys, NULL, &out, error));
    batch = stream_batch(&out);
    assert_int_equal(batch->rows, there);
    assert_int_equal(id_at(batch, 0), wanted[0]);
    if (there == 2) assert_int_equal(id_at(batch, 1), wanted[2]);
    kt_batch_release(batch);
}

static void assert_all(struct model *m)
{
    uint64_t count = 0;
    kith_status status = kith_table_count(m->table, NULL, &count, NULL);
    assert_int_equal(status, KITH_OK);
    assert_int_equal(count, m->count);
    assert_scan(m, NULL, 0);
    assert_scan(m, "id % 3 = 0", 3);
    assert_search(m, true);
    assert_search(m, false);
    assert_get(m);
}

/* ---- changing */

static size_t some_count(struct model *m)
{
    return below(m, 8) == 0 ? 1 + below(m, 900) : 1 + below(m, 4);
}

static void step_append(struct model *m)
{
    size_t count = some_count(m);
    int64_t ids[1000] = { 0 };
    uint32_t which[1000] = { 0 };
    if (m->count + count >= MOST / 2) return;
    for (size_t i = 0; i < count; i++) {
        ids[i] = m->next_id++;
        which[i] = (uint32_t)below(m, POOL);
    }
    struct ArrowArrayStream data = stream_of(m, ids, which, count);
    assert_ok(kith_append(m->table, &data, NULL, NULL, error));
    for (size_t i = 0; i < count; i++) put(m, ids[i], which[i]);
    if (below(m, 4)) return; /* and not a second time */
    uint64_t version, after;
    assert_ok(kith_table_version(m->table, &version, error));
    kith_error refusal = { 0 };
    data = stream_of(m, ids, which, count);
    assert_int_equal(kith_append(m->table, &data, NULL, NULL, &refusal), KITH_EXISTS);
    assert_non_null(strstr(refusal.message, "is in the table already"));
    assert_ok(kith_table_version(m->table, &after, error));
    assert_int_equal(version, after);
}

static void step_delete(struct model *m)
{
    char text[120];
    int64_t modulus = 2 + (int64_t)below(m, 40), rest = (int64_t)below(m, (uint64_t)modulus);
    int64_t from = (int64_t)below(m, (uint64_t)m->next_id + 1);
    kith_expr *filter = NULL;
    kith_changed changed = KITH_INIT(kith_changed);
    snprintf(text, sizeof text, "id %% %lld = %lld AND id >= %lld", (long long)modulus, (long long)rest,
             (long long)from);
    assert_ok(kith_expr_sql(text, NULL, 0, &filter, error));
    assert_ok(kith_delete(m->table, filter, &changed, error));
    size_t gone = 0;
    for (size_t i = 0; i < m->count;) {
        if (m->ids[i] % modulus == rest && m->ids[i] >= from) {
            drop(m, i);
            gone++;
        } else {
            i++;
        }
    }
    assert_int_equal(changed.deleted, gone);
    kith_expr_free(filter);
}

static void step_update(struct model *m)
{
    char text[120];
    if (!m->count) return;
    int64_t from = m->ids[below(m, m->count)], until = from + 1 + (int64_t)below(m, 30);
    uint32_t which = (uint32_t)below(m, POOL);
    kith_update update = KITH_INIT(kith_update);
    kith_changed changed = KITH_INIT(kith_changed);
    const kith_assignment set = { "item", "upper(item) || '!'" };
    kith_expr *filter = NULL;
    snprintf(text, sizeof text, "id >= %lld AND id < %lld", (long long)from, (long long)until);
    assert_ok(kith_expr_sql(text, NULL, 0, &filter, error));

    /* one row that holds the vector alone */
    struct ArrowArrayStream one = rows_stream_ids(&m->pool, which, 1, 0), values;
    struct kt_batch *row = stream_batch(&one), *vector = NULL;
    struct kt_schema *schema = NULL;
    const uint32_t column = 2;
    assert_ok(kt_schema_new(&row->schema->fields[2], 1, NULL, &schema, error));
    assert_ok(kt_batch_combine(schema, 1, &row, &column, &vector, error));
    assert_ok(kt_stream_of_batches(schema, &vector, 1, &values, error));
    kt_schema_release(schema);
    kt_batch_release(vector);
    kt_batch_release(row);

    update.filter = filter;
    update.assignments = &set;
    update.assignment_count = 1;
    update.values = &values;
    assert_ok(kith_update_rows(m->table, &update, &changed, error));
    size_t hit = 0;
    for (size_t i = 0; i < m->count; i++)
        if (m->ids[i] >= from && m->ids[i] < until) m->which[i] = which, hit++;
    assert_int_equal(changed.updated, hit);
    uint64_t found = 0;
    snprintf(text, sizeof text, "id >= %lld AND id < %lld AND item LIKE 'ITEM%%!'", (long long)from,
             (long long)until);
    assert_ok(kith_table_count(m->table, text, &found, error));
    assert_int_equal(found, hit);
    kith_expr_free(filter);
}

static void step_merge(struct model *m)
{
    size_t count = some_count(m);
    int64_t ids[1000] = { 0 };
    uint32_t which[1000] = { 0 };
    if (m->count + count >= MOST / 2) return;
    for (size_t i = 0; i < count; i++) {
        bool old = m->count && below(m, 2);
        ids[i] = old ? m->ids[below(m, m->count)] : m->next_id++;
        which[i] = (uint32_t)below(m, POOL);
    }
    size_t updated = 0, inserted = 0;
    for (size_t i = 0; i < count; i++) { /* the last of equal ones counts */
        bool again = false;
        for (size_t j = 0; j < i; j++) again |= ids[j] == ids[i];
        if (!again) *(find(m, ids[i]) != SIZE_MAX ? &updated : &inserted) += 1;
    }
    struct ArrowArrayStream data = stream_of(m, ids, which, count);
    kith_merge merge = KITH_INIT(kith_merge);
    kith_changed changed = KITH_INIT(kith_changed);
    merge.update_matched = merge.insert_new = merge.keep_last = true;
    assert_ok(kith_merge_rows(m->table, &data, &merge, &changed, error));
    assert_int_equal(changed.updated, updated);
    assert_int_equal(changed.inserted, inserted);
    assert_int_equal(changed.deleted, 0);
    for (size_t i = 0; i < count; i++) put(m, ids[i], which[i]);
}

static void step_reopen(struct model *m)
{
    kith_table_close(m->table);
    assert_ok(kith_open_table(m->db, "t", &m->table, error));
    assert_ok(kith_table_verify(m->table, NULL, error));
}

static void step_columns(struct model *m)
{
    kith_changed changed = KITH_INIT(kith_changed);
    const kith_new_column made = { .name = "twice", .expression = "id * 2" };
    const kith_altered_column renamed = { .name = "twice", .rename = "double" };
    const char *const gone[] = { "double" };
    uint64_t wrong = 1, right = 0;
    assert_ok(kith_add_columns(m->table, &made, 1, &changed, error));
    assert_ok(kith_alter_columns(m->table, &renamed, 1, &changed, error));
    assert_ok(kith_table_count(m->table, "\"double\" <> 2 * id", &wrong, error));
    assert_ok(kith_table_count(m->table, "\"double\" = 2 * id", &right, error));
    assert_int_equal(wrong, 0);
    assert_int_equal(right, m->count);
    if (below(m, 2)) step_reopen(m);
    assert_ok(kith_drop_columns(m->table, gone, 1, &changed, error));
}

static void run(const char *uri, uint64_t seed, int steps)
{
    static void (*const step[])(struct model *) = { step_append, step_append, step_append,
                                                    step_delete, step_update, step_merge,
                                                    step_merge,  step_reopen, step_columns };
    struct model m = { .random = { seed }, .pool = rows_random(POOL, DIM, seed + 1) };
    kith_create create = KITH_INIT(kith_create);
    m.ids = malloc(MOST * sizeof *m.ids);
    m.which = malloc(MOST * sizeof *m.which);
    create.key = "id";
    create.auto_index_threshold = seed % 2 ? 1500 : 0;
    assert_ok(kith_open(uri, &m.db, error));
    struct ArrowArrayStream none = stream_of(&m, NULL, NULL, 0);
    assert_ok(kith_create_table(m.db, "t", &none, &create, &m.table, error));
    for (int i = 0; i < steps; i++) {
        size_t which = below(&m, sizeof step / sizeof *step);
        if (step[which] == step_columns && below(&m, 4)) which = 0;
        step[which](&m);
        if (i % 4 == 0 || i + 1 == steps) assert_all(&m);
    }
    kith_table_info info = KITH_INIT(kith_table_info);
    assert_ok(kith_table_stats(m.table, &info, error));
    assert_true(info.fragments < 200);
    kith_table_close(m.table);
    kith_close(m.db);
    free(m.ids);
    free(m.which);
    rows_free(&m.pool);
}

static void a_changing_table_is_what_a_plain_array_is(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        run("memory://", seed, 400);
    }
}

static void so_it_is_on_disk(void **state)
{
    (void)state;
    char *folder = folder_new();
    run(folder, 11, 200);
    folder_remove(folder);
}

static void what_is_mostly_dead_is_folded_away(void **state)
{
    (void)state;
    struct rows rows = rows_random(6000, 64, 3);
    kith_database *db = NULL;
    kith_table *table = NULL;
    kith_expr *filter = NULL;
    kith_table_info before = KITH_INIT(kith_table_info), after = KITH_INIT(kith_table_info);
    assert_ok(kith_open("memory://", &db, error));
    struct ArrowArrayStream data = rows_stream(&rows, 0, 6000), out;
    assert_ok(kith_create_table(db, "t", &data, NULL, &table, error));
    assert_ok(kith_table_stats(table, &before, error));
    assert_ok(kith_expr_sql("id % 3 <> 0", NULL, 0, &filter, error));
    assert_ok(kith_delete(table, filter, NULL, error));
    kith_expr_free(filter);
    assert_ok(kith_table_stats(table, &after, error));
    assert_true(after.data_bytes < before.data_bytes / 2);
    kith_query query = KITH_INIT(kith_query);
    query.dim = 64;
    query.k = 1;
    for (uint64_t row = 0; row < 6000; row += 99) {
        uint64_t id;
        float distance;
        query.vectors = rows.vectors + row * 64;
        assert_ok(kith_search_ids(table, &query, &id, &distance, error));
        assert_int_equal(id, row);
    }
    const uint64_t ids[] = { 0, 1, 5997, 5998 };
    assert_ok(kith_table_take(table, ids, 4, NULL, &out, error));
    struct kt_batch *batch = stream_batch(&out);
    assert_int_equal(batch->rows, 2); /* 1 and 5998 are gone */
    assert_int_equal(id_at(batch, 1), 5997);
    kt_batch_release(batch);
    kith_table_close(table);
    kith_close(db);
    rows_free(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_changing_table_is_what_a_plain_array_is),
        cmocka_unit_test(so_it_is_on_disk),
        cmocka_unit_test(what_is_mostly_dead_is_folded_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
