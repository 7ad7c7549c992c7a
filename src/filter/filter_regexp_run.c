/* Regular expressions, run: a text is read once, by all threads of the program at the same time (Thompson
 * 1968, Pike's machine without captures). So no pattern can make a text take longer than its length times the
 * size of the program.
 *
 * A thread is an instruction that waits for a character. What follows without a character, branches and
 * places, is followed as soon as a thread comes there; each instruction is in a set once, however it was
 * reached. Sets are sparse (Briggs and Torczon 1993): emptying one costs nothing, and what memory held before
 * does not matter.
 *
 * While no thread is alive the letters that every match begins with are looked for by memmem().
 */
#include <string.h>
#include <utf8proc.h>

#include "filter/filter_regexp.h"

struct threads { /* a set of instructions: sparse, so that emptying it is free */
    uint32_t *dense, *sparse;
    uint32_t count;
};

struct machine {
    const struct regexp *regexp;
    struct threads now, next;
    uint32_t *stack;
    const uint8_t *begin, *at, *end;
};

static bool is_word(int32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool holds(const struct machine *machine, const struct instruction *instruction)
{
    const uint8_t *at = machine->at;
    bool first = at == machine->begin, last = at == machine->end;
    if (instruction->op == OP_BEGIN) return first || (instruction->flags & LINES && at[-1] == '\n');
    if (instruction->op == OP_END) return last || (instruction->flags & LINES && *at == '\n');
    bool before = !first && is_word(at[-1]), after = !last && is_word(*at);
    return (before != after) != ((instruction->flags & NEGATED) != 0);
}

/* Adds an instruction and all that it leads to without a character. True: that is a match. */
static bool add_thread(struct machine *machine, struct threads *threads, uint32_t start)
{
    const struct instruction *program = machine->regexp->program;
    uint32_t depth = 0;
    machine->stack[depth++] = start;
    while (depth) {
        uint32_t at = machine->stack[--depth];
        uint32_t place = threads->sparse[at];
        if (place < threads->count && threads->dense[place] == at) continue;
        threads->sparse[at] = threads->count;
        threads->dense[threads->count++] = at;
        switch (program[at].op) {
        case OP_MATCH:
            return true;
        case OP_SPLIT:
            machine->stack[depth++] = program[at].y;
            machine->stack[depth++] = program[at].x;
            break;
        case OP_JUMP:
            machine->stack[depth++] = program[at].x;
            break;
        case OP_BEGIN:
        case OP_END:
        case OP_WORD:
            if (holds(machine, &program[at])) machine->stack[depth++] = at + 1;
            break;
        default:
            break;
        }
    }
    return false;
}

static bool in_class(const struct charset *charset, int32_t character)
{
    for (uint32_t i = 0; i < charset->count; i++)
        if (character >= charset->spans[i].low && character <= charset->spans[i].high) return true;
    return false;
}

static bool takes(const struct instruction *instruction, int32_t character)
{
    bool fold = instruction->flags & FOLD, in;
    switch (instruction->op) {
    case OP_CHAR:
        return character == instruction->character ||
               (fold && utf8proc_tolower(character) == utf8proc_tolower(instruction->character));
    case OP_ANY:
        return character != '\n' || instruction->flags & NEWLINE;
    case OP_CLASS:
        in = in_class(instruction->charset, character) ||
             (fold && (in_class(instruction->charset, utf8proc_tolower(character)) ||
                       in_class(instruction->charset, utf8proc_toupper(character))));
        return in != ((instruction->flags & NEGATED) != 0);
    default:
        return false;
    }
}

static int32_t decode(const uint8_t **at, const uint8_t *end)
{
    utf8proc_int32_t character;
    if (**at < 0x80) return *(*at)++;
    utf8proc_ssize_t size = utf8proc_iterate(*at, end - *at, &character);
    *at += size > 0 ? size : 1;
    return size > 0 ? character : 0xfffd;
}

static bool run(struct machine *machine)
{
    const struct regexp *regexp = machine->regexp;
    struct slice prefix = { regexp->prefix, regexp->prefix_size };
    for (;;) {
        if (!machine->now.count && prefix.size) {
            machine->at =
                kt_find((struct slice){ machine->at, (size_t)(machine->end - machine->at) }, prefix);
            if (!machine->at) return false;
        }
        if (add_thread(machine, &machine->now, 0)) return true;
        if (machine->at == machine->end) return false;
        int32_t character = decode(&machine->at, machine->end);
        machine->next.count = 0;
        for (uint32_t i = 0; i < machine->now.count; i++) {
            uint32_t at = machine->now.dense[i];
            if (takes(&regexp->program[at], character) && add_thread(machine, &machine->next, at + 1))
                return true;
        }
        struct threads done = machine->now;
        machine->now = machine->next;
        machine->next = done;
    }
}

kith_status kt_row_regexp(struct call *call, uint32_t row)
{
    const struct regexp *regexp = call->node->plan;
    struct slice text = call->args[0].bytes[row];
    struct mark mark = kt_mark(call->frame);
    size_t size = regexp->size + 1;
    uint32_t *room = kt_stack_take(call->frame, 7 * size * sizeof *room);
    if (!room) return KITH_NO_MEMORY;
    static const uint8_t nothing[1];
    const uint8_t *begin = text.size ? text.at : nothing;
    struct machine machine = { .regexp = regexp,
                               .now = { .dense = room, .sparse = room + size },
                               .next = { .dense = room + 2 * size, .sparse = room + 3 * size },
                               .stack = room + 4 * size,
                               .begin = begin,
                               .at = begin,
                               .end = begin + text.size };
    if (run(&machine)) kt_row_set(call->out->truth, row);
    kt_rewind(call->frame, mark);
    return KITH_OK;
}
