/* What writers of a table intended and what they were told, outside of the table, so that a table can be held
 * to it after they were killed. It lives in memory that processes share. */
#ifndef TESTS_FAULT_LEDGER_H
#define TESTS_FAULT_LEDGER_H

#include <stdatomic.h>

#include "fault/rows.h"

enum { LEDGER_WRITERS = 4, LEDGER_DEEDS = 60000, LEDGER_ID_STEP = 1000 };

enum deed_kind {
    DEED_ADD,    /* rows, under ids that the deed's number decides */
    DEED_CHANGE, /* the rows of an earlier deed get other values */
    DEED_REMOVE  /* the rows of an earlier deed go */
};
enum deed_state { DEED_NONE, DEED_INTENDED, DEED_DONE };

struct deed {
    _Atomic uint8_t state;
    uint8_t kind;
    uint16_t rows;   /* DEED_ADD */
    uint16_t pad;    /* bytes of text more in each row */
    uint16_t target; /* the other kinds: the deed that added the rows */
};

struct ledger {
    _Atomic uint32_t count[LEDGER_WRITERS]; /* of deeds, which begin at 1 */
    struct deed deeds[LEDGER_WRITERS][LEDGER_DEEDS];
};

/** Ids of the rows that a deed adds begin here. */
int64_t ledger_first_id(uint32_t writer, uint32_t number);
/** The rows as a deed makes them: those that it adds, or those of its target with other values. */
struct rows *ledger_rows(const struct ledger *ledger, uint32_t writer, uint32_t number);
void ledger_copy(const struct ledger *from, struct ledger *to);

/** Whether rows that were read between the moments of two copies of the ledger can be: what was done before
 * the first is done, what was not intended before the second is not, and everything in between is whole. */
bool ledger_allows(const struct ledger *before, const struct ledger *after, const struct rows *rows,
                   struct complaint *complaint);

#endif
