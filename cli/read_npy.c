/* NumPy's .npy: a header of text, then plain rows; lent to Arrow as they lie in the mapped file.
 *
 *   offset  size  field
 *        0     6  "\x93NUMPY"
 *        6     2  version, major and minor
 *        8     2  header length (version 1), or 4 bytes (versions 2 and 3), little-endian
 *      ...        header: {'descr': '<f4', 'fortran_order': False, 'shape': (1000, 384), }
 *
 * The header is a Python dict. It is not parsed as Python: the three keys are looked for, and their values
 * read as the only forms that numpy.save() writes. Anything else is refused, never guessed.
 */
#include "reader.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "arrow_make.h"

struct npy_rows {
    struct rows base;
    struct mapped *map;
    const char *name;
    const char *item; // Arrow's format of a number
    const uint8_t *data;
    int64_t row_count;
    int64_t dim;
    size_t item_bytes;
    int64_t at;
};

static kith_status npy_schema(struct rows *self, struct ArrowSchema *out, kith_error *error)
{
    struct npy_rows *npy = (struct npy_rows *)self;
    (void)error;
    cli_schema_make(out, "+s", "", 1);
    cli_schema_vector(out->children[0], npy->name, npy->item, npy->dim);
    return KITH_OK;
}

static kith_status npy_next(struct rows *self, int64_t most, struct ArrowArray *out, kith_error *error)
{
    struct npy_rows *npy = (struct npy_rows *)self;
    (void)error;
    int64_t count = npy->row_count - npy->at < most ? npy->row_count - npy->at : most;
    if (!count) return KITH_OK;
    const uint8_t *from = npy->data + (size_t)npy->at * (size_t)npy->dim * npy->item_bytes;
    cli_array_make(out, count, 1, 1);
    cli_array_make(out->children[0], count, 1, 1);
    cli_array_make(out->children[0]->children[0], count * npy->dim, 2, 0);
    cli_array_borrow(out->children[0]->children[0], 1, from, npy->map);
    npy->at += count;
    return KITH_OK;
}

static void npy_free(struct rows *self)
{
    struct npy_rows *npy = (struct npy_rows *)self;
    cli_map_release(npy->map);
    free(npy);
}

/* What a header said. */
struct npy_header {
    char type[16];
    bool fortran;
    int64_t shape[2];
    int dimensions; // those beyond two are counted, not kept
    size_t data;    // offset of the first row
};

static const char *value_of(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    if (!at) return NULL;
    at += strlen(key);
    while (*at == ' ' || *at == ':') at++;
    return at;
}

static bool parse_shape(const char *at, struct npy_header *out)
{
    if (*at++ != '(') return false;
    for (;;) {
        while (*at == ' ' || *at == ',') at++;
        if (*at == ')') return true;
        if (!isdigit((unsigned char)*at)) return false;
        int64_t size = 0;
        for (; isdigit((unsigned char)*at); at++) {
            if (size > (INT64_MAX - 9) / 10) return false;
            size = size * 10 + (*at - '0');
        }
        if (out->dimensions < 2) out->shape[out->dimensions] = size;
        out->dimensions++;
    }
}

static bool parse_header(const char *header, struct npy_header *out)
{
    const char *type = value_of(header, "'descr'");
    const char *order = value_of(header, "'fortran_order'");
    const char *shape = value_of(header, "'shape'");
    if (!type || !order || !shape || *type != '\'') return false;
    size_t size = strcspn(++type, "'");
    if (size >= sizeof out->type) return false;
    memcpy(out->type, type, size);
    out->fortran = strncmp(order, "True", 4) == 0;
    return (out->fortran || strncmp(order, "False", 5) == 0) && parse_shape(shape, out);
}

