/* Samples: one number out of each of `wanted` equal strata, so that a sample costs what it holds and not what
 * it is drawn from, is read from its source in one ascending pass, and covers rows that were inserted in any
 * order.
 */
#include "learn/learn.h"

#include "base/bytes.h"
#include "base/random.h"

uint64_t kt_sample(uint64_t count, uint64_t wanted, uint64_t seed, uint64_t *out)
{
    wanted = kt_min_u64(wanted, count);
    struct kt_random random = { seed };
    uint64_t begin = 0;
    for (uint64_t i = 0; i < wanted; i++) {
        uint64_t stratum = count / wanted + (i < count % wanted);
        out[i] = begin + kt_random_below(&random, stratum);
        begin += stratum;
    }
    return wanted;
}
