/* Erasing: what was deleted leaves every file, and every version that still had it goes.
 *
 * A deletion is a bit in the log; the bytes of a row stay in its fragment until that is folded, in an index
 * until it is built anew, and in older versions as long as they are kept. Here all of that is done at once:
 *   1. every fragment with dead rows is written again without them;
 *   2. every index that covers rows which are gone is built anew;
 *   3. tags go, if that was agreed to, and all versions but the newest, with their files and commits;
 *   4. the folder is looked through for files that no version names.
 * Other writers may be at work. Those that read the table before the deletion and rest on what was deleted
 * lose their commit; what they delete meanwhile only makes another round here.
 */
#include <stdio.h>

#include "table/table_private.h"

#include "parallel/parallel.h"

enum { ROUNDS_LEAST = 4, SECONDS_MOST = 60 };

/* Ids of index pieces that were made here, 33 bytes each. */
struct own_pieces {
    struct kt_buffer ids;
};

static bool is_own(const struct own_pieces *own, const char *id)
{
    for (size_t at = 0; at < own->ids.size; at += 33)
        if (!strcmp((const char *)own->ids.data + at, id)) return true;
    return false;
}

static kith_status note_own(struct kt_table *table, const char *index, struct own_pieces *own,
                            kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    kith_status status = kt_table_newest(table, &snapshot, error);
    for (uint32_t i = 0; !status && i < snapshot->state->piece_count; i++) {
        const struct kt_piece *piece = &snapshot->state->pieces[i];
        if (!strcmp(piece->index, index) && !kt_buffer_append(&own->ids, piece->id, sizeof piece->id))
            status = kt_fail_memory(error, own->ids.size);
    }
    kt_snapshot_release(snapshot);
    return status;
}

/* Whether a piece that was not made here covers rows that are gone. */
static bool is_tainted(const struct kt_state *state, const struct kt_piece *piece,
                       const struct own_pieces *own)
{
    uint64_t there = 0;
    for (uint32_t c = 0; c < piece->cover_count; c++)
        there += kt_state_count(state, piece->covers[c].begin, piece->covers[c].end);
    return there < kt_rows_count(piece->covers, piece->cover_count) && !is_own(own, piece->id);
}

static kith_status rebuild(struct kt_table *table, const char *name, const kith_erasing *options,
                           struct own_pieces *own, kith_erased *done, kith_error *error)
{
    kith_index again = KITH_INIT(kith_index);
    again.name = name;
    again.progress = options->progress;
    again.progress_user = options->progress_user;
    kith_status status = kt_table_rebuild_index(table, &again, error);
    if (status == KITH_CONFLICT || status == KITH_NOT_FOUND)
        return KITH_OK; /* the next round sees what is there */
    if (!status) status = note_own(table, name, own, error);
    done->indexes_rebuilt += !status;
    return status;
}

/* One round over what is there now. `*clean`: there was nothing to do. */
static kith_status erase_round(struct kt_table *table, const kith_erasing *options, struct own_pieces *own,
                               kith_erased *done, bool *clean, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    struct kt_work work = { .progress = options->progress, .user = options->progress_user };
    kith_upkeep_stats stats = { 0 };
    kith_status status = kt_table_newest(table, &snapshot, error);
    if (status) return status;
    const struct kt_state *state = snapshot->state;
    *clean = true;
    for (uint32_t i = 0; i < state->fragment_count; i++) *clean &= state->fragments[i].dead_rows == 0;
    if (!*clean) status = kt_table_fold_all(table, &work, &stats, error);
    done->fragments_rewritten += stats.fragments_removed;
    for (uint32_t i = 0; i < state->piece_count && *clean && !status; i++) {
        if (!is_tainted(state, &state->pieces[i], own)) continue;
        *clean = false; /* and the other pieces of this index go with it: the rest is for the next round */
        status = rebuild(table, state->pieces[i].index, options, own, done, error);
        break;
    }
    kt_snapshot_release(snapshot);
    return status;
}

