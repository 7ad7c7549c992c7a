/* The metadata of messages, read with suspicion: what they claim is compared with the schema and with the
 * bytes that exist, once, when a file is opened or a message comes; lending trusts it afterwards.
 *
 *   Message          version, header type, header, body length, metadata
 *   Footer           version, schema, dictionaries [Block], record batches [Block]
 *   Block            i64 offset, i32 bytes of metadata, 4 of padding, i64 bytes of body
 *   RecordBatch      length, nodes [i64 length, i64 nulls], buffers [i64 offset, i64 bytes], compression,
 * views BodyCompression  codec (0 LZ4, 1 zstd), method
 *
 * Checked here: as many nodes and buffers as the schema's fields have, in pre-order; lengths of children at
 * least what their parents reach (for lists their offsets tell, later); every buffer inside the body, at a
 * multiple of 8, and as long as its rows ask for. Where the body is compressed the last is checked after it
 * was decompressed.
 *
 * Blocks must lie in the file one after another, as everybody writes them: a footer whose blocks all lead to
 * the same message could otherwise ask for more memory than the file has bytes.
 *
 * Memory is taken only in proportion to the nodes and buffers present, never to a count that somebody wrote
 * down.
 */
#include <string.h>

#include "column/ipc_private.h"

enum { MESSAGE_VERSION, MESSAGE_TYPE, MESSAGE_HEADER, MESSAGE_BODY_BYTES };
enum { RECORD_LENGTH, RECORD_NODES, RECORD_BUFFERS, RECORD_COMPRESSION, RECORD_VIEWS };
enum { FOOTER_VERSION, FOOTER_SCHEMA, FOOTER_DICTIONARIES, FOOTER_RECORDS };
enum { NODE_BYTES = 16, BUFFER_BYTES = 16, BLOCK_BYTES = 24 };
static const int64_t LENGTH_MAX = (int64_t)1 << 40; /* times KT_WIDTH_MAX it is still an int64 */

kith_status kt_ipc_message(const uint8_t *bytes, uint64_t size, const char *name, struct ipc_message *out,
                           kith_error *error)
{
    out->from = kt_flatbuf(bytes, size);
    struct kt_flatbuf_table root = kt_flatbuf_root(&out->from);
    int64_t version = kt_flatbuf_integer(&out->from, root, MESSAGE_VERSION, 2, 0);
    int64_t body = kt_flatbuf_integer(&out->from, root, MESSAGE_BODY_BYTES, 8, 0);
    out->kind = (int)kt_flatbuf_integer(&out->from, root, MESSAGE_TYPE, 1, 0);
    out->header = kt_flatbuf_table(&out->from, root, MESSAGE_HEADER);
    out->body_bytes = (uint64_t)body;
    if (out->from.bad || body < 0 || !out->header.at)
        return kt_fail(error, KITH_CORRUPT, "%s: the metadata of an Arrow message are damaged", name);
    if (version != IPC_V5 && version != IPC_V4)
        return kt_fail(error, KITH_UNSUPPORTED, "%s: Arrow metadata version %lld; versions 4 and 5 are read",
                       name, (long long)version + 1);
    return KITH_OK;
}

/* ---- the footer ---- */

static kith_status not_whole(const char *name, const char *what, kith_error *error)
{
    return kt_fail(error, KITH_CORRUPT, "%s is not a whole Arrow file: %s", name, what);
}

kith_status kt_ipc_tail(const uint8_t tail[IPC_TAIL], uint64_t length, const char *name,
                        struct ipc_range *footer, kith_error *error)
{
    uint64_t size = kt_get_u32(tail);
    if (memcmp(tail + 4, kt_ipc_magic, 6) != 0)
        return not_whole(name, "it does not end in \"ARROW1\"", error);
    if (size > length - IPC_TAIL - sizeof kt_ipc_magic)
        return not_whole(name, "its footer is longer than itself", error);
    *footer = (struct ipc_range){ length - IPC_TAIL - size, size };
    return KITH_OK;
}

kith_status kt_ipc_footer(const uint8_t *bytes, struct ipc_range range, const char *name,
                          struct ipc_footer *out, kith_error *error)
{
    out->from = kt_flatbuf(bytes, range.size);
    out->limit = range.at;
    struct kt_flatbuf_table root = kt_flatbuf_root(&out->from);
    out->schema = kt_flatbuf_table(&out->from, root, FOOTER_SCHEMA);
    out->dictionaries = kt_flatbuf_vector(&out->from, root, FOOTER_DICTIONARIES, BLOCK_BYTES);
    out->records = kt_flatbuf_vector(&out->from, root, FOOTER_RECORDS, BLOCK_BYTES);
    return out->from.bad || !out->schema.at ? not_whole(name, "its footer is damaged", error) : KITH_OK;
}

