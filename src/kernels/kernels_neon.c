/* The kernels for ARM64, where NEON is part of the base: no flags, and no instructions beyond ARMv8.0.
 *
 * A vector is 4 floats here, the bodies the same as on x86. Loads go through bytes, which need no
 * alignment. */
#include "kernels/kernels_private.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <string.h>

#include "kernels/body_numbers.h"

/* ---- floats */

typedef float32x4_t vf;
enum { VF = 4, TILE_A = 6 };

KT_INLINE vf vf_zero(void)
{
    return vdupq_n_f32(0);
}

KT_INLINE vf vf_all(float value)
{
    return vdupq_n_f32(value);
}

KT_INLINE vf vf_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}

KT_INLINE vf vf_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}

KT_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}

KT_INLINE void vf_store(float *to, vf v)
{
    vst1q_f32(to, v);
}

/* `count` of at most three numbers of `size` bytes, zeros behind them. */
KT_INLINE void copy_part(const unsigned char *p, size_t count, size_t size, unsigned char part[16])
{
    memset(part, 0, 16);
    if (count > 0) memcpy(part, p, size);
    if (count > 1) memcpy(part + size, p + size, size);
    if (count > 2) memcpy(part + 2 * size, p + 2 * size, size);
}

KT_INLINE vf vf_load_f32(const void *p)
{
    return vreinterpretq_f32_u8(vld1q_u8(p));
}

KT_INLINE vf vf_load_f32_part(const void *p, size_t count)
{
    unsigned char part[16];
    copy_part(p, count, 4, part);
    return vf_load_f32(part);
}

KT_INLINE vf vf_load_f16(const unsigned char *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

KT_INLINE vf vf_load_f16_part(const unsigned char *p, size_t count)
{
    unsigned char part[16];
    copy_part(p, count, 2, part);
    return vf_load_f16(part);
}

KT_INLINE uint64_t load_four(const unsigned char *p)
{
    uint32_t bytes;
    memcpy(&bytes, p, 4);
    return bytes;
}

KT_INLINE vf vf_load_i8(const unsigned char *p)
{
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(load_four(p))))));
}

KT_INLINE vf vf_load_i8_part(const unsigned char *p, size_t count)
{
    unsigned char part[16];
    copy_part(p, count, 1, part);
    return vf_load_i8(part);
}

KT_INLINE vf vf_load_u8(const unsigned char *p)
{
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(load_four(p))))));
}

KT_INLINE vf vf_load_u8_part(const unsigned char *p, size_t count)
{
    unsigned char part[16];
    copy_part(p, count, 1, part);
    return vf_load_u8(part);
}

KT_INLINE vf vf_counts(const uint32_t *sums)
{
    return vcvtq_f32_u32(vld1q_u32(sums));
}

KT_INLINE uint32_t vf_at_most(vf a, vf b)
{
    const uint32x4_t bits = { 1, 2, 4, 8 };
    return vaddvq_u32(vandq_u32(vcleq_f32(a, b), bits));
}

KT_INLINE void vf_sum4(vf a, vf b, vf c, vf d, float sums[4])
{
    vst1q_f32(sums, vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)));
}

/* Two cosine distances in double, where the product of two floats is exact; 1 where a square is zero. NaN
 * stays NaN. */
KT_INLINE float32x2_t cosine2(float32x2_t dots, float32x2_t squares, float norm)
{
    const float64x2_t zero = vdupq_n_f64(0), one = vdupq_n_f64(1), two = vdupq_n_f64(2);
    float64x2_t product = vmulq_f64(vcvt_f64_f32(squares), vdupq_n_f64(norm));
    float64x2_t cosine = vdivq_f64(vcvt_f64_f32(dots), vsqrtq_f64(product));
    float64x2_t distance = vminq_f64(two, vmaxq_f64(zero, vsubq_f64(one, cosine)));
    return vcvt_f32_f64(vbslq_f64(vceqq_f64(product, zero), one, distance));
}

