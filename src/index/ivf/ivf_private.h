/* What the files of ivf share: the shape of an index, its open form, and the space that its tree lives in.
 *
 *   ivf_plan.c       what a plan leaves open, and what is refused
 *   ivf_space.c      rows and queries as the tree sees them
 *   ivf_train.c      the sample, the tree, the codebooks
 *   ivf_build.c      every row to its list, encoded, written
 *   ivf_store.c      the file
 *   ivf_rank.c       a query's lists, nearest first
 *   ivf_scan.c       a list's rows: bounds, extra bits, candidates
 *   ivf_search.c     one search, from the query to exact distances
 *   ivf_stop.c       when a search has seen enough
 *   ivf_calibrate.c  what "enough" is, learned from replayed searches */
#ifndef KT_INDEX_IVF_PRIVATE_H
#define KT_INDEX_IVF_PRIVATE_H

#include "index/index.h"
#include "learn/learn.h"
#include "quant/quant.h"

/* What a list holds of each row. */
enum ivf_kind {
    IVF_ROWS,  /* the row itself */
    IVF_PQ,    /* a code of trained sub-quantisers */
    IVF_SIGNS, /* RaBitQ: the signs of the rotated residual, and further bits */
    IVF_KINDS
};

/* ---- the space of the tree (ivf_space.c) ---- */

struct ivf_space {
    kith_metric metric;
    kith_element element;
    uint32_t dim;      /* of the column */
    uint32_t tree_dim; /* of the space */
    bool rotates;
    struct kt_rotation rotation; /* when it rotates */
    const float *mean;           /* before the rotation; NULL: none is taken off */
    double longest;              /* dot: the square that rows are made up to; 0: not known yet */
};
uint32_t kt_ivf_tree_dim(uint32_t dim, kith_metric metric, bool rotates);
/** Numbers as a column holds them into the space. `is_row`: rows are brought to one length where the metric
 * is dot, queries are not. `out` has tree_dim floats. */
void kt_ivf_to_tree(const struct ivf_space *space, const void *numbers, kith_element element, bool is_row,
                    float *out);
/** The square of a vector's length, where a float cannot hold it too; NaN or infinite only where it is. */
double kt_ivf_square(const float *vector, uint32_t dim);
/** The square of a distance in the space from the metric's own distance; `query_square`, for dot, is that of
 * the query as it was given. */
float kt_ivf_tree_distance(const struct ivf_space *space, float query_square, float distance);

/* ---- the shape of an index: the numbers that decide where everything lies (ivf_store.c) ---- */

struct ivf_shape {
    enum ivf_kind kind;
    kith_metric metric;
    kith_element element;
    uint32_t dim;
    uint32_t tree_dim;
    uint32_t tables;      /* 4-bit tables of a code; 0 for rows */
    uint32_t sub_vectors; /* as the user counts them */
    uint32_t bits;        /* PQ: a sub-vector, as the user counts them; SIGNS: a number, in all */
    uint32_t lists;
    uint32_t mesos;
    uint32_t beam;     /* meso clusters that assigning a row looked into */
    uint64_t rows;     /* of all lists, and the outliers */
    uint64_t outliers; /* rows that are in no list: every search reads them as they are */
    uint64_t base_row; /* rows are stored as u32 from here */
    uint64_t row_span; /* every stored offset is below this */
    uint64_t list_bytes;
    uint64_t seed; /* of the rotation */
    double longest;
    int32_t scale; /* residuals are about 2^scale long */
};
enum { IVF_LEAST_SCALE = -60, IVF_MOST_SCALE = 52 }; /* squares of lengths stay floats, times a half too */
/** The units that factors are stored in: those of the blocks, and those beside the further bits. */
void kt_ivf_units(const struct ivf_shape *shape, struct kt_units *first, struct kt_units *all);

enum { IVF_FACTOR_BYTES = 3 * sizeof(uint16_t) }; /* of a row */
struct ivf_layout { /* byte offsets in the file; sizes where they are used twice */
    uint64_t mean, meso, meso_units, meso_squares, meso_begin, centroids, units, squares, codebook, directory,
        lists, outliers, end;
    uint32_t wide;            /* bytes of a centroid: tree_dim rounded up to 64 */
    uint32_t extra_bytes;     /* of a row, its factors counted; 0 where there are none */
    uint64_t block_bytes;     /* of a list */
    uint64_t row_block_bytes; /* of outliers, and of a list without codes */
    uint64_t codes_bytes;     /* in a block, padded: where the factors begin */
};
void kt_ivf_layout(const struct ivf_shape *shape, struct ivf_layout *out);
/** Bytes of a list of `rows` rows: its blocks, then the extra bits of each row. */
uint64_t kt_ivf_list_bytes(const struct ivf_layout *layout, uint64_t rows);

