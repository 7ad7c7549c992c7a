/* Commits as tests make them: a `struct change` says what, commit_change() does it. */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "unit/io/scratch.h"

#include "storage/storage_private.h"

struct change {
    const char *operation; /* "append" when NULL */
    bool maintenance;
    const char *txn_key;     /* which names the transaction, */
    struct kt_repeat repeat; /* and the one that had it before */
    const char *schema;      /* JSON text */
    const char *key, *value; /* a setting; `value` NULL removes it */
    uint64_t rows;           /* to add, */
    const char *inlined;     /* inline with these bytes, or */
    size_t file_bytes;       /* in a file of so many */
    bool removes;            /* the fragment at `first_row` */
    bool replaces;           /* rows [first_row, first_row + span) by the fragment, instead of adding it */
    uint64_t first_row, span;
    const struct kt_state *then; /* for `replaces`: what was read; NULL for the state it is done on */
    uint64_t deletes[8];         /* row ids, */
    size_t delete_count;         /* so many */
    const char *piece; /* adds an index piece of that id (32 digits), in a file, covering all rows */
    const char *remove_piece;
    const char *tag; /* to give to `tagged` */
    uint64_t tagged; /* a version, or 0 to take the tag away */
    const struct kt_state *restores;
    /* what happened: */
    struct kt_column_group group;
    struct kt_stored_file piece_file;
    int prepared; /* how often, and on what at last */
    uint64_t seen_version;
    bool seen_uncommitted;
};

static inline kith_status change_rows(struct change *change, const struct kt_state *state, struct kt_txn *txn,
                                      kith_error *error)
{
    struct kt_fragment fragment = { .first_row = change->first_row,
                                    .span = change->span,
                                    .rows = change->rows };
    if (change->inlined) fragment.inline_rows = kt_bytes_new(change->inlined, strlen(change->inlined));
    if (change->inlined && !fragment.inline_rows) return kt_fail_memory(error, strlen(change->inlined));
    if (!change->inlined) fragment.groups = &change->group, fragment.group_count = 1;
    fragment.stats = json_pack("{s:i}", "nulls", 0);
    kith_status status =
        !fragment.stats ? kt_fail_memory(error, 1)
        : change->replaces
            ? kt_txn_replace_fragments(txn, &fragment, change->then ? change->then : state, error)
            : kt_txn_add_fragment(txn, &fragment, error);
    kt_bytes_release(fragment.inline_rows);
    json_decref(fragment.stats);
    return status;
}

static inline kith_status change_piece(struct change *change, const struct kt_state *state,
                                       struct kt_txn *txn, kith_error *error)
{
    struct kt_rows rows = { 0, state->next_row };
    char name[] = "vector_idx";
    struct kt_piece piece = {
        .index = name, .file = change->piece_file, .covers = &rows, .cover_count = state->next_row ? 1 : 0
    };
    memcpy(piece.id, change->piece, 33);
    piece.meta = json_pack("{s:s}", "type", "IVF_PQ");
    kith_status status = piece.meta ? kt_txn_add_piece(txn, &piece, error) : kt_fail_memory(error, 1);
    json_decref(piece.meta);
    return status;
}

static inline kith_status prepare_change(void *context, const struct kt_state *state, struct kt_txn *txn,
                                         kith_error *error)
{
    struct change *change = context;
    kith_status status = KITH_OK;
    change->prepared++;
    change->seen_version = state->version;
    change->seen_uncommitted = state->uncommitted;
    if (change->maintenance) kt_txn_maintenance(txn);
    if (change->schema) {
        json_t *schema = json_loads(change->schema, 0, NULL);
        status = schema ? kt_txn_set_schema(txn, schema, error) : kt_fail_memory(error, 1);
        json_decref(schema);
    }
    if (!status && change->key) {
        json_t *value = change->value ? json_string(change->value) : NULL;
        status = change->value && !value ? kt_fail_memory(error, 1)
                                         : kt_txn_set_config(txn, change->key, value, error);
        json_decref(value);
    }
    if (!status && change->restores) status = kt_txn_restore(txn, change->restores, error);
    if (!status && change->tag) status = kt_txn_set_tag(txn, change->tag, change->tagged, error);
    if (!status && change->removes) status = kt_txn_remove_fragment(txn, change->first_row, error);
    if (!status) status = kt_txn_delete(txn, change->deletes, change->delete_count, error);
    if (!status && change->rows) status = change_rows(change, state, txn, error);
    if (!status && change->remove_piece) status = kt_txn_remove_piece(txn, change->remove_piece, error);
    if (!status && change->piece) status = change_piece(change, state, txn, error);
    return status;
}

