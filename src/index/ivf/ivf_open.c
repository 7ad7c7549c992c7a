/* Opening an index: each file's numbers are checked against each other and against its length, once, and the
 * directories of all files become one table: of every list, where its rows lie in each file that has any. So
 * a search pays for a run only where the run has rows of the list it visits.
 *
 * A file may hold anything. What is checked here is all that later reading relies on: that lists, outliers
 * and sections lie within their file, and that lists and meso clusters are those there are. Row offsets are
 * tested where a row becomes a candidate; codes, factors and centroids bear any bits.
 */
#include "base/bytes.h"
#include "index/ivf/ivf_private.h"

enum {
    VERSION_AT = 7,     /* the last byte of the magic */
    MOST_DIM = 1 << 20, /* with the next two, no product below leaves 64 bits */
    MOST_LISTS = 1 << 24,
    SHAPE_BEGIN = 8, /* bytes of the header that a run repeats */
    SHAPE_END = 104
};
static const uint64_t most_bytes = UINT64_C(1) << 60;

static kith_status corrupt(const struct kt_view_file *file, const char *what, uint64_t is, uint64_t bound,
                           kith_error *error)
{
    return kt_fail(error, KITH_CORRUPT, "%s is not an index Kith can read: %s is %llu, expected at most %llu",
                   kt_view_name(file), what, (unsigned long long)is, (unsigned long long)bound);
}

/* ---- headers ---- */

static kith_status check_magic(const struct kt_view_file *file, const uint8_t *p, kith_error *error)
{
    if (memcmp(p, kt_ivf_magic, VERSION_AT) == 0 && p[VERSION_AT] < (uint8_t)kt_ivf_magic[VERSION_AT])
        return kt_fail(error, KITH_UNSUPPORTED,
                       "%s is an index in a form that Kith no longer reads (%.8s, now %.8s): create the "
                       "index again",
                       kt_view_name(file), (const char *)p, kt_ivf_magic);
    if (memcmp(p, kt_ivf_magic, sizeof kt_ivf_magic) != 0)
        return kt_fail(error, KITH_CORRUPT, "%s is not an IVF index: it does not begin with %.8s",
                       kt_view_name(file), kt_ivf_magic);
    return KITH_OK;
}

static kith_status lend_header(struct kt_view_file *file, const uint8_t **out, kith_error *error)
{
    if (kt_view_length(file) < IVF_HEADER_BYTES)
        return kt_fail(error, KITH_CORRUPT, "%s has %llu bytes; an index has at least %d", kt_view_name(file),
                       (unsigned long long)kt_view_length(file), IVF_HEADER_BYTES);
    kith_status status = kt_view(file, 0, IVF_HEADER_BYTES, out, error);
    return status ? status : check_magic(file, *out, error);
}

static kith_status decode_shape(const struct kt_view_file *file, const uint8_t *p, struct ivf_shape *s,
                                kith_error *error)
{
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
                             .base_row = kt_get_u64(p + 56),
                             .seed = kt_get_u64(p + 64),
                             .tree = kt_get_u64(p + 96),
                             .thin = kt_get_u32(p + 152) };
    memcpy(&s->longest, p + 72, sizeof s->longest);
    memcpy(&s->far_square, p + 80, sizeof s->far_square);
    memcpy(&s->crowd, p + 88, sizeof s->crowd);
    return KITH_OK;
}

static uint32_t most_tables(const struct ivf_shape *s)
{
    return s->kind == IVF_PQ ? s->tree_dim : s->kind == IVF_SIGNS ? s->tree_dim / 4 : 0;
}

