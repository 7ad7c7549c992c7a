"""Tables in a cloud; see `kith.remote`."""

from __future__ import annotations

from typing import Any

from ..query import refuse

__all__ = ["RemoteTable"]


class RemoteTable:
    """Never made: every table of Kith's is in a folder or in memory."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("a table in a cloud")
