"""Queries: set what is wanted one call after another, then ask for the answer in the form that suits.

A vector query is its own options (`_core.Options`): setting one stores a number in a C struct, and the answer is
one call of the library. Nothing is read before a ``to_...`` method or the Arrow protocol asks.
"""

from __future__ import annotations

from . import _core, data as inputs, frames
from .errors import InvalidError, UnsupportedError

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any, Iterable, Mapping, NoReturn, Self, Sequence

    import pandas

    from .expr import Expr

    Where = str | Mapping[str, Any] | Expr
    Params = Sequence[Any] | Mapping[str, Any]

__all__ = [
    "Query", "VectorQuery", "ScanQuery", "TakeQuery", "KeyQuery", "ColumnOrdering", "LanceQueryBuilder", "LanceVectorQueryBuilder",
]  # fmt: skip


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


def whole_numbers(name: str, values: Any) -> list[int]:
    """Check numbers that name rows: 1.7 is not the row 1, nor "17" the rows 1 and 7."""
    if isinstance(values, (str, bytes, dict)) or getattr(values, "__iter__", None) is None:
        raise InvalidError(f"{name} takes a list of whole numbers, not {values!r}")
    found: list[int] = []
    for given in values:
        value = given.as_py() if hasattr(given, "as_py") else given  # a pyarrow scalar
        if isinstance(value, bool) or not hasattr(value, "__index__") or not 0 <= value.__index__() < 2**64:
            raise InvalidError(f"{name} takes whole numbers from 0 to 2**64 - 1, not {value!r}")
        found.append(value.__index__())
    return found


_MOST_VALUES = 100_000  # in one list of a filter
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


# ---- filters, columns, orders: what users write, as the extension takes it


def is_expression(value: Any) -> bool:
    return isinstance(getattr(value, "_expr", None), _core.Expr)  # kith.expr need not be imported for that


def predicate(where: Any, params: Any = None) -> str | _core.Expr:
    """Read a filter: text without parameters stays text, so that what is wrong with it is shown in it."""
    if isinstance(where, str):
        return where if params is None else _core.sql(where, params)
    if params is not None:
        raise InvalidError("params are the values of a filter that is SQL text; a dict or an expression holds its own")
    if is_expression(where):
        return where._expr
    if hasattr(where, "keys"):
        from .expr import json_text

        return _core.json(json_text(where))
    raise InvalidError(f"a filter is SQL text, a dict or an expression of kith.col(), not {where!r}")


def _both(one: str | _core.Expr | None, other: str | _core.Expr) -> str | _core.Expr:
    if one is None:
        return other
    # Never by pasting texts: what is whole only beside another is not a filter.
    return _core.call("and", tuple(_core.sql(part) if isinstance(part, str) else part for part in (one, other)))


def _told(where: str | _core.Expr) -> str:
    try:
        return where if isinstance(where, str) else where.to_sql()
    except InvalidError:
        return "an expression that SQL cannot write"


def _column_of(entry: Any) -> tuple[str, str | None]:
    """One column of an answer: its name, and where it is not just the column of that name, what it is."""
    if isinstance(entry, str):
        return entry, None
    if is_expression(entry):
        entry = entry._alias or entry._path or entry.to_sql(), entry
    if isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str):
        name: str = entry[0]
        what: Any = entry[1]
        if is_expression(what):
            what = name if what._path == name else f"({what.to_sql()})"  # which is no column's name
        if isinstance(what, str) and what == name:  # a column has no point in its name, a field of a struct has
            return name, f"({name})" if "." in name else None
        if isinstance(what, str):
            return name, what
    raise InvalidError(
        f"select() takes names, expressions, or a dict of a name and what it is: SQL text or an expression; not {entry!r}"
    )


def _alias(name: str, info: Any) -> str:
    """The word by which a pydantic model takes a field."""
    return next((alias for alias in (info.validation_alias, info.alias) if isinstance(alias, str)), name)


