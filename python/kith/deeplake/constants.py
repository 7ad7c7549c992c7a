"""The defaults of Deep Lake 3.9's vector store, by the names that its users import."""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any

MB = 1000 * 1000  # as theirs

DEFAULT_VECTORSTORE_DEEPLAKE_PATH = "./deeplake_vector_store"
DEFAULT_VECTORSTORE_DISTANCE_METRIC = "COS"
DEFAULT_VECTORSTORE_TENSORS: list[dict[str, Any]] = [
    {"name": "text", "htype": "text"},
    {"name": "metadata", "htype": "json"},
    {"name": "embedding", "htype": "embedding", "dtype": "float32"},
    {"name": "id", "htype": "text"},
]
# Kith's own, where nothing is said: an index from 20,000 rows on. Theirs was never (-1).
DEFAULT_VECTORSTORE_INDEX_PARAMS: dict[str, Any] = {
    "threshold": 20_000,
    "distance_metric": "COS",
    "additional_params": {"efConstruction": 600, "M": 32, "partitions": 1},
}

VECTORSTORE_EXTEND_BATCH_SIZE = 500  # texts that an embedding function gets in one call
TARGET_BYTE_SIZE = 10_000
MAX_BYTES_PER_MINUTE = 1_800_000.0
DEFAULT_RATE_LIMITER_KEY_TO_VALUE: dict[str, Any] = {
    "enabled": False,
    "bytes_per_minute": MAX_BYTES_PER_MINUTE,
    "batch_byte_size": TARGET_BYTE_SIZE,
}
