#!/usr/bin/env python3
"""HNSW as it is built and changed, beside hnswlib on the same cores: the build's CPU time and bytes, inserts in batches, a
deletion, and what a filter costs. (Queries per second at equal recall: bench_peers.py --engines kith-hnsw,hnswlib.)

    python bench/bench_hnsw.py DATA...

DATA is a folder with base.npy and meta.json. Sides are interleaved; medians and ratios are printed.
"""

import argparse
import json
import pathlib
import tempfile
import time

import numpy as np
import pyarrow as pa

import kith

M, EF_CONSTRUCTION, BATCH, BATCHES = 16, 200, 1000, 5
METRICS = {"l2": "l2", "cosine": "cosine", "ip": "dot"}
SPACES = {"l2": "l2", "cosine": "cosine", "ip": "ip"}


def table_of(matrix, first=0):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1])
    return pa.table({"vector": vectors, "id": pa.array(np.arange(first, first + len(matrix)))})


def spent(function, *args, **kwargs):
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*args, **kwargs)
    return result, time.perf_counter() - wall, time.process_time() - cpu


def peer(matrix, space, room):
    import hnswlib

    index = hnswlib.Index(space=space, dim=matrix.shape[1])
    index.init_index(room, M=M, ef_construction=EF_CONSTRUCTION)
    index.add_items(matrix)
    return index


def measure(folder):
    metric = json.loads((folder / "meta.json").read_text())["metric"]
    rows = np.ascontiguousarray(np.load(folder / "base.npy"), dtype="f4")
    first = len(rows) - BATCH * BATCHES
    with tempfile.TemporaryDirectory() as home:
        table = kith.connect(home).create_table("t", table_of(rows[:first]), auto_index=False)
        _, _, ours = spent(table.create_index, METRICS[metric], index_type="HNSW", m=M, ef_construction=EF_CONSTRUCTION)
        other, _, theirs = spent(peer, rows[:first], SPACES[metric], len(rows))
        (index,) = table.list_indices()
        print(f"\n{folder.name}: {first} x {rows.shape[1]}, {metric}")
        print(f"  build, CPU s: kith {ours:.1f}, hnswlib {theirs:.1f}, ratio {theirs / ours:.2f}")
        print(f"  index bytes a row: {index.size_bytes / first:.0f} ({8 * M + rows.shape[1] + 32} allowed beyond the vectors)")
        rates = []
        for begin in range(first, len(rows), BATCH):
            batch = rows[begin : begin + BATCH]
            _, ours, _ = spent(table.add, table_of(batch, begin))
            _, theirs, _ = spent(other.add_items, batch)
            rates.append((BATCH / ours, BATCH / theirs))
        ours, theirs = np.median(rates, axis=0)
        beside = table.list_indices()[0].num_unindexed_rows
        print(f"  inserts a second, {BATCH} at a time: kith {ours:.0f}, on disk ({beside} rows left beside the graph), hnswlib {theirs:.0f}, ratio {ours / theirs:.2f}")
        _, deleted, _ = spent(table.delete, f"id < {first // 10}")
        print(f"  delete of {first // 10} rows: {deleted * 1e3:.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=pathlib.Path)
    for folder in parser.parse_args().data:
        measure(folder)


if __name__ == "__main__":
    main()
