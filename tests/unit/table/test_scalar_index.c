/* Indexes over values are pieces of a table as those over vectors are: made, listed, found again, replaced
 * and dropped; and they follow appends by pieces of their own. Whatever becomes of them, each row is answered
 * for by at most one piece of an index, and by none only where nobody has looked at it yet. */
#define _GNU_SOURCE
#include <fcntl.h>

#include "support/rows.h"
#include "table/table_private.h"

enum { DIM = 4, COLUMNS = 4, ID = 0, ITEM = 1, TAGS = 2, ITEMS = 7, LABELS = 5 };

/* ---- rows: id i; item "item <i % 7>", null where 11 divides i; tags "a".."e"; a vector */

static struct kt_schema *shop_schema(void)
{
    struct kt_field number = { .name = (char *)"item", .id = -1, .type = KT_FLOAT32, .nullable = true };
    struct kt_field text = { .name = (char *)"item", .id = -1, .type = KT_UTF8, .nullable = true };
    struct kt_field fields[COLUMNS] = {
        { .name = (char *)"id", .id = -1, .type = KT_INT64, .nullable = true },
        { .name = (char *)"item", .id = -1, .type = KT_UTF8, .nullable = true },
        { .name = (char *)"tags",
          .id = -1,
          .type = KT_LIST,
          .nullable = true,
          .children = &text,
          .child_count = 1 },
        { .name = (char *)"vector",
          .id = -1,
          .type = KT_FIXED_LIST,
          .nullable = true,
          .width = DIM,
          .children = &number,
          .child_count = 1 },
    };
    struct kt_schema *schema = NULL;
    assert_ok(kt_schema_new(fields, COLUMNS, NULL, &schema, error));
    return schema;
}

/* What the arrays of a batch read. */
struct shop {
    int64_t *ids;
    int32_t *item_ends, *tag_begin, *tag_ends;
    char *items, *tags;
    uint8_t *item_validity;
    float *vectors;
};

static void shop_fill(struct shop *shop, uint64_t begin, uint64_t count)
{
    shop->ids = calloc(count + 1, 8);
    shop->item_ends = calloc(count + 1, 4);
    shop->tag_begin = calloc(count + 1, 4);
    shop->tag_ends = calloc(2 * count + 1, 4);
    shop->items = calloc(count + 1, 16);
    shop->tags = calloc(count + 1, 2);
    shop->item_validity = calloc(count / 8 + 1, 1);
    shop->vectors = calloc(count * DIM + 1, sizeof(float));
    for (uint64_t i = 0; i < count; i++) {
        uint64_t id = begin + i;
        shop->ids[i] = (int64_t)id;
        shop->item_ends[i + 1] =
            shop->item_ends[i] + sprintf(shop->items + shop->item_ends[i], "item %d", (int)(id % ITEMS));
        if (id % 11) kt_bit_set(shop->item_validity, i);
        shop->tag_begin[i + 1] = shop->tag_begin[i] + 2;
        for (uint64_t t = 0; t < 2; t++) {
            shop->tags[2 * i + t] = (char)('a' + (id + t * (id % 3)) % LABELS);
            shop->tag_ends[2 * i + t + 1] = (int32_t)(2 * i + t + 1);
        }
        for (uint64_t d = 0; d < DIM; d++) shop->vectors[i * DIM + d] = (float)((id * 7 + d) % 101);
    }
}

