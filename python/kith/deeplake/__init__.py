"""Deep Lake 3.9's vector store over Kith: `VectorStore`, and the modules that code written for it imports.

    import kith

    store = kith.VectorStore("./papers", embedding_function=embed)
    store.add(text=texts, metadata=metadata, embedding_data=texts)
    store.search(embedding_data="what is a vector?", k=4, filter={"metadata": {"year": 2024}})

``kith.install_as("deeplake")`` answers ``import deeplake``, so that LangChain's and LlamaIndex's classes over it run
unchanged. No network, no login, no telemetry; numpy is needed. docs/DEEPLAKE.md compares.
"""

from __future__ import annotations

from .. import errors

try:
    import numpy  # noqa: F401
except ImportError:
    raise errors.missing("numpy", "kith.deeplake") from None

from . import _dataset as _datasets, constants
from ._dataset import Dataset, Tensor, View
from .store import VectorStore
from .util import exceptions

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any

__version__ = "3.9.52"  # what this answers to: the version whose behaviour it has

__all__ = [
    "VectorStore", "Dataset", "Tensor", "View", "exists", "load", "empty", "dataset", "like", "delete", "query",
    "constants", "exceptions", "__version__",
]  # fmt: skip


def exists(path: Any, creds: Any = None, token: str | None = None, org_id: str | None = None) -> bool:
    """Tell whether there is a store at a path."""
    return _datasets.exists(_datasets.uri_of(path))


def load(path: Any, read_only: bool | None = None, **accepted: Any) -> Dataset:
    """Open the store at a path.

    Raises
    ------
    DatasetHandlerError
        When there is none.
    """
    return _datasets.load(path, bool(read_only))


def empty(path: Any, runtime: Any = None, overwrite: bool = False, **accepted: Any) -> Dataset:
    """Make a dataset without tensors, which ``create_tensor()`` makes.

    Raises
    ------
    DatasetHandlerError
        When there is one, and it is not to be overwritten.
    """
    return _datasets.create(path, None, {}, overwrite)


def dataset(
    path: Any, runtime: Any = None, read_only: bool | None = None, overwrite: bool = False, **accepted: Any
) -> Dataset:
    """Open the store at a path, or make one without tensors; in memory always a new one."""
    there = not overwrite and not _datasets.uri_of(path).startswith("memory://") and exists(path)
    return load(path, read_only) if there else empty(path, overwrite=overwrite)


def like(
    dest: Any, src: Any, runtime: Any = None, tensors: Any = None, overwrite: bool = False, **accepted: Any
) -> Dataset:
    """Make an empty store with the tensors of another."""
    source = src if isinstance(src, Dataset) else load(src)
    infos = [one for name, one in source._infos.items() if tensors is None or name in tensors]
    params = [{"name": one.name, "htype": one.htype, "dtype": one.dtype} for one in infos]
    return _datasets.create(dest, params, {}, overwrite)


def delete(
    path: Any, force: bool = False, large_ok: bool = False, creds: Any = None, token: str | None = None,
    verbose: bool = False, org_id: str | None = None,
) -> None:  # fmt: skip
    """Delete the store at a path with all its branches; other files in its folder stay.

    Raises
    ------
    DatasetHandlerError
        When there is none.
    """
    _datasets.delete(path, force)


def query(query_string: str, **accepted: Any) -> Any:
    """Run a TQL query that names its store: ``select * from "path" where ...``."""
    from . import tql

    return tql.run_anywhere(query_string)
