/* kill -9 in the middle of appends by two processes: no acknowledged row is lost, no append is half there,
 * the table opens. KITH_KILL_APPENDS says how many appends are to be acknowledged (200). */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "support/rows.h"

enum { DIM = 8, WRITERS = 2, ROWS_MOST = 3000, ID_STEP = 10000 };

struct ledger { /* shared with the writers: what they were told is safe */
    _Atomic uint32_t started[WRITERS], acknowledged[WRITERS];
    _Atomic uint8_t fate[WRITERS][100000]; /* 1: acknowledged */
};

/* How many rows append `number` of `writer` has: most are few, some fill files. */
static uint64_t rows_of(uint32_t writer, uint32_t number)
{
    struct kt_random random = { (uint64_t)writer << 32 | number };
    return kt_random_below(&random, 4) ? 1 + kt_random_below(&random, 5)
                                       : 1 + kt_random_below(&random, ROWS_MOST);
}

static uint64_t first_id(uint32_t writer, uint32_t number)
{
    return ((uint64_t)writer * 100000 + number) * ID_STEP;
}

static void write_for_ever(const char *folder, const struct rows *rows, struct ledger *ledger,
                           uint32_t writer)
{
    kith_database *db = NULL;
    kith_table *table = NULL;
    if (kith_open(folder, &db, NULL) || kith_open_table(db, "t", &table, NULL)) _exit(3);
    for (;;) {
        uint32_t number = atomic_fetch_add(&ledger->started[writer], 1) + 1;
        if (number >= 100000) _exit(4);
        struct ArrowArrayStream data =
            rows_stream_ids(rows, 0, rows_of(writer, number), first_id(writer, number));
        kith_error failure = { 0 };
        kith_status status = kith_append(table, &data, NULL, NULL, &failure);
        if (status) {
            fprintf(stderr, "append: %s\n", failure.message);
            _exit(5);
        }
        atomic_store(&ledger->fate[writer][number], 1);
        atomic_fetch_add(&ledger->acknowledged[writer], 1);
    }
}

static void check(const char *folder, const struct ledger *ledger)
{
    kith_database *db = NULL;
    kith_table *table = NULL;
    struct ArrowArrayStream out;
    assert_ok(kith_open(folder, &db, error));
    assert_ok(kith_open_table(db, "t", &table, error));
    assert_ok(kith_table_scan(table, NULL, &out, error));
    struct kt_batch *batch = stream_batch(&out);
    uint32_t *seen = calloc((size_t)WRITERS * 100000, sizeof *seen);
    for (int64_t i = 0; i < batch->rows; i++) {
        uint64_t id;
        memcpy(&id, batch->columns[0].values + 8 * i, 8);
        seen[id / ID_STEP]++;
    }
    for (uint32_t w = 0; w < WRITERS; w++) {
        for (uint32_t n = 1; n <= atomic_load(&ledger->started[w]); n++) {
            uint32_t found = seen[w * 100000 + n];
            bool acknowledged = atomic_load(&ledger->fate[w][n]);
            if (found != rows_of(w, n) && (found || acknowledged))
                fail_msg("append %u of writer %u: %u of %u rows are there, acknowledged: %d", n, w, found,
                         (unsigned)rows_of(w, n), acknowledged);
        }
    }
    free(seen);
    kt_batch_release(batch);
    assert_ok(kith_table_verify(table, NULL, error));
    kith_table_close(table);
    kith_close(db);
}

static void an_acknowledged_row_survives_kill_9(void **state)
{
    (void)state;
    const char *asked = getenv("KITH_KILL_APPENDS");
    uint32_t wanted = asked ? (uint32_t)atoi(asked) : 200, kills = 0;
    struct kt_random random = { (uint64_t)time(NULL) };
    printf("seed %llu\n", (unsigned long long)random.state);
    struct rows rows = rows_random(ROWS_MOST, DIM, 1);
    struct ledger *ledger =
        mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *folder = folder_new();
    kith_database *db = NULL;
    kith_table *table = NULL;
    struct ArrowArrayStream data = rows_stream(&rows, 0, 0);
    assert_ok(kith_open(folder, &db, error));
    kith_create options = KITH_INIT(kith_create);
    options.no_auto_index = true; /* building one takes longer than a writer lives here: none would go on */
    assert_ok(kith_create_table(db, "t", &data, &options, &table, error));
    kith_table_close(table);
    kith_close(db);

    while (atomic_load(&ledger->acknowledged[0]) + atomic_load(&ledger->acknowledged[1]) < wanted) {
        pid_t children[WRITERS];
        for (uint32_t w = 0; w < WRITERS; w++) {
            children[w] = fork();
            if (children[w] == 0) write_for_ever(folder, &rows, ledger, w);
        }
        usleep((useconds_t)(20000 + kt_random_below(&random, 150000)));
        for (uint32_t w = 0; w < WRITERS; w++) {
            int status;
            kill(children[w], SIGKILL);
            assert_int_equal(waitpid(children[w], &status, 0), children[w]);
            assert_true(WIFSIGNALED(status)); /* a writer ends by the signal, never by an error of its own */
        }
        kills++;
        check(folder, ledger);
    }
    printf("%u appends acknowledged, %u kills of %d writers\n",
           atomic_load(&ledger->acknowledged[0]) + atomic_load(&ledger->acknowledged[1]), kills, WRITERS);
    munmap(ledger, sizeof *ledger);
    rows_free(&rows);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(an_acknowledged_row_survives_kill_9) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
