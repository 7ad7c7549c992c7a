/* Sealed files and the views of them.
 *
 * The file is mapped, and views are addresses in the map. Before a block is lent for the first time it is
 * read with pread() into scratch, hashed, and its bit set: a disk that refuses is then a status where a
 * first touch of the map would be a signal, and the pages are in memory when the map is touched after it.
 * Bits are only ever set, each by an atomic or, so there is no lock: two threads that meet at one block both
 * verify it, and both find the same. That makes a view after fork() as good as before.
 *
 * Once blocks are verified, a view is a comparison with the length and a test of one or two words.
 */
#include <stdatomic.h>

#include "base/alloc.h"
#include "cache/view.h"

enum {
    MUCH = 64 * 1024, /* lent at once: worth reading ahead */
    SMALLEST_BLOCK = 64,
    LARGEST_BLOCK = 64 * 1024,
    TABLE_HEADER = 16,
    LARGEST_FOOTER = 64 * 1024 * 1024, /* what may follow the table: an Arrow footer */
};

struct kt_view_file {
    _Atomic uint32_t references;
    uint32_t block_shift;
    const uint8_t *map;
    uint64_t length;
    uint64_t table; /* bytes that the blocks cover; what follows was checked when the file was opened */
    _Atomic uint64_t *verified; /* one bit a block; NULL: everything is */
    uint64_t *sums;             /* of the blocks */
    struct kt_seal seal;
    struct kt_io_file *file; /* NULL for memory */
    _Atomic bool jumps;      /* reads of its map do */
    uint8_t *owned;          /* the bytes, where they are not mapped */
    char *name;
};

static uint64_t block_count(const struct kt_seal *seal)
{
    return seal->table / seal->block_bytes + (seal->table % seal->block_bytes != 0);
}

static kith_status check_seal(const char *name, const struct kt_seal *seal, uint64_t size, kith_error *error)
{
    uint32_t block = seal->block_bytes;
    if (block < SMALLEST_BLOCK || block > LARGEST_BLOCK || (block & (block - 1)))
        return kt_fail(error, KITH_CORRUPT, "%s: blocks of %u bytes are not possible", name, block);
    if (size != seal->length)
        return kt_fail(error, KITH_CORRUPT, "%s has %llu bytes, expected %llu", name,
                       (unsigned long long)size, (unsigned long long)seal->length);
    if (seal->table % 64 || seal->table > size || size - seal->table < TABLE_HEADER ||
        (size - seal->table - TABLE_HEADER) / 8 < block_count(seal) ||
        size - seal->table - TABLE_HEADER - 8 * block_count(seal) > LARGEST_FOOTER)
        return kt_fail(error, KITH_CORRUPT, "%s: a block table at byte %llu of %llu is not possible", name,
                       (unsigned long long)seal->table, (unsigned long long)size);
    return KITH_OK;
}

/* Checks all that follows the blocks, and that the table there is the one that was asked for. `*out` is
 * those bytes, the caller's. */
static kith_status read_tail(struct kt_io_file *file, const struct kt_seal *seal, uint8_t **out,
                             kith_error *error)
{
    const char *name = kt_io_file_name(file);
    size_t count = (size_t)(seal->length - seal->table);
    uint8_t *tail = kt_alloc(count);
    if (!tail) return kt_fail_memory(error, count);
    kith_status status = kt_io_file_read(file, seal->table, tail, count, error);
    if (status) goto out;
    if (kt_hash(tail, count) != seal->tail) {
        status = kt_fail(error, KITH_CORRUPT,
                         "%s: the block table (bytes %llu to %llu) does not match its checksum", name,
                         (unsigned long long)seal->table, (unsigned long long)seal->length);
        goto out;
    }
    if (memcmp(tail, "KITHSUMS", 8) || kt_get_u32(tail + 8) != seal->block_bytes ||
        kt_get_u32(tail + 12) != block_count(seal)) {
        status = kt_fail(error, KITH_CORRUPT,
                         "%s: the block table at byte %llu is not the one that the log describes", name,
                         (unsigned long long)seal->table);
        goto out;
    }
    *out = tail;
    tail = NULL; // now the caller's
out:
    kt_free(tail);
    return status;
}

