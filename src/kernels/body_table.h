/* Body: the table of one instruction set, made of the functions that its file has defined under the same
 * names as every other file. Each entry below is an inline of that file with its metric and element type
 * fixed, so that the compiler makes one straight loop of each.
 *
 * The including file defines KT_ISA_NAME, KT_ISA_TABLE, and the functions called here. */

#define KT_DISTANCE(function, kind, term, element)                                                           \
    static void function(const void *query, float norm, const void *rows, size_t dim, size_t row_count,      \
                         float *distances)                                                                   \
    {                                                                                                        \
        kind(term, element, query, norm, rows, dim, row_count, distances);                                   \
    }

KT_DISTANCE(l2_f32, scan_float, KT_TERM_L2, KITH_F32)
KT_DISTANCE(l2_f16, scan_float, KT_TERM_L2, KITH_F16)
KT_DISTANCE(l2_f64, scan_double, KT_TERM_L2, KITH_F64)
KT_DISTANCE(l2_i8, scan_float, KT_TERM_L2, KITH_I8)
KT_DISTANCE(l2_u8, scan_float, KT_TERM_L2, KITH_U8)
KT_DISTANCE(cosine_f32, scan_float, KT_TERM_COSINE, KITH_F32)
KT_DISTANCE(cosine_f16, scan_float, KT_TERM_COSINE, KITH_F16)
KT_DISTANCE(cosine_f64, scan_double, KT_TERM_COSINE, KITH_F64)
KT_DISTANCE(cosine_i8, scan_float, KT_TERM_COSINE, KITH_I8)
KT_DISTANCE(cosine_u8, scan_float, KT_TERM_COSINE, KITH_U8)
KT_DISTANCE(dot_f32, scan_float, KT_TERM_DOT, KITH_F32)
KT_DISTANCE(dot_f16, scan_float, KT_TERM_DOT, KITH_F16)
KT_DISTANCE(dot_f64, scan_double, KT_TERM_DOT, KITH_F64)
KT_DISTANCE(dot_i8, scan_float, KT_TERM_DOT, KITH_I8)
KT_DISTANCE(dot_u8, scan_float, KT_TERM_DOT, KITH_U8)
KT_DISTANCE(integer_l2_i8, scan_integer, KT_TERM_L2, KITH_I8)
KT_DISTANCE(integer_l2_u8, scan_integer, KT_TERM_L2, KITH_U8)
KT_DISTANCE(integer_cosine_i8, scan_integer, KT_TERM_COSINE, KITH_I8)
KT_DISTANCE(integer_cosine_u8, scan_integer, KT_TERM_COSINE, KITH_U8)
KT_DISTANCE(integer_dot_i8, scan_integer, KT_TERM_DOT, KITH_I8)
KT_DISTANCE(integer_dot_u8, scan_integer, KT_TERM_DOT, KITH_U8)
KT_DISTANCE(hamming_u8, scan_integer, KT_TERM_HAMMING, KITH_U8)
#undef KT_DISTANCE

static float norm_f32(const void *vector, size_t dim)
{
    return norm_float(KITH_F32, vector, dim);
}

static float norm_f16(const void *vector, size_t dim)
{
    return norm_float(KITH_F16, vector, dim);
}

static float norm_f64(const void *vector, size_t dim)
{
    return (float)norm_double(vector, dim);
}

static float norm_i8(const void *vector, size_t dim)
{
    return norm_float(KITH_I8, vector, dim);
}

static float norm_u8(const void *vector, size_t dim)
{
    return norm_float(KITH_U8, vector, dim);
}

static float integer_norm_i8(const void *vector, size_t dim)
{
    return norm_integer(KITH_I8, vector, dim);
}

static float integer_norm_u8(const void *vector, size_t dim)
{
    return norm_integer(KITH_U8, vector, dim);
}

#define KT_PACKED(bits)                                                                                      \
    static int32_t packed_dot##bits(const int8_t *q, const uint8_t *packed, size_t dim)                      \
    {                                                                                                        \
        return packed_dot(bits, q, packed, dim);                                                             \
    }
KT_PACKED(1)
KT_PACKED(2)
KT_PACKED(3)
KT_PACKED(4)
KT_PACKED(5)
KT_PACKED(6)
KT_PACKED(7)
KT_PACKED(8)
#undef KT_PACKED

const struct kt_kernels KT_ISA_TABLE = {
    .name = KT_ISA_NAME,
    .distance = {
        [KITH_L2] = { [KITH_F32] = l2_f32, [KITH_F16] = l2_f16, [KITH_F64] = l2_f64,
                      [KITH_I8] = l2_i8, [KITH_U8] = l2_u8 },
        [KITH_COSINE] = { [KITH_F32] = cosine_f32, [KITH_F16] = cosine_f16, [KITH_F64] = cosine_f64,
                          [KITH_I8] = cosine_i8, [KITH_U8] = cosine_u8 },
        [KITH_DOT] = { [KITH_F32] = dot_f32, [KITH_F16] = dot_f16, [KITH_F64] = dot_f64,
                       [KITH_I8] = dot_i8, [KITH_U8] = dot_u8 },
        [KITH_HAMMING] = { [KITH_U8] = hamming_u8 },
    },
    .integer_distance = {
        [KITH_L2] = { [KITH_I8] = integer_l2_i8, [KITH_U8] = integer_l2_u8 },
        [KITH_COSINE] = { [KITH_I8] = integer_cosine_i8, [KITH_U8] = integer_cosine_u8 },
        [KITH_DOT] = { [KITH_I8] = integer_dot_i8, [KITH_U8] = integer_dot_u8 },
    },
    .norm = { [KITH_F32] = norm_f32, [KITH_F16] = norm_f16, [KITH_F64] = norm_f64, [KITH_I8] = norm_i8,
              [KITH_U8] = norm_u8 },
    .integer_norm = { [KITH_I8] = integer_norm_i8, [KITH_U8] = integer_norm_u8 },
    .to_float = { [KITH_F32] = f32_to_float, [KITH_F16] = f16_to_float, [KITH_F64] = f64_to_float,
                  [KITH_I8] = i8_to_float, [KITH_U8] = u8_to_float },
    .to_half = float_to_f16,
    .dot_tile = dot_tile,
    .has_bad = { [KITH_F32] = f32_has_bad, [KITH_F16] = f16_has_bad, [KITH_F64] = f64_has_bad },
    .fastscan = fastscan,
    .block_bounds = block_bounds,
    .sign_table = sign_table,
    .packed_dot = { NULL, packed_dot1, packed_dot2, packed_dot3, packed_dot4, packed_dot5, packed_dot6, packed_dot7,
                    packed_dot8 },
    .dot_bytes = dot_bytes,
    .dot_bytes_at = dot_bytes_at,
    .hadamard = hadamard,
};
