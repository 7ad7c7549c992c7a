/* Building an index over a table, adding a piece to one, and removing one.
 *
 * A build reads one snapshot and takes as long as it takes; rows added meanwhile are simply not covered, and
 * are scanned exactly beside the index until a later build. Its one commit is maintenance: the table shows
 * the same rows before and after. It relies on some of the rows it read still being there, and on the columns
 * being the same; else it is a conflict.
 *
 * An index that somebody asked for takes the place of the one of its name, and of the automatic one of its
 * column, whatever that is called. An automatic one (table_auto.c) takes the place of none. Who may go is
 * asked before the build, to save it, and again in the commit, where it counts; where other rows or columns
 * are there by then, it is built again over those. A piece more stands beside
 * the others: all it asks is that they are there, and that nobody was first. An index that is built anew, as
 * its table has become another, takes the place of its own pieces, which must be those that it had.
 */
#include "table/table_private.h"

#include <math.h>
#include <stdio.h>

enum { LEAST_MEMORY_ROW = 8, LEAST_MEMORY = 4 << 20 }; /* bytes of a build: its list and place; buffers */
enum { RETRY_SECONDS = 30, LEAST_ATTEMPTS = 3 };       /* of one that others' changes overtake */

enum purpose {
    ASKED_FOR,
    AUTOMATIC,
    ONE_MORE, /* a piece over rows that the index does not cover */
    MERGED,   /* some files of an index as one */
    ANEW      /* the whole index once more, with the parameters it has */
};

static const char *const DOING[] = { [ASKED_FOR] = "it was being built",
                                     [AUTOMATIC] = "it was being built",
                                     [ONE_MORE] = "rows were being added to it",
                                     [MERGED] = "files of it were being merged",
                                     [ANEW] = "it was being built anew" };

struct indexing {
    struct kt_table *table;
    const kith_index *options;
    enum purpose purpose;
    struct kt_snapshot *snapshot;       /* what is read */
    const struct kt_table_index *index; /* from ONE_MORE on: as the snapshot has it */
    uint32_t first_part, part_count;    /* MERGED: these */
    int column;
    struct kt_path path;       /* of an index over values: the field of it */
    struct kt_index_plan plan; /* of an index over values: its type alone */
    struct kt_samples queries; /* none: the calibration asks for rows */
    struct kt_piece piece;     /* its covers are borrowed from */
    struct kt_cover cover;
};

static const struct kt_field *field_of(const struct indexing *indexing)
{
    return &indexing->snapshot->schema->fields[indexing->column];
}

static const struct kt_vectors *vectors_of(const struct indexing *indexing)
{
    return &indexing->snapshot->vectors[indexing->column];
}

bool kt_piece_covers_field(const struct kt_piece *piece, int32_t field)
{
    const json_t *id = json_object_get(piece->meta, "field");
    return json_is_integer(id) && json_integer_value(id) == field;
}

/* ---- what stands in the way */

static bool is_merged(const struct indexing *indexing, const struct kt_piece *piece)
{
    for (uint32_t i = 0; i < indexing->part_count; i++)
        if (strcmp(indexing->index->parts[indexing->first_part + i]->id, piece->id) == 0) return true;
    return false;
}

enum meeting { PASSES, REPLACES, REFUSED };

static enum meeting meet(const struct indexing *indexing, const struct kt_piece *other)
{
    bool same_name = strcmp(other->index, indexing->piece.index) == 0;
    bool same_column = kt_piece_covers_field(other, field_of(indexing)->id);
    if ((!same_name && !same_column) || indexing->purpose == ONE_MORE) return PASSES;
    if (indexing->purpose == ANEW) return same_name ? REPLACES : PASSES;
    if (indexing->purpose == MERGED) return is_merged(indexing, other) ? REPLACES : PASSES;
    if (indexing->purpose == AUTOMATIC) return REFUSED;
    if (json_is_true(json_object_get(other->meta, "automatic"))) return REPLACES;
    if (!same_name) return PASSES;
    return indexing->options->keep ? REFUSED : REPLACES;
}

