/* The system calls through which the posix backend touches the world. Tests replace entries of `kt_posix`
 * to record, to fail and to simulate; nothing else writes to it. The meaning of each is the manual's. */
#ifndef KT_IO_POSIX_H
#define KT_IO_POSIX_H

#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "io/io.h"

struct kt_posix_calls {
    int (*open)(int folder, const char *name, int flags, mode_t mode); /* openat */
    int (*close)(int fd);
    int (*stat)(int fd, struct stat *out);                                       /* fstat */
    int (*stat_name)(int folder, const char *name, struct stat *out, int flags); /* fstatat */
    ssize_t (*read_at)(int fd, void *to, size_t count, off_t offset);            /* pread */
    ssize_t (*write)(int fd, const void *bytes, size_t count);
    int (*sync_data)(int fd);                                                                 /* fdatasync */
    int (*sync)(int fd);                                                                      /* fsync */
    int (*link)(int from_folder, const char *from, int to_folder, const char *to, int flags); /* linkat */
    int (*rename)(int from_folder, const char *from, int to_folder, const char *to,
                  unsigned flags);                                                            /* renameat2 */
    int (*unlink)(int folder, const char *name, int flags);                                   /* unlinkat */
    int (*mkdir)(int folder, const char *name, mode_t mode);                                  /* mkdirat */
    ssize_t (*entries)(int fd, void *to, size_t count);                                       /* getdents64 */
    void *(*map)(void *where, size_t count, int protection, int flags, int fd, off_t offset); /* mmap */
    int (*unmap)(void *where, size_t count);                                                  /* munmap */
    ssize_t (*entropy)(void *to, size_t count, unsigned flags);                               /* getrandom */
    int (*clock)(clockid_t clock, struct timespec *out); /* clock_gettime */
};
extern struct kt_posix_calls kt_posix;

/** Writes everything to a descriptor that stays the caller's: short writes and EINTR are gone on with. */
kith_status kt_posix_write_descriptor(int fd, const void *bytes, size_t count, kith_error *error);

#endif
