/* A new graph over all rows, and a run of nodes more for one that is there.
 *
 * What is learned of the rows is their mean, from a sample; then every row becomes a code. (One so long that
 * floats do not hold its distances stands aside, and is read by every search.) In a base nodes are numbered
 * by level, highest first, and within a level by a hash of their rows, for rows that were inserted in the
 * order of clusters make a poorer graph; once all are linked they are numbered anew, so that neighbours share
 * pages. Nodes of a run keep the order of their rows.
 */
#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "index/hnsw/hnsw_private.h"

enum {
    FEW_ASIDE = 256,
    ASIDE_SHARE = 64,
    SAMPLE = 4096,
    LEAST_SAMPLE = 64,
    SAMPLE_BYTES = 16 << 20,
    GRAIN = 64,
    FAR = 64 /* times the median square: such rows have no say in the mean */
};

struct node { /* to be */
    uint64_t order;
    uint32_t position; /* of the source */
};

struct building {
    struct kt_index *graph;
    struct kt_source source;
    struct node *nodes;
    uint32_t count;
    uint8_t *levels; /* of nodes, as they are numbered */
    uint32_t *aside; /* offsets of rows that no code holds */
    uint32_t aside_count;
    float *rows;   /* a vector of the space for each worker */
    uint8_t *fine; /* a byte a position: 1 it becomes a node, 2 it is read by every search, 0 it is null */
};

/* ---- learning the space ---- */

static int compare_squares(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The rows of the sample that are not far from all others, moved together; their number. */
static uint64_t keep_near(float *sample, const uint8_t *there, uint64_t count, uint32_t dim, float *squares)
{
    uint64_t kept = 0, known = 0;
    for (uint64_t i = 0; i < count; i++) {
        float square = (float)kt_space_square(sample + i * dim, dim);
        if (there[i] && square > 0) squares[known++] = square;
    }
    qsort(squares, known, sizeof *squares, compare_squares);
    float most = known ? FAR * squares[known / 2] : 0;
    for (uint64_t i = 0; i < count; i++) {
        if (!there[i] || !(kt_space_square(sample + i * dim, dim) <= (double)most)) continue;
        if (kept != i) memmove(sample + kept * dim, sample + i * dim, dim * sizeof *sample);
        kept++;
    }
    return kept;
}

/* The mean; of products none is taken, for they are not what they were without it. */
static void learn_from(struct kt_index *graph, const float *sample, uint64_t count)
{
    uint32_t dim = graph->shape.space_dim;
    for (uint32_t d = 0; d < dim && graph->shape.metric != KITH_DOT; d++) {
        double sum = 0;
        for (uint64_t i = 0; i < count; i++) sum += (double)sample[i * dim + d];
        graph->own_mean[d] = count ? (float)(sum / (double)count) : 0;
    }
    graph->space.mean = graph->own_mean;
}

static kith_status learn(struct building *b, kith_error *error)
{
    struct kt_index *graph = b->graph;
    uint32_t dim = graph->shape.space_dim;
    bool moves = graph->shape.metric == KITH_L2 || graph->shape.metric == KITH_COSINE;
    uint64_t most = moves ? kt_max_u64(LEAST_SAMPLE, SAMPLE_BYTES / (dim * sizeof(float))) : 0;
    uint64_t picks[SAMPLE],
        count = kt_sample(b->source.rows, kt_min_u64(SAMPLE, most), graph->shape.seed, picks);
    float *sample = kt_alloc_array(count + 1, dim * sizeof *sample),
          *squares = kt_alloc_array(count + 1, sizeof *squares);
    uint8_t *there = kt_alloc_zero(count + 1, 1);
    kith_status status = KITH_OK;
    graph->own_mean = kt_alloc_zero(dim, sizeof *graph->own_mean);
    if (!sample || !squares || !there || !graph->own_mean)
        status = kt_fail_memory(error, count * dim * sizeof *sample);
    for (uint64_t i = 0; !status && i < count; i++)
        status = kt_source_load(&b->source, picks[i], 1, sample + i * dim, &there[i], error);
    if (!status) learn_from(graph, sample, keep_near(sample, there, count, dim, squares));
    kt_free(sample);
    kt_free(squares);
    kt_free(there);
    return status;
}

/* ---- rows to codes ---- */

static bool is_zero(const void *numbers, const struct hnsw_shape *shape)
{
    const uint8_t *bytes = numbers;
    size_t size = kt_element_bytes(shape->element), sign = shape->element <= KITH_F64 ? 0x80 : 0;
    for (size_t i = 0; i < shape->dim * size; i++)
        if (bytes[i] && !(sign && i % size == size - 1 && bytes[i] == sign))
            return false; /* -0 is zero too */
    return true;
}

/* A row of zeros is as far from every other as two at right angles, which is twice what the space says. */
static kith_status set_zeros_apart(const struct building *b, uint64_t position, float factors[2],
                                   kith_error *error)
{
    const void *numbers = NULL;
    const struct hnsw_shape *s = &b->graph->shape;
    kith_status status = kt_source_lend(&b->source, position, &numbers, error);
    if (!status && numbers && is_zero(numbers, s)) factors[1] += 1;
    return status;
}

static kith_status encode(const struct building *b, uint64_t position, float *vector, uint8_t *code,
                          float factors[2], uint8_t *fine, kith_error *error)
{
    const struct kt_index *graph = b->graph;
    uint8_t there = 0;
    const void *numbers = NULL;
    if (graph->shape.metric == KITH_HAMMING) {
        kith_status status = kt_source_lend(&b->source, position, &numbers, error);
        if (status) return status;
        *fine = numbers != NULL;
        if (numbers) kt_hnsw_encode_bits(graph, numbers, code, factors);
        return KITH_OK;
    }
    kith_status status = kt_source_load(&b->source, position, 1, vector, &there, error);
    if (status) return status;
    *fine = !there ? 0 : kt_hnsw_encode(graph, vector, code, factors) ? 1 : 2;
    return graph->shape.metric == KITH_COSINE ? set_zeros_apart(b, position, factors, error) : KITH_OK;
}

static kith_status look_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker, kith_error *error)
{
    struct building *b = context;
    uint32_t dim = b->graph->shape.space_dim;
    uint8_t *code = kt_alloc(b->graph->layout.code_bytes);
    float factors[2];
    kith_status status = code ? KITH_OK : kt_fail_memory(error, b->graph->layout.code_bytes);
    for (uint64_t i = begin; !status && i < end; i++)
        status = encode(b, i, b->rows + (size_t)worker * dim, code, factors, &b->fine[i], error);
    kt_free(code);
    return status;
}

