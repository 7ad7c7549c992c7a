/* The byte sink: what is written passes to a file, to memory or to a descriptor, and is hashed on the way.
 *
 * Blocks that lie whole in the caller's memory are hashed where they lie; only the ends of appends are
 * gathered into a block. The block table is small (8 bytes for 16 or 64 KiB), and what follows it is an
 * Arrow footer, so the tail is kept and hashed in one go at the end.
 */
#include "storage/blob.h"

#include "base/alloc.h"
#include "io/io_posix.h"

enum { DESCRIPTOR_BUFFER = 256 * 1024, TABLE_HEADER = 16 };

struct kt_sink {
    struct kt_io_writer *writer; /* a sealed file, or */
    struct kt_buffer *memory;    /* the caller's buffer, or */
    int fd;                      /* a descriptor, through `gathered` */
    struct kt_buffer gathered;
    uint64_t at;
    bool sealed;
    bool failed; /* a write failed: the file must not be finished */
    uint64_t table;
    uint32_t block_bytes;
    uint32_t partial_fill;
    uint8_t *partial;      /* the block begun */
    struct kt_buffer sums; /* XXH3 of the blocks so far */
    struct kt_buffer tail; /* the table and what follows */
};

static kith_status sink_new(struct kt_sink **out, kith_error *error)
{
    struct kt_sink *sink = kt_alloc_zero(1, sizeof *sink);
    if (!sink) return kt_fail_memory(error, sizeof *sink);
    sink->fd = -1;
    *out = sink;
    return KITH_OK;
}

static void sink_free(struct kt_sink *sink)
{
    kt_buffer_release(&sink->gathered);
    kt_buffer_release(&sink->sums);
    kt_buffer_release(&sink->tail);
    kt_free(sink->partial);
    kt_free(sink);
}

kith_status kt_sink_create(struct kt_io *io, const char *name, uint32_t block_bytes, struct kt_sink **out,
                           kith_error *error)
{
    struct kt_sink *sink = NULL;
    kith_status status = sink_new(&sink, error);
    if (status) return status;
    sink->block_bytes = block_bytes;
    sink->partial = kt_alloc(block_bytes);
    if (!sink->partial) status = kt_fail_memory(error, block_bytes);
    if (!status) status = kt_io_create(io, name, &sink->writer, error);
    if (status)
        sink_free(sink);
    else
        *out = sink;
    return status;
}

kith_status kt_sink_memory(struct kt_buffer *to, struct kt_sink **out, kith_error *error)
{
    kith_status status = sink_new(out, error);
    if (!status) (*out)->memory = to;
    return status;
}

kith_status kt_sink_descriptor(int fd, struct kt_sink **out, kith_error *error)
{
    kith_status status = sink_new(out, error);
    if (!status) (*out)->fd = fd;
    return status;
}

uint64_t kt_sink_at(const struct kt_sink *sink)
{
    return sink->at;
}

static kith_status flush_descriptor(struct kt_sink *sink, kith_error *error)
{
    size_t size = sink->gathered.size;
    sink->gathered.size = 0;
    return size ? kt_posix_write_descriptor(sink->fd, sink->gathered.data, size, error) : KITH_OK;
}

static kith_status emit_descriptor(struct kt_sink *sink, const void *bytes, size_t count, kith_error *error)
{
    kith_status status = KITH_OK;
    if (sink->gathered.size + count > DESCRIPTOR_BUFFER) status = flush_descriptor(sink, error);
    if (status) return status;
    if (count >= DESCRIPTOR_BUFFER) return kt_posix_write_descriptor(sink->fd, bytes, count, error);
    return kt_buffer_append(&sink->gathered, bytes, count) ? KITH_OK : kt_fail_memory(error, count);
}

static bool push_sum(struct kt_sink *sink, const void *block, size_t count)
{
    uint8_t sum[8];
    kt_put_u64(sum, kt_hash(block, count));
    return kt_buffer_append(&sink->sums, sum, sizeof sum);
}

