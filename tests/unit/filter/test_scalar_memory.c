/* Memory may end at any step of building an index, opening it and asking it: each is run with its k-th
 * allocation failing, for every k. It fails with KITH_NO_MEMORY, and nothing is lost on the way, nothing
 * freed twice.
 *
 * malloc and its kin are replaced for this program, which a sanitizer does as well: under one, the test is
 * skipped. */
#include "unit/filter/scalar_samples.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include "support/failing_malloc.h"

/* ---- what is done */

enum { ROWS = 3000 };
static struct sample *texts, *numbers;
static struct kt_field list_field;
static struct kt_array lists;
static int32_t begins[ROWS + 1];
static struct kt_buffer list_bytes;
static const struct kt_array *column;
static kith_index_type type;

static kith_status build(kith_error *error)
{
    struct kt_scalar_build *work = NULL;
    struct kt_buffer bytes = { 0 };
    struct kt_sink *sink = NULL;
    kith_status status = kt_scalar_begin(type, column->field, &work, error);
    if (!status) status = kt_scalar_add(work, column, 64, error);
    if (!status) status = kt_sink_memory(&bytes, &sink, error);
    if (!status) status = kt_scalar_write(work, NULL, sink, error);
    kt_sink_abandon(sink);
    kt_scalar_build_free(work);
    kt_buffer_release(&bytes);
    return status;
}

static kith_status open_and_ask(kith_error *error)
{
    static uint64_t words[(64 + ROWS + 63) / 64];
    struct kt_selection out = { .words = words, .rows = 64 + ROWS };
    struct kt_value items[] = {
        { .kind = KT_VALUE_TEXT, .text = texts->pool[0], .size = texts->pool_sizes[0] },
        { .kind = KT_VALUE_TEXT, .text = texts->pool[2], .size = texts->pool_sizes[2] }
    };
    struct kt_probe probe = { .kind = KT_PROBE_HAS_ALL,
                              .values = { .kind = KT_VALUE_LIST, .items = items, .count = 2 } };
    struct kt_scalar *scalar = NULL;
    bool answered = false;
    kith_status status = index_open(list_bytes.data, list_bytes.size, &list_field, &scalar, error);
    if (!status) status = kt_scalar_probe(scalar, &probe, &out, &answered, error);
    if (!status) assert_true(answered);
    kt_scalar_close(scalar);
    return status;
}

static void building_survives_the_end_of_memory(void **state)
{
    static const kith_index_type types[] = { KITH_BTREE, KITH_BITMAP, KITH_LABEL_LIST };
    (void)state;
    for (size_t t = 0; t < 3; t++) {
        type = types[t];
        column = type == KITH_LABEL_LIST ? &lists : &texts->array;
        assert_true(fails_at_every_step(build, false) > 2);
        column = &numbers->array;
        if (type != KITH_LABEL_LIST) assert_true(fails_at_every_step(build, false) > 2);
    }
}

static void asking_survives_the_end_of_memory(void **state)
{
    (void)state;
    assert_true(fails_at_every_step(open_and_ask, false) > 2);
}

static size_t sample_of(enum kt_type wanted)
{
    size_t at = 0;
    while (sample_types[at].type != wanted) at++;
    return at;
}

static int set_up(void **state)
{
    struct kt_random random = { 3 };
    (void)state;
    texts = sample_new(sample_of(KT_UTF8), ROWS, 40, 1, &random);
    numbers = sample_new(sample_of(KT_INT64), ROWS, 1000, 1, &random);
    for (int32_t i = 0; i <= ROWS; i++) begins[i] = i;
    list_field = (struct kt_field){
        .name = (char *)"tags", .type = KT_LIST, .children = &texts->field, .child_count = 1
    };
    lists = (struct kt_array){
        .field = &list_field, .length = ROWS, .values = (uint8_t *)begins, .children = &texts->array
    };
    list_bytes = index_bytes(KITH_LABEL_LIST, &lists, 64);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kt_buffer_release(&list_bytes);
    sample_free(texts);
    sample_free(numbers);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(building_survives_the_end_of_memory),
        cmocka_unit_test(asking_survives_the_end_of_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

#else

int main(void)
{
    return 77; /* skipped */
}

#endif
