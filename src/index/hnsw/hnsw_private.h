/* HNSW (Malkov, Yashunin, 2018): what its files share.
 *
 * A node is a row; it holds a code of the row, one byte a number, and the numbers of nodes near it. A search
 * walks from node to node by the distances of codes, and reads the stored rows of those it ends with: the
 * index adds links and codes to a table, never a second copy of its vectors.
 *
 *   hnsw_plan.c       what a plan leaves open, and what is refused; how much memory a build takes
 *   hnsw_code.c       a row or query as its code, and the distances of codes
 *   hnsw_graph.c      the graph in memory: nodes of files and new ones, links and what replaces them
 *   hnsw_walk.c       from a node to the nearest ones
 *   hnsw_insert.c     new nodes, in batches
 *   hnsw_mend.c       no node that nobody near it leads to
 *   hnsw_arrange.c    every node reachable; an order in which neighbours share pages
 *   hnsw_build.c      a new index, and a run of nodes more
 *   hnsw_merge.c      some files made one; links around nodes that are dead
 *   hnsw_store.c      the files: where what lies, writing them
 *   hnsw_open.c       opening them
 *   hnsw_search.c     one search, from the query to exact distances
 *   hnsw_calibrate.c  how far to walk for a wanted recall
 *   hnsw_ops.c        what an index is told as; the table of operations
 *
 * A base file holds a graph; a run holds nodes that were added later and the lists of older ones that changed
 * with them. Numbers of nodes go on from file to file, so that a link may lead into any of them. */
#ifndef KT_INDEX_HNSW_PRIVATE_H
#define KT_INDEX_HNSW_PRIVATE_H

#include "base/bytes.h"
#include "index/index.h"
#include "index/space.h"

enum {
    HNSW_LEVELS = 16, /* of lists above the lowest: level 1 to 16 */
    HNSW_LEAST_M = 4,
    HNSW_MOST_M = 256,
    HNSW_MOST_EF = 1 << 20,
    HNSW_MOST_DIM = 1 << 17, /* products of more bytes do not fit 32 bits */
    HNSW_CURVES = 3,         /* of a calibration: for the nearest, the 10 and the 100 nearest */
    HNSW_EFS = 15,
    HNSW_MOST_K = 100
};
#define HNSW_NONE UINT32_MAX                /* no node: the rest of a list */
#define HNSW_ALL UINT32_MAX                 /* in place of an ef: every row */
#define HNSW_MOST_NODES (UINT32_C(1) << 31) /* the highest bit of a number is a mark of the walk's */

/* ---- what all files of an index have in common ---- */

struct hnsw_shape {
    kith_metric metric;
    kith_element element;
    uint32_t dim, space_dim;
    uint32_t m; /* links that a node makes; the lowest level has room for twice as many */
    uint32_t ef_construction;
    uint64_t base_row; /* rows are stored as u32 from here */
    uint64_t seed;
    uint64_t graph; /* which numbering of nodes this is: runs name it */
};

/* What a node has, each in an array of its own: a walk compares many more codes than it follows links, and
 * codes alone lie on fewer lines. */
struct hnsw_layout {
    uint32_t code_bytes; /* from one code to the next */
    uint32_t wide;       /* that the kernels read of a code and what follows it */
    uint32_t link_bytes; /* of a list of the lowest level */
};
enum { HNSW_SPARE = 64 /* bytes behind the last code, for who reads on */ };
void kt_hnsw_layout(const struct hnsw_shape *shape, struct hnsw_layout *out);
/** Numbers of a code's vector. */
static inline uint32_t kt_hnsw_space_dim(uint32_t dim, kith_metric metric)
{
    return metric == KITH_HAMMING ? 8 * dim : dim;
}
/** The space of a shape, but for its mean. For dot it is that of the numbers as they are: a graph of the
 * products themselves finds the largest ones sooner than one of rows made equally long (Morozov, Babenko
 * 2018). */
