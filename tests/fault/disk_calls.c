/* The system calls over the simulated disk, as kt_posix asks for them.
 *
 * They do what Linux does as far as io_posix.c can see, and refuse by abort() what it never asks for, so that
 * a new use is noticed here and not as a mystery later. Paths are followed from "/" and only with AT_FDCWD;
 * below a folder a name has one part. There are no symbolic links.
 *
 * A map is a copy of its file, of exactly the file's size, so that a sanitizer sees what reads beyond it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fault/disk_private.h"
#include "fault/own.h"
#include "io/io_posix.h"

enum { STEP_US = 3000 }; /* the time of a call: long enough that a folder becomes quiet within a scenario */

struct disk *disk_in_use;
static struct kt_posix_calls system_calls;

static int refuse(int code)
{
    errno = code;
    return -1;
}

static void impossible(const char *what)
{
    fprintf(stderr, "the simulated disk does not know %s\n", what);
    abort();
}

static struct disk *now(void)
{
    disk_in_use->now_us += STEP_US;
    return disk_in_use;
}

/* ---- descriptors */

static struct handle *handle_of(struct disk *disk, int fd)
{
    size_t at = (size_t)fd - FIRST_FD;
    if (fd < FIRST_FD || at >= disk->handle_count || !disk->handles[at].open) return NULL;
    return &disk->handles[at];
}

static int handle_new(struct disk *disk, uint32_t node, bool writes)
{
    size_t at = 0;
    while (at < disk->handle_count && disk->handles[at].open) at++;
    if (at == disk->handle_count) {
        size_t count = disk->handle_count * 2 + 8;
        disk->handles = own_grow(disk->handles, disk->handle_count, count, sizeof *disk->handles);
        disk->handle_count = count;
    }
    disk->handles[at] = (struct handle){ .open = true, .node = node, .writes = writes };
    return FIRST_FD + (int)at;
}

/* The node below a folder; NO_NODE with errno. */
static uint32_t child(const struct disk *disk, uint32_t folder, const char *name)
{
    if (!disk->nodes[folder].folder) return errno = ENOTDIR, NO_NODE;
    if (!strcmp(name, ".")) return folder;
    const struct entry *entry = entries_find(&disk->nodes[folder].entries, name);
    if (!entry) errno = ENOENT;
    return entry ? entry->node : NO_NODE;
}

/* Where a name is: its folder and last part. */
struct spot {
    uint32_t folder;
    char leaf[NAME_ROOM];
};

static int find_spot(struct disk *disk, int fd, const char *name, struct spot *out)
{
    out->folder = 0;
    if (fd != AT_FDCWD) {
        const struct handle *handle = handle_of(disk, fd);
        if (!handle) return refuse(EBADF);
        if (strchr(name, '/')) impossible("a name of several parts below a folder");
        out->folder = handle->node;
    } else if (name[0] != '/') {
        impossible("a relative path");
    }
    while (*name == '/') name++;
    if (!*name) name = ".";
    for (const char *slash; (slash = strchr(name, '/'));) {
        char part[NAME_ROOM];
        snprintf(part, sizeof part, "%.*s", (int)(slash - name), name);
        out->folder = child(disk, out->folder, part);
        if (out->folder == NO_NODE) return -1;
        name = slash + 1;
        if (!*name) name = ".";
    }
    if (strlen(name) >= NAME_ROOM) return refuse(ENAMETOOLONG);
    memcpy(out->leaf, name, strlen(name) + 1);
    return 0;
}

static uint32_t find_node(struct disk *disk, int fd, const char *name)
{
    struct spot spot;
    return find_spot(disk, fd, name, &spot) ? NO_NODE : child(disk, spot.folder, spot.leaf);
}

/* Whether a name can be put there: not into a folder that has been removed. */
static bool takes_names(const struct disk *disk, uint32_t folder)
{
    return disk->nodes[folder].folder && disk->nodes[folder].links;
}

/* ---- opening and closing */

static int open_nameless(struct disk *disk, const struct spot *spot)
{
    if (disk->way >= DISK_LINK) return refuse(EOPNOTSUPP);
    uint32_t folder = child(disk, spot->folder, spot->leaf);
    return folder == NO_NODE ? -1 : handle_new(disk, node_new(disk, false), true);
}

static int sim_open(int folder, const char *name, int flags, mode_t mode)
{
    struct disk *disk = now();
    struct spot spot;
    (void)mode;
    if (find_spot(disk, folder, name, &spot)) return -1;
    if ((flags & O_TMPFILE) == O_TMPFILE) return open_nameless(disk, &spot);
    uint32_t node = child(disk, spot.folder, spot.leaf);
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    if (writes && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL))
        impossible("writing to a file that is there");
    if (writes && node != NO_NODE) return refuse(EEXIST);
    if (!writes && node == NO_NODE) return -1;
    if (writes && !takes_names(disk, spot.folder)) return refuse(ENOENT);
    if (writes) {
        node = node_new(disk, false);
        folder_change(disk, spot.folder, NULL, spot.leaf, node);
    }
    if ((flags & O_DIRECTORY) && !disk->nodes[node].folder) return refuse(ENOTDIR);
    return handle_new(disk, node, writes);
}

