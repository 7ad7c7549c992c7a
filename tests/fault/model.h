/* What a database must hold: at most one table, its rows at each version, its indexes. And looking whether it
 * does, with handles of its own. */
#ifndef TESTS_FAULT_MODEL_H
#define TESTS_FAULT_MODEL_H

#include "fault/rows.h"

enum { VERSIONS_MOST = 256 };

#define TAG "kept"
enum index_bit { VECTOR_INDEX = 1, ID_INDEX = 2, NUMBER_INDEX = 4, ITEM_INDEX = 8 }; /* "vector_idx", ... */
extern const char *const index_columns[4];                                           /* of each bit */

struct model_version {
    struct rows *rows; /* NULL: no longer kept */
    bool extra;        /* it has the column EXTRA_COLUMN */
};

struct model {
    bool exists;
    const char *name;
    uint32_t version_count;
    struct model_version versions[VERSIONS_MOST]; /* version i + 1 */
    bool keyed;                                   /* by "id" */
    bool unordered;                               /* something does not say where it puts its rows */
    bool keeps_one;                               /* old versions may go at any time */
    uint64_t keys;                                /* idempotency keys under which something was written */
    uint64_t loose;                               /* versions up to this may have gone, the tagged one not */
    uint64_t tagged;                              /* the version that TAG names; 0: there is no tag */
    uint32_t indexes;                             /* that must be there, */
    uint32_t perhaps;                             /* that may be there as well: built unasked */
};

void model_copy(const struct model *from, struct model *to); /* `to` is zeroed or has been released */
void model_release(struct model *model);
struct rows *model_rows(const struct model *model); /* of the newest version; borrowed */
struct rows *model_rows_at(const struct model *model, uint64_t version);
bool model_may_lack(const struct model *model, uint64_t version);
/** A version more, with these rows, which are taken over, and the columns of the one before it. */
void model_push(struct model *model, struct rows *rows);
/** The table is gone. */
void model_clear(struct model *model);

/** How thoroughly to look. */
enum look {
    LOOK_ROWS,   /* that the table opens and has the right rows, indexes and tags */
    LOOK_CLOSELY /* and every byte verified, searches, filters, an older version, the list of tables */
};
/** Whether the database at `uri` is as the model says. */
bool model_fits(const struct model *model, const char *uri, enum look look, struct complaint *complaint);

/* The parts of it, for handles that somebody else holds. Each gives KITH_OK, or the failure that the library
 * reports; what it says and is not so goes to `complaint`. `version` 0: the newest. */
kith_status look_tags(kith_table *table, const struct model *model, struct complaint *complaint,
                      kith_error *error);
kith_status look_rows(kith_table *table, const struct model *model, uint64_t version,
                      struct complaint *complaint, kith_error *error);
kith_status look_indexes(kith_table *table, const struct model *model, struct complaint *complaint,
                         kith_error *error);
kith_status look_search(kith_table *table, const struct rows *rows, struct complaint *complaint,
                        kith_error *error);
kith_status look_filter(kith_table *table, const struct rows *rows, struct complaint *complaint,
                        kith_error *error);
kith_status look_take(kith_table *table, const struct rows *rows, struct complaint *complaint,
                      kith_error *error);

#endif
