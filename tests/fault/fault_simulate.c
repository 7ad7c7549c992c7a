/* Several processes at one table in a simulated world: writers, readers and one who cleans up, of whom some
 * stand still for days, die, or meet a bad disk, while the clock jumps. A seed decides all of it, so one seed
 * is one run, again and again:
 *
 *     fault_simulate --seed 1 --runs 5000     seeds 1 to 5000
 *     fault_simulate --only 4711              that one
 *
 * What must hold stands in history.c: every commit is one whole deed of the one who made it, every answer
 * fits the order in which they came. In the end the table opens, every byte verifies, each version that is
 * kept shows what it showed, and a day later nothing is on disk that no version needs.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fault/campaign.h"
#include "fault/history.h"
#include "fault/own.h"
#include "io/io.h"

#define URI "/db"
#define FOLDER "/db/t.kith"

static const int64_t SECOND_US = 1000000, HOUR_US = (int64_t)3600 * 1000000;
enum {
    IDS_A_DEED = 1000,
    KEYED_IDS = 40,
    FILE_ROWS = 70,
    FILE_PAD = 1024,
    FIRST_ROWS = 24,
    TAGS = ACTORS_MOST
};

/* The C library's clock and sleep, for whoever lives in the world. */
int clock_gettime(clockid_t clock, struct timespec *out)
{
    if (world_clock(clock, out)) return 0;
    return (int)syscall(SYS_clock_gettime, clock, out);
}

int nanosleep(const struct timespec *time, struct timespec *rest)
{
    if (world_nanosleep(time)) return 0;
    return (int)syscall(SYS_nanosleep, time, rest);
}

/* What of a tag is known. */
struct tag {
    uint64_t version; /* 0: there is none */
    bool unsure;      /* somebody was not told, or died */
};

struct run {
    struct world_habits habits;
    struct disk *disk;
    struct complaint complaint;
    struct history history;
    struct kt_random random;
    uint32_t count; /* of actors */
    struct actor actors[ACTORS_MOST];
    struct person {
        struct run *run;
        struct kt_random random;
        char name[16];
        kith_database *db;
        kith_table *table;
        uint32_t deeds;
        struct tag tag;
    } people[ACTORS_MOST];
    uint32_t deeds, keys; /* begun by anybody; given out */
    bool keyed, indexes;
    uint32_t keep_versions;
    bool slow; /* they think for hours, else for seconds */
};

static uint64_t below(struct person *person, uint64_t bound)
{
    return kt_random_below(&person->random, bound);
}

static bool fine(const struct run *run)
{
    return !run->complaint.text[0];
}

/* Whether what was read may be held against somebody: the dead read nothing. */
static bool counts(const struct run *run)
{
    return fine(run) && !(world_actor() && world_actor()->killed);
}

/* ---- a process */

static void exit_process(struct person *person)
{
    kith_table_close(person->table);
    kith_close(person->db);
    person->table = NULL;
    person->db = NULL;
}

static kith_status want(struct person *person, kith_table **out, kith_error *error)
{
    kith_status status = person->db ? KITH_OK : kith_open(URI, &person->db, error);
    if (!status && !person->table) status = kith_open_table(person->db, "t", &person->table, error);
    *out = person->table;
    return status;
}

/* What is between two things that one does. */
static void rest(struct actor *actor)
{
    struct person *person = actor->user;
    if (actor->killed) {
        exit_process(person);
        actor->killed = false;
        actor->ghost_us = 0;
    } else if (!below(person, 6)) {
        exit_process(person);
    }
    switch (below(person, 4)) {
    case 0:
        world_sleep((int64_t)below(person, (uint64_t)(10 * SECOND_US)));
        break;
    case 1:
        if (person->run->slow) world_sleep((int64_t)below(person, (uint64_t)(30 * HOUR_US)));
        break;
    default:
        break;
    }
}

/* ---- what writers do */

static void add_rows(struct person *person, struct happening *deed, uint32_t count, uint32_t pad)
{
    uint32_t number = ++person->run->deeds;
    int64_t first = (int64_t)number * IDS_A_DEED;
    if (person->run->keyed) first = (int64_t)below(person, KEYED_IDS);
    deed->rows = rows_range(first, count, number | pad << 16);
}

