/* Writing rows: creating a table, adding rows, replacing them all, changing some.
 *
 * The data is drained first: each batch is checked, cast to the table's types and written into files that
 * nobody knows yet. Then one commit names them. Before that commit nothing has happened; after it the rows
 * are there for every process. A write that loses the race for a commit is put on top of the winner's, as
 * long as what it rests on still holds: an append rests on the columns, and on its keys being new; a change
 * on the rows that it deletes being there. Where the columns are others by then, the rows of an append are
 * written again for those (table_redo.c).
 */
#include "table/table_private.h"

#include "parallel/parallel.h"

enum { RETRY_SECONDS = 30 };

struct insertion {
    struct kt_table_home *home;
    struct kt_snapshot *base; /* what the write was worked out on; NULL for a new table */
    struct kt_schema *schema;
    json_t *schema_json; /* what the rows were written for */
    bool replace;        /* removes what is there and sets the schema */
    bool fresh;          /* the table must not exist yet, unless it may be replaced */
    bool creates;        /* sets the options too */
    const kith_create *create;
    const char *name;
    kt_next_fn next; /* the rows, batches of the schema; NULL: none */
    void *context;
    const struct kt_guard *guard; /* NULL: nothing to watch */
    uint64_t guarded;             /* the version that it was last asked about */
    const struct kt_change *change;
    struct kt_repeat repeat; /* of the write that had the same key */
    struct kt_redo redo; /* held where the columns were changed meanwhile: to be written again for those */
    struct kt_fragments fragments;
};

static void stream_release(struct ArrowArrayStream *stream)
{
    if (stream && stream->release) stream->release(stream);
}

/* ---- draining the stream */

struct source {
    struct ArrowArrayStream *stream;
    struct kt_schema *schema; /* the stream's */
    struct kt_batch *first;   /* read already, to see what it holds; NULL when the stream is empty */
    struct kt_schema *to;     /* the table's */
    struct kt_cast cast;
    struct kt_work work;
    uint64_t rows;
};

static kith_status source_open(struct source *source, const kith_write *options, kith_error *error)
{
    if (options) {
        source->work = (struct kt_work){ .progress = options->progress, .user = options->progress_user };
        source->cast =
            (struct kt_cast){ .bad_vectors = options->bad_vectors, .fill_value = options->fill_value };
    }
    kith_status status = kt_stream_schema(source->stream, &source->schema, error);
    while (!status && !source->first) { /* empty batches tell nothing about the data */
        status = kt_stream_next(source->stream, source->schema, &source->first, error);
        if (status || !source->first) break;
        if (source->first->rows == 0) {
            kt_batch_release(source->first);
            source->first = NULL;
        }
    }
    return status;
}

static void source_close(struct source *source)
{
    kt_batch_release(source->first);
    kt_schema_release(source->schema);
}

static kith_status source_batch(struct source *source, struct kt_batch **out, kith_error *error)
{
    if (source->first) {
        *out = source->first;
        source->first = NULL;
        return KITH_OK;
    }
    return kt_stream_next(source->stream, source->schema, out, error);
}

/* The next batch as the table has it: a kt_next_fn. */
static kith_status source_next(void *context, struct kt_batch **out, kith_error *error)
{
    struct source *source = context;
    struct kt_batch *batch = NULL;
    *out = NULL;
    kith_status status = source_batch(source, &batch, error);
    if (status || !batch) return status;
    source->cast.first_row = source->rows;
    source->rows += (uint64_t)batch->rows;
    status = kt_batch_cast(batch, source->to, &source->cast, out, error);
    if (!status) status = kt_work_tick(&source->work, "rows", source->rows, 0, error);
    kt_batch_release(batch);
    return status;
}

static kith_status drain(struct insertion *insertion, kith_error *error)
{
    while (insertion->next) {
        struct kt_batch *batch = NULL;
        kith_status status = insertion->next(insertion->context, &batch, error);
        if (!status && !batch) break;
        if (!status && batch->rows && insertion->guard)
            status = insertion->guard->see(insertion->guard->context, batch, error);
        if (!status && batch->rows) status = kt_fragments_add(&insertion->fragments, batch, error);
        kt_batch_release(batch);
        if (status) return status;
    }
    return kt_fragments_end(&insertion->fragments, true, error);
}

