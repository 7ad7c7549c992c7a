/* One handle of a table that changes, in many hands: threads that add, delete, replace, search, scan, build
 * indexes and do upkeep at once, and, while they do, processes that fork off and use what they inherited.
 *
 * Each writer has ids of its own, so whatever the others do, it knows exactly which of them are there, and
 * looks after each of its deeds. A forked child has a copy of everything but the threads: locks that they
 * held must be free in it, a commit that they led must not be waited for, and what it adds must be there for
 * all, once.
 *
 * --runs is the number of children, 200 if nothing is said. Under ThreadSanitizer there are none, as it does
 * not follow a fork of threads, nor under AddressSanitizer, whose allocator may be locked for ever in the
 * child; there it is for the threads alone, 20 seconds if nothing is said.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "fault/campaign.h"
#include "support/rows.h"

enum { DIM = 8, POOL = 512, WRITERS = 3, READERS = 2, HELD_MOST = 400, CHILD_SECONDS = 120, AT_ONCE = 3 };
#define OF_WRITER 1000000000ull /* ids that each writer has */
#define OF_CHILDREN (20 * OF_WRITER)

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { FORKS = 0 };
#else
enum { FORKS = 1 };
#endif

static struct {
    char *folder;
    kith_database *db;
    kith_table *table;
    struct rows pool;
    uint64_t seed;
    _Atomic bool ends;
    _Atomic uint64_t deeds, reads;
} busy;

static uint64_t count_ids(kith_table *table, uint64_t from, uint64_t to)
{
    char where[100];
    uint64_t rows = 0;
    snprintf(where, sizeof where, "id >= %llu AND id < %llu", (unsigned long long)from,
             (unsigned long long)to);
    assert_ok(kith_table_count(table, where, &rows, error));
    return rows;
}

/* A conflict that lasts is an answer where everybody writes; nothing else is. */
static bool done(kith_status status, const kith_error *error, const char *doing)
{
    if (status && status != KITH_CONFLICT)
        fail_msg("%s: %s: %s", doing, kith_status_name(status), error->message);
    return !status;
}

/* ---- writers */

struct writer {
    uint64_t first, oldest, next; /* ids [oldest, next) are there */
    struct kt_random random;
};

static bool add(struct writer *w)
{
    kith_error error = { 0 };
    uint64_t count = kt_random_below(&w->random, 8) ? 1 + kt_random_below(&w->random, 5) : 150;
    struct ArrowArrayStream data =
        rows_stream_ids(&busy.pool, kt_random_below(&w->random, POOL - 150), count, w->next);
    if (!done(kith_append(busy.table, &data, NULL, NULL, &error), &error, "append")) return false;
    w->next += count;
    return true;
}

static bool take_away(struct writer *w)
{
    char where[100];
    kith_error told = { 0 };
    kith_expr *filter = NULL;
    uint64_t to = w->oldest + (w->next - w->oldest) / 2 + 1;
    snprintf(where, sizeof where, "id >= %llu AND id < %llu", (unsigned long long)w->oldest,
             (unsigned long long)to);
    assert_ok(kith_expr_sql(where, NULL, 0, &filter, error));
    bool gone = done(kith_delete(busy.table, filter, NULL, &told), &told, "delete");
    kith_expr_free(filter);
    if (gone) w->oldest = to;
    return gone;
}

static bool replace(struct writer *w)
{
    static const char *const on[] = { "id" };
    kith_error error = { 0 };
    kith_merge merge = KITH_INIT(kith_merge);
    struct ArrowArrayStream data =
        rows_stream_ids(&busy.pool, 0, kt_min_u64(w->next - w->oldest, 20), w->oldest);
    merge.on = on;
    merge.on_count = 1;
    merge.update_matched = true;
    return done(kith_merge_rows(busy.table, &data, &merge, NULL, &error), &error, "merge");
}

static void *write_on(void *context)
{
    struct writer *w = context;
    while (!atomic_load(&busy.ends)) {
        uint64_t dice = kt_random_below(&w->random, 8), held = w->next - w->oldest;
        if (held > HELD_MOST || (held > 10 && dice == 0))
            take_away(w);
        else if (held && dice == 1)
            replace(w);
        else
            add(w);
        uint64_t there = count_ids(busy.table, w->first, w->first + OF_WRITER);
        if (there != w->next - w->oldest)
            fail_msg("%llu rows of a writer are there, not %llu", (unsigned long long)there,
                     (unsigned long long)(w->next - w->oldest));
        atomic_fetch_add(&busy.deeds, 1);
    }
    return NULL;
}

/* ---- readers, upkeep */

static void search(kith_table *table, struct kt_random *random)
{
    uint64_t ids[10];
    float distances[10];
    kith_query query = KITH_INIT(kith_query);
    query.vectors = busy.pool.vectors + kt_random_below(random, POOL) * DIM;
    query.dim = DIM;
    query.k = 10;
    assert_ok(kith_search_ids(table, &query, ids, distances, error));
    for (int i = 1; i < 10; i++) assert_true(distances[i - 1] <= distances[i]);
}

static void *read_on(void *context)
{
    struct kt_random random = { busy.seed + (uint64_t)(uintptr_t)context };
    while (!atomic_load(&busy.ends)) {
        struct ArrowArrayStream out;
        kith_scan scan = KITH_INIT(kith_scan);
        search(busy.table, &random);
        atomic_fetch_add(&busy.reads, 1);
        if (kt_random_below(&random, 10)) continue;
        assert_ok(kith_table_scan(busy.table, &scan, &out, error));
        kt_batch_release(stream_batch(&out));
    }
    return NULL;
}

