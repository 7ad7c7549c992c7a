/* Every system call that a commit makes fails in turn, once or from then on, and afterwards the table opens:
 * what was acknowledged is there, what failed is not, what is unknown is either.
 *
 * Syncs are counted but not done: nothing here loses power, and the test runs in seconds. */
#include "unit/storage/store_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "io/io_posix.h"

static struct kt_posix_calls real;
static struct {
    long calls;          /* so far */
    long failing;        /* the number of the first call that fails; 0 for none */
    bool for_ever;       /* and all after it */
    bool spared_removal; /* the call that failed was a removal: its file may be left */
} fault;

static bool fails(void)
{
    fault.calls++;
    bool now =
        fault.failing && (fault.calls == fault.failing || (fault.for_ever && fault.calls > fault.failing));
    if (now) errno = EIO;
    return now;
}

static int f_open(int folder, const char *name, int flags, mode_t mode)
{
    return fails() ? -1 : real.open(folder, name, flags, mode);
}
static int f_close(int fd)
{
    bool failed = fails();
    int result = real.close(fd); /* a close that fails closes all the same */
    return failed ? (errno = EIO, -1) : result;
}
static int f_stat(int fd, struct stat *out)
{
    return fails() ? -1 : real.stat(fd, out);
}
static int f_stat_name(int folder, const char *name, struct stat *out, int flags)
{
    return fails() ? -1 : real.stat_name(folder, name, out, flags);
}
static ssize_t f_read_at(int fd, void *to, size_t count, off_t offset)
{
    return fails() ? -1 : real.read_at(fd, to, count, offset);
}
static ssize_t f_write(int fd, const void *bytes, size_t count)
{
    return fails() ? -1 : real.write(fd, bytes, count);
}
static int f_sync(int fd)
{
    (void)fd;
    return fails() ? -1 : 0;
}
static int f_link(int a, const char *from, int b, const char *to, int flags)
{
    return fails() ? -1 : real.link(a, from, b, to, flags);
}
static int f_rename(int a, const char *from, int b, const char *to, unsigned flags)
{
    return fails() ? -1 : real.rename(a, from, b, to, flags);
}
static int f_unlink(int folder, const char *name, int flags)
{
    if (!fails()) return real.unlink(folder, name, flags);
    fault.spared_removal = true;
    return -1;
}
static int f_mkdir(int folder, const char *name, mode_t mode)
{
    return fails() ? -1 : real.mkdir(folder, name, mode);
}
static ssize_t f_entries(int fd, void *to, size_t count)
{
    return fails() ? -1 : real.entries(fd, to, count);
}
static void *f_map(void *where, size_t count, int protection, int flags, int fd, off_t offset)
{
    return fails() ? (void *)-1 : real.map(where, count, protection, flags, fd, offset);
}
static ssize_t f_entropy(void *to, size_t count, unsigned flags)
{
    return fails() ? -1 : real.entropy(to, count, flags);
}

static void arm(long failing, bool for_ever)
{
    kt_posix.open = f_open, kt_posix.close = f_close, kt_posix.stat = f_stat,
    kt_posix.stat_name = f_stat_name;
    kt_posix.read_at = f_read_at, kt_posix.write = f_write, kt_posix.sync_data = f_sync,
    kt_posix.sync = f_sync;
    kt_posix.link = f_link, kt_posix.rename = f_rename, kt_posix.unlink = f_unlink, kt_posix.mkdir = f_mkdir;
    kt_posix.entries = f_entries, kt_posix.map = f_map, kt_posix.entropy = f_entropy;
    fault.calls = 0, fault.failing = failing, fault.for_ever = for_ever, fault.spared_removal = false;
}

static void disarm(void)
{
    kt_posix = real;
    kt_posix.sync = f_sync, kt_posix.sync_data = f_sync; /* still too slow to be done */
    fault.failing = 0;
}

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

/* ---- what is done while calls fail */

struct outcome {
    uint64_t rows;    /* acknowledged */
    uint64_t unknown; /* rows that may be there too */
    bool created;     /* some commit was acknowledged */
    bool perhaps;     /* or is unknown */
    bool failed;      /* some step failed */
};

