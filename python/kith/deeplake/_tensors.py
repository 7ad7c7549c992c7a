"""Tensors as columns: how texts, JSON, embeddings and numbers lie in a Kith table, and how they come back.

A tensor is a column of its name. Which tensors a store has, and of which type each is, stands as JSON in the metadata
of the table's schema, so that it is read with the schema and needs no file of its own. An embedding's column is made
by the first rows that have one, because only they say how long it is; so is a column of numbers without a dtype.

JSON is stored as text, laid out so that a filter can ask for a member without parsing: each member of the outermost
object stands on a line of its own,

    {
    "source":"a.txt"
    ,
    "page":3
    }

and nowhere else is there a line break, as JSON writes those in texts as \\n. So the row has the member "page" of value 3
if and only if its text has the part "\\n\"page\":3\\n". Beside it lies a hidden column with the CRC-32 of each such line:
an index over that gives the few rows that may have the member, and the text says which do
(docs/decisions/0015-json-members-are-lines.md).
"""

from __future__ import annotations

import json
import re
from zlib import crc32

import numpy as np

from ..schema import DataType, Field, Schema, list_
from .util.exceptions import (
    DatasetCorruptError,
    IncorrectEmbeddingShapeError,
    InvalidTensorNameError,
    SampleExtendError,
    TensorAlreadyExistsError,
    TensorMetaInvalidHtype,
)

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any, Iterable, Sequence

FORMAT = 1  # of what is written in the schema's metadata
_KEY = b"kith:deeplake"
HIDDEN = "_members_"  # before the name of a JSON tensor: its hidden column

# what a tensor of Deep Lake may be told beside its name and type; none of it matters here
_ignored = frozenset(
    "create_id_tensor create_sample_info_tensor create_shape_tensor sample_compression chunk_compression compression "
    "max_chunk_size tiling_threshold hidden verify exist_ok downsampling typestr is_sequence is_link meta_kwargs "
    "class_names".split()
)
_htypes = {
    "text": "text",
    "json": "json",
    "embedding": "embedding",
    "generic": "generic",
    "class_label": "generic",
    "": "generic",
}
_numbers = {
    "b": "bool", "i1": "int8", "u1": "uint8", "i2": "int16", "u2": "uint16", "i4": "int32", "u4": "uint32",
    "i8": "int64", "u8": "uint64", "f2": "float16", "f4": "float32", "f8": "float64",
}  # fmt: skip
_vector_types = ("float32", "float16", "float64", "int8", "uint8")
_flat = frozenset((str, int, float, bool, type(None)))


def _plain(value: Any) -> Any:
    """What JSON cannot write by itself: numpy's numbers and arrays."""
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value!r} is a {type(value).__name__}, which JSON does not have")


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain).encode
_lines = json.JSONEncoder(ensure_ascii=False, separators=("\n,\n", ":"), default=_plain).encode


class Info:
    """One tensor: its name, its type, and that of its numbers where it is known."""

    __slots__ = ("name", "htype", "dtype")

    def __init__(self, name: str, htype: str, dtype: str | None) -> None:
        self.name = name
        self.htype = htype
        self.dtype = dtype

    @property
    def is_embedding(self) -> bool:
        return self.htype == "embedding"

    def fields(self) -> list[Field]:
        """The columns that can be made before there are values."""
        if self.htype == "json":
            hashes = DataType("+l", (Field("item", DataType("I")),))
            return [Field(self.name, DataType("u")), Field(HIDDEN + self.name, hashes)]
        if self.htype == "text":
            return [Field(self.name, DataType("u"))]
        if self.is_embedding or self.dtype is None:
            return []
        return [Field(self.name, DataType(_format_of(self.dtype)))]

    def field_for(self, values: Any) -> Field:
        """The column that the first values ask for."""
        if self.is_embedding:
            return Field(self.name, list_(self.dtype or "float32", values.shape[1]))
        return Field(self.name, DataType(_format_of(_dtype_name(np.asarray(values).dtype, self.name))))


def _format_of(dtype: str) -> str:
    from ..schema import data_type

    return data_type("string" if dtype == "str" else dtype).format


def _dtype_name(dtype: Any, tensor: str) -> str:
    kind = "b" if dtype.kind == "b" else f"{dtype.kind}{dtype.itemsize}"
    if dtype.kind in "US":
        return "str"
    if kind not in _numbers:
        raise SampleExtendError(
            f"Failed to append samples to the tensor '{tensor}': {dtype} is no type of numbers or texts"
        )
    return _numbers[kind]