KT_INLINE void cosine4(const float dots[4], const float squares[4], float norm, float distances[4])
{
    vst1_f32(distances, cosine2(vld1_f32(dots), vld1_f32(squares), norm));
    vst1_f32(distances + 2, cosine2(vld1_f32(dots + 2), vld1_f32(squares + 2), norm));
}

KT_INLINE vf negate(vf v, uint32x4_t lanes)
{
    return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(v), lanes));
}

KT_INLINE vf vf_hadamard(vf v)
{
    const uint32x4_t odd = { 0, 0x80000000, 0, 0x80000000 }, odd2 = { 0, 0, 0x80000000, 0x80000000 };
    v = vaddq_f32(vrev64q_f32(v), negate(v, odd));
    return vaddq_f32(vextq_f32(v, v, 2), negate(v, odd2));
}

#include "kernels/body_float.h"
#include "kernels/body_hadamard.h"
#include "kernels/body_tile.h"

/* ---- doubles */

typedef float64x2_t vd;
enum { VD = 2 };

KT_INLINE vd vd_zero(void)
{
    return vdupq_n_f64(0);
}

KT_INLINE vd vd_add(vd a, vd b)
{
    return vaddq_f64(a, b);
}

KT_INLINE vd vd_sub(vd a, vd b)
{
    return vsubq_f64(a, b);
}

KT_INLINE vd vd_fma(vd a, vd b, vd c)
{
    return vfmaq_f64(c, a, b);
}

KT_INLINE vd vd_load(const void *p)
{
    return vreinterpretq_f64_u8(vld1q_u8(p));
}

/* One number, since a vector has two. */
KT_INLINE vd vd_load_part(const void *p, size_t count)
{
    (void)count;
    return vreinterpretq_f64_u8(vcombine_u8(vld1_u8(p), vdup_n_u8(0)));
}

KT_INLINE double vd_sum(vd v)
{
    return vaddvq_f64(v);
}

#include "kernels/body_double_rows.h"

#include "kernels/body_double.h"

/* ---- integers */

typedef uint32x4_t vi;
typedef uint8x16_t vb;
enum { VB = 16 };

KT_INLINE vi vi_zero(void)
{
    return vdupq_n_u32(0);
}

KT_INLINE vb vb_load(const uint8_t *p)
{
    return vld1q_u8(p);
}

KT_INLINE vb vb_load_part(const uint8_t *p, size_t count)
{
    uint8_t part[VB] = { 0 };
    for (size_t i = 0; i < count; i++) part[i] = p[i];
    return vld1q_u8(part);
}

KT_INLINE vi add_signed(vb q, vb x, vi sum)
{
    int8x16_t a = vreinterpretq_s8_u8(q), b = vreinterpretq_s8_u8(x);
    int32x4_t s = vpadalq_s16(vreinterpretq_s32_u32(sum), vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    return vreinterpretq_u32_s32(vpadalq_s16(s, vmull_high_s8(a, b)));
}

/* |q - x| fits 8 bits unsigned for both types, a product of two bytes 16 bits, a pair of them only 32. */
KT_INLINE vi vi_step(enum kt_term term, kith_element element, vb q, vb x, vi sum)
{
    if (term == KT_TERM_HAMMING) return vpadalq_u16(sum, vpaddlq_u8(vcntq_u8(veorq_u8(q, x))));
    if (term != KT_TERM_L2 && element == KITH_I8) return add_signed(q, x, sum);
    if (term == KT_TERM_L2) {
        int8x16_t size = vabdq_s8(vreinterpretq_s8_u8(q), vreinterpretq_s8_u8(x));
        q = x = element == KITH_I8 ? vreinterpretq_u8_s8(size) : vabdq_u8(q, x);
    }
    sum = vpadalq_u16(sum, vmull_u8(vget_low_u8(q), vget_low_u8(x)));
    return vpadalq_u16(sum, vmull_high_u8(q, x));
}

KT_INLINE void vi_sum4(vi a, vi b, vi c, vi d, uint32_t sums[4])
{
    vst1q_u32(sums, vpaddq_u32(vpaddq_u32(a, b), vpaddq_u32(c, d)));
}

KT_INLINE uint32_t vi_sum(vi v)
{
    return vaddvq_u32(v);
}

#include "kernels/body_integer.h"

/* ---- half precision */

static void f16_to_float(const void *from, size_t count, float *to)
{
    const unsigned char *p = from;
    size_t i = 0;
    for (; i + 4 <= count; i += 4) vst1q_f32(to + i, vf_load_f16(p + 2 * i));
    float last[4];
    vst1q_f32(last, vf_load_f16_part(p + 2 * i, count - i));
    for (size_t j = 0; i + j < count; j++) to[i + j] = last[j];
}

static void float_to_f16(const float *from, size_t count, uint16_t *to)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4) vst1_u16(to + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(from + i))));
    uint16_t last[4];
    vst1_u16(last, vreinterpret_u16_f16(vcvt_f16_f32(vf_load_f32_part(from + i, count - i))));
    for (size_t j = 0; i + j < count; j++) to[i + j] = last[j];
}

