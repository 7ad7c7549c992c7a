"""A store's rows: one Kith database, of which each branch is a table.

`Dataset` is what ``store.dataset`` and `kith.deeplake.load` give: tensors by name, rows by number, branches and commits.
It has the part of Deep Lake's dataset that users of its vector store touch.

A branch is made by copying the rows of the one it leaves, because a table's files are its own; that costs what storing
them once more costs, and nothing afterwards. A commit is a tag on a version of a branch's table, which keeps that version;
every add is durable and seen by all before any commit, so that there is nothing to lose.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np

from .. import _core
from .._progress import Progress
from ..db import connect
from ..errors import ExistsError, NotFoundError, StorageError, UnsupportedError
from . import _filters, _index, _tensors
from .util.exceptions import (
    CheckoutError,
    DatasetHandlerError,
    EmptyCommitError,
    IncorrectEmbeddingShapeError,
    InvalidPathException,
    ReadOnlyModeError,
    TensorAlreadyExistsError,
    TensorDoesNotExistError,
    VersionControlError,
)

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any, Iterator, Sequence

    from ..db import Database
    from ..table import Table

__all__ = ["Dataset", "View", "Tensor"]

MAIN = "main"
_HERE = "only what a vector store uses is here (docs/DEEPLAKE.md)"
_WHOLE = "add() and delete() of the store, extend() and pop() of the dataset, and update_embedding()"
_COMMIT = "commit-"


_in_memory: WeakValueDictionary[str, Database] = WeakValueDictionary()  # the newest store of each name


def uri_of(path: Any) -> str:
    """Read a path: a folder, or ``mem://name`` for a store in memory, where `load` finds it while somebody holds it."""
    text = os.fsdecode(os.fspath(path))
    if text.startswith(("mem://", "memory://")):
        return "memory://" + text.partition("://")[2]
    scheme, mark, _ = text.partition("://")
    if mark:
        raise InvalidPathException(f"'{text}': a store is a folder, or mem:// and a name; Kith has no {scheme}://")
    return os.path.expanduser(text)


def _connected(uri: str) -> Database:
    """The database at a path; of one in memory that nobody holds any more, an empty one."""
    if not uri.startswith("memory://"):
        return connect(uri)
    held = _in_memory.get(uri)
    return connect("memory://") if held is None else held


def exists(uri: str, any_format: bool = False) -> bool:
    """Tell whether there is a store, without making a folder.

    Raises
    ------
    DatasetCorruptError
        When there is one that this version cannot read, unless that is all the same.
    """
    if not uri.startswith("memory://") and not os.path.isdir(uri):
        return False
    try:
        schema = _connected(uri).open_table(MAIN)._light_schema()
    except NotFoundError:
        return False
    if any_format and _tensors.is_store(schema):
        return True
    _tensors.read_schema(schema, uri)
    return True


def _place(given: Any) -> int:
    """Read the place of a row: a whole number, and no truth value, of which a list is a mask and names no rows."""
    if isinstance(given, (bool, np.bool_)) or not hasattr(given, "__index__"):
        raise ValueError(f"a row is told by its place, a whole number, not by {given!r}")
    return given.__index__()


def _table_name(branch: str) -> str:
    if not branch or not isinstance(branch, str):
        raise CheckoutError(f"a branch has a name, a text that is not empty; {branch!r} is none")
    name = re.sub(r"[^A-Za-z0-9_-]", lambda found: "".join(f".{byte:02x}" for byte in found[0].encode()), branch)
    if len(name) > 240:
        raise CheckoutError(f"a branch's name of {len(branch)} characters is too long for a file's name")
    return name


def _branch_name(table: str) -> str:
    return re.sub(r"(\.[0-9a-f]{2})+", lambda found: bytes.fromhex(found[0].replace(".", "")).decode(), table)