static void shop_free(struct shop *shop)
{
    void *all[] = { shop->ids,   shop->item_ends, shop->tag_begin,     shop->tag_ends,
                    shop->items, shop->tags,      shop->item_validity, shop->vectors };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static struct ArrowArrayStream shop_stream(uint64_t begin, uint64_t count)
{
    struct kt_schema *schema = shop_schema();
    struct kt_field *f = schema->fields;
    struct kt_builder *builder = NULL;
    struct kt_batch *batch = NULL;
    struct ArrowArrayStream stream = { 0 };
    struct shop shop;
    int64_t n = (int64_t)count;
    shop_fill(&shop, begin, count);
    struct kt_array tags = { .field = f[TAGS].children,
                             .length = 2 * n,
                             .values = (uint8_t *)shop.tag_ends,
                             .data = (uint8_t *)shop.tags };
    struct kt_array numbers = { .field = f[3].children,
                                .length = n * DIM,
                                .values = (uint8_t *)shop.vectors };
    struct kt_array arrays[COLUMNS] = {
        { .field = &f[ID], .length = n, .values = (uint8_t *)shop.ids },
        { .field = &f[ITEM],
          .length = n,
          .validity = shop.item_validity,
          .values = (uint8_t *)shop.item_ends,
          .data = (uint8_t *)shop.items },
        { .field = &f[TAGS], .length = n, .values = (uint8_t *)shop.tag_begin, .children = &tags },
        { .field = &f[3], .length = n, .children = &numbers },
    };
    assert_ok(kt_builder_new(schema, n, &builder, error));
    for (uint32_t c = 0; c < COLUMNS; c++) assert_ok(kt_builder_append(builder, c, &arrays[c], 0, n, error));
    assert_ok(kt_builder_finish(builder, &batch, error));
    assert_ok(kt_stream_of_batches(schema, &batch, 1, &stream, error));
    kt_batch_release(batch);
    kt_schema_release(schema);
    shop_free(&shop);
    return stream;
}

/* ---- a table of them */

struct bench {
    char *folder;
    kith_database *db;
    kith_table *table;
};

static struct bench bench_new(uint64_t rows)
{
    struct bench b = { .folder = folder_new() };
    struct ArrowArrayStream data = shop_stream(0, rows);
    kith_create options = KITH_INIT(kith_create);
    options.no_auto_index = true;
    assert_ok(kith_open(b.folder, &b.db, error));
    assert_ok(kith_create_table(b.db, "shop", &data, &options, &b.table, error));
    return b;
}

static void bench_free(struct bench *b)
{
    kith_table_close(b->table);
    kith_close(b->db);
    folder_remove(b->folder);
}

static void bench_reopen(struct bench *b)
{
    kith_table_close(b->table);
    assert_ok(kith_open_table(b->db, "shop", &b->table, error));
}

static void append(struct bench *b, uint64_t begin, uint64_t count)
{
    struct ArrowArrayStream data = shop_stream(begin, count);
    assert_ok(kith_append(b->table, &data, NULL, NULL, error));
}

static kith_status try_index(kith_table *table, const char *column, kith_index_type type, kith_error *error)
{
    kith_index options = KITH_INIT(kith_index);
    options.column = column;
    options.type = type;
    return kith_create_index(table, &options, error);
}

static void create(struct bench *b, const char *column, kith_index_type type)
{
    assert_ok(try_index(b->table, column, type, error));
}

static struct kt_snapshot *snapshot_of(const struct bench *b)
{
    struct kt_snapshot *snapshot = NULL;
    assert_ok(kt_table_snapshot((struct kt_table *)b->table, &snapshot, error));
    return snapshot;
}

/* ---- what the indexes say */

/* How many pieces the index has; their rows are disjoint, and those that its info says. */
static uint32_t pieces_of(const struct bench *b, const char *name, uint64_t *covered)
{
    struct kt_snapshot *snapshot = snapshot_of(b);
    struct kt_cover left = { 0 };
    uint32_t pieces = 0;
    *covered = 0;
    assert_ok(kt_cover_state(snapshot->state, &left, error));
    for (uint32_t i = 0; i < snapshot->scalar_count; i++) {
        const struct kt_piece *piece = snapshot->scalars[i].piece;
        if (strcmp(snapshot->scalars[i].name, name) != 0) continue;
        uint64_t before = kt_rows_count(left.rows, left.count);
        uint64_t rows = kt_rows_count(piece->covers, piece->cover_count);
        assert_ok(kt_cover_subtract(&left, piece->covers, piece->cover_count, error));
        assert_int_equal(kt_rows_count(left.rows, left.count), before - rows);
        *covered += rows;
        pieces++;
    }
    kt_cover_release(&left);
    kt_snapshot_release(snapshot);
    return pieces;
}

static void assert_pieces(const struct bench *b, const char *name, uint32_t pieces, uint64_t rows)
{
    uint64_t covered;
    assert_int_equal(pieces_of(b, name, &covered), pieces);
    assert_int_equal(covered, rows);
}

/* A piece selects rows that it covers, and no others. */
static void assert_within(const struct kt_table_scalar *of, const struct kt_scalar *scalar,
                          const struct kt_probe *probe, uint64_t rows)
{
    struct kt_selection out = { .words = calloc(rows / 64 + 1, 8), .rows = rows };
    uint64_t within = 0;
    bool answered;
    assert_ok(kt_scalar_probe(scalar, probe, &out, &answered, error));
    for (uint32_t c = 0; c < of->piece->cover_count; c++)
        within += kt_selection_count(&out, of->piece->covers[c].begin, of->piece->covers[c].end);
    assert_int_equal(within, out.count);
    free(out.words);
}

/* The rows that all pieces of a column's indexes select together. */
static struct kt_selection ask(struct kt_snapshot *snapshot, uint32_t column, const struct kt_probe *probe)
{
    uint64_t rows = snapshot->state->next_row;
    struct kt_selection out = { .words = calloc(rows / 64 + 1, 8), .rows = rows };
    for (uint32_t i = 0; i < snapshot->scalar_count; i++) {
        const struct kt_scalar *scalar = NULL;
        bool answered;
        if (snapshot->scalars[i].column != column) continue;
        assert_ok(kt_snapshot_scalar(snapshot, &snapshot->scalars[i], &scalar, error));
        assert_within(&snapshot->scalars[i], scalar, probe, rows);
        assert_ok(kt_scalar_probe(scalar, probe, &out, &answered, error));
        assert_true(answered);
    }
    return out;
}

static bool has_tag(uint64_t id, char tag)
{
    return tag == (char)('a' + id % LABELS) || tag == (char)('a' + (id + id % 3) % LABELS);
}

/* Among rows 0 .. rows - 1, of which those below `covered` have an index: row ids are ids. */
static void assert_answers(const struct bench *b, uint64_t covered)
{
    struct kt_value tag = { .kind = KT_VALUE_TEXT, .text = (char *)"c", .size = 1 };
    struct kt_value item = { .kind = KT_VALUE_TEXT, .text = (char *)"item 3", .size = 6 };
    struct kt_probe low = { .kind = KT_PROBE_RANGE,
                            .low = { .kind = KT_VALUE_INT, .integer = 500 },
                            .high = { .kind = KT_VALUE_INT, .integer = (int64_t)covered + 5 } };
    struct kt_probe in = { .kind = KT_PROBE_IN,
                           .values = { .kind = KT_VALUE_LIST, .items = &item, .count = 1 } };
    struct kt_probe has = { .kind = KT_PROBE_HAS_ANY,
                            .values = { .kind = KT_VALUE_LIST, .items = &tag, .count = 1 } };
    struct kt_probe null = { .kind = KT_PROBE_NULL };
    struct kt_snapshot *snapshot = snapshot_of(b);
    struct kt_selection ids = ask(snapshot, ID, &low), items = ask(snapshot, ITEM, &in),
                        tags = ask(snapshot, TAGS, &has), nulls = ask(snapshot, ITEM, &null);
    for (uint64_t i = 0; i < snapshot->state->rows; i++) {
        bool is = i < covered;
        assert_int_equal(kt_selected(&ids, i), is && i >= 500);
        assert_int_equal(kt_selected(&items, i), is && i % ITEMS == 3 && i % 11);
        assert_int_equal(kt_selected(&tags, i), is && has_tag(i, 'c'));
        assert_int_equal(kt_selected(&nulls, i), is && i % 11 == 0);
    }
    free(ids.words), free(items.words), free(tags.words), free(nulls.words);
    kt_snapshot_release(snapshot);
}

static void create_all(struct bench *b)
{
    create(b, "id", KITH_BTREE);
    create(b, "item", KITH_BITMAP);
    create(b, "tags", KITH_LABEL_LIST);
}

/* ---- promises */

static void an_index_is_there_again_when_the_table_is_opened_again(void **state)
{
    (void)state;
    struct bench b = bench_new(3000);
    create_all(&b);
    assert_answers(&b, 3000);
    bench_reopen(&b);
    assert_answers(&b, 3000);
    assert_pieces(&b, "id_idx", 1, 3000);
    bench_free(&b);
}

static void the_default_is_a_btree_and_for_lists_a_label_list(void **state)
{
    (void)state;
    struct bench b = bench_new(100);
    kith_indexes *indexes = NULL;
    create(&b, "item", KITH_INDEX_DEFAULT);
    create(&b, "tags", KITH_INDEX_DEFAULT);
    append(&b, 100, 50);
    assert_ok(kith_list_indexes(b.table, &indexes, error));
    assert_int_equal(indexes->count, 2);
    assert_string_equal(indexes->indexes[0].name, "item_idx");
    assert_string_equal(indexes->indexes[0].column, "item");
    assert_int_equal(indexes->indexes[0].type, KITH_BTREE);
    assert_int_equal(indexes->indexes[0].metric, KITH_METRIC_DEFAULT);
    assert_int_equal(indexes->indexes[0].rows_indexed, 100);
    assert_int_equal(indexes->indexes[0].rows_unindexed, 50);
    assert_true(indexes->indexes[0].bytes > 0);
    assert_true(indexes->indexes[0].created_us > 0);
    assert_string_equal(indexes->indexes[1].name, "tags_idx");
    assert_int_equal(indexes->indexes[1].type, KITH_LABEL_LIST);
    kith_indexes_free(indexes);
    bench_free(&b);
}

static void searches_do_not_take_it_for_a_vector_index(void **state)
{
    (void)state;
    struct bench b = bench_new(400);
    float vector[DIM] = { 1, 2, 3, 4 };
    uint64_t ids[3];
    float distances[3];
    kith_search_stats stats = KITH_INIT(kith_search_stats);
    kith_query query = KITH_INIT(kith_query);
    query.vectors = vector;
    query.dim = DIM;
    query.k = 3;
    query.stats = &stats;
    create_all(&b);
    assert_ok(kith_search_ids(b.table, &query, ids, distances, error));
    assert_int_equal(stats.rows_read, 400);
    create(&b, NULL, KITH_IVF_FLAT);
    assert_ok(kith_search_ids(b.table, &query, ids, distances, error));
    assert_true(stats.lists > 0);
    assert_answers(&b, 400);
    bench_free(&b);
}

static void appended_rows_get_pieces_of_their_own(void **state)
{
    (void)state;
    struct bench b = bench_new(3000);
    create_all(&b);
    append(&b, 3000, 20000);
    assert_pieces(&b, "id_idx", 1, 3000);
    assert_answers(&b, 3000);
    append(&b, 23000, 1);
    assert_pieces(&b, "id_idx", 2, 23001);
    assert_pieces(&b, "item_idx", 2, 23001);
    assert_pieces(&b, "tags_idx", 2, 23001);
    assert_answers(&b, 23001);
    append(&b, 23001, 100000);
    append(&b, 123001, 24000); /* less than a quarter */
    assert_pieces(&b, "id_idx", 3, 123001);
    bench_reopen(&b);
    append(&b, 147001, 8000); /* more */
    assert_pieces(&b, "id_idx", 4, 155001);
    assert_answers(&b, 155001);

    kith_indexes *indexes = NULL;
    assert_ok(kith_list_indexes(b.table, &indexes, error));
    assert_int_equal(indexes->count, 3);
    assert_int_equal(indexes->indexes[0].rows_indexed, 155001);
    assert_int_equal(indexes->indexes[0].rows_unindexed, 0);
    kith_indexes_free(indexes);
    bench_free(&b);
}

/* Counts by a filter that an index answers in part, and by one that none can. */
static void assert_counts(const struct bench *b)
{
    static const char *const pairs[][2] = {
        { "id < 700", "id + 0 < 700" },
        { "id BETWEEN 21000 AND 21999", "id + 0 BETWEEN 21000 AND 21999" },
        { "item = 'item 3'", "item || '' = 'item 3'" },
        { "item IS NULL", "(item || '') IS NULL" },
        { "array_has(tags, 'c') AND id < 9000", "array_has(tags, lower('c') || '') AND id + 0 < 9000" },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        uint64_t counts[2];
        for (int way = 0; way < 2; way++)
            assert_ok(kith_table_count(b->table, pairs[i][way], &counts[way], error));
        if (counts[0] != counts[1])
            fail_msg("%s: %llu, but %llu by a scan", pairs[i][0], (unsigned long long)counts[0],
                     (unsigned long long)counts[1]);
    }
}

static void pieces_of_like_size_are_merged_in_passing(void **state)
{
    (void)state;
    struct bench b = bench_new(3000);
    uint64_t rows = 3000, covered;
    uint32_t most = 0;
    create_all(&b);
    for (int i = 0; i < 12; i++) { /* each of them asks for a piece */
        uint64_t some = rows / 4 > 20000 ? rows / 4 + 1 : 20001;
        append(&b, rows, some);
        rows += some;
        uint32_t pieces = pieces_of(&b, "id_idx", &covered);
        assert_int_equal(covered, rows);
        if (pieces > most) most = pieces;
    }
    assert_true(most > 1 && most < 4);
    assert_answers(&b, rows);
    assert_counts(&b);
    bench_free(&b);
}

static void update_all(struct bench *b)
{
    kith_update update = KITH_INIT(kith_update);
    const kith_assignment same = { .column = "vector", .expression = "vector" };
    update.assignments = &same;
    update.assignment_count = 1;
    assert_ok(kith_update_rows(b->table, &update, NULL, error));
}

/* A table that stays as large as it is: without merging each round would leave a piece behind. */
static void a_table_that_only_changes_keeps_few_pieces_without_its_dead(void **state)
{
    (void)state;
    struct bench b = bench_new(25000);
    kith_expr *some = NULL;
    uint64_t covered;
    create_all(&b);
    assert_ok(kith_expr_sql("id % 10 = 3 AND id < 5000", NULL, 0, &some, error));
    for (int round = 0; round < 8; round++) {
        update_all(&b);
        if (round == 5) assert_ok(kith_delete(b.table, some, NULL, error));
        assert_counts(&b);
        assert_true(pieces_of(&b, "id_idx", &covered) <= 3);
        assert_true(pieces_of(&b, "tags_idx", &covered) <= 3);
    }
    struct kt_snapshot *snapshot = snapshot_of(&b);
    for (uint32_t i = 0; i < snapshot->index_count; i++) {
        const struct kt_table_index *index = &snapshot->indexes[i];
        assert_true(index->rows_dead <= index->rows_indexed / 2);
        for (uint32_t p = 0; p < index->part_count; p++) assert_true(index->parts[p]->cover_count <= 3);
    }
    kt_snapshot_release(snapshot);
    bench_reopen(&b);
    assert_counts(&b);
    assert_ok(kith_table_verify(b.table, NULL, error));
    kith_expr_free(some);
    bench_free(&b);
}

/* What a merge left out lives again when its version is put back: with the pieces of then. */
static void a_restored_version_has_the_pieces_that_know_its_rows(void **state)
{
    (void)state;
    struct bench b = bench_new(3000);
    kith_expr *most = NULL;
    uint64_t covered, version;
    create_all(&b);
    assert_ok(kith_table_version(b.table, &version, error));
    assert_ok(kith_expr_sql("id >= 1000", NULL, 0, &most, error));
    assert_ok(kith_delete(b.table, most, NULL, error));
    struct kt_snapshot *snapshot = snapshot_of(&b);
    assert_int_equal(snapshot->indexes[0].rows_dead, 0); /* the delete merged it */
    kt_snapshot_release(snapshot);
    assert_counts(&b);
    assert_ok(kith_table_restore(b.table, version, NULL, error));
    assert_int_equal(pieces_of(&b, "id_idx", &covered), 1);
    assert_answers(&b, 3000);
    assert_counts(&b);
    kith_expr_free(most);
    bench_free(&b);
}

/* Small fragments are merged, so that one holds rows with and without an index. */
static void a_piece_begins_in_the_middle_of_a_fragment(void **state)
{
    (void)state;
    struct bench b = bench_new(500);
    uint64_t rows = 500;
    for (int i = 0; i < 40; i++, rows += 300) append(&b, rows, 300);
    create_all(&b);
    uint64_t covered = rows;
    for (int i = 0; i < 60; i++, rows += 300) append(&b, rows, 300);
    struct kt_snapshot *snapshot = snapshot_of(&b);
    bool within = false;
    for (uint32_t i = 0; i < snapshot->state->fragment_count; i++) {
        const struct kt_fragment *f = &snapshot->state->fragments[i];
        within |= f->first_row < covered && f->first_row + f->rows > covered;
    }
    kt_snapshot_release(snapshot);
    assert_true(within);
    assert_pieces(&b, "id_idx", 1, covered);
    append(&b, rows, 3000);
    assert_pieces(&b, "id_idx", 2, rows + 3000);
    assert_answers(&b, rows + 3000);
    bench_free(&b);
}

static void one_over_no_rows_follows_too(void **state)
{
    (void)state;
    struct bench b = bench_new(0);
    create_all(&b);
    assert_pieces(&b, "id_idx", 1, 0);
    assert_answers(&b, 0);
    append(&b, 0, 20001);
    assert_pieces(&b, "id_idx", 2, 20001);
    assert_answers(&b, 20001);
    bench_free(&b);
}

static void creating_it_again_makes_one_piece_of_all(void **state)
{
    (void)state;
    struct bench b = bench_new(1000);
    create_all(&b);
    append(&b, 1000, 20001);
    assert_pieces(&b, "id_idx", 2, 21001);
    append(&b, 21001, 10);
    create_all(&b);
    assert_pieces(&b, "id_idx", 1, 21011);
    assert_answers(&b, 21011);

    kith_error error = { 0 };
    kith_index options = KITH_INIT(kith_index);
    options.column = "id";
    options.keep = true;
    assert_int_equal(kith_create_index(b.table, &options, &error), KITH_EXISTS);
    bench_free(&b);
}

static void a_dropped_index_is_gone_with_all_its_pieces(void **state)
{
    (void)state;
    struct bench b = bench_new(1000);
    kith_error told = { 0 };
    create_all(&b);
    append(&b, 1000, 20001);
    assert_ok(kith_drop_index(b.table, "id_idx", error));
    assert_pieces(&b, "id_idx", 0, 0);
    assert_pieces(&b, "item_idx", 2, 21001);
    assert_int_equal(kith_drop_index(b.table, "id_idx", &told), KITH_NOT_FOUND);
    append(&b, 21001, 20001);
    assert_pieces(&b, "id_idx", 0, 0);
    bench_free(&b);
}

static void overwritten_rows_take_their_indexes_with_them(void **state)
{
    (void)state;
    struct bench b = bench_new(1000);
    struct ArrowArrayStream data = shop_stream(0, 500);
    kith_write options = KITH_INIT(kith_write);
    options.mode = KITH_OVERWRITE;
    create_all(&b);
    assert_ok(kith_append(b.table, &data, &options, NULL, error));
    assert_pieces(&b, "id_idx", 0, 0);
    bench_free(&b);
}

/* A snapshot of before has the index that was dropped after. */
static void an_older_snapshot_keeps_what_it_had(void **state)
{
    (void)state;
    struct bench b = bench_new(1000);
    struct kt_probe all = { .kind = KT_PROBE_RANGE };
    create(&b, "id", KITH_BTREE);
    struct kt_snapshot *before = snapshot_of(&b);
    assert_ok(kith_drop_index(b.table, "id_idx", error));
    struct kt_selection rows = ask(before, ID, &all);
    assert_int_equal(rows.count, 1000);
    free(rows.words);
    kt_snapshot_release(before);
    bench_free(&b);
}

/* ---- what is refused */

static void assert_refused(struct bench *b, const kith_index *options, kith_status status, const char *words)
{
    kith_error error = { 0 };
    assert_int_equal(kith_create_index(b->table, options, &error), status);
    if (!strstr(error.message, words)) fail_msg("\"%s\" does not say \"%s\"", error.message, words);
}

static void what_does_not_fit_is_refused_in_words(void **state)
{
    (void)state;
    struct bench b = bench_new(10);
    kith_index options = KITH_INIT(kith_index);
    options.type = KITH_BTREE;
    assert_refused(&b, &options, KITH_INVALID, "needs the name of a column; there are \"id\", \"item\"");
    options.column = "nothing";
    assert_refused(&b, &options, KITH_NOT_FOUND, "there is no column \"nothing\"; there are \"id\"");
    options.column = "vector";
    assert_refused(&b, &options, KITH_INVALID, "IVF_RQ");
    options.column = "tags";
    assert_refused(&b, &options, KITH_INVALID, "LABEL_LIST holds");
    options.column = "id";
    options.metric = KITH_COSINE;
    assert_refused(&b, &options, KITH_INVALID, "metric is for indexes over vectors");
    options.metric = KITH_METRIC_DEFAULT;
    options.type = KITH_IVF_PQ;
    assert_refused(&b, &options, KITH_INVALID, "the vector columns are: \"vector\"");
    assert_pieces(&b, "id_idx", 0, 0);
    bench_free(&b);
}

/* ---- what goes wrong */

static int stop_at_values(const kith_progress *progress, void *user)
{
    int *stops = user;
    if (strcmp(progress->stage, "values") != 0) return 0;
    ++*stops;
    return 1;
}

/* The rows are stored; the next small write does not try again, one that brings a quarter does. */
static void a_piece_that_fails_fails_no_write(void **state)
{
    (void)state;
    struct bench b = bench_new(1000);
    int stops = 0;
    struct ArrowArrayStream data = shop_stream(1000, 30000);
    kith_write options = KITH_INIT(kith_write);
    options.progress = stop_at_values;
    options.progress_user = &stops;
    create(&b, "id", KITH_BTREE);
    assert_ok(kith_append(b.table, &data, &options, NULL, error));
    assert_int_equal(stops, 1);
    assert_pieces(&b, "id_idx", 1, 1000);
    append(&b, 31000, 10);
    assert_pieces(&b, "id_idx", 1, 1000);
    append(&b, 31010, 10000);
    assert_pieces(&b, "id_idx", 2, 41010);
    bench_free(&b);
}

struct rival {
    const struct bench *b;
    bool drops, done;
};

/* Another handle is quicker. */
static int be_quicker(const kith_progress *progress, void *user)
{
    struct rival *rival = user;
    kith_table *other = NULL;
    if (strcmp(progress->stage, "values") != 0 || rival->done) return 0;
    rival->done = true;
    assert_ok(kith_open_table(rival->b->db, "shop", &other, error));
    if (rival->drops)
        assert_ok(kith_drop_index(other, "id_idx", error));
    else
        assert_ok(try_index(other, "id", KITH_BTREE, error));
    kith_table_close(other);
    return 0;
}

static void whoever_is_second_leaves_the_index_alone(void **state)
{
    (void)state;
    for (int drops = 0; drops < 2; drops++) {
        struct bench b = bench_new(1000);
        struct rival rival = { .b = &b, .drops = drops };
        struct ArrowArrayStream data = shop_stream(1000, 30000);
        kith_write options = KITH_INIT(kith_write);
        options.progress = be_quicker;
        options.progress_user = &rival;
        create(&b, "id", KITH_BTREE);
        assert_ok(kith_append(b.table, &data, &options, NULL, error));
        assert_true(rival.done);
        assert_pieces(&b, "id_idx", drops ? 0 : 1, drops ? 0 : 31000);
        bench_free(&b);
    }
}

/* Flips a byte in the middle of the only index file. */
static void damage_index(const struct bench *b)
{
    char path[400];
    struct kt_snapshot *snapshot = snapshot_of(b);
    uint8_t byte;
    assert_int_equal(snapshot->scalar_count, 1);
    snprintf(path, sizeof path, "%s/shop.kith/%s", b->folder, snapshot->scalars[0].piece->file.name);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, 1000), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 1000), 1);
    close(fd);
    kt_snapshot_release(snapshot);
}