class ColumnOrdering:
    """A column to order by, as LanceDB names it; for ``order_by()``.

    Parameters
    ----------
    column_name : str
    ascending : bool
        From the least to the greatest.
    nulls_first : bool
        Whether rows without a value come first, instead of last.
    """

    __slots__ = ("column_name", "ascending", "nulls_first")

    def __init__(self, column_name: str, ascending: bool = True, nulls_first: bool = False) -> None:
        self.column_name = column_name
        self.ascending = ascending
        self.nulls_first = nulls_first

    def __repr__(self) -> str:
        return f"ColumnOrdering({self.column_name!r}, ascending={self.ascending}, nulls_first={self.nulls_first})"


def _cut(text: str, *endings: str) -> tuple[str, str]:
    """A text without the last word, where that is one of some, and the word."""
    before, _, last = text.rstrip().rpartition(" ")
    return (before.rstrip(), last.lower()) if before and last.lower() in endings else (text, "")


def _parts(text: str) -> list[str]:
    """Cut "a desc, coalesce(b, c)" at the commas that stand in no quotes and in no brackets."""
    parts, quote, depth = [""], "", 0
    for char in text:
        if char == "," and not quote and not depth:
            parts.append("")
            continue
        if quote or char in "'\"`":
            quote = "" if char == quote else quote or char
        else:
            depth += (char in "([") - (char in ")]")
        parts[-1] += char
    return [part.strip() for part in parts]


def _orderings(
    table: _core.Table, ordering: Any, more: tuple[Any, ...], ascending: bool, nulls_first: bool
) -> tuple[tuple[str, bool, bool], ...] | None:
    """Read what `order_by` was given, as the extension takes it; None for the order that is there without it."""
    given = [*ordering, *more] if isinstance(ordering, (list, tuple)) else [ordering, *more]
    if len(given) == 1 and given[0] is None:
        return None
    names = _names(table) if any(isinstance(one, str) and "," in one for one in given) else []
    given = [part for one in given for part in (_parts(one) if isinstance(one, str) and one not in names else [one])]
    return tuple(_ordering(table, one, ascending, nulls_first) for one in given)


def _ordering(table: _core.Table, one: Any, ascending: bool, nulls_first: bool) -> tuple[str, bool, bool]:
    if is_expression(one):
        return one._path or one.to_sql(), not ascending, nulls_first
    if hasattr(one, "column_name"):  # also LanceDB's own
        return one.column_name, not one.ascending, bool(one.nulls_first)
    if not isinstance(one, str):
        raise InvalidError(f"order_by() takes columns and expressions, not {one!r}")
    rest, which = _cut(one, "first", "last")
    rest, nulls = _cut(rest, "nulls") if which else (one, "")
    text = rest if nulls else one
    rest, direction = _cut(text, "asc", "desc")
    if (nulls or direction) and one in _names(table):
        return one, not ascending, nulls_first
    return rest, direction == "desc" if direction else not ascending, which == "first" if nulls else nulls_first


