/* Sorting a million keys in a fraction of a second: by radix, a byte at a time from the lowest, passing over
 * bytes that are the same in all keys.
 *
 * Texts are sorted by what fits into an integer: seven bytes, and below them how many of the seven there are,
 * or eight where the text goes on. Integers of this kind have the order of the texts ("a" before "a\0", zeros
 * stand for what is not there, and the lowest byte tells them apart). Texts that are the same so far and go
 * on are sorted by their next seven bytes, and so on: common beginnings ("https://www.") cost a pass over
 * them each, where comparing texts two by two would read them log n times. What is left to sort is a list,
 * not a recursion: texts may be as long as they like.
 *
 * Always true here: entries that are equal keep their order, so rows that were given in order stay so.
 */
#include "filter/scalar_private.h"

enum {
    BYTES = 8,
    VALUES = 256,
    CHUNK = 7,        /* bytes of a text that are sorted at a time */
    GOES_ON = 8,      /* in the lowest byte of a key */
    REPEATS = 1,      /* the key of a text that is the one before it, when all is sorted */
    FEW = 32,         /* are sorted by insertion: a histogram would cost more */
    TICK = 64 * 1024, /* ranges as large as this are told to the caller's progress function */
};

static void sort_few(struct entry *entries, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct entry moved = entries[i];
        size_t at = i;
        for (; at > 0 && entries[at - 1].key > moved.key; at--) entries[at] = entries[at - 1];
        entries[at] = moved;
    }
}

static void scatter(const struct entry *from, size_t count, unsigned shift, const size_t counts[VALUES],
                    struct entry *to)
{
    size_t begin[VALUES], sum = 0;
    for (int v = 0; v < VALUES; v++) {
        begin[v] = sum;
        sum += counts[v];
    }
    for (size_t i = 0; i < count; i++) to[begin[from[i].key >> shift & 0xff]++] = from[i];
}

static void sort_many(struct entry *entries, struct entry *spare, size_t count)
{
    size_t counts[BYTES][VALUES] = { 0 };
    struct entry *from = entries, *to = spare;
    for (size_t i = 0; i < count; i++)
        for (unsigned b = 0; b < BYTES; b++) counts[b][entries[i].key >> (8 * b) & 0xff]++;
    for (unsigned b = 0; b < BYTES; b++) {
        if (counts[b][from[0].key >> (8 * b) & 0xff] == count) continue;
        scatter(from, count, 8 * b, counts[b], to);
        struct entry *swap = from;
        from = to;
        to = swap;
    }
    if (from != entries) memcpy(entries, from, count * sizeof *entries);
}

/* Sorts `count` entries by key; `spare` has as much room. */
static void sort_keys(struct entry *entries, struct entry *spare, size_t count)
{
    if (count <= FEW)
        sort_few(entries, count);
    else
        sort_many(entries, spare, count);
}

/* ---- texts ---- */

struct range { /* entries whose texts are the same up to `depth` */
    size_t begin, count, depth;
};

static bool push(struct kt_buffer *ranges, struct range range)
{
    return kt_buffer_append(ranges, &range, sizeof range);
}

static struct range pop(struct kt_buffer *ranges)
{
    struct range range;
    ranges->size -= sizeof range;
    memcpy(&range, ranges->data + ranges->size, sizeof range);
    return range;
}

static uint64_t chunk_at(const struct texts *texts, uint32_t item, size_t depth)
{
    uint8_t chunk[BYTES] = { 0 };
    size_t size;
    const uint8_t *text = text_at(texts, item, &size);
    size_t left = size - depth;
    if (left >= BYTES) return (__builtin_bswap64(kt_get_u64(text + depth)) & ~UINT64_C(0xff)) | GOES_ON;
    if (left) memcpy(chunk, text + depth, left);
    chunk[CHUNK] = (uint8_t)left;
    return __builtin_bswap64(kt_get_u64(chunk));
}

static void load_chunks(struct entry *entries, size_t count, const struct texts *texts, size_t depth)
{
    for (size_t i = 0; i < count; i++) entries[i].key = chunk_at(texts, entries[i].item, depth);
}

/* Keeps for later what is the same so far, and goes on; marks what is the same to its end. */
static bool settle(struct kt_buffer *ranges, struct entry *entries, struct range range)
{
    for (size_t i = 0, end; i < range.count; i = end) {
        uint64_t key = entries[i].key;
        for (end = i + 1; end < range.count && entries[end].key == key; end++) entries[end].key = REPEATS;
        entries[i].key = 0;
        if (end - i > 1 && (key & 0xff) == GOES_ON &&
            !push(ranges, (struct range){ range.begin + i, end - i, range.depth + CHUNK }))
            return false;
    }
    return true;
}

static kith_status sort_texts(struct entry *entries, struct entry *spare, size_t count,
                              const struct texts *texts, struct kt_work *work, kith_error *error)
{
    struct kt_buffer ranges = { 0 };
    kith_status status = KITH_OK;
    bool kept = push(&ranges, (struct range){ .count = count });
    while (kept && ranges.size && !status) {
        struct range range = pop(&ranges);
        struct entry *some = entries + range.begin;
        load_chunks(some, range.count, texts, range.depth);
        sort_keys(some, spare, range.count);
        kept = settle(&ranges, some, range);
        if (range.count >= TICK) status = kt_work_tick(work, "sort", range.begin, count, error);
    }
    if (!kept) status = kt_fail_memory(error, ranges.size);
    kt_buffer_release(&ranges);
    return status;
}

kith_status kt_scalar_sort(struct entry *entries, size_t count, const struct texts *texts,
                           struct kt_work *work, kith_error *error)
{
    struct entry *spare = kt_alloc_array(count, sizeof *spare);
    kith_status status = KITH_OK;
    if (!spare) return kt_fail_memory(error, count * sizeof *spare);
    if (texts)
        status = sort_texts(entries, spare, count, texts, work, error);
    else
        sort_keys(entries, spare, count);
    kt_free(spare);
    return status;
}