static inline struct kt_space kt_hnsw_space(const struct hnsw_shape *shape)
{
    return (struct kt_space){ .metric = shape->metric == KITH_DOT ? KITH_L2 : shape->metric,
                              .element = shape->element,
                              .dim = shape->dim,
                              .space_dim = shape->space_dim };
}

/* ---- codes (hnsw_code.c) ---- */

/* A code that others are compared with: `wide` bytes, zeros behind its own. */
struct hnsw_point {
    uint8_t *code;
    float unit, square;
};

struct kt_index;
/* The code of a node, where it lies. */
struct hnsw_look {
    const uint8_t *code;
    const float *factors; /* unit, square of the length */
};
/** Writes the code and factors of a vector of the space; for hamming of the bytes. False when floats cannot
 * hold its distances. */
bool kt_hnsw_encode(const struct kt_index *graph, const float *vector, uint8_t *code, float factors[2]);
void kt_hnsw_encode_bits(const struct kt_index *graph, const uint8_t *bits, uint8_t *code, float factors[2]);
/** Fills a point, whose `code` has room. */
void kt_hnsw_point(const struct kt_index *graph, const struct hnsw_look *look, struct hnsw_point *out);
/** The squares of the distances of some nodes to a point (hamming: bits that differ). */
void kt_hnsw_distances(const struct kt_index *graph, const struct hnsw_point *point,
                       const struct hnsw_look *looks, uint32_t count, float *out);

/* ---- the graph (hnsw_graph.c) ---- */

/* Nodes of one file, or (file is NULL) in memory. */
struct hnsw_part {
    struct kt_view_file *file;
    struct kt_window window;
    uint64_t codes, factors, rows, links; /* where they begin */
    uint8_t *code_memory;
    float *factor_memory;
    uint32_t *row_memory, *link_memory;
    uint32_t first, count;
    uint64_t aside; /* where the offsets of rows that have no node stand: every search reads them */
    uint32_t aside_count;
};

/* A list that stands in place of the one of a file, or of a level of a node that is not of the base. */
struct hnsw_patch {
    uint32_t node, level;
    uint32_t *links; /* of a file: not to be written */
};

struct hnsw_patches {
    uint64_t *marks; /* a bit a node: it has a patch */
    struct hnsw_patch *slots;
    uint32_t mask, count;
};

/* Levels of the base above the lowest: its nodes of level l are the first above[l]. */
struct hnsw_upper {
    uint32_t above[HNSW_LEVELS + 1]; /* above[0]: all */
    uint64_t at[HNSW_LEVELS + 1];    /* of the file: where the lists of a level begin */
    uint32_t *memory[HNSW_LEVELS + 1];
};

struct hnsw_calibration {
    bool known, on_queries;
    uint32_t queries, efs;
    uint32_t ef[HNSW_EFS];
    float recall[HNSW_CURVES][HNSW_EFS]; /* to be expected */
    float codes[HNSW_EFS];               /* compared by a search */
};

struct kt_index {
    struct hnsw_shape shape;
    struct hnsw_layout layout;
    struct kt_space space;
    float *own_mean; /* that a build learned; of an open index the mean is the file's */
    struct hnsw_part
        *parts; /* the base, then runs as they were added; while new nodes are, they are the last */
    uint32_t part_count;
    struct hnsw_upper upper;
    struct hnsw_patches patches;
    uint32_t nodes, aside; /* of all parts */
    uint32_t entry, top;   /* where walks begin, on which level */
    uint64_t row_span;
    uint64_t *part_rows;
    struct kt_arena lists; /* patches in memory */
    struct hnsw_calibration calibration;
};

static inline const struct hnsw_part *kt_hnsw_part(const struct kt_index *graph, uint32_t node)
{
    const struct hnsw_part *part = graph->parts;
    while (node - part->first >= part->count) part++;
    return part;
}
kith_status kt_hnsw_lend(const struct hnsw_part *part, uint64_t offset, uint64_t count, const uint8_t **out,
                         kith_error *error);