static void a_damaged_index_is_named(void **state)
{
    (void)state;
    struct bench b = bench_new(3000);
    kith_error told = { 0 };
    const struct kt_scalar *scalar = NULL;
    create(&b, "id", KITH_BTREE);
    damage_index(&b);
    bench_reopen(&b);
    struct kt_snapshot *snapshot = snapshot_of(&b);
    assert_int_equal(kt_snapshot_scalar(snapshot, &snapshot->scalars[0], &scalar, &told), KITH_CORRUPT);
    assert_non_null(strstr(told.message, snapshot->scalars[0].piece->file.name));
    kt_snapshot_release(snapshot);
    assert_int_equal(kith_table_verify(b.table, NULL, &told), KITH_CORRUPT);
    create(&b, "id", KITH_BTREE); /* which puts a good one in its place */
    assert_ok(kith_table_verify(b.table, NULL, error));
    bench_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_is_there_again_when_the_table_is_opened_again),
        cmocka_unit_test(the_default_is_a_btree_and_for_lists_a_label_list),
        cmocka_unit_test(searches_do_not_take_it_for_a_vector_index),
        cmocka_unit_test(appended_rows_get_pieces_of_their_own),
        cmocka_unit_test(pieces_of_like_size_are_merged_in_passing),
        cmocka_unit_test(a_table_that_only_changes_keeps_few_pieces_without_its_dead),
        cmocka_unit_test(a_restored_version_has_the_pieces_that_know_its_rows),
        cmocka_unit_test(a_piece_begins_in_the_middle_of_a_fragment),
        cmocka_unit_test(one_over_no_rows_follows_too),
        cmocka_unit_test(creating_it_again_makes_one_piece_of_all),
        cmocka_unit_test(a_dropped_index_is_gone_with_all_its_pieces),
        cmocka_unit_test(overwritten_rows_take_their_indexes_with_them),
        cmocka_unit_test(an_older_snapshot_keeps_what_it_had),
        cmocka_unit_test(what_does_not_fit_is_refused_in_words),
        cmocka_unit_test(a_piece_that_fails_fails_no_write),
        cmocka_unit_test(whoever_is_second_leaves_the_index_alone),
        cmocka_unit_test(a_damaged_index_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
