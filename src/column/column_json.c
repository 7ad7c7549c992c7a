/* A schema as the log keeps it.
 *
 *   {"fields": [
 *      {"id": 0, "name": "vector", "type": "fixed_size_list", "width": 384, "children": [
 *         {"id": 1, "name": "item", "type": "float32"}]},
 *      {"id": 2, "name": "when", "type": "timestamp", "unit": "us", "timezone": "UTC", "nullable": false}],
 *    "metadata": {"key": "text"}}
 *
 * What is at its usual value is left out: "nullable" true, "scale" 0, "ordered" false, no metadata. The words
 * are those of type_facts in column_schema.c; they may get company but never another meaning.
 *
 * What is read back was under a checksum, which stops accidents and not malice: each value is checked for its
 * kind and range, and the depth is bounded before anything recurses.
 */
#include <string.h>

#include "column/column_private.h"
#include "storage/json.h"

/* ---- writing ---- */

static bool set(json_t *object, const char *key, json_t *value)
{
    return value && json_object_set_new(object, key, value) == 0;
}

static json_t *fields_to_json(const struct kt_field *fields, uint32_t count);

static json_t *field_to_json(const struct kt_field *field)
{
    json_t *json = json_object();
    if (!json) return NULL;
    bool sized =
        field->type == KT_FIXED_LIST || field->type == KT_FIXED_BINARY || field->type == KT_DECIMAL128;
    bool timed = field->type == KT_TIME32 || field->type == KT_TIME64 || field->type == KT_TIMESTAMP ||
                 field->type == KT_DURATION;
    bool fine = set(json, "id", json_integer(field->id)) && set(json, "name", json_string(field->name)) &&
                set(json, "type", json_string(kt_type_name(field->type)));
    if (fine && !field->nullable) fine = set(json, "nullable", json_false());
    if (fine && sized) fine = set(json, "width", json_integer(field->width));
    if (fine && field->scale) fine = set(json, "scale", json_integer(field->scale));
    if (fine && timed) fine = set(json, "unit", json_string(kt_unit_name(field->unit)));
    if (fine && field->timezone) fine = set(json, "timezone", json_string(field->timezone));
    if (fine && field->type == KT_DICTIONARY)
        fine = set(json, "index", json_string(kt_type_name(field->index)));
    if (fine && field->ordered) fine = set(json, "ordered", json_true());
    if (fine && field->child_count)
        fine = set(json, "children", fields_to_json(field->children, field->child_count));
    if (fine && field->metadata) fine = set(json, "metadata", kt_json_copy(field->metadata));
    if (fine) return json;
    json_decref(json);
    return NULL;
}

static json_t *fields_to_json(const struct kt_field *fields, uint32_t count)
{
    json_t *array = json_array();
    for (uint32_t i = 0; array && i < count; i++) {
        if (json_array_append_new(array, field_to_json(&fields[i])) == 0) continue;
        json_decref(array);
        return NULL;
    }
    return array;
}

json_t *kt_schema_to_json(const struct kt_schema *schema)
{
    json_t *json = json_object();
    if (!json) return NULL;
    bool fine = set(json, "fields", fields_to_json(schema->fields, schema->count));
    if (fine && schema->metadata) fine = set(json, "metadata", kt_json_copy(schema->metadata));
    if (fine) return json;
    json_decref(json);
    return NULL;
}

/* ---- reading ---- */

static kith_status bad(kith_error *error, const char *what, const char *name)
{
    return kt_fail(error, KITH_CORRUPT, "the schema in the log is damaged: %s of column \"%s\"", what,
                   name ? name : "?");
}

/* Metadata are an object of texts, or absent. */
static bool metadata_from(const json_t *json, json_t **out)
{
    const char *key;
    json_t *value;
    json_t *from = json_object_get(json, "metadata");
    if (!from) return true;
    if (!json_is_object(from)) return false;
    json_object_foreach(from, key, value) if (!json_is_string(value)) return false;
    *out = kt_json_copy(from); /* whether it could is asked by lacks() */
    return true;
}

/* Whether a part that the JSON has could not be had: memory is out. */
static bool lacks(const json_t *json, const char *key, const void *part)
{
    return !part && json_object_get(json, key);
}

