"""HNSW through a table: what LanceDB's names mean, recall beside brute force, filters, changes, and what it says."""

import numpy as np
import pyarrow as pa
import pytest

import kith
from conftest import distances
from kith.index import Hnsw, HnswFlat, HnswPq, HnswSq, IvfHnswSq

SEED = 20261122
random = np.random.default_rng(SEED)
CENTRES = random.standard_normal((80, 32))


def vectors(rows, seed):
    own = np.random.default_rng(seed)
    return (CENTRES[own.integers(0, 80, rows)] * 0.8 + own.standard_normal((rows, 32))).astype("f4")


def recall(table, queries, data, ids, metric="l2", k=10, **options):
    """Share of the k nearest of `data`, whose rows have these ids, that are found."""
    hits = 0
    for query in queries:
        truth = np.sort(distances(data, query, metric))[min(k, len(data)) - 1]
        search = table.search(query).metric(metric).limit(k)
        for name, value in options.items():
            search = getattr(search, name)(value)
        found = search.to_arrow()
        assert set(found["id"].to_pylist()) <= set(ids)
        assert len(found) == min(k, len(data))
        hits += sum(found["_distance"].to_numpy() <= truth + 1e-5 * abs(truth) + 1e-6)
    return hits / (len(queries) * min(k, len(data)))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """12,000 rows under an HNSW index."""
    table = kith.connect(tmp_path_factory.mktemp("hnsw")).create_table(
        "t", {"vector": DATA, "id": np.arange(12000), "g": np.arange(12000) % 1000}, auto_index=False
    )
    table.create_index("vector", config=Hnsw())
    return table


DATA = vectors(12000, 1)


def test_lancedbs_names_are_understood(db):
    table = db.create_table("t", {"vector": vectors(600, 2), "id": np.arange(600)}, auto_index=False)
    for config, m, ef in [
        (Hnsw("cosine"), 16, 200), (Hnsw(m=8, ef_construction=40), 8, 40), (HnswSq(), 20, 300), (IvfHnswSq(m=10, num_partitions=4), 10, 300),
        (HnswPq(num_sub_vectors=8, num_bits=4), 20, 300), (HnswFlat(distance_type="dot"), 20, 300),
    ]:  # fmt: skip
        table.create_index("vector", config=config)
        (index,) = table.list_indices()
        assert (index.index_type, index.m, index.ef_construction) == ("Hnsw", m, ef)
        assert config.distance_type in (None, index.distance_type)
        assert table.index_stats("vector_idx").index_type == "HNSW"
    for kind in ("HNSW", "IVF_HNSW_SQ", "IVF_HNSW_PQ", "ivf_hnsw_flat"):
        table.create_index(metric="cosine", index_type=kind, m=12, ef_construction=64)
        assert table.list_indices()[0].m == 12
    assert table.search(table.to_arrow()["vector"][7].values.to_numpy()).limit(1).to_arrow()["id"][0].as_py() == 7


def test_a_metric_and_a_column_may_both_be_named(db):
    table = db.create_table("t", {"a": vectors(300, 2), "b": vectors(300, 3)}, auto_index=False)
    table.create_index("cosine", column="b", index_type="HNSW")
    table.create_index("dot", column="a", config=Hnsw())
    assert {index.columns[0]: index.distance_type for index in table.list_indices()} == {"a": "dot", "b": "cosine"}


