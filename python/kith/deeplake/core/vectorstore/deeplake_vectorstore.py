"""``from deeplake.core.vectorstore.deeplake_vectorstore import VectorStore``."""

from ...store import VectorStore

DeepLakeVectorStore = VectorStore

__all__ = ["VectorStore", "DeepLakeVectorStore"]
