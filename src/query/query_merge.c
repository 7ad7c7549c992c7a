/* Merging rows into a table: those that match a row of the table take its place, the others are added.
 *
 * The data is read whole and its values in the matching columns become keys (query_keys.c); the rows of the
 * table that have one of them are found on the newest snapshot. From there on it is a change like any other:
 * rows to delete, rows to add, one commit. It rests on rows not being there as well, so any commit that came
 * between is a reason to work it out again: two writers who upsert the same new key make one row.
 */
#include "base/bytes.h"
#include "query/query_private.h"

struct merge {
    const kith_merge *options;
    const char *only;        /* the data is this one column, whatever it calls it; or NULL */
    struct kt_schema *given; /* the columns of the data, as the table has them */
    struct kt_batch *data;   /* all of it */
    struct kt_keys *keys;    /* of its rows */
    uint32_t *first;         /* for each row: the first one with its key */
    uint32_t *last;          /* for each row that counts as one: the row it is taken from; else UINT32_MAX */
    struct kt_snapshot *base;
    struct kt_match *matches;
    size_t match_count;
    uint64_t *updated;           /* bits of the matches that are updated */
    uint64_t *taken;             /* bits of the data's rows that match */
    struct kt_projection others; /* columns that the data lacks */
    uint32_t *others_at;         /* for each column of the table: where in `others`; else UINT32_MAX */
    size_t at;                   /* of the matches, then of the data's rows */
    bool inserting;
    struct kt_work work;
    uint64_t done, to_do; /* rows to write, for progress */
};

static bool bit_of(const uint64_t *bits, size_t at)
{
    return bits[at / 64] >> (at % 64) & 1;
}

static void set_bit(uint64_t *bits, size_t at)
{
    bits[at / 64] |= UINT64_C(1) << (at % 64);
}

/* ---- the data */

/* The columns of `from` as the table has them, in its order. */
static kith_status given_schema(const struct kt_schema *from, const struct kt_schema *table,
                                struct kt_schema **out, kith_error *error)
{
    struct kt_field *fields = kt_alloc_array(from->count, sizeof *fields);
    uint32_t count = 0;
    if (!fields) return kt_fail_memory(error, from->count * sizeof *fields);
    for (uint32_t i = 0; i < table->count; i++)
        if (kt_schema_find(from, table->fields[i].name) >= 0) fields[count++] = table->fields[i];
    kith_status status = KITH_OK;
    for (uint32_t i = 0; i < from->count && !status; i++)
        if (kt_schema_find(table, from->fields[i].name) < 0)
            status = kt_fail(error, KITH_INVALID, "the data has a column \"%s\", which the table has not",
                             from->fields[i].name);
    if (!status) status = kt_schema_new(fields, count, NULL, out, error);
    kt_free(fields);
    return status;
}

/* The schema of a stream's only column under another name; takes the place of *schema. */
static kith_status name_only(struct kt_schema **schema, const char *name, kith_error *error)
{
    struct kt_schema *named = NULL;
    if ((*schema)->count != 1)
        return kt_fail(error, KITH_INVALID, "one column is wanted, for \"%s\", not %u", name,
                       (*schema)->count);
    struct kt_field field = (*schema)->fields[0];
    field.name = (char *)name;
    kith_status status = kt_schema_new(&field, 1, NULL, &named, error);
    if (status) return status;
    kt_schema_release(*schema);
    *schema = named;
    return KITH_OK;
}

kith_status kt_stream_drain(struct ArrowArrayStream *stream, const struct kt_schema *table,
                            const struct kt_draining *how, struct kt_schema **given, struct kt_batch **out,
                            kith_error *error)
{
    struct kt_schema *from = NULL;
    struct kt_builder *builder = NULL;
    struct kt_cast cast = { .bad_vectors = how->write->bad_vectors, .fill_value = how->write->fill_value };
    kith_status status = kt_stream_schema(stream, &from, error);
    if (!status && how->only) status = name_only(&from, how->only, error);
    if (!status) status = given_schema(from, table, given, error);
    if (!status) status = kt_builder_new(*given, 0, &builder, error);
    while (!status) {
        struct kt_batch *batch = NULL, *fitted = NULL;
        status = kt_stream_next(stream, from, &batch, error);
        if (status || !batch) break;
        status = kt_batch_cast(batch, *given, &cast, &fitted, error);
        cast.first_row += (uint64_t)batch->rows;
        for (uint32_t c = 0; !status && c < (*given)->count; c++)
            status = kt_builder_append(builder, c, &fitted->columns[c], 0, fitted->rows, error);
        if (!status && how->work) status = kt_work_tick(how->work, "rows", cast.first_row, 0, error);
        kt_batch_release(fitted);
        kt_batch_release(batch);
    }
    kt_schema_release(from);
    if (status)
        kt_builder_free(builder);
    else
        status = kt_builder_finish(builder, out, error);
    return status;
}

