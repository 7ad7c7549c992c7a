/* What every backend promises, on each of them. */
#include "unit/io/scratch.h"

#include <pthread.h>

static void put(struct kt_io *io, const char *name, const char *text)
{
    struct kt_io_writer *writer = NULL;
    assert_ok(kt_io_create(io, name, &writer, &error));
    assert_ok(kt_io_append(writer, text, strlen(text), &error));
    assert_ok(kt_io_finish(writer, &error));
}

static void assert_content(struct kt_io *io, const char *name, const char *text)
{
    struct kt_buffer bytes = { 0 };
    assert_ok(kt_io_read(io, name, 1 << 20, &bytes, &error));
    assert_int_equal(bytes.size, strlen(text));
    assert_memory_equal(bytes.data, text, bytes.size);
    kt_buffer_release(&bytes);
}

static void a_root_is_made_with_its_parents(void **state)
{
    struct scratch scratch;
    struct kt_io *sub = NULL;
    struct kt_io_names names = { 0 };
    scratch_for(&scratch, state);
    assert_ok(kt_io_open_sub(scratch.io, "a/b/c", &sub, &error));
    assert_status(KITH_NOT_FOUND, kt_io_list(sub, "", &names, &error));
    assert_false(kt_io_exists(sub, ""));
    assert_ok(kt_io_mkdir(sub, "", &error));
    assert_ok(kt_io_mkdir(sub, "", &error));
    assert_true(kt_io_exists(scratch.io, "a/b/c"));
    assert_ok(kt_io_mkdir(sub, "d/e", &error));
    assert_ok(kt_io_list(scratch.io, "a/b/c", &names, &error));
    assert_int_equal(names.count, 1);
    kt_io_names_release(&names);
    kt_io_close(sub);
    scratch_close(&scratch);
}

static void what_was_written_is_read(void **state)
{
    enum { SIZE = 3 * 1024 * 1024 + 17 };
    struct scratch scratch;
    struct kt_io_writer *writer = NULL;
    struct kt_io_file *file = NULL;
    scratch_for(&scratch, state);
    uint8_t *bytes = malloc(SIZE), *back = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++) bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    assert_ok(kt_io_create(scratch.io, "big", &writer, &error));
    for (size_t at = 0, step = 1; at < SIZE; at += step, step = step * 3 + 1) { /* small and large appends */
        if (step > SIZE - at) step = SIZE - at;
        assert_ok(kt_io_append(writer, bytes + at, step, &error));
    }
    assert_ok(kt_io_finish(writer, &error));

    assert_ok(kt_io_open(scratch.io, "big", &file, &error));
    assert_int_equal(kt_io_file_size(file), SIZE);
    assert_ok(kt_io_file_read(file, 0, back, SIZE, &error));
    assert_memory_equal(bytes, back, SIZE);
    const uint8_t *map = kt_io_file_map(file);
    assert_non_null(map);
    assert_ptr_equal(map, kt_io_file_map(file));
    assert_int_equal((uintptr_t)map % 64, 0);
    assert_memory_equal(map, bytes, SIZE);
    assert_ok(kt_io_file_read(file, SIZE - 5, back, 5, &error));
    assert_memory_equal(bytes + SIZE - 5, back, 5);
    assert_status(KITH_CORRUPT, kt_io_file_read(file, SIZE - 5, back, 6, &error));
    assert_status(KITH_CORRUPT, kt_io_file_read(file, UINT64_MAX, back, 2, &error));
    assert_ok(kt_io_remove(scratch.io, "big", &error)); /* whoever has it open keeps it */
    assert_ok(kt_io_file_read(file, 0, back, SIZE, &error));
    kt_io_file_close(file);
    free(bytes);
    free(back);
    scratch_close(&scratch);
}

static void a_file_is_created_once(void **state)
{
    struct scratch scratch;
    struct kt_io_writer *writer = NULL;
    struct kt_buffer bytes = { 0 };
    scratch_for(&scratch, state);
    put(scratch.io, "a", "first");
    assert_status(KITH_EXISTS, kt_io_create(scratch.io, "a", &writer, &error));
    assert_status(KITH_NOT_FOUND, kt_io_create(scratch.io, "none/a", &writer, &error));
    assert_content(scratch.io, "a", "first");
    assert_status(KITH_CORRUPT, kt_io_read(scratch.io, "a", 4, &bytes, &error));
    assert_status(KITH_NOT_FOUND, kt_io_read(scratch.io, "b", 4, &bytes, &error));
    put(scratch.io, "empty", "");
    assert_content(scratch.io, "empty", "");
    scratch_close(&scratch);
}