/** The same for what is shorter than a block, without a call where it was lent before. */
static inline kith_status kt_hnsw_lend_short(const struct hnsw_part *part, uint64_t offset, uint64_t count,
                                             const uint8_t **out, kith_error *error)
{
    *out = kt_window_at(&part->window, offset, count);
    return __builtin_expect(*out != NULL, 1) ? KITH_OK : kt_hnsw_lend(part, offset, count, out, error);
}
/** Lends the code of a node below graph->nodes. */
static inline kith_status kt_hnsw_look(const struct kt_index *graph, uint32_t node, struct hnsw_look *out,
                                       kith_error *error)
{
    const struct hnsw_part *part = kt_hnsw_part(graph, node);
    uint64_t at = node - part->first, bytes = graph->layout.code_bytes;
    const uint8_t *factors = NULL;
    if (part->code_memory) {
        *out = (struct hnsw_look){ part->code_memory + at * bytes, part->factor_memory + 2 * at };
        return KITH_OK;
    }
    kith_status status =
        kt_hnsw_lend_short(part, part->codes + at * bytes, graph->layout.wide, &out->code, error);
    if (!status) status = kt_hnsw_lend_short(part, part->factors + 8 * at, 8, &factors, error);
    out->factors = (const float *)(const void *)factors;
    return status;
}
static inline uint32_t kt_hnsw_room(const struct kt_index *graph, uint32_t level)
{
    return level ? graph->shape.m : 2 * graph->shape.m;
}
static inline uint32_t kt_hnsw_count(const uint32_t *links, uint32_t room)
{
    uint32_t count = 0;
    while (count < room && links[count] != HNSW_NONE) count++;
    return count;
}
/** The highest level of a node of a base. */
static inline uint32_t kt_hnsw_base_level(const struct hnsw_upper *upper, uint32_t node)
{
    uint32_t level = 0;
    while (level < HNSW_LEVELS && node < upper->above[level + 1]) level++;
    return level;
}
/** KITH_CORRUPT: a file lets a node link to one that is not there. */
kith_status kt_hnsw_bad_link(const struct kt_index *graph, uint32_t node, uint32_t link, kith_error *error);
/** Lends the list of a node: kt_hnsw_room() numbers, HNSW_NONE behind the last. */
kith_status kt_hnsw_links(const struct kt_index *graph, uint32_t node, uint32_t level, const uint32_t **out,
                          kith_error *error);
/** The same list, to be changed: one of a file is copied into a patch first. Not for several threads, unless
 * the node has been asked for before. */
kith_status kt_hnsw_own_links(struct kt_index *graph, uint32_t node, uint32_t level, uint32_t **out,
                              kith_error *error);
kith_status kt_hnsw_add_patch(struct kt_index *graph, uint32_t node, uint32_t level, uint32_t *links,
                              kith_error *error);
/** Makes room for the lists above the lowest level of a base in memory, whose upper.above is known. */
kith_status kt_hnsw_add_upper(struct kt_index *graph, kith_error *error);
/** Adds a part in memory for `count` nodes more. */
kith_status kt_hnsw_add_memory(struct kt_index *graph, uint32_t count, kith_error *error);
/** The row of a node; KITH_CORRUPT when it is none of the index. */
kith_status kt_hnsw_row(const struct kt_index *graph, uint32_t node, uint64_t *out, kith_error *error);
/** The level of a new node: it depends on its row and the seed alone. */
uint32_t kt_hnsw_level(const struct hnsw_shape *shape, uint64_t row);
/** What stands first in messages. */
const char *kt_hnsw_name(const struct kt_index *graph);
void kt_hnsw_release(struct kt_index *graph); /* all but the structure */

/* ---- walking (hnsw_walk.c) ---- */

