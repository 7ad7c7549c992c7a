/* What the tests of indexes with runs share: an index over the first rows of a column, the others added in
 * parts, some files merged, and what is to be found then. */
#ifndef KT_TEST_RUNS_FIXTURE_H
#define KT_TEST_RUNS_FIXTURE_H

#include "index_fixture.h"

/* A column whose first rows an index is built over: the rows of all runs from `rows` on come later. */
static inline struct built build_first(struct column *c, struct kt_index_plan plan, uint64_t rows)
{
    struct column first = *c;
    struct kt_vectors_run run = c->runs[0];
    run.rows = run.span = rows;
    first.rows = rows;
    first.vectors.runs = &run;
    return build(&first, plan, 2);
}

/* How the rows of a column beyond `first` come: many at a time, one, none, a few. */
static inline json_int_t extend_in_parts(const struct column *c, struct built *b, uint64_t first)
{
    uint64_t left = c->rows - first;
    const uint64_t ends[] = { first + left / 2, first + left / 2 + 1, first + left / 2 + 1,
                              first + left / 2 + 30, c->rows };
    json_int_t rows = 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        rows += extend(c, b, first, ends[i]);
        first = ends[i];
    }
    return rows;
}

static inline void check_complete(const struct column *c, const struct built *b, const uint8_t *null)
{
    struct kt_hit *hits = kt_alloc_array(c->rows, sizeof *hits);
    uint8_t *seen = kt_alloc_zero(c->rows, 1);
    float *query = kt_alloc_zero(c->vectors.dim, sizeof *query);
    struct kt_index_query ask = { .vector = query, .k = (uint32_t)c->rows, .nprobes = 10000 };
    column_floats(c, c->rows - 1, query);
    size_t found = index_hits(c, b, ask, hits, NULL);
    for (size_t i = 0; i < found; i++) {
        assert_true(hits[i].row < c->rows && !seen[hits[i].row]);
        seen[hits[i].row] = 1;
    }
    for (uint64_t r = 0; r < c->rows; r++)
        if (seen[r] != !(null && null[r]))
            fail_msg("type %d, metric %d: row %llu", b->plan.type, b->plan.metric, (unsigned long long)r);
    kt_free(hits);
    kt_free(seen);
    kt_free(query);
}

static inline void check_own_vectors(const struct column *c, const struct built *b, uint64_t step)
{
    float *query = kt_alloc_zero(c->vectors.dim, sizeof *query);
    for (uint64_t r = 0; r < c->rows; r += step) {
        struct kt_hit hit;
        struct kt_index_query ask = { .vector = query, .k = 1, .nprobes = 1 };
        column_floats(c, r, query);
        if (index_hits(c, b, ask, &hit, NULL) != 1 || hit.distance > 1e-6f)
            fail_msg("type %d, metric %d: row %llu is not found in the first list", b->plan.type,
                     b->plan.metric, (unsigned long long)r);
    }
    kt_free(query);
}

/* ---- among some rows ---- */

/* About `share` of the rows of a column. */
static inline struct kt_selection choose(const struct column *c, double share)
{
    struct kt_selection s = { kt_alloc_zero(c->rows / 64 + 1, sizeof(uint64_t)), c->rows, 0 };
    struct kt_random random = { seed };
    const uint64_t one = 1;
    for (uint64_t row = 0; row < c->rows; row++)
        if ((double)kt_random_float(&random) < share) kt_selection_put(&s, row, &one, 1);
    return s;
}

/* Recall among the rows of a selection, of answers that are as long as they can be and hold no other row. */
static inline double recall_among(const struct column *c, const struct built *b, const struct truth *truth,
                                  const struct kt_selection *among, struct kt_index_query ask)
{
    struct kt_hit hits[10];
    uint64_t found = 0, wanted = 0;
    for (uint64_t q = 0; q < truth->count; q++) {
        const struct kt_hit *all = truth->hits + q * truth->k;
        struct kt_arena scratch = { 0 };
        struct kt_scan_query scan;
        uint64_t there = 0;
        float farthest = 0;
        ask.vector = truth->queries + q * c->vectors.dim;
        assert_int_equal(
            kt_scan_prepare(&c->vectors, b->plan.metric, ask.vector, KITH_F32, &scratch, &scan, NULL),
            KITH_OK);
        scan.among = among;
        ask.exact = &scan;
        for (size_t i = 0; i < truth->there[q] && there < ask.k; i++) {
            if (!kt_selected(among, all[i].row)) continue;
            farthest = all[i].distance;
            there++;
        }
        size_t count = index_hits(c, b, ask, hits, NULL);
        assert_int_equal(count, there);
        for (size_t i = 0; i < count; i++) {
            assert_true(kt_selected(among, hits[i].row));
            found += hits[i].distance <= farthest;
        }
        wanted += there;
        kt_arena_release(&scratch);
    }
    return wanted ? (double)found / (double)wanted : 1;
}

/* ---- merging ---- */

/* Merges files [first, first + count) of `b`, and opens what comes of it. */
static inline kith_status merge_try(const struct column *c, struct built *b, uint32_t first, uint32_t count,
                                    const struct kt_selection *live, struct kt_work *work, json_t **meta,
                                    kith_error *error)
{
    struct kt_buffer made = { 0 };
    struct kt_sink *sink = NULL;
    kith_status status = kt_sink_memory(&made, &sink, error);
    if (!status) status = b->ops->merge(b->index, first, count, live, &c->vectors, work, sink, meta, error);
    if (status) {
        kt_sink_abandon(sink);
        kt_buffer_release(&made);
        return status;
    }
    assert_int_equal(kt_sink_finish(sink, NULL, error), KITH_OK);
    uint32_t runs = first ? first - 1 : 0, gone = first ? count : count - 1; /* of b->runs, from `runs` on */
    for (uint32_t i = 0; i < gone; i++) kt_buffer_release(&b->runs[runs + i]);
    memmove(b->runs + runs, b->runs + runs + gone, (b->run_count - runs - gone) * sizeof *b->runs);
    b->run_count -= gone;
    if (!first) {
        kt_free(b->bytes);
        b->bytes = made.data;
        b->size = made.size;
        return KITH_OK;
    }
    memmove(b->runs + runs + 1, b->runs + runs, (b->run_count - runs) * sizeof *b->runs);
    b->runs[runs] = made;
    b->run_count++;
    return KITH_OK;
}

/* The same, and returns how many rows the file has. */
static inline json_int_t merge(const struct column *c, struct built *b, uint32_t first, uint32_t count,
                               const struct kt_selection *live)
{
    struct kt_work work = { .threads = 2 };
    kith_error error = { 0 };
    json_t *meta = NULL;
    if (merge_try(c, b, first, count, live, &work, &meta, &error)) fail_msg("%s", error.message);
    json_int_t rows = json_integer_value(json_object_get(meta, "rows"));
    json_decref(meta);
    reopen(b, NULL);
    return rows;
}

#endif
