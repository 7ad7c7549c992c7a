/* Operations that change what is there: rows deleted, updated and merged, versions brought back and tagged,
 * columns added and dropped.
 *
 * Which rows are meant is said by column n, whose values a row's id and salt decide, so that the model knows.
 * An update sets nothing to another value, for then a row's values would not be what its id and salt say: it
 * moves the rows, which is what can go wrong. A merge gives rows other values by giving them another salt.
 */
#include <stdlib.h>
#include <string.h>

#include "fault/scenario_private.h"

/* ---- delete, update: rows with n below the step's number */

static kith_status expr_below(const struct step *step, kith_expr **out, kith_error *error)
{
    kith_value most = { .type = KITH_VALUE_INT, .integer = (int64_t)step->op->number };
    return kith_expr_sql("n < ?", &most, 1, out, error);
}

/* The rows that are meant, or the others. */
static struct rows *rows_below(const struct rows *rows, uint64_t most, bool meant)
{
    struct rows *chosen = rows_new(rows->count);
    chosen->count = 0;
    for (size_t i = 0; i < rows->count; i++)
        if (((uint64_t)row_number(rows->row[i]) < most) == meant) chosen->row[chosen->count++] = rows->row[i];
    return chosen;
}

static kith_status run_delete(struct session *session, const struct step *step, kith_error *error)
{
    kith_table *table;
    kith_expr *expr = NULL;
    kith_status status = want(session, step, &table, error);
    if (!status) status = expr_below(step, &expr, error);
    if (!status) status = kith_delete(table, expr, NULL, error);
    kith_expr_free(expr);
    return status;
}

static void expect_delete(struct model *model, const struct step *step)
{
    struct rows *left = rows_below(model_rows(model), step->op->number, false);
    if (left->count == model_rows(model)->count)
        rows_release(left);
    else
        model_push(model, left);
}

const struct op_kind op_delete = {
    .name = "delete", .run = run_delete, .expect = expect_delete, .answer = answer_write
};

static kith_status run_update(struct session *session, const struct step *step, kith_error *error)
{
    static const kith_assignment same = { "n", "n + 0" };
    kith_table *table;
    kith_expr *expr = NULL;
    kith_update update = KITH_INIT(kith_update);
    kith_status status = want(session, step, &table, error);
    if (!status) status = expr_below(step, &expr, error);
    update.filter = expr;
    update.assignments = &same;
    update.assignment_count = 1;
    if (!status) status = kith_update_rows(table, &update, NULL, error);
    kith_expr_free(expr);
    return status;
}

static void expect_update(struct model *model, const struct step *step)
{
    struct rows *moved = rows_below(model_rows(model), step->op->number, true);
    struct rows *left = rows_below(model_rows(model), step->op->number, false);
    if (moved->count) model_push(model, rows_join(left, moved));
    rows_release(left);
    rows_release(moved);
}

const struct op_kind op_update = {
    .name = "update", .run = run_update, .expect = expect_update, .answer = answer_write
};

/* ---- merge */

static kith_status run_merge(struct session *session, const struct step *step, kith_error *error)
{
    static const char *const on[] = { "id" };
    struct ArrowArrayStream data;
    kith_table *table;
    kith_merge merge = KITH_INIT(kith_merge);
    kith_status status = want(session, step, &table, error);
    if (status) return status;
    if (!session->model.keyed) merge.on = on, merge.on_count = 1;
    merge.update_matched = merge.insert_new = true;
    merge.delete_missing = step->op->replace;
    stream_of(step, &data);
    return kith_merge_rows(table, &data, &merge, NULL, error);
}

static void expect_merge(struct model *model, const struct step *step)
{
    const struct rows *old = model_rows(model);
    struct rows *data = rows_of(step), *left = rows_new(old->count);
    left->count = 0;
    for (size_t i = 0; i < old->count && !step->op->replace; i++)
        if (!rows_find(data, old->row[i].id)) left->row[left->count++] = old->row[i];
    model_push(model, rows_join(left, data));
    model->unordered = true;
    rows_release(left);
    rows_release(data);
}

const struct op_kind op_merge = {
    .name = "merge", .run = run_merge, .expect = expect_merge, .answer = answer_write
};

/* ---- reading by key: every second row, the last first, and one that is not there */

static struct rows *every_second(const struct rows *rows)
{
    struct rows *some = rows_new(rows->count / 2 + 1);
    for (size_t i = 0; i < rows->count / 2; i++) some->row[i + 1] = rows->row[rows->count - 1 - 2 * i];
    some->row[0] = (struct row){ -1, 0 };
    return some;
}

