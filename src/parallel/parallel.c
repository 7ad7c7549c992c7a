/* kt_parallel_for: the caller is worker 0 and takes chunks like the others; chunk numbers come from one
 * atomic counter. Only worker 0 calls the progress callback, between its chunks and then while it waits
 * for the rest, so that a Python callback runs on the thread that entered Kith.
 *
 * A search may be given a time by which it must be done. Its loops look at the clock before each chunk, and
 * long chunks between their batches or lists (kt_work_poll()); who was given neither limit nor callback looks
 * at nothing.
 *
 * Always true here: when the call returns no thread of it is alive; a chunk is run at most once; after
 * a failure or a cancel no new chunk begins.
 */
#define _GNU_SOURCE
#include "parallel/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"

enum { MAX_THREADS = 256, CALL_EVERY_US = 40 * 1000 };

struct loop {
    struct kt_work *work;
    const char *stage;
    uint64_t count, grain;
    kt_chunk_fn fn;
    void *context;
    _Atomic uint64_t next; /* first item that nobody has taken */
    _Atomic uint64_t done;
    _Atomic uint32_t running; /* workers other than 0 that have not ended */
    _Atomic int status;       /* of the first failure */
    kith_error error;         /* written by whoever set status */
};

struct worker {
    struct loop *loop;
    uint32_t number;
    pthread_t thread;
};

double kt_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int64_t monotonic_us(void)
{
    return (int64_t)(kt_seconds() * 1e6);
}

uint32_t kt_work_threads(const struct kt_work *work)
{
    long threads = work ? work->threads : 0;
    if (!threads) {
        const char *asked = getenv("KITH_THREADS");
        if (asked) threads = strtol(asked, NULL, 10);
    }
    if (threads <= 0) {
        cpu_set_t cores;
        threads = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
    }
    return threads > MAX_THREADS ? MAX_THREADS : (uint32_t)threads;
}

kith_status kt_work_tick(struct kt_work *work, const char *stage, uint64_t done, uint64_t total,
                         kith_error *error)
{
    if (!work || !work->progress) return KITH_OK;
    if (!atomic_load(&work->cancelled)) {
        int64_t now = monotonic_us();
        if (now < work->next_call_us && done != total) return KITH_OK;
        work->next_call_us = now + CALL_EVERY_US;
        kith_progress progress = { stage, done, total };
        if (work->progress(&progress, work->user)) atomic_store(&work->cancelled, true);
    }
    if (!atomic_load(&work->cancelled)) return KITH_OK;
    return kt_fail(error, KITH_CANCELLED, "cancelled while at \"%s\", %llu of %llu done", stage,
                   (unsigned long long)done, (unsigned long long)total);
}

/* ---- work that has a limit */

void kt_work_limit(struct kt_work *work, int64_t timeout_us, kith_progress_fn progress, void *user)
{
    int64_t now = timeout_us || progress ? monotonic_us() : 0;
    work->progress = progress;
    work->user = user;
    work->asks = true;
    work->owner = pthread_self();
    work->next_call_us = now + CALL_EVERY_US;
    work->timeout_us = timeout_us;
    if (timeout_us < 0)
        work->deadline_us = 1; /* long past */
    else if (timeout_us)
        work->deadline_us = timeout_us < INT64_MAX - now ? now + timeout_us : INT64_MAX;
}

static kith_status timed_out(const struct kt_work *work, const char *stage, kith_error *error)
{
    double given = work->timeout_us > 0 ? (double)work->timeout_us * 1e-6 : 0;
    return kt_fail(
        error, KITH_TIMEOUT,
        "timed out while at \"%s\": %.6g seconds were given. Nothing was changed; give more time, ask "
        "for less, or make an index that answers it",
        stage, given);
}

