/* The file of an IVF index: what it looks like, writing its head, opening it.
 *
 *   header: 128 bytes at offset 0, little-endian
 *     offset  size  field
 *          0     8  "KITHIVF1"
 *          8     4  format version, 1
 *         12     4  1: lists of PQ codes; 0: lists of the rows themselves
 *         16     4  metric, as in kith.h
 *         20     4  element type of the column, as in kith.h
 *         24     4  dim
 *         28     4  tree dim: dim, or 8 * dim where the metric is hamming
 *         32     4  tables: sub-quantisers of 4 bits
 *         36     4  sub-vectors as the user counts them
 *         40     4  bits a sub-vector as the user counts them
 *         44     4  lists
 *         48     4  meso clusters
 *         52     4  beam: meso clusters that were looked into when a row was given its list
 *         56     8  rows, the outliers among them
 *         64     8  base row id
 *         72     8  row span: every row offset is below this, and this at most 2^32
 *         80     8  blocks of all lists
 *         88     8  outliers: rows in no list
 *         96    32  zero
 *
 *   Then, each from a multiple of 64 on, zero bytes between:
 *     mean              f32 x tree dim          taken off every row and query before the tree sees it
 *     meso centroids    f32 x meso x tree dim
 *     their squares     f32 x meso
 *     meso begin        u32 x (meso + 1)        meso cluster m has the lists [begin[m], begin[m + 1])
 *     centroids         f32 x lists x tree dim
 *     their squares     f32 x lists
 *     codebook          f32 x 16 x dim          only with codes: 16 rows of its
 *                                               width for sub-quantiser t, from 16 * begin(t)
 *     directory         16 x lists              u64 number of the first block, u32 rows, u32 zero
 *     lists             blocks, one list after another, those of one meso cluster side by side
 *     outliers          blocks without codes, whatever the lists have
 *
 *   A block holds 32 rows of one list; the last block of a list may hold fewer, its other lanes are padding.
 *     with codes:   codes, 16 * tables bytes in fast-scan order (kernels.h), zeros up to a multiple of 64
 *                   correction  f32 x 32     3e38 in padding lanes
 *                   row offset  u32 x 32     from the base row id
 *     without:      row offset  u32 x 32
 *                   rows, 32 * dim numbers of the column's element type, zeros up to a multiple of 64
 *
 * All offsets follow from the numbers of the header, so a file holds none that could point elsewhere; what it
 * holds is bounded here once. Row offsets are tested against the span where a row is offered.
 */
#include "index/ivf/ivf_private.h"

#include "base/bytes.h"

enum {
    HEADER_BYTES = 128,
    FORMAT = 1,
    ALIGN = 64,
    DIRECTORY_BYTES = 16,
    MOST_DIM = 1 << 20, /* with the next two, no product below leaves 64 bits */
    MOST_LISTS = 1 << 24,
    MOST_ELEMENT = 8
};
static const uint64_t most_blocks = UINT64_C(1) << 30; /* 2^32 rows, and a list each at worst */
static const char magic[8] = "KITHIVF1";

/* ---- where things lie ---- */

static uint64_t place(uint64_t *at, uint64_t bytes)
{
    uint64_t begin = *at;
    *at = kt_round_up(begin + bytes, ALIGN);
    return begin;
}

void kt_ivf_layout(const struct ivf_shape *s, struct ivf_layout *out)
{
    uint64_t at = HEADER_BYTES, wide = (uint64_t)s->tree_dim * sizeof(float);
    out->mean = place(&at, wide);
    out->meso = place(&at, s->mesos * wide);
    out->meso_norms = place(&at, s->mesos * sizeof(float));
    out->meso_begin = place(&at, ((uint64_t)s->mesos + 1) * sizeof(uint32_t));
    out->centroids = place(&at, s->lists * wide);
    out->norms = place(&at, s->lists * sizeof(float));
    out->codebook = place(&at, s->pq ? (uint64_t)KT_PQ_CODES * s->dim * sizeof(float) : 0);
    out->directory = place(&at, (uint64_t)s->lists * DIRECTORY_BYTES);
    out->lists = at;
    out->codes_bytes = s->pq ? kt_round_up((uint64_t)s->tables * 16, ALIGN) : 0;
    uint64_t rows = kt_round_up(KT_BLOCK_ROWS * (uint64_t)s->dim * kt_element_bytes(s->element), ALIGN);
    out->row_block_bytes = KT_BLOCK_ROWS * sizeof(uint32_t) + rows;
    out->block_bytes = s->pq ? out->codes_bytes + 2 * KT_BLOCK_ROWS * sizeof(uint32_t) : out->row_block_bytes;
    out->outliers = out->lists + s->blocks * out->block_bytes;
    out->end = out->outliers + kt_round_up(s->outliers, KT_BLOCK_ROWS) / KT_BLOCK_ROWS * out->row_block_bytes;
}

