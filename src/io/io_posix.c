/* Files in a folder of the local file system.
 *
 * Below the root only the *at() calls are used, one part of a name at a time and never through a symbolic
 * link: a table that came from elsewhere cannot point out of its folder. A root that was opened by path is
 * found by that path at each call, so that a database folder may be removed and made again under an open
 * handle; a root below another one keeps its folder's descriptor from its first use, so that a table
 * outlives the renaming of its folder.
 *
 * Every result is checked, that of close() included. A sync that failed is never tried again: the kernel
 * has by then marked the pages clean, and a second fsync() would succeed over lost bytes. The file is
 * removed.
 *
 * Publishing is the one thing that must be atomic between processes: a complete and synced file without a
 * name gets one by linkat(), which fails where the name exists. Not every file system and sandbox has every
 * call, so there are three ways, tried in turn: a nameless file (O_TMPFILE), a temporary name that is linked,
 * a temporary name that is renamed with RENAME_NOREPLACE. An error of the deciding call is not believed but
 * settled, by asking whether the file that has the name is ours: a network file system may repeat a link that
 * succeeded and report that the name exists.
 */
#define _GNU_SOURCE
#include "io/io_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/random.h"
#include "io/io_private.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1u
#endif

enum {
    WRITE_BUFFER = 256 * 1024, /* appends smaller than this are gathered */
    DEEPEST_TREE = 64,         /* of folders in each other that remove_tree follows */
};
static const size_t LARGEST_WRITE = 1u << 30; /* Linux moves 2 GiB - 4 KiB at most */

static int call_open(int folder, const char *name, int flags, mode_t mode)
{
    return openat(folder, name, flags, mode);
}

struct kt_posix_calls kt_posix = {
    .open = call_open,
    .close = close,
    .stat = fstat,
    .stat_name = fstatat,
    .read_at = pread,
    .write = write,
    .sync_data = fdatasync,
    .sync = fsync,
    .link = linkat,
    .rename = renameat2,
    .unlink = unlinkat,
    .mkdir = mkdirat,
    .entries = getdents64,
    .map = mmap,
    .unmap = munmap,
    .entropy = getrandom,
    .clock = clock_gettime,
};

struct posix_io {
    struct kt_io base;
    _Atomic uint32_t references; /* of the opener, of roots below, of writers */
    struct posix_io *parent;     /* NULL: base.root is a path */
    char *name;                  /* below the parent */
    _Atomic int fd;              /* with a parent: the folder, once used; else -1 */
};

struct posix_file {
    struct kt_io_file base;
    struct posix_io *io; /* to open the file again; shared */
    char *name;          /* below it */
    int fd;              /* -1: beyond the budget, opened for each read */
    ino_t inode;
    dev_t device;
    _Atomic(uint8_t *) map;
};

/* Descriptors that open files may keep, of the process's: a table of many fragments must not use up what the
 * program around us needs. What is mapped needs none; a file beyond the budget is opened again for the reads
 * that verify it. */
enum { DESCRIPTORS_KEPT = 256 };
static _Atomic int descriptors_kept;

struct posix_writer {
    struct kt_io_writer base;
    struct posix_io *io;
    char *name;
    int fd;
    bool failed;
    size_t fill;
    uint8_t *buffer; /* WRITE_BUFFER bytes, from the first small append on */
};

static const struct kt_io_backend posix_backend;

/* ---- small things */

static struct posix_io *posix(struct kt_io *io)
{
    return (struct posix_io *)io;
}

static int open_again(int folder, const char *name, int flags, mode_t mode)
{
    int fd;
    do fd = kt_posix.open(folder, name, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* Closes what was only read, or what has failed already: errno stays. */
static void close_quietly(int fd)
{
    int code = errno;
    if (fd >= 0) kt_posix.close(fd);
    errno = code;
}

static int sync_again(int (*call)(int), int fd)
{
    int result;
    do result = call(fd);
    while (result < 0 && errno == EINTR);
    return result;
}

static int write_all(int fd, const void *bytes, size_t count)
{
    const uint8_t *from = bytes;
    while (count) {
        ssize_t wrote = kt_posix.write(fd, from, count < LARGEST_WRITE ? count : LARGEST_WRITE);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote == 0) errno = EIO;
        if (wrote <= 0) return -1;
        from += wrote;
        count -= (size_t)wrote;
    }
    return 0;
}

static kith_status status_of(int code)
{
    switch (code) {
    case ENOENT:
        return KITH_NOT_FOUND;
    case EEXIST:
        return KITH_EXISTS;
    case ENOMEM:
        return KITH_NO_MEMORY;
    default:
        return KITH_IO;
    }
}

/* strerror() gives constant texts for the errors of system calls, in glibc and musl from any thread. */
static kith_status refuse(const struct kt_io *io, const char *name, const char *doing, kith_error *error)
{
    int code = errno;
    return kt_fail(error, status_of(code), "%s%s%s: %s failed: %s", io->root, *name ? "/" : "", name, doing,
                   strerror(code));
}

/* ---- finding a place below a root */

enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY };

