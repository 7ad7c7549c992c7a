/* An online copy of one state, that opens as a table of its own.
 *
 * All files of the state are opened before the first is copied, so that a clean-up cannot take them away on
 * the way. Each copy is read back under its checksums. The copy's log is a checkpoint of the state at its own
 * number, without what only this table's history needs (older versions, tags, files that left), under a new
 * table id, and one void commit after it, so that the log has a newest name. It is made under a name that
 * nobody opens and renamed when it is whole.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "storage/storage_private.h"

enum { CHUNK = 1024 * 1024 };

struct backup {
    struct kt_io *from, *to;
    struct kt_work *work;
    const struct kt_stored_file **files;
    struct kt_io_file **open;
    size_t count;
    uint64_t done, total; /* bytes */
    uint8_t *chunk;
};

/* ---- the files */

static kith_status add_file(struct backup *backup, const struct kt_stored_file *file, kith_error *error)
{
    kith_status status = kt_io_open(backup->from, file->name, &backup->open[backup->count], error);
    if (status) return status;
    backup->files[backup->count++] = file;
    backup->total += file->seal.length;
    return KITH_OK;
}

static kith_status open_files(struct backup *backup, const struct kt_state *state, kith_error *error)
{
    size_t count = state->piece_count;
    for (uint32_t i = 0; i < state->fragment_count; i++) count += state->fragments[i].group_count;
    backup->files = kt_alloc_array(count, sizeof(const struct kt_stored_file *));
    backup->open = kt_alloc_array(count, sizeof(struct kt_io_file *));
    backup->chunk = kt_alloc(CHUNK);
    if (!backup->files || !backup->open || !backup->chunk) return kt_fail_memory(error, CHUNK);
    kith_status status = KITH_OK;
    for (uint32_t i = 0; i < state->fragment_count && !status; i++)
        for (uint32_t g = 0; g < state->fragments[i].group_count && !status; g++)
            status = add_file(backup, &state->fragments[i].groups[g].file, error);
    for (uint32_t i = 0; i < state->piece_count && !status; i++)
        status = add_file(backup, &state->pieces[i].file, error);
    return status;
}

static kith_status copy_bytes(struct backup *backup, struct kt_io_file *file, struct kt_io_writer *writer,
                              kith_error *error)
{
    uint64_t size = kt_io_file_size(file);
    for (uint64_t at = 0; at < size;) {
        size_t count = (size_t)kt_min_u64(CHUNK, size - at);
        kith_status status = kt_io_file_read(file, at, backup->chunk, count, error);
        if (!status) status = kt_io_append(writer, backup->chunk, count, error);
        at += count;
        backup->done += count;
        if (!status) status = kt_work_tick(backup->work, "copy", backup->done, backup->total, error);
        if (status) return status;
    }
    return KITH_OK;
}

static kith_status copy_file(struct backup *backup, size_t number, kith_error *error)
{
    const struct kt_stored_file *file = backup->files[number];
    struct kt_io_writer *writer = NULL;
    struct kt_view_file *view = NULL;
    kith_status status = kt_io_create(backup->to, file->name, &writer, error);
    if (status) return status;
    status = copy_bytes(backup, backup->open[number], writer, error);
    if (status) {
        kt_io_abandon(writer);
        return status;
    }
    status = kt_io_finish(writer, error);
    if (!status) status = kt_view_open(backup->to, file->name, &file->seal, &view, error);
    if (!status) status = kt_view_verify(view, error);
    kt_view_close(view);
    return status;
}

static kith_status copy_files(struct backup *backup, kith_error *error)
{
    static const char *const folders[] = { "data", "index" };
    kith_status status = KITH_OK;
    for (int i = 0; i < 2 && !status && backup->count; i++)
        status = kt_io_mkdir(backup->to, folders[i], error);
    for (size_t i = 0; i < backup->count && !status; i++) status = copy_file(backup, i, error);
    for (int i = 0; i < 2 && !status && backup->count; i++)
        status = kt_io_sync_folder(backup->to, folders[i], error);
    return status;
}

/* ---- the log */

