/* Rows by their ids: an interval of them, and any selection. A selection is a bit for each row id of a range,
 * and how many are set. Flat on purpose: a scan of lists asks for one row's bit at random, and a filter
 * writes 64 of them at a time; a compressed bitmap would be made from this and turned into it again for each
 * query.
 */
#ifndef KT_BASE_SELECTION_H
#define KT_BASE_SELECTION_H

#include <stdbool.h>
#include <stdint.h>

struct kt_rows { /* an interval of row ids, [begin, end) */
    uint64_t begin, end;
};

struct kt_selection { /* row ids [0, rows) */
    uint64_t *words;  /* (rows + 63) / 64; bits beyond `rows` are 0 */
    uint64_t rows;
    uint64_t count; /* set bits */
};

static inline bool kt_selected(const struct kt_selection *selection, uint64_t row)
{
    return row < selection->rows && (selection->words[row / 64] >> (row % 64) & 1);
}
/** Set bits of rows [begin, end). */
uint64_t kt_selection_count(const struct kt_selection *selection, uint64_t begin, uint64_t end);
/** ORs `count` bits of `bits`, bit 0 first, into rows [first, first + count), none of which is set. */
void kt_selection_put(struct kt_selection *selection, uint64_t first, const uint64_t *bits, uint64_t count);
/** Keeps of `count` bits those that are set for rows [first, first + count). @return whether any is left */
bool kt_selection_mask(const struct kt_selection *selection, uint64_t first, uint64_t *bits, uint64_t count);
/** The first selected row from `row` on, or UINT64_MAX. */
uint64_t kt_selection_next(const struct kt_selection *selection, uint64_t row);

/* Things of which some are left out: bit i of `words` is set where number i is there. Which place number i
 * has among those that are there, and which number stands at a place (rank and select: Jacobson 1989). */
struct kt_ranks {
    const uint64_t *words; /* borrowed; bits beyond `bits` are 0 */
    uint64_t bits;
    uint32_t *before; /* set bits before every KT_RANK_BITS-th; the last is of all */
};
enum { KT_RANK_BITS = 512 };
/** False when memory is out. `words` has fewer than 2^32 set bits; out->before is freed with kt_free(). */
bool kt_ranks_make(const uint64_t *words, uint64_t bits, struct kt_ranks *out);
/** Set bits below `bit`. */
uint64_t kt_rank(const struct kt_ranks *ranks, uint64_t bit);
/** The set bit that has `rank` others below it. */
uint64_t kt_rank_select(const struct kt_ranks *ranks, uint64_t rank);

#endif
