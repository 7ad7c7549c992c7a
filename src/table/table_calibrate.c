/* Calibrating again: what a wanted recall takes is learned when an index is built, of the rows there are
 * then. Rows come and go, and the rule that was right for those is not for these: half a table turned over,
 * cluster by cluster, and the default recall of 0.95 was 0.90 (tests/long/long_stream.c). The lists still
 * serve, only more or fewer of them must be visited.
 *
 * So when a tenth of the rows came since, some dozens of these are looked for by the rule there is, and
 * some hundreds where that says no. Where they are found as well as it says, all goes on. Where not, or when
 * half of the rows are others since it was learned, it is learned again, of a fifth of the searches that a
 * build replays: as sure as it takes. Most tables grow by rows like those that were there; a look costs them
 * a few microseconds a row that came, where learning each time doubled the price of an insertion. (Rows that
 * went need it less: lists count for what they hold, table_lived.c.) The base's piece is put into the log
 * once more, with the same file, under a new id: whoever has the index open goes on with the old rule, who
 * opens it next has the new one. What was learned of queries that a user gave is left alone: those are not
 * kept.
 *
 * A rule learned of rows holds for queries that are like them. Others suffer first when clusters come for
 * which there is no list: their neighbours lie scattered over lists that are far from each other. The sample
 * tells that too, by how far centroids are beside how near neighbours are ("fit"). On sift-photos-100k and
 * debian-10k the recall of foreign queries stayed within 0.01 of a fresh index while that had grown by less
 * than a twentieth, and was 0.015 to 0.09 lower when it had grown by more. Then the index is built anew. Rows
 * like those that were there hardly ever bring that about.
 *
 * A graph takes its links from the rows that come, so that it fits always; only, how far to walk grows with
 * their number, about by its logarithm. Its calibration is learned again when half of the rows are others.
 *
 * It is maintenance, as all that follows a write; a handle whose attempt failed waits for another tenth.
 */
#include "table/table_private.h"

#include "base/bytes.h"
#include "parallel/parallel.h"

static const double WORST_FIT = 1.05; /* beside that as built */
/* What a look lets pass. Rows that came are a tenth: all of them lose a tenth of that. */
static const float WORST_SHORTFALL = 0.03f;
static const double WORST_LOOK_FIT = 1.15;
enum {
    LOOK_SHARE = 10, /* rows that came and make a look due: one in so many, */
    SHARE = 2,       /* and learning again, without a look, */
    FEWEST = 256,    /* and so many at least */
    FEW_TRACES = 512,
    FEW_LOOKED_FOR = 24,
    MANY_LOOKED_FOR = 256
};
enum due { NOTHING, A_LOOK, LEARNING };

static uint64_t meta_number(const struct kt_piece *piece, const char *key, const char *else_key)
{
    const json_t *value = json_object_get(piece->meta, key);
    if (!json_is_integer(value)) value = json_object_get(piece->meta, else_key);
    return json_is_integer(value) && json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
}

/* Up to which row it is known that what was learned holds. */
static uint64_t looked_to(const struct kt_piece *piece)
{
    return kt_max_u64(meta_number(piece, "calibrated_to", "trained_to"),
                      meta_number(piece, "looked_to", "calibrated_to"));
}

static enum due what_is_due(const struct kt_snapshot *snapshot, const struct kt_table_index *index)
{
    const struct kt_state *state = snapshot->state;
    if (!index->ops || !index->ops->calibrate || !index->calibrated_on ||
        strcmp(index->calibrated_on, "rows"))
        return NOTHING;
    uint64_t to = meta_number(index->piece, "calibrated_to", "trained_to");
    uint64_t rows = meta_number(index->piece, "calibrated_rows", "trained_rows");
    uint64_t known = looked_to(index->piece);
    if (!to || known > state->next_row) return NOTHING;
    if (state->next_row - to > kt_max_u64(state->rows / SHARE, FEWEST) || rows > 2 * state->rows + FEWEST)
        return LEARNING;
    bool came = state->next_row - known > kt_max_u64(state->rows / LOOK_SHARE, FEWEST);
    return came && index->ops->look ? A_LOOK : NOTHING;
}

kith_status kt_piece_note_calibrated(const struct kt_snapshot *snapshot, json_t *meta, kith_error *error)
{
    const struct kt_state *state = snapshot->state;
    bool failed = json_object_set_new(meta, "calibrated_to", json_integer((json_int_t)state->next_row)) ||
                  json_object_set_new(meta, "calibrated_rows", json_integer((json_int_t)state->rows));
    return failed ? kt_fail_memory(error, 64) : KITH_OK;
}

struct recalibrating {
    const char *table;
    const struct kt_snapshot *snapshot;
    const struct kt_piece *old;
    struct kt_piece piece; /* borrows all but its meta */
};

static kith_status prepare(void *context, const struct kt_state *state, struct kt_txn *txn, kith_error *error)
{
    const struct recalibrating *r = context;
    char news[KT_NEWS];
    kt_txn_maintenance(txn);
    for (uint32_t i = 0; i < state->piece_count; i++) {
        if (strcmp(state->pieces[i].id, r->old->id) != 0) continue;
        kith_status status = kt_txn_remove_piece(txn, r->old->id, error);
        return status ? status : kt_txn_add_piece(txn, &r->piece, error);
    }
    return kt_fail(error, KITH_CONFLICT,
                   "index \"%s\" of table '%s' was changed (%s) while it was calibrated", r->old->index,
                   r->table, kt_state_news(state, r->snapshot->state, news));
}

