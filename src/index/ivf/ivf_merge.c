/* Merging files of an index into one: list by list, in the order of the files, without the rows that are no
 * longer live. Codes are moved as they are; nothing is encoded again, and no vector is read.
 *
 * Runs become one run, of the same tree. The base and some runs become a base of the same tree, so that the
 * runs that came later still belong to it.
 *
 * Always true here: rows of a list come in the order of the files and, within one, in their own; the bytes
 * written do not depend on the number of threads.
 */
#include "index/ivf/ivf_private.h"

enum { COUNT_LISTS = 16 };

struct merging {
    const struct kt_index *index;
    uint32_t first, end;             /* parts */
    const struct kt_selection *live; /* NULL: all are */
    uint32_t *rows;                  /* that stay, of each list */
    struct ivf_entry *entries;
    uint64_t *outliers; /* that stay: part, then number */
    struct ivf_extent extent;
    uint8_t *codes; /* 33 rows a worker: one, then those of a block */
};

static uint8_t *codes_of(const struct merging *m, uint32_t worker)
{
    return m->codes + (size_t)worker * (KT_BLOCK_ROWS + 1) * m->index->shape.tables;
}

static bool stays(const struct merging *m, uint32_t offset)
{
    return !m->live || kt_selected(m->live, m->index->shape.base_row + offset);
}

static bool is_merged(const struct merging *m, const struct ivf_slice *slice)
{
    return slice->part >= m->first && slice->part < m->end;
}

/* ---- what stays ---- */

static kith_status count_lists(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                               kith_error *error)
{
    struct merging *m = context;
    const struct kt_index *index = m->index;
    kith_status status = KITH_OK;
    (void)worker;
    for (uint64_t list = begin; list < end; list++) {
        for (uint32_t i = index->slice_begin[list]; !status && i < index->slice_begin[list + 1]; i++) {
            const struct ivf_slice *slice = &index->slices[i];
            if (!is_merged(m, slice)) continue;
            if (!m->live)
                m->rows[list] += slice->rows;
            else
                status = kt_ivf_count_slice(index, slice, m->live, &m->rows[list], error);
        }
    }
    return status;
}

static kith_status choose_outliers(struct merging *m, kith_error *error)
{
    uint64_t most = 0;
    for (uint32_t p = m->first; p < m->end; p++) most += m->index->parts[p].extent.outliers;
    m->outliers = kt_alloc_array(most, sizeof *m->outliers);
    if (!m->outliers) return kt_fail_memory(error, most * sizeof *m->outliers);
    for (uint32_t p = m->first; p < m->end; p++) {
        const struct ivf_part *part = &m->index->parts[p];
        const uint8_t *offsets = NULL;
        uint64_t count = part->extent.outliers;
        kith_status status =
            count ? kt_view(part->file, part->outliers, count * sizeof(uint32_t), &offsets, error) : KITH_OK;
        if (status) return status;
        for (uint64_t i = 0; i < count; i++)
            if (stays(m, kt_get_u32(offsets + 4 * i)))
                m->outliers[m->extent.outliers++] = (uint64_t)p << 32 | i;
    }
    return KITH_OK;
}

static kith_status settle(struct merging *m, struct kt_work *work, kith_error *error)
{
    uint32_t lists = m->index->shape.lists, workers = kt_work_threads(work);
    m->rows = kt_alloc_zero((size_t)lists + 1, sizeof *m->rows);
    m->entries = kt_alloc_array(lists, sizeof *m->entries);
    m->codes = kt_alloc_array(workers, (KT_BLOCK_ROWS + 1) * (size_t)m->index->shape.tables);
    if (!m->rows || !m->entries || !m->codes) return kt_fail_memory(error, lists * sizeof *m->entries);
    kith_status status = kt_parallel_for(work, "merge", lists, COUNT_LISTS, count_lists, m, error);
    if (!status) status = choose_outliers(m, error);
    m->extent.is_run = m->first > 0;
    m->extent.rows = m->extent.outliers;
    for (uint32_t p = m->first; p < m->end; p++)
        m->extent.row_span = kt_max_u64(m->extent.row_span, m->index->parts[p].extent.row_span);
    for (uint32_t i = 0; i < lists; i++) {
        m->extent.rows += m->rows[i];
        if (m->rows[i]) m->entries[m->extent.entries++] = (struct ivf_entry){ i, m->rows[i] };
    }
    return status;
}