/* ---- the commit */

/* Sets a member of the config, or removes what an overwritten table had there. `value` is taken over. */
static kith_status set_or_remove(struct kt_txn *txn, const char *key, bool given, json_t *value,
                                 kith_error *error)
{
    if (given && !value) return kt_fail(error, KITH_INVALID, "%s is not UTF-8 text", key);
    kith_status status = kt_txn_set_config(txn, key, value, error);
    json_decref(value);
    return status;
}

static kith_status set_options(const kith_create *create, struct kt_txn *txn, kith_error *error)
{
    kith_create none = { 0 };
    kith_metric metric = KITH_METRIC_DEFAULT;
    if (!create) create = &none;
    bool threshold = create->no_auto_index || create->auto_index_threshold;
    kith_status status = create->metric ? kith_metric_parse(create->metric, &metric, error) : KITH_OK;
    if (!status)
        status = set_or_remove(txn, "metric", create->metric,
                               create->metric ? json_string(kith_metric_name(metric)) : NULL, error);
    if (!status)
        status = set_or_remove(txn, "key", create->key, create->key ? json_string(create->key) : NULL, error);
    if (!status)
        status = set_or_remove(
            txn, "auto_index_threshold", threshold,
            threshold ? json_integer(create->no_auto_index ? -1 : create->auto_index_threshold) : NULL,
            error);
    if (!status)
        status = set_or_remove(txn, "keep_versions", create->keep_versions != 0,
                               create->keep_versions ? json_integer(create->keep_versions) : NULL, error);
    return status;
}

static kith_status remove_all(const struct kt_state *state, struct kt_txn *txn, kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint32_t i = 0; i < state->fragment_count && !status; i++)
        status = kt_txn_remove_fragment(txn, state->fragments[i].first_row, error);
    for (uint32_t i = 0; i < state->piece_count && !status; i++)
        status = kt_txn_remove_piece(txn, state->pieces[i].id, error);
    return status;
}

/* Whether the keys of the rows are new to the table. */
static kith_status check_keys(struct insertion *insertion, const struct kt_state *state, kith_error *error)
{
    struct kt_snapshot *snapshot = NULL;
    if (!insertion->guard || (insertion->guarded == state->version && state->version)) return KITH_OK;
    bool replaced = insertion->replace || insertion->fresh; /* no old row will be left */
    kith_status status = replaced ? KITH_OK
                                  : kt_snapshot_open(insertion->home, kt_state_share(state), insertion->base,
                                                     &snapshot, error);
    if (!status && snapshot) status = insertion->guard->check(insertion->guard->context, snapshot, error);
    kt_snapshot_release(snapshot);
    insertion->guarded = state->version;
    return status;
}

static const char *operation_of(const struct insertion *insertion)
{
    return insertion->replace ? "overwrite" : "append";
}

static kith_status check_base(struct insertion *insertion, const struct kt_state *state, kith_error *error)
{
    const struct kt_change *change = insertion->change;
    const struct kt_state *base = insertion->base ? insertion->base->state : NULL;
    char news[KT_NEWS];
    if (insertion->fresh && state->commit && !(insertion->create && insertion->create->overwrite))
        return kt_fail(error, KITH_EXISTS, "Table '%s' already exists", insertion->name);
    if (state->dropped) return kt_fail(error, KITH_NOT_FOUND, "Table '%s' was dropped", insertion->name);
    if (!insertion->fresh && !insertion->creates && !json_equal(state->schema, insertion->schema_json)) {
        kith_status status = change ? KITH_OK
                                    : kt_redo_hold(&insertion->redo, kt_store_io(insertion->home->store),
                                                   &insertion->fragments, error);
        return status ? status
                      : kt_fail(error, KITH_CONFLICT, "the columns of table '%s' were changed (%s) during %s",
                                insertion->name, kt_state_news(state, base, news),
                                change ? change->operation : operation_of(insertion));
    }
    if (change && change->of_this_version && state->version != base->version)
        return kt_fail(error, KITH_CONFLICT, "table '%s' was changed (%s) during %s", insertion->name,
                       kt_state_news(state, base, news), change->operation);
    return KITH_OK;
}

