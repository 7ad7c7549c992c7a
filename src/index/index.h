/* What every index can do: build into a file, open, search. And what an index sees of a table: runs of
 * vectors by row id, and nothing else. No index opens a file by name, knows a column or a version.
 *
 * Whatever codes an index keeps, it answers with the distances of the stored rows. The query room adds the
 * rows that no piece covers, and merges. */
#ifndef KT_INDEX_INDEX_H
#define KT_INDEX_INDEX_H

#include <jansson.h>

#include "base/selection.h"
#include "base/top.h"
#include "kernels/kernels.h"
#include "parallel/parallel.h"
#include "storage/blob.h"

/* ---- the rows of one vector column ---- */

struct kt_vectors_view { /* borrowed */
    const void *data;    /* `count` vectors, one after another */
    const uint8_t
        *validity; /* NULL: none is null; else bit (bit_offset + i) is set where vector i is there */
    uint64_t bit_offset;
};

/* `rows` vectors of rows with ids of [first_row, first_row + span), in one piece of memory or file. */
struct kt_vectors_run {
    uint64_t first_row;
    uint64_t span;
    uint64_t rows;                /* span, or fewer: then */
    const struct kt_ranks *ranks; /* knows which ids are there, NULL otherwise: bit i is that of id */
    uint64_t ranks_row;           /* + i, and the run's vectors are those from */
    uint64_t ranks_place;         /* on among the set bits */
    void *context;
    /* Lends vectors [offset, offset + count) of the run, verified. */
    kith_status (*view)(void *context, uint64_t offset, uint64_t count, struct kt_vectors_view *out,
                        kith_error *error);
};

struct kt_vectors { /* runs by first_row; row ids between them may be missing */
    uint32_t dim;
    kith_element element;
    struct kt_vectors_run *runs;
    uint32_t run_count;
};
/** Where in the run the vector of `row`, or of the first row after it that is there, lies; run->rows: there
 * is none. */
uint64_t kt_run_place(const struct kt_vectors_run *run, uint64_t row);
/** The id of the row whose vector lies at `place`. */
static inline uint64_t kt_run_row(const struct kt_vectors_run *run, uint64_t place)
{
    if (!run->ranks) return run->first_row + place;
    return run->ranks_row + kt_rank_select(run->ranks, run->ranks_place + place);
}
/** The run that holds `row`, and where in it; or -1. */
int64_t kt_vectors_find(const struct kt_vectors *vectors, uint64_t row, uint64_t *place);

/* ---- asking ---- */

struct kt_scan_query {  /* a query in the form that the column's kernel wants; kt_scan_prepare() */
    const void *vector; /* float, or double for F64 columns; see kt_kernels */
    float norm;
    bool integer; /* the query is of the rows' own integer type */
    kith_metric metric;
    float lower, upper;               /* keep lower <= distance < upper; -inf and +inf for all */
    const struct kt_selection *among; /* only these rows; NULL: all */
    struct kt_work *work;             /* asked whether to go on; NULL: nobody minds */
};

struct kt_index_query {
    const float *vector;               /* as the user gave it, dim floats */
    const struct kt_scan_query *exact; /* the same, for the distances of stored rows */
    uint32_t k;                        /* rows wanted */
    /* Of exact->among, where there is one: then only lists with a row of it are visited. NULL where nobody
     * counted: rows outside it are dropped as they are met, which is the thing to do when they are few. */
    const struct kt_index_matches *matches;
    /* Of exact->among, where nobody counted because that is nearly every row of the table: how many rows of
     * each list are there, about. Surely none where it says so. NULL: all are. */
    const struct kt_index_matches *lived;
    float recall;           /* wanted; 0: KT_DEFAULT_RECALL */
    uint32_t refine_factor; /* k * refine_factor rows by their estimates are read; 0: as many as bounds say */
    uint32_t nprobes;       /* 0: as many as the recall takes */
    uint32_t minimum_nprobes, maximum_nprobes;
    uint32_t ef;       /* of graphs: how many rows a walk keeps; 0: as many as the recall takes, */
    uint32_t least_ef; /* but not fewer than this */
};
#define KT_DEFAULT_RECALL 0.95f

