/* What the files of src/filter share: what is known of each function, values as text, calendars, near names.
 */
#ifndef KT_FILTER_PRIVATE_H
#define KT_FILTER_PRIVATE_H

#include "base/status.h"
#include "filter/filter.h"

/* ---- functions ---- */

/** As SQL writes it: "AND", "=", "IS NOT NULL", "lower", "->>". Of each, also for messages. */
const char *kt_fn_name(enum kt_fn fn);
/** NULL, or the words for a wrong number of arguments. */
kith_status kt_fn_check_count(enum kt_fn fn, uint32_t count, kith_error *error);

/** KT_FN_CAST or KT_FN_TRY_CAST of `x`, which is taken over; `type` need not end in a zero. */
kith_status kt_expr_cast_as(enum kt_fn fn, struct kt_expr *x, const char *type, size_t size,
                            struct kt_expr **out, kith_error *error);
/** A type of a cast by its name. What `out` holds is given back with kt_type_free(). */
kith_status kt_type_named(const char *name, size_t size, struct kt_field **out, kith_error *error);
void kt_type_free(struct kt_field *type); /* NULL is allowed */
/** The name that kt_type_named() reads back, as SQL writes it: "decimal(10,2)", "timestamp(9)". */
enum { KT_TYPE_NAME = 64 };
void kt_type_to_sql(const struct kt_field *type, char name[KT_TYPE_NAME]);

/* ---- values as text ---- */

/** Appends the value as an SQL literal that is read back as the same value. KITH_INVALID for a text with a
 * zero byte in it, which SQL cannot write. */
kith_status kt_value_to_sql(const struct kt_value *value, struct kt_buffer *out, kith_error *error);
/** Appends without quotes what kt_value_read() reads; for what it reads only. False when memory is out. */
bool kt_value_write(const struct kt_value *value, struct kt_buffer *out);
/** A double as text that strtod() reads back as the same, with a '.' whatever the locale; "nan", "inf". */
enum { KT_DOUBLE_TEXT = 32 };
void kt_double_text(double number, char text[KT_DOUBLE_TEXT]);
/** What is wrong with a value, in words: beyond its range, not UTF-8, a list in a list. NULL when it is fine.
 */
const char *kt_value_fault(const struct kt_value *value);

/* The parts of kt_value_read() and kt_value_write() that know the calendar; no spaces around. */
bool kt_date_read(const char *text, size_t size, struct kt_value *out);
bool kt_time_read(const char *text, size_t size, struct kt_value *out);
bool kt_timestamp_read(const char *text, size_t size, struct kt_value *out);
bool kt_interval_read(const char *text, size_t size, struct kt_value *out);
bool kt_time_write(const struct kt_value *value, struct kt_buffer *out);

/* ---- calendars: proleptic Gregorian, years before 1 negative, with a year 0 ---- */

struct kt_civil {
    int64_t year;
    int32_t month, day; /* from 1 */
};
int64_t kt_days_from_civil(struct kt_civil civil);
struct kt_civil kt_civil_from_days(int64_t days);
int32_t kt_days_of_month(int64_t year, int32_t month);

/* ---- messages ---- */

/** How many bytes of a text to show, whole characters, at most `most`: for "%.*s". */
int kt_shown(const char *text, size_t size, size_t most);
/** Writes `; near names: "a", "b"` for the names that a misspelt one may stand for, or nothing. */
enum { KT_NEAR_TEXT = 320 };
void kt_near_names(const char *name, const char *const *names, size_t count, char out[KT_NEAR_TEXT]);

#endif
