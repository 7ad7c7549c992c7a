/* Group commit: threads that commit to one store at once share a publish, which is a sync or two.
 *
 * Who comes first leads: it takes all who wait, prepares one after the other on a state that grows, puts
 * their actions into one commit file, publishes it, and tells each its outcome. Who comes meanwhile waits,
 * and the first of them leads next. So a thread alone commits at once, and many wait for two publishes at
 * most.
 *
 * A member that fails in its prepare fails alone: it worked on a copy of the state before it. When the file
 * as a whole cannot be made, for memory or size, the members go on one by one. Two with one key do not go
 * together: the second finds the key in the log. The first commit of a table, and a drop, are alone: what
 * comes after them must see them committed.
 *
 * Members lie on the stacks of threads that wait, and are theirs again once `done` is set under the store's
 * lock; the lock is never held while anything is prepared, written or waited for but the members' own
 * conditions. In a child of fork() those threads do not exist: the queue is empty there, and nobody leads.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/random.h"
#include "storage/storage_private.h"

enum { RETRY_SECONDS = 30, LONGEST_PAUSE_MS = 64, MOST_MEMBERS = 256, MOST_PAYLOAD = 16 * 1024 * 1024 };

struct group {
    struct kt_store *store;
    struct kt_member *members;
    uint32_t most;          /* members in one attempt */
    struct kt_state *state; /* after the newest commit that was won, or NULL */
};

/* One file of the log being made. */
struct attempt {
    struct kt_state *base;
    struct kt_state *grown; /* the base with all included so far: of the last one */
    uint32_t included;
    bool overtaken; /* the base is no longer the newest, which a member has noticed */
    uint64_t payload_bytes;
    struct kt_commit_header header;
    json_t *lines;
    struct kt_bytes **payloads;
    size_t payload_count;
    struct kt_buffer bytes;
};

/* ---- outcomes */

static void settle(struct kt_member *member, kith_status status, const kith_error *why)
{
    member->settled = true;
    member->status = status;
    if (status && why != member->error) *member->error = *why;
}

static void settle_included(const struct group *group, kith_status status, const kith_error *why,
                            struct kt_state *state)
{
    for (struct kt_member *member = group->members; member; member = member->next) {
        if (!member->included) continue;
        settle(member, status, why);
        if (!status) member->state = kt_state_share(state);
    }
}

static void settle_all(const struct group *group, kith_status status, const kith_error *why)
{
    for (struct kt_member *member = group->members; member; member = member->next)
        if (!member->settled) settle(member, status, why);
}

static struct kt_member *first_unsettled(const struct group *group)
{
    struct kt_member *member = group->members;
    while (member && member->settled) member = member->next;
    return member;
}

static struct kt_member *first_included(const struct group *group)
{
    struct kt_member *member = group->members;
    while (member && !member->included) member = member->next;
    return member;
}

/* ---- preparing */

/* The state to build on: for a table that is being created, an empty one with the id it will have. */
static kith_status base_state(struct kt_store *store, struct kt_state **out, kith_error *error)
{
    struct kt_state *state = NULL;
    uint8_t id[16];
    kith_status status = kt_store_newest(store, &state, error);
    if (status) return status;
    if (state && state->dropped) {
        kt_state_release(state);
        return kt_fail(error, KITH_NOT_FOUND, "%s: the table was dropped", kt_io_root(store->io));
    }
    if (!state) {
        status = kt_io_entropy(store->io, id, sizeof id, error);
        if (status) return status;
        state = kt_state_new();
        if (!state) return kt_fail_memory(error, sizeof *state);
        kt_hex(id, sizeof id, state->table_id);
    }
    *out = state;
    return KITH_OK;
}

static bool key_is_included(const struct group *group, const char *key)
{
    for (const struct kt_member *member = group->members; member; member = member->next)
        if (member->included && member->txn->key && !strcmp(member->txn->key, key)) return true;
    return false;
}

/* Whether the transaction was committed before, under its key. */
static bool is_repeated(struct kt_member *member, struct kt_state *base)
{
    const char *key = member->txn->key;
    const struct kt_txn_seen *seen = key ? kt_state_find_key(base, key) : NULL;
    if (!seen) return false;
    if (member->txn->repeat) *member->txn->repeat = (struct kt_repeat){ seen->commit, seen->version };
    member->repeated = true;
    member->state = kt_state_share(base);
    settle(member, KITH_OK, NULL);
    return true;
}

static kith_status prepare(struct kt_member *member, const struct kt_state *on, kith_error *error)
{
    struct kt_txn *txn = member->txn;
    kt_json_watch();
    txn->state = kt_state_copy(on);
    txn->lines = json_array();
    if (!txn->state || !txn->lines) return kt_fail_memory(error, sizeof *txn->state);
    txn->state->uncommitted = true;
    return kt_json_watched(member->prepare(member->context, on, txn, error), error);
}

