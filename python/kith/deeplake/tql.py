"""TQL, the part that users of a vector store write, read into a query of Kith.

    select [* | names | metric(...) [as name]], ... [from "path"] [where condition]
        [order by metric(...) | name [asc | desc]] [limit n [offset n]]

or ``select names from (query) [where ...] [order by ...] [limit ...]``, in which Deep Lake itself writes searches, and its
users give a score a name in one query and an order in the other. What is said outside is said of the same rows.

The metrics are ``cosine_similarity(e, ARRAY[...])``, ``dot_product(e, ARRAY[...])``, ``l2_norm(e - ARRAY[...])``,
``l1_norm(e - ARRAY[...])`` and ``linf_norm(e - ARRAY[...])``. A condition compares tensors and members of JSON
(``metadata['source'] == 'a.txt'``), by ``= == != <> < <= > >= in like between is null contains(x, 'part')``, with ``and``,
``or``, ``not`` and parentheses.

The text is read to the end by the grammar above, and what is read becomes expressions of `kith.expr`, values as values; no
text is ever handed on. A query that is nearest first goes through the same search as `VectorStore.search`; without a
direction an order rises, as in SQL, which for a similarity means the farthest first, and that is scanned.
"""

from __future__ import annotations

import re

import numpy as np

from ..expr import Expr, col
from . import _dataset, _filters, _search, _tensors
from .util.exceptions import DeepLakeError, TensorDoesNotExistError

TYPE_CHECKING = False  # typing costs more to import than all of Kith
if TYPE_CHECKING:
    from typing import Any, NoReturn, Sequence

    from ._tensors import Info


class TQLError(DeepLakeError, ValueError):
    """A query that cannot be read; the message shows the place."""


_token = re.compile(
    r"""\s*(?:
      (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<text>'(?:[^'\\]|''|\\.)*'|"(?:[^"\\]|""|\\.)*")
    | (?P<name>[A-Za-z_]\w*)
    | (?P<sign>==|!=|<>|<=|>=|[=<>(),\[\]*;-])
    )""",
    re.VERBOSE | re.ASCII,
)
_functions = {
    "cosine_similarity": ("COS", ","), "dot_product": ("DOT", ","), "inner_product": ("DOT", ","),
    "l2_norm": ("L2", "-"), "l1_norm": ("L1", "-"), "linf_norm": ("MAX", "-"),
}  # fmt: skip
_words = frozenset("select from where order by limit offset and or not in like between is as asc desc null".split())
MOST_BYTES = 4 << 20
MOST_ROWS = 1 << 62  # that a limit or an offset may name
MOST_DEEP = 50


class _Metric:
    """``metric(tensor, ARRAY[...])``."""

    def __init__(self, metric: str, tensor: str, vector: np.ndarray) -> None:
        self.metric = metric
        self.tensor = tensor
        self.vector = vector

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Metric)
            and (self.metric, self.tensor) == (other.metric, other.tensor)
            and np.array_equal(self.vector, other.vector)
        )

    __hash__ = None  # type: ignore[assignment]


