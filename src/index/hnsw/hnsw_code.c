/* Codes: a row of the space as one byte a number, each row by a unit of its own. Distances are those between
 * codes, both sides rounded: what rounding does to a distance is then in proportion to the distance itself,
 * so that near rows, which are to be told apart, are hurt least. For hamming the code is the row.
 *
 * Codes are filled up to 16 bytes. Kernels read 64 bytes at a time and run on into what follows; the point
 * that a code is compared with has zeros there.
 */
#include <math.h>

#include "index/hnsw/hnsw_private.h"
#include "quant/quant.h"

enum { CODE_ALIGN = 16, KERNEL_BYTES = 64, AHEAD = 4 /* so many are compared at a time */ };

static const float most_square = 1e36f; /* beyond, sums of a few squares leave float */

void kt_hnsw_layout(const struct hnsw_shape *shape, struct hnsw_layout *out)
{
    bool bits = shape->metric == KITH_HAMMING;
    out->code_bytes = (uint32_t)kt_round_up(bits ? shape->dim : shape->space_dim, CODE_ALIGN);
    out->wide = (uint32_t)kt_round_up(out->code_bytes, KERNEL_BYTES);
    out->link_bytes = 2 * shape->m * (uint32_t)sizeof(uint32_t);
}

bool kt_hnsw_encode(const struct kt_index *graph, const float *vector, uint8_t *code, float factors[2])
{
    uint32_t dim = graph->shape.space_dim;
    if (!(kt_space_square(vector, dim) < (double)most_square)) return false;
    double unit = (double)kt_to_bytes(vector, dim, (int8_t *)code), sum = 0;
    memset(code + dim, 0, graph->layout.code_bytes - dim);
    for (uint32_t d = 0; d < dim; d++) sum += ((int8_t *)code)[d] * ((int8_t *)code)[d];
    factors[0] = (float)unit;
    factors[1] = (float)(sum * unit * unit);
    return true;
}

void kt_hnsw_encode_bits(const struct kt_index *graph, const uint8_t *bits, uint8_t *code, float factors[2])
{
    memcpy(code, bits, graph->shape.dim);
    memset(code + graph->shape.dim, 0, graph->layout.code_bytes - graph->shape.dim);
    factors[0] = factors[1] = 0;
}

void kt_hnsw_point(const struct kt_index *graph, const struct hnsw_look *look, struct hnsw_point *out)
{
    const struct hnsw_layout *layout = &graph->layout;
    memcpy(out->code, look->code, layout->code_bytes);
    memset(out->code + layout->code_bytes, 0, layout->wide - layout->code_bytes);
    out->unit = look->factors[0];
    out->square = look->factors[1];
}

/* Asks for the lines of some codes, but for the first two, which the walk has asked for. */
static void fetch(const struct hnsw_look *looks, uint32_t count, uint32_t bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t at = 128; at < bytes; at += 64) {
            __builtin_prefetch(looks[i].code + at);
            atomic_signal_fence(memory_order_seq_cst); /* GCC 12 drops all but the first without it */
        }
    }
}

void kt_hnsw_distances(const struct kt_index *graph, const struct hnsw_point *point,
                       const struct hnsw_look *looks, uint32_t count, float *out)
{
    const struct kt_kernels *kernels = kt_kernels();
    const uint8_t *codes[AHEAD];
    int32_t dots[AHEAD];
    bool product = graph->shape.metric == KITH_DOT;
    if (graph->shape.metric == KITH_HAMMING) {
        for (uint32_t i = 0; i < count; i++)
            kernels->distance[KITH_HAMMING][KITH_U8](point->code, 0, looks[i].code, graph->shape.dim, 1,
                                                     &out[i]);
        return;
    }
    for (uint32_t begin = 0; begin < count; begin += AHEAD) {
        uint32_t some = kt_min_u32(AHEAD, count - begin), next = begin + some;
        if (next < count) fetch(looks + next, kt_min_u32(AHEAD, count - next), graph->layout.code_bytes);
        for (uint32_t i = 0; i < some; i++) codes[i] = looks[begin + i].code;
        kernels->dot_bytes_at((const int8_t *)point->code, codes, graph->layout.wide, some, dots);
        for (uint32_t i = 0; i < some; i++) {
            const float *factors = looks[begin + i].factors;
            float squares = product ? 0 : point->square + factors[1];
            float distance = squares - 2 * point->unit * factors[0] * (float)dots[i];
            out[begin + i] = distance < INFINITY ? distance : INFINITY; /* a file may say what is no number */
        }
    }
}