static bool hash_blocks(struct kt_sink *sink, const uint8_t *bytes, size_t count)
{
    while (count) {
        size_t take = kt_min_u64(sink->block_bytes - sink->partial_fill, count);
        if (take == sink->block_bytes) {
            if (!push_sum(sink, bytes, take)) return false;
        } else {
            memcpy(sink->partial + sink->partial_fill, bytes, take);
            sink->partial_fill += (uint32_t)take;
            if (sink->partial_fill == sink->block_bytes) {
                if (!push_sum(sink, sink->partial, sink->block_bytes)) return false;
                sink->partial_fill = 0;
            }
        }
        bytes += take;
        count -= take;
    }
    return true;
}

static kith_status emit(struct kt_sink *sink, const void *bytes, size_t count, kith_error *error)
{
    if (sink->memory)
        return kt_buffer_append(sink->memory, bytes, count) ? KITH_OK : kt_fail_memory(error, count);
    if (!sink->writer) return emit_descriptor(sink, bytes, count, error);
    bool kept = sink->sealed ? kt_buffer_append(&sink->tail, bytes, count) : hash_blocks(sink, bytes, count);
    return kept ? kt_io_append(sink->writer, bytes, count, error) : kt_fail_memory(error, count);
}

kith_status kt_sink_write(struct kt_sink *sink, const void *bytes, size_t count, kith_error *error)
{
    static const uint8_t zeros[4096];
    kith_status status = KITH_OK;
    if (!count) return KITH_OK;
    sink->at += count;
    if (bytes) status = emit(sink, bytes, count, error);
    while (!bytes && count && !status) {
        size_t take = kt_min_u64(count, sizeof zeros);
        status = emit(sink, zeros, take, error);
        count -= take;
    }
    if (status) sink->failed = true;
    return status;
}

kith_status kt_sink_align(struct kt_sink *sink, size_t multiple, kith_error *error)
{
    return kt_sink_write(sink, NULL, (size_t)(kt_round_up(sink->at, multiple) - sink->at), error);
}

kith_status kt_sink_seal(struct kt_sink *sink, kith_error *error)
{
    if (!sink->writer || sink->sealed) return KITH_OK;
    kith_status status = kt_sink_align(sink, 64, error);
    if (status) return status;
    if (sink->partial_fill && !push_sum(sink, sink->partial, sink->partial_fill)) {
        sink->failed = true;
        return kt_fail_memory(error, 8);
    }
    uint8_t header[TABLE_HEADER] = "KITHSUMS";
    kt_put_u32(header + 8, sink->block_bytes);
    kt_put_u32(header + 12, (uint32_t)(sink->sums.size / 8));
    sink->table = sink->at;
    sink->sealed = true;
    status = kt_sink_write(sink, header, sizeof header, error);
    if (!status) status = kt_sink_write(sink, sink->sums.data, sink->sums.size, error);
    return status;
}

static kith_status finish_file(struct kt_sink *sink, struct kt_seal *seal, kith_error *error)
{
    kith_status status = sink->failed ? kt_fail(error, KITH_IO, "a write to the file failed before")
                                      : kt_sink_seal(sink, error);
    if (status) {
        kt_io_abandon(sink->writer);
        return status;
    }
    status = kt_io_finish(sink->writer, error);
    if (!status && seal)
        *seal = (struct kt_seal){ .length = sink->at,
                                  .table = sink->table,
                                  .block_bytes = sink->block_bytes,
                                  .tail = kt_hash(sink->tail.data, sink->tail.size) };
    return status;
}

kith_status kt_sink_finish(struct kt_sink *sink, struct kt_seal *seal, kith_error *error)
{
    kith_status status = KITH_OK;
    if (sink->writer)
        status = finish_file(sink, seal, error);
    else if (!sink->memory)
        status = flush_descriptor(sink, error);
    sink_free(sink);
    return status;
}

void kt_sink_abandon(struct kt_sink *sink)
{
    if (!sink) return;
    kt_io_abandon(sink->writer);
    sink_free(sink);
}
