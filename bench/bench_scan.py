#!/usr/bin/env python3
"""The exact scan of 100,000 x 384 float32 on one thread, beside one numpy matrix-vector product and beside the speed at
which this core reads memory; and what a search costs in Python beyond the C call. Interleaved; ratios count.
"""
import os
import tempfile
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["KITH_THREADS"] = "1"
import numpy as np  # noqa: E402

import kith  # noqa: E402


def best(run, rounds=9):
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


def main():
    rng = np.random.default_rng(3)
    matrix = rng.random((100_000, 384), dtype="float32")
    query = rng.random(384, dtype="float32")
    with tempfile.TemporaryDirectory() as place:
        table = kith.connect(place).create_table("t", {"vector": matrix}, auto_index=False)
        searcher = table.searcher(k=10)
        searcher(query)
        scan = product = read = 9e9
        for _ in range(5):
            scan = min(scan, best(lambda: searcher(query), 3))
            product = min(product, best(lambda: matrix @ query, 3))
            read = min(read, best(lambda: np.max(matrix.view(np.int32)), 3))
        mb = matrix.nbytes / 1e9
        print(f"exact scan {scan * 1e3:.2f} ms ({mb / scan:.1f} GB/s), numpy product {product * 1e3:.2f} ms, "
              f"reading it once {read * 1e3:.2f} ms: {scan / min(product, read):.2f} times the faster")

        small = kith.connect("memory://").create_table("t", {"vector": matrix[:100, :16].copy(), "n": np.arange(100)})
        q = query[:16].copy()
        prepared = small.searcher(k=10)
        loops = 3000

        def many(run):
            return best(lambda: [run() for _ in range(loops)], 5) / loops * 1e6

        ids = many(lambda: prepared(q))
        rows = many(lambda: small.search(q).limit(10).select(["n"]).to_list())
        full = many(lambda: small.search(q).limit(10).to_list())
        print(f"100 x 16: searcher {ids:.1f} us, builder to a list of one column {rows:.1f} us, of all columns {full:.1f} us")


if __name__ == "__main__":
    main()
