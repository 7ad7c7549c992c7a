/* Calibrating: what a wanted recall takes on this index, from replayed searches of rows held out of their own
 * answers, or of the user's queries.
 *
 * A trace is one search through all lists, in the order in which any search would visit them, with bounds so
 * wide that nothing is lost: its answer is the truth. One trace tells what every stopping rule would have
 * done, because what is seen after a list does not depend on stopping later. Traces come in two parts:
 *   - the first part counts, for lists by how far they are, how many neighbours they hold (their mass), and
 * how far estimates of true neighbours are off, in standard errors: from that the spreads. A spread for a
 * recall of R loses half of 1 - R of the neighbours that lie at the edge of the answer, which is a twentieth
 * to a tenth of that of them all, since most lie well within it;
 *   - the second part replays the rules that those masses make, for many thresholds at once, and adds up
 * recall, lists and codes. For each k there are two, which judge how far a list is from the k-th neighbour
 * and from the nearest list; those that take fewer lists are kept. The recall of a point is a mean over
 * traces; with it is kept what to take off for a one-sided 95 % bound.
 *
 * Everything that traces add up is whole numbers, so that the result does not depend on threads.
 *
 * To look whether what was learned still holds takes few traces of the second part alone, by the masses and
 * spreads there are, of the rows that came since: those are found worse first, and much worse than the mean
 * of all rows would show.
 */
#include <math.h>

#include "base/bytes.h"
#include "base/random.h"
#include "index/ivf/ivf_private.h"

enum {
    FIRST_TRACES = 512, /* for masses and spreads */
    TRACES = 2048,      /* for the curves */
    LEAST_TRACES = 128,
    LOOK_LEAST = 48, /* traces, */
    LOOK_MOST = 256,
    LOOK_CODES = 2500000, /* or as many as scan so many codes */
    FEW_ROWS = 8,         /* not more than one row in so many is a trace: a small index is to be built fast */
    GRAIN = 4,
    FINE = 4096,      /* bins that masses are first counted in: */
    EVEN = 1024,      /* so many are one unit wide, then come */
    A_DOUBLING = 128, /* for each power of two */
    FROMS = 2,        /* where distances may be judged from */
    TRIED = FROMS * IVF_CURVES,
    BOUND_BINS = 64,  /* of a power of two */
    FINE_SHARE = 128, /* of the typical distance of a centroid from the mean: the width of a bin */
    ERRORS = 1024,    /* bins of errors, from -8 to 8 */
    ERROR_RANGE = 8
};
static const double most_codes = 6e9; /* scanned by all traces, about */
static const float worth_nothing = 1e-9f;
static const float usual = 2.4f;
static const float wide_pq = 8; /* the errors of trained codes are no random directions */
static const float wide = 3.5f; /* standard errors that nothing is lost by */
static const float least_spread = 0.5f;

struct tally { /* of the first part, for one worker or all */
    uint64_t lists[TRIED][FINE], hits[TRIED][FINE];
    uint64_t sign_errors[ERRORS], errors[ERRORS];
    uint64_t bounds[IVF_CURVES][FINE];
};

struct fit { /* sums of squares of the distances of the nearest list and of the tenth neighbour */
    uint64_t centre, neighbour;
};

struct point_sum {
    uint64_t hits, square, lists, codes;
};

struct calibrating {
    const struct kt_index *index;
    const struct kt_vectors *vectors;
    struct kt_source source;
    const struct kt_samples *queries;
    const struct kt_selection *live; /* NULL: every row is */
    struct kt_index_matches lived;   /* those of each list */
    uint64_t most;                   /* traces, where that is said */
    uint64_t *picks;                 /* positions of rows, or numbers of queries */
    uint64_t first, count;           /* traces of the two parts */
    float unit;                      /* of fine bins */
    struct tally *tallies;           /* one a worker, as the next four */
    struct fit *fits;
    struct point_sum (*sums)[TRIED][IVF_POINTS];
    uint64_t *traces; /* that counted */
    struct kt_arena *arenas;
    struct ivf_curve tried[TRIED]; /* each k, and behind them each k again, judged from elsewhere */
    uint32_t tried_count;
    struct ivf_calibration out;
};

