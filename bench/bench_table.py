#!/usr/bin/env python3
"""What changing a table costs: bulk adds beside dd, indexed batches beside lancedb and hnswlib, single synced rows beside
the syncs they need, committing threads, deletions, upserts, and the bytes written over many small commits.

    python bench/bench_table.py [--only bulk,indexed,synced,threads,delete,upsert,upkeep,amplification] [--json FILE]

Peers that are not installed are left out. Every comparison interleaves its sides; medians and ratios are printed.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import threading
import time

import numpy as np
import pyarrow as pa

import kith

DIM = 384
TEXT = "x" * 200


def rows(count, first=0, seed=1):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((count, DIM), dtype="float32")
    return matrix, pa.table(
        {
            "id": pa.array(np.arange(first, first + count)),
            "text": pa.array([TEXT] * count),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), DIM),
        }
    )


def timed(function, *args, **kwargs):
    begin = time.perf_counter()
    function(*args, **kwargs)
    return time.perf_counter() - begin


def median(times):
    return sorted(times)[len(times) // 2]


def bulk(place, told):
    """100,000 rows of 384 floats in one add, beside dd of the same bytes."""
    matrix, data = rows(100_000)
    source = pathlib.Path(place) / "source"
    source.write_bytes(matrix.tobytes())
    ours, theirs = [], []
    for round_ in range(5):
        table = kith.connect(f"{place}/bulk{round_}").create_table("t", data.slice(0, 1), auto_index=False)
        ours.append(timed(table.add, data))
        theirs.append(timed(subprocess.run, ["dd", f"if={source}", f"of={place}/copy", "bs=4M", "conv=fsync"], check=True, capture_output=True))
        subprocess.run(["rm", "-rf", f"{place}/bulk{round_}", f"{place}/copy"], check=True)
    told["bulk"] = {"kith_s": median(ours), "dd_s": median(theirs), "ratio": median(ours) / median(theirs)}


def indexed(place, told):
    """Batches of 1,000 rows on top of 50,000 indexed ones, the index kept up to date; recall at the end."""
    base, base_data = rows(50_000, seed=2)
    more, more_data = rows(10_000, first=50_000, seed=3)
    table = kith.connect(f"{place}/indexed").create_table("t", base_data)
    spent = {"kith": sum(timed(table.add, more_data.slice(i, 1000)) for i in range(0, 10_000, 1000))}
    found = table.search(more[0]).limit(10).to_arrow()
    assert len(found) == 10
    every = np.vstack([base, more])
    hits = 0
    for i in range(0, 10_000, 100):
        truth = np.argsort(((every - more[i]) ** 2).sum(1))[:10]
        hits += len(set(truth) & set(table.search(more[i]).limit(10).select(["id"]).to_arrow()["id"].to_pylist()))
    told_recall = hits / 1000
    try:
        import hnswlib

        index = hnswlib.Index("l2", DIM)
        index.init_index(60_000, M=16, ef_construction=200)
        index.add_items(base)
        spent["hnswlib"] = sum(timed(index.add_items, more[i : i + 1000]) for i in range(0, 10_000, 1000))
    except ImportError:
        pass
    try:
        import lancedb

        theirs = lancedb.connect(f"{place}/lance").create_table("t", base_data)
        theirs.create_index(metric="l2", vector_column_name="vector")

        def add(batch):
            theirs.add(batch)
            theirs.optimize()

        spent["lancedb"] = sum(timed(add, more_data.slice(i, 1000)) for i in range(0, 10_000, 1000))
    except ImportError:
        pass
    told["indexed"] = {"rows_per_s": {name: 10_000 / s for name, s in spent.items()}, "recall": told_recall}


def synced(place, told):
    """One row an add, beside the two syncs (file and folder) that it needs."""
    _, data = rows(300)
    table = kith.connect(f"{place}/synced").create_table("t", data.slice(0, 1), auto_index=False)
    folder = os.open(place, os.O_RDONLY)
    ours, theirs = [], []

    def two_syncs(i):
        fd = os.open(f"{place}/raw{i}", os.O_CREAT | os.O_WRONLY)
        os.write(fd, b"x" * 2500)
        os.fdatasync(fd)
        os.close(fd)
        os.fsync(folder)

    for i in range(1, 250):
        one = data.slice(i, 1)
        ours.append(timed(table.add, one))
        theirs.append(timed(two_syncs, i))
    told["synced"] = {"kith_ms": median(ours) * 1e3, "two_syncs_ms": median(theirs) * 1e3, "ratio": median(ours) / median(theirs)}


def threads(place, told):
    """Eight threads that commit single rows through one handle, beside one."""
    _, data = rows(2000)
    out = {}
    for count in (1, 8, 1, 8):
        table = kith.connect(f"{place}/threads{count}{time.time_ns()}").create_table("t", data.slice(0, 1), auto_index=False)
        each = 200 // count * (4 if count > 1 else 1)

        def work(n):
            for i in range(each):
                table.add(data.slice(n * each + i, 1))

        workers = [threading.Thread(target=work, args=(n,)) for n in range(count)]
        begin = time.perf_counter()
        [w.start() for w in workers]
        [w.join() for w in workers]
        out[count] = max(out.get(count, 0), each * count / (time.perf_counter() - begin))
    told["threads"] = {"one_per_s": out[1], "eight_per_s": out[8], "ratio": out[8] / out[1]}


def delete(place, told):
    """A tenth of 100,000 rows by predicate."""
    _, data = rows(100_000)
    spent = {}
    table = kith.connect(f"{place}/delete").create_table("t", data)
    spent["kith"] = timed(table.delete, "id % 10 = 3")
    assert table.count_rows() == 90_000
    try:
        import lancedb

        theirs = lancedb.connect(f"{place}/lancedelete").create_table("t", data)
        spent["lancedb"] = timed(theirs.delete, "id % 10 = 3")
    except ImportError:
        pass
    told["delete"] = {f"{name}_ms": s * 1e3 for name, s in spent.items()}


def upsert(place, told):
    """1,000 of 1,000,000 keys, half of them new, rows of 16 floats."""
    rng = np.random.default_rng(4)
    count = 1_000_000

    def narrow(ids):
        vectors = rng.standard_normal((len(ids), 16), dtype="float32")
        return pa.table({"id": ids, "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 16)})

    base = narrow(np.arange(count))
    table = kith.connect(f"{place}/upsert").create_table("t", base, key="id", auto_index=False)
    times = {"kith": [timed(table.upsert, narrow(np.arange(count - 500 + 1000 * i, count + 500 + 1000 * i))) for i in range(5)]}
    times["kith_get"] = [timed(table.get, [int(x)]) for x in rng.integers(0, count, 20)]
    try:
        import lancedb

        theirs = lancedb.connect(f"{place}/lanceupsert").create_table("t", base)
        theirs.create_scalar_index("id")
        times["lancedb"] = [
            timed(theirs.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute, narrow(np.arange(count - 500 + 1000 * i, count + 500 + 1000 * i)))
            for i in range(3)
        ]
    except ImportError:
        pass
    told["upsert"] = {f"{name}_ms": median(t) * 1e3 for name, t in times.items()}


def written():
    return int(next(line for line in open("/proc/self/io") if line.startswith("wchar")).split()[1])


def upkeep(place, told):
    """What one write pays at most for folds and indexes, of 6,000 of one row and then 30 of 1,000 beside 50,000 indexed rows;
    the index is trained anew in one of the latter."""
    _, base = rows(50_000, seed=2)
    _, more = rows(36_000, first=50_000, seed=3)
    table = kith.connect(f"{place}/upkeep").create_table("t", base)
    told["upkeep"] = {}
    at = 0
    for size, count in ((1, 6000), (1000, 30)):
        spent, wrote = [], []
        for _ in range(count):
            before = written()
            spent.append(timed(table.add, more.slice(at, size)) * 1e3)
            wrote.append((written() - before) / 2**20)
            at += size
        told["upkeep"][f"of_{size}"] = {
            "ms": [median(spent), sorted(spent)[count * 99 // 100 - 1], max(spent)],
            "mib": [median(wrote), sorted(wrote)[count * 99 // 100 - 1], max(wrote)],
        }


def amplification(place, told):
    """Bytes handed to write() over 10,000 commits of one row, index and folds included."""
    count = 10_000
    _, data = rows(count)
    table = kith.connect(f"{place}/amplified").create_table("t", data.slice(0, 1), index_params={"threshold": 2000})

    before = written()
    spent = 0.0
    for i in range(1, count):
        spent += timed(table.add, data.slice(i, 1))
    user = (count - 1) * (DIM * 4 + len(TEXT) + 8)
    folder = pathlib.Path(f"{place}/amplified")
    told["amplification"] = {
        "written_per_byte": (written() - before) / user,
        "rows_per_s": count / spent,
        "files": sum(1 for f in folder.rglob("*") if f.is_file()),
        "bytes_on_disk_per_byte": sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / user,
    }


def main():
    parts = [bulk, indexed, synced, threads, delete, upsert, upkeep, amplification]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(part.__name__ for part in parts))
    parser.add_argument("--json")
    options = parser.parse_args()
    told = {}
    for part in parts:
        if part.__name__ not in options.only.split(","):
            continue
        with tempfile.TemporaryDirectory(dir=os.environ.get("KITH_BENCH_DIR")) as place:
            part(place, told)
        print(f"{part.__name__}: {json.dumps(told[part.__name__], default=float)}", flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