/* How the rows of a selection lie in an index. */
struct kt_index_matches {
    uint64_t rows;   /* of the selection in all lists */
    uint64_t among;  /* rows of the lists that have any */
    uint32_t *lists; /* of the selection, in each list */
};

struct kt_index_stats { /* added to, not set */
    uint64_t lists;     /* visited */
    uint64_t skipped;   /* passed over: without a row, or without one that a filter admits */
    uint64_t codes;     /* scanned */
    uint64_t extra;     /* rows whose further bits were read */
    uint64_t rows;      /* whose stored vectors were read */
    uint64_t bytes;     /* touched */
    float expected;     /* recall, where a calibration says it (set, not added to); else 0 */
};

/* ---- building ---- */

struct kt_index_plan {
    kith_index_type type;
    kith_metric metric;
    uint32_t num_partitions, num_sub_vectors, num_bits, max_iterations, sample_rate; /* 0: chosen */
    uint32_t m, ef_construction; /* of graphs; 0: chosen */
    uint64_t seed;
    uint64_t max_memory; /* bytes that a build may hold beside the table; 0: no bound */
};

/* What to calibrate on: vectors of floats, or where there are none, rows of the table. */
struct kt_samples {
    const float *vectors;
    uint64_t count;
    const struct kt_selection *live; /* the rows that are there, to be found and to be asked for; NULL: all */
    uint64_t most;                   /* so many are asked for at most; 0: as many as make it sure */
};

/* How an index lies, for who decides when its files are merged, or built anew. */
struct kt_index_shape {
    uint32_t files;
    const uint64_t *rows; /* of each file, dead ones among them; valid while the index is open */
    uint64_t outliers;    /* of them all, rows that every search reads */
    uint32_t lists;
    uint32_t largest;             /* rows of the largest */
    double crowd, crowd_as_built; /* rows that a row's list has, on the average: sum n^2 / sum n */
};

/* How rows that came fit what an index learned before. */
struct kt_index_look {
    float shortfall; /* of the default recall, at the worst k */
    float fit;       /* the number of a calibration, of these rows; 0: unknown */
    uint32_t rows;   /* that were looked for */
};

/* What a search costs, in nanoseconds on one machine: only ratios matter. */
struct kt_index_price {
    double start_ns, list_ns;
    double code_ns, code_byte_ns; /* of a code, and of each of its bytes */
    uint32_t code_bits;           /* of a number */
};

struct kt_index; /* an open index: immutable, any number of threads search it */

