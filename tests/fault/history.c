/* The serial history of a simulated table, and whether what somebody was told fits into it.
 *
 * The order of commits is the order in which their names came into the log, which the harness sees happen. At
 * that moment, before anybody else's turn, the table is read through a handle of the harness's own, and what
 * it holds must be what it held before with one whole deed done to it: the deed of the actor whose commit it
 * is. So every commit is in the history once or the run fails at once, and the rest is comparing: an
 * acknowledged deed made a version, a refused one none, an unknown one may have.
 *
 * A deletion, an update and a merge are worked out on some version between the newest that anybody knew when
 * they began and the one before theirs: rows that were only added since do not matter to them
 * (query_change.c), but what they take must still be there.
 */
#define _GNU_SOURCE
#include "fault/history.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault/own.h"
#include "io/io_posix.h"

const char *const deed_names[DO_WHATS] = { "append",  "delete",     "update",      "merge", "overwrite",
                                           "restore", "add_column", "drop_column", "upkeep" };

/* ---- lists of rows as sets */

static int row_order(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return (x->salt > y->salt) - (x->salt < y->salt);
}

static void sort(struct rows *rows)
{
    if (rows->count) qsort(rows->row, rows->count, sizeof *rows->row, row_order);
}

static bool same(const struct rows *a, const struct rows *b)
{
    return a->count == b->count && !memcmp(a->row, b->row, a->count * sizeof *a->row);
}

/* The first row that is in one and not in the other, for the complaint. */
static void differ(const struct rows *is, const struct rows *should, char out[96])
{
    size_t i = 0;
    while (i < is->count && i < should->count && !row_order(&is->row[i], &should->row[i])) i++;
    snprintf(out, 96, "%zu rows, not %zu; at %zu %lld/%u, not %lld/%u", is->count, should->count, i,
             i < is->count ? (long long)is->row[i].id : -1, i < is->count ? is->row[i].salt & 0xffff : 0,
             i < should->count ? (long long)should->row[i].id : -1,
             i < should->count ? should->row[i].salt & 0xffff : 0);
}

static const struct rows *rows_at(const struct history *history, uint64_t version)
{
    return history->versions[version - 1].rows;
}

