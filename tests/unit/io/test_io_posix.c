/* The posix backend against a system that is slow, stingy, full, forbidding or lying: system calls are
 * replaced in `kt_posix` one at a time. And the race that commits rest on, between processes. */
#include "unit/io/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/io_posix.h"

static struct kt_posix_calls real;

static int restore(void **state)
{
    (void)state;
    kt_posix = real;
    return 0;
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

static size_t names_in(struct kt_io *io)
{
    struct kt_io_names names = { 0 };
    assert_ok(kt_io_list(io, "", &names, &error));
    size_t count = names.count;
    kt_io_names_release(&names);
    return count;
}

/* ---- slow and stingy */

static ssize_t write_a_little(int fd, const void *bytes, size_t count)
{
    static int calls;
    if (calls++ % 3 == 0) return errno = EINTR, -1;
    return real.write(fd, bytes, count > 1000 ? 1000 : count);
}

static ssize_t read_a_little(int fd, void *to, size_t count, off_t offset)
{
    static int calls;
    if (calls++ % 3 == 0) return errno = EINTR, -1;
    return real.read_at(fd, to, count > 777 ? 777 : count, offset);
}

static int open_interrupted(int folder, const char *name, int flags, mode_t mode)
{
    static int calls;
    if (calls++ % 2 == 0) return errno = EINTR, -1;
    return real.open(folder, name, flags, mode);
}

static void short_and_interrupted_calls_are_gone_on_with(void **state)
{
    enum { SIZE = 600 * 1000 };
    struct scratch scratch;
    struct kt_io_writer *writer = NULL;
    struct kt_buffer back = { 0 };
    (void)state;
    uint8_t *bytes = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++) bytes[i] = (uint8_t)(i / 7);
    scratch_open(&scratch, false);
    kt_posix.write = write_a_little;
    kt_posix.read_at = read_a_little;
    kt_posix.open = open_interrupted;
    assert_ok(kt_io_create(scratch.io, "a", &writer, &error));
    assert_ok(kt_io_append(writer, bytes, 100, &error));
    assert_ok(kt_io_append(writer, bytes + 100, SIZE - 100, &error));
    assert_ok(kt_io_finish(writer, &error));
    assert_ok(kt_io_read(scratch.io, "a", SIZE, &back, &error));
    assert_int_equal(back.size, SIZE);
    assert_memory_equal(back.data, bytes, SIZE);
    kt_buffer_release(&back);
    assert_int_equal(kt_io_publish(scratch.io, "b", bytes, SIZE, NULL), KT_WON);
    assert_ok(kt_io_read(scratch.io, "b", SIZE, &back, &error));
    assert_memory_equal(back.data, bytes, SIZE);
    kt_buffer_release(&back);
    free(bytes);
    scratch_close(&scratch);
}

/* ---- failing */

static int fail_sync(int fd)
{
    (void)fd;
    return errno = EIO, -1;
}

static ssize_t fail_write(int fd, const void *bytes, size_t count)
{
    (void)fd, (void)bytes, (void)count;
    return errno = ENOSPC, -1;
}

static void a_file_whose_sync_failed_is_gone(void **state)
{
    struct scratch scratch;
    struct kt_io_writer *writer = NULL;
    (void)state;
    scratch_open(&scratch, false);
    assert_ok(kt_io_create(scratch.io, "a", &writer, &error));
    assert_ok(kt_io_append(writer, "bytes", 5, &error));
    kt_posix.sync_data = fail_sync;
    kith_error told = { 0 };
    assert_int_equal(kt_io_finish(writer, &told), KITH_IO);
    assert_non_null(strstr(told.message, "/a: fdatasync failed"));
    assert_int_equal(names_in(scratch.io), 0);
    scratch_close(&scratch);
}

static void a_full_disk_says_so_and_leaves_nothing(void **state)
{
    struct scratch scratch;
    struct kt_io_writer *writer = NULL;
    (void)state;
    scratch_open(&scratch, false);
    kt_posix.write = fail_write;
    assert_ok(kt_io_create(scratch.io, "a", &writer, &error));
    assert_ok(kt_io_append(writer, "bytes", 5, &error)); /* gathered */
    assert_status(KITH_IO, kt_io_finish(writer, &error));
    kith_error told = { 0 };
    assert_int_equal(kt_io_publish(scratch.io, "b", "bytes", 5, &told), KT_REFUSED);
    assert_int_equal(told.status, KITH_IO);
    assert_non_null(strstr(told.message, "No space left"));
    assert_int_equal(names_in(scratch.io), 0);
    scratch_close(&scratch);
}