struct hnsw_near {
    float distance;
    uint32_t node; /* while walking its highest bit says that its links were followed */
};

/* One walk; memory is the caller's. */
struct hnsw_walk {
    const struct kt_index *graph;
    struct hnsw_point point;
    struct hnsw_near *pool; /* nearest first */
    uint32_t count, capacity;
    uint64_t *visited, *lines; /* a bit a node; a bit for each 512 of them that were cleared */
    /* Under a filter the pool leads the way, and what it admits is gathered beside it. */
    const struct kt_selection *among; /* NULL: all */
    struct hnsw_near *found;          /* nearest first */
    uint32_t found_count, found_capacity;
    uint64_t codes, expanded;
    struct kt_work *work; /* of a search: asked whether to go on; else NULL */
    kith_error *error;
};
/** Takes the memory of a walk with pools of these sizes; the graph may have grown since when `nodes` allows.
 */
kith_status kt_hnsw_walk_init(struct hnsw_walk *walk, const struct kt_index *graph, uint32_t nodes,
                              uint32_t capacity, uint32_t found, struct kt_arena *scratch, kith_error *error);
/** Nothing is visited, the pool is empty. */
void kt_hnsw_walk_clear(struct hnsw_walk *walk);
void kt_hnsw_visit(struct hnsw_walk *walk, uint32_t node);
/** Puts a node into the pool to begin at. */
kith_status kt_hnsw_walk_from(struct hnsw_walk *walk, uint32_t node);
/** Follows links of a level until the `ef` nearest of the pool have been. */
kith_status kt_hnsw_walk_level(struct hnsw_walk *walk, uint32_t level, uint32_t ef);
/** From the entry down to above `level`; the pool then begins at the nearest node met. */
kith_status kt_hnsw_descend(struct hnsw_walk *walk, uint32_t level);

/* ---- new nodes (hnsw_insert.c) ---- */

/* Links for a node among candidates, nearest first: a candidate is left out when one that was taken is nearer
 * to it than the node is (Malkov, Yashunin, algorithm 4); for dot the nearest of these fill the list up.
 * `scratch_code` has layout.wide bytes. */
kith_status kt_hnsw_select(const struct kt_index *graph, const struct hnsw_near *candidates, uint32_t count,
                           uint32_t most, uint8_t *scratch_code, uint32_t *links, kith_error *error);
/** Puts the nearest of the candidates that a list does not have into what is left of it. */
void kt_hnsw_fill_up(const struct hnsw_near *candidates, uint32_t count, uint32_t room, uint32_t *links);
/** A choice for a node and candidates in any order, whose distances are filled in: all that wants to be in
 * its list. */
kith_status kt_hnsw_choose(const struct kt_index *graph, uint32_t node, struct hnsw_near *candidates,
                           uint32_t count, uint32_t room, struct kt_arena *scratch, uint32_t *links,
                           kith_error *error);
/** Links the nodes of the last part, which is in memory and has codes. A base in memory has its nodes by
 * level, highest first. `levels` is NULL for it; otherwise that of each new node. */
kith_status kt_hnsw_insert(struct kt_index *graph, const uint8_t *levels, struct kt_work *work,
                           kith_error *error);

/* ---- being found (hnsw_mend.c) ---- */

/** Sees to it that one of the nodes that a node links to links back. */
kith_status kt_hnsw_mend(struct kt_index *graph, uint32_t node, kith_error *error);

/* ---- order (hnsw_arrange.c) ---- */

/** Of a base in memory: links every node that no other leads to, then gives the new number of each node. */
kith_status kt_hnsw_arrange(struct kt_index *graph, uint32_t *numbers, kith_error *error);

/* ---- files (hnsw_store.c, hnsw_open.c) ---- */

enum { HNSW_HEADER_BYTES = 256, HNSW_ALIGN = 64 };
extern const char kt_hnsw_magic[8];

