/* What the files that give a tree its meaning share: nodes of a bound filter, and registers of values.
 *
 * A bound node knows its type, which is a field of the schema or one made up, and its *form*: how its values
 * lie in a register while rows are evaluated. There are few forms for many types, so that a function is
 * written once: all integers but uint64, and all times, are int64; uint64 and decimals are 128 bits; floats
 * are double; texts, binary and dictionaries are slices of bytes that somebody else owns.
 *
 * Rows are evaluated in pieces of KT_PIECE. A register holds one piece: a bit a row that says whether the
 * value is known (not null), and the values. Always, in every register: `known` is 0 outside the rows asked
 * for (`among`), and `truth` is 0 where a condition is not known. The other values under a bit that is 0
 * mean nothing; slices and rows there must not be followed. */
#ifndef KT_FILTER_MEANING_H
#define KT_FILTER_MEANING_H

#include "base/half.h"
#include "filter/filter_private.h"

__extension__ typedef __int128 kt_wide;

enum { KT_PIECE = 2048, KT_PIECE_WORDS = KT_PIECE / 64, KT_ROW_ARGS = 4, KT_PROBES = 64 };

enum form {
    FORM_NULL, /* the literal NULL, before something gives it a type */
    FORM_BOOL,
    FORM_INT,    /* int64: integers; times, in ticks of their type */
    FORM_WIDE,   /* 128 bits: uint64; decimals, in units of their scale */
    FORM_FLOAT,  /* double */
    FORM_BYTES,  /* struct slice */
    FORM_NESTED, /* int64: row of an array of lists or structs */
    FORM_SPAN,   /* an interval: literals only, never in a register */
    FORM_LIST    /* a list of values: literals only */
};

struct slice { /* a literal's has a zero behind it */
    const uint8_t *at;
    size_t size;
};

struct cell { /* one value; what is read of it is what its form says */
    bool null;
    bool truth;
    int32_t months, days; /* FORM_SPAN, with microseconds in `integer` */
    int64_t integer;
    union {
        double number;
        kt_wide wide;
        struct slice bytes;
        const struct kt_array *array; /* FORM_NESTED, with the row in `integer` */
    };
};

struct reg {
    uint64_t *known;
    union {
        void *values;
        uint64_t *truth;
        int64_t *integers;
        kt_wide *wides;
        double *numbers;
        struct slice *bytes;
    };
    const struct kt_array *array; /* FORM_NESTED */
};

/* ---- nodes ---- */

struct frame;
struct node;
struct call;
struct test;
typedef kith_status (*eval_fn)(struct frame *frame, const struct node *node, const uint64_t *among,
                               struct reg *out);
/** One row of a function that is null where an argument is; it calls kt_call_null() where it is so beyond. */
typedef kith_status (*row_fn)(struct call *call, uint32_t row);

struct place {      /* where a column lies */
    int32_t column; /* of the schema; -1: _rowid */
    uint32_t count; /* of steps into structs */
    uint32_t steps[];
};

/* `fn` and `args` say what the node is, and kt_filter_tell() shows it by them; `eval` says how its values are
 * found, which need not take the arguments: a comparison with a constant evaluates only its subject. */
struct node {
    enum kt_fn fn;
    uint32_t position, length;
    struct kt_field type; /* its name, children and zone are borrowed */
    enum form form;
    struct node **args;
    uint32_t count;
    eval_fn eval;
    row_fn row;                    /* for kt_eval_rows() */
    struct cell value;             /* KT_FN_LITERAL */
    const struct kt_value *source; /* KT_FN_LITERAL: a list's values */
    const struct place *place;     /* KT_FN_COLUMN */
    const struct node *subject;    /* of `test` or of a lookup */
    const struct test *test;
    const void *plan; /* what the function prepared when it was bound */
    uint32_t slot;    /* a lookup's, in the frame */
    bool negate;      /* a test: the rows that it refuses */
    bool only_truth;  /* nobody asks whether it is false or null */
    bool may_fail;    /* in a row */
    float cost;       /* of a row, in nanoseconds or so, with all below it */
    float share;      /* of rows that pass, at a guess */
};

static inline bool kt_is_literal(const struct node *node)
{
    return node->fn == KT_FN_LITERAL;
}

static inline bool kt_is_null(const struct node *node) /* the literal */
{
    return node->form == FORM_NULL || (kt_is_literal(node) && node->value.null);
}

/* ---- types and cells (filter_types.c) ---- */

enum form kt_form_of(enum kt_type type);
struct kt_field kt_field_plain(enum kt_type type); /* nullable, without a name; times in microseconds */
bool kt_field_is_number(const struct kt_field *field);
bool kt_field_is_integer(const struct kt_field *field);
bool kt_field_is_float(const struct kt_field *field);
bool kt_field_is_text(const struct kt_field *field);   /* dictionaries of text too */
bool kt_field_is_bytes(const struct kt_field *field);  /* text or binary */
bool kt_field_is_moment(const struct kt_field *field); /* date or timestamp */
bool kt_field_is_list(const struct kt_field *field);
int64_t kt_field_tick(const struct kt_field *field); /* nanoseconds of a time's unit; 0: not a time */
/** The type of values that are made of the type's: text and binary in their plain form. */
struct kt_field kt_field_made(const struct kt_field *type);
/** The type that values of both turn into without a cast being written. */
bool kt_field_common(const struct kt_field *a, const struct kt_field *b, struct kt_field *out);

