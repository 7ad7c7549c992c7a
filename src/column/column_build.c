/* Building batches: rows of other arrays, nulls and plain values, appended column by column.
 *
 * It is the one way to concatenate, to take rows and to merge dictionaries. Two shapes of use must be fast:
 * ten rows of a search result, each from another place (a call is a type switch and a copy of a few bytes),
 * and a whole batch (one memcpy per buffer, vectors included).
 *
 * A bitmap of nulls does not exist until the first null comes; then it is made with ones for all before it.
 * Blocks grow by doubling and end up owned by the batch as they are.
 *
 * A dictionary column keeps a map of the texts met, and its own indices: each value appended is looked up by
 * its text. Remembering which dictionary came last would save that, but a dictionary is known by its address
 * only, and addresses are used again; so a translation is made per call, for calls that append more rows than
 * the dictionary has values, and by row else.
 *
 * Always true here:
 *   - a node's `validity`, when there, has a bit for each of its `length` values; its children have the
 * lengths that its type asks for;
 *   - offsets begin with 0, so that a node with offsets has `length + 1` of them.
 */
#include <string.h>

#include "column/column_private.h"

struct grow { /* a block that grows */
    uint8_t *data;
    size_t size, capacity;
};

struct build_node {
    const struct kt_field *field;
    int64_t length;
    int64_t bits; /* capacity of validity, in bits */
    uint8_t *validity;
    struct grow values, data;
    struct kt_text_map texts;    /* KT_DICTIONARY */
    struct build_node *children; /* but not that of a dictionary */
};

struct kt_builder {
    struct kt_schema *schema;
    struct build_node *columns;
    struct build_node nodes[];
};

/* ---- blocks ---- */

static bool grow_slow(struct grow *grow, size_t extra)
{
    size_t needed, capacity = grow->capacity * 2;
    if (__builtin_add_overflow(grow->size, extra, &needed)) return false;
    if (capacity < needed) capacity = needed;
    if (capacity < 64) capacity = 64;
    uint8_t *data = kt_block_new(capacity);
    if (!data) return false;
    if (grow->size) memcpy(data, grow->data, grow->size);
    kt_block_free(grow->data);
    grow->data = data;
    grow->capacity = capacity;
    return true;
}

static inline bool grow_reserve(struct grow *grow, size_t extra)
{
    return (grow->data && extra <= grow->capacity - grow->size) || grow_slow(grow, extra);
}

static inline bool grow_append(struct grow *grow, const void *bytes, size_t count)
{
    if (!grow_reserve(grow, count)) return false;
    uint8_t *to = grow->data + grow->size;
    if (count == 4)
        memcpy(to, bytes, 4);
    else if (count == 8)
        memcpy(to, bytes, 8);
    else if (count && bytes)
        memcpy(to, bytes, count);
    else if (count)
        memset(to, 0, count);
    grow->size += count;
    return true;
}

static bool grow_zeros(struct grow *grow, size_t count)
{
    if (!grow_reserve(grow, count)) return false;
    if (count) memset(grow->data + grow->size, 0, count);
    grow->size += count;
    return true;
}

/* Room for `count` more bits of a bitmap that holds `length`; new ones are not set. */
static bool bits_reserve(uint8_t **bits, int64_t *capacity, int64_t length, int64_t count)
{
    if (length + count <= *capacity) return true;
    int64_t wanted =
        (int64_t)kt_round_up(kt_max_u64((uint64_t)(length + count), 2 * (uint64_t)*capacity), 512);
    uint8_t *block = kt_block_new((size_t)wanted / 8);
    if (!block) return false;
    memset(block, 0, (size_t)wanted / 8);
    if (*bits) memcpy(block, *bits, (size_t)(length + 7) / 8);
    kt_block_free(*bits);
    *bits = block;
    *capacity = wanted;
    return true;
}

/* ---- nodes ---- */

static bool has_nodes_below(const struct kt_field *field)
{
    return field->child_count && field->type != KT_DICTIONARY;
}

