/* malloc and its kin replaced for one program, libraries included: from the k-th allocation on all fail, and
 * what is allocated and not freed is counted. Only where the C library is glibc and no sanitizer has replaced
 * them already. */
#ifndef KT_TEST_FAILING_MALLOC_H
#define KT_TEST_FAILING_MALLOC_H

#include <stdbool.h>
#include <stddef.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static long allocations_left = -1; /* -1: no end */
static long outstanding;
static bool failed_one;

static bool refuse(void)
{
    if (allocations_left < 0) return false;
    if (allocations_left-- > 0) return false;
    allocations_left = 0; /* and all after it */
    failed_one = true;
    return true;
}

#pragma GCC visibility push(default) /* libraries must find these instead of the C library's */

static void *counted(void *memory)
{
    outstanding += memory != NULL;
    return memory;
}

void *malloc(size_t size)
{
    return refuse() ? NULL : counted(__libc_malloc(size));
}
void *calloc(size_t count, size_t size)
{
    return refuse() ? NULL : counted(__libc_calloc(count, size));
}
void *aligned_alloc(size_t alignment, size_t size)
{
    return refuse() ? NULL : counted(__libc_memalign(alignment, size));
}
void *realloc(void *memory, size_t size)
{
    if (refuse()) return NULL;
    void *moved = __libc_realloc(memory, size);
    if (!memory) counted(moved);
    return moved;
}
void free(void *memory)
{
    outstanding -= memory != NULL;
    __libc_free(memory);
}

#pragma GCC visibility pop

#endif
