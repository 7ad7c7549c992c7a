/* Arrow cells for people and programs. Every type that Kith stores is read here by its format string;
 * one that is unknown shows as its format, so that a newer library does not break an older listing.
 */
#include "arrow_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

__extension__ typedef __int128 wide_int;

struct column_view cli_column(const struct ArrowSchema *schema, const struct ArrowArray *batch,
                              int64_t column)
{
    return (struct column_view){ schema->children[column], batch->children[column] };
}

int64_t cli_column_find(const struct ArrowSchema *schema, const char *name)
{
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (strcmp(schema->children[i]->name, name) == 0) return i;
    }
    return -1;
}

static bool bit_at(const void *bits, int64_t at)
{
    return ((const uint8_t *)bits)[at / 8] >> (at % 8) & 1;
}

bool cli_cell_is_null(struct column_view column, int64_t row)
{
    const struct ArrowArray *array = column.array;
    if (column.schema->format[0] == 'n') return true;
    if (array->null_count == 0 || array->n_buffers < 1 || !array->buffers[0]) return false;
    return !bit_at(array->buffers[0], array->offset + row);
}

/* Where the value of a fixed-width cell lies. */
static const void *value_at(struct column_view column, int64_t row, size_t bytes)
{
    return (const uint8_t *)column.array->buffers[1] + (size_t)(column.array->offset + row) * bytes;
}

float cli_half_to_float(uint16_t half)
{
    int exponent = half >> 10 & 0x1f;
    int fraction = half & 0x3ff;
    float value = exponent == 0    ? ldexpf((float)fraction, -24)
                  : exponent == 31 ? (fraction ? NAN : INFINITY)
                                   : ldexpf((float)(fraction + 1024), exponent - 25);
    return half & 0x8000 ? -value : value;
}

/* Reads a little-endian machine's own integers; Kith runs on no other. */
static int64_t signed_at(const void *at, size_t bytes)
{
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    switch (bytes) {
    case 1:
        memcpy(&i8, at, 1);
        return i8;
    case 2:
        memcpy(&i16, at, 2);
        return i16;
    case 4:
        memcpy(&i32, at, 4);
        return i32;
    default:
        memcpy(&i64, at, 8);
        return i64;
    }
}

static uint64_t unsigned_at(const void *at, size_t bytes)
{
    uint64_t value = 0;
    memcpy(&value, at, bytes);
    return value;
}

/* The width of an integer format, negative when it is unsigned; 0 for other formats. */
static int integer_width(char format)
{
    static const char formats[] = "cCsSiIlL";
    const char *at = strchr(formats, format);
    if (!format || !at) return 0;
    int width = 1 << ((at - formats) / 2);
    return (at - formats) % 2 ? -width : width;
}

int64_t cli_cell_int(struct column_view column, int64_t row)
{
    int width = integer_width(column.schema->format[0]);
    if (width > 0) return signed_at(value_at(column, row, (size_t)width), (size_t)width);
    if (width < 0) return (int64_t)unsigned_at(value_at(column, row, (size_t)-width), (size_t)-width);
    return 0;
}

float cli_cell_float(struct column_view column, int64_t row)
{
    float value;
    memcpy(&value, value_at(column, row, sizeof value), sizeof value);
    return value;
}

/* ---- text and bytes ---- */

static const char *bytes_at(struct column_view column, int64_t row, size_t *size)
{
    const char *format = column.schema->format;
    int64_t begin, end;
    if (format[0] == 'w') {
        *size = (size_t)strtoull(format + 2, NULL, 10);
        return value_at(column, row, *size);
    }
    if (format[0] == 'U' || format[0] == 'Z') {
        begin = signed_at(value_at(column, row, 8), 8);
        end = signed_at(value_at(column, row + 1, 8), 8);
    } else {
        begin = signed_at(value_at(column, row, 4), 4);
        end = signed_at(value_at(column, row + 1, 4), 4);
    }
    *size = (size_t)(end - begin);
    return *size ? (const char *)column.array->buffers[2] + begin : "";
}

static bool is_text(const struct ArrowSchema *schema)
{
    return !schema->dictionary && (schema->format[0] == 'u' || schema->format[0] == 'U');
}

