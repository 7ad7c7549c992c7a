/* Fibers by ucontext: a switch costs two system calls that set a signal mask, a fraction of a microsecond,
 * where handing a baton between threads costs several and a scheduler that nobody can repeat.
 *
 * AddressSanitizer must be told of each switch, for it knows the bounds of the stack that is at work.
 */
#define _GNU_SOURCE
#include "fault/fiber.h"

#include <stddef.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "fault/own.h"

#if defined(__SANITIZE_ADDRESS__)
void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size);
#else
static void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size)
{
    (void)fake, (void)bottom, (void)size;
}
static void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size)
{
    (void)fake, (void)bottom, (void)size;
}
#endif

enum { STACK_BYTES = 1 << 20, STACKS_KEPT = 16 };

struct fiber {
    ucontext_t context;
    void (*run)(void *argument);
    void *argument;
    void *stack;
    size_t size;
    void *fake; /* the sanitizer's, while it does not run */
};

static struct fiber first; /* what the program began as */
static struct fiber *running = &first, *came_from;
static void *stacks[STACKS_KEPT];
static int stack_count;

static void *stack_new(void)
{
    if (stack_count) return stacks[--stack_count];
    return mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
}

static void arrive(struct fiber *here)
{
    const void *bottom = NULL;
    size_t size = 0;
    __sanitizer_finish_switch_fiber(here->fake, &bottom, &size);
    if (came_from == &first) first.stack = (void *)(size_t)bottom, first.size = size;
    running = here;
}

static void begin(void)
{
    struct fiber *here = running;
    arrive(here);
    here->run(here->argument);
    __builtin_trap();
}

struct fiber *fiber_new(void (*run)(void *argument), void *argument)
{
    struct fiber *fiber = own_new(1, sizeof *fiber);
    fiber->run = run;
    fiber->argument = argument;
    fiber->stack = stack_new();
    fiber->size = STACK_BYTES;
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = fiber->size;
    makecontext(&fiber->context, begin, 0);
    return fiber;
}

void fiber_free(struct fiber *fiber)
{
    if (!fiber) return;
    if (stack_count < STACKS_KEPT)
        stacks[stack_count++] = fiber->stack;
    else
        munmap(fiber->stack, fiber->size);
    own_free(fiber);
}

void fiber_switch(struct fiber *to, bool over)
{
    struct fiber *here = running;
    if (!to) to = &first;
    came_from = here;
    running = to;
    __sanitizer_start_switch_fiber(over ? NULL : &here->fake, to->stack, to->size);
    swapcontext(&here->context, &to->context);
    arrive(here);
}
