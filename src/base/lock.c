/* Locks that survive fork().
 *
 * A child inherits the memory of its parent but only the thread that forked; a mutex that another thread
 * held stays locked for ever, over data that is half changed. So every lock stands in a registry, and
 * pthread_atfork() takes them all before the fork and gives them back after it, in parent and child.
 * That cannot deadlock because locks are leaves: no holder waits for another lock. Debug builds assert it.
 */
#include "base/lock.h"

#include <assert.h>
#include <stddef.h>

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;
static struct kt_lock *registry; /* guarded by registry_mutex */
static _Thread_local int held;

static void before_fork(void)
{
    pthread_mutex_lock(&registry_mutex);
    for (struct kt_lock *lock = registry; lock; lock = lock->next) pthread_mutex_lock(&lock->mutex);
}

static void after_fork(void)
{
    for (struct kt_lock *lock = registry; lock; lock = lock->next) pthread_mutex_unlock(&lock->mutex);
    pthread_mutex_unlock(&registry_mutex);
}

static void watch_fork(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

void kt_lock_init(struct kt_lock *lock)
{
    pthread_once(&registry_once, watch_fork);
    pthread_mutex_init(&lock->mutex, NULL);
    pthread_mutex_lock(&registry_mutex);
    lock->previous = NULL;
    lock->next = registry;
    if (registry) registry->previous = lock;
    registry = lock;
    pthread_mutex_unlock(&registry_mutex);
}

void kt_lock_release(struct kt_lock *lock)
{
    pthread_mutex_lock(&registry_mutex);
    if (lock->previous)
        lock->previous->next = lock->next;
    else
        registry = lock->next;
    if (lock->next) lock->next->previous = lock->previous;
    pthread_mutex_unlock(&registry_mutex);
    pthread_mutex_destroy(&lock->mutex);
}

void kt_lock_take(struct kt_lock *lock)
{
    assert(!held && "a lock is a leaf: none is taken under another");
    pthread_mutex_lock(&lock->mutex);
    held = 1;
}

void kt_lock_give(struct kt_lock *lock)
{
    held = 0;
    pthread_mutex_unlock(&lock->mutex);
}
