/* Running a scenario: sessions, steps, and what an outcome allows.
 *
 * After a step the model says what must be there. KITH_OK: the step was done. KITH_UNKNOWN: it was or was
 * not, wholly; a look decides, undisturbed. Any other failure: nothing has changed, and a look checks that at
 * once, so that a later step cannot cover it up.
 */
#include "fault/scenario.h"

#include <string.h>

void (*scenario_pause)(void);
void (*scenario_resume)(void);

size_t scenario_steps(const struct scenario *scenario, struct step *out, size_t room, size_t *before)
{
    size_t count = 0;
    *before = 0;
    for (size_t i = 0; scenario->ops[i].kind; i++) {
        uint32_t times = scenario->ops[i].times ? scenario->ops[i].times : 1;
        for (uint32_t t = 0; t < times && count < room; t++, count++)
            out[count] = (struct step){ &scenario->ops[i], (uint32_t)count + 1 };
        if (i < scenario->before) *before = count;
    }
    return count;
}

void session_begin(struct session *session, const char *uri, const struct model *model)
{
    *session = (struct session){ .uri = uri };
    model_copy(model, &session->model);
}

void session_end(struct session *session)
{
    kith_table_close(session->tables[0]);
    kith_table_close(session->tables[1]);
    kith_close(session->db);
    model_release(&session->model);
}

static bool fits(const struct session *session, const struct model *model, struct complaint *complaint)
{
    if (scenario_pause) scenario_pause();
    bool so = model_fits(model, session->uri, LOOK_ROWS, complaint);
    if (scenario_resume) scenario_resume();
    return so;
}

static void replace_model(struct session *session, struct model *model)
{
    model_release(&session->model);
    session->model = *model;
}

/* It may have been done: a look says. */
static void settle(struct session *session, const struct step *step)
{
    struct model after = { 0 };
    struct complaint not_done = { 0 }, not_undone = { 0 };
    model_copy(&session->model, &after);
    step->op->kind->expect(&after, step);
    if (fits(session, &after, &not_done)) {
        replace_model(session, &after);
        return;
    }
    model_release(&after);
    if (!fits(session, &session->model, &not_undone))
        complain(&session->complaint, "%s is neither done (%.200s) nor not (%.200s)", step->op->kind->name,
                 not_done.text, not_undone.text);
}

kith_status session_step(struct session *session, const struct step *step, kith_error *error)
{
    const struct op_kind *kind = step->op->kind;
    struct complaint changed = { 0 };
    kith_error told = { 0 };
    kith_status status = kind->run(session, step, &told);
    if (session->complaint.text[0]) {
    } else if (!status) {
        if (kind->expect) kind->expect(&session->model, step);
    } else if (kind->expect && status == KITH_UNKNOWN) {
        settle(session, step);
    } else if (!fits(session, &session->model, &changed)) {
        complain(&session->complaint, "%s failed (%s: %.200s), but: %.300s", kind->name,
                 kith_status_name(status), told.message, changed.text);
    }
    if (status && !told.message[0]) complain(&session->complaint, "%s failed without a word", kind->name);
    *error = told;
    return status;
}

struct answer session_answer(const struct session *session, const struct step *step)
{
    const struct op_kind *kind = step->op->kind;
    struct answer answer = { session->model.exists ? KITH_OK : KITH_NOT_FOUND, false };
    if (kind->answer) answer.status = kind->answer(session, step);
    answer.or_not_found = kind->versioned && model_may_lack(&session->model, step->op->number);
    return answer;
}

bool answer_is(struct answer answer, kith_status status)
{
    return status == answer.status || (status == KITH_NOT_FOUND && answer.or_not_found);
}

kith_status session_goes_on(struct session *session, kith_error *error)
{
    static const struct op create = { .kind = &op_create, .rows = 2 },
                           append = { .kind = &op_append, .rows = 2 },
                           again = { .kind = &op_append, .rows = 2, .who = 1 }, read = { .kind = &op_read },
                           latest = { .kind = &op_latest }, latest_1 = { .kind = &op_latest, .who = 1 },
                           search = { .kind = &op_search };
    const struct op *ops[] = { session->model.exists ? &latest : &create,
                               session->tables[1] ? &latest_1 : &append,
                               session->tables[1] ? &again : &read,
                               &append,
                               &read,
                               &search };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        struct step step = { ops[i], (uint32_t)(900 + i) };
        kith_status status = session_step(session, &step, error);
        if (status || session->complaint.text[0]) return status;
    }
    return KITH_OK;
}