static kith_status run_get(struct session *session, const struct step *step, kith_error *error)
{
    struct ArrowArrayStream keys, out;
    struct rows_seen seen = { 0 };
    kith_table *table;
    kith_status status = want(session, step, &table, error);
    if (status || !session->model.exists) return status;
    struct rows *wanted = every_second(shown_rows(session, step->op->who));
    rows_stream_ids(wanted, &keys);
    status = kith_get(table, &keys, NULL, &out, error);
    if (!status) status = rows_read(&out, false, &seen, &session->complaint, error);
    if (!status && (seen.rows->count != wanted->count - 1 ||
                    memcmp(seen.rows->row, wanted->row + 1, (wanted->count - 1) * sizeof *wanted->row)))
        complain(&session->complaint, "of %zu rows got by key %zu came, or others", wanted->count - 1,
                 seen.rows->count);
    rows_seen_release(&seen);
    rows_release(wanted);
    return status;
}

const struct op_kind op_get = { .name = "get", .run = run_get, .answer = answer_there };

/* ---- versions */

static kith_status run_restore(struct session *session, const struct step *step, kith_error *error)
{
    kith_table *table;
    kith_status status = want(session, step, &table, error);
    if (!status) status = kith_table_restore(table, step->op->number, NULL, error);
    if (!status) session->pinned[step->op->who] = 0;
    return status;
}

static void expect_restore(struct model *model, const struct step *step)
{
    bool extra = model->versions[step->op->number - 1].extra;
    model_push(model, rows_share(model_rows_at(model, step->op->number)));
    model->versions[model->version_count - 1].extra = extra;
    model->indexes = 0; /* those that it had then */
    model->perhaps = VECTOR_INDEX | ID_INDEX | NUMBER_INDEX | ITEM_INDEX;
}

static kith_status answer_restore(const struct session *session, const struct step *step)
{
    return session->model.exists && model_rows_at(&session->model, step->op->number) ? KITH_OK
                                                                                     : KITH_NOT_FOUND;
}

const struct op_kind op_restore = { .name = "restore",
                                    .run = run_restore,
                                    .expect = expect_restore,
                                    .answer = answer_restore,
                                    .versioned = true };

static kith_status run_tag(struct session *session, const struct step *step, kith_error *error)
{
    kith_table *table;
    kith_status status = want(session, step, &table, error);
    return status ? status : kith_set_tag(table, TAG, step->op->number, step->op->change, error);
}

static void expect_tag(struct model *model, const struct step *step)
{
    model->tagged = step->op->change == KITH_TAG_DELETE ? 0 : step->op->number;
}

static kith_status answer_tag(const struct session *session, const struct step *step)
{
    bool creates = step->op->change == KITH_TAG_CREATE, deletes = step->op->change == KITH_TAG_DELETE;
    if (!session->model.exists) return KITH_NOT_FOUND;
    if (!deletes && !model_rows_at(&session->model, step->op->number)) return KITH_NOT_FOUND;
    if (creates == (session->model.tagged != 0)) return creates ? KITH_EXISTS : KITH_NOT_FOUND;
    return KITH_OK;
}

const struct op_kind op_tag = {
    .name = "tag", .run = run_tag, .expect = expect_tag, .answer = answer_tag, .versioned = true
};

/* Old versions go, all of them where the step's number is 0. They may go although it fails. */
static kith_status run_optimize(struct session *session, const struct step *step, kith_error *error)
{
    kith_table *table;
    kith_upkeep upkeep = KITH_INIT(kith_upkeep);
    upkeep.older_than_us = step->op->number ? -1 : 0;
    upkeep.orphans = true;
    upkeep.rewrite = step->op->replace;
    kith_status status = want(session, step, &table, error);
    if (status) return status;
    if (!step->op->number && session->model.version_count)
        session->model.loose = session->model.version_count - 1;
    return kith_optimize(table, &upkeep, NULL, error);
}

const struct op_kind op_optimize = { .name = "optimize", .run = run_optimize, .answer = answer_write };

/* What was deleted before leaves the files. Files that an operation before it left in doubt are in nobody's
 * way: this process is alone. */
static kith_status run_erase(struct session *session, const struct step *step, kith_error *error)
{
    kith_table *table;
    kith_erasing erasing = KITH_INIT(kith_erasing);
    erasing.alone = true;
    kith_status status = want(session, step, &table, error);
    if (status) return status;
    if (session->model.version_count) session->model.loose = session->model.version_count - 1;
    return kith_erase(table, &erasing, NULL, error);
}

const struct op_kind op_erase = { .name = "erase", .run = run_erase, .answer = answer_write };

/* ---- columns */

static bool has_extra(const struct model *model)
{
    return model->version_count && model->versions[model->version_count - 1].extra;
}

static void expect_extra(struct model *model, bool extra)
{
    model_push(model, rows_share(model_rows(model)));
    model->versions[model->version_count - 1].extra = extra;
}

static kith_status run_add_column(struct session *session, const struct step *step, kith_error *error)
{
    static const kith_new_column column = { .name = EXTRA_COLUMN, .expression = "id + 1" };
    kith_table *table;
    kith_status status = want(session, step, &table, error);
    return status ? status : kith_add_columns(table, &column, 1, NULL, error);
}

