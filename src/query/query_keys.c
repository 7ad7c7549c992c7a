/* Rows by the values that they have in some columns: what a key and a merge rest on.
 *
 * The wanted values are written one after another as bytes and found again through a table of hashes. Which
 * rows of a table have them is asked as a filter, "column IN (values)": so statistics rule fragments out,
 * an index over the column is used where there is one, and every core helps where there is none. What the
 * filter admits is then looked up, which settles several columns at once, and types that no filter has
 * literals for.
 */
#include "base/bytes.h"
#include <stdio.h>

#include "query/query_private.h"

struct kt_keys {
    struct kt_schema *schema; /* of the columns alone */
    uint32_t *columns;        /* of the table */
    struct kt_buffer bytes;   /* of all keys */
    struct kt_buffer ends;    /* uint64_t: key i begins where key i - 1 ends; no bytes: it has a null */
    uint32_t *slots;          /* key number + 1, or 0; by hash, as many as a power of two */
    uint32_t slot_count, used;
    struct kt_value *values; /* a list for each column, for filters */
    size_t *room;            /* of the lists */
};

void kt_keys_free(struct kt_keys *keys)
{
    if (!keys) return;
    for (uint32_t i = 0; keys->values && keys->schema && i < keys->schema->count; i++)
        kt_value_release(&keys->values[i]);
    kt_schema_release(keys->schema);
    kt_buffer_release(&keys->bytes);
    kt_buffer_release(&keys->ends);
    kt_free(keys->columns);
    kt_free(keys->values);
    kt_free(keys->room);
    kt_free(keys->slots);
    kt_free(keys);
}

kith_status kt_keys_new(const struct kt_schema *schema, const uint32_t *columns, uint32_t count,
                        struct kt_keys **out, kith_error *error)
{
    struct kt_field *fields = kt_alloc_array(count, sizeof *fields);
    struct kt_keys *keys = kt_alloc_zero(1, sizeof *keys);
    kith_status status = fields && keys ? KITH_OK : kt_fail_memory(error, sizeof *keys);
    for (uint32_t i = 0; i < count && !status; i++) {
        char type[120];
        fields[i] = schema->fields[columns[i]];
        kt_field_type_text(&fields[i], type, sizeof type);
        if (!kt_has_order(&fields[i]))
            status = kt_fail(error, KITH_TYPE, "rows cannot be told apart by column \"%s\", which is %s",
                             fields[i].name, type);
    }
    if (!status) status = kt_schema_new(fields, count, NULL, &keys->schema, error);
    if (!status) {
        keys->columns = kt_alloc_array(count, sizeof *keys->columns);
        keys->values = kt_alloc_zero(count, sizeof *keys->values);
        keys->room = kt_alloc_zero(count, sizeof *keys->room);
        if (!keys->columns || !keys->values || !keys->room) status = kt_fail_memory(error, count * 8);
    }
    if (!status) memcpy(keys->columns, columns, count * sizeof *columns);
    kt_free(fields);
    if (status)
        kt_keys_free(keys);
    else
        *out = keys;
    return status;
}

const struct kt_schema *kt_keys_schema(const struct kt_keys *keys)
{
    return keys->schema;
}

/* ---- the table of hashes */

static struct kt_rows span_of(const struct kt_keys *keys, uint32_t number)
{
    const uint64_t *ends = (const uint64_t *)(const void *)keys->ends.data;
    return (struct kt_rows){ number ? ends[number - 1] : 0, ends[number] };
}

uint32_t kt_keys_count(const struct kt_keys *keys)
{
    return (uint32_t)(keys->ends.size / sizeof(uint64_t));
}

static uint32_t *slot_of(const struct kt_keys *keys, const uint8_t *bytes, size_t size)
{
    uint32_t mask = keys->slot_count - 1, at = (uint32_t)kt_hash(bytes, size) & mask;
    for (; keys->slots[at]; at = (at + 1) & mask) {
        struct kt_rows span = span_of(keys, keys->slots[at] - 1);
        if (span.end - span.begin == size && memcmp(keys->bytes.data + span.begin, bytes, size) == 0) break;
    }
    return &keys->slots[at];
}

