/* The file of an IVF index: what it looks like, writing its head, opening it.
 *
 *   header: 128 bytes at offset 0, little-endian
 *     offset  size  field
 *          0     8  "KITHIVF3"
 *          8     4  what lists hold: 0 rows, 1 PQ codes, 2 signs of rotated residuals
 *         12     4  metric, as in kith.h
 *         16     4  element type of the column, as in kith.h
 *         20     4  dim
 *         24     4  tree dim: numbers of a vector in the space of the tree (ivf_space.c)
 *         28     4  tables of 4 bits that a code has
 *         32     4  PQ: sub-vectors as the user counts them
 *         36     4  PQ: bits a sub-vector as the user counts them; signs: bits a number, in all
 *         40     4  lists
 *         44     4  meso clusters
 *         48     4  beam: meso clusters that were looked into when a row was given its list
 *         52     4  scale: residuals are about 2^scale long, i32
 *         56     8  rows, the outliers among them
 *         64     8  outliers: rows in no list
 *         72     8  base row id
 *         80     8  row span: every row offset is below this, and this at most 2^32
 *         88     8  bytes of all lists
 *         96     8  seed of the rotation
 *        104     8  dot: the square of the longest row, f64
 *        112    16  zero
 *
 *   Then, each from a multiple of 64 on, zero bytes between; wide is tree dim rounded up to 64:
 *     mean              f32 x tree dim          taken off every row and query, before the rotation
 *     meso centroids    i8 x meso x wide
 *     their units       f32 x meso              a centroid is its bytes times this
 *     their squares     f32 x meso              of their lengths
 *     meso begin        u32 x (meso + 1)        meso cluster m has the lists [begin[m], begin[m + 1])
 *     centroids         i8 x lists x wide
 *     their units       f32 x lists
 *     their squares     f32 x lists
 *     codebook          f32 x 16 x dim          PQ only: 16 rows of its width for sub-quantiser t, from
 *                                               16 * begin(t)
 *     directory         16 x lists              u64 begin of the list among all lists, u32 rows, u32 zero
 *     lists             one after another, those of one meso cluster side by side
 *     outliers          blocks of rows, whatever the lists have
 *
 *   A list is its blocks, then, for signs of more than one bit, the extra bits of each of its rows, then
 * zeros up to a multiple of 64. A block holds 32 rows; the last one of a list may hold fewer, its other lanes
 * are padding.
 *     with codes:   codes       16 * tables bytes in fast-scan order (kernels.h), zeros up to 64
 *                   factors     add, rescale, error: f16 x 32 each (quant.h); add is infinite in padding
 *                   row offset  u32 x 32 from the base row id
 *     without:      row offset  u32 x 32
 *                   rows        32 * dim numbers of the column's element type, zeros up to 64
 *     extra bits:   packed (quant.h), then add, rescale and error of all bits, f16 each
 *
 *   Factors are divided by units of the index before they become halves: powers of two, by which they lie
 * near 1 whatever the scale of the data.
 *     add             4^scale
 *     rescale, error  2^scale / 2^floor(log2(tree dim) / 2), of all bits 2^(bits - 1) less; the rescale of
 *                     PQ, which has no scale, 1
 *   Where halves cannot hold the factors of a row its error is infinite and the others are zero: every search
 * that comes to its list looks at it.
 *
 * All offsets follow from the numbers of the header and the directory, which is checked whole when the file
 * is opened; row offsets are tested against the span where a row becomes a candidate.
 */
#include <math.h>

#include "base/bytes.h"
#include "index/ivf/ivf_private.h"

enum {
    HEADER_BYTES = 128,
    VERSION_AT = 7, /* the last byte of the magic */
    ALIGN = 64,
    DIRECTORY_BYTES = 16,
    MOST_DIM = 1 << 20, /* with the next two, no product below leaves 64 bits */
    MOST_LISTS = 1 << 24,
    MOST_ELEMENT = 8
};
static const uint64_t most_bytes = UINT64_C(1) << 60;
static const char magic[8] = "KITHIVF3";

/* ---- where things lie ---- */

static uint64_t place(uint64_t *at, uint64_t bytes)
{
    uint64_t begin = *at;
    *at = kt_round_up(begin + bytes, ALIGN);
    return begin;
}

static uint64_t blocks_of(uint64_t rows)
{
    return (rows + KT_BLOCK_ROWS - 1) / KT_BLOCK_ROWS;
}

uint64_t kt_ivf_list_bytes(const struct ivf_layout *layout, uint64_t rows)
{
    return kt_round_up(blocks_of(rows) * layout->block_bytes + rows * layout->extra_bytes, ALIGN);
}

static bool has_extra(const struct ivf_shape *s)
{
    return s->kind == IVF_SIGNS && s->bits > 1;
}

