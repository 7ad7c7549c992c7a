/* Rows against constants: ranges and sets of values, where nearly all filters spend their time.
 *
 * A column that is stored as numbers is compared where it lies, by the loops of filter_scan_body.h; a set of
 * few numbers is as many comparisons, a larger one a hash table. Everything else comes through a register and
 * is looked at row by row.
 *
 * A condition on a dictionary column alone, whatever it is, is a lookup: it is evaluated once for each text
 * of the dictionary and once for null, and the rows then look up their codes. Codes that pass are often few
 * or lie together: then they are ranges of codes, compared as numbers are; else each row reads a table.
 * Dictionaries with more texts than the call has rows are not worth it, and are read like text.
 *
 * What a row that is null has in a lookup is said by evaluating the condition for null, not assumed: `x IS
 * NULL` and `coalesce(x, 'a') = 'a'` are lookups too.
 */
#include <math.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "filter/filter_eval.h"

/* ---- numbers ---- */

enum shape { SHAPE_EQUAL, SHAPE_UPTO, SHAPE_ABOVE, SHAPE_FROM, SHAPE_BETWEEN };

/* A bit for each of 64 masks, which are all ones or zeros. */
#ifdef __SSE2__
static inline __m128i part(const void *masks, int i)
{
    return _mm_loadu_si128((const __m128i *)masks + i);
}

static inline uint64_t bits_of_8(const int8_t mask[64])
{
    uint64_t bits = 0;
    for (int i = 0; i < 4; i++) bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(part(mask, i)) << (16 * i);
    return bits;
}

static inline uint64_t bits_of_16(const int16_t mask[64])
{
    uint64_t bits = 0;
    for (int i = 0; i < 4; i++) {
        __m128i bytes = _mm_packs_epi16(part(mask, 2 * i), part(mask, 2 * i + 1));
        bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(bytes) << (16 * i);
    }
    return bits;
}

static inline uint64_t bits_of_32(const int32_t mask[64])
{
    uint64_t bits = 0;
    for (int i = 0; i < 4; i++) {
        __m128i low = _mm_packs_epi32(part(mask, 4 * i), part(mask, 4 * i + 1)),
                high = _mm_packs_epi32(part(mask, 4 * i + 2), part(mask, 4 * i + 3));
        bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high)) << (16 * i);
    }
    return bits;
}
#else
static inline uint64_t bits_of_8(const int8_t mask[64])
{
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) { /* the product brings the lowest bit of each byte to the top, in order */
        uint64_t part = kt_get_u64(mask + 8 * i) & 0x0101010101010101;
        bits |= (part * 0x0102040810204080) >> 56 << (8 * i);
    }
    return bits;
}

static inline uint64_t bits_of_16(const int16_t mask[64])
{
    int8_t bytes[64];
    for (int i = 0; i < 64; i++) bytes[i] = (int8_t)mask[i];
    return bits_of_8(bytes);
}

static inline uint64_t bits_of_32(const int32_t mask[64])
{
    int8_t bytes[64];
    for (int i = 0; i < 64; i++) bytes[i] = (int8_t)mask[i];
    return bits_of_8(bytes);
}
#endif

#define PASTE(a, b) a##_##b
#define JOIN(a, b) PASTE(a, b)
#define INTEGER(cell) ((NUMBER)(cell).integer)
#define WIDE(cell) ((NUMBER)(cell).wide)
#define FLOATING(cell) ((NUMBER)(cell).number)

