/* Snapshots: one version of a table, open.
 *
 * A snapshot is made from a state of the log. Its parts are shared with the snapshots before and after it:
 * a segment (the files of one fragment) is the same object as long as the fragment is the same, and so it is
 * with indexes (table_pieces.c). Files are opened when first asked for, so that opening a table costs nothing
 * that grows with its rows. Two threads may open the same file at once; one of them wins the compare-and-swap
 * and the other closes its own, so that no lock is held across I/O.
 *
 * Always true here:
 *   - a snapshot and all that hangs from it is never changed after kt_snapshot_open(), but for those pointers
 *     that go from NULL to an open file or index, once;
 *   - the vectors' runs point into segments that the snapshot holds.
 */
#include "table/table_private.h"

struct kt_segment {
    _Atomic uint32_t references;
    uint64_t first_row, rows;
    uint32_t group_count; /* 1 for inline rows */
    struct kt_io *io;     /* the table's; the snapshots that hold the segment hold the store */
    struct kt_stored_file *files;
    struct kt_bytes *inline_rows;
    struct kt_schema *schema;
    uint64_t *batch_begin; /* batch_count + 1: the segment's row where each record batch begins */
    uint32_t batch_count;
    int32_t *group_of; /* for each column of the schema: which file, or -1 when it is younger than the rows */
    struct kt_ipc_file *_Atomic *open; /* one a group */
};

/* What a run of vectors reads: a column of one record batch of a segment. */
struct vector_source {
    struct kt_segment *segment;
    uint32_t column;
    uint32_t row_bytes;
    uint64_t row;                     /* of the segment, where the run begins */
    struct kt_ipc_file *_Atomic file; /* set before: */
    const uint8_t *_Atomic first; /* the run's first vector, once one was lent, where none is null; or NULL */
};

struct kt_table_home *kt_home_share(struct kt_table_home *home)
{
    atomic_fetch_add(&home->references, 1);
    return home;
}

void kt_home_release(struct kt_table_home *home)
{
    if (!home || atomic_fetch_sub(&home->references, 1) != 1) return;
    struct kt_arena scratch = { atomic_load(&home->scratch) };
    kt_arena_release(&scratch);
    kt_store_close(home->store);
    kt_free(home);
}

/* ---- segments */

static void segment_release(struct kt_segment *segment)
{
    if (!segment || atomic_fetch_sub(&segment->references, 1) != 1) return;
    for (uint32_t i = 0; segment->open && i < segment->group_count; i++)
        kt_ipc_close(atomic_load(&segment->open[i]));
    kt_bytes_release(segment->inline_rows);
    kt_free((void *)segment->open);
    kt_free(segment->group_of);
    kt_free(segment->batch_begin);
    kt_schema_release(segment->schema);
    kt_free(segment->files);
    kt_free(segment);
}

