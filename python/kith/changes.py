"""What tables do with rows that are there: delete, update, merge, upsert, get by key.

Each change is one commit: every reader sees all of it or nothing. Which rows it means is worked out on the
newest version, and again where another writer changed one of them meanwhile, for up to half a minute.
"""

from __future__ import annotations

from . import _core, data as inputs
from ._progress import Progress
from .errors import CancelledError, InvalidError, NotFoundError, TimedOutError
from .frames import microseconds
from .query import KeyQuery, is_expression, predicate, whole_numbers
from .schema import Schema

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any, Callable, Iterable, Literal, Mapping, Sequence

    from .query import Params, Where

    BadVectors = Literal["error", "drop", "fill", "null"]

__all__ = ["AddResult", "DeleteResult", "UpdateResult", "MergeResult", "MergeBuilder", "LanceMergeInsertBuilder"]


class _Result:
    """What an operation did: the attributes named in ``__slots__``."""

    __slots__: tuple[str, ...] = ()

    def __init__(self, *values: Any) -> None:
        for name, value in zip(self.__slots__, values, strict=True):
            setattr(self, name, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)}' for name in self.__slots__)})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]


class AddResult(_Result):
    """What ``Table.add()`` did: the version that has the new rows."""

    __slots__ = ("version",)
    version: int


class DeleteResult(_Result):
    """What ``Table.delete()`` did: how many rows went, and the version without them."""

    __slots__ = ("num_deleted_rows", "version")
    num_deleted_rows: int
    version: int


class UpdateResult(_Result):
    """What ``Table.update()`` did: how many rows were set, and the version that has them so."""

    __slots__ = ("rows_updated", "version")
    rows_updated: int
    version: int


class MergeResult(_Result):
    """What a merge did.

    Attributes
    ----------
    version : int
        The table's, with the change; as before where nothing was to be done.
    num_updated_rows, num_inserted_rows, num_deleted_rows : int
    num_attempts : int
        1, and 1 more for each time that another writer came first.
    num_rows : int
        Rows that were written: updated or inserted.
    """

    __slots__ = (
        "version", "num_updated_rows", "num_inserted_rows", "num_deleted_rows", "num_attempts", "num_rows",
    )  # fmt: skip
    version: int
    num_updated_rows: int
    num_inserted_rows: int
    num_deleted_rows: int
    num_attempts: int
    num_rows: int


def _merged(done: tuple[int, int, int, int, int]) -> MergeResult:
    version, inserted, updated, deleted, attempts = done
    return MergeResult(version, updated, inserted, deleted, attempts, inserted + updated)


def _sql(what: Any, params: Any = None) -> str:
    """A condition or an expression as SQL text, as some calls of the library take it."""
    read = predicate(what, params)
    return read if isinstance(read, str) else read.to_sql()


def _value_of(sql: Any) -> Any:
    """What SQL text like "[1.0, 2.0]" or "'2024-02-29'" is, which is a value and no expression of one; else None."""
    text = sql.strip() if isinstance(sql, str) else ""
    if text[:1] == "'" and text[-1:] == "'" and len(text) > 1 and "'" not in text[1:-1].replace("''", ""):
        return text[1:-1].replace("''", "'")
    if not text.startswith("["):
        return None
    from json import loads

    try:
        return loads(text)
    except ValueError:
        return None


