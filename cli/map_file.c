/* Input files are mapped, so that a .npy of 100 GB goes into a table through the page cache, without a
 * copy of its own, and so that a text file can be read twice (once for its types, once for its rows).
 *
 * A pipe cannot be mapped: its bytes go to an unnamed file in $TMPDIR first. That costs disk, not
 * memory. A file that another program cuts short while it is read kills the process with SIGBUS, before
 * the commit; the table is then as it was.
 */
#include "map_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "progress.h"

static bool write_all(int to, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t put = write(to, bytes, size);
        if (put < 0 && errno != EINTR) return false;
        bytes += put > 0 ? put : 0;
        size -= put > 0 ? (size_t)put : 0;
    }
    return true;
}

/* Waits for bytes. read() would begin anew after Ctrl-C, poll() does not. */
static kith_status wait_for(int from, kith_error *error)
{
    struct pollfd ready = { .fd = from, .events = POLLIN };
    while (poll(&ready, 1, -1) < 0 && errno == EINTR) {
        if (cli_interrupted()) return cli_fail(error, KITH_CANCELLED, "interrupted");
    }
    return KITH_OK;
}

static kith_status copy_all(int from, int to, const char *path, kith_error *error)
{
    size_t size = 1u << 20;
    char *buffer = cli_alloc(size);
    kith_status status;
    for (;;) {
        status = wait_for(from, error);
        if (status) break;
        ssize_t got = read(from, buffer, size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) status = cli_fail_errno(error, "read", path);
        if (got <= 0) break;
        if (write_all(to, buffer, (size_t)got)) continue;
        status = cli_fail_errno(error, "copy to a temporary file", path);
        break;
    }
    free(buffer);
    return status;
}

/* Replaces the pipe `*fd` by a temporary file that holds all it had to say. */
static kith_status spool(int *fd, const char *path, kith_error *error)
{
    const char *folder = getenv("TMPDIR");
    struct text name = { 0 };
    cli_text_printf(&name, "%s/kith-input-XXXXXX", folder && *folder ? folder : "/tmp");
    int copy = mkstemp(name.data);
    kith_status status = KITH_OK;
    if (copy < 0) {
        status = cli_fail_errno(error, "make a temporary file", name.data);
        goto out;
    }
    unlink(name.data);
    status = copy_all(*fd, copy, path, error);
    if (status) {
        close(copy);
        goto out;
    }
    if (*fd != STDIN_FILENO) close(*fd);
    *fd = copy;
out:
    cli_text_release(&name);
    return status;
}

static kith_status map_bytes(struct mapped *map, const char *path, kith_error *error)
{
    struct stat state;
    if (fstat(map->fd, &state)) return cli_fail_errno(error, "read", path);
    if (S_ISDIR(state.st_mode)) {
        return cli_fail(error, KITH_INVALID, "expected a file of rows, given '%s', which is a folder", path);
    }
    if (!S_ISREG(state.st_mode)) {
        kith_status status = spool(&map->fd, path, error);
        if (status) return status;
        if (fstat(map->fd, &state)) return cli_fail_errno(error, "read", path);
    }
    map->size = (size_t)state.st_size;
    if (!map->size) return KITH_OK;
    void *data = mmap(NULL, map->size, PROT_READ, MAP_PRIVATE, map->fd, 0);
    if (data == MAP_FAILED) return cli_fail_errno(error, "map", path);
    (void)madvise(data, map->size, MADV_SEQUENTIAL);
    map->data = data;
    return KITH_OK;
}

kith_status cli_map_open(const char *path, struct mapped **out, kith_error *error)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return cli_fail_errno(error, "open", path);
    struct mapped *map = cli_alloc(sizeof *map);
    map->fd = fd;
    map->holders = 1;
    kith_status status = map_bytes(map, path, error);
    if (status) {
        cli_map_release(map);
        return status;
    }
    *out = map;
    return KITH_OK;
}

struct mapped *cli_map_share(struct mapped *map)
{
    atomic_fetch_add(&map->holders, 1);
    return map;
}

void cli_map_release(struct mapped *map)
{
    if (!map || atomic_fetch_sub(&map->holders, 1) != 1) return;
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
    if (map->fd > STDIN_FILENO) close(map->fd);
    free(map);
}