static void note(struct outcome *outcome, kith_status status, const kith_error *told, uint64_t rows)
{
    if (status && !told->message[0]) fail_msg("a failure without a word");
    if (!status) outcome->rows += rows;
    if (status == KITH_UNKNOWN) outcome->unknown += rows;
    outcome->created |= status == KITH_OK;
    outcome->perhaps |= status == KITH_UNKNOWN;
    outcome->failed |= status != KITH_OK;
}

static void step(struct kt_store *store, struct change change, uint64_t rows, struct outcome *outcome)
{
    kith_error told = { 0 };
    note(outcome, commit_change(store, &change, NULL, &told), &told, rows);
}

static struct outcome create_and_fill(struct kt_io *io)
{
    struct outcome outcome = { 0 };
    struct kt_store *store = NULL;
    kith_error told = { 0 };
    kith_status status = kt_store_create(io, "t.kith", &store, &told);
    if (status) {
        outcome.failed = true;
        if (!told.message[0]) fail_msg("a failure without a word");
        return outcome;
    }
    step(store, (struct change){ .operation = "create", .schema = "{}" }, 0, &outcome);
    if (outcome.created || outcome.perhaps) {
        step(store, (struct change){ .rows = 1, .inlined = "x" }, 1, &outcome);
        step(store, (struct change){ .rows = 10, .file_bytes = 300 * 1024 }, 10, &outcome);
        step(store, (struct change){ .piece = "000102030405060708090a0b0c0d0e0f", .maintenance = true }, 0,
             &outcome);
    }
    kt_store_close(store);
    return outcome;
}

/* No file is there that the state does not name. */
static void assert_no_orphans(struct kt_io *io, const struct kt_state *state)
{
    size_t files = state->piece_count;
    for (uint32_t i = 0; i < state->fragment_count; i++) files += state->fragments[i].group_count;
    assert_int_equal(names_in(io, "t.kith/data") + names_in(io, "t.kith/index"), files);
}

static void assert_files_whole(struct kt_store *store, const struct kt_state *state)
{
    for (uint32_t i = 0; i < state->fragment_count; i++) {
        for (uint32_t g = 0; g < state->fragments[i].group_count; g++) {
            const struct kt_stored_file *file = &state->fragments[i].groups[g].file;
            struct kt_view_file *view = NULL;
            assert_ok(kt_view_open(kt_store_io(store), file->name, &file->seal, &view, &error));
            assert_ok(kt_view_verify(view, &error));
            kt_view_close(view);
        }
    }
}

/* The table is what the outcome says, and takes a commit. */
static void assert_outcome(struct kt_io *io, const struct outcome *outcome, long failing)
{
    struct kt_store *store = NULL;
    kith_error told = { 0 };
    kith_status opened = kt_store_open(io, "t.kith", &store, &told);
    bool exists = outcome->created || (outcome->perhaps && !opened);
    if (opened != (exists ? KITH_OK : KITH_NOT_FOUND)) fail_msg("call %ld failed: %s", failing, told.message);
    if (opened) store = store_with_schema(io, "t.kith");
    struct kt_state *state = load(store);
    assert_sound_state(state);
    if (state->rows < outcome->rows || state->rows > outcome->rows + outcome->unknown)
        fail_msg("call %ld failed: %llu rows, acknowledged %llu, unknown %llu", failing,
                 (unsigned long long)state->rows, (unsigned long long)outcome->rows,
                 (unsigned long long)outcome->unknown);
    assert_files_whole(store, state);
    if (!fault.spared_removal && !fault.for_ever) assert_no_orphans(io, state);
    struct kt_state *after = done(store, (struct change){ .rows = 2, .inlined = "yy" });
    assert_int_equal(after->rows, state->rows + 2);
    kt_state_release(after);
    kt_state_release(state);
    kt_store_close(store);
}

static void fail_each_call(bool for_ever)
{
    for (long failing = 1;; failing++) {
        struct scratch scratch;
        scratch_open(&scratch, false);
        int before = open_descriptors();
        arm(failing, for_ever);
        struct outcome outcome = create_and_fill(scratch.io);
        bool reached = fault.calls >= failing;
        disarm();
        assert_int_equal(open_descriptors(), before);
        assert_outcome(scratch.io, &outcome, failing);
        assert_int_equal(open_descriptors(), before);
        scratch_close(&scratch);
        if (!reached) {
            assert_false(outcome.failed);
            assert_true(failing > 50);
            print_message("%ld calls\n", failing - 1);
            return;
        }
    }
}

