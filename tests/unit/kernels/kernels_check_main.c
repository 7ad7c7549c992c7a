/* Runs kernels_check.h without a test framework: for builds that an emulator runs. Prints what failed. */
#define _GNU_SOURCE

#include "kernels_check.h"

int main(void)
{
    static const char *const names[] = { "avx512", "avx2", "neon", "scalar" };
    int failures = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct kt_kernels *kernels = kt_kernels_named(names[i]);
        for (size_t c = 0; kernels && c < KERNELS_CHECKS; c++) {
            const char *wrong = kernels_checks[c].run(kernels, 20240229);
            if (wrong) printf("%s: %s: %s\n", names[i], kernels_checks[c].promise, wrong);
            failures += wrong != NULL;
        }
        if (kernels) printf("%s: %d checks\n", names[i], KERNELS_CHECKS);
    }
    printf("chosen: %s, %d failed\n", kt_kernels()->name, failures);
    return failures != 0;
}
