/* Types from text. A text file is read twice: once to see what every cell of a column could be, once to
 * store it. A guess from the first thousand rows would be faster and would be wrong at row 1,000,001.
 *
 * A column is the narrowest of bool < text, int < float < text, lists of int < lists of float < text
 * that holds all its cells; one without any cell is text. "007" is text: codes lose their zeros as numbers.
 * Lists become a vector column when the column's name says so ("vector" or "embedding" in it, or the one
 * given with --vector) and all have one length. Where such a column has lists in some rows and anything else
 * in others the file is refused: as text, which holds both, one bad cell among a million would take the
 * vectors from all.
 */
#include "read_guess.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool name_suggests_vector(const char *name)
{
    for (const char *at = name; *at; at++) {
        if (strncasecmp(at, "vector", 6) == 0 || strncasecmp(at, "embedding", 9) == 0) return true;
    }
    return false;
}

static const struct ArrowSchema *column_like(const struct read_request *request, const char *name)
{
    for (int64_t i = 0; request->like && i < request->like->n_children; i++) {
        if (strcmp(request->like->children[i]->name, name) == 0) return request->like->children[i];
    }
    return NULL;
}

size_t cli_guess_add(struct guesses *guesses, const char *name, const struct read_request *request)
{
    guesses->columns = cli_grow(guesses->columns, (guesses->count + 1) * sizeof *guesses->columns);
    struct column_guess *guess = &guesses->columns[guesses->count];
    const struct ArrowSchema *like = column_like(request, name);
    *guess = (struct column_guess){ .name = cli_copy_text(name) };
    guess->is_vector = request->vector ? strcmp(request->vector, name) == 0 : name_suggests_vector(name);
    if (like && strncmp(like->format, "+w", 2) == 0) guess->is_vector = true;
    return guesses->count++;
}

static bool is_list(enum cell_kind kind)
{
    return kind == CELL_LIST_INT || kind == CELL_LIST_FLOAT;
}

void cli_guess_see(struct column_guess *guess, enum cell_kind kind, uint64_t line)
{
    enum cell_kind had = guess->kind;
    if (kind == CELL_NONE || kind == had) return;
    if (had != CELL_NONE && is_list(had) != is_list(kind) && !guess->mixed) guess->mixed = line;
    if (had == CELL_NONE) {
        guess->kind = kind;
    } else if ((had == CELL_INT && kind == CELL_FLOAT) || (had == CELL_FLOAT && kind == CELL_INT)) {
        guess->kind = CELL_FLOAT;
    } else if ((had == CELL_LIST_INT && kind == CELL_LIST_FLOAT) ||
               (had == CELL_LIST_FLOAT && kind == CELL_LIST_INT)) {
        guess->kind = CELL_LIST_FLOAT;
    } else {
        guess->kind = CELL_TEXT;
    }
}

void cli_guess_list(struct column_guess *guess, enum cell_kind kind, int64_t length, uint64_t line)
{
    if (!guess->lists_seen || length < guess->shortest) guess->shortest = length;
    if (!guess->lists_seen || length > guess->longest) guess->longest = length;
    guess->lists_seen = true;
    cli_guess_see(guess, kind, line);
}

kith_status cli_guess_check(const struct guesses *guesses, const struct read_request *request,
                            kith_error *error)
{
    for (size_t i = 0; i < guesses->count; i++) {
        const struct column_guess *guess = &guesses->columns[i];
        const struct ArrowSchema *like = column_like(request, guess->name);
        if (!guess->mixed || !guess->is_vector || (like && like->format[0] != '+')) continue;
        return cli_fail(
            error, KITH_TYPE,
            "'%s' line %llu: the vectors of column '%s' are lists of numbers, but not in every row "
            "up to here; mend it, or say with --vector which column holds them",
            request->path, (unsigned long long)guess->mixed, guess->name);
    }
    return KITH_OK;
}

static enum cell_kind settle(const struct column_guess *guess, const struct read_request *request)
{
    enum cell_kind kind = guess->kind == CELL_NONE ? CELL_TEXT : guess->kind;
    const struct ArrowSchema *like = column_like(request, guess->name);
    if (is_list(kind)) {
        if (!guess->is_vector) return kind;
        return guess->shortest == guess->longest && guess->longest > 0 ? CELL_VECTOR : CELL_LIST_F32;
    }
    if (!like) return kind;
    if (like->dictionary || strchr("uU", like->format[0])) return CELL_TEXT;
    if (kind == CELL_INT && strchr("efg", like->format[0])) return CELL_FLOAT;
    return kind;
}

struct maker *cli_guess_makers(struct guesses *guesses, const struct read_request *request)
{
    struct maker *makers = cli_alloc(guesses->count * sizeof *makers);
    for (size_t i = 0; i < guesses->count; i++) {
        makers[i].kind = settle(&guesses->columns[i], request);
        makers[i].width = guesses->columns[i].longest;
    }
    return makers;
}

void cli_guess_release(struct guesses *guesses)
{
    for (size_t i = 0; i < guesses->count; i++) free(guesses->columns[i].name);
    free(guesses->columns);
    *guesses = (struct guesses){ 0 };
}