def _places(given: Any, rows: int) -> list[int]:
    """Read places of rows, or a mask with a truth value for each row, as numpy does."""
    told = list(given)
    if told and all(isinstance(one, (bool, np.bool_)) for one in told):
        if len(told) != rows:
            raise IndexError(f"a mask of {len(told)} truth values does not fit {rows} rows")
        return [at for at, wanted in enumerate(told) if wanted]
    return [_place(one) for one in told]


class Tensor:
    """One tensor of a dataset, or of some of its rows."""

    def __init__(self, view: View, info: _tensors.Info) -> None:
        self._view = view
        self._info = info

    @property
    def key(self) -> str:
        """The name."""
        return self._info.name

    name = key

    @property
    def meta(self) -> _tensors.Info:
        """With ``name``, ``htype`` and ``dtype``."""
        return self._info

    @property
    def htype(self) -> str:
        """ "text", "json", "embedding" or "generic"."""
        return self._info.htype

    @property
    def dtype(self) -> Any:
        """The type of its numbers; str for text and JSON."""
        if self._info.htype in ("text", "json"):
            return np.dtype(str)
        return np.dtype(self._info.dtype or "float32")

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, and the numbers in each."""
        width = self._view._dataset._widths.get(self._info.name)
        return (len(self), width or 0) if self._info.is_embedding else (len(self), 1)

    def __len__(self) -> int:
        return len(self._view)

    def _values(self) -> list[Any]:
        return self._view._values([self._info.name])[self._info.name]

    def __getitem__(self, rows: Any) -> Tensor:
        return Tensor(self._view[rows], self._info)

    def data(self, aslist: bool = False) -> dict[str, Any]:
        """Give ``{"value": ...}``: of one row its value, else a list, of embeddings a matrix."""
        values = self._values()
        if self._view._single:
            return {"value": values[0]}
        if self._info.is_embedding and not aslist and len({len(one) for one in values}) <= 1:
            return {"value": self._stacked(values)}
        return {"value": values}

    def _stacked(self, values: list[Any]) -> np.ndarray:
        return np.stack(values) if values else np.empty(self.shape, self.dtype)

    def numpy(self, aslist: bool = False, fetch_chunks: bool = False) -> Any:
        """Give the values as an array: of embeddings (rows, numbers), of others (rows, 1); of one row without rows."""
        values = self._values()
        if aslist:
            return values
        if self._info.is_embedding:
            alike = len({len(one) for one in values}) <= 1
            made = self._stacked(values) if alike else np.array(values, dtype=object)
        elif self._info.htype == "json":
            made = np.empty((len(values), 1), dtype=object)
            made[:, 0] = values
        else:
            made = np.array(values).reshape(-1, 1)
        return made[0] if self._view._single else made

    def text(self) -> Any:
        """Give the text of one row, or a list of texts."""
        return self.data(True)["value"]

    dict = list = text

    def get_vdb_indexes(self) -> Any:
        """List the indexes over the tensor, of which there is at most one, as Deep Lake tells them."""
        names = {_index.KITH_METRICS[one]: _index.LONG_NAMES[one] for one in _index.KITH_METRICS}
        return [
            {
                "id": "hnsw_1",
                "type": index["type"].lower(),
                "distance": names.get(index["metric"], index["metric"]),
                "additional_params": {"M": index.get("m", 0), "efConstruction": index.get("ef_construction", 0)},
            }
            for index in _index._of(self._view._dataset._table, self._info.name)
        ]

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a tensor has no '{name}': of Deep Lake's tensors {_HERE}")

    def append(self, *values: Any, **named: Any) -> None:
        """Not here: a tensor does not change alone.

        Raises
        ------
        UnsupportedError
        """
        raise UnsupportedError(f"a tensor has a value in every row, and rows change as a whole, by {_WHOLE}")

    extend = pop = clear = update = __setitem__ = append

    def __repr__(self) -> str:
        return f"Tensor(key={self._info.name!r}, htype={self._info.htype!r}, rows={len(self)})"


class View:
    """Some rows of a dataset in an order of their own; what a search gives with ``return_view=True``."""

    _single = False

    def __init__(self, dataset: Dataset, row_ids: Sequence[int]) -> None:
        self._dataset = dataset
        self._row_ids: list[int] | None = [int(row_id) for row_id in row_ids]
        self.scores: list[float] | None = None

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {name: Tensor(self, info) for name, info in self._dataset._infos.items()}

    @property
    def sample_indices(self) -> list[int]:
        """The places of the rows in the branch, from 0."""
        ids = self._dataset._all_ids()
        places = np.searchsorted(ids, np.array(self._ids(), "u8"))
        return places.tolist()

    def _ids(self) -> list[int]:
        return self._dataset._all_ids().tolist() if self._row_ids is None else self._row_ids

    def __len__(self) -> int:
        return len(self._ids())

    def _values(self, names: Sequence[str]) -> dict[str, list[Any]]:
        return self._dataset._taken(self._ids(), names)

    def __getitem__(self, what: Any) -> Any:
        if isinstance(what, str):
            if what not in self._dataset._infos:
                raise TensorDoesNotExistError(what)
            return Tensor(self, self._dataset._infos[what])
        ids = self._ids()
        if isinstance(what, slice):
            return View(self._dataset, ids[what])
        if isinstance(what, tuple):
            raise IndexError(f"rows are told by a place, a slice, a list of places or a mask, not by {what!r}")
        if hasattr(what, "__iter__"):
            return View(self._dataset, [ids[at] for at in _places(what, len(ids))])
        one = View(self._dataset, [ids[_place(what)]])
        one._single = True
        return one

    @property
    def num_samples(self) -> int:
        """The number of rows, as len() gives it."""
        return len(self)

    max_len = min_len = num_samples

    def update(self, sample: dict[str, Any]) -> None:
        """Not here: a row that changes moves behind the others.

        Raises
        ------
        UnsupportedError
        """
        raise UnsupportedError(f"values are not set in their place: rows change as a whole, by {_WHOLE}")

    def __iter__(self) -> Iterator[View]:
        return (self[at] for at in range(len(self)))

    def __getattr__(self, name: str) -> Tensor:
        if name.startswith("_") or name not in self._dataset._infos:
            raise AttributeError(f"there is no tensor '{name}', and of Deep Lake's datasets {_HERE}")
        return Tensor(self, self._dataset._infos[name])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(path={self._dataset.path!r}, tensors={list(self._dataset._infos)}, rows={len(self)})"


class Dataset(View):
    """All rows of one branch of a store. Made by `kith.deeplake.load`, `kith.deeplake.empty` and `VectorStore`.

    Attributes
    ----------
    path : str
    branch : str
    read_only : bool
    """

    token = None
    org_id = None
    username = "public"

    @property
    def _dataset(self) -> Dataset:  # type: ignore[override]
        return self  # an attribute would be a cycle, which only the collector frees

    def __init__(self, path: Any, database: Database, read_only: bool = False, branch: str = MAIN) -> None:
        self._row_ids = None
        self.scores = None
        self.path = os.fsdecode(os.fspath(path))
        self._database = database
        self._asked_read_only = bool(read_only)
        self._pinned = False
        self.branch = branch
        self._use(self._open(branch))
        self._wanted = _index.Wanted(self._settings.get("index_params"))
        self._verbose = False

    # ---- tables

    def _open(self, branch: str) -> Table:
        try:
            return self._database.open_table(_table_name(branch))
        except NotFoundError:
            raise CheckoutError(
                f"the store at {self.path} has no branch '{branch}'; it has {', '.join(self.branches)}"
            ) from None

    def _renewed(self) -> None:
        """Open the branch anew after another dropped its table: as it is now, or else empty with the same tensors."""
        for branch in dict.fromkeys((MAIN, self.branch)):  # a store has main, whatever is checked out
            try:
                self._database.create_table(_table_name(branch), schema=self._schema(self._infos), auto_index=False)
            except ExistsError:
                pass
        self._use(self._open(self.branch))

    def _schema(self, infos: dict[str, _tensors.Info]) -> Any:
        """The schema of a table without rows that has these tensors, and the settings of this one."""
        settings = {key: value for key, value in self._settings.items() if key not in ("format", "tensors")}
        return _tensors.schema_of(infos, settings)

    def delete_all(self) -> None:
        """Delete every row of the branch. Where another handle dropped it or the store, it is there again, empty."""
        with self._writing() as table:
            try:
                table.delete("true")
            except NotFoundError:
                self._renewed()
                self._table.delete("true")

    def _use(self, table: Table) -> None:
        self._table = table
        self._infos, self._settings = _tensors.read_schema(table._light_schema(), self.path)
        self._refresh()

    def _refresh(self) -> None:
        """Read which columns there are: those of embeddings come with the first rows."""
        schema = self._table._light_schema()
        self._columns = frozenset(schema.names)
        self._widths = {
            name: int(schema.field(name).type.format[3:])
            for name, info in self._infos.items()
            if info.is_embedding and name in self._columns
        }

    def _there(self, name: str) -> bool:
        """Tell whether a tensor has a column yet; another process may have made it a moment ago."""
        if name not in self._columns:
            self._refresh()
        return name in self._columns

    @property
    def read_only(self) -> bool:
        """Whether changes are refused."""
        return self._asked_read_only or self._pinned

    @contextmanager
    def _writing(self) -> Iterator[Table]:
        if self._pinned:
            raise ReadOnlyModeError(
                f"commit {self.commit_id} is checked out, which does not change: check out a branch"
            )
        if self.read_only:
            raise ReadOnlyModeError()
        try:
            yield self._table
        except StorageError as error:
            if not self.path.startswith("mem") and not os.access(self._database.uri, os.W_OK):
                raise ReadOnlyModeError(f"the store cannot be written: {error}") from error
            raise

    # ---- rows out

    def __len__(self) -> int:
        return len(self._table)

    def _all_ids(self) -> np.ndarray:
        return _tensors.numbers_of(_core.stream_columns(self._table._table.scan((), 0, None, True))[0])

    def _decoded(self, columns: dict[str, Any], names: Sequence[str], count: int) -> dict[str, list[Any]]:
        return {name: _tensors.decoded(self._infos[name], columns.get(name), count) for name in names}

    def _stored(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if self._there(name))

    def _values(self, names: Sequence[str]) -> dict[str, list[Any]]:
        return self._scanned(None, names)[1]

    def _scanned(
        self, where: Any, names: Sequence[str], limit: int | None = None
    ) -> tuple[list[int], dict[str, list[Any]]]:
        """Give ids and values of the rows that a condition admits, in the order of the store."""
        ids, columns = self._read(where, names, limit)
        return ids, self._decoded(columns, names, len(ids))

    def _read(self, where: Any, names: Sequence[str], limit: int | None = None) -> tuple[list[int], dict[str, Any]]:
        """As `_scanned`, with the columns as they are stored."""
        stream = self._table._table.scan(self._stored(names), 0, limit, True, None if where is None else where._expr)
        columns = {column[0]: column for column in _core.stream_columns(stream)}
        return _tensors.numbers_of(columns["_rowid"]).tolist(), columns

    def _taken(self, row_ids: Sequence[int], names: Sequence[str]) -> dict[str, list[Any]]:
        """Give values of rows by their ids, in the order of the ids."""
        wanted = np.array(row_ids, "u8")
        stream = self._table._table.take(np.unique(wanted).tolist(), self._stored(names), True)
        columns = {column[0]: column for column in _core.stream_columns(stream)}
        ids = _tensors.numbers_of(columns["_rowid"])
        values = self._decoded(columns, names, len(ids))
        places = np.searchsorted(ids, wanted)
        inside = places < len(ids)
        kept = [at for at, row_id, ok in zip(places.tolist(), wanted, inside) if ok and ids[at] == row_id]
        return {name: [column[at] for at in kept] for name, column in values.items()}

    def _ids_at(self, places: Any) -> list[int]:
        """Give the ids of rows by their places, of which one may stand alone."""
        ids = self._all_ids()
        wanted = np.array([_place(place) for place in (places if hasattr(places, "__iter__") else [places])], "i8")
        wrong = wanted[(wanted < -len(ids)) | (wanted >= len(ids))]
        if len(wrong):
            raise IndexError(f"the store has {len(ids)} rows; there is none at {wrong[0]}")
        return ids[wanted].tolist() if len(wanted) else []

    # ---- rows in

    def extend(self, samples: dict[str, Any], **ignored: Any) -> None:
        """Add rows: a dict of tensors and their values. A tensor that is not named has none."""
        for name, given in samples.items():
            if name not in self._infos:
                raise TensorDoesNotExistError(name)
            _tensors.check_many(name, given)
        count = len(next(iter(samples.values()))) if samples else 0
        self._append({name: samples.get(name) for name in self._infos}, count)

    def append(self, sample: dict[str, Any], **ignored: Any) -> None:
        """Add one row."""
        self.extend({name: [value] for name, value in sample.items()})

    def _append(self, values: dict[str, Any], count: int) -> None:
        """Store rows, in one commit: all of them or none."""
        with self._writing() as table:
            if count == 0:
                return
            columns: dict[str, Any] = {}
            for name, given in values.items():
                info = self._infos[name]
                if given is None or (
                    info.is_embedding and isinstance(given, list) and all(one is None for one in given)
                ):
                    if not self._there(name):
                        continue
                    given = [None] * count
                columns.update(_tensors.columns_of(info, given, self._width(name)))
                if not self._there(name):
                    self._make_column(info, columns[name])
            table.add(columns)
        self._ensure_index()

    def create_tensor(self, name: str, htype: str | None = None, dtype: Any = None, **ignored: Any) -> Tensor:
        """Add a tensor to a dataset that has no rows yet.

        Raises
        ------
        TensorAlreadyExistsError
        UnsupportedError
            When there are rows.
        """
        if name in self._infos:
            raise TensorAlreadyExistsError(f"Tensor '{name}' already exists.")
        if len(self):
            raise UnsupportedError(f"the store has {len(self)} rows; tensors are made before the first of them")
        info = _tensors.described({"name": name, "htype": htype, "dtype": dtype, **ignored})
        schema = self._schema({**self._infos, name: info})
        with self._writing() as table:
            self._use(self._database.create_table(table.name, schema=schema, mode="overwrite", auto_index=False))
        return self[name]

    def _ensure_index(self) -> None:
        """Build the indexes that are wanted and missing; what fails is a warning."""
        with Progress(self._verbose and len(self) >= 100_000) as told:
            _index.ensure(self._table, self._infos, self._wanted, told)

    def _width(self, name: str) -> int | None:
        self._there(name)
        return self._widths.get(name)

    def _make_column(self, info: _tensors.Info, values: Any) -> None:
        first: Any = values
        if isinstance(values, list) and info.is_embedding:
            first = np.stack([one for one in values if one is not None])
        try:
            self._table.add_columns([info.field_for(first)])
        except ExistsError:
            pass  # another writer's rows came first
        self._refresh()
        width = self._widths.get(info.name)
        if width is not None and first.shape[1] != width:
            raise IncorrectEmbeddingShapeError(
                f"the embeddings of '{info.name}' have {first.shape[1]} numbers, those of the store have {width}"
            )

    def pop(self, index: Any = None) -> None:
        """Delete rows by their places; the last one where nothing is said."""
        places = [-1] if index is None else list(index) if hasattr(index, "__iter__") else [index]
        with self._writing() as table:
            if places:
                table.delete(row_ids=self._ids_at(places))

    # ---- queries

    def filter(self, function: Any, **ignored: Any) -> View:
        """Keep the rows that a function or a dict admits."""
        return View(self, self._scanned(_filters.meant_by(function, self._table, self._infos), ())[0])

    def query(self, query_string: str, **ignored: Any) -> View:
        """Run a TQL query."""
        from . import tql

        return tql.run(self, query_string).view(self)

    # ---- versions

    @property
    def branches(self) -> list[str]:
        """The branches' names."""
        return [_branch_name(name) for name in _tables(self._database)]

    @property
    def commits(self) -> list[dict[str, Any]]:
        """The commits of the branch, newest first, each a dict with ``commit`` and ``version``."""
        found = [(name, version) for name, version in self._table._table.tags().items() if name.startswith(_COMMIT)]
        return [
            {"commit": name.removeprefix(_COMMIT), "version": version} for name, version in sorted(found, reverse=True)
        ]

    @property
    def commit_id(self) -> str | None:
        """The newest commit of the branch, or the one that is checked out."""
        version = self._table.version
        older = [one["commit"] for one in self.commits if one["version"] <= version]
        return older[0] if older else None

    @property
    def has_head_changes(self) -> bool:
        """Whether rows changed since the newest commit."""
        commits = self.commits
        return not commits or commits[0]["version"] != self._table.version

    def commit(self, message: str | None = None, allow_empty: bool = False, **ignored: Any) -> str:
        """Keep the branch as it is now, under an id that `checkout` takes; the id is given.

        Raises
        ------
        EmptyCommitError
            When nothing changed since the last one, and empty ones are not allowed.
        """
        with self._writing() as table:
            if not allow_empty and not self.has_head_changes:
                raise EmptyCommitError(
                    "There are no changes since the last commit; allow_empty=True commits all the same."
                )
            made = f"{time.time_ns():016x}{os.urandom(8).hex()}"
            table.tags.create(_COMMIT + made, table.version)
            return made

    def checkout(self, address: str, create: bool = False, **ignored: Any) -> str | None:
        """Go to a branch or a commit; with `create`, to a new branch with the rows of this one.

        Raises
        ------
        CheckoutError
            When there is no such branch or commit; or one of that name is to be made.
        """
        _table_name(address)  # raises where it can be no name
        if create:
            self._make_branch(address)
        elif address not in self.branches:
            self._to_commit(address)
            return self.commit_id
        self._pinned = False
        self.branch = address
        self._use(self._open(address))
        return self.commit_id

    def _make_branch(self, branch: str) -> None:
        if self._asked_read_only:
            raise ReadOnlyModeError()
        try:
            self._database.create_table(_table_name(branch), self._table, self._table._light_schema(), auto_index=False)
        except ExistsError:
            raise CheckoutError(f"the store at {self.path} has a branch '{branch}' already") from None

    def delete_branch(self, name: str) -> None:
        """Delete another branch than main and the one that is checked out.

        Raises
        ------
        VersionControlError
        """
        if name in (MAIN, self.branch) or name not in self.branches:
            raise VersionControlError(f"branch '{name}' cannot be deleted: it is main, checked out, or not there")
        with self._writing():
            self._database.drop_table(_table_name(name))

    def _to_commit(self, commit: str) -> None:
        for branch in self.branches:
            table = self._open(branch)
            if _COMMIT + commit in table._table.tags():
                table.checkout(_COMMIT + commit)
                self.branch = branch
                self._pinned = True
                self._use(table)
                return
        raise CheckoutError(
            f"the store at {self.path} has neither a branch nor a commit '{commit}'; its branches are {', '.join(self.branches)}"
        )

    # ---- all of it

    def summary(self) -> None:
        """Print tensors, types and rows."""
        rows = [("tensor", "htype", "shape", "dtype")]
        for name, tensor in self.tensors.items():
            dtype = "str" if tensor.htype in ("text", "json") else str(tensor.dtype)
            rows.append((name, tensor.htype, str(tensor.shape), dtype))
        widths = [max(map(len, column)) for column in zip(*rows)]
        print(f"Dataset(path={self.path!r}, branch={self.branch!r}, tensors={list(self._infos)})\n")
        for row in rows:
            print("  ".join(f"{word:<{width}}" for word, width in zip(row, widths)))

    def delete(self, large_ok: bool = False) -> None:
        """Delete the store with all its branches."""
        with self._writing():
            remove(self._database)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (
            self._database._portable_uri(),  # absolute; `path` is as it was told, and the working folder may change
            self._asked_read_only,
            self.commit_id if self._pinned else self.branch,
        )

    def flush(self) -> None:
        """Nothing: what was added is on disk."""

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, *unused: object) -> None:
        return None


