/* Where files live: a folder of the local file system, or memory. Names are relative to the root that
 * was opened, parts separated by '/'. Errors come with the name and the system's word for it.
 *
 * Backends: posix.c (over a table of system calls that tests replace), memory.c. */
#ifndef KT_IO_IO_H
#define KT_IO_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

struct kt_io;        /* a root */
struct kt_io_file;   /* an open file, for reading; its bytes never change */
struct kt_io_writer; /* a file being written, under its final name, seen by nobody who does not know the name
                      */

/* Opening a root does not create it; kt_io_mkdir(io, "") does, with its parents. `path` NULL is a new memory
 * root. */
kith_status kt_io_open_folder(const char *path, struct kt_io **out, kith_error *error);
kith_status kt_io_open_memory(struct kt_io **out, kith_error *error);
/** A root below `io`: the same backend, names relative to `name`. Holds the folder's descriptor from its
 * first use, so that a rename of the folder does not lose it. */
kith_status kt_io_open_sub(struct kt_io *io, const char *name, struct kt_io **out, kith_error *error);
void kt_io_close(struct kt_io *io);
/** For messages: the root's path. */
const char *kt_io_root(const struct kt_io *io);

/** Reads a whole file, at most `limit` bytes. KITH_NOT_FOUND when there is none. */
kith_status kt_io_read(struct kt_io *io, const char *name, size_t limit, struct kt_buffer *out,
                       kith_error *error);
/** Whether a file or folder of that name is there: no error, one system call. A folder that refuses to say
 * counts as yes, and whoever goes on to read the file is told why: taken for no, a reader would show old rows
 * as the newest. */
bool kt_io_exists(struct kt_io *io, const char *name);
/** The same, told apart: KITH_OK, KITH_NOT_FOUND, or KITH_IO where it cannot be told. */
kith_status kt_io_look(struct kt_io *io, const char *name, kith_error *error);

/** A number for the names in the root itself: another one when a name came or went; 0 when that cannot be
 * told, as while the folder has changed within the last tenth of a second, whose clock ticks are too coarse.
 * One system call. */
uint64_t kt_io_stamp(struct kt_io *io);

/** When a file was last written, by the clock of kt_io_now_us(); 0 when that cannot be told. */
int64_t kt_io_written_us(struct kt_io *io, const char *name);

kith_status kt_io_open(struct kt_io *io, const char *name, struct kt_io_file **out, kith_error *error);
void kt_io_file_close(struct kt_io_file *file);
uint64_t kt_io_file_size(const struct kt_io_file *file);
const char *kt_io_file_name(const struct kt_io_file *file);
/** Reads exactly `count` bytes; fewer in the file is KITH_CORRUPT, a refusing disk KITH_IO. */
kith_status kt_io_file_read(struct kt_io_file *file, uint64_t offset, void *to, size_t count,
                            kith_error *error);
/** The whole file as memory, for as long as it is open; NULL when it cannot be mapped. */
const uint8_t *kt_io_file_map(struct kt_io_file *file);
/** Says that the map is read here and there, so that reading ahead would be for nothing. A hint. */
void kt_io_file_jumps(struct kt_io_file *file);
/** Says that these bytes of the map are read next, from end to end. A hint too. */
void kt_io_file_ahead(struct kt_io_file *file, uint64_t offset, uint64_t count);

/** Creates a file that must not exist (its folder must). */
kith_status kt_io_create(struct kt_io *io, const char *name, struct kt_io_writer **out, kith_error *error);
kith_status kt_io_append(struct kt_io_writer *writer, const void *bytes, size_t count, kith_error *error);
/** Syncs and closes. Failed or not, the writer is gone. A file whose sync failed has been removed: it is
 * never tried again. The folder is not synced: kt_io_sync_folder() does that once for many files. */
kith_status kt_io_finish(struct kt_io_writer *writer, kith_error *error);
/** Closes and removes the file. NULL is allowed. */
void kt_io_abandon(struct kt_io_writer *writer);
kith_status kt_io_sync_folder(struct kt_io *io, const char *name, kith_error *error);

enum kt_published {
    KT_WON,     /* the name is ours and will be there after a crash */
    KT_LOST,    /* another's file has that name; ours never had it */
    KT_UNKNOWN, /* the name is ours, but whether it survives a crash is not known */
    KT_REFUSED  /* nothing happened, `error` says why */
};
/** Puts a small file under `name` if no file has it: complete, synced, or not there at all. */
enum kt_published kt_io_publish(struct kt_io *io, const char *name, const void *bytes, size_t count,
                                kith_error *error);

/** Whether it is a name that a file has while it is published, where a file system knows no nameless ones.
 * Who dies then leaves it behind; nothing follows from its removal but that the publishing fails. */
bool kt_io_is_passing_name(const char *name);

/* Names in a folder, without "." and "..", sorted by bytes. KITH_NOT_FOUND when there is no such folder. */
struct kt_io_names {
    char **names;
    size_t count;
};
kith_status kt_io_list(struct kt_io *io, const char *folder, struct kt_io_names *out, kith_error *error);
void kt_io_names_release(struct kt_io_names *names);

kith_status kt_io_mkdir(struct kt_io *io, const char *name,
                        kith_error *error); /* with parents, synced; there already is fine */
kith_status kt_io_remove(struct kt_io *io, const char *name, kith_error *error); /* a file; absent is fine */
kith_status kt_io_remove_tree(struct kt_io *io, const char *name, kith_error *error);
/** Renames a file or folder to a name that nothing has: KITH_EXISTS, KITH_NOT_FOUND, KITH_IO. Synced;
 * KITH_UNKNOWN: it has the new name, or may have, and may lose it in a crash. */
kith_status kt_io_rename(struct kt_io *io, const char *from, const char *to, kith_error *error);

int64_t kt_io_now_us(struct kt_io *io);
kith_status kt_io_entropy(struct kt_io *io, void *to, size_t count, kith_error *error);

#endif
