/* Body: all dot products of some rows with some others.
 *
 * A tile of TILE_A x 4 sums stays in registers while the dimension goes by, so that a loaded vector is used
 * TILE_A or 4 times. Each sum has one accumulator whatever the shape of its tile: a product does not depend
 * on where its rows stand in the call. Rows of b are taken in panels that stay in the second-level cache
 * while all of a passes over them. */

enum { PANEL_BYTES = 192 * 1024 };

struct tile {
    const float *a, *b;
    size_t a_stride, b_stride;
    size_t dim;
    float *out;
    size_t out_stride;
};

/* `a_rows` of at most TILE_A, `b_rows` of at most 4; constants, so that the arrays become registers. */
KT_INLINE void tile_of(const struct tile *t, size_t a_rows, size_t b_rows)
{
    const float *a = t->a, *b = t->b;
    vf sum[TILE_A][4];
#pragma GCC unroll 8
    for (size_t i = 0; i < TILE_A; i++)
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++) sum[i][j] = vf_zero();

    size_t at = 0;
    for (; at + VF <= t->dim; at += VF) {
        vf x[TILE_A];
#pragma GCC unroll 8
        for (size_t i = 0; i < a_rows; i++) x[i] = vf_load_f32(a + i * t->a_stride + at);
#pragma GCC unroll 4
        for (size_t j = 0; j < b_rows; j++) {
            vf y = vf_load_f32(b + j * t->b_stride + at);
#pragma GCC unroll 8
            for (size_t i = 0; i < a_rows; i++) sum[i][j] = vf_fma(x[i], y, sum[i][j]);
        }
    }
    if (at < t->dim) {
        size_t left = t->dim - at;
        vf x[TILE_A];
#pragma GCC unroll 8
        for (size_t i = 0; i < a_rows; i++) x[i] = vf_load_f32_part(a + i * t->a_stride + at, left);
#pragma GCC unroll 4
        for (size_t j = 0; j < b_rows; j++) {
            vf y = vf_load_f32_part(b + j * t->b_stride + at, left);
#pragma GCC unroll 8
            for (size_t i = 0; i < a_rows; i++) sum[i][j] = vf_fma(x[i], y, sum[i][j]);
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < a_rows; i++) {
        float sums[4];
        vf_sum4(sum[i][0], sum[i][1], sum[i][2], sum[i][3], sums);
        memcpy(t->out + i * t->out_stride, sums, b_rows * sizeof *sums);
    }
}

static void tile_full(const struct tile *t)
{
    tile_of(t, TILE_A, 4);
}

static void tile_single(const struct tile *t)
{
    tile_of(t, 1, 1);
}

/* One row of a against four of b: what is left of a. */
static void tile_row(const struct tile *t)
{
    tile_of(t, 1, 4);
}

/* TILE_A rows of a against one of b: what is left of b. */
static void tile_column(const struct tile *t)
{
    tile_of(t, TILE_A, 1);
}

static struct tile tile_at(const struct tile *all, size_t i, size_t j)
{
    struct tile t = *all;
    t.a += i * t.a_stride;
    t.b += j * t.b_stride;
    t.out += i * t.out_stride + j;
    return t;
}

/* All of a against b_begin .. b_end-1. */
static void tile_panel(const struct tile *all, size_t a_count, size_t b_begin, size_t b_end)
{
    for (size_t i = 0; i < a_count;) {
        size_t a_rows = a_count - i >= TILE_A ? TILE_A : 1;
        for (size_t j = b_begin; j < b_end;) {
            size_t b_rows = b_end - j >= 4 ? 4 : 1;
            struct tile t = tile_at(all, i, j);
            if (a_rows == TILE_A)
                (b_rows == 4 ? tile_full : tile_column)(&t);
            else
                (b_rows == 4 ? tile_row : tile_single)(&t);
            j += b_rows;
        }
        i += a_rows;
    }
}

static void dot_tile(const float *a, size_t a_count, size_t a_stride, const float *b, size_t b_count,
                     size_t b_stride, size_t dim, float *out, size_t out_stride)
{
    const struct tile all = { a, b, a_stride, b_stride, dim, out, out_stride };
    size_t panel = PANEL_BYTES / sizeof(float) / (dim + 1);
    panel = panel < 16 ? 16 : panel / 4 * 4;
    for (size_t j = 0; j < b_count; j += panel)
        tile_panel(&all, a_count, j, b_count - j < panel ? b_count : j + panel);
}
