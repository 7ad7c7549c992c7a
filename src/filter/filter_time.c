/* Dates, times, timestamps and intervals as text, and the calendar behind them.
 *
 *     date       2024-02-29                         years of one to seven digits, also negative ones
 *     time       12:30   12:30:05   12:30:05.123456789
 *     timestamp  date, and after a T or spaces a time; then Z, UTC, +02, +02:00 or +0200: a moment in UTC
 *     interval   1 year 2 months 3 weeks 4 days 5 hours 6 minutes 7.5 seconds   and   01:30:00   and   -1 day
 *
 * The calendar is the Gregorian one for all times, as Arrow has it, with a year 0 before the year 1. What is
 * written is what is read, to the nanosecond; a digit more is refused rather than cut off. There are no leap
 * seconds. An hour of an interval may have a fraction, a day may not: nobody knows how long it is.
 */
#include <string.h>
#include <strings.h>

#include "filter/filter_private.h"

static const int64_t SECOND_US = 1000000, DAY_US = (int64_t)86400 * 1000000;

/* ---- the calendar: years from March, so that the day of a leap year comes last, in eras of 400 years ----
 */

enum { ERA_DAYS = 146097, EPOCH_DAY = 719468 /* 1970-01-01, from 0000-03-01 */ };

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t kt_days_from_civil(struct kt_civil civil)
{
    int64_t year = civil.year - (civil.month <= 2);
    int64_t era = floor_div(year, 400), of_era = year - era * 400;
    int64_t month = (civil.month + 9) % 12;
    int64_t day = of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + civil.day - 1;
    return era * ERA_DAYS + day - EPOCH_DAY;
}

struct kt_civil kt_civil_from_days(int64_t days)
{
    days += EPOCH_DAY;
    int64_t era = floor_div(days, ERA_DAYS), day = days - era * ERA_DAYS;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    int64_t month = (5 * day + 2) / 153;
    return (struct kt_civil){ .year = era * 400 + year + (month >= 10),
                              .month = (int32_t)(month < 10 ? month + 3 : month - 9),
                              .day = (int32_t)(day - (153 * month + 2) / 5 + 1) };
}

