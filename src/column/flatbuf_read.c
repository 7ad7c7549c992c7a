/* Reading FlatBuffers that may have been made to hurt.
 *
 *   0        u32  offset of the root table, from here
 *   table    i32  vtable = position of the table - this
 *            ...  fields, each where the vtable says: numbers and structs in place; texts, vectors and tables
 * as a u32 to be added to the field's own position vtable   u16  bytes of the vtable u16  bytes of the table
 *            u16  per field, in the order of the schema: its distance from the table's start, 0 when absent
 *   vector   u32  count, then the items        text: the same, then a NUL
 *
 * Every position is computed in 64 bits and compared with the size before it is read. A failure is noted once
 * in `bad`, and everything reads as absent from then on, so the caller asks once, at the end. Nothing is
 * assumed about alignment. Offsets only lead forward, but they may meet: tables can share children, so a
 * kilobyte may describe a tree of millions of fields. The budget bounds what is made of a buffer; the caller
 * spends it per field and text.
 */
#include "column/flatbuf_private.h"

struct kt_flatbuf kt_flatbuf(const uint8_t *bytes, uint64_t size)
{
    return (struct kt_flatbuf){ .bytes = bytes, .size = size, .budget = 16 * size + (1 << 16) };
}

bool kt_flatbuf_spend(struct kt_flatbuf *from, uint64_t amount)
{
    if (from->budget < amount)
        from->bad = true;
    else
        from->budget -= amount;
    return !from->bad;
}

static bool inside(struct kt_flatbuf *from, uint64_t at, uint64_t count)
{
    if (from->bad || at > from->size || count > from->size - at) from->bad = true;
    return !from->bad;
}

static struct kt_flatbuf_table table_at(struct kt_flatbuf *from, uint64_t at)
{
    struct kt_flatbuf_table none = { 0 };
    if (!inside(from, at, 4)) return none;
    int64_t fields = (int64_t)at - (int32_t)kt_get_u32(from->bytes + at);
    if (fields < 0 || !inside(from, (uint64_t)fields, 4)) {
        from->bad = true;
        return none;
    }
    uint32_t field_bytes = kt_get_u16(from->bytes + fields),
             table_bytes = kt_get_u16(from->bytes + fields + 2);
    if (field_bytes < 4 || !inside(from, (uint64_t)fields, field_bytes) || !inside(from, at, table_bytes)) {
        from->bad = true;
        return none;
    }
    return (struct kt_flatbuf_table){ at, (uint64_t)fields, field_bytes };
}

struct kt_flatbuf_table kt_flatbuf_root(struct kt_flatbuf *from)
{
    return inside(from, 0, 4) ? table_at(from, kt_get_u32(from->bytes)) : (struct kt_flatbuf_table){ 0 };
}

/* Where a field of `bytes` bytes lies, 0 when it is absent. */
static uint64_t field_at(struct kt_flatbuf *from, struct kt_flatbuf_table table, uint32_t field,
                         uint32_t bytes)
{
    uint32_t entry = 4 + 2 * field;
    if (from->bad || !table.field_bytes || entry + 2 > table.field_bytes) return 0;
    uint32_t distance = kt_get_u16(from->bytes + table.fields + entry);
    if (!distance) return 0;
    return inside(from, table.at + distance, bytes) ? table.at + distance : 0;
}

bool kt_flatbuf_has(struct kt_flatbuf *from, struct kt_flatbuf_table table, uint32_t field)
{
    return field_at(from, table, field, 0) != 0;
}

int64_t kt_flatbuf_integer(struct kt_flatbuf *from, struct kt_flatbuf_table table, uint32_t field,
                           uint32_t bytes, int64_t absent)
{
    uint64_t at = field_at(from, table, field, bytes);
    if (!at) return absent;
    const uint8_t *p = from->bytes + at;
    switch (bytes) {
    case 1:
        return (int8_t)*p;
    case 2:
        return (int16_t)kt_get_u16(p);
    case 4:
        return (int32_t)kt_get_u32(p);
    default:
        return (int64_t)kt_get_u64(p);
    }
}

/* What the offset in a field leads to, 0 when absent. */
static uint64_t target(struct kt_flatbuf *from, struct kt_flatbuf_table table, uint32_t field)
{
    uint64_t at = field_at(from, table, field, 4);
    return at ? at + kt_get_u32(from->bytes + at) : 0;
}

struct kt_flatbuf_table kt_flatbuf_table(struct kt_flatbuf *from, struct kt_flatbuf_table table,
                                         uint32_t field)
{
    uint64_t at = target(from, table, field);
    return at ? table_at(from, at) : (struct kt_flatbuf_table){ 0 };
}

struct kt_flatbuf_vector kt_flatbuf_vector(struct kt_flatbuf *from, struct kt_flatbuf_table table,
                                           uint32_t field, uint32_t item_bytes)
{
    struct kt_flatbuf_vector none = { 0 };
    uint64_t at = target(from, table, field);
    if (!at || !inside(from, at, 4)) return none;
    uint32_t count = kt_get_u32(from->bytes + at);
    if (!inside(from, at + 4, (uint64_t)count * item_bytes)) return none;
    return (struct kt_flatbuf_vector){ at + 4, count };
}

const char *kt_flatbuf_text(struct kt_flatbuf *from, struct kt_flatbuf_table table, uint32_t field,
                            uint32_t *count)
{
    struct kt_flatbuf_vector text = kt_flatbuf_vector(from, table, field, 1);
    *count = text.count;
    return text.at && kt_flatbuf_spend(from, text.count) ? (const char *)from->bytes + text.at : NULL;
}

struct kt_flatbuf_table kt_flatbuf_item(struct kt_flatbuf *from, struct kt_flatbuf_vector vector, uint32_t i)
{
    uint64_t at = vector.at + 4 * (uint64_t)i;
    return inside(from, at, 4) ? table_at(from, at + kt_get_u32(from->bytes + at))
                               : (struct kt_flatbuf_table){ 0 };
}
