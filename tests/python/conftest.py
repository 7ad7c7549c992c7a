"""Fixtures that all Python tests share: an empty database, real embeddings, exact answers by numpy."""

from __future__ import annotations

import os
import pathlib
import socket
import uuid

import numpy as np
import pytest

import kith

DATA = pathlib.Path(__file__).resolve().parents[2] / "examples" / "data" / "debian-10k"

hypothesis_profile = os.environ.get("KITH_HYPOTHESIS", "fast")


def pytest_configure(config):
    import hypothesis

    hypothesis.settings.register_profile("fast", max_examples=60, deadline=None)
    hypothesis.settings.register_profile("long", max_examples=2000, deadline=None)
    hypothesis.settings.load_profile(hypothesis_profile)


@pytest.fixture
def db(tmp_path):
    return kith.connect(tmp_path / "db")


@pytest.fixture
def offline(monkeypatch):
    """Opening a connection fails the test."""

    def refused(*args, **kwargs):
        raise AssertionError("a connection was to be opened")

    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.fixture(params=["disk", "memory"])
def path(request, tmp_path):
    """Where a store of Deep Lake's face may lie."""
    return str(tmp_path / "store") if request.param == "disk" else f"mem://{uuid.uuid4()}"


@pytest.fixture(scope="session")
def debian():
    """10,000 sentence embeddings (float16, 384 numbers), queries of another kind, and their exact neighbours."""

    class Set:
        vectors = np.load(DATA / "vectors.npy")
        queries = np.load(DATA / "queries.npy")
        truth = np.load(DATA / "truth.npy")

    return Set


def distances(vectors: np.ndarray, query: np.ndarray, metric: str) -> np.ndarray:
    """The distance of each row by the definition, in float64."""
    if metric == "hamming":
        return np.unpackbits(vectors.astype("u1") ^ query.astype("u1"), axis=1).sum(axis=1).astype("f8")
    rows, one = vectors.astype("f8"), query.astype("f8")
    if metric == "l2":
        return ((rows - one) ** 2).sum(axis=1)
    if metric == "dot":
        return 1 - rows @ one
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(one)
    return np.where(lengths == 0, 1.0, 1 - (rows @ one) / np.where(lengths == 0, 1, lengths))


def rows_of(vectors, **columns):
    return [
        {"vector": vector, **{name: values[i] for name, values in columns.items()}} for i, vector in enumerate(vectors)
    ]
