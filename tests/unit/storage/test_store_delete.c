/* Deletions and folds: rows die once, stay dead for every later reader, and no fold brings one back or loses
 * one, whatever was committed between its reading and its commit. */
#include "unit/storage/store_fixture.h"

#include "base/random.h"

#define DELETES(...)                                                                                         \
    .deletes = { __VA_ARGS__ }, .delete_count = sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t)

static void deleted_rows_are_dead_for_every_later_reader(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    kt_state_release(done(store, (struct change){ .rows = 200, .file_bytes = 100 }));
    struct kt_state *before = done(store, (struct change){ .rows = 10, .inlined = "ten" });
    struct kt_state *after =
        done(store, (struct change){ .operation = "delete", DELETES(0, 63, 64, 65, 199, 200, 209) });
    assert_int_equal(after->rows, 203);
    assert_int_equal(after->versions[after->version_count - 1].rows, 203);
    assert_int_equal(after->next_row, 210);
    assert_int_equal(after->fragments[0].dead_rows, 5);
    assert_sound_state(after);
    for (uint64_t row = 0; row < 212; row++) {
        bool dead = row == 0 || (row >= 63 && row <= 65) || row == 199 || row == 200 || row >= 209;
        assert_int_equal(kt_state_is_live(after, row), !dead);
        assert_int_equal(kt_state_is_live(before, row), row < 210); /* the older state keeps them */
    }
    struct kt_state *loaded = load_afresh(scratch.io, "t.kith"), *decoded = NULL;
    assert_same_state(after, loaded);
    struct kt_buffer bytes = { 0 };
    assert_ok(kt_checkpoint_encode(after, &bytes, &error));
    assert_ok(kt_checkpoint_decode(bytes.data, bytes.size, &decoded, &error));
    assert_same_state(after, decoded);
    kt_buffer_release(&bytes);
    kt_state_release(decoded);
    kt_state_release(loaded);
    kt_state_release(before);
    kt_state_release(after);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void a_row_dies_once(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    kt_state_release(done(store, (struct change){ .rows = 10, .inlined = "ten" }));
    kt_state_release(done(store, (struct change){ DELETES(3, 4) }));
    kith_error told = { 0 };
    struct change again = { DELETES(2, 4, 5) };
    assert_int_equal(commit_change(store, &again, NULL, &told), KITH_CONFLICT);
    assert_non_null(strstr(told.message, "row 4 "));
    struct change beyond = { DELETES(9, 10) };
    assert_int_equal(commit_change(store, &beyond, NULL, &told), KITH_CONFLICT);
    assert_non_null(strstr(told.message, "row 10 "));
    struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
    assert_int_equal(loaded->rows, 8);
    kt_state_release(loaded);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void a_fragment_without_live_rows_leaves(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    for (int i = 0; i < 3; i++)
        kt_state_release(done(store, (struct change){ .rows = 3, .inlined = "rows" }));
    kt_state_release(done(store, (struct change){ DELETES(4) }));
    struct kt_state *after = done(store, (struct change){ DELETES(3, 5, 8) });
    assert_int_equal(after->fragment_count, 2);
    assert_int_equal(after->fragments[1].first_row, 6);
    assert_int_equal(after->rows, 5);
    assert_int_equal(after->inline_count, 2);
    assert_sound_state(after);
    struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
    assert_same_state(after, loaded);
    kt_state_release(loaded);
    kt_state_release(after);
    after = done(store, (struct change){ DELETES(0, 1, 2, 6, 7) });
    assert_int_equal(after->fragment_count, 0);
    assert_int_equal(after->rows, 0);
    assert_int_equal(after->next_row, 9);
    kt_state_release(after);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void rows_added_and_deleted_in_one_commit(void **state)
{
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct kt_store *store = store_with_schema(scratch.io, "t.kith");
    kt_state_release(done(store, (struct change){ .rows = 4, .inlined = "four" }));
    struct kt_state *after = /* an update */
        done(store, (struct change){ .operation = "update", DELETES(1, 2), .rows = 2, .inlined = "anew" });
    assert_int_equal(after->rows, 4);
    assert_int_equal(after->next_row, 6);
    struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
    assert_same_state(after, loaded);
    kt_state_release(loaded);
    kt_state_release(after);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* ---- folding */

/* Three fragments [0,4), [4,8), [8,12) of which rows 1 and 9 are dead; `*then` is that state. */
static struct kt_store *three_fragments(struct scratch *scratch, void **state, struct kt_state **then)
{
    scratch_for(scratch, state);
    struct kt_store *store = store_with_schema(scratch->io, "t.kith");
    for (int i = 0; i < 3; i++)
        kt_state_release(done(store, (struct change){ .rows = 4, .inlined = "rows" }));
    *then = done(store, (struct change){ DELETES(1, 9) });
    return store;
}

static struct change fold(const struct kt_state *then, uint64_t first, uint64_t span, uint64_t rows)
{
    return (struct change){ .operation = "fold",
                            .maintenance = true,
                            .replaces = true,
                            .then = then,
                            .first_row = first,
                            .span = span,
                            .rows = rows,
                            .file_bytes = 100 };
}

static void rows_that_died_since_are_dead_in_the_fold(void **state)
{
    struct scratch scratch;
    struct kt_state *then;
    struct kt_store *store = three_fragments(&scratch, state, &then);
    kt_state_release(done(store, (struct change){ DELETES(0, 4, 5, 6, 7, 11) })); /* the second one whole */
    struct kt_state *after = done(store, fold(then, 0, 12, 10));
    assert_int_equal(after->fragment_count, 1);
    assert_int_equal(after->fragments[0].rows, 10);
    assert_int_equal(after->fragments[0].span, 12);
    assert_int_equal(after->fragments[0].dead_rows, 6);
    assert_int_equal(after->rows, 4);
    assert_sound_state(after);
    assert_false(kt_state_is_live(after, 4));
    assert_true(kt_state_is_live(after, 2));
    struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
    assert_same_state(after, loaded);
    kt_state_release(loaded);
    kt_state_release(after);
    kt_state_release(then);
    kt_store_close(store);
    scratch_close(&scratch);
}

static void a_fold_conflicts_when_its_inputs_are_others(void **state)
{
    const struct change between[] = {
        { .removes = true, .first_row = 4 }, /* gone, but then nothing is wrong */
        { .replaces = true, .first_row = 4, .rows = 4, .inlined = "rows" }, /* equal bytes: the same */
        { .replaces = true, .first_row = 4, .rows = 4, .inlined = "ROWS" },
        { .replaces = true, .first_row = 4, .span = 8, .rows = 7, .inlined = "more" },
        { DELETES(0, 2, 3, 4, 5, 6, 7, 8) },
    };
    for (size_t i = 0; i < sizeof between / sizeof *between; i++) {
        struct scratch scratch;
        struct kt_state *then;
        struct kt_store *store = three_fragments(&scratch, state, &then);
        kt_state_release(done(store, between[i]));
        struct change change = fold(then, 0, 8, 7);
        assert_status(i < 2 ? KITH_OK : KITH_CONFLICT, commit_change(store, &change, NULL, &error));
        struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
        assert_sound_state(loaded);
        assert_int_equal(loaded->rows, i == 0 ? 6 : i == 4 ? 2 : 10);
        kt_state_release(loaded);
        kt_state_release(then);
        kt_store_close(store);
        scratch_close(&scratch);
    }
}

/* The holes of a folded fragment are no rows that died when it goes. */
static void a_fold_takes_the_death_of_a_whole_fragment_with_holes(void **state)
{
    struct scratch scratch;
    struct kt_state *then;
    struct kt_store *store = three_fragments(&scratch, state, &then);
    kt_state_release(done(store, fold(then, 0, 4, 3)));
    kt_state_release(then);
    then = load(store);
    assert_int_equal(then->fragments[0].rows, 3);
    assert_true(!kt_bit(then->fragments[0].stored->data, 1));
    assert_status(KITH_CONFLICT, commit_change(store, &(struct change){ DELETES(1) }, NULL, &error));
    kt_state_release(done(store, (struct change){ DELETES(0, 2, 3) }));
    struct change change = fold(then, 0, 12, 10);
    assert_status(KITH_OK, commit_change(store, &change, NULL, &error));
    struct kt_state *loaded = load_afresh(scratch.io, "t.kith");
    assert_sound_state(loaded);
    assert_int_equal(loaded->rows, 7);
    assert_int_equal(loaded->fragments[0].dead_rows, 3);
    kt_state_release(loaded);
    kt_state_release(then);
    kt_store_close(store);
    scratch_close(&scratch);
}

/* ---- a model: what is live, and what any sequence of commits leaves of it */

enum { MOST_ROWS = 3000 };

struct model {
    struct kt_store *store;
    struct kt_state *now;
    struct kt_random random;
    bool live[MOST_ROWS];
    uint64_t next;
};

static uint64_t below(struct model *model, uint64_t limit)
{
    return kt_random_below(&model->random, limit);
}

static void commit(struct model *model, struct change change)
{
    kt_state_release(model->now);
    model->now = done(model->store, change);
}

static void append_some(struct model *model)
{
    uint64_t rows = below(model, 70) + 1;
    if (model->next + rows > MOST_ROWS) return;
    commit(model, (struct change){ .rows = rows, .inlined = "some" });
    for (uint64_t i = 0; i < rows; i++) model->live[model->next++] = true;
}

static void delete_some(struct model *model)
{
    struct change change = { .operation = "delete" };
    uint64_t row = model->next ? below(model, model->next) : 0;
    uint64_t step = below(model, 3) ? 1 : 20;
    for (; row < model->next && change.delete_count < 8; row += 1 + below(model, step))
        if (model->live[row]) change.deletes[change.delete_count++] = row;
    commit(model, change);
    for (size_t i = 0; i < change.delete_count; i++) model->live[change.deletes[i]] = false;
}

/* Reads some neighbours, lets others delete meanwhile, and folds. */
static void fold_some(struct model *model)
{
    struct kt_state *then = kt_state_share(model->now);
    if (then->fragment_count) {
        uint32_t from = (uint32_t)below(model, then->fragment_count);
        uint32_t to = from + (uint32_t)below(model, kt_min_u64(then->fragment_count - from, 6)) + 1;
        uint64_t first = then->fragments[from].first_row, end = kt_fragment_end(&then->fragments[to - 1]);
        uint64_t rows = 0;
        for (uint64_t row = first; row < end; row++) rows += model->live[row];
        for (uint64_t deletions = below(model, 4); deletions-- > 0;) delete_some(model);
        struct kt_state *after = NULL;
        struct change change = fold(then, first, end - first, rows);
        kith_error told = { 0 };
        kith_status status = commit_change(model->store, &change, &after, &told);
        if (status && status != KITH_CONFLICT) fail_msg("%s", told.message);
        if (!status) kt_state_release(model->now), model->now = after;
    }
    kt_state_release(then);
}

/* Holes are taken for live by kt_state_is_live(), so that only fragments without them tell of each row. */
static void assert_model(const struct model *model, const struct kt_state *state)
{
    uint64_t rows = 0;
    for (uint64_t row = 0; row < model->next; row++) {
        rows += model->live[row];
        if (model->live[row]) assert_true(kt_state_is_live(state, row));
    }
    for (uint32_t i = 0; i < state->fragment_count; i++) {
        const struct kt_fragment *fragment = &state->fragments[i];
        uint64_t live = 0;
        for (uint64_t at = 0; at < fragment->span; at++) {
            live += model->live[fragment->first_row + at];
            if (kt_fragment_is_dead(fragment, at)) assert_false(model->live[fragment->first_row + at]);
        }
        assert_int_equal(live, kt_fragment_live(fragment));
    }
    assert_int_equal(state->rows, rows);
    assert_sound_state(state);
}

static void any_order_of_commits_agrees_with_the_model(void **state)
{
    const char *given = getenv("KITH_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 10) : 7;
    struct scratch scratch;
    scratch_for(&scratch, state);
    struct model *model = calloc(1, sizeof *model);
    print_message("seed %llu\n", (unsigned long long)seed);
    model->random = (struct kt_random){ seed };
    model->store = store_with_schema(scratch.io, "t.kith");
    model->now = load(model->store);
    for (int i = 0; i < 250; i++) {
        switch (below(model, 5)) {
        case 0:
            append_some(model);
            break;
        case 1:
            fold_some(model);
            break;
        default:
            delete_some(model);
            break;
        }
        assert_model(model, model->now);
        if (i % 25) continue;
        struct kt_state *loaded = load_afresh(scratch.io, "t.kith"); /* often through a checkpoint */
        assert_same_state(loaded, model->now);
        kt_state_release(loaded);
    }
    kt_state_release(model->now);
    kt_store_close(model->store);
    free(model);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        on_both(deleted_rows_are_dead_for_every_later_reader),
        on_both(a_row_dies_once),
        on_both(a_fragment_without_live_rows_leaves),
        on_both(rows_added_and_deleted_in_one_commit),
        on_both(rows_that_died_since_are_dead_in_the_fold),
        on_both(a_fold_conflicts_when_its_inputs_are_others),
        on_both(a_fold_takes_the_death_of_a_whole_fragment_with_holes),
        on_both(any_order_of_commits_agrees_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
