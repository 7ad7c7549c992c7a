/* The file of a scalar index: what it looks like, writing it, opening it, finding a key in it.
 *
 *   header: 128 bytes at offset 0, little-endian
 *     offset  size  field
 *          0     8  "KITHSCL1"
 *          8     4  kind: 0 BTREE, 1 BITMAP, 2 LABEL_LIST
 *         12     4  pages
 *         16     4  keys: distinct values
 *         20     4  zero
 *         24     8  base row id, a multiple of 64
 *         32     8  row span: every row offset is below this, and this below 2^32
 *         40     8  ranks: rows of all keys together, below 2^32
 *         48     8  rows whose value is null
 *         56     8  bytes of the separators
 *         64     8  bytes of the pages
 *         72     8  bytes of the postings
 *         80     8  bytes of the bitmap of nulls
 *         88     8  zero
 *         96    32  type of the column as messages name it, cut there, zeros behind
 *
 *   Then, each from a multiple of 64 on, zero bytes between:
 *     directory         24 x (pages + 1)   u64 begin of the page, u64 begin of its separator, u32 number of
 * its first key, u32 that key's first rank; the last entry: their ends separators        bytes page p holds
 * the keys from separator p up to separator p + 1; the first one is empty bitmap offsets    u64 x (keys + 1)
 * not for BTREE: bitmap k is postings [offset k, offset k + 1) pages             each from a multiple of 8 on
 *     postings          BTREE: a row offset, u32, for each rank; else a bitmap for each key (scalar_bitmap.c)
 *     nulls             a bitmap
 *
 *   A page is 8 bytes for each of its keys, then the keys (scalar_key.c) one after another, ascending:
 *     u32  first rank of the key: its rows are those ranks up to the next key's first
 *     u32  where the key ends among the page's keys; the first begins at 0
 *
 * The ranks make every key's rows, and every range's, countable without reading them, for bitmaps too.
 *
 * Header and directory are checked whole when the file is opened. Pages and postings are not read then: what
 * they say is tested where it is used.
 */
#include "filter/scalar_private.h"

enum { HEADER_BYTES = 128, ALIGN = 64, TYPE_BYTES = 32 };
static const char magic[8] = "KITHSCL1";

/* ---- where things lie ---- */

static uint64_t place_section(uint64_t *at, uint64_t bytes)
{
    uint64_t begin = *at;
    *at = kt_round_up(begin + bytes, ALIGN);
    return begin;
}

static uint64_t offset_bytes(const struct scalar_shape *shape)
{
    return shape->kind == SCALAR_BTREE ? 0 : ((uint64_t)shape->keys + 1) * sizeof(uint64_t);
}

static uint64_t directory_bytes(const struct scalar_shape *shape)
{
    return ((uint64_t)shape->pages + 1) * KT_DIRECTORY_ENTRY;
}

void kt_scalar_layout(const struct scalar_shape *shape, struct scalar_layout *out)
{
    uint64_t at = HEADER_BYTES;
    out->directory = place_section(&at, directory_bytes(shape));
    out->separators = place_section(&at, shape->separator_bytes);
    out->offsets = place_section(&at, offset_bytes(shape));
    out->pages = place_section(&at, shape->page_bytes);
    out->postings = place_section(&at, shape->posting_bytes);
    out->nulls = at;
    out->end = at + shape->null_bytes;
}

/* ---- writing ---- */

static void type_text(const struct kt_field *field, char text[TYPE_BYTES + 1])
{
    memset(text, 0, TYPE_BYTES + 1);
    kt_field_type_text(field, text, TYPE_BYTES + 1);
}

static void encode_header(const struct scalar_shape *shape, const struct kt_field *field, uint8_t *p)
{
    const uint64_t fields[] = {
        shape->base,       shape->span,          shape->ranks,     shape->nulls, shape->separator_bytes,
        shape->page_bytes, shape->posting_bytes, shape->null_bytes
    };
    char text[TYPE_BYTES + 1];
    memset(p, 0, HEADER_BYTES);
    memcpy(p, magic, sizeof magic);
    kt_put_u32(p + 8, shape->kind);
    kt_put_u32(p + 12, shape->pages);
    kt_put_u32(p + 16, shape->keys);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) kt_put_u64(p + 24 + 8 * i, fields[i]);
    type_text(field, text);
    memcpy(p + HEADER_BYTES - TYPE_BYTES, text, TYPE_BYTES);
}