/* Goes from folder `fd` along `count` bytes of `name`; a new descriptor, or -1. */
static int walk(int fd, const char *name, size_t count)
{
    int at = open_again(fd, ".", FOLDER_FLAGS, 0);
    while (at >= 0 && count) {
        size_t length = strcspn(name, "/");
        if (length > count) length = count;
        char part[NAME_MAX + 1];
        memcpy(part, name, length); /* kt_io_* have checked: at most NAME_MAX */
        part[length] = '\0';
        int next = open_again(at, part, FOLDER_FLAGS | O_NOFOLLOW, 0);
        close_quietly(at);
        at = next;
        name += length;
        count -= length;
        if (count) name++, count--;
    }
    return at;
}

/* The root's own folder. `*borrowed`: the root keeps it, else the caller closes it. */
static int root_folder(struct posix_io *io, bool *borrowed)
{
    *borrowed = false;
    if (!io->parent) return open_again(AT_FDCWD, io->base.root, FOLDER_FLAGS, 0);
    int held = atomic_load(&io->fd);
    if (held < 0) {
        bool parents;
        int above = root_folder(io->parent, &parents);
        if (above < 0) return -1;
        int mine = walk(above, io->name, strlen(io->name));
        if (!parents) close_quietly(above);
        if (mine < 0) return -1;
        if (atomic_compare_exchange_strong(&io->fd, &held, mine))
            held = mine;
        else
            close_quietly(mine); /* another thread was first */
    }
    *borrowed = true;
    return held;
}

/* Where a name is: an open folder and the last part. */
struct place {
    int folder;
    bool borrowed;
    const char *leaf;
};

static void leave(struct place *place)
{
    if (!place->borrowed) close_quietly(place->folder);
}

static int find(struct posix_io *io, const char *name, struct place *place)
{
    int fd = root_folder(io, &place->borrowed);
    if (fd < 0) return -1;
    const char *slash = strrchr(name, '/');
    place->folder = fd;
    place->leaf = slash ? slash + 1 : name;
    if (!slash) return 0;
    place->folder = walk(fd, name, (size_t)(slash - name));
    if (!place->borrowed) close_quietly(fd);
    place->borrowed = false;
    return place->folder < 0 ? -1 : 0;
}

/* The folder `name`, "" for the root, with a position of its own; the caller closes it. */
static int find_folder(struct posix_io *io, const char *name)
{
    bool borrowed;
    int root = root_folder(io, &borrowed);
    if (root < 0) return -1;
    int fd = walk(root, name, strlen(name));
    if (!borrowed) close_quietly(root);
    return fd;
}

/* ---- roots */

static struct posix_io *io_share(struct posix_io *io)
{
    atomic_fetch_add(&io->references, 1);
    return io;
}

static void posix_close(struct kt_io *base)
{
    struct posix_io *io = posix(base);
    if (atomic_fetch_sub(&io->references, 1) != 1) return;
    close_quietly(io->fd);
    if (io->parent) posix_close(&io->parent->base);
    kt_free(io->name);
    kt_free(base->root);
    kt_free(io);
}

static kith_status root_new(struct posix_io *parent, const char *name, char *path, struct kt_io **out,
                            kith_error *error)
{
    struct posix_io *io = path ? kt_alloc_zero(1, sizeof *io) : NULL;
    char *copy = io ? kt_strdup(name) : NULL;
    if (!copy) {
        kt_free(path);
        kt_free(io);
        return kt_fail_memory(error, sizeof *io);
    }
    *io = (struct posix_io){ .base = { &posix_backend, path }, .references = 1, .name = copy, .fd = -1 };
    io->parent = parent ? io_share(parent) : NULL;
    *out = &io->base;
    return KITH_OK;
}

/* A relative path is made absolute at once: the program may change its folder later. */
static char *absolute(const char *path)
{
    char here[PATH_MAX];
    if (path[0] == '/') return kt_strdup(path);
    if (!getcwd(here, sizeof here)) return NULL;
    return kt_io_join(here, path);
}

