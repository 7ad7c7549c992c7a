/* Threads that share commits, and transactions that are sent twice. */
#include "unit/storage/store_fixture.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- keys */

static void a_key_is_committed_once(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    struct change change = { .rows = 3, .file_bytes = 100, .txn_key = "load 1 \xc3\xa9\"" };
    struct kt_state *first = NULL, *again = NULL;
    assert_ok(commit_change(store, &change, &first, &error));
    assert_int_equal(change.repeat.commit, 0);
    for (int i = 0; i < 70; i++) /* over a checkpoint */
        kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "x" }));
    for (int handle = 0; handle < 2; handle++) {
        struct kt_store *other = store;
        if (handle) assert_ok(kt_store_open(scratch.io, "t.kith", &other, &error));
        int prepared = change.prepared;
        assert_ok(commit_change(other, &change, &again, &error));
        assert_int_equal(change.prepared, prepared);
        assert_int_equal(change.repeat.commit, first->commit);
        assert_int_equal(change.repeat.version, first->version);
        assert_int_equal(again->commit, 72);
        assert_int_equal(names_in(kt_store_io(store), "data"), 1); /* the files of the second are gone */
        kt_state_release(again);
        if (handle) kt_store_close(other);
    }
    change.txn_key = "load 2";
    assert_ok(commit_change(store, &change, &again, &error));
    assert_int_equal(again->rows, 76);
    kt_state_release(again);
    kt_state_release(first);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void wrong_keys_are_refused(void **state)
{
    struct scratch scratch;
    struct kt_txn *txn = NULL;
    char key[KT_LONGEST_KEY + 2];
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    assert_ok(kt_txn_begin(store, "append", &txn, &error));
    assert_status(KITH_INVALID, kt_txn_set_key(txn, "", NULL, &error));
    assert_status(KITH_INVALID, kt_txn_set_key(txn, key, NULL, &error));
    assert_status(KITH_INVALID, kt_txn_set_key(txn, "\xff", NULL, &error));
    key[KT_LONGEST_KEY] = '\0';
    assert_ok(kt_txn_set_key(txn, key, NULL, &error));
    kt_txn_abandon(txn);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void the_last_4096_are_remembered(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    struct change change = { .rows = 1, .inlined = "x", .maintenance = true, .txn_key = "old" };
    assert_ok(commit_change(store, &change, NULL, &error));
    struct change none = { .key = "a", .value = "b", .maintenance = true };
    for (int i = 1; i < KT_TXNS_KEPT; i++) kt_state_release(done(store, none));
    assert_ok(commit_change(store, &change, NULL, &error));
    assert_int_equal(change.repeat.commit, 2);
    kt_state_release(done(store, none));
    assert_ok(commit_change(store, &change, NULL, &error));
    assert_int_equal(change.repeat.commit, 0);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* ---- sharing a commit */

struct waiting {
    struct kt_store *store;
    uint32_t others; /* that must be in the queue before the first goes on */
    _Atomic bool held, go;
};

static uint32_t queued(struct kt_store *store)
{
    uint32_t count = 0;
    kt_lock_take(&store->lock);
    for (struct kt_member *member = store->queue; member; member = member->next) count++;
    kt_lock_give(&store->lock);
    return count;
}

/* Leads, and holds everybody up until so many wait. */
static kith_status prepare_slowly(void *context, const struct kt_state *state, struct kt_txn *txn,
                                  kith_error *told)
{
    struct waiting *waiting = context;
    (void)state;
    atomic_store(&waiting->held, true);
    while (waiting->others ? queued(waiting->store) < waiting->others : !atomic_load(&waiting->go))
        usleep(100);
    json_t *value = json_integer(1);
    kith_status status = kt_txn_set_config(txn, "slow", value, told);
    json_decref(value);
    return status;
}

static void *hold_up(void *context)
{
    struct waiting *waiting = context;
    struct kt_txn *txn = NULL;
    assert_ok(kt_txn_begin(waiting->store, "alter", &txn, &error));
    assert_ok(kt_txn_commit(txn, prepare_slowly, waiting, NULL, &error));
    return NULL;
}

struct writer {
    struct kt_store *store;
    struct change change;
    struct kt_state *after;
    kith_status status;
    kith_error error;
};

static void *write_one(void *context)
{
    struct writer *writer = context;
    writer->status = commit_change(writer->store, &writer->change, &writer->after, &writer->error);
    return NULL;
}

/* Commits all of them while one thread holds them up, so that they find each other. */
static void write_together(struct kt_store *store, struct writer *writers, uint32_t count)
{
    pthread_t first, threads[8];
    struct waiting waiting = { .store = store, .others = count };
    assert_int_equal(pthread_create(&first, NULL, hold_up, &waiting), 0);
    while (!atomic_load(&waiting.held)) usleep(100);
    for (uint32_t i = 0; i < count; i++) {
        writers[i].store = store;
        assert_int_equal(pthread_create(&threads[i], NULL, write_one, &writers[i]), 0);
        while (queued(store) <= i && i + 1 < count) usleep(100); /* in this order */
    }
    pthread_join(first, NULL);
    for (uint32_t i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

static void threads_share_a_commit_and_not_their_failures(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    kt_state_release(done(store, (struct change){ .rows = 10, .file_bytes = 100 }));
    struct writer writers[] = {
        { .change = { .rows = 10,
                      .replaces = true,
                      .file_bytes = 50,
                      .maintenance = true,
                      .operation = "fold" } },
        { .change = { .rows = 2,
                      .inlined = "ab",
                      .deletes = { 4, 5 },
                      .delete_count = 2,
                      .operation = "update" } },
        { .change = { .rows = 1,
                      .file_bytes = 100,
                      .deletes = { 5 },
                      .delete_count = 1 } }, /* it died just now */
        { .change = { .rows = 3, .file_bytes = 100, .operation = "append" } },
    };
    write_together(store, writers, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(writers[i].status, i == 2 ? KITH_CONFLICT : KITH_OK);
        if (i == 2) {
            assert_non_null(strstr(writers[i].error.message, "row 5 was deleted already"));
            continue;
        }
        assert_int_equal(writers[i].after->commit, 4); /* 3 was who held them up */
        assert_int_equal(writers[i].after->version, 4);
        assert_int_equal(writers[i].after->rows, 13);
        assert_string_equal(writers[i].after->versions[3].operation, "update");
    }
    for (int i = 0; i < 4; i++) { /* a fold is no reason to look again, changed rows are */
        assert_int_equal(writers[i].change.seen_uncommitted, i > 0);
        assert_int_equal(writers[i].change.seen_version == 3, i < 2);
        assert_true(i < 2 || writers[i].change.seen_version > UINT64_C(1) << 62);
    }
    struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
    assert_same_state(loaded, writers[0].after);
    assert_sound_state(loaded);
    assert_false(loaded->uncommitted);
    assert_int_equal(kt_state_private_part(loaded)->txn_count, 6);
    assert_int_equal(names_in(kt_store_io(store), "data"), 3); /* the failed one's is gone */
    kt_state_release(loaded);
    for (int i = 0; i < 4; i++) kt_state_release(writers[i].after);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void one_key_is_won_by_one_of_many(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    struct writer writers[5];
    for (int i = 0; i < 5; i++)
        writers[i] = (struct writer){
            .change = { .rows = 1, .file_bytes = 100, .txn_key = i == 4 ? "other" : "same" }
        };
    write_together(store, writers, 5);
    int first = 0;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(writers[i].status, KITH_OK);
        first += !writers[i].change.repeat.commit;
        if (writers[i].change.repeat.commit) assert_int_equal(writers[i].change.repeat.commit, 3);
        kt_state_release(writers[i].after);
    }
    assert_int_equal(first, 2);
    struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
    assert_int_equal(loaded->rows, 2);
    assert_int_equal(loaded->commit, 3);
    assert_int_equal(names_in(kt_store_io(store), "data"), 2);
    kt_state_release(loaded);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void maintenance_alone_keeps_the_version(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    struct writer writers[] = {
        { .change = { .key = "a", .value = "1", .maintenance = true, .operation = "index" } },
        { .change = { .key = "b", .value = "2", .maintenance = true, .operation = "fold" } },
    };
    write_together(store, writers, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(writers[i].after->commit, 3);
        assert_int_equal(writers[i].after->version, 2);
        kt_state_release(writers[i].after);
    }
    kt_store_close(store);
    scratch_close(&scratch);
}

static kith_status prepare_drop(void *context, const struct kt_state *state, struct kt_txn *txn,
                                kith_error *told)
{
    (void)context, (void)state;
    return kt_txn_drop(txn, told);
}

static void *drop(void *context)
{
    struct writer *writer = context;
    struct kt_txn *txn = NULL;
    assert_ok(kt_txn_begin(writer->store, "drop", &txn, &error));
    writer->status = kt_txn_commit(txn, prepare_drop, NULL, NULL, &writer->error);
    return NULL;
}

static void nothing_follows_a_drop(void **state)
{
    struct scratch scratch;
    pthread_t first, dropper, late;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    struct waiting waiting = { .store = store, .others = 2 };
    struct writer writers[2] = { { .store = store },
                                 { .store = store, .change = { .rows = 1, .file_bytes = 100 } } };
    assert_int_equal(pthread_create(&first, NULL, hold_up, &waiting), 0);
    while (!atomic_load(&waiting.held)) usleep(100);
    assert_int_equal(pthread_create(&dropper, NULL, drop, &writers[0]), 0);
    while (queued(store) < 1) usleep(100);
    assert_int_equal(pthread_create(&late, NULL, write_one, &writers[1]), 0);
    pthread_join(first, NULL);
    pthread_join(dropper, NULL);
    pthread_join(late, NULL);
    assert_int_equal(writers[0].status, KITH_OK);
    assert_int_equal(writers[1].status, KITH_NOT_FOUND);
    assert_int_equal(names_in(kt_store_io(store), "data"), 0);
    kt_store_close(store);
    scratch_close(&scratch);
}

static kith_status prepare_creation(void *context, const struct kt_state *state, struct kt_txn *txn,
                                    kith_error *told)
{
    if (state->commit) return kt_fail(told, KITH_EXISTS, "it exists");
    return prepare_change(context, state, txn, told);
}

static void *create(void *context)
{
    struct writer *writer = context;
    struct kt_txn *txn = NULL;
    writer->change = (struct change){ .schema = "{}", .rows = 1, .inlined = "x" };
    assert_ok(kt_txn_begin(writer->store, "create", &txn, &error));
    writer->status = kt_txn_commit(txn, prepare_creation, &writer->change, NULL, &writer->error);
    return NULL;
}

static void one_thread_creates_a_table(void **state)
{
    enum { THREADS = 6 };
    struct scratch scratch;
    struct kt_store *store = NULL;
    struct writer writers[THREADS];
    pthread_t threads[THREADS];
    int won = 0;
    scratch_for(&scratch, state);
    assert_ok(kt_store_create(scratch.io, "t.kith", &store, &error));
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){ .store = store };
        assert_int_equal(pthread_create(&threads[i], NULL, create, &writers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        won += writers[i].status == KITH_OK;
        if (writers[i].status) assert_int_equal(writers[i].status, KITH_EXISTS);
    }
    assert_int_equal(won, 1);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* A thread leads while another forks: in the child nobody leads, and nobody waits. */
static void a_child_commits_while_its_parent_leads(void **state)
{
    struct scratch scratch;
    pthread_t first, second;
    int status;
    (void)state;
    scratch_open(&scratch, false);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    struct waiting waiting = { .store = store };
    struct writer waits = { .store = store, .change = { .rows = 1, .inlined = "y" } };
    assert_int_equal(pthread_create(&first, NULL, hold_up, &waiting), 0);
    while (!atomic_load(&waiting.held)) usleep(100);
    assert_int_equal(pthread_create(&second, NULL, write_one, &waits), 0);
    while (queued(store) < 1) usleep(100);
    pid_t child = fork();
    if (!child) {
        kith_error told = { 0 };
        struct change change = { .rows = 1, .inlined = "x" };
        _exit((int)commit_change(store, &change, NULL, &told));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    atomic_store(&waiting.go, true);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    assert_int_equal(waits.status, KITH_OK);
    assert_int_equal(waits.after->rows, 2);
    kt_state_release(waits.after);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* ---- a commit that is too large for all of them */

static void what_does_not_fit_together_goes_one_by_one(void **state)
{
    enum { LARGE = 12 * 1024 * 1024, WRITERS = 4 };
    struct scratch scratch;
    char *large = malloc(LARGE + 1);
    (void)state;
    memset(large, 'x', LARGE);
    large[LARGE] = '\0';
    scratch_open(&scratch, true);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    struct writer writers[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        writers[i] = (struct writer){ .change = { .rows = 1, .inlined = large } };
    write_together(store, writers, WRITERS);
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(writers[i].status, KITH_OK);
        kt_state_release(writers[i].after);
    }
    struct kt_state *newest = load(store);
    assert_int_equal(newest->rows, WRITERS);
    assert_int_equal(newest->commit, 4); /* the schema, who held up, two and two */
    kt_state_release(newest);
    free(large);
    kt_store_close(store);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        on_both(a_key_is_committed_once),
        on_both(wrong_keys_are_refused),
        cmocka_unit_test_prestate(the_last_4096_are_remembered, (void *)&IN_MEMORY),
        on_both(threads_share_a_commit_and_not_their_failures),
        on_both(one_key_is_won_by_one_of_many),
        on_both(maintenance_alone_keeps_the_version),
        on_both(nothing_follows_a_drop),
        on_both(one_thread_creates_a_table),
        cmocka_unit_test(a_child_commits_while_its_parent_leads),
        cmocka_unit_test(what_does_not_fit_together_goes_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
