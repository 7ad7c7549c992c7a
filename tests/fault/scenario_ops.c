/* What each operation does, and what becomes of the model by it. */
#include <stdio.h>

#include "fault/scenario_private.h"

enum { IDS_A_STEP = 1000 };

struct rows *rows_of(const struct step *step)
{
    uint32_t salt = step->number | step->op->pad << 16;
    int64_t from = step->op->from ? step->op->from : step->number;
    return rows_range(from * IDS_A_STEP, step->op->rows, salt);
}

void stream_of(const struct step *step, struct ArrowArrayStream *out)
{
    struct rows *rows = rows_of(step);
    rows_stream(rows, out);
    rows_release(rows);
}

/* ---- handles */

static kith_status want_db(struct session *session, kith_error *error)
{
    return session->db ? KITH_OK : kith_open(session->uri, &session->db, error);
}

kith_status want(struct session *session, const struct step *step, kith_table **out, kith_error *error)
{
    kith_table **held = &session->tables[step->op->who];
    kith_status status = want_db(session, error);
    if (!status && !*held) status = kith_open_table(session->db, session->model.name, held, error);
    *out = *held;
    return status;
}

static void let_go(struct session *session, int who)
{
    kith_table_close(session->tables[who]);
    session->tables[who] = NULL;
    session->pinned[who] = 0;
}

static uint64_t shown(const struct session *session, int who)
{
    return session->pinned[who] ? session->pinned[who] : session->model.version_count;
}

struct rows *shown_rows(const struct session *session, int who)
{
    return model_rows_at(&session->model, shown(session, who));
}

/* ---- what a healthy disk answers */

kith_status answer_there(const struct session *session, const struct step *step)
{
    (void)step;
    return session->model.exists ? KITH_OK : KITH_NOT_FOUND;
}

kith_status answer_write(const struct session *session, const struct step *step)
{
    if (!session->model.exists) return KITH_NOT_FOUND;
    return session->pinned[step->op->who] ? KITH_READ_ONLY : KITH_OK;
}

/* ---- create */

static kith_status run_create(struct session *session, const struct step *step, kith_error *error)
{
    struct ArrowArrayStream data;
    kith_table *table = NULL;
    kith_create create = KITH_INIT(kith_create);
    create.overwrite = step->op->replace;
    create.key = step->op->keyed ? "id" : NULL;
    create.keep_versions = step->op->keeps_one ? 1 : 0;
    create.auto_index_threshold = step->op->number ? (int64_t)step->op->number : -1;
    kith_status status = want_db(session, error);
    if (status) return status;
    stream_of(step, &data);
    status = kith_create_table(session->db, session->model.name, &data, &create, &table, error);
    if (status) return status;
    let_go(session, step->op->who);
    session->tables[step->op->who] = table;
    return KITH_OK;
}

static void expect_create(struct model *model, const struct step *step)
{
    model->keeps_one = step->op->keeps_one;
    model_push(model, rows_of(step));
    model->versions[model->version_count - 1].extra = false;
    model->keyed = step->op->keyed;
    model->indexes = 0;
    model->perhaps = (step->op->number ? VECTOR_INDEX : 0) | (step->op->keyed ? ID_INDEX : 0);
}

static kith_status answer_create(const struct session *session, const struct step *step)
{
    return session->model.exists && !step->op->replace ? KITH_EXISTS : KITH_OK;
}

const struct op_kind op_create = {
    .name = "create", .run = run_create, .expect = expect_create, .answer = answer_create
};

/* ---- append, overwrite */

static kith_status write_rows(struct session *session, const struct step *step, kith_write_mode mode,
                              kith_error *error)
{
    struct ArrowArrayStream data;
    kith_table *table;
    kith_write write = KITH_INIT(kith_write);
    uint64_t version = 0;
    char key[32];
    write.mode = mode;
    snprintf(key, sizeof key, "write %u", step->op->key);
    write.idempotency_key = step->op->key ? key : NULL;
    kith_status status = want(session, step, &table, error);
    if (status) return status;
    stream_of(step, &data);
    status = kith_append(table, &data, &write, &version, error);
    bool counts = mode == KITH_OVERWRITE || step->op->rows;
    if (!status && !step->op->key && version != session->model.version_count + counts)
        complain(&session->complaint, "a write says that it made version %llu, after %u",
                 (unsigned long long)version, session->model.version_count);
    return status;
}

