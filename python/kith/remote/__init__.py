"""LanceDB's cloud, which Kith has not: classes that code asks for by isinstance(), of which nothing is an instance.

LangChain's and LlamaIndex's classes over LanceDB import `lancedb.remote.table` before they open a local folder.
"""

from __future__ import annotations

from .db import RemoteDBConnection

__all__ = ["RemoteDBConnection"]
