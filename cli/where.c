/* --where and --param. A value is read as JSON reads a number or a word, and is text otherwise: what comes
 * from a script's variable needs no quoting unless it must be text and looks like a number.
 */
#include "where.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool read_number(const char *text, kith_value *to)
{
    char *end = NULL;
    if (!*text || !strchr("+-0123456789.", *text)) return false;
    errno = 0;
    long long whole = strtoll(text, &end, 10);
    if (!*end && !errno) {
        to->type = KITH_VALUE_INT;
        to->integer = whole;
        return true;
    }
    errno = 0;
    unsigned long long natural = strtoull(text, &end, 10);
    if (!*end && !errno && *text != '-') {
        to->type = KITH_VALUE_UINT;
        to->natural = natural;
        return true;
    }
    to->number = strtod(text, &end);
    to->type = KITH_VALUE_FLOAT;
    return !*end;
}

static void read_value(const char *text, kith_value *to)
{
    size_t size = strlen(text);
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        to->type = KITH_VALUE_BOOL;
        to->integer = *text == 't';
    } else if (strcmp(text, "null") == 0) {
        to->type = KITH_VALUE_NULL;
    } else if (!read_number(text, to)) {
        bool quoted = size >= 2 && text[0] == '"' && text[size - 1] == '"';
        to->type = KITH_VALUE_TEXT;
        to->text = text + quoted;
        to->size = size - 2 * (size_t)quoted;
    }
}

/* ":name=value", or a value. @return the name, to be freed, or NULL */
static char *read_parameter(const char *given, kith_value *to)
{
    const char *equals = given[0] == ':' ? strchr(given, '=') : NULL;
    char *name = NULL;
    *to = (kith_value){ 0 };
    if (equals) {
        size_t size = (size_t)(equals - given - 1);
        name = cli_alloc(size + 1);
        memcpy(name, given + 1, size);
        name[size] = 0;
    }
    read_value(equals ? equals + 1 : given, to);
    to->name = name;
    return name;
}

kith_status cli_where(const struct where *where, kith_expr **out, kith_error *error)
{
    size_t count = where->given.count;
    *out = NULL;
    if (!where->text && count)
        return cli_fail(error, KITH_INVALID, "--param %s: there is no --where that it is for",
                        where->given.items[0]);
    if (!where->text) return KITH_OK;
    kith_value *values = cli_alloc((count + 1) * sizeof *values);
    char **names = cli_alloc((count + 1) * sizeof *names);
    for (size_t i = 0; i < count; i++) names[i] = read_parameter(where->given.items[i], &values[i]);
    kith_status status = kith_expr_sql(where->text, values, count, out, error);
    for (size_t i = 0; i < count; i++) free(names[i]);
    free(names);
    free(values);
    return status;
}

void cli_where_release(struct where *where)
{
    free(where->given.items);
}