kith_status kt_scalar_write_parts(const struct scalar_shape *shape, const struct kt_field *field,
                                  const struct scalar_parts *parts, struct kt_sink *sink, kith_error *error)
{
    const struct kt_buffer *sections[] = { &parts->directory, &parts->separators, &parts->offsets,
                                           &parts->pages,     &parts->postings,   &parts->nulls };
    uint8_t header[HEADER_BYTES];
    encode_header(shape, field, header);
    kith_status status = kt_sink_write(sink, header, sizeof header, error);
    for (size_t i = 0; !status && i < sizeof sections / sizeof *sections; i++) {
        status = kt_sink_align(sink, ALIGN, error);
        if (!status && sections[i]->size)
            status = kt_sink_write(sink, sections[i]->data, sections[i]->size, error);
    }
    return status;
}

/* ---- opening ---- */

kith_status kt_scalar_corrupt(const struct kt_scalar *scalar, const char *what, uint64_t is, uint64_t bound,
                              kith_error *error)
{
    return kt_fail(error, KITH_CORRUPT, "%s is not an index Kith can read: %s is %llu, expected at most %llu",
                   kt_view_name(scalar->file), what, (unsigned long long)is, (unsigned long long)bound);
}

static void decode_header(const uint8_t *p, struct scalar_shape *out)
{
    *out = (struct scalar_shape){ .kind = (enum scalar_kind)kt_get_u32(p + 8),
                                  .pages = kt_get_u32(p + 12),
                                  .keys = kt_get_u32(p + 16),
                                  .base = kt_get_u64(p + 24),
                                  .span = kt_get_u64(p + 32),
                                  .ranks = kt_get_u64(p + 40),
                                  .nulls = kt_get_u64(p + 48),
                                  .separator_bytes = kt_get_u64(p + 56),
                                  .page_bytes = kt_get_u64(p + 64),
                                  .posting_bytes = kt_get_u64(p + 72),
                                  .null_bytes = kt_get_u64(p + 80) };
}

/* No number is so great that the sums of kt_scalar_layout() overflow, and none disagrees with another. */
static kith_status check_shape(const struct kt_scalar *scalar, kith_error *error)
{
    const struct scalar_shape *s = &scalar->shape;
    uint64_t length = kt_view_length(scalar->file), btree = s->ranks * sizeof(uint32_t);
    const struct {
        const char *name;
        uint64_t is, most;
    } bounds[] = { { "kind", (uint64_t)s->kind, SCALAR_KINDS - 1 },
                   { "row span", s->span, UINT32_MAX },
                   { "base row", s->base, UINT64_MAX - s->span },
                   { "base row, modulo 64,", s->base % 64, 0 },
                   { "ranks", s->ranks, UINT32_MAX },
                   { "nulls", s->nulls, s->span },
                   { "keys", s->keys, s->ranks },
                   { "pages", s->pages, s->keys },
                   { "bytes of the separators", s->separator_bytes, length },
                   { "bytes of the pages", s->page_bytes, length },
                   { "bytes of the postings", s->posting_bytes, s->kind == SCALAR_BTREE ? btree : length },
                   { "bytes of the nulls", s->null_bytes, length } };
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (bounds[i].is > bounds[i].most)
            return kt_scalar_corrupt(scalar, bounds[i].name, bounds[i].is, bounds[i].most, error);
    if (s->kind == SCALAR_BTREE && s->posting_bytes != btree)
        return kt_scalar_corrupt(scalar, "bytes of the postings", s->posting_bytes, btree, error);
    return KITH_OK;
}

