/* How fast the vector kernels are: nanoseconds a vector and bytes a second, for each instruction set that
 * this processor has.
 *
 *   bench_kernels [isa [part of a kernel's name]]
 *
 * Each kernel is run on rows that fit the second-level cache, and the distance kernels also on rows that fit
 * no cache. The time is processor time, the best of several rounds, so that a busy machine disturbs it
 * little; the dimension is one of a common embedding model. */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/random.h"
#include "kernels/kernels.h"

enum { CACHE_BYTES = 192 << 10, MEMORY_BYTES = 128 << 20, ROUNDS = 7 };

static const char *const element_names[] = { "f32", "f16", "f64", "i8", "u8" };
static const char *const metric_names[] = { "", "l2", "cosine", "dot", "hamming" };

/* One kernel, ready to run. */
struct job {
    const struct kt_kernels *kernels;
    kith_metric metric;
    kith_element element;
    bool integer;
    const void *query;
    float norm;
    uint8_t *memory;
    float *out;
    size_t dim;
    size_t count; /* rows, blocks, or numbers */
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Nanoseconds of one run: the best round, each as many runs as fill about 2 ms. */
static double measure(void (*run)(const struct job *job), const struct job *job)
{
    double best = 1e300;
    unsigned repeat = 1;
    for (int round = 0; round < ROUNDS;) {
        double begin = now_ns();
        for (unsigned i = 0; i < repeat; i++) run(job);
        double spent = now_ns() - begin;
        if (spent < 2e6 && repeat < 1u << 24) {
            repeat *= 2;
            continue;
        }
        if (spent / repeat < best) best = spent / repeat;
        round++;
    }
    return best;
}

static void report(const struct job *job, const char *name, const char *where, double ns, double units,
                   double bytes)
{
    printf("%-7s %-22s dim %5zu  %-6s %10.2f ns  %7.1f GB/s\n", job->kernels->name, name, job->dim, where,
           ns / units, bytes / ns);
    fflush(stdout);
}

/* ---- distances ---- */

static void run_distance(const struct job *job)
{
    const struct kt_kernels *k = job->kernels;
    kt_distance_fn fn = (job->integer ? k->integer_distance : k->distance)[job->metric][job->element];
    size_t row_bytes = job->dim * kt_element_bytes(job->element);
    for (size_t at = 0; at < job->count; at += 256)
        fn(job->query, job->norm, job->memory + at * row_bytes, job->dim,
           job->count - at < 256 ? job->count - at : 256, job->out);
}

/* As a re-rank does: a call a row, the rows scattered. */
static void run_distance_alone(const struct job *job)
{
    kt_distance_fn fn = job->kernels->distance[job->metric][job->element];
    size_t row_bytes = job->dim * kt_element_bytes(job->element);
    size_t step = job->count * 5 / 8;
    for (size_t i = 0, at = 0; i < job->count; i++, at += at + step < job->count ? step : step - job->count)
        fn(job->query, job->norm, job->memory + at * row_bytes, job->dim, 1, job->out);
}

static void bench_distance(struct job job, const char *filter)
{
    char name[64];
    size_t row_bytes = job.dim * kt_element_bytes(job.element);
    snprintf(name, sizeof name, "%s%s %s", job.integer ? "integer " : "", metric_names[job.metric],
             element_names[job.element]);
    if (!strstr(name, filter)) return;
    job.count = CACHE_BYTES / row_bytes;
    report(&job, name, "cache", measure(run_distance, &job), (double)job.count,
           (double)(job.count * row_bytes));
    if (!job.integer)
        report(&job, name, "alone", measure(run_distance_alone, &job), (double)job.count,
               (double)(job.count * row_bytes));
    job.count = MEMORY_BYTES / row_bytes;
    report(&job, name, "memory", measure(run_distance, &job), (double)job.count,
           (double)(job.count * row_bytes));
}

static void bench_distances(struct job job, const char *filter)
{
    static const size_t dims[] = { 50, 128, 384, 768 };
    for (int element = KITH_F32; element <= KITH_U8; element++) {
        for (int metric = KITH_L2; metric <= KITH_HAMMING; metric++) {
            for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
                job.element = (kith_element)element;
                job.metric = (kith_metric)metric;
                job.dim = dims[d];
                job.integer = false;
                job.norm = 1;
                if (job.kernels->distance[metric][element]) bench_distance(job, filter);
                job.integer = true;
                if (job.kernels->integer_distance[metric][element]) bench_distance(job, filter);
            }
        }
    }
}

/* ---- the others ---- */

static void run_tile(const struct job *job)
{
    const float *rows = (const float *)(const void *)job->memory;
    job->kernels->dot_tile(rows, job->count, job->dim, rows, job->count, job->dim, job->dim, job->out,
                           job->count);
}

