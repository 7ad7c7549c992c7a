"""Streams as data frames: pandas and Polars, neither of which needs pyarrow for it.

pandas frames look as pyarrow's ``to_pandas()`` makes them: integers with nulls become float64 with NaN, truth
values with nulls become objects, vectors become one numpy array a row in an object column.
"""

from __future__ import annotations

from . import _core
from .errors import InvalidError, missing

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    import pandas
    import polars
    import pyarrow

_numpy_types = {
    "c": "i1", "C": "u1", "s": "i2", "S": "u2", "i": "i4", "I": "u4", "l": "i8", "L": "u8", "e": "f2", "f": "f4", "g": "f8",
}  # fmt: skip
_units = {"s": "s", "m": "ms", "u": "us", "n": "ns"}


def microseconds(timeout: timedelta | float | None) -> int:
    """Read a timeout, a timedelta or seconds, as the library takes it: 0 is none, -1 one that has passed."""
    if timeout is None:
        return 0
    given: Any = timeout
    seconds = given.total_seconds() if hasattr(given, "total_seconds") else given
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds != seconds:
        raise InvalidError(f"timeout is a timedelta or a number of seconds, not {timeout!r}")
    if seconds <= 0:
        return -1
    return 2**63 - 1 if seconds > 1e12 else max(1, round(seconds * 1e6))


