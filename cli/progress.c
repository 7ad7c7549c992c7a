/* Progress: one line on stderr, rewritten ten times a second and erased at the end.
 *
 * The estimate is of the present stage alone: the stages of an index build cost too differently for one
 * bar over all of them to be honest.
 */
#include "progress.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

void cli_catch_interrupt(void)
{
    struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = SA_RESTART | (int)SA_RESETHAND };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

bool cli_interrupted(void)
{
    return interrupted != 0;
}

static void draw(const kith_progress *at, uint64_t total, double seconds)
{
    char done[32], all[32];
    cli_count_text(done, at->done);
    if (!total) {
        fprintf(stderr, "\r\033[K%-7s %s  %.0f s", at->stage, done, seconds);
        return;
    }
    double share = at->done < total ? (double)at->done / (double)total : 1.0;
    int filled = (int)(share * 24);
    fprintf(stderr, "\r\033[K%-7s [%.*s%*s] %3.0f%%  %s of %s", at->stage, filled, "########################",
            24 - filled, "", share * 100, done, cli_count_text(all, total));
    if (share > 0.01 && seconds > 0.5) fprintf(stderr, "  %.0f s left", seconds / share - seconds);
}

int cli_progress(const kith_progress *at, void *user)
{
    struct progress *progress = user;
    double now = cli_now();
    bool same = strncmp(progress->stage, at->stage, sizeof progress->stage - 1) == 0;
    if (!same || at->total != progress->stage_total || at->done < progress->stage_done) {
        snprintf(progress->stage, sizeof progress->stage, "%s", at->stage);
        progress->stage_start = now;
        progress->stage_total = at->total;
    }
    progress->stage_done = at->done;
    if (!progress->hidden && isatty(STDERR_FILENO) && now - progress->last_draw > 0.1) {
        draw(at, at->total ? at->total : progress->total_hint, now - progress->stage_start);
        fflush(stderr);
        progress->last_draw = now;
        progress->drawn = true;
    }
    return cli_interrupted();
}

void cli_progress_end(struct progress *progress)
{
    if (progress->drawn) fprintf(stderr, "\r\033[K");
    progress->drawn = false;
}
