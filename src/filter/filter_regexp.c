/* Regular expressions: a pattern is read and becomes a small program (filter_regexp_run.c runs it).
 *
 * The language is the common part of RE2's and everyone else's; there are no back-references and no looking
 * around, because no program of bounded size does those in linear time.
 *
 *     . [abc] [^a-z] \d \w \s \D \W \S [[:alpha:]]   characters; \d \w \s are ASCII, as in RE2
 *     \n \t \r \f \v \a \x41 \x{20ac} \.             one character
 *     ^ $ \A \z \b \B                                 places
 *     ab  a|b  (a)  (?:a)  (?i:a)                     put together
 *     * + ? {3} {2,} {2,5}, and with a ? behind       how often
 *     (?i) (?s) (?m)                                  from here on: any case; . takes \n; ^ $ at lines
 *
 * It is looked for anywhere in the text, and whether it is there is all that is asked: greedy and reluctant
 * are the same. A repetition is written out, so programs are bounded, and the bound is what refuses a pattern
 * like ((a{900}){900}){900} before it costs anything.
 */
#include <string.h>
#include <utf8proc.h>

#include "filter/filter_regexp.h"

enum {
    PROGRAM_MAX = 20000,
    REPEAT_MAX = 1000,
    DEPTH_MAX = 250 /* of parentheses */
};

/* ---- the pattern as a tree ---- */

enum kind { EMPTY, LEAF, JOIN, EITHER, REPEAT };
struct tree {
    enum kind kind;
    struct instruction leaf;
    struct tree *a, *b;
    int32_t least, most; /* -1: no bound */
};

struct parser {
    struct kt_arena *arena;
    const uint8_t *at, *begin, *end;
    uint32_t depth;
    uint8_t flags;
    const char *fault; /* what is wrong at `at` */
    bool no_memory;
};

static struct tree *fail(struct parser *parser, const char *words)
{
    if (!parser->fault) parser->fault = words;
    return NULL;
}

static void *take(struct parser *parser, size_t size)
{
    void *memory = parser->fault || parser->no_memory ? NULL : kt_arena_take(parser->arena, 1, size);
    if (memory)
        memset(memory, 0, size);
    else if (!parser->fault)
        parser->no_memory = true;
    return memory;
}

static struct tree *tree_new(struct parser *parser, enum kind kind, struct tree *a, struct tree *b)
{
    struct tree *tree = take(parser, sizeof *tree);
    if (tree) *tree = (struct tree){ .kind = kind, .a = a, .b = b };
    return tree;
}

static struct tree *leaf_new(struct parser *parser, enum op op, int32_t character)
{
    struct tree *tree = tree_new(parser, LEAF, NULL, NULL);
    if (tree)
        tree->leaf =
            (struct instruction){ .op = (uint8_t)op, .flags = parser->flags, .character = character };
    return tree;
}

static bool next_is(struct parser *parser, const char *text)
{
    size_t size = strlen(text);
    if ((size_t)(parser->end - parser->at) < size || memcmp(parser->at, text, size) != 0) return false;
    parser->at += size;
    return true;
}

/* The next character; patterns are valid UTF-8. */
static int32_t next_character(struct parser *parser)
{
    utf8proc_int32_t character = -1;
    utf8proc_ssize_t size = utf8proc_iterate(parser->at, parser->end - parser->at, &character);
    parser->at += size > 0 ? size : 1;
    return character;
}

/* ---- classes ---- */

struct spans {
    struct span *at;
    uint32_t count, room;
};

static bool add_span(struct parser *parser, struct spans *spans, int32_t low, int32_t high)
{
    if (spans->count == spans->room) {
        uint32_t room = spans->room ? spans->room * 2 : 8;
        struct span *more = take(parser, room * sizeof *more);
        if (!more) return false;
        if (spans->count) memcpy(more, spans->at, spans->count * sizeof *more);
        spans->at = more;
        spans->room = room;
    }
    spans->at[spans->count++] = (struct span){ low, high };
    return true;
}