class MergeBuilder:
    """A merge, told call by call what to do; made by `Table.merge_insert`. `execute` does it."""

    __slots__ = ("_table", "_on", "_update", "_update_where", "_insert", "_delete", "_delete_where")

    def __init__(self, table: _core.Table, on: tuple[str, ...] | None) -> None:
        self._table = table
        self._on = on
        self._update = self._insert = self._delete = False
        self._update_where: str | None = None
        self._delete_where: str | None = None

    def when_matched_update_all(self, where: Where | None = None) -> MergeBuilder:
        """Let rows of the data take the place of the rows of the table that they match.

        Columns that the data lacks keep their values.

        Parameters
        ----------
        where : str or kith.expr.Expr, optional
            Only where this holds; ``target.`` before a column means the table's row, ``source.`` the data's:
            ``"source.time > target.time"``.
        """
        self._update = True
        self._update_where = None if where is None else _sql(where)
        return self

    def when_not_matched_insert_all(self) -> MergeBuilder:
        """Add the rows of the data that match none of the table."""
        self._insert = True
        return self

    def when_not_matched_by_source_delete(self, condition: Where | None = None) -> MergeBuilder:
        """Delete the rows of the table that match none of the data.

        Parameters
        ----------
        condition : str, dict or kith.expr.Expr, optional
            Only where this holds for the row of the table.
        """
        self._delete = True
        self._delete_where = None if condition is None else _sql(condition)
        return self

    def use_index(self, use_index: bool) -> MergeBuilder:
        """Accepted for LanceDB's sake: an index over the values of a matched column is used where there is one."""
        return self

    def use_lsm(self, enable: bool) -> MergeBuilder:
        """Accepted for LanceDB's sake: every merge goes through the log."""
        return self

    def validate_single_shard(self, validate_single_shard: bool) -> MergeBuilder:
        """Accepted for LanceDB's sake: there are no shards."""
        return self

    def execute(
        self,
        new_data: Any,
        on_bad_vectors: BadVectors = "error",
        fill_value: float = 0.0,
        timeout: timedelta | float | None = None,
        progress: Any = None,
    ) -> MergeResult:
        """Do it, in one commit.

        Parameters
        ----------
        new_data : list of dict, frame, Arrow data or an iterator of these
            As for `Table.add`. It may lack columns, but not those that rows are matched by.
        on_bad_vectors, fill_value
            As for `Table.add`.
        timeout : timedelta or float, optional
            Stop after this long, or so many seconds, leaving the table as it was. It is looked at while rows are written.
        progress : bool, callable or tqdm-like, optional
            See `kith.Database.create_table`.

        Returns
        -------
        MergeResult

        Raises
        ------
        InvalidError
            When two rows of the data match each other, so that which one counts cannot be known; or nothing was said
            to be done.
        NotFoundError
            When there is no column to match by.
        ConflictError
            When other writers came first for half a minute.
        TimedOutError
            When `timeout` has passed.
        """
        bad = inputs.bad_vectors(on_bad_vectors)
        stream = inputs.stream(new_data, self._table.schema(), part=True)
        with Progress(progress) as callback:
            limit = _Limit(timeout, callback)
            try:
                done = self._table.merge(
                    stream, self._on, update_matched=self._update, update_where=self._update_where,
                    insert_new=self._insert, delete_missing=self._delete, delete_where=self._delete_where,
                    bad_vectors=bad, fill_value=fill_value or 0.0, progress=limit.callback,
                )  # fmt: skip
            except CancelledError:
                raise limit.error() from None
        return _merged(done)


class _Limit:
    """A progress callback that stops the work when its time is over."""

    __slots__ = ("callback", "_end", "_inner")

    def __init__(self, timeout: timedelta | float | None, inner: Callable[[str, int, int], Any] | None) -> None:
        from time import monotonic

        self._inner = inner
        self._end = None if timeout is None else monotonic() + microseconds(timeout) / 1e6
        self.callback = inner if timeout is None else self._told
        if self._over():
            raise self.error()

    def _over(self) -> bool:
        from time import monotonic

        return self._end is not None and monotonic() >= self._end

    def _told(self, stage: str, done: int, total: int) -> bool:
        return not self._over() and (self._inner is None or self._inner(stage, done, total) is not False)

    def error(self) -> TimedOutError | CancelledError:
        if self._over():
            return TimedOutError("merge insert timed out")
        return CancelledError("the merge was stopped by its progress callback")


