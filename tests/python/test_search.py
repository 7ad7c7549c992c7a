"""Searching: exact answers against numpy, what the builder's calls mean, indexes, searchers."""

import re
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import kith
from conftest import distances
from kith.index import FTS, HnswPq, HnswSq, IvfFlat, IvfPq, IvfRq, IvfSq

SEED = 20261121
ELEMENTS = {"float32": "f4", "float16": "f2", "float64": "f8", "int8": "i1", "uint8": "u1"}


def matrix(rows, dim, numbers, seed=SEED):
    print("seed", seed)
    random = np.random.default_rng(seed)
    if numbers in ("i1", "u1"):
        low, high = (-128, 128) if numbers == "i1" else (0, 256)
        return random.integers(low, high, (rows, dim)).astype(numbers)
    return random.standard_normal((rows, dim)).astype(numbers)


def vector_table(db, vectors, metric=None, name="t"):
    kind = {"f2": pa.float16(), "f4": pa.float32(), "f8": pa.float64(), "i1": pa.int8(), "u1": pa.uint8()}[vectors.dtype.str[1:]]
    schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(kind, vectors.shape[1]))])
    return db.create_table(name, {"id": np.arange(len(vectors)), "vector": vectors}, schema=schema, metric=metric)


CASES = [(metric, element) for metric in ("l2", "cosine", "dot") for element in ELEMENTS] + [("hamming", "uint8")]


@pytest.mark.parametrize("metric,element", CASES)
def test_exact_answers_are_numpys(db, metric, element):
    vectors = matrix(500, 19, ELEMENTS[element])
    query = matrix(1, 19, ELEMENTS[element], SEED + 1)[0]
    table = vector_table(db, vectors)
    found = table.search(query).metric(metric).limit(20).to_arrow()
    true = distances(vectors, query, metric)
    order = np.lexsort((np.arange(len(true)), true))[:20]
    got = found["_distance"].to_numpy()
    assert found["_distance"].type == pa.float32()
    assert np.allclose(got, true[order], rtol=2e-3 if element == "float16" else 1e-5, atol=1e-5)
    assert np.allclose(true[found["id"].to_numpy()], got, rtol=2e-3 if element == "float16" else 1e-5, atol=1e-5)
    assert (np.diff(got) >= 0).all()


def test_rows_by_the_definition_of_each_metric(db):
    table = vector_table(db, np.array([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]], "f4"))

    def answer(metric):
        return {row["id"]: row["_distance"] for row in table.search([1.0, 0.0]).metric(metric).to_list()}

    assert answer("l2") == {0: 20.0, 1: 1.0, 2: 0.0}
    assert answer("L2") == answer("euclidean") == answer("l2")
    assert answer("dot") == {0: -2.0, 1: 1.0, 2: 0.0}
    assert answer("cosine") == pytest.approx({0: 0.4, 1: 1.0, 2: 0.0})
    with pytest.raises(ValueError, match="metric|distance"):
        table.search([1.0, 0.0]).metric("taxicab")


def test_the_metric_of_the_table_is_the_default(db):
    table = vector_table(db, np.array([[3.0, 4.0], [0.1, 0.0]], "f4"), metric="cosine")
    assert table.search([3.0, 4.0]).limit(1).to_list()[0]["_distance"] == pytest.approx(0.0, abs=1e-6)
    assert table.search([1.0, 0.0]).limit(1).to_list()[0]["id"] == 1


QUERY = np.array([0.25, 0.5, -1.0, 2.0], "f4")
QUERIES = {
    "float32": QUERY,
    "float64": QUERY.astype("f8"),
    "float16": QUERY.astype("f2"),
    "strided": np.repeat(QUERY, 2)[::2],
    "read only": np.frombuffer(QUERY.tobytes(), "f4"),
    "list": QUERY.tolist(),
    "tuple": tuple(QUERY.tolist()),
    "list of numpy numbers": list(QUERY),
    "arrow": pa.array(QUERY),
    "arrow chunked": pa.chunked_array([QUERY[:2], QUERY[2:]]),
    "polars": pl.Series(QUERY),
    "pandas": pd.Series(QUERY),
    "memoryview": memoryview(QUERY),
    "generator": (float(x) for x in QUERY),
}


