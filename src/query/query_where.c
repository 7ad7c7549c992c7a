/* Which rows a filter admits: the predicate settled against a snapshot's schema, then evaluated over its rows
 * to one bit each. A fragment that its statistics rule out, or in, is not read; of the others only the
 * columns that the predicate names, up to 64K rows at a time, on as many threads as were asked for.
 *
 * What the predicate says of `_rowid` is answered by the ids: rows outside of what they leave are not looked
 * at.
 *
 * Every few thousand rows it is asked whether to go on.
 *
 * The bits are of one snapshot. A prepared search keeps them and asks again only for another one.
 */
#include "base/bytes.h"
#include "query/query_private.h"

struct kt_where_counted {
    struct kt_where_counted *next;
    const struct kt_piece *piece; /* of the index; the snapshot holds it */
    struct kt_index_matches matches;
};

struct kt_where *kt_where_share(struct kt_where *where)
{
    atomic_fetch_add_explicit(&where->references, 1, memory_order_relaxed);
    return where;
}

void kt_where_release(struct kt_where *where)
{
    if (!where || atomic_fetch_sub_explicit(&where->references, 1, memory_order_acq_rel) > 1) return;
    for (struct kt_where_counted *at = where->counted, *next; at; at = next) {
        next = at->next;
        kt_free(at->matches.lists);
        kt_free(at);
    }
    kt_lock_release(&where->lock);
    kt_filter_free(where->filter);
    kt_free(where->rows.words);
    kt_snapshot_release(where->snapshot);
    kt_free(where);
}

kith_status kt_lend_columns(const struct kt_snapshot *snapshot, const struct kt_filter *filter,
                            uint32_t number, uint64_t row, uint32_t rows, struct kt_arena *scratch,
                            struct kt_filter_rows *out, kith_error *error)
{
    uint32_t count = 0;
    struct kt_segment *segment = snapshot->segments[number];
    const uint32_t *numbers = kt_filter_columns(filter, &count);
    *out = (struct kt_filter_rows){ .first_row = kt_segment_id(segment, row), .count = rows };
    out->columns = kt_arena_take(scratch, count + 1, sizeof *out->columns);
    uint64_t *ids = kt_segment_whole(segment) ? NULL : kt_arena_take(scratch, rows, sizeof *ids);
    if (!out->columns || (!ids && !kt_segment_whole(segment)))
        return kt_fail_memory(error, rows * sizeof *ids);
    if (ids) kt_segment_ids(segment, row, rows, ids);
    out->row_ids = ids;
    for (uint32_t i = 0; i < count; i++) {
        struct kt_ipc_file *file = NULL;
        uint32_t in_file = 0;
        kith_status status = kt_segment_column(segment, numbers[i], &file, &in_file, error);
        if (status) return status;
        struct kt_array *room = kt_arena_take(scratch, kt_ipc_room(file, in_file) + 1, sizeof *room);
        if (!room) return kt_fail_memory(error, sizeof *room);
        status = kt_ipc_column(file, in_file, row, rows, &out->columns[i], room, error);
        if (status) return status;
    }
    return KITH_OK;
}

enum { PARTS_EACH = 8 }; /* 64K rows each are worth a thread */

/* ---- some rows */

/* Rows of one record batch of a segment. */
struct part {
    uint32_t segment;
    uint32_t count;
    uint64_t row; /* of the segment */
};

/* What indexes said about one probe of the predicate. */
struct answer {
    struct kt_selection rows; /* words NULL: nothing */
    struct kt_rows *covers;   /* the rows it was said about: of one piece after another */
    uint32_t cover_count;
};

enum { MOST_PROBES = 64, FEW_OF = 8 };

struct job {
    struct answer answers[MOST_PROBES];
    uint32_t answer_count;
    struct kt_where *where;
    const struct part *parts;
    struct kt_arena *scratch; /* one a worker */
    struct kt_work *work;
};