kith_status kt_ipc_block(const struct ipc_footer *footer, struct kt_flatbuf_vector blocks, uint32_t i,
                         uint64_t *end, const char *name, struct ipc_block *out, kith_error *error)
{
    const uint8_t *block = kt_flatbuf_struct(&footer->from, blocks, i, BLOCK_BYTES);
    uint64_t at = kt_get_u64(block), metadata = kt_get_u32(block + 8), body = kt_get_u64(block + 16),
             limit = footer->limit;
    if (at < *end || at > limit || metadata < IPC_PREFIX || metadata > limit - at ||
        body > limit - at - metadata)
        return not_whole(name, "a block lies outside it or over another", error);
    if ((at + metadata) % 8) return not_whole(name, "a body does not begin at a multiple of 8", error);
    out->metadata = (struct ipc_range){ at, metadata };
    out->body = (struct ipc_range){ at + metadata, body };
    *end = at + metadata + body;
    return KITH_OK;
}

kith_status kt_ipc_block_message(const uint8_t *bytes, struct ipc_block *block, int kind, const char *name,
                                 struct ipc_message *out, kith_error *error)
{
    if (kt_get_u32(bytes) != UINT32_MAX || kt_get_u32(bytes + 4) > block->metadata.size - IPC_PREFIX)
        return not_whole(name, "a block does not lead to a message", error);
    kith_status status = kt_ipc_message(bytes + IPC_PREFIX, kt_get_u32(bytes + 4), name, out, error);
    if (status) return status;
    if (out->kind != kind || out->body_bytes > block->body.size)
        return not_whole(name, "a block leads to a message of another kind or size", error);
    block->body.size = out->body_bytes;
    return KITH_OK;
}

/* ---- record batches ---- */

struct walk {
    struct kt_flatbuf *from;
    struct kt_flatbuf_vector nodes, buffers, views;
    uint32_t node, buffer, view;
    struct ipc_range body;
    struct ipc_record *record;
    const char *fault;
};

static uint32_t buffers_of(const struct kt_field *field)
{
    switch (field->type) {
    case KT_NULL:
        return 0;
    case KT_STRUCT:
    case KT_FIXED_LIST:
        return 1;
    case KT_UTF8:
    case KT_LARGE_UTF8:
    case KT_BINARY:
    case KT_LARGE_BINARY:
        return 3;
    default:
        return 2;
    }
}

bool kt_ipc_sizes_fit(const struct kt_field *field, const struct ipc_node *node,
                      const struct ipc_range *buffers)
{
    uint64_t length = (uint64_t)node->length, bits = (length + 7) / 8;
    if (field->type == KT_NULL) return true;
    if (node->nulls && buffers[0].size < bits) return false;
    if (buffers_of(field) == 1) return true;
    if (field->type == KT_BOOL) return buffers[1].size >= bits;
    uint64_t offsets = kt_type_offset_bytes(field->type) && length;
    return buffers[1].size >= (length + offsets) * kt_field_entry_bytes(field);
}

static bool fault(struct walk *walk, const char *what)
{
    if (!walk->fault) walk->fault = what;
    return false;
}

static bool walk_buffers(struct walk *walk, uint32_t count)
{
    if (count > walk->buffers.count - walk->buffer)
        return fault(walk, "it has fewer buffers than its schema");
    for (uint32_t i = 0; i < count; i++, walk->buffer++) {
        const uint8_t *p = kt_flatbuf_struct(walk->from, walk->buffers, walk->buffer, BUFFER_BYTES);
        uint64_t at = kt_get_u64(p), size = kt_get_u64(p + 8);
        if (at > walk->body.size || size > walk->body.size - at)
            return fault(walk, "a buffer lies outside its body");
        if (size && at % 8) return fault(walk, "a buffer does not begin at a multiple of 8");
        walk->record->buffers[walk->buffer] = (struct ipc_range){ walk->body.at + at, size };
    }
    return true;
}

