/* Segments: the rows that one fragment stores.
 *
 * A segment knows its files and where its record batches begin, and opens a file when it is first asked for.
 * Its rows have places, 0 to rows - 1, and ids. The ids run on from the first, unless folding left rows out
 * that were deleted; then a bit for each id says which are there, and ranks lead from one to the other. A row
 * deleted later keeps its place; the fragment knows it (kt_snapshot_live()).
 */
#include "table/table_private.h"

void kt_segment_release(struct kt_segment *segment)
{
    if (!segment || atomic_fetch_sub(&segment->references, 1) != 1) return;
    for (uint32_t i = 0; segment->open && i < segment->group_count; i++)
        kt_ipc_close(atomic_load(&segment->open[i]));
    kt_bytes_release(segment->inline_rows);
    kt_bytes_release(segment->stored);
    kt_free(segment->ranks.before);
    kt_free((void *)segment->open);
    kt_free(segment->group_of);
    kt_free(segment->batch_begin);
    kt_schema_release(segment->schema);
    kt_free(segment->files);
    kt_free(segment);
}

bool kt_segment_is(const struct kt_segment *segment, const struct kt_fragment *fragment,
                   const struct kt_schema *schema)
{
    if (segment->first_row != fragment->first_row || segment->rows != fragment->rows ||
        segment->span != fragment->span || segment->schema != schema)
        return false;
    if (segment->inline_rows || fragment->inline_rows) return segment->inline_rows == fragment->inline_rows;
    return segment->group_count == fragment->group_count &&
           (!segment->group_count || strcmp(segment->files[0].name, fragment->groups[0].file.name) == 0);
}

static int32_t group_of_field(const struct kt_fragment *fragment, int32_t field)
{
    if (fragment->inline_rows) return 0;
    for (uint32_t g = 0; g < fragment->group_count; g++)
        for (uint32_t f = 0; f < fragment->groups[g].field_count; f++)
            if (fragment->groups[g].fields[f] == field) return (int32_t)g;
    return -1;
}

/* Where the record batches begin, from the fragment's statistics; one batch where there are none. */
static kith_status batches_of(const struct kt_fragment *fragment, struct kt_segment *segment,
                              kith_error *error)
{
    const json_t *batches = json_object_get(fragment->stats, "batches");
    size_t count = json_array_size(batches);
    segment->batch_count = count ? (uint32_t)count : 1;
    segment->batch_begin = kt_alloc_array(segment->batch_count + (size_t)1, sizeof *segment->batch_begin);
    if (!segment->batch_begin) return kt_fail_memory(error, (count + 1) * sizeof *segment->batch_begin);
    segment->batch_begin[0] = 0;
    segment->batch_begin[segment->batch_count] = fragment->rows;
    uint64_t row = count ? 0 : fragment->rows;
    for (uint32_t b = 0; b < count; b++) {
        json_int_t rows = json_integer_value(json_object_get(json_array_get(batches, b), "rows"));
        if (rows <= 0 || (uint64_t)rows > fragment->rows - row) break;
        row += (uint64_t)rows;
        segment->batch_begin[b + 1] = row;
    }
    if (row == fragment->rows) return KITH_OK;
    return kt_fail(error, KITH_CORRUPT, "the log's statistics cover %llu of the %llu rows from %llu on",
                   (unsigned long long)row, (unsigned long long)fragment->rows,
                   (unsigned long long)fragment->first_row);
}

kith_status kt_segment_new(struct kt_io *io, const struct kt_fragment *fragment,
                           const struct kt_schema *schema, struct kt_segment **out, kith_error *error)
{
    uint32_t groups = fragment->inline_rows ? 1 : fragment->group_count;
    struct kt_segment *segment = kt_alloc_zero(1, sizeof *segment);
    if (!segment) return kt_fail_memory(error, sizeof *segment);
    atomic_init(&segment->references, 1);
    segment->first_row = fragment->first_row;
    segment->span = fragment->span;
    segment->rows = fragment->rows;
    segment->group_count = groups;
    segment->io = io;
    segment->schema = kt_schema_share(schema);
    segment->files = kt_alloc_zero(groups, sizeof *segment->files);
    segment->group_of = kt_alloc_array(schema->count, sizeof *segment->group_of);
    segment->open = kt_alloc_zero(groups, sizeof *segment->open);
    if (!segment->files || !segment->group_of || !segment->open) {
        kt_segment_release(segment);
        return kt_fail_memory(error, schema->count * sizeof *segment->group_of);
    }
    kith_status status = batches_of(fragment, segment, error);
    if (!status && fragment->stored) {
        segment->stored = kt_bytes_share(fragment->stored);
        if (!kt_ranks_make((const uint64_t *)(const void *)segment->stored->data, segment->span,
                           &segment->ranks))
            status = kt_fail_memory(error, segment->span / 8);
    }
    if (status) {
        kt_segment_release(segment);
        return status;
    }
    if (fragment->inline_rows)
        segment->inline_rows = kt_bytes_share(fragment->inline_rows);
    else
        for (uint32_t g = 0; g < groups; g++) segment->files[g] = fragment->groups[g].file;
    for (uint32_t c = 0; c < schema->count; c++)
        segment->group_of[c] = group_of_field(fragment, schema->fields[c].id);
    *out = segment;
    return KITH_OK;
}

