/* Changing types: a batch as another schema wants it.
 *
 * Columns are matched by name. What has the same type already shares its buffers; what differs is converted
 * only where no value is lost, which is checked value by value, and a failure names column, row and value.
 * Floats may round (a double becomes the nearest float) but not overflow. The kinds of thing stay apart: text
 * is never parsed, booleans are not numbers, numbers are not times.
 *
 * A vector column is looked at even where nothing changes: a NaN or an infinity in it would poison every
 * distance. What happens then is kith_bad_vectors. Rows to be dropped are collected while the columns are
 * cast, and the result is copied without them at the end; that is rare, so it may cost a copy.
 *
 * Each type's conversion is a function of (array, wired array); this file chooses among them and does
 * structs.
 *   column_cast_number.c   numbers, times
 *   column_cast_decimal.c  decimals
 *   column_cast_text.c     text, binary, dictionaries
 *   column_cast_list.c     lists, vectors
 *
 * Always true here: an array that was converted begins at offset 0; one that was adopted keeps its own
 * offset.
 */
#include <stdio.h>
#include <string.h>

#include "column/column_cast_private.h"

/* ---- help for all conversions ---- */

kith_status kt_cast_memory(struct cast *cast)
{
    return kt_fail(cast->error, KITH_NO_MEMORY, "out of memory while column \"%s\" was converted",
                   cast->column);
}

kith_status kt_cast_refuse(struct cast *cast, const struct kt_field *from, const struct kt_field *to)
{
    char given[160], wanted[160];
    kt_field_type_text(from, given, sizeof given);
    kt_field_type_text(to, wanted, sizeof wanted);
    return kt_fail(cast->error, KITH_TYPE, "column \"%s\" is %s; %s does not become that unasked",
                   cast->column, wanted, given);
}

const char *kt_cast_row(const struct cast *cast, int64_t row, char text[40])
{
    if (!cast->aligned) return "an item";
    snprintf(text, 40, "row %llu", (unsigned long long)cast->options.first_row + (unsigned long long)row);
    return text;
}

void *kt_cast_block(struct cast *cast, int64_t count, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow((size_t)count, size, &bytes) ? NULL : kt_batch_block(cast->out, bytes);
}

bool kt_cast_validity(struct cast *cast, const struct kt_array *from, const uint8_t **out)
{
    *out = NULL;
    if (!from->validity) return true;
    uint8_t *bits = kt_cast_block(cast, (from->length + 7) / 8, 1);
    if (!bits) return false;
    if (from->length) bits[(from->length - 1) / 8] = 0;
    kt_bits_copy(bits, 0, from->validity, from->offset, from->length);
    *out = bits;
    return true;
}

bool kt_cast_drop(struct cast *cast, int64_t row)
{
    if (!cast->dropped) {
        size_t bytes = (size_t)(cast->out->rows + 7) / 8;
        cast->dropped = kt_alloc_zero(bytes, 1);
        if (!cast->dropped) return false;
    }
    kt_bit_set(cast->dropped, (uint64_t)row);
    return true;
}

kith_status kt_cast_nulls(struct cast *cast, int64_t count, struct kt_array *to)
{
    struct kt_schema *schema = NULL;
    struct kt_builder *builder = NULL;
    struct kt_batch *nulls = NULL;
    kith_status status = kt_schema_new(to->field, 1, NULL, &schema, cast->error);
    if (!status) status = kt_builder_new(schema, count, &builder, cast->error);
    if (!status) status = kt_builder_append_nulls(builder, 0, count, cast->error);
    if (status) goto out;
    status = kt_builder_finish(builder, &nulls, cast->error);
    builder = NULL;
    if (!status) status = kt_batch_hold_batch(cast->out, nulls, cast->error);
    if (!status) kt_array_adopt(to, &nulls->columns[0]);
out:
    kt_builder_free(builder);
    kt_batch_release(nulls);
    kt_schema_release(schema);
    return status;
}

/* ---- structs ---- */

static int child_of(const struct kt_field *field, const char *name)
{
    for (uint32_t i = 0; i < field->child_count; i++)
        if (strcmp(field->children[i].name, name) == 0) return (int)i;
    return -1;
}

