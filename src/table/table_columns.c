/* Changing a table's columns: added, dropped, renamed, of another type.
 *
 * A column that goes, or has another name, changes the schema alone: files know columns by their ids, and one
 * that no schema names is not read, until folding leaves it out. A column that comes is written for each
 * fragment into a file beside the others, with the same record batches; so adding one never rewrites vectors.
 * Deleted rows get values too: a place is a place. Rows inside the log are written again.
 *
 * It is one commit, which rests on the columns and fragments being those that were read.
 */
#include "table/table_private.h"

/* One file being written. */
struct made_file {
    struct kt_sink *sink;
    struct kt_ipc_writer *writer;
    struct kt_column_group group; /* owns its fields */
};

struct columns_change {
    struct kt_table *table;
    struct kt_snapshot *base;
    const struct kt_columns *columns;
    struct kt_schema *made; /* the columns that are written, in order */
    struct kt_txn *txn;
    json_t *schema_json;
    struct kt_fragment *fragments; /* of the base, with their new files */
    uint32_t fragment_count;
};

/* ---- the files of one fragment */

static void file_abandon(struct made_file *file)
{
    kt_ipc_abandon(file->writer);
    kt_sink_abandon(file->sink);
    kt_free(file->group.fields);
    *file = (struct made_file){ 0 };
}

static kith_status file_open(struct columns_change *change, const uint32_t *columns, uint32_t count,
                             uint32_t block_bytes, struct made_file *file, kith_error *error)
{
    file->group.fields = kt_alloc_array(count, sizeof *file->group.fields);
    if (!file->group.fields) return kt_fail_memory(error, count * sizeof *file->group.fields);
    file->group.field_count = count;
    for (uint32_t i = 0; i < count; i++) file->group.fields[i] = change->made->fields[columns[i]].id;
    kith_status status =
        kt_txn_create(change->txn, "data", "arrow", block_bytes, &file->sink, file->group.file.name, error);
    if (!status)
        status = kt_ipc_begin(file->sink, KT_IPC_FILE, change->made, columns, count, &file->writer, error);
    return status;
}

/* Vectors have a file each, other columns share one: as table_fragments.c has it. */
static kith_status files_open(struct columns_change *change, struct made_file *files, uint32_t *count,
                              kith_error *error)
{
    const struct kt_schema *made = change->made;
    uint32_t *others = kt_alloc_array(made->count, sizeof *others), other_count = 0;
    kith_status status = others ? KITH_OK : kt_fail_memory(error, made->count * sizeof *others);
    for (uint32_t i = 0; i < made->count && !status; i++) {
        if (kt_field_is_vector(&made->fields[i]))
            status = file_open(change, &i, 1, KT_BLOCK_VECTORS, &files[(*count)++], error);
        else
            others[other_count++] = i;
    }
    if (!status && other_count)
        status = file_open(change, others, other_count, KT_BLOCK_COLUMNS, &files[(*count)++], error);
    kt_free(others);
    return status;
}

/* Adds to what the log says of a record batch: {"rows":n,"columns":[..]}. */
static bool add_stats(json_t *batches, uint32_t number, struct kt_batch *batch)
{
    json_t *more = kt_batches_stats(&batch, 1);
    json_t *columns = json_object_get(json_array_get(batches, number), "columns");
    bool fine = more && columns && !json_array_extend(columns, json_object_get(more, "columns"));
    json_decref(more);
    return fine;
}

static kith_status make_batch(const struct columns_change *change, uint32_t number, uint32_t batch,
                              struct kt_batch **out, kith_error *error)
{
    return change->columns->make(change->columns->context, change->base, number, batch, change->made, out,
                                 error);
}

static kith_status write_batches(struct columns_change *change, uint32_t number, struct made_file *files,
                                 uint32_t file_count, struct kt_fragment *fragment, kith_error *error)
{
    const struct kt_segment *segment = change->base->segments[number];
    kith_status status = KITH_OK;
    for (uint32_t b = 0; b < segment->batch_count && !status; b++) {
        struct kt_batch *batch = NULL;
        status = make_batch(change, number, b, &batch, error);
        for (uint32_t f = 0; f < file_count && !status; f++)
            status = kt_ipc_write(files[f].writer, batch, error);
        if (!status && !add_stats(json_object_get(fragment->stats, "batches"), b, batch))
            status = kt_fail_memory(error, 1024);
        kt_batch_release(batch);
    }
    return status;
}

static kith_status files_finish(struct made_file *files, uint32_t count, struct kt_fragment *fragment,
                                kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint32_t f = 0; f < count && !status; f++) {
        status = kt_ipc_end(files[f].writer, error);
        files[f].writer = NULL;
        if (!status) {
            status = kt_sink_finish(files[f].sink, &files[f].group.file.seal, error);
            files[f].sink = NULL;
        }
        if (status) break;
        fragment->groups[fragment->group_count++] = files[f].group;
        files[f].group.fields = NULL; /* the fragment's now */
    }
    return status;
}