/* What must hold between the numbers of a shape. */
static kith_status check_shape(const struct kt_view_file *file, const struct ivf_shape *s, kith_error *error)
{
    if (s->tree_dim != kt_space_dim(s->dim, s->metric, s->kind == IVF_SIGNS))
        return corrupt(file, "tree dimension", s->tree_dim, s->dim, error);
    if (s->tables > most_tables(s) || (s->kind != IVF_ROWS) != (s->tables > 0) ||
        (s->kind == IVF_SIGNS && (s->tables != s->tree_dim / 4 || !s->bits)))
        return corrupt(file, "tables", s->tables, most_tables(s), error);
    if (s->mesos > s->lists || (s->lists && !s->mesos))
        return corrupt(file, "meso clusters", s->mesos, s->lists, error);
    if (s->scale < IVF_LEAST_SCALE || s->scale > IVF_MOST_SCALE)
        return kt_fail(error, KITH_CORRUPT, "%s is not an index Kith can read: its scale is 2^%d",
                       kt_view_name(file), s->scale);
    bool known = kt_kernels()->distance[s->metric][s->element] != NULL &&
                 !(s->kind != IVF_ROWS && s->metric == KITH_HAMMING);
    if (!known) return corrupt(file, "metric", s->metric, KITH_DOT, error);
    return KITH_OK;
}

static kith_status decode_extent(const struct kt_view_file *file, const uint8_t *p, const struct ivf_shape *s,
                                 bool is_run, struct ivf_extent *e, kith_error *error)
{
    const uint64_t span = kt_get_u64(p + 136), rows = kt_get_u64(p + 120);
    const struct {
        const char *name;
        uint64_t is, most;
    } fields[] = { { "kind of file", kt_get_u64(p + 104), is_run },
                   { "entries of the directory", kt_get_u64(p + 112), s->lists },
                   { "row span", span, UINT64_C(1) << 32 },
                   { "base row", s->base_row, UINT64_MAX - span },
                   { "rows", rows, span },
                   { "outliers", kt_get_u64(p + 128), kt_min_u64(rows, UINT32_MAX) },
                   { "bytes of all lists", kt_get_u64(p + 144), most_bytes } };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i].is > fields[i].most)
            return corrupt(file, fields[i].name, fields[i].is, fields[i].most, error);
    if (fields[0].is != is_run)
        return kt_fail(error, KITH_CORRUPT, "%s is not a run of an index but a base", kt_view_name(file));
    *e = (struct ivf_extent){ .is_run = is_run,
                              .entries = (uint32_t)fields[1].is,
                              .rows = rows,
                              .outliers = fields[5].is,
                              .row_span = span,
                              .list_bytes = fields[6].is };
    return KITH_OK;
}

/* ---- one file ---- */

/* A section, verified by its view; NULL when it is empty or `status` tells of an earlier failure. */
static const void *lend(struct kt_view_file *file, uint64_t offset, uint64_t bytes, kith_status *status,
                        kith_error *error)
{
    const uint8_t *data = NULL;
    if (!*status && bytes) *status = kt_view(file, offset, bytes, &data, error);
    return data;
}

static kith_status lend_tree(struct kt_index *index, const struct ivf_places *at, kith_error *error)
{
    const struct ivf_shape *s = &index->shape;
    struct kt_view_file *file = index->parts[0].file;
    uint64_t wide = index->layout.wide;
    kith_status status = KITH_OK;
    index->space.mean = lend(file, at->mean, (uint64_t)s->tree_dim * sizeof(float), &status, error);
    index->meso.bytes = lend(file, at->meso, s->mesos * wide, &status, error);
    index->meso.units = lend(file, at->meso_units, s->mesos * sizeof(float), &status, error);
    index->meso.squares = lend(file, at->meso_squares, s->mesos * sizeof(float), &status, error);
    index->meso_begin =
        lend(file, at->meso_begin, ((uint64_t)s->mesos + 1) * sizeof(uint32_t), &status, error);
    index->centroids.bytes = lend(file, at->centroids, s->lists * wide, &status, error);
    index->centroids.units = lend(file, at->units, s->lists * sizeof(float), &status, error);
    index->centroids.squares = lend(file, at->squares, s->lists * sizeof(float), &status, error);
    uint64_t codebook = s->kind == IVF_PQ ? (uint64_t)KT_PQ_CODES * s->tree_dim * sizeof(float) : 0;
    const float *values = lend(file, at->codebook, codebook, &status, error);
    if (status) return status;
    const uint32_t *begin = index->meso_begin;
    for (uint32_t m = 0; m < s->mesos; m++)
        if (begin[m] > begin[m + 1])
            return corrupt(file, "the first list of a meso cluster", begin[m], begin[m + 1], error);
    if (begin[0] != 0 || begin[s->mesos] != s->lists)
        return corrupt(file, "the lists of all meso clusters", begin[s->mesos], s->lists, error);
    return s->kind == IVF_PQ ? kt_pq_init(s->tree_dim, s->tables, values, &index->pq, error) : KITH_OK;
}

