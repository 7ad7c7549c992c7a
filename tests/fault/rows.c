/* Rows into Arrow streams and out of them, by the specification alone.
 *
 * A stream is one block of memory: the buffers, and the two trees of structs it hands out, each of which
 * holds a reference to the block, so that whoever moves a child out of its parent is served too. Reading
 * compares every value with what the row's id and salt say it is; a row is told by its id and the salt in its
 * text.
 */
#include "fault/rows.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "fault/own.h"

enum { COLUMNS = 4, STRUCTS = COLUMNS + 2, TEXT_ROOM = 64 };

/* ---- what a row is */

void row_vector(struct row row, float out[ROW_DIM])
{
    struct kt_random random = { (uint64_t)row.id << 20 ^ row.salt };
    for (int i = 0; i < ROW_DIM; i++) out[i] = kt_random_float(&random) - 0.3f;
}

int32_t row_number(struct row row)
{
    return (int32_t)(kt_mix((uint64_t)row.id << 20 ^ row.salt) % 100);
}

static size_t row_head(struct row row, char out[TEXT_ROOM])
{
    return (size_t)snprintf(out, TEXT_ROOM, "item %lld %u ", (long long)row.id, (unsigned)row.salt);
}

/* The padding must not be the same everywhere, or compression leaves nothing of it: each row's begins
 * elsewhere in one long text. */
static const char *padding(struct row row)
{
    enum { BEGINNINGS = 4096, PADDING_MOST = 65536 };
    static char text[BEGINNINGS + PADDING_MOST];
    struct kt_random random = { 1 };
    for (size_t i = 0; !text[sizeof text - 1] && i < sizeof text; i++)
        text[i] = (char)('a' + kt_random_below(&random, 26));
    return text + kt_mix((uint64_t)row.id) % BEGINNINGS;
}

static size_t row_text(struct row row, char *out) /* TEXT_ROOM and the padding */
{
    size_t length = row_head(row, out);
    memcpy(out + length, padding(row), row.salt >> 16);
    return length + (row.salt >> 16);
}

/* ---- lists of rows */

struct rows *rows_new(size_t count)
{
    struct rows *rows = own_new(1, sizeof *rows + count * sizeof *rows->row);
    rows->references = 1;
    rows->count = count;
    return rows;
}

struct rows *rows_share(struct rows *rows)
{
    rows->references++;
    return rows;
}

void rows_release(struct rows *rows)
{
    if (rows && --rows->references == 0) own_free(rows);
}

struct rows *rows_join(const struct rows *first, const struct rows *then)
{
    size_t before = first ? first->count : 0, behind = then ? then->count : 0;
    struct rows *rows = rows_new(before + behind);
    if (before) memcpy(rows->row, first->row, before * sizeof *rows->row);
    if (behind) memcpy(rows->row + before, then->row, behind * sizeof *rows->row);
    return rows;
}

struct rows *rows_range(int64_t first, size_t count, uint32_t salt)
{
    struct rows *rows = rows_new(count);
    for (size_t i = 0; i < count; i++) rows->row[i] = (struct row){ first + (int64_t)i, salt };
    return rows;
}

const struct row *rows_find(const struct rows *rows, int64_t id)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->row[i].id == id) return &rows->row[i];
    return NULL;
}

/* ---- out: a stream of one batch */

/* Struct 0 is the whole, 1 to COLUMNS its columns, the last the numbers inside the vectors. */
struct block {
    uint32_t references;
    bool given; /* the batch */
    size_t count;
    int columns; /* the first of them */
    int64_t *ids;
    int32_t *ends, *numbers;
    char *text;
    float *vectors;
    const void *buffers[STRUCTS][3];
    struct ArrowSchema schemas[STRUCTS], *schema_children[COLUMNS], *schema_item;
    struct ArrowArray arrays[STRUCTS], *array_children[COLUMNS], *array_item;
};

static void block_release(struct block *block)
{
    if (--block->references) return;
    own_free(block->ids);
    own_free(block->ends);
    own_free(block->numbers);
    own_free(block->text);
    own_free(block->vectors);
    own_free(block);
}

