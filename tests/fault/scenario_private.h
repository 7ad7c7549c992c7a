/* What the files that define operations share. */
#ifndef TESTS_FAULT_SCENARIO_PRIVATE_H
#define TESTS_FAULT_SCENARIO_PRIVATE_H

#include "fault/scenario.h"

/** The rows that a step brings. */
struct rows *rows_of(const struct step *step);
void stream_of(const struct step *step, struct ArrowArrayStream *out);
/** The handle that a step goes through, opened where it is not. */
kith_status want(struct session *session, const struct step *step, kith_table **out, kith_error *error);
/** The rows that a handle shows. */
struct rows *shown_rows(const struct session *session, int who);

/* What a healthy disk answers to anything, and to what writes. */
kith_status answer_there(const struct session *session, const struct step *step);
kith_status answer_write(const struct session *session, const struct step *step);

#endif
