/* Memory may end at any step: a filter is bound, told, judged and evaluated with its k-th allocation failing,
 * for every k. It fails with KITH_NO_MEMORY or goes on to succeed, and nothing is lost on the way.
 *
 * malloc and its kin are replaced for this program, which a sanitizer does as well: under one, the test is
 * skipped. */
#include "unit/filter/filter_rows.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include "support/failing_malloc.h"

static struct kt_batch *batch;
static json_t *stats;
static struct kt_expr *predicate, *value;

static kith_status predicate_works(kith_error *error)
{
    static uint64_t bits[ROWS_WORDS];
    struct kt_array room[ROWS_COLUMNS];
    struct kt_filter *filter = NULL;
    struct kt_arena scratch = { 0 };
    struct kt_buffer told = { 0 };
    kith_status status = kt_filter_bind(predicate, batch->schema, true, &filter, error);
    if (!status) status = kt_filter_tell(filter, &told, error);
    if (!status) kt_filter_judge(filter, stats);
    struct kt_filter_rows rows = { 0 };
    if (!status) rows = rows_of(filter, batch, room);
    if (!status) status = kt_filter_eval(filter, &rows, NULL, &scratch, bits, error);
    kt_buffer_release(&told);
    kt_arena_release(&scratch);
    kt_filter_free(filter);
    return status;
}

static kith_status values_work(kith_error *error)
{
    struct kt_array room[ROWS_COLUMNS];
    struct kt_filter *filter = NULL;
    struct kt_schema *schema = NULL;
    struct kt_builder *builder = NULL;
    kith_status status = kt_filter_bind(value, batch->schema, false, &filter, error);
    if (!status) status = kt_schema_new(kt_filter_field(filter), 1, NULL, &schema, error);
    if (!status) status = kt_builder_new(schema, 10, &builder, error);
    struct kt_filter_rows rows = { 0 };
    if (!status) rows = rows_of(filter, batch, room);
    if (!status) status = kt_filter_values(filter, &rows, builder, 0, error);
    kt_builder_free(builder);
    kt_schema_release(schema);
    kt_filter_free(filter);
    return status;
}

static void set_up(const char *text, struct kt_expr **expr)
{
    struct kt_random random = { 5 };
    struct kt_schema *schema = rows_schema();
    batch = rows_batch(&random, schema, 5000);
    stats = kt_batches_stats(&batch, 1);
    *expr = rows_parse(text);
    kt_schema_release(schema);
}

static void tear_down(struct kt_expr *expr)
{
    kt_expr_release(expr);
    json_decref(stats);
    kt_batch_release(batch);
}

static void filters_survive_the_end_of_memory(void **state)
{
    (void)state;
    set_up(
        "word IN ('abc', 'x', 'cat01') AND (text ILIKE '%B%' OR regexp_like(text || 'x', 'a{1,20}b|[^c]d')) "
        "AND "
        "i32 BETWEEN 1 + 2 AND 300 AND text >= 'a' AND i64 IN (1, 2, 3, 4, 5, 6, 7) AND NOT "
        "array_has_any(labels, "
        "['a', 'b']) AND CASE WHEN flag THEN lower(text) ELSE upper(text) END = coalesce(long_text, 'a') OR "
        "(text ->> 'a.b') = 'c' AND try_cast(text AS double) > 3 OR record.a IN (i8, i16, 3) OR "
        "date_part('year', stamp) = 1970",
        &predicate);
    assert_true(fails_at_every_step(predicate_works, false) > 10);
    tear_down(predicate);
}

static void values_survive_the_end_of_memory(void **state)
{
    (void)state;
    set_up("CASE WHEN i8 > 0 THEN text || cast(i32 AS varchar) || lower(long_text) ELSE substr(word, 2) END",
           &value);
    assert_true(fails_at_every_step(values_work, false) > 10);
    tear_down(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_survive_the_end_of_memory),
        cmocka_unit_test(values_survive_the_end_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 77;
}

#endif
