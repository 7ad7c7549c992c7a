/* Evaluation: rows in pieces, registers on a stack, and the logic of three values.
 *
 * A call's rows are taken in pieces of KT_PIECE, so that the registers of a filter stay in the first caches.
 * A node writes one register of bits or values; the bits that nobody asked for stay 0. AND asks each argument
 * only about rows that none before it refused, OR only about rows that none before it accepted: whole words
 * without such rows cost a comparison with zero, and a piece without them ends there. Where nobody
 * distinguishes false from null (`only_truth`: a filter itself, and what stands under AND and OR in it), a
 * row that is null is refused as well.
 *
 * Errors show in a row only where the row was asked for: `n < 100 AND n * n > 5` cannot overflow, since what
 * may fail keeps its place behind what was written before it (filter_order.c).
 *
 * Registers come from a stack of blocks in the caller's scratch. A node takes its own register first, its
 * arguments' above it, and rewinds: what is needed at once is bounded by the depth of the filter, not by its
 * size. Texts that functions make live until the piece ends.
 */
#include <string.h>

#include "filter/filter_eval.h"

/* ---- the stack ---- */

enum { BLOCK_BYTES = 32 * 1024, TEXT_BYTES = 64 * 1024, ALIGNMENT = 64 };

struct stack_block {
    struct stack_block *next;
    size_t used, size;
    uint8_t *bytes;
};

static struct stack_block *block_new(struct frame *frame, size_t bytes)
{
    size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
    struct stack_block *block = kt_arena_take(frame->scratch, 1, sizeof *block);
    uint8_t *memory = block ? kt_arena_take(frame->scratch, size, 1) : NULL;
    if (!memory) {
        kt_fail_memory(frame->error, size);
        return NULL;
    }
    memset(memory, 0, size); /* what a loop computes of rows that nobody asked for is never undefined */
    *block = (struct stack_block){ .size = size, .bytes = memory };
    return block;
}

void *kt_stack_take(struct frame *frame, size_t bytes)
{
    bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    while (!frame->block || frame->block->size - frame->block->used < bytes) {
        struct stack_block *next = frame->block ? frame->block->next : NULL;
        if (!next && !(next = block_new(frame, bytes))) return NULL;
        if (frame->block) frame->block->next = next;
        next->used = 0;
        frame->block = next;
    }
    void *memory = frame->block->bytes + frame->block->used;
    frame->block->used += bytes;
    return memory;
}

struct mark kt_mark(const struct frame *frame)
{
    return (struct mark){ frame->block, frame->block ? frame->block->used : 0 };
}

void kt_rewind(struct frame *frame, struct mark mark)
{
    if (!mark.block) return; /* the first block stays, with what lies in it */
    frame->block = mark.block;
    frame->block->used = mark.used;
}

kith_status kt_reg_take(struct frame *frame, enum form form, struct reg *out)
{
    static const uint8_t sizes[] = { [FORM_INT] = 8,    [FORM_WIDE] = 16, [FORM_FLOAT] = 8, [FORM_BYTES] = 16,
                                     [FORM_NESTED] = 8, [FORM_SPAN] = 0,  [FORM_LIST] = 0 };
    size_t bits = KT_PIECE_WORDS * sizeof(uint64_t), values = sizes[form] * (size_t)KT_PIECE;
    uint8_t *memory = kt_stack_take(frame, bits + (form == FORM_BOOL ? bits : values));
    if (!memory) return KITH_NO_MEMORY;
    out->known = (uint64_t *)(void *)memory;
    out->values = memory + bits;
    out->array = NULL;
    return KITH_OK;
}

uint8_t *kt_text_take(struct frame *frame, size_t size)
{
    if (!frame->text || frame->text_left < size) {
        size_t room = size > TEXT_BYTES ? size : TEXT_BYTES;
        frame->text = kt_arena_take(&frame->texts, room, 1);
        frame->text_left = frame->text ? room : 0;
        if (!frame->text) {
            kt_fail_memory(frame->error, room);
            return NULL;
        }
    }
    uint8_t *text = frame->text;
    frame->text += size;
    frame->text_left -= size;
    return text;
}

