/* The only kind of lock in Kith: a leaf. Whoever holds one takes no other, calls no callback and does no
 * I/O, so that fork() may wait for all of them and the child finds each free and its data whole.
 *
 * A lock lies on the heap or is static, never on a stack: the child's C library takes back the stacks of the
 * threads that it does not have, and the registry would lead into them. */
#ifndef KT_BASE_LOCK_H
#define KT_BASE_LOCK_H

#include <pthread.h>

struct kt_lock {
    pthread_mutex_t mutex;
    struct kt_lock *next, *previous; /* the registry that fork() walks */
};
void kt_lock_init(struct kt_lock *lock);
void kt_lock_release(struct kt_lock *lock); /* must be initialised and free */
void kt_lock_take(struct kt_lock *lock);
void kt_lock_give(struct kt_lock *lock);

#endif
