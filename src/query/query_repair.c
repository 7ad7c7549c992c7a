/* Repairing a table: the log first, without which there is none; then the rows are looked at, then the
 * indexes.
 *
 * An index can be made again from the rows, the rows from nothing. So a damaged index is dropped, and
 * searches read the rows instead, while rows that are damaged are told and left as they are: whoever has a
 * copy can put the file back, and the other files are still good. Whether an index has all the rows that it
 * covers can be counted only where the rows can be read; beside damaged ones its bytes alone are looked at.
 *
 * What was done is told even where the rows turn out to be damaged: it was done.
 */
#include "base/bytes.h"
#include "query/query_private.h"

static bool is_damage(kith_status status)
{
    return status == KITH_CORRUPT || status == KITH_NOT_FOUND; /* a file that is gone */
}

static kith_status look_at_rows(struct kt_snapshot *snapshot, kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint32_t i = 0; i < snapshot->state->fragment_count && !status; i++) {
        const struct kt_fragment *fragment = &snapshot->state->fragments[i];
        for (uint32_t g = 0; g < fragment->group_count && !status; g++)
            status = kt_snapshot_verify_file(snapshot, &fragment->groups[g].file, error);
    }
    return status;
}

static kith_status look_at_index(struct kt_snapshot *snapshot, const struct kt_table_index *index,
                                 bool readable, kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint32_t i = 0; i < index->part_count && !status; i++)
        status = kt_snapshot_verify_file(snapshot, &index->parts[i]->file, error);
    return status || !index->ops || !readable ? status : kt_verify_index(snapshot, index, error);
}

static kith_status drop_damaged(struct kt_table *table, struct kt_snapshot *snapshot, bool readable,
                                struct kt_buffer *words, kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < snapshot->index_count; i++) {
        const struct kt_table_index *index = &snapshot->indexes[i];
        kith_error found = { 0 };
        status = look_at_index(snapshot, index, readable, &found);
        if (!is_damage(status)) {
            if (status && error) *error = found;
            continue;
        }
        if (!kt_buffer_text(words, "%s\nThe index \"%s\" was dropped; create it again.\n", found.message,
                            index->name))
            status = kt_fail_memory(error, words->size);
        else
            status = kt_table_drop_index(table, index->name, error);
    }
    return status;
}

static kith_status mend(struct kt_table *table, struct kt_buffer *words, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    kith_error rows = { 0 };
    uint64_t files;
    kith_status status = kt_table_snapshot(table, &snapshot, error);
    kith_status damage = status ? KITH_OK : look_at_rows(snapshot, &rows);
    if (!status) status = drop_damaged(table, snapshot, !damage, words, error);
    if (!status && is_damage(damage))
        status = kt_fail(error, KITH_CORRUPT, "%.800s. Rows cannot be repaired: restore the file from a copy",
                         rows.message);
    else if (!status && damage)
        status = kt_fail(error, damage, "%s", rows.message);
    if (!status) status = kt_verify(table, &files, error);
    kt_snapshot_release(snapshot);
    return status;
}

kith_status kt_repair(struct kt_catalog *catalog, const char *name, char **words, kith_error *error)
{
    struct kt_table *table = NULL;
    struct kt_buffer told = { 0 };
    if (words) *words = NULL;
    kith_status status = kt_catalog_repair(catalog, name, &told, error);
    if (!status) status = kt_table_open(catalog, name, 0, &table, error);
    if (!status) status = mend(table, &told, error);
    kt_table_free(table);
    if ((!status || told.size) && !kt_buffer_append(&told, "", 1) && !status)
        status = kt_fail_memory(error, told.size);
    if (words && told.size)
        *words = (char *)told.data;
    else
        kt_buffer_release(&told);
    return status;
}
