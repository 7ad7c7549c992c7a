/* Holding a table to its ledger.
 *
 * The rows that one deed added are a group: they are all there with the values of one deed, or all gone. For
 * each group there is a set of fates that are possible: the deeds of its writer are gone through in their
 * order, each done for certain (then it replaces the set by what it makes of it) or perhaps (then it adds to
 * it). Only its own writer touches a group, one deed after the other; a writer that was killed left one deed
 * in doubt.
 */
#include "fault/ledger.h"

#include <string.h>

#include "fault/own.h"

enum { FATES_MOST = 12, GONE = 0 };

struct group {
    uint16_t may[FATES_MOST]; /* deeds whose values the rows may have; GONE */
    uint8_t count;
    uint32_t seen; /* rows of it that are there, */
    uint16_t fate; /* with the values of this deed */
    bool mixed;    /* or of several */
};

int64_t ledger_first_id(uint32_t writer, uint32_t number)
{
    return ((int64_t)writer * LEDGER_DEEDS + number) * LEDGER_ID_STEP;
}

struct rows *ledger_rows(const struct ledger *ledger, uint32_t writer, uint32_t number)
{
    const struct deed *deed = &ledger->deeds[writer][number];
    uint32_t group = deed->kind == DEED_ADD ? number : deed->target;
    uint32_t salt = number | (uint32_t)deed->pad << 16;
    return rows_range(ledger_first_id(writer, group), ledger->deeds[writer][group].rows, salt);
}

void ledger_copy(const struct ledger *from, struct ledger *to)
{
    for (uint32_t w = 0; w < LEDGER_WRITERS; w++) {
        uint32_t count = atomic_load(&from->count[w]);
        atomic_store(&to->count[w], count);
        for (uint32_t n = 1; n <= count; n++) {
            atomic_store(&to->deeds[w][n].state, atomic_load(&from->deeds[w][n].state));
            to->deeds[w][n].kind = from->deeds[w][n].kind;
            to->deeds[w][n].rows = from->deeds[w][n].rows;
            to->deeds[w][n].pad = from->deeds[w][n].pad;
            to->deeds[w][n].target = from->deeds[w][n].target;
        }
    }
}

/* ---- what may be */

static void may_be(struct group *group, uint16_t fate)
{
    for (int i = 0; i < group->count; i++)
        if (group->may[i] == fate) return;
    if (group->count < FATES_MOST) group->may[group->count++] = fate;
}

static void apply(struct group *group, const struct deed *deed, uint32_t number, bool certain)
{
    struct group old = *group;
    if (certain) group->count = 0;
    for (int i = 0; i < old.count; i++) {
        bool changes = deed->kind == DEED_ADD || (deed->kind == DEED_CHANGE && old.may[i] != GONE);
        uint16_t fate = deed->kind == DEED_REMOVE ? GONE : changes ? (uint16_t)number : old.may[i];
        may_be(group, fate);
    }
}

static void settle_writer(const struct ledger *before, const struct ledger *after, uint32_t writer,
                          struct group *groups)
{
    uint32_t sure = atomic_load(&before->count[writer]), count = atomic_load(&after->count[writer]);
    for (uint32_t n = 1; n <= count; n++) {
        const struct deed *deed = &after->deeds[writer][n];
        uint32_t at = deed->kind == DEED_ADD ? n : deed->target;
        bool certain = n <= sure && atomic_load(&before->deeds[writer][n].state) == DEED_DONE;
        if (deed->kind == DEED_ADD) may_be(&groups[n], GONE);
        apply(&groups[at], deed, n, certain);
    }
}

/* ---- what is */

static bool count_row(const struct ledger *after, struct group **groups, struct row row,
                      struct complaint *complaint)
{
    int64_t number = row.id / LEDGER_ID_STEP % LEDGER_DEEDS, writer = row.id / LEDGER_ID_STEP / LEDGER_DEEDS;
    if (writer >= LEDGER_WRITERS || number > atomic_load(&after->count[writer]))
        return complain(complaint, "row id %lld is there, which nobody meant to add", (long long)row.id);
    struct group *group = &groups[writer][number];
    uint16_t fate = (uint16_t)row.salt;
    group->mixed |= group->seen && group->fate != fate;
    group->fate = fate;
    group->seen++;
    return true;
}

static bool judge(const struct ledger *after, uint32_t writer, uint32_t number, const struct group *group,
                  struct complaint *complaint)
{
    const struct deed *deed = &after->deeds[writer][number];
    if (deed->kind != DEED_ADD) return true;
    if (group->mixed || (group->seen && group->seen != deed->rows))
        return complain(complaint, "deed %u of writer %u: %u of %u rows are there%s", number, writer,
                        group->seen, deed->rows, group->mixed ? ", of different deeds" : "");
    uint16_t fate = group->seen ? group->fate : GONE;
    for (int i = 0; i < group->count; i++)
        if (group->may[i] == fate) return true;
    return complain(complaint,
                    "deed %u of writer %u: its %u rows are those of deed %u (0: gone), expected %u%s", number,
                    writer, deed->rows, fate, group->may[0], group->count > 1 ? " or others" : "");
}

bool ledger_allows(const struct ledger *before, const struct ledger *after, const struct rows *rows,
                   struct complaint *complaint)
{
    struct group *groups[LEDGER_WRITERS];
    for (uint32_t w = 0; w < LEDGER_WRITERS; w++) {
        groups[w] = own_new(atomic_load(&after->count[w]) + (size_t)1, sizeof *groups[w]);
        settle_writer(before, after, w, groups[w]);
    }
    bool allowed = true;
    for (size_t i = 0; i < rows->count && allowed; i++)
        allowed = count_row(after, groups, rows->row[i], complaint);
    for (uint32_t w = 0; w < LEDGER_WRITERS; w++) {
        for (uint32_t n = 1; n <= atomic_load(&after->count[w]) && allowed; n++)
            allowed = judge(after, w, n, &groups[w][n], complaint);
        own_free(groups[w]);
    }
    return allowed;
}