static kith_status open_inline(const struct kt_segment *segment, struct kt_view_file **out, kith_error *error)
{
    size_t size = segment->inline_rows->size;
    uint8_t *copy = kt_alloc_aligned(size);
    if (!copy) return kt_fail_memory(error, size);
    memcpy(copy, segment->inline_rows->data, size);
    return kt_view_from_memory("rows in the log", copy, size, out, error);
}

static kith_status segment_file(struct kt_segment *segment, uint32_t group, struct kt_ipc_file **out,
                                kith_error *error)
{
    *out = atomic_load_explicit(&segment->open[group], memory_order_acquire);
    if (*out) return KITH_OK;

    struct kt_view_file *bytes = NULL;
    struct kt_ipc_file *file = NULL;
    kith_status status = segment->inline_rows ? open_inline(segment, &bytes, error)
                                              : kt_view_open(segment->io, segment->files[group].name,
                                                             &segment->files[group].seal, &bytes, error);
    if (!status) status = kt_ipc_open(bytes, &file, error);
    if (status) return status;
    if (kt_ipc_rows(file) != segment->rows) {
        status =
            kt_fail(error, KITH_CORRUPT, "%s holds %llu rows, the log says %llu", segment->files[group].name,
                    (unsigned long long)kt_ipc_rows(file), (unsigned long long)segment->rows);
        kt_ipc_close(file);
        return status;
    }
    struct kt_ipc_file *none = NULL;
    if (atomic_compare_exchange_strong(&segment->open[group], &none, file)) {
        *out = file;
    } else { /* another thread was first */
        kt_ipc_close(file);
        *out = none;
    }
    return KITH_OK;
}

kith_status kt_segment_hold(struct kt_segment *segment, kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint32_t g = 0; g < segment->group_count && !segment->inline_rows && !status; g++) {
        struct kt_ipc_file *file;
        status = segment_file(segment, g, &file, error);
        if (status == KITH_CORRUPT) status = KITH_OK;
    }
    return status;
}

/* The number of the column with field id `id` in a file, which names its columns as the table did when it was
 * written. */
static int file_column_of(const struct kt_schema *file_schema, const struct kt_field *field)
{
    for (uint32_t i = 0; i < file_schema->count; i++)
        if (file_schema->fields[i].id == field->id) return (int)i;
    return -1;
}

kith_status kt_segment_column(struct kt_segment *segment, uint32_t column, struct kt_ipc_file **out,
                              uint32_t *file_column, kith_error *error)
{
    const struct kt_field *field = &segment->schema->fields[column];
    int32_t group = segment->group_of[column];
    if (group < 0)
        return kt_fail(error, KITH_CORRUPT, "column \"%s\" is in no file of the rows from %llu on",
                       field->name, (unsigned long long)segment->first_row);
    kith_status status = segment_file(segment, (uint32_t)group, out, error);
    if (status) return status;
    int found = file_column_of(kt_ipc_schema(*out), field);
    if (found < 0 || !kt_field_same_type(&kt_ipc_schema(*out)->fields[found], field))
        return kt_fail(error, KITH_CORRUPT, "column \"%s\" (field %d) is not in %s as the log says",
                       field->name, (int)field->id, segment->files[group].name);
    *file_column = (uint32_t)found;
    return KITH_OK;
}

/* One column of a record batch, and the file it is lent from. */
struct part {
    struct kt_ipc_file *file;
    struct kt_batch *batch; /* held */
    uint32_t column;        /* of that batch */
};

/* Moves `part` on to a column of record batch `number`; what it held is kept when the file is the same. */
static kith_status part_of(struct kt_segment *segment, uint32_t column, uint32_t number, struct part *part,
                           kith_error *error)
{
    struct kt_ipc_file *file = NULL;
    uint64_t rows = segment->batch_begin[number + 1] - segment->batch_begin[number];
    kith_status status = kt_segment_column(segment, column, &file, &part->column, error);
    if (status || file == part->file) return status;
    kt_batch_release(part->batch);
    *part = (struct part){ .column = part->column };
    if (number >= kt_ipc_batch_count(file))
        return kt_fail(error, KITH_CORRUPT, "%s has fewer record batches than the log says",
                       segment->files[0].name);
    status = kt_ipc_batch(file, number, &part->batch, error);
    if (status) return status;
    part->file = file;
    if ((uint64_t)part->batch->rows == rows) return KITH_OK;
    return kt_fail(error, KITH_CORRUPT,
                   "the files of the rows from %llu on have other record batches than the log says",
                   (unsigned long long)segment->first_row);
}

