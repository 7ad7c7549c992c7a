/* Asking a scalar index. A range of values, and one value too, is a run of keys: between two places, each
 * found in one page. For a BTREE the rows of a run lie side by side and are read as they lie; for bitmaps
 * they are united. Lists that have all of several items are the rows of one bitmap that are in the others:
 * those are gathered beside, as `out` may hold the rows of other pieces.
 */
#include "filter/scalar_private.h"

/* A probe at work. */
struct asking {
    const struct kt_scalar *scalar;
    const struct kt_probe *probe;
    kith_error *error;
};

static bool is_answerable(const struct asking *asking)
{
    bool labels = asking->scalar->shape.kind == SCALAR_LABELS;
    switch (asking->probe->kind) {
    case KT_PROBE_RANGE:
    case KT_PROBE_IN:
        return !labels;
    case KT_PROBE_HAS_ANY:
    case KT_PROBE_HAS_ALL: /* all of nothing is every list, which no bitmap says */
        return labels && (asking->probe->kind == KT_PROBE_HAS_ANY || asking->probe->values.count);
    default:
        return asking->probe->kind == KT_PROBE_NULL;
    }
}

/* ---- runs of keys ---- */

/* Where a bound of a range lies; `none` where it is no bound. */
static kith_status bound(const struct asking *asking, const struct kt_value *value, bool after,
                         struct place none, struct place *out, bool *answered)
{
    struct key key;
    struct found found;
    *out = none;
    if (value->kind == KT_VALUE_NULL) return KITH_OK;
    *answered = *answered && kt_key_of_value(asking->scalar->field, value, &key);
    if (!*answered) return KITH_OK;
    kith_status status = kt_scalar_find(asking->scalar, &key, &found, asking->error);
    *out = after || key.between ? found.high : found.low;
    return status;
}

static kith_status run_of_range(const struct asking *asking, struct found *run, bool *answered)
{
    const struct kt_probe *probe = asking->probe;
    const struct scalar_shape *shape = &asking->scalar->shape;
    struct place end = { shape->keys, (uint32_t)shape->ranks };
    kith_status status =
        bound(asking, &probe->low, probe->low_open, (struct place){ 0, 0 }, &run->low, answered);
    if (!status) status = bound(asking, &probe->high, !probe->high_open, end, &run->high, answered);
    if (run->high.key < run->low.key || run->high.rank < run->low.rank) run->high = run->low;
    return status;
}

/* The run of one value: at most one key. */
static kith_status run_of_value(const struct asking *asking, const struct kt_value *value, struct found *run,
                                bool *answered)
{
    struct key key;
    *run = (struct found){ 0 };
    *answered = *answered && kt_key_of_value(asking->scalar->field, value, &key);
    if (!*answered || key.between || key.before) return KITH_OK;
    return kt_scalar_find(asking->scalar, &key, run, asking->error);
}

/* ---- their rows ---- */

static kith_status select_ranks(const struct asking *asking, const struct found *run,
                                struct kt_selection *out)
{
    const struct kt_scalar *scalar = asking->scalar;
    uint64_t begin = scalar->layout.postings + sizeof(uint32_t) * (uint64_t)run->low.rank;
    const uint8_t *rows;
    uint32_t count = run->high.rank - run->low.rank;
    if (!count) return KITH_OK;
    kith_status status =
        kt_view(scalar->file, begin, sizeof(uint32_t) * (uint64_t)count, &rows, asking->error);
    for (uint32_t i = 0; i < count && !status; i++) {
        uint32_t row = kt_get_u32(rows + sizeof row * i);
        if (row >= scalar->shape.span)
            status = kt_scalar_corrupt(scalar, "a row", row, scalar->shape.span - 1, asking->error);
        else
            select_row(out, scalar->shape.base + row);
    }
    return status;
}

static kith_status select_bitmap(const struct asking *asking, uint64_t begin, uint64_t size, uint64_t base,
                                 struct kt_selection *out)
{
    const struct kt_scalar *scalar = asking->scalar;
    struct bitmap bitmap = { .size = size, .name = kt_view_name(scalar->file) };
    kith_status status = kt_view(scalar->file, begin, size, &bitmap.bytes, asking->error);
    return status ? status : kt_bitmap_select(&bitmap, base, scalar->shape.span, out, asking->error);
}

/* Unites the bitmaps of a run, in rows from `base` on. */
static kith_status select_keys(const struct asking *asking, const struct found *run, uint64_t base,
                               struct kt_selection *out)
{
    const struct kt_scalar *scalar = asking->scalar;
    const uint8_t *offsets;
    uint64_t at = scalar->layout.offsets + sizeof(uint64_t) * (uint64_t)run->low.key;
    uint32_t count = run->high.key - run->low.key;
    if (!count) return KITH_OK;
    kith_status status =
        kt_view(scalar->file, at, sizeof(uint64_t) * ((uint64_t)count + 1), &offsets, asking->error);
    for (uint32_t i = 0; i < count && !status; i++) {
        uint64_t begin = kt_get_u64(offsets + 8 * (size_t)i), end = kt_get_u64(offsets + 8 * (size_t)i + 8);
        if (begin > end || end > scalar->shape.posting_bytes)
            return kt_scalar_corrupt(scalar, "the end of a bitmap", end, scalar->shape.posting_bytes,
                                     asking->error);
        status = select_bitmap(asking, scalar->layout.postings + begin, end - begin, base, out);
    }
    return status;
}

