/* Writing Arrow IPC.
 *
 *   file     "ARROW1" 0 0 | stream | block table | footer (flatbuffer) | i32 its bytes | "ARROW1"
 *   stream   schema | dictionary and record batches ... | ff ff ff ff 00 00 00 00
 *   message  ff ff ff ff | i32 bytes of metadata and padding | metadata (flatbuffer) | padding | body
 *
 * The metadata are padded so that every body, and in it every buffer, begins at a multiple of 64 from the
 * start of the file: a mapped vector column is aligned as it lies. The block table (cache/view.h) stands
 * between the end-of-stream mark and the footer, where readers that follow either never look.
 *
 * What is not in plain form (views, large lists, dictionaries of other things than text) is cast to it batch
 * by batch.
 *
 * Dictionaries. A stream may replace a dictionary, so there each array's own is written when it is not the
 * one written last. A file may only add to one: the texts of the first batch are written first, each later
 * batch is re-encoded against them, and texts it has beyond are written before it as a delta. "Not the one
 * written last" is known by address, which is why the last batch is kept: while it lives its addresses mean
 * it.
 */
#include <string.h>

#include "column/ipc_private.h"

const uint8_t kt_ipc_magic[8] = "ARROW1\0";

enum { MESSAGE_VERSION, MESSAGE_TYPE, MESSAGE_HEADER, MESSAGE_BODY_BYTES };
enum { RECORD_LENGTH, RECORD_NODES, RECORD_BUFFERS };
enum { DICTIONARY_ID, DICTIONARY_DATA, DICTIONARY_DELTA };
enum { FOOTER_VERSION, FOOTER_SCHEMA, FOOTER_DICTIONARIES, FOOTER_RECORDS };
enum { BLOCK_BYTES = 24 };

struct out_dictionary {
    const struct kt_field *field;
    struct kt_text_map texts; /* file: all texts met */
    uint32_t written;         /* file: of them */
    struct kt_array last;     /* values, while the writer's `last` lives */
    bool known;               /* `last` is one */
    bool as_it_is;            /* file: indices of `last` are those of `texts` */
};

struct kt_ipc_writer {
    struct kt_sink *sink;
    uint64_t begin; /* where in the sink the file begins */
    enum kt_ipc_form form;
    struct kt_schema *schema; /* in plain form */
    bool casts;               /* batches come in another form */
    const struct kt_field **fields;
    uint32_t *columns; /* of the schema */
    uint32_t count;
    struct out_dictionary *dictionaries;
    uint32_t dictionary_count;
    struct kt_batch *last; /* the batch written last */
    struct kt_flatbuf_writer metadata;
    struct ipc_body body, texts;                 /* of the record batch, of a dictionary batch within it */
    struct kt_buffer records, dictionary_blocks; /* Block, each BLOCK_BYTES */
};

/* ---- messages ---- */

static kith_status memory_out(kith_error *error)
{
    return kt_fail(error, KITH_NO_MEMORY, "out of memory while Arrow data were written");
}

/* Begins the metadata of a message; returns where the offset of its header lies. */
static size_t message_begin(struct kt_flatbuf_writer *metadata, int kind, uint64_t body_bytes)
{
    kt_flatbuf_begin(metadata);
    struct kt_flatbuf_slots slots = kt_flatbuf_put_table(metadata, 0, (const uint8_t[]){ 2, 1, 4, 8 }, 4);
    kt_flatbuf_put(metadata, slots.at[MESSAGE_VERSION], IPC_V5, 2);
    kt_flatbuf_put(metadata, slots.at[MESSAGE_TYPE], kind, 1);
    kt_flatbuf_put(metadata, slots.at[MESSAGE_BODY_BYTES], (int64_t)body_bytes, 8);
    return slots.at[MESSAGE_HEADER];
}

