"""Filters: dicts, functions and LlamaIndex's, as expressions of Kith.

A dict says what tensors are equal to, all of it at once: of a JSON tensor each member that is given (as Python's ``==``
has it, so that 1, 1.0 and True are one), of others the value, or one of a list. That becomes an expression, which Kith
answers by columns and indexes. What an expression cannot say (functions, members that are lists or objects) is asked of
the rows one by one in Python, as Deep Lake does with every filter; what comes of it is an expression over row ids.
"""

from __future__ import annotations

from zlib import crc32

from .. import _core
from ..expr import Expr, col, func, lit
from . import _tensors
from .util.exceptions import DeepLakeError

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

    from ..table import Table
    from ._tensors import Info

    Check = Callable[["Sample"], Any]

VALUES_AT_ONCE = 50_000  # in one list of an expression, which may hold 100,000


class FilterTypeError(DeepLakeError, ValueError, TypeError):
    """What was given as a filter is none."""


# ---- one row, as filter functions see it


class Value:
    """One tensor's value of one row, in the forms that Deep Lake's samples have."""

    __slots__ = ("_info", "_value")

    def __init__(self, info: Info, value: Any) -> None:
        self._info = info
        self._value = value

    @property
    def meta(self) -> Info:
        """With the ``htype``."""
        return self._info

    @property
    def htype(self) -> str:
        """The tensor's type."""
        return self._info.htype

    def data(self, aslist: bool = False) -> dict[str, Any]:
        """Give the value as ``{"value": ...}``."""
        return {"value": self._value}

    def numpy(self, aslist: bool = False) -> Any:
        """Give the value as an array; of a text or JSON, an array of one object."""
        import numpy

        if isinstance(self._value, numpy.ndarray):
            return self._value
        return numpy.array([self._value], dtype=object if self._info.htype == "json" else None)

    def text(self) -> str:
        """Give the text."""
        return self._value

    def dict(self) -> Any:
        """Give the JSON."""
        return self._value


class Sample:
    """One row: ``sample["metadata"].data()["value"]``, or ``sample.metadata``."""

    __slots__ = ("_rows", "_at")

    def __init__(self, rows: Rows, at: int) -> None:
        self._rows = rows
        self._at = at

    def __getitem__(self, name: str) -> Value:
        return Value(self._rows.infos[name], self._rows.column(name)[self._at])

    def __getattr__(self, name: str) -> Value:
        if name not in self._rows.infos:
            raise AttributeError(f"there is no tensor '{name}'")
        return self[name]

    def value(self, name: str) -> Any:
        """Give a tensor's value itself."""
        return self._rows.column(name)[self._at]

    @property
    def tensors(self) -> list[str]:
        """The tensors' names."""
        return list(self._rows.infos)


class Rows:
    """The rows that a condition admits, of one version; a column is read when it is first asked for."""

    def __init__(self, table: Table, infos: dict[str, Info], where: Expr | None) -> None:
        pinned = table._database.open_table(table.name, version=table.version)
        self._table = pinned._table
        self._where = None if where is None else where._expr
        self._columns: dict[str, list[Any]] = {}
        self.infos = infos
        self.ids: list[int] = _tensors.numbers_of(self._read("_rowid")).tolist()  # type: ignore[arg-type]

    def _read(self, name: str) -> tuple[Any, ...] | None:
        if name != "_rowid" and name not in _tensors.Schema.from_arrow(self._table.schema()).names:
            return None
        return _core.stream_columns(self._table.scan((name,), 0, None, False, self._where))[0]

    def column(self, name: str) -> list[Any]:
        if name not in self._columns:
            self._columns[name] = _tensors.decoded(self.infos[name], self._read(name), len(self.ids))
        return self._columns[name]

    def __iter__(self) -> Iterator[Sample]:
        return (Sample(self, at) for at in range(len(self.ids)))


# ---- dicts


def _equals(value: Any) -> list[Any]:
    """The values that Python holds equal to a number and JSON writes in other ways."""
    found: list[Any] = []
    if value != value:
        return found
    if value in (0, 1):
        found.append(bool(value))
    if value == 0:
        found.append(-0.0)
    if abs(value) != float("inf") and value == int(value):
        found.append(int(value))
    try:
        if float(value) == value:
            found.append(float(value))
    except OverflowError:
        pass
    return found


def member_is(tensor: str, key: str, value: Any) -> Expr | None:
    """The expression for: the JSON object has a member of this value. None where none can say it."""
    if hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, (dict, list)):
        return None
    if isinstance(value, (bool, int, float)):
        same = _equals(value)
    else:
        same = [value] if value is None or isinstance(value, str) else []
    if not same or not isinstance(key, str):
        return lit(False)
    lines = [_tensors.member(key, one) for one in same]
    hashed = func("array_has_any", col(_tensors.HIDDEN + tensor), [crc32(line.encode()) for line in lines])
    text = col(tensor)
    found = text.contains(f"\n{lines[0]}\n")
    for line in lines[1:]:
        found = found | text.contains(f"\n{line}\n")
    return hashed & found


