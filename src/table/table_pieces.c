/* The indexes of a snapshot: what the pieces in the log are to this version of Kith.
 *
 * An index may have several pieces, each over rows of its own: what was appended is indexed by a piece more
 * (table_auto.c). Those of an index over vectors are a base and runs of the same tree, which are opened
 * together; those over other values are asked one by one. Either is listed as one index.
 *
 * A piece's file is opened when it is first asked for, into a slot that is shared with the snapshots before
 * and after as long as the piece is there. Two threads may open it at once: one of them wins the
 * compare-and-swap and the other closes its own, so that no lock is held across I/O.
 */
#include "base/bytes.h"
#include "base/random.h"
#include "table/table_private.h"

struct kt_index_slot {
    _Atomic uint32_t references;
    char id[33];                    /* of the piece, or made of those of all parts */
    const struct kt_index_ops *ops; /* of an index over vectors, else NULL */
    struct kt_index *_Atomic open;
    struct kt_schema *schema; /* keeps `field`, which an index over values is of: it outlives the snapshot */
    const struct kt_field *field;
    struct kt_scalar *_Atomic scalar;
};

/* ---- slots */

static void slot_release(struct kt_index_slot *slot)
{
    if (!slot || atomic_fetch_sub(&slot->references, 1) != 1) return;
    struct kt_index *open = atomic_load(&slot->open);
    if (open) slot->ops->close(open);
    kt_scalar_close(atomic_load(&slot->scalar));
    kt_schema_release(slot->schema);
    kt_free(slot);
}

static struct kt_index_slot *slot_new(const struct kt_snapshot *snapshot, const struct kt_table_index *found,
                                      const char *id)
{
    struct kt_index_slot *slot = kt_alloc_zero(1, sizeof *slot);
    if (!slot) return NULL;
    atomic_init(&slot->references, 1);
    memcpy(slot->id, id, sizeof slot->id);
    slot->ops = found->ops;
    slot->schema = kt_schema_share(snapshot->schema);
    slot->field = kt_path_field(slot->schema, (uint32_t)found->column, &found->path);
    return slot;
}

static bool share_slot(struct kt_index_slot *slot, const char *id)
{
    if (!slot || strcmp(slot->id, id) != 0) return false;
    atomic_fetch_add(&slot->references, 1);
    return true;
}

/* What parts are known by together: the id of one, a hash of those of several. */
static void slot_id(const struct kt_table_index *index, char id[33])
{
    uint64_t hash[2] = { 0, index->part_count };
    memcpy(id, index->piece->id, 33);
    if (index->part_count < 2) return;
    for (uint32_t i = 0; i < index->part_count; i++)
        hash[0] = kt_mix(hash[0] ^ kt_hash(index->parts[i]->id, 32));
    kt_hex(hash, sizeof hash, id);
}

/* The slot of a piece, or of several: the one that an older snapshot has, else a new one. */
static struct kt_index_slot *slot_of(const struct kt_snapshot *snapshot, const struct kt_snapshot *older,
                                     const struct kt_table_index *found)
{
    char id[33];
    slot_id(found, id);
    for (uint32_t i = 0; older && i < older->index_count; i++)
        if (share_slot(older->indexes[i].slot, id)) return older->indexes[i].slot;
    for (uint32_t i = 0; older && i < older->scalar_count; i++)
        if (share_slot(older->scalars[i].slot, id)) return older->scalars[i].slot;
    return slot_new(snapshot, found, id);
}

/* ---- what a piece says of itself */

static const char *meta_text(const struct kt_piece *piece, const char *key)
{
    const char *text = json_string_value(json_object_get(piece->meta, key));
    return text ? text : "";
}

static int column_by_id(const struct kt_schema *schema, json_int_t id)
{
    for (uint32_t i = 0; i < schema->count; i++)
        if (schema->fields[i].id == id) return (int)i;
    return -1;
}

static void read_calibration(struct kt_table_index *out)
{
    const json_t *calibration = json_object_get(out->piece->meta, "calibration");
    const char *on = json_string_value(json_object_get(calibration, "on"));
    if (on) out->calibrated_on = strcmp(on, "queries") == 0 ? "queries" : "rows";
    out->calibrated_with = (uint32_t)json_integer_value(json_object_get(calibration, "queries"));
}

/* Whether this version of Kith can use the piece; an index that it cannot use is passed over, its rows are
 * scanned. */