static void put_record(struct kt_flatbuf_writer *metadata, size_t at, const struct ipc_body *body,
                       int64_t rows)
{
    struct kt_flatbuf_slots slots = kt_flatbuf_put_table(metadata, at, (const uint8_t[]){ 8, 4, 4 }, 3);
    kt_flatbuf_put(metadata, slots.at[RECORD_LENGTH], rows, 8);
    size_t nodes = kt_flatbuf_put_vector(metadata, slots.at[RECORD_NODES], body->nodes.size / 16, 16);
    if (!metadata->failed && body->nodes.size)
        memcpy(metadata->out.data + nodes, body->nodes.data, body->nodes.size);
    size_t buffers = kt_flatbuf_put_vector(metadata, slots.at[RECORD_BUFFERS], body->buffers.size / 16, 16);
    if (!metadata->failed && body->buffers.size)
        memcpy(metadata->out.data + buffers, body->buffers.data, body->buffers.size);
}

/* Writes a message whose metadata are made; `body` may be NULL, `blocks` takes its Block unless NULL. */
static kith_status message_write(struct kt_ipc_writer *writer, const struct ipc_body *body,
                                 struct kt_buffer *blocks, kith_error *error)
{
    uint8_t prefix[8], block[BLOCK_BYTES] = { 0 };
    const struct kt_buffer *metadata = &writer->metadata.out;
    if (writer->metadata.failed) return memory_out(error);
    uint64_t at = kt_sink_at(writer->sink) - writer->begin;
    uint64_t size = kt_round_up(at + sizeof prefix + metadata->size, IPC_ALIGN) - at - sizeof prefix;
    if (size > INT32_MAX)
        return kt_fail(error, KITH_INVALID, "the metadata of an Arrow message would exceed 2 GiB");
    kt_put_u32(prefix, UINT32_MAX);
    kt_put_u32(prefix + 4, (uint32_t)size);
    kt_put_u64(block, at);
    kt_put_u32(block + 8, (uint32_t)(size + sizeof prefix));
    kt_put_u64(block + 16, body ? body->bytes : 0);
    if (blocks && !kt_buffer_append(blocks, block, sizeof block)) return memory_out(error);

    kith_status status = kt_sink_write(writer->sink, prefix, sizeof prefix, error);
    if (!status) status = kt_sink_write(writer->sink, metadata->data, metadata->size, error);
    if (!status) status = kt_sink_write(writer->sink, NULL, size - metadata->size, error);
    size_t count = body ? body->pieces.size / sizeof(const uint8_t *) : 0;
    for (size_t i = 0; !status && i < count; i++) {
        const uint8_t *bytes;
        memcpy(&bytes, body->pieces.data + i * sizeof bytes, sizeof bytes);
        size_t bytes_count = kt_get_u64(body->buffers.data + 16 * i + 8);
        if (bytes_count) status = kt_sink_write(writer->sink, bytes, bytes_count, error);
        size_t padding = kt_round_up(bytes_count, IPC_ALIGN) - bytes_count;
        if (!status && padding) status = kt_sink_write(writer->sink, NULL, padding, error);
    }
    return status;
}

/* ---- dictionaries ---- */

static kith_status no_dictionaries(void *context, uint32_t number, const struct kt_array *array, int64_t row,
                                   int64_t count, struct kt_array *recoded, kith_error *error)
{
    (void)context, (void)number, (void)row, (void)count, (void)recoded;
    return kt_fail(error, KITH_UNSUPPORTED, "column \"%s\" is a dictionary within a dictionary",
                   array->field->name);
}

static kith_status write_values(struct kt_ipc_writer *writer, uint32_t number, const struct kt_array *values,
                                bool delta, kith_error *error)
{
    kt_ipc_body_clear(&writer->texts);
    struct ipc_encode encode = { .body = &writer->texts, .recode = no_dictionaries };
    kith_status status = kt_ipc_encode(&encode, values, 0, values->length, error);
    if (status) return status;
    size_t header = message_begin(&writer->metadata, IPC_DICTIONARY_BATCH, writer->texts.bytes);
    struct kt_flatbuf_slots slots =
        kt_flatbuf_put_table(&writer->metadata, header, (const uint8_t[]){ 8, 4, 1 }, 3);
    kt_flatbuf_put(&writer->metadata, slots.at[DICTIONARY_ID], number, 8);
    kt_flatbuf_put(&writer->metadata, slots.at[DICTIONARY_DELTA], delta, 1);
    put_record(&writer->metadata, slots.at[DICTIONARY_DATA], &writer->texts, values->length);
    return message_write(writer, &writer->texts, &writer->dictionary_blocks, error);
}

