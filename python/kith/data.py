"""Whatever users hand over, as one Arrow stream.

`stream()` gives a capsule that the C library reads. Rows of Python values are converted by the extension; what
speaks Arrow (pyarrow, Polars, DuckDB, datasets) is passed on untouched; iterators become a chain whose parts are
converted when they are wanted, so that a generator of a million rows is stored batch by batch.
"""

from __future__ import annotations

from itertools import islice

from . import _core
from .errors import InvalidError, TypeMismatchError
from .frames import Streamable

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any, Iterator

ROWS_AT_ONCE = 8192
VECTOR_ITEMS = frozenset("fegcC")  # Arrow letters of the numbers that vectors hold
BAD_VECTORS = {"error": 0, "drop": 1, "fill": 2, "null": 3}


def bad_vectors(name: str) -> int:
    """Check `on_bad_vectors`."""
    if name not in BAD_VECTORS:
        raise InvalidError(f"on_bad_vectors must be one of {', '.join(BAD_VECTORS)}, not {name!r}")
    return BAD_VECTORS[name]


_units = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def byte_count(name: str, value: Any) -> int:
    """Read a number of bytes: a whole number, or a text like "512MB", "1.5 GiB" or "64k".

    Examples
    --------
    >>> byte_count("max_memory", "512MB"), byte_count("max_memory", "1.5 GiB")
    (512000000, 1610612736)
    """
    number, unit = value, ""
    if isinstance(value, str):
        text = value.strip().lower().removesuffix("b")
        digits = text.rstrip("kmgti ")
        unit = text[len(digits) :].strip()
        try:
            number = float(digits)
        except ValueError:
            number = -1.0
    elif not isinstance(value, int) and hasattr(value, "__index__"):
        number = value.__index__()
    if not isinstance(number, (int, float)) or unit not in _units or not 0 <= number * _units[unit] < 2**63:
        raise InvalidError(f"{name} is a number of bytes or a text like '512MB' or '1.5GiB', not {value!r}")
    if isinstance(value, float) and value != int(value):
        raise InvalidError(f"{name} is a whole number of bytes, not {value!r}")
    return int(number * _units[unit])


def matrix(name: str, value: Any, dim: int, column: str | None) -> bytearray:
    """Read vectors, one a row, as float32.

    Parameters
    ----------
    value : numpy array, list of lists, Arrow array, tensor, or a frame that has the vectors in a column
    dim : int
        Numbers in each.
    column : str or None
        Which column of a frame; its only one where it has no such column.
    """
    names = _column_names(value)
    if names is not None:
        found = column if column in names else names[0] if len(names) == 1 else None
        if found is None:
            raise InvalidError(f"{name} has the columns {', '.join(names)}; one called '{column or 'vector'}' is wanted")
        value = [row[found] for row in value.to_list()] if isinstance(value, Streamable) else value[found]
    try:
        return _core.floats(value, dim)
    except (InvalidError, TypeMismatchError) as error:
        raise type(error)(f"{name}: {error}") from None


def _column_names(value: Any) -> list[str] | None:
    if isinstance(value, Streamable):
        from .schema import Schema

        return Schema.from_arrow(_core.stream_schema(value.__arrow_c_stream__())).names
    if _library(value) == "pyarrow" and hasattr(value, "schema"):
        return list(value.schema.names)
    if _library(value) in ("pandas", "polars") and hasattr(value, "columns"):
        return list(value.columns)
    return None


def is_model(value: Any) -> bool:
    """Tell whether a value is an instance of a pydantic model (pydantic is not imported for it)."""
    return hasattr(type(value), "model_fields") and hasattr(value, "model_dump")


def _model_row(model: Any) -> dict[str, Any]:
    return {name: getattr(model, name) for name in type(model).model_fields}


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (str, bytes, int, float)) or not hasattr(value, "__len__")


