/* Threads of control that take turns: one runs until it says who runs next. */
#ifndef TESTS_FAULT_FIBER_H
#define TESTS_FAULT_FIBER_H

#include <stdbool.h>

struct fiber;
/** One that will call run(argument) when it is first switched to, and must end in a switch. It keeps its
 * stack for the next one when it is freed. */
struct fiber *fiber_new(void (*run)(void *argument), void *argument);
void fiber_free(struct fiber *fiber);
/** Goes on with `to`, NULL for the one that the program began as, until somebody switches back. `over`: who
 * switches will never be gone on with. */
void fiber_switch(struct fiber *to, bool over);

#endif
