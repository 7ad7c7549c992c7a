"""Descriptions of indexes: ``table.create_index("vector", config=IvfPq(...))``.

The names and fields are LanceDB's. A field left None is chosen from the number of rows and their dimension. Nothing
said means `IvfRq`. Those that this version cannot build can be made and read; building one raises UnsupportedError.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, ClassVar, Literal

__all__ = [
    "IvfFlat", "IvfPq", "IvfSq", "IvfRq", "Hnsw", "HnswFlat", "HnswPq", "HnswSq", "IvfHnswFlat", "IvfHnswPq", "IvfHnswSq",
    "BTree", "Bitmap", "LabelList", "FTS", "IndexConfig", "IndexStatistics",
]  # fmt: skip

Distance = Literal["l2", "cosine", "dot"]


@dataclass
class _Ivf:
    kind: ClassVar[str]
    distance_type: str | None = None
    num_partitions: int | None = None
    max_iterations: int | None = None
    sample_rate: int | None = None
    target_partition_size: int | None = None


@dataclass
class IvfFlat(_Ivf):
    """Lists of the rows as they are (Sivic, Zisserman 2003): exact distances, nothing compressed.

    Parameters
    ----------
    distance_type : {"l2", "cosine", "dot", "hamming"}, optional
        How vectors are compared; else the column's own metric, else l2.
    num_partitions : int, optional
        How many lists; chosen from the number of rows.
    max_iterations : int, optional
        Rounds of k-means, at most; 12, and fewer where it has settled.
    sample_rate : int, optional
        Training rows a list; 64.
    target_partition_size : int, optional
        Rows a list, where `num_partitions` is not given.

    Raises
    ------
    InvalidError
        From ``create_index``, when a number does not fit; the message says what would.

    Examples
    --------
    >>> import kith
    >>> from kith.index import IvfFlat
    >>> table = kith.connect("memory://").create_table("t", {"vector": [[float(i), 1.0] for i in range(300)]})
    >>> table.create_index("vector", config=IvfFlat(num_partitions=4))
    >>> [(index.index_type, index.num_partitions) for index in table.list_indices()]
    [('IvfFlat', 4)]
    """

    kind: ClassVar[str] = "IVF_FLAT"


@dataclass
class IvfPq(_Ivf):
    """Lists of product-quantised vectors (Jegou, Douze, Schmid 2011), scanned as 4-bit codes (Andre et al. 2015).

    Parameters
    ----------
    distance_type, num_partitions, max_iterations, sample_rate, target_partition_size
        As for `IvfFlat`; "hamming" is refused.
    num_sub_vectors : int, optional
        Pieces a vector is cut into; must divide the dimension. About an eighth of it where not given.
    num_bits : {8, 4}
        Bits of a piece; 8 are stored as two halves of 4.
    """

    kind: ClassVar[str] = "IVF_PQ"
    num_sub_vectors: int | None = None
    num_bits: int = 8


@dataclass
class IvfSq(_Ivf):
    """Lists of vectors of 8-bit numbers: what `IvfRq` is with ``num_bits=8``.

    Parameters
    ----------
    distance_type, num_partitions, max_iterations, sample_rate, target_partition_size
        As for `IvfFlat`.
    """

    kind: ClassVar[str] = "IVF_SQ"


@dataclass
class IvfRq(_Ivf):
    """Lists of RaBitQ codes (Gao, Long 2024): what is built where nothing else is said.

    A code of one bit a number gives an estimate and a bound of its error, further bits narrow it, and only the rows
    that the bounds leave in doubt are read. So a wanted recall is kept without a factor to guess.

    Parameters
    ----------
    distance_type, num_partitions, max_iterations, sample_rate, target_partition_size
        As for `IvfFlat`; under "hamming" the lists hold the rows themselves.
    num_bits : int, optional
        Bits a number in all, 1 to 9; 4 where it is None.

    Examples
    --------
    >>> import kith
    >>> from kith.index import IvfRq
    >>> table = kith.connect("memory://").create_table("t", {"vector": [[float(i), 1.0] for i in range(300)]})
    >>> table.create_index("vector", config=IvfRq("cosine"))
    >>> [(index.index_type, index.num_bits, index.distance_type) for index in table.list_indices()]
    [('IvfRq', 4, 'cosine')]
    """

    kind: ClassVar[str] = "IVF_RQ"
    num_bits: int | None = 4


@dataclass
class Hnsw:
    """A graph of rows that are near each other (Malkov, Yashunin 2018), walked by codes of 8 bits a number.

    The rows themselves stay where they are, in the table, and are read at the end of a search. LanceDB's `HnswSq`,
    `HnswPq` and `HnswFlat` (`IvfHnswSq` and so on) are this index too: there is one graph, not one a partition, so
    what they say of partitions and codes is not needed.

    Parameters
    ----------
    distance_type : {"l2", "cosine", "dot", "hamming"}, optional
        How vectors are compared; else the column's own metric, else l2.
    m : int
        Links that a row makes, 4 to 256; it has at most twice as many.
    ef_construction : int
        How many near rows the links are chosen from.

    Raises
    ------
    InvalidError
        From ``create_index``, when a number does not fit; the message says what would.

    Examples
    --------
    >>> import kith
    >>> from kith.index import Hnsw
    >>> table = kith.connect("memory://").create_table("t", {"vector": [[float(i), 1.0] for i in range(300)]})
    >>> table.create_index("vector", config=Hnsw("cosine", m=12))
    >>> [(index.index_type, index.m, index.distance_type) for index in table.list_indices()]
    [('Hnsw', 12, 'cosine')]
    """

    kind: ClassVar[str] = "HNSW"
    distance_type: str | None = None
    m: int = 16
    ef_construction: int = 200


@dataclass
class _LanceHnsw(_Ivf):
    m: int = 20
    ef_construction: int = 300


@dataclass
class HnswFlat(_LanceHnsw):
    """`Hnsw`, by the name it has in LanceDB, with LanceDB's `m` and `ef_construction`."""

    kind: ClassVar[str] = "IVF_HNSW_FLAT"


