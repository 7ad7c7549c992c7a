#!/usr/bin/env python3
"""create_table from a numpy-backed Arrow table beside `dd conv=fsync` of the same bytes, interleaved; import time; the
size of what is installed.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import pyarrow as pa

import kith


def main():
    rng = np.random.default_rng(5)
    matrix = rng.random((200_000, 384), dtype="float32")
    data = pa.table({"vector": pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), 384), "id": np.arange(len(matrix))})
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(dir=os.environ.get("KITH_BENCH_DIR")) as place:
        source = pathlib.Path(place) / "source"
        source.write_bytes(matrix.tobytes() + np.arange(len(matrix)).tobytes())
        size = source.stat().st_size
        for round_ in range(5):
            begin = time.perf_counter()
            kith.connect(f"{place}/db{round_}").create_table("t", data, auto_index=False)
            ours.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            subprocess.run(["dd", f"if={source}", f"of={place}/copy{round_}", "bs=4M", "conv=fsync"], check=True, capture_output=True)
            theirs.append(time.perf_counter() - begin)
            subprocess.run(["rm", "-rf", f"{place}/db{round_}", f"{place}/copy{round_}"], check=True)
    ours.sort(), theirs.sort()
    print(f"create_table of {size / 1e6:.0f} MB: {ours[2] * 1e3:.0f} ms, dd conv=fsync {theirs[2] * 1e3:.0f} ms: {ours[2] / theirs[2]:.2f} times")

    def start(code):
        return min(timed(code) for _ in range(9))

    def timed(code):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-c", code], check=True)
        return time.perf_counter() - begin

    bare = start("pass")
    print(f"import kith: {(start('import kith') - bare) * 1e3:.1f} ms beyond the interpreter's own start")
    package = pathlib.Path(kith.__file__).parent
    print(f"installed: {sum(f.stat().st_size for f in package.rglob('*') if f.is_file()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
