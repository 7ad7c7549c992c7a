/* Cleaning up: what is kept can be read with all its files, what is not is gone, and no file is lost sight
 * of. */
#include "unit/storage/store_fixture.h"

#include "io/io_posix.h"

static const char PIECE[] = "000102030405060708090a0b0c0d0e0f";
static const struct kt_retention ONLY_THE_NEWEST = { .keep_versions = 1,
                                                     .keep_us = INT64_MAX,
                                                     .keep_bytes = UINT64_MAX };

static struct kt_retention keep(uint64_t versions)
{
    return (struct kt_retention){ .keep_versions = versions, .keep_us = INT64_MAX, .keep_bytes = UINT64_MAX };
}

static struct kt_cleaned clean(struct kt_store *store, struct kt_retention how)
{
    struct kt_cleaned cleaned;
    assert_ok(kt_store_clean(store, &how, &cleaned, &error));
    return cleaned;
}

static void old_versions_are_forgotten(void **state)
{
    enum { VERSIONS = 20, KEPT = 5 };
    struct scratch scratch;
    struct kt_state *old[VERSIONS + 1] = { NULL }, *found = NULL;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    for (int v = 2; v <= VERSIONS; v++) old[v] = done(store, (struct change){ .rows = 1, .inlined = "row" });
    struct kt_cleaned cleaned = clean(store, keep(KEPT));
    assert_int_equal(cleaned.versions, VERSIONS - KEPT);
    assert_int_equal(cleaned.files, 0);
    for (int v = 1; v <= VERSIONS; v++) {
        bool kept = v > VERSIONS - KEPT;
        assert_status(kept ? KITH_OK : KITH_NOT_FOUND,
                      kt_store_load_version(store, (uint64_t)v, &found, &error));
        if (kept) {
            assert_same_content(found, old[v]);
            kt_state_release(found);
        }
        kt_state_release(old[v]);
    }
    /* commits 16 to 20, the clean-up's, and a checkpoint */
    assert_int_equal(names_in(kt_store_io(store), "log"), KEPT + 2);
    struct kt_state *newest = load(store), *loaded = load_afresh(scratch.io, "t.kith");
    assert_same_state(newest, loaded);
    assert_int_equal(newest->version_count, KEPT);
    assert_int_equal(newest->version, VERSIONS);
    kt_state_release(loaded);
    kt_state_release(newest);
    cleaned = clean(store, keep(KEPT)); /* nothing to do: no commit */
    assert_int_equal(cleaned.versions, 0);
    newest = load(store);
    assert_int_equal(newest->commit, VERSIONS + 1);
    kt_state_release(newest);
    assert_tidy(scratch.io);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void files_of_forgotten_versions_are_removed(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    for (int i = 0; i < 4; i++)
        kt_state_release(done(store, (struct change){ .rows = 10, .file_bytes = 1000 }));
    kt_state_release(done(store, (struct change){ .piece = PIECE, .maintenance = true }));
    kt_state_release(done(
        store, (struct change){ .replaces = true, .rows = 40, .file_bytes = 4000, .maintenance = true }));
    kt_state_release(done(store, (struct change){ .remove_piece = PIECE, .maintenance = true }));
    assert_int_equal(names_in(kt_store_io(store), "data"), 5);
    struct kt_cleaned cleaned = clean(store, keep(2)); /* version 4, with the fragments as they were, stays */
    assert_int_equal(cleaned.versions, 3);
    assert_int_equal(cleaned.files, 0);
    assert_tidy(scratch.io);
    cleaned = clean(store, ONLY_THE_NEWEST);
    assert_int_equal(cleaned.versions, 1);
    assert_int_equal(cleaned.files, 5);
    assert_true(cleaned.bytes > 4 * 1000 + 1000);
    assert_int_equal(names_in(kt_store_io(store), "data"), 1);
    assert_int_equal(names_in(kt_store_io(store), "index"), 0);
    assert_tidy(scratch.io);
    struct kt_state *newest = load(store); /* they leave the list with the next */
    assert_int_equal(kt_state_private_part(newest)->removed_count, 5);
    kt_state_release(newest);
    kt_state_release(done(store, (struct change){ .deletes = { 3 }, .delete_count = 1 }));
    clean(store, ONLY_THE_NEWEST);
    newest = load_afresh(scratch.io, "t.kith");
    assert_int_equal(kt_state_private_part(newest)->removed_count, 0);
    assert_int_equal(newest->rows, 39);
    kt_state_release(newest);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void a_tag_keeps_a_version_and_its_files(void **state)
{
    struct scratch scratch;
    struct kt_state *found = NULL;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    struct kt_state *old = done(store, (struct change){ .rows = 10, .file_bytes = 1000 });
    kt_state_release(done(store, (struct change){ .removes = true, .rows = 5, .file_bytes = 100 }));
    kt_state_release(done(store, (struct change){ .tag = "then", .tagged = 2 }));
    for (int i = 0; i < 3; i++) {
        kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "x" }));
        clean(store, ONLY_THE_NEWEST);
        assert_tidy(scratch.io);
        assert_ok(kt_store_load_version(store, 2, &found, &error));
        assert_same_content(found, old);
        kt_state_release(found);
    }
    struct kt_state *after = done(store, (struct change){ .tag = "then", .tagged = 0 });
    assert_int_equal(after->version_count, 1);
    kt_state_release(after);
    assert_status(KITH_NOT_FOUND, kt_store_load_version(store, 2, &found, &error));
    assert_true(is_there(store, &old->fragments[0].groups[0].file));
    clean(store, ONLY_THE_NEWEST);
    assert_false(is_there(store, &old->fragments[0].groups[0].file));
    assert_tidy(scratch.io);
    kt_state_release(old);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void a_restored_file_is_not_removed(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    struct kt_state *old = done(store, (struct change){ .rows = 10, .file_bytes = 1000 });
    struct kt_state *other = done(store, (struct change){ .removes = true, .rows = 5, .file_bytes = 100 });
    kt_state_release(done(store, (struct change){ .restores = old }));
    for (int i = 0; i < 2; i++) {
        kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "x" }));
        clean(store, ONLY_THE_NEWEST);
        assert_true(is_there(store, &old->fragments[0].groups[0].file));
        assert_false(is_there(store, &other->fragments[0].groups[0].file));
        assert_tidy(scratch.io);
    }
    struct change late = { .restores = other }; /* its file is gone */
    assert_status(KITH_NOT_FOUND, commit_change(store, &late, NULL, &error));
    kt_state_release(old);
    kt_state_release(other);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* A fragment that gets another column keeps its other files; one whose files may have been removed cannot. */
