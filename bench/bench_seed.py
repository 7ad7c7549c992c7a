#!/usr/bin/env python3
"""The script on LanceDB's first page, run by LanceDB and by Kith, interleaved, in a process each.

10,000 x 768 random float32; create_index(num_partitions=256, num_sub_vectors=96); search().limit(2).nprobes(20)
.refine_factor(10). LanceDB trains 39 of the 256 partitions, so its 20 probes read half of the rows; Kith trains 256, so
recall is compared at an equal share of rows scanned: its nprobes is 256 * 20 / 39 there. Prints ratios.
"""
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

ROUNDS = int(os.environ.get("KITH_ROUNDS", "3"))


def child(engine):
    import numpy as np

    if engine == "kith":
        import kith as lancedb
    else:
        import lancedb
    import pandas  # noqa: F401  (both give a data frame)

    rng = np.random.default_rng(7)
    data = [{"vector": row, "item": f"item {i}"} for i, row in enumerate(rng.random((10_000, 768), dtype="float32"))]
    queries = rng.random((100, 768), dtype="float32")
    matrix = np.stack([d["vector"] for d in data])
    norms = (matrix.astype(np.float64) ** 2).sum(1)
    truth = [np.argsort(norms - 2 * (matrix @ q), kind="stable")[:10] for q in queries]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    out = {}
    with tempfile.TemporaryDirectory() as place:
        begin = time.perf_counter()
        table = lancedb.connect(place).create_table("my_vectors", data=data)
        out["create_s"] = time.perf_counter() - begin
        begin = time.perf_counter()
        table.create_index(num_partitions=256, num_sub_vectors=96)
        out["index_s"] = time.perf_counter() - begin

        def p50(run):
            times = []
            for q in queries:
                begin = time.perf_counter()
                run(q)
                times.append(time.perf_counter() - begin)
            return sorted(times)[len(times) // 2]

        def seed(q):
            return table.search(q).limit(2).nprobes(20).refine_factor(10)

        for q in queries[:5]:
            seed(q).to_pandas(), seed(q).to_list()
        out["list_us"] = p50(lambda q: seed(q).to_list()) * 1e6
        out["frame_us"] = p50(lambda q: seed(q).to_pandas()) * 1e6
        out["peak_mb"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024

        partitions = 256 if engine == "kith" else 39
        for refine in (10, 20):
            for share in (20 / 39, 1.0):
                hits = 0
                probes = max(1, round(partitions * share))
                for q, t in zip(queries, truth):
                    found = table.search(q).select(["item"]).limit(10).nprobes(probes).refine_factor(refine).to_list()
                    hits += len({int(r["item"].split()[1]) for r in found} & set(t.tolist()))
                out[f"recall_r{refine}_{share:.2f}"] = hits / (10 * len(queries))
    print("RESULT " + json.dumps(out))


def main():
    runs = {"kith": [], "lancedb": []}
    for _ in range(ROUNDS):
        for engine in runs:
            done = subprocess.run([sys.executable, __file__, engine], capture_output=True, text=True,
                                  env={**os.environ, "PYTHONWARNINGS": "ignore", "LANCEDB_LOG": "error", "RUST_LOG": "error"})
            lines = [l for l in done.stdout.splitlines() if l.startswith("RESULT ")]
            if not lines:
                sys.exit(f"{engine} failed:\n{done.stdout}\n{done.stderr}")
            runs[engine].append(json.loads(lines[0][7:]))
    middle = {e: {k: sorted(r[k] for r in rs)[len(rs) // 2] for k in rs[0]} for e, rs in runs.items()}
    print(f"{'':<16}{'kith':>12}{'lancedb':>12}{'ratio':>10}")
    for key, mine in middle["kith"].items():
        theirs = middle["lancedb"][key]
        print(f"{key:<16}{mine:>12.4g}{theirs:>12.4g}{theirs / mine if mine else float('inf'):>10.2f}")


if __name__ == "__main__":
    child(sys.argv[1]) if len(sys.argv) > 1 else main()