/* An integer that may be absent (then `out` keeps its value) but not of another kind or out of range. */
static bool integer_from(const json_t *json, const char *key, int32_t *out)
{
    const json_t *value = json_object_get(json, key);
    if (!value) return true;
    if (!json_is_integer(value)) return false;
    json_int_t integer = json_integer_value(value);
    *out = (int32_t)integer;
    return integer >= INT32_MIN && integer <= INT32_MAX;
}

static bool unit_from(const json_t *json, enum kt_unit *out)
{
    const char *name = json_string_value(json_object_get(json, "unit"));
    if (!name) return !json_object_get(json, "unit");
    for (int unit = KT_SECOND; unit <= KT_NANOSECOND; unit++) {
        if (strcmp(kt_unit_name((enum kt_unit)unit), name) != 0) continue;
        *out = (enum kt_unit)unit;
        return true;
    }
    return false;
}

static bool text_from(const json_t *json, const char *key, char **out)
{
    const json_t *value = json_object_get(json, key);
    if (!value) return true;
    if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value)) return false;
    *out = kt_strdup(json_string_value(value));
    return true;
}

static kith_status field_from_json(const json_t *json, uint32_t depth, struct kt_field *field,
                                   kith_error *error)
{
    const json_t *children = json_object_get(json, "children");
    const char *type = json_string_value(json_object_get(json, "type"));
    const char *index = json_string_value(json_object_get(json, "index"));
    field->id = -1;
    field->nullable = !json_is_false(json_object_get(json, "nullable"));
    field->ordered = json_is_true(json_object_get(json, "ordered"));
    if (!text_from(json, "name", &field->name) || !json_object_get(json, "name"))
        return bad(error, "name", NULL);
    if (!field->name) return kt_fail_memory(error, json_string_length(json_object_get(json, "name")));
    if (!type || !kt_type_parse(type, &field->type)) return bad(error, "type", field->name);
    if (index && !kt_type_parse(index, &field->index)) return bad(error, "index", field->name);
    if (!integer_from(json, "id", &field->id)) return bad(error, "id", field->name);
    if (!integer_from(json, "width", &field->width)) return bad(error, "width", field->name);
    if (!integer_from(json, "scale", &field->scale)) return bad(error, "scale", field->name);
    if (!unit_from(json, &field->unit)) return bad(error, "unit", field->name);
    if (!text_from(json, "timezone", &field->timezone)) return bad(error, "timezone", field->name);
    if (!metadata_from(json, &field->metadata)) return bad(error, "metadata", field->name);
    if (lacks(json, "timezone", field->timezone) || lacks(json, "metadata", field->metadata))
        return kt_fail_memory(error, 64);
    if (!children) return KITH_OK;
    if (!json_is_array(children) || depth > KT_DEPTH_MAX) return bad(error, "children", field->name);
    field->children = kt_alloc_zero(json_array_size(children), sizeof *field->children);
    if (!field->children) return kt_fail_memory(error, json_array_size(children) * sizeof *field->children);
    for (size_t i = 0; i < json_array_size(children); i++) {
        field->child_count++; /* so that a half-read one is released too */
        kith_status status =
            field_from_json(json_array_get(children, i), depth + 1, &field->children[i], error);
        if (status) return status;
    }
    return KITH_OK;
}

kith_status kt_schema_from_json(const json_t *json, struct kt_schema **out, kith_error *error)
{
    kith_status status = KITH_OK;
    json_t *metadata = NULL;
    struct kt_field root = { 0 };
    const json_t *fields = json_object_get(json, "fields");
    size_t count = json_array_size(fields);

    if (!json_is_array(fields))
        return kt_fail(error, KITH_CORRUPT, "the schema in the log is damaged: it has no fields");
    if (!metadata_from(json, &metadata))
        return kt_fail(error, KITH_CORRUPT, "the schema in the log is damaged: metadata");
    root.children = kt_alloc_zero(count, sizeof *root.children);
    if (lacks(json, "metadata", metadata)) status = kt_fail_memory(error, 64);
    if (!root.children) status = kt_fail_memory(error, count * sizeof *root.children);
    for (size_t i = 0; !status && i < count; i++) {
        root.child_count++;
        status = field_from_json(json_array_get(fields, i), 1, &root.children[i], error);
    }
    if (!status) status = kt_schema_new(root.children, root.child_count, metadata, out, error);
    kt_field_release(&root);
    json_decref(metadata);
    return status;
}
