/* What the files of ivf share: the shape of an index, and its open form.
 *
 *   ivf_plan.c       what a plan leaves open, and what is refused
 *   ivf_train.c      the sample, the tree, the codebooks
 *   ivf_build.c      a new index: trained, then every row encoded
 *   ivf_extend.c     a run: more rows for an index that is there
 *   ivf_merge.c      some files made one
 *   ivf_encode.c     rows to their lists, and into codes
 *   ivf_form.c       how the rows of a list lie in it
 *   ivf_store.c      the files: where what lies, and writing them
 *   ivf_open.c       opening them
 *   ivf_rank.c       a query's lists, nearest first
 *   ivf_assign.c     the lists of rows, many at a time
 *   ivf_scan.c       a list's rows: bounds, extra bits, candidates
 *   ivf_search.c     one search, from the query to exact distances
 *   ivf_count.c      what a filter admits, list by list; what an index is told as
 *   ivf_stop.c       when a search has seen enough
 *   ivf_calibrate.c  what "enough" is, learned from replayed searches */
#ifndef KT_INDEX_IVF_PRIVATE_H
#define KT_INDEX_IVF_PRIVATE_H

#include "base/bytes.h"
#include "index/index.h"
#include "index/space.h"
#include "quant/quant.h"

/* What a list holds of each row. */
enum ivf_kind {
    IVF_ROWS,  /* the row itself */
    IVF_PQ,    /* a code of trained sub-quantisers */
    IVF_SIGNS, /* RaBitQ: the signs of the rotated residual, and further bits */
    IVF_KINDS
};

/* ---- the shape of an index: what all its files have in common (ivf_store.c) ---- */

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
    uint32_t beam;     /* meso clusters that assigning a row looks into at least */
    int32_t scale;     /* residuals are about 2^scale long */
    uint64_t base_row; /* rows are stored as u32 from here */
    uint64_t seed;     /* of the rotation */
    double longest;
    double far_square; /* rows whose square in the space is not within this are outliers */
    double crowd;      /* rows that the list of a row had, on the average, when the tree was made; */
    uint32_t thin;     /* and how many lists were much shorter than the others */
    uint64_t tree;     /* which tree this is: a hash of it and of the above */
};
enum { IVF_LEAST_SCALE = -60, IVF_MOST_SCALE = 52 }; /* squares of lengths stay floats, times a half too */
/** The units that factors are stored in: those of the blocks, and those beside the further bits. */
void kt_ivf_units(const struct ivf_shape *shape, struct kt_units *first, struct kt_units *all);

/* What one file adds: the base, or a run. */
struct ivf_extent {
    bool is_run;
    uint32_t entries;    /* lists that have any rows here */
    uint64_t rows;       /* of all lists, and the outliers */
    uint64_t outliers;   /* rows that are in no list: every search reads them as they are */
    uint64_t row_span;   /* every stored offset is below this */
    uint64_t list_bytes; /* of all lists */
};

/* ---- how rows lie in a list (ivf_form.c) ---- */

enum { IVF_FACTOR_BYTES = 3 * sizeof(uint16_t) }; /* of a row */

struct kt_index;

/* Bytes of the parts of lists, for all files of an index. */
struct ivf_layout {
    uint32_t wide;        /* of a centroid: tree_dim rounded up to 64 */
    uint32_t extra_bytes; /* of a row, its factors counted; 0 where there are none */
    uint64_t codes_bytes; /* in a block, padded: where the factors begin */
    uint64_t block_bytes; /* 0: lists of rows have no blocks */
    uint64_t item_bytes;  /* of a row that stands by itself, but for its offset */
    uint64_t row_bytes;   /* as the column has it */
};
void kt_ivf_layout(const struct ivf_shape *shape, struct ivf_layout *out);