static kith_status run_append(struct session *session, const struct step *step, kith_error *error)
{
    return write_rows(session, step, KITH_APPEND, error);
}

static void expect_append(struct model *model, const struct step *step)
{
    uint64_t key = step->op->key ? (uint64_t)1 << step->op->key : 0;
    if (!step->op->rows || (model->keys & key)) return;
    model->keys |= key;
    struct rows *added = rows_of(step);
    model_push(model, rows_join(model_rows(model), added));
    rows_release(added);
}

static kith_status answer_append(const struct session *session, const struct step *step)
{
    kith_status status = answer_write(session, step);
    if (status || !session->model.keyed) return status;
    struct rows *rows = rows_of(step);
    for (size_t i = 0; i < rows->count && !status; i++)
        if (rows_find(model_rows(&session->model), rows->row[i].id)) status = KITH_EXISTS;
    rows_release(rows);
    return status;
}

const struct op_kind op_append = {
    .name = "append", .run = run_append, .expect = expect_append, .answer = answer_append
};

static kith_status run_overwrite(struct session *session, const struct step *step, kith_error *error)
{
    return write_rows(session, step, KITH_OVERWRITE, error);
}

static void expect_overwrite(struct model *model, const struct step *step)
{
    model_push(model, rows_of(step));
    model->perhaps |= model->indexes;
    model->indexes = 0;
}

const struct op_kind op_overwrite = {
    .name = "overwrite", .run = run_overwrite, .expect = expect_overwrite, .answer = answer_write
};

/* ---- indexes */

static const char *column_of(uint32_t index)
{
    return index_columns[__builtin_ctz(index)];
}

static kith_status run_index(struct session *session, const struct step *step, kith_error *error)
{
    kith_table *table;
    kith_index index = KITH_INIT(kith_index);
    index.column = column_of(step->op->index);
    index.type = step->op->type;
    index.threads = 1;
    if (step->op->index == VECTOR_INDEX && index.type != KITH_HNSW) index.num_partitions = 3;
    if (index.type == KITH_HNSW) index.m = 4, index.ef_construction = 16; /* few links: lists overflow */
    if (step->op->type == KITH_IVF_PQ) index.num_sub_vectors = 4;
    kith_status status = want(session, step, &table, error);
    return status ? status : kith_create_index(table, &index, error);
}

static void expect_index(struct model *model, const struct step *step)
{
    model->indexes |= step->op->index;
    model->perhaps &= ~step->op->index;
}

const struct op_kind op_index = {
    .name = "index", .run = run_index, .expect = expect_index, .answer = answer_write
};

static kith_status run_drop_index(struct session *session, const struct step *step, kith_error *error)
{
    kith_table *table;
    char name[32];
    snprintf(name, sizeof name, "%s_idx", column_of(step->op->index));
    kith_status status = want(session, step, &table, error);
    return status ? status : kith_drop_index(table, name, error);
}

static void expect_drop_index(struct model *model, const struct step *step)
{
    model->indexes &= ~step->op->index;
}

static kith_status answer_drop_index(const struct session *session, const struct step *step)
{
    kith_status status = answer_write(session, step);
    return status || (session->model.indexes & step->op->index) ? status : KITH_NOT_FOUND;
}

const struct op_kind op_drop_index = {
    .name = "drop_index", .run = run_drop_index, .expect = expect_drop_index, .answer = answer_drop_index
};

/* ---- the table as a whole */

static kith_status run_drop(struct session *session, const struct step *step, kith_error *error)
{
    (void)step;
    kith_status status = want_db(session, error);
    if (!status) status = kith_drop_table(session->db, session->model.name, error);
    let_go(session, 0);
    let_go(session, 1);
    return status;
}

