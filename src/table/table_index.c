/* Building an index over a table, and removing one.
 *
 * A build reads one snapshot and takes as long as it takes; rows added meanwhile are simply not covered, and
 * are scanned exactly beside the index until a later build. Its one commit is maintenance: the table shows
 * the same rows before and after. It relies on the rows it read still being there, so a table that was
 * overwritten meanwhile makes it a conflict.
 */
#include "table/table_private.h"

struct indexing {
    const char *table;
    const json_t *schema; /* the build's; another one now makes it a conflict */
    struct kt_piece piece;
    bool keep;
    uint64_t rows; /* that the piece covers */
};

static const struct kt_table_index *index_named(const struct kt_snapshot *snapshot, const char *name)
{
    for (uint32_t i = 0; i < snapshot->index_count; i++)
        if (strcmp(snapshot->indexes[i].name, name) == 0) return &snapshot->indexes[i];
    return NULL;
}

/* The row ids of a snapshot as intervals. */
static kith_status cover_all(const struct kt_snapshot *snapshot, struct kt_piece *piece, kith_error *error)
{
    const struct kt_state *state = snapshot->state;
    piece->covers = kt_alloc_array(state->fragment_count, sizeof *piece->covers);
    if (!piece->covers) return kt_fail_memory(error, state->fragment_count * sizeof *piece->covers);
    for (uint32_t i = 0; i < state->fragment_count; i++) {
        struct kt_rows rows = { state->fragments[i].first_row,
                                state->fragments[i].first_row + state->fragments[i].rows };
        if (piece->cover_count && piece->covers[piece->cover_count - 1].end == rows.begin)
            piece->covers[piece->cover_count - 1].end = rows.end;
        else
            piece->covers[piece->cover_count++] = rows;
    }
    return KITH_OK;
}

/* How many of the piece's rows the state still has. */
static uint64_t rows_covered(const struct kt_state *state, const struct kt_piece *piece)
{
    uint64_t rows = 0;
    for (uint32_t i = 0, c = 0; i < state->fragment_count && c < piece->cover_count; i++) {
        const struct kt_fragment *fragment = &state->fragments[i];
        while (c < piece->cover_count && piece->covers[c].end <= fragment->first_row) c++;
        if (c < piece->cover_count && piece->covers[c].begin <= fragment->first_row) rows += fragment->rows;
    }
    return rows;
}

static kith_status prepare(void *context, const struct kt_state *state, struct kt_txn *txn, kith_error *error)
{
    const struct indexing *indexing = context;
    kt_txn_maintenance(txn);
    if (state->dropped) return kt_fail(error, KITH_NOT_FOUND, "Table '%s' was dropped", indexing->table);
    if (!json_equal(state->schema, indexing->schema) ||
        rows_covered(state, &indexing->piece) < indexing->rows)
        return kt_fail(error, KITH_CONFLICT,
                       "table '%s' was overwritten while index \"%s\" was being built; build it again",
                       indexing->table, indexing->piece.index);
    for (uint32_t i = 0; i < state->piece_count; i++) {
        if (strcmp(state->pieces[i].index, indexing->piece.index) != 0) continue;
        if (indexing->keep)
            return kt_fail(error, KITH_EXISTS, "index \"%s\" already exists", indexing->piece.index);
        kith_status status = kt_txn_remove_piece(txn, state->pieces[i].id, error);
        if (status) return status;
    }
    return kt_txn_add_piece(txn, &indexing->piece, error);
}

/* Adds what the snapshot needs to know of the piece to what the index said of itself. */
static kith_status describe(json_t *meta, const struct kt_field *field, const struct kt_index_plan *plan,
                            int64_t now_us, kith_error *error)
{
    bool failed = json_object_set_new(meta, "field", json_integer(field->id)) ||
                  json_object_set_new(meta, "type", json_string(kith_index_type_name(plan->type))) ||
                  json_object_set_new(meta, "metric", json_string(kith_metric_name(plan->metric))) ||
                  json_object_set_new(meta, "created_us", json_integer(now_us));
    return failed ? kt_fail_memory(error, 256) : KITH_OK;
}

static kith_status build(struct kt_table *table, const struct kt_snapshot *snapshot, int column,
                         const struct kt_index_plan *plan, struct kt_work *work, struct indexing *indexing,
                         kith_error *error)
{
    struct kt_txn *txn = NULL;
    struct kt_sink *sink = NULL;
    struct kt_piece *piece = &indexing->piece;
    uint8_t id[16];

    kith_status status = cover_all(snapshot, piece, error);
    if (!status) status = kt_txn_begin(table->home->store, "index", &txn, error);
    if (!status)
        status = kt_txn_create(txn, "index", "kix", KT_BLOCK_VECTORS, &sink, piece->file.name, error);
    if (!status)
        status = kt_index_ops(plan->type)
                     ->build(plan, &snapshot->vectors[column], work, sink, &piece->meta, error);
    if (!status) {
        status = kt_sink_finish(sink, &piece->file.seal, error);
        sink = NULL;
    }
    if (!status)
        status =
            describe(piece->meta, &snapshot->schema->fields[column], plan, kt_io_now_us(snapshot->io), error);
    if (!status) status = kt_io_entropy(snapshot->io, id, sizeof id, error);
    if (!status) {
        kt_hex(id, sizeof id, piece->id);
        indexing->rows = rows_covered(snapshot->state, piece);
        indexing->schema = snapshot->state->schema;
        status = kt_txn_commit(txn, prepare, indexing, NULL, error);
        txn = NULL;
    }
    kt_sink_abandon(sink);
    kt_txn_abandon(txn);
    return status;
}

