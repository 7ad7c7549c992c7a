"""Tables: rows in, rows out, indexes, versions."""

from __future__ import annotations

from . import _core, data as inputs, frames, schema as schemas
from ._progress import Progress
from .changes import AddResult, Changes
from .columns import Columns
from .errors import InvalidError, MissingPackageError, NotFoundError, TypeMismatchError
from .query import ScanQuery, TakeQuery, VectorQuery, natural, predicate, refuse, whole_numbers
from .upkeep import Upkeep
from .versions import Versions

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any, Callable, Iterable, Literal

    from .db import Database
    from .index import IndexConfig, IndexStatistics
    from .query import Params, Where
    from .recall import RecallReport

    BadVectors = Literal["error", "drop", "fill", "null"]

__all__ = ["Table", "Searcher", "AddResult", "LanceTable"]

_metrics = ("l2", "euclidean", "cosine", "dot", "ip", "hamming")


class Table(Changes, Columns, Versions, Upkeep, frames.Streamable):
    """A table of a database. Made by `Database.create_table` and `Database.open_table`.

    A handle follows the newest version by itself, may be used by any number of threads, and works on in the
    child after a fork. It is closed when it is dropped.
    """

    __slots__ = ("_table", "_database")

    def __init__(self, table: _core.Table | Database, database: Database | str) -> None:
        if isinstance(database, str):  # LanceTable(db, "name"), as LanceDB's is opened
            database, table = table, table.open_table(database)._table  # type: ignore[union-attr, assignment]
        self._table: _core.Table = table  # type: ignore[assignment]
        self._database: Database = database  # type: ignore[assignment]

    @classmethod
    def create(cls, db: Database, name: str, *what: Any, **options: Any) -> Table:
        """Create a table: LanceDB's other way to say ``db.create_table(name, ...)``."""
        return db.create_table(name, *what, **options)

    @classmethod
    def open(cls, db: Database, name: str, **options: Any) -> Table:
        """Open a table: LanceDB's other way to say ``db.open_table(name)``."""
        return db.open_table(name, **options)

    # ---- what it is

    @property
    def name(self) -> str:
        """The table's name."""
        return self._table.name()

    @property
    def _conn(self) -> Database:
        return self._database  # as LlamaIndex asks for it

    @property
    def uri(self) -> str:
        """Where it is: its folder in the database's."""
        folder = self._database.uri
        return f"{folder}{'' if folder.endswith('/') else '/'}{self.name}.kith"

    @property
    def schema(self) -> Any:
        """The columns: a pyarrow.Schema, or a kith.schema.Schema where pyarrow cannot be imported."""
        return schemas.public(self._table.schema())

    def __len__(self) -> int:
        return self._table.count()

    def count_rows(
        self, filter: Where | None = None, params: Params | None = None, *, timeout: timedelta | float | None = None
    ) -> int:
        """Count the rows, or those that a filter admits.

        Parameters
        ----------
        filter : str, dict or kith.expr.Expr, optional
            As for `VectorQuery.where`.
        params : list or dict, optional
            Values for each ``?`` or ``:name`` of the text.
        timeout : timedelta or float, optional
            How long it may take, or seconds; TimedOutError after that.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", [{"n": i} for i in range(100)])
        >>> table.count_rows(), table.count_rows("n < ?", [10]), table.count_rows({"n": {"$in": [1, 2]}})
        (100, 10, 2)
        """
        return self._table.count(None if filter is None else predicate(filter, params), frames.microseconds(timeout))

    def stats(self) -> dict[str, int]:
        """Say how many rows, indexes, fragments, files and bytes the table has; ``total_bytes`` is without its indexes."""
        found = self._table.stats()
        found["total_bytes"] = found["data_bytes"] + found["inline_bytes"]
        found["num_indices"] = len(self._table.indexes())
        return found

    def verify(self) -> int:
        """Read every byte and check it against its checksum.

        Returns
        -------
        int
            How many files were read.

        Raises
        ------
        CorruptError
            Naming the first bad file and block.
        """
        return self._table.verify()

    def __repr__(self) -> str:
        return f"Table(name={self.name!r}, version={self.version}, uri={self._database.uri!r})"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        from .db import _open_again

        return _open_again, (self._database._portable_uri(), self.name)

    # ---- rows in

    def add(
        self,
        data: Any,
        mode: Literal["append", "overwrite"] = "append",
        on_bad_vectors: BadVectors = "error",
        fill_value: float = 0.0,
        progress: Any = None,
        write_parallelism: int | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> AddResult:
        """Add rows. When it returns they are on disk, and every reader of any process sees them.

        Parameters
        ----------
        data : list of dict, frame, Arrow data or an iterator of these
            As for `Database.create_table`. Columns are matched by name and cast where nothing is lost; missing
            ones are null.
        mode : {"append", "overwrite"}
            "overwrite" replaces all rows; older versions stay readable.
        on_bad_vectors : {"error", "drop", "fill", "null"}
            What to do with a vector of a wrong length or with NaN: refuse all rows, leave the row out, replace
            what is bad by `fill_value`, or store a null vector.
        progress : bool, callable or tqdm-like, optional
            See `kith.Database.create_table`.
        write_parallelism : int, optional
            Accepted for LanceDB's sake: what is added is written in order.
        idempotency_key : str, optional
            What makes a call one that is done once: a second one with the same key, among the last 4,096 commits, stores
            nothing and gives the version of the first. For a retry after `UnknownOutcomeError`, or in a new process.

        Returns
        -------
        AddResult
            With the table's new `version`.

        Raises
        ------
        TypeMismatchError, InvalidError
            When a column or a vector does not fit; nothing is stored then.
        """
        if mode not in ("append", "overwrite"):
            raise InvalidError("mode must be either 'append' or 'overwrite'")
        if idempotency_key is not None and not isinstance(idempotency_key, str):
            raise TypeMismatchError(f"idempotency_key is a str, not {idempotency_key!r}")
        if write_parallelism is not None:
            natural("write_parallelism", write_parallelism, 1)
        bad = inputs.bad_vectors(on_bad_vectors)
        stream = inputs.stream(data, self._table.schema())
        with Progress(progress) as callback:
            version = self._table.append(
                stream, overwrite=mode == "overwrite", bad_vectors=bad, fill_value=fill_value, progress=callback,
                idempotency_key=idempotency_key,
            )  # fmt: skip
        return AddResult(version)

    # ---- rows out

    def _stream(self, timeout_us: int = 0) -> object:
        return self._table.scan(None, 0, None, False, None, None, None, timeout_us)

    def __arrow_c_schema__(self) -> object:
        """Give the columns as an Arrow schema capsule."""
        return self._table.schema()

    def head(self, n: int = 5) -> Any:
        """Give the first `n` rows: a pyarrow Table, or a result with ``to_list()`` where there is no pyarrow."""
        rows = natural("n", n)
        result = frames.Result(lambda timeout_us: self._table.scan(None, 0, rows, False, None, None, None, timeout_us))
        try:
            return result.to_arrow()
        except MissingPackageError:
            return result

    def search(
        self,
        query: Any = None,
        vector_column_name: str | None = None,
        query_type: str = "auto",
        ordering_field_name: str | None = None,
        fts_columns: Any = None,
    ) -> Any:
        """Begin a query.

        Parameters
        ----------
        query : array of numbers, optional
            One vector of the column's dimension, or several: a numpy array of any float or 8-bit type, a list, a
            pyarrow array, a tensor. Without one, all rows are given in insertion order.
        vector_column_name : str, optional
            The column. Where there are several of vectors, it is the one of the query's dimension, else the one called
            "vector", where nothing is said.
        query_type : {"auto", "vector"}

        Returns
        -------
        VectorQuery or ScanQuery

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", [{"vector": [1.0, 2.0], "item": "one"}])
        >>> table.search([1.0, 2.5]).select(["item"]).to_list()
        [{'item': 'one', '_distance': 0.25}]
        """
        if query_type not in ("auto", "vector") or isinstance(query, str):
            if query_type not in ("auto", "vector", "fts", "hybrid"):
                raise InvalidError(f"query_type is 'auto' or 'vector', not {query_type!r}")
            refuse("full-text and hybrid search")
        if query is None:
            return ScanQuery(self._table)
        made = VectorQuery()
        made.set_vectors(self._table, query)
        if vector_column_name is not None:
            made._column = vector_column_name
        return made

    def take_row_ids(self, row_ids: Iterable[int]) -> TakeQuery:
        """Choose rows by their ids (the column ``_rowid``), in rising order; ids that no row has are left out."""
        return TakeQuery(self._table, sorted(whole_numbers("take_row_ids()", row_ids)))

    def take_offsets(self, offsets: Iterable[int]) -> TakeQuery:
        """Choose rows by their places in insertion order, from 0; places past the end are left out."""
        wanted = sorted(whole_numbers("take_offsets()", offsets))
        if not wanted:
            return TakeQuery(self._table, [])
        first = wanted[0]
        rows = _core.stream_rows(self._table.scan((), first, wanted[-1] - first + 1, True))
        ids = [rows[offset - first]["_rowid"] for offset in wanted if offset - first < len(rows)]
        return TakeQuery(self._table, ids)

    def searcher(
        self,
        k: int = 10,
        vector_column_name: str | None = None,
        metric: str | None = None,
        recall: float | None = None,
        nprobes: int | None = None,
        refine_factor: int | None = None,
        ef: int | None = None,
        where: Where | None = None,
        params: Params | None = None,
        threads: int = 1,
    ) -> Searcher:
        """Prepare a search that is run many times and gives only row ids and distances.

        Parameters
        ----------
        k : int
            Rows a vector.
        vector_column_name : str, optional
            The column; needed when the table has several of vectors, and none is called "vector".
        metric, recall, nprobes, refine_factor, ef
            As in a query: see `VectorQuery`.
        where, params
            As for `VectorQuery.where`. What the filter admits is found once for each version of the table, so that a
            search under it costs no more than its part of the scan.
        threads : int
            For many vectors in one call, which are grouped by the lists that they read; 0 takes one a core. For one
            vector more than 1 shares an exact scan of 8 MiB or more.

        Returns
        -------
        Searcher
            Called with a vector of shape (dim,) it gives ``row_ids`` (uint64) and ``distances`` (float32) of shape
            (k,); with a matrix of shape (n, dim), both of shape (n, k). Where fewer than k rows exist, ids are
            2**64 - 1 and distances infinite. numpy arrays, or memoryviews where there is no numpy.

        Raises
        ------
        InvalidError
            When a parameter is out of range, or there are several vector columns and none is named.
        NotFoundError
            When there is no such column.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", {"vector": [[float(i), 1.0] for i in range(100)]})
        >>> nearest = table.searcher(k=2, recall=0.9)
        >>> row_ids, distances = nearest([3.0, 1.0])
        >>> row_ids.tolist(), distances.tolist()
        ([3, 2], [0.0, 1.0])
        >>> nearest([[3.0, 1.0], [98.0, 1.0]])[0].tolist()
        [[3, 2], [98, 97]]
        """
        made = VectorQuery()
        made._table = self._table
        made._column = vector_column_name
        made._dim = self._dimension(vector_column_name)
        made._threads = natural("threads", threads)
        made.limit(k)
        for name, value in (("metric", metric), ("recall", recall), ("nprobes", nprobes), ("ef", ef)):
            if value is not None:
                getattr(made, name)(value)
        if refine_factor is not None:
            made.refine_factor(refine_factor)
        made.where(where, params)
        try:
            import numpy
        except ImportError:
            return _core.searcher(made, None)
        return _core.searcher(made, numpy.empty, numpy.dtype("u8"), numpy.dtype("f4"))

    def measure_recall(
        self,
        queries: Any = None,
        k: int = 10,
        recalls: Iterable[float] = (0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99),
        sample: int = 256,
        seed: int = 0,
        *,
        vector_column_name: str | None = None,
        progress: Any = None,
    ) -> RecallReport:
        """Measure how good and how fast the index answers: recall against the exact scan, queries a second.

        Each wanted recall is asked of every query once on all cores for its answer, then on one thread, query by
        query, for the time; the best round counts.

        Parameters
        ----------
        queries : array of numbers of shape (n, dim), or a frame that has them in a column, optional
            Without them, rows of the table are asked for. Such a row is left out of its own answer, exact and
            approximate, so that k - 1 rows a query are compared (1 where k is 1).
        k : int
            Rows a query.
        recalls : sequence of float
            What to ask for, each from 0 (the fastest) to 1 (exact).
        sample : int
            How many queries at most, chosen at random.
        seed : int
            The same seed chooses the same queries.
        vector_column_name : str, optional
            The column; needed when the table has several of vectors, and none is called "vector".
        progress : bool, callable or tqdm-like, optional
            See `kith.Database.create_table`.

        Returns
        -------
        kith.recall.RecallReport
            Prints as a table and a plot; ``rows`` has the numbers, ``plot(path)`` draws them.

        Raises
        ------
        InvalidError
            When the queries are of another dimension, or there is nothing to ask.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", {"vector": [[float(i), 1.0] for i in range(2000)]})
        >>> table.create_index(num_partitions=16)
        >>> report = table.measure_recall(recalls=[0.9, 1.0], sample=20)
        >>> [row["recall"] for row in report.rows], report.rows[1]["measured"]
        ([0.9, 1.0], 1.0)
        """
        from .recall import measure

        with Progress(progress) as callback:
            return measure(self, queries, k, recalls, sample, seed, vector_column_name, callback)

    def _light_schema(self) -> schemas.Schema:
        return schemas.Schema.from_arrow(self._table.schema())

    def _vector_columns(self) -> list[str]:
        return [
            one.name
            for one in self._light_schema()
            if one.type.format.startswith("+w:") and one.type.children[0].type.format in inputs.VECTOR_ITEMS
        ]

    def _dimension(self, column: str | None) -> int:
        if column is None:
            found = self._vector_columns()
            if len(found) > 1 and "vector" in found:
                found = ["vector"]
            if len(found) != 1:
                listed = ", ".join(found) or "none"
                raise InvalidError(f"vector_column_name is needed: the table's vector columns are {listed}")
            column = found[0]
        if column not in self._light_schema().names:
            listed = ", ".join(self._vector_columns()) or "none"
            raise NotFoundError(f"there is no column '{column}'; the table's vector columns are {listed}")
        type_ = self._light_schema().field(column).type
        if not type_.format.startswith("+w:"):
            raise InvalidError(f"column '{column}' is of type {type_} and holds no vectors")
        return int(type_.format[3:])

    # ---- indexes

    def create_index(
        self,
        metric: str | None = None,
        num_partitions: int | None = None,
        num_sub_vectors: int | None = None,
        vector_column_name: str = "vector",
        replace: bool = True,
        accelerator: str | None = None,
        index_cache_size: int | None = None,
        num_bits: int | None = None,
        index_type: str | None = None,
        max_iterations: int | None = None,
        sample_rate: int | None = None,
        m: int | None = None,
        ef_construction: int | None = None,
        *,
        column: str | None = None,
        config: Any = None,
        wait_timeout: timedelta | None = None,
        name: str | None = None,
        train: bool = True,
        target_partition_size: int | None = None,
        progress: Any = None,
        threads: int | None = None,
        seed: int | None = None,
        queries: Any = None,
        max_memory: int | str | None = None,
    ) -> None:
        """Build an index of a vector column, or over the values of another one. Rows added later are found all the same.

        Two forms are understood: ``create_index("vector", config=IvfRq(...))`` names the column first;
        ``create_index("cosine", num_partitions=256, num_sub_vectors=96)`` the metric, or nothing. Ctrl-C stops it
        and leaves the table as it was. When it is built it is calibrated: searches are replayed to learn how much of
        it a wanted recall takes (after Quake, 2506.03437).

        Parameters
        ----------
        metric : str
            The metric in the old form; the column in the new one.
        num_partitions : int, optional
            Lists; chosen from the number of rows.
        num_sub_vectors : int, optional
            Of IVF_PQ, which is built where this is given and no type: pieces that a vector is cut into; must divide
            the dimension.
        vector_column_name : str
            The column, in the old form.
        replace : bool
            Whether to replace an index of the same name; else that is an error. One that was built unasked is
            replaced all the same.
        num_bits : int, optional
            Bits a number (IVF_RQ: 1 to 9, else 4) or a piece (IVF_PQ: 4 or 8, else 8).
        index_type : str, optional
            "IVF_RQ" (RaBitQ: Gao, Long 2024; what is built where nothing is said), "IVF_PQ" (Jegou, Douze, Schmid
            2011), "IVF_SQ", "IVF_FLAT" or "HNSW" (Malkov, Yashunin 2018; LanceDB's "IVF_HNSW_SQ", "IVF_HNSW_PQ" and
            "IVF_HNSW_FLAT" mean it too). Over values, for filters, "BTREE" (what is built where nothing is said),
            "BITMAP" or "LABEL_LIST" (where nothing is said, of a column of lists).
        max_iterations, sample_rate : int, optional
            Of the training: rounds of k-means at most (12), rows a list (64).
        m, ef_construction : int, optional
            Of HNSW: links that a row makes (4 to 256, else 16), and how many near rows they are chosen from (200).
        config : kith.index.IvfPq and others
            All of these in one object: the new form.
        name : str, optional
            ``<column>_idx`` where it is not given.
        target_partition_size : int, optional
            Rows a list, where `num_partitions` is not given.
        progress : bool, callable or tqdm-like, optional
            True shows a bar; a callable gets (stage, done, total) and stops the build by returning False.
        threads : int, optional
            One a core.
        seed : int, optional
            The same seed, rows and parameters give the same index.
        queries : array of numbers of shape (n, dim), or a frame that has them in a column, optional
            Vectors like those that will be asked, some hundreds or more: the index is calibrated on them, so that a
            wanted recall is kept for them too. Without them it is calibrated on rows of the table, which is as good
            only where queries look like rows.
        max_memory : int or str, optional
            Bytes that the build may hold beside the table, or a text like "512MB" or "1.5GiB".
        accelerator, index_cache_size, wait_timeout, train
            Accepted for LanceDB's sake: nothing waits, and no accelerator is needed.

        Raises
        ------
        InvalidError
            When parameters do not fit; the message says what would.
        NotFoundError
            When there is no such column.
        UnsupportedError
            When this version has no such index.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", {"vector": [[float(i), 1.0] for i in range(2000)]})
        >>> table.create_index(num_partitions=16, queries=[[i + 0.5, 1.0] for i in range(200)], max_memory="64MB")
        >>> table.list_indices()[0].calibration["on"]
        'queries'
        """
        first_is_metric = metric is None or column is not None or (metric.lower() in _metrics and config is None)
        old_form = first_is_metric and config is None and column is None
        options: dict[str, Any] = {
            "num_partitions": num_partitions, "num_sub_vectors": num_sub_vectors, "num_bits": num_bits,
            "max_iterations": max_iterations, "sample_rate": sample_rate, "type": index_type,
            "metric": metric if first_is_metric else None, "seed": seed, "threads": threads,
            "target_partition_size": target_partition_size, "m": m, "ef_construction": ef_construction,
        }  # fmt: skip
        if config is not None:
            options.update({key: value for key, value in _config_options(config).items() if value is not None})
        if old_form:
            target = self._old_column(vector_column_name)
        else:
            target = column or (metric if not first_is_metric else self._old_column(vector_column_name))
            target = target and self._unquoted(target)
            self._check_index_column(target, config)
        kind = options["type"] or ""
        if not isinstance(kind, str):
            raise InvalidError(f"index_type is a text like 'IVF_RQ', not {kind!r}")
        kind = kind.upper()
        if not kind and target is not None and options["metric"] is not None:
            self._dimension(target)  # a metric is one of vectors: no index over values is meant
        if kind.startswith("IVF_HNSW"):  # LanceDB's graphs, one a partition: here there is one, with codes of its own
            for key in ("num_partitions", "num_sub_vectors", "num_bits", "target_partition_size"):
                options[key] = None
        if kind in ("FTS", "FM"):
            refuse(f"an index of type {kind}")
        given = {key: value for key, value in options.items() if value is not None}
        for key in given.keys() - {"type", "metric"}:
            given[key] = natural(key, given[key], 0 if key in ("threads", "seed") else 1)
        size = given.pop("target_partition_size", 0)
        if size:
            given.setdefault("num_partitions", max(1, len(self) // size))
        if max_memory is not None:
            given["max_memory"] = inputs.byte_count("max_memory", max_memory)
        if queries is not None:
            given["dim"] = self._dimension(target)
            given["queries"] = inputs.matrix("queries", queries, given["dim"], target)
        with Progress(progress) as callback:
            self._table.create_index(column=target, name=name, keep=not replace, progress=callback, **given)

    def _old_column(self, named: str) -> str | None:
        # The default "vector" means the table's own vector column when it has another name.
        return None if named == "vector" and "vector" not in self._light_schema().names else named

    def _unquoted(self, column: str) -> str:
        # Names in backticks, as SQL writes them and LanceDB takes them: "`row-id`", "parent.`leaf.name`".
        return column if "`" not in column or column in self._light_schema().names else column.replace("`", "")

    def _check_index_column(self, column: str | None, config: Any) -> None:
        if column is None or config is not None:
            return
        if column not in self._light_schema().names and column.lower() not in _metrics:
            raise NotFoundError(f"'{column}' is neither a column nor a metric (l2, cosine, dot, hamming)")

    def create_scalar_index(
        self,
        column: str,
        index_type: Literal["BTREE", "BITMAP", "LABEL_LIST"] = "BTREE",
        name: str | None = None,
        replace: bool = True,
        *,
        wait_timeout: timedelta | None = None,
        progress: Any = None,
    ) -> None:
        """Build an index over the values of a column, which filters use by themselves.

        Parameters
        ----------
        column : str
            A column, or a field of a struct: ``"size.width"``. Not a field of the structs in a list.
        index_type : {"BTREE", "BITMAP", "LABEL_LIST"}
            Rows in the order of their values; a set of rows for each value, where few differ; the same for each item
            of a column of lists.
        name : str, optional
            ``<column>_idx`` where it is not given.
        replace : bool
            Whether to replace an index of the same name; else that is an error.
        wait_timeout : timedelta, optional
            Accepted for LanceDB's sake: the index is ready when the call returns.
        progress : bool, callable or tqdm-like, optional
            See `kith.Database.create_table`.

        Raises
        ------
        InvalidError
            When the column's type does not fit; the message says what would.
        NotFoundError
            When there is no such column.

        Examples
        --------
        >>> import kith
        >>> table = kith.connect("memory://").create_table("t", [{"n": i, "tags": ["a"] * (i % 2)} for i in range(1000)])
        >>> table.create_scalar_index("n")
        >>> table.create_scalar_index("tags", "LABEL_LIST")
        >>> [index.index_type for index in table.list_indices()], table.count_rows("array_has(tags, 'a') AND n < 10")
        (['BTree', 'LabelList'], 5)
        """
        if not isinstance(column, str):
            raise InvalidError(f"one column is indexed, named by a str, not {column!r}")
        column = self._unquoted(column)
        with Progress(progress) as callback:
            self._table.create_index(column=column, name=name, type=index_type, keep=not replace, progress=callback)

    def create_fts_index(self, *args: Any, **kwargs: Any) -> None:
        """Not in this version."""
        refuse("a full-text index")

    def list_indices(self) -> list[IndexConfig]:
        """List the table's indexes."""
        from .index import described

        return [described(info) for info in self._table.indexes()]

    def index_stats(self, index_name: str) -> IndexStatistics | None:
        """Say how many rows an index covers; None where there is no index of that name."""
        from .index import IndexStatistics, metric_of

        for info in self._table.indexes():
            if info["name"] == index_name:
                return IndexStatistics(
                    info["rows_indexed"], info["rows_unindexed"], info["type"], metric_of(info)
                )
        return None

    def drop_index(self, name: str) -> None:
        """Remove an index; searches scan the rows then."""
        self._table.drop_index(name)

    def prewarm_index(self, name: str) -> None:
        """Check that an index exists. Its file is mapped and read where searches need it, so that nothing is loaded.

        Raises
        ------
        NotFoundError
            When it is not there.
        """
        self.wait_for_index([name])

    def wait_for_index(self, index_names: Iterable[str], timeout: timedelta | None = None) -> None:
        """Check that indexes exist. An index is ready when `create_index` returns, so that nothing waits.

        Raises
        ------
        NotFoundError
            Naming the indexes that are not there.
        """
        there = {info["name"] for info in self._table.indexes()}
        absent = [name for name in index_names if name not in there]
        if absent:
            raise NotFoundError(f"the table '{self.name}' has no index {', '.join(map(repr, absent))}")


def _config_options(config: Any) -> dict[str, Any]:
    kind = getattr(config, "kind", None)
    if kind is None:
        raise InvalidError(f"config must be one of kith.index (IvfPq(), IvfFlat(), ...), not {config!r}")
    found: dict[str, Any] = {"type": kind, "metric": getattr(config, "distance_type", None)}
    for key in ("num_partitions", "num_sub_vectors", "num_bits", "max_iterations", "sample_rate", "target_partition_size",
                "m", "ef_construction"):  # fmt: skip
        found[key] = getattr(config, key, None)
    return found


Searcher = _core.Searcher
LanceTable = Table