static bool grow(struct kt_keys *keys)
{
    uint32_t *old = keys->slots, old_count = keys->slot_count;
    if (keys->used < old_count / 2) return true;
    keys->slot_count = old_count ? old_count * 2 : 64;
    keys->slots = kt_alloc_zero(keys->slot_count, sizeof *keys->slots);
    if (!keys->slots) {
        keys->slots = old;
        keys->slot_count = old_count;
        return false;
    }
    for (uint32_t i = 0; i < old_count; i++) {
        if (!old[i]) continue;
        struct kt_rows span = span_of(keys, old[i] - 1);
        *slot_of(keys, keys->bytes.data + span.begin, span.end - span.begin) = old[i];
    }
    kt_free(old);
    return true;
}

/* Appends the values of a row; nothing where one of them is null. */
static bool put_row(const struct kt_array *const *columns, uint32_t count, int64_t row, struct kt_buffer *to)
{
    for (uint32_t c = 0; c < count; c++)
        if (kt_array_null(columns[c], row)) return true;
    for (uint32_t c = 0; c < count; c++)
        if (!kt_put_value(columns[c], row, to)) return false;
    return true;
}

/* ---- values, for filters */

static bool is_signed(enum kt_type type)
{
    return type == KT_INT8 || type == KT_INT16 || type == KT_INT32 || type == KT_INT64;
}

static bool is_text(enum kt_type type)
{
    return type == KT_UTF8 || type == KT_LARGE_UTF8;
}

/* Whether a filter can name the column's values. */
static bool has_literals(const struct kt_field *field)
{
    return is_signed(field->type) || is_text(field->type) ||
           (field->type >= KT_UINT8 && field->type <= KT_UINT64);
}

static int64_t signed_at(const struct kt_array *column, int64_t row)
{
    const void *values = column->values;
    int64_t at = column->offset + row;
    switch (column->field->type) {
    case KT_INT8:
        return ((const int8_t *)values)[at];
    case KT_INT16:
        return ((const int16_t *)values)[at];
    case KT_INT32:
        return ((const int32_t *)values)[at];
    default:
        return ((const int64_t *)values)[at];
    }
}

static uint64_t unsigned_at(const struct kt_array *column, int64_t row)
{
    const void *values = column->values;
    int64_t at = column->offset + row;
    switch (column->field->type) {
    case KT_UINT8:
        return ((const uint8_t *)values)[at];
    case KT_UINT16:
        return ((const uint16_t *)values)[at];
    case KT_UINT32:
        return ((const uint32_t *)values)[at];
    default:
        return ((const uint64_t *)values)[at];
    }
}

static bool add_literal(struct kt_value *list, size_t *room, const struct kt_array *column, int64_t row)
{
    struct kt_value value = { .kind = KT_VALUE_INT };
    if (list->count == *room) {
        size_t more = *room * 2 + 16;
        struct kt_value *items = kt_realloc_array(list->items, more, sizeof *items);
        if (!items) return false;
        list->items = items;
        *room = more;
    }
    if (is_text(column->field->type)) {
        int64_t count;
        const uint8_t *bytes = kt_array_bytes(column, row, &count);
        value.kind = KT_VALUE_TEXT;
        value.size = (size_t)count;
        value.text = kt_alloc(value.size + 1);
        if (!value.text) return false;
        if (count) memcpy(value.text, bytes, value.size);
        value.text[value.size] = '\0';
    } else if (is_signed(column->field->type)) {
        value.integer = signed_at(column, row);
    } else {
        value.natural = unsigned_at(column, row);
        if (value.natural <= INT64_MAX)
            value.integer = (int64_t)value.natural;
        else
            value.kind = KT_VALUE_UINT;
    }
    list->items[list->count++] = value;
    return true;
}

/* ---- adding and finding */

