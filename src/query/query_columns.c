/* Adding, altering and dropping columns: what the new schema is, and where the values of new columns come
 * from: an expression over the row, a cast of the old column, or null.
 */
#include "base/bytes.h"
#include "query/query_private.h"

/* Where the values of a made column come from. */
struct origin {
    struct kt_filter *filter; /* of an expression; or */
    int32_t cast_from;        /* the number of a column of the table; or null, where it is negative */
};

struct making {
    struct kt_snapshot *base;
    struct kt_field *fields; /* of the new schema; what they hold is borrowed, or in `owned` */
    uint32_t field_count;
    uint32_t *made; /* numbers among them */
    struct origin *origins;
    uint32_t made_count;
    struct kt_schema **owned; /* schemas that lend fields */
    uint32_t owned_count;
    int32_t next_field;
    const char *key; /* its new name; NULL: as it was */
};

/* ---- values */

static kith_status evaluate(const struct kt_snapshot *snapshot, const struct kt_filter *filter,
                            uint32_t number, uint32_t batch, struct kt_builder *builder, uint32_t column,
                            kith_error *error)
{
    struct kt_segment *segment = snapshot->segments[number];
    uint64_t begin = kt_segment_batch_begin(segment, batch), end = kt_segment_batch_begin(segment, batch + 1);
    struct kt_arena scratch = { 0 };
    kith_status status = KITH_OK;
    for (uint64_t row = begin; row < end && !status;) {
        uint32_t count = (uint32_t)kt_min_u64(KT_FILTER_ROWS, end - row);
        struct kt_filter_rows rows = { .count = count };
        kt_arena_clear(&scratch);
        status = kt_lend_columns(snapshot, filter, number, row, count, &scratch, &rows, error);
        if (!status) status = kt_filter_values(filter, &rows, builder, column, error);
        row += count;
    }
    kt_arena_release(&scratch);
    return status;
}

static kith_status cast_column(const struct kt_snapshot *snapshot, uint32_t from, uint32_t number,
                               uint32_t batch, const struct kt_field *to, struct kt_builder *builder,
                               uint32_t column, kith_error *error)
{
    struct kt_schema *old = NULL, *one = NULL;
    struct kt_batch *lent = NULL, *fitted = NULL;
    struct kt_cast cast = { 0 };
    struct kt_field field = *to;
    kith_status status = kt_schema_new(&snapshot->schema->fields[from], 1, NULL, &old, error);
    field.name = snapshot->schema->fields[from].name;
    if (!status) status = kt_schema_new(&field, 1, NULL, &one, error);
    if (!status) status = kt_segment_lend(snapshot->segments[number], batch, old, &from, NULL, &lent, error);
    if (!status) status = kt_batch_cast(lent, one, &cast, &fitted, error);
    if (!status) status = kt_builder_append(builder, column, &fitted->columns[0], 0, fitted->rows, error);
    kt_batch_release(fitted);
    kt_batch_release(lent);
    kt_schema_release(one);
    kt_schema_release(old);
    return status;
}

/* The made columns of one record batch: the make function of kt_columns. */
static kith_status make(void *context, const struct kt_snapshot *snapshot, uint32_t number, uint32_t batch,
                        struct kt_schema *made, struct kt_batch **out, kith_error *error)
{
    const struct making *making = context;
    const struct kt_segment *segment = snapshot->segments[number];
    int64_t count =
        (int64_t)(kt_segment_batch_begin(segment, batch + 1) - kt_segment_batch_begin(segment, batch));
    struct kt_builder *builder = NULL;
    kith_status status = kt_builder_new(made, count, &builder, error);
    for (uint32_t i = 0; i < made->count && !status; i++) {
        const struct origin *origin = &making->origins[i];
        if (origin->filter)
            status = evaluate(snapshot, origin->filter, number, batch, builder, i, error);
        else if (origin->cast_from >= 0)
            status = cast_column(snapshot, (uint32_t)origin->cast_from, number, batch, &made->fields[i],
                                 builder, i, error);
        else
            status = kt_builder_append_nulls(builder, i, count, error);
    }
    if (!status) return kt_builder_finish(builder, out, error);
    kt_builder_free(builder);
    return status;
}

/* ---- the new schema */

static kith_status making_init(struct making *making, struct kt_snapshot *base, size_t more,
                               kith_error *error)
{
    size_t most = base->schema->count + more;
    *making = (struct making){ .base = base, .next_field = kt_snapshot_next_field(base) };
    making->fields = kt_alloc_array(most, sizeof *making->fields);
    making->made = kt_alloc_array(most, sizeof *making->made);
    making->origins = kt_alloc_zero(most, sizeof *making->origins);
    making->owned = kt_alloc_zero(most, sizeof *making->owned);
    if (!making->fields || !making->made || !making->origins || !making->owned)
        return kt_fail_memory(error, most * sizeof *making->fields);
    for (uint32_t i = 0; i < base->schema->count; i++)
        making->fields[making->field_count++] = base->schema->fields[i];
    return KITH_OK;
}

