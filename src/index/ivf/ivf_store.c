/* The files of an IVF index: what they look like, and writing them. A base has the tree and the rows that
 * were there when it was made; a run has rows that came later, given their lists and encoded by the same
 * tree. A search sees the rows of all of them.
 *
 *   header: 192 bytes at offset 0, little-endian
 *     offset  size  field
 *          0     8  "KITHIVF4"
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
 *         48     4  beam: meso clusters that are looked into at least when a row is given its list
 *         52     4  scale: residuals are about 2^scale long, i32
 *         56     8  base row id
 *         64     8  seed of the rotation
 *         72     8  dot: the square of the longest row, f64
 *         80     8  rows whose square is beyond this are outliers, f64
 *         88     8  rows that the list of a row had, on the average, when the tree was made, f64
 *         96     8  the tree: XXH3 of it and of bytes 8 to 95
 *        104     8  0 in a base, 1 in a run, which repeats bytes 8 to 103 of its base
 *        112     8  entries of the directory
 *        120     8  rows, the outliers among them
 *        128     8  outliers: rows in no list
 *        136     8  row span: every row offset is below this, and this at most 2^32
 *        144     8  bytes of all lists
 *        152     4  lists much shorter than the others when the tree was made
 *        156    36  zero
 *
 *   Then, in a base, each from a multiple of 64 on, zero bytes between; wide is tree dim rounded up to 64:
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
 *   and in either:
 *     directory         8 x entries             u32 list, ascending, u32 rows of it: of lists that have any
 *     lists             one after another, those of one meso cluster side by side (ivf_form.c)
 *     outliers          rows, whatever the lists have, in the form of a list of rows
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

enum { BATCH_LISTS = 1024 /* filled before they are written ... */ };
static const uint64_t batch_bytes = UINT64_C(16) << 20; /* ... and their bytes, but for one list alone */
const char kt_ivf_magic[8] = "KITHIVF4";

/* ---- where things lie ---- */

static uint64_t place(uint64_t *at, uint64_t bytes)
{
    uint64_t begin = *at;
    *at = kt_round_up(begin + bytes, IVF_ALIGN);
    return begin;
}

void kt_ivf_places(const struct ivf_shape *s, const struct ivf_layout *layout,
                   const struct ivf_extent *extent, struct ivf_places *out)
{
    uint64_t at = IVF_HEADER_BYTES, codebook = (uint64_t)KT_PQ_CODES * s->tree_dim * sizeof(float);
    *out = (struct ivf_places){ 0 };
    if (!extent->is_run) {
        out->mean = place(&at, (uint64_t)s->tree_dim * sizeof(float));
        out->meso = place(&at, (uint64_t)s->mesos * layout->wide);
        out->meso_units = place(&at, s->mesos * sizeof(float));
        out->meso_squares = place(&at, s->mesos * sizeof(float));
        out->meso_begin = place(&at, ((uint64_t)s->mesos + 1) * sizeof(uint32_t));
        out->centroids = place(&at, (uint64_t)s->lists * layout->wide);
        out->units = place(&at, s->lists * sizeof(float));
        out->squares = place(&at, s->lists * sizeof(float));
        out->codebook = place(&at, s->kind == IVF_PQ ? codebook : 0);
    }
    out->directory = place(&at, (uint64_t)extent->entries * IVF_ENTRY_BYTES);
    out->lists = at;
    out->outliers = kt_round_up(at + extent->list_bytes, IVF_ALIGN);
    out->end = out->outliers + kt_ivf_outlier_form(layout, extent->is_run, (uint32_t)extent->outliers).bytes;
}

void kt_ivf_units(const struct ivf_shape *s, struct kt_units *first, struct kt_units *all)
{
    int side = s->scale; /* a number of a residual is about so large */
    for (uint32_t dim = s->tree_dim; dim >= 4; dim /= 4) side--;
    float one = ldexpf(1, side), fine = ldexpf(one, 1 - (int)s->bits);
    *first = (struct kt_units){ ldexpf(1, 2 * s->scale), s->kind == IVF_PQ ? 1 : one, one };
    *all = (struct kt_units){ first->add, fine, fine };
}

/* ---- the head ---- */