static bool walk_field(struct walk *walk, const struct kt_field *field, int64_t least)
{
    struct ipc_node *node = &walk->record->nodes[walk->node];
    const uint8_t *p = kt_flatbuf_struct(walk->from, walk->nodes, walk->node++, NODE_BYTES);
    *node = (struct ipc_node){ (int64_t)kt_get_u64(p), (int64_t)kt_get_u64(p + 8), walk->buffer, 0 };
    if (node->length < 0 || node->length > LENGTH_MAX || node->nulls < 0 || node->nulls > node->length)
        return fault(walk, "a column has an impossible length");
    if (node->length < least) return fault(walk, "a column has fewer values than its parent");
    if (kt_type_is_view(field->type)) {
        int64_t views = -1;
        if (walk->view < walk->views.count)
            views = (int64_t)kt_get_u64(kt_flatbuf_struct(walk->from, walk->views, walk->view++, 8));
        if (views < 0 || views > walk->buffers.count)
            return fault(walk, "a column lacks the number of its view buffers");
        node->views = (uint32_t)views;
    }
    if (!walk_buffers(walk, buffers_of(field) + node->views)) return false;
    if (!walk->record->zstd && !kt_ipc_sizes_fit(field, node, walk->record->buffers + node->buffer))
        return fault(walk, "a buffer is shorter than its rows");
    if (field->type == KT_DICTIONARY) return true;
    int64_t below = field->type == KT_STRUCT       ? node->length
                    : field->type == KT_FIXED_LIST ? node->length * field->width
                                                   : 0;
    for (uint32_t i = 0; i < field->child_count; i++)
        if (!walk_field(walk, &field->children[i], below)) return false;
    return true;
}

static kith_status read_compression(struct kt_flatbuf *from, struct kt_flatbuf_table table, bool *zstd,
                                    const char *name, kith_error *error)
{
    struct kt_flatbuf_table compression = kt_flatbuf_table(from, table, RECORD_COMPRESSION);
    if (!compression.at) return KITH_OK;
    int64_t codec = kt_flatbuf_integer(from, compression, 0, 1, 0),
            method = kt_flatbuf_integer(from, compression, 1, 1, 0);
    *zstd = codec == 1 && method == 0;
    if (*zstd) return KITH_OK;
    return kt_fail(
        error, KITH_UNSUPPORTED,
        "%s: its bodies are compressed with %s, which Kith does not read; write it with zstd or uncompressed",
        name, codec == 0 ? "LZ4" : "an unknown codec");
}

kith_status kt_ipc_record(struct kt_flatbuf *from, struct kt_flatbuf_table table,
                          const struct kt_field *fields, uint32_t count, struct ipc_range body,
                          const char *name, struct ipc_record *out, kith_error *error)
{
    struct ipc_record record = { 0 };
    struct walk walk = { .from = from, .body = body, .record = &record };
    uint32_t nodes = 0;
    int64_t rows = kt_flatbuf_integer(from, table, RECORD_LENGTH, 8, 0);
    walk.nodes = kt_flatbuf_vector(from, table, RECORD_NODES, NODE_BYTES);
    walk.buffers = kt_flatbuf_vector(from, table, RECORD_BUFFERS, BUFFER_BYTES);
    walk.views = kt_flatbuf_vector(from, table, RECORD_VIEWS, 8);
    kith_status status = read_compression(from, table, &record.zstd, name, error);
    if (status) return status;
    for (uint32_t i = 0; i < count; i++) nodes += kt_ipc_nodes(&fields[i]);
    if (from->bad || rows < 0 || rows > LENGTH_MAX || nodes != walk.nodes.count)
        return kt_fail(error, KITH_CORRUPT,
                       "%s: a record batch is damaged: its columns are not those of its schema", name);
    size_t node_bytes = nodes * sizeof *record.nodes;
    uint8_t *memory = kt_alloc(node_bytes + (size_t)walk.buffers.count * sizeof *record.buffers);
    if (!memory) return kt_fail_memory(error, node_bytes);
    record.rows = (uint64_t)rows;
    record.nodes = (struct ipc_node *)(void *)memory;
    record.buffers = (struct ipc_range *)(void *)(memory + node_bytes);
    record.node_count = nodes;
    record.buffer_count = walk.buffers.count;
    for (uint32_t i = 0; i < count && !walk.fault; i++) {
        uint32_t node = walk.node;
        if (walk_field(&walk, &fields[i], rows) && record.nodes[node].length != rows)
            fault(&walk, "a column has more rows than its batch");
    }
    if (!walk.fault && walk.buffer != walk.buffers.count) fault(&walk, "it has more buffers than its schema");
    if (walk.fault) {
        kt_free(memory);
        return kt_fail(error, KITH_CORRUPT, "%s: a record batch is damaged: %s", name, walk.fault);
    }
    *out = record;
    return KITH_OK;
}

void kt_ipc_record_release(struct ipc_record *record)
{
    kt_free(record->nodes);
    *record = (struct ipc_record){ 0 };
}