static void any_call_may_fail_once(void **state)
{
    (void)state;
    fail_each_call(false);
}

static void all_calls_may_fail_from_any_on(void **state)
{
    (void)state;
    fail_each_call(true);
}

/* ---- the commit that writes a checkpoint: its failure is not told */

static void fail_checkpoint(bool for_ever)
{
    for (long failing = 1;; failing++) {
        struct scratch scratch;
        scratch_open(&scratch, false);
        disarm();
        struct kt_store *store = store_with_schema(scratch.io, "t.kith");
        for (int i = 2; i < 64; i++)
            kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "x" }));
        struct outcome outcome = { .rows = 62, .created = true };
        arm(failing, for_ever);
        step(store, (struct change){ .rows = 10, .inlined = "ten" }, 10, &outcome);
        bool reached = fault.calls >= failing;
        disarm();
        kt_store_close(store);
        assert_outcome(scratch.io, &outcome, failing);
        assert_int_not_equal(names_in(scratch.io, "t.kith/log"), 0);
        scratch_close(&scratch);
        if (!reached) {
            print_message("%ld calls\n", failing - 1);
            return;
        }
    }
}

static void any_call_of_a_checkpoint_may_fail(void **state)
{
    (void)state;
    fail_checkpoint(false);
    fail_checkpoint(true);
}

/* ---- cleaning up */

static const struct kt_retention ONLY_THE_NEWEST = { .keep_versions = 1,
                                                     .keep_us = INT64_MAX,
                                                     .keep_bytes = UINT64_MAX };

static int never_unlink(int folder, const char *name, int flags)
{
    (void)folder, (void)name, (void)flags;
    return errno = EROFS, -1;
}

/* A tag and files that left, some of them before the last clean-up, which died before it removed them. */
static struct kt_store *store_to_clean(struct kt_io *io)
{
    struct kt_store *store = store_with_schema(io, "t.kith");
    kt_state_release(done(store, (struct change){ .rows = 10, .file_bytes = 100 }));
    kt_state_release(done(store, (struct change){ .removes = true, .rows = 10, .file_bytes = 100 }));
    kt_state_release(done(store, (struct change){ .tag = "two", .tagged = 2 }));
    kt_state_release(
        done(store, (struct change){ .removes = true, .first_row = 10, .rows = 10, .file_bytes = 100 }));
    kt_posix.unlink = never_unlink;
    assert_status(KITH_IO, kt_store_clean(store, &ONLY_THE_NEWEST, NULL, &error));
    kt_posix.unlink = real.unlink;
    assert_int_equal(names_in(io, "t.kith/data"), 3);
    kt_state_release(done(store, (struct change){ .replaces = true,
                                                  .first_row = 20,
                                                  .rows = 10,
                                                  .file_bytes = 100,
                                                  .piece = "000102030405060708090a0b0c0d0e0f" }));
    kt_state_release(done(store, (struct change){ .remove_piece = "000102030405060708090a0b0c0d0e0f" }));
    return store;
}

static void fail_clean(bool for_ever)
{
    for (long failing = 1;; failing++) {
        struct scratch scratch;
        kith_error told = { 0 };
        scratch_open(&scratch, false);
        disarm();
        struct kt_store *store = store_to_clean(scratch.io);
        int before = open_descriptors();
        arm(failing, for_ever);
        kith_status status = kt_store_clean(store, &ONLY_THE_NEWEST, NULL, &told);
        bool reached = fault.calls >= failing;
        disarm();
        assert_int_equal(open_descriptors(), before);
        if (status && !told.message[0]) fail_msg("a failure without a word");
        kt_store_close(store);
        assert_tidy(scratch.io);
        assert_ok(kt_store_open(scratch.io, "t.kith", &store, &error)); /* a new process goes on */
        for (int i = 0; i < 2; i++) {
            kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "x" }));
            assert_ok(kt_store_clean(store, &ONLY_THE_NEWEST, NULL, &error));
        }
        kt_store_close(store);
        assert_tidy(scratch.io);
        assert_int_equal(names_in(scratch.io, "t.kith/data"), 2); /* the tag's and the newest */
        assert_int_equal(names_in(scratch.io, "t.kith/index"), 0);
        scratch_close(&scratch);
        if (!reached) {
            assert_int_equal(status, KITH_OK);
            print_message("%ld calls\n", failing - 1);
            return;
        }
    }
}

