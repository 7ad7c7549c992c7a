/* Schemas as Arrow IPC writes them: the tables Schema, Field, DictionaryEncoding, KeyValue and one per type.
 *
 * The numbers below are field positions of Arrow's Schema.fbs, whose types are a union: `type_type` says
 * which table `type` refers to. Field metadata carries "kith:id", the number by which the log knows a column;
 * on reading it goes back into kt_field.id, so that nobody sees it twice.
 *
 * Dictionary ids are given in pre-order from 0 when writing. Others number as they like (and let columns
 * share one), so reading returns the ids beside the schema.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "column/ipc_private.h"

enum { SCHEMA_ENDIANNESS, SCHEMA_FIELDS, SCHEMA_METADATA };
enum {
    FIELD_NAME,
    FIELD_NULLABLE,
    FIELD_TYPE_TYPE,
    FIELD_TYPE,
    FIELD_DICTIONARY,
    FIELD_CHILDREN,
    FIELD_METADATA
};
enum { DICTIONARY_ID, DICTIONARY_INDEX, DICTIONARY_ORDERED };
enum { KEY, VALUE };
enum { /* the union Type */
       T_NULL = 1,
       T_INT,
       T_FLOAT,
       T_BINARY,
       T_UTF8,
       T_BOOL,
       T_DECIMAL,
       T_DATE,
       T_TIME,
       T_TIMESTAMP,
       T_INTERVAL,
       T_LIST,
       T_STRUCT,
       T_UNION,
       T_FIXED_BINARY,
       T_FIXED_LIST,
       T_MAP,
       T_DURATION,
       T_LARGE_BINARY,
       T_LARGE_UTF8,
       T_LARGE_LIST,
       T_RUN_END,
       T_BINARY_VIEW,
       T_UTF8_VIEW,
       T_LIST_VIEW,
       T_LARGE_LIST_VIEW,
       T_END
};
static const char id_key[] = "kith:id";

uint32_t kt_ipc_nodes(const struct kt_field *field)
{
    uint32_t nodes = 1;
    if (field->type == KT_DICTIONARY) return nodes;
    for (uint32_t i = 0; i < field->child_count; i++) nodes += kt_ipc_nodes(&field->children[i]);
    return nodes;
}

uint32_t kt_ipc_dictionaries(const struct kt_field *field)
{
    if (field->type == KT_DICTIONARY) return 1;
    uint32_t count = 0;
    for (uint32_t i = 0; i < field->child_count; i++) count += kt_ipc_dictionaries(&field->children[i]);
    return count;
}

const struct kt_field *kt_ipc_dictionary_field(const struct kt_field *fields, uint32_t count,
                                               uint32_t *number)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct kt_field *field = &fields[i];
        if (field->type == KT_DICTIONARY) {
            if ((*number)-- == 0) return field;
        } else if ((field = kt_ipc_dictionary_field(field->children, field->child_count, number))) {
            return field;
        }
    }
    return NULL;
}

/* ---- writing ---- */

static void put_metadata(struct kt_flatbuf_writer *writer, size_t at, json_t *metadata, int32_t id)
{
    const char *key;
    json_t *value;
    static const uint8_t sizes[] = { 4, 4 };
    size_t item = kt_flatbuf_put_vector(writer, at, json_object_size(metadata) + (id >= 0), 4);
    json_object_foreach(metadata, key, value)
    {
        struct kt_flatbuf_slots pair = kt_flatbuf_put_table(writer, item, sizes, 2);
        kt_flatbuf_put_text(writer, pair.at[KEY], key, strlen(key));
        kt_flatbuf_put_text(writer, pair.at[VALUE], json_string_value(value), json_string_length(value));
        item += 4;
    }
    if (id < 0) return;
    char text[16];
    snprintf(text, sizeof text, "%d", id);
    struct kt_flatbuf_slots pair = kt_flatbuf_put_table(writer, item, sizes, 2);
    kt_flatbuf_put_text(writer, pair.at[KEY], id_key, sizeof id_key - 1);
    kt_flatbuf_put_text(writer, pair.at[VALUE], text, strlen(text));
}

