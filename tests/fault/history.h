/* What happened to a table in the order in which it happened: the harness sees each commit get its name,
 * knows whose it is, looks at what the table then holds, and holds everybody to that. */
#ifndef TESTS_FAULT_HISTORY_H
#define TESTS_FAULT_HISTORY_H

#include "fault/rows.h"
#include "fault/world.h"

enum { DEEDS_MOST = 512, HISTORY_VERSIONS = 512 };

/* What somebody wants to do to the table. */
enum deed_what {
    DO_APPEND,
    DO_DELETE, /* rows whose id is in [first, end) and, where `below` is not 0, whose n is below it */
    DO_UPDATE, /* the same rows, to the values that they have */
    DO_MERGE,  /* rows that are there get the values of `rows`, others are added */
    DO_OVERWRITE,
    DO_RESTORE, /* `version` */
    DO_ADD_COLUMN,
    DO_DROP_COLUMN,
    DO_UPKEEP, /* what changes no row: folding, indexes, tags, cleaning up */
    DO_WHATS
};
extern const char *const deed_names[DO_WHATS];

struct happening { /* one attempt at a deed */
    enum deed_what what;
    struct rows *rows; /* that it brings; owned */
    int64_t first, end;
    uint64_t below, version;
    uint32_t key;  /* idempotency; 0: none */
    uint64_t from; /* versions were seen up to this one when it began, */
    uint64_t made; /* the version that it made; 0: none */
    int64_t began_us;
    uint32_t struck; /* what its actor had met by then */
};

struct held {          /* a version */
    struct rows *rows; /* in the order of row_less() */
    bool extra;
};

struct history {
    struct complaint *complaint;
    kith_database *db; /* the harness's own handle */
    kith_table *table;
    struct happening *at_work[ACTORS_MOST]; /* of each actor; NULL: only reads */
    const struct actor *actors;
    struct held versions[HISTORY_VERSIONS]; /* of version i + 1 */
    uint64_t newest, commit;                /* version and commit; 0: none */
    uint64_t told;                          /* the newest version that anybody was told of */
    uint64_t keys[64];                      /* the version that a key made */
    bool keyed;
    uint32_t ghosts;  /* commits under names that had been forgotten: they must go again */
    uint64_t commits; /* in all */
};

void history_begin(struct history *history, const char *uri, const struct actor *actors,
                   struct complaint *complaint);
void history_release(struct history *history);
/** A name came into the folder of the log. */
void history_named(struct history *history, const struct actor *actor, const char *name);

void happening_begin(struct history *history, const struct actor *actor, struct happening *happening);
/** What the actor was told: the status, and the version of a success. */
void happening_end(struct history *history, const struct actor *actor, kith_status status, uint64_t version,
                   const char *words);

/** Whether what was read can be what a version from `least` to the newest holds. Sorts it. */
void history_allows(struct history *history, const char *who, uint64_t least, struct rows *rows);
/** Whether it is that version's. */
void history_holds(struct history *history, const char *who, uint64_t version, struct rows *rows);
/** The row of that id in `version`; NULL: none. */
const struct row *history_row(const struct history *history, uint64_t version, int64_t id);

#endif
