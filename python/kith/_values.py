"""Python values that are more than numbers and text: what the extension asks about them.

The extension knows None, bool, int, float, str, bytes, lists and dicts by itself. It asks here what kind a type
it has not met is (once a type), and how dates, times and decimals become integers and come back. The kinds are
the numbers of ``enum kpy_kind`` in ``_core/py_private.h``.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from .errors import KithError, TypeMismatchError

NULL, BOOL, INT, FLOAT, STR, BYTES, DATE, TIME, DATETIME, DURATION, DECIMAL, LIST, DICT, ARRAY, OTHER = range(15)

EPOCH = dt.datetime(1970, 1, 1)
EPOCH_UTC = EPOCH.replace(tzinfo=dt.timezone.utc)
EPOCH_DAY = EPOCH.toordinal()
MICROSECOND = dt.timedelta(microseconds=1)
PER_SECOND = {"s": 1, "m": 1_000, "u": 1_000_000, "n": 1_000_000_000}

# numpy's scalars by their letter and size -> the Arrow letter
_numpy_letters = {
    "i1": "c", "u1": "C", "i2": "s", "u2": "S", "i4": "i", "u4": "I", "i8": "l", "u8": "L",
    "f2": "e", "f4": "f", "f8": "g",
}  # fmt: skip


def _numpy_kind(value: Any) -> int:
    letter = value.dtype.kind
    if letter == "b":
        return BOOL
    if letter in "iuf" and value.dtype.itemsize <= 8:
        kind = FLOAT if letter == "f" else INT
        return kind | ord(_numpy_letters[f"{letter}{value.dtype.itemsize}"]) << 8
    return OTHER


def kind(type_: type, value: Any) -> int:
    """Say what a value of a type is; the answer is kept for the type."""
    for known, number in (
        (bool, BOOL), (int, INT), (float, FLOAT), (str, STR), ((bytes, bytearray), BYTES), (dict, DICT),
        ((list, tuple, range), LIST), (dt.datetime, DATETIME), (dt.date, DATE), (dt.time, TIME),
        (dt.timedelta, DURATION),
    ):  # fmt: skip
        if issubclass(type_, known) and not hasattr(value, "dtype"):
            return OTHER if type_.__module__.startswith("pandas.") else number
    module = type_.__module__.partition(".")[0]
    if module == "numpy" and hasattr(value, "dtype"):
        # An array's shape differs from value to value, so that only the scalars' kind belongs to their type.
        return _numpy_kind(value) if any(base.__name__ == "generic" for base in type_.__mro__) else ARRAY
    if type_.__name__ == "Decimal" and module in ("decimal", "_decimal", "_pydecimal"):
        return DECIMAL
    if type_ in (memoryview,) or (module == "array" and type_.__name__ == "array"):
        return ARRAY
    return OTHER


def plain(value: Any) -> Any:
    """Make a value of a kind that the extension knows, or refuse."""
    module = type(value).__module__.partition(".")[0]
    if module == "pandas":
        if type(value).__name__ in ("NaTType", "NAType"):
            return None
        if hasattr(value, "to_pydatetime"):
            return value.to_pydatetime(warn=False)
        if hasattr(value, "to_pytimedelta"):
            return value.to_pytimedelta()
    if module == "numpy" and hasattr(value, "item"):
        if value.dtype.kind in "mM":
            return value.astype(f"{value.dtype.kind}8[us]").item()
        return value.item()
    if hasattr(type(value), "model_fields"):
        return {name: getattr(value, name) for name in type(value).model_fields}
    if hasattr(value, "__array__"):
        return value.__array__()
    if hasattr(value, "as_py"):  # a pyarrow scalar
        return value.as_py()
    if hasattr(value, "value") and hasattr(type(value), "__members__"):  # an Enum
        return value.value
    if hasattr(value, "hex") and hasattr(value, "urn"):  # a UUID
        return str(value)
    if hasattr(value, "__len__") and hasattr(value, "__getitem__") and hasattr(value, "__iter__"):
        return list(value)
    raise TypeMismatchError(f"{value!r} is a {type(value).__name__}, which no column can hold")


# what bound() answers with: kith_value_type of kith.h
DECIMAL_VALUE, DATE_VALUE, TIME_VALUE, TIMESTAMP_VALUE, TIMESTAMP_UTC_VALUE, INTERVAL_VALUE = 5, 8, 9, 10, 11, 12


def bound(given: Any) -> Any:
    """Make a value of a filter: a plain object or a list of values, or a type of the library with its number."""
    value: Any = _pythons(given)
    if isinstance(value, dt.datetime):
        return TIMESTAMP_VALUE if value.tzinfo is None else TIMESTAMP_UTC_VALUE, _microseconds(value)
    if isinstance(value, dt.date):
        return DATE_VALUE, _day(value)
    if isinstance(value, dt.time):
        if value.tzinfo is not None:
            raise TypeMismatchError(f"{value!r} has a zone, which times of a filter have not")
        seconds = value.hour * 3600 + value.minute * 60 + value.second
        return TIME_VALUE, seconds * 1_000_000 + value.microsecond
    if isinstance(value, dt.timedelta):
        return INTERVAL_VALUE, value // MICROSECOND
    if type(value).__name__ == "Decimal" and value.is_finite():
        return DECIMAL_VALUE, format(value, "f")
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    if isinstance(value, dict) or getattr(value, "__iter__", None) is None:
        raise TypeMismatchError(f"{value!r} is of type {type(value).__name__}, which is no value of a filter")
    return list(value)


def _finer(text: str, is_timestamp: bool) -> str:
    if is_timestamp:
        return text  # which is read in full where it is compared
    raise TypeMismatchError(f"a duration of {text} is finer than a microsecond, which is as fine as a filter takes it")


def _pythons(value: Any) -> Any:
    """Make Python's own value of what numpy, pandas, pyarrow, Polars or an Enum have for it; arrays become lists."""
    dtype = getattr(value, "dtype", None)
    if type(value).__module__ == "numpy" and dtype is not None and dtype.kind in "mM" and dtype.str[3:] != "[D]":
        if value.ndim:
            return list(value)
        whole = value.astype(f"{dtype.kind}8[us]")  # finer ones would become integers, and whole days stay days
        if whole != value and whole == whole:
            return _finer(str(value), dtype.kind == "M")
        value = whole
    if isinstance(value, (dt.datetime, dt.timedelta)) and type(value).__module__.partition(".")[0] == "pandas":
        is_stamp = isinstance(value, dt.datetime)
        rest = getattr(value, "nanosecond" if is_stamp else "nanoseconds")  # NaN, of no time
        return _finer(str(value), is_stamp) if rest > 0 else plain(value)
    if type(value).__name__ == "NAType" or hasattr(type(value), "__members__"):
        return plain(value)
    if isinstance(value, bytearray):
        return bytes(value)
    if hasattr(value, "hex") and hasattr(value, "urn"):  # a UUID
        return str(value)
    for method in ("as_py", "to_pylist", "tolist", "to_list"):
        if hasattr(value, method):
            return getattr(value, method)()
    return value


