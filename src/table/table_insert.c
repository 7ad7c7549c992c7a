/* Creating a table, adding rows, replacing them all.
 *
 * The data is drained first: each batch is checked, cast to the table's types and written into files that
 * nobody knows yet. Then one commit names them. Before that commit nothing has happened; after it the rows
 * are there for every process. What the rows relied on is the schema alone, so an append that loses the
 * race for a commit is put on top of the winner's, unless the winner changed the schema.
 */
#include "table/table_private.h"

#include "parallel/parallel.h"

struct insertion {
    struct kt_schema *schema;
    json_t *schema_json; /* what the rows were written for */
    bool replace;        /* removes what is there and sets the schema */
    bool fresh;          /* the table must not exist yet, unless it may be replaced */
    bool creates;        /* sets the options too */
    const kith_create *create;
    const char *name;
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
    struct kt_work work;
    uint64_t rows;
};

static kith_status source_open(struct source *source, const kith_write *options, kith_error *error)
{
    if (options)
        source->work = (struct kt_work){ .progress = options->progress, .user = options->progress_user };
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

static kith_status source_next(struct source *source, struct kt_batch **out, kith_error *error)
{
    if (source->first) {
        *out = source->first;
        source->first = NULL;
        return KITH_OK;
    }
    return kt_stream_next(source->stream, source->schema, out, error);
}

static kith_status drain(struct source *source, struct insertion *insertion, const kith_write *options,
                         kith_error *error)
{
    struct kt_cast cast = { 0 };
    if (options)
        cast = (struct kt_cast){ .bad_vectors = options->bad_vectors, .fill_value = options->fill_value };
    for (;;) {
        struct kt_batch *batch = NULL, *fitted = NULL;
        kith_status status = source_next(source, &batch, error);
        if (status) return status;
        if (!batch) return KITH_OK;
        cast.first_row = source->rows;
        source->rows += (uint64_t)batch->rows;
        status = kt_batch_cast(batch, insertion->schema, &cast, &fitted, error);
        if (!status && fitted->rows) status = kt_fragments_add(&insertion->fragments, fitted, error);
        if (!status) status = kt_work_tick(&source->work, "rows", source->rows, 0, error);
        kt_batch_release(fitted);
        kt_batch_release(batch);
        if (status) return status;
    }
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

static kith_status prepare(void *context, const struct kt_state *state, struct kt_txn *txn, kith_error *error)
{
    struct insertion *insertion = context;
    kith_status status = KITH_OK;
    if (insertion->fresh && state->commit && !(insertion->create && insertion->create->overwrite))
        return kt_fail(error, KITH_EXISTS, "Table '%s' already exists", insertion->name);
    if (state->dropped) return kt_fail(error, KITH_NOT_FOUND, "Table '%s' was dropped", insertion->name);
    if (!insertion->fresh && !insertion->replace && !json_equal(state->schema, insertion->schema_json))
        return kt_fail(error, KITH_CONFLICT,
                       "the columns of table '%s' were changed while rows were being added; add them again",
                       insertion->name);
    if (insertion->replace || (insertion->fresh && state->commit)) status = remove_all(state, txn, error);
    if (!status && (insertion->fresh || insertion->replace))
        status = kt_txn_set_schema(txn, insertion->schema_json, error);
    if (!status && insertion->creates) status = set_options(insertion->create, txn, error);
    for (uint32_t i = 0; i < insertion->fragments.done_count && !status; i++)
        status = kt_txn_add_fragment(txn, &insertion->fragments.done[i], error);
    return status;
}

/* Drains the source into files of a new transaction and commits it. */
static kith_status insert(struct kt_store *store, const char *operation, struct source *source,
                          struct insertion *insertion, const kith_write *options, struct kt_state **out,
                          kith_error *error)
{
    struct kt_txn *txn = NULL;
    insertion->schema_json = kt_schema_to_json(insertion->schema);
    kith_status status = insertion->schema_json ? KITH_OK : kt_fail_memory(error, 1024);
    if (!status) status = kt_txn_begin(store, operation, &txn, error);
    if (!status) {
        insertion->fragments.txn = txn;
        insertion->fragments.schema = insertion->schema;
        status = drain(source, insertion, options, error);
    }
    if (!status) status = kt_fragments_end(&insertion->fragments, true, error);
    if (!status) {
        status = kt_txn_commit(txn, prepare, insertion, out, error);
        txn = NULL;
    }
    kt_fragments_release(&insertion->fragments); /* before the transaction: it removes its open files */
    kt_txn_abandon(txn);
    json_decref(insertion->schema_json);
    return status;
}

/* ---- creating */

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
    if (options && options->key && kt_schema_find(schema, options->key) < 0)
        return kt_fail(error, KITH_INVALID, "the key column \"%s\" is not among the table's columns",
                       options->key);
    return KITH_OK;
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
                          const kith_create *options, struct kt_table *existing, struct kt_table **out,
                          kith_error *error)
{
    char folder[300];
    struct kt_store *store = existing ? existing->home->store : NULL;
    struct kt_table *table = existing;
    struct kt_state *state = NULL;
    struct kt_snapshot *snapshot = NULL;
    struct insertion insertion = {
        .fresh = !existing, .replace = existing != NULL, .creates = true, .create = options, .name = name
    };

    kith_status status = wanted_schema(source, options, &insertion.schema, error);
    if (!status) status = check_create(insertion.schema, options, error);
    if (status) goto out;
    if (!existing) {
        kt_table_folder(name, folder);
        status = kt_store_create(kt_catalog_io(catalog), folder, &store, error);
        if (status == KITH_EXISTS)
            status =
                kt_fail(error, KITH_EXISTS, "Table '%s' already exists in %s", name, kt_catalog_uri(catalog));
        if (!status) status = kt_table_new(name, store, &table, error);
        if (status) goto out;
    }
    status = insert(table->home->store, existing ? "overwrite" : "create", source, &insertion,
                    options ? &options->write : NULL, &state, error);
    if (!status) status = kt_table_adopt(table, state, NULL, &snapshot, error);
    if (status) goto out;
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
                            const kith_create *options, struct kt_table **out, kith_error *error)
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
        if (!status) status = create(catalog, name, &source, options, existing, out, error);
        if (!status) existing = NULL;
        if (status == KITH_EXISTS && options && options->exist_ok) /* another was first */
            status = kt_table_open(catalog, name, 0, out, error);
    }
    source_close(&source);
    kt_table_free(existing);
    stream_release(data);
    return status;
}