#define NUMBER int8_t
#define MASK int8_t
#define BITS bits_of_8
#define SCAN scan_int8
#define FROM INTEGER
#define LEAST INT8_MIN
#define MOST INT8_MAX
#include "filter/filter_scan_body.h"
#define NUMBER int16_t
#define MASK int16_t
#define BITS bits_of_16
#define SCAN scan_int16
#define FROM INTEGER
#define LEAST INT16_MIN
#define MOST INT16_MAX
#include "filter/filter_scan_body.h"
#define NUMBER int32_t
#define MASK int32_t
#define BITS bits_of_32
#define SCAN scan_int32
#define FROM INTEGER
#define LEAST INT32_MIN
#define MOST INT32_MAX
#include "filter/filter_scan_body.h"
#define NUMBER int64_t
#define MASK int8_t
#define BITS bits_of_8
#define SCAN scan_int64
#define FROM INTEGER
#define LEAST INT64_MIN
#define MOST INT64_MAX
#include "filter/filter_scan_body.h"
#define NUMBER uint8_t
#define MASK int8_t
#define BITS bits_of_8
#define SCAN scan_uint8
#define FROM INTEGER
#define LEAST 0
#define MOST UINT8_MAX
#include "filter/filter_scan_body.h"
#define NUMBER uint16_t
#define MASK int16_t
#define BITS bits_of_16
#define SCAN scan_uint16
#define FROM INTEGER
#define LEAST 0
#define MOST UINT16_MAX
#include "filter/filter_scan_body.h"
#define NUMBER uint32_t
#define MASK int32_t
#define BITS bits_of_32
#define SCAN scan_uint32
#define FROM INTEGER
#define LEAST 0
#define MOST UINT32_MAX
#include "filter/filter_scan_body.h"
#define NUMBER uint64_t
#define MASK int8_t
#define BITS bits_of_8
#define SCAN scan_uint64
#define FROM WIDE
#define LEAST 0
#define MOST UINT64_MAX
#include "filter/filter_scan_body.h"
#define NUMBER float
#define MASK int32_t
#define BITS bits_of_32
#define SCAN scan_float32
#define FROM FLOATING
#define LEAST (-INFINITY)
#define MOST INFINITY
#define NEXT nextafterf
#include "filter/filter_scan_body.h"
#define NUMBER double
#define MASK int8_t
#define BITS bits_of_8
#define SCAN scan_float64
#define FROM FLOATING
#define LEAST (-(double)INFINITY)
#define MOST ((double)INFINITY)
#define NEXT nextafter
#include "filter/filter_scan_body.h"

typedef void (*scan_fn)(const void *values, uint32_t count, const uint64_t *among, const struct range *ranges,
                        uint32_t range_count, uint64_t *hits);
static const struct scan {
    scan_fn scan;
    uint32_t size;
} scans[KT_BINARY_VIEW + 1] = {
    [KT_INT8] = { scan_int8, 1 },       [KT_INT16] = { scan_int16, 2 },   [KT_INT32] = { scan_int32, 4 },
    [KT_INT64] = { scan_int64, 8 },     [KT_UINT8] = { scan_uint8, 1 },   [KT_UINT16] = { scan_uint16, 2 },
    [KT_UINT32] = { scan_uint32, 4 },   [KT_UINT64] = { scan_uint64, 8 }, [KT_FLOAT32] = { scan_float32, 4 },
    [KT_FLOAT64] = { scan_float64, 8 }, [KT_DATE32] = { scan_int32, 4 },  [KT_DATE64] = { scan_int64, 8 },
    [KT_TIME32] = { scan_int32, 4 },    [KT_TIME64] = { scan_int64, 8 },  [KT_TIMESTAMP] = { scan_int64, 8 },
    [KT_DURATION] = { scan_int64, 8 },
};

/* Rows in one of at most KT_FEW_VALUES ranges, among those asked for. */
static void scan_ranges(const struct scan *scan, const void *values, uint32_t count, const uint64_t *among,
                        const struct range *ranges, uint32_t range_count, uint64_t *hits)
{
    struct range met[KT_FEW_VALUES];
    uint32_t words = (count + 63) / 64, kept = 0;
    for (uint32_t r = 0; r < range_count; r++) {
        if (ranges[r].none) continue;
        if (!ranges[r].has_low && !ranges[r].has_high) {
            memcpy(hits, among, words * sizeof *hits);
            return;
        }
        met[kept++] = ranges[r];
    }
    scan->scan(values, count, among, met, kept, hits);
}

/* A set of few values is compared one by one: a table's look-up costs as much as four comparisons. */
static bool can_scan(const struct test *test, enum kt_type type)
{
    return scans[type].scan && (test->kind == TEST_RANGE || test->count <= KT_FEW_VALUES);
}

static void scan_test(const struct test *test, enum kt_type type, const void *values, uint32_t count,
                      const uint64_t *among, uint64_t *hits)
{
    if (test->kind == TEST_RANGE)
        scan_ranges(&scans[type], values, count, among, &test->range, 1, hits);
    else
        scan_ranges(&scans[type], values, count, among, test->ones, test->count, hits);
}

/* ---- one by one ---- */