/* The groups of the base stay, those of the new columns come behind. */
static kith_status widen(struct columns_change *change, uint32_t number, struct kt_fragment *fragment,
                         kith_error *error)
{
    const struct kt_fragment *old = &change->base->state->fragments[number];
    uint32_t room = old->group_count + change->made->count + 1, count = 0;
    struct made_file *files = kt_alloc_zero(change->made->count + 1, sizeof *files);
    fragment->groups = kt_alloc_zero(room, sizeof *fragment->groups);
    fragment->stats = json_deep_copy(old->stats);
    if (!files || !fragment->groups || !fragment->stats) {
        kt_free(files);
        return kt_fail_memory(error, room * sizeof *fragment->groups);
    }
    kith_status status = KITH_OK;
    for (uint32_t g = 0; g < old->group_count && !status; g++) {
        struct kt_column_group *group = &fragment->groups[g];
        *group = old->groups[g];
        group->fields = kt_alloc_array(group->field_count, sizeof *group->fields);
        if (!group->fields) status = kt_fail_memory(error, group->field_count * sizeof *group->fields);
        if (status) break;
        memcpy(group->fields, old->groups[g].fields, group->field_count * sizeof *group->fields);
        fragment->group_count++;
    }
    if (!status) status = files_open(change, files, &count, error);
    if (!status) status = write_batches(change, number, files, count, fragment, error);
    if (!status) status = files_finish(files, count, fragment, error);
    for (uint32_t f = 0; f < count; f++) file_abandon(&files[f]);
    kt_free(files);
    return status;
}

/* ---- rows inside the log */

/* All columns of the new schema, old ones lent and new ones made. */
static kith_status whole_batch(struct columns_change *change, uint32_t number, struct kt_batch **out,
                               kith_error *error)
{
    struct kt_schema *schema = change->columns->schema;
    struct kt_segment *segment = change->base->segments[number];
    struct kt_batch *made = NULL, *old = NULL;
    struct kt_batch **parts = kt_alloc_zero(schema->count, sizeof(struct kt_batch *));
    uint32_t *places = kt_alloc_zero(schema->count, sizeof *places);
    kith_status status = parts && places ? KITH_OK : kt_fail_memory(error, schema->count * 8);
    if (!status) status = make_batch(change, number, 0, &made, error);
    if (!status) status = kt_segment_lend(segment, 0, change->base->schema, NULL, NULL, &old, error);
    for (uint32_t c = 0; c < schema->count && !status; c++) {
        const struct kt_schema *sides[2] = { change->base->schema, change->made };
        for (int side = 0; side < 2; side++)
            for (uint32_t i = 0; i < sides[side]->count; i++)
                if (sides[side]->fields[i].id == schema->fields[c].id) {
                    parts[c] = side ? made : old;
                    places[c] = i;
                }
    }
    if (!status) status = kt_batch_combine(schema, old->rows, parts, places, out, error);
    kt_batch_release(made);
    kt_batch_release(old);
    kt_free(parts);
    kt_free(places);
    return status;
}

static kith_status widen_inline(struct columns_change *change, uint32_t number, struct kt_fragment *fragment,
                                kith_error *error)
{
    struct kt_fragments fragments = { .txn = change->txn, .schema = change->columns->schema };
    struct kt_batch *batch = NULL;
    kith_status status = whole_batch(change, number, &batch, error);
    if (!status) status = kt_fragments_add(&fragments, batch, error);
    if (!status) status = kt_fragments_end(&fragments, true, error);
    if (!status && fragments.done_count != 1)
        status = kt_fail(error, KITH_UNSUPPORTED, "rows of the log grew too large for one fragment");
    if (!status) {
        *fragment = fragments.done[0];
        fragments.done_count = 0; /* it is ours now */
    }
    kt_fragments_release(&fragments);
    kt_batch_release(batch);
    return status;
}

static kith_status widen_all(struct columns_change *change, kith_error *error)
{
    const struct kt_state *state = change->base->state;
    kith_status status = KITH_OK;
    change->fragments = kt_alloc_zero(state->fragment_count + (size_t)1, sizeof *change->fragments);
    if (!change->fragments) return kt_fail_memory(error, state->fragment_count * sizeof *change->fragments);
    for (uint32_t i = 0; i < state->fragment_count && change->made->count && !status; i++) {
        const struct kt_fragment *old = &state->fragments[i];
        struct kt_fragment *fragment = &change->fragments[change->fragment_count++];
        status =
            old->inline_rows ? widen_inline(change, i, fragment, error) : widen(change, i, fragment, error);
        fragment->first_row = old->first_row;
        fragment->span = old->span;
        fragment->rows = old->rows;
        fragment->stored = old->stored ? kt_bytes_share(old->stored) : NULL;
        fragment->holes = old->holes ? kt_bytes_share(old->holes) : NULL;
    }
    return status;
}