/* A write that failed is not made good by those after it. */
static void a_failed_write_fails_the_file(void **state)
{
    struct scratch scratch;
    struct kt_io_writer *writer = NULL;
    static uint8_t large[300 * 1024];
    (void)state;
    scratch_open(&scratch, false);
    assert_ok(kt_io_create(scratch.io, "a", &writer, &error));
    kt_posix.write = fail_write;
    assert_status(KITH_IO, kt_io_append(writer, large, sizeof large, &error));
    kt_posix.write = real.write;
    kt_io_append(writer, large, sizeof large, NULL);
    assert_status(KITH_IO, kt_io_finish(writer, &error));
    assert_int_equal(names_in(scratch.io), 0);
    scratch_close(&scratch);
}

static int map_refused_count;
static void *refuse_map(void *where, size_t count, int protection, int flags, int fd, off_t offset)
{
    (void)where, (void)count, (void)protection, (void)flags, (void)fd, (void)offset;
    map_refused_count++;
    return errno = ENOMEM, (void *)-1;
}

static void a_file_that_cannot_be_mapped_can_be_read(void **state)
{
    struct scratch scratch;
    struct kt_io_file *file = NULL;
    char byte;
    (void)state;
    scratch_open(&scratch, false);
    assert_int_equal(kt_io_publish(scratch.io, "a", "x", 1, NULL), KT_WON);
    kt_posix.map = refuse_map;
    assert_ok(kt_io_open(scratch.io, "a", &file, &error));
    assert_null(kt_io_file_map(file));
    assert_int_equal(map_refused_count, 1);
    assert_ok(kt_io_file_read(file, 0, &byte, 1, &error));
    kt_io_file_close(file);
    scratch_close(&scratch);
}

/* ---- links out of the folder */

