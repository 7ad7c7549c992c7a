/* The types that a cast goes to, by name: SQL's words, as PostgreSQL and DuckDB have them, and Arrow's.
 *
 * Where the two worlds give one word two meanings, Arrow's holds: "int8" is a byte, not eight of them, and
 * "float" has 32 bits. "int2" and "int4" are left out, so that nobody is misled by the company they would
 * keep.
 *
 * Units of times are digits of a second, as SQL counts them: timestamp(0), (3), (6), which is the default,
 * and (9). Arrow's timestamp[ns] and timestamp[us, UTC] are read as well. The only time zone is UTC: a cast
 * cannot make a column remember another.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "filter/filter_private.h"

static const struct type_name {
    const char *name;
    enum kt_type type;
    bool utc;
} type_names[] = { /* the first name of a type is the one that is written */
                   { "boolean", KT_BOOL, 0 },
                   { "bool", KT_BOOL, 0 },
                   { "int8", KT_INT8, 0 },
                   { "tinyint", KT_INT8, 0 },
                   { "smallint", KT_INT16, 0 },
                   { "int16", KT_INT16, 0 },
                   { "short", KT_INT16, 0 },
                   { "int", KT_INT32, 0 },
                   { "integer", KT_INT32, 0 },
                   { "int32", KT_INT32, 0 },
                   { "bigint", KT_INT64, 0 },
                   { "int64", KT_INT64, 0 },
                   { "long", KT_INT64, 0 },
                   { "uint8", KT_UINT8, 0 },
                   { "utinyint", KT_UINT8, 0 },
                   { "uint16", KT_UINT16, 0 },
                   { "usmallint", KT_UINT16, 0 },
                   { "uint32", KT_UINT32, 0 },
                   { "uinteger", KT_UINT32, 0 },
                   { "uint64", KT_UINT64, 0 },
                   { "ubigint", KT_UINT64, 0 },
                   { "float16", KT_FLOAT16, 0 },
                   { "halffloat", KT_FLOAT16, 0 },
                   { "half", KT_FLOAT16, 0 },
                   { "float", KT_FLOAT32, 0 },
                   { "real", KT_FLOAT32, 0 },
                   { "float32", KT_FLOAT32, 0 },
                   { "double", KT_FLOAT64, 0 },
                   { "double precision", KT_FLOAT64, 0 },
                   { "float64", KT_FLOAT64, 0 },
                   { "decimal", KT_DECIMAL128, 0 },
                   { "numeric", KT_DECIMAL128, 0 },
                   { "dec", KT_DECIMAL128, 0 },
                   { "decimal128", KT_DECIMAL128, 0 },
                   { "varchar", KT_UTF8, 0 },
                   { "text", KT_UTF8, 0 },
                   { "string", KT_UTF8, 0 },
                   { "utf8", KT_UTF8, 0 },
                   { "char", KT_UTF8, 0 },
                   { "character varying", KT_UTF8, 0 },
                   { "large_utf8", KT_LARGE_UTF8, 0 },
                   { "large_string", KT_LARGE_UTF8, 0 },
                   { "blob", KT_BINARY, 0 },
                   { "binary", KT_BINARY, 0 },
                   { "varbinary", KT_BINARY, 0 },
                   { "bytea", KT_BINARY, 0 },
                   { "large_binary", KT_LARGE_BINARY, 0 },
                   { "date", KT_DATE32, 0 },
                   { "date32", KT_DATE32, 0 },
                   { "date64", KT_DATE64, 0 },
                   { "time", KT_TIME64, 0 },
                   { "time64", KT_TIME64, 0 },
                   { "time32", KT_TIME32, 0 },
                   { "time without time zone", KT_TIME64, 0 },
                   { "timestamp", KT_TIMESTAMP, 0 },
                   { "datetime", KT_TIMESTAMP, 0 },
                   { "timestamp without time zone", KT_TIMESTAMP, 0 },
                   { "timestamptz", KT_TIMESTAMP, 1 },
                   { "timestamp with time zone", KT_TIMESTAMP, 1 },
                   { "interval", KT_DURATION, 0 },
                   { "duration", KT_DURATION, 0 }
};
enum { TYPE_NAMES = sizeof type_names / sizeof type_names[0] };