static kith_status prepare_widening(void *context, const struct kt_state *state, struct kt_txn *txn,
                                    kith_error *error)
{
    (void)state;
    return kt_txn_widen_fragment(txn, context, error);
}

static kith_status widen(struct kt_store *store, const struct kt_fragment *base, kith_error *told)
{
    struct kt_txn *txn = NULL;
    int32_t field = 7;
    struct kt_column_group groups[2] = { base->groups[0], { .fields = &field, .field_count = 1 } };
    struct kt_fragment wide = *base;
    wide.groups = groups;
    wide.group_count = 2;
    assert_ok(kt_txn_begin(store, "alter", &txn, &error));
    assert_ok(change_file(txn, "data", "arrow", 50, &groups[1].file, &error));
    return kt_txn_commit(txn, prepare_widening, &wide, NULL, told);
}

static void a_kept_file_has_not_left(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    struct kt_state *narrow = done(store, (struct change){ .rows = 10, .file_bytes = 1000 });
    assert_ok(widen(store, &narrow->fragments[0], &error));
    clean(store, ONLY_THE_NEWEST);
    assert_true(is_there(store, &narrow->fragments[0].groups[0].file));
    assert_tidy(scratch.io);
    kt_state_release(done(store, (struct change){ .replaces = true, .rows = 10, .file_bytes = 10 }));
    clean(store, ONLY_THE_NEWEST);
    assert_false(is_there(store, &narrow->fragments[0].groups[0].file));
    assert_status(KITH_CONFLICT, widen(store, &narrow->fragments[0], &error));
    assert_tidy(scratch.io);
    kt_state_release(narrow);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void time_and_bytes_bound_what_stays(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    for (int i = 0; i < 6; i++)
        kt_state_release(done(store, (struct change){ .removes = i > 0,
                                                      .first_row = (uint64_t)(10 * i - 10),
                                                      .rows = 10,
                                                      .file_bytes = 1000 }));
    struct kt_state *newest = load(store);
    uint64_t one = newest->fragments[0].groups[0].file.seal.length;
    kt_state_release(newest);
    struct kt_retention some = keep(1000);
    some.keep_bytes = 3 * one; /* two files of older versions are less, three are not */
    struct kt_cleaned cleaned = clean(store, some);
    assert_int_equal(cleaned.files, 3);
    assert_int_equal(cleaned.versions, 4); /* of 7: the first had no file */
    assert_tidy(scratch.io);
    some = keep(1000);
    some.keep_us = 3600 * (int64_t)1000000;
    assert_int_equal(clean(store, some).versions, 0);
    some.keep_us = 0;
    assert_int_equal(clean(store, some).versions, 2);
    assert_tidy(scratch.io);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* ---- those who have not noticed */

static void a_handle_left_behind_reads_anew(void **state)
{
    struct scratch scratch;
    struct kt_store *reader = NULL;
    struct kt_state *refreshed = NULL;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "x" }));
    assert_ok(kt_store_open(scratch.io, "t.kith", &reader, &error));
    struct kt_state *known = load(reader);
    for (int i = 0; i < 10; i++) kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "x" }));
    clean(store, keep(3));
    assert_ok(kt_store_refresh(reader, known, &refreshed, &error));
    struct kt_state *newest = load(store);
    assert_same_state(refreshed, newest);
    kt_state_release(done(reader, (struct change){ .rows = 1, .inlined = "y" }));
    kt_state_release(known);
    kt_state_release(refreshed);
    kt_state_release(newest);
    kt_store_close(reader);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* Just before commit 5 is opened to be read, all but the newest are forgotten. */
