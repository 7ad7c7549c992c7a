/* Tags and restores: a tagged version stays, a restored one is the newest and as it was. */
#include "unit/storage/store_fixture.h"

static const char PIECE[] = "000102030405060708090a0b0c0d0e0f";

static void remove_commits(struct kt_store *store, int first, int last)
{
    for (int i = first; i <= last; i++) {
        char name[64];
        snprintf(name, sizeof name, "log/%020d.commit", i);
        assert_ok(kt_io_remove(kt_store_io(store), name, &error));
    }
}

static void a_tagged_version_is_read_when_its_commits_are_gone(void **state)
{
    struct scratch scratch;
    struct kt_state *found = NULL;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    struct kt_state *old = done(store, (struct change){ .rows = 3, .inlined = "abc" });
    kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "d" }));
    struct kt_state *after =
        done(store, (struct change){ .operation = "tag", .tag = "release", .tagged = 2 });
    assert_int_equal(after->version, 3); /* maintenance */
    assert_int_equal(after->tag_count, 1);
    assert_string_equal(after->tags[0].name, "release");
    assert_int_equal(after->tags[0].version, 2);
    assert_int_equal(after->tags[0].commit, 2);
    struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
    assert_same_state(loaded, after);
    kt_state_release(loaded);
    kt_state_release(after);
    for (int i = 4; i < 70; i++) kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "x" }));
    remove_commits(store, 1, 63);
    assert_ok(kt_store_load_version(store, 2, &found, &error));
    assert_same_state(found, old);
    kt_state_release(found);
    loaded = load_afresh(scratch.io, "t.kith"); /* through a checkpoint, in which the tag is */
    assert_int_equal(loaded->tag_count, 1);
    kt_state_release(loaded);
    kt_state_release(old);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void tags_are_moved_and_taken_away(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    char long_name[KT_LONGEST_TAG + 2];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    for (int i = 0; i < 3; i++) kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "x" }));
    kt_state_release(done(store, (struct change){ .tag = "b", .tagged = 4 }));
    kt_state_release(done(store, (struct change){ .tag = "a", .tagged = 1 }));
    kt_state_release(done(store, (struct change){ .tag = "c", .tagged = 1 }));
    struct kt_state *after = done(store, (struct change){ .tag = "a", .tagged = 2 });
    assert_int_equal(after->tag_count, 3);
    assert_string_equal(after->tags[0].name, "a");
    assert_int_equal(after->tags[0].version, 2);
    assert_string_equal(after->tags[2].name, "c");
    kt_state_release(after);
    after = done(store, (struct change){ .tag = "b", .tagged = 0 });
    assert_int_equal(after->tag_count, 2);
    struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
    assert_same_state(loaded, after);
    kt_state_release(loaded);
    struct change none = { .tag = "b", .tagged = 0 }, later = { .tag = "b", .tagged = 5 };
    struct change nameless = { .tag = "", .tagged = 1 }, too_long = { .tag = long_name, .tagged = 1 };
    assert_status(KITH_NOT_FOUND, commit_change(store, &none, NULL, &error));
    assert_status(KITH_NOT_FOUND, commit_change(store, &later, NULL, &error));
    assert_status(KITH_INVALID, commit_change(store, &nameless, NULL, &error));
    assert_status(KITH_INVALID, commit_change(store, &too_long, NULL, &error));
    kt_state_release(after);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* A damaged checkpoint where the tag's should be is replaced. */
static void a_tag_vouches_for_its_checkpoint(void **state)
{
    struct scratch scratch;
    struct kt_io_writer *writer = NULL;
    struct kt_state *found = NULL;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "x" }));
    const char *name = "log/00000000000000000001.checkpoint";
    assert_ok(kt_io_create(kt_store_io(store), name, &writer, &error));
    assert_ok(kt_io_append(writer, "half of it", 10, &error));
    assert_ok(kt_io_finish(writer, &error));
    kt_state_release(done(store, (struct change){ .tag = "first", .tagged = 1 }));
    remove_commits(store, 1, 1);
    assert_ok(kt_store_load_version(store, 1, &found, &error));
    assert_int_equal(found->rows, 0);
    kt_state_release(found);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* ---- restoring */

static void a_restored_table_is_what_it_was(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    kt_state_release(
        done(store, (struct change){ .rows = 100, .file_bytes = 500, .key = "a", .value = "b" }));
    kt_state_release(done(store, (struct change){ .rows = 3, .inlined = "abc", .piece = PIECE }));
    struct kt_state *old = done(store, (struct change){ .deletes = { 3, 4, 99, 101 }, .delete_count = 4 });
    kt_state_release(done(store, (struct change){ .key = "a", .value = "c", .remove_piece = PIECE }));
    kt_state_release(done(store, (struct change){ .deletes = { 5, 100, 102 }, .delete_count = 3 }));
    kt_state_release(done(store, (struct change){ .removes = true, .rows = 7, .file_bytes = 10 }));
    kt_state_release(done(store, (struct change){ .schema = "{\"fields\":[1]}", .operation = "alter" }));
    struct kt_state *after = done(store, (struct change){ .operation = "restore", .restores = old });
    assert_same_content(after, old);
    assert_int_equal(after->version, 9);
    assert_int_equal(after->next_row, 110); /* ids are never given again */
    assert_sound_state(after);
    struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
    assert_same_state(after, loaded);
    kt_state_release(loaded);
    kt_state_release(after);
    after = done(store, (struct change){ .rows = 2, .inlined = "yz" });
    assert_int_equal(after->fragments[after->fragment_count - 1].first_row, 110);
    kt_state_release(after);
    kt_state_release(old);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void a_fold_read_before_a_restore_conflicts(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    struct kt_state *old = done(store, (struct change){ .rows = 4, .inlined = "four" });
    struct kt_state *then = done(store, (struct change){ .deletes = { 1 }, .delete_count = 1 });
    kt_state_release(done(store, (struct change){ .restores = old })); /* row 1 lives again */
    struct change fold = { .replaces = true, .then = then, .span = 4, .rows = 3, .inlined = "thr" };
    assert_status(KITH_CONFLICT, commit_change(store, &fold, NULL, &error));
    kt_state_release(old);
    kt_state_release(then);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void another_tables_state_is_not_restored(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith"),
                    *other = store_with_schema(scratch.io, "u.kith");
    struct kt_state *theirs = load(other);
    struct change change = { .restores = theirs };
    assert_status(KITH_INVALID, commit_change(store, &change, NULL, &error));
    kt_state_release(theirs);
    kt_store_close(other);
    kt_store_close(store);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        on_both(a_tagged_version_is_read_when_its_commits_are_gone),
        on_both(tags_are_moved_and_taken_away),
        on_both(a_tag_vouches_for_its_checkpoint),
        on_both(a_restored_table_is_what_it_was),
        on_both(a_fold_read_before_a_restore_conflicts),
        on_both(another_tables_state_is_not_restored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