static void symbolic_links_are_not_followed(void **state)
{
    struct scratch scratch;
    struct kt_buffer bytes = { 0 };
    struct kt_io_writer *writer = NULL;
    char path[128];
    (void)state;
    scratch_open(&scratch, false);
    snprintf(path, sizeof path, "%s/passwd", scratch.path);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_status(KITH_IO, kt_io_read(scratch.io, "passwd", 1 << 20, &bytes, &error));
    snprintf(path, sizeof path, "%s/data", scratch.path);
    assert_int_equal(symlink("/etc", path), 0);
    assert_int_not_equal(kt_io_read(scratch.io, "data/passwd", 1 << 20, &bytes, NULL), KITH_OK);
    assert_int_not_equal(kt_io_create(scratch.io, "data/kith-test", &writer, NULL), KITH_OK);
    assert_false(kt_io_exists(scratch.io, "data/passwd"));
    assert_ok(kt_io_remove_tree(scratch.io, "data", &error)); /* the link, not what it points to */
    assert_int_equal(access("/etc/passwd", R_OK), 0);
    snprintf(path, sizeof path, "%s/pipe", scratch.path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_status(KITH_CORRUPT, kt_io_read(scratch.io, "pipe", 10, &bytes, &error)); /* and does not hang */
    scratch_close(&scratch);
}

/* ---- the ways of publishing */

static int refuse_tmpfile(int folder, const char *name, int flags, mode_t mode)
{
    if ((flags & O_TMPFILE) == O_TMPFILE) return errno = EOPNOTSUPP, -1;
    return real.open(folder, name, flags, mode);
}

static int links;
static int refuse_link(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    (void)from_folder, (void)from, (void)to_folder, (void)to, (void)flags;
    links++;
    return errno = EPERM, -1;
}

static int refuse_empty_path(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    if (flags & AT_EMPTY_PATH)
        return errno = ENOENT, -1; /* what Linux before 6.10 says without the capability */
    return real.link(from_folder, from, to_folder, to, flags);
}

static int refuse_rename(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    (void)from_folder, (void)from, (void)to_folder, (void)to, (void)flags;
    return errno = EINVAL, -1;
}

enum way { BY_EMPTY_PATH, BY_PROC, BY_NAMED_LINK, BY_RENAME, WAYS };

static void force(enum way way)
{
    kt_posix = real;
    if (way == BY_PROC) kt_posix.link = refuse_empty_path;
    if (way == BY_NAMED_LINK) kt_posix.open = refuse_tmpfile;
    if (way == BY_RENAME) kt_posix.link = refuse_link;
}

static void each_way_of_publishing_wins_and_loses(void **state)
{
    (void)state;
    for (int way = 0; way < WAYS; way++) {
        struct scratch scratch;
        scratch_open(&scratch, false);
        int before = open_descriptors();
        force((enum way)way);
        assert_int_equal(kt_io_publish(scratch.io, "1", "mine", 4, NULL), KT_WON);
        assert_int_equal(kt_io_publish(scratch.io, "1", "theirs", 6, NULL), KT_LOST);
        struct kt_buffer bytes = { 0 };
        assert_ok(kt_io_read(scratch.io, "1", 10, &bytes, &error));
        assert_int_equal(bytes.size, 4);
        kt_buffer_release(&bytes);
        assert_int_equal(names_in(scratch.io), 1);
        assert_int_equal(open_descriptors(), before);
        if (way == BY_RENAME) assert_true(links >= 2);
        kt_posix = real;
        scratch_close(&scratch);
    }
}

static void a_file_system_without_any_way_is_refused_in_words(void **state)
{
    struct scratch scratch;
    (void)state;
    scratch_open(&scratch, false);
    kt_posix.link = refuse_link;
    kt_posix.rename = refuse_rename;
    kith_error told = { 0 };
    assert_int_equal(kt_io_publish(scratch.io, "1", "mine", 4, &told), KT_REFUSED);
    assert_int_equal(told.status, KITH_UNSUPPORTED);
    assert_non_null(strstr(told.message, "neither link"));
    assert_int_equal(names_in(scratch.io), 0);
    scratch_close(&scratch);
}

static int lie_about_link(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    int done = real.link(from_folder, from, to_folder, to, flags);
    return errno = EEXIST, done ? done : -1; /* a repeated request over a network says so */
}

static int lie_about_rename(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    int done = real.rename(from_folder, from, to_folder, to, flags);
    return errno = EIO, done ? done : -1;
}

static void a_success_reported_as_a_failure_is_a_win(void **state)
{
    struct scratch scratch;
    (void)state;
    scratch_open(&scratch, false);
    kt_posix.link = lie_about_link;
    assert_int_equal(kt_io_publish(scratch.io, "1", "mine", 4, NULL), KT_WON);
    assert_int_equal(kt_io_publish(scratch.io, "1", "mine", 4, NULL), KT_LOST);
    kt_posix.link = refuse_link;
    kt_posix.rename = lie_about_rename;
    assert_int_equal(kt_io_publish(scratch.io, "2", "mine", 4, NULL), KT_WON);
    assert_int_equal(kt_io_publish(scratch.io, "2", "mine", 4, NULL), KT_LOST);
    assert_int_equal(names_in(scratch.io), 2);
    scratch_close(&scratch);
}

static void a_rename_that_was_done_is_never_called_a_failure(void **state)
{
    struct scratch scratch;
    (void)state;
    scratch_open(&scratch, false);
    assert_int_equal(kt_io_publish(scratch.io, "1", "mine", 4, NULL), KT_WON);
    kt_posix.rename = lie_about_rename;
    assert_ok(kt_io_rename(scratch.io, "1", "2", &error));
    assert_status(KITH_NOT_FOUND, kt_io_rename(scratch.io, "1", "3", &error));
    kt_posix = real;
    kt_posix.sync = fail_sync;
    assert_status(KITH_UNKNOWN, kt_io_rename(scratch.io, "2", "3", &error));
    assert_true(kt_io_exists(scratch.io, "3"));
    kt_posix = real;
    kt_posix.rename = refuse_rename;
    assert_status(KITH_IO, kt_io_rename(scratch.io, "3", "4", &error));
    assert_true(kt_io_exists(scratch.io, "3"));
    scratch_close(&scratch);
}

static void a_name_whose_folder_was_not_synced_is_unknown(void **state)
{
    struct scratch scratch;
    (void)state;
    scratch_open(&scratch, false);
    kt_posix.sync = fail_sync;
    kith_error told = { 0 };
    assert_int_equal(kt_io_publish(scratch.io, "1", "mine", 4, &told), KT_UNKNOWN);
    assert_int_equal(told.status, KITH_UNKNOWN);
    assert_true(kt_io_exists(scratch.io, "1"));
    scratch_close(&scratch);
}

static int late_files;
static int unlink_after_another_came(int folder, const char *name, int flags)
{
    if (flags & AT_REMOVEDIR && late_files-- > 0) {
        char path[64];
        snprintf(path, sizeof path, "%s/late", name);
        close(real.open(folder, path, O_CREAT | O_WRONLY, 0600));
    }
    return real.unlink(folder, name, flags);
}

static void a_folder_is_removed_though_files_keep_coming(void **state)
{
    struct scratch scratch;
    (void)state;
    scratch_open(&scratch, false);
    assert_ok(kt_io_mkdir(scratch.io, "t/log", &error));
    late_files = 3;
    kt_posix.unlink = unlink_after_another_came;
    assert_ok(kt_io_remove_tree(scratch.io, "t", &error));
    assert_int_equal(names_in(scratch.io), 0);
    kt_posix = real;
    scratch_close(&scratch);
}

/* ---- the race */

enum { RACERS = 8, NAMES = 150 };

/* Publishes every name and exits with the wins written to its pipe. */
static void race(const char *path, int number, int result)
{
    struct kt_io *io = NULL;
    uint8_t won[NAMES] = { 0 };
    if (kt_io_open_folder(path, &io, NULL)) _exit(1);
    for (int i = 0; i < NAMES; i++) {
        char name[16], text[64];
        snprintf(name, sizeof name, "%d", i);
        int count = snprintf(text, sizeof text, "racer %d wrote this", number);
        enum kt_published published = kt_io_publish(io, name, text, (size_t)count, NULL);
        if (published != KT_WON && published != KT_LOST) _exit(2);
        won[i] = published == KT_WON;
    }
    kt_io_close(io);
    _exit(write(result, won, sizeof won) == sizeof won ? 0 : 3);
}

static void assert_race(enum way way)
{
    struct scratch scratch;
    int pipes[RACERS][2], winner[NAMES];
    pid_t racers[RACERS];
    scratch_open(&scratch, false);
    force(way);
    for (int i = 0; i < RACERS; i++) {
        assert_int_equal(pipe(pipes[i]), 0);
        racers[i] = fork();
        if (racers[i] == 0) race(scratch.path, i, pipes[i][1]);
        close(pipes[i][1]);
    }
    for (int i = 0; i < NAMES; i++) winner[i] = -1;
    for (int i = 0; i < RACERS; i++) {
        int status;
        uint8_t won[NAMES];
        assert_int_equal(waitpid(racers[i], &status, 0), racers[i]);
        assert_int_equal(status, 0);
        assert_int_equal(read(pipes[i][0], won, sizeof won), sizeof won);
        close(pipes[i][0]);
        for (int n = 0; n < NAMES; n++) {
            if (!won[n]) continue;
            assert_int_equal(winner[n], -1); /* two winners */
            winner[n] = i;
        }
    }
    kt_posix = real;
    assert_int_equal(names_in(scratch.io), NAMES);
    for (int n = 0; n < NAMES; n++) {
        char name[16], text[64];
        struct kt_buffer bytes = { 0 };
        assert_int_not_equal(winner[n], -1); /* no winner */
        snprintf(name, sizeof name, "%d", n);
        int count = snprintf(text, sizeof text, "racer %d wrote this", winner[n]);
        assert_ok(kt_io_read(scratch.io, name, 100, &bytes, &error));
        assert_int_equal(bytes.size, count);
        assert_memory_equal(bytes.data, text, bytes.size);
        kt_buffer_release(&bytes);
    }
    scratch_close(&scratch);
}

static void processes_race_by_link(void **state)
{
    (void)state;
    assert_race(BY_EMPTY_PATH);
}

static void processes_race_by_named_link(void **state)
{
    (void)state;
    assert_race(BY_NAMED_LINK);
}

static void processes_race_by_rename(void **state)
{
    (void)state;
    assert_race(BY_RENAME);
}

int main(void)
{
    real = kt_posix;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(short_and_interrupted_calls_are_gone_on_with, restore),
        cmocka_unit_test_teardown(a_file_whose_sync_failed_is_gone, restore),
        cmocka_unit_test_teardown(a_full_disk_says_so_and_leaves_nothing, restore),
        cmocka_unit_test_teardown(a_failed_write_fails_the_file, restore),
        cmocka_unit_test_teardown(a_file_that_cannot_be_mapped_can_be_read, restore),
        cmocka_unit_test_teardown(symbolic_links_are_not_followed, restore),
        cmocka_unit_test_teardown(each_way_of_publishing_wins_and_loses, restore),
        cmocka_unit_test_teardown(a_file_system_without_any_way_is_refused_in_words, restore),
        cmocka_unit_test_teardown(a_success_reported_as_a_failure_is_a_win, restore),
        cmocka_unit_test_teardown(a_name_whose_folder_was_not_synced_is_unknown, restore),
        cmocka_unit_test_teardown(a_folder_is_removed_though_files_keep_coming, restore),
        cmocka_unit_test_teardown(processes_race_by_link, restore),
        cmocka_unit_test_teardown(processes_race_by_named_link, restore),
        cmocka_unit_test_teardown(a_rename_that_was_done_is_never_called_a_failure, restore),
        cmocka_unit_test_teardown(processes_race_by_rename, restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
