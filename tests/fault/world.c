/* The scheduler of a simulated world.
 *
 * An actor is a fiber that hands over its turn before a system call, so between any two calls of one process
 * anything can happen; what lies between calls touches only the process's own memory. All actors live in one
 * process here, and are kept apart by having a database of their own each: the library shares nothing between
 * two that were opened (but named memory databases, which nobody uses here).
 *
 * There are two clocks: world time, which goes on by a step a call, by sleeping, and by a leap to whoever
 * wakes first when all sleep; and the wall's, which is that with an offset that jumps.
 *
 * To die is to have no effect: every call fails from then on and does nothing, but for giving back
 * descriptors and maps, so the actor comes to its end and its memory is freed. On the disk that is the same
 * as kill -9.
 *
 * An error is one of seam.c's faults, armed for the one call that it strikes.
 */
#define _GNU_SOURCE
#include "fault/world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "fault/fiber.h"
#include "fault/seam.h"
#include "io/io_posix.h"

static const int64_t SECOND = 1000000, HOUR = (int64_t)3600 * 1000000;
enum { CALL_US = 3000, GHOST_US = 1000000, TURNS_MOST = 3000000 };

void (*world_named)(struct actor *actor, const char *name);

static struct kt_posix_calls below;
static struct {
    struct world_habits habits;
    struct disk *disk;
    struct kt_random random;
    struct actor *actors, *current;
    uint32_t count;
    uint64_t turns;
    bool jumped;
    int64_t now_us, wall_us; /* world time, and what the wall's clock is ahead of it */
} world;

struct actor *world_actor(void)
{
    return world.current;
}

struct actor *world_step_out(void)
{
    struct actor *actor = world.current;
    world.current = NULL;
    return actor;
}

void world_step_in(struct actor *actor)
{
    world.current = actor;
}

int64_t world_time_us(void)
{
    return world.now_us;
}

void world_pass(int64_t us)
{
    world.now_us += us;
}

static bool once_in(uint32_t many)
{
    return many && !kt_random_below(&world.random, many);
}

/* ---- turns */

static void hand_over(bool over)
{
    fiber_switch(NULL, over);
}

void world_sleep(int64_t us)
{
    struct actor *actor = world.current;
    if (!actor) {
        world.now_us += us;
    } else if (actor->killed) {
        actor->ghost_us += us;
    } else {
        actor->wakes_us = world.now_us + us;
        hand_over(false);
    }
}

static int64_t some_hours(int64_t least, int64_t most)
{
    return (int64_t)(kt_random_below(&world.random, (uint64_t)(most - least)) + (uint64_t)least) * HOUR / 4;
}

static void stand_still(void)
{
    uint64_t chance = kt_random_below(&world.random, 10);
    if (chance < world.habits.stalls_long)
        world_sleep(some_hours(4 * 23, 4 * 24 * 4));
    else if (chance < 5)
        world_sleep((int64_t)kt_random_below(&world.random, 100 * (uint64_t)SECOND));
    else
        world_sleep(some_hours(1, 4 * 12));
}

static void move_the_clock(void)
{
    static const int64_t quarters[] = { -4 * 24 * 9, -4 * 30, -4, 1, 4 * 25, 4 * 24 * 9 };
    uint64_t which = kt_random_below(&world.random, sizeof quarters / sizeof *quarters);
    world.wall_us += quarters[which] * HOUR / 4;
    world.jumped = true;
}

bool world_jumped(void)
{
    return world.jumped;
}

static void on_fiber(void *argument)
{
    struct actor *actor = argument;
    world.current = actor;
    actor->run(actor);
    actor->over = true;
    hand_over(true);
}