static void pick_rows(struct person *person, struct happening *deed)
{
    uint64_t unit = person->run->keyed ? 1 : IDS_A_DEED;
    uint64_t most = person->run->keyed ? KEYED_IDS : person->run->deeds + 1;
    deed->first = (int64_t)(below(person, most) * unit);
    deed->end = deed->first + (int64_t)((1 + below(person, 4)) * unit);
    deed->below = below(person, 2) ? 0 : 50;
}

/* One of the versions that there are, mostly a new one. */
static uint64_t some_version(struct person *person)
{
    uint64_t told = person->run->history.told, back = below(person, 6);
    return back < told ? told - back : told;
}

static struct happening new_deed(struct person *person)
{
    static const uint8_t chances[DO_WHATS] = { 34, 14, 6, 12, 4, 4, 4, 4, 18 };
    struct happening deed = { .what = DO_APPEND };
    uint64_t chance = below(person, 100);
    while (chance >= chances[deed.what]) chance -= chances[deed.what++];
    switch (deed.what) {
    case DO_APPEND:
        if (below(person, 3))
            add_rows(person, &deed, (uint32_t)below(person, 7), 0);
        else
            add_rows(person, &deed, FILE_ROWS, FILE_PAD);
        if (person->run->keyed && !below(person, 3)) { /* files, without a key that is there */
            rows_release(deed.rows);
            uint32_t number = person->run->deeds;
            deed.rows =
                rows_range((int64_t)number * IDS_A_DEED, FILE_ROWS, number | (uint32_t)FILE_PAD << 16);
        }
        if (!below(person, 3) && person->run->keys + 1 < 64) deed.key = ++person->run->keys;
        break;
    case DO_MERGE:
        add_rows(person, &deed, 1 + (uint32_t)below(person, 8), 0);
        if (!person->run->keyed && below(person, 2)) /* over rows that were there */
            for (size_t i = 0; i < deed.rows->count; i++)
                deed.rows->row[i].id = (int64_t)((1 + below(person, person->run->deeds)) * IDS_A_DEED + i);
        for (size_t i = 1; i < deed.rows->count; i++)
            if (deed.rows->row[i].id <= deed.rows->row[i - 1].id)
                deed.rows->row[i].id = deed.rows->row[i - 1].id + 1;
        break;
    case DO_OVERWRITE:
        add_rows(person, &deed, FIRST_ROWS, 0);
        break;
    case DO_RESTORE:
        deed.version = some_version(person);
        break;
    case DO_DELETE:
    case DO_UPDATE:
        pick_rows(person, &deed);
        break;
    default:
        break;
    }
    return deed;
}

static kith_status write_rows(kith_table *table, const struct happening *deed, uint64_t *version,
                              kith_error *error)
{
    struct ArrowArrayStream data;
    char key[16];
    kith_write write = KITH_INIT(kith_write);
    write.mode = deed->what == DO_OVERWRITE ? KITH_OVERWRITE : KITH_APPEND;
    snprintf(key, sizeof key, "key %u", deed->key);
    if (deed->key) write.idempotency_key = key;
    rows_stream(deed->rows, &data);
    return kith_append(table, &data, &write, version, error);
}

static kith_status change_rows(kith_table *table, const struct happening *deed, uint64_t *version,
                               kith_error *error)
{
    static const kith_assignment same = { "n", "n + 0" };
    char text[120];
    kith_expr *expr = NULL;
    kith_changed changed = KITH_INIT(kith_changed);
    snprintf(text, sizeof text, "id >= %lld and id < %lld%s", (long long)deed->first, (long long)deed->end,
             deed->below ? " and n < 50" : "");
    kith_update update = KITH_INIT(kith_update);
    kith_status status = kith_expr_sql(text, NULL, 0, &expr, error);
    update.filter = expr;
    update.assignments = &same;
    update.assignment_count = 1;
    if (!status)
        status = deed->what == DO_DELETE ? kith_delete(table, expr, &changed, error)
                                         : kith_update_rows(table, &update, &changed, error);
    kith_expr_free(expr);
    *version = changed.version;
    return status;
}

