/* What every file of the command line shares: exit codes, commands, failing, text, memory.
 *
 * The program sees kith.h and nothing else of Kith. Its own functions that cross files begin with
 * `cli_`. Memory that runs out ends the program: it holds nothing that a kill would not also leave
 * safe, since what was committed is on disk and what was not was never there.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "kith.h"

/* Scripts rely on these numbers; the manual lists them. */
enum exit_code {
    CLI_OK = 0,
    CLI_ERROR = 1,
    CLI_USAGE = 2,
    CLI_NOT_FOUND = 3,
    CLI_CORRUPT = 4,
    CLI_BUSY = 5,
    CLI_REFUSED = 6,
    CLI_INTERRUPTED = 130
};

struct option_spec;

struct command {
    const char *name;
    const char *operands; /* "DB/TABLE FILE..." */
    const char *help;     /* one line */
    const char *more;     /* what the one line cannot say; NULL for nothing */
    const struct option_spec *options;
    /** `argv[0]` is the command's name. @return an exit code */
    int (*run)(const struct command *self, int argc, char **argv);
};

extern const struct command cli_cmd_import;
extern const struct command cli_cmd_index;
extern const struct command cli_cmd_search;
extern const struct command cli_cmd_explain;
extern const struct command cli_cmd_bench;
extern const struct command cli_cmd_info;
extern const struct command cli_cmd_export;
extern const struct command cli_cmd_log;
extern const struct command cli_cmd_verify;
extern const struct command cli_cmd_compact;
extern const struct command cli_cmd_erase;
extern const struct command cli_cmd_repair;
extern const struct command cli_cmd_backup;

/* ---- failing ---- */

/** Fills `error` and returns `status`: for failures that the command line itself finds. */
kith_status cli_fail(kith_error *error, kith_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** cli_fail() from errno: "cannot open 'x.npy': No such file or directory". */
kith_status cli_fail_errno(kith_error *error, const char *doing, const char *path);

/** Says `error` on stderr and gives the exit code of its status. */
int cli_report(const kith_error *error);

/** Says a usage error on stderr, and where help is. @return CLI_USAGE */
int cli_usage(const struct command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Flushes stdout: data that could not be written is an error. @return CLI_OK or CLI_ERROR */
int cli_finish_output(void);

/** Whether `stream` is a terminal that takes colour, and NO_COLOR does not forbid it. */
bool cli_color(FILE *stream);

/* ---- memory and text ---- */

void *cli_alloc(size_t bytes); /* zeroed */
void *cli_grow(void *block, size_t bytes);
char *cli_copy_text(const char *text);

struct text { /* zeroed is empty; data ends in NUL once anything was added */
    char *data;
    size_t size;
    size_t capacity;
};
void cli_text_reserve(struct text *text, size_t more);
void cli_text_add(struct text *text, const void *bytes, size_t count);
void cli_text_puts(struct text *text, const char *string);
void cli_text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_text_release(struct text *text);

/** "1,234,567" into a buffer of at least 32 bytes, which is returned. */
const char *cli_count_text(char *to, uint64_t count);
/** "12.3 MB" (powers of ten) into a buffer of at least 32 bytes, which is returned. */
const char *cli_bytes_text(char *to, uint64_t bytes);

/** "2026-11-22 00:13:34" in UTC, or "" where it is no time. */
void cli_time_text(char *to, size_t size, int64_t time_us);

double cli_now(void); /* seconds of a clock that never goes back */

/* ---- where a table is ---- */

struct location {
    char *database;
    char *table; /* NULL when only a database was named */
};
/** Splits "DB/TABLE" at the last '/'. A trailing "/" and ".kith" go, so that a path completed by the
 *  shell works. @return -1, or CLI_USAGE after saying why */
int cli_location_table(const struct command *command, const char *text, struct location *out);
/** The same for "DB" or "DB/TABLE", told apart by what is on disk. @return -1 or an exit code */
int cli_location_any(const struct command *command, const char *text, struct location *out);
void cli_location_release(struct location *location);

/** Opens a database that exists: reading never makes a folder. */
kith_status cli_open_database(const struct location *location, kith_database **out, kith_error *error);
kith_status cli_open_table(const struct location *location, kith_database **database, kith_table **table,
                           kith_error *error);

#endif