/* The columns to match by: as options say, else the table's key. */
static kith_status settle_on(const struct merge *merge, uint32_t *columns, uint32_t *count, kith_error *error)
{
    const kith_merge *options = merge->options;
    const struct kt_schema *schema = merge->base->schema;
    int key = kt_snapshot_key(merge->base);
    *count = 0;
    if (!options->on_count && key < 0)
        return kt_fail(error, KITH_INVALID,
                       "the table has no key: say which columns make two rows the same one");
    if (options->on_count > schema->count)
        return kt_fail(error, KITH_INVALID, "rows cannot be matched by %zu columns", options->on_count);
    for (size_t i = 0; i < kt_max_u64(options->on_count, 1); i++) {
        const char *name = options->on_count ? options->on[i] : schema->fields[key].name;
        int column = kt_schema_find(schema, name);
        if (column < 0)
            return kt_fail(error, KITH_NOT_FOUND, "there is no column \"%s\" to match rows by", name);
        if (kt_schema_find(merge->given, name) < 0)
            return kt_fail(error, KITH_INVALID, "the data lacks column \"%s\", by which rows are matched",
                           name);
        columns[(*count)++] = (uint32_t)column;
    }
    return KITH_OK;
}

/* Gives each row of the data its key, and settles which of equal rows counts. Where none of them is to update
 * a row there is nothing to settle: those that match no row are all added, as LanceDB does. */
static kith_status add_keys(struct merge *merge, kith_error *error)
{
    const struct kt_schema *schema = kt_keys_schema(merge->keys);
    const struct kt_array **columns = kt_alloc_array(schema->count, sizeof *columns);
    const kith_merge *options = merge->options;
    uint32_t rows = (uint32_t)merge->data->rows;
    merge->last = kt_alloc_array(rows + (size_t)1, sizeof *merge->last);
    merge->first = kt_alloc_array(rows + (size_t)1, sizeof *merge->first);
    kith_status status =
        columns && merge->last && merge->first ? KITH_OK : kt_fail_memory(error, rows * sizeof *merge->last);
    for (uint32_t c = 0; c < schema->count && !status; c++)
        columns[c] = &merge->data->columns[kt_schema_find(merge->given, schema->fields[c].name)];
    for (uint32_t row = 0; row < rows && !status; row++) {
        uint32_t twin;
        status = kt_keys_add(merge->keys, columns, row, &twin, error);
        if (status) break;
        merge->first[row] = twin;
        merge->last[row] = row;
        if (twin == row || (!options->keep_last && !options->update_matched)) continue;
        merge->last[row] = UINT32_MAX;
        merge->last[twin] = row;
        if (!options->keep_last)
            status =
                kt_fail(error, KITH_INVALID,
                        "Ambiguous merge inserts are prohibited: rows %u and %u of the data are the same "
                        "one by column \"%s\"; which of them counts cannot be known",
                        twin, row, schema->fields[0].name);
    }
    kt_free(columns);
    return status;
}

static kith_status read_data(struct merge *merge, struct ArrowArrayStream *stream, kith_error *error)
{
    uint32_t *on = kt_alloc_array(merge->base->schema->count, sizeof *on), count;
    kith_status status = on ? KITH_OK : kt_fail_memory(error, merge->base->schema->count * sizeof *on);
    const struct kt_draining how = { &merge->options->write, merge->only, &merge->work };
    if (!status)
        status = kt_stream_drain(stream, merge->base->schema, &how, &merge->given, &merge->data, error);
    if (!status && merge->data->rows >= UINT32_MAX)
        status = kt_fail(error, KITH_UNSUPPORTED, "at most %u rows can be merged at once", UINT32_MAX - 1);
    if (!status) status = settle_on(merge, on, &count, error);
    if (!status) status = kt_keys_new(merge->base->schema, on, count, &merge->keys, error);
    if (!status) status = add_keys(merge, error);
    kt_free(on);
    return status;
}

