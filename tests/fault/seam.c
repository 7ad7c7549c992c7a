/* Faults at the seam. Each call asks strike() first: it counts, notes, and says whether this one is struck.
 *
 * A fault knows which calls it can strike: nobody gets ENOSPC of a read. With `for good` every such call from
 * the k-th on is struck, others go on: a full disk still reads.
 */
#define _GNU_SOURCE
#include "fault/seam.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "fault/disk.h"
#include "io/io_posix.h"

const char *const seam_call_names[SEAM_CALLS] = {
    "open", "create", "close",  "stat",   "stat_name", "read",    "write", "sync_data",
    "sync", "link",   "rename", "unlink", "mkdir",     "entries", "map",   "entropy",
};

#define BIT(call) (1u << CALL_##call)
enum {
    ALL = (1u << SEAM_CALLS) - 1,
    TAKES_SPACE =
        BIT(CREATE) | BIT(WRITE) | BIT(SYNC_DATA) | BIT(SYNC) | BIT(LINK) | BIT(RENAME) | BIT(MKDIR),
    MOVES_BYTES = BIT(READ) | BIT(WRITE),
    OPENS = BIT(OPEN) | BIT(CREATE),
    CHANGES = BIT(CREATE) | BIT(CLOSE) | BIT(WRITE) | BIT(SYNC_DATA) | BIT(SYNC) | BIT(LINK) | BIT(RENAME) |
              BIT(UNLINK) | BIT(MKDIR),
    NAMES = BIT(CREATE) | BIT(LINK) | BIT(RENAME) | BIT(UNLINK) | BIT(MKDIR),
    SYNCS = BIT(SYNC_DATA) | BIT(SYNC),
};

const struct seam_fault seam_faults[] = {
    { .name = "eio", .code = EIO, .calls = ALL },
    { .name = "enospc", .code = ENOSPC, .calls = TAKES_SPACE },
    { .name = "emfile", .code = EMFILE, .calls = OPENS },
    { .name = "eacces", .code = EACCES, .calls = OPENS | NAMES },
    { .name = "erofs", .code = EROFS, .calls = NAMES },
    { .name = "eintr",
      .code = EINTR,
      .calls = OPENS | MOVES_BYTES | SYNCS,
      .harmless = true,
      .only_once = true },
    { .name = "short", .calls = MOVES_BYTES, .harmless = true },
    { .name = "lost", .code = EIO, .calls = CHANGES & ~BIT(CREATE), .afterwards = true },
    { .name = "fsync", .code = EIO, .calls = SYNCS, .drops_pages = true },
};
const size_t seam_fault_count = sizeof seam_faults / sizeof *seam_faults;

void (*seam_watch)(enum seam_call call);

static struct kt_posix_calls below;
static struct {
    const struct seam_fault *fault;
    uint64_t at, count, struck;
    bool for_good, paused, removal;
    uint8_t *notes;
    size_t room;
    uint32_t lie, syncs;
} seam;

void seam_arm(const struct seam_fault *fault, uint64_t at, bool for_good)
{
    seam.fault = fault;
    seam.at = at;
    seam.for_good = for_good;
    seam.count = seam.struck = 0;
    seam.paused = seam.removal = false;
    seam.notes = NULL;
    seam.room = 0;
}

void seam_pause(void)
{
    seam.paused = true;
}

void seam_resume(void)
{
    seam.paused = false;
}

uint64_t seam_count(void)
{
    return seam.count;
}

uint64_t seam_struck(void)
{
    return seam.struck;
}

bool seam_struck_removal(void)
{
    return seam.removal;
}

void seam_note(uint8_t *calls, size_t room)
{
    seam.notes = calls;
    seam.room = room;
}

void seam_lie(uint32_t every)
{
    seam.lie = every;
}

static const struct seam_fault *strike(enum seam_call call)
{
    if (seam.paused) return NULL;
    uint64_t at = seam.count++;
    if (at < seam.room) seam.notes[at] = (uint8_t)call;
    if (!seam.fault || !(seam.fault->calls & 1u << call)) return NULL;
    if (seam.for_good ? at < seam.at : at != seam.at) return NULL;
    seam.struck++;
    if (call == CALL_UNLINK) seam.removal = true;
    return seam.fault;
}

/* Whether a struck call fails before it is done. */
static bool fails(const struct seam_fault *fault)
{
    if (!fault || fault->afterwards || !fault->code) return false;
    errno = fault->code;
    return true;
}

/* What a call that was done returns. */
static int done(enum seam_call call, const struct seam_fault *fault, int result)
{
    int code = errno;
    if (seam_watch && !seam.paused) seam_watch(call);
    errno = code;
    if (!fault || !fault->afterwards || result < 0) return result;
    errno = fault->code;
    return -1;
}

