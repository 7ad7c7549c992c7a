#!/usr/bin/env python3
"""Kith beside other engines: what a recall costs in queries a second, memory, disk and building.

    bench_peers.py DATA... [--engines kith,hnswlib,...] [--batch] [-k 10] [--rounds 3] [--out results.json] [--plot DIR]

DATA is a folder with base.npy, query.npy, gt.npy (exact neighbours, nearest first) and meta.json {"metric": "l2" |
"cosine" | "ip"}. Only ratios inside one run mean anything: a machine's speed differs from the next one's, and from its
own an hour later. So every engine lives in a process of its own and is built once, with all cores; then the sweeps
over their settings take turns, every other round in reverse. A ratio is taken inside each round; printed are medians.

A setting gives recall@k by row numbers, and queries a second for one query a call on one pinned core, or with --batch
for all queries in one call on all cores. The speed at a recall is log-linear along the settings that no other beats in
both. Rows and queries are brought into an engine's form (unit length, padding) untimed. Also:
  load, build, CPU  wall seconds to store the rows (databases only) and to build the index, CPU seconds of both
  RSS, anon         MiB held after the sweeps, resident and anonymous, beyond imports and queries
  disk, index       MiB of files, and what of it is index; that of a library holds the vectors too

Peers are set up alike: graphs of degree 32 on the lowest layer and a construction beam of 200; lists by the square root
of the rows, four times that for faiss, twice for ScaNN, once for LanceDB. Glass ranks "cosine" by L2 of unit vectors:
its 8-bit inner product is slow without VNNI. SVS stores float16: its compression runs on one vendor's processors.
"""

import argparse
import ctypes
import importlib
import itertools
import json
import math
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import plot_peers

CORES, TARGETS = len(os.sched_getaffinity(0)), (0.90, 0.95, 0.99)
LEAST_S, MOST_S = 0.3, 3.0  # how long a setting is measured in a round; one that is too slow sees fewer queries
here = SimpleNamespace(loaded_at=None, row_bytes=0)  # what an engine's process knows; see compare() and build()


class Built(NamedTuple):
    """`ask` takes a vector, or in batches a matrix, and gives row numbers. A library can `save` its index to a file."""

    ask: Callable[[np.ndarray], Any]
    set: Callable[[Any], Any] = lambda _: None
    save: Callable[[str], Any] = lambda _: None


def hnswlib(rows: np.ndarray, lib: Any) -> Built:
    index = lib.Index(space=here.metric, dim=rows.shape[1])
    index.init_index(len(rows), M=16, ef_construction=200)
    index.add_items(rows, num_threads=CORES)
    return Built(lambda q: index.knn_query(q, here.k, num_threads=here.threads)[0], index.set_ef, index.save_index)


def faiss(rows: np.ndarray, lib: Any, ivf: bool = False) -> Built:
    (count, dim), metric = rows.shape, lib.METRIC_L2 if here.metric == "l2" else lib.METRIC_INNER_PRODUCT
    lists, codes = 2 ** round(math.log2(4 * math.sqrt(count))), dim // math.gcd(dim, 2)
    index = lib.index_factory(dim, f"IVF{lists},PQ{codes}x4fs,RFlat" if ivf else "HNSW16,Flat", metric)
    if not ivf:
        index.hnsw.efConstruction = 200
    index.train(rows)
    index.add(rows)
    lib.omp_set_num_threads(here.threads)
    choose = partial(lib.ParameterSpace().set_index_parameters, index)
    return Built(lambda q: index.search(q.reshape(-1, dim), here.k)[1], choose, partial(lib.write_index, index))


def usearch(rows: np.ndarray, lib: Any) -> Built:
    metric = {"l2": "l2sq", "cosine": "cos", "ip": "ip"}[here.metric]
    index = lib.Index(ndim=rows.shape[1], metric=metric, dtype="f32", connectivity=16, expansion_add=200)
    index.add(np.arange(len(rows)), rows, threads=CORES)
    ask = lambda q: index.search(q, here.k, threads=here.threads).keys  # noqa: E731
    return Built(ask, partial(setattr, index, "expansion_search"), index.save)


def scann(rows: np.ndarray, lib: Any) -> Built:
    l2, count = here.metric == "l2", len(rows)
    made = lib.scann_ops_pybind.builder(rows, here.k, "squared_l2" if l2 else "dot_product")
    made = made.tree(int(2 * math.sqrt(count)), num_leaves_to_search=20, training_sample_size=min(count, 250_000))
    index = made.score_ah(2, anisotropic_quantization_threshold=math.nan if l2 else 0.2).reorder(200).build()
    search = index.search_batched_parallel if here.batch else index.search
    save = lambda file: (os.mkdir(file), index.serialize(file))  # noqa: E731
    return Built(lambda q: search(q, here.k, max(here.setting[1], here.k), here.setting[0])[0], save=save)


