/* The members of one JSON object, without building it: for JSON lines, where a line is mostly one long
 * array of numbers. */
#ifndef CLI_SCAN_JSON_H
#define CLI_SCAN_JSON_H

#include "scan_number.h"

enum json_kind {
    JSON_IS_NULL,
    JSON_IS_BOOL,
    JSON_IS_INT,
    JSON_IS_FLOAT,
    JSON_IS_STRING,
    JSON_IS_NUMBERS,
    JSON_IS_OTHER
};

struct json_value {
    enum json_kind kind;
    const char *begin, *end; // its text, quotes and brackets included
    bool truth;              // a bool
    bool escapes;            // a string with backslashes
    struct number number;    // an int or float
    bool whole;              // numbers: all are
    int64_t items;           // numbers: how many, nulls among them counted
};

struct json_scan { // begins with `at` and `end`
    const char *at, *end;
    const char *why; // set on failure: what is wrong at `at`
    bool inside;
};

/** The next member of the object. @return 1; 0 at its end; -1 when the text is no JSON object */
int cli_scan_member(struct json_scan *scan, struct text *key, struct json_value *value);
/** Adds a string's bytes, escapes undone. */
void cli_scan_string(const struct json_value *value, struct text *to);
/** The next number of a JSON_IS_NUMBERS; `*at` is NULL at first. A null is NaN. @return false at the end */
bool cli_scan_number(const struct json_value *value, const char **at, struct number *out);

#endif