/* One search through all lists, and what it saw. */
struct full_search {
    struct ivf_search s;
    struct kt_index_query query;
    struct kt_scan_query exact;
    struct kt_index_stats stats;
    struct kt_top others[IVF_CURVES - 1];
    struct kt_top answer;
    uint32_t lists;           /* visited */
    float (*worth)[TRIED];    /* of going on after each list, by the rules of the second part */
    uint64_t *codes;          /* scanned after each list */
    uint32_t *ranks;          /* of the lists of the answer */
    struct ivf_trace *errors; /* of the answer */
    float *truths;            /* squares in the space */
};

static float point_worth(uint32_t point)
{
    return powf(10, -0.2f * (float)point - 0.04f); /* from nearly one to 4e-10 */
}

/* ---- one trace ---- */

/* The vector of trace `t`: the numbers to ask for, and the row to leave out. */
static kith_status trace_vector(struct calibrating *c, uint64_t t, struct full_search *f, const void **vector,
                                kith_element *element)
{
    const struct ivf_shape *shape = &c->index->shape;
    f->s.left_out = UINT64_MAX;
    if (c->queries) {
        *vector = c->queries->vectors + c->picks[t] * shape->dim;
        *element = KITH_F32;
        return KITH_OK;
    }
    *element = shape->element;
    uint64_t row = kt_source_row(&c->source, c->picks[t]);
    if (c->live && !kt_selected(c->live, row)) return KITH_OK;
    f->s.left_out = row - shape->base_row;
    return kt_source_lend(&c->source, c->picks[t], vector, f->s.error);
}

static kith_status take_tops(struct full_search *f, struct kt_arena *scratch)
{
    size_t lists = f->s.index->shape.lists;
    for (uint32_t i = 0; i + 1 < IVF_CURVES; i++)
        f->others[i] = (struct kt_top){ .hits = kt_arena_take(scratch, kt_ivf_ks[i], sizeof(struct kt_hit)),
                                        .capacity = kt_ivf_ks[i] };
    f->answer = (struct kt_top){ .hits = kt_arena_take(scratch, IVF_MOST_K, sizeof(struct kt_hit)),
                                 .capacity = IVF_MOST_K };
    f->worth = kt_arena_take(scratch, lists, sizeof *f->worth);
    f->codes = kt_arena_take(scratch, lists, sizeof *f->codes);
    f->ranks = kt_arena_take(scratch, IVF_MOST_K, sizeof *f->ranks);
    f->truths = kt_arena_take(scratch, IVF_MOST_K, sizeof *f->truths);
    f->errors = kt_arena_take(scratch, IVF_MOST_K, sizeof *f->errors);
    return f->worth && f->codes && f->ranks && f->truths && f->errors && f->answer.hits &&
                   f->others[0].hits && f->others[1].hits
               ? KITH_OK
               : kt_fail_memory(f->s.error, lists * sizeof *f->worth);
}

/* The list and the estimates of each row of the answer. */
static void look_up_answer(struct full_search *f)
{
    const struct ivf_search *s = &f->s;
    for (size_t i = 0; i < f->answer.count; i++) {
        uint64_t offset = f->answer.hits[i].row - s->index->shape.base_row;
        f->ranks[i] = 0; /* an outlier is found whatever is visited */
        f->errors[i] = (struct ivf_trace){ 0 };
        f->truths[i] = kt_space_distance(&s->index->space, s->query_scale, f->answer.hits[i].distance);
        for (size_t j = 0; j < s->candidate_count; j++) {
            if (kt_get_u32(s->candidates[j].where) != offset) continue;
            f->ranks[i] = s->candidates[j].rank;
            f->errors[i] = s->traces[j];
        }
    }
}

/* Visits every list. The rules of the second part, where there are any, are asked after each what it is worth
 * to go on (by the lists ranked so far, as a search would ask); when by those for most neighbours it is next
 * to nothing, the rest is spared. */