def svs(rows: np.ndarray, lib: Any) -> Built:
    l2, dim = here.metric == "l2", rows.shape[1]
    graph = lib.VamanaBuildParameters(graph_max_degree=32, window_size=200, alpha=1.2 if l2 else 0.95)
    distance = lib.DistanceType.L2 if l2 else lib.DistanceType.MIP
    index = lib.Vamana.build(graph, rows.astype(np.float16), distance, num_threads=CORES)
    index.num_threads = here.threads
    save = lambda file: index.save(file, file + ".graph", file + ".data")  # noqa: E731
    ask = lambda q: index.search(q.reshape(-1, dim), here.k)[0]  # noqa: E731
    return Built(ask, partial(setattr, index, "search_window_size"), save)


def glass(rows: np.ndarray, lib: Any, refine: str) -> Built:
    metric = "IP" if here.metric == "ip" else "L2"
    graph = lib.Index("HNSW", metric=metric, quant="SQ8U", R=32, L=200).build(rows)
    index = lib.Searcher(graph, rows, metric=metric, quantizer="SQ8U", refine_quant=refine)
    search = (lambda q, k: index.batch_search(q, k, here.threads)) if here.batch else index.search
    return Built(lambda q: search(q, here.k)[0], index.set_ef)  # it can write its graph, but not what a search needs


def symqg(rows: np.ndarray, lib: Any) -> Built:
    dim, threads = rows.shape[1], here.threads
    index = lib.SymqgIndex(dim=dim, max_degree=32, metric="ip" if here.metric == "ip" else "l2")
    index.build(rows, ef_construction=200, num_threads=CORES)
    ask = lambda q: index.search(q.reshape(-1, dim), k=here.k, ef=here.setting, num_threads=threads)[0]  # noqa: E731
    return Built(ask, save=index.save)


def table_of(rows: np.ndarray, lib: Any, pa: Any, **options: Any) -> Any:
    vectors, ids = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1]), np.arange(len(rows))
    table = lib.connect(here.place).create_table("v", pa.table({"vector": vectors, "id": ids}), **options)
    here.loaded_at, here.row_bytes = time.perf_counter(), tree_bytes(here.place)
    return table


def lancedb(rows: np.ndarray, lib: Any, pa: Any) -> Built:
    (count, dim), metric = rows.shape, "dot" if here.metric == "ip" else here.metric
    table = table_of(rows, lib, pa)
    table.create_index(metric, num_partitions=int(math.sqrt(count)), num_sub_vectors=dim // math.gcd(dim, 8))

    def one(q: np.ndarray) -> np.ndarray:
        search = table.search(q).select(["id"]).limit(here.k).nprobes(here.setting[0])
        return (search.refine_factor(here.setting[1]) if here.setting[1] else search).to_arrow()["id"].to_numpy()

    return Built((lambda q: list(ThreadPoolExecutor(here.threads).map(one, q))) if here.batch else one)


def kith(rows: np.ndarray, lib: Any, pa: Any, query: bool = False) -> Built:
    """By the searcher, giving row numbers, or by a `query` on the table, giving an Arrow table as LanceDB does."""
    table = table_of(rows, lib, pa, auto_index=False)
    table.create_index("dot" if here.metric == "ip" else here.metric)
    searchers = {recall: table.searcher(k=here.k, recall=recall, threads=here.threads) for recall in RECALLS}
    answer = lambda q: table.search(q).select(["id"]).limit(here.k).recall(here.setting).to_arrow()  # noqa: E731
    ids = lambda q: answer(q)["id"].to_numpy().reshape(*q.shape[:-1], here.k)  # noqa: E731
    return Built(ids if query else lambda q: searchers[here.setting](q)[0])


def kith_hnsw(rows: np.ndarray, lib: Any, pa: Any) -> Built:
    table = table_of(rows, lib, pa, auto_index=False)
    table.create_index("dot" if here.metric == "ip" else here.metric, index_type="HNSW", m=16, ef_construction=200)
    searchers = {ef: table.searcher(k=here.k, ef=ef, threads=here.threads) for ef in BEAMS}
    return Built(lambda q: searchers[here.setting](q)[0])


class Kind(NamedTuple):
    build: Callable[..., Built]
    modules: str  # imported before time and memory are counted, and handed to build()
    settings: list[Any]
    form: str = ""  # "unit": has no cosine of its own; "pad": nor any length but multiples of 64; "native": any numbers


BEAMS = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 800]
RECALLS = [0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.985, 0.99, 0.995]
PROBES = [f"nprobe={lists},k_factor_rf={again}" for lists in (4, 8, 16, 32, 64, 128, 256) for again in (4, 10, 30)]
ENGINES = {
    "kith": Kind(kith, "kith pyarrow", RECALLS),
    "kith-native": Kind(kith, "kith pyarrow", RECALLS, "native"),
    "kith-table": Kind(partial(kith, query=True), "kith pyarrow", RECALLS),
    "kith-hnsw": Kind(kith_hnsw, "kith pyarrow", BEAMS),
    "hnswlib": Kind(hnswlib, "hnswlib", BEAMS),
    "faiss-hnsw": Kind(faiss, "faiss", [f"efSearch={beam}" for beam in BEAMS], "unit"),
    "faiss-ivfpqfs": Kind(partial(faiss, ivf=True), "faiss", PROBES, "unit"),
    "usearch": Kind(usearch, "usearch.index", BEAMS),
    "scann": Kind(scann, "scann", [(n, r) for n in (5, 10, 20, 40, 80, 150, 400) for r in (30, 80, 200, 500)], "unit"),
    "svs": Kind(svs, "svs", BEAMS, "unit"),
    "lancedb": Kind(lancedb, "lancedb pyarrow", [(n, r) for n in (4, 10, 20, 50) for r in (None, 5, 20)]),
    "glass": Kind(partial(glass, refine="FP16"), "glass", BEAMS, "unit"),
    "glass-codes": Kind(partial(glass, refine=""), "glass", BEAMS, "unit"),  # faster, up to a recall it cannot pass
    "symqg": Kind(symqg, "rabitqlib", BEAMS, "pad"),
}


