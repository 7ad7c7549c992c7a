/* The Arrow C data interface, inwards.
 *
 * The pointers are the producer's word; everything they lead to is checked before it is believed: the number
 * of buffers and children of each array, lengths against what its parent reaches, and (column_check.c) what
 * the values say. Nothing is copied: the batch takes the producer's ArrowArray over and releases it with
 * itself. The exception is a buffer that lies askew for its type, which the specification allows: it is
 * copied straight.
 *
 * A producer that cuts a table into batches exports the whole child for every slice of a list or struct. So
 * only the rows that the batch can reach are checked; checking them all would be quadratic in the number of
 * slices.
 *
 * Refused, in words: unions, maps, run-end encoding, intervals, list views, other decimals than 128 bits, and
 * anything nested deeper than KT_DEPTH_MAX.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "column/column_private.h"

enum { PATH = 200 };
static const int64_t LENGTH_MAX = (int64_t)1 << 40; /* times KT_WIDTH_MAX it is still an int64 */

/* ---- schemas ---- */

static kith_status refuse(const char *path, const char *format, kith_error *error)
{
    const char *what = "of a type that Kith does not know";
    if (strncmp(format, "+u", 2) == 0)
        what = "a union";
    else if (strcmp(format, "+m") == 0)
        what = "a map";
    else if (strcmp(format, "+r") == 0)
        what = "run-end encoded";
    else if (strncmp(format, "+v", 2) == 0)
        what = "a list view";
    else if (strncmp(format, "ti", 2) == 0)
        what = "an interval";
    else if (format[0] == 'd')
        what = "a decimal of other than 128 bits";
    return kt_fail(error, KITH_TYPE,
                   "column \"%s\" is %s (Arrow format \"%.40s\"), which cannot be stored; cast it first",
                   path, what, format);
}

static const struct simple_format {
    const char *format;
    enum kt_type type;
    enum kt_unit unit;
} simple_formats[] = {
    { "n", KT_NULL, 0 },
    { "b", KT_BOOL, 0 },
    { "c", KT_INT8, 0 },
    { "C", KT_UINT8, 0 },
    { "s", KT_INT16, 0 },
    { "S", KT_UINT16, 0 },
    { "i", KT_INT32, 0 },
    { "I", KT_UINT32, 0 },
    { "l", KT_INT64, 0 },
    { "L", KT_UINT64, 0 },
    { "e", KT_FLOAT16, 0 },
    { "f", KT_FLOAT32, 0 },
    { "g", KT_FLOAT64, 0 },
    { "u", KT_UTF8, 0 },
    { "U", KT_LARGE_UTF8, 0 },
    { "vu", KT_UTF8_VIEW, 0 },
    { "z", KT_BINARY, 0 },
    { "Z", KT_LARGE_BINARY, 0 },
    { "vz", KT_BINARY_VIEW, 0 },
    { "tdD", KT_DATE32, 0 },
    { "tdm", KT_DATE64, 0 },
    { "tts", KT_TIME32, KT_SECOND },
    { "ttm", KT_TIME32, KT_MILLISECOND },
    { "ttu", KT_TIME64, KT_MICROSECOND },
    { "ttn", KT_TIME64, KT_NANOSECOND },
    { "tDs", KT_DURATION, KT_SECOND },
    { "tDm", KT_DURATION, KT_MILLISECOND },
    { "tDu", KT_DURATION, KT_MICROSECOND },
    { "tDn", KT_DURATION, KT_NANOSECOND },
    { "+l", KT_LIST, 0 },
    { "+L", KT_LARGE_LIST, 0 },
    { "+s", KT_STRUCT, 0 },
};

/* A decimal number after a prefix; false unless the text ends after it, or at `stop`. */
static bool number(const char **text, char stop, int32_t *out)
{
    char *end;
    long value = strtol(*text, &end, 10);
    if (end == *text || (*end && *end != stop) || value < INT32_MIN || value > INT32_MAX) return false;
    *text = *end ? end + 1 : end;
    *out = (int32_t)value;
    return true;
}