kith_status kt_io_open_folder(const char *path, struct kt_io **out, kith_error *error)
{
    if (!path) return kt_io_open_memory(out, error);
    if (!*path) return kt_fail(error, KITH_INVALID, "an empty path names no folder");
    char *full = absolute(path);
    if (!full && errno == ENOMEM) return kt_fail_memory(error, strlen(path));
    if (!full)
        return kt_fail(error, KITH_IO, "the folder that '%s' is relative to is not known: %s", path,
                       strerror(errno));
    for (size_t length = strlen(full); length > 1 && full[length - 1] == '/'; length--)
        full[length - 1] = '\0';
    return root_new(NULL, "", full, out, error);
}

static kith_status posix_open_sub(struct kt_io *io, const char *name, struct kt_io **out, kith_error *error)
{
    return root_new(posix(io), name, kt_io_join(io->root, name), out, error);
}

/* ---- reading */

static kith_status posix_look(struct kt_io *io, const char *name, kith_error *error)
{
    struct place place;
    struct stat about;
    int missing = find(posix(io), name, &place);
    if (!missing) {
        missing = *name ? kt_posix.stat_name(place.folder, place.leaf, &about, AT_SYMLINK_NOFOLLOW) : 0;
        leave(&place);
    }
    if (!missing) return KITH_OK;
    if (errno == ENOTDIR) errno = ENOENT; /* there is nothing below a file */
    return refuse(io, name, "looking for it", error);
}

