/* Real vectors: the ten thousand of the source tree, and those in the folder that KITH_DATA names; one .npy
 * file of rows and one of queries a set. */
#ifndef KT_TEST_REAL_ROWS_H
#define KT_TEST_REAL_ROWS_H

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index_fixture.h"

struct real_set {
    const char *name, *home, *rows, *queries; /* home: the variable that names its folder */
    kith_metric metric;
    kith_element element;
    uint32_t dim;
};
static const struct real_set real_sets[] = {
    { "examples/data/debian-10k", "KITH_SOURCE", "vectors", "queries", KITH_COSINE, KITH_F16, 384 },
    { "debian-minilm", "KITH_DATA", "base", "query", KITH_COSINE, KITH_F16, 384 },
    { "sift-photos-100k", "KITH_DATA", "base", "query", KITH_L2, KITH_U8, 128 },
    { "glove-50-100k", "KITH_DATA", "base", "query", KITH_DOT, KITH_F32, 50 }
};
enum { REAL_SETS = sizeof real_sets / sizeof *real_sets, NPY_HEADER = 128 };

/* Whether the environment says where the set is; else a word about it. */
static inline bool real_set_is_there(const struct real_set *set)
{
    if (getenv(set->home)) return true;
    print_message("skipped %s: %s names no folder\n", set->name, set->home);
    return false;
}

static inline const uint8_t *map_npy(const struct real_set *set, const char *name, size_t *bytes)
{
    char path[512];
    struct stat stat;
    snprintf(path, sizeof path, "%s/%s/%s.npy", getenv(set->home), set->name, name);
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &stat)) fail_msg("cannot open %s", path);
    *bytes = (size_t)stat.st_size - NPY_HEADER;
    uint8_t *map = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    assert_true(map != MAP_FAILED);
    return map + NPY_HEADER;
}

/* The rows of a set, and as many of its queries (to be freed). */
static inline float *real_column(const struct real_set *set, struct column *c, uint64_t asked)
{
    size_t bytes, row_bytes = set->dim * kt_element_bytes(set->element);
    const uint8_t *rows = map_npy(set, set->rows, &bytes);
    uint8_t *copy = kt_alloc_aligned(bytes);
    float *queries = kt_alloc_array(asked * set->dim, sizeof *queries);
    assert_non_null(copy);
    assert_non_null(queries);
    memcpy(copy, rows, bytes);
    column_init(c, copy, bytes / row_bytes, set->dim, set->element);
    rows = map_npy(set, set->queries, &bytes);
    assert_true(asked * row_bytes <= bytes);
    kt_kernels()->to_float[set->element](rows, asked * set->dim, queries);
    return queries;
}

#endif