class Query(frames.Streamable):
    """What vector queries and scans share: columns, limits, forms of the answer."""

    __slots__ = ()

    def _set_columns(self, columns: tuple[str, ...], expressions: tuple[str | None, ...] | None) -> None:
        raise NotImplementedError

    def select(self, columns: Sequence[Any] | Mapping[str, str | Expr]) -> Self:
        """Choose the columns of the answer.

        Parameters
        ----------
        columns : list or dict
            Of a list, each entry is a name, an expression (`kith.expr.Expr`, which may have a name of its own by
            ``.alias()``) or a dict. A dict says by its keys what columns are called, and by its values what they are:
            SQL text, or expressions. ``_rowid`` may be named. A vector query adds ``_distance``, named or not.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", [{"item": "one", "net": 10.0}])
        >>> table.search().select(["item", {"gross": "net * 1.5"}, kith.col("item").length().alias("size")]).to_list()
        [{'item': 'one', 'gross': 15.0, 'size': 3}]
        """
        if isinstance(columns, str) or getattr(columns, "__iter__", None) is None:
            raise InvalidError(f"select() takes a list or a dict, not {columns!r}")
        found: list[tuple[str, str | None]] = []
        for entry in [columns] if hasattr(columns, "keys") else columns:
            found.extend(map(_column_of, entry.items() if hasattr(entry, "keys") else (entry,)))  # type: ignore[union-attr]
        names = tuple(name for name, _ in found)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidError(f"select() has two columns called {twice!r}")
        plain = all(expression is None for _, expression in found)
        self._set_columns(names, None if plain else tuple(expression for _, expression in found))
        return self

    def where(self, where: Where | None = None, params: Params | None = None, prefilter: bool = True) -> Self:
        """Keep rows that a condition admits. Not for rows that are found by their keys."""
        if where is not None:
            refuse("where() of rows that are found by their keys")
        return self

    def rerank(self, *args: Any, **kwargs: Any) -> Self:
        """Not in this version."""
        refuse("rerank()")

    def order_by(self, *args: Any, **kwargs: Any) -> Self:
        """Not for this kind of query: taken rows come by their numbers."""
        refuse(f"order_by() of a {type(self).__name__}")

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
        return frames.to_pandas(self._stream(), {"_distance": "score"})

    def to_pydantic(self, model: Any, *, timeout: timedelta | float | None = None) -> list[Any]:
        """Give the rows as instances of a pydantic model; columns it does not have are left out.

        A field takes the column of its alias, where there is one of that name, else the one of its own.
        """
        names = [(name, _alias(name, info)) for name, info in model.model_fields.items()]
        return [
            model(**{alias: row[alias if alias in row else name] for name, alias in names if alias in row or name in row})
            for row in self.to_list(timeout=timeout)
        ]

    def output_schema(self) -> Any:
        """Give the columns of the answer: a pyarrow.Schema, or a kith.schema.Schema where pyarrow cannot be imported."""
        from .schema import public

        return public(self.__arrow_c_schema__())

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
        matches           rows that the filter admits; all of them, without one
        lists_skipped     of the lists: they hold no such row
        filter_seconds    that it took to find the matches; not in ``seconds``
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

    def __init__(self, table: Any = None, query: Any = None, vector_column: str | None = None) -> None:
        if table is not None:  # LanceVectorQueryBuilder(table, vector, "vector"), as LanceDB's is made
            self.set_vectors(table._table, query)
            self._column = vector_column

    def _set_columns(self, columns: tuple[str, ...], expressions: tuple[str | None, ...] | None) -> None:
        self._columns = columns
        self._expressions = expressions

    def where(
        self, where: Where | None = None, params: Params | None = None, prefilter: bool = True
    ) -> VectorQuery:
        """Keep rows that a condition admits: `limit` rows are found wherever so many meet it.

        Called again it adds a further condition, as in LanceDB; rows have to meet all of them.

        Parameters
        ----------
        where : str, dict or kith.expr.Expr, optional
            SQL text (``"price < ? AND tag IN (?)"``), a filter of Mongo's, Chroma's or Haystack's form
            (``{"price": {"$lt": 9.5}}``), or an expression (``kith.col("price") < 9.5``). docs/FILTERS.md has the
            language. None changes nothing.
        params : list or dict, optional
            Values for each ``?`` of the text in order, or for each ``:name``. They are bound and never become SQL; a
            list inside the parentheses of an IN stands for its items.
        prefilter : bool
            False searches first and then drops rows that the condition refuses, until enough are left: the same rows,
            found by another way, which is quicker where nearly every row is admitted. The first call decides.

        Raises
        ------
        InvalidError
            When it is no condition; the message shows the place. Text without parameters is read by the search.
        NotFoundError
            From the search, when there is no such column; near names are told.
        TypeMismatchError
            From the search, when types do not go together.

        Examples
        --------
        >>> import kith
        >>> rows = [{"vector": [float(i), 0.0], "n": i, "tag": "ab"[i % 2]} for i in range(100)]
        >>> table = kith.connect("memory://").create_table("t", rows)
        >>> query = table.search([0.0, 0.0]).where("n > ? AND tag = ?", [50, "b"]).select(["n"]).limit(3)
        >>> [row["n"] for row in query.to_list()], query.stats["matches"]
        ([51, 53, 55], 25)
        >>> [row["n"] for row in table.search([0.0, 0.0]).where({"n": {"$gte": 97}}).to_list()]
        [97, 98, 99]
        """
        if isinstance(params, bool):  # LanceDB's second argument
            params, prefilter = None, params
        if where is not None or params is not None:
            self._postfilter = self._postfilter or (self._where is None and not prefilter)
            self._where = _both(self._where, predicate(where, params))
        return self

    def order_by(
        self, ordering: Any = None, *more: Any, ascending: bool = True, nulls_first: bool = False
    ) -> VectorQuery:
        """Say in what order the nearest rows come: they are found first and ordered then, those of each vector by themselves.

        Parameters
        ----------
        ordering, *more, ascending, nulls_first
            As for `ScanQuery.order_by`; ``_distance`` may be named, too. Equal ones come nearest first. None means
            nearest first again.

        Examples
        --------
        >>> import kith
        >>> rows = [{"vector": [float(i), 0.0], "n": i % 3} for i in range(100)]
        >>> table = kith.connect("memory://").create_table("t", rows)
        >>> table.search([0.0, 0.0]).order_by("n desc", "_distance desc").select(["n"]).limit(4).to_list()
        [{'n': 2, '_distance': 4.0}, {'n': 1, '_distance': 1.0}, {'n': 0, '_distance': 9.0}, {'n': 0, '_distance': 0.0}]
        """
        self._order = _orderings(self._table, ordering, more, ascending, nulls_first)
        return self

    def postfilter(self, postfilter: bool = True) -> VectorQuery:
        """Search first and then filter: see `where`."""
        self._postfilter = bool(postfilter)
        return self

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

    def to_list(self, *, timeout: timedelta | float | None = None) -> list[dict[str, Any]]:
        """Give the rows as dicts, nearest first; vectors as lists of float."""
        return _core.search_rows(self) if timeout is None else _core.search_rows(self, frames.microseconds(timeout))

    def _stream(self, timeout_us: int = 0) -> object:
        return _core.search_stream(self, timeout_us)

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
    """The rows of a table that meet a condition, in insertion order where no other is asked for.

    Made by ``table.search()`` without a vector.

    Examples
    --------
    >>> import kith
    >>> table = kith.connect("memory://").create_table("t", [{"item": c, "price": p} for c, p in zip("abcd", [3, 1, None, 2])])
    >>> table.search().where("price < 3").order_by("price desc").select(["item"]).to_list()
    [{'item': 'd'}, {'item': 'b'}]
    """

    __slots__ = ("_table", "_columns", "_expressions", "_limit", "_offset", "_with_row_id", "_where", "_order")

    def __init__(self, table: _core.Table) -> None:
        self._table = table
        self._columns: tuple[str, ...] | None = None
        self._expressions: tuple[str | None, ...] | None = None
        self._limit: int | None = None
        self._offset = 0
        self._with_row_id = False
        self._where: str | _core.Expr | None = None
        self._order: tuple[tuple[str, bool, bool], ...] | None = None

    def _set_columns(self, columns: tuple[str, ...], expressions: tuple[str | None, ...] | None) -> None:
        self._columns = columns
        self._expressions = expressions

    def where(self, where: Where | None = None, params: Params | None = None, prefilter: bool = True) -> ScanQuery:
        """Keep rows that a condition admits; called again it adds a further one.

        Parameters
        ----------
        where : str, dict or kith.expr.Expr, optional
            As for `VectorQuery.where`, with the same errors.
        params : list or dict, optional
            Values for each ``?`` or ``:name`` of the text.
        prefilter : bool
            Accepted for LanceDB's sake: there is no search to come before.
        """
        if isinstance(params, bool):  # LanceDB's second argument
            params = None
        if where is not None or params is not None:
            self._where = _both(self._where, predicate(where, params))
        return self

    def order_by(
        self, ordering: Any = None, *more: Any, ascending: bool = True, nulls_first: bool = False
    ) -> ScanQuery:
        """Say in what order rows come. Equal ones come in insertion order, so that pages by `offset` fit together.

        Parameters
        ----------
        ordering : str, Expr, ColumnOrdering or a list of these, optional
            A column or an expression; the first counts most. A text may end in ``asc`` or ``desc``, and then in
            ``nulls first`` or ``nulls last``, and may hold several with commas between. None means insertion order again.
        *more
            Further ones.
        ascending, nulls_first : bool
            For those that do not say it themselves. NaN is the greatest number; rows without a value come last, in
            either direction, where nothing else is said.

        Raises
        ------
        TypeMismatchError
            From the query, when values have no order: vectors, lists, structs.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", [{"n": n} for n in (3, None, 1, 2)])
        >>> [row["n"] for row in table.search().order_by("n desc nulls first").to_list()]
        [None, 3, 2, 1]
        >>> [row["n"] for row in table.search().order_by(kith.col("n") % 2, "n").limit(2).to_list()]
        [2, 1]
        """
        self._order = _orderings(self._table, ordering, more, ascending, nulls_first)
        return self

    def limit(self, limit: int | None) -> ScanQuery:
        """Set how many rows are wanted; None, zero and negative numbers mean all."""
        unlimited = limit is None or isinstance(limit, int) and limit <= 0
        self._limit = None if unlimited else natural("limit", limit)
        return self

    def offset(self, offset: int) -> ScanQuery:
        """Leave out the first `offset` rows."""
        self._offset = natural("offset", offset)
        return self

    def with_row_id(self, with_row_id: bool = True) -> ScanQuery:
        """Add the column ``_rowid`` (uint64): a row's number for life."""
        self._with_row_id = bool(with_row_id)
        return self

    def _stream(self, timeout_us: int = 0) -> object:
        return self._table.scan(
            self._columns, self._offset, self._limit, self._with_row_id, self._where, self._expressions, self._order,
            timeout_us,
        )  # fmt: skip

    def explain_plan(self, verbose: bool = False) -> str:
        """Say in words how the query is answered, and how many rows the filter admits."""
        return self._explain(self._table.count(self._where))

    def _explain(self, matches: int) -> str:
        wanted = "all rows" if self._limit is None else f"{self._limit} rows"
        columns = ", ".join(_shown_columns(self._columns, self._expressions))
        lines = [f"Scan: {wanted} from row {self._offset} on, columns {columns}"]
        if self._where is not None:
            lines.append(f"filter: {_told(self._where)}: admits {matches} of {self._table.count()} rows")
        for text, descending, nulls_first in self._order or ():
            lines.append(f"order: {text}{' descending' if descending else ''}, nulls {'first' if nulls_first else 'last'}")
        return "\n  ".join(lines)

    def analyze_plan(self) -> str:
        """Run the query and say what it did: rows that the filter admits, rows given, the time of each."""
        from time import perf_counter

        begin = perf_counter()
        matches = self._table.count(self._where)
        counted = perf_counter()
        rows = len(_core.stream_rows(self.__arrow_c_stream__()))
        ended = perf_counter()
        told = self._explain(matches)
        if self._where is not None:
            told += f"\n  the filter alone took {(counted - begin) * 1e3:.1f} ms"
        return f"{told}\n  gave {rows} rows in {(ended - counted) * 1e3:.1f} ms"


