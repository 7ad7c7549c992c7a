/* Fields and schemas: a small tree of types, immutable once it is in a schema.
 *
 * Only the shape lives here; the three ways to write it down are elsewhere (column_json.c for the log,
 * column_import.c and column_export.c for the C interface, ipc_schema.c for flatbuffers). All of them end in
 * kt_fields_check(), so that no field of a kt_schema has a width, unit or number of children that its type
 * does not allow, and none is nested deeper than KT_DEPTH_MAX. Whoever walks a field may recurse.
 *
 * Always true here:
 *   - a name is never NULL (others leave the item of a list without one; it is "" here);
 *   - the children of a list are one, of a dictionary one, of other types but KT_STRUCT none;
 *   - metadata are copied, so that nobody changes a schema through the object it was made from.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "column/column_private.h"
#include "storage/json.h"

static const struct type_fact {
    const char *name;  /* in the log */
    const char *shown; /* in messages: the words of pyarrow, which is where users read them */
    uint8_t value_bytes;
    uint8_t entry_bytes;
    uint8_t offset_bytes;
} type_facts[] = {
    [KT_NULL] = { "null", "null", 0, 0, 0 },
    [KT_BOOL] = { "bool", "bool", 0, 0, 0 },
    [KT_INT8] = { "int8", "int8", 1, 1, 0 },
    [KT_INT16] = { "int16", "int16", 2, 2, 0 },
    [KT_INT32] = { "int32", "int32", 4, 4, 0 },
    [KT_INT64] = { "int64", "int64", 8, 8, 0 },
    [KT_UINT8] = { "uint8", "uint8", 1, 1, 0 },
    [KT_UINT16] = { "uint16", "uint16", 2, 2, 0 },
    [KT_UINT32] = { "uint32", "uint32", 4, 4, 0 },
    [KT_UINT64] = { "uint64", "uint64", 8, 8, 0 },
    [KT_FLOAT16] = { "float16", "halffloat", 2, 2, 0 },
    [KT_FLOAT32] = { "float32", "float", 4, 4, 0 },
    [KT_FLOAT64] = { "float64", "double", 8, 8, 0 },
    [KT_DECIMAL128] = { "decimal128", "decimal128", 16, 16, 0 },
    [KT_UTF8] = { "utf8", "string", 0, 4, 4 },
    [KT_LARGE_UTF8] = { "large_utf8", "large_string", 0, 8, 8 },
    [KT_BINARY] = { "binary", "binary", 0, 4, 4 },
    [KT_LARGE_BINARY] = { "large_binary", "large_binary", 0, 8, 8 },
    [KT_FIXED_BINARY] = { "fixed_size_binary", "fixed_size_binary", 0, 0, 0 }, /* its width */
    [KT_DATE32] = { "date32", "date32", 4, 4, 0 },
    [KT_DATE64] = { "date64", "date64", 8, 8, 0 },
    [KT_TIME32] = { "time32", "time32", 4, 4, 0 },
    [KT_TIME64] = { "time64", "time64", 8, 8, 0 },
    [KT_TIMESTAMP] = { "timestamp", "timestamp", 8, 8, 0 },
    [KT_DURATION] = { "duration", "duration", 8, 8, 0 },
    [KT_FIXED_LIST] = { "fixed_size_list", "fixed_size_list", 0, 0, 0 },
    [KT_LIST] = { "list", "list", 0, 4, 4 },
    [KT_STRUCT] = { "struct", "struct", 0, 0, 0 },
    [KT_DICTIONARY] = { "dictionary", "dictionary", 0, 0, 0 }, /* its index */
    [KT_LARGE_LIST] = { "large_list", "large_list", 0, 8, 8 },
    [KT_UTF8_VIEW] = { "utf8_view", "string_view", 0, 16, 0 },
    [KT_BINARY_VIEW] = { "binary_view", "binary_view", 0, 16, 0 },
};
enum { TYPE_COUNT = sizeof type_facts / sizeof type_facts[0] };

static const char *const unit_names[] = { "s", "ms", "us", "ns" };

bool kt_type_is_text(enum kt_type type)
{
    return type == KT_UTF8 || type == KT_LARGE_UTF8 || type == KT_UTF8_VIEW;
}

bool kt_type_is_binary(enum kt_type type)
{
    return type == KT_BINARY || type == KT_LARGE_BINARY || type == KT_BINARY_VIEW;
}

