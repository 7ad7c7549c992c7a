/* What the tests of the index room share: columns of vectors in memory, indexes built over them, and the
 * truth. */
#ifndef KT_TEST_INDEX_FIXTURE_H
#define KT_TEST_INDEX_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/random.h"
#include "index/index.h"

/* A column in memory: up to 4 runs, some rows null. */
struct column {
    struct kt_vectors vectors;
    struct kt_vectors_run runs[4];
    struct run_memory {
        const uint8_t *data;
        const uint8_t *validity;
        uint64_t bit_offset;
        size_t row_bytes;
    } memory[4];
    uint8_t *data;
    uint8_t *validity;
    uint64_t rows;
};

static kith_status column_view(void *context, uint64_t offset, uint64_t count, struct kt_vectors_view *out,
                               kith_error *error)
{
    struct run_memory *memory = context;
    (void)count, (void)error;
    *out = (struct kt_vectors_view){ memory->data + offset * memory->row_bytes, memory->validity,
                                     memory->bit_offset + offset };
    return KITH_OK;
}

/* One run from row id 0 over `data`, which the column takes over. */
static inline void column_init(struct column *c, void *data, uint64_t rows, uint32_t dim,
                               kith_element element)
{
    memset(c, 0, sizeof *c);
    c->data = data;
    c->rows = rows;
    c->memory[0] = (struct run_memory){ data, NULL, 0, dim * kt_element_bytes(element) };
    c->runs[0] = (struct kt_vectors_run){ 0, rows, &c->memory[0], column_view };
    c->vectors = (struct kt_vectors){ dim, element, c->runs, 1 };
}

/* Cuts the column into 3 runs with row ids missing between them, and makes every `nth` row null (0: none). */
static inline void column_cut(struct column *c, uint64_t nth)
{
    uint64_t third = c->rows / 3;
    uint64_t begin[4] = { 0, third, 2 * third, c->rows }, first[3] = { 1000, 1000 + third + 7, 500000 };
    if (nth) {
        c->validity = kt_alloc(c->rows / 8 + 2);
        assert_non_null(c->validity);
        memset(c->validity, 0xff, c->rows / 8 + 2);
        for (uint64_t i = 0; i < c->rows; i += nth) kt_bit_clear(c->validity, i + 3);
    }
    for (int r = 0; r < 3; r++) {
        size_t row_bytes = c->vectors.dim * kt_element_bytes(c->vectors.element);
        c->memory[r] =
            (struct run_memory){ c->data + begin[r] * row_bytes, c->validity, 3 + begin[r], row_bytes };
        c->runs[r] = (struct kt_vectors_run){ first[r], begin[r + 1] - begin[r], &c->memory[r], column_view };
    }
    c->vectors.run_count = 3;
}

static inline void column_release(struct column *c)
{
    kt_free(c->data);
    kt_free(c->validity);
}

/* `rows` rows around `blobs` points. Whole numbers for the integer types. */
static inline void *random_numbers(uint64_t rows, uint32_t dim, kith_element element, uint32_t blobs,
                                   uint64_t seed)
{
    struct kt_random random = { seed };
    float *centers = kt_alloc_array((size_t)blobs * dim, sizeof *centers);
    uint8_t *data = kt_alloc_aligned(rows * dim * kt_element_bytes(element) + 64);
    assert_non_null(centers);
    assert_non_null(data);
    for (size_t i = 0; i < (size_t)blobs * dim; i++) centers[i] = 2 * kt_random_float(&random) - 1;
    for (uint64_t i = 0; i < rows * dim; i++) {
        float value = centers[(i / dim * 7919 % blobs) * dim + i % dim] * 0.7f +
                      0.3f * (2 * kt_random_float(&random) - 1);
        if (element == KITH_F32) memcpy(data + i * 4, &value, 4);
        if (element == KITH_F64) memcpy(data + i * 8, &(double){ (double)value }, 8);
        if (element == KITH_F16) kt_kernels()->to_half(&value, 1, (uint16_t *)(void *)data + i);
        if (element == KITH_I8) data[i] = (uint8_t)(int8_t)(value * 127);
        if (element == KITH_U8) data[i] = (uint8_t)((value + 1) * 127);
    }
    kt_free(centers);
    return data;
}

