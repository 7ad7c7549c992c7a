/* The door of hnsw: one index over vectors, a graph. */
#ifndef KT_INDEX_HNSW_H
#define KT_INDEX_HNSW_H

#include "index/index.h"

extern const struct kt_index_ops kt_hnsw_ops;

#endif