def described(params: dict[str, Any]) -> Info:
    """Read the description of one tensor."""
    if not hasattr(params, "get") or not isinstance(params.get("name"), str):
        raise InvalidTensorNameError(f"a tensor is a dict with a 'name', not {params!r}")
    name = params["name"]
    for key in params:
        if key not in _ignored and key not in ("name", "htype", "dtype"):
            raise TypeError(f"create_tensor() got an unexpected keyword argument '{key}'")
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or name.lower() in ("score", "query_index"):
        raise InvalidTensorNameError(
            f"'{name}' cannot be a tensor's name: letters, digits and _, a letter first; not score"
        )
    htype = str(params.get("htype") or "").lower()
    if htype in ("embedding", "") and name in ("embedding", "embeddings"):
        htype = "embedding"
    if htype not in _htypes:
        raise TensorMetaInvalidHtype(
            f"tensor '{name}' is of htype '{htype}'; a store holds text, json, embedding and generic"
        )
    dtype = params.get("dtype") or ("int32" if htype == "class_label" else None)
    known = None if dtype is None else "str" if dtype in (str, "str") else _dtype_name(np.dtype(dtype), name)
    if htype == "embedding" and known is not None and known not in _vector_types:
        raise TensorMetaInvalidHtype(
            f"tensor '{name}' is of dtype {known}; embeddings are of {', '.join(_vector_types)}"
        )
    return Info(name, _htypes[htype], known if htype not in ("text", "json") else None)


def from_params(tensor_params: Iterable[dict[str, Any]]) -> dict[str, Info]:
    """Read ``tensor_params``; a store without a tensor for ids gets one."""
    infos: dict[str, Info] = {}
    for params in tensor_params:
        info = described(params)
        if info.name in infos:
            raise TensorAlreadyExistsError(f"Tensor '{info.name}' is named twice")
        infos[info.name] = info
    if "id" not in infos and "ids" not in infos:
        infos["id"] = Info("id", "text", None)
    check(infos)
    return infos


def check(infos: dict[str, Info]) -> None:
    """Refuse what is no vector store."""
    if not any(info.is_embedding for info in infos.values()):
        raise ValueError("At least one embedding tensor should exist.")
    id_tensor(infos)
    for name in ("id", "ids"):
        if name in infos and infos[name].is_embedding:
            raise ValueError(f"'{name}' holds the ids and cannot be an embedding tensor")


def id_tensor(infos: dict[str, Info]) -> str:
    """The tensor of ids: old stores call it "ids"."""
    if "ids" in infos:
        return "ids"
    if "id" not in infos:
        raise ValueError("`id` tensor was not found in the dataset.")
    return "id"


def schema_of(infos: dict[str, Info], settings: dict[str, Any]) -> Schema:
    """The schema of a table without rows; `settings` are kept with it."""
    told = {**settings, "format": FORMAT, "tensors": [[one.name, one.htype, one.dtype] for one in infos.values()]}
    fields = [field for info in infos.values() for field in info.fields()]
    if not fields:  # a table has a column
        fields = [Field(HIDDEN, DataType("b"))]
    return Schema(fields, {_KEY: json.dumps(told).encode()})


def is_store(schema: Schema) -> bool:
    """Tell whether a table was made by `VectorStore`, of whatever format."""
    return _KEY in (schema.metadata or {})


def read_schema(schema: Schema, where: str) -> tuple[dict[str, Info], dict[str, Any]]:
    """Give the tensors that a table's schema tells of, and its settings."""
    told = (schema.metadata or {}).get(_KEY)
    if told is None:
        raise DatasetCorruptError(
            f"the database at {where} has a table like a store's, but it was not made by VectorStore"
        )
    settings = json.loads(told)
    if settings.get("format") != FORMAT:
        raise DatasetCorruptError(
            f"the store at {where} has format {settings.get('format')}; this version of Kith reads format {FORMAT}"
        )
    return {name: Info(name, htype, dtype) for name, htype, dtype in settings["tensors"]}, settings


# ---- values in


def member(key: Any, value: Any) -> str:
    """One member of a JSON object as its line in the text: ``"key":value``."""
    return _compact({key: value})[1:-1]


def _object_text(value: Any) -> str:
    if not isinstance(value, dict):
        return _compact(value)
    return "{\n" + "\n,\n".join([member(key, one) for key, one in value.items()]) + "\n}" if value else "{}"


def json_texts(values: Sequence[Any]) -> list[str]:
    """Write values as JSON, the members of objects each on a line.

    Objects without lists and objects in them, which is most metadata, are written all at once: their lines can then be
    told from the separators between rows, at a tenth of the time of a call for each.
    """
    if all([type(one) is dict and _flat.issuperset(map(type, one.values())) for one in values]):
        whole = _lines(values)[2:-2]
        rows = whole.split("}\n,\n{") if values else []
        return ["{\n" + row + "\n}" if row else "{}" for row in rows]
    return [_object_text(value) for value in values]


def _hashes(text: str) -> list[int]:
    if not text.startswith("{\n"):
        return []
    return [crc32(line.encode()) for line in text[2:-2].split("\n,\n")]


def check_many(name: str, given: Any) -> None:
    """Refuse one value in place of a list of them: it would be taken for a list of its characters, or of its keys."""
    if isinstance(given, (str, bytes, dict)):
        raise ValueError(
            f"tensor '{name}' is given one {type(given).__name__}; a list is wanted, with a value for each row"
        )


def _texts(info: Info, values: Sequence[Any]) -> list[str]:
    made = ["" if one is None else one if type(one) is str else _as_text(info, one) for one in values]
    return made


