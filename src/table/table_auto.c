/* What a write builds of indexes before it returns: after the commit with which a table has enough rows the
 * default index over each vector column that has none, which nobody asked for, and a BTREE over the key, by
 * which rows are found and new keys are known to be new; and of any index, once it covers too few of the
 * rows, a piece more (table_scalar.c).
 *
 * It is maintenance. The rows are committed when it begins, so whatever becomes of it (a full disk, a writer
 * who cancels, another process that was first) fails nobody; rows without an index are scanned exactly. A
 * build that failed would fail at the next append as well, after the same minutes: so this handle waits until
 * the table has grown by a quarter.
 *
 * When an index is merged or built anew is said in table_scalar.c.
 */
#include "table/table_private.h"

enum { DEFAULT_ROWS = 20000, TRY_AGAIN = 4 };

/* From how many rows on there is to be an index; UINT64_MAX: never. */
static uint64_t threshold(const struct kt_state *state)
{
    const json_t *set = json_object_get(state->config, "auto_index_threshold");
    json_int_t rows = json_is_integer(set) ? json_integer_value(set) : DEFAULT_ROWS;
    return rows < 0 ? UINT64_MAX : kt_max_u64((uint64_t)rows, 1);
}

static bool has_index(const struct kt_state *state, const struct kt_field *field)
{
    for (uint32_t i = 0; i < state->piece_count; i++)
        if (kt_piece_covers_field(&state->pieces[i], field->id)) return true;
    return false;
}

static void build_missing(struct kt_table *table, const struct kt_snapshot *after, kith_index *index,
                          kith_status *status)
{
    kith_error ignored;
    for (uint32_t c = 0; c < after->schema->count; c++) {
        const struct kt_field *field = &after->schema->fields[c];
        if (!kt_field_is_vector(field) || has_index(after->state, field)) continue;
        index->column = field->name;
        kith_status failed = kt_table_create_automatic(table, index, &ignored);
        if (failed) *status = failed;
    }
}

static void build_key(struct kt_table *table, const struct kt_snapshot *after, kith_index *index,
                      kith_status *status)
{
    kith_error ignored;
    int key = kt_snapshot_key(after);
    if (key < 0 || after->state->rows < DEFAULT_ROWS || has_index(after->state, &after->schema->fields[key]))
        return;
    index->column = after->schema->fields[key].name;
    index->type = KITH_BTREE;
    kith_status failed = kt_table_create_automatic(table, index, &ignored);
    if (failed) *status = failed;
    index->type = KITH_INDEX_DEFAULT;
}

/* Merges files of an index as it is now: a run may just have come to it. */
static kith_status merge_many(struct kt_table *table, kith_index *index)
{
    kith_error ignored;
    struct kt_snapshot *now = NULL;
    uint32_t merged = 0, parts = 0;
    kith_status status = kt_table_writable(table, &now, &ignored);
    const struct kt_table_index *it = status ? NULL : kt_snapshot_find_index(now, index->name);
    if (it) merged = kt_table_to_merge(it), parts = it->part_count;
    kt_snapshot_release(now);
    return merged ? kt_table_merge_index(table, index, parts - merged, merged, &ignored) : status;
}

/* Another may have done it since the snapshot was taken, and it takes as long as a build. */
static bool is_still_spent(struct kt_table *table, const char *name)
{
    kith_error ignored;
    struct kt_snapshot *now = NULL;
    if (kt_table_newest(table, &now, &ignored)) return true; /* the build tells why */
    const struct kt_table_index *it = kt_snapshot_find_index(now, name);
    bool spent = it && kt_table_is_spent(it);
    kt_snapshot_release(now);
    return spent;
}

/* What one index asks for. */
static kith_status bring_up(struct kt_table *table, const struct kt_snapshot *after,
                            const struct kt_table_index *behind, kith_index *index)
{
    kith_error ignored;
    kith_status status = KITH_OK;
    index->name = behind->name;
    if (kt_table_is_spent(behind))
        return is_still_spent(table, index->name) ? kt_table_rebuild_index(table, index, &ignored) : KITH_OK;
    bool extends = kt_table_is_behind(after, behind);
    if (extends) status = kt_table_extend_index(table, index, &ignored);
    if (!status && (extends || kt_table_to_merge(behind))) status = merge_many(table, index);
    return status == KITH_UNSUPPORTED ? kt_table_rebuild_index(table, index, &ignored) : status;
}

static void extend_behind(struct kt_table *table, const struct kt_snapshot *after, kith_index *index,
                          kith_status *status)
{
    for (uint32_t i = 0; i < after->index_count; i++) {
        kith_status failed = bring_up(table, after, &after->indexes[i], index);
        if (failed && failed != KITH_CONFLICT) *status = failed;
    }
}

void kt_table_auto_index(struct kt_table *table, const struct kt_snapshot *after, const kith_write *options)
{
    const struct kt_state *state = after->state;
    kith_index index = KITH_INIT(kith_index);
    kith_status status = KITH_OK;
    if (state->rows < atomic_load(&table->auto_from)) return;
    if (options) {
        index.progress = options->progress;
        index.progress_user = options->progress_user;
    }
    if (state->rows >= threshold(state)) build_missing(table, after, &index, &status);
    build_key(table, after, &index, &status);
    extend_behind(table, after, &index, &status);
    if (status) atomic_store(&table->auto_from, state->rows + state->rows / TRY_AGAIN + 1);
}
