"""Searches: the nearest rows by Deep Lake's metrics, with scores that are exact.

COS, L2 and DOT are Kith's, by index or by scan. Of the k rows that are found the vectors come along, and their scores are
computed again in float64 by the definition: so a vector has 1.0 or 0.0 to itself whatever codes an index has, and the
order is that of the scores that are told. L1 and MAX have no index: every admitted row is read, in pages, by numpy; so is
any metric where the farthest rows are asked for.
"""

from __future__ import annotations

import numpy as np

from .. import _core
from ..query import VectorQuery
from . import _tensors
from ._index import KITH_METRICS

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any, Sequence

    from ..expr import Expr
    from ..table import Table

SIMILARITIES = ("COS", "DOT")  # greater is nearer
_MOST = 1 << 20  # rows that one search of the library gives
_PAGE_BYTES = 16 << 20  # of float32: what an exact scan in numpy reads at once


class Found:
    """The rows found for one vector, nearest first: their ids, scores, and the columns that were asked for."""

    __slots__ = ("ids", "scores", "columns")

    def __init__(self, ids: np.ndarray, scores: np.ndarray, columns: dict[str, tuple[Any, ...]]) -> None:
        self.ids = ids
        self.scores = scores
        self.columns = columns


def scores_of(rows: np.ndarray, query: np.ndarray, metric: str) -> np.ndarray:
    """The scores of rows by the definition, in float64."""
    vectors = rows.astype("f8")
    one = query.astype("f8")
    if metric == "L2":
        return np.sqrt(np.square(vectors - one).sum(axis=1))
    if metric == "L1":
        return np.abs(vectors - one).sum(axis=1)
    if metric == "MAX":
        return np.abs(vectors - one).max(axis=1)
    products = vectors @ one
    return products if metric == "DOT" else _cosines(vectors, one, products)


def _cosines(vectors: np.ndarray, one: np.ndarray, products: np.ndarray) -> np.ndarray:
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors) * (one @ one))
    if not lengths.all():
        products = np.where(lengths > 0, products, 0.0)  # a zero vector is like none
        lengths[lengths == 0] = 1.0
    cosines = products / lengths
    close = np.flatnonzero(np.abs(cosines) > 1 - 1e-12)
    if len(close):  # the last bits of a sum depend on its order, and a vector is like itself by definition
        same = (vectors[close] == one).all(axis=1)
        cosines[close] = np.where(same, 1.0, np.maximum(np.minimum(cosines[close], 1.0), -1.0))
    return cosines


def nearest(
    table: Table, tensor: str, queries: np.ndarray, k: int, metric: str, where: Expr | None, exact: bool,
    names: Sequence[str],
) -> list[Found]:  # fmt: skip
    """Find the k nearest rows of each query, which is a row of a matrix.

    Parameters
    ----------
    names : sequence of str
        Columns of the table that are wanted of each row; others than the embeddings themselves, which always come.
    """
    if metric not in KITH_METRICS or k == 0 or min(k, len(table)) > _MOST:
        return [ranked(table, tensor, query, k, metric, where) for query in queries]
    made = VectorQuery()
    made.set_vectors(table._table, queries if len(queries) > 1 else queries[0])
    made._column = tensor
    made.metric(KITH_METRICS[metric]).limit(min(k, max(len(table), 1))).with_row_id()
    made._exact = exact
    made._where = None if where is None else where._expr
    made._columns = (*names, tensor) if tensor not in names else tuple(names)
    columns = {column[0]: column for column in _core.stream_columns(_core.search_stream(made))}
    if len(queries) == 1:
        return [_rescored(columns, tensor, queries[0], metric)]
    which = np.frombuffer(columns["query_index"][4], "i4")
    bounds = np.searchsorted(which, np.arange(len(queries) + 1))
    return [
        _rescored({name: _cut(column, low, high) for name, column in columns.items()}, tensor, query, metric)
        for query, low, high in zip(queries, bounds[:-1].tolist(), bounds[1:].tolist())
    ]