static inline kith_status change_file(struct kt_txn *txn, const char *folder, const char *extension,
                                      size_t bytes, struct kt_stored_file *out, kith_error *error)
{
    struct kt_sink *sink = NULL;
    kith_status status = kt_txn_create(txn, folder, extension, KT_BLOCK_VECTORS, &sink, out->name, error);
    if (status) return status;
    status = kt_sink_write(sink, NULL, bytes, error);
    if (!status) return kt_sink_finish(sink, &out->seal, error);
    kt_sink_abandon(sink);
    return status;
}

static inline kith_status commit_change(struct kt_store *store, struct change *change, struct kt_state **out,
                                        kith_error *error)
{
    static int32_t fields[2] = { 0, 1 };
    struct kt_txn *txn = NULL;
    kith_status status = kt_txn_begin(store, change->operation ? change->operation : "append", &txn, error);
    if (status) return status;
    if (change->txn_key) status = kt_txn_set_key(txn, change->txn_key, &change->repeat, error);
    change->group.fields = fields;
    change->group.field_count = 2;
    if (!status && change->rows && !change->inlined)
        status = change_file(txn, "data", "arrow", change->file_bytes, &change->group.file, error);
    if (!status && change->piece) status = change_file(txn, "index", "kix", 1000, &change->piece_file, error);
    if (!status) return kt_txn_commit(txn, prepare_change, change, out, error);
    kt_txn_abandon(txn);
    return status;
}

/* Commits and gives the state after it. */
static inline struct kt_state *done(struct kt_store *store, struct change change)
{
    struct kt_state *state = NULL;
    assert_ok(commit_change(store, &change, &state, &error));
    return state;
}

static inline struct kt_store *store_with_schema(struct kt_io *io, const char *name)
{
    struct kt_store *store = NULL;
    assert_ok(kt_store_create(io, name, &store, &error));
    kt_state_release(
        done(store, (struct change){ .operation = "create", .schema = "{\"fields\":[\"id\",\"vector\"]}" }));
    return store;
}

static inline struct kt_state *load(struct kt_store *store)
{
    struct kt_state *state = NULL;
    assert_ok(kt_store_load(store, &state, &error));
    return state;
}

/* Opens the folder anew, so that nothing remembered helps. */
static inline struct kt_state *load_afresh(struct kt_io *io, const char *name)
{
    struct kt_store *store = NULL;
    assert_ok(kt_store_open(io, name, &store, &error));
    struct kt_state *state = load(store);
    kt_store_close(store);
    return state;
}

static inline void assert_same_file(const struct kt_stored_file *a, const struct kt_stored_file *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->seal.length, b->seal.length);
    assert_int_equal(a->seal.table, b->seal.table);
    assert_int_equal(a->seal.tail, b->seal.tail);
    assert_int_equal(a->seal.block_bytes, b->seal.block_bytes);
}

