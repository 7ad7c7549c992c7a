/* Whatever the disk does, a table is as it was or as it was to be, and says which.
 *
 * Each scenario is run with its k-th system call failing, for k = 1, 2, ... until none failed. After each run
 * the table is opened with a healthy disk: every acknowledged row must be there, every other append whole or
 * absent. Then bytes are flipped and files cut, and a read must fail in words or give the right rows.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "io/io_posix.h"
#include "support/rows.h"

enum { DIM = 8 };

/* ---- a disk that fails at the k-th call */

static struct kt_posix_calls healthy;
static long calls_left = -1; /* until the failure; -1: never */
static bool failing_for_good;
static int failing_errno;
static long failures;

static bool fails(void)
{
    if (calls_left < 0) return false;
    if (calls_left > 0) {
        calls_left--;
        return false;
    }
    if (!failing_for_good) calls_left = -1;
    failures++;
    errno = failing_errno;
    return true;
}

static int bad_open(int folder, const char *name, int flags, mode_t mode)
{
    return fails() ? -1 : healthy.open(folder, name, flags, mode);
}
static ssize_t bad_read(int fd, void *to, size_t count, off_t offset)
{
    return fails() ? -1 : healthy.read_at(fd, to, count, offset);
}
static ssize_t bad_write(int fd, const void *bytes, size_t count)
{
    if (fails()) { /* half of it gets there */
        ssize_t half = healthy.write(fd, bytes, count / 2);
        errno = failing_errno;
        return half > 0 && failing_errno == EINTR ? half : -1;
    }
    return healthy.write(fd, bytes, count);
}
static int bad_sync(int fd)
{
    (void)fd;
    return fails() ? -1 : 0;
} /* and otherwise quick: the tests do not cut the power */
static int bad_link(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    return fails() ? -1 : healthy.link(from_folder, from, to_folder, to, flags);
}
static int bad_mkdir(int folder, const char *name, mode_t mode)
{
    return fails() ? -1 : healthy.mkdir(folder, name, mode);
}
static ssize_t bad_entries(int fd, void *to, size_t count)
{
    return fails() ? -1 : healthy.entries(fd, to, count);
}

static void break_disk(long at, bool for_good, int error)
{
    calls_left = at;
    failing_for_good = for_good;
    failing_errno = error;
    failures = 0;
}

static void mend_disk(void)
{
    calls_left = -1;
}

static int setup(void **state)
{
    (void)state;
    healthy = kt_posix;
    kt_posix.open = bad_open;
    kt_posix.read_at = bad_read;
    kt_posix.write = bad_write;
    kt_posix.sync_data = bad_sync;
    kt_posix.sync = bad_sync;
    kt_posix.link = bad_link;
    kt_posix.mkdir = bad_mkdir;
    kt_posix.entries = bad_entries;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kt_posix = healthy;
    return 0;
}

/* ---- what is done while it fails */

enum { STEPS = 4, FEW = 300, MANY = 1600, ALL = FEW + 1 + MANY + 2 };
static const uint64_t step_rows[STEPS] = { FEW, 1, MANY, 2 }; /* inline, inline, files, inline */

struct outcome {
    kith_status status[STEPS];
    bool tried[STEPS];
};

static void note(kith_status status, const kith_error *error)
{
    if (!status) return;
    assert_true(error->message[0]); /* a failure has words */
    assert_true(strlen(error->message) < sizeof error->message - 1);
}

/* Creates a table and appends to it, whatever fails; row ids of step s begin at 10,000 * s. After step 2
 * there is an index: asked for, or the automatic one of that append. */
static struct outcome write_some(const char *folder, const struct rows *rows, bool automatic)
{
    struct outcome outcome = { 0 };
    kith_error failure = { 0 };
    kith_create options = KITH_INIT(kith_create);
    kith_database *db = NULL;
    kith_table *table = NULL;
    kith_status status = kith_open(folder, &db, &failure);
    note(status, &failure);
    options.auto_index_threshold = automatic ? MANY : -1;
    for (int step = 0; db && step < STEPS; step++) {
        struct ArrowArrayStream data = rows_stream_ids(rows, 0, step_rows[step], (uint64_t)step * 10000);
        if (!step)
            status = kith_create_table(db, "t", &data, &options, &table, &failure);
        else
            status = kith_append(table, &data, NULL, NULL, &failure);
        outcome.tried[step] = true;
        outcome.status[step] = status;
        note(status, &failure);
        if (!table) break;
        if (step == 2 && !automatic) {
            kith_index index = KITH_INIT(kith_index);
            index.num_partitions = 4;
            index.num_sub_vectors = 2;
            note(kith_create_index(table, &index, &failure), &failure);
        }
    }
    if (table) kith_table_close(table);
    if (db) kith_close(db);
    return outcome;
}