static void add_hex(struct text *to, const char *bytes, size_t size)
{
    cli_text_puts(to, "\"");
    for (size_t i = 0; i < size; i++) cli_text_printf(to, "%02x", (uint8_t)bytes[i]);
    cli_text_puts(to, "\"");
}

/* ---- times ---- */

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t units_per_second(char unit)
{
    return unit == 's' ? 1 : unit == 'm' ? 1000 : unit == 'u' ? 1000000 : 1000000000;
}

static void add_fraction(struct text *to, int64_t fraction, char unit)
{
    if (unit != 's' && fraction)
        cli_text_printf(to, ".%0*lld", unit == 'm' ? 3 : unit == 'u' ? 6 : 9, (long long)fraction);
}

static void add_date_time(struct text *to, int64_t value, char unit, bool zone)
{
    struct tm when;
    int64_t per = units_per_second(unit);
    time_t seconds = (time_t)floor_divide(value, per);
    if (!gmtime_r(&seconds, &when)) {
        cli_text_printf(to, "\"%lld %cs\"", (long long)value, unit);
        return;
    }
    cli_text_printf(to, "\"%04d-%02d-%02dT%02d:%02d:%02d", when.tm_year + 1900, when.tm_mon + 1, when.tm_mday,
                    when.tm_hour, when.tm_min, when.tm_sec);
    add_fraction(to, value - (int64_t)seconds * per, unit);
    cli_text_puts(to, zone ? "Z\"" : "\"");
}

static void add_date(struct text *to, int64_t days)
{
    struct tm when;
    time_t seconds = (time_t)(days * 86400);
    if (gmtime_r(&seconds, &when)) {
        cli_text_printf(to, "\"%04d-%02d-%02d\"", when.tm_year + 1900, when.tm_mon + 1, when.tm_mday);
    } else {
        cli_text_printf(to, "\"day %lld\"", (long long)days);
    }
}

static void add_time(struct text *to, int64_t value, char unit)
{
    int64_t per = units_per_second(unit);
    int64_t seconds = floor_divide(value, per);
    cli_text_printf(to, "\"%02lld:%02lld:%02lld", (long long)(seconds / 3600), (long long)(seconds / 60 % 60),
                    (long long)(seconds % 60));
    add_fraction(to, value - seconds * per, unit);
    cli_text_puts(to, "\"");
}

/* Formats that begin with 't': dates, times of day, instants, durations. */
static void add_temporal(struct text *to, struct column_view column, int64_t row)
{
    const char *format = column.schema->format;
    char unit = format[2];
    bool narrow = (format[1] == 'd' && unit == 'D') || (format[1] == 't' && (unit == 's' || unit == 'm'));
    int64_t value = signed_at(value_at(column, row, narrow ? 4 : 8), narrow ? 4 : 8);
    switch (format[1]) {
    case 'd':
        add_date(to, unit == 'D' ? value : floor_divide(value, 86400000));
        return;
    case 't':
        add_time(to, value, unit);
        return;
    case 's':
        add_date_time(to, value, unit, format[3] && format[4]);
        return;
    default:
        cli_text_printf(to, "%lld", (long long)value);
    }
}

static void add_decimal(struct text *to, struct column_view column, int64_t row)
{
    wide_int value;
    memcpy(&value, value_at(column, row, 16), sizeof value);
    const char *comma = strchr(column.schema->format, ',');
    int scale = comma ? atoi(comma + 1) : 0;
    char reversed[96];
    int size = 0;
    bool negative = value < 0;
    for (int i = 0; (value || i <= scale) && size < 90; i++) {
        int digit = (int)(value % 10);
        if (i == scale && scale > 0) reversed[size++] = '.';
        reversed[size++] = (char)('0' + (digit < 0 ? -digit : digit));
        value /= 10;
    }
    if (negative) cli_text_puts(to, "-");
    while (size > 0) cli_text_add(to, &reversed[--size], 1);
}

/* ---- nested ---- */