bool kt_test_has(const struct test *test, const struct cell *cell)
{
    if (test->kind == TEST_RANGE) return kt_range_has(test->form, &test->range, cell);
    if (!test->count) return false;
    uint32_t at = kt_cell_hash(test->form, cell) & test->mask;
    for (; test->slots[at]; at = (at + 1) & test->mask)
        if (kt_cell_compare(test->form, cell, &test->values[test->slots[at] - 1]) == 0) return true;
    return false;
}

/* memcmp() is called for what is long only: a call costs more than comparing 8 bytes. */
static inline bool equal_bytes(const uint8_t *a, const uint8_t *b, size_t count)
{
    if (count >= 8)
        return kt_get_u64(a) == kt_get_u64(b) && (count == 8 || memcmp(a + 8, b + 8, count - 8) == 0);
    if (count >= 4)
        return (kt_get_u32(a) == kt_get_u32(b)) & (kt_get_u32(a + count - 4) == kt_get_u32(b + count - 4));
    if (count >= 2)
        return (kt_get_u16(a) == kt_get_u16(b)) & (kt_get_u16(a + count - 2) == kt_get_u16(b + count - 2));
    return count == 0 || *a == *b;
}

static inline bool same_bytes(struct slice a, struct slice b)
{
    return a.size == b.size && equal_bytes(a.at, b.at, a.size);
}

static inline bool begins_with(struct slice text, struct slice prefix)
{
    return text.size >= prefix.size && equal_bytes(text.at, prefix.at, prefix.size);
}

/* A range from a text up to that with its last byte one higher: what begins with the text. */
static bool is_prefix(const struct range *range)
{
    struct slice low = range->low.bytes, high = range->high.bytes;
    return range->has_low && range->has_high && !range->low_open && range->high_open && low.size &&
           low.size == high.size && memcmp(low.at, high.at, low.size - 1) == 0 &&
           low.at[low.size - 1] + 1 == high.at[low.size - 1];
}

static bool is_one_value(const struct test *test)
{
    const struct range *range = &test->range;
    return range->has_low && range->has_high && !range->low_open && !range->high_open &&
           kt_cell_compare(test->form, &range->low, &range->high) == 0;
}

/* The first 8 bytes, read as a number, decide nearly always. */
static inline int order_of(struct slice a, struct slice b)
{
    if (a.size >= 8 && b.size >= 8) {
        uint64_t x = __builtin_bswap64(kt_get_u64(a.at)), y = __builtin_bswap64(kt_get_u64(b.at));
        if (x != y) return x < y ? -1 : 1;
    }
    return kt_slice_compare(a, b);
}

static inline bool within(const struct range *range, struct slice bytes)
{
    int low = range->has_low ? order_of(bytes, range->low.bytes) : 1,
        high = range->has_high ? order_of(bytes, range->high.bytes) : -1;
    return low >= (range->low_open ? 1 : 0) && high <= (range->high_open ? -1 : 0);
}

static void test_range_of_bytes(const struct frame *frame, const struct test *test, const struct reg *reg,
                                uint64_t *hits)
{
    bool one = is_one_value(test), prefix = is_prefix(&test->range);
    struct slice low = test->range.low.bytes;
    uint32_t row;
    for (struct walk walk = kt_walk(reg->known, frame->words); kt_walk_next(&walk, &row);) {
        struct slice bytes = reg->bytes[row];
        bool has = one      ? same_bytes(bytes, low)
                   : prefix ? begins_with(bytes, low)
                            : within(&test->range, bytes);
        hits[row / 64] |= (uint64_t)has << (row % 64);
    }
}

/* Most texts have another size than any of the set, and need no hash. */
static void test_set_of_bytes(const struct frame *frame, const struct test *test, const struct reg *reg,
                              uint64_t *hits)
{
    uint32_t row;
    for (struct walk walk = kt_walk(reg->known, frame->words); kt_walk_next(&walk, &row);) {
        struct slice bytes = reg->bytes[row];
        if (!(test->sizes >> (bytes.size % 64) & 1)) continue;
        uint32_t at = (uint32_t)kt_hash(bytes.at, bytes.size) & test->mask;
        bool has = false;
        for (; test->slots[at] && !has; at = (at + 1) & test->mask)
            has = same_bytes(bytes, test->values[test->slots[at] - 1].bytes);
        hits[row / 64] |= (uint64_t)has << (row % 64);
    }
}