def _tables(database: Database) -> list[str]:
    """The tables that are branches of a store; others may lie in the same database, and are none of ours."""
    return [name for name in database if _tensors.is_store(database.open_table(name)._light_schema())]


def remove(database: Database) -> None:
    """Remove the branches of a store, main last, and the folder when nothing else is in it."""
    for name in sorted(_tables(database), key=lambda name: name == MAIN):
        database.drop_table(name, ignore_missing=True)
    if not database.uri.startswith("memory://"):
        try:
            os.rmdir(database.uri)
        except OSError:
            pass  # other files are in it: they are not ours to remove


def create(path: Any, tensor_params: Any, settings: dict[str, Any], overwrite: bool = False) -> Dataset:
    """Make an empty store; without tensor_params it has no tensors yet, which `Dataset.create_tensor` makes.

    Raises
    ------
    DatasetHandlerError
        When there is one, and it is not to be overwritten.
    """
    uri = uri_of(path)
    infos = {} if tensor_params is None else _tensors.from_params(tensor_params)
    in_memory = uri.startswith("memory://")  # where each new store is one of its own, as in 3.9
    database = connect("memory://" if in_memory else uri)
    if in_memory:
        _in_memory[uri] = database
    if overwrite:
        for name in _tables(database):
            database.drop_table(name, ignore_missing=True)
    try:
        database.create_table(MAIN, schema=_tensors.schema_of(infos, settings), auto_index=False)
    except ExistsError:
        raise DatasetHandlerError(
            f"A dataset already exists at the given path ({path}): load() opens it, overwrite=True replaces it"
        ) from None
    return Dataset(path, database)


def _again(path: str, read_only: bool, address: str) -> Dataset:
    """What a pickled dataset becomes: the store opened in another process."""
    made = load(path, read_only)
    made.checkout(address)
    return made


def load(path: Any, read_only: bool = False, branch: str = MAIN) -> Dataset:
    """Open a store.

    Raises
    ------
    DatasetHandlerError
        When there is none, or it is of a newer version.
    CheckoutError
        When it has no such branch.
    """
    uri = uri_of(path)
    if not exists(uri):
        raise DatasetHandlerError(
            f"A Deep Lake dataset does not exist at the given path ({path}); VectorStore() or empty() make one"
        )
    return Dataset(path, _connected(uri), read_only, branch)


def delete(path: Any, force: bool = False) -> None:
    """Delete the store at a path.

    Raises
    ------
    DatasetHandlerError
        When there is none; with `force` not where there is another folder, which is left alone.
    """
    uri = uri_of(path)
    if exists(uri, any_format=force):
        remove(_connected(uri))
    elif not (force and (uri.startswith("memory://") or Path(uri).exists())):
        raise DatasetHandlerError(f"A Deep Lake dataset wasn't found at the specified path ({path}).")