struct ivf_list {
    uint64_t begin; /* from the beginning of all lists */
    uint32_t rows;
};

/* Centroids as a search sees them: whole bytes, scaled. centroid = unit * bytes, square is of its length. */
struct ivf_bytes {
    const int8_t *bytes; /* count * wide */
    const float *units, *squares;
};

struct ivf_calibration;

/* An open index: borrowed sections of its file, and what is made of them once. */
struct kt_index {
    struct kt_view_file *file;
    struct ivf_shape shape;
    struct ivf_layout layout;
    struct kt_units first, all;
    struct ivf_space space;
    struct ivf_bytes meso, centroids;
    const uint32_t *meso_begin;
    const uint8_t *directory;
    struct kt_pq pq;
    struct ivf_calibration *calibration; /* never NULL */
};
struct ivf_list kt_ivf_list(const struct kt_index *index, uint32_t list);

/* What a writer has in hand before the lists. */
struct ivf_head {
    struct ivf_shape shape;
    const float *mean;
    struct ivf_bytes meso, centroids;
    const uint32_t *meso_begin;
    const float *codebook;
    const uint64_t *list_begin; /* lists + 1: rows before each list */
};
/** Writes everything before the lists. */
kith_status kt_ivf_write_head(const struct ivf_head *head, struct kt_sink *sink, kith_error *error);
kith_status kt_ivf_open(struct kt_view_file *file, const json_t *calibration, struct kt_index **out,
                        kith_error *error);
void kt_ivf_close(struct kt_index *index);

/* ---- rows of a table by position (ivf_space.c) ---- */

struct ivf_source {
    const struct kt_vectors *vectors;
    const struct ivf_space *space;
    uint64_t rows;       /* positions 0 .. rows-1: the rows of all runs, one after another */
    uint64_t *run_begin; /* run_count + 1 positions */
};
kith_status kt_ivf_source_init(struct ivf_source *source, const struct kt_vectors *vectors,
                               const struct ivf_space *space, kith_error *error);
void kt_ivf_source_release(struct ivf_source *source);
uint64_t kt_ivf_source_row(const struct ivf_source *source, uint64_t position);
/** Lends the stored numbers of one position; NULL for a null vector. */
kith_status kt_ivf_source_lend(const struct ivf_source *source, uint64_t position, const void **out,
                               kith_error *error);
/** Positions [begin, begin + count) in the space into `out` (count * tree_dim) and, a byte each, whether
 * there is a vector; a null one reads as zeros. */
kith_status kt_ivf_source_load(const struct ivf_source *source, uint64_t begin, uint32_t count, float *out,
                               uint8_t *there, kith_error *error);

/* ---- training (ivf_train.c) ---- */

struct ivf_trained {
    struct ivf_space space; /* owns mean and rotation */
    float *mean;
    double far_square; /* rows whose square (before the rotation, less the mean) is not within this are
                          outliers */
    struct kt_centroids centroids; /* as the bytes below say them */
    float *norms, *meso_norms;
    struct kt_tree tree;
    int8_t *bytes, *meso_bytes;
    float *units, *meso_units;
    uint32_t beam;
    struct kt_pq pq;
    uint64_t sample_rows;
};
/** Learns everything that rows are encoded by. `shape` has kind, metric, element, dim, tables and seed. */
kith_status kt_ivf_train(const struct kt_index_plan *plan, const struct ivf_shape *shape,
                         const struct kt_vectors *vectors, struct kt_work *work, struct ivf_trained *out,
                         kith_error *error);
void kt_ivf_trained_release(struct ivf_trained *trained);

/* ---- one search ---- */

struct ivf_probe {
    uint32_t list;
    float distance; /* the square, in the space */
};

