/* Reading Arrow IPC from a descriptor: a stream, a file, a pipe of either. Three ways, told apart by the
 * first bytes:
 *
 *   stream           message by message, to its mark or the end
 *   file, seekable   by its footer: dictionaries first, wherever they stand, then batch by batch
 *   file in a pipe   as a stream behind its first 8 bytes. Polars writes no message there and its
 * dictionaries last: such a file is read into memory whole and then by its footer
 *
 * Otherwise only the batch at hand is in memory. Bytes are read, never mapped: a file that somebody cuts
 * short meanwhile is an error, not a signal.
 *
 * What a length promises is not believed before the bytes are there: of a regular file its size is asked;
 * from a pipe the room doubles as bytes arrive. So a lie costs at most twice what was sent.
 *
 * Batches come in plain form (views, large lists and dictionaries of other things than text are cast),
 * because a stream of ours promises one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "column/ipc_private.h"

enum { FIRST_ROOM = 1 << 20, METADATA_MAX = 256 << 20, DRAIN_MAX = 256 << 20 };
enum { DICTIONARY_ID, DICTIONARY_DATA, DICTIONARY_DELTA };
static const uint64_t UNKNOWN = UINT64_MAX;
static const char name[] = "the Arrow input";

struct reader {
    int fd;
    bool file;       /* begins with the magic of files */
    uint64_t remain; /* bytes of a regular file still to come, or UNKNOWN */
    struct kt_schema *schema, *plain;
    int64_t *ids;
    struct kt_batch **dictionaries; /* in pre-order; NULL before they came */
    struct kt_schema **value_schemas;
    uint32_t dictionary_count;

    /* a file read by its footer */
    bool by_footer;
    uint64_t base;   /* where the file begins in the descriptor */
    uint64_t length; /* of the file */
    uint8_t *whole;  /* all of it; NULL: read it from the descriptor */
    uint8_t *footer_bytes;
    struct ipc_footer footer;
    uint32_t next_record;
    uint64_t end; /* of the last record batch */
};

/* ---- bytes ---- */

static kith_status cut_short(kith_error *error)
{
    return kt_fail(error, KITH_CORRUPT, "%s ends in the middle of a message", name);
}

/* Reads up to `count` bytes; fewer only at the end. */
static kith_status read_some(struct reader *reader, uint8_t *to, uint64_t count, uint64_t *got,
                             kith_error *error)
{
    *got = 0;
    while (*got < count) {
        ssize_t n = read(reader->fd, to + *got, (size_t)kt_min_u64(count - *got, (uint64_t)1 << 30));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return kt_fail(error, KITH_IO, "%s could not be read: %s", name, strerror(errno));
        if (n == 0) break;
        *got += (uint64_t)n;
        if (reader->remain != UNKNOWN) reader->remain -= kt_min_u64(reader->remain, (uint64_t)n);
    }
    return KITH_OK;
}

/* A block of exactly `count` bytes of the input. */
static kith_status read_block(struct reader *reader, uint64_t count, uint8_t **out, kith_error *error)
{
    if (reader->remain != UNKNOWN && count > reader->remain) return cut_short(error);
    uint64_t room = reader->remain != UNKNOWN ? count : kt_min_u64(count, FIRST_ROOM), have = 0, got;
    uint8_t *block = kt_block_new(room);
    kith_status status = block ? KITH_OK : kt_fail_memory(error, room);
    while (!status) {
        status = read_some(reader, block + have, room - have, &got, error);
        have += got;
        if (!status && have < room) status = cut_short(error);
        if (status || have == count) break;
        uint64_t wider = kt_min_u64(count, 2 * room);
        uint8_t *larger = kt_block_new(wider);
        if (larger)
            memcpy(larger, block, have);
        else
            status = kt_fail_memory(error, wider);
        kt_block_free(block);
        block = larger;
        room = wider;
    }
    if (status)
        kt_block_free(block);
    else
        *out = block;
    return status;
}

/* A block of bytes of a file read by its footer. */
static kith_status read_at(struct reader *reader, struct ipc_range range, uint8_t **out, kith_error *error)
{
    if (range.at > reader->length || range.size > reader->length - range.at) return cut_short(error);
    uint8_t *block = kt_block_new(range.size);
    if (!block) return kt_fail_memory(error, range.size);
    if (reader->whole && range.size) memcpy(block, reader->whole + range.at, range.size);
    for (uint64_t have = 0; !reader->whole && have < range.size;) {
        uint64_t wanted = kt_min_u64(range.size - have, (uint64_t)1 << 30);
        ssize_t n = pread(reader->fd, block + have, (size_t)wanted, (off_t)(reader->base + range.at + have));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            kt_block_free(block);
            return n ? kt_fail(error, KITH_IO, "%s could not be read: %s", name, strerror(errno))
                     : cut_short(error);
        }
        have += (uint64_t)n;
    }
    *out = block;
    return KITH_OK;
}