/* Writes the texts of a map that were not written yet. */
static kith_status write_texts(struct kt_ipc_writer *writer, uint32_t number,
                               struct out_dictionary *dictionary, kith_error *error)
{
    static const int64_t none = 0;
    const struct kt_text_map *map = &dictionary->texts;
    const struct kt_field *field = &dictionary->field->children[0];
    uint32_t first = dictionary->written, count = map->count - first;
    struct kt_array values = { .field = field,
                               .length = count,
                               .offset = first,
                               .data = map->data,
                               .values = (const uint8_t *)(map->offsets ? map->offsets : &none) };
    int32_t *narrow = NULL;
    if (kt_type_offset_bytes(field->type) == 4) {
        if (map->count && map->offsets[map->count] > INT32_MAX)
            return kt_fail(error, KITH_INVALID, "the dictionary of column \"%s\" would exceed 2 GiB",
                           dictionary->field->name);
        narrow = kt_alloc_array((size_t)map->count + 1, sizeof *narrow);
        if (!narrow) return memory_out(error);
        narrow[0] = 0;
        for (uint32_t i = 0; map->count && i <= map->count; i++) narrow[i] = (int32_t)map->offsets[i];
        values.values = (const uint8_t *)narrow;
    }
    kith_status status = write_values(writer, number, &values, first > 0, error);
    if (!status) dictionary->written = map->count;
    dictionary->known = true; /* written once, even when empty */
    kt_free(narrow);
    return status;
}

static bool same_values(const struct kt_array *a, const struct kt_array *b)
{
    return a->values == b->values && a->data == b->data && a->validity == b->validity &&
           a->offset == b->offset && a->length == b->length;
}

/* The indices of rows [row, row + count) in the writer's own numbering, with nulls for null values. */
static kith_status recode(struct kt_ipc_writer *writer, struct out_dictionary *dictionary,
                          const struct kt_array *array, int64_t row, int64_t count, struct kt_array *recoded,
                          kith_error *error)
{
    const struct kt_array *values = &array->children[0];
    uint32_t width = kt_field_entry_bytes(array->field);
    struct kt_arena *scratch = &writer->body.scratch;
    uint8_t *indices = kt_arena_take(scratch, (size_t)count, width);
    uint8_t *validity = kt_arena_take(scratch, (size_t)(count + 7) / 8, 1);
    if (!indices || !validity) return memory_out(error);
    memset(validity, 0, (size_t)(count + 7) / 8);
    memset(indices, 0, (size_t)count * width);
    for (int64_t i = 0; i < count; i++) {
        int64_t size;
        if (kt_array_null(array, row + i)) continue;
        const uint8_t *text = kt_array_bytes(values, kt_array_integer(array, row + i), &size);
        int64_t index = kt_text_map_add(&dictionary->texts, text, size);
        if (index < 0) return memory_out(error);
        if (width < 4 && index >= (int64_t)1 << (8 * width - (array->field->index <= KT_INT64)))
            return kt_fail(error, KITH_INVALID,
                           "column \"%s\" has more distinct values than its %s indices can count",
                           array->field->name, kt_type_name(array->field->index));
        memcpy(indices + i * width, &index, width);
        kt_bit_set(validity, (uint64_t)i);
    }
    *recoded = (struct kt_array){ .field = array->field,
                                  .length = count,
                                  .validity = validity,
                                  .values = indices,
                                  .children = array->children };
    return KITH_OK;
}