@pytest.mark.parametrize("kind", QUERIES)
def test_any_form_of_a_vector_is_a_query(db, kind):
    vectors = matrix(100, 4, "f4")
    table = vector_table(db, vectors)
    found = table.search(QUERIES[kind]).limit(3).to_list()
    assert [row["id"] for row in found] == np.argsort(distances(vectors, QUERY, "l2"))[:3].tolist()
    assert "query_index" not in found[0]


@pytest.mark.parametrize("kind", ["matrix", "double", "list of lists", "list of arrays", "arrow", "polars"])
def test_several_vectors_give_a_query_index(db, kind):
    vectors, queries = matrix(200, 4, "f4"), matrix(5, 4, "f4", SEED + 2)
    table = vector_table(db, vectors)
    forms = {
        "matrix": queries, "double": queries.astype("f8"), "list of lists": queries.tolist(), "list of arrays": list(queries),
        "arrow": pa.array(queries.tolist()), "polars": pl.Series(queries.tolist()),
    }  # fmt: skip
    found = table.search(forms[kind]).limit(3).to_pandas()
    assert found["query_index"].tolist() == [i for i in range(5) for _ in range(3)]
    for i, query in enumerate(queries):
        assert found["id"][found["query_index"] == i].tolist() == np.argsort(distances(vectors, query, "l2"))[:3].tolist()
    assert len(table.search(queries[:1]).limit(3).to_list()) == 3


@pytest.mark.parametrize("kind,metric", [("IVF_RQ", "cosine"), ("IVF_PQ", "l2"), ("IVF_FLAT", "hamming"), (None, "dot")])
def test_many_vectors_find_what_each_finds_alone(db, kind, metric):
    numbers = "u1" if metric == "hamming" else "f4"
    vectors, queries = matrix(6000, 24, numbers), matrix(300, 24, numbers, SEED + 3)
    table = vector_table(db, vectors, metric=metric)
    if kind:
        table.create_index(metric=metric, index_type=kind)
    alone = table.searcher(k=7, recall=0.9)
    for threads in (1, 2, 5):
        ids, far = table.searcher(k=7, recall=0.9, threads=threads)(queries)
        for i, query in enumerate(queries):
            id, distance = alone(query)
            assert ids[i].tolist() == id.tolist() and far[i].tolist() == distance.tolist()


def test_threads_that_share_an_exact_scan_find_the_same(db):
    vectors, queries = matrix(40_000, 100, "f4"), matrix(3, 100, "f4", SEED + 4)
    table = vector_table(db, vectors[:30_000])
    table.create_index()
    table.add({"id": np.arange(30_000, 40_000), "vector": vectors[30_000:]})
    for recall in (1.0, 0.9):
        alone, shared = table.searcher(k=20, recall=recall), table.searcher(k=20, recall=recall, threads=3)
        for query in queries:
            assert alone(query)[0].tolist() == shared(query)[0].tolist()
            assert alone(query)[1].tolist() == shared(query)[1].tolist()
    true = np.argsort(distances(vectors, queries[0], "l2"), kind="stable")[:20]
    assert table.searcher(k=20, recall=1.0, threads=3)(queries[0])[0].tolist() == true.tolist()


@pytest.mark.parametrize(
    "query,kind",
    [([], ValueError), ([1.0], ValueError), (np.ones(5), ValueError), ([1.0, None, 1.0, 1.0], ValueError), (["a"] * 4, ValueError),
     (3.0, ValueError), ({"a": 1}, TypeError), (np.array([1.0, np.nan, 0, 0]), ValueError), (np.ones((2, 2, 2)), ValueError),
     ([[1.0] * 4, [1.0]], ValueError), (np.array(["a"] * 4), ValueError)],
)  # fmt: skip
def test_what_is_no_query_is_refused(db, query, kind):
    table = vector_table(db, matrix(10, 4, "f4"))
    with pytest.raises(kind):
        table.search(query).to_list()


