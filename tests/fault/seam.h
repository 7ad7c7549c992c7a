/* Faults between io_posix and whatever answers its system calls: the k-th call fails, once or from then on.
 */
#ifndef TESTS_FAULT_SEAM_H
#define TESTS_FAULT_SEAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum seam_call {
    CALL_OPEN,
    CALL_CREATE, /* an open that makes a file */
    CALL_CLOSE,
    CALL_STAT,
    CALL_STAT_NAME,
    CALL_READ,
    CALL_WRITE,
    CALL_SYNC_DATA,
    CALL_SYNC,
    CALL_LINK,
    CALL_RENAME,
    CALL_UNLINK,
    CALL_MKDIR,
    CALL_ENTRIES,
    CALL_MAP,
    CALL_ENTROPY,
    SEAM_CALLS
};
extern const char *const seam_call_names[SEAM_CALLS];

/* What goes wrong. */
struct seam_fault {
    const char *name;
    int code;         /* errno; 0: nothing fails, half of the bytes are moved */
    uint32_t calls;   /* a bit for each call that it can strike */
    bool afterwards;  /* the call is done, and then said to have failed */
    bool drops_pages; /* as Linux does when a sync fails */
    bool harmless;    /* nobody may notice */
    bool only_once;   /* what comes again and again would be tried again and again */
};
extern const struct seam_fault seam_faults[];
extern const size_t seam_fault_count;

/** Puts itself between kt_posix and its callers; once, after disk_use(). */
void seam_install(void);
/** From now on call number `at` (from 0) of those that are counted is struck. `fault` NULL: none is. */
void seam_arm(const struct seam_fault *fault, uint64_t at, bool for_good);
/** Calls go through, uncounted, until seam_resume(). */
void seam_pause(void);
void seam_resume(void);
uint64_t seam_count(void);  /* calls since seam_arm() */
uint64_t seam_struck(void); /* of them */
bool seam_struck_removal(void);
/** Notes what each of the next calls is, at most `room` of them. */
void seam_note(uint8_t *calls, size_t room);

/** Every so-manieth sync says that it was done and was not; 0: none. To see that a harness sees it. */
void seam_lie(uint32_t every);

/** Called after each call that may have changed the disk; NULL: nobody is. */
extern void (*seam_watch)(enum seam_call call);

#endif