static kith_status visit_all(struct full_search *f, const struct ivf_curve *tried, uint32_t count)
{
    struct ivf_search *s = &f->s;
    struct ivf_stop stop[TRIED];
    struct ivf_probe probe;
    bool goes_on = true;
    for (uint32_t i = 0; i < count; i++) {
        stop[i] = (struct ivf_stop){ .bound = INFINITY, .tail_bound = INFINITY };
        kt_ivf_rule_between(&tried[i], &tried[i], 0, &stop[i].rule);
    }
    for (f->lists = 0; goes_on && kt_ivf_rank_get(&s->ranking, f->lists, &probe); f->lists++) {
        kith_status status = kt_ivf_scan(s, &probe, f->lists, UINT32_MAX);
        if (status) return status;
        goes_on = !count;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t k = i % IVF_CURVES;
            float bound = kt_top_bound(k + 1 < IVF_CURVES ? &f->others[k] : &s->nearest);
            float worth = kt_ivf_stop_worth(&stop[i], &s->ranking, f->lists, bound);
            f->worth[f->lists][i] = worth;
            goes_on |= k + 1 == IVF_CURVES && worth >= worth_nothing;
        }
        f->codes[f->lists] = s->rows;
    }
    return KITH_OK;
}

/* Runs trace t; `seen` is false where there is no vector to ask for. */
static kith_status run_trace(struct calibrating *c, uint64_t t, bool second, struct kt_arena *scratch,
                             struct full_search *f, bool *seen, kith_error *error)
{
    static const struct ivf_trace no_trace;
    const struct ivf_shape *shape = &c->index->shape;
    const void *vector = NULL;
    kith_element element;
    kt_arena_clear(scratch);
    *f = (struct full_search){ .s = { .index = c->index,
                                      .vectors = c->vectors,
                                      .query = &f->query,
                                      .scratch = scratch,
                                      .top = &f->answer,
                                      .stats = &f->stats,
                                      .error = error,
                                      .others = f->others,
                                      .other_count = IVF_CURVES - 1 } };
    *seen = false;
    kith_status status = trace_vector(c, t, f, &vector, &element);
    if (status || !vector) return status;
    float *values = kt_arena_take(scratch, shape->dim, sizeof *values);
    if (!values) return kt_fail_memory(error, shape->dim * sizeof *values);
    kt_kernels()->to_float[element](vector, shape->dim, values);
    if (kt_kernels()->has_bad[KITH_F32](values, shape->dim)) return KITH_OK;
    status = kt_scan_prepare(c->vectors, shape->metric, vector, element, scratch, &f->exact, error);
    f->exact.among = c->live;
    f->query = (struct kt_index_query){
        .vector = values, .exact = &f->exact, .k = IVF_MOST_K, .lived = c->live ? &c->lived : NULL
    };
    f->s.traces = (struct ivf_trace *)&no_trace; /* makes room for traces beside candidates */
    if (!status) status = take_tops(f, scratch);
    if (!status) status = kt_ivf_search_begin(&f->s);
    f->s.sign_spread = f->s.spread = shape->kind == IVF_PQ ? wide_pq : wide;
    f->s.upper =
        (second ? shape->kind == IVF_PQ ? c->out.sign_spread[1] : c->out.spread[1] : usual) / f->s.spread;
    if (!status) status = visit_all(f, c->tried, second ? c->tried_count : 0);
    if (!status) status = kt_ivf_search_end(&f->s);
    if (status) return status;
    kt_top_sort(&f->answer);
    look_up_answer(f);
    *seen = f->answer.count > 0 && f->lists > 0;
    return KITH_OK;
}

/* ---- the first part ---- */

static void count_error(uint64_t *bins, float estimate, float truth, float error)
{
    float off = (estimate - truth) / error;
    if (!(error > 0) || isnan(off)) return;
    off = off < -ERROR_RANGE ? -ERROR_RANGE : off > ERROR_RANGE ? ERROR_RANGE : off;
    int bin = (int)((off + ERROR_RANGE) * ((float)ERRORS / (2 * ERROR_RANGE)));
    bins[bin < ERRORS ? bin : ERRORS - 1]++;
}

