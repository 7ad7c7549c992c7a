/* Verifying a table: that every byte is the one that was written, and that the parts agree with each other.
 *
 * The bytes first: what follows reads them. Then that each fragment has the columns and rows that the log
 * says; that no key is there twice; that each index over vectors holds as many of the rows that it covers as
 * have a vector. What is found is told in words, with the rows or files that it is about.
 */
#include <stdio.h>

#include "base/bytes.h"
#include "query/query_private.h"

static kith_status verify_columns(const struct kt_snapshot *snapshot, kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint32_t s = 0; s < snapshot->state->fragment_count && !status; s++)
        for (uint32_t c = 0; c < snapshot->schema->count && !status; c++) {
            struct kt_ipc_file *file;
            uint32_t column;
            status = kt_segment_column(snapshot->segments[s], c, &file, &column, error);
        }
    return status;
}

/* ---- keys */

static kith_status add_keys(struct kt_keys *keys, const struct kt_batch *batch, const struct kt_hit *hits,
                            struct kt_buffer *rows, const char *name, kith_error *error)
{
    const struct kt_array *column = &batch->columns[0];
    kith_status status = KITH_OK;
    for (int64_t i = 0; i < batch->rows && !status; i++) {
        uint32_t number = kt_keys_count(keys), twin;
        unsigned long long row = hits[i].row;
        if (kt_array_null(column, i))
            return kt_fail(error, KITH_CORRUPT, "row %llu has no key (column \"%s\")", row, name);
        status = kt_keys_add(keys, &column, i, &twin, error);
        if (!status && !kt_buffer_append(rows, &hits[i].row, sizeof hits[i].row))
            status = kt_fail_memory(error, rows->size);
        if (!status && twin != number)
            status =
                kt_fail(error, KITH_CORRUPT, "rows %llu and %llu have the same key (column \"%s\")",
                        (unsigned long long)((const uint64_t *)(const void *)rows->data)[twin], row, name);
    }
    return status;
}

static kith_status verify_keys(struct kt_snapshot *snapshot, kith_error *error)
{
    int key = kt_snapshot_key(snapshot);
    uint32_t column = (uint32_t)key;
    struct kt_keys *keys = NULL;
    struct kt_where *every = NULL;
    struct kt_projection projection = { 0 };
    struct kt_buffer rows = { 0 };
    if (key < 0) return KITH_OK;
    const char *name = snapshot->schema->fields[key].name;
    struct kt_wanted wanted = { .columns = &name, .column_count = 1 };
    struct kt_hit *hits = kt_alloc_array(KT_ROWS_AT_ONCE, sizeof *hits);
    kith_status status = hits ? kt_keys_new(snapshot->schema, &column, 1, &keys, error)
                              : kt_fail_memory(error, KT_ROWS_AT_ONCE * sizeof *hits);
    if (!status) status = kt_every_row(snapshot, &every, error);
    if (!status) status = kt_projection_make(snapshot, &wanted, &projection, error);
    uint64_t row = status ? UINT64_MAX : kt_selection_next(&every->rows, 0);
    while (!status && row != UINT64_MAX) {
        struct kt_batch *batch = NULL;
        status =
            kt_rows_fetch(snapshot, &projection, &every->rows, &row, hits, KT_ROWS_AT_ONCE, &batch, error);
        if (!status && batch) status = add_keys(keys, batch, hits, &rows, name, error);
        kt_batch_release(batch);
    }
    kt_projection_release(&projection);
    kt_where_release(every);
    kt_buffer_release(&rows);
    kt_keys_free(keys);
    kt_free(hits);
    return status;
}

/* ---- indexes */

/* Rows that are there and have a vector, of those that the index covers. */
static kith_status count_vectors(struct kt_snapshot *snapshot, const struct kt_table_index *index,
                                 struct kt_where **where, uint64_t *out, kith_error *error)
{
    const char *name = snapshot->schema->fields[index->column].name;
    struct kt_expr *column = NULL, *has = NULL;
    kith_status status = kt_expr_column(&name, 1, &column, error);
    if (!status) status = kt_expr_make(KT_FN_IS_NOT_NULL, &column, 1, &has, error);
    if (!status) status = kt_where_of(snapshot, NULL, has, NULL, where, error);
    kt_expr_release(has);
    *out = 0;
    for (uint32_t c = 0; !status && c < index->cover_count; c++)
        *out += kt_selection_count(&(*where)->rows, index->covers[c].begin, index->covers[c].end);
    return status;
}

kith_status kt_verify_index(struct kt_snapshot *snapshot, const struct kt_table_index *index,
                            kith_error *error)
{
    const struct kt_index *open = NULL;
    const struct kt_index_matches *matches = NULL;
    struct kt_index_shape shape = { 0 };
    struct kt_where *where = NULL;
    uint64_t wanted = 0;
    kith_status status = kt_snapshot_index(snapshot, index, &open, error);
    if (!status) status = count_vectors(snapshot, index, &where, &wanted, error);
    if (!status) status = kt_where_count(where, index, &matches, error);
    if (!status) index->ops->shape(open, &shape);
    if (!status && (matches->rows > wanted || matches->rows + shape.outliers < wanted))
        status = kt_fail(error, KITH_CORRUPT,
                         "index \"%s\" holds %llu of the %llu vectors that it covers; create it again",
                         index->name, (unsigned long long)matches->rows, (unsigned long long)wanted);
    kt_where_release(where);
    return status;
}

static kith_status verify_snapshot(struct kt_snapshot *snapshot, uint64_t *files, kith_error *error)
{
    kith_status status = kt_snapshot_verify(snapshot, files, error);
    if (!status) status = verify_columns(snapshot, error);
    if (!status) status = verify_keys(snapshot, error);
    for (uint32_t i = 0; !status && i < snapshot->index_count; i++)
        if (snapshot->indexes[i].ops) status = kt_verify_index(snapshot, &snapshot->indexes[i], error);
    return status;
}

/* Whether a file that is gone is missed by the newest state, and not only by one that others have left behind
 * meanwhile, or that an old version was. */
static bool is_missed(struct kt_table *table, const struct kt_snapshot *looked_at, bool *newer)
{
    struct kt_snapshot *now = NULL;
    bool follows = kt_table_writable(table, &now, NULL) == KITH_OK;
    bool same = follows && now->state->commit == looked_at->state->commit;
    *newer = follows && !same;
    kt_snapshot_release(now);
    return same;
}

kith_status kt_verify(struct kt_table *table, uint64_t *files, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    kith_status status;
    bool again = false;
    do {
        kith_error found = { 0 };
        kt_snapshot_release(snapshot);
        snapshot = NULL;
        status = kt_table_snapshot(table, &snapshot, error);
        if (status) return status;
        status = verify_snapshot(snapshot, files, &found);
        if (status == KITH_NOT_FOUND && is_missed(table, snapshot, &again))
            status = kt_fail(error, KITH_CORRUPT, "%.900s; restore it from a copy", found.message);
        else if (status && error)
            *error = found;
    } while (status == KITH_NOT_FOUND && again);
    kt_snapshot_release(snapshot);
    return status;
}