/* One of those that are awake, by weight; when all sleep, time leaps to the first who wakes. */
static struct actor *choose(void)
{
    for (;;) {
        uint64_t weights = 0;
        int64_t first = INT64_MAX;
        for (uint32_t i = 0; i < world.count; i++) {
            const struct actor *actor = &world.actors[i];
            if (actor->over) continue;
            if (actor->wakes_us <= world.now_us) weights += actor->weight;
            if (actor->wakes_us < first) first = actor->wakes_us;
        }
        if (first == INT64_MAX) return NULL;
        if (!weights) {
            world.now_us = first;
            continue;
        }
        uint64_t at = kt_random_below(&world.random, weights);
        for (uint32_t i = 0; i < world.count; i++) {
            struct actor *actor = &world.actors[i];
            if (actor->over || actor->wakes_us > world.now_us) continue;
            if (at < actor->weight) return actor;
            at -= actor->weight;
        }
    }
}

void world_run(struct actor *actors, uint32_t count)
{
    world.actors = actors;
    world.count = count;
    for (uint32_t i = 0; i < count; i++) {
        actors[i].fiber = fiber_new(on_fiber, &actors[i]);
        actors[i].wakes_us = actors[i].ghost_us = 0;
        actors[i].over = actors[i].killed = false;
    }
    for (struct actor *actor; (actor = choose());) {
        if (++world.turns == TURNS_MOST) world_calm();
        world.current = actor;
        fiber_switch(actor->fiber, false);
        world.current = NULL;
    }
    for (uint32_t i = 0; i < count; i++) fiber_free(actors[i].fiber);
}

void world_begin(const struct world_habits *habits, struct disk *disk, uint64_t seed)
{
    world.habits = *habits;
    world.disk = disk;
    world.random.state = seed;
    world.current = NULL;
    world.turns = 0;
    world.jumped = false;
    world.now_us = 0;
    world.wall_us = *disk_clock(disk);
}

void world_calm(void)
{
    world.habits = (struct world_habits){ .yields = 1 };
}

/* ---- system calls */

/* What comes before a call of an actor; false: it is dead, and the call fails. */
static bool go_on(enum seam_call call, bool ahead)
{
    struct actor *actor = world.current;
    if (!actor) return true;
    if (!actor->killed) {
        if (once_in(world.habits.deaths)) actor->killed = true;
        if (once_in(world.habits.jumps)) move_the_clock();
        if (once_in(world.habits.stalls) || (ahead && once_in(world.habits.stalls_ahead)))
            stand_still();
        else if (once_in(world.habits.yields))
            hand_over(false);
    }
    if (actor->killed) {
        errno = EIO;
        return false;
    }
    if (once_in(world.habits.errors)) {
        const struct seam_fault *fault = &seam_faults[kt_random_below(&world.random, seam_fault_count)];
        seam_arm(fault, 0, false);
        actor->struck += !fault->harmless && (fault->calls >> call & 1);
    }
    world.now_us += CALL_US;
    *disk_clock(world.disk) = world.now_us + world.wall_us;
    return true;
}

static void done(void)
{
    int code = errno;
    if (world.current) seam_arm(NULL, 0, false);
    errno = code;
}

static int w_open(int folder, const char *name, int flags, mode_t mode)
{
    bool reads = (flags & O_ACCMODE) == O_RDONLY;
    if (!go_on(reads ? CALL_OPEN : CALL_CREATE, false)) return -1;
    int fd = below.open(folder, name, flags, mode);
    done();
    return fd;
}

static int w_close(int fd)
{
    if (!go_on(CALL_CLOSE, false)) return below.close(fd);
    int result = below.close(fd);
    done();
    return result;
}

static int w_stat(int fd, struct stat *out)
{
    if (!go_on(CALL_STAT, false)) return -1;
    int result = below.stat(fd, out);
    done();
    return result;
}

static int w_stat_name(int folder, const char *name, struct stat *out, int flags)
{
    if (!go_on(CALL_STAT_NAME, false)) return -1;
    int result = below.stat_name(folder, name, out, flags);
    done();
    return result;
}

static ssize_t w_read_at(int fd, void *to, size_t count, off_t offset)
{
    if (!go_on(CALL_READ, false)) return -1;
    ssize_t got = below.read_at(fd, to, count, offset);
    done();
    return got;
}

static ssize_t w_write(int fd, const void *bytes, size_t count)
{
    if (!go_on(CALL_WRITE, false)) return -1;
    ssize_t wrote = below.write(fd, bytes, count);
    done();
    return wrote;
}