static kith_status select_run(const struct asking *asking, const struct found *run, struct kt_selection *out)
{
    if (asking->scalar->shape.kind == SCALAR_BTREE) return select_ranks(asking, run, out);
    return select_keys(asking, run, asking->scalar->shape.base, out);
}

/* ---- probes ---- */

static kith_status probe_range(const struct asking *asking, struct kt_selection *out, bool *answered)
{
    struct found run;
    kith_status status = run_of_range(asking, &run, answered);
    return status || !*answered ? status : select_run(asking, &run, out);
}

/* Whether every value of the probe is of the column's type: asked first, so that nothing is selected in vain.
 */
static bool are_keys(const struct asking *asking)
{
    const struct kt_value *values = &asking->probe->values;
    struct key key;
    for (size_t i = 0; i < values->count; i++)
        if (!kt_key_of_value(asking->scalar->field, &values->items[i], &key)) return false;
    return true;
}

static kith_status probe_any(const struct asking *asking, struct kt_selection *out, bool *answered)
{
    const struct kt_value *values = &asking->probe->values;
    kith_status status = KITH_OK;
    *answered = are_keys(asking);
    for (size_t i = 0; i < values->count && *answered && !status; i++) {
        struct found run;
        status = run_of_value(asking, &values->items[i], &run, answered);
        if (!status) status = select_run(asking, &run, out);
    }
    return status;
}

/* Keeps in `all`, whose rows count from 0, those that have the value too. */
static kith_status keep_having(const struct asking *asking, const struct kt_value *value, bool first,
                               struct kt_selection *all, struct kt_selection *some)
{
    struct found run;
    bool answered = true;
    size_t words = (all->rows + 63) / 64;
    kith_status status = run_of_value(asking, value, &run, &answered);
    if (!status && first) return select_keys(asking, &run, 0, all);
    memset(some->words, 0, words * sizeof *some->words);
    if (!status) status = select_keys(asking, &run, 0, some);
    for (size_t i = 0; i < words && !status; i++) all->words[i] &= some->words[i];
    return status;
}

static kith_status probe_all(const struct asking *asking, struct kt_selection *out, bool *answered)
{
    const struct kt_value *values = &asking->probe->values;
    const struct scalar_shape *shape = &asking->scalar->shape;
    size_t words = (shape->span + 63) / 64;
    uint64_t *room = kt_alloc_zero(2 * words, sizeof *room);
    struct kt_selection all = { .words = room, .rows = shape->span };
    struct kt_selection some = { .words = room + words, .rows = shape->span };
    kith_status status = room ? KITH_OK : kt_fail_memory(asking->error, 2 * words * sizeof *room);
    *answered = are_keys(asking);
    for (size_t i = 0; i < values->count && *answered && !status; i++)
        status = keep_having(asking, &values->items[i], i == 0, &all, &some);
    for (size_t i = 0; i < words && *answered && !status; i++)
        if (room[i]) select_word(out, shape->base / 64 + i, room[i]);
    kt_free(room);
    return status;
}

static kith_status probe_nulls(const struct asking *asking, struct kt_selection *out)
{
    const struct kt_scalar *scalar = asking->scalar;
    if (!scalar->shape.nulls) return KITH_OK;
    return select_bitmap(asking, scalar->layout.nulls, scalar->shape.null_bytes, scalar->shape.base, out);
}

kith_status kt_scalar_probe(const struct kt_scalar *scalar, const struct kt_probe *probe,
                            struct kt_selection *out, bool *answered, kith_error *error)
{
    struct asking asking = { scalar, probe, error };
    *answered = is_answerable(&asking);
    if (!*answered) return KITH_OK;
    if (scalar->shape.base + scalar->shape.span > out->rows)
        return kt_scalar_corrupt(scalar, "the end of its rows", scalar->shape.base + scalar->shape.span,
                                 out->rows, error);
    switch (probe->kind) {
    case KT_PROBE_RANGE:
        return probe_range(&asking, out, answered);
    case KT_PROBE_NULL:
        return probe_nulls(&asking, out);
    case KT_PROBE_HAS_ALL:
        return probe_all(&asking, out, answered);
    default:
        return probe_any(&asking, out, answered);
    }
}

/* ---- estimates ---- */

static uint64_t run_rows(const struct found *run)
{
    return run->high.rank - run->low.rank;
}

static kith_status count_values(const struct asking *asking, uint64_t *rows, bool *answered)
{
    const struct kt_value *values = &asking->probe->values;
    uint64_t sum = 0, least = UINT64_MAX;
    kith_status status = KITH_OK;
    for (size_t i = 0; i < values->count && *answered && !status; i++) {
        struct found run;
        status = run_of_value(asking, &values->items[i], &run, answered);
        sum += run_rows(&run);
        least = kt_min_u64(least, run_rows(&run));
    }
    *rows = asking->probe->kind == KT_PROBE_HAS_ALL ? least : kt_min_u64(sum, asking->scalar->shape.span);
    return status;
}

kith_status kt_scalar_estimate(const struct kt_scalar *scalar, const struct kt_probe *probe, uint64_t *rows,
                               bool *answered, kith_error *error)
{
    struct asking asking = { scalar, probe, error };
    struct found run = { 0 };
    kith_status status = KITH_OK;
    *answered = is_answerable(&asking);
    if (!*answered) return KITH_OK;
    if (probe->kind == KT_PROBE_NULL) {
        *rows = scalar->shape.nulls;
        return KITH_OK;
    }
    if (probe->kind != KT_PROBE_RANGE) return count_values(&asking, rows, answered);
    status = run_of_range(&asking, &run, answered);
    *rows = run_rows(&run);
    return status;
}
