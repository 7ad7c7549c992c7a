/* Erasing rows: they are deleted as any others, then what is dead leaves the files (table_erase.c).
 */
#include "query/query_private.h"

kith_status kt_erase(struct kt_table *table, const kith_erasing *options, kith_erased *done,
                     kith_error *error)
{
    kith_changed changed = { 0 };
    kith_status status = kt_table_may_erase(table, options, error);
    if (!status && options->filter)
        status = kt_delete(table, (const struct kt_expr *)options->filter, &changed, error);
    done->rows = changed.deleted;
    done->version = changed.version;
    return status ? status : kt_table_erase_dead(table, options, done, error);
}
