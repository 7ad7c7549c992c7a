/* Writing FlatBuffers from front to back.
 *
 * The usual builders write backwards, children first. Parents can as well come first: an offset leads
 * forward, so a table is written with zeros where its offsets go, and each is filled in when what it refers
 * to begins. That makes one growing buffer, no stack of open objects, and code that reads in the order of the
 * schema.
 *
 *   vtable | padding | table | what its fields refer to, one after another | next table's vtable ...
 *
 * A table begins at a multiple of 8 (its fields then lie at multiples of their size), and the buffer itself
 * at a multiple of 8 in its file, as verifiers demand. Vtables are not shared between tables: schemas are
 * small.
 */
#include "column/flatbuf_private.h"

static size_t put_zeros(struct kt_flatbuf_writer *writer, size_t count)
{
    size_t at = writer->out.size;
    if (!writer->failed && !kt_buffer_append(&writer->out, NULL, count)) writer->failed = true;
    return writer->failed ? 0 : at;
}

static void pad(struct kt_flatbuf_writer *writer, size_t align, size_t phase)
{
    while (!writer->failed && writer->out.size % align != phase) put_zeros(writer, 1);
}

void kt_flatbuf_begin(struct kt_flatbuf_writer *writer)
{
    writer->out.size = 0;
    put_zeros(writer, 4);
}

void kt_flatbuf_put(struct kt_flatbuf_writer *writer, size_t at, int64_t value, uint32_t bytes)
{
    if (!writer->failed) memcpy(writer->out.data + at, &value, bytes); /* little-endian: the low bytes */
}

void kt_flatbuf_refer(struct kt_flatbuf_writer *writer, size_t at, size_t align)
{
    pad(writer, align, 0);
    kt_flatbuf_put(writer, at, (int64_t)(writer->out.size - at), 4);
}

/* The distance of each field from the table's start, wide ones first so that none needs padding but the
 * first. */
static uint32_t lay_out(const uint8_t *sizes, uint32_t count, uint16_t *distance)
{
    uint32_t at = 4;
    for (uint32_t size = 8; size; size /= 2)
        for (uint32_t i = 0; i < count; i++) {
            if (sizes[i] != size) continue;
            at = (uint32_t)kt_round_up(at, size);
            distance[i] = (uint16_t)at;
            at += size;
        }
    return at;
}

struct kt_flatbuf_slots kt_flatbuf_put_table(struct kt_flatbuf_writer *writer, size_t at,
                                             const uint8_t *sizes, uint32_t count)
{
    struct kt_flatbuf_slots slots = { { 0 } };
    uint16_t distance[KT_FLATBUF_FIELDS] = { 0 };
    uint32_t table_bytes = lay_out(sizes, count, distance), vtable_bytes = 4 + 2 * count;
    pad(writer, 2, 0);
    size_t vtable = put_zeros(writer, vtable_bytes);
    kt_flatbuf_refer(writer, at, 8);
    size_t table = put_zeros(writer, table_bytes);
    kt_flatbuf_put(writer, vtable, vtable_bytes, 2);
    kt_flatbuf_put(writer, vtable + 2, table_bytes, 2);
    kt_flatbuf_put(writer, table, (int64_t)(table - vtable), 4);
    for (uint32_t i = 0; i < count; i++) {
        kt_flatbuf_put(writer, vtable + 4 + 2 * (size_t)i, distance[i], 2);
        slots.at[i] = table + distance[i];
    }
    return slots;
}

void kt_flatbuf_put_text(struct kt_flatbuf_writer *writer, size_t at, const char *text, size_t count)
{
    kt_flatbuf_refer(writer, at, 4);
    size_t size = put_zeros(writer, 4);
    kt_flatbuf_put(writer, size, (int64_t)count, 4);
    if (!writer->failed && !kt_buffer_append(&writer->out, text, count)) writer->failed = true;
    put_zeros(writer, 1);
}

size_t kt_flatbuf_put_vector(struct kt_flatbuf_writer *writer, size_t at, size_t count, size_t item_bytes)
{
    size_t align = item_bytes >= 8 ? 8 : 4;
    pad(writer, align, align - 4); /* the items are aligned, the count stands before them */
    kt_flatbuf_put(writer, at, (int64_t)(writer->out.size - at), 4);
    size_t size = put_zeros(writer, 4);
    kt_flatbuf_put(writer, size, (int64_t)count, 4);
    size_t bytes;
    if (__builtin_mul_overflow(count, item_bytes, &bytes)) writer->failed = true;
    return put_zeros(writer, bytes);
}