def _names(table: _core.Table) -> list[str]:
    from .schema import Schema

    return Schema.from_arrow(table.schema()).names


def _shown_columns(columns: tuple[str, ...] | None, expressions: tuple[str | None, ...] | None) -> Iterable[str]:
    if columns is None:
        return ("all",)
    pairs = zip(columns, expressions or (None,) * len(columns))
    return [name if expression is None else f"{expression} as {name}" for name, expression in pairs]


class TakeQuery(Query):
    """Given rows of a table, by row id; made by ``table.take_row_ids()`` and ``table.take_offsets()``."""

    __slots__ = ("_table", "_ids", "_columns", "_expressions", "_with_row_id", "_where", "_cuts")

    def __init__(self, table: _core.Table, ids: list[int]) -> None:
        self._table = table
        self._ids = ids
        self._where: str | _core.Expr | None = None
        self._cuts: list[slice] = []
        self._columns: tuple[str, ...] | None = None
        self._expressions: tuple[str | None, ...] | None = None
        self._with_row_id = False

    def _set_columns(self, columns: tuple[str, ...], expressions: tuple[str | None, ...] | None) -> None:
        self._columns = columns
        self._expressions = expressions

    def where(self, where: Where | None = None, params: Params | None = None, prefilter: bool = True) -> TakeQuery:
        """Keep those that a condition admits; called again it adds a further one. `limit` counts what is left.

        Parameters
        ----------
        where, params, prefilter
            As for `ScanQuery.where`.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", [{"n": n} for n in range(10)])
        >>> table.take_row_ids([1, 4, 5, 8]).where("n % 2 = 0").to_list()
        [{'n': 4}, {'n': 8}]
        """
        if isinstance(params, bool):  # LanceDB's second argument
            params = None
        if where is not None or params is not None:
            self._where = _both(self._where, predicate(where, params))
        return self

    def limit(self, limit: int | None) -> TakeQuery:
        """Take only the first `limit` of them; None means all."""
        if limit is not None:
            self._cuts.append(slice(natural("limit", limit)))
        return self

    def offset(self, offset: int) -> TakeQuery:
        """Leave out the first `offset` of them."""
        self._cuts.append(slice(natural("offset", offset), None))
        return self

    def _wanted(self, timeout_us: int) -> list[int]:
        ids = self._ids
        if self._where is not None:
            admitted: set[int] = set()
            for at in range(0, len(ids), _MOST_VALUES):
                some = _core.literal(ids[at : at + _MOST_VALUES])
                both = _both(_core.call("in", (_core.column("_rowid"), some)), self._where)
                stream = self._table.scan((), 0, None, True, both, None, None, timeout_us)
                admitted.update(row["_rowid"] for row in _core.stream_rows(stream))
            ids = [row_id for row_id in ids if row_id in admitted]
        for cut in self._cuts:
            ids = ids[cut]
        return ids

    def with_row_id(self, with_row_id: bool = True) -> TakeQuery:
        """Add the column ``_rowid`` (uint64)."""
        self._with_row_id = bool(with_row_id)
        return self

    def _stream(self, timeout_us: int = 0) -> object:
        return self._table.take(self._wanted(timeout_us), self._columns, self._with_row_id, self._expressions, timeout_us)

    def explain_plan(self, verbose: bool = False) -> str:
        """Say in words how the query is answered."""
        told = "" if self._where is None else f"\n  filter: {_told(self._where)}"
        return f"Take: {len(self._wanted(0))} rows by their row ids{told}"