static void put_int(struct kt_flatbuf_writer *writer, size_t at, enum kt_type type)
{
    static const int bits[] = { 8, 16, 32, 64 };
    bool is_signed = type <= KT_INT64;
    struct kt_flatbuf_slots slots = kt_flatbuf_put_table(writer, at, (const uint8_t[]){ 4, 1 }, 2);
    kt_flatbuf_put(writer, slots.at[0], bits[(int)type - (int)(is_signed ? KT_INT8 : KT_UINT8)], 4);
    kt_flatbuf_put(writer, slots.at[1], is_signed, 1);
}

/* A type's table of up to three numbers. */
static void put_numbers(struct kt_flatbuf_writer *writer, size_t at, const uint8_t *sizes,
                        const int64_t *values, uint32_t count)
{
    struct kt_flatbuf_slots slots = kt_flatbuf_put_table(writer, at, sizes, count);
    for (uint32_t i = 0; i < count; i++) kt_flatbuf_put(writer, slots.at[i], values[i], sizes[i]);
}

static int type_number(enum kt_type type)
{
    switch (type) {
    case KT_NULL:
        return T_NULL;
    case KT_BOOL:
        return T_BOOL;
    case KT_FLOAT16:
    case KT_FLOAT32:
    case KT_FLOAT64:
        return T_FLOAT;
    case KT_DECIMAL128:
        return T_DECIMAL;
    case KT_UTF8:
        return T_UTF8;
    case KT_LARGE_UTF8:
        return T_LARGE_UTF8;
    case KT_BINARY:
        return T_BINARY;
    case KT_LARGE_BINARY:
        return T_LARGE_BINARY;
    case KT_FIXED_BINARY:
        return T_FIXED_BINARY;
    case KT_DATE32:
    case KT_DATE64:
        return T_DATE;
    case KT_TIME32:
    case KT_TIME64:
        return T_TIME;
    case KT_TIMESTAMP:
        return T_TIMESTAMP;
    case KT_DURATION:
        return T_DURATION;
    case KT_FIXED_LIST:
        return T_FIXED_LIST;
    case KT_LIST:
        return T_LIST;
    case KT_LARGE_LIST:
        return T_LARGE_LIST;
    case KT_STRUCT:
        return T_STRUCT;
    case KT_UTF8_VIEW:
        return T_UTF8_VIEW;
    case KT_BINARY_VIEW:
        return T_BINARY_VIEW;
    default:
        return T_INT;
    }
}

static void put_type(struct kt_flatbuf_writer *writer, size_t at, const struct kt_field *field)
{
    static const uint8_t two[] = { 2 }, four[] = { 4 }, time[] = { 2, 4 }, decimal[] = { 4, 4, 4 };
    switch (type_number(field->type)) {
    case T_INT:
        put_int(writer, at, field->type);
        break;
    case T_FLOAT:
        put_numbers(writer, at, two, (const int64_t[]){ (int)field->type - KT_FLOAT16 }, 1);
        break;
    case T_DECIMAL:
        put_numbers(writer, at, decimal, (const int64_t[]){ field->width, field->scale, 128 }, 3);
        break;
    case T_DATE:
        put_numbers(writer, at, two, (const int64_t[]){ field->type == KT_DATE64 }, 1);
        break;
    case T_TIME:
        put_numbers(writer, at, time, (const int64_t[]){ field->unit, field->type == KT_TIME32 ? 32 : 64 },
                    2);
        break;
    case T_DURATION:
        put_numbers(writer, at, two, (const int64_t[]){ field->unit }, 1);
        break;
    case T_FIXED_BINARY:
    case T_FIXED_LIST:
        put_numbers(writer, at, four, (const int64_t[]){ field->width }, 1);
        break;
    case T_TIMESTAMP: {
        bool zone = field->timezone && *field->timezone;
        struct kt_flatbuf_slots slots =
            kt_flatbuf_put_table(writer, at, (const uint8_t[]){ 2, zone ? 4 : 0 }, 2);
        kt_flatbuf_put(writer, slots.at[0], field->unit, 2);
        if (zone) kt_flatbuf_put_text(writer, slots.at[1], field->timezone, strlen(field->timezone));
        break;
    }
    default:
        kt_flatbuf_put_table(writer, at, NULL, 0);
        break;
    }
}

