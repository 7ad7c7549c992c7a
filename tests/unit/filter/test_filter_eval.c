/* What a filter gives is what its tree means, row by row: an interpreter of one row at a time, as plain as it
 * can be, says what that is, for random trees over rows of every kind of column. Then the places where the
 * two ways differ: offsets, pieces, words without rows, dictionaries, numbers at the ends of their types. */
#include "unit/filter/filter_rows.h"

/* ---- one row at a time ---- */

__extension__ typedef __int128 big;

struct plain {
    enum { NOTHING, TRUTH, WHOLE, REAL, TEXT, NESTED } kind;
    bool truth, literal;
    enum kt_type type; /* of a column */
    big whole;         /* with a scale */
    int32_t scale;
    double real;
    uint8_t text[256];
    size_t size;
    const struct kt_array *array;
    int64_t row;
};

static const struct plain nothing = { .kind = NOTHING };

static struct plain truth(bool value)
{
    return (struct plain){ .kind = TRUTH, .truth = value };
}

static double half_value(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double size = exponent == 31 ? (fraction ? (double)NAN : (double)INFINITY)
                  : exponent     ? ldexp(1024 + fraction, exponent - 25)
                                 : ldexp(fraction, -24);
    return half & 0x8000 ? -size : size;
}

static struct plain read_plain(const struct kt_array *array, int64_t row)
{
    struct plain out = { .kind = WHOLE, .type = array->field->type };
    const uint8_t *at = array->values;
    int64_t count;
    if (kt_array_null(array, row)) return nothing;
    switch (out.type) {
    case KT_BOOL:
        return truth(kt_bit(at, (uint64_t)(array->offset + row)));
    case KT_FLOAT16:
    case KT_FLOAT32:
    case KT_FLOAT64:
        out.kind = REAL;
        at += (array->offset + row) * kt_field_entry_bytes(array->field);
        out.real = out.type == KT_FLOAT64   ? *(const double *)(const void *)at
                   : out.type == KT_FLOAT32 ? (double)*(const float *)(const void *)at
                                            : half_value(*(const uint16_t *)(const void *)at);
        return out;
    case KT_DECIMAL128:
        memcpy(&out.whole, at + (array->offset + row) * 16, 16);
        out.scale = array->field->scale;
        return out;
    case KT_LIST:
    case KT_FIXED_LIST:
    case KT_STRUCT:
        out.kind = NESTED;
        out.array = array;
        out.row = row;
        return out;
    default:
        if (kt_field_entry_bytes(array->field) && array->field->type <= KT_UINT64) {
            int64_t integer = kt_array_integer(array, row);
            out.whole = out.type == KT_UINT64 ? (big)(uint64_t)integer : integer;
            return out;
        }
        out.kind = TEXT;
        at = kt_array_bytes(array, row, &count);
        if (count) memcpy(out.text, at, (size_t)count);
        out.size = (size_t)count;
        return out;
    }
}

static struct plain read_column(const struct kt_batch *batch, int64_t row, const struct kt_expr *expr)
{
    const struct kt_array *array = &batch->columns[kt_schema_find(batch->schema, expr->path[0])];
    for (uint32_t step = 1; step < expr->path_count; step++) {
        if (kt_array_null(array, row)) return nothing;
        uint32_t child = 0;
        while (strcmp(array->field->children[child].name, expr->path[step]) != 0) child++;
        row += array->offset;
        array = &array->children[child];
    }
    return read_plain(array, row);
}

static struct plain literal(const struct kt_value *value)
{
    struct plain out = { .kind = WHOLE, .whole = value->integer, .literal = true };
    if (value->kind == KT_VALUE_NULL) return nothing;
    if (value->kind == KT_VALUE_BOOL) return truth(value->boolean);
    if (value->kind == KT_VALUE_FLOAT) {
        out.kind = REAL;
        out.real = value->number;
    } else if (value->kind == KT_VALUE_TEXT) {
        out.kind = TEXT;
        memcpy(out.text, value->text, value->size);
        out.size = value->size;
    } else if (value->kind == KT_VALUE_UINT) {
        out.whole = value->natural;
    }
    return out;
}

static int order_of(long double a, long double b)
{
    if (isnan(a) || isnan(b)) return (int)isnan(a) - (int)isnan(b);
    return (a > b) - (a < b);
}

/* A written float beside a column of fewer digits is the nearest of that column; beside a decimal, decimal.
 */
static void meet(const struct plain *column, struct plain *written)
{
    if (column->type == KT_FLOAT32 && isfinite((float)written->real))
        written->real = (double)(float)written->real;
    if (column->type != KT_DECIMAL128 || !(fabs(written->real) < 1e15)) return;
    written->kind = WHOLE;
    written->scale = 3;
    written->whole = (big)llround(written->real * 1000);
}