static kith_status missing(struct cast *cast, int64_t count, struct kt_array *to)
{
    if (to->field->nullable || !count) return kt_cast_nulls(cast, count, to);
    return kt_fail(cast->error, KITH_TYPE, "column \"%s\" is missing and must not be null", cast->column);
}

static kith_status cast_struct(struct cast *cast, const struct kt_array *from, struct kt_array *to)
{
    const char *outer = cast->column;
    char path[200];
    kith_status status = KITH_OK;
    for (uint32_t i = 0; i < from->field->child_count; i++)
        if (child_of(to->field, from->field->children[i].name) < 0)
            return kt_fail(cast->error, KITH_INVALID, "column \"%s\" has no field \"%s\"", outer,
                           from->field->children[i].name);
    if (!kt_cast_validity(cast, from, &to->validity)) return kt_cast_memory(cast);
    to->length = from->length;
    for (uint32_t i = 0; !status && i < to->field->child_count; i++) {
        int at = child_of(from->field, to->field->children[i].name);
        snprintf(path, sizeof path, "%s.%s", outer, to->field->children[i].name);
        cast->column = path;
        if (at < 0) {
            status = missing(cast, from->length, &to->children[i]);
        } else {
            struct kt_array part = from->children[at];
            part.offset += from->offset;
            part.length = from->length;
            status = kt_cast_array(cast, &part, &to->children[i]);
        }
    }
    cast->column = outer;
    return status;
}

/* ---- one array ---- */

static bool is_bytes(const struct kt_field *field)
{
    return kt_type_is_text(field->type) || kt_type_is_binary(field->type) || field->type == KT_FIXED_BINARY;
}

static bool is_list(const struct kt_field *field)
{
    return field->type == KT_LIST || field->type == KT_LARGE_LIST || field->type == KT_FIXED_LIST;
}

static kith_status convert(struct cast *cast, const struct kt_array *from, struct kt_array *to)
{
    const struct kt_field *given = from->field, *wanted = to->field;
    bool nothing = given->type == KT_NULL || wanted->type == KT_NULL;
    if (nothing && kt_array_null_count(from) == from->length) return kt_cast_nulls(cast, from->length, to);
    if (wanted->type == KT_DICTIONARY) return kt_cast_dictionary(cast, from, to);
    if (given->type == KT_DICTIONARY) return kt_cast_decode(cast, from, to);
    if (is_bytes(given) && is_bytes(wanted)) return kt_cast_bytes(cast, from, to);
    if (kt_can_cast_number(given, wanted)) return kt_cast_number(cast, from, to);
    if (kt_can_cast_time(given, wanted)) return kt_cast_time(cast, from, to);
    if (kt_can_cast_decimal(given, wanted)) return kt_cast_decimal(cast, from, to);
    if (is_list(given) && wanted->type == KT_LIST) return kt_cast_list(cast, from, to);
    if (is_list(given) && wanted->type == KT_FIXED_LIST) return kt_cast_fixed_list(cast, from, to);
    if (given->type == KT_STRUCT && wanted->type == KT_STRUCT) return cast_struct(cast, from, to);
    return kt_cast_refuse(cast, given, wanted);
}

/* Whether anything below a field wants a look although its type is right: vectors, and values that must be
 * there. */
static bool wants_look(const struct cast *cast, const struct kt_field *field)
{
    if (field->type != KT_STRUCT || cast->trusting) return false;
    for (uint32_t i = 0; i < field->child_count; i++)
        if (!field->children[i].nullable || kt_field_is_vector(&field->children[i]) ||
            wants_look(cast, &field->children[i]))
            return true;
    return false;
}

kith_status kt_cast_array(struct cast *cast, const struct kt_array *from, struct kt_array *to)
{
    kith_status status = KITH_OK;
    if (!kt_field_same_type(from->field, to->field) || wants_look(cast, to->field))
        status = convert(cast, from, to);
    else
        kt_array_adopt(to, from);
    if (status || cast->trusting) return status;
    if (cast->aligned && kt_field_is_vector(to->field)) status = kt_cast_vectors(cast, to);
    if (status || to->field->nullable || !cast->aligned || to->field->type == KT_NULL) return status;
    for (int64_t row = 0; (to->validity || to->field->type == KT_DICTIONARY) && row < to->length; row++) {
        char text[40];
        if (cast->dropped && kt_bit(cast->dropped, (uint64_t)row)) continue;
        if (kt_array_null(to, row))
            return kt_fail(cast->error, KITH_INVALID, "column \"%s\" must not be null, %s is", cast->column,
                           kt_cast_row(cast, row, text));
    }
    return KITH_OK;
}