static uint64_t node_count(const struct kt_field *field)
{
    uint64_t count = 1;
    if (!has_nodes_below(field)) return count;
    for (uint32_t i = 0; i < field->child_count; i++) count += node_count(&field->children[i]);
    return count;
}

static struct build_node *node_wire(struct build_node *node, const struct kt_field *field,
                                    struct build_node *room)
{
    node->field = field;
    if (!has_nodes_below(field)) return room;
    node->children = room;
    struct build_node *next = room + field->child_count;
    for (uint32_t i = 0; i < field->child_count; i++) next = node_wire(&room[i], &field->children[i], next);
    return next;
}

static void node_release(struct build_node *node)
{
    kt_block_free(node->validity);
    kt_block_free(node->values.data);
    kt_block_free(node->data.data);
    kt_text_map_release(&node->texts);
    if (has_nodes_below(node->field))
        for (uint32_t i = 0; i < node->field->child_count; i++) node_release(&node->children[i]);
}

/* The first reservation is the expected one, so that most builders never move their bytes. */
static bool node_reserve(struct build_node *node, int64_t rows)
{
    uint32_t offsets = kt_type_offset_bytes(node->field->type), entry = kt_field_entry_bytes(node->field);
    size_t bytes = entry                          ? ((size_t)rows + (offsets ? 1 : 0)) * entry
                   : node->field->type == KT_BOOL ? (size_t)rows / 8 + 1
                                                  : 0;
    if (bytes && !grow_reserve(&node->values, bytes)) return false;
    if (offsets) grow_zeros(&node->values, offsets);
    if (!has_nodes_below(node->field)) return true;
    int64_t below = node->field->type == KT_FIXED_LIST ? rows * node->field->width : offsets ? 0 : rows;
    for (uint32_t i = 0; i < node->field->child_count; i++)
        if (!node_reserve(&node->children[i], below)) return false;
    return true;
}

/* ---- appending ---- */

static kith_status memory_out(kith_error *error)
{
    return kt_fail(error, KITH_NO_MEMORY, "out of memory while rows were collected");
}

/* Notes `count` more values of which those at from_at.. of `from` are null; from NULL: none is. */
static bool mark(struct build_node *node, const uint8_t *from, int64_t from_at, int64_t count)
{
    if (!from && !node->validity) return true;
    bool fresh = !node->validity;
    if (!bits_reserve(&node->validity, &node->bits, node->length, count)) return false;
    if (fresh) kt_bits_fill(node->validity, 0, node->length, true);
    if (!from)
        kt_bits_fill(node->validity, node->length, count, true);
    else if (count == 1 && kt_bit(from, (uint64_t)from_at))
        kt_bit_set(node->validity, (uint64_t)node->length);
    else if (count == 1)
        kt_bit_clear(node->validity, (uint64_t)node->length);
    else
        kt_bits_copy(node->validity, node->length, from, from_at, count);
    return true;
}

static bool mark_nulls(struct build_node *node, int64_t count)
{
    bool fresh = !node->validity;
    if (!bits_reserve(&node->validity, &node->bits, node->length, count)) return false;
    if (fresh) kt_bits_fill(node->validity, 0, node->length, true);
    kt_bits_fill(node->validity, node->length, count, false);
    return true;
}

static bool append_bits(struct build_node *node, const uint8_t *from, int64_t from_at, int64_t count)
{
    size_t bytes = (size_t)(node->length + count + 7) / 8;
    if (bytes > node->values.size && !grow_zeros(&node->values, bytes - node->values.size)) return false;
    if (from) kt_bits_copy(node->values.data, node->length, from, from_at, count);
    return true;
}

static kith_status too_long(const struct build_node *node, kith_error *error)
{
    return kt_fail(
        error, KITH_INVALID,
        "column \"%s\" would hold more than 2^31 - 1 %s in one batch; use its large type or fewer rows",
        node->field->name, node->field->child_count ? "items" : "bytes");
}

