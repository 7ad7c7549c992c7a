/* Expressions as columns: the registers of each piece, packed as their type is stored, go to a builder.
 *
 * A column that is only named is appended from where it lies, dictionaries, lists and vectors as well; of a
 * field of a struct the rows go one run at a time, since a struct that is null hides what its fields hold.
 */
#include <string.h>

#include "filter/filter_eval.h"

/* ---- packing ---- */

static size_t bytes_of(const struct kt_field *type)
{
    switch (type->type) {
    case KT_INT8:
    case KT_UINT8:
        return 1;
    case KT_INT16:
    case KT_UINT16:
    case KT_FLOAT16:
        return 2;
    case KT_INT32:
    case KT_UINT32:
    case KT_FLOAT32:
    case KT_DATE32:
    case KT_TIME32:
        return 4;
    case KT_DECIMAL128:
        return 16;
    default:
        return 8;
    }
}

/* The low bytes of an integer are the integer, as long as it fits; that was seen to. */
static void pack_numbers(const struct kt_field *type, const struct reg *reg, uint32_t count, uint8_t *out)
{
    enum form form = kt_form_of(type->type);
    size_t size = bytes_of(type);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *to = out + i * size;
        float single = form == FORM_FLOAT ? (float)reg->numbers[i] : 0;
        uint16_t half = type->type == KT_FLOAT16 ? kt_half_from(reg->numbers[i]) : 0;
        if (type->type == KT_FLOAT32)
            memcpy(to, &single, size);
        else if (type->type == KT_FLOAT16)
            memcpy(to, &half, size);
        else if (form == FORM_WIDE)
            memcpy(to, &reg->wides[i], size);
        else
            memcpy(to, &reg->integers[i], size); /* doubles too */
    }
}

static kith_status pack_bytes(struct frame *frame, const struct reg *reg, struct kt_array *out)
{
    size_t total = 0;
    uint32_t row;
    for (struct walk walk = kt_walk(reg->known, frame->words); kt_walk_next(&walk, &row);)
        total += reg->bytes[row].size;
    if (total > INT32_MAX)
        return kt_fail(frame->error, KITH_INVALID, "an expression gives more than 2 GiB of text in %u rows",
                       frame->count);
    int32_t *offsets = kt_stack_take(frame, (frame->count + 1) * sizeof *offsets);
    uint8_t *data = offsets ? kt_stack_take(frame, total + 1) : NULL;
    if (!data) return KITH_NO_MEMORY;
    offsets[0] = 0;
    for (uint32_t i = 0; i < frame->count; i++) {
        size_t size = kt_row_bit(reg->known, i) ? reg->bytes[i].size : 0;
        if (size) memcpy(data + offsets[i], reg->bytes[i].at, size);
        offsets[i + 1] = offsets[i] + (int32_t)size;
    }
    out->values = (const uint8_t *)offsets;
    out->data = data;
    return KITH_OK;
}

static kith_status append_reg(struct frame *frame, const struct node *root, const struct reg *reg,
                              struct kt_builder *builder, uint32_t column)
{
    struct kt_array array = { .field = &root->type,
                              .length = frame->count,
                              .validity = (const uint8_t *)reg->known };
    uint8_t *packed = NULL;
    kith_status status = KITH_OK;
    if (root->form == FORM_NULL) return kt_builder_append_nulls(builder, column, frame->count, frame->error);
    if (root->form == FORM_BOOL) {
        array.values = (const uint8_t *)reg->truth;
    } else if (root->form == FORM_BYTES) {
        status = pack_bytes(frame, reg, &array);
    } else {
        packed = kt_stack_take(frame, frame->count * bytes_of(&root->type));
        if (!packed) return KITH_NO_MEMORY;
        pack_numbers(&root->type, reg, frame->count, packed);
        array.values = packed;
    }
    return status ? status : kt_builder_append(builder, column, &array, 0, frame->count, frame->error);
}

/* ---- rows of arrays ---- */

/* Appends rows from where they lie, each run of known and of null rows at once. */
static kith_status append_source(struct frame *frame, const struct source *source, const uint64_t *known,
                                 struct kt_builder *builder, uint32_t column)
{
    kith_status status = KITH_OK;
    for (uint32_t at = 0, end; !status && at < frame->count; at = end) {
        bool there = kt_row_bit(known, at);
        for (end = at + 1; end < frame->count && kt_row_bit(known, end) == there; end++) {
        }
        status = there ? kt_builder_append(builder, column, source->array, source->row + at, end - at,
                                           frame->error)
                       : kt_builder_append_nulls(builder, column, end - at, frame->error);
    }
    return status;
}

static kith_status append_nested(struct frame *frame, const struct reg *reg, struct kt_builder *builder,
                                 uint32_t column)
{
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < frame->count; i++)
        status = kt_row_bit(reg->known, i)
                     ? kt_builder_append(builder, column, reg->array, reg->integers[i], 1, frame->error)
                     : kt_builder_append_nulls(builder, column, 1, frame->error);
    return status;
}

static kith_status append_piece(struct frame *frame, const uint64_t *among, struct kt_builder *builder,
                                uint32_t column)
{
    const struct node *root = frame->filter->root;
    struct reg reg;
    if (root->place && root->place->column >= 0) {
        uint64_t known[KT_PIECE_WORDS];
        memcpy(known, among, frame->words * sizeof *known);
        struct source source = kt_locate(frame, root->place, known);
        return append_source(frame, &source, known, builder, column);
    }
    kith_status status = kt_eval(frame, root, among, &reg);
    if (status) return status;
    if (root->form == FORM_NESTED) return append_nested(frame, &reg, builder, column);
    return append_reg(frame, root, &reg, builder, column);
}

kith_status kt_filter_values(const struct kt_filter *filter, const struct kt_filter_rows *rows,
                             struct kt_builder *builder, uint32_t column, kith_error *error)
{
    struct kt_arena scratch = { 0 };
    struct frame frame;
    kith_status status = kt_frame_init(&frame, filter, rows, &scratch, error);
    for (uint32_t at = 0; !status && at < rows->count; at += KT_PIECE) {
        uint64_t among[KT_PIECE_WORDS];
        kt_frame_piece(&frame, at, kt_min_u32(KT_PIECE, rows->count - at), NULL, among);
        struct mark mark = kt_mark(&frame);
        status = kt_work_poll(rows->work, "values", error);
        if (!status) status = append_piece(&frame, among, builder, column);
        kt_rewind(&frame, mark);
    }
    kt_arena_release(&frame.texts);
    kt_arena_release(&scratch);
    return status;
}
