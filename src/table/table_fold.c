/* Folding: small fragments at the end of a table become one, as a log-structured merge tree does it, and
 * fragments that are mostly dead are written again without their dead rows.
 *
 * Every add makes a fragment; a thousand small ones would be a thousand files to open, and rows that travel
 * inside commits must leave them some day. So the write after which 64 small fragments stand at the table's
 * end merges them: from the newest backwards, as long as a fragment is not larger than twice what was
 * gathered so far, so that a row is rewritten a number of times that grows with the logarithm of the table.
 * At most 64 MiB are merged by one write. A fragment in which more rows are dead than alive is written again,
 * with the small ones beside it; so what is dead takes no more room than what lives, and a row that lives
 * pays for one that died.
 *
 * The rows keep their ids: what is left out becomes a hole, and indexes and handles notice nothing. The
 * merged files stay, for older versions. It is a commit of its own, after the one that it follows: what fails
 * here fails nobody.
 */
#include "table/table_private.h"

enum {
    SMALL_MOST = 64,                /* small fragments at the end before they are merged */
    SMALL_BYTES = 8 * 1024 * 1024,  /* a fragment below this is small */
    TINY_BYTES = 256 * 1024,        /* and below this is merged whatever stands behind it */
    INLINE_BYTES_MOST = 256 * 1024, /* of rows inside commits */
    MERGE_BYTES = 64 * 1024 * 1024,
    SPAN_MOST = 1 << 20, /* ids between two fragments that may become holes of one */
};

static uint64_t fragment_bytes(const struct kt_fragment *fragment)
{
    uint64_t bytes = fragment->inline_rows ? fragment->inline_rows->size : 0;
    for (uint32_t g = 0; g < fragment->group_count; g++) bytes += fragment->groups[g].file.seal.length;
    return bytes;
}

/* Fragments [begin, end) of a state. */
struct range {
    uint32_t begin, end;
};

/* The holes of one fragment should not be more than its rows ever were. */
static bool too_far(const struct kt_state *state, struct range range, const struct kt_fragment *before)
{
    return range.end > range.begin &&
           state->fragments[range.begin].first_row - kt_fragment_end(before) > SPAN_MOST;
}

/* Whether fragment `at` is so small, live rows counted, that it goes with those of a range beside it. */
static bool is_small_beside(const struct kt_state *state, struct range range, uint32_t at, uint64_t *rows)
{
    const struct kt_fragment *fragment = &state->fragments[at];
    uint32_t near = at < range.begin ? range.begin : range.end - 1;
    const struct kt_fragment *first = at < near ? fragment : &state->fragments[near];
    const struct kt_fragment *second = at < near ? &state->fragments[near] : fragment;
    if (fragment_bytes(fragment) >= SMALL_BYTES || kt_fragment_live(fragment) > 2 * *rows ||
        second->first_row - kt_fragment_end(first) > SPAN_MOST)
        return false;
    *rows += kt_fragment_live(fragment);
    return true;
}

/* Whether the end of the table asks for a merge. */
static bool tail_due(const struct kt_state *state)
{
    uint32_t small = 0;
    uint64_t inlined = 0;
    for (uint32_t i = state->fragment_count; i-- > 0 && small <= SMALL_MOST; small++) {
        const struct kt_fragment *fragment = &state->fragments[i];
        if (fragment_bytes(fragment) >= SMALL_BYTES) break;
        inlined += fragment->inline_rows ? fragment->inline_rows->size : 0;
    }
    return small > SMALL_MOST || (small > 1 && inlined > INLINE_BYTES_MOST);
}

/* The fragments that are merged, all up to the last. */
static struct range tail_of(const struct kt_state *state)
{
    struct range range = { state->fragment_count, state->fragment_count };
    uint64_t gathered = 0;
    while (range.begin) {
        const struct kt_fragment *fragment = &state->fragments[range.begin - 1];
        uint64_t bytes = fragment_bytes(fragment);
        if (bytes >= SMALL_BYTES || gathered + bytes > MERGE_BYTES || too_far(state, range, fragment) ||
            (bytes > TINY_BYTES && bytes > 2 * gathered && gathered))
            break;
        gathered += bytes;
        range.begin--;
    }
    return range;
}

