/* The base room: what everything rests on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/lock.h"
#include "base/random.h"
#include "base/status.h"
#include "base/top.h"

static int by_distance_then_row(const void *a, const void *b)
{
    const struct kt_hit *left = a, *right = b;
    if (kt_hit_before(*left, *right)) return -1;
    return kt_hit_before(*right, *left) ? 1 : 0;
}

static void top_keeps_what_a_full_sort_would(void **state)
{
    (void)state;
    struct kt_random random = { 42 };
    for (int round = 0; round < 200; round++) {
        enum { MOST = 300 };
        struct kt_hit all[MOST], room[MOST];
        size_t count = kt_random_below(&random, MOST), k = kt_random_below(&random, 40);
        struct kt_top top = { .hits = room, .capacity = k };
        for (size_t i = 0; i < count; i++) {
            all[i] = (struct kt_hit){ (float)kt_random_below(&random, 20), i }; /* many ties */
            kt_top_offer(&top, all[i].distance, all[i].row);
        }
        qsort(all, count, sizeof *all, by_distance_then_row);
        kt_top_sort(&top);
        assert_int_equal(top.count, k < count ? k : count);
        for (size_t i = 0; i < top.count; i++) assert_int_equal(top.hits[i].row, all[i].row);
    }
}

static void top_never_takes_nan(void **state)
{
    (void)state;
    struct kt_hit room[2];
    struct kt_top top = { .hits = room, .capacity = 2 };
    kt_top_offer(&top, NAN, 1);
    assert_int_equal(top.count, 0);
}

static void arena_gives_aligned_memory_and_keeps_its_chunk(void **state)
{
    (void)state;
    struct kt_arena arena = { 0 };
    for (int round = 0; round < 3; round++) {
        for (size_t size = 1; size < 100000; size = size * 3 + 1) {
            uint8_t *memory = kt_arena_take(&arena, size, 1);
            assert_non_null(memory);
            assert_int_equal((uintptr_t)memory % 64, 0);
            memset(memory, round, size);
        }
        kt_arena_clear(&arena);
    }
    assert_null(kt_arena_take(&arena, SIZE_MAX / 2, 3));
    kt_arena_release(&arena);
    kt_arena_release(&arena);
}

static void sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    assert_null(kt_alloc_array(SIZE_MAX / 4, 8));
    assert_null(kt_realloc_array(NULL, SIZE_MAX / 4, 8));
    struct kt_buffer buffer = { .size = SIZE_MAX - 4 };
    assert_false(kt_buffer_reserve(&buffer, 16));
}

static void buffers_grow_and_keep_their_content(void **state)
{
    (void)state;
    struct kt_buffer buffer = { 0 };
    for (int i = 0; i < 1000; i++) assert_true(kt_buffer_text(&buffer, "%d,", i));
    assert_memory_equal(buffer.data, "0,1,2,3,", 8);
    assert_int_equal(buffer.size, 10 * 2 + 90 * 3 + 900 * 4);
    assert_true(kt_buffer_append(&buffer, NULL, 3));
    assert_int_equal(buffer.data[buffer.size - 1], 0);
    kt_buffer_release(&buffer);
}

static void hexadecimal_comes_back_and_rubbish_does_not(void **state)
{
    (void)state;
    const uint8_t bytes[] = { 0, 1, 0x7f, 0x80, 0xff };
    uint8_t back[5];
    char text[11];
    kt_hex(bytes, 5, text);
    assert_string_equal(text, "00017f80ff");
    assert_true(kt_unhex(text, 5, back));
    assert_memory_equal(bytes, back, 5);
    assert_false(kt_unhex(text, 4, back));
    assert_false(kt_unhex("00017f80f", 5, back));
    assert_false(kt_unhex("00017f80fG", 5, back));
}

static void a_message_holds_whole_characters(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        { "na\xc3\xafve \xe6\x97\xa5 \xf0\x9f\x98\x80", "na\xc3\xafve \xe6\x97\xa5 \xf0\x9f\x98\x80" },
        { "cut \xc3", "cut ?" },                               /* at the end */
        { "cut \xe6\x97\"; more", "cut ?\"; more" },           /* where a quotation ends */
        { "\xf0\x9f\x98", "?" },                               /* one for each character */
        { "\xff\xfe caf\xe9", "?? caf?" },                     /* never UTF-8 */
        { "\xc0\x80 \xed\xa0\x80 \xf5\x80\x80\x80", "? ? ?" }, /* forms that UTF-8 forbids */
    };
    kith_error error = { 0 };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(kt_fail(&error, KITH_INVALID, "%s", texts[i][0]), KITH_INVALID);
        assert_string_equal(error.message, texts[i][1]);
    }
    char text[2 * sizeof error.message];
    for (size_t i = 0; i + 2 < sizeof text; i += 2) memcpy(text + i, "\xc3\xa4", 2);
    text[sizeof text - 2] = '\0';
    kt_fail(&error, KITH_INVALID, "%s", text); /* an odd number of bytes fits */
    assert_int_equal(error.message[strlen(error.message) - 1], '?');
}

static void names_are_read_as_they_are_written(void **state)
{
    (void)state;
    for (int metric = KITH_L2; metric <= KITH_HAMMING; metric++) {
        kith_metric back;
        assert_int_equal(kith_metric_parse(kith_metric_name((kith_metric)metric), &back, NULL), KITH_OK);
        assert_int_equal((int)back, metric);
    }
    for (int type = KITH_IVF_FLAT; type <= KITH_LABEL_LIST; type++) {
        kith_index_type back;
        assert_int_equal(kith_index_type_parse(kith_index_type_name((kith_index_type)type), &back, NULL),
                         KITH_OK);
        assert_int_equal((int)back, type);
    }
    kith_metric metric;
    kith_error error;
    assert_int_equal(kith_metric_parse("manhattan", &metric, &error), KITH_INVALID);
    assert_non_null(strstr(error.message, "manhattan"));
    assert_int_equal(kith_metric_parse(NULL, &metric, NULL), KITH_INVALID);
}

static void *hold_and_let_go(void *argument)
{
    struct kt_lock *lock = argument;
    for (int i = 0; i < 20000; i++) {
        kt_lock_take(lock);
        kt_lock_give(lock);
    }
    return NULL;
}

static void a_forked_child_finds_every_lock_free(void **state)
{
    (void)state;
    struct kt_lock lock;
    pthread_t thread;
    kt_lock_init(&lock);
    assert_int_equal(pthread_create(&thread, NULL, hold_and_let_go, &lock), 0);
    for (int i = 0; i < 50; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            kt_lock_take(&lock);
            kt_lock_give(&lock);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    pthread_join(thread, NULL);
    kt_lock_release(&lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(top_keeps_what_a_full_sort_would),
        cmocka_unit_test(top_never_takes_nan),
        cmocka_unit_test(arena_gives_aligned_memory_and_keeps_its_chunk),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(buffers_grow_and_keep_their_content),
        cmocka_unit_test(hexadecimal_comes_back_and_rubbish_does_not),
        cmocka_unit_test(a_message_holds_whole_characters),
        cmocka_unit_test(names_are_read_as_they_are_written),
        cmocka_unit_test(a_forked_child_finds_every_lock_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
