/* Orphans: files that no commit names, of writers that died or were not told their outcome.
 *
 * Nobody can tell a dead writer from one that stands still: a stopped process, a laptop that was shut, a
 * clock that was set. So a file's age alone decides nothing here. What decides is the log. A clean-up first
 * publishes a commit that says "these files will never be named", and removes them after it; a writer
 * publishes on top of a state in which that is not said of its files, and looks whether they are there
 * (store_actions.c). As names of the log are given once, one of the two comes first, and the other sees it,
 * however long either stood still between two system calls, and whatever the clock did meanwhile.
 *
 * Age is what keeps writers at work from being disturbed: a file is taken for an orphan when the youngest
 * file of its transaction, which is in its name, was written a day ago. A writer that goes on writing files
 * is never taken for dead; one that writes nothing for a day, and then commits, may have to begin again.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "storage/storage_private.h"

static const int64_t ORPHAN_US = (int64_t)24 * 3600 * 1000000;
enum { MOST_AT_ONCE = 1000 }; /* in one commit: 80 KB of names */

struct orphans {
    struct kt_removed_file *files; /* that no commit names, of any age; */
    bool *young;                   /* which of them are not yet old */
    size_t count;
};

static bool is_young(struct kt_io *io, const char *name, int64_t now)
{
    int64_t written = kt_io_written_us(io, name); /* 0: nobody can tell */
    return !written || now - written <= ORPHAN_US;
}

static void orphans_release(struct orphans *orphans)
{
    kt_free(orphans->files);
    kt_free(orphans->young);
}

static bool is_known(const struct kt_state *state, const char *name)
{
    return kt_state_names_file(state, name) || kt_state_has_removed(state, name);
}

static kith_status add(struct orphans *orphans, const char *name, bool young, kith_error *error)
{
    struct kt_removed_file *files = kt_realloc_array(orphans->files, orphans->count + 1, sizeof *files);
    if (files) orphans->files = files;
    bool *ages = kt_realloc_array(orphans->young, orphans->count + 1, sizeof *ages);
    if (ages) orphans->young = ages;
    if (!files || !ages) return kt_fail_memory(error, sizeof *files);
    files[orphans->count] = (struct kt_removed_file){ 0 };
    memcpy(files[orphans->count].name, name, strlen(name)); /* an allowed name fits */
    ages[orphans->count++] = young;
    return KITH_OK;
}

/* Those in a folder. */
static kith_status look_in(struct kt_store *store, const struct kt_state *state, const char *folder,
                           struct orphans *orphans, kith_error *error)
{
    struct kt_io_names names = { 0 };
    int64_t now = kt_io_now_us(store->io);
    kith_status status = kt_io_list(store->io, folder, &names, error);
    if (status) return status == KITH_NOT_FOUND ? KITH_OK : status;
    for (size_t i = 0; i < names.count && !status; i++) {
        char name[300];
        snprintf(name, sizeof name, "%s/%s", folder, names.names[i]);
        if (strlen(name) >= sizeof orphans->files->name || !kt_stored_name_allowed(name) ||
            is_known(state, name))
            continue;
        status = add(orphans, name, is_young(store->io, name, now), error);
    }
    kt_io_names_release(&names);
    return status;
}

/* Names are a folder, the transaction's id, a number: "data/0123456789abcdef0123-0000.arrow". */
static bool same_writer(const char *a, const char *b)
{
    enum { ID_DIGITS = 20 };
    const char *from = strchr(a, '/'), *to = strchr(b, '/');
    return from && to && !strncmp(from, to, ID_DIGITS + 1);
}

static void keep_old(struct orphans *orphans)
{
    size_t kept = 0;
    for (size_t i = 0; i < orphans->count; i++) {
        bool young = orphans->young[i];
        for (size_t j = 0; j < orphans->count && !young; j++)
            young = orphans->young[j] && same_writer(orphans->files[i].name, orphans->files[j].name);
        orphans->young[i] = young;
    }
    for (size_t i = 0; i < orphans->count; i++)
        if (!orphans->young[i]) orphans->files[kept++] = orphans->files[i];
    orphans->count = kept;
}

/* Their sizes, for whoever counts what was removed. */
static void measure(struct kt_store *store, struct orphans *orphans)
{
    for (size_t i = 0; i < orphans->count; i++) {
        struct kt_io_file *file = NULL;
        if (kt_io_open(store->io, orphans->files[i].name, &file, NULL)) continue;
        orphans->files[i].bytes = kt_io_file_size(file);
        kt_io_file_close(file);
    }
}

/* Those that nobody has committed, or taken for orphans, meanwhile. */
static kith_status prepare(void *context, const struct kt_state *state, struct kt_txn *txn, kith_error *error)
{
    struct orphans *orphans = context;
    size_t kept = 0;
    for (size_t i = 0; i < orphans->count; i++)
        if (!is_known(state, orphans->files[i].name)) orphans->files[kept++] = orphans->files[i];
    orphans->count = kept;
    if (!kept) return kt_fail(error, KITH_CONFLICT, "somebody else knows those files");
    return kt_txn_orphans(txn, orphans->files, kept < MOST_AT_ONCE ? kept : MOST_AT_ONCE, error);
}

kith_status kt_store_adopt_orphans(struct kt_store *store, struct kt_state **state, kith_error *error)
{
    struct orphans orphans = { 0 };
    kith_status status = look_in(store, *state, "data", &orphans, error);
    if (!status) status = look_in(store, *state, "index", &orphans, error);
    if (!status) keep_old(&orphans);
    if (!status) measure(store, &orphans);
    while (!status && orphans.count) {
        struct kt_txn *txn = NULL;
        struct kt_state *after = NULL;
        kith_error why = { 0 };
        status = kt_txn_begin(store, "clean", &txn, &why);
        if (!status) status = kt_txn_commit(txn, prepare, &orphans, &after, &why);
        if (status == KITH_CONFLICT) { /* nothing left to do, or others are too busy: then another time */
            status = KITH_OK;
            break;
        }
        if (status) {
            status = kt_fail(error, status, "%s", why.message);
            break;
        }
        kt_state_release(*state);
        *state = after;
    }
    orphans_release(&orphans);
    return status;
}

kith_status kt_store_remove_passing(struct kt_store *store, kith_error *error)
{
    struct kt_io_names names = { 0 };
    int64_t now = kt_io_now_us(store->io);
    kith_status status = kt_io_list(store->log, "", &names, error);
    for (size_t i = 0; i < names.count && !status; i++)
        if (kt_io_is_passing_name(names.names[i]) && !is_young(store->log, names.names[i], now))
            status = kt_io_remove(store->log, names.names[i], error);
    kt_io_names_release(&names);
    return status;
}