static int64_t posix_now_us(struct kt_io *io)
{
    struct timespec now = { 0 };
    (void)io;
    kt_posix.clock(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t posix_stamp(struct kt_io *io)
{
    enum { QUIET_MS = 100 };
    struct place place;
    struct stat about;
    if (find(posix(io), "", &place)) return 0;
    bool known = kt_posix.stat(place.folder, &about) == 0;
    leave(&place);
    if (!known) return 0;
    int64_t changed = (int64_t)about.st_ctim.tv_sec * 1000 + about.st_ctim.tv_nsec / 1000000;
    if (changed > posix_now_us(io) / 1000 - QUIET_MS) return 0;
    uint64_t stamp = kt_mix(about.st_ino + kt_mix((uint64_t)about.st_ctim.tv_sec));
    return kt_mix(stamp + (uint64_t)about.st_ctim.tv_nsec) | 1;
}

static int64_t posix_written_us(struct kt_io *io, const char *name)
{
    struct place place;
    struct stat about;
    if (find(posix(io), name, &place)) return 0;
    bool known = kt_posix.stat_name(place.folder, place.leaf, &about, AT_SYMLINK_NOFOLLOW) == 0;
    leave(&place);
    return known && S_ISREG(about.st_mode)
               ? (int64_t)about.st_mtim.tv_sec * 1000000 + about.st_mtim.tv_nsec / 1000
               : 0;
}

static void posix_file_close(struct kt_io_file *base)
{
    struct posix_file *file = (struct posix_file *)base;
    uint8_t *map = atomic_load(&file->map);
    if (map) kt_posix.unmap(map, (size_t)base->size);
    if (file->fd >= 0) {
        close_quietly(file->fd);
        atomic_fetch_sub(&descriptors_kept, 1);
    }
    posix_close(&file->io->base);
    kt_free(base->name);
    kt_free(file->name);
    kt_free(file);
}

/* A descriptor of the file that was opened, for one read or to map it: the kept one, or a new one of the same
 * inode. */
static int borrow_descriptor(const struct posix_file *file)
{
    struct place place;
    struct stat about;
    if (file->fd >= 0) return file->fd;
    if (find(file->io, file->name, &place)) return -1;
    int fd = open_again(place.folder, place.leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
    leave(&place);
    if (fd < 0) return -1;
    if (kt_posix.stat(fd, &about) == 0 && about.st_ino == file->inode && about.st_dev == file->device)
        return fd;
    close_quietly(fd);
    errno = ESTALE;
    return -1;
}

static void return_descriptor(const struct posix_file *file, int fd)
{
    if (fd >= 0 && fd != file->fd) close_quietly(fd);
}

static kith_status posix_open(struct kt_io *io, const char *name, struct kt_io_file **out, kith_error *error)
{
    struct place place;
    struct stat about;
    if (find(posix(io), name, &place)) return refuse(io, name, "opening", error);
    /* O_NONBLOCK is for what should not be there, such as a pipe: its open would wait for a writer. */
    int fd = open_again(place.folder, place.leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
    leave(&place);
    if (fd < 0) return refuse(io, name, "opening", error);

    kith_status status = KITH_OK;
    if (kt_posix.stat(fd, &about))
        status = refuse(io, name, "stat", error);
    else if (!S_ISREG(about.st_mode))
        status = kt_fail(error, KITH_CORRUPT, "%s/%s is not a file", io->root, name);
    struct posix_file *file = status ? NULL : kt_alloc_zero(1, sizeof *file);
    char *path = file ? kt_io_join(io->root, name) : NULL, *below = file ? kt_strdup(name) : NULL;
    if (!status && (!path || !below)) status = kt_fail_memory(error, sizeof *file);
    if (status) {
        close_quietly(fd);
        kt_free(path);
        kt_free(below);
        kt_free(file);
        return status;
    }
    *file = (struct posix_file){ .base = { &posix_backend, path, (uint64_t)about.st_size },
                                 .io = io_share(posix(io)),
                                 .name = below,
                                 .fd = fd,
                                 .inode = about.st_ino,
                                 .device = about.st_dev };
    if (atomic_fetch_add(&descriptors_kept, 1) >= DESCRIPTORS_KEPT) {
        atomic_fetch_sub(&descriptors_kept, 1);
        close_quietly(fd);
        file->fd = -1;
    }
    *out = &file->base;
    return KITH_OK;
}

static kith_status read_all(const struct kt_io_file *base, int fd, uint64_t offset, void *to, size_t count,
                            kith_error *error)
{
    uint8_t *at = to;
    while (count) {
        ssize_t got = kt_posix.read_at(fd, at, count < LARGEST_WRITE ? count : LARGEST_WRITE, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return kt_fail(error, KITH_IO, "%s: reading %zu bytes at %llu failed: %s", base->name, count,
                           (unsigned long long)offset, strerror(errno));
        if (got == 0)
            return kt_fail(error, KITH_CORRUPT, "%s ends at byte %llu, though it had %llu when it was opened",
                           base->name, (unsigned long long)offset, (unsigned long long)base->size);
        at += got;
        offset += (uint64_t)got;
        count -= (size_t)got;
    }
    return KITH_OK;
}

static kith_status posix_file_read(struct kt_io_file *base, uint64_t offset, void *to, size_t count,
                                   kith_error *error)
{
    struct posix_file *file = (struct posix_file *)base;
    int fd = borrow_descriptor(file);
    if (fd < 0)
        return kt_fail(error, KITH_IO, "%s: opening it again failed: %s", base->name, strerror(errno));
    kith_status status = read_all(base, fd, offset, to, count, error);
    return_descriptor(file, fd);
    return status;
}

static const uint8_t *posix_file_map(struct kt_io_file *base)
{
    struct posix_file *file = (struct posix_file *)base;
    uint8_t *map = atomic_load(&file->map);
    if (map || !base->size || base->size > SIZE_MAX / 2) return map;
    int fd = borrow_descriptor(file);
    void *mine = fd < 0 ? MAP_FAILED : kt_posix.map(NULL, (size_t)base->size, PROT_READ, MAP_SHARED, fd, 0);
    return_descriptor(file, fd);
    if (mine == MAP_FAILED) return NULL;
    if (atomic_compare_exchange_strong(&file->map, &map, mine)) return mine;
    kt_posix.unmap(mine, (size_t)base->size); /* another thread was first */
    return map;
}

static void posix_file_jumps(struct kt_io_file *base)
{
    uint8_t *map = atomic_load(&((struct posix_file *)base)->map);
    if (map) (void)posix_madvise(map, (size_t)base->size, POSIX_MADV_RANDOM);
}

static void posix_file_ahead(struct kt_io_file *base, uint64_t offset, uint64_t count)
{
    enum { PAGE = 4096 }; /* where pages are larger it is refused: a hint is lost */
    uint8_t *map = atomic_load(&((struct posix_file *)base)->map);
    uint64_t begin = offset & ~(uint64_t)(PAGE - 1);
    if (map && offset < base->size)
        (void)posix_madvise(map + begin, (size_t)(kt_min_u64(count, base->size - offset) + offset - begin),
                            POSIX_MADV_WILLNEED);
}

/* ---- writing */

static void remove_file(struct posix_io *io, const char *name)
{
    struct place place;
    if (find(io, name, &place)) return;
    kt_posix.unlink(place.folder, place.leaf, 0);
    leave(&place);
}

static void writer_free(struct posix_writer *writer)
{
    posix_close(&writer->io->base);
    kt_free(writer->name);
    kt_free(writer->buffer);
    kt_free(writer);
}

static kith_status posix_create(struct kt_io *io, const char *name, struct kt_io_writer **out,
                                kith_error *error)
{
    struct place place;
    struct posix_writer *writer = kt_alloc_zero(1, sizeof *writer);
    char *copy = writer ? kt_strdup(name) : NULL;
    if (!copy) {
        kt_free(writer);
        return kt_fail_memory(error, sizeof *writer);
    }
    *writer = (struct posix_writer){
        .base = { &posix_backend }, .io = io_share(posix(io)), .name = copy, .fd = -1
    };
    if (!find(writer->io, name, &place)) {
        writer->fd = open_again(place.folder, place.leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
        leave(&place);
    }
    if (writer->fd < 0) {
        kith_status status = refuse(io, name, "creating", error);
        writer_free(writer);
        return status;
    }
    *out = &writer->base;
    return KITH_OK;
}

static kith_status write_now(struct posix_writer *writer, const void *bytes, size_t count, kith_error *error)
{
    if (writer->failed) {
        errno = EIO;
        return refuse(&writer->io->base, writer->name, "an earlier write", error);
    }
    if (write_all(writer->fd, bytes, count) == 0) return KITH_OK;
    writer->failed = true;
    return refuse(&writer->io->base, writer->name, "writing", error);
}

static kith_status flush(struct posix_writer *writer, kith_error *error)
{
    size_t fill = writer->fill;
    writer->fill = 0;
    return fill || writer->failed ? write_now(writer, writer->buffer, fill, error) : KITH_OK;
}

static kith_status posix_append(struct kt_io_writer *base, const void *bytes, size_t count, kith_error *error)
{
    struct posix_writer *writer = (struct posix_writer *)base;
    if (count >= WRITE_BUFFER) {
        kith_status status = flush(writer, error);
        return status ? status : write_now(writer, bytes, count, error);
    }
    if (!writer->buffer) writer->buffer = kt_alloc(WRITE_BUFFER);
    if (!writer->buffer) {
        writer->failed = true;
        return kt_fail_memory(error, WRITE_BUFFER);
    }
    if (count > WRITE_BUFFER - writer->fill) {
        kith_status status = flush(writer, error);
        if (status) return status;
    }
    memcpy(writer->buffer + writer->fill, bytes, count);
    writer->fill += count;
    return KITH_OK;
}

static kith_status posix_finish(struct kt_io_writer *base, kith_error *error)
{
    struct posix_writer *writer = (struct posix_writer *)base;
    struct kt_io *io = &writer->io->base;
    kith_status status = flush(writer, error);
    if (!status && sync_again(kt_posix.sync_data, writer->fd))
        status = refuse(io, writer->name, "fdatasync", error);
    if (kt_posix.close(writer->fd) && errno != EINTR && !status)
        status = refuse(io, writer->name, "closing", error);
    if (status) remove_file(writer->io, writer->name);
    writer_free(writer);
    return status;
}

static void posix_abandon(struct kt_io_writer *base)
{
    struct posix_writer *writer = (struct posix_writer *)base;
    close_quietly(writer->fd);
    remove_file(writer->io, writer->name);
    writer_free(writer);
}

kith_status kt_posix_write_descriptor(int fd, const void *bytes, size_t count, kith_error *error)
{
    if (write_all(fd, bytes, count) == 0) return KITH_OK;
    return kt_fail(error, KITH_IO, "writing %zu bytes to descriptor %d failed: %s", count, fd,
                   strerror(errno));
}

static kith_status posix_sync_folder(struct kt_io *io, const char *name, kith_error *error)
{
    int fd = find_folder(posix(io), name);
    kith_status status = KITH_OK;
    if (fd < 0 || sync_again(kt_posix.sync, fd)) status = refuse(io, name, "fsync of the folder", error);
    close_quietly(fd);
    return status;
}

/* ---- publishing */

/* One way of publishing ends as a kt_published, or so: this file system cannot do it, try the next. */
enum { CANNOT = -1 };

/* A deciding call failed with errno: did the name become ours all the same? */
static int settle(const struct place *place, int fd)
{
    int code = errno;
    struct stat mine, theirs;
    if (kt_posix.stat(fd, &mine)) return errno = code, KT_UNKNOWN;
    if (kt_posix.stat_name(place->folder, place->leaf, &theirs, AT_SYMLINK_NOFOLLOW) == 0)
        return mine.st_dev == theirs.st_dev && mine.st_ino == theirs.st_ino ? KT_WON : KT_LOST;
    int absent = errno;
    errno = code;
    if (absent != ENOENT) return KT_UNKNOWN;
    switch (code) {
    case EEXIST:
        return KT_LOST; /* gone again since */
    case EPERM:
    case EACCES:
    case EINVAL:
    case ENOSYS:
    case EOPNOTSUPP:
    case EXDEV:
    case EMLINK:
    case ENOENT:
        return CANNOT;
    default:
        return KT_REFUSED;
    }
}

static int write_synced(int fd, const void *bytes, size_t count)
{
    return write_all(fd, bytes, count) || sync_again(kt_posix.sync_data, fd) ? -1 : 0;
}

/* A nameless file, which vanishes by itself if anything goes wrong. The link by descriptor needs a
 * capability before Linux 6.10, the link by /proc needs /proc. */
static int publish_nameless(const struct place *place, const void *bytes, size_t count)
{
    int fd = open_again(place->folder, ".", O_TMPFILE | O_WRONLY, 0666);
    if (fd < 0) return CANNOT;
    int result = KT_REFUSED;
    if (write_synced(fd, bytes, count)) goto out;
    result = KT_WON;
    if (kt_posix.link(fd, "", place->folder, place->leaf, AT_EMPTY_PATH)) result = settle(place, fd);
    if (result == CANNOT) {
        char self[64];
        snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
        result = KT_WON;
        if (kt_posix.link(AT_FDCWD, self, place->folder, place->leaf, AT_SYMLINK_FOLLOW))
            result = settle(place, fd);
    }
out:
    close_quietly(fd);
    return result;
}

/* A file under a name that no reader looks at, then the final name by link, else by rename. */
static int publish_by_name(const struct place *place, const void *bytes, size_t count)
{
    uint64_t unique = 0;
    char name[64];
    if (kt_posix.entropy(&unique, sizeof unique, 0) != (ssize_t)sizeof unique) return KT_REFUSED;
    snprintf(name, sizeof name, KT_PASSING "%016llx", (unsigned long long)unique);
    int fd = open_again(place->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
    if (fd < 0) return KT_REFUSED;
    int result = KT_REFUSED;
    if (write_synced(fd, bytes, count)) goto out;
    result = KT_WON;
    if (kt_posix.link(place->folder, name, place->folder, place->leaf, 0)) result = settle(place, fd);
    if (result == CANNOT) {
        result = KT_WON;
        if (kt_posix.rename(place->folder, name, place->folder, place->leaf, RENAME_NOREPLACE))
            result = settle(place, fd);
    }
out:;
    int code = errno;
    kt_posix.unlink(place->folder, name, 0); /* after a rename there is none */
    errno = code;
    close_quietly(fd);
    return result;
}

/* A clean-up may have taken the passing name away from under a process that stood still for a day. Then
 * nothing has happened, and it is tried again; where the folder is gone, that will not even begin. */
static int publish_named(const struct place *place, const void *bytes, size_t count)
{
    enum { TRIES = 8 };
    int result = CANNOT;
    for (int i = 0; i < TRIES; i++) {
        result = publish_by_name(place, bytes, count);
        if (result != CANNOT || errno != ENOENT) break;
    }
    return result;
}

static enum kt_published publish_failed(struct kt_io *io, const char *name, int result, kith_error *error)
{
    int code = errno;
    if (result == KT_UNKNOWN) {
        kt_fail(error, KITH_UNKNOWN, "%s/%s: whether it was published is not known: %s", io->root, name,
                strerror(code));
        return KT_UNKNOWN;
    }
    if (result == CANNOT && code != ENOENT && code != EACCES)
        kt_fail(error, KITH_UNSUPPORTED,
                "%s/%s: this file system can neither link a file to a new name nor rename it to a name that "
                "must not "
                "exist (%s), so that two writers could overwrite each other; keep the table on another one",
                io->root, name, strerror(code));
    else
        refuse(io, name, "publishing", error);
    return KT_REFUSED;
}

static enum kt_published posix_publish(struct kt_io *io, const char *name, const void *bytes, size_t count,
                                       kith_error *error)
{
    struct place place;
    if (find(posix(io), name, &place)) {
        refuse(io, name, "publishing", error);
        return KT_REFUSED;
    }
    int result = publish_nameless(&place, bytes, count);
    if (result == CANNOT) result = publish_named(&place, bytes, count);
    if (result == KT_WON && sync_again(kt_posix.sync, place.folder)) result = KT_UNKNOWN;
    if (result != KT_WON && result != KT_LOST) result = publish_failed(io, name, result, error);
    leave(&place);
    return (enum kt_published)result;
}

/* ---- folders */

/* The names in an open folder, sorted. */
static int list_names(int fd, struct kt_io_names *names)
{
    enum { CHUNK = 32 * 1024 };
    uint8_t *chunk = kt_alloc(CHUNK);
    ssize_t got = -1;
    errno = ENOMEM;
    while (chunk && (got = kt_posix.entries(fd, chunk, CHUNK)) > 0) {
        for (ssize_t at = 0; at < got;) {
            struct dirent64 *entry = (struct dirent64 *)(void *)(chunk + at);
            at += entry->d_reclen;
            if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
            if (kt_io_names_add(names, entry->d_name)) continue;
            kt_free(chunk);
            errno = ENOMEM;
            return -1;
        }
    }
    kt_free(chunk);
    if (got < 0) return -1;
    kt_io_names_sort(names);
    return 0;
}

static kith_status posix_list(struct kt_io *io, const char *folder, struct kt_io_names *out,
                              kith_error *error)
{
    struct kt_io_names names = { 0 };
    int fd = find_folder(posix(io), folder);
    if (fd < 0 || list_names(fd, &names)) {
        kith_status status = refuse(io, folder, "listing", error);
        close_quietly(fd);
        kt_io_names_release(&names);
        return status;
    }
    close_quietly(fd);
    *out = names;
    return KITH_OK;
}

/* Makes one folder and syncs the one it is in. A folder that is there may have been made by another
 * process that has not synced yet, so that case is synced as well. */
static int make_one(int folder, const char *name)
{
    if (kt_posix.mkdir(folder, name, 0777) && errno != EEXIST) return -1;
    return sync_again(kt_posix.sync, folder);
}

/* Makes the folder of a root's path, with its parents. Those are the user's: symbolic links are followed,
 * and what is there already is left alone. `path` is cut and mended on the way. */
static int make_path(char *path)
{
    struct stat about;
    if (kt_posix.stat_name(AT_FDCWD, path, &about, 0) == 0) {
        errno = ENOTDIR;
        return S_ISDIR(about.st_mode) ? 0 : -1;
    }
    if (errno != ENOENT) return -1;
    char *slash = strrchr(path, '/');
    if (!slash) return -1;
    bool top = slash == path;
    if (!top) {
        *slash = '\0';
        int made = make_path(path);
        *slash = '/';
        if (made) return -1;
    }
    char kept = slash[1];
    slash[1] = '\0';
    int above = open_again(AT_FDCWD, path, FOLDER_FLAGS, 0);
    slash[1] = kept;
    if (above < 0) return -1;
    int made = make_one(above, slash + 1);
    close_quietly(above);
    return made;
}

static int make_root(struct posix_io *io);

static int make_below(struct posix_io *io, const char *name)
{
    if (make_root(io)) return -1;
    int at = find_folder(io, "");
    while (at >= 0 && *name) {
        size_t length = strcspn(name, "/");
        char part[NAME_MAX + 1];
        memcpy(part, name, length);
        part[length] = '\0';
        int next = make_one(at, part) ? -1 : open_again(at, part, FOLDER_FLAGS | O_NOFOLLOW, 0);
        close_quietly(at);
        at = next;
        name += length + (name[length] == '/');
    }
    close_quietly(at);
    return at < 0 ? -1 : 0;
}

static int make_root(struct posix_io *io)
{
    if (atomic_load(&io->fd) >= 0) return 0;
    if (io->parent) return make_below(io->parent, io->name);
    char *path = kt_strdup(io->base.root);
    if (!path) return errno = ENOMEM, -1;
    int made = make_path(path);
    int code = errno;
    kt_free(path);
    errno = code;
    return made;
}

static kith_status posix_mkdir(struct kt_io *io, const char *name, kith_error *error)
{
    return make_below(posix(io), name) ? refuse(io, name, "making the folder", error) : KITH_OK;
}

static kith_status posix_remove(struct kt_io *io, const char *name, kith_error *error)
{
    struct place place;
    if (find(posix(io), name, &place)) return errno == ENOENT ? KITH_OK : refuse(io, name, "removing", error);
    kith_status status = KITH_OK;
    if (kt_posix.unlink(place.folder, place.leaf, 0) && errno != ENOENT)
        status = refuse(io, name, "removing", error);
    leave(&place);
    return status;
}

static int remove_below(int folder, const char *name, int depth);

/* Files go in the order of their names: a log loses its oldest commits first, so that nobody who finds a
 * name free takes it for the end of the log (see store_txn.c). */
static int empty_folder(int folder, const char *name, int depth)
{
    struct kt_io_names names = { 0 };
    int fd = open_again(folder, name, FOLDER_FLAGS | O_NOFOLLOW, 0);
    int result = fd < 0 ? -1 : list_names(fd, &names);
    for (size_t i = 0; !result && i < names.count; i++) result = remove_below(fd, names.names[i], depth + 1);
    close_quietly(fd);
    int code = errno;
    kt_io_names_release(&names);
    errno = code;
    return result;
}

/* Somebody may put a file into a folder that is being emptied, so it is tried again a few times. */
static int remove_below(int folder, const char *name, int depth)
{
    enum { TRIES = 16 };
    if (kt_posix.unlink(folder, name, 0) == 0 || errno == ENOENT) return 0;
    if (errno != EISDIR && errno != EPERM) return -1;
    if (depth == DEEPEST_TREE) return errno = ELOOP, -1;
    for (int i = 0; i < TRIES; i++) {
        if (empty_folder(folder, name, depth))
            return errno == ENOENT ? 0 : -1; /* somebody else removes it too */
        if (kt_posix.unlink(folder, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
        if (errno != ENOTEMPTY && errno != EEXIST) return -1;
    }
    return -1;
}

static kith_status posix_remove_tree(struct kt_io *io, const char *name, kith_error *error)
{
    struct place place;
    if (find(posix(io), name, &place)) return errno == ENOENT ? KITH_OK : refuse(io, name, "removing", error);
    kith_status status =
        remove_below(place.folder, place.leaf, 0) ? refuse(io, name, "removing", error) : KITH_OK;
    leave(&place);
    return status;
}

/* Where a file system has no RENAME_NOREPLACE (NFS), a plain rename after a look: a folder is never lost by
 * it, because rename() replaces an empty folder only. */
static int rename_to_new(const struct place *from, const struct place *to)
{
    struct stat about;
    if (kt_posix.rename(from->folder, from->leaf, to->folder, to->leaf, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != EPERM) return -1;
    int code = errno;
    if (kt_posix.stat_name(to->folder, to->leaf, &about, AT_SYMLINK_NOFOLLOW) == 0) return errno = EEXIST, -1;
    if (kt_posix.rename(from->folder, from->leaf, to->folder, to->leaf, 0) == 0) return 0;
    if (errno == ENOSYS) errno = code;
    return -1;
}

/* A rename failed with errno: was it done all the same, as a network file system may say of one that it
 * repeated? `mine` is what had the old name before. Errors that the name or the file explains are believed
 * when the old name still has it. */
static int settle_rename(const struct place *from, const struct place *to, const struct stat *mine)
{
    int code = errno;
    struct stat about;
    bool there = kt_posix.stat_name(to->folder, to->leaf, &about, AT_SYMLINK_NOFOLLOW) == 0;
    bool absent = !there && errno == ENOENT;
    if (there && about.st_ino == mine->st_ino && about.st_dev == mine->st_dev) return KT_WON;
    bool stays = (there || absent) &&
                 kt_posix.stat_name(from->folder, from->leaf, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
                 about.st_ino == mine->st_ino && about.st_dev == mine->st_dev;
    bool explained = code == EEXIST || code == ENOENT || code == ENOTEMPTY;
    errno = code;
    return stays || ((there || absent) && explained) ? KT_REFUSED : KT_UNKNOWN;
}

static kith_status rename_unknown(struct kt_io *io, const char *from, const char *to, kith_error *error)
{
    return kt_fail(error, KITH_UNKNOWN, "%s/%s: whether it was renamed to %s for good is not known: %s",
                   io->root, from, to, strerror(errno));
}

static kith_status posix_rename(struct kt_io *io, const char *from, const char *to, kith_error *error)
{
    struct place source = { .folder = -1 }, target = { .folder = -1 };
    struct stat mine;
    kith_status status = KITH_OK;
    int outcome = KT_REFUSED;
    if (!find(posix(io), from, &source) && !find(posix(io), to, &target) &&
        !kt_posix.stat_name(source.folder, source.leaf, &mine, AT_SYMLINK_NOFOLLOW))
        outcome = rename_to_new(&source, &target) ? settle_rename(&source, &target, &mine) : KT_WON;
    if (outcome == KT_REFUSED)
        status = refuse(io, errno == EEXIST ? to : from, "renaming", error);
    else if (outcome == KT_UNKNOWN || sync_again(kt_posix.sync, target.folder) ||
             sync_again(kt_posix.sync, source.folder))
        status = rename_unknown(io, from, to, error);
    leave(&source);
    leave(&target);
    return status;
}

/* ---- the rest */

static kith_status posix_entropy(struct kt_io *io, void *to, size_t count, kith_error *error)
{
    uint8_t *at = to;
    while (count) {
        ssize_t got = kt_posix.entropy(at, count, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return refuse(io, "", "getrandom", error);
        at += got;
        count -= (size_t)got;
    }
    return KITH_OK;
}

static const struct kt_io_backend posix_backend = {
    .open_sub = posix_open_sub,
    .close = posix_close,
    .look = posix_look,
    .stamp = posix_stamp,
    .written_us = posix_written_us,
    .open = posix_open,
    .file_close = posix_file_close,
    .file_read = posix_file_read,
    .file_map = posix_file_map,
    .file_jumps = posix_file_jumps,
    .file_ahead = posix_file_ahead,
    .create = posix_create,
    .append = posix_append,
    .finish = posix_finish,
    .abandon = posix_abandon,
    .sync_folder = posix_sync_folder,
    .publish = posix_publish,
    .list = posix_list,
    .mkdir = posix_mkdir,
    .remove = posix_remove,
    .remove_tree = posix_remove_tree,
    .rename = posix_rename,
    .now_us = posix_now_us,
    .entropy = posix_entropy,
};
