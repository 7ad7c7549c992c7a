/* Files that left the state and are still on disk, for the versions before.
 *
 *   {"do":"gone","files":["data/ab.arrow",...]}   these were removed: they leave the list
 *   {"do":"orphans","list":[["data/ab.arrow",bytes,0],...]}  these were never in it, and never will be
 *   {"do":"forget","below":B}                     versions that no commit from B on shows leave the list of
 *                                                 versions, but for those with a tag
 *
 * A file enters the list in the commit that takes it out of the state, and leaves it when it comes back (a
 * restore, a fragment that keeps some of its files) or when a `gone` says that it was removed. So what is on
 * disk is what the state and the list name, and nobody has to look into the folders to clean up.
 *
 * `forget` makes files removable: those that left at or before commit B are in no state that can still be
 * asked for, but those of tags. They are removed after the commit of the `forget`; a `gone` in the commit of
 * the next one ends it, so that a crash between the two forgets nothing.
 */
#include <string.h>

#include "base/alloc.h"
#include "storage/storage_private.h"

static uint32_t removed_at(const struct kt_state_private *mine, const char *name)
{
    uint32_t at = 0;
    while (at < mine->removed_count && strcmp(mine->removed[at].name, name)) at++;
    return at;
}

static void take_removed(struct kt_state_private *mine, uint32_t at)
{
    mine->removed_count--;
    memmove(mine->removed + at, mine->removed + at + 1, (mine->removed_count - at) * sizeof *mine->removed);
}

kith_status kt_state_add_removed(struct kt_state *state, const struct kt_removed_file *file,
                                 kith_error *error)
{
    struct kt_state_private *mine = kt_state_private_part(state);
    struct kt_removed_file *removed = kt_grown(mine->removed, mine->removed_count, sizeof *removed);
    if (!removed) return kt_fail_memory(error, sizeof *removed);
    mine->removed = removed;
    removed[mine->removed_count++] = *file;
    return KITH_OK;
}

kith_status kt_state_file_left(struct kt_state *state, const struct kt_stored_file *file, kith_error *error)
{
    struct kt_removed_file removed = { .bytes = file->seal.length, .commit = state->commit + 1 };
    memcpy(removed.name, file->name, sizeof removed.name);
    return kt_state_add_removed(state, &removed, error);
}

bool kt_state_has_removed(const struct kt_state *state, const char *name)
{
    const struct kt_state_private *mine = kt_state_private_part(state);
    return removed_at(mine, name) < mine->removed_count;
}

/* In front, for the list is in the order in which files left, and this one was never there. */
kith_status kt_state_orphan(struct kt_state *state, const struct kt_removed_file *file, struct kt_blame blame,
                            kith_error *error)
{
    struct kt_state_private *mine = kt_state_private_part(state);
    struct kt_removed_file orphan = *file;
    if (kt_state_names_file(state, file->name) || kt_state_has_removed(state, file->name))
        return kt_fail(error, blame.malformed, "'%.55s' is no orphan: the table knows it", file->name);
    orphan.commit = 0;
    kith_status status = kt_state_add_removed(state, &orphan, error);
    if (status) return status;
    memmove(mine->removed + 1, mine->removed, (mine->removed_count - 1) * sizeof *mine->removed);
    mine->removed[0] = orphan;
    return KITH_OK;
}

void kt_state_file_came(struct kt_state *state, const struct kt_stored_file *file)
{
    struct kt_state_private *mine = kt_state_private_part(state);
    uint32_t at = removed_at(mine, file->name);
    if (at < mine->removed_count) take_removed(mine, at);
}

kith_status kt_state_gone(struct kt_state *state, const char *name, struct kt_blame blame, kith_error *error)
{
    struct kt_state_private *mine = kt_state_private_part(state);
    uint32_t at = removed_at(mine, name);
    if (at == mine->removed_count)
        return kt_fail(error, blame.missing, "'%.55s' is not among the %u files that left", name,
                       mine->removed_count);
    if (mine->removed[at].commit > mine->below)
        return kt_fail(error, blame.malformed, "'%.55s' left in commit %llu, which is not forgotten", name,
                       (unsigned long long)mine->removed[at].commit);
    take_removed(mine, at);
    return KITH_OK;
}

kith_status kt_state_forget(struct kt_state *state, uint64_t below, struct kt_blame blame, kith_error *error)
{
    struct kt_state_private *mine = kt_state_private_part(state);
    if (below <= mine->below || below > state->commit)
        return kt_fail(error, blame.malformed, "commits below %llu cannot be forgotten: %llu were, of %llu",
                       (unsigned long long)below, (unsigned long long)mine->below,
                       (unsigned long long)state->commit);
    mine->below = below;
    kt_state_forget_versions(state);
    return KITH_OK;
}

bool kt_state_names_file(const struct kt_state *state, const char *name)
{
    for (uint32_t i = 0; i < state->fragment_count; i++)
        for (uint32_t g = 0; g < state->fragments[i].group_count; g++)
            if (!strcmp(state->fragments[i].groups[g].file.name, name)) return true;
    for (uint32_t i = 0; i < state->piece_count; i++)
        if (!strcmp(state->pieces[i].file.name, name)) return true;
    return false;
}

bool kt_state_can_name(const struct kt_state *state, const char *name)
{
    const struct kt_state_private *mine = kt_state_private_part(state);
    uint32_t at = removed_at(mine, name);
    if (at < mine->removed_count) return mine->removed[at].commit > mine->below;
    return kt_state_names_file(state, name);
}
