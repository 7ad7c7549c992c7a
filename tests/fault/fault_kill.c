/* kill -9, again and again, of four writers, two readers and a cleaner of one table on a real disk.
 *
 * Writers add rows, few and many, change and remove what they added, and make an index now and then; each
 * deed is noted in a ledger outside the table before it is begun and after it is acknowledged. A writer that
 * takes the place of a killed one may repeat the deed that was in doubt, under its idempotency key. Readers
 * hold what they see to the ledger all the while; so does this program, after every 25 kills and at the end,
 * with every byte verified.
 *
 * --runs is the number of kills, 300 if nothing is said. A kill loop cannot be repeated by its seed: the
 * folder of a failure is kept. $TMPDIR says where, else /tmp.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "fault/campaign.h"
#include "fault/ledger.h"
#include "fault/own.h"

enum { READERS = 2, CLEANER = LEDGER_WRITERS + READERS, PROCESSES, LIVE_MOST = 800, KILLS_A_LOOK = 25 };

struct shared {
    struct ledger ledger;
    _Atomic uint32_t reads, repeats;
    bool repeatable;            /* an idempotency key is heeded */
    char words[PROCESSES][700]; /* what went wrong */
};
static struct shared *shared;
static const char *folder;

static void end_badly(uint32_t process, const char *doing, kith_status status, const kith_error *error)
{
    snprintf(shared->words[process], sizeof shared->words[process], "%s: %s: %.500s", doing,
             kith_status_name(status), error->message);
    _exit(5);
}

static kith_table *open_table(uint32_t process, kith_database **db)
{
    kith_error error = { 0 };
    kith_table *table = NULL;
    kith_status status = kith_open(folder, db, &error);
    if (!status) status = kith_open_table(*db, "t", &table, &error);
    if (status) end_badly(process, "opening", status, &error);
    return table;
}

/* ---- a writer */

static kith_status add(kith_table *table, uint32_t writer, uint32_t number, kith_error *error)
{
    struct ArrowArrayStream data;
    char key[40];
    kith_write write = KITH_INIT(kith_write);
    struct rows *rows = ledger_rows(&shared->ledger, writer, number);
    snprintf(key, sizeof key, "writer %u deed %u", writer, number);
    write.idempotency_key = key;
    rows_stream(rows, &data);
    rows_release(rows);
    return kith_append(table, &data, &write, NULL, error);
}

static kith_status change(kith_table *table, uint32_t writer, uint32_t number, kith_error *error)
{
    static const char *const on[] = { "id" };
    struct ArrowArrayStream data;
    kith_merge merge = KITH_INIT(kith_merge);
    struct rows *rows = ledger_rows(&shared->ledger, writer, number);
    merge.on = on;
    merge.on_count = 1;
    merge.update_matched = true;
    rows_stream(rows, &data);
    rows_release(rows);
    return kith_merge_rows(table, &data, &merge, NULL, error);
}

static kith_status take_away(kith_table *table, uint32_t writer, uint32_t number, kith_error *error)
{
    const struct deed *deed = &shared->ledger.deeds[writer][number];
    int64_t first = ledger_first_id(writer, deed->target);
    kith_value ends[2] = { { .type = KITH_VALUE_INT, .integer = first },
                           { .type = KITH_VALUE_INT, .integer = first + LEDGER_ID_STEP } };
    kith_expr *filter = NULL;
    kith_status status = kith_expr_sql("id >= ? AND id < ?", ends, 2, &filter, error);
    if (!status) status = kith_delete(table, filter, NULL, error);
    kith_expr_free(filter);
    return status;
}

static void do_deed(kith_table *table, uint32_t writer, uint32_t number)
{
    struct deed *deed = &shared->ledger.deeds[writer][number];
    kith_error error = { 0 };
    kith_status status = deed->kind == DEED_ADD      ? add(table, writer, number, &error)
                         : deed->kind == DEED_CHANGE ? change(table, writer, number, &error)
                                                     : take_away(table, writer, number, &error);
    static const char *const names[] = { "append", "merge", "delete" };
    if (status) end_badly(writer, names[deed->kind], status, &error);
    atomic_store(&deed->state, DEED_DONE);
}

/* Decides on a deed and notes it. `live`: about how many rows of this writer there are. */
static uint32_t intend(uint32_t writer, struct kt_random *random, uint32_t live)
{
    uint32_t number = atomic_load(&shared->ledger.count[writer]) + 1;
    struct deed *deed = &shared->ledger.deeds[writer][number];
    uint64_t dice = kt_random_below(random, 10);
    *deed = (struct deed){ .kind = DEED_ADD };
    if (number > 1 && (dice < 4 || live > LIVE_MOST)) {
        deed->kind = dice < 2 ? DEED_CHANGE : DEED_REMOVE;
        deed->target = (uint16_t)(1 + kt_random_below(random, number - 1));
    }
    if (deed->kind != DEED_ADD && shared->ledger.deeds[writer][deed->target].kind != DEED_ADD) {
        deed->kind = DEED_ADD; /* the target was none */
        deed->target = 0;
    }
    bool many = kt_random_below(random, 8) == 0;
    deed->rows = (uint16_t)(many ? 150 : 1 + kt_random_below(random, 5));
    if (deed->kind == DEED_ADD && many) deed->pad = 500;
    if (deed->kind == DEED_CHANGE) deed->pad = shared->ledger.deeds[writer][deed->target].pad;
    atomic_store(&deed->state, DEED_INTENDED);
    atomic_store(&shared->ledger.count[writer], number);
    return number;
}

