/* Every allocation fails in turn, those of the libraries as well: a step fails in words or is done, the table
 * is as before or after it, and nothing leaks. Only the parser of jansson is spared: when its lexer (2.14) is
 * refused the memory for a longer token, it may abort the process by an assert.
 *
 * malloc and its kin are replaced for the whole program; a sanitizer brings its own, so there the test is
 * left out. */
#include "unit/storage/store_fixture.h"

#include <dlfcn.h>
#include <errno.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)

int main(void)
{
    return 77; /* skipped */
}

#else

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

#define EVERYWHERE __attribute__((visibility("default"))) /* in the libraries too */

static long allocations, failing, live;
static bool for_ever, spared;

static bool fails(void)
{
    if (spared) return false;
    allocations++;
    if (!failing || !(allocations == failing || (for_ever && allocations > failing))) return false;
    errno = ENOMEM;
    return true;
}

static void *counted(void *memory)
{
    live += memory != NULL;
    return memory;
}

EVERYWHERE void *malloc(size_t size)
{
    return fails() ? NULL : counted(__libc_malloc(size));
}
EVERYWHERE void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(__libc_calloc(count, size));
}
EVERYWHERE void *realloc(void *memory, size_t size)
{
    if (fails()) return NULL;
    void *moved = __libc_realloc(memory, size);
    live += !memory && moved;
    return moved;
}
EVERYWHERE void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : counted(__libc_memalign(alignment, size));
}
EVERYWHERE void free(void *memory)
{
    live -= memory != NULL;
    __libc_free(memory);
}

EVERYWHERE json_t *json_loadb(const char *buffer, size_t size, size_t flags, json_error_t *error)
{
    json_t *(*parser)(const char *, size_t, size_t, json_error_t *);
    spared = true;
    *(void **)&parser = dlsym(RTLD_NEXT, "json_loadb");
    json_t *value = parser(buffer, size, flags, error);
    spared = false;
    return value;
}

struct fixture {
    struct scratch scratch;
    struct kt_store *store;
};

static void fill(struct fixture *fixture)
{
    scratch_open(&fixture->scratch, true);
    fixture->store = store_with_schema(fixture->scratch.io, "t.kith");
    kt_state_release(done(fixture->store, (struct change){ .rows = 5, .inlined = "five" }));
    kt_state_release(
        done(fixture->store,
             (struct change){ .rows = 5, .file_bytes = 70000, .deletes = { 2 }, .delete_count = 1 }));
}

static void empty(struct fixture *fixture)
{
    kt_store_close(fixture->store);
    scratch_close(&fixture->scratch);
}

static kith_status repair(struct fixture *fixture, kith_error *error);

/* Runs `step` on a new fixture for each k, with allocation k failing. */
static void fail_each(kith_status (*step)(struct fixture *fixture, kith_error *error), bool ever)
{
    for (long k = 1;; k++) {
        struct fixture fixture;
        kith_error told = { 0 };
        fill(&fixture);
        allocations = 0, failing = k, for_ever = ever;
        kith_status status = step(&fixture, &told);
        bool reached = allocations >= k;
        failing = 0;
        if (status && status != KITH_NO_MEMORY)
            fail_msg("allocation %ld: %s: %s", k, kith_status_name(status), told.message);
        if (step == repair && status) { /* the damage may still be there */
            struct kt_buffer words = { 0 };
            assert_ok(kt_store_repair(fixture.store, &words, &error));
            kt_buffer_release(&words);
        }
        struct kt_state *state = load_afresh(fixture.scratch.io, "t.kith");
        assert_sound_state(state);
        assert_true(state->rows == 9 || state->rows == 18 || state->rows == 19);
        if (!reached) assert_int_equal(status, KITH_OK);
        kt_state_release(state);
        empty(&fixture);
        if (!reached) {
            print_message("%ld allocations\n", k - 1);
            return;
        }
    }
}

