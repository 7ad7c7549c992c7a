/* Filters: one tree of typed expressions, and three doors to it: SQL text, JSON (Mongo's and Chroma's, and
 * Haystack's), and builders. A tree is text and numbers until kt_filter_bind() has settled it against a
 * schema; a bound filter is evaluated over batches of rows, column by column, to one bit a row.
 *
 *   filter_lex.c filter_grammar.y filter_parse.c   SQL in
 *   filter_json.c                                  JSON in
 *   filter_tree.c filter_call.c filter_typename.c  building trees
 *   filter_value.c filter_time.c filter_text.c     values as text, SQL out
 *   filter_message.c                               failures, shown where they are
 *   filter_bind*.c filter_types.c filter_settle.c  columns found, types settled, constants folded
 *   filter_order.c                                 what comes first, and what an index may answer
 *   filter_eval*.c                                 over a batch
 *   filter_like.c filter_regexp*.c filter_path.c   what texts are matched with
 *   filter_stats.c                                 what statistics of a block rule out
 *
 * SQL's three-valued logic holds: a row passes where the predicate is true, not where it is null. The JSON
 * forms' rule that a missing field matches "!=" is not a second logic: `$ne` is IS DISTINCT FROM, `$nin` is
 * (x IN (...)) IS NOT TRUE. */
#ifndef KT_FILTER_FILTER_H
#define KT_FILTER_FILTER_H

#include "base/selection.h"
#include "column/column.h"
#include "parallel/parallel.h"

enum { /* what is refused, in words */
       KT_FILTER_TEXT = 64 * 1024,
       KT_FILTER_JSON = 8 * 1024 * 1024, /* bytes of JSON, whose lists are values and not text to be parsed */
       KT_FILTER_DEPTH = 100,
       KT_FILTER_NODES = 10000,
       KT_FILTER_LIST = 100000, /* items of a bound list, which are one node */
       KT_FILTER_PATTERN = 1024
};

/* ---- values ---- */

enum kt_value_kind {
    KT_VALUE_NULL,
    KT_VALUE_BOOL,
    KT_VALUE_INT,
    KT_VALUE_UINT, /* above INT64_MAX only */
    KT_VALUE_FLOAT,
    KT_VALUE_DECIMAL, /* integer * 10^-scale; written as `decimal '1.50'` and by parameters */
    KT_VALUE_TEXT,
    KT_VALUE_BYTES,
    KT_VALUE_DATE,      /* days since 1970-01-01, in `integer` */
    KT_VALUE_TIME,      /* microseconds since midnight */
    KT_VALUE_TIMESTAMP, /* nanoseconds would not reach far: microseconds since 1970-01-01T00:00, and `nanos`
                         */
    KT_VALUE_INTERVAL,  /* months, days, microseconds */
    KT_VALUE_LIST
};

struct kt_value {
    enum kt_value_kind kind;
    bool boolean;
    bool utc;      /* KT_VALUE_TIMESTAMP: written with an offset, and turned to UTC */
    int32_t scale; /* KT_VALUE_DECIMAL */
    int32_t months, days;
    uint32_t nanos; /* 0..999 beyond the microsecond */
    int64_t integer;
    uint64_t natural;
    double number;
    char *text; /* of `size` bytes and a zero; owned */
    size_t size;
    struct kt_value *items; /* KT_VALUE_LIST; owned */
    size_t count;
};
void kt_value_release(struct kt_value *value);
bool kt_value_copy(const struct kt_value *from, struct kt_value *to); /* false when memory is out */
/** Reads a value of `kind` from the text that is between the quotes of its literal: "true", "12"
 * (KT_VALUE_INT gives KT_VALUE_UINT beyond INT64_MAX), "1.5e3", "nan", decimals, dates, times, timestamps,
 * intervals. Spaces around it are passed over. False where it is no such value; needs no memory. Not for
 * text, bytes, lists. */
bool kt_value_read(enum kt_value_kind kind, const char *text, size_t size, struct kt_value *out);

/* ---- the tree ---- */

