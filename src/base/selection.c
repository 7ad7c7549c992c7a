/* Counting, walking and filling bits 64 at a time. */
#include "base/selection.h"

#include "base/alloc.h"
#include "base/bytes.h"

static uint64_t low_bits(uint64_t count)
{
    return count >= 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1;
}

uint64_t kt_selection_count(const struct kt_selection *selection, uint64_t begin, uint64_t end)
{
    uint64_t sum = 0;
    end = kt_min_u64(end, selection->rows);
    while (begin < end) {
        uint64_t bit = begin % 64, some = kt_min_u64(64 - bit, end - begin);
        sum += (uint64_t)__builtin_popcountll(selection->words[begin / 64] >> bit & low_bits(some));
        begin += some;
    }
    return sum;
}

void kt_selection_put(struct kt_selection *selection, uint64_t first, const uint64_t *bits, uint64_t count)
{
    for (uint64_t at = 0; at < count; at += 64) {
        uint64_t word = bits[at / 64] & low_bits(count - at), row = first + at, shift = row % 64;
        if (!word) continue;
        selection->words[row / 64] |= word << shift;
        if (shift && word >> (64 - shift)) selection->words[row / 64 + 1] |= word >> (64 - shift);
        selection->count += (uint64_t)__builtin_popcountll(word);
    }
}

/* 64 bits of rows from `row` on, those beyond the end 0. */
static uint64_t bits_from(const struct kt_selection *selection, uint64_t row)
{
    uint64_t word = row / 64, shift = row % 64, words = (selection->rows + 63) / 64;
    uint64_t bits = word < words ? selection->words[word] >> shift : 0;
    if (shift && word + 1 < words) bits |= selection->words[word + 1] << (64 - shift);
    return bits;
}

bool kt_selection_mask(const struct kt_selection *selection, uint64_t first, uint64_t *bits, uint64_t count)
{
    uint64_t left = 0;
    for (uint64_t at = 0; at < count; at += 64) {
        bits[at / 64] &= bits_from(selection, first + at) & low_bits(count - at);
        left |= bits[at / 64];
    }
    return left;
}

uint64_t kt_selection_next(const struct kt_selection *selection, uint64_t row)
{
    while (row < selection->rows) {
        uint64_t word = selection->words[row / 64] >> (row % 64);
        if (word) return row + (uint64_t)__builtin_ctzll(word);
        row = (row / 64 + 1) * 64;
    }
    return UINT64_MAX;
}

/* ---- ranks */

enum { RANK_WORDS = KT_RANK_BITS / 64 };

bool kt_ranks_make(const uint64_t *words, uint64_t bits, struct kt_ranks *out)
{
    uint64_t blocks = (bits + KT_RANK_BITS - 1) / KT_RANK_BITS, count = (bits + 63) / 64;
    uint32_t *before = kt_alloc_array(blocks + 1, sizeof *before), sum = 0;
    if (!before) return false;
    for (uint64_t w = 0; w < count; w++) {
        if (w % RANK_WORDS == 0) before[w / RANK_WORDS] = sum;
        sum += (uint32_t)__builtin_popcountll(words[w]);
    }
    before[blocks] = sum;
    *out = (struct kt_ranks){ words, bits, before };
    return true;
}

uint64_t kt_rank(const struct kt_ranks *ranks, uint64_t bit)
{
    uint64_t word = bit / 64, rank;
    if (bit >= ranks->bits) return ranks->before[(ranks->bits + KT_RANK_BITS - 1) / KT_RANK_BITS];
    rank = ranks->before[word / RANK_WORDS];
    for (uint64_t w = word / RANK_WORDS * RANK_WORDS; w < word; w++)
        rank += (uint64_t)__builtin_popcountll(ranks->words[w]);
    return rank + (uint64_t)__builtin_popcountll(ranks->words[word] & low_bits(bit % 64));
}

uint64_t kt_rank_select(const struct kt_ranks *ranks, uint64_t rank)
{
    uint64_t low = 0, high = (ranks->bits + KT_RANK_BITS - 1) / KT_RANK_BITS;
    while (high - low > 1) { /* the last block with at most `rank` set bits before it */
        uint64_t middle = low + (high - low) / 2;
        if (ranks->before[middle] <= rank)
            low = middle;
        else
            high = middle;
    }
    rank -= ranks->before[low];
    uint64_t word = low * RANK_WORDS, bits = ranks->words[word];
    for (uint64_t set; rank >= (set = (uint64_t)__builtin_popcountll(bits)); bits = ranks->words[++word])
        rank -= set;
    for (; rank; rank--) bits &= bits - 1;
    return word * 64 + (uint64_t)__builtin_ctzll(bits);
}
