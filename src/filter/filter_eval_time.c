/* Parts of dates and times, and moments moved by intervals.
 *
 * Parts are those of PostgreSQL and DuckDB: weeks and isoyear are ISO 8601's, dow counts from Sunday, 0, and
 * isodow from Monday, 1; a millisecond or microsecond holds the seconds as well. Times are as they are
 * stored, UTC where a column has a zone.
 *
 * An interval is added months first, then days, then time; a day that the month does not have becomes its
 * last: 31 January and a month is 28 or 29 February.
 */
#include <string.h>
#include <strings.h>

#include "filter/filter_bind.h"

enum {
    YEAR,
    QUARTER,
    MONTH,
    WEEK,
    DAY,
    DOW,
    ISODOW,
    DOY,
    ISOYEAR,
    DECADE,
    CENTURY,
    MILLENNIUM,
    HOUR, /* from here on they are also of a time of day */
    MINUTE,
    SECOND,
    MILLISECOND,
    MICROSECOND,
    EPOCH
};

static const struct date_part parts[] = {
    { "year", YEAR, 0 },
    { "years", YEAR, 0 },
    { "quarter", QUARTER, 0 },
    { "month", MONTH, 0 },
    { "months", MONTH, 0 },
    { "week", WEEK, 0 },
    { "weekofyear", WEEK, 0 },
    { "day", DAY, 0 },
    { "days", DAY, 0 },
    { "dayofmonth", DAY, 0 },
    { "dow", DOW, 0 },
    { "dayofweek", DOW, 0 },
    { "weekday", DOW, 0 },
    { "isodow", ISODOW, 0 },
    { "doy", DOY, 0 },
    { "dayofyear", DOY, 0 },
    { "isoyear", ISOYEAR, 0 },
    { "decade", DECADE, 0 },
    { "century", CENTURY, 0 },
    { "millennium", MILLENNIUM, 0 },
    { "hour", HOUR, 0 },
    { "hours", HOUR, 0 },
    { "minute", MINUTE, 0 },
    { "minutes", MINUTE, 0 },
    { "second", SECOND, 0 },
    { "seconds", SECOND, 0 },
    { "millisecond", MILLISECOND, 0 },
    { "milliseconds", MILLISECOND, 0 },
    { "microsecond", MICROSECOND, 0 },
    { "microseconds", MICROSECOND, 0 },
    { "epoch", EPOCH, 1 },
};

bool kt_date_part_named(struct slice name, struct date_part *out)
{
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strlen(parts[i].name) != name.size ||
            strncasecmp(parts[i].name, (const char *)name.at, name.size) != 0)
            continue;
        *out = parts[i];
        return true;
    }
    return false;
}

bool kt_date_part_fits(const struct date_part *part, const struct kt_field *type)
{
    bool clock = type->type == KT_TIME32 || type->type == KT_TIME64;
    return kt_field_is_moment(type) || (clock && part->which >= HOUR);
}

/* ---- parts ---- */

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Weeks belong to the year of their Thursday. */
static int64_t thursday_of(int64_t day)
{
    int64_t monday_based = day + 3 - floor_divide(day + 3, 7) * 7; /* 1970-01-01 was a Thursday */
    return day - monday_based + 3;
}

static int64_t of_year(int64_t day)
{
    struct kt_civil first = { .year = kt_civil_from_days(day).year, .month = 1, .day = 1 };
    return day - kt_days_from_civil(first) + 1;
}

/* Years count from 1 in centuries: 2000 is the last of the twentieth. */
static int64_t century_of(int64_t year, int64_t length)
{
    return year > 0 ? (year - 1) / length + 1 : -((-year) / length) - 1;
}

