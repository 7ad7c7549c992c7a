"""Queries: set what is wanted one call after another, then ask for the answer in the form that suits.

A vector query is its own options (`_core.Options`): setting one stores a number in a C struct, and the answer is
one call of the library. Nothing is read before a ``to_...`` method or the Arrow protocol asks.
"""

from __future__ import annotations

from . import _core, frames
from .errors import InvalidError, UnsupportedError

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any, NoReturn, Self, Sequence

    import pandas

__all__ = ["Query", "VectorQuery", "ScanQuery", "TakeQuery", "LanceQueryBuilder", "LanceVectorQueryBuilder"]


def refuse(what: str) -> NoReturn:
    """Say that something is not there yet, rather than do something else."""
    raise UnsupportedError(f"{what} is not in this version of Kith")


# What LanceDB's functions take beside our own: accepted, because nothing here depends on it.
_lance_keywords = frozenset(
    "api_key branch client_config data_storage_version enable_v2_manifest_paths host_override index_cache_size "
    "location manifest_enabled namespace namespace_client_impl namespace_client_properties namespace_path region "
    "request_thread_pool session storage_options".split()
)


def lances(function: str, keywords: dict[str, Any]) -> None:
    """Refuse keywords that neither Kith nor LanceDB knows: a typing error must not pass for an option."""
    for keyword in keywords:
        if keyword not in _lance_keywords:
            raise TypeError(f"{function} got an unexpected keyword argument '{keyword}'")


def natural(name: str, value: Any, least: int = 0) -> int:
    """Check a whole number that an option is set to."""
    if not isinstance(value, int):
        value = value.__index__() if hasattr(value, "__index__") else value
    if not isinstance(value, int) or value < least or value > 0xFFFFFFFF:
        raise InvalidError(f"{name} must be a whole number from {least} to {0xFFFFFFFF}, not {value!r}")
    return value


LEAST_RECALL = 1.1754943508222875e-38  # the least float32; 0 is the library's word for "the default"


def share(recall: Any) -> float:
    """Check a wanted recall and make it what the library means by it."""
    try:
        value = float(recall)
    except (TypeError, ValueError):
        value = -1.0
    if not 0 <= value <= 1:
        raise InvalidError(f"recall must be from 0 to 1, not {recall!r}")
    return max(value, LEAST_RECALL)


class Query(frames.Streamable):
    """What vector queries and scans share: columns, limits, forms of the answer."""

    __slots__ = ()

    def _set_columns(self, columns: tuple[str, ...]) -> None:
        raise NotImplementedError

    def select(self, columns: Sequence[str] | dict[str, str]) -> Self:
        """Choose the columns of the answer.

        Parameters
        ----------
        columns : list of str
            Names. A vector query adds ``_distance``, named or not. A dict is taken when each expression is just
            the column's own name.
        """
        if isinstance(columns, dict):
            if any(name != expression for name, expression in columns.items()):
                refuse("select() of expressions")
            columns = list(columns)
        if isinstance(columns, str) or not all(isinstance(name, str) for name in columns):
            raise InvalidError(f"select() takes a list of column names, not {columns!r}")
        self._set_columns(tuple(columns))
        return self

    def where(self, where: Any = None, prefilter: bool = True) -> Self:
        """Keep rows that a condition admits. Not in this version: anything but None is refused."""
        if where is not None:
            refuse("where()")
        return self

    def rerank(self, *args: Any, **kwargs: Any) -> Self:
        """Not in this version."""
        refuse("rerank()")

    def order_by(self, *args: Any, **kwargs: Any) -> Self:
        """Not in this version."""
        refuse("order_by()")

    def text(self, *args: Any, **kwargs: Any) -> Self:
        """Not in this version."""
        refuse("full-text search")

    def phrase_query(self, *args: Any, **kwargs: Any) -> Self:
        """Not in this version."""
        refuse("full-text search")

    def to_df(self) -> pandas.DataFrame:
        """Give the rows as a pandas DataFrame in which the distance is called ``score``.

        This is how LanceDB's first release answered; `to_pandas` calls it ``_distance``.
        """
        return frames.to_pandas(self.__arrow_c_stream__(), {"_distance": "score"})

    def to_pydantic(self, model: Any, *, timeout: Any = None) -> list[Any]:
        """Give the rows as instances of a pydantic model; columns it does not have are left out."""
        names = list(model.model_fields)
        return [model(**{name: row[name] for name in names if name in row}) for row in self.to_list()]

    def explain_plan(self, verbose: bool = False) -> str:
        """Say in words how the query is answered."""
        raise NotImplementedError

    def analyze_plan(self) -> str:
        """Run the query and say what it did and how long that took."""
        from time import perf_counter

        begin = perf_counter()
        rows = len(_core.stream_rows(self.__arrow_c_stream__()))
        return f"{self.explain_plan()}\n  gave {rows} rows in {(perf_counter() - begin) * 1e3:.1f} ms"

    def __arrow_c_schema__(self) -> object:
        """Give the answer's columns as an Arrow schema capsule."""
        return _core.stream_schema(self.__arrow_c_stream__())