static uint32_t fine_bin(const struct full_search *f, float unit, uint32_t rank, float bound, float from)
{
    float z = (f->s.ranking.near[rank] - from) / (sqrtf(bound) * unit);
    if (z >= EVEN) z = EVEN + A_DOUBLING * log2f(z / EVEN);
    return z > 0 ? (z < FINE ? (uint32_t)z : FINE - 1) : 0;
}

/* Where a bin begins. */
static float fine_begin(uint32_t bin)
{
    return bin < EVEN ? (float)bin : EVEN * exp2f((float)(bin - EVEN) / A_DOUBLING);
}

/* Distances of k-th neighbours, in 64ths of a power of two. */
static uint32_t bound_bin(float unit, float bound)
{
    float bin = BOUND_BINS * log2f(bound / (unit * unit)) + FINE / 2;
    return bin > 0 ? (bin < FINE ? (uint32_t)bin : FINE - 1) : 0;
}

/* Within which three of four lie. */
static float usual_bound(float unit, const uint64_t *bounds)
{
    uint64_t all = 0, within = 0;
    uint32_t bin = 0;
    for (uint32_t i = 0; i < FINE; i++) all += bounds[i];
    while (bin < FINE && 4 * within < 3 * all) within += bounds[bin++];
    if (!all) return 0; /* nothing is known */
    return unit * unit * exp2f(((float)bin - FINE / 2) / BOUND_BINS);
}

/* How well the lists fit where the rows are. Rows that come where there were none when the tree was made have
 * a centroid that is far beside how near their neighbours are. */
static void count_fit(const struct full_search *f, float unit, struct fit *fit)
{
    static const float most = 1e12f;
    float square = unit * unit, tenth = f->truths[kt_min_u64(kt_ivf_ks[1], f->answer.count) - 1];
    if (!(square > 0)) return;
    fit->centre += (uint64_t)fminf(fmaxf(f->s.ranking.near[0] / square, 0), most);
    fit->neighbour += (uint64_t)fminf(fmaxf(tenth / square, 0), most);
}

/* Lists, and the neighbours they hold, by how much farther than `from` they are. */
static void count_masses(const struct full_search *f, float unit, float bound, float from, uint32_t k,
                         uint64_t *lists, uint64_t *hits)
{
    for (uint32_t r = 0; r < f->lists; r++) lists[fine_bin(f, unit, r, bound, from)]++;
    for (uint32_t j = 0; j < k; j++) hits[fine_bin(f, unit, f->ranks[j], bound, from)]++;
}

static kith_status first_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                               kith_error *error)
{
    struct calibrating *c = context;
    struct tally *tally = &c->tallies[worker];
    for (uint64_t t = begin; t < end; t++) {
        struct full_search f;
        bool seen;
        kith_status status = run_trace(c, t, false, &c->arenas[worker], &f, &seen, error);
        if (status) return status;
        if (!seen) continue;
        count_fit(&f, c->unit, &c->fits[worker]);
        for (uint32_t i = 0; i < IVF_CURVES; i++) {
            uint32_t k = (uint32_t)kt_min_u64(kt_ivf_ks[i], f.answer.count);
            float bound = f.truths[k - 1];
            if (!(bound > 0)) continue;
            tally->bounds[i][bound_bin(c->unit, bound)]++;
            count_masses(&f, c->unit, bound, bound, k, tally->lists[i], tally->hits[i]);
            count_masses(&f, c->unit, bound, f.s.ranking.near[0], k, tally->lists[i + IVF_CURVES],
                         tally->hits[i + IVF_CURVES]);
        }
        for (uint32_t j = 0; j < f.answer.count && j < 2 * kt_ivf_ks[1]; j++) {
            count_error(tally->sign_errors, f.errors[j].sign_estimate, f.truths[j], f.errors[j].sign_error);
            count_error(tally->errors, f.errors[j].estimate, f.truths[j], f.errors[j].error);
        }
    }
    return KITH_OK;
}

