"""Kith: an embedded vector database.

    import kith

    db = kith.connect("~/.kith")
    table = db.create_table("my_vectors", data=[{"vector": [1.0, 2.0], "item": "one"}, ...])
    table.create_index()
    table.search([1.0, 2.0]).limit(10).to_pandas()

It speaks LanceDB's names and behaviour: ``import kith as lancedb`` runs code written for it, and
``kith.install_as("lancedb")`` answers its imports. Nothing else is needed; numpy, pyarrow, pandas, Polars and
pydantic are used where they are.
"""

from __future__ import annotations

from . import _core, errors
from .db import Database, DBConnection, LanceDBConnection, connect
from .errors import KithError
from .query import ScanQuery, VectorQuery
from .schema import Field, Schema, vector
from .table import LanceTable, Table

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any

    from . import compat, deeplake, expr, index, pydantic, query, recall, remote, rerankers, table
    from .compat import install_as
    from .deeplake import VectorStore
    from .expr import Expr, col, func, lit
    from .pydantic import LanceModel, Vector

__version__: str = _core.version()

__all__ = [
    "connect",
    "install_as",
    "vector",
    "col",
    "lit",
    "func",
    "Database",
    "DBConnection",
    "LanceDBConnection",
    "Table",
    "LanceTable",
    "VectorQuery",
    "VectorStore",
    "ScanQuery",
    "Schema",
    "Field",
    "Expr",
    "LanceModel",
    "Vector",
    "KithError",
    "errors",
    "__version__",
]

# imported when they are first asked for: what they need is not free
_lazy_names = {
    "install_as": "compat", "LanceModel": "pydantic", "Vector": "pydantic", "VectorStore": "deeplake", "Expr": "expr",
    "col": "expr", "lit": "expr", "func": "expr",
}  # fmt: skip
_lazy_modules = ("compat", "deeplake", "expr", "index", "pydantic", "recall", "remote", "rerankers")


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _lazy_names:
        return getattr(import_module(f".{_lazy_names[name]}", __name__), name)
    if name in _lazy_modules:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__) | set(_lazy_modules))
