/* Columns of several batches side by side: what a table scan does with the files of a fragment. Nothing is
 * copied; the new batch keeps the parts alive.
 */
#include <assert.h>

#include "column/column_private.h"

kith_status kt_batch_combine(struct kt_schema *schema, int64_t rows, struct kt_batch *const *parts,
                             const uint32_t *columns, struct kt_batch **out, kith_error *error)
{
    struct kt_batch *batch = NULL;
    kith_status status = kt_batch_new(schema, rows, &batch, error);
    for (uint32_t i = 0; i < schema->count && !status; i++) {
        assert(parts[i]->rows == rows);
        kt_array_adopt(&batch->columns[i], &parts[i]->columns[columns[i]]);
        bool held = false;
        for (uint32_t j = 0; j < i && !held; j++) held = parts[j] == parts[i];
        if (!held) status = kt_batch_hold_batch(batch, parts[i], error);
    }
    if (status)
        kt_batch_release(batch);
    else
        *out = batch;
    return status;
}