static void put_field(struct kt_flatbuf_writer *writer, size_t at, const struct kt_field *field,
                      int64_t *dictionary)
{
    bool coded = field->type == KT_DICTIONARY;
    const struct kt_field *value = coded ? &field->children[0] : field;
    bool described = field->metadata || field->id >= 0;
    const uint8_t sizes[] = { 4, 1, 1, 4, coded ? 4 : 0, 4, described ? 4 : 0 };
    struct kt_flatbuf_slots slots = kt_flatbuf_put_table(writer, at, sizes, sizeof sizes);
    kt_flatbuf_put_text(writer, slots.at[FIELD_NAME], field->name, strlen(field->name));
    kt_flatbuf_put(writer, slots.at[FIELD_NULLABLE], field->nullable, 1);
    kt_flatbuf_put(writer, slots.at[FIELD_TYPE_TYPE], type_number(value->type), 1);
    put_type(writer, slots.at[FIELD_TYPE], value);
    if (coded) {
        struct kt_flatbuf_slots encoding =
            kt_flatbuf_put_table(writer, slots.at[FIELD_DICTIONARY], (const uint8_t[]){ 8, 4, 1 }, 3);
        kt_flatbuf_put(writer, encoding.at[DICTIONARY_ID], (*dictionary)++, 8);
        kt_flatbuf_put(writer, encoding.at[DICTIONARY_ORDERED], field->ordered, 1);
        put_int(writer, encoding.at[DICTIONARY_INDEX], field->index);
    }
    size_t item = kt_flatbuf_put_vector(writer, slots.at[FIELD_CHILDREN], coded ? 0 : field->child_count, 4);
    for (uint32_t i = 0; !coded && i < field->child_count; i++)
        put_field(writer, item + 4 * (size_t)i, &field->children[i], dictionary);
    if (described) put_metadata(writer, slots.at[FIELD_METADATA], field->metadata, field->id);
}

void kt_ipc_put_schema(struct kt_flatbuf_writer *writer, size_t at, const struct kt_field *const *fields,
                       uint32_t count, json_t *metadata)
{
    int64_t dictionary = 0;
    const uint8_t sizes[] = { 2, 4, metadata ? 4 : 0 };
    struct kt_flatbuf_slots slots = kt_flatbuf_put_table(writer, at, sizes, sizeof sizes);
    size_t item = kt_flatbuf_put_vector(writer, slots.at[SCHEMA_FIELDS], count, 4);
    for (uint32_t i = 0; i < count; i++) put_field(writer, item + 4 * (size_t)i, fields[i], &dictionary);
    if (metadata) put_metadata(writer, slots.at[SCHEMA_METADATA], metadata, -1);
}

/* ---- reading ---- */

struct ids {
    int64_t *ids;
    uint32_t count;
};