kith_status kt_keys_add(struct kt_keys *keys, const struct kt_array *const *columns, int64_t row,
                        uint32_t *twin, kith_error *error)
{
    uint64_t begin = keys->bytes.size;
    uint32_t number = kt_keys_count(keys), count = keys->schema->count;
    *twin = number;
    if (number == UINT32_MAX - 1)
        return kt_fail(error, KITH_UNSUPPORTED, "more than %u keys at once; give fewer rows", number);
    if (!put_row(columns, count, row, &keys->bytes)) return kt_fail_memory(error, keys->bytes.size);
    uint64_t end = keys->bytes.size;
    if (!grow(keys) || !kt_buffer_append(&keys->ends, &end, sizeof end))
        return kt_fail_memory(error, keys->ends.size);
    if (begin == end) return KITH_OK;
    uint32_t *slot = slot_of(keys, keys->bytes.data + begin, end - begin);
    if (*slot) {
        *twin = *slot - 1;
        return KITH_OK;
    }
    *slot = number + 1;
    keys->used++;
    for (uint32_t c = 0; c < count; c++)
        if (has_literals(&keys->schema->fields[c]) &&
            !add_literal(&keys->values[c], &keys->room[c], columns[c], row))
            return kt_fail_memory(error, keys->room[c]);
    return KITH_OK;
}

bool kt_keys_is_null(const struct kt_keys *keys, uint32_t number)
{
    struct kt_rows span = span_of(keys, number);
    return span.begin == span.end;
}

/* ---- the rows of a table that have them */

/* "column IN (values)": ORed pieces, since a list has a limit. The values are copied. */
static kith_status in_list(const char *column, const struct kt_value *values, struct kt_expr **out,
                           kith_error *error)
{
    struct kt_expr *any = NULL;
    kith_status status = KITH_OK;
    for (size_t at = 0; (at < values->count || !any) && !status; at += KT_FILTER_LIST) {
        struct kt_value list = *values, copy = { 0 };
        struct kt_expr *args[2] = { NULL, NULL }, *in = NULL;
        list.items = values->items ? values->items + at : NULL;
        list.count = values->count > at ? kt_min_u64(values->count - at, KT_FILTER_LIST) : 0;
        list.kind = KT_VALUE_LIST;
        status = kt_expr_column(&column, 1, &args[0], error);
        if (!status && !kt_value_copy(&list, &copy)) status = kt_fail_memory(error, list.count * sizeof list);
        if (!status) status = kt_expr_literal(&copy, &args[1], error);
        if (status) {
            kt_expr_release(args[0]);
            break;
        }
        status = kt_expr_make(KT_FN_IN, args, 2, &in, error);
        if (!status && any) {
            struct kt_expr *both[2] = { any, in };
            any = NULL;
            status = kt_expr_make(KT_FN_OR, both, 2, &any, error);
        } else if (!status) {
            any = in;
        }
    }
    if (status)
        kt_expr_release(any);
    else
        *out = any;
    return status;
}

/* The rows that may have one of the keys; *out is NULL where no filter can tell. */
static kith_status candidates(const struct kt_keys *keys, struct kt_snapshot *snapshot, struct kt_where **out,
                              kith_error *error)
{
    struct kt_expr *all = NULL;
    kith_status status = KITH_OK;
    *out = NULL;
    for (uint32_t c = 0; c < keys->schema->count && !status; c++) {
        const struct kt_field *field = &keys->schema->fields[c];
        struct kt_expr *in = NULL;
        if (!has_literals(field)) continue;
        status = in_list(snapshot->schema->fields[keys->columns[c]].name, &keys->values[c], &in, error);
        if (!status && all) {
            struct kt_expr *both[2] = { all, in };
            all = NULL;
            status = kt_expr_make(KT_FN_AND, both, 2, &all, error);
        } else if (!status) {
            all = in;
        }
    }
    if (!status && all) status = kt_where_of(snapshot, NULL, all, NULL, out, error);
    kt_expr_release(all);
    return status;
}

