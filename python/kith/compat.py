"""Answering other libraries' imports: ``kith.install_as("lancedb")``, ``kith.install_as("deeplake")``.

After it, ``import lancedb`` and ``from lancedb.pydantic import LanceModel, Vector`` give Kith's own modules; those of
Deep Lake are the package `kith.deeplake`. Each submodule is found when it is first imported, by a finder at the front of
the import path, so that what it needs (pydantic, for one) is imported only then. A submodule that Kith does not have is
an ImportError, as it should be.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Any, Sequence

from .errors import InvalidError

__all__ = ["install_as"]

# which module stands for each library, and what the library calls the modules below it
_known: dict[str, tuple[str, tuple[str, ...]]] = {
    "lancedb": (
        "kith",
        (
            "db", "table", "query", "index", "pydantic", "schema", "expr", "merge", "rerankers", "remote", "remote.db",
            "remote.table",
        ),
    ),
    "deeplake": (
        "kith.deeplake",
        (
            "constants", "core", "core.dataset", "core.fast_forwarding", "core.tensor", "core.vectorstore",
            "core.vectorstore.deeplake_vectorstore", "core.vectorstore.embeddings", "core.vectorstore.embeddings.embedder",
            "util", "util.exceptions",
        ),
    ),
}  # fmt: skip


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, dot, submodule = fullname.partition(".")
        below = _known[self.name][1]
        if package != self.name or (dot and submodule not in below):
            return None
        has_more = not dot or any(name.startswith(submodule + ".") for name in below)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=has_more)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        submodule = spec.name.partition(".")[2]
        stands = _known[self.name][0]
        module = importlib.import_module(f"{stands}.{submodule}" if submodule else stands)
        spec.loader_state = module.__spec__  # the import system is about to overwrite it
        return module

    def exec_module(self, module: ModuleType) -> None:
        spec: Any = module.__spec__
        module.__spec__ = spec.loader_state


def install_as(name: str) -> None:
    """Let imports of another library's name give Kith.

    Parameters
    ----------
    name : {"lancedb", "deeplake"}

    Raises
    ------
    InvalidError
        For a library that Kith does not stand in for, or when that library is imported already.
    """
    if name not in _known:
        raise InvalidError(f"Kith stands in for {', '.join(_known)}, not for {name!r}")
    there = sys.modules.get(name)
    if there is not None and there is not sys.modules.get(_known[name][0]):
        raise InvalidError(f"{name} itself is imported already; call install_as() before that")
    if not any(isinstance(finder, _Finder) and finder.name == name for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(name))