/* The probes that were answered for all rows of a part; `bits` loses the rows that they rule out. */
static uint64_t apply_answers(const struct job *job, const struct part *part, uint64_t *bits, bool *any)
{
    const struct kt_segment *segment = job->where->snapshot->segments[part->segment];
    uint64_t answered = 0, first = kt_segment_id(segment, part->row);
    uint64_t last = kt_segment_id(segment, part->row + part->count - 1);
    *any = true;
    for (uint32_t i = 0; i < job->answer_count; i++) {
        const struct answer *answer = &job->answers[i];
        for (uint32_t c = 0; c < answer->cover_count; c++) {
            if (answer->covers[c].begin > first || answer->covers[c].end <= last) continue;
            answered |= UINT64_C(1) << i;
            *any = kt_segment_mask(segment, part->row, part->count, &answer->rows, bits) && *any;
            break;
        }
    }
    return answered;
}

static void add_rows(struct job *job, const struct part *part, const uint64_t *bits, uint64_t evaluated)
{
    const struct kt_segment *segment = job->where->snapshot->segments[part->segment];
    kt_lock_take(&job->where->lock);
    kt_segment_put(segment, part->row, part->count, bits, &job->where->rows);
    job->where->evaluated += evaluated;
    kt_lock_give(&job->where->lock);
}

static kith_status evaluate(struct job *job, const struct part *part, struct kt_arena *scratch,
                            kith_error *error)
{
    struct kt_where *where = job->where;
    struct kt_filter_rows rows;
    uint64_t *bits = kt_arena_take(scratch, part->count / 64 + 1, sizeof *bits);
    uint64_t *among = kt_arena_take(scratch, part->count / 64 + 1, sizeof *among);
    if (!bits || !among) return kt_fail_memory(error, part->count / 8);
    bool any;
    memset(among, 0xff, (part->count / 64 + 1) * sizeof *among);
    uint64_t answered = apply_answers(job, part, among, &any);
    if (any && answered && kt_filter_answered(where->filter, answered)) add_rows(job, part, among, 0);
    if (!any || kt_filter_answered(where->filter, answered)) return KITH_OK;
    kith_status status = kt_lend_columns(where->snapshot, where->filter, part->segment, part->row,
                                         part->count, scratch, &rows, error);
    if (status) return status;
    rows.work = job->work;
    status =
        kt_filter_eval_rest(where->filter, answered, &rows, answered ? among : NULL, scratch, bits, error);
    if (!status) add_rows(job, part, bits, part->count);
    return status;
}

static kith_status evaluate_parts(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                                  kith_error *error)
{
    struct job *job = context;
    for (uint64_t i = begin; i < end; i++) {
        kt_arena_clear(&job->scratch[worker]);
        kith_status status = evaluate(job, &job->parts[i], &job->scratch[worker], error);
        if (status) return status;
    }
    return KITH_OK;
}

/* ---- all rows */

static void admit_all(struct kt_selection *rows, const struct kt_segment *segment)
{
    const uint64_t full = UINT64_MAX, count = kt_segment_rows(segment);
    for (uint64_t at = 0; at < count; at += 64)
        kt_segment_put(segment, at, kt_min_u64(64, count - at), &full, rows);
}

/* Deleted rows are evaluated with the others beside them, and lose their bits here. */
static kith_status keep_live(struct kt_where *where, kith_error *error)
{
    const struct kt_selection *live = NULL;
    kith_status status = kt_snapshot_live(where->snapshot, &live, error);
    if (status || !live) return status;
    where->rows.count = 0;
    for (uint64_t i = 0; i < (where->rows.rows + 63) / 64; i++) {
        where->rows.words[i] &= live->words[i];
        where->rows.count += (uint64_t)__builtin_popcountll(where->rows.words[i]);
    }
    return KITH_OK;
}

/* ---- what the ids say */

static uint64_t id_of(const struct kt_value *value)
{
    return value->kind == KT_VALUE_UINT ? value->natural : (uint64_t)value->integer;
}

/* The ids that a range leaves of [0, all). */
static struct kt_rows ids_of_range(const struct kt_probe *probe, uint64_t all)
{
    struct kt_rows ids = { 0, all };
    if (probe->low.kind != KT_VALUE_NULL) {
        uint64_t low = id_of(&probe->low);
        ids.begin = low < all ? low + probe->low_open : all;
    }
    if (probe->high.kind != KT_VALUE_NULL) {
        uint64_t high = id_of(&probe->high);
        ids.end = high < all ? high + !probe->high_open : all;
    }
    if (ids.begin > ids.end) ids.begin = ids.end;
    return ids;
}

