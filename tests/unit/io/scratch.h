/* A root to test in: memory, or a new folder that goes with the test. Any status that is not the expected
 * one fails the test with its sentence. */
#ifndef SCRATCH_H
#define SCRATCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* this header comes first */
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/io.h"

#define assert_ok(call) assert_status(KITH_OK, call)
#define assert_status(expected, call)                                                                        \
    do {                                                                                                     \
        kith_error error = { 0 };                                                                            \
        kith_status was = (call);                                                                            \
        if (was != (expected))                                                                               \
            fail_msg("%s: %s: %s, expected %s", #call, kith_status_name(was), error.message,                 \
                     kith_status_name(expected));                                                            \
    } while (0)

struct scratch {
    struct kt_io *io;
    char path[64]; /* "" for memory */
};

static inline void scratch_open(struct scratch *scratch, bool memory)
{
    *scratch = (struct scratch){ 0 };
    if (memory) {
        assert_ok(kt_io_open_memory(&scratch->io, &error));
        return;
    }
    strcpy(scratch->path, "/tmp/kith-test-XXXXXX");
    assert_non_null(mkdtemp(scratch->path));
    assert_ok(kt_io_open_folder(scratch->path, &scratch->io, &error));
}

static inline void scratch_close(struct scratch *scratch)
{
    kt_io_close(scratch->io);
    if (!scratch->path[0]) return;
    struct kt_io *above = NULL;
    assert_ok(kt_io_open_folder("/tmp", &above, &error));
    assert_ok(kt_io_remove_tree(above, scratch->path + strlen("/tmp/"), &error));
    kt_io_close(above);
}

/* Tests run once on each backend: the state is a pointer to whether it is memory. */
/* clang-format off */
#define on_both(test) { #test " [posix]", test, NULL, NULL, (void *)&ON_POSIX }, \
                      { #test " [memory]", test, NULL, NULL, (void *)&IN_MEMORY }
/* clang-format on */
static const bool ON_POSIX = false, IN_MEMORY = true;

static inline void scratch_for(struct scratch *scratch, void **state)
{
    scratch_open(scratch, *state && *(const bool *)*state);
}

#endif