static uint64_t payload_bytes(const struct kt_txn *txn)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < txn->payload_count; i++) bytes += txn->payloads[i]->size;
    return bytes;
}

/* For those who are prepared after a change: a number that no version ever has. Whoever remembers by version
 * what was looked at, as keys are, must look again, and must not take another's next version for this state.
 */
static uint64_t passing_version(struct kt_store *store)
{
    return KT_LARGEST_ROW + atomic_fetch_add(&store->passing, 1) + 1;
}

/* A member that did not find a file of the base has failed only if the base is still the newest state: a
 * clean-up commits before it removes anything. */
static bool is_overtaken(struct kt_store *store, const struct kt_state *base, kith_status status)
{
    return status == KITH_NOT_FOUND && base->commit &&
           (kt_store_has_commit(store, base->commit + 1) ||
            kt_store_look(store, base, NULL) == KITH_NOT_FOUND);
}

/* Prepares as many as go together. */
static void gather(struct group *group, struct attempt *attempt)
{
    uint32_t most = attempt->base->commit ? group->most : 1;
    attempt->grown = attempt->base;
    for (struct kt_member *member = group->members; member; member = member->next) {
        if (attempt->included == most || attempt->grown->dropped || attempt->payload_bytes > MOST_PAYLOAD)
            return;
        if (member->settled || is_repeated(member, attempt->base)) continue;
        if (member->txn->key && key_is_included(group, member->txn->key)) continue;
        kith_status status = prepare(member, attempt->grown, member->error);
        if (status) {
            bool again = is_overtaken(group->store, attempt->base, status);
            attempt->overtaken |= again;
            if (!again) settle(member, status, member->error);
            kt_txn_forget_attempt(member->txn);
            continue;
        }
        member->included = true;
        attempt->included++;
        attempt->grown = member->txn->state;
        if (!member->txn->maintenance) attempt->grown->version = passing_version(group->store);
        attempt->payload_bytes += payload_bytes(member->txn);
    }
}

/* ---- the file */

/* The members' ids, operation and version. */
static kith_status make_header(const struct group *group, struct attempt *attempt, kith_error *error)
{
    const struct kt_state *base = attempt->base;
    const struct kt_txn *named = NULL; /* whose operation the commit has: the first that users see */
    struct kt_txn_seen *txns = kt_alloc_zero(attempt->included, sizeof *txns);
    if (!txns) return kt_fail_memory(error, attempt->included * sizeof *txns);
    struct kt_commit_header *header = &attempt->header;
    *header = (struct kt_commit_header){ .commit = base->commit + 1,
                                         .version = base->version,
                                         .parent = base->hash,
                                         .time_us = kt_io_now_us(group->store->io),
                                         .txns = txns };
    for (const struct kt_member *member = group->members; member; member = member->next) {
        if (!member->included) continue;
        const struct kt_txn *txn = member->txn;
        memcpy(txns[header->txn_count].id, txn->id, sizeof txn->id);
        txns[header->txn_count++].key = kt_shared_share(txn->key);
        if (!named || (named->maintenance && !txn->maintenance)) named = txn;
    }
    if (!named->maintenance || !base->commit) header->version++;
    memcpy(header->table_id, base->table_id, sizeof header->table_id);
    memcpy(header->operation, named->operation, sizeof header->operation);
    return KITH_OK;
}

static kith_status collect(const struct group *group, struct attempt *attempt, kith_error *error)
{
    size_t payloads = 0;
    for (const struct kt_member *member = group->members; member; member = member->next)
        if (member->included) payloads += member->txn->payload_count;
    attempt->payloads = kt_alloc_array(payloads + 1, sizeof(struct kt_bytes *));
    attempt->lines = json_array();
    if (!attempt->payloads || !attempt->lines ||
        json_array_append_new(attempt->lines, kt_record_header(&attempt->header)))
        return kt_fail_memory(error, payloads);
    for (const struct kt_member *member = group->members; member; member = member->next) {
        if (!member->included) continue;
        const struct kt_txn *txn = member->txn;
        if (json_array_extend(attempt->lines, txn->lines)) return kt_fail_memory(error, payloads);
        for (size_t i = 0; i < txn->payload_count; i++)
            attempt->payloads[attempt->payload_count++] = txn->payloads[i];
    }
    return KITH_OK;
}