def _as_text(info: Info, value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if hasattr(value, "hex") and hasattr(value, "urn"):  # a UUID
        return str(value)
    if getattr(value, "shape", None) in ((), (1,)) and hasattr(value, "item"):
        return _as_text(info, value.item())
    if info.name in ("id", "ids") and isinstance(value, int):
        return str(value)
    raise SampleExtendError(
        f"Failed to append a sample to the tensor '{info.name}': {value!r} is a {type(value).__name__}, and no text"
    )


def _whole_numbers(info: Info, given: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Read numbers as whole ones of a type; numpy would cut fractions off and count on from the other end."""
    with np.errstate(invalid="ignore"):
        made = given.astype(dtype)
    wrong = given[made != given]
    if wrong.size:
        raise SampleExtendError(f"the embeddings of '{info.name}' are of dtype {info.dtype}, and {wrong[0]:g} is none")
    return made


def matrix(info: Info, values: Any, width: int | None) -> np.ndarray:
    """Read embeddings as a matrix of the tensor's type.

    Raises
    ------
    IncorrectEmbeddingShapeError
        When they are of different lengths, or not of `width`; both lengths are told.
    """
    dtype = np.dtype(info.dtype or "float32")
    read_as = dtype if dtype.kind == "f" or getattr(values, "dtype", None) == dtype else np.dtype(np.float64)
    if getattr(values, "dtype", None) == object:  # a series of arrays
        values = list(values)
    try:
        with np.errstate(over="ignore"):  # what is too great is infinite, and refused with its place where it is stored
            made = np.asarray(values, dtype=read_as)
    except (ValueError, TypeError, OverflowError) as error:
        raise IncorrectEmbeddingShapeError(
            f"the embeddings of '{info.name}' are no matrix of numbers: {error}"
        ) from None
    if made.ndim == 3 and made.shape[1] == 1:  # one row each, as some functions give them
        made = made[:, 0]
    if made.ndim != 2 or made.shape[1] == 0:
        raise IncorrectEmbeddingShapeError(
            f"the embeddings of '{info.name}' have the shape {made.shape}; one vector a row is wanted"
        )
    if width is not None and made.shape[1] != width:
        raise IncorrectEmbeddingShapeError(
            f"the embeddings of '{info.name}' have {made.shape[1]} numbers, those of the store have {width}"
        )
    return np.ascontiguousarray(made if made.dtype == dtype else _whole_numbers(info, made, dtype))


def columns_of(info: Info, values: Any, width: int | None) -> dict[str, Any]:
    """Make the columns of one tensor's values. None stands for no value."""
    if info.htype == "json":
        try:
            texts = json_texts([{} if one is None else one for one in values])
            return {info.name: texts, HIDDEN + info.name: [_hashes(text) for text in texts]}
        except (TypeError, ValueError, RecursionError) as error:
            raise SampleExtendError(f"Failed to append a sample to the tensor '{info.name}': {error}") from None
    if info.htype == "text":
        return {info.name: _texts(info, values)}
    if info.is_embedding:
        if isinstance(values, list) and any(one is None for one in values):
            given = [one for one in values if one is not None]
            rows = iter(matrix(info, given, width)) if given else iter(())
            return {info.name: [None if one is None else next(rows) for one in values]}
        return {info.name: matrix(info, values, width)}
    return {info.name: [one.item() if getattr(one, "size", 0) == 1 and hasattr(one, "item") else one for one in values]}


# ---- values out


def decoded(info: Info, column: tuple[Any, ...] | None, count: int) -> Any:
    """Give a column of `_core.stream_columns` as what the tensor holds: a list, of embeddings one array a row."""
    if column is None:  # no row has had a value yet
        return [np.empty(0, np.float32) for _ in range(count)] if info.is_embedding else [None] * count
    _, format_, item, width, values, valid = column
    if info.htype == "json":
        if None in values:
            values = ["{}" if text is None else text for text in values]
        return json.loads(f"[{','.join(values)}]")
    if info.is_embedding:
        rows = np.frombuffer(values, dtype=_array_types[item]).reshape(-1, width)
        if valid is None or 0 not in valid:
            return list(rows)
        return [row if there else row[:0] for row, there in zip(rows, valid)]
    if isinstance(values, list):
        return ["" if one is None and info.htype == "text" else one for one in values]
    numbers = np.frombuffer(values, dtype=_array_types[format_]).tolist()
    return numbers if valid is None else [one if there else None for one, there in zip(numbers, valid)]


_array_types = {
    "c": "i1", "C": "u1", "s": "i2", "S": "u2", "i": "i4", "I": "u4", "l": "i8", "L": "u8", "e": "f2", "f": "f4", "g": "f8",
}  # fmt: skip


def numbers_of(column: tuple[Any, ...]) -> np.ndarray:
    """Give a column of numbers or of vectors, none of them missing, as an array."""
    _, format_, item, width, values, _ = column
    made = np.frombuffer(values, dtype=_array_types[item or format_])
    return made.reshape(-1, width) if item else made