static kith_status encode_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                                kith_error *error)
{
    struct building *b = context;
    struct kt_index *graph = b->graph;
    const struct hnsw_part *part = &graph->parts[graph->part_count - 1];
    kith_status status = KITH_OK;
    uint8_t fine;
    for (uint64_t i = begin; !status && i < end; i++) {
        uint64_t row = kt_source_row(&b->source, b->nodes[i].position);
        status = encode(b, b->nodes[i].position, b->rows + (size_t)worker * graph->shape.space_dim,
                        part->code_memory + i * graph->layout.code_bytes, part->factor_memory + 2 * i, &fine,
                        error);
        part->row_memory[i] = (uint32_t)(row - graph->shape.base_row);
    }
    return status;
}

static int compare_nodes(const void *a, const void *b)
{
    const struct node *x = a, *y = b;
    if (x->order != y->order) return x->order < y->order ? -1 : 1;
    return (x->position > y->position) - (x->position < y->position);
}

/* Which positions become nodes, in which order; and those that stand aside. */
static kith_status number_nodes(struct building *b, bool by_level, kith_error *error)
{
    const struct hnsw_shape *shape = &b->graph->shape;
    uint64_t nodes = 0, aside = 0;
    for (uint64_t i = 0; i < b->source.rows; i++) {
        nodes += b->fine[i] == 1;
        aside += b->fine[i] == 2;
    }
    if (b->graph->nodes + nodes >= HNSW_MOST_NODES)
        return kt_fail(error, KITH_UNSUPPORTED, "an HNSW index has at most 2^31 nodes");
    b->nodes = kt_alloc_array(nodes + 1, sizeof *b->nodes);
    b->levels = kt_alloc_array(nodes + 1, 1);
    b->aside = kt_alloc_array(aside + 1, sizeof *b->aside);
    if (!b->nodes || !b->levels || !b->aside) return kt_fail_memory(error, nodes * sizeof *b->nodes);
    for (uint64_t i = 0; i < b->source.rows; i++) {
        uint64_t row = kt_source_row(&b->source, i);
        uint64_t level = HNSW_LEVELS - kt_hnsw_level(shape, row);
        uint64_t order = by_level ? level << 56 | kt_mix(row ^ shape->seed) >> 8 : row;
        if (b->fine[i] == 1) b->nodes[b->count++] = (struct node){ order, (uint32_t)i };
        if (b->fine[i] == 2) b->aside[b->aside_count++] = (uint32_t)(row - shape->base_row);
    }
    if (by_level) qsort(b->nodes, b->count, sizeof *b->nodes, compare_nodes);
    for (uint32_t i = 0; i < b->count; i++)
        b->levels[i] = (uint8_t)kt_hnsw_level(shape, kt_source_row(&b->source, b->nodes[i].position));
    return KITH_OK;
}