void cli_makers_schema(const struct maker *makers, const struct guesses *guesses, struct ArrowSchema *out)
{
    cli_schema_make(out, "+s", "", (int64_t)guesses->count);
    for (size_t i = 0; i < guesses->count; i++)
        cli_maker_schema(&makers[i], guesses->columns[i].name, out->children[i]);
}

void cli_makers_finish(struct maker *makers, size_t count, int64_t rows, struct ArrowArray *out)
{
    cli_array_make(out, rows, 1, (int64_t)count);
    for (size_t i = 0; i < count; i++) cli_maker_finish(&makers[i], out->children[i]);
}

void cli_makers_free(struct maker *makers, size_t count)
{
    for (size_t i = 0; makers && i < count; i++) cli_maker_release(&makers[i]);
    free(makers);
}

/* ---- one text ---- */

static bool is_word(const char *text, const char *word)
{
    return strcasecmp(text, word) == 0;
}

/* A number that is the whole text; nan and inf are numbers too. */
static bool read_number(const char *text, struct number *out)
{
    const char *end = text + strlen(text);
    if (cli_number_read(text, end, out) == end) return true;
    bool odd = is_word(text, "nan") || is_word(text, "inf") || is_word(text, "-inf");
    if (odd) *out = (struct number){ .real = strtod(text, NULL) };
    return odd;
}

/* The next number of "[1, 2.5, null]". A null in a vector is a NaN, which the library then refuses or
 * mends as it was told. */
static const char *read_item(const char *at, const char *end, struct number *out)
{
    *out = (struct number){ .real = (double)NAN };
    if (strncasecmp(at, "nan", 3) == 0) return at + 3;
    if (strncmp(at, "null", 4) == 0) return at + 4;
    return cli_number_read(at, end, out);
}

static const char *skip_space(const char *at)
{
    while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r') at++;
    return at;
}

/* Walks a list that begins at text[0]; into `maker` when there is one. @return CELL_NONE when it is no
 * list of numbers */
static enum cell_kind walk_list(const char *text, int64_t *items, struct maker *maker)
{
    enum cell_kind kind = CELL_LIST_INT;
    const char *end = text + strlen(text);
    const char *at = skip_space(text + 1);
    for (*items = 0; *at != ']'; (*items)++) {
        struct number number;
        at = read_item(at, end, &number);
        if (!at) return CELL_NONE;
        if (!number.whole) kind = CELL_LIST_FLOAT;
        if (maker) cli_maker_item(maker, &number);
        at = skip_space(at);
        if (*at != ',' && *at != ']') return CELL_NONE;
        if (*at == ',') {
            at = skip_space(at + 1);
            if (*at == ']') return CELL_NONE;
        }
    }
    return *skip_space(at + 1) ? CELL_NONE : kind;
}

enum cell_kind cli_text_kind(const char *text, int64_t *items)
{
    struct number number;
    *items = 0;
    if (!*text) return CELL_NONE;
    if (*text == '[') {
        enum cell_kind kind = walk_list(text, items, NULL);
        return kind == CELL_NONE ? CELL_TEXT : kind;
    }
    if (read_number(text, &number)) return number.whole ? CELL_INT : CELL_FLOAT;
    if (is_word(text, "true") || is_word(text, "false")) return CELL_BOOL;
    return CELL_TEXT;
}

bool cli_text_store(struct maker *maker, const char *text, size_t size, bool quoted)
{
    struct number number;
    int64_t items = 0;
    if (!size && !(quoted && maker->kind == CELL_TEXT)) {
        cli_maker_null(maker);
        return true;
    }
    switch (maker->kind) {
    case CELL_NONE:
    case CELL_TEXT:
        cli_maker_text(maker, text, size);
        return true;
    case CELL_BOOL:
        cli_maker_bool(maker, is_word(text, "true"));
        return true;
    case CELL_INT:
    case CELL_FLOAT:
        if (!read_number(text, &number)) return false;
        cli_maker_number(maker, &number);
        return true;
    case CELL_LIST_INT:
    case CELL_LIST_FLOAT:
    case CELL_LIST_F32:
    case CELL_VECTOR:
        if (*text != '[' || walk_list(text, &items, maker) == CELL_NONE) return false;
        cli_maker_end_list(maker);
        return maker->kind != CELL_VECTOR || items == maker->width;
    }
    return false;
}

int64_t cli_text_bad_utf8(const char *text, size_t size)
{
    const uint8_t *at = (const uint8_t *)text;
    for (size_t i = 0; i < size;) {
        uint8_t lead = at[i];
        if (lead < 0x80) {
            i++;
            continue;
        }
        size_t more = lead >= 0xf0 && lead < 0xf5   ? 3
                      : lead >= 0xe0 && lead < 0xf0 ? 2
                      : lead >= 0xc2 && lead < 0xe0 ? 1
                                                    : 0;
        if (!more || i + more >= size) return (int64_t)i;
        for (size_t j = 1; j <= more; j++) {
            if ((at[i + j] & 0xc0) != 0x80) return (int64_t)i;
        }
        bool overlong = (lead == 0xe0 && at[i + 1] < 0xa0) || (lead == 0xf0 && at[i + 1] < 0x90);
        bool surrogate = lead == 0xed && at[i + 1] >= 0xa0;
        if (overlong || surrogate || (lead == 0xf4 && at[i + 1] >= 0x90)) return (int64_t)i;
        i += more + 1;
    }
    return -1;
}
