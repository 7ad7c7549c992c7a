/* A scenario made ready: its steps, and the disk and the model after those that only prepare. */
#ifndef TESTS_FAULT_STAGE_H
#define TESTS_FAULT_STAGE_H

#include "fault/disk.h"
#include "fault/scenario.h"

struct stage {
    const struct scenario *scenario;
    enum disk_way way;
    struct step steps[STEPS_MOST];
    size_t count, before;
    struct disk *disk;
    struct model model;
};
#define STAGE_URI "/db"

/** Prepares a scenario on a disk of its own. What goes wrong here is no fault of a fault: the program ends.
 */
void stage_set(struct stage *stage, const struct scenario *scenario, enum disk_way way, uint64_t seed);
void stage_release(struct stage *stage);

#endif
