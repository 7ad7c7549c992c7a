/* The state: everything the log says up to one commit, and what the actions do to it.
 *
 * A published state is never changed. A new one begins as a copy of the last: its arrays are copied, what
 * they point to (files, fields, covers, inline rows, dead rows, JSON) is shared by reference, so that a
 * commit costs the arrays and the change. The same functions build it when a log is read and when a
 * transaction is prepared, so what a writer publishes is by construction what a reader accepts. What is done
 * to fragments stands in store_fragments.c, to their rows in store_dead.c.
 *
 * Always true of a state:
 *   - fragments are in the order of their rows, do not overlap, have live rows, and end below next_row;
 *   - names of files have the form of generated names, and their seals can be right;
 *   - `rows` (live ones), `inline_bytes`, `inline_count` are sums over the fragments;
 *   - the room of an array is its count rounded up to a power of two, at least 8: no capacity is kept.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "storage/json.h"
#include "storage/storage_private.h"

/* ---- what states share */

struct shared {
    _Atomic uint32_t references;
    _Alignas(16) uint8_t bytes[];
};

static struct shared *shared_of(void *bytes)
{
    return (struct shared *)(void *)((uint8_t *)bytes - offsetof(struct shared, bytes));
}

void *kt_shared_new(size_t bytes)
{
    struct shared *shared = kt_alloc_zero(1, sizeof *shared + bytes);
    if (!shared) return NULL;
    shared->references = 1;
    return shared->bytes;
}

void *kt_shared_share(void *bytes)
{
    if (bytes) atomic_fetch_add_explicit(&shared_of(bytes)->references, 1, memory_order_relaxed);
    return bytes;
}

void kt_shared_release(void *bytes)
{
    if (bytes && atomic_fetch_sub_explicit(&shared_of(bytes)->references, 1, memory_order_acq_rel) == 1)
        kt_free(shared_of(bytes));
}

struct kt_bytes *kt_bytes_new(const void *data, size_t size)
{
    size_t whole;
    if (__builtin_add_overflow(sizeof(struct kt_bytes), size, &whole)) return NULL;
    struct kt_bytes *bytes = kt_alloc(whole);
    if (!bytes) return NULL;
    bytes->references = 1;
    bytes->size = size;
    if (size) memcpy(bytes->data, data, size);
    return bytes;
}

struct kt_bytes *kt_bytes_share(struct kt_bytes *bytes)
{
    if (bytes) atomic_fetch_add_explicit(&bytes->references, 1, memory_order_relaxed);
    return bytes;
}

void kt_bytes_release(struct kt_bytes *bytes)
{
    if (bytes && atomic_fetch_sub_explicit(&bytes->references, 1, memory_order_acq_rel) == 1) kt_free(bytes);
}

/* ---- pieces */

void kt_piece_release(struct kt_piece *piece)
{
    kt_shared_release(piece->covers); /* and the name, behind them */
    json_decref(piece->meta);
    *piece = (struct kt_piece){ 0 };
}

static struct kt_piece piece_share(const struct kt_piece *from)
{
    kt_shared_share(from->covers);
    json_incref(from->meta);
    return *from;
}

kith_status kt_piece_copy(const struct kt_piece *from, struct kt_piece *out, kith_error *error)
{
    size_t covers = from->cover_count * sizeof *from->covers, name = strlen(from->index) + 1;
    struct kt_piece copy = *from;
    copy.covers = kt_shared_new(covers + name);
    copy.meta = kt_json_copy(from->meta);
    if (!copy.covers || (from->meta && !copy.meta)) {
        kt_piece_release(&copy);
        return kt_fail_memory(error, covers + name);
    }
    if (covers) memcpy(copy.covers, from->covers, covers);
    copy.index = (char *)copy.covers + covers;
    memcpy(copy.index, from->index, name);
    *out = copy;
    return KITH_OK;
}

/* ---- arrays */

static size_t room(size_t count)
{
    size_t size = 8;
    while (size < count) size *= 2;
    return size;
}

void *kt_grown(void *array, size_t count, size_t size)
{
    if (array && count != room(count)) return array;
    return kt_realloc_array(array, room(count + 1), size);
}

