"""Databases: a folder of tables."""

from __future__ import annotations

import os

from . import _core, data as inputs, schema as schemas
from ._progress import Progress
from .errors import ExistsError, InvalidError, NotFoundError
from .query import lances, natural, refuse
from .table import LanceTable, Table

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Literal

    from .table import BadVectors

__all__ = ["connect", "Database", "DBConnection", "LanceDBConnection", "LanceTable", "ListTablesResponse"]


class ListTablesResponse:
    """One page of table names.

    Attributes
    ----------
    tables : list of str
    page_token : str or None
        What to pass for the next page; None on the last one.
    """

    __slots__ = ("tables", "page_token")

    def __init__(self, tables: list[str], page_token: str | None) -> None:
        self.tables = tables
        self.page_token = page_token

    def __repr__(self) -> str:
        return f"ListTablesResponse(tables={self.tables}, page_token={self.page_token!r})"


def connect(
    uri: str | os.PathLike[str],
    *,
    read_consistency_interval: Any = None,
    storage_options: dict[str, str] | None = None,
    session: Any = None,
    **others: Any,
) -> Database:
    """Open the database in a folder, which is made when it is not there.

    Parameters
    ----------
    uri : str or path
        A folder; "~" is the home folder. "memory://" is a new database in memory, "memory://name" one shared
        within the process.
    read_consistency_interval, storage_options, session
        Accepted for LanceDB's sake: every read sees what was committed before it.

    Returns
    -------
    Database

    Raises
    ------
    InvalidError
        For an address of a kind this version does not know.
    StorageError
        When the folder cannot be made.
    """
    lances("connect()", others)
    if others.get("api_key") is not None or str(uri).startswith("db://"):
        refuse("a cloud database")
    text = os.fspath(uri)
    return Database(_core.open(os.fsdecode(text)))


class Database:
    """A folder of tables. Made by `kith.connect`."""

    __slots__ = ("_database", "__weakref__")

    def __init__(self, database: _core.Database | str | os.PathLike[str]) -> None:
        # LanceDBConnection(uri), as LanceDB's is made, is a database too
        self._database: _core.Database = (
            database if isinstance(database, _core.Database) else connect(database)._database
        )

    @property
    def uri(self) -> str:
        """Where it is, as resolved."""
        return self._database.uri()

    # ---- tables by name

    def table_names(self, page_token: str | None = None, limit: int | None = 10, **ignored: Any) -> list[str]:
        """List tables by name, at most `limit` of those after `page_token`; None lists all."""
        return self._database.list(page_token, 0 if limit is None else limit)

    def list_tables(
        self, namespace_path: Any = None, page_token: str | None = None, limit: int | None = 10, **ignored: Any
    ) -> ListTablesResponse:
        """List tables by name, a page of at most `limit` of those after `page_token`."""
        if limit is None:
            return ListTablesResponse(self._database.list(page_token, 0), None)
        names = self._database.list(page_token, limit + 1)
        more = len(names) > limit > 0
        return ListTablesResponse(names[:limit], names[limit - 1] if more else None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._database.list(None, 0))

    def __len__(self) -> int:
        return len(self._database.list(None, 0))

    def __contains__(self, name: object) -> bool:
        return name in self._database.list(None, 0)

    def __getitem__(self, name: str) -> Table:
        return self.open_table(name)

    def __repr__(self) -> str:
        return f"Database(uri={self.uri!r})"

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *unused: object) -> None:
        return None

    def _portable_uri(self) -> str:
        if self.uri.startswith("memory://"):
            raise InvalidError("a database in memory cannot be handed to another process")
        return self.uri

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return connect, (self._portable_uri(),)

    def open_table(self, name: str, *, version: int | str | None = None, **others: Any) -> Table:
        """Open a table at its newest version, or pinned to `version`, a number or a tag.

        Raises
        ------
        NotFoundError
            When there is none; a ValueError, a KeyError and a FileNotFoundError at once.
        """
        if others.pop("branch", None) is not None:
            refuse("a branch")
        lances("open_table()", others)
        if not isinstance(version, str):
            return Table(self._database.open_table(name, version or 0), self)
        table = Table(self._database.open_table(name), self)
        table.checkout(version)
        return table

    def create_table(
        self,
        name: str,
        data: Any = None,
        schema: Any = None,
        mode: Literal["create", "overwrite"] = "create",
        exist_ok: bool = False,
        on_bad_vectors: BadVectors = "error",
        fill_value: float = 0.0,
        embedding_functions: Any = None,
        *,
        metric: str | None = None,
        key: str | None = None,
        auto_index: bool = True,
        index_params: dict[str, Any] | None = None,
        versions: Literal["off"] | int | None = None,
        progress: Any = None,
        **others: Any,
    ) -> Table:
        """Create a table, and store its first rows.

        Parameters
        ----------
        name : str
            Letters, digits, "_", "-" and ".", beginning with a letter, a digit or "_".
        data : list of dict, list of pydantic models, dict of columns, frame, Arrow data, or an iterator of these
            A list column whose name contains "vector" or "embedding" becomes a vector column: float32, float16
            where all rows are float16 arrays, uint8 where all numbers are integers of 0..255.
        schema : pyarrow.Schema, LanceModel class or anything with ``__arrow_c_schema__``, optional
            The columns; without data, an empty table of them.
        mode : {"create", "overwrite"}
            "overwrite" replaces rows and columns of a table of that name.
        exist_ok : bool
            Open the table when it exists, leaving its rows and `data` alone; it must have the columns of `schema`,
            where one is given.
        on_bad_vectors : {"error", "drop", "fill", "null"}
            What to do with a vector of a wrong length or with NaN.
        fill_value : float
            For ``on_bad_vectors="fill"``.
        metric : {"l2", "cosine", "dot", "hamming"}, optional
            How the vector column is compared.
        key : str, optional
            The column that is the primary key: text or integers, never null, each once. `Table.add` refuses a key that
            is there already, `Table.upsert` replaces its row, `Table.get` finds rows by it.
        auto_index : bool
            Whether a write that brings the table to 20,000 rows builds an index (IVF_RQ) of each vector column that
            has none, before it returns. Such a build fails no write; an index that you make replaces it.
        index_params : dict, optional
            ``{"threshold": rows}``: from how many rows on, instead; -1 for never.
        versions : "off" or int, optional
            How many versions stay readable: 1,000 where nothing is said, "off" only the newest. A version goes as well
            when it was replaced 7 days ago, or the old ones have more bytes than the table; one with a tag stays.
            Those that are due are removed in passing, some dozens at once; `Table.optimize` removes them now.
        progress : bool, callable or tqdm-like, optional
            True shows a bar; a callable gets (stage, done, total) and stops the work by returning False.

        Returns
        -------
        Table

        Raises
        ------
        ExistsError
            When a table of that name exists, or with `exist_ok` one of other columns.
        TypeMismatchError, InvalidError
            When the data is no table or does not fit the schema; nothing is stored then.
        """
        lances("create_table()", others)
        if mode not in ("create", "overwrite"):
            raise InvalidError("mode must be either 'create' or 'overwrite'")
        if embedding_functions:
            refuse("embedding_functions")
        if data is None and schema is None:
            raise InvalidError("Either data or schema must be provided")
        if key is not None and not isinstance(key, str):
            raise InvalidError(f"a table's key is one column, named by a str, not {key!r}")
        options = {
            "overwrite": mode == "overwrite",
            "bad_vectors": inputs.bad_vectors(on_bad_vectors),
            "fill_value": fill_value,
            "metric": metric,
            "key": key,
            "auto_index": auto_index,
            "threshold": _threshold(index_params),
            "keep_versions": _kept(versions),
        }
        if exist_ok and mode == "create":
            try:
                return _of_schema(self.open_table(name), schema)
            except NotFoundError:
                options["exist_ok"] = True
        if schema is None:
            schema = _schema_of_models(data)
        wanted = None if schema is None else schemas.capsule(schema)
        stream = _core.empty_stream(wanted) if data is None else inputs.stream(data, wanted)
        with Progress(progress) as callback:
            made = self._database.create_table(name, stream, progress=callback, schema=wanted, **options)
        return Table(made, self)

    def drop_table(self, name: str, ignore_missing: bool = False, **others: Any) -> None:
        """Remove a table with all its rows."""
        lances("drop_table()", others)
        try:
            self._database.drop(name)
        except NotFoundError:
            if not ignore_missing:
                raise

    def drop_all_tables(self, **ignored: Any) -> None:
        """Remove all tables."""
        for name in self:
            self.drop_table(name, ignore_missing=True)

    def drop_database(self) -> None:
        """Remove all tables, and the folder when nothing else is in it."""
        self.drop_all_tables()
        if not self.uri.startswith("memory://"):
            try:
                os.rmdir(self.uri)
            except OSError:
                pass  # other files are in it: they are not ours to remove

    def rename_table(self, name: str, new_name: str, **ignored: Any) -> None:
        """Give a table another name. Handles opened before go on working."""
        self._database.rename(name, new_name)