/* A query's lists, the nearest first as far as they have been asked for (ivf_rank.c). */
struct ivf_ranking {
    const struct kt_index *index;
    const int8_t *high, *low; /* the query in bytes, and what they leave over in finer bytes */
    float unit, square;       /* query = unit * (high + low / 254); the square of its length */
    uint64_t *mesos;          /* keys of meso clusters, nearest first */
    uint32_t meso_count, mesos_ranked;
    const uint32_t
        *matches;     /* rows wanted in each list: lists without are not ranked; NULL: all are wanted */
    float *distances; /* of ranked lists, of which some are sorted: those are IVF_FAR here */
    uint32_t *lists;
    uint32_t ranked, without; /* without: lists left out */
    float *near;              /* distances of the sorted ones, and */
    uint32_t *order;          /* their lists */
    float *weights,
        *near_weights; /* share of the rows of ranked and of sorted lists that is wanted; NULL as `matches` */
    uint32_t sorted, refined; /* the first of them with distances as exact as they get */
    uint32_t *picks;          /* scratch, as */
    uint64_t *keys;           /* these */
};
#define IVF_FAR 3e38f
kith_status kt_ivf_rank_begin(const struct kt_index *index, const float *vector, const uint32_t *matches,
                              struct kt_arena *scratch, struct ivf_ranking *out, kith_error *error);
/** Probe number `at`, ranking further meso clusters when few of those ranked are left; false when there are
 * no more lists. Asked for in order. */
bool kt_ivf_rank_get(struct ivf_ranking *ranking, uint32_t at, struct ivf_probe *out);

/** The nearest list, as far as bytes tell; lists of one meso cluster have neighbouring numbers. Instead of
 * asking for probes. */
uint32_t kt_ivf_rank_nearest(struct ivf_ranking *ranking);

/* A row whose bounds left room when it was scanned. */
struct ivf_candidate {
    float low;            /* bound of its distance's square in the space */
    uint32_t rank;        /* of its list */
    const uint8_t *where; /* its row offset stands here */
};

/* What calibrating wants to know of each candidate: estimates and their standard errors. */
struct ivf_trace {
    float sign_estimate, sign_error, estimate, error;
};

struct ivf_search {
    const struct kt_index *index;
    const struct kt_vectors *vectors;
    const struct kt_index_query *query;
    struct kt_arena *scratch;
    struct kt_top *top; /* the answer: exact distances */
    struct kt_index_stats *stats;
    kith_error *error;

    const float *vector; /* in the space */
    struct ivf_ranking ranking;

    const uint8_t *lut; /* of either kind of code; look-ups * unit + bias = q.v of the first code, in the unit
                           of its rescale */
    float unit, bias;
    struct kt_rabitq_query signs;
    float query_square;        /* dot: what its distances turn on */
    float sign_slack, slack;   /* standard errors of q.v, by signs and by all bits, from rounding the query;
                                  each in the unit of its rescale */
    float sign_spread, spread; /* standard errors that bounds keep off, for signs and for all bits */
    float upper;               /* 1; for calibrating less: upper bounds as searches will have them */
    kt_distance_fn exact_distance;

    struct kt_top nearest; /* the least upper bounds; what is above the worst of them is out */
    struct ivf_candidate *candidates;
    size_t candidate_count, candidate_room;
    uint32_t *sums;                    /* of some blocks */
    float *estimates, *lows;           /* of the same */
    struct ivf_batch *fresh, *waiting; /* rows whose further bits are on their way */
    struct kt_hit *first;              /* a heap for the first of them */
    uint64_t rows;                     /* scanned, of those that a filter wants */

    /* for calibrating only */
    struct kt_top *others; /* the same for smaller k */
    uint32_t other_count;
    struct ivf_trace *traces; /* beside the candidates */
    uint64_t left_out;        /* a row offset that is not seen; UINT64_MAX: none */
};
/** Readies a search; the lists are ranked, nothing is scanned. `recall` decides the spreads. */
kith_status kt_ivf_search_begin(struct ivf_search *search);
/** Scans the list of one probe; `next` is the list to come, or UINT32_MAX. */
kith_status kt_ivf_scan(struct ivf_search *search, const struct ivf_probe *probe, uint32_t rank,
                        uint32_t next);