/* The plan that the options ask for, its metric settled. */
static struct kt_index_plan plan_of(const kith_index *options, const struct kt_snapshot *snapshot, int column)
{
    struct kt_index_plan plan = {
        .type = options->type,
        .metric = options->metric ? options->metric : kt_snapshot_metric(snapshot, column),
        .num_partitions = options->num_partitions,
        .num_sub_vectors = options->num_sub_vectors,
        .num_bits = options->num_bits,
        .max_iterations = options->max_iterations,
        .sample_rate = options->sample_rate,
        .seed = options->seed,
    };
    return plan;
}

kith_status kt_table_create_index(struct kt_table *table, const kith_index *options, kith_error *error)
{
    kith_index defaults = KITH_INIT(kith_index);
    struct kt_snapshot *snapshot = NULL;
    struct indexing indexing = { .table = table->name };
    struct kt_buffer name = { 0 };
    int column;
    if (!options) options = &defaults;

    kith_status status = kt_table_writable(table, &snapshot, error);
    if (status) goto out;
    status = kt_snapshot_vector_column(snapshot, options->column, &column, error);
    if (status) goto out;
    if (options->name && !options->name[0])
        status = kt_fail(error, KITH_INVALID, "an index needs a name that is not empty");
    else if (!kt_buffer_text(&name, options->name ? "%s" : "%s_idx",
                             options->name ? options->name : snapshot->schema->fields[column].name))
        status = kt_fail_memory(error, 64);
    if (status) goto out;
    if ((unsigned)options->metric > KITH_HAMMING) {
        status = kt_fail(error, KITH_INVALID, "%d is not a metric", (int)options->metric);
        goto out;
    }
    indexing.keep = options->keep;
    indexing.piece.index = (char *)name.data;
    if (options->keep && index_named(snapshot, indexing.piece.index)) {
        status = kt_fail(error, KITH_EXISTS, "index \"%s\" already exists on table '%s'",
                         indexing.piece.index, table->name);
        goto out;
    }
    struct kt_index_plan plan = plan_of(options, snapshot, column);
    const struct kt_index_ops *ops = kt_index_ops(plan.type);
    if (!ops) {
        status = kt_fail(error, KITH_UNSUPPORTED,
                         "this version of Kith does not build %s indexes; it builds IVF_PQ and IVF_FLAT",
                         kith_index_type_name(plan.type));
        goto out;
    }
    plan.type = ops->type;
    const struct kt_vectors *vectors = &snapshot->vectors[column];
    status = ops->plan(&plan, vectors->dim, vectors->element, snapshot->state->rows, error);
    if (status) goto out;
    struct kt_work work = { .progress = options->progress,
                            .user = options->progress_user,
                            .threads = options->threads };
    work.threads = kt_work_threads(&work); /* settled once: scratch is made for each worker */
    status = build(table, snapshot, column, &plan, &work, &indexing, error);
out:
    json_decref(indexing.piece.meta);
    kt_free(indexing.piece.covers);
    kt_buffer_release(&name);
    kt_snapshot_release(snapshot);
    return status;
}

struct dropping {
    const char *table, *name;
};

static kith_status prepare_drop(void *context, const struct kt_state *state, struct kt_txn *txn,
                                kith_error *error)
{
    const struct dropping *dropping = context;
    bool found = false;
    kt_txn_maintenance(txn);
    for (uint32_t i = 0; i < state->piece_count; i++) {
        if (strcmp(state->pieces[i].index, dropping->name) != 0) continue;
        found = true;
        kith_status status = kt_txn_remove_piece(txn, state->pieces[i].id, error);
        if (status) return status;
    }
    if (found) return KITH_OK;
    return kt_fail(error, KITH_NOT_FOUND, "table '%s' has no index \"%s\"", dropping->table, dropping->name);
}

kith_status kt_table_drop_index(struct kt_table *table, const char *name, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    struct kt_txn *txn = NULL;
    struct dropping dropping = { table->name, name };
    kith_status status = kt_table_writable(table, &snapshot, error);
    kt_snapshot_release(snapshot);
    if (!status) status = kt_txn_begin(table->home->store, "drop_index", &txn, error);
    if (!status) status = kt_txn_commit(txn, prepare_drop, &dropping, NULL, error);
    return status;
}
