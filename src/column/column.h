/* Typed Arrow columns: the schema of a table, batches of rows in memory, and the two ways in and out:
 * the Arrow C interfaces and the Arrow IPC format.
 *
 * A batch in memory is laid out as Arrow lays it out, so that import, export, writing and reading copy
 * nothing where the types agree. Everything that comes from outside is checked once, where it enters
 * (offsets monotone and inside their buffers, dictionary indices in range, text valid UTF-8). */
#ifndef KT_COLUMN_COLUMN_H
#define KT_COLUMN_COLUMN_H

#include <jansson.h>
#include <stdatomic.h>

#include "kith_arrow.h"
#include "storage/blob.h"

enum kt_type {
    KT_NULL = 0,
    KT_BOOL,
    KT_INT8,
    KT_INT16,
    KT_INT32,
    KT_INT64,
    KT_UINT8,
    KT_UINT16,
    KT_UINT32,
    KT_UINT64,
    KT_FLOAT16,
    KT_FLOAT32,
    KT_FLOAT64,
    KT_DECIMAL128,
    KT_UTF8,
    KT_LARGE_UTF8,
    KT_BINARY,
    KT_LARGE_BINARY,
    KT_FIXED_BINARY,
    KT_DATE32,
    KT_DATE64,
    KT_TIME32,
    KT_TIME64,
    KT_TIMESTAMP,
    KT_DURATION,
    KT_FIXED_LIST, /* of float32, float16, float64, int8 or uint8: a vector */
    KT_LIST,
    KT_STRUCT,
    KT_DICTIONARY, /* of text */
    /* accepted from outside and turned into the plain form by kt_cast(), never stored */
    KT_LARGE_LIST,
    KT_UTF8_VIEW,
    KT_BINARY_VIEW
};
enum kt_unit { KT_SECOND = 0, KT_MILLISECOND, KT_MICROSECOND, KT_NANOSECOND };

struct kt_field {
    char *name;
    int32_t id; /* never reused within a table; -1 before the table gave one */
    enum kt_type type;
    bool nullable;
    bool ordered;              /* KT_DICTIONARY */
    enum kt_type index;        /* KT_DICTIONARY: the type of its indices */
    int32_t width;             /* KT_FIXED_LIST: numbers; KT_FIXED_BINARY: bytes; KT_DECIMAL128: precision */
    int32_t scale;             /* KT_DECIMAL128 */
    enum kt_unit unit;         /* times */
    char *timezone;            /* KT_TIMESTAMP; NULL for none */
    struct kt_field *children; /* lists: one, the item; KT_STRUCT; KT_DICTIONARY: one, the value */
    uint32_t child_count;
    json_t *metadata; /* object of texts; NULL for none */
};

struct kt_schema { /* immutable once made, shared by reference */
    _Atomic uint32_t references;
    struct kt_field *fields;
    uint32_t count;
    json_t *metadata;
};
struct kt_schema *kt_schema_share(const struct kt_schema *schema);
void kt_schema_release(struct kt_schema *schema); /* NULL is allowed */
/** A new schema with deep copies of `count` fields. */
kith_status kt_schema_new(const struct kt_field *fields, uint32_t count, json_t *metadata,
                          struct kt_schema **out, kith_error *error);
int kt_schema_find(const struct kt_schema *schema, const char *name); /* -1 when absent */
bool kt_field_same_type(const struct kt_field *a,
                        const struct kt_field *b); /* names, ids, nullability aside */
bool kt_field_is_vector(const struct kt_field *field);
kith_element kt_field_element(const struct kt_field *vector_field);
/** "fixed_size_list<float>[384]", "timestamp[us, UTC]": for messages. */
/** Gives the field, and those in it, ids from *next on. */
void kt_field_give_ids(struct kt_field *field, int32_t *next);
/** The id above those of the field and what is in it, and not below `least`. */
int32_t kt_field_next_id(const struct kt_field *field, int32_t least);
void kt_field_type_text(const struct kt_field *field, char *to, size_t size);

/* The log's form of a schema:
 * {"fields":[{"id":..,"name":..,"type":"fixed_size_list","width":384,"children":[..]}..]} */
json_t *kt_schema_to_json(const struct kt_schema *schema); /* new reference; NULL when memory is out */
kith_status kt_schema_from_json(const json_t *json, struct kt_schema **out, kith_error *error);

/* ---- rows in memory ---- */

