/* Tables for people: headings, columns as wide as their cells, numbers to the right. On a terminal the
 * widest text is cut to fit; into a pipe it is whole, so that grep finds what is there.
 */
#include "table_print.h"

#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>

struct sheet {
    struct libscols_table *table;
    struct libscols_line *line;
    size_t at;
};

static struct sheet *sheet_new(void)
{
    struct sheet *sheet = cli_alloc(sizeof *sheet);
    sheet->table = scols_new_table();
    if (!sheet->table) exit(CLI_ERROR);
    scols_table_set_column_separator(sheet->table, "  ");
    if (cli_color(stdout)) scols_table_enable_colors(sheet->table, 1);
    return sheet;
}

static void add_column(struct sheet *sheet, const char *name, bool right)
{
    struct libscols_column *column =
        scols_table_new_column(sheet->table, name, 0, right ? SCOLS_FL_RIGHT : SCOLS_FL_TRUNC);
    if (column && cli_color(stdout)) scols_cell_set_color(scols_column_get_header(column), "bold");
}

struct sheet *cli_sheet_new(const char *const *headings)
{
    struct sheet *sheet = sheet_new();
    for (size_t i = 0; headings[i]; i++) {
        bool right = headings[i][0] == '>';
        add_column(sheet, headings[i] + right, right);
    }
    return sheet;
}

void cli_sheet_row(struct sheet *sheet)
{
    sheet->line = scols_table_new_line(sheet->table, NULL);
    sheet->at = 0;
}

void cli_sheet_cell(struct sheet *sheet, const char *text)
{
    if (sheet->line) scols_line_set_data(sheet->line, sheet->at++, text);
}

void cli_sheet_count(struct sheet *sheet, uint64_t count)
{
    char text[32];
    cli_sheet_cell(sheet, cli_count_text(text, count));
}

void cli_sheet_bytes(struct sheet *sheet, uint64_t bytes)
{
    char text[32];
    cli_sheet_cell(sheet, cli_bytes_text(text, bytes));
}

void cli_sheet_print(struct sheet *sheet)
{
    scols_print_table(sheet->table);
    scols_unref_table(sheet->table);
    free(sheet);
}

void cli_shown_init(struct shown_columns *shown, const struct ArrowSchema *schema)
{
    static const char *const first[] = { "_rowid", "_distance" };
    *shown = (struct shown_columns){ .schema = schema,
                                     .at = cli_alloc((size_t)schema->n_children * sizeof *shown->at) };
    for (size_t i = 0; i < 2; i++) {
        int64_t at = cli_column_find(schema, first[i]);
        if (at >= 0) shown->at[shown->count++] = at;
    }
    for (int64_t i = 0; i < schema->n_children; i++) {
        const char *name = schema->children[i]->name;
        if (strcmp(name, first[0]) == 0 || strcmp(name, first[1]) == 0 || strcmp(name, "query_index") == 0)
            continue;
        shown->at[shown->count++] = i;
    }
}

void cli_shown_release(struct shown_columns *shown)
{
    free(shown->at);
    *shown = (struct shown_columns){ 0 };
}

struct sheet *cli_rows_sheet(const struct shown_columns *shown, const char *last)
{
    struct sheet *sheet = sheet_new();
    for (size_t i = 0; i < shown->count; i++) {
        const struct ArrowSchema *column = shown->schema->children[shown->at[i]];
        bool number = strchr("cCsSiIlLefgd", column->format[0]) && !column->dictionary;
        add_column(sheet, column->name, number);
    }
    if (last) add_column(sheet, last, false);
    return sheet;
}

void cli_rows_cells(struct sheet *sheet, const struct shown_columns *shown, const struct ArrowArray *batch,
                    int64_t row)
{
    struct text cell = { 0 };
    for (size_t i = 0; i < shown->count; i++) {
        cell.size = 0;
        cli_text_add(&cell, "", 0);
        cli_cell_brief(cli_column(shown->schema, batch, shown->at[i]), batch->offset + row, &cell);
        cli_sheet_cell(sheet, cell.data);
    }
    cli_text_release(&cell);
}

void cli_row_json(struct json *json, const struct shown_columns *shown, const struct ArrowArray *batch,
                  int64_t row)
{
    for (size_t i = 0; i < shown->count; i++) {
        cli_json_key(json, shown->schema->children[shown->at[i]]->name);
        cli_cell_json(cli_column(shown->schema, batch, shown->at[i]), batch->offset + row, &json->text);
    }
}