static kith_status meet_dictionary(void *context, uint32_t number, const struct kt_array *array, int64_t row,
                                   int64_t count, struct kt_array *recoded, kith_error *error)
{
    struct kt_ipc_writer *writer = context;
    struct out_dictionary *dictionary = &writer->dictionaries[number];
    const struct kt_array *values = &array->children[0];
    bool again = dictionary->known && writer->last && same_values(values, &dictionary->last);
    kith_status status = KITH_OK;
    dictionary->last = *values;
    if (writer->form == KT_IPC_STREAM) {
        dictionary->known = true;
        return again ? KITH_OK : write_values(writer, number, values, false, error);
    }
    if (!dictionary->known) { /* the first: take all its values, in their order */
        dictionary->as_it_is = !values->validity;
        for (int64_t i = 0, size; i < values->length; i++) {
            if (kt_array_null(values, i)) continue;
            const uint8_t *text = kt_array_bytes(values, i, &size);
            int64_t index = kt_text_map_add(&dictionary->texts, text, size);
            if (index < 0) return memory_out(error);
            if (index != i) dictionary->as_it_is = false; /* a text twice */
        }
    } else if (!again) {
        dictionary->as_it_is = false;
    }
    if (!dictionary->as_it_is) status = recode(writer, dictionary, array, row, count, recoded, error);
    if (!status && (!dictionary->known || dictionary->written < dictionary->texts.count))
        status = write_texts(writer, number, dictionary, error);
    return status;
}

/* ---- the door ---- */

void kt_ipc_abandon(struct kt_ipc_writer *writer)
{
    if (!writer) return;
    for (uint32_t i = 0; writer->dictionaries && i < writer->dictionary_count; i++)
        kt_text_map_release(&writer->dictionaries[i].texts);
    kt_batch_release(writer->last);
    kt_schema_release(writer->schema);
    kt_ipc_body_release(&writer->body);
    kt_ipc_body_release(&writer->texts);
    kt_buffer_release(&writer->metadata.out);
    kt_buffer_release(&writer->records);
    kt_buffer_release(&writer->dictionary_blocks);
    kt_free(writer->dictionaries);
    kt_free(writer->columns);
    kt_free(writer->fields);
    kt_free(writer);
}

static kith_status choose_columns(struct kt_ipc_writer *writer, const uint32_t *columns, kith_error *error)
{
    for (uint32_t i = 0; i < writer->count; i++) {
        writer->columns[i] = columns ? columns[i] : i;
        const struct kt_field *field = writer->fields[i] = &writer->schema->fields[writer->columns[i]];
        writer->dictionary_count += kt_ipc_dictionaries(field);
    }
    writer->dictionaries = kt_alloc_zero(writer->dictionary_count, sizeof *writer->dictionaries);
    if (!writer->dictionaries) return memory_out(error);
    uint32_t next = 0;
    for (uint32_t i = 0; i < writer->count; i++)
        for (uint32_t k = 0; k < kt_ipc_dictionaries(writer->fields[i]); k++) {
            uint32_t number = k;
            writer->dictionaries[next++].field = kt_ipc_dictionary_field(writer->fields[i], 1, &number);
        }
    return KITH_OK;
}

static kith_status write_schema(struct kt_ipc_writer *writer, kith_error *error)
{
    kith_status status = KITH_OK;
    if (writer->form == KT_IPC_FILE)
        status = kt_sink_write(writer->sink, kt_ipc_magic, sizeof kt_ipc_magic, error);
    if (status) return status;
    size_t header = message_begin(&writer->metadata, IPC_SCHEMA, 0);
    kt_ipc_put_schema(&writer->metadata, header, writer->fields, writer->count, writer->schema->metadata);
    return message_write(writer, NULL, NULL, error);
}

kith_status kt_ipc_begin(struct kt_sink *sink, enum kt_ipc_form form, const struct kt_schema *schema,
                         const uint32_t *columns, uint32_t column_count, struct kt_ipc_writer **out,
                         kith_error *error)
{
    struct kt_ipc_writer *writer = kt_alloc_zero(1, sizeof *writer);
    kith_status status;
    if (!writer) return memory_out(error);
    writer->sink = sink;
    writer->begin = kt_sink_at(sink);
    writer->form = form;
    writer->count = columns ? column_count : schema->count;
    writer->fields = kt_alloc_zero(writer->count, sizeof *writer->fields);
    writer->columns = kt_alloc_zero(writer->count, sizeof *writer->columns);
    status = kt_schema_plain(schema, &writer->schema, error);
    writer->casts = writer->schema != schema;
    if (!status)
        status =
            writer->fields && writer->columns ? choose_columns(writer, columns, error) : memory_out(error);
    if (!status) status = write_schema(writer, error);
    if (status)
        kt_ipc_abandon(writer);
    else
        *out = writer;
    return status;
}