/* Where mapping is refused (a limit on address space or on maps) the file is read into memory. */
static kith_status map_or_read(struct kt_view_file *view, kith_error *error)
{
    view->map = kt_io_file_map(view->file);
    if (view->map || !view->length) return KITH_OK;
    view->owned = kt_alloc_aligned((size_t)view->length);
    if (!view->owned) return kt_fail_memory(error, (size_t)view->length);
    view->map = view->owned;
    return kt_io_file_read(view->file, 0, view->owned, (size_t)view->length, error);
}

static kith_status take_sums(struct kt_view_file *view, kith_error *error)
{
    uint8_t *tail = NULL;
    uint64_t blocks = block_count(&view->seal);
    kith_status status = read_tail(view->file, &view->seal, &tail, error);
    if (status) return status;
    size_t words = (size_t)(blocks / 64 + 1);
    view->sums = kt_alloc_array((size_t)blocks, sizeof *view->sums);
    view->verified = kt_alloc_zero(words, sizeof *view->verified);
    if (view->sums && view->verified)
        memcpy(view->sums, tail + TABLE_HEADER, (size_t)blocks * 8);
    else
        status = kt_fail_memory(error, (size_t)blocks * 8);
    kt_free(tail);
    return status;
}

kith_status kt_view_open(struct kt_io *io, const char *name, const struct kt_seal *seal,
                         struct kt_view_file **out, kith_error *error)
{
    struct kt_view_file *view = kt_alloc_zero(1, sizeof *view);
    if (!view) return kt_fail_memory(error, sizeof *view);
    view->references = 1;
    view->seal = *seal;
    view->length = seal->length;
    view->table = seal->table;

    kith_status status = kt_io_open(io, name, &view->file, error);
    if (status) goto out;
    status = check_seal(kt_io_file_name(view->file), seal, kt_io_file_size(view->file), error);
    if (status) goto out;
    view->block_shift = (uint32_t)__builtin_ctz(seal->block_bytes);
    view->name = kt_strdup(name);
    if (!view->name) {
        status = kt_fail_memory(error, strlen(name));
        goto out;
    }
    status = take_sums(view, error);
    if (status) goto out;
    status = map_or_read(view, error);
    if (status) goto out;
    *out = view;
    view = NULL; // now the caller's
out:
    kt_view_close(view);
    return status;
}

kith_status kt_view_from_memory(const char *name, uint8_t *bytes, size_t count, struct kt_view_file **out,
                                kith_error *error)
{
    struct kt_view_file *view = kt_alloc_zero(1, sizeof *view);
    char *copy = view ? kt_strdup(name) : NULL;
    if (copy && (uintptr_t)bytes % 64) { /* views promise alignment */
        uint8_t *aligned = kt_alloc_aligned(count);
        if (aligned && count) memcpy(aligned, bytes, count);
        kt_free(bytes);
        bytes = aligned;
    }
    if (!copy || !bytes) {
        kt_free(bytes);
        kt_free(copy);
        kt_free(view);
        return kt_fail_memory(error, count);
    }
    *view =
        (struct kt_view_file){ .references = 1, .map = bytes, .length = count, .owned = bytes, .name = copy };
    *out = view;
    return KITH_OK;
}

struct kt_view_file *kt_view_share(struct kt_view_file *file)
{
    atomic_fetch_add_explicit(&file->references, 1, memory_order_relaxed);
    return file;
}

void kt_view_close(struct kt_view_file *file)
{
    if (!file || atomic_fetch_sub_explicit(&file->references, 1, memory_order_acq_rel) != 1) return;
    kt_io_file_close(file->file);
    kt_free((void *)file->verified);
    kt_free(file->sums);
    kt_free(file->owned);
    kt_free(file->name);
    kt_free(file);
}

const char *kt_view_name(const struct kt_view_file *file)
{
    return file->name;
}

uint64_t kt_view_length(const struct kt_view_file *file)
{
    return file->length;
}

