#!/usr/bin/env python3
"""What Kith does, on real data: 10,000 sentence embeddings of Debian package descriptions.

Loads them into a table, answers questions exactly, builds an index, answers again, and says how long each step took and how
good the approximate answers are. Leaves the database in demo/ to look at. Run by `make demo`.
"""
import json
import pathlib
import shutil
import time

import numpy as np
import pyarrow as pa

import kith

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE / "data" / "debian-10k"
PLACE = HERE.parent / "demo"


def timed(what, run):
    begin = time.perf_counter()
    result = run()
    print(f"  {what:<46}{(time.perf_counter() - begin) * 1e3:10.1f} ms")
    return result


def rows():
    """The packages with their vectors, as an Arrow table."""
    vectors = np.load(DATA / "vectors.npy")
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return pa.ipc.open_file(DATA / "rows.arrow").read_all().append_column("vector", column)


def recall(found, truth):
    return sum(len(set(f) & set(t)) for f, t in zip(found, truth)) / truth.size


def main():
    shutil.rmtree(PLACE, ignore_errors=True)
    queries = np.load(DATA / "queries.npy")
    truth = np.load(DATA / "truth.npy")
    questions = [json.loads(line)["text"] for line in open(DATA / "queries.jsonl", encoding="utf-8")]

    print(f"Kith {kith.__version__}, 10,000 x 384 float16 with package, section, size and text\n")
    db = kith.connect(PLACE)
    data = rows()
    table = timed("create the table, on disk and synced", lambda: db.create_table("packages", data, metric="cosine"))

    def search_all(**options):
        searcher = table.searcher(k=10, **options)
        return np.array([searcher(q)[0] for q in queries])

    exact = timed(f"{len(queries)} exact searches", search_all)
    timed("build an index (IVF_PQ)", lambda: table.create_index(metric="cosine"))
    approximate = timed(f"{len(queries)} searches through the index", search_all)
    print(f"\n  recall@10 against the known truth: exact {recall(exact, truth):.4f}, index {recall(approximate, truth):.4f}")
    size = sum(f.stat().st_size for f in PLACE.rglob("*") if f.is_file())
    raw = sum(f.stat().st_size for f in DATA.glob("vectors.npy"))
    print(f"  on disk: {size / 2**20:.1f} MiB, of which the vectors are {raw / 2**20:.1f} MiB\n")

    for number in (1, 7, 33, 60, 100):
        print(f"  {questions[number]}  (by cosine distance)")
        for row in table.search(queries[number]).select(["package", "section", "text"]).limit(3).to_list():
            print(f"      {row['_distance']:.3f}  {row['package']:<28} {row['section']:<14} {row['text'].partition(': ')[2].partition(chr(10))[0][:64]}")
        print()
    print("Look at it:\n  build/kith info demo/packages\n  build/kith search demo/packages --row 42 --columns package,section --exact"
          "\n  build/kith verify demo/packages")


if __name__ == "__main__":
    main()
