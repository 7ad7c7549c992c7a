"""Embedding functions: whatever makes vectors of texts, called in batches.

A function gets a list of texts and gives a vector of each; of a query it gets the text and gives one vector. An object
has `embed_documents` and `embed_query` for the two, as LangChain's have. Which service they call, if any, is their
affair: this package opens no connection.
"""

from __future__ import annotations

import time

import numpy as np

from .._progress import Progress
from .constants import DEFAULT_RATE_LIMITER_KEY_TO_VALUE, VECTORSTORE_EXTEND_BATCH_SIZE
from .util.exceptions import IncorrectEmbeddingShapeError

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any, Iterator


class DeepLakeEmbedder:
    """A function or an object that embeds, under the two names by which it is called.

    Parameters
    ----------
    embedding_function : callable, or an object with embed_documents() and embed_query()
    """

    def __init__(self, embedding_function: Any) -> None:
        if not callable(embedding_function) and not hasattr(embedding_function, "embed_documents"):
            raise ValueError(
                "Invalid `embedding_function` type: a function, or an object with embed_documents() and embed_query(), "
                f"is wanted, not {embedding_function!r}"
            )
        self.embedding_function = embedding_function

    def embed_documents(self, documents: list[str], rate_limiter: dict[str, Any] | None = None) -> Any:
        """Embed texts, no faster than a rate limiter allows."""
        function: Any = getattr(self.embedding_function, "embed_documents", self.embedding_function)
        limits = rate_limits(rate_limiter)
        if not limits["enabled"]:
            return function(documents)
        made: list[Any] = []
        for part in _by_bytes(documents, limits["batch_byte_size"]):
            begin = time.monotonic()
            made.extend(function(part))
            spare = 60 * limits["batch_byte_size"] / limits["bytes_per_minute"] - (time.monotonic() - begin)
            if spare > 0:  # after the last part, too: the next call comes from somebody who does not know of this one
                time.sleep(spare)
        return made

    def embed_query(self, query: str) -> Any:
        """Embed the text of a query."""
        return getattr(self.embedding_function, "embed_query", self.embedding_function)(query)


def _by_bytes(texts: list[str], most: int) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for text in texts:
        weight = len(text.encode())
        if part and size + weight > most:
            yield part
            part, size = [], 0
        part.append(text)
        size += weight
    if part:
        yield part


def rate_limits(given: dict[str, Any] | None) -> dict[str, Any]:
    """Read a rate limiter: "enabled", "bytes_per_minute", "batch_byte_size"."""
    for key in given or {}:
        if key not in DEFAULT_RATE_LIMITER_KEY_TO_VALUE:
            raise ValueError(
                f"Invalid rate_limiter key: {key}. Valid keys are: {', '.join(DEFAULT_RATE_LIMITER_KEY_TO_VALUE)}."
            )
    limits = {**DEFAULT_RATE_LIMITER_KEY_TO_VALUE, **(given or {})}
    if limits["enabled"] and not (limits["bytes_per_minute"] > 0 and limits["batch_byte_size"] > 0):
        raise ValueError(f"a rate limiter has a positive bytes_per_minute and batch_byte_size, not {limits}")
    return limits


def embedder(function: Any) -> DeepLakeEmbedder | None:
    """Wrap a function, an object or an embedder; None stays None."""
    return function if function is None or isinstance(function, DeepLakeEmbedder) else DeepLakeEmbedder(function)


def embed(function: DeepLakeEmbedder, texts: Any, limits: dict[str, Any] | None, verbose: bool) -> np.ndarray:
    """Embed texts, 500 a call, as float32, one row each.

    Raises
    ------
    IncorrectEmbeddingShapeError
        When the vectors are of different lengths, or not one a text.
    """
    given = texts.tolist() if hasattr(texts, "tolist") else list(texts)
    parts: list[np.ndarray] = []
    width = 0
    with Progress(verbose and len(given) > VECTORSTORE_EXTEND_BATCH_SIZE) as told:
        for at in range(0, len(given), VECTORSTORE_EXTEND_BATCH_SIZE):
            batch = given[at : at + VECTORSTORE_EXTEND_BATCH_SIZE]
            made = _rows(function.embed_documents(batch, limits), len(batch))
            if parts and made.shape[1] != width:
                raise IncorrectEmbeddingShapeError(
                    f"the embedding function gave vectors of {width} numbers, then of {made.shape[1]}"
                )
            parts.append(made)
            width = made.shape[1]
            if told is not None:
                told("embeddings", at + len(batch), len(given))
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)


def numbers(made: Any, otherwise: str) -> np.ndarray:
    """Give what a function made as float32; `otherwise` says what is wrong where it is no array of numbers."""
    try:
        return np.asarray(made, dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise IncorrectEmbeddingShapeError(f"the embedding function {otherwise}: {error}") from None


def _rows(vectors: Any, count: int) -> np.ndarray:
    made = numbers(vectors, "returned embeddings of different shapes")
    if made.ndim == 3 and made.shape[1] == 1:
        made = made[:, 0]
    if made.ndim != 2 or len(made) != count or made.shape[1] == 0:
        raise IncorrectEmbeddingShapeError(f"the embedding function returned the shape {made.shape} for {count} texts")
    return made