void kt_ivf_layout(const struct ivf_shape *s, struct ivf_layout *out)
{
    uint64_t at = HEADER_BYTES;
    out->wide = (uint32_t)kt_round_up(s->tree_dim, ALIGN);
    out->mean = place(&at, (uint64_t)s->tree_dim * sizeof(float));
    out->meso = place(&at, (uint64_t)s->mesos * out->wide);
    out->meso_units = place(&at, s->mesos * sizeof(float));
    out->meso_squares = place(&at, s->mesos * sizeof(float));
    out->meso_begin = place(&at, ((uint64_t)s->mesos + 1) * sizeof(uint32_t));
    out->centroids = place(&at, (uint64_t)s->lists * out->wide);
    out->units = place(&at, s->lists * sizeof(float));
    out->squares = place(&at, s->lists * sizeof(float));
    out->codebook = place(&at, s->kind == IVF_PQ ? (uint64_t)KT_PQ_CODES * s->tree_dim * sizeof(float) : 0);
    out->directory = place(&at, (uint64_t)s->lists * DIRECTORY_BYTES);
    out->lists = at;
    out->codes_bytes = kt_round_up((uint64_t)s->tables * 16, ALIGN);
    out->extra_bytes = has_extra(s) ? kt_rabitq_extra_bytes(s->tree_dim, s->bits) + IVF_FACTOR_BYTES : 0;
    uint64_t rows = kt_round_up(KT_BLOCK_ROWS * (uint64_t)s->dim * kt_element_bytes(s->element), ALIGN);
    out->row_block_bytes = KT_BLOCK_ROWS * sizeof(uint32_t) + rows;
    out->block_bytes = s->kind == IVF_ROWS
                           ? out->row_block_bytes
                           : out->codes_bytes + KT_BLOCK_ROWS * (IVF_FACTOR_BYTES + sizeof(uint32_t));
    out->outliers = out->lists + s->list_bytes;
    out->end = out->outliers + blocks_of(s->outliers) * out->row_block_bytes;
}

struct ivf_list kt_ivf_list(const struct kt_index *index, uint32_t list)
{
    const uint8_t *entry = index->directory + (size_t)list * DIRECTORY_BYTES;
    return (struct ivf_list){ kt_get_u64(entry), kt_get_u32(entry + 8) };
}

void kt_ivf_units(const struct ivf_shape *s, struct kt_units *first, struct kt_units *all)
{
    int side = s->scale; /* a number of a residual is about so large */
    for (uint32_t dim = s->tree_dim; dim >= 4; dim /= 4) side--;
    float one = ldexpf(1, side), fine = ldexpf(one, 1 - (int)s->bits);
    *first = (struct kt_units){ ldexpf(1, 2 * s->scale), s->kind == IVF_PQ ? 1 : one, one };
    *all = (struct kt_units){ first->add, fine, fine };
}

/* ---- writing ---- */

static void encode_header(const struct ivf_shape *s, uint8_t *p)
{
    memset(p, 0, HEADER_BYTES);
    memcpy(p, magic, sizeof magic);
    const uint32_t fields[] = { s->kind,     s->metric, s->element,     s->dim,
                                s->tree_dim, s->tables, s->sub_vectors, s->bits,
                                s->lists,    s->mesos,  s->beam,        (uint32_t)s->scale };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) kt_put_u32(p + 8 + 4 * i, fields[i]);
    kt_put_u64(p + 56, s->rows);
    kt_put_u64(p + 64, s->outliers);
    kt_put_u64(p + 72, s->base_row);
    kt_put_u64(p + 80, s->row_span);
    kt_put_u64(p + 88, s->list_bytes);
    kt_put_u64(p + 96, s->seed);
    memcpy(p + 104, &s->longest, sizeof s->longest);
}

static kith_status write_section(struct kt_sink *sink, const void *bytes, size_t count, kith_error *error)
{
    kith_status status = count ? kt_sink_write(sink, bytes, count, error) : KITH_OK;
    return status ? status : kt_sink_align(sink, ALIGN, error);
}

static kith_status write_directory(const struct ivf_head *head, const struct ivf_layout *layout,
                                   struct kt_sink *sink, kith_error *error)
{
    uint64_t begin = 0;
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < head->shape.lists; i++) {
        uint8_t entry[DIRECTORY_BYTES] = { 0 };
        uint64_t rows = head->list_begin[i + 1] - head->list_begin[i];
        kt_put_u64(entry, begin);
        kt_put_u32(entry + 8, (uint32_t)rows);
        begin += kt_ivf_list_bytes(layout, rows);
        status = kt_sink_write(sink, entry, sizeof entry, error);
    }
    return status ? status : kt_sink_align(sink, ALIGN, error);
}

