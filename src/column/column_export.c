/* The Arrow C data interface, outwards.
 *
 * Batches already lie in memory as Arrow wants them, so an export is a tree of small structs that point into
 * the batch and share it. The specification lets a consumer move any child out and release it whenever it
 * likes, before or after its parent; so every node, of arrays and schemas, has a private part of its own with
 * its own reference.
 *
 * Bitmaps that begin inside a byte need nothing: Arrow's `offset` says so for all buffers of an array.
 *
 * An empty array may have no buffers here; a consumer gets 64 zero bytes instead of NULL (older arrow-rs
 * refuses NULL).
 */
#include <stdio.h>
#include <string.h>

#include "column/column_private.h"

/* ---- schemas ---- */

struct schema_private {           /* and all that an ArrowSchema points to */
    struct ArrowSchema *children; /* in place: the spec asks for pointers, below */
    struct ArrowSchema **pointers;
    struct ArrowSchema dictionary;
    char *name, *format, *metadata;
};

static void schema_release(struct ArrowSchema *schema)
{
    struct schema_private *private = schema->private_data;
    for (int64_t i = 0; i < schema->n_children; i++)
        if (private->children[i].release) private->children[i].release(&private->children[i]);
    if (private->dictionary.release) private->dictionary.release(&private->dictionary);
    kt_free(private->children);
    kt_free(private->pointers);
    kt_free(private->name);
    kt_free(private->format);
    kt_free(private->metadata);
    kt_free(private);
    schema->release = NULL;
}

static const char *const plain_formats[] = {
    [KT_NULL] = "n",         [KT_BOOL] = "b",        [KT_INT8] = "c",       [KT_INT16] = "s",
    [KT_INT32] = "i",        [KT_INT64] = "l",       [KT_UINT8] = "C",      [KT_UINT16] = "S",
    [KT_UINT32] = "I",       [KT_UINT64] = "L",      [KT_FLOAT16] = "e",    [KT_FLOAT32] = "f",
    [KT_FLOAT64] = "g",      [KT_UTF8] = "u",        [KT_LARGE_UTF8] = "U", [KT_BINARY] = "z",
    [KT_LARGE_BINARY] = "Z", [KT_DATE32] = "tdD",    [KT_DATE64] = "tdm",   [KT_LIST] = "+l",
    [KT_STRUCT] = "+s",      [KT_LARGE_LIST] = "+L", [KT_UTF8_VIEW] = "vu", [KT_BINARY_VIEW] = "vz",
};

static char *format_text(const struct kt_field *field)
{
    struct kt_buffer text = { 0 };
    char unit = "smun"[field->unit];
    bool fine;
    switch (field->type) {
    case KT_DICTIONARY:
        fine = kt_buffer_text(&text, "%s", plain_formats[field->index]);
        break;
    case KT_FIXED_BINARY:
        fine = kt_buffer_text(&text, "w:%d", field->width);
        break;
    case KT_FIXED_LIST:
        fine = kt_buffer_text(&text, "+w:%d", field->width);
        break;
    case KT_DECIMAL128:
        fine = kt_buffer_text(&text, "d:%d,%d", field->width, field->scale);
        break;
    case KT_TIME32:
    case KT_TIME64:
        fine = kt_buffer_text(&text, "tt%c", unit);
        break;
    case KT_DURATION:
        fine = kt_buffer_text(&text, "tD%c", unit);
        break;
    case KT_TIMESTAMP:
        fine = kt_buffer_text(&text, "ts%c:%s", unit, field->timezone ? field->timezone : "");
        break;
    default:
        fine = kt_buffer_text(&text, "%s", plain_formats[field->type]);
        break;
    }
    if (!fine) kt_buffer_release(&text);
    return (char *)text.data;
}

static bool append_sized(struct kt_buffer *buffer, const char *text, size_t size)
{
    int32_t length = (int32_t)size;
    return kt_buffer_append(buffer, &length, sizeof length) && kt_buffer_append(buffer, text, size);
}

/* See import_metadata(). False: out of memory. */
static bool metadata_bytes(json_t *metadata, char **out)
{
    const char *key;
    json_t *value;
    struct kt_buffer buffer = { 0 };
    int32_t count = (int32_t)json_object_size(metadata);
    if (!count) return true;
    bool fine = kt_buffer_append(&buffer, &count, sizeof count);
    json_object_foreach(metadata, key, value) fine =
        fine && append_sized(&buffer, key, strlen(key)) &&
        append_sized(&buffer, json_string_value(value), json_string_length(value));
    if (!fine) kt_buffer_release(&buffer);
    *out = (char *)buffer.data;
    return fine;
}