static int compare(struct plain a, struct plain b)
{
    if (a.literal && a.kind == REAL) meet(&b, &a);
    if (b.literal && b.kind == REAL) meet(&a, &b);
    if (a.kind == TRUTH) return (int)a.truth - (int)b.truth;
    if (a.kind == TEXT) {
        int order = memcmp(a.text, b.text, a.size < b.size ? a.size : b.size);
        return order ? (order > 0) - (order < 0) : (a.size > b.size) - (a.size < b.size);
    }
    if (a.kind == REAL || b.kind == REAL) /* a long double holds all of a double and of an int64 */
        return order_of(a.kind == REAL ? (long double)a.real : (long double)a.whole / powl(10, a.scale),
                        b.kind == REAL ? (long double)b.real : (long double)b.whole / powl(10, b.scale));
    for (; a.scale < b.scale; a.scale++) a.whole *= 10;
    for (; b.scale < a.scale; b.scale++) b.whole *= 10;
    return (a.whole > b.whole) - (a.whole < b.whole);
}

static size_t character(const uint8_t *at, const uint8_t *end)
{
    size_t size = 1;
    while (at + size < end && (at[size] & 0xc0) == 0x80) size++;
    return size;
}

static bool like(const uint8_t *text, const uint8_t *end, const uint8_t *pattern, const uint8_t *pattern_end)
{
    if (pattern == pattern_end) return text == end;
    if (*pattern == '%')
        return like(text, end, pattern + 1, pattern_end) ||
               (text < end && like(text + character(text, end), end, pattern, pattern_end));
    if (text == end) return false;
    if (*pattern == '_') return like(text + character(text, end), end, pattern + 1, pattern_end);
    return *text == *pattern && like(text + 1, end, pattern + 1, pattern_end);
}

static struct plain evaluate(const struct kt_batch *batch, int64_t row, const struct kt_expr *expr);

static struct plain logic(const struct kt_batch *batch, int64_t row, const struct kt_expr *expr)
{
    bool decided = expr->fn == KT_FN_OR, unknown = false;
    for (uint32_t i = 0; i < expr->count; i++) {
        struct plain arg = evaluate(batch, row, expr->args[i]);
        if (arg.kind == TRUTH && arg.truth == decided) return truth(decided);
        unknown |= arg.kind == NOTHING;
    }
    return unknown ? nothing : truth(!decided);
}

static bool accepts(enum kt_fn fn, int order)
{
    switch (fn) {
    case KT_FN_NE:
        return order != 0;
    case KT_FN_LT:
        return order < 0;
    case KT_FN_LE:
        return order <= 0;
    case KT_FN_GT:
        return order > 0;
    case KT_FN_GE:
        return order >= 0;
    default:
        return order == 0;
    }
}

static struct plain in(const struct kt_batch *batch, int64_t row, const struct kt_expr *expr)
{
    struct plain x = evaluate(batch, row, expr->args[0]);
    bool unknown = false;
    if (x.kind == NOTHING) return nothing;
    for (uint32_t i = 1; i < expr->count; i++) {
        const struct kt_value *list = &expr->args[i]->value;
        bool written = expr->args[i]->fn == KT_FN_LITERAL;
        for (size_t k = 0; k < (written ? list->count : 1); k++) {
            struct plain item = written ? literal(&list->items[k]) : evaluate(batch, row, expr->args[i]);
            if (item.kind != NOTHING && compare(x, item) == 0) return truth(true);
            unknown |= item.kind == NOTHING;
        }
    }
    return unknown ? nothing : truth(false);
}

static struct plain arithmetic(enum kt_fn fn, struct plain a, struct plain b)
{
    if (a.kind == REAL || b.kind == REAL) {
        double x = a.kind == REAL ? a.real : (double)a.whole, y = b.kind == REAL ? b.real : (double)b.whole;
        if ((fn == KT_FN_DIV || fn == KT_FN_MOD) && y == 0) return nothing;
        double z = fn == KT_FN_ADD   ? x + y
                   : fn == KT_FN_SUB ? x - y
                   : fn == KT_FN_MUL ? x * y
                   : fn == KT_FN_DIV ? x / y
                                     : fmod(x, y);
        return (struct plain){ .kind = REAL, .real = z };
    }
    big x = a.whole, y = b.whole;
    if ((fn == KT_FN_DIV || fn == KT_FN_MOD) && y == 0) return nothing;
    big z = fn == KT_FN_ADD   ? x + y
            : fn == KT_FN_SUB ? x - y
            : fn == KT_FN_MUL ? x * y
            : fn == KT_FN_DIV ? x / y
                              : x % y;
    return (struct plain){ .kind = WHOLE, .whole = z };
}

