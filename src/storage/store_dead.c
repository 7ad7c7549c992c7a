/* Rows that were deleted: bitmaps in a state, runs in the log.
 *
 *   {"do":"delete","rows":N,"bytes":B}   and a payload of B bytes: pairs of LEB128 numbers, the row ids
 *                                        between the end of the last run and this one, and the run's length
 *
 * There is one way to read runs, whether a log brings them or a transaction: kt_state_delete(). It takes them
 * only in the one form in which they are written (no empty run, none that touches the one before it, no
 * number longer than it must be), each of its rows in a fragment and alive.
 *
 * A fragment's bitmap is shared between states and copied before it is changed, unless nobody else has it: a
 * reader of a long log changes its own. A fragment whose last row dies leaves the state in the same action.
 * Deletions have no files of their own, see docs/decisions/0011-deletions-live-in-the-log.md.
 */
#include <string.h>

#include "base/alloc.h"
#include "storage/storage_private.h"

/* ---- writing runs */

static bool put_number(struct kt_buffer *out, uint64_t number)
{
    uint8_t bytes[10];
    size_t count = 0;
    do {
        bytes[count] = (uint8_t)((number & 0x7f) | (number > 0x7f ? 0x80 : 0));
        count++;
        number >>= 7;
    } while (number);
    return kt_buffer_append(out, bytes, count);
}

/* Writes the run that is being gathered. */
static bool flush(struct kt_runs *runs)
{
    if (runs->run.begin == runs->run.end) return true;
    if (!put_number(&runs->bytes, runs->run.begin - runs->written) ||
        !put_number(&runs->bytes, runs->run.end - runs->run.begin))
        return false;
    runs->written = runs->run.end;
    return true;
}

kith_status kt_runs_add(struct kt_runs *runs, uint64_t begin, uint64_t end, kith_error *error)
{
    runs->rows += end - begin;
    if (runs->run.begin != runs->run.end && runs->run.end == begin) {
        runs->run.end = end;
        return KITH_OK;
    }
    if (!flush(runs)) return kt_fail_memory(error, runs->bytes.size);
    runs->run = (struct kt_rows){ begin, end };
    return KITH_OK;
}

kith_status kt_runs_end(struct kt_runs *runs, struct kt_bytes **out, kith_error *error)
{
    *out = flush(runs) ? kt_bytes_new(runs->bytes.data, runs->bytes.size) : NULL;
    runs->run.begin = runs->run.end;
    return *out ? KITH_OK : kt_fail_memory(error, runs->bytes.size);
}

void kt_runs_release(struct kt_runs *runs)
{
    kt_buffer_release(&runs->bytes);
    *runs = (struct kt_runs){ 0 };
}

/* ---- bitmaps: whole words of 64 bits, those beyond the fragment 0 */

static size_t bitmap_bytes(uint64_t span)
{
    return (size_t)((span + 63) / 64 * 8);
}

static uint64_t word_of(const struct kt_bytes *bits, uint64_t at)
{
    return bits ? kt_get_u64(bits->data + at * 8) : 0;
}

/* Adds the runs of bits that are set in `word`, whose bit 0 is row `first`. */
static kith_status add_word(struct kt_runs *runs, uint64_t first, uint64_t word, kith_error *error)
{
    kith_status status = KITH_OK;
    while (word && !status) {
        int begin = __builtin_ctzll(word);
        uint64_t rest = ~(word >> begin);
        int count = rest ? __builtin_ctzll(rest) : 64;
        status = kt_runs_add(runs, first + (uint64_t)begin, first + (uint64_t)(begin + count), error);
        word = begin + count < 64 ? word >> (begin + count) << (begin + count) : 0;
    }
    return status;
}

kith_status kt_runs_add_dead(struct kt_runs *runs, const struct kt_fragment *fragment, kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint64_t at = 0; fragment->dead && at * 64 < fragment->span && !status; at++)
        status = add_word(runs, fragment->first_row + at * 64, word_of(fragment->dead, at), error);
    return status;
}

kith_status kt_runs_add_died(struct kt_runs *runs, const struct kt_fragment *then,
                             const struct kt_fragment *now, kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint64_t at = 0; at * 64 < then->span && !status; at++) {
        uint64_t left = then->span - at * 64, all = left < 64 ? (1ull << left) - 1 : UINT64_MAX;
        if (then->stored) all &= word_of(then->stored, at);
        uint64_t before = word_of(then->dead, at), after = now ? word_of(now->dead, at) : all;
        if (before & ~after)
            return kt_fail(error, KITH_CONFLICT, "deleted rows of the fragment at row %llu are back",
                           (unsigned long long)then->first_row);
        status = add_word(runs, then->first_row + at * 64, after & ~before, error);
    }
    return status;
}