static kith_status merge_rows(struct run *run, kith_table *table, const struct happening *deed,
                              uint64_t *version, kith_error *error)
{
    static const char *const on[] = { "id" };
    struct ArrowArrayStream data;
    kith_changed changed = KITH_INIT(kith_changed);
    kith_merge merge = KITH_INIT(kith_merge);
    if (!run->keyed) merge.on = on, merge.on_count = 1;
    merge.update_matched = merge.insert_new = true;
    rows_stream(deed->rows, &data);
    kith_status status = kith_merge_rows(table, &data, &merge, &changed, error);
    *version = changed.version;
    return status;
}

static kith_status change_table(kith_table *table, const struct happening *deed, uint64_t *version,
                                kith_error *error)
{
    static const kith_new_column column = { .name = EXTRA_COLUMN, .expression = "id + 1" };
    static const char *const names[] = { EXTRA_COLUMN };
    kith_changed changed = KITH_INIT(kith_changed);
    kith_status status;
    if (deed->what == DO_RESTORE)
        status = kith_table_restore(table, deed->version, &changed, error);
    else if (deed->what == DO_ADD_COLUMN)
        status = kith_add_columns(table, &column, 1, &changed, error);
    else
        status = kith_drop_columns(table, names, 1, &changed, error);
    *version = changed.version;
    return status;
}

/* ---- upkeep: what makes no version */

static kith_status make_index(struct person *person, kith_table *table, kith_error *error)
{
    kith_index index = KITH_INIT(kith_index);
    bool values = !person->run->indexes || below(person, 2);
    index.column = !values ? "vector" : below(person, 2) ? "n" : "id";
    if (!values) index.type = KITH_IVF_FLAT;
    if (!values) index.num_partitions = 2;
    index.threads = 1;
    return kith_create_index(table, &index, error);
}

static kith_status set_tag(struct actor *actor, kith_table *table, kith_error *error)
{
    struct person *person = actor->user;
    struct tag *tag = &person->tag;
    uint64_t version = below(person, 5) ? some_version(person) : 0;
    kith_tag_change change = !version                      ? KITH_TAG_DELETE
                             : tag->version || tag->unsure ? KITH_TAG_UPDATE
                                                           : KITH_TAG_CREATE;
    kith_status status = kith_set_tag(table, person->name, version, change, error);
    if (!status && !actor->killed)
        *tag = (struct tag){ .version = version };
    else if (actor->killed || status != KITH_NOT_FOUND)
        tag->unsure = true;
    return status;
}

static kith_status tidy(struct person *person, kith_table *table, bool clean, kith_error *error)
{
    kith_upkeep upkeep = KITH_INIT(kith_upkeep);
    static const int64_t ages[] = { 0, 0, -1, (int64_t)3600 * 1000000 };
    upkeep.older_than_us = clean ? ages[below(person, 4)] : -1;
    upkeep.orphans = clean;
    upkeep.rewrite = below(person, 2);
    return kith_optimize(table, &upkeep, NULL, error);
}

/* Upkeep that comes too late for what it was about may say so. */
static bool may_come_late(kith_status status)
{
    return status == KITH_CONFLICT || status == KITH_NOT_FOUND || status == KITH_EXISTS ||
           status == KITH_INVALID;
}

static void do_upkeep(struct actor *actor, bool clean)
{
    struct person *person = actor->user;
    struct happening deed = { .what = DO_UPKEEP };
    kith_error error = { 0 };
    kith_table *table;
    happening_begin(&person->run->history, actor, &deed);
    kith_status status = want(person, &table, &error);
    if (!status && clean)
        status = tidy(person, table, true, &error);
    else if (!status)
        switch (below(person, 4)) {
        case 0:
            status = tidy(person, table, false, &error);
            break;
        case 1:
            status = make_index(person, table, &error);
            break;
        default:
            status = set_tag(actor, table, &error);
            break;
        }
    bool excused = actor->killed || actor->struck != deed.struck || may_come_late(status);
    if (status && !excused)
        complain(&person->run->complaint, "%s's upkeep, undisturbed: %s: %s", person->name,
                 kith_status_name(status), error.message);
    happening_end(&person->run->history, actor, status, 0, error.message);
}