/* A list of so many rows: blocks of 32, then rows that stand by themselves, then the extra bits of all. */
struct ivf_form {
    uint32_t rows, in_blocks;        /* of these, those that blocks hold; a multiple of 32 or all of them */
    uint64_t offsets, items, extras; /* where those of the rows that stand by themselves begin; extra bits */
    uint64_t bytes;
};
struct ivf_form kt_ivf_form(const struct ivf_layout *layout, bool is_run, uint32_t rows);
/** The same for outliers, which are rows as they are. */
struct ivf_form kt_ivf_outlier_form(const struct ivf_layout *layout, bool is_run, uint32_t rows);
/** Where the row offset of row `at` stands, those of the rows up to the next multiple of 32 after it. */
static inline uint64_t kt_ivf_offset_at(const struct ivf_layout *layout, const struct ivf_form *form,
                                        uint32_t at)
{
    if (at >= form->in_blocks) return form->offsets + (uint64_t)(at - form->in_blocks) * sizeof(uint32_t);
    return (uint64_t)(at / KT_BLOCK_ROWS) * layout->block_bytes + layout->codes_bytes +
           IVF_FACTOR_BYTES * KT_BLOCK_ROWS + at % KT_BLOCK_ROWS * sizeof(uint32_t);
}

/* A row as it lies in a list; what its kind does not have is NULL. */
struct ivf_row {
    uint32_t offset;
    uint16_t factors[3];
    const uint8_t *codes;   /* a byte each */
    const uint8_t *extra;   /* its further bits, with their factors */
    const uint8_t *numbers; /* as the column has them */
};
/** Reads row `at` of a list. `codes` has room for its codes. */
void kt_ivf_get(const struct kt_index *index, const struct ivf_form *form, const uint8_t *list, uint32_t at,
                uint8_t *codes, struct ivf_row *out);

/* A list that is filled row by row. */
struct ivf_filler {
    const struct kt_index *index;
    const struct ivf_form *form;
    uint8_t *list;  /* zeros */
    uint8_t *codes; /* of the rows of a block, 32 * tables */
    uint32_t at;    /* rows so far */
};
void kt_ivf_put(struct ivf_filler *filler, const struct ivf_row *row);

/* ---- an open index ---- */

/* Centroids as a search sees them: whole bytes, scaled. centroid = unit * bytes, square is of its length. */
struct ivf_bytes {
    const int8_t *bytes; /* count * wide */
    const float *units, *squares;
};

/* A file of an index. */
struct ivf_part {
    struct kt_view_file *file;
    struct ivf_extent extent;
    uint64_t outliers; /* where they begin */
};

/* The rows of one list in one file. */
struct ivf_slice {
    uint64_t begin; /* in the file */
    uint32_t rows;
    uint32_t part;
};

struct ivf_calibration;

/* An open index: borrowed sections of its base, and what is made of its files once. While an index is being
 * built it is the tree alone, without files. */
struct kt_index {
    struct ivf_shape shape;
    struct ivf_layout layout;
    struct kt_units first, all;
    struct kt_space space;
    struct ivf_bytes meso, centroids;
    const uint32_t *meso_begin;
    struct kt_pq pq;

    struct ivf_part *parts; /* the base, then runs as they were added */
    uint32_t part_count;
    uint64_t rows, outliers;             /* of all parts */
    uint64_t row_span;                   /* the longest */
    struct ivf_slice *slices;            /* by list, then by part */
    uint32_t *slice_begin;               /* lists + 1 */
    uint32_t *list_rows;                 /* lists */
    struct kt_index_matches held;        /* all rows, as if they were selected; borrows list_rows */
    float typical;                       /* rows of a list, of those that have any */
    bool thinned;                        /* there are lists that rows have left, by number or by merges */
    uint64_t *part_rows;                 /* of each part, for who asks how they grew */
    struct ivf_calibration *calibration; /* never NULL */
};
/** Whether so many rows are few beside those that lists have as a rule. */
static inline bool kt_ivf_is_thin(uint32_t rows, float typical)
{
    return 4 * (float)rows < typical;
}
/** What stands first in messages. */
const char *kt_ivf_name(const struct kt_index *index);
/** Lends a slice whole. */
kith_status kt_ivf_lend(const struct kt_index *index, const struct ivf_slice *slice,
                        const struct ivf_form *form, const uint8_t **out, kith_error *error);
