/* The scenarios themselves. What makes rows inline is that they are fewer than 64 KiB; files come of more. A
 * fold comes with the 65th small fragment at the table's end or with more than 256 KiB inline, a checkpoint
 * with the 64th commit after the last. */
#include "fault/scenario.h"

enum {
    FEW = 5,
    FILE_ROWS = 120,
    FILE_PAD = 600,
    NEAR_ROWS = 100,
    NEAR_PAD = 400,
    TRAINED = 60,
    TRAINED_PAD = 1200
};

static const struct op create_few[] = { { .kind = &op_create, .rows = FEW },
                                        { .kind = &op_read },
                                        { .kind = NULL } };
static const struct op create_none[] = {
    { .kind = &op_create },
    { .kind = &op_append, .rows = 1 },
    { .kind = &op_append, .rows = 0 },
    { .kind = &op_read },
    { .kind = NULL },
};
static const struct op create_files[] = {
    { .kind = &op_create, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_read },
    { .kind = &op_search },
    { .kind = NULL },
};
static const struct op append_few[] = {
    { .kind = &op_create, .rows = FEW }, { .kind = &op_append, .rows = 1 },
    { .kind = &op_append, .rows = 3 },   { .kind = &op_read },
    { .kind = &op_append, .rows = 2 },   { .kind = NULL },
};
static const struct op append_files[] = {
    { .kind = &op_create, .rows = FEW },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_take },
    { .kind = NULL },
};
static const struct op append_mixed[] = {
    { .kind = &op_create, .rows = FEW },
    { .kind = &op_append, .rows = 1 },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_append, .rows = 2 },
    { .kind = &op_search },
    { .kind = NULL },
};
static const struct op fold_many[] = {
    { .kind = &op_create, .rows = 1 },
    { .kind = &op_append, .rows = 1, .times = 62 },
    { .kind = &op_append, .rows = 2 },
    { .kind = &op_append, .rows = 2 },
    { .kind = &op_append, .rows = 2 },
    { .kind = &op_read },
    { .kind = &op_checkout, .number = 30 },
    { .kind = &op_read },
    { .kind = NULL },
};
static const struct op fold_bytes[] = {
    { .kind = &op_create, .rows = 1 },
    { .kind = &op_append, .rows = NEAR_ROWS, .pad = NEAR_PAD, .times = 4 },
    { .kind = &op_append, .rows = NEAR_ROWS, .pad = NEAR_PAD },
    { .kind = &op_append, .rows = NEAR_ROWS, .pad = NEAR_PAD },
    { .kind = &op_read },
    { .kind = NULL },
};
static const struct op checkpoint[] = {
    { .kind = &op_create, .rows = 1 },
    { .kind = &op_overwrite, .rows = 2, .times = 62 },
    { .kind = &op_append, .rows = 2, .times = 2 },
    { .kind = &op_reopen },
    { .kind = &op_read },
    { .kind = NULL },
};
static const struct op overwrite[] = {
    { .kind = &op_create, .rows = FEW },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_overwrite, .rows = 4 },
    { .kind = &op_read },
    { .kind = &op_overwrite, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_overwrite },
    { .kind = &op_append, .rows = 2 },
    { .kind = NULL },
};
static const struct op create_over[] = {
    { .kind = &op_create, .rows = FEW },
    { .kind = &op_create, .rows = FEW },
    { .kind = &op_create, .rows = 3, .replace = true },
    { .kind = &op_append, .rows = 2 },
    { .kind = NULL },
};
static const struct op index_rq[] = {
    { .kind = &op_create, .rows = TRAINED },
    { .kind = &op_index, .index = VECTOR_INDEX },
    { .kind = &op_append, .rows = 3 },
    { .kind = &op_search },
    { .kind = NULL },
};
static const struct op index_pq[] = {
    { .kind = &op_create, .rows = TRAINED },
    { .kind = &op_index, .index = VECTOR_INDEX, .type = KITH_IVF_PQ },
    { .kind = &op_search },
    { .kind = NULL },
};
static const struct op index_flat[] = {
    { .kind = &op_create, .rows = TRAINED, .pad = TRAINED_PAD },
    { .kind = &op_index, .index = VECTOR_INDEX, .type = KITH_IVF_FLAT },
    { .kind = &op_index, .index = VECTOR_INDEX, .type = KITH_IVF_SQ },
    { .kind = &op_search },
    { .kind = &op_drop_index, .index = VECTOR_INDEX },
    { .kind = &op_search },
    { .kind = NULL },
};
static const struct op index_hnsw[] = {
    { .kind = &op_create, .rows = TRAINED, .pad = TRAINED_PAD },
    { .kind = &op_index, .index = VECTOR_INDEX, .type = KITH_HNSW },
    { .kind = &op_append, .rows = 20 },
    { .kind = &op_optimize, .number = 1 },
    { .kind = &op_search },
    { .kind = &op_index, .index = VECTOR_INDEX, .type = KITH_IVF_FLAT },
    { .kind = &op_search },
    { .kind = NULL },
};
static const struct op index_auto[] = {
    { .kind = &op_create, .rows = FEW, .number = TRAINED },
    { .kind = &op_append, .rows = TRAINED },
    { .kind = &op_search },
    { .kind = &op_index, .index = VECTOR_INDEX, .type = KITH_IVF_FLAT },
    { .kind = NULL },
};
static const struct op index_values[] = {
    { .kind = &op_create, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_index, .index = ID_INDEX, .type = KITH_BTREE },
    { .kind = &op_index, .index = NUMBER_INDEX, .type = KITH_BITMAP },
    { .kind = &op_filter },
    { .kind = &op_append, .rows = FEW },
    { .kind = &op_filter },
    { .kind = &op_drop_index, .index = ID_INDEX },
    { .kind = &op_filter },
    { .kind = NULL },
};
static const struct op drop_again[] = {
    { .kind = &op_create, .rows = FEW },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_drop },
    { .kind = &op_create, .rows = 3 },
    { .kind = &op_append, .rows = 1 },
    { .kind = &op_read },
    { .kind = NULL },
};
static const struct op rename_on[] = {
    { .kind = &op_create, .rows = FEW },
    { .kind = &op_rename },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_rename },
    { .kind = &op_reopen },
    { .kind = &op_read },
    { .kind = NULL },
};
static const struct op old_versions[] = {
    { .kind = &op_create, .rows = FEW },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_append, .rows = 2 },
    { .kind = &op_checkout, .number = 2 },
    { .kind = &op_read },
    { .kind = &op_append, .rows = 1 },
    { .kind = &op_checkout, .number = 1 },
    { .kind = &op_search },
    { .kind = &op_checkout, .number = 9 },
    { .kind = &op_latest },
    { .kind = &op_append, .rows = 2 },
    { .kind = &op_read },
    { .kind = NULL },
};
static const struct op two_handles[] = {
    { .kind = &op_create, .rows = FEW },
    { .kind = &op_read, .who = 1 },
    { .kind = &op_append, .rows = 2 },
    { .kind = &op_read, .who = 1 },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD, .who = 1 },
    { .kind = &op_search },
    { .kind = &op_index, .index = VECTOR_INDEX, .type = KITH_IVF_FLAT },
    { .kind = &op_search, .who = 1 },
    { .kind = &op_overwrite, .rows = 3, .who = 1 },
    { .kind = &op_read },
    { .kind = NULL },
};
static const struct op reading[] = {
    { .kind = &op_create, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_index, .index = VECTOR_INDEX },
    { .kind = &op_index, .index = ID_INDEX },
    { .kind = &op_append, .rows = 3, .times = 2 },
    { .kind = &op_reopen },
    { .kind = &op_read },
    { .kind = &op_search },
    { .kind = &op_filter },
    { .kind = &op_take },
    { .kind = &op_verify },
    { .kind = NULL },
};

