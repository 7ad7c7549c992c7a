/* Versions with names, and versions brought back.
 *
 * To restore a version is a commit like another: the rows, columns, settings and indexes that it had become
 * those of the newest version, and those in between stay readable. Row ids given meanwhile are not given
 * again.
 */
#include <stdio.h>

#include "table/table_private.h"

const char *kt_state_news(const struct kt_state *state, const struct kt_state *base, char to[KT_NEWS])
{
    enum { MOST = 3 };
    const char *seen[MOST];
    int count = 0, length = 0;
    uint64_t since = base ? base->version : 0;
    for (uint32_t i = state->version_count; i-- > 0 && state->versions[i].version > since && count < MOST;) {
        const char *operation = state->versions[i].operation;
        bool known = false;
        for (int s = 0; s < count; s++) known |= strcmp(seen[s], operation) == 0;
        if (!known) seen[count++] = operation;
    }
    snprintf(to, KT_NEWS, "%s", state->uncommitted ? "another thread's write" : "upkeep");
    for (int s = count; s-- > 0;)
        length += snprintf(to + length, (size_t)(KT_NEWS - length), length ? ", %s" : "%s", seen[s]);
    return to;
}

struct restoring {
    const char *table;
    const struct kt_state *old;
};

static kith_status prepare_restore(void *context, const struct kt_state *state, struct kt_txn *txn,
                                   kith_error *error)
{
    const struct restoring *restoring = context;
    if (state->dropped) return kt_fail(error, KITH_NOT_FOUND, "Table '%s' was dropped", restoring->table);
    return kt_txn_restore(txn, restoring->old, error);
}

kith_status kt_table_restore(struct kt_table *table, uint64_t version, uint64_t *out, kith_error *error)
{
    struct kt_snapshot *shown = NULL;
    struct kt_state *old = NULL, *state = NULL;
    struct kt_txn *txn = NULL;
    kith_status status = kt_table_snapshot(table, &shown, error);
    if (status) return status;
    if (!version) version = shown->state->version;
    status = kt_store_load_version(table->home->store, version, &old, error);
    if (!status) status = kt_txn_begin(table->home->store, "restore", &txn, error);
    if (!status) {
        struct restoring restoring = { table->name, old };
        status = kt_txn_commit(txn, prepare_restore, &restoring, &state, error);
    }
    if (!status) { /* and nothing fails any more */
        *out = state->version;
        kt_table_unpin(table);
    }
    kt_state_release(state);
    kt_state_release(old);
    kt_snapshot_release(shown);
    return status;
}

kith_status kt_table_history(struct kt_table *table, uint64_t most, struct kt_buffer *out, kith_error *error)
{
    struct kt_snapshot *shown = NULL;
    kith_status status = kt_table_snapshot(table, &shown, error);
    if (!status) status = kt_store_history(table->home->store, shown->state, most, out, error);
    kt_snapshot_release(shown);
    return status;
}

/* ---- tags */

struct tagging {
    const char *table, *name;
    uint64_t version;
    kith_tag_change change;
};

static const struct kt_tag *find_tag(const struct kt_state *state, const char *name)
{
    for (uint32_t i = 0; i < state->tag_count; i++)
        if (strcmp(state->tags[i].name, name) == 0) return &state->tags[i];
    return NULL;
}

static kith_status prepare_tag(void *context, const struct kt_state *state, struct kt_txn *txn,
                               kith_error *error)
{
    const struct tagging *tagging = context;
    bool there = find_tag(state, tagging->name) != NULL;
    if (tagging->change == KITH_TAG_CREATE && there)
        return kt_fail(error, KITH_EXISTS, "table '%s' has a tag \"%s\" already; update() moves it",
                       tagging->table, tagging->name);
    if (tagging->change != KITH_TAG_CREATE && !there)
        return kt_fail(error, KITH_NOT_FOUND, "table '%s' has no tag \"%s\"", tagging->table, tagging->name);
    uint64_t version = tagging->change == KITH_TAG_DELETE ? 0 : tagging->version;
    return kt_txn_set_tag(txn, tagging->name, version, error);
}

kith_status kt_table_tag(struct kt_table *table, const char *name, uint64_t version, kith_tag_change change,
                         kith_error *error)
{
    struct kt_txn *txn = NULL;
    struct tagging tagging = { table->name, name, version, change };
    if (!name || !name[0]) return kt_fail(error, KITH_INVALID, "a tag needs a name");
    if (!version && change != KITH_TAG_DELETE) return kt_fail(error, KITH_INVALID, "versions count from 1");
    kith_status status = kt_txn_begin(table->home->store, "tag", &txn, error);
    return status ? status : kt_txn_commit(txn, prepare_tag, &tagging, NULL, error);
}