static kith_status open_space(struct kt_index *index, kith_error *error)
{
    const struct ivf_shape *s = &index->shape;
    index->space = (struct kt_space){ .metric = s->metric,
                                      .element = s->element,
                                      .dim = s->dim,
                                      .space_dim = s->tree_dim,
                                      .rotates = s->kind == IVF_SIGNS,
                                      .longest = s->longest };
    if (!index->space.rotates) return KITH_OK;
    return kt_rotation_init(kt_space_dim(s->dim, s->metric, false), s->seed, &index->space.rotation, error);
}

static kith_status check_end(const struct ivf_part *part, const struct ivf_places *at, kith_error *error)
{
    if (at->end <= kt_view_length(part->file)) return KITH_OK;
    return corrupt(part->file, "the end of the lists", at->end, kt_view_length(part->file), error);
}

static kith_status open_base(struct kt_index *index, struct ivf_places *at, kith_error *error)
{
    const uint8_t *header = NULL;
    struct ivf_part *part = &index->parts[0];
    kith_status status = lend_header(part->file, &header, error);
    if (!status) status = decode_shape(part->file, header, &index->shape, error);
    if (!status) status = check_shape(part->file, &index->shape, error);
    if (!status) status = decode_extent(part->file, header, &index->shape, false, &part->extent, error);
    if (status) return status;
    kt_ivf_layout(&index->shape, &index->layout);
    kt_ivf_units(&index->shape, &index->first, &index->all);
    kt_ivf_places(&index->shape, &index->layout, &part->extent, at);
    status = check_end(part, at, error);
    if (!status) status = open_space(index, error);
    return status ? status : lend_tree(index, at, error);
}

static kith_status open_run(struct kt_index *index, struct ivf_part *part, struct ivf_places *at,
                            kith_error *error)
{
    const uint8_t *header = NULL, *base = NULL;
    kith_status status = lend_header(part->file, &header, error);
    if (!status) status = lend_header(index->parts[0].file, &base, error);
    if (status) return status;
    if (memcmp(header + SHAPE_BEGIN, base + SHAPE_BEGIN, SHAPE_END - SHAPE_BEGIN) != 0)
        return kt_fail(error, KITH_CORRUPT, "%s is a run of another index than %s: its tree is %016llx",
                       kt_view_name(part->file), kt_view_name(index->parts[0].file),
                       (unsigned long long)kt_get_u64(header + SHAPE_END - 8));
    status = decode_extent(part->file, header, &index->shape, true, &part->extent, error);
    if (status) return status;
    kt_ivf_places(&index->shape, &index->layout, &part->extent, at);
    return check_end(part, at, error);
}

/* ---- the lists of all files ---- */

/* What opening holds of each file until its lists are in the table. */
struct directory {
    const uint8_t *entries;
    uint64_t lists;
};