static kith_status delete_rows(const struct insertion *insertion, const struct kt_state *state,
                               struct kt_txn *txn, kith_error *error)
{
    const struct kt_change *change = insertion->change;
    kith_error why = { 0 };
    char news[KT_NEWS];
    if (!change || !change->deleted_count) return KITH_OK;
    kith_status status = kt_txn_delete(txn, change->deleted, change->deleted_count, &why);
    if (status == KITH_CONFLICT)
        return kt_fail(error, status, "table '%s' was changed (%s) during %s: %.300s", insertion->name,
                       kt_state_news(state, insertion->base->state, news), change->operation, why.message);
    return status ? kt_fail(error, status, "%.500s", why.message) : KITH_OK;
}

static kith_status prepare(void *context, const struct kt_state *state, struct kt_txn *txn, kith_error *error)
{
    struct insertion *insertion = context;
    kith_status status = check_base(insertion, state, error);
    if (!status) status = check_keys(insertion, state, error);
    if (status) return status;
    if (insertion->replace || (insertion->fresh && state->commit)) status = remove_all(state, txn, error);
    if (!status && (insertion->fresh || insertion->replace))
        status = kt_txn_set_schema(txn, insertion->schema_json, error);
    if (!status && insertion->creates) status = set_options(insertion->create, txn, error);
    if (!status) status = delete_rows(insertion, state, txn, error);
    for (uint32_t i = 0; i < insertion->fragments.done_count && !status; i++)
        status = kt_txn_add_fragment(txn, &insertion->fragments.done[i], error);
    return status;
}

/* Drains the rows into files of a new transaction and commits it. */
static kith_status insert(struct insertion *insertion, const char *operation, const kith_write *options,
                          struct kt_state **out, kith_error *error)
{
    struct kt_txn *txn = NULL;
    insertion->fragments = (struct kt_fragments){ 0 };
    insertion->schema_json = kt_schema_to_json(insertion->schema);
    kith_status status = insertion->schema_json ? KITH_OK : kt_fail_memory(error, 1024);
    if (!status) status = kt_txn_begin(insertion->home->store, operation, &txn, error);
    if (!status && options && options->idempotency_key)
        status = kt_txn_set_key(txn, options->idempotency_key, &insertion->repeat, error);
    if (!status) {
        insertion->fragments.txn = txn;
        insertion->fragments.schema = insertion->schema;
        status = drain(insertion, error);
    }
    if (!status) {
        status = kt_txn_commit(txn, prepare, insertion, out, error);
        txn = NULL;
    }
    kt_fragments_release(&insertion->fragments); /* before the transaction: it removes its open files */
    kt_txn_abandon(txn);
    json_decref(insertion->schema_json);
    return status;
}

/* Begins to watch over the key that the rows have, or stops asking for it. */
static kith_status begin_guard(struct insertion *insertion, const char *key, kith_error *error)
{
    int column = key && insertion->guard ? kt_schema_find(insertion->schema, key) : -1;
    if (column >= 0) {
        const struct kt_guard *guard = insertion->guard;
        return guard->begin(guard->context, insertion->schema, column, error);
    }
    insertion->guard = NULL;
    return KITH_OK;
}

/* ---- creating */

static kith_status check_key(const struct kt_schema *schema, const char *key, kith_error *error)
{
    int column = kt_schema_find(schema, key);
    if (column < 0)
        return kt_fail(error, KITH_INVALID, "the key column \"%s\" is not among the table's columns", key);
    enum kt_type type = schema->fields[column].type;
    bool integer = type >= KT_INT8 && type <= KT_UINT64;
    if (integer || type == KT_UTF8 || type == KT_LARGE_UTF8) return KITH_OK;
    char text[120];
    kt_field_type_text(&schema->fields[column], text, sizeof text);
    return kt_fail(error, KITH_INVALID, "the key column \"%s\" is %s; a key is text or integers", key, text);
}

