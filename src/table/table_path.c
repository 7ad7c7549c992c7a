/* What an index over values is of: a column, or a field of structs in it, as "a.b.c" names it.
 *
 * Names may have points in them, so each way of cutting the text is tried, a column's own name first. In the
 * log a path stands as names below the column's field id, since fields of structs have no ids of their own.
 * The fields of structs in a list are not led to: such a field has many values in a row.
 */
#include "base/bytes.h"
#include "table/table_private.h"

const struct kt_field *kt_path_field(const struct kt_schema *schema, uint32_t column,
                                     const struct kt_path *path)
{
    const struct kt_field *field = &schema->fields[column];
    for (uint32_t i = 0; i < path->count; i++) field = &field->children[path->steps[i]];
    return field;
}

bool kt_path_is(const struct kt_path *path, const uint32_t *steps, uint32_t count)
{
    return path->count == count && (!count || memcmp(path->steps, steps, count * sizeof *steps) == 0);
}

bool kt_path_text(const struct kt_schema *schema, uint32_t column, const struct kt_path *path,
                  struct kt_buffer *to)
{
    const struct kt_field *field = &schema->fields[column];
    bool fits = kt_buffer_text(to, "%s", field->name);
    for (uint32_t i = 0; i < path->count; i++) {
        field = &field->children[path->steps[i]];
        fits = fits && kt_buffer_text(to, ".%s", field->name);
    }
    return fits;
}

/* ---- in the log */

json_t *kt_path_json(const struct kt_schema *schema, uint32_t column, const struct kt_path *path)
{
    const struct kt_field *field = &schema->fields[column];
    json_t *names = json_array();
    for (uint32_t i = 0; names && i < path->count; i++) {
        field = &field->children[path->steps[i]];
        if (!json_array_append_new(names, json_string(field->name))) continue;
        json_decref(names);
        names = NULL;
    }
    return names;
}

static int child_of(const struct kt_field *field, const char *name)
{
    for (uint32_t i = 0; name && field->type == KT_STRUCT && i < field->child_count; i++)
        if (strcmp(field->children[i].name, name) == 0) return (int)i;
    return -1;
}

bool kt_path_read(const struct kt_field *column, const json_t *names, struct kt_path *out)
{
    *out = (struct kt_path){ 0 };
    if (json_array_size(names) > KT_PATH_STEPS) return false;
    for (size_t i = 0; i < json_array_size(names); i++) {
        int child = child_of(column, json_string_value(json_array_get(names, i)));
        if (child < 0) return false;
        out->steps[out->count++] = (uint32_t)child;
        column = &column->children[child];
    }
    return true;
}

/* ---- as a user names it */

/* What the rest of a name leads to below a field; how far it got is in `path` and `*at`. */
static bool follow(const struct kt_field *field, const char *rest, struct kt_path *path,
                   const struct kt_field **at)
{
    *at = field;
    for (uint32_t i = 0; field->type == KT_STRUCT && i < field->child_count; i++) {
        const struct kt_field *child = &field->children[i];
        size_t size = strlen(child->name);
        if (strncmp(child->name, rest, size) != 0 || (rest[size] && rest[size] != '.')) continue;
        if (path->count == KT_PATH_STEPS) return false;
        path->steps[path->count++] = i;
        if (!rest[size]) return true;
        if (follow(child, rest + size + 1, path, at)) return true;
        path->count--;
    }
    return false;
}

/* What is wrong with "<column>.<rest>", which was followed as far as `at`. */
static kith_status leads_nowhere(const char *name, const struct kt_field *at, kith_error *error)
{
    char type[120];
    kt_field_type_text(at, type, sizeof type);
    if (kt_field_is_vector(at) || at->type == KT_LIST)
        return kt_fail(
            error, KITH_INVALID,
            "\"%.200s\" leads into \"%s\", which is %s: what stands in a list cannot be indexed by "
            "itself",
            name, at->name, type);
    if (at->type == KT_STRUCT)
        return kt_fail(error, KITH_NOT_FOUND, "there is no field \"%.200s\": \"%s\" is %s", name, at->name,
                       type);
    return kt_fail(error, KITH_NOT_FOUND, "there is no field \"%.200s\": \"%s\" is %s and has no fields",
                   name, at->name, type);
}

kith_status kt_path_find(const struct kt_schema *schema, const char *name, int *column, struct kt_path *out,
                         kith_error *error)
{
    const struct kt_field *at = NULL, *farthest = NULL;
    *out = (struct kt_path){ 0 };
    *column = kt_schema_find(schema, name);
    for (uint32_t i = 0; *column < 0 && i < schema->count; i++) {
        const struct kt_field *field = &schema->fields[i];
        size_t size = strlen(field->name);
        if (strncmp(field->name, name, size) != 0 || name[size] != '.') continue;
        if (follow(field, name + size + 1, out, &at)) *column = (int)i;
        farthest = at;
    }
    return *column >= 0 || !farthest ? KITH_OK : leads_nowhere(name, farthest, error);
}