static int64_t part_of_day(int which, int64_t day)
{
    struct kt_civil civil = kt_civil_from_days(day);
    int64_t from_monday = day + 3 - floor_divide(day + 3, 7) * 7;
    switch (which) {
    case YEAR:
        return civil.year;
    case QUARTER:
        return (civil.month - 1) / 3 + 1;
    case MONTH:
        return civil.month;
    case WEEK:
        return (of_year(thursday_of(day)) - 1) / 7 + 1;
    case DAY:
        return civil.day;
    case DOW:
        return (from_monday + 1) % 7;
    case ISODOW:
        return from_monday + 1;
    case DOY:
        return of_year(day);
    case ISOYEAR:
        return kt_civil_from_days(thursday_of(day)).year;
    case DECADE:
        return floor_divide(civil.year, 10);
    case CENTURY:
        return century_of(civil.year, 100);
    default:
        return century_of(civil.year, 1000);
    }
}

static int64_t part_of_clock(int which, int64_t nanos) /* since midnight */
{
    const int64_t second = 1000000000;
    switch (which) {
    case HOUR:
        return nanos / (3600 * second);
    case MINUTE:
        return nanos / (60 * second) % 60;
    case SECOND:
        return nanos / second % 60;
    case MILLISECOND:
        return nanos / 1000000 % 60000;
    default:
        return nanos / 1000 % 60000000;
    }
}

kith_status kt_row_date_part(struct call *call, uint32_t row)
{
    const struct date_part *part = call->node->plan;
    const int64_t day_nanos = INT64_C(86400000000000);
    int64_t tick = kt_field_tick(&call->node->args[1]->type), ticks = call->args[1].integers[row];
    kt_wide nanos = (kt_wide)ticks * tick;
    kt_wide day = nanos / day_nanos - (nanos % day_nanos < 0);
    if (part->which == EPOCH)
        call->out->numbers[row] = tick == 1000000000 ? (double)ticks : (double)nanos / 1e9;
    else if (part->which >= HOUR)
        call->out->integers[row] = part_of_clock(part->which, (int64_t)(nanos - day * day_nanos));
    else
        call->out->integers[row] = part_of_day(part->which, (int64_t)day);
    return KITH_OK;
}

/* ---- moments moved ---- */

static bool add_months(int64_t *day, int32_t months)
{
    struct kt_civil civil = kt_civil_from_days(*day);
    int64_t month = civil.year * 12 + civil.month - 1 + months;
    civil.year = floor_divide(month, 12);
    civil.month = (int32_t)(month - civil.year * 12 + 1);
    int32_t last = kt_days_of_month(civil.year, civil.month);
    if (civil.day > last) civil.day = last;
    *day = kt_days_from_civil(civil);
    return true;
}

static bool add_span(const struct cell *span, int64_t tick, int64_t *ticks)
{
    kt_wide day_ticks = INT64_C(86400000000000) / tick, value = *ticks;
    if (span->months) {
        int64_t day = (int64_t)(value / day_ticks - (value % day_ticks < 0));
        kt_wide rest = value - day * day_ticks;
        add_months(&day, span->months);
        value = day * day_ticks + rest;
    }
    value += span->days * day_ticks;
    value += tick == 1 ? (kt_wide)span->integer * 1000 : span->integer;
    *ticks = (int64_t)value;
    return value >= INT64_MIN && value <= INT64_MAX;
}

kith_status kt_eval_span(struct frame *frame, const struct node *node, const uint64_t *among, struct reg *out)
{
    struct reg from;
    int64_t tick = kt_field_tick(&node->type);
    kith_status status = kt_reg_take(frame, FORM_INT, out);
    struct mark mark = kt_mark(frame);
    if (!status) status = kt_eval(frame, node->args[0], among, &from);
    if (status) return status;
    memcpy(out->known, from.known, frame->words * sizeof *out->known);
    uint32_t row;
    for (struct walk walk = kt_walk(from.known, frame->words); !status && kt_walk_next(&walk, &row);) {
        out->integers[row] = from.integers[row];
        if (!add_span(node->plan, tick, &out->integers[row]))
            status = kt_fail(frame->error, KITH_INVALID, "a time and an interval are beyond what %s can hold",
                             node->type.type == KT_DURATION ? "a duration" : "a timestamp");
    }
    kt_rewind(frame, mark);
    return status;
}