/** Looks at the rows that are still waiting. */
kith_status kt_ivf_scan_rest(struct ivf_search *search);
/** Reads the exact distances of the candidates that are left, and of outliers, into `top`. */
kith_status kt_ivf_search_end(struct ivf_search *search);
/** Where in a block the offsets of its rows stand. */
size_t kt_ivf_offsets_at(const struct kt_index *index);
kith_status kt_ivf_scan_outliers(struct ivf_search *search);
/** Takes the scratch of scanning. */
kith_status kt_ivf_scan_begin(struct ivf_search *search);

/* ---- stopping (ivf_stop.c) ---- */

enum { IVF_POINTS = 48, IVF_CURVES = 3, IVF_LOSSES = 4, IVF_MOST_K = 100 };

/* What was learned for one k. */
struct ivf_curve {
    uint32_t k;
    float unit;
    float linear, square; /* neighbours that a list holds on the average: 2^-(linear z + square z^2), by z =
                             (its distance - the nearest list's) / (unit * root of the k-th neighbour's),
                             distances being squares */
    uint32_t points;      /* by falling share of mass that is left unseen */
    struct ivf_point {
        float left, recall, error, lists, codes;
    } point[IVF_POINTS];
};
struct ivf_calibration {
    bool known;
    bool on_queries; /* the user's; else rows held out */
    uint32_t queries;
    float sign_spread[IVF_LOSSES], spread[IVF_LOSSES]; /* by kt_ivf_losses */
    struct ivf_curve curve[IVF_CURVES];
};
extern const uint32_t kt_ivf_ks[IVF_CURVES];
extern const float kt_ivf_losses[IVF_LOSSES];
kith_status kt_ivf_calibration_read(const json_t *from, struct ivf_calibration *out, kith_error *error);
json_t *kt_ivf_calibration_write(const struct ivf_calibration *calibration);
const struct ivf_curve *kt_ivf_curve_for(const struct ivf_calibration *calibration, uint32_t k);
/** The share of mass that may be left unseen for this recall, and the recall to expect then. */
float kt_ivf_left_for(const struct ivf_curve *curve, float recall, float *expected);
void kt_ivf_spreads(const struct ivf_calibration *calibration, float recall, float *signs, float *all);

/* How much is left unseen after each list. */
struct ivf_stop {
    const struct ivf_curve *curve;
    float bound, tail_bound; /* of the k-th neighbour, a square, when masses were last summed */
    float scale;             /* of z */
    uint32_t sorted;         /* lists, when the tail was summed */
    float seen, left, tail;  /* masses: of lists seen, of sorted ones not yet seen, of the others */
};
/** After probe `at` was scanned: the share of mass that is in lists not yet seen. */
float kt_ivf_stop_left(struct ivf_stop *stop, const struct ivf_ranking *ranking, uint32_t at, float bound);

/* ---- the operations ---- */

kith_status kt_ivf_plan_flat(struct kt_index_plan *plan, uint32_t dim, kith_element element, uint64_t rows,
                             kith_error *error);
kith_status kt_ivf_plan_pq(struct kt_index_plan *plan, uint32_t dim, kith_element element, uint64_t rows,
                           kith_error *error);
kith_status kt_ivf_plan_rq(struct kt_index_plan *plan, uint32_t dim, kith_element element, uint64_t rows,
                           kith_error *error);
kith_status kt_ivf_plan_sq(struct kt_index_plan *plan, uint32_t dim, kith_element element, uint64_t rows,
                           kith_error *error);
kith_status kt_ivf_build(const struct kt_index_plan *plan, const struct kt_vectors *vectors,
                         struct kt_work *work, struct kt_sink *sink, json_t **meta, kith_error *error);
kith_status kt_ivf_search(const struct kt_index *index, const struct kt_vectors *vectors,
                          const struct kt_index_query *query, struct kt_arena *scratch, struct kt_top *top,
                          struct kt_index_stats *stats, kith_error *error);
kith_status kt_ivf_count(const struct kt_index *index, const struct kt_selection *among,
                         struct kt_index_matches *out, kith_error *error);
kith_status kt_ivf_place(const struct kt_index *index, const struct kt_index_query *query,
                         struct kt_arena *scratch, uint32_t *out, kith_error *error);
kith_status kt_ivf_calibrate(const struct kt_index *index, const struct kt_vectors *vectors,
                             const struct kt_samples *queries, uint64_t seed, struct kt_work *work,
                             json_t **out, kith_error *error);
void kt_ivf_expect(const struct kt_index *index, uint32_t k, float recall, struct kt_index_stats *out);

#endif
