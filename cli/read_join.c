/* Two files side by side: vectors in one, the columns that describe them in another.
 *
 * Row i of one belongs to row i of the other, so both must have the same number of rows. The two give
 * batches of different sizes; each time the smaller one decides, and the rest of the larger waits.
 */
#include "reader.h"

#include <stdlib.h>
#include <string.h>

#include "arrow_make.h"

struct side {
    struct rows *rows;
    const char *path;
    struct shared_batch *batch;
    int64_t at;
    int64_t seen;
    bool ended;
};

struct join_rows {
    struct rows base;
    struct side sides[2];
};

static kith_status join_schema(struct rows *self, struct ArrowSchema *out, kith_error *error)
{
    struct join_rows *join = (struct join_rows *)self;
    struct ArrowSchema parts[2] = { { 0 }, { 0 } };
    kith_status status = KITH_OK;
    for (int i = 0; i < 2 && !status; i++)
        status = join->sides[i].rows->schema(join->sides[i].rows, &parts[i], error);
    for (int64_t i = 0; !status && i < parts[0].n_children; i++) {
        for (int64_t j = 0; !status && j < parts[1].n_children; j++) {
            if (strcmp(parts[0].children[i]->name, parts[1].children[j]->name) != 0) continue;
            status = cli_fail(
                error, KITH_TYPE,
                "'%s' and '%s' both have a column '%s'; rename one (--vector NAME names the vectors)",
                join->sides[0].path, join->sides[1].path, parts[0].children[i]->name);
        }
    }
    if (!status) {
        cli_schema_make(out, "+s", "", parts[0].n_children + parts[1].n_children);
        int64_t at = 0;
        for (int part = 0; part < 2; part++) {
            for (int64_t i = 0; i < parts[part].n_children; i++) {
                *out->children[at++] = *parts[part].children[i];
                parts[part].children[i]->release = NULL; // moved
            }
        }
    }
    for (int i = 0; i < 2; i++) {
        if (parts[i].release) parts[i].release(&parts[i]);
    }
    return status;
}

/* Rows that wait on one side, read on when there are none. */
static kith_status side_fill(struct side *side, int64_t most, kith_error *error)
{
    while (!side->ended && (!side->batch || side->at >= cli_batch_rows(side->batch))) {
        struct ArrowArray array = { 0 };
        cli_batch_unshare(side->batch);
        side->batch = NULL;
        kith_status status = side->rows->next(side->rows, most, &array, error);
        if (status) return status;
        if (!array.release) {
            side->ended = true;
        } else {
            side->seen += array.length;
            side->batch = cli_batch_share(&array);
            side->at = 0;
        }
    }
    return KITH_OK;
}

static kith_status uneven(const struct join_rows *join, kith_error *error)
{
    const struct side *shorter = &join->sides[join->sides[0].ended ? 0 : 1];
    const struct side *longer = &join->sides[join->sides[0].ended ? 1 : 0];
    return cli_fail(error, KITH_INVALID,
                    "'%s' ends after %lld rows, '%s' has more; both must have one row each for the other's",
                    shorter->path, (long long)shorter->seen, longer->path);
}

static void take_columns(struct side *side, int64_t count, struct ArrowArray *out, int64_t at)
{
    struct ArrowArray part;
    cli_batch_slice(side->batch, side->at, count, &part);
    for (int64_t i = 0; i < part.n_children; i++) {
        *out->children[at + i] = *part.children[i];
        part.children[i]->release = NULL; // moved
    }
    part.release(&part);
    side->at += count;
}

static kith_status join_next(struct rows *self, int64_t most, struct ArrowArray *out, kith_error *error)
{
    struct join_rows *join = (struct join_rows *)self;
    struct side *left = &join->sides[0], *right = &join->sides[1];
    kith_status status = side_fill(left, most, error);
    if (!status) status = side_fill(right, most, error);
    if (status) return status;
    if (left->ended && right->ended) return KITH_OK;
    if (left->ended || right->ended) return uneven(join, error);

    int64_t count = cli_batch_rows(left->batch) - left->at;
    int64_t other = cli_batch_rows(right->batch) - right->at;
    if (other < count) count = other;
    if (most < count) count = most;
    int64_t columns = cli_batch_columns(left->batch);
    cli_array_make(out, count, 1, columns + cli_batch_columns(right->batch));
    take_columns(left, count, out, 0);
    take_columns(right, count, out, columns);
    return KITH_OK;
}

static void join_free(struct rows *self)
{
    struct join_rows *join = (struct join_rows *)self;
    for (int i = 0; i < 2; i++) {
        cli_batch_unshare(join->sides[i].batch);
        cli_rows_free(join->sides[i].rows);
    }
    free(join);
}

kith_status cli_rows_join(struct rows *left, const char *left_path, struct rows *right,
                          const char *right_path, struct rows **out, kith_error *error)
{
    struct join_rows *join = cli_alloc(sizeof *join);
    *join = (struct join_rows){
        .base = { .schema = join_schema,
                  .next = join_next,
                  .free = join_free,
                  .total_known = left->total_known,
                  .total = left->total },
        .sides = { { .rows = left, .path = left_path }, { .rows = right, .path = right_path } },
    };
    if (left->total_known && right->total_known && left->total != right->total) {
        kith_status status = cli_fail(
            error, KITH_INVALID,
            "'%s' has %llu rows, '%s' has %llu; both must have one row each for the other's", left_path,
            (unsigned long long)left->total, right_path, (unsigned long long)right->total);
        join_free(&join->base);
        return status;
    }
    *out = &join->base;
    return KITH_OK;
}
