/* What the files that evaluate rows share: the frame of one call, its stack of registers, and the functions
 * that nodes are given when they are bound. */
#ifndef KT_FILTER_EVAL_H
#define KT_FILTER_EVAL_H

#include "filter/filter_meaning.h"

/* ---- a call ---- */

struct lookup; /* filter_eval_test.c */

struct frame {
    const struct kt_filter *filter;
    const struct kt_filter_rows *rows;
    const struct kt_array *stand_in; /* the values of a dictionary are the rows: what every column is then */
    bool all_null;                   /* every column is null in every row */
    uint32_t first, count, words;    /* the piece at hand */
    struct stack_block *block;       /* of registers */
    struct kt_arena *scratch;        /* for as long as the call */
    struct kt_arena texts;           /* for as long as the piece */
    uint8_t *text;
    size_t text_left;
    struct lookup **lookups;
    kith_error *error;
};

/* Registers live on a stack: a node takes its own, then those of its arguments, and rewinds to its own. */
struct mark {
    struct stack_block *block;
    size_t used;
};
kith_status kt_frame_init(struct frame *frame, const struct kt_filter *filter,
                          const struct kt_filter_rows *rows, struct kt_arena *scratch, kith_error *error);
/** The next piece; `among` receives its rows asked for, of those of the whole call (NULL: all). */
void kt_frame_piece(struct frame *frame, uint32_t first, uint32_t count, const uint64_t *all,
                    uint64_t among[KT_PIECE_WORDS]);
struct mark kt_mark(const struct frame *frame);
void kt_rewind(struct frame *frame, struct mark mark);
kith_status kt_reg_take(struct frame *frame, enum form form, struct reg *out);
void *kt_stack_take(struct frame *frame, size_t bytes);  /* NULL: memory is out, said */
uint8_t *kt_text_take(struct frame *frame, size_t size); /* until the piece ends; NULL: memory is out, said */

static inline kith_status kt_eval(struct frame *frame, const struct node *node, const uint64_t *among,
                                  struct reg *out)
{
    return node->eval(frame, node, among, out);
}

/* Rows whose bit is set, one after another. */
struct walk {
    const uint64_t *bits;
    uint32_t words, at;
    uint64_t left;
};
static inline struct walk kt_walk(const uint64_t *bits, uint32_t words)
{
    return (struct walk){ .bits = bits, .words = words, .left = words ? bits[0] : 0 };
}
static inline bool kt_walk_next(struct walk *walk, uint32_t *row)
{
    while (!walk->left) {
        if (walk->at + 1 >= walk->words) return false;
        walk->left = walk->bits[++walk->at];
    }
    *row = walk->at * 64 + (uint32_t)__builtin_ctzll(walk->left);
    walk->left &= walk->left - 1;
    return true;
}
static inline bool kt_row_bit(const uint64_t *bits, uint32_t row)
{
    return bits[row / 64] >> (row % 64) & 1;
}
static inline void kt_row_set(uint64_t *bits, uint32_t row)
{
    bits[row / 64] |= UINT64_C(1) << (row % 64);
}
static inline void kt_row_clear(uint64_t *bits, uint32_t row)
{
    bits[row / 64] &= ~(UINT64_C(1) << (row % 64));
}

static inline uint64_t kt_row_id(const struct frame *frame, uint32_t row)
{
    const struct kt_filter_rows *rows = frame->rows;
    return rows->row_ids ? rows->row_ids[frame->first + row] : rows->first_row + frame->first + row;
}

/* ---- single values of registers and arrays ---- */

void kt_reg_cell(const struct reg *reg, enum form form, uint32_t row, struct cell *out);
void kt_reg_put(struct reg *reg, enum form form, uint32_t row, const struct cell *cell); /* not `known` */
/** Copies rows from one register into another; each is then known where it was. */
void kt_reg_merge(const struct frame *frame, enum form form, struct reg *to, const struct reg *from,
                  const uint64_t *rows);