/* ---- writers */

static kith_status do_deed(struct person *person, const struct happening *deed, uint64_t *version,
                           kith_error *error)
{
    kith_table *table;
    kith_status status = want(person, &table, error);
    if (status) return status;
    switch (deed->what) {
    case DO_APPEND:
    case DO_OVERWRITE:
        return write_rows(table, deed, version, error);
    case DO_DELETE:
    case DO_UPDATE:
        return change_rows(table, deed, version, error);
    case DO_MERGE:
        return merge_rows(person->run, table, deed, version, error);
    default:
        return change_table(table, deed, version, error);
    }
}

/* Who has a key and was not told tries again, until told. */
static void write_once(struct actor *actor)
{
    enum { TRIES = 4 };
    struct person *person = actor->user;
    struct run *run = person->run;
    struct happening deed = new_deed(person);
    if (deed.what == DO_UPKEEP) {
        do_upkeep(actor, false);
        return;
    }
    for (int tries = 0; tries < TRIES && fine(run); tries++) {
        uint64_t version = 0;
        kith_error error = { 0 };
        happening_begin(&run->history, actor, &deed);
        kith_status status = do_deed(person, &deed, &version, &error);
        happening_end(&run->history, actor, status, version, error.message);
        if (!deed.key || (!actor->killed && status != KITH_UNKNOWN)) break;
        rest(actor);
    }
    rows_release(deed.rows);
}

static void do_deeds(struct actor *actor, void (*deed)(struct actor *))
{
    struct person *person = actor->user;
    for (uint32_t i = 0; i < person->deeds && fine(person->run); i++) {
        rest(actor);
        deed(actor);
    }
    exit_process(person);
}

static void be_writer(struct actor *actor)
{
    do_deeds(actor, write_once);
}

static void clean_once(struct actor *actor)
{
    do_upkeep(actor, true);
}

static void be_cleaner(struct actor *actor)
{
    do_deeds(actor, clean_once);
}

/* ---- readers */

static kith_status scan_all(kith_table *table, struct run *run, struct rows_seen *seen, kith_error *error)
{
    struct ArrowArrayStream stream;
    kith_scan scan = KITH_INIT(kith_scan);
    scan.with_row_id = true;
    kith_status status = kith_table_scan(table, &scan, &stream, error);
    return status ? status : rows_read(&stream, true, seen, &run->complaint, error);
}

static kith_status read_all(struct person *person, kith_table *table, kith_error *error)
{
    struct run *run = person->run;
    struct rows_seen seen = { 0 };
    uint64_t least = run->history.told;
    kith_status status = scan_all(table, run, &seen, error);
    if (!status && counts(run)) history_allows(&run->history, person->name, least, seen.rows);
    rows_seen_release(&seen);
    return status;
}

static bool may_be_gone(kith_status status)
{
    return status == KITH_NOT_FOUND;
}

/* The same version several times, with pauses; it may have gone, and then it is said. */
static kith_status read_pinned(struct actor *actor, kith_error *error)
{
    struct person *person = actor->user;
    struct run *run = person->run;
    kith_table *table = NULL;
    uint64_t version = some_version(person);
    kith_status status = kith_open_table_version(person->db, "t", version, &table, error);
    for (uint64_t times = 1 + below(person, 3); !status && times; times--) {
        struct rows_seen seen = { 0 };
        status = scan_all(table, run, &seen, error);
        if (!status && counts(run)) history_holds(&run->history, person->name, version, seen.rows);
        rows_seen_release(&seen);
        if (run->slow && !actor->killed) world_sleep((int64_t)below(person, (uint64_t)(20 * HOUR_US)));
    }
    kith_table_close(table);
    return may_be_gone(status) && error->message[0] ? KITH_OK : status;
}

