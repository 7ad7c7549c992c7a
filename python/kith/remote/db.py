"""Connections to a cloud; see `kith.remote`."""

from __future__ import annotations

from typing import Any

from ..query import refuse

__all__ = ["RemoteDBConnection"]


class RemoteDBConnection:
    """Never made: `kith.connect` refuses an address of a cloud."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("a cloud database")