struct kt_index_ops {
    kith_index_type type;
    /** Checks the plan against the column and fills its zeros. KITH_INVALID says what would fit. */
    kith_status (*plan)(struct kt_index_plan *plan, uint32_t dim, kith_element element, uint64_t rows,
                        kith_error *error);
    /** Builds over all rows of `vectors` and writes one payload into `sink` (which stays the caller's).
     * `meta` receives what was done: {"partitions":..,"sub_vectors":..,"bits":..,"rows":..,"outliers":..,
     * "note":".."} (new reference). */
    kith_status (*build)(const struct kt_index_plan *plan, const struct kt_vectors *vectors,
                         struct kt_work *work, struct kt_sink *sink, json_t **meta, kith_error *error);
    /** Encodes more rows by what `index` learned, those of the `count` sorted, disjoint intervals that are
     * there, and writes them into `sink` as a run: a file that is opened behind those of the index. `meta` as
     * of build(). What is held is about 8 bytes a row added.
     * KITH_UNSUPPORTED when these rows do not fit this index any more: build it again. */
    kith_status (*extend)(const struct kt_index *index, const struct kt_vectors *vectors,
                          const struct kt_rows *rows, uint32_t count, struct kt_work *work,
                          struct kt_sink *sink, json_t **meta, kith_error *error);
    /** Writes files [first, first + count) of an open index as one, without the rows that are not live (NULL:
     * all are). Runs become a run in the place of the first of them; with first == 0 the result is a base,
     * and the runs that came after those merged still belong to it. Codes are moved, not made again. `meta`
     * as of build(). */
    kith_status (*merge)(const struct kt_index *index, uint32_t first, uint32_t count,
                         const struct kt_selection *live, const struct kt_vectors *vectors,
                         struct kt_work *work, struct kt_sink *sink, json_t **meta, kith_error *error);
    /** files[0] is what build() wrote, the others what extend() did (or merge() made of them), in the order
     * in which they were added. Takes over all references, on failure too. `calibration` (may be NULL) is
     * what calibrate() gave. KITH_CORRUPT when a run belongs to another index, or a file holds what Kith did
     * not write. */
    kith_status (*open)(struct kt_view_file *const *files, uint32_t count, const json_t *calibration,
                        struct kt_index **out, kith_error *error);
    void (*close)(struct kt_index *index);
    /** Offers the nearest rows within the wanted range to `top` (capacity query->k), with the distances of
     * the stored rows. */
    kith_status (*search)(const struct kt_index *index, const struct kt_vectors *vectors,
                          const struct kt_index_query *query, struct kt_arena *scratch, struct kt_top *top,
                          struct kt_index_stats *stats, kith_error *error);
    /** Counts the rows of a selection in each list; out->lists is freed with kt_free(). */
    kith_status (*count)(const struct kt_index *index, const struct kt_selection *among,
                         struct kt_index_matches *out, kith_error *error);
    /** Where the search for `query` begins: of queries with the same place, most of what they read is the
     * same, and with near ones much. */
    kith_status (*place)(const struct kt_index *index, const struct kt_index_query *query,
                         struct kt_arena *scratch, uint32_t *out, kith_error *error);
    /** Learns from replayed searches how much a wanted recall takes: for rows of the table, each left out of
     * its own answer, or for `queries` when there are any. The new reference goes into the piece's meta. Its
     * number "fit", where there is one, grows as rows come that the index was not trained for. */
    kith_status (*calibrate)(const struct kt_index *index, const struct kt_vectors *vectors,
                             const struct kt_samples *queries, uint64_t seed, struct kt_work *work,
                             json_t **out, kith_error *error);
    /** Looks whether what was learned of rows still holds, by replayed searches for rows from `first_row` on:
     * samples->most of them, or (0) as few as tell something; cheap beside calibrate(). NULL where what was
     * learned does not age by the rows that come. */
    kith_status (*look)(const struct kt_index *index, const struct kt_vectors *vectors,
                        const struct kt_samples *samples, uint64_t first_row, uint64_t seed,
                        struct kt_work *work, struct kt_index_look *out, kith_error *error);
    /** What this recall takes for k rows by the calibration: lists and codes (means over searches), rows
     * where it takes them all, and the recall to expect. Zeros where nothing was calibrated. */
    void (*expect)(const struct kt_index *index, uint32_t k, float recall, struct kt_index_stats *out);
    void (*shape)(const struct kt_index *index, struct kt_index_shape *out);
    /* 0: what was learned of the rows ages, and the index is built anew when half as many have come as it was
     * trained on. Else it does not, and all files are merged into a base when one row in so many came after
     * it, or is dead. Such a base is numbered anew: a run belongs to exactly the files that it was made
     * beside. */
    uint32_t fold_share;
    struct kt_index_price price;
};

/** The operations of a type (KITH_INDEX_DEFAULT: the default one), or NULL when this version has none. */
const struct kt_index_ops *kt_index_ops(kith_index_type type);

/* ---- the exact scan, which needs no index (flat/) ---- */

static inline bool kt_scan_in_range(const struct kt_scan_query *query, float distance)
{
    return distance >= query->lower && (distance < query->upper || query->upper == INFINITY);
}
/** Fills a kt_scan_query from floats or doubles: chooses the integer kernel where the values are whole and
 * fit, computes the norm. `scratch` holds the converted vector. */
kith_status kt_scan_prepare(const struct kt_vectors *vectors, kith_metric metric, const void *vector,
                            kith_element element, struct kt_arena *scratch, struct kt_scan_query *out,
                            kith_error *error);
/** Offers every row of row ids [begin, end) that is wanted, there and not null. */
kith_status kt_scan_rows(const struct kt_vectors *vectors, const struct kt_scan_query *query, uint64_t begin,
                         uint64_t end, struct kt_top *top, struct kt_index_stats *stats, kith_error *error);
/** Computes the exact distance of `count` hits in place (order kept); a row that is missing or null gets NaN.
 */
kith_status kt_scan_hits(const struct kt_vectors *vectors, const struct kt_scan_query *query,
                         struct kt_hit *hits, size_t count, kith_error *error);

#endif