/* A row that was there all the time is found by its own vector. */
static kith_status search_one(struct person *person, kith_table *table, kith_error *error)
{
    struct history *history = &person->run->history;
    uint64_t least = history->told;
    const struct rows *rows = history->versions[least - 1].rows;
    if (!rows->count) return KITH_OK;
    struct row wanted = rows->row[below(person, rows->count)];
    float vector[ROW_DIM], distance = -1;
    uint64_t row_id = UINT64_MAX;
    row_vector(wanted, vector);
    kith_query query = KITH_INIT(kith_query);
    query.vectors = vector;
    query.dim = ROW_DIM;
    query.k = 1;
    kith_status status = kith_search_ids(table, &query, &row_id, &distance, error);
    bool stayed = !status && counts(person->run);
    for (uint64_t version = least; stayed && version <= history->newest; version++) {
        const struct row *row = history_row(history, version, wanted.id);
        stayed = row && row->salt == wanted.salt;
    }
    if (stayed && distance != 0)
        complain(&person->run->complaint, "%s does not find row id %lld, which was there all the time",
                 person->name, (long long)wanted.id);
    return status;
}

static void read_once(struct actor *actor)
{
    struct person *person = actor->user;
    struct run *run = person->run;
    uint32_t struck = actor->struck;
    kith_error error = { 0 };
    kith_table *table;
    kith_status status = want(person, &table, &error);
    if (!status) {
        uint64_t chance = below(person, 10);
        status = chance < 5   ? read_all(person, table, &error)
                 : chance < 8 ? read_pinned(actor, &error)
                              : search_one(person, table, &error);
    }
    if (status && !actor->killed && actor->struck == struck)
        complain(&run->complaint, "%s reads, undisturbed: %s: %s", person->name, kith_status_name(status),
                 error.message);
}

static void be_reader(struct actor *actor)
{
    do_deeds(actor, read_once);
}

/* ---- beginning */

static bool draw(struct run *run, uint64_t one_in)
{
    return !kt_random_below(&run->random, one_in);
}

static uint32_t pick(struct run *run, const uint32_t *from, size_t count)
{
    return from[kt_random_below(&run->random, count)];
}

static void choose_habits(struct run *run)
{
    static const uint32_t yields[] = { 1, 2, 8, 40 }, keeps[] = { 0, 1, 1, 3 };
    run->habits.yields = pick(run, yields, 4);
    if (draw(run, 2)) run->habits.stalls = 300 + (uint32_t)kt_random_below(&run->random, 2000);
    if (draw(run, 2)) run->habits.stalls_ahead = 4 + (uint32_t)kt_random_below(&run->random, 12);
    run->habits.stalls_long = (uint32_t)kt_random_below(&run->random, 6);
    if (draw(run, 3)) run->habits.deaths = 500 + (uint32_t)kt_random_below(&run->random, 3000);
    if (draw(run, 3)) run->habits.errors = 60 + (uint32_t)kt_random_below(&run->random, 1000);
    if (draw(run, 3)) run->habits.jumps = 300 + (uint32_t)kt_random_below(&run->random, 3000);
    run->keyed = draw(run, 3);
    run->indexes = draw(run, 4);
    run->slow = draw(run, 2);
    run->keep_versions = pick(run, keeps, 4);
}

static void add_person(struct run *run, const char *name, void (*be)(struct actor *), uint32_t deeds)
{
    static const uint32_t weights[] = { 1, 4, 4, 16 };
    struct actor *actor = &run->actors[run->count];
    struct person *person = &run->people[run->count];
    *person = (struct person){ .run = run, .deeds = deeds };
    person->random.state = kt_random_u64(&run->random);
    snprintf(person->name, sizeof person->name, "%s%u", name, run->count);
    *actor = (struct actor){ .name = person->name, .run = be, .user = person };
    actor->weight = pick(run, weights, 4);
    run->count++;
}

static void populate(struct run *run)
{
    uint64_t writers = 2 + kt_random_below(&run->random, 3), readers = 1 + kt_random_below(&run->random, 2);
    while (writers--) add_person(run, "writer", be_writer, 2 + (uint32_t)kt_random_below(&run->random, 7));
    while (readers--) add_person(run, "reader", be_reader, 2 + (uint32_t)kt_random_below(&run->random, 8));
    add_person(run, "cleaner", be_cleaner, 2 + (uint32_t)kt_random_below(&run->random, 10));
}