void *kt_array_copy(const void *from, size_t count, size_t size)
{
    void *copy = kt_alloc_array(room(count), size);
    if (copy && count) memcpy(copy, from, count * size);
    return copy;
}

/* ---- states */

struct kt_state_private *kt_state_private_part(const struct kt_state *state)
{
    return state->private_part;
}

struct kt_state *kt_state_new(void)
{
    struct kt_state *state = kt_alloc_zero(1, sizeof *state);
    if (!state) return NULL;
    state->references = 1;
    state->private_part = kt_alloc_zero(1, sizeof(struct kt_state_private));
    state->config = json_object();
    if (state->private_part && state->config) return state;
    kt_state_release(state);
    return NULL;
}

struct kt_state *kt_state_copy(const struct kt_state *from)
{
    const struct kt_state_private *theirs = from->private_part;
    struct kt_state *state = kt_alloc_zero(1, sizeof *state);
    struct kt_state_private *mine = kt_alloc_zero(1, sizeof *mine);
    struct kt_fragment *fragments = kt_array_copy(from->fragments, from->fragment_count, sizeof *fragments);
    struct kt_piece *pieces = kt_array_copy(from->pieces, from->piece_count, sizeof *pieces);
    struct kt_version_entry *versions = kt_array_copy(from->versions, from->version_count, sizeof *versions);
    struct kt_tag *tags = kt_array_copy(from->tags, from->tag_count, sizeof *tags);
    struct kt_txn_seen *txns = kt_array_copy(theirs->txns, theirs->txn_count, sizeof *txns);
    struct kt_removed_file *removed = kt_array_copy(theirs->removed, theirs->removed_count, sizeof *removed);
    if (!state || !mine || !fragments || !pieces || !versions || !tags || !txns || !removed) {
        kt_free(state);
        kt_free(mine);
        kt_free(fragments);
        kt_free(pieces);
        kt_free(versions);
        kt_free(tags);
        kt_free(txns);
        kt_free(removed);
        return NULL;
    }
    for (uint32_t i = 0; i < from->fragment_count; i++) fragments[i] = kt_fragment_share(&from->fragments[i]);
    for (uint32_t i = 0; i < from->piece_count; i++) pieces[i] = piece_share(&from->pieces[i]);
    memcpy(mine, theirs, sizeof *mine);
    mine->txns = txns;
    for (uint32_t i = 0; i < mine->txn_count; i++) kt_shared_share(txns[i].key);
    mine->removed = removed;
    memcpy(state, from, sizeof *state);
    atomic_init(&state->references, 1);
    state->fragments = fragments;
    state->pieces = pieces;
    state->versions = versions;
    state->tags = tags;
    state->private_part = mine;
    json_incref(state->schema);
    json_incref(state->config);
    return state;
}

struct kt_state *kt_state_share(const struct kt_state *state)
{
    struct kt_state *shared = (struct kt_state *)state;
    atomic_fetch_add_explicit(&shared->references, 1, memory_order_relaxed);
    return shared;
}

void kt_state_release(struct kt_state *state)
{
    if (!state || atomic_fetch_sub_explicit(&state->references, 1, memory_order_acq_rel) != 1) return;
    for (uint32_t i = 0; i < state->fragment_count; i++) kt_fragment_release(&state->fragments[i]);
    for (uint32_t i = 0; i < state->piece_count; i++) kt_piece_release(&state->pieces[i]);
    struct kt_state_private *mine = state->private_part;
    if (mine) {
        kt_txns_free(mine->txns, mine->txn_count);
        kt_free(mine->removed);
    }
    kt_free(mine);
    kt_free(state->fragments);
    kt_free(state->pieces);
    kt_free(state->versions);
    kt_free(state->tags);
    json_decref(state->schema);
    json_decref(state->config);
    kt_free(state);
}

/* ---- what may stand in a state */

/* "folder/<hexadecimal digits and dashes>.extension" */
static bool name_allowed(const char *name, const char *folder, const char *extension)
{
    size_t head = strlen(folder);
    if (strncmp(name, folder, head) || name[head] != '/') return false;
    const char *id = name + head + 1;
    size_t length = strspn(id, "0123456789abcdef-");
    return length && id[length] == '.' && !strcmp(id + length + 1, extension);
}