static kith_status commit_all(struct fixture *fixture, kith_error *error)
{
    struct change change = { .deletes = { 0, 8 },
                             .delete_count = 2,
                             .txn_key = "a key",
                             .rows = 11,
                             .inlined = "eleven",
                             .key = "a",
                             .value = "b",
                             .schema = "{\"a\":[1]}",
                             .piece = "000102030405060708090a0b0c0d0e0f" };
    struct kt_state *state = NULL;
    kith_status status = commit_change(fixture->store, &change, &state, error);
    if (!status) assert_int_equal(state->rows, 18);
    if (status) assert_null(state);
    kt_state_release(state);
    return status;
}

/* While another writer deletes. */
static kith_status fold_all(struct fixture *fixture, kith_error *error)
{
    struct kt_state *then = NULL;
    kith_status status = kt_store_load(fixture->store, &then, error);
    struct change deletion = { .deletes = { 4 }, .delete_count = 1 };
    struct change fold = { .replaces = true, .rows = 9, .span = 10, .then = then, .inlined = "folded" };
    struct change append = { .rows = 10, .inlined = "ten" };
    if (!status) status = commit_change(fixture->store, &append, NULL, error);
    if (!status) status = commit_change(fixture->store, &deletion, NULL, error);
    if (!status) status = commit_change(fixture->store, &fold, NULL, error);
    kt_state_release(then);
    return status;
}

/* What was is tagged, and then again what is. */
static kith_status tag_and_restore(struct fixture *fixture, kith_error *error)
{
    struct kt_state *old = NULL;
    kith_status status = kt_store_load_version(fixture->store, 3, &old, error);
    struct change tag = { .tag = "then", .tagged = 2 }, change = { .rows = 9, .inlined = "nine" };
    struct change restore = { .restores = old };
    if (!status) status = commit_change(fixture->store, &tag, NULL, error);
    if (!status) status = commit_change(fixture->store, &change, NULL, error);
    if (!status) status = commit_change(fixture->store, &restore, NULL, error);
    kt_state_release(old);
    return status;
}

static kith_status clean_up(struct fixture *fixture, kith_error *error)
{
    struct kt_retention how = {
        .keep_versions = 1, .keep_us = INT64_MAX, .keep_bytes = UINT64_MAX, .orphans = true
    };
    struct change tag = { .tag = "then", .tagged = 3 };
    struct change change = { .removes = true, .first_row = 5, .rows = 14, .inlined = "fourteen" };
    kith_status status = commit_change(fixture->store, &tag, NULL, error);
    if (!status) status = commit_change(fixture->store, &change, NULL, error);
    if (!status) status = kt_store_clean(fixture->store, &how, NULL, error);
    return status;
}

static kith_status back_up(struct fixture *fixture, kith_error *error)
{
    struct kt_state *state = NULL;
    kith_status status = kt_store_load(fixture->store, &state, error);
    if (!status)
        status = kt_store_backup(fixture->store, state, fixture->scratch.io, "copy.kith", NULL, error);
    kt_state_release(state);
    if (status) assert_false(kt_io_exists(fixture->scratch.io, "copy.kith"));
    return status;
}

/* A table whose newest commit and one checkpoint are damaged. */
static kith_status repair(struct fixture *fixture, kith_error *error)
{
    struct kt_buffer words = { 0 };
    struct kt_store *store = NULL;
    struct kt_io *io = kt_store_io(fixture->store);
    const char *const damaged[] = { "log/00000000000000000004.commit",
                                    "log/00000000000000000002.checkpoint" };
    for (int i = 0; i < 2; i++) {
        struct kt_io_writer *writer = NULL;
        kith_status made = kt_io_create(io, damaged[i], &writer, error);
        if (!made) made = kt_io_finish(writer, error);
        if (made) return made;
    }
    kith_status status = kt_store_open(fixture->scratch.io, "t.kith", &store, error);
    if (!status) status = kt_store_repair(store, &words, error);
    kt_buffer_release(&words);
    kt_store_close(store);
    return status;
}

