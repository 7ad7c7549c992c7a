/* kt_parallel_for: every item once, failures and cancels told, nothing left running. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "parallel/parallel.h"

enum { ITEMS = 10007 };

struct counting {
    _Atomic uint8_t seen[ITEMS];
    uint64_t fail_at;
};

static kith_status count_items(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                               kith_error *error)
{
    struct counting *counting = context;
    (void)worker;
    for (uint64_t i = begin; i < end; i++) {
        if (i == counting->fail_at) return kt_fail(error, KITH_IO, "item %llu", (unsigned long long)i);
        atomic_fetch_add(&counting->seen[i], 1);
    }
    return KITH_OK;
}

static void every_item_is_done_once_by_any_number_of_threads(void **state)
{
    (void)state;
    for (uint32_t threads = 1; threads <= 9; threads += 4) {
        for (uint64_t grain = 1; grain < 30000; grain = grain * 7 + 1) {
            struct counting *counting = calloc(1, sizeof *counting);
            struct kt_work work = { .threads = threads };
            counting->fail_at = UINT64_MAX;
            assert_int_equal(kt_parallel_for(&work, NULL, ITEMS, grain, count_items, counting, NULL),
                             KITH_OK);
            for (int i = 0; i < ITEMS; i++) assert_int_equal(atomic_load(&counting->seen[i]), 1);
            free(counting);
        }
    }
}

static void a_failure_ends_the_loop_and_is_told(void **state)
{
    (void)state;
    struct counting *counting = calloc(1, sizeof *counting);
    struct kt_work work = { .threads = 4 };
    kith_error error = { 0 };
    counting->fail_at = 100;
    assert_int_equal(kt_parallel_for(&work, NULL, ITEMS, 10, count_items, counting, &error), KITH_IO);
    assert_string_equal(error.message, "item 100");
    assert_int_equal(atomic_load(&counting->seen[ITEMS - 1]), 0);
    free(counting);
}

static kith_status take_a_while(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                                kith_error *error)
{
    (void)context, (void)worker, (void)error;
    usleep((useconds_t)(end - begin) * 1000);
    return KITH_OK;
}

static int stop_at_the_third_call(const kith_progress *progress, void *user)
{
    int *calls = user;
    assert_string_equal(progress->stage, "train");
    return ++*calls >= 3;
}

static void a_callback_can_cancel(void **state)
{
    (void)state;
    int calls = 0;
    struct kt_work work = { .threads = 2, .progress = stop_at_the_third_call, .user = &calls };
    kith_error error = { 0 };
    assert_int_equal(kt_parallel_for(&work, "train", 100000, 1, take_a_while, NULL, &error), KITH_CANCELLED);
    assert_int_equal(calls, 3);
    assert_non_null(strstr(error.message, "train"));
}

static void nothing_to_do_is_done(void **state)
{
    (void)state;
    assert_int_equal(kt_parallel_for(NULL, NULL, 0, 16, count_items, NULL, NULL), KITH_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_done_once_by_any_number_of_threads),
        cmocka_unit_test(a_failure_ends_the_loop_and_is_told),
        cmocka_unit_test(a_callback_can_cancel),
        cmocka_unit_test(nothing_to_do_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