struct ivf_list kt_ivf_list(const struct kt_index *index, uint32_t list)
{
    const uint8_t *entry = index->directory + (size_t)list * DIRECTORY_BYTES;
    return (struct ivf_list){ kt_get_u64(entry), kt_get_u32(entry + 8) };
}

/* ---- writing ---- */

static void encode_header(const struct ivf_shape *s, uint8_t *p)
{
    memset(p, 0, HEADER_BYTES);
    memcpy(p, magic, sizeof magic);
    const uint32_t fields[] = { FORMAT,    s->pq,          s->metric, s->element, s->dim,   s->tree_dim,
                                s->tables, s->sub_vectors, s->bits,   s->lists,   s->mesos, s->beam };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) kt_put_u32(p + 8 + 4 * i, fields[i]);
    kt_put_u64(p + 56, s->rows);
    kt_put_u64(p + 64, s->base_row);
    kt_put_u64(p + 72, s->row_span);
    kt_put_u64(p + 80, s->blocks);
    kt_put_u64(p + 88, s->outliers);
}

static kith_status write_section(struct kt_sink *sink, const void *bytes, size_t count, kith_error *error)
{
    kith_status status = count ? kt_sink_write(sink, bytes, count, error) : KITH_OK;
    return status ? status : kt_sink_align(sink, ALIGN, error);
}

static kith_status write_directory(const struct ivf_head *head, struct kt_sink *sink, kith_error *error)
{
    uint64_t block = 0;
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < head->shape.lists; i++) {
        uint8_t entry[DIRECTORY_BYTES] = { 0 };
        uint64_t rows = head->list_begin[i + 1] - head->list_begin[i];
        kt_put_u64(entry, block);
        kt_put_u32(entry + 8, (uint32_t)rows);
        block += kt_round_up(rows, KT_BLOCK_ROWS) / KT_BLOCK_ROWS;
        status = kt_sink_write(sink, entry, sizeof entry, error);
    }
    return status ? status : kt_sink_align(sink, ALIGN, error);
}

kith_status kt_ivf_write_head(const struct ivf_head *head, struct kt_sink *sink, kith_error *error)
{
    const struct ivf_shape *s = &head->shape;
    static const uint32_t no_begin[1] = { 0 };
    uint8_t header[HEADER_BYTES];
    size_t wide = (size_t)s->tree_dim * sizeof(float);
    encode_header(s, header);
    const struct {
        const void *bytes;
        size_t count;
    } sections[] = {
        { header, HEADER_BYTES },
        { head->mean, wide },
        { head->centroids->meso, s->mesos * wide },
        { head->meso_norms, s->mesos * sizeof(float) },
        { s->mesos ? head->centroids->meso_begin : no_begin, ((size_t)s->mesos + 1) * sizeof(uint32_t) },
        { head->centroids->values, s->lists * wide },
        { head->norms, s->lists * sizeof(float) },
        { head->pq->codebook, s->pq ? (size_t)KT_PQ_CODES * s->dim * sizeof(float) : 0 },
    };
    kith_status status = KITH_OK;
    for (size_t i = 0; !status && i < sizeof sections / sizeof *sections; i++)
        status = write_section(sink, sections[i].bytes, sections[i].count, error);
    return status ? status : write_directory(head, sink, error);
}

/* ---- opening ---- */

static kith_status corrupt(const struct kt_view_file *file, const char *what, uint64_t is, uint64_t bound,
                           kith_error *error)
{
    return kt_fail(error, KITH_CORRUPT, "%s is not an index Kith can read: %s is %llu, expected at most %llu",
                   kt_view_name(file), what, (unsigned long long)is, (unsigned long long)bound);
}