/* Removes by `txn`, where there is one, the pieces whose place this one takes. */
static kith_status make_place(const struct indexing *indexing, const struct kt_state *state,
                              struct kt_txn *txn, kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint32_t i = 0; i < state->piece_count && !status; i++) {
        enum meeting meeting = meet(indexing, &state->pieces[i]);
        if (meeting == REFUSED)
            return kt_fail(error, KITH_EXISTS, "index \"%s\" already exists on table '%s'",
                           state->pieces[i].index, indexing->table->name);
        if (meeting == REPLACES && txn) status = kt_txn_remove_piece(txn, state->pieces[i].id, error);
    }
    return status;
}

static bool same_path(const struct kt_piece *a, const struct kt_piece *b)
{
    const json_t *of_a = json_object_get(a->meta, "path"), *of_b = json_object_get(b->meta, "path");
    return (!of_a && !of_b) || json_equal(of_a, of_b);
}

/* Whether the pieces that this one is added to are still those that it was built beside. */
static bool has_place_beside(const struct indexing *indexing, const struct kt_state *state)
{
    const struct kt_piece *piece = &indexing->piece;
    bool found = false;
    for (uint32_t i = 0; i < state->piece_count; i++) {
        const struct kt_piece *other = &state->pieces[i];
        if (strcmp(other->index, piece->index) != 0) continue;
        found = true;
        if (kt_rows_common(other->covers, other->cover_count, piece->covers, piece->cover_count) ||
            !kt_piece_covers_field(other, field_of(indexing)->id) || !same_path(other, piece) ||
            !json_equal(json_object_get(other->meta, "type"), json_object_get(piece->meta, "type")))
            return false;
    }
    return found;
}

/* Whether the index still has the pieces that it had when it was read, and no others. */
static bool has_own_pieces(const struct indexing *indexing, const struct kt_state *state)
{
    const struct kt_state *read = indexing->snapshot->state;
    uint32_t now = 0, then = 0, same = 0;
    for (uint32_t i = 0; i < state->piece_count; i++)
        now += strcmp(state->pieces[i].index, indexing->piece.index) == 0;
    for (uint32_t i = 0; i < read->piece_count; i++) {
        if (strcmp(read->pieces[i].index, indexing->piece.index) != 0) continue;
        then++;
        for (uint32_t j = 0; j < state->piece_count; j++)
            same += strcmp(state->pieces[j].id, read->pieces[i].id) == 0;
    }
    return then && now == then && same == then;
}

/* Whether all files that were merged are still in the index. */
static bool has_merged(const struct indexing *indexing, const struct kt_state *state)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < state->piece_count; i++) found += is_merged(indexing, &state->pieces[i]);
    return found == indexing->part_count;
}

/* Whether the state has rows that the piece covers: an overwritten table has none, nor has one that lost them
 * all to deletions; a piece over nothing would be of no use to either. */
static kith_status has_rows(const struct indexing *indexing, const struct kt_state *state, bool *out,
                            kith_error *error)
{
    struct kt_cover all = { 0 };
    const struct kt_cover *cover = &indexing->cover;
    kith_status status = kt_cover_state(state, &all, error);
    *out = !cover->count || kt_rows_common(all.rows, all.count, cover->rows, cover->count);
    kt_cover_release(&all);
    return status;
}

/* ---- building */