static bool parse_timestamp(const char *format, struct kt_field *field)
{
    const char *units = "smun", *unit = strchr(units, format[2]);
    if (!format[2] || !unit || format[3] != ':') return false;
    field->type = KT_TIMESTAMP;
    field->unit = (enum kt_unit)(unit - units);
    if (format[4]) field->timezone = kt_strdup(format + 4); /* import_field() looks whether it could */
    return true;
}

static bool parse_format(const char *format, struct kt_field *field)
{
    for (size_t i = 0; i < sizeof simple_formats / sizeof simple_formats[0]; i++) {
        if (strcmp(simple_formats[i].format, format) != 0) continue;
        field->type = simple_formats[i].type;
        field->unit = simple_formats[i].unit;
        return true;
    }
    const char *rest = format + 2;
    if (strncmp(format, "ts", 2) == 0) return parse_timestamp(format, field);
    if (strncmp(format, "w:", 2) == 0) {
        field->type = KT_FIXED_BINARY;
        return number(&rest, '\0', &field->width);
    }
    if (strncmp(format, "+w:", 3) == 0) {
        field->type = KT_FIXED_LIST;
        rest++;
        return number(&rest, '\0', &field->width);
    }
    if (strncmp(format, "d:", 2) == 0) {
        int32_t bits = 128;
        field->type = KT_DECIMAL128;
        if (!number(&rest, ',', &field->width) || !number(&rest, ',', &field->scale)) return false;
        return !*rest || (number(&rest, '\0', &bits) && bits == 128);
    }
    return false;
}

/* Metadata: a count, then for each a key and a value, each an int32 length and its bytes. */
static kith_status import_metadata(const char *bytes, json_t **out, kith_error *error)
{
    if (!bytes) return KITH_OK;
    int32_t count = (int32_t)kt_get_u32(bytes);
    bytes += 4;
    for (int32_t i = 0; i < count; i++) {
        int32_t key_size = (int32_t)kt_get_u32(bytes);
        const char *key = bytes + 4;
        if (key_size < 0)
            return kt_fail(error, KITH_INVALID, "the Arrow schema's metadata has a key of negative length");
        int32_t value_size = (int32_t)kt_get_u32(key + key_size);
        const char *value = key + key_size + 4;
        if (value_size < 0)
            return kt_fail(error, KITH_INVALID, "the Arrow schema's metadata has a value of negative length");
        if (!kt_metadata_add(out, key, (size_t)key_size, value, (size_t)value_size))
            return kt_fail_memory(error, (size_t)value_size);
        bytes = value + value_size;
    }
    return KITH_OK;
}

static kith_status import_field(const struct ArrowSchema *from, const char *parent, uint32_t depth,
                                struct kt_field *to, kith_error *error);

static kith_status import_children(struct ArrowSchema *const *from, int64_t count, const char *path,
                                   uint32_t depth, struct kt_field *to, kith_error *error)
{
    if (count < 0 || count > INT16_MAX)
        return kt_fail(error, KITH_INVALID, "column \"%s\" has %lld children", path, (long long)count);
    if (depth > KT_DEPTH_MAX)
        return kt_fail(error, KITH_TYPE, "column \"%s\" is nested deeper than 32 levels", path);
    if (!count) return KITH_OK;
    to->children = kt_alloc_zero((size_t)count, sizeof *to->children);
    if (!to->children) return kt_fail_memory(error, (size_t)count * sizeof *to->children);
    for (int64_t i = 0; i < count; i++) {
        to->child_count++; /* so that a half-imported one is released too */
        if (!from || !from[i] || !from[i]->release)
            return kt_fail(error, KITH_INVALID, "a child of column \"%s\" is missing", path);
        kith_status status = import_field(from[i], path, depth + 1, &to->children[i], error);
        if (status) return status;
    }
    return KITH_OK;
}

