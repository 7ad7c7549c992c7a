/* The filter language. Lemon makes the parser of this file; what each rule builds is in filter_parse.c.
 *
 * A filter is one expression. Operators, weakest first, are those of the table below: they are SQLite's, and
 * DuckDB's where the two agree. `||`, `->` and `->>` bind more tightly than `*`, as in SQLite, so that
 * `meta->>'a' = 'x'` is a comparison. Comparisons by order stand in no row: `1 < x < 5` is refused, since it
 * never means what it says.
 *
 * Some forms are another one written differently, and there is no node for them: BETWEEN is two comparisons,
 * NOT IN and NOT LIKE are a NOT around IN and LIKE, CASE x WHEN compares x with each value.
 *
 * Few words are reserved. Those after %fallback are names where the grammar has no other use for them, and
 * the names of functions, types and `date '...'` are no words of the grammar at all: columns may be called
 * "date", "key", "end" or "when". For a fallback to be safe, a state that could take such a word must say so
 * by name: hence CASE is written out in four rules, without a part that may be empty.
 */
%name kt_grammar
%token_prefix KT_TOKEN_
%token_type { struct kt_token }
%extra_argument { struct kt_parse *parse }
%stack_size 1000 /* a level of a tree takes six at most, and KT_FILTER_DEPTH is 100; the rest is for ((((a)))) */
%stack_overflow {
    kt_parse_fail(parse, (struct kt_token){ 0 }, "the filter is nested too deeply: more than some hundred levels");
}
%include {
#include "filter/filter_parse_private.h"
#define YYNOERRORRECOVERY 1 /* the first error is the one that is told */
}

%fallback NAME WHEN END ESCAPE DISTINCT FROM AS.

%left OR.
%left AND.
%right NOT.
%left EQ NE IS IN LIKE ILIKE BETWEEN.
%nonassoc LT LE GT GE.
%right ESCAPE.
%left PLUS MINUS.
%left STAR SLASH PERCENT.
%left JOIN ARROW ARROW_TEXT.
%right SIGN. /* no token: minus and plus before a value */
%left COLONS LBRACKET DOT.

%type expr { struct kt_expr * }
%destructor expr { kt_expr_release($$); }
%type items { struct kt_args }
%destructor items { kt_args_release(&$$); }
%type args { struct kt_args }
%destructor args { kt_args_release(&$$); }
%type whens { struct kt_args }
%destructor whens { kt_args_release(&$$); }
%type in { bool }
%type between { bool }
%type like_kind { enum kt_fn }

filter ::= expr(X). { parse->result = X; }

/* ---- logic and comparison ---- */

expr(A) ::= LP expr(X) RP.                { A = X; }
expr(A) ::= expr(X) OR expr(Y).           { A = kt_parse_two(parse, KT_FN_OR, X, Y); }
expr(A) ::= expr(X) AND expr(Y).          { A = kt_parse_two(parse, KT_FN_AND, X, Y); }
expr(A) ::= NOT(T) expr(X).               { A = kt_parse_one(parse, KT_FN_NOT, X, T); }
expr(A) ::= expr(X) EQ expr(Y).           { A = kt_parse_two(parse, KT_FN_EQ, X, Y); }
expr(A) ::= expr(X) NE expr(Y).           { A = kt_parse_two(parse, KT_FN_NE, X, Y); }
expr(A) ::= expr(X) LT expr(Y).           { A = kt_parse_two(parse, KT_FN_LT, X, Y); }
expr(A) ::= expr(X) LE expr(Y).           { A = kt_parse_two(parse, KT_FN_LE, X, Y); }
expr(A) ::= expr(X) GT expr(Y).           { A = kt_parse_two(parse, KT_FN_GT, X, Y); }
expr(A) ::= expr(X) GE expr(Y).           { A = kt_parse_two(parse, KT_FN_GE, X, Y); }
expr(A) ::= expr(X) IS NULL(T).           { A = kt_parse_one(parse, KT_FN_IS_NULL, X, T); }
expr(A) ::= expr(X) IS NOT NULL(T).       { A = kt_parse_one(parse, KT_FN_IS_NOT_NULL, X, T); }
expr(A) ::= expr(X) IS TRUE(T).           { A = kt_parse_one(parse, KT_FN_IS_TRUE, X, T); }
expr(A) ::= expr(X) IS NOT TRUE(T).       { A = kt_parse_one(parse, KT_FN_IS_NOT_TRUE, X, T); }
expr(A) ::= expr(X) IS FALSE(T).          { A = kt_parse_one(parse, KT_FN_IS_FALSE, X, T); }
expr(A) ::= expr(X) IS NOT FALSE(T).      { A = kt_parse_one(parse, KT_FN_IS_NOT_FALSE, X, T); }
expr(A) ::= expr(X) IS DISTINCT FROM expr(Y). [IS]     { A = kt_parse_two(parse, KT_FN_DISTINCT, X, Y); }
expr(A) ::= expr(X) IS NOT DISTINCT FROM expr(Y). [IS] { A = kt_parse_two(parse, KT_FN_NOT_DISTINCT, X, Y); }