static void encode_header(const struct ivf_shape *s, const struct ivf_extent *e, uint8_t *p)
{
    memset(p, 0, IVF_HEADER_BYTES);
    memcpy(p, kt_ivf_magic, sizeof kt_ivf_magic);
    const uint32_t fields[] = { s->kind,     s->metric, s->element,     s->dim,
                                s->tree_dim, s->tables, s->sub_vectors, s->bits,
                                s->lists,    s->mesos,  s->beam,        (uint32_t)s->scale };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) kt_put_u32(p + 8 + 4 * i, fields[i]);
    kt_put_u64(p + 56, s->base_row);
    kt_put_u64(p + 64, s->seed);
    memcpy(p + 72, &s->longest, sizeof s->longest);
    memcpy(p + 80, &s->far_square, sizeof s->far_square);
    memcpy(p + 88, &s->crowd, sizeof s->crowd);
    kt_put_u64(p + 96, s->tree);
    kt_put_u32(p + 152, s->thin);
    const uint64_t own[] = { e->is_run, e->entries, e->rows, e->outliers, e->row_span, e->list_bytes };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) kt_put_u64(p + 104 + 8 * i, own[i]);
}

/* What a tree is, in the order of the file. */
struct section {
    const void *bytes;
    size_t count;
};
enum { SECTIONS = 9 };

static void list_sections(const struct kt_index *index, struct section out[SECTIONS])
{
    static const uint32_t no_begin[1] = { 0 };
    const struct ivf_shape *s = &index->shape;
    size_t wide = index->layout.wide, codebook = (size_t)KT_PQ_CODES * s->tree_dim * sizeof(float);
    const struct section sections[SECTIONS] = {
        { index->space.mean, s->tree_dim * sizeof(float) },
        { index->meso.bytes, s->mesos * wide },
        { index->meso.units, s->mesos * sizeof(float) },
        { index->meso.squares, s->mesos * sizeof(float) },
        { s->mesos ? index->meso_begin : no_begin, ((size_t)s->mesos + 1) * sizeof(uint32_t) },
        { index->centroids.bytes, s->lists * wide },
        { index->centroids.units, s->lists * sizeof(float) },
        { index->centroids.squares, s->lists * sizeof(float) },
        { index->pq.codebook, s->kind == IVF_PQ ? codebook : 0 },
    };
    memcpy(out, sections, sizeof sections);
}

uint64_t kt_ivf_tree_hash(const struct kt_index *index)
{
    enum { BEGIN = 8, END = 96 };
    struct section sections[SECTIONS];
    struct ivf_extent none = { 0 };
    uint64_t hashes[SECTIONS + 1];
    uint8_t header[IVF_HEADER_BYTES];
    encode_header(&index->shape, &none, header);
    list_sections(index, sections);
    hashes[SECTIONS] = kt_hash(header + BEGIN, END - BEGIN);
    for (size_t i = 0; i < SECTIONS; i++)
        hashes[i] =
            sections[i].bytes && sections[i].count ? kt_hash(sections[i].bytes, sections[i].count) : 0;
    return kt_hash(hashes, sizeof hashes);
}

static kith_status write_section(struct kt_sink *sink, const void *bytes, size_t count, kith_error *error)
{
    kith_status status = count ? kt_sink_write(sink, bytes, count, error) : KITH_OK;
    return status ? status : kt_sink_align(sink, IVF_ALIGN, error);
}

static kith_status write_head(const struct ivf_writing *w, struct kt_sink *sink, kith_error *error)
{
    struct section sections[SECTIONS];
    uint8_t header[IVF_HEADER_BYTES], entry[IVF_ENTRY_BYTES];
    encode_header(&w->index->shape, &w->extent, header);
    list_sections(w->index, sections);
    kith_status status = write_section(sink, header, sizeof header, error);
    for (size_t i = 0; !status && !w->extent.is_run && i < SECTIONS; i++)
        status = write_section(sink, sections[i].bytes, sections[i].count, error);
    for (uint32_t i = 0; !status && i < w->extent.entries; i++) {
        kt_put_u32(entry, w->entries[i].list);
        kt_put_u32(entry + 4, w->entries[i].rows);
        status = kt_sink_write(sink, entry, sizeof entry, error);
    }
    return status ? status : kt_sink_align(sink, IVF_ALIGN, error);
}

/* ---- lists ---- */

/* Some lists on their way to the file. */
struct batch {
    const struct ivf_writing *writing;
    uint32_t first; /* entry */
    uint8_t *bytes;
    uint64_t at[BATCH_LISTS]; /* where each begins */
};

static struct ivf_form form_of(const struct ivf_writing *w, uint32_t entry)
{
    return kt_ivf_form(&w->index->layout, w->extent.is_run, w->entries[entry].rows);
}