static bool is_of_ids(const struct kt_probe *probe)
{
    return probe->column == KT_PROBE_ROW_ID && (probe->kind == KT_PROBE_RANGE || probe->kind == KT_PROBE_IN);
}

/* Between which ids the rows lie that the predicate may admit. */
static struct kt_rows ids_left(const struct kt_where *where)
{
    uint32_t count = 0;
    struct kt_rows left = { 0, where->rows.rows };
    const struct kt_probe *probes = kt_filter_probes(where->filter, &count);
    for (uint32_t i = 0; i < count; i++) {
        const struct kt_value *values = &probes[i].values;
        struct kt_rows ids = { 0, 0 };
        if (!is_of_ids(&probes[i])) continue;
        if (probes[i].kind == KT_PROBE_RANGE) {
            ids = ids_of_range(&probes[i], left.end);
        } else if (values->count) { /* sorted */
            uint64_t last = id_of(&values->items[values->count - 1]);
            ids = (struct kt_rows){ id_of(&values->items[0]), last < left.end ? last + 1 : left.end };
        }
        left = (struct kt_rows){ kt_max_u64(left.begin, ids.begin), kt_min_u64(left.end, ids.end) };
    }
    if (left.begin > left.end) left.begin = left.end;
    return left;
}

static void select_ids(struct kt_selection *rows, struct kt_rows ids)
{
    const uint64_t full = UINT64_MAX;
    for (uint64_t at = ids.begin; at < ids.end; at += 64)
        kt_selection_put(rows, at, &full, kt_min_u64(64, ids.end - at));
}

/* Answers a probe of `_rowid` for every row. */
static kith_status ask_ids(const struct kt_where *where, const struct kt_probe *probe, struct answer *answer,
                           kith_error *error)
{
    uint64_t all = answer->rows.rows = where->rows.rows;
    answer->rows.words = kt_alloc_zero(all / 64 + 1, sizeof *answer->rows.words);
    answer->covers = kt_alloc_array(1, sizeof *answer->covers);
    if (!answer->rows.words || !answer->covers) return kt_fail_memory(error, all / 8);
    answer->covers[answer->cover_count++] = (struct kt_rows){ 0, all };
    if (probe->kind == KT_PROBE_RANGE) select_ids(&answer->rows, ids_of_range(probe, all));
    for (size_t i = 0; i < probe->values.count; i++) {
        uint64_t id = id_of(&probe->values.items[i]);
        if (id < all) select_ids(&answer->rows, (struct kt_rows){ id, id + 1 });
    }
    return KITH_OK;
}

/* ---- what has to be read */

/* Cuts what has to be read into parts; settles the rest by statistics and ids. */
static kith_status list_parts(struct kt_where *where, struct kt_buffer *parts, kith_error *error)
{
    const struct kt_snapshot *snapshot = where->snapshot;
    const struct kt_rows left = ids_left(where);
    for (uint32_t s = 0; s < snapshot->state->fragment_count; s++) {
        struct kt_segment *segment = snapshot->segments[s];
        uint64_t rows = kt_segment_rows(segment), count = 0, end = kt_segment_place(segment, left.end);
        enum kt_verdict verdict = kt_filter_judge(where->filter, snapshot->state->fragments[s].stats);
        if (verdict == KT_EVERY_ROW) admit_all(&where->rows, segment);
        where->ruled += verdict == KT_SOME_ROWS ? 0 : rows;
        for (uint64_t row = kt_segment_place(segment, left.begin); verdict == KT_SOME_ROWS && row < end;
             row += count) {
            kt_segment_batch(segment, row, &count);
            count = kt_min_u64(kt_min_u64(count, KT_FILTER_ROWS), end - row);
            const struct part part = { s, (uint32_t)count, row };
            if (!kt_buffer_append(parts, &part, sizeof part)) return kt_fail_memory(error, sizeof part);
        }
    }
    return KITH_OK;
}

