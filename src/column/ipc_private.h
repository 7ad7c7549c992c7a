/* What the files that speak Arrow IPC share. */
#ifndef KT_COLUMN_IPC_PRIVATE_H
#define KT_COLUMN_IPC_PRIVATE_H

#include "column/column_private.h"
#include "column/flatbuf_private.h"

enum { IPC_V4 = 3, IPC_V5 = 4 };
enum { IPC_SCHEMA = 1, IPC_DICTIONARY_BATCH = 2, IPC_RECORD_BATCH = 3 };
enum { IPC_ALIGN = 64 };

extern const uint8_t kt_ipc_magic[8]; /* "ARROW1", padded */

/* ---- schemas ---- */

/* A field in metadata is a node; dictionaries hide their child from the record batches. */
uint32_t kt_ipc_nodes(const struct kt_field *field);
uint32_t kt_ipc_dictionaries(const struct kt_field *field); /* dictionary fields, itself and below */

/** Writes a Schema table, referred to by the offset at `at`. Dictionary ids count from 0 in pre-order. */
void kt_ipc_put_schema(struct kt_flatbuf_writer *writer, size_t at, const struct kt_field *const *fields,
                       uint32_t count, json_t *metadata);
/** Reads one. `ids` receives a block (kt_free) with the id of each dictionary in pre-order. */
kith_status kt_ipc_get_schema(struct kt_flatbuf *from, struct kt_flatbuf_table table, struct kt_schema **out,
                              int64_t **ids, uint32_t *id_count, kith_error *error);

/* ---- the metadata of a record batch ---- */

struct ipc_source { /* where the bytes of bodies are: a file under checksums, or memory */
    struct kt_view_file *file;
    const uint8_t *memory;
    const char *name; /* for messages */
};
struct ipc_range {
    uint64_t at, size; /* in the source */
};
struct ipc_node {
    int64_t length, nulls;
    uint32_t buffer; /* its first */
    uint32_t views;  /* buffers of views that it has */
};
struct ipc_record {
    uint64_t rows;
    struct ipc_node *nodes; /* one allocation with the buffers */
    struct ipc_range *buffers;
    uint32_t node_count, buffer_count;
    bool zstd; /* ranges are of compressed bytes */
};

struct ipc_message { /* one encapsulated message, opened */
    struct kt_flatbuf from;
    struct kt_flatbuf_table header;
    int kind;
    uint64_t body_bytes;
};
/** Opens the metadata of a message (what follows the 8-byte prefix). */
kith_status kt_ipc_message(const uint8_t *bytes, uint64_t size, const char *name, struct ipc_message *out,
                           kith_error *error);
/* The footer of a file: where its messages are. `from` must stay where it is while it is used. */
struct ipc_footer {
    struct kt_flatbuf from;
    struct kt_flatbuf_table schema;
    struct kt_flatbuf_vector dictionaries, records;
    uint64_t limit; /* where the footer begins: what blocks must end before */
};
enum { IPC_TAIL = 10, IPC_PREFIX = 8 }; /* bytes of a file's end, and before a message's metadata */
/** The bytes of the footer, told by the last IPC_TAIL of a file of `length`. */
kith_status kt_ipc_tail(const uint8_t tail[IPC_TAIL], uint64_t length, const char *name,
                        struct ipc_range *footer, kith_error *error);
kith_status kt_ipc_footer(const uint8_t *bytes, struct ipc_range range, const char *name,
                          struct ipc_footer *out, kith_error *error);
struct ipc_block {
    struct ipc_range metadata; /* with the prefix */
    struct ipc_range body;
};
/** Block `i` of a vector of the footer, checked; it must begin at `*end` or behind, which is moved to its
 * end. */
kith_status kt_ipc_block(const struct ipc_footer *footer, struct kt_flatbuf_vector blocks, uint32_t i,
                         uint64_t *end, const char *name, struct ipc_block *out, kith_error *error);
/** Opens the message that a block leads to, which must be of that kind; shortens the block's body to the
 * message's. */