bool kt_stored_name_allowed(const char *name)
{
    return name_allowed(name, "data", "arrow") || name_allowed(name, "index", "kix");
}

static bool seal_allowed(const struct kt_seal *seal)
{
    uint64_t block = seal->block_bytes, length = seal->length;
    if (block < 64 || block > 65536 || (block & (block - 1))) return false;
    if (seal->table % 64 || seal->table > length || length > KT_LARGEST_ROW || length - seal->table < 16)
        return false;
    return (length - seal->table - 16) / 8 >= (seal->table + block - 1) / block;
}

kith_status kt_stored_file_check(const struct kt_stored_file *file, const char *folder, const char *extension,
                                 struct kt_blame blame, kith_error *error)
{
    if (!memchr(file->name, '\0', sizeof file->name) || !name_allowed(file->name, folder, extension))
        return kt_fail(error, blame.malformed, "'%.55s' is not the name of a file in %s/", file->name,
                       folder);
    if (!seal_allowed(&file->seal))
        return kt_fail(error, blame.malformed,
                       "%s cannot have %llu bytes with a table of %u-byte blocks at %llu", file->name,
                       (unsigned long long)file->seal.length, file->seal.block_bytes,
                       (unsigned long long)file->seal.table);
    return KITH_OK;
}

static kith_status check_piece(const struct kt_state *state, const struct kt_piece *piece,
                               struct kt_blame blame, kith_error *error)
{
    uint8_t id[16];
    if (!memchr(piece->id, '\0', sizeof piece->id) || !kt_unhex(piece->id, sizeof id, id))
        return kt_fail(error, blame.malformed, "'%.32s' is not the id of an index piece", piece->id);
    if (!piece->index[0])
        return kt_fail(error, blame.malformed, "index piece %s belongs to an index without a name",
                       piece->id);
    uint64_t end = 0;
    for (uint32_t i = 0; i < piece->cover_count; i++) {
        const struct kt_rows *rows = &piece->covers[i];
        if (rows->begin >= rows->end || rows->begin < end || rows->end > state->next_row)
            return kt_fail(error, blame.malformed,
                           "index piece %s covers rows %llu to %llu, out of order or not among the %llu",
                           piece->id, (unsigned long long)rows->begin, (unsigned long long)rows->end,
                           (unsigned long long)state->next_row);
        end = rows->end;
    }
    return kt_stored_file_check(&piece->file, "index", "kix", blame, error);
}

/* ---- the actions */

kith_status kt_state_set_schema(struct kt_state *state, json_t *schema, struct kt_blame blame,
                                kith_error *error)
{
    if (!json_is_object(schema)) return kt_fail(error, blame.malformed, "a schema must be a JSON object");
    json_decref(state->schema);
    state->schema = json_incref(schema);
    return KITH_OK;
}

kith_status kt_state_set_config(struct kt_state *state, const char *key, json_t *value, struct kt_blame blame,
                                kith_error *error)
{
    bool removes = !value || json_is_null(value);
    if (!removes && !json_is_string(value) && !json_is_number(value) && !json_is_boolean(value))
        return kt_fail(error, blame.malformed, "the setting '%.100s' must be a text, a number, true or false",
                       key);
    json_t *config = kt_json_copy(state->config); /* the old one may be shared */
    if (!config || (!removes && json_object_set(config, key, value))) {
        json_decref(config);
        return kt_fail_memory(error, strlen(key));
    }
    if (removes) json_object_del(config, key);
    json_decref(state->config);
    state->config = config;
    return KITH_OK;
}

kith_status kt_state_clear(struct kt_state *state, kith_error *error)
{
    json_t *config = json_object();
    if (!config) return kt_fail_memory(error, sizeof *state);
    kith_status status = kt_state_remove_all_fragments(state, error);
    for (uint32_t i = 0; i < state->piece_count; i++) {
        if (!status) status = kt_state_file_left(state, &state->pieces[i].file, error);
        kt_piece_release(&state->pieces[i]);
    }
    state->piece_count = 0;
    json_decref(state->schema);
    json_decref(state->config);
    state->schema = NULL;
    state->config = config;
    return status;
}

