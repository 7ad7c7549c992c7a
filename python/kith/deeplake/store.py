"""`VectorStore`: texts, metadata, embeddings and ids, added, searched, updated and deleted, as Deep Lake 3.9 has it.

Arguments, their order and defaults, what comes back and what is raised are those of 3.9; docs/DEEPLAKE.md lists what is the
same, what works that did not, and what differs. The work is done elsewhere: `_dataset` has the rows, `_filters` what filters
mean, `_search` the scores, `_index` the indexes. Here arguments are sorted out, in the order in which 3.9 does it, so that of
two wrong ones the same is complained of.
"""

from __future__ import annotations

import logging
import os
from random import getrandbits
from time import time_ns

import numpy as np

from ..query import natural
from . import _dataset as datasets, _filters, _index, _search, _tensors
from .constants import DEFAULT_VECTORSTORE_TENSORS
from .embedding import DeepLakeEmbedder, embed, embedder, numbers
from .util.exceptions import (
    DatasetHandlerError,
    DeepMemoryAccessError,
    IncorrectEmbeddingShapeError,
    SampleExtendError,
    TensorDoesNotExistError,
)

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from ..expr import Expr

__all__ = ["VectorStore", "DatasetHandler"]

logger = _log = logging.getLogger("kith.deeplake")

_exec_options = ("auto", "python", "compute_engine", "tensor_db")
# what Deep Lake's functions take beside these: accepted, because nothing here depends on it
_accepted = frozenset(
    "num_workers memory_cache_size local_cache_size public access_method unlink reset check_integrity lock_enabled lock_timeout "
    "reset_lock address".split()
)


def _exec_option(given: str | None) -> str:
    if given is None:
        return "auto"
    if given not in _exec_options:
        raise ValueError(f"Invalid `exec_option` {given!r}: it should be one of {', '.join(_exec_options)}.")
    return given


def new_ids(count: int) -> list[str]:
    """Make ids of UUID's version 1: consecutive times, and a node and a clock sequence drawn at random for the call."""
    begin = time_ns() // 100 + 0x01B21DD213814000  # 100 ns since 1582
    tail = f"{0x8000 | getrandbits(14):04x}-{1 << 40 | getrandbits(48):012x}"  # the bit that no network card has
    times = range(begin, begin + count)
    return [f"{time & 0xFFFFFFFF:08x}-{time >> 32 & 0xFFFF:04x}-1{time >> 48 & 0xFFF:03x}-{tail}" for time in times]


class DatasetHandler:
    """What a store holds open, by the names that Deep Lake's users reach into.

    Attributes
    ----------
    path : str
    dataset : kith.deeplake.Dataset
    exec_option : str
        "auto", "python", "compute_engine" or "tensor_db".
    embedding_function : kith.deeplake.embedding.DeepLakeEmbedder or None
    distance_metric_index : str or None
        The metric of the index, as "cosine_similarity" or "l2_norm"; None where there is no index.
    """

    username = "public"
    token = None
    org_id = None

    def __init__(self, dataset: datasets.Dataset, options: dict[str, Any]) -> None:
        self.dataset = dataset
        self.path = dataset.path
        self.exec_option = options["exec_option"]
        self.embedding_function = embedder(options["embedding_function"])
        self.verbose = options["verbose"]
        self.logger = options["logger"]
        self.ingestion_batch_size = options["ingestion_batch_size"]
        self.index_params = options["index_params"]

    @property
    def distance_metric_index(self) -> str | None:
        for name in self.dataset._widths:
            metric = _index.metric_of(self.dataset._table, name)
            if metric is not None:
                return _index.LONG_NAMES[metric]
        return None