static kith_status check_directory(const struct kt_index *index, const struct ivf_part *part,
                                   const struct directory *directory, kith_error *error)
{
    const struct ivf_extent *e = &part->extent;
    uint64_t bytes = 0, rows = 0;
    for (uint32_t i = 0; i < e->entries; i++) {
        struct ivf_entry entry = kt_ivf_entry(directory->entries, i);
        uint32_t most = index->shape.lists - (e->entries - i); /* so many are to come */
        if (entry.list > most || (i && entry.list <= kt_ivf_entry(directory->entries, i - 1).list))
            return corrupt(part->file, "the number of a list", entry.list, most, error);
        bytes += kt_ivf_form(&index->layout, e->is_run, entry.rows).bytes;
        rows += entry.rows;
        if (bytes > e->list_bytes)
            return corrupt(part->file, "the end of a list", bytes, e->list_bytes, error);
        if (entry.rows > UINT32_MAX - index->list_rows[entry.list])
            return corrupt(part->file, "rows of a list", entry.rows, UINT32_MAX, error);
        index->list_rows[entry.list] += entry.rows;
        index->slice_begin[entry.list + 1]++;
    }
    if (bytes != e->list_bytes) return corrupt(part->file, "bytes of all lists", e->list_bytes, bytes, error);
    if (rows != e->rows - e->outliers)
        return corrupt(part->file, "rows of all lists", rows, e->rows - e->outliers, error);
    return KITH_OK;
}

/* Fills in the slices of one part. `next` has, for each list, where its next slice goes. */
static void add_slices(struct kt_index *index, uint32_t number, const struct directory *directory,
                       uint32_t *next)
{
    const struct ivf_part *part = &index->parts[number];
    uint64_t begin = directory->lists;
    for (uint32_t i = 0; i < part->extent.entries; i++) {
        struct ivf_entry entry = kt_ivf_entry(directory->entries, i);
        index->slices[next[entry.list]++] = (struct ivf_slice){ begin, entry.rows, number };
        begin += kt_ivf_form(&index->layout, part->extent.is_run, entry.rows).bytes;
    }
}

/* Whether rows have left so many lists that searches are to weigh them. */
static void look_at_lists(struct kt_index *index)
{
    enum { FEW = 32 }; /* one in so many lists, beyond those that were thin from the beginning */
    uint32_t lists = index->shape.lists, empty = 0, thin = 0;
    index->held.rows = index->held.among = index->rows - index->outliers;
    index->held.lists = index->list_rows;
    for (uint32_t i = 0; i < lists; i++) empty += !index->list_rows[i];
    index->typical = (float)index->held.rows / (float)kt_max_u32(1, lists - empty);
    for (uint32_t i = 0; i < lists; i++) thin += kt_ivf_is_thin(index->list_rows[i], index->typical);
    index->thinned = thin > (uint64_t)index->shape.thin + lists / FEW;
}

static kith_status join_directories(struct kt_index *index, const struct directory *directories,
                                    kith_error *error)
{
    uint32_t lists = index->shape.lists;
    uint64_t slices = 0;
    kith_status status = KITH_OK;
    index->list_rows = kt_alloc_zero((size_t)lists + 1, sizeof *index->list_rows);
    index->slice_begin = kt_alloc_zero((size_t)lists + 2, sizeof *index->slice_begin);
    if (!index->list_rows || !index->slice_begin)
        return kt_fail_memory(error, (size_t)lists * sizeof *index->list_rows);
    for (uint32_t i = 0; !status && i < index->part_count; i++) {
        status = check_directory(index, &index->parts[i], &directories[i], error);
        slices += index->parts[i].extent.entries;
    }
    if (!status && slices > UINT32_MAX)
        status = corrupt(index->parts[0].file, "lists of all files", slices, UINT32_MAX, error);
    if (status) return status;
    index->slices = kt_alloc_array(slices, sizeof *index->slices);
    if (!index->slices) return kt_fail_memory(error, slices * sizeof *index->slices);
    uint32_t *begin = index->slice_begin; /* counts, from list + 1 on, become begins, then move up by one */
    for (uint32_t i = 0; i < lists; i++) begin[i + 1] += begin[i];
    memmove(begin + 1, begin, ((size_t)lists + 1) * sizeof *begin);
    begin[0] = 0;
    for (uint32_t i = 0; i < index->part_count; i++) add_slices(index, i, &directories[i], begin + 1);
    look_at_lists(index);
    return KITH_OK;
}

