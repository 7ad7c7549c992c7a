/* A bar with an estimate on stderr, when that is a terminal; and Ctrl-C as a wish to stop. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli.h"

struct progress {
    uint64_t total_hint; /* used when the library does not know the total */
    bool hidden;
    bool drawn;
    double stage_start;
    double last_draw;
    char stage[16];
    uint64_t stage_total, stage_done;
};

/** From here on Ctrl-C sets a flag; a second one kills. */
void cli_catch_interrupt(void);
bool cli_interrupted(void);

/** A kith_progress_fn whose user is a struct progress. */
int cli_progress(const kith_progress *at, void *user);
/** Erases the bar; nothing of it stays on the screen. */
void cli_progress_end(struct progress *progress);

#endif