static const struct named {
    const char *name;
    struct span spans[4];
    uint32_t count;
} named[] = {
    { "d", { { '0', '9' } }, 1 },
    { "w", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
    { "s", { { '\t', '\n' }, { '\f', '\r' }, { ' ', ' ' } }, 3 },
    { "[:alpha:]", { { 'A', 'Z' }, { 'a', 'z' } }, 2 },
    { "[:digit:]", { { '0', '9' } }, 1 },
    { "[:alnum:]", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } }, 3 },
    { "[:upper:]", { { 'A', 'Z' } }, 1 },
    { "[:lower:]", { { 'a', 'z' } }, 1 },
    { "[:space:]", { { '\t', '\r' }, { ' ', ' ' } }, 2 },
    { "[:punct:]", { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } }, 4 },
    { "[:xdigit:]", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } }, 3 },
    { "[:word:]", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
};
enum { NAMED = sizeof named / sizeof named[0], CHARACTER_MAX = 0x10ffff };

/* A named class or all but it; its spans are in order. */
static bool add_named(struct parser *parser, struct spans *spans, const struct named *set, bool negated)
{
    int32_t from = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        struct span span = set->spans[i];
        if (!negated && !add_span(parser, spans, span.low, span.high)) return false;
        if (negated && !add_span(parser, spans, from, span.low - 1)) return false;
        from = span.high + 1;
    }
    return !negated || add_span(parser, spans, from, CHARACTER_MAX);
}

/* \d and its kin; the backslash is behind us. */
static const struct named *class_escape(struct parser *parser, bool *negated)
{
    if (parser->at == parser->end) return NULL;
    char letter = (char)*parser->at, small = (char)(letter | 0x20);
    for (uint32_t i = 0; i < 3; i++) {
        if (named[i].name[0] != small) continue;
        *negated = letter != small;
        parser->at++;
        return &named[i];
    }
    return NULL;
}

static int32_t hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \x41, \x{20ac} */
static int32_t hex_escape(struct parser *parser)
{
    int32_t value = 0, digits = 0;
    bool braces = next_is(parser, "{");
    while (parser->at < parser->end && hex_digit(*parser->at) >= 0 && digits < (braces ? 6 : 2)) {
        value = value * 16 + hex_digit(*parser->at++);
        digits++;
    }
    if (!digits || value > CHARACTER_MAX || (braces && !next_is(parser, "}")) || (!braces && digits < 2))
        fail(parser, "\\x takes two hexadecimal digits, or some in braces");
    return value;
}

/* One character after a backslash; -1: not one. */
static int32_t character_escape(struct parser *parser)
{
    static const char letters[] = "ntrfva", meanings[] = "\n\t\r\f\v\a";
    if (parser->at == parser->end) {
        fail(parser, "it ends with a backslash");
        return -1;
    }
    const char *letter = strchr(letters, *parser->at);
    if (next_is(parser, "x")) return hex_escape(parser);
    if (letter && *letter) {
        parser->at++;
        return meanings[letter - letters];
    }
    bool word = (*parser->at | 0x20) >= 'a' && (*parser->at | 0x20) <= 'z';
    if (word || (*parser->at >= '0' && *parser->at <= '9')) {
        fail(parser, "there is no such escape");
        return -1;
    }
    return next_character(parser);
}

/* One character within brackets, or a class in *set. */
static int32_t class_item(struct parser *parser, const struct named **set, bool *negated)
{
    *set = NULL;
    *negated = false;
    for (uint32_t i = 3; i < NAMED; i++)
        if (next_is(parser, named[i].name)) {
            *set = &named[i];
            return 0;
        }
    if (!next_is(parser, "\\")) return next_character(parser);
    *set = class_escape(parser, negated);
    return *set ? 0 : character_escape(parser);
}

static struct tree *class_leaf(struct parser *parser, const struct spans *spans, bool negated)
{
    struct charset *charset = take(parser, sizeof *charset);
    struct tree *tree = charset ? leaf_new(parser, OP_CLASS, 0) : NULL;
    if (!tree) return NULL;
    *charset = (struct charset){ spans->at, spans->count };
    tree->leaf.charset = charset;
    if (negated) tree->leaf.flags |= NEGATED;
    return tree;
}