/* Appends offsets for rows whose own are `offsets`; they go on from where the node's end. */
static kith_status append_offsets(struct build_node *node, const struct kt_array *from, int64_t row,
                                  int64_t count, kith_error *error)
{
    uint32_t size = kt_type_offset_bytes(node->field->type);
    if (!grow_reserve(&node->values, (size_t)count * size)) return memory_out(error);
    uint8_t *to = node->values.data + node->values.size;
    if (size == 4) {
        const int32_t *in = (const int32_t *)(const void *)from->values + (from->offset + row);
        int32_t *out = (int32_t *)(void *)to, last = out[-1];
        if (in[count] - in[0] > INT32_MAX - last) return too_long(node, error);
        for (int64_t i = 0; i < count; i++) out[i] = in[i + 1] - in[0] + last;
    } else {
        const int64_t *in = (const int64_t *)(const void *)from->values + (from->offset + row);
        int64_t *out = (int64_t *)(void *)to, last = out[-1];
        for (int64_t i = 0; i < count; i++) out[i] = in[i + 1] - in[0] + last;
    }
    node->values.size += (size_t)count * size;
    return KITH_OK;
}

static bool put_index(struct build_node *node, int64_t index)
{
    return grow_append(&node->values, &index,
                       kt_field_entry_bytes(node->field)); /* little-endian: the low bytes */
}

static int64_t index_limit(enum kt_type type)
{
    switch (type) {
    case KT_INT8:
        return INT8_MAX;
    case KT_UINT8:
        return UINT8_MAX;
    case KT_INT16:
        return INT16_MAX;
    case KT_UINT16:
        return UINT16_MAX;
    default:
        return INT32_MAX;
    }
}

/* The number of a dictionary's value in the node's own; *index is -1 when that value is null. */
static kith_status translate(struct build_node *node, const struct kt_array *values, int64_t value,
                             int64_t *index, kith_error *error)
{
    int64_t size;
    *index = -1;
    if (kt_array_null(values, value)) return KITH_OK;
    const uint8_t *text = kt_array_bytes(values, value, &size);
    *index = kt_text_map_add(&node->texts, text, size);
    if (*index < 0) return memory_out(error);
    if (*index > index_limit(node->field->index))
        return kt_fail(error, KITH_INVALID,
                       "column \"%s\" would have more distinct values than its %s indices can count",
                       node->field->name, kt_type_name(node->field->index));
    return KITH_OK;
}

static kith_status append_dictionary(struct build_node *node, const struct kt_array *from, int64_t row,
                                     int64_t count, kith_error *error)
{
    const struct kt_array *values = &from->children[0];
    kith_status status = KITH_OK;
    int64_t *table = NULL;
    if (count > 1 && values->length <= count) {
        table = kt_alloc_array((size_t)values->length, sizeof *table);
        if (!table) return memory_out(error);
        for (int64_t i = 0; i < values->length; i++) table[i] = -2;
    }
    for (int64_t i = row; !status && i < row + count; i++) {
        int64_t own = -1;
        if (!from->validity || kt_bit(from->validity, (uint64_t)(from->offset + i))) {
            int64_t index = kt_array_integer(from, i);
            if (table && table[index] != -2)
                own = table[index];
            else
                status = translate(node, values, index, &own, error);
            if (table) table[index] = own;
        }
        if (status) break;
        bool marked = own < 0 ? mark_nulls(node, 1) : mark(node, NULL, 0, 1);
        if (!marked || !put_index(node, own < 0 ? 0 : own)) status = memory_out(error);
        node->length++;
    }
    kt_free(table);
    return status;
}

static kith_status append_rows(struct build_node *node, const struct kt_array *from, int64_t row,
                               int64_t count, kith_error *error);

static kith_status append_children(struct build_node *node, const struct kt_array *from, int64_t row,
                                   int64_t count, kith_error *error)
{
    kith_status status = KITH_OK;
    int64_t at = from->offset + row;
    if (node->field->type == KT_FIXED_LIST)
        return append_rows(&node->children[0], &from->children[0], at * node->field->width,
                           count * node->field->width, error);
    if (kt_type_offset_bytes(node->field->type)) {
        int64_t first = kt_offset_at(from, row), last = kt_offset_at(from, row + count);
        return append_rows(&node->children[0], &from->children[0], first, last - first, error);
    }
    for (uint32_t i = 0; !status && i < node->field->child_count; i++)
        status = append_rows(&node->children[i], &from->children[i], at, count, error);
    return status;
}

