/* What type a column of text is: shared by CSV and JSON lines. */
#ifndef CLI_READ_GUESS_H
#define CLI_READ_GUESS_H

#include "arrow_make.h"
#include "reader.h"

struct column_guess {
    char *name;
    enum cell_kind kind;
    bool is_vector; // by its name, by --vector, or because the table's column is one
    bool lists_seen;
    int64_t shortest, longest; // of the lists seen
    uint64_t line;             // JSON lines: the last one that named it
    uint64_t mixed;            // the first one up to which there are both lists and others; 0: none
};

struct guesses {
    struct column_guess *columns;
    size_t count;
};

/** Adds a column and gives its position. */
size_t cli_guess_add(struct guesses *guesses, const char *name, const struct read_request *request);
/** `line` is where the cell stands. */
void cli_guess_see(struct column_guess *guess, enum cell_kind kind, uint64_t line);
void cli_guess_list(struct column_guess *guess, enum cell_kind kind, int64_t length, uint64_t line);
/** Refuses vectors that are no lists of numbers in some rows, naming the line. */
kith_status cli_guess_check(const struct guesses *guesses, const struct read_request *request,
                            kith_error *error);
/** Ends the first reading: settles every column's type, that of the table it is for winning over what the
 *  file alone suggests. @return makers, one a column, freed by cli_makers_free() */
struct maker *cli_guess_makers(struct guesses *guesses, const struct read_request *request);
void cli_guess_release(struct guesses *guesses);

void cli_makers_schema(const struct maker *makers, const struct guesses *guesses, struct ArrowSchema *out);
void cli_makers_finish(struct maker *makers, size_t count, int64_t rows, struct ArrowArray *out);
void cli_makers_free(struct maker *makers, size_t count);

/** What a text is when it is not quoted: a bool, a number, a list of numbers, or text. The empty text is
 *  CELL_NONE. `text` ends in NUL. @param items receives the length of a list */
enum cell_kind cli_text_kind(const char *text, int64_t *items);
/** Stores `text`, of a kind that fits the maker. @return whether it did */
bool cli_text_store(struct maker *maker, const char *text, size_t size, bool quoted);
/** Where the first byte that is not UTF-8 is; -1 for none. */
int64_t cli_text_bad_utf8(const char *text, size_t size);

#endif