/* A name taken apart: "decimal ( 10, 2 )", "timestamp[us, UTC]", "timestamp(3) with time zone". */
struct parts {
    char word[KT_TYPE_NAME]; /* single spaces, what stood around the brackets put together */
    char in[KT_TYPE_NAME];   /* what stood in the brackets, no spaces */
    char bracket;            /* '(' or '[' or none */
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool take_apart(const char *name, size_t size, struct parts *parts)
{
    size_t word = 0, in = 0;
    char close = 0;
    *parts = (struct parts){ 0 };
    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        if (word + 2 >= sizeof parts->word || in + 1 >= sizeof parts->in || !c) return false;
        if (close && c == close) {
            close = 0;
            c = ' ';
        } else if (close) {
            if (!is_space(c)) parts->in[in++] = c;
            continue;
        } else if ((c == '(' || c == '[') && !parts->bracket) {
            parts->bracket = c;
            close = c == '(' ? ')' : ']';
            continue;
        }
        if (!is_space(c))
            parts->word[word++] = c;
        else if (word && parts->word[word - 1] != ' ')
            parts->word[word++] = ' ';
    }
    if (word && parts->word[word - 1] == ' ') parts->word[word - 1] = '\0';
    return !close;
}

/* Up to two numbers of one or two digits, between commas; -1 for another text. */
static int numbers(const char *text, int32_t out[2])
{
    int count = 0;
    for (; count < 2; count++) {
        int32_t value = 0, digits = 0;
        for (; *text >= '0' && *text <= '9' && digits < 2; digits++) value = value * 10 + (*text++ - '0');
        if (!digits) return -1;
        out[count] = value;
        if (!*text) return count + 1;
        if (*text++ != ',') return -1;
    }
    return -1;
}

static const char *set_decimal(const struct parts *parts, struct kt_field *field)
{
    int32_t given[2] = { 18, 3 };
    if (parts->bracket) {
        int count = numbers(parts->in, given);
        if (count < 0 || parts->bracket != '(') return "takes a precision and a scale, as in decimal(10,2)";
        if (count == 1) given[1] = 0;
    }
    if (given[0] < 1 || given[0] > 38 || given[1] > given[0])
        return "needs a precision in 1..38 and a scale that is not above it";
    field->width = given[0];
    field->scale = given[1];
    return NULL;
}

static bool read_unit(const struct parts *parts, struct kt_field *field, bool *utc)
{
    static const char *const units[] = { "s", "ms", "us", "ns" };
    int32_t digits[2];
    if (parts->bracket == '(') {
        if (numbers(parts->in, digits) != 1 || digits[0] > 9) return false;
        field->unit = (enum kt_unit)((digits[0] + 2) / 3);
        return true;
    }
    const char *comma = strchr(parts->in, ',');
    size_t size = comma ? (size_t)(comma - parts->in) : strlen(parts->in);
    if (comma) *utc = strcasecmp(comma + 1, "UTC") == 0 || strcmp(comma + 1, "+00:00") == 0;
    if (comma && (!*utc || field->type != KT_TIMESTAMP)) return false;
    for (int i = 0; i < 4; i++) {
        if (strlen(units[i]) != size || memcmp(units[i], parts->in, size) != 0) continue;
        field->unit = (enum kt_unit)i;
        return true;
    }
    return false;
}