/* All that is left of a pipe, behind `count` bytes that were read from it. */
static kith_status read_whole(struct reader *reader, const uint8_t *begin, uint64_t count, kith_error *error)
{
    struct kt_buffer all = { 0 };
    uint64_t got = 1;
    kith_status status = KITH_OK;
    if (!kt_buffer_append(&all, begin, count)) status = kt_fail_memory(error, count);
    while (!status && got) {
        if (!kt_buffer_reserve(&all, FIRST_ROOM))
            status = kt_fail_memory(error, all.size);
        else
            status = read_some(reader, all.data + all.size, all.capacity - all.size, &got, error);
        if (!status) all.size += got;
    }
    if (!status) {
        reader->whole = all.data;
        reader->length = all.size;
        return KITH_OK;
    }
    kt_buffer_release(&all);
    return status;
}

/* ---- messages ---- */

struct incoming {
    struct ipc_message message;
    uint8_t *metadata, *body; /* blocks */
    bool end;
};

static void incoming_release(struct incoming *incoming)
{
    kt_block_free(incoming->metadata);
    kt_block_free(incoming->body);
    *incoming = (struct incoming){ 0 };
}

/* What follows the stream in a file (block table, footer) is read away, so that whoever writes the pipe is
 * not cut off. */
static kith_status drain(struct reader *reader, kith_error *error)
{
    uint8_t bytes[4096];
    uint64_t got = sizeof bytes;
    kith_status status = KITH_OK;
    if (!reader->file || reader->remain != UNKNOWN) return KITH_OK;
    for (uint64_t all = 0; !status && got == sizeof bytes && all < DRAIN_MAX; all += got)
        status = read_some(reader, bytes, sizeof bytes, &got, error);
    return status;
}

/* Reads the message after `prefix`. */
static kith_status read_message(struct reader *reader, const uint8_t prefix[IPC_PREFIX], struct incoming *in,
                                kith_error *error)
{
    uint32_t size = kt_get_u32(prefix + 4);
    *in = (struct incoming){ 0 };
    if (kt_get_u32(prefix) != UINT32_MAX)
        return kt_fail(error, KITH_CORRUPT,
                       "%s has no message where one should begin (or is older than Arrow 0.15)", name);
    if (size == 0) {
        in->end = true;
        return drain(reader, error);
    }
    if (size > METADATA_MAX)
        return kt_fail(error, KITH_CORRUPT, "%s has a message with %u bytes of metadata", name, size);
    kith_status status = read_block(reader, size, &in->metadata, error);
    if (!status) status = kt_ipc_message(in->metadata, size, name, &in->message, error);
    if (!status) status = read_block(reader, in->message.body_bytes, &in->body, error);
    if (status) incoming_release(in);
    return status;
}

static kith_status next_streamed(struct reader *reader, struct incoming *in, kith_error *error)
{
    uint8_t prefix[IPC_PREFIX];
    uint64_t got;
    *in = (struct incoming){ .end = true };
    kith_status status = read_some(reader, prefix, sizeof prefix, &got, error);
    if (status) return status;
    if (!got && !reader->file) return KITH_OK; /* a stream may end without its mark */
    return got < sizeof prefix ? cut_short(error) : read_message(reader, prefix, in, error);
}

static kith_status read_footer_block(struct reader *reader, struct kt_flatbuf_vector blocks, uint32_t i,
                                     uint64_t *end, int kind, struct incoming *in, kith_error *error)
{
    struct ipc_block block;
    *in = (struct incoming){ 0 };
    kith_status status = kt_ipc_block(&reader->footer, blocks, i, end, name, &block, error);
    if (!status) status = read_at(reader, block.metadata, &in->metadata, error);
    if (!status) status = kt_ipc_block_message(in->metadata, &block, kind, name, &in->message, error);
    if (!status) status = read_at(reader, block.body, &in->body, error);
    if (status) incoming_release(in);
    return status;
}

/* The next message of a stream, or the next record batch by the footer. */
static kith_status next_message(struct reader *reader, struct incoming *in, kith_error *error)
{
    if (!reader->by_footer) return next_streamed(reader, in, error);
    *in = (struct incoming){ .end = reader->next_record == reader->footer.records.count };
    if (in->end) return KITH_OK;
    return read_footer_block(reader, reader->footer.records, reader->next_record++, &reader->end,
                             IPC_RECORD_BATCH, in, error);
}

