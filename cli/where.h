/* --where and --param: the rows that a command is about. */
#ifndef CLI_WHERE_H
#define CLI_WHERE_H

#include "options.h"

struct where {
    const char *text;         /* NULL: all rows */
    struct option_list given; /* --param, as often as it was given */
};

#define WHERE_OPTIONS(offset_of_where)                                                                       \
    { "where",     'w',                                                                                      \
      OPTION_TEXT, (offset_of_where) + offsetof(struct where, text),                                         \
      "SQL",       "only rows that meet this, e.g. 'price < ? AND tag = :tag'",                              \
      NULL },                                                                                                \
    {                                                                                                        \
        "param", 'p', OPTION_LIST, (offset_of_where) + offsetof(struct where, given), "VALUE",               \
            "for the next ? of --where, or as :name=VALUE: a number, true, false, null, else text; \"...\" " \
            "is text in any case",                                                                           \
            NULL                                                                                             \
    }

/** The filter, or NULL where none was given; freed with kith_expr_free(). */
kith_status cli_where(const struct where *where, kith_expr **out, kith_error *error);
void cli_where_release(struct where *where);

#endif