def _rough(rows: np.ndarray, query: np.ndarray, metric: str) -> np.ndarray:
    """L1 and MAX in float32, at a quarter of the time. A sum of positive numbers by halves errs by some 2^-20 of itself."""
    with np.errstate(over="ignore"):  # what is infinite here is kept, and told apart in float64
        apart = np.subtract(rows, query, dtype=np.float32)
        np.abs(apart, out=apart)
        return apart.max(axis=1) if metric == "MAX" else apart.sum(axis=1)


def _likely(rows: np.ndarray, query: np.ndarray, metric: str, k: int) -> np.ndarray:
    """The places of rows that may be among the k nearest by L1 or MAX: a thousandth more than the k-th is room enough."""
    rough = _rough(rows, query, metric)
    bound = np.partition(rough, k - 1)[k - 1]
    return np.flatnonzero(rough <= bound * 1.001)


def _cut(column: tuple[Any, ...], low: int, high: int) -> tuple[Any, ...]:
    name, format_, item, width, values, valid = column
    if isinstance(values, list):
        return name, format_, item, width, values[low:high], valid
    size = np.dtype(_tensors._array_types[item or format_]).itemsize * (width or 1)
    return name, format_, item, width, values[low * size : high * size], None if valid is None else valid[low:high]


def _picked(column: tuple[Any, ...], order: np.ndarray) -> tuple[Any, ...]:
    name, format_, item, width, values, valid = column
    kept = None if valid is None else bytearray(np.frombuffer(valid, "u1")[order].tobytes())
    if isinstance(values, list):
        return name, format_, item, width, [values[at] for at in order.tolist()], kept
    return name, format_, item, width, bytearray(_tensors.numbers_of(column)[order].tobytes()), kept


def _rescored(columns: dict[str, tuple[Any, ...]], tensor: str, query: np.ndarray, metric: str) -> Found:
    scores = scores_of(_tensors.numbers_of(columns[tensor]), query, metric)
    ids = _tensors.numbers_of(columns["_rowid"])
    before, after = (scores[1:], scores[:-1]) if metric in SIMILARITIES else (scores[:-1], scores[1:])
    if (before > after).any():  # float32 saw a tie otherwise
        order = np.argsort(-scores if metric in SIMILARITIES else scores, kind="stable")
        scores, ids = scores[order], ids[order]
        columns = {name: _picked(column, order) for name, column in columns.items()}
    return Found(ids, scores, columns)


def ranked(
    table: Table,
    tensor: str,
    query: np.ndarray,
    k: int | None,
    metric: str,
    where: Expr | None,
    descending: bool | None = None,
) -> Found:
    """Rank rows by reading every one that is admitted: ids and scores of the first k, of all where k is None."""
    down = metric in SIMILARITIES if descending is None else descending
    pinned = table._database.open_table(table.name, version=table.version)
    width = table._dimension(tensor)
    if query.shape != (width,):
        raise ValueError(f"the query vector has {query.shape[-1]} numbers, tensor '{tensor}' holds vectors of {width}")
    page = max(_PAGE_BYTES // (4 * width), 1)
    ids, scores = np.empty(0, "u8"), np.empty(0, "f8")
    at = 0
    while k != 0:
        stream = pinned._table.scan((tensor,), at, page, True, None if where is None else where._expr)
        vectors, rows = _core.stream_columns(stream)
        row_ids = _tensors.numbers_of(rows)
        if not len(row_ids):
            break
        at += len(row_ids)
        there = np.frombuffer(vectors[5], "?") if vectors[5] is not None else np.ones(len(row_ids), "?")
        matrix = _tensors.numbers_of(vectors)
        if not there.all():
            matrix, row_ids = matrix[there], row_ids[there]
        if metric in ("L1", "MAX") and not down and k is not None and k < len(matrix) and matrix.dtype != np.float64:
            kept = _likely(matrix, query, metric, k)
            matrix, row_ids = matrix[kept], row_ids[kept]
        ids = np.concatenate([ids, row_ids])
        scores = np.concatenate([scores, scores_of(matrix, query, metric)])
        order = np.argsort(-scores if down else scores, kind="stable")[:k]
        ids, scores = ids[order], scores[order]
    return Found(ids, scores, {})