struct kt_array { /* one column of a batch; borrowed from it */
    const struct kt_field *field;
    int64_t length;
    int64_t offset;          /* all buffers are read from this element on */
    const uint8_t *validity; /* NULL: no nulls */
    const uint8_t *values;   /* numbers; int32 or int64 offsets; dictionary indices; bits of KT_BOOL; views */
    const uint8_t *data;     /* bytes of text and binary */
    struct kt_array
        *children; /* as field->children; read at this array's index plus their own offset. In arrays lent by
                      kt_ipc_column() that offset may be negative: add the two, then use the sum */
    const uint8_t *const *view_buffers; /* views only */
};
bool kt_array_null(const struct kt_array *array, int64_t row);
int64_t kt_array_null_count(const struct kt_array *array);
/** Text or bytes of a row (any of the text and binary types, dictionaries too). */
const uint8_t *kt_array_bytes(const struct kt_array *array, int64_t row, int64_t *count);
/** The numbers of a row of a fixed-size list, whatever the offsets of the list and its item. */
const uint8_t *kt_array_vector(const struct kt_array *array, int64_t row);
bool kt_utf8_valid(const uint8_t *bytes, size_t count);

struct kt_batch { /* immutable, shared by reference; keeps alive whatever its buffers point into */
    _Atomic uint32_t references;
    struct kt_schema *schema;
    int64_t rows;
    struct kt_array *columns; /* schema->count of them */
    struct kt_hold *holds;    /* private */
};
struct kt_batch *kt_batch_share(const struct kt_batch *batch);
void kt_batch_release(struct kt_batch *batch);
/** Rows [begin, begin + count) without a copy. */
kith_status kt_batch_slice(const struct kt_batch *batch, int64_t begin, int64_t count, struct kt_batch **out,
                           kith_error *error);
/** A batch of `schema` whose column i is column columns[i] of parts[i], without a copy. All parts have `rows`
 * rows. */
kith_status kt_batch_combine(struct kt_schema *schema, int64_t rows, struct kt_batch *const *parts,
                             const uint32_t *columns, struct kt_batch **out, kith_error *error);
uint64_t kt_batch_bytes(const struct kt_batch *batch); /* of its buffers, roughly */

/* Builds a batch row range by row range: the one way to concatenate, to take rows, to fill with nulls. */
struct kt_builder;
kith_status kt_builder_new(const struct kt_schema *schema, int64_t expected_rows, struct kt_builder **out,
                           kith_error *error);
void kt_builder_free(struct kt_builder *builder);
/** Appends rows [row, row + count) of `from`, whose type must be that of column `column`. A dictionary column
 * takes values of other dictionaries: they are merged. */
kith_status kt_builder_append(struct kt_builder *builder, uint32_t column, const struct kt_array *from,
                              int64_t row, int64_t count, kith_error *error);
kith_status kt_builder_append_nulls(struct kt_builder *builder, uint32_t column, int64_t count,
                                    kith_error *error);
/** Appends fixed-width values as they lie in memory (not bits, not lists), all valid. */
kith_status kt_builder_append_values(struct kt_builder *builder, uint32_t column, const void *values,
                                     int64_t count, kith_error *error);
/** Ends it; all columns must have the same length. The builder is gone either way. */
kith_status kt_builder_finish(struct kt_builder *builder, struct kt_batch **out, kith_error *error);

/* ---- the Arrow C interfaces ---- */

kith_status kt_schema_import(const struct ArrowSchema *from, struct kt_schema **out,
                             kith_error *error); /* does not release `from` */
kith_status kt_schema_export(const struct kt_schema *schema, struct ArrowSchema *out, kith_error *error);
/** Takes over `from` (its release is cleared), validates it, copies nothing. */
kith_status kt_batch_import(struct kt_schema *schema, struct ArrowArray *from, struct kt_batch **out,
                            kith_error *error);
kith_status kt_batch_export(struct kt_batch *batch, struct ArrowArray *out,
                            kith_error *error); /* shares the batch */

/** Reads a producer's stream: schema first, then batches until *out is NULL. Its errors become KITH_INVALID
 * with its words. */
kith_status kt_stream_schema(struct ArrowArrayStream *stream, struct kt_schema **out, kith_error *error);
kith_status kt_stream_next(struct ArrowArrayStream *stream, struct kt_schema *schema, struct kt_batch **out,
                           kith_error *error);

/* Makes a stream of ours: `next` gives a batch or NULL at the end; `release` frees the context. The schema is
 * shared. */
typedef kith_status (*kt_next_fn)(void *context, struct kt_batch **out, kith_error *error);
kith_status kt_stream_make(struct kt_schema *schema, kt_next_fn next, void (*release)(void *context),
                           void *context, struct ArrowArrayStream *out, kith_error *error);
/** A stream of batches in memory; shares them. */
kith_status kt_stream_of_batches(struct kt_schema *schema, struct kt_batch *const *batches, size_t count,
                                 struct ArrowArrayStream *out, kith_error *error);

/* ---- changing types ---- */

/** The schema as a table stores it: views, large lists and dictionaries in plain form; a list of numbers
 * whose name contains "vector" or "embedding" (any case) a fixed-size list of the commonest length in `first`
 * (which may be NULL: then such a list stays as it is): float32, float16 as it is, uint8 when all whole in
 * 0..255. Refuses what cannot be stored (KITH_TYPE), duplicate names, '.' in names, "_rowid" and "_distance"
 * (KITH_INVALID). Field ids are given from 0 (nested ones too). Drops a field's and the schema's "pandas" and
 * "ARROW:extension..." metadata only where they would become false. */
