/* The model, and holding a database to it.
 *
 * A look opens everything anew. The rows must be those of the model, in the order of insertion, each value as
 * its id and salt say; row ids must ascend. Searches are held to brute force: an exact one for its distances,
 * an indexed one for finding the row that it asks for, whose list it visits first.
 */
#include "fault/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault/own.h"

const char *const index_columns[4] = { "vector", "id", "n", "item" };

/* ---- the model */

void model_copy(const struct model *from, struct model *to)
{
    *to = *from;
    for (uint32_t i = 0; i < to->version_count; i++)
        if (to->versions[i].rows) rows_share(to->versions[i].rows);
}

void model_clear(struct model *model)
{
    for (uint32_t i = 0; i < model->version_count; i++) rows_release(model->versions[i].rows);
    *model = (struct model){ .name = model->name };
}

void model_release(struct model *model)
{
    model_clear(model);
}

struct rows *model_rows(const struct model *model)
{
    return model->versions[model->version_count - 1].rows;
}

struct rows *model_rows_at(const struct model *model, uint64_t version)
{
    return version && version <= model->version_count ? model->versions[version - 1].rows : NULL;
}

bool model_may_lack(const struct model *model, uint64_t version)
{
    return version <= model->loose && version != model->tagged;
}

void model_push(struct model *model, struct rows *rows)
{
    bool extra = model->version_count && model->versions[model->version_count - 1].extra;
    model->exists = true;
    model->versions[model->version_count++] = (struct model_version){ rows, extra };
    if (model->keeps_one) model->loose = model->version_count - 1;
}

/* ---- looking at parts */

static int by_id(const void *a, const void *b)
{
    const struct row *left = a, *right = b;
    if (left->id != right->id) return left->id < right->id ? -1 : 1;
    return left->salt < right->salt ? -1 : left->salt > right->salt;
}

static struct rows *sorted(const struct rows *rows)
{
    struct rows *copy = rows_join(rows, NULL);
    qsort(copy->row, copy->count, sizeof *copy->row, by_id);
    return copy;
}

static bool same_rows(const struct rows *wanted, const struct rows *seen, struct complaint *complaint)
{
    for (size_t i = 0; i < wanted->count && i < seen->count; i++) {
        const struct row *a = &wanted->row[i], *b = &seen->row[i];
        if (a->id != b->id || a->salt != b->salt)
            return complain(complaint, "row %zu of %zu is id %lld salt %u, expected id %lld salt %u of %zu",
                            i, seen->count, (long long)b->id, b->salt & 0xffff, (long long)a->id,
                            a->salt & 0xffff, wanted->count);
    }
    if (wanted->count == seen->count) return true;
    return complain(complaint, "there are %zu rows, expected %zu", seen->count, wanted->count);
}

static bool same_set(const struct rows *wanted, const struct rows *seen, struct complaint *complaint)
{
    struct rows *a = sorted(wanted), *b = sorted(seen);
    bool same = same_rows(a, b, complaint);
    rows_release(a);
    rows_release(b);
    return same;
}

kith_status look_rows(kith_table *table, const struct model *model, uint64_t version,
                      struct complaint *complaint, kith_error *error)
{
    struct ArrowArrayStream stream;
    struct rows_seen seen = { 0 };
    kith_scan scan = KITH_INIT(kith_scan);
    uint64_t shown = 0, wanted = version ? version : model->version_count;
    const struct model_version *expected = &model->versions[wanted - 1];
    scan.with_row_id = true;
    kith_status status = kith_table_scan(table, &scan, &stream, error);
    if (!status) status = rows_read(&stream, true, &seen, complaint, error);
    if (status) return status;
    if (seen.extra != expected->extra)
        complain(complaint, "the column %s is%s there", EXTRA_COLUMN, seen.extra ? "" : " not");
    if (model->unordered ? same_set(expected->rows, seen.rows, complaint)
                         : same_rows(expected->rows, seen.rows, complaint)) {
        status = kith_table_version(table, &shown, error);
        if (!status && shown != wanted)
            complain(complaint, "the version is %llu, expected %llu", (unsigned long long)shown,
                     (unsigned long long)wanted);
    }
    rows_seen_release(&seen);
    return status;
}

static uint32_t index_bit(const char *name)
{
    for (uint32_t i = 0; i < 4; i++) {
        size_t length = strlen(index_columns[i]);
        if (!strncmp(name, index_columns[i], length) && !strcmp(name + length, "_idx")) return 1u << i;
    }
    return 0;
}