bool kt_type_is_view(enum kt_type type)
{
    return type == KT_UTF8_VIEW || type == KT_BINARY_VIEW;
}

bool kt_type_is_integer(enum kt_type type)
{
    return type >= KT_INT8 && type <= KT_UINT64;
}

bool kt_type_is_float(enum kt_type type)
{
    return type >= KT_FLOAT16 && type <= KT_FLOAT64;
}

uint32_t kt_type_offset_bytes(enum kt_type type)
{
    return type_facts[type].offset_bytes;
}

uint32_t kt_field_value_bytes(const struct kt_field *field)
{
    return field->type == KT_FIXED_BINARY ? (uint32_t)field->width : type_facts[field->type].value_bytes;
}

uint32_t kt_field_entry_bytes(const struct kt_field *field)
{
    if (field->type == KT_FIXED_BINARY) return (uint32_t)field->width;
    return type_facts[field->type == KT_DICTIONARY ? field->index : field->type].entry_bytes;
}

const char *kt_type_name(enum kt_type type)
{
    return type_facts[type].name;
}

bool kt_type_parse(const char *name, enum kt_type *out)
{
    for (int i = 0; i < TYPE_COUNT; i++) {
        if (strcmp(type_facts[i].name, name) != 0) continue;
        *out = (enum kt_type)i;
        return true;
    }
    return false;
}

const char *kt_unit_name(enum kt_unit unit)
{
    return unit_names[unit];
}

/* ---- fields ---- */

void kt_field_release(struct kt_field *field)
{
    for (uint32_t i = 0; i < field->child_count; i++) kt_field_release(&field->children[i]);
    kt_free(field->children);
    kt_free(field->name);
    kt_free(field->timezone);
    json_decref(field->metadata);
    *field = (struct kt_field){ 0 };
}

bool kt_field_copy(struct kt_field *to, const struct kt_field *from)
{
    *to = *from;
    to->children = NULL;
    to->child_count = 0;
    to->timezone = NULL;
    to->metadata = NULL;
    to->name = kt_strdup(from->name ? from->name : "");
    if (!to->name) goto fail;
    if (from->timezone && !(to->timezone = kt_strdup(from->timezone))) goto fail;
    if (from->metadata && !(to->metadata = kt_json_copy(from->metadata))) goto fail;
    if (from->child_count) {
        to->children = kt_alloc_zero(from->child_count, sizeof *to->children);
        if (!to->children) goto fail;
        for (; to->child_count < from->child_count; to->child_count++)
            if (!kt_field_copy(&to->children[to->child_count], &from->children[to->child_count])) goto fail;
    }
    return true;
fail:
    kt_field_release(to);
    return false;
}

uint32_t kt_field_nodes(const struct kt_field *field)
{
    uint32_t nodes = 1;
    for (uint32_t i = 0; i < field->child_count; i++) nodes += kt_field_nodes(&field->children[i]);
    return nodes;
}

static bool same_text(const char *a, const char *b)
{
    return (a && *a ? strcmp(a, b ? b : "") == 0 : !b || !*b);
}

static bool is_time(enum kt_type type)
{
    return type == KT_TIME32 || type == KT_TIME64 || type == KT_TIMESTAMP || type == KT_DURATION;
}

bool kt_field_same_type(const struct kt_field *a, const struct kt_field *b)
{
    if (a == b) return true;
    if (a->type != b->type || a->child_count != b->child_count) return false;
    bool sized = a->type == KT_FIXED_LIST || a->type == KT_FIXED_BINARY || a->type == KT_DECIMAL128;
    if (sized && a->width != b->width) return false;
    if (a->type == KT_DECIMAL128 && a->scale != b->scale) return false;
    if (is_time(a->type) && a->unit != b->unit) return false;
    if (a->type == KT_TIMESTAMP && !same_text(a->timezone, b->timezone)) return false;
    if (a->type == KT_DICTIONARY && a->index != b->index) return false;
    for (uint32_t i = 0; i < a->child_count; i++) {
        if (a->type == KT_STRUCT && strcmp(a->children[i].name, b->children[i].name) != 0) return false;
        if (!kt_field_same_type(&a->children[i], &b->children[i])) return false;
    }
    return true;
}

