/* Adding rows to an index that is there: given their lists and encoded by its own tree, they become a run, a
 * file of its own beside those that were there before. It costs as much as encoding those rows, and the
 * directory of the lists that they fell into.
 *
 * What cannot be added is said in words, and the caller builds anew: rows before the first that the index was
 * built for, or so far behind it that 32 bits do not tell which row it is, and any rows where there are no
 * lists.
 */
#include "index/ivf/ivf_private.h"

struct extending {
    const struct kt_index *index;
    struct kt_cut cut;
    struct ivf_encoding encoding;
};

static kith_status check(const struct extending *x, kith_error *error)
{
    const struct ivf_shape *s = &x->index->shape;
    const struct kt_vectors *v = &x->cut.vectors;
    if (v->dim != s->dim || v->element != s->element)
        return kt_fail(error, KITH_CORRUPT,
                       "%s is an index of vectors of %u numbers of another type or dimension",
                       kt_ivf_name(x->index), (unsigned)s->dim);
    if (!v->run_count) return KITH_OK;
    uint64_t first = v->runs[0].first_row;
    uint64_t end = v->runs[v->run_count - 1].first_row + v->runs[v->run_count - 1].span;
    if (!s->lists)
        return kt_fail(error, KITH_UNSUPPORTED,
                       "%s was built over no rows and has no lists for any: create the index again",
                       kt_ivf_name(x->index));
    if (first < s->base_row || end - s->base_row > UINT64_C(1) << 32)
        return kt_fail(
            error, KITH_UNSUPPORTED,
            "one index covers row ids over a range of at most 2^32; %s begins at %llu, and these go "
            "from %llu to %llu: create the index again",
            kt_ivf_name(x->index), (unsigned long long)s->base_row, (unsigned long long)first,
            (unsigned long long)(end - 1));
    return KITH_OK;
}

kith_status kt_ivf_extend(const struct kt_index *index, const struct kt_vectors *vectors,
                          const struct kt_rows *rows, uint32_t count, struct kt_work *work,
                          struct kt_sink *sink, json_t **meta, kith_error *error)
{
    struct extending x = { .index = index };
    struct ivf_encoding *e = &x.encoding;
    kith_status status = kt_cut_init(&x.cut, vectors, rows, count, error);
    if (!status) status = check(&x, error);
    if (!status) status = kt_ivf_encoding_init(e, index, &x.cut.vectors, work, error);
    if (!status) status = kt_ivf_encoding_assign(e, error);
    if (!status) status = kt_ivf_encoding_sort(e, error);
    if (!status) {
        uint32_t runs = x.cut.vectors.run_count;
        const struct kt_vectors_run *last = runs ? &x.cut.vectors.runs[runs - 1] : NULL;
        uint64_t end = last ? last->first_row + last->span - index->shape.base_row : 0;
        struct ivf_extent extent = kt_ivf_encoding_extent(e, true, end);
        status = kt_ivf_encoding_write(e, &extent, sink, error);
        if (!status) status = kt_ivf_describe(index, &extent, "", meta, error);
    }
    kt_ivf_encoding_release(e);
    kt_cut_release(&x.cut);
    return status;
}