void kt_frame_piece(struct frame *frame, uint32_t first, uint32_t count, const uint64_t *all,
                    uint64_t among[KT_PIECE_WORDS])
{
    frame->first = first;
    frame->count = count;
    frame->words = (count + 63) / 64;
    kt_arena_clear(&frame->texts);
    frame->text = NULL;
    for (uint32_t w = 0; w < frame->words; w++) among[w] = all ? all[first / 64 + w] : UINT64_MAX;
    if (count % 64) among[count / 64] &= (UINT64_C(1) << (count % 64)) - 1;
}

/* ---- leaves and functions of one row ---- */

kith_status kt_eval_literal(struct frame *frame, const struct node *node, const uint64_t *among,
                            struct reg *out)
{
    kith_status status = kt_reg_take(frame, node->form, out);
    if (status) return status;
    const struct cell *cell = &node->value;
    uint32_t rows = frame->words * 64;
    for (uint32_t w = 0; w < frame->words; w++) out->known[w] = cell->null ? 0 : among[w];
    switch (node->form) {
    case FORM_BOOL:
        for (uint32_t w = 0; w < frame->words; w++) out->truth[w] = cell->truth ? out->known[w] : 0;
        break;
    case FORM_INT:
    case FORM_NESTED:
        for (uint32_t i = 0; i < rows; i++) out->integers[i] = cell->integer;
        if (node->form == FORM_NESTED) out->array = cell->array;
        break;
    case FORM_WIDE:
        for (uint32_t i = 0; i < rows; i++) out->wides[i] = cell->wide;
        break;
    case FORM_FLOAT:
        for (uint32_t i = 0; i < rows; i++) out->numbers[i] = cell->number;
        break;
    case FORM_BYTES:
        for (uint32_t i = 0; i < rows; i++) out->bytes[i] = cell->bytes;
        break;
    default:
        break;
    }
    return KITH_OK;
}

kith_status kt_call_text(struct call *call, uint32_t row, size_t size, uint8_t **out)
{
    *out = kt_text_take(call->frame, size);
    if (!*out) return KITH_NO_MEMORY;
    call->out->bytes[row] = (struct slice){ *out, size };
    return KITH_OK;
}

kith_status kt_eval_rows(struct frame *frame, const struct node *node, const uint64_t *among, struct reg *out)
{
    struct reg args[KT_ROW_ARGS];
    struct call call = { frame, node, args, out };
    uint64_t asked[KT_PIECE_WORDS];
    kith_status status = kt_reg_take(frame, node->form, out);
    struct mark mark = kt_mark(frame);
    memcpy(asked, among, frame->words * sizeof *among);
    for (uint32_t a = 0; !status && a < node->count; a++) {
        status = kt_eval(frame, node->args[a], asked, &args[a]);
        if (!status) memcpy(asked, args[a].known, frame->words * sizeof *asked);
    }
    if (status) return status;
    memcpy(out->known, asked, frame->words * sizeof *asked);
    if (node->form == FORM_BOOL) memset(out->truth, 0, frame->words * sizeof *asked);
    uint32_t row;
    for (struct walk walk = kt_walk(asked, frame->words); !status && kt_walk_next(&walk, &row);)
        status = node->row(&call, row);
    kt_rewind(frame, mark);
    return status;
}

/* ---- logic ---- */

static bool any(const uint64_t *bits, uint32_t words)
{
    uint64_t some = 0;
    for (uint32_t w = 0; w < words; w++) some |= bits[w];
    return some != 0;
}

