/* Small tables for tests: rows of (id int64, item utf8, vector float32[dim]) as Arrow streams, temporary
 * folders, and the brute force that every search is held to. */
#ifndef TESTS_SUPPORT_ROWS_H
#define TESTS_SUPPORT_ROWS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/random.h"
#include "column/column.h"
#include "kith.h"

#define assert_ok(call)                                                                                      \
    do {                                                                                                     \
        kith_error ok_error = { 0 };                                                                         \
        kith_error *error = &ok_error;                                                                       \
        kith_status ok_status = (call);                                                                      \
        if (ok_status) fail_msg("%s: %s: %s", #call, kith_status_name(ok_status), ok_error.message);         \
    } while (0)

struct rows {
    uint32_t dim;
    uint64_t count;
    float *vectors;
};

static inline struct rows rows_random(uint64_t count, uint32_t dim, uint64_t seed)
{
    struct rows rows = { dim, count, malloc((count ? count : 1) * dim * sizeof(float)) };
    struct kt_random random = { seed };
    for (uint64_t i = 0; i < count * dim; i++) rows.vectors[i] = kt_random_float(&random) - 0.3f;
    return rows;
}

static inline void rows_free(struct rows *rows)
{
    free(rows->vectors);
}

static inline struct kt_schema *rows_schema(uint32_t dim)
{
    struct kt_field number = { .name = (char *)"item", .id = -1, .type = KT_FLOAT32, .nullable = true };
    struct kt_field fields[] = {
        { .name = (char *)"id", .id = -1, .type = KT_INT64, .nullable = true },
        { .name = (char *)"item", .id = -1, .type = KT_UTF8, .nullable = true },
        { .name = (char *)"vector",
          .id = -1,
          .type = KT_FIXED_LIST,
          .nullable = true,
          .width = (int32_t)dim,
          .children = &number,
          .child_count = 1 },
    };
    struct kt_schema *schema = NULL;
    assert_ok(kt_schema_new(fields, 3, NULL, &schema, error));
    return schema;
}

/* Rows [begin, begin + count) as a stream of one batch; the first has id `first_id` and item "item
 * <first_id>". */
static inline struct ArrowArrayStream rows_stream_ids(const struct rows *rows, uint64_t begin, uint64_t count,
                                                      uint64_t first_id)
{
    struct kt_schema *schema = rows_schema(rows->dim);
    struct kt_builder *builder = NULL;
    struct kt_batch *batch = NULL;
    struct ArrowArrayStream stream = { 0 };
    assert_ok(kt_builder_new(schema, (int64_t)count, &builder, error));

    int64_t *ids = malloc((count ? count : 1) * sizeof *ids);
    int32_t *ends = malloc((count + 1) * sizeof *ends);
    char *text = malloc(count * 32 + 1);
    ends[0] = 0;
    for (uint64_t i = 0; i < count; i++) {
        ids[i] = (int64_t)(first_id + i);
        ends[i + 1] = ends[i] + sprintf(text + ends[i], "item %llu", (unsigned long long)(first_id + i));
    }
    struct kt_array id = { .field = &schema->fields[0], .length = (int64_t)count, .values = (uint8_t *)ids };
    struct kt_array item = { .field = &schema->fields[1],
                             .length = (int64_t)count,
                             .values = (uint8_t *)ends,
                             .data = (uint8_t *)text };
    struct kt_array numbers = { .field = schema->fields[2].children,
                                .length = (int64_t)(count * rows->dim),
                                .values = (const uint8_t *)(rows->vectors + begin * rows->dim) };
    struct kt_array vector = { .field = &schema->fields[2], .length = (int64_t)count, .children = &numbers };
    assert_ok(kt_builder_append(builder, 0, &id, 0, (int64_t)count, error));
    assert_ok(kt_builder_append(builder, 1, &item, 0, (int64_t)count, error));
    assert_ok(kt_builder_append(builder, 2, &vector, 0, (int64_t)count, error));
    assert_ok(kt_builder_finish(builder, &batch, error));
    assert_ok(kt_stream_of_batches(schema, &batch, 1, &stream, error));
    kt_batch_release(batch);
    kt_schema_release(schema);
    free(ids);
    free(ends);
    free(text);
    return stream;
}

/* The same with id i for row i. */
static inline struct ArrowArrayStream rows_stream(const struct rows *rows, uint64_t begin, uint64_t count)
{
    return rows_stream_ids(rows, begin, count, begin);
}

/* Reads a stream to its end and gives all its batches as one; NULL when there was no row. */
static inline struct kt_batch *stream_batch(struct ArrowArrayStream *stream)
{
    struct kt_schema *schema = NULL;
    struct kt_builder *builder = NULL;
    struct kt_batch *all = NULL;
    assert_ok(kt_stream_schema(stream, &schema, error));
    assert_ok(kt_builder_new(schema, 16, &builder, error));
    for (;;) {
        struct kt_batch *batch = NULL;
        assert_ok(kt_stream_next(stream, schema, &batch, error));
        if (!batch) break;
        for (uint32_t c = 0; c < schema->count; c++)
            assert_ok(kt_builder_append(builder, c, &batch->columns[c], 0, batch->rows, error));
        kt_batch_release(batch);
    }
    assert_ok(kt_builder_finish(builder, &all, error));
    stream->release(stream);
    kt_schema_release(schema);
    return all;
}

static inline float distance_of(kith_metric metric, const float *q, const float *x, uint32_t dim)
{
    double l2 = 0, dot = 0, qq = 0, xx = 0;
    for (uint32_t i = 0; i < dim; i++) {
        l2 += ((double)q[i] - x[i]) * ((double)q[i] - x[i]);
        dot += (double)q[i] * x[i];
        qq += (double)q[i] * q[i];
        xx += (double)x[i] * x[i];
    }
    if (metric == KITH_L2) return (float)l2;
    if (metric == KITH_DOT) return (float)(1 - dot);
    return qq && xx ? (float)(1 - dot / sqrt(qq * xx)) : 1;
}

struct near {
    float distance;
    uint64_t row;
};

static inline int by_nearness(const void *a, const void *b)
{
    const struct near *left = a, *right = b;
    if (left->distance != right->distance) return left->distance < right->distance ? -1 : 1;
    return left->row < right->row ? -1 : left->row > right->row;
}

/* The k nearest of the first `count` rows by brute force, in double precision. */
static inline void brute_force(const struct rows *rows, uint64_t count, kith_metric metric,
                               const float *query, size_t k, struct near *out)
{
    struct near *all = malloc((count ? count : 1) * sizeof *all);
    for (uint64_t i = 0; i < count; i++)
        all[i] = (struct near){ distance_of(metric, query, rows->vectors + i * rows->dim, rows->dim), i };
    qsort(all, count, sizeof *all, by_nearness);
    for (size_t i = 0; i < k; i++) out[i] = i < count ? all[i] : (struct near){ INFINITY, UINT64_MAX };
    free(all);
}

/* A new folder under $TMPDIR or /tmp; freed by folder_remove(). */
static inline char *folder_new(void)
{
    const char *base = getenv("TMPDIR");
    char *path = malloc(256);
    snprintf(path, 256, "%.200s/kith-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(path)) fail_msg("no temporary folder at %s", path);
    return path;
}

static inline void folder_remove(char *path)
{
    char command[320];
    snprintf(command, sizeof command, "rm -rf '%.250s'", path);
    if (system(command)) fail_msg("could not remove %s", path);
    free(path);
}

#endif
