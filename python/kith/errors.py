"""What can go wrong, as exceptions.

Every exception of Kith is a :class:`KithError`. Each is also of the built-in kinds that people already catch
for such a failure: a table that is not there is a `ValueError` (LanceDB's habit), a `KeyError` (``db["x"]``) and
a `FileNotFoundError`; a full disk is an `OSError`. The message says what was expected, what was given and what
to do; `status` is the C library's number.
"""

from __future__ import annotations

__all__ = [
    "KithError",
    "InvalidError",
    "NotFoundError",
    "ExistsError",
    "TypeMismatchError",
    "StorageError",
    "CorruptError",
    "OutOfMemoryError",
    "ConflictError",
    "UnknownOutcomeError",
    "CancelledError",
    "UnsupportedError",
    "ReadOnlyError",
    "TimedOutError",
    "MissingPackageError",
]


class KithError(Exception):
    """The base of all exceptions of Kith."""

    status: int = 0

    def __str__(self) -> str:
        # KeyError and OSError would print the message in ways of their own.
        return str(self.args[0]) if self.args else ""


class InvalidError(KithError, ValueError):
    """An argument cannot be meant so; nothing was done."""

    status = 1


class NotFoundError(KithError, ValueError, KeyError, RuntimeError, FileNotFoundError):
    """No such table, column, index or version."""

    status = 2


class ExistsError(KithError, ValueError, RuntimeError, FileExistsError):
    """A table or index of that name is there already."""

    status = 3


class TypeMismatchError(KithError, ValueError, TypeError):
    """The data's types do not fit the table's."""

    status = 4


class StorageError(KithError, OSError):
    """The operating system refused: full disk, no permission, broken medium."""

    status = 5


class CorruptError(KithError, OSError):
    """Bytes read are not the bytes written; the message names file and block."""

    status = 6


class OutOfMemoryError(KithError, MemoryError):
    """There was not enough memory."""

    status = 7


class ConflictError(KithError, RuntimeError):
    """Another writer changed what this operation relied on."""

    status = 8


class UnknownOutcomeError(KithError, OSError):
    """The commit may or may not have happened: its sync failed after it was published."""

    status = 9


class CancelledError(KithError, RuntimeError):
    """A progress callback returned False; the table is as it was."""

    status = 10


class UnsupportedError(KithError, NotImplementedError):
    """Not in this version of Kith, or refused by this file system."""

    status = 11


class ReadOnlyError(KithError, ValueError):
    """The table is pinned to an old version by ``checkout()``."""

    status = 12


class TimedOutError(KithError, TimeoutError, RuntimeError):
    """The time given by ``timeout=`` passed before the answer was whole; nothing was changed."""

    status = 13


class MissingPackageError(KithError, ImportError):
    """An optional package is wanted for this, and cannot be imported."""


_by_status: dict[int, type[KithError]] = {
    kind.status: kind
    for kind in (
        InvalidError,
        NotFoundError,
        ExistsError,
        TypeMismatchError,
        StorageError,
        CorruptError,
        OutOfMemoryError,
        ConflictError,
        UnknownOutcomeError,
        CancelledError,
        UnsupportedError,
        ReadOnlyError,
        TimedOutError,
    )
}


def from_status(status: int, message: str) -> KithError:
    """Make the exception of a ``kith_status``; called by the extension."""
    return _by_status.get(status, KithError)(message)


def missing(package: str, wanted_for: str, instead: str = "") -> MissingPackageError:
    """Make the error for an optional package that cannot be imported."""
    hint = f"; {instead}" if instead else ""
    return MissingPackageError(f"{wanted_for} needs {package}: pip install {package}{hint}")