/* ---- the commit */

static bool same_bytes(const struct kt_bytes *a, const struct kt_bytes *b)
{
    if (a == b) return true;
    return a && b && a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

static bool same_fragments(const struct kt_state *a, const struct kt_state *b)
{
    if (a->fragment_count != b->fragment_count) return false;
    for (uint32_t i = 0; i < a->fragment_count; i++) {
        const struct kt_fragment *x = &a->fragments[i], *y = &b->fragments[i];
        if (x->first_row != y->first_row || x->rows != y->rows || x->group_count != y->group_count ||
            !same_bytes(x->inline_rows, y->inline_rows))
            return false;
        for (uint32_t g = 0; g < x->group_count; g++)
            if (strcmp(x->groups[g].file.name, y->groups[g].file.name) != 0) return false;
    }
    return true;
}

static bool keeps_field(const struct kt_schema *schema, const struct kt_piece *piece)
{
    for (uint32_t i = 0; i < schema->count; i++)
        if (kt_piece_covers_field(piece, schema->fields[i].id)) return true;
    return false;
}

static kith_status set_config(struct kt_txn *txn, const char *key, json_t *value, kith_error *error)
{
    kith_status status = value ? kt_txn_set_config(txn, key, value, error) : kt_fail_memory(error, 64);
    json_decref(value);
    return status;
}

static kith_status prepare(void *context, const struct kt_state *state, struct kt_txn *txn, kith_error *error)
{
    const struct columns_change *change = context;
    const struct kt_state *base = change->base->state;
    const struct kt_columns *columns = change->columns;
    char news[KT_NEWS];
    if (!json_equal(state->schema, base->schema) || (change->made->count && !same_fragments(state, base)))
        return kt_fail(error, KITH_CONFLICT, "table '%s' was changed (%s) during %s", change->table->name,
                       kt_state_news(state, base, news), columns->operation);
    kith_status status = kt_txn_set_schema(txn, change->schema_json, error);
    for (uint32_t i = 0; i < change->fragment_count && !status; i++)
        status = kt_txn_widen_fragment(txn, &change->fragments[i], error);
    for (uint32_t i = 0; i < state->piece_count && !status; i++)
        if (!keeps_field(columns->schema, &state->pieces[i]))
            status = kt_txn_remove_piece(txn, state->pieces[i].id, error);
    if (!status) status = set_config(txn, "next_field", json_integer(columns->next_field), error);
    if (!status && columns->key) status = set_config(txn, "key", json_string(columns->key), error);
    return status;
}

static kith_status made_schema(struct columns_change *change, kith_error *error)
{
    const struct kt_columns *columns = change->columns;
    struct kt_field *fields = kt_alloc_array(columns->made_count + (size_t)1, sizeof *fields);
    if (!fields) return kt_fail_memory(error, columns->made_count * sizeof *fields);
    for (uint32_t i = 0; i < columns->made_count; i++) fields[i] = columns->schema->fields[columns->made[i]];
    kith_status status = kt_schema_new(fields, columns->made_count, NULL, &change->made, error);
    kt_free(fields);
    return status;
}

int32_t kt_snapshot_next_field(const struct kt_snapshot *snapshot)
{
    const json_t *kept = json_object_get(snapshot->state->config, "next_field");
    int32_t next = json_is_integer(kept) ? (int32_t)json_integer_value(kept) : 0;
    for (uint32_t i = 0; i < snapshot->schema->count; i++)
        next = kt_field_next_id(&snapshot->schema->fields[i], next);
    return next;
}

kith_status kt_table_set_columns(struct kt_table *table, struct kt_snapshot *base,
                                 const struct kt_columns *columns, uint64_t *version, kith_error *error)
{
    struct kt_state *state = NULL;
    struct columns_change change = { .table = table, .base = base, .columns = columns };
    change.schema_json = kt_schema_to_json(columns->schema);
    kith_status status = change.schema_json ? made_schema(&change, error) : kt_fail_memory(error, 1024);
    if (!status) status = kt_txn_begin(table->home->store, columns->operation, &change.txn, error);
    if (!status) status = widen_all(&change, error);
    if (!status) {
        status = kt_txn_commit(change.txn, prepare, &change, &state, error);
        change.txn = NULL;
    }
    kt_txn_abandon(change.txn);
    for (uint32_t i = 0; i < change.fragment_count; i++) kt_fragment_free(&change.fragments[i]);
    kt_free(change.fragments);
    kt_schema_release(change.made);
    json_decref(change.schema_json);
    if (status) return status;
    *version = state->version;
    kt_table_upkeep(table, state, base, NULL);
    kt_state_release(state);
    return KITH_OK;
}