static kith_status import_field(const struct ArrowSchema *from, const char *parent, uint32_t depth,
                                struct kt_field *to, kith_error *error)
{
    char path[PATH];
    const char *name = from->name ? from->name : "";
    kith_status status;

    snprintf(path, sizeof path, "%s%s%s", parent, *parent ? "." : "", name);
    if (!kt_utf8_valid((const uint8_t *)name, strlen(name)))
        return kt_fail(error, KITH_INVALID, "the name of a column is not UTF-8");
    if (!from->format) return kt_fail(error, KITH_INVALID, "column \"%s\" has no Arrow format", path);
    to->id = -1;
    to->nullable = (from->flags & ARROW_FLAG_NULLABLE) != 0;
    to->name = kt_strdup(name);
    if (!to->name) return kt_fail_memory(error, strlen(name));
    if (!parse_format(from->format, to)) return refuse(path, from->format, error);
    if (to->type == KT_TIMESTAMP && from->format[4] && !to->timezone)
        return kt_fail_memory(error, strlen(from->format));
    if (to->timezone && !kt_utf8_valid((const uint8_t *)to->timezone, strlen(to->timezone)))
        return kt_fail(error, KITH_INVALID, "the time zone of column \"%s\" is not UTF-8", path);
    status = import_metadata(from->metadata, &to->metadata, error);
    if (status) return status;
    if (!from->dictionary) return import_children(from->children, from->n_children, path, depth, to, error);
    to->index = to->type;
    to->type = KT_DICTIONARY;
    to->ordered = (from->flags & ARROW_FLAG_DICTIONARY_ORDERED) != 0;
    return import_children(&from->dictionary, 1, path, depth, to, error);
}

kith_status kt_schema_import(const struct ArrowSchema *from, struct kt_schema **out, kith_error *error)
{
    struct kt_field root = { 0 };
    kith_status status;

    if (!from || !from->release || !from->format)
        return kt_fail(error, KITH_INVALID, "the Arrow schema has been released");
    if (strcmp(from->format, "+s") != 0)
        return kt_fail(error, KITH_INVALID,
                       "the Arrow schema is one of a column (format \"%.40s\"), not of a table",
                       from->format);
    status = import_metadata(from->metadata, &root.metadata, error);
    if (!status) status = import_children(from->children, from->n_children, "", 0, &root, error);
    if (!status) status = kt_schema_new(root.children, root.child_count, root.metadata, out, error);
    kt_field_release(&root);
    return status;
}

/* ---- batches ---- */

struct import_hold {
    struct kt_hold hold;
    struct ArrowArray array;
};

static void import_hold_release(struct kt_hold *hold)
{
    struct import_hold *import = (struct import_hold *)(void *)hold;
    if (import->array.release) import->array.release(&import->array);
    kt_free(import);
}

static int64_t expected_buffers(enum kt_type type)
{
    switch (type) {
    case KT_NULL:
        return 0;
    case KT_STRUCT:
    case KT_FIXED_LIST:
        return 1;
    case KT_UTF8:
    case KT_LARGE_UTF8:
    case KT_BINARY:
    case KT_LARGE_BINARY:
    case KT_UTF8_VIEW:
    case KT_BINARY_VIEW:
        return 3; /* views: and one for each buffer of theirs */
    default:
        return 2;
    }
}

