/* How the rows of a list lie in it.
 *
 *   blocks        of 32 rows each; the last may hold fewer, its other lanes are padding
 *     codes         16 * tables bytes in fast-scan order (kernels.h), zeros up to 64
 *     factors       add, rescale, error: f16 x 32 each (quant.h); add is infinite in padding
 *     row offsets   u32 x 32
 *   rows that stand by themselves
 *     row offsets   u32 each
 *     items         of each row its codes, two tables a byte, the first in the low half, then its factors;
 *                   in lists of rows, and of outliers, the row's numbers, and zeros before the first of them
 *                   up to a multiple of the list's own alignment
 *   extra bits    of every row: packed (quant.h), then add, rescale and error of all bits, f16 each
 *   zeros         up to a multiple of 64 in a base, of 16 in a run
 *
 * A block costs the same to scan whether 32 rows are in it or one, and as many bytes. In a base, whose lists
 * have a hundred rows, that is little. A run brings a list one row or two, of which sixteen lines of memory
 * would be made; so what is left of a run's rows by whole blocks stands row by row, unless it is LEAST_LANES
 * rows, for which a block is read as fast. The signs of a row by itself are packed as packed_dot has them.
 */
#include "index/ivf/ivf_private.h"

enum { LEAST_LANES = 8, BASE_ALIGN = 64, RUN_ALIGN = 16 };
static const uint16_t infinite = 0x7c00; /* add, as a half, in padding lanes */

void kt_ivf_layout(const struct ivf_shape *s, struct ivf_layout *out)
{
    bool has_extra = s->kind == IVF_SIGNS && s->bits > 1, has_codes = s->kind != IVF_ROWS;
    *out = (struct ivf_layout){ .wide = (uint32_t)kt_round_up(s->tree_dim, IVF_ALIGN) };
    out->row_bytes = (uint64_t)s->dim * kt_element_bytes(s->element);
    out->codes_bytes = kt_round_up((uint64_t)s->tables * 16, IVF_ALIGN);
    out->extra_bytes = has_extra ? kt_rabitq_extra_bytes(s->tree_dim, s->bits) + IVF_FACTOR_BYTES : 0;
    out->block_bytes =
        has_codes ? out->codes_bytes + KT_BLOCK_ROWS * (IVF_FACTOR_BYTES + sizeof(uint32_t)) : 0;
    out->item_bytes = has_codes ? (s->tables + 1) / 2 + IVF_FACTOR_BYTES : out->row_bytes;
}

/* Rows that stand by themselves, as they are. */
static struct ivf_form form_of_rows(const struct ivf_layout *layout, uint64_t align, uint32_t rows)
{
    struct ivf_form form = { .rows = rows };
    form.items = kt_round_up((uint64_t)rows * sizeof(uint32_t), align);
    form.extras = form.items + rows * layout->row_bytes;
    form.bytes = kt_round_up(form.extras, align);
    return form;
}

struct ivf_form kt_ivf_outlier_form(const struct ivf_layout *layout, bool is_run, uint32_t rows)
{
    return form_of_rows(layout, is_run ? RUN_ALIGN : BASE_ALIGN, rows);
}

struct ivf_form kt_ivf_form(const struct ivf_layout *layout, bool is_run, uint32_t rows)
{
    uint64_t align = is_run ? RUN_ALIGN : BASE_ALIGN;
    if (!layout->block_bytes) return form_of_rows(layout, align, rows);
    struct ivf_form form = { .rows = rows, .in_blocks = rows };
    uint32_t left = rows % KT_BLOCK_ROWS;
    if (is_run && left < LEAST_LANES) form.in_blocks -= left;
    uint64_t blocks = kt_round_up(form.in_blocks, KT_BLOCK_ROWS) / KT_BLOCK_ROWS;
    uint32_t alone = rows - form.in_blocks;
    form.offsets = blocks * layout->block_bytes;
    form.items = form.offsets + alone * sizeof(uint32_t);
    form.extras = form.items + alone * layout->item_bytes;
    form.bytes = kt_round_up(form.extras + (uint64_t)rows * layout->extra_bytes, align);
    return form;
}

static void put_block(const struct ivf_shape *shape, const struct ivf_layout *layout,
                      const struct ivf_group *group, uint8_t *block)
{
    uint8_t *factors = block + layout->codes_bytes, *offsets = factors + IVF_FACTOR_BYTES * KT_BLOCK_ROWS;
    kt_pq_pack(group->codes, group->count, shape->tables, block);
    for (uint32_t r = 0; r < KT_BLOCK_ROWS; r++) {
        for (uint32_t i = 0; i < 3; i++) {
            uint16_t factor = r < group->count ? group->factors[r][i] : i ? 0 : infinite;
            kt_put_u16(factors + 2 * (i * KT_BLOCK_ROWS + r), factor);
        }
        kt_put_u32(offsets + 4 * r, r < group->count ? group->offsets[r] : 0);
    }
}

static void put_alone(const struct ivf_shape *shape, const uint8_t *codes, const uint16_t *factors,
                      uint8_t *item)
{
    uint32_t tables = shape->tables;
    for (uint32_t t = 0; t < tables; t++) item[t / 2] = (uint8_t)(item[t / 2] | codes[t] << (t % 2 ? 4 : 0));
    item += (tables + 1) / 2;
    for (uint32_t i = 0; i < 3; i++) kt_put_u16(item + 2 * i, factors[i]);
}

void kt_ivf_put(const struct ivf_shape *shape, const struct ivf_layout *layout, const struct ivf_form *form,
                uint32_t at, const struct ivf_group *group, uint8_t *list)
{
    if (at < form->in_blocks) {
        put_block(shape, layout, group, list + at / KT_BLOCK_ROWS * layout->block_bytes);
        return;
    }
    for (uint32_t r = 0; r < group->count; r++) {
        uint64_t alone = at + r - form->in_blocks;
        kt_put_u32(list + form->offsets + alone * sizeof(uint32_t), group->offsets[r]);
        if (shape->kind != IVF_ROWS)
            put_alone(shape, group->codes + (size_t)r * shape->tables, group->factors[r],
                      list + form->items + alone * layout->item_bytes);
    }
}
