/* Power is cut after each change that a scenario makes to the disk, and each of several things is found there
 * afterwards: nothing that was not synced, all of it, names without bytes, any mixture (disk_crash.c).
 *
 * Each image must open and be whole: every acknowledged step done, the one at work done or not done, every
 * byte verified; then it takes an append. Now and then the power is cut again, during that append.
 *
 *     fault_crash --seed 7 --only append_files/link/37/anything/2
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "fault/campaign.h"
#include "fault/own.h"
#include "fault/seam.h"
#include "fault/stage.h"

enum {
    MOMENTS_MOST = 4096,
    TWICE_IN = 8, /* one image in so many is cut off again */
};

/* The disk at one moment, and which steps had been acknowledged by then. */
struct moment {
    struct disk *disk;
    size_t done;  /* models[done] is what was acknowledged, */
    bool at_work; /* and models[done + 1] what a step was about to make of it, */
    bool between; /* or between[done], where a step does a part that is whole by itself: it has been done */
};

struct trace {
    struct disk *disk;
    struct model models[STEPS_MOST + 1], between[STEPS_MOST];
    size_t step_count, step; /* the one at work */
    const struct session *session;
    struct moment moments[MOMENTS_MOST];
    size_t count;
};

static struct trace *recording; /* the one that record() adds to */

static void add_moment(struct trace *trace, bool at_work)
{
    if (trace->count == MOMENTS_MOST) return;
    const struct model *now = &trace->session->model;
    bool between = at_work && now->version_count != trace->models[trace->step].version_count;
    if (between && !trace->between[trace->step].version_count) model_copy(now, &trace->between[trace->step]);
    trace->moments[trace->count++] = (struct moment){ disk_copy(trace->disk), trace->step, at_work, between };
}

static void record(enum seam_call call)
{
    if (recording && call != CALL_CLOSE) add_moment(recording, true);
}

/* Runs steps on a copy of `disk`, and keeps the moments. */
static void trace_steps(struct trace *trace, const struct disk *disk, const struct model *model,
                        const struct step *steps, size_t count, struct complaint *complaint)
{
    struct session session;
    trace->disk = disk_copy(disk);
    trace->step_count = count;
    trace->count = 0;
    disk_use(trace->disk);
    session_begin(&session, STAGE_URI, model);
    trace->session = &session;
    model_copy(model, &trace->models[0]);
    for (trace->step = 0; trace->step < count;) {
        kith_error error = { 0 };
        const struct step *step = &steps[trace->step];
        struct answer answer = session_answer(&session, step);
        recording = trace;
        kith_status status = session_step(&session, step, &error);
        recording = NULL;
        if (!answer_is(answer, status)) complain(&session.complaint, "undisturbed: %.400s", error.message);
        model_copy(&session.model, &trace->models[++trace->step]);
        add_moment(trace, false);
    }
    *complaint = session.complaint;
    session_end(&session);
    disk_free(trace->disk);
}

static void trace_release(struct trace *trace)
{
    for (size_t i = 0; i < trace->count; i++) disk_free(trace->moments[i].disk);
    for (size_t i = 0; i <= trace->step_count; i++) model_release(&trace->models[i]);
    for (size_t i = 0; i < trace->step_count; i++) model_release(&trace->between[i]);
}

/* ---- one image */

/* Which of the models that are allowed the image in use is: NULL and a complaint if none. */
static const struct model *which_model(const struct trace *trace, const struct moment *moment,
                                       struct complaint *complaint)
{
    const struct model *before = &trace->models[moment->done], *after = before + 1;
    struct complaint not_done = { 0 }, not_undone = { 0 };
    if (moment->at_work && model_fits(after, STAGE_URI, LOOK_ROWS, &not_done)) return after;
    const struct model *part = &trace->between[moment->done];
    if (moment->at_work && part->version_count && model_fits(part, STAGE_URI, LOOK_ROWS, &not_undone))
        return part;
    if (moment->between) before = part;
    not_undone.text[0] = 0;
    if (model_fits(before, STAGE_URI, LOOK_ROWS, &not_undone)) return before;
    complain(complaint, "%s: %.250s%s%.200s",
             moment->at_work ? "not as before" : "what was acknowledged is lost", not_undone.text,
             moment->at_work ? "; not as after: " : "", not_done.text);
    return NULL;
}

static void check_moment(const struct trace *trace, const struct moment *moment, enum disk_crash kind,
                         struct kt_random *random, bool again, struct complaint *complaint);

/* Traces an append to the image, and cuts the power in it. */
static void crash_again(const struct disk *image, const struct model *model, struct kt_random *random,
                        struct complaint *complaint)
{
    static struct trace second;
    static const struct op append = { .kind = &op_append, .rows = 3 },
                           create = { .kind = &op_create, .rows = 3 };
    struct step step = { model->exists ? &append : &create, 800 };
    trace_steps(&second, image, model, &step, 1, complaint);
    if (!complaint->text[0]) {
        const struct moment *moment = &second.moments[kt_random_below(random, second.count)];
        check_moment(&second, moment, CRASH_ANYTHING, random, false, complaint);
    }
    trace_release(&second);
}

