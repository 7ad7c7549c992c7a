"""What tables do with their columns: add, alter and drop them. Vectors are not rewritten for it."""

from __future__ import annotations

from . import _core, schema as schemas
from .changes import _Result
from .errors import InvalidError
from .query import is_expression, refuse

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping

__all__ = ["AddColumnsResult", "AlterColumnsResult", "DropColumnsResult"]


class AddColumnsResult(_Result):
    """What ``Table.add_columns()`` did: the version that has the new columns."""

    __slots__ = ("version",)
    version: int


class AlterColumnsResult(_Result):
    """What ``Table.alter_columns()`` did: the version that has the columns so."""

    __slots__ = ("version",)
    version: int


class DropColumnsResult(_Result):
    """What ``Table.drop_columns()`` did: the version without the columns."""

    __slots__ = ("version",)
    version: int


def _wanted(transforms: Any) -> tuple[tuple[str | None, str | None, object | None], ...]:
    """Columns to add as the extension takes them: (name, SQL, type)."""
    if hasattr(transforms, "items"):
        return tuple(_computed(name, what) for name, what in transforms.items())
    if hasattr(transforms, "to_arrow_schema"):
        transforms = transforms.to_arrow_schema()
    if hasattr(transforms, "__arrow_c_schema__"):
        fields: Any = transforms if hasattr(transforms, "names") else [transforms]
    elif isinstance(transforms, (list, tuple)) and all(hasattr(one, "__arrow_c_schema__") for one in transforms):
        fields = transforms
    else:
        raise InvalidError(
            "add_columns() takes a dict of names and SQL expressions, a field, a list of fields or a schema, "
            f"not {transforms!r}"
        )
    return tuple((None, None, one.__arrow_c_schema__()) for one in fields)


def _computed(name: Any, what: Any) -> tuple[str, str | None, object | None]:
    if is_expression(what):
        return name, what.to_sql(), None
    if isinstance(what, str):
        return name, what, None
    raise InvalidError(f"column {name!r} is to be SQL text or an expression, not {what!r}")


_alterations = frozenset(("path", "rename", "name", "nullable", "data_type"))


def _altered(alteration: Any) -> tuple[str, str | None, int, object | None]:
    """One alteration as the extension takes it: (name, new name, nullable, type)."""
    if not hasattr(alteration, "keys"):
        raise InvalidError(f'an alteration is a dict like {{"path": "a", "rename": "b"}}, not {alteration!r}')
    if "path" not in alteration:
        raise InvalidError("Missing path: which column is to be altered")
    for key in alteration:
        if key not in _alterations:
            raise InvalidError(f"{key!r} is nothing that can be altered; there are rename, nullable and data_type")
    nullable, type_ = alteration.get("nullable"), alteration.get("data_type")
    rename = alteration.get("rename", alteration.get("name"))
    made = None if type_ is None else schemas.field("", type_).__arrow_c_schema__()
    return alteration["path"], rename, 0 if nullable is None else 1 if nullable else -1, made


class Columns:
    """The part of a table that changes its columns."""

    __slots__ = ()
    _table: _core.Table

    def add_columns(
        self, transforms: Mapping[str, Any] | Any = None, *, computed: Mapping[str, str] | None = None
    ) -> AddColumnsResult:
        """Add columns behind the others.

        Parameters
        ----------
        transforms : dict, pyarrow.Field, list of pyarrow.Field, or pyarrow.Schema
            Of a dict, the names and what the columns are: SQL over the table's columns, or expressions of `kith.col`,
            worked out once for the rows that are there; later rows say themselves what they have. Of fields, names
            and types: every row has null there. `kith.schema` has fields for those without pyarrow.
        computed
            Not in this version.

        Returns
        -------
        AddColumnsResult

        Raises
        ------
        ExistsError
            When there is a column of that name.
        InvalidError, NotFoundError, TypeMismatchError
            When an expression cannot be worked out, or a type cannot be stored.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", [{"net": 10.0}, {"net": 20.0}])
        >>> table.add_columns({"gross": "net * 1.5"})
        AddColumnsResult(version=2)
        >>> table.to_list()
        [{'net': 10.0, 'gross': 15.0}, {'net': 20.0, 'gross': 30.0}]
        """
        if computed:
            refuse("add_columns(computed=...)")
        if transforms is None:
            raise InvalidError("add_columns requires transforms")
        return AddColumnsResult(self._table.add_columns(_wanted(transforms)))

    def alter_columns(self, *alterations: Mapping[str, Any]) -> AlterColumnsResult:
        """Rename columns, let them be null or not, or give them other types.

        Parameters
        ----------
        *alterations : dict
            Each with ``path``, the column, and some of: ``rename``, its new name; ``nullable``, whether it may be null
            (False is refused where a row is); ``data_type``, a type of pyarrow's or its name, to which every value is
            cast where nothing is lost. An index over such a column is dropped; a key keeps its type.

        Returns
        -------
        AlterColumnsResult

        Raises
        ------
        NotFoundError
            When there is no such column.
        InvalidError, TypeMismatchError
            When values do not fit; nothing is changed then.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", [{"n": 1, "s": "x"}])
        >>> table.alter_columns({"path": "n", "rename": "number", "data_type": "float64"}, {"path": "s", "nullable": False})
        AlterColumnsResult(version=2)
        >>> table.to_list()
        [{'number': 1.0, 's': 'x'}]
        """
        return AlterColumnsResult(self._table.alter_columns(tuple(map(_altered, alterations))))

    def drop_columns(self, columns: Iterable[str]) -> DropColumnsResult:
        """Remove columns, and the indexes over them. The last one cannot go, nor the key.

        Parameters
        ----------
        columns : list of str

        Returns
        -------
        DropColumnsResult

        Raises
        ------
        NotFoundError
            When there is no such column.
        InvalidError
            When it is the table's key, or no column would be left.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", [{"a": 1, "b": 2}])
        >>> table.drop_columns(["b"])
        DropColumnsResult(version=2)
        >>> table.to_list()
        [{'a': 1}]
        """
        if isinstance(columns, str):
            raise InvalidError(f"drop_columns() takes a list of names, not {columns!r}")
        return DropColumnsResult(self._table.drop_columns(tuple(columns)))