static bool index_usable(const struct kt_snapshot *snapshot, const struct kt_piece *piece,
                         struct kt_table_index *out)
{
    kith_error ignored;
    *out = (struct kt_table_index){ .name = piece->index, .piece = piece };
    if (kith_index_type_parse(meta_text(piece, "type"), &out->type, &ignored)) return false;
    out->column = column_by_id(snapshot->schema, json_integer_value(json_object_get(piece->meta, "field")));
    if (out->column < 0) return false;
    const struct kt_field *field = &snapshot->schema->fields[out->column];
    if (kt_is_scalar_index(out->type))
        return kt_path_read(field, json_object_get(piece->meta, "path"), &out->path) &&
               !kt_scalar_check(out->type, kt_path_field(snapshot->schema, (uint32_t)out->column, &out->path),
                                &ignored);
    if (kith_metric_parse(meta_text(piece, "metric"), &out->metric, &ignored)) return false;
    read_calibration(out);
    out->ops = kt_index_ops(out->type);
    return out->ops != NULL && kt_field_is_vector(field);
}

/* ---- the snapshot's */

/* The index that the piece is one more of, or NULL. */
static struct kt_table_index *index_of(struct kt_snapshot *snapshot, const struct kt_table_index *piece)
{
    for (uint32_t i = 0; i < snapshot->index_count; i++) {
        struct kt_table_index *index = &snapshot->indexes[i];
        if (strcmp(index->name, piece->name) == 0 && index->column == piece->column &&
            index->type == piece->type && kt_path_is(&index->path, piece->path.steps, piece->path.count))
            return index;
    }
    return NULL;
}

static kith_status add_cover(struct kt_table_index *index, const struct kt_piece *piece, kith_error *error)
{
    struct kt_cover cover = { index->covers, index->cover_count };
    kith_status status = kt_cover_add(&cover, piece->covers, piece->cover_count, error);
    index->covers = cover.rows;
    index->cover_count = cover.count;
    return status;
}

static kith_status add_part(struct kt_table_index *index, const struct kt_piece *piece, kith_error *error)
{
    const struct kt_piece **parts = kt_realloc_array(index->parts, index->part_count + 1, sizeof *parts);
    if (!parts) return kt_fail_memory(error, sizeof *parts);
    index->parts = parts;
    parts[index->part_count++] = piece;
    return KITH_OK;
}

static bool is_run(const struct kt_piece *piece)
{
    return json_is_true(json_object_get(piece->meta, "run"));
}

static bool is_run_of(const struct kt_piece *piece, const struct kt_table_index *index)
{
    return index && index->ops && strcmp(meta_text(piece, "tree"), meta_text(index->piece, "tree")) == 0;
}

static kith_status add_piece(struct kt_snapshot *snapshot, const struct kt_snapshot *older,
                             struct kt_table_index *found, kith_error *error)
{
    struct kt_table_index *index = index_of(snapshot, found);
    bool run = is_run(found->piece);
    if (run && !is_run_of(found->piece, index)) return KITH_OK; /* its rows are scanned */
    if (!index || (found->ops && !run)) {
        index = &snapshot->indexes[snapshot->index_count++];
        *index = *found;
    }
    kith_status status = add_cover(index, found->piece, error);
    if (!status) status = add_part(index, found->piece, error);
    if (status) return status;
    index->bytes += found->piece->file.seal.length;
    if (found->ops) return KITH_OK;
    struct kt_index_slot *slot = slot_of(snapshot, older, found);
    if (!slot) return kt_fail_memory(error, sizeof *slot);
    snapshot->scalars[snapshot->scalar_count++] = (struct kt_table_scalar){
        found->name, (uint32_t)found->column, found->path, found->type, found->piece, slot
    };
    return KITH_OK;
}

uint64_t kt_piece_held(const struct kt_piece *piece)
{
    const json_t *held = json_object_get(piece->meta, "rows");
    if (!json_is_integer(held)) /* an index over values of an older Kith: dead rows too */
        return kt_rows_count(piece->covers, piece->cover_count);
    return json_integer_value(held) > 0 ? (uint64_t)json_integer_value(held) : 0;
}

/* Rows in the files of an index: merging takes dead ones out of these, not out of what is covered. */
static uint64_t rows_held(const struct kt_table_index *index)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < index->part_count; i++) rows += kt_piece_held(index->parts[i]);
    return rows;
}

/* What is known when all parts are. */
static kith_status finish_index(struct kt_snapshot *snapshot, const struct kt_snapshot *older,
                                struct kt_table_index *index, kith_error *error)
{
    const struct kt_state *state = snapshot->state;
    for (uint32_t c = 0; c < index->cover_count; c++)
        index->rows_indexed += kt_state_count(state, index->covers[c].begin, index->covers[c].end);
    uint64_t held = rows_held(index);
    index->rows_dead = held > index->rows_indexed ? held - index->rows_indexed : 0;
    index->rows_unindexed = state->rows > index->rows_indexed ? state->rows - index->rows_indexed : 0;
    if (!index->ops) return KITH_OK;
    index->slot = slot_of(snapshot, older, index);
    return index->slot ? KITH_OK : kt_fail_memory(error, sizeof *index->slot);
}

