"""What tables do with their versions: list, read, bring back and name them."""

from __future__ import annotations

from . import _core
from .errors import NotFoundError
from .query import natural

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Tags"]

_CREATE, _UPDATE, _DELETE = range(3)


class Tags:
    """The names of a table's versions; a version that has one is kept. Given by ``Table.tags``.

    Examples
    --------
    >>> import kith
    >>> table = kith.connect("memory://").create_table("t", [{"n": 1}])
    >>> table.tags.create("first", 1)
    >>> done = table.add([{"n": 2}])
    >>> table.tags.list()["first"]["version"]
    1
    >>> table.checkout("first")
    >>> table.to_list()
    [{'n': 1}]
    """

    __slots__ = ("_table",)

    def __init__(self, table: _core.Table) -> None:
        self._table = table

    def list(self) -> dict[str, dict[str, int]]:
        """Give the tags by name, each a dict with its `version`."""
        return {name: {"version": version} for name, version in self._table.tags().items()}

    def get_version(self, tag: str) -> int:
        """Give the version that a tag names.

        Raises
        ------
        NotFoundError
            When there is no such tag.
        """
        return version_of(self._table, tag)

    def create(self, tag: str, version: int) -> None:
        """Name a version.

        Raises
        ------
        ExistsError
            When there is a tag of that name.
        NotFoundError
            When there is no such version.
        """
        self._table.set_tag(tag, natural("version", version, 1), _CREATE)

    def update(self, tag: str, version: int) -> None:
        """Let a tag name another version.

        Raises
        ------
        NotFoundError
            When there is no such tag or version.
        """
        self._table.set_tag(tag, natural("version", version, 1), _UPDATE)

    def delete(self, tag: str) -> None:
        """Remove a tag; the version that it named goes as others do.

        Raises
        ------
        NotFoundError
            When there is no such tag.
        """
        self._table.set_tag(tag, 0, _DELETE)

    def __repr__(self) -> str:
        return f"Tags({self._table.tags()})"


def version_of(table: _core.Table, which: int | str) -> int:
    """Give the number of a version, or of the one that a tag names."""
    if not isinstance(which, str):
        return natural("version", which, 1)
    tags = table.tags()
    if which not in tags:
        listed = ", ".join(tags) or "none"
        raise NotFoundError(f"table '{table.name()}' has no tag '{which}'; its tags are: {listed}")
    return tags[which]


class Versions:
    """The part of a table that deals with its versions."""

    __slots__ = ()
    _table: _core.Table

    @property
    def version(self) -> int:
        """The version that is read; versions count the commits that change rows or columns, from 1."""
        return self._table.version()

    def list_versions(self) -> list[dict[str, Any]]:
        """List the versions that can be read, oldest first.

        Returns
        -------
        list of dict
            Of `version`, `timestamp` (datetime) and `metadata`: the `operation` that made it and how many `rows` it has.
        """
        from datetime import datetime

        return [
            {
                "version": version,
                "timestamp": datetime.fromtimestamp(time_us / 1e6),
                "metadata": {"operation": operation, "rows": str(rows)},
            }
            for version, time_us, rows, operation in self._table.versions()
        ]

    def checkout(self, version: int | str) -> None:
        """Read an older version, until `checkout_latest`; writing is refused meanwhile.

        Parameters
        ----------
        version : int or str
            Its number, or a tag.

        Raises
        ------
        NotFoundError
            When there is no such version any more, or no such tag.
        """
        self._table.checkout(version_of(self._table, version))

    def checkout_latest(self) -> None:
        """Follow the newest version again."""
        self._table.checkout(None)

    def restore(self, version: int | str | None = None) -> None:
        """Make the rows, columns and indexes of an older version the newest version.

        The versions between stay readable. A table that had a version checked out follows the newest again.

        Parameters
        ----------
        version : int or str, optional
            Its number, or a tag; without it the one that is checked out.

        Raises
        ------
        NotFoundError
            When there is no such version any more, or no such tag.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", [{"n": 1}])
        >>> done = table.delete("true")
        >>> table.restore(1)
        >>> table.to_list(), table.version
        ([{'n': 1}], 3)
        """
        self._table.restore(0 if version is None else version_of(self._table, version))

    @property
    def tags(self) -> Tags:
        """The names of versions: ``tags.create("v1", 3)``, ``checkout("v1")``."""
        return Tags(self._table)