/* ---- all of it ---- */

static kith_status open_parts(struct kt_index *index, struct directory *directories, kith_error *error)
{
    struct ivf_places at;
    for (uint32_t i = 0; i < index->part_count; i++) {
        struct ivf_part *part = &index->parts[i];
        kith_status status = i ? open_run(index, part, &at, error) : open_base(index, &at, error);
        directories[i].lists = at.lists;
        directories[i].entries =
            lend(part->file, at.directory, (uint64_t)part->extent.entries * IVF_ENTRY_BYTES, &status, error);
        if (status) return status;
        part->outliers = at.outliers;
        index->part_rows[i] = part->extent.rows;
        index->rows += part->extent.rows;
        index->outliers += part->extent.outliers;
        index->row_span = kt_max_u64(index->row_span, part->extent.row_span);
    }
    return join_directories(index, directories, error);
}

/* An index that holds the files, and nothing of them yet; where there is no memory they are closed. */
static kith_status take_files(struct kt_view_file *const *files, uint32_t count, struct kt_index **out,
                              kith_error *error)
{
    struct kt_index *index = kt_alloc_zero(1, sizeof *index);
    struct ivf_part *parts = kt_alloc_zero(count, sizeof *parts);
    if (!index || !parts) {
        for (uint32_t i = 0; i < count; i++) kt_view_close(files[i]);
        kt_free(index);
        kt_free(parts);
        return kt_fail_memory(error, sizeof *index + count * sizeof *parts);
    }
    for (uint32_t i = 0; i < count; i++) parts[i].file = files[i];
    index->parts = parts;
    index->part_count = count;
    *out = index;
    return KITH_OK;
}

kith_status kt_ivf_open(struct kt_view_file *const *files, uint32_t count, const json_t *calibration,
                        struct kt_index **out, kith_error *error)
{
    struct kt_index *index = NULL;
    struct directory *directories = NULL;
    kith_status status = take_files(files, count, &index, error);
    if (status) return status;
    directories = kt_alloc_zero(count, sizeof *directories);
    index->part_rows = kt_alloc_zero(count, sizeof *index->part_rows);
    index->calibration = kt_alloc_zero(1, sizeof *index->calibration);
    if (!directories || !index->part_rows || !index->calibration) {
        status = kt_fail_memory(error, sizeof *index->calibration);
        goto out;
    }
    status = open_parts(index, directories, error);
    if (!status) status = kt_ivf_calibration_read(calibration, index->calibration, error);
    if (status) goto out;
    *out = index;
    index = NULL; /* now the caller's */
out:
    kt_free(directories);
    kt_ivf_close(index);
    return status;
}

void kt_ivf_close(struct kt_index *index)
{
    if (!index) return;
    for (uint32_t i = 0; i < index->part_count; i++) kt_view_close(index->parts[i].file);
    kt_rotation_release(&index->space.rotation);
    kt_pq_release(&index->pq);
    kt_free(index->parts);
    kt_free(index->part_rows);
    kt_free(index->slices);
    kt_free(index->slice_begin);
    kt_free(index->list_rows);
    kt_free(index->calibration);
    kt_free(index);
}

/* ---- reading ---- */

const char *kt_ivf_name(const struct kt_index *index)
{
    return kt_view_name(index->parts[0].file);
}

kith_status kt_ivf_lend(const struct kt_index *index, const struct ivf_slice *slice,
                        const struct ivf_form *form, const uint8_t **out, kith_error *error)
{
    return kt_view(index->parts[slice->part].file, slice->begin, form->bytes, out, error);
}

void kt_ivf_centroid(const struct kt_index *index, uint32_t list, float *out)
{
    const int8_t *bytes = index->centroids.bytes + (size_t)list * index->layout.wide;
    float unit = index->centroids.units[list];
    for (uint32_t d = 0; d < index->shape.tree_dim; d++) out[d] = unit * (float)bytes[d];
}
