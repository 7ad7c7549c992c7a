/* Half precision (IEEE 754 binary16) by bits: no instruction is assumed. What converts many at a time is
 * among the kernels; this is the same for one, where a room below them or beside them has one. */
#ifndef KT_BASE_HALF_H
#define KT_BASE_HALF_H

#include <stdint.h>
#include <string.h>

/* Without branches: exponent and mantissa stand where a float has them, 112 powers of two too low, which a
 * multiplication mends for subnormal halves as well. */
static inline float kt_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, size = (uint32_t)(half & 0x7fff) << 13;
    uint32_t infinite = size >= 0x0f800000 ? 0x7f800000 : 0;
    uint32_t quiet = size > 0x0f800000 ? 0x400000 : 0, bits;
    float value;
    memcpy(&value, &size, sizeof value);
    value *= 0x1p112f;
    memcpy(&bits, &value, sizeof bits);
    bits |= sign | infinite | quiet;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