static kith_status append_rows(struct build_node *node, const struct kt_array *from, int64_t row,
                               int64_t count, kith_error *error)
{
    enum kt_type type = node->field->type;
    int64_t at = from->offset + row;
    uint32_t entry = kt_field_entry_bytes(node->field);
    kith_status status = KITH_OK;

    if (count == 0) return KITH_OK;
    if (type == KT_DICTIONARY) return append_dictionary(node, from, row, count, error);
    if (!mark(node, from->validity, at, count)) return memory_out(error);
    if (type == KT_BOOL) {
        if (!append_bits(node, from->values, at, count)) return memory_out(error);
    } else if (kt_type_offset_bytes(type)) {
        if (!node->field->child_count) {
            int64_t first = kt_offset_at(from, row), last = kt_offset_at(from, row + count);
            if (!grow_append(&node->data, from->data ? from->data + first : NULL, (size_t)(last - first)))
                return memory_out(error);
        }
        status = append_offsets(node, from, row, count, error);
    } else if (entry) {
        if (!grow_append(&node->values, from->values + at * entry, (size_t)count * entry))
            return memory_out(error);
    }
    if (!status && node->field->child_count) status = append_children(node, from, row, count, error);
    node->length += count;
    return status;
}

static kith_status append_nulls(struct build_node *node, int64_t count, kith_error *error);

/* The items of a null fixed list: zeros where they can be, because a vector column without a bitmap over its
 * numbers is the one that is read as it lies. */
static kith_status append_hidden(struct build_node *node, int64_t count, kith_error *error)
{
    size_t bytes = kt_field_value_bytes(node->field);
    if (!bytes) return append_nulls(node, count, error);
    if (!mark(node, NULL, 0, count) || !grow_zeros(&node->values, (size_t)count * bytes))
        return memory_out(error);
    node->length += count;
    return KITH_OK;
}

static kith_status append_nulls(struct build_node *node, int64_t count, kith_error *error)
{
    enum kt_type type = node->field->type;
    uint32_t entry = kt_field_entry_bytes(node->field), offsets = kt_type_offset_bytes(type);
    kith_status status = KITH_OK;
    if (count == 0) return KITH_OK;
    if (type != KT_NULL && !mark_nulls(node, count)) return memory_out(error);
    if (type == KT_BOOL) {
        if (!append_bits(node, NULL, 0, count)) return memory_out(error);
    } else if (offsets) {
        if (!grow_reserve(&node->values, (size_t)count * offsets)) return memory_out(error);
        for (int64_t i = 0; i < count; i++)
            grow_append(&node->values, node->values.data + node->values.size - offsets, offsets);
    } else if (entry) {
        if (!grow_zeros(&node->values, (size_t)count * entry)) return memory_out(error);
    }
    if (type == KT_FIXED_LIST) status = append_hidden(&node->children[0], count * node->field->width, error);
    for (uint32_t i = 0; type == KT_STRUCT && !status && i < node->field->child_count; i++)
        status = append_nulls(&node->children[i], count, error);
    node->length += count;
    return status;
}

/* ---- the door ---- */

kith_status kt_builder_new(const struct kt_schema *schema, int64_t expected_rows, struct kt_builder **out,
                           kith_error *error)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < schema->count; i++) count += node_count(&schema->fields[i]);
    size_t bytes = sizeof(struct kt_builder) + count * sizeof(struct build_node);
    struct kt_builder *builder = kt_alloc_zero(1, bytes);
    if (!builder) return kt_fail_memory(error, bytes);
    builder->schema = kt_schema_share(schema);
    builder->columns = builder->nodes;
    struct build_node *room = builder->nodes + schema->count;
    for (uint32_t i = 0; i < schema->count; i++)
        room = node_wire(&builder->columns[i], &schema->fields[i], room);
    for (uint32_t i = 0; i < schema->count; i++) {
        if (node_reserve(&builder->columns[i], expected_rows < 0 ? 0 : expected_rows)) continue;
        kt_builder_free(builder);
        return memory_out(error);
    }
    *out = builder;
    return KITH_OK;
}

