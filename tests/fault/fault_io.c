/* Each system call of each scenario fails in turn: with each error that it can have, once and from then on,
 * by each way of publishing a file.
 *
 * While the disk is bad a step may fail, in words and with a status that blames the disk, and then nothing
 * has changed; a read gives the right rows or fails. What nothing struck must answer as ever. When the disk
 * is well again the same handles go on, a new one finds all that was acknowledged, nothing is left open.
 *
 *     fault_io --seed 7 --only append_files/link/eio/once/17
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "fault/campaign.h"
#include "fault/own.h"
#include "fault/seam.h"
#include "fault/stage.h"

enum { CALLS_MOST = 16384 };

struct job {
    uint16_t stage;
    uint8_t fault;
    bool for_good;
    uint32_t at;
};

static struct stage *stages; /* each scenario in each way */
static size_t stage_count;
static struct job *jobs;
static size_t job_count, job_room;

/* ---- what there is to do */

static void add_job(struct job job)
{
    if (job_count == job_room) {
        size_t room = job_room * 2 + 1024;
        jobs = own_grow(jobs, job_count, room, sizeof *jobs);
        job_room = room;
    }
    jobs[job_count++] = job;
}

/* Runs a scenario undisturbed, and makes a job of each call and each fault that can strike it. */
static void add_stage(size_t at, struct campaign *campaign)
{
    static uint8_t calls[CALLS_MOST];
    struct stage *stage = &stages[at];
    struct session session;
    struct disk *disk = disk_copy(stage->disk);
    disk_use(disk);
    session_begin(&session, STAGE_URI, &stage->model);
    seam_arm(NULL, 0, false);
    seam_note(calls, CALLS_MOST);
    for (size_t i = stage->before; i < stage->count; i++) {
        kith_error error = { 0 };
        struct answer answer = session_answer(&session, &stage->steps[i]);
        kith_status status = session_step(&session, &stage->steps[i], &error);
        if (answer_is(answer, status) && !session.complaint.text[0]) continue;
        snprintf(campaign->label, sizeof campaign->label, "%s/%s", stage->scenario->name,
                 disk_way_names[stage->way]);
        fprintf(stderr, "step %u (%s): ", stage->steps[i].number, stage->steps[i].op->kind->name);
        campaign_fail(campaign, session.complaint.text[0] ? session.complaint.text : error.message);
    }
    uint64_t count = seam_count();
    session_end(&session);
    disk_free(disk);
    for (uint32_t k = 0; k < count && k < CALLS_MOST; k++)
        for (uint8_t f = 0; f < seam_fault_count; f++)
            for (int good = 0; good < 2; good++)
                if ((seam_faults[f].calls & 1u << calls[k]) && !(good && seam_faults[f].only_once))
                    add_job((struct job){ (uint16_t)at, f, good, k });
}

static void set_stages(struct campaign *campaign)
{
    stages = own_new(scenario_count * DISK_WAYS, sizeof *stages);
    for (size_t i = 0; i < scenario_count; i++) {
        if (!campaign_wants(campaign, scenarios[i].name)) continue;
        for (int way = 0; way < DISK_WAYS; way++)
            stage_set(&stages[stage_count++], &scenarios[i], (enum disk_way)way, campaign->seed);
    }
    seam_install();
    for (size_t i = 0; i < stage_count; i++) add_stage(i, campaign);
}

/* ---- one run */

/* Whether a step that was struck may answer so. */
static bool blames_the_disk(kith_status status)
{
    return status == KITH_OK || status == KITH_IO || status == KITH_UNKNOWN || status == KITH_UNSUPPORTED;
}

static void run_steps(const struct stage *stage, const struct seam_fault *fault, struct session *session)
{
    for (size_t i = stage->before; i < stage->count && !session->complaint.text[0]; i++) {
        kith_error error = { 0 };
        uint64_t struck = seam_struck();
        const struct step *step = &stage->steps[i];
        struct answer answer = session_answer(session, step);
        kith_status status = session_step(session, step, &error);
        if (answer_is(answer, status)) continue;
        struck = fault->harmless ? 0 : seam_struck() - struck;
        if (!struck)
            complain(&session->complaint, "%s, not struck, answers %s instead of %s: %.300s",
                     step->op->kind->name, kith_status_name(status), kith_status_name(answer.status),
                     error.message);
        else if (!blames_the_disk(status))
            complain(&session->complaint, "%s, struck, answers %s: %.300s", step->op->kind->name,
                     kith_status_name(status), error.message);
    }
}

static void run(struct campaign *campaign, const struct job *job)
{
    const struct stage *stage = &stages[job->stage];
    const struct seam_fault *fault = &seam_faults[job->fault];
    struct session session;
    kith_error error = { 0 };
    if (!campaign_run(campaign, "%s/%s/%s/%s/%u", stage->scenario->name, disk_way_names[stage->way],
                      fault->name, job->for_good ? "for-good" : "once", job->at))
        return;
    struct disk *disk = disk_copy(stage->disk);
    disk_use(disk);
    session_begin(&session, STAGE_URI, &stage->model);
    seam_arm(fault, job->at, job->for_good);
    run_steps(stage, fault, &session);
    seam_arm(NULL, 0, false);

    if (!session.complaint.text[0] && session_goes_on(&session, &error))
        complain(&session.complaint, "the disk is well again, the handles are not: %.300s", error.message);
    if (!session.complaint.text[0]) model_fits(&session.model, STAGE_URI, LOOK_CLOSELY, &session.complaint);
    struct complaint complaint = session.complaint;
    session_end(&session);
    if (disk_open_things(disk))
        complain(&complaint, "%zu descriptors or maps are still open", disk_open_things(disk));
    if (complaint.text[0]) {
        campaign_fail(campaign, complaint.text);
        if (campaign->only) disk_print(disk);
    }
    disk_free(disk);
}

int main(int count, char **arguments)
{
    struct campaign campaign;
    campaign_begin(&campaign, count, arguments);
    scenario_pause = seam_pause;
    scenario_resume = seam_resume;
    set_stages(&campaign);
    for (uint64_t round = 0; round == 0 || campaign.runs; round++) {
        uint32_t *order = campaign_order(&campaign, job_count, round);
        for (size_t i = 0; i < job_count && campaign_goes_on(&campaign); i++) run(&campaign, &jobs[order[i]]);
        own_free(order);
        if (!campaign_goes_on(&campaign) || campaign.only) break;
    }
    for (size_t i = 0; i < stage_count; i++) stage_release(&stages[i]);
    own_free(stages);
    own_free(jobs);
    return campaign_end(&campaign, job_count);
}
