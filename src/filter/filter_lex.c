/* Text to tokens.
 *
 * A word is letters, digits and _, and every byte above ASCII: names in any script need no quotes. Whether a
 * word is a name or a keyword is decided here, by itself; the few keywords that are names as well go back to
 * that in the grammar.
 *
 * What cannot be a token is told here, with what was probably meant: a text that does not end, `&&`, a
 * semicolon. A semicolon and what follows it are never passed over: `price < 3; drop table x` asks for
 * something that a filter does not do.
 */
#include <string.h>
#include <strings.h>

#include "filter/filter_grammar.h"
#include "filter/filter_parse_private.h"

static const struct keyword {
    const char *word;
    int kind;
} keywords[] = {
    { "and", KT_TOKEN_AND },
    { "as", KT_TOKEN_AS },
    { "between", KT_TOKEN_BETWEEN },
    { "case", KT_TOKEN_CASE },
    { "distinct", KT_TOKEN_DISTINCT },
    { "else", KT_TOKEN_ELSE },
    { "end", KT_TOKEN_END },
    { "escape", KT_TOKEN_ESCAPE },
    { "false", KT_TOKEN_FALSE },
    { "from", KT_TOKEN_FROM },
    { "ilike", KT_TOKEN_ILIKE },
    { "in", KT_TOKEN_IN },
    { "is", KT_TOKEN_IS },
    { "like", KT_TOKEN_LIKE },
    { "not", KT_TOKEN_NOT },
    { "null", KT_TOKEN_NULL },
    { "or", KT_TOKEN_OR },
    { "then", KT_TOKEN_THEN },
    { "true", KT_TOKEN_TRUE },
    { "when", KT_TOKEN_WHEN },
};

static int kind_of_word(const char *word, size_t size)
{
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
        if ((*word | 0x20) == keywords[i].word[0] && strncasecmp(keywords[i].word, word, size) == 0 &&
            !keywords[i].word[size])
            return keywords[i].kind;
    return KT_TOKEN_NAME;
}

bool kt_is_word_of_grammar(const char *word, size_t size)
{
    return size < 16 && kind_of_word(word, size) != KT_TOKEN_NAME;
}

/* Longer ones first. */
static const struct symbol {
    const char *text;
    int kind;
} symbols[] = {
    { "->>", KT_TOKEN_ARROW_TEXT }, { "->", KT_TOKEN_ARROW },   { "==", KT_TOKEN_EQ },
    { "=", KT_TOKEN_EQ },           { "!=", KT_TOKEN_NE },      { "<>", KT_TOKEN_NE },
    { "<=", KT_TOKEN_LE },          { "<", KT_TOKEN_LT },       { ">=", KT_TOKEN_GE },
    { ">", KT_TOKEN_GT },           { "||", KT_TOKEN_JOIN },    { "::", KT_TOKEN_COLONS },
    { "+", KT_TOKEN_PLUS },         { "-", KT_TOKEN_MINUS },    { "*", KT_TOKEN_STAR },
    { "/", KT_TOKEN_SLASH },        { "%", KT_TOKEN_PERCENT },  { "(", KT_TOKEN_LP },
    { ")", KT_TOKEN_RP },           { "[", KT_TOKEN_LBRACKET }, { "]", KT_TOKEN_RBRACKET },
    { ",", KT_TOKEN_COMMA },        { ".", KT_TOKEN_DOT },      { "?", KT_TOKEN_PARAMETER },
};

