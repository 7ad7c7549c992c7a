/* When a search has seen enough. Each list has a mass, the number of neighbours that such a list holds on the
 * average: a function of how much farther its centroid is than the k-th neighbour so far, or than the nearest
 * list, whichever of the two tells more here, in units of that neighbour's distance. (Quake's adaptive
 * partition scanning, 2506.03437, derives it from the geometry of caps, which supposes that rows lie evenly;
 * here it is counted in replayed searches.) Going on is worth the share of all mass that the next list has,
 * times the share of it that lies in lists not yet seen; a curve from replayed searches says what recall goes
 * with stopping at which worth.
 *
 * To go by what is left alone spends most lists on the queries that have least from each, whose mass lies in
 * a thousand lists: the mean recall came for a third more lists. To go by the next list alone gives such
 * queries up after a few, and with them all those that are unlike the rows that the rule was learned of. What
 * tells these is that their k-th neighbour is farther than it is of three rows in four: for them going on
 * is worth more. Decision 18 has the figures.
 *
 * Under a filter the lists without a row that it admits are none, and the mass of the others is weighted with
 * the share of their rows that it admits; so it does not matter whether what it admits lies near or far.
 * Rows that went are such a filter: a list that they left counts for the rows it has beside those that lists
 * have as a rule. Only of the next list it is asked what it would have, were all alike: that it is a poor one
 * says nothing of those behind it.
 *
 * Masses are summed again when the k-th distance has fallen by a twenty-fifth; in between the list just seen
 * moves its mass from one sum to the other. They are taken in units of the nearest list's, as only shares of
 * them count, and a float holds no others where rows have copies.
 *
 * A calibration is kept as JSON in the log, beside the piece it belongs to, and read when the index is
 * opened.
 */
#include <math.h>

#include "base/bytes.h"
#include "index/ivf/ivf_private.h"

enum { RULE = 2 }; /* that calibrations are of */
static const float resum_below = 0.96f, tail_below = 0.8f;
static const float usual_spread = 3.0f;   /* standard errors, where nothing was calibrated */
static const float hardly_more = 1.5f;    /* than one list */
static const float copies = 1e-12f;       /* as near, beside the nearest list, as nothing else is */
static const float most_strange = 16.0f;  /* times that it is worth more to go on */
static const float misses_of_rows = 0.9f; /* that queries have some more of than rows */
static const float for_speed = 0.5f;      /* whoever asks for no more recall wants a fast answer */

/* The k that curves are learned for, and the shares of neighbours at the edge of an answer that spreads are.
 */
const uint32_t kt_ivf_ks[IVF_CURVES] = { 1, 10, IVF_MOST_K };
const float kt_ivf_losses[IVF_LOSSES] = { 0.04f, 0.025f, 0.005f, 0.0025f };

/* ---- how much is left */

/* Four at a time, as any machine can. */
typedef float four __attribute__((vector_size(16)));
typedef int32_t four_whole __attribute__((vector_size(16)));

/* 2^-e for e in 0..100, to a part in a thousand. */
static four exp2_minus(four e)
{
    four_whole whole = __builtin_convertvector(e, four_whole);
    four f = __builtin_convertvector(whole, four) - e; /* -1..0 */
    four power = 1 + f * (0.69315f + f * (0.24023f + f * 0.05550f));
    four_whole bits;
    memcpy(&bits, &power, sizeof bits);
    bits -= whole << 23;
    memcpy(&power, &bits, sizeof bits);
    return power;
}

static four least_of(four a, four b)
{
    four_whole below = a < b;
    return (four)(((four_whole)a & below) | ((four_whole)b & ~below));
}

/* Of lists at such distances, the logarithms of how few neighbours they hold. */
static four exponents(const struct ivf_stop *stop, four distances)
{
    const four most = { 1e15f, 1e15f, 1e15f, 1e15f };
    four z = (distances - stop->from) * stop->scale;
    z = least_of((four)((four_whole)z & (z > 0.0f)), most);
    return (stop->rule.linear + stop->rule.square * z) * z;
}

static four mass_of(const struct ivf_stop *stop, four distances)
{
    const four most = { 100, 100, 100, 100 };
    four e = exponents(stop, distances) - stop->nearest;
    return exp2_minus(least_of((four)((four_whole)e & (e > 0.0f)), most));
}