static void test_set_of_integers(const struct frame *frame, const struct test *test, const struct reg *reg,
                                 uint64_t *hits)
{
    int64_t least = test->values[0].integer, most = test->values[test->count - 1].integer;
    uint32_t row;
    for (struct walk walk = kt_walk(reg->known, frame->words); kt_walk_next(&walk, &row);) {
        int64_t value = reg->integers[row];
        if (value < least || value > most) continue;
        uint32_t at = kt_hash_integer((uint64_t)value) & test->mask;
        bool has = false;
        for (; test->slots[at] && !has; at = (at + 1) & test->mask)
            has = test->values[test->slots[at] - 1].integer == value;
        hits[row / 64] |= (uint64_t)has << (row % 64);
    }
}

static void test_rows(const struct frame *frame, const struct test *test, const struct reg *reg,
                      uint64_t *hits)
{
    uint32_t row;
    memset(hits, 0, frame->words * sizeof *hits);
    if (test->kind == TEST_RANGE ? test->range.none : !test->count) return;
    if (test->form == FORM_BYTES && test->kind == TEST_RANGE) {
        test_range_of_bytes(frame, test, reg, hits);
    } else if (test->form == FORM_BYTES) {
        test_set_of_bytes(frame, test, reg, hits);
    } else if (test->form == FORM_INT) {
        test_set_of_integers(frame, test, reg, hits);
    } else {
        for (struct walk walk = kt_walk(reg->known, frame->words); kt_walk_next(&walk, &row);) {
            struct cell cell;
            kt_reg_cell(reg, test->form, row, &cell);
            hits[row / 64] |= (uint64_t)kt_test_has(test, &cell) << (row % 64);
        }
    }
}

static void test_truths(const struct frame *frame, const struct test *test, const struct reg *reg,
                        uint64_t *hits)
{
    uint64_t yes = kt_test_has(test, &(struct cell){ .truth = true, .integer = 1 }) ? UINT64_MAX : 0,
             no = kt_test_has(test, &(struct cell){ .truth = false }) ? UINT64_MAX : 0;
    for (uint32_t w = 0; w < frame->words; w++)
        hits[w] = (reg->truth[w] & yes) | (~reg->truth[w] & reg->known[w] & no);
}

void kt_test_reg(const struct frame *frame, const struct test *test, const struct reg *reg, uint64_t *hits)
{
    if (test->form == FORM_BOOL)
        test_truths(frame, test, reg, hits);
    else if (test->form == FORM_INT && can_scan(test, KT_INT64))
        scan_test(test, KT_INT64, reg->integers, frame->words * 64, reg->known, hits);
    else if (test->form == FORM_FLOAT && can_scan(test, KT_FLOAT64))
        scan_test(test, KT_FLOAT64, reg->numbers, frame->words * 64, reg->known, hits);
    else
        test_rows(frame, test, reg, hits);
    for (uint32_t w = 0; w < frame->words; w++) hits[w] &= reg->known[w];
}

/* ---- the node ---- */

static void test_row_ids(const struct frame *frame, const struct test *test, const uint64_t *among,
                         uint64_t *hits)
{
    uint32_t row;
    memset(hits, 0, frame->words * sizeof *hits);
    for (struct walk walk = kt_walk(among, frame->words); kt_walk_next(&walk, &row);) {
        struct cell cell = { .wide = kt_row_id(frame, row) };
        hits[row / 64] |= (uint64_t)kt_test_has(test, &cell) << (row % 64);
    }
}

/* A column: compared where it lies, or loaded. `known` comes as the rows asked for. */
static kith_status test_column(struct frame *frame, const struct node *node, uint64_t *known, uint64_t *hits)
{
    const struct node *subject = node->subject;
    struct reg reg;
    struct source source = kt_locate(frame, subject->place, known);
    memset(hits, 0, frame->words * sizeof *hits);
    if (!source.array) return KITH_OK;
    if (can_scan(node->test, source.array->field->type)) {
        const uint8_t *values = source.array->values +
                                (source.array->offset + source.row) * scans[source.array->field->type].size;
        scan_test(node->test, source.array->field->type, values, frame->count, known, hits);
        return KITH_OK;
    }
    kith_status status = kt_reg_take(frame, subject->form, &reg);
    if (status) return status;
    memcpy(reg.known, known, frame->words * sizeof *known);
    kt_load(frame, &source, &reg);
    memcpy(known, reg.known, frame->words * sizeof *known); /* less what is null in a dictionary */
    kt_test_reg(frame, node->test, &reg, hits);
    return KITH_OK;
}