static void create_table(struct run *run)
{
    struct ArrowArrayStream data;
    kith_error error = { 0 };
    kith_commits *commits = NULL;
    kith_table *table = NULL;
    struct history *history = &run->history;
    kith_create create = KITH_INIT(kith_create);
    create.key = run->keyed ? "id" : NULL;
    create.keep_versions = run->keep_versions;
    create.auto_index_threshold = -1;
    struct rows *rows = rows_range(0, FIRST_ROWS, 0);
    rows_stream(rows, &data);
    kith_status status = kith_create_table(history->db, "t", &data, &create, &table, &error);
    if (!status) status = kith_table_log(table, 0, &commits, &error);
    if (status) complain(&run->complaint, "creation: %s", error.message);
    history->versions[0].rows = rows;
    history->keyed = run->keyed;
    history->newest = history->told = 1;
    history->commit = commits ? commits->count : 0;
    kith_commits_free(commits);
    kith_table_close(table);
}

/* ---- the end */

static void read_version(struct run *run, uint64_t version, const char *why)
{
    struct history *history = &run->history;
    struct rows_seen seen = { 0 };
    kith_error error = { 0 };
    kith_table *table = NULL;
    kith_status status = kith_open_table_version(history->db, "t", version, &table, &error);
    if (!status) status = scan_all(table, run, &seen, &error);
    if (status)
        complain(&run->complaint, "in the end version %llu, %s, cannot be read: %s",
                 (unsigned long long)version, why, error.message);
    else if (fine(run))
        history_holds(history, "the end", version, seen.rows);
    rows_seen_release(&seen);
    kith_table_close(table);
}

static void check_versions(struct run *run, kith_table *table)
{
    kith_versions *versions = NULL;
    kith_error error = { 0 };
    if (kith_table_versions(table, &versions, &error))
        complain(&run->complaint, "in the end there are no versions: %s", error.message);
    for (size_t i = 0; versions && i < versions->count; i++)
        if (i + 3 >= versions->count || !(i % 4)) read_version(run, versions->versions[i].version, "kept");
    if (versions &&
        (!versions->count || versions->versions[versions->count - 1].version != run->history.newest))
        complain(&run->complaint, "in the end the newest version is not %llu",
                 (unsigned long long)run->history.newest);
    kith_versions_free(versions);
}

static uint64_t tagged_version(const kith_tags *tags, const char *name)
{
    for (size_t i = 0; i < tags->count; i++)
        if (!strcmp(tags->tags[i].name, name)) return tags->tags[i].version;
    return 0;
}

static void check_tags(struct run *run, kith_table *table)
{
    kith_tags *tags = NULL;
    kith_error error = { 0 };
    if (kith_list_tags(table, &tags, &error)) {
        complain(&run->complaint, "in the end there are no tags: %s", error.message);
        return;
    }
    for (uint32_t i = 0; i < run->count; i++) {
        const struct person *person = &run->people[i];
        uint64_t version = tagged_version(tags, person->name);
        if (!person->tag.unsure && version != person->tag.version)
            complain(&run->complaint, "in the end the tag of %s names version %llu, not %llu", person->name,
                     (unsigned long long)version, (unsigned long long)person->tag.version);
        if (version) read_version(run, version, "tagged");
        if (version && kith_set_tag(table, person->name, 0, KITH_TAG_DELETE, &error))
            complain(&run->complaint, "in the end a tag stays: %s", error.message);
    }
    kith_tags_free(tags);
}

static size_t count_files(struct run *run, struct kt_io *io, const char *folder)
{
    struct kt_io_names names = { 0 };
    kt_io_list(io, folder, &names, NULL);
    size_t count = names.count;
    for (size_t i = 0; i < count; i++)
        if (kt_io_is_passing_name(names.names[i]))
            complain(&run->complaint, "in the end there is %s/%s", folder, names.names[i]);
    kt_io_names_release(&names);
    return count;
}