static bool get_metadata(struct kt_flatbuf *from, struct kt_flatbuf_table table, uint32_t field, json_t **out,
                         int32_t *id)
{
    struct kt_flatbuf_vector pairs = kt_flatbuf_vector(from, table, field, 4);
    for (uint32_t i = 0; i < pairs.count && !from->bad; i++) {
        struct kt_flatbuf_table pair = kt_flatbuf_item(from, pairs, i);
        uint32_t key_size, value_size;
        const char *key = kt_flatbuf_text(from, pair, KEY, &key_size);
        const char *value = kt_flatbuf_text(from, pair, VALUE, &value_size);
        if (!kt_flatbuf_spend(from, 8) || !key) continue;
        if (id && key_size == sizeof id_key - 1 && memcmp(key, id_key, key_size) == 0 && value_size < 11) {
            char number[12] = { 0 };
            memcpy(number, value ? value : "", value_size);
            *id = (int32_t)strtol(number, NULL, 10);
        } else if (!kt_metadata_add(out, key, key_size, value ? value : "", value_size)) {
            return false;
        }
    }
    return true;
}

static enum kt_type int_type(struct kt_flatbuf *from, struct kt_flatbuf_table table)
{
    bool is_signed = kt_flatbuf_integer(from, table, 1, 1, 0) != 0;
    switch (kt_flatbuf_integer(from, table, 0, 4, 0)) {
    case 8:
        return is_signed ? KT_INT8 : KT_UINT8;
    case 16:
        return is_signed ? KT_INT16 : KT_UINT16;
    case 32:
        return is_signed ? KT_INT32 : KT_UINT32;
    case 64:
        return is_signed ? KT_INT64 : KT_UINT64;
    default:
        from->bad = true;
        return KT_NULL;
    }
}

static bool small_text(const char *text, uint32_t count, char **out)
{
    *out = kt_alloc((size_t)count + 1);
    if (!*out) return false;
    if (count) memcpy(*out, text, count);
    (*out)[count] = '\0';
    return true;
}

static bool get_unit(struct kt_flatbuf *from, struct kt_flatbuf_table type, int64_t absent, enum kt_unit *out)
{
    int64_t unit = kt_flatbuf_integer(from, type, 0, 2, absent);
    *out = (enum kt_unit)unit;
    return unit >= KT_SECOND && unit <= KT_NANOSECOND;
}

/* The types that are a word and nothing else. */
static const enum kt_type simple_types[T_END] = {
    [T_BOOL] = KT_BOOL,
    [T_UTF8] = KT_UTF8,
    [T_LARGE_UTF8] = KT_LARGE_UTF8,
    [T_BINARY] = KT_BINARY,
    [T_LARGE_BINARY] = KT_LARGE_BINARY,
    [T_LIST] = KT_LIST,
    [T_LARGE_LIST] = KT_LARGE_LIST,
    [T_STRUCT] = KT_STRUCT,
    [T_UTF8_VIEW] = KT_UTF8_VIEW,
    [T_BINARY_VIEW] = KT_BINARY_VIEW,
};

/* False when Kith does not know the type; from->bad when it is malformed. */
static bool get_type(struct kt_flatbuf *from, int64_t number, struct kt_flatbuf_table type,
                     struct kt_field *to)
{
    int64_t value;
    if (number <= 0 || number >= T_END) return false;
    switch (number) {
    case T_NULL:
        to->type = KT_NULL;
        return true;
    case T_INT:
        to->type = int_type(from, type);
        return true;
    case T_FLOAT:
        value = kt_flatbuf_integer(from, type, 0, 2, 0);
        to->type = value == 0 ? KT_FLOAT16 : value == 1 ? KT_FLOAT32 : KT_FLOAT64;
        return value >= 0 && value <= 2;
    case T_DECIMAL:
        to->type = KT_DECIMAL128;
        to->width = (int32_t)kt_flatbuf_integer(from, type, 0, 4, 0);
        to->scale = (int32_t)kt_flatbuf_integer(from, type, 1, 4, 0);
        return kt_flatbuf_integer(from, type, 2, 4, 128) == 128;
    case T_DATE:
        to->type = kt_flatbuf_integer(from, type, 0, 2, 1) ? KT_DATE64 : KT_DATE32;
        return true;
    case T_TIME:
        value = kt_flatbuf_integer(from, type, 1, 4, 32);
        to->type = value == 32 ? KT_TIME32 : KT_TIME64;
        return get_unit(from, type, 1, &to->unit) && (value == 32 || value == 64);
    case T_DURATION:
        to->type = KT_DURATION;
        return get_unit(from, type, 1, &to->unit);
    case T_TIMESTAMP:
        to->type = KT_TIMESTAMP;
        return get_unit(from, type, 0, &to->unit);
    case T_FIXED_BINARY:
    case T_FIXED_LIST:
        to->type = number == T_FIXED_LIST ? KT_FIXED_LIST : KT_FIXED_BINARY;
        to->width = (int32_t)kt_flatbuf_integer(from, type, 0, 4, 0);
        return true;
    default:
        to->type = simple_types[number];
        return to->type != KT_NULL;
    }
}

