/* How a failure is told: by whoever discovers it, once, with the numbers a person would ask for. */
#ifndef KT_BASE_STATUS_H
#define KT_BASE_STATUS_H

#include "kith.h"

/** Fills `error` (which may be NULL) with `status` and a formatted sentence, and returns `status`. */
kith_status kt_fail(kith_error *error, kith_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Puts a question mark in the place of each character of a message that was cut, or is not UTF-8. */
void kt_whole_characters(char *text);

/** kt_fail() with KITH_NO_MEMORY. */
kith_status kt_fail_memory(kith_error *error, size_t bytes);

#endif
