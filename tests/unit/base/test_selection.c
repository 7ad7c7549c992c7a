/* Selections: bits put, counted, walked and masked at any offset, as an array of bools says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/random.h"
#include "base/selection.h"

enum { ROWS = 1000, ROUNDS = 300, WORDS = ROWS / 64 + 2 };

struct fixture {
    struct kt_selection selection;
    uint64_t words[WORDS];
    bool truth[ROWS];
};

/* Puts runs of random bits one after another, with gaps. */
static void fill(struct fixture *f, struct kt_random *random)
{
    *f = (struct fixture){ .selection = { .rows = ROWS } };
    f->selection.words = f->words;
    uint64_t share = 1 + kt_random_below(random, 9);
    for (uint64_t row = kt_random_below(random, 80); row < ROWS;) {
        uint64_t bits[4] = { 0 }, count = 1 + kt_random_below(random, 200);
        if (count > ROWS - row) count = ROWS - row;
        for (uint64_t i = 0; i < 256; i++) /* those beyond `count` must not come through */
            bits[i / 64] |= (uint64_t)(kt_random_below(random, share) == 0) << (i % 64);
        for (uint64_t i = 0; i < count; i++) f->truth[row + i] = bits[i / 64] >> (i % 64) & 1;
        kt_selection_put(&f->selection, row, bits, count);
        row += count + kt_random_below(random, 70);
    }
}

static void what_was_put_is_selected_and_counted(void **state)
{
    struct kt_random random = { 11 };
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct fixture f;
        uint64_t all = 0, begin = kt_random_below(&random, ROWS),
                 end = begin + kt_random_below(&random, ROWS), some = 0;
        fill(&f, &random);
        for (uint64_t row = 0; row < ROWS; row++) {
            assert_int_equal(kt_selected(&f.selection, row), f.truth[row]);
            all += f.truth[row];
            some += row >= begin && row < end && f.truth[row];
        }
        assert_int_equal(f.selection.count, all);
        assert_int_equal(kt_selection_count(&f.selection, 0, UINT64_MAX), all);
        assert_int_equal(kt_selection_count(&f.selection, begin, end), some);
        assert_false(kt_selected(&f.selection, ROWS));
        assert_false(kt_selected(&f.selection, UINT64_MAX));
    }
}

static void walking_visits_each_row_once_in_order(void **state)
{
    struct kt_random random = { 12 };
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct fixture f;
        uint64_t at = 0;
        fill(&f, &random);
        for (uint64_t row = 0; row < ROWS; row++) {
            if (!f.truth[row]) continue;
            assert_int_equal(kt_selection_next(&f.selection, at), row);
            at = row + 1;
        }
        assert_true(kt_selection_next(&f.selection, at) == UINT64_MAX);
    }
}

static void a_mask_keeps_what_is_selected(void **state)
{
    struct kt_random random = { 13 };
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct fixture f;
        uint64_t bits[8], first = kt_random_below(&random, ROWS + 100),
                          count = 1 + kt_random_below(&random, 500);
        bool any = false;
        fill(&f, &random);
        for (int i = 0; i < 8; i++) bits[i] = UINT64_MAX;
        bool left = kt_selection_mask(&f.selection, first, bits, count);
        for (uint64_t i = 0; i < count; i++) {
            bool wanted = first + i < ROWS && f.truth[first + i];
            assert_int_equal(bits[i / 64] >> (i % 64) & 1, wanted);
            any |= wanted;
        }
        assert_int_equal(left, any);
    }
}

static void ranks_and_places_are_those_of_a_count(void **state)
{
    (void)state;
    struct kt_random random = { 17 };
    for (int round = 0; round < ROUNDS; round++) {
        struct fixture f;
        struct kt_ranks ranks;
        uint64_t bits = 1 + kt_random_below(&random, ROWS), rank = 0;
        fill(&f, &random);
        for (uint64_t i = bits; i < ROWS; i++) f.words[i / 64] &= ~(UINT64_C(1) << (i % 64));
        assert_true(kt_ranks_make(f.words, bits, &ranks));
        for (uint64_t i = 0; i < bits; i++) {
            assert_int_equal(kt_rank(&ranks, i), rank);
            if (f.truth[i]) assert_int_equal(kt_rank_select(&ranks, rank++), i);
        }
        assert_int_equal(kt_rank(&ranks, bits), rank);
        assert_int_equal(kt_rank(&ranks, bits + 99), rank);
        kt_free(ranks.before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_and_places_are_those_of_a_count),
        cmocka_unit_test(what_was_put_is_selected_and_counted),
        cmocka_unit_test(walking_visits_each_row_once_in_order),
        cmocka_unit_test(a_mask_keeps_what_is_selected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