static kith_status check_counts(const struct ArrowArray *from, const struct kt_field *field, const char *path,
                                kith_error *error)
{
    int64_t buffers = expected_buffers(field->type),
            children = field->type == KT_DICTIONARY ? 0 : field->child_count;
    bool more = kt_type_is_view(field->type) || field->type == KT_NULL;
    if (from->n_buffers < buffers || (from->n_buffers > buffers && !more) || (buffers && !from->buffers))
        return kt_fail(error, KITH_INVALID, "column \"%s\" comes with %lld buffers, its type has %lld", path,
                       (long long)from->n_buffers, (long long)buffers);
    if (from->n_children != children || (children && !from->children))
        return kt_fail(error, KITH_INVALID, "column \"%s\" comes with %lld children, its type has %lld", path,
                       (long long)from->n_children, (long long)children);
    if (field->type == KT_DICTIONARY && !from->dictionary)
        return kt_fail(error, KITH_INVALID, "column \"%s\" comes without its dictionary", path);
    if (from->length < 0 || from->offset < 0 || from->length > LENGTH_MAX || from->offset > LENGTH_MAX)
        return kt_fail(error, KITH_INVALID, "column \"%s\" has a length of %lld from %lld on", path,
                       (long long)from->length, (long long)from->offset);
    return KITH_OK;
}

/* The buffers of one array, as they are; offsets of an empty array may be missing. */
static kith_status import_buffers(struct kt_batch *batch, const struct ArrowArray *from, struct kt_array *to,
                                  const char *path, kith_error *error)
{
    static const int64_t no_offsets[2] = { 0, 0 };
    enum kt_type type = to->field->type;
    if (type != KT_NULL) {
        to->validity = from->null_count == 0 ? NULL : from->buffers[0];
        if (from->null_count > 0 && !to->validity)
            return kt_fail(error, KITH_INVALID, "column \"%s\" has %lld nulls but no bitmap of them", path,
                           (long long)from->null_count);
    }
    if (type == KT_NULL || expected_buffers(type) < 2) return KITH_OK;
    to->values = from->buffers[1];
    uint32_t entry = kt_field_entry_bytes(to->field), offsets = kt_type_offset_bytes(type);
    if (offsets && !from->length) {
        to->values = (const uint8_t *)no_offsets;
        to->offset = 0;
    }
    if (!to->values && from->length && (entry || type == KT_BOOL))
        return kt_fail(error, KITH_INVALID, "column \"%s\" has %lld rows but no values", path,
                       (long long)from->length);
    size_t straight = entry == 2 || entry == 4 || entry == 8 ? entry : 1;
    if (type != KT_FIXED_BINARY && to->values && (uintptr_t)to->values % straight) {
        size_t bytes = (size_t)(to->offset + from->length + (offsets ? 1 : 0)) * entry;
        uint8_t *copy = kt_batch_block(batch, bytes);
        if (!copy) return kt_fail_memory(error, bytes);
        memcpy(copy, to->values, bytes);
        to->values = copy;
    }
    if (kt_type_is_view(type))
        to->view_buffers = (const uint8_t *const *)(from->buffers + 2);
    else if (expected_buffers(type) == 3)
        to->data = from->buffers[2];
    return KITH_OK;
}

/* The child's rows that rows [row, row + count) of `array` reach. */
static void reach(const struct kt_array *array, int64_t row, int64_t count, int64_t *child_row,
                  int64_t *child_count)
{
    switch (array->field->type) {
    case KT_STRUCT:
        *child_row = array->offset + row;
        *child_count = count;
        break;
    case KT_FIXED_LIST:
        *child_row = (array->offset + row) * array->field->width;
        *child_count = count * array->field->width;
        break;
    default:
        *child_row = count ? kt_offset_at(array, row) : 0;
        *child_count = count ? kt_offset_at(array, row + count) - *child_row : 0;
        break;
    }
}

