/* Many writers, many readers, and a dropper: every acknowledged row is there once, under a row id of its own.
 */
#include "unit/storage/store_fixture.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- processes */

enum { WRITERS = 4, APPENDS = 20 };

/* Appends rows that say who wrote them and which; every third in a file. Exits with 0 when all were
 * acknowledged. */
static void append_all(const char *path, int writer)
{
    struct kt_io *io = NULL;
    struct kt_store *store = NULL;
    if (kt_io_open_folder(path, &io, NULL) || kt_store_open(io, "t.kith", &store, NULL)) _exit(1);
    for (int i = 0; i < APPENDS; i++) {
        char text[64];
        kith_error told = { 0 };
        snprintf(text, sizeof text, "writer %d row %d", writer, i);
        struct change change = { .rows = (uint64_t)i % 3 + 1,
                                 .inlined = i % 3 == 2 ? NULL : text,
                                 .file_bytes = 500 };
        if (commit_change(store, &change, NULL, &told)) {
            fprintf(stderr, "writer %d: %s\n", writer, told.message);
            _exit(2);
        }
    }
    kt_store_close(store);
    kt_io_close(io);
    _exit(0);
}

static void all_appends_of_all_processes_survive(void **state)
{
    struct scratch scratch;
    pid_t writers[WRITERS];
    int seen[WRITERS] = { 0 }, files = 0;
    (void)state;
    scratch_open(&scratch, false);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    for (int w = 0; w < WRITERS; w++) {
        writers[w] = fork();
        if (writers[w] == 0) append_all(scratch.path, w);
    }
    struct kt_state *known = load(store);
    for (int left = WRITERS; left > 0;) { /* reads while they write */
        int status;
        struct kt_state *newer = NULL;
        assert_ok(kt_store_refresh(store, known, &newer, &error));
        assert_true(newer->commit >= known->commit && newer->rows >= known->rows);
        kt_state_release(known);
        known = newer;
        if (waitpid(-1, &status, WNOHANG) > 0) {
            assert_int_equal(status, 0);
            left--;
        }
        usleep(500);
    }
    kt_state_release(known);

    known = load_afresh(scratch.io, "t.kith");
    assert_sound_state(known);
    assert_int_equal(known->commit, 1 + WRITERS * APPENDS);
    assert_int_equal(known->rows, WRITERS * (APPENDS / 3 * 6 + 3));
    assert_int_equal(known->next_row, known->rows);
    for (uint32_t i = 0; i < known->fragment_count; i++) {
        int writer, row;
        if (!known->fragments[i].inline_rows) {
            files++;
            continue;
        }
        char text[64] = "";
        memcpy(text, known->fragments[i].inline_rows->data, known->fragments[i].inline_rows->size);
        assert_int_equal(sscanf(text, "writer %d row %d", &writer, &row), 2);
        assert_true(row >= seen[writer]); /* each writer's rows in its order */
        seen[writer] = row + 1;
    }
    assert_int_equal(files, WRITERS * (APPENDS / 3));
    assert_int_equal(names_in(scratch.io, "t.kith/data"), files);
    assert_true(kt_io_exists(scratch.io, "t.kith/log/00000000000000000064.checkpoint") ||
                names_in(scratch.io, "t.kith/log") > 1 + WRITERS * APPENDS); /* somebody wrote one */
    kt_state_release(known);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* ---- clean-ups among writers and readers */

/* Each has rows [10 w, 10 w + 10) of the beginning for itself, replaces them again and again, and appends. */
static void replace_all(const char *path, int writer)
{
    struct kt_io *io = NULL;
    struct kt_store *store = NULL;
    if (kt_io_open_folder(path, &io, NULL) || kt_store_open(io, "t.kith", &store, NULL)) _exit(1);
    for (int i = 0; i < APPENDS; i++) {
        kith_error told = { 0 };
        struct change append = { .rows = 1, .inlined = "x" };
        struct change replace = { .replaces = true,
                                  .first_row = (uint64_t)writer * 10,
                                  .rows = 10,
                                  .file_bytes = 500,
                                  .maintenance = i % 2 };
        struct kt_retention how = { .keep_versions = (uint64_t)i % 3 + 1,
                                    .keep_us = INT64_MAX,
                                    .keep_bytes = UINT64_MAX };
        kith_status status = commit_change(store, &replace, NULL, &told);
        if (!status) status = commit_change(store, &append, NULL, &told);
        if (!status && i % 2 == writer % 2) status = kt_store_clean(store, &how, NULL, &told);
        if (!status) continue;
        fprintf(stderr, "writer %d: %s: %s\n", writer, kith_status_name(status), told.message);
        _exit(2);
    }
    kt_store_close(store);
    kt_io_close(io);
    _exit(0);
}

static void clean_ups_disturb_nobody(void **state)
{
    struct scratch scratch;
    (void)state;
    scratch_open(&scratch, false);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    for (int w = 0; w < WRITERS; w++)
        kt_state_release(done(store, (struct change){ .rows = 10, .file_bytes = 500 }));
    for (int w = 0; w < WRITERS; w++)
        if (fork() == 0) replace_all(scratch.path, w);
    struct kt_state *known = load(store);
    for (int left = WRITERS; left > 0;) {
        int status;
        struct kt_state *newer = NULL, *old = NULL;
        assert_ok(kt_store_refresh(store, known, &newer, &error));
        assert_true(newer->commit >= known->commit && newer->rows >= known->rows);
        assert_sound_state(newer);
        kith_status found = kt_store_load_version(store, known->version, &old, NULL);
        assert_true(found == KITH_OK || found == KITH_NOT_FOUND);
        kt_state_release(old);
        kt_state_release(known);
        known = newer;
        struct kt_state *afresh = load_afresh(scratch.io, "t.kith");
        assert_true(afresh->commit >= known->commit);
        kt_state_release(afresh);
        if (waitpid(-1, &status, WNOHANG) > 0) {
            assert_int_equal(status, 0);
            left--;
        }
    }
    kt_state_release(known);
    known = load_afresh(scratch.io, "t.kith");
    assert_int_equal(known->rows, WRITERS * (10 + APPENDS));
    kt_state_release(known);
    assert_tidy(scratch.io);
    kt_store_close(store);
    scratch_close(&scratch);
}

static kith_status prepare_creation(void *context, const struct kt_state *state, struct kt_txn *txn,
                                    kith_error *error)
{
    if (state->commit) return kt_fail(error, KITH_EXISTS, "it exists");
    return prepare_change(context, state, txn, error);
}

static void one_process_creates_a_table(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct scratch scratch;
        int winners = 0;
        scratch_open(&scratch, false);
        for (int w = 0; w < WRITERS; w++) {
            if (fork()) continue;
            struct kt_store *store = NULL;
            struct kt_txn *txn = NULL;
            struct change change = { .schema = "{}" };
            kith_status status = kt_store_create(scratch.io, "t.kith", &store, NULL);
            if (!status) status = kt_txn_begin(store, "create", &txn, NULL);
            if (!status) status = kt_txn_commit(txn, prepare_creation, &change, NULL, NULL);
            _exit(status == KITH_OK ? 100 : status == KITH_EXISTS ? 101 : (int)status);
        }
        for (int w = 0; w < WRITERS; w++) {
            int status;
            assert_true(wait(&status) > 0);
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) >= 100);
            winners += WEXITSTATUS(status) == 100;
        }
        assert_int_equal(winners, 1);
        scratch_close(&scratch);
    }
}