static struct plain choose(const struct kt_batch *batch, int64_t row, const struct kt_expr *expr)
{
    struct plain best = nothing;
    for (uint32_t i = 0; expr->fn == KT_FN_CASE && i + 1 < expr->count; i += 2) {
        struct plain when = evaluate(batch, row, expr->args[i]);
        if (when.kind == TRUTH && when.truth) return evaluate(batch, row, expr->args[i + 1]);
    }
    if (expr->fn == KT_FN_CASE)
        return expr->count % 2 ? evaluate(batch, row, expr->args[expr->count - 1]) : nothing;
    for (uint32_t i = 0; i < expr->count; i++) {
        struct plain arg = evaluate(batch, row, expr->args[i]);
        if (arg.kind == NOTHING) continue;
        if (expr->fn == KT_FN_COALESCE) return arg;
        int order = best.kind == NOTHING ? 1 : compare(arg, best);
        if (best.kind == NOTHING || (expr->fn == KT_FN_GREATEST ? order > 0 : order < 0)) best = arg;
    }
    return best;
}

static struct plain of_items(const struct kt_expr *expr, struct plain list, struct plain arg)
{
    const struct kt_array *items = &list.array->children[0];
    const int32_t *offsets = (const int32_t *)(const void *)list.array->values + list.array->offset;
    int64_t begin = offsets[list.row], end = offsets[list.row + 1];
    if (expr->fn == KT_FN_ARRAY_LENGTH) return (struct plain){ .kind = WHOLE, .whole = end - begin };
    if (expr->fn == KT_FN_ELEMENT) {
        int64_t at = (int64_t)arg.whole < 0 ? end + (int64_t)arg.whole : begin + (int64_t)arg.whole - 1;
        return arg.whole == 0 || at < begin || at >= end ? nothing : read_plain(items, at);
    }
    for (int64_t at = begin; at < end; at++) {
        struct plain item = read_plain(items, at);
        if (item.kind != NOTHING && compare(item, arg) == 0) return truth(true);
    }
    return truth(false);
}

static struct plain of_texts(enum kt_fn fn, struct plain a, struct plain b)
{
    bool found = false;
    switch (fn) {
    case KT_FN_LIKE:
        return truth(like(a.text, a.text + a.size, b.text, b.text + b.size));
    case KT_FN_STARTS_WITH:
        return truth(a.size >= b.size && memcmp(a.text, b.text, b.size) == 0);
    case KT_FN_ENDS_WITH:
        return truth(a.size >= b.size && memcmp(a.text + a.size - b.size, b.text, b.size) == 0);
    case KT_FN_CONTAINS:
        for (size_t i = 0; i + b.size <= a.size; i++) found |= memcmp(a.text + i, b.text, b.size) == 0;
        return truth(found);
    default:
        memcpy(a.text + a.size, b.text, b.size); /* texts are short */
        a.size += b.size;
        return a;
    }
}

static struct plain of_one(enum kt_fn fn, struct plain a)
{
    big count = 0;
    switch (fn) {
    case KT_FN_NOT:
        return truth(!a.truth);
    case KT_FN_NEG:
        return arithmetic(KT_FN_SUB, (struct plain){ .kind = WHOLE }, a);
    case KT_FN_ABS:
        if (a.kind == REAL) a.real = fabs(a.real);
        if (a.kind == WHOLE && a.whole < 0) a.whole = -a.whole;
        a.type = KT_NULL;
        return a;
    case KT_FN_ISNAN:
        return truth(a.kind == REAL && isnan(a.real));
    case KT_FN_LENGTH:
        for (size_t i = 0; i < a.size; i++) count += (a.text[i] & 0xc0) != 0x80;
        return (struct plain){ .kind = WHOLE, .whole = count };
    default: /* trim */
        while (a.size && a.text[a.size - 1] == ' ') a.size--;
        while (a.size && a.text[0] == ' ') memmove(a.text, a.text + 1, --a.size);
        return a;
    }
}