static uint32_t piece_at(const struct kt_state *state, const char *id)
{
    uint32_t at = 0;
    while (at < state->piece_count && strcmp(state->pieces[at].id, id)) at++;
    return at;
}

kith_status kt_state_add_piece(struct kt_state *state, struct kt_piece *piece, struct kt_blame blame,
                               kith_error *error)
{
    kith_status status = check_piece(state, piece, blame, error);
    if (!status && piece_at(state, piece->id) != state->piece_count)
        status = kt_fail(error, blame.malformed, "index piece %s is there already", piece->id);
    struct kt_piece *pieces = status ? NULL : kt_grown(state->pieces, state->piece_count, sizeof *piece);
    if (!status && !pieces) status = kt_fail_memory(error, sizeof *piece);
    if (status) {
        kt_piece_release(piece);
        return status;
    }
    state->pieces = pieces;
    pieces[state->piece_count++] = *piece;
    kt_state_file_came(state, &piece->file);
    return KITH_OK;
}

kith_status kt_state_remove_piece(struct kt_state *state, const char *id, struct kt_blame blame,
                                  kith_error *error)
{
    uint32_t at = piece_at(state, id);
    if (at == state->piece_count)
        return kt_fail(error, blame.missing, "there is no index piece %.32s (any more)", id);
    kith_status status = kt_state_file_left(state, &state->pieces[at].file, error);
    if (status) return status;
    kt_piece_release(&state->pieces[at]);
    state->piece_count--;
    memmove(state->pieces + at, state->pieces + at + 1, (state->piece_count - at) * sizeof *state->pieces);
    return KITH_OK;
}

/* ---- transactions and commits */

kith_status kt_state_add_txn(struct kt_state *state, const struct kt_txn_seen *txn, kith_error *error)
{
    struct kt_state_private *mine = state->private_part;
    if (mine->txn_count == KT_TXNS_KEPT) {
        kt_shared_release(mine->txns[0].key);
        memmove(mine->txns, mine->txns + 1, (KT_TXNS_KEPT - 1) * sizeof *mine->txns);
        mine->txn_count--;
    }
    struct kt_txn_seen *txns = kt_grown(mine->txns, mine->txn_count, sizeof *txns);
    if (!txns) return kt_fail_memory(error, sizeof *txns);
    mine->txns = txns;
    txns[mine->txn_count] = *txn;
    kt_shared_share(txn->key);
    mine->txn_count++;
    return KITH_OK;
}

const struct kt_txn_seen *kt_state_find_key(const struct kt_state *state, const char *key)
{
    const struct kt_state_private *mine = state->private_part;
    for (uint32_t i = mine->txn_count; i-- > 0;)
        if (mine->txns[i].key && !strcmp(mine->txns[i].key, key)) return &mine->txns[i];
    return NULL;
}

bool kt_state_has_txn(const struct kt_state *state, const uint8_t id[16])
{
    const struct kt_state_private *mine = state->private_part;
    for (uint32_t i = mine->txn_count; i-- > 0;)
        if (!memcmp(mine->txns[i].id, id, 16)) return true;
    return false;
}

kith_status kt_state_commit(struct kt_state *state, const struct kt_commit_header *header, uint64_t hash,
                            size_t bytes, kith_error *error)
{
    kith_status status = KITH_OK;
    struct kt_state_private *mine = state->private_part;
    if (header->version != state->version) {
        struct kt_version_entry entry = { .version = header->version,
                                          .commit = header->commit,
                                          .time_us = header->time_us,
                                          .rows = state->rows };
        memcpy(entry.operation, header->operation, sizeof entry.operation);
        status = kt_state_add_version(state, &entry, error);
    }
    for (uint32_t i = 0; i < header->txn_count && !status; i++) {
        struct kt_txn_seen txn = header->txns[i];
        txn.commit = header->commit;
        txn.version = header->version;
        status = kt_state_add_txn(state, &txn, error);
    }
    if (status) return status;
    memcpy(state->table_id, header->table_id, sizeof state->table_id);
    state->commit = header->commit;
    state->version = header->version;
    state->time_us = header->time_us;
    state->hash = hash;
    state->uncommitted = false;
    mine->log_bytes += bytes;
    return KITH_OK;
}
