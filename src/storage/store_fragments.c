/* The fragments of a state: who owns which row ids, and the actions that add, remove and replace them.
 *
 * A fragment owns the row ids [first_row, first_row + span). It stores `rows` of them: all, unless folding
 * has left dead ones out; which ids are such holes stands with the fragment in the log, as runs.
 *
 * A fold reads its inputs in one state and is committed on top of another. Between the two, rows may have
 * died (they are in the new fragment and must be dead there), and in the state that was read, rows were dead
 * already (they are holes of the new one, and must not have come back to life, as a restore would have it).
 */
#include <string.h>

#include "base/alloc.h"
#include "storage/json.h"
#include "storage/storage_private.h"

/* ---- one fragment */

void kt_fragment_release(struct kt_fragment *fragment)
{
    kt_shared_release(fragment->groups);
    kt_bytes_release(fragment->inline_rows);
    kt_bytes_release(fragment->dead);
    kt_bytes_release(fragment->stored);
    kt_bytes_release(fragment->holes);
    json_decref(fragment->stats);
    *fragment = (struct kt_fragment){ 0 };
}

struct kt_fragment kt_fragment_share(const struct kt_fragment *from)
{
    kt_shared_share(from->groups);
    kt_bytes_share(from->inline_rows);
    kt_bytes_share(from->dead);
    kt_bytes_share(from->stored);
    kt_bytes_share(from->holes);
    json_incref(from->stats);
    return *from;
}

kith_status kt_fragment_copy(const struct kt_fragment *from, struct kt_fragment *out, kith_error *error)
{
    size_t fields = 0;
    for (uint32_t i = 0; i < from->group_count; i++) fields += from->groups[i].field_count;
    size_t bytes = from->group_count * sizeof *from->groups + fields * sizeof(int32_t);
    struct kt_fragment copy = *from;
    if (!copy.span) copy.span = copy.rows;
    copy.dead = NULL;
    copy.dead_rows = 0;
    copy.groups = kt_shared_new(bytes);
    copy.inline_rows = kt_bytes_share(from->inline_rows);
    copy.stored = kt_bytes_share(from->stored);
    copy.holes = kt_bytes_share(from->holes);
    copy.stats = kt_json_copy(from->stats);
    if (!copy.groups || (from->stats && !copy.stats)) {
        kt_fragment_release(&copy);
        return kt_fail_memory(error, bytes);
    }
    int32_t *at = (int32_t *)(void *)(copy.groups + copy.group_count);
    for (uint32_t i = 0; i < from->group_count; i++) {
        const struct kt_column_group *group = &from->groups[i];
        copy.groups[i] =
            (struct kt_column_group){ .file = group->file, .fields = at, .field_count = group->field_count };
        if (group->field_count) memcpy(at, group->fields, group->field_count * sizeof *at);
        at += group->field_count;
    }
    *out = copy;
    return KITH_OK;
}

static bool same_file(const struct kt_stored_file *a, const struct kt_stored_file *b)
{
    return !strcmp(a->name, b->name) && a->seal.length == b->seal.length && a->seal.tail == b->seal.tail;
}

/* Whether two are the same rows in the same bytes; which of them are dead does not count. */
static bool same_fragment(const struct kt_fragment *a, const struct kt_fragment *b)
{
    if (a->first_row != b->first_row || a->span != b->span || a->rows != b->rows ||
        a->group_count != b->group_count || !a->inline_rows != !b->inline_rows)
        return false;
    for (uint32_t i = 0; i < a->group_count; i++)
        if (!same_file(&a->groups[i].file, &b->groups[i].file)) return false;
    const struct kt_bytes *mine = a->inline_rows, *theirs = b->inline_rows;
    return mine == theirs || (mine->size == theirs->size && !memcmp(mine->data, theirs->data, mine->size));
}

