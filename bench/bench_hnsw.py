#!/usr/bin/env python3
"""HNSW as it is built and changed, beside hnswlib on the same cores: the build's CPU time and bytes, inserts in batches, a
deletion, and bytes written; then searches with a cold cache, and in memory for a quarter of the index. (Queries per second
at equal recall: bench_peers.py --engines kith-hnsw,hnswlib. Filters: bench_filters.py --index HNSW.)

    python bench/bench_hnsw.py DATA...

DATA is a folder with base.npy, query.npy, gt.npy and meta.json. Sides are interleaved; medians and ratios are printed. Little
memory is a memory cgroup (version 1), which takes root; else that part says so and is left out.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
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


def written():
    """Bytes that this process has handed to the system to write."""
    return int(dict(line.split(": ") for line in open("/proc/self/io").read().splitlines())["wchar"])


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
        rates, before = [], written()
        for begin in range(first, len(rows), BATCH):
            batch = rows[begin : begin + BATCH]
            _, ours, _ = spent(table.add, table_of(batch, begin))
            _, theirs, _ = spent(other.add_items, batch)
            rates.append((BATCH / ours, BATCH / theirs))
        ours, theirs = np.median(rates, axis=0)
        stored = sum(f.stat().st_size for f in pathlib.Path(home).rglob("data/*.arrow")) * BATCH * BATCHES // len(rows)
        nodes = table.list_indices()[0].num_indexed_rows - first
        if nodes:
            each = (written() - before - stored) / nodes / (rows.shape[1] + 8 * M + 20)
            print(f"  bytes written for the graph by these inserts: {each:.1f} times the bytes of the nodes they linked ({8 * M} allowed)")
        beside = table.list_indices()[0].num_unindexed_rows
        print(f"  inserts a second, {BATCH} at a time: kith {ours:.0f}, on disk ({beside} rows left beside the graph), hnswlib {theirs:.0f}, ratio {ours / theirs:.2f}")
        _, deleted, _ = spent(table.delete, f"id < {first // 10}")
        print(f"  delete of {first // 10} rows: {deleted * 1e3:.1f} ms")
    tiers(folder, rows, METRICS[metric])


# ---- little memory

GROUP = pathlib.Path("/sys/fs/cgroup/memory/kith-bench")
ASKED, SPARE = 1000, 8 << 20  # SPARE: for what the interpreter takes while it asks


def ask(home, folder):
    """In a process of its own: answers when told to, and tells recall and times of a first pass and of a second."""
    queries, truth = np.load(folder / "query.npy").astype("f4")[:ASKED], np.load(folder / "gt.npy")[:ASKED, :10]
    table = kith.connect(home).open_table("t")
    table.searcher(k=10)(queries[0])  # what an open index keeps on its heap is there
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(2):
        hits, times = 0, []
        search = table.searcher(k=10)
        for query, near in zip(queries, truth):
            begin = time.perf_counter()
            found, _ = search(query)
            times.append((time.perf_counter() - begin) * 1e6)
            hits += len(np.intersect1d(found, near))
        print(json.dumps([hits / len(times) / 10, *np.percentile(times, [50, 95])]), flush=True)


def forget_files():
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("1")


def serve(home, folder, share):
    """Starts `ask` in a group of its own, and gives it memory for that share of the index beside its own heap (None: any)."""
    index = sum(f.stat().st_size for f in pathlib.Path(home).rglob("*.kix"))
    GROUP.mkdir(exist_ok=True)
    (GROUP / "memory.limit_in_bytes").write_text("-1")
    child = subprocess.Popen([sys.executable, __file__, "--ask", home, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             preexec_fn=lambda: (GROUP / "cgroup.procs").write_text(str(os.getpid())))
    child.stdout.readline()
    forget_files()
    if share:
        heap = int(dict(line.split() for line in (GROUP / "memory.stat").read_text().splitlines())["rss"])
        (GROUP / "memory.limit_in_bytes").write_text(str(heap + SPARE + int(index * share)))
    out, _ = child.communicate("go\n")
    return [json.loads(line) for line in out.splitlines()]


def tiers(folder, rows, metric):
    with tempfile.TemporaryDirectory(dir=pathlib.Path.home()) as home:
        table = kith.connect(home).create_table("t", table_of(rows), auto_index=False)
        table.create_index(metric, index_type="HNSW", m=M, ef_construction=EF_CONSTRUCTION)
        del table  # what a process maps, the system does not forget
        try:
            for label, share in (("any memory", None), ("memory for a quarter of the index", 0.25)):
                (cold, first, slow), (warm, median, high) = serve(home, folder, share)
                print(f"  {label}: cold cache recall {cold:.4f}, {first:.0f} us a search (of 20 the slowest {slow:.0f}); "
                      f"then {warm:.4f}, {median:.0f} us ({high:.0f})")
        except OSError as error:
            print(f"  little memory: left out, {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", type=pathlib.Path)
    parser.add_argument("--ask", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ask:
        ask(given.ask[0], pathlib.Path(given.ask[1]))
    for folder in given.data:
        measure(folder)


if __name__ == "__main__":
    main()
