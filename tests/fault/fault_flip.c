/* Every byte of a table that has files of every kind is changed, one at a time, and everything is read: the
 * table must say that it is damaged, or give the same answers as before. Never another answer, never a crash.
 *
 * What nothing reads is counted by kind of file: a byte is unused when all reads and kith_table_verify()
 * pass.
 *
 *     fault_flip --seed 7 --only 00000000000000000003.commit/17
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault/campaign.h"
#include "fault/own.h"
#include "fault/stage.h"

/* Commits with rows, deletions, tags and columns in them, a checkpoint, vectors, other columns, a fold,
 * indexes of each kind. */
static const struct op everything[] = {
    { .kind = &op_create, .rows = 110, .pad = 600, .keyed = true },
    { .kind = &op_append, .rows = 3, .times = 2 },
    { .kind = &op_tag, .number = 2 }, /* which keeps a checkpoint */
    { .kind = &op_delete, .number = 10 },
    { .kind = &op_index, .index = VECTOR_INDEX },
    { .kind = &op_index, .index = NUMBER_INDEX, .type = KITH_BITMAP },
    { .kind = &op_index, .index = ID_INDEX, .type = KITH_BTREE },
    { .kind = &op_add_column },
    { .kind = &op_append, .rows = 3 },
    { .kind = &op_update, .number = 20 },
    { .kind = NULL },
};
/* And what a graph has: a base, runs of new rows, a fold without the dead. */
static const struct op graph[] = {
    { .kind = &op_create, .rows = 60, .pad = 1200 },
    { .kind = &op_index, .index = VECTOR_INDEX, .type = KITH_HNSW },
    { .kind = &op_append, .rows = 20 },
    { .kind = &op_optimize, .number = 1 },
    { .kind = &op_tag, .number = 2 },
    { .kind = &op_delete, .number = 50 },
    { .kind = &op_append, .rows = 5 },
    { .kind = &op_optimize, .number = 1 },
    { .kind = NULL },
};
static const struct scenario flipped[] = {
    { "everything", everything, sizeof everything / sizeof *everything - 1 },
    { "graph", graph, sizeof graph / sizeof *graph - 1 },
};

struct spot { /* a byte */
    uint32_t node, offset;
};

struct kind { /* of file */
    const char *ending;
    uint64_t bytes, unused;
};
static struct kind kinds[] = {
    { ".commit", 0, 0 }, { ".checkpoint", 0, 0 }, { ".arrow", 0, 0 }, { ".kix", 0, 0 }, { "", 0, 0 }
};

static struct kind *kind_of(const char *name)
{
    struct kind *kind = kinds;
    while (!strstr(name, kind->ending)) kind++;
    return kind;
}

/* ---- reading everything */

static kith_status read_older(kith_database *db, const struct model *model, uint64_t version,
                              struct complaint *complaint, kith_error *error)
{
    kith_table *table = NULL;
    kith_status status = kith_open_table_version(db, model->name, version, &table, error);
    if (!status) status = look_rows(table, model, version, complaint, error);
    kith_table_close(table);
    return status;
}

enum { READS = 8 };

static kith_status read_once(int which, kith_database *db, kith_table *table, const struct model *model,
                             struct complaint *complaint, kith_error *error)
{
    const struct rows *rows = model_rows(model);
    switch (which) {
    case 0:
        return look_rows(table, model, 0, complaint, error);
    case 1:
        return look_indexes(table, model, complaint, error);
    case 2:
        return look_tags(table, model, complaint, error);
    case 3:
        return look_search(table, rows, complaint, error);
    case 4:
        return look_filter(table, rows, complaint, error);
    case 5:
        return read_older(db, model, model->tagged, complaint, error);
    case 6:
        return read_older(db, model, model->version_count / 2, complaint, error);
    default:
        return kith_table_verify(table, NULL, error);
    }
}

/* All reads, beginning with the one that is `first`, up to one that fails: over many bytes each of them meets
 * damage before another has seen it. */
