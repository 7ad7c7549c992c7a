/* Just enough of FlatBuffers for the metadata of Arrow IPC. The layout is drawn in flatbuf_read.c. */
#ifndef KT_COLUMN_FLATBUF_PRIVATE_H
#define KT_COLUMN_FLATBUF_PRIVATE_H

#include "base/bytes.h"

/* ---- reading ---- */

struct kt_flatbuf { /* bytes that nobody has checked */
    const uint8_t *bytes;
    uint64_t size;
    uint64_t budget; /* texts and fields still to be made of it: a small buffer may name one text a million
                        times */
    bool bad;        /* something lay outside; what was read since is zero */
};
struct kt_flatbuf_table {
    uint64_t at, fields; /* where it lies; where its vtable lies, 0 for no table */
    uint32_t field_bytes;
};
struct kt_flatbuf_vector {
    uint64_t at;
    uint32_t count;
};

struct kt_flatbuf kt_flatbuf(const uint8_t *bytes, uint64_t size);
bool kt_flatbuf_spend(struct kt_flatbuf *from, uint64_t amount); /* false, and bad, when the budget is gone */
struct kt_flatbuf_table kt_flatbuf_root(struct kt_flatbuf *from);
/* Field numbers are those of the schema, from 0. An absent field is `absent`, or an empty table, vector or
 * text. */
bool kt_flatbuf_has(struct kt_flatbuf *from, struct kt_flatbuf_table table, uint32_t field);
int64_t kt_flatbuf_integer(struct kt_flatbuf *from, struct kt_flatbuf_table table, uint32_t field,
                           uint32_t bytes, int64_t absent);
struct kt_flatbuf_table kt_flatbuf_table(struct kt_flatbuf *from, struct kt_flatbuf_table table,
                                         uint32_t field);
struct kt_flatbuf_vector kt_flatbuf_vector(struct kt_flatbuf *from, struct kt_flatbuf_table table,
                                           uint32_t field, uint32_t item_bytes);
/** Bytes of a text, and their number; NULL when absent. */
const char *kt_flatbuf_text(struct kt_flatbuf *from, struct kt_flatbuf_table table, uint32_t field,
                            uint32_t *count);
/** The table that item `i` of a vector of tables refers to. */
struct kt_flatbuf_table kt_flatbuf_item(struct kt_flatbuf *from, struct kt_flatbuf_vector vector, uint32_t i);
/** Item `i` of a vector of structs or numbers; `i` must be below the count. */
static inline const uint8_t *kt_flatbuf_struct(const struct kt_flatbuf *from, struct kt_flatbuf_vector vector,
                                               uint32_t i, uint32_t item_bytes)
{
    return from->bytes + vector.at + (uint64_t)i * item_bytes;
}

/* ---- writing ---- */

enum { KT_FLATBUF_FIELDS = 8 };

struct kt_flatbuf_writer {
    struct kt_buffer out;
    bool failed; /* memory is out; positions are 0 since */
};
struct kt_flatbuf_slots {
    size_t at[KT_FLATBUF_FIELDS]; /* where each field lies in `out` */
};

/** Begins with the place for the root's offset; the first table started must be given to
 * kt_flatbuf_refer(writer, 0). */
void kt_flatbuf_begin(struct kt_flatbuf_writer *writer);
/** Lets the 4-byte offset at `at` refer to what is written next (aligned to `align`). */
void kt_flatbuf_refer(struct kt_flatbuf_writer *writer, size_t at, size_t align);
/** A table whose field i has `sizes[i]` bytes (0: absent), referred to by the offset at `at`. */
struct kt_flatbuf_slots kt_flatbuf_put_table(struct kt_flatbuf_writer *writer, size_t at,
                                             const uint8_t *sizes, uint32_t count);
void kt_flatbuf_put(struct kt_flatbuf_writer *writer, size_t at, int64_t value, uint32_t bytes);
void kt_flatbuf_put_text(struct kt_flatbuf_writer *writer, size_t at, const char *text, size_t count);
/** A vector of `count` zeroed items aligned to their size or to 8; returns where the first lies. */
size_t kt_flatbuf_put_vector(struct kt_flatbuf_writer *writer, size_t at, size_t count, size_t item_bytes);

#endif
