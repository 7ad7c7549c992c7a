#!/usr/bin/env python3
"""How building and searching grow from 100,000 rows to 1,000,000.

    bench_million.py DATA [ROWS ...]

The rows are SYNTHETIC: fitted to the real embeddings in DATA/base.npy (unit length), of which there are too few. Those are
clustered; a new row is the centroid of a cluster, chosen by its share of the rows, plus a Gaussian combination of the
residuals of eight random rows of it, which has the covariance of the cluster and is no near-copy of any row. Queries
are made in the same way and are no rows. Truth is the exact scan.

"anon" is the most anonymous memory that the process held while the index was built, beyond what it held before; "us"
the time of a query alone on one thread (the least of five), "in one call" its share of a call with all of them.
"""

import re
import sys
import tempfile
import threading
import time
from pathlib import Path

import kith
import numpy as np
import pyarrow as pa

CLUSTERS, MIXED, QUERIES = 512, 8, 500


def clusters_of(base: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Centroids and the cluster of each row, by a few rounds of k-means."""
    centroids = base[rng.choice(len(base), CLUSTERS, replace=False)]
    nearest = np.zeros(len(base), np.int64)
    for _ in range(6):
        nearest = (base @ centroids.T - 0.5 * (centroids**2).sum(1)).argmax(1)
        for c in range(CLUSTERS):
            members = base[nearest == c]
            if len(members):
                centroids[c] = members.mean(0)
    return centroids, nearest


def made(base: np.ndarray, rows: int, rng: np.random.Generator) -> np.ndarray:
    """`rows` synthetic rows of unit length, float32."""
    centroids, nearest = clusters_of(base, rng)
    order = np.argsort(nearest, kind="stable")
    begin = np.searchsorted(nearest[order], np.arange(CLUSTERS + 1))
    out = np.empty((rows, base.shape[1]), np.float32)
    for at in range(0, rows, 20_000):
        end = min(rows, at + 20_000)
        c = nearest[rng.integers(0, len(base), end - at)]
        size = begin[c + 1] - begin[c]
        part = np.zeros((end - at, base.shape[1]), np.float32)
        for _ in range(MIXED):
            pick = order[begin[c] + (rng.random(end - at) * size).astype(np.int64)]
            weight = rng.standard_normal(end - at).astype(np.float32) / MIXED**0.5
            part += weight[:, None] * (base[pick] - centroids[c])
        part += centroids[c]
        out[at:end] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return out


class Anonymous:
    """The most anonymous memory of this process within a `with`, in MiB beyond that at its beginning."""

    def __enter__(self) -> "Anonymous":
        self.begin = self.most = self.now()
        self.over = threading.Event()
        self.watch = threading.Thread(target=self.look)
        self.watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.watch.join()

    @staticmethod
    def now() -> float:
        return int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024

    def look(self) -> None:
        while not self.over.wait(0.02):
            self.most = max(self.most, self.now())

    def mib(self) -> float:
        return self.most - self.begin


def main() -> None:
    base = np.load(Path(sys.argv[1]) / "base.npy").astype(np.float32)
    base /= np.maximum(np.linalg.norm(base, axis=1, keepdims=True), 1e-30)
    sizes = [int(a) for a in sys.argv[2:]] or [100_000, 1_000_000]
    rng = np.random.default_rng(7)
    rows = made(base, max(sizes) + QUERIES, rng)
    queries, rows = rows[:QUERIES], rows[QUERIES:]
    print(
        f"{'rows':>10}{'load s':>8}{'build s':>8}{'cpu s':>7}{'anon':>6}{'MiB':>6}{'wanted':>8}{'recall':>8}{'us':>7}"
        f"{'of exact':>10}{'in one call':>13}"
    )
    for size in sizes:
        with tempfile.TemporaryDirectory() as top:
            begin = time.perf_counter()
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows[:size].reshape(-1)), rows.shape[1])
            table = kith.connect(top).create_table("v", pa.table({"vector": vectors}), auto_index=False)
            load = time.perf_counter() - begin
            begin, cpu = time.perf_counter(), time.process_time()
            with Anonymous() as memory:
                table.create_index(metric="cosine")
            build, cpu = time.perf_counter() - begin, time.process_time() - cpu
            mib = table.stats()["index_bytes"] / 2**20
            truth = table.searcher(k=10, recall=1.0, metric="cosine", threads=2)(queries)[0]
            exact = table.searcher(k=10, recall=1.0, metric="cosine", threads=1)
            begin = time.perf_counter()
            for q in queries[:10]:
                exact(q)
            exact_us = (time.perf_counter() - begin) / 10 * 1e6
            for wanted in (0.90, 0.95, 0.99):
                search = table.searcher(k=10, recall=wanted, metric="cosine", threads=1)
                best = np.full(len(queries), np.inf)
                for _ in range(5):
                    for i, q in enumerate(queries):
                        begin = time.perf_counter()
                        found = search(q)[0]
                        best[i] = min(best[i], time.perf_counter() - begin)
                together = np.inf
                for _ in range(3):
                    begin = time.perf_counter()
                    found = search(queries)[0]
                    together = min(together, (time.perf_counter() - begin) / len(queries) * 1e6)
                hits = np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(truth, found, strict=True)])
                us = best.mean() * 1e6
                print(
                    f"{size:10,}{load:8.1f}{build:8.1f}{cpu:7.1f}{memory.mib():6.0f}{mib:6.0f}{wanted:8.2f}{hits:8.4f}{us:7.0f}"
                    f"{us / exact_us:10.4f}{together:13.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