class Changes:
    """The part of a table that changes its rows."""

    __slots__ = ()
    _table: _core.Table

    def delete(
        self, where: Where | None = None, params: Params | None = None, *, row_ids: Iterable[int] | None = None
    ) -> DeleteResult:
        """Delete the rows that meet a condition. They are gone from every answer when it returns.

        Parameters
        ----------
        where : str, dict or kith.expr.Expr
            As for `VectorQuery.where`. "true" deletes every row.
        params : list or dict, optional
            Values for each ``?`` or ``:name`` of the text.
        row_ids : iterable of int, instead of `where`
            Rows by their ids (the column ``_rowid``); an id that no row has is passed over.

        Returns
        -------
        DeleteResult
            With `num_deleted_rows` and `version`, which is the same as before where no row met it.

        Raises
        ------
        InvalidError
            When there is no condition, or it cannot be read.
        ReadOnlyError
            When an older version is checked out.
        ConflictError
            When other writers came first for half a minute.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", [{"x": 1}, {"x": 2}, {"x": 3}])
        >>> table.delete("x = 2")
        DeleteResult(num_deleted_rows=1, version=2)
        >>> table.delete("x IN (?)", [[1, 5]])
        DeleteResult(num_deleted_rows=1, version=3)
        >>> table.to_list()
        [{'x': 3}]
        """
        meant: Any = where
        empty = hasattr(meant, "keys") and not meant  # a dict that was to be filled, and was not
        if empty or (where is None) == (row_ids is None):
            raise InvalidError('delete() takes a condition, or row_ids=; "true" deletes every row')
        if row_ids is not None:
            done = self._table.delete_rows(whole_numbers("row_ids", row_ids))
        else:
            done = self._table.delete(predicate(where, params))
        return DeleteResult(done[3], done[0])

    def update(
        self,
        where: Where | None = None,
        values: Mapping[str, Any] | None = None,
        *,
        values_sql: Mapping[str, Any] | None = None,
        params: Params | None = None,
        progress: Any = None,
    ) -> UpdateResult:
        """Set columns of the rows that meet a condition; of all rows without one. Updated rows get new row ids.

        Parameters
        ----------
        where : str, dict or kith.expr.Expr, optional
            As for `VectorQuery.where`.
        values : dict
            Columns and the values they get: numbers, text, bytes, times (or their text: "2024-02-29T12:30:00"), None,
            vectors as lists or arrays. An expression of `kith.col` is worked out for each row.
        values_sql : dict, instead of `values`
            Columns and SQL expressions over the row as it was: ``{"price": "price * 1.1"}``.
        params : list or dict, optional
            Values for each ``?`` or ``:name`` of `where`.
        progress : bool, callable or tqdm-like, optional
            See `kith.Database.create_table`.

        Returns
        -------
        UpdateResult
            With `rows_updated` and `version`, which is the same as before where no row met it.

        Raises
        ------
        NotFoundError
            When there is no such column.
        TypeMismatchError, InvalidError
            When a value does not fit its column, or the column is the table's key; nothing is changed then.
        ReadOnlyError
            When an older version is checked out.
        ConflictError
            When other writers came first for half a minute.

        Examples
        --------
        >>> import kith
        >>> rows = [{"x": 1, "vector": [1.0, 2.0]}, {"x": 2, "vector": [3.0, 4.0]}]
        >>> table = kith.connect("memory://").create_table("t", rows)
        >>> table.update(where="x = 2", values={"vector": [10.0, 10]})
        UpdateResult(rows_updated=1, version=2)
        >>> table.update(values_sql={"x": "x + 1"})
        UpdateResult(rows_updated=2, version=3)
        >>> table.to_list()
        [{'x': 2, 'vector': [1.0, 2.0]}, {'x': 3, 'vector': [10.0, 10.0]}]
        """
        if values is not None and values_sql is not None:
            raise InvalidError("Only one of values or values_sql can be provided")
        if values is None and values_sql is None:
            raise InvalidError("Either values or values_sql must be provided")
        assigned, stream = self._values(values, values_sql)
        meant = None if where is None and params is None else predicate(where, params)
        with Progress(progress) as callback:
            done = self._table.update(meant, assigned, stream, progress=callback)
        return UpdateResult(done[2], done[0])

    def _values(
        self, values: Mapping[str, Any] | None, values_sql: Mapping[str, Any] | None
    ) -> tuple[tuple[tuple[str, str], ...], object | None]:
        """Part what columns are set to into SQL expressions and a stream of one row of the table's types."""
        given = values_sql if values is None else values
        if not hasattr(given, "items"):
            raise InvalidError(f"a dict of columns and what they are set to is wanted, not {given!r}")
        assigned: dict[str, str] = {}
        row: dict[str, Any] = {}
        for name, value in given.items():  # type: ignore[union-attr]
            if is_expression(value):
                assigned[name] = predicate(value).to_sql()  # type: ignore[union-attr]
                continue
            known = value if values is not None else _value_of(value)
            if values is not None or known is not None:
                row[name] = known
            else:
                assigned[name] = value
        schema = self._table.schema()
        names = Schema.from_arrow(schema).names if row else []
        for name in row:
            if name not in names:
                raise NotFoundError(f"there is no column {name!r} to update; the columns are {', '.join(names)}")
        return tuple(assigned.items()), _core.rows_stream([row], schema, part=True) if row else None

    def merge_insert(self, on: str | Iterable[str] | None = None) -> MergeBuilder:
        """Begin to merge data into the table: update rows that match, insert those that do not, delete those missing.

        Parameters
        ----------
        on : str or list of str
            The columns by which a row of the data and one of the table are the same one; null matches nothing.
            Without it the table's key.

        Returns
        -------
        MergeBuilder
            Whose calls say what to do, and whose ``execute(data)`` does it.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", {"a": [1, 2, 3], "b": ["a", "b", "c"]})
        >>> merge = table.merge_insert("a").when_matched_update_all().when_not_matched_insert_all()
        >>> done = merge.execute({"a": [2, 3, 4], "b": ["x", "y", "z"]})
        >>> done.num_updated_rows, done.num_inserted_rows
        (2, 1)
        >>> [row["b"] for row in table.search().order_by("a").to_list()]
        ['a', 'x', 'y', 'z']
        """
        columns = None if on is None else (on,) if isinstance(on, str) else tuple(on)
        return MergeBuilder(self._table, columns)

    def upsert(
        self, data: Any, on_bad_vectors: BadVectors = "error", fill_value: float = 0.0, progress: Any = None
    ) -> MergeResult:
        """Add rows to a table that has a key; those whose key is there take the place of the row that has it.

        Parameters
        ----------
        data : list of dict, frame, Arrow data or an iterator of these
            As for `Table.add`. Columns that it lacks keep their values in rows that are replaced and are null in new
            ones. Of rows with one key the last counts.
        on_bad_vectors, fill_value, progress
            As for `Table.add`.

        Returns
        -------
        MergeResult

        Raises
        ------
        InvalidError
            When the table has no key, or a row has none.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", [{"id": "a", "n": 1}, {"id": "b", "n": 2}], key="id")
        >>> table.upsert([{"id": "b", "n": 20}, {"id": "c", "n": 3}]).num_updated_rows
        1
        >>> table.get(["c", "b", "no such"]).to_list()
        [{'id': 'c', 'n': 3}, {'id': 'b', 'n': 20}]
        """
        bad = inputs.bad_vectors(on_bad_vectors)
        stream = inputs.stream(data, self._table.schema(), part=True)
        with Progress(progress) as callback:
            done = self._table.merge(
                stream, update_matched=True, insert_new=True, keep_last=True, bad_vectors=bad, fill_value=fill_value,
                progress=callback,
            )  # fmt: skip
        return _merged(done)

    def get(self, keys: Any, columns: Sequence[Any] | Mapping[str, Any] | None = None) -> KeyQuery:
        """Choose rows by the table's key, in the order of the keys; a key that no row has is left out.

        Parameters
        ----------
        keys : str, int, or a list, array or Arrow column of these
            A key that comes twice is answered once.
        columns : list or dict, optional
            As for `Query.select`.

        Returns
        -------
        KeyQuery
            Asked by ``to_list()``, ``to_pandas()``, ... as every query.

        Raises
        ------
        InvalidError
            When it is asked and the table has no key: ``create_table(..., key="id")`` gives one.

        Examples
        --------
        >>> import kith
        >>> rows = [{"id": i, "name": f"row {i}"} for i in range(5)]
        >>> table = kith.connect("memory://").create_table("t", rows, key="id")
        >>> table.get([3, 1, 99], ["name"]).to_list(), table.get(2).to_list()
        ([{'name': 'row 3'}, {'name': 'row 1'}], [{'id': 2, 'name': 'row 2'}])
        """
        made = KeyQuery(self._table, keys)
        return made if columns is None else made.select(columns)


LanceMergeInsertBuilder = MergeBuilder
