/* Columns into registers.
 *
 * A column is found by walking from the batch into structs; each step may say null and moves the row by its
 * array's offset, as column.h has it (offsets of children may be negative, the sums are not). Where a
 * register's form is what is stored, the register points into the column; but only for whole words of rows,
 * because loops over registers run to the end of a word.
 */
#include <string.h>

#include "filter/filter_eval.h"

/* ---- nulls ---- */

uint64_t kt_load_bits(const uint8_t *bits, int64_t at, uint32_t count)
{
    const uint8_t *from = bits + (at >> 3);
    uint32_t shift = (uint32_t)(at & 7), bytes = (shift + count + 7) / 8;
    uint64_t word = 0;
    memcpy(&word, from, bytes < 8 ? bytes : 8);
    word >>= shift;
    if (bytes > 8) word |= (uint64_t)from[8] << (64 - shift);
    return count == 64 ? word : word & ((UINT64_C(1) << count) - 1);
}

static void keep_valid(const struct frame *frame, const struct kt_array *array, int64_t row, uint64_t *known)
{
    if (array->field->type == KT_NULL) memset(known, 0, frame->words * sizeof *known);
    if (!array->validity) return;
    for (uint32_t w = 0; w < frame->words; w++)
        if (known[w])
            known[w] &= kt_load_bits(array->validity, array->offset + row + w * 64,
                                     kt_min_u32(64, frame->count - w * 64));
}

struct source kt_locate(const struct frame *frame, const struct place *place, uint64_t *known)
{
    struct source source = { .row = frame->first };
    if (frame->all_null) {
        memset(known, 0, frame->words * sizeof *known);
        return source;
    }
    source.array = frame->stand_in;
    uint32_t steps = frame->stand_in ? 0 : place->count;
    if (!frame->stand_in) source.array = &frame->rows->columns[frame->filter->column_at[place->column]];
    keep_valid(frame, source.array, source.row, known);
    for (uint32_t i = 0; i < steps; i++) {
        source.row += source.array->offset;
        source.array = &source.array->children[place->steps[i]];
        keep_valid(frame, source.array, source.row, known);
    }
    return source;
}

/* ---- values ---- */

static void load_integers(const struct kt_array *array, int64_t row, uint32_t count, int64_t *out)
{
    const void *p = array->values;
    int64_t at = array->offset + row;
    switch (array->field->type) {
    case KT_INT8:
        for (uint32_t i = 0; i < count; i++) out[i] = ((const int8_t *)p)[at + i];
        break;
    case KT_INT16:
        for (uint32_t i = 0; i < count; i++) out[i] = ((const int16_t *)p)[at + i];
        break;
    case KT_INT32:
    case KT_DATE32:
    case KT_TIME32:
        for (uint32_t i = 0; i < count; i++) out[i] = ((const int32_t *)p)[at + i];
        break;
    case KT_UINT8:
        for (uint32_t i = 0; i < count; i++) out[i] = ((const uint8_t *)p)[at + i];
        break;
    case KT_UINT16:
        for (uint32_t i = 0; i < count; i++) out[i] = ((const uint16_t *)p)[at + i];
        break;
    case KT_UINT32:
        for (uint32_t i = 0; i < count; i++) out[i] = ((const uint32_t *)p)[at + i];
        break;
    default:
        memcpy(out, (const int64_t *)p + at, count * sizeof *out);
        break;
    }
}

static void load_doubles(const struct kt_array *array, int64_t row, uint32_t count, double *out)
{
    const void *p = array->values;
    int64_t at = array->offset + row;
    if (array->field->type == KT_FLOAT32)
        for (uint32_t i = 0; i < count; i++) out[i] = (double)((const float *)p)[at + i];
    else if (array->field->type == KT_FLOAT16)
        for (uint32_t i = 0; i < count; i++) out[i] = (double)kt_half_to_float(((const uint16_t *)p)[at + i]);
    else
        memcpy(out, (const double *)p + at, count * sizeof *out);
}

static void load_wides(const struct kt_array *array, int64_t row, uint32_t count, kt_wide *out)
{
    int64_t at = array->offset + row;
    if (array->field->type == KT_DECIMAL128)
        memcpy(out, array->values + at * 16, count * sizeof *out);
    else
        for (uint32_t i = 0; i < count; i++) out[i] = ((const uint64_t *)(const void *)array->values)[at + i];
}

static void load_slices(const struct frame *frame, const struct source *source, struct reg *out)
{
    const struct kt_array *array = source->array;
    const int32_t *offsets = (const int32_t *)(const void *)array->values + (array->offset + source->row);
    if (array->field->type == KT_UTF8 || array->field->type == KT_BINARY) {
        for (uint32_t i = 0; i < frame->count; i++)
            out->bytes[i] = (struct slice){ array->data + offsets[i], (size_t)(offsets[i + 1] - offsets[i]) };
        return;
    }
    uint32_t row;
    for (struct walk walk = kt_walk(out->known, frame->words); kt_walk_next(&walk, &row);) {
        int64_t size = 0;
        if (array->field->type == KT_DICTIONARY && kt_array_null(array, source->row + row)) {
            kt_row_clear(out->known, row);
            continue;
        }
        out->bytes[row].at = kt_array_bytes(array, source->row + row, &size);
        out->bytes[row].size = (size_t)size;
    }
}

