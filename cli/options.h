/* One table of options per command: getopt_long reads it, help prints it. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "cli.h"

enum option_kind {
    OPTION_FLAG,  /* bool */
    OPTION_TEXT,  /* const char * */
    OPTION_U32,   /* uint32_t */
    OPTION_U64,   /* uint64_t */
    OPTION_REAL,  /* float */
    OPTION_BYTES, /* uint64_t: "512MB" */
    OPTION_LIST   /* struct option_list: given any number of times */
};

struct option_list {
    const char **items; /* borrowed from argv; the array is freed with free() */
    size_t count;
};

struct option_spec { /* a table ends with a name of NULL */
    const char *name;
    char letter; /* 0 for none */
    enum option_kind kind;
    size_t offset;     /* of the field it sets in the command's settings */
    const char *value; /* what help calls the value; NULL for a flag */
    const char *help;
    const char *choices; /* "csv|jsonl": the only values allowed; NULL for any */
};

struct common { /* the first member of every command's settings */
    bool json;
    bool quiet;
    bool help;
};

struct operands {
    char **items; /* borrowed from argv */
    int count;
    int at_least, at_most; /* given by the command before parsing; at_most 0 for any number */
};

/** Reads argv into `settings`. @return -1 to go on, else the exit code to leave with (help was shown, or
 *  the mistake was said) */
int cli_parse(const struct command *command, int argc, char **argv, void *settings,
              struct operands *operands);

/** Reads a number of bytes: digits, perhaps with a point, then B, kB, MB, GB, TB (powers of ten), KiB, MiB,
 * GiB, TiB (of two), or nothing. @return whether it is one */
bool cli_read_bytes(const char *text, uint64_t *out);

void cli_command_help(const struct command *command, FILE *to);

/** Splits "a,b,c" into a NULL-ended list: one block, freed with free(). */
const char **cli_split(const char *list, size_t *count);

#endif