def _library(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


class UnsupportedDataError(TypeMismatchError, NotImplementedError):
    """Data of a type that cannot be rows; LanceDB raises NotImplementedError there."""


class _Input:
    """How one set of data is to be read: the schema its rows must have, if there is one, or have a part of."""

    __slots__ = ("schema", "loose", "part")

    def __init__(self, schema: object | None, loose: bool, part: bool) -> None:
        self.schema = schema
        self.loose = loose
        self.part = part

    def rows(self, rows: list[Any]) -> object:
        if rows and is_model(rows[0]):
            rows = [_model_row(row) for row in rows]
        return _core.rows_stream(rows, self.schema, self.loose, self.part)

    def columns(self, columns: dict[str, Any]) -> object:
        prepared = {name: _column(values) for name, values in columns.items()}
        return _core.columns_stream(prepared, self.schema, self.loose)

    def list(self, data: list[Any]) -> object:
        if not data:
            if self.schema is None:
                raise InvalidError("the list of rows is empty, so that the columns are not known; give schema=")
            return _core.empty_stream(self.schema)
        first = data[0]
        if isinstance(first, dict) or is_model(first):
            return self.rows(data)
        if hasattr(first, "__arrow_c_array__") or hasattr(first, "__arrow_c_stream__") or _library(first) == "pandas":
            return self.parts(iter(data))
        raise TypeMismatchError(f"a list of dicts is wanted as data, not a list of {type(first).__name__}")

    def parts(self, items: Iterator[Any]) -> object:
        return _core.chain_stream(self._streams(items))

    def _streams(self, items: Iterator[Any]) -> Iterator[object]:
        loose = _Input(None if self.schema is None else _loosened(self.schema), True, self.part)
        first: Any = None
        for number, item in enumerate(_in_batches(items)):
            made = loose.any(item)
            found = _core.stream_schema(made)
            if number == 0:
                first = loose.schema = found  # the first says which columns there are
                loose.part = False
            elif self.schema is not None and not _alike(found, first):
                made = _converted(_rows_of(item, made), first, number + 1)
            yield made

    def pandas(self, frame: Any) -> object:
        try:
            import pyarrow
        except ImportError:
            return self.columns({name: _series(frame[name]) for name in frame.columns})
        table = pyarrow.Table.from_pandas(frame, preserve_index=False)
        return table.replace_schema_metadata().__arrow_c_stream__()

    def any(self, data: Any) -> object:
        if isinstance(data, list):
            return self.list(data)
        if isinstance(data, dict):
            if any(_is_scalar(value) for value in data.values()):
                raise InvalidError("one dict is no table. Use a list of dictionaries, or a dict of columns")
            return self.columns(data)
        library = _library(data)
        if library == "pandas" and hasattr(data, "columns"):
            return self.pandas(data)
        if library == "polars" and hasattr(data, "collect"):
            data = data.collect()
        if library == "pyarrow" and not hasattr(data, "__arrow_c_stream__") and hasattr(data, "scanner"):
            data = data.scanner()
        if library == "pyarrow" and hasattr(data, "to_reader") and not hasattr(data, "__arrow_c_stream__"):
            data = data.to_reader()
        if library == "pyarrow" and hasattr(data, "read_next_batch"):
            return _core.chain_stream(_read(data))
        if hasattr(data, "__arrow_c_stream__"):
            return data.__arrow_c_stream__()
        if hasattr(data, "__arrow_c_array__"):
            return _core.array_stream(*data.__arrow_c_array__())
        if is_model(data):
            raise InvalidError("one model is no table. Use a list of models")
        if hasattr(data, "with_format") and hasattr(data, "iter"):  # datasets of the Hugging Face kind
            return self.parts(data.with_format("arrow").iter(ROWS_AT_ONCE))
        if hasattr(data, "__iter__") and not isinstance(data, (str, bytes)) and not hasattr(data, "dtype"):
            return self.parts(iter(data))
        raise TypeMismatchError(
            f"data of type {type(data).__name__} cannot be read as rows. Give a list of dicts, a dict of columns, "
            "a pandas or Polars frame, a pyarrow table, or an iterator of these"
        )


def _loosened(schema: object) -> object:
    """Give a schema with lists of any length for vectors, as a later batch may have a bad one."""
    from .schema import DataType, Field, Schema

    def loose(one: Any) -> Any:
        if not one.type.format.startswith("+w:") or one.type.children[0].type.format not in VECTOR_ITEMS:
            return one
        return Field(one.name, DataType("+l", one.type.children), one.nullable, one.metadata)

    return Schema([loose(one) for one in Schema.from_arrow(schema)]).__arrow_c_schema__()


def _alike(one: object, other: object) -> bool:
    """Tell whether batches of two schemas can follow each other in one stream: whether nulls may be is no matter."""

    def same(a: Any, b: Any) -> bool:
        if a.format != b.format or len(a.children) != len(b.children) or (a.dictionary is None) != (b.dictionary is None):
            return False
        named = a.format != "+s" or [child.name for child in a.children] == [child.name for child in b.children]
        inside = all(same(x.type, y.type) for x, y in zip(a.children, b.children))
        return named and inside and (a.dictionary is None or same(a.dictionary, b.dictionary))

    from .schema import DataType, Schema

    return same(DataType("+s", tuple(Schema.from_arrow(one))), DataType("+s", tuple(Schema.from_arrow(other))))


def _rows_of(item: Any, made: object) -> list[dict[str, Any]]:
    if _library(item) != "polars":
        return _core.stream_rows(made)
    return (item.collect() if hasattr(item, "collect") else item).to_dicts()  # its text comes as views


def _converted(rows: list[dict[str, Any]], schema: object, number: int) -> object:
    """Make a batch one like those before it, value by value: frames and rows of one iterator may differ in types."""
    made = _core.rows_stream(rows, schema, True)
    if not _alike(_core.stream_schema(made), schema):
        raise TypeMismatchError(f"batch {number} has vectors of another length than the type that batch 1 has for them")
    return made


def _read(reader: Any) -> Iterator[object]:
    """Give the batches of a pyarrow reader as streams of the schema that it promises.

    pyarrow lets a reader of Python batches promise anything: read by the schema alone, float64 would be taken for
    float32.
    """
    schema = reader.schema
    yield _core.empty_stream(schema.__arrow_c_schema__())
    for number, batch in enumerate(reader, 1):
        if batch.schema != schema:
            batch = _as_promised(batch, schema, number)
        yield _core.array_stream(*batch.__arrow_c_array__())


def _as_promised(batch: Any, schema: Any, number: int) -> Any:
    if sorted(batch.schema.names) != sorted(schema.names):
        raise TypeMismatchError(
            f"batch {number} of the reader has the columns {', '.join(batch.schema.names)}, its schema {', '.join(schema.names)}"
        )
    try:
        return batch.select(schema.names).cast(schema)
    except (ValueError, NotImplementedError) as error:  # which pyarrow raises where it knows no cast
        raise TypeMismatchError(f"batch {number} of the reader does not fit the reader's schema: {error}") from None


def _in_batches(items: Iterator[Any]) -> Iterator[Any]:
    """Gather single rows into lists; leave batches as they are."""
    for item in items:
        if (isinstance(item, dict) and any(_is_scalar(value) for value in item.values())) or is_model(item):
            yield [item, *islice(items, ROWS_AT_ONCE - 1)]
        elif item is not None and not (isinstance(item, list) and not item):
            yield item


def _column(values: Any) -> Any:
    """Prepare a column of a dict of columns: arrays of objects, text and times become lists."""
    if _library(values) in ("pandas", "polars") and hasattr(values, "to_numpy"):
        return _series(values) if _library(values) == "pandas" else values.to_list()
    if hasattr(values, "to_pylist"):
        return values.to_pylist()
    if isinstance(values, (list, tuple)):
        return values
    kind = getattr(getattr(values, "dtype", None), "kind", None)
    if kind is None and hasattr(values, "__array__"):
        return _column(values.__array__())
    if kind in ("O", "U", "S", "b"):
        return values.tolist()
    if kind in ("M", "m"):
        return values.astype(f"{kind}8[us]").tolist()
    if kind is not None and kind in "iuf" and not values.dtype.isnative:
        return values.astype(values.dtype.newbyteorder("="))
    return values


def _series(series: Any) -> Any:
    """Give a pandas column as an array or a list, without pyarrow."""
    if hasattr(series.dtype, "kind") and series.dtype.kind in "iuf" and type(series.dtype).__module__.startswith("numpy"):
        values = series.to_numpy()
        if values.dtype.kind in "iuf":
            return values
    return [None if missing else value for value, missing in zip(series.tolist(), series.isna().tolist())]


def keys(given: Any) -> object:
    """Make an Arrow stream capsule of one column of keys: of one key, or of a list or an array of them."""
    if isinstance(given, dict):
        raise TypeMismatchError(f"a key or a list of keys is wanted, not {given!r}")
    frame = _library(given) in ("pandas", "polars", "pyarrow") and (hasattr(given, "columns") or hasattr(given, "column_names"))
    if frame or isinstance(given, Streamable):
        return _Input(None, False, False).any(given)
    if getattr(given, "shape", None) == ():  # numpy's single values
        given = [given.item()]
    elif isinstance(given, (str, bytes)) or not hasattr(given, "__iter__"):
        given = [given]
    column = _column(given)
    return _core.columns_stream({"key": column if hasattr(column, "__len__") else list(column)})


def stream(data: Any, schema: object | None = None, part: bool = False) -> object:
    """Make an Arrow stream capsule of data in any accepted form.

    Parameters
    ----------
    data : list of dict, list of pydantic models, dict of columns, pandas or Polars frame, pyarrow Table,
        RecordBatch, RecordBatchReader, Dataset or Scanner, any object with ``__arrow_c_stream__`` or
        ``__arrow_c_array__``, or an iterator of these
    schema : capsule, optional
        The types that Python values are converted to. Data that has Arrow types already keeps them.
    part : bool
        Columns of the schema that no row has are left out, instead of null.

    Raises
    ------
    InvalidError, TypeMismatchError
        When the data is no table, or values do not fit together or into the schema.
    """
    try:
        return _Input(schema, False, part).any(data)
    except TypeMismatchError as error:
        if isinstance(data, (str, bytes, int, float)) or hasattr(data, "dtype"):
            raise UnsupportedDataError(str(error)) from None
        raise