/* 64 rows of a fragment, from row 64 * at of it on: those that live. */
static uint64_t live_word(const struct kt_fragment *fragment, uint64_t at)
{
    uint64_t left = fragment->span - at * 64, word = left < 64 ? (1ull << left) - 1 : UINT64_MAX;
    if (fragment->stored) word &= word_of(fragment->stored, at);
    return word & ~word_of(fragment->dead, at);
}

kith_status kt_runs_add_holes(struct kt_runs *runs, const struct kt_state *state, uint64_t first,
                              uint64_t end, kith_error *error)
{
    kith_status status = KITH_OK;
    uint64_t row = first; /* up to which everything is said */
    for (uint32_t i = kt_state_fragment_at(state, first); i < state->fragment_count && !status; i++) {
        const struct kt_fragment *fragment = &state->fragments[i];
        if (fragment->first_row >= end) break;
        if (fragment->first_row > row) status = kt_runs_add(runs, row, fragment->first_row, error);
        for (uint64_t at = 0; at * 64 < fragment->span && !status; at++) {
            uint64_t left = fragment->span - at * 64, all = left < 64 ? (1ull << left) - 1 : UINT64_MAX;
            status = add_word(runs, fragment->first_row + at * 64, all & ~live_word(fragment, at), error);
        }
        row = kt_fragment_end(fragment);
    }
    if (!status && row < end) status = kt_runs_add(runs, row, end, error);
    return status;
}

/* A bitmap that nobody else has. */
static kith_status own_bitmap(struct kt_fragment *fragment, kith_error *error)
{
    size_t bytes = bitmap_bytes(fragment->span);
    struct kt_bytes *old = fragment->dead;
    if (old && atomic_load_explicit(&old->references, memory_order_acquire) == 1) return KITH_OK;
    struct kt_bytes *own = old ? kt_bytes_new(old->data, bytes) : kt_alloc_zero(1, sizeof *own + bytes);
    if (!own) return kt_fail_memory(error, bytes);
    own->references = 1;
    own->size = bytes;
    kt_bytes_release(old);
    fragment->dead = own;
    return KITH_OK;
}

/* Sets bits [begin, end) of a fragment that are all 0. */
static kith_status mark_dead(struct kt_fragment *fragment, uint64_t begin, uint64_t end,
                             struct kt_blame blame, kith_error *error)
{
    kith_status status = own_bitmap(fragment, error);
    if (status) return status;
    for (uint64_t at = begin / 64; at * 64 < end; at++) {
        uint8_t *bytes = fragment->dead->data + at * 8;
        uint64_t word = kt_get_u64(bytes), mask = UINT64_MAX;
        if (at == begin / 64) mask &= UINT64_MAX << begin % 64;
        if (end - at * 64 < 64) mask &= (1ull << (end - at * 64)) - 1;
        if (fragment->stored && (mask & ~word_of(fragment->stored, at)))
            return kt_fail(error, blame.missing, "there is no row %llu any more",
                           (unsigned long long)(fragment->first_row + at * 64) +
                               (unsigned long long)__builtin_ctzll(mask & ~word_of(fragment->stored, at)));
        if (word & mask)
            return kt_fail(error, blame.missing, "row %llu was deleted already",
                           (unsigned long long)(fragment->first_row + at * 64) +
                               (unsigned long long)__builtin_ctzll(word & mask));
        kt_put_u64(bytes, word | mask);
    }
    fragment->dead_rows += end - begin;
    if (fragment->dead_rows <= fragment->rows) return KITH_OK;
    return kt_fail(error, blame.malformed, "%llu rows of the fragment at row %llu are deleted, it has %llu",
                   (unsigned long long)fragment->dead_rows, (unsigned long long)fragment->first_row,
                   (unsigned long long)fragment->rows);
}

/* ---- reading runs */

struct run_reader {
    const uint8_t *at, *end;
    uint64_t row; /* where the last run ended */
};

static bool read_number(struct run_reader *reader, uint64_t *out)
{
    uint64_t number = 0;
    for (unsigned shift = 0; reader->at < reader->end && shift < 63; shift += 7) {
        uint8_t byte = *reader->at++;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80) continue;
        *out = number;
        return byte || !shift;
    }
    return false;
}