static kith_status prepare(void *context, const struct kt_state *state, struct kt_txn *txn, kith_error *error)
{
    const struct indexing *indexing = context;
    const char *table = indexing->table->name, *name = indexing->piece.index;
    char news[KT_NEWS];
    bool there;
    kt_txn_maintenance(txn);
    kt_state_news(state, indexing->snapshot->state, news);
    if (state->dropped) return kt_fail(error, KITH_NOT_FOUND, "Table '%s' was dropped", table);
    kith_status status = has_rows(indexing, state, &there, error);
    if (status) return status;
    if (!json_equal(state->schema, indexing->snapshot->state->schema) || !there)
        return kt_fail(
            error, KITH_CONFLICT,
            "the rows or columns of table '%s' were changed (%s) while index \"%s\" was being built", table,
            news, name);
    bool exactly = indexing->index && indexing->index->ops && indexing->index->ops->fold_share;
    bool leaves_dead = indexing->purpose == MERGED || kt_is_scalar_index(indexing->plan.type);
    if ((exactly && !has_own_pieces(indexing, state)) ||
        (indexing->purpose == ONE_MORE && !has_place_beside(indexing, state)) ||
        (indexing->purpose == MERGED && !has_merged(indexing, state)) ||
        (leaves_dead &&
         kt_state_restored_since(state, indexing->snapshot->state->commit)) || /* they may live */
        (indexing->purpose == ANEW && !has_own_pieces(indexing, state)))
        return kt_fail(error, KITH_CONFLICT, "index \"%s\" of table '%s' was changed (%s) while %s", name,
                       table, news, DOING[indexing->purpose]);
    status = make_place(indexing, state, txn, error);
    return status ? status : kt_txn_add_piece(txn, &indexing->piece, error);
}

/* What the plan was asked for, to ask for it again. */
static json_t *asked_json(const struct indexing *indexing)
{
    const kith_index *options = indexing->options;
    if (indexing->purpose == ANEW) return json_incref(json_object_get(indexing->index->piece->meta, "asked"));
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "m", (json_int_t)options->m, "ef_construction",
                     (json_int_t)options->ef_construction, "num_partitions",
                     (json_int_t)options->num_partitions, "num_sub_vectors",
                     (json_int_t)options->num_sub_vectors, "num_bits", (json_int_t)options->num_bits,
                     "max_iterations", (json_int_t)options->max_iterations, "sample_rate",
                     (json_int_t)options->sample_rate, "seed", (json_int_t)(options->seed & INT64_MAX));
}

/* A merged file is to the table what the first of its files was; counts are its own. (One by one:
 * json_object_update_missing() says nothing of memory that it did not get.) */
static kith_status keep_meta(const struct indexing *indexing, json_t *meta, kith_error *error)
{
    json_t *first = indexing->index->parts[indexing->first_part]->meta, *value;
    const char *key;
    json_object_foreach(first, key, value)
    {
        if (!json_object_get(meta, key) && json_object_set(meta, key, value))
            return kt_fail_memory(error, 256);
    }
    return KITH_OK;
}

/* Adds what the snapshot needs to know of the piece to what the index said of itself. */
static kith_status describe(const struct indexing *indexing, json_t *meta, kith_error *error)
{
    const struct kt_index_plan *plan = &indexing->plan;
    int64_t now_us = kt_io_now_us(indexing->snapshot->io);
    bool has_metric = !kt_is_scalar_index(plan->type), is_run = has_metric && indexing->purpose == ONE_MORE;
    bool automatic = indexing->purpose == AUTOMATIC;
    bool is_base = has_metric && !is_run;
    uint64_t trained = indexing->snapshot->state->next_row;
    if (indexing->purpose == MERGED) return keep_meta(indexing, meta, error);
    if (indexing->index) automatic = json_is_true(json_object_get(indexing->index->piece->meta, "automatic"));
    bool failed =
        json_object_set_new(meta, "field", json_integer(field_of(indexing)->id)) ||
        json_object_set_new(meta, "type", json_string(kith_index_type_name(plan->type))) ||
        (has_metric && json_object_set_new(meta, "metric", json_string(kith_metric_name(plan->metric)))) ||
        json_object_set_new(meta, "created_us", json_integer(now_us)) ||
        (indexing->path.count &&
         json_object_set_new(
             meta, "path",
             kt_path_json(indexing->snapshot->schema, (uint32_t)indexing->column, &indexing->path))) ||
        (is_run && json_object_set_new(meta, "run", json_true())) ||
        (is_run && json_object_set(meta, "tree", json_object_get(indexing->index->piece->meta, "tree"))) ||
        (is_base && json_object_set_new(meta, "tree", json_string(indexing->piece.id))) ||
        (is_base && json_object_set_new(meta, "trained_to", json_integer((json_int_t)trained))) ||
        (is_base && json_object_set_new(meta, "trained_rows",
                                        json_integer((json_int_t)indexing->snapshot->state->rows))) ||
        (is_base && json_object_set_new(meta, "asked", asked_json(indexing))) ||
        (automatic && json_object_set_new(meta, "automatic", json_true()));
    return failed ? kt_fail_memory(error, 256) : KITH_OK;
}