/* By how many standard errors an estimate is above the truth for all but a share of neighbours. */
static float spread_for(const uint64_t *bins, double share)
{
    uint64_t all = 0, above = 0;
    for (uint32_t i = 0; i < ERRORS; i++) all += bins[i];
    uint32_t i = ERRORS;
    while (i > 0 && (double)(above + bins[i - 1]) <= share * (double)all) above += bins[--i];
    float spread = (float)i * (2.0f * ERROR_RANGE / ERRORS) - ERROR_RANGE;
    return spread > least_spread ? spread : least_spread;
}

/* The parabola through the logarithms of masses, each weighted by its neighbours: by least squares, solved
 * for its slope and bend, neither of which may be negative. Bins are 64, wide enough to hold all but one
 * neighbour in 2,000, and z is in their width. */
static void settle_masses(const struct tally *tally, uint32_t tried, float fine_unit, struct ivf_curve *out)
{
    enum { BINS = 64 };
    const uint64_t *fine_hits = tally->hits[tried], *fine_lists = tally->lists[tried];
    uint64_t all = 0, so_far = 0, hits[BINS] = { 0 }, lists[BINS] = { 0 };
    uint32_t last = 0;
    double w = 0, x = 0, xx = 0, xxx = 0, xxxx = 0, y = 0, xy = 0, xxy = 0;
    for (uint32_t i = 0; i < FINE; i++) all += fine_hits[i];
    while (last < FINE && (double)so_far < 0.9995 * (double)all) so_far += fine_hits[last++];
    float width = fmaxf(1, fine_begin(last) / BINS);
    for (uint32_t i = 0; i < last; i++) {
        uint32_t bin = kt_min_u32((uint32_t)(fine_begin(i) / width), BINS - 1);
        hits[bin] += fine_hits[i];
        lists[bin] += fine_lists[i];
    }
    for (uint32_t i = 0; i < BINS; i++) {
        double h = (double)hits[i], l = (double)lists[i], z = i + 0.5;
        if (!(h > 0)) continue;
        double mass = -log2(h / l);
        w += h, x += h * z, xx += h * z * z, xxx += h * z * z * z, xxxx += h * z * z * z * z;
        y += h * mass, xy += h * z * mass, xxy += h * z * z * mass;
    }
    *out = (struct ivf_curve){ .k = kt_ivf_ks[tried % IVF_CURVES],
                               .from = tried < IVF_CURVES ? 0 : 1,
                               .usual = usual_bound(fine_unit, tally->bounds[tried % IVF_CURVES]),
                               .unit = fine_unit * width,
                               .linear = 0.1f };
    if (!(w > 0)) return;
    double a11 = xx - x * x / w, a12 = xxx - x * xx / w, a22 = xxxx - xx * xx / w;
    double b1 = xy - x * y / w, b2 = xxy - xx * y / w, det = a11 * a22 - a12 * a12;
    double linear = det > 0 ? (b1 * a22 - b2 * a12) / det : 0,
           square = det > 0 ? (a11 * b2 - a12 * b1) / det : 0;
    if (square < 0 || !(det > 0)) square = 0, linear = a11 > 0 ? b1 / a11 : 0;
    if (linear < 0) linear = 0, square = a22 > 0 && b2 > 0 ? b2 / a22 : 0;
    if (linear + square > 0) out->linear = (float)linear, out->square = (float)square;
}

static void add_tally(struct tally *to, const struct tally *from)
{
    uint64_t *a = (uint64_t *)to;
    const uint64_t *b = (const uint64_t *)from;
    for (size_t i = 0; i < sizeof *to / sizeof *a; i++) a[i] += b[i];
}

static void settle_first(struct calibrating *c, uint32_t workers)
{
    struct tally *all = &c->tallies[0];
    for (uint32_t w = 1; w < workers; w++) add_tally(all, &c->tallies[w]);
    for (uint32_t i = 0; i < IVF_LOSSES; i++) {
        c->out.sign_spread[i] = spread_for(all->sign_errors, (double)kt_ivf_losses[i]);
        c->out.spread[i] = spread_for(all->errors, (double)kt_ivf_losses[i]);
    }
    c->tried_count = TRIED;
    for (uint32_t i = 0; i < TRIED; i++) settle_masses(all, i, c->unit, &c->tried[i]);
}