static const struct op delete_few[] = {
    { .kind = &op_create, .rows = 20 },
    { .kind = &op_append, .rows = 20 },
    { .kind = &op_delete, .number = 20 },
    { .kind = &op_read },
    { .kind = &op_delete, .number = 20 },
    { .kind = &op_append, .rows = 3 },
    { .kind = &op_delete, .number = 100 },
    { .kind = &op_append, .rows = 2 },
    { .kind = NULL },
};
static const struct op delete_files[] = {
    { .kind = &op_create, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_delete, .number = 10 },
    { .kind = &op_delete, .number = 30, .who = 1 },
    { .kind = &op_search },
    { .kind = &op_take },
    { .kind = &op_delete, .number = 80 },
    { .kind = &op_filter },
    { .kind = NULL },
};
static const struct op delete_folded[] = {
    { .kind = &op_create, .rows = 20 },
    { .kind = &op_append, .rows = 2, .times = 60 },
    { .kind = &op_delete, .number = 30 },
    { .kind = &op_append, .rows = 2, .times = 4 },
    { .kind = &op_delete, .number = 60 },
    { .kind = &op_read },
    { .kind = NULL },
};
static const struct op delete_indexed[] = {
    { .kind = &op_create, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_index, .index = VECTOR_INDEX, .type = KITH_IVF_FLAT },
    { .kind = &op_index, .index = NUMBER_INDEX },
    { .kind = &op_delete, .number = 25 },
    { .kind = &op_search },
    { .kind = &op_filter },
    { .kind = &op_update, .number = 50 },
    { .kind = &op_search },
    { .kind = &op_filter },
    { .kind = NULL },
};
/* Most rows of indexes over values die: what is left of their pieces is merged by the write that killed them.
 */