/* ---- which matches are updated */

/* "target" and "source": structs of the table's columns and the data's. */
static kith_status pair_schema(const struct merge *merge, struct kt_schema **out, kith_error *error)
{
    const struct kt_schema *table = merge->base->schema;
    struct kt_field sides[2] = {
        { .name = (char *)"target",
          .id = -1,
          .type = KT_STRUCT,
          .children = table->fields,
          .child_count = table->count },
        { .name = (char *)"source",
          .id = -1,
          .type = KT_STRUCT,
          .children = merge->given->fields,
          .child_count = merge->given->count },
    };
    return kt_schema_new(sides, 2, NULL, out, error);
}

/* Rows of the data, one for each number. */
static kith_status take_data(const struct merge *merge, const uint32_t *numbers, size_t count,
                             struct kt_batch **out, kith_error *error)
{
    struct kt_builder *builder = NULL;
    kith_status status = kt_builder_new(merge->given, (int64_t)count, &builder, error);
    for (uint32_t c = 0; c < merge->given->count; c++)
        for (size_t i = 0; i < count && !status; i++)
            status = kt_builder_append(builder, c, &merge->data->columns[c], numbers[i], 1, error);
    if (!status) return kt_builder_finish(builder, out, error);
    kt_builder_free(builder);
    return status;
}

struct pairs { /* some matches */
    struct kt_hit *hits;
    uint32_t *numbers;
    uint32_t count;
};

static kith_status judge(struct merge *merge, const struct kt_filter *filter, const struct kt_schema *schema,
                         const struct kt_projection *all, const struct pairs *pairs, size_t first,
                         kith_error *error)
{
    struct kt_batch *target = NULL, *source = NULL;
    struct kt_arena scratch = { 0 };
    uint64_t bits[KT_ROWS_AT_ONCE / 64 + 1];
    uint32_t columns, count = pairs->count;
    const uint32_t *numbers = kt_filter_columns(filter, &columns);
    kith_status status = kt_fetch(merge->base, all, pairs->hits, &count, 1, count, &target, error);
    if (!status) status = take_data(merge, pairs->numbers, count, &source, error);
    if (!status) {
        struct kt_array sides[2] = {
            { .field = &schema->fields[0], .length = count, .children = target->columns },
            { .field = &schema->fields[1], .length = count, .children = source->columns }
        };
        struct kt_array used[2] = { sides[0], sides[1] };
        for (uint32_t i = 0; i < columns; i++) used[i] = sides[numbers[i]];
        const struct kt_filter_rows rows = { .columns = used, .count = count };
        status = kt_filter_eval(filter, &rows, NULL, &scratch, bits, error);
    }
    for (uint32_t i = 0; i < count && !status; i++)
        if (bit_of(bits, i)) set_bit(merge->updated, first + i);
    kt_arena_release(&scratch);
    kt_batch_release(source);
    kt_batch_release(target);
    return status;
}

/* Notes the matches from `at` on, and returns how many. */
static void some_pairs(const struct merge *merge, size_t at, struct pairs *pairs)
{
    for (pairs->count = 0; pairs->count < KT_ROWS_AT_ONCE && at < merge->match_count; at++) {
        pairs->hits[pairs->count] = (struct kt_hit){ 0, merge->matches[at].row };
        pairs->numbers[pairs->count++] = merge->last[merge->matches[at].number];
    }
}

static kith_status judge_all(struct merge *merge, struct pairs *pairs, kith_error *error)
{
    struct kt_schema *schema = NULL;
    struct kt_expr *expr = NULL;
    struct kt_filter *filter = NULL;
    struct kt_projection all = { 0 };
    struct kt_wanted wanted = { 0 };
    kith_status status = pair_schema(merge, &schema, error);
    if (!status) status = kt_expr_parse(merge->options->update_where, NULL, 0, &expr, error);
    if (!status) status = kt_filter_bind(expr, schema, true, &filter, error);
    if (!status) status = kt_projection_make(merge->base, &wanted, &all, error);
    for (size_t at = 0; at < merge->match_count && !status; at += pairs->count) {
        some_pairs(merge, at, pairs);
        status = judge(merge, filter, schema, &all, pairs, at, error);
    }
    kt_projection_release(&all);
    kt_filter_free(filter);
    kt_expr_release(expr);
    kt_schema_release(schema);
    return status;
}

