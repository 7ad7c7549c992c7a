"""Deep Lake's vector store over Kith: what 3.9 gives and raises, held to numpy and to its documentation."""

import logging
import os
import subprocess
import sys
import uuid

import numpy as np
import pytest

import kith
from kith.deeplake import exceptions as errors

DIM = 16
METRICS = ("COS", "L2", "L1", "MAX", "DOT")


def scores(vectors, query, metric):
    """Deep Lake's scores by the definition."""
    rows, one = np.asarray(vectors, "f8"), np.asarray(query, "f8")
    if metric == "COS":
        return rows @ one / (np.linalg.norm(rows, axis=1) * np.linalg.norm(one))
    if metric == "DOT":
        return rows @ one
    return np.linalg.norm(rows - one, axis=1, ord={"L2": 2, "L1": 1, "MAX": np.inf}[metric])


def nearest(vectors, query, metric, k, admitted=None):
    found = scores(vectors, query, metric)
    order = np.argsort(-found if metric in ("COS", "DOT") else found, kind="stable")
    if admitted is not None:
        order = [row for row in order if admitted[row]]
    return list(order[:k]), found[order[:k]]


class Data:
    def __init__(self, rows=200, dim=DIM, seed=7):
        rng = np.random.default_rng(seed)
        self.vectors = rng.standard_normal((rows, dim)).astype("f4")
        self.texts = [f"text {row}" for row in range(rows)]
        self.metadata = [{"n": row, "group": row % 5, "source": f"file {row % 3}.txt", "odd": row % 2 == 1} for row in range(rows)]
        self.ids = [f"id-{row}" for row in range(rows)]

    def into(self, store, rows=slice(None)):
        return store.add(
            text=self.texts[rows], metadata=self.metadata[rows], embedding=self.vectors[rows], id=self.ids[rows], return_ids=True
        )


@pytest.fixture(params=["disk", "memory"])
def path(request, tmp_path):
    return str(tmp_path / "store") if request.param == "disk" else f"mem://{uuid.uuid4()}"


@pytest.fixture
def data():
    return Data()


@pytest.fixture
def store(path, data):
    made = kith.VectorStore(path)
    data.into(made)
    return made


def rows_of(answer):
    return [int(text.split()[1]) for text in answer["text"]]


# ---- what is stored and found


def test_what_was_added_is_there_and_comes_back(store, data, path):
    assert len(store) == 200 and kith.VectorStore is kith.deeplake.VectorStore
    answer = store.search(embedding=data.vectors[7])
    assert list(answer) == ["score", "text", "metadata", "id"] and {len(column) for column in answer.values()} == {4}
    assert answer["text"][0] == "text 7" and answer["metadata"][0] == data.metadata[7] and answer["id"][0] == "id-7"
    assert isinstance(answer["score"][0], float) and isinstance(answer["text"][0], str) and type(answer["metadata"][0]) is dict
    everything = store.search(embedding=data.vectors[7], k=1, return_tensors="*")
    assert list(everything) == ["score", "text", "metadata", "embedding", "id"]
    assert everything["embedding"][0].dtype == np.float32 and np.array_equal(everything["embedding"][0], data.vectors[7])
    assert list(store.search(embedding=data.vectors[7], return_tensors=["id"])) == ["score", "id"]
    again = kith.VectorStore(path)
    assert len(again) == 200 and again.search(embedding=data.vectors[9], k=1)["id"] == ["id-9"]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("option", ["auto", "python", "compute_engine", "tensor_db"])
def test_every_metric_gives_the_rows_and_scores_of_the_definition(store, data, metric, option):
    rng = np.random.default_rng(1)
    for query in rng.standard_normal((5, DIM)).astype("f4"):
        rows, expected = nearest(data.vectors, query, metric, 6)
        answer = store.search(embedding=query, k=6, distance_metric=metric.lower(), exec_option=option)
        assert rows_of(answer) == rows
        np.testing.assert_allclose(answer["score"], expected, rtol=1e-6)


@pytest.mark.parametrize("metric, own", [("COS", 1.0), ("L2", 0.0), ("L1", 0.0), ("MAX", 0.0)])
def test_a_vector_has_exactly_one_or_zero_to_itself(store, data, metric, own):
    for row in range(0, 200, 3):
        answer = store.search(embedding=data.vectors[row], k=1, distance_metric=metric)
        assert answer["score"] == [own] and answer["id"] == [f"id-{row}"]


def test_scores_are_in_order_even_where_float32_sees_ties(path):
    rng = np.random.default_rng(3)
    vectors = (rng.standard_normal(DIM) + rng.standard_normal((50, DIM)) * 1e-6).astype("f4")
    store = kith.VectorStore(path, tensor_params=[{"name": "embedding", "htype": "embedding"}])
    store.add(embedding=vectors)
    for metric in METRICS:
        found = store.search(embedding=vectors[0], k=50, distance_metric=metric)["score"]
        assert found == sorted(found, reverse=metric in ("COS", "DOT"))


def test_k_is_what_is_asked_for_or_what_there_is(store, data):
    assert len(store.search(embedding=data.vectors[0], k=1000)["id"]) == 200
    assert store.search(embedding=data.vectors[0], k=0) == {"score": [], "text": [], "metadata": [], "id": []}
    with pytest.raises(ValueError):
        store.search(embedding=data.vectors[0], k=-1)


def test_a_matrix_of_queries_gives_a_list_of_answers(store, data):
    for metric in METRICS:
        answers = store.search(embedding=data.vectors[:3], k=4, distance_metric=metric)
        assert answers == [store.search(embedding=one, k=4, distance_metric=metric) for one in data.vectors[:3]]
    few = store.search(embedding=data.vectors[:2], k=4, filter={"id": ["id-3"]})
    assert [one["id"] for one in few] == [["id-3"], ["id-3"]]
    assert store.search(embedding=data.vectors[:1], k=1)["id"] == ["id-0"]  # one row is one query


def test_a_zero_vector_is_like_none(path):
    store = kith.VectorStore(path)
    store.add(text=["zero", "one"], metadata=[{}, {}], embedding=[[0.0, 0.0], [1.0, 0.0]])
    answer = store.search(embedding=[1.0, 0.0], k=2)
    assert answer["text"] == ["one", "zero"] and answer["score"] == [1.0, 0.0]
    assert store.search(embedding=[0.0, 0.0], k=2)["score"] == [0.0, 0.0]
