/* malloc and its kin replaced for one program, libraries included: from the k-th allocation on all fail, or
 * that one alone, and what is allocated and not freed is counted. Only where the C library is glibc and no
 * sanitizer has replaced them already. */
#ifndef KT_TEST_FAILING_MALLOC_H
#define KT_TEST_FAILING_MALLOC_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "kith.h"

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static long allocations_left = -1; /* -1: no end */
static long outstanding;
static bool failed_one;
static bool only_one_fails; /* instead of it and all after it */

static bool refuse(void)
{
    if (allocations_left < 0) return false;
    if (allocations_left-- > 0) return false;
    allocations_left = only_one_fails ? -1 : 0;
    failed_one = true;
    errno = ENOMEM;
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

#ifdef fail_msg /* cmocka is there */

/** Runs an operation with its k-th allocation failing, for every k until none is left. It must fail with
 * KITH_NO_MEMORY where one failed and in no other way, and lose nothing. With `streamed` it may fail with
 * KITH_INVALID that says so, as an error that went through an Arrow stream does, and one failure may go
 * unnoticed.
 * @return the number of allocations that it makes, and one */
static inline long fails_at_every_step(kith_status (*operation)(kith_error *error), bool streamed)
{
    long k = 0, before = outstanding;
    do {
        kith_error error = { 0 };
        failed_one = false;
        allocations_left = k++;
        kith_status status = operation(&error);
        allocations_left = -1;
        if (outstanding != before) fail_msg("step %ld: %ld allocations were lost", k, outstanding - before);
        if (status && !failed_one) fail_msg("fails with memory: %s", error.message);
        bool told = streamed && status == KITH_INVALID && strstr(error.message, "out of memory");
        if (status && status != KITH_NO_MEMORY && !told)
            fail_msg("step %ld: status %d: %s", k, (int)status, error.message);
        if (!status && failed_one && !streamed) fail_msg("step %ld: nobody minded", k);
    } while (failed_one);
    return k;
}

#endif

#endif