/* A conflict is an answer: others make the same index, and remove rows that this one covers. */
static void make_index(kith_table *table, uint32_t writer, struct kt_random *random)
{
    kith_error error = { 0 };
    kith_index index = KITH_INIT(kith_index);
    index.column = kt_random_below(random, 2) ? "id" : "n";
    kith_status status = kith_create_index(table, &index, &error);
    if (status && status != KITH_CONFLICT) end_badly(writer, "index", status, &error);
}

static uint32_t live_rows(uint32_t writer)
{
    uint32_t live = 0;
    for (uint32_t n = 1; n <= atomic_load(&shared->ledger.count[writer]); n++) {
        const struct deed *deed = &shared->ledger.deeds[writer][n];
        uint32_t rows = shared->ledger.deeds[writer][deed->target].rows;
        if (deed->kind == DEED_ADD) live += deed->rows;
        if (deed->kind == DEED_REMOVE) live -= rows < live ? rows : live;
    }
    return live;
}

static void write_for_ever(uint32_t writer, uint64_t seed)
{
    struct kt_random random = { seed };
    kith_database *db;
    kith_table *table = open_table(writer, &db);
    uint32_t last = atomic_load(&shared->ledger.count[writer]);
    const struct deed *doubtful = &shared->ledger.deeds[writer][last];
    if (shared->repeatable && last && doubtful->kind == DEED_ADD &&
        atomic_load(&doubtful->state) == DEED_INTENDED && kt_random_below(&random, 2)) {
        do_deed(table, writer, last);
        atomic_fetch_add(&shared->repeats, 1);
    }
    while (atomic_load(&shared->ledger.count[writer]) < LEDGER_DEEDS - 1) {
        do_deed(table, writer, intend(writer, &random, live_rows(writer)));
        if (kt_random_below(&random, 60) == 0) make_index(table, writer, &random);
    }
    _exit(0);
}

/* ---- a reader */

static kith_status look(kith_table *table, struct ledger *before, struct ledger *after,
                        struct complaint *complaint, kith_error *error)
{
    struct ArrowArrayStream stream;
    struct rows_seen seen = { 0 };
    kith_scan scan = KITH_INIT(kith_scan);
    scan.with_row_id = true;
    ledger_copy(&shared->ledger, before);
    kith_status status = kith_table_scan(table, &scan, &stream, error);
    if (!status) status = rows_read(&stream, true, &seen, complaint, error);
    if (status) return status;
    ledger_copy(&shared->ledger, after);
    if (!complaint->text[0]) ledger_allows(before, after, seen.rows, complaint);
    rows_seen_release(&seen);
    return KITH_OK;
}

static void read_for_ever(uint32_t process)
{
    kith_database *db;
    kith_table *table = open_table(process, &db);
    struct ledger *before = own_new(1, sizeof *before), *after = own_new(1, sizeof *after);
    for (;;) {
        struct complaint complaint = { 0 };
        kith_error error = { 0 };
        kith_status status = look(table, before, after, &complaint, &error);
        if (status) end_badly(process, "reading", status, &error);
        atomic_fetch_add(&shared->reads, 1);
        if (!complaint.text[0]) continue;
        snprintf(shared->words[process], sizeof shared->words[process], "reader: %s", complaint.text);
        _exit(6);
    }
}

/* ---- the cleaner: folds, and removes what old versions alone need, now and then all of it */

static void clean_for_ever(uint64_t seed)
{
    struct kt_random random = { seed };
    kith_database *db;
    kith_table *table = open_table(CLEANER, &db);
    for (;;) {
        kith_error error = { 0 };
        kith_upkeep upkeep = KITH_INIT(kith_upkeep);
        upkeep.older_than_us = kt_random_below(&random, 3) ? -1 : 0;
        upkeep.rewrite = kt_random_below(&random, 2);
        upkeep.orphans = true;
        kith_status status = kith_optimize(table, &upkeep, NULL, &error);
        if (status && status != KITH_CONFLICT) end_badly(CLEANER, "optimize", status, &error);
        usleep((useconds_t)kt_random_below(&random, 50000));
    }
}

/* ---- the killer */

static pid_t begin(uint32_t process, struct kt_random *random)
{
    uint64_t seed = kt_random_u64(random);
    pid_t child = fork();
    if (child) return child;
    if (process < LEDGER_WRITERS) write_for_ever(process, seed);
    if (process == CLEANER) clean_for_ever(seed);
    read_for_ever(process);
    _exit(0);
}