static void making_release(struct making *making)
{
    for (uint32_t i = 0; i < making->made_count; i++) kt_filter_free(making->origins[i].filter);
    for (uint32_t i = 0; i < making->owned_count; i++) kt_schema_release(making->owned[i]);
    kt_free(making->fields);
    kt_free(making->made);
    kt_free(making->origins);
    kt_free(making->owned);
}

static void made_column(struct making *making, uint32_t number, struct origin origin)
{
    making->origins[making->made_count] = origin;
    making->made[making->made_count++] = number;
}

/* Keeps a schema of one field, normalized, with ids from making->next_field on; lends the field. */
static kith_status own_field(struct making *making, const struct kt_field *field, struct kt_field *out,
                             kith_error *error)
{
    struct kt_schema *plain = NULL, *normal = NULL;
    kith_status status = kt_schema_new(field, 1, NULL, &plain, error);
    if (!status) status = kt_schema_normalize(plain, NULL, &normal, error);
    kt_schema_release(plain);
    if (status) return status;
    making->owned[making->owned_count++] = normal;
    kt_field_give_ids(&normal->fields[0], &making->next_field); /* nobody else has it yet */
    *out = normal->fields[0];
    return KITH_OK;
}

/* A schema of one field that came as an Arrow schema. */
static kith_status import_field(const struct ArrowSchema *from, struct kt_schema **out, kith_error *error)
{
    struct ArrowSchema *child = (struct ArrowSchema *)(uintptr_t)from; /* only read */
    const struct ArrowSchema parent = {
        .format = "+s", .n_children = 1, .children = &child, .release = from->release /* never called */
    };
    return kt_schema_import(&parent, out, error);
}

static kith_status commit(struct kt_table *table, struct making *making, const char *operation,
                          kith_changed *changed, kith_error *error)
{
    struct kt_schema *schema = NULL, *checked = NULL;
    kith_status status =
        kt_schema_new(making->fields, making->field_count, making->base->schema->metadata, &schema, error);
    if (!status) status = kt_schema_normalize(schema, NULL, &checked, error); /* names and types */
    const struct kt_columns columns = { .operation = operation,
                                        .schema = schema,
                                        .made = making->made,
                                        .made_count = making->made_count,
                                        .make = make,
                                        .context = making,
                                        .next_field = making->next_field,
                                        .key = making->key };
    if (!status) status = kt_table_set_columns(table, making->base, &columns, &changed->version, error);
    kt_schema_release(checked);
    kt_schema_release(schema);
    return status;
}

/* What differs between the three. */
typedef kith_status (*settle_fn)(struct making *making, const void *columns, size_t count, kith_error *error);

static kith_status change_columns(struct kt_table *table, const char *operation, settle_fn settle,
                                  const void *columns, size_t count, kith_changed *changed, kith_error *error)
{
    double began = kt_seconds();
    kith_status status;
    if (!columns || !count) return kt_fail(error, KITH_INVALID, "no columns were given");
    do {
        struct kt_snapshot *base = NULL;
        struct making making = { 0 };
        status = kt_table_writable(table, &base, error);
        if (!status) status = making_init(&making, base, count, error);
        if (!status) status = settle(&making, columns, count, error);
        if (!status) status = commit(table, &making, operation, changed, error);
        making_release(&making);
        kt_snapshot_release(base);
    } while (kt_again(status, began, changed));
    return status;
}

/* ---- adding */

static kith_status settle_new(struct making *making, const kith_new_column *column, kith_error *error)
{
    struct origin origin = { .cast_from = -1 };
    struct kt_field field = { 0 }, *to = &making->fields[making->field_count];
    struct kt_schema *given = NULL;
    struct kt_expr *expr = NULL;
    kith_status status = KITH_OK;
    if (column->expression && column->field)
        return kt_fail(error, KITH_INVALID, "a new column has an expression or a type, not both");
    if (column->expression && !column->name) return kt_fail(error, KITH_INVALID, "a new column needs a name");
    if (column->expression) {
        status = kt_expr_parse(column->expression, NULL, 0, &expr, error);
        if (!status) status = kt_filter_bind(expr, making->base->schema, false, &origin.filter, error);
        if (!status) field = *kt_filter_field(origin.filter);
        field.nullable = true;
    } else if (column->field) {
        status = import_field(column->field, &given, error);
        if (!status) field = given->fields[0];
    } else {
        status = kt_fail(error, KITH_INVALID, "a new column needs an expression or a type");
    }
    if (!status && column->name) field.name = (char *)column->name;
    if (!status && kt_schema_find(making->base->schema, field.name) >= 0)
        status = kt_fail(error, KITH_EXISTS, "column \"%s\" is there already", field.name);
    if (!status && !origin.filter && !field.nullable)
        status = kt_fail(error, KITH_INVALID,
                         "column \"%s\" cannot be null and has no values; give it an expression", field.name);
    if (!status) status = own_field(making, &field, to, error);
    if (!status) {
        made_column(making, making->field_count++, origin);
        origin.filter = NULL; /* its now */
    }
    kt_filter_free(origin.filter);
    kt_expr_release(expr);
    kt_schema_release(given);
    return status;
}