/* Learns what a wanted recall takes on the index that was just written. */
static kith_status calibrate(struct indexing *indexing, struct kt_work *work, kith_error *error)
{
    const struct kt_index_ops *ops = kt_index_ops(indexing->plan.type);
    struct kt_piece *piece = &indexing->piece;
    struct kt_view_file *file = NULL;
    struct kt_index *index = NULL;
    json_t *calibration = NULL;
    kith_status status =
        kt_view_open(indexing->snapshot->io, piece->file.name, &piece->file.seal, &file, error);
    if (!status) status = ops->open(&file, 1, NULL, &index, error);
    if (status) return status;
    status = kt_snapshot_live(indexing->snapshot, &indexing->queries.live, error);
    if (!status)
        status = ops->calibrate(index, vectors_of(indexing), &indexing->queries, indexing->plan.seed + 5,
                                work, &calibration, error);
    ops->close(index);
    if (!status && calibration && json_object_set_new(piece->meta, "calibration", calibration))
        status = kt_fail_memory(error, 4096);
    if (!status && calibration &&
        json_object_set(piece->meta, "fit_as_built", json_object_get(calibration, "fit")))
        json_object_del(piece->meta, "fit_as_built"); /* an index without */
    return status ? status : kt_piece_note_calibrated(indexing->snapshot, piece->meta, error);
}

/* Takes ids off that no fragment has any more, so that what covers are listed does not grow for ever. */
static kith_status leave_ids_out(struct kt_cover *cover, const struct kt_state *state, kith_error *error)
{
    struct kt_cover gone = { 0 }, there = { 0 };
    kith_status status = kt_cover_add(&gone, cover->rows, cover->count, error);
    if (!status) status = kt_cover_state(state, &there, error);
    if (!status) status = kt_cover_subtract(&gone, there.rows, there.count, error);
    if (!status) status = kt_cover_subtract(cover, gone.rows, gone.count, error);
    kt_cover_release(&gone);
    kt_cover_release(&there);
    return status;
}

/* The rows that the piece is to cover. */
static kith_status settle_cover(struct indexing *indexing, kith_error *error)
{
    const struct kt_snapshot *snapshot = indexing->snapshot;
    struct kt_cover *cover = &indexing->cover;
    kith_status status = KITH_OK;
    if (indexing->purpose == ONE_MORE)
        status = kt_table_uncovered(snapshot, indexing->index, cover, error);
    else if (indexing->purpose != MERGED)
        status = kt_cover_state(snapshot->state, cover, error);
    for (uint32_t i = 0; i < indexing->part_count && !status; i++) {
        const struct kt_piece *part = indexing->index->parts[indexing->first_part + i];
        status = kt_cover_add(cover, part->covers, part->cover_count, error);
    }
    if (!status && indexing->purpose == MERGED && kt_is_scalar_index(indexing->plan.type))
        status = leave_ids_out(cover, snapshot->state, error);
    indexing->piece.covers = cover->rows;
    indexing->piece.cover_count = cover->count;
    return status;
}

static kith_status write_run(struct indexing *indexing, struct kt_work *work, struct kt_sink *sink,
                             kith_error *error)
{
    const struct kt_index *open = NULL;
    kith_status status = kt_snapshot_index(indexing->snapshot, indexing->index, &open, error);
    return status ? status
                  : indexing->index->ops->extend(open, vectors_of(indexing), indexing->cover.rows,
                                                 indexing->cover.count, work, sink, &indexing->piece.meta,
                                                 error);
}

