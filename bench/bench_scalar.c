/* What scalar indexes cost: building one over a million rows on one thread, from arrays in memory to a sealed
 * file in memory, and looking values up in it. The time is processor time, so that a busy machine disturbs it
 * little.
 *
 *   cmake --build build --target bench_scalar && build/bench_scalar
 */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/random.h"
#include "filter/scalar.h"

enum { ROWS = 1000000, LOOK_UPS = 20000, BATCH = 65536 };

static void check(kith_status status, const kith_error *error)
{
    if (!status) return;
    fprintf(stderr, "bench_scalar: %s\n", error->message);
    exit(1);
}

static double seconds_used(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- columns ---- */

struct column {
    const char *name;
    kith_index_type type;
    struct kt_field field;
    struct kt_array array;
};

static int64_t *random_integers(uint64_t different)
{
    struct kt_random random = { 7 };
    int64_t *values = kt_alloc_array(ROWS, sizeof *values);
    for (size_t i = 0; i < ROWS; i++)
        values[i] =
            different ? (int64_t)kt_random_below(&random, different) : (int64_t)kt_random_u64(&random);
    return values;
}

static void set_integers(struct column *column, uint64_t different)
{
    column->field = (struct kt_field){ .name = (char *)"number", .type = KT_INT64 };
    column->array = (struct kt_array){ .length = ROWS, .values = (uint8_t *)random_integers(different) };
}

static void set_texts(struct column *column, const char *format, uint64_t different)
{
    int32_t *ends = kt_alloc_array(ROWS + 1, sizeof *ends);
    char *data = kt_alloc((size_t)ROWS * 80);
    int64_t *numbers = random_integers(different);
    ends[0] = 0;
    for (size_t i = 0; i < ROWS; i++) {
        char text[80];
        snprintf(text, sizeof text, "%016llx", (unsigned long long)kt_mix((uint64_t)numbers[i]));
        ends[i + 1] = ends[i] + sprintf(data + ends[i], "%s%s", format, text);
    }
    kt_free(numbers);
    column->field = (struct kt_field){ .name = (char *)"text", .type = KT_UTF8 };
    column->array = (struct kt_array){ .length = ROWS, .values = (uint8_t *)ends, .data = (uint8_t *)data };
}

/* ---- measuring ---- */

static struct kt_view_file *build(const struct column *column, struct kt_io *io, double *seconds)
{
    kith_error error = { 0 };
    struct kt_scalar_build *work = NULL;
    struct kt_sink *sink = NULL;
    struct kt_view_file *file = NULL;
    struct kt_seal seal;
    double begin = seconds_used();
    check(kt_scalar_begin(column->type, &column->field, &work, &error), &error);
    for (int64_t at = 0; at < ROWS; at += BATCH) {
        struct kt_array part = column->array;
        part.offset = at;
        part.length = at + BATCH < ROWS ? BATCH : ROWS - at;
        check(kt_scalar_add(work, &part, (uint64_t)at, &error), &error);
    }
    check(kt_sink_create(io, column->name, KT_BLOCK_VECTORS, &sink, &error), &error);
    check(kt_scalar_write(work, NULL, sink, &error), &error);
    check(kt_sink_finish(sink, &seal, &error), &error);
    kt_scalar_build_free(work);
    *seconds = seconds_used() - begin;
    check(kt_view_open(io, column->name, &seal, &file, &error), &error);
    return file;
}

static struct kt_value value_of(const struct column *column, int64_t row)
{
    if (column->field.type == KT_INT64)
        return (struct kt_value){ .kind = KT_VALUE_INT,
                                  .integer = ((const int64_t *)(const void *)column->array.values)[row] };
    int64_t size;
    const uint8_t *bytes = kt_array_bytes(&column->array, row, &size);
    return (struct kt_value){ .kind = KT_VALUE_TEXT, .text = (char *)bytes, .size = (size_t)size };
}

/* Microseconds a look-up of a random row's value, all checksums of the file still to be made at first. */
static double look_up(const struct column *column, const struct kt_scalar *scalar, uint64_t *rows)
{
    kith_error error = { 0 };
    struct kt_random random = { 9 };
    uint64_t *words = kt_alloc_zero(ROWS / 64 + 1, sizeof *words);
    struct kt_selection out = { .words = words, .rows = ROWS };
    double begin = seconds_used();
    for (int i = 0; i < LOOK_UPS; i++) {
        struct kt_value value = value_of(column, (int64_t)kt_random_below(&random, ROWS));
        struct kt_probe probe = { .kind = KT_PROBE_IN,
                                  .values = { .kind = KT_VALUE_LIST, .items = &value, .count = 1 } };
        bool answered;
        check(kt_scalar_probe(scalar, &probe, &out, &answered, &error), &error);
    }
    double seconds = seconds_used() - begin;
    *rows = out.count;
    kt_free(words);
    return seconds / LOOK_UPS * 1e6;
}

static void measure(struct column *column, struct kt_io *io)
{
    kith_error error = { 0 };
    struct kt_scalar *scalar = NULL;
    double seconds;
    uint64_t rows;
    column->array.field = &column->field;
    struct kt_view_file *file = build(column, io, &seconds);
    uint64_t bytes = kt_view_length(file);
    check(kt_scalar_open(file, &column->field, &scalar, &error), &error);
    double cold = look_up(column, scalar, &rows), warm = look_up(column, scalar, &rows);
    printf("%-24s build %.3f s, %5.1f MB, look-up %6.2f us at first, %6.2f us then\n", column->name, seconds,
           (double)bytes / 1e6, cold, warm);
    kt_scalar_close(scalar);
}

int main(void)
{
    kith_error error = { 0 };
    struct kt_io *io = NULL;
    struct column columns[] = { { .name = "BTREE-int64", .type = KITH_BTREE },
                                { .name = "BTREE-int64-100", .type = KITH_BTREE },
                                { .name = "BTREE-text-hex", .type = KITH_BTREE },
                                { .name = "BTREE-text-url", .type = KITH_BTREE },
                                { .name = "BITMAP-int64-20", .type = KITH_BITMAP },
                                { .name = "BITMAP-text-1000", .type = KITH_BITMAP } };
    check(kt_io_open_memory(&io, &error), &error);
    set_integers(&columns[0], 0);
    set_integers(&columns[1], 100);
    set_texts(&columns[2], "", 0);
    set_texts(&columns[3], "https://www.kith.example/items/", 0);
    set_integers(&columns[4], 20);
    set_texts(&columns[5], "category ", 1000);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) measure(&columns[i], io);
    kt_io_close(io);
    return 0;
}
