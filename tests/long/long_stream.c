/* A table that turns over: rows come and go cluster by cluster, in an order in which each cluster is near the
 * one before it, so that what the index was trained on drifts away under it. In the manner of the streaming
 * runbook of NeurIPS'23, on real sets.
 *
 * Half of the clusters are there at the start. Each step brings the next cluster in small commits, deletes
 * the oldest, and replaces the rows of one in the middle by themselves, under new row ids. After each step
 *   - a sample of rows is found by their own vectors, through the index; after the last step every row is;
 *   - recall@10 at the default is held to brute force over what is there, and to that of an index that was
 *     built afresh over the same rows: it may be lower by 0.01 at most (0.05 for the smallest set),
 *     and is 0.85 in any case.
 * Search times of both are printed and nobody asserts them. The user of this table never calls for upkeep.
 *
 * Sets come from the folder that KITH_DATA names, and one from the source tree; what is absent is said.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fault/campaign.h"
#include "kernels/kernels.h"
#include "parallel/parallel.h"
#include "support/rows.h"

enum { CLUSTERS = 24, SAMPLE = 4096, ROUNDS = 8, K = 10, BATCH = 500, QUERIES_MOST = 1000, NPY_HEADER = 128 };

#define LEAST_RECALL 0.85

struct set {
    const char *name, *home, *rows, *queries; /* home: the variable that names its folder */
    const char *metric;
    kith_element element;
    uint32_t dim;
    double slack; /* by which recall may be lower than afresh: more for few rows, of which little can be
                     learned */
};
static const struct set sets[] = {
    { "examples/data/debian-10k", "KITH_SOURCE", "vectors", "queries", "cosine", KITH_F16, 384, 0.05 },
    { "sift-photos-100k", "KITH_DATA", "base", "query", "l2", KITH_U8, 128, 0.01 },
    { "debian-minilm", "KITH_DATA", "base", "query", "cosine", KITH_F16, 384, 0.01 },
};

struct stream {
    const struct set *set;
    struct rows rows; /* by cluster: those of cluster c are [begin[c], begin[c + 1]) */
    uint64_t begin[CLUSTERS + 1];
    uint32_t first, end;  /* clusters that are there */
    float *queries, *kth; /* of each query the distance of its 10th neighbour */
    size_t query_count;
    char *folder;
    kith_database *db;
    kith_table *table;
};

/* ---- the rows, by cluster */

/* The numbers of one .npy file as floats; NULL where there is none. */
static float *read_npy(const struct set *set, const char *name, uint64_t *count)
{
    char path[600];
    struct stat about;
    snprintf(path, sizeof path, "%s/%s/%s.npy", getenv(set->home), set->name, name);
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &about)) return NULL;
    uint8_t *map = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (map == MAP_FAILED) return NULL;
    *count = ((uint64_t)about.st_size - NPY_HEADER) / (set->dim * kt_element_bytes(set->element));
    float *numbers = malloc(*count * set->dim * sizeof *numbers);
    kt_kernels()->to_float[set->element](map + NPY_HEADER, *count * set->dim, numbers);
    munmap(map, (size_t)about.st_size);
    return numbers;
}

