/* Bitmaps of rows, as Roaring bitmaps of the portable form (github.com/RoaringBitmap/RoaringFormatSpec), so
 * that others read them:
 *
 *   u32  12346, then u32 containers                      where no container is of runs
 *        12347 | (containers - 1) << 16, then one bit a container: whether it is of runs
 *   u16 key, u16 rows - 1     of each container: rows 65536 * key + what it holds
 *   u32 where it begins       of each container; left out where there are runs and fewer than 4 containers
 *   the containers            runs:    u16 count, then u16 first, u16 length - 1 of each
 *                             array:   u16 of each row, for at most 4096 of them
 *                             bits:    8192 bytes
 *
 * Written and read here rather than by CRoaring, whose tests ours are held to. What is wanted of a bitmap is
 * to set its bits in a flat selection, which is one walk that checks as it goes; CRoaring would build a tree
 * of allocations first, and its version 0.2.66 crashes where one of them fails (11 of the first 12 that it
 * makes). The places of the containers are not read: they follow from what stands before.
 */
#include "filter/scalar_private.h"

enum {
    ARRAY_MOST = 4096,
    BITS_BYTES = 8192,
    CONTAINER_ROWS = 65536,
    CONTAINER_WORDS = CONTAINER_ROWS / 64,
    COOKIE = 12346,
    RUNS_COOKIE = 12347,
    FEW_CONTAINERS = 4 /* with runs, fewer than these have no places */
};

/* ---- writing ---- */

struct container {
    const uint32_t *rows;
    uint32_t count, runs;
};

/* The container that begins with the first of `count` rows. */
static struct container container_of(const uint32_t *rows, size_t count)
{
    struct container container = { rows, 1, 1 };
    while (container.count < count && rows[container.count] >> 16 == rows[0] >> 16) {
        container.runs += rows[container.count] != rows[container.count - 1] + 1;
        container.count++;
    }
    return container;
}

static uint32_t plain_bytes(const struct container *container)
{
    return container->count > ARRAY_MOST ? BITS_BYTES : 2 * container->count;
}

static bool is_runs(const struct container *container)
{
    return 2 + 4 * container->runs < plain_bytes(container);
}

static uint32_t container_bytes(const struct container *container)
{
    return is_runs(container) ? 2 + 4 * container->runs : plain_bytes(container);
}

static void put_runs(const struct container *container, uint8_t *to)
{
    kt_put_u16(to, (uint16_t)container->runs);
    to += 2;
    for (uint32_t i = 0, end; i < container->count; i = end, to += 4) {
        for (end = i + 1; end < container->count && container->rows[end] == container->rows[end - 1] + 1;)
            end++;
        kt_put_u16(to, (uint16_t)container->rows[i]);
        kt_put_u16(to + 2, (uint16_t)(end - i - 1));
    }
}

static void put_container(const struct container *container, uint8_t *to)
{
    if (is_runs(container)) {
        put_runs(container, to);
        return;
    }
    for (uint32_t i = 0; i < container->count; i++) {
        uint16_t low = (uint16_t)container->rows[i];
        if (container->count > ARRAY_MOST)
            kt_bit_set(to, low);
        else
            kt_put_u16(to + 2 * i, low);
    }
}

/* What stands before the containers, its size, and theirs. */
struct bitmap_head {
    uint32_t containers;
    bool runs;
    size_t bytes, body;
};

static struct bitmap_head head_of(const uint32_t *rows, size_t count)
{
    struct bitmap_head head = { 0 };
    for (size_t at = 0; at < count;) {
        struct container container = container_of(rows + at, count - at);
        head.containers++;
        head.runs |= is_runs(&container);
        head.body += container_bytes(&container);
        at += container.count;
    }
    head.bytes = head.runs ? 4 + (head.containers + 7) / 8 : 8;
    head.bytes += 4 * (size_t)head.containers;
    if (!head.runs || head.containers >= FEW_CONTAINERS) head.bytes += 4 * (size_t)head.containers;
    return head;
}

/* Where the descriptions of the containers begin. */
static size_t put_cookie(const struct bitmap_head *head, uint8_t *to)
{
    if (head->runs) {
        kt_put_u32(to, RUNS_COOKIE | (head->containers - 1) << 16);
        return 4 + (head->containers + 7) / 8;
    }
    kt_put_u32(to, COOKIE);
    kt_put_u32(to + 4, head->containers);
    return 8;
}

bool kt_bitmap_write(struct kt_buffer *to, const uint32_t *rows, size_t count)
{
    struct bitmap_head head = head_of(rows, count);
    size_t whole = head.bytes + head.body;
    if (whole > UINT32_MAX || !kt_buffer_reserve(to, whole)) return false;
    uint8_t *begin = to->data + to->size;
    memset(begin, 0, whole);
    size_t describe = put_cookie(&head, begin), place = describe + 4 * (size_t)head.containers,
           body = head.bytes;
    for (size_t at = 0, i = 0; at < count; i++) {
        struct container container = container_of(rows + at, count - at);
        if (is_runs(&container)) kt_bit_set(begin + 4, i);
        kt_put_u16(begin + describe + 4 * i, (uint16_t)(container.rows[0] >> 16));
        kt_put_u16(begin + describe + 4 * i + 2, (uint16_t)(container.count - 1));
        if (place < head.bytes) kt_put_u32(begin + place + 4 * i, (uint32_t)body);
        put_container(&container, begin + body);
        body += container_bytes(&container);
        at += container.count;
    }
    to->size += whole;
    return true;
}

