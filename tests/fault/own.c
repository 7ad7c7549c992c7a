/* The harness's memory: the C library's, unless a program says otherwise. */
#define _GNU_SOURCE
#include "fault/own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *get(size_t alignment, size_t bytes)
{
    void *memory = NULL;
    return posix_memalign(&memory, alignment, bytes) ? NULL : memory;
}

struct own_memory own_memory = { get, free };

static void *must_get(size_t alignment, size_t bytes)
{
    void *memory = own_memory.get(alignment, bytes ? bytes : 1);
    if (memory) return memory;
    fprintf(stderr, "the harness itself is out of memory\n");
    abort();
}

void *own_new(size_t count, size_t size)
{
    return memset(must_get(16, count * size), 0, count * size);
}

void *own_aligned(size_t bytes)
{
    return must_get(64, bytes);
}

void *own_grow(void *array, size_t before, size_t after, size_t size)
{
    void *grown = own_new(after, size);
    if (before) memcpy(grown, array, before * size);
    own_free(array);
    return grown;
}

void own_free(void *memory)
{
    if (memory) own_memory.give(memory);
}