/* The state as the copy has it. */
static kith_status own_state(struct kt_io *io, const struct kt_state *state, struct kt_state **out,
                             kith_error *error)
{
    uint8_t id[16];
    kith_status status = kt_io_entropy(io, id, sizeof id, error);
    struct kt_state *own = status ? NULL : kt_state_copy(state);
    if (!own) return status ? status : kt_fail_memory(error, sizeof *own);
    struct kt_state_private *mine = kt_state_private_part(own);
    kt_hex(id, sizeof id, own->table_id);
    own->versions[0] = own->versions[own->version_count - 1];
    own->version_count = 1;
    own->tag_count = 0;
    mine->removed_count = 0;
    mine->below = own->commit;
    mine->log_bytes = 0;
    *out = own;
    return KITH_OK;
}

static kith_status publish(struct kt_io *io, uint64_t commit, enum kt_log_kind kind,
                           const struct kt_buffer *bytes, kith_error *error)
{
    char name[KT_LOG_NAME], path[KT_LOG_NAME + 8];
    kith_error why = { 0 };
    kt_log_name(commit, kind, name);
    snprintf(path, sizeof path, "log/%s", name);
    enum kt_published published = kt_io_publish(io, path, bytes->data, bytes->size, &why);
    if (published == KT_WON) return KITH_OK;
    if (published == KT_LOST)
        return kt_fail(error, KITH_EXISTS, "%s/%s is there already", kt_io_root(io), path);
    return kt_fail(error, why.status ? why.status : KITH_IO, "%s", why.message);
}

static kith_status write_log(struct kt_io *io, const struct kt_state *state, kith_error *error)
{
    struct kt_buffer checkpoint = { 0 }, commit = { 0 };
    struct kt_state *own = NULL;
    uint8_t txn[16];
    kith_status status = kt_io_mkdir(io, "log", error);
    if (!status) status = own_state(io, state, &own, error);
    if (!status) status = kt_io_entropy(io, txn, sizeof txn, error);
    if (!status) status = kt_checkpoint_encode(own, &checkpoint, error);
    if (!status) status = kt_record_void(own, "backup", txn, kt_io_now_us(io), &commit, error);
    if (!status) status = publish(io, own->commit, KT_LOG_CHECKPOINT, &checkpoint, error);
    if (!status) status = publish(io, own->commit + 1, KT_LOG_COMMIT, &commit, error);
    kt_buffer_release(&checkpoint);
    kt_buffer_release(&commit);
    kt_state_release(own);
    return status;
}

/* ---- the copy */

static kith_status copy(struct kt_io *from, const struct kt_state *state, struct kt_io *to,
                        struct kt_work *work, kith_error *error)
{
    struct backup backup = { .from = from, .to = to, .work = work };
    kith_status status = open_files(&backup, state, error);
    if (!status) status = kt_io_mkdir(to, "", error);
    if (!status) status = copy_files(&backup, error);
    if (!status) status = write_log(to, state, error);
    for (size_t i = 0; i < backup.count; i++) kt_io_file_close(backup.open[i]);
    kt_free(backup.files);
    kt_free(backup.open);
    kt_free(backup.chunk);
    return status;
}

kith_status kt_store_backup(struct kt_store *store, const struct kt_state *state, struct kt_io *to,
                            const char *name, struct kt_work *work, kith_error *error)
{
    struct kt_io *folder = NULL;
    uint8_t unique[8];
    char making[32] = ".backup-";
    if (kt_io_exists(to, name))
        return kt_fail(error, KITH_EXISTS, "%s/%s is there already", kt_io_root(to), name);
    kith_status status = kt_io_entropy(to, unique, sizeof unique, error);
    if (status) return status;
    kt_hex(unique, sizeof unique, making + strlen(making));
    status = kt_io_open_sub(to, making, &folder, error);
    if (status) return status;
    status = copy(store->io, state, folder, work, error);
    kt_io_close(folder);
    if (!status) status = kt_io_rename(to, making, name, error);
    if (status) kt_io_remove_tree(to, making, NULL);
    return status;
}