static struct plain evaluate(const struct kt_batch *batch, int64_t row, const struct kt_expr *expr)
{
    enum kt_fn fn = expr->fn;
    if (fn == KT_FN_LITERAL) return literal(&expr->value);
    if (fn == KT_FN_COLUMN) return read_column(batch, row, expr);
    if (fn == KT_FN_AND || fn == KT_FN_OR) return logic(batch, row, expr);
    if (fn == KT_FN_IN) return in(batch, row, expr);
    if (fn >= KT_FN_CASE && fn <= KT_FN_LEAST && fn != KT_FN_NULLIF) return choose(batch, row, expr);
    struct plain a = evaluate(batch, row, expr->args[0]), b = nothing;
    if (expr->count > 1) b = evaluate(batch, row, expr->args[1]);
    bool both = a.kind != NOTHING && b.kind != NOTHING;
    if (fn == KT_FN_NOT_DISTINCT || fn == KT_FN_DISTINCT) {
        bool same = both ? compare(a, b) == 0 : a.kind == b.kind;
        return truth(same == (fn == KT_FN_NOT_DISTINCT));
    }
    if (fn == KT_FN_IS_NULL || fn == KT_FN_IS_NOT_NULL)
        return truth((a.kind == NOTHING) == (fn == KT_FN_IS_NULL));
    if (fn == KT_FN_IS_TRUE || fn == KT_FN_IS_NOT_TRUE)
        return truth((a.kind == TRUTH && a.truth) == (fn == KT_FN_IS_TRUE));
    if (fn == KT_FN_IS_FALSE || fn == KT_FN_IS_NOT_FALSE)
        return truth((a.kind == TRUTH && !a.truth) == (fn == KT_FN_IS_FALSE));
    if (fn == KT_FN_NULLIF) return both && compare(a, b) == 0 ? nothing : a;
    if (a.kind == NOTHING || (expr->count > 1 && b.kind == NOTHING)) return nothing;
    if (fn >= KT_FN_EQ && fn <= KT_FN_GE) return truth(accepts(fn, compare(a, b)));
    if (fn >= KT_FN_ADD && fn <= KT_FN_MOD) return arithmetic(fn, a, b);
    if (a.kind == NESTED) return of_items(expr, a, b);
    return expr->count > 1 ? of_texts(fn, a, b) : of_one(fn, a);
}

/* ---- random texts of filters ---- */

struct writer {
    struct kt_random *random;
    struct kt_buffer text;
};

