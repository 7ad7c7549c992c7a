/* Some rows of a table as vectors of their own: runs are clipped to the intervals that are wanted, and none
 * is copied. */
#include "index/space.h"

/* A run of vectors cut down to an interval of row ids. */
struct kt_clip {
    const struct kt_vectors_run *run;
    uint64_t begin; /* in the run */
};

static kith_status clip_view(void *context, uint64_t offset, uint64_t count, struct kt_vectors_view *out,
                             kith_error *error)
{
    const struct kt_clip *clip = context;
    return clip->run->view(clip->run->context, clip->begin + offset, count, out, error);
}

/* What an interval and a run have in common, if anything, becomes a run; both lists are sorted. */
kith_status kt_cut_init(struct kt_cut *x, const struct kt_vectors *vectors, const struct kt_rows *rows,
                        uint32_t count, kith_error *error)
{
    size_t most = (size_t)count + vectors->run_count;
    *x = (struct kt_cut){ 0 };
    x->vectors = (struct kt_vectors){ .dim = vectors->dim, .element = vectors->element };
    x->vectors.runs = kt_alloc_array(most, sizeof *x->vectors.runs);
    x->clips = kt_alloc_array(most, sizeof *x->clips);
    if (!x->vectors.runs || !x->clips) return kt_fail_memory(error, most * sizeof *x->clips);
    for (uint32_t i = 0, r = 0; i < count && r < vectors->run_count;) {
        const struct kt_vectors_run *run = &vectors->runs[r];
        uint64_t end = run->first_row + run->span;
        uint64_t from = kt_run_place(run, rows[i].begin), to = kt_run_place(run, rows[i].end);
        if (from < to) {
            uint32_t at = x->vectors.run_count++;
            uint64_t first = kt_run_row(run, from), last = to < run->rows ? kt_run_row(run, to) : end;
            x->clips[at] = (struct kt_clip){ run, from };
            x->vectors.runs[at] = (struct kt_vectors_run){ .first_row = first,
                                                           .span = last - first,
                                                           .rows = to - from,
                                                           .ranks = run->ranks,
                                                           .ranks_row = run->ranks_row,
                                                           .ranks_place = run->ranks_place + from,
                                                           .context = &x->clips[at],
                                                           .view = clip_view };
        }
        if (rows[i].end < end)
            i++;
        else
            r++;
    }
    return KITH_OK;
}

void kt_cut_release(struct kt_cut *cut)
{
    kt_free(cut->vectors.runs);
    kt_free(cut->clips);
    *cut = (struct kt_cut){ 0 };
}
