"""Tables described by pydantic models.

    class Item(LanceModel):
        vector: Vector(384)
        text: str

    table = db.create_table("items", schema=Item)
    table.add([Item(vector=v, text="hello")])
    table.search(v).limit(3).to_pydantic(Item)

Types map to Arrow's as LanceDB maps them: int to int64, float to float64, str to string, a model to a struct,
``list[T]`` to a list; a field is nullable when it is Optional.
"""

from __future__ import annotations

import datetime as dt
import enum
import types
import typing
from decimal import Decimal
from typing import Any

import pydantic
from pydantic_core import core_schema

from .errors import TypeMismatchError
from .schema import DataType, Field, Schema, data_type, list_, public

__all__ = ["LanceModel", "Vector", "FixedSizeListMixin", "pydantic_to_schema"]


class FixedSizeListMixin:
    """What the classes that `Vector` makes have in common."""

    @staticmethod
    def dim() -> int:
        """How many numbers a vector has."""
        raise NotImplementedError

    @staticmethod
    def value_arrow_type() -> Any:
        """The type of the numbers."""
        raise NotImplementedError

    @staticmethod
    def nullable() -> bool:
        """Whether a row may have no vector."""
        raise NotImplementedError


def Vector(dim: int, value_type: Any = "float32", nullable: bool = True) -> Any:
    """Make the type of a field that holds vectors.

    Parameters
    ----------
    dim : int
        How many numbers a vector has; others are refused by the model.
    value_type : str, numpy type or pyarrow.DataType
        "float32", "float16", "float64", "int8" or "uint8".
    nullable : bool
        Whether the column may hold nulls.

    Returns
    -------
    type
        For the annotation of a field: ``vector: Vector(384)``.
    """
    number = data_type(value_type)

    class FixedSizeList(list, FixedSizeListMixin):
        @staticmethod
        def dim() -> int:
            return dim

        @staticmethod
        def value_arrow_type() -> DataType:
            return number

        @staticmethod
        def nullable() -> bool:
            return nullable

        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
            return core_schema.no_info_before_validator_function(
                _plain_list,
                core_schema.list_schema(core_schema.float_schema(), min_length=dim, max_length=dim),
            )

    return FixedSizeList


def _bare_vector(source: Any, handler: Any) -> core_schema.CoreSchema:
    raise TypeMismatchError("a field of vectors says how many numbers they have: Vector(384), not Vector")


Vector.__get_pydantic_core_schema__ = _bare_vector  # type: ignore[attr-defined]  # else pydantic takes it for a callable


def _plain_list(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


class LanceModel(pydantic.BaseModel):
    """A pydantic model that is also the description of a table's columns."""

    @classmethod
    def to_arrow_schema(cls) -> Any:
        """Give the columns: a pyarrow.Schema, or a kith.schema.Schema where pyarrow cannot be imported."""
        return pydantic_to_schema(cls)

    @classmethod
    def field_names(cls) -> list[str]:
        """Give the columns' names."""
        return list(cls.model_fields)

    @classmethod
    def safe_get_fields(cls) -> dict[str, Any]:
        """Give pydantic's fields by name."""
        return dict(cls.model_fields)


def pydantic_to_schema(model: type[pydantic.BaseModel]) -> Any:
    """Give the columns that any model describes: a pyarrow.Schema, or a kith.schema.Schema without pyarrow."""
    return public(Schema(_fields(model)).__arrow_c_schema__())


def _fields(model: type[pydantic.BaseModel]) -> tuple[Field, ...]:
    return tuple(_field(name, info) for name, info in model.model_fields.items())


_plain_types: list[tuple[type, str]] = [
    (bool, "b"), (int, "l"), (float, "g"), (str, "u"), (bytes, "z"), (dt.datetime, "tsu:"), (dt.date, "tdD"),
    (dt.time, "ttu"), (dt.timedelta, "tDu"),
]  # fmt: skip


def _field(name: str, info: Any) -> Field:
    annotation, optional = _without_none(info.annotation)
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    type_ = _type(annotation, extra.get("tz"), name)
    if isinstance(annotation, type) and issubclass(annotation, FixedSizeListMixin):
        optional = optional or annotation.nullable()
    return Field(name, type_, optional)


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """Split ``Optional[T]`` into T and True."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        inner = [one for one in typing.get_args(annotation) if one is not type(None)]
        if len(inner) == 1:
            return inner[0], len(typing.get_args(annotation)) > 1
        raise TypeMismatchError(f"a column has one type, not {annotation}")
    return annotation, False


def _type(annotation: Any, zone: Any, name: str) -> DataType:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0], zone, name)
    if origin is typing.Literal:
        return _type(type(arguments[0]), zone, name)
    if origin in (list, tuple):
        if not arguments:
            raise TypeMismatchError(f"field '{name}' is an unsupported type: {annotation} does not say of what, as list[str] does")
        inner, _ = _without_none(arguments[0])
        return DataType("+l", (Field("item", _type(inner, zone, name), True),))
    if isinstance(annotation, type):
        if issubclass(annotation, FixedSizeListMixin):
            return list_(annotation.value_arrow_type(), annotation.dim())
        if issubclass(annotation, pydantic.BaseModel):
            return DataType("+s", _fields(annotation))
        if issubclass(annotation, enum.Enum):
            return _type(type(next(iter(annotation)).value), zone, name)
        if annotation is dt.datetime and zone:
            return DataType(f"tsu:{zone}")
        for known, format_ in _plain_types:
            if issubclass(annotation, known):
                return DataType(format_)
        if annotation is Decimal:
            return DataType("d:38,9")
    raise TypeMismatchError(f"field '{name}' is of type {annotation}, which no column can hold")