kith_status kt_ivf_write_head(const struct ivf_head *head, struct kt_sink *sink, kith_error *error)
{
    const struct ivf_shape *s = &head->shape;
    static const uint32_t no_begin[1] = { 0 };
    struct ivf_layout layout;
    uint8_t header[HEADER_BYTES];
    encode_header(s, header);
    kt_ivf_layout(s, &layout);
    const struct {
        const void *bytes;
        size_t count;
    } sections[] = {
        { header, HEADER_BYTES },
        { head->mean, s->tree_dim * sizeof(float) },
        { head->meso.bytes, (size_t)s->mesos * layout.wide },
        { head->meso.units, s->mesos * sizeof(float) },
        { head->meso.squares, s->mesos * sizeof(float) },
        { s->mesos ? head->meso_begin : no_begin, ((size_t)s->mesos + 1) * sizeof(uint32_t) },
        { head->centroids.bytes, (size_t)s->lists * layout.wide },
        { head->centroids.units, s->lists * sizeof(float) },
        { head->centroids.squares, s->lists * sizeof(float) },
        { head->codebook, s->kind == IVF_PQ ? (size_t)KT_PQ_CODES * s->tree_dim * sizeof(float) : 0 },
    };
    kith_status status = KITH_OK;
    for (size_t i = 0; !status && i < sizeof sections / sizeof *sections; i++)
        status = write_section(sink, sections[i].bytes, sections[i].count, error);
    return status ? status : write_directory(head, &layout, sink, error);
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
    if (memcmp(p, magic, VERSION_AT) == 0 && p[VERSION_AT] < (uint8_t)magic[VERSION_AT])
        return kt_fail(error, KITH_UNSUPPORTED,
                       "%s is an index in a form that Kith no longer reads (%.8s, now %.8s): create the "
                       "index again",
                       kt_view_name(file), (const char *)p, magic);
    if (memcmp(p, magic, sizeof magic) != 0)
        return kt_fail(error, KITH_CORRUPT, "%s is not an IVF index: it does not begin with %.8s",
                       kt_view_name(file), magic);
    const struct {
        const char *name;
        uint32_t least, most;
    } fields[] = { { "kind", 0, IVF_KINDS - 1 },
                   { "metric", KITH_L2, KITH_HAMMING },
                   { "element type", 0, KITH_U8 },
                   { "dimension", 1, MOST_DIM },
                   { "tree dimension", 1, 8 * MOST_DIM },
                   { "tables", 0, MOST_DIM },
                   { "sub-vectors", 0, MOST_DIM },
                   { "bits", 0, KT_RABITQ_BITS },
                   { "lists", 0, MOST_LISTS },
                   { "meso clusters", 0, MOST_LISTS },
                   { "beam", 0, MOST_LISTS } };
    uint32_t value[sizeof fields / sizeof *fields];
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        value[i] = kt_get_u32(p + 8 + 4 * i);
        if (value[i] < fields[i].least || value[i] > fields[i].most)
            return corrupt(file, fields[i].name, value[i], fields[i].most, error);
    }
    *s = (struct ivf_shape){ .kind = (enum ivf_kind)value[0],
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
                             .scale = (int32_t)kt_get_u32(p + 52),
                             .rows = kt_get_u64(p + 56),
                             .outliers = kt_get_u64(p + 64),
                             .base_row = kt_get_u64(p + 72),
                             .row_span = kt_get_u64(p + 80),
                             .list_bytes = kt_get_u64(p + 88),
                             .seed = kt_get_u64(p + 96) };
    memcpy(&s->longest, p + 104, sizeof s->longest);
    return KITH_OK;
}

static uint32_t most_tables(const struct ivf_shape *s)
{
    return s->kind == IVF_PQ ? s->tree_dim : s->kind == IVF_SIGNS ? s->tree_dim / 4 : 0;
}

