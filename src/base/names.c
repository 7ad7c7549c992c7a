/* The words for the contract's enumerations, read and written in one place: what a user types, what the log
 * holds and what a message says are the same words.
 */
#include <strings.h>

#include "base/status.h"

struct word {
    const char *text;
    int value;
};

/* The first word of a value is the one that is written; the others are accepted. */
static const struct word metrics[] = {
    { "l2", KITH_L2 },   { "euclidean", KITH_L2 }, { "cosine", KITH_COSINE },   { "cos", KITH_COSINE },
    { "dot", KITH_DOT }, { "ip", KITH_DOT },       { "hamming", KITH_HAMMING },
};
static const struct word index_types[] = {
    { "IVF_FLAT", KITH_IVF_FLAT },
    { "IVF_PQ", KITH_IVF_PQ },
    { "IVF_SQ", KITH_IVF_SQ },
    { "IVF_RQ", KITH_IVF_RQ },
    { "HNSW", KITH_HNSW },
    { "IVF_HNSW_SQ", KITH_HNSW },
    { "IVF_HNSW_PQ", KITH_HNSW },
    { "IVF_HNSW_FLAT", KITH_HNSW },
    { "BTREE", KITH_BTREE },
    { "BITMAP", KITH_BITMAP },
    { "LABEL_LIST", KITH_LABEL_LIST },
};
static const struct word statuses[] = {
    { "ok", KITH_OK },
    { "invalid", KITH_INVALID },
    { "not found", KITH_NOT_FOUND },
    { "exists", KITH_EXISTS },
    { "type", KITH_TYPE },
    { "io", KITH_IO },
    { "corrupt", KITH_CORRUPT },
    { "no memory", KITH_NO_MEMORY },
    { "conflict", KITH_CONFLICT },
    { "unknown outcome", KITH_UNKNOWN },
    { "cancelled", KITH_CANCELLED },
    { "unsupported", KITH_UNSUPPORTED },
    { "read only", KITH_READ_ONLY },
    { "timeout", KITH_TIMEOUT },
};
#define COUNT(words) (sizeof(words) / sizeof(words)[0])

static const char *name_of(const struct word *words, size_t count, int value)
{
    for (size_t i = 0; i < count; i++)
        if (words[i].value == value) return words[i].text;
    return "unknown";
}

static int value_of(const struct word *words, size_t count, const char *text)
{
    for (size_t i = 0; text && i < count; i++)
        if (strcasecmp(words[i].text, text) == 0) return words[i].value;
    return -1;
}

const char *kith_status_name(kith_status status)
{
    return name_of(statuses, COUNT(statuses), (int)status);
}

const char *kith_metric_name(kith_metric metric)
{
    return metric == KITH_METRIC_DEFAULT ? "default" : name_of(metrics, COUNT(metrics), (int)metric);
}

kith_status kith_metric_parse(const char *name, kith_metric *out, kith_error *error)
{
    int value = value_of(metrics, COUNT(metrics), name);
    if (value < 0)
        return kt_fail(error, KITH_INVALID,
                       "\"%.80s\" is not a metric; there are l2, cosine, dot and hamming", name ? name : "");
    *out = (kith_metric)value;
    return KITH_OK;
}

const char *kith_index_type_name(kith_index_type type)
{
    return type == KITH_INDEX_DEFAULT ? "default" : name_of(index_types, COUNT(index_types), (int)type);
}

kith_status kith_index_type_parse(const char *name, kith_index_type *out, kith_error *error)
{
    int value = value_of(index_types, COUNT(index_types), name);
    if (value < 0)
        return kt_fail(
            error, KITH_INVALID,
            "\"%.80s\" is not an index type; there are IVF_FLAT, IVF_PQ, IVF_SQ, IVF_RQ and HNSW over "
            "vectors, BTREE, BITMAP and LABEL_LIST over other columns",
            name ? name : "");
    *out = (kith_index_type)value;
    return KITH_OK;
}