static kith_status check_type(const struct kt_scalar *scalar, const uint8_t *header,
                              const struct kt_field *field, kith_error *error)
{
    char expected[TYPE_BYTES + 1], is[TYPE_BYTES + 1] = { 0 };
    memcpy(is, header + HEADER_BYTES - TYPE_BYTES, TYPE_BYTES);
    type_text(field, expected);
    if (memcmp(is, expected, TYPE_BYTES) == 0) return KITH_OK;
    for (char *c = is; *c; c++)
        if (*c < ' ' || *c > '~') *c = '?';
    return kt_fail(error, KITH_CORRUPT, "%s is an index over a column of type %s; column \"%s\" is %s",
                   kt_view_name(scalar->file), is, field->name, expected);
}

static struct page_entry entry_at(const struct kt_scalar *scalar, uint32_t page)
{
    return page_entry_get(scalar->directory + (size_t)page * KT_DIRECTORY_ENTRY);
}

/* A page whose numbers follow each other; its separator is greater than the one before. */
static bool page_is_sound(const struct kt_scalar *scalar, uint32_t page, const struct page_entry *before)
{
    struct page_entry at = entry_at(scalar, page), next = entry_at(scalar, page + 1);
    if (next.begin < at.begin || next.key <= at.key || next.rank < at.rank || next.separator < at.separator)
        return false;
    if (at.begin % KT_PAGE_HEAD || next.begin - at.begin < (uint64_t)KT_PAGE_HEAD * (next.key - at.key))
        return false;
    if (next.separator > scalar->shape.separator_bytes) return false;
    return !before ||
           kt_compare_bytes(scalar->separators + before->separator, at.separator - before->separator,
                            scalar->separators + at.separator, next.separator - at.separator) < 0;
}

static kith_status check_directory(const struct kt_scalar *scalar, kith_error *error)
{
    const struct scalar_shape *s = &scalar->shape;
    struct page_entry before, first = entry_at(scalar, 0), end = entry_at(scalar, s->pages);
    if (first.begin || first.separator || first.key || first.rank)
        return kt_scalar_corrupt(scalar, "the begin of page 0", first.begin, 0, error);
    for (uint32_t page = 0; page < s->pages; page++) {
        if (!page_is_sound(scalar, page, page ? &before : NULL))
            return kt_scalar_corrupt(scalar, "the number of a page out of order", page, s->pages, error);
        before = entry_at(scalar, page);
    }
    if (end.begin != s->page_bytes || end.separator != s->separator_bytes)
        return kt_scalar_corrupt(scalar, "the end of the pages", end.begin, s->page_bytes, error);
    if (end.key != s->keys || end.rank != s->ranks)
        return kt_scalar_corrupt(scalar, "the number of keys", end.key, s->keys, error);
    return KITH_OK;
}

static kith_status read_file(struct kt_scalar *scalar, const struct kt_field *field, kith_error *error)
{
    const uint8_t *header = NULL;
    uint64_t length = kt_view_length(scalar->file);
    if (length < HEADER_BYTES)
        return kt_fail(error, KITH_CORRUPT, "%s has %llu bytes; an index has at least %d",
                       kt_view_name(scalar->file), (unsigned long long)length, HEADER_BYTES);
    kith_status status = kt_view(scalar->file, 0, HEADER_BYTES, &header, error);
    if (status) return status;
    if (memcmp(header, magic, sizeof magic) != 0)
        return kt_fail(error, KITH_CORRUPT, "%s is not an index of values: it does not begin with %.8s",
                       kt_view_name(scalar->file), magic);
    decode_header(header, &scalar->shape);
    status = check_shape(scalar, error);
    if (!status) status = check_type(scalar, header, field, error);
    if (status) return status;
    kt_scalar_layout(&scalar->shape, &scalar->layout);
    if (scalar->layout.end > length)
        return kt_scalar_corrupt(scalar, "the end of the bitmaps", scalar->layout.end, length, error);
    status = kt_view(scalar->file, scalar->layout.directory, directory_bytes(&scalar->shape),
                     &scalar->directory, error);
    if (!status)
        status = kt_view(scalar->file, scalar->layout.separators, scalar->shape.separator_bytes,
                         &scalar->separators, error);
    return status ? status : check_directory(scalar, error);
}