class KeyQuery(Query):
    """Rows of a table by its key, in the order of the keys; made by ``table.get()``."""

    __slots__ = ("_table", "_keys", "_columns", "_expressions", "_with_row_id")

    def __init__(self, table: _core.Table, keys: Any) -> None:
        self._table = table
        self._keys = keys if hasattr(keys, "__len__") or not hasattr(keys, "__next__") else list(keys)
        self._columns: tuple[str, ...] | None = None
        self._expressions: tuple[str | None, ...] | None = None
        self._with_row_id = False

    def _set_columns(self, columns: tuple[str, ...], expressions: tuple[str | None, ...] | None) -> None:
        self._columns = columns
        self._expressions = expressions

    def with_row_id(self, with_row_id: bool = True) -> KeyQuery:
        """Add the column ``_rowid`` (uint64)."""
        self._with_row_id = bool(with_row_id)
        return self

    def _stream(self, timeout_us: int = 0) -> object:
        return self._table.get(inputs.keys(self._keys), self._columns, self._with_row_id, self._expressions, timeout_us)

    def explain_plan(self, verbose: bool = False) -> str:
        """Say in words how the query is answered."""
        return "Get: rows by the table's key"


# LanceDB's names for the same things
LanceQueryBuilder = Query
LanceVectorQueryBuilder = VectorQuery
LanceEmptyQueryBuilder = ScanQuery