static void any_call_of_a_clean_up_may_fail(void **state)
{
    (void)state;
    fail_clean(false);
    fail_clean(true);
}

static int late_clock(clockid_t clock, struct timespec *out)
{
    int result = real.clock(clock, out);
    if (clock == CLOCK_REALTIME) out->tv_sec += 25 * 3600;
    return result;
}

/* A writer died, or does not know whether it won: what it wrote is removed a day later, when asked for. */
static void orphans_go_after_a_day(void **state)
{
    struct scratch scratch;
    struct kt_io_writer *writer = NULL;
    struct kt_retention how = ONLY_THE_NEWEST;
    struct kt_cleaned cleaned;
    (void)state;
    scratch_open(&scratch, false);
    disarm();
    struct kt_store *store = store_to_clean(scratch.io);
    const char *const names[] = { "data/00-0000.arrow", "index/00-0000.kix", "data/not ours" };
    for (int i = 0; i < 3; i++) {
        assert_ok(kt_io_create(kt_store_io(store), names[i], &writer, &error));
        assert_ok(kt_io_append(writer, "twelve bytes", 12, &error));
        assert_ok(kt_io_finish(writer, &error));
    }
    how.orphans = true;
    assert_ok(kt_store_clean(store, &how, NULL, &error));
    for (int i = 0; i < 3; i++) assert_true(kt_io_exists(kt_store_io(store), names[i]));
    kt_posix.clock = late_clock;
    assert_ok(kt_store_clean(store, &ONLY_THE_NEWEST, &cleaned, &error));
    assert_int_equal(cleaned.files, 0);
    assert_ok(kt_store_clean(store, &how, &cleaned, &error));
    assert_int_equal(cleaned.files, 2);
    assert_int_equal(cleaned.bytes, 24);
    for (int i = 0; i < 3; i++) assert_int_equal(kt_io_exists(kt_store_io(store), names[i]), i == 2);
    assert_ok(kt_io_remove(kt_store_io(store), names[2], &error));
    kt_posix = real;
    assert_tidy(scratch.io);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void write_file(struct kt_store *store, struct kt_txn *txn, bool lately, struct kt_stored_file *out)
{
    char path[1400];
    assert_ok(change_file(txn, "data", "arrow", 1000, out, &error));
    if (!lately) return;
    snprintf(path, sizeof path, "%s/%s", kt_io_root(kt_store_io(store)), out->name);
    const struct timespec then = { .tv_sec = time(NULL) + 24 * 3600 }, both[2] = { then, then };
    assert_int_equal(utimensat(AT_FDCWD, path, both, 0), 0);
}

/* A writer that is taken for dead, and is not, commits nothing whose file was removed: neither when the
 * clean-up is the newest commit, nor when that is long ago. One that wrote another file within the day is
 * left alone. */
static void who_was_taken_for_dead_begins_again(void **state)
{
    enum { NOW, LONG_AGO, NOT };
    (void)state;
    for (int taken = NOW; taken <= NOT; taken++) {
        static int32_t fields[] = { 0, 1 };
        struct scratch scratch;
        struct kt_retention how = ONLY_THE_NEWEST;
        struct change change = { .rows = 1, .group = { .fields = fields, .field_count = 2 } };
        struct kt_stored_file another;
        struct kt_txn *txn = NULL;
        struct kt_store *other = NULL;
        scratch_open(&scratch, false);
        disarm();
        struct kt_store *store = store_to_clean(scratch.io);
        assert_ok(kt_store_open(scratch.io, "t.kith", &other, &error));
        assert_ok(kt_txn_begin(store, "append", &txn, &error));
        write_file(store, txn, false, &change.group.file);
        if (taken == NOT) write_file(store, txn, true, &another);
        kt_posix.clock = late_clock;
        how.orphans = true;
        for (int i = 0; i < (taken == LONG_AGO ? 3 : 1); i++) {
            kt_state_release(done(other, (struct change){ .rows = 1, .inlined = "x" }));
            assert_ok(kt_store_clean(other, &how, NULL, &error));
        }
        kith_error told = { 0 };
        kith_status status = kt_txn_commit(txn, prepare_change, &change, NULL, &told);
        assert_int_equal(status, taken == NOT ? KITH_OK : KITH_CONFLICT);
        assert_int_equal(kt_io_exists(kt_store_io(store), change.group.file.name), taken == NOT);
        kt_posix = real;
        kt_store_close(store);
        kt_store_close(other);
        if (taken != NOT) assert_tidy(scratch.io);
        scratch_close(&scratch);
    }
}

/* ---- copying and repairing */

/* The copy is there whole or not at all, and what it was made of is as it was. */
static void fail_backup(bool for_ever)
{
    for (long failing = 1;; failing++) {
        struct scratch scratch;
        struct kt_store *copy = NULL;
        scratch_open(&scratch, false);
        disarm();
        struct kt_store *store = store_to_clean(scratch.io);
        struct kt_state *pinned = load(store);
        int before = open_descriptors();
        arm(failing, for_ever);
        kith_error told = { 0 };
        kith_status status = kt_store_backup(store, pinned, scratch.io, "copy.kith", NULL, &told);
        bool reached = fault.calls >= failing, spared = fault.spared_removal || for_ever;
        disarm();
        assert_int_equal(open_descriptors(), before);
        if (status && !told.message[0]) fail_msg("a failure without a word");
        bool there = kt_io_exists(scratch.io, "copy.kith");
        if (!status) assert_true(there);
        if (there) { /* a sync after the renaming may have failed */
            assert_ok(kt_store_open(scratch.io, "copy.kith", &copy, &error));
            struct kt_state *loaded = load(copy);
            assert_same_content(loaded, pinned);
            assert_files_whole(copy, loaded);
            kt_state_release(loaded);
            kt_store_close(copy);
        } else if (!spared) {
            assert_int_equal(names_in(scratch.io, ""), 1);
        }
        kt_state_release(pinned);
        kt_store_close(store);
        assert_tidy(scratch.io);
        scratch_close(&scratch);
        if (!reached) {
            assert_int_equal(status, KITH_OK);
            print_message("%ld calls\n", failing - 1);
            return;
        }
    }
}

static void any_call_of_a_backup_may_fail(void **state)
{
    (void)state;
    fail_backup(false);
    fail_backup(true);
}

/* A second repair does what the first did not. */
static void fail_repair(bool for_ever)
{
    for (long failing = 1;; failing++) {
        struct scratch scratch;
        struct kt_buffer words = { 0 };
        struct kt_io_writer *writer = NULL;
        scratch_open(&scratch, false);
        disarm();
        struct kt_store *store = store_with_schema(scratch.io, "t.kith");
        for (int i = 0; i < 3; i++)
            kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "x" }));
        kt_state_release(done(store, (struct change){ .tag = "two", .tagged = 2 }));
        const char *const damaged[] = { "log/00000000000000000005.commit",
                                        "log/00000000000000000002.checkpoint" };
        for (int i = 0; i < 2; i++) {
            assert_ok(kt_io_remove(kt_store_io(store), damaged[i], &error));
            assert_ok(kt_io_create(kt_store_io(store), damaged[i], &writer, &error));
            assert_ok(kt_io_append(writer, "nothing", 7, &error));
            assert_ok(kt_io_finish(writer, &error));
        }
        kt_store_close(store);
        assert_ok(kt_store_open(scratch.io, "t.kith", &store, &error));
        arm(failing, for_ever);
        kith_error told = { 0 };
        kith_status status = kt_store_repair(store, &words, &told);
        bool reached = fault.calls >= failing;
        disarm();
        if (status && !told.message[0]) fail_msg("a failure without a word");
        if (status) assert_ok(kt_store_repair(store, &words, &error));
        kt_store_close(store);
        struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
        assert_int_equal(loaded->rows, 3);
        kt_state_release(loaded);
        kt_buffer_release(&words);
        scratch_close(&scratch);
        if (!reached) {
            assert_int_equal(status, KITH_OK);
            print_message("%ld calls\n", failing - 1);
            return;
        }
    }
}