static void an_abandoned_file_is_gone(void **state)
{
    struct scratch scratch;
    struct kt_io_writer *writer = NULL;
    scratch_for(&scratch, state);
    assert_ok(kt_io_create(scratch.io, "a", &writer, &error));
    assert_ok(kt_io_append(writer, "bytes", 5, &error));
    kt_io_abandon(writer);
    assert_false(kt_io_exists(scratch.io, "a"));
    kt_io_abandon(NULL);
    put(scratch.io, "a", "again");
    scratch_close(&scratch);
}

static void publishing_has_one_winner(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    assert_int_equal(kt_io_publish(scratch.io, "7", "mine", 4, NULL), KT_WON);
    assert_int_equal(kt_io_publish(scratch.io, "7", "theirs", 6, NULL), KT_LOST);
    assert_content(scratch.io, "7", "mine");
    kith_error told = { 0 };
    assert_int_equal(kt_io_publish(scratch.io, "none/7", "mine", 4, &told), KT_REFUSED);
    assert_int_equal(told.status, KITH_NOT_FOUND);
    struct kt_io_names names = { 0 };
    assert_ok(kt_io_list(scratch.io, "", &names, &error));
    assert_int_equal(names.count, 1); /* nothing temporary is left */
    kt_io_names_release(&names);
    scratch_close(&scratch);
}

static void names_cannot_lead_out(void **state)
{
    const char *const bad[] = { "..", "../x", "a/../b", ".", "./a", "a/.", "/etc/passwd", "a//b", "a/", "/" };
    struct scratch scratch;
    struct kt_io *sub = NULL;
    struct kt_buffer bytes = { 0 };
    struct kt_io_writer *writer = NULL;
    struct kt_io_names names = { 0 };
    scratch_for(&scratch, state);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_status(KITH_INVALID, kt_io_read(scratch.io, bad[i], 10, &bytes, &error));
        assert_status(KITH_INVALID, kt_io_create(scratch.io, bad[i], &writer, &error));
        assert_status(KITH_INVALID, kt_io_remove_tree(scratch.io, bad[i], &error));
        assert_status(KITH_INVALID, kt_io_open_sub(scratch.io, bad[i], &sub, &error));
        assert_status(KITH_INVALID, kt_io_list(scratch.io, bad[i], &names, &error));
        assert_status(KITH_INVALID, kt_io_rename(scratch.io, "a", bad[i], &error));
        assert_int_equal(kt_io_publish(scratch.io, bad[i], "", 0, NULL), KT_REFUSED);
        assert_false(kt_io_exists(scratch.io, bad[i]));
    }
    assert_status(KITH_INVALID, kt_io_remove(scratch.io, "", &error));
    scratch_close(&scratch);
}

static void lists_are_sorted_by_bytes(void **state)
{
    const char *const sorted[] = { ".h", "A", "a", "a-b", "a.b", "aa" };
    enum { COUNT = sizeof sorted / sizeof *sorted };
    struct scratch scratch;
    struct kt_io_names names = { 0 };
    scratch_for(&scratch, state);
    for (size_t i = COUNT; i-- > 0;) put(scratch.io, sorted[i], "x");
    for (int i = 0; i < 200; i++) { /* more than one call's worth of entries */
        char name[240];
        snprintf(name, sizeof name, "b-%0200d", i);
        put(scratch.io, name, "");
    }
    assert_ok(kt_io_list(scratch.io, "", &names, &error));
    assert_int_equal(names.count, COUNT + 200);
    for (size_t i = 0; i < COUNT; i++) assert_string_equal(names.names[i], sorted[i]);
    for (size_t i = 1; i < names.count; i++) assert_true(strcmp(names.names[i - 1], names.names[i]) < 0);
    kt_io_names_release(&names);
    scratch_close(&scratch);
}

static void a_sub_root_outlives_the_renaming_of_its_folder(void **state)
{
    struct scratch scratch;
    struct kt_io *sub = NULL, *below = NULL;
    scratch_for(&scratch, state);
    assert_ok(kt_io_open_sub(scratch.io, "old", &sub, &error));
    assert_ok(kt_io_mkdir(sub, "log", &error));
    assert_ok(kt_io_open_sub(sub, "log", &below, &error));
    put(below, "1", "one");
    assert_ok(kt_io_rename(scratch.io, "old", "new", &error));
    put(sub, "log/2", "two");
    assert_content(below, "2", "two");
    assert_content(scratch.io, "new/log/1", "one");
    assert_false(kt_io_exists(scratch.io, "old"));
    assert_status(KITH_NOT_FOUND, kt_io_rename(scratch.io, "old", "other", &error));
    assert_ok(kt_io_mkdir(scratch.io, "taken", &error));
    assert_status(KITH_EXISTS, kt_io_rename(scratch.io, "new", "taken", &error));
    kt_io_close(sub); /* before the one below it */
    assert_content(below, "1", "one");
    kt_io_close(below);
    scratch_close(&scratch);
}