/* Kills it; it must have been alive. */
static void end(pid_t child, uint32_t process, struct complaint *complaint)
{
    int status;
    kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        complain(complaint, "process %u ended by itself (%x): %s", process, (unsigned)status,
                 shared->words[process]);
}

static void look_closely(struct complaint *complaint)
{
    static struct ledger before, after;
    kith_database *db = NULL;
    kith_table *table = NULL;
    kith_error error = { 0 };
    kith_status status = kith_open(folder, &db, &error);
    if (!status) status = kith_open_table(db, "t", &table, &error);
    if (!status) status = look(table, &before, &after, complaint, &error);
    if (!status) status = kith_table_verify(table, NULL, &error);
    kith_table_close(table);
    kith_close(db);
    if (status) complain(complaint, "%s: %.400s", kith_status_name(status), error.message);
}

static kith_table *create_empty(kith_database *db, const char *name, struct complaint *complaint)
{
    struct ArrowArrayStream data;
    kith_table *table = NULL;
    kith_error error = { 0 };
    kith_create options = KITH_INIT(kith_create);
    struct rows *none = rows_new(0);
    options.no_auto_index = true; /* building one takes longer than a writer lives here */
    rows_stream(none, &data);
    rows_release(none);
    if (kith_create_table(db, name, &data, &options, &table, &error))
        complain(complaint, "creating: %.400s", error.message);
    return table;
}

/* Whether a second append under the same key adds nothing. */
static bool heeds_keys(kith_database *db, struct complaint *complaint)
{
    kith_table *table = create_empty(db, "probe", complaint);
    kith_write write = KITH_INIT(kith_write);
    uint64_t rows = 0;
    write.idempotency_key = "once";
    for (int i = 0; i < 2 && table; i++) {
        struct ArrowArrayStream data;
        struct rows *one = rows_range(1, 1, 1);
        rows_stream(one, &data);
        rows_release(one);
        kith_append(table, &data, &write, NULL, NULL);
    }
    if (table) kith_table_count(table, NULL, &rows, NULL);
    kith_table_close(table);
    kith_drop_table(db, "probe", NULL);
    return rows == 1;
}

static void create(struct complaint *complaint)
{
    kith_database *db = NULL;
    kith_error error = { 0 };
    if (kith_open(folder, &db, &error)) {
        complain(complaint, "opening: %.400s", error.message);
        return;
    }
    shared->repeatable = heeds_keys(db, complaint);
    if (!shared->repeatable) printf("idempotency keys are not heeded yet; ");
    kith_table_close(create_empty(db, "t", complaint));
    kith_close(db);
}

static void kill_again_and_again(struct campaign *campaign, struct complaint *complaint)
{
    struct kt_random random = { campaign->seed };
    pid_t children[PROCESSES];
    for (uint32_t p = 0; p < PROCESSES; p++) children[p] = begin(p, &random);
    while (!complaint->text[0] && campaign_goes_on(campaign) &&
           campaign_run(campaign, "kill %llu", (unsigned long long)campaign->done)) {
        usleep((useconds_t)(3000 + kt_random_below(&random, 100000)));
        uint32_t p = (uint32_t)kt_random_below(&random, PROCESSES);
        end(children[p], p, complaint);
        if (campaign->done % KILLS_A_LOOK == 0 && !complaint->text[0]) look_closely(complaint);
        children[p] = begin(p, &random);
    }
    for (uint32_t p = 0; p < PROCESSES; p++) end(children[p], p, complaint);
    if (!complaint->text[0]) look_closely(complaint);
}

int main(int count, char **arguments)
{
    char path[300], command[400];
    struct campaign campaign;
    struct complaint complaint = { 0 };
    const char *temporary = getenv("TMPDIR");
    campaign_begin(&campaign, count, arguments);
    if (!campaign.runs && !campaign.seconds) campaign.runs = 300;
    setenv("KITH_THREADS", "1", 1);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(path, sizeof path, "%.200s/kith-kill-XXXXXX", temporary ? temporary : "/tmp");
    folder = mkdtemp(path);
    if (!folder || shared == MAP_FAILED) return 4;
    create(&complaint);
    kill_again_and_again(&campaign, &complaint);
    uint32_t deeds = 0;
    for (int w = 0; w < LEDGER_WRITERS; w++) deeds += atomic_load(&shared->ledger.count[w]);
    printf("%u deeds, %u repeated, %u reads; ", deeds, atomic_load(&shared->repeats),
           atomic_load(&shared->reads));
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (complaint.text[0]) {
        campaign_fail(&campaign, complaint.text);
        fprintf(stderr, "    the table is kept in %s\n", folder);
    } else if (system(command)) {
        fprintf(stderr, "%s is left\n", folder);
    }
    return campaign_end(&campaign, 0);
}