static void check_moment(const struct trace *trace, const struct moment *moment, enum disk_crash kind,
                         struct kt_random *random, bool again, struct complaint *complaint)
{
    struct session session;
    kith_error error = { 0 };
    struct disk *image = disk_crash(moment->disk, kind, random);
    disk_use(image);
    const struct model *model = which_model(trace, moment, complaint);
    if (model) {
        struct disk *second = again ? disk_copy(image) : NULL;
        session_begin(&session, STAGE_URI, model);
        if (session_goes_on(&session, &error))
            complain(&session.complaint, "afterwards: %.400s", error.message);
        if (!session.complaint.text[0])
            model_fits(&session.model, STAGE_URI, LOOK_CLOSELY, &session.complaint);
        *complaint = session.complaint;
        session_end(&session);
        if (again && !complaint->text[0]) crash_again(second, model, random, complaint);
        disk_free(second);
    }
    disk_free(image);
}

/* ---- all of them */

static void run(struct campaign *campaign, const struct stage *stage, const struct trace *trace, size_t at,
                enum disk_crash kind, uint32_t number)
{
    const struct moment *moment = &trace->moments[at];
    struct complaint complaint = { 0 };
    if (!campaign_run(campaign, "%s/%s/%zu/%s/%u", stage->scenario->name, disk_way_names[stage->way], at,
                      disk_crash_names[kind], number))
        return;
    struct kt_random random = { kt_mix(campaign->seed) ^ kt_mix(at * 64 + kind * 8u + number) };
    bool again = kt_random_below(&random, TWICE_IN) == 0;
    check_moment(trace, moment, kind, &random, again, &complaint);
    if (!complaint.text[0]) return;
    campaign_fail(campaign, complaint.text);
    if (campaign->only) disk_print(moment->disk);
}

static void run_stage(struct campaign *campaign, const struct scenario *scenario, enum disk_way way)
{
    static const int images[CRASH_KINDS] = { 1, 1, 1, 1, 1, 3 };
    static struct trace trace;
    struct stage stage;
    struct complaint complaint = { 0 };
    snprintf(campaign->label, sizeof campaign->label, "%s/%s", scenario->name, disk_way_names[way]);
    if (!campaign_wants(campaign, campaign->label)) return;
    stage_set(&stage, scenario, way, campaign->seed);
    trace_steps(&trace, stage.disk, &stage.model, stage.steps + stage.before, stage.count - stage.before,
                &complaint);
    if (complaint.text[0]) campaign_fail(campaign, complaint.text);
    for (size_t at = 0; at < trace.count; at++) {
        bool dirty = disk_is_dirty(trace.moments[at].disk);
        for (int kind = dirty ? 0 : CRASH_ALL; kind < (dirty ? CRASH_KINDS : CRASH_ALL + 1); kind++)
            for (uint32_t i = 0; i < (uint32_t)images[kind] && campaign_goes_on(campaign); i++)
                run(campaign, &stage, &trace, at, (enum disk_crash)kind, i);
    }
    trace_release(&trace);
    stage_release(&stage);
}

/* On a disk that forgets every fourth sync there must be failures, or this program is blind. */
static void rehearse(const struct campaign *campaign)
{
    struct campaign own = { .seed = campaign->seed, .failures_most = 1, .rehearsal = true };
    seam_lie(4);
    for (size_t i = 0; i < scenario_count && !own.failures; i++)
        run_stage(&own, &scenarios[i], DISK_NAMELESS);
    seam_lie(0);
    if (own.failures) return;
    fprintf(stderr, "a disk that forgets syncs was not noticed in %llu images\n",
            (unsigned long long)own.done);
    exit(4);
}

int main(int count, char **arguments)
{
    struct campaign campaign;
    size_t stages = scenario_count * DISK_WAYS;
    campaign_begin(&campaign, count, arguments);
    uint64_t seed = campaign.seed;
    struct disk *none = disk_new(0);
    disk_use(none);
    seam_install();
    seam_watch = record;
    rehearse(&campaign);
    for (uint64_t round = 0; round == 0 || (campaign.runs && !campaign.only); round++, campaign.seed++) {
        uint32_t *order = campaign_order(&campaign, stages, round);
        for (size_t i = 0; i < stages && campaign_goes_on(&campaign); i++)
            run_stage(&campaign, &scenarios[order[i] / DISK_WAYS], (enum disk_way)(order[i] % DISK_WAYS));
        own_free(order);
        if (!campaign_goes_on(&campaign)) break;
    }
    campaign.seed = seed;
    disk_free(none);
    return campaign_end(&campaign, 0);
}
