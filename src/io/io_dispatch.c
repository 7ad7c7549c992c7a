/* The door of io: checks names, then hands each call to the root's backend.
 *
 * A name is relative, without empty parts, "." or "..", so that nothing that a table's log says can
 * lead out of the root. The backends rely on it. Only what is the same for all of them is done here.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "io/io_private.h"

enum { LONGEST_NAME = 1024, LONGEST_PART = 255 };

static bool part_allowed(const char *part, size_t length)
{
    if (!length || length > LONGEST_PART) return false;
    if (part[0] == '.' && (length == 1 || (length == 2 && part[1] == '.'))) return false;
    return true;
}

static bool name_allowed(const char *name)
{
    if (strlen(name) > LONGEST_NAME) return false;
    for (const char *part = name;;) {
        size_t length = strcspn(part, "/");
        if (!part_allowed(part, length)) return false;
        if (!part[length]) return true;
        part += length + 1;
    }
}

/* `root`: whether "", the root itself, may be meant. */
static kith_status check_name(struct kt_io *io, const char *name, bool root, kith_error *error)
{
    if ((root && !*name) || name_allowed(name)) return KITH_OK;
    return kt_fail(error, KITH_INVALID, "'%.200s' is not a name below %s", name, io->root);
}

char *kt_io_join(const char *root, const char *name)
{
    size_t head = strlen(root), tail = strlen(name);
    bool slash = head && tail && root[head - 1] != '/';
    char *joined = kt_alloc(head + tail + 2);
    if (!joined) return NULL;
    memcpy(joined, root, head);
    if (slash) joined[head++] = '/';
    memcpy(joined + head, name, tail + 1);
    return joined;
}