/* The file's bytes, and the state after it: nothing may fail once it is published. */
static kith_status encode(const struct group *group, struct attempt *attempt, kith_error *error)
{
    kt_json_watch();
    kith_status status = make_header(group, attempt, error);
    if (!status) status = kt_json_watched(collect(group, attempt, error), error);
    if (!status)
        status = kt_log_encode(attempt->lines, attempt->payloads, attempt->payload_count, KT_LARGEST_COMMIT,
                               &attempt->bytes, error);
    if (status) return status;
    return kt_state_commit(attempt->grown, &attempt->header,
                           kt_hash(attempt->bytes.data, attempt->bytes.size), attempt->bytes.size, error);
}

static void attempt_release(const struct group *group, struct attempt *attempt)
{
    for (struct kt_member *member = group->members; member; member = member->next) {
        if (member->included) kt_txn_forget_attempt(member->txn);
        member->included = false;
    }
    kt_txns_free(attempt->header.txns, attempt->header.txn_count);
    kt_free(attempt->payloads);
    json_decref(attempt->lines);
    kt_buffer_release(&attempt->bytes);
    kt_state_release(attempt->base);
}

/* ---- publishing */

/* The first commit has no predecessor: it counts if the folder still has its name. */
static kith_status confirm_first(struct kt_store *store, kith_error *error)
{
    char name[KT_LOG_NAME], path[1400];
    kt_log_name(1, KT_LOG_COMMIT, name);
    snprintf(path, sizeof path, "%s/log/%s", store->name, name);
    kith_error why = { 0 };
    kith_status status = kt_io_look(store->parent, path, &why);
    if (status == KITH_NOT_FOUND)
        return kt_fail(error, KITH_UNKNOWN, "%s: the folder was moved away while the table was created",
                       kt_io_root(store->io));
    return status ? kt_fail(error, KITH_UNKNOWN, "%s: whether the table was created is not known: %.400s",
                            kt_io_root(store->io), why.message)
                  : KITH_OK;
}

static const char *newest_operation(const struct kt_state *state)
{
    return state && state->version_count ? state->versions[state->version_count - 1].operation : "none";
}

/* The winner's check, see store_txn.c. `*lost` when the name was free because it had been forgotten. */
static kith_status confirm(struct kt_store *store, const struct kt_txn *txn, const struct kt_state *base,
                           bool *lost, kith_error *error)
{
    struct kt_state *state = NULL;
    char name[KT_LOG_NAME];
    uint64_t commit = base->commit + 1;
    if (commit == 1) return confirm_first(store, error);
    kith_error why = { 0 };
    kith_status status = kt_store_look(store, base, NULL);
    if (!status) return KITH_OK;
    bool refused = status != KITH_NOT_FOUND; /* nobody knows whether it is there: the log decides */
    status = kt_store_reload(store, &state, &why);
    bool ours = !status && state && kt_state_has_txn(state, txn->id);
    bool dropped = !status && (!state || state->dropped);
    bool forgotten = !status && !dropped && !ours && kt_state_private_part(state)->below > commit;
    char winner[16];
    snprintf(winner, sizeof winner, "%s", newest_operation(state));
    kt_state_release(state);
    if (forgotten) { /* ours alone has that name now, and nobody may follow it */
        kt_log_name(commit, KT_LOG_COMMIT, name);
        kt_io_remove(store->log, name, NULL);
        *lost = true;
    }
    if (ours || forgotten) return KITH_OK;
    if (status == KITH_NOT_FOUND) return kt_fail(error, status, "%s", why.message);
    if (status && refused)
        return kt_fail(error, KITH_UNKNOWN, "%s: whether commit %llu stands is not known: %.400s",
                       kt_io_root(store->io), (unsigned long long)commit, why.message);
    if (dropped) return kt_fail(error, KITH_NOT_FOUND, "%s: the table was dropped", kt_io_root(store->io));
    if (!status)
        return kt_fail(error, KITH_CONFLICT, "%s: the log moved on (%s) past commit %llu during %s",
                       kt_io_root(store->io), winner, (unsigned long long)commit, txn->operation);
    kt_log_name(commit - 1, KT_LOG_COMMIT, name);
    return kt_fail(error, KITH_UNKNOWN, "%s/%s vanished while the commit after it was made",
                   kt_io_root(store->log), name);
}

static void publish(struct group *group, struct attempt *attempt, bool *lost)
{
    struct kt_store *store = group->store;
    struct kt_state *state = attempt->grown;
    kith_error why = { 0 };
    char name[KT_LOG_NAME];
    kith_status status = KITH_OK;
    /* Here it may fail, and confirm() finds it done: told again by its time. Where the commit is not there,
     * confirm() says what follows from that. */
    if (attempt->base->commit) status = kt_store_look(store, attempt->base, &why);
    if (status && status != KITH_NOT_FOUND) {
        settle_included(group, status, &why, NULL);
        return;
    }
    status = KITH_OK;
    kt_log_name(attempt->header.commit, KT_LOG_COMMIT, name);
    switch (kt_io_publish(store->log, name, attempt->bytes.data, attempt->bytes.size, &why)) {
    case KT_WON:
        status = confirm(store, first_included(group)->txn, attempt->base, lost, &why);
        break;
    case KT_LOST:
        *lost = true;
        break;
    case KT_UNKNOWN:
        status = KITH_UNKNOWN;
        break;
    case KT_REFUSED:
        status = why.status ? why.status : KITH_IO;
        break;
    }
    if (*lost) return;
    if (!status) {
        kt_store_remember(store, state);
        kt_state_release(group->state);
        group->state = kt_state_share(state);
    }
    settle_included(group, status, &why, state);
}