/** Adds the rows of a slice that are selected. */
kith_status kt_ivf_count_slice(const struct kt_index *index, const struct ivf_slice *slice,
                               const struct kt_selection *among, uint32_t *sum, kith_error *error);
/** A centroid as floats. */
void kt_ivf_centroid(const struct kt_index *index, uint32_t list, float *out);

/* ---- files (ivf_store.c, ivf_open.c) ---- */

enum { IVF_HEADER_BYTES = 192, IVF_ALIGN = 64, IVF_ENTRY_BYTES = 8 };
extern const char kt_ivf_magic[8];
struct ivf_places { /* byte offsets in a file */
    uint64_t mean, meso, meso_units, meso_squares, meso_begin, centroids, units, squares, codebook, directory,
        lists, outliers, end;
};
void kt_ivf_places(const struct ivf_shape *shape, const struct ivf_layout *layout,
                   const struct ivf_extent *extent, struct ivf_places *out);
struct ivf_entry {
    uint32_t list, rows;
};
static inline struct ivf_entry kt_ivf_entry(const uint8_t *directory, uint32_t at)
{
    const uint8_t *entry = directory + (size_t)at * IVF_ENTRY_BYTES;
    return (struct ivf_entry){ kt_get_u32(entry), kt_get_u32(entry + 4) };
}
/* A file to be written: who has its rows fills lists with them, a few lists at a time, on all threads. */
struct ivf_writing {
    const struct kt_index *index; /* its tree */
    struct ivf_extent extent;     /* list_bytes is filled in */
    const struct ivf_entry *entries;
    void *context;
    /* Fills one list; its bytes are zero. */
    kith_status (*fill)(void *context, uint32_t entry, const struct ivf_form *form, uint8_t *list,
                        uint32_t worker, kith_error *error);
    /* Fills in the offsets of some outliers or, row_bytes each, the rows; the other is NULL. */
    kith_status (*fill_outliers)(void *context, uint64_t first, uint32_t count, uint8_t *offsets,
                                 uint8_t *rows, kith_error *error);
};
kith_status kt_ivf_write(struct ivf_writing *writing, struct kt_work *work, struct kt_sink *sink,
                         kith_error *error);
/** The hash by which a tree is known; the shape's own is left out. */
uint64_t kt_ivf_tree_hash(const struct kt_index *index);

/** What a file holds, as the caller of build() and its like is told. */
kith_status kt_ivf_describe(const struct kt_index *index, const struct ivf_extent *extent, const char *note,
                            json_t **out, kith_error *error);

kith_status kt_ivf_open(struct kt_view_file *const *files, uint32_t count, const json_t *calibration,
                        struct kt_index **out, kith_error *error);
void kt_ivf_close(struct kt_index *index);

/* ---- training (ivf_train.c) ---- */