static kith_status settle_all_new(struct making *making, const void *columns, size_t count, kith_error *error)
{
    kith_status status = KITH_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = settle_new(making, &((const kith_new_column *)columns)[i], error);
    return status;
}

kith_status kt_add_columns(struct kt_table *table, const kith_new_column *columns, size_t count,
                           kith_changed *changed, kith_error *error)
{
    return change_columns(table, "add_columns", settle_all_new, columns, count, changed, error);
}

/* ---- altering */

static kith_status find_column(const struct making *making, const char *name, uint32_t *out,
                               kith_error *error)
{
    int column = name ? kt_schema_find(making->base->schema, name) : -1;
    if (column < 0) return kt_fail(error, KITH_NOT_FOUND, "there is no column \"%s\"", name ? name : "");
    *out = (uint32_t)column;
    return KITH_OK;
}

static kith_status refuse_nulls(const struct making *making, uint32_t column, kith_error *error)
{
    const char *name = making->base->schema->fields[column].name;
    struct kt_where *where = NULL;
    struct kt_expr *expr = NULL, *is_null = NULL;
    kith_status status = kt_expr_column(&name, 1, &expr, error);
    if (!status) status = kt_expr_make(KT_FN_IS_NULL, &expr, 1, &is_null, error);
    if (!status) status = kt_where_of(making->base, NULL, is_null, NULL, &where, error);
    if (!status && where->rows.count)
        status = kt_fail(error, KITH_INVALID, "column \"%s\" is null in %llu rows", name,
                         (unsigned long long)where->rows.count);
    kt_where_release(where);
    kt_expr_release(is_null);
    return status;
}

static kith_status retype(struct making *making, uint32_t at, const struct ArrowSchema *type,
                          kith_error *error)
{
    struct kt_field *to = &making->fields[at], field;
    struct kt_schema *given = NULL;
    kith_status status = import_field(type, &given, error);
    if (status) return status;
    field = given->fields[0];
    field.name = to->name;
    field.nullable = to->nullable;
    if (!kt_field_same_type(&field, to)) {
        status = own_field(making, &field, to, error);
        if (!status) made_column(making, at, (struct origin){ .cast_from = (int32_t)at });
    }
    kt_schema_release(given);
    return status;
}

static kith_status settle_altered(struct making *making, const kith_altered_column *column, kith_error *error)
{
    uint32_t at;
    int key = kt_snapshot_key(making->base);
    kith_status status = find_column(making, column->name, &at, error);
    if (status) return status;
    if (column->nullable < -1 || column->nullable > 1)
        return kt_fail(error, KITH_INVALID, "nullable is %d; 1 allows null, -1 forbids it, 0 keeps what is",
                       column->nullable);
    if (!column->rename && !column->nullable && !column->type)
        return kt_fail(error, KITH_INVALID, "nothing is to be altered of column \"%s\"", column->name);
    if (column->type) status = retype(making, at, column->type, error);
    if (!status && column->nullable < 0) status = refuse_nulls(making, at, error);
    if (!status && column->nullable) making->fields[at].nullable = column->nullable > 0;
    if (!status && (int)at == key && column->type)
        status =
            kt_fail(error, KITH_INVALID, "column \"%s\" is the table's key and keeps its type", column->name);
    if (!status && column->rename) {
        making->fields[at].name = (char *)column->rename;
        if ((int)at == key) making->key = column->rename;
    }
    return status;
}

static kith_status settle_all_altered(struct making *making, const void *columns, size_t count,
                                      kith_error *error)
{
    kith_status status = KITH_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = settle_altered(making, &((const kith_altered_column *)columns)[i], error);
    return status;
}

kith_status kt_alter_columns(struct kt_table *table, const kith_altered_column *columns, size_t count,
                             kith_changed *changed, kith_error *error)
{
    return change_columns(table, "alter_columns", settle_all_altered, columns, count, changed, error);
}

/* ---- dropping */

static kith_status settle_dropped(struct making *making, const void *columns, size_t count, kith_error *error)
{
    const char *const *names = columns;
    int key = kt_snapshot_key(making->base);
    uint32_t kept = 0, at;
    for (size_t i = 0; i < count; i++) {
        kith_status status = find_column(making, names[i], &at, error);
        if (!status && (int)at == key)
            status = kt_fail(error, KITH_INVALID, "column \"%s\" is the table's key and cannot be dropped",
                             names[i]);
        if (status) return status;
        making->fields[at].id = -1;
    }
    for (uint32_t i = 0; i < making->field_count; i++)
        if (making->fields[i].id >= 0) making->fields[kept++] = making->fields[i];
    making->field_count = kept;
    return kept ? KITH_OK : kt_fail(error, KITH_INVALID, "a table keeps at least one column");
}

kith_status kt_drop_columns(struct kt_table *table, const char *const *names, size_t count,
                            kith_changed *changed, kith_error *error)
{
    return change_columns(table, "drop_columns", settle_dropped, names, count, changed, error);
}
