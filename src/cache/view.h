/* Reading under checksums: no byte of a data or index file is used that was not verified.
 *
 * A sealed file is  payload, zero padding, block table, anything else (an Arrow footer).  The table holds
 * the XXH3 of every block of the file's first `table` bytes (the last block may be short). What vouches for
 * the table itself, and for all that follows it, is kt_seal.tail, which stands in the log.
 *
 *   table:  offset  size
 *                0     8  "KITHSUMS"
 *                8     4  block bytes
 *               12     4  number of blocks n = ceil(table / block bytes)
 *               16   8*n  XXH3 of each block
 */
#ifndef KT_CACHE_VIEW_H
#define KT_CACHE_VIEW_H

#include <stdatomic.h>

#include "io/io.h"

enum { KT_BLOCK_VECTORS = 16 * 1024, KT_BLOCK_COLUMNS = 64 * 1024 };

struct kt_seal {
    uint64_t length; /* of the whole file */
    uint64_t table;  /* where the block table begins; a multiple of 64 */
    uint64_t tail;   /* XXH3 of [table, length) */
    uint32_t block_bytes;
};

/* An open sealed file, shared: reference-counted, any number of threads. */
struct kt_view_file;

/** Opens a file and checks its length, tail and table. KITH_NOT_FOUND, KITH_CORRUPT (names the file). */
kith_status kt_view_open(struct kt_io *io, const char *name, const struct kt_seal *seal,
                         struct kt_view_file **out, kith_error *error);
/** Memory as a file, verified by whoever made it. Takes over `bytes` (kt_free()d with the file); `name` is
 * for messages. */
kith_status kt_view_from_memory(const char *name, uint8_t *bytes, size_t count, struct kt_view_file **out,
                                kith_error *error);
struct kt_view_file *kt_view_share(struct kt_view_file *file);
void kt_view_close(struct kt_view_file *file); /* drops one reference; NULL is allowed */
const char *kt_view_name(const struct kt_view_file *file);
uint64_t kt_view_length(const struct kt_view_file *file);

/** Lends bytes [offset, offset + count): verified, at an address congruent to `offset` modulo 64, valid while
 * the file is open. A block is read with pread the first time (so that a bad disk is a status, not a signal),
 * hashed and marked; after that a view costs a test of a bit. KITH_CORRUPT names the file and the block; a
 * range outside the file is KITH_CORRUPT too. */
kith_status kt_view(struct kt_view_file *file, uint64_t offset, uint64_t count, const uint8_t **out,
                    kith_error *error);

/** Verifies `count` bytes at an address that lies in what the file lends; false in `*inside` where it does
 * not. */
kith_status kt_view_at(struct kt_view_file *file, const void *data, uint64_t count, bool *inside,
                       kith_error *error);

/* What many looks at small ranges of one file need, so that one costs no call. Borrowed from the file. */
struct kt_window {
    const uint8_t *map;
    const _Atomic uint64_t *verified; /* a bit a block; NULL: everything is */
    uint64_t table;                   /* bytes that may be asked for */
    uint32_t block_shift;
};
void kt_view_window(const struct kt_view_file *file, struct kt_window *out);
/** The bytes, where they are there and verified; NULL: ask kt_view(). `count` is at least 1 and not more than
 * a block. */
static inline const uint8_t *kt_window_at(const struct kt_window *window, uint64_t offset, uint64_t count)
{
    uint64_t last = offset + count - 1;
    if (last >= window->table) return NULL;
    uint64_t first_block = offset >> window->block_shift, last_block = last >> window->block_shift;
    if (window->verified &&
        !(atomic_load_explicit(&window->verified[first_block / 64], memory_order_acquire) >>
              (first_block % 64) &
          atomic_load_explicit(&window->verified[last_block / 64], memory_order_acquire) >>
              (last_block % 64) &
          1))
        return NULL;
    return window->map + offset;
}

/** Says that from now on the file is read here and there, in small pieces: where memory is short the system
 * keeps what was asked for, and not what lies behind it. What kt_view_at() then lends much of is read ahead.
 */
void kt_view_jumps(struct kt_view_file *file);

/** Reads and checks everything. */
kith_status kt_view_verify(struct kt_view_file *file, kith_error *error);

#endif