def test_bad_parameters_are_refused_in_words(db):
    table = db.create_table("t", {"vector": vectors(300, 2), "n": range(300)}, auto_index=False)
    for call, words in [
        (lambda: table.create_index(index_type="HNSW", m=3), "m is 3"),
        (lambda: table.create_index(index_type="HNSW", m=1000), "4 to 256"),
        (lambda: table.create_index(index_type="HNSW", m=-1), "m"),
        (lambda: table.create_index(index_type="HNSW", num_bits=4), "num_bits is 4"),
        (lambda: table.create_index("hamming", index_type="HNSW"), "uint8"),
        (lambda: table.create_index("n", index_type="HNSW"), "n"),
        (lambda: table.create_index("n", index_type="BTREE", m=8), "m is for indexes over vectors"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
    assert table.list_indices() == []


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
def test_recall_beside_brute_force(db, metric):
    data, queries = vectors(5000, 3), vectors(50, 4)
    table = db.create_table("t", {"vector": data, "id": np.arange(5000)}, auto_index=False)
    table.create_index(metric, index_type="HNSW")
    assert recall(table, queries, data, range(5000), metric, ef=100) >= 0.97
    assert recall(table, queries, data, range(5000), metric) >= 0.94
    found = table.search(data[17]).metric(metric).limit(1).to_arrow() if metric != "dot" else None
    if found:
        assert found["id"][0].as_py() == 17 and found["_distance"][0].as_py() == 0


def asked(query):
    query.to_arrow()
    return query.stats


def test_a_wanted_recall_chooses_ef(shared):
    queries = vectors(60, 5)
    codes = []
    for wanted in (0.5, 0.8, 0.95, 0.99):
        stats = asked(shared.search(queries[0]).recall(wanted))
        codes.append(stats["codes"])
        assert recall(shared, queries, DATA, range(12000), recall=wanted) >= wanted - 0.02
        assert stats["expected_recall"] == pytest.approx(wanted, abs=0.02)
    assert codes == sorted(codes) and codes[0] < codes[-1]
    text = shared.search(queries[0]).explain_plan()
    assert "HNSW: 12000 rows with m 16, ef chosen by the index" in text and "calibrated on 256 rows" in text
    assert "ef 33" in shared.search(queries[0]).ef(33).explain_plan()
    assert asked(shared.search(queries[0]).ef(500))["codes"] > 3 * asked(shared.search(queries[0]).ef(20))["codes"]
    assert asked(shared.search(queries[0]).limit(3))["lists"] >= 64  # never fewer, unless asked


def test_many_at_once_are_as_one_by_one(shared):
    queries = vectors(40, 6)
    many = shared.search(queries).limit(5).to_arrow()
    for i, query in enumerate(queries):
        alone = shared.search(query).limit(5).to_arrow()
        rows = many.filter(pa.compute.equal(many["query_index"], i))
        assert rows["id"].to_pylist() == alone["id"].to_pylist()
    assert shared.searcher(k=5, ef=80)(queries[0])[0].tolist() == shared.search(queries[0]).limit(5).ef(80).with_row_id(True).to_arrow()["_rowid"].to_pylist()


@pytest.mark.parametrize("share", [1, 5, 20, 100, 300, 500, 900, 1000])
def test_filters_of_any_share(shared, share):
    queries = vectors(25, 7)
    admitted = np.flatnonzero(np.arange(12000) % 1000 < share)
    assert recall(shared, queries, DATA[admitted], admitted, where=f"g < {share}") >= 0.94


def test_a_filter_whose_rows_lie_elsewhere(db):
    data = vectors(8000, 8)
    far = data[:, 0] > np.median(data[:, 0])
    table = db.create_table("t", {"vector": data, "id": np.arange(8000), "far": far}, auto_index=False)
    table.create_index("vector", config=Hnsw())
    queries = data[np.argsort(data[:, 0])[:20]]  # as far from what is admitted as can be
    assert recall(table, queries, data[far], np.flatnonzero(far), where="far") >= 0.94


def test_a_table_that_changes_keeps_its_recall(db):
    data = vectors(16000, 9)
    table = db.create_table("t", {"vector": data[:8000], "id": np.arange(8000)}, auto_index=False)
    table.create_index("vector", config=Hnsw())
    live = dict(enumerate(data[:8000]))
    for step in range(8):
        new = np.arange(8000 + step * 500, 8500 + step * 500)
        table.add({"vector": data[new], "id": new})
        gone = range(step * 500, step * 500 + 500)
        table.delete(f"id >= {gone[0]} AND id <= {gone[-1]}")
        moved = np.arange(7000, 7050)
        table.merge_insert("id").when_matched_update_all().execute({"vector": data[12000 + moved - 7000 + step * 50], "id": moved})
        live.update(zip(new.tolist(), data[new]))
        live.update(zip(moved.tolist(), data[12000 + moved - 7000 + step * 50]))
        for row in gone:
            del live[row]
    ids, rows = list(live), np.array(list(live.values()))
    queries = vectors(40, 10)
    changed = recall(table, queries, rows, ids, ef=64)
    fresh = db.create_table("fresh", {"vector": rows, "id": ids}, auto_index=False)
    fresh.create_index("vector", config=Hnsw())
    assert changed >= recall(fresh, queries, rows, ids, ef=64) - 0.01
    lost = [i for i in ids[::7] if table.search(live[i]).limit(1).to_arrow()["id"][0].as_py() != i]
    assert lost == []
    (index,) = table.list_indices()
    assert index.num_unindexed_rows < 5000
    table.optimize()
    assert table.list_indices()[0].num_unindexed_rows == 0
    assert recall(table, queries, rows, ids, ef=64) >= changed - 0.01
    again = kith.connect(db.uri).open_table("t")
    assert recall(again, queries[:5], rows, ids, ef=64) > 0.9
    table.verify()


def test_files_stay_few_and_a_fold_is_made_once(db):
    data = np.random.default_rng(3).standard_normal((12000, 256)).astype("f4")
    table = db.create_table("t", {"vector": data[:3000], "id": np.arange(3000)}, auto_index=False, key="id")
    table.create_index("vector", config=Hnsw(m=8, ef_construction=40))
    for begin in range(3000, 9000, 600):  # more than a search would scan beside the graph: each write adds a run
        table.add({"vector": data[begin : begin + 600], "id": np.arange(begin, begin + 600)})
        assert table.list_indices()[0].num_unindexed_rows <= 600
    sizes = []
    for row in range(9000, 9012):
        table.delete(f"id >= {(row - 9000) * 300} AND id < {(row - 8999) * 300}")
        table.add({"vector": data[row : row + 1], "id": [row]})
        sizes.append(table.list_indices()[0].size_bytes)
    assert len(set(sizes)) <= 3  # a quarter dead: folded; not again by every write that follows
    per_row = sizes[0] / 9000
    assert sizes[-1] < per_row * 7500
    assert per_row < 2 * (256 + 8 * 8 + 32)


def test_other_numbers(db):
    data = vectors(3000, 11)
    bits = np.random.default_rng(1).integers(0, 256, (3000, 16), dtype=np.uint8)
    for name, column, metric in [("f2", data.astype("f2"), "l2"), ("i1", (data * 30).clip(-127, 127).astype("i1"), "cosine"), ("u1", bits, "hamming")]:
        table = db.create_table(name, {"vector": column, "id": np.arange(3000)}, auto_index=False)
        table.create_index(metric, index_type="HNSW")
        assert recall(table, column[:30].astype("f4") if metric != "hamming" else column[:30], column, range(3000), metric, ef=128) >= 0.95
