/* Upkeep: what writes do in passing, and what somebody may ask for.
 *
 * After each commit: small fragments and dying ones are folded, indexes are brought up to date, files that
 * only forgotten versions knew are removed. None of it can fail the write, whose rows are there; what fails
 * is tried again by a later one. There is no background thread: a process may fork or die at any time.
 *
 * One thread at a time does it through a handle: several that commit at once see the same thing due, and each
 * would do it. Who finds another at it goes on, and that one looks again before it leaves, some times; what
 * comes after that is left to the next write.
 *
 * Whoever does not want to wait for writes to do it can ask for all of it (kith_optimize()).
 */
#include <unistd.h>

#include "table/table_private.h"

enum { MOST_PASSES = 8 }; /* so that a thread does not keep house for all others for ever */

/* Whether nobody is at it, so that this thread is now. In a child of fork() a thread of the parent is not. */
static bool take_turn(struct kt_table_home *home)
{
    pid_t mine = getpid(), by;
    do {
        by = atomic_load(&home->upkeep_by);
        if (by == mine) atomic_store(&home->upkeep_again, true);
        if (by == mine && atomic_load(&home->upkeep_by) == mine) return false; /* it will look again */
    } while (by == mine || !atomic_compare_exchange_strong(&home->upkeep_by, &by, mine));
    return true;
}

/* Whether to look once more, because somebody committed in between and went on. */
static bool give_turn(struct kt_table_home *home, bool enough)
{
    atomic_store(&home->upkeep_by, 0);
    return !enough && atomic_load(&home->upkeep_again) && take_turn(home);
}

static void keep_up(struct kt_table *table, const struct kt_snapshot *now, const kith_write *options)
{
    kith_error ignored;
    kt_table_fold(table->home, now->state);
    kt_table_auto_index(table, now, options);
    kt_table_recalibrate(table, now, options ? options->progress : NULL,
                         options ? options->progress_user : NULL, &ignored);
    kt_store_clean_if_due(table->home->store, now->state);
}

void kt_table_upkeep(struct kt_table *table, struct kt_state *state, const struct kt_snapshot *base,
                     const kith_write *options)
{
    struct kt_snapshot *now = NULL;
    kith_error ignored; /* a snapshot that cannot be opened tells its reason at the next read */
    kt_table_adopt(table, kt_state_share(state), base, &now, &ignored);
    if (!now) kt_store_clean_if_due(table->home->store, state);
    bool mine = now && take_turn(table->home);
    for (uint32_t pass = 1; mine; pass++) {
        if (now) keep_up(table, now, options);
        kt_snapshot_release(now);
        now = NULL;
        mine = give_turn(table->home, pass == MOST_PASSES);
        if (!mine) break;
        atomic_store(&table->home->upkeep_again, false); /* whoever says so from here on has news */
        kt_table_newest(table, &now, &ignored);
    }
    kt_snapshot_release(now);
}

/* ---- on request */

/* Brings every index up to date: no row uncovered, and with `rewrite` none dead in it. */
static kith_status catch_up(struct kt_table *table, const kith_upkeep *options, kith_upkeep_stats *stats,
                            kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    kith_status status = kt_table_newest(table, &snapshot, error);
    for (uint32_t i = 0; !status && i < snapshot->index_count; i++) {
        const struct kt_table_index *index = &snapshot->indexes[i];
        kith_index again = KITH_INIT(kith_index);
        bool few = !index->ops && index->rows_unindexed && /* too few for a piece of their own */
                   !kt_table_is_behind(snapshot, index);
        bool anew = (options->rewrite && index->rows_dead) || kt_table_is_spent(index) || few;
        if (!anew && !index->rows_unindexed) continue;
        again.name = index->name;
        again.progress = options->progress;
        again.progress_user = options->progress_user;
        status = anew ? KITH_UNSUPPORTED : kt_table_extend_index(table, &again, error);
        if (status == KITH_UNSUPPORTED) status = kt_table_rebuild_index(table, &again, error);
        if (status == KITH_CONFLICT) status = KITH_OK; /* another is at it */
        if (!status) stats->rows_indexed += index->rows_unindexed;
    }
    kt_snapshot_release(snapshot);
    return status;
}

static kith_status calibrate(struct kt_table *table, const kith_upkeep *options, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    kith_status status = kt_table_newest(table, &snapshot, error);
    if (!status)
        status = kt_table_recalibrate(table, snapshot, options->progress, options->progress_user, error);
    kt_snapshot_release(snapshot);
    return status == KITH_CONFLICT ? KITH_OK : status; /* another is at it */
}

/* Removes what old versions alone need: those older than asked, or by the table's settings. */
static kith_status clean(struct kt_table *table, const kith_upkeep *options, kith_upkeep_stats *stats,
                         kith_error *error)
{
    enum { VERSIONS = 1000 };
    const int64_t week_us = (int64_t)7 * 24 * 3600 * 1000000;
    struct kt_cleaned cleaned = { 0 };
    struct kt_snapshot *snapshot = NULL;
    kith_status status = kt_table_newest(table, &snapshot, error);
    if (status) return status;
    const json_t *kept = json_object_get(snapshot->state->config, "keep_versions");
    struct kt_retention retention = { .keep_versions = UINT64_MAX,
                                      .keep_us = options->older_than_us,
                                      .keep_bytes = UINT64_MAX,
                                      .orphans = options->orphans };
    if (options->older_than_us < 0) {
        retention.keep_versions = json_is_integer(kept) ? (uint64_t)json_integer_value(kept) : VERSIONS;
        retention.keep_us = week_us;
    }
    kt_snapshot_release(snapshot);
    status = kt_store_clean(table->home->store, &retention, &cleaned, error);
    stats->versions_removed = cleaned.versions;
    stats->files_removed = cleaned.files;
    stats->bytes_removed = cleaned.bytes;
    return status;
}

kith_status kt_table_optimize(struct kt_table *table, const kith_upkeep *options, kith_upkeep_stats *stats,
                              kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    struct kt_work work = { .progress = options->progress, .user = options->progress_user };
    kith_status status = kt_table_writable(table, &snapshot, error);
    kt_snapshot_release(snapshot);
    if (!status && options->rewrite) status = kt_table_fold_all(table, &work, stats, error);
    if (!status) status = catch_up(table, options, stats, error);
    if (!status) status = calibrate(table, options, error);
    if (!status) status = clean(table, options, stats, error);
    return status;
}

kith_status kt_table_backup(struct kt_table *table, struct kt_catalog *to, kith_error *error)
{
    char folder[300];
    struct kt_snapshot *snapshot = NULL;
    kith_status status = kt_table_snapshot(table, &snapshot, error);
    if (status) return status;
    kt_table_folder(table->name, folder);
    status = kt_store_backup(table->home->store, snapshot->state, kt_catalog_io(to), folder, NULL, error);
    if (status == KITH_EXISTS)
        status =
            kt_fail(error, KITH_EXISTS, "Table '%s' already exists in %s", table->name, kt_catalog_uri(to));
    kt_snapshot_release(snapshot);
    return status;
}
