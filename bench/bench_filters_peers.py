#!/usr/bin/env python3
"""Filtered searches beside zvec's and LanceDB's, at equal recall: independent filters of several shares over one set.

    python bench/bench_filters_peers.py DATA [--queries 200]

DATA is a folder with base.npy, query.npy and meta.json. Each side evaluates the filter in each query, through its own Python
interface (Kith: the query builder, and beside it a prepared searcher), and returns the ids of ten rows. zvec has an index over the
column; its ef and LanceDB's nprobes are raised until the recall is Kith's, or no further. Sides are interleaved, a time is the
median of the queries.
"""

import argparse
import json
import pathlib
import tempfile
import time

import lancedb
import numpy as np
import pyarrow as pa
import zvec

import kith

SHARES, K, BATCH = (0.5, 0.1, 0.01, 0.001), 10, 1000
METRICS = {"l2": ("l2", zvec.MetricType.L2), "cosine": ("cosine", zvec.MetricType.COSINE), "ip": ("dot", zvec.MetricType.IP)}
NEAR_ENOUGH = 0.005  # in recall


class Zvec:
    """HNSW of 8 bits with a refiner, and an inverted index over the column."""

    efforts = (20, 50, 100, 200, 400, 800, 1600)

    def __init__(self, home, rows, chance, metric):
        vectors = zvec.HnswIndexParam(metric_type=metric[1], m=32, ef_construction=200, quantize_type=zvec.QuantizeType.INT8)
        number = zvec.FieldSchema("chance", zvec.DataType.FLOAT, False, zvec.InvertIndexParam(enable_range_optimization=True))
        schema = zvec.CollectionSchema("v", fields=[number], vectors=[zvec.VectorSchema("e", zvec.DataType.VECTOR_FP32, rows.shape[1], vectors)])
        self.collection = zvec.create_and_open(f"{home}/zvec", schema)
        for at in range(0, len(rows), BATCH):
            self.collection.insert([zvec.Doc(id=str(i), vectors={"e": rows[i].tolist()}, fields={"chance": float(chance[i])})
                                    for i in range(at, min(len(rows), at + BATCH))])
        self.collection.optimize()

    def search(self, query, share, ef):
        asked = zvec.Query(field_name="e", vector=query, param=zvec.HnswQueryParam(ef=ef, is_using_refiner=True))
        return [int(doc.id) for doc in self.collection.query(asked, topk=K, filter=f"chance < {share}", output_fields=[])]


class Lance:
    """IVF_RQ and a BTREE over the column, prefilter."""

    efforts = (20, 50, 200)

    def __init__(self, home, rows, chance, metric):
        self.table = lancedb.connect(f"{home}/lance").create_table("t", columns(rows, chance))
        self.table.create_index(metric=metric[0], vector_column_name="vector", index_type="IVF_RQ", num_partitions=200)
        self.table.create_scalar_index("chance")

    def search(self, query, share, nprobes):
        asked = self.table.search(query).where(f"chance < {share}", prefilter=True).limit(K).nprobes(nprobes).refine_factor(10)
        return asked.select(["id", "_distance"]).to_arrow()["id"].to_pylist()


class Kith:
    """The default index and a BTREE over the column, at a recall."""

    efforts = (0.95,)

    def __init__(self, home, rows, chance, metric):
        self.table = kith.connect(f"{home}/kith").create_table("t", columns(rows, chance), auto_index=False)
        self.table.create_index(metric=metric[0])
        self.table.create_scalar_index("chance")

    def search(self, query, share, recall):
        asked = self.table.search(query).where(f"chance < {share}").limit(K).recall(recall)
        return asked.select(["id"]).to_arrow()["id"].to_pylist()


def columns(rows, chance):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
    return pa.table({"vector": vectors, "id": pa.array(np.arange(len(rows))), "chance": pa.array(chance)})


def truth_of(rows, queries, admitted, metric):
    far = -(queries @ rows[admitted].T)
    if metric == "l2":
        far = 2 * far + (rows[admitted] ** 2).sum(1)
    return admitted[np.argsort(far, axis=1, kind="stable")[:, :K]]


def measure(side, queries, truth, share, effort):
    """Recall and the median microseconds of a search."""
    hits, times = 0, []
    for query, near in zip(queries, truth):
        begin = time.perf_counter()
        found = side.search(query, share, effort)
        times.append((time.perf_counter() - begin) * 1e6)
        hits += len(np.intersect1d(found, near))
    return hits / truth.size, float(np.median(times))


def raised(side, queries, truth, share, wanted):
    """With the least effort that gives the recall, else with the most."""
    for effort in side.efforts:
        recall, us = measure(side, queries, truth, share, effort)
        if recall >= wanted - NEAR_ENOUGH:
            break
    return recall, us, effort


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--queries", type=int, default=200)
    given = parser.parse_args()
    name = json.loads((given.data / "meta.json").read_text())["metric"]
    rows = np.ascontiguousarray(np.load(given.data / "base.npy"), dtype="f4")
    queries = np.ascontiguousarray(np.load(given.data / "query.npy")[: given.queries], dtype="f4")
    if name == "cosine":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    chance = np.random.default_rng(5).random(len(rows), dtype="f4")
    with tempfile.TemporaryDirectory() as home:
        sides = [side(home, rows, chance, METRICS[name]) for side in (Kith, Zvec, Lance)]
        print(f"{given.data.name}: {len(rows):,} rows; us a search and recall, and times Kith's")
        for share in SHARES:
            truth = truth_of(rows, queries, np.flatnonzero(chance < np.float32(share)), name)
            wanted, ours, _ = raised(sides[0], queries, truth, share, 0)
            prepared = sides[0].table.searcher(k=K, recall=Kith.efforts[0], where=f"chance < {share}")
            _, bare = measure(type("Prepared", (), {"search": lambda _, query, *rest: prepared(query)[0]})(), queries, truth, share, None)
            line = f"  {share:6}: Kith {ours:6.0f} ({bare:.0f} prepared), {wanted:.4f}"
            for side in sides[1:]:
                recall, us, effort = raised(side, queries, truth, share, wanted)
                line += f"; {type(side).__name__} {us:6.0f}, {recall:.4f} at {effort}: {us / ours:.1f}x"
            print(line, flush=True)


if __name__ == "__main__":
    main()
