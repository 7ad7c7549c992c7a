"""Which index a store has, from how many rows on, and for which metric: ``index_params``.

A table of a store never makes an index by itself: `ensure` does after each add, because it knows the metric that the
store is searched by and the parameters that were asked for. Those stand in the index's name, so that a store opened
with others builds anew, and one opened without any leaves what is there. An index that could not be built is a warning:
the rows are there, and searches scan them.
"""

from __future__ import annotations

import warnings

from ..errors import KithError
from . import _tensors
from .constants import DEFAULT_VECTORSTORE_INDEX_PARAMS
from .util.exceptions import DeepLakeError

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any

    from ..table import Table
    from ._tensors import Info

MEMBERS_FROM = 1000  # rows from which the members of JSON have an index; below it a scan takes microseconds

_metrics = {
    "cos": "COS", "cosine": "COS", "cosine_similarity": "COS", "l2": "L2", "l2_norm": "L2", "euclidean": "L2",
    "l1": "L1", "l1_norm": "L1", "max": "MAX", "linf_norm": "MAX", "dot": "DOT", "dot_product": "DOT", "inner_product": "DOT",
}  # fmt: skip
KITH_METRICS = {"COS": "cosine", "L2": "l2", "DOT": "dot"}  # those that have indexes
LONG_NAMES = {"COS": "cosine_similarity", "L2": "l2_norm", "L1": "l1_norm", "MAX": "linf_norm", "DOT": "dot_product"}
_additional = frozenset(("efconstruction", "m", "partitions", "bloom", "bloom_size", "seg_size"))


class UnknownMetricError(DeepLakeError, ValueError, KeyError):
    """A metric of a name that is none."""


def metric_name(given: Any) -> str:
    """Read a metric in any of its names and any case: "COS", "L2", "L1", "MAX" or "DOT"."""
    text = str(getattr(given, "value", given))
    if text.lower() not in _metrics:
        raise UnknownMetricError(f"there is no distance metric {text!r}; there are COS, L2, L1, MAX and DOT")
    return _metrics[text.lower()]


class Wanted:
    """An index as ``index_params`` asks for it.

    Attributes
    ----------
    threshold : int
        From so many rows on; -1 for never.
    metric : str
        "COS", "L2", "L1" (which is always scanned) or "DOT".
    graph : tuple of int or None
        M and efConstruction of an HNSW; None for Kith's own choice.
    told : bool
        Whether there were any index_params.
    params : dict
        What was given, in plain values.
    """

    __slots__ = ("threshold", "metric", "graph", "told", "params")

    def __init__(self, params: dict[str, Any] | None) -> None:
        given = params or {}
        for key in given:
            if key not in DEFAULT_VECTORSTORE_INDEX_PARAMS:
                valid = ", ".join(DEFAULT_VECTORSTORE_INDEX_PARAMS)
                raise ValueError(f"Invalid key '{key}' in index_params. Valid keys are: {valid}")
        self.told = bool(given)
        self.threshold = _whole("threshold", given.get("threshold", DEFAULT_VECTORSTORE_INDEX_PARAMS["threshold"]))
        self.metric = metric_name(given.get("distance_metric") or "COS")
        if self.metric == "MAX":
            raise ValueError("Invalid distance metric: MAX for index. Valid options are: L2, L1, COS, DOT")
        self.graph = None
        self.params: dict[str, Any] = {"distance_metric": self.metric}
        if "threshold" in given or given.get("additional_params"):
            self.graph = _graph(given.get("additional_params") or {})
            self.params["additional_params"] = {"M": self.graph[0], "efConstruction": self.graph[1]}
        if "threshold" in given:
            self.params["threshold"] = self.threshold

    @property
    def indexable(self) -> bool:
        return self.threshold >= 0 and self.metric in KITH_METRICS

    def name(self, column: str) -> str:
        """The name of such an index."""
        kind = "auto" if self.graph is None else "hnsw_m{}_ef{}".format(*self.graph)
        return f"{column}_{self.metric.lower()}_{kind}"


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ValueError(f"{name} in index_params must be a whole number, not {value!r}")
    return value.__index__()


def _graph(params: dict[str, Any]) -> tuple[int, int]:
    standard = DEFAULT_VECTORSTORE_INDEX_PARAMS["additional_params"]
    folded = {key.lower(): _whole(key, value) for key, value in params.items()}
    for key in folded:
        if key not in _additional:
            raise ValueError(
                f"Invalid key '{key}' in additional_params. Valid keys are: {', '.join(sorted(_additional))}"
            )
    for key, value in folded.items():
        if value < 1 and key in ("m", "efconstruction"):
            raise ValueError(f"{key} in additional_params is at least 1, not {value}")
    wanted = {"m": standard["M"], "efconstruction": standard["efConstruction"], **folded}
    return wanted["m"], wanted["efconstruction"]


def build(table: Table, column: str, wanted: Wanted, progress: Any = None) -> None:
    """Build an index of a column: the one place that says of which type it is."""
    given: dict[str, Any] = {"vector_column_name": column, "name": wanted.name(column), "progress": progress}
    if wanted.graph is not None:
        given.update(index_type="HNSW", m=wanted.graph[0], ef_construction=wanted.graph[1])
    table.create_index(KITH_METRICS[wanted.metric], **given)


def _of(table: Table, column: str) -> list[dict[str, Any]]:
    return [index for index in table._table.indexes() if index["column"] == column]


def metric_of(table: Table, column: str) -> str | None:
    """The metric of the index that a column has, or None."""
    for index in _of(table, column):
        for name, kith_name in KITH_METRICS.items():
            if index["metric"] == kith_name:
                return name
    return None


def ensure(table: Table, infos: dict[str, Info], wanted: Wanted, progress: Any = None) -> None:
    """Build the indexes that are wanted and not there; what fails is a warning."""
    rows = len(table)
    if rows >= MEMBERS_FROM:
        _ensure_members(table, infos)
    if not wanted.indexable or rows < max(wanted.threshold, 1):
        return
    columns = set(table._light_schema().names)
    for info in infos.values():
        if info.is_embedding and info.name in columns:
            _ensure_one(table, info.name, wanted, progress)


def _ensure_one(table: Table, column: str, wanted: Wanted, progress: Any) -> None:
    there = _of(table, column)
    if any(index["name"] == wanted.name(column) for index in there) or (there and not wanted.told):
        return
    try:
        for index in there:
            table.drop_index(index["name"])
        build(table, column, wanted, progress)
    except (KithError, MemoryError, OSError) as error:
        if any(index["name"] == wanted.name(column) for index in _of(table, column)):
            return  # another process was quicker
        warnings.warn(
            f"the rows are stored, but their index over '{column}' could not be built, and searches will scan: {error}",
            RuntimeWarning,
            stacklevel=2,
        )


def _ensure_members(table: Table, infos: dict[str, Info]) -> None:
    hidden = [_tensors.HIDDEN + info.name for info in infos.values() if info.htype == "json"]
    have = {index["column"] for index in table._table.indexes()}
    for column in hidden:
        if column not in have:
            try:
                table.create_scalar_index(column, "LABEL_LIST")
            except (KithError, OSError):
                pass  # a filter reads the column then, which is slower and says the same