/* ---- what indexes know */

/* Asks one piece; `answer` takes its rows where it can tell and they are few. */
static kith_status ask_piece(const struct kt_where *where, const struct kt_table_scalar *scalar,
                             const struct kt_probe *probe, struct answer *answer, kith_error *error)
{
    const struct kt_scalar *open = NULL;
    const struct kt_piece *piece = scalar->piece;
    uint64_t rows = 0, covered = 0;
    bool answered = false;
    for (uint32_t i = 0; i < piece->cover_count; i++)
        covered += piece->covers[i].end - piece->covers[i].begin;
    kith_status status = kt_snapshot_scalar(where->snapshot, scalar, &open, error);
    if (!status) status = kt_scalar_estimate(open, probe, &rows, &answered, error);
    if (status || !answered || rows > covered / FEW_OF) return status;
    size_t count = answer->cover_count + piece->cover_count;
    struct kt_rows *covers = kt_realloc_array(answer->covers, count, sizeof *covers);
    if (!covers) return kt_fail_memory(error, count * sizeof *covers);
    answer->covers = covers;
    if (!answer->rows.words) {
        answer->rows.rows = where->rows.rows;
        answer->rows.words = kt_alloc_zero(answer->rows.rows / 64 + 1, sizeof *answer->rows.words);
        if (!answer->rows.words) return kt_fail_memory(error, answer->rows.rows / 8);
    }
    status = kt_scalar_probe(open, probe, &answer->rows, &answered, error);
    for (uint32_t i = 0; !status && answered && i < piece->cover_count; i++)
        covers[answer->cover_count++] = piece->covers[i];
    return status;
}

/* Pieces of one column may cover the same rows: the first that covers some is asked. */
static bool is_covered(const struct answer *answer, const struct kt_piece *piece)
{
    for (uint32_t i = 0; i < answer->cover_count; i++)
        for (uint32_t c = 0; c < piece->cover_count; c++)
            if (piece->covers[c].begin < answer->covers[i].end &&
                answer->covers[i].begin < piece->covers[c].end)
                return true;
    return false;
}

static bool is_of(const struct kt_table_scalar *scalar, const struct kt_probe *probe)
{
    return scalar->column == probe->column && kt_path_is(&scalar->path, probe->steps, probe->step_count);
}

/* Asks the pieces of indexes over what the probe is of. */
static kith_status ask_pieces(const struct kt_where *where, const struct kt_probe *probe,
                              struct kt_work *work, struct answer *answer, kith_error *error)
{
    const struct kt_snapshot *snapshot = where->snapshot;
    kith_status status = KITH_OK;
    for (uint32_t s = 0; !status && s < snapshot->scalar_count; s++) {
        const struct kt_table_scalar *scalar = &snapshot->scalars[s];
        if (!is_of(scalar, probe) || is_covered(answer, scalar->piece)) continue;
        status = kt_work_poll(work, "filter", error);
        if (!status) status = ask_piece(where, scalar, probe, answer, error);
    }
    return status;
}

static kith_status ask_indexes(struct job *job, struct kt_work *work, kith_error *error)
{
    struct kt_where *where = job->where;
    const struct kt_probe *probes = kt_filter_probes(where->filter, &job->answer_count);
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < job->answer_count; i++) {
        struct answer *answer = &job->answers[i];
        bool ids = is_of_ids(&probes[i]);
        status = ids ? ask_ids(where, &probes[i], answer, error)
                     : ask_pieces(where, &probes[i], work, answer, error);
        where->by_ids += ids;
        where->probed += !ids && answer->cover_count > 0;
    }
    return status;
}

/* ---- all of it */