static kith_status get_fields(struct kt_flatbuf *from, struct kt_flatbuf_vector vector, uint32_t depth,
                              struct ids *ids, struct kt_field *parent, kith_error *error);

static bool is_name(const char *text, uint32_t count)
{
    return !memchr(text ? text : "", 0, count) && kt_utf8_valid((const uint8_t *)text, count);
}

static kith_status damaged(kith_error *error)
{
    return kt_fail(error, KITH_CORRUPT, "the Arrow schema is damaged");
}

static kith_status get_zone(struct kt_flatbuf *from, struct kt_flatbuf_table type, struct kt_field *to,
                            kith_error *error)
{
    uint32_t count;
    const char *zone = kt_flatbuf_text(from, type, 1, &count);
    if (!zone || !count) return KITH_OK;
    if (!is_name(zone, count)) return damaged(error);
    return small_text(zone, count, &to->timezone) ? KITH_OK : kt_fail_memory(error, count);
}

/* Makes a field that was read as its value type a dictionary of it. */
static kith_status get_dictionary(struct kt_flatbuf *from, struct kt_flatbuf_table encoding, struct ids *ids,
                                  struct kt_field *to, kith_error *error)
{
    char *none = kt_strdup("");
    struct kt_field *value = kt_alloc_zero(1, sizeof *value);
    int64_t *more = kt_realloc_array(ids->ids, (size_t)ids->count + 1, sizeof *more);
    if (more) ids->ids = more;
    if (!none || !value || !more) {
        kt_free(none);
        kt_free(value);
        return kt_fail_memory(error, sizeof *value);
    }
    ids->ids[ids->count++] = kt_flatbuf_integer(from, encoding, DICTIONARY_ID, 8, 0);
    *value = (struct kt_field){ .name = none,
                                .id = -1,
                                .nullable = true,
                                .type = to->type,
                                .width = to->width,
                                .scale = to->scale,
                                .unit = to->unit,
                                .timezone = to->timezone,
                                .children = to->children,
                                .child_count = to->child_count };
    struct kt_flatbuf_table index = kt_flatbuf_table(from, encoding, DICTIONARY_INDEX);
    to->type = KT_DICTIONARY;
    to->index = index.at ? int_type(from, index) : KT_INT32;
    to->ordered = kt_flatbuf_integer(from, encoding, DICTIONARY_ORDERED, 1, 0) != 0;
    to->width = to->scale = 0;
    to->unit = KT_SECOND;
    to->timezone = NULL;
    to->children = value;
    to->child_count = 1;
    return KITH_OK;
}