static const struct op delete_valued[] = {
    { .kind = &op_create, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_index, .index = ID_INDEX, .type = KITH_BTREE },
    { .kind = &op_index, .index = NUMBER_INDEX, .type = KITH_BITMAP },
    { .kind = &op_delete, .number = 70 },
    { .kind = &op_filter },
    { .kind = &op_update, .number = 95 },
    { .kind = &op_filter },
    { .kind = &op_search },
    { .kind = NULL },
};
static const struct op update_rows[] = {
    { .kind = &op_create, .rows = 20 },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_update, .number = 20 },
    { .kind = &op_read },
    { .kind = &op_update, .number = 100 },
    { .kind = &op_update, .number = 0 },
    { .kind = &op_checkout, .number = 2 },
    { .kind = &op_read },
    { .kind = NULL },
};
static const struct op merge_rows[] = {
    { .kind = &op_create, .rows = 20 },
    { .kind = &op_merge, .rows = 30, .from = 1 },
    { .kind = &op_read },
    { .kind = &op_merge, .rows = FILE_ROWS, .pad = FILE_PAD, .from = 1 },
    { .kind = &op_merge, .rows = 5, .from = 1, .replace = true },
    { .kind = &op_read },
    { .kind = NULL },
};
static const struct op keyed[] = {
    { .kind = &op_create, .rows = 20, .keyed = true },
    { .kind = &op_append, .rows = 4 },
    { .kind = &op_append, .rows = 4, .from = 2 },
    { .kind = &op_merge, .rows = 30, .from = 1 },
    { .kind = &op_get },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_delete, .number = 40 },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD, .from = 6 },
    { .kind = &op_get },
    { .kind = NULL },
};
static const struct op restored[] = {
    { .kind = &op_create, .rows = FEW },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_delete, .number = 50 },
    { .kind = &op_restore, .number = 2 },
    { .kind = &op_read },
    { .kind = &op_checkout, .number = 1 },
    { .kind = &op_restore, .number = 1 },
    { .kind = &op_append, .rows = 2 },
    { .kind = &op_restore, .number = 77 },
    { .kind = NULL },
};
static const struct op tagged[] = {
    { .kind = &op_create, .rows = FEW },
    { .kind = &op_append, .rows = 3 },
    { .kind = &op_tag, .number = 1 },
    { .kind = &op_tag, .number = 2 },
    { .kind = &op_tag, .number = 2, .change = KITH_TAG_UPDATE },
    { .kind = &op_append, .rows = 2 },
    { .kind = &op_tag, .number = 9, .change = KITH_TAG_UPDATE },
    { .kind = &op_tag, .change = KITH_TAG_DELETE },
    { .kind = &op_tag, .change = KITH_TAG_DELETE },
    { .kind = NULL },
};
static const struct op columns[] = {
    { .kind = &op_create, .rows = 20 },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_add_column },
    { .kind = &op_read },
    { .kind = &op_append, .rows = 2 },
    { .kind = &op_delete, .number = 30 },
    { .kind = &op_drop_column },
    { .kind = &op_append, .rows = 2 },
    { .kind = &op_add_column },
    { .kind = &op_read },
    { .kind = NULL },
};