/* With what was learned, or where there is nothing new, with how far it was seen to hold. */
static kith_status note(const struct recalibrating *r, json_t *calibration, json_t *meta, kith_error *error)
{
    const struct kt_state *state = r->snapshot->state;
    bool failed = calibration
                      ? json_object_set(meta, "calibration", calibration)
                      : json_object_set_new(meta, "looked_to", json_integer((json_int_t)state->next_row));
    if (failed) return kt_fail_memory(error, 4096);
    return calibration ? kt_piece_note_calibrated(r->snapshot, meta, error) : KITH_OK;
}

static kith_status commit(struct kt_table *table, struct recalibrating *r, json_t *calibration,
                          kith_error *error)
{
    struct kt_txn *txn = NULL;
    uint8_t id[16];
    r->piece = *r->old;
    r->piece.meta = json_deep_copy(r->old->meta);
    kith_status status =
        r->piece.meta ? note(r, calibration, r->piece.meta, error) : kt_fail_memory(error, 4096);
    if (!status) status = kt_io_entropy(r->snapshot->io, id, sizeof id, error);
    if (!status) {
        kt_hex(id, sizeof id, r->piece.id);
        status = kt_txn_begin(table->home->store, "calibrate", &txn, error);
    }
    if (!status) status = kt_txn_commit(txn, prepare, r, NULL, error);
    json_decref(r->piece.meta);
    return status;
}

static bool fits_no_more(const struct kt_piece *piece, double fit, double worst)
{
    double built = json_number_value(json_object_get(piece->meta, "fit_as_built"));
    return built > 0 && fit > worst * built;
}

/* Whether the rows that came since somebody looked are found as well as what was learned says. What so few
 * show may be chance: when they say no, more are asked. A few rows of which each is written again and again
 * say nothing of a table. */
static kith_status look(const struct kt_snapshot *snapshot, const struct kt_table_index *index,
                        const struct kt_index *open, struct kt_samples asked, struct kt_work *work,
                        bool *holds, kith_error *error)
{
    kith_status status = KITH_OK;
    *holds = false;
    for (uint64_t i = 0; !status && !*holds && i < 2; i++) {
        struct kt_index_look seen = { 0 };
        asked.most = i ? MANY_LOOKED_FOR : 0;
        status = index->ops->look(open, &snapshot->vectors[index->column], &asked, looked_to(index->piece),
                                  snapshot->state->next_row + i, work, &seen, error);
        *holds = seen.rows < FEW_LOOKED_FOR ||
                 (seen.shortfall <= WORST_SHORTFALL && !fits_no_more(index->piece, seen.fit, WORST_LOOK_FIT));
    }
    return status;
}

static kith_status build_anew(struct kt_table *table, const char *name, const struct kt_work *work,
                              kith_error *error)
{
    kith_index again = KITH_INIT(kith_index);
    again.name = name;
    again.progress = work->progress;
    again.progress_user = work->user;
    return kt_table_rebuild_index(table, &again, error);
}

static kith_status recalibrate(struct kt_table *table, const struct kt_snapshot *snapshot,
                               const struct kt_table_index *index, enum due due, struct kt_work *work,
                               kith_error *error)
{
    struct recalibrating r = { .table = table->name, .snapshot = snapshot, .old = index->piece };
    struct kt_samples sample = { .most = FEW_TRACES };
    const struct kt_index *open = NULL;
    json_t *calibration = NULL;
    bool holds = false;
    kith_status status = kt_snapshot_live(snapshot, &sample.live, error);
    if (!status) status = kt_snapshot_index(snapshot, index, &open, error);
    if (!status && due == A_LOOK) status = look(snapshot, index, open, sample, work, &holds, error);
    if (!status && holds) return commit(table, &r, NULL, error);
    if (!status)
        status = index->ops->calibrate(open, &snapshot->vectors[index->column], &sample,
                                       snapshot->state->next_row, work, &calibration, error);
    double fit = json_number_value(json_object_get(calibration, "fit"));
    if (!status && calibration && fits_no_more(index->piece, fit, WORST_FIT))
        status = build_anew(table, index->name, work, error);
    else if (!status && calibration)
        status = commit(table, &r, calibration, error);
    json_decref(calibration);
    return status;
}

kith_status kt_table_recalibrate(struct kt_table *table, const struct kt_snapshot *seen,
                                 kith_progress_fn progress, void *user, kith_error *error)
{
    struct kt_work work = { .progress = progress, .user = user };
    struct kt_snapshot *newest = NULL;
    kith_status status = KITH_OK;
    bool due = false;
    for (uint32_t i = 0; i < seen->index_count; i++) due |= what_is_due(seen, &seen->indexes[i]) != NOTHING;
    if (!due || seen->state->next_row < atomic_load(&table->calibrate_from)) return KITH_OK;
    work.threads = kt_work_threads(&work);
    status = kt_table_newest(table, &newest, error);
    for (uint32_t i = 0; !status && i < newest->index_count; i++) {
        enum due now = what_is_due(newest, &newest->indexes[i]);
        if (now != NOTHING) status = recalibrate(table, newest, &newest->indexes[i], now, &work, error);
    }
    if (status && status != KITH_CONFLICT)
        atomic_store(&table->calibrate_from, seen->state->next_row + seen->state->rows / LOOK_SHARE + FEWEST);
    kt_snapshot_release(newest);
    return status;
}