/* Writers append until the table is gone, and know that it is. */
static void writers_notice_a_drop(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        struct scratch scratch;
        scratch_open(&scratch, false);
        struct kt_store *store = store_with_schema(scratch.io, "t.kith");
        for (int w = 0; w < WRITERS; w++) {
            if (fork()) continue;
            struct kt_store *own = NULL;
            kith_status opened = kt_store_open(scratch.io, "t.kith", &own, NULL);
            if (opened) _exit(opened == KITH_NOT_FOUND ? 0 : 1); /* a slow start finds it gone */
            for (int i = 0; i < 10000; i++) {
                struct change change = { .rows = 1, .inlined = i % 3 ? "row" : NULL, .file_bytes = 100 };
                kith_error told = { 0 };
                kith_status status = commit_change(own, &change, NULL, &told);
                if (status == KITH_NOT_FOUND) _exit(0);
                if (status) {
                    fprintf(stderr, "%s: %s\n", kith_status_name(status), told.message);
                    _exit(2);
                }
            }
            _exit(3);
        }
        usleep(20000);
        assert_ok(kt_store_drop(store, scratch.io, "t.kith", &error));
        for (int w = 0; w < WRITERS; w++) {
            int status;
            assert_true(wait(&status) > 0);
            assert_int_equal(status, 0);
        }
        kt_store_close(store);
        assert_int_equal(names_in(scratch.io, ""), 0);
        scratch_close(&scratch);
    }
}