static kith_status import_array(struct kt_batch *batch, const struct ArrowArray *from, struct kt_array *to,
                                int64_t row, int64_t count, const char *parent, kith_error *error)
{
    char path[PATH];
    snprintf(path, sizeof path, "%s%s%s", parent, *parent ? "." : "", to->field->name);
    bool dictionary = to->field->type == KT_DICTIONARY;
    kith_status status = KITH_OK;

    if (!from) return kt_fail(error, KITH_INVALID, "column \"%s\" is missing from the Arrow array", path);
    status = check_counts(from, to->field, path, error);
    if (status) return status;
    if (row > from->length || count > from->length - row)
        return kt_fail(error, KITH_INVALID, "column \"%s\" has %lld values, %lld are needed", path,
                       (long long)from->length, (long long)(row + count));
    to->length = from->length;
    to->offset = from->offset;
    status = import_buffers(batch, from, to, path, error);
    if (status) return status;

    struct kt_extent extent = { .data = -1 };
    if (kt_type_is_view(to->field->type)) {
        extent.view_count = from->n_buffers - 3;
        extent.views = from->buffers[from->n_buffers - 1];
        if (extent.view_count && !extent.views)
            return kt_fail(error, KITH_INVALID, "column \"%s\" lacks the sizes of its buffers", path);
    }
    if (dictionary) {
        int64_t values = from->dictionary->length;
        status =
            import_array(batch, from->dictionary, &to->children[0], 0, values < 0 ? 0 : values, path, error);
        if (status) return status;
    } else if (to->field->child_count && from->children[0]) {
        to->children[0].length = from->children[0]->length; /* what check_offsets() measures against */
    }
    struct kt_array part = *to;
    part.offset += row;
    part.length = count;
    status = kt_array_check(&part, &extent, path, error);
    for (uint32_t i = 0; !status && !dictionary && i < to->field->child_count; i++) {
        int64_t child_row, child_count;
        reach(to, row, count, &child_row, &child_count);
        status =
            import_array(batch, from->children[i], &to->children[i], child_row, child_count, path, error);
    }
    return status;
}

static kith_status check_top(const struct kt_schema *schema, const struct ArrowArray *from, kith_error *error)
{
    if (from->n_children != schema->count || (schema->count && !from->children))
        return kt_fail(error, KITH_INVALID, "the Arrow batch has %lld columns, its schema %u",
                       (long long)from->n_children, schema->count);
    if (from->length < 0 || from->offset < 0 || from->length > LENGTH_MAX || from->offset > LENGTH_MAX)
        return kt_fail(error, KITH_INVALID, "the Arrow batch has a length of %lld from %lld on",
                       (long long)from->length, (long long)from->offset);
    const uint8_t *validity = from->n_buffers > 0 && from->buffers ? from->buffers[0] : NULL;
    if (validity && from->null_count != 0 &&
        kt_bits_count(validity, from->offset, from->length) != from->length)
        return kt_fail(error, KITH_INVALID,
                       "the Arrow batch has rows that are null as a whole; only columns can be null");
    return KITH_OK;
}

kith_status kt_batch_import(struct kt_schema *schema, struct ArrowArray *from, struct kt_batch **out,
                            kith_error *error)
{
    struct kt_batch *batch = NULL;
    struct import_hold *hold = kt_alloc(sizeof *hold);
    kith_status status;

    if (!hold) {
        if (from->release) from->release(from);
        return kt_fail_memory(error, sizeof *hold);
    }
    *hold = (struct import_hold){ { NULL, import_hold_release }, *from };
    from->release = NULL;
    if (!hold->array.release)
        status = kt_fail(error, KITH_INVALID, "the Arrow batch has been released");
    else
        status = check_top(schema, &hold->array, error);
    if (!status) status = kt_batch_new(schema, hold->array.length, &batch, error);
    if (status) {
        import_hold_release(&hold->hold);
        return status;
    }
    kt_batch_hold(batch, &hold->hold);
    int64_t begin = hold->array.offset, rows = hold->array.length;
    for (uint32_t i = 0; i < schema->count; i++) {
        struct kt_array *column = &batch->columns[i];
        status = import_array(batch, hold->array.children[i], column, begin, rows, "", error);
        if (status) goto out;
        if (rows || !kt_type_offset_bytes(column->field->type)) column->offset += begin;
        column->length = rows;
    }
    *out = batch;
    batch = NULL;
out:
    kt_batch_release(batch);
    return status;
}