/* What must hold between the numbers of a header. */
static kith_status check_shape(const struct kt_view_file *file, const struct ivf_shape *s, kith_error *error)
{
    if (s->tree_dim != kt_ivf_tree_dim(s->dim, s->metric, s->kind == IVF_SIGNS))
        return corrupt(file, "tree dimension", s->tree_dim, s->dim, error);
    if (s->tables > most_tables(s) || (s->kind != IVF_ROWS) != (s->tables > 0) ||
        (s->kind == IVF_SIGNS && (s->tables != s->tree_dim / 4 || !s->bits)))
        return corrupt(file, "tables", s->tables, most_tables(s), error);
    if (s->mesos > s->lists || (s->lists && !s->mesos))
        return corrupt(file, "meso clusters", s->mesos, s->lists, error);
    if (s->row_span > UINT64_C(1) << 32)
        return corrupt(file, "row span", s->row_span, UINT64_C(1) << 32, error);
    if (s->base_row > UINT64_MAX - s->row_span)
        return corrupt(file, "base row", s->base_row, UINT64_MAX - s->row_span, error);
    if (s->rows > s->row_span) return corrupt(file, "rows", s->rows, s->row_span, error);
    if (s->scale < IVF_LEAST_SCALE || s->scale > IVF_MOST_SCALE)
        return kt_fail(error, KITH_CORRUPT, "%s is not an index Kith can read: its scale is 2^%d",
                       kt_view_name(file), s->scale);
    if (s->outliers > s->rows) return corrupt(file, "outliers", s->outliers, s->rows, error);
    if (s->list_bytes > most_bytes)
        return corrupt(file, "bytes of all lists", s->list_bytes, most_bytes, error);
    bool known = kt_kernels()->distance[s->metric][s->element] != NULL &&
                 !(s->kind != IVF_ROWS && s->metric == KITH_HAMMING);
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
    uint64_t at = 0, rows = 0;
    for (uint32_t i = 0; i < s->lists; i++) {
        struct ivf_list list = kt_ivf_list(index, i);
        if (list.begin != at) return corrupt(index->file, "the begin of a list", list.begin, at, error);
        at += kt_ivf_list_bytes(&index->layout, list.rows);
        rows += list.rows;
        if (at > s->list_bytes) return corrupt(index->file, "the end of a list", at, s->list_bytes, error);
    }
    if (at != s->list_bytes) return corrupt(index->file, "bytes of all lists", s->list_bytes, at, error);
    if (rows != s->rows - s->outliers)
        return corrupt(index->file, "rows of all lists", rows, s->rows - s->outliers, error);
    const uint32_t *begin = index->meso_begin;
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
    kith_status status = KITH_OK;
    index->space.mean = lend(index, at->mean, (uint64_t)s->tree_dim * sizeof(float), &status, error);
    index->meso.bytes = lend(index, at->meso, (uint64_t)s->mesos * at->wide, &status, error);
    index->meso.units = lend(index, at->meso_units, s->mesos * sizeof(float), &status, error);
    index->meso.squares = lend(index, at->meso_squares, s->mesos * sizeof(float), &status, error);
    index->meso_begin =
        lend(index, at->meso_begin, ((uint64_t)s->mesos + 1) * sizeof(uint32_t), &status, error);
    index->centroids.bytes = lend(index, at->centroids, (uint64_t)s->lists * at->wide, &status, error);
    index->centroids.units = lend(index, at->units, s->lists * sizeof(float), &status, error);
    index->centroids.squares = lend(index, at->squares, s->lists * sizeof(float), &status, error);
    index->directory = lend(index, at->directory, (uint64_t)s->lists * DIRECTORY_BYTES, &status, error);
    uint64_t codebook = s->kind == IVF_PQ ? (uint64_t)KT_PQ_CODES * s->tree_dim * sizeof(float) : 0;
    const float *values = lend(index, at->codebook, codebook, &status, error);
    if (!status) status = check_directory(index, error);
    if (!status && s->kind == IVF_PQ) status = kt_pq_init(s->tree_dim, s->tables, values, &index->pq, error);
    return status;
}

static kith_status open_space(struct kt_index *index, kith_error *error)
{
    const struct ivf_shape *s = &index->shape;
    index->space = (struct ivf_space){ .metric = s->metric,
                                       .element = s->element,
                                       .dim = s->dim,
                                       .tree_dim = s->tree_dim,
                                       .rotates = s->kind == IVF_SIGNS,
                                       .longest = s->longest };
    if (!index->space.rotates) return KITH_OK;
    return kt_rotation_init(kt_ivf_tree_dim(s->dim, s->metric, false), s->seed, &index->space.rotation,
                            error);
}

kith_status kt_ivf_open(struct kt_view_file *file, const json_t *calibration, struct kt_index **out,
                        kith_error *error)
{
    const uint8_t *header = NULL;
    kith_status status = KITH_OK;
    struct kt_index *index = kt_alloc_zero(1, sizeof *index);
    if (!index) {
        kt_view_close(file);
        return kt_fail_memory(error, sizeof *index);
    }
    index->file = file;
    index->calibration = kt_alloc_zero(1, sizeof *index->calibration);
    if (!index->calibration) {
        status = kt_fail_memory(error, sizeof *index->calibration);
        goto out;
    }
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
    kt_ivf_units(&index->shape, &index->first, &index->all);
    if (index->layout.end > kt_view_length(file)) {
        status = corrupt(file, "the end of the lists", index->layout.end, kt_view_length(file), error);
        goto out;
    }
    status = open_space(index, error);
    if (!status) status = lend_sections(index, error);
    if (!status) status = kt_ivf_calibration_read(calibration, index->calibration, error);
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
    kt_rotation_release(&index->space.rotation);
    kt_pq_release(&index->pq);
    kt_free(index->calibration);
    kt_free(index);
}
