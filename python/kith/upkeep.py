"""Upkeep on request. Writes do all of it in passing; nobody has to ask for it."""

from __future__ import annotations

from . import _core
from ._progress import Progress
from .changes import _Result
from .errors import InvalidError

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

__all__ = ["CompactionStats", "RemovalStats", "OptimizeStats", "CleanupStats"]

_SETTINGS = -1  # older than what: as the table's settings say
_NOTHING = 2**62  # nothing is so old
_TWO_WEEKS = 14 * 24 * 3600 * 10**6


class CompactionStats(_Result):
    """What folding did: pieces of rows that went, and those that took their place."""

    __slots__ = ("fragments_removed", "fragments_added")
    fragments_removed: int
    fragments_added: int


class RemovalStats(_Result):
    """What went with old versions."""

    __slots__ = ("bytes_removed", "old_versions_removed", "files_removed")
    bytes_removed: int
    old_versions_removed: int
    files_removed: int


class CleanupStats(_Result):
    """What ``Table.cleanup_old_versions()`` did."""

    __slots__ = ("bytes_removed", "old_versions")
    bytes_removed: int
    old_versions: int


class OptimizeStats(_Result):
    """What ``Table.optimize()`` did.

    Attributes
    ----------
    compaction : CompactionStats
    prune : RemovalStats
    rows_indexed : int
        Rows that an index covers now and did not before.
    """

    __slots__ = ("compaction", "prune", "rows_indexed")
    compaction: CompactionStats
    prune: RemovalStats
    rows_indexed: int


def _microseconds(name: str, span: timedelta | None, otherwise: int) -> int:
    if span is None:
        return otherwise
    if not hasattr(span, "total_seconds") or span.total_seconds() < 0:
        raise InvalidError(f"{name} is a timedelta of 0 or more, not {span!r}")
    return min(round(span.total_seconds() * 1e6), _NOTHING)


class Upkeep:
    """The part of a table that is kept up."""

    __slots__ = ()
    _table: _core.Table

    def optimize(
        self,
        *,
        cleanup_older_than: timedelta | None = None,
        delete_unverified: bool = False,
        retrain: bool = False,
        progress: Any = None,
    ) -> OptimizeStats:
        """Do now what writes do in passing: fold small pieces, bring indexes up to date, remove old versions.

        Never needed. It changes no row and makes no version.

        Parameters
        ----------
        cleanup_older_than : timedelta, optional
            Versions that were replaced longer ago go; 0 leaves the newest one and those with a tag. Without it the
            table's settings decide.
        delete_unverified : bool
            Also look for files that no version knows, left by writers that died. They go when they are a day old.
        retrain : bool
            Also build every index over vectors anew. They are calibrated on rows of the table then; for queries of
            your own use `create_index`.
        progress : bool, callable or tqdm-like, optional
            See `kith.Database.create_table`.

        Returns
        -------
        OptimizeStats

        Raises
        ------
        ReadOnlyError
            When an older version is checked out.

        Examples
        --------
        >>> import datetime as dt, kith
        >>> table = kith.connect("memory://").create_table("t", [{"n": 0}])
        >>> for n in range(1, 10):
        ...     done = table.add([{"n": n}])
        >>> table.optimize(cleanup_older_than=dt.timedelta(0)).prune.old_versions_removed
        9
        >>> table.count_rows(), len(table.list_versions())
        (10, 1)
        """
        span = _microseconds("cleanup_older_than", cleanup_older_than, _SETTINGS)
        with Progress(progress) as callback:
            if retrain:
                self._build_again(callback)
            done = self._table.optimize(span, bool(delete_unverified), True, callback)
        return OptimizeStats(
            CompactionStats(done["fragments_removed"], done["fragments_added"]),
            RemovalStats(done["bytes_removed"], done["versions_removed"], done["files_removed"]),
            done["rows_indexed"],
        )

    def _build_again(self, callback: Any) -> None:
        wanted = ("column", "name", "type", "metric", "num_sub_vectors", "num_bits", "m", "ef_construction")
        for index in self._table.indexes():
            if index["metric"] != "default":
                given = {key: index[key] for key in wanted if index[key]}
                self._table.create_index(keep=False, progress=callback, **given)

    def cleanup_old_versions(
        self, older_than: timedelta | None = None, *, delete_unverified: bool = False
    ) -> CleanupStats:
        """Remove versions that were replaced longer ago than `older_than`, two weeks where it is not given.

        The newest one and those with a tag stay. Parameters are those of `optimize`.
        """
        span = _microseconds("older_than", older_than, _TWO_WEEKS)
        done = self._table.optimize(span, bool(delete_unverified), False)
        return CleanupStats(done["bytes_removed"], done["versions_removed"])

    def compact_files(self, *args: Any, **kwargs: Any) -> CompactionStats:
        """Fold small pieces of rows, and those with deleted rows. What LanceDB's has for parameters is ignored."""
        done = self._table.optimize(_NOTHING, False, True)
        return CompactionStats(done["fragments_removed"], done["fragments_added"])