@dataclass
class HnswPq(_LanceHnsw):
    """`Hnsw`, by the name it has in LanceDB; `num_sub_vectors` and `num_bits` are not needed."""

    kind: ClassVar[str] = "IVF_HNSW_PQ"
    num_sub_vectors: int | None = None
    num_bits: int = 8


@dataclass
class HnswSq(_LanceHnsw):
    """`Hnsw`, by the name it has in LanceDB, with LanceDB's `m` and `ef_construction`."""

    kind: ClassVar[str] = "IVF_HNSW_SQ"


IvfHnswFlat = HnswFlat
IvfHnswPq = HnswPq
IvfHnswSq = HnswSq


@dataclass
class BTree:
    """Rows in the order of a column's values, for filters that ask for one value or a range.

    Of numbers, truth values, texts, bytes, dates and times. A filter takes from it the rows that it needs, and is the
    same with and without it. Rows added later are found all the same; a write that leaves too many of them behind
    extends it.

    Examples
    --------
    >>> import kith
    >>> from kith.index import BTree
    >>> table = kith.connect("memory://").create_table("t", [{"n": i} for i in range(1000)])
    >>> table.create_index("n", config=BTree())
    >>> [(index.name, index.index_type) for index in table.list_indices()], table.count_rows("n < 10")
    ([('n_idx', 'BTree')], 10)
    """

    kind: ClassVar[str] = "BTREE"


@dataclass
class Bitmap:
    """The rows of each value of a column: smaller and quicker than `BTree` where few values differ."""

    kind: ClassVar[str] = "BITMAP"


@dataclass
class LabelList:
    """The rows of each item of a column of lists, for array_has(), array_has_any() and array_has_all()."""

    kind: ClassVar[str] = "LABEL_LIST"


