/* Rows in the order of some expressions: their values fetched as columns, then row numbers sorted by them.
 * The sort is stable and begins with insertion order, or with that of a search, the nearest first, so that
 * equal rows keep that order and pages neither repeat nor lose one. The order of values is that of the
 * indexes over them; null comes last, or first where that is asked for.
 */
#include "base/bytes.h"
#include "query/query_private.h"

struct sort {
    const struct kt_batch *keys;
    const kith_order *order;
    struct kt_work *work; /* asked whether to go on; or NULL */
};

enum { ASK_EVERY = 64 * 1024 }; /* rows */

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
            order = kt_order_values(array, (int64_t)i, (int64_t)j);
            if (sort->order[c].descending) order = -order;
        }
        if (order) return order;
    }
    return 0;
}

/* Merges from the bottom up; `places` ends up sorted, `spare` is as long. */
static kith_status sort_places(const struct sort *sort, uint64_t *places, uint64_t *spare, size_t count,
                               kith_error *error)
{
    uint64_t *from = places, *to = spare;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t begin = 0; begin < count; begin += 2 * width) {
            size_t middle = kt_min_u64(begin + width, count), end = kt_min_u64(begin + 2 * width, count);
            for (size_t i = begin, j = middle, at = begin; at < end; at++) {
                bool first = j >= end || (i < middle && compare_rows(sort, from[i], from[j]) <= 0);
                to[at] = first ? from[i++] : from[j++];
                kith_status status = at % ASK_EVERY ? KITH_OK : kt_work_poll(sort->work, "order", error);
                if (status) return status;
            }
        }
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != places) memcpy(places, from, count * sizeof *places);
    return KITH_OK;
}

/* The values to sort by, a column for each. */
static kith_status fetch_keys(struct kt_snapshot *snapshot, const struct kt_ordering *order,
                              const struct kt_hit *hits, size_t count, struct kt_batch **out,
                              kith_error *error)
{
    struct kt_projection projection = { 0 };
    const char **names = kt_alloc_array(2 * order->count, sizeof *names);
    uint32_t rows = (uint32_t)count;
    bool by_distance = false;
    if (!names) return kt_fail_memory(error, order->count * sizeof *names);
    for (size_t i = 0; i < order->count; i++) {
        const char *text = order->by[i].expression ? order->by[i].expression : "";
        bool distance = order->has_distance && strcmp(text, "_distance") == 0;
        bool column = distance || kt_schema_find(snapshot->schema, text) >= 0;
        by_distance |= distance;
        names[i] = column ? text : ""; /* an expression that is its own name would be taken for a column */
        names[order->count + i] = column ? NULL : text;
    }
    struct kt_wanted wanted = { .columns = names,
                                .expressions = names + order->count,
                                .column_count = order->count,
                                .distance = by_distance };
    kith_status status = kt_projection_make(snapshot, &wanted, &projection, error);
    for (uint32_t i = 0; !status && i < projection.schema->count; i++) {
        char type[120];
        kt_field_type_text(&projection.schema->fields[i], type, sizeof type);
        if (!kt_has_order(&projection.schema->fields[i]))
            status = kt_fail(error, KITH_TYPE, "rows cannot be ordered by \"%.200s\": %s has no order",
                             order->by[i].expression, type);
    }
    projection.work = order->work;
    if (!status) status = kt_fetch(snapshot, &projection, hits, &rows, 1, count, out, error);
    kt_projection_release(&projection);
    kt_free(names);
    return status;
}

/* Puts the hits in the order of `places`. */
static kith_status arrange(struct kt_hit *hits, const uint64_t *places, size_t count, kith_error *error)
{
    struct kt_hit *old = kt_alloc_array(count, sizeof *old);
    if (!old) return kt_fail_memory(error, count * sizeof *old);
    if (count) memcpy(old, hits, count * sizeof *old);
    for (size_t i = 0; i < count; i++) hits[i] = old[places[i]];
    kt_free(old);
    return KITH_OK;
}

kith_status kt_order_rows(struct kt_snapshot *snapshot, const struct kt_ordering *order, struct kt_hit *hits,
                          size_t count, kith_error *error)
{
    struct kt_batch *keys = NULL;
    if (count > UINT32_MAX)
        return kt_fail(error, KITH_UNSUPPORTED, "at most %u rows can be ordered; give a filter",
                       (unsigned)UINT32_MAX);
    kith_status status = fetch_keys(snapshot, order, hits, count, &keys, error);
    uint64_t *places = kt_alloc_array(2 * count, sizeof *places);
    if (!status && !places) status = kt_fail_memory(error, 2 * count * sizeof *places);
    if (!status) {
        struct sort sort = { keys, order->by, order->work };
        for (size_t i = 0; i < count; i++) places[i] = i;
        status = sort_places(&sort, places, places + count, count, error);
    }
    if (!status) status = arrange(hits, places, count, error);
    kt_free(places);
    kt_batch_release(keys);
    return status;
}
