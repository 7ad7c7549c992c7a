/* Every table of kernels that this processor has keeps every promise of kernels_check.h, and the right one
 * is chosen. A failure prints the seed; KITH_SEED=n runs it again. */
#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels_check.h"

static const char *const names[] = { "avx512", "avx2", "neon", "scalar" };

static uint64_t test_seed(void)
{
    const char *text = getenv("KITH_SEED");
    static uint64_t seed;
    if (!seed) seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
    return seed;
}

static const char *best_name(void)
{
    size_t i = 0;
    while (!kt_kernels_named(names[i])) i++;
    return names[i];
}

static void keeps_its_promise(void **state)
{
    const struct kernels_check *check = *state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct kt_kernels *kernels = kt_kernels_named(names[i]);
        if (!kernels) continue;
        const char *wrong = check->run(kernels, test_seed());
        if (wrong) fail_msg("%s (KITH_SEED=%llu): %s", names[i], (unsigned long long)test_seed(), wrong);
    }
}

static void scalar_is_everywhere(void **state)
{
    (void)state;
    assert_non_null(kt_kernels_named("scalar"));
    assert_null(kt_kernels_named("abacus"));
    assert_null(kt_kernels_named(""));
}

/* The choice is made once a process; so each is made in one of its own, from which this one learns the name.
 */
static void expect_choice(const char *isa, const char *expected)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (isa)
            setenv("KITH_ISA", isa, 1);
        else
            unsetenv("KITH_ISA");
        _exit(strcmp(kt_kernels()->name, expected) == 0 ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void the_environment_chooses_among_what_the_processor_has(void **state)
{
    (void)state;
    expect_choice(NULL, best_name());
    expect_choice("", best_name());
    expect_choice("abacus", best_name());
    expect_choice("scalar", "scalar");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        expect_choice(names[i], kt_kernels_named(names[i]) ? names[i] : best_name());
}

static void every_entry_is_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct kt_kernels *k = kt_kernels_named(names[i]);
        if (!k) continue;
        assert_string_equal(k->name, names[i]);
        for (int metric = 0; metric <= KITH_HAMMING; metric++) {
            for (int element = 0; element <= KITH_U8; element++) {
                bool whole = element == KITH_I8 || element == KITH_U8,
                     sum = metric >= KITH_L2 && metric <= KITH_DOT;
                assert_int_equal(!!k->distance[metric][element],
                                 sum || (metric == KITH_HAMMING && element == KITH_U8));
                assert_int_equal(!!k->integer_distance[metric][element], sum && whole);
                assert_int_equal(!!k->integer_norm[element], whole);
                assert_int_equal(!!k->has_bad[element], !whole);
                assert_non_null(k->norm[element]);
                assert_non_null(k->to_float[element]);
            }
        }
        assert_true(k->to_half && k->dot_tile && k->fastscan && k->hadamard);
        assert_true(k->block_bounds && k->sign_table && k->dot_bytes && k->dot_bytes_at);
        for (int bits = 1; bits <= 8; bits++) assert_non_null(k->packed_dot[bits]);
    }
}

int main(void)
{
    enum { OTHERS = 3 };
    struct CMUnitTest tests[KERNELS_CHECKS + OTHERS] = {
        cmocka_unit_test(scalar_is_everywhere),
        cmocka_unit_test(the_environment_chooses_among_what_the_processor_has),
        cmocka_unit_test(every_entry_is_there),
    };
    for (size_t i = 0; i < KERNELS_CHECKS; i++)
        tests[OTHERS + i] = (struct CMUnitTest){ kernels_checks[i].promise, keeps_its_promise, NULL, NULL,
                                                 (void *)(uintptr_t)&kernels_checks[i] };
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