/* ---- batches ---- */

static kith_status check_known(const struct kt_batch *batch, const struct kt_schema *to, kith_error *error)
{
    for (uint32_t i = 0; i < batch->schema->count; i++) {
        struct kt_buffer names = { 0 };
        const char *name = batch->schema->fields[i].name;
        if (kt_schema_find(batch->schema, name) != (int)i) /* which of them was meant, nobody knows */
            return kt_fail(error, KITH_INVALID, "two columns of the data are named \"%.200s\"", name);
        if (kt_schema_find(to, name) >= 0) continue;
        for (uint32_t k = 0; k < to->count && names.size < 500; k++)
            if (!kt_buffer_text(&names, "%s\"%s\"", k ? ", " : "", to->fields[k].name)) break;
        kith_status status = kt_fail(error, KITH_INVALID,
                                     "field \"%s\" does not exist in the table schema; its columns are %s",
                                     name, names.data ? (const char *)names.data : "none");
        kt_buffer_release(&names);
        return status;
    }
    return KITH_OK;
}

static kith_status without_dropped(struct kt_batch *batch, const uint8_t *dropped, struct kt_batch **out,
                                   kith_error *error)
{
    struct kt_builder *builder = NULL;
    kith_status status = kt_builder_new(batch->schema, batch->rows, &builder, error);
    for (int64_t row = 0; !status && row < batch->rows;) {
        int64_t end = row;
        while (end < batch->rows && !kt_bit(dropped, (uint64_t)end)) end++;
        for (uint32_t i = 0; !status && i < batch->schema->count; i++)
            status = kt_builder_append(builder, i, &batch->columns[i], row, end - row, error);
        row = end + 1;
    }
    if (!status) return kt_builder_finish(builder, out, error);
    kt_builder_free(builder);
    return status;
}

static kith_status cast_columns(struct cast *cast, const struct kt_batch *batch)
{
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < cast->out->schema->count; i++) {
        struct kt_array *to = &cast->out->columns[i];
        int at = kt_schema_find(batch->schema, to->field->name);
        cast->column = to->field->name;
        status = at < 0 ? missing(cast, batch->rows, to) : kt_cast_array(cast, &batch->columns[at], to);
    }
    return status;
}

kith_status kt_batch_cast(const struct kt_batch *batch, struct kt_schema *to, const struct kt_cast *options,
                          struct kt_batch **out, kith_error *error)
{
    struct cast cast = { .aligned = true, .error = error };
    struct kt_batch *made = NULL;
    if (options) cast.options = *options;
    kith_status status = check_known(batch, to, error);
    if (!status) status = kt_batch_new(to, batch->rows, &made, error);
    if (!status) status = kt_batch_hold_batch(made, batch, error);
    if (status) goto out;
    cast.out = made;
    status = cast_columns(&cast, batch);
    if (status) goto out;
    if (cast.dropped) {
        status = without_dropped(made, cast.dropped, out, error);
    } else {
        *out = made;
        made = NULL;
    }
out:
    kt_free(cast.dropped);
    kt_batch_release(made);
    return status;
}

kith_status kt_batch_plain(const struct kt_batch *batch, struct kt_schema *plain, struct kt_batch **out,
                           kith_error *error)
{
    struct cast cast = { .aligned = true, .trusting = true, .error = error };
    if (plain == batch->schema) {
        *out = kt_batch_share(batch);
        return KITH_OK;
    }
    kith_status status = kt_batch_new(plain, batch->rows, &cast.out, error);
    if (!status) status = kt_batch_hold_batch(cast.out, batch, error);
    for (uint32_t i = 0; !status && i < plain->count; i++) { /* by number: names may repeat here */
        cast.column = plain->fields[i].name;
        status = kt_cast_array(&cast, &batch->columns[i], &cast.out->columns[i]);
    }
    if (status)
        kt_batch_release(cast.out);
    else
        *out = cast.out;
    return status;
}