static void nothing_can_be_put_into_a_removed_folder(void **state)
{
    struct scratch scratch;
    struct kt_io *sub = NULL;
    struct kt_io_writer *writer = NULL, *open = NULL;
    struct kt_io_names names = { 0 };
    scratch_for(&scratch, state);
    assert_ok(kt_io_open_sub(scratch.io, "t", &sub, &error));
    assert_ok(kt_io_mkdir(sub, "log/deep", &error));
    put(sub, "log/1", "one");
    assert_ok(kt_io_create(sub, "log/2", &open, &error));
    assert_status(KITH_IO, kt_io_remove(scratch.io, "t", &error));
    assert_ok(kt_io_remove_tree(scratch.io, "t", &error));
    assert_ok(kt_io_remove_tree(scratch.io, "t", &error));
    assert_false(kt_io_exists(scratch.io, "t"));
    assert_false(kt_io_exists(sub, "log/1"));
    kt_io_abandon(open);
    assert_ok(kt_io_mkdir(scratch.io, "t", &error)); /* another of that name is not ours */
    assert_status(KITH_NOT_FOUND, kt_io_create(sub, "a", &writer, &error));
    assert_int_equal(kt_io_publish(sub, "a", "x", 1, NULL), KT_REFUSED);
    assert_status(KITH_NOT_FOUND, kt_io_list(sub, "log", &names, &error));
    kt_io_close(sub);
    scratch_close(&scratch);
}

static void a_folder_is_not_a_file(void **state)
{
    struct scratch scratch;
    struct kt_buffer bytes = { 0 };
    scratch_for(&scratch, state);
    assert_ok(kt_io_mkdir(scratch.io, "folder", &error));
    assert_status(KITH_CORRUPT, kt_io_read(scratch.io, "folder", 10, &bytes, &error));
    put(scratch.io, "file", "x");
    struct kt_io_names names = { 0 };
    assert_int_not_equal(kt_io_list(scratch.io, "file", &names, NULL), KITH_OK);
    assert_int_not_equal(kt_io_mkdir(scratch.io, "file/below", NULL), KITH_OK);
    assert_false(kt_io_exists(scratch.io, "file/below"));
    scratch_close(&scratch);
}

static void random_numbers_and_time_are_the_systems(void **state)
{
    struct scratch scratch;
    uint64_t a[2] = { 0 }, b[2] = { 0 };
    scratch_for(&scratch, state);
    assert_ok(kt_io_entropy(scratch.io, a, sizeof a, &error));
    assert_ok(kt_io_entropy(scratch.io, b, sizeof b, &error));
    assert_memory_not_equal(a, b, sizeof a);
    int64_t now = kt_io_now_us(scratch.io);
    assert_true(now > 1600000000000000 && now <= kt_io_now_us(scratch.io));
    scratch_close(&scratch);
}

/* ---- threads */

struct racer {
    struct kt_io *io;
    int wins;
};

static void *race(void *context)
{
    struct racer *racer = context;
    for (int i = 0; i < 100; i++) {
        char name[16];
        struct kt_buffer bytes = { 0 };
        snprintf(name, sizeof name, "%d", i);
        racer->wins += kt_io_publish(racer->io, name, name, strlen(name), NULL) == KT_WON;
        if (kt_io_read(racer->io, name, 16, &bytes, NULL) || bytes.size != strlen(name))
            racer->wins += 1000000;
        kt_buffer_release(&bytes);
    }
    return NULL;
}

static void threads_share_a_root(void **state)
{
    enum { THREADS = 4 };
    struct scratch scratch;
    struct kt_io *sub = NULL;
    struct racer racers[THREADS] = { 0 };
    pthread_t threads[THREADS];
    scratch_for(&scratch, state);
    assert_ok(kt_io_open_sub(scratch.io, "log", &sub, &error));
    assert_ok(kt_io_mkdir(sub, "", &error));
    for (int i = 0; i < THREADS; i++) {
        racers[i].io = sub;
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    int wins = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        wins += racers[i].wins;
    }
    assert_int_equal(wins, 100);
    kt_io_close(sub);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        on_both(a_root_is_made_with_its_parents),
        on_both(what_was_written_is_read),
        on_both(a_file_is_created_once),
        on_both(an_abandoned_file_is_gone),
        on_both(publishing_has_one_winner),
        on_both(names_cannot_lead_out),
        on_both(lists_are_sorted_by_bytes),
        on_both(a_sub_root_outlives_the_renaming_of_its_folder),
        on_both(nothing_can_be_put_into_a_removed_folder),
        on_both(a_folder_is_not_a_file),
        on_both(random_numbers_and_time_are_the_systems),
        on_both(threads_share_a_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