/* ---- the second part ---- */

static void replay(const struct full_search *f, uint32_t tried, struct point_sum *sums)
{
    uint32_t k = (uint32_t)kt_min_u64(kt_ivf_ks[tried % IVF_CURVES], f->answer.count), point = 0;
    for (uint32_t at = 0; at < f->lists && point < IVF_POINTS; at++) {
        float worth = at + 1 < f->lists ? f->worth[at][tried] : 0;
        if (worth > point_worth(point)) continue;
        uint64_t hits = 0;
        for (uint32_t j = 0; j < k; j++) hits += f->ranks[j] <= at;
        hits = hits * IVF_MOST_K / k; /* in hundredths, whatever k */
        for (; point < IVF_POINTS && worth <= point_worth(point); point++) {
            sums[point].hits += hits;
            sums[point].square += hits * hits;
            sums[point].lists += at + 1;
            sums[point].codes += f->codes[at];
        }
    }
}

static kith_status second_chunk(void *context, uint64_t begin, uint64_t end, uint32_t worker,
                                kith_error *error)
{
    struct calibrating *c = context;
    for (uint64_t t = begin; t < end; t++) {
        struct full_search f;
        bool seen;
        kith_status status = run_trace(c, c->first + t, true, &c->arenas[worker], &f, &seen, error);
        if (status) return status;
        if (!seen) continue;
        count_fit(&f, c->unit, &c->fits[worker]);
        for (uint32_t i = 0; i < c->tried_count; i++) replay(&f, i, c->sums[worker][i]);
        c->traces[worker]++;
    }
    return KITH_OK;
}

static void settle_fit(struct calibrating *c, uint32_t workers)
{
    struct fit all = { 0 };
    for (uint32_t w = 0; w < workers; w++) {
        all.centre += c->fits[w].centre;
        all.neighbour += c->fits[w].neighbour;
    }
    c->out.fit = all.neighbour ? (float)((double)all.centre / (double)all.neighbour) : 0;
}

static void settle_points(struct calibrating *c, uint32_t workers, uint32_t tried)
{
    struct ivf_curve *curve = &c->tried[tried];
    uint64_t traces = 0;
    for (uint32_t w = 0; w < workers; w++) traces += c->traces[w];
    for (uint32_t p = 0; p < IVF_POINTS && traces; p++) {
        struct point_sum sum = { 0 };
        for (uint32_t w = 0; w < workers; w++) {
            const struct point_sum *one = &c->sums[w][tried][p];
            sum.hits += one->hits;
            sum.square += one->square;
            sum.lists += one->lists;
            sum.codes += one->codes;
        }
        double n = (double)traces, mean = (double)sum.hits / n;
        double variance = (double)sum.square / n - mean * mean;
        curve->point[p] = (struct ivf_point){
            .worth = point_worth(p),
            .recall = (float)(mean / IVF_MOST_K),
            .error = (float)(1.645 * sqrt((variance > 0 ? variance : 0) / n) / IVF_MOST_K),
            .lists = (float)((double)sum.lists / n),
            .codes = (float)((double)sum.codes / n),
        };
        curve->points = p + 1;
    }
}

/* The lists that the default recall takes. */
static float lists_for_default(const struct ivf_curve *curve)
{
    const struct ivf_point *point = curve->point;
    uint32_t p = 0;
    while (p < curve->points && point[p].recall < KT_DEFAULT_RECALL) p++;
    if (p == curve->points) return INFINITY;
    if (!p) return point[0].lists;
    float share = (KT_DEFAULT_RECALL - point[p - 1].recall) / (point[p].recall - point[p - 1].recall);
    return point[p - 1].lists * (1 - share) + point[p].lists * share;
}

/* Of the two sets of rules that were tried the one that takes fewer lists. It is one for all k, as what holds
 * between two of them goes by both (30 neighbours between a rule of either kind: .91 for .95). */
