/* A world in which several processes work on one simulated disk, one system call of one of them after the
 * other: who is next, how time goes, who stands still, dies or meets an error is all decided by a seed. */
#ifndef TESTS_FAULT_WORLD_H
#define TESTS_FAULT_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/random.h"
#include "fault/disk.h"

/* How a world treats its people. Each number: once in so many calls; 0: never. */
struct world_habits {
    uint32_t yields;       /* another one's turn */
    uint32_t stalls;       /* stands still, for seconds or hours, */
    uint32_t stalls_long;  /* of which so many in ten for days; */
    uint32_t stalls_ahead; /* the same, of the moments before a commit gets its name */
    uint32_t deaths;
    uint32_t errors;
    uint32_t jumps; /* of the clock, forward and back */
};

struct actor {
    const char *name;
    void (*run)(struct actor *actor);
    void *user;
    uint32_t weight; /* how often it is its turn */
    bool killed;     /* nothing that it does has an effect any more: what runs on must end soon */
    uint32_t struck; /* errors that it met */
    /* the world's: */
    struct fiber *fiber;
    int64_t wakes_us;
    int64_t ghost_us; /* time that passes for one who was killed */
    bool over;
};

enum { ACTORS_MOST = 12 };

/** Once a program; before it, what is made is made by nobody and undisturbed. */
void world_install(void);
void world_begin(const struct world_habits *habits, struct disk *disk, uint64_t seed);
/** Lets all of them run until each has ended. */
void world_run(struct actor *actors, uint32_t count);
/** Who is at work; NULL: the harness. */
struct actor *world_actor(void);
/** What the harness does between these is done by nobody, takes no time and is not disturbed. */
struct actor *world_step_out(void);
void world_step_in(struct actor *actor);

/** Microseconds since the world began; it never goes back. */
int64_t world_time_us(void);
/** Sets the time on, for whoever asks or is at work. */
void world_pass(int64_t us);
/** Whether the wall's clock has jumped. */
bool world_jumped(void);
/** The actor sleeps. */
void world_sleep(int64_t us);
/** From now on nobody is disturbed and the clock goes right: what was begun is brought to its end. */
void world_calm(void);

/** Called when an actor has put a name where none was, before anything else happens. */
extern void (*world_named)(struct actor *actor, const char *name);

/* For those who stand in for the C library's: false when the caller is no actor. */
bool world_clock(clockid_t clock, struct timespec *out);
bool world_nanosleep(const struct timespec *time);

#endif
