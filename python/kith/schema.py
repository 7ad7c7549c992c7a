"""A light Arrow schema, for those who have no pyarrow.

It says the names and types of columns and hands them on through ``__arrow_c_schema__``, so that pyarrow, Polars,
DuckDB and nanoarrow can read it. Where pyarrow is there, Kith gives pyarrow's own schema instead.

A type is written as Arrow's format string ("f" is float32, "+w:384" a fixed-size list of 384); `str(field)`
shows it as people write it.
"""

from __future__ import annotations

from . import _core
from .errors import NotFoundError, TypeMismatchError

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any, Iterator, Sequence

__all__ = ["DataType", "Field", "Schema", "field", "list_", "vector"]

_names = {
    "n": "null", "b": "bool", "c": "int8", "C": "uint8", "s": "int16", "S": "uint16", "i": "int32", "I": "uint32",
    "l": "int64", "L": "uint64", "e": "float16", "f": "float32", "g": "float64", "u": "string", "U": "large_string",
    "z": "binary", "Z": "large_binary", "vu": "string_view", "vz": "binary_view", "tdD": "date32", "tdm": "date64",
}  # fmt: skip
_formats = {name: format_ for format_, name in _names.items()}
_formats |= {"halffloat": "e", "half": "e", "float": "f", "double": "g", "str": "u", "utf8": "u", "bytes": "z"}
_units = {"s": "s", "m": "ms", "u": "us", "n": "ns"}


class DataType:
    """The type of a column: an Arrow format string, the fields inside it, the type of a dictionary's values."""

    __slots__ = ("format", "children", "dictionary")

    def __init__(self, format: str, children: tuple[Field, ...] = (), dictionary: DataType | None = None) -> None:
        self.format = format
        self.children = children
        self.dictionary = dictionary

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DataType):
            return NotImplemented
        return (self.format, self.children, self.dictionary) == (other.format, other.children, other.dictionary)

    def __hash__(self) -> int:
        return hash((self.format, self.children))

    def __repr__(self) -> str:
        return f"DataType({self})"

    def __str__(self) -> str:
        format_ = self.format
        if self.dictionary is not None:
            return f"dictionary<{self.dictionary}>"
        if format_ in _names:
            return _names[format_]
        if format_.startswith("+w:"):
            return f"fixed_size_list<{self.children[0].type}>[{format_[3:]}]"
        if format_ in ("+l", "+L"):
            return f"{'large_' if format_ == '+L' else ''}list<{self.children[0].type}>"
        if format_ == "+s":
            return "struct<" + ", ".join(f"{child.name}: {child.type}" for child in self.children) + ">"
        if format_.startswith("ts"):
            zone = format_.partition(":")[2]
            return f"timestamp[{_units[format_[2]]}{', tz=' + zone if zone else ''}]"
        if format_.startswith(("tt", "tD")):
            return f"{'time' if format_[1] == 't' else 'duration'}[{_units[format_[2]]}]"
        if format_.startswith("d:"):
            return f"decimal128({format_[2:].replace(',', ', ')})"
        return f"fixed_size_binary[{format_[2:]}]" if format_.startswith("w:") else format_

    def __arrow_c_schema__(self) -> object:
        """Give the type as an Arrow capsule."""
        return Field("", self).__arrow_c_schema__()


class Field:
    """One column of a schema.

    Attributes
    ----------
    name : str
    type : DataType
    nullable : bool
    metadata : dict of bytes to bytes, or None
    """

    __slots__ = ("name", "type", "nullable", "metadata")

    def __init__(
        self, name: str, type: DataType, nullable: bool = True, metadata: dict[bytes, bytes] | None = None
    ) -> None:
        self.name = name
        self.type = type
        self.nullable = nullable
        self.metadata = metadata

    def _parts(self) -> tuple[Any, ...]:
        children = tuple(child._parts() for child in self.type.children)
        dictionary = None if self.type.dictionary is None else Field("", self.type.dictionary)._parts()
        return self.name, self.type.format, self.nullable, self.metadata, children, dictionary

    @classmethod
    def _from_parts(cls, parts: tuple[Any, ...]) -> Field:
        name, format_, nullable, metadata, children, dictionary = parts
        inner = None if dictionary is None else cls._from_parts(dictionary).type
        return cls(name, DataType(format_, tuple(map(cls._from_parts, children)), inner), nullable, metadata)

    def __arrow_c_schema__(self) -> object:
        """Give the field as an Arrow capsule."""
        return _core.schema_make(self._parts())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Field):
            return NotImplemented
        return (self.name, self.type, self.nullable) == (other.name, other.type, other.nullable)

    def __hash__(self) -> int:
        return hash((self.name, self.type.format, self.nullable))

    def __str__(self) -> str:
        return f"{self.name}: {self.type}{'' if self.nullable else ' not null'}"

    def __repr__(self) -> str:
        return f"<Field {self}>"