kith_status kt_work_poll(struct kt_work *work, const char *stage, kith_error *error)
{
    if (!work || (!work->deadline_us && !work->progress)) return KITH_OK;
    int64_t now = monotonic_us();
    if (work->deadline_us && now >= work->deadline_us) return timed_out(work, stage, error);
    if (work->progress && now >= work->next_call_us && pthread_equal(work->owner, pthread_self())) {
        kith_progress progress = { stage, 0, 0 };
        if (work->progress(&progress, work->user)) atomic_store(&work->cancelled, true);
        work->next_call_us = monotonic_us() + CALL_EVERY_US;
    }
    if (!atomic_load_explicit(&work->cancelled, memory_order_relaxed)) return KITH_OK;
    return kt_fail(error, KITH_CANCELLED, "cancelled while at \"%s\"", stage);
}

/* ---- the loop */

static void loop_fail(struct loop *loop, kith_status status, const kith_error *error)
{
    int none = KITH_OK;
    if (atomic_compare_exchange_strong(&loop->status, &none, (int)status)) loop->error = *error;
}

static const char *stage_of(const struct loop *loop)
{
    return loop->stage ? loop->stage : "rows";
}

/* Takes one chunk and does it. False when there is nothing left to do. */
static bool loop_step(struct loop *loop, uint32_t number)
{
    if (atomic_load_explicit(&loop->status, memory_order_relaxed)) return false;
    uint64_t begin = atomic_fetch_add(&loop->next, loop->grain);
    if (begin >= loop->count) return false;
    uint64_t end = loop->count - begin < loop->grain ? loop->count : begin + loop->grain;
    kith_error error = { 0 };
    kith_status status =
        loop->work && loop->work->asks ? kt_work_poll(loop->work, stage_of(loop), &error) : KITH_OK;
    if (!status) status = loop->fn(loop->context, begin, end, number, &error);
    if (status) loop_fail(loop, status, &error);
    atomic_fetch_add(&loop->done, end - begin);
    return true;
}

static void loop_tick(struct loop *loop)
{
    kith_error error = { 0 };
    bool asks = loop->work && loop->work->asks;
    if (!loop->stage && !asks) return;
    uint64_t done = atomic_load(&loop->done);
    kith_status status = asks ? kt_work_poll(loop->work, stage_of(loop), &error)
                              : kt_work_tick(loop->work, loop->stage, done, loop->count, &error);
    if (status) loop_fail(loop, status, &error);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    while (loop_step(worker->loop, worker->number)) continue;
    atomic_fetch_sub(&worker->loop->running, 1);
    return NULL;
}

/* Waits longer and longer, so that little is added to a short wait. */
static void wait_for_others(struct loop *loop)
{
    struct timespec pause = { .tv_nsec = 10 * 1000 };
    while (atomic_load(&loop->running)) {
        loop_tick(loop);
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 1000 * 1000) pause.tv_nsec *= 2;
    }
}

kith_status kt_parallel_for(struct kt_work *work, const char *stage, uint64_t count, uint64_t grain,
                            kt_chunk_fn fn, void *context, kith_error *error)
{
    if (!grain) grain = 1;
    struct loop loop = {
        .work = work, .stage = stage, .count = count, .grain = grain, .fn = fn, .context = context
    };
    uint64_t chunks = count / grain + (count % grain != 0);
    uint32_t threads = kt_work_threads(work);
    if (threads > chunks) threads = chunks ? (uint32_t)chunks : 1;

    struct worker *others = threads > 1 ? kt_alloc_zero(threads - 1, sizeof *others) : NULL;
    uint32_t started = 0; /* fewer threads than asked only make the loop slower */
    for (; others && started < threads - 1; started++) {
        others[started] = (struct worker){ .loop = &loop, .number = started + 1 };
        atomic_fetch_add(&loop.running, 1);
        if (pthread_create(&others[started].thread, NULL, worker_main, &others[started])) {
            atomic_fetch_sub(&loop.running, 1);
            break;
        }
    }
    do loop_tick(&loop);
    while (loop_step(&loop, 0));
    if (started && work && work->progress && (stage || work->asks)) wait_for_others(&loop);
    for (uint32_t i = 0; i < started; i++) pthread_join(others[i].thread, NULL);
    if (!work || !work->asks) loop_tick(&loop); /* what is done is done, be it late */
    kt_free(others);
    kith_status status = (kith_status)atomic_load(&loop.status);
    if (status && error) *error = loop.error;
    return status;
}
