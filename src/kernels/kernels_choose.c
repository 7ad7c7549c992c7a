/* Which table of kernels this process uses.
 *
 * The choice is made once, at the first call, from what the processor says of itself and what the
 * operating system saves on a task switch (a processor with AVX-512 under a kernel that does not save the
 * wide registers has no AVX-512). Nothing here is compiled for more than the plain processor, so that a
 * machine from before AVX2 comes this far and is given the scalar table.
 *
 * KITH_ISA names another table. A name that is unknown, or that this processor lacks, is ignored: a
 * setting meant for one machine must not stop the program on another.
 */
#include "kernels/kernels_private.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

enum {
    BIT_FMA = 1 << 12, /* leaf 1, ecx */
    BIT_POPCNT = 1 << 23,
    BIT_OSXSAVE = 1 << 27,
    BIT_AVX = 1 << 28,
    BIT_F16C = 1 << 29,
    BIT_AVX2 = 1 << 5, /* leaf 7, ebx */
    BIT_AVX512F = 1 << 16,
    BIT_AVX512DQ = 1 << 17,
    BIT_AVX512BW = 1 << 30,
    BIT_AVX512VNNI = 1 << 11, /* leaf 7, ecx */
    BIT_AVX512VPOPCNTDQ = 1 << 14,
    STATE_AVX = 0x06,   /* XCR0: xmm, ymm */
    STATE_AVX512 = 0xe6 /* and mask registers, zmm */
};
static const unsigned BIT_AVX512VL = 1u << 31; /* leaf 7, ebx; does not fit an enum's int */

struct processor {
    unsigned ecx1, ebx7, ecx7;
    unsigned state;
};

static struct processor processor_ask(void)
{
    struct processor p = { 0 };
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) p.ecx1 = ecx;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        p.ebx7 = ebx;
        p.ecx7 = ecx;
    }
    if (p.ecx1 & BIT_OSXSAVE) __asm__("xgetbv" : "=a"(p.state), "=d"(edx) : "c"(0));
    return p;
}

static bool has(unsigned word, unsigned bits)
{
    return (word & bits) == bits;
}

static bool has_avx2(void)
{
    struct processor p = processor_ask();
    return has(p.state, STATE_AVX) && has(p.ecx1, BIT_FMA | BIT_POPCNT | BIT_AVX | BIT_F16C) &&
           has(p.ebx7, BIT_AVX2);
}

static bool has_avx512(void)
{
    struct processor p = processor_ask();
    return has_avx2() && has(p.state, STATE_AVX512) &&
           has(p.ebx7, BIT_AVX512F | BIT_AVX512DQ | BIT_AVX512BW | BIT_AVX512VL) &&
           has(p.ecx7, BIT_AVX512VNNI | BIT_AVX512VPOPCNTDQ);
}
#elif defined(__aarch64__)
#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

static bool has_neon(void)
{
#if defined(__linux__)
    return (getauxval(AT_HWCAP) & HWCAP_ASIMD) != 0;
#else
    return true; /* part of the ABI */
#endif
}
#endif

static bool always(void)
{
    return true;
}

/* Best first; the last one is everywhere. */
static const struct choice {
    const struct kt_kernels *table;
    bool (*available)(void);
} choices[] = {
#if defined(__x86_64__)
    { &kt_kernels_avx512, has_avx512 },
    { &kt_kernels_avx2, has_avx2 },
#elif defined(__aarch64__)
    { &kt_kernels_neon, has_neon },
#endif
    { &kt_kernels_scalar, always },
};

const struct kt_kernels *_Atomic kt_kernels_chosen;

/* Threads that meet here choose the same one. */
const struct kt_kernels *kt_kernels_choose(void)
{
    const char *name = getenv("KITH_ISA");
    const struct kt_kernels *table = name ? kt_kernels_named(name) : NULL;
    for (size_t i = 0; !table; i++)
        if (choices[i].available()) table = choices[i].table;
    atomic_store(&kt_kernels_chosen, table);
    return table;
}

const struct kt_kernels *kt_kernels_named(const char *name)
{
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++)
        if (strcmp(choices[i].table->name, name) == 0)
            return choices[i].available() ? choices[i].table : NULL;
    return NULL;
}
