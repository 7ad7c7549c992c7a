"""How good an index is, measured: recall against the exact scan, and queries a second.

``table.measure_recall()`` makes a `RecallReport`. Recall is counted by distance: a row that is as near as the k-th of
the exact answer counts, whichever of two equally near rows it is.

A row of the table makes an easy query: it is its own nearest neighbour, and lies where rows lie. The first is mended
by leaving it out of both answers. It is not mended by asking for one row more: an index decides by k how far it looks,
so that k + 1 rows would be another question than the user's k. The second is not mended at all; real queries, where
there are any, are the better measure.
"""

from __future__ import annotations

import math
import os
import random
from array import array
from time import perf_counter

from . import _core, data as inputs
from .errors import CancelledError, InvalidError
from .query import VectorQuery, natural, share

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable

    from .table import Table

    Answer = list[tuple[int, float]]  # row ids and distances, nearest first
    Callback = Callable[[str, int, int], Any] | None

__all__ = ["RecallReport"]

AT_ONCE = 16  # queries of one exact scan: Ctrl-C is heard between two
ROUND_SECONDS = 2.0  # a round of timing is cut short after so long
LEAST_SECONDS = 0.25  # rounds are repeated until they took so long together


class RecallReport:
    """What ``table.measure_recall()`` found. Printed, it is a table and a plot.

    Attributes
    ----------
    rows : list of dict
        One for each wanted recall: ``recall`` (as wanted), ``measured``, ``standard_error`` of that over the queries,
        ``expected`` (as calibrated; None where that is not known), ``queries_per_second`` (one thread),
        ``lists`` and ``codes`` (a query, on the average).
    k : int
        Rows a query.
    queries : int
        How many queries were asked.
    source : {"queries", "rows"}
        Whether they were given or are rows of the table.
    index : str or None
        What answered, e.g. "IVF_RQ vector_idx"; None where there is no index, so that every answer is exact.
    exact_queries_per_second : float
        Of the exact scan, one thread.
    """

    __slots__ = ("rows", "k", "queries", "source", "index", "exact_queries_per_second")

    def __init__(self, k: int, queries: int, source: str, index: str | None) -> None:
        self.rows: list[dict[str, Any]] = []
        self.k = k
        self.queries = queries
        self.source = source
        self.index = index
        self.exact_queries_per_second = 0.0

    def __repr__(self) -> str:
        return f"<kith.RecallReport: {len(self.rows)} recalls, {self.queries} {self.source}, k {self.k}>"

    def __str__(self) -> str:
        of = "rows of the table, each left out of its answer" if self.source == "rows" else "queries"
        lines = [f"{self.index or 'no index: every answer is exact'}; {self.queries} {of}, k {self.k}, one thread", ""]
        lines.append("recall  measured      +-  expected  queries/s   lists      codes")
        for row in self.rows:
            expected = "-" if row["expected"] is None else f"{row['expected']:.4f}"
            lines.append(
                f"{row['recall']:6g}  {row['measured']:8.4f}  {row['standard_error']:.4f}  {expected:>8}"
                f"  {row['queries_per_second']:9,.0f}  {row['lists']:6.1f}  {row['codes']:9,.0f}"
            )
        lines.append(f" exact    1.0000  0.0000    1.0000  {self.exact_queries_per_second:9,.0f}")
        return "\n".join([*lines, "", self.chart()])

    def chart(self, width: int = 60, height: int = 12) -> str:
        """Draw measured recall (across) against queries a second (up, logarithmic) as text of that many characters."""
        frame = _Frame(self.rows)
        cells = [[" "] * width for _ in range(height)]
        for row in self.rows:
            across, up = frame.place(row["measured"], row["queries_per_second"])
            cells[round((1 - up) * (height - 1))][round(across * (width - 1))] = "*"
        labels = {round((1 - up) * (height - 1)): text for up, text in frame.up_ticks()}
        lines = [f"{labels.get(i, ''):>7} |{''.join(line).rstrip()}" for i, line in enumerate(cells)]
        foot = [" "] * (width + 8)
        for across, text in frame.across_ticks():
            begin = min(max(round(across * (width - 1)) - len(text) // 2, 0), len(foot) - len(text))
            if all(cell == " " for cell in foot[max(begin - 1, 0) : begin + len(text) + 1]):
                foot[begin : begin + len(text)] = text
        return "\n".join(["queries/s", *lines, f"{'':>7} +{'-' * width}", f"{'':>9}{''.join(foot).rstrip()}", f"{'':>9}recall"])

    def plot(self, path: str | os.PathLike[str]) -> str:
        """Draw measured recall against queries a second into a file.

        Parameters
        ----------
        path : path-like
            A name that ends in ".svg" gets our own SVG. Any other is drawn by matplotlib, as the kind of file that
            the name says, else PNG; where matplotlib cannot be imported, an SVG is written instead.

        Returns
        -------
        str
            The file that was written.
        """
        name = str(os.fspath(path))
        stem, kind = os.path.splitext(name)
        if not kind:
            name += ".png"
        if not name.lower().endswith(".svg"):
            try:
                self._plot_by_matplotlib(name)
                return name
            except ImportError:
                name = f"{stem}.svg"
        with open(name, "w", encoding="utf-8") as file:
            file.write(_svg(self))
        return name

    def _plot_by_matplotlib(self, name: str) -> None:
        from matplotlib.figure import Figure  # no pyplot: it would open a window's back end

        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        axes.errorbar(
            [row["measured"] for row in self.rows],
            [row["queries_per_second"] for row in self.rows],
            xerr=[2 * row["standard_error"] for row in self.rows],
            marker="o",
            capsize=3,
        )
        for row in self.rows:
            axes.annotate(f"{row['recall']:g}", (row["measured"], row["queries_per_second"]), (4, 4), textcoords="offset points")
        axes.set(xlabel=f"recall of {self.k}, measured", ylabel="queries a second, one thread", yscale="log", title=self.index or "exact scan")
        axes.grid(True, which="both", alpha=0.3)
        figure.savefig(name, dpi=150)


# ---- drawing


class _Frame:
    """Which recalls and speeds a plot spans, and what is written at its edges. Places are shares of it, 0 to 1."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        least = min((row["measured"] for row in rows), default=0.0)
        self.left = min(math.floor(least * 20) / 20, 0.95)
        speeds = [row["queries_per_second"] for row in rows] or [1.0]
        self.low = math.floor(math.log10(min(speeds)) * 3) / 3
        self.high = max(math.ceil(math.log10(max(speeds)) * 3) / 3, self.low + 1 / 3)

    def place(self, recall: float, speed: float) -> tuple[float, float]:
        return (recall - self.left) / (1 - self.left), (math.log10(speed) - self.low) / (self.high - self.low)

    def across_ticks(self) -> list[tuple[float, str]]:
        step = 0.01 if self.left > 0.92 else 0.05 if self.left > 0.6 else 0.1
        first = math.ceil(self.left / step - 1e-9)
        values = [i * step for i in range(first, round(1 / step) + 1)]
        return [((value - self.left) / (1 - self.left), f"{value:.2f}") for value in values]

    def up_ticks(self) -> list[tuple[float, str]]:
        speeds = [digit * 10.0**power for power in range(math.floor(self.low), math.ceil(self.high)) for digit in (1, 2, 5)]
        places = [(math.log10(speed) - self.low) / (self.high - self.low) for speed in speeds]
        return [(place, f"{speed:,.0f}") for place, speed in zip(places, speeds) if -1e-9 <= place <= 1 + 1e-9]


def _svg(report: RecallReport) -> str:
    left, top, width, height = 70, 40, 520, 320
    frame = _Frame(report.rows)

    def at(recall: float, speed: float) -> tuple[float, float]:
        across, up = frame.place(recall, speed)
        return left + across * width, top + (1 - up) * height

    points = [(*at(row["measured"], row["queries_per_second"]), row) for row in report.rows]
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 40} {top + height + 60}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="22" font-size="14">{_escaped(report.index or "exact scan")}</text>',
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#888"/>',
    ]
    for across, text in frame.across_ticks():
        x = left + across * width
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + height}" stroke="#ddd"/>')
        out.append(f'<text x="{x:.1f}" y="{top + height + 18}" text-anchor="middle">{text}</text>')
    for up, text in frame.up_ticks():
        y = top + (1 - up) * height
        out.append(f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    out.append(f'<polyline points="{line}" fill="none" stroke="#1f6fb4" stroke-width="2"/>')
    for x, y, row in points:
        reach = 2 * row["standard_error"] / (1 - frame.left) * width
        ends = max(x - reach, left), min(x + reach, left + width)
        out.append(f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="#1f6fb4"/>')
        out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#1f6fb4"/>')
        out.append(f'<text x="{x + 6:.1f}" y="{y - 6:.1f}">{row["recall"]:g}</text>')
    out.append(f'<text x="{left + width / 2}" y="{top + height + 42}" text-anchor="middle">recall of {report.k}, measured</text>')
    out.append(f'<text transform="translate(16 {top + height / 2}) rotate(-90)" text-anchor="middle">queries a second, one thread</text>')
    return "\n".join([*out, "</svg>", ""])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


# ---- measuring


class _Asking:
    """The queries, and how they are asked."""

    def __init__(self, table: Table, column: str, dim: int, block: bytearray, own: list[int] | None, k: int) -> None:
        self.table = table
        self.column = column
        self.dim = dim
        self.block = memoryview(block)
        self.own = own  # row ids of the queries, where they are rows
        self.k = k
        self.count = len(block) // (4 * dim)

    def ask(self, begin: int, end: int, recall: float) -> tuple[list[Answer], dict[str, Any]]:
        """Answer queries [begin, end), each without its own row, and say what that took."""
        made = VectorQuery()
        part = self.block[begin * 4 * self.dim : end * 4 * self.dim]
        made.set_vectors(self.table._table, part.cast("f", (end - begin, self.dim)))
        made._column = self.column
        made.limit(self.k).recall(recall).select([]).with_row_id()
        columns = {column[0]: column[4] for column in _core.stream_columns(_core.search_stream(made))}
        ids, distances = array("Q", bytes(columns["_rowid"])), array("f", bytes(columns["_distance"]))
        of = array("i", bytes(columns["query_index"])) if "query_index" in columns else [0] * len(ids)
        answers: list[Answer] = [[] for _ in range(begin, end)]
        for query, row_id, distance in zip(of, ids, distances):
            answers[query].append((row_id, distance))
        if self.own is not None:
            answers = [_without(own, answer, self.k - 1) for own, answer in zip(self.own[begin:end], answers)]
        return answers, made.stats or {}

    def speed(self, recall: float) -> float:
        """Queries a second, one thread, one by one."""
        nearest = self.table.searcher(k=self.k, vector_column_name=self.column, recall=recall)
        row_bytes = 4 * self.dim
        vectors = [self.block[i * row_bytes : (i + 1) * row_bytes].cast("f") for i in range(self.count)]
        nearest(vectors[0])
        best = spent = 0.0
        while spent < LEAST_SECONDS:
            begin = now = perf_counter()
            done = 0
            for vector in vectors:
                nearest(vector)
                done += 1
                now = perf_counter()
                if now - begin > ROUND_SECONDS:
                    break
            best = max(best, done / (now - begin))
            spent += now - begin
        return best


def _without(own: int, answer: Answer, count: int) -> Answer:
    return [hit for hit in answer if hit[0] != own][:count]


def _share_found(truth: Answer, found: Answer) -> float:
    if not truth:
        return 1.0
    ids, farthest = {row_id for row_id, _ in truth}, truth[-1][1]
    hits = sum(row_id in ids or distance <= farthest for row_id, distance in found)
    return min(hits, len(truth)) / len(truth)


def _rows(table: Table, column: str, dim: int, sample: int, seed: int) -> tuple[bytearray, list[int]]:
    """Choose rows that have a vector: their vectors and ids."""
    core, chance = table._table, random.Random(seed)
    count = core.count()
    newest = _core.stream_rows(core.scan((), count - 1, 1, True)) if count else []
    found: dict[int, list[float]] = {}
    for _ in range(8):  # ids of rows that are gone, and rows without a vector, are passed over
        every = range(newest[0]["_rowid"] + 1 if newest else 0)
        chosen = chance.sample(every, min(sample, len(every)))
        for row in _core.stream_rows(core.take(sorted(chosen), (column,), True)) if chosen else ():
            if row[column] is not None:
                found[row["_rowid"]] = row[column]
        if len(found) >= min(sample, count):
            break
    ids = list(found)[:sample]
    if not ids:
        raise InvalidError("the table has no rows with a vector to measure with")
    return _core.floats([found[row_id] for row_id in ids], dim), ids


def _chosen(block: bytearray, row_bytes: int, sample: int, seed: int) -> bytearray:
    count = len(block) // row_bytes
    if count <= sample:
        return block
    chosen = sorted(random.Random(seed).sample(range(count), sample))
    return bytearray(b"".join(block[i * row_bytes : (i + 1) * row_bytes] for i in chosen))


def _index_of(table: Table, column: str) -> str | None:
    newest = max((info for info in table._table.indexes() if info["column"] == column), key=lambda info: info["created_us"], default=None)
    return f"{newest['type']} {newest['name']}" if newest else None


def measure(
    table: Table,
    queries: Any,
    k: int,
    recalls: Iterable[float],
    sample: int,
    seed: int,
    column: str | None,
    callback: Callback,
) -> RecallReport:
    """Do the work of ``table.measure_recall()``."""
    k, sample = natural("k", k, 1), natural("sample", sample, 1)
    wanted = [(share(recall), float(recall)) for recall in recalls]
    dim = table._dimension(column)
    columns = table._vector_columns()
    named = column or ("vector" if "vector" in columns else columns[0])
    if queries is None:
        block, own = _rows(table, named, dim, sample, seed)
        k = max(k, 2)
    else:
        block, own = _chosen(inputs.matrix("queries", queries, dim, named), 4 * dim, sample, seed), None
    asking = _Asking(table, named, dim, block, own, k)
    report = RecallReport(k, asking.count, "queries" if own is None else "rows", _index_of(table, named))

    def tell(stage: str, done: int, total: int) -> None:
        if callback is not None and callback(stage, done, total) is False:
            raise CancelledError("measuring was stopped")

    truth: list[Answer] = []
    for begin in range(0, asking.count, AT_ONCE):
        tell("exact", begin, asking.count)
        truth += asking.ask(begin, min(begin + AT_ONCE, asking.count), 1.0)[0]
    report.exact_queries_per_second = asking.speed(1.0)
    for at, (recall, shown) in enumerate(wanted):
        tell("recall", at, len(wanted))
        answers, stats = asking.ask(0, asking.count, recall)
        shares = [_share_found(*both) for both in zip(truth, answers)]
        report.rows.append(_row(shown, shares, stats, asking.speed(recall)))
    tell("recall", len(wanted), len(wanted))
    return report


def _row(recall: float, shares: list[float], stats: dict[str, Any], speed: float) -> dict[str, Any]:
    count = len(shares)
    mean = math.fsum(shares) / count
    spread = math.fsum((one - mean) ** 2 for one in shares) / max(count - 1, 1)
    return {
        "recall": recall,
        "measured": mean,
        "standard_error": math.sqrt(spread / count),
        "expected": stats["expected_recall"],
        "queries_per_second": speed,
        "lists": stats["lists"] / count,
        "codes": stats["codes"] / count,
    }