static kith_status write_batch(struct kt_ipc_writer *writer, const struct kt_batch *batch, kith_error *error)
{
    kith_status status = KITH_OK;
    kt_ipc_body_clear(&writer->body);
    struct ipc_encode encode = { .body = &writer->body, .recode = meet_dictionary, .context = writer };
    for (uint32_t i = 0; !status && i < writer->count; i++) {
        const struct kt_array *column = &batch->columns[writer->columns[i]];
        if (writer->columns[i] >= batch->schema->count ||
            !kt_field_same_type(column->field, writer->fields[i]))
            return kt_fail(error, KITH_TYPE,
                           "column \"%s\" of a batch is not of the type that the file began with",
                           writer->fields[i]->name);
        status = kt_ipc_encode(&encode, column, 0, batch->rows, error);
    }
    if (status) return status;
    size_t header = message_begin(&writer->metadata, IPC_RECORD_BATCH, writer->body.bytes);
    put_record(&writer->metadata, header, &writer->body, batch->rows);
    status = message_write(writer, &writer->body, &writer->records, error);
    kt_batch_release(writer->last);
    writer->last = kt_batch_share(batch);
    return status;
}

kith_status kt_ipc_write(struct kt_ipc_writer *writer, const struct kt_batch *batch, kith_error *error)
{
    struct kt_batch *plain = NULL;
    if (!writer->casts) return write_batch(writer, batch, error);
    if (batch->schema->count != writer->schema->count)
        return kt_fail(error, KITH_TYPE, "a batch has %u columns, the file began with %u",
                       batch->schema->count, writer->schema->count);
    kith_status status = kt_batch_plain(batch, writer->schema, &plain, error);
    if (!status) status = write_batch(writer, plain, error);
    kt_batch_release(plain);
    return status;
}

static void put_blocks(struct kt_flatbuf_writer *metadata, size_t at, const struct kt_buffer *blocks)
{
    size_t first = kt_flatbuf_put_vector(metadata, at, blocks->size / BLOCK_BYTES, BLOCK_BYTES);
    if (!metadata->failed && blocks->size) memcpy(metadata->out.data + first, blocks->data, blocks->size);
}

static kith_status write_footer(struct kt_ipc_writer *writer, kith_error *error)
{
    struct kt_flatbuf_writer *metadata = &writer->metadata;
    uint8_t tail[10];
    kt_flatbuf_begin(metadata);
    struct kt_flatbuf_slots slots = kt_flatbuf_put_table(metadata, 0, (const uint8_t[]){ 2, 4, 4, 4 }, 4);
    kt_flatbuf_put(metadata, slots.at[FOOTER_VERSION], IPC_V5, 2);
    kt_ipc_put_schema(metadata, slots.at[FOOTER_SCHEMA], writer->fields, writer->count,
                      writer->schema->metadata);
    put_blocks(metadata, slots.at[FOOTER_DICTIONARIES], &writer->dictionary_blocks);
    put_blocks(metadata, slots.at[FOOTER_RECORDS], &writer->records);
    if (metadata->failed) return memory_out(error);
    kt_put_u32(tail, (uint32_t)metadata->out.size);
    memcpy(tail + 4, kt_ipc_magic, 6);
    kith_status status = kt_sink_seal(writer->sink, error);
    if (!status) status = kt_sink_align(writer->sink, 8, error);
    if (!status) status = kt_sink_write(writer->sink, metadata->out.data, metadata->out.size, error);
    return status ? status : kt_sink_write(writer->sink, tail, sizeof tail, error);
}

kith_status kt_ipc_end(struct kt_ipc_writer *writer, kith_error *error)
{
    static const uint8_t end_of_stream[8] = { 0xff, 0xff, 0xff, 0xff };
    kith_status status = kt_sink_write(writer->sink, end_of_stream, sizeof end_of_stream, error);
    if (!status && writer->form == KT_IPC_FILE) status = write_footer(writer, error);
    kt_ipc_abandon(writer);
    return status;
}