/* A batch of the message's body, which it owns. */
static kith_status make_batch(struct incoming *in, struct kt_flatbuf_table table, struct kt_schema *schema,
                              struct kt_batch *const *dictionaries, struct kt_batch **out, kith_error *error)
{
    struct ipc_source source = { .memory = in->body, .name = name };
    struct ipc_record record = { 0 };
    kith_status status = kt_ipc_record(&in->message.from, table, schema->fields, schema->count,
                                       (struct ipc_range){ 0, in->message.body_bytes }, name, &record, error);
    if (!status) status = kt_ipc_make_batch(&source, &record, schema, dictionaries, out, error);
    if (!status && !record.zstd) {
        kt_batch_own(*out, in->body);
        in->body = NULL;
    }
    kt_ipc_record_release(&record);
    return status;
}

static kith_status take_dictionary(struct reader *reader, struct incoming *in, kith_error *error)
{
    struct kt_flatbuf *from = &in->message.from;
    struct kt_flatbuf_table data = kt_flatbuf_table(from, in->message.header, DICTIONARY_DATA);
    int64_t id = kt_flatbuf_integer(from, in->message.header, DICTIONARY_ID, 8, 0);
    bool delta = kt_flatbuf_integer(from, in->message.header, DICTIONARY_DELTA, 1, 0) != 0;
    struct kt_batch *values = NULL;
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < reader->dictionary_count; i++) {
        struct kt_batch *joined = NULL;
        if (reader->ids[i] != id) continue;
        if (!values)
            status = make_batch(in, data, reader->value_schemas[i], NULL, &values, error);
        else if (!kt_field_same_type(&reader->value_schemas[i]->fields[0], &values->schema->fields[0]))
            status =
                kt_fail(error, KITH_CORRUPT, "%s uses one dictionary for columns of different types", name);
        if (!status && delta && reader->dictionaries[i])
            status = kt_ipc_join(reader->dictionaries[i], values, &joined, error);
        if (status) break;
        kt_batch_release(reader->dictionaries[i]);
        reader->dictionaries[i] = joined ? joined : kt_batch_share(values);
    }
    kt_batch_release(values);
    return status;
}

/* ---- the stream of batches ---- */

static void reader_free(void *context)
{
    struct reader *reader = context;
    if (!reader) return;
    for (uint32_t i = 0; i < reader->dictionary_count; i++) {
        if (reader->dictionaries) kt_batch_release(reader->dictionaries[i]);
        if (reader->value_schemas) kt_schema_release(reader->value_schemas[i]);
    }
    kt_free(reader->dictionaries);
    kt_free(reader->value_schemas);
    kt_free(reader->ids);
    kt_free(reader->whole);
    kt_block_free(reader->footer_bytes);
    kt_schema_release(reader->schema);
    kt_schema_release(reader->plain);
    kt_free(reader);
}

static kith_status reader_next(void *context, struct kt_batch **out, kith_error *error)
{
    struct reader *reader = context;
    struct incoming in;
    kith_status status = KITH_OK;
    *out = NULL;
    while (!status && !*out) {
        struct kt_batch *batch = NULL;
        status = next_message(reader, &in, error);
        if (status || in.end) break;
        if (in.message.kind == IPC_DICTIONARY_BATCH) {
            status = take_dictionary(reader, &in, error);
        } else if (in.message.kind == IPC_RECORD_BATCH) {
            status = make_batch(&in, in.message.header, reader->schema, reader->dictionaries, &batch, error);
            if (!status) status = kt_batch_plain(batch, reader->plain, out, error);
        } else {
            status = kt_fail(error, KITH_CORRUPT, "%s has a message of kind %d where a batch was expected",
                             name, in.message.kind);
        }
        kt_batch_release(batch);
        incoming_release(&in);
    }
    return status;
}

/* ---- beginning ---- */

static kith_status set_up_dictionaries(struct reader *reader, kith_error *error)
{
    kith_status status = KITH_OK;
    reader->dictionaries = kt_alloc_zero(reader->dictionary_count, sizeof *reader->dictionaries);
    reader->value_schemas = kt_alloc_zero(reader->dictionary_count, sizeof *reader->value_schemas);
    if (!reader->dictionaries || !reader->value_schemas)
        return kt_fail_memory(error, reader->dictionary_count * sizeof *reader->dictionaries);
    for (uint32_t i = 0; !status && i < reader->dictionary_count; i++) {
        uint32_t number = i;
        const struct kt_field *field =
            kt_ipc_dictionary_field(reader->schema->fields, reader->schema->count, &number);
        if (!field)
            status = kt_fail(error, KITH_CORRUPT, "%s: its dictionaries are not those of its schema", name);
        else
            status = kt_ipc_values_schema(field, &reader->value_schemas[i], error);
    }
    return status;
}