/* ---- the rows to add */

static kith_status project_others(struct merge *merge, kith_error *error)
{
    const struct kt_schema *schema = merge->base->schema;
    const char **names = kt_alloc_array(schema->count, sizeof *names);
    uint32_t count = 0;
    merge->others_at = kt_alloc_array(schema->count, sizeof *merge->others_at);
    kith_status status = names && merge->others_at ? KITH_OK : kt_fail_memory(error, schema->count * 8);
    for (uint32_t i = 0; i < schema->count && !status; i++) {
        bool given = kt_schema_find(merge->given, schema->fields[i].name) >= 0;
        merge->others_at[i] = given ? UINT32_MAX : count;
        if (!given) names[count++] = schema->fields[i].name;
    }
    struct kt_wanted wanted = { .columns = names, .column_count = count };
    if (!status && count) status = kt_projection_make(merge->base, &wanted, &merge->others, error);
    kt_free(names);
    return status;
}

/* Puts together rows: columns of the data from its rows, the others from the rows they match, or null. */
static kith_status assemble(const struct merge *merge, const struct pairs *pairs, bool matched,
                            struct kt_batch **out, kith_error *error)
{
    const struct kt_schema *schema = merge->base->schema;
    struct kt_builder *builder = NULL;
    struct kt_batch *old = NULL;
    kith_status status = KITH_OK;
    if (matched && merge->others.schema)
        status =
            kt_fetch(merge->base, &merge->others, pairs->hits, &pairs->count, 1, pairs->count, &old, error);
    if (!status) status = kt_builder_new(schema, pairs->count, &builder, error);
    for (uint32_t c = 0; c < schema->count && !status; c++) {
        uint32_t other = merge->others_at[c];
        int given = kt_schema_find(merge->given, schema->fields[c].name);
        if (other != UINT32_MAX && old)
            status = kt_builder_append(builder, c, &old->columns[other], 0, old->rows, error);
        else if (other != UINT32_MAX && !schema->fields[c].nullable)
            status =
                kt_fail(error, KITH_TYPE, "the data lacks column \"%s\", which cannot be null in new rows",
                        schema->fields[c].name);
        else if (other != UINT32_MAX)
            status = kt_builder_append_nulls(builder, c, pairs->count, error);
        for (uint32_t i = 0; given >= 0 && i < pairs->count && !status; i++)
            status = kt_builder_append(builder, c, &merge->data->columns[given], pairs->numbers[i], 1, error);
    }
    kt_batch_release(old);
    if (!status) return kt_builder_finish(builder, out, error);
    kt_builder_free(builder);
    return status;
}

struct rows_to_add {
    struct merge *merge;
    struct pairs pairs;
};

/* Whether a row of the data counts and matches no row. */
static bool is_new(const struct merge *merge, size_t row)
{
    return merge->last[row] != UINT32_MAX && !bit_of(merge->taken, merge->first[row]);
}

/* Notes the next rows to add: first those that take another's place, then the new ones. */
static bool next_pairs(struct merge *merge, struct pairs *pairs)
{
    pairs->count = 0;
    for (; !merge->inserting && merge->at < merge->match_count && pairs->count < KT_ROWS_AT_ONCE;
         merge->at++) {
        if (!bit_of(merge->updated, merge->at)) continue;
        pairs->hits[pairs->count] = (struct kt_hit){ 0, merge->matches[merge->at].row };
        pairs->numbers[pairs->count++] = merge->last[merge->matches[merge->at].number];
    }
    if (pairs->count) return true;
    if (!merge->inserting) merge->at = 0;
    merge->inserting = true;
    for (; merge->options->insert_new && merge->at < (size_t)merge->data->rows &&
           pairs->count < KT_ROWS_AT_ONCE;
         merge->at++)
        if (is_new(merge, merge->at)) pairs->numbers[pairs->count++] = merge->last[merge->at];
    return false;
}