kith_status kt_pieces_open(struct kt_snapshot *snapshot, const struct kt_snapshot *older, kith_error *error)
{
    const struct kt_state *state = snapshot->state;
    struct kt_table_index found;
    kith_status status = KITH_OK;
    snapshot->indexes = kt_alloc_zero(state->piece_count, sizeof *snapshot->indexes);
    snapshot->scalars = kt_alloc_zero(state->piece_count, sizeof *snapshot->scalars);
    if (!snapshot->indexes || !snapshot->scalars)
        return kt_fail_memory(error, state->piece_count * sizeof *snapshot->indexes);
    for (int runs = 0; runs < 2; runs++) /* bases first: a merge may have put one behind its runs */
        for (uint32_t i = 0; i < state->piece_count && !status; i++)
            if (is_run(&state->pieces[i]) == runs && index_usable(snapshot, &state->pieces[i], &found))
                status = add_piece(snapshot, older, &found, error);
    for (uint32_t i = 0; i < snapshot->index_count && !status; i++)
        status = finish_index(snapshot, older, &snapshot->indexes[i], error);
    return status;
}

void kt_pieces_release(struct kt_snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->index_count; i++) {
        slot_release(snapshot->indexes[i].slot);
        kt_free(snapshot->indexes[i].parts);
        kt_free(snapshot->indexes[i].covers);
    }
    for (uint32_t i = 0; i < snapshot->scalar_count; i++) slot_release(snapshot->scalars[i].slot);
    kt_free(snapshot->indexes);
    kt_free(snapshot->scalars);
}

const struct kt_table_index *kt_snapshot_find_index(const struct kt_snapshot *snapshot, const char *name)
{
    for (uint32_t i = snapshot->index_count; i-- > 0;)
        if (strcmp(snapshot->indexes[i].name, name) == 0) return &snapshot->indexes[i];
    return NULL;
}

/* ---- opening */

static kith_status open_parts(const struct kt_snapshot *snapshot, const struct kt_table_index *index,
                              struct kt_index **out, kith_error *error)
{
    struct kt_view_file **files = kt_alloc_zero(index->part_count, sizeof(struct kt_view_file *));
    if (!files) return kt_fail_memory(error, index->part_count * sizeof *files);
    kith_status status = KITH_OK;
    for (uint32_t i = 0; i < index->part_count && !status; i++) {
        const struct kt_stored_file *stored = &index->parts[i]->file;
        status = kt_view_open(snapshot->io, stored->name, &stored->seal, &files[i], error);
    }
    if (!status)
        status = index->ops->open(files, index->part_count,
                                  json_object_get(index->piece->meta, "calibration"), out, error);
    else
        for (uint32_t i = 0; i < index->part_count; i++) kt_view_close(files[i]);
    kt_free(files);
    return status;
}

kith_status kt_snapshot_index(const struct kt_snapshot *snapshot, const struct kt_table_index *index,
                              const struct kt_index **out, kith_error *error)
{
    struct kt_index_slot *slot = index->slot;
    *out = atomic_load_explicit(&slot->open, memory_order_acquire);
    if (*out) return KITH_OK;

    struct kt_index *open = NULL, *none = NULL;
    kith_status status = open_parts(snapshot, index, &open, error);
    if (status) return status;
    if (atomic_compare_exchange_strong(&slot->open, &none, open)) {
        *out = open;
    } else {
        index->ops->close(open);
        *out = none;
    }
    return KITH_OK;
}

kith_status kt_snapshot_scalar(const struct kt_snapshot *snapshot, const struct kt_table_scalar *scalar,
                               const struct kt_scalar **out, kith_error *error)
{
    struct kt_index_slot *slot = scalar->slot;
    *out = atomic_load_explicit(&slot->scalar, memory_order_acquire);
    if (*out) return KITH_OK;

    struct kt_view_file *file = NULL;
    struct kt_scalar *open = NULL, *none = NULL;
    const struct kt_stored_file *stored = &scalar->piece->file;
    kith_status status = kt_view_open(snapshot->io, stored->name, &stored->seal, &file, error);
    if (!status) status = kt_scalar_open(file, slot->field, &open, error);
    if (status) return status;
    if (atomic_compare_exchange_strong(&slot->scalar, &none, open)) {
        *out = open;
    } else {
        kt_scalar_close(open);
        *out = none;
    }
    return KITH_OK;
}
