/* Reading a column for an index over its values, and the rows that have been appended since.
 *
 * An index follows appends by pieces: each is built over rows that no other covers, and is never changed. A
 * row that is not covered is looked at in every query that asks the index, so they must not be many: of an
 * index over values, whose scan is quick, a quarter of what is covered, and the pieces so grow with the
 * table; of vectors as many as are scanned in the time that the index takes. The write that leaves more
 * builds a piece over them before it returns.
 *
 * The files of an index over vectors are merged as they become many, and when half of what they hold is dead;
 * its tree is trained anew when half as many rows have come as it was trained on. A graph learned nothing
 * that ages: it is folded into one file when a quarter of its rows came after the base, or is dead.
 *
 * Pieces of an index over values are merged by the same rule, the first as well as the others, as nothing was
 * learned from it: the newest four or more of about the same size become one, and all of them when half of
 * what they hold is dead. A merged piece is read from the column again, which costs what merging sorted files
 * would, and leaves dead rows out. So a table that only changes, never grows, keeps a few pieces, too.
 */
#include "table/table_private.h"

enum {
    FEW_ROWS = 20000,
    SHARE = 4,
    FEW_VECTORS = 256,      /* or this, where they are long: */
    FEW_BYTES = 512 * 1024, /* of vectors */
    MERGED_PARTS = 4 /* at least, of about the same size: so a row is merged some log of the rows times */
};

/* ---- rows in */

struct reading {
    const struct kt_snapshot *snapshot;
    uint32_t column;
    const struct kt_path *path;
    const struct kt_selection *live; /* NULL: all rows are */
    struct kt_scalar_build *build;
    struct kt_work *work;
    uint64_t done, total, held; /* rows looked at, to look at, and added */
};

/* Rows of a column lent: the values of the field that is indexed, and the structs that they lie in. */
struct values {
    struct kt_array array;
    struct kt_array above[KT_PATH_STEPS]; /* each as long, from the same row on */
    uint32_t depth;
    bool hides; /* one of these may be null, and its fields with it */
};

static void find_values(const struct reading *reading, const struct kt_array *column, struct values *out)
{
    *out = (struct values){ .array = *column };
    for (; out->depth < reading->path->count; out->depth++) {
        struct kt_array inner = out->array.children[reading->path->steps[out->depth]];
        inner.offset += out->array.offset;
        inner.length = column->length;
        out->hides |= out->array.validity != NULL;
        out->above[out->depth] = out->array;
        out->array = inner;
    }
}

static bool is_hidden(const struct values *values, int64_t row)
{
    for (uint32_t i = 0; values->hides && i < values->depth; i++)
        if (kt_array_null(&values->above[i], row)) return true;
    return false;
}

static bool is_live(const struct reading *reading, uint64_t id)
{
    return !reading->live || kt_selected(reading->live, id);
}

/* Where the run of consecutive ids of live rows ends that begins at `begin`, all hidden or none. */
static int64_t run_end(const struct reading *reading, const struct kt_segment *segment, uint64_t row,
                       const struct values *values, int64_t begin)
{
    uint64_t first = kt_segment_id(segment, row + (uint64_t)begin);
    int64_t count = values->array.length, end = begin + 1;
    bool hidden = is_hidden(values, begin);
    if (kt_segment_whole(segment) && !reading->live && !values->hides) return count;
    while (end < count) {
        uint64_t id = kt_segment_id(segment, row + (uint64_t)end);
        if (id != first + (uint64_t)(end - begin) || !is_live(reading, id)) break;
        if (is_hidden(values, end) != hidden) break;
        end++;
    }
    return end;
}

/* Adds rows [begin, end) of the values; where the structs are null, that many nulls. */
static kith_status add_run(struct reading *reading, const struct values *values, int64_t begin, int64_t end,
                           uint64_t first, kith_error *error)
{
    struct kt_array some = values->array;
    uint8_t *none = NULL;
    some.offset += begin;
    some.length = end - begin;
    if (is_hidden(values, begin)) {
        none = kt_alloc_zero((size_t)some.length / 8 + 1, 1);
        if (!none) return kt_fail_memory(error, (size_t)some.length / 8);
        some = (struct kt_array){ .field = some.field, .length = some.length, .validity = none };
    }
    reading->held += (uint64_t)some.length;
    kith_status status = kt_scalar_add(reading->build, &some, first, error);
    kt_free(none);
    return status;
}

/* Values of consecutive rows, from `row` of the segment on. */
static kith_status add_array(struct reading *reading, const struct kt_segment *segment, uint64_t row,
                             const struct kt_array *column, kith_error *error)
{
    int64_t count = column->length;
    struct values values;
    kith_status status = KITH_OK;
    find_values(reading, column, &values);
    for (int64_t begin = 0, end = 0; begin < count && !status; begin = end) {
        uint64_t first = kt_segment_id(segment, row + (uint64_t)begin);
        end = begin + 1;
        if (!is_live(reading, first)) continue;
        end = run_end(reading, segment, row, &values, begin);
        status = add_run(reading, &values, begin, end, first, error);
    }
    return status;
}

