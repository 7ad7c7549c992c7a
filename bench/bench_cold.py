#!/usr/bin/env python3
"""A cold process: import, connect, open, first search of a 100,000-row table without an index (files in the page cache),
beyond the interpreter's own start.
"""
import subprocess
import sys
import tempfile
import time

import numpy as np

import kith

PROGRAM = """
import array, kith
table = kith.connect({place!r}).open_table("t")
print(len(table.search(array.array("f", [0.5] * 384)).limit(10).to_list()))
"""


def timed(code):
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True)
    return time.perf_counter() - begin


def main():
    matrix = np.random.default_rng(3).random((100_000, 384), dtype="float32")
    with tempfile.TemporaryDirectory() as place:
        kith.connect(place).create_table("t", {"vector": matrix, "id": np.arange(100_000)}, auto_index=False)
        bare, full = [], []
        for _ in range(9):
            bare.append(timed("pass"))
            full.append(timed(PROGRAM.format(place=place)))
        print(f"import + connect + open + first exact search of 100,000 x 384: {(sorted(full)[4] - sorted(bare)[4]) * 1e3:.0f} ms "
              f"(best {(min(full) - min(bare)) * 1e3:.0f})")


if __name__ == "__main__":
    main()