kith_status kt_eval_and(struct frame *frame, const struct node *node, const uint64_t *among, struct reg *out)
{
    uint64_t ask[KT_PIECE_WORDS];
    kith_status status = kt_reg_take(frame, FORM_BOOL, out);
    if (status) return status;
    struct mark mark = kt_mark(frame);
    size_t bytes = frame->words * sizeof *ask;
    memcpy(ask, among, bytes);        /* not yet refused */
    memcpy(out->truth, among, bytes); /* true so far */
    for (uint32_t a = 0; !status && a < node->count && any(ask, frame->words); a++) {
        struct reg reg;
        status = kt_eval(frame, node->args[a], ask, &reg);
        for (uint32_t w = 0; !status && w < frame->words; w++) {
            out->truth[w] &= reg.truth[w];
            ask[w] &= node->only_truth ? reg.truth[w] : ~(reg.known[w] & ~reg.truth[w]);
        }
        kt_rewind(frame, mark);
    }
    for (uint32_t w = 0; w < frame->words; w++) out->known[w] = out->truth[w] | (among[w] & ~ask[w]);
    return status;
}

kith_status kt_eval_or(struct frame *frame, const struct node *node, const uint64_t *among, struct reg *out)
{
    uint64_t ask[KT_PIECE_WORDS];
    kith_status status = kt_reg_take(frame, FORM_BOOL, out);
    if (status) return status;
    struct mark mark = kt_mark(frame);
    size_t bytes = frame->words * sizeof *ask;
    memcpy(ask, among, bytes);        /* not yet accepted */
    memcpy(out->known, among, bytes); /* false so far, or accepted */
    memset(out->truth, 0, bytes);
    for (uint32_t a = 0; !status && a < node->count && any(ask, frame->words); a++) {
        struct reg reg;
        status = kt_eval(frame, node->args[a], ask, &reg);
        for (uint32_t w = 0; !status && w < frame->words; w++) {
            out->truth[w] |= reg.truth[w];
            out->known[w] &= reg.known[w]; /* nor where it was accepted before; that comes last */
            ask[w] &= ~reg.truth[w];
        }
        kt_rewind(frame, mark);
    }
    for (uint32_t w = 0; w < frame->words; w++) out->known[w] |= out->truth[w];
    return status;
}

kith_status kt_eval_not(struct frame *frame, const struct node *node, const uint64_t *among, struct reg *out)
{
    kith_status status = kt_eval(frame, node->args[0], among, out);
    for (uint32_t w = 0; !status && w < frame->words; w++) out->truth[w] = out->known[w] & ~out->truth[w];
    return status;
}

/* What is known of an argument, and where it is true. Whether a column is null is said without its values,
 * but for dictionaries. */
static kith_status ask(struct frame *frame, const struct node *node, const uint64_t *among, uint64_t *known,
                       uint64_t *truth)
{
    const struct node *arg = node->args[0];
    bool values = node->fn != KT_FN_IS_NULL && node->fn != KT_FN_IS_NOT_NULL;
    struct reg reg;
    memcpy(known, among, frame->words * sizeof *known);
    memset(truth, 0, frame->words * sizeof *truth);
    if (!values && arg->place && arg->place->column >= 0 && arg->type.type != KT_DICTIONARY) {
        kt_locate(frame, arg->place, known);
        return KITH_OK;
    }
    kith_status status = kt_eval(frame, arg, among, &reg);
    if (status) return status;
    memcpy(known, reg.known, frame->words * sizeof *known);
    if (values) memcpy(truth, reg.truth, frame->words * sizeof *truth);
    return KITH_OK;
}

kith_status kt_eval_is(struct frame *frame, const struct node *node, const uint64_t *among, struct reg *out)
{
    uint64_t known[KT_PIECE_WORDS], truth[KT_PIECE_WORDS];
    kith_status status = kt_reg_take(frame, FORM_BOOL, out);
    struct mark mark = kt_mark(frame);
    if (!status) status = ask(frame, node, among, known, truth);
    if (status) return status;
    kt_rewind(frame, mark);
    for (uint32_t w = 0; w < frame->words; w++) {
        uint64_t is[] = { [KT_FN_IS_NULL - KT_FN_IS_NULL] = ~known[w],
                          [KT_FN_IS_NOT_NULL - KT_FN_IS_NULL] = known[w],
                          [KT_FN_IS_TRUE - KT_FN_IS_NULL] = truth[w],
                          [KT_FN_IS_NOT_TRUE - KT_FN_IS_NULL] = ~truth[w],
                          [KT_FN_IS_FALSE - KT_FN_IS_NULL] = known[w] & ~truth[w],
                          [KT_FN_IS_NOT_FALSE - KT_FN_IS_NULL] = ~known[w] | truth[w] };
        out->known[w] = among[w];
        out->truth[w] = among[w] & is[node->fn - KT_FN_IS_NULL];
    }
    return KITH_OK;
}

