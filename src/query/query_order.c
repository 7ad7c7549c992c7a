/* Rows in the order of some expressions: their values fetched as columns, then row numbers sorted by them.
 * The sort is stable and begins with insertion order, so that equal rows keep that order and pages neither
 * repeat nor lose one. NaN is the greatest number; null comes last, or first where that is asked for.
 */
#include "base/bytes.h"
#include "query/query_private.h"

/* ---- one value with another */

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_doubles(double a, double b)
{
    bool a_nan = a != a, b_nan = b != b;
    if (a_nan || b_nan) return a_nan - b_nan;
    return (a > b) - (a < b);
}

static int compare_bytes(const struct kt_array *array, int64_t i, int64_t j)
{
    int64_t a_count = 0, b_count = 0;
    const uint8_t *a = kt_array_bytes(array, i, &a_count), *b = kt_array_bytes(array, j, &b_count);
    size_t both = (size_t)(a_count < b_count ? a_count : b_count);
    int order = both ? memcmp(a, b, both) : 0;
    return order ? order : compare_i64(a_count, b_count);
}

static double half_at(const struct kt_array *array, int64_t row)
{
    float value;
    kt_kernels()->to_float[KITH_F16](array->values + 2 * (array->offset + row), 1, &value);
    return (double)value;
}

static int compare_decimals(const uint8_t *a, const uint8_t *b)
{
    int high = compare_i64((int64_t)kt_get_u64(a + 8), (int64_t)kt_get_u64(b + 8));
    return high ? high : compare_u64(kt_get_u64(a), kt_get_u64(b));
}

/* A whole number of 1, 2, 4 or 8 bytes. */
static int64_t whole_at(const struct kt_array *array, int64_t row, size_t bytes, bool is_signed)
{
    uint64_t value = 0;
    memcpy(&value, array->values + (size_t)(array->offset + row) * bytes, bytes);
    unsigned unused = 64 - 8 * (unsigned)bytes;
    return is_signed ? (int64_t)(value << unused) >> unused : (int64_t)value;
}

static int compare_floats(const struct kt_array *array, int64_t i, int64_t j)
{
    const float *values = (const float *)(const void *)array->values + array->offset;
    return compare_doubles((double)values[i], (double)values[j]);
}

static int compare_values(const struct kt_array *array, int64_t i, int64_t j)
{
    const double *doubles = (const double *)(const void *)array->values;
    switch (array->field->type) {
    case KT_BOOL:
        return kt_bit(array->values, (uint64_t)(array->offset + i)) -
               kt_bit(array->values, (uint64_t)(array->offset + j));
    case KT_INT8:
        return compare_i64(whole_at(array, i, 1, true), whole_at(array, j, 1, true));
    case KT_INT16:
        return compare_i64(whole_at(array, i, 2, true), whole_at(array, j, 2, true));
    case KT_INT32:
    case KT_DATE32:
    case KT_TIME32:
        return compare_i64(whole_at(array, i, 4, true), whole_at(array, j, 4, true));
    case KT_INT64:
    case KT_DATE64:
    case KT_TIME64:
    case KT_TIMESTAMP:
    case KT_DURATION:
        return compare_i64(whole_at(array, i, 8, true), whole_at(array, j, 8, true));
    case KT_UINT8:
        return compare_i64(whole_at(array, i, 1, false), whole_at(array, j, 1, false));
    case KT_UINT16:
        return compare_i64(whole_at(array, i, 2, false), whole_at(array, j, 2, false));
    case KT_UINT32:
        return compare_i64(whole_at(array, i, 4, false), whole_at(array, j, 4, false));
    case KT_UINT64:
        return compare_u64((uint64_t)whole_at(array, i, 8, false), (uint64_t)whole_at(array, j, 8, false));
    case KT_FLOAT16:
        return compare_doubles(half_at(array, i), half_at(array, j));
    case KT_FLOAT32:
        return compare_floats(array, i, j);
    case KT_FLOAT64:
        return compare_doubles(doubles[array->offset + i], doubles[array->offset + j]);
    case KT_DECIMAL128:
        return compare_decimals(array->values + 16 * (array->offset + i),
                                array->values + 16 * (array->offset + j));
    default:
        return compare_bytes(array, i, j);
    }
}