/* The next rows to add: a kt_next_fn. */
static kith_status next_merged(void *context, struct kt_batch **out, kith_error *error)
{
    struct rows_to_add *adding = context;
    struct merge *merge = adding->merge;
    bool matched = next_pairs(merge, &adding->pairs);
    *out = NULL;
    if (!adding->pairs.count) return KITH_OK;
    kith_status status = assemble(merge, &adding->pairs, matched, out, error);
    merge->done += adding->pairs.count;
    return status ? status : kt_work_tick(&merge->work, "rows", merge->done, merge->to_do, error);
}

/* ---- all of it */

static kith_status find_matches(struct merge *merge, kith_error *error)
{
    size_t rows = (size_t)merge->data->rows;
    kith_status status = kt_keys_match(merge->keys, merge->base, &merge->matches, &merge->match_count, error);
    if (status) return status;
    merge->updated = kt_alloc_zero(merge->match_count / 64 + 1, sizeof *merge->updated);
    merge->taken = kt_alloc_zero(rows / 64 + 1, sizeof *merge->taken);
    if (!merge->updated || !merge->taken) return kt_fail_memory(error, rows / 8);
    for (size_t i = 0; i < merge->match_count; i++) set_bit(merge->taken, merge->matches[i].number);
    return KITH_OK;
}

/* The rows of the table that match none of the data and go. */
static kith_status find_missing(struct merge *merge, struct kt_where **out, kith_error *error)
{
    const char *text = merge->options->delete_where;
    *out = NULL;
    if (!merge->options->delete_missing) return KITH_OK;
    kith_status status = kt_where_of(merge->base, text ? text : "true", NULL, NULL, out, error);
    for (size_t i = 0; i < merge->match_count && !status; i++) {
        uint64_t row = merge->matches[i].row;
        if (!kt_selected(&(*out)->rows, row)) continue;
        (*out)->rows.words[row / 64] &= ~(UINT64_C(1) << (row % 64)); /* nobody else has it */
        (*out)->rows.count--;
    }
    return status;
}

/* Rows to delete, rising: those updated, and those that are missing. */
static kith_status list_deleted(const struct merge *merge, const struct kt_where *missing, uint64_t **out,
                                size_t *count, size_t *updated, kith_error *error)
{
    size_t gone = missing ? missing->rows.count : 0;
    uint64_t *ids = kt_alloc_array(merge->match_count + gone, sizeof *ids);
    uint64_t next = missing ? kt_selection_next(&missing->rows, 0) : UINT64_MAX;
    if (!ids) return kt_fail_memory(error, (merge->match_count + gone) * sizeof *ids);
    *count = *updated = 0;
    for (size_t i = 0; i < merge->match_count; i++) {
        for (; next < merge->matches[i].row; next = kt_selection_next(&missing->rows, next + 1))
            ids[(*count)++] = next;
        if (!bit_of(merge->updated, i)) continue;
        ids[(*count)++] = merge->matches[i].row;
        ++*updated;
    }
    for (; next != UINT64_MAX; next = kt_selection_next(&missing->rows, next + 1)) ids[(*count)++] = next;
    *out = ids;
    return KITH_OK;
}

static uint64_t count_new(const struct merge *merge)
{
    uint64_t count = 0;
    for (size_t i = 0; merge->options->insert_new && i < (size_t)merge->data->rows; i++)
        count += is_new(merge, i);
    return count;
}

/* Where rows are matched by other columns than the key, the key of what is added must still be new. */
static kith_status check_key(struct merge *merge, const uint64_t *deleted, size_t deleted_count,
                             kith_error *error);

static kith_status attempt(struct kt_table *table, struct merge *merge, struct pairs pairs,
                           kith_changed *changed, kith_error *error)
{
    struct kt_where *missing = NULL;
    uint64_t *deleted = NULL;
    size_t deleted_count = 0, updated = 0;
    struct rows_to_add adding = { merge, pairs };
    kith_status status = find_matches(merge, error);
    if (!status && merge->options->update_matched) {
        if (merge->options->update_where)
            status = judge_all(merge, &pairs, error);
        else
            memset(merge->updated, 0xff, (merge->match_count / 64 + 1) * sizeof *merge->updated);
    }
    if (!status) status = find_missing(merge, &missing, error);
    if (!status) status = list_deleted(merge, missing, &deleted, &deleted_count, &updated, error);
    if (!status) status = project_others(merge, error);
    if (!status) status = check_key(merge, deleted, deleted_count, error);
    if (!status) {
        uint64_t inserted = count_new(merge);
        changed->version = merge->base->state->version;
        changed->inserted = inserted;
        changed->updated = updated;
        changed->deleted = deleted_count - updated;
        merge->at = 0;
        merge->inserting = false;
        merge->done = 0;
        merge->to_do = inserted + updated;
        const struct kt_change change = { .operation = "merge",
                                          .deleted = deleted,
                                          .deleted_count = deleted_count,
                                          .next = inserted || updated ? next_merged : NULL,
                                          .context = &adding,
                                          .of_this_version = true,
                                          .options = &merge->options->write };
        if (inserted || deleted_count)
            status = kt_table_change(table, merge->base, &change, &changed->version, error);
    }
    kt_where_release(missing);
    kt_free(deleted);
    return status;
}