class Streamable:
    """What has ``__arrow_c_stream__`` and so can become any kind of frame.

    Each form takes ``timeout``, a timedelta or seconds: when they have passed and the rows are not there, a filter is
    still evaluated or a search not at its end, TimedOutError says so (for `to_batches` they count until the last batch
    is read; pyarrow then raises an OSError with the same words). Ctrl-C stops any of them.
    """

    __slots__ = ()

    def _stream(self, timeout_us: int = 0) -> object:
        raise NotImplementedError

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Give the rows as an Arrow stream capsule; each call makes a new one."""
        return self._stream()

    def to_list(self, *, timeout: timedelta | float | None = None) -> list[dict[str, Any]]:
        """Give the rows as dicts; vectors as lists of float."""
        return _core.stream_rows(self._stream(microseconds(timeout)))

    def to_arrow(self, *, timeout: timedelta | float | None = None) -> pyarrow.Table:
        """Give the rows as a pyarrow Table."""
        return arrow().RecordBatchReader.from_stream(_within(self, timeout)).read_all()

    def to_pandas(
        self, flatten: bool | int | None = None, *, timeout: timedelta | float | None = None, **options: Any
    ) -> pandas.DataFrame:
        """Give the rows as a pandas DataFrame; pyarrow is not needed where neither of these is said.

        Parameters
        ----------
        flatten : bool or int, optional
            Give the fields of structs as columns of their own, called "column.field": all of them, or so many levels.
        **options
            As for ``pyarrow.Table.to_pandas()``, which then makes the frame: ``types_mapper=pandas.ArrowDtype``.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", [{"n": 1, "size": {"x": 2, "y": 3}}])
        >>> table.to_pandas(flatten=True).columns.tolist()
        ['n', 'size.x', 'size.y']
        """
        levels = _levels(flatten)
        if not levels and not options:
            return to_pandas(self._stream(microseconds(timeout)))
        table = arrow().RecordBatchReader.from_stream(_within(self, timeout)).read_all()
        while levels and any(str(one.type).startswith("struct") for one in table.schema):
            table = table.flatten()
            levels -= 1
        return table.to_pandas(**options) if options else to_pandas(table.__arrow_c_stream__())

    def to_polars(self, *, timeout: timedelta | float | None = None) -> polars.DataFrame:
        """Give the rows as a Polars DataFrame; pyarrow is not needed."""
        return to_polars(_within(self, timeout))

    def to_batches(
        self, batch_size: int | None = None, *, timeout: timedelta | float | None = None
    ) -> pyarrow.RecordBatchReader:
        """Give the rows as a pyarrow RecordBatchReader, read as it is iterated, at most `batch_size` rows a batch."""
        reader = arrow().RecordBatchReader.from_stream(_within(self, timeout))
        if not batch_size:
            return reader
        parts = (batch.slice(at, batch_size) for batch in reader for at in range(0, batch.num_rows, batch_size))
        return arrow().RecordBatchReader.from_batches(reader.schema, parts)


class Result(Streamable):
    """Rows that were not asked for in any form yet; what ``Table.head()`` gives where there is no pyarrow."""

    __slots__ = ("_make",)

    def __init__(self, make: Any) -> None:
        self._make = make

    def _stream(self, timeout_us: int = 0) -> object:
        return self._make(timeout_us)


def _levels(flatten: bool | int | None) -> float:
    if flatten is None or flatten is False:
        return 0
    if flatten is True:
        return float("inf")
    if not isinstance(flatten, int) or flatten < 1:
        raise InvalidError(f"flatten is True or how many levels of structs are opened, 1 or more, not {flatten!r}")
    return flatten


def _within(source: Streamable, timeout: timedelta | float | None) -> Streamable:
    """Give what has the rows of a source for so long."""
    if timeout is None:
        return source
    timeout_us = microseconds(timeout)
    return Result(lambda _: source._stream(timeout_us))


def arrow() -> Any:
    """Import pyarrow, or say what to do."""
    try:
        import pyarrow
    except ImportError:
        raise missing("pyarrow", "an Arrow table", "to_list(), to_pandas() and to_polars() do without it") from None
    return pyarrow


def to_polars(source: Any) -> polars.DataFrame:
    """Read a source of an Arrow stream into Polars."""
    try:
        import polars
    except ImportError:
        raise missing("polars", "a Polars frame") from None
    return polars.DataFrame(source)


def to_pandas(stream: object, renamed: dict[str, str] | None = None) -> pandas.DataFrame:
    """Read a stream capsule into pandas; `renamed` gives columns other names.

    The frame is made by one call from plain arrays: a Series for each column would cost more than most searches.
    """
    try:
        import numpy
        import pandas
    except ImportError:
        raise missing("pandas", "a pandas frame") from None
    columns = _core.stream_columns(stream)
    names = [(renamed or {}).get(column[0], column[0]) for column in columns]
    made = [_values(numpy, pandas, *column[1:]) for column in columns]
    if columns and len(set(names)) == len(names):
        return pandas.DataFrame(dict(zip(names, made)), copy=False)
    frame = pandas.DataFrame(dict(enumerate(made)))
    frame.columns = pandas.Index(names, dtype=None if columns else object)
    return frame


def _values(numpy: Any, pandas: Any, format_: str, item: str | None, width: int, values: Any, valid: Any) -> Any:
    if valid is None:
        return _objects(numpy, pandas, format_, values)
    present = numpy.frombuffer(valid, dtype=bool)
    if item is not None:
        return _vectors(numpy, values, item, width, present)
    if format_[0] == "t":
        return _times(numpy, pandas, values, format_, present)
    numbers = numpy.frombuffer(values, dtype=_numpy_types[format_])
    if present.all():
        return numbers
    if format_ not in "efg":
        numbers = numbers.astype("f8")
    numbers[~present] = numpy.nan
    return numbers


def _vectors(numpy: Any, values: Any, item: str, width: int, present: Any) -> Any:
    matrix = numpy.frombuffer(values, dtype=_numpy_types[item]).reshape(len(present), width)
    rows = numpy.empty(len(present), dtype=object)
    rows[:] = [row if there else None for row, there in zip(matrix, present.tolist())]
    return rows


def _times(numpy: Any, pandas: Any, values: Any, format_: str, present: Any) -> Any:
    if format_[1] in "dt":  # dates and times of day are objects, as pyarrow gives them
        narrow = format_ in ("tdD", "tts", "ttm")
        numbers = numpy.frombuffer(values, dtype="i4" if narrow else "i8").tolist()
        from ._values import decode

        objects = [decode(format_, number) if there else None for number, there in zip(numbers, present.tolist())]
        return _objects(numpy, pandas, format_, objects)
    kind = "m" if format_[1] == "D" else "M"
    stamps = numpy.frombuffer(values, dtype="i8").copy().view(f"{kind}8[{_units[format_[2]]}]")
    stamps[~present] = "NaT"
    zone = format_.partition(":")[2]
    if not zone:
        return stamps
    return pandas.Series(stamps).dt.tz_localize("UTC").dt.tz_convert(zone)


def _objects(numpy: Any, pandas: Any, format_: str, values: list[Any]) -> Any:
    if format_ in ("u", "U"):
        if all(value is None for value in values):  # nothing that pandas could tell the type from
            return pandas.array(values, dtype="str") if int(pandas.__version__.split(".")[0]) >= 3 else _column(numpy, values)
        return _column(numpy, values)
    if format_ == "b" and None not in values:
        return numpy.array(values, dtype=bool)
    if format_[0] == "+" and format_ != "+s":
        values = [None if value is None else numpy.array(value, dtype=_list_type(value)) for value in values]
    if format_ in ("c", "C", "s", "S", "i", "I", "l", "L"):  # the indices of a dictionary: its values
        return pandas.Categorical(values)
    return pandas.Series(_column(numpy, values), dtype=object)  # never taken for text


def _column(numpy: Any, values: list[Any]) -> Any:
    rows = numpy.empty(len(values), dtype=object)
    rows[:] = values
    return rows


def _list_type(values: list[Any]) -> Any:
    if all(isinstance(value, (int, float)) for value in values):
        return None
    # numbers with gaps become NaN, as in a column
    return "f8" if all(value is None or isinstance(value, (int, float)) for value in values) else object