static void schema_release(struct ArrowSchema *schema)
{
    for (int64_t i = 0; i < schema->n_children; i++)
        if (schema->children[i]->release) schema->children[i]->release(schema->children[i]);
    schema->release = NULL;
    block_release(schema->private_data);
}

static void array_release(struct ArrowArray *array)
{
    for (int64_t i = 0; i < array->n_children; i++)
        if (array->children[i]->release) array->children[i]->release(array->children[i]);
    array->release = NULL;
    block_release(array->private_data);
}

static int give_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    static const char *const formats[STRUCTS] = { "+s", "l", "u", "i", "+w:16", "f" };
    static const char *const names[STRUCTS] = { "", "id", "item", "n", "vector", "item" };
    struct block *block = stream->private_data;
    for (int i = 0; i < (block->columns == COLUMNS ? STRUCTS : block->columns + 1); i++) {
        block->schemas[i] = (struct ArrowSchema){ .format = formats[i],
                                                  .name = names[i],
                                                  .flags = ARROW_FLAG_NULLABLE,
                                                  .release = schema_release,
                                                  .private_data = block };
        block->references++;
    }
    for (int i = 0; i < COLUMNS; i++) block->schema_children[i] = &block->schemas[i + 1];
    block->schema_item = &block->schemas[STRUCTS - 1];
    block->schemas[0].n_children = block->columns;
    block->schemas[0].children = block->schema_children;
    block->schemas[COLUMNS].n_children = 1;
    block->schemas[COLUMNS].children = &block->schema_item;
    *out = block->schemas[0];
    return 0;
}

static void set_array(struct block *block, int at, size_t length, int buffers, const void *first,
                      const void *second)
{
    block->buffers[at][1] = first;
    block->buffers[at][2] = second;
    block->arrays[at] = (struct ArrowArray){ .length = (int64_t)length,
                                             .n_buffers = buffers,
                                             .buffers = block->buffers[at],
                                             .release = array_release,
                                             .private_data = block };
    block->references++;
}

static void set_others(struct block *block)
{
    set_array(block, 2, block->count, 3, block->ends, block->text);
    set_array(block, 3, block->count, 2, block->numbers, NULL);
    set_array(block, 4, block->count, 1, NULL, NULL);
    set_array(block, 5, block->count * ROW_DIM, 2, block->vectors, NULL);
    block->array_item = &block->arrays[STRUCTS - 1];
    block->arrays[COLUMNS].n_children = 1;
    block->arrays[COLUMNS].children = &block->array_item;
}

static int give_batch(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    struct block *block = stream->private_data;
    *out = (struct ArrowArray){ 0 };
    if (block->given || !block->count) return 0;
    block->given = true;
    set_array(block, 0, block->count, 1, NULL, NULL);
    set_array(block, 1, block->count, 2, block->ids, NULL);
    if (block->columns == COLUMNS) set_others(block);
    for (int i = 0; i < block->columns; i++) block->array_children[i] = &block->arrays[i + 1];
    block->arrays[0].n_children = block->columns;
    block->arrays[0].children = block->array_children;
    *out = block->arrays[0];
    return 0;
}

static const char *no_error(struct ArrowArrayStream *stream)
{
    (void)stream;
    return NULL;
}

static void stream_release(struct ArrowArrayStream *stream)
{
    block_release(stream->private_data);
    stream->release = NULL;
}

static void fill(struct block *block, const struct rows *rows)
{
    size_t text = 0;
    for (size_t i = 0; i < rows->count; i++) text += TEXT_ROOM + (rows->row[i].salt >> 16);
    block->ids = own_new(rows->count, sizeof *block->ids);
    block->ends = own_new(rows->count + 1, sizeof *block->ends);
    block->numbers = own_new(rows->count, sizeof *block->numbers);
    block->vectors = own_new(rows->count * ROW_DIM, sizeof *block->vectors);
    block->text = own_new(text, 1);
    for (size_t i = 0; i < rows->count; i++) {
        block->ids[i] = rows->row[i].id;
        block->numbers[i] = row_number(rows->row[i]);
        block->ends[i + 1] = block->ends[i] + (int32_t)row_text(rows->row[i], block->text + block->ends[i]);
        row_vector(rows->row[i], block->vectors + i * ROW_DIM);
    }
}

