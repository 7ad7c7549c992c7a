"""``from deeplake.core.tensor import Tensor``."""

from .._dataset import Tensor

__all__ = ["Tensor"]