static kith_status fill_list(void *context, uint64_t begin, uint64_t end, uint32_t worker, kith_error *error)
{
    const struct batch *batch = context;
    const struct ivf_writing *w = batch->writing;
    kith_status status = KITH_OK;
    for (uint64_t i = begin; !status && i < end; i++) {
        uint32_t entry = batch->first + (uint32_t)i;
        struct ivf_form form = form_of(w, entry);
        status = w->fill(w->context, entry, &form, batch->bytes + batch->at[i], worker, error);
    }
    return status;
}

/* How many lists from `first` on go together, and where they begin. */
static uint32_t plan_batch(struct batch *batch, uint64_t *bytes)
{
    const struct ivf_writing *w = batch->writing;
    uint32_t count = 0;
    *bytes = 0;
    while (batch->first + count < w->extent.entries && count < BATCH_LISTS) {
        uint64_t more = form_of(w, batch->first + count).bytes;
        if (count && *bytes + more > batch_bytes) break;
        batch->at[count++] = *bytes;
        *bytes += more;
    }
    return count;
}

static kith_status write_lists(const struct ivf_writing *w, struct kt_work *work, struct kt_sink *sink,
                               kith_error *error)
{
    struct batch batch = { .writing = w };
    uint64_t bytes, room = 0, done = 0, rows = w->extent.rows - w->extent.outliers;
    kith_status status = KITH_OK;
    for (uint32_t count; !status && batch.first < w->extent.entries; batch.first += count) {
        count = plan_batch(&batch, &bytes);
        if (bytes > room) {
            kt_free(batch.bytes);
            room = bytes;
            batch.bytes = kt_alloc_aligned(room);
            if (!batch.bytes) return kt_fail_memory(error, room);
        }
        memset(batch.bytes, 0, bytes);
        status = kt_parallel_for(work, NULL, count, 1, fill_list, &batch, error);
        if (!status) status = kt_sink_write(sink, batch.bytes, bytes, error);
        for (uint32_t i = 0; i < count; i++) done += w->entries[batch.first + i].rows;
        if (!status) status = kt_work_tick(work, "encode", done, rows, error);
    }
    kt_free(batch.bytes);
    return status ? status : kt_sink_align(sink, IVF_ALIGN, error);
}

/* The offsets of all outliers, or with `rows`, which has room for some, the rows. */
static kith_status write_outlying(const struct ivf_writing *w, uint8_t *rows, struct kt_sink *sink,
                                  kith_error *error)
{
    uint8_t offsets[KT_BLOCK_ROWS * sizeof(uint32_t)];
    uint64_t bytes = rows ? w->index->layout.row_bytes : sizeof(uint32_t);
    kith_status status = KITH_OK;
    for (uint64_t at = 0; !status && at < w->extent.outliers; at += KT_BLOCK_ROWS) {
        uint32_t some = (uint32_t)kt_min_u64(KT_BLOCK_ROWS, w->extent.outliers - at);
        status = w->fill_outliers(w->context, at, some, rows ? NULL : offsets, rows, error);
        if (!status) status = kt_sink_write(sink, rows ? rows : offsets, some * bytes, error);
    }
    return status;
}

static kith_status write_outliers(const struct ivf_writing *w, struct kt_sink *sink, kith_error *error)
{
    uint32_t count = (uint32_t)w->extent.outliers;
    struct ivf_form form = kt_ivf_outlier_form(&w->index->layout, w->extent.is_run, count);
    size_t bytes = KT_BLOCK_ROWS * w->index->layout.row_bytes;
    if (!count) return KITH_OK;
    uint8_t *rows = kt_alloc_aligned(bytes);
    if (!rows) return kt_fail_memory(error, bytes);
    kith_status status = write_outlying(w, NULL, sink, error);
    if (!status) status = kt_sink_write(sink, NULL, form.items - count * sizeof(uint32_t), error);
    if (!status) status = write_outlying(w, rows, sink, error);
    if (!status) status = kt_sink_write(sink, NULL, form.bytes - form.extras, error);
    kt_free(rows);
    return status;
}

kith_status kt_ivf_write(struct ivf_writing *w, struct kt_work *work, struct kt_sink *sink, kith_error *error)
{
    w->extent.list_bytes = 0;
    for (uint32_t i = 0; i < w->extent.entries; i++) w->extent.list_bytes += form_of(w, i).bytes;
    kith_status status = write_head(w, sink, error);
    if (!status) status = write_lists(w, work, sink, error);
    return status ? status : write_outliers(w, sink, error);
}