static void expect_drop(struct model *model, const struct step *step)
{
    (void)step;
    model_clear(model);
}

const struct op_kind op_drop = {
    .name = "drop", .run = run_drop, .expect = expect_drop, .answer = answer_there
};

static const char *other_name(const char *name)
{
    return name[0] == 't' ? "u" : "t";
}

static kith_status run_rename(struct session *session, const struct step *step, kith_error *error)
{
    const char *name = session->model.name;
    (void)step;
    kith_status status = want_db(session, error);
    return status ? status : kith_rename_table(session->db, name, other_name(name), error);
}

static void expect_rename(struct model *model, const struct step *step)
{
    (void)step;
    model->name = other_name(model->name);
}

const struct op_kind op_rename = {
    .name = "rename", .run = run_rename, .expect = expect_rename, .answer = answer_there
};

/* ---- versions, handles */

static kith_status run_checkout(struct session *session, const struct step *step, kith_error *error)
{
    kith_table *table;
    kith_status status = want(session, step, &table, error);
    if (!status) status = kith_table_checkout(table, step->op->number, error);
    if (!status) session->pinned[step->op->who] = step->op->number;
    return status;
}

static kith_status answer_checkout(const struct session *session, const struct step *step)
{
    uint64_t version = step->op->number;
    return session->model.exists && model_rows_at(&session->model, version) ? KITH_OK : KITH_NOT_FOUND;
}

const struct op_kind op_checkout = {
    .name = "checkout", .run = run_checkout, .answer = answer_checkout, .versioned = true
};

static kith_status run_latest(struct session *session, const struct step *step, kith_error *error)
{
    kith_table *table;
    kith_status status = want(session, step, &table, error);
    if (!status) status = kith_table_checkout_latest(table, error);
    if (!status) session->pinned[step->op->who] = 0;
    return status;
}

const struct op_kind op_latest = { .name = "latest", .run = run_latest, .answer = answer_there };

static kith_status run_reopen(struct session *session, const struct step *step, kith_error *error)
{
    kith_table *table;
    let_go(session, 0);
    let_go(session, 1);
    kith_close(session->db);
    session->db = NULL;
    return want(session, step, &table, error);
}

const struct op_kind op_reopen = { .name = "reopen", .run = run_reopen, .answer = answer_there };

/* ---- reads: what they say must be so, or they must fail */

static kith_status run_read(struct session *session, const struct step *step, kith_error *error)
{
    kith_table *table;
    kith_status status = want(session, step, &table, error);
    if (status || !session->model.exists) return status;
    return look_rows(table, &session->model, session->pinned[step->op->who], &session->complaint, error);
}

const struct op_kind op_read = { .name = "read", .run = run_read, .answer = answer_there };

typedef kith_status (*look_fn)(kith_table *table, const struct rows *rows, struct complaint *complaint,
                               kith_error *error);

static kith_status run_look(struct session *session, const struct step *step, look_fn look, kith_error *error)
{
    kith_table *table;
    kith_status status = want(session, step, &table, error);
    if (status || !session->model.exists) return status;
    return look(table, shown_rows(session, step->op->who), &session->complaint, error);
}

static kith_status run_search(struct session *session, const struct step *step, kith_error *error)
{
    return run_look(session, step, look_search, error);
}

static kith_status run_filter(struct session *session, const struct step *step, kith_error *error)
{
    return run_look(session, step, look_filter, error);
}

static kith_status run_take(struct session *session, const struct step *step, kith_error *error)
{
    return run_look(session, step, look_take, error);
}

static kith_status run_verify(struct session *session, const struct step *step, kith_error *error)
{
    kith_table *table;
    kith_status status = want(session, step, &table, error);
    return status ? status : kith_table_verify(table, NULL, error);
}

const struct op_kind op_search = { .name = "search", .run = run_search, .answer = answer_there };
const struct op_kind op_filter = { .name = "filter", .run = run_filter, .answer = answer_there };
const struct op_kind op_take = { .name = "take", .run = run_take, .answer = answer_there };
const struct op_kind op_verify = { .name = "verify", .run = run_verify, .answer = answer_there };