static void list_range(struct column_view column, int64_t row, int64_t *begin, int64_t *end)
{
    const char *format = column.schema->format;
    int64_t at = column.array->offset + row;
    if (format[1] == 'w') {
        int64_t width = strtoll(format + 3, NULL, 10);
        *begin = at * width;
        *end = *begin + width;
    } else {
        size_t bytes = format[1] == 'L' ? 8 : 4;
        *begin = signed_at(value_at(column, row, bytes), bytes);
        *end = signed_at(value_at(column, row + 1, bytes), bytes);
    }
}

static void add_list(struct text *to, struct column_view column, int64_t row)
{
    struct column_view items = { column.schema->children[0], column.array->children[0] };
    int64_t begin, end;
    list_range(column, row, &begin, &end);
    cli_text_puts(to, "[");
    for (int64_t i = begin; i < end; i++) {
        if (i > begin) cli_text_add(to, ",", 1);
        cli_cell_json(items, i, to);
    }
    cli_text_puts(to, "]");
}

static void add_struct(struct text *to, struct column_view column, int64_t row)
{
    cli_text_puts(to, "{");
    for (int64_t i = 0; i < column.schema->n_children; i++) {
        const char *name = column.schema->children[i]->name;
        if (i) cli_text_puts(to, ",");
        cli_text_json_string(to, name, strlen(name));
        cli_text_puts(to, ":");
        cli_cell_json(cli_column(column.schema, column.array, i), column.array->offset + row, to);
    }
    cli_text_puts(to, "}");
}

/* ---- cells ---- */

static struct column_view decoded(struct column_view column, int64_t *row)
{
    if (column.schema->dictionary && !cli_cell_is_null(column, *row)) {
        *row = cli_cell_int(column, *row);
        return (struct column_view){ column.schema->dictionary, column.array->dictionary };
    }
    return column;
}

/* The value of a floating-point cell, which is not null. */
static void add_float(struct text *to, struct column_view column, int64_t row, const char *odd)
{
    uint16_t half;
    double wide;
    switch (column.schema->format[0]) {
    case 'e':
        memcpy(&half, value_at(column, row, sizeof half), sizeof half);
        cli_text_float(to, cli_half_to_float(half), odd);
        return;
    case 'f':
        cli_text_float(to, cli_cell_float(column, row), odd);
        return;
    default:
        memcpy(&wide, value_at(column, row, sizeof wide), sizeof wide);
        cli_text_double(to, wide, odd);
    }
}

void cli_cell_json(struct column_view column, int64_t row, struct text *to)
{
    column = decoded(column, &row);
    const char *format = column.schema->format;
    const char *bytes;
    size_t size;
    if (cli_cell_is_null(column, row)) {
        cli_text_puts(to, "null");
        return;
    }
    switch (format[0]) {
    case 'b':
        cli_text_puts(to, bit_at(column.array->buffers[1], column.array->offset + row) ? "true" : "false");
        return;
    case 'e':
    case 'f':
    case 'g':
        add_float(to, column, row, "null");
        return;
    case 'd':
        add_decimal(to, column, row);
        return;
    case 'u':
    case 'U':
        bytes = bytes_at(column, row, &size);
        cli_text_json_string(to, bytes, size);
        return;
    case 'z':
    case 'Z':
    case 'w':
        bytes = bytes_at(column, row, &size);
        add_hex(to, bytes, size);
        return;
    case 't':
        add_temporal(to, column, row);
        return;
    case '+':
        if (format[1] == 's') {
            add_struct(to, column, row);
        } else {
            add_list(to, column, row);
        }
        return;
    case 'L':
        cli_text_printf(to, "%llu", (unsigned long long)cli_cell_int(column, row));
        return;
    default:
        break;
    }
    if (integer_width(format[0])) {
        cli_text_printf(to, "%lld", (long long)cli_cell_int(column, row));
    } else {
        cli_text_json_string(to, format, strlen(format));
    }
}

