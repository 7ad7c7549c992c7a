/* What is in a table's folder and in no state: files of writers at work, of writers that died, and what
 * somebody put there.
 *
 * A clean-up leaves such files alone until they are a day old. Whoever must know that nothing is left of some
 * rows cannot wait for that: here the whole folder is looked through, for any name that neither the newest
 * state nor the log's rules explain. A writer at work has such names too, for moments; so one counts only if
 * it stays a few seconds. Where nobody else writes, all of them may be removed.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "parallel/parallel.h"
#include "storage/storage_private.h"

static bool is_removed(const struct kt_state *state, const char *name)
{
    const struct kt_state_private *mine = kt_state_private_part(state);
    for (uint32_t i = 0; i < mine->removed_count; i++)
        if (!strcmp(mine->removed[i].name, name)) return mine->removed[i].commit > mine->below;
    return false;
}

static bool is_kept_log(const struct kt_state *state, const char *name)
{
    uint64_t commit;
    enum kt_log_kind kind;
    return kt_log_parse_name(name, &commit, &kind) && kt_state_keeps_name(state, commit, kind);
}

static bool is_explained(const struct kt_state *state, const char *folder, const char *name, const char *path)
{
    if (!folder[0]) return !strcmp(name, "log") || !strcmp(name, "data") || !strcmp(name, "index");
    if (!strcmp(folder, "log")) return is_kept_log(state, name);
    return kt_state_names_file(state, path) || is_removed(state, path);
}

static bool add_name(struct kt_io_names *names, const char *name)
{
    char **grown = kt_realloc_array(names->names, names->count + 1, sizeof *grown);
    if (!grown) return false;
    names->names = grown;
    grown[names->count] = kt_strdup(name);
    return grown[names->count] && ++names->count;
}

static kith_status look_in(struct kt_store *store, const struct kt_state *state, const char *folder,
                           struct kt_io_names *out, kith_error *error)
{
    struct kt_io_names names = { 0 };
    kith_status status = kt_io_list(store->io, folder, &names, error);
    if (status) return status == KITH_NOT_FOUND ? KITH_OK : status;
    for (size_t i = 0; i < names.count && !status; i++) {
        char path[600];
        snprintf(path, sizeof path, "%s%s%s", folder, folder[0] ? "/" : "", names.names[i]);
        if (!is_explained(state, folder, names.names[i], path) && !add_name(out, path))
            status = kt_fail_memory(error, sizeof path);
    }
    kt_io_names_release(&names);
    return status;
}

static kith_status look(struct kt_store *store, struct kt_io_names *out, kith_error *error)
{
    static const char *const folders[] = { "", "log", "data", "index" };
    struct kt_state *state = NULL;
    kith_status status = kt_store_load(store, &state, error);
    for (size_t i = 0; i < sizeof folders / sizeof *folders && !status; i++)
        status = look_in(store, state, folders[i], out, error);
    kt_state_release(state);
    return status;
}

/* Keeps those of `names` that are among `now`, too. */
static void keep_common(struct kt_io_names *names, const struct kt_io_names *now)
{
    size_t kept = 0;
    for (size_t i = 0; i < names->count; i++) {
        bool still = false;
        for (size_t j = 0; j < now->count && !still; j++) still = !strcmp(names->names[i], now->names[j]);
        if (still)
            names->names[kept++] = names->names[i];
        else
            kt_free(names->names[i]);
    }
    names->count = kept;
}

kith_status kt_store_sweep(struct kt_store *store, bool remove, struct kt_io_names *out, kith_error *error)
{
    enum { PATIENCE_SECONDS = 3, PAUSE_MS = 50 };
    double began = kt_seconds();
    kith_status status = look(store, out, error);
    while (!status && out->count) {
        struct kt_io_names now = { 0 };
        for (size_t i = 0; i < out->count && remove && !status; i++)
            status = kt_io_remove_tree(store->io, out->names[i], error);
        if (!status && !remove) nanosleep(&(struct timespec){ .tv_nsec = PAUSE_MS * 1000000 }, NULL);
        if (!status) status = look(store, &now, error);
        if (!status) keep_common(out, &now);
        kt_io_names_release(&now);
        if (kt_seconds() - began > PATIENCE_SECONDS) break;
    }
    return status;
}
