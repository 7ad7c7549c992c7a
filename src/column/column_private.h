/* What the files of src/column share: how a batch owns its memory, how the tree of a type is walked, and the
 * checks that everything coming from outside passes. */
#ifndef KT_COLUMN_PRIVATE_H
#define KT_COLUMN_PRIVATE_H

#include "column/column.h"

enum {
    KT_DEPTH_MAX = 32,     /* of nested types: recursion over fields is bounded by it */
    KT_WIDTH_MAX = 1 << 20 /* numbers in a vector, bytes in a fixed_size_binary */
};

/* ---- fields ---- */

bool kt_field_copy(struct kt_field *to,
                   const struct kt_field *from);       /* false: out of memory, `to` is empty */
void kt_field_release(struct kt_field *field);         /* what it holds, not itself; zeroed is fine */
uint32_t kt_field_nodes(const struct kt_field *field); /* itself and all below: arrays a column needs */
bool kt_type_is_text(enum kt_type type);               /* utf8, large_utf8, utf8_view */
bool kt_type_is_binary(enum kt_type type);             /* binary, large_binary, binary_view */
bool kt_type_is_integer(enum kt_type type);
bool kt_type_is_float(enum kt_type type);
bool kt_type_is_view(enum kt_type type);
/** Bytes of one value in `values` for types of fixed width that has no bits and no children; 0 for others. */
uint32_t kt_field_value_bytes(const struct kt_field *field);
/** Bytes of one entry in `values`, offsets and indices and views too; 0 for KT_NULL, KT_BOOL and nested types
 * without. */
uint32_t kt_field_entry_bytes(const struct kt_field *field);
/** 4 or 8 for types with offsets, else 0. */
uint32_t kt_type_offset_bytes(enum kt_type type);
const char *kt_type_name(enum kt_type type); /* the log's word */
bool kt_type_parse(const char *name, enum kt_type *out);
const char *kt_unit_name(enum kt_unit unit);
/** Whether a field's numbers make sense together (children counts, widths, units); the reason when not. */
const char *kt_field_fault(const struct kt_field *field);
/** kt_field_fault() for a field and all below it, and their depth. KITH_TYPE naming the field. */
kith_status kt_fields_check(const struct kt_field *fields, uint32_t count, kith_error *error);
/** The field with views, large lists and dictionaries of other things than text in plain form. */
bool kt_field_is_plain(const struct kt_field *field);
void kt_field_make_plain(struct kt_field *field); /* in place; needs no memory */
/** A schema of plain fields; shares `from` when it is plain already. */
kith_status kt_schema_plain(const struct kt_schema *from, struct kt_schema **out, kith_error *error);

/* ---- memory of batches ---- */

struct kt_hold { /* something a batch keeps alive */
    struct kt_hold *next;
    void (*release)(struct kt_hold *hold);
};

/* Blocks that a batch can take over without another allocation: 64-byte aligned, a hold in front of them. */
void *kt_block_new(size_t bytes);
void kt_block_free(void *block);                            /* NULL is allowed */
void kt_batch_own(struct kt_batch *batch, void *block);     /* NULL is allowed */
void *kt_batch_block(struct kt_batch *batch, size_t bytes); /* kt_block_new() and kt_batch_own() */

/** A batch with zeroed arrays, wired to the fields of `schema`, which it shares. */
kith_status kt_batch_new(struct kt_schema *schema, int64_t rows, struct kt_batch **out, kith_error *error);
void kt_batch_hold(struct kt_batch *batch, struct kt_hold *hold);
kith_status kt_batch_hold_batch(struct kt_batch *batch, const struct kt_batch *other, kith_error *error);
/** Gives `array` and its descendants their fields and, from `room`, their children. Returns the room left. */
struct kt_array *kt_array_wire(struct kt_array *array, const struct kt_field *field, struct kt_array *room);
/** Makes `to`, already wired, read what `from` reads. */
void kt_array_adopt(struct kt_array *to, const struct kt_array *from);

/* ---- reading arrays ---- */

static inline int64_t kt_offset_at(const struct kt_array *array, int64_t row)
{
    int64_t at = array->offset + row;
    return kt_type_offset_bytes(array->field->type) == 4
               ? (int64_t)((const int32_t *)(const void *)array->values)[at]
               : ((const int64_t *)(const void *)array->values)[at];
}
/** The integer at `row` of an integer array (or of the indices of a dictionary), as int64; uint64 wraps. */
int64_t kt_array_integer(const struct kt_array *array, int64_t row);
/** The same for a run of rows. */
void kt_array_integers(const struct kt_array *array, int64_t row, int64_t count, int64_t *out);
void kt_load_integers(enum kt_type type, const void *from, int64_t count, int64_t *out);
enum kt_type kt_array_stored_type(const struct kt_array *array); /* that of the indices for dictionaries */
int64_t kt_bits_count(const uint8_t *bits, int64_t at, int64_t count); /* set ones */
void kt_bits_copy(uint8_t *to, int64_t to_at, const uint8_t *from, int64_t from_at, int64_t count);
void kt_bits_fill(uint8_t *to, int64_t at, int64_t count, bool value);

/* ---- checks of what came from outside ---- */

struct kt_extent { /* how much of a buffer there is; -1 when nobody says (the C interface) */
    int64_t data;
    const int64_t *views; /* sizes of the view buffers */
    int64_t view_count;
};
/** Checks what rows 0 .. length of an array say about other bytes: offsets, views, text, dictionary indices.
 *  Children are not visited. KITH_INVALID. `column` is for the message. */
kith_status kt_array_check_offsets(const struct kt_array *array, const struct kt_extent *extent,
                                   const char *column, kith_error *error);
kith_status kt_array_check(const struct kt_array *array, const struct kt_extent *extent, const char *column,
                           kith_error *error);

/* ---- texts to numbers: what merges dictionaries ---- */

struct kt_text_map {  /* zeroed is empty */
    uint8_t *data;    /* blocks, see above */
    int64_t *offsets; /* count + 1 of them once anything was added */
    uint32_t *slots;  /* value + 1; 0 is free */
    uint32_t *hashes; /* of each value */
    size_t data_capacity;
    uint32_t capacity, count, mask;
};
void kt_text_map_release(struct kt_text_map *map);
/** The number of a text, added when new. -1 when memory is out or there would be more than 2^31 - 1. */
int64_t kt_text_map_add(struct kt_text_map *map, const uint8_t *text, int64_t count);
int64_t kt_text_map_find(const struct kt_text_map *map, const uint8_t *text,
                         int64_t count); /* -1: not there */
/** Gives the texts to `batch` as the values of a dictionary, whose type is utf8 or large_utf8; the map is
 * empty then. */
kith_status kt_text_map_yield(struct kt_text_map *map, struct kt_batch *batch, struct kt_array *values,
                              kith_error *error);

/** kt_batch_cast() to the plain form of `batch`, sharing what is plain already. */
kith_status kt_batch_plain(const struct kt_batch *batch, struct kt_schema *plain, struct kt_batch **out,
                           kith_error *error);

/** A metadata object with one more text; makes the object. False: out of memory. Text that is not UTF-8 is
 * left out: metadata are texts here, and what others keep there in binary form means nothing to a table. */
bool kt_metadata_add(json_t **metadata, const char *key, size_t key_size, const char *value,
                     size_t value_size);

#endif
