/* What the harnesses share of their command lines, their counting, and what they print. */
#ifndef TESTS_FAULT_CAMPAIGN_H
#define TESTS_FAULT_CAMPAIGN_H

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct campaign {
    const char *program;
    uint64_t seed;          /* --seed; printed, so that a run can be had again */
    double seconds;         /* --seconds: ends after so many; 0: when all is done */
    uint64_t runs;          /* --runs: ends after so many; 0: when all is done */
    uint64_t failures_most; /* --failures: ends after so many */
    const char *only;       /* --only: runs whose label begins so */
    bool verbose;           /* --verbose: prints each label */
    bool rehearsal;         /* failures are wanted, and counted in silence */
    double began;
    uint64_t done, failures;
    uint64_t known;  /* failures that known.c has */
    char label[200]; /* of the run at work */
};

/** Reads the command line. Without --seed there is one of the clock's. Exits where it makes no sense. */
void campaign_begin(struct campaign *campaign, int count, char **arguments);
/** Whether time and runs are left, and failures few. */
bool campaign_goes_on(const struct campaign *campaign);
/** Whether --only lets runs be whose labels begin so. */
bool campaign_wants(const struct campaign *campaign, const char *beginning);
/** Begins a run under a label that --only can name; false where it was not asked for. Whatever kills the
 * program from here on prints the line that repeats it. */
bool campaign_run(struct campaign *campaign, const char *label, ...) __attribute__((format(printf, 2, 3)));
void campaign_fail(struct campaign *campaign, const char *why);
/** Prints the count, of `all` where that is known; gives the exit status. */
int campaign_end(const struct campaign *campaign, uint64_t all);

/** Where a signal that kills jumps to while `campaign_can_escape`, so that one crash does not hide the next:
 * what was held is lost, which the program has memory for. */
extern sigjmp_buf campaign_escape;
extern volatile sig_atomic_t campaign_can_escape;

/** 0 .. count-1 in an order that the seed decides; freed with own_free(). */
uint32_t *campaign_order(const struct campaign *campaign, size_t count, uint64_t round);

/* ---- known.c */

/** What is known to fail so: says why, NULL: nothing is known. */
const char *known_failure(const char *label, const char *why);

#endif
