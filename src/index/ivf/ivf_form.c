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

/* ---- one row ---- */

static void put_factors(const uint16_t *factors, uint8_t *to, size_t step)
{
    for (uint32_t i = 0; i < 3; i++) kt_put_u16(to + i * step, factors[i]);
}

/* Adds a row to the last block; the codes of all its rows become a block when they are complete. */
static void put_in_block(struct ivf_filler *f, const struct ivf_row *row)
{
    static const uint16_t padding[3] = { 0x7c00 }; /* add is infinite */
    const struct ivf_layout *layout = &f->index->layout;
    uint32_t tables = f->index->shape.tables, lane = f->at % KT_BLOCK_ROWS;
    uint8_t *block = f->list + f->at / KT_BLOCK_ROWS * layout->block_bytes;
    uint8_t *factors = block + layout->codes_bytes;
    memcpy(f->codes + (size_t)lane * tables, row->codes, tables);
    put_factors(row->factors, factors + 2 * (size_t)lane, 2 * KT_BLOCK_ROWS);
    bool last = f->at + 1 == f->form->in_blocks;
    if (lane + 1 == KT_BLOCK_ROWS || last) kt_pq_pack(f->codes, lane + 1, tables, block);
    for (uint32_t r = lane + 1; last && r < KT_BLOCK_ROWS; r++)
        put_factors(padding, factors + 2 * (size_t)r, 2 * KT_BLOCK_ROWS);
}

static uint8_t *item_of(const struct kt_index *index, const struct ivf_form *form, const uint8_t *list,
                        uint32_t at)
{
    return (uint8_t *)list + form->items + (at - form->in_blocks) * index->layout.item_bytes;
}

static void put_alone(struct ivf_filler *f, const struct ivf_row *row)
{
    uint32_t tables = f->index->shape.tables;
    uint8_t *item = item_of(f->index, f->form, f->list, f->at);
    if (row->numbers) {
        memcpy(item, row->numbers, f->index->layout.row_bytes);
        return;
    }
    for (uint32_t t = 0; t < tables; t++)
        item[t / 2] = (uint8_t)(item[t / 2] | row->codes[t] << (t % 2 ? 4 : 0));
    put_factors(row->factors, item + (tables + 1) / 2, 2);
}

void kt_ivf_put(struct ivf_filler *f, const struct ivf_row *row)
{
    const struct ivf_layout *layout = &f->index->layout;
    kt_put_u32(f->list + kt_ivf_offset_at(layout, f->form, f->at), row->offset);
    if (f->at < f->form->in_blocks)
        put_in_block(f, row);
    else
        put_alone(f, row);
    if (layout->extra_bytes)
        memcpy(f->list + f->form->extras + (uint64_t)f->at * layout->extra_bytes, row->extra,
               layout->extra_bytes);
    f->at++;
}

static void get_factors(const uint8_t *from, size_t step, uint16_t *factors)
{
    for (uint32_t i = 0; i < 3; i++) factors[i] = kt_get_u16(from + i * step);
}

void kt_ivf_get(const struct kt_index *index, const struct ivf_form *form, const uint8_t *list, uint32_t at,
                uint8_t *codes, struct ivf_row *out)
{
    const struct ivf_layout *layout = &index->layout;
    uint32_t tables = index->shape.tables, lane = at % KT_BLOCK_ROWS;
    *out =
        (struct ivf_row){ .offset = kt_get_u32(list + kt_ivf_offset_at(layout, form, at)), .codes = codes };
    if (layout->extra_bytes) out->extra = list + form->extras + (uint64_t)at * layout->extra_bytes;
    if (at < form->in_blocks) {
        const uint8_t *block = list + at / KT_BLOCK_ROWS * layout->block_bytes;
        kt_pq_unpack(block, lane, tables, codes);
        get_factors(block + layout->codes_bytes + 2 * (size_t)lane, 2 * KT_BLOCK_ROWS, out->factors);
        return;
    }
    const uint8_t *item = item_of(index, form, list, at);
    if (index->shape.kind == IVF_ROWS) {
        out->numbers = item;
        return;
    }
    for (uint32_t t = 0; t < tables; t++) codes[t] = item[t / 2] >> (t % 2 ? 4 : 0) & 15;
    get_factors(item + (tables + 1) / 2, 2, out->factors);
}
