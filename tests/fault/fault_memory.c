/* Each allocation of each scenario fails in turn, those of the libraries as well, once and from then on.
 *
 * Meanwhile a step may fail, for want of memory, and then nothing has changed; nothing crashes, nothing
 * leaks. With memory again the same handles go on, and a new one finds all that was acknowledged. The parser
 * of jansson 2.14 is spared: when its lexer is refused the memory for a longer token, it may abort the
 * process by an assert.
 *
 *     fault_memory --seed 7 --only append_files/once/17
 */
#define _GNU_SOURCE
#include <stdio.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)

int main(void)
{
    return 77; /* malloc is theirs: left out */
}

#else

#include <dlfcn.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "fault/campaign.h"
#include "fault/own.h"
#include "fault/stage.h"
#include "support/failing_malloc.h"

static long left_meanwhile = -1;

static void spare(void)
{
    left_meanwhile = allocations_left;
    allocations_left = -1;
}

static void arm_again(void)
{
    allocations_left = left_meanwhile;
}

#pragma GCC visibility push(default)

json_t *json_loadb(const char *buffer, size_t size, size_t flags, json_error_t *error)
{
    static json_t *(*parser)(const char *, size_t, size_t, json_error_t *);
    long left = allocations_left;
    allocations_left = -1;
    if (!parser) *(void **)&parser = dlsym(RTLD_NEXT, "json_loadb");
    json_t *value = parser(buffer, size, flags, error);
    allocations_left = left;
    return value;
}

#pragma GCC visibility pop

struct job {
    uint16_t stage;
    bool once;
    uint32_t at;
};

static const struct step *step_at_work;
static struct stage *stages;
static size_t stage_count;
static struct job *jobs;
static size_t job_count, job_room;

static void add_job(struct job job)
{
    if (job_count == job_room) {
        size_t room = job_room * 2 + 4096;
        jobs = own_grow(jobs, job_count, room, sizeof *jobs);
        job_room = room;
    }
    jobs[job_count++] = job;
}

static bool for_want_of_memory(kith_status status, const kith_error *error)
{
    return status == KITH_NO_MEMORY || status == KITH_UNKNOWN || strstr(error->message, "memory") != NULL;
}

static void run_steps(const struct stage *stage, struct session *session)
{
    for (size_t i = stage->before; i < stage->count && !session->complaint.text[0]; i++) {
        kith_error error = { 0 };
        const struct step *step = &stage->steps[i];
        struct answer answer = session_answer(session, step);
        failed_one = false;
        step_at_work = step;
        kith_status status = session_step(session, step, &error);
        if (answer_is(answer, status)) continue;
        if (!failed_one)
            complain(&session->complaint, "%s, with memory, answers %s instead of %s: %.300s",
                     step->op->kind->name, kith_status_name(status), kith_status_name(answer.status),
                     error.message);
        else if (!for_want_of_memory(status, &error))
            complain(&session->complaint, "%s, without memory, answers %s: %.300s", step->op->kind->name,
                     kith_status_name(status), error.message);
    }
}

/* Runs a scenario; gives how many allocations are lost by it, and what is wrong. */
static long run_with(const struct stage *stage, long at, bool once, long *allocations,
                     struct complaint *complaint)
{
    struct session session;
    kith_error error = { 0 };
    struct disk *disk = disk_copy(stage->disk);
    disk_use(disk);
    long before = outstanding;
    only_one_fails = once;
    session_begin(&session, STAGE_URI, &stage->model);
    step_at_work = NULL;
    int crash = sigsetjmp(campaign_escape, 1);
    if (crash) {
        allocations_left = -1;
        campaign_can_escape = 0;
        complain(complaint, "%s, without memory, dies of signal %d", step_at_work->op->kind->name, crash);
        return 0;
    }
    campaign_can_escape = 1;
    allocations_left = at;
    run_steps(stage, &session);
    campaign_can_escape = 0;
    *allocations = at - allocations_left;
    allocations_left = -1;
    if (!session.complaint.text[0] && session_goes_on(&session, &error))
        complain(&session.complaint, "there is memory again, but: %.300s", error.message);
    if (!session.complaint.text[0]) model_fits(&session.model, STAGE_URI, LOOK_CLOSELY, &session.complaint);
    *complaint = session.complaint;
    session_end(&session);
    long lost = outstanding - before;
    if (disk_open_things(disk))
        complain(complaint, "%zu descriptors or maps are still open", disk_open_things(disk));
    disk_free(disk);
    return lost;
}

static void run(struct campaign *campaign, const struct job *job)
{
    const struct stage *stage = &stages[job->stage];
    struct complaint complaint = { 0 };
    long allocations;
    if (!campaign_run(campaign, "%s/%s/%u", stage->scenario->name, job->once ? "once" : "for-good", job->at))
        return;
    long lost = run_with(stage, job->at, job->once, &allocations, &complaint);
    if (lost) complain(&complaint, "%ld allocations are lost", lost);
    if (complaint.text[0]) campaign_fail(campaign, complaint.text);
}

/* Runs each scenario with all the memory it wants, twice: the first one fills what is kept for ever. */
static void set_stages(struct campaign *campaign)
{
    enum { NEVER = 1 << 30 };
    stages = own_new(scenario_count, sizeof *stages);
    for (size_t i = 0; i < scenario_count; i++) {
        struct stage *stage = &stages[stage_count];
        struct complaint complaint = { 0 };
        long allocations = 0, lost = 0;
        if (!campaign_wants(campaign, scenarios[i].name)) continue;
        stage_set(stage, &scenarios[i], DISK_NAMELESS, campaign->seed);
        for (int twice = 0; twice < 2; twice++)
            lost = run_with(stage, NEVER, false, &allocations, &complaint);
        snprintf(campaign->label, sizeof campaign->label, "%s", stage->scenario->name);
        if (lost) complain(&complaint, "%ld allocations are lost", lost);
        if (complaint.text[0]) campaign_fail(campaign, complaint.text);
        for (long k = 0; k < allocations; k++) {
            add_job((struct job){ (uint16_t)stage_count, true, (uint32_t)k });
            add_job((struct job){ (uint16_t)stage_count, false, (uint32_t)k });
        }
        stage_count++;
    }
}

int main(int count, char **arguments)
{
    struct campaign campaign;
    campaign_begin(&campaign, count, arguments);
    own_memory = (struct own_memory){ __libc_memalign, __libc_free };
    scenario_pause = spare;
    scenario_resume = arm_again;
    set_stages(&campaign);
    uint32_t *order = campaign_order(&campaign, job_count, 0);
    for (size_t i = 0; i < job_count && campaign_goes_on(&campaign); i++) run(&campaign, &jobs[order[i]]);
    own_free(order);
    for (size_t i = 0; i < stage_count; i++) stage_release(&stages[i]);
    own_free(stages);
    own_free(jobs);
    return campaign_end(&campaign, job_count);
}

#endif