/* Whether the register may be the column itself. */
static bool lies_ready(const struct frame *frame, const struct kt_array *array)
{
    enum kt_type type = array->field->type;
    bool wide_time = type == KT_DATE64 || type == KT_TIME64 || type == KT_TIMESTAMP || type == KT_DURATION;
    return frame->count % 64 == 0 && (type == KT_INT64 || type == KT_FLOAT64 || wide_time);
}

void kt_load(const struct frame *frame, const struct source *source, struct reg *out)
{
    const struct kt_array *array = source->array;
    if (lies_ready(frame, array)) {
        out->values = (void *)(uintptr_t)(array->values + (array->offset + source->row) * 8);
        return;
    }
    switch (kt_form_of(array->field->type)) {
    case FORM_BOOL:
        for (uint32_t w = 0; w < frame->words; w++)
            out->truth[w] = out->known[w] & kt_load_bits(array->values, array->offset + source->row + w * 64,
                                                         kt_min_u32(64, frame->count - w * 64));
        break;
    case FORM_INT:
        load_integers(array, source->row, frame->count, out->integers);
        break;
    case FORM_FLOAT:
        load_doubles(array, source->row, frame->count, out->numbers);
        break;
    case FORM_WIDE:
        load_wides(array, source->row, frame->count, out->wides);
        break;
    case FORM_BYTES:
        load_slices(frame, source, out);
        break;
    case FORM_NESTED:
        for (uint32_t i = 0; i < frame->count; i++) out->integers[i] = source->row + i;
        out->array = array;
        break;
    default:
        break;
    }
}

kith_status kt_eval_column(struct frame *frame, const struct node *node, const uint64_t *among,
                           struct reg *out)
{
    kith_status status = kt_reg_take(frame, node->form, out);
    if (status) return status;
    memcpy(out->known, among, frame->words * sizeof *among);
    if (node->place->column < 0) {
        for (uint32_t i = 0; i < frame->count; i++) out->wides[i] = kt_row_id(frame, i);
        return KITH_OK;
    }
    struct source source = kt_locate(frame, node->place, out->known);
    if (source.array) kt_load(frame, &source, out);
    if (!source.array && node->form == FORM_BOOL) memset(out->truth, 0, frame->words * sizeof *out->truth);
    return KITH_OK;
}

/* ---- single values ---- */

void kt_array_cell(const struct kt_array *array, int64_t row, struct cell *out)
{
    int64_t size = 0;
    *out = (struct cell){ .null = kt_array_null(array, row) };
    if (out->null) return;
    switch (kt_form_of(array->field->type)) {
    case FORM_BOOL:
        out->truth = kt_bit(array->values, (uint64_t)(array->offset + row));
        break;
    case FORM_INT:
        load_integers(array, row, 1, &out->integer);
        break;
    case FORM_FLOAT:
        load_doubles(array, row, 1, &out->number);
        break;
    case FORM_WIDE:
        load_wides(array, row, 1, &out->wide);
        break;
    case FORM_BYTES:
        out->bytes.at = kt_array_bytes(array, row, &size);
        out->bytes.size = (size_t)size;
        break;
    default:
        out->integer = row;
        out->array = array;
        break;
    }
}

void kt_reg_cell(const struct reg *reg, enum form form, uint32_t row, struct cell *out)
{
    *out = (struct cell){ .null = !kt_row_bit(reg->known, row) };
    switch (form) {
    case FORM_BOOL:
        out->truth = kt_row_bit(reg->truth, row);
        break;
    case FORM_FLOAT:
        out->number = reg->numbers[row];
        break;
    case FORM_WIDE:
        out->wide = reg->wides[row];
        break;
    case FORM_BYTES:
        out->bytes = reg->bytes[row];
        break;
    case FORM_NULL:
        break;
    default:
        out->integer = reg->integers[row];
        if (form == FORM_NESTED) out->array = reg->array;
        break;
    }
}

void kt_reg_put(struct reg *reg, enum form form, uint32_t row, const struct cell *cell)
{
    switch (form) {
    case FORM_BOOL:
        if (cell->truth)
            kt_row_set(reg->truth, row);
        else
            kt_row_clear(reg->truth, row);
        break;
    case FORM_FLOAT:
        reg->numbers[row] = cell->number;
        break;
    case FORM_WIDE:
        reg->wides[row] = cell->wide;
        break;
    case FORM_BYTES:
        reg->bytes[row] = cell->bytes;
        break;
    case FORM_NULL:
        break;
    default:
        reg->integers[row] = cell->integer;
        if (form == FORM_NESTED) reg->array = cell->array;
        break;
    }
}

static void merge_word(enum form form, struct reg *to, const struct reg *from, uint32_t first, uint64_t rows)
{
    for (; rows; rows &= rows - 1) {
        uint32_t row = first + (uint32_t)__builtin_ctzll(rows);
        if (form == FORM_WIDE)
            to->wides[row] = from->wides[row];
        else if (form == FORM_BYTES)
            to->bytes[row] = from->bytes[row];
        else if (form != FORM_NULL)
            to->integers[row] = from->integers[row]; /* doubles too: 8 bytes */
    }
}

void kt_reg_merge(const struct frame *frame, enum form form, struct reg *to, const struct reg *from,
                  const uint64_t *rows)
{
    if (form == FORM_NESTED && from->array) to->array = from->array;
    for (uint32_t w = 0; w < frame->words; w++) {
        to->known[w] = (to->known[w] & ~rows[w]) | (from->known[w] & rows[w]);
        if (form == FORM_BOOL)
            to->truth[w] = (to->truth[w] & ~rows[w]) | (from->truth[w] & rows[w]);
        else
            merge_word(form, to, from, w * 64, rows[w]);
    }
}