static int sim_close(int fd)
{
    struct handle *handle = handle_of(now(), fd);
    if (!handle) impossible("closing what is not open");
    handle->open = false;
    return 0;
}

/* ---- looking */

static int describe(const struct disk *disk, uint32_t at, struct stat *out)
{
    const struct node *node = &disk->nodes[at];
    *out = (struct stat){ .st_ino = at + 2, .st_dev = 42, .st_nlink = node->links };
    out->st_mode = node->folder ? S_IFDIR | 0755 : S_IFREG | 0644;
    out->st_size = node->content ? (off_t)node->content->size : 0;
    out->st_ctim.tv_sec = node->changed_us / 1000000;
    out->st_ctim.tv_nsec = node->changed_us % 1000000 * 1000;
    out->st_mtim = out->st_ctim;
    return 0;
}

static int sim_stat(int fd, struct stat *out)
{
    struct disk *disk = now();
    const struct handle *handle = handle_of(disk, fd);
    return handle ? describe(disk, handle->node, out) : refuse(EBADF);
}

static int sim_stat_name(int folder, const char *name, struct stat *out, int flags)
{
    struct disk *disk = now();
    (void)flags;
    uint32_t node = find_node(disk, folder, name);
    return node == NO_NODE ? -1 : describe(disk, node, out);
}

static ssize_t sim_entries(int fd, void *to, size_t room)
{
    struct disk *disk = now();
    struct handle *handle = handle_of(disk, fd);
    if (!handle || !disk->nodes[handle->node].folder) return refuse(ENOTDIR);
    const struct entries *entries = &disk->nodes[handle->node].entries;
    uint8_t *at = to;
    for (; handle->position < entries->count; handle->position++) {
        const struct entry *entry = &entries->entry[handle->position];
        size_t length = strlen(entry->name) + 1;
        size_t bytes = (offsetof(struct dirent64, d_name) + length + 7) / 8 * 8;
        if (bytes > room - (size_t)(at - (uint8_t *)to)) break;
        struct dirent64 *out = (struct dirent64 *)(void *)at;
        memset(at, 0, bytes);
        out->d_ino = entry->node + 2;
        out->d_reclen = (unsigned short)bytes;
        memcpy(at + offsetof(struct dirent64, d_name), entry->name, length);
        at += bytes;
    }
    return at - (uint8_t *)to;
}

/* ---- bytes */

static ssize_t sim_read_at(int fd, void *to, size_t count, off_t offset)
{
    struct disk *disk = now();
    const struct handle *handle = handle_of(disk, fd);
    if (!handle || handle->writes) return refuse(EBADF);
    const struct node *node = &disk->nodes[handle->node];
    if (node->folder) return refuse(EISDIR);
    size_t size = node->content ? node->content->size : 0, at = (size_t)offset;
    if (at >= size) return 0;
    if (count > size - at) count = size - at;
    memcpy(to, node->content->data + at, count);
    return (ssize_t)count;
}

static ssize_t sim_write(int fd, const void *bytes, size_t count)
{
    struct disk *disk = now();
    const struct handle *handle = handle_of(disk, fd);
    if (!handle) return system_calls.write(fd, bytes, count); /* an export to a real descriptor */
    if (!handle->writes) return refuse(EBADF);
    node_append(disk, handle->node, bytes, count);
    return (ssize_t)count;
}

static int sim_sync(int fd)
{
    struct disk *disk = now();
    const struct handle *handle = handle_of(disk, fd);
    if (!handle) return refuse(EBADF);
    node_sync(&disk->nodes[handle->node]);
    disk->order++;
    return 0;
}

static void *sim_map(void *where, size_t count, int protection, int flags, int fd, off_t offset)
{
    struct disk *disk = now();
    const struct handle *handle = handle_of(disk, fd);
    if (where || offset || protection != PROT_READ || flags != MAP_SHARED) impossible("such a map");
    const struct content *content = handle ? disk->nodes[handle->node].content : NULL;
    if (!content || count != content->size) impossible("a map of another size than the file");
    size_t at = 0;
    while (at < disk->map_count && disk->maps[at].memory) at++;
    if (at == disk->map_count) {
        disk->map_count = at * 2 + 8;
        disk->maps = own_grow(disk->maps, at, disk->map_count, sizeof *disk->maps);
    }
    disk->maps[at].memory = own_aligned(count);
    return memcpy(disk->maps[at].memory, content->data, count);
}

static int sim_unmap(void *where, size_t count)
{
    struct disk *disk = now();
    size_t at = 0;
    (void)count;
    while (at < disk->map_count && disk->maps[at].memory != where) at++;
    if (at == disk->map_count) impossible("unmapping what is not mapped");
    own_free(where);
    disk->maps[at].memory = NULL;
    return 0;
}