enum kt_fn {
    KT_FN_LITERAL, /* value */
    KT_FN_COLUMN,  /* path: a column, then fields of structs; "_rowid" is one too, of type uint64 */
    /* logic */
    KT_FN_AND, /* two arguments or more, as KT_FN_OR */
    KT_FN_OR,
    KT_FN_NOT,
    /* comparison */
    KT_FN_EQ,
    KT_FN_NE,
    KT_FN_LT,
    KT_FN_LE,
    KT_FN_GT,
    KT_FN_GE,
    KT_FN_DISTINCT,     /* IS DISTINCT FROM: never null */
    KT_FN_NOT_DISTINCT, /* IS NOT DISTINCT FROM */
    KT_FN_IS_NULL,
    KT_FN_IS_NOT_NULL,
    KT_FN_IS_TRUE,
    KT_FN_IS_NOT_TRUE,
    KT_FN_IS_FALSE,
    KT_FN_IS_NOT_FALSE,
    KT_FN_IN,   /* x, items...; a literal list among the items stands for its own. IN of no items is false */
    KT_FN_LIKE, /* x, pattern, and with three arguments an escape character */
    KT_FN_ILIKE,
    KT_FN_REGEXP, /* regexp_like(x, pattern): linear time */
    /* arithmetic; int64 overflow is an error, division by zero is null, as are the results of null */
    KT_FN_ADD,
    KT_FN_SUB,
    KT_FN_MUL,
    KT_FN_DIV, /* of integers: truncated */
    KT_FN_MOD,
    KT_FN_NEG,
    KT_FN_CONCAT, /* || */
    /* choice */
    KT_FN_CASE, /* condition, value, ..., and with an odd count a last value; CASE x WHEN is rewritten */
    KT_FN_COALESCE,
    KT_FN_NULLIF,
    KT_FN_GREATEST, /* nulls are passed over, as DuckDB does; null when all are */
    KT_FN_LEAST,
    KT_FN_CAST, /* x, to `type` */
    KT_FN_TRY_CAST,
    /* parts */
    KT_FN_ELEMENT,   /* list[i], from 1, from the end when negative; struct['a']; null beyond */
    KT_FN_JSON_GET,  /* x -> 'path' : JSON text */
    KT_FN_JSON_TEXT, /* x ->> 'path' : text */
    /* functions, by name */
    KT_FN_ABS,
    KT_FN_ROUND, /* x, digits */
    KT_FN_FLOOR,
    KT_FN_CEIL,
    KT_FN_LENGTH, /* characters of text, bytes of binary, items of a list */
    KT_FN_LOWER,
    KT_FN_UPPER,
    KT_FN_TRIM,
    KT_FN_LTRIM,
    KT_FN_RTRIM,
    KT_FN_SUBSTR, /* text, from 1, count */
    KT_FN_STARTS_WITH,
    KT_FN_ENDS_WITH,
    KT_FN_CONTAINS, /* of text; of a list it is array_has */
    KT_FN_ARRAY_HAS,
    KT_FN_ARRAY_HAS_ANY,
    KT_FN_ARRAY_HAS_ALL,
    KT_FN_ARRAY_LENGTH,
    KT_FN_DATE_PART, /* 'year', x */
    KT_FN_NOW,       /* folded when bound */
    KT_FN_ISNAN,
    KT_FNS
};

struct kt_expr { /* immutable once made, shared by reference */
    _Atomic uint32_t references;
    enum kt_fn fn;
    uint32_t position, length; /* in the source, for messages; length 0: nowhere */
    struct kt_value value;     /* KT_FN_LITERAL */
    char **path;               /* KT_FN_COLUMN */
    uint32_t path_count;
    bool quoted;           /* KT_FN_COLUMN in double quotes: the text, where no column has that name */
    struct kt_field *type; /* KT_FN_CAST: of a scalar */
    struct kt_expr **args;
    uint32_t count;
    char *source;          /* of the whole text's root: the text, for messages; else NULL */
    uint32_t depth, nodes; /* of the tree from here on; kept under the limits by whoever makes it */
};
struct kt_expr *kt_expr_share(const struct kt_expr *expr);
void kt_expr_release(struct kt_expr *expr); /* NULL is allowed */

/** Makers. Each takes its arguments over, on failure too; the array that holds them stays the caller's.
 * KITH_INVALID beyond a limit or for a wrong number of arguments. */
kith_status kt_expr_literal(struct kt_value *value, struct kt_expr **out, kith_error *error);
kith_status kt_expr_column(const char *const *path, uint32_t count, struct kt_expr **out, kith_error *error);
/** "a.b": field b of column a. */
kith_status kt_expr_path(const char *dotted, struct kt_expr **out, kith_error *error);
kith_status kt_expr_make(enum kt_fn fn, struct kt_expr **args, uint32_t count, struct kt_expr **out,
                         kith_error *error);
/** `type` as SQL names it: "int", "bigint", "double", "varchar", "text", "date", "timestamp",
 * "decimal(10,2)", and Arrow's names, "int64", "float", "utf8". */
kith_status kt_expr_cast(struct kt_expr *x, const char *type, struct kt_expr **out, kith_error *error);
/** By name, as the SQL door and builders call it: "and", "=", "is not null", "in", "lower", "array_has", ...
 * in any case. KITH_INVALID names near functions. */
kith_status kt_expr_call(const char *name, struct kt_expr **args, uint32_t count, struct kt_expr **out,
                         kith_error *error);

/* ---- doors ---- */

/* A value for `?` (name NULL; in order) or `:name`. */
struct kt_parameter {
    const char *name;
    struct kt_value value;
};
/** A whole SQL predicate, or any expression. Every parameter must be used, every `?` and `:name` have one.
 * Messages tell the position with a line of the text and a caret below it; those of binding, too. */