static kith_status open_and_read(struct fixture *fixture, kith_error *error)
{
    struct kt_store *store = NULL;
    struct kt_state *state = NULL, *old = NULL;
    kith_status status = kt_store_open(fixture->scratch.io, "t.kith", &store, error);
    if (!status) status = kt_store_load(store, &state, error);
    if (!status) status = kt_store_load_version(store, 2, &old, error);
    if (!status) {
        struct kt_view_file *view = NULL;
        const struct kt_stored_file *file = &state->fragments[1].groups[0].file;
        status = kt_view_open(kt_store_io(store), file->name, &file->seal, &view, error);
        if (!status) status = kt_view_verify(view, error);
        kt_view_close(view);
    }
    kt_state_release(old);
    kt_state_release(state);
    kt_store_close(store);
    return status;
}

static kith_status checkpoint(struct fixture *fixture, kith_error *error)
{
    struct kt_state *state = NULL, *back = NULL;
    struct kt_buffer bytes = { 0 };
    kith_status status = kt_store_load(fixture->store, &state, error);
    if (!status) status = kt_checkpoint_encode(state, &bytes, error);
    if (!status) status = kt_checkpoint_decode(bytes.data, bytes.size, &back, error);
    if (!status) assert_same_state(state, back);
    kt_buffer_release(&bytes);
    kt_state_release(state);
    kt_state_release(back);
    return status;
}

static void any_allocation_of_a_commit_may_fail(void **state)
{
    (void)state;
    fail_each(commit_all, false);
    fail_each(commit_all, true);
}

static void any_allocation_of_a_fold_may_fail(void **state)
{
    (void)state;
    fail_each(fold_all, false);
    fail_each(fold_all, true);
}

static void any_allocation_of_a_tag_and_a_restore_may_fail(void **state)
{
    (void)state;
    fail_each(tag_and_restore, false);
    fail_each(tag_and_restore, true);
}

static void any_allocation_of_a_clean_up_may_fail(void **state)
{
    (void)state;
    fail_each(clean_up, false);
    fail_each(clean_up, true);
}

static void any_allocation_of_a_backup_may_fail(void **state)
{
    (void)state;
    fail_each(back_up, false);
    fail_each(back_up, true);
}

static void any_allocation_of_a_repair_may_fail(void **state)
{
    (void)state;
    fail_each(repair, false);
    fail_each(repair, true);
}

static void any_allocation_of_an_open_may_fail(void **state)
{
    (void)state;
    fail_each(open_and_read, false);
    fail_each(open_and_read, true);
}

static void any_allocation_of_a_checkpoint_may_fail(void **state)
{
    (void)state;
    fail_each(checkpoint, false);
    fail_each(checkpoint, true);
}

/* The same fixture twice leaves as much memory as once. */
static void nothing_leaks(void **state)
{
    long after[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        for (long k = 1; k < 400; k += 3) {
            struct fixture fixture;
            fill(&fixture);
            allocations = 0, failing = k, for_ever = false;
            commit_all(&fixture, NULL);
            fold_all(&fixture, NULL);
            tag_and_restore(&fixture, NULL);
            clean_up(&fixture, NULL);
            back_up(&fixture, NULL);
            open_and_read(&fixture, NULL);
            checkpoint(&fixture, NULL);
            failing = 0;
            empty(&fixture);
        }
        after[i] = live;
    }
    assert_int_equal(after[0], after[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_of_a_commit_may_fail),
        cmocka_unit_test(any_allocation_of_a_fold_may_fail),
        cmocka_unit_test(any_allocation_of_a_tag_and_a_restore_may_fail),
        cmocka_unit_test(any_allocation_of_a_clean_up_may_fail),
        cmocka_unit_test(any_allocation_of_a_backup_may_fail),
        cmocka_unit_test(any_allocation_of_a_repair_may_fail),
        cmocka_unit_test(any_allocation_of_an_open_may_fail),
        cmocka_unit_test(any_allocation_of_a_checkpoint_may_fail),
        cmocka_unit_test(nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