static float squared(const float *a, const float *b, uint32_t dim)
{
    float lanes[8] = { 0 }, sum = 0;
    for (uint32_t i = 0; i + 8 <= dim; i += 8)
        for (uint32_t l = 0; l < 8; l++) lanes[l] += (a[i + l] - b[i + l]) * (a[i + l] - b[i + l]);
    for (uint32_t i = dim & ~7u; i < dim; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
    for (uint32_t l = 0; l < 8; l++) sum += lanes[l];
    return sum;
}

static uint32_t nearest(const float *centres, const float *row, uint32_t dim)
{
    uint32_t best = 0;
    float least = INFINITY;
    for (uint32_t c = 0; c < CLUSTERS; c++) {
        float distance = squared(centres + c * dim, row, dim);
        if (distance < least) least = distance, best = c;
    }
    return best;
}

/* Lloyd's k-means on a sample. */
static void train(const struct rows *rows, struct kt_random *random, float *centres)
{
    uint32_t dim = rows->dim;
    for (uint32_t c = 0; c < CLUSTERS; c++)
        memcpy(centres + c * dim, rows->vectors + kt_random_below(random, rows->count) * dim, dim * 4);
    for (int round = 0; round < ROUNDS; round++) {
        float *sums = calloc(CLUSTERS * dim, sizeof *sums);
        uint32_t counts[CLUSTERS] = { 0 };
        for (int i = 0; i < SAMPLE; i++) {
            const float *row = rows->vectors + kt_random_below(random, rows->count) * dim;
            uint32_t c = nearest(centres, row, dim);
            counts[c]++;
            for (uint32_t d = 0; d < dim; d++) sums[c * dim + d] += row[d];
        }
        for (uint32_t c = 0; c < CLUSTERS; c++)
            for (uint32_t d = 0; d < dim && counts[c]; d++)
                centres[c * dim + d] = sums[c * dim + d] / (float)counts[c];
        free(sums);
    }
}

/* The place of each cluster in a walk that goes on to the nearest one that it has not been to. */
static void walk(const float *centres, uint32_t dim, uint32_t first, uint32_t place[CLUSTERS])
{
    bool been[CLUSTERS] = { false };
    uint32_t at = first;
    for (uint32_t step = 0; step < CLUSTERS; step++) {
        uint32_t next = at;
        float least = INFINITY;
        been[at] = true;
        place[at] = step;
        for (uint32_t c = 0; c < CLUSTERS; c++) {
            float distance = squared(centres + c * dim, centres + at * dim, dim);
            if (!been[c] && distance < least) least = distance, next = c;
        }
        at = next;
    }
}

static void sort_by_cluster(struct stream *stream, struct kt_random *random)
{
    struct rows *rows = &stream->rows;
    size_t row_bytes = rows->dim * sizeof(float);
    float *centres = malloc(CLUSTERS * row_bytes), *sorted = malloc(rows->count * row_bytes);
    uint32_t *of = malloc(rows->count * sizeof *of), place[CLUSTERS];
    uint64_t next[CLUSTERS] = { 0 };
    train(rows, random, centres);
    walk(centres, rows->dim, (uint32_t)kt_random_below(random, CLUSTERS), place);
    for (uint64_t i = 0; i < rows->count; i++) {
        of[i] = place[nearest(centres, rows->vectors + i * rows->dim, rows->dim)];
        stream->begin[of[i] + 1]++;
    }
    for (uint32_t c = 0; c < CLUSTERS; c++) stream->begin[c + 1] += stream->begin[c];
    memcpy(next, stream->begin, sizeof next);
    for (uint64_t i = 0; i < rows->count; i++)
        memcpy(sorted + next[of[i]]++ * rows->dim, rows->vectors + i * rows->dim, row_bytes);
    free(rows->vectors);
    rows->vectors = sorted;
    free(centres);
    free(of);
}

/* ---- what is right */

struct truth {
    const struct stream *stream;
    size_t begin, end; /* queries */
};

static float distance(const struct set *set, const float *query, const float *row)
{
    if (strcmp(set->metric, "l2") == 0) return squared(query, row, set->dim);
    return distance_of(KITH_COSINE, query, row, set->dim);
}

/* The distance of the 10th neighbour of some queries. */
static void *search_exactly(void *context)
{
    const struct truth *truth = context;
    const struct stream *stream = truth->stream;
    uint32_t dim = stream->rows.dim;
    for (size_t q = truth->begin; q < truth->end; q++) {
        float best[K];
        for (int i = 0; i < K; i++) best[i] = INFINITY;
        for (uint64_t row = stream->begin[stream->first]; row < stream->begin[stream->end]; row++) {
            float found = distance(stream->set, stream->queries + q * dim, stream->rows.vectors + row * dim);
            int at = K - 1;
            if (found >= best[at]) continue;
            for (; at && best[at - 1] > found; at--) best[at] = best[at - 1];
            best[at] = found;
        }
        stream->kth[q] = best[K - 1];
    }
    return NULL;
}

static void find_truth(struct stream *stream)
{
    enum { THREADS = 2 };
    pthread_t threads[THREADS];
    struct truth truths[THREADS];
    for (size_t t = 0; t < THREADS; t++) {
        truths[t] = (struct truth){ stream, stream->query_count * t / THREADS,
                                    stream->query_count * (t + 1) / THREADS };
        pthread_create(&threads[t], NULL, search_exactly, &truths[t]);
    }
    for (size_t t = 0; t < THREADS; t++) pthread_join(threads[t], NULL);
}

/* Recall@10 of the table, and the microseconds that a query takes. A row as near as the 10th is one. */
static double recall_of(const struct stream *stream, kith_table *table, double *us)
{
    uint64_t ids[K], hits = 0;
    float found[K];
    kith_query query = KITH_INIT(kith_query);
    query.dim = stream->rows.dim;
    query.k = K;
    query.vectors = stream->queries;
    assert_ok(kith_search_ids(table, &query, ids, found, error)); /* opens the index */
    double began = kt_seconds();
    for (size_t q = 0; q < stream->query_count; q++) {
        query.vectors = stream->queries + q * stream->rows.dim;
        assert_ok(kith_search_ids(table, &query, ids, found, error));
        for (int i = 0; i < K; i++) hits += found[i] <= stream->kth[q] * 1.00001f + 1e-6f;
    }
    *us = (kt_seconds() - began) * 1e6 / (double)stream->query_count;
    return (double)hits / (double)(stream->query_count * K);
}

/* How many of every `step`-th row are not found by their own vectors, or not through the index. */
static uint64_t missed(const struct stream *stream, uint64_t step)
{
    uint64_t ids[K], missing = 0;
    float found[K];
    kith_search_stats stats = KITH_INIT(kith_search_stats);
    kith_query query = KITH_INIT(kith_query);
    query.dim = stream->rows.dim;
    query.k = K;
    query.stats = &stats;
    for (uint64_t row = stream->begin[stream->first]; row < stream->begin[stream->end]; row += step) {
        query.vectors = stream->rows.vectors + row * stream->rows.dim;
        assert_ok(kith_search_ids(stream->table, &query, ids, found, error));
        missing += found[0] > 1e-6f || !stats.lists;
    }
    return missing;
}

/* ---- what is done */

static void insert(struct stream *stream, uint32_t cluster)
{
    for (uint64_t row = stream->begin[cluster]; row < stream->begin[cluster + 1]; row += BATCH) {
        uint64_t left = stream->begin[cluster + 1] - row;
        struct ArrowArrayStream data = rows_stream(&stream->rows, row, left < BATCH ? left : BATCH);
        assert_ok(kith_append(stream->table, &data, NULL, NULL, error));
    }
}

static void delete (struct stream *stream, uint32_t cluster)
{
    char text[100];
    kith_expr *filter = NULL;
    snprintf(text, sizeof text, "id >= %llu AND id < %llu", (unsigned long long)stream->begin[cluster],
             (unsigned long long)stream->begin[cluster + 1]);
    assert_ok(kith_expr_sql(text, NULL, 0, &filter, error));
    assert_ok(kith_delete(stream->table, filter, NULL, error));
    kith_expr_free(filter);
}

static void replace(struct stream *stream, uint32_t cluster)
{
    static const char *const on[] = { "id" };
    uint64_t count = stream->begin[cluster + 1] - stream->begin[cluster];
    struct ArrowArrayStream data = rows_stream(&stream->rows, stream->begin[cluster], count);
    kith_merge merge = KITH_INIT(kith_merge);
    kith_changed changed = KITH_INIT(kith_changed);
    merge.on = on;
    merge.on_count = 1;
    merge.update_matched = true;
    assert_ok(kith_merge_rows(stream->table, &data, &merge, &changed, error));
    assert_int_equal(changed.updated, count);
}

/* A table of the same rows with an index that was built over them at once. */
static double recall_afresh(struct stream *stream, double *us)
{
    kith_table *fresh = NULL;
    kith_create create = KITH_INIT(kith_create);
    uint64_t from = stream->begin[stream->first];
    struct ArrowArrayStream data = rows_stream(&stream->rows, from, stream->begin[stream->end] - from);
    create.no_auto_index = true;
    create.metric = stream->set->metric;
    assert_ok(kith_create_table(stream->db, "fresh", &data, &create, &fresh, error));
    assert_ok(kith_create_index(fresh, NULL, error));
    double recall = recall_of(stream, fresh, us);
    kith_table_close(fresh);
    assert_ok(kith_drop_table(stream->db, "fresh", error));
    return recall;
}

static void check(struct campaign *campaign, struct stream *stream, bool last)
{
    char why[200];
    double us, fresh_us;
    uint64_t missing = missed(stream, last ? 1 : 17);
    find_truth(stream);
    double recall = recall_of(stream, stream->table, &us), fresh = recall_afresh(stream, &fresh_us);
    printf("%-30s %6llu rows, recall@10 %.4f, afresh %.4f; %5.0f us a query, afresh %5.0f (%.2fx); %llu not "
           "found\n",
           campaign->label, (unsigned long long)(stream->begin[stream->end] - stream->begin[stream->first]),
           recall, fresh, us, fresh_us, us / fresh_us, (unsigned long long)missing);
    fflush(stdout);
    if (missing) {
        snprintf(why, sizeof why, "%llu rows are not found by their own vectors",
                 (unsigned long long)missing);
        campaign_fail(campaign, why);
    }
    if (recall < LEAST_RECALL) {
        snprintf(why, sizeof why, "of ten neighbours only %.2f are found", 10 * recall);
        campaign_fail(campaign, why);
    } else if (recall < fresh - stream->set->slack) {
        snprintf(why, sizeof why, "recall@10 is %.4f, that of a fresh index %.4f", recall, fresh);
        campaign_fail(campaign, why);
    }
}

/* ---- one set */

static bool load(struct stream *stream, struct kt_random *random)
{
    const struct set *set = stream->set;
    uint64_t queries = 0;
    stream->rows.dim = set->dim;
    if (getenv(set->home)) stream->rows.vectors = read_npy(set, set->rows, &stream->rows.count);
    if (stream->rows.vectors) stream->queries = read_npy(set, set->queries, &queries);
    if (!stream->queries) {
        printf("skipped %s: it is not in the folder that %s names (%s)\n", set->name, set->home,
               getenv(set->home) ? getenv(set->home) : "it is not set");
        free(stream->rows.vectors);
        return false;
    }
    stream->query_count = queries < QUERIES_MOST ? queries : QUERIES_MOST;
    stream->kth = malloc(stream->query_count * sizeof *stream->kth);
    sort_by_cluster(stream, random);
    return true;
}

static void start(struct stream *stream)
{
    kith_create create = KITH_INIT(kith_create);
    struct ArrowArrayStream none = rows_stream(&stream->rows, 0, 0);
    create.metric = stream->set->metric;
    create.auto_index_threshold = (int64_t)(stream->rows.count / 5);
    stream->folder = folder_new();
    assert_ok(kith_open(stream->folder, &stream->db, error));
    assert_ok(kith_create_table(stream->db, "t", &none, &create, &stream->table, error));
    for (stream->end = 0; stream->end < CLUSTERS / 2; stream->end++) insert(stream, stream->end);
}

static void run(struct campaign *campaign, const struct set *set)
{
    struct stream stream = { .set = set };
    struct kt_random random = { campaign->seed };
    if (!campaign_wants(campaign, set->name) || !campaign_goes_on(campaign) || !load(&stream, &random))
        return;
    start(&stream);
    if (campaign_run(campaign, "%s/start", set->name)) check(campaign, &stream, false);
    while (stream.end < CLUSTERS && campaign_goes_on(campaign)) {
        insert(&stream, stream.end++);
        delete (&stream, stream.first++);
        replace(&stream, (stream.first + stream.end) / 2);
        if (campaign_run(campaign, "%s/%u", set->name, stream.first))
            check(campaign, &stream, stream.end == CLUSTERS);
    }
    assert_ok(kith_table_verify(stream.table, NULL, error));
    kith_table_close(stream.table);
    kith_close(stream.db);
    rows_free(&stream.rows);
    free(stream.queries);
    free(stream.kth);
    folder_remove(stream.folder);
}

int main(int count, char **arguments)
{
    struct campaign campaign;
    campaign_begin(&campaign, count, arguments);
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) run(&campaign, &sets[i]);
    return campaign_end(&campaign, 0);
}