def _one_of(column: Expr, values: list[Any]) -> Expr:
    if not values:
        return lit(False)
    parts = [column.isin(values[at : at + VALUES_AT_ONCE]) for at in range(0, len(values), VALUES_AT_ONCE)]
    meant = parts[0]
    for part in parts[1:]:
        meant = meant | part
    return meant


def _is(info: Info, value: Any) -> Expr:
    """The expression for: a tensor that is no JSON is a value, or one of a list."""
    if info.is_embedding:
        raise ValueError(f"tensor '{info.name}' holds embeddings, which a filter cannot ask for")
    column = col(info.name)
    many = isinstance(value, (list, tuple, set, frozenset)) or getattr(value, "ndim", 0) == 1
    given: Any = value if many else [value]
    values = [one.item() if hasattr(one, "dtype") else one for one in given]
    if info.htype == "text":
        values = [str(one) for one in values if isinstance(one, str) or hasattr(one, "urn")]
    elif info.dtype not in (None, "str"):  # a number is equal to no text; Kith would read the text as a number
        values = [one for one in values if isinstance(one, (bool, int, float))]
    return column == values[0] if len(values) == 1 else _one_of(column, values)


def _both(one: Any, other: Any) -> Any:
    return other if one is None else one & other


def from_dict(filter: dict[str, Any], infos: dict[str, Info]) -> tuple[Expr | None, Check | None]:
    """Read a dict: an expression, and what is left to ask of each row that it admits."""
    meant: Expr | None = None
    left: list[tuple[str, str, Any]] = []
    for name, wanted in filter.items():
        if name not in infos:
            raise ValueError(f"Tensor '{name}' is not present in the Vector Store.")
        if infos[name].htype != "json":
            meant = _both(meant, _is(infos[name], wanted))
            continue
        if not hasattr(wanted, "items"):
            raise FilterTypeError(f"tensor '{name}' is JSON: a filter gives a dict of its members, not {wanted!r}")
        for key, value in wanted.items():
            said = member_is(name, key, value)
            if said is None:
                left.append((name, key, value))
            else:
                meant = _both(meant, said)
    return meant, _members_check(left) if left else None


def _members_check(left: list[tuple[str, str, Any]]) -> Check:
    def check(sample: Sample) -> bool:
        for name, key, value in left:
            there = sample.value(name)
            if not isinstance(there, dict) or key not in there or there[key] != value:
                return False
        return True

    return check


# ---- LlamaIndex's MetadataFilters, known by their looks

_compares: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "in": lambda a, b: a in b,
    "nin": lambda a, b: a not in b,
    "any": lambda a, b: any(one in a for one in b),
    "all": lambda a, b: all(one in a for one in b),
    "contains": lambda a, b: b in a,
    "text_match": lambda a, b: b in a,
    "text_match_insensitive": lambda a, b: b.lower() in a.lower(),
}


def _word(value: Any) -> str:
    return str(getattr(value, "value", value))


def _meets(filters: Any, metadata: dict[str, Any]) -> bool:
    condition = _word(filters.condition or "and")
    found = [_meets_one(one, metadata) for one in filters.filters]
    if condition == "or":
        return any(found)
    return not any(found) if condition == "not" else all(found)


def _meets_one(one: Any, metadata: dict[str, Any]) -> bool:
    if hasattr(one, "filters"):
        return _meets(one, metadata)
    operator = _word(one.operator)
    if operator == "is_empty":
        return metadata.get(one.key) in (None, "", [])
    if operator not in _compares:
        raise FilterTypeError(f"the filter operator '{operator}' is not known")
    if one.key not in metadata:
        return operator in ("!=", "nin")
    try:
        return bool(_compares[operator](metadata[one.key], one.value))
    except TypeError:  # values that do not compare
        return False


def _from_llama(filters: Any, infos: dict[str, Info]) -> tuple[Expr | None, Check | None]:
    if "metadata" not in infos:
        raise ValueError("Tensor 'metadata' is not present in the Vector Store.")
    plain = all(not hasattr(one, "filters") and _word(one.operator) == "==" for one in filters.filters)
    if (
        plain
        and _word(filters.condition or "and") == "and"
        and len({one.key for one in filters.filters}) == len(filters.filters)
    ):
        return from_dict({"metadata": {one.key: one.value for one in filters.filters}}, infos)
    return None, lambda sample: _meets(filters, sample.value("metadata"))


# ---- all of them


def rows_are(row_ids: list[int]) -> Expr:
    """The expression for: the row is one of these."""
    return _one_of(col("_rowid"), row_ids)


def meant_by(filter: Any, table: Table, infos: dict[str, Info]) -> Expr | None:
    """Make the expression of a filter in any form; None admits every row."""
    if filter is None:
        return None
    check: Check | None
    if isinstance(filter, Expr):
        return filter
    if isinstance(filter, dict):
        meant, check = from_dict(filter, infos)
    elif hasattr(filter, "filters") and hasattr(filter, "condition"):
        meant, check = _from_llama(filter, infos)
    elif callable(filter):
        meant, check = None, filter
    else:
        raise FilterTypeError(f"a filter is a dict or a function, not {filter!r}")
    if check is None:
        return meant
    rows = Rows(table, infos, meant)
    return rows_are([row_id for row_id, sample in zip(rows.ids, rows) if check(sample)])