static const struct slip {
    char first;
    const char *meant;
} slips[] = {
    { ';', "a filter is one expression: nothing may follow it, not even a \";\"" },
    { '&', "\"&\" is no operator: write AND" },
    { '|', "\"|\" is no operator: write OR, or || to join texts" },
    { '!', "\"!\" is no operator: write NOT, or != for unequal" },
    { ':', "a \":\" needs the name of a parameter behind it, or another \":\" and a type" },
    { '{', "\"{\" begins nothing here: filters in JSON have a function of their own" },
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* To the first place from `at` on where no digit is. The text ends in a zero byte, which is none. */
static uint32_t skip_digits(const char *text, uint32_t at)
{
    while (is_digit(text[at])) at++;
    return at;
}

static uint32_t skip_word(const char *text, uint32_t at)
{
    while (is_letter(text[at]) || is_digit(text[at])) at++;
    return at;
}

/* Over spaces and comments; false where a comment has no end. */
static bool skip_blank(struct kt_parse *parse, uint32_t *at)
{
    const char *text = parse->text;
    for (;;) {
        if (is_space(text[*at])) {
            ++*at;
        } else if (text[*at] == '-' && text[*at + 1] == '-') {
            *at += (uint32_t)strcspn(text + *at, "\n");
        } else if (text[*at] == '/' && text[*at + 1] == '*') {
            const char *end = strstr(text + *at + 2, "*/");
            if (!end) {
                kt_parse_fail(parse, (struct kt_token){ *at, 2 }, "this comment has no end");
                return false;
            }
            *at = (uint32_t)(end + 2 - text);
        } else {
            return true;
        }
    }
}

/* Between quotes, which are doubled inside. */
static int lex_quoted(struct kt_parse *parse, struct kt_token *token, uint32_t open, int kind)
{
    const char *text = parse->text;
    uint32_t at = open + 1;
    for (; text[at]; at++) {
        if (text[at] != text[open]) continue;
        if (text[at + 1] != text[open]) {
            token->size = at + 1 - token->start;
            return kind;
        }
        at++;
    }
    token->size = 1;
    kt_parse_fail(parse, *token, "this %s has no end: the closing %c is missing",
                  kind == KT_TOKEN_TEXT ? "text" : "name", text[open]);
    return -1;
}

static int lex_bytes(struct kt_parse *parse, struct kt_token *token)
{
    if (lex_quoted(parse, token, token->start + 1, KT_TOKEN_BYTES) < 0) return -1;
    const char *digits = parse->text + token->start + 2;
    size_t size = token->size - 3;
    if (size % 2 == 0 && strspn(digits, "0123456789abcdefABCDEF") == size) return KT_TOKEN_BYTES;
    kt_parse_fail(parse, *token, "bytes are written as pairs of hexadecimal digits, as in X'0F'");
    return -1;
}

static int lex_number(struct kt_parse *parse, struct kt_token *token)
{
    const char *text = parse->text;
    uint32_t at = skip_digits(text, token->start);
    if (text[at] == '.') at = skip_digits(text, at + 1);
    if ((text[at] | 0x20) == 'e') {
        uint32_t sign = text[at + 1] == '-' || text[at + 1] == '+';
        if (is_digit(text[at + 1 + sign])) at = skip_digits(text, at + 1 + sign);
    }
    uint32_t end = skip_word(text, at);
    token->size = end - token->start;
    if (end == at) return KT_TOKEN_NUMBER;
    kt_parse_fail(parse, *token,
                  "\"%.*s\" is no number; a name that begins with a digit is written in backticks",
                  kt_shown(text + token->start, token->size, 40), text + token->start);
    return -1;
}

static int lex_nothing(struct kt_parse *parse, struct kt_token *token)
{
    char c = parse->text[token->start];
    token->size = 1;
    for (size_t i = 0; i < sizeof slips / sizeof slips[0]; i++) {
        if (slips[i].first != c) continue;
        kt_parse_fail(parse, *token, "%s", slips[i].meant);
        return -1;
    }
    if (c < ' ' || c == 0x7f)
        kt_parse_fail(parse, *token, "the control character %d means nothing here", c);
    else
        kt_parse_fail(parse, *token, "\"%c\" means nothing here", c);
    return -1;
}

static int lex_symbol(struct kt_parse *parse, struct kt_token *token)
{
    const char *text = parse->text + token->start;
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        if (*text != symbols[i].text[0]) continue;
        token->size = (uint32_t)strlen(symbols[i].text);
        if (strncmp(text, symbols[i].text, token->size) == 0) return symbols[i].kind;
    }
    if (*text == ':' && is_letter(text[1])) {
        token->size = skip_word(text, 1);
        return KT_TOKEN_PARAMETER;
    }
    return lex_nothing(parse, token);
}

static int lex_word(struct kt_parse *parse, struct kt_token *token)
{
    token->size = skip_word(parse->text, token->start) - token->start;
    return token->size < 16 ? kind_of_word(parse->text + token->start, token->size) : KT_TOKEN_NAME;
}

static int lex(struct kt_parse *parse, struct kt_token *token)
{
    const char *text = parse->text + token->start;
    switch (*text) {
    case '\'':
        return lex_quoted(parse, token, token->start, KT_TOKEN_TEXT);
    case '"':
        return lex_quoted(parse, token, token->start, KT_TOKEN_QUOTED);
    case '`':
        return lex_quoted(parse, token, token->start, KT_TOKEN_NAME);
    case 'x':
    case 'X':
        if (text[1] == '\'') return lex_bytes(parse, token);
        break;
    default:
        break;
    }
    if (is_letter(*text)) return lex_word(parse, token);
    if (is_digit(*text) || (*text == '.' && is_digit(text[1]))) return lex_number(parse, token);
    return lex_symbol(parse, token);
}

int kt_lex(struct kt_parse *parse, uint32_t *at, struct kt_token *token)
{
    if (!skip_blank(parse, at)) return -1;
    *token = (struct kt_token){ .start = *at };
    if (*at == parse->size) return 0;
    int kind = lex(parse, token);
    *at += token->size;
    return kind;
}