kith_status kt_schema_normalize(const struct kt_schema *from, const struct kt_batch *first,
                                struct kt_schema **out, kith_error *error);

struct kt_cast {
    kith_bad_vectors bad_vectors; /* wrong lengths, NaN, Inf in columns that kt_field_is_vector() */
    float fill_value;
    uint64_t first_row; /* for messages: the number of the batch's first row within the operation */
};
/** The batch with the columns of `to`, matched by name: identical types share buffers; numbers widen, narrow
 * and change kind where no value is lost (floats may round); text forms, dictionaries, lists and views become
 * one another; missing columns are null (KITH_TYPE when not nullable); unknown columns are KITH_INVALID and
 * named. Rows may be fewer (KITH_BAD_DROP). */
kith_status kt_batch_cast(const struct kt_batch *batch, struct kt_schema *to, const struct kt_cast *options,
                          struct kt_batch **out, kith_error *error);

/** {"rows":n,"columns":[{"id":..,"nulls":..,"nans":..,"min":"hex","max":"hex"},..]} over batches of one
 * schema: min and max little-endian, text cut at 64 bytes, absent for types without an order and for vectors.
 * New reference. */
json_t *kt_batches_stats(struct kt_batch *const *batches, size_t count);

/* ---- the Arrow IPC format ---- */

struct kt_ipc_writer;
enum kt_ipc_form { KT_IPC_FILE, KT_IPC_STREAM };
/** Begins a file or stream of the columns `columns` of `schema` (NULL: all). Field metadata carries
 * "kith:id". Batches that are not in plain form (views, large lists) are cast to it as they come. */
kith_status kt_ipc_begin(struct kt_sink *sink, enum kt_ipc_form form, const struct kt_schema *schema,
                         const uint32_t *columns, uint32_t column_count, struct kt_ipc_writer **out,
                         kith_error *error);
/** One record batch; buffers 64-byte aligned in the file. Dictionaries are written when they first occur or
 * change (in a file: one dictionary a column; a batch with another dictionary is re-encoded against it, and
 * texts that it lacks are added as a delta, which pyarrow reads and Polars does not: kt_builder merges
 * dictionaries beforehand). */
kith_status kt_ipc_write(struct kt_ipc_writer *writer, const struct kt_batch *batch, kith_error *error);
/** Ends the file: end-of-stream mark, kt_sink_seal(), footer; the sink stays the caller's. The writer is gone
 * either way. */
kith_status kt_ipc_end(struct kt_ipc_writer *writer, kith_error *error);
void kt_ipc_abandon(struct kt_ipc_writer *writer);

/* Random access to an IPC file under checksums. Shared by reference, any number of threads. */
struct kt_ipc_file;
/** Takes over the reference to `file`, on failure too. Everything in the metadata is validated against the
 * file's length. */
kith_status kt_ipc_open(struct kt_view_file *file, struct kt_ipc_file **out, kith_error *error);
struct kt_ipc_file *kt_ipc_share(struct kt_ipc_file *file);
void kt_ipc_close(struct kt_ipc_file *file);
const struct kt_schema *kt_ipc_schema(const struct kt_ipc_file *file);
uint64_t kt_ipc_rows(const struct kt_ipc_file *file);
uint32_t kt_ipc_batch_count(const struct kt_ipc_file *file);
uint64_t kt_ipc_batch_begin(const struct kt_ipc_file *file,
                            uint32_t batch); /* its first row; [batch_count] is the end */
/** Lends rows [row, row + count) of a column, which must lie within one record batch: only their bytes are
 * read and verified. `array` and its children are filled in place: `room` must have kt_ipc_room(file, column)
 * arrays for the children. */
uint32_t kt_ipc_room(const struct kt_ipc_file *file, uint32_t column);
/** Says that its columns are read a row here and a row there (cache/view.h). */
void kt_ipc_jumps(struct kt_ipc_file *file);
/** Verifies bytes beside others that kt_ipc_column() lent; `*inside` is false where they are not the file's
 * own (a compressed column's are not). */
kith_status kt_ipc_beside(struct kt_ipc_file *file, const void *data, uint64_t count, bool *inside,
                          kith_error *error);
kith_status kt_ipc_column(struct kt_ipc_file *file, uint32_t column, uint64_t row, uint64_t count,
                          struct kt_array *array, struct kt_array *room, kith_error *error);
/** A whole record batch as a batch of memory that holds the file open. */
kith_status kt_ipc_batch(struct kt_ipc_file *file, uint32_t batch, struct kt_batch **out, kith_error *error);

/** Reads an IPC file or stream from a descriptor to its end: kith_ipc_read()'s meaning. */
kith_status kt_ipc_read_descriptor(int fd, struct ArrowArrayStream *out, kith_error *error);

#endif
