/* Numbers of one stored type against one or a few ranges, 64 rows to a word of bits. Included once for each
 * type, with NUMBER     the type SCAN       the name of the function made FROM(cell) a cell's value as NUMBER
 *   LEAST, MOST, and for floats NEXT(value, towards)
 *   MASK, BITS the type of a row's comparison, and what makes bits of 64 of them
 *
 * A row's comparison is a mask of ones or zeros as wide as the number, which compilers turn into comparisons
 * of whole vectors, on plain x86-64 too; there is no branch per row. Of numbers of 8 bytes GCC makes plain
 * code, and masks of a byte are the fastest then. The last rows are copied to a full word's room, so that
 * nothing beyond the column is read. */

struct JOIN(SCAN, bounds) {
    enum shape shape;
    NUMBER low, high;
};

static struct JOIN(SCAN, bounds) JOIN(SCAN, prepare)(const struct range *range)
{
    struct JOIN(SCAN, bounds) out = { SHAPE_BETWEEN, LEAST, MOST };
    if (range->has_low) out.low = FROM(range->low);
    if (range->has_high) out.high = FROM(range->high);
#ifdef NEXT
    if (range->high_open) out.high = NEXT(out.high, -INFINITY);
    if (range->low_open && range->has_high) out.low = NEXT(out.low, INFINITY);
#endif
    if (range->has_low && range->has_high && out.low == out.high)
        out.shape = SHAPE_EQUAL;
    else if (!range->has_low)
        out.shape = SHAPE_UPTO;
    else if (!range->has_high) /* what is not below, so that NaN, which is above all, passes */
        out.shape = range->low_open ? SHAPE_ABOVE : SHAPE_FROM;
    return out;
}

static inline uint64_t JOIN(SCAN, word)(const NUMBER *x, const struct JOIN(SCAN, bounds) * bounds,
                                        MASK hit[64])
{
    NUMBER low = bounds->low, high = bounds->high;
    switch (bounds->shape) {
    case SHAPE_EQUAL:
        for (int i = 0; i < 64; i++) hit[i] = x[i] == low ? (MASK)-1 : (MASK)0;
        return BITS(hit);
    case SHAPE_UPTO:
        for (int i = 0; i < 64; i++) hit[i] = x[i] <= high ? (MASK)-1 : (MASK)0;
        return BITS(hit);
    case SHAPE_ABOVE:
        for (int i = 0; i < 64; i++) hit[i] = x[i] <= low ? (MASK)-1 : (MASK)0;
        return ~BITS(hit);
    case SHAPE_FROM:
        for (int i = 0; i < 64; i++) hit[i] = x[i] < low ? (MASK)-1 : (MASK)0;
        return ~BITS(hit);
    default:
        for (int i = 0; i < 64; i++) hit[i] = ((x[i] >= low) & (x[i] <= high)) ? (MASK)-1 : (MASK)0;
        return BITS(hit);
    }
}

static void SCAN(const void *values, uint32_t count, const uint64_t *among, const struct range *ranges,
                 uint32_t range_count, uint64_t *hits)
{
    struct JOIN(SCAN, bounds) bounds[KT_FEW_VALUES];
    const NUMBER *at = values;
    NUMBER last[64] = { 0 };
    MASK hit[64]; /* here, because builds that clear locals would clear it for every word */
    for (uint32_t r = 0; r < range_count && r < KT_FEW_VALUES; r++)
        bounds[r] = JOIN(SCAN, prepare)(&ranges[r]);
    for (uint32_t w = 0; w * 64 < count; w++, at += 64) {
        hits[w] = 0;
        if (!among[w]) continue;
        if (count - w * 64 < 64) at = memcpy(last, at, (count - w * 64) * sizeof *at);
        for (uint32_t r = 0; r < range_count; r++) hits[w] |= JOIN(SCAN, word)(at, &bounds[r], hit);
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
