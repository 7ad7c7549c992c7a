"""``from deeplake.core.vectorstore.embeddings.embedder import DeepLakeEmbedder``."""

from . import embedder

__all__ = ["embedder"]