def tree_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def memory() -> np.ndarray:
    """Resident and anonymous MiB, after what was freed has gone back to the system."""
    ctypes.CDLL(None).malloc_trim(0)
    kib = dict(re.findall(r"(\w+): +(\d+) kB", Path("/proc/self/smaps_rollup").read_text()))
    return np.array([int(kib["Rss"]), int(kib["Anonymous"])]) / 1024


def formed(rows: np.ndarray, form: str, metric: str) -> np.ndarray:
    rows = rows.astype(np.float32)
    if form in ("unit", "pad") and metric == "cosine":
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 64))) if form == "pad" else rows


def build(name: str, folder: Path, given: dict[str, Any]) -> dict[str, float]:
    """Runs in the engine's process, as sweep() and holds() do."""
    os.dup2(2, 1)  # some talk while they build
    vars(here).update(given)
    kind = ENGINES[name]
    modules = [importlib.import_module(module) for module in kind.modules.split()]
    if "pyarrow" in kind.modules:
        modules[1].array(np.zeros(1))  # which imports pandas where there is one, and that is not to be counted
    here.truth = np.load(folder / "gt.npy")[:, : here.k]
    here.queries = formed(np.load(folder / "query.npy"), kind.form, here.metric)
    here.before = memory()
    rows = np.load(folder / "base.npy")
    if kind.form == "native" and rows.dtype == np.float32:
        raise TypeError("the set is float32 already")
    rows = rows if kind.form == "native" else formed(rows, kind.form, here.metric)
    cpu, begin = time.process_time(), time.perf_counter()
    here.built = kind.build(rows, *modules)
    end, cpu, loaded = time.perf_counter(), time.process_time() - cpu, here.loaded_at or begin
    for thread in [] if here.batch else os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), {max(os.sched_getaffinity(0))})
    return {"load_s": loaded - begin, "build_s": end - loaded, "cpu_s": cpu}


def sweep(setting: Any) -> tuple[float, float]:
    """Recall, and queries a second."""
    here.setting = max(setting, here.k) if isinstance(setting, int) else setting
    here.built.set(here.setting)
    calls = here.queries[None] if here.batch else here.queries
    ask, spent, asked, answers = here.built.ask, 0.0, 0, []
    for call in calls[:50]:
        ask(call)
    for call in itertools.cycle(calls):
        begin = time.perf_counter()
        found = ask(call)
        spent, asked = spent + time.perf_counter() - begin, asked + 1
        answers += [found] if asked <= len(calls) else []
        if spent > MOST_S or (spent > LEAST_S and asked % len(calls) == 0):
            break
    found = answers[0] if here.batch else answers
    hits = sum(len(np.intersect1d(ids, exact)) for ids, exact in zip(found, here.truth, strict=False))
    return hits / (len(found) * here.k), asked * (len(here.queries) if here.batch else 1) / spent


def holds() -> dict[str, float]:
    rss, anon = memory() - here.before
    here.built.save(str(here.place / "index"))
    disk = tree_bytes(here.place) / 2**20
    return {"rss_mib": rss, "anon_mib": anon, "disk_mib": disk, "index_mib": disk - here.row_bytes / 2**20}