/* Looks rows up whose key columns have been fetched. */
static kith_status look_up(const struct kt_keys *keys, const struct kt_batch *batch,
                           const struct kt_hit *hits, struct kt_buffer *matches, kith_error *error)
{
    struct kt_buffer bytes = { 0 };
    uint32_t count = keys->schema->count;
    const struct kt_array **columns = kt_alloc_array(count, sizeof *columns);
    kith_status status = columns ? KITH_OK : kt_fail_memory(error, count * sizeof *columns);
    for (uint32_t c = 0; c < count && !status; c++) columns[c] = &batch->columns[c];
    for (int64_t i = 0; i < batch->rows && !status; i++) {
        bytes.size = 0;
        if (!put_row(columns, count, i, &bytes)) status = kt_fail_memory(error, bytes.size);
        if (status || !bytes.size) continue;
        uint32_t slot = *slot_of(keys, bytes.data, bytes.size);
        const struct kt_match match = { hits[i].row, slot - 1 };
        if (slot && !kt_buffer_append(matches, &match, sizeof match))
            status = kt_fail_memory(error, matches->size);
    }
    kt_buffer_release(&bytes);
    kt_free(columns);
    return status;
}

kith_status kt_rows_fetch(const struct kt_snapshot *snapshot, const struct kt_projection *projection,
                          const struct kt_selection *rows, uint64_t *from, struct kt_hit *hits, uint32_t most,
                          struct kt_batch **out, kith_error *error)
{
    uint32_t count = 0;
    *out = NULL;
    for (; *from != UINT64_MAX && count < most; *from = kt_selection_next(rows, *from + 1))
        hits[count++] = (struct kt_hit){ 0, *from };
    return count ? kt_fetch(snapshot, projection, hits, &count, 1, count, out, error) : KITH_OK;
}

kith_status kt_every_row(struct kt_snapshot *snapshot, struct kt_where **out, kith_error *error)
{
    return kt_where_of(snapshot, "true", NULL, NULL, out, error);
}

kith_status kt_keys_match(const struct kt_keys *keys, struct kt_snapshot *snapshot, struct kt_match **out,
                          size_t *count, kith_error *error)
{
    struct kt_where *where = NULL;
    struct kt_projection projection = { 0 };
    struct kt_buffer matches = { 0 };
    *out = NULL;
    *count = 0;
    if (!keys->used) return KITH_OK;
    kith_status status = candidates(keys, snapshot, &where, error);
    if (!status && !where) status = kt_every_row(snapshot, &where, error);
    const char **names = kt_alloc_array(keys->schema->count, sizeof *names);
    struct kt_hit *hits = kt_alloc_array(KT_ROWS_AT_ONCE, sizeof *hits);
    if (!status && (!names || !hits)) status = kt_fail_memory(error, KT_ROWS_AT_ONCE * sizeof *hits);
    for (uint32_t c = 0; c < keys->schema->count && !status; c++)
        names[c] = snapshot->schema->fields[keys->columns[c]].name;
    struct kt_wanted wanted = { .columns = names, .column_count = keys->schema->count };
    if (!status) status = kt_projection_make(snapshot, &wanted, &projection, error);
    uint64_t row = status ? UINT64_MAX : kt_selection_next(&where->rows, 0);
    while (!status && row != UINT64_MAX) {
        struct kt_batch *batch = NULL;
        status =
            kt_rows_fetch(snapshot, &projection, &where->rows, &row, hits, KT_ROWS_AT_ONCE, &batch, error);
        if (!status && batch) status = look_up(keys, batch, hits, &matches, error);
        kt_batch_release(batch);
    }
    kt_projection_release(&projection);
    kt_where_release(where);
    kt_free(names);
    kt_free(hits);
    if (status) {
        kt_buffer_release(&matches);
        return status;
    }
    *out = (struct kt_match *)(void *)matches.data;
    *count = matches.size / sizeof **out;
    return KITH_OK;
}

/* ---- the guard of a table's key */

struct kt_key_guard {
    struct kt_keys *keys;
    char name[200];
};

