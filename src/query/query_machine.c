/* What this machine's memory does for one thread: the bytes it streams in a second, and how long a read takes
 * whose place only the read before it told.
 *
 * Both are measured over 64 MiB, more than most caches hold, at the first call in a process: some 30 ms, of
 * which most is the kernel handing out the pages. The two numbers are kept as two floats in one atomic word,
 * so that nobody can see one without the other; two threads that come first at once both measure, and agree
 * about enough.
 *
 * The chase needs no list of places to follow, which would take longer to make than to follow: the next place
 * is computed from the last one and from what was read there, which is zero, as only the reader finds out.
 * Places are as good as random, so that no prefetcher and hardly a cache helps.
 */
#include <stdatomic.h>

#include "base/bytes.h"
#include "query/query_private.h"

enum { LINE = 64, LINES = 1 << 20, PAGE = 4096, STREAMS = 2, CHASES = 6, CHASE = 1 << 13 };
static const size_t bytes = (size_t)LINE * LINES;

static _Atomic uint64_t measured; /* two floats; 0: not yet */

/* Eight sums, for the compiler to keep in registers as wide as it has. */
static uint64_t sum_words(const uint64_t *words, size_t count)
{
    uint64_t sums[8] = { 0 }, sum = 0;
    for (size_t i = 0; i < count; i += 8)
        for (size_t j = 0; j < 8; j++) sums[j] += words[i + j];
    for (size_t j = 0; j < 8; j++) sum += sums[j];
    return sum;
}

/* Seconds to read all of it; `sum`, which is used, keeps the reads in the program. */
static double stream(const uint64_t *words, uint64_t *sum)
{
    double begin = kt_seconds();
    *sum += sum_words(words, bytes / sizeof *words);
    return kt_seconds() - begin;
}

/* Seconds for each of CHASE reads. */
static double chase(const uint64_t *words, uint64_t *sum)
{
    uint64_t at = *sum + 1;
    double begin = kt_seconds();
    for (int i = 0; i < CHASE; i++) {
        uint64_t step = at * UINT64_C(0x5851f42d4c957f2d) + UINT64_C(0x14057b7ef767814f);
        at = step + words[(step >> 40) % LINES * (LINE / sizeof *words)];
    }
    *sum += at;
    return (kt_seconds() - begin) / CHASE;
}

/* The best of a few: what else runs on the machine only makes it longer. */
static double best(double (*run)(const uint64_t *, uint64_t *), int runs, const uint64_t *words,
                   uint64_t *sum)
{
    double least = run(words, sum);
    for (int i = 1; i < runs; i++) {
        double seconds = run(words, sum);
        if (seconds < least) least = seconds;
    }
    return least > 1e-9 ? least : 1e-9;
}

static kith_status measure(struct kt_machine *out, kith_error *error)
{
    uint64_t *words = kt_alloc_large(bytes); /* filling takes a tenth as long */
    volatile uint64_t used;
    uint64_t sum = 0;
    if (!words) return kt_fail_memory(error, bytes);
    memset(words, 0, bytes);
    out->bytes_per_second = (double)bytes / best(stream, STREAMS, words, &sum);
    out->seconds_per_miss = best(chase, CHASES, words, &sum);
    used = sum;
    (void)used;
    kt_free(words);
    return KITH_OK;
}

kith_status kt_machine_memory(struct kt_machine *out, kith_error *error)
{
    float pair[2];
    uint64_t word = atomic_load(&measured);
    if (!word) {
        kith_status status = measure(out, error);
        if (status) return status;
        pair[0] = (float)out->bytes_per_second;
        pair[1] = (float)out->seconds_per_miss;
        memcpy(&word, pair, sizeof word);
        uint64_t none = 0;
        if (!atomic_compare_exchange_strong(&measured, &none, word)) word = none;
    }
    memcpy(pair, &word, sizeof pair);
    *out = (struct kt_machine){ (double)pair[0], (double)pair[1] };
    return KITH_OK;
}