static int w_sync_data(int fd)
{
    if (!go_on(CALL_SYNC_DATA, false)) return -1;
    int result = below.sync_data(fd);
    done();
    return result;
}

static int w_sync(int fd)
{
    if (!go_on(CALL_SYNC, false)) return -1;
    int result = below.sync(fd);
    done();
    return result;
}

/* Whether the name is there now that was not before: an error may have come after the deed. */
static void tell(int folder, const char *name, bool before)
{
    struct actor *actor = world_step_out();
    struct stat about;
    if (actor && world_named && !before && !below.stat_name(folder, name, &about, 0))
        world_named(actor, name);
    world_step_in(actor);
}

static bool is_there(int folder, const char *name)
{
    struct stat about;
    seam_pause();
    bool there = !below.stat_name(folder, name, &about, 0);
    seam_resume();
    return there;
}

static int w_link(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    if (!go_on(CALL_LINK, true)) return -1;
    bool before = is_there(to_folder, to);
    int result = below.link(from_folder, from, to_folder, to, flags), code = errno;
    done();
    tell(to_folder, to, before);
    errno = code;
    return result;
}

static int w_rename(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    if (!go_on(CALL_RENAME, true)) return -1;
    bool before = is_there(to_folder, to);
    int result = below.rename(from_folder, from, to_folder, to, flags), code = errno;
    done();
    tell(to_folder, to, before);
    errno = code;
    return result;
}

static int w_unlink(int folder, const char *name, int flags)
{
    if (!go_on(CALL_UNLINK, false)) return -1;
    int result = below.unlink(folder, name, flags);
    done();
    return result;
}

static int w_mkdir(int folder, const char *name, mode_t mode)
{
    if (!go_on(CALL_MKDIR, false)) return -1;
    int result = below.mkdir(folder, name, mode);
    done();
    return result;
}

static ssize_t w_entries(int fd, void *to, size_t count)
{
    if (!go_on(CALL_ENTRIES, false)) return -1;
    ssize_t got = below.entries(fd, to, count);
    done();
    return got;
}

static void *w_map(void *where, size_t count, int protection, int flags, int fd, off_t offset)
{
    if (!go_on(CALL_MAP, false)) return MAP_FAILED;
    void *map = below.map(where, count, protection, flags, fd, offset);
    done();
    return map;
}

static ssize_t w_entropy(void *to, size_t count, unsigned flags)
{
    if (!go_on(CALL_ENTROPY, false)) return -1;
    ssize_t got = below.entropy(to, count, flags);
    done();
    return got;
}

void world_install(void)
{
    seam_install();
    below = kt_posix;
    kt_posix.open = w_open;
    kt_posix.close = w_close;
    kt_posix.stat = w_stat;
    kt_posix.stat_name = w_stat_name;
    kt_posix.read_at = w_read_at;
    kt_posix.write = w_write;
    kt_posix.sync_data = w_sync_data;
    kt_posix.sync = w_sync;
    kt_posix.link = w_link;
    kt_posix.rename = w_rename;
    kt_posix.unlink = w_unlink;
    kt_posix.mkdir = w_mkdir;
    kt_posix.entries = w_entries;
    kt_posix.map = w_map;
    kt_posix.entropy = w_entropy;
}

/* ---- clocks */

static void to_timespec(int64_t us, struct timespec *out)
{
    out->tv_sec = us / 1000000;
    out->tv_nsec = us % 1000000 * 1000;
}

bool world_clock(clockid_t clock, struct timespec *out)
{
    struct actor *actor = world.current;
    if (!actor) return false;
    if (actor->killed) actor->ghost_us += GHOST_US;
    int64_t wall = clock == CLOCK_REALTIME ? world.wall_us : 0;
    to_timespec(world.now_us + wall + (actor->killed ? actor->ghost_us : 0), out);
    return true;
}

bool world_nanosleep(const struct timespec *time)
{
    if (!world.current) return false;
    world_sleep((int64_t)time->tv_sec * 1000000 + time->tv_nsec / 1000);
    return true;
}