class VectorStore:
    """A store of vectors with texts, metadata and ids, by the names and habits of Deep Lake 3.9.

    Opens the store at `path`, or makes an empty one. Every add is durable, and seen by all processes, when it returns.

    Parameters
    ----------
    path : str or pathlib.Path
        A folder; ``mem://name`` for a new store in memory, which `kith.deeplake.load` finds while something holds it.
    dataset : kith.deeplake.Dataset, instead of `path`
    tensor_params : list of dict
        The tensors of a new store: each with a "name", an "htype" ("text", "json", "embedding", or none for numbers)
        and perhaps a "dtype". Without it: text, metadata, embedding and id.
    embedding_function : callable, or an object with embed_documents() and embed_query(), optional
        Makes vectors of texts, in `add` and `search`, where none is given there.
    read_only : bool, optional
        Refuse changes.
    index_params : dict, optional
        ``{"threshold": 10_000, "distance_metric": "L2", "additional_params": {"efConstruction": 600, "M": 32}}``: an HNSW
        from so many rows on; -1 for never. Where nothing is said, Kith makes its own choice at 20,000 rows. Kept
        with a new store.
    exec_option : {"auto", "python", "compute_engine", "tensor_db"}
        "python" makes every search exact; the others use the index where there is one.
    overwrite : bool
        Begin anew where there is a store.
    verbose : bool
        Show the progress of what takes long.
    branch : str
        The branch to open; a new store has it beside "main".
    ingestion_batch_size, token, creds, org_id, runtime, indra, logger
        Accepted: rows are stored in one commit, and there is no cloud.

    Raises
    ------
    ValueError
        When neither path nor dataset is given, or both; for tensors that make no store; for tensor_params other
        than the default of a store that exists; for index_params that are not understood.
    DatasetHandlerError
        When there is something else at the path, a store of a newer version, or none where it is to be read only.

    Examples
    --------
    >>> import kith
    >>> store = kith.VectorStore("mem://example", overwrite=True)
    >>> store.add(text=["one", "two"], metadata=[{"n": 1}, {"n": 2}], embedding=[[1.0, 0.0], [0.0, 2.0]])
    >>> store.search(embedding=[1.0, 0.0], k=2, return_tensors=["text"])
    {'score': [1.0, 0.0], 'text': ['one', 'two']}
    >>> store.search(embedding=[1.0, 0.0], filter={"metadata": {"n": 2}}, distance_metric="L1")["score"]
    [3.0]
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        dataset: datasets.Dataset | None = None,
        tensor_params: list[dict[str, Any]] = DEFAULT_VECTORSTORE_TENSORS,
        embedding_function: Any = None,
        read_only: bool | None = None,
        ingestion_batch_size: int = 1000,
        index_params: dict[str, Any] | None = None,
        exec_option: str | None = "auto",
        token: str | None = None,
        overwrite: bool = False,
        verbose: bool = True,
        runtime: dict[str, Any] | None = None,
        creds: dict[str, Any] | str | None = None,
        org_id: str | None = None,
        logger: logging.Logger = logger,
        branch: str = "main",
        indra: bool = False,
        **kwargs: Any,
    ) -> None:
        for key in kwargs:
            if key not in _accepted:
                raise TypeError(f"VectorStore() got an unexpected keyword argument '{key}'")
        if dataset is not None and path:
            raise ValueError("Only one of `dataset` or path should be provided.")
        if dataset is None and not path:
            raise ValueError("Either `dataset` or path should be provided.")
        if dataset is not None and not isinstance(dataset, datasets.Dataset):
            raise ValueError(
                f"`dataset` is what kith.deeplake.load() gives, not {dataset!r}; a folder is told by `path`"
            )
        if (runtime or {}).get("tensor_db") or (runtime or {}).get("db_engine"):
            raise ValueError(
                "runtime asks for the managed database of Deep Lake's cloud, and there is none here: leave it out"
            )
        options = {
            "exec_option": _exec_option(exec_option), "embedding_function": embedding_function, "verbose": verbose,
            "logger": logger or _log, "ingestion_batch_size": ingestion_batch_size, "index_params": index_params,
        }  # fmt: skip
        wanted = _index.Wanted(index_params)
        if dataset is None:
            dataset = _opened(path, tensor_params, bool(read_only), overwrite, wanted, branch)
        _tensors.check(dataset._infos)
        if index_params is not None:  # else as it was asked for when the store was made
            dataset._wanted = wanted
        dataset._verbose = bool(verbose)
        self.dataset_handler = DatasetHandler(dataset, options)
        self.deep_memory = None
        self._metrics: dict[str, str | None] = {}  # of the index of each tensor
        if wanted.told and not dataset.read_only:
            dataset._ensure_index()

    # ---- rows in

    def add(
        self,
        embedding_function: Any = None,
        embedding_data: Any = None,
        embedding_tensor: str | list[str] | None = None,
        return_ids: bool = False,
        rate_limiter: dict[str, Any] | None = None,
        **tensors: Any,
    ) -> list[str] | None:
        """Add rows: one value of each tensor for each.

        Parameters
        ----------
        embedding_function : callable, object, or a list of these, optional
            Makes the embeddings of `embedding_data`; else the store's own.
        embedding_data : list of str, or a list of such lists, optional
            What is embedded: for each embedding tensor a list.
        embedding_tensor : str or list of str, optional
            Which tensors it is for; needed where the store has several.
        return_ids : bool
            Give the ids of the new rows.
        rate_limiter : dict, optional
            ``{"enabled": True, "bytes_per_minute": ..., "batch_byte_size": ...}`` slows calls of the function.
        **tensors
            Values by tensor: lists or arrays, one entry a row. An embedding may be a pair of a function and its data. None
            means no values. Ids are made where none are given.

        Returns
        -------
        list of str, or None

        Raises
        ------
        ValueError
            For a tensor that there is not, one that is missing, lists of different lengths, a vector with NaN; nothing
            is stored then.
        IncorrectEmbeddingShapeError
            For vectors of different lengths, or of another length than the store's.
        SampleExtendError
            For metadata that JSON does not have.
        ReadOnlyModeError
        """
        data = self.dataset
        function, given, names = _embedding_arguments(tensors, embedding_function, embedding_data, embedding_tensor)
        computed = self._plan(function, given, names, tensors)
        self._check_tensors(tensors, [name for name, _, _ in computed])
        values = dict(tensors)
        for name, embed_with, texts in computed:
            values[name] = embed(embed_with, texts, rate_limiter, self.dataset_handler.verbose)
        id_name = _tensors.id_tensor(data._infos)
        count = _count(values)
        ids = new_ids(count) if values.get(id_name) is None else _ids(values[id_name], id_name)
        values[id_name] = ids
        data._append(values, count)
        self._metrics.clear()
        return ids if return_ids else None

    def _plan(
        self, function: Any, given: Any, names: Any, tensors: dict[str, Any]
    ) -> list[tuple[str, DeepLakeEmbedder, Any]]:
        """Say which tensors are computed, by what and of what."""
        own = self.dataset_handler.embedding_function
        if given is None or len(given) == 0:
            if function:
                raise ValueError("embedding_data is not specified: with an embedding_function it is what is embedded")
            if names and not own:
                raise ValueError("`embedding_tensor` is specified while `embedding_function` is not specified.")
            return []
        given = [given] if isinstance(given, str) else given if isinstance(given, (list, tuple)) else list(given)
        function = function or own
        if not function:
            raise ValueError("`embedding_data` is specified while `embedding_function` is not specified.")
        parts = list(given) if isinstance(given[0], (list, tuple, np.ndarray)) else [given]
        functions = list(function) if isinstance(function, list) else [function] * len(parts)
        names = [names] if isinstance(names, str) else list(names or self._embedding_tensors())
        for name in names:
            if tensors.get(name) is not None:
                raise ValueError(f"{name} was given as a tensor, and is to be embedded as well; one of both is wanted")
        assert len(functions) == len(parts), "embedding_function and embedding_data must be of the same length"
        assert len(functions) == len(names), "embedding_function and embedding_tensor must be of the same length"
        return [(name, embedder(one), part) for name, one, part in zip(names, functions, parts)]  # type: ignore[misc]

    def _embedding_tensors(self) -> list[str]:
        names = [name for name, info in self.dataset._infos.items() if info.is_embedding]
        if len(names) > 1:
            raise ValueError(f"the store has the embedding tensors {', '.join(names)}: say which by `embedding_tensor`")
        return names

    def _check_tensors(self, tensors: dict[str, Any], computed: list[str]) -> None:
        infos = self.dataset._infos
        for name in [*tensors, *computed]:
            if name not in infos:
                raise ValueError(f"Tensor {name} does not exist in dataset")
        absent = [
            name for name in infos if name not in tensors and name not in computed and name != _tensors.id_tensor(infos)
        ]
        if absent:
            raise ValueError(f"{', '.join(f'`{name}`' for name in absent)} tensor(s) is/are missing.")

    # ---- searches

    def search(
        self,
        embedding_data: str | list[str] | None = None,
        embedding_function: Any = None,
        embedding: Any = None,
        k: int = 4,
        distance_metric: str | None = None,
        query: str | None = None,
        filter: dict[str, Any] | Callable[..., Any] | None = None,
        exec_option: str | None = None,
        embedding_tensor: str = "embedding",
        return_tensors: list[str] | str | None = None,
        return_view: bool = False,
        deep_memory: bool = False,
        return_tql: bool = False,
    ) -> Any:
        """Find the rows nearest to a vector, or those that a filter admits.

        Parameters
        ----------
        embedding_data : str or list of str, optional
            What to search for, embedded by `embedding_function`, else by the store's. Of several a list of answers is given.
        embedding : array of numbers, optional
            The vector. Of a matrix with several rows a list of answers is given, one a row.
        k : int
            How many rows. Without a vector every admitted row is given, as in 3.9, where exec_option is "python" or "auto".
        distance_metric : {"COS", "L2", "L1", "MAX", "DOT"}, optional
            In any case. COS and DOT are similarities, the greatest first; L2 (not squared), L1 and MAX are distances.
            The index's own where nothing is said, else COS.
        query : str, optional
            A TQL query (docs/DEEPLAKE.md has the language), instead of all of these.
        filter : dict or callable, optional
            ``{"metadata": {"key": value}, "text": ["a", "b"]}``: all of it has to hold; a list means one of its values.
            Or a function of a sample: ``lambda x: x["metadata"].data()["value"]["n"] > 3``. LlamaIndex's
            MetadataFilters are understood too.
        exec_option : str, optional
            For this search: see `VectorStore`.
        embedding_tensor : str
        return_tensors : list of str, optional
            What to give of each row: all but the embedding; "*" for all.
        return_view : bool
            Give a `kith.deeplake.View` of the rows.
        return_tql : bool
            Give ``{"data": ..., "tql": ...}``, with the search as TQL.

        Returns
        -------
        dict
            Of lists, one entry a row: "score" where a vector was searched for, and the tensors. Texts and ids are str,
            metadata dicts, embeddings arrays.

        Raises
        ------
        ValueError
            When the store is empty, nothing is asked for, a vector is of another length than the store's, or arguments
            exclude each other.
        TensorDoesNotExistError
        DeepMemoryAccessError
        """
        if deep_memory:
            raise DeepMemoryAccessError()
        option = _exec_option(exec_option or self.dataset_handler.exec_option)
        own = self.dataset_handler.embedding_function
        _check_search(embedding_data, embedding_function, embedding, query, filter, own, option, return_tensors)
        data = self.dataset
        if not return_view:
            self._named(return_tensors)
        if len(data) == 0:
            raise ValueError("specified dataset is empty")
        if query is not None:
            return self._by_tql(query, return_view, return_tql)
        vectors, many = _query_vectors(embedding, embedding_data, embedder(embedding_function) or own)
        tensor = "" if vectors is None else self._searched_tensor(embedding_tensor)
        names = self._returned(return_tensors, tensor, return_view)
        where = _filters.meant_by(filter, data._table, data._infos)
        if vectors is None:
            unlimited = option in ("python", "auto")
            return self._matches(where, None if unlimited else natural("k", k), names, return_view, return_tql, filter)
        metric = self._metric(distance_metric, tensor)
        found = self._nearest(tensor, vectors, natural("k", k), metric, where, option == "python", names, return_view)
        if return_tql:
            from . import tql

            told = [tql.told(names, tensor, metric, vector, filter, k) for vector in vectors]
            found = [{"data": one, "tql": text} for one, text in zip(found, told)]
        return found if many else found[0]

    def _metric(self, given: str | None, tensor: str) -> str:
        if tensor not in self._metrics:
            self._metrics[tensor] = _index.metric_of(self.dataset._table, tensor)
        indexed = self._metrics[tensor]
        if given is None:
            return indexed or self.dataset._wanted.metric
        asked = _index.metric_name(given)
        if indexed is not None and asked != indexed:
            self.dataset_handler.logger.warning(
                f"The specified `distance_metric': `{given}` does not match the distance metric in the index: "
                f"`{_index.LONG_NAMES[indexed]}`. Every row is read."
            )
        return asked

    def _searched_tensor(self, name: str | None) -> str:
        infos = self.dataset._infos
        if isinstance(name, (list, tuple)) and len(name) == 1:  # as update_embedding() and add() take it
            name = name[0]
        if name is not None and not isinstance(name, str):
            raise ValueError(f"`embedding_tensor` is the name of one tensor, not {name!r}")
        if name in infos and infos[name].is_embedding:
            return name  # type: ignore[return-value]
        if name in (None, "embedding"):
            return self._embedding_tensors()[0]
        if name in infos:
            raise ValueError(f"tensor '{name}' is of htype {infos[name].htype} and holds no embeddings")
        raise TensorDoesNotExistError(str(name))

    def _returned(self, wanted: Any, tensor: str, return_view: bool) -> list[str]:
        infos = self.dataset._infos
        if return_view:
            return []
        if not wanted or wanted == "*":
            hidden = {tensor} if tensor else {name for name, info in infos.items() if info.is_embedding}
            return [name for name in infos if name not in hidden or wanted == "*"]
        return self._named(wanted)

    def _named(self, wanted: Any) -> list[str]:
        """The tensors that are asked for by their names."""
        names = [] if not wanted or wanted == "*" else [wanted] if isinstance(wanted, str) else list(wanted)
        for name in names:
            if name not in self.dataset._infos:
                raise TensorDoesNotExistError(name)
        return names

    def _nearest(
        self, tensor: str, vectors: np.ndarray, k: int, metric: str, where: Expr | None, exact: bool, names: list[str],
        return_view: bool,
    ) -> list[Any]:  # fmt: skip
        data = self.dataset
        if not data._there(tensor):
            return [
                datasets.View(data, []) if return_view else {"score": [], **{name: [] for name in names}}
                for _ in vectors
            ]
        found = _search.nearest(data._table, tensor, vectors, k, metric, where, exact, data._stored(names))
        answers: list[Any] = []
        for one in found:
            scores = one.scores.tolist()
            if return_view:
                view = datasets.View(data, one.ids.tolist())
                view.scores = scores
                answers.append(view)
            elif one.columns:
                answers.append({"score": scores, **data._decoded(one.columns, names, len(scores))})
            else:
                answers.append({"score": scores, **data._taken(one.ids.tolist(), names)})
        return answers

    def _matches(
        self, where: Expr | None, limit: int | None, names: list[str], return_view: bool, return_tql: bool, filter: Any
    ) -> Any:
        data = self.dataset
        if limit == 0:
            found: Any = datasets.View(data, []) if return_view else {name: [] for name in names}
        else:
            ids, values = data._scanned(where, names, limit)
            found = datasets.View(data, ids) if return_view else values
        if return_tql:
            from . import tql

            return {"data": found, "tql": tql.told(names, None, None, None, filter, limit)}
        return found

    def _by_tql(self, query: str, return_view: bool, return_tql: bool) -> Any:
        from . import tql

        ran = tql.run(self.dataset, query)
        found = ran.view(self.dataset) if return_view else ran.values(self.dataset)
        return {"data": found, "tql": query} if return_tql else found

    # ---- changes

    def delete(
        self,
        row_ids: Sequence[int] | None = None,
        ids: Sequence[str] | None = None,
        filter: dict[str, Any] | Callable[..., Any] | None = None,
        query: str | None = None,
        exec_option: str | None = None,
        delete_all: bool | None = None,
    ) -> bool:
        """Delete rows, in one commit: those at places, of ids, that a filter admits or a TQL query finds, or all.

        Any row can be deleted, whether there is an index or not. What no row is like is passed over. `delete_all` leaves
        a store without rows, also where somebody deleted the store itself.

        Raises
        ------
        ValueError
            When nothing is said.
        ReadOnlyModeError
        """
        if all(way is None for way in (row_ids, ids, filter, query)) and not delete_all:
            raise ValueError("Either ids, row_ids, filter, query, or delete_all must be specified.")
        _exec_option(exec_option)
        data = self.dataset
        one = row_ids is not None and not hasattr(row_ids, "__iter__")
        places: Any = (
            [] if row_ids is None else [row_ids] if one else list(row_ids)
        )  # an array is neither true nor false
        if delete_all:
            data.delete_all()
            self._metrics.clear()
            return True
        with data._writing() as table:
            if places or (ids is None and filter is None and query is None):
                table.delete(row_ids=data._ids_at(places))
            else:
                where = self._selected(ids, filter, query)
                table.delete("true" if where is None else where)
        return True

    def _selected(self, ids: Any, filter: Any, query: str | None) -> Expr | None:
        """The expression for the rows that `delete` and `update_embedding` are told of."""
        data = self.dataset
        if ids is not None:
            id_name = _tensors.id_tensor(data._infos)
            return _filters.meant_by({id_name: [ids] if isinstance(ids, str) else list(ids)}, data._table, data._infos)
        if query is not None:
            from . import tql

            return _filters.rows_are(tql.run(data, query).ids)
        return _filters.meant_by(filter, data._table, data._infos)

    def update_embedding(
        self,
        row_ids: Sequence[int] | None = None,
        ids: Sequence[str] | None = None,
        filter: dict[str, Any] | Callable[..., Any] | None = None,
        query: str | None = None,
        exec_option: str | None = None,
        embedding_function: Any = None,
        embedding_source_tensor: str | list[str] = "text",
        embedding_tensor: str | list[str] | None = None,
    ) -> None:
        """Embed rows anew, in one commit. They are told as in `delete`; they move behind the others.

        Parameters
        ----------
        embedding_function : callable, object, or a list of these, optional
            Else the store's.
        embedding_source_tensor : str or list of str
            What is embedded: texts, or what else a tensor holds, of which the function gets a list.
        embedding_tensor : str or list of str, optional
            Where the vectors go; needed where the store has several embedding tensors.

        Raises
        ------
        ValueError
            When rows are told in two ways or in none, there is no function, or sources and tensors do not pair.
        ReadOnlyModeError
        """
        ways = {"row_ids": row_ids, "ids": ids, "filter": filter, "query": query}
        said = [way for way, value in ways.items() if value is not None]
        if len(said) > 1:
            raise ValueError(f"Only one of {' and '.join(said)} can be specified.")
        pairs = self._update_pairs(embedding_function, embedding_source_tensor, embedding_tensor)
        if not said:
            raise ValueError("Either ids, row_ids, filter, or query must be specified.")
        _exec_option(exec_option)
        data = self.dataset
        with data._writing():
            chosen = row_ids is not None
            where = _filters.rows_are(data._ids_at(row_ids)) if chosen else self._selected(ids, filter, query)  # type: ignore[arg-type]
            self._embed_again(where, pairs)

    def _update_pairs(self, function: Any, sources: Any, names: Any) -> list[tuple[str, str, DeepLakeEmbedder]]:
        function = function or self.dataset_handler.embedding_function
        if not function:
            raise ValueError(
                "`embedding_function` was not specified during initialization of vector store or the update call"
            )
        if not sources:
            raise ValueError("`embedding_source_tensor` was not specified")
        tensors = [names] if isinstance(names, str) else list(names or self._embedding_tensors())
        given = [sources] if isinstance(sources, str) else list(sources)
        if len(tensors) != len(given):
            raise ValueError(
                f"{len(given)} `embedding_source_tensor` and {len(tensors)} `embedding_tensor` were given; each has one"
            )
        functions = list(function) if isinstance(function, list) else [function] * len(tensors)
        if len(functions) != len(tensors):
            raise ValueError(f"{len(functions)} embedding functions were given for {len(tensors)} embedding tensors")
        infos = self.dataset._infos
        for name in [*tensors, *given]:
            if name not in infos:
                raise TensorDoesNotExistError(name)
        for name in tensors:
            if not infos[name].is_embedding:
                raise ValueError(f"tensor '{name}' is of htype {infos[name].htype} and holds no embeddings")
        return [(source, name, embedder(one)) for source, name, one in zip(given, tensors, functions)]  # type: ignore[misc]

    def _embed_again(self, where: Expr | None, pairs: list[tuple[str, str, DeepLakeEmbedder]]) -> None:
        """Merge new vectors into the rows that have the same id and the same sources.

        A vector is a function of its source, so two rows that share id and sources share the vector that comes of them:
        these are a key good enough, and the merge is one commit, which puts no row at risk. A source that is no text and
        no JSON is no key: two rows that differ in nothing else are refused.
        """
        data = self.dataset
        infos = data._infos
        sources = list(dict.fromkeys(source for source, _, _ in pairs))
        keys = [_tensors.id_tensor(infos)]
        keys += [name for name in sources if infos[name].htype in ("text", "json") and name not in keys]
        ids, stored = data._read(where, list(dict.fromkeys([*keys, *sources])))
        values = data._decoded(stored, list(dict.fromkeys([*keys, *sources])), len(ids))
        written = [stored[name][4] if infos[name].htype == "json" else values[name] for name in keys]
        rows: dict[tuple[Any, ...], int] = {}
        for at, key in enumerate(zip(*written)):
            first = rows.setdefault(key, at)
            if first != at and not all(np.array_equal(values[name][at], values[name][first]) for name in sources):
                raise ValueError(
                    f"two rows have the id {key[0]!r} and differ in what is no text ({', '.join(sources)})"
                )
        if not rows:
            return
        columns: dict[str, Any] = {name: list(column) for name, column in zip(keys, zip(*rows))}
        for source, name, function in pairs:
            made = embed(function, [values[source][at] for at in rows.values()], None, self.dataset_handler.verbose)
            made = _tensors.matrix(infos[name], made, data._width(name))
            if not data._there(name):
                data._make_column(infos[name], made)
            columns[name] = made
        data._table.merge_insert(keys).when_matched_update_all().execute(columns)

    @staticmethod
    def delete_by_path(
        path: str | os.PathLike[str], token: str | None = None, force: bool = False, creds: Any = None
    ) -> None:
        """Delete the store at a path, with all its branches.

        Raises
        ------
        DatasetHandlerError
            When there is none.
        """
        datasets.delete(path, force)

    # ---- versions

    def commit(self, allow_empty: bool = True) -> None:
        """Keep the branch as it is now: ``store.dataset.commit_id`` is its name, and `checkout` takes it."""
        self.dataset.commit(allow_empty=bool(allow_empty))

    def checkout(self, branch: str = "main", create: bool = False) -> None:
        """Go to a branch, to a commit (which is read only), or to a new branch that begins with the rows of this one.

        Raises
        ------
        CheckoutError
            When there is no such branch or commit, or the new one is there already.
        """
        self.dataset.checkout(branch, create=create)
        self._metrics.clear()
        if create:
            self.dataset._ensure_index()

    # ---- what it is

    @property
    def dataset(self) -> datasets.Dataset:
        """The rows themselves."""
        return self.dataset_handler.dataset

    @property
    def exec_option(self) -> str:
        """How searches are run where they do not say it."""
        return self.dataset_handler.exec_option

    def tensors(self) -> dict[str, datasets.Tensor]:
        """Give the tensors by name."""
        return self.dataset.tensors

    def summary(self) -> None:
        """Print tensors, types and rows."""
        self.dataset.summary()

    def __len__(self) -> int:
        return len(self.dataset)

    def __repr__(self) -> str:
        return f"VectorStore(path={self.dataset.path!r}, branch={self.dataset.branch!r})"


def _opened(
    path: Any, tensor_params: Any, read_only: bool, overwrite: bool, wanted: _index.Wanted, branch: str
) -> datasets.Dataset:
    uri = datasets.uri_of(path)
    there = datasets.exists(uri, any_format=overwrite)
    if there and not overwrite and (read_only or not uri.startswith("memory://")):
        if tensor_params is not None and tensor_params != DEFAULT_VECTORSTORE_TENSORS:
            raise ValueError(
                "Vector Store is not empty. You shouldn't specify tensor_params if you're loading from existing dataset."
            )
        return datasets.load(path, read_only, branch)
    if read_only:
        raise DatasetHandlerError(
            f"the store at {path} is to be read only, and cannot be overwritten"
            if there
            else f"there is no store at {path}, and none is made where it is to be read only"
        )
    if not uri.startswith("memory://") and os.path.exists(uri) and not os.path.isdir(uri):
        raise DatasetHandlerError(f"there is a file at {path}, and a store is a folder")
    settings = {"index_params": wanted.params} if wanted.told else {}
    made = datasets.create(path, tensor_params or DEFAULT_VECTORSTORE_TENSORS, settings, overwrite)
    if branch != datasets.MAIN:
        made.checkout(branch, create=True)
    return made


def _embedding_arguments(tensors: dict[str, Any], function: Any, data: Any, names: Any) -> tuple[Any, Any, Any]:
    """Take pairs of a function and its data out of the tensors; they exclude the other way of saying it."""
    pairs = {
        name: value
        for name, value in tensors.items()
        if isinstance(value, tuple) and len(value) == 2 and (callable(value[0]) or hasattr(value[0], "embed_documents"))
    }
    if not pairs:
        return function, data, names
    for given, what in ((function, "embedding functions"), (data, "embedding data"), (names, "embedding tensors")):
        if given:
            raise ValueError(f"Cannot specify {what} both in `tensors` and as an argument of its own.")
    for name in pairs:
        del tensors[name]
    return [value[0] for value in pairs.values()], [list(value[1]) for value in pairs.values()], list(pairs)


def _ids(given: Any, tensor: str) -> list[str]:
    """Read ids, which may be UUIDs or numbers; one that is missing is made."""
    if any(isinstance(one, bytes) for one in given):
        raise SampleExtendError(f"Failed to append a sample to the tensor '{tensor}': an id is a text, not bytes")
    ids = [one if type(one) is str else None if one is None else str(one) for one in given]
    made = iter(new_ids(ids.count(None)))
    return [next(made) if one is None else one for one in ids]


def _count(values: dict[str, Any]) -> int:
    """Check that all tensors have as many values, and give how many."""
    for name, given in values.items():
        _tensors.check_many(name, given)
        if given is not None and not hasattr(given, "__len__"):
            values[name] = list(given)
    sizes = {name: len(given) for name, given in values.items() if given is not None}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name}: {size}" for name, size in sizes.items())
        raise ValueError(
            f"All of the tensors should have equal length. Currently tensors have different length: {told}"
        )
    return next(iter(sizes.values()), 0)


def _check_search(
    data: Any, function: Any, embedding: Any, query: Any, filter: Any, own: Any, option: str, return_tensors: Any
) -> None:
    if embedding is not None and query is not None:
        raise ValueError("Both `embedding` and `query` were specified. Please specify either one or the other.")
    if function is None and embedding is None and query is None and filter is None and (own is None or data is None):
        raise ValueError("Either an `embedding`, `embedding_function`, `filter`, or `query` must be specified.")
    if data is None and function is not None and embedding is None:
        raise ValueError("When an `embedding_function` is specified, `embedding_data` must also be specified.")
    if data is not None and function is None and own is None:
        raise ValueError("When an `embedding_data` is specified, `embedding_function` must also be specified.")
    if query is not None and option == "python":
        raise ValueError("User-specified TQL queries are not support for exec_option=python.")
    if query is not None and filter is not None:
        raise ValueError("`query` and `filter` parameters cannot be specified simultaneously.")
    if query is not None and return_tensors:
        raise ValueError(
            "`return_tensors` and `query` cannot be specified simultaneously: the query says what it returns."
        )


def _one_vector(made: Any) -> np.ndarray:
    vector = numbers(made, "gave no vector for the text of a query")
    if vector.ndim > 1 and vector.size == vector.shape[-1]:
        return vector.reshape(-1)
    if vector.ndim != 1:
        raise IncorrectEmbeddingShapeError(
            f"the embedding function gave the shape {vector.shape} for the text of one query"
        )
    return vector


def _query_vectors(embedding: Any, data: Any, function: DeepLakeEmbedder | None) -> tuple[np.ndarray | None, bool]:
    """Give the query's vectors as a matrix, and whether there are several."""
    if embedding is None and data is not None and function is not None:
        texts = list(data) if isinstance(data, (list, tuple, np.ndarray)) else [data]
        if not texts:
            raise ValueError("embedding_data must not be empty.")
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("embedding_data must be a string.")
        made = [_one_vector(function.embed_query(text)) for text in texts]
        return np.stack(made), len(made) > 1
    if embedding is None:
        return None, False
    try:
        vectors = np.asarray(embedding, dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise ValueError(f"a query is a vector of numbers: {error}") from None
    if vectors.ndim == 1:
        return vectors[None], False
    if vectors.ndim != 2 or not len(vectors):
        raise ValueError(
            f"a query is one vector, or a matrix with one in each row; this one has the shape {vectors.shape}"
        )
    return np.ascontiguousarray(vectors), len(vectors) > 1