static kith_status begin_schema(struct reader *reader, struct kt_flatbuf *from,
                                struct kt_flatbuf_table schema, kith_error *error)
{
    kith_status status =
        kt_ipc_get_schema(from, schema, &reader->schema, &reader->ids, &reader->dictionary_count, error);
    if (!status) status = set_up_dictionaries(reader, error);
    return status ? status : kt_schema_plain(reader->schema, &reader->plain, error);
}

static kith_status begin_by_footer(struct reader *reader, kith_error *error)
{
    struct ipc_range tail = { reader->length - IPC_TAIL, IPC_TAIL }, range;
    uint8_t *bytes = NULL;
    uint64_t end = 0;
    reader->by_footer = true;
    if (reader->length < sizeof kt_ipc_magic + IPC_TAIL) return cut_short(error);
    kith_status status = read_at(reader, tail, &bytes, error);
    if (!status) status = kt_ipc_tail(bytes, reader->length, name, &range, error);
    if (!status) status = read_at(reader, range, &reader->footer_bytes, error);
    if (!status) status = kt_ipc_footer(reader->footer_bytes, range, name, &reader->footer, error);
    if (!status) status = begin_schema(reader, &reader->footer.from, reader->footer.schema, error);
    for (uint32_t i = 0; !status && i < reader->footer.dictionaries.count; i++) {
        struct incoming in;
        status =
            read_footer_block(reader, reader->footer.dictionaries, i, &end, IPC_DICTIONARY_BATCH, &in, error);
        if (!status) status = take_dictionary(reader, &in, error);
        incoming_release(&in);
    }
    kt_block_free(bytes);
    return status;
}

static kith_status begin_stream(struct reader *reader, const uint8_t prefix[IPC_PREFIX], kith_error *error)
{
    struct incoming in;
    kith_status status = read_message(reader, prefix, &in, error);
    if (status) return status;
    if (in.end || in.message.kind != IPC_SCHEMA)
        status = kt_fail(error, KITH_CORRUPT, "%s does not begin with a schema", name);
    else
        status = begin_schema(reader, &in.message.from, in.message.header, error);
    incoming_release(&in);
    return status;
}

static kith_status begin(struct reader *reader, kith_error *error)
{
    uint8_t first[2 * IPC_PREFIX];
    uint64_t got, more;
    kith_status status = read_some(reader, first, IPC_PREFIX, &got, error);
    if (status) return status;
    if (!got) return kt_fail(error, KITH_INVALID, "%s is empty", name);
    reader->file = got == IPC_PREFIX && memcmp(first, kt_ipc_magic, 6) == 0;
    if (!reader->file && got == IPC_PREFIX && kt_get_u32(first) == UINT32_MAX)
        return begin_stream(reader, first, error);
    if (!reader->file) {
        const char *what = memcmp(first, "PAR1", 4) == 0   ? "a Parquet file"
                           : memcmp(first, "FEA1", 4) == 0 ? "a Feather V1 file"
                                                           : "something else";
        return kt_fail(error, KITH_INVALID, "%s is neither an Arrow IPC file nor a stream, but %s", name,
                       what);
    }
    if (reader->remain != UNKNOWN) return begin_by_footer(reader, error);
    status = read_some(reader, first + IPC_PREFIX, IPC_PREFIX, &more, error);
    if (status) return status;
    if (more == IPC_PREFIX && kt_get_u32(first + IPC_PREFIX) == UINT32_MAX)
        return begin_stream(reader, first + IPC_PREFIX, error);
    status = read_whole(reader, first, got + more, error);
    return status ? status : begin_by_footer(reader, error);
}

kith_status kt_ipc_read_descriptor(int fd, struct ArrowArrayStream *out, kith_error *error)
{
    struct stat info;
    struct reader *reader = kt_alloc_zero(1, sizeof *reader);
    if (!reader) return kt_fail_memory(error, sizeof *reader);
    reader->fd = fd;
    reader->remain = UNKNOWN;
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && at >= 0) {
        reader->base = (uint64_t)at;
        reader->length = reader->remain = info.st_size > at ? (uint64_t)(info.st_size - at) : 0;
    }
    kith_status status = begin(reader, error);
    if (!status) status = kt_stream_make(reader->plain, reader_next, reader_free, reader, out, error);
    if (status) reader_free(reader);
    return status;
}