kith_status look_indexes(kith_table *table, const struct model *model, struct complaint *complaint,
                         kith_error *error)
{
    kith_indexes *indexes = NULL;
    uint32_t seen = 0;
    kith_status status = kith_list_indexes(table, &indexes, error);
    if (status) return status;
    for (size_t i = 0; i < indexes->count; i++) {
        uint32_t bit = index_bit(indexes->indexes[i].name);
        if (!bit || (seen & bit)) complain(complaint, "an index '%s' is there", indexes->indexes[i].name);
        seen |= bit;
    }
    kith_indexes_free(indexes);
    if ((model->indexes & ~seen) || (seen & ~(model->indexes | model->perhaps)))
        complain(complaint, "the indexes are %x, expected %x and perhaps %x", seen, model->indexes,
                 model->perhaps);
    return KITH_OK;
}

kith_status look_tags(kith_table *table, const struct model *model, struct complaint *complaint,
                      kith_error *error)
{
    kith_tags *tags = NULL;
    kith_status status = kith_list_tags(table, &tags, error);
    if (status) return status;
    bool right = tags->count == (model->tagged != 0);
    if (right && model->tagged)
        right = !strcmp(tags->tags[0].name, TAG) && tags->tags[0].version == model->tagged;
    if (!right)
        complain(complaint, "there are %zu tags, the first of version %llu; expected version %llu",
                 tags->count, tags->count ? (unsigned long long)tags->tags[0].version : 0,
                 (unsigned long long)model->tagged);
    kith_tags_free(tags);
    return KITH_OK;
}

static float distance(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < ROW_DIM; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return (float)sum;
}

/* The three smallest distances. */
static void nearest(const struct rows *rows, const float *query, float out[3])
{
    float vector[ROW_DIM];
    for (int i = 0; i < 3; i++) out[i] = INFINITY;
    for (size_t r = 0; r < rows->count; r++) {
        row_vector(rows->row[r], vector);
        float found = distance(vector, query);
        for (int i = 0; i < 3; i++) {
            if (found >= out[i]) continue;
            float pushed = out[i];
            out[i] = found;
            found = pushed;
        }
    }
}

static bool same_distance(float a, float b)
{
    return a == b || fabsf(a - b) <= 1e-4f * (1 + fabsf(b));
}

kith_status look_search(kith_table *table, const struct rows *rows, struct complaint *complaint,
                        kith_error *error)
{
    uint64_t ids[3];
    float found[3], wanted[3], vector[ROW_DIM];
    kith_query query = KITH_INIT(kith_query);
    if (!rows->count) return KITH_OK;
    row_vector(rows->row[rows->count / 2], vector);
    query.vectors = vector;
    query.dim = ROW_DIM;
    query.k = 3;
    query.metric = KITH_L2;
    query.threads = 1;
    query.exact = true;
    kith_status status = kith_search_ids(table, &query, ids, found, error);
    if (status) return status;
    nearest(rows, vector, wanted);
    for (int i = 0; i < 3; i++)
        if (!same_distance(found[i], wanted[i]))
            complain(complaint, "neighbour %d is at %g, expected %g", i, (double)found[i], (double)wanted[i]);

    query.exact = false;
    status = kith_search_ids(table, &query, ids, found, error);
    if (!status && found[0] != 0)
        complain(complaint, "the index does not find a row's own vector: the nearest is at %g",
                 (double)found[0]);
    return status;
}

kith_status look_filter(kith_table *table, const struct rows *rows, struct complaint *complaint,
                        kith_error *error)
{
    uint64_t low = 0, above = 0, wanted_low = 0, wanted_above = 0;
    char where[64];
    if (!rows->count) return KITH_OK;
    long long middle = rows->row[rows->count / 2].id;
    snprintf(where, sizeof where, "id >= %lld", middle);
    for (size_t i = 0; i < rows->count; i++) {
        wanted_low += row_number(rows->row[i]) < 30;
        wanted_above += rows->row[i].id >= middle;
    }
    kith_status status = kith_table_count(table, "n < 30", &low, error);
    if (!status) status = kith_table_count(table, where, &above, error);
    if (!status && (low != wanted_low || above != wanted_above))
        complain(complaint, "%llu rows have n < 30, expected %llu; %llu have %s, expected %llu",
                 (unsigned long long)low, (unsigned long long)wanted_low, (unsigned long long)above, where,
                 (unsigned long long)wanted_above);
    return status;
}