/* Makes the last part of the graph of all rows of the source. */
static kith_status take_rows(struct building *b, bool by_level, struct kt_work *work, kith_error *error)
{
    uint32_t threads = kt_work_threads(work);
    b->rows = kt_alloc_array(threads, (size_t)b->graph->shape.space_dim * sizeof *b->rows);
    b->fine = kt_alloc_array(b->source.rows + 1, 1);
    if (!b->rows || !b->fine) return kt_fail_memory(error, b->source.rows);
    if (b->source.rows > UINT32_MAX)
        return kt_fail(error, KITH_UNSUPPORTED, "an HNSW index has at most 2^31 nodes");
    kith_status status = kt_parallel_for(work, "encode", b->source.rows, GRAIN, look_chunk, b, error);
    if (!status) status = number_nodes(b, by_level, error);
    if (!status) status = kt_hnsw_add_memory(b->graph, b->count, error);
    if (!status) status = kt_parallel_for(work, "encode", b->count, GRAIN, encode_chunk, b, error);
    return status;
}

static void release(struct building *b)
{
    kt_source_release(&b->source);
    kt_free(b->nodes);
    kt_free(b->levels);
    kt_free(b->aside);
    kt_free(b->rows);
    kt_free(b->fine);
}

/* ---- a base ---- */

static kith_status begin_graph(const struct kt_index_plan *plan, const struct kt_vectors *vectors,
                               struct kt_index *graph, kith_error *error)
{
    struct hnsw_shape *s = &graph->shape;
    *s = (struct hnsw_shape){ .metric = plan->metric,
                              .element = vectors->element,
                              .dim = vectors->dim,
                              .space_dim = kt_hnsw_space_dim(vectors->dim, plan->metric),
                              .m = plan->m,
                              .ef_construction = plan->ef_construction,
                              .seed = plan->seed };
    kt_hnsw_layout(s, &graph->layout);
    graph->space = kt_hnsw_space(s);
    return kt_vectors_range(vectors, &s->base_row, &graph->row_span, error);
}

/* Nodes come by level, highest first. */
static void count_levels(struct kt_index *graph, const uint8_t *levels, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t l = 0; l <= levels[i]; l++) graph->upper.above[l] = i + 1;
}

kith_status kt_hnsw_write_base(struct kt_index *graph, const uint32_t *aside, uint32_t aside_count,
                               struct kt_work *work, struct kt_sink *sink, json_t **meta, kith_error *error)
{
    uint32_t count = graph->nodes;
    uint32_t *numbers = kt_alloc_array((size_t)count + 1, sizeof *numbers);
    if (!numbers) return kt_fail_memory(error, count * sizeof *numbers);
    kith_status status = kt_hnsw_arrange(graph, numbers, error);
    if (!status)
        graph->shape.graph ^= kt_hash(graph->parts[0].link_memory, (size_t)count * graph->layout.link_bytes);
    struct hnsw_writing writing = { .graph = graph,
                                    .extent = { .count = count,
                                                .aside = aside_count,
                                                .entry = count ? numbers[graph->entry] : 0,
                                                .top = graph->top,
                                                .row_span = graph->row_span },
                                    .numbers = numbers,
                                    .aside = aside };
    if (!status) status = kt_hnsw_write(&writing, work, sink, error);
    if (!status) status = kt_hnsw_describe(graph, &writing.extent, meta, error);
    kt_free(numbers);
    return status;
}