/* A fragment that is mostly dead, and its small neighbours. */
static struct range dying_of(const struct kt_state *state)
{
    struct range range = { 0, 0 };
    for (uint32_t i = 0; i < state->fragment_count && !range.end; i++)
        if (state->fragments[i].dead_rows > kt_fragment_live(&state->fragments[i]))
            range = (struct range){ i, i + 1 };
    uint64_t rows = range.end ? kt_fragment_live(&state->fragments[range.begin]) : 0;
    while (range.end && range.begin && is_small_beside(state, range, range.begin - 1, &rows)) range.begin--;
    while (range.end && range.end < state->fragment_count && is_small_beside(state, range, range.end, &rows))
        range.end++;
    return range;
}

/* ---- writing them as one */

/* The rows of a record batch that live, where some do not. */
static kith_status copy_live(const struct kt_segment *segment, uint64_t row, const struct kt_selection *live,
                             struct kt_batch **batch, kith_error *error)
{
    uint64_t count = (uint64_t)(*batch)->rows;
    struct kt_builder *builder = NULL;
    struct kt_batch *copied = NULL;
    struct kt_selection bits = { .words = kt_alloc_array(count / 64 + 1, 8), .rows = count };
    if (!bits.words) return kt_fail_memory(error, count / 8);
    memset(bits.words, 0xff, (count / 64 + 1) * 8);
    kt_segment_mask(segment, row, count, live, bits.words);
    kith_status status = kt_builder_new((*batch)->schema, (int64_t)count, &builder, error);
    for (uint64_t at = kt_selection_next(&bits, 0); at < count && !status;) {
        uint64_t end = at + 1;
        while (end < count && kt_selected(&bits, end)) end++;
        for (uint32_t c = 0; c < (*batch)->schema->count && !status; c++)
            status =
                kt_builder_append(builder, c, &(*batch)->columns[c], (int64_t)at, (int64_t)(end - at), error);
        at = kt_selection_next(&bits, end);
    }
    kt_free(bits.words);
    if (status)
        kt_builder_free(builder);
    else
        status = kt_builder_finish(builder, &copied, error);
    if (status) return status;
    kt_batch_release(*batch);
    *batch = copied;
    return KITH_OK;
}

/* Adds the live rows of a segment, record batch by record batch. */
static kith_status add_segment(const struct kt_snapshot *snapshot, uint32_t number,
                               struct kt_fragments *fragments, kith_error *error)
{
    struct kt_segment *segment = snapshot->segments[number];
    const struct kt_selection *live = NULL;
    bool some_dead = snapshot->state->fragments[number].dead_rows;
    kith_status status = some_dead ? kt_snapshot_live(snapshot, &live, error) : KITH_OK;
    for (uint64_t row = 0, rows = 0; row < kt_segment_rows(segment) && !status; row += rows) {
        struct kt_batch *batch = NULL;
        uint32_t at = kt_segment_batch(segment, row, &rows);
        status = kt_segment_lend(segment, at, snapshot->schema, NULL, NULL, &batch, error);
        if (!status && some_dead) status = copy_live(segment, row, live, &batch, error);
        if (!status && batch->rows) status = kt_fragments_add(fragments, batch, error);
        kt_batch_release(batch);
    }
    return status;
}

struct folded {
    const struct kt_fragment *fragment;
    const struct kt_state *then; /* the state that was read */
};

static kith_status prepare(void *context, const struct kt_state *state, struct kt_txn *txn, kith_error *error)
{
    const struct folded *folded = context;
    (void)state; /* replace_fragments refuses rows that are no longer there */
    kt_txn_maintenance(txn);
    return kt_txn_replace_fragments(txn, folded->fragment, folded->then, error);
}