const struct row *history_row(const struct history *history, uint64_t version, int64_t id)
{
    const struct rows *rows = rows_at(history, version);
    size_t low = 0, high = rows->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (rows->row[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < rows->count && rows->row[low].id == id ? &rows->row[low] : NULL;
}

/* ---- what a deed makes of a version */

static bool is_taken(const struct happening *deed, struct row row)
{
    if (deed->what == DO_MERGE) return rows_find(deed->rows, row.id) != NULL;
    return row.id >= deed->first && row.id < deed->end &&
           (!deed->below || (uint64_t)row_number(row) < deed->below);
}

/* `before` without what the deed takes of `seen`; NULL: some of that is no longer there. Both are sorted. */
static struct rows *without_taken(const struct happening *deed, const struct rows *before,
                                  const struct rows *seen, size_t *taken)
{
    struct rows *left = rows_new(before->count);
    size_t at = 0;
    left->count = *taken = 0;
    for (size_t i = 0; i < seen->count; i++) {
        if (!is_taken(deed, seen->row[i])) continue;
        while (at < before->count && row_order(&before->row[at], &seen->row[i]) < 0)
            left->row[left->count++] = before->row[at++];
        if (at == before->count || row_order(&before->row[at], &seen->row[i])) {
            rows_release(left);
            return NULL;
        }
        at++;
        ++*taken;
    }
    while (at < before->count) left->row[left->count++] = before->row[at++];
    return left;
}

/* The rows that a merge leaves: one for each that it matched in `seen`, and those that match none. */
static struct rows *merged(const struct happening *deed, const struct rows *seen)
{
    struct rows *rows = rows_new(deed->rows->count + seen->count);
    rows->count = 0;
    for (size_t i = 0; i < deed->rows->count; i++) {
        size_t times = 0;
        for (size_t s = 0; s < seen->count; s++) times += seen->row[s].id == deed->rows->row[i].id;
        if (!times) times = 1;
        while (times--) rows->row[rows->count++] = deed->rows->row[i];
    }
    return rows;
}

/* What the table holds if the deed was worked out on `base`; NULL: that cannot be. `*nothing`: it did
 * nothing.
 */
static struct rows *result_of(const struct history *history, const struct happening *deed, uint64_t base,
                              uint64_t before, bool *nothing)
{
    size_t taken = 0;
    struct rows *left = NULL, *came = NULL, *result = NULL;
    const struct rows *old = rows_at(history, before);
    *nothing = false;
    switch (deed->what) {
    case DO_APPEND:
        *nothing = !deed->rows->count;
        result = rows_join(old, deed->rows);
        break;
    case DO_DELETE:
    case DO_UPDATE:
    case DO_MERGE:
        left = without_taken(deed, old, rows_at(history, base), &taken);
        if (!left) return NULL;
        *nothing = deed->what == DO_MERGE ? !deed->rows->count : !taken;
        if (deed->what == DO_MERGE) came = merged(deed, rows_at(history, base));
        result = deed->what == DO_UPDATE ? rows_join(old, NULL) : rows_join(left, came);
        break;
    case DO_OVERWRITE:
        result = rows_join(deed->rows, NULL);
        break;
    case DO_RESTORE:
        result = rows_join(rows_at(history, deed->version), NULL);
        break;
    default:
        result = rows_join(old, NULL);
        break;
    }
    rows_release(left);
    rows_release(came);
    sort(result);
    return result;
}

static bool extra_after(const struct history *history, const struct happening *deed, uint64_t before)
{
    if (deed->what == DO_ADD_COLUMN) return true;
    if (deed->what == DO_DROP_COLUMN) return false;
    if (deed->what == DO_RESTORE) return history->versions[deed->version - 1].extra;
    return history->versions[before - 1].extra;
}

/* ---- looking at the table */

static bool read_newest(struct history *history, uint64_t *version, struct rows_seen *out)
{
    struct ArrowArrayStream stream;
    kith_error error = { 0 };
    kith_scan scan = KITH_INIT(kith_scan);
    scan.with_row_id = true;
    kith_status status = KITH_OK;
    if (!history->table) status = kith_open_table(history->db, "t", &history->table, &error);
    if (!status) status = kith_table_version(history->table, version, &error);
    if (!status) status = kith_table_scan(history->table, &scan, &stream, &error);
    if (!status) status = rows_read(&stream, false, out, history->complaint, &error);
    if (!status) sort(out->rows);
    if (status) return complain(history->complaint, "the newest version cannot be read: %s", error.message);
    return true;
}

static bool keys_are_unique(const struct rows *rows)
{
    for (size_t i = 1; i < rows->count; i++)
        if (rows->row[i].id == rows->row[i - 1].id) return false;
    return true;
}

/* A version more, which holds what the deed made of the one before it. */
static void add_version(struct history *history, const struct actor *actor, struct happening *deed,
                        struct rows_seen *seen)
{
    uint64_t before = history->newest;
    bool fits = false, nothing;
    char how[96] = "";
    for (uint64_t base = before; !fits && base && base >= deed->from; base--) {
        struct rows *should = result_of(history, deed, base, before, &nothing);
        if (!should) continue;
        fits = same(seen->rows, should) && seen->extra == extra_after(history, deed, before);
        if (!fits && !how[0]) differ(seen->rows, should, how);
        rows_release(should);
    }
    if (!fits)
        complain(history->complaint, "version %llu is not what %s's %s makes of the one before: %s",
                 (unsigned long long)before + 1, actor->name, deed_names[deed->what], how);
    if (history->keyed && !keys_are_unique(seen->rows))
        complain(history->complaint, "a key is there twice in version %llu", (unsigned long long)before + 1);
    if (deed->made)
        complain(history->complaint, "%s's %s was done as version %llu and again as %llu", actor->name,
                 deed_names[deed->what], (unsigned long long)deed->made, (unsigned long long)before + 1);
    if (deed->key && history->keys[deed->key])
        complain(history->complaint, "what has key %u was done as version %llu and again", deed->key,
                 (unsigned long long)history->keys[deed->key]);
    deed->made = ++history->newest;
    if (deed->key) history->keys[deed->key] = deed->made;
    history->versions[deed->made - 1] = (struct held){ rows_share(seen->rows), seen->extra };
}

/* ---- a commit */

static void see_commit(struct history *history, const struct actor *actor)
{
    struct rows_seen seen = { 0 };
    uint64_t version = 0;
    if (!read_newest(history, &version, &seen)) return;
    struct happening *deed = actor ? history->at_work[actor - history->actors] : NULL;
    if (version == history->newest) {
        if (!same(seen.rows, rows_at(history, version)))
            complain(history->complaint, "upkeep changed version %llu", (unsigned long long)version);
    } else if (version != history->newest + 1) {
        complain(history->complaint, "version %llu comes after %llu", (unsigned long long)version,
                 (unsigned long long)history->newest);
    } else if (!history->newest) {
        history->versions[history->newest++] = (struct held){ rows_share(seen.rows), seen.extra };
    } else if (!deed || deed->what == DO_UPKEEP) {
        complain(history->complaint, "%s did nothing and made version %llu", actor->name,
                 (unsigned long long)version);
    } else if (history->newest < HISTORY_VERSIONS) {
        add_version(history, actor, deed, &seen);
    }
    rows_seen_release(&seen);
}

void history_named(struct history *history, const struct actor *actor, const char *name)
{
    uint64_t commit = 0;
    char ending[16] = "";
    if (history->complaint->text[0]) return;
    if (sscanf(name, "%20lu.%15s", &commit, ending) != 2 || strcmp(ending, "commit")) return;
    if (commit <= history->commit) { /* the name had been forgotten: it does not count, and goes */
        history->ghosts++;
        return;
    }
    if (commit != history->commit + 1) {
        complain(history->complaint, "commit %llu comes after %llu", (unsigned long long)commit,
                 (unsigned long long)history->commit);
        return;
    }
    history->commit = commit;
    history->commits++;
    see_commit(history, actor);
}

/* ---- what an actor was told */

void happening_begin(struct history *history, const struct actor *actor, struct happening *happening)
{
    happening->from = history->told;
    happening->made = 0;
    happening->began_us = world_time_us();
    happening->struck = actor->struck;
    history->at_work[actor - history->actors] = happening;
}

/* Whether doing nothing was right: at some version since it began there was nothing to do. */
static bool was_for_nothing(const struct history *history, const struct happening *deed)
{
    for (uint64_t base = deed->from; base <= history->newest; base++) {
        bool nothing;
        struct rows *result = result_of(history, deed, base, base, &nothing);
        rows_release(result);
        if (nothing) return true;
    }
    return false;
}

static bool some_id_is_there(const struct history *history, const struct happening *deed)
{
    for (uint64_t base = deed->from; base <= history->newest; base++)
        for (size_t i = 0; i < deed->rows->count; i++)
            if (history_row(history, base, deed->rows->row[i].id)) return true;
    return false;
}

/* Whether a healthy store may say so. A conflict is for those who were long at it, by whichever clock, and
 * where columns come and go; so is that a version is gone which was to be restored. */
static bool may_fail(const struct history *history, const struct happening *deed, kith_status status)
{
    enum { PATIENCE_US = 30000000 };
    bool long_at_it = world_time_us() - deed->began_us > PATIENCE_US || world_jumped(), extra[2] = { false };
    for (uint64_t base = deed->from; base <= history->newest; base++)
        extra[history->versions[base - 1].extra] = true;
    switch (status) {
    case KITH_EXISTS:
        return deed->what == DO_ADD_COLUMN ? extra[1]
                                           : history->keyed && deed->rows && some_id_is_there(history, deed);
    case KITH_NOT_FOUND:
        return deed->what == DO_RESTORE || (deed->what == DO_DROP_COLUMN && extra[0]);
    case KITH_CONFLICT:
        return long_at_it || (extra[0] && extra[1]) || deed->what == DO_RESTORE;
    default:
        return false;
    }
}

void happening_end(struct history *history, const struct actor *actor, kith_status status, uint64_t version,
                   const char *words)
{
    struct happening *deed = history->at_work[actor - history->actors];
    const char *name = deed_names[deed->what];
    struct complaint *complaint = history->complaint;
    bool struck = actor->struck != deed->struck;
    history->at_work[actor - history->actors] = NULL;
    if (actor->killed || deed->what == DO_UPKEEP) return;
    if (status && !words[0]) complain(complaint, "%s's %s fails without a word", actor->name, name);
    if (status == KITH_UNKNOWN) {
        if (!struck) complain(complaint, "%s's %s is unknown, undisturbed: %s", actor->name, name, words);
        return;
    }
    if (status) {
        if (deed->made)
            complain(complaint, "%s's %s failed and is version %llu: %s", actor->name, name,
                     (unsigned long long)deed->made, words);
        if (!struck && !may_fail(history, deed, status))
            complain(complaint, "%s's %s, undisturbed: %s: %s", actor->name, name, kith_status_name(status),
                     words);
        return;
    }
    uint64_t made = deed->made;
    if (!made && deed->key) made = history->keys[deed->key];
    if (!made && !was_for_nothing(history, deed))
        complain(complaint, "%s's %s succeeded and was not done", actor->name, name);
    if (made && version != made)
        complain(complaint, "%s's %s says that it made version %llu, not %llu", actor->name, name,
                 (unsigned long long)version, (unsigned long long)made);
    if (made > history->told) history->told = made;
}

/* ---- what was read */

void history_allows(struct history *history, const char *who, uint64_t least, struct rows *rows)
{
    char how[96] = "";
    sort(rows);
    for (uint64_t version = history->newest; version >= least && version; version--) {
        if (same(rows, rows_at(history, version))) return;
        if (!how[0]) differ(rows, rows_at(history, version), how);
    }
    complain(history->complaint, "%s read what no version from %llu to %llu holds: %s", who,
             (unsigned long long)least, (unsigned long long)history->newest, how);
}

void history_holds(struct history *history, const char *who, uint64_t version, struct rows *rows)
{
    char how[96];
    sort(rows);
    if (version && version <= history->newest && same(rows, rows_at(history, version))) return;
    if (!version || version > history->newest)
        snprintf(how, sizeof how, "there is no such version");
    else
        differ(rows, rows_at(history, version), how);
    complain(history->complaint, "%s read version %llu: %s", who, (unsigned long long)version, how);
}

/* ---- beginning and end */

void history_begin(struct history *history, const char *uri, const struct actor *actors,
                   struct complaint *complaint)
{
    kith_error error = { 0 };
    *history = (struct history){ .complaint = complaint, .actors = actors };
    if (kith_open(uri, &history->db, &error)) complain(complaint, "%s", error.message);
}

void history_release(struct history *history)
{
    kith_table_close(history->table);
    kith_close(history->db);
    for (uint64_t i = 0; i < history->newest; i++) rows_release(history->versions[i].rows);
}