/* Much later, after two clean-ups, there is what the newest version needs. */
static void check_files(struct run *run, kith_table *table)
{
    enum { LOG_MOST = 12 };
    struct kt_io *io = NULL;
    kith_error error = { 0 };
    kith_table_info info = KITH_INIT(kith_table_info);
    kith_upkeep upkeep = KITH_INIT(kith_upkeep);
    upkeep.orphans = true;
    kith_status status = KITH_OK;
    for (int i = 0; i < 2 && !status; i++) {
        *disk_clock(run->disk) += 365 * 24 * HOUR_US;
        status = kith_optimize(table, &upkeep, NULL, &error);
    }
    if (!status) status = kith_table_stats(table, &info, &error);
    if (!status) status = kt_io_open_folder(FOLDER, &io, &error);
    if (status) {
        complain(&run->complaint, "in the end it cannot be cleaned up: %s", error.message);
        return;
    }
    size_t files = count_files(run, io, "data") + count_files(run, io, "index");
    size_t log = count_files(run, io, "log");
    if (files != info.files)
        complain(&run->complaint, "in the end there are %zu files, and %llu are needed", files,
                 (unsigned long long)info.files);
    if (log > LOG_MOST) complain(&run->complaint, "in the end the log has %zu files", log);
    kt_io_close(io);
}

static void check_end(struct run *run)
{
    struct rows_seen seen = { 0 };
    kith_error error = { 0 };
    kith_table *table = NULL;
    struct history *history = &run->history;
    kith_status status = kith_open_table(history->db, "t", &table, &error);
    if (!status) status = scan_all(table, run, &seen, &error);
    if (!status && counts(run)) history_holds(history, "the end", history->newest, seen.rows);
    rows_seen_release(&seen);
    if (!status) status = kith_table_verify(table, NULL, &error);
    if (status) complain(&run->complaint, "in the end: %s", error.message);
    if (fine(run)) check_versions(run, table);
    if (fine(run)) check_tags(run, table);
    if (fine(run)) check_files(run, table);
    if (fine(run) && kith_table_verify(table, NULL, &error))
        complain(&run->complaint, "in the end, cleaned up: %s", error.message);
    kith_table_close(table);
}

/* ---- a run */

static struct history *now_watching;

static void on_name(struct actor *actor, const char *name)
{
    if (now_watching) history_named(now_watching, actor, name);
}

static uint64_t commits_seen, versions_seen;

static void simulate(struct campaign *campaign, uint64_t seed)
{
    struct run *run = own_new(1, sizeof *run);
    run->random.state = kt_mix(seed + 1);
    choose_habits(run);
    populate(run);
    run->disk = disk_new(seed);
    disk_set_way(run->disk, (enum disk_way)kt_random_below(&run->random, DISK_WAYS));
    disk_use(run->disk);
    world_begin(&run->habits, run->disk, kt_random_u64(&run->random));
    history_begin(&run->history, URI, run->actors, &run->complaint);
    if (fine(run)) create_table(run);
    now_watching = &run->history;
    if (fine(run)) world_run(run->actors, run->count);
    now_watching = NULL;
    if (fine(run)) check_end(run);
    commits_seen += run->history.commits;
    versions_seen += run->history.newest;
    history_release(&run->history);
    if (fine(run) && disk_open_things(run->disk))
        complain(&run->complaint, "%zu descriptors or maps were not given back", disk_open_things(run->disk));
    if (!fine(run)) campaign_fail(campaign, run->complaint.text);
    if (!fine(run) && campaign->only) disk_print(run->disk);
    disk_free(run->disk);
    own_free(run);
}

int main(int count, char **arguments)
{
    struct campaign campaign;
    campaign_begin(&campaign, count, arguments);
#if defined(__SANITIZE_THREAD__)
    return 77; /* it does not know fibers */
#endif
    setenv("KITH_THREADS", "1", 1);
    struct disk *none = disk_new(0);
    disk_use(none);
    world_install();
    world_named = on_name;
    if (campaign.only) campaign.seed = strtoull(campaign.only, NULL, 10), campaign.runs = 1;
    for (uint64_t seed = campaign.seed; campaign_goes_on(&campaign); seed++)
        if (campaign_run(&campaign, "%llu", (unsigned long long)seed)) simulate(&campaign, seed);
    disk_free(none);
    printf("%llu commits, %llu versions\n", (unsigned long long)commits_seen,
           (unsigned long long)versions_seen);
    return campaign_end(&campaign, 0);
}