static kith_status fold(struct kt_table_home *home, const struct kt_snapshot *snapshot, struct range range,
                        struct kt_state **out, kith_error *error)
{
    const struct kt_state *state = snapshot->state;
    struct kt_txn *txn = NULL;
    struct kt_fragments fragments = { .schema = snapshot->schema };
    kith_status status = kt_txn_begin(home->store, "fold", &txn, error);
    fragments.txn = txn;
    for (uint32_t i = range.begin; i < range.end && !status; i++)
        status = add_segment(snapshot, i, &fragments, error);
    if (!status) status = kt_fragments_end(&fragments, false, error);
    if (!status && fragments.done_count != 1)
        status = kt_fail(error, KITH_UNSUPPORTED, "the fragments are too large to be one");
    if (!status) {
        struct kt_fragment *made = &fragments.done[0];
        made->first_row = state->fragments[range.begin].first_row;
        made->span = kt_fragment_end(&state->fragments[range.end - 1]) - made->first_row;
        struct folded folded = { made, state };
        status = kt_txn_commit(txn, prepare, &folded, out, error);
        txn = NULL;
    }
    kt_fragments_release(&fragments);
    kt_txn_abandon(txn);
    return status;
}

void kt_table_fold(struct kt_table_home *home, struct kt_state *state)
{
    kith_error ignored;
    struct kt_snapshot *snapshot = NULL;
    struct range range = dying_of(state);
    if (range.begin == range.end && tail_due(state)) {
        range = tail_of(state);
        if (range.end - range.begin < 2) return;
    }
    if (range.begin == range.end) return;
    if (kt_snapshot_open(home, kt_state_share(state), NULL, &snapshot, &ignored)) return;
    fold(home, snapshot, range, NULL, &ignored);
    kt_snapshot_release(snapshot);
}

/* ---- all at once, because somebody asked */

/* The first range from `from` on that is worth a fold of its own: small neighbours, as many as make a
 * fragment, or one with any dead row. */
static struct range next_range(const struct kt_state *state, uint32_t from)
{
    for (uint32_t i = from; i < state->fragment_count; i++) {
        uint64_t gathered = 0;
        struct range range = { i, i };
        bool any_dead = false;
        while (range.end < state->fragment_count) {
            const struct kt_fragment *next = &state->fragments[range.end];
            uint64_t bytes = fragment_bytes(next);
            bool alone = bytes >= MERGE_BYTES / 2;
            if (range.end > i && (alone || gathered + bytes > MERGE_BYTES ||
                                  next->first_row - kt_fragment_end(next - 1) > SPAN_MOST))
                break;
            any_dead |= next->dead_rows != 0;
            gathered += bytes;
            range.end++;
            if (alone) break;
        }
        if (any_dead || range.end - range.begin > 1) return range;
    }
    return (struct range){ 0, 0 };
}

kith_status kt_table_fold_all(struct kt_table *table, struct kt_work *work, kith_upkeep_stats *stats,
                              kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint32_t from = 0; !status;) {
        struct kt_snapshot *snapshot = NULL;
        struct kt_state *after = NULL;
        struct range range = { 0, 0 };
        status = kt_table_newest(table, &snapshot, error);
        if (!status) range = next_range(snapshot->state, from);
        if (!status && range.begin == range.end) from = UINT32_MAX; /* done */
        if (!status && from != UINT32_MAX) {
            status = fold(table->home, snapshot, range, &after, error);
            if (!status) {
                stats->fragments_removed += range.end - range.begin;
                stats->fragments_added++;
            }
            if (status == KITH_UNSUPPORTED || status == KITH_CONFLICT) status = KITH_OK; /* passed over */
            from = range.begin + 1;
        }
        if (!status && from != UINT32_MAX)
            status = kt_work_tick(work, "fold", from, snapshot->state->fragment_count, error);
        kt_state_release(after);
        kt_snapshot_release(snapshot);
        if (from == UINT32_MAX) break;
    }
    return status;
}
