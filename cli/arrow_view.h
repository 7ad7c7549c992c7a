/* Reading Arrow: cells as text, as JSON, as numbers. */
#ifndef CLI_ARROW_VIEW_H
#define CLI_ARROW_VIEW_H

#include "cli.h"
#include "json_out.h"

/* A column: its type and a batch's values. `row` counts from 0 within the array, its offset is added. */
struct column_view {
    const struct ArrowSchema *schema;
    const struct ArrowArray *array;
};
struct column_view cli_column(const struct ArrowSchema *schema, const struct ArrowArray *batch,
                              int64_t column);
/** The position of a column; -1 for none. */
int64_t cli_column_find(const struct ArrowSchema *schema, const char *name);

bool cli_cell_is_null(struct column_view column, int64_t row);
/** In full; null is "null". */
void cli_cell_json(struct column_view column, int64_t row, struct text *to);
/** For CSV: text as it is, null as nothing, the rest as JSON. @return whether it was null */
bool cli_cell_plain(struct column_view column, int64_t row, struct text *to);
/** For people: vectors as "[0.12, -0.3, ... 384]", long text cut, nothing that would move the cursor. */
void cli_cell_brief(struct column_view column, int64_t row, struct text *to);
/** The whole number of an integer column. */
int64_t cli_cell_int(struct column_view column, int64_t row);
/** The value of a float32 column. */
float cli_cell_float(struct column_view column, int64_t row);

/** Whether a type is a vector's; fills element and dim, which may be NULL. */
bool cli_is_vector(const struct ArrowSchema *schema, kith_element *element, uint32_t *dim);
size_t cli_element_bytes(kith_element element);
float cli_half_to_float(uint16_t half);
/** The bytes of a vector cell. */
const uint8_t *cli_cell_vector(struct column_view column, int64_t row);

/** The column a search would use: `name`, or the only vector column.
 *  @return KITH_NOT_FOUND, or KITH_INVALID when there are several; the message lists them */
kith_status cli_vector_column(const struct ArrowSchema *schema, const char *name, int64_t *out,
                              kith_error *error);

/** "float32[384]", "text", "timestamp[us, UTC]". */
void cli_type_text(const struct ArrowSchema *schema, struct text *to);
/** A value of field metadata, e.g. "kith:metric"; false when absent. */
bool cli_metadata(const struct ArrowSchema *schema, const char *key, struct text *to);

#endif