static kith_status decode_header(const struct kt_view_file *file, const uint8_t *p, struct ivf_shape *s,
                                 kith_error *error)
{
    if (memcmp(p, magic, sizeof magic) != 0)
        return kt_fail(error, KITH_CORRUPT, "%s is not an IVF index: it does not begin with %.8s",
                       kt_view_name(file), magic);
    if (kt_get_u32(p + 8) != FORMAT)
        return kt_fail(error, KITH_UNSUPPORTED, "%s has index format %u; this version of Kith reads %d",
                       kt_view_name(file), kt_get_u32(p + 8), FORMAT);
    const struct {
        const char *name;
        uint32_t least, most;
    } fields[] = { { "kind", 0, 1 },
                   { "metric", KITH_L2, KITH_HAMMING },
                   { "element type", 0, KITH_U8 },
                   { "dimension", 1, MOST_DIM },
                   { "tree dimension", 1, 8 * MOST_DIM },
                   { "tables", 0, MOST_DIM },
                   { "sub-vectors", 0, MOST_DIM },
                   { "bits", 0, 8 },
                   { "lists", 0, MOST_LISTS },
                   { "meso clusters", 0, MOST_LISTS },
                   { "beam", 0, MOST_LISTS } };
    uint32_t value[sizeof fields / sizeof *fields];
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        value[i] = kt_get_u32(p + 12 + 4 * i);
        if (value[i] < fields[i].least || value[i] > fields[i].most)
            return corrupt(file, fields[i].name, value[i], fields[i].most, error);
    }
    *s = (struct ivf_shape){ .pq = value[0],
                             .metric = (kith_metric)value[1],
                             .element = (kith_element)value[2],
                             .dim = value[3],
                             .tree_dim = value[4],
                             .tables = value[5],
                             .sub_vectors = value[6],
                             .bits = value[7],
                             .lists = value[8],
                             .mesos = value[9],
                             .beam = value[10],
                             .rows = kt_get_u64(p + 56),
                             .base_row = kt_get_u64(p + 64),
                             .row_span = kt_get_u64(p + 72),
                             .blocks = kt_get_u64(p + 80),
                             .outliers = kt_get_u64(p + 88) };
    return KITH_OK;
}

/* What must hold between the numbers of a header. */
static kith_status check_shape(const struct kt_view_file *file, const struct ivf_shape *s, kith_error *error)
{
    if (s->tree_dim != kt_ivf_tree_dim(s->dim, s->metric))
        return corrupt(file, "tree dimension", s->tree_dim, s->dim, error);
    if (s->tables > s->dim || s->pq != (s->tables > 0))
        return corrupt(file, "tables", s->tables, s->pq ? s->dim : 0, error);
    if (s->mesos > s->lists || (s->lists && !s->mesos))
        return corrupt(file, "meso clusters", s->mesos, s->lists, error);
    if (s->row_span > UINT64_C(1) << 32)
        return corrupt(file, "row span", s->row_span, UINT64_C(1) << 32, error);
    if (s->base_row > UINT64_MAX - s->row_span)
        return corrupt(file, "base row", s->base_row, UINT64_MAX - s->row_span, error);
    if (s->rows > s->row_span) return corrupt(file, "rows", s->rows, s->row_span, error);
    if (s->outliers > s->rows) return corrupt(file, "outliers", s->outliers, s->rows, error);
    if (s->blocks > most_blocks) return corrupt(file, "blocks", s->blocks, most_blocks, error);
    bool known =
        kt_kernels()->distance[s->metric][s->element] != NULL && !(s->pq && s->metric == KITH_HAMMING);
    if (!known) return corrupt(file, "metric", s->metric, KITH_DOT, error);
    return KITH_OK;
}

/* A section, verified by its view; NULL when it is empty or `status` tells of an earlier failure. */
static const void *lend(struct kt_index *index, uint64_t offset, uint64_t bytes, kith_status *status,
                        kith_error *error)
{
    const uint8_t *data = NULL;
    if (!*status && bytes) *status = kt_view(index->file, offset, bytes, &data, error);
    return data;
}