static kith_status check_create(const struct kt_schema *schema, const kith_create *options, kith_error *error)
{
    kith_metric metric;
    if (options && options->metric) {
        kith_status status = kith_metric_parse(options->metric, &metric, error);
        for (uint32_t i = 0; i < schema->count && !status && metric == KITH_HAMMING; i++)
            if (kt_field_is_vector(&schema->fields[i]) && kt_field_element(&schema->fields[i]) != KITH_U8)
                status =
                    kt_fail(error, KITH_INVALID,
                            "hamming compares the bits of uint8 vectors; column \"%s\" holds other numbers",
                            schema->fields[i].name);
        if (status) return status;
    }
    return options && options->key ? check_key(schema, options->key, error) : KITH_OK;
}

/* The table's schema: the one that was given, else the data's. */
static kith_status wanted_schema(const struct source *source, const kith_create *options,
                                 struct kt_schema **out, kith_error *error)
{
    struct kt_schema *given = NULL;
    kith_status status = KITH_OK;
    if (!options || !options->schema) {
        status = kt_schema_normalize(source->schema, source->first, out, error);
    } else {
        status = kt_schema_import(options->schema, &given, error);
        if (!status) status = kt_schema_normalize(given, NULL, out, error);
        kt_schema_release(given);
    }
    if (!status)
        json_object_del((*out)->metadata, KT_RECALL_KEY); /* rows of an answer are not one any more */
    return status;
}

/* Makes the rows of `source` the first commit of a new folder, or on top of `existing` a commit that replaces
 * all. */
static kith_status create(struct kt_catalog *catalog, const char *name, struct source *source,
                          const kith_create *options, const struct kt_guard *guard, struct kt_table *existing,
                          struct kt_table **out, kith_error *error)
{
    char folder[300];
    struct kt_store *store = existing ? existing->home->store : NULL;
    struct kt_table *table = existing;
    struct kt_state *state = NULL;
    struct kt_snapshot *snapshot = NULL;
    struct insertion insertion = { .fresh = !existing,
                                   .replace = existing != NULL,
                                   .creates = true,
                                   .create = options,
                                   .name = name,
                                   .next = source_next,
                                   .context = source,
                                   .guard = guard };

    kith_status status = wanted_schema(source, options, &insertion.schema, error);
    if (!status) status = check_create(insertion.schema, options, error);
    if (!status) status = begin_guard(&insertion, options ? options->key : NULL, error);
    if (status) goto out;
    source->to = insertion.schema;
    if (!existing) {
        kt_table_folder(name, folder);
        status = kt_store_create(kt_catalog_io(catalog), folder, &store, error);
        if (status == KITH_EXISTS)
            status =
                kt_fail(error, KITH_EXISTS, "Table '%s' already exists in %s", name, kt_catalog_uri(catalog));
        if (!status) status = kt_table_new(name, store, &table, error);
        if (status) goto out;
    }
    insertion.home = table->home;
    status = insert(&insertion, existing ? "overwrite" : "create", options ? &options->write : NULL, &state,
                    error);
    if (status) goto out;
    kith_error ignored; /* the table is there: a handle without a snapshot makes one when it is used */
    if (kt_table_adopt(table, state, NULL, &snapshot, &ignored) == KITH_OK)
        kt_table_auto_index(table, snapshot, options ? &options->write : NULL);
    *out = table;
    table = NULL;
out:
    kt_snapshot_release(snapshot);
    if (table != existing) kt_table_free(table);
    kt_schema_release(insertion.schema);
    return status;
}

kith_status kt_table_create(struct kt_catalog *catalog, const char *name, struct ArrowArrayStream *data,
                            const kith_create *options, const struct kt_guard *guard, struct kt_table **out,
                            kith_error *error)
{
    struct source source = { .stream = data };
    struct kt_table *existing = NULL;
    kith_status status = kt_table_name_check(name, error);
    if (!status) {
        kith_error unopened;
        status = kt_table_open(catalog, name, 0, &existing, &unopened);
        if (status == KITH_NOT_FOUND)
            status = KITH_OK;
        else if (status && error)
            *error = unopened;
    }
    if (!status && existing && options && options->exist_ok) {
        *out = existing;
        existing = NULL;
    } else if (!status && existing && !(options && options->overwrite)) {
        status =
            kt_fail(error, KITH_EXISTS, "Table '%s' already exists in %s", name, kt_catalog_uri(catalog));
    } else if (!status) {
        status = source_open(&source, options ? &options->write : NULL, error);
        if (!status) status = create(catalog, name, &source, options, guard, existing, out, error);
        if (!status) existing = NULL;
        if (status == KITH_EXISTS && options && options->exist_ok) /* another was first */
            status = kt_table_open(catalog, name, 0, out, error);
    }
    source_close(&source);
    kt_table_free(existing);
    stream_release(data);
    return status;
}

