/* Product quantization with 16 codes a sub-quantiser.
 *
 * Everything that compares a part of a row with 16 codes does so with one lane for each code, over the
 * codebook turned on its side (`columns`). The nearest code is then found without a branch: squared distances
 * are not negative, so their bits order as they do, and the code's number replaces the last four bits (1 part
 * in 2^19 of precision).
 *
 * Training is k-means in each part on its own, seeded by k-means++ (16 seeds cost as much as one round, and
 * save several); a code that lost all its rows takes a random one. One thread trains a part from beginning to
 * end.
 *
 * The query's table becomes bytes with one scale for all parts, because the kernel adds bytes; each part's
 * smallest entry goes into the bias first, so that the scale is set by the widest spread of a part and not by
 * where parts lie.
 *
 * Always true here: a code is 0..15, decoding is a look-up, and with one seed the codebook does not depend on
 * threads.
 */
#include "quant/quant.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/random.h"
#include "kernels/kernels.h"

enum {
    CODES = KT_PQ_CODES,
    DEFAULT_ITERATIONS = 20,
    SETTLED_SHARE = 500, /* stop when fewer than one row in 500 changes its code */
    BLOCK_ROWS = 32,
    LANES = 4
};

void kt_pq_release(struct kt_pq *pq)
{
    kt_free(pq->begin);
    kt_free(pq->codebook);
    kt_free(pq->columns);
    *pq = (struct kt_pq){ 0 };
}

static kith_status pq_take(uint32_t dim, uint32_t tables, struct kt_pq *pq, kith_error *error)
{
    size_t floats = (size_t)dim * CODES;
    *pq = (struct kt_pq){ .dim = dim, .tables = tables };
    if (!tables || tables > dim)
        return kt_fail(error, KITH_INVALID, "%u sub-quantisers cannot share %u dimensions: one to %u can",
                       tables, dim, dim);
    pq->begin = kt_alloc_array((size_t)tables + 1, sizeof *pq->begin);
    pq->codebook = kt_alloc_aligned(floats * sizeof(float));
    pq->columns = kt_alloc_aligned(floats * sizeof(float));
    if (!pq->begin || !pq->codebook || !pq->columns) return kt_fail_memory(error, 2 * floats * sizeof(float));
    for (uint32_t t = 0; t <= tables; t++) pq->begin[t] = (uint32_t)((uint64_t)dim * t / tables);
    return KITH_OK;
}

/* columns of one part from its 16 rows of `width` floats, and back. */
static void turn_codes(const float *codes, uint32_t width, float *columns)
{
    for (uint32_t j = 0; j < CODES; j++)
        for (uint32_t d = 0; d < width; d++) columns[d * CODES + j] = codes[j * width + d];
}

kith_status kt_pq_init(uint32_t dim, uint32_t tables, const float *codebook, struct kt_pq *out,
                       kith_error *error)
{
    struct kt_pq pq = { 0 };
    kith_status status = pq_take(dim, tables, &pq, error);
    if (status) {
        kt_pq_release(&pq);
        return status;
    }
    memcpy(pq.codebook, codebook, (size_t)dim * CODES * sizeof(float));
    for (uint32_t t = 0; t < tables; t++)
        turn_codes(pq.codebook + (size_t)CODES * pq.begin[t], pq.begin[t + 1] - pq.begin[t],
                   pq.columns + (size_t)CODES * pq.begin[t]);
    *out = pq;
    return KITH_OK;
}

/* ---- the nearest of 16 codes ---- */

/* Written with four-number vectors, the width that every 64-bit machine has: from a plain loop GCC 12 made
 * code of five times the time. */
typedef float floats4 __attribute__((vector_size(16)));
typedef int32_t ints4 __attribute__((vector_size(16)));

static inline ints4 lesser(ints4 a, ints4 b)
{
    ints4 less = a < b;
    return (less & a) | (~less & b);
}