@dataclass
class FTS:
    """An index of the words of a text column. Not built by this version."""

    kind: ClassVar[str] = "FTS"
    with_position: bool = False
    base_tokenizer: str = "simple"
    language: str = "English"
    max_token_length: int | None = 40
    lower_case: bool = True
    stem: bool = True
    remove_stop_words: bool = True
    ascii_folding: bool = True
    ngram_min_length: int = 3
    ngram_max_length: int = 3
    prefix_only: bool = False


@dataclass(frozen=True)
class IndexConfig:
    """One index of a table, as ``table.list_indices()`` gives it.

    Attributes
    ----------
    name : str
    index_type : str
        "IvfRq", "IvfPq", "IvfFlat", ..., over values "BTree", "Bitmap" or "LabelList".
    columns : list of str
    num_indexed_rows, num_unindexed_rows : int
        Rows in the index; rows added since, which searches scan exactly.
    size_bytes : int
    distance_type : str or None
        None for an index over values.
    num_partitions, num_sub_vectors, num_bits : int
        As trained; 0 where the type has none.
    m, ef_construction : int
        Of HNSW; else 0.
    created_at : datetime, in UTC
    note : str
        What was done otherwise than asked; empty if nothing.
    calibration : dict or None
        What a wanted recall takes, as it was learned when the index was built: ``"on"`` is "rows" or "queries",
        ``"queries"`` how many of them; of HNSW, ``"recall"`` of the nearest, the 10 and the 100 nearest at each
        ``"ef"``; of the others ``"curves"`` for some numbers of rows what share of all neighbours is left
        unseen at which recall. None where nothing was learned.
    """

    name: str
    index_type: str
    columns: list[str]
    num_indexed_rows: int
    num_unindexed_rows: int
    size_bytes: int
    distance_type: str | None
    num_partitions: int
    num_sub_vectors: int
    num_bits: int
    created_at: datetime
    note: str = ""
    num_segments: int = 1
    calibration: dict[str, Any] | None = field(default=None, repr=False)
    m: int = 0
    ef_construction: int = 0

    def __getitem__(self, key: str) -> object:
        # LanceDB's is read by attribute and by key
        if key not in self.__dataclass_fields__:
            raise KeyError(key)
        return getattr(self, key)


@dataclass(frozen=True)
class IndexStatistics:
    """What ``table.index_stats(name)`` gives.

    Attributes
    ----------
    num_indexed_rows, num_unindexed_rows : int
    index_type : str
        "IVF_RQ", "IVF_PQ", "IVF_FLAT", ..., over values "BTREE", "BITMAP" or "LABEL_LIST".
    distance_type : str or None
    num_indices : int
    loss : float or None
        Not recorded by this version.
    """

    num_indexed_rows: int
    num_unindexed_rows: int
    index_type: str
    distance_type: str | None = None
    num_indices: int | None = 1
    loss: float | None = None

    def __getitem__(self, key: str) -> object:
        if key not in self.__dataclass_fields__:
            raise KeyError(key)
        return getattr(self, key)


def metric_of(info: dict[str, Any]) -> str | None:
    """Give the metric of an index; None for one over values."""
    return None if info["metric"] == "default" else info["metric"]


def described(info: dict[str, Any]) -> IndexConfig:
    """Make the public description of an index from the extension's."""
    words = "B_TREE" if info["type"] == "BTREE" else info["type"]
    return IndexConfig(
        name=info["name"],
        index_type="".join(word.capitalize() for word in words.split("_")),
        columns=[info["column"]],
        num_indexed_rows=info["rows_indexed"],
        num_unindexed_rows=info["rows_unindexed"],
        size_bytes=info["bytes"],
        distance_type=metric_of(info),
        num_partitions=info["num_partitions"],
        num_sub_vectors=info["num_sub_vectors"],
        num_bits=info["num_bits"],
        m=info["m"],
        ef_construction=info["ef_construction"],
        created_at=datetime.fromtimestamp(info["created_us"] / 1e6, timezone.utc),
        note=info["note"],
        calibration=json.loads(info["calibration"]) if info["calibration"] else None,
    )