static inline void assert_same_fragment(const struct kt_fragment *a, const struct kt_fragment *b)
{
    assert_int_equal(a->first_row, b->first_row);
    assert_int_equal(a->span, b->span);
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->dead_rows, b->dead_rows);
    assert_int_equal(a->dead != NULL, b->dead != NULL);
    for (uint64_t i = 0; i < a->span && a->dead; i++)
        assert_int_equal(kt_fragment_is_dead(a, i), kt_fragment_is_dead(b, i));
    assert_int_equal(a->group_count, b->group_count);
    for (uint32_t i = 0; i < a->group_count; i++) {
        assert_same_file(&a->groups[i].file, &b->groups[i].file);
        assert_int_equal(a->groups[i].field_count, b->groups[i].field_count);
        assert_memory_equal(a->groups[i].fields, b->groups[i].fields,
                            a->groups[i].field_count * sizeof(int32_t));
    }
    assert_int_equal(a->inline_rows != NULL, b->inline_rows != NULL);
    if (a->inline_rows) {
        assert_int_equal(a->inline_rows->size, b->inline_rows->size);
        assert_memory_equal(a->inline_rows->data, b->inline_rows->data, a->inline_rows->size);
    }
    assert_true(json_equal(a->stats, b->stats));
}

static inline void assert_same_piece(const struct kt_piece *a, const struct kt_piece *b)
{
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->index, b->index);
    assert_same_file(&a->file, &b->file);
    assert_int_equal(a->cover_count, b->cover_count);
    if (a->cover_count) assert_memory_equal(a->covers, b->covers, a->cover_count * sizeof *a->covers);
    assert_true(json_equal(a->meta, b->meta));
}

/* That two states hold the same rows, settings and pieces. */
static inline void assert_same_content(const struct kt_state *a, const struct kt_state *b)
{
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->inline_bytes, b->inline_bytes);
    assert_int_equal(a->inline_count, b->inline_count);
    assert_true(json_equal(a->schema, b->schema));
    assert_true(json_equal(a->config, b->config));
    assert_int_equal(a->fragment_count, b->fragment_count);
    for (uint32_t i = 0; i < a->fragment_count; i++) assert_same_fragment(&a->fragments[i], &b->fragments[i]);
    assert_int_equal(a->piece_count, b->piece_count);
    for (uint32_t i = 0; i < a->piece_count; i++) assert_same_piece(&a->pieces[i], &b->pieces[i]);
}

/* That two states say the same, however each was come by. */
static inline void assert_same_state(const struct kt_state *a, const struct kt_state *b)
{
    assert_string_equal(a->table_id, b->table_id);
    assert_int_equal(a->commit, b->commit);
    assert_int_equal(a->hash, b->hash);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->next_row, b->next_row);
    assert_int_equal(a->time_us, b->time_us);
    assert_int_equal(a->dropped, b->dropped);
    assert_same_content(a, b);
    assert_int_equal(a->version_count, b->version_count);
    for (uint32_t i = 0; i < a->version_count; i++) {
        assert_int_equal(a->versions[i].version, b->versions[i].version);
        assert_int_equal(a->versions[i].commit, b->versions[i].commit);
        assert_int_equal(a->versions[i].time_us, b->versions[i].time_us);
        assert_int_equal(a->versions[i].rows, b->versions[i].rows);
        assert_string_equal(a->versions[i].operation, b->versions[i].operation);
    }
    assert_int_equal(a->tag_count, b->tag_count);
    for (uint32_t i = 0; i < a->tag_count; i++) {
        assert_string_equal(a->tags[i].name, b->tags[i].name);
        assert_int_equal(a->tags[i].version, b->tags[i].version);
        assert_int_equal(a->tags[i].commit, b->tags[i].commit);
    }
    const struct kt_state_private *mine = kt_state_private_part(a), *theirs = kt_state_private_part(b);
    assert_int_equal(mine->below, theirs->below);
    assert_int_equal(mine->log_bytes, theirs->log_bytes);
    assert_int_equal(mine->removed_count, theirs->removed_count);
    for (uint32_t i = 0; i < mine->removed_count; i++) {
        assert_string_equal(mine->removed[i].name, theirs->removed[i].name);
        assert_int_equal(mine->removed[i].bytes, theirs->removed[i].bytes);
        assert_int_equal(mine->removed[i].commit, theirs->removed[i].commit);
    }
    assert_int_equal(mine->txn_count, theirs->txn_count);
    for (uint32_t i = 0; i < mine->txn_count; i++) {
        assert_memory_equal(mine->txns[i].id, theirs->txns[i].id, 16);
        assert_int_equal(mine->txns[i].commit, theirs->txns[i].commit);
        assert_int_equal(mine->txns[i].version, theirs->txns[i].version);
        const char *a_key = mine->txns[i].key, *b_key = theirs->txns[i].key;
        assert_string_equal(a_key ? a_key : "", b_key ? b_key : "");
    }
}