static inline uint32_t nearest_code(const float *columns, uint32_t width, const float *part)
{
    floats4 sum0 = { 0 }, sum1 = { 0 }, sum2 = { 0 }, sum3 = { 0 };
    for (uint32_t d = 0; d < width; d++) {
        const floats4 *column = (const floats4 *)(const void *)(columns + (size_t)d * CODES);
        floats4 gap0 = part[d] - column[0], gap1 = part[d] - column[1], gap2 = part[d] - column[2],
                gap3 = part[d] - column[3];
        sum0 += gap0 * gap0;
        sum1 += gap1 * gap1;
        sum2 += gap2 * gap2;
        sum3 += gap3 * gap3;
    }
    const ints4 number = { 0, 1, 2, 3 };
    ints4 least = lesser(lesser(((ints4)sum0 & ~15) | number, ((ints4)sum1 & ~15) | (number + 4)),
                         lesser(((ints4)sum2 & ~15) | (number + 8), ((ints4)sum3 & ~15) | (number + 12)));
    int32_t low = least[0] < least[1] ? least[0] : least[1];
    int32_t high = least[2] < least[3] ? least[2] : least[3];
    return (uint32_t)(low < high ? low : high) & 15;
}

/* The widths that nearly every index has are compiled with their number known. */
static uint32_t nearest_of(const float *columns, uint32_t width, const float *part)
{
    switch (width) {
    case 2:
        return nearest_code(columns, 2, part);
    case 4:
        return nearest_code(columns, 4, part);
    case 8:
        return nearest_code(columns, 8, part);
    default:
        return nearest_code(columns, width, part);
    }
}

/* ---- training one part ---- */

struct part {
    uint32_t width;
    uint64_t count;
    float *rows;     /* count * width */
    float *nearness; /* count: squared distance to the nearest seed so far */
    uint8_t *chosen;
    double *sums; /* 16 * width */
    struct kt_random random;
};

static uint64_t pick_far_row(struct part *part)
{
    double total = 0;
    for (uint64_t i = 0; i < part->count; i++) total += (double)part->nearness[i];
    double wanted = (double)kt_random_float(&part->random) * total;
    for (uint64_t i = 0; total > 0 && i < part->count; i++) {
        wanted -= (double)part->nearness[i];
        if (wanted <= 0 && part->nearness[i] > 0) return i;
    }
    return kt_random_below(&part->random, part->count);
}

/* k-means++ (Arthur, Vassilvitskii 2007): each seed is a row drawn by its squared distance from those before
 * it. */
static void seed_codes(struct part *part, float *codes)
{
    for (uint64_t i = 0; i < part->count; i++) part->nearness[i] = INFINITY;
    uint64_t row = kt_random_below(&part->random, part->count);
    for (uint32_t j = 0; j < CODES; j++) {
        float *code = codes + (size_t)j * part->width;
        memcpy(code, part->rows + row * part->width, part->width * sizeof(float));
        for (uint64_t i = 0; i < part->count; i++) {
            float distance = 0;
            for (uint32_t d = 0; d < part->width; d++) {
                float gap = part->rows[i * part->width + d] - code[d];
                distance += gap * gap;
            }
            if (distance < part->nearness[i]) part->nearness[i] = distance;
        }
        row = pick_far_row(part);
    }
}

static uint64_t choose_codes(struct part *part, const float *columns)
{
    uint64_t moved = 0;
    for (uint64_t i = 0; i < part->count; i++) {
        uint8_t code = (uint8_t)nearest_of(columns, part->width, part->rows + i * part->width);
        moved += code != part->chosen[i];
        part->chosen[i] = code;
    }
    return moved;
}

static void average_codes(struct part *part, float *codes)
{
    uint64_t sizes[CODES] = { 0 };
    memset(part->sums, 0, (size_t)CODES * part->width * sizeof *part->sums);
    for (uint64_t i = 0; i < part->count; i++) {
        double *sum = part->sums + (size_t)part->chosen[i] * part->width;
        const float *row = part->rows + i * part->width;
        for (uint32_t d = 0; d < part->width; d++) sum[d] += (double)row[d];
        sizes[part->chosen[i]]++;
    }
    for (uint32_t j = 0; j < CODES; j++) {
        float *code = codes + (size_t)j * part->width;
        const double *sum = part->sums + (size_t)j * part->width;
        const float *other = part->rows + kt_random_below(&part->random, part->count) * part->width;
        for (uint32_t d = 0; d < part->width; d++)
            code[d] = sizes[j] ? (float)(sum[d] / (double)sizes[j]) : other[d];
    }
}

struct pq_training {
    struct kt_pq *pq;
    uint32_t iterations;
    uint64_t seed;
    const float *residuals;
    uint64_t count;
    struct kt_work *work;
    struct part *parts; /* one for each worker */
    uint32_t workers;
};