in(N) ::= IN.     { N = false; }
in(N) ::= NOT IN. { N = true; }
expr(A) ::= expr(X) in(N) LP args(L) RP(E). [IN] {
    A = kt_parse_not_if(parse, N, kt_parse_in(parse, X, L, E));
}
expr(A) ::= expr(X) in(N) LBRACKET args(L) RBRACKET(E). [IN] { /* of values in brackets, as in a list */
    A = kt_parse_not_if(parse, N, kt_parse_in(parse, X, L, E));
}
expr(A) ::= expr(X) in(N) PARAMETER(P). [IN] { /* which is bound to a list */
    A = kt_parse_not_if(parse, N, kt_parse_in_list(parse, X, kt_parse_parameter(parse, P)));
}

between(N) ::= BETWEEN.     { N = false; }
between(N) ::= NOT BETWEEN. { N = true; }
expr(A) ::= expr(X) between(N) expr(L) AND expr(H). [BETWEEN] {
    A = kt_parse_not_if(parse, N, kt_parse_between(parse, X, L, H));
}

like_kind(K) ::= LIKE.       { K = KT_FN_LIKE; }
like_kind(K) ::= ILIKE.      { K = KT_FN_ILIKE; }
expr(A) ::= expr(X) like_kind(K) expr(P). [LIKE]     { A = kt_parse_like(parse, K, X, P, NULL); }
expr(A) ::= expr(X) NOT like_kind(K) expr(P). [LIKE] {
    A = kt_parse_not_if(parse, true, kt_parse_like(parse, K, X, P, NULL));
}
expr(A) ::= expr(X) like_kind(K) expr(P) ESCAPE expr(E). [LIKE] { A = kt_parse_like(parse, K, X, P, E); }
expr(A) ::= expr(X) NOT like_kind(K) expr(P) ESCAPE expr(E). [LIKE] {
    A = kt_parse_not_if(parse, true, kt_parse_like(parse, K, X, P, E));
}

/* ---- arithmetic, texts, JSON ---- */

expr(A) ::= expr(X) PLUS expr(Y).         { A = kt_parse_two(parse, KT_FN_ADD, X, Y); }
expr(A) ::= expr(X) MINUS expr(Y).        { A = kt_parse_two(parse, KT_FN_SUB, X, Y); }
expr(A) ::= expr(X) STAR expr(Y).         { A = kt_parse_two(parse, KT_FN_MUL, X, Y); }
expr(A) ::= expr(X) SLASH expr(Y).        { A = kt_parse_two(parse, KT_FN_DIV, X, Y); }
expr(A) ::= expr(X) PERCENT expr(Y).      { A = kt_parse_two(parse, KT_FN_MOD, X, Y); }
expr(A) ::= expr(X) JOIN expr(Y).         { A = kt_parse_two(parse, KT_FN_CONCAT, X, Y); }
expr(A) ::= expr(X) ARROW expr(Y).        { A = kt_parse_two(parse, KT_FN_JSON_GET, X, Y); }
expr(A) ::= expr(X) ARROW_TEXT expr(Y).   { A = kt_parse_two(parse, KT_FN_JSON_TEXT, X, Y); }
expr(A) ::= MINUS(T) expr(X). [SIGN]      { A = kt_parse_one(parse, KT_FN_NEG, X, T); }
expr(A) ::= PLUS expr(X). [SIGN]          { A = X; }

/* ---- columns and their parts ---- */

expr(A) ::= NAME(N).                      { A = kt_parse_column(parse, N); }
expr(A) ::= QUOTED(N).                    { A = kt_parse_column(parse, N); }
expr(A) ::= expr(X) DOT NAME(N).          { A = kt_parse_field(parse, X, N); }
expr(A) ::= expr(X) DOT QUOTED(N).        { A = kt_parse_field(parse, X, N); }
expr(A) ::= expr(X) LBRACKET expr(Y) RBRACKET(E). { A = kt_parse_element(parse, X, Y, E); }

/* ---- values ---- */

expr(A) ::= NUMBER(T).                    { A = kt_parse_number(parse, T); }
expr(A) ::= TEXT(T).                      { A = kt_parse_text(parse, T); }
expr(A) ::= BYTES(T).                     { A = kt_parse_bytes(parse, T); }
expr(A) ::= NULL(T).                      { A = kt_parse_null(parse, T); }
expr(A) ::= TRUE(T).                      { A = kt_parse_truth(parse, true, T); }
expr(A) ::= FALSE(T).                     { A = kt_parse_truth(parse, false, T); }
expr(A) ::= PARAMETER(T).                 { A = kt_parse_parameter(parse, T); }
expr(A) ::= LBRACKET(F) args(L) RBRACKET(E). { A = kt_parse_list(parse, kt_token_to(F, E), L); }
expr(A) ::= NAME(W) TEXT(T).              { A = kt_parse_typed(parse, W, T); /* date '2024-02-29' */ }
expr(A) ::= NAME(W) LP args(L) RP(E) TEXT(T). { /* decimal(10,2) '1.50' */
    kt_args_release(&L);
    A = kt_parse_typed_cast(parse, W, kt_token_to(W, E), T);
}