void disk_drop_pages(int fd)
{
    const struct handle *handle = disk_in_use ? handle_of(disk_in_use, fd) : NULL;
    struct node *node = handle ? &disk_in_use->nodes[handle->node] : NULL;
    if (!node || node->folder || !node->content) return;
    struct content *content = content_own(node, node->content->size);
    memset(content->data + node->synced, 0, content->size - node->synced);
    node->synced = content->size;
    node->size_synced = true;
}

/* ---- names */

/* The file that a link speaks of: a descriptor's, that of /proc/self/fd/<n>, or a name's. */
static uint32_t link_source(struct disk *disk, int folder, const char *name, int flags)
{
    int fd = folder;
    if (flags & AT_SYMLINK_FOLLOW) {
        if (sscanf(name, "/proc/self/fd/%d", &fd) != 1) impossible("a link through a symbolic link");
    } else if (!(flags & AT_EMPTY_PATH)) {
        return find_node(disk, folder, name);
    } else if (disk->way != DISK_NAMELESS) {
        return errno = ENOENT, NO_NODE; /* what a process without the capability is told */
    }
    const struct handle *handle = handle_of(disk, fd);
    if (!handle) errno = EBADF;
    return handle ? handle->node : NO_NODE;
}

static int sim_link(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    struct disk *disk = now();
    struct spot spot;
    if (disk->way == DISK_RENAME) return refuse(EPERM);
    uint32_t node = link_source(disk, from_folder, from, flags);
    if (node == NO_NODE || find_spot(disk, to_folder, to, &spot)) return -1;
    if (child(disk, spot.folder, spot.leaf) != NO_NODE) return refuse(EEXIST);
    if (!takes_names(disk, spot.folder)) return refuse(ENOENT);
    folder_change(disk, spot.folder, NULL, spot.leaf, node);
    return 0;
}

static int sim_rename(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    struct disk *disk = now();
    struct spot source, target;
    if (flags != 1) impossible("a rename that replaces");
    if (find_spot(disk, from_folder, from, &source) || find_spot(disk, to_folder, to, &target)) return -1;
    if (source.folder != target.folder) impossible("a rename from folder to folder");
    uint32_t node = child(disk, source.folder, source.leaf);
    if (node == NO_NODE) return -1;
    if (child(disk, target.folder, target.leaf) != NO_NODE) return refuse(EEXIST);
    folder_change(disk, source.folder, source.leaf, target.leaf, node);
    return 0;
}

static int sim_unlink(int folder, const char *name, int flags)
{
    struct disk *disk = now();
    struct spot spot;
    if (find_spot(disk, folder, name, &spot)) return -1;
    uint32_t node = child(disk, spot.folder, spot.leaf);
    if (node == NO_NODE) return -1;
    bool wants_folder = flags & AT_REMOVEDIR, is_folder = disk->nodes[node].folder;
    if (wants_folder != is_folder) return refuse(is_folder ? EISDIR : ENOTDIR);
    if (is_folder && disk->nodes[node].entries.count) return refuse(ENOTEMPTY);
    folder_change(disk, spot.folder, spot.leaf, NULL, NO_NODE);
    return 0;
}

static int sim_mkdir(int folder, const char *name, mode_t mode)
{
    struct disk *disk = now();
    struct spot spot;
    (void)mode;
    if (find_spot(disk, folder, name, &spot)) return -1;
    if (child(disk, spot.folder, spot.leaf) != NO_NODE) return refuse(EEXIST);
    if (!takes_names(disk, spot.folder)) return refuse(ENOENT);
    uint32_t node = node_new(disk, true);
    folder_change(disk, spot.folder, NULL, spot.leaf, node);
    return 0;
}

/* ---- the rest */

static ssize_t sim_entropy(void *to, size_t count, unsigned flags)
{
    struct disk *disk = now();
    uint8_t *at = to;
    (void)flags;
    for (size_t i = 0; i < count; i++) at[i] = (uint8_t)kt_random_u64(&disk->random);
    return (ssize_t)count;
}

static int sim_clock(clockid_t clock, struct timespec *out)
{
    struct disk *disk = now();
    (void)clock;
    out->tv_sec = disk->now_us / 1000000;
    out->tv_nsec = disk->now_us % 1000000 * 1000;
    return 0;
}

void disk_use(struct disk *disk)
{
    static bool installed;
    disk_in_use = disk;
    if (installed || !disk) return;
    installed = true;
    system_calls = kt_posix;
    kt_posix = (struct kt_posix_calls){
        .open = sim_open,
        .close = sim_close,
        .stat = sim_stat,
        .stat_name = sim_stat_name,
        .read_at = sim_read_at,
        .write = sim_write,
        .sync_data = sim_sync,
        .sync = sim_sync,
        .link = sim_link,
        .rename = sim_rename,
        .unlink = sim_unlink,
        .mkdir = sim_mkdir,
        .entries = sim_entries,
        .map = sim_map,
        .unmap = sim_unmap,
        .entropy = sim_entropy,
        .clock = sim_clock,
    };
}