def text(value: Any) -> str:
    """Make text of a value that stands in a text column and is no str."""
    found = plain(value) if kind(type(value), value) == OTHER else value
    if isinstance(found, str):
        return found
    raise TypeMismatchError(f"text is wanted, not {value!r}")


def numbers(value: Any) -> Any:
    """Make an array or a list of an object that was given as a query."""
    if isinstance(value, (str, bytes, dict)) or value is None:
        raise TypeMismatchError(f"a query is a vector of numbers, not {value!r}")
    if hasattr(value, "__array__"):
        array = value.__array__()
        if array.dtype.kind == "O":
            return [None if row is None else numbers(row) if hasattr(row, "__len__") else row for row in array]
        return array
    for method in ("to_pylist", "tolist", "to_list"):
        if hasattr(value, method):
            return getattr(value, method)()
    if hasattr(value, "__iter__"):
        return list(value)
    raise TypeMismatchError(f"a query is a vector of numbers, not a {type(value).__name__}")


# ---- columns of more than one value ----


def _zone(value: dt.datetime) -> str | None:
    if value.tzinfo is None:
        return None
    name = getattr(value.tzinfo, "key", None) or getattr(value.tzinfo, "zone", None)
    if name:
        return name
    offset = value.utcoffset()
    if not offset:
        return "UTC"
    minutes = int(offset.total_seconds() // 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def _digits(value: Any) -> tuple[int, int]:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise TypeMismatchError(f"the decimal {value} is not finite")
    after = max(-exponent, 0)
    return max(len(digits) + max(exponent, 0) - after, 0), after


def join_extra(kind_: int, had: Any, value: Any) -> Any:
    """Join what one more value says about its column: the zone of datetimes, the digits of decimals."""
    if kind_ == DECIMAL:
        before, after = _digits(value)
        had = had or (0, 0)
        joined = max(had[0], before), max(had[1], after)
        if sum(joined) > 38:
            raise TypeMismatchError(f"decimals of {sum(joined)} digits are wanted, 38 can be stored")
        return joined
    zone = _zone(value)
    return had or zone


# ---- one value as an integer, and back ----


def _to_unit(microseconds: int, unit: str) -> int:
    if unit == "u":
        return microseconds
    if unit == "n":
        return microseconds * 1_000
    whole, rest = divmod(microseconds, 1_000_000 // PER_SECOND[unit])
    if rest:
        raise TypeMismatchError(f"a time of {microseconds} us is finer than the column's unit")
    return whole


def _day(value: dt.date) -> int:
    return value.toordinal() - EPOCH_DAY


def _microseconds(value: Any) -> int:
    if not isinstance(value, dt.datetime):
        return _day(value) * 86_400_000_000
    return (value - (EPOCH if value.tzinfo is None else EPOCH_UTC)) // MICROSECOND


def _from_iso(format_: str, value: Any) -> Any:
    """Read a date or a time that is a text, as JSON has it: "2024-02-29", "2024-02-29T12:30:00Z", "12:30"."""
    readers = {"td": dt.date.fromisoformat, "ts": dt.datetime.fromisoformat, "tt": dt.time.fromisoformat}
    return readers[format_[:2]](value) if isinstance(value, str) and format_[:2] in readers else value


def encode(format_: str, given: Any) -> int | bytes:
    """Make the integer that stands for a value in a column of an Arrow format, and of a decimal its 16 bytes."""
    if isinstance(given, int) and not isinstance(given, bool) and format_[0] != "d":
        return given  # in the column's own unit
    value: Any = given
    if kind(type(value), value) == OTHER:
        value = plain(value)
    try:
        value = _from_iso(format_, value)
        if format_[0] == "d":
            return _scaled(value, *map(int, format_[2:].split(",")[:2])).to_bytes(16, "little", signed=True)
        if format_[:2] == "td":
            return _day(value) if format_[2] == "D" else _day(value) * 86_400_000
        if format_[:2] == "ts":
            return _to_unit(_microseconds(value), format_[2])
        if format_[:2] == "tD":
            return _to_unit(value // MICROSECOND, format_[2])
        seconds = value.hour * 3600 + value.minute * 60 + value.second
        return _to_unit(seconds * 1_000_000 + value.microsecond, format_[2])
    except (AttributeError, TypeError, ValueError, ArithmeticError) as error:  # the last of decimals that are none
        if isinstance(error, KithError):
            raise
        from .schema import DataType

        raise TypeMismatchError(f"{value!r} does not fit a column of type {DataType(format_)}") from error


def _scaled(value: Any, precision: int, scale: int) -> int:
    from decimal import Decimal

    sign, digits, exponent = Decimal(value).as_tuple()
    if not isinstance(exponent, int):
        raise TypeMismatchError(f"the decimal {value} is not finite")
    number = int("".join(map(str, digits)))
    shift = exponent + scale
    if shift < 0:
        number, rest = divmod(number, 10**-shift)
        if rest:
            raise TypeMismatchError(f"{value} has more than {scale} digits after the point")
    else:
        number *= 10**shift
    if number >= 10**precision:
        raise TypeMismatchError(f"{value} has more than {precision} digits")
    return -number if sign else number


def _timezone(name: str) -> dt.tzinfo:
    if name in ("UTC", "utc", "Z"):
        return dt.timezone.utc
    if name[0] in "+-" and name[3:4] == ":":
        minutes = int(name[1:3]) * 60 + int(name[4:6])
        return dt.timezone(dt.timedelta(minutes=-minutes if name[0] == "-" else minutes))
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def decode(format_: str, number: Any) -> Any:
    """Make the Python value of an integer (or of a decimal's 16 bytes) of a column of an Arrow format."""
    if format_[0] == "d":
        from decimal import Context, Decimal

        precision, scale = map(int, format_[2:].split(",")[:2])
        value = int.from_bytes(number, "little", signed=True)
        return Decimal(value).scaleb(-scale, Context(prec=max(precision, 1)))
    if format_ == "tdD":
        return dt.date.fromordinal(number + EPOCH_DAY)
    if format_ == "tdm":
        return dt.date.fromordinal(number // 86_400_000 + EPOCH_DAY)
    unit = format_[2]
    if unit == "n" and number % 1_000:
        number_us, note = number // 1_000, number
        return _nanoseconds(format_, note, number_us)
    microseconds = number * 1_000_000 // PER_SECOND[unit]
    return _from_microseconds(format_, microseconds)


def _nanoseconds(format_: str, nanoseconds: int, microseconds: int) -> Any:
    # Python's times end at microseconds; pandas has finer ones, where it is there.
    try:
        import pandas
    except ImportError:
        return _from_microseconds(format_, microseconds)
    if format_[:2] == "ts":
        zone = format_.partition(":")[2]
        stamp = pandas.Timestamp(nanoseconds, unit="ns", tz="UTC" if zone else None)
        return stamp.tz_convert(zone) if zone else stamp
    if format_[:2] == "tD":
        return pandas.Timedelta(nanoseconds, unit="ns")
    return _from_microseconds(format_, microseconds)


def _from_microseconds(format_: str, microseconds: int) -> Any:
    span = dt.timedelta(microseconds=microseconds)
    if format_[:2] == "tD":
        return span
    if format_[:2] == "tt":
        return (EPOCH + span).time()
    zone = format_.partition(":")[2]
    if not zone:
        return EPOCH + span
    return (EPOCH_UTC + span).astimezone(_timezone(zone))


def placed(error: BaseException, column: str, row: int) -> BaseException:
    """Make an exception that says in which column and row it arose."""
    if not isinstance(error, (KithError, TypeError, ValueError, OverflowError)):
        return error
    where = f"column '{column}'" + (f", row {row}" if row >= 0 else "")
    message = f"{where}: {error}"
    made = type(error)(message) if isinstance(error, KithError) else TypeMismatchError(message)
    made.__cause__ = None if isinstance(error, KithError) else error
    return made