static kith_status write_merged(struct indexing *indexing, struct kt_work *work, struct kt_sink *sink,
                                kith_error *error)
{
    const struct kt_index *open = NULL;
    const struct kt_selection *live = NULL;
    kith_status status = kt_snapshot_index(indexing->snapshot, indexing->index, &open, error);
    if (!status) status = kt_snapshot_live(indexing->snapshot, &live, error);
    return status
               ? status
               : indexing->index->ops->merge(open, indexing->first_part, indexing->part_count, live,
                                             vectors_of(indexing), work, sink, &indexing->piece.meta, error);
}

static kith_status write_values(struct indexing *indexing, struct kt_work *work, struct kt_sink *sink,
                                kith_error *error)
{
    uint64_t held = 0;
    kith_status status =
        kt_table_write_scalar(indexing->snapshot, (uint32_t)indexing->column, &indexing->path,
                              indexing->plan.type, &indexing->cover, work, sink, &held, error);
    if (status) return status;
    indexing->piece.meta = json_pack("{s:I}", "rows", (json_int_t)held);
    return indexing->piece.meta ? KITH_OK : kt_fail_memory(error, 64);
}

static kith_status write_file(struct indexing *indexing, struct kt_work *work, struct kt_sink *sink,
                              kith_error *error)
{
    const struct kt_index_plan *plan = &indexing->plan;
    json_t **meta = &indexing->piece.meta;
    if (kt_is_scalar_index(plan->type)) return write_values(indexing, work, sink, error);
    if (indexing->purpose == MERGED) return write_merged(indexing, work, sink, error);
    if (indexing->purpose == ONE_MORE) return write_run(indexing, work, sink, error);
    return kt_index_ops(plan->type)->build(plan, vectors_of(indexing), work, sink, meta, error);
}

static kith_status build(struct indexing *indexing, struct kt_work *work, kith_error *error)
{
    struct kt_piece *piece = &indexing->piece;
    struct kt_txn *txn = NULL;
    struct kt_sink *sink = NULL;
    uint8_t id[16];

    kith_status status = settle_cover(indexing, error);
    if (!status && indexing->purpose == ONE_MORE && !piece->cover_count)
        return KITH_OK; /* another was first */
    if (!status) status = kt_txn_begin(indexing->table->home->store, "index", &txn, error);
    if (!status)
        status = kt_txn_create(txn, "index", "kix", KT_BLOCK_VECTORS, &sink, piece->file.name, error);
    if (!status) status = write_file(indexing, work, sink, error);
    if (!status) {
        status = kt_sink_finish(sink, &piece->file.seal, error);
        sink = NULL;
    }
    bool encoded =
        indexing->purpose == ONE_MORE || indexing->purpose == MERGED; /* by what was learned before */
    if (!status && !kt_is_scalar_index(indexing->plan.type) && !encoded)
        status = calibrate(indexing, work, error);
    if (!status) status = kt_io_entropy(indexing->snapshot->io, id, sizeof id, error);
    if (!status) {
        kt_hex(id, sizeof id, piece->id);
        status = describe(indexing, piece->meta, error);
    }
    if (!status) {
        status = kt_txn_commit(txn, prepare, indexing, NULL, error);
        txn = NULL;
    }
    kt_sink_abandon(sink);
    kt_txn_abandon(txn);
    return status;
}

/* ---- what the options ask for */

static kith_status settle_name(struct indexing *indexing, kith_error *error)
{
    const kith_index *options = indexing->options;
    struct kt_buffer name = { 0 };
    if (options->name && !options->name[0])
        return kt_fail(error, KITH_INVALID, "an index needs a name that is not empty");
    bool fits = options->name ? kt_buffer_text(&name, "%s", options->name)
                              : kt_path_text(indexing->snapshot->schema, (uint32_t)indexing->column,
                                             &indexing->path, &name) &&
                                    kt_buffer_text(&name, "_idx");
    if (!fits) {
        kt_buffer_release(&name);
        return kt_fail_memory(error, 64);
    }
    indexing->piece.index = (char *)name.data;
    return KITH_OK;
}