def _of_schema(table: Table, schema: Any) -> Table:
    """Check that a table that was there already has the columns that were asked for."""
    if schema is not None:
        there, wanted = (
            sorted((one.name, _stored(one.type)) for one in schemas.Schema.from_arrow(given))
            for given in (table._table.schema(), schemas.capsule(schema))
        )
        if there != wanted:
            raise ExistsError(f"the table '{table.name}' exists with the columns {_told(there)}; the schema has {_told(wanted)}")
    return table


def _stored(type_: schemas.DataType) -> str:
    """Name a type, the same for those that are cast to each other unasked: texts and lists, large, viewed or plain."""
    return str(type_).replace("large_", "").replace("_view", "")


def _told(columns: list[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {type_}" for name, type_ in columns)


def _kept(versions: Any) -> int:
    if versions is None:
        return 0
    if versions == "off":
        return 1
    if isinstance(versions, str):
        raise InvalidError(f'versions is "off" or how many are kept, not {versions!r}')
    return natural("versions", versions, 1)


def _threshold(params: Any) -> int:
    """Read what `create_table` is told of the index that comes by itself; 0 for the usual number of rows."""
    if params is None:
        return 0
    if not isinstance(params, dict) or params.keys() - {"threshold"}:
        raise InvalidError(f'index_params is {{"threshold": rows}}, not {params!r}')
    value = params.get("threshold", 0)
    if value == -1 or "threshold" not in params:
        return value
    return natural("threshold in index_params (-1 means never)", value, 1)


def _schema_of_models(data: Any) -> Any:
    """Give the class of a list of models, when it knows its own columns."""
    first = data[0] if isinstance(data, list) and data else None
    return type(first) if inputs.is_model(first) and hasattr(type(first), "to_arrow_schema") else None


def _open_again(uri: str, name: str) -> Table:
    return connect(uri).open_table(name)


# LanceDB's names for the same thing
DBConnection = Database
LanceDBConnection = Database
