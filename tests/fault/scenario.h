/* The scenarios that every harness runs: lists of operations against a small table, through kith.h, each with
 * what must be there after it.
 *
 * To add an operation: a `struct op_kind` in scenario_ops.c or scenario_changes.c, which says how it is run
 * and what becomes of the model. To add a scenario: a list of operations and a line in scenarios.c. The
 * harnesses need no change. */
#ifndef TESTS_FAULT_SCENARIO_H
#define TESTS_FAULT_SCENARIO_H

#include "fault/model.h"

struct session;
struct step;

/* What can be done. */
struct op_kind {
    const char *name;
    /** Does it, with handles of the session, which it opens where it needs them. A read compares what it gets
     * with the model, and complains. */
    kith_status (*run)(struct session *session, const struct step *step, kith_error *error);
    /** What the model becomes when it was done; NULL: nothing changes. */
    void (*expect)(struct model *model, const struct step *step);
    /** What a healthy disk answers, going by the model; NULL: KITH_OK if there is a table. */
    kith_status (*answer)(const struct session *session, const struct step *step);
    bool versioned; /* the step's number is a version */
};

extern const struct op_kind op_create, op_append, op_overwrite, op_index, op_drop_index, op_drop, op_rename,
    op_checkout, op_latest, op_reopen, op_read, op_search, op_filter, op_take, op_verify;
extern const struct op_kind op_delete, op_update, op_merge, op_get, op_restore, op_tag, op_add_column,
    op_drop_column, op_append_beside, op_optimize, op_erase;

/* One operation of a scenario. */
struct op {
    const struct op_kind *kind;
    int who;         /* 0 or 1: through which of two handles */
    uint32_t times;  /* 0 means 1 */
    uint32_t rows;   /* that it brings, */
    uint32_t pad;    /* each with so many bytes of text more: 1 KiB makes files of 100 rows */
    uint32_t from;   /* the step whose ids its rows have; 0: its own */
    uint64_t number; /* a version, a threshold; op_append_beside: 0 adds a column, 1 drops it, 2 renames it;
                        op_delete, op_update: of column n, below which rows are meant */
    uint32_t key;    /* op_append: 1 to 63, its idempotency key: what was written once is not again */
    uint32_t index;  /* an index_bit */
    kith_index_type type;
    kith_tag_change change;
    bool keyed;     /* op_create: by "id"; */
    bool keeps_one; /* old versions go */
    bool replace;   /* op_create: what is there; op_merge: what is missing goes; op_optimize: files are
                       rewritten */
};

struct scenario {
    const char *name;
    const struct op *ops; /* the last has no kind */
    size_t before;        /* of them, that only prepare: they are done once, on a healthy disk */
};
extern const struct scenario scenarios[];
extern const size_t scenario_count;

struct step { /* an operation, one of its times */
    const struct op *op;
    uint32_t number; /* in the scenario, from 1: it decides the ids of the rows */
};
size_t scenario_steps(const struct scenario *scenario, struct step *out, size_t room, size_t *before);
enum { STEPS_MOST = 256 };

/* A program at work on a database. */
struct session {
    const char *uri;
    kith_database *db;
    kith_table *tables[2];
    uint64_t pinned[2]; /* the version that a handle was told to show; 0: the newest */
    struct model model;
    struct complaint complaint;
};
void session_begin(struct session *session, const char *uri, const struct model *model);
void session_end(struct session *session);
/** Runs a step and keeps the model: done, not done, or, where that is not known, what a look shows. A failure
 *  that changed anything is a complaint. */
kith_status session_step(struct session *session, const struct step *step, kith_error *error);
/* What a step must answer when nothing disturbs it. */
struct answer {
    kith_status status;
    bool or_not_found; /* the version that it names may have gone */
};
struct answer session_answer(const struct session *session, const struct step *step);
bool answer_is(struct answer answer, kith_status status);
/** Appends and reads through the handles that the session has. */
kith_status session_goes_on(struct session *session, kith_error *error);

/** Around looks that a harness must not disturb; set by it. */
extern void (*scenario_pause)(void);
extern void (*scenario_resume)(void);

#endif