/* Between rounds, because a wide part takes long: worker 0 is the caller's thread and may report. */
static kith_status look_up(const struct pq_training *t, uint32_t table, uint32_t worker, kith_error *error)
{
    if (worker == 0) return kt_work_tick(t->work, "train", table, t->pq->tables, error);
    bool cancelled = t->work && atomic_load(&t->work->cancelled);
    return cancelled ? kt_fail(error, KITH_CANCELLED, "cancelled while training codes") : KITH_OK;
}

static kith_status train_part(const struct pq_training *t, uint32_t table, uint32_t worker, kith_error *error)
{
    uint32_t first = t->pq->begin[table];
    struct part *part = &t->parts[worker];
    float *codes = t->pq->codebook + (size_t)CODES * first, *columns = t->pq->columns + (size_t)CODES * first;
    part->width = t->pq->begin[table + 1] - first;
    part->random = (struct kt_random){ t->seed + table };
    for (uint64_t i = 0; i < t->count; i++)
        memcpy(part->rows + i * part->width, t->residuals + i * t->pq->dim + first,
               part->width * sizeof(float));
    memset(part->chosen, 0xff, t->count);
    seed_codes(part, codes);
    turn_codes(codes, part->width, columns);
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < t->iterations; i++) {
        if (choose_codes(part, columns) <= t->count / SETTLED_SHARE) break;
        average_codes(part, codes);
        turn_codes(codes, part->width, columns);
        status = look_up(t, table, worker, error);
    }
    return status;
}

static kith_status train_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                               kith_error *error)
{
    kith_status status = KITH_OK;
    for (uint64_t table = begin; !status && table < end; table++)
        status = train_part(context, (uint32_t)table, worker, error);
    return status;
}

static kith_status parts_take(struct pq_training *t, kith_error *error)
{
    size_t width = t->pq->dim / t->pq->tables + 1, floats;
    t->parts = kt_alloc_zero(t->workers, sizeof *t->parts);
    if (!t->parts || __builtin_mul_overflow(t->count, width, &floats))
        return kt_fail_memory(error, t->workers * sizeof *t->parts);
    for (uint32_t w = 0; w < t->workers; w++) {
        struct part *part = &t->parts[w];
        part->count = t->count;
        part->rows = kt_alloc_array(floats, sizeof *part->rows);
        part->nearness = kt_alloc_array(t->count, sizeof *part->nearness);
        part->chosen = kt_alloc_array(t->count, 1);
        part->sums = kt_alloc_array(CODES * width, sizeof *part->sums);
        if (!part->rows || !part->nearness || !part->chosen || !part->sums)
            return kt_fail_memory(error, floats * sizeof(float));
    }
    return KITH_OK;
}

static void parts_release(struct pq_training *t)
{
    for (uint32_t w = 0; t->parts && w < t->workers; w++) {
        kt_free(t->parts[w].rows);
        kt_free(t->parts[w].nearness);
        kt_free(t->parts[w].chosen);
        kt_free(t->parts[w].sums);
    }
    kt_free(t->parts);
}

kith_status kt_pq_train(uint32_t dim, uint32_t tables, uint32_t max_iterations, uint64_t seed,
                        const float *residuals, uint64_t count, struct kt_work *work, struct kt_pq *out,
                        kith_error *error)
{
    struct kt_pq pq = { 0 };
    struct pq_training t = { .pq = &pq,
                             .iterations = max_iterations ? max_iterations : DEFAULT_ITERATIONS,
                             .seed = seed,
                             .residuals = residuals,
                             .count = count,
                             .work = work };
    kith_status status = pq_take(dim, tables, &pq, error);
    if (status) goto out;
    memset(pq.codebook, 0, (size_t)dim * CODES * sizeof(float));
    memset(pq.columns, 0, (size_t)dim * CODES * sizeof(float));
    t.workers = kt_min_u32(kt_work_threads(work), tables);
    if (count) {
        status = parts_take(&t, error);
        if (!status) status = kt_parallel_for(work, "train", tables, 1, train_chunk, &t, error);
    }
    if (status) goto out;
    *out = pq;
    pq = (struct kt_pq){ 0 };
out:
    parts_release(&t);
    kt_pq_release(&pq);
    return status;
}

/* ---- rows ---- */

