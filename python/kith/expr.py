"""Expressions over columns, for filters and answers: ``col("price") < 9.5``.

    from kith import col, func

    table.search(vector).where((col("price") < 9.5) & col("tag").isin(["a", "b"]))
    table.search().select({"name": "name", "gross": col("net") * 1.19})

An expression is of no table, immutable, and typed only where it is used. It means what its SQL means (`Expr.to_sql`),
null included: ``col("x") != 1`` leaves out rows without an x. Values go into it as values and never as text, so that
what a text holds is text, whatever it looks like. The names are LanceDB's; docs/FILTERS.md has the language.
"""

from __future__ import annotations

from . import _core
from .errors import InvalidError, KithError

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping, NoReturn, Sequence

__all__ = ["Expr", "col", "lit", "func"]

_python_types = {
    "bool": "boolean", "int": "bigint", "float": "double", "str": "text", "bytes": "blob", "date": "date",
    "datetime": "timestamp", "time": "time", "timedelta": "interval",
}  # fmt: skip


class Expr:
    """An expression over the columns of a table.

    Made by `col`, `lit`, `func`, by `Expr.from_sql` and `Expr.from_json`, and by operators between them and plain
    values: ``== != < <= > >= + - * / %``, and ``& | ~`` for AND, OR and NOT. Python's own ``and``, ``or``, ``not``
    and ``in`` cannot be taught that, and raise TypeError; ``&`` binds more tightly than ``<``, so that comparisons
    need parentheses.

    Examples
    --------
    >>> from kith import col
    >>> (col("price") < 9.5) & ~col("tag").isin(["old", "it's"])
    Expr(price < 9.5 AND tag NOT IN ('old', 'it''s'))
    >>> col("meta")["size"].between(1, 3)
    Expr(meta.size >= 1 AND meta.size <= 3)
    """

    __slots__ = ("_expr", "_path", "_alias")
    __hash__ = None  # type: ignore[assignment]
    __iter__ = None
    __contains__ = None
    __array_ufunc__ = None  # numpy's scalars leave operators to us

    def __init__(self, expr: _core.Expr, path: str | None = None, alias: str | None = None) -> None:
        self._expr = expr
        self._path = path
        self._alias = alias

    # ---- doors

    @classmethod
    def from_sql(cls, text: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> Expr:
        """Read an SQL expression.

        Parameters
        ----------
        text : str
            As ``where()`` takes it.
        params : list or dict, optional
            Values for each ``?`` in order, or for each ``:name``.

        Raises
        ------
        InvalidError
            With the place in the text, and what was expected there.

        Examples
        --------
        >>> from kith.expr import Expr
        >>> Expr.from_sql("price < ? AND tag IN (?)", [9.5, ["a", "b"]])
        Expr(price < 9.5 AND tag IN ('a', 'b'))
        """
        return cls(_core.sql(text, params))

    @classmethod
    def from_json(cls, filter: Mapping[str, Any] | str) -> Expr:
        """Read a filter of Mongo's and Chroma's form or of Haystack's: a dict, or JSON text.

        Examples
        --------
        >>> from kith.expr import Expr
        >>> Expr.from_json({"price": {"$lt": 9.5}, "tag": {"$ne": "a"}})
        Expr(price < 9.5 AND tag IS DISTINCT FROM 'a')
        """
        return cls(_core.json(filter if isinstance(filter, str) else json_text(filter)))

    def to_sql(self) -> str:
        """Give the expression as SQL, which `Expr.from_sql` reads back."""
        return self._expr.to_sql()

    def alias(self, name: str) -> Expr:
        """Give it a name, that of its column in an answer: ``select([col("x").abs().alias("size")])``."""
        if not isinstance(name, str):
            raise InvalidError(f"the name of a column is a str, not {name!r}")
        return Expr(self._expr, self._path, name)

    def _column_name(self) -> str | None:
        return self._path

    # ---- comparing

    def __eq__(self, other: Any) -> Expr:  # type: ignore[override]
        return self.is_null() if other is None else _call("=", self, other)

    def __ne__(self, other: Any) -> Expr:  # type: ignore[override]
        return self.is_not_null() if other is None else _call("<>", self, other)

    def __lt__(self, other: Any) -> Expr:
        return _call("<", self, other)

    def __le__(self, other: Any) -> Expr:
        return _call("<=", self, other)

    def __gt__(self, other: Any) -> Expr:
        return _call(">", self, other)

    def __ge__(self, other: Any) -> Expr:
        return _call(">=", self, other)

    def eq(self, other: Any) -> Expr:
        """Equal to; to None: whether there is no value."""
        return self == other

    def ne(self, other: Any) -> Expr:
        """Not equal to; to None: whether there is a value."""
        return self != other

    def lt(self, other: Any) -> Expr:
        """Less than."""
        return self < other

    def lte(self, other: Any) -> Expr:
        """Less than or equal to."""
        return self <= other

    def gt(self, other: Any) -> Expr:
        """Greater than."""
        return self > other

    def gte(self, other: Any) -> Expr:
        """Greater than or equal to."""
        return self >= other

    def isin(self, values: Iterable[Any]) -> Expr:
        """Whether it is one of some values; false for none of them. Expressions may be among them."""
        if isinstance(values, (str, bytes)) or getattr(values, "__iter__", None) is None:
            raise InvalidError(f"isin() takes a list of values, not {values!r}")
        items = values if hasattr(values, "dtype") else list(values)
        if isinstance(items, list) and any(isinstance(item, Expr) for item in items):
            return _call("in", self, *items)
        return _call("in", self, items)

    def between(self, low: Any, high: Any) -> Expr:
        """From `low` to `high`, both included."""
        return _call("between", self, low, high)

    def is_null(self) -> Expr:
        """Whether there is no value."""
        return _call("is null", self)

    def is_not_null(self) -> Expr:
        """Whether there is a value."""
        return _call("is not null", self)

    def is_true(self) -> Expr:
        """True, and not null: never null itself."""
        return _call("is true", self)

    def is_not_true(self) -> Expr:
        """False or null: never null itself."""
        return _call("is not true", self)

    def is_false(self) -> Expr:
        """False, and not null: never null itself."""
        return _call("is false", self)

    def is_not_false(self) -> Expr:
        """True or null: never null itself."""
        return _call("is not false", self)

    def is_distinct_from(self, other: Any) -> Expr:
        """Not equal to, where null is a value like another: never null itself."""
        return _call("is distinct from", self, other)

    def is_not_distinct_from(self, other: Any) -> Expr:
        """Equal to, where null is a value like another: never null itself."""
        return _call("is not distinct from", self, other)

    def is_nan(self) -> Expr:
        """Whether it is a float that is no number."""
        return _call("isnan", self)

    # ---- logic

    def __and__(self, other: Any) -> Expr:
        return _call("and", self, other)

    def __rand__(self, other: Any) -> Expr:
        return _call("and", other, self)

    def __or__(self, other: Any) -> Expr:
        return _call("or", self, other)

    def __ror__(self, other: Any) -> Expr:
        return _call("or", other, self)

    def __invert__(self) -> Expr:
        return _call("not", self)

    def and_(self, other: Any) -> Expr:
        """Both: ``a & b``."""
        return self & other

    def or_(self, other: Any) -> Expr:
        """One of them or both: ``a | b``."""
        return self | other

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "an expression is neither true nor false: write & for and, | for or, ~ for not, .isin([...]) for in, and "
            "put comparisons in parentheses, as in (col('a') > 1) & (col('b') < 2)"
        )

    # ---- arithmetic

    def __add__(self, other: Any) -> Expr:
        return _call("+", self, other)

    def __radd__(self, other: Any) -> Expr:
        return _call("+", other, self)

    def __sub__(self, other: Any) -> Expr:
        return _call("-", self, other)

    def __rsub__(self, other: Any) -> Expr:
        return _call("-", other, self)

    def __mul__(self, other: Any) -> Expr:
        return _call("*", self, other)

    def __rmul__(self, other: Any) -> Expr:
        return _call("*", other, self)

    def __truediv__(self, other: Any) -> Expr:
        return _call("/", self, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return _call("/", other, self)

    def __mod__(self, other: Any) -> Expr:
        return _call("%", self, other)

    def __rmod__(self, other: Any) -> Expr:
        return _call("%", other, self)

    def __neg__(self) -> Expr:
        return _call("-", self)

    def __pos__(self) -> Expr:
        return self

    def __abs__(self) -> Expr:
        return self.abs()

    def abs(self) -> Expr:
        """Without its sign."""
        return _call("abs", self)

    def round(self, digits: int | None = None) -> Expr:
        """To a whole number, or to so many digits after the point; halves away from zero."""
        return _call("round", self) if digits is None else _call("round", self, digits)

    def floor(self) -> Expr:
        """The whole number at or below it."""
        return _call("floor", self)

    def ceil(self) -> Expr:
        """The whole number at or above it."""
        return _call("ceil", self)

    # ---- texts

    def like(self, pattern: Any, escape: str | None = None) -> Expr:
        """Whether the whole text is of a pattern: % for any text, _ for one character."""
        return _call("like", self, pattern) if escape is None else _call("like", self, pattern, escape)

    def ilike(self, pattern: Any, escape: str | None = None) -> Expr:
        """As `like`, without regard to case."""
        return _call("ilike", self, pattern) if escape is None else _call("ilike", self, pattern, escape)

    def contains(self, part: Any) -> Expr:
        """Whether a text has a part, or a list a value."""
        return _call("contains", self, part)

    def starts_with(self, start: Any) -> Expr:
        """Whether a text begins so."""
        return _call("starts_with", self, start)

    def ends_with(self, end: Any) -> Expr:
        """Whether a text ends so."""
        return _call("ends_with", self, end)

    def regexp_like(self, pattern: Any) -> Expr:
        """Whether a regular expression is found in a text."""
        return _call("regexp_like", self, pattern)

    def lower(self) -> Expr:
        """The text in small letters."""
        return _call("lower", self)

    def upper(self) -> Expr:
        """The text in capital letters."""
        return _call("upper", self)

    def trim(self) -> Expr:
        """The text without spaces around it."""
        return _call("trim", self)

    def ltrim(self) -> Expr:
        """The text without spaces before it."""
        return _call("ltrim", self)

    def rtrim(self) -> Expr:
        """The text without spaces behind it."""
        return _call("rtrim", self)

    def substr(self, start: Any, count: Any = None) -> Expr:
        """Part of a text, from character `start`, counted from 1 as SQL does."""
        return _call("substr", self, start) if count is None else _call("substr", self, start, count)

    def concat(self, other: Any) -> Expr:
        """The text and another behind it: SQL's ``||``."""
        return _call("||", self, other)

    def length(self) -> Expr:
        """Characters of a text, bytes of a binary, items of a list."""
        return _call("length", self)

    # ---- parts

    def __getitem__(self, key: str | int) -> Expr:
        """A field of a struct by its name; an item of a list by its place, from 0, or from the end when negative."""
        if isinstance(key, str):
            path = None if self._path is None or "." in key else f"{self._path}.{key}"
            return col(path) if path is not None else _call("[]", self, key)
        if isinstance(key, int) and not isinstance(key, bool):
            return _call("[]", self, key + 1 if key >= 0 else key)  # SQL counts from 1
        raise InvalidError(f"a field is named by a str, an item by an int, not by {key!r}")

    def json(self, path: str) -> Expr:
        """What a text of JSON has at a path, as text: ``col("meta").json("a.b")``. SQL's ``->>``."""
        return _call("->>", self, path)

    def array_has(self, value: Any) -> Expr:
        """Whether a list has a value."""
        return _call("array_has", self, value)

    def array_has_any(self, values: Any) -> Expr:
        """Whether a list has at least one of some values."""
        return _call("array_has_any", self, values)

    def array_has_all(self, values: Any) -> Expr:
        """Whether a list has each of some values."""
        return _call("array_has_all", self, values)

    def array_length(self) -> Expr:
        """How many items a list has."""
        return _call("array_length", self)

    def date_part(self, part: str) -> Expr:
        """The "year", "month", "day", "hour", "minute", "second", ... of a date or a time."""
        return _call("date_part", part, self)

    # ---- choices and types

    def coalesce(self, *others: Any) -> Expr:
        """The first of them that is not null."""
        return _call("coalesce", self, *others)

    def nullif(self, other: Any) -> Expr:
        """Null where it equals another, else itself."""
        return _call("nullif", self, other)

    def cast(self, type: Any) -> Expr:
        """The value as another type; one that does not fit is an error.

        Parameters
        ----------
        type : str, type or pyarrow.DataType
            SQL's name or Arrow's ("int", "bigint", "double", "text", "date", "timestamp", "decimal(10,2)", "int64"),
            one of Python's (int, float, str, bool, datetime.date, ...) or of pyarrow's.
        """
        return _call("cast", self, _type_name(type))

    def try_cast(self, type: Any) -> Expr:
        """As `cast`, with null for a value that does not fit."""
        return _call("try_cast", self, _type_name(type))

    def __repr__(self) -> str:
        try:
            return f"Expr({self.to_sql()})"
        except KithError:  # a text that SQL cannot write
            return "Expr(...)"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.to_sql(), self._path, self._alias)


