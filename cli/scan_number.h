/* Decimal numbers from text that need not end in NUL. */
#ifndef CLI_SCAN_NUMBER_H
#define CLI_SCAN_NUMBER_H

#include "cli.h"

struct number {
    double real;
    bool whole;      // written without a point or exponent, and fits an int64
    int64_t integer; // then this is it
};

/** Reads a number that begins at `at`. @return where it ended, NULL when there is none */
const char *cli_number_read(const char *at, const char *end, struct number *out);

#endif
