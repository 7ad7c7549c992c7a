/* Many processes publish versions of one table at once: each version has exactly one winner, the log has no
 * gap, and every row whose append was acknowledged is there once.
 *
 * Run by each way of publishing (a link, and renameat2 where links and nameless files are refused) on a real
 * disk
 * ($TMPDIR or /tmp) and in memory (/dev/shm). --runs is the number of versions in each, 2,000 if nothing is
 * said;
 * --seconds ends it earlier. What is found here cannot be repeated by a seed: the folder is kept.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault/campaign.h"
#include "fault/own.h"
#include "fault/rows.h"
#include "io/io_posix.h"

enum { PROCESSES = 8, VERSIONS_MOST = 20000, ID_STEP = 1000000 };

/* Shared by the processes. */
struct board {
    _Atomic uint32_t winners[VERSIONS_MOST + 1]; /* of each version */
    _Atomic uint32_t newest;
    _Atomic uint32_t appended[PROCESSES]; /* acknowledged */
    _Atomic bool stop;
    char words[PROCESSES][600]; /* what went wrong */
};
static struct board *board;

/* ---- ways of publishing */

static struct kt_posix_calls system_calls;

static int open_named(int folder, const char *name, int flags, mode_t mode)
{
    if ((flags & O_TMPFILE) == O_TMPFILE) return errno = EOPNOTSUPP, -1;
    return system_calls.open(folder, name, flags, mode);
}

static int refuse_link(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    (void)from_folder, (void)from, (void)to_folder, (void)to, (void)flags;
    return errno = EPERM, -1;
}

static void choose_way(bool by_rename)
{
    kt_posix = system_calls;
    if (!by_rename) return;
    kt_posix.open = open_named;
    kt_posix.link = refuse_link;
}

/* ---- one process */

static void append_one(kith_table *table, uint32_t process, uint32_t number, uint32_t versions, char *words)
{
    struct ArrowArrayStream data;
    kith_error error = { 0 };
    uint64_t version = 0;
    struct rows *rows = rows_range((int64_t)process * ID_STEP + number, 1, 1);
    rows_stream(rows, &data);
    rows_release(rows);
    kith_status status = kith_append(table, &data, NULL, &version, &error);
    if (status) {
        snprintf(words, 600, "append: %s: %.400s", kith_status_name(status), error.message);
        return;
    }
    atomic_fetch_add(&board->appended[process], 1);
    if (version > VERSIONS_MOST || atomic_fetch_add(&board->winners[version], 1))
        snprintf(words, 600, "version %llu has two winners", (unsigned long long)version);
    if (version > versions) atomic_store(&board->stop, true);
    uint32_t newest = atomic_load(&board->newest);
    while (newest < version && !atomic_compare_exchange_weak(&board->newest, &newest, (uint32_t)version)) {
    }
}

static void publish_for_ever(const char *folder, uint32_t process, uint32_t versions)
{
    kith_database *db = NULL;
    kith_table *table = NULL;
    kith_error error = { 0 };
    char *words = board->words[process];
    if (kith_open(folder, &db, &error) || kith_open_table(db, "t", &table, &error))
        snprintf(words, 600, "opening: %.400s", error.message);
    for (uint32_t i = 0; !words[0] && !atomic_load(&board->stop); i++)
        append_one(table, process, i, versions, words);
    atomic_store(&board->stop, true);
    kith_table_close(table);
    kith_close(db);
    _exit(0);
}

/* ---- afterwards */

/* The commits in the log, and whether they are one run of numbers. */
static bool check_log(const char *folder, struct complaint *complaint)
{
    char path[400];
    uint64_t least = UINT64_MAX, most = 0, count = 0;
    snprintf(path, sizeof path, "%s/t.kith/log", folder);
    DIR *log = opendir(path);
    for (struct dirent *entry; log && (entry = readdir(log));) {
        char *end;
        uint64_t number = strtoull(entry->d_name, &end, 10);
        if (entry->d_name[0] == '.' || strcmp(end, ".commit")) continue;
        least = number < least ? number : least;
        most = number > most ? number : most;
        count++;
    }
    if (log) closedir(log);
    if (count && count == most - least + 1) return true;
    return complain(complaint, "the log holds %llu commits from %llu to %llu", (unsigned long long)count,
                    (unsigned long long)least, (unsigned long long)most);
}