static void any_call_of_a_repair_may_fail(void **state)
{
    (void)state;
    fail_repair(false);
    fail_repair(true);
}

/* ---- dropping */

static void any_call_of_a_drop_may_fail(void **state)
{
    (void)state;
    for (long failing = 1;; failing++) {
        struct scratch scratch;
        struct kt_store *store = NULL;
        scratch_open(&scratch, false);
        disarm();
        store = store_with_schema(scratch.io, "t.kith");
        kt_state_release(done(store, (struct change){ .rows = 10, .file_bytes = 100 }));
        arm(failing, false);
        kith_status status = kt_store_drop(store, scratch.io, "t.kith", NULL);
        bool reached = fault.calls >= failing;
        disarm();
        kt_store_close(store);
        kith_status opened = kt_store_open(scratch.io, "t.kith", &store, NULL);
        assert_true(opened == KITH_OK || opened == KITH_NOT_FOUND);
        if (!status) assert_int_equal(opened, KITH_NOT_FOUND);
        if (status && status != KITH_UNKNOWN) assert_int_equal(opened, KITH_OK);
        if (!opened) {
            struct kt_state *state_now = load(store);
            assert_int_equal(state_now->rows, 10);
            kt_state_release(state_now);
            kt_store_close(store);
        } else { /* and the name is free again */
            kt_store_close(store_with_schema(scratch.io, "t.kith"));
        }
        scratch_close(&scratch);
        if (!reached) return;
    }
}