def test_a_wrong_dimension_is_said_with_both_numbers(db):
    table = vector_table(db, matrix(10, 4, "f4"))
    with pytest.raises(ValueError, match="5.*4|4.*5"):
        table.search(np.ones(5)).to_list()


def test_the_vector_column_is_found_or_named(db):
    table = db.create_table("two", [{"a_vector": [1.0, 0.0], "b_vector": [0.0, 1.0], "n": 1}])
    with pytest.raises(ValueError, match="a_vector.*b_vector"):
        table.search([1.0, 0.0]).to_list()
    assert table.search([1.0, 0.0], vector_column_name="b_vector").to_list()[0]["_distance"] == 2.0
    with pytest.raises(ValueError, match="nope"):
        table.search([1.0, 0.0], vector_column_name="nope").to_list()
    with pytest.raises(ValueError):
        table.search([1.0, 0.0], "n").to_list()
    with pytest.raises(ValueError):
        db.create_table("none", [{"n": 1}]).search([1.0]).to_list()


def test_limits(db):
    table = vector_table(db, matrix(50, 4, "f4"))
    assert len(table.search(QUERY).to_list()) == 10
    assert len(table.search(QUERY).limit(99).to_list()) == 50
    for bad in (0, -1, None):
        with pytest.raises(ValueError, match="Limit is required for ANN/KNN queries"):
            table.search(QUERY).limit(bad)
    everything = [row["id"] for row in table.search(QUERY).limit(50).to_list()]
    assert [row["id"] for row in table.search(QUERY).limit(5).offset(7).to_list()] == everything[7:12]
    assert table.search(QUERY).offset(99).to_list() == []


def test_columns(db):
    table = vector_table(db, matrix(20, 4, "f4"))
    assert table.search(QUERY).limit(1).to_arrow().column_names == ["id", "vector", "_distance"]
    assert list(table.search(QUERY).select(["id"]).to_list()[0]) == ["id", "_distance"]
    assert list(table.search(QUERY).select([]).to_list()[0]) == ["_distance"]
    assert list(table.search(QUERY).select(["_distance", "id"]).to_list()[0]) == ["_distance", "id"]
    row = table.search(QUERY).select({"id": "id"}).with_row_id().to_list()[0]
    assert list(row) == ["id", "_distance", "_rowid"] and row["_rowid"] == row["id"]
    with pytest.raises(ValueError, match="nope"):
        table.search(QUERY).select(["nope"]).to_list()


def test_a_range_of_distances(db):
    vectors = matrix(300, 4, "f4")
    table = vector_table(db, vectors)
    true = distances(vectors, QUERY, "l2")
    found = table.search(QUERY).distance_range(1.0, 4.0).limit(300).to_list()
    assert {row["id"] for row in found} == set(np.flatnonzero((true >= 1) & (true < 4)).tolist())
    assert {row["id"] for row in table.search(QUERY).distance_range(upper_bound=2.0).limit(300).to_list()} == set(np.flatnonzero(true < 2).tolist())
    assert {row["id"] for row in table.search(QUERY).distance_range(lower_bound=2.0).limit(300).to_list()} == set(np.flatnonzero(true >= 2).tolist())


def test_options_out_of_range_are_refused(db):
    table = vector_table(db, matrix(20, 4, "f4"))
    query = table.search(QUERY)
    calls = [
        lambda: query.nprobes(-1), lambda: query.refine_factor(0), lambda: query.ef(-1), lambda: query.recall(-0.1), lambda: query.recall(1.1),
        lambda: query.offset(-1), lambda: query.nprobes("many"), lambda: query.minimum_nprobes(0), lambda: query.nprobes(2**32),
        lambda: table.search(QUERY).minimum_nprobes(5).maximum_nprobes(4), lambda: table.search(QUERY).maximum_nprobes(4).minimum_nprobes(5),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ValueError):
            call()
    chained = table.search(QUERY).nprobes(0).minimum_nprobes(1).maximum_nprobes(0).refine_factor(1).ef(10).recall(1.0).fast_search().bypass_vector_index()
    assert isinstance(chained.to_list(), list)


