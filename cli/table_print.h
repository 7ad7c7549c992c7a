/* Tables on stdout, by libsmartcols. */
#ifndef CLI_TABLE_PRINT_H
#define CLI_TABLE_PRINT_H

#include "arrow_view.h"

struct sheet;

/** `headings` ends with NULL; one that begins with '>' is aligned to the right. */
struct sheet *cli_sheet_new(const char *const *headings);
/** Begins a row; then its cells from left to right. */
void cli_sheet_row(struct sheet *sheet);
void cli_sheet_cell(struct sheet *sheet, const char *text);
void cli_sheet_count(struct sheet *sheet, uint64_t count);
void cli_sheet_bytes(struct sheet *sheet, uint64_t bytes);
/** Prints it and frees it. */
void cli_sheet_print(struct sheet *sheet);

/* Rows of an answer, as a table or as JSON objects: which columns, in which order. */
struct shown_columns {
    const struct ArrowSchema *schema;
    int64_t *at;
    size_t count;
};
/** All but "query_index"; "_rowid" and "_distance" first, where a narrow terminal does not cut them. */
void cli_shown_init(struct shown_columns *shown, const struct ArrowSchema *schema);
void cli_shown_release(struct shown_columns *shown);

struct sheet *cli_rows_sheet(const struct shown_columns *shown, const char *last); /* `last` may be NULL */
void cli_rows_cells(struct sheet *sheet, const struct shown_columns *shown, const struct ArrowArray *batch,
                    int64_t row);
/** "column": value, ... into an object that the caller opened. */
void cli_row_json(struct json *json, const struct shown_columns *shown, const struct ArrowArray *batch,
                  int64_t row);

#endif