static kith_status read_header(const struct mapped *map, const char *path, struct npy_header *out,
                               kith_error *error)
{
    const uint8_t *bytes = map->data;
    if (map->size < 12 || memcmp(bytes, "\x93NUMPY", 6) != 0) {
        return cli_fail(error, KITH_INVALID, "'%s' is not a .npy file: it does not begin with \\x93NUMPY",
                        path);
    }
    size_t start = bytes[6] == 1 ? 10 : 12;
    size_t length = bytes[8] | (size_t)bytes[9] << 8;
    if (start == 12) length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (bytes[6] < 1 || bytes[6] > 3 || length > map->size - start || length > 65536) {
        return cli_fail(error, KITH_INVALID,
                        "the header of '%s' (version %u, %zu bytes) is not one of a .npy file of %zu bytes",
                        path, bytes[6], length, map->size);
    }
    char *header = cli_alloc(length + 1);
    memcpy(header, bytes + start, length);
    bool parsed = parse_header(header, out);
    free(header);
    out->data = start + length;
    if (parsed) return KITH_OK;
    return cli_fail(error, KITH_INVALID,
                    "the header of '%s' has no readable descr, fortran_order and shape; "
                    "expected an array of numbers written by numpy.save()",
                    path);
}

/* NumPy's name of an element type -> Arrow's. */
static const char *item_of(const char *type, size_t *bytes)
{
    static const struct {
        const char *numpy, *arrow;
        size_t bytes;
    } known[] = {
        { "<f4", "f", 4 }, { "<f2", "e", 2 }, { "<f8", "g", 8 }, { "|u1", "C", 1 },
        { "|i1", "c", 1 }, { "<u1", "C", 1 }, { "<i1", "c", 1 },
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(type, known[i].numpy) != 0) continue;
        *bytes = known[i].bytes;
        return known[i].arrow;
    }
    return NULL;
}

static kith_status check_header(struct npy_header *header, const struct mapped *map, const char *path,
                                size_t item_bytes, kith_error *error)
{
    if (!item_bytes) {
        return cli_fail(error, KITH_TYPE,
                        "'%s' holds %s; expected <f4, <f2, <f8, |u1 or |i1 (numpy: a.astype('<f4'))", path,
                        header->type);
    }
    if (header->dimensions == 1) { // a single vector: useful as a query
        header->shape[1] = header->shape[0];
        header->shape[0] = 1;
        header->dimensions = 2;
        header->fortran = false;
    }
    if (header->dimensions != 2) {
        return cli_fail(error, KITH_TYPE, "'%s' has %d dimensions; expected 2: one row per vector", path,
                        header->dimensions);
    }
    if (header->fortran) {
        return cli_fail(error, KITH_TYPE,
                        "'%s' is in Fortran order; expected C order (numpy: numpy.ascontiguousarray(a))",
                        path);
    }
    int64_t rows = header->shape[0], dim = header->shape[1];
    if (dim < 1 || dim > INT32_MAX) {
        return cli_fail(error, KITH_TYPE, "the vectors of '%s' have %lld numbers; expected 1 or more", path,
                        (long long)dim);
    }
    size_t row_bytes = (size_t)dim * item_bytes;
    size_t have = (map->size - header->data) / row_bytes;
    if ((uint64_t)rows > have) {
        return cli_fail(
            error, KITH_INVALID,
            "'%s' is cut short: its header promises %lld rows of %lld numbers, its bytes hold %zu", path,
            (long long)rows, (long long)dim, have);
    }
    return KITH_OK;
}

kith_status cli_read_npy(const struct read_request *request, struct mapped *map, struct rows **out,
                         kith_error *error)
{
    struct npy_header header = { 0 };
    size_t item_bytes = 0;
    kith_status status = read_header(map, request->path, &header, error);
    const char *item = status ? NULL : item_of(header.type, &item_bytes);
    if (!status) status = check_header(&header, map, request->path, item_bytes, error);
    if (status) {
        cli_map_release(map);
        return status;
    }
    struct npy_rows *npy = cli_alloc(sizeof *npy);
    *npy = (struct npy_rows){
        .base = { .schema = npy_schema,
                  .next = npy_next,
                  .free = npy_free,
                  .total_known = true,
                  .total = (uint64_t)header.shape[0] },
        .map = map,
        .name = request->vector ? request->vector : "vector",
        .item = item,
        .data = map->data + header.data,
        .row_count = header.shape[0],
        .dim = header.shape[1],
        .item_bytes = item_bytes,
    };
    *out = &npy->base;
    return KITH_OK;
}
