/* Random numbers that a seed decides. (Ids that must never repeat come from kt_io_entropy().) */
#ifndef KT_BASE_RANDOM_H
#define KT_BASE_RANDOM_H

#include <stdint.h>

/* SplitMix64 (Steele, Lea, Flood 2014): one word of state, any seed is good. */
struct kt_random {
    uint64_t state;
};

static inline uint64_t kt_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
static inline uint64_t kt_random_u64(struct kt_random *random)
{
    return kt_mix(random->state += 0x9e3779b97f4a7c15u);
}
/** Uniform in 0 .. bound-1; bound must not be 0. (Lemire's multiplication; its bias is below 2^-32 here.) */
static inline uint64_t kt_random_below(struct kt_random *random, uint64_t bound)
{
    return (uint64_t)((__extension__(unsigned __int128) kt_random_u64(random) * bound) >> 64);
}
/** Uniform in [0, 1). */
static inline float kt_random_float(struct kt_random *random)
{
    return (float)(kt_random_u64(random) >> 40) * 0x1p-24f;
}

#endif