kith_status kt_hnsw_build(const struct kt_index_plan *plan, const struct kt_vectors *vectors,
                          struct kt_work *work, struct kt_sink *sink, json_t **meta, kith_error *error)
{
    struct kt_index graph = { 0 };
    struct building b = { .graph = &graph };
    kith_status status = begin_graph(plan, vectors, &graph, error);
    if (!status) status = kt_source_init(&b.source, vectors, &graph.space, error);
    if (!status) status = learn(&b, error);
    if (!status) status = take_rows(&b, true, work, error);
    if (!status) count_levels(&graph, b.levels, b.count);
    if (!status) status = kt_hnsw_add_upper(&graph, error);
    if (!status) status = kt_hnsw_insert(&graph, NULL, work, error);
    graph.shape.graph = kt_mix(plan->seed ^ kt_mix(graph.nodes) ^ graph.shape.base_row);
    if (!status) status = kt_hnsw_write_base(&graph, b.aside, b.aside_count, work, sink, meta, error);
    release(&b);
    kt_hnsw_release(&graph);
    return status;
}

/* ---- a run ---- */

static kith_status check_rows(const struct kt_index *graph, const struct kt_vectors *v, kith_error *error)
{
    const struct hnsw_shape *s = &graph->shape;
    if (v->dim != s->dim || v->element != s->element)
        return kt_fail(error, KITH_CORRUPT,
                       "%s is an index of vectors of %u numbers of another type or dimension",
                       kt_hnsw_name(graph), (unsigned)s->dim);
    if (!v->run_count) return KITH_OK;
    uint64_t first = v->runs[0].first_row;
    uint64_t end = v->runs[v->run_count - 1].first_row + v->runs[v->run_count - 1].span;
    if (!graph->nodes || first < s->base_row || end - s->base_row > UINT64_C(1) << 32)
        return kt_fail(error, KITH_UNSUPPORTED,
                       "%s has no room for rows %llu to %llu: create the index again", kt_hnsw_name(graph),
                       (unsigned long long)first, (unsigned long long)(end - 1));
    return KITH_OK;
}

/* The graph once more, over the same files, to be added to. */
static kith_status share(const struct kt_index *from, struct kt_index *out, kith_error *error)
{
    *out = (struct kt_index){ 0 };
    struct kt_view_file **files = kt_alloc_zero(from->part_count, sizeof(struct kt_view_file *));
    struct kt_index *opened = NULL;
    if (!files) return kt_fail_memory(error, from->part_count * sizeof *files);
    for (uint32_t i = 0; i < from->part_count; i++) files[i] = kt_view_share(from->parts[i].file);
    kith_status status = kt_hnsw_open(files, from->part_count, NULL, &opened, error);
    kt_free(files);
    if (status) return status;
    *out = *opened;
    kt_free(opened);
    return KITH_OK;
}

kith_status kt_hnsw_extend(const struct kt_index *index, const struct kt_vectors *vectors,
                           const struct kt_rows *rows, uint32_t count, struct kt_work *work,
                           struct kt_sink *sink, json_t **meta, kith_error *error)
{
    struct kt_index graph = { 0 };
    struct building b = { .graph = &graph };
    struct kt_cut cut;
    kith_status status = kt_cut_init(&cut, vectors, rows, count, error);
    if (!status) status = check_rows(index, &cut.vectors, error);
    if (!status) status = share(index, &graph, error);
    uint32_t first = graph.nodes;
    if (!status) status = kt_source_init(&b.source, &cut.vectors, &graph.space, error);
    if (!status && cut.vectors.run_count) {
        const struct kt_vectors_run *last = &cut.vectors.runs[cut.vectors.run_count - 1];
        graph.row_span = kt_max_u64(graph.row_span, last->first_row + last->span - graph.shape.base_row);
    }
    if (!status) status = take_rows(&b, false, work, error);
    if (!status && graph.aside + b.aside_count > FEW_ASIDE + graph.nodes / ASIDE_SHARE)
        status = kt_fail(error, KITH_UNSUPPORTED,
                         "%u rows are too long for the codes of an HNSW index: create another one",
                         graph.aside + b.aside_count);
    if (!status) status = kt_hnsw_insert(&graph, b.levels, work, error);
    struct hnsw_writing writing = { .graph = &graph,
                                    .extent = { .is_run = true,
                                                .first = first,
                                                .count = b.count,
                                                .aside = b.aside_count,
                                                .entry = graph.entry,
                                                .top = graph.top,
                                                .row_span = graph.row_span },
                                    .aside = b.aside };
    if (!status) status = kt_hnsw_write(&writing, work, sink, error);
    if (!status) status = kt_hnsw_describe(&graph, &writing.extent, meta, error);
    release(&b);
    kt_cut_release(&cut);
    kt_hnsw_release(&graph);
    return status;
}