static kith_status check_memory(const struct indexing *indexing, kith_error *error)
{
    uint64_t given = indexing->options->max_memory, rows = indexing->snapshot->state->rows;
    uint64_t least = rows * LEAST_MEMORY_ROW + LEAST_MEMORY;
    if (!given || given >= least) return KITH_OK;
    return kt_fail(error, KITH_INVALID,
                   "max_memory is %llu; an index over %llu rows needs at least %llu bytes",
                   (unsigned long long)given, (unsigned long long)rows, (unsigned long long)least);
}

/* The names of all columns, for messages. */
static void column_names(const struct kt_schema *schema, char *to, size_t size)
{
    size_t at = 0;
    to[0] = '\0';
    for (uint32_t i = 0; i < schema->count && at < size; i++)
        at += (size_t)snprintf(to + at, size - at, "%s\"%s\"", i ? ", " : "", schema->fields[i].name);
}

/* The column, and the type of index where the options leave it open: one over values for every column that is
 * no vector. */
static kith_status settle_column(struct indexing *indexing, kith_error *error)
{
    const kith_index *options = indexing->options;
    const struct kt_schema *schema = indexing->snapshot->schema;
    char names[400];
    indexing->plan.type = options->type;
    indexing->column = -1;
    kith_status status = KITH_OK;
    if (indexing->index) {
        indexing->column = indexing->index->column;
        indexing->path = indexing->index->path;
    } else if (options->column) {
        status = kt_path_find(schema, options->column, &indexing->column, &indexing->path, error);
    }
    if (status) return status;
    const struct kt_field *field =
        indexing->column < 0 ? NULL : kt_path_field(schema, (uint32_t)indexing->column, &indexing->path);
    if (options->type == KITH_INDEX_DEFAULT && field && !kt_field_is_vector(field))
        indexing->plan.type = field->type == KT_LIST ? KITH_LABEL_LIST : KITH_BTREE;
    if (!kt_is_scalar_index(indexing->plan.type) && !indexing->path.count)
        return kt_snapshot_vector_column(indexing->snapshot, options->column, 0, &indexing->column, error);
    if (field && !kt_is_scalar_index(indexing->plan.type))
        return kt_fail(error, KITH_INVALID,
                       "a %s index is over a column of vectors, not over a field of a struct",
                       kith_index_type_name(indexing->plan.type));
    if (field) return kt_scalar_check(indexing->plan.type, field, error);
    column_names(schema, names, sizeof names);
    if (!options->column)
        return kt_fail(error, KITH_INVALID, "a %s index needs the name of a column; there are %s",
                       kith_index_type_name(options->type), names);
    return kt_fail(error, KITH_NOT_FOUND, "there is no column \"%s\"; there are %s", options->column, names);
}

/* What is for vectors is not passed over in silence. */
static kith_status check_scalar(const struct indexing *indexing, kith_error *error)
{
    const kith_index *options = indexing->options;
    const struct {
        const char *name;
        bool given;
    } parameters[] = { { "metric", options->metric != KITH_METRIC_DEFAULT },
                       { "num_partitions", options->num_partitions != 0 },
                       { "num_sub_vectors", options->num_sub_vectors != 0 },
                       { "num_bits", options->num_bits != 0 },
                       { "max_iterations", options->max_iterations != 0 },
                       { "sample_rate", options->sample_rate != 0 },
                       { "m", options->m != 0 },
                       { "ef_construction", options->ef_construction != 0 },
                       { "queries", options->queries || options->query_count },
                       { "max_memory", options->max_memory != 0 } };
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        if (parameters[i].given)
            return kt_fail(error, KITH_INVALID, "%s is for indexes over vectors; a %s index has none",
                           parameters[i].name, kith_index_type_name(indexing->plan.type));
    return KITH_OK;
}