kith_status kt_eval_test(struct frame *frame, const struct node *node, const uint64_t *among, struct reg *out)
{
    const struct node *subject = node->subject;
    uint64_t flip = node->negate ? UINT64_MAX : 0, hits[KT_PIECE_WORDS];
    kith_status status = kt_reg_take(frame, FORM_BOOL, out);
    if (status) return status;
    struct mark mark = kt_mark(frame);
    memcpy(out->known, among, frame->words * sizeof *among);
    if (!subject->place) {
        struct reg reg;
        status = kt_eval(frame, subject, among, &reg);
        if (status) return status;
        memcpy(out->known, reg.known, frame->words * sizeof *among);
        kt_test_reg(frame, node->test, &reg, hits);
    } else if (subject->place->column < 0) {
        test_row_ids(frame, node->test, among, hits);
    } else {
        status = test_column(frame, node, out->known, hits);
    }
    for (uint32_t w = 0; !status && w < frame->words; w++) {
        if (node->test->null_among) out->known[w] &= hits[w];
        out->truth[w] = (hits[w] ^ flip) & out->known[w];
    }
    kt_rewind(frame, mark);
    return status;
}

/* ---- lookups ---- */

enum { TRUE_BIT = 1, KNOWN_BIT = 2 };

struct lookup {     /* of one call */
    uint8_t *table; /* what each code gives, and at [length] what null gives */
    uint32_t length;
    bool by_ranges; /* all codes are known, and those that are true lie in these ranges */
    uint32_t range_count;
    struct range ranges[KT_FEW_VALUES];
};

/* Evaluates the condition with `values` in the column's place; NULL: with a null there. */
static kith_status fill_table(struct frame *frame, const struct node *condition,
                              const struct kt_array *values, uint32_t length, uint8_t *table)
{
    struct kt_filter_rows rows = { .count = length };
    struct frame inner = { .filter = frame->filter,
                           .rows = &rows,
                           .stand_in = values,
                           .all_null = !values,
                           .block = frame->block,
                           .scratch = frame->scratch,
                           .error = frame->error };
    kith_status status = KITH_OK;
    for (uint32_t at = 0; !status && at < length; at += KT_PIECE) {
        uint64_t among[KT_PIECE_WORDS];
        struct reg reg;
        kt_frame_piece(&inner, at, kt_min_u32(KT_PIECE, length - at), NULL, among);
        struct mark mark = kt_mark(&inner);
        status = kt_eval(&inner, condition, among, &reg);
        for (uint32_t i = 0; !status && i < inner.count; i++)
            table[at + i] = (uint8_t)((kt_row_bit(reg.truth, i) ? TRUE_BIT : 0) |
                                      (kt_row_bit(reg.known, i) ? KNOWN_BIT : 0));
        kt_rewind(&inner, mark);
    }
    kt_arena_release(&inner.texts);
    return status;
}

static void find_ranges(struct lookup *lookup, enum kt_type index)
{
    uint32_t runs = 0, begin = 0;
    for (uint32_t code = 0; code < lookup->length; code++) {
        if (!(lookup->table[code] & KNOWN_BIT)) return;
        bool is = lookup->table[code] & TRUE_BIT, was = code && lookup->table[code - 1] & TRUE_BIT,
             will = code + 1 < lookup->length && lookup->table[code + 1] & TRUE_BIT;
        if (is && !was) begin = code;
        if (!is || will) continue;
        if (runs == KT_FEW_VALUES) return;
        struct range *range = &lookup->ranges[runs++];
        range->has_low = range->has_high = true;
        if (index == KT_UINT64) {
            range->low.wide = begin;
            range->high.wide = code;
        } else {
            range->low.integer = begin;
            range->high.integer = code;
        }
    }
    lookup->range_count = runs;
    lookup->by_ranges = true;
}

