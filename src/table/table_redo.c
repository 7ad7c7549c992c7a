/* Rows that were written for columns which the table no longer has, written again for those it has now.
 *
 * An append that finds at its commit that another process added, dropped, renamed or widened columns has lost
 * nothing but time: what came first, came first, and the rows are put on top of it. The stream they came from
 * is drained by then, and a caller may not be able to give them again, so they are read from where they were
 * written: the files of the transaction that did not take place are opened before they are removed.
 *
 * Columns are known by their ids, as everywhere below the schema: one that has another name since keeps its
 * values, one that was dropped loses them, one that is new is null (or the append fails, where it cannot be),
 * one of another type is cast as data that came would be.
 */
#include "table/table_private.h"

void kt_redo_release(struct kt_redo *redo)
{
    for (uint32_t i = 0; i < redo->count; i++) kt_segment_release(redo->segments[i]);
    kt_free(redo->segments);
    kt_free(redo->columns);
    kt_schema_release(redo->from);
    kt_schema_release(redo->lent);
    *redo = (struct kt_redo){ 0 };
}

kith_status kt_redo_hold(struct kt_redo *redo, struct kt_io *io, const struct kt_fragments *fragments,
                         kith_error *error)
{
    kith_status status = KITH_OK;
    kt_redo_release(redo);
    redo->segments = kt_alloc_zero(fragments->done_count + (size_t)1, sizeof(struct kt_segment *));
    if (!redo->segments) return kt_fail_memory(error, fragments->done_count * sizeof(struct kt_segment *));
    redo->from = kt_schema_share(fragments->schema);
    for (uint32_t i = 0; i < fragments->done_count && !status; i++) {
        struct kt_fragment fragment = fragments->done[i];
        if (!fragment.span) fragment.span = fragment.rows;
        status = kt_segment_new(io, &fragment, redo->from, &redo->segments[i], error);
        redo->count += !status;
        if (!status) status = kt_segment_hold(redo->segments[i], error);
    }
    redo->held = !status;
    if (status == KITH_NOT_FOUND)
        status = kt_fail(
            error, KITH_CONFLICT,
            "the columns were changed during the write, and its files are gone: a clean-up took them for "
            "those that a writer had left a day ago; give the data again");
    return status;
}

/* The field of the same id, or -1. */
static int same_field(const struct kt_schema *schema, int32_t id)
{
    for (uint32_t i = 0; i < schema->count; i++)
        if (schema->fields[i].id == id) return (int)i;
    return -1;
}

kith_status kt_redo_begin(struct kt_redo *redo, struct kt_schema *to, kith_error *error)
{
    struct kt_field *fields = kt_alloc_array(redo->from->count, sizeof *fields);
    uint32_t count = 0;
    redo->columns = kt_alloc_array(redo->from->count, sizeof *redo->columns);
    kith_status status = fields && redo->columns ? KITH_OK : kt_fail_memory(error, sizeof *fields);
    for (uint32_t i = 0; i < redo->from->count && !status; i++) {
        int now = same_field(to, redo->from->fields[i].id);
        if (now < 0) continue;
        fields[count] = redo->from->fields[i];
        fields[count].name = to->fields[now].name;
        redo->columns[count++] = i;
    }
    if (!status && !count)
        status = kt_fail(error, KITH_CONFLICT, "every column that the added rows have was dropped meanwhile");
    if (!status) status = kt_schema_new(fields, count, NULL, &redo->lent, error);
    redo->to = to;
    redo->segment = redo->batch = 0;
    kt_free(fields);
    return status;
}

kith_status kt_redo_next(void *context, struct kt_batch **out, kith_error *error)
{
    struct kt_redo *redo = context;
    struct kt_batch *batch = NULL;
    const struct kt_cast cast = { .bad_vectors = KITH_BAD_ERROR }; /* they were looked at when they came */
    *out = NULL;
    while (redo->segment < redo->count && redo->batch == redo->segments[redo->segment]->batch_count) {
        redo->segment++;
        redo->batch = 0;
    }
    if (redo->segment == redo->count) return KITH_OK;
    kith_status status = kt_segment_lend(redo->segments[redo->segment], redo->batch++, redo->lent,
                                         redo->columns, NULL, &batch, error);
    if (!status) status = kt_batch_cast(batch, redo->to, &cast, out, error);
    kt_batch_release(batch);
    return status;
}