static bool has_order(enum kt_type type)
{
    switch (type) {
    case KT_NULL:
    case KT_FIXED_LIST:
    case KT_LIST:
    case KT_STRUCT:
    case KT_LARGE_LIST:
        return false;
    default:
        return true;
    }
}

/* ---- sorting */

struct sort {
    const struct kt_batch *keys;
    const kith_order *order;
};

static int compare_rows(const struct sort *sort, uint64_t i, uint64_t j)
{
    for (uint32_t c = 0; c < sort->keys->schema->count; c++) {
        const struct kt_array *array = &sort->keys->columns[c];
        bool i_null = kt_array_null(array, (int64_t)i), j_null = kt_array_null(array, (int64_t)j);
        int order;
        if (i_null || j_null) {
            order = i_null - j_null;
            if (sort->order[c].nulls_first) order = -order;
        } else {
            order = compare_values(array, (int64_t)i, (int64_t)j);
            if (sort->order[c].descending) order = -order;
        }
        if (order) return order;
    }
    return 0;
}

/* Merges from the bottom up; `places` ends up sorted, `spare` is as long. */
static void sort_places(const struct sort *sort, uint64_t *places, uint64_t *spare, size_t count)
{
    uint64_t *from = places, *to = spare;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t begin = 0; begin < count; begin += 2 * width) {
            size_t middle = kt_min_u64(begin + width, count), end = kt_min_u64(begin + 2 * width, count);
            for (size_t i = begin, j = middle, at = begin; at < end; at++) {
                bool first = j >= end || (i < middle && compare_rows(sort, from[i], from[j]) <= 0);
                to[at] = first ? from[i++] : from[j++];
            }
        }
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != places) memcpy(places, from, count * sizeof *places);
}

/* The values to sort by, a column for each. */
static kith_status fetch_keys(struct kt_snapshot *snapshot, const kith_order *order, size_t order_count,
                              const struct kt_hit *hits, size_t count, struct kt_batch **out,
                              kith_error *error)
{
    struct kt_projection projection = { 0 };
    const char **names = kt_alloc_array(2 * order_count, sizeof *names);
    uint32_t rows = (uint32_t)count;
    if (!names) return kt_fail_memory(error, order_count * sizeof *names);
    for (size_t i = 0; i < order_count; i++) {
        const char *text = order[i].expression ? order[i].expression : "";
        bool column = kt_schema_find(snapshot->schema, text) >= 0;
        names[i] = column ? text : ""; /* an expression that is its own name would be taken for a column */
        names[order_count + i] = column ? NULL : text;
    }
    struct kt_wanted wanted = { .columns = names,
                                .expressions = names + order_count,
                                .column_count = order_count };
    kith_status status = kt_projection_make(snapshot, &wanted, &projection, error);
    for (uint32_t i = 0; !status && i < projection.schema->count; i++) {
        char type[120];
        kt_field_type_text(&projection.schema->fields[i], type, sizeof type);
        if (!has_order(projection.schema->fields[i].type))
            status = kt_fail(error, KITH_TYPE, "rows cannot be ordered by \"%.200s\": %s has no order",
                             order[i].expression, type);
    }
    if (!status) status = kt_fetch(snapshot, &projection, hits, &rows, 1, count, out, error);
    kt_projection_release(&projection);
    kt_free(names);
    return status;
}

kith_status kt_order_rows(struct kt_snapshot *snapshot, const kith_order *order, size_t order_count,
                          struct kt_hit *hits, size_t count, kith_error *error)
{
    struct kt_batch *keys = NULL;
    if (count > UINT32_MAX)
        return kt_fail(error, KITH_UNSUPPORTED, "at most %u rows can be ordered; give a filter",
                       (unsigned)UINT32_MAX);
    kith_status status = fetch_keys(snapshot, order, order_count, hits, count, &keys, error);
    uint64_t *places = kt_alloc_array(2 * count, sizeof *places);
    if (!status && !places) status = kt_fail_memory(error, 2 * count * sizeof *places);
    if (!status) {
        struct sort sort = { keys, order };
        for (size_t i = 0; i < count; i++) places[i] = i;
        sort_places(&sort, places, places + count, count);
        for (size_t i = 0; i < count; i++) places[i] = hits[places[i]].row;
        for (size_t i = 0; i < count; i++) hits[i].row = places[i];
    }
    kt_free(places);
    kt_batch_release(keys);
    return status;
}
