/* A simulated disk: a tree of folders and files in memory that answers the system calls of io_posix, knows
 * what of it has been synced, and can be copied, and cut off from power. One disk at a time is in use. */
#ifndef TESTS_FAULT_DISK_H
#define TESTS_FAULT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"

struct disk;

/* How a file may come by its final name here: the ways of publishing that io_posix.c tries in turn. */
enum disk_way {
    DISK_NAMELESS, /* O_TMPFILE, and a link by descriptor */
    DISK_PROC,     /* O_TMPFILE, and a link by /proc only */
    DISK_LINK,     /* no O_TMPFILE: a temporary name, and a link */
    DISK_RENAME,   /* and no links: renameat2 with RENAME_NOREPLACE */
    DISK_WAYS
};
extern const char *const disk_way_names[DISK_WAYS];

struct disk *disk_new(uint64_t seed);
/** The same files, some of them shared until they change; nothing of it is open. */
struct disk *disk_copy(const struct disk *disk);
void disk_free(struct disk *disk);

/** From here on kt_posix means this disk, for good: once simulated, a program does not go back to the system.
 * Everything on a disk is below "/". */
void disk_use(struct disk *disk);
void disk_set_way(struct disk *disk, enum disk_way way);
/** Syncs everything. */
void disk_settle(struct disk *disk);
/** Descriptors and maps that have not been given back. */
size_t disk_open_things(const struct disk *disk);
/** Number of changes so far: calls after which a loss of power may leave something else. */
uint64_t disk_changes(const struct disk *disk);
/** Its clock, in microseconds: it goes on by a step a call, and may be set. */
int64_t *disk_clock(struct disk *disk);
/** What follows a failed sync: the kernel drops what was not written and believes the file to be clean. */
void disk_drop_pages(int fd);

/* ---- losing power */

enum disk_crash {
    CRASH_NOTHING,  /* of what was not synced has survived */
    CRASH_ALL,      /* has survived */
    CRASH_NAMES,    /* names have, sizes too, the bytes are zeros */
    CRASH_ORDERED,  /* what was done to folders up to some moment, of the bytes anything */
    CRASH_PREFIXES, /* up to a moment of its own for each folder */
    CRASH_ANYTHING, /* each change to a folder by itself */
    CRASH_KINDS
};
extern const char *const disk_crash_names[CRASH_KINDS];
/** Whether anything has not been synced. */
bool disk_is_dirty(const struct disk *disk);
/** What may be found after the power is back. */
struct disk *disk_crash(const struct disk *disk, enum disk_crash kind, struct kt_random *random);

/* ---- looking at it */

size_t disk_node_count(const struct disk *disk);
/** Bytes of a file, for reading and damaging; NULL for a folder and for a file without a name. */
uint8_t *disk_bytes(struct disk *disk, size_t node, size_t *size);
/** The last part of a file's name, or "". */
const char *disk_name(const struct disk *disk, size_t node);
/** Prints the tree to stderr. */
void disk_print(const struct disk *disk);

#endif
