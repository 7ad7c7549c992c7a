"""``from deeplake.core.dataset import Dataset``."""

from .._dataset import Dataset

__all__ = ["Dataset"]