static kith_status get_field(struct kt_flatbuf *from, struct kt_flatbuf_table table, uint32_t depth,
                             struct ids *ids, struct kt_field *to, kith_error *error)
{
    uint32_t count;
    const char *name = kt_flatbuf_text(from, table, FIELD_NAME, &count);
    if (!kt_flatbuf_spend(from, 64) || !is_name(name, count)) return damaged(error);
    if (!small_text(name, count, &to->name)) return kt_fail_memory(error, count);
    to->id = -1;
    to->nullable = kt_flatbuf_integer(from, table, FIELD_NULLABLE, 1, 0) != 0;
    int64_t number = kt_flatbuf_integer(from, table, FIELD_TYPE_TYPE, 1, 0);
    struct kt_flatbuf_table type = kt_flatbuf_table(from, table, FIELD_TYPE);
    if (!get_type(from, number, type, to))
        return from->bad ? damaged(error)
                         : kt_fail(error, KITH_TYPE,
                                   "column \"%s\" is of an Arrow type (number %lld) that cannot be stored; "
                                   "cast it first",
                                   to->name, (long long)number);
    if (!get_metadata(from, table, FIELD_METADATA, &to->metadata, &to->id)) return kt_fail_memory(error, 64);
    struct kt_flatbuf_table encoding = kt_flatbuf_table(from, table, FIELD_DICTIONARY);
    kith_status status = to->type == KT_TIMESTAMP ? get_zone(from, type, to, error) : KITH_OK;
    if (status) return status;
    if (encoding.at) {
        bool nested = to->type == KT_STRUCT || to->type == KT_LIST || to->type == KT_LARGE_LIST ||
                      to->type == KT_FIXED_LIST;
        if (nested)
            return kt_fail(error, KITH_TYPE,
                           "column \"%s\" is a dictionary of nested values, which cannot be stored",
                           to->name);
        status = get_dictionary(from, encoding, ids, to, error);
    } else {
        status =
            get_fields(from, kt_flatbuf_vector(from, table, FIELD_CHILDREN, 4), depth + 1, ids, to, error);
    }
    return !status && from->bad ? damaged(error) : status;
}

static kith_status get_fields(struct kt_flatbuf *from, struct kt_flatbuf_vector vector, uint32_t depth,
                              struct ids *ids, struct kt_field *parent, kith_error *error)
{
    if (depth > KT_DEPTH_MAX) return kt_fail(error, KITH_TYPE, "a column is nested deeper than 32 levels");
    if (from->bad) return damaged(error);
    if (!vector.count) return KITH_OK;
    if (!kt_flatbuf_spend(from, (uint64_t)vector.count * 4)) return damaged(error);
    parent->children = kt_alloc_zero(vector.count, sizeof *parent->children);
    if (!parent->children) return kt_fail_memory(error, vector.count * sizeof *parent->children);
    for (uint32_t i = 0; i < vector.count; i++) {
        parent->child_count++; /* so that a half-read one is released too */
        kith_status status =
            get_field(from, kt_flatbuf_item(from, vector, i), depth, ids, &parent->children[i], error);
        if (status) return status;
    }
    return KITH_OK;
}

kith_status kt_ipc_get_schema(struct kt_flatbuf *from, struct kt_flatbuf_table table, struct kt_schema **out,
                              int64_t **ids_out, uint32_t *id_count, kith_error *error)
{
    struct kt_field root = { 0 };
    struct ids ids = { 0 };
    kith_status status;
    if (kt_flatbuf_integer(from, table, SCHEMA_ENDIANNESS, 2, 0) != 0) {
        status = kt_fail(error, KITH_UNSUPPORTED, "the Arrow data are big-endian");
        goto out;
    }
    status = get_fields(from, kt_flatbuf_vector(from, table, SCHEMA_FIELDS, 4), 1, &ids, &root, error);
    if (!status && !get_metadata(from, table, SCHEMA_METADATA, &root.metadata, NULL))
        status = kt_fail_memory(error, 64);
    if (!status && from->bad) status = damaged(error);
    if (!status) status = kt_schema_new(root.children, root.child_count, root.metadata, out, error);
    if (status) goto out;
    *ids_out = ids.ids;
    *id_count = ids.count;
    ids.ids = NULL;
out:
    kt_field_release(&root);
    kt_free(ids.ids);
    return status;
}