static void bench_tile(struct job job, const char *filter)
{
    static const size_t dims[] = { 32, 64, 128, 384, 768 };
    if (!strstr("dot_tile", filter)) return;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        job.dim = dims[d];
        job.count = 240;
        double ns = measure(run_tile, &job), products = (double)(job.count * job.count);
        printf("%-7s %-22s dim %5zu  %-6s %10.2f ns  %7.1f GFLOP/s\n", job.kernels->name, "dot_tile", job.dim,
               "240^2", ns / products, 2 * products * (double)job.dim / ns);
    }
}

/* As a search does: a few blocks at a time, their sums soon read and forgotten. */
static void run_fastscan(const struct job *job)
{
    size_t tables = job->dim / 4, stride = tables * 16;
    for (size_t at = 0; at < job->count; at += 32)
        job->kernels->fastscan(job->memory + 16384 + at * stride, stride,
                               job->count - at < 32 ? job->count - at : 32, job->memory, tables,
                               (uint32_t *)(void *)job->out);
}

static void bench_fastscan(struct job job, const char *filter)
{
    static const size_t dims[] = { 128, 384, 388, 768, 1024 };
    if (!strstr("fastscan", filter)) return;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        job.dim = dims[d];
        job.count = 32;
        size_t bytes = job.count * job.dim * 4;
        report(&job, "fastscan", "cache", measure(run_fastscan, &job), (double)(job.count * KT_BLOCK_ROWS),
               (double)bytes);
        job.count = MEMORY_BYTES / 2 / (job.dim * 4);
        bytes = job.count * job.dim * 4;
        report(&job, "fastscan", "memory", measure(run_fastscan, &job), (double)(job.count * KT_BLOCK_ROWS),
               (double)bytes);
    }
}

static void run_bounds(const struct job *job)
{
    const struct kt_bounds with = {
        .base = 1, .add_unit = 1, .unit = 1, .bias = 1, .spread = 1, .limit = 1e30f
    };
    const uint16_t *factors = (const uint16_t *)(const void *)job->memory;
    const uint32_t *sums = (const uint32_t *)(const void *)(job->memory + CACHE_BYTES);
    enum { BLOCKS = 8 };
    float lows[BLOCKS * KT_BLOCK_ROWS];
    uint32_t masks[BLOCKS];
    for (size_t b = 0; b < job->count; b += BLOCKS)
        job->kernels->block_bounds(sums + b * KT_BLOCK_ROWS, factors + 3 * b * KT_BLOCK_ROWS,
                                   3 * KT_BLOCK_ROWS * sizeof *factors, BLOCKS, &with, job->out, lows, masks);
    job->out[0] += (float)masks[0];
}

static void bench_bounds(struct job job, const char *filter)
{
    if (!strstr("block_bounds", filter)) return;
    job.count = 32;
    double rows = (double)(job.count * KT_BLOCK_ROWS);
    report(&job, "block_bounds", "cache", measure(run_bounds, &job), rows, rows * 18);
}

static void run_sign_table(const struct job *job)
{
    job->kernels->sign_table((const float *)(const void *)job->memory, job->dim / 4,
                             job->memory + CACHE_BYTES, job->out, job->out + 1);
}

static void bench_sign_table(struct job job, const char *filter)
{
    static const size_t dims[] = { 128, 384, 768 };
    if (!strstr("sign_table", filter)) return;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        job.dim = dims[d];
        report(&job, "sign_table", "cache", measure(run_sign_table, &job), 1, (double)job.dim * 8);
    }
}

static void run_packed_dot(const struct job *job)
{
    size_t row_bytes = job->dim * job->count / 8; /* `count` bits a number */
    int32_t sum = 0;
    for (size_t at = 0; at < 64; at++)
        sum +=
            job->kernels->packed_dot[job->count](job->query, job->memory + 4096 + at * row_bytes, job->dim);
    job->out[0] = (float)sum;
}

static void bench_packed_dot(struct job job, const char *filter)
{
    static const char *const names[] = { "packed_dot 1", "packed_dot 3", "packed_dot 4", "packed_dot 8" };
    static const size_t bits[] = { 1, 3, 4, 8 };
    job.dim = 384;
    for (int i = 0; i < 4; i++) {
        if (!strstr(names[i], filter)) continue;
        job.count = bits[i];
        report(&job, names[i], "cache", measure(run_packed_dot, &job), 64, (double)(8 * job.dim * job.count));
    }
}