/* Lends rows [row, row + count) of a segment, which lie in one record batch, to the build. */
static kith_status add_rows(struct reading *reading, struct kt_segment *segment, uint64_t row, uint64_t count,
                            kith_error *error)
{
    struct kt_ipc_file *file = NULL;
    struct kt_array array, *room = NULL;
    uint32_t column;
    kith_status status = kt_segment_column(segment, reading->column, &file, &column, error);
    if (status) return status;
    size_t children = kt_ipc_room(file, column);
    room = kt_alloc_zero(children, sizeof *room);
    if (!room) return kt_fail_memory(error, children * sizeof *room);
    status = kt_ipc_column(file, column, row, count, &array, room, error);
    if (!status) status = add_array(reading, segment, row, &array, error);
    kt_free(room);
    reading->done += count;
    return status ? status : kt_work_tick(reading->work, "values", reading->done, reading->total, error);
}

/* Rows of a segment that lie in `rows`, which are row ids. */
static kith_status add_segment(struct reading *reading, struct kt_segment *segment, struct kt_rows rows,
                               kith_error *error)
{
    uint64_t row = kt_segment_place(segment, rows.begin), end = kt_segment_place(segment, rows.end), some;
    kith_status status = KITH_OK;
    for (; row < end && !status; row += some) {
        kt_segment_batch(segment, row, &some);
        some = kt_min_u64(some, end - row);
        status = add_rows(reading, segment, row, some, error);
    }
    return status;
}

kith_status kt_table_write_scalar(const struct kt_snapshot *snapshot, uint32_t column,
                                  const struct kt_path *path, kith_index_type type,
                                  const struct kt_cover *cover, struct kt_work *work, struct kt_sink *sink,
                                  uint64_t *held, kith_error *error)
{
    struct reading reading = { .snapshot = snapshot,
                               .column = column,
                               .path = path,
                               .work = work,
                               .total = kt_rows_count(cover->rows, cover->count) };
    kith_status status =
        kt_scalar_begin(type, kt_path_field(snapshot->schema, column, path), &reading.build, error);
    if (!status) status = kt_snapshot_live(snapshot, &reading.live, error);
    for (uint32_t c = 0; c < cover->count && !status; c++)
        for (uint32_t i = 0; i < snapshot->state->fragment_count && !status; i++)
            status = add_segment(&reading, snapshot->segments[i], cover->rows[c], error);
    if (!status) status = kt_scalar_write(reading.build, work, sink, error);
    kt_scalar_build_free(reading.build);
    *held = reading.held;
    return status;
}

/* ---- rows appended */

/* Rows beside an index that are scanned as fast as it answers: so few are not worth a piece. */
static uint64_t few_rows(const struct kt_snapshot *snapshot, const struct kt_table_index *index)
{
    if (!index->ops) return kt_max_u64(FEW_ROWS, index->rows_indexed / SHARE);
    const struct kt_vectors *vectors = &snapshot->vectors[index->column];
    return kt_max_u64(FEW_VECTORS, FEW_BYTES / (vectors->dim * kt_element_bytes(vectors->element)));
}

kith_status kt_table_uncovered(const struct kt_snapshot *snapshot, const struct kt_table_index *index,
                               struct kt_cover *out, kith_error *error)
{
    kith_status status = kt_cover_state(snapshot->state, out, error);
    if (!status) status = kt_cover_subtract(out, index->covers, index->cover_count, error);
    uint64_t least = index->ops ? 0 : FEW_ROWS; /* fewer, and another writer was first */
    if (kt_rows_count(out->rows, out->count) <= least) kt_cover_release(out);
    return status;
}

bool kt_table_is_behind(const struct kt_snapshot *snapshot, const struct kt_table_index *index)
{
    return index->rows_unindexed > few_rows(snapshot, index);
}

bool kt_table_is_spent(const struct kt_table_index *index)
{
    if (!index->ops || index->ops->fold_share) return false;
    const json_t *meta = index->piece->meta;
    uint64_t trained = (uint64_t)json_integer_value(json_object_get(meta, "trained_rows"));
    uint64_t end = (uint64_t)json_integer_value(json_object_get(meta, "trained_to")), since = 0;
    for (uint32_t i = 0; i < index->cover_count; i++)
        if (index->covers[i].end > end)
            since += index->covers[i].end - kt_max_u64(index->covers[i].begin, end);
    return since > trained / 2;
}

/* What its file holds says how much a piece of an index over values is, not what it covers: that keeps the
 * ids of rows that died. */
static uint64_t part_rows(const struct kt_table_index *index, uint32_t part)
{
    const struct kt_piece *piece = index->parts[part];
    return index->ops ? kt_rows_count(piece->covers, piece->cover_count) : kt_piece_held(piece);
}

/* Whether enough of a graph came after its base, or is dead, for a base to be made of it all. */
static bool is_to_fold(const struct kt_table_index *index)
{
    uint64_t came = 0, share = index->ops->fold_share;
    for (uint32_t i = 1; i < index->part_count; i++) came += part_rows(index, i);
    return share && (came > part_rows(index, 0) / share || index->rows_dead > index->rows_indexed / share);
}

uint32_t kt_table_to_merge(const struct kt_table_index *index)
{
    uint32_t count = 1, stays = index->ops ? 1 : 0; /* the base */
    if (index->ops && is_to_fold(index)) return index->part_count;
    if (index->rows_dead > index->rows_indexed / 2) return index->part_count;
    if (index->part_count < 2) return 0;
    uint64_t gathered = part_rows(index, index->part_count - 1);
    while (count + stays < index->part_count &&
           part_rows(index, index->part_count - 1 - count) <= 2 * gathered)
        gathered += part_rows(index, index->part_count - 1 - count++);
    return count >= MERGED_PARTS ? count : 0;
}