/* ---- adding and changing */

int kt_snapshot_key(const struct kt_snapshot *snapshot)
{
    const char *key = json_string_value(json_object_get(snapshot->state->config, "key"));
    return key ? kt_schema_find(snapshot->schema, key) : -1;
}

/* The columns are the newest version's from here on. */
static kith_status take_columns(struct insertion *insertion, kith_error *error)
{
    int key = kt_snapshot_key(insertion->base);
    insertion->schema = insertion->base->schema;
    insertion->guarded = 0;
    return begin_guard(insertion, key < 0 ? NULL : insertion->schema->fields[key].name, error);
}

/* insert(), and once more for each time that the columns were changed meanwhile. */
static kith_status insert_until_it_fits(struct kt_table *table, struct insertion *insertion,
                                        const kith_write *options, struct kt_state **out, kith_error *error)
{
    double began = kt_seconds();
    kith_error why = { 0 };
    kith_status status = insert(insertion, operation_of(insertion), options, out, &why);
    while (status == KITH_CONFLICT && insertion->redo.held && kt_seconds() - began < RETRY_SECONDS) {
        struct kt_redo rows = insertion->redo;
        struct kt_snapshot *newer = NULL;
        insertion->redo = (struct kt_redo){ 0 };
        status = kt_table_writable(table, &newer, &why);
        if (!status) {
            kt_snapshot_release(insertion->base);
            insertion->base = newer;
            status = take_columns(insertion, &why);
        }
        if (!status) status = kt_redo_begin(&rows, insertion->schema, &why);
        insertion->next = kt_redo_next;
        insertion->context = &rows;
        if (!status) status = insert(insertion, operation_of(insertion), options, out, &why);
        kt_redo_release(&rows);
    }
    kt_redo_release(&insertion->redo);
    if (status && error) *error = why;
    return status;
}

kith_status kt_table_insert(struct kt_table *table, struct ArrowArrayStream *data, const kith_write *options,
                            const struct kt_guard *guard, uint64_t *version, kith_error *error)
{
    bool replace = options && options->mode == KITH_OVERWRITE;
    struct source source = { .stream = data };
    struct kt_state *state = NULL;
    struct insertion insertion = { .home = table->home,
                                   .replace = replace,
                                   .name = table->name,
                                   .next = source_next,
                                   .context = &source,
                                   .guard = guard };

    kith_status status = kt_table_writable(table, &insertion.base, error);
    if (!status) status = source_open(&source, options, error);
    if (!status) status = take_columns(&insertion, error);
    if (!status) {
        source.to = insertion.schema;
        if (source.first || replace)
            status = insert_until_it_fits(table, &insertion, options, &state, error);
        else
            state = kt_state_share(insertion.base->state); /* no rows, no version */
    }
    if (!status) {
        if (version) *version = insertion.repeat.version ? insertion.repeat.version : state->version;
        kt_table_upkeep(table, state, insertion.base, options);
    }
    kt_state_release(state);
    kt_snapshot_release(insertion.base);
    source_close(&source);
    stream_release(data);
    return status;
}

kith_status kt_table_change(struct kt_table *table, struct kt_snapshot *base, const struct kt_change *change,
                            uint64_t *version, kith_error *error)
{
    struct kt_state *state = NULL;
    struct insertion insertion = { .home = table->home,
                                   .base = base,
                                   .schema = base->schema,
                                   .name = table->name,
                                   .next = change->next,
                                   .context = change->context,
                                   .change = change };
    kith_status status = insert(&insertion, change->operation, change->options, &state, error);
    if (status) return status;
    if (version) *version = state->version;
    kt_table_upkeep(table, state, base, change->options);
    kt_state_release(state);
    return KITH_OK;
}