static void key_text(const struct kt_array *column, int64_t row, char *to, size_t size)
{
    int64_t count;
    if (is_text(column->field->type)) {
        const uint8_t *bytes = kt_array_bytes(column, row, &count);
        snprintf(to, size, "'%.*s'", (int)kt_min_u64((uint64_t)count, 100), (const char *)bytes);
    } else if (is_signed(column->field->type)) {
        snprintf(to, size, "%lld", (long long)signed_at(column, row));
    } else {
        snprintf(to, size, "%llu", (unsigned long long)unsigned_at(column, row));
    }
}

/* How a key reads, from the literals that were kept of it. */
static void literal_text(const struct kt_keys *keys, uint32_t nth, char *to, size_t size)
{
    const struct kt_value *value = &keys->values[0].items[nth];
    if (value->kind == KT_VALUE_TEXT)
        snprintf(to, size, "'%.100s'", value->text);
    else if (value->kind == KT_VALUE_INT)
        snprintf(to, size, "%lld", (long long)value->integer);
    else
        snprintf(to, size, "%llu", (unsigned long long)value->natural);
}

static kith_status guard_begin(void *context, const struct kt_schema *schema, int key, kith_error *error)
{
    struct kt_key_guard *guard = context;
    uint32_t column = (uint32_t)key;
    kt_keys_free(guard->keys); /* of rows that are written again for other columns */
    guard->keys = NULL;
    snprintf(guard->name, sizeof guard->name, "%s", schema->fields[key].name);
    return kt_keys_new(schema, &column, 1, &guard->keys, error);
}

static kith_status guard_see(void *context, const struct kt_batch *rows, kith_error *error)
{
    struct kt_key_guard *guard = context;
    const struct kt_array *column = &rows->columns[guard->keys->columns[0]];
    kith_status status = KITH_OK;
    for (int64_t i = 0; i < rows->rows && !status; i++) {
        uint32_t number = kt_keys_count(guard->keys), twin;
        char text[160];
        if (kt_array_null(column, i))
            return kt_fail(error, KITH_INVALID,
                           "row %u has no key: column \"%s\" is the table's key and "
                           "cannot be null",
                           number, guard->name);
        status = kt_keys_add(guard->keys, &column, i, &twin, error);
        if (status || twin == number) continue;
        key_text(column, i, text, sizeof text);
        return kt_fail(error, KITH_EXISTS,
                       "key %s comes twice in the data, in rows %u and %u; column \"%s\" is the table's key. "
                       "upsert() keeps the last",
                       text, twin, number, guard->name);
    }
    return status;
}

static kith_status guard_check(void *context, struct kt_snapshot *snapshot, kith_error *error)
{
    struct kt_key_guard *guard = context;
    struct kt_match *matches = NULL;
    size_t count = 0;
    char text[160];
    kith_status status = kt_keys_match(guard->keys, snapshot, &matches, &count, error);
    if (!status && count) {
        literal_text(guard->keys, matches[0].number, text, sizeof text); /* no two are alike: one a key */
        char others[80] = "";
        if (count > 1)
            snprintf(others, sizeof others, ", and so are %zu more of the %u given", count - 1,
                     kt_keys_count(guard->keys));
        status = kt_fail(error, KITH_EXISTS,
                         "key %s is in the table already%s; column \"%s\" is the table's key. "
                         "upsert() replaces such rows",
                         text, others, guard->name);
    }
    kt_free(matches);
    return status;
}

kith_status kt_create(struct kt_catalog *catalog, const char *name, struct ArrowArrayStream *data,
                      const kith_create *options, struct kt_table **out, kith_error *error)
{
    struct kt_key_guard watch = { 0 };
    const struct kt_guard guard = { &watch, guard_begin, guard_see, guard_check };
    kith_status status = kt_table_create(catalog, name, data, options, &guard, out, error);
    kt_keys_free(watch.keys);
    return status;
}

kith_status kt_append(struct kt_table *table, struct ArrowArrayStream *data, const kith_write *options,
                      uint64_t *version, kith_error *error)
{
    struct kt_key_guard watch = { 0 };
    const struct kt_guard guard = { &watch, guard_begin, guard_see, guard_check };
    kith_status status = kt_table_insert(table, data, options, &guard, version, error);
    kt_keys_free(watch.keys);
    return status;
}
