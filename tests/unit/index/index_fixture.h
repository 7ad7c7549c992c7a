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

static uint64_t seed = 5; /* of all that is random here; KITH_SEED gives another to what mutates */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IS_SANITIZED = 1 };
#else
enum { IS_SANITIZED = 0 };
#endif

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
    c->runs[0] =
        (struct kt_vectors_run){ .span = rows, .rows = rows, .context = &c->memory[0], .view = column_view };
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
        uint64_t rows = begin[r + 1] - begin[r];
        c->runs[r] = (struct kt_vectors_run){
            .first_row = first[r], .span = rows, .rows = rows, .context = &c->memory[r], .view = column_view
        };
    }
    c->vectors.run_count = 3;
}

static inline void column_release(struct column *c)
{
    kt_free(c->data);
    kt_free(c->validity);
}

/* `rows` rows around `blobs` points. Whole numbers for the integer types. */
static inline void *random_numbers(uint64_t rows, uint32_t dim, kith_element element, uint32_t blobs)
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

/* `rows` rows around `blobs` points, and `asked` more of the same kind that only ask: these, as floats, are
 * returned. */
static inline float *column_and_queries(struct column *c, uint64_t rows, uint64_t asked, uint32_t dim,
                                        kith_element element, uint32_t blobs)
{
    float *queries = kt_alloc_array(asked * dim, sizeof *queries);
    assert_non_null(queries);
    column_init(c, random_numbers(rows + asked, dim, element, blobs), rows + asked, dim, element);
    for (uint64_t q = 0; q < asked; q++) column_floats(c, rows + q, queries + q * dim);
    c->rows = c->runs[0].rows = rows;
    return queries;
}

/* ---- indexes ---- */

/* Fields of a file's header, as ivf_store.c draws them. */
enum {
    HEADER_BYTES = 192,
    KIND_AT = 8,
    TREE_DIM_AT = 24,
    TABLES_AT = 28,
    BITS_AT = 36,
    SCALE_AT = 52,
    BASE_ROW_AT = 56, /* from here on they have 8 bytes */
    TREE_AT = 96,
    IS_RUN_AT = 104,
    ENTRIES_AT = 112,
    ROWS_AT = 120,
    OUTLIERS_AT = 128,
    ROW_SPAN_AT = 136,
    LIST_BYTES_AT = 144
};

static const kith_index_type types[] = { KITH_IVF_RQ, KITH_IVF_PQ, KITH_IVF_SQ, KITH_IVF_FLAT };
enum { TYPES = sizeof types / sizeof *types };

/* The metric hamming is for bytes, and PQ has no codes for it. */
static inline bool fits(kith_index_type type, kith_metric metric, kith_element element)
{
    return metric != KITH_HAMMING || (element == KITH_U8 && type != KITH_IVF_PQ);
}

static inline struct kt_index_plan plan_of(kith_index_type type, kith_metric metric, uint32_t lists)
{
    return (struct kt_index_plan){ .type = type, .metric = metric, .num_partitions = lists, .seed = seed };
}

enum { MOST_FILES = 24 };

/* Of an open index copies of its files, the base and its runs. */
struct built {
    const struct kt_index_ops *ops;
    struct kt_index_plan plan;
    struct kt_index *index;
    uint8_t *bytes; /* of the base */
    size_t size;
    json_t *meta;
    struct kt_buffer runs[MOST_FILES - 1];
    uint32_t run_count;
};

static inline struct kt_view_file *open_copy(const char *name, const uint8_t *bytes, size_t size)
{
    struct kt_view_file *file = NULL;
    uint8_t *copy = kt_alloc_aligned(size); /* of its size exactly, for the sanitizer */
    assert_non_null(copy);
    if (size) memcpy(copy, bytes, size);
    assert_int_equal(kt_view_from_memory(name, copy, size, &file, NULL), KITH_OK);
    return file;
}