static struct {
    struct kt_posix_calls real;
    struct kt_store *cleaner; /* NULL once it has cleaned up */
} ambush;

static int open_in_ambush(int folder, const char *name, int flags, mode_t mode)
{
    if (ambush.cleaner && !strcmp(name, "00000000000000000005.commit")) {
        struct kt_store *cleaner = ambush.cleaner;
        ambush.cleaner = NULL;
        clean(cleaner, ONLY_THE_NEWEST);
    }
    return ambush.real.open(folder, name, flags, mode);
}

static void a_reader_is_not_misled_by_a_clean_up(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        struct scratch scratch;
        struct kt_store *reader = NULL;
        struct kt_state *found = NULL;
        scratch_open(&scratch, false);
        struct kt_store *store = store_with_schema(scratch.io, "t.kith");
        assert_ok(kt_store_open(scratch.io, "t.kith", &reader, &error));
        struct kt_state *known = load(reader);
        for (int i = 0; i < 10; i++)
            kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "x" }));
        if (way == 2) { /* the version is listed when it is asked for */
            assert_ok(kt_store_refresh(reader, known, &found, &error));
            kt_state_release(found);
        }
        ambush.real = kt_posix;
        ambush.cleaner = store;
        kt_posix.open = open_in_ambush;
        if (way == 0) assert_ok(kt_store_refresh(reader, known, &found, &error));
        if (way == 1) assert_ok(kt_store_reload(reader, &found, &error));
        if (way == 2) assert_status(KITH_NOT_FOUND, kt_store_load_version(reader, 6, &found, &error));
        kt_posix = ambush.real;
        assert_null(ambush.cleaner);
        if (way != 2) {
            assert_int_equal(found->commit, 12);
            kt_state_release(found);
        }
        kt_state_release(known);
        kt_store_close(reader);
        kt_store_close(store);
        scratch_close(&scratch);
    }
}

struct overtaken {
    struct scratch *scratch;
    int prepared;
};

/* While this writer prepares the first time, others go on and forget the name that it will find free. */
static kith_status prepare_late(void *context, const struct kt_state *base, struct kt_txn *txn,
                                kith_error *told)
{
    struct overtaken *overtaken = context;
    if (!overtaken->prepared++) {
        struct kt_store *other = NULL;
        assert_ok(kt_store_open(overtaken->scratch->io, "t.kith", &other, &error));
        for (int i = 0; i < 5; i++)
            kt_state_release(done(other, (struct change){ .rows = 1, .inlined = "x" }));
        clean(other, ONLY_THE_NEWEST);
        kt_store_close(other);
    }
    struct change change = { .rows = 1, .inlined = "late" };
    return prepare_change(&change, base, txn, told);
}

static void a_forgotten_name_is_not_won(void **state)
{
    struct scratch scratch;
    struct kt_txn *txn = NULL;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "x" }));
    struct overtaken overtaken = { &scratch, 0 };
    assert_ok(kt_txn_begin(store, "append", &txn, &error));
    assert_ok(kt_txn_commit(txn, prepare_late, &overtaken, NULL, &error));
    assert_int_equal(overtaken.prepared, 2);
    struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
    assert_int_equal(loaded->rows, 7);
    assert_int_equal(loaded->commit, 9);
    kt_state_release(loaded);
    assert_int_equal(names_in(kt_store_io(store), "log"), 4); /* 7 and its checkpoint, the clean-up, ours */
    kt_store_close(store);
    scratch_close(&scratch);
}

