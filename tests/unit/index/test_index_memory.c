/* An index that is opened with its runs, searched, extended and merged while every allocation in turn fails:
 * it says so and loses nothing. (Building one is tried in tests/unit/api.) Under a sanitizer, which replaces
 * malloc as this does, it is skipped. */
#include "index_fixture.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include "support/failing_malloc.h"

enum { ROWS = 400, FIRST = 300, DIM = 20 };
static struct column column;
static struct built built;

/* Opens the files and searches them. */
static kith_status open_and_search(kith_error *error)
{
    const uint8_t *bytes[] = { built.bytes, built.runs[0].data };
    const size_t sizes[] = { built.size, built.runs[0].size };
    struct kt_view_file *files[2] = { NULL };
    struct kt_index *index = NULL;
    kith_status status = KITH_OK;
    for (int i = 0; i < 2 && !status; i++) {
        uint8_t *copy = kt_alloc_aligned(sizes[i]);
        status = copy ? KITH_OK : kt_fail_memory(error, sizes[i]);
        if (!status) memcpy(copy, bytes[i], sizes[i]);
        if (!status) status = kt_view_from_memory("file", copy, sizes[i], &files[i], error);
    }
    if (status) {
        kt_view_close(files[0]);
        return status;
    }
    status = built.ops->open(files, 2, NULL, &index, error);
    if (status) return status;
    struct built other = built;
    struct kt_hit hits[10];
    struct kt_top top = { hits, 0, 10 };
    other.index = index;
    struct kt_index_query ask = { .vector = (const float *)(const void *)column.data, .k = 10 };
    status = index_try(&column, &other, ask, &top, NULL, error);
    built.ops->close(index);
    return status;
}

/* Ends a file that was written, whatever became of it, and forgets it. */
static kith_status let_go(kith_status status, struct kt_sink *sink, struct kt_buffer *buffer, json_t *meta,
                          kith_error *error)
{
    if (status)
        kt_sink_abandon(sink);
    else
        status = kt_sink_finish(sink, NULL, error);
    json_decref(meta);
    kt_buffer_release(buffer);
    return status;
}

static kith_status add_a_run(kith_error *error)
{
    struct kt_work work = { .threads = 1 };
    struct kt_buffer buffer = { 0 };
    struct kt_sink *sink = NULL;
    struct kt_rows rows = { FIRST, ROWS };
    json_t *meta = NULL;
    kith_status status = kt_sink_memory(&buffer, &sink, error);
    if (!status)
        status = built.ops->extend(built.index, &column.vectors, &rows, 1, &work, sink, &meta, error);
    return let_go(status, sink, &buffer, meta, error);
}

static kith_status build_anew(kith_error *error)
{
    struct kt_work work = { .threads = 1 };
    struct kt_buffer buffer = { 0 };
    struct kt_sink *sink = NULL;
    json_t *meta = NULL, *calibration = NULL;
    kith_status status = kt_sink_memory(&buffer, &sink, error);
    if (!status) status = built.ops->build(&built.plan, &column.vectors, &work, sink, &meta, error);
    if (!status)
        status = built.ops->calibrate(built.index, &column.vectors, NULL, 1, &work, &calibration, error);
    json_decref(calibration);
    return let_go(status, sink, &buffer, meta, error);
}

static kith_status merge_both(kith_error *error)
{
    struct kt_work work = { .threads = 1 };
    struct kt_buffer buffer = { 0 };
    struct kt_sink *sink = NULL;
    json_t *meta = NULL;
    kith_status status = kt_sink_memory(&buffer, &sink, error);
    if (!status)
        status = built.ops->merge(built.index, 0, 2, NULL, &column.vectors, &work, sink, &meta, error);
    return let_go(status, sink, &buffer, meta, error);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t t = 0; t <= TYPES; t++) {
        kith_index_type type = t < TYPES ? types[t] : KITH_HNSW;
        column_init(&column, random_numbers(ROWS, DIM, KITH_F32, 30), ROWS, DIM, KITH_F32);
        for (int far = 0; far < 3; far++) ((float *)(void *)column.data)[(FIRST + 9 * far) * DIM] = 1e20f;
        column.runs[0].rows = column.runs[0].span = FIRST;
        built = build(&column, plan_of(type, KITH_L2, 20), 1);
        column.runs[0].rows = column.runs[0].span = ROWS;
        assert_int_equal(extend(&column, &built, FIRST, ROWS), ROWS - FIRST);
        assert_true(fails_at_every_step(open_and_search, false) > 10);
        assert_true(fails_at_every_step(add_a_run, false) > 10);
        if (type == KITH_HNSW) assert_true(fails_at_every_step(build_anew, false) > 10);
        assert_true(fails_at_every_step(merge_both, false) > 5);
        built_release(&built);
        column_release(&column);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_allocation_may_fail) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 77; /* skipped */
}

#endif