static kith_status prepare(struct frame *frame, const struct node *node, const struct kt_array *values,
                           enum kt_type index)
{
    uint32_t length = (uint32_t)values->length;
    struct lookup *lookup = kt_arena_take(frame->scratch, 1, sizeof *lookup);
    uint8_t *table = lookup ? kt_arena_take(frame->scratch, (size_t)length + 1, 1) : NULL;
    if (!table) return kt_fail_memory(frame->error, length + sizeof *lookup);
    *lookup = (struct lookup){ .table = table, .length = length };
    kith_status status = fill_table(frame, node->plan, values, length, table);
    if (!status) status = fill_table(frame, node->plan, NULL, 1, table + length);
    if (status) return status;
    find_ranges(lookup, index);
    frame->lookups[node->slot] = lookup;
    return KITH_OK;
}

static void load_codes(enum kt_type type, const uint8_t *values, int64_t at, uint32_t count, uint32_t *out)
{
    const void *p = values;
    switch (type) {
    case KT_INT8:
    case KT_UINT8:
        for (uint32_t i = 0; i < count; i++) out[i] = ((const uint8_t *)p)[at + i];
        break;
    case KT_INT16:
    case KT_UINT16:
        for (uint32_t i = 0; i < count; i++) out[i] = ((const uint16_t *)p)[at + i];
        break;
    case KT_INT32:
    case KT_UINT32:
        for (uint32_t i = 0; i < count; i++) out[i] = ((const uint32_t *)p)[at + i];
        break;
    default:
        for (uint32_t i = 0; i < count; i++) out[i] = (uint32_t)((const uint64_t *)p)[at + i];
        break;
    }
}

/* Each row reads what its code gives. Codes under a null may be anything. */
static void read_table(const struct frame *frame, const struct lookup *lookup, const struct source *source,
                       const uint64_t *valid, struct reg *out)
{
    const struct kt_array *array = source->array;
    for (uint32_t w = 0; w < frame->words; w++) {
        uint32_t codes[64] = { 0 }, count = kt_min_u32(64, frame->count - w * 64);
        int8_t truth[64], known[64];
        out->truth[w] = out->known[w] = 0;
        if (!valid[w]) continue;
        load_codes(array->field->index, array->values, array->offset + source->row + w * 64, count, codes);
        for (uint32_t i = 0; i < 64; i++) {
            int found = lookup->table[codes[i] < lookup->length ? codes[i] : lookup->length];
            truth[i] = found & TRUE_BIT ? -1 : 0;
            known[i] = found & KNOWN_BIT ? -1 : 0;
        }
        out->truth[w] = bits_of_8(truth) & valid[w];
        out->known[w] = bits_of_8(known) & valid[w];
    }
}

static void read_ranges(const struct frame *frame, const struct lookup *lookup, const struct source *source,
                        const uint64_t *valid, struct reg *out)
{
    const struct kt_array *array = source->array;
    const struct scan *scan = &scans[array->field->index];
    const uint8_t *codes = array->values + (array->offset + source->row) * scan->size;
    memcpy(out->known, valid, frame->words * sizeof *valid);
    scan_ranges(scan, codes, frame->count, valid, lookup->ranges, lookup->range_count, out->truth);
    for (uint32_t w = 0; w < frame->words; w++) out->truth[w] &= valid[w];
}

kith_status kt_eval_lookup(struct frame *frame, const struct node *node, const uint64_t *among,
                           struct reg *out)
{
    uint64_t valid[KT_PIECE_WORDS];
    memcpy(valid, among, frame->words * sizeof *among);
    struct source source = kt_locate(frame, node->subject->place, valid);
    const struct kt_array *values = &source.array->children[0];
    if (values->length > frame->rows->count) return kt_eval(frame, node->plan, among, out);
    kith_status status =
        frame->lookups[node->slot] ? KITH_OK : prepare(frame, node, values, source.array->field->index);
    if (!status) status = kt_reg_take(frame, FORM_BOOL, out);
    if (status) return status;
    const struct lookup *lookup = frame->lookups[node->slot];
    if (lookup->by_ranges)
        read_ranges(frame, lookup, &source, valid, out);
    else
        read_table(frame, lookup, &source, valid, out);
    uint8_t null = lookup->table[lookup->length];
    for (uint32_t w = 0; w < frame->words; w++) {
        uint64_t nulls = among[w] & ~valid[w];
        if (null & TRUE_BIT) out->truth[w] |= nulls;
        if (null & KNOWN_BIT) out->known[w] |= nulls;
    }
    return KITH_OK;
}