/* ---- moving it ---- */

static kith_status move_slice(const struct merging *m, const struct ivf_slice *slice,
                              struct ivf_filler *filler, uint8_t *codes, kith_error *error)
{
    const struct kt_index *index = m->index;
    struct ivf_form form = kt_ivf_form(&index->layout, index->parts[slice->part].extent.is_run, slice->rows);
    const uint8_t *list = NULL;
    kith_status status = slice->rows ? kt_ivf_lend(index, slice, &form, &list, error) : KITH_OK;
    for (uint32_t at = 0; !status && at < slice->rows; at++) {
        struct ivf_row row;
        if (!stays(m, kt_get_u32(list + kt_ivf_offset_at(&index->layout, &form, at)))) continue;
        kt_ivf_get(index, &form, list, at, codes, &row);
        kt_ivf_put(filler, &row);
    }
    return status;
}

static kith_status fill_list(void *context, uint32_t entry, const struct ivf_form *form, uint8_t *list,
                             uint32_t worker, kith_error *error)
{
    const struct merging *m = context;
    const struct kt_index *index = m->index;
    uint32_t number = m->entries[entry].list;
    uint8_t *codes = codes_of(m, worker);
    struct ivf_filler filler = {
        .index = index, .form = form, .list = list, .codes = codes + index->shape.tables
    };
    kith_status status = KITH_OK;
    for (uint32_t i = index->slice_begin[number]; !status && i < index->slice_begin[number + 1]; i++)
        if (is_merged(m, &index->slices[i])) status = move_slice(m, &index->slices[i], &filler, codes, error);
    return status;
}

static kith_status fill_outliers(void *context, uint64_t first, uint32_t count, uint8_t *offsets,
                                 uint8_t *rows, kith_error *error)
{
    const struct merging *m = context;
    const struct ivf_layout *layout = &m->index->layout;
    kith_status status = KITH_OK;
    for (uint32_t r = 0; !status && r < count; r++) {
        const struct ivf_part *part = &m->index->parts[m->outliers[first + r] >> 32];
        uint64_t number = (uint32_t)m->outliers[first + r],
                 bytes = rows ? layout->row_bytes : sizeof(uint32_t);
        struct ivf_form form =
            kt_ivf_outlier_form(layout, part->extent.is_run, (uint32_t)part->extent.outliers);
        const uint8_t *from = NULL;
        status = kt_view(part->file, part->outliers + (rows ? form.items : form.offsets) + number * bytes,
                         bytes, &from, error);
        if (!status) memcpy((rows ? rows : offsets) + r * bytes, from, bytes);
    }
    return status;
}

kith_status kt_ivf_merge(const struct kt_index *index, uint32_t first, uint32_t count,
                         const struct kt_selection *live, const struct kt_vectors *vectors,
                         struct kt_work *work, struct kt_sink *sink, json_t **meta, kith_error *error)
{
    struct merging m = { .index = index, .first = first, .end = first + count, .live = live };
    (void)vectors;
    if (!count || count > index->part_count || first > index->part_count - count)
        return kt_fail(error, KITH_INVALID, "%s has %u files; %u from %u on cannot be merged",
                       kt_ivf_name(index), (unsigned)index->part_count, (unsigned)count, (unsigned)first);
    kith_status status = settle(&m, work, error);
    if (!status) {
        struct ivf_writing writing = { .index = index,
                                       .extent = m.extent,
                                       .entries = m.entries,
                                       .context = &m,
                                       .fill = fill_list,
                                       .fill_outliers = fill_outliers };
        status = kt_ivf_write(&writing, work, sink, error);
    }
    if (!status) status = kt_ivf_describe(index, &m.extent, "", meta, error);
    kt_free(m.rows);
    kt_free(m.entries);
    kt_free(m.outliers);
    kt_free(m.codes);
    return status;
}