class Schema:
    """The columns of a table, in order.

    Parameters
    ----------
    fields : sequence of Field
    metadata : dict of bytes to bytes, optional
    """

    __slots__ = ("_fields", "metadata")

    def __init__(self, fields: Sequence[Field], metadata: dict[bytes, bytes] | None = None) -> None:
        self._fields = tuple(fields)
        self.metadata = metadata

    @classmethod
    def from_arrow(cls, source: Any) -> Schema:
        """Read the schema of anything that has ``__arrow_c_schema__``, or of such a capsule."""
        capsule = source.__arrow_c_schema__() if hasattr(source, "__arrow_c_schema__") else source
        top = Field._from_parts(_core.schema_fields(capsule))
        if top.type.format != "+s":
            raise TypeMismatchError(f"a schema of columns is wanted, not the type {top.type}")
        return cls(top.type.children, top.metadata)

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [one.name for one in self._fields]

    @property
    def types(self) -> list[DataType]:
        """The columns' types."""
        return [one.type for one in self._fields]

    def field(self, which: int | str) -> Field:
        """Give one column, by its place or its name."""
        if isinstance(which, int):
            return self._fields[which]
        for one in self._fields:
            if one.name == which:
                return one
        raise NotFoundError(f"there is no column '{which}'; the columns are {', '.join(self.names)}")

    def __arrow_c_schema__(self) -> object:
        """Give the schema as an Arrow capsule."""
        return Field("", DataType("+s", self._fields), False, self.metadata).__arrow_c_schema__()

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, which: int | str) -> Field:
        return self.field(which)

    def __eq__(self, other: object) -> bool:
        return self._fields == other._fields if isinstance(other, Schema) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        return "\n".join(str(one) for one in self._fields)


def data_type(what: Any) -> DataType:
    """Read a type: a name ("float16"), a numpy dtype or type, a DataType, or what has ``__arrow_c_schema__``."""
    if isinstance(what, DataType):
        return what
    if isinstance(what, str):
        if what in _formats:
            return DataType(_formats[what])
        raise TypeMismatchError(f"there is no type '{what}'; there are {', '.join(_names.values())}")
    if hasattr(what, "__arrow_c_schema__"):
        return Field._from_parts(_core.schema_fields(what.__arrow_c_schema__())).type
    name = getattr(what, "name", None) or getattr(what, "__name__", None)
    if isinstance(name, str) and name in _formats:
        return DataType(_formats[name])
    raise TypeMismatchError(f"{what!r} is no type of a column")


def list_(item: Any, size: int = -1) -> DataType:
    """Make the type of lists of `item`, of `size` items each where it is given."""
    return DataType(f"+w:{size}" if size >= 0 else "+l", (Field("item", data_type(item)),))


def field(name: str, type: Any, nullable: bool = True) -> Field:
    """Make a column of a name and a type."""
    return Field(name, data_type(type), nullable)


def vector(dimension: int, value_type: Any = "float32") -> Any:
    """Make the type of a vector column.

    Parameters
    ----------
    dimension : int
        How many numbers a vector has.
    value_type : str or type
        The type of the numbers: "float32", "float16", "float64", "int8" or "uint8".

    Returns
    -------
    pyarrow.FixedSizeListType, or kith.schema.DataType where pyarrow cannot be imported
    """
    made = list_(value_type, dimension)
    try:
        import pyarrow
    except ImportError:
        return made
    return pyarrow.field(Field("", made)).type


def capsule(schema: Any) -> object:
    """Give the Arrow capsule of a schema in any form that users give one: also a LanceModel class."""
    if hasattr(schema, "to_arrow_schema"):
        schema = schema.to_arrow_schema()
    if hasattr(schema, "__arrow_c_schema__"):
        return schema.__arrow_c_schema__()
    if isinstance(schema, dict):
        return Schema([field(name, type_) for name, type_ in schema.items()]).__arrow_c_schema__()
    if isinstance(schema, (list, tuple)):
        return Schema([one if isinstance(one, Field) else field(*one) for one in schema]).__arrow_c_schema__()
    raise TypeMismatchError(f"a schema is wanted (pyarrow.schema(...), a LanceModel class), not {schema!r}")


def public(source: object) -> Any:
    """Give pyarrow's schema where pyarrow can be imported, else ours."""
    light = Schema.from_arrow(source)
    try:
        import pyarrow
    except ImportError:
        return light
    return pyarrow.schema(light)
