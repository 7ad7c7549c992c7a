"""Recall as a number to ask for: what is calibrated, what an answer says of itself, how it is measured."""

import itertools
import json
import os
import pathlib
import sys
import xml.etree.ElementTree as ET

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import kith
from conftest import DATA, distances
from kith.index import IvfFlat, IvfPq, IvfRq

SEED = 20261121
SET = pathlib.Path(os.environ.get("KITH_DATA", "")) / "debian-minilm"


def clusters(rows, dim, seed=SEED):
    """Vectors as embeddings lie: around some centres, the same for every seed."""
    centres = np.random.default_rng(SEED).standard_normal((64, dim)) * 0.8
    random = np.random.default_rng(seed)
    return (centres[random.integers(0, 64, rows)] + random.standard_normal((rows, dim))).astype("f4")


def indexed(db):
    table = db.create_table("t", {"id": np.arange(6000), "vector": clusters(6000, 24)})
    table.create_index(num_partitions=60, seed=1)
    return table


@pytest.fixture
def table(db):
    return indexed(db)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The same table, for tests that only read."""
    return indexed(kith.connect(tmp_path_factory.mktemp("shared")))


@pytest.fixture(scope="session")
def minilm(tmp_path_factory):
    """40,000 sentence embeddings and 500 queries of another kind, from KITH_DATA; else 10,000 of them."""

    class Set:
        real = (SET / "base.npy").exists()
        vectors = np.load(SET / "base.npy" if real else DATA / "vectors.npy")
        queries = np.load(SET / "query.npy" if real else DATA / "queries.npy")

    unit = Set.vectors.astype("f4")
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    Set.likeness = Set.queries.astype("f4") @ unit.T  # cosine, but for the queries' lengths
    Set.table = kith.connect(tmp_path_factory.mktemp("minilm")).create_table("t", {"vector": Set.vectors}, metric="cosine", auto_index=False)
    Set.table.create_index(seed=1)
    return Set


# ---- asking


def test_a_query_says_what_it_did(shared):
    query = shared.search(clusters(1, 24, 7)[0]).limit(5)
    assert query.stats is None
    rows = query.to_list()
    stats = query.stats
    assert set(stats) == {"lists", "codes", "refined", "rows_read", "bytes", "expected_recall", "calibrated_on", "calibrated_with", "seconds", "matches", "lists_skipped", "filter_seconds"}
    assert stats["matches"] == 6000 and stats["lists_skipped"] == 0
    assert len(rows) == 5 and 1 <= stats["lists"] <= 60 and 5 <= stats["rows_read"] <= stats["codes"] <= 6000
    assert stats["calibrated_on"] == "rows" and stats["calibrated_with"] >= 100
    assert 0.94 <= stats["expected_recall"] <= 1 and 0 < stats["seconds"] < 1 and stats["bytes"] > 0
    for run in (query.to_arrow, query.to_pandas, query.to_polars, query.to_batches):
        before = query.recall(0.8).stats
        run()
        assert query.stats is not before and query.stats["expected_recall"] < 0.94
    many = shared.search(clusters(9, 24, 7)).limit(5)
    many.to_list()
    assert many.stats["lists"] >= 9 and many.stats["rows_read"] >= 45


def test_an_exact_answer_says_so(shared):
    for query in (shared.search(np.ones(24)).recall(1), shared.search(np.ones(24)).bypass_vector_index()):
        query.to_list()
        assert query.stats["expected_recall"] == 1.0 and query.stats["rows_read"] == 6000 and query.stats["lists"] == 0
        assert query.stats["calibrated_on"] is None


def test_a_bound_that_the_user_sets_promises_nothing(shared):
    query = shared.search(np.ones(24)).nprobes(3)
    query.to_list()
    assert query.stats["lists"] == 3 and query.stats["expected_recall"] is None


def test_the_answers_schema_tells_its_recall(table):
    said = json.loads(table.search(np.ones(24)).recall(0.9).to_arrow().schema.metadata[b"kith.recall"])
    assert said["wanted"] == pytest.approx(0.9) and 0.89 <= said["expected"] <= 1
    assert said["calibrated_on"] == "rows" and said["calibrated_with"] >= 100 and not said["exact"]
    exact = json.loads(table.search(np.ones(24)).recall(1).to_batches().schema.metadata[b"kith.recall"])
    assert exact["exact"] and exact["expected"] == 1
    assert table.to_arrow().schema.metadata is None or b"kith.recall" not in table.to_arrow().schema.metadata
    table.add(table.search(np.ones(24)).limit(3).select(["id", "vector"]).to_arrow().drop_columns("_distance"))
    assert len(table) == 6003


def test_recall_from_the_fastest_to_the_exact(shared):
    queries, seen = clusters(50, 24, 8), []
    truth = [row["id"] for row in shared.search(queries).recall(1).to_list()]
    for wanted in (0, 0.5, 0.9, 0.99, 1):
        query = shared.search(queries).recall(wanted)
        found = [row["id"] for row in query.to_list()]
        seen.append((query.stats["codes"] or 6000 * 50, len(set(enumerate_ten(found)) & set(enumerate_ten(truth))) / 500))
    assert [codes for codes, _ in seen] == sorted(codes for codes, _ in seen)
    assert seen[-1][1] == 1.0 and seen[-2][1] >= 0.95 and seen[0][1] < seen[-1][1]
    one = shared.search(queries[0]).recall(0)
    one.to_list()
    assert one.stats["lists"] == 1


def enumerate_ten(ids):
    return [(i // 10, row) for i, row in enumerate(ids)]


@pytest.mark.parametrize("bad", [-0.01, 1.01, float("nan"), float("inf"), "much", None, [0.9]])
def test_recall_out_of_range_is_refused(shared, bad):
    with pytest.raises(ValueError, match="recall"):
        shared.search(np.ones(24)).recall(bad)
    with pytest.raises(ValueError, match="recall"):
        shared.measure_recall(recalls=[bad])
    if bad is not None:
        with pytest.raises(ValueError, match="recall"):
            shared.searcher(recall=bad)


def test_plans_are_told_before_and_after(shared):
    query = shared.search(np.ones(24)).recall(0.9).limit(4)
    plan = query.explain_plan()
    assert "IVF_RQ" in plan and "0.9" in plan and "6000 rows" in plan and "4 nearest" in plan
    assert query.explain_plan(verbose=True) == plan and query.stats is None
    done = query.analyze_plan()
    assert done.startswith(plan.rstrip("\n")) and "lists visited" in done and "floor" in done
    assert "300 rows" in shared.search().limit(300).explain_plan() and "gave 300 rows" in shared.search().limit(300).analyze_plan()
    assert "gave 2 rows" in shared.take_row_ids([1, 2]).analyze_plan()


# ---- calibrating


QUERIES = clusters(400, 24, 9) * 1.5 + 0.5
FORMS = {
    "numpy": QUERIES,
    "halves": QUERIES.astype("f2"),
    "doubles": QUERIES.astype("f8"),
    "lists": QUERIES.tolist(),
    "list of arrays": list(QUERIES),
    "arrow": pa.array(QUERIES.tolist()),
    "fixed arrow": pa.FixedSizeListArray.from_arrays(QUERIES.ravel(), 24),
    "arrow table": pa.table({"id": range(400), "vector": QUERIES.tolist()}),
    "polars": pl.DataFrame({"whatever": QUERIES}),
}


@pytest.mark.parametrize("form", FORMS)
def test_an_index_is_calibrated_on_queries(table, form):
    table.create_index(num_partitions=60, seed=1, queries=FORMS[form])
    (index,) = table.list_indices()
    assert index.calibration["on"] == "queries" and index.calibration["queries"] == 400
    assert "calibration" not in repr(index)
    query = table.search(QUERIES[0])
    query.to_list()
    assert query.stats["calibrated_on"] == "queries" and query.stats["calibrated_with"] == 400
    assert "400 queries" in query.explain_plan()


def test_queries_may_be_another_tables_rows(table, db):
    other = db.create_table("q", {"id": np.arange(400), "vector": QUERIES})
    table.create_index(num_partitions=60, queries=other)
    table.create_index(num_partitions=60, queries=other.search().limit(300))
    assert table.list_indices()[0].calibration["queries"] == 300


@pytest.mark.parametrize(
    "queries,says",
    [(np.ones(24), "matrix"), (np.ones((5, 23)), "23.*24"), (np.full((5, 24), np.nan), "nan|finite"), ([], "empty|matrix"), ("words", "words"),
     (pa.table({"a": [1], "b": [2]}), "a, b"), (np.zeros((0, 24)), "empty")],
)  # fmt: skip
def test_what_is_no_matrix_of_queries_is_refused(shared, queries, says):
    with pytest.raises(ValueError, match=f"(?i){says}"):
        shared.create_index(queries=queries)
    assert shared.list_indices()[0].calibration["on"] == "rows"


@pytest.mark.parametrize("size", [64 << 20, "64MB", "64 MiB", "0.5g", "65536k", np.int64(1 << 26)])
def test_a_build_may_be_given_little_memory(table, size):
    table.create_index(num_partitions=60, max_memory=size)
    assert len(table.search(np.ones(24)).to_list()) == 10


@pytest.mark.parametrize("size", ["much", "-1MB", -1, "5 XB", "1e400", 1.5, "", [], 1000, "1kB"])
def test_a_memory_that_is_none_or_too_little_is_refused(shared, size):
    with pytest.raises(ValueError, match="max_memory"):
        shared.create_index(max_memory=size)


def test_nothing_is_known_of_an_index_without_codes_but_what_was_measured(table):
    for config in (IvfFlat(num_partitions=60), IvfPq(num_partitions=60), IvfRq(num_partitions=60, num_bits=1)):
        table.create_index("vector", config=config)
        query = table.search(np.ones(24)).recall(0.9)
        query.to_list()
        assert query.stats["calibrated_on"] == "rows" and 0.85 <= query.stats["expected_recall"] <= 1


def test_a_table_that_grows_indexes_itself(db):
    table = db.create_table("t", {"vector": clusters(900, 8)}, index_params={"threshold": 1000})
    assert table.list_indices() == []
    table.add({"vector": clusters(200, 8, 2)})
    (index,) = table.list_indices()
    assert index.index_type == "IvfRq" and index.num_indexed_rows == 1100
    table.create_index(replace=False, name="mine")  # an automatic one is in nobody's way
    assert [index.name for index in table.list_indices()] == ["mine"]
    never = db.create_table("u", {"vector": clusters(2000, 8)}, auto_index=False, index_params={"threshold": 1000})
    assert never.list_indices() == []


# ---- searchers


def as_pairs(answer):
    return [(row, distance) for row, distance in zip(answer[0].ravel().tolist(), answer[1].ravel().tolist()) if row != 2**64 - 1]


SETTINGS = [
    {"k": 3}, {"recall": 0}, {"recall": 0.5}, {"recall": 0.99}, {"recall": 1}, {"nprobes": 1}, {"nprobes": 20}, {"refine_factor": 1, "nprobes": 20},
    {"metric": "cosine"}, {"metric": "dot", "k": 2}, {"ef": 50}, {"nprobes": 2, "refine_factor": 2, "metric": "l2", "k": 7},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_each_parameter_of_a_searcher_is_the_builders(shared, settings):
    queries = clusters(20, 24, 10)
    built = shared.search(queries).select([]).with_row_id()
    for name, value in settings.items():
        getattr(built, "limit" if name == "k" else name)(value)
    wanted = [(row["_rowid"], row["_distance"]) for row in built.to_list()]
    assert as_pairs(shared.searcher(**settings)(queries)) == wanted
    assert as_pairs(shared.searcher(threads=2, **settings)(queries)) == wanted
    one_by_one = shared.searcher(vector_column_name="vector", **settings)
    assert list(itertools.chain.from_iterable(as_pairs(one_by_one(query)) for query in queries)) == wanted


def test_a_searchers_parameters_act(shared):
    query = clusters(200, 24, 11)
    exact = shared.searcher(recall=1)(query)[0]
    hits = {name: (shared.searcher(**settings)(query)[0] == exact).mean() for name, settings in
            {"fastest": {"recall": 0}, "half": {"recall": 0.5}, "good": {"recall": 0.99}, "probes": {"nprobes": 60}, "coarse": {"nprobes": 60, "refine_factor": 1}}.items()}  # fmt: skip
    assert hits["fastest"] <= hits["half"] < hits["good"] and hits["coarse"] < hits["probes"] and hits["probes"] >= 0.99
    assert (shared.searcher(metric="cosine")(query)[0] != exact).any()


def test_searchers_parameters_out_of_range_are_refused(shared):
    for bad in ({"k": 0}, {"nprobes": -1}, {"refine_factor": 0}, {"ef": -1}, {"threads": -1}, {"metric": "taxicab"}, {"k": 2**32}):
        with pytest.raises(ValueError):
            shared.searcher(**bad)
    for bad in ({"where": "nope > 3"}, {"where": "1 >"}, {"where": "1 = ?"}, {"params": {"a": 1}}, {"where": "1 = ?", "params": []}):
        with pytest.raises(ValueError):
            shared.searcher(**bad)


def test_a_searchers_column_is_chosen(db):
    table = db.create_table("two", {"a_vector": clusters(50, 4), "b_vector": clusters(50, 4, 3)})
    with pytest.raises(ValueError, match="a_vector.*b_vector"):
        table.searcher()
    assert table.searcher(k=1, vector_column_name="b_vector")(clusters(50, 4, 3)[17])[0].tolist() == [17]


# ---- measuring


def true_ten(likeness, left_out=None):
    likeness = likeness.copy()
    if left_out is not None:
        likeness[np.arange(len(likeness)), left_out] = -np.inf
    return np.argpartition(-likeness, 10, axis=1)[:, :10]


@pytest.mark.parametrize("wanted", [0.9, 0.95, 0.99])
def test_recall_is_what_was_asked_for_on_queries_like_those_it_was_calibrated_on(minilm, wanted):
    half = len(minilm.queries) // 2
    minilm.table.create_index(name="vector_idx", seed=1, queries=minilm.queries[:half])
    found = minilm.table.searcher(k=10, recall=wanted, threads=0)(minilm.queries[half:])[0]
    truth = true_ten(minilm.likeness[half:])
    recall = np.mean([len(set(a.tolist()) & set(b.tolist())) / 10 for a, b in zip(found, truth)])
    assert recall >= wanted - 0.04


@pytest.mark.parametrize("k", [2, 4, 11, 15, 40])
def test_any_number_of_neighbours_has_the_recall_that_was_asked_for(db, k):
    """Curves are learned for 1, 10 and 100; what lies between goes by both."""
    vectors = np.load(DATA / "vectors.npy").astype("f4")
    table = db.create_table("t", {"vector": vectors[:9000]}, metric="cosine", auto_index=False)
    table.create_index(num_partitions=200, seed=1)
    truth = table.searcher(k=k, recall=1.0)(vectors[9000:])[0]
    found = table.searcher(k=k, recall=0.95)(vectors[9000:])[0]
    assert np.mean([np.isin(a, b).mean() for a, b in zip(truth, found, strict=True)]) >= 0.935


def test_products_are_found_whatever_the_length_of_the_query(db):
    """The nearest by dot product do not turn on it, nor may what a search does for them. Rows are of many lengths."""
    random = np.random.default_rng(SEED)
    vectors = np.load(DATA / "vectors.npy").astype("f4") * np.exp(0.5 * random.standard_normal((10_000, 1))).astype("f4")
    table = db.create_table("t", {"vector": vectors[:9500]}, metric="dot", auto_index=False)
    table.create_index(num_partitions=150, seed=1)
    truth = table.searcher(k=10, recall=1.0)(vectors[9500:])[0]
    visited = {}
    for length in (1e-4, 1.0, 1e4):
        queries = vectors[9500:] * np.float32(length)
        found = table.searcher(k=10)(queries)[0]
        assert np.mean([np.isin(a, b).mean() for a, b in zip(truth, found, strict=True)]) >= 0.93
        visited[length] = 0
        for vector in queries[:50]:
            query = table.search(vector).limit(10)
            query.to_arrow()
            visited[length] += query.stats["lists"]
    assert visited[1e-4] == pytest.approx(visited[1.0], rel=0.02)
    assert visited[1e4] == pytest.approx(visited[1.0], rel=0.02)
    assert visited[1.0] < 50 * 150 / 3


def test_measured_recall_is_numpys(minilm):
    minilm.table.create_index(name="vector_idx", seed=1)
    report = minilm.table.measure_recall(minilm.queries, recalls=[0.9, 0.95, 1], sample=10_000)
    assert report.queries == len(minilm.queries) and report.source == "queries" and report.k == 10
    assert report.index == "IVF_RQ vector_idx" and report.exact_queries_per_second > 0
    truth = true_ten(minilm.likeness)
    for row, wanted in zip(report.rows, (0.9, 0.95, 1)):
        found = minilm.table.searcher(k=10, recall=wanted, threads=0)(minilm.queries)[0]
        shares = [len(set(a.tolist()) & set(b.tolist())) / 10 for a, b in zip(found, truth)]
        assert row["recall"] == wanted and row["measured"] == pytest.approx(np.mean(shares), abs=0.002)  # float16 ties
        assert row["standard_error"] == pytest.approx(np.std(shares) / len(shares) ** 0.5, abs=5e-4)
        assert row["measured"] >= wanted - 0.04  # calibrated on rows, which lie closer than these queries
        assert row["expected"] >= wanted - 0.01 and row["queries_per_second"] > 0
    first, second, exact = report.rows
    assert first["codes"] < second["codes"] and first["lists"] < second["lists"] and exact["measured"] == 1 and exact["lists"] == 0
    assert first["queries_per_second"] > exact["queries_per_second"]


def test_rows_of_the_table_leave_themselves_out(minilm):
    report = minilm.table.measure_recall(recalls=[0.9, 1], sample=300, seed=3)
    assert report.source == "rows" and report.queries == 300
    assert report.rows[0]["measured"] >= 0.9 - 0.04 and report.rows[1]["measured"] == 1
    again = minilm.table.measure_recall(recalls=[0.9], sample=300, seed=3)
    assert again.rows[0]["measured"] == report.rows[0]["measured"]
    assert minilm.table.measure_recall(recalls=[0.9], sample=300, seed=4).rows[0]["measured"] != report.rows[0]["measured"]


def test_the_own_row_is_no_hit(db):
    # Each vector is there twice; far apart else. With k 2 the answer is the row and its twin, of which only the twin counts.
    vectors = np.repeat(np.arange(200, dtype="f4") * 100, 2)[:, None] * np.ones((1, 4), "f4")
    table = db.create_table("t", {"vector": vectors})
    for k in (1, 2, 3):
        report = table.measure_recall(k=k, recalls=[0.9])
        assert report.rows[0]["measured"] == 1 and report.index is None and report.k == max(k, 2)
    assert "no index" in str(report)


def test_rows_without_a_vector_and_few_rows_are_no_trouble(db):
    table = db.create_table("t", [{"vector": [1.0, 2.0]}, {"vector": None}, {"vector": [3.0, 4.0]}])
    assert table.measure_recall(recalls=[0.9]).queries == 2
    for rows in ([{"vector": None}], None):
        with pytest.raises(ValueError, match="rows"):
            made = db.create_table("none", rows, schema=pa.schema([("vector", pa.list_(pa.float32(), 2))]), mode="overwrite")
            made.measure_recall()


@pytest.mark.parametrize("kind,metric", [("u1", "l2"), ("u1", "hamming"), ("i1", "l2"), ("f2", "dot"), ("f8", "cosine")])
def test_any_type_and_metric_is_measured(db, kind, metric):
    random = np.random.default_rng(SEED)
    vectors = (random.integers(0, 120, (1500, 16)) if kind in ("u1", "i1") else random.standard_normal((1500, 16))).astype(kind)
    schema = pa.schema([("vector", pa.list_(pa.from_numpy_dtype(vectors.dtype), 16))])
    table = db.create_table("t", {"vector": vectors}, schema=schema, metric=metric)
    table.create_index(num_partitions=12)
    report = table.measure_recall(recalls=[0.9], sample=100)
    assert report.rows[0]["measured"] >= 0.8
    assert table.measure_recall(vectors[:40], recalls=[1]).rows[0]["measured"] == 1


def test_measuring_can_be_watched_and_stopped(shared):
    told = []
    shared.measure_recall(recalls=[0.9, 0.99], sample=40, progress=lambda *step: told.append(step))
    assert {stage for stage, _, _ in told} == {"exact", "recall"} and told[-1] == ("recall", 2, 2)
    with pytest.raises(kith.errors.CancelledError):
        shared.measure_recall(sample=40, progress=lambda *step: False)
    for bad in ({"k": 0}, {"sample": 0}, {"queries": np.ones((3, 5))}, {"vector_column_name": "nope"}):
        with pytest.raises(ValueError):
            shared.measure_recall(**bad)


def test_a_report_is_read_as_a_table_and_a_plot(shared):
    report = shared.measure_recall(clusters(30, 24, 12), recalls=[0, 0.9, 1], sample=20)
    text = str(report)
    lines = text.splitlines()
    assert lines[0] == "IVF_RQ vector_idx; 20 queries, k 10, one thread"
    assert [line.split()[0] for line in lines[2:7]] == ["recall", "0", "0.9", "1", "exact"]
    assert 1 <= text.count("*") <= 3 and "1.00" in lines[-2] and max(map(len, lines)) <= 80
    assert "3 recalls" in repr(report)
    assert max(map(len, report.chart(30, 5).splitlines())) <= 40


def test_plots_are_written(shared, tmp_path, monkeypatch):
    report = shared.measure_recall(recalls=[0.5, 0.9], sample=30)
    assert report.plot(tmp_path / "plot.svg") == str(tmp_path / "plot.svg")
    root = ET.parse(tmp_path / "plot.svg").getroot()
    assert root.tag.endswith("svg") and len(root.findall("{*}circle")) == 2
    # without matplotlib the picture is an SVG all the same
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert report.plot(str(tmp_path / "other.png")) == str(tmp_path / "other.svg")
    assert ET.parse(tmp_path / "other.svg").getroot().tag.endswith("svg")
    monkeypatch.undo()
    pytest.importorskip("matplotlib")
    assert report.plot(tmp_path / "plot.png") == str(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"


def test_distances_measure_by_the_definition(db):
    # ties: any of the equally near rows is a hit
    table = db.create_table("t", {"vector": np.zeros((500, 4), "f4")})
    table.create_index(num_partitions=4)
    assert table.measure_recall(np.ones((5, 4)), recalls=[0.5]).rows[0]["measured"] == 1
    assert distances(np.zeros((1, 4)), np.ones(4), "l2") == 4
