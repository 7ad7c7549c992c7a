/* Building Arrow: schema and array nodes that free themselves, slices that share a batch, and columns
 * made cell by cell.
 *
 * Each node owns what it was given, and each child can be moved away and released by itself, as the
 * interface demands. A slice is made of shells: copies of the child structs with a later offset, each
 * holding the batch they came from.
 */
#include "arrow_make.h"

#include <stdlib.h>
#include <string.h>

/* ---- schemas ---- */

static void schema_release(struct ArrowSchema *schema)
{
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (schema->children[i]->release) schema->children[i]->release(schema->children[i]);
        free(schema->children[i]);
    }
    if (schema->dictionary) {
        if (schema->dictionary->release) schema->dictionary->release(schema->dictionary);
        free(schema->dictionary);
    }
    free(schema->children);
    free((void *)(uintptr_t)schema->format);
    free((void *)(uintptr_t)schema->name);
    free((void *)(uintptr_t)schema->metadata);
    schema->release = NULL;
}

void cli_schema_make(struct ArrowSchema *out, const char *format, const char *name, int64_t children)
{
    *out = (struct ArrowSchema){
        .format = cli_copy_text(format),
        .name = cli_copy_text(name),
        .flags = ARROW_FLAG_NULLABLE,
        .n_children = children,
        .release = schema_release,
    };
    if (!children) return;
    out->children = cli_alloc((size_t)children * sizeof *out->children);
    for (int64_t i = 0; i < children; i++) out->children[i] = cli_alloc(sizeof *out->children[i]);
}

/* Metadata is a count of pairs, then for each of the two texts its length and bytes: int32s as they lie. */
static size_t metadata_bytes(const char *metadata)
{
    int32_t pairs = 0, length = 0;
    memcpy(&pairs, metadata, sizeof pairs);
    size_t at = sizeof pairs;
    for (int64_t i = 0; i < 2 * (int64_t)pairs; i++) {
        memcpy(&length, metadata + at, sizeof length);
        at += sizeof length + (size_t)length;
    }
    return at;
}

void cli_schema_copy(const struct ArrowSchema *from, struct ArrowSchema *out)
{
    cli_schema_make(out, from->format, from->name ? from->name : "", from->n_children);
    out->flags = from->flags;
    if (from->metadata) {
        size_t bytes = metadata_bytes(from->metadata);
        out->metadata = memcpy(cli_alloc(bytes), from->metadata, bytes);
    }
    for (int64_t i = 0; i < from->n_children; i++) cli_schema_copy(from->children[i], out->children[i]);
    if (from->dictionary) {
        out->dictionary = cli_alloc(sizeof *out->dictionary);
        cli_schema_copy(from->dictionary, out->dictionary);
    }
}

void cli_schema_vector(struct ArrowSchema *out, const char *name, const char *item, int64_t dim)
{
    char format[32];
    snprintf(format, sizeof format, "+w:%lld", (long long)dim);
    cli_schema_make(out, format, name, 1);
    cli_schema_make(out->children[0], item, "item", 0);
}

/* ---- arrays ---- */

struct made { /* what an array of ours holds */
    const void *buffers[3];
    void *owned[3];
    struct mapped *map;
};

static void array_release(struct ArrowArray *array)
{
    struct made *made = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i]->release) array->children[i]->release(array->children[i]);
        free(array->children[i]);
    }
    free(array->children);
    for (int i = 0; i < 3; i++) free(made->owned[i]);
    cli_map_release(made->map);
    free(made);
    array->release = NULL;
}

void cli_array_make(struct ArrowArray *out, int64_t length, int64_t buffers, int64_t children)
{
    struct made *made = cli_alloc(sizeof *made);
    *out = (struct ArrowArray){
        .length = length,
        .n_buffers = buffers,
        .n_children = children,
        .buffers = made->buffers,
        .release = array_release,
        .private_data = made,
    };
    if (!children) return;
    out->children = cli_alloc((size_t)children * sizeof *out->children);
    for (int64_t i = 0; i < children; i++) out->children[i] = cli_alloc(sizeof *out->children[i]);
}

void cli_array_own(struct ArrowArray *array, int64_t buffer, void *block)
{
    struct made *made = array->private_data;
    made->owned[buffer] = block;
    made->buffers[buffer] = block;
}