kith_status look_take(kith_table *table, const struct rows *rows, struct complaint *complaint,
                      kith_error *error)
{
    struct ArrowArrayStream stream;
    struct rows_seen seen = { 0 }, taken = { 0 };
    kith_scan scan = KITH_INIT(kith_scan);
    scan.with_row_id = true;
    if (!rows->count) return KITH_OK;
    kith_status status = kith_table_scan(table, &scan, &stream, error);
    if (!status) status = rows_read(&stream, true, &seen, complaint, error);
    if (!status && seen.rows->count) {
        size_t last = seen.rows->count - 1;
        uint64_t some[2] = { seen.row_ids[last], seen.row_ids[0] };
        status = kith_table_take(table, some, 2, NULL, &stream, error);
        if (!status) status = rows_read(&stream, false, &taken, complaint, error);
        if (!status && (taken.rows->count != 2 || taken.rows->row[0].id != seen.rows->row[last].id ||
                        taken.rows->row[1].id != seen.rows->row[0].id))
            complain(complaint, "what was taken by row id is not what has it");
    }
    rows_seen_release(&seen);
    rows_seen_release(&taken);
    return status;
}

/* ---- looking at all of it */

static kith_status look_names(kith_database *db, const struct model *model, struct complaint *complaint,
                              kith_error *error)
{
    kith_names *names = NULL;
    kith_status status = kith_list_tables(db, NULL, 0, &names, error);
    if (status) return status;
    if (names->count != model->exists || (model->exists && strcmp(names->names[0], model->name)))
        complain(complaint, "%zu tables are listed, the first is '%s'; expected %d", names->count,
                 names->count ? names->names[0] : "", model->exists);
    kith_names_free(names);
    return KITH_OK;
}

/* The tagged version, else one in the middle. */
static kith_status look_older(kith_database *db, const struct model *model, struct complaint *complaint,
                              kith_error *error)
{
    kith_table *table = NULL;
    uint64_t version = model->tagged ? model->tagged : (model->version_count + 1) / 2;
    kith_status status = kith_open_table_version(db, model->name, version, &table, error);
    if (status == KITH_NOT_FOUND && model_may_lack(model, version)) return KITH_OK;
    if (!status) status = look_rows(table, model, version, complaint, error);
    kith_table_close(table);
    return status;
}

/* Those that must be there are, as they were; so are those that may be there and are. */
static kith_status look_versions(kith_table *table, const struct model *model, struct complaint *complaint,
                                 kith_error *error)
{
    kith_versions *versions = NULL;
    size_t wanted = 0, seen = 0;
    kith_status status = kith_table_versions(table, &versions, error);
    if (status) return status;
    for (uint64_t v = 1; v <= model->version_count; v++) wanted += !model_may_lack(model, v);
    for (size_t i = 0; i < versions->count; i++) {
        uint64_t version = versions->versions[i].version;
        const struct rows *rows = model_rows_at(model, version);
        if (!rows || versions->versions[i].rows != rows->count)
            complain(complaint, "version %llu is listed with %llu rows", (unsigned long long)version,
                     (unsigned long long)versions->versions[i].rows);
        seen += rows && !model_may_lack(model, version);
    }
    if (seen != wanted) complain(complaint, "of %zu versions that stay %zu are listed", wanted, seen);
    kith_versions_free(versions);
    return KITH_OK;
}

static kith_status look_table(kith_database *db, const struct model *model, enum look look,
                              struct complaint *complaint, kith_error *error)
{
    kith_table *table = NULL;
    kith_status status = kith_open_table(db, model->name, &table, error);
    if (!model->exists) {
        if (status == KITH_NOT_FOUND) return KITH_OK;
        if (!status) complain(complaint, "the table is there, expected none");
        kith_table_close(table);
        return status;
    }
    if (!status) status = look_rows(table, model, 0, complaint, error);
    if (!status) status = look_indexes(table, model, complaint, error);
    if (!status) status = look_tags(table, model, complaint, error);
    if (!status && look == LOOK_CLOSELY) {
        status = look_versions(table, model, complaint, error);
        if (!status) status = look_search(table, model_rows(model), complaint, error);
        if (!status) status = look_filter(table, model_rows(model), complaint, error);
        if (!status) status = kith_table_verify(table, NULL, error);
        if (!status) status = look_older(db, model, complaint, error);
    }
    kith_table_close(table);
    return status;
}

bool model_fits(const struct model *model, const char *uri, enum look look, struct complaint *complaint)
{
    kith_database *db = NULL;
    kith_error error = { 0 };
    kith_status status = kith_open(uri, &db, &error);
    if (!status) status = look_table(db, model, look, complaint, &error);
    if (!status && look == LOOK_CLOSELY) status = look_names(db, model, complaint, &error);
    kith_close(db);
    if (status) complain(complaint, "%s: %s", kith_status_name(status), error.message);
    return !complaint->text[0];
}
