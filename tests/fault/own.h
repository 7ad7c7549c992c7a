/* Memory of the harness itself. It comes through two pointers, so that the program that makes the library's
 * allocations fail can take its own from elsewhere, uncounted. When it is out the program ends. */
#ifndef TESTS_FAULT_OWN_H
#define TESTS_FAULT_OWN_H

#include <stddef.h>

struct own_memory {
    void *(*get)(size_t alignment, size_t bytes);
    void (*give)(void *memory);
};
extern struct own_memory own_memory;

void *own_new(size_t count, size_t size); /* zeroed */
void *own_aligned(size_t bytes);          /* to 64 bytes, and exactly so many: a sanitizer sees the end */
/** Grows an array from `before` to `after` elements, the new ones zeroed. */
void *own_grow(void *array, size_t before, size_t after, size_t size);
void own_free(void *memory); /* NULL is allowed */

#endif
