/* What the backends of io share: a table of functions each, and the head of their structs. */
#ifndef KT_IO_PRIVATE_H
#define KT_IO_PRIVATE_H

#include <stdatomic.h>

#include "io/io.h"

/* How the names of files begin that are on their way to another name. */
#define KT_PASSING ".publish-"

/* The functions of io.h, one to one; names were checked before. */
struct kt_io_backend {
    kith_status (*open_sub)(struct kt_io *io, const char *name, struct kt_io **out, kith_error *error);
    void (*close)(struct kt_io *io);
    kith_status (*look)(struct kt_io *io, const char *name, kith_error *error);
    uint64_t (*stamp)(struct kt_io *io);                       /* may be missing */
    int64_t (*written_us)(struct kt_io *io, const char *name); /* may be missing */
    kith_status (*open)(struct kt_io *io, const char *name, struct kt_io_file **out, kith_error *error);
    void (*file_close)(struct kt_io_file *file);
    kith_status (*file_read)(struct kt_io_file *file, uint64_t offset, void *to, size_t count,
                             kith_error *error);
    const uint8_t *(*file_map)(struct kt_io_file *file);
    void (*file_jumps)(struct kt_io_file *file); /* may be missing, as the next */
    void (*file_ahead)(struct kt_io_file *file, uint64_t offset, uint64_t count);
    kith_status (*create)(struct kt_io *io, const char *name, struct kt_io_writer **out, kith_error *error);
    kith_status (*append)(struct kt_io_writer *writer, const void *bytes, size_t count, kith_error *error);
    kith_status (*finish)(struct kt_io_writer *writer, kith_error *error);
    void (*abandon)(struct kt_io_writer *writer);
    kith_status (*sync_folder)(struct kt_io *io, const char *name, kith_error *error);
    enum kt_published (*publish)(struct kt_io *io, const char *name, const void *bytes, size_t count,
                                 kith_error *error);
    kith_status (*list)(struct kt_io *io, const char *folder, struct kt_io_names *out, kith_error *error);
    kith_status (*mkdir)(struct kt_io *io, const char *name, kith_error *error);
    kith_status (*remove)(struct kt_io *io, const char *name, kith_error *error);
    kith_status (*remove_tree)(struct kt_io *io, const char *name, kith_error *error);
    kith_status (*rename)(struct kt_io *io, const char *from, const char *to, kith_error *error);
    int64_t (*now_us)(struct kt_io *io);
    kith_status (*entropy)(struct kt_io *io, void *to, size_t count, kith_error *error);
};

/* Each is the first member of a backend's own struct. */
struct kt_io {
    const struct kt_io_backend *backend;
    char *root; /* for messages */
};
struct kt_io_file {
    const struct kt_io_backend *backend;
    char *name;
    uint64_t size;
};
struct kt_io_writer {
    const struct kt_io_backend *backend;
};

/** "root/name", or "root" for the empty name; NULL when memory is out. */
char *kt_io_join(const char *root, const char *name);
/** Adds a copy of `name`; false when memory is out. The caller sorts with kt_io_names_sort(). */
bool kt_io_names_add(struct kt_io_names *names, const char *name);
void kt_io_names_sort(struct kt_io_names *names);

#endif
