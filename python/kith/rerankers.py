"""LanceDB's rerankers: the class that others ask for by isinstance(). No query of this version takes one."""

from __future__ import annotations

__all__ = ["Reranker"]


class Reranker:
    """What a reranker of LanceDB's derives from. ``query.rerank()`` refuses it."""