/* [...]; the bracket is behind us. */
static struct tree *parse_class(struct parser *parser)
{
    struct spans spans = { 0 };
    bool negated = next_is(parser, "^"), first = true, out;
    const struct named *set;
    while (first || !next_is(parser, "]")) {
        if (parser->at == parser->end) return fail(parser, "a bracket is not closed");
        first = false;
        int32_t low = class_item(parser, &set, &out), high = low;
        if (parser->fault) return NULL;
        if (set) {
            if (!add_named(parser, &spans, set, out)) return NULL;
            continue;
        }
        if (parser->end - parser->at >= 2 && parser->at[0] == '-' && parser->at[1] != ']') {
            parser->at++;
            high = class_item(parser, &set, &out);
            if (set || high < low) return fail(parser, "a range of characters ends before it begins");
        }
        if (!add_span(parser, &spans, low, high)) return NULL;
    }
    return class_leaf(parser, &spans, negated);
}

/* ---- the grammar ---- */

static struct tree *parse_either(struct parser *parser);

static bool set_flags(struct parser *parser) /* up to ':' or ')' */
{
    bool off = false;
    for (; parser->at < parser->end; parser->at++) {
        uint8_t flag = *parser->at == 'i'   ? FOLD
                       : *parser->at == 'm' ? LINES
                       : *parser->at == 's' ? NEWLINE
                                            : 0;
        if (*parser->at == '-' && !off)
            off = true;
        else if (flag)
            parser->flags = (uint8_t)(off ? parser->flags & ~flag : parser->flags | flag);
        else
            return *parser->at == ':' || *parser->at == ')';
    }
    return false;
}

/* (...); the parenthesis is behind us. Flags that are set alone hold for the rest of the group around. */
static struct tree *parse_group(struct parser *parser)
{
    uint8_t flags = parser->flags;
    if (next_is(parser, "?P<") ||
        (next_is(parser, "?<") && parser->at < parser->end && *parser->at != '=' && *parser->at != '!')) {
        while (parser->at < parser->end && *parser->at != '>') parser->at++;
        if (!next_is(parser, ">")) return fail(parser, "the name of a group is not closed");
    } else if (next_is(parser, "?")) {
        if (!set_flags(parser)) return fail(parser, "a group begins with what is not known here");
        if (next_is(parser, ")")) return tree_new(parser, EMPTY, NULL, NULL);
        parser->at++;
    }
    if (++parser->depth > DEPTH_MAX) return fail(parser, "it is nested too deep");
    struct tree *tree = parse_either(parser);
    parser->depth--;
    parser->flags = flags;
    if (!next_is(parser, ")")) return fail(parser, "a parenthesis is not closed");
    return tree;
}

static struct tree *parse_escape(struct parser *parser)
{
    bool negated;
    struct spans spans = { 0 };
    const struct named *set = class_escape(parser, &negated);
    if (set) return add_named(parser, &spans, set, negated) ? class_leaf(parser, &spans, false) : NULL;
    struct tree *tree = NULL;
    if (next_is(parser, "A"))
        tree = leaf_new(parser, OP_BEGIN, 0);
    else if (next_is(parser, "z"))
        tree = leaf_new(parser, OP_END, 0);
    if (tree) tree->leaf.flags &= (uint8_t)~LINES;
    if (tree) return tree;
    if (next_is(parser, "b")) return leaf_new(parser, OP_WORD, 0);
    if (next_is(parser, "B")) {
        tree = leaf_new(parser, OP_WORD, 0);
        if (tree) tree->leaf.flags |= NEGATED;
        return tree;
    }
    int32_t character = character_escape(parser);
    return parser->fault ? NULL : leaf_new(parser, OP_CHAR, character);
}