static void check_rows(kith_table *table, struct complaint *complaint)
{
    struct ArrowArrayStream stream;
    struct rows_seen seen = { 0 };
    kith_error error = { 0 };
    uint32_t found[PROCESSES] = { 0 };
    kith_status status = kith_table_scan(table, NULL, &stream, &error);
    if (!status) status = rows_read(&stream, true, &seen, complaint, &error);
    for (size_t i = 0; !status && i < seen.rows->count; i++) {
        int64_t process = seen.rows->row[i].id / ID_STEP, number = seen.rows->row[i].id % ID_STEP;
        if (process >= PROCESSES || number != found[process]++)
            complain(complaint, "row %lld of process %lld is there twice, or one before it is not",
                     (long long)number, (long long)process);
    }
    for (int p = 0; !status && p < PROCESSES; p++)
        if (found[p] != atomic_load(&board->appended[p]))
            complain(complaint, "%u rows of process %d are there, %u were acknowledged", found[p], p,
                     atomic_load(&board->appended[p]));
    if (!status) status = kith_table_verify(table, NULL, &error);
    if (status) complain(complaint, "reading: %s", error.message);
    rows_seen_release(&seen);
}

static void check(const char *folder, struct complaint *complaint)
{
    kith_database *db = NULL;
    kith_table *table = NULL;
    kith_error error = { 0 };
    uint32_t newest = atomic_load(&board->newest);
    for (int p = 0; p < PROCESSES; p++)
        if (board->words[p][0]) complain(complaint, "process %d: %s", p, board->words[p]);
    for (uint32_t v = 2; v <= newest; v++)
        if (atomic_load(&board->winners[v]) != 1)
            complain(complaint, "version %u has %u winners", v, atomic_load(&board->winners[v]));
    if (kith_open(folder, &db, &error) || kith_open_table(db, "t", &table, &error))
        complain(complaint, "opening: %s", error.message);
    if (table) check_rows(table, complaint);
    check_log(folder, complaint);
    kith_table_close(table);
    kith_close(db);
}

/* ---- a race */

static void create(const char *folder, struct complaint *complaint)
{
    kith_database *db = NULL;
    kith_table *table = NULL;
    kith_error error = { 0 };
    struct ArrowArrayStream data;
    struct rows *none = rows_new(0);
    kith_create options = KITH_INIT(kith_create);
    options.no_auto_index = true;
    rows_stream(none, &data);
    rows_release(none);
    if (kith_open(folder, &db, &error) || kith_create_table(db, "t", &data, &options, &table, &error))
        complain(complaint, "creating: %s", error.message);
    kith_table_close(table);
    kith_close(db);
}

static void race(const char *folder, uint32_t versions, double seconds, struct complaint *complaint)
{
    pid_t children[PROCESSES];
    memset(board, 0, sizeof *board);
    create(folder, complaint);
    for (uint32_t p = 0; p < PROCESSES; p++) {
        children[p] = fork();
        if (children[p] == 0) publish_for_ever(folder, p, versions);
    }
    for (double left = seconds; !atomic_load(&board->stop); left -= 0.02) {
        usleep(20000);
        if (seconds > 0 && left <= 0) atomic_store(&board->stop, true);
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status;
        waitpid(children[p], &status, 0);
        if (status) complain(complaint, "process %d ended with status %x", p, (unsigned)status);
    }
    check(folder, complaint);
}

static void remove_folder(const char *folder)
{
    char command[400];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command)) fprintf(stderr, "%s is left\n", folder);
}

static void run(struct campaign *campaign, const char *place, bool by_rename, uint32_t versions,
                uint64_t *published)
{
    char folder[300];
    struct complaint complaint = { 0 };
    if (access(place, W_OK) || !campaign_run(campaign, "%s/%s", place, by_rename ? "rename" : "link")) return;
    snprintf(folder, sizeof folder, "%.200s/kith-race-XXXXXX", place);
    if (!mkdtemp(folder)) {
        campaign_fail(campaign, "no folder could be made there");
        return;
    }
    choose_way(by_rename);
    race(folder, versions, campaign->seconds / 4, &complaint);
    *published += atomic_load(&board->newest);
    if (!complaint.text[0]) {
        remove_folder(folder);
        return;
    }
    campaign_fail(campaign, complaint.text);
    fprintf(stderr, "    the table is kept in %s\n", folder);
}

int main(int count, char **arguments)
{
    struct campaign campaign;
    uint64_t published = 0;
    const char *temporary = getenv("TMPDIR");
    campaign_begin(&campaign, count, arguments);
    uint32_t versions = campaign.runs ? (uint32_t)campaign.runs : 2000;
    if (versions > VERSIONS_MOST - PROCESSES) versions = VERSIONS_MOST - PROCESSES;
    campaign.runs = 0;
    system_calls = kt_posix;
    setenv("KITH_THREADS", "1", 1);
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 4; i++)
        run(&campaign, i / 2 ? "/dev/shm" : temporary ? temporary : "/tmp", i % 2, versions, &published);
    printf("%llu versions by %d processes; ", (unsigned long long)published, PROCESSES);
    return campaign_end(&campaign, 4);
}