void cli_array_borrow(struct ArrowArray *array, int64_t buffer, const void *data, struct mapped *map)
{
    struct made *made = array->private_data;
    made->buffers[buffer] = data;
    if (!made->map) made->map = cli_map_share(map);
}

/* ---- slices ---- */

struct shared_batch {
    struct ArrowArray array;
    _Atomic int holders;
};

struct shared_batch *cli_batch_share(struct ArrowArray *take)
{
    struct shared_batch *batch = cli_alloc(sizeof *batch);
    batch->array = *take;
    batch->holders = 1;
    take->release = NULL;
    return batch;
}

void cli_batch_unshare(struct shared_batch *batch)
{
    if (!batch || atomic_fetch_sub(&batch->holders, 1) != 1) return;
    if (batch->array.release) batch->array.release(&batch->array);
    free(batch);
}

int64_t cli_batch_rows(const struct shared_batch *batch)
{
    return batch->array.length;
}

int64_t cli_batch_columns(const struct shared_batch *batch)
{
    return batch->array.n_children;
}

static void shell_release(struct ArrowArray *shell)
{
    cli_batch_unshare(shell->private_data);
    shell->release = NULL;
}

void cli_batch_slice(struct shared_batch *batch, int64_t at, int64_t count, struct ArrowArray *out)
{
    const struct ArrowArray *from = &batch->array;
    cli_array_make(out, count, 1, from->n_children);
    for (int64_t i = 0; i < from->n_children; i++) {
        struct ArrowArray *shell = out->children[i];
        *shell = *from->children[i];
        shell->offset += from->offset + at;
        shell->length = count;
        shell->null_count = shell->null_count == 0 ? 0 : -1;
        shell->private_data = batch;
        shell->release = shell_release;
        atomic_fetch_add(&batch->holders, 1);
    }
}

/* ---- columns, cell by cell ---- */

const char *cli_kind_name(enum cell_kind kind)
{
    switch (kind) {
    case CELL_NONE:
        return "nothing";
    case CELL_BOOL:
        return "true/false";
    case CELL_INT:
        return "whole numbers";
    case CELL_FLOAT:
        return "numbers";
    case CELL_TEXT:
        return "text";
    case CELL_LIST_INT:
        return "lists of whole numbers";
    case CELL_LIST_FLOAT:
    case CELL_LIST_F32:
        return "lists of numbers";
    case CELL_VECTOR:
        return "vectors";
    }
    return "?";
}

static bool is_list(const struct maker *maker)
{
    return maker->kind == CELL_LIST_INT || maker->kind == CELL_LIST_FLOAT || maker->kind == CELL_LIST_F32;
}

void cli_maker_schema(const struct maker *maker, const char *name, struct ArrowSchema *out)
{
    switch (maker->kind) {
    case CELL_BOOL:
        cli_schema_make(out, "b", name, 0);
        return;
    case CELL_INT:
        cli_schema_make(out, "l", name, 0);
        return;
    case CELL_FLOAT:
        cli_schema_make(out, "g", name, 0);
        return;
    case CELL_NONE:
    case CELL_TEXT:
        cli_schema_make(out, "u", name, 0);
        return;
    case CELL_VECTOR:
        cli_schema_vector(out, name, "f", maker->width);
        return;
    case CELL_LIST_INT:
    case CELL_LIST_FLOAT:
    case CELL_LIST_F32:
        cli_schema_make(out, "+l", name, 1);
        cli_schema_make(out->children[0],
                        maker->kind == CELL_LIST_INT     ? "l"
                        : maker->kind == CELL_LIST_FLOAT ? "g"
                                                         : "f",
                        "item", 0);
        return;
    }
}

/* Ends a row. Text and lists note where it ends: offsets are int32, which the readers' batches, cut at
 * some 16 MB, never reach. */
static void end_row(struct maker *maker, bool valid)
{
    char byte = (char)valid;
    cli_text_add(&maker->valid, &byte, 1);
    maker->rows++;
    maker->nulls += !valid;
    if (maker->kind == CELL_TEXT || maker->kind == CELL_NONE) {
        int32_t end = (int32_t)maker->values.size;
        cli_text_add(&maker->offsets, &end, sizeof end);
    } else if (is_list(maker)) {
        int32_t end = (int32_t)maker->items;
        cli_text_add(&maker->offsets, &end, sizeof end);
    }
}

