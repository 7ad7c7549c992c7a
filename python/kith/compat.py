"""Answering other libraries' imports: ``kith.install_as("lancedb")``.

After it, ``import lancedb`` and ``from lancedb.pydantic import LanceModel, Vector`` give Kith's own modules. Each
submodule is found when it is first imported, by a finder at the front of the import path, so that what it needs
(pydantic, for one) is imported only then. A submodule that Kith does not have is an ImportError, as it should be.
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

# what each library calls the modules that Kith has
_known: dict[str, tuple[str, ...]] = {"lancedb": ("db", "table", "query", "index", "pydantic", "schema", "expr", "merge")}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, dot, submodule = fullname.partition(".")
        if package != self.name or (dot and submodule not in _known[self.name]):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=not dot)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        submodule = spec.name.partition(".")[2]
        module = importlib.import_module(f"kith.{submodule}" if submodule else "kith")
        spec.loader_state = module.__spec__  # the import system is about to overwrite it
        return module

    def exec_module(self, module: ModuleType) -> None:
        spec: Any = module.__spec__
        module.__spec__ = spec.loader_state


def install_as(name: str) -> None:
    """Let imports of another library's name give Kith.

    Parameters
    ----------
    name : {"lancedb"}

    Raises
    ------
    InvalidError
        For a library that Kith does not stand in for, or when that library is imported already.
    """
    if name not in _known:
        raise InvalidError(f"Kith stands in for {', '.join(_known)}, not for {name!r}")
    there = sys.modules.get(name)
    if there is not None and there is not sys.modules["kith"]:
        raise InvalidError(f"{name} itself is imported already; call install_as() before that")
    if not any(isinstance(finder, _Finder) and finder.name == name for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(name))
