/* What a filter admits, list by list; what a file holds, in words; and what shape an index has: how many
 * files and rows, and how unevenly rows lie in its lists. A search for a row that is there visits that row's
 * list first, and reads all of it; so what matters is how many rows the list of a row has on the average (sum
 * n^2 / sum n), and how that has grown since the tree was made.
 */
#include <stdio.h>

#include "index/ivf/ivf_private.h"

kith_status kt_ivf_count_slice(const struct kt_index *index, const struct ivf_slice *slice,
                               const struct kt_selection *among, uint32_t *out, kith_error *error)
{
    const struct ivf_part *part = &index->parts[slice->part];
    struct ivf_form form = kt_ivf_form(&index->layout, part->extent.is_run, slice->rows);
    for (uint32_t row = 0; row < slice->rows; row += KT_BLOCK_ROWS) {
        const uint8_t *offsets = NULL;
        uint32_t lanes = kt_min_u32(KT_BLOCK_ROWS, slice->rows - row);
        kith_status status = kt_view(part->file, slice->begin + kt_ivf_offset_at(&index->layout, &form, row),
                                     lanes * sizeof(uint32_t), &offsets, error);
        if (status) return status;
        for (uint32_t i = 0; i < lanes; i++)
            *out += kt_selected(among, index->shape.base_row + kt_get_u32(offsets + 4 * (size_t)i));
    }
    return KITH_OK;
}

kith_status kt_ivf_count(const struct kt_index *index, const struct kt_selection *among,
                         struct kt_index_matches *out, kith_error *error)
{
    uint32_t lists = index->shape.lists;
    struct kt_index_matches matches = { .lists = kt_alloc_zero((size_t)lists + 1, sizeof *matches.lists) };
    kith_status status = matches.lists ? KITH_OK : kt_fail_memory(error, lists * sizeof *matches.lists);
    for (uint32_t i = 0; !status && i < lists; i++) {
        for (uint32_t s = index->slice_begin[i]; !status && s < index->slice_begin[i + 1]; s++)
            status = kt_ivf_count_slice(index, &index->slices[s], among, &matches.lists[i], error);
        matches.rows += matches.lists[i];
        if (matches.lists[i]) matches.among += index->list_rows[i];
    }
    if (status)
        kt_free(matches.lists);
    else
        *out = matches;
    return status;
}

void kt_ivf_shape(const struct kt_index *index, struct kt_index_shape *out)
{
    double rows = 0, squares = 0;
    *out = (struct kt_index_shape){ .files = index->part_count,
                                    .rows = index->part_rows,
                                    .outliers = index->outliers,
                                    .lists = index->shape.lists,
                                    .crowd_as_built = index->shape.crowd };
    for (uint32_t i = 0; i < index->shape.lists; i++) {
        double own = index->list_rows[i];
        out->largest = kt_max_u32(out->largest, index->list_rows[i]);
        rows += own;
        squares += own * own;
    }
    out->crowd = rows > 0 ? squares / rows : 0;
}

kith_status kt_ivf_describe(const struct kt_index *index, const struct ivf_extent *extent, const char *note,
                            json_t **out, kith_error *error)
{
    const struct ivf_shape *s = &index->shape;
    unsigned long long far = extent->outliers;
    char outliers[128] = "";
    if (far)
        snprintf(outliers, sizeof outliers, "%s%llu rows far from all others are read by every search",
                 *note ? "; " : "", far);
    json_t *made = json_pack("{s:I, s:I, s:I, s:I, s:I, s:s+}", "partitions", (json_int_t)s->lists,
                             "sub_vectors", (json_int_t)s->sub_vectors, "bits", (json_int_t)s->bits, "rows",
                             (json_int_t)extent->rows, "outliers", (json_int_t)far, "note", note, outliers);
    if (!made) return kt_fail_memory(error, sizeof outliers);
    *out = made;
    return KITH_OK;
}