kith_status kt_scalar_open(struct kt_view_file *file, const struct kt_field *field, struct kt_scalar **out,
                           kith_error *error)
{
    struct kt_scalar *scalar = kt_alloc_zero(1, sizeof *scalar);
    if (!scalar) {
        kt_view_close(file);
        return kt_fail_memory(error, sizeof *scalar);
    }
    scalar->file = file;
    kith_status status = read_file(scalar, field, error);
    bool labels = scalar->shape.kind == SCALAR_LABELS;
    if (!status && labels != (field->type == KT_LIST))
        status = kt_scalar_corrupt(scalar, "kind", scalar->shape.kind, SCALAR_BITMAP, error);
    if (status) {
        kt_scalar_close(scalar);
        return status;
    }
    scalar->field = labels ? &field->children[0] : field;
    *out = scalar;
    return KITH_OK;
}

void kt_scalar_close(struct kt_scalar *scalar)
{
    if (!scalar) return;
    kt_view_close(scalar->file);
    kt_free(scalar);
}

/* ---- finding ---- */

/* The last page whose separator is not greater than the key: no other page can hold it. */
static uint32_t page_of(const struct kt_scalar *scalar, const struct key *key)
{
    uint32_t low = 0, high = scalar->shape.pages;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        uint64_t begin = entry_at(scalar, middle).separator, end = entry_at(scalar, middle + 1).separator;
        if (kt_compare_bytes(scalar->separators + begin, end - begin, key->bytes, key->size) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

struct page {
    const uint8_t *heads, *bytes;
    uint32_t keys, byte_count;
};

/* Compares key `at` of the page; false in *sound where it is not within it. */
static int compare_key(const struct page *page, uint32_t at, const struct key *key, bool *sound)
{
    uint32_t begin = at ? kt_get_u32(page->heads + (size_t)KT_PAGE_HEAD * at - 4) : 0;
    uint32_t end = kt_get_u32(page->heads + (size_t)KT_PAGE_HEAD * at + 4);
    *sound = begin <= end && end <= page->byte_count;
    return *sound ? kt_compare_bytes(page->bytes + begin, end - begin, key->bytes, key->size) : 0;
}

/* How many keys of the page are less; *equal: the next one is the key itself. */
static uint32_t keys_before(const struct page *page, const struct key *key, bool *equal, bool *sound)
{
    uint32_t low = 0, high = page->keys;
    *equal = false;
    *sound = true;
    while (low < high && *sound) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare_key(page, middle, key, sound);
        *equal |= order == 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

kith_status kt_scalar_find(const struct kt_scalar *scalar, const struct key *key, struct found *out,
                           kith_error *error)
{
    bool equal, sound;
    const uint8_t *bytes;
    *out = (struct found){ 0 };
    if (key->before || !scalar->shape.pages) return KITH_OK;
    uint32_t number = page_of(scalar, key);
    struct page_entry at = entry_at(scalar, number), end = entry_at(scalar, number + 1);
    kith_status status =
        kt_view(scalar->file, scalar->layout.pages + at.begin, end.begin - at.begin, &bytes, error);
    if (status) return status;
    struct page page = { .heads = bytes, .keys = end.key - at.key };
    uint64_t head_bytes = (uint64_t)KT_PAGE_HEAD * page.keys;
    page.bytes = bytes + head_bytes;
    page.byte_count = (uint32_t)kt_min_u64(end.begin - at.begin - head_bytes, UINT32_MAX);
    uint32_t less = keys_before(&page, key, &equal, &sound), after = less + equal;
    out->low = (struct place){ at.key + less, end.rank };
    out->high = (struct place){ at.key + after, end.rank };
    if (less < page.keys) out->low.rank = kt_get_u32(page.heads + (size_t)KT_PAGE_HEAD * less);
    if (after < page.keys) out->high.rank = kt_get_u32(page.heads + (size_t)KT_PAGE_HEAD * after);
    if (sound && out->low.rank >= at.rank && out->low.rank <= out->high.rank && out->high.rank <= end.rank)
        return KITH_OK;
    return kt_scalar_corrupt(scalar, "a key of the page that begins with key", at.key, end.key, error);
}
