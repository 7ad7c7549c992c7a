#!/usr/bin/env python3
"""Is the recall that was asked for the recall that comes? For each data set, k and wanted recall: what an index
calibrated on its own rows gives to the file's queries, and what one calibrated on half of those queries gives to the
other half. Truth is the exact scan of the same table.

    bench_recall.py DATA [DATA ...]

DATA is a folder with base.npy, query.npy and meta.json {"metric": "l2" | "cosine" | "ip"}.
"""

import json
import sys
import tempfile
from pathlib import Path

import kith
import numpy as np
import pyarrow as pa

WANTED = (0.90, 0.95, 0.99)
KS = (10, 100)
METRICS = {"l2": "l2", "cosine": "cosine", "ip": "dot"}


def table_of(base: np.ndarray, folder: str) -> kith.Table:
    flat = pa.array(np.ascontiguousarray(base).reshape(-1))
    vectors = pa.FixedSizeListArray.from_arrays(flat, base.shape[1])
    return kith.connect(folder).create_table("v", pa.table({"vector": vectors}), auto_index=False)


def recall(table: kith.Table, queries: np.ndarray, k: int, wanted: float, metric: str) -> tuple[float, float]:
    """Mean recall, and its standard error."""
    truth = table.searcher(k=k, recall=1.0, metric=metric, threads=2)(queries)[0]
    found = table.searcher(k=k, recall=wanted, metric=metric, threads=2)(queries)[0]
    each = np.array([len(np.intersect1d(a, b)) / k for a, b in zip(truth, found, strict=True)])
    return float(each.mean()), float(each.std() / len(each) ** 0.5)


def main() -> None:
    print(f"{'set':20}{'k':>5}{'wanted':>8}{'on rows':>10}{'se':>7}{'on queries':>12}{'se':>7}")
    for folder in map(Path, sys.argv[1:]):
        base = np.load(folder / "base.npy").astype(np.float32)
        queries = np.load(folder / "query.npy").astype(np.float32)
        metric = METRICS[json.loads((folder / "meta.json").read_text())["metric"]]
        rng = np.random.default_rng(0)
        order = rng.permutation(len(queries))
        known, others = queries[order[: len(order) // 2]], queries[order[len(order) // 2 :]]
        with tempfile.TemporaryDirectory() as top:
            table = table_of(base, top)
            seen: dict[tuple[int, float], list[tuple[float, float]]] = {}
            for calibrated_on in (None, known):
                table.create_index(metric=metric, queries=calibrated_on)
                for k in KS:
                    for wanted in WANTED:
                        seen.setdefault((k, wanted), []).append(recall(table, others, k, wanted, metric))
            for (k, wanted), ((rows, rows_error), (given, given_error)) in seen.items():
                print(
                    f"{folder.name:20}{k:5}{wanted:8.2f}{rows:10.4f}{rows_error:7.4f}{given:12.4f}{given_error:7.4f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