static void expect_add_column(struct model *model, const struct step *step)
{
    (void)step;
    expect_extra(model, true);
}

static kith_status answer_add_column(const struct session *session, const struct step *step)
{
    kith_status status = answer_write(session, step);
    return status || !has_extra(&session->model) ? status : KITH_EXISTS;
}

const struct op_kind op_add_column = {
    .name = "add_column", .run = run_add_column, .expect = expect_add_column, .answer = answer_add_column
};

static kith_status run_drop_column(struct session *session, const struct step *step, kith_error *error)
{
    static const char *const names[] = { EXTRA_COLUMN };
    kith_table *table;
    kith_status status = want(session, step, &table, error);
    return status ? status : kith_drop_columns(table, names, 1, NULL, error);
}

static void expect_drop_column(struct model *model, const struct step *step)
{
    (void)step;
    expect_extra(model, false);
}

static kith_status answer_drop_column(const struct session *session, const struct step *step)
{
    kith_status status = answer_write(session, step);
    return status || has_extra(&session->model) ? status : KITH_NOT_FOUND;
}

const struct op_kind op_drop_column = {
    .name = "drop_column", .run = run_drop_column, .expect = expect_drop_column, .answer = answer_drop_column
};

/* ---- rows appended while the columns are changed: another process does so between their batches,
 * undisturbed. They are written for columns that are no longer those of the table, and again for those that
 * it has. */

enum beside { BESIDE_ADD, BESIDE_DROP, BESIDE_RENAME }; /* the step's number */

struct interrupted {
    struct ArrowArrayStream rows;
    struct session *session;
    const struct step *step;
    bool changed;
};

static kith_status change_columns(const struct session *session, enum beside beside, kith_error *error)
{
    static const kith_new_column added = { .name = EXTRA_COLUMN, .expression = "id + 1" };
    static const kith_altered_column renamed = { .name = EXTRA_COLUMN, .rename = "former" };
    static const char *const dropped[] = { EXTRA_COLUMN };
    kith_database *db = NULL;
    kith_table *table = NULL;
    kith_status status = kith_open(session->uri, &db, error);
    if (!status) status = kith_open_table(db, session->model.name, &table, error);
    if (!status)
        status = beside == BESIDE_ADD      ? kith_add_columns(table, &added, 1, NULL, error)
                 : beside == BESIDE_RENAME ? kith_alter_columns(table, &renamed, 1, NULL, error)
                                           : kith_drop_columns(table, dropped, 1, NULL, error);
    kith_table_close(table);
    kith_close(db);
    return status;
}

/* What it changes is done whatever becomes of the append: the model has it at once. */
static void interrupt(struct interrupted *interrupted)
{
    struct session *session = interrupted->session;
    enum beside beside = (enum beside)interrupted->step->op->number;
    kith_error error = { 0 };
    if (interrupted->changed || has_extra(&session->model) != (beside != BESIDE_ADD)) return;
    interrupted->changed = true;
    if (scenario_pause) scenario_pause();
    if (change_columns(session, beside, &error))
        complain(&session->complaint, "the columns beside an append: %s", error.message);
    else
        expect_extra(&session->model, beside == BESIDE_ADD);
    if (scenario_resume) scenario_resume();
}

static int interrupted_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    struct interrupted *interrupted = stream->private_data;
    return interrupted->rows.get_schema(&interrupted->rows, out);
}

static int interrupted_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    struct interrupted *interrupted = stream->private_data;
    interrupt(interrupted);
    return interrupted->rows.get_next(&interrupted->rows, out);
}

static const char *interrupted_error(struct ArrowArrayStream *stream)
{
    struct interrupted *interrupted = stream->private_data;
    return interrupted->rows.get_last_error(&interrupted->rows);
}

static void interrupted_release(struct ArrowArrayStream *stream)
{
    struct interrupted *interrupted = stream->private_data;
    interrupted->rows.release(&interrupted->rows);
    stream->release = NULL;
}

static kith_status run_append_beside(struct session *session, const struct step *step, kith_error *error)
{
    kith_table *table;
    struct interrupted interrupted = { .session = session, .step = step };
    struct ArrowArrayStream stream = { .get_schema = interrupted_schema,
                                       .get_next = interrupted_next,
                                       .get_last_error = interrupted_error,
                                       .release = interrupted_release,
                                       .private_data = &interrupted };
    kith_status status = want(session, step, &table, error);
    if (status) return status;
    stream_of(step, &interrupted.rows);
    return kith_append(table, &stream, NULL, NULL, error);
}

static void expect_append_beside(struct model *model, const struct step *step)
{
    struct rows *added = rows_of(step);
    model_push(model, rows_join(model_rows(model), added));
    rows_release(added);
}

const struct op_kind op_append_beside = {
    .name = "append_beside", .run = run_append_beside, .expect = expect_append_beside, .answer = answer_write
};