void kt_pq_encode(const struct kt_pq *pq, const float *residual, uint8_t *codes, float *decoded)
{
    for (uint32_t t = 0; t < pq->tables; t++) {
        uint32_t first = pq->begin[t], width = pq->begin[t + 1] - first;
        uint32_t code = nearest_of(pq->columns + (size_t)CODES * first, width, residual + first);
        codes[t] = (uint8_t)code;
        if (!decoded) continue;
        const float *values = pq->codebook + (size_t)CODES * first + (size_t)code * width;
        for (uint32_t d = 0; d < width; d++) decoded[first + d] = values[d];
    }
}

/* Where in the 16 bytes of a sub-quantiser row r % 16 stands. */
static const uint8_t place[16] = { 0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15 };

void kt_pq_pack(const uint8_t *codes, uint32_t rows, uint32_t tables, uint8_t *block)
{
    memset(block, 0, (size_t)tables * 16);
    for (uint32_t r = 0; r < rows && r < BLOCK_ROWS; r++) {
        unsigned shift = r < 16 ? 0 : 4;
        uint8_t *bytes = block + place[r % 16];
        for (uint32_t t = 0; t < tables; t++)
            bytes[(size_t)t * 16] = (uint8_t)(bytes[(size_t)t * 16] | codes[(size_t)r * tables + t] << shift);
    }
}

void kt_pq_unpack(const uint8_t *block, uint32_t row, uint32_t tables, uint8_t *codes)
{
    unsigned shift = row < 16 ? 0 : 4;
    block += place[row % 16];
    for (uint32_t t = 0; t < tables; t++) codes[t] = block[(size_t)t * 16] >> shift & 15;
}

/* ---- queries ---- */

/* The 16 entries of one part, and their least and most. */
static inline void part_entries(const float *columns, uint32_t width, const float *query, float factor,
                                float *entries, float *least, float *most)
{
    float sums[CODES] = { 0 }, low[LANES], high[LANES];
    for (uint32_t d = 0; d < width; d++) {
        float q = factor * query[d];
        for (uint32_t j = 0; j < CODES; j++) sums[j] += q * columns[(size_t)d * CODES + j];
    }
    memcpy(entries, sums, sizeof sums);
    for (int l = 0; l < LANES; l++) low[l] = high[l] = sums[l];
    for (int j = LANES; j < CODES; j += LANES) {
        for (int l = 0; l < LANES; l++) {
            low[l] = sums[j + l] < low[l] ? sums[j + l] : low[l];
            high[l] = sums[j + l] > high[l] ? sums[j + l] : high[l];
        }
    }
    *least = fminf(fminf(low[0], low[1]), fminf(low[2], low[3]));
    *most = fmaxf(fmaxf(high[0], high[1]), fmaxf(high[2], high[3]));
}

static float entries_of(const struct kt_pq *pq, const float *query, float factor, float *entries,
                        float *widest)
{
    float bias = 0, least, most;
    *widest = 0;
    for (uint32_t t = 0; t < pq->tables; t++) {
        uint32_t first = pq->begin[t], width = pq->begin[t + 1] - first;
        const float *columns = pq->columns + (size_t)CODES * first;
        float *part = entries + (size_t)CODES * t;
        if (width == 4)
            part_entries(columns, 4, query + first, factor, part, &least, &most);
        else
            part_entries(columns, width, query + first, factor, part, &least, &most);
        for (int j = 0; j < CODES; j++) part[j] -= least;
        bias += least;
        if (most - least > *widest) *widest = most - least;
    }
    return bias;
}

void kt_pq_prepare(const struct kt_pq *pq, const float *query, float factor, float *entries, uint8_t *lut,
                   struct kt_pq_query *out)
{
    float widest;
    float bias = entries_of(pq, query, factor, entries, &widest);
    float inverse = widest > 0 && isfinite(widest) ? (float)KT_ENTRY_MOST / widest : 0.0f;
    size_t count = (size_t)pq->tables * CODES;
    for (size_t i = 0; i < count; i++) {
        float scaled = entries[i] * inverse + 0.5f;
        scaled = scaled < (float)KT_ENTRY_MOST ? scaled : (float)KT_ENTRY_MOST; /* also where it is NaN */
        lut[i] = (uint8_t)(int32_t)scaled;
    }
    *out = (struct kt_pq_query){ .lut = lut,
                                 .scale = inverse > 0 ? widest / (float)KT_ENTRY_MOST : 0.0f,
                                 .bias = bias };
}
