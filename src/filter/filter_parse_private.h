/* What lexer, grammar and parser share: tokens, and what the rules of the grammar do. */
#ifndef KT_FILTER_PARSE_PRIVATE_H
#define KT_FILTER_PARSE_PRIVATE_H

#include "filter/filter_private.h"

struct kt_token { /* a piece of the text */
    uint32_t start, size;
};

struct kt_args { /* expressions between commas; zeroed is empty */
    struct kt_expr **items;
    uint32_t count, room;
};

struct kt_parse { /* one text being read */
    const char *text;
    uint32_t size;
    const struct kt_parameter *parameters;
    size_t count;
    bool *used;         /* of each parameter */
    size_t marks;       /* `?` met so far */
    kith_status status; /* the first failure: from there on the rules only release what they are given */
    kith_error *error;
    struct kt_expr *result;
};

/* ---- filter_lex.c ---- */

/** The next token from *at on: its kind, 0 at the end, or -1 with the failure in `parse`. */
int kt_lex(struct kt_parse *parse, uint32_t *at, struct kt_token *token);
/** Whether the word means something to the grammar, so that a column of this name is written with quotes. */
bool kt_is_word_of_grammar(const char *word, size_t size);

/* ---- filter_parse.c: what the rules do. Each takes its expressions over; after a failure all are NULL. ----
 */

/** Notes the first failure, shown at the token. */
void kt_parse_fail(struct kt_parse *parse, struct kt_token at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** From the start of the one to the end of the other. */
struct kt_token kt_token_to(struct kt_token first, struct kt_token last);

void kt_args_add(struct kt_parse *parse, struct kt_args *args, struct kt_expr *x);
void kt_args_release(struct kt_args *args);

/** A function of x; the token is what is written before or after it. */
struct kt_expr *kt_parse_one(struct kt_parse *parse, enum kt_fn fn, struct kt_expr *x, struct kt_token token);
struct kt_expr *kt_parse_two(struct kt_parse *parse, enum kt_fn fn, struct kt_expr *x, struct kt_expr *y);
struct kt_expr *kt_parse_not_if(struct kt_parse *parse, bool negated, struct kt_expr *x);
struct kt_expr *kt_parse_in(struct kt_parse *parse, struct kt_expr *x, struct kt_args items,
                            struct kt_token last);
struct kt_expr *kt_parse_in_list(struct kt_parse *parse, struct kt_expr *x, struct kt_expr *list);
/** `escape` is NULL where none is written. */
struct kt_expr *kt_parse_like(struct kt_parse *parse, enum kt_fn fn, struct kt_expr *x,
                              struct kt_expr *pattern, struct kt_expr *escape);
struct kt_expr *kt_parse_between(struct kt_parse *parse, struct kt_expr *x, struct kt_expr *low,
                                 struct kt_expr *high);
struct kt_expr *kt_parse_case(struct kt_parse *parse, struct kt_token span, struct kt_args whens);
/** Of `CASE x WHEN`: makes comparisons with x of the values after WHEN. */
void kt_parse_case_of(struct kt_parse *parse, struct kt_expr *x, struct kt_args *whens);
struct kt_expr *kt_parse_call(struct kt_parse *parse, struct kt_token name, struct kt_args args,
                              struct kt_token last);
struct kt_expr *kt_parse_extract(struct kt_parse *parse, struct kt_token name, struct kt_token part,
                                 struct kt_expr *x, struct kt_token last);
struct kt_expr *kt_parse_cast(struct kt_parse *parse, struct kt_expr *x, struct kt_token type);
/** CAST(x AS type): `name` must be one of the two casts. */
struct kt_expr *kt_parse_cast_call(struct kt_parse *parse, struct kt_token name, struct kt_expr *x,
                                   struct kt_token type, struct kt_token last);
struct kt_expr *kt_parse_column(struct kt_parse *parse, struct kt_token name);
struct kt_expr *kt_parse_field(struct kt_parse *parse, struct kt_expr *x, struct kt_token name);
struct kt_expr *kt_parse_element(struct kt_parse *parse, struct kt_expr *x, struct kt_expr *which,
                                 struct kt_token last);
struct kt_expr *kt_parse_number(struct kt_parse *parse, struct kt_token token);
struct kt_expr *kt_parse_text(struct kt_parse *parse, struct kt_token token);
struct kt_expr *kt_parse_bytes(struct kt_parse *parse, struct kt_token token);
struct kt_expr *kt_parse_null(struct kt_parse *parse, struct kt_token token);
struct kt_expr *kt_parse_truth(struct kt_parse *parse, bool truth, struct kt_token token);
struct kt_expr *kt_parse_typed(struct kt_parse *parse, struct kt_token word, struct kt_token text);
/** decimal(10,2) '...' */
struct kt_expr *kt_parse_typed_cast(struct kt_parse *parse, struct kt_token word, struct kt_token type,
                                    struct kt_token text);
struct kt_expr *kt_parse_list(struct kt_parse *parse, struct kt_token span, struct kt_args items);
struct kt_expr *kt_parse_parameter(struct kt_parse *parse, struct kt_token token);

/* What could have stood where a token was found that could not. */
struct kt_expected {
    bool end, value, name, operation, text, open, when, then, otherwise, as;
    bool close, close_bracket, comma, is_what, from;
    bool after_not; /* an operator that NOT may stand before */
    bool row;       /* it is a second comparison in a row */
};
void kt_parse_unexpected(struct kt_parse *parse, struct kt_token token, const struct kt_expected *expected);

/* ---- made of filter_grammar.y ---- */

void *kt_grammarAlloc(void *(*allocate)(size_t));
void kt_grammar(void *grammar, int kind, struct kt_token token, struct kt_parse *parse);
void kt_grammarFree(void *grammar, void (*release)(void *));

#endif