/* Opens copies of all files. */
static inline kith_status open_try(const struct built *b, const json_t *calibration, struct kt_index **out,
                                   kith_error *error)
{
    struct kt_view_file *files[MOST_FILES] = { open_copy("test index", b->bytes, b->size) };
    for (uint32_t i = 0; i < b->run_count; i++)
        files[i + 1] = open_copy("test run", b->runs[i].data, b->runs[i].size);
    return b->ops->open(files, b->run_count + 1, calibration, out, error);
}

static inline kith_status build_try(const struct column *c, struct kt_index_plan plan, struct kt_work *work,
                                    struct built *out, kith_error *error)
{
    struct kt_buffer buffer = { 0 };
    struct kt_sink *sink = NULL;
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
    out->bytes = buffer.data;
    out->size = buffer.size;
    return open_try(out, NULL, &out->index, error);
}

static inline struct built build(const struct column *c, struct kt_index_plan plan, uint32_t threads)
{
    struct built out;
    struct kt_work work = { .threads = threads };
    kith_error error = { 0 };
    if (build_try(c, plan, &work, &out, &error)) fail_msg("%s", error.message);
    return out;
}

/* The same files, opened anew, with a calibration or without. */
static inline void reopen(struct built *b, const json_t *calibration)
{
    kith_error error = { 0 };
    b->ops->close(b->index);
    b->index = NULL;
    if (open_try(b, calibration, &b->index, &error)) fail_msg("%s", error.message);
}

/* A run over rows [begin, end); the index stays as it is until it is opened anew. */
static inline kith_status extend_try(const struct column *c, struct built *b, struct kt_rows rows,
                                     struct kt_work *work, json_t **meta, kith_error *error)
{
    struct kt_buffer *run = &b->runs[b->run_count];
    struct kt_sink *sink = NULL;
    assert_true(b->run_count + 1 < MOST_FILES);
    memset(run, 0, sizeof *run);
    kith_status status = kt_sink_memory(run, &sink, error);
    if (!status) status = b->ops->extend(b->index, &c->vectors, &rows, 1, work, sink, meta, error);
    if (status) {
        kt_sink_abandon(sink);
        kt_buffer_release(run);
        return status;
    }
    status = kt_sink_finish(sink, NULL, error);
    b->run_count += status == KITH_OK;
    return status;
}

/* Adds a run of these rows, and opens the index with it; returns how many there are. */
static inline json_int_t extend(const struct column *c, struct built *b, uint64_t begin, uint64_t end)
{
    struct kt_work work = { .threads = 2 };
    kith_error error = { 0 };
    json_t *meta = NULL;
    if (extend_try(c, b, (struct kt_rows){ begin, end }, &work, &meta, &error)) fail_msg("%s", error.message);
    json_int_t rows = json_integer_value(json_object_get(meta, "rows"));
    json_decref(meta);
    reopen(b, NULL);
    return rows;
}

/* What calibrating gives (new reference); `count` queries, or 0 for rows of the column. */
static inline json_t *calibrate(const struct column *c, const struct built *b, const float *queries,
                                uint64_t count, uint32_t threads)
{
    struct kt_work work = { .threads = threads };
    struct kt_samples samples = { .vectors = queries, .count = count };
    json_t *out = NULL;
    kith_error error = { 0 };
    if (b->ops->calibrate(b->index, &c->vectors, count ? &samples : NULL, 1, &work, &out, &error))
        fail_msg("%s", error.message);
    return out;
}

static inline json_int_t meta_number(const struct built *b, const char *key)
{
    return json_integer_value(json_object_get(b->meta, key));
}