/* The plan, its zeros filled. */
static kith_status settle_plan(struct indexing *indexing, kith_error *error)
{
    const kith_index *options = indexing->options;
    const struct kt_vectors *vectors = vectors_of(indexing);
    struct kt_index_plan *plan = &indexing->plan;
    if ((unsigned)options->metric > KITH_HAMMING)
        return kt_fail(error, KITH_INVALID, "%d is not a metric", (int)options->metric);
    bool means_pq = options->type == KITH_INDEX_DEFAULT && options->num_sub_vectors;
    const struct kt_index_ops *ops = kt_index_ops(means_pq ? KITH_IVF_PQ : options->type);
    if (!ops)
        return kt_fail(
            error, KITH_UNSUPPORTED,
            "this version of Kith does not build %s indexes; over vectors it builds IVF_RQ, IVF_PQ, "
            "IVF_SQ, IVF_FLAT and HNSW",
            kith_index_type_name(options->type));
    kith_metric own = kt_snapshot_metric(indexing->snapshot, indexing->column);
    *plan = (struct kt_index_plan){
        .type = ops->type,
        .metric = options->metric ? options->metric : own,
        .num_partitions = options->num_partitions,
        .num_sub_vectors = options->num_sub_vectors,
        .num_bits = options->num_bits,
        .max_iterations = options->max_iterations,
        .sample_rate = options->sample_rate,
        .m = options->m,
        .ef_construction = options->ef_construction,
        .seed = options->seed,
        .max_memory = options->max_memory,
    };
    kith_status status = check_memory(indexing, error);
    if (status) return status;
    return ops->plan(plan, vectors->dim, vectors->element, indexing->snapshot->state->rows, error);
}

static kith_status check_sample(const struct indexing *indexing, size_t at, struct kt_arena *scratch,
                                kith_error *error)
{
    const struct kt_vectors *vectors = vectors_of(indexing);
    const float *numbers = indexing->options->queries + at * vectors->dim;
    struct kt_scan_query scan;
    for (uint32_t i = 0; i < vectors->dim; i++)
        if (!isfinite(numbers[i]))
            return kt_fail(error, KITH_INVALID,
                           "query %zu holds %s at position %u; every number must be finite", at,
                           isnan(numbers[i]) ? "NaN" : "an infinity", (unsigned)i);
    return kt_scan_prepare(vectors, indexing->plan.metric, numbers, KITH_F32, scratch, &scan, error);
}

/* The queries to calibrate on: what a search would refuse is refused before anything is built. */
static kith_status settle_queries(struct indexing *indexing, kith_error *error)
{
    const kith_index *options = indexing->options;
    struct kt_arena scratch = { 0 };
    size_t count = options->query_count, bytes;
    kith_status status = KITH_OK;
    if (!options->queries != !count)
        return kt_fail(error, KITH_INVALID, "query_count is %zu, but %s", count,
                       count ? "queries is NULL" : "there are queries");
    if (__builtin_mul_overflow(count, vectors_of(indexing)->dim * sizeof(float), &bytes))
        return kt_fail(error, KITH_INVALID, "query_count is %zu, more than any memory holds", count);
    for (size_t i = 0; i < count && !status; i++) {
        status = check_sample(indexing, i, &scratch, error);
        kt_arena_clear(&scratch);
    }
    kt_arena_release(&scratch);
    indexing->queries = (struct kt_samples){ .vectors = options->queries, .count = count };
    return status;
}

static uint64_t asked_number(const json_t *asked, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(asked, key));
    return value > 0 ? (uint64_t)value : 0;
}