/* Row at position `at` of the data, as floats. */
static inline void column_floats(const struct column *c, uint64_t at, float *out)
{
    size_t row_bytes = c->vectors.dim * kt_element_bytes(c->vectors.element);
    kt_kernels()->to_float[c->vectors.element](c->data + at * row_bytes, c->vectors.dim, out);
}

/* ---- indexes ---- */

struct built {
    const struct kt_index_ops *ops;
    struct kt_index_plan plan;
    struct kt_index *index;
    uint8_t *bytes; /* a copy */
    size_t size;
    json_t *meta;
};

static inline kith_status build_try(const struct column *c, struct kt_index_plan plan, struct kt_work *work,
                                    struct built *out, kith_error *error)
{
    struct kt_buffer buffer = { 0 };
    struct kt_sink *sink = NULL;
    struct kt_view_file *file = NULL;
    memset(out, 0, sizeof *out);
    out->ops = kt_index_ops(plan.type);
    out->plan = plan;
    kith_status status = out->ops->plan(&out->plan, c->vectors.dim, c->vectors.element, c->rows, error);
    if (status) return status;
    assert_int_equal(kt_sink_memory(&buffer, &sink, error), KITH_OK);
    status = out->ops->build(&out->plan, &c->vectors, work, sink, &out->meta, error);
    if (status) {
        kt_sink_abandon(sink);
        kt_buffer_release(&buffer);
        return status;
    }
    assert_int_equal(kt_sink_finish(sink, NULL, error), KITH_OK);
    out->size = buffer.size;
    out->bytes = kt_alloc(buffer.size);
    assert_non_null(out->bytes);
    memcpy(out->bytes, buffer.data, buffer.size);
    assert_int_equal(kt_view_from_memory("test index", buffer.data, buffer.size, &file, error), KITH_OK);
    return out->ops->open(file, &out->index, error);
}

static inline struct built build(const struct column *c, struct kt_index_plan plan, uint32_t threads)
{
    struct built out;
    struct kt_work work = { .threads = threads };
    kith_error error = { 0 };
    if (build_try(c, plan, &work, &out, &error)) fail_msg("%s", error.message);
    return out;
}

static inline void built_release(struct built *b)
{
    b->ops->close(b->index);
    kt_free(b->bytes);
    json_decref(b->meta);
}

/* ---- asking ---- */

/* The k nearest by an exact scan; returns how many there are. */
static inline size_t exact_hits(const struct column *c, kith_metric metric, const float *query, size_t k,
                                struct kt_hit *hits)
{
    struct kt_arena scratch = { 0 };
    struct kt_scan_query scan;
    struct kt_top top = { hits, 0, k };
    kith_error error = { 0 };
    if (kt_scan_prepare(&c->vectors, metric, query, KITH_F32, &scratch, &scan, &error))
        fail_msg("%s", error.message);
    if (kt_scan_rows(&c->vectors, &scan, 0, UINT64_MAX, &top, NULL, &error)) fail_msg("%s", error.message);
    kt_top_sort(&top);
    kt_arena_release(&scratch);
    return top.count;
}

static inline size_t index_hits(const struct built *b, const struct kt_index_query *query,
                                struct kt_hit *hits, struct kt_index_stats *stats)
{
    struct kt_arena scratch = { 0 };
    struct kt_top top = { hits, 0, query->candidates };
    kith_error error = { 0 };
    if (b->ops->search(b->index, NULL, query, &scratch, &top, stats, &error)) fail_msg("%s", error.message);
    kt_top_sort(&top);
    kt_arena_release(&scratch);
    return top.count;
}

/* Share of the 10 nearest of `count` queries among the index's candidates. */
static inline double recall_of(const struct column *c, const struct built *b, const float *queries,
                               uint64_t count, struct kt_index_query query)
{
    struct kt_hit truth[10], *hits = kt_alloc_array(query.candidates, sizeof *hits);
    uint64_t found = 0, wanted = 0;
    assert_non_null(hits);
    for (uint64_t q = 0; q < count; q++) {
        query.vector = queries + q * c->vectors.dim;
        size_t there = exact_hits(c, query.metric, query.vector, 10, truth);
        size_t got = index_hits(b, &query, hits, NULL);
        wanted += there;
        for (size_t i = 0; i < there; i++)
            for (size_t j = 0; j < got; j++) found += hits[j].row == truth[i].row;
    }
    kt_free(hits);
    return wanted ? (double)found / (double)wanted : 1.0;
}

#endif