static kith_status rewrite(struct kt_table *table, const kith_erasing *options, kith_erased *done,
                           kith_error *error)
{
    struct own_pieces own = { 0 };
    double began = kt_seconds();
    bool clean = false;
    uint32_t futile = 0; /* rounds in which no index was built */
    kith_status status = KITH_OK;
    while (!status && !clean) {
        uint64_t before = done->indexes_rebuilt;
        status = erase_round(table, options, &own, done, &clean, error);
        futile += done->indexes_rebuilt == before;
        if (!status && !clean && futile > ROUNDS_LEAST && kt_seconds() - began > SECONDS_MOST)
            status = kt_fail(
                error, KITH_CONFLICT,
                "other writers went on deleting rows of table '%s' for %d s during erase; erase again",
                table->name, SECONDS_MOST);
    }
    kt_buffer_release(&own.ids);
    return status;
}

static void tag_names(const struct kt_state *state, char *to, size_t size)
{
    size_t at = 0;
    to[0] = '\0';
    for (uint32_t i = 0; i < state->tag_count && at < size; i++)
        at += (size_t)snprintf(to + at, size - at, "%s\"%s\"", i ? ", " : "", state->tags[i].name);
}

kith_status kt_table_may_erase(struct kt_table *table, const kith_erasing *options, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    char names[300];
    kith_status status = kt_table_writable(table, &snapshot, error);
    if (!status && snapshot->state->tag_count && !options->tags) {
        tag_names(snapshot->state, names, sizeof names);
        status =
            kt_fail(error, KITH_INVALID,
                    "tags of table '%s' (%s) keep versions that may have these rows; erase takes them away "
                    "when told to",
                    table->name, names);
    }
    kt_snapshot_release(snapshot);
    return status;
}

static kith_status remove_tags(struct kt_table *table, kith_erased *done, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    kith_status status = kt_table_newest(table, &snapshot, error);
    for (uint32_t i = 0; !status && i < snapshot->state->tag_count; i++) {
        status = kt_table_tag(table, snapshot->state->tags[i].name, 0, KITH_TAG_DELETE, error);
        done->tags_removed += !status;
        if (status == KITH_NOT_FOUND) status = KITH_OK; /* somebody else did */
    }
    kt_snapshot_release(snapshot);
    return status;
}

static kith_status newest_version(struct kt_table *table, uint64_t *out, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    kith_status status = kt_table_newest(table, &snapshot, error);
    if (!status) *out = snapshot->state->version;
    kt_snapshot_release(snapshot);
    return status;
}

/* Says which files may still hold what was erased. */
static kith_status report_left(const struct kt_table *table, const struct kt_io_names *left,
                               kith_error *error)
{
    if (!left->count) return KITH_OK;
    return kt_fail(
        error, KITH_CONFLICT,
        "the rows are erased from every version of table '%s', but %zu files that no version names may "
        "hold them (%.80s%s): of a writer at work, or of one that died; erase again when nobody "
        "writes, and say so",
        table->name, left->count, left->names[0], left->count > 1 ? ", ..." : "");
}

kith_status kt_table_erase_dead(struct kt_table *table, const kith_erasing *options, kith_erased *done,
                                kith_error *error)
{
    const struct kt_retention nothing = { .keep_versions = 1, .all = true, .orphans = true };
    struct kt_cleaned cleaned = { 0 };
    struct kt_io_names left = { 0 };
    kith_status status = rewrite(table, options, done, error);
    if (!status) status = remove_tags(table, done, error);
    if (!status) status = kt_store_clean(table->home->store, &nothing, &cleaned, error);
    done->versions_removed = cleaned.versions;
    done->files_removed = cleaned.files;
    done->bytes_removed = cleaned.bytes;
    if (!status) status = kt_store_sweep(table->home->store, options->alone, &left, error);
    if (!status) status = report_left(table, &left, error);
    kt_io_names_release(&left);
    if (!status && !done->version) status = newest_version(table, &done->version, error);
    return status;
}