static void stream_new(const struct rows *rows, int columns, struct ArrowArrayStream *out)
{
    struct block *block = own_new(1, sizeof *block);
    block->references = 1;
    block->count = rows->count;
    block->columns = columns;
    fill(block, rows);
    *out = (struct ArrowArrayStream){ .get_schema = give_schema,
                                      .get_next = give_batch,
                                      .get_last_error = no_error,
                                      .release = stream_release,
                                      .private_data = block };
}

void rows_stream(const struct rows *rows, struct ArrowArrayStream *out)
{
    stream_new(rows, COLUMNS, out);
}

void rows_stream_ids(const struct rows *rows, struct ArrowArrayStream *out)
{
    stream_new(rows, 1, out);
}

/* ---- in */

bool complain(struct complaint *complaint, const char *format, ...)
{
    va_list arguments;
    if (complaint->text[0]) return false;
    va_start(arguments, format);
    vsnprintf(complaint->text, sizeof complaint->text, format, arguments);
    va_end(arguments);
    return false;
}

enum { ID, ITEM, NUMBER, VECTOR, ROW_ID, EXTRA, READ_COLUMNS };
static const char *const read_names[READ_COLUMNS] = { "id", "item", "n", "vector", "_rowid", EXTRA_COLUMN };
static const char *const read_formats[READ_COLUMNS] = { "l", "u", "i", "+w:16", "L", "l" };

struct reading {
    int64_t column[READ_COLUMNS]; /* -1: not there */
    bool ascending;
    uint64_t next_row_id; /* at least */
    struct rows *rows;
    size_t room;
    uint64_t *row_ids; /* as many as room */
    struct complaint *complaint;
};

static bool find_columns(struct reading *reading, const struct ArrowSchema *schema)
{
    for (int c = 0; c < READ_COLUMNS; c++) {
        reading->column[c] = -1;
        for (int64_t i = 0; i < schema->n_children; i++) {
            const struct ArrowSchema *child = schema->children[i];
            if (strcmp(child->name, read_names[c])) continue;
            if (strcmp(child->format, read_formats[c]))
                return complain(reading->complaint, "column %s is read as %s", read_names[c], child->format);
            reading->column[c] = i;
        }
        if (c != ROW_ID && c != EXTRA && reading->column[c] < 0)
            return complain(reading->complaint, "column %s is not there", read_names[c]);
    }
    return true;
}

static void make_room(struct reading *reading)
{
    size_t room = reading->room * 2 + 64;
    struct rows *rows = rows_new(room);
    rows->count = reading->rows->count;
    memcpy(rows->row, reading->rows->row, rows->count * sizeof *rows->row);
    rows_release(reading->rows);
    reading->rows = rows;
    reading->row_ids = own_grow(reading->row_ids, reading->room, room, sizeof *reading->row_ids);
    reading->room = room;
}

/* The salt that a row's text ends in. */
static bool read_salt(const char *text, size_t length, uint32_t *out)
{
    char head[TEXT_ROOM];
    long long id;
    unsigned salt;
    size_t count = length < sizeof head - 1 ? length : sizeof head - 1;
    memcpy(head, text, count);
    head[count] = '\0';
    if (sscanf(head, "item %lld %u ", &id, &salt) != 2) return false;
    *out = salt;
    return true;
}

static bool same_text(struct row row, const char *text, size_t length)
{
    char head[TEXT_ROOM];
    size_t pad = row.salt >> 16, count = row_head(row, head);
    return length == count + pad && !memcmp(head, text, count) && !memcmp(text + count, padding(row), pad);
}

static const void *buffer(const struct ArrowArray *array, int at, size_t element)
{
    return (const char *)array->buffers[at] + (size_t)array->offset * element;
}

static bool read_extra(struct reading *reading, const struct ArrowArray *batch, int64_t i, int64_t id)
{
    if (reading->column[EXTRA] < 0) return true;
    const struct ArrowArray *column = batch->children[reading->column[EXTRA]];
    const uint8_t *valid = column->buffers[0];
    int64_t at = column->offset + i, value;
    if (valid && !(valid[at / 8] >> (at % 8) & 1)) return true;
    memcpy(&value, (const char *)column->buffers[1] + at * 8, 8);
    return value == id + 1 || complain(reading->complaint, "%s of row id %lld is %lld", EXTRA_COLUMN,
                                       (long long)id, (long long)value);
}