static void forget_attempt(struct merge *merge)
{
    kt_free(merge->matches);
    kt_free(merge->updated);
    kt_free(merge->taken);
    kt_free(merge->others_at);
    kt_projection_release(&merge->others);
    merge->matches = NULL;
    merge->updated = merge->taken = NULL;
    merge->others_at = NULL;
}

static bool is_among(const uint64_t *rows, size_t count, uint64_t row)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && rows[low] == row;
}

static kith_status check_key(struct merge *merge, const uint64_t *deleted, size_t deleted_count,
                             kith_error *error)
{
    struct kt_keys *keys = NULL;
    struct kt_match *matches = NULL;
    size_t count = 0;
    int key = kt_snapshot_key(merge->base);
    if (key < 0) return KITH_OK;
    const char *name = merge->base->schema->fields[key].name;
    int given = kt_schema_find(merge->given, name);
    if (given < 0 && merge->options->insert_new && count_new(merge))
        return kt_fail(error, KITH_INVALID, "the data lacks column \"%s\", the key of the table", name);
    if (given < 0) return KITH_OK; /* updated rows keep theirs */
    uint32_t column = (uint32_t)key;
    const struct kt_array *array = &merge->data->columns[given];
    uint64_t *comes = kt_alloc_zero((size_t)merge->data->rows / 64 + 1, sizeof *comes);
    kith_status status = comes ? kt_keys_new(merge->base->schema, &column, 1, &keys, error)
                               : kt_fail_memory(error, (size_t)merge->data->rows / 8);
    for (size_t i = 0; i < merge->match_count && !status; i++)
        if (bit_of(merge->updated, i)) set_bit(comes, merge->last[merge->matches[i].number]);
    for (int64_t i = 0; i < merge->data->rows && !status; i++)
        if (merge->options->insert_new && is_new(merge, (size_t)i)) set_bit(comes, merge->last[i]);
    for (int64_t i = 0; i < merge->data->rows && !status; i++) {
        uint32_t number = keys ? kt_keys_count(keys) : 0, twin;
        if (!bit_of(comes, (size_t)i)) continue;
        if (kt_array_null(array, i))
            status = kt_fail(error, KITH_INVALID, "row %lld of the data has no key: column \"%s\" is null",
                             (long long)i, name);
        if (!status) status = kt_keys_add(keys, &array, i, &twin, error);
        if (!status && twin != number)
            status = kt_fail(error, KITH_EXISTS, "row %lld of the data has a key that another one has, too",
                             (long long)i);
    }
    if (!status) status = kt_keys_match(keys, merge->base, &matches, &count, error);
    for (size_t i = 0; i < count && !status; i++)
        if (!is_among(deleted, deleted_count, matches[i].row))
            status =
                kt_fail(error, KITH_EXISTS,
                        "a row of the data has the key (column \"%s\") of row %llu of the table, which it "
                        "does not match",
                        name, (unsigned long long)matches[i].row);
    kt_free(matches);
    kt_keys_free(keys);
    kt_free(comes);
    return status;
}