static void a_gap_after_what_was_forgotten_is_damage(void **state)
{
    struct scratch scratch;
    struct kt_store *again = NULL;
    struct kt_state *none = NULL;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    for (int i = 0; i < 9; i++) kt_state_release(done(store, (struct change){ .rows = 1, .inlined = "x" }));
    clean(store, keep(4)); /* 7 to 10 stay */
    kith_error told = { 0 };
    assert_ok(kt_io_remove(kt_store_io(store), "log/00000000000000000009.commit", &error));
    assert_ok(kt_store_open(scratch.io, "t.kith", &again, &error));
    assert_int_equal(kt_store_load(again, &none, &told), KITH_CORRUPT);
    assert_non_null(strstr(told.message, "00000000000000000009.commit is missing"));
    kt_store_close(again);

    struct kt_io_writer *writer = NULL;
    const char *checkpoint = "log/00000000000000000007.checkpoint";
    assert_ok(kt_io_remove(kt_store_io(store), checkpoint, &error));
    assert_ok(kt_io_create(kt_store_io(store), checkpoint, &writer, &error));
    assert_ok(kt_io_append(writer, "nothing", 7, &error));
    assert_ok(kt_io_finish(writer, &error));
    assert_ok(kt_store_open(scratch.io, "t.kith", &again, &error));
    assert_int_equal(kt_store_load(again, &none, &told), KITH_CORRUPT);
    assert_non_null(strstr(told.message, "7.checkpoint is damaged"));
    kt_store_close(again);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* ---- within writes */

static uint64_t stored_bytes(const struct kt_state *state)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < state->fragment_count; i++)
        for (uint32_t g = 0; g < state->fragments[i].group_count; g++)
            bytes += state->fragments[i].groups[g].file.seal.length;
    return bytes;
}

static void versions_stay_bounded_by_themselves(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    uint64_t most_versions = 0, most_names = 0, cleanings = 0, below = 0;
    kt_state_release(done(store, (struct change){ .key = "keep_versions", .value = "ignored: no number" }));
    for (int i = 0; i < 1500; i++) {
        struct kt_state *after =
            done(store,
                 (struct change){ .rows = 1, .inlined = "x", .replaces = i > 0, .first_row = 0, .span = 0 });
        kt_store_clean_if_due(store, after);
        struct kt_state *newest = load(store);
        most_versions = kt_max_u64(most_versions, newest->version_count);
        cleanings += kt_state_private_part(newest)->below != below;
        below = kt_state_private_part(newest)->below;
        kt_state_release(newest);
        kt_state_release(after);
        if (i % 100 == 0) most_names = kt_max_u64(most_names, names_in(kt_store_io(store), "log"));
    }
    assert_in_range(most_versions, 1000, 1000 + 1000 / 16 + 8 + 64 + 2);
    assert_true(most_names < 1300);
    assert_in_range(cleanings, 3, 8);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* Overwritten again and again, with one version kept, a table needs little more than its own bytes. */
static kith_status prepare_setting(void *context, const struct kt_state *base, struct kt_txn *txn,
                                   kith_error *error)
{
    (void)base;
    return kt_txn_set_config(txn, "keep_versions", context, error);
}

static void bytes_stay_bounded_by_themselves(void **state)
{
    for (int only = 0; only < 2; only++) {
        struct scratch scratch;
        struct kt_txn *txn = NULL;
        scratch_for(&scratch, state);
        struct kt_store *store = store_with_schema(scratch.io, "t.kith");
        json_t *one = json_integer(only ? 1 : 500);
        assert_ok(kt_txn_begin(store, "alter", &txn, &error));
        assert_ok(kt_txn_commit(txn, prepare_setting, one, NULL, &error));
        json_decref(one);
        size_t most = 0;
        for (int i = 0; i < 100; i++) {
            struct change change = {
                .rows = 10, .file_bytes = 1 << 20, .removes = i > 0, .first_row = (uint64_t)(10 * i - 10)
            };
            struct kt_state *after = done(store, change);
            assert_in_range(stored_bytes(after), 1 << 20, (1 << 20) + 4096);
            kt_store_clean_if_due(store, after);
            kt_state_release(after);
            size_t files = names_in(kt_store_io(store), "data");
            most = files > most ? files : most;
        }
        assert_in_range(most, 2, only ? 4 : 12);
        assert_tidy(scratch.io);
        kt_store_close(store);
        scratch_close(&scratch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        on_both(old_versions_are_forgotten),
        on_both(files_of_forgotten_versions_are_removed),
        on_both(a_tag_keeps_a_version_and_its_files),
        on_both(a_restored_file_is_not_removed),
        on_both(a_kept_file_has_not_left),
        on_both(time_and_bytes_bound_what_stays),
        on_both(a_handle_left_behind_reads_anew),
        cmocka_unit_test(a_reader_is_not_misled_by_a_clean_up),
        on_both(a_forgotten_name_is_not_won),
        on_both(a_gap_after_what_was_forgotten_is_damage),
        cmocka_unit_test_prestate(versions_stay_bounded_by_themselves, (void *)&IN_MEMORY),
        on_both(bytes_stay_bounded_by_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
