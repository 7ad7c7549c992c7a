"""``lancedb.merge`` under its name."""

from .changes import LanceMergeInsertBuilder, MergeBuilder, MergeResult

__all__ = ["LanceMergeInsertBuilder", "MergeBuilder", "MergeResult"]