/* ---- adding */

kith_status kt_table_insert(struct kt_table *table, struct ArrowArrayStream *data, const kith_write *options,
                            uint64_t *version, kith_error *error)
{
    bool replace = options && options->mode == KITH_OVERWRITE;
    struct source source = { .stream = data };
    struct kt_snapshot *base = NULL, *after = NULL;
    struct kt_state *state = NULL;
    struct insertion insertion = { .replace = replace, .name = table->name };

    kith_status status = kt_table_writable(table, &base, error);
    if (!status) status = source_open(&source, options, error);
    if (!status) {
        insertion.schema = base->schema;
        if (source.first || replace)
            status = insert(table->home->store, replace ? "overwrite" : "append", &source, &insertion,
                            options, &state, error);
        else
            state = kt_state_share(base->state); /* no rows, no version */
    }
    if (!status) {
        if (version) *version = state->version;
        kith_error ignored; /* the rows are there; a snapshot that cannot be opened tells its reason at the
                               next read */
        kt_table_adopt(table, kt_state_share(state), base, &after, &ignored);
        kt_table_fold(table->home, state);
        if (after) kt_table_auto_index(table, after, options);
    }
    kt_snapshot_release(after);
    kt_state_release(state);
    kt_snapshot_release(base);
    source_close(&source);
    stream_release(data);
    return status;
}
