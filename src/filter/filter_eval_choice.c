/* CASE and coalesce: each row is asked of one branch only, so that what would fail in the others does not. */
#include <string.h>

#include "filter/filter_eval.h"

static kith_status take_empty(struct frame *frame, const struct node *node, struct reg *out)
{
    kith_status status = kt_reg_take(frame, node->form, out);
    if (status) return status;
    memset(out->known, 0, frame->words * sizeof *out->known);
    if (node->form == FORM_BOOL) memset(out->truth, 0, frame->words * sizeof *out->truth);
    return KITH_OK;
}

/* Evaluates a branch for some rows and puts what is known into `out`. */
static kith_status take_branch(struct frame *frame, const struct node *branch, const uint64_t *rows,
                               struct reg *out)
{
    struct reg value;
    kith_status status = kt_eval(frame, branch, rows, &value);
    if (!status) kt_reg_merge(frame, branch->form, out, &value, value.known);
    return status;
}

kith_status kt_eval_case(struct frame *frame, const struct node *node, const uint64_t *among, struct reg *out)
{
    uint64_t left[KT_PIECE_WORDS], here[KT_PIECE_WORDS];
    kith_status status = take_empty(frame, node, out);
    struct mark mark = kt_mark(frame);
    uint32_t pairs = node->count / 2;
    memcpy(left, among, frame->words * sizeof *left);
    for (uint32_t i = 0; !status && i < pairs; i++) {
        struct reg when;
        status = kt_eval(frame, node->args[2 * i], left, &when);
        if (status) break;
        memcpy(here, when.truth, frame->words * sizeof *here);
        kt_rewind(frame, mark);
        status = take_branch(frame, node->args[2 * i + 1], here, out);
        kt_rewind(frame, mark);
        for (uint32_t w = 0; w < frame->words; w++) left[w] &= ~here[w];
    }
    if (!status && node->count % 2) status = take_branch(frame, node->args[node->count - 1], left, out);
    kt_rewind(frame, mark);
    return status;
}

kith_status kt_eval_coalesce(struct frame *frame, const struct node *node, const uint64_t *among,
                             struct reg *out)
{
    uint64_t left[KT_PIECE_WORDS];
    kith_status status = take_empty(frame, node, out);
    struct mark mark = kt_mark(frame);
    memcpy(left, among, frame->words * sizeof *left);
    for (uint32_t i = 0; !status && i < node->count; i++) {
        status = take_branch(frame, node->args[i], left, out);
        for (uint32_t w = 0; w < frame->words; w++) left[w] &= ~out->known[w];
        kt_rewind(frame, mark);
    }
    return status;
}