/* ---- reading ---- */

struct walk {
    const struct bitmap *bitmap;
    uint64_t base, span;
    struct kt_selection *out;
    size_t at;          /* in the bitmap */
    uint64_t container; /* its first row, from the base */
    kith_error *error;
};

static kith_status bad(const struct walk *walk, const char *what)
{
    return kt_fail(walk->error, KITH_CORRUPT,
                   "%s is not an index Kith can read: a bitmap of %zu bytes %s at byte %zu",
                   walk->bitmap->name, walk->bitmap->size, what, walk->at);
}

/* Lends the next bytes, or NULL where there are fewer. */
static const uint8_t *next(struct walk *walk, size_t count)
{
    if (count > walk->bitmap->size - walk->at) return NULL;
    walk->at += count;
    return walk->bitmap->bytes + walk->at - count;
}

static kith_status select_array(struct walk *walk, uint32_t count)
{
    const uint8_t *rows = next(walk, 2 * (size_t)count);
    if (!rows) return bad(walk, "ends too early");
    for (uint32_t i = 0; i < count; i++) {
        uint64_t row = walk->container + kt_get_u16(rows + 2 * i);
        if (row >= walk->span) return bad(walk, "has a row beyond the index");
        select_row(walk->out, walk->base + row);
    }
    return KITH_OK;
}

static kith_status select_bits(struct walk *walk)
{
    const uint8_t *words = next(walk, BITS_BYTES);
    if (!words) return bad(walk, "ends too early");
    for (uint64_t i = 0; i < CONTAINER_WORDS; i++) {
        uint64_t bits = kt_get_u64(words + 8 * i), row = walk->container + 64 * i;
        uint64_t room = row < walk->span ? walk->span - row : 0;
        if (!bits) continue;
        if (!room || (room < 64 && bits >> room)) return bad(walk, "has a row beyond the index");
        select_word(walk->out, (walk->base + row) / 64, bits);
    }
    return KITH_OK;
}

static void select_run(struct kt_selection *out, uint64_t begin, uint64_t end)
{
    for (uint64_t row = begin; row < end; row = (row / 64 + 1) * 64) {
        uint64_t some = kt_min_u64(64 - row % 64, end - row);
        uint64_t bits = some == 64 ? UINT64_MAX : (UINT64_C(1) << some) - 1;
        select_word(out, row / 64, bits << (row % 64));
    }
}

static kith_status select_runs(struct walk *walk)
{
    const uint8_t *count = next(walk, 2);
    const uint8_t *runs = count ? next(walk, 4 * (size_t)kt_get_u16(count)) : NULL;
    if (!runs) return bad(walk, "ends too early");
    for (uint32_t i = 0; i < kt_get_u16(count); i++) {
        uint64_t begin = walk->container + kt_get_u16(runs + 4 * i);
        uint64_t end = begin + kt_get_u16(runs + 4 * i + 2) + 1;
        if (end > walk->span) return bad(walk, "has a row beyond the index");
        select_run(walk->out, walk->base + begin, walk->base + end);
    }
    return KITH_OK;
}

/* Reads what stands before the containers: NULL in *runs where none is of runs. */
static kith_status read_head(struct walk *walk, uint32_t *containers, const uint8_t **runs,
                             const uint8_t **describe)
{
    const uint8_t *p = next(walk, 4);
    uint32_t cookie = p ? kt_get_u32(p) : 0;
    *runs = NULL;
    if ((cookie & 0xffff) == RUNS_COOKIE) {
        *containers = (cookie >> 16) + 1;
        *runs = p = next(walk, (*containers + 7) / 8);
    } else {
        if (cookie != COOKIE) return bad(walk, "begins with no known number");
        p = next(walk, 4);
        *containers = p ? kt_get_u32(p) : 0;
    }
    if (!p || *containers > CONTAINER_ROWS) return bad(walk, "has too many containers");
    *describe = next(walk, 4 * (size_t)*containers);
    bool places = !*runs || *containers >= FEW_CONTAINERS;
    if (!*describe || (places && !next(walk, 4 * (size_t)*containers))) return bad(walk, "ends too early");
    return KITH_OK;
}

kith_status kt_bitmap_select(const struct bitmap *bitmap, uint64_t base, uint64_t span,
                             struct kt_selection *out, kith_error *error)
{
    struct walk walk = { .bitmap = bitmap, .base = base, .span = span, .out = out, .error = error };
    const uint8_t *runs = NULL, *describe = NULL;
    uint32_t containers = 0;
    kith_status status = read_head(&walk, &containers, &runs, &describe);
    for (uint32_t i = 0; !status && i < containers; i++) {
        uint32_t count = (uint32_t)kt_get_u16(describe + 4 * (size_t)i + 2) + 1;
        walk.container = (uint64_t)kt_get_u16(describe + 4 * (size_t)i) * CONTAINER_ROWS;
        if (runs && kt_bit(runs, i))
            status = select_runs(&walk);
        else
            status = count > ARRAY_MOST ? select_bits(&walk) : select_array(&walk, count);
    }
    return status;
}