static kith_status check_fragment(const struct kt_fragment *fragment, struct kt_blame blame,
                                  kith_error *error)
{
    unsigned long long first = fragment->first_row, rows = fragment->rows, span = fragment->span;
    if (!rows || rows > span || span > KT_LARGEST_SPAN || first > KT_LARGEST_ROW - span)
        return kt_fail(error, blame.malformed, "a fragment cannot have %llu rows among %llu from %llu on",
                       rows, span, first);
    if ((fragment->group_count != 0) == (fragment->inline_rows != NULL))
        return kt_fail(error, blame.malformed,
                       "the fragment at row %llu must have its rows in files or inline", first);
    for (uint32_t i = 0; i < fragment->group_count; i++) {
        kith_status status = kt_stored_file_check(&fragment->groups[i].file, "data", "arrow", blame, error);
        if (status) return status;
    }
    return KITH_OK;
}

/* ---- where a row is */

uint32_t kt_state_fragment_at(const struct kt_state *state, uint64_t row)
{
    uint32_t low = 0, high = state->fragment_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (kt_fragment_end(&state->fragments[middle]) <= row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool kt_state_is_live(const struct kt_state *state, uint64_t row)
{
    uint32_t at = kt_state_fragment_at(state, row);
    if (at == state->fragment_count || state->fragments[at].first_row > row) return false;
    const struct kt_fragment *fragment = &state->fragments[at];
    bool hole = fragment->stored && !kt_bit(fragment->stored->data, row - fragment->first_row);
    return !hole && !kt_fragment_is_dead(fragment, row - fragment->first_row);
}

/* ---- adding and removing */

static kith_status files_left(struct kt_state *state, const struct kt_fragment *fragment, kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint32_t i = 0; i < fragment->group_count && !status; i++)
        status = kt_state_file_left(state, &fragment->groups[i].file, error);
    return status;
}

static void files_came(struct kt_state *state, const struct kt_fragment *fragment)
{
    for (uint32_t i = 0; i < fragment->group_count; i++) kt_state_file_came(state, &fragment->groups[i].file);
}

static void count_fragment(struct kt_state *state, const struct kt_fragment *fragment, bool added)
{
    uint64_t inlined = fragment->inline_rows ? fragment->inline_rows->size : 0;
    uint64_t live = kt_fragment_live(fragment);
    state->rows = added ? state->rows + live : state->rows - live;
    state->inline_bytes = added ? state->inline_bytes + inlined : state->inline_bytes - inlined;
    if (fragment->inline_rows) state->inline_count += added ? 1u : -1u;
}

static kith_status push_fragment(struct kt_state *state, struct kt_fragment *fragment, kith_error *error)
{
    struct kt_fragment *fragments = kt_grown(state->fragments, state->fragment_count, sizeof *fragment);
    if (!fragments) {
        kt_fragment_release(fragment);
        return kt_fail_memory(error, sizeof *fragment);
    }
    state->fragments = fragments;
    count_fragment(state, fragment, true);
    state->fragments[state->fragment_count++] = *fragment;
    files_came(state, fragment);
    return KITH_OK;
}

kith_status kt_state_add_fragment(struct kt_state *state, struct kt_fragment *fragment, struct kt_blame blame,
                                  kith_error *error)
{
    kith_status status = check_fragment(fragment, blame, error);
    if (!status && (fragment->first_row != state->next_row || fragment->span != fragment->rows))
        status = kt_fail(error, blame.malformed,
                         "%llu new rows among %llu begin at %llu, expected all of them and at %llu",
                         (unsigned long long)fragment->rows, (unsigned long long)fragment->span,
                         (unsigned long long)fragment->first_row, (unsigned long long)state->next_row);
    if (status) {
        kt_fragment_release(fragment);
        return status;
    }
    uint64_t end = kt_fragment_end(fragment);
    status = push_fragment(state, fragment, error);
    if (!status) state->next_row = end;
    return status;
}

kith_status kt_state_restore_fragment(struct kt_state *state, struct kt_fragment *fragment,
                                      struct kt_blame blame, kith_error *error)
{
    kith_status status = check_fragment(fragment, blame, error);
    const struct kt_fragment *last =
        state->fragment_count ? &state->fragments[state->fragment_count - 1] : NULL;
    if (!status && ((last && fragment->first_row < kt_fragment_end(last)) ||
                    kt_fragment_end(fragment) > state->next_row))
        status = kt_fail(error, blame.malformed,
                         "the fragment at row %llu overlaps another or has rows never given",
                         (unsigned long long)fragment->first_row);
    if (!status) return push_fragment(state, fragment, error);
    kt_fragment_release(fragment);
    return status;
}

static kith_status take_fragments(struct kt_state *state, uint32_t at, uint32_t count, kith_error *error)
{
    for (uint32_t i = at; i < at + count; i++) {
        kith_status status = files_left(state, &state->fragments[i], error);
        if (status) return status;
    }
    for (uint32_t i = at; i < at + count; i++) {
        count_fragment(state, &state->fragments[i], false);
        kt_fragment_release(&state->fragments[i]);
    }
    state->fragment_count -= count;
    memmove(state->fragments + at, state->fragments + at + count,
            (state->fragment_count - at) * sizeof *state->fragments);
    return KITH_OK;
}

kith_status kt_state_remove_fragment(struct kt_state *state, uint64_t first_row, struct kt_blame blame,
                                     kith_error *error)
{
    uint32_t at = kt_state_fragment_at(state, first_row);
    if (at == state->fragment_count || state->fragments[at].first_row != first_row)
        return kt_fail(error, blame.missing, "no fragment begins at row %llu (any more)",
                       (unsigned long long)first_row);
    return take_fragments(state, at, 1, error);
}

kith_status kt_state_remove_all_fragments(struct kt_state *state, kith_error *error)
{
    return state->fragment_count ? take_fragments(state, 0, state->fragment_count, error) : KITH_OK;
}

/* One pass, since a deletion may empty many. */
kith_status kt_state_remove_empty_fragments(struct kt_state *state, kith_error *error)
{
    kith_status status = KITH_OK;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < state->fragment_count; i++) {
        struct kt_fragment *fragment = &state->fragments[i];
        if (kt_fragment_live(fragment)) {
            state->fragments[kept++] = *fragment;
            continue;
        }
        if (!status) status = files_left(state, fragment, error);
        count_fragment(state, fragment, false);
        kt_fragment_release(fragment);
    }
    state->fragment_count = kept;
    return status;
}