/* Returns how many indexes there are. */
static size_t check_rows(const char *folder, const struct outcome *outcome)
{
    kith_indexes *indexes = NULL;
    kith_database *db = NULL;
    kith_table *table = NULL;
    kith_error failure = { 0 };
    uint64_t seen[STEPS] = { 0 };
    assert_ok(kith_open(folder, &db, error));
    kith_status status = kith_open_table(db, "t", &table, &failure);
    if (status == KITH_NOT_FOUND && (!outcome->tried[0] || outcome->status[0])) {
        kith_close(db);
        return 0;
    }
    if (status) fail_msg("the table does not open: %s", failure.message);
    struct ArrowArrayStream out;
    assert_ok(kith_table_scan(table, NULL, &out, error));
    struct kt_batch *batch = stream_batch(&out);
    for (int64_t i = 0; i < batch->rows; i++) {
        uint64_t id;
        memcpy(&id, batch->columns[0].values + 8 * i, 8);
        assert_true(id / 10000 < STEPS);
        seen[id / 10000]++;
    }
    kt_batch_release(batch);
    for (int step = 0; step < STEPS; step++) {
        bool acknowledged = outcome->tried[step] && !outcome->status[step];
        bool may_be_there = acknowledged || (outcome->tried[step] && outcome->status[step] == KITH_UNKNOWN);
        if (seen[step] != (acknowledged ? step_rows[step] : 0) &&
            !(may_be_there && seen[step] == step_rows[step]))
            fail_msg("step %d: %u rows are there; its outcome was %s", step, (unsigned)seen[step],
                     kith_status_name(outcome->status[step]));
    }
    assert_ok(kith_table_verify(table, NULL, error));
    assert_ok(kith_list_indexes(table, &indexes, error));
    size_t count = indexes->count;
    kith_indexes_free(indexes);
    kith_table_close(table);
    kith_close(db);
    return count;
}

static void the_kth_call_failing_loses_nothing(void **state)
{
    (void)state;
    struct rows rows = rows_random(MANY, DIM, 1);
    const int errors[] = { EIO, ENOSPC };
    long runs = 0, k = 0, unindexed = 0;
    for (int mode = 0; mode < 4; mode++) {
        bool automatic = mode == 1 || mode == 2;
        for (k = 0;; k++) {
            char *folder = folder_new();
            break_disk(k, mode & 1, errors[mode >> 1]);
            struct outcome outcome = write_some(folder, &rows, automatic);
            long failed = failures;
            mend_disk();
            bool indexed = check_rows(folder, &outcome);
            unindexed += automatic && outcome.tried[2] && !outcome.status[2] && !indexed;
            folder_remove(folder);
            runs++;
            if (!failed) break;
        }
    }
    printf("%ld runs, %ld calls in one; %ld appends whose automatic index failed\n", runs, k, unindexed);
    assert_true(k > 40);
    assert_true(unindexed > 5); /* and they were told that their rows are there */
    rows_free(&rows);
}

static void reads_that_fail_are_told_and_forgotten(void **state)
{
    (void)state;
    struct rows rows = rows_random(MANY, DIM, 2);
    char *folder = folder_new();
    write_some(folder, &rows, false);
    for (long k = 0;; k++) {
        kith_database *db = NULL;
        kith_table *table = NULL;
        kith_error failure = { 0 };
        kith_query query = KITH_INIT(kith_query);
        uint64_t id;
        float distance;
        query.vectors = rows.vectors;
        query.dim = DIM;
        query.k = 1;
        break_disk(k, false, EIO);
        kith_status status = kith_open(folder, &db, &failure);
        if (!status) status = kith_open_table(db, "t", &table, &failure);
        if (!status) status = kith_search_ids(table, &query, &id, &distance, &failure);
        long failed = failures;
        mend_disk();
        note(status, &failure);
        if (table) { /* the same handle, once the disk is well */
            assert_ok(kith_search_ids(table, &query, &id, &distance, error));
            assert_float_equal(distance, 0, 0);
        }
        kith_table_close(table);
        kith_close(db);
        if (!failed) break;
    }
    folder_remove(folder);
    rows_free(&rows);
}

/* ---- bytes that change */