static kith_status export_field(const struct kt_field *field, struct ArrowSchema *out, kith_error *error)
{
    struct schema_private *private = kt_alloc_zero(1, sizeof *private);
    kith_status status = KITH_OK;
    if (!private) return kt_fail_memory(error, sizeof *private);
    *out = (struct ArrowSchema){ .release = schema_release, .private_data = private };
    private->name = kt_strdup(field->name);
    private->format = format_text(field);
    uint32_t count = field->type == KT_DICTIONARY ? 0 : field->child_count;
    private->children = kt_alloc_zero(count, sizeof *private->children);
    private->pointers = kt_alloc_zero(count, sizeof *private->pointers);
    if (!private->name || !private->format || !private->children || !private->pointers ||
        !metadata_bytes(field->metadata, &private->metadata)) {
        status = kt_fail_memory(error, sizeof *private);
        goto out;
    }
    out->name = private->name;
    out->format = private->format;
    out->metadata = private->metadata;
    out->children = count ? private->pointers : NULL;
    out->flags =
        (field->nullable ? ARROW_FLAG_NULLABLE : 0) | (field->ordered ? ARROW_FLAG_DICTIONARY_ORDERED : 0);
    for (uint32_t i = 0; !status && i < count; i++) {
        private->pointers[i] = &private->children[i];
        status = export_field(&field->children[i], &private->children[i], error);
        if (!status) out->n_children++;
    }
    if (!status && field->type == KT_DICTIONARY) {
        status = export_field(&field->children[0], &private->dictionary, error);
        if (!status) out->dictionary = &private->dictionary;
    }
out:
    if (status) schema_release(out);
    return status;
}

kith_status kt_schema_export(const struct kt_schema *schema, struct ArrowSchema *out, kith_error *error)
{
    char none[] = "";
    struct ArrowSchema made;
    struct kt_field root = { .name = none,
                             .type = KT_STRUCT,
                             .children = schema->fields,
                             .child_count = schema->count,
                             .metadata = schema->metadata };
    kith_status status = export_field(&root, &made, error);
    if (!status) *out = made;
    return status;
}

/* ---- batches ---- */

enum { BUFFERS = 3 };

struct array_private {
    struct kt_batch *batch;
    const void *buffers[BUFFERS];
    struct ArrowArray dictionary;
    struct ArrowArray **pointers; /* behind the structs, in one allocation with this */
    struct ArrowArray children[];
};

static void array_release(struct ArrowArray *array)
{
    struct array_private *private = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++)
        if (private->children[i].release) private->children[i].release(&private->children[i]);
    if (private->dictionary.release) private->dictionary.release(&private->dictionary);
    kt_batch_release(private->batch);
    kt_free(private);
    array->release = NULL;
}

static kith_status array_new(struct kt_batch *batch, uint32_t children, struct ArrowArray *out,
                             struct array_private **private_out, kith_error *error)
{
    size_t bytes =
        sizeof(struct array_private) + children * (sizeof(struct ArrowArray) + sizeof(struct ArrowArray *));
    struct array_private *private = kt_alloc_zero(1, bytes);
    if (!private) return kt_fail_memory(error, bytes);
    private->batch = kt_batch_share(batch);
    private->pointers = (struct ArrowArray **)(void *)(private->children + children);
    *out = (struct ArrowArray){
        .buffers = private->buffers,
        .children = children ? private->pointers : NULL,
        .release = array_release,
        .private_data = private,
    };
    *private_out = private;
    return KITH_OK;
}

static const void *present(const uint8_t *buffer)
{
    static const _Alignas(64) uint8_t nothing[64];
    return buffer ? buffer : nothing;
}

static void set_buffers(const struct kt_array *from, struct ArrowArray *out)
{
    enum kt_type type = from->field->type;
    if (type == KT_NULL) return;
    out->buffers[0] = from->validity;
    out->n_buffers = 1;
    if (type == KT_STRUCT || type == KT_FIXED_LIST) return;
    out->buffers[1] = present(from->values);
    out->n_buffers = 2;
    if (!kt_type_offset_bytes(type) || from->field->child_count) return;
    out->buffers[2] = present(from->data);
    out->n_buffers = 3;
}

static kith_status export_array(struct kt_batch *batch, const struct kt_array *from, struct ArrowArray *out,
                                kith_error *error)
{
    struct array_private *private = NULL;
    bool dictionary = from->field->type == KT_DICTIONARY;
    if (kt_type_is_view(from->field->type))
        return kt_fail(error, KITH_UNSUPPORTED,
                       "column \"%s\" holds views, which are exported in plain form only", from->field->name);
    kith_status status = array_new(batch, dictionary ? 0 : from->field->child_count, out, &private, error);
    if (status) return status;
    out->length = from->length;
    out->offset = from->offset;
    out->null_count = from->field->type == KT_NULL ? from->length : from->validity ? -1 : 0;
    set_buffers(from, out);
    if (dictionary) {
        status = export_array(batch, &from->children[0], &private->dictionary, error);
        if (!status) out->dictionary = &private->dictionary;
    }
    for (uint32_t i = 0; !status && !dictionary && i < from->field->child_count; i++) {
        private->pointers[i] = &private->children[i];
        status = export_array(batch, &from->children[i], &private->children[i], error);
        if (!status) out->n_children++;
    }
    if (status) array_release(out);
    return status;
}

kith_status kt_batch_export(struct kt_batch *batch, struct ArrowArray *out, kith_error *error)
{
    struct array_private *private = NULL;
    struct ArrowArray made;
    kith_status status = array_new(batch, batch->schema->count, &made, &private, error);
    if (status) return status;
    made.length = batch->rows;
    made.n_buffers = 1;
    for (uint32_t i = 0; !status && i < batch->schema->count; i++) {
        private->pointers[i] = &private->children[i];
        status = export_array(batch, &batch->columns[i], &private->children[i], error);
        if (!status) made.n_children++;
    }
    if (status)
        array_release(&made);
    else
        *out = made;
    return status;
}