def test_all_forms_of_an_answer_agree(db):
    table = vector_table(db, matrix(100, 4, "f4"))
    query = table.search(QUERY).limit(7).with_row_id()
    rows = query.to_list()
    assert query.to_arrow().to_pylist() == rows
    assert pa.table(query).to_pylist() == rows
    assert query.to_polars().to_dicts() == pl.DataFrame(query).to_dicts() == rows
    assert query.to_batches().read_all().to_pylist() == rows
    assert query.to_pandas()["id"].tolist() == [row["id"] for row in rows]
    found = query  # noqa: F841
    assert duckdb.sql("select id from found").fetchall() == [(row["id"],) for row in rows]
    assert pa.schema(query).names == ["id", "vector", "_distance", "_rowid"]
    assert all(isinstance(value, float) for value in rows[0]["vector"])


def test_to_df_is_the_first_releases_face(db):
    frame = vector_table(db, matrix(100, 4, "f4")).search(QUERY).limit(2).to_df()
    assert list(frame.columns) == ["id", "vector", "score"]
    assert frame["score"].dtype == "float32" and frame["score"].is_monotonic_increasing


def test_ties_are_ordered_by_row(db):
    table = vector_table(db, np.ones((100, 4), "f4"))
    assert [row["id"] for row in table.search(QUERY).limit(100).to_list()] == list(range(100))


def test_null_vectors_are_never_found(db):
    table = db.create_table("t", [{"vector": [1.0, 2.0]}, {"vector": None}, {"vector": [3.0, 4.0]}])
    assert len(table.search([0.0, 0.0]).to_list()) == 2


def test_real_embeddings_are_searched_exactly(db, debian):
    table = vector_table(db, debian.vectors, metric="cosine")
    hits = 0
    for query, truth in zip(debian.queries[:50], debian.truth[:50]):
        hits += len(set(truth[:10]) & {row["id"] for row in table.search(query).select(["id"]).to_list()})
    assert hits / 500 >= 0.998  # float16 ties


# ---- indexes


@pytest.fixture
def indexed(db, debian):
    table = vector_table(db, debian.vectors, metric="cosine")
    table.create_index(metric="cosine", num_partitions=64)
    return table


def recall(table, debian, make, queries=50):
    hits = 0
    for query, truth in zip(debian.queries[:queries], debian.truth[:queries]):
        hits += len(set(truth[:10]) & {row["id"] for row in make(table.search(query)).select(["id"]).to_list()})
    return hits / (10 * queries)


def test_an_index_answers_well_and_says_so(indexed, debian):
    assert recall(indexed, debian, lambda query: query) >= 0.9
    assert recall(indexed, debian, lambda query: query.nprobes(64).refine_factor(20)) >= 0.98
    assert recall(indexed, debian, lambda query: query.bypass_vector_index()) >= 0.995
    assert recall(indexed, debian, lambda query: query.recall(1.0)) >= 0.995
    (index,) = indexed.list_indices()
    assert (index.name, index.index_type, index.columns) == ("vector_idx", "IvfRq", ["vector"])
    assert (index.num_indexed_rows, index.num_unindexed_rows) == (10_000, 0)
    assert index.size_bytes > 0 and index.num_partitions == 64 and index.distance_type == "cosine"
    stats = indexed.index_stats("vector_idx")
    assert stats.num_indexed_rows == 10_000 and stats["index_type"] == "IVF_RQ" and stats.distance_type == "cosine"
    assert indexed.index_stats("nope") is None
    assert re.search("(?i)ivf", indexed.search(debian.queries[0]).explain_plan())
    assert re.search("(?i)exact|scan", indexed.search(debian.queries[0]).bypass_vector_index().explain_plan())