static bool same_fragment(const struct kt_segment *segment, const struct kt_fragment *fragment,
                          const struct kt_schema *schema)
{
    if (segment->first_row != fragment->first_row || segment->rows != fragment->rows ||
        segment->schema != schema)
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

static kith_status segment_new(struct kt_io *io, const struct kt_fragment *fragment,
                               const struct kt_schema *schema, struct kt_segment **out, kith_error *error)
{
    uint32_t groups = fragment->inline_rows ? 1 : fragment->group_count;
    struct kt_segment *segment = kt_alloc_zero(1, sizeof *segment);
    if (!segment) return kt_fail_memory(error, sizeof *segment);
    atomic_init(&segment->references, 1);
    segment->first_row = fragment->first_row;
    segment->rows = fragment->rows;
    segment->group_count = groups;
    segment->io = io;
    segment->schema = kt_schema_share(schema);
    segment->files = kt_alloc_zero(groups, sizeof *segment->files);
    segment->group_of = kt_alloc_array(schema->count, sizeof *segment->group_of);
    segment->open = kt_alloc_zero(groups, sizeof *segment->open);
    if (!segment->files || !segment->group_of || !segment->open) {
        segment_release(segment);
        return kt_fail_memory(error, schema->count * sizeof *segment->group_of);
    }
    kith_status status = batches_of(fragment, segment, error);
    if (status) {
        segment_release(segment);
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

uint64_t kt_segment_first_row(const struct kt_segment *segment)
{
    return segment->first_row;
}

uint64_t kt_segment_rows(const struct kt_segment *segment)
{
    return segment->rows;
}

/* ---- vectors */

/* Remembers where a run lies, so that the next vectors need no look at the file's structure, only at its
 * checksums. Threads that meet here write the same. */
static kith_status remember_run(struct vector_source *source, struct kt_ipc_file *file,
                                const struct kt_vectors_view *view, uint64_t offset, kith_error *error)
{
    bool inside;
    if (view->validity) return KITH_OK;
    kith_status status = kt_ipc_beside(file, view->data, source->row_bytes, &inside, error);
    if (status || !inside) return status;
    atomic_store_explicit(&source->file, file, memory_order_relaxed);
    atomic_store_explicit(&source->first, (const uint8_t *)view->data - offset * source->row_bytes,
                          memory_order_release);
    return KITH_OK;
}

static kith_status view_vectors(void *context, uint64_t offset, uint64_t count, struct kt_vectors_view *out,
                                kith_error *error)
{
    struct vector_source *source = context;
    const uint8_t *first = atomic_load_explicit(&source->first, memory_order_acquire);
    if (first) {
        bool inside;
        *out = (struct kt_vectors_view){ .data = first + offset * source->row_bytes };
        return kt_ipc_beside(atomic_load_explicit(&source->file, memory_order_relaxed), out->data,
                             count * source->row_bytes, &inside, error);
    }
    struct kt_ipc_file *file = NULL;
    uint32_t column = 0;
    kith_status status = kt_segment_column(source->segment, source->column, &file, &column, error);
    if (status) return status;

    enum { ROOM = 4 }; /* a vector column has one child */
    struct kt_array array, room[ROOM];
    if (kt_ipc_room(file, column) > ROOM)
        return kt_fail(error, KITH_CORRUPT, "%s: a vector column nests", source->segment->files[0].name);
    status = kt_ipc_column(file, column, source->row + offset, count, &array, room, error);
    if (status) return status;
    const struct kt_array *numbers = &array.children[0];
    size_t width = (size_t)array.field->width * kt_element_bytes(kt_field_element(array.field));
    size_t item = kt_element_bytes(kt_field_element(array.field));
    out->data = numbers->values + (size_t)numbers->offset * item + (size_t)array.offset * width;
    out->validity = array.validity;
    out->bit_offset = (uint64_t)array.offset;
    return count ? remember_run(source, file, out, offset, error) : KITH_OK;
}

static kith_status vectors_open(const struct kt_snapshot *snapshot, uint32_t column,
                                struct kt_vectors *vectors, kith_error *error)
{
    const struct kt_field *field = &snapshot->schema->fields[column];
    *vectors = (struct kt_vectors){ .dim = (uint32_t)field->width, .element = kt_field_element(field) };
    uint64_t runs = 0;
    for (uint32_t i = 0; i < snapshot->state->fragment_count; i++) runs += snapshot->segments[i]->batch_count;
    if (!runs) return KITH_OK;

    /* One allocation: the runs, then what they point to. */
    vectors->runs = kt_alloc_array(runs, sizeof *vectors->runs + sizeof(struct vector_source));
    if (!vectors->runs) return kt_fail_memory(error, runs * sizeof *vectors->runs);
    struct vector_source *sources = (struct vector_source *)(void *)(vectors->runs + runs);
    for (uint32_t i = 0; i < snapshot->state->fragment_count; i++) {
        struct kt_segment *segment = snapshot->segments[i];
        for (uint32_t b = 0; b < segment->batch_count; b++) {
            struct vector_source *source = &sources[vectors->run_count];
            uint64_t row = segment->batch_begin[b];
            *source = (struct vector_source){ .segment = segment,
                                              .column = column,
                                              .row_bytes =
                                                  vectors->dim * (uint32_t)kt_element_bytes(vectors->element),
                                              .row = row };
            vectors->runs[vectors->run_count++] =
                (struct kt_vectors_run){ segment->first_row + row, segment->batch_begin[b + 1] - row, source,
                                         view_vectors };
        }
    }
    return KITH_OK;
}

/* ---- scratch */

struct kt_arena kt_snapshot_borrow(const struct kt_snapshot *snapshot)
{
    return (struct kt_arena){ atomic_exchange(&snapshot->home->scratch, NULL) };
}

void kt_snapshot_give_back(const struct kt_snapshot *snapshot, struct kt_arena *scratch)
{
    enum { MOST_KEPT = 1 << 20 };
    struct kt_arena spare = { NULL };
    kt_arena_clear(scratch);
    if (kt_arena_room(scratch) <= MOST_KEPT)
        spare.chunk = atomic_exchange(&snapshot->home->scratch, scratch->chunk);
    else
        spare = *scratch;
    scratch->chunk = NULL;
    kt_arena_release(&spare);
}

/* ---- the snapshot */

static kith_status schema_of(const struct kt_state *state, const struct kt_snapshot *older,
                             struct kt_schema **out, kith_error *error)
{
    if (older && (older->state->schema == state->schema || json_equal(older->state->schema, state->schema))) {
        *out = kt_schema_share(older->schema);
        return KITH_OK;
    }
    return kt_schema_from_json(state->schema, out, error);
}

static kith_status segments_open(struct kt_snapshot *snapshot, const struct kt_snapshot *older,
                                 kith_error *error)
{
    const struct kt_state *state = snapshot->state;
    snapshot->segments = kt_alloc_zero(state->fragment_count, sizeof *snapshot->segments);
    if (!snapshot->segments) return kt_fail_memory(error, state->fragment_count * sizeof *snapshot->segments);
    uint32_t at = 0; /* both are in order of their first rows */
    for (uint32_t i = 0; i < state->fragment_count; i++) {
        const struct kt_fragment *fragment = &state->fragments[i];
        while (older && at < older->state->fragment_count &&
               older->segments[at]->first_row < fragment->first_row)
            at++;
        struct kt_segment *known = older && at < older->state->fragment_count ? older->segments[at] : NULL;
        if (known && same_fragment(known, fragment, snapshot->schema)) {
            atomic_fetch_add(&known->references, 1);
            snapshot->segments[i] = known;
            continue;
        }
        kith_status status =
            segment_new(snapshot->io, fragment, snapshot->schema, &snapshot->segments[i], error);
        if (status) return status;
    }
    return KITH_OK;
}

static kith_status snapshot_fill(struct kt_snapshot *snapshot, const struct kt_snapshot *older,
                                 kith_error *error)
{
    snapshot->io = kt_store_io(snapshot->home->store);
    kith_status status = schema_of(snapshot->state, older, &snapshot->schema, error);
    if (!status) status = segments_open(snapshot, older, error);
    if (status) return status;

    snapshot->vectors = kt_alloc_zero(snapshot->schema->count, sizeof *snapshot->vectors);
    if (!snapshot->vectors) return kt_fail_memory(error, snapshot->schema->count * sizeof *snapshot->vectors);
    for (uint32_t c = 0; c < snapshot->schema->count && !status; c++)
        if (kt_field_is_vector(&snapshot->schema->fields[c]))
            status = vectors_open(snapshot, c, &snapshot->vectors[c], error);
    if (!status) status = kt_pieces_open(snapshot, older, error);
    return status;
}

kith_status kt_snapshot_open(struct kt_table_home *home, struct kt_state *state,
                             const struct kt_snapshot *older, struct kt_snapshot **out, kith_error *error)
{
    struct kt_snapshot *snapshot = kt_alloc_zero(1, sizeof *snapshot);
    if (!snapshot) {
        kt_state_release(state);
        return kt_fail_memory(error, sizeof *snapshot);
    }
    atomic_init(&snapshot->references, 1);
    snapshot->state = state;
    snapshot->home = kt_home_share(home);
    kith_status status = snapshot_fill(snapshot, older, error);
    if (status) {
        kt_snapshot_release(snapshot);
        return status;
    }
    *out = snapshot;
    return KITH_OK;
}

struct kt_snapshot *kt_snapshot_share(const struct kt_snapshot *snapshot)
{
    struct kt_snapshot *shared = (struct kt_snapshot *)snapshot;
    atomic_fetch_add(&shared->references, 1);
    return shared;
}

void kt_snapshot_release(struct kt_snapshot *snapshot)
{
    if (!snapshot || atomic_fetch_sub(&snapshot->references, 1) != 1) return;
    kt_pieces_release(snapshot);
    for (uint32_t i = 0; snapshot->segments && i < snapshot->state->fragment_count; i++)
        segment_release(snapshot->segments[i]);
    for (uint32_t i = 0; snapshot->vectors && i < snapshot->schema->count; i++)
        kt_free(snapshot->vectors[i].runs);
    kt_free(snapshot->segments);
    kt_free(snapshot->vectors);
    kt_schema_release(snapshot->schema);
    kt_state_release(snapshot->state);
    kt_home_release(snapshot->home);
    kt_free(snapshot);
}

int64_t kt_snapshot_find(const struct kt_snapshot *snapshot, uint64_t row)
{
    uint32_t low = 0, high = snapshot->state->fragment_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (snapshot->segments[middle]->first_row <= row)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low || row - snapshot->segments[low - 1]->first_row >= snapshot->segments[low - 1]->rows) return -1;
    return (int64_t)low - 1;
}

/* "a", "b": the names of all vector columns, for messages. */
static void vector_names(const struct kt_schema *schema, char *to, size_t size)
{
    struct kt_buffer text = { 0 };
    for (uint32_t i = 0; i < schema->count; i++)
        if (kt_field_is_vector(&schema->fields[i]))
            kt_buffer_text(&text, "%s\"%s\"", text.size ? ", " : "", schema->fields[i].name);
    size_t count = text.size < size - 1 ? text.size : size - 1;
    if (count) memcpy(to, text.data, count);
    to[count] = '\0';
    kt_buffer_release(&text);
}

kith_status kt_snapshot_vector_column(const struct kt_snapshot *snapshot, const char *name, int *column,
                                      kith_error *error)
{
    const struct kt_schema *schema = snapshot->schema;
    char names[400];
    if (name) {
        *column = kt_schema_find(schema, name);
        if (*column >= 0 && kt_field_is_vector(&schema->fields[*column])) return KITH_OK;
        vector_names(schema, names, sizeof names);
        if (*column < 0)
            return kt_fail(error, KITH_NOT_FOUND, "there is no column \"%s\"; the vector columns are: %s",
                           name, names[0] ? names : "none");
        char type[120];
        kt_field_type_text(&schema->fields[*column], type, sizeof type);
        return kt_fail(error, KITH_INVALID, "column \"%s\" is %s, not a vector; the vector columns are: %s",
                       name, type, names[0] ? names : "none");
    }
    int found = -1, count = 0;
    for (uint32_t i = 0; i < schema->count; i++)
        if (kt_field_is_vector(&schema->fields[i])) found = (int)i, count++;
    if (!count)
        return kt_fail(error, KITH_INVALID,
                       "There is no vector column in the table: one is a fixed-size list of numbers");
    if (count > 1) {
        found = kt_schema_find(schema, "vector");
        vector_names(schema, names, sizeof names);
        if (found < 0 || !kt_field_is_vector(&schema->fields[found]))
            return kt_fail(error, KITH_INVALID, "the table has several vector columns, say which one: %s",
                           names);
    }
    *column = found;
    return KITH_OK;
}

kith_metric kt_snapshot_metric(const struct kt_snapshot *snapshot, int column)
{
    const char *given = json_string_value(json_object_get(snapshot->state->config, "metric"));
    kith_metric metric = KITH_L2;
    if (given && kith_metric_parse(given, &metric, NULL) == KITH_OK) return metric;
    for (uint32_t i = 0; i < snapshot->index_count; i++)
        if (snapshot->indexes[i].column == column) return snapshot->indexes[i].metric;
    return KITH_L2;
}

kith_status kt_snapshot_verify(const struct kt_snapshot *snapshot, uint64_t *files, kith_error *error)
{
    *files = 0;
    const struct kt_state *state = snapshot->state;
    for (uint32_t i = 0; i < state->fragment_count + state->piece_count; i++) {
        bool is_piece = i >= state->fragment_count;
        const struct kt_fragment *fragment = is_piece ? NULL : &state->fragments[i];
        uint32_t count = is_piece ? 1 : fragment->group_count;
        for (uint32_t g = 0; g < count; g++) {
            const struct kt_stored_file *stored =
                is_piece ? &state->pieces[i - state->fragment_count].file : &fragment->groups[g].file;
            struct kt_view_file *file = NULL;
            kith_status status = kt_view_open(snapshot->io, stored->name, &stored->seal, &file, error);
            if (!status) status = kt_view_verify(file, error);
            kt_view_close(file);
            if (status) return status;
            ++*files;
        }
    }
    return KITH_OK;
}
