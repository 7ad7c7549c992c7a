/* Work on all cores: one loop, cut into chunks, with progress, cancelling and a time by which it must be
 * done.
 *
 * Threads are made for a loop and joined at its end: a loop that is worth sharing runs for milliseconds,
 * a thread costs 15 us, and there is no pool that a fork() could lose. */
#ifndef KT_PARALLEL_PARALLEL_H
#define KT_PARALLEL_PARALLEL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* What one long operation shares among its loops. Zeroed: no progress, never cancelled. The callback is
 * called from the thread that calls kt_parallel_for() or kt_work_tick(), and from no other. */
struct kt_work {
    kith_progress_fn progress;
    void *user;
    uint32_t threads;     /* 0: KITH_THREADS, else one a core */
    int64_t next_call_us; /* monotonic time of the next progress call */
    _Atomic bool cancelled;
    int64_t timeout_us;  /* as asked for, for the message; see kt_work_limit() */
    int64_t deadline_us; /* monotonic; 0: none */
    bool asks;       /* begun by kt_work_limit(): the callback is only asked whether to go on, and only once
                        the work takes long */
    pthread_t owner; /* where it asks: whose thread calls the callback in kt_work_poll() */
};

/* Does chunk [begin, end) of the loop; `worker` is 0 .. threads-1, for scratch of one's own. A status
 * other than KITH_OK ends the loop; the first failure's is returned. */
typedef kith_status (*kt_chunk_fn)(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                                   kith_error *error);

/** The number of threads `work` (which may be NULL) allows: at least 1, at most 256. */
uint32_t kt_work_threads(const struct kt_work *work);

/** Runs fn over 0 .. count-1 in chunks of `grain`. What a chunk computes must not depend on which worker
 *  or in which order, so that results are the same for any number of threads. Choose `grain` so that a
 *  chunk takes well under 10 ms: progress and cancelling wait for it. `stage` may be NULL: no progress.
 *  @return KITH_OK, KITH_CANCELLED, KITH_TIMEOUT, or the status of a chunk that failed */
kith_status kt_parallel_for(struct kt_work *work, const char *stage, uint64_t count, uint64_t grain,
                            kt_chunk_fn fn, void *context, kith_error *error);

/** Reports progress from straight-line code; KITH_CANCELLED when the callback asks to stop. Not for work of
 * kt_work_limit(). */
kith_status kt_work_tick(struct kt_work *work, const char *stage, uint64_t done, uint64_t total,
                         kith_error *error);

/** Makes a zeroed `work` that of an operation which mostly takes less time than telling of it would: a
 * search, a count, a scan. It fails with KITH_TIMEOUT when `timeout_us` have passed from now on (0: never;
 * negative: at the first look); and `progress` (may be NULL) is called by this thread alone, first after 40
 * ms. */
void kt_work_limit(struct kt_work *work, int64_t timeout_us, kith_progress_fn progress, void *user);

/** Whether to go on: asked between batches or lists, never for each row. Any thread of the operation may ask;
 * the callback is only called by that of kt_work_limit(). NULL, and what has neither a limit nor a callback,
 * costs a comparison. @return KITH_OK, KITH_CANCELLED, KITH_TIMEOUT */
kith_status kt_work_poll(struct kt_work *work, const char *stage, kith_error *error);

/** Monotonic time. */
double kt_seconds(void);

#endif
