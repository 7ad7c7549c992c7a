/* RaBitQ: the formulas stand in quant.h, their source in Gao and Long, "RaBitQ" (2405.12497) and its sequel
 * (2409.09913).
 *
 * The multiple of a residual that is rounded is the same for all rows: rotated residuals look Gaussian, and
 * for those the best step of a uniform quantizer of so many bits is known (Max 1960). Searching the best
 * multiple for each row gains little and costs tens of times as much.
 *
 * The bits of a number beyond its sign are split into parts of 8, 4, 2 and 1 bits, the widest first, each
 * part of all numbers side by side: what kernels unpack fast has a power of two of bits.
 *
 * Always true here: the factors of a zero residual are zero, so that its estimate is exact; a row whose
 * factors leave the range of halves is near to every query.
 */
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "kernels/kernels.h"
#include "quant/quant.h"

enum { PART = 64, MOST_HALF = 65504, INFINITE_HALF = 0x7c00 };

/* The step of a uniform quantizer for a Gaussian of unit variance, by bits. */
static const float best_step[KT_RABITQ_BITS + 1] = { 0,       1.5958f, 0.9957f, 0.5860f, 0.3352f,
                                                     0.1881f, 0.1041f, 0.0569f, 0.0308f, 0.0166f };

struct kt_factors kt_factors_of(const float *residual, const float *centroid, const float *v, uint32_t dim)
{
    const struct kt_kernels *kernels = kt_kernels();
    float square = kernels->norm[KITH_F32](residual, dim), code_square = kernels->norm[KITH_F32](v, dim);
    float along = 0, across = 0;
    kernels->dot_tile(residual, 1, dim, v, 1, dim, dim, &along, 1);
    kernels->dot_tile(centroid, 1, dim, v, 1, dim, dim, &across, 1);
    struct kt_factors f = { .add = square, .across = across };
    f.reach = sqrtf(code_square);
    f.length = sqrtf(square);
    if (!(square > 0)) return f;
    if (!(along > 0)) { /* v says nothing of r: the product with it is off by all of it */
        f.error = 2 * f.length;
        return f;
    }
    float rho = square / along, beside = rho * rho * code_square - square;
    float spread = beside > 0 ? sqrtf(beside / (float)(dim > 1 ? dim - 1 : 1)) : 0;
    f.add = square + 2 * rho * across;
    f.rescale = -2 * rho;
    f.error = 2 * spread;
    return f;
}

/* Rounds to a half; returns what it means. */
static float round_half(float value, uint16_t *half)
{
    kt_kernels()->to_half(&value, 1, half);
    kt_kernels()->to_float[KITH_F16](half, 1, &value);
    return value;
}

/* Another rescale turns on (q - c).v alone where add has the same one, and that is at most |q - c| |v|. What
 * add loses is worth most for a query as near to the centroid as the row is, where |q - c| = |r|. Both are
 * small beside the error of a few bits; as deviations of their own they add up in squares. */
void kt_factors_round(const struct kt_factors *f, const struct kt_units *units, uint16_t out[3])
{
    float turn = f->rescale - units->rescale * round_half(f->rescale / units->rescale, &out[1]);
    float add = f->add + turn * f->across;
    float lost = add - units->add * round_half(add / units->add, &out[0]);
    float own = f->error / units->error, turned = turn * f->reach / units->error;
    float beside = lost != 0 ? lost / f->length / units->error : 0;
    float error = sqrtf(own * own + turned * turned + beside * beside);
    if (!(error <= MOST_HALF)) { /* or no number */
        out[0] = out[1] = 0;
        out[2] = INFINITE_HALF;
        return;
    }
    if (round_half(error, &out[2]) < error) out[2]++;
}

uint32_t kt_rabitq_extra_bytes(uint32_t dim, uint32_t bits)
{
    return dim / 8 * (bits - 1);
}

static void pack_signs(const float *residual, uint32_t dim, uint8_t *codes)
{
    for (uint32_t t = 0; t < dim / 4; t++) {
        codes[t] = 0;
        for (int i = 0; i < 4; i++) codes[t] |= (uint8_t)((residual[4 * t + (uint32_t)i] > 0) << i);
    }
}

/* One part of one bit of PART numbers: bit `shift` of u, eight numbers a byte. */
static void pack_bits(const uint16_t *u, uint32_t shift, uint8_t *to)
{
    for (uint32_t at = 0; at < PART; at += 8) {
        uint32_t value = 0;
        for (uint32_t i = 0; i < 8; i++) value |= (uint32_t)(u[at + i] >> shift & 1) << i;
        to[at / 8] = (uint8_t)value;
    }
}

