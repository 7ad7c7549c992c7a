/* Repairing a damaged log, and copies that are tables of their own. */
#include "unit/storage/store_fixture.h"

static const char PIECE[] = "000102030405060708090a0b0c0d0e0f";

static void overwrite(struct kt_store *store, const char *name, const char *text)
{
    struct kt_io_writer *writer = NULL;
    assert_ok(kt_io_remove(kt_store_io(store), name, &error));
    assert_ok(kt_io_create(kt_store_io(store), name, &writer, &error));
    assert_ok(kt_io_append(writer, text, strlen(text), &error));
    assert_ok(kt_io_finish(writer, &error));
}

static void append_some(struct kt_store *store, int count)
{
    for (int i = 0; i < count; i++)
        kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "x" }));
}

/* How many names in the log contain `text`. */
static int names_with(struct kt_store *store, const char *text)
{
    struct kt_io_names names = { 0 };
    int count = 0;
    assert_ok(kt_io_list(kt_store_io(store), "log", &names, &error));
    for (size_t i = 0; i < names.count; i++) count += strstr(names.names[i], text) != NULL;
    kt_io_names_release(&names);
    return count;
}

static const char *said(const struct kt_buffer *words)
{
    return words->size ? (const char *)words->data : "";
}

static void a_table_that_is_well_is_left_alone(void **state)
{
    struct scratch scratch;
    struct kt_buffer words = { 0 };
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    append_some(store, 3);
    size_t names = names_in(kt_store_io(store), "log");
    assert_ok(kt_store_repair(store, &words, &error));
    assert_int_equal(words.size, 0);
    assert_int_equal(names_in(kt_store_io(store), "log"), names);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void a_damaged_newest_commit_is_given_up(void **state)
{
    for (int known = 0; known < 2; known++) {
        struct scratch scratch;
        struct kt_buffer words = { 0 };
        scratch_for(&scratch, state);
        struct kt_store *store = store_with_schema(scratch.io, "t.kith"), *other = NULL;
        append_some(store, 2);
        struct kt_state *before = load(store);
        append_some(store, 1);
        overwrite(store, "log/00000000000000000004.commit", "half a commit");
        /* a handle that has read the commit while it was whole, and one that has not */
        struct kt_store *repairer = store;
        if (!known) assert_ok(kt_store_open(scratch.io, "t.kith", &repairer, &error));
        assert_ok(kt_store_repair(repairer, &words, &error));
        assert_true(kt_buffer_append(&words, "", 1));
        assert_non_null(strstr(said(&words), "00000000000000000004.commit is damaged"));
        assert_non_null(strstr(said(&words), "version 3 is the newest"));
        assert_int_equal(names_with(store, ".damaged-"), 1);
        struct kt_state *after = load(repairer);
        assert_same_content(after, before);
        assert_int_equal(after->commit, 4);
        assert_int_equal(after->version, 3);
        kt_state_release(after);
        after = done(repairer, (struct change){ .rows = 1, .inlined = "y" });
        assert_int_equal(after->commit, 5);
        assert_ok(kt_store_open(scratch.io, "t.kith", &other, &error));
        struct kt_state *loaded = load(other);
        assert_same_state(loaded, after);
        kt_state_release(loaded);
        kt_state_release(after);
        kt_state_release(before);
        kt_buffer_release(&words);
        if (!known) kt_store_close(repairer);
        kt_store_close(other);
        kt_store_close(store);
        scratch_close(&scratch);
    }
}

static void what_others_rest_on_is_not_given_up(void **state)
{
    for (int way = 0; way < 3; way++) {
        struct scratch scratch;
        struct kt_buffer words = { 0 };
        struct kt_store *again = NULL;
        scratch_for(&scratch, state);
        struct kt_store *store = store_with_schema(scratch.io, "t.kith");
        append_some(store, 4);
        if (way == 0) overwrite(store, "log/00000000000000000003.commit", "half a commit");
        if (way == 1) assert_ok(kt_io_remove(kt_store_io(store), "log/00000000000000000003.commit", &error));
        if (way == 2) overwrite(store, "log/00000000000000000001.commit", "half a commit");
        assert_ok(kt_store_open(scratch.io, "t.kith", &again, &error));
        size_t names = names_in(kt_store_io(store), "log");
        kith_error told = { 0 };
        assert_int_equal(kt_store_repair(again, &words, &told), KITH_CORRUPT);
        assert_non_null(strstr(told.message, "cannot be repaired"));
        assert_int_equal(names_in(kt_store_io(store), "log"), names);
        assert_int_equal(names_with(store, ".damaged-"), 0);
        kt_store_close(again);
        kt_store_close(store);
        scratch_close(&scratch);
    }
}

static void damaged_checkpoints_are_removed_or_written_anew(void **state)
{
    struct scratch scratch;
    struct kt_buffer words = { 0 };
    struct kt_state *old = NULL;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    append_some(store, 2);
    kt_state_release(done(store, (struct change){ .tag = "two", .tagged = 2 }));
    append_some(store, 70);
    assert_int_equal(names_with(store, ".checkpoint"), 2);
    overwrite(store, "log/00000000000000000002.checkpoint", "?\n");
    overwrite(store, "log/00000000000000000066.checkpoint", "?\n");
    assert_ok(kt_store_repair(store, &words, &error));
    assert_true(kt_buffer_append(&words, "", 1));
    assert_non_null(strstr(said(&words), "02.checkpoint was damaged"));
    assert_non_null(strstr(said(&words), "written anew"));
    assert_non_null(strstr(said(&words), "66.checkpoint was damaged"));
    assert_int_equal(names_with(store, ".checkpoint"), 1);
    assert_ok(kt_store_read_checkpoint(store, 2, &old, &error));
    assert_int_equal(old->rows, 1);
    kt_state_release(old);
    kt_buffer_release(&words);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void a_checkpoint_that_nothing_can_replace_is_told(void **state)
{
    struct scratch scratch;
    struct kt_buffer words = { 0 };
    const struct kt_retention how = { .keep_versions = 1, .keep_us = INT64_MAX, .keep_bytes = UINT64_MAX };
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    append_some(store, 2);
    kt_state_release(done(store, (struct change){ .tag = "two", .tagged = 2 }));
    append_some(store, 2);
    assert_ok(kt_store_clean(store, &how, NULL, &error));
    overwrite(store, "log/00000000000000000002.checkpoint", "?\n");
    kith_error told = { 0 };
    assert_int_equal(kt_store_repair(store, &words, &told), KITH_CORRUPT);
    assert_non_null(strstr(told.message, "take away the tag"));
    kt_state_release(done(store, (struct change){ .tag = "two", .tagged = 0 }));
    append_some(store, 1);
    assert_ok(kt_store_clean(store, &how, NULL, &error));
    assert_ok(kt_store_repair(store, &words, &error));
    assert_int_equal(words.size, 0);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* ---- copies */

static struct kt_store *store_to_copy(struct kt_io *io)
{
    struct kt_store *store = store_with_schema(io, "t.kith");
    kt_state_release(
        done(store, (struct change){ .rows = 100, .file_bytes = 3 << 20, .key = "a", .value = "b" }));
    kt_state_release(done(store, (struct change){ .rows = 3, .inlined = "abc", .piece = PIECE }));
    kt_state_release(done(store, (struct change){ .deletes = { 3, 4, 99, 101 }, .delete_count = 4 }));
    kt_state_release(done(store, (struct change){ .tag = "tag", .tagged = 2 }));
    kt_state_release(
        done(store, (struct change){ .replaces = true, .span = 100, .rows = 97, .file_bytes = 1000 }));
    return store;
}

static void a_copy_is_a_table_of_its_own(void **state)
{
    struct scratch scratch;
    struct kt_store *copy = NULL;
    scratch_for(&scratch, state);
    struct kt_store *store = store_to_copy(scratch.io);
    struct kt_state *pinned = load(store);
    kt_state_release(done(store, (struct change){ .rows = 5, .file_bytes = 100 })); /* others go on */
    assert_ok(kt_store_backup(store, pinned, scratch.io, "copy.kith", NULL, &error));
    assert_int_equal(names_in(scratch.io, ""), 2);
    assert_ok(kt_store_open(scratch.io, "copy.kith", &copy, &error));
    struct kt_state *loaded = load(copy);
    assert_same_content(loaded, pinned);
    assert_string_not_equal(loaded->table_id, pinned->table_id);
    assert_int_equal(loaded->version, pinned->version);
    assert_int_equal(loaded->next_row, pinned->next_row);
    assert_int_equal(loaded->version_count, 1);
    assert_int_equal(loaded->tag_count, 0);
    assert_files_there(copy, loaded);
    assert_int_equal(names_in(scratch.io, "copy.kith/data"), 1);
    kt_state_release(loaded);
    for (int i = 0; i < 70; i++) kt_state_release(done(copy, (struct change){ .rows = 1, .inlined = "x" }));
    kt_store_close(copy);
    assert_ok(kt_store_open(scratch.io, "copy.kith", &copy, &error));
    loaded = load(copy);
    assert_int_equal(loaded->rows, pinned->rows + 70);
    kt_state_release(loaded);
    kt_state_release(pinned);
    kt_store_close(copy);
    kt_store_close(store);
    scratch_close(&scratch);
}

static int refuse(const kith_progress *progress, void *user)
{
    (void)user;
    assert_string_equal(progress->stage, "copy");
    return 1;
}

static void a_copy_that_fails_leaves_nothing(void **state)
{
    struct scratch scratch;
    struct kt_work work = { .progress = refuse };
    const struct kt_retention how = { .keep_versions = 1, .keep_us = INT64_MAX, .keep_bytes = UINT64_MAX };
    scratch_for(&scratch, state);
    struct kt_store *store = store_to_copy(scratch.io);
    struct kt_state *pinned = load(store);
    assert_status(KITH_EXISTS, kt_store_backup(store, pinned, scratch.io, "t.kith", NULL, &error));
    assert_status(KITH_CANCELLED, kt_store_backup(store, pinned, scratch.io, "copy.kith", &work, &error));
    assert_int_equal(names_in(scratch.io, ""), 1);
    kt_state_release(
        done(store, (struct change){ .replaces = true, .span = 100, .rows = 97, .file_bytes = 10 }));
    assert_ok(kt_store_clean(store, &how, NULL, &error));
    assert_status(KITH_NOT_FOUND, kt_store_backup(store, pinned, scratch.io, "copy.kith", NULL, &error));
    assert_int_equal(names_in(scratch.io, ""), 1);
    kt_state_release(pinned);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* One flipped bit in the source is found before the copy is. */
static void a_damaged_file_is_not_copied(void **state)
{
    struct scratch scratch;
    struct kt_buffer bytes = { 0 };
    struct kt_io_writer *writer = NULL;
    scratch_for(&scratch, state);
    struct kt_store *store = store_to_copy(scratch.io);
    struct kt_state *pinned = load(store);
    const char *name = pinned->fragments[0].groups[0].file.name;
    assert_ok(kt_io_read(kt_store_io(store), name, 1 << 20, &bytes, &error));
    bytes.data[500] ^= 1;
    assert_ok(kt_io_remove(kt_store_io(store), name, &error));
    assert_ok(kt_io_create(kt_store_io(store), name, &writer, &error));
    assert_ok(kt_io_append(writer, bytes.data, bytes.size, &error));
    assert_ok(kt_io_finish(writer, &error));
    assert_status(KITH_CORRUPT, kt_store_backup(store, pinned, scratch.io, "copy.kith", NULL, &error));
    assert_int_equal(names_in(scratch.io, ""), 1);
    kt_buffer_release(&bytes);
    kt_state_release(pinned);
    kt_store_close(store);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        on_both(a_table_that_is_well_is_left_alone),
        on_both(a_damaged_newest_commit_is_given_up),
        on_both(what_others_rest_on_is_not_given_up),
        on_both(damaged_checkpoints_are_removed_or_written_anew),
        on_both(a_checkpoint_that_nothing_can_replace_is_told),
        on_both(a_copy_is_a_table_of_its_own),
        on_both(a_copy_that_fails_leaves_nothing),
        on_both(a_damaged_file_is_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