bool kt_io_names_add(struct kt_io_names *names, const char *name)
{
    bool full = names->count == 0 || (names->count >= 16 && !(names->count & (names->count - 1)));
    if (full) {
        size_t capacity = names->count < 16 ? 16 : names->count * 2;
        char **grown = kt_realloc_array(names->names, capacity, sizeof *grown);
        if (!grown) return false;
        names->names = grown;
    }
    char *copy = kt_strdup(name);
    if (!copy) return false;
    names->names[names->count++] = copy;
    return true;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void kt_io_names_sort(struct kt_io_names *names)
{
    if (names->count) qsort(names->names, names->count, sizeof *names->names, by_bytes);
}

void kt_io_names_release(struct kt_io_names *names)
{
    for (size_t i = 0; i < names->count; i++) kt_free(names->names[i]);
    kt_free(names->names);
    *names = (struct kt_io_names){ 0 };
}

kith_status kt_io_open_sub(struct kt_io *io, const char *name, struct kt_io **out, kith_error *error)
{
    kith_status status = check_name(io, name, false, error);
    return status ? status : io->backend->open_sub(io, name, out, error);
}

void kt_io_close(struct kt_io *io)
{
    if (io) io->backend->close(io);
}

const char *kt_io_root(const struct kt_io *io)
{
    return io->root;
}

kith_status kt_io_read(struct kt_io *io, const char *name, size_t limit, struct kt_buffer *out,
                       kith_error *error)
{
    struct kt_io_file *file = NULL;
    struct kt_buffer bytes = { 0 };
    kith_status status = kt_io_open(io, name, &file, error);
    if (status) goto out;
    if (file->size > limit) {
        status = kt_fail(error, KITH_CORRUPT, "%s/%s has %llu bytes, more than the %zu that it may have",
                         io->root, name, (unsigned long long)file->size, limit);
        goto out;
    }
    size_t size = (size_t)file->size;
    if (!kt_buffer_reserve(&bytes, size)) {
        status = kt_fail_memory(error, size);
        goto out;
    }
    status = kt_io_file_read(file, 0, bytes.data, size, error);
    if (status) goto out;
    bytes.size = size;
    *out = bytes;
    bytes = (struct kt_buffer){ 0 }; // now the caller's
out:
    kt_io_file_close(file);
    kt_buffer_release(&bytes);
    return status;
}

kith_status kt_io_look(struct kt_io *io, const char *name, kith_error *error)
{
    kith_status status = check_name(io, name, true, error);
    return status ? status : io->backend->look(io, name, error);
}

bool kt_io_exists(struct kt_io *io, const char *name)
{
    kith_status status = kt_io_look(io, name, NULL);
    return status != KITH_NOT_FOUND && status != KITH_INVALID;
}

uint64_t kt_io_stamp(struct kt_io *io)
{
    return io->backend->stamp ? io->backend->stamp(io) : 0;
}

int64_t kt_io_written_us(struct kt_io *io, const char *name)
{
    if (!io->backend->written_us || check_name(io, name, false, NULL)) return 0;
    return io->backend->written_us(io, name);
}

kith_status kt_io_open(struct kt_io *io, const char *name, struct kt_io_file **out, kith_error *error)
{
    kith_status status = check_name(io, name, false, error);
    return status ? status : io->backend->open(io, name, out, error);
}

void kt_io_file_close(struct kt_io_file *file)
{
    if (file) file->backend->file_close(file);
}

uint64_t kt_io_file_size(const struct kt_io_file *file)
{
    return file->size;
}

const char *kt_io_file_name(const struct kt_io_file *file)
{
    return file->name;
}

kith_status kt_io_file_read(struct kt_io_file *file, uint64_t offset, void *to, size_t count,
                            kith_error *error)
{
    if (offset > file->size || count > file->size - offset)
        return kt_fail(error, KITH_CORRUPT, "%s has %llu bytes; %zu at %llu are not among them", file->name,
                       (unsigned long long)file->size, count, (unsigned long long)offset);
    return file->backend->file_read(file, offset, to, count, error);
}

const uint8_t *kt_io_file_map(struct kt_io_file *file)
{
    return file->backend->file_map(file);
}

void kt_io_file_jumps(struct kt_io_file *file)
{
    if (file->backend->file_jumps) file->backend->file_jumps(file);
}

void kt_io_file_ahead(struct kt_io_file *file, uint64_t offset, uint64_t count)
{
    if (file->backend->file_ahead) file->backend->file_ahead(file, offset, count);
}

kith_status kt_io_create(struct kt_io *io, const char *name, struct kt_io_writer **out, kith_error *error)
{
    kith_status status = check_name(io, name, false, error);
    return status ? status : io->backend->create(io, name, out, error);
}

kith_status kt_io_append(struct kt_io_writer *writer, const void *bytes, size_t count, kith_error *error)
{
    return writer->backend->append(writer, bytes, count, error);
}

kith_status kt_io_finish(struct kt_io_writer *writer, kith_error *error)
{
    return writer->backend->finish(writer, error);
}

void kt_io_abandon(struct kt_io_writer *writer)
{
    if (writer) writer->backend->abandon(writer);
}

kith_status kt_io_sync_folder(struct kt_io *io, const char *name, kith_error *error)
{
    kith_status status = check_name(io, name, true, error);
    return status ? status : io->backend->sync_folder(io, name, error);
}

enum kt_published kt_io_publish(struct kt_io *io, const char *name, const void *bytes, size_t count,
                                kith_error *error)
{
    if (check_name(io, name, false, error)) return KT_REFUSED;
    return io->backend->publish(io, name, bytes, count, error);
}

kith_status kt_io_list(struct kt_io *io, const char *folder, struct kt_io_names *out, kith_error *error)
{
    kith_status status = check_name(io, folder, true, error);
    return status ? status : io->backend->list(io, folder, out, error);
}

kith_status kt_io_mkdir(struct kt_io *io, const char *name, kith_error *error)
{
    kith_status status = check_name(io, name, true, error);
    return status ? status : io->backend->mkdir(io, name, error);
}

kith_status kt_io_remove(struct kt_io *io, const char *name, kith_error *error)
{
    kith_status status = check_name(io, name, false, error);
    return status ? status : io->backend->remove(io, name, error);
}

kith_status kt_io_remove_tree(struct kt_io *io, const char *name, kith_error *error)
{
    kith_status status = check_name(io, name, false, error);
    return status ? status : io->backend->remove_tree(io, name, error);
}

kith_status kt_io_rename(struct kt_io *io, const char *from, const char *to, kith_error *error)
{
    kith_status status = check_name(io, from, false, error);
    if (!status) status = check_name(io, to, false, error);
    return status ? status : io->backend->rename(io, from, to, error);
}

bool kt_io_is_passing_name(const char *name)
{
    return strncmp(name, KT_PASSING, strlen(KT_PASSING)) == 0;
}

int64_t kt_io_now_us(struct kt_io *io)
{
    return io->backend->now_us(io);
}

kith_status kt_io_entropy(struct kt_io *io, void *to, size_t count, kith_error *error)
{
    return io->backend->entropy(io, to, count, error);
}