static void write(struct writer *writer, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void write(struct writer *writer, const char *format, ...)
{
    char part[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(part, sizeof part, format, arguments);
    va_end(arguments);
    assert_true(size < (int)sizeof part && kt_buffer_append(&writer->text, part, (size_t)size));
}

static uint64_t roll(struct writer *writer, uint64_t sides)
{
    return kt_random_below(writer->random, sides);
}

#define PICK(writer, list) (list)[roll(writer, sizeof(list) / sizeof(list)[0])]

static void write_truth(struct writer *writer, int depth);

static void write_integer(struct writer *writer, int depth)
{
    static const char *const columns[] = {
        "i8", "i16", "u8", "u16", "record.a", "numbers[1]", "numbers[-2]"
    };
    static const char *const literals[] = { "0", "1", "-1", "2", "3", "7", "100", "-128", "256" };
    static const char *const operations[] = { "+", "-", "*", "/", "%" };
    uint64_t kind = depth > 0 ? roll(writer, 9) : roll(writer, 3);
    if (kind <= 1) {
        write(writer, "%s", PICK(writer, columns));
    } else if (kind == 2) {
        write(writer, "%s", PICK(writer, literals));
    } else if (kind <= 4) {
        write(writer, "(");
        write_integer(writer, 0);
        write(writer, " %s ", PICK(writer, operations));
        write_integer(writer, depth - 1);
        write(writer, ")");
    } else if (kind == 5) {
        write(writer, "abs(");
        write_integer(writer, depth - 1);
        write(writer, ")");
    } else if (kind == 6) {
        write(writer, "length(%s)", roll(writer, 2) ? "text" : "word");
    } else {
        static const char *const calls[] = { "coalesce", "greatest", "least" };
        write(writer, "%s(", PICK(writer, calls));
        write_integer(writer, depth - 1);
        write(writer, ", ");
        write_integer(writer, depth - 1);
        write(writer, ")");
    }
}

static void write_real(struct writer *writer, int depth)
{
    static const char *const columns[] = { "f64", "record.c.d", "f64 + f32", "f16 * 2.0" };
    static const char *const literals[] = { "0.5", "-2.5", "1.5", "3.0", "0.0", "-0.0", "1e10" };
    static const char *const operations[] = { "+", "-", "*", "/" };
    uint64_t kind = depth > 0 ? roll(writer, 5) : roll(writer, 3);
    if (kind <= 1) {
        write(writer, "%s", PICK(writer, columns));
    } else if (kind == 2) {
        write(writer, "%s", PICK(writer, literals));
    } else {
        write(writer, "((");
        write_real(writer, depth - 1);
        write(writer, ") %s (", PICK(writer, operations));
        write_real(writer, depth - 1);
        write(writer, "))");
    }
}

static void write_text(struct writer *writer, int depth)
{
    static const char *const columns[] = { "text", "long_text", "word", "word8", "record.b", "labels[1]" };
    uint64_t kind = depth > 0 ? roll(writer, 6) : roll(writer, 3);
    if (kind <= 1) {
        write(writer, "%s", PICK(writer, columns));
    } else if (kind == 2) {
        const char *text = PICK(writer, row_texts);
        write(writer, "'%s'", strcmp(text, "it's") == 0 ? "it''s" : text);
    } else if (kind == 3) {
        write(writer, "trim(");
        write_text(writer, depth - 1);
        write(writer, ")");
    } else if (kind == 4) {
        write(writer, "(");
        write_text(writer, 0);
        write(writer, " || ");
        write_text(writer, 0);
        write(writer, ")");
    } else {
        write(writer, "CASE WHEN ");
        write_truth(writer, depth - 1);
        write(writer, " THEN ");
        write_text(writer, 0);
        write(writer, " ELSE ");
        write_text(writer, 0);
        write(writer, " END");
    }
}

static void write_pair(struct writer *writer, int depth)
{
    static const char *const operations[] = {
        "=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"
    };
    static void (*const sides[])(struct writer *, int) = { write_integer, write_real, write_text };
    uint64_t left = roll(writer, 3), right = left == 2 ? 2 : roll(writer, 2);
    write(writer, "(");
    sides[left](writer, depth);
    write(writer, " %s ", PICK(writer, operations));
    sides[right](writer, depth);
    write(writer, ")");
}

/* A column of each type beside a literal, at the ends of its type and beyond. */
static void write_stored(struct writer *writer)
{
    static const char *const columns[] = { "i8",  "i16", "i32", "i64", "u8",    "u16",
                                           "u32", "u64", "f16", "f32", "price", "f64" };
    static const char *const literals[] = { "0",
                                            "1",
                                            "-1",
                                            "127",
                                            "-128",
                                            "128",
                                            "255",
                                            "256",
                                            "32767",
                                            "-32769",
                                            "65535",
                                            "2147483647",
                                            "-2147483649",
                                            "4294967295",
                                            "4294967296",
                                            "9223372036854775807",
                                            "-9223372036854775808",
                                            "18446744073709551615",
                                            "9007199254740993",
                                            "0.5",
                                            "1.5",
                                            "-2.5",
                                            "3.0",
                                            "1e10",
                                            "1e300",
                                            "-1e300",
                                            "9007199254740992.0",
                                            "-0.0" };
    static const char *const operations[] = { "=", "<>", "<", "<=", ">", ">=" };
    bool turned = roll(writer, 4) == 0;
    const char *column = PICK(writer, columns), *value = PICK(writer, literals);
    write(writer, "(%s %s %s)", turned ? value : column, PICK(writer, operations), turned ? column : value);
}

static void write_in(struct writer *writer)
{
    bool text = roll(writer, 2), real = !text && roll(writer, 3) == 0;
    static const char *const integers[] = { "0", "1", "2", "-128", "127", "300", "NULL", "2.5", "i16", "7" };
    if (text)
        write_text(writer, 1);
    else
        write(writer, "%s", real ? "f32" : roll(writer, 2) ? "i8" : "u64");
    write(writer, roll(writer, 3) ? " IN (" : " NOT IN (");
    for (uint64_t i = 0, count = 1 + roll(writer, 7); i < count; i++) {
        if (i) write(writer, ", ");
        if (text)
            write_text(writer, 0);
        else
            write(writer, "%s", PICK(writer, integers));
    }
    write(writer, ")");
}

static void write_truth(struct writer *writer, int depth)
{
    static const char *const is[] = { "NULL", "NOT NULL", "TRUE", "NOT TRUE", "FALSE", "NOT FALSE" };
    static const char *const patterns[] = { "a%",  "%b",    "%b%",  "_b_",       "abc",           "%",
                                            "",    "__",    "%_%_", "a%c",       "\xe6\x97\xa5_", "%a%b%",
                                            "%bc", "c_t%1", "%%",   "_\xc3\xa4%" };
    static const char *const calls[] = { "starts_with", "ends_with", "contains" };
    static const char *const nullable[] = { "i32",      "text",     "word8", "numbers", "record", "vector",
                                            "record.c", "switches", "day",   "nothing", "pair" };
    switch (depth > 0 ? roll(writer, 16) : 8 + roll(writer, 4)) {
    case 0:
    case 1:
    case 2:
        write(writer, "(");
        write_truth(writer, depth - 1);
        write(writer, roll(writer, 2) ? " AND " : " OR ");
        write_truth(writer, depth - 1);
        write(writer, roll(writer, 2) ? " AND " : " OR ");
        write_truth(writer, depth - 1);
        write(writer, ")");
        break;
    case 3:
        write(writer, "(NOT ");
        write_truth(writer, depth - 1);
        write(writer, ")");
        break;
    case 4:
        write(writer, "(");
        write_truth(writer, depth - 1);
        write(writer, " IS %s)", PICK(writer, is));
        break;
    case 5:
        write(writer, "(");
        write_text(writer, depth - 1);
        write(writer, " %sLIKE '%s')", roll(writer, 2) ? "" : "NOT ", PICK(writer, patterns));
        break;
    case 6:
        write(writer, "%s(", PICK(writer, calls));
        write_text(writer, depth - 1);
        write(writer, ", ");
        write_text(writer, 0);
        write(writer, ")");
        break;
    case 7:
        write(writer, "(");
        write_integer(writer, depth - 1);
        write(writer, " BETWEEN -3 AND ");
        write_integer(writer, 0);
        write(writer, ")");
        break;
    case 8:
        write(writer, "flag");
        break;
    case 9:
        write(writer, "(%s IS %sNULL)", PICK(writer, nullable), roll(writer, 2) ? "" : "NOT ");
        break;
    case 10:
        write_stored(writer);
        break;
    case 11:
        write_in(writer);
        break;
    case 12:
        write(writer, "array_has(%s)", roll(writer, 2) ? "numbers, 1" : "numbers, i8");
        break;
    default:
        write_pair(writer, depth - 1);
        break;
    }
}

/* ---- the comparison ---- */

static void assert_as_meant(const char *text, const struct kt_batch *batch, const uint64_t *among)
{
    static uint64_t bits[ROWS_WORDS];
    if (!rows_eval(text, batch, among, bits)) fail_msg("%s\n%s", text, oops.message);
    struct kt_expr *expr = rows_parse(text);
    for (int64_t row = 0; row < batch->rows; row++) {
        struct plain wanted = evaluate(batch, row, expr);
        bool asked = !among || bit_of(among, row), passes = wanted.kind == TRUTH && wanted.truth && asked;
        if (bit_of(bits, row) != passes)
            fail_msg("%s\nrow %lld %s, and should %s", text, (long long)row, passes ? "is refused" : "passes",
                     passes ? "pass" : "not");
    }
    for (int64_t row = batch->rows; row < (batch->rows + 63) / 64 * 64; row++)
        assert_false(bit_of(bits, row));
    kt_expr_release(expr);
}

/* The three values, not only truth: what is neither true nor false is null. */
static void assert_values_as_meant(const char *text, const struct kt_batch *batch)
{
    struct kt_batch *values = rows_values(text, batch);
    struct kt_expr *expr = rows_parse(text);
    for (int64_t row = 0; row < batch->rows; row++) {
        struct plain wanted = evaluate(batch, row, expr), got = read_plain(&values->columns[0], row);
        if (got.kind != wanted.kind || got.truth != wanted.truth)
            fail_msg("%s\nrow %lld is %s", text, (long long)row,
                     got.kind == NOTHING ? "null"
                     : got.truth         ? "true"
                                         : "false");
    }
    kt_expr_release(expr);
    kt_batch_release(values);
}

static char *random_filter(struct kt_random *random, int depth)
{
    struct writer writer = { .random = random };
    write_truth(&writer, depth);
    assert_true(kt_buffer_append(&writer.text, "", 1));
    return (char *)writer.text.data;
}

static void random_filters_pass_the_rows_that_are_meant(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    struct kt_schema *schema = rows_schema();
    for (int round = 0; round < 6; round++) {
        static const int64_t counts[] = { 300, 64, 1, 65, 2048, 2500 };
        struct kt_batch *batch = rows_batch(&random, schema, counts[round]);
        for (int i = 0; i < 150; i++) {
            char *text = random_filter(&random, 1 + i % 3);
            assert_as_meant(text, batch, NULL);
            if (i % 3 == 0) assert_values_as_meant(text, batch);
            kt_free(text);
        }
        kt_batch_release(batch);
    }
    kt_schema_release(schema);
}

static void only_rows_asked_for_are_given(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    struct kt_schema *schema = rows_schema();
    struct kt_batch *batch = rows_batch(&random, schema, 2500);
    uint64_t among[40];
    for (int i = 0; i < 200; i++) {
        for (int w = 0; w < 40; w++) {
            among[w] = kt_random_u64(&random) & kt_random_u64(&random);
            if (kt_random_below(&random, 3) == 0) among[w] = kt_random_below(&random, 2) ? 0 : UINT64_MAX;
        }
        char *text = random_filter(&random, 2);
        assert_as_meant(text, batch, among);
        kt_free(text);
    }
    kt_batch_release(batch);
    kt_schema_release(schema);
}

static void rows_may_begin_anywhere(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    struct kt_schema *schema = rows_schema();
    struct kt_batch *whole = rows_batch(&random, schema, 700);
    for (int i = 0; i < 120; i++) {
        int64_t begin = (int64_t)kt_random_below(&random, 200),
                count = 1 + (int64_t)kt_random_below(&random, 500);
        struct kt_batch *part = NULL;
        assert_ok(kt_batch_slice(whole, begin, count, &part, &oops));
        char *text = random_filter(&random, 2);
        assert_as_meant(text, part, NULL);
        kt_free(text);
        kt_batch_release(part);
    }
    kt_batch_release(whole);
    kt_schema_release(schema);
}

/* Rows lent by a file begin in the middle of its arrays, and their children have offsets below zero. */
static void rows_lent_by_a_file_are_read_as_they_lie(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    struct kt_schema *schema = rows_schema();
    struct kt_batch *whole = rows_batch(&random, schema, 600);
    struct kt_buffer bytes = sample_write(KT_IPC_FILE, schema, &whole, 1);
    struct kt_ipc_file *file = NULL;
    assert_ok(sample_open(&bytes, &file, &oops));
    for (int i = 0; i < 60; i++) {
        uint64_t begin = kt_random_below(&random, 300), count = 1 + kt_random_below(&random, 300);
        struct kt_batch *part = NULL;
        static struct kt_array room[KINDS][16];
        assert_ok(kt_batch_slice(whole, 0, (int64_t)count, &part, &oops));
        for (uint32_t c = 0; c < schema->count; c++)
            assert_ok(kt_ipc_column(file, c, begin, count, &part->columns[c], room[c], &oops));
        char *text = random_filter(&random, 2);
        assert_as_meant(text, part, NULL);
        kt_free(text);
        kt_batch_release(part);
    }
    kt_ipc_close(file);
    kt_buffer_release(&bytes);
    kt_batch_release(whole);
    kt_schema_release(schema);
}

static void items_of_fixed_lists_are_found_at_any_offset(void **state)
{
    (void)state;
    static uint64_t bits[ROWS_WORDS];
    struct kt_random random = sample_random();
    struct kt_schema *schema = rows_schema();
    struct kt_batch *whole = rows_batch(&random, schema, 200), *part = NULL;
    assert_ok(kt_batch_slice(whole, 37, 150, &part, &oops));
    assert_true(rows_eval("switches[2]", part, NULL, bits));
    const struct kt_array *list = &part->columns[kt_schema_find(schema, "switches")],
                          *item = &list->children[0];
    for (int64_t row = 0; row < 150; row++) {
        int64_t at = (list->offset + row) * 3 + 1;
        bool wanted = !kt_array_null(list, row) && !kt_array_null(item, at) &&
                      kt_bit(item->values, (uint64_t)(item->offset + at));
        assert_int_equal(bit_of(bits, row), wanted);
    }
    kt_batch_release(part);
    kt_batch_release(whole);
    kt_schema_release(schema);
}

/* ---- dictionaries ---- */

/* A column of `rows` codes of a type into a dictionary of `length` texts, every seventh null. */
static struct kt_batch *words_of(enum kt_type index, int64_t length, int64_t rows, struct kt_random *random)
{
    static char name[] = "w", item[] = "";
    struct kt_field field = sample_field(name, KT_DICTIONARY), value = sample_field(item, KT_UTF8);
    field.index = index;
    field.children = &value;
    field.child_count = 1;
    struct kt_schema *schema = NULL;
    struct kt_batch *batch = NULL;
    struct kt_text_map map = { 0 };
    assert_ok(kt_schema_new(&field, 1, NULL, &schema, &oops));
    assert_ok(kt_batch_new(schema, rows, &batch, &oops));
    struct kt_array *words = &batch->columns[0];
    uint8_t *codes = kt_batch_block(batch, (size_t)rows * 8 + 8),
            *valid = kt_batch_block(batch, (size_t)length / 8 + 1);
    kt_bits_fill(valid, 0, length, true);
    for (int64_t i = 0; i < length; i++) {
        char text[24];
        int size = snprintf(text, sizeof text, "word%03lld", (long long)i);
        kt_text_map_add(&map, (const uint8_t *)text, size);
        if (i % 7 == 6) kt_bit_clear(valid, (uint64_t)i);
    }
    assert_ok(kt_text_map_yield(&map, batch, &words->children[0], &oops));
    if (kt_random_below(random, 2)) words->children[0].validity = valid;
    uint32_t bytes = kt_field_entry_bytes(words->field);
    uint8_t *known = kt_batch_block(batch, (size_t)rows / 8 + 1);
    for (int64_t i = 0; i < rows; i++) {
        uint64_t code = kt_random_below(random, (uint64_t)length);
        memcpy(codes + (size_t)i * bytes, &code, bytes);
        known[i / 8] = (uint8_t)(known[i / 8] & ~(1u << i % 8));
        if (kt_random_below(random, 5)) kt_bit_set(known, (uint64_t)i);
    }
    words->length = rows;
    words->values = codes;
    if (kt_random_below(random, 2)) words->validity = known;
    kt_schema_release(schema);
    return batch;
}

static void conditions_on_a_dictionary_hold_for_its_rows(void **state)
{
    (void)state;
    static const enum kt_type types[] = { KT_INT8,  KT_UINT8,  KT_INT16, KT_UINT16,
                                          KT_INT32, KT_UINT32, KT_INT64, KT_UINT64 };
    static const char *const filters[] = {
        "w = 'word003'",
        "w IN ('word001', 'word005', 'nowhere')",
        "w IN ('word001', 'word003', 'word005', 'word007', 'word009', 'word011')", /* more than a few ranges
                                                                                    */
        "w NOT IN ('word001', NULL)",
        "w LIKE '%2'",
        "w >= 'word004' AND w < 'word020'",
        "w IS NULL",
        "w IS NOT NULL AND length(w) = 7",
        "coalesce(w, 'a') = 'a'",
        "w IS DISTINCT FROM 'word002'",
        "NOT (w = 'word000' OR w LIKE '%1%')",
        "(w = 'word001') IS NOT TRUE",
        "w = 'nowhere'",
    };
    struct kt_random random = sample_random();
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++)
        for (size_t f = 0; f < sizeof filters / sizeof filters[0]; f++) {
            int64_t length = 1 + (int64_t)kt_random_below(&random, 100),
                    rows = 1 + (int64_t)kt_random_below(&random, 200);
            struct kt_batch *batch =
                words_of(types[t], length, rows, &random); /* often fewer rows than texts */
            assert_as_meant(filters[f], batch, NULL);
            assert_values_as_meant(filters[f], batch);
            kt_batch_release(batch);
        }
}

/* ---- what only shows in a row ---- */

static void a_row_that_nobody_asks_for_does_not_fail(void **state)
{
    (void)state;
    static uint64_t bits[ROWS_WORDS];
    struct kt_random random = sample_random();
    struct kt_schema *schema = rows_schema();
    struct kt_batch *batch = rows_batch(&random, schema, 500);
    assert_true(rows_eval("i64 < 1000 AND i64 > -1000 AND i64 * i64 >= 0", batch, NULL, bits));
    assert_true(rows_eval(
        "CASE WHEN abs(i32) < 10 THEN i32 * 9000000000000000000 / i32 > 0 ELSE true END IS NOT NULL OR true",
        batch, NULL, bits));
    assert_false(rows_eval("i64 * i64 >= 0 AND i64 < 1000", batch, NULL, bits));
    assert_says(&oops, KITH_INVALID, "is beyond int64");
    assert_false(rows_eval("cast(text AS int) = 3", batch, NULL, bits));
    assert_says(&oops, KITH_INVALID, "cannot be cast to int32");
    assert_true(rows_eval("try_cast(text AS int) = 12 AND text = '12'", batch, NULL, bits));
    assert_false(rows_eval("u64 + 1 > 0", batch, NULL, bits));
    uint64_t none[8] = { 0 };
    assert_true(rows_eval("i64 * i64 >= 0", batch, none, bits));
    kt_batch_release(batch);
    kt_schema_release(schema);
}

static void row_ids_run_on_or_are_given(void **state)
{
    (void)state;
    uint64_t ids[100], bits[2];
    struct kt_arena scratch = { 0 };
    struct kt_random random = sample_random();
    struct kt_schema *schema = rows_schema();
    struct kt_filter *filter = rows_bind("_rowid IN (7, 1050) OR _rowid BETWEEN 1090 AND 1095", schema, true);
    struct kt_filter_rows rows = { .first_row = 1000, .count = 100 };
    assert_ok(kt_filter_eval(filter, &rows, NULL, &scratch, bits, &oops));
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(bit_of(bits, (int64_t)i), i == 50 || (i >= 90 && i <= 95));
    for (uint64_t i = 0; i < 100; i++) ids[i] = 1095 - i;
    rows.row_ids = ids;
    assert_ok(kt_filter_eval(filter, &rows, NULL, &scratch, bits, &oops));
    for (uint64_t i = 0; i < 100; i++) assert_int_equal(bit_of(bits, (int64_t)i), i <= 5 || i == 45);
    kt_filter_free(filter);
    struct kt_batch *batch = rows_batch(&random, schema, 3), *values = rows_values("_rowid + 1", batch);
    assert_int_equal(kt_array_integer(&values->columns[0], 2), 3);
    kt_batch_release(values);
    kt_batch_release(batch);
    kt_arena_release(&scratch);
    kt_schema_release(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_filters_pass_the_rows_that_are_meant),
        cmocka_unit_test(only_rows_asked_for_are_given),
        cmocka_unit_test(rows_may_begin_anywhere),
        cmocka_unit_test(rows_lent_by_a_file_are_read_as_they_lie),
        cmocka_unit_test(items_of_fixed_lists_are_found_at_any_offset),
        cmocka_unit_test(conditions_on_a_dictionary_hold_for_its_rows),
        cmocka_unit_test(a_row_that_nobody_asks_for_does_not_fail),
        cmocka_unit_test(row_ids_run_on_or_are_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