def _again(sql: str, path: str | None, alias: str | None) -> Expr:
    return Expr(_core.sql(sql), path, alias)


def _type_name(type_: Any) -> str:
    name = getattr(type_, "__name__", None) if isinstance(type_, type) else str(type_)
    if isinstance(type_, type):
        if name not in _python_types:
            raise InvalidError(f"{type_!r} is no type of a column")
        return _python_types[name]
    known = {"str": "text", "date32[day]": "date32", "date64[ms]": "date64"}
    return known.get(str(name), str(name).replace("tz=", ""))


def _tree(value: Any) -> _core.Expr:
    return value._expr if isinstance(value, Expr) else _core.literal(value)


def _call(name: str, *arguments: Any) -> Expr:
    return Expr(_core.call(name, tuple(_tree(argument) for argument in arguments)))


def col(name: str) -> Expr:
    """A column of the table, or with points a field of a struct: ``col("a.b")``, the same as ``col("a")["b"]``.

    Parameters
    ----------
    name : str
        The name as it is, or else in another case. Nothing in it is read as SQL. ``_rowid`` is a row's number.

    Examples
    --------
    >>> from kith import col
    >>> col("order date") == "2024-02-29"
    Expr(`order date` = '2024-02-29')
    """
    return Expr(_core.column(name), name)


