#!/usr/bin/env python3
"""Searches under filters: recall, rows found and time, for every selectivity and kind of correlation.

    bench_filters.py DATA [DATA ...] [--queries 100] [--recall 0.95] [--index HNSW]

DATA is a folder with base.npy, query.npy and meta.json {"metric": "l2" | "cosine" | "ip"}, and where there is one,
meta.parquet with attributes of the rows. A filter admits a share of the rows:
  independent  by a random number of each row
  positive     the rows that lie farthest along a direction, for queries that do so too: matches are near
  negative     the rows that lie farthest along the opposite direction, for the same queries: matches are far
  attribute    by a real attribute that is about so frequent
Truth is numpy over the admitted rows. "us" is a prepared search, whose filter was evaluated before; "filter" the
milliseconds of that; beside it the same by two ways one could have gone: reading each admitted row, and scanning all lists
(which a graph has none of).
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import kith
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SHARES, K, DIRECTIONS = (1.0, 0.5, 0.1, 0.01, 0.001, 0.0001), 10, 4
METRICS = {"l2": "l2", "cosine": "cosine", "ip": "dot"}


def prepared(rows: np.ndarray, metric: str) -> np.ndarray:
    """Rows for which a plain distance ranks as the metric does."""
    rows = rows.astype(np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30) if metric == "cosine" else rows


def distances(rows: np.ndarray, query: np.ndarray, metric: str) -> np.ndarray:
    return ((rows - query) ** 2).sum(1) if metric == "l2" else 1 - rows @ query


class Set:
    """A table with the columns that filters need, and its queries."""

    def __init__(self, folder: Path, top: str, queries: int, index: str) -> None:
        self.metric = METRICS[json.loads((folder / "meta.json").read_text())["metric"]]
        base, asked = np.load(folder / "base.npy").astype(np.float32), np.load(folder / "query.npy").astype(np.float32)
        rng = np.random.default_rng(5)
        self.rows, self.queries = prepared(base, self.metric), prepared(asked, self.metric)
        columns: dict[str, pa.Array] = {
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(base.reshape(-1)), base.shape[1]),
            "chance": pa.array(rng.random(len(base), dtype=np.float32)),
        }
        centre = self.rows.mean(0)
        axes = np.linalg.svd(self.rows[rng.choice(len(base), 4000)] - centre, full_matrices=False)[2][:DIRECTIONS]
        for i, axis in enumerate(axes):
            rank = np.argsort(np.argsort((self.rows - centre) @ axis)) / len(base)
            columns[f"along{i}"] = pa.array(rank.astype(np.float32))
        self.toward = (self.queries - centre) @ axes.T
        self.meta = pq.read_table(folder / "meta.parquet") if (folder / "meta.parquet").exists() else pa.table({})
        for name in self.meta.column_names:
            columns.setdefault(name, self.meta[name])
        self.columns = columns
        self.table = kith.connect(top).create_table("v", pa.table(columns), auto_index=False)
        self.table.create_index(metric=self.metric, index_type=index)
        self.has_lists = index != "HNSW"
        self.some = rng.permutation(len(asked))[:queries]
        self.asked = asked

    def filters(self, kind: str, share: float) -> list[tuple[str, np.ndarray]]:
        """Predicates, and for each the queries that go with it."""
        if kind == "independent":
            return [(f"chance < {share}", self.some)]
        if kind == "attribute":
            return [(sql, self.some) for sql in self.attributes(share)]
        found = []
        for i in range(DIRECTIONS):
            strongest = np.abs(self.toward[self.some]).argmax(1) == i
            for up in (True, False):
                side = self.some[strongest & ((self.toward[self.some, i] > 0) == up)]
                high = up == (kind == "positive")
                if len(side):
                    found.append((f"along{i} >= {1 - share}" if high else f"along{i} < {share}", side))
        return found

    def attributes(self, share: float) -> list[str]:
        """The value of a text column that is nearest to this frequent, within a factor of two."""
        best: list[tuple[float, str]] = []
        for name in self.meta.column_names:
            if not (pa.types.is_string(self.meta[name].type) or pa.types.is_dictionary(self.meta[name].type)):
                continue
            counts = self.meta[name].value_counts().to_pylist()
            for one in counts[:5000]:
                if isinstance(one["values"], str):
                    ratio = one["counts"] / len(self.rows) / share
                    if 0.5 < ratio < 2:
                        best.append((abs(np.log(ratio)), f"{name} = '" + one["values"].replace("'", "''") + "'"))
        return [sql for _, sql in sorted(best)[:1]]


def one_cell(of: Set, kind: str, share: float, recall: float) -> str | None:
    hits = wanted = short = asked = 0
    times = dict.fromkeys(("us", "exact", "lists"), 0.0)
    matches = filter_ms = 0.0
    for sql, which in of.filters(kind, share):
        admitted = of.table.search().where(sql).with_row_id().select(["chance"]).to_arrow()["_rowid"].to_numpy()
        query = of.table.search(of.asked[0]).where(sql).limit(K)
        query.to_list()
        filter_ms += query.stats["filter_seconds"] * 1e3 * len(which)
        ways = {
            "us": of.table.searcher(k=K, recall=recall, where=sql),
            "exact": of.table.searcher(k=K, recall=1.0, where=sql),
        }
        if of.has_lists:
            ways["lists"] = of.table.searcher(k=K, nprobes=1 << 20, where=sql)
        for i in which:
            far = distances(of.rows[admitted], of.queries[i], of.metric)
            there = min(K, len(far))
            last = np.sort(far)[there - 1] if there else 0
            for way, search in ways.items():
                least = np.inf
                for _ in range(3):
                    begin = time.perf_counter()
                    found, _ = search(of.asked[i])
                    least = min(least, time.perf_counter() - begin)
                times[way] += least * 1e6
                if way == "us":
                    found = found[found != np.uint64(2**64 - 1)].astype(np.int64)
                    short += len(found) != there
                    assert np.isin(found, admitted).all()
                    hits += int((distances(of.rows[found], of.queries[i], of.metric) <= last * (1 + 1e-5) + 1e-6).sum())
                    wanted += there
            matches += len(admitted)
            asked += 1
    if not asked:
        return None
    got = {way: total / asked if total else np.inf for way, total in times.items()}
    cheapest = min(got.values())
    return (
        f"{kind:12}{share:8}{matches / asked:9.0f}{hits / max(wanted, 1):8.4f}{short:7}{filter_ms / asked:8.2f}{got['us']:9.1f}"
        f"{got['exact']:9.1f}{got['lists']:9.1f}{got['us'] / cheapest:7.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--recall", type=float, default=0.95)
    parser.add_argument("--index", default="IVF_RQ")
    parser.add_argument("--kinds", nargs="+", default=["independent", "positive", "negative", "attribute"])
    given = parser.parse_args()
    for folder in given.data:
        with tempfile.TemporaryDirectory() as top:
            of = Set(folder, top, given.queries, given.index)
            print(f"{folder.name}: {len(of.rows):,} rows, recall {given.recall} wanted")
            print(f"{'kind':12}{'share':>8}{'matches':>9}{'recall':>8}{'short':>7}{'filter':>8}{'us':>9}{'exact':>9}{'lists':>9}{'/best':>7}")
            for kind in given.kinds:
                for share in SHARES:
                    line = one_cell(of, kind, share, given.recall)
                    if line:
                        print(line, flush=True)


if __name__ == "__main__":
    main()