bool kt_field_is_vector(const struct kt_field *field)
{
    if (field->type != KT_FIXED_LIST) return false;
    enum kt_type item = field->children[0].type;
    return kt_type_is_float(item) || item == KT_INT8 || item == KT_UINT8;
}

kith_element kt_field_element(const struct kt_field *vector_field)
{
    switch (vector_field->children[0].type) {
    case KT_FLOAT16:
        return KITH_F16;
    case KT_FLOAT64:
        return KITH_F64;
    case KT_INT8:
        return KITH_I8;
    case KT_UINT8:
        return KITH_U8;
    default:
        return KITH_F32;
    }
}

const char *kt_field_fault(const struct kt_field *field)
{
    bool one_child = field->type == KT_FIXED_LIST || field->type == KT_LIST || field->type == KT_LARGE_LIST ||
                     field->type == KT_DICTIONARY;
    if (one_child && field->child_count != 1) return "needs exactly one child";
    if (!one_child && field->type != KT_STRUCT && field->child_count) return "cannot have children";
    switch (field->type) {
    case KT_FIXED_LIST:
    case KT_FIXED_BINARY:
        if (field->width < 0 || field->width > KT_WIDTH_MAX) return "has a size that is not in 0..1048576";
        break;
    case KT_DECIMAL128:
        if (field->width < 1 || field->width > 38) return "has a precision that is not in 1..38";
        break;
    case KT_TIME32:
        if (field->unit > KT_MILLISECOND) return "must count seconds or milliseconds";
        break;
    case KT_TIME64:
        if (field->unit < KT_MICROSECOND || field->unit > KT_NANOSECOND)
            return "must count microseconds or nanoseconds";
        break;
    case KT_TIMESTAMP:
    case KT_DURATION:
        if (field->unit > KT_NANOSECOND) return "has an unknown unit";
        break;
    case KT_DICTIONARY:
        if (!kt_type_is_integer(field->index)) return "must have integer indices";
        if (field->children[0].child_count) return "has values that are nested";
        break;
    default:
        break;
    }
    return NULL;
}

static kith_status check_below(const struct kt_field *fields, uint32_t count, uint32_t depth,
                               kith_error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        const char *fault =
            depth > KT_DEPTH_MAX ? "is nested deeper than 32 levels" : kt_field_fault(&fields[i]);
        if (fault)
            return kt_fail(error, KITH_TYPE, "column \"%s\" of type %s %s", fields[i].name,
                           type_facts[fields[i].type].shown, fault);
        kith_status status = check_below(fields[i].children, fields[i].child_count, depth + 1, error);
        if (status) return status;
    }
    return KITH_OK;
}

kith_status kt_fields_check(const struct kt_field *fields, uint32_t count, kith_error *error)
{
    return check_below(fields, count, 1, error);
}

/* ---- the plain form ---- */

static bool decodes(const struct kt_field *field)
{
    return field->type == KT_DICTIONARY && !kt_type_is_text(field->children[0].type);
}

bool kt_field_is_plain(const struct kt_field *field)
{
    if (kt_type_is_view(field->type) || field->type == KT_LARGE_LIST || decodes(field)) return false;
    for (uint32_t i = 0; i < field->child_count; i++)
        if (!kt_field_is_plain(&field->children[i])) return false;
    return true;
}

void kt_field_make_plain(struct kt_field *field)
{
    if (decodes(field)) { /* becomes its own value */
        struct kt_field value = field->children[0];
        kt_free(field->children);
        field->children = NULL;
        field->child_count = 0;
        field->type = value.type;
        field->width = value.width;
        field->scale = value.scale;
        field->unit = value.unit;
        field->ordered = false;
        kt_free(field->timezone);
        field->timezone = value.timezone;
        value.timezone = NULL;
        kt_field_release(&value);
    }
    if (field->type == KT_UTF8_VIEW) field->type = KT_UTF8;
    if (field->type == KT_BINARY_VIEW) field->type = KT_BINARY;
    if (field->type == KT_LARGE_LIST) field->type = KT_LIST;
    for (uint32_t i = 0; i < field->child_count; i++) kt_field_make_plain(&field->children[i]);
}