static inline uint64_t dead_bits(const struct kt_fragment *fragment)
{
    uint64_t count = 0;
    if (!fragment->dead) return 0;
    assert_true(fragment->dead->size % 8 == 0 && fragment->dead->size * 8 >= fragment->span);
    for (size_t i = 0; i < fragment->dead->size; i++)
        count += (uint64_t)__builtin_popcount(fragment->dead->data[i]);
    return count;
}

/* Every number that can be summed is. What the essay of store_state.c promises. */
static inline void assert_sound_state(const struct kt_state *state)
{
    uint64_t rows = 0, bytes = 0, end = 0;
    uint32_t inlined = 0;
    for (uint32_t i = 0; i < state->fragment_count; i++) {
        const struct kt_fragment *fragment = &state->fragments[i];
        assert_true(fragment->rows > fragment->dead_rows && fragment->first_row >= end);
        assert_true(fragment->span >= fragment->rows);
        assert_int_equal(dead_bits(fragment), fragment->dead_rows);
        end = kt_fragment_end(fragment);
        rows += kt_fragment_live(fragment);
        if (fragment->inline_rows) bytes += fragment->inline_rows->size, inlined++;
    }
    assert_true(end <= state->next_row);
    assert_int_equal(rows, state->rows);
    assert_int_equal(bytes, state->inline_bytes);
    assert_int_equal(inlined, state->inline_count);
}

static inline size_t names_in(struct kt_io *io, const char *folder)
{
    struct kt_io_names names = { 0 };
    if (kt_io_list(io, folder, &names, NULL)) return 0;
    size_t count = names.count;
    kt_io_names_release(&names);
    return count;
}

static inline bool is_there(struct kt_store *store, const struct kt_stored_file *file)
{
    return kt_io_exists(kt_store_io(store), file->name);
}

static inline void assert_files_there(struct kt_store *store, const struct kt_state *state)
{
    for (uint32_t i = 0; i < state->fragment_count; i++)
        for (uint32_t g = 0; g < state->fragments[i].group_count; g++)
            assert_true(is_there(store, &state->fragments[i].groups[g].file));
    for (uint32_t i = 0; i < state->piece_count; i++) assert_true(is_there(store, &state->pieces[i].file));
}

/* Every version that is listed can be read and has its files; every file is one of the newest state or one
 * that it knows to have left. */
static inline void assert_tidy(struct kt_io *io)
{
    struct kt_store *store = NULL;
    assert_ok(kt_store_open(io, "t.kith", &store, &error));
    struct kt_state *newest = load(store);
    const struct kt_state_private *mine = kt_state_private_part(newest);
    for (uint32_t i = 0; i < newest->version_count; i++) {
        struct kt_state *version = NULL;
        assert_ok(kt_store_load_version(store, newest->versions[i].version, &version, &error));
        assert_int_equal(version->rows, newest->versions[i].rows);
        assert_sound_state(version);
        assert_files_there(store, version);
        kt_state_release(version);
    }
    const char *const folders[] = { "data", "index" };
    for (int f = 0; f < 2; f++) {
        struct kt_io_names names = { 0 };
        if (kt_io_list(kt_store_io(store), folders[f], &names, NULL)) continue;
        for (size_t i = 0; i < names.count; i++) {
            char name[300];
            snprintf(name, sizeof name, "%s/%s", folders[f], names.names[i]);
            bool known = kt_state_names_file(newest, name);
            for (uint32_t r = 0; r < mine->removed_count; r++) known |= !strcmp(mine->removed[r].name, name);
            if (!known) fail_msg("%s is lost", name);
        }
        kt_io_names_release(&names);
    }
    kt_state_release(newest);
    kt_store_close(store);
}

#endif
