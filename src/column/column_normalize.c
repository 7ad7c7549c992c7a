/* The schema that a table stores, from the schema that a user brings.
 *
 * Producers choose forms for reasons of their own: Polars sends views and large lists, pandas 8-bit
 * dictionaries, Python lists of floats. A table keeps one plain form of each, with room to grow: dictionary
 * indices become int32, so that the 129th distinct value of a column that began with few is not an error.
 *
 * Lists of numbers in a column named like a vector become vectors, as LanceDB's users expect: of the
 * commonest length among the first rows; of uint8 when they are integers in 0..255, of float16 when they are
 * that, else of float32. (Floats stay floats even when whole: [1.0, 2.0] means a float vector.) Without rows
 * to look at, a list stays a list.
 *
 * "ARROW:extension:name" says what a storage type means; it is kept, except where the storage became another
 * one.
 */
#include <ctype.h>
#include <string.h>

#include "column/column_private.h"

/* ---- names ---- */

static kith_status check_names(const struct kt_schema *schema, kith_error *error)
{
    if (!schema->count) return kt_fail(error, KITH_INVALID, "the schema has no columns");
    for (uint32_t i = 0; i < schema->count; i++) {
        const char *name = schema->fields[i].name;
        if (!*name) return kt_fail(error, KITH_INVALID, "column number %u has no name", i);
        if (strchr(name, '.'))
            return kt_fail(error, KITH_INVALID,
                           "the name \"%s\" contains '.', which separates the fields of structs", name);
        if (strcmp(name, "_rowid") == 0 || strcmp(name, "_distance") == 0)
            return kt_fail(error, KITH_INVALID, "the name \"%s\" is reserved: results use it", name);
        if (kt_schema_find(schema, name) != (int)i)
            return kt_fail(error, KITH_INVALID, "two columns are named \"%s\"", name);
    }
    return KITH_OK;
}

/* Fields of structs, which are matched by name too. */
static kith_status check_children(const struct kt_field *field, kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < field->child_count; i++) {
        for (uint32_t k = 0; field->type == KT_STRUCT && k < i; k++)
            if (strcmp(field->children[k].name, field->children[i].name) == 0)
                return kt_fail(error, KITH_INVALID, "column \"%s\" has two fields named \"%s\"", field->name,
                               field->children[i].name);
        status = check_children(&field->children[i], error);
    }
    return status;
}

static bool named_like_a_vector(const char *name)
{
    static const char *const words[] = { "vector", "embedding" };
    for (const char *at = name; *at; at++)
        for (int w = 0; w < 2; w++) {
            size_t i = 0;
            while (words[w][i] && tolower((unsigned char)at[i]) == words[w][i]) i++;
            if (!words[w][i]) return true;
        }
    return false;
}

/* ---- lists that are vectors ---- */

static int64_t item_begin(const struct kt_array *list, int64_t row)
{
    return list->field->type == KT_FIXED_LIST ? (list->offset + row) * list->field->width
                                              : kt_offset_at(list, row);
}

static int64_t item_end(const struct kt_array *list, int64_t row)
{
    return list->field->type == KT_FIXED_LIST ? item_begin(list, row) + list->field->width
                                              : kt_offset_at(list, row + 1);
}

/* The commonest length among the rows that are not null, the first met of equals; -1 without any. */
static int64_t commonest_length(const struct kt_array *list)
{
    enum { CANDIDATES = 64 }; /* lengths counted; a column with more of them is no vector column anyway */
    int64_t lengths[CANDIDATES], counts[CANDIDATES], best = -1;
    int known = 0;
    for (int64_t row = 0; row < list->length; row++) {
        if (kt_array_null(list, row)) continue;
        int64_t length = item_end(list, row) - item_begin(list, row);
        int i = 0;
        while (i < known && lengths[i] != length) i++;
        if (i == CANDIDATES) continue;
        if (i == known) {
            lengths[known] = length;
            counts[known++] = 0;
        }
        counts[i]++;
    }
    int64_t most = 0;
    for (int i = 0; i < known; i++) {
        if (counts[i] <= most || lengths[i] == 0) continue;
        most = counts[i];
        best = lengths[i];
    }
    return best;
}

static bool all_in_byte(const struct kt_array *list)
{
    const struct kt_array *items = &list->children[0];
    for (int64_t row = 0; row < list->length; row++) {
        if (kt_array_null(list, row)) continue;
        for (int64_t at = item_begin(list, row); at < item_end(list, row); at++) {
            if (kt_array_null(items, at)) continue;
            int64_t value = kt_array_integer(items, at); /* a huge uint64 is negative here */
            if (value < 0 || value > 255) return false;
        }
    }
    return true;
}

static bool is_list_of_numbers(const struct kt_field *field)
{
    if (field->type != KT_LIST && field->type != KT_FIXED_LIST) return false;
    return kt_type_is_integer(field->children[0].type) || kt_type_is_float(field->children[0].type);
}

static void make_vector(struct kt_field *field, const struct kt_array *first)
{
    if (!is_list_of_numbers(field) || kt_field_is_vector(field) || !named_like_a_vector(field->name) ||
        !first)
        return;
    int64_t width = commonest_length(first);
    struct kt_field *item = &field->children[0];
    if (width < 1 || width > KT_WIDTH_MAX) return;
    if (kt_type_is_integer(item->type))
        item->type = all_in_byte(first) ? KT_UINT8 : KT_FLOAT32;
    else if (item->type != KT_FLOAT16)
        item->type = KT_FLOAT32;
    field->type = KT_FIXED_LIST;
    field->width = (int32_t)width;
    if (!field->metadata) return;
    json_object_del(field->metadata, "ARROW:extension:name");
    json_object_del(field->metadata, "ARROW:extension:metadata");
}

/* ---- the door ---- */

static void widen_dictionaries(struct kt_field *field)
{
    if (field->type == KT_DICTIONARY) field->index = KT_INT32;
    for (uint32_t i = 0; i < field->child_count; i++) widen_dictionaries(&field->children[i]);
}

void kt_field_give_ids(struct kt_field *field, int32_t *next)
{
    field->id = (*next)++;
    if (field->type == KT_DICTIONARY)
        field->children[0].id = -1; /* a dictionary's value is no field of its own */
    for (uint32_t i = 0; field->type != KT_DICTIONARY && i < field->child_count; i++)
        kt_field_give_ids(&field->children[i], next);
}

int32_t kt_field_next_id(const struct kt_field *field, int32_t least)
{
    if (field->id >= least) least = field->id + 1;
    for (uint32_t i = 0; i < field->child_count; i++) least = kt_field_next_id(&field->children[i], least);
    return least;
}

kith_status kt_schema_normalize(const struct kt_schema *from, const struct kt_batch *first,
                                struct kt_schema **out, kith_error *error)
{
    struct kt_schema *schema = NULL;
    int32_t next = 0;
    kith_status status = check_names(from, error);
    if (!status) status = kt_schema_new(from->fields, from->count, from->metadata, &schema, error);
    if (status) goto out;
    for (uint32_t i = 0; !status && i < schema->count; i++) {
        struct kt_field *field = &schema->fields[i];
        kt_field_make_plain(field);
        widen_dictionaries(field);
        make_vector(field, first ? &first->columns[i] : NULL);
        kt_field_give_ids(field, &next);
        status = check_children(field, error);
        if (!status && kt_field_is_vector(field) && !field->width)
            status = kt_fail(error, KITH_INVALID, "column \"%s\" holds vectors of no numbers", field->name);
    }
    if (status) goto out;
    *out = schema;
    schema = NULL;
out:
    kt_schema_release(schema);
    return status;
}