void kt_builder_free(struct kt_builder *builder)
{
    if (!builder) return;
    for (uint32_t i = 0; i < builder->schema->count; i++) node_release(&builder->columns[i]);
    kt_schema_release(builder->schema);
    kt_free(builder);
}

kith_status kt_builder_append(struct kt_builder *builder, uint32_t column, const struct kt_array *from,
                              int64_t row, int64_t count, kith_error *error)
{
    struct build_node *node = &builder->columns[column];
    if (from->field != node->field && !kt_field_same_type(from->field, node->field)) {
        char given[128], wanted[128];
        kt_field_type_text(from->field, given, sizeof given);
        kt_field_type_text(node->field, wanted, sizeof wanted);
        return kt_fail(error, KITH_TYPE, "column \"%s\" is %s, not %s", node->field->name, wanted, given);
    }
    if (kt_type_is_view(node->field->type))
        return kt_fail(error, KITH_UNSUPPORTED, "column \"%s\" holds views, which are not collected",
                       node->field->name);
    return append_rows(node, from, row, count, error);
}

kith_status kt_builder_append_nulls(struct kt_builder *builder, uint32_t column, int64_t count,
                                    kith_error *error)
{
    return append_nulls(&builder->columns[column], count, error);
}

kith_status kt_builder_append_values(struct kt_builder *builder, uint32_t column, const void *values,
                                     int64_t count, kith_error *error)
{
    struct build_node *node = &builder->columns[column];
    size_t bytes = kt_field_value_bytes(node->field);
    if (!bytes)
        return kt_fail(error, KITH_TYPE, "column \"%s\" does not hold values of fixed width",
                       node->field->name);
    if (!mark(node, NULL, 0, count) || !grow_append(&node->values, values, (size_t)count * bytes))
        return memory_out(error);
    node->length += count;
    return KITH_OK;
}

static kith_status node_finish(struct build_node *node, struct kt_batch *batch, struct kt_array *array,
                               kith_error *error)
{
    kith_status status = KITH_OK;
    array->length = node->length;
    array->validity = node->validity;
    array->values = node->values.data;
    array->data = node->data.data;
    kt_batch_own(batch, node->validity);
    kt_batch_own(batch, node->values.data);
    kt_batch_own(batch, node->data.data);
    node->validity = node->values.data = node->data.data = NULL;
    if (node->field->type == KT_DICTIONARY)
        return kt_text_map_yield(&node->texts, batch, &array->children[0], error);
    for (uint32_t i = 0; !status && i < node->field->child_count; i++)
        status = node_finish(&node->children[i], batch, &array->children[i], error);
    return status;
}

kith_status kt_builder_finish(struct kt_builder *builder, struct kt_batch **out, kith_error *error)
{
    struct kt_batch *batch = NULL;
    struct kt_schema *schema = builder->schema;
    int64_t rows = schema->count ? builder->columns[0].length : 0;
    kith_status status = KITH_OK;
    for (uint32_t i = 1; !status && i < schema->count; i++)
        if (builder->columns[i].length != rows)
            status = kt_fail(error, KITH_INVALID, "column \"%s\" has %lld rows, \"%s\" has %lld",
                             schema->fields[i].name, (long long)builder->columns[i].length,
                             schema->fields[0].name, (long long)rows);
    if (!status) status = kt_batch_new(schema, rows, &batch, error);
    for (uint32_t i = 0; !status && i < schema->count; i++)
        status = node_finish(&builder->columns[i], batch, &batch->columns[i], error);
    if (status)
        kt_batch_release(batch);
    else
        *out = batch;
    kt_builder_free(builder);
    return status;
}
