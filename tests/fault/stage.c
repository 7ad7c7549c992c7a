/* Preparing a scenario. Threads are forbidden to the library, so that the k-th call is the same one each
 * time. */
#define _GNU_SOURCE
#include "fault/stage.h"

#include <stdio.h>
#include <stdlib.h>

static void must(const struct stage *stage, const struct step *step, struct session *session,
                 kith_status status, const kith_error *error)
{
    if (!status && !session->complaint.text[0]) return;
    fprintf(stderr, "%s, step %u (%s), undisturbed: %s: %s %s\n", stage->scenario->name, step->number,
            step->op->kind->name, kith_status_name(status), error->message, session->complaint.text);
    exit(4);
}

void stage_set(struct stage *stage, const struct scenario *scenario, enum disk_way way, uint64_t seed)
{
    struct session session;
    struct model none = { .name = "t" };
    *stage = (struct stage){ .scenario = scenario, .way = way, .disk = disk_new(seed) };
    setenv("KITH_THREADS", "1", 1);
    stage->count = scenario_steps(scenario, stage->steps, STEPS_MOST, &stage->before);
    disk_set_way(stage->disk, way);
    disk_use(stage->disk);
    session_begin(&session, STAGE_URI, &none);
    for (size_t i = 0; i < stage->before; i++) {
        kith_error error = { 0 };
        kith_status status = session_step(&session, &stage->steps[i], &error);
        must(stage, &stage->steps[i], &session, status, &error);
    }
    model_copy(&session.model, &stage->model);
    session_end(&session);
    disk_settle(stage->disk);
}

void stage_release(struct stage *stage)
{
    disk_free(stage->disk);
    model_release(&stage->model);
}
