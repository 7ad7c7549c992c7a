/* Numbers of one stored type against a range, 64 rows to a word of bits. Included once for each type, with
 *   NUMBER     the type
 *   SCAN       the name of the function made
 *   FROM(cell) a cell's value as NUMBER
 *   LEAST, MOST, and for floats NEXT(value, towards)
 *   MASK, BITS the type of a row's comparison, and what makes bits of 64 of them
 *
 * A row's comparison is a mask of ones or zeros as wide as the number, which compilers turn into comparisons
 * of whole vectors, on plain x86-64 too; there is no branch per row. Of numbers of 8 bytes GCC makes plain
 * code, and masks of a byte are the fastest then. The last rows are copied to a full word's room, so that
 * nothing beyond the column is read. */

static inline uint64_t JOIN(SCAN, word)(const NUMBER *x, enum shape shape, NUMBER low, NUMBER high, MASK *hit)
{
    switch (shape) {
    case SHAPE_EQUAL:
        for (int i = 0; i < 64; i++) hit[i] = x[i] == low ? (MASK)-1 : (MASK)0;
        break;
    case SHAPE_UPTO:
        for (int i = 0; i < 64; i++) hit[i] = x[i] <= high ? (MASK)-1 : (MASK)0;
        break;
    case SHAPE_BELOW:
        for (int i = 0; i < 64; i++) hit[i] = x[i] < low ? (MASK)-1 : (MASK)0;
        break;
    default:
        for (int i = 0; i < 64; i++) hit[i] = ((x[i] >= low) & (x[i] <= high)) ? (MASK)-1 : (MASK)0;
        break;
    }
    return BITS(hit);
}

static void SCAN(const void *values, uint32_t count, const uint64_t *among, const struct range *range,
                 uint64_t *hits)
{
    const NUMBER *at = values;
    NUMBER low = range->has_low ? FROM(range->low) : LEAST, high = range->has_high ? FROM(range->high) : MOST;
    NUMBER last[64] = { 0 };
    MASK hit[64]; /* here, because builds that clear locals would clear it for every word */
    bool turned = false;
    enum shape shape = SHAPE_BETWEEN;
#ifdef NEXT
    if (range->high_open) high = NEXT(high, -INFINITY);
    if (range->low_open && range->has_high) low = NEXT(low, INFINITY);
#endif
    if (range->has_low && range->has_high && low == high) {
        shape = SHAPE_EQUAL;
    } else if (!range->has_low) {
        shape = SHAPE_UPTO;
    } else if (!range->has_high) { /* what is not below: so NaN, which is above all, passes */
        shape = range->low_open ? SHAPE_UPTO : SHAPE_BELOW;
        high = low;
        turned = true;
    }
    for (uint32_t w = 0; w * 64 < count; w++, at += 64) {
        hits[w] = 0;
        if (!among[w]) continue;
        if (count - w * 64 < 64) at = memcpy(last, at, (count - w * 64) * sizeof *at);
        uint64_t word = JOIN(SCAN, word)(at, shape, low, high, hit);
        hits[w] = turned ? ~word : word;
    }
}

#undef NUMBER
#undef SCAN
#undef FROM
#undef LEAST
#undef MOST
#undef NEXT
#undef MASK
#undef BITS