void kt_array_cell(const struct kt_array *array, int64_t row, struct cell *out);

/* ---- functions of one row ---- */

struct call {
    struct frame *frame;
    const struct node *node;
    struct reg *args;
    struct reg *out;
};
static inline void kt_call_null(struct call *call, uint32_t row)
{
    kt_row_clear(call->out->known, row);
}
/** Bytes for a result of this row, borrowed from the frame. */
kith_status kt_call_text(struct call *call, uint32_t row, size_t size, uint8_t **out);
kith_status kt_eval_rows(struct frame *frame, const struct node *node, const uint64_t *among,
                         struct reg *out);

/* ---- columns ---- */

struct source { /* rows of a column: row i of the piece is `row` + i of the array */
    const struct kt_array *array;
    int64_t row;
};
/** Finds a column, and takes rows that are null out of `known`, which comes as the rows asked for; but not
 * those whose text in the dictionary is null. The array is NULL where all rows are null anyway. */
struct source kt_locate(const struct frame *frame, const struct place *place, uint64_t *known);
/** The column's values in the form of its type. `out` has room for them and knows what kt_locate() found;
 * texts that are null in the dictionary are taken out. May make `out` point into the column. */
void kt_load(const struct frame *frame, const struct source *source, struct reg *out);
uint64_t kt_load_bits(const uint8_t *bits, int64_t at, uint32_t count); /* 1..64 of them */

/* ---- what nodes are evaluated by ---- */

kith_status kt_eval_literal(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_column(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_and(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_or(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_not(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_is(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_test(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_lookup(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_compare(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_in(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_nullif(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_most(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_case(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_coalesce(struct frame *, const struct node *, const uint64_t *, struct reg *);

kith_status kt_eval_element(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_array_has(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_arithmetic(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_span(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_same(struct frame *, const struct node *, const uint64_t *, struct reg *);
kith_status kt_eval_to_double(struct frame *, const struct node *, const uint64_t *, struct reg *);

kith_status kt_row_array_length(struct call *call, uint32_t row);
kith_status kt_row_cast(struct call *call, uint32_t row);
kith_status kt_row_concat(struct call *call, uint32_t row);
kith_status kt_row_contains(struct call *call, uint32_t row);
kith_status kt_row_date_part(struct call *call, uint32_t row);
kith_status kt_row_ends_with(struct call *call, uint32_t row);
kith_status kt_row_ilike(struct call *call, uint32_t row);
kith_status kt_row_json_get(struct call *call, uint32_t row);
kith_status kt_row_json_text(struct call *call, uint32_t row);
kith_status kt_row_length(struct call *call, uint32_t row);
kith_status kt_row_like(struct call *call, uint32_t row);
kith_status kt_row_lower(struct call *call, uint32_t row);
kith_status kt_row_regexp(struct call *call, uint32_t row);
kith_status kt_row_rounding(struct call *call, uint32_t row);
kith_status kt_row_size(struct call *call, uint32_t row);
kith_status kt_row_starts_with(struct call *call, uint32_t row);
kith_status kt_row_substr(struct call *call, uint32_t row);
kith_status kt_row_trim(struct call *call, uint32_t row);
kith_status kt_row_upper(struct call *call, uint32_t row);

/** Where `what`, not empty, first is in `text`; NULL when it is not. */
const uint8_t *kt_find(struct slice text, struct slice what);
/** Whether two values that are not null are equal. */
bool kt_pair_equal(const struct pair *pair, const struct cell *a, const struct cell *b);
/** The known rows of a register that pass a test. */
void kt_test_reg(const struct frame *frame, const struct test *test, const struct reg *reg, uint64_t *hits);
/** One value of an expression of literals. Its text goes to the filter's arena. */
kith_status kt_eval_constant(struct kt_filter *filter, const struct node *node, struct cell *out,
                             kith_error *error);

#endif