/* The index that is to have a piece more, or to be built anew: its parameters become the options. */
static kith_status settle_index(struct indexing *indexing, kith_index *options, kith_error *error)
{
    const struct kt_snapshot *snapshot = indexing->snapshot;
    const struct kt_table_index *index = kt_snapshot_find_index(snapshot, options->name);
    indexing->index = index;
    if (!index)
        return kt_fail(error, KITH_NOT_FOUND, "table '%s' has no index \"%s\" any more",
                       indexing->table->name, options->name);
    if (indexing->first_part + indexing->part_count > index->part_count)
        return kt_fail(error, KITH_CONFLICT,
                       "index \"%s\" was changed (another merge, or built anew) while %s", options->name,
                       DOING[indexing->purpose]);
    const json_t *asked = json_object_get(index->piece->meta, "asked");
    options->column = snapshot->schema->fields[index->column].name;
    options->type = index->type;
    options->metric = index->metric;
    options->num_partitions = (uint32_t)asked_number(asked, "num_partitions");
    options->num_sub_vectors = (uint32_t)asked_number(asked, "num_sub_vectors");
    options->num_bits = (uint32_t)asked_number(asked, "num_bits");
    options->max_iterations = (uint32_t)asked_number(asked, "max_iterations");
    options->sample_rate = (uint32_t)asked_number(asked, "sample_rate");
    options->m = (uint32_t)asked_number(asked, "m");
    options->ef_construction = (uint32_t)asked_number(asked, "ef_construction");
    options->seed = asked_number(asked, "seed");
    indexing->options = options;
    return KITH_OK;
}

static kith_status create(struct indexing *indexing, kith_error *error)
{
    kith_index own = *indexing->options, *options = &own;
    struct kt_work work = { .progress = options->progress, .user = options->progress_user };
    kith_status status = kt_table_writable(indexing->table, &indexing->snapshot, error);
    if (!status && indexing->purpose >= ONE_MORE) status = settle_index(indexing, options, error);
    if (!status) status = settle_column(indexing, error);
    if (!status) status = settle_name(indexing, error);
    if (!status) status = make_place(indexing, indexing->snapshot->state, NULL, error);
    if (!status && kt_is_scalar_index(indexing->plan.type)) {
        status = check_scalar(indexing, error);
    } else if (!status) {
        status = settle_plan(indexing, error);
        if (!status) status = settle_queries(indexing, error);
    }
    if (!status) {
        work.threads = options->threads;
        work.threads = kt_work_threads(&work); /* settled once: scratch is made for each worker */
        status = build(indexing, &work, error);
    }
    json_decref(indexing->piece.meta);
    kt_cover_release(&indexing->cover);
    kt_free(indexing->piece.index);
    kt_snapshot_release(indexing->snapshot);
    return status;
}

kith_status kt_table_create_index(struct kt_table *table, const kith_index *options, kith_error *error)
{
    kith_index defaults = KITH_INIT(kith_index);
    double began = kt_seconds();
    kith_status status;
    uint32_t attempts = 0;
    do { /* a conflict is no answer to somebody who asked for an index over what is there */
        struct indexing indexing = { .table = table, .options = options ? options : &defaults };
        status = create(&indexing, error);
    } while (status == KITH_CONFLICT &&
             (++attempts < LEAST_ATTEMPTS || kt_seconds() - began < RETRY_SECONDS));
    return status;
}

kith_status kt_table_create_automatic(struct kt_table *table, const kith_index *options, kith_error *error)
{
    struct indexing indexing = { .table = table, .options = options, .purpose = AUTOMATIC };
    return create(&indexing, error);
}

kith_status kt_table_extend_index(struct kt_table *table, const kith_index *options, kith_error *error)
{
    struct indexing indexing = { .table = table, .options = options, .purpose = ONE_MORE };
    return create(&indexing, error);
}

kith_status kt_table_merge_index(struct kt_table *table, const kith_index *options, uint32_t first,
                                 uint32_t count, kith_error *error)
{
    struct indexing indexing = {
        .table = table, .options = options, .purpose = MERGED, .first_part = first, .part_count = count
    };
    return create(&indexing, error);
}

kith_status kt_table_rebuild_index(struct kt_table *table, const kith_index *options, kith_error *error)
{
    struct indexing indexing = { .table = table, .options = options, .purpose = ANEW };
    return create(&indexing, error);
}

/* ---- removing */

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
