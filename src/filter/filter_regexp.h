/* The program that a regular expression becomes. */
#ifndef KT_FILTER_REGEXP_H
#define KT_FILTER_REGEXP_H

#include "filter/filter_bind.h"

enum { KT_REGEXP_PREFIX = 64 };
enum op { OP_CHAR, OP_ANY, OP_CLASS, OP_SPLIT, OP_JUMP, OP_BEGIN, OP_END, OP_WORD, OP_MATCH };
enum { FOLD = 1, LINES = 2, NEWLINE = 4, NEGATED = 8 }; /* flags of instructions */

struct span { /* of characters */
    int32_t low, high;
};
struct charset {
    const struct span *spans;
    uint32_t count;
};
struct instruction {
    uint8_t op, flags;
    union {
        int32_t character;
        const struct charset *charset;
        struct {
            uint32_t x, y; /* where to go on */
        };
    };
};
struct regexp {
    struct instruction *program;
    uint32_t size;
    uint8_t prefix[KT_REGEXP_PREFIX];
    uint32_t prefix_size;
};

#endif
