"""The C library as Python sees it. Private: `kith` is the package to use.

Capsules are Arrow's: "arrow_schema" and "arrow_array_stream". Functions that take a stream consume it.
"""

from typing import Any, Callable, Iterator

Capsule = object
Progress = Callable[[str, int, int], Any]
Changed = tuple[int, int, int, int, int]  # version, rows inserted, updated, deleted, attempts

def version() -> str: ...
def isa() -> str: ...
def metric(name: str, /) -> int: ...
def metric_name(metric: int, /) -> str: ...
def open(uri: str, /) -> Database: ...
def rows_stream(
    rows: list[dict[str, Any]], schema: Capsule | None = None, loose: bool = False, part: bool = False
) -> Capsule: ...
def columns_stream(columns: dict[str, Any], schema: Capsule | None = None, loose: bool = False) -> Capsule: ...
def array_stream(schema: Capsule, array: Capsule, /) -> Capsule: ...
def chain_stream(streams: Iterator[Capsule], /) -> Capsule: ...
def empty_stream(schema: Capsule, /) -> Capsule: ...
def stream_schema(stream: Capsule, /) -> Capsule: ...
def stream_rows(stream: Capsule, /) -> list[dict[str, Any]]: ...
def stream_columns(stream: Capsule, /) -> tuple[tuple[str, str, str | None, int, Any, bytearray | None], ...]: ...
def schema_fields(schema: Capsule, /) -> tuple[Any, ...]: ...
def schema_make(field: tuple[Any, ...], /) -> Capsule: ...
def search_rows(options: Options, /) -> list[dict[str, Any]]: ...
def search_stream(options: Options, /) -> Capsule: ...
def search_explain(options: Options, /) -> str: ...
def search_analyze(options: Options, /) -> str: ...
def searcher(
    options: Options, empty: Callable[..., Any] | None = None, id_type: Any = None, distance_type: Any = None, /
) -> Searcher: ...
def floats(matrix: Any, dim: int, /) -> bytearray: ...
def sql(text: str, params: Any = None, /) -> Expr: ...
def json(text: str, /) -> Expr: ...
def literal(value: Any, /) -> Expr: ...
def column(path: str, /) -> Expr: ...
def call(name: str, arguments: tuple[Expr, ...], /) -> Expr: ...

class Database:
    def uri(self) -> str: ...
    def list(self, after: str | None, limit: int, /) -> list[str]: ...
    def drop(self, name: str, /) -> None: ...
    def rename(self, old: str, new: str, /) -> None: ...
    def open_table(self, name: str, version: int = 0, /) -> Table: ...
    def create_table(
        self,
        name: str,
        data: Capsule,
        exist_ok: bool = False,
        overwrite: bool = False,
        bad_vectors: int = 0,
        fill_value: float = 0.0,
        metric: str | None = None,
        key: str | None = None,
        auto_index: bool = True,
        threshold: int = 0,
        progress: Progress | None = None,
        schema: Capsule | None = None,
    ) -> Table: ...

class Table:
    def name(self) -> str: ...
    def count(self, where: str | Expr | None = None, /) -> int: ...
    def version(self) -> int: ...
    def versions(self) -> list[tuple[int, int, int, str]]: ...
    def checkout(self, version: int | None, /) -> None: ...
    def stats(self) -> dict[str, int]: ...
    def verify(self) -> int: ...
    def schema(self) -> Capsule: ...
    def append(
        self,
        data: Capsule,
        overwrite: bool = False,
        bad_vectors: int = 0,
        fill_value: float = 0.0,
        progress: Progress | None = None,
    ) -> int: ...
    def scan(
        self,
        columns: tuple[str, ...] | None,
        offset: int,
        limit: int | None,
        with_row_id: bool,
        where: str | Expr | None = None,
        expressions: tuple[str | None, ...] | None = None,
        order: tuple[tuple[str, bool, bool], ...] | None = None,
        /,
    ) -> Capsule: ...
    def take(
        self,
        row_ids: list[int],
        columns: tuple[str, ...] | None,
        with_row_id: bool,
        expressions: tuple[str | None, ...] | None = None,
        /,
    ) -> Capsule: ...
    def delete(self, where: str | Expr, /) -> Changed: ...
    def delete_rows(self, row_ids: list[int], /) -> Changed: ...
    def update(
        self,
        where: str | Expr | None,
        assignments: tuple[tuple[str, str], ...],
        values: Capsule | None = None,
        progress: Progress | None = None,
    ) -> Changed: ...
    def merge(
        self,
        data: Capsule,
        on: tuple[str, ...] | None = None,
        update_matched: bool = False,
        update_where: str | None = None,
        insert_new: bool = False,
        delete_missing: bool = False,
        delete_where: str | None = None,
        keep_last: bool = False,
        bad_vectors: int = 0,
        fill_value: float = 0.0,
        progress: Progress | None = None,
    ) -> Changed: ...
    def get(
        self,
        keys: Capsule,
        columns: tuple[str, ...] | None,
        with_row_id: bool,
        expressions: tuple[str | None, ...] | None,
        /,
    ) -> Capsule: ...
    def create_index(
        self,
        column: str | None = None,
        name: str | None = None,
        type: str | None = None,
        metric: str | None = None,
        num_partitions: int = 0,
        num_sub_vectors: int = 0,
        num_bits: int = 0,
        max_iterations: int = 0,
        sample_rate: int = 0,
        seed: int = 0,
        threads: int = 0,
        keep: bool = False,
        progress: Progress | None = None,
        queries: bytearray | None = None,
        dim: int = 0,
        max_memory: int = 0,
    ) -> None: ...
    def drop_index(self, name: str, /) -> None: ...
    def indexes(self) -> list[dict[str, Any]]: ...

class Options:
    _table: Table
    _column: str | None
    _columns: tuple[str, ...] | None
    _expressions: tuple[str | None, ...] | None
    _where: str | Expr | None
    _k: int
    _offset: int
    _nprobes: int
    _minimum_nprobes: int
    _maximum_nprobes: int
    _refine_factor: int
    _ef: int
    _threads: int
    _metric: int
    _recall: float
    _lower: float
    _upper: float
    _exact: bool
    _fast_search: bool
    _has_lower: bool
    _has_upper: bool
    _with_row_id: bool
    _postfilter: bool
    _dim: int
    @property
    def _many(self) -> bool: ...
    @property
    def stats(self) -> dict[str, Any] | None: ...
    def set_vectors(self, table: Table, value: Any, /) -> None: ...

class Expr:
    def to_sql(self) -> str: ...

class Searcher:
    def __call__(self, vectors: Any, /) -> tuple[Any, Any]: ...
