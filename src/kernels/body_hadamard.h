/* Body: the fast Hadamard transform.
 *
 * Stage h adds and subtracts numbers h apart; stages commute. The stages below VF stay inside a register
 * (vf_hadamard), the next three join eight registers, and those above take two stages a pass over memory. */

KT_INLINE void butterfly(vf *a, vf *b)
{
    vf sum = vf_add(*a, *b);
    *b = vf_sub(*a, *b);
    *a = sum;
}

/* Stages 1 .. 4 * VF of 8 * VF numbers. */
KT_INLINE void hadamard_first(float *p)
{
    vf v[8];
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++) v[i] = vf_hadamard(vf_load_f32(p + i * VF));
#pragma GCC unroll 3
    for (size_t half = 1; half < 8; half *= 2)
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; i++)
            if (!(i & half)) butterfly(&v[i], &v[i + half]);
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++) vf_store(p + i * VF, v[i]);
}

/* Fewer numbers than a vector holds. */
static void hadamard_small(float *values, size_t count)
{
    for (size_t half = 1; half < count; half *= 2)
        for (size_t i = 0; i < count; i++)
            if (!(i & half)) {
                float a = values[i], b = values[i + half];
                values[i] = a + b;
                values[i + half] = a - b;
            }
}

static void hadamard_two(float *values, size_t count, size_t half)
{
    for (size_t at = 0; at < count; at += 2 * half) {
        for (float *p = values + at; p < values + at + half; p += VF) {
            vf a = vf_load_f32(p), b = vf_load_f32(p + half);
            butterfly(&a, &b);
            vf_store(p, a);
            vf_store(p + half, b);
        }
    }
}

/* Stages `half` and 2 * half. */
static void hadamard_four(float *values, size_t count, size_t half)
{
    for (size_t at = 0; at < count; at += 4 * half) {
        for (float *p = values + at; p < values + at + half; p += VF) {
            vf a = vf_load_f32(p), b = vf_load_f32(p + half);
            vf c = vf_load_f32(p + 2 * half), d = vf_load_f32(p + 3 * half);
            butterfly(&a, &b);
            butterfly(&c, &d);
            butterfly(&a, &c);
            butterfly(&b, &d);
            vf_store(p, a);
            vf_store(p + half, b);
            vf_store(p + 2 * half, c);
            vf_store(p + 3 * half, d);
        }
    }
}

static void hadamard(float *values, unsigned log_count)
{
    size_t count = (size_t)1 << log_count, half = VF;
    if (count < VF) {
        hadamard_small(values, count);
        return;
    }
    if (count < 8 * VF) {
        for (size_t at = 0; at < count; at += VF)
            vf_store(values + at, vf_hadamard(vf_load_f32(values + at)));
    } else {
        for (size_t at = 0; at < count; at += 8 * VF) hadamard_first(values + at);
        half = 8 * VF;
    }
    for (; 4 * half <= count; half *= 4) hadamard_four(values, count, half);
    if (half < count) hadamard_two(values, count, half);
}