def test_rows_added_after_the_index_are_found(indexed, debian):
    indexed.add({"id": np.array([77_777]), "vector": debian.queries[:1]})
    assert indexed.search(debian.queries[0]).limit(1).to_list()[0]["id"] == 77_777
    assert indexed.search(debian.queries[0]).limit(1).fast_search().to_list()[0]["id"] != 77_777
    assert indexed.index_stats("vector_idx").num_unindexed_rows == 1


def test_another_metric_than_the_indexs_is_exact(indexed, debian):
    query = debian.queries[0]
    true = np.argsort(distances(debian.vectors, query, "l2"), kind="stable")[:10]
    assert [row["id"] for row in indexed.search(query).metric("l2").to_list()] == true.tolist()


def test_dropping_and_waiting(indexed):
    indexed.wait_for_index(["vector_idx"])
    indexed.prewarm_index("vector_idx")
    with pytest.raises(KeyError, match="nope"):
        indexed.prewarm_index("nope")
    with pytest.raises(ValueError, match="nope"):
        indexed.wait_for_index(["nope"])
    indexed.drop_index("vector_idx")
    assert indexed.list_indices() == []
    with pytest.raises(RuntimeError):
        indexed.drop_index("vector_idx")


@pytest.fixture
def small(db):
    return vector_table(db, matrix(600, 16, "f4"))


FORMS = {
    "nothing": (lambda t: t.create_index(), "l2", "IvfRq"),
    "old, a metric": (lambda t: t.create_index("L2"), "l2", "IvfRq"),
    "old, by place": (lambda t: t.create_index("cosine", 2, 4), "cosine", "IvfPq"),
    "old, by name": (lambda t: t.create_index(metric="dot", num_partitions=2, num_sub_vectors=4, vector_column_name="vector"), "dot", "IvfPq"),
    "old, a type": (lambda t: t.create_index(index_type="IVF_FLAT"), "l2", "IvfFlat"),
    "new, a column": (lambda t: t.create_index("vector"), "l2", "IvfRq"),
    "new, all of it": (lambda t: t.create_index("vector", config=IvfPq("cosine", num_partitions=2, num_sub_vectors=4, num_bits=4)), "cosine", "IvfPq"),
    "new, flat": (lambda t: t.create_index("vector", config=IvfFlat(num_partitions=4)), "l2", "IvfFlat"),
    "new, SQ": (lambda t: t.create_index("vector", config=IvfSq("dot", num_partitions=4)), "dot", "IvfSq"),
    "new, RQ": (lambda t: t.create_index("vector", config=IvfRq("cosine", num_partitions=4)), "cosine", "IvfRq"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_both_forms_of_create_index(small, form):
    call, metric, kind = FORMS[form]
    call(small)
    (index,) = small.list_indices()
    assert (index.distance_type, index.index_type, index.name) == (metric, kind, "vector_idx")


@pytest.mark.parametrize("config,bits", [(IvfRq(), 4), (IvfRq(num_bits=None), 4), (IvfRq(num_bits=1), 1), (IvfRq(num_bits=9), 9), (IvfSq(), 8)])
def test_bits_are_those_asked_for(small, config, bits):
    small.create_index("vector", config=config)
    assert small.list_indices()[0].num_bits == bits
    assert [row["id"] for row in small.search(np.ones(16)).recall(0.99).limit(3).to_list()] == [
        row["id"] for row in small.search(np.ones(16)).recall(1).limit(3).to_list()
    ]


def test_lists_may_be_chosen_by_their_size(small):
    small.create_index("vector", config=IvfRq(target_partition_size=100))
    assert small.list_indices()[0].num_partitions == 6
    small.create_index(target_partition_size=50)
    assert small.list_indices()[0].num_partitions == 12


def test_a_configs_metric_is_the_columns_where_it_names_none(db):
    table = vector_table(db, matrix(300, 8, "f4"), metric="cosine")
    table.create_index("vector", config=IvfRq())
    assert table.list_indices()[0].distance_type == "cosine"


def test_an_index_may_have_a_name(small):
    small.create_index("vector", config=IvfFlat(), name="another")
    assert [index.name for index in small.list_indices()] == ["another"]


def test_an_index_is_kept_when_it_must_not_be_replaced(small):
    small.create_index(replace=False)
    with pytest.raises(RuntimeError):
        small.create_index(replace=False)


def test_parameters_that_do_not_fit_are_refused(small):
    for call in (
        lambda: small.create_index(num_sub_vectors=5), lambda: small.create_index(num_partitions=0), lambda: small.create_index(num_bits=10),
        lambda: small.create_index(metric="hamming"), lambda: small.create_index("nope"), lambda: small.create_index(index_type="MAGIC"),
        lambda: small.create_index(vector_column_name="nope"), lambda: small.create_index("vector", config=3), lambda: small.create_index(num_partitions=-1),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            call()
    assert small.list_indices() == []


@pytest.mark.parametrize("config", [FTS()])
def test_indexes_of_later_versions_are_refused_in_words(small, config):
    with pytest.raises(NotImplementedError):
        small.create_index("vector", config=config)


@pytest.mark.parametrize("rows", [0, 1, 3, 40])
def test_an_index_of_few_rows_answers_too(db, rows):
    vectors = matrix(rows, 8, "f4")
    table = vector_table(db, vectors) if rows else db.create_table("t", schema=pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.float32(), 8))]))
    table.create_index()
    assert len(table.search(np.ones(8)).to_list()) == min(rows, 10)