kith_status kt_ipc_block_message(const uint8_t *bytes, struct ipc_block *block, int kind, const char *name,
                                 struct ipc_message *out, kith_error *error);
/** Reads a RecordBatch table against the fields it is of; `body` is where its body lies in the source. */
kith_status kt_ipc_record(struct kt_flatbuf *from, struct kt_flatbuf_table table,
                          const struct kt_field *fields, uint32_t count, struct ipc_range body,
                          const char *name, struct ipc_record *out, kith_error *error);
void kt_ipc_record_release(struct ipc_record *record);
/** Whether the buffers of a node have the bytes that its length asks for. */
bool kt_ipc_sizes_fit(const struct kt_field *field, const struct ipc_node *node,
                      const struct ipc_range *buffers);

/* ---- arrays out of it ---- */

struct ipc_loaded {            /* the buffers of a column, decompressed */
    uint8_t *memory;           /* a block */
    struct ipc_range *buffers; /* in memory; behind this struct */
    uint32_t first;            /* number of the first in the record */
    bool fits;                 /* what kt_ipc_sizes_fit() found */
};
kith_status kt_ipc_load(const struct ipc_source *source, const struct ipc_record *record,
                        const struct kt_field *field, uint32_t node, struct ipc_loaded **out,
                        kith_error *error);
void kt_ipc_loaded_free(struct ipc_loaded *loaded);

struct ipc_lend { /* what lending needs besides the rows */
    struct ipc_source source;
    const struct ipc_record *record;
    const struct ipc_loaded *loaded;      /* NULL: the source's bytes as they lie */
    struct kt_batch *const *dictionaries; /* by number in pre-order, from that of the column on */
    struct kt_batch *owner;               /* takes what views need; NULL: views are refused */
    uint32_t node;                        /* the column's first; moved on */
};
/** Fills `array`, wired, with rows [row, row + count) of its field. */
kith_status kt_ipc_lend(struct ipc_lend *lend, struct kt_array *array, uint64_t row, uint64_t count,
                        kith_error *error);

/** A whole record batch as a batch that owns what was decompressed; it does not hold the source.
 * `dictionaries` are shared. */
kith_status kt_ipc_make_batch(const struct ipc_source *source, const struct ipc_record *record,
                              struct kt_schema *schema, struct kt_batch *const *dictionaries,
                              struct kt_batch **out, kith_error *error);
/** The schema of a dictionary's values: one column. */
kith_status kt_ipc_values_schema(const struct kt_field *dictionary, struct kt_schema **out,
                                 kith_error *error);
/** Values after values: what a delta means. */
kith_status kt_ipc_join(struct kt_batch *values, struct kt_batch *more, struct kt_batch **out,
                        kith_error *error);
/** The dictionary field that is number `*number` in pre-order below `fields`; NULL when there are fewer. */
const struct kt_field *kt_ipc_dictionary_field(const struct kt_field *fields, uint32_t count,
                                               uint32_t *number);

/* ---- bodies to be written ---- */

struct ipc_body { /* zeroed is empty */
    struct kt_arena scratch;
    struct kt_buffer nodes;   /* FieldNode: i64 length, i64 nulls */
    struct kt_buffer buffers; /* Buffer: i64 offset in the body, i64 bytes */
    struct kt_buffer pieces;  /* const uint8_t *, one a buffer */
    uint64_t bytes;           /* of the body, padded */
};
void kt_ipc_body_clear(struct ipc_body *body);
void kt_ipc_body_release(struct ipc_body *body);

/* Called for each dictionary array met: gives the indices to write instead (or leaves `array` as it is). */
typedef kith_status (*kt_ipc_recode_fn)(void *context, uint32_t number, const struct kt_array *array,
                                        int64_t row, int64_t count, struct kt_array *recoded,
                                        kith_error *error);
struct ipc_encode {
    struct ipc_body *body;
    kt_ipc_recode_fn recode;
    void *context;
    uint32_t dictionary; /* the next one's number */
};
kith_status kt_ipc_encode(struct ipc_encode *encode, const struct kt_array *array, int64_t row, int64_t count,
                          kith_error *error);

#endif