static const struct op columns_beside[] = {
    { .kind = &op_create, .rows = FEW },
    { .kind = &op_append_beside, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_append_beside, .rows = 3, .number = 1 },
    { .kind = &op_append_beside, .rows = 2 },
    { .kind = &op_append_beside, .rows = FILE_ROWS, .pad = FILE_PAD, .number = 2 },
    { .kind = &op_read },
    { .kind = &op_search },
    { .kind = NULL },
};

static const struct op twice[] = {
    { .kind = &op_create, .rows = FEW },
    { .kind = &op_append, .rows = 3, .key = 1 },
    { .kind = &op_append, .rows = 3, .key = 1 },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD, .key = 2 },
    { .kind = &op_delete, .number = 30 },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD, .key = 2 },
    { .kind = &op_reopen },
    { .kind = &op_append, .rows = 2, .key = 1 },
    { .kind = &op_append, .rows = 2, .key = 3 },
    { .kind = &op_read },
    { .kind = NULL },
};

static const struct op upkeep[] = {
    { .kind = &op_create, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_append, .rows = 10, .times = 3 },
    { .kind = &op_delete, .number = 30 },
    { .kind = &op_optimize, .replace = true },
    { .kind = &op_read },
    { .kind = &op_update, .number = 60 },
    { .kind = &op_optimize, .number = 1, .replace = true },
    { .kind = &op_optimize },
    { .kind = &op_append, .rows = 2 },
    { .kind = &op_search },
    { .kind = NULL },
};
static const struct op upkeep_tagged[] = {
    { .kind = &op_create, .rows = FEW },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_tag, .number = 2 },
    { .kind = &op_append, .rows = 3 },
    { .kind = &op_delete, .number = 60 },
    { .kind = &op_optimize, .replace = true },
    { .kind = &op_checkout, .number = 2 },
    { .kind = &op_read },
    { .kind = &op_latest },
    { .kind = &op_restore, .number = 2 },
    { .kind = &op_tag, .change = KITH_TAG_DELETE },
    { .kind = &op_overwrite, .rows = 2 },
    { .kind = &op_optimize },
    { .kind = &op_read },
    { .kind = NULL },
};
static const struct op upkeep_pinned[] = {
    { .kind = &op_create, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_append, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_checkout, .number = 1, .who = 1 },
    { .kind = &op_delete, .number = 50 },
    { .kind = &op_optimize, .replace = true },
    { .kind = &op_search, .who = 1 },
    { .kind = &op_read, .who = 1 },
    { .kind = &op_latest, .who = 1 },
    { .kind = &op_read, .who = 1 },
    { .kind = NULL },
};
static const struct op upkeep_indexed[] = {
    { .kind = &op_create, .rows = TRAINED, .pad = TRAINED_PAD },
    { .kind = &op_index, .index = VECTOR_INDEX, .type = KITH_IVF_FLAT },
    { .kind = &op_index, .index = NUMBER_INDEX },
    { .kind = &op_append, .rows = 30 },
    { .kind = &op_optimize, .number = 1 },
    { .kind = &op_search },
    { .kind = &op_delete, .number = 30 },
    { .kind = &op_optimize, .replace = true },
    { .kind = &op_search },
    { .kind = &op_filter },
    { .kind = NULL },
};
static const struct op upkeep_hnsw[] = {
    { .kind = &op_create, .rows = TRAINED, .pad = TRAINED_PAD },
    { .kind = &op_index, .index = VECTOR_INDEX, .type = KITH_HNSW },
    { .kind = &op_append, .rows = 30 },
    { .kind = &op_optimize, .number = 1 },
    { .kind = &op_append, .rows = 10 },
    { .kind = &op_optimize, .number = 1 },
    { .kind = &op_search },
    { .kind = &op_delete, .number = 60 },
    { .kind = &op_optimize, .number = 1 },
    { .kind = &op_search },
    { .kind = &op_update, .number = 80 },
    { .kind = &op_optimize, .replace = true },
    { .kind = &op_reopen },
    { .kind = &op_search },
    { .kind = NULL },
};
static const struct op erased[] = {
    { .kind = &op_create, .rows = FILE_ROWS, .pad = FILE_PAD },
    { .kind = &op_index, .index = NUMBER_INDEX },
    { .kind = &op_append, .rows = 5, .times = 2 },
    { .kind = &op_delete, .number = 40 },
    { .kind = &op_erase },
    { .kind = &op_filter },
    { .kind = &op_overwrite, .rows = 3 },
    { .kind = &op_erase },
    { .kind = &op_read },
    { .kind = NULL },
};
static const struct op keeps_one[] = {
    { .kind = &op_create, .rows = FILE_ROWS, .pad = FILE_PAD, .keeps_one = true },
    { .kind = &op_overwrite, .rows = FILE_ROWS, .pad = FILE_PAD, .times = 15 },
    { .kind = &op_overwrite, .rows = FILE_ROWS, .pad = FILE_PAD, .times = 2 },
    { .kind = &op_append, .rows = 2 },
    { .kind = &op_overwrite, .rows = 3 },
    { .kind = &op_read },
    { .kind = NULL },
};