static void settle_second(struct calibrating *c, uint32_t workers)
{
    float lists[FROMS] = { 0 };
    for (uint32_t i = 0; i < c->tried_count; i++) {
        settle_points(c, workers, i);
        lists[i / IVF_CURVES] += logf(lists_for_default(&c->tried[i]));
    }
    bool second = c->tried_count == TRIED && lists[1] < lists[0];
    memcpy(c->out.curve, c->tried + (second ? IVF_CURVES : 0), sizeof c->out.curve);
}

/* ---- all of it ---- */

static kith_status take_memory(struct calibrating *c, uint32_t workers, kith_error *error)
{
    c->tallies = kt_alloc_zero(workers, sizeof *c->tallies);
    c->fits = kt_alloc_zero(workers, sizeof *c->fits);
    c->sums = kt_alloc_zero(workers, sizeof *c->sums);
    c->traces = kt_alloc_zero(workers, sizeof *c->traces);
    c->arenas = kt_alloc_zero(workers, sizeof *c->arenas);
    return c->tallies && c->fits && c->sums && c->traces && c->arenas
               ? KITH_OK
               : kt_fail_memory(error, workers * sizeof *c->tallies);
}

static void release(struct calibrating *c, uint32_t workers)
{
    for (uint32_t w = 0; c->arenas && w < workers; w++) kt_arena_release(&c->arenas[w]);
    kt_free(c->arenas);
    kt_free(c->tallies);
    kt_free(c->fits);
    kt_free(c->sums);
    kt_free(c->traces);
    kt_free(c->picks);
    kt_free(c->lived.lists);
    kt_source_release(&c->source);
}

/* `wanted` of the rows from place `from` on, or of the queries, in any order. */
static kith_status pick(struct calibrating *c, uint64_t from, uint64_t there, uint64_t wanted, uint64_t seed,
                        kith_error *error)
{
    uint64_t *picks = c->picks = kt_alloc_array(wanted, sizeof *picks);
    if (!picks) return kt_fail_memory(error, wanted * sizeof *picks);
    wanted = kt_sample(there, wanted, seed, picks);
    struct kt_random random = { seed };
    for (uint64_t i = wanted; i > 0; i--) { /* so that both parts are of all */
        uint64_t j = kt_random_below(&random, i), chosen = picks[j];
        picks[j] = picks[i - 1];
        picks[i - 1] = from + chosen;
    }
    c->count = wanted;
    return KITH_OK;
}

/* How many traces, and of what. A quarter at most are for the first part. */
static kith_status pick_traces(struct calibrating *c, uint64_t seed, kith_error *error)
{
    uint64_t there = c->queries ? c->queries->count : c->source.rows;
    double can = most_codes / (double)kt_max_u64(1, c->index->rows);
    uint64_t wanted = FIRST_TRACES + TRACES;
    if ((double)wanted > can) wanted = kt_max_u64(LEAST_TRACES, (uint64_t)can);
    if (!c->queries) wanted = kt_min_u64(wanted, kt_max_u64(2 * LEAST_TRACES, there / FEW_ROWS));
    wanted = kt_min_u64(wanted, there);
    if (c->most) wanted = kt_min_u64(wanted, c->most);
    kith_status status = pick(c, 0, there, wanted, seed, error);
    c->first = kt_min_u64(FIRST_TRACES, (c->count + 3) / 4);
    c->count -= c->first;
    return status;
}

/* The typical distance of a centroid from the mean. */
static float typical_distance(const struct kt_index *index)
{
    double sum = 0;
    for (uint32_t i = 0; i < index->shape.lists; i++) sum += (double)index->centroids.squares[i];
    float typical = (float)sqrt(sum / index->shape.lists);
    return typical > 0 && isfinite(typical) ? typical : 1;
}

static kith_status begin(struct calibrating *c, const struct kt_index *index,
                         const struct kt_vectors *vectors, const struct kt_samples *samples, uint32_t workers,
                         kith_error *error)
{
    *c = (struct calibrating){ .index = index,
                               .vectors = vectors,
                               .queries = samples && samples->count ? samples : NULL,
                               .live = samples ? samples->live : NULL,
                               .most = samples ? samples->most : 0,
                               .unit = typical_distance(index) / FINE_SHARE };
    kith_status status = kt_source_init(&c->source, vectors, &index->space, error);
    if (!status && c->live) status = kt_ivf_count(index, c->live, &c->lived, error);
    if (!status) status = take_memory(c, workers, error);
    return status;
}