/* ---- functions ---- */

expr(A) ::= NAME(N) LP args(L) RP(E).              { A = kt_parse_call(parse, N, L, E); }
expr(A) ::= NAME(N) LP NAME(P) FROM expr(X) RP(E). { A = kt_parse_extract(parse, N, P, X, E); }

args(A) ::= .                             { A = (struct kt_args){ 0 }; }
args(A) ::= items(L).                     { A = L; }
items(A) ::= expr(X). {
    A = (struct kt_args){ 0 };
    kt_args_add(parse, &A, X);
}
items(A) ::= items(L) COMMA expr(X). {
    kt_args_add(parse, &L, X);
    A = L;
}

/* ---- CASE ---- */

expr(A) ::= CASE(F) whens(W) END(E).      { A = kt_parse_case(parse, kt_token_to(F, E), W); }
expr(A) ::= CASE(F) whens(W) ELSE expr(Y) END(E). {
    kt_args_add(parse, &W, Y);
    A = kt_parse_case(parse, kt_token_to(F, E), W);
}
expr(A) ::= CASE(F) expr(X) whens(W) END(E). {
    kt_parse_case_of(parse, X, &W);
    A = kt_parse_case(parse, kt_token_to(F, E), W);
}
expr(A) ::= CASE(F) expr(X) whens(W) ELSE expr(Y) END(E). {
    kt_parse_case_of(parse, X, &W);
    kt_args_add(parse, &W, Y);
    A = kt_parse_case(parse, kt_token_to(F, E), W);
}
whens(A) ::= WHEN expr(C) THEN expr(V). {
    A = (struct kt_args){ 0 };
    kt_args_add(parse, &A, C);
    kt_args_add(parse, &A, V);
}
whens(A) ::= whens(L) WHEN expr(C) THEN expr(V). {
    kt_args_add(parse, &L, C);
    kt_args_add(parse, &L, V);
    A = L;
}

/* ---- casts: a type is the piece of text that names it ---- */

expr(A) ::= NAME(N) LP expr(X) AS type(T) RP(E). { A = kt_parse_cast_call(parse, N, X, T, E); }
expr(A) ::= expr(X) COLONS short_type(T).        { A = kt_parse_cast(parse, X, T); }
type(A) ::= words(W).                            { A = W; }
type(A) ::= words(W) LP numbers RP(E).           { A = kt_token_to(W, E); }
type(A) ::= words(W) LP numbers RP words(E).     { A = kt_token_to(W, E); }
short_type(A) ::= NAME(W).                       { A = W; }
short_type(A) ::= NAME(W) LP numbers RP(E).      { A = kt_token_to(W, E); }
words(A) ::= NAME(W).                            { A = W; }
words(A) ::= words(W) NAME(E).                   { A = kt_token_to(W, E); }
numbers ::= NUMBER.
numbers ::= numbers COMMA NUMBER.

/* ---- what is wrong ---- */

%syntax_error {
    #define CAN(kind) (yy_find_shift_action(KT_TOKEN_##kind, yypParser->yytos->stateno) != YY_ERROR_ACTION)
    bool ended = yy_find_shift_action(0, yypParser->yytos->stateno) != YY_ERROR_ACTION;
    struct kt_expected expected = { .end = ended,
                                    .value = CAN(NUMBER) && CAN(NAME),
                                    .name = CAN(NAME),
                                    .operation = CAN(PLUS) && !CAN(NAME),
                                    .text = CAN(TEXT),
                                    .open = CAN(LP) && !CAN(NAME),
                                    .after_not = CAN(LIKE) && !CAN(PLUS),
                                    .then = CAN(THEN),
                                    .when = CAN(WHEN) && !CAN(ELSE) && !CAN(NAME),
                                    .otherwise = CAN(ELSE),
                                    .as = CAN(AS) && !CAN(NAME),
                                    .close = CAN(RP),
                                    .close_bracket = CAN(RBRACKET),
                                    .comma = CAN(COMMA),
                                    .is_what = CAN(NULL) && !CAN(NAME),
                                    .from = CAN(FROM) && !CAN(NAME) };
    /* Where a row of comparisons ends, the rest would be accepted: each by the end of the first. */
    expected.row = ended && expected.value && yymajor >= KT_TOKEN_LT && yymajor <= KT_TOKEN_GE;
    kt_parse_unexpected(parse, TOKEN, &expected);
    #undef CAN
}