static int f_open(int folder, const char *name, int flags, mode_t mode)
{
    enum seam_call call = (flags & O_ACCMODE) == O_RDONLY ? CALL_OPEN : CALL_CREATE;
    const struct seam_fault *fault = strike(call);
    if (fails(fault)) return -1;
    int fd = below.open(folder, name, flags, mode);
    return call == CALL_CREATE ? done(call, NULL, fd) : fd;
}

static int f_close(int fd)
{
    const struct seam_fault *fault = strike(CALL_CLOSE);
    int result = below.close(fd); /* one that fails has closed all the same */
    return fails(fault) ? -1 : done(CALL_CLOSE, fault, result);
}

static int f_stat(int fd, struct stat *out)
{
    return fails(strike(CALL_STAT)) ? -1 : below.stat(fd, out);
}

static int f_stat_name(int folder, const char *name, struct stat *out, int flags)
{
    return fails(strike(CALL_STAT_NAME)) ? -1 : below.stat_name(folder, name, out, flags);
}

static size_t part_of(const struct seam_fault *fault, size_t count)
{
    return fault && !fault->code ? (count + 1) / 2 : count;
}

static ssize_t f_read_at(int fd, void *to, size_t count, off_t offset)
{
    const struct seam_fault *fault = strike(CALL_READ);
    return fails(fault) ? -1 : below.read_at(fd, to, part_of(fault, count), offset);
}

/* A write that fails has written a part, which is what a full disk does. */
static ssize_t f_write(int fd, const void *bytes, size_t count)
{
    const struct seam_fault *fault = strike(CALL_WRITE);
    if (fault && fault->code && !fault->afterwards) {
        if (!fault->harmless && count > 1) below.write(fd, bytes, count / 2);
        return fails(fault), -1;
    }
    ssize_t wrote = below.write(fd, bytes, part_of(fault, count));
    return done(CALL_WRITE, fault, 0) ? -1 : wrote;
}

static int sync_by(enum seam_call call, int (*sync)(int), int fd)
{
    const struct seam_fault *fault = strike(call);
    if (seam.lie && ++seam.syncs % seam.lie == 0) return 0;
    if (fault && fault->drops_pages) disk_drop_pages(fd);
    return fails(fault) ? -1 : done(call, fault, sync(fd));
}

static int f_sync_data(int fd)
{
    return sync_by(CALL_SYNC_DATA, below.sync_data, fd);
}

static int f_sync(int fd)
{
    return sync_by(CALL_SYNC, below.sync, fd);
}

static int f_link(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    const struct seam_fault *fault = strike(CALL_LINK);
    if (fails(fault)) return -1;
    return done(CALL_LINK, fault, below.link(from_folder, from, to_folder, to, flags));
}

static int f_rename(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    const struct seam_fault *fault = strike(CALL_RENAME);
    if (fails(fault)) return -1;
    return done(CALL_RENAME, fault, below.rename(from_folder, from, to_folder, to, flags));
}

static int f_unlink(int folder, const char *name, int flags)
{
    const struct seam_fault *fault = strike(CALL_UNLINK);
    return fails(fault) ? -1 : done(CALL_UNLINK, fault, below.unlink(folder, name, flags));
}

static int f_mkdir(int folder, const char *name, mode_t mode)
{
    const struct seam_fault *fault = strike(CALL_MKDIR);
    return fails(fault) ? -1 : done(CALL_MKDIR, fault, below.mkdir(folder, name, mode));
}

static ssize_t f_entries(int fd, void *to, size_t count)
{
    return fails(strike(CALL_ENTRIES)) ? -1 : below.entries(fd, to, count);
}

static void *f_map(void *where, size_t count, int protection, int flags, int fd, off_t offset)
{
    return fails(strike(CALL_MAP)) ? MAP_FAILED : below.map(where, count, protection, flags, fd, offset);
}

static ssize_t f_entropy(void *to, size_t count, unsigned flags)
{
    return fails(strike(CALL_ENTROPY)) ? -1 : below.entropy(to, count, flags);
}

void seam_install(void)
{
    below = kt_posix;
    kt_posix.open = f_open;
    kt_posix.close = f_close;
    kt_posix.stat = f_stat;
    kt_posix.stat_name = f_stat_name;
    kt_posix.read_at = f_read_at;
    kt_posix.write = f_write;
    kt_posix.sync_data = f_sync_data;
    kt_posix.sync = f_sync;
    kt_posix.link = f_link;
    kt_posix.rename = f_rename;
    kt_posix.unlink = f_unlink;
    kt_posix.mkdir = f_mkdir;
    kt_posix.entries = f_entries;
    kt_posix.map = f_map;
    kt_posix.entropy = f_entropy;
}
