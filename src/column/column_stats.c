/* What the log remembers of a column, so that a filter can pass over a fragment without opening it.
 *
 *   {"rows": n, "columns": [{"id": 3, "nulls": 0, "min": "01000000", "max": "ff000000"}, ...]}
 *
 * min and max are the value's bytes, little-endian, in hexadecimal: exact for every type, and no question of
 * how to print a double. Text and binary are ordered by bytes and cut at 64; a max of 64 bytes therefore
 * stands for everything that begins with them. Floats leave NaN out, count them in "nans", and take zero as
 * both: min -0.0, max +0.0. Without an order (booleans have one, vectors, lists, structs not), or without a
 * value, min and max are absent.
 */
#include <math.h>
#include <string.h>

#include "column/column_private.h"

enum { TEXT_MAX = 64 };

enum order { NO_ORDER, SIGNED, UNSIGNED, FLOATING, DECIMAL, BOOLEAN, BYTES };

struct bytes {
    const uint8_t *at;
    int64_t count;
};

struct column_stats {
    int64_t nulls, nans;
    bool any;
    struct bytes low, high; /* borrowed from the batches */
};

static enum order order_of(const struct kt_field *field)
{
    switch (field->type) {
    case KT_BOOL:
        return BOOLEAN;
    case KT_INT8:
    case KT_INT16:
    case KT_INT32:
    case KT_INT64:
    case KT_DATE32:
    case KT_DATE64:
    case KT_TIME32:
    case KT_TIME64:
    case KT_TIMESTAMP:
    case KT_DURATION:
        return SIGNED;
    case KT_UINT8:
    case KT_UINT16:
    case KT_UINT32:
    case KT_UINT64:
        return UNSIGNED;
    case KT_FLOAT16:
    case KT_FLOAT32:
    case KT_FLOAT64:
        return FLOATING;
    case KT_DECIMAL128:
        return DECIMAL;
    case KT_UTF8:
    case KT_LARGE_UTF8:
    case KT_BINARY:
    case KT_LARGE_BINARY:
    case KT_FIXED_BINARY:
    case KT_DICTIONARY:
        return BYTES;
    default:
        return NO_ORDER;
    }
}

/* Bytes of up to 8 as an integer whose order is that of the values. A float's bits are turned so that
 * negative ones descend (their order as integers is reversed). */
static uint64_t key_of(enum order order, const uint8_t *value, int64_t count)
{
    uint64_t bits = 0, top = (uint64_t)1 << (8 * count - 1);
    memcpy(&bits, value, (size_t)count);
    if (order == SIGNED) return bits ^ top;
    if (order == FLOATING) return bits & top ? ~bits & (top | (top - 1)) : bits | top;
    return bits;
}

static bool is_nan(const uint8_t *value, int64_t count)
{
    uint64_t bits = 0;
    memcpy(&bits, value, (size_t)count);
    if (count == 2) return (bits & 0x7fff) > 0x7c00;
    if (count == 4) return (bits & 0x7fffffff) > 0x7f800000;
    return (bits & 0x7fffffffffffffff) > 0x7ff0000000000000;
}

static int compare(enum order order, struct bytes a, struct bytes b)
{
    if (order == BYTES) {
        int64_t count = a.count < b.count ? a.count : b.count;
        int found = count ? memcmp(a.at, b.at, (size_t)count) : 0;
        return found ? found : (a.count > b.count) - (a.count < b.count);
    }
    if (order == DECIMAL) {
        int64_t x = (int64_t)kt_get_u64(a.at + 8), y = (int64_t)kt_get_u64(b.at + 8);
        uint64_t x_low = kt_get_u64(a.at), y_low = kt_get_u64(b.at);
        return x != y ? (x > y) - (x < y) : (x_low > y_low) - (x_low < y_low);
    }
    uint64_t x = key_of(order, a.at, a.count), y = key_of(order, b.at, b.count);
    return (x > y) - (x < y);
}

static struct bytes value_at(const struct kt_array *array, enum order order, int64_t row)
{
    static const uint8_t truths[2] = { 0, 1 };
    struct bytes value = { 0 };
    if (order == BOOLEAN) {
        value.at = &truths[kt_bit(array->values, (uint64_t)(array->offset + row))];
        value.count = 1;
    } else if (order == BYTES) {
        value.at = kt_array_bytes(array, row, &value.count);
    } else {
        value.count = kt_field_value_bytes(array->field);
        value.at = array->values + (array->offset + row) * value.count;
    }
    return value;
}

static void add_array(struct column_stats *stats, const struct kt_array *array)
{
    enum order order = order_of(array->field);
    stats->nulls += kt_array_null_count(array);
    if (order == NO_ORDER) return;
    for (int64_t row = 0; row < array->length; row++) {
        if (kt_array_null(array, row)) continue;
        struct bytes value = value_at(array, order, row);
        if (order == FLOATING && is_nan(value.at, value.count)) {
            stats->nans++;
            continue;
        }
        if (!stats->any || compare(order, value, stats->low) < 0) stats->low = value;
        if (!stats->any || compare(order, value, stats->high) > 0) stats->high = value;
        stats->any = true;
    }
}

static bool set(json_t *object, const char *key, json_t *value)
{
    return value && json_object_set_new(object, key, value) == 0;
}

static json_t *hex_of(enum order order, struct bytes value, bool high)
{
    char text[2 * TEXT_MAX + 1];
    uint8_t zero[8] = { 0 };
    int64_t count = value.count < TEXT_MAX ? value.count : TEXT_MAX;
    if (order == FLOATING) { /* both zeros are one value */
        uint64_t bits = 0, top = (uint64_t)1 << (8 * count - 1);
        memcpy(&bits, value.at, (size_t)count);
        if ((bits & ~top) == 0) {
            bits = high ? 0 : top;
            memcpy(zero, &bits, sizeof bits);
            value.at = zero;
        }
    }
    kt_hex(value.at, (size_t)count, text);
    return json_string(text);
}

static json_t *column_to_json(const struct kt_field *field, const struct column_stats *stats)
{
    enum order order = order_of(field);
    json_t *json = json_object();
    bool fine =
        json && set(json, "id", json_integer(field->id)) && set(json, "nulls", json_integer(stats->nulls));
    if (fine && order == FLOATING) fine = set(json, "nans", json_integer(stats->nans));
    if (fine && stats->any)
        fine = set(json, "min", hex_of(order, stats->low, false)) &&
               set(json, "max", hex_of(order, stats->high, true));
    if (fine) return json;
    json_decref(json);
    return NULL;
}

json_t *kt_batches_stats(struct kt_batch *const *batches, size_t count)
{
    json_t *json = json_object(), *columns = json_array();
    int64_t rows = 0;
    for (size_t i = 0; i < count; i++) rows += batches[i]->rows;
    const struct kt_schema *schema = count ? batches[0]->schema : NULL;
    bool fine = json && columns && set(json, "rows", json_integer(rows));
    for (uint32_t c = 0; fine && schema && c < schema->count; c++) {
        struct column_stats stats = { 0 };
        for (size_t i = 0; i < count; i++) add_array(&stats, &batches[i]->columns[c]);
        fine = json_array_append_new(columns, column_to_json(&schema->fields[c], &stats)) == 0;
    }
    if (fine) fine = json_object_set(json, "columns", columns) == 0;
    json_decref(columns);
    if (fine) return json;
    json_decref(json);
    return NULL;
}
