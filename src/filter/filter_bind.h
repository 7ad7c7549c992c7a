/* What the files of binding share: nodes made and refused, the settling of kinds of functions, and the plans
 * that are prepared for rows. */
#ifndef KT_FILTER_BIND_H
#define KT_FILTER_BIND_H

#include "filter/filter_eval.h"

struct binder {
    struct kt_filter *filter;
    const char *text;
    kith_error *error;
};
void *kt_bind_take(struct binder *binder, size_t count, size_t size); /* zeroed; NULL: memory is out, said */
/** A node with room for `count` arguments, which stands where `at` does. */
struct node *kt_bind_node(struct binder *binder, enum kt_fn fn, const struct node *at, uint32_t count);
struct node *kt_bind_literal(struct binder *binder, const struct node *at, const struct kt_field *type,
                             const struct cell *cell);
struct node *kt_bind_null(struct binder *binder, const struct node *at, enum kt_type type);
kith_status kt_bind_fail(struct binder *binder, kith_status status, const struct node *at, const char *format,
                         ...) __attribute__((format(printf, 4, 5)));
enum { KT_TYPE_TEXT = 128 };
void kt_bind_type_text(const struct node *node, char text[KT_TYPE_TEXT]);
/** One step further into a struct. */
kith_status kt_bind_step(struct binder *binder, struct node *node, const char *name);
kith_status kt_bind_expr(struct binder *binder, const struct kt_expr *expr, struct node **out);
/** Settles types of a node whose arguments are bound; may put another node in its place. */
kith_status kt_bind_call(struct binder *binder, struct node **node);
/** Puts arguments of predicates in order, makes lookups, conjuncts and probes (filter_order.c). */
kith_status kt_order(struct binder *binder, bool predicate);

/* ---- kinds of functions ---- */

/* Each settles a node whose arguments are bound, and may put another node in its place. */
kith_status kt_bind_compare(struct binder *binder, struct node **node);
kith_status kt_bind_in(struct binder *binder, struct node **node);
kith_status kt_bind_arithmetic(struct binder *binder, struct node **node);
kith_status kt_bind_rounding(struct binder *binder, struct node **node); /* one number, and what rounds it */
kith_status kt_bind_date_part(struct binder *binder, struct node **node);
kith_status kt_bind_written_cast(struct binder *binder, struct node **node);
/** The literals among the items of an IN, as a set of values of its first argument's type. */
kith_status kt_bind_set(struct binder *binder, const struct node *node, struct test **out);
/** `node` is a field of its first argument, a struct out of a list. */
kith_status kt_bind_field(struct binder *binder, struct node *node, const char *name);
kith_status kt_bind_like(struct binder *binder, struct node *node);
/** The node as a test: of a range; of texts that begin with `prefix` and are its first argument. */
kith_status kt_bind_range(struct binder *binder, struct node *node, const struct node *subject,
                          const struct range *range);
kith_status kt_bind_prefix(struct binder *binder, struct node *node, struct slice prefix);
/** Puts a cast in a node's place, where its type is another one; a literal becomes another literal. */
kith_status kt_bind_cast(struct binder *binder, enum kt_fn fn, const struct kt_field *type,
                         struct node **node);
/** Evaluates a node of literals and puts the literal in its place. */
kith_status kt_bind_fold(struct binder *binder, struct node **node);
/** KITH_TYPE naming both types; KITH_INVALID for a text literal that is no value of the other's type. */
kith_status kt_bind_mismatch(struct binder *binder, const struct node *node, const struct node *a,
                             const struct node *b);
kith_status kt_bind_unreadable(struct binder *binder, const struct node *literal, const struct node *other);

/* ---- plans ---- */

struct like; /* filter_like.c */
/** `*fault` says what is wrong with the pattern, or is NULL. */
kith_status kt_like_make(struct kt_arena *arena, struct slice pattern, const struct slice *escape,
                         struct like **out, const char **fault, kith_error *error);
bool kt_like_match(const struct like *like, struct slice text);
bool kt_like_is_text(const struct like *like, struct slice *text); /* no wildcards */
bool kt_like_is_prefix(const struct like *like, struct slice *prefix);

struct regexp; /* filter_regexp.c */
struct regexp_fault {
    uint32_t at; /* in characters */
    const char *words;
};
/** KITH_INVALID with `fault` filled; KITH_NO_MEMORY. */
kith_status kt_regexp_make(struct kt_arena *arena, struct slice pattern, struct regexp **out,
                           struct regexp_fault *fault, kith_error *error);

/** Small letters by Unicode; `*out` may be `text` itself. False when memory is out. */
bool kt_lower(struct kt_arena *arena, struct slice text, struct slice *out);

struct date_part { /* filter_eval_time.c */
    const char *name;
    int which;
    bool gives_double;
};
bool kt_date_part_named(struct slice name, struct date_part *out);
bool kt_date_part_fits(const struct date_part *part, const struct kt_field *type);

#endif