static size_t list_files(const char *folder, char names[][512], size_t most)
{
    char command[400], line[512];
    size_t count = 0;
    snprintf(command, sizeof command, "find '%s' -type f | sort", folder);
    FILE *pipe = popen(command, "r");
    while (count < most && fgets(line, sizeof line, pipe)) {
        line[strcspn(line, "\n")] = '\0';
        strcpy(names[count++], line);
    }
    pclose(pipe);
    return count;
}

/* Reads everything there is. KITH_OK only when all rows and an indexed search are right. */
static kith_status read_all(const char *folder, const struct rows *rows, kith_error *error)
{
    kith_database *db = NULL;
    kith_table *table = NULL;
    struct ArrowArrayStream out = { 0 };
    struct kt_schema *schema = NULL;
    uint64_t row = 0, files;
    kith_status status = kith_open(folder, &db, error);
    if (!status) status = kith_open_table(db, "t", &table, error);
    if (!status) status = kith_table_verify(table, &files, error);
    if (!status) status = kith_table_scan(table, NULL, &out, error);
    if (!status) status = kt_stream_schema(&out, &schema, error);
    while (!status) {
        struct kt_batch *batch = NULL;
        status = kt_stream_next(&out, schema, &batch, error);
        if (status || !batch) break;
        for (int64_t i = 0; i < batch->rows; i++, row++) {
            const float *vector = (const float *)(const void *)batch->columns[2].children[0].values + i * DIM;
            uint64_t later = row - FEW - 1, from = row < FEW ? row : row == FEW ? 0 : later % MANY;
            assert_memory_equal(vector, rows->vectors + from * DIM,
                                DIM * sizeof(float)); /* never a wrong row */
        }
        kt_batch_release(batch);
    }
    if (!status) assert_int_equal(row, ALL);
    kt_schema_release(schema);
    if (out.release) out.release(&out);
    kith_table_close(table);
    kith_close(db);
    return status;
}

static void a_flipped_bit_or_a_cut_file_is_found(void **state)
{
    (void)state;
    struct rows rows = rows_random(MANY, DIM, 3);
    char *folder = folder_new();
    static char files[64][512];
    struct kt_random random = { 77 };
    long flips = 0, found = 0;
    write_some(folder, &rows, false);
    kith_error failure = { 0 };
    assert_int_equal(read_all(folder, &rows, &failure), KITH_OK);
    size_t count = list_files(folder, files, 64);
    assert_true(count >= 7);
    for (size_t f = 0; f < count; f++) {
        struct stat stat_of;
        int fd = open(files[f], O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &stat_of), 0);
        for (int round = 0; round < 60; round++) {
            uint8_t before, after;
            off_t at = round < 20   ? round
                       : round < 40 ? stat_of.st_size - 1 - (round - 20)
                                    : (off_t)kt_random_below(&random, (uint64_t)stat_of.st_size);
            if (at < 0 || at >= stat_of.st_size) continue;
            assert_int_equal(pread(fd, &before, 1, at), 1);
            after = (uint8_t)(before ^ 1u << kt_random_below(&random, 8));
            assert_int_equal(pwrite(fd, &after, 1, at), 1);
            failure.message[0] = '\0';
            kith_status status = read_all(folder, &rows, &failure);
            flips++;
            if (status) {
                found++;
                assert_true(failure.message[0]);
            } else {
                fail_msg("%s: the bit flipped at %ld was not noticed", files[f], (long)at);
            }
            assert_int_equal(pwrite(fd, &before, 1, at), 1);
        }
        /* cut, and filled with zeros: what a crash of another's making leaves */
        uint8_t *bytes = malloc((size_t)stat_of.st_size);
        assert_int_equal(pread(fd, bytes, (size_t)stat_of.st_size, 0), stat_of.st_size);
        for (int cut = 0; cut < 4; cut++) {
            assert_int_equal(ftruncate(fd, stat_of.st_size * cut / 4), 0);
            assert_int_not_equal(read_all(folder, &rows, &failure), KITH_OK);
            assert_int_equal(ftruncate(fd, stat_of.st_size), 0); /* the rest is zeros now */
            assert_int_not_equal(read_all(folder, &rows, &failure), KITH_OK);
        }
        assert_int_equal(pwrite(fd, bytes, (size_t)stat_of.st_size, 0), stat_of.st_size);
        free(bytes);
        close(fd);
    }
    assert_int_equal(read_all(folder, &rows, &failure), KITH_OK);
    printf("%ld of %ld flips found in %zu files\n", found, flips, count);
    folder_remove(folder);
    rows_free(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_kth_call_failing_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_that_fail_are_told_and_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flipped_bit_or_a_cut_file_is_found, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