# ---- searchers


def test_a_searcher_gives_ids_and_distances(db, debian):
    table = vector_table(db, debian.vectors, metric="cosine")
    nearest = table.searcher(k=10)
    for query, truth in zip(debian.queries[:20], debian.truth[:20]):
        ids, found = nearest(query)
        assert ids.dtype == np.uint64 and found.dtype == np.float32 and ids.shape == found.shape == (10,)
        assert len(set(ids.tolist()) & set(truth[:10].tolist())) >= 9
    many, far = nearest(debian.queries[:7])
    assert many.shape == far.shape == (7, 10)
    for i in range(7):
        assert many[i].tolist() == nearest(debian.queries[i].astype("f4"))[0].tolist() == nearest(debian.queries[i].tolist())[0].tolist()


def test_a_searcher_pads_follows_and_refuses(db):
    table = vector_table(db, matrix(3, 4, "f4"))
    nearest = table.searcher(k=5)
    ids, found = nearest(QUERY)
    assert ids[3:].tolist() == [2**64 - 1] * 2 and np.isinf(found[3:]).all()
    table.add({"id": np.arange(2), "vector": matrix(2, 4, "f4")})
    assert (nearest(QUERY)[0] < 5).all()
    for bad in (np.ones(5), [1.0], "x", np.ones((2, 3))):
        with pytest.raises(ValueError):
            nearest(bad)
    with pytest.raises(TypeError):
        nearest()
    with pytest.raises(ValueError):
        table.searcher(k=0)
    for no_column in ("nope", "l2"):
        with pytest.raises(kith.errors.NotFoundError, match=f"no column '{no_column}'.* vector$"):
            table.searcher(vector_column_name=no_column)
    for no_metric in (5, None, b"l2"):
        with pytest.raises(kith.errors.TypeMismatchError, match="a metric is a text"):
            table.search(QUERY).metric(no_metric)
    with pytest.raises(ValueError):
        table.searcher(vector_column_name="id")
    one = table.searcher(k=2, metric="cosine", recall=1.0, nprobes=1, refine_factor=1, ef=1, threads=1)
    assert one(QUERY)[0].shape == (2,)
    del table
    assert nearest(QUERY)[0].shape == (5,)


def test_a_matrix_of_no_queries(db):
    table = vector_table(db, matrix(20, 4, "f4"))
    for numbers in ("f4", "f8", "i8"):
        ids, found = table.searcher(k=5)(np.empty((0, 4), numbers))
        assert ids.shape == found.shape == (0, 5)
    for none in (np.empty((0, 4), "f4"), np.empty((0, 4), "i8")):
        with pytest.raises(ValueError, match="no rows"):
            table.search(none)
        with pytest.raises(ValueError, match="no rows"):
            table.measure_recall(queries=none)