static kith_status verify_block(struct kt_view_file *file, uint64_t block, kith_error *error)
{
    uint8_t scratch[LARGEST_BLOCK]
        __attribute__((uninitialized)); /* zeroing it would cost as much as the hash */
    uint64_t begin = block << file->block_shift;
    size_t count = (size_t)kt_min_u64(file->seal.block_bytes, file->table - begin);
    const uint8_t *bytes = file->owned ? file->owned + begin : scratch;
    if (!file->owned) {
        kith_status status = kt_io_file_read(file->file, begin, scratch, count, error);
        if (status) return status;
    }
    if (kt_hash(bytes, count) != file->sums[block])
        return kt_fail(error, KITH_CORRUPT, "%s: block %llu (bytes %llu to %llu) does not match its checksum",
                       kt_io_file_name(file->file), (unsigned long long)block, (unsigned long long)begin,
                       (unsigned long long)(begin + count));
    atomic_fetch_or_explicit(&file->verified[block >> 6], 1ull << (block & 63), memory_order_release);
    return KITH_OK;
}

/* The bits of blocks first..last that fall into the word of `first`. */
static uint64_t word_mask(uint64_t first, uint64_t last)
{
    uint64_t from = ~0ull << (first & 63);
    return (first ^ last) >> 6 ? from : from & (~0ull >> (63 - (last & 63)));
}

static kith_status verify_range(struct kt_view_file *file, uint64_t first, uint64_t last, kith_error *error)
{
    while (first <= last) {
        uint64_t mask = word_mask(first, last);
        uint64_t missing = mask & ~atomic_load_explicit(&file->verified[first >> 6], memory_order_acquire);
        for (; missing; missing &= missing - 1) {
            uint64_t in_word = (uint64_t)__builtin_ctzll(missing);
            kith_status status = verify_block(file, first / 64 * 64 + in_word, error);
            if (status) return status;
        }
        first = (first | 63) + 1;
    }
    return KITH_OK;
}

kith_status kt_view(struct kt_view_file *file, uint64_t offset, uint64_t count, const uint8_t **out,
                    kith_error *error)
{
    if (__builtin_expect(offset > file->length || count > file->length - offset, 0))
        return kt_fail(error, KITH_CORRUPT, "%s has %llu bytes; %llu at %llu are not among them", file->name,
                       (unsigned long long)file->length, (unsigned long long)count,
                       (unsigned long long)offset);
    if (file->verified && count && offset < file->table) {
        uint64_t first = offset >> file->block_shift;
        uint64_t last = (kt_min_u64(offset + count, file->table) - 1) >> file->block_shift;
        uint64_t mask = word_mask(first, last);
        uint64_t have = atomic_load_explicit(&file->verified[first >> 6], memory_order_acquire);
        if (__builtin_expect((have & mask) != mask || (first ^ last) >> 6, 0)) {
            kith_status status = verify_range(file, first, last, error);
            if (status) return status;
        }
    }
    *out = file->map + offset;
    return KITH_OK;
}

void kt_view_jumps(struct kt_view_file *file)
{
    if (file->file && !atomic_exchange(&file->jumps, true)) kt_io_file_jumps(file->file);
}

void kt_view_window(const struct kt_view_file *file, struct kt_window *out)
{
    *out = (struct kt_window){ .map = file->map,
                               .verified = file->verified,
                               .table = file->verified ? file->table : file->length,
                               .block_shift = file->block_shift };
}

kith_status kt_view_at(struct kt_view_file *file, const void *data, uint64_t count, bool *inside,
                       kith_error *error)
{
    const uint8_t *lent;
    uintptr_t at = (uintptr_t)data - (uintptr_t)file->map;
    *inside = at <= file->length && count <= file->length - at;
    if (count >= MUCH && *inside && atomic_load_explicit(&file->jumps, memory_order_relaxed))
        kt_io_file_ahead(file->file, at, count);
    return *inside ? kt_view(file, at, count, &lent, error) : KITH_OK;
}

kith_status kt_view_verify(struct kt_view_file *file, kith_error *error)
{
    if (!file->verified) return KITH_OK;
    uint8_t *tail = NULL;
    kith_status status = read_tail(file->file, &file->seal, &tail, error);
    kt_free(tail);
    uint64_t blocks = block_count(&file->seal);
    for (uint64_t block = 0; !status && block < blocks; block++) status = verify_block(file, block, error);
    return status;
}