/* ---- replacing */

/* Puts `fragment` where another was. A file that both have has not left. */
static kith_status put_in_place(struct kt_state *state, uint32_t at, struct kt_fragment *fragment,
                                kith_error *error)
{
    struct kt_fragment *old = &state->fragments[at];
    kith_status status = files_left(state, old, error);
    if (status) {
        kt_fragment_release(fragment);
        return status;
    }
    count_fragment(state, old, false);
    kt_fragment_release(old);
    *old = *fragment;
    count_fragment(state, old, true);
    files_came(state, old);
    return KITH_OK;
}

/* How many fragments, from `at` on, touch [.., end); 0 also when one of them reaches beyond it. */
static uint32_t fragments_within(const struct kt_state *state, uint32_t at, uint64_t first, uint64_t end)
{
    uint32_t count = 0;
    while (at + count < state->fragment_count && state->fragments[at + count].first_row < end) count++;
    bool beyond = count && (state->fragments[at].first_row < first ||
                            kt_fragment_end(&state->fragments[at + count - 1]) > end);
    return beyond ? 0 : count;
}

static uint64_t live_rows(const struct kt_state *state, uint32_t at, uint32_t count)
{
    uint64_t live = 0;
    for (uint32_t i = at; i < at + count; i++) live += kt_fragment_live(&state->fragments[i]);
    return live;
}

