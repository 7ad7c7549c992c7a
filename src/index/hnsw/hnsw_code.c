/* Codes: a row of the space as one byte a number, each row by a unit of its own. Distances are those between
 * codes, both sides rounded: what rounding does to a distance is then in proportion to the distance itself,
 * so that near rows, which are to be told apart, are hurt least. For hamming the code is the row.
 *
 * A record is its code, filled up to 16 bytes, then unit, square and row, then links. Kernels read codes 64
 * bytes at a time and run on into what follows; the point that a record is compared with has zeros there.
 */
#include <math.h>

#include "index/hnsw/hnsw_private.h"
#include "quant/quant.h"

enum { CODE_ALIGN = 16, KERNEL_BYTES = 64, AHEAD = 4 /* records: so many are compared at a time */ };

static const float most_square = 1e36f; /* beyond, sums of a few squares leave float */

void kt_hnsw_layout(const struct hnsw_shape *shape, struct hnsw_layout *out)
{
    bool bits = shape->metric == KITH_HAMMING;
    out->code_bytes = (uint32_t)kt_round_up(bits ? shape->dim : shape->space_dim, CODE_ALIGN);
    out->wide = (uint32_t)kt_round_up(out->code_bytes, KERNEL_BYTES);
    out->unit = out->code_bytes;
    out->square = out->unit + (uint32_t)sizeof(float);
    out->row = out->square + (uint32_t)sizeof(float);
    out->links = out->row + (uint32_t)sizeof(uint32_t);
    out->record_bytes = kt_max_u32(out->wide, out->links + 2 * shape->m * (uint32_t)sizeof(uint32_t));
}

bool kt_hnsw_encode(const struct kt_index *graph, const float *vector, uint8_t *record)
{
    const struct hnsw_layout *layout = &graph->layout;
    uint32_t dim = graph->shape.space_dim;
    int8_t *code = (int8_t *)record;
    if (!(kt_space_square(vector, dim) < (double)most_square)) return false;
    float unit = kt_to_bytes(vector, dim, code);
    memset(code + dim, 0, layout->code_bytes - dim);
    double sum = 0;
    for (uint32_t d = 0; d < dim; d++) sum += code[d] * code[d];
    kt_put_f32(record + layout->unit, unit);
    kt_put_f32(record + layout->square, (float)(sum * (double)unit * (double)unit));
    return true;
}

void kt_hnsw_encode_bits(const struct kt_index *graph, const uint8_t *bits, uint8_t *record)
{
    const struct hnsw_layout *layout = &graph->layout;
    memcpy(record, bits, graph->shape.dim);
    memset(record + graph->shape.dim, 0, layout->code_bytes - graph->shape.dim);
    kt_put_f32(record + layout->unit, 0);
    kt_put_f32(record + layout->square, 0);
}

void kt_hnsw_point(const struct kt_index *graph, const uint8_t *record, struct hnsw_point *out)
{
    const struct hnsw_layout *layout = &graph->layout;
    memcpy(out->code, record, layout->code_bytes);
    memset(out->code + layout->code_bytes, 0, layout->wide - layout->code_bytes);
    out->unit = kt_get_f32(record + layout->unit);
    out->square = kt_get_f32(record + layout->square);
}

/* Asks for the lines of some records, those of the first lines that the walk has not asked for. */
static void fetch(const uint8_t *const *records, uint32_t count, uint32_t bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t at = 0; at < bytes; at += 64) {
            __builtin_prefetch(records[i] + at);
            atomic_signal_fence(memory_order_seq_cst); /* GCC 12 drops all but the first without it */
        }
    }
}

void kt_hnsw_distances(const struct kt_index *graph, const struct hnsw_point *point,
                       const uint8_t *const *records, uint32_t count, float *out)
{
    const struct hnsw_layout *layout = &graph->layout;
    const struct kt_kernels *kernels = kt_kernels();
    int32_t dots[AHEAD];
    if (graph->shape.metric == KITH_HAMMING) {
        for (uint32_t i = 0; i < count; i++)
            kernels->distance[KITH_HAMMING][KITH_U8](point->code, 0, records[i], graph->shape.dim, 1,
                                                     &out[i]);
        return;
    }
    for (uint32_t begin = 0; begin < count; begin += AHEAD) {
        uint32_t some = kt_min_u32(AHEAD, count - begin), next = begin + some;
        if (next < count) fetch(records + next, kt_min_u32(AHEAD, count - next), layout->row);
        kernels->dot_bytes_at((const int8_t *)point->code, records + begin, layout->wide, some, dots);
        for (uint32_t i = 0; i < some; i++) {
            const uint8_t *record = records[begin + i];
            out[begin + i] = point->square + kt_get_f32(record + layout->square) -
                             2 * point->unit * kt_get_f32(record + layout->unit) * (float)dots[i];
        }
    }
}