bool cli_cell_plain(struct column_view column, int64_t row, struct text *to)
{
    column = decoded(column, &row);
    if (cli_cell_is_null(column, row)) return true;
    size_t begin = to->size;
    if (is_text(column.schema)) {
        size_t size;
        const char *bytes = bytes_at(column, row, &size);
        cli_text_add(to, bytes, size);
        return false;
    }
    if (strchr("efg", column.schema->format[0])) {
        add_float(to, column, row, NULL); // CSV has nan and inf
        return false;
    }
    cli_cell_json(column, row, to);
    if (to->size > begin + 1 && to->data[begin] == '"') { // a date, bytes: no quotes of JSON in a CSV
        memmove(to->data + begin, to->data + begin + 1, to->size - begin - 2);
        to->size -= 2;
        to->data[to->size] = '\0';
    }
    return false;
}

/* The first numbers of a list, and how many there are. */
static void add_brief_list(struct text *to, struct column_view column, int64_t row)
{
    struct column_view items = { column.schema->children[0], column.array->children[0] };
    int64_t begin, end;
    list_range(column, row, &begin, &end);
    struct text one = { 0 };
    cli_text_puts(to, "[");
    for (int64_t i = begin; i < end && (i < begin + 2 || end - begin <= 4); i++) {
        one.size = 0;
        cli_cell_json(items, i, &one);
        if (strchr("efg", items.schema->format[0]) && strcmp(one.data, "null") != 0) {
            char rounded[32];
            snprintf(rounded, sizeof rounded, "%.3g", strtod(one.data, NULL));
            one.size = 0;
            cli_text_puts(&one, rounded);
        }
        cli_text_printf(to, "%s%s", i > begin ? ", " : "", one.data);
    }
    if (end - begin > 4) cli_text_printf(to, ", ... %lld", (long long)(end - begin));
    cli_text_puts(to, "]");
    cli_text_release(&one);
}

enum { BRIEF_BYTES = 72 };

void cli_cell_brief(struct column_view column, int64_t row, struct text *to)
{
    column = decoded(column, &row);
    bool list = column.schema->format[0] == '+' && column.schema->format[1] != 's';
    size_t begin = to->size;
    if (list && !cli_cell_is_null(column, row)) {
        add_brief_list(to, column, row);
        return;
    }
    bool null = cli_cell_plain(column, row, to);
    if (!null && strchr("efg", column.schema->format[0])) { // six digits tell rows apart
        char rounded[32];
        snprintf(rounded, sizeof rounded, "%.6g", strtod(to->data + begin, NULL));
        to->size = begin;
        cli_text_puts(to, rounded);
    }
    if (to->size - begin > BRIEF_BYTES) {
        size_t end = begin + BRIEF_BYTES - 3;
        while (end > begin && ((uint8_t)to->data[end] & 0xc0) == 0x80) end--; // not inside a character
        to->size = end;
        cli_text_puts(to, "...");
    }
    for (size_t i = begin; i < to->size; i++) {
        if ((uint8_t)to->data[i] < 0x20 || to->data[i] == 0x7f) to->data[i] = ' ';
    }
}

/* ---- vectors and types ---- */

bool cli_is_vector(const struct ArrowSchema *schema, kith_element *element, uint32_t *dim)
{
    if (strncmp(schema->format, "+w:", 3) != 0 || schema->n_children != 1) return false;
    kith_element found;
    switch (schema->children[0]->format[0]) {
    case 'f':
        found = KITH_F32;
        break;
    case 'e':
        found = KITH_F16;
        break;
    case 'g':
        found = KITH_F64;
        break;
    case 'c':
        found = KITH_I8;
        break;
    case 'C':
        found = KITH_U8;
        break;
    default:
        return false;
    }
    if (element) *element = found;
    if (dim) *dim = (uint32_t)strtoul(schema->format + 3, NULL, 10);
    return true;
}

size_t cli_element_bytes(kith_element element)
{
    switch (element) {
    case KITH_F32:
        return 4;
    case KITH_F16:
        return 2;
    case KITH_F64:
        return 8;
    case KITH_I8:
    case KITH_U8:
        return 1;
    }
    return 1;
}

const uint8_t *cli_cell_vector(struct column_view column, int64_t row)
{
    kith_element element = KITH_F32;
    uint32_t dim = 0;
    cli_is_vector(column.schema, &element, &dim);
    const struct ArrowArray *items = column.array->children[0];
    size_t at = (size_t)(column.array->offset + row) * dim + (size_t)items->offset;
    return (const uint8_t *)items->buffers[1] + at * cli_element_bytes(element);
}