class VectorQuery(_core.Options, Query):
    """A search for the rows nearest to one vector or to several.

    Made by ``table.search(vector)``; 10 rows are found unless `limit` says otherwise. Several vectors (a matrix)
    give a column ``query_index`` that tells whose neighbour a row is. The schema of an Arrow answer carries the recall
    to expect: ``to_arrow().schema.metadata[b"kith.recall"]`` is JSON with expected, wanted, calibrated_on,
    calibrated_with and exact.

    Attributes
    ----------
    stats : dict or None
        What the last run did, summed over its vectors; None before the first.

        ================  ==========================================================================================
        lists             visited in the index
        codes             rows whose codes were scanned
        refined           rows whose further bits were read
        rows_read         stored vectors that were read: candidates of the index, and rows it does not cover
        bytes             touched by all of these
        expected_recall   1.0 for an exact scan; what the calibration says, the mean over vectors; None without one
        calibrated_on     "rows" of the table, "queries" given to `create_index`, or None
        calibrated_with   so many of them
        seconds           that the search took, without making the answer
        ================  ==========================================================================================

    Examples
    --------
    >>> import kith
    >>> table = kith.connect("memory://").create_table("t", {"vector": [[float(i), 1.0] for i in range(100)]})
    >>> query = table.search([3.0, 1.0]).limit(2)
    >>> [row["vector"] for row in query.to_list()]
    [[3.0, 1.0], [2.0, 1.0]]
    >>> query.stats["rows_read"], query.stats["expected_recall"]
    (100, 1.0)
    """

    __slots__ = ()

    def _set_columns(self, columns: tuple[str, ...]) -> None:
        self._columns = columns

    def limit(self, limit: int | None) -> VectorQuery:
        """Set how many rows are wanted for each vector.

        Raises
        ------
        ValueError
            When it is None, zero or negative.
        """
        if limit is None or (isinstance(limit, int) and limit <= 0):
            raise InvalidError(f"Limit is required for ANN/KNN queries: a number of rows from 1 on, not {limit!r}")
        self._k = natural("limit", limit, 1)
        return self

    def offset(self, offset: int) -> VectorQuery:
        """Leave out the nearest `offset` rows."""
        self._offset = natural("offset", offset)
        return self

    def metric(self, metric: str) -> VectorQuery:
        """Set how vectors are compared: "l2", "cosine", "dot" or "hamming", in any case.

        One that differs from the index's is answered by an exact scan.
        """
        self._metric = _core.metric(metric)
        return self

    def distance_type(self, distance_type: str) -> VectorQuery:
        """Set how vectors are compared; the same as `metric`."""
        return self.metric(distance_type)

    def nprobes(self, nprobes: int) -> VectorQuery:
        """Visit so many lists of an IVF index, whatever recall that gives; 0 leaves the choice to Kith."""
        self._nprobes = natural("nprobes", nprobes)
        return self

    def minimum_nprobes(self, minimum_nprobes: int) -> VectorQuery:
        """Visit at least so many lists."""
        least = natural("minimum_nprobes", minimum_nprobes, 1)
        if self._maximum_nprobes and least > self._maximum_nprobes:
            raise InvalidError(f"minimum_nprobes {least} is above maximum_nprobes {self._maximum_nprobes}")
        self._minimum_nprobes = least
        return self

    def maximum_nprobes(self, maximum_nprobes: int) -> VectorQuery:
        """Visit at most so many lists; 0 sets no bound."""
        most = natural("maximum_nprobes", maximum_nprobes)
        if most and most < self._minimum_nprobes:
            raise InvalidError(f"maximum_nprobes {most} is below minimum_nprobes {self._minimum_nprobes}")
        self._maximum_nprobes = most
        return self

    def refine_factor(self, refine_factor: int) -> VectorQuery:
        """Re-rank ``limit * refine_factor`` candidates by their stored vectors, instead of those in doubt."""
        self._refine_factor = natural("refine_factor", refine_factor, 1)
        return self

    def ef(self, ef: int) -> VectorQuery:
        """Set the width of a graph index's search; IVF indexes do not use it."""
        self._ef = natural("ef", ef)
        return self

    def recall(self, recall: float) -> VectorQuery:
        """Say what share of the true nearest rows the answer should hold, on the average over queries.

        An index visits as many lists as that took when it was calibrated, on rows of the table or on the queries
        given to ``table.create_index(queries=...)``; `stats` and ``explain_plan()`` tell which. Without this call
        the share is 0.95.

        Parameters
        ----------
        recall : float
            From 0 to 1. 1 is exact: every row is scanned. 0 is the fastest: the list nearest to the vector.

        Raises
        ------
        InvalidError
            When it is anything else.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", {"vector": [[1.0, 2.0], [3.0, 4.0]]})
        >>> table.search([1.0, 2.0]).recall(0.99).limit(1).to_list()
        [{'vector': [1.0, 2.0], '_distance': 0.0}]
        """
        self._recall = share(recall)
        return self

    def distance_range(self, lower_bound: float | None = None, upper_bound: float | None = None) -> VectorQuery:
        """Keep rows with ``lower_bound <= distance < upper_bound``."""
        self._has_lower = lower_bound is not None
        self._has_upper = upper_bound is not None
        self._lower = 0.0 if lower_bound is None else lower_bound
        self._upper = 0.0 if upper_bound is None else upper_bound
        return self

    def bypass_vector_index(self) -> VectorQuery:
        """Scan every row: the exact answer."""
        self._exact = True
        return self

    def fast_search(self) -> VectorQuery:
        """Leave out rows that no index covers yet."""
        self._fast_search = True
        return self

    def with_row_id(self, with_row_id: bool = True) -> VectorQuery:
        """Add the column ``_rowid`` (uint64): a row's number for life."""
        self._with_row_id = bool(with_row_id)
        return self

    def to_list(self, *, timeout: Any = None) -> list[dict[str, Any]]:
        """Give the rows as dicts, nearest first; vectors as lists of float."""
        return _core.search_rows(self)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Run the search and give its rows as an Arrow stream capsule; each call searches again."""
        return _core.search_stream(self)

    def explain_plan(self, verbose: bool = False) -> str:
        """Say in words how the query would be answered: index, lists to visit, rows scanned exactly, recall to expect.

        Parameters
        ----------
        verbose : bool
            Accepted for LanceDB's sake; there is one form.
        """
        return _core.search_explain(self)

    def analyze_plan(self) -> str:
        """Run the query and say what it did: lists, codes, rows and bytes read, the recall to expect, the time.

        Beside the time stands how long reading so much takes at the bandwidth and latency of this machine's memory,
        which are measured at the first call (some 20 ms): no search can be faster.
        """
        return _core.search_analyze(self)

    def __repr__(self) -> str:
        return f"<kith.VectorQuery: {self._k} rows nearest to {'vectors' if self._many else 'a vector'} of {self._dim}>"


class ScanQuery(Query):
    """All rows of a table in insertion order; made by ``table.search()`` without a vector."""

    __slots__ = ("_table", "_columns", "_limit", "_offset", "_with_row_id")

    def __init__(self, table: _core.Table) -> None:
        self._table = table
        self._columns: tuple[str, ...] | None = None
        self._limit: int | None = None
        self._offset = 0
        self._with_row_id = False

    def _set_columns(self, columns: tuple[str, ...]) -> None:
        self._columns = columns

    def limit(self, limit: int | None) -> ScanQuery:
        """Set how many rows are wanted; None, zero and negative numbers mean all."""
        self._limit = None if limit is None or limit <= 0 else natural("limit", limit)
        return self

    def offset(self, offset: int) -> ScanQuery:
        """Leave out the first `offset` rows."""
        self._offset = natural("offset", offset)
        return self

    def with_row_id(self, with_row_id: bool = True) -> ScanQuery:
        """Add the column ``_rowid`` (uint64): a row's number for life."""
        self._with_row_id = bool(with_row_id)
        return self

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Give the rows as an Arrow stream capsule; each call reads anew."""
        return self._table.scan(self._columns, self._offset, self._limit, self._with_row_id)

    def explain_plan(self, verbose: bool = False) -> str:
        """Say in words how the query is answered."""
        wanted = "all rows" if self._limit is None else f"{self._limit} rows"
        return f"Scan: {wanted} from row {self._offset} on, columns {', '.join(self._columns or ('all',))}"


class TakeQuery(Query):
    """Given rows of a table, by row id; made by ``table.take_row_ids()`` and ``table.take_offsets()``."""

    __slots__ = ("_table", "_ids", "_columns", "_with_row_id")

    def __init__(self, table: _core.Table, ids: list[int]) -> None:
        self._table = table
        self._ids = ids
        self._columns: tuple[str, ...] | None = None
        self._with_row_id = False

    def _set_columns(self, columns: tuple[str, ...]) -> None:
        self._columns = columns

    def limit(self, limit: int | None) -> TakeQuery:
        """Take only the first `limit` of them; None means all."""
        if limit is not None:
            self._ids = self._ids[: natural("limit", limit)]
        return self

    def offset(self, offset: int) -> TakeQuery:
        """Leave out the first `offset` of them."""
        self._ids = self._ids[natural("offset", offset) :]
        return self

    def with_row_id(self, with_row_id: bool = True) -> TakeQuery:
        """Add the column ``_rowid`` (uint64)."""
        self._with_row_id = bool(with_row_id)
        return self

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Give the rows as an Arrow stream capsule; each call reads anew."""
        return self._table.take(self._ids, self._columns, self._with_row_id)

    def explain_plan(self, verbose: bool = False) -> str:
        """Say in words how the query is answered."""
        return f"Take: {len(self._ids)} rows by their row ids"


# LanceDB's names for the same things
LanceQueryBuilder = Query
LanceVectorQueryBuilder = VectorQuery
LanceEmptyQueryBuilder = ScanQuery