/* ---- fast-scan: see the AVX2 file for the two sums */

struct scan_sums {
    uint16x8_t both, high;
};

KT_INLINE void scan_add(struct scan_sums *s, uint8x16_t values)
{
    uint16x8_t pairs = vreinterpretq_u16_u8(values);
    s->both = vaddq_u16(s->both, pairs);
    s->high = vsraq_n_u16(s->high, pairs, 8);
}

/* Eight sums, widened; `more` adds to what stands there. */
KT_INLINE void scan_put(uint16x8_t eight, int more, uint32_t *sums)
{
    const uint32x4_t zero = vdupq_n_u32(0);
    vst1q_u32(sums, vaddw_u16(more ? vld1q_u32(sums) : zero, vget_low_u16(eight)));
    vst1q_u32(sums + 4, vaddw_high_u16(more ? vld1q_u32(sums + 4) : zero, eight));
}

KT_INLINE void scan_store(const struct scan_sums *s, int more, uint32_t *sums)
{
    scan_put(vsubq_u16(s->both, vshlq_n_u16(s->high, 8)), more, sums);
    scan_put(s->high, more, sums + 8);
}

KT_INLINE void scan_block(const uint8_t *codes, const uint8_t *lut, size_t tables, int more, uint32_t *sums)
{
    const uint16x8_t zero = vdupq_n_u16(0);
    struct scan_sums s[2] = { { zero, zero }, { zero, zero } };
    for (size_t at = 0; at < tables * 16; at += 16) {
        uint8x16_t code = vld1q_u8(codes + at), table = vld1q_u8(lut + at);
        scan_add(&s[0], vqtbl1q_u8(table, vandq_u8(code, vdupq_n_u8(15))));
        scan_add(&s[1], vqtbl1q_u8(table, vshrq_n_u8(code, 4)));
    }
    scan_store(&s[0], more, sums);
    scan_store(&s[1], more, sums + 16);
}

/* ---- small whole numbers */

/* Products of 16 bytes and 16 of 7 bits, or of two bytes that are not -128: a pair of them fits 16 bits. */
KT_INLINE vi add_products(vb q, vb x, vi sum)
{
    int8x16_t a = vreinterpretq_s8_u8(q), b = vreinterpretq_s8_u8(x);
    int16x8_t pair = vmlal_s8(vmull_high_s8(a, b), vget_low_s8(a), vget_low_s8(b));
    return vreinterpretq_u32_s32(vpadalq_s16(vreinterpretq_s32_u32(sum), pair));
}