/* What one file adds. */
struct hnsw_extent {
    bool is_run;
    uint32_t first, count; /* nodes */
    uint32_t aside;
    uint32_t patches[2]; /* of the lowest level, and of others */
    uint32_t entry, top; /* of the graph with it */
    uint64_t row_span;
};
struct hnsw_places { /* byte offsets in a file */
    uint64_t mean, upper[HNSW_LEVELS + 1], codes, factors, rows, links, aside, patches[2], end;
};
void kt_hnsw_places(const struct hnsw_shape *shape, const uint32_t *above, const struct hnsw_extent *extent,
                    struct hnsw_places *out);
/* A file to be written from a graph; numbers of nodes become numbers[node], and nodes are written in that
 * order, where it is not NULL. */
struct hnsw_writing {
    const struct kt_index *graph;
    struct hnsw_extent extent; /* patches are counted by kt_hnsw_write() */
    const uint32_t *numbers;
    const uint32_t *aside; /* offsets of rows */
};
kith_status kt_hnsw_write(struct hnsw_writing *writing, struct kt_work *work, struct kt_sink *sink,
                          kith_error *error);
kith_status kt_hnsw_describe(const struct kt_index *graph, const struct hnsw_extent *extent, json_t **out,
                             kith_error *error);
kith_status kt_hnsw_open(struct kt_view_file *const *files, uint32_t count, const json_t *calibration,
                         struct kt_index **out, kith_error *error);
void kt_hnsw_close(struct kt_index *graph);

/* ---- operations ---- */

/** Arranges a base in memory whose nodes are linked, gives it its name (shape.graph) and writes it; `aside`
 * are offsets of rows. `meta` as of build(). */
kith_status kt_hnsw_write_base(struct kt_index *graph, const uint32_t *aside, uint32_t aside_count,
                               struct kt_work *work, struct kt_sink *sink, json_t **meta, kith_error *error);

kith_status kt_hnsw_plan(struct kt_index_plan *plan, uint32_t dim, kith_element element, uint64_t rows,
                         kith_error *error);
kith_status kt_hnsw_build(const struct kt_index_plan *plan, const struct kt_vectors *vectors,
                          struct kt_work *work, struct kt_sink *sink, json_t **meta, kith_error *error);
kith_status kt_hnsw_extend(const struct kt_index *graph, const struct kt_vectors *vectors,
                           const struct kt_rows *rows, uint32_t count, struct kt_work *work,
                           struct kt_sink *sink, json_t **meta, kith_error *error);
kith_status kt_hnsw_merge(const struct kt_index *graph, uint32_t first, uint32_t count,
                          const struct kt_selection *live, const struct kt_vectors *vectors,
                          struct kt_work *work, struct kt_sink *sink, json_t **meta, kith_error *error);
kith_status kt_hnsw_search(const struct kt_index *graph, const struct kt_vectors *vectors,
                           const struct kt_index_query *query, struct kt_arena *scratch, struct kt_top *top,
                           struct kt_index_stats *stats, kith_error *error);
/** A query in the space, as a point. */
kith_status kt_hnsw_point_of(const struct kt_index *graph, const struct kt_index_query *query,
                             struct kt_arena *scratch, struct hnsw_point *out, kith_error *error);
kith_status kt_hnsw_calibrate(const struct kt_index *graph, const struct kt_vectors *vectors,
                              const struct kt_samples *queries, uint64_t seed, struct kt_work *work,
                              json_t **out, kith_error *error);
kith_status kt_hnsw_calibration_read(const json_t *json, struct hnsw_calibration *out, kith_error *error);
/** The least ef that gives this recall for k rows, or HNSW_ALL where reading every row costs no more than a
 * walk that does not give it; `expected` is what it gives (0: not known). */
uint32_t kt_hnsw_ef_for(const struct kt_index *graph, uint32_t k, float recall, float *expected);
void kt_hnsw_expect(const struct kt_index *graph, uint32_t k, float recall, struct kt_index_stats *out);

#endif
