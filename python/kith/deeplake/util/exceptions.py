"""The errors of Deep Lake 3.9 by their names, as far as a vector store raises them or its callers catch them.

Each is a `kith.KithError`, and what it means is told by a built-in kind as well: what a caller got wrong is a
ValueError. Those of the second half are never raised here (no network, no login, no lock that outlives its process,
no row that cannot be deleted); they exist because code that catches them has to import them.
"""

from __future__ import annotations

from ... import errors


class DeepLakeError(errors.KithError):
    """The base of what only this face raises."""


class DatasetHandlerError(DeepLakeError, ValueError):
    """There is no store at a path, or there is one already, or it is none that can be opened."""


class DatasetCorruptError(DatasetHandlerError):
    """A store does not say what it is, or says what this version does not know."""


class InvalidPathException(DatasetHandlerError):
    """A path of a kind that Kith has not: a cloud, above all."""


class PathNotEmptyException(DatasetHandlerError):
    """Something else is in the way."""


class DatasetTooLargeToDelete(DatasetHandlerError):
    """A store above a gigabyte is deleted only where ``large_ok=True``."""


class TensorDoesNotExistError(DeepLakeError, KeyError, AttributeError):
    """A tensor was named that the store does not have."""

    def __init__(self, tensor_name: str) -> None:
        super().__init__(f"Tensor '{tensor_name}' does not exist.")


class TensorAlreadyExistsError(DeepLakeError, ValueError):
    """Two tensors of one name."""


class InvalidTensorNameError(DeepLakeError, ValueError):
    """A name that no tensor can have."""


class TensorMetaInvalidHtype(DeepLakeError, ValueError):
    """A tensor of a type that a vector store of Kith does not hold: images, links, groups."""


class SampleExtendError(DeepLakeError, ValueError):
    """A value could not be stored in its tensor; nothing was."""


class SampleAppendError(SampleExtendError):
    """As `SampleExtendError`."""


class IncorrectEmbeddingShapeError(DeepLakeError, ValueError):
    """Embeddings of different lengths, or of another length than the store's."""

    def __init__(self, message: str = "The embedding function returned embeddings of different shapes.") -> None:
        super().__init__(message)


class ReadOnlyModeError(DeepLakeError, errors.ReadOnlyError):
    """The store was opened to be read, or its folder cannot be written, or an old commit is checked out."""

    def __init__(self, custom_message: str = "Modification when in read-only mode is not supported!") -> None:
        super().__init__(custom_message)


class VersionControlError(DeepLakeError, ValueError):
    """A branch or a commit is not as it was said to be."""


class CheckoutError(VersionControlError):
    """No such branch or commit; or a branch that was to be made is there."""


class CommitError(VersionControlError):
    """A commit could not be made."""


class EmptyCommitError(CommitError):
    """Nothing changed since the last commit, and ``allow_empty`` is false."""


class DeepMemoryAccessError(DeepLakeError, ValueError):
    """Deep Memory is a service of Deep Lake's cloud, of which there is none here."""

    def __init__(self) -> None:
        super().__init__("Deep Memory is a service of Deep Lake's cloud: Kith has none. Leave deep_memory out.")


# ---- never raised here, but caught


class EmbeddingTensorPopError(DeepLakeError):
    """Never raised: any row can be deleted, indexed or not."""


class LockedException(DeepLakeError):
    """Never raised: writers wait for each other for an instant, and no lock outlives its process."""


class MergeError(DeepLakeError):
    """Never raised."""


class TransformError(DeepLakeError):
    """Never raised."""


class FilterError(DeepLakeError):
    """Never raised: what a filter function raises is passed on."""


class EmptyTensorError(DeepLakeError):
    """Never raised."""


class AuthenticationException(DeepLakeError):
    """Never raised, as all of the cloud's."""


class AuthorizationException(DeepLakeError):
    """Never raised."""


class TokenPermissionError(DeepLakeError):
    """Never raised."""


class InvalidTokenException(DeepLakeError):
    """Never raised."""


class UserNotLoggedInException(DeepLakeError):
    """Never raised."""


class AgreementError(DeepLakeError):
    """Never raised."""


class ResourceNotFoundException(DeepLakeError):
    """Never raised."""


class BadRequestException(DeepLakeError):
    """Never raised."""


class ServerException(DeepLakeError):
    """Never raised."""