def summary(settings: list[Any], rounds: list[plot_peers.Points], reference: list[plot_peers.Points]) -> dict[str, Any]:
    """Medians of the rounds, and of the ratios to the reference in the same round."""
    out: dict[str, Any] = {"points": [], "queries_s_at": {}, "of_hnswlib_at": {}}
    for setting, *seen in zip(settings, *rounds, strict=True):
        recall, speed = (np.median(values) for values in zip(*seen, strict=True))
        out["points"].append({"setting": setting, "recall": recall, "queries_s": speed, "rounds": seen})
    for target in TARGETS:
        ours, theirs = ([plot_peers.speed_at(r, target) for r in side] for side in (rounds, reference))
        ratios = [a / b for a, b in zip(ours, theirs, strict=False) if a and b]
        out["queries_s_at"][target] = np.median(np.array(ours)) if all(ours) else None
        out["of_hnswlib_at"][target] = np.median(ratios) if len(ratios) == len(rounds) else None
    return out


def compare(folder: Path, names: list[str], k: int, rounds: int, batch: bool) -> dict[str, Any]:
    base, metric = np.load(folder / "base.npy", mmap_mode="r"), json.loads((folder / "meta.json").read_text())["metric"]
    process = {name: ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) for name in names}
    facts: dict[str, dict[str, Any]] = {name: {} for name in names}
    seen: dict[str, list[plot_peers.Points]] = {name: [] for name in names}

    def ask(name: str, *question: Any) -> Any:
        try:
            return {} if "missing" in facts[name] else process[name].submit(*question).result()
        except Exception as problem:  # also where the process has died; without the paths of this machine
            line = re.sub(r"/[^ ]*/", "", (str(problem).strip() or "no reason given").splitlines()[-1])
            facts[name]["missing"] = f"{type(problem).__name__}: {line}"
            return {}

    with tempfile.TemporaryDirectory() as top:
        for name in names:
            (place := Path(top) / name).mkdir()
            given = {"metric": metric, "k": k, "batch": batch, "place": place, "threads": CORES if batch else 1}
            facts[name] |= ask(name, build, name, folder, given)
            print(f"{folder.name}: {name}: {facts[name]}", file=sys.stderr, flush=True)
        for number in range(rounds):
            for name in names[:: -1 if number % 2 else 1]:
                seen[name].append([ask(name, sweep, setting) for setting in ENGINES[name].settings])
        for name in names:
            facts[name] |= ask(name, holds)
            process[name].shutdown()
    measured = [name for name in names if "missing" not in facts[name]]
    for name in measured:
        facts[name] |= summary(ENGINES[name].settings, seen[name], seen["hnswlib"] if "hnswlib" in measured else [])
    about = {"set": folder.name, "rows": len(base), "dim": base.shape[1], "dtype": str(base.dtype), "metric": metric}
    return about | {"k": k, "batch": batch, "cores": CORES, "rounds": rounds, "engines": facts}


def show(run: dict[str, Any]) -> None:
    keys = ("load_s", "build_s", "cpu_s", "rss_mib", "anon_mib", "disk_mib", "index_mib")
    heads = [*keys, "top", *(f"q/s {t:.2f}" for t in TARGETS), *(f"ratio {t:.2f}" for t in TARGETS)]
    print(f"\n{plot_peers.title(run)}\n{'':14}" + "".join(f"{head.replace('_', ' '):>11}" for head in heads))
    for name, facts in run["engines"].items():
        if "missing" in facts:
            print(f"{name:14}  not measured: {facts['missing']}")
            continue
        values = [*(facts[key] for key in keys), max(p["recall"] for p in facts["points"])]
        values += [*facts["queries_s_at"].values(), *facts["of_hnswlib_at"].values()]
        cells = zip(values, [".1f"] * len(keys) + [".4f"] + [",.0f"] * 3 + [".2f"] * 3, strict=True)
        print(f"{name:14}" + "".join(f"{format(value, form) if value else '-':>11}" for value, form in cells))


def main() -> None:
    os.environ |= {"LANCEDB_LOG": "error", "RUST_LOG": "error"}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--engines", default=",".join(ENGINES), help=f"of {', '.join(ENGINES)}; default: all")
    parser.add_argument("--batch", action="store_true", help="all queries in one call on all cores")
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="every point as JSON, rewritten after each set")
    parser.add_argument("--plot", type=Path, help="a folder for one drawing a set")
    given = parser.parse_args()
    names, runs = given.engines.split(","), []
    if unknown := set(names) - set(ENGINES):
        parser.error(f"no such engine: {', '.join(sorted(unknown))}")
    for folder in given.data:
        runs.append(compare(folder.resolve(), names, given.k, given.rounds, given.batch))
        show(runs[-1])
        if given.out:
            given.out.write_text(json.dumps(runs, indent=1) + "\n")
        if given.plot:
            plot_peers.draw(runs[-1], given.plot)


if __name__ == "__main__":
    main()