kith_status kt_merge(struct kt_table *table, struct ArrowArrayStream *data, const kith_merge *options,
                     kith_changed *changed, kith_error *error)
{
    struct merge merge = { .options = options,
                           .work = { .progress = options->write.progress,
                                     .user = options->write.progress_user } };
    struct pairs pairs = { .hits = kt_alloc_array(KT_ROWS_AT_ONCE, sizeof *pairs.hits),
                           .numbers = kt_alloc_array(KT_ROWS_AT_ONCE, sizeof *pairs.numbers) };
    double began = kt_seconds();
    kith_status status =
        pairs.hits && pairs.numbers ? KITH_OK : kt_fail_memory(error, KT_ROWS_AT_ONCE * sizeof *pairs.hits);
    if (!status) status = kt_table_writable(table, &merge.base, error);
    if (!status && !options->update_matched && !options->insert_new && !options->delete_missing)
        status = kt_fail(error, KITH_INVALID,
                         "nothing is to be done with matched, new or missing rows; say what shall be");
    if (!status) status = read_data(&merge, data, error);
    while (!status) {
        status = attempt(table, &merge, pairs, changed, error);
        forget_attempt(&merge);
        if (!kt_again(status, began, changed)) break;
        struct kt_snapshot *before = merge.base;
        merge.base = NULL;
        status = kt_table_writable(table, &merge.base, error);
        if (!status && merge.base->schema != before->schema) /* what was read is of other columns */
            status = kt_columns_changed(table, before, merge.base, "merge", error);
        kt_snapshot_release(before);
    }
    kt_free(merge.last);
    kt_free(merge.first);
    kt_keys_free(merge.keys);
    kt_batch_release(merge.data);
    kt_schema_release(merge.given);
    kt_snapshot_release(merge.base);
    kt_free(pairs.hits);
    kt_free(pairs.numbers);
    if (data->release) data->release(data);
    return status;
}

/* ---- rows by key */

kith_status kt_get(struct kt_table *table, struct ArrowArrayStream *stream, const kith_scan *options,
                   struct ArrowArrayStream *out, kith_error *error)
{
    struct merge merge = { 0 };
    kith_merge none = { .keep_last = true };
    struct kt_projection projection = { 0 };
    struct kt_wanted wanted = { 0 };
    struct kt_batch *batch = NULL;
    struct kt_work work = { 0 };
    merge.options = &none;
    if (options) kt_work_limit(&work, options->timeout_us, options->progress, options->progress_user);
    kith_status status = kt_table_snapshot(table, &merge.base, error);
    int key = status ? -1 : kt_snapshot_key(merge.base);
    if (!status && key < 0)
        status =
            kt_fail(error, KITH_INVALID, "the table has no key; create_table(..., key=...) gives it one");
    if (options)
        wanted = (struct kt_wanted){ .columns = options->columns,
                                     .expressions = options->expressions,
                                     .column_count = options->column_count,
                                     .row_id = options->with_row_id };
    if (!status) merge.only = merge.base->schema->fields[key].name;
    if (!status) status = kt_projection_make(merge.base, &wanted, &projection, error);
    if (!status) status = read_data(&merge, stream, error);
    if (!status) status = kt_work_poll(&work, "keys", error);
    if (!status) status = find_matches(&merge, error);
    projection.work = &work;
    uint32_t rows = status ? 0 : (uint32_t)merge.data->rows, found = 0;
    uint64_t *row_of = kt_alloc_array(rows + (size_t)1, sizeof *row_of);
    struct kt_hit *hits = kt_alloc_array(rows + (size_t)1, sizeof *hits);
    if (!status && (!row_of || !hits)) status = kt_fail_memory(error, rows * sizeof *hits);
    for (uint32_t i = 0; i < rows && !status; i++) row_of[i] = UINT64_MAX;
    for (size_t i = 0; i < merge.match_count && !status; i++)
        row_of[merge.matches[i].number] = merge.matches[i].row;
    for (uint32_t i = 0; i < rows && !status; i++) /* in the order asked for, each once */
        if (row_of[i] != UINT64_MAX) hits[found++] = (struct kt_hit){ 0, row_of[i] };
    if (!status) status = kt_fetch(merge.base, &projection, hits, &found, 1, found, &batch, error);
    if (!status) status = kt_stream_of_batches(projection.schema, &batch, 1, out, error);
    kt_batch_release(batch);
    kt_projection_release(&projection);
    forget_attempt(&merge);
    kt_free(row_of);
    kt_free(hits);
    kt_free(merge.last);
    kt_free(merge.first);
    kt_keys_free(merge.keys);
    kt_batch_release(merge.data);
    kt_schema_release(merge.given);
    kt_snapshot_release(merge.base);
    if (stream->release) stream->release(stream);
    return status;
}