static kith_status read_everything(const struct model *model, int first, struct complaint *complaint,
                                   kith_error *error)
{
    kith_database *db = NULL;
    kith_table *table = NULL;
    kith_status status = kith_open(STAGE_URI, &db, error);
    if (!status) status = kith_open_table(db, model->name, &table, error);
    for (int i = 0; i < READS && !status; i++)
        status = read_once((first + i) % READS, db, table, model, complaint, error);
    kith_table_close(table);
    kith_close(db);
    return status;
}

/* ---- one byte */

static void run(struct campaign *campaign, const struct stage *stage, struct spot spot, uint64_t dice)
{
    uint8_t change = (uint8_t)(1 + dice % 255);
    size_t size;
    struct complaint complaint = { 0 };
    kith_error error = { 0 };
    const char *name = disk_name(stage->disk, spot.node);
    if (!campaign_run(campaign, "%s/%u", name, spot.offset)) return;
    uint8_t *bytes = disk_bytes(stage->disk, spot.node, &size);
    bytes[spot.offset] ^= change;
    kith_status status = read_everything(&stage->model, (int)(dice >> 32) % READS, &complaint, &error);
    bytes[spot.offset] ^= change;
    kind_of(name)->bytes++;
    kind_of(name)->unused += !status;
    if (status && !error.message[0]) complain(&complaint, "%s without a word", kith_status_name(status));
    if (status && status != KITH_CORRUPT && status != KITH_IO)
        complain(&complaint, "the damage is called %s: %.400s", kith_status_name(status), error.message);
    if (complaint.text[0]) campaign_fail(campaign, complaint.text);
}

/* ---- all of them */

static struct spot *find_spots(const struct stage *stage, size_t *count)
{
    size_t total = 0, at = 0, size;
    for (size_t n = 0; n < disk_node_count(stage->disk); n++)
        if (disk_bytes(stage->disk, n, &size)) total += size;
    struct spot *spots = own_new(total, sizeof *spots);
    for (size_t n = 0; n < disk_node_count(stage->disk); n++) {
        if (!disk_bytes(stage->disk, n, &size)) continue;
        for (size_t i = 0; i < size; i++) spots[at++] = (struct spot){ (uint32_t)n, (uint32_t)i };
    }
    *count = total;
    return spots;
}

static void report(void)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].bytes)
            printf("%llu%s bytes, %llu unused; ", (unsigned long long)kinds[i].bytes, kinds[i].ending,
                   (unsigned long long)kinds[i].unused);
}

/* The scenario's bytes, one after the other; how many there are. */
static size_t flip(struct campaign *campaign, const struct scenario *scenario, double seconds)
{
    struct stage stage;
    size_t count;
    stage_set(&stage, scenario, DISK_NAMELESS, campaign->seed);
    struct spot *spots = find_spots(&stage, &count);
    struct complaint complaint = { 0 };
    kith_error error = { 0 };
    if (read_everything(&stage.model, 0, &complaint, &error) || complaint.text[0]) {
        fprintf(stderr, "%s, undamaged: %s %s\n", scenario->name, error.message, complaint.text);
        exit(4);
    }
    campaign->seconds = seconds;
    uint32_t *order = campaign_order(campaign, count, 0);
    for (size_t i = 0; i < count && campaign_goes_on(campaign); i++)
        run(campaign, &stage, spots[order[i]], kt_mix(campaign->seed << 32 | order[i]));
    own_free(order);
    own_free(spots);
    stage_release(&stage);
    return count;
}

int main(int argument_count, char **arguments)
{
    enum { SCENARIOS = sizeof flipped / sizeof *flipped };
    struct campaign campaign;
    size_t count = 0;
    campaign_begin(&campaign, argument_count, arguments);
    double seconds = campaign.seconds;
    for (int i = 0; i < SCENARIOS; i++) count += flip(&campaign, &flipped[i], seconds * (i + 1) / SCENARIOS);
    report();
    return campaign_end(&campaign, count);
}