static kith_status check_directory(const struct kt_index *index, kith_error *error)
{
    const struct ivf_shape *s = &index->shape;
    uint64_t block = 0, rows = 0;
    for (uint32_t i = 0; i < s->lists; i++) {
        struct ivf_list list = kt_ivf_list(index, i);
        if (list.first_block != block)
            return corrupt(index->file, "the first block of a list", list.first_block, block, error);
        block += kt_round_up(list.rows, KT_BLOCK_ROWS) / KT_BLOCK_ROWS;
        rows += list.rows;
        if (block > s->blocks) return corrupt(index->file, "the end of a list", block, s->blocks, error);
    }
    if (block != s->blocks) return corrupt(index->file, "blocks", s->blocks, block, error);
    if (rows != s->rows - s->outliers)
        return corrupt(index->file, "rows of all lists", rows, s->rows - s->outliers, error);
    const uint32_t *begin = index->tree.meso_begin;
    for (uint32_t m = 0; m < s->mesos; m++)
        if (begin[m] > begin[m + 1])
            return corrupt(index->file, "the first list of a meso cluster", begin[m], begin[m + 1], error);
    if (begin[0] != 0 || begin[s->mesos] != s->lists)
        return corrupt(index->file, "the lists of all meso clusters", begin[s->mesos], s->lists, error);
    return KITH_OK;
}

static kith_status lend_sections(struct kt_index *index, kith_error *error)
{
    const struct ivf_shape *s = &index->shape;
    const struct ivf_layout *at = &index->layout;
    struct kt_tree *tree = &index->tree;
    uint64_t wide = (uint64_t)s->tree_dim * sizeof(float);
    *tree = (struct kt_tree){ .count = s->lists, .dim = s->tree_dim, .meso_count = s->mesos };
    kith_status status = KITH_OK;
    index->mean = lend(index, at->mean, wide, &status, error);
    tree->meso = lend(index, at->meso, s->mesos * wide, &status, error);
    tree->meso_norms = lend(index, at->meso_norms, s->mesos * sizeof(float), &status, error);
    tree->meso_begin =
        lend(index, at->meso_begin, ((uint64_t)s->mesos + 1) * sizeof(uint32_t), &status, error);
    tree->values = lend(index, at->centroids, s->lists * wide, &status, error);
    tree->norms = lend(index, at->norms, s->lists * sizeof(float), &status, error);
    index->directory = lend(index, at->directory, (uint64_t)s->lists * DIRECTORY_BYTES, &status, error);
    const float *codebook =
        lend(index, at->codebook, s->pq ? (uint64_t)KT_PQ_CODES * s->dim * sizeof(float) : 0, &status, error);
    if (!status) status = check_directory(index, error);
    if (!status && s->pq) status = kt_pq_init(s->dim, s->tables, codebook, &index->pq, error);
    return status;
}

kith_status kt_ivf_open(struct kt_view_file *file, struct kt_index **out, kith_error *error)
{
    const uint8_t *header = NULL;
    kith_status status = KITH_OK;
    struct kt_index *index = kt_alloc_zero(1, sizeof *index);
    if (!index) {
        kt_view_close(file);
        return kt_fail_memory(error, sizeof *index);
    }
    index->file = file;
    if (kt_view_length(file) < HEADER_BYTES) {
        status = kt_fail(error, KITH_CORRUPT, "%s has %llu bytes; an index has at least %d",
                         kt_view_name(file), (unsigned long long)kt_view_length(file), HEADER_BYTES);
        goto out;
    }
    status = kt_view(file, 0, HEADER_BYTES, &header, error);
    if (!status) status = decode_header(file, header, &index->shape, error);
    if (!status) status = check_shape(file, &index->shape, error);
    if (status) goto out;
    kt_ivf_layout(&index->shape, &index->layout);
    if (index->layout.end > kt_view_length(file)) {
        status = corrupt(file, "the end of the lists", index->layout.end, kt_view_length(file), error);
        goto out;
    }
    status = lend_sections(index, error);
    if (status) goto out;
    *out = index;
    index = NULL; /* now the caller's */
out:
    kt_ivf_close(index);
    return status;
}

void kt_ivf_close(struct kt_index *index)
{
    if (!index) return;
    kt_view_close(index->file);
    kt_pq_release(&index->pq);
    kt_free(index);
}