/* A child goes on with the handle that it inherited. */
static void handles_work_after_fork(void **state)
{
    struct scratch scratch;
    (void)state;
    scratch_open(&scratch, false);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    for (int i = 0; i < 5; i++) {
        struct change change = { .rows = 1, .file_bytes = 100 };
        if (!fork()) {
            kith_error told = { 0 };
            kith_status status = commit_change(store, &change, NULL, &told);
            if (status) fprintf(stderr, "%s\n", told.message);
            _exit((int)status);
        }
        kt_state_release(done(store, change));
    }
    for (int i = 0; i < 5; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    struct kt_state *loaded = load(store);
    assert_int_equal(loaded->rows, 10);
    kt_state_release(loaded);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* ---- threads */

struct worker {
    struct kt_store *store; /* shared by all */
    bool reads;
    _Atomic int *writing;
    int wrong;
};

static void *work(void *context)
{
    struct worker *worker = context;
    struct kt_state *known = NULL;
    if (kt_store_load(worker->store, &known, NULL)) return worker->wrong++, NULL;
    for (int i = 0; worker->reads ? atomic_load(worker->writing) > 0 : i < APPENDS; i++) {
        struct kt_state *newer = NULL;
        struct change change = { .rows = 2, .inlined = "xy", .key = "last", .value = "x" };
        if (worker->reads ? kt_store_refresh(worker->store, known, &newer, NULL)
                          : commit_change(worker->store, &change, &newer, NULL)) {
            worker->wrong++;
            break;
        }
        if (newer->rows < known->rows || newer->rows != newer->next_row ||
            newer->fragment_count * 2 != newer->rows)
            worker->wrong++;
        if (!worker->reads && json_is_string(json_object_get(newer->config, "last")) == 0) worker->wrong++;
        kt_state_release(known);
        known = newer;
    }
    kt_state_release(known);
    if (!worker->reads) atomic_fetch_sub(worker->writing, 1);
    return NULL;
}

static void threads_share_a_store(void **state)
{
    enum { THREADS = 6 };
    struct scratch scratch;
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    _Atomic int writing = THREADS - 2;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){ .store = store, .reads = i < 2, .writing = &writing };
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].wrong, 0);
    }
    struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
    assert_int_equal(loaded->rows, 2 * (THREADS - 2) * APPENDS);
    assert_sound_state(loaded);
    kt_state_release(loaded);
    kt_store_close(store);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_appends_of_all_processes_survive),
        cmocka_unit_test(clean_ups_disturb_nobody),
        cmocka_unit_test(one_process_creates_a_table),
        cmocka_unit_test(writers_notice_a_drop),
        cmocka_unit_test(handles_work_after_fork),
        on_both(threads_share_a_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