static inline void built_release(struct built *b)
{
    b->ops->close(b->index);
    kt_free(b->bytes);
    for (uint32_t i = 0; i < b->run_count; i++) kt_buffer_release(&b->runs[i]);
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

/* Searches; what `query` leaves open, the prepared query and the metric's, is filled here. */
static inline kith_status index_try(const struct column *c, const struct built *b,
                                    struct kt_index_query query, struct kt_top *top,
                                    struct kt_index_stats *stats, kith_error *error)
{
    struct kt_arena scratch = { 0 };
    struct kt_scan_query scan;
    kith_status status =
        kt_scan_prepare(&c->vectors, b->plan.metric, query.vector, KITH_F32, &scratch, &scan, error);
    if (!query.exact) query.exact = &scan;
    if (!status) status = b->ops->search(b->index, &c->vectors, &query, &scratch, top, stats, error);
    kt_arena_release(&scratch);
    return status;
}

/* The query.k nearest rows that the index finds; returns how many. */
static inline size_t index_hits(const struct column *c, const struct built *b, struct kt_index_query query,
                                struct kt_hit *hits, struct kt_index_stats *stats)
{
    struct kt_top top = { hits, 0, query.k };
    kith_error error = { 0 };
    if (index_try(c, b, query, &top, stats, &error)) fail_msg("%s", error.message);
    kt_top_sort(&top);
    return top.count;
}

/* No row twice, and each with the distance that a scan gives it. */
static inline void check_distances(const struct column *c, const struct built *b, const float *query,
                                   const struct kt_hit *hits, size_t count)
{
    struct kt_arena scratch = { 0 };
    struct kt_scan_query scan;
    struct kt_hit *exact = kt_alloc_array(count, sizeof *exact);
    assert_non_null(exact);
    memcpy(exact, hits, count * sizeof *exact);
    assert_int_equal(kt_scan_prepare(&c->vectors, b->plan.metric, query, KITH_F32, &scratch, &scan, NULL),
                     KITH_OK);
    assert_int_equal(kt_scan_hits(&c->vectors, &scan, exact, count, NULL), KITH_OK);
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&exact[i].distance, &hits[i].distance, sizeof(float)) != 0)
            fail_msg("row %llu: %g, not %g", (unsigned long long)hits[i].row, (double)hits[i].distance,
                     (double)exact[i].distance);
        for (size_t j = 0; j < i; j++) assert_true(hits[j].row != hits[i].row);
    }
    kt_arena_release(&scratch);
    kt_free(exact);
}

/* ---- truth ---- */

/* Queries and their nearest rows by an exact scan. */
struct truth {
    const float *queries;
    uint64_t count;
    uint32_t k;
    struct kt_hit *hits; /* count * k */
    size_t *there;       /* of each query's */
};

static inline struct truth truth_of(const struct column *c, kith_metric metric, const float *queries,
                                    uint64_t count, uint32_t k)
{
    struct truth t = { queries, count, k, kt_alloc_array(count * k, sizeof *t.hits),
                       kt_alloc_array(count, sizeof *t.there) };
    assert_non_null(t.hits);
    assert_non_null(t.there);
    for (uint64_t q = 0; q < count; q++)
        t.there[q] = exact_hits(c, metric, queries + q * c->vectors.dim, k, t.hits + q * k);
    return t;
}

static inline void truth_release(struct truth *t)
{
    kt_free(t->hits);
    kt_free(t->there);
}

/* Share of the query.k nearest rows that the index finds. Of rows at the same distance any will do; so a row
 * counts that is no farther than the k-th. */
static inline double recall_of(const struct column *c, const struct built *b, const struct truth *t,
                               struct kt_index_query query, struct kt_index_stats *stats)
{
    struct kt_hit *hits = kt_alloc_array(query.k, sizeof *hits);
    uint64_t found = 0, wanted = 0;
    assert_non_null(hits);
    assert_true(query.k <= t->k);
    for (uint64_t q = 0; q < t->count; q++) {
        const struct kt_hit *truth = t->hits + q * t->k;
        size_t there = kt_min_u64(t->there[q], query.k);
        query.vector = t->queries + q * c->vectors.dim;
        size_t got = index_hits(c, b, query, hits, stats);
        assert_true(got <= there);
        wanted += there;
        for (size_t i = 0; i < got; i++) found += hits[i].distance <= truth[there - 1].distance;
    }
    kt_free(hits);
    return wanted ? (double)found / (double)wanted : 1.0;
}

#endif