def test_of_several_vector_columns_the_one_of_the_dimension_is_meant(db):
    vectors = matrix(300, 8, "f4")
    narrow = np.ascontiguousarray(vectors[:, :3])
    table = db.create_table("two", {"n": np.arange(300), "wide_vector": vectors, "narrow_vector": narrow})
    for query in (vectors[7], narrow[7]):
        assert table.search(query).limit(1).to_list()[0]["n"] == 7
    with pytest.raises(ValueError, match="say which one"):  # there is none of this dimension
        table.search(np.ones(5)).to_list()
    with pytest.raises(ValueError, match="wide_vector, narrow_vector"):  # no query says it
        table.searcher()
    three = db.create_table("three", {"n": np.arange(300), "vector": vectors, "other_vector": vectors[::-1].copy(), "narrow_vector": narrow})
    assert three.search(vectors[7]).limit(1).to_list()[0]["n"] == 7  # "vector" of the two
    assert three.search(narrow[7]).limit(1).to_list()[0]["n"] == 7
    assert three.searcher(k=1)(vectors[7])[0].tolist() == [7]
    assert three.measure_recall(sample=5, recalls=[0.9]).queries == 5


@pytest.mark.parametrize("params", [{"treshold": 3}, {"threshold": "3"}, {"threshold": 1.5}, {"threshold": 0}, {"threshold": -2}, 3])
def test_index_params_that_cannot_be_meant_are_refused(db, params):
    with pytest.raises(ValueError, match="index_params"):
        db.create_table("t", {"vector": matrix(5, 4, "f4")}, index_params=params)
    assert db.create_table("t", {"vector": matrix(5, 4, "f4")}, index_params={"threshold": 3}).list_indices()
    assert not db.create_table("u", {"vector": matrix(5, 4, "f4")}, index_params={"threshold": -1}).list_indices()
    with pytest.raises(ValueError, match="index_type"):
        db["t"].create_index(index_type=5)


def test_a_builders_own_cost_is_small(db):
    import time

    table = vector_table(db, matrix(100, 8, "f4"))
    query = np.ones(8, "f4")
    nearest = table.searcher(k=10)

    def best(call):
        times = []
        for _ in range(2000):
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)
        return min(times)

    builder = best(lambda: table.search(query).limit(10).select([]).to_list())
    assert builder - best(lambda: nearest(query)) < 60e-6  # 5 us on a quiet machine


@pytest.mark.parametrize("dim", [1, 2, 3, 31, 33, 1000, 4096, 65536])
def test_an_index_of_any_dimension_finds_the_nearest(db, dim):
    rows = 2000 if dim <= 1000 else 400 if dim == 4096 else 60
    vectors = matrix(rows, dim, "f4", SEED + dim)
    table = vector_table(db, vectors)
    table.create_index()
    assert table.list_indices()[0].index_type == "IvfRq"
    found = 0
    for i in range(0, rows, rows // 20):
        query = vectors[i] + np.float32(0.01)
        ids, far = table.searcher(k=5, recall=0.99)(query)
        true = np.sort(distances(vectors, query, "l2"))
        found += int((far <= true[4] * (1 + 1e-4) + 1e-6).sum())
    assert found >= 0.95 * 5 * len(range(0, rows, rows // 20))


def test_the_index_file_of_another_table_is_refused(db):
    tables = [vector_table(db, matrix(3000, 16, "f4", SEED + i), name=f"t{i}") for i in range(2)]
    for table in tables:
        table.create_index()
    files = [next((Path(db.uri) / f"t{i}.kith" / "index").iterdir()) for i in range(2)]
    one, other = (file.read_bytes() for file in files)
    files[0].write_bytes(other)
    files[1].write_bytes(one)
    for i in range(2):
        with pytest.raises(kith.errors.CorruptError, match=re.escape(files[i].name)):
            kith.connect(Path(db.uri)).open_table(f"t{i}").search(np.ones(16, "f4")).to_list()