/* Numbers have 63 bits, and rows end at 2^62: no sum overflows. */
static bool read_run(struct run_reader *reader, struct kt_rows *out)
{
    uint64_t gap, count;
    if (!read_number(reader, &gap) || !read_number(reader, &count)) return false;
    if (!count || (!gap && reader->row) || gap > KT_LARGEST_ROW - reader->row) return false;
    out->begin = reader->row + gap;
    if (count > KT_LARGEST_ROW - out->begin) return false;
    out->end = reader->row = out->begin + count;
    return true;
}

static kith_status delete_run(struct kt_state *state, struct kt_rows run, bool *emptied,
                              struct kt_blame blame, kith_error *error)
{
    while (run.begin < run.end) {
        uint32_t at = kt_state_fragment_at(state, run.begin);
        struct kt_fragment *fragment = at < state->fragment_count ? &state->fragments[at] : NULL;
        if (!fragment || fragment->first_row > run.begin)
            return kt_fail(error, blame.missing, "there is no row %llu (any more)",
                           (unsigned long long)run.begin);
        uint64_t first = fragment->first_row, end = kt_min_u64(run.end, kt_fragment_end(fragment));
        kith_status status = mark_dead(fragment, run.begin - first, end - first, blame, error);
        if (status) return status;
        state->rows -= end - run.begin;
        *emptied |= !kt_fragment_live(fragment);
        run.begin = end;
    }
    return KITH_OK;
}

kith_status kt_state_delete(struct kt_state *state, const struct kt_bytes *runs, uint64_t rows,
                            struct kt_blame blame, kith_error *error)
{
    struct run_reader reader = { runs->data, runs->data + runs->size, 0 };
    bool emptied = false;
    uint64_t left = rows;
    do {
        struct kt_rows run;
        if (!read_run(&reader, &run) || run.end - run.begin > left)
            return kt_fail(error, blame.malformed, "the runs of %llu deleted rows are malformed",
                           (unsigned long long)rows);
        left -= run.end - run.begin;
        kith_status status = delete_run(state, run, &emptied, blame, error);
        if (status) return status;
    } while (left);
    if (reader.at != reader.end)
        return kt_fail(error, blame.malformed, "the runs of %llu deleted rows have %zu bytes too many",
                       (unsigned long long)rows, (size_t)(reader.end - reader.at));
    if (emptied) kt_state_remove_empty_fragments(state);
    return KITH_OK;
}

static bool clear_holes(struct kt_fragment *fragment, struct kt_bytes *stored)
{
    struct run_reader reader = { fragment->holes->data, fragment->holes->data + fragment->holes->size, 0 };
    uint64_t left = fragment->span - fragment->rows;
    for (struct kt_rows run; left; left -= run.end - run.begin) {
        if (!read_run(&reader, &run) || run.end - run.begin > left || run.begin < fragment->first_row ||
            run.end > kt_fragment_end(fragment))
            return false;
        for (uint64_t row = run.begin - fragment->first_row; row < run.end - fragment->first_row; row++)
            stored->data[row / 8] &= (uint8_t) ~(1u << (row % 8));
    }
    return reader.at == reader.end;
}

kith_status kt_fragment_read_holes(struct kt_fragment *fragment, kith_status malformed, kith_error *error)
{
    if (!fragment->holes && fragment->rows == fragment->span) return KITH_OK;
    if (!fragment->holes || fragment->rows >= fragment->span || fragment->span > KT_LARGEST_SPAN)
        return kt_fail(error, malformed,
                       "the fragment at row %llu has %llu rows among %llu ids, and holes that "
                       "do not say so",
                       (unsigned long long)fragment->first_row, (unsigned long long)fragment->rows,
                       (unsigned long long)fragment->span);
    size_t bytes = bitmap_bytes(fragment->span);
    struct kt_bytes *stored = kt_alloc_zero(1, sizeof *stored + bytes);
    if (!stored) return kt_fail_memory(error, bytes);
    stored->references = 1;
    stored->size = bytes;
    memset(stored->data, 0xff, bytes);
    for (uint64_t at = fragment->span; at < bytes * 8; at++)
        stored->data[at / 8] &= (uint8_t) ~(1u << (at % 8));
    if (clear_holes(fragment, stored)) {
        fragment->stored = stored;
        return KITH_OK;
    }
    kt_bytes_release(stored);
    return kt_fail(error, malformed, "the holes of the fragment at row %llu are malformed",
                   (unsigned long long)fragment->first_row);
}