static const char *set_unit(const struct parts *parts, struct kt_field *field, bool utc)
{
    field->unit = field->type == KT_TIME32 ? KT_MILLISECOND : KT_MICROSECOND;
    if (parts->bracket && !read_unit(parts, field, &utc))
        return "takes digits of a second, as in timestamp(3), or a unit, as in timestamp[ms] and "
               "timestamp[us, "
               "UTC]";
    if (field->type == KT_TIME64 && field->unit < KT_MICROSECOND) field->type = KT_TIME32;
    if (field->type == KT_TIME32 && field->unit > KT_MILLISECOND) field->type = KT_TIME64;
    if (utc && !(field->timezone = kt_strdup("UTC"))) return "";
    return NULL;
}

/* What is wrong with what stands in brackets: "" when memory is out. */
static const char *set_parts(const struct parts *parts, bool utc, struct kt_field *field)
{
    switch (field->type) {
    case KT_DECIMAL128:
        return set_decimal(parts, field);
    case KT_TIME32:
    case KT_TIME64:
    case KT_TIMESTAMP:
    case KT_DURATION:
        return set_unit(parts, field, utc);
    default:
        return parts->bracket && strcmp(parts->in, field->type == KT_DATE32 ? "day" : "ms") != 0
                   ? "takes nothing in brackets"
                   : NULL;
    }
}

static kith_status unknown(const char *name, size_t size, kith_error *error)
{
    const char *names[TYPE_NAMES];
    char near[KT_NEAR_TEXT], word[KT_TYPE_NAME];
    snprintf(word, sizeof word, "%.*s", (int)kt_min_u64(size, sizeof word - 1), name);
    for (size_t i = 0; i < TYPE_NAMES; i++) names[i] = type_names[i].name;
    kt_near_names(word, names, TYPE_NAMES, near);
    return kt_fail(error, KITH_INVALID, "there is no type \"%s\" to cast to%s", word, near);
}

static const struct type_name *find(const char *word)
{
    for (size_t i = 0; i < TYPE_NAMES; i++)
        if (strcasecmp(type_names[i].name, word) == 0) return &type_names[i];
    return NULL;
}

kith_status kt_type_named(const char *name, size_t size, struct kt_field **out, kith_error *error)
{
    struct parts parts;
    const struct type_name *found = take_apart(name, size, &parts) ? find(parts.word) : NULL;
    if (!found) return unknown(name, size, error);
    struct kt_field *field = kt_alloc_zero(1, sizeof *field);
    if (!field) return kt_fail_memory(error, sizeof *field);
    *field = (struct kt_field){ .id = -1, .type = found->type, .nullable = true, .name = kt_strdup("") };
    const char *fault = field->name ? set_parts(&parts, found->utc, field) : "";
    if (!fault) {
        *out = field;
        return KITH_OK;
    }
    kt_type_free(field);
    return *fault ? kt_fail(error, KITH_INVALID, "the type %s %s", found->name, fault)
                  : kt_fail_memory(error, sizeof *field);
}

void kt_type_free(struct kt_field *type)
{
    if (!type) return;
    kt_free(type->name);
    kt_free(type->timezone);
    kt_free(type);
}

void kt_type_to_sql(const struct kt_field *type, char name[KT_TYPE_NAME])
{
    static const int digits[] = { 0, 3, 6, 9 };
    enum kt_type named = type->type == KT_TIME32 ? KT_TIME64 : type->type;
    const char *word = "?";
    for (size_t i = TYPE_NAMES; i--;)
        if (type_names[i].type == named && !type_names[i].utc) word = type_names[i].name;
    bool timed = named == KT_TIME64 || named == KT_TIMESTAMP || named == KT_DURATION;
    const char *zone = named == KT_TIMESTAMP && type->timezone ? " with time zone" : "";
    if (named == KT_DECIMAL128)
        snprintf(name, KT_TYPE_NAME, "decimal(%d,%d)", type->width, type->scale);
    else if (timed && type->unit != KT_MICROSECOND)
        snprintf(name, KT_TYPE_NAME, "%s(%d)%s", word, digits[type->unit], zone);
    else
        snprintf(name, KT_TYPE_NAME, "%s%s", word, zone);
}