kith_status cli_vector_column(const struct ArrowSchema *schema, const char *name, int64_t *out,
                              kith_error *error)
{
    struct text found = { 0 };
    int64_t at = -1, count = 0;
    for (int64_t i = 0; i < schema->n_children; i++) {
        const struct ArrowSchema *column = schema->children[i];
        if (!cli_is_vector(column, NULL, NULL)) continue;
        cli_text_printf(&found, "%s%s", count++ ? ", " : "", column->name);
        if (at < 0 || (name && strcmp(column->name, name) == 0)) at = i;
    }
    kith_status status = KITH_OK;
    if (!count) {
        status = cli_fail(error, KITH_NOT_FOUND, "there is no vector column");
    } else if (name && strcmp(schema->children[at]->name, name) != 0) {
        status =
            cli_fail(error, KITH_NOT_FOUND, "there is no vector column '%s'; there is %s", name, found.data);
    } else if (!name && count > 1) {
        status = cli_fail(error, KITH_INVALID,
                          "there are several vector columns; say which with --column: %s", found.data);
    } else {
        *out = at;
    }
    cli_text_release(&found);
    return status;
}

static const char *plain_name(const char *format)
{
    static const struct {
        const char *format, *name;
    } names[] = {
        { "n", "null" },           { "b", "bool" },           { "c", "int8" },
        { "C", "uint8" },          { "s", "int16" },          { "S", "uint16" },
        { "i", "int32" },          { "I", "uint32" },         { "l", "int64" },
        { "L", "uint64" },         { "e", "float16" },        { "f", "float32" },
        { "g", "float64" },        { "u", "text" },           { "U", "text" },
        { "z", "binary" },         { "Z", "binary" },         { "tdD", "date" },
        { "tdm", "date64" },       { "tts", "time[s]" },      { "ttm", "time[ms]" },
        { "ttu", "time[us]" },     { "ttn", "time[ns]" },     { "tDs", "duration[s]" },
        { "tDm", "duration[ms]" }, { "tDu", "duration[us]" }, { "tDn", "duration[ns]" },
        { "+s", "struct" },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(format, names[i].format) == 0) return names[i].name;
    }
    return NULL;
}

void cli_type_text(const struct ArrowSchema *schema, struct text *to)
{
    const char *format = schema->format;
    const char *name = plain_name(format);
    if (schema->dictionary) {
        cli_text_puts(to, "dictionary of ");
        cli_type_text(schema->dictionary, to);
    } else if (name) {
        cli_text_puts(to, name);
    } else if (format[0] == '+' && strchr("lLw", format[1])) {
        cli_type_text(schema->children[0], to);
        cli_text_printf(to, "[%s]", format[1] == 'w' ? format + 3 : "");
    } else if (format[0] == 't' && format[1] == 's') {
        const char *unit = format[2] == 's' ? "s" : format[2] == 'm' ? "ms" : format[2] == 'u' ? "us" : "ns";
        bool zone = format[3] && format[4];
        cli_text_printf(to, "timestamp[%s%s%s]", unit, zone ? ", " : "", zone ? format + 4 : "");
    } else if (format[0] == 'd') {
        cli_text_printf(to, "decimal(%s)", format + 2);
    } else if (format[0] == 'w') {
        cli_text_printf(to, "binary[%s]", format + 2);
    } else {
        cli_text_puts(to, format);
    }
}

bool cli_metadata(const struct ArrowSchema *schema, const char *key, struct text *to)
{
    const char *at = schema->metadata;
    int32_t pairs = 0, size = 0;
    if (!at) return false;
    memcpy(&pairs, at, sizeof pairs);
    at += sizeof pairs;
    for (int32_t i = 0; i < pairs; i++) {
        memcpy(&size, at, sizeof size);
        at += sizeof size;
        bool found = strlen(key) == (size_t)size && memcmp(at, key, (size_t)size) == 0;
        at += size;
        memcpy(&size, at, sizeof size);
        at += sizeof size;
        if (found) {
            cli_text_add(to, at, (size_t)size);
            return true;
        }
        at += size;
    }
    return false;
}
