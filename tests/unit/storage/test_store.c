/* A table's folder as the table room uses it: rows, pieces, settings, versions, checkpoints, drop. */
#include "unit/storage/store_fixture.h"

#include <errno.h>

#include "io/io_posix.h"

static const char PIECE_A[] = "000102030405060708090a0b0c0d0e0f",
                  PIECE_B[] = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

static void rows_appended_are_there_when_opened_again(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    struct kt_state *after = done(store, (struct change){ .rows = 3, .inlined = "three rows" });
    assert_int_equal(after->commit, 2);
    assert_int_equal(after->version, 2);
    assert_int_equal(after->rows, 3);
    kt_state_release(after);
    after = done(store, (struct change){ .rows = 1000, .file_bytes = 40000 });
    assert_int_equal(after->fragments[1].first_row, 3);
    assert_int_equal(after->next_row, 1003);
    assert_int_equal(after->inline_bytes, 10);
    assert_sound_state(after);

    struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
    assert_same_state(after, loaded);
    assert_memory_equal(loaded->fragments[0].inline_rows->data, "three rows", 10);
    assert_string_equal(loaded->versions[2].operation, "append");
    struct kt_view_file *view = NULL;
    const struct kt_stored_file *file = &loaded->fragments[1].groups[0].file;
    assert_ok(kt_view_open(kt_store_io(store), file->name, &file->seal, &view, &error));
    assert_ok(kt_view_verify(view, &error));
    kt_view_close(view);
    kt_state_release(after);
    kt_state_release(loaded);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void every_action_is_read_back(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    const struct change changes[] = {
        { .rows = 10, .inlined = "ten" },
        { .rows = 5, .inlined = "with a\nnewline\n" },
        { .rows = 5, .file_bytes = 100 },
        { .key = "metric", .value = "cosine" },
        { .key = "other", .value = "\xc3\xa9\"\\\n" },
        { .piece = PIECE_A, .operation = "index", .maintenance = true },
        { .replaces = true,
          .first_row = 0,
          .rows = 15,
          .file_bytes = 300,
          .operation = "fold",
          .maintenance = true },
        { .piece = PIECE_B, .remove_piece = PIECE_A, .operation = "index", .maintenance = true },
        { .removes = true, .first_row = 15, .operation = "overwrite", .rows = 2, .inlined = "" },
        { .key = "other", .value = NULL },
        { .schema = "{\"fields\":[]}", .operation = "alter" },
    };
    struct kt_state *after = NULL;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        kt_state_release(after);
        after = done(store, changes[i]);
        assert_sound_state(after);
        struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
        assert_same_state(after, loaded);
        kt_state_release(loaded);
    }
    assert_int_equal(after->commit, 12);
    assert_int_equal(after->version, 9); /* three were maintenance */
    assert_int_equal(after->version_count, 9);
    assert_int_equal(after->fragment_count, 2);
    assert_int_equal(after->fragments[0].rows, 15);
    assert_int_equal(after->fragments[1].first_row, 20); /* 15 to 19 are not given again */
    assert_int_equal(after->rows, 17);
    assert_int_equal(after->piece_count, 1);
    assert_string_equal(after->pieces[0].id, PIECE_B);
    assert_string_equal(json_string_value(json_object_get(after->config, "metric")), "cosine");
    assert_int_equal(json_object_size(after->config), 1);
    kt_state_release(after);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void an_older_state_is_not_changed_by_newer_commits(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    struct kt_state *old =
        done(store, (struct change){ .rows = 4, .inlined = "four", .key = "a", .value = "b" });
    struct kt_state *same = load_afresh(scratch.io, "t.kith");
    kt_state_release(done(store, (struct change){ .replaces = true, .rows = 4, .inlined = "FOUR" }));
    kt_state_release(done(store, (struct change){ .key = "a", .value = "c" }));
    kt_state_release(done(store, (struct change){ .removes = true }));
    assert_same_state(old, same);
    kt_state_release(old);
    kt_state_release(same);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void wrong_actions_are_refused_and_leave_no_file(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    kt_state_release(done(store, (struct change){ .rows = 4, .inlined = "four" }));
    kt_state_release(done(store, (struct change){ .rows = 4, .inlined = "more" }));
    kt_state_release(done(store, (struct change){ .piece = PIECE_A }));
    struct {
        struct change change;
        kith_status expected;
    } wrong[] = {
        { { .removes = true, .first_row = 1 }, KITH_CONFLICT },
        { { .removes = true, .first_row = 8 }, KITH_CONFLICT },
        { { .replaces = true, .first_row = 0, .rows = 5, .file_bytes = 10 }, KITH_INVALID },
        { { .replaces = true, .first_row = 1, .rows = 3, .file_bytes = 10 }, KITH_INVALID },
        { { .replaces = true, .first_row = 4, .rows = 8, .file_bytes = 10 }, KITH_INVALID },
        { { .replaces = true, .first_row = 40, .rows = 8, .file_bytes = 10 }, KITH_INVALID },
        { { .replaces = true, .rows = 3, .file_bytes = 10, .span = 4 }, KITH_INVALID },
        { { .replaces = true, .rows = 8, .file_bytes = 10, .span = 9 }, KITH_INVALID },
        { { .rows = 4, .file_bytes = 10, .span = 5 }, KITH_INVALID },
        { { .deletes = { 0, 8 }, .delete_count = 2, .rows = 1, .file_bytes = 10 }, KITH_CONFLICT },
        { { .deletes = { 2, 1 }, .delete_count = 2, .rows = 1, .file_bytes = 10 }, KITH_INVALID },
        { { .deletes = { 2, 2 }, .delete_count = 2, .rows = 1, .file_bytes = 10 }, KITH_INVALID },
        { { .deletes = { UINT64_MAX }, .delete_count = 1 }, KITH_INVALID },
        { { .rows = UINT64_MAX, .file_bytes = 10 }, KITH_INVALID },
        { { .rows = UINT64_MAX / 4, .file_bytes = 10 }, KITH_INVALID },
        { { .remove_piece = PIECE_B }, KITH_CONFLICT },
        { { .piece = PIECE_A }, KITH_INVALID },
        { { .piece = "not hexadecimal at all, 32 chars" }, KITH_INVALID },
        { { .schema = "[]" }, KITH_INVALID },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct kt_state *after = NULL;
        assert_status(wrong[i].expected, commit_change(store, &wrong[i].change, &after, &error));
        assert_null(after);
        assert_int_equal(wrong[i].change.prepared, 1);
        assert_int_equal(names_in(kt_store_io(store), "data"), 0);
        assert_int_equal(names_in(kt_store_io(store), "index"), 1);
        assert_int_equal(names_in(kt_store_io(store), "log"), 4);
    }
    struct kt_txn *txn = NULL;
    struct kt_sink *sink = NULL;
    char name[56];
    assert_status(KITH_INVALID, kt_txn_begin(store, "Append!", &txn, &error));
    assert_status(KITH_INVALID, kt_txn_begin(store, "sixteen_or_more_", &txn, &error));
    assert_ok(kt_txn_begin(store, "append", &txn, &error));
    assert_status(KITH_INVALID, kt_txn_create(txn, "log", "commit", 64, &sink, name, &error));
    assert_status(KITH_INVALID, kt_txn_create(txn, "data", "kix", 64, &sink, name, &error));
    assert_status(KITH_INVALID, kt_txn_remove_fragment(txn, 0, &error)); /* outside of prepare */
    kt_txn_abandon(txn);
    kt_txn_abandon(NULL);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void an_abandoned_transaction_leaves_no_file(void **state)
{
    struct scratch scratch;
    struct kt_txn *txn = NULL;
    struct kt_sink *sink = NULL;
    char a[56], b[56];
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    assert_ok(kt_txn_begin(store, "append", &txn, &error));
    assert_ok(kt_txn_create(txn, "data", "arrow", 64, &sink, a, &error));
    assert_ok(kt_sink_finish(sink, NULL, &error));
    assert_ok(kt_txn_create(txn, "data", "arrow", 64, &sink, b, &error));
    assert_string_not_equal(a, b);
    kt_sink_abandon(sink);
    kt_txn_abandon(txn);
    assert_int_equal(names_in(kt_store_io(store), "data"), 0);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void versions_are_read_as_they_were(void **state)
{
    enum { VERSIONS = 12 };
    struct scratch scratch;
    struct kt_state *old[VERSIONS + 1] = { NULL };
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    old[1] = load(store);
    for (int v = 2; v <= VERSIONS; v++) {
        old[v] = done(store, (struct change){ .rows = 1, .inlined = "row" });
        if (v % 3) continue; /* the version shows the newest of its commits */
        kt_state_release(old[v]);
        old[v] = done(store, (struct change){ .replaces = true,
                                              .rows = 1,
                                              .first_row = (uint64_t)v - 2,
                                              .inlined = "ROW",
                                              .maintenance = true,
                                              .operation = "fold" });
    }
    for (int v = 1; v <= VERSIONS; v++) {
        struct kt_state *found = NULL;
        assert_ok(kt_store_load_version(store, (uint64_t)v, &found, &error));
        assert_same_state(found, old[v]);
        kt_state_release(found);
        kt_state_release(old[v]);
    }
    struct kt_state *none = NULL;
    assert_status(KITH_NOT_FOUND, kt_store_load_version(store, 0, &none, &error));
    assert_status(KITH_NOT_FOUND, kt_store_load_version(store, VERSIONS + 1, &none, &error));
    kt_store_close(store);
    scratch_close(&scratch);
}

/* 200 commits: checkpoints come at 64 and 128 and 192, and without the commits before them all is there. */
static void checkpoints_stand_for_the_commits_before_them(void **state)
{
    struct scratch scratch;
    struct kt_state *old = NULL;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    kt_state_release(done(store, (struct change){ .rows = 9, .file_bytes = 100, .key = "a", .value = "b" }));
    kt_state_release(done(store, (struct change){ .piece = PIECE_A, .maintenance = true }));
    for (int i = 4; i <= 200; i++) {
        struct change change = { .rows = 1, .inlined = "another row", .maintenance = i % 5 == 0 };
        if (i == 150) change = (struct change){ .removes = true, .first_row = 9 };
        kt_state_release(done(store, change));
    }
    assert_int_equal(names_in(kt_store_io(store), "log"), 203);
    struct kt_state *newest = load(store), *whole = load_afresh(scratch.io, "t.kith");
    assert_same_state(newest, whole);
    kt_state_release(whole);
    assert_ok(kt_store_load_version(store, 3, &old, &error));
    kt_state_release(old);

    for (int i = 1; i <= 192; i++) {
        char name[64];
        snprintf(name, sizeof name, "log/%020d.commit", i);
        assert_ok(kt_io_remove(kt_store_io(store), name, &error));
    }
    whole = load_afresh(scratch.io, "t.kith");
    assert_same_state(newest, whole);
    kt_state_release(whole);
    assert_ok(kt_store_load_version(store, newest->version - 2, &old, &error));
    assert_int_equal(old->version, newest->version - 2);
    kt_state_release(old);
    assert_int_equal(names_in(kt_store_io(store), "log"), 11);
    assert_int_not_equal(kt_store_load_version(store, 3, &old, NULL), KITH_OK);
    kt_state_release(newest);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void refreshing_follows_another_handle(void **state)
{
    struct scratch scratch;
    struct kt_store *reader = NULL;
    struct kt_state *refreshed = NULL;
    scratch_for(&scratch, state);
    struct kt_store *writer = store_with_schema(scratch.io, "t.kith");
    assert_ok(kt_store_open(scratch.io, "t.kith", &reader, &error));
    struct kt_state *known = load(reader);
    assert_ok(kt_store_refresh(reader, known, &refreshed, &error));
    assert_ptr_equal(known, refreshed);
    kt_state_release(refreshed);
    for (int i = 0; i < 3; i++) kt_state_release(done(writer, (struct change){ .rows = 1, .inlined = "x" }));
    assert_ok(kt_store_refresh(reader, known, &refreshed, &error));
    struct kt_state *newest = load(writer);
    assert_same_state(refreshed, newest);
    kt_state_release(known);
    kt_state_release(refreshed);
    kt_state_release(newest);
    kt_store_close(reader);
    kt_store_close(writer);
    scratch_close(&scratch);
}

static void a_table_exists_from_its_first_commit_on(void **state)
{
    struct scratch scratch;
    struct kt_store *store = NULL, *other = NULL;
    struct kt_state *none = NULL;
    scratch_for(&scratch, state);
    assert_status(KITH_NOT_FOUND, kt_store_open(scratch.io, "t.kith", &other, &error));
    assert_ok(kt_store_create(scratch.io, "t.kith", &store, &error));
    assert_status(KITH_NOT_FOUND, kt_store_open(scratch.io, "t.kith", &other, &error));
    assert_status(KITH_NOT_FOUND, kt_store_load(store, &none, &error));
    assert_ok(kt_store_create(scratch.io, "t.kith", &other, &error)); /* two may try; the commit decides */
    kt_state_release(done(store, (struct change){ .schema = "{}" }));
    struct kt_state *second = done(other, (struct change){ .schema = "{}" });
    assert_int_equal(second->commit,
                     2); /* `prepare` saw that there is a table, and could have said KITH_EXISTS */
    kt_state_release(second);
    kt_store_close(other);
    assert_status(KITH_EXISTS, kt_store_create(scratch.io, "t.kith", &other, &error));
    kt_store_close(store);
    scratch_close(&scratch);
}

static void a_dropped_table_is_gone_for_every_handle(void **state)
{
    struct scratch scratch;
    struct kt_store *other = NULL;
    struct kt_state *none = NULL;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    kt_state_release(done(store, (struct change){ .rows = 5, .file_bytes = 100 }));
    assert_ok(kt_store_open(scratch.io, "t.kith", &other, &error));
    struct kt_state *known = load(other);
    assert_ok(kt_store_drop(store, scratch.io, "t.kith", &error));
    assert_int_equal(names_in(scratch.io, ""), 0);
    assert_status(KITH_NOT_FOUND, kt_store_refresh(other, known, &none, &error));
    assert_status(KITH_NOT_FOUND, kt_store_load(store, &none, &error));
    struct change change = { .rows = 5, .file_bytes = 100 };
    assert_status(KITH_NOT_FOUND, commit_change(other, &change, NULL, &error));
    assert_status(KITH_NOT_FOUND, kt_store_drop(other, scratch.io, "t.kith", &error));

    struct kt_store *again =
        store_with_schema(scratch.io, "t.kith"); /* one of the same name is another table */
    assert_status(KITH_NOT_FOUND, kt_store_refresh(other, known, &none, &error));
    assert_status(KITH_NOT_FOUND, commit_change(other, &change, NULL, &error));
    struct kt_state *fresh = load(again);
    assert_int_equal(fresh->commit, 1);
    assert_string_not_equal(fresh->table_id, known->table_id);
    kt_state_release(fresh);
    kt_state_release(known);
    kt_store_close(again);
    kt_store_close(other);
    kt_store_close(store);
    scratch_close(&scratch);
}

static kith_status prepare_drop(void *context, const struct kt_state *state, struct kt_txn *txn,
                                kith_error *error)
{
    (void)context, (void)state;
    return kt_txn_drop(txn, error);
}

/* The dropper died after its commit. */
static void a_half_dropped_table_does_not_stand_in_the_way(void **state)
{
    struct scratch scratch;
    struct kt_txn *txn = NULL;
    struct kt_store *other = NULL;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    assert_ok(kt_txn_begin(store, "drop", &txn, &error));
    assert_ok(kt_txn_commit(txn, prepare_drop, NULL, NULL, &error));
    assert_status(KITH_NOT_FOUND, kt_store_open(scratch.io, "t.kith", &other, &error));
    struct kt_store *again = store_with_schema(scratch.io, "t.kith");
    kt_state_release(done(again, (struct change){ .rows = 1, .inlined = "x" }));
    struct change change = { .rows = 5, .inlined = "to the dropped one" };
    assert_status(KITH_NOT_FOUND, commit_change(store, &change, NULL, &error));
    struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
    assert_int_equal(loaded->rows, 1);
    assert_int_equal(names_in(scratch.io, ""), 1);
    kt_state_release(loaded);
    kt_store_close(again);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* Somebody moved the dropped folder and created a table, just before the dropper moves "its" folder. */
static void a_drop_does_not_move_another_table_away(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *alive = store_with_schema(scratch.io, "t.kith");
    kt_drop_folder(scratch.io, "t.kith", "0123456789abcdef0123456789abcdef");
    struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
    assert_int_equal(loaded->commit, 1);
    kt_state_release(loaded);
    kt_store_close(alive);
    scratch_close(&scratch);
}

/* ---- winning a name that was free only because the log is being removed */

struct overtaken {
    struct scratch *scratch;
    bool dropped; /* else the log went on far, and its beginning was removed */
    bool blind;   /* then the disk refuses to say what names there are */
    bool haunted; /* another process that came too late has put a commit where the one before ours was */
    struct change change;
};

static int blind_stat(int folder, const char *name, struct stat *out, int flags)
{
    (void)folder, (void)name, (void)out, (void)flags;
    return errno = EIO, -1;
}

/* While this writer prepares, others commit, and the names that it will find free are freed. */
static kith_status prepare_late(void *context, const struct kt_state *state, struct kt_txn *txn,
                                kith_error *told)
{
    struct overtaken *overtaken = context;
    struct kt_store *other = NULL;
    assert_ok(kt_store_open(overtaken->scratch->io, "t.kith", &other, &error));
    int commits = overtaken->dropped ? 2 : 70;
    for (int i = 0; i < commits; i++)
        kt_state_release(done(other, (struct change){ .rows = 1, .inlined = "x" }));
    if (overtaken->dropped) {
        struct kt_txn *drop = NULL;
        assert_ok(kt_txn_begin(other, "drop", &drop, &error));
        assert_ok(kt_txn_commit(drop, prepare_drop, NULL, NULL, &error));
        assert_ok(kt_io_rename(overtaken->scratch->io, "t.kith", ".dropped-t", &error));
    }
    for (int i = 1; i <= (overtaken->dropped ? 4 : 64); i++) {
        char name[64];
        snprintf(name, sizeof name, "log/%020d.commit", i);
        assert_ok(kt_io_remove(kt_store_io(other), name, &error));
    }
    if (overtaken->haunted)
        assert_int_equal(kt_io_publish(other->log, "00000000000000000002.commit", "late", 4, told), KT_WON);
    kt_store_close(other);
    if (overtaken->blind) kt_posix.stat_name = blind_stat;
    return prepare_change(&overtaken->change, state, txn, told);
}

static void a_name_freed_by_removal_is_not_won(void **state)
{
    const struct kt_posix_calls real = kt_posix;
    for (int way = 0; way < 8; way++) {
        struct scratch scratch;
        struct kt_txn *txn = NULL;
        bool dropped = way & 1;
        scratch_for(&scratch, state);
        struct kt_store *store = store_with_schema(scratch.io, "t.kith");
        kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "x" }));
        struct overtaken overtaken = {
            &scratch, dropped, way & 2, way & 4, { .rows = 1, .inlined = "late" }
        };
        assert_ok(kt_txn_begin(store, "append", &txn, &error));
        assert_status(dropped ? KITH_NOT_FOUND : KITH_CONFLICT,
                      kt_txn_commit(txn, prepare_late, &overtaken, NULL, &error));
        kt_posix = real;
        if (!dropped) {
            struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
            assert_int_equal(loaded->commit, 72);
            assert_int_equal(loaded->rows, 71);
            kt_state_release(loaded);
        }
        kt_store_close(store);
        scratch_close(&scratch);
    }
}

static void a_renamed_table_goes_on_under_open_handles(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "a.kith");
    assert_ok(kt_io_rename(scratch.io, "a.kith", "b.kith", &error));
    kt_state_release(done(store, (struct change){ .rows = 5, .file_bytes = 100 }));
    struct kt_state *loaded = load_afresh(scratch.io, "b.kith");
    assert_int_equal(loaded->rows, 5);
    kt_state_release(loaded);
    kt_store_close(store);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        on_both(rows_appended_are_there_when_opened_again),
        on_both(every_action_is_read_back),
        on_both(an_older_state_is_not_changed_by_newer_commits),
        on_both(wrong_actions_are_refused_and_leave_no_file),
        on_both(an_abandoned_transaction_leaves_no_file),
        on_both(versions_are_read_as_they_were),
        on_both(checkpoints_stand_for_the_commits_before_them),
        on_both(refreshing_follows_another_handle),
        on_both(a_table_exists_from_its_first_commit_on),
        on_both(a_dropped_table_is_gone_for_every_handle),
        on_both(a_half_dropped_table_does_not_stand_in_the_way),
        on_both(a_drop_does_not_move_another_table_away),
        on_both(a_name_freed_by_removal_is_not_won),
        on_both(a_renamed_table_goes_on_under_open_handles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