def lit(value: Any) -> Expr:
    """A value as an expression. Beside another expression a plain value needs no `lit`.

    Parameters
    ----------
    value : None, bool, int, float, str, bytes, Decimal, date, datetime, time, timedelta or a list of these
        Also numpy's, pandas' and pyarrow's. A datetime with a zone is a moment, and compared as one.

    Raises
    ------
    InvalidError
        When an integer is beyond 64 bits.
    TypeMismatchError
        For anything else.

    Examples
    --------
    >>> from kith import lit
    >>> lit("it's"), lit(2**63), lit([1, None])
    (Expr('it''s'), Expr(9223372036854775808), Expr([1, NULL]))
    """
    return value if isinstance(value, Expr) else Expr(_core.literal(value))


def func(name: str, *args: Any) -> Expr:
    """A function or an operator by its SQL name, in any case.

    Parameters
    ----------
    name : str
        docs/FILTERS.md lists them.
    *args : Expr or values
        Its arguments.

    Raises
    ------
    InvalidError
        When there is no such function (near ones are named), or it takes another number of arguments.

    Examples
    --------
    >>> from kith import col, func
    >>> func("starts_with", func("lower", col("name")), "a")
    Expr(starts_with(lower(name), 'a'))
    """
    return _call(name, *args)


# ---- filters as dicts