/* The masses of lists at such distances from the query, times their weights where they have some. */
static float masses_of(const struct ivf_stop *stop, const float *distances, const float *weights,
                       uint32_t count)
{
    four sum = { 0 };
    uint32_t i = 0;
    for (; i + 4 <= count; i += 4) {
        four some, weight = { 1, 1, 1, 1 };
        memcpy(&some, distances + i, sizeof some);
        if (weights) memcpy(&weight, weights + i, sizeof weight);
        sum += mass_of(stop, some) * weight;
    }
    if (i < count) {
        four last = { IVF_FAR, IVF_FAR, IVF_FAR, IVF_FAR }, weight = { 0 };
        for (uint32_t j = 0; i + j < count; j++) weight[j] = weights ? weights[i + j] : 1;
        memcpy(&last, distances + i, (count - i) * sizeof *distances);
        sum += mass_of(stop, last) * weight;
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* The weights of the sorted lists from `at` on. */
static const float *weights_from(const struct ivf_ranking *ranking, uint32_t at)
{
    return ranking->near_weights ? ranking->near_weights + at : NULL;
}

static float between(float low, float high, float share)
{
    return low * (1 - share) + high * share;
}

/* Lists that are not sorted yet are far away: their mass is little, and is summed less often. */
static void sum_masses(struct ivf_stop *stop, const struct ivf_ranking *ranking, uint32_t at, float bound)
{
    const float *near = ranking->near, *far = ranking->distances;
    stop->bound = bound;
    stop->from = between(bound, near[0], stop->rule.from);
    stop->scale = 1 / sqrtf(bound);
    stop->nearest = exponents(stop, (four){ near[0], near[0], near[0], near[0] })[0];
    stop->seen = masses_of(stop, near, ranking->near_weights, at + 1);
    stop->left = masses_of(stop, near + at + 1, weights_from(ranking, at + 1), ranking->sorted - at - 1);
    if (ranking->weights) stop->alike = masses_of(stop, near, NULL, ranking->sorted);
    if (ranking->sorted == stop->sorted && bound >= stop->tail_bound * tail_below) return;
    stop->tail = masses_of(stop, far, ranking->weights, ranking->ranked);
    if (ranking->weights) stop->alike_tail = masses_of(stop, far, NULL, ranking->ranked);
    stop->tail_bound = bound;
    stop->sorted = ranking->sorted;
}

/* How much more it is worth to go on for a query whose k-th neighbour is that far. */
static float strangeness(const struct ivf_rule *rule, float bound)
{
    float beyond = rule->usual > 0 && bound > rule->usual ? bound / rule->usual : 1;
    beyond *= beyond;
    return fminf(beyond * beyond, most_strange);
}

float kt_ivf_stop_worth(struct ivf_stop *stop, const struct ivf_ranking *ranking, uint32_t at, float bound)
{
    bool last = at + 1 == ranking->ranked;
    if (last && ranking->mesos_ranked == ranking->meso_count) return 0;
    if (!isfinite(bound) || last) return 1;
    if (!(bound > copies * ranking->near[0])) return 0;
    if (ranking->sorted != stop->sorted || bound < stop->bound * resum_below) {
        sum_masses(stop, ranking, at, bound);
    } else {
        float mass = stop->next * (ranking->weights ? ranking->near_weights[at] : 1);
        stop->seen += mass;
        stop->left -= mass;
    }
    float left = (stop->left > 0 ? stop->left : 0) + stop->tail, all = stop->seen + left;
    float alike = ranking->weights ? stop->alike + stop->alike_tail : all;
    stop->next = masses_of(stop, ranking->near + kt_min_u32(at + 1, ranking->sorted - 1), NULL, 1);
    if (!(all > 0) || !(alike > 0)) return 0;
    return fminf(1, stop->next / alike * (left / all) * strangeness(&stop->rule, bound));
}

/* ---- what to ask for */

static float between_powers(float low, float high, float share)
{
    return low > 0 && high > 0 ? expf(between(logf(low), logf(high), share)) : fminf(low, high);
}

void kt_ivf_rule_between(const struct ivf_curve *low, const struct ivf_curve *high, float share,
                         struct ivf_rule *out)
{
    float low_unit = low->unit, high_unit = high->unit;
    *out = (struct ivf_rule){
        .low = low,
        .high = high,
        .share = share,
        .usual = between_powers(low->usual, high->usual, share),
        .from = between(low->from, high->from, share),
        .linear = between(low->linear / low_unit, high->linear / high_unit, share),
        .square = between(low->square / (low_unit * low_unit), high->square / (high_unit * high_unit), share),
    };
}

void kt_ivf_rule_for(const struct ivf_calibration *calibration, uint32_t k, struct ivf_rule *out)
{
    const struct ivf_curve *low = calibration->curve, *high = low;
    while (high->k < k && high < calibration->curve + IVF_CURVES - 1) low = high++;
    if (high->k <= k) low = high;
    float share = low == high ? 0 : logf((float)k / (float)low->k) / logf((float)high->k / (float)low->k);
    kt_ivf_rule_between(low, high, share, out);
}

/* Where lists are clusters, nearly every row has its neighbours in its own list, and it is all one to rows
 * what the rule is: of the rules that stop after hardly more than the first list the strictest is
 * taken. It costs a fraction of a list, and is what tells a query that lies between clusters from those that
 * lie in one (6,000 rows in 50 clusters, queries from elsewhere: recall .43 where .95 was asked for, and .98
 * with it). */
static float strictest(const struct ivf_curve *curve, uint32_t i)
{
    while (i + 1 < curve->points && curve->point[i + 1].lists <= hardly_more) i++;
    return curve->point[i].worth;
}

/* The recall to plan with. */
static float planned(const struct ivf_calibration *calibration, float recall)
{
    return calibration->on_queries ? recall : 1 - (1 - recall) * misses_of_rows;
}

static float worth_by(const struct ivf_curve *curve, float recall, float *expected)
{
    const struct ivf_point *point = curve->point;
    uint32_t i = 0;
    while (i < curve->points && point[i].recall - point[i].error < recall) i++;
    if (i == curve->points) { /* more than any rule gave: everything that has mass */
        *expected = curve->points ? point[i - 1].recall : 0;
        return 0;
    }
    *expected = point[i].recall;
    if (recall > for_speed && point[i].lists <= hardly_more) return strictest(curve, i);
    if (!i) return point[0].worth;
    float before = point[i - 1].recall - point[i - 1].error, after = point[i].recall - point[i].error;
    float share = after > before ? (recall - before) / (after - before) : 1;
    *expected = between(point[i - 1].recall, point[i].recall, share);
    return between_powers(point[i - 1].worth, point[i].worth, share);
}

float kt_ivf_worth_for(const struct ivf_calibration *calibration, const struct ivf_rule *rule, float recall,
                       float *expected)
{
    float low, high, plan = planned(calibration, recall);
    float worth_low = worth_by(rule->low, plan, &low), worth_high = worth_by(rule->high, plan, &high);
    *expected = between(low, high, rule->share) - (plan - recall);
    return between_powers(worth_low, worth_high, rule->share);
}

void kt_ivf_spreads(const struct ivf_calibration *calibration, float recall, float *signs, float *all)
{
    uint32_t i = 0;
    *signs = *all = usual_spread;
    if (!calibration->known) return;
    while (i + 1 < IVF_LOSSES && kt_ivf_losses[i] > 0.5f * (1.001f - recall)) i++;
    *signs = calibration->sign_spread[i];
    *all = calibration->spread[i];
}

/* ---- as JSON */

static json_t *write_curve(const struct ivf_curve *curve)
{
    json_t *points = json_array();
    for (uint32_t i = 0; i < curve->points; i++) {
        const struct ivf_point *p = &curve->point[i];
        json_array_append_new(points, json_pack("[f,f,f,f,f]", (double)p->worth, (double)p->recall,
                                                (double)p->error, (double)p->lists, (double)p->codes));
    }
    return json_pack("{s:i, s:f, s:f, s:f, s:f, s:f, s:o}", "k", (int)curve->k, "usual", (double)curve->usual,
                     "from", (double)curve->from, "unit", (double)curve->unit, "linear",
                     (double)curve->linear, "square", (double)curve->square, "points", points);
}

json_t *kt_ivf_calibration_write(const struct ivf_calibration *c)
{
    json_t *signs = json_array(), *all = json_array(), *curves = json_array();
    bool fine = signs && all && curves;
    for (uint32_t i = 0; i < IVF_LOSSES; i++) {
        fine = fine && !json_array_append_new(signs, json_real((double)c->sign_spread[i]));
        fine = fine && !json_array_append_new(all, json_real((double)c->spread[i]));
    }
    for (uint32_t i = 0; i < IVF_CURVES; i++)
        fine = fine && !json_array_append_new(curves, write_curve(&c->curve[i]));
    if (!fine) {
        json_decref(signs);
        json_decref(all);
        json_decref(curves);
        return NULL;
    }
    return json_pack("{s:s, s:i, s:i, s:f, s:o, s:o, s:o}", "on", c->on_queries ? "queries" : "rows",
                     "queries", (int)c->queries, "rule", RULE, "fit", (double)c->fit, "sign_spread", signs,
                     "spread", all, "curves", curves);
}

static bool read_numbers(const json_t *from, float *to, uint32_t count)
{
    if (json_array_size(from) != count) return false;
    for (uint32_t i = 0; i < count; i++) {
        const json_t *number = json_array_get(from, i);
        to[i] = (float)json_number_value(number);
        if (!json_is_number(number) || !isfinite(to[i]) || to[i] < 0) return false;
    }
    return true;
}

static bool read_number(const json_t *from, const char *key, float least, float *to)
{
    const json_t *number = json_object_get(from, key);
    *to = (float)json_number_value(number);
    return json_is_number(number) && isfinite(*to) && *to >= least;
}

static bool read_curve(const json_t *from, uint32_t k, struct ivf_curve *to)
{
    const json_t *points = json_object_get(from, "points");
    *to = (struct ivf_curve){ .k = k, .points = (uint32_t)json_array_size(points) };
    if (!json_is_array(points) || json_array_size(points) > IVF_POINTS ||
        json_integer_value(json_object_get(from, "k")) != k)
        return false;
    if (!read_number(from, "usual", 0, &to->usual) || !read_number(from, "from", 0, &to->from) ||
        !(to->from <= 1) || !read_number(from, "unit", 1e-37f, &to->unit) ||
        !read_number(from, "linear", 0, &to->linear) || !read_number(from, "square", 0, &to->square))
        return false;
    for (uint32_t i = 0; i < to->points; i++) {
        float p[5];
        if (!read_numbers(json_array_get(points, i), p, 5) || !(p[0] > 0 && p[0] <= 1 && p[1] <= 1))
            return false;
        to->point[i] = (struct ivf_point){ p[0], p[1], p[2], p[3], p[4] };
    }
    return true;
}

kith_status kt_ivf_calibration_read(const json_t *from, struct ivf_calibration *out, kith_error *error)
{
    const json_t *curves = json_object_get(from, "curves");
    *out = (struct ivf_calibration){ 0 };
    const char *on = json_string_value(json_object_get(from, "on"));
    if (!from || (on && !json_object_get(from, "rule"))) return KITH_OK; /* none, or of the rule before */
    bool good = json_integer_value(json_object_get(from, "rule")) == RULE &&
                json_array_size(curves) == IVF_CURVES &&
                read_numbers(json_object_get(from, "sign_spread"), out->sign_spread, IVF_LOSSES) &&
                read_numbers(json_object_get(from, "spread"), out->spread, IVF_LOSSES);
    for (uint32_t i = 0; good && i < IVF_CURVES; i++)
        good = read_curve(json_array_get(curves, i), kt_ivf_ks[i], &out->curve[i]);
    if (!good) return kt_fail(error, KITH_CORRUPT, "the calibration of an index is not one that Kith wrote");
    out->on_queries = on && strcmp(on, "queries") == 0;
    out->queries = (uint32_t)json_integer_value(json_object_get(from, "queries"));
    out->known = true;
    return KITH_OK;
}

/* ---- what it comes to */

/* The lists and codes that stopping at such a worth took; more than any rule did, all of them. */
static void lists_by(const struct kt_index *index, const struct ivf_curve *curve, float worth, float *lists,
                     float *codes)
{
    const struct ivf_point *point = curve->point;
    uint32_t i = 0;
    while (i < curve->points && point[i].worth > worth) i++;
    *lists = (float)index->shape.lists;
    *codes = (float)index->rows;
    if (i == curve->points) return;
    struct ivf_point before = point[i ? i - 1 : 0], after = point[i];
    float share = i ? logf(before.worth / worth) / logf(before.worth / after.worth) : 1;
    *lists = between(before.lists, after.lists, share);
    *codes = between(before.codes, after.codes, share);
}

void kt_ivf_expect(const struct kt_index *index, uint32_t k, float recall, struct kt_index_stats *out)
{
    struct ivf_rule rule;
    float lists[2], codes[2], ignored;
    *out = (struct kt_index_stats){ 0 };
    if (!index->calibration->known) return;
    kt_ivf_rule_for(index->calibration, k, &rule);
    kt_ivf_worth_for(index->calibration, &rule, recall, &out->expected);
    recall = planned(index->calibration, recall);
    lists_by(index, rule.low, worth_by(rule.low, recall, &ignored), &lists[0], &codes[0]);
    lists_by(index, rule.high, worth_by(rule.high, recall, &ignored), &lists[1], &codes[1]);
    out->lists = (uint64_t)lroundf(between(lists[0], lists[1], rule.share));
    out->codes = (uint64_t)lroundf(between(codes[0], codes[1], rule.share));
}