/* Numbers 16 i .. of 64 packed numbers of fewer than 8 bits, a byte each. */
KT_INLINE uint8x16_t unpack(int log_bits, const uint8_t *packed, int i)
{
    const uint8x16_t bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201ULL));
    if (log_bits == 0) {
        uint8x16_t bytes = vcombine_u8(vdup_n_u8(packed[2 * i]), vdup_n_u8(packed[2 * i + 1]));
        return vandq_u8(vtstq_u8(bytes, bits), vdupq_n_u8(1));
    }
    if (log_bits == 1)
        return vandq_u8(vshlq_u8(vld1q_u8(packed), vdupq_n_s8((int8_t)(-2 * i))), vdupq_n_u8(3));
    uint8x16_t both = vld1q_u8(packed + i % 2 * 16);
    return i < 2 ? vandq_u8(both, vdupq_n_u8(15)) : vshrq_n_u8(both, 4);
}

/* Whole bytes are halved in two, of which the upper counts 16 times. */
KT_INLINE vi packed_step(int log_bits, const uint8_t *q, const uint8_t *packed, vi sum)
{
    vi high = vi_zero();
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        vb some = vb_load(q + 16 * i);
        if (log_bits < 3) {
            sum = add_products(some, unpack(log_bits, packed, i), sum);
        } else {
            vb x = vb_load(packed + 16 * i);
            sum = add_products(some, vandq_u8(x, vdupq_n_u8(15)), sum);
            high = add_products(some, vshrq_n_u8(x, 4), high);
        }
    }
    return vaddq_u32(sum, vshlq_n_u32(high, 4));
}

KT_INLINE vi dot_step(vb q, vb x, vi sum)
{
    return add_products(q, x, sum);
}

KT_INLINE vi dot_start(const uint8_t *q, size_t dim)
{
    (void)q;
    (void)dim;
    return vi_zero();
}

#include "kernels/body_codes.h"

/* ---- a query's table over sign bits: see body_signs_x86.h */

KT_INLINE uint16x8_t sign_pick(uint16x8_t numbers, int pick)
{
    return vreinterpretq_u16_u8(vqtbl1q_u8(vreinterpretq_u8_u16(numbers), vld1q_u8(sign_picks[pick])));
}

KT_INLINE uint8x16_t sign_entries(float32x4_t numbers)
{
    int32x4_t fixed = vcvtnq_s32_f32(numbers);
    uint16x8_t eight = vcombine_u16(vqmovun_s32(fixed), vqmovun_s32(vnegq_s32(fixed)));
    uint16x8_t sum = vaddq_u16(sign_pick(eight, 0), sign_pick(eight, 1));
    sum = vaddq_u16(sum, sign_pick(eight, 2));
    return vcombine_u8(vrshrn_n_u16(vaddq_u16(sum, sign_pick(eight, 3)), 8),
                       vrshrn_n_u16(vaddq_u16(sum, sign_pick(eight, 4)), 8));
}

static void sign_table(const float *q, size_t tables, uint8_t *lut, float *unit, float *bias)
{
    float32x4_t least = vf_zero();
    float widest = 0;
    for (size_t t = 0; t < tables; t++) {
        float width = vaddvq_f32(vabsq_f32(vld1q_f32(q + 4 * t)));
        widest = width > widest ? width : widest;
    }
    float scale = widest >= KT_WIDTH_LOW ? 256 * KT_ENTRY_MOST / widest : 0;
    for (size_t t = 0; t < tables; t++) {
        float32x4_t numbers = vld1q_f32(q + 4 * t);
        vst1q_u8(lut + 16 * t, sign_entries(vmulq_n_f32(numbers, scale)));
        least = vaddq_f32(least, vminq_f32(numbers, vf_zero()));
    }
    *unit = widest >= KT_WIDTH_LOW ? widest / KT_ENTRY_MOST : 0;
    *bias = vaddvq_f32(least);
}

#define KT_ISA_NAME "neon"
#define KT_ISA_TABLE kt_kernels_neon
#include "kernels/body_table.h"

#endif