kith_status kt_segment_lend(struct kt_segment *segment, uint32_t number, struct kt_schema *schema,
                            const uint32_t *columns, struct kt_batch *extra, struct kt_batch **out,
                            kith_error *error)
{
    uint64_t rows = segment->batch_begin[number + 1] - segment->batch_begin[number];
    struct part part = { 0 };
    struct kt_batch **parts = kt_alloc_zero(schema->count, sizeof *parts);
    uint32_t *places = kt_alloc_zero(schema->count, sizeof *places);
    kith_status status = parts && places ? KITH_OK : kt_fail_memory(error, schema->count * sizeof *parts);
    for (uint32_t i = 0; i < schema->count && !status; i++) {
        uint32_t column = columns ? columns[i] : i;
        if (column == KT_EXTRA_COLUMN) {
            parts[i] = kt_batch_share(extra);
            continue;
        }
        status = part_of(segment, column, number, &part, error);
        if (status) break;
        parts[i] = kt_batch_share(part.batch);
        places[i] = part.column;
    }
    if (!status) status = kt_batch_combine(schema, (int64_t)rows, parts, places, out, error);
    for (uint32_t i = 0; parts && i < schema->count; i++) kt_batch_release(parts[i]);
    kt_batch_release(part.batch);
    kt_free(parts);
    kt_free(places);
    return status;
}

uint32_t kt_segment_batch(const struct kt_segment *segment, uint64_t row, uint64_t *rows)
{
    uint32_t number = 0; /* there are few */
    while (segment->batch_begin[number + 1] <= row) number++;
    *rows = segment->batch_begin[number + 1] - row;
    return number;
}

uint64_t kt_segment_batch_begin(const struct kt_segment *segment, uint32_t batch)
{
    return segment->batch_begin[batch];
}

uint64_t kt_segment_rows(const struct kt_segment *segment)
{
    return segment->rows;
}

/* ---- ids and places */

bool kt_segment_whole(const struct kt_segment *segment)
{
    return !segment->stored;
}

uint64_t kt_segment_id(const struct kt_segment *segment, uint64_t place)
{
    return segment->first_row + (segment->stored ? kt_rank_select(&segment->ranks, place) : place);
}

uint64_t kt_segment_place(const struct kt_segment *segment, uint64_t row)
{
    if (row <= segment->first_row) return 0;
    uint64_t bit = kt_min_u64(row - segment->first_row, segment->span);
    return segment->stored ? kt_rank(&segment->ranks, bit) : bit;
}

void kt_segment_ids(const struct kt_segment *segment, uint64_t place, uint64_t count, uint64_t *ids)
{
    if (!count) return;
    struct kt_selection stored = { .rows = segment->span };
    stored.words = segment->stored ? (uint64_t *)(void *)segment->stored->data : NULL;
    uint64_t row = kt_segment_id(segment, place) - segment->first_row;
    for (uint64_t i = 0; i < count; i++) {
        ids[i] = segment->first_row + row;
        row = segment->stored && i + 1 < count ? kt_selection_next(&stored, row + 1) : row + 1;
    }
}

bool kt_segment_mask(const struct kt_segment *segment, uint64_t place, uint64_t count,
                     const struct kt_selection *selection, uint64_t *bits)
{
    if (!segment->stored) return kt_selection_mask(selection, segment->first_row + place, bits, count);
    bool any = false;
    for (uint64_t at = 0; at < count; at += 64) {
        uint64_t word = count - at < 64 ? bits[at / 64] & ((UINT64_C(1) << (count - at)) - 1) : bits[at / 64];
        bits[at / 64] = word;
        for (; word; word &= word - 1) {
            uint64_t bit = (uint64_t)__builtin_ctzll(word);
            if (!kt_selected(selection, kt_segment_id(segment, place + at + bit)))
                bits[at / 64] &= ~(UINT64_C(1) << bit);
        }
        any |= bits[at / 64] != 0;
    }
    return any;
}

void kt_segment_put(const struct kt_segment *segment, uint64_t place, uint64_t count, const uint64_t *bits,
                    struct kt_selection *selection)
{
    const uint64_t one = 1;
    if (!segment->stored) {
        kt_selection_put(selection, segment->first_row + place, bits, count);
        return;
    }
    for (uint64_t i = 0; i < count; i++)
        if (bits[i / 64] >> (i % 64) & 1)
            kt_selection_put(selection, kt_segment_id(segment, place + i), &one, 1);
}