/* One attempt, after which some members are settled, or `*lost`: somebody else was first. */
static void attempt_commit(struct group *group, bool *lost)
{
    struct attempt attempt = { 0 };
    kith_error why = { 0 };
    kith_status status = base_state(group->store, &attempt.base, &why);
    if (status) {
        settle_all(group, status, &why);
        return;
    }
    gather(group, &attempt);
    *lost = attempt.overtaken && !attempt.included;
    if (attempt.included) {
        status = encode(group, &attempt, &why);
        if (!status)
            publish(group, &attempt, lost);
        else if (attempt.included == 1)
            settle_included(group, status, &why, NULL);
        else
            group->most = 1;
    }
    attempt_release(group, &attempt);
}

/* ---- retrying */

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Sleeps a random part of a time that doubles: losers must not meet again. */
static void pause_a_little(struct kt_random *random, uint32_t losses)
{
    uint64_t most_ms = losses < 6 ? 1u << losses : LONGEST_PAUSE_MS;
    uint64_t ns = kt_random_below(random, most_ms * 1000000);
    nanosleep(&(struct timespec){ .tv_nsec = (long)ns }, NULL);
}

static void give_up(struct group *group, uint32_t losses)
{
    kith_error why = { 0 };
    struct kt_state *newest = kt_store_known(group->store);
    kt_fail(&why, KITH_CONFLICT,
            "%s: %u other commits (the newest: %s) came first during %s, in %d s; try again when fewer write",
            kt_io_root(group->store->io), losses, newest_operation(newest),
            first_unsettled(group)->txn->operation, RETRY_SECONDS);
    settle_all(group, KITH_CONFLICT, &why);
    kt_state_release(newest);
}

static void commit_members(struct group *group)
{
    struct kt_random random = { kt_get_u64(group->members->txn->id) };
    int64_t deadline = monotonic_ms() + RETRY_SECONDS * 1000;
    uint32_t losses = 0;
    while (first_unsettled(group)) {
        bool lost = false;
        attempt_commit(group, &lost);
        if (!lost) continue;
        if (monotonic_ms() > deadline) {
            give_up(group, losses + 1);
            return;
        }
        pause_a_little(&random, losses++);
    }
}

/* ---- the queue */

/* Waits until this member was committed by another thread (NULL), or leads: then all who wait are returned.
 */
static struct kt_member *enter(struct kt_store *store, struct kt_member *member)
{
    struct kt_member *members = NULL;
    kt_lock_take(&store->lock);
    if (store->queue_process != getpid()) { /* also the first time */
        store->queue_process = getpid();
        store->queue = NULL;
        store->queue_end = &store->queue;
        store->led = false;
    }
    *store->queue_end = member;
    store->queue_end = &member->next;
    member->leads = !store->led;
    store->led = true;
    while (!member->done && !member->leads) pthread_cond_wait(&member->wake, &store->lock.mutex);
    if (member->leads) {
        members = store->queue;
        store->queue = NULL;
        store->queue_end = &store->queue;
    }
    kt_lock_give(&store->lock);
    return members;
}

/* Gives the members back to their threads, and the lead to the first who came meanwhile. */
static void leave(struct kt_store *store, struct kt_member *members, struct kt_member *leader)
{
    kt_lock_take(&store->lock);
    for (struct kt_member *member = members, *next; member; member = next) {
        next = member->next;
        member->done = true;
        if (member != leader) pthread_cond_signal(&member->wake);
    }
    store->led = store->queue != NULL;
    if (store->queue) {
        store->queue->leads = true;
        pthread_cond_signal(&store->queue->wake);
    }
    kt_lock_give(&store->lock);
}

void kt_group_commit(struct kt_store *store, struct kt_member *member)
{
    pthread_cond_init(&member->wake, NULL);
    struct kt_member *members = enter(store, member);
    if (members) {
        struct group group = { .store = store, .members = members, .most = MOST_MEMBERS };
        commit_members(&group);
        leave(store, members, member);
        if (group.state) kt_store_checkpoint_if_due(store, group.state);
        kt_state_release(group.state);
    }
    pthread_cond_destroy(&member->wake);
}