static struct tree *parse_atom(struct parser *parser)
{
    if (next_is(parser, "(")) return parse_group(parser);
    if (next_is(parser, "[")) return parse_class(parser);
    if (next_is(parser, "\\")) return parse_escape(parser);
    if (next_is(parser, ".")) return leaf_new(parser, OP_ANY, 0);
    if (next_is(parser, "^")) return leaf_new(parser, OP_BEGIN, 0);
    if (next_is(parser, "$")) return leaf_new(parser, OP_END, 0);
    if (strchr("*+?", *parser->at)) return fail(parser, "there is nothing to repeat");
    return leaf_new(parser, OP_CHAR, next_character(parser));
}

static bool parse_number(struct parser *parser, int32_t *out)
{
    const uint8_t *from = parser->at;
    *out = 0;
    for (; parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9'; parser->at++)
        if (*out <= REPEAT_MAX) *out = *out * 10 + (*parser->at - '0');
    return parser->at > from;
}

/* {3} {2,} {2,5}; what is not of that form is an ordinary brace. */
static bool parse_braces(struct parser *parser, int32_t *least, int32_t *most)
{
    const uint8_t *from = parser->at;
    bool fine = next_is(parser, "{") && parse_number(parser, least);
    *most = *least;
    if (fine && next_is(parser, ",") && !parse_number(parser, most)) *most = -1;
    if (fine && next_is(parser, "}")) return true;
    parser->at = from;
    return false;
}

static struct tree *parse_repeat(struct parser *parser)
{
    struct tree *tree = parse_atom(parser);
    bool repeated = false;
    while (tree && parser->at < parser->end) {
        int32_t least = 0, most = -1;
        if (next_is(parser, "+"))
            least = 1;
        else if (next_is(parser, "?"))
            most = 1;
        else if (!next_is(parser, "*") && !parse_braces(parser, &least, &most))
            break;
        if (least > REPEAT_MAX || most > REPEAT_MAX) return fail(parser, "more than 1000 repetitions");
        if (most >= 0 && most < least) return fail(parser, "a repetition ends before it begins");
        if (repeated) return fail(parser, "a repetition is repeated; put parentheses around it");
        repeated = true;
        next_is(parser, "?"); /* reluctant: the same here */
        tree = tree_new(parser, REPEAT, tree, NULL);
        if (tree) tree->least = least;
        if (tree) tree->most = most;
    }
    return tree;
}

static struct tree *parse_join(struct parser *parser)
{
    struct tree *tree = tree_new(parser, EMPTY, NULL, NULL);
    while (tree && parser->at < parser->end && *parser->at != '|' && *parser->at != ')') {
        struct tree *next = parse_repeat(parser);
        tree = next ? tree_new(parser, JOIN, tree, next) : NULL;
    }
    return tree;
}

static struct tree *parse_either(struct parser *parser)
{
    struct tree *tree = parse_join(parser);
    while (tree && next_is(parser, "|")) {
        struct tree *other = parse_join(parser);
        tree = other ? tree_new(parser, EITHER, tree, other) : NULL;
    }
    return tree;
}

/* ---- the tree as a program ---- */

struct emitter {
    struct instruction *program;
    uint32_t size;
    bool full;
};

static uint32_t emit(struct emitter *emitter, struct instruction instruction)
{
    if (emitter->size == PROGRAM_MAX) {
        emitter->full = true;
        return 0;
    }
    emitter->program[emitter->size] = instruction;
    return emitter->size++;
}

static void emit_tree(struct emitter *emitter, const struct tree *tree);

static void emit_repeat(struct emitter *emitter, const struct tree *tree)
{
    for (int32_t i = 0; i < tree->least && !emitter->full; i++) emit_tree(emitter, tree->a);
    if (tree->most < 0) {
        uint32_t split = emit(emitter, (struct instruction){ .op = OP_SPLIT });
        emitter->program[split].x = emitter->size;
        emit_tree(emitter, tree->a);
        emit(emitter, (struct instruction){ .op = OP_JUMP, .x = split });
        emitter->program[split].y = emitter->size;
        return;
    }
    for (int32_t i = tree->least; i < tree->most && !emitter->full;
         i++) { /* a(a(a)?)? would be nested; a?a?a? is not */
        uint32_t split = emit(emitter, (struct instruction){ .op = OP_SPLIT });
        emitter->program[split].x = emitter->size;
        emit_tree(emitter, tree->a);
        emitter->program[split].y = emitter->size;
    }
}

/* Chains of JOIN and EITHER lean to the left and are as long as the pattern; their right sides are as deep as
 * its parentheses. */
static void emit_tree(struct emitter *emitter, const struct tree *tree)
{
    uint32_t split, jump;
    if (emitter->full) return;
    switch (tree->kind) {
    case EMPTY: /* one instruction, so that nothing can be repeated without end for free */
        jump = emit(emitter, (struct instruction){ .op = OP_JUMP });
        emitter->program[jump].x = emitter->size;
        break;
    case LEAF:
        emit(emitter, tree->leaf);
        break;
    case JOIN:
        emit_tree(emitter, tree->a);
        emit_tree(emitter, tree->b);
        break;
    case EITHER:
        split = emit(emitter, (struct instruction){ .op = OP_SPLIT });
        emitter->program[split].x = emitter->size;
        emit_tree(emitter, tree->a);
        jump = emit(emitter, (struct instruction){ .op = OP_JUMP });
        emitter->program[split].y = emitter->size;
        emit_tree(emitter, tree->b);
        emitter->program[jump].x = emitter->size;
        break;
    case REPEAT:
        emit_repeat(emitter, tree);
        break;
    }
}

/* The letters that every match begins with. */
static void find_prefix(struct regexp *regexp)
{
    for (uint32_t at = 0; regexp->prefix_size + 4 <= KT_REGEXP_PREFIX; at++) {
        const struct instruction *instruction = &regexp->program[at];
        if (instruction->op == OP_JUMP && instruction->x == at + 1) continue;
        if (instruction->op != OP_CHAR || instruction->flags & FOLD) break;
        regexp->prefix_size +=
            (uint32_t)utf8proc_encode_char(instruction->character, regexp->prefix + regexp->prefix_size);
    }
}

static kith_status compile(struct parser *parser, const struct tree *tree, struct regexp **out)
{
    struct emitter emitter = { .program = kt_alloc_array(PROGRAM_MAX + 1, sizeof *emitter.program) };
    struct regexp *regexp = emitter.program ? take(parser, sizeof *regexp) : NULL;
    if (regexp) emit_tree(&emitter, tree);
    if (regexp && emitter.full) fail(parser, "it has too many states; repeat less");
    if (regexp && !emitter.full) {
        emitter.program[emitter.size++] = (struct instruction){ .op = OP_MATCH };
        regexp->size = emitter.size;
        regexp->program = take(parser, emitter.size * sizeof *regexp->program);
        if (regexp->program) memcpy(regexp->program, emitter.program, emitter.size * sizeof *regexp->program);
        if (regexp->program) find_prefix(regexp);
        *out = regexp;
    }
    if (!emitter.program) parser->no_memory = true;
    kt_free(emitter.program);
    return parser->no_memory ? KITH_NO_MEMORY : parser->fault ? KITH_INVALID : KITH_OK;
}

kith_status kt_regexp_make(struct kt_arena *arena, struct slice pattern, struct regexp **out,
                           struct regexp_fault *fault, kith_error *error)
{
    struct parser parser = { .arena = arena, .at = pattern.at, .begin = pattern.at };
    parser.end = pattern.at + pattern.size;
    if (pattern.size > KT_FILTER_PATTERN) {
        *fault = (struct regexp_fault){ KT_FILTER_PATTERN, "it has more than 1024 bytes" };
        return KITH_INVALID;
    }
    struct tree *tree = parse_either(&parser);
    if (tree && parser.at < parser.end) fail(&parser, "a parenthesis is closed that was not opened");
    kith_status status = parser.no_memory ? KITH_NO_MEMORY
                         : parser.fault   ? KITH_INVALID
                                          : compile(&parser, tree, out);
    *fault = (struct regexp_fault){ .words = parser.fault };
    for (const uint8_t *at = parser.begin; at < parser.at; at++) fault->at += (*at & 0xc0) != 0x80;
    return status == KITH_NO_MEMORY ? kt_fail_memory(error, pattern.size) : status;
}
