/* The benchmark world's vector files.
 *
 *   .fvecs .bvecs .ivecs   each row: int32 dim, then dim float32 / uint8 / int32. The rows are copied
 *                          together, since Arrow wants them without the numbers between.
 *   .fbin .u8bin .i8bin    uint32 rows, uint32 dim, then float32 / uint8 / int8 rows: lent as they lie.
 *
 * All little-endian. int32 values become float32, and one that float32 cannot hold exactly is refused.
 */
#include "reader.h"

#include <stdlib.h>
#include <string.h>

#include "arrow_make.h"

struct vecs_rows {
    struct rows base;
    struct mapped *map;
    const char *path;
    const char *name;
    const char *item;
    size_t item_bytes;
    bool whole; // int32 in the file, float32 in the table
    int64_t row_count;
    int64_t dim;
    size_t row_bytes; // in the file, its dim included where it has one
    const uint8_t *data;
    int64_t at;
};

static uint32_t get_u32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static kith_status vecs_schema(struct rows *self, struct ArrowSchema *out, kith_error *error)
{
    struct vecs_rows *vecs = (struct vecs_rows *)self;
    (void)error;
    cli_schema_make(out, "+s", "", 1);
    cli_schema_vector(out->children[0], vecs->name, vecs->item, vecs->dim);
    return KITH_OK;
}

static void batch_of(const struct vecs_rows *vecs, int64_t count, struct ArrowArray *out)
{
    cli_array_make(out, count, 1, 1);
    cli_array_make(out->children[0], count, 1, 1);
    cli_array_make(out->children[0]->children[0], count * vecs->dim, 2, 0);
}

static kith_status whole_numbers(const struct vecs_rows *vecs, const uint8_t *from, uint8_t *to,
                                 kith_error *error)
{
    for (int64_t i = 0; i < vecs->dim; i++) {
        int32_t value = (int32_t)get_u32(from + 4 * i);
        float narrow = (float)value;
        if ((double)narrow != (double)value) {
            return cli_fail(error, KITH_TYPE, "'%s' row %lld holds %d, which float32 cannot hold exactly",
                            vecs->path, (long long)vecs->at, value);
        }
        memcpy(to + 4 * i, &narrow, sizeof narrow);
    }
    return KITH_OK;
}

static kith_status copy_row(const struct vecs_rows *vecs, uint8_t *to, kith_error *error)
{
    const uint8_t *from = vecs->data + (size_t)vecs->at * vecs->row_bytes;
    if (get_u32(from) != vecs->dim) {
        return cli_fail(error, KITH_INVALID,
                        "'%s' row %lld has %d numbers where the first row has %lld; all must have the same",
                        vecs->path, (long long)vecs->at, (int32_t)get_u32(from), (long long)vecs->dim);
    }
    if (vecs->whole) return whole_numbers(vecs, from + 4, to, error);
    memcpy(to, from + 4, (size_t)vecs->dim * vecs->item_bytes);
    return KITH_OK;
}

static kith_status vecs_next(struct rows *self, int64_t most, struct ArrowArray *out, kith_error *error)
{
    struct vecs_rows *vecs = (struct vecs_rows *)self;
    int64_t fit = (int64_t)((16u << 20) / vecs->row_bytes) + 1;
    int64_t count = vecs->row_count - vecs->at;
    if (count > most) count = most;
    if (count > fit) count = fit;
    if (!count) return KITH_OK;
    size_t bytes = (size_t)vecs->dim * vecs->item_bytes;
    uint8_t *rows = cli_alloc((size_t)count * bytes);
    for (int64_t i = 0; i < count; i++) {
        kith_status status = copy_row(vecs, rows + (size_t)i * bytes, error);
        if (status) {
            free(rows);
            return status;
        }
        vecs->at++;
    }
    batch_of(vecs, count, out);
    cli_array_own(out->children[0]->children[0], 1, rows);
    return KITH_OK;
}