static void run_dot_bytes(const struct job *job)
{
    const int8_t *rows = (const int8_t *)job->memory;
    for (size_t at = 0; at < job->count; at += 256)
        job->kernels->dot_bytes(job->query, rows + at * job->dim, job->dim,
                                job->count - at < 256 ? job->count - at : 256, (int32_t *)(void *)job->out);
}

static void bench_dot_bytes(struct job job, const char *filter)
{
    static const size_t dims[] = { 128, 384, 832 };
    static const char *const wheres[] = { "cache", "memory" };
    if (!strstr("dot_bytes", filter)) return;
    for (size_t i = 0; i < 2 * sizeof dims / sizeof *dims; i++) {
        job.dim = dims[i / 2];
        job.count = (i % 2 ? MEMORY_BYTES : CACHE_BYTES) / job.dim;
        report(&job, "dot_bytes", wheres[i % 2], measure(run_dot_bytes, &job), (double)job.count,
               (double)(job.count * job.dim));
    }
}

static void run_hadamard(const struct job *job)
{
    job->kernels->hadamard((float *)(void *)job->memory, (unsigned)job->count);
}

static void bench_hadamard(struct job job, const char *filter)
{
    if (!strstr("hadamard", filter)) return;
    memset(job.memory, 0, 8192 * sizeof(float));
    for (job.count = 5; job.count <= 13; job.count++) {
        job.dim = (size_t)1 << job.count;
        report(&job, "hadamard", "cache", measure(run_hadamard, &job), 1, (double)(job.dim * sizeof(float)));
    }
}

static void run_to_float(const struct job *job)
{
    job->kernels->to_float[job->element](job->memory, job->dim, job->out);
}

static void run_to_half(const struct job *job)
{
    job->kernels->to_half((const float *)(const void *)job->memory, job->dim, (uint16_t *)(void *)job->out);
}

static void run_has_bad(const struct job *job)
{
    job->out[0] = (float)job->kernels->has_bad[job->element](job->memory, job->dim);
}

static void run_norm(const struct job *job)
{
    job->out[0] = job->kernels->norm[job->element](job->memory, job->dim);
}

static void bench_numbers(struct job job, const char *filter)
{
    char name[64];
    job.dim = 768;
    memset(job.memory, 0, 768 * sizeof(double));
    for (int element = KITH_F32; element <= KITH_U8; element++) {
        job.element = (kith_element)element;
        double bytes = (double)(job.dim * kt_element_bytes(job.element));
        snprintf(name, sizeof name, "norm %s", element_names[element]);
        if (strstr(name, filter)) report(&job, name, "cache", measure(run_norm, &job), 1, bytes);
        snprintf(name, sizeof name, "to_float %s", element_names[element]);
        if (strstr(name, filter)) report(&job, name, "cache", measure(run_to_float, &job), 1, bytes);
        snprintf(name, sizeof name, "has_bad %s", element_names[element]);
        if (strstr(name, filter) && job.kernels->has_bad[element])
            report(&job, name, "cache", measure(run_has_bad, &job), 1, bytes);
    }
    if (strstr("to_half", filter))
        report(&job, "to_half", "cache", measure(run_to_half, &job), 1, (double)job.dim * 4);
}

static void bench_table(const char *isa, const char *filter, uint8_t *memory, float *out)
{
    struct job job = { .kernels = kt_kernels_named(isa), .memory = memory, .out = out, .query = memory + 64 };
    if (!job.kernels) return;
    bench_fastscan(job, filter);
    bench_bounds(job, filter);
    bench_sign_table(job, filter);
    bench_packed_dot(job, filter);
    bench_dot_bytes(job, filter);
    bench_distances(job, filter);
    bench_tile(job, filter);
    bench_numbers(job, filter);
    bench_hadamard(job, filter);
}

int main(int argc, char **argv)
{
    static const char *const names[] = { "avx512", "avx2", "neon", "scalar" };
    const char *isa = argc > 1 ? argv[1] : "", *filter = argc > 2 ? argv[2] : "";
    uint8_t *memory = kt_alloc_aligned(MEMORY_BYTES + 65536);
    float *out = kt_alloc_aligned((size_t)MEMORY_BYTES);
    if (!memory || !out) return 1;
    /* Bytes that are fair numbers of every type: no denormals, no NaN. */
    struct kt_random random = { 1 };
    for (size_t i = 0; i < MEMORY_BYTES + 65536; i++)
        memory[i] = (uint8_t)((i & 1) ? 0x38 + kt_random_below(&random, 4) : kt_random_u64(&random));
    memset(out, 0, MEMORY_BYTES);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!*isa || strcmp(isa, names[i]) == 0) bench_table(names[i], filter, memory, out);
    kt_free(out);
    kt_free(memory);
    return 0;
}
