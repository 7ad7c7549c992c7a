/* Folding: small fragments at the end of a table become one, as a log-structured merge tree does it.
 *
 * Every add makes a fragment; a thousand small ones would be a thousand files to open, and rows that travel
 * inside commits must leave them some day. So the write after which 64 small fragments stand at the table's
 * end merges them: from the newest backwards, as long as a fragment is not larger than twice what was
 * gathered so far, so that a row is rewritten a number of times that grows with the logarithm of the table.
 * At most 64 MiB are merged by one write. The rows keep their ids; indexes and handles notice nothing. The
 * merged files stay, for older versions.
 *
 * It is a commit of its own, after the one that it follows: what fails here fails nobody.
 */
#include "table/table_private.h"

enum {
    SMALL_MOST = 64,                /* small fragments at the end before they are merged */
    SMALL_BYTES = 8 * 1024 * 1024,  /* a fragment below this is small */
    TINY_BYTES = 256 * 1024,        /* and below this is merged whatever stands behind it */
    INLINE_BYTES_MOST = 256 * 1024, /* of rows inside commits */
    MERGE_BYTES = 64 * 1024 * 1024,
};

static uint64_t fragment_bytes(const struct kt_fragment *fragment)
{
    uint64_t bytes = fragment->inline_rows ? fragment->inline_rows->size : 0;
    for (uint32_t g = 0; g < fragment->group_count; g++) bytes += fragment->groups[g].file.seal.length;
    return bytes;
}

static bool adjacent(const struct kt_fragment *before, const struct kt_fragment *after)
{
    return before->first_row + before->rows == after->first_row;
}

/* Whether the end of the table asks for a merge. */
static bool fold_due(const struct kt_state *state)
{
    uint32_t small = 0;
    uint64_t inlined = 0;
    for (uint32_t i = state->fragment_count; i-- > 0 && small <= SMALL_MOST; small++) {
        const struct kt_fragment *fragment = &state->fragments[i];
        if (i + 1 < state->fragment_count && !adjacent(fragment, &state->fragments[i + 1])) break;
        if (fragment_bytes(fragment) >= SMALL_BYTES) break;
        inlined += fragment->inline_rows ? fragment->inline_rows->size : 0;
    }
    return small > SMALL_MOST || (small > 1 && inlined > INLINE_BYTES_MOST);
}

/* The first of the fragments that are merged, all up to the last. */
static uint32_t fold_begin(const struct kt_state *state)
{
    uint32_t begin = state->fragment_count;
    uint64_t gathered = 0;
    while (begin) {
        const struct kt_fragment *fragment = &state->fragments[begin - 1];
        uint64_t bytes = fragment_bytes(fragment);
        if (begin < state->fragment_count && !adjacent(fragment, &state->fragments[begin])) break;
        if (bytes >= SMALL_BYTES || gathered + bytes > MERGE_BYTES ||
            (bytes > TINY_BYTES && bytes > 2 * gathered && gathered))
            break;
        gathered += bytes;
        begin--;
    }
    return begin;
}

/* Adds all rows of a segment, record batch by record batch. */
static kith_status add_segment(const struct kt_snapshot *snapshot, struct kt_segment *segment,
                               struct kt_fragments *fragments, kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint64_t row = 0, rows = 0; row < kt_segment_rows(segment) && !status; row += rows) {
        struct kt_batch *batch = NULL;
        uint32_t number = kt_segment_batch(segment, row, &rows);
        status = kt_segment_lend(segment, number, snapshot->schema, NULL, NULL, &batch, error);
        if (!status) status = kt_fragments_add(fragments, batch, error);
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

static void fold(struct kt_table_home *home, const struct kt_snapshot *snapshot, uint32_t begin)
{
    kith_error ignored;
    struct kt_txn *txn = NULL;
    struct kt_fragments fragments = { .schema = snapshot->schema };
    kith_status status = kt_txn_begin(home->store, "fold", &txn, &ignored);
    fragments.txn = txn;
    for (uint32_t i = begin; i < snapshot->state->fragment_count && !status; i++)
        status = add_segment(snapshot, snapshot->segments[i], &fragments, &ignored);
    if (!status) status = kt_fragments_end(&fragments, false, &ignored);
    if (!status && fragments.done_count == 1) {
        fragments.done[0].first_row = snapshot->state->fragments[begin].first_row;
        struct folded folded = { &fragments.done[0], snapshot->state };
        kt_txn_commit(txn, prepare, &folded, NULL, &ignored);
        txn = NULL;
    }
    kt_fragments_release(&fragments);
    kt_txn_abandon(txn);
}

void kt_table_fold(struct kt_table_home *home, struct kt_state *state)
{
    kith_error ignored;
    struct kt_snapshot *snapshot = NULL;
    if (!fold_due(state)) return;
    uint32_t begin = fold_begin(state);
    if (state->fragment_count - begin < 2) return;
    if (kt_snapshot_open(home, kt_state_share(state), NULL, &snapshot, &ignored)) return;
    fold(home, snapshot, begin);
    kt_snapshot_release(snapshot);
}