/* ---- what is unknown keeps its files */

static int fail_folder_sync(int fd)
{
    struct stat about;
    real.stat(fd, &about);
    return fault.failing && S_ISDIR(about.st_mode) && ++fault.calls == fault.failing ? (errno = EIO, -1) : 0;
}

static void an_unknown_commit_keeps_its_files(void **state)
{
    struct scratch scratch;
    (void)state;
    scratch_open(&scratch, false);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    kt_state_release(done(store, (struct change){ .rows = 1, .file_bytes = 100 }));
    kt_posix.sync = fail_folder_sync;
    fault.calls = 0, fault.failing = 2; /* that of data/, then that of log/ after the link */
    kith_error told = { 0 };
    struct change change = { .rows = 10, .file_bytes = 100 };
    assert_int_equal(commit_change(store, &change, NULL, &told), KITH_UNKNOWN);
    kt_posix = real;
    assert_int_equal(names_in(scratch.io, "t.kith/data"), 2);
    struct kt_state *after = done(store, (struct change){ .rows = 5, .inlined = "five" }); /* on top of it */
    assert_int_equal(after->rows, 16);
    assert_files_whole(store, after);
    kt_state_release(after);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* Another process makes data/ between our failing to create a file in it and our making it. */
static int open_too_late(int folder, const char *name, int flags, mode_t mode)
{
    int fd = real.open(folder, name, flags, mode);
    if (fd < 0 && !strcmp(name, "data")) {
        real.mkdir(folder, name, 0777);
        errno = ENOENT;
    }
    return fd;
}

static void two_may_make_the_data_folder(void **state)
{
    struct scratch scratch;
    (void)state;
    scratch_open(&scratch, false);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    kt_posix.open = open_too_late;
    kt_state_release(done(store, (struct change){ .rows = 1, .file_bytes = 100 }));
    kt_posix = real;
    kt_store_close(store);
    scratch_close(&scratch);
}

int main(void)
{
    real = kt_posix;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(any_call_may_fail_once, restore),
        cmocka_unit_test_teardown(all_calls_may_fail_from_any_on, restore),
        cmocka_unit_test_teardown(any_call_of_a_checkpoint_may_fail, restore),
        cmocka_unit_test_teardown(any_call_of_a_clean_up_may_fail, restore),
        cmocka_unit_test_teardown(orphans_go_after_a_day, restore),
        cmocka_unit_test_teardown(who_was_taken_for_dead_begins_again, restore),
        cmocka_unit_test_teardown(any_call_of_a_backup_may_fail, restore),
        cmocka_unit_test_teardown(any_call_of_a_repair_may_fail, restore),
        cmocka_unit_test_teardown(any_call_of_a_drop_may_fail, restore),
        cmocka_unit_test_teardown(an_unknown_commit_keeps_its_files, restore),
        cmocka_unit_test_teardown(two_may_make_the_data_folder, restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
