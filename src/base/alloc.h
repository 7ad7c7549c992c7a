/* Memory. Everything Kith allocates comes from here, so that tests can make the k-th allocation fail. */
#ifndef KT_BASE_ALLOC_H
#define KT_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

/* All return NULL when memory is out or the size overflows. A request for 0 bytes gives a pointer. */
void *kt_alloc(size_t bytes);
void *kt_alloc_zero(size_t count, size_t size);
void *kt_alloc_array(size_t count, size_t size);
void *kt_realloc_array(void *memory, size_t count, size_t size);
char *kt_strdup(const char *text);
void kt_free(void *memory); /* takes NULL; also frees what kt_alloc_aligned() gave */

/** 64-byte aligned, for vectors, codes and look-up tables. */
void *kt_alloc_aligned(size_t bytes);
/** The same for what is read here and there in all its length: in large pages, where the system has them. */
void *kt_alloc_large(size_t bytes);

/* Scratch that lives as long as a query: taken piece by piece, given back in one step. Not for sharing
 * between threads. Zeroed is empty. */
struct kt_arena {
    struct kt_arena_chunk *chunk; /* the newest */
};
void *kt_arena_take(struct kt_arena *arena, size_t count, size_t size); /* 64-byte aligned; NULL if out */
void kt_arena_clear(struct kt_arena *arena); /* keeps the largest chunk for the next query */
void kt_arena_release(struct kt_arena *arena);
size_t kt_arena_room(const struct kt_arena *arena); /* bytes that its newest chunk can hold */

#endif
