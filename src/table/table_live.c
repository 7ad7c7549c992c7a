/* Which rows are there: those that fragments store and that were not deleted.
 *
 * For one row it is a search among the fragments and a bit or two. For all of them it is a bit a row id, made
 * when somebody first asks; nobody does, as long as nothing was deleted.
 */
#include "table/table_private.h"

static bool has_bit(const struct kt_bytes *bits, uint64_t at)
{
    return bits->data[at / 8] >> (at % 8) & 1;
}

bool kt_snapshot_find(const struct kt_snapshot *snapshot, uint64_t row, uint32_t *segment, uint64_t *place)
{
    uint32_t low = 0, high = snapshot->state->fragment_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (snapshot->segments[middle]->first_row <= row)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low) return false;
    const struct kt_fragment *fragment = &snapshot->state->fragments[low - 1];
    uint64_t bit = row - fragment->first_row;
    if (bit >= fragment->span || (fragment->stored && !has_bit(fragment->stored, bit)) ||
        (fragment->dead && has_bit(fragment->dead, bit)))
        return false;
    *segment = low - 1;
    *place = kt_segment_place(snapshot->segments[low - 1], row);
    return true;
}

/* 64 bits of a fragment, from one that is a multiple of 64 on: rows that are there. */
static uint64_t live_word(const struct kt_fragment *fragment, uint64_t bit)
{
    uint64_t left = fragment->span - bit, word = left < 64 ? (UINT64_C(1) << left) - 1 : UINT64_MAX;
    if (fragment->stored) word &= ((const uint64_t *)(const void *)fragment->stored->data)[bit / 64];
    if (fragment->dead) word &= ~((const uint64_t *)(const void *)fragment->dead->data)[bit / 64];
    return word;
}

static kith_status make_live(const struct kt_state *state, struct kt_selection **out, kith_error *error)
{
    uint64_t words = state->next_row / 64 + 1;
    struct kt_selection *live = kt_alloc_zero(1, sizeof *live + words * sizeof *live->words);
    if (!live) return kt_fail_memory(error, words * sizeof *live->words);
    live->words = (uint64_t *)(void *)(live + 1);
    live->rows = state->next_row;
    for (uint32_t i = 0; i < state->fragment_count; i++) {
        const struct kt_fragment *fragment = &state->fragments[i];
        for (uint64_t bit = 0; bit < fragment->span; bit += 64) {
            uint64_t word = live_word(fragment, bit);
            kt_selection_put(live, fragment->first_row + bit, &word, kt_min_u64(64, fragment->span - bit));
        }
    }
    *out = live;
    return KITH_OK;
}

kith_status kt_snapshot_live(const struct kt_snapshot *snapshot, const struct kt_selection **out,
                             kith_error *error)
{
    struct kt_snapshot *owner = (struct kt_snapshot *)snapshot;
    *out = snapshot->has_dead ? atomic_load_explicit(&owner->alive, memory_order_acquire) : NULL;
    if (*out || !snapshot->has_dead) return KITH_OK;
    struct kt_selection *made = NULL, *none = NULL;
    kith_status status = make_live(snapshot->state, &made, error);
    if (status) return status;
    if (atomic_compare_exchange_strong(&owner->alive, &none, made)) {
        *out = made;
    } else { /* another thread was first */
        kt_free(made);
        *out = none;
    }
    return KITH_OK;
}

uint64_t kt_state_count(const struct kt_state *state, uint64_t begin, uint64_t end)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < state->fragment_count; i++) {
        const struct kt_fragment *fragment = &state->fragments[i];
        uint64_t from = kt_max_u64(begin, fragment->first_row) - fragment->first_row;
        uint64_t to = kt_min_u64(kt_max_u64(end, fragment->first_row) - fragment->first_row, fragment->span);
        if (from == 0 && to == fragment->span) {
            sum += fragment->rows - fragment->dead_rows;
            continue;
        }
        for (uint64_t bit = from / 64 * 64; bit < to; bit += 64) {
            uint64_t word = live_word(fragment, bit);
            if (bit < from) word &= UINT64_MAX << (from - bit);
            if (to - bit < 64) word &= (UINT64_C(1) << (to - bit)) - 1;
            sum += (uint64_t)__builtin_popcountll(word);
        }
    }
    return sum;
}

/* Rows that an index knows and the table no longer has are met with in its lists. */
bool kt_state_meets_dead(const struct kt_state *state)
{
    for (uint32_t i = 0; i < state->fragment_count; i++)
        if (state->fragments[i].dead_rows) return true;
    for (uint32_t p = 0; p < state->piece_count; p++) {
        const struct kt_piece *piece = &state->pieces[p];
        for (uint32_t c = 0; c < piece->cover_count; c++)
            if (kt_state_count(state, piece->covers[c].begin, piece->covers[c].end) <
                piece->covers[c].end - piece->covers[c].begin)
                return true;
    }
    return false;
}