kith_status kt_ivf_calibrate(const struct kt_index *index, const struct kt_vectors *vectors,
                             const struct kt_samples *queries, uint64_t seed, struct kt_work *work,
                             json_t **out, kith_error *error)
{
    struct calibrating c;
    uint32_t workers = kt_work_threads(work);
    *out = NULL;
    if (index->shape.lists < 2) return KITH_OK; /* there is nothing to choose */
    kith_status status = begin(&c, index, vectors, queries, workers, error);
    if (!status) status = pick_traces(&c, seed, error);
    if (!status) status = kt_parallel_for(work, "calibrate", c.first, GRAIN, first_chunk, &c, error);
    if (!status) {
        settle_first(&c, workers);
        status = kt_parallel_for(work, "calibrate", c.count, GRAIN, second_chunk, &c, error);
    }
    if (!status) {
        settle_second(&c, workers);
        settle_fit(&c, workers);
        c.out.on_queries = c.queries != NULL;
        c.out.queries = (uint32_t)(c.first + c.count);
        *out = kt_ivf_calibration_write(&c.out);
        if (!*out) status = kt_fail_memory(error, sizeof c.out);
    }
    release(&c, workers);
    return status;
}

/* Where the first row with an id of `row` or more lies among all. */
static uint64_t place_of(const struct kt_source *source, uint64_t row)
{
    uint64_t low = 0, high = source->rows;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (kt_source_row(source, middle) < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* By how much the rule that should give the default recall gave less, for the worst of the k that are. */
static float worst_shortfall(const struct ivf_calibration *seen, const struct ivf_calibration *learned)
{
    float worst = 0;
    for (uint32_t i = 0; i < IVF_CURVES; i++) {
        const struct ivf_curve *curve = &learned->curve[i];
        uint32_t p = 0;
        while (p < curve->points && curve->point[p].recall < KT_DEFAULT_RECALL) p++;
        if (kt_ivf_ks[i] > 1 && p < curve->points) /* one row is there or is not: too rough for so few */
            worst = fmaxf(worst, curve->point[p].recall - seen->curve[i].point[p].recall);
    }
    return worst;
}

kith_status kt_ivf_look(const struct kt_index *index, const struct kt_vectors *vectors,
                        const struct kt_samples *samples, uint64_t first_row, uint64_t seed,
                        struct kt_work *work, struct kt_index_look *out, kith_error *error)
{
    struct calibrating c;
    uint32_t workers = kt_work_threads(work);
    *out = (struct kt_index_look){ 0 };
    if (!index->calibration->known) return KITH_OK;
    kith_status status = begin(&c, index, vectors, samples, workers, error);
    c.out = *index->calibration;
    c.tried_count = IVF_CURVES;
    memcpy(c.tried, c.out.curve, sizeof c.out.curve);
    if (!status) {
        uint64_t from = place_of(&c.source, first_row), there = c.source.rows - from;
        uint64_t wanted = LOOK_CODES / kt_max_u64(1, index->rows);
        wanted = c.most ? c.most : kt_min_u64(kt_max_u64(wanted, LOOK_LEAST), LOOK_MOST);
        status = pick(&c, from, there, kt_min_u64(wanted, there), seed, error);
    }
    if (!status) status = kt_parallel_for(work, "calibrate", c.count, GRAIN, second_chunk, &c, error);
    if (!status) {
        settle_second(&c, workers);
        settle_fit(&c, workers);
        *out = (struct kt_index_look){ .shortfall = worst_shortfall(&c.out, index->calibration),
                                       .fit = c.out.fit };
        for (uint32_t w = 0; w < workers; w++) out->rows += (uint32_t)c.traces[w];
    }
    release(&c, workers);
    return status;
}
