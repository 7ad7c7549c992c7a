/* The allocator and the arena.
 *
 * malloc is called in this file only. The arena grows by chunks that double, so that a query that was
 * run once finds its whole scratch in one chunk the second time: kt_arena_clear() keeps the largest.
 */
#define _DEFAULT_SOURCE /* madvise() */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CACHE_LINE = 64, FIRST_CHUNK = 16 * 1024, LARGE_PAGE = 2 << 20 };

struct kt_arena_chunk {
    struct kt_arena_chunk *previous;
    size_t size; /* of the memory behind this header */
    size_t used;
};

void *kt_alloc(size_t bytes)
{
    return malloc(bytes ? bytes : 1);
}

void *kt_alloc_zero(size_t count, size_t size)
{
    return calloc(count ? count : 1, size ? size : 1);
}

void *kt_alloc_array(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
    return kt_alloc(bytes);
}

void *kt_realloc_array(void *memory, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
    return realloc(memory, bytes ? bytes : 1);
}

char *kt_strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = kt_alloc(bytes);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

void kt_free(void *memory)
{
    free(memory);
}

void *kt_alloc_aligned(size_t bytes)
{
    size_t rounded;
    if (__builtin_add_overflow(bytes, CACHE_LINE - 1, &rounded)) return NULL;
    rounded &= ~(size_t)(CACHE_LINE - 1);
    return aligned_alloc(CACHE_LINE, rounded ? rounded : CACHE_LINE);
}

void *kt_alloc_large(size_t bytes)
{
    size_t rounded;
    if (bytes < LARGE_PAGE || __builtin_add_overflow(bytes, LARGE_PAGE - 1, &rounded))
        return kt_alloc_aligned(bytes);
    rounded &= ~(size_t)(LARGE_PAGE - 1);
    void *memory = aligned_alloc(LARGE_PAGE, rounded);
#ifdef MADV_HUGEPAGE
    if (memory) madvise(memory, rounded, MADV_HUGEPAGE); /* a wish: without it all is the same, but slower */
#endif
    return memory;
}

static size_t header_bytes(void)
{
    return (sizeof(struct kt_arena_chunk) + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
}

static struct kt_arena_chunk *chunk_new(size_t size, struct kt_arena_chunk *previous)
{
    size_t bytes;
    if (__builtin_add_overflow(size, header_bytes(), &bytes)) return NULL;
    struct kt_arena_chunk *chunk = kt_alloc_aligned(bytes);
    if (!chunk) return NULL;
    *chunk = (struct kt_arena_chunk){ .previous = previous, .size = size };
    return chunk;
}

void *kt_arena_take(struct kt_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
    if (__builtin_add_overflow(bytes, CACHE_LINE - 1, &bytes)) return NULL;
    bytes &= ~(size_t)(CACHE_LINE - 1);

    struct kt_arena_chunk *chunk = arena->chunk;
    if (!chunk || chunk->size - chunk->used < bytes) {
        size_t wanted = chunk ? chunk->size * 2 : FIRST_CHUNK;
        chunk = chunk_new(wanted > bytes ? wanted : bytes, arena->chunk);
        if (!chunk) return NULL;
        arena->chunk = chunk;
    }
    void *memory = (char *)chunk + header_bytes() + chunk->used;
    chunk->used += bytes;
    return memory;
}

void kt_arena_clear(struct kt_arena *arena)
{
    if (!arena->chunk) return;
    struct kt_arena_chunk *older = arena->chunk->previous;
    while (older) {
        struct kt_arena_chunk *previous = older->previous;
        kt_free(older);
        older = previous;
    }
    arena->chunk->previous = NULL;
    arena->chunk->used = 0;
}

size_t kt_arena_room(const struct kt_arena *arena)
{
    return arena->chunk ? arena->chunk->size : 0;
}

void kt_arena_release(struct kt_arena *arena)
{
    kt_arena_clear(arena);
    kt_free(arena->chunk);
    arena->chunk = NULL;
}
