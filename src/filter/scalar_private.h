/* What the files scalar_*.c share: keys, sorting, bitmaps, the file's shape. */
#ifndef KT_FILTER_SCALAR_PRIVATE_H
#define KT_FILTER_SCALAR_PRIVATE_H

#include "base/bytes.h"
#include "filter/scalar.h"

/* ---- keys: scalar_key.c ---- */

enum { KT_NUMBER_BYTES = 8, KT_DECIMAL_BYTES = 16 };

/* How the values of a type become keys. */
enum key_form {
    KEY_NONE,   /* not at all */
    KEY_NUMBER, /* 8 bytes, kt_key_number() */
    KEY_BYTES   /* kt_key_bytes() */
};
enum key_form kt_key_form(const struct kt_field *field);
/** The key of a number, time or truth as an integer: its bytes, the highest first, are the key. */
uint64_t kt_key_number(const struct kt_array *array, int64_t row);
/** The key of a text, of bytes or a decimal: lent from the array, or from `room`. */
const uint8_t *kt_key_bytes(const struct kt_array *array, int64_t row, uint8_t room[KT_DECIMAL_BYTES],
                            int64_t *count);
void kt_put_key(uint8_t to[KT_NUMBER_BYTES], uint64_t key);

/* A literal among the keys of a column. */
struct key {
    const uint8_t *bytes; /* of the literal, or `room`: then it must not be moved */
    size_t size;
    bool between; /* the literal lies between this key and the next: no value of the column equals it */
    bool before;  /* ... or before all keys; `bytes` says nothing then */
    uint8_t room[KT_DECIMAL_BYTES];
};
/** False where `value` is not of the type of `field`. */
bool kt_key_of_value(const struct kt_field *field, const struct kt_value *value, struct key *out);

/* ---- sorting: scalar_sort.c ---- */

struct entry {
    uint64_t key;  /* a number's; for texts, of what is being compared */
    uint32_t row;  /* offset from the base row id */
    uint32_t item; /* number of its text */
};
struct texts {
    const uint8_t *bytes;
    const uint64_t *ends; /* text i begins where i - 1 ends */
};
static inline const uint8_t *text_at(const struct texts *texts, uint32_t item, size_t *size)
{
    uint64_t begin = item ? texts->ends[item - 1] : 0;
    *size = texts->ends[item] - begin;
    return texts->bytes + begin;
}
/** Sorts by key, or with `texts` by text; equal ones keep their order. The key of an entry with a text is
 * then 1 where its text is the one before, else 0. */
kith_status kt_scalar_sort(struct entry *entries, size_t count, const struct texts *texts,
                           struct kt_work *work, kith_error *error);

/* ---- bitmaps: scalar_bitmap.c ---- */

/** Appends `rows`, ascending and no one twice, as a Roaring bitmap of the portable form. False when memory is
 * out, or for more than 2^32 - 1 rows. */
bool kt_bitmap_write(struct kt_buffer *to, const uint32_t *rows, size_t count);
struct bitmap {
    const uint8_t *bytes;
    size_t size;
    const char *name; /* of the file, for messages */
};
/** Selects the rows of a bitmap, counted from `base`, a multiple of 64, in `out`. KITH_CORRUPT where the
 * bytes are no bitmap, or one of them is `span` or more. `base + span` is at most out->rows. */
kith_status kt_bitmap_select(const struct bitmap *bitmap, uint64_t base, uint64_t span,
                             struct kt_selection *out, kith_error *error);
/** Selects one row. */
static inline void select_row(struct kt_selection *out, uint64_t row)
{
    uint64_t bit = UINT64_C(1) << (row % 64), was = out->words[row / 64];
    out->words[row / 64] = was | bit;
    out->count += !(was & bit);
}
/** Selects those of the rows [64 * at, + 64) whose bit is set. */
static inline void select_word(struct kt_selection *out, uint64_t at, uint64_t bits)
{
    uint64_t was = out->words[at];
    out->words[at] = was | bits;
    out->count += (uint64_t)__builtin_popcountll(bits & ~was);
}

/* ---- the file: drawn in scalar_file.c ---- */

enum scalar_kind { SCALAR_BTREE, SCALAR_BITMAP, SCALAR_LABELS, SCALAR_KINDS };

struct scalar_shape { /* the numbers of the header */
    enum scalar_kind kind;
    uint32_t pages, keys;
    uint64_t base, span;
    uint64_t ranks; /* rows of all keys together */
    uint64_t nulls;
    uint64_t separator_bytes, page_bytes, posting_bytes, null_bytes;
};

struct scalar_layout { /* where the sections begin, and the file's payload ends */
    uint64_t directory, separators, offsets, pages, postings, nulls, end;
};
void kt_scalar_layout(const struct scalar_shape *shape, struct scalar_layout *out);

/* The sections of a file in the making, all in memory. */
struct scalar_parts {
    struct kt_buffer directory, separators, offsets, pages, postings, nulls;
};
kith_status kt_scalar_write_parts(const struct scalar_shape *shape, const struct kt_field *field,
                                  const struct scalar_parts *parts, struct kt_sink *sink, kith_error *error);

struct kt_scalar {
    struct kt_view_file *file;
    const struct kt_field *field; /* of the keys: the item's for LABEL_LIST */
    struct scalar_shape shape;
    struct scalar_layout layout;
    const uint8_t *directory, *separators; /* lent by the file; checked when it was opened */
};

enum { KT_PAGE_HEAD = 8, KT_DIRECTORY_ENTRY = 24 };
/* An entry of the directory; the one after the last page tells where it ends. */
struct page_entry {
    uint64_t begin;     /* of the page, among the pages */
    uint64_t separator; /* where its separator begins */
    uint32_t key, rank; /* of its first key */
};
static inline struct page_entry page_entry_get(const uint8_t *p)
{
    return (struct page_entry){ kt_get_u64(p), kt_get_u64(p + 8), kt_get_u32(p + 16), kt_get_u32(p + 20) };
}

/* Where a key is or would be: after `low`, before `high`; they are the same where it is not. */
struct place {
    uint32_t key, rank;
};
struct found {
    struct place low, high;
};
kith_status kt_scalar_find(const struct kt_scalar *scalar, const struct key *key, struct found *out,
                           kith_error *error);
kith_status kt_scalar_corrupt(const struct kt_scalar *scalar, const char *what, uint64_t is, uint64_t bound,
                              kith_error *error);

#endif
