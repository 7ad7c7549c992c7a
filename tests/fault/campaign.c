/* A campaign: many runs, each with a label. A failure prints a line that repeats its run, a signal and a
 * sanitizer's report too; after twenty failures there is no point in more, unless --failures says so. */
#define _GNU_SOURCE
#include "fault/campaign.h"

#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/random.h"
#include "fault/own.h"

static const struct campaign *at_work;

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void print_replay(FILE *to)
{
    fprintf(to, "%s --seed %llu --only %s", at_work->program, (unsigned long long)at_work->seed,
            at_work->label);
}

/* Called where anything may be broken: it writes what was formatted before, and lets go. */
static void last_words(void)
{
    if (!at_work || !at_work->label[0]) return;
    fprintf(stderr, "\ndied in: ");
    print_replay(stderr);
    fprintf(stderr, "\n");
}

sigjmp_buf campaign_escape;
volatile sig_atomic_t campaign_can_escape;

static void on_signal(int number)
{
    if (campaign_can_escape) siglongjmp(campaign_escape, number);
    signal(number, SIG_DFL);
    last_words();
    raise(number);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
void __sanitizer_set_death_callback(void (*callback)(void));
#endif

static void listen_for_death(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    __sanitizer_set_death_callback(last_words);
    signal(SIGABRT, on_signal);
#else
    const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], on_signal);
#endif
}

static void usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [--seed N] [--seconds S] [--runs N] [--only LABEL] [--failures N] [--verbose]\n",
            program);
    exit(2);
}

void campaign_begin(struct campaign *campaign, int count, char **arguments)
{
    static const struct option options[] = {
        { "seed", required_argument, NULL, 's' },
        { "seconds", required_argument, NULL, 't' },
        { "runs", required_argument, NULL, 'r' },
        { "only", required_argument, NULL, 'o' },
        { "failures", required_argument, NULL, 'f' },
        { "verbose", no_argument, NULL, 'v' },
        { 0 },
    };
    const char *slash = strrchr(arguments[0], '/');
    *campaign = (struct campaign){ .program = slash ? slash + 1 : arguments[0],
                                   .seed = (uint64_t)time(NULL) % 1000000,
                                   .failures_most = 20,
                                   .began = seconds_now() };
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
        switch (option) {
        case 's':
            campaign->seed = strtoull(optarg, NULL, 10);
            break;
        case 't':
            campaign->seconds = strtod(optarg, NULL);
            break;
        case 'r':
            campaign->runs = strtoull(optarg, NULL, 10);
            break;
        case 'o':
            campaign->only = optarg;
            break;
        case 'f':
            campaign->failures_most = strtoull(optarg, NULL, 10);
            break;
        case 'v':
            campaign->verbose = true;
            break;
        default:
            usage(campaign->program);
        }
    }
    if (optind != count) usage(campaign->program);
    at_work = campaign;
    listen_for_death();
}

enum { RUNS_LEAST = 16 };

bool campaign_goes_on(const struct campaign *campaign)
{
    if (campaign->failures >= campaign->failures_most) return false;
    if (campaign->runs && campaign->done >= campaign->runs) return false;
    if (campaign->done < RUNS_LEAST) return true; /* on a slow machine what comes first takes all the time */
    return !campaign->seconds || seconds_now() - campaign->began < campaign->seconds;
}

bool campaign_wants(const struct campaign *campaign, const char *beginning)
{
    size_t length = strlen(beginning), only = campaign->only ? strlen(campaign->only) : 0;
    return !campaign->only || !strncmp(beginning, campaign->only, length < only ? length : only);
}

bool campaign_run(struct campaign *campaign, const char *label, ...)
{
    va_list arguments;
    va_start(arguments, label);
    vsnprintf(campaign->label, sizeof campaign->label, label, arguments);
    va_end(arguments);
    if (campaign->only && strncmp(campaign->label, campaign->only, strlen(campaign->only))) return false;
    campaign->done++;
    if (campaign->verbose) fprintf(stderr, "%s\n", campaign->label);
    return true;
}

void campaign_fail(struct campaign *campaign, const char *why)
{
    if (known_failure(campaign->label, why) && !campaign->only) {
        campaign->known++;
        return;
    }
    campaign->failures++;
    if (campaign->rehearsal) return;
    print_replay(stderr);
    fprintf(stderr, "\n    %s\n", why);
}

int campaign_end(const struct campaign *campaign, uint64_t all)
{
    printf("%s: %llu runs", campaign->program, (unsigned long long)campaign->done);
    if (all) printf(" of %llu", (unsigned long long)all);
    if (campaign->known) printf(", %llu known failures", (unsigned long long)campaign->known);
    printf(", %llu failures, seed %llu, %.1f s\n", (unsigned long long)campaign->failures,
           (unsigned long long)campaign->seed, seconds_now() - campaign->began);
    at_work = NULL;
    return campaign->failures ? 1 : campaign->done ? 0 : 3;
}

uint32_t *campaign_order(const struct campaign *campaign, size_t count, uint64_t round)
{
    struct kt_random random = { campaign->seed + round * 1000003 };
    uint32_t *order = own_new(count, sizeof *order);
    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)kt_random_below(&random, i + 1);
        order[i] = order[at];
        order[at] = (uint32_t)i;
    }
    return order;
}
