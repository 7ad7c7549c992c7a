"""``from deeplake.core.vectorstore.embeddings.embedder import DeepLakeEmbedder``."""

from ....embedding import DeepLakeEmbedder

__all__ = ["DeepLakeEmbedder"]
