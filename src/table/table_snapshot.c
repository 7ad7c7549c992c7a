/* Snapshots: one version of a table, open.
 *
 * A snapshot is made from a state of the log. Its parts are shared with the snapshots before and after it:
 * a segment (table_segment.c) is the same object as long as the fragment is the same, and so it is
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

/* What a run of vectors reads: a column of one record batch of a segment. */
struct vector_source {
    struct kt_segment *segment;
    uint32_t column;
    uint32_t row_bytes;
    bool jumps;                       /* an index says which rows to read */
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
    for (int i = 0; i < KT_LIVED_KEPT; i++) kt_lived_release(home->lived[i]);
    kt_lock_release(&home->lock);
    kt_store_close(home->store);
    kt_free(home);
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
    if (source->jumps) kt_ipc_jumps(file);
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
    bool jumps = false;
    for (uint32_t i = 0; i < snapshot->state->piece_count; i++)
        jumps |= kt_piece_covers_field(&snapshot->state->pieces[i], field->id);
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
            uint64_t first = kt_segment_id(segment, row), end = segment->batch_begin[b + 1];
            uint64_t stop =
                end < segment->rows ? kt_segment_id(segment, end) : segment->first_row + segment->span;
            *source = (struct vector_source){ .segment = segment,
                                              .column = column,
                                              .jumps = jumps,
                                              .row_bytes =
                                                  vectors->dim * (uint32_t)kt_element_bytes(vectors->element),
                                              .row = row };
            vectors->runs[vectors->run_count++] =
                (struct kt_vectors_run){ .first_row = first,
                                         .span = stop - first,
                                         .rows = end - row,
                                         .ranks = segment->stored ? &segment->ranks : NULL,
                                         .ranks_row = segment->first_row,
                                         .ranks_place = row,
                                         .context = source,
                                         .view = view_vectors };
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
        if (known && kt_segment_is(known, fragment, snapshot->schema)) {
            atomic_fetch_add(&known->references, 1);
            snapshot->segments[i] = known;
            continue;
        }
        kith_status status =
            kt_segment_new(snapshot->io, fragment, snapshot->schema, &snapshot->segments[i], error);
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
    snapshot->has_dead = kt_state_meets_dead(snapshot->state);
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

kith_status kt_snapshot_hold(const struct kt_snapshot *snapshot, kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint32_t i = 0; i < snapshot->state->fragment_count && !status; i++)
        status = kt_segment_hold(snapshot->segments[i], error);
    for (uint32_t i = 0; i < snapshot->index_count && !status; i++) {
        const struct kt_index *index;
        if (snapshot->indexes[i].ops)
            status = kt_snapshot_index(snapshot, &snapshot->indexes[i], &index, error);
        if (status == KITH_CORRUPT) status = KITH_OK;
    }
    for (uint32_t i = 0; i < snapshot->scalar_count && !status; i++) {
        const struct kt_scalar *scalar;
        status = kt_snapshot_scalar(snapshot, &snapshot->scalars[i], &scalar, error);
        if (status == KITH_CORRUPT) status = KITH_OK;
    }
    return status;
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
    for (uint32_t i = 0; i < snapshot->index_count; i++)
        kt_lived_release(atomic_load(&snapshot->indexes[i].lived));
    kt_pieces_release(snapshot);
    for (uint32_t i = 0; snapshot->segments && i < snapshot->state->fragment_count; i++)
        kt_segment_release(snapshot->segments[i]);
    for (uint32_t i = 0; snapshot->vectors && i < snapshot->schema->count; i++)
        kt_free(snapshot->vectors[i].runs);
    kt_free(atomic_load(&snapshot->alive));
    kt_free(snapshot->segments);
    kt_free(snapshot->vectors);
    kt_schema_release(snapshot->schema);
    kt_state_release(snapshot->state);
    kt_home_release(snapshot->home);
    kt_free(snapshot);
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

/* How many vector columns there are, of this dimension or (0) of any; `found` is the last. */
static int count_vectors(const struct kt_schema *schema, uint32_t dim, int *found)
{
    int count = 0;
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct kt_field *field = &schema->fields[i];
        if (kt_field_is_vector(field) && (!dim || (uint32_t)field->width == dim)) *found = (int)i, count++;
    }
    return count;
}

kith_status kt_snapshot_vector_column(const struct kt_snapshot *snapshot, const char *name, uint32_t dim,
                                      int *column, kith_error *error)
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
    int found = -1, count = count_vectors(schema, 0, &found);
    if (!count)
        return kt_fail(error, KITH_INVALID,
                       "There is no vector column in the table: one is a fixed-size list of numbers");
    if (count > 1 && !(dim && count_vectors(schema, dim, &found) == 1)) {
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

kith_status kt_snapshot_verify_file(const struct kt_snapshot *snapshot, const struct kt_stored_file *stored,
                                    kith_error *error)
{
    struct kt_view_file *file = NULL;
    kith_status status = kt_view_open(snapshot->io, stored->name, &stored->seal, &file, error);
    if (!status) status = kt_view_verify(file, error);
    kt_view_close(file);
    return status;
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
            kith_status status = kt_snapshot_verify_file(snapshot, stored, error);
            if (status) return status;
            ++*files;
        }
    }
    return KITH_OK;
}