static void *keep_up(void *context)
{
    struct kt_random random = { busy.seed + 77 };
    (void)context;
    while (!atomic_load(&busy.ends)) {
        kith_error error = { 0 };
        kith_upkeep upkeep = KITH_INIT(kith_upkeep);
        kith_index index = KITH_INIT(kith_index);
        upkeep.older_than_us = kt_random_below(&random, 2) ? -1 : 0;
        upkeep.rewrite = kt_random_below(&random, 2);
        index.column = kt_random_below(&random, 2) ? "id" : "vector";
        if (kt_random_below(&random, 4))
            done(kith_optimize(busy.table, &upkeep, NULL, &error), &error, "optimize");
        else
            done(kith_create_index(busy.table, &index, &error), &error, "index");
        usleep((useconds_t)kt_random_below(&random, 30000));
    }
    return NULL;
}

/* ---- children */

/* What a child does with what it inherited, and with what it opens itself. */
static void live(uint64_t number)
{
    struct kt_random random = { busy.seed + number };
    kith_database *db = NULL;
    kith_table *table = NULL;
    alarm(CHILD_SECONDS); /* a lock that nobody will give back is waited for as long */
    uint64_t mine = OF_CHILDREN + 10 * number;
    struct ArrowArrayStream data = rows_stream_ids(&busy.pool, 0, 3, mine);
    search(busy.table, &random);
    assert_ok(kith_append(busy.table, &data, NULL, NULL, error));
    assert_int_equal(count_ids(busy.table, mine, mine + 10), 3);
    assert_ok(kith_open(busy.folder, &db, error));
    assert_ok(kith_open_table(db, "t", &table, error));
    assert_int_equal(count_ids(table, mine, mine + 10), 3);
    search(table, &random);
    kith_table_close(table);
    kith_close(db);
    _exit(0);
}

static void bury(struct campaign *campaign, uint64_t *alive)
{
    int status;
    char why[100];
    if (wait(&status) < 0) return;
    (*alive)--;
    if (WIFEXITED(status) && !WEXITSTATUS(status)) return;
    snprintf(why, sizeof why, "a child ended with %x%s", (unsigned)status,
             WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? ": it hung" : "");
    campaign_fail(campaign, why);
}

static void fork_on(struct campaign *campaign)
{
    uint64_t alive = 0, number = 0;
    while (campaign_goes_on(campaign) && campaign_run(campaign, "child %llu", (unsigned long long)number)) {
        fflush(stdout);
        pid_t child = fork();
        if (!child) live(number);
        if (child < 0) fail_msg("fork failed");
        number++;
        if (++alive == AT_ONCE) bury(campaign, &alive);
    }
    while (alive) bury(campaign, &alive);
    if (campaign->failures) return;
    uint64_t there = count_ids(busy.table, OF_CHILDREN, OF_CHILDREN + 10 * number);
    if (there != 3 * number) campaign_fail(campaign, "rows of children are missing, or there twice");
}

/* ---- all of them */

static void open_busy(void)
{
    kith_create create = KITH_INIT(kith_create);
    struct ArrowArrayStream data;
    busy.pool = rows_random(POOL, DIM, busy.seed);
    busy.folder = folder_new();
    data = rows_stream_ids(&busy.pool, 0, POOL, 19 * OF_WRITER);
    create.auto_index_threshold = 2 * POOL;
    assert_ok(kith_open(busy.folder, &busy.db, error));
    assert_ok(kith_create_table(busy.db, "t", &data, &create, &busy.table, error));
}

static void work(struct campaign *campaign)
{
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS + READERS + 1];
    uint32_t started = 0;
    for (uint64_t w = 0; w < WRITERS; w++) {
        writers[w] = (struct writer){ .first = w * OF_WRITER, .random = { campaign->seed + w } };
        writers[w].oldest = writers[w].next = writers[w].first;
        pthread_create(&threads[started++], NULL, write_on, &writers[w]);
    }
    for (uintptr_t r = 0; r < READERS; r++) pthread_create(&threads[started++], NULL, read_on, (void *)r);
    pthread_create(&threads[started++], NULL, keep_up, NULL);
    if (FORKS)
        fork_on(campaign);
    else
        for (uint64_t s = 0; campaign_goes_on(campaign); s++) {
            campaign_run(campaign, "second %llu", (unsigned long long)s);
            sleep(1);
        }
    atomic_store(&busy.ends, true);
    for (uint32_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
}

int main(int count, char **arguments)
{
    struct campaign campaign;
    campaign_begin(&campaign, count, arguments);
    if (!campaign.runs && !campaign.seconds && FORKS) campaign.runs = 200;
    if (!campaign.seconds && !FORKS) campaign.seconds = 20;
    busy.seed = campaign.seed;
    open_busy();
    work(&campaign);
    assert_ok(kith_table_verify(busy.table, NULL, error));
    printf("%llu deeds of %d threads, %llu searches beside them; ",
           (unsigned long long)atomic_load(&busy.deeds), WRITERS,
           (unsigned long long)atomic_load(&busy.reads));
    kith_table_close(busy.table);
    kith_close(busy.db);
    rows_free(&busy.pool);
    if (!campaign.failures) folder_remove(busy.folder);
    return campaign_end(&campaign, 0);
}
