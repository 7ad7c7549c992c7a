/* Which rows an index covers: intervals of row ids, sorted, disjoint, not touching. A table's rows are few
 * intervals, whatever its fragments are, since rows are given their ids one after another. */
#include "table/table_private.h"

static kith_status append(struct kt_cover *cover, struct kt_rows rows, kith_error *error)
{
    if (rows.begin >= rows.end) return KITH_OK;
    if (cover->count && cover->rows[cover->count - 1].end == rows.begin) {
        cover->rows[cover->count - 1].end = rows.end;
        return KITH_OK;
    }
    size_t count = cover->count + (size_t)1;
    struct kt_rows *grown = kt_realloc_array(cover->rows, count, sizeof *grown);
    if (!grown) return kt_fail_memory(error, count * sizeof *grown);
    grown[cover->count++] = rows;
    cover->rows = grown;
    return KITH_OK;
}

void kt_cover_release(struct kt_cover *cover)
{
    kt_free(cover->rows);
    *cover = (struct kt_cover){ 0 };
}

kith_status kt_cover_state(const struct kt_state *state, struct kt_cover *out, kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint32_t i = 0; i < state->fragment_count && !status; i++) {
        const struct kt_fragment *fragment = &state->fragments[i];
        status =
            append(out, (struct kt_rows){ fragment->first_row, fragment->first_row + fragment->span }, error);
    }
    return status;
}

kith_status kt_cover_add(struct kt_cover *cover, const struct kt_rows *rows, uint32_t count,
                         kith_error *error)
{
    struct kt_cover both = { 0 };
    kith_status status = KITH_OK;
    for (uint32_t i = 0, r = 0; (i < cover->count || r < count) && !status;) {
        bool first = r == count || (i < cover->count && cover->rows[i].begin < rows[r].begin);
        struct kt_rows next = first ? cover->rows[i++] : rows[r++];
        if (both.count && next.begin < both.rows[both.count - 1].end)
            next.begin = kt_min_u64(both.rows[both.count - 1].end, next.end);
        status = append(&both, next, error);
    }
    kt_cover_release(cover);
    *cover = both;
    return status;
}

kith_status kt_cover_subtract(struct kt_cover *cover, const struct kt_rows *rows, uint32_t count,
                              kith_error *error)
{
    struct kt_cover left = { 0 };
    kith_status status = KITH_OK;
    for (uint32_t i = 0, r = 0; i < cover->count && !status; i++) {
        struct kt_rows some = cover->rows[i];
        while (r < count && rows[r].end <= some.begin) r++;
        for (uint32_t at = r; at < count && rows[at].begin < some.end && !status; at++) {
            struct kt_rows before = { some.begin, kt_min_u64(rows[at].begin, some.end) };
            some.begin = kt_min_u64(rows[at].end, some.end);
            status = append(&left, before, error);
        }
        if (!status) status = append(&left, some, error);
    }
    kt_cover_release(cover);
    *cover = left;
    return status;
}

uint64_t kt_rows_count(const struct kt_rows *rows, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += rows[i].end - rows[i].begin;
    return sum;
}

uint64_t kt_rows_common(const struct kt_rows *a, uint32_t count_a, const struct kt_rows *b, uint32_t count_b)
{
    uint64_t sum = 0;
    for (uint32_t i = 0, j = 0; i < count_a && j < count_b;) {
        uint64_t begin = kt_max_u64(a[i].begin, b[j].begin), end = kt_min_u64(a[i].end, b[j].end);
        if (begin < end) sum += end - begin;
        if (a[i].end < b[j].end)
            i++;
        else
            j++;
    }
    return sum;
}