static bool read_row(struct reading *reading, const struct ArrowArray *batch, int64_t i)
{
    struct ArrowArray **columns = batch->children;
    const int64_t *ids = buffer(columns[reading->column[ID]], 1, 8);
    const int32_t *ends = buffer(columns[reading->column[ITEM]], 1, 4);
    const int32_t *numbers = buffer(columns[reading->column[NUMBER]], 1, 4);
    const char *text = columns[reading->column[ITEM]]->buffers[2];
    const struct ArrowArray *lists = columns[reading->column[VECTOR]];
    const float *vectors = buffer(lists->children[0], 1, 4);
    float vector[ROW_DIM];
    struct row row = { .id = ids[i] };
    size_t length = (size_t)(ends[i + 1] - ends[i]);

    if (!read_salt(text + ends[i], length, &row.salt) || !same_text(row, text + ends[i], length))
        return complain(reading->complaint, "the text of row id %lld is not what was written: %.*s",
                        (long long)row.id, (int)(length < 80 ? length : 80), text + ends[i]);
    row_vector(row, vector);
    if (numbers[i] != row_number(row) ||
        memcmp(vectors + (lists->offset + i) * ROW_DIM, vector, sizeof vector))
        return complain(reading->complaint, "a value of row id %lld is not what was written",
                        (long long)row.id);
    if (!read_extra(reading, batch, i, row.id)) return false;
    if (reading->rows->count == reading->room) make_room(reading);
    if (reading->column[ROW_ID] >= 0) {
        uint64_t row_id = ((const uint64_t *)buffer(columns[reading->column[ROW_ID]], 1, 8))[i];
        if (reading->ascending && row_id < reading->next_row_id)
            return complain(reading->complaint, "row id %llu comes after %llu", (unsigned long long)row_id,
                            (unsigned long long)reading->next_row_id - 1);
        reading->next_row_id = row_id + 1;
        reading->row_ids[reading->rows->count] = row_id;
    }
    reading->rows->row[reading->rows->count++] = row;
    return true;
}

static bool read_batch(struct reading *reading, const struct ArrowArray *batch)
{
    for (int64_t i = 0; i < batch->n_children; i++)
        if (i != reading->column[EXTRA] && batch->children[i]->null_count > 0)
            return complain(reading->complaint, "there are nulls");
    if (batch->offset)
        return complain(reading->complaint, "a batch begins at %lld", (long long)batch->offset);
    for (int64_t i = 0; i < batch->length; i++)
        if (!read_row(reading, batch, i)) return false;
    return true;
}

static kith_status stream_failed(struct ArrowArrayStream *stream, int code, struct complaint *complaint,
                                 kith_error *error)
{
    const char *words = stream->get_last_error(stream);
    if (!words || !words[0]) complain(complaint, "a stream fails with %d and no words", code);
    error->status = code == ENOMEM ? KITH_NO_MEMORY : KITH_IO;
    snprintf(error->message, sizeof error->message, "%s", words ? words : "");
    return error->status;
}

void rows_seen_release(struct rows_seen *seen)
{
    rows_release(seen->rows);
    own_free(seen->row_ids);
    *seen = (struct rows_seen){ 0 };
}

kith_status rows_read(struct ArrowArrayStream *stream, bool ascending, struct rows_seen *out,
                      struct complaint *complaint, kith_error *error)
{
    struct reading reading = { .ascending = ascending, .rows = rows_new(0), .complaint = complaint };
    struct ArrowSchema schema;
    kith_status status = KITH_OK;
    int code = stream->get_schema(stream, &schema);
    if (!code) {
        bool more = find_columns(&reading, &schema);
        schema.release(&schema);
        while (more && !code) {
            struct ArrowArray batch;
            code = stream->get_next(stream, &batch);
            if (code || !batch.release) break;
            more = read_batch(&reading, &batch);
            batch.release(&batch);
        }
    }
    if (code) status = stream_failed(stream, code, complaint, error);
    stream->release(stream);
    *out = (struct rows_seen){ reading.rows, reading.row_ids, reading.column[EXTRA] >= 0 };
    if (status) rows_seen_release(out);
    return status;
}