kith_status kt_state_replace_fragments(struct kt_state *state, struct kt_fragment *fragment,
                                       struct kt_blame blame, kith_error *error)
{
    kith_status status = check_fragment(fragment, blame, error);
    uint64_t first = fragment->first_row, end = kt_fragment_end(fragment);
    uint32_t at = 0, count = 0;
    if (!status && end > state->next_row)
        status = kt_fail(error, blame.malformed, "rows up to %llu are replaced, of which %llu were given",
                         (unsigned long long)end, (unsigned long long)state->next_row);
    if (!status) {
        at = kt_state_fragment_at(state, first);
        count = fragments_within(state, at, first, end);
        if (!count)
            status = kt_fail(error, blame.missing, "rows %llu to %llu are not whole fragments (any more)",
                             (unsigned long long)first, (unsigned long long)end);
    }
    if (!status && live_rows(state, at, count) > fragment->rows)
        status = kt_fail(error, blame.malformed, "a fragment of %llu rows takes the place of %llu",
                         (unsigned long long)fragment->rows, (unsigned long long)live_rows(state, at, count));
    if (status) {
        kt_fragment_release(fragment);
        return status;
    }
    status = take_fragments(state, at + 1, count - 1, error);
    if (!status) return put_in_place(state, at, fragment, error);
    kt_fragment_release(fragment);
    return status;
}

kith_status kt_state_widen_fragment(struct kt_state *state, struct kt_fragment *fragment,
                                    struct kt_blame blame, kith_error *error)
{
    kith_status status = check_fragment(fragment, blame, error);
    uint32_t at = kt_state_fragment_at(state, fragment->first_row);
    struct kt_fragment *old = at < state->fragment_count ? &state->fragments[at] : NULL;
    if (!status && (!old || old->first_row != fragment->first_row || old->span != fragment->span ||
                    old->rows != fragment->rows))
        status = kt_fail(error, blame.missing, "no fragment has %llu rows from %llu on (any more)",
                         (unsigned long long)fragment->rows, (unsigned long long)fragment->first_row);
    if (status) {
        kt_fragment_release(fragment);
        return status;
    }
    fragment->dead = kt_bytes_share(old->dead);
    fragment->dead_rows = old->dead_rows;
    return put_in_place(state, at, fragment, error);
}

/* Whether `fragment` is still in `state`; NULL when its rows all died. */
static kith_status find_again(const struct kt_state *state, const struct kt_fragment *fragment,
                              const struct kt_fragment **out, kith_error *error)
{
    uint32_t at = kt_state_fragment_at(state, fragment->first_row);
    *out = NULL;
    if (at < state->fragment_count && state->fragments[at].first_row < kt_fragment_end(fragment)) {
        if (same_fragment(&state->fragments[at], fragment)) *out = &state->fragments[at];
        if (*out) return KITH_OK;
    } else {
        return KITH_OK;
    }
    return kt_fail(error, KITH_CONFLICT, "the fragment at row %llu is another, or gone, by now",
                   (unsigned long long)fragment->first_row);
}

kith_status kt_state_died_since(const struct kt_state *state, const struct kt_state *then, uint64_t first,
                                uint64_t end, struct kt_runs *died, kith_error *error)
{
    uint32_t at = kt_state_fragment_at(then, first), count = fragments_within(then, at, first, end);
    kith_status status = KITH_OK;
    uint32_t again = 0, now = kt_state_fragment_at(state, first);
    for (uint32_t i = at; i < at + count && !status; i++) {
        const struct kt_fragment *fragment;
        status = find_again(state, &then->fragments[i], &fragment, error);
        if (!status) status = kt_runs_add_died(died, &then->fragments[i], fragment, error);
        again += !status && fragment;
    }
    if (!status && (!again || fragments_within(state, now, first, end) != again))
        status = kt_fail(error, KITH_CONFLICT, "rows %llu to %llu are other fragments by now, or none",
                         (unsigned long long)first, (unsigned long long)end);
    return status;
}

uint64_t kt_state_live_within(const struct kt_state *state, uint64_t first, uint64_t end)
{
    uint32_t at = kt_state_fragment_at(state, first);
    return live_rows(state, at, fragments_within(state, at, first, end));
}