/* ---- the doors ---- */

kith_status kt_frame_init(struct frame *frame, const struct kt_filter *filter,
                          const struct kt_filter_rows *rows, struct kt_arena *scratch, kith_error *error)
{
    size_t bytes = (filter->slot_count + 1) * sizeof(struct lookup *);
    *frame = (struct frame){ .filter = filter, .rows = rows, .scratch = scratch, .error = error };
    frame->lookups = kt_arena_take(scratch, 1, bytes);
    if (!frame->lookups || !(frame->block = block_new(frame, 0))) return kt_fail_memory(error, bytes);
    memset(frame->lookups, 0, bytes);
    return KITH_OK;
}

static kith_status eval_conjuncts(struct frame *frame, uint64_t answered, uint64_t *among)
{
    const struct kt_filter *filter = frame->filter;
    struct mark mark = kt_mark(frame);
    kith_status status = KITH_OK;
    for (uint32_t c = 0; !status && c < filter->conjunct_count && any(among, frame->words); c++) {
        struct reg reg;
        int32_t probe = filter->probe_of[c];
        if (probe >= 0 && answered >> probe & 1) continue;
        status = kt_eval(frame, filter->conjuncts[c], among, &reg);
        if (!status) memcpy(among, reg.truth, frame->words * sizeof *among);
        kt_rewind(frame, mark);
    }
    return status;
}

kith_status kt_filter_eval_rest(const struct kt_filter *filter, uint64_t answered,
                                const struct kt_filter_rows *rows, const uint64_t *among,
                                struct kt_arena *scratch, uint64_t *bits, kith_error *error)
{
    struct frame frame;
    kith_status status = kt_frame_init(&frame, filter, rows, scratch, error);
    for (uint32_t at = 0; !status && at < rows->count; at += KT_PIECE) {
        uint64_t passing[KT_PIECE_WORDS];
        kt_frame_piece(&frame, at, kt_min_u32(KT_PIECE, rows->count - at), among, passing);
        status = kt_work_poll(rows->work, "filter", error);
        if (!status) status = eval_conjuncts(&frame, answered, passing);
        memcpy(bits + at / 64, passing, frame.words * sizeof *passing);
    }
    kt_arena_release(&frame.texts);
    return status;
}

kith_status kt_filter_eval(const struct kt_filter *filter, const struct kt_filter_rows *rows,
                           const uint64_t *among, struct kt_arena *scratch, uint64_t *bits, kith_error *error)
{
    return kt_filter_eval_rest(filter, 0, rows, among, scratch, bits, error);
}

kith_status kt_eval_constant(struct kt_filter *filter, const struct node *node, struct cell *out,
                             kith_error *error)
{
    struct kt_arena scratch = { 0 };
    struct kt_filter_rows rows = { .count = 1 };
    struct frame frame;
    uint64_t among[KT_PIECE_WORDS];
    struct reg reg;
    kith_status status = kt_frame_init(&frame, filter, &rows, &scratch, error);
    if (!status) {
        kt_frame_piece(&frame, 0, 1, NULL, among);
        status = kt_eval(&frame, node, among, &reg);
    }
    if (!status) kt_reg_cell(&reg, node->form, 0, out);
    if (!status && node->form == FORM_BYTES && !out->null) {
        uint8_t *copy = kt_arena_take(&filter->arena, out->bytes.size + 1, 1);
        if (copy && out->bytes.size) memcpy(copy, out->bytes.at, out->bytes.size);
        if (copy) copy[out->bytes.size] = 0;
        if (!copy) status = kt_fail_memory(error, out->bytes.size);
        out->bytes.at = copy;
    }
    kt_arena_release(&frame.texts);
    kt_arena_release(&scratch);
    return status;
}