class Query:
    """A query as it was read."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.has_star = False
        self.scores: dict[str, _Metric] = {}  # what is selected by a name: its metric
        self.path: str | None = None
        self.where: Expr | None = None
        self.order: _Metric | str | None = None
        self.descending = False
        self.limit: int | None = None
        self.offset = 0


class _Reader:
    """The grammar, a method for each of its rules."""

    def __init__(self, text: str, infos: dict[str, Info] | None) -> None:
        if len(text) > MOST_BYTES:
            raise TQLError(f"a query of {len(text)} characters is longer than {MOST_BYTES}")
        self.text = text
        self.infos = infos
        self.at = 0
        self.depth = 0
        self.kind = ""
        self.word: Any = ""
        self.start = 0
        self.next()

    # ---- words

    def next(self) -> None:
        found = _token.match(self.text, self.at)
        if not found:
            rest = self.text[self.at :].strip()
            if rest:
                self.start = self.at
                self.fail("there is something that is no word of TQL")
            self.kind, self.word, self.start = "end", "", len(self.text)
            return
        self.kind = found.lastgroup or ""
        self.word = found[self.kind]
        self.start, self.at = found.start(self.kind), found.end()

    def fail(self, what: str) -> NoReturn:
        near = self.text[max(self.start - 20, 0) : self.start + 20].replace("\n", " ")
        raise TQLError(f"{what}, at character {self.start + 1} of the query: ...{near}...")

    def is_word(self, *words: str) -> bool:
        return self.kind == "name" and self.word.lower() in words

    def take(self, *words: str) -> bool:
        """Pass over a word or a sign, where it is there."""
        there = self.is_word(*words) or (self.kind == "sign" and self.word in words)
        if there:
            self.next()
        return there

    def want(self, word: str) -> None:
        if not self.take(word):
            self.fail(f"{word!r} is expected")

    def number(self) -> Any:
        if self.kind != "number":
            self.fail("a number is expected")
        word = self.word
        self.next()
        return float(word) if any(sign in word for sign in ".eE") else int(word)

    def string(self) -> str:
        if self.kind != "text":
            self.fail("a text in quotes is expected")
        quote, inner = self.word[0], self.word[1:-1]
        self.next()
        return re.sub(r"\\(.)", r"\1", inner.replace(quote * 2, quote))

    def name(self) -> str:
        if self.kind != "name" or self.word.lower() in _words:
            self.fail("a name is expected")
        word = self.word
        self.next()
        return word

    def tensor(self) -> Info:
        start, word = self.start, self.name()
        if self.infos is not None and word not in self.infos:
            self.start = start
            raise TensorDoesNotExistError(word)
        return self.infos[word] if self.infos is not None else _tensors.Info(word, "text", None)

    # ---- the query

    def query(self) -> Query:
        made = self.body()
        self.check_scores(made)
        self.take(";")
        if self.kind != "end" and self.infos is not None:
            self.fail("the end of the query is expected")
        return made

    def outer(self, outer: Query) -> Query:
        """``select names, score from (query)``: the query, with other things selected."""
        self.depth += 1
        if self.depth > 1:
            self.fail("queries in queries are read one deep")
        inner = self.body()
        if self.infos is None:
            return inner
        self.want(")")
        self.depth -= 1
        self.narrowed(inner)
        if outer.scores:
            self.fail("a score is worked out where the order is, in the inner query")
        if not outer.has_star and "score" not in outer.names:
            inner.scores = {}
        for name in outer.names:
            if name != "score" and name not in inner.names:
                self.fail(f"the inner query does not select '{name}'")
        inner.names = [name for name in outer.names if name != "score" or not inner.scores]
        return inner

    def narrowed(self, inner: Query) -> None:
        """What stands behind a query in parentheses, where that has not said it itself."""
        taken = inner.limit is not None or inner.offset > 0
        if self.is_word("where"):
            if taken:
                self.fail("the inner query has a limit, so that the condition belongs into it")
            self.next()
            found = self.either()
            inner.where = found if inner.where is None else inner.where & found
        if self.is_word("order"):
            if taken or inner.order is not None:
                self.fail("the inner query has an order or a limit already")
            self.ordered(inner)
        if self.is_word("limit", "offset"):
            if taken:
                self.fail("the inner query has a limit already")
            self.limited(inner)

    def body(self) -> Query:
        made = Query()
        self.want("select")
        self.selected(made)
        while self.take(","):
            self.selected(made)
        if self.take("from"):
            if self.take("("):
                return self.outer(made)
            made.path = self.string() if self.kind == "text" else self.name()
        if self.infos is None:  # only the path was asked for
            return made
        if self.take("where"):
            made.where = self.either()
        self.ordered(made)
        self.limited(made)
        return made

    def limited(self, made: Query) -> None:
        if self.take("limit"):
            made.limit = self.natural()
        if self.take("offset"):
            made.offset = self.natural()

    def natural(self) -> int:
        value = self.number()
        if not isinstance(value, int) or not 0 <= value <= MOST_ROWS:
            self.fail(f"a whole number from 0 to {MOST_ROWS} is expected before this")
        return value

    def selected(self, made: Query) -> None:
        if self.take("*"):
            made.has_star = True
            made.names.extend(name for name in self.infos or () if name not in made.names)
            return
        if self.is_word(*_functions):
            metric = self.metric()
            made.scores[self.name() if self.take("as") else "score"] = metric
            return
        if self.is_word("score"):
            self.next()
            made.names.append("score")
            return
        name = self.tensor().name
        if name not in made.names:
            made.names.append(name)

    def metric(self) -> _Metric:
        metric, between = _functions[self.word.lower()]
        self.next()
        self.want("(")
        info = self.tensor()
        if self.infos is not None and not info.is_embedding:
            self.fail(f"tensor '{info.name}' holds no embeddings")
        if between == "-" and self.kind == "number" and self.word[0] == "-":
            self.fail("'-' and ARRAY[...] are expected")
        self.want(between)
        vector = self.array()
        self.want(")")
        return _Metric(metric, info.name, vector)

    def array(self) -> np.ndarray:
        self.want("array")
        self.want("[")
        numbers = [self.number()]
        while self.take(","):
            numbers.append(self.number())
        self.want("]")
        return np.array(numbers, dtype=np.float32)

    def ordered(self, made: Query) -> None:
        if self.take("order"):
            self.want("by")
            if self.is_word(*_functions):
                made.order = self.metric()
            elif self.kind == "name" and self.word in made.scores:
                made.order = made.scores[self.name()]
            else:
                info = self.tensor()
                if info.is_embedding or info.htype == "json":
                    self.fail(f"tensor '{info.name}' is of htype {info.htype}, which has no order")
                made.order = info.name
            made.descending = self.take("desc")
            if not made.descending:
                self.take("asc")

    def check_scores(self, made: Query) -> None:
        for name, metric in made.scores.items():
            if metric != made.order:
                self.fail(f"the score '{name}' is not what the query is ordered by")

    # ---- conditions

    def either(self) -> Expr:
        self.depth += 1
        if self.depth > MOST_DEEP:
            self.fail(f"conditions are deeper than {MOST_DEEP}")
        found = self.every()
        while self.take("or"):
            found = found | self.every()
        self.depth -= 1
        return found

    def every(self) -> Expr:
        found = self.one()
        while self.take("and"):
            found = found & self.one()
        return found

    def one(self) -> Expr:
        turned = False
        while self.take("not"):
            turned = not turned
        if self.take("("):
            found = self.either()
            self.want(")")
        elif self.is_word("contains"):
            found = self.contains()
        else:
            found = self.comparison()
        return ~found if turned else found

    def contains(self) -> Expr:
        self.next()
        self.want("(")
        subject = self.subject()
        self.want(",")
        found = subject.value.contains(self.literal())
        self.want(")")
        return found

    def subject(self) -> _Subject:
        info = self.tensor()
        keys: list[str] = []
        while self.take("["):
            if info.htype != "json":
                self.fail(f"tensor '{info.name}' is no JSON, whose members are asked for in []")
            keys.append(self.string())
            self.want("]")
        if info.is_embedding:
            self.fail(f"tensor '{info.name}' holds embeddings, which are not compared")
        return _Subject(self, info, keys)

    def literal(self) -> Any:
        if self.kind == "number":
            return self.number()
        if self.take("true"):
            return True
        if self.take("false"):
            return False
        if self.take("null"):
            return None
        return self.string()

    def comparison(self) -> Expr:
        subject = self.subject()
        if self.take("is"):
            turned = self.take("not")
            self.want("null")
            return subject.value.is_not_null() if turned else subject.value.is_null()
        turned = self.take("not")
        found = self.tested(subject, turned)
        return ~found if turned else found

    def tested(self, subject: _Subject, turned: bool) -> Expr:
        if self.take("in"):
            self.want("(")
            found = subject.equal(self.literal())
            while self.take(","):
                found = found | subject.equal(self.literal())
            self.want(")")
            return found
        if self.take("like"):
            return subject.value.like(self.string())
        if self.take("between"):
            low = self.literal()
            self.want("and")
            return subject.value.between(low, self.literal())
        sign = self.word
        if turned or self.kind != "sign" or sign not in _comparisons:
            self.fail("a comparison is expected")
        self.next()
        return _comparisons[sign](subject, self.literal())


class _Subject:
    """What is compared: a tensor, or a member of a JSON tensor."""

    def __init__(self, reader: _Reader, info: Info, keys: list[str]) -> None:
        self.info = info
        self.keys = keys
        for key in keys:
            if '"' in key or "\\" in key:
                reader.fail(f"the key {key!r} has a sign that a path cannot have; a dict as filter can say it")
        path = ".".join(f'"{key}"' for key in keys)
        self.value = col(info.name).json(path) if keys else col(info.name)

    def equal(self, value: Any) -> Expr:
        if len(self.keys) == 1:  # found by the index over members
            found = _filters.member_is(self.info.name, self.keys[0], value)
            assert found is not None  # literals are neither lists nor objects
            return found
        return self.value.is_null() if value is None else self.value == value

    def unequal(self, value: Any) -> Expr:
        return self.value.is_not_null() & ~self.equal(value)


_comparisons: dict[str, Any] = {
    "==": _Subject.equal,
    "=": _Subject.equal,
    "!=": _Subject.unequal,
    "<>": _Subject.unequal,
    "<": lambda subject, value: subject.value < value,
    "<=": lambda subject, value: subject.value <= value,
    ">": lambda subject, value: subject.value > value,
    ">=": lambda subject, value: subject.value >= value,
}


# ---- running


class Answer:
    """The rows of a query: ids in its order, and scores where it has any."""

    def __init__(self, query: Query, ids: list[int], scores: list[float] | None) -> None:
        self.query = query
        self.ids = ids
        self.scores = scores

    def view(self, dataset: _dataset.Dataset) -> _dataset.View:
        """Give the rows as a view."""
        made = _dataset.View(dataset, self.ids)
        made.scores = self.scores
        return made

    def values(self, dataset: _dataset.Dataset) -> dict[str, list[Any]]:
        """Give what was selected, as a dict of lists."""
        names = [name for name in self.query.names if name != "score"]
        found = dataset._taken(self.ids, names)
        wanted = [*self.query.scores, *(["score"] if "score" in self.query.names else [])]
        return {**{name: list(self.scores or []) for name in wanted}, **found}


def run(dataset: _dataset.Dataset, text: str) -> Answer:
    """Run a query over a dataset.

    Raises
    ------
    TQLError
        With the place in the text.
    TensorDoesNotExistError
    """
    if not isinstance(text, str):
        raise TQLError(f"a query is a str, not {text!r}")
    query = _Reader(text, dataset._infos).query()
    if isinstance(query.order, _Metric):
        return _nearest(dataset, query, query.order)
    order = None if query.order is None else ((query.order, query.descending, False),)
    where = None if query.where is None else query.where._expr
    stream = dataset._table._table.scan((), query.offset, query.limit, True, where, None, order)
    columns = _search._core.stream_columns(stream)
    return Answer(query, _tensors.numbers_of(columns[0]).tolist() if query.limit != 0 else [], None)


def _nearest(dataset: _dataset.Dataset, query: Query, order: _Metric) -> Answer:
    if not dataset._there(order.tensor):
        return Answer(query, [], [])
    wanted = None if query.limit is None else query.limit + query.offset
    usual = query.descending == (order.metric in _search.SIMILARITIES)
    if usual and wanted is not None:
        found = _search.nearest(
            dataset._table, order.tensor, order.vector[None], wanted, order.metric, query.where, False, ()
        )[0]
    else:
        found = _search.ranked(
            dataset._table, order.tensor, order.vector, wanted, order.metric, query.where, query.descending
        )
    return Answer(query, found.ids[query.offset :].tolist(), found.scores[query.offset :].tolist())


def run_anywhere(text: str) -> _dataset.View:
    """Run a query that names the path of its store."""
    path = _Reader(text, None).query().path
    if path is None:
        raise TQLError('the query does not say from which store: select ... from "path"')
    dataset = _dataset.load(path)
    return run(dataset, text).view(dataset)


# ---- writing, for return_tql


def _quoted(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def _condition(filter: Any) -> str:
    if not isinstance(filter, dict):
        return "<a function>"
    parts: list[str] = []
    for name, wanted in filter.items():
        if isinstance(wanted, dict):
            for key, value in wanted.items():
                if isinstance(value, (dict, list, tuple)):
                    raise TQLError(f"a filter for members that are lists or objects ({key!r}) cannot be told as TQL")
            parts.extend(f"{name}[{_quoted(key)}] == {_quoted(value)}" for key, value in wanted.items())
        elif isinstance(wanted, (list, tuple)):
            parts.append(f"{name} in ({', '.join(map(_quoted, wanted))})")
        else:
            parts.append(f"{name} == {_quoted(wanted)}")
    return " and ".join(parts)


def told(
    names: Sequence[str], tensor: str | None, metric: str | None, vector: Any, filter: Any, limit: int | None
) -> str:
    """Write a search as the TQL that asks for the same, in Deep Lake's own form."""
    inner = "select *"
    ending = "" if filter is None or filter == {} else f" where {_condition(filter)}"
    selected = list(names) or ["*"]
    if metric is not None:
        function, between = next((name, sign) for name, (one, sign) in _functions.items() if one == metric)
        array = ", ".join(map(repr, vector.tolist()))
        call = f"{function.upper()}({tensor}{between if between == '-' else ', '}ARRAY[{array}])"
        inner += f", {call} as score"
        ending += f" order by {call} {'DESC' if metric in _search.SIMILARITIES else 'ASC'}"
        selected.append("score")
    if limit is not None:
        ending += f" limit {limit}"
    return f"select {', '.join(selected)} from ({inner}{ending})"