kith_status kt_schema_plain(const struct kt_schema *from, struct kt_schema **out, kith_error *error)
{
    bool plain = true;
    for (uint32_t i = 0; i < from->count; i++) plain = plain && kt_field_is_plain(&from->fields[i]);
    if (plain) {
        *out = kt_schema_share(from);
        return KITH_OK;
    }
    kith_status status = kt_schema_new(from->fields, from->count, from->metadata, out, error);
    if (status) return status;
    for (uint32_t i = 0; i < from->count; i++) kt_field_make_plain(&(*out)->fields[i]);
    return KITH_OK;
}

/* ---- schemas ---- */

struct kt_schema *kt_schema_share(const struct kt_schema *schema)
{
    struct kt_schema *shared = (struct kt_schema *)(uintptr_t)schema; /* only the count changes */
    atomic_fetch_add_explicit(&shared->references, 1, memory_order_relaxed);
    return shared;
}

void kt_schema_release(struct kt_schema *schema)
{
    if (!schema || atomic_fetch_sub_explicit(&schema->references, 1, memory_order_acq_rel) != 1) return;
    for (uint32_t i = 0; i < schema->count; i++) kt_field_release(&schema->fields[i]);
    kt_free(schema->fields);
    json_decref(schema->metadata);
    kt_free(schema);
}

kith_status kt_schema_new(const struct kt_field *fields, uint32_t count, json_t *metadata,
                          struct kt_schema **out, kith_error *error)
{
    struct kt_schema *schema = NULL;
    kith_status status = kt_fields_check(fields, count, error);
    if (status) return status;
    schema = kt_alloc_zero(1, sizeof *schema);
    if (!schema) return kt_fail_memory(error, sizeof *schema);
    atomic_init(&schema->references, 1);
    schema->fields = kt_alloc_zero(count, sizeof *schema->fields);
    if (!schema->fields) goto memory;
    if (metadata && !(schema->metadata = kt_json_copy(metadata))) goto memory;
    for (; schema->count < count; schema->count++)
        if (!kt_field_copy(&schema->fields[schema->count], &fields[schema->count])) goto memory;
    *out = schema;
    return KITH_OK;
memory:
    kt_schema_release(schema);
    return kt_fail_memory(error, count * sizeof(struct kt_field));
}

int kt_schema_find(const struct kt_schema *schema, const char *name)
{
    for (uint32_t i = 0; i < schema->count; i++)
        if (strcmp(schema->fields[i].name, name) == 0) return (int)i;
    return -1;
}

bool kt_metadata_add(json_t **metadata, const char *key, size_t key_size, const char *value,
                     size_t value_size)
{
    if (memchr(key, 0, key_size) || !kt_utf8_valid((const uint8_t *)key, key_size) ||
        !kt_utf8_valid((const uint8_t *)value, value_size))
        return true;
    if (!*metadata && !(*metadata = json_object())) return false;
    json_t *text = json_stringn(value, value_size);
    return text && json_object_setn_new(*metadata, key, key_size, text) == 0;
}

/* ---- for messages ---- */

struct text {
    char *to;
    size_t size, at;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...)
{
    va_list arguments;
    if (text->at + 1 >= text->size) return;
    va_start(arguments, format);
    int count = vsnprintf(text->to + text->at, text->size - text->at, format, arguments);
    va_end(arguments);
    if (count > 0) text->at += (size_t)count;
    if (text->at >= text->size) text->at = text->size - 1;
}

static void put_type(struct text *text, const struct kt_field *field)
{
    put(text, "%s", type_facts[field->type].shown);
    if (is_time(field->type)) put(text, "[%s", unit_names[field->unit]);
    if (field->type == KT_TIMESTAMP && field->timezone && *field->timezone)
        put(text, ", %s", field->timezone);
    if (is_time(field->type)) put(text, "]");
    if (field->type == KT_DECIMAL128) put(text, "(%d, %d)", field->width, field->scale);
    if (field->child_count) put(text, "<");
    for (uint32_t i = 0; i < field->child_count; i++) {
        if (i) put(text, ", ");
        if (field->type == KT_STRUCT) put(text, "%s: ", field->children[i].name);
        put_type(text, &field->children[i]);
    }
    if (field->child_count) put(text, ">");
    if (field->type == KT_FIXED_LIST || field->type == KT_FIXED_BINARY) put(text, "[%d]", field->width);
}

void kt_field_type_text(const struct kt_field *field, char *to, size_t size)
{
    struct text text = { to, size, 0 };
    if (!size) return;
    to[0] = '\0';
    put_type(&text, field);
}