kith_status kt_expr_parse(const char *text, const struct kt_parameter *parameters, size_t count,
                          struct kt_expr **out, kith_error *error);
kith_status kt_expr_from_json(const char *text, size_t size, struct kt_expr **out, kith_error *error);
/** SQL that kt_expr_parse() reads as the same tree. */
kith_status kt_expr_to_sql(const struct kt_expr *expr, struct kt_buffer *out, kith_error *error);
/** kt_fail() with what stands at a position of `text` (may be NULL) shown below the words. */
kith_status kt_fail_at(kith_error *error, kith_status status, const char *text, uint32_t position,
                       uint32_t length, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* ---- bound to a schema ---- */

struct kt_filter; /* immutable; any number of threads evaluate it */

/** Settles columns and types. A name is looked up as it is, then
 * without regard to case. KITH_NOT_FOUND names near columns, KITH_TYPE both types and the position. */
kith_status kt_filter_bind(const struct kt_expr *expr, const struct kt_schema *schema, bool predicate,
                           struct kt_filter **out, kith_error *error);
void kt_filter_free(struct kt_filter *filter);
/** Columns of the schema that it reads, in order of the schema. */
const uint32_t *kt_filter_columns(const struct kt_filter *filter, uint32_t *count);
/** The expression as bound, constants folded, what is cheap and selective first: for explain. */
kith_status kt_filter_tell(const struct kt_filter *filter, struct kt_buffer *out, kith_error *error);

/** What a predicate is to all rows of a block, by its statistics (kt_batches_stats(), as in the log). */
enum kt_verdict { KT_SOME_ROWS, KT_NO_ROW, KT_EVERY_ROW };
enum kt_verdict kt_filter_judge(const struct kt_filter *filter, const json_t *stats);

/* Rows of a block whose columns are lent: batch column i is schema column kt_filter_columns()[i]. */
struct kt_filter_rows {
    struct kt_array *columns;
    uint64_t first_row;      /* of row 0: for _rowid, */
    const uint64_t *row_ids; /* where they do not run on: of each row; else NULL */
    uint32_t count;          /* at most KT_FILTER_ROWS */
    struct kt_work *work;    /* asked every few thousand rows whether to go on; NULL: nobody minds */
};
enum { KT_FILTER_ROWS = 64 * 1024 };
/** One bit a row where the predicate is true, into `bits` (cleared and set here; a whole number of words).
 * With `among`, not NULL, only rows whose bit is set there need be right; the others' bits come out 0.
 * KITH_INVALID for what only shows in a row: overflow. `scratch` is used and not cleared. */
kith_status kt_filter_eval(const struct kt_filter *filter, const struct kt_filter_rows *rows,
                           const uint64_t *among, struct kt_arena *scratch, uint64_t *bits,
                           kith_error *error);
/** The value of an expression for each row, as a column. `field` of the result: kt_filter_field(). */
const struct kt_field *kt_filter_field(const struct kt_filter *filter);
kith_status kt_filter_values(const struct kt_filter *filter, const struct kt_filter_rows *rows,
                             struct kt_builder *builder, uint32_t column, kith_error *error);

/* ---- scalar indexes ---- */

/* What part of a predicate can be answered without a look at each row, by an index or by the ids themselves:
 * a column, or a field of a struct, compared with values. */
#define KT_PROBE_ROW_ID UINT32_MAX
enum kt_probe_kind { KT_PROBE_RANGE, KT_PROBE_IN, KT_PROBE_NULL, KT_PROBE_HAS_ANY, KT_PROBE_HAS_ALL };
struct kt_probe {
    enum kt_probe_kind kind;
    uint32_t column;       /* of the schema; KT_PROBE_ROW_ID: `_rowid`, of a range or a set */
    const uint32_t *steps; /* fields of structs that lead on from it */
    uint32_t step_count;
    struct kt_value low, high; /* KT_PROBE_RANGE, of the column's type (of times, integers in the column's
                                  unit); KT_VALUE_NULL: no bound. What is above infinity is NaN */
    bool low_open, high_open;  /* the bound itself is not in */
    struct kt_value values;    /* a list, sorted as the column sorts, no value twice, no null */
};
/** The conjuncts of the predicate that are probes, 64 at most: borrowed from the filter. */
const struct kt_probe *kt_filter_probes(const struct kt_filter *filter, uint32_t *count);
/** Whether nothing is left to evaluate when probe i was answered for each bit i set in `answered`. */
bool kt_filter_answered(const struct kt_filter *filter, uint64_t answered);
/** Evaluates only what is left when probe i was answered for each bit i set in `answered`. */
kith_status kt_filter_eval_rest(const struct kt_filter *filter, uint64_t answered,
                                const struct kt_filter_rows *rows, const uint64_t *among,
                                struct kt_arena *scratch, uint64_t *bits, kith_error *error);

#endif