static kith_status evaluate_all(struct kt_where *where, struct kt_work *work, kith_error *error)
{
    struct kt_buffer parts = { 0 };
    kith_status status = kt_work_poll(work, "filter", error);
    if (!status) status = list_parts(where, &parts, error);
    size_t count = parts.size / sizeof(struct part);
    uint32_t asked = work->threads, threads;
    threads = work->threads = (uint32_t)kt_max_u64(1, kt_min_u64(kt_work_threads(work), count / PARTS_EACH));
    struct job job = { .where = where, .work = work, .parts = (const struct part *)(const void *)parts.data };
    if (!status && count) {
        job.scratch = kt_alloc_zero(threads, sizeof *job.scratch);
        if (!job.scratch) status = kt_fail_memory(error, threads * sizeof *job.scratch);
        if (!status) status = ask_indexes(&job, work, error);
        if (!status)
            status =
                kt_parallel_for(work, work->asks ? "filter" : NULL, count, 1, evaluate_parts, &job, error);
        for (uint32_t i = 0; job.scratch && i < threads; i++) kt_arena_release(&job.scratch[i]);
        for (uint32_t i = 0; i < job.answer_count; i++) {
            kt_free(job.answers[i].rows.words);
            kt_free(job.answers[i].covers);
        }
        kt_free(job.scratch);
    }
    work->threads = asked;
    kt_buffer_release(&parts);
    return status;
}

static kith_status make(struct kt_snapshot *snapshot, const struct kt_expr *expr, struct kt_work *work,
                        struct kt_where **out, kith_error *error)
{
    struct kt_where *where = kt_alloc_zero(1, sizeof *where);
    double begin = kt_seconds();
    if (!where) return kt_fail_memory(error, sizeof *where);
    atomic_init(&where->references, 1);
    kt_lock_init(&where->lock);
    where->snapshot = kt_snapshot_share(snapshot);
    where->rows.rows = snapshot->state->next_row;
    where->rows.words = kt_alloc_zero(where->rows.rows / 64 + 1, sizeof *where->rows.words);
    kith_status status = where->rows.words ? KITH_OK : kt_fail_memory(error, where->rows.rows / 8);
    if (!status) status = kt_filter_bind(expr, snapshot->schema, true, &where->filter, error);
    if (!status) status = evaluate_all(where, work, error);
    if (!status) status = keep_live(where, error);
    where->seconds = kt_seconds() - begin;
    if (status)
        kt_where_release(where);
    else
        *out = where;
    return status;
}

kith_status kt_where_of(struct kt_snapshot *snapshot, const char *text, const struct kt_expr *expr,
                        struct kt_work *work, struct kt_where **out, kith_error *error)
{
    struct kt_expr *parsed = NULL;
    struct kt_work any = { 0 };
    *out = NULL;
    if (!text && !expr) return KITH_OK;
    if (text && expr)
        return kt_fail(error, KITH_INVALID,
                       "a filter was given twice, as text and as an expression; give one");
    kith_status status = text ? kt_expr_parse(text, NULL, 0, &parsed, error) : KITH_OK;
    if (!status) status = make(snapshot, text ? parsed : expr, work ? work : &any, out, error);
    kt_expr_release(parsed);
    return status;
}

static const struct kt_where_counted *find_counted(struct kt_where *where, const struct kt_piece *piece)
{
    kt_lock_take(&where->lock);
    const struct kt_where_counted *at = where->counted;
    while (at && at->piece != piece) at = at->next;
    kt_lock_give(&where->lock);
    return at;
}

kith_status kt_where_count(struct kt_where *where, const struct kt_table_index *index,
                           const struct kt_index_matches **out, kith_error *error)
{
    const struct kt_index *open = NULL;
    const struct kt_where_counted *known = find_counted(where, index->piece);
    if (known) {
        *out = &known->matches;
        return KITH_OK;
    }
    struct kt_where_counted *made = kt_alloc_zero(1, sizeof *made);
    if (!made) return kt_fail_memory(error, sizeof *made);
    made->piece = index->piece;
    kith_status status = kt_snapshot_index(where->snapshot, index, &open, error);
    if (!status) status = index->ops->count(open, &where->rows, &made->matches, error);
    if (status) {
        kt_free(made);
        return status;
    }
    kt_lock_take(&where->lock); /* another thread may have counted too: both are right, and both are freed */
    made->next = where->counted;
    where->counted = made;
    kt_lock_give(&where->lock);
    *out = &made->matches;
    return KITH_OK;
}
