"""``from deeplake.core.vectorstore import VectorStore``, or ``DeepLakeVectorStore``, as it was called."""

from ...store import VectorStore

DeepLakeVectorStore = VectorStore

__all__ = ["VectorStore", "DeepLakeVectorStore"]