/** A literal's type and cell. Its text is borrowed from `value`. */
enum form kt_literal_cell(const struct kt_value *value, struct kt_field *type, struct cell *cell);
/** A cell as a value, whose text is the cell's. Times that are to be `stored` are integers in units of their
 * type. */
struct kt_value kt_cell_value(const struct kt_field *type, const struct cell *cell, bool stored);
/** Order of two cells that are not null; NaN is one value, above all others. */
int kt_cell_compare(enum form form, const struct cell *a, const struct cell *b);
int kt_slice_compare(struct slice a, struct slice b);
uint32_t kt_cell_hash(enum form form, const struct cell *cell);
static inline uint32_t kt_hash_integer(uint64_t bits)
{
    return (uint32_t)((bits ^ bits >> 32) * 0x9e3779b97f4a7c15u >> 32);
}

bool kt_wide_scale(kt_wide *value, int32_t digits); /* times 10^digits; false: overflow */
kt_wide kt_wide_power(int32_t digits);              /* 10^digits, 0..38 */
double kt_wide_double(kt_wide value, int32_t scale);
uint16_t kt_half_from(double value);

/* ---- constants against columns (filter_settle.c) ---- */

struct kt_bounds {
    kt_wide low, high;
};
struct kt_bounds kt_field_bounds(const struct kt_field *type); /* of integers, decimals and times */

struct point {         /* where a constant lies among the values that a type can hold */
    struct cell floor; /* the greatest value of the type that is not above it */
    bool exact;        /* it is that value */
    int beyond;        /* -1, 1: below, above all values of the type */
};
enum settle { SETTLED, SETTLE_TYPE, SETTLE_TEXT }; /* types that never meet; a text that cannot be read */
enum settle kt_settle(const struct kt_field *type, const struct kt_field *as, enum form form,
                      const struct cell *constant, struct point *out);
/** Reads a text as what `type` would be compared with; `as` is its own type. */
bool kt_read_cell(const struct kt_field *type, struct slice text, struct kt_field *as, struct cell *out);

struct range {
    bool none; /* nothing is in it */
    bool has_low, has_high, low_open, high_open;
    struct cell low, high; /* never NaN: what is above infinity is NaN */
};
struct range kt_range_of(enum kt_fn comparison, const struct kt_field *type, const struct point *point);
struct range kt_range_meet(enum form form, const struct range *a, const struct range *b);
bool kt_range_has(enum form form, const struct range *range, const struct cell *cell);

enum { KT_FEW_VALUES = 4 }; /* of a set, which are compared one by one */
struct test {               /* values that a row's is compared with */
    enum { TEST_RANGE, TEST_SET } kind;
    enum form form;  /* of the cells */
    bool null_among; /* a row that is not in it is null */
    bool dropped;    /* TEST_SET: a value that the type cannot hold is left out */
    struct range range;
    const struct cell *values; /* TEST_SET: sorted, no value twice */
    uint32_t count;
    const uint32_t *slots; /* TEST_SET: value + 1 by hash; 0 is free */
    uint32_t mask;
    const struct range *ones; /* TEST_SET of few values: each as a range */
    uint64_t sizes;           /* TEST_SET of texts: a bit for each size that one has, modulo 64 */
};
bool kt_test_has(const struct test *test, const struct cell *cell);

struct pair { /* how values of two types compare (filter_eval_compare.c) */
    enum { PAIR_INT, PAIR_FLOAT, PAIR_WIDE, PAIR_BYTES, PAIR_BOOL, PAIR_INT_FLOAT, PAIR_WIDE_FLOAT } kind;
    enum form a, b;
    kt_wide factor_a, factor_b; /* PAIR_WIDE: what makes units of each comparable */
    int32_t scale;              /* PAIR_WIDE_FLOAT: the decimal's */
};
/** False where they never meet. */
bool kt_pair_of(const struct kt_field *a, const struct kt_field *b, struct pair *out);

/* ---- a bound filter ---- */

struct kt_filter {
    struct kt_schema *schema;
    struct kt_expr *expr; /* literals borrow its texts */
    struct kt_arena arena;
    struct node *root;
    struct node **conjuncts; /* a predicate's: the arguments of its AND, in the order they are evaluated */
    int32_t *probe_of;       /* of each conjunct; -1: none */
    uint32_t conjunct_count;
    uint32_t *columns;
    uint32_t column_count;
    int32_t *column_at; /* of each column of the schema: where in `columns`; -1: it is not read */
    uint32_t slot_count;
    struct kt_probe *probes;
    uint32_t probe_count;
};

#endif