static kith_status bin_next(struct rows *self, int64_t most, struct ArrowArray *out, kith_error *error)
{
    struct vecs_rows *vecs = (struct vecs_rows *)self;
    (void)error;
    int64_t count = vecs->row_count - vecs->at < most ? vecs->row_count - vecs->at : most;
    if (!count) return KITH_OK;
    batch_of(vecs, count, out);
    cli_array_borrow(out->children[0]->children[0], 1, vecs->data + (size_t)vecs->at * vecs->row_bytes,
                     vecs->map);
    vecs->at += count;
    return KITH_OK;
}

static void vecs_free(struct rows *self)
{
    struct vecs_rows *vecs = (struct vecs_rows *)self;
    cli_map_release(vecs->map);
    free(vecs);
}

static struct vecs_rows *vecs_new(const struct read_request *request, const char *format, struct mapped *map)
{
    struct vecs_rows *vecs = cli_alloc(sizeof *vecs);
    *vecs = (struct vecs_rows){
        .base = { .schema = vecs_schema, .next = vecs_next, .free = vecs_free, .total_known = true },
        .map = map,
        .path = request->path,
        .name = request->vector ? request->vector : "vector",
        .item = format[0] == 'b' || format[0] == 'u' ? "C"
                : strcmp(format, "i8bin") == 0       ? "c"
                                                     : "f",
        .whole = strcmp(format, "ivecs") == 0,
    };
    vecs->item_bytes = vecs->item[0] == 'f' ? 4 : 1;
    return vecs;
}

kith_status cli_read_vecs(const struct read_request *request, const char *format, struct mapped *map,
                          struct rows **out, kith_error *error)
{
    struct vecs_rows *vecs = vecs_new(request, format, map);
    kith_status status = KITH_OK;
    uint32_t dim = map->size >= 4 ? get_u32(map->data) : 0;
    if (dim < 1 || dim > 1u << 20) {
        status = cli_fail(error, KITH_INVALID,
                          "'%s' is no .%s: its first row has %d numbers, expected 1 to 1,048,576",
                          request->path, format, (int32_t)dim);
        goto out;
    }
    vecs->data = map->data;
    vecs->dim = dim;
    vecs->row_bytes = 4 + dim * vecs->item_bytes;
    vecs->row_count = (int64_t)(map->size / vecs->row_bytes);
    vecs->base.total = (uint64_t)vecs->row_count;
    if (map->size % vecs->row_bytes) {
        status = cli_fail(
            error, KITH_INVALID,
            "'%s' has %zu bytes, which is no whole number of rows of %u numbers (%zu bytes); it is cut "
            "short, or its rows differ in length, or it is no .%s",
            request->path, map->size, dim, vecs->row_bytes, format);
        goto out;
    }
    *out = &vecs->base;
    vecs = NULL;
out:
    if (vecs) vecs_free(&vecs->base);
    return status;
}

kith_status cli_read_bin(const struct read_request *request, const char *format, struct mapped *map,
                         struct rows **out, kith_error *error)
{
    struct vecs_rows *vecs = vecs_new(request, format, map);
    uint32_t rows = map->size >= 8 ? get_u32(map->data) : 0;
    uint32_t dim = map->size >= 8 ? get_u32(map->data + 4) : 0;
    if (dim < 1 || dim > 1u << 20 || (map->size - 8) / (dim * vecs->item_bytes) < rows) {
        kith_status status =
            cli_fail(error, KITH_INVALID,
                     "'%s' is no whole .%s: its header promises %u rows of %u numbers, it has %zu bytes",
                     request->path, format, rows, dim, map->size);
        vecs_free(&vecs->base);
        return status;
    }
    vecs->base.next = bin_next;
    vecs->base.total = rows;
    vecs->data = map->data + 8;
    vecs->dim = dim;
    vecs->row_bytes = dim * vecs->item_bytes;
    vecs->row_count = rows;
    *out = &vecs->base;
    return KITH_OK;
}