/* One part of 2, 4 or 8 bits of PART numbers: bits [shift, shift + width) of u; numbers that are far from
 * each other share a byte. */
static void pack_part(const uint16_t *u, uint32_t shift, uint32_t width, uint8_t *to)
{
    uint32_t bytes = PART / 8 * width, mask = (1u << width) - 1;
    memset(to, 0, bytes);
    for (uint32_t up = 0; up < 8; up += width, u += bytes)
        for (uint32_t i = 0; i < bytes; i++) to[i] |= (uint8_t)((u[i] >> shift & mask) << up);
}

/* Rounds a residual to whole numbers of `bits` bits, in chunks on the stack. */
static void pack_extra(const float *v, uint32_t dim, uint32_t bits, uint8_t *extra)
{
    uint16_t u[PART];
    float half = (float)((1u << bits) - 1) / 2;
    for (uint32_t at = 0; at < dim; at += PART) {
        uint32_t shift = bits - 1, begin = 0;
        for (uint32_t i = 0; i < PART; i++) u[i] = (uint16_t)(int)(v[at + i] + half);
        for (uint32_t width = 8; width; width /= 2) {
            if (shift < width) continue;
            shift -= width;
            uint8_t *to = extra + begin + at / 8 * width;
            if (width == 1)
                pack_bits(u, shift, to);
            else
                pack_part(u, shift, width, to);
            begin += dim / 8 * width;
        }
    }
}

void kt_rabitq_encode(uint32_t dim, uint32_t bits, const float *residual, const float *centroid, float *v,
                      uint8_t *codes, uint8_t *extra, struct kt_factors *of_signs, struct kt_factors *of_all)
{
    pack_signs(residual, dim, codes);
    for (uint32_t i = 0; i < dim; i++) v[i] = residual[i] > 0 ? 0.5f : -0.5f;
    *of_signs = kt_factors_of(residual, centroid, v, dim);
    if (bits == 1) return;
    float square = kt_kernels()->norm[KITH_F32](residual, dim);
    float scale = square > 0 ? sqrtf((float)dim / square) / best_step[bits] : 0;
    float most = (float)(1u << (bits - 1)) - 0.5f;
    for (uint32_t i = 0; i < dim; i++) {
        float size = fabsf(residual[i]) * scale;
        v[i] = size < most ? size : most;
    }
    for (uint32_t i = 0; i < dim; i++) {
        float size = (float)(int)v[i] + 0.5f;
        v[i] = residual[i] > 0 ? size : -size;
    }
    *of_all = kt_factors_of(residual, centroid, v, dim);
    pack_extra(v, dim, bits, extra);
}

float kt_to_bytes(const float *values, uint32_t dim, int8_t *bytes)
{
    float largest = 0;
    for (uint32_t i = 0; i < dim; i++) {
        float size = fabsf(values[i]);
        largest = size > largest ? size : largest;
    }
    float scale = largest > 0 ? 127 / largest : 0;
    if (!(scale < INFINITY)) scale = largest = 0; /* so short that it counts as zero */
    for (uint32_t i = 0; i < dim; i++) {
        float value = values[i] * scale;
        bytes[i] = (int8_t)(int)(value + copysignf(0.5f, value));
    }
    return largest / 127;
}

void kt_rabitq_prepare(uint32_t dim, const float *query, uint8_t *lut, int8_t *bytes,
                       struct kt_rabitq_query *out)
{
    *out = (struct kt_rabitq_query){ .lut = lut, .bytes = bytes };
    kt_kernels()->sign_table(query, dim / 4, lut, &out->unit, &out->bias);
    out->byte_unit = kt_to_bytes(query, dim, bytes);
    for (uint32_t i = 0; i < dim; i++) out->sum += query[i];
}

float kt_rabitq_signs(const struct kt_rabitq_query *query, uint32_t dim, const uint8_t *codes)
{
    return query->byte_unit * (float)kt_kernels()->packed_dot[1](query->bytes, codes, dim);
}

float kt_rabitq_product(const struct kt_rabitq_query *query, uint32_t dim, uint32_t bits, float signs,
                        const uint8_t *extra)
{
    int32_t whole = kt_kernels()->packed_dot[bits - 1](query->bytes, extra, dim);
    float top = (float)(1u << (bits - 1));
    return top * signs + query->byte_unit * (float)whole - (top - 0.5f) * query->sum;
}