int32_t kt_days_of_month(int64_t year, int32_t month)
{
    static const int8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* ---- reading ---- */

struct reader {
    const char *at, *end;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool take(struct reader *reader, char c)
{
    if (reader->at == reader->end || *reader->at != c) return false;
    reader->at++;
    return true;
}

static bool take_spaces(struct reader *reader)
{
    const char *from = reader->at;
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t')) reader->at++;
    return reader->at > from;
}

/* From `least` to `most` digits. */
static bool take_digits(struct reader *reader, uint32_t least, uint32_t most, int64_t *out)
{
    uint32_t count = 0;
    int64_t value = 0;
    for (; count < most && reader->at < reader->end && is_digit(*reader->at); count++)
        value = value * 10 + (*reader->at++ - '0');
    *out = value;
    return count >= least &&
           (reader->at == reader->end || !is_digit(*reader->at) || count < most || least == most);
}

/* A point and one to nine digits, if there is a point. */
static bool take_fraction(struct reader *reader, int64_t *nanos)
{
    const char *from = reader->at + 1;
    *nanos = 0;
    if (!take(reader, '.')) return true;
    if (!take_digits(reader, 1, 9, nanos)) return false;
    for (int64_t digits = reader->at - from; digits < 9; digits++) *nanos *= 10;
    return true;
}

static bool take_date(struct reader *reader, int64_t *days)
{
    int64_t year, month, day;
    bool negative = take(reader, '-');
    if (!negative) take(reader, '+');
    if (!take_digits(reader, 1, 7, &year) || !take(reader, '-')) return false;
    if (!take_digits(reader, 1, 2, &month) || !take(reader, '-')) return false;
    if (!take_digits(reader, 1, 2, &day) || month < 1 || month > 12) return false;
    struct kt_civil civil = { negative ? -year : year, (int32_t)month, (int32_t)day };
    if (day < 1 || day > kt_days_of_month(civil.year, civil.month)) return false;
    *days = kt_days_from_civil(civil);
    return *days >= INT32_MIN && *days <= INT32_MAX;
}

static bool take_time(struct reader *reader, int64_t *micros, uint32_t *nanos)
{
    int64_t hour, minute, second = 0, fraction = 0;
    if (!take_digits(reader, 1, 2, &hour) || !take(reader, ':')) return false;
    if (!take_digits(reader, 2, 2, &minute)) return false;
    if (take(reader, ':') && (!take_digits(reader, 2, 2, &second) || !take_fraction(reader, &fraction)))
        return false;
    if (hour > 23 || minute > 59 || second > 59) return false;
    *micros = ((hour * 60 + minute) * 60 + second) * SECOND_US + fraction / 1000;
    *nanos = (uint32_t)(fraction % 1000);
    return true;
}

/* "Z", "UTC", "+02", "+0200", "+02:00", or nothing. */
static bool take_offset(struct reader *reader, bool *there, int64_t *micros)
{
    int64_t hours = 0, minutes = 0;
    *micros = 0;
    *there = take(reader, 'Z') || take(reader, 'z');
    if (!*there && reader->end - reader->at >= 3 && strncasecmp(reader->at, "UTC", 3) == 0) {
        reader->at += 3;
        *there = true;
    }
    if (*there || reader->at == reader->end) return true;
    bool negative = take(reader, '-');
    if (!negative && !take(reader, '+')) return false;
    if (!take_digits(reader, 2, 2, &hours)) return false;
    bool colon = take(reader, ':');
    if ((colon || reader->at < reader->end) && !take_digits(reader, 2, 2, &minutes)) return false;
    *there = true;
    *micros = (hours * 60 + minutes) * 60 * SECOND_US * (negative ? -1 : 1);
    return hours <= 18 && minutes <= 59;
}

bool kt_date_read(const char *text, size_t size, struct kt_value *out)
{
    struct reader reader = { text, text + size };
    out->kind = KT_VALUE_DATE;
    return take_date(&reader, &out->integer) && reader.at == reader.end;
}

bool kt_time_read(const char *text, size_t size, struct kt_value *out)
{
    struct reader reader = { text, text + size };
    out->kind = KT_VALUE_TIME;
    return take_time(&reader, &out->integer, &out->nanos) && reader.at == reader.end;
}

bool kt_timestamp_read(const char *text, size_t size, struct kt_value *out)
{
    struct reader reader = { text, text + size };
    int64_t days, micros = 0, offset = 0;
    out->kind = KT_VALUE_TIMESTAMP;
    if (!take_date(&reader, &days)) return false;
    bool more = take(&reader, 'T') || take(&reader, 't') || take_spaces(&reader);
    if (more && !take_time(&reader, &micros, &out->nanos)) return false;
    take_spaces(&reader);
    if (!take_offset(&reader, &out->utc, &offset) || reader.at != reader.end) return false;
    /* The first day that int64 reaches begins before it does: back from the end of the day. */
    return !__builtin_mul_overflow(days + 1, DAY_US, &out->integer) &&
           !__builtin_add_overflow(out->integer, micros - DAY_US - offset, &out->integer);
}

/* ---- intervals ---- */

static const struct unit {
    const char *name, *short_name; /* with and without an s at the end */
    int32_t months, days;
    int64_t micros;
} units[] = {
    { "year", "y", 12, 0, 0 },
    { "quarter", "quarter", 3, 0, 0 },
    { "month", "mon", 1, 0, 0 },
    { "week", "w", 0, 7, 0 },
    { "day", "d", 0, 1, 0 },
    { "hour", "h", 0, 0, (int64_t)3600 * 1000000 },
    { "minute", "min", 0, 0, (int64_t)60 * 1000000 },
    { "second", "sec", 0, 0, 1000000 },
    { "second", "s", 0, 0, 1000000 },
    { "millisecond", "ms", 0, 0, 1000 },
    { "microsecond", "us", 0, 0, 1 },
};

static bool same_word(const char *word, size_t size, const char *name)
{
    size_t length = strlen(name);
    if (size == length + 1 && (word[length] | 0x20) == 's') size--;
    return size == length && strncasecmp(word, name, size) == 0;
}

static const struct unit *take_unit(struct reader *reader)
{
    const char *from = reader->at;
    while (reader->at < reader->end && (*reader->at | 0x20) >= 'a' && (*reader->at | 0x20) <= 'z')
        reader->at++;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (same_word(from, (size_t)(reader->at - from), units[i].name) ||
            same_word(from, (size_t)(reader->at - from), units[i].short_name))
            return &units[i];
    return NULL;
}

/* Adds count and nanos/10^9 of a unit. */
static bool add_unit(struct kt_value *out, const struct unit *unit, int64_t count, int64_t nanos)
{
    int64_t months, days, micros;
    if (nanos && !unit->micros) return false;
    if (__builtin_mul_overflow(count, unit->micros, &micros) ||
        __builtin_add_overflow(micros, nanos * unit->micros / 1000000000, &micros) ||
        __builtin_add_overflow(out->integer, micros, &out->integer))
        return false;
    return !__builtin_mul_overflow(count, (int64_t)unit->months, &months) &&
           !__builtin_mul_overflow(count, (int64_t)unit->days, &days) &&
           !__builtin_add_overflow(months, out->months, &out->months) &&
           !__builtin_add_overflow(days, out->days, &out->days);
}

/* "1 day", "-2.5 hours", or "01:30:00". */
static bool take_part(struct reader *reader, struct kt_value *out)
{
    int64_t count, micros, nanos = 0;
    uint32_t rest;
    bool negative = take(reader, '-');
    if (!negative) take(reader, '+');
    struct reader time = *reader;
    if (take_time(&time, &micros, &rest)) {
        *reader = time;
        return !rest && !__builtin_add_overflow(out->integer, negative ? -micros : micros, &out->integer);
    }
    if (!take_digits(reader, 1, 18, &count) || !take_fraction(reader, &nanos)) return false;
    take_spaces(reader);
    const struct unit *unit = take_unit(reader);
    return unit && add_unit(out, unit, negative ? -count : count, negative ? -nanos : nanos);
}

bool kt_interval_read(const char *text, size_t size, struct kt_value *out)
{
    struct reader reader = { text, text + size };
    out->kind = KT_VALUE_INTERVAL;
    do {
        if (!take_part(&reader, out)) return false;
    } while (take_spaces(&reader));
    return reader.at == reader.end;
}

/* ---- writing ---- */

static bool put_date(struct kt_buffer *out, int64_t days)
{
    struct kt_civil civil = kt_civil_from_days(days);
    long long year = civil.year;
    return kt_buffer_text(out, "%s%04lld-%02d-%02d", year < 0 ? "-" : "", year < 0 ? -year : year,
                          civil.month, civil.day);
}

static bool put_time(struct kt_buffer *out, int64_t micros, uint32_t nanos)
{
    long long seconds = micros / SECOND_US, fraction = micros % SECOND_US;
    bool fine = kt_buffer_text(out, "%02lld:%02lld:%02lld", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if (fine && nanos) return kt_buffer_text(out, ".%06lld%03u", fraction, nanos);
    return fine && (!fraction || kt_buffer_text(out, ".%06lld", fraction));
}

static bool put_interval(struct kt_buffer *out, const struct kt_value *value)
{
    long long seconds = value->integer / SECOND_US, micros = value->integer % SECOND_US;
    if (value->months && !kt_buffer_text(out, "%d months ", value->months)) return false;
    if (value->days && !kt_buffer_text(out, "%d days ", value->days)) return false;
    return kt_buffer_text(out, "%lld seconds", seconds) &&
           (!micros || kt_buffer_text(out, " %lld microseconds", micros));
}

bool kt_time_write(const struct kt_value *value, struct kt_buffer *out)
{
    int64_t days;
    switch (value->kind) {
    case KT_VALUE_DATE:
        return put_date(out, value->integer);
    case KT_VALUE_TIME:
        return put_time(out, value->integer, value->nanos);
    case KT_VALUE_TIMESTAMP:
        days = floor_div(value->integer, DAY_US);
        return put_date(out, days) && kt_buffer_append(out, " ", 1) &&
               put_time(out, value->integer - days * DAY_US, value->nanos) &&
               (!value->utc || kt_buffer_append(out, "Z", 1));
    default:
        return put_interval(out, value);
    }
}