def json_text(filter: Mapping[str, Any]) -> str:
    """Write a filter's dict as JSON; values that JSON does not have become texts, which compare as themselves."""
    import json

    try:
        return json.dumps(_for_json(filter), allow_nan=False)
    except (ValueError, RecursionError) as error:
        if isinstance(error, KithError):
            raise
        raise InvalidError(f"the filter cannot be written as JSON: {error}") from None


def _for_json(value: Any) -> Any:
    from ._values import DECIMAL_VALUE, INTERVAL_VALUE, bound

    if hasattr(value, "keys"):
        if not all(isinstance(key, str) for key in value):
            raise InvalidError(f"the keys of a filter are str, in {value!r} they are not")
        return {key: _for_json(value[key]) for key in value}
    made = bound(value)
    if isinstance(made, list):
        return [_for_json(item) for item in made]
    if isinstance(made, tuple):  # read from their texts where they are compared
        kind, number = made
        return number if kind == DECIMAL_VALUE else f"{number} microseconds" if kind == INTERVAL_VALUE else str(value)
    if isinstance(made, bytes):
        raise InvalidError(f"a filter as a dict cannot hold bytes like {value!r}: use kith.col() or params")
    past_json = isinstance(made, int) and not -(2**63) <= made < 2**63
    return str(made) if past_json else made