void cli_maker_null(struct maker *maker)
{
    static const int64_t zero = 0;
    if (maker->kind == CELL_BOOL) cli_text_add(&maker->values, &zero, 1);
    if (maker->kind == CELL_INT || maker->kind == CELL_FLOAT)
        cli_text_add(&maker->values, &zero, sizeof zero);
    if (maker->kind == CELL_VECTOR) {
        for (int64_t i = 0; i < maker->width; i++) cli_text_add(&maker->values, &zero, sizeof(float));
    }
    end_row(maker, false);
}

void cli_maker_bool(struct maker *maker, bool value)
{
    char byte = (char)value;
    cli_text_add(&maker->values, &byte, 1);
    end_row(maker, true);
}

void cli_maker_number(struct maker *maker, const struct number *number)
{
    if (maker->kind == CELL_INT) {
        cli_text_add(&maker->values, &number->integer, sizeof number->integer);
    } else {
        cli_text_add(&maker->values, &number->real, sizeof number->real);
    }
    end_row(maker, true);
}

void cli_maker_text(struct maker *maker, const char *text, size_t size)
{
    cli_text_add(&maker->values, text, size);
    end_row(maker, true);
}

void cli_maker_item(struct maker *maker, const struct number *number)
{
    float narrow = (float)number->real;
    if (maker->kind == CELL_LIST_INT) {
        cli_text_add(&maker->values, &number->integer, sizeof number->integer);
    } else if (maker->kind == CELL_LIST_FLOAT) {
        cli_text_add(&maker->values, &number->real, sizeof number->real);
    } else {
        cli_text_add(&maker->values, &narrow, sizeof narrow);
    }
    maker->items++;
}

void cli_maker_end_list(struct maker *maker)
{
    end_row(maker, true);
}

static void *take(struct text *text)
{
    cli_text_reserve(text, 1); // an empty buffer is still a buffer
    void *block = text->data;
    *text = (struct text){ 0 };
    return block;
}

static void *packed(const char *bytes, int64_t count)
{
    uint8_t *bits = cli_alloc((size_t)(count + 7) / 8 + 1);
    for (int64_t i = 0; i < count; i++) {
        if (bytes[i]) bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << (i % 8));
    }
    return bits;
}

/* Our offsets say where rows end; Arrow wants a zero before them. */
static void *offsets_of(const struct maker *maker)
{
    int32_t *offsets = cli_alloc(((size_t)maker->rows + 1) * sizeof *offsets);
    if (maker->rows) memcpy(offsets + 1, maker->offsets.data, (size_t)maker->rows * sizeof *offsets);
    return offsets;
}

void cli_maker_finish(struct maker *maker, struct ArrowArray *out)
{
    int64_t rows = maker->rows;
    bool nested = is_list(maker) || maker->kind == CELL_VECTOR;
    bool text = maker->kind == CELL_TEXT || maker->kind == CELL_NONE;
    cli_array_make(out, rows, maker->kind == CELL_VECTOR ? 1 : text ? 3 : 2, nested);
    out->null_count = maker->nulls;
    if (maker->nulls) cli_array_own(out, 0, packed(maker->valid.data, rows));
    if (text || is_list(maker)) cli_array_own(out, 1, offsets_of(maker));
    if (nested) {
        int64_t items = maker->kind == CELL_VECTOR ? rows * maker->width : maker->items;
        cli_array_make(out->children[0], items, 2, 0);
        cli_array_own(out->children[0], 1, take(&maker->values));
    } else if (maker->kind == CELL_BOOL) {
        cli_array_own(out, 1, packed(maker->values.data, rows));
    } else {
        cli_array_own(out, text ? 2 : 1, take(&maker->values));
    }
    cli_maker_release(maker);
}

void cli_maker_release(struct maker *maker)
{
    cli_text_release(&maker->valid);
    cli_text_release(&maker->values);
    cli_text_release(&maker->offsets);
    *maker = (struct maker){ .kind = maker->kind, .width = maker->width };
}