struct ivf_trained {
    struct kt_space space; /* owns mean and rotation */
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

/* ---- encoding rows (ivf_encode.c) ---- */

/* Rows on their way into a file. Zeroed is empty. */
struct ivf_encoding {
    const struct kt_index *index; /* whose tree it is */
    struct kt_work *work;
    struct kt_source source;
    int32_t *assigned;         /* list of each position, or a negative number, until they are sorted */
    uint32_t *order;           /* positions by list, then the outliers */
    uint64_t *list_begin;      /* lists + 1 */
    struct ivf_entry *entries; /* lists that have any */
    uint32_t entry_count;
    uint64_t rows, outliers; /* as in ivf_extent */
    struct ivf_worker *workers;
    uint32_t worker_count;
};
kith_status kt_ivf_encoding_init(struct ivf_encoding *encoding, const struct kt_index *index,
                                 const struct kt_vectors *vectors, struct kt_work *work, kith_error *error);
/** Gives every row its list. */
kith_status kt_ivf_encoding_assign(struct ivf_encoding *encoding, kith_error *error);
kith_status kt_ivf_encoding_sort(struct ivf_encoding *encoding, kith_error *error);
/** What the file is to hold. */
struct ivf_extent kt_ivf_encoding_extent(const struct ivf_encoding *encoding, bool is_run, uint64_t row_span);
kith_status kt_ivf_encoding_write(struct ivf_encoding *encoding, const struct ivf_extent *extent,
                                  struct kt_sink *sink, kith_error *error);
void kt_ivf_encoding_release(struct ivf_encoding *encoding);
/** A list to be filled with the scratch of a worker. */
struct ivf_filler kt_ivf_filler(const struct ivf_encoding *encoding, const struct ivf_form *form,
                                uint8_t *list, uint32_t worker);
/** Encodes the rows of these positions into list number `list`. */
kith_status kt_ivf_encode_into(const struct ivf_encoding *encoding, struct ivf_filler *filler, uint32_t list,
                               const uint32_t *positions, uint32_t count, uint32_t worker, kith_error *error);

/* ---- one search ---- */

struct ivf_probe {
    uint32_t list;
    float distance; /* the square, in the space */
};

/* A vector in the space as bytes, and what they leave over in finer bytes. */
struct ivf_query_bytes {
    const int8_t *high, *low;
    float unit, square; /* vector = unit * (high + low / 254); the square of its length */
};
/** `high` has room for 2 * wide bytes. */
void kt_ivf_query_bytes(const float *vector, uint32_t dim, uint32_t wide, int8_t *high,
                        struct ivf_query_bytes *out);
/** Squares of distances to centroids first .. first + count - 1, by the high bytes. */
void kt_ivf_byte_distances(const struct ivf_query_bytes *query, const struct ivf_bytes *of, uint32_t wide,
                           uint32_t first, uint32_t count, float *out);
/** The same of one centroid, by the low bytes too. */
float kt_ivf_finer_distance(const struct ivf_query_bytes *query, const struct ivf_bytes *of, uint32_t wide,
                            uint32_t number, float distance);
/* A number and its distance as a whole number, in their order: the bits of a distance, which is not negative,
 * above the number. */
static inline uint64_t kt_ivf_key(float distance, uint32_t number)
{
    uint32_t bits;
    memcpy(&bits, &distance, sizeof bits);
    return (uint64_t)bits << 32 | number;
}
void kt_ivf_sort_keys(uint64_t *keys, uint32_t count); /* no two are the same */

enum { IVF_EXACT = 4 }; /* lists, of the nearest by bytes, whose order is by finer bytes */
/** Lists that are ranked at least before the first is chosen, where there are as many. */
uint32_t kt_ivf_first_ranked(const struct kt_index *index);
/** The list of each of `count` rows, at most IVF_CHUNK, which lie in the space one after another: the first
 * that a search for it visits (ivf_assign.c). */
kith_status kt_ivf_assign(const struct kt_index *index, const float *rows, uint32_t count,
                          struct kt_arena *scratch, uint32_t *out, kith_error *error);
enum { IVF_CHUNK = 256 };

/* A query's lists, the nearest first as far as they have been asked for (ivf_rank.c). */
struct ivf_ranking {
    const struct kt_index *index;
    struct ivf_query_bytes query;
    uint64_t *mesos; /* keys of meso clusters, nearest first */
    uint32_t meso_count, mesos_ranked;
    const struct kt_index_matches
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
kith_status kt_ivf_rank_begin(const struct kt_index *index, const float *vector,
                              const struct kt_index_matches *matches, struct kt_arena *scratch,
                              struct ivf_ranking *out, kith_error *error);
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
    float query_scale;         /* by which the space has it longer; see kt_space_query_scale() */
    bool asks_late;            /* there is a selection that nobody counted */
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
kith_status kt_ivf_scan_outliers(struct ivf_search *search);
/** Takes the scratch of scanning. */
kith_status kt_ivf_scan_begin(struct ivf_search *search);

/* ---- stopping (ivf_stop.c) ---- */

enum { IVF_POINTS = 48, IVF_CURVES = 3, IVF_LOSSES = 4, IVF_MOST_K = 100 };

/* What was learned for one k. */
struct ivf_curve {
    uint32_t k;
    float usual; /* square of the distance within which three of four have their k-th neighbour */
    float from;  /* where distances are judged from: 0 the k-th neighbour's, 1 the nearest list's */
    float unit;
    float linear, square; /* neighbours that a list holds on the average, but for a factor:
                             2^-(linear z + square z^2), by z = (its distance - the one it is judged from) /
                             (unit * root of the k-th neighbour's), distances being squares */
    uint32_t points;      /* by falling worth of going on */
    struct ivf_point {
        float worth, recall, error, lists, codes;
    } point[IVF_POINTS];
};
struct ivf_calibration {
    bool known;
    bool on_queries; /* the user's; else rows held out */
    uint32_t queries;
    float fit; /* square of the distance of a row's centroid, beside that of its tenth neighbour; not read
                  back */
    float sign_spread[IVF_LOSSES], spread[IVF_LOSSES]; /* by kt_ivf_losses */
    struct ivf_curve curve[IVF_CURVES];
};
extern const uint32_t kt_ivf_ks[IVF_CURVES];
extern const float kt_ivf_losses[IVF_LOSSES];
kith_status kt_ivf_calibration_read(const json_t *from, struct ivf_calibration *out, kith_error *error);
json_t *kt_ivf_calibration_write(const struct ivf_calibration *calibration);
/* What holds for one k, which lies between two that were learned for. */
struct ivf_rule {
    const struct ivf_curve *low, *high;
    float share; /* of the way from the low one to the high one, by the logarithm of k */
    float usual, from;
    float linear, square; /* as of a curve whose unit is 1 */
};
void kt_ivf_rule_for(const struct ivf_calibration *calibration, uint32_t k, struct ivf_rule *out);
/** The rule of one curve, or of the place between two. */
void kt_ivf_rule_between(const struct ivf_curve *low, const struct ivf_curve *high, float share,
                         struct ivf_rule *out);
/** What going on may be worth, at most, for a search with this recall to stop, and the recall to expect then.
 */
float kt_ivf_worth_for(const struct ivf_calibration *calibration, const struct ivf_rule *rule, float recall,
                       float *expected);
void kt_ivf_spreads(const struct ivf_calibration *calibration, float recall, float *signs, float *all);

/* What going on is worth after each list. */
struct ivf_stop {
    struct ivf_rule rule;
    float bound, tail_bound; /* of the k-th neighbour, a square, when masses were last summed */
    float from, scale;       /* of z */
    float nearest;           /* the logarithm of the nearest list's mass, negative */
    uint32_t sorted;         /* lists, when the tail was summed */
    float seen, left, tail;  /* masses: of lists seen, of sorted ones not yet seen, of the others */
    float next;              /* that of the next list, were it like the others */
    float alike, alike_tail; /* under weights: those of sorted ones, and of the others, without them */
};
/** After probe `at` was scanned: what it is worth to go on, from 1 down to 0. */
float kt_ivf_stop_worth(struct ivf_stop *stop, const struct ivf_ranking *ranking, uint32_t at, float bound);

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
kith_status kt_ivf_extend(const struct kt_index *index, const struct kt_vectors *vectors,
                          const struct kt_rows *rows, uint32_t count, struct kt_work *work,
                          struct kt_sink *sink, json_t **meta, kith_error *error);
kith_status kt_ivf_merge(const struct kt_index *index, uint32_t first, uint32_t count,
                         const struct kt_selection *live, const struct kt_vectors *vectors,
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
kith_status kt_ivf_look(const struct kt_index *index, const struct kt_vectors *vectors,
                        const struct kt_samples *samples, uint64_t first_row, uint64_t seed,
                        struct kt_work *work, struct kt_index_look *out, kith_error *error);
void kt_ivf_expect(const struct kt_index *index, uint32_t k, float recall, struct kt_index_stats *out);
void kt_ivf_shape(const struct kt_index *index, struct kt_index_shape *out);

#endif