const struct scenario scenarios[] = {
    { "create_few", create_few, 0 },
    { "create_none", create_none, 0 },
    { "create_files", create_files, 0 },
    { "append_few", append_few, 1 },
    { "append_files", append_files, 1 },
    { "append_mixed", append_mixed, 1 },
    { "fold_many", fold_many, 2 },
    { "fold_bytes", fold_bytes, 2 },
    { "checkpoint", checkpoint, 2 },
    { "overwrite", overwrite, 2 },
    { "create_over", create_over, 1 },
    { "index_rq", index_rq, 1 },
    { "index_pq", index_pq, 1 },
    { "index_flat", index_flat, 1 },
    { "index_hnsw", index_hnsw, 1 },
    { "index_auto", index_auto, 1 },
    { "index_values", index_values, 1 },
    { "drop_again", drop_again, 2 },
    { "rename_on", rename_on, 1 },
    { "old_versions", old_versions, 3 },
    { "two_handles", two_handles, 1 },
    { "reading", reading, 4 },
    { "delete_few", delete_few, 2 },
    { "delete_files", delete_files, 2 },
    { "delete_folded", delete_folded, 2 },
    { "delete_indexed", delete_indexed, 3 },
    { "delete_valued", delete_valued, 3 },
    { "update_rows", update_rows, 2 },
    { "merge_rows", merge_rows, 1 },
    { "keyed", keyed, 1 },
    { "restored", restored, 3 },
    { "tagged", tagged, 2 },
    { "columns", columns, 2 },
    { "columns_beside", columns_beside, 1 },
    { "twice", twice, 1 },
    { "upkeep", upkeep, 2 },
    { "erased", erased, 2 },
    { "upkeep_tagged", upkeep_tagged, 2 },
    { "upkeep_pinned", upkeep_pinned, 2 },
    { "upkeep_indexed", upkeep_indexed, 3 },
    { "upkeep_hnsw", upkeep_hnsw, 2 },
    { "keeps_one", keeps_one, 2 },
};
const size_t scenario_count = sizeof scenarios / sizeof *scenarios;
