"""Random predicates over every kind of column: the rows that Kith finds are those that DuckDB and SQLite find.

A predicate is made of typed parts, each a text for every engine, nearly always the same one. Kith answers it three
times: as a filter, for which rows it is true; as a filter of another table with indexes over its values, from the SQL
that its tree writes; and as a column of an answer, where it is true, false or null. DuckDB sees the same rows through
Arrow and answers fifty predicates in one query; SQLite, which has neither NaN nor decimals, lists or
dates, answers those that do without them.

What is known to differ is not generated, and stands in docs/FILTERS.md under "Differences": the tests at the end
assert it one by one. KITH_LONG=1 takes a million predicates, KITH_SEED another seed.
"""

import datetime as dt
import decimal
import math
import os
import random
import sqlite3
import time

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import kith
from kith import _core

LONG = os.environ.get("KITH_LONG") == "1"
SEED = int(os.environ.get("KITH_SEED", "20261121"))
WANTED = int(os.environ.get("KITH_PREDICATES", "1000000" if LONG else "20000"))
SECONDS = 1e9 if LONG else 60
AT_ONCE = 50

TEXTS = [
    "", "a", "A", "ab", "abc", "ABC", "b", "zz", "it's", "100%", "a_b", "x;y", "--c", "/* d */", " lead", "trail ", "naïve", "Äpfel", "äpfel",
    "straße", "日本語", "👍🏽", "e\u0301", "ΑΣ", "ас", "\\", "%", "_", "NULL", "true", "1", "1.5", "x" * 300, "a\tb", 'say "hi"',
]  # fmt: skip
ASCII = [text for text in TEXTS if text.isascii()]
DAYS = [dt.date(1970, 1, 1), dt.date(1969, 12, 31), dt.date(2024, 2, 29), dt.date(2024, 12, 30), dt.date(1600, 3, 1), dt.date(9999, 12, 31), dt.date(2000, 1, 31)]
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 0.1, 1.5, -2.5, 2.5, 3.25, 100.0, 1e15, -1e15, 1e300, -1e300, 5e-324, float("inf"), float("-inf"), float("nan")]
JSON = ['{"a": {"b": 3}, "n": 1.5, "t": "x"}', '{"a": {"b": "3"}, "l": [1, {"q": null}]}', "{}", "[1, 2]", '"x"', "3", '{"t": "it\'s", "n": -2}', '{"n": null}']
BYTES = [b"", b"\0", b"\0\xff", b"ab", b"abc", b"\xff\xfe", b"it's"]
TIMES = [dt.time(), dt.time(12), dt.time(23, 59, 59, 999999), dt.time(0, 0, 0, 500000), dt.time(6, 30, 15)]
SPANS = [dt.timedelta(), dt.timedelta(days=1), dt.timedelta(hours=36), dt.timedelta(days=-2), dt.timedelta(microseconds=1), dt.timedelta(days=400)]
INTEGERS = {"i8": 8, "i16": 16, "i32": 32, "u8": -8, "u16": -16, "u32": -32}


# ---- the rows


def bounds(bits):
    return (0, 2**-bits - 1) if bits < 0 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def make_rows(rng, count, kind):
    """Rows of one fragment; the kinds differ in what statistics can tell of them."""
    no_nulls, all_null, narrow = kind == "no nulls", kind == "all null", kind == "narrow"

    def some(values):
        if all_null or (not no_nulls and rng.random() < 0.15):
            return None
        return values()

    def integer(bits):
        low, high = bounds(bits)
        return (lambda: max(low, min(high, rng.randint(40, 44)))) if narrow else lambda: rng.choice(
            [low, high, 0, 1, max(low, -1), rng.randint(max(low, -12), 12), rng.randint(max(low, -12), 12), rng.randint(low, high)]
        )

    def day():
        return rng.choice(DAYS) if rng.random() < 0.3 else dt.date(2024, 1, 1) + dt.timedelta(days=rng.randint(-40, 40))

    def moment():
        near = max(day(), dt.date(1700, 1, 1))
        near = min(near, dt.date(2200, 1, 1))  # what nanoseconds reach
        return dt.datetime.combine(near, dt.time()) + dt.timedelta(microseconds=rng.choice([0, 0, 43_200_000_000, 1, 86_399_999_999, 500_000]))

    def money():
        return decimal.Decimal(rng.choice([0, 10, 110, -110, 99_999_999_99, -99_999_999_99, rng.randint(-500, 500)])).scaleb(-2)

    def number():
        return float(rng.randint(40, 44)) if narrow else rng.choice(FLOATS) if rng.random() < 0.5 else rng.randint(-40, 40) / 4

    def real():
        value = number()
        return value if abs(value) < 1e16 else 7.75  # nothing that overflows into what SQLite has not

    def short():
        value = number()
        return value if abs(value) < 1e7 or not math.isfinite(value) else 12.5

    def struct():
        return {"a": some(lambda: rng.randint(-3, 12)), "b": some(lambda: rng.choice(TEXTS)), "c": some(lambda: {"d": some(number)})}

    def items(values):
        return lambda: [some(values) for _ in range(rng.randint(0, 4))]

    made = []
    for _ in range(count):
        row = {name: some(integer(bits)) for name, bits in INTEGERS.items()}
        row |= {
            "k": some(lambda: rng.randint(-20, 20)),
            "i64": some(lambda: rng.choice([2**63 - 1, -(2**63), 2**53 + 1, -(2**53) - 1, 0, rng.randint(-5, 5)])),
            "u64": some(lambda: rng.choice([2**64 - 1, 2**63, 2**53 + 1, 0, rng.randint(0, 5)])),
            "f16": some(lambda: rng.choice([0.0, -0.0, 1.0, 0.5, -2.5, 65504.0, float("inf"), float("nan"), rng.randint(-40, 40) / 4])),
            "f32": some(short), "f64": some(number), "r": some(real), "b": some(lambda: rng.random() < 0.5), "b2": some(lambda: rng.random() < 0.9),
            "t": some(lambda: rng.choice(TEXTS)), "t2": some(lambda: rng.choice(TEXTS)), "ta": some(lambda: rng.choice(ASCII)),
            "td": some(lambda: rng.choice(["red", "green", "blue", "", "grün"])), "d": some(day), "ts": some(moment), "ts2": some(moment),
            "tz": some(moment), "dec": some(money), "l": some(items(lambda: rng.randint(-2, 6))), "lt": some(items(lambda: rng.choice(TEXTS[:8]))),
            "s": some(struct), "j": some(lambda: rng.choice(JSON)), "lf": some(items(number)), "y": some(lambda: rng.choice(BYTES)),
            "y2": some(lambda: rng.choice([b"ab", b"\0\xff", b"zz"])), "tm": some(lambda: rng.choice(TIMES)), "du": some(lambda: rng.choice(SPANS)),
            "tn": some(moment), "ds": some(lambda: moment().replace(microsecond=0)), "d64": some(day),
        }  # fmt: skip
        made.append(row)
    return made


SCHEMA = pa.schema([
    ("i8", pa.int8()), ("i16", pa.int16()), ("i32", pa.int32()), ("u8", pa.uint8()), ("u16", pa.uint16()), ("u32", pa.uint32()), ("k", pa.int64()),
    ("i64", pa.int64()), ("u64", pa.uint64()), ("f16", pa.float16()), ("f32", pa.float32()), ("f64", pa.float64()), ("r", pa.float64()),
    ("b", pa.bool_()), ("b2", pa.bool_()), ("t", pa.string()), ("t2", pa.string()), ("ta", pa.string()), ("td", pa.dictionary(pa.int16(), pa.string())),
    ("d", pa.date32()), ("ts", pa.timestamp("us")), ("ts2", pa.timestamp("us")), ("tz", pa.timestamp("us", "UTC")), ("dec", pa.decimal128(10, 2)),
    ("l", pa.list_(pa.int32())), ("lt", pa.list_(pa.string())),
    ("s", pa.struct([("a", pa.int32()), ("b", pa.string()), ("c", pa.struct([("d", pa.float64())]))])), ("j", pa.string()),
    ("lf", pa.list_(pa.float64())), ("y", pa.binary()), ("y2", pa.binary(2)), ("tm", pa.time64("us")), ("du", pa.duration("us")), ("tn", pa.timestamp("ns")),
    ("ds", pa.timestamp("s")), ("d64", pa.date64()),
])  # fmt: skip
LITE = [name for name in SCHEMA.names if name in (*INTEGERS, "k", "i64", "r", "b", "b2", "t", "t2", "ta", "td", "d", "j", "y", "y2")]
FRAGMENTS = [(260, ""), (129, "no nulls"), (64, "all null"), (70, "narrow"), (1, ""), (63, "no nulls"), (65, "")]


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    print("seed", SEED)
    return make_engines(kith.connect(tmp_path_factory.mktemp("db")))


def make_engines(database):
    rng = random.Random(SEED)
    table, indexed = (database.create_table(name, schema=SCHEMA) for name in ("plain", "indexed"))
    for i, (count, kind) in enumerate(FRAGMENTS):
        rows = pa.Table.from_pylist(make_rows(rng, count, kind), schema=SCHEMA)
        table.add(rows)
        indexed.add(rows)
        if i == 3:  # rows that come later are not in the indexes
            for j, field in enumerate(SCHEMA):
                if not pa.types.is_struct(field.type):
                    indexed.create_scalar_index(field.name, "LABEL_LIST" if pa.types.is_list(field.type) else "BITMAP" if j % 2 else "BTREE")
    return Engines(table, indexed)


class Engines:
    def __init__(self, table, indexed):
        self.table = table
        self.indexed = indexed
        self.rows = table.to_arrow()
        self.count = len(self.rows)
        self.duck = duckdb.connect(config={"threads": 1})
        for setting in ("error_on_division_by_zero = false", "ieee_floating_point_ops = false", "integer_division = true", "TimeZone = 'UTC'"):
            self.duck.execute(f"SET {setting}")
        arrow = self.rows  # noqa: F841
        # DuckDB computes in a column's own width; Kith in 64 bits. It has no float16.
        wide = ", ".join(f"{name}::bigint AS {name}" for name in INTEGERS)
        self.duck.register("arrow", arrow.set_column(arrow.column_names.index("f16"), "f16", arrow["f16"].cast(pa.float32())))
        self.duck.execute(f"CREATE TABLE t AS SELECT * REPLACE ({wide}), row_number() OVER () - 1 AS row FROM arrow")
        self.lite = sqlite3.connect(":memory:")
        self.lite.execute("PRAGMA case_sensitive_like = ON")
        self.lite.execute(f"CREATE TABLE t (row INTEGER PRIMARY KEY, {', '.join(LITE)})")
        cells = [self.rows[name].to_pylist() for name in LITE]
        cells = [[str(value) if isinstance(value, dt.date) else value for value in column] for column in cells]
        marks = ", ".join("?" * (len(LITE) + 1))
        self.lite.executemany(f"INSERT INTO t VALUES ({marks})", [(i, *row) for i, row in enumerate(zip(*cells))])

    def duck_says(self, texts):
        """Each predicate's truth for each row: 1, 0, and 2 for null; or the error."""
        try:
            named = ", ".join(f"({text}) AS p{i}" for i, text in enumerate(texts))
            found = self.duck.execute(f"SELECT {named} FROM t ORDER BY row").fetchnumpy()
            return [truths(found[f"p{i}"]) for i in range(len(texts))]
        except duckdb.Error as error:
            if len(texts) == 1:
                return [error]
            half = len(texts) // 2
            return self.duck_says(texts[:half]) + self.duck_says(texts[half:])

    def lite_says(self, texts):
        try:
            found = self.lite.execute(f"SELECT {', '.join(f'({text})' for text in texts)} FROM t ORDER BY row").fetchall()
        except sqlite3.Error as error:
            return [error] if len(texts) == 1 else [self.lite_says([text])[0] for text in texts]
        return [np.array([2 if value is None else int(value != 0) for value in column], "u1") for column in zip(*found)]

    def kith_says(self, text, table=None):
        """The rows that the filter admits, as 0 and 1."""
        try:
            columns = _core.stream_columns((table or self.table)._table.scan(("_rowid",), 0, None, False, text))
        except kith.KithError as error:
            return error
        admitted = np.zeros(self.count, "u1")
        admitted[np.frombuffer(columns[0][4], "u8")] = 1
        return admitted

    def kith_shows(self, texts):
        names = [f"p{i}" for i in range(len(texts))]
        try:
            found = self.table.search().select(dict(zip(names, texts))).to_arrow()
        except kith.KithError as error:
            return [error] if len(texts) == 1 else [self.kith_shows([text])[0] for text in texts]
        return [three_valued(found[name].combine_chunks()) for name in names]


def three_valued(column):
    if pa.types.is_null(column.type):
        return np.full(len(column), 2, "u1")
    return np.where(column.is_null().to_numpy(zero_copy_only=False), 2, column.fill_null(False).to_numpy(zero_copy_only=False)).astype("u1")


def truths(column):
    if isinstance(column, np.ma.MaskedArray):
        return np.where(np.ma.getmaskarray(column), 2, column.filled(False).astype(bool)).astype("u1")
    return column.astype(bool).astype("u1")


# ---- the predicates


class Part:
    """A piece of SQL for Kith and DuckDB, and for SQLite where it can be said there."""

    __slots__ = ("kith", "duck", "lite")

    def __init__(self, kith, duck=None, lite=None):
        self.kith = kith
        self.duck = kith if duck is None else duck
        self.lite = lite


def same(text):
    return Part(text, text, text)


def put(template, *parts, lite=True):
    """A text with @ for each part, for all engines that can say every part."""
    pieces = template.split("@")
    assert len(pieces) == len(parts) + 1, template

    def filled(texts):
        return pieces[0] + "".join(text + piece for text, piece in zip(texts, pieces[1:]))

    there = lite and all(part.lite is not None for part in parts)
    return Part(filled([part.kith for part in parts]), filled([part.duck for part in parts]), filled([part.lite for part in parts]) if there else None)


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


class Maker:
    """Makes predicates. A part of type "int" and so on never overflows, so that no engine has to fail."""

    def __init__(self, seed):
        self.rng = random.Random(seed)

    def one(self, *choices):
        return self.rng.choice(choices)()

    def column(self, *names):
        name = self.rng.choice(names)
        return Part(name, name, name if name in LITE else None)

    # ---- values written down

    def int_literal(self):
        rng = self.rng
        value = rng.choice([0, 1, -1, 2, 3, 5, 41, 42, 127, -128, 255, 32767, 65535, -32768, rng.randint(-15, 15), rng.randint(-300, 300)])
        return same(f"({value})" if value < 0 else str(value))

    def big_literal(self):
        value = self.rng.choice([2**63 - 1, -(2**63), 2**53, 2**53 + 1, 2**31, -(2**31), 2**32, 0, 3, -5])
        return same(f"({value})" if value < 0 else str(value))

    def float_literal(self):
        rng = self.rng
        value = rng.choice([0.0, 0.5, 0.1, 1.5, -2.5, 2.5, 3.25, 100.0, 42.0, 12.5, rng.randint(-80, 80) / 8])
        return same(f"({value!r})" if value < 0 else repr(value))

    def wild_float_literal(self):
        text = self.rng.choice(["1e300", "(-1e300)", "1e15", "5e-324", "'inf'::double", "'-inf'::double", "'nan'::double"])
        return Part(text, text, text if "'" not in text else None)

    def text_literal(self, pool=TEXTS):
        return same(quoted(self.rng.choice(pool)))

    def decimal_literal(self):
        return Part(self.rng.choice(["decimal '1.10'", "decimal '-1.10'", "decimal '0.00'", "decimal '2.5'", "1.10", "0.1", "99999999.99", "3", "(-2)"]))

    def day(self):
        return str(self.rng.choice(DAYS) if self.rng.random() < 0.3 else dt.date(2024, 1, 1) + dt.timedelta(days=self.rng.randint(-45, 45)))

    def bytes_literal(self):
        value = self.rng.choice(BYTES).hex()
        return Part(f"X'{value}'", f"from_hex('{value}')", f"X'{value}'")

    def time_literal(self):
        text = quoted(str(self.rng.choice(TIMES)))
        return Part(f"time {text}" if self.rng.random() < 0.5 else text)

    def bytes_length(self):
        name = self.rng.choice(["y", "y2"])
        return Part(f"length({name})", f"octet_length({name})", f"length({name})")

    def near_moment(self):  # nanoseconds reach from 1677 to 2262
        return Part(quoted(f"{dt.date(2024, 1, 1) + dt.timedelta(days=self.rng.randint(-45, 45))} {self.rng.choice(['00:00:00', '12:00:00', '00:00:00.000001'])}"))

    def number_as_text(self):
        return Part(quoted(str(self.rng.choice([0, 1, -1, 42, 127, -128]))))

    def date_literal(self):
        text = quoted(self.day())
        typed = f"date {text}" if self.rng.random() < 0.5 else text
        return Part(typed, typed, text)

    def moment_literal(self):
        text = quoted(f"{self.day()} {self.rng.choice(['00:00:00', '12:00:00', '00:00:00.5', '23:59:59.999999', '00:00:00.000001'])}")
        return Part(f"timestamp {text}" if self.rng.random() < 0.5 else text)

    # ---- values of a type, never more than some thousands deep in numbers

    def int_(self, depth):
        columns = ("i8", "i16", "u8", "u16", "k")
        leaf = [lambda: self.column(*columns), lambda: self.column(*columns), self.int_literal, lambda: same("NULL::bigint") if self.rng.random() < 0.1 else self.int_literal()]
        if depth <= 0:
            return self.no_null_cast(self.one(*leaf))
        deeper = depth - 1
        return self.no_null_cast(self.one(
            *leaf, lambda: put("(s.a)", lite=False), lambda: put(f"(@ {self.rng.choice('+-')} @)", self.int_(deeper), self.int_(deeper)),
            lambda: put("(@ + @ * @ - @)", self.int_(0), self.int_(0), self.int_literal(), self.int_(0)),
            lambda: put(f"(@ {self.rng.choice('/%')} @)", self.int_(deeper), self.int_(0)), lambda: put("(- @)", self.int_(0)),
            lambda: put("abs(@)", self.int_(deeper)), lambda: put("length(@)", self.text(deeper)), lambda: self.choice(self.int_, deeper),
            lambda: put(f"date_part('{self.rng.choice(['year', 'month', 'day', 'quarter', 'week', 'dow', 'isodow', 'doy'])}', @)", self.column("d", "ts", "tz"), lite=False),
            lambda: put(f"date_part('{self.rng.choice(['hour', 'minute', 'second', 'millisecond', 'microsecond'])}', @)", self.column("ts", "tz"), lite=False),
            lambda: put("(d - @)", Part(f"date '{self.day()}'"), lite=False), lambda: put("array_length(@)", self.column("l", "lt"), lite=False),
            lambda: put(f"l[{self.rng.choice([1, 2, -1, 5])}]", lite=False), lambda: put("(@)::bigint", self.bool_(0), lite=False),
            lambda: self.bytes_length(), lambda: put("array_length(@)", self.column("lf"), lite=False),
        ))  # fmt: skip

    def no_null_cast(self, part):
        return Part(part.kith, part.duck, None if part.lite is None else part.lite.replace("NULL::bigint", "NULL"))

    def float_(self, depth):
        leaf = [lambda: self.column("f64", "r", "r"), lambda: self.column("r"), lambda: self.float_e()]
        if depth <= 0:
            return self.one(*leaf)
        deeper = depth - 1
        return self.one(
            *leaf, lambda: put("(s.c.d)", lite=False), lambda: put("(f32::double)", lite=False), lambda: put(f"(@ {self.rng.choice('+-*')} @)", self.float_(deeper), self.float_(0)),
            lambda: put("(@ / @)", self.float_(deeper), self.float_e()), lambda: put("(@ * @)", self.column("k", "i16"), self.float_e()),
            lambda: put("(@ * @)", self.column("dec"), self.float_e(), lite=False), lambda: put("(@::double)", self.column("dec", "k", "i32", "f16"), lite=False), lambda: put(f"lf[{self.rng.choice([1, 2, -1])}]", lite=False),
            lambda: put("abs(@)", self.float_(deeper)), lambda: put(f"{self.rng.choice(['floor', 'ceil', 'round'])}(@)", self.float_(deeper), lite=False),
            lambda: self.choice(self.float_, deeper), lambda: put("(- @)", self.float_(0)),
        )  # fmt: skip

    def float_e(self):
        return same(self.rng.choice(["0.5e0", "1.5e0", "2e0", "0e0", "1e0", "3.25e0", "1e2"]))

    def text(self, depth, pool=TEXTS):
        leaf = [lambda: self.column("t", "t2", "ta", "td"), lambda: self.text_literal(pool)]
        if depth <= 0:
            return self.one(*leaf)
        deeper = depth - 1
        return self.one(
            *leaf, lambda: put("(s.b)", lite=False), lambda: put("lower(@)", self.column("ta")), lambda: put("upper(@)", self.column("ta")),
            lambda: put(f"{self.rng.choice(['lower', 'upper'])}(@)", self.text(deeper), lite=False), lambda: put("(@ || @)", self.text(deeper), self.text(0)),
            lambda: put(f"substr(@, {self.rng.randint(1, 4)}, {self.rng.randint(0, 3)})", self.text(deeper)), lambda: put("substr(@, 2)", self.text(deeper)),
            lambda: put(f"{self.rng.choice(['trim', 'ltrim', 'rtrim'])}(@)", self.text(deeper)), lambda: self.choice(self.text, deeper),
            lambda: put(f"(@ ->> {quoted(self.rng.choice(['$.a.b', '$.t', '$.n', '$.l[0]', '$.l[1].q', '$.zz']))})", self.column("j"), lite=False),
            lambda: put(f"lt[{self.rng.choice([1, 2, -1])}]", lite=False), lambda: put("cast(@ as varchar)", self.column("k", "i64", "b", "d"), lite=False),
        )  # fmt: skip

    def decimal_(self, depth):
        leaf = [lambda: self.column("dec"), lambda: self.column("dec"), lambda: Part("decimal '1.10'"), lambda: Part("decimal '-2.5'")]
        if depth <= 0:
            return self.one(*leaf)
        return self.one(
            *leaf, lambda: put(f"(@ {self.rng.choice('+-')} @)", self.decimal_(0), self.decimal_(0)), lambda: put("(@ * @)", self.column("dec"), Part("decimal '2.5'")),
            lambda: put("abs(@)", self.decimal_(0)), lambda: put("(@ + @)", self.column("dec"), Part("3")), lambda: put("(- @)", self.decimal_(0)),
            lambda: put(f"round(@, {self.rng.choice([0, 1, 2])})", self.column("dec")), lambda: put(f"{self.rng.choice(['floor', 'ceil', 'round'])}(@)", self.column("dec")),
            lambda: put(f"(@ % {self.rng.choice(['3', '7'])})", self.column("dec")), lambda: self.choice(self.decimal_, 0),
        )  # fmt: skip

    def date_(self, depth):
        leaf = [lambda: self.column("d"), lambda: Part(f"date '{self.day()}'", lite=None)]
        return self.one(*leaf, *([lambda: put("(d + @)", Part(str(self.rng.randint(0, 40)))), lambda: put("(d - @)", Part(str(self.rng.randint(0, 40))))] if depth > 0 else []))

    def moment(self, depth):
        spans = ["interval '1 day'", "interval '1 month'", "interval '2 hours'", "interval '1 year'", "interval '500 milliseconds'"]
        leaf = [lambda: self.column("ts", "ts2"), lambda: Part(f"timestamp '{self.day()} 12:00:00'")]
        if depth <= 0:
            return self.one(*leaf)
        return self.one(*leaf, lambda: put(f"(ts - {self.rng.choice(spans)})"), lambda: put("cast(d as timestamp)"), lambda: put(f"(ts2 - {self.rng.choice(spans)})"))

    def choice(self, kind, depth):
        """A value of a kind by CASE, coalesce, nullif, greatest or least."""
        return self.one(
            lambda: put("coalesce(@, @)", kind(depth), kind(depth)), lambda: put("nullif(@, @)", kind(depth), kind(0)),
            lambda: put("(CASE WHEN @ THEN @ ELSE @ END)", self.predicate(depth), kind(depth), kind(0)), lambda: put("(CASE WHEN @ THEN @ END)", self.predicate(0), kind(0)),
            lambda: put("(CASE @ WHEN @ THEN @ ELSE @ END)", kind(0), kind(0), kind(depth), kind(0)),
            lambda: put(f"{self.rng.choice(['greatest', 'least'])}(@, @, @)", kind(depth), kind(0), kind(0), lite=False),
        )  # fmt: skip

    # ---- truths

    def operator(self):
        return self.rng.choice(["=", "<>", "!=", "<", "<=", ">", ">=", "==", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"])

    def pair(self, depth):
        """Two things that can be compared."""
        return self.one(
            lambda: (self.int_(depth), self.int_(depth - 1)), lambda: (self.column(*INTEGERS, "k"), self.int_literal()),
            lambda: (self.column("i64", "i32", "u32"), self.big_literal()), lambda: (self.column("u64"), self.one(self.big_literal, lambda: same("18446744073709551615"), self.int_literal)),
            lambda: (self.column("i64"), self.column("u64", "u32", "i8")), lambda: (self.column(*INTEGERS), self.column(*INTEGERS)),
            lambda: (self.column(*INTEGERS, "k"), self.float_literal()), lambda: (self.float_(depth), self.float_(depth - 1)),
            lambda: (self.column("f64", "r"), self.one(self.float_literal, self.wild_float_literal, self.int_literal)), lambda: (self.column("f32", "f16"), self.float_literal()),
            lambda: (self.column("f32", "f16"), self.column("f64", "f32")), lambda: (self.column("k", "i16"), self.column("r", "f64")),
            lambda: (self.text(depth), self.text(depth - 1)), lambda: (self.column("t", "ta", "td", "t2"), self.text_literal()), lambda: (self.column("td"), self.text_literal(["red", "green", "grün", "x"])),
            lambda: (self.column("b", "b2"), self.bool_(depth - 1)), lambda: (self.column("dec"), self.decimal_literal()), lambda: (self.decimal_(depth), self.decimal_(0)),
            lambda: (self.column("dec"), self.column("k", "i32")), lambda: (self.column("d"), self.date_literal()), lambda: (self.date_(depth), self.date_(0)),
            lambda: (self.column("ts", "ts2"), self.moment_literal()), lambda: (self.moment(depth), self.moment(0)), lambda: (self.column("d"), self.column("ts")),
            lambda: (self.column("tz"), Part(f"timestamptz '{self.day()} 12:00:00+00'")), lambda: (Part("s.a"), self.int_literal()), lambda: (Part("s['b']"), self.text_literal()),
            lambda: (self.column("y", "y2"), self.bytes_literal()), lambda: (self.column("y"), self.column("y2", "y")), lambda: (self.column("tm"), self.time_literal()),
            lambda: (self.column("du"), Part(self.rng.choice(["interval '1 day'", "interval '0 days'", "interval '36 hours'", "interval '1 microsecond'"]))),
            lambda: (self.column("tn"), self.near_moment()), lambda: (self.column("ds"), Part(quoted(f"{self.day()} 12:00:00"))), lambda: (self.column("ds", "ts", "ts2"), self.column("ts", "ds", "d64", "d")), lambda: (self.column("tn"), self.column("ts", "tn")),
            lambda: (self.column("d64"), self.date_literal()), lambda: (self.column(*INTEGERS, "k", "r", "dec"), self.number_as_text()), lambda: (self.column("b", "b2"), same(self.rng.choice("01"))),
            lambda: (Part("_rowid", "row", "row"), same(str(self.rng.choice([0, 1, 259, 260, 389, 651, 2000])))), lambda: (self.column("t"), self.column("td", "ta")),
            lambda: (self.column("dec"), self.float_literal()),
            lambda: (Part("(ts - ts2)"), Part(self.rng.choice(["interval '1 day'", "interval '0 days'", "interval '36 hours'"]))),
        )  # fmt: skip

    def comparison(self, depth):
        left, right = self.pair(depth)
        operator = self.operator()
        if self.rng.random() < 0.3:
            left, right = right, left
        lite = operator.replace("IS NOT DISTINCT FROM", "IS").replace("IS DISTINCT FROM", "IS NOT")
        made = put(f"(@ {operator} @)", left, right)
        return Part(made.kith, made.duck, None if made.lite is None else f"({left.lite} {lite} {right.lite})")

    def bool_(self, depth):
        leaf = [lambda: self.column("b", "b2"), lambda: same(self.rng.choice(["TRUE", "FALSE"]))]
        return self.one(*leaf) if depth <= 0 else self.predicate(depth)

    def items(self, literal, columns=()):
        found = [literal() if not columns or self.rng.random() < 0.8 else self.column(*columns) for _ in range(self.rng.choice([1, 2, 3, 5, 12]))]
        if self.rng.random() < 0.15:
            found.append(same("NULL"))
        return found

    def membership(self, depth):
        word = self.rng.choice(["IN", "NOT IN"])
        subject, items = self.one(
            lambda: (self.int_(depth), self.items(self.int_literal, ("k", "i8"))), lambda: (self.column(*INTEGERS, "k"), self.items(self.int_literal)),
            lambda: (self.text(depth), self.items(self.text_literal, ("t2",))), lambda: (self.column("td", "ta"), self.items(lambda: self.text_literal(["red", "blue", "a", "it's"]))),
            lambda: (self.column("r", "f64"), self.items(self.float_literal)), lambda: (self.column("d"), self.items(self.date_literal)), lambda: (self.column("dec"), self.items(self.decimal_literal)),
            lambda: (self.column("u64"), self.items(lambda: same("18446744073709551615"))), lambda: (self.column("y"), self.items(self.bytes_literal)), lambda: (self.column("tm"), self.items(self.time_literal)),
            lambda: (self.column("ts"), self.items(self.moment_literal)), lambda: (self.column("tn"), self.items(self.near_moment)), lambda: (self.column(*INTEGERS, "k"), [same(str(value)) for value in self.rng.sample(range(100), 40)]),
            lambda: (self.column("t", "td"), [same(quoted(text)) for text in self.rng.sample(TEXTS, 20)]), lambda: (Part("_rowid", "row", "row"), [same(str(value)) for value in self.rng.sample(range(800), 30)]),
            lambda: (self.column("f32", "f16"), self.items(self.float_literal)), lambda: (self.column("b"), self.items(lambda: same("TRUE"))),
        )  # fmt: skip
        return put(f"(@ {word} ({', '.join(['@'] * len(items))}))", subject, *items)

    def between(self, depth):
        kind = self.rng.choice([
            (lambda: self.int_(depth), lambda: self.int_(0)), (lambda: self.column(*INTEGERS), self.int_literal), (lambda: self.float_(depth), lambda: self.float_(0)),
            (lambda: self.column("r", "f64", "f32"), self.float_literal), (lambda: self.text(depth), self.text_literal), (lambda: self.column("d"), self.date_literal),
            (lambda: self.column("ts"), self.moment_literal), (lambda: self.column("dec"), self.decimal_literal),
        ])  # fmt: skip
        return put(f"(@ {self.rng.choice(['BETWEEN', 'NOT BETWEEN'])} @ AND @)", kind[0](), kind[1](), kind[1]())

    def like(self, depth):
        rng = self.rng
        pattern = rng.choice(["%", "", "a%", "%a", "%b%", "_", "__", "a_b", "%_%", "%e%", "ä%", "_p%", "%日%", "it's", "100!%", "a!_b", "%!_%", "x%x", "a%c", "%ß%", "A%", "re%", "%e_"])
        escape = " ESCAPE '!'" if "!" in pattern else ""
        word = rng.choice(["LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE"])
        if "ILIKE" in word:
            subject = self.column("ta", "t", "td")
            made = put(f"(@ {word} {quoted(pattern)}{escape})", subject, lite=False)
            ascii_only = subject.lite == "ta" and pattern.isascii()
            made.lite = f"(lower(ta) {word.replace('ILIKE', 'LIKE')} lower({quoted(pattern)}){escape})" if ascii_only else None
            return made
        if self.rng.random() < 0.1:
            return put(f"(@ {word} @)", self.text(depth), self.column("t2", "ta"))
        return put(f"(@ {word} {quoted(pattern)}{escape})", self.text(depth))

    def of_text(self, depth):
        name = self.rng.choice(["starts_with", "ends_with", "contains"])
        return put(f"{name}(@, @)", self.text(depth), self.text_literal() if self.rng.random() < 0.8 else self.column("t2"), lite=False)

    def of_list(self, depth):
        rng = self.rng
        numbers = ", ".join(str(rng.randint(-2, 7)) for _ in range(rng.randint(1, 3)))
        words = ", ".join(quoted(rng.choice(TEXTS[:8])) for _ in range(rng.randint(1, 3)))
        number = rng.choice(["0.0", "1.5", "42", "'nan'::double", "(-2.5)"])
        return put(rng.choice([
            f"array_has(l, {rng.randint(-2, 7)})", f"array_has(lt, {quoted(rng.choice(TEXTS[:8]))})", f"array_has_any(l, [{numbers}])", f"array_has_all(l, [{numbers}])",
            f"array_has_any(lt, [{words}])", f"array_has_all(lt, [{words}])", "(array_length(l) > 1)", "(len(lt) = 0)", "array_has(l, k)", f"array_has(lf, {number})", "array_has(lf, r)", "contains(l, 3)", "array_has_any(l, l)", "array_has_all(lf, [0.0, 1.0])",
            "(s.c IS NULL)", "(y IS NULL)", "array_has(lt, t2)", "(l IS NULL)", "(s IS NOT NULL)",
        ]), lite=False)  # fmt: skip

    def of_pattern(self, depth):
        pattern = self.rng.choice(["a", "^a", "a$", "^a.c$", "[a-c]+$", "^$", "b|z", "(?i)abc", r"\d", r"^\s", "x{300}", "ß", "^.{2}$", "[^a]", "p.el", "(a|b)+c", "a{2,3}", r"\bd\b", r"\w+ \w", "[[:upper:]]", "日本", "^(?:it|a)", "x*$", r"\.", r"\\", "a.?b"])
        return put(f"regexp_matches(@, {quoted(pattern)})", self.column("t", "ta", "td"), lite=False)

    def null_test(self, depth):
        subject = self.one(
            lambda: self.column(*SCHEMA.names[:25]), lambda: self.int_(depth), lambda: self.text(depth), lambda: self.float_(depth), lambda: Part("s.c.d"), lambda: Part("s.c"),
            lambda: self.predicate(depth - 1),
        )  # fmt: skip
        return put(f"(@ IS {self.rng.choice(['NULL', 'NOT NULL'])})", subject)

    def truth_test(self, depth):
        return put(f"(@ IS {self.rng.choice(['TRUE', 'NOT TRUE', 'FALSE', 'NOT FALSE'])})", self.predicate(depth - 1))

    def logic(self, depth):
        """Chains without parentheses: NOT binds more tightly than AND, and AND than OR."""
        parts = [self.predicate(depth - 1) for _ in range(self.rng.choice([2, 2, 3, 4]))]
        words = [f"@ {self.rng.choice(['AND', 'OR'])} " for _ in parts[1:]]
        nots = ["NOT " if self.rng.random() < 0.25 else "" for _ in parts]
        return put("(" + "".join(n + w for n, w in zip(nots, words)) + nots[-1] + "@)", *parts)

    def predicate(self, depth):
        simple = [self.comparison, self.comparison, self.comparison, self.comparison, self.membership, self.between, self.like, self.of_text, self.of_list, self.null_test]
        if depth <= 0:
            return self.rng.choice([*simple, self.bool_])(0)
        return self.rng.choice([*simple, self.of_pattern, self.truth_test, self.logic, self.logic, self.logic, lambda d: put("(NOT @)", self.predicate(d - 1)), lambda d: self.choice(self.bool_, d - 1)])(depth)


# ---- side by side


def written_again(text):
    """The predicate as a tree, read from the SQL that was written of the tree that was read."""
    written = _core.sql(text).to_sql()
    again = _core.sql(written)
    assert again.to_sql() == written, text
    return again


class Mismatch:
    def __init__(self, engines):
        self.engines = engines
        self.told = []

    def check(self, who, part, text, mine, theirs):
        if isinstance(mine, np.ndarray) and np.array_equal(mine, theirs):
            return
        lines = [f"{who}: {part.kith}"] + ([f"  as {text}"] if text != part.kith else [])
        if isinstance(mine, kith.KithError):
            lines.append(f"  Kith refused it: {mine}")
        else:
            names = [name for name in SCHEMA.names if name in part.kith]
            for row in np.flatnonzero(mine != theirs)[:3].tolist():
                values = {name: self.engines.rows[name][row].as_py() for name in names}
                lines.append(f"  row {row}: Kith says {mine[row]}, {who} {theirs[row]} (2 is null), of {values}"[:600])
        self.told.append("\n".join(lines))


def test_rows_are_those_of_duckdb_and_sqlite(engines):
    maker, wrong = Maker(SEED), Mismatch(engines)
    done = with_lite = refused = 0
    begin = time.perf_counter()
    while done < WANTED and time.perf_counter() - begin < SECONDS and len(wrong.told) < 20:
        parts = [maker.predicate(maker.rng.choice([0, 1, 1, 2, 2, 3])) for _ in range(AT_ONCE)]
        shown = engines.kith_shows([part.kith for part in parts])
        for part, theirs, mine in zip(parts, engines.duck_says([part.duck for part in parts]), shown):
            if isinstance(theirs, Exception):
                refused += 1
                print(part.duck, theirs) if os.environ.get("SHOW") else None
                continue
            admitted = engines.kith_says(part.kith)
            wrong.check("DuckDB, filter", part, part.duck, admitted, (theirs == 1).astype("u1"))
            wrong.check("DuckDB, filter with indexes", part, part.duck, engines.kith_says(written_again(part.kith), engines.indexed), (theirs == 1).astype("u1"))
            wrong.check("DuckDB, column", part, part.duck, mine, theirs)
        lite = [(part, mine) for part, mine in zip(parts, shown) if part.lite is not None]
        for (part, mine), theirs in zip(lite, engines.lite_says([part.lite for part, _ in lite]) if lite else ()):
            assert not isinstance(theirs, Exception), (part.lite, theirs)
            with_lite += 1
            wrong.check("SQLite", part, part.lite, mine, theirs)
        done += AT_ONCE
    print(f"{done} predicates over {engines.count} rows in {time.perf_counter() - begin:.1f} s: {done - refused} with DuckDB, {with_lite} with SQLite; seed {SEED}")
    assert not wrong.told, "\n".join(wrong.told)
    assert refused < done * 0.02


# ---- what differs, as docs/FILTERS.md tells

ONE_ROW = pa.table({
    "i8": pa.array([127], pa.int8()), "u8": pa.array([0], pa.uint8()), "i64": [2**53 + 1], "f64": [2.0**53], "f32": pa.array([0.1], pa.float32()), "g": pa.array([2.0**24], pa.float32()),
    "dec": pa.array([decimal.Decimal("0.10")], pa.decimal128(10, 2)), "s": pa.array([dt.datetime(2024, 1, 1)], pa.timestamp("s")), "t": ["a"], "n": ["12"], "b": [True], "nan": [math.nan],
    "l": [[1, None]], "j": ['{"a": {"b": "3"}, "a.b": 1, "n": "x"}'], "bad": ["{"],
})  # fmt: skip
REFUSED = Exception
DIFFERENCES = [
    # what Kith is asked, what it says, what DuckDB is asked (None: the same), and what that says
    ("7 / 2", 3, None, 3.5),
    ("7 / 0", None, None, math.inf),
    ("7 % 0", None, None, REFUSED),
    ("i8 + 1", 128, None, REFUSED),
    ("u8 - 1", -1, None, REFUSED),
    ("i64 = f64", False, None, True),
    ("g = 16777217", False, None, True),
    ("f32 = 0.1::double", True, None, False),
    ("dec + 0.2 = 0.3", False, None, True),
    ("dec + decimal '0.2' = 0.3", True, None, True),
    ("s IS DISTINCT FROM '2024-01-01 00:00:00.000001'", True, None, False),
    ("n = 12", REFUSED, None, True),
    ("i64 AND true", REFUSED, None, True),
    ("cast(2.5 as int)", 2, None, 3),
    ("\"nope\" = t", False, None, REFUSED),
    ("j ->> 'a.b'", "3", None, "1"),
    ("j ->> '\"a.b\"'", "1", None, None),
    ("(bad ->> 'a') IS NULL", True, None, REFUSED),
    ("(j ->> 'n') > 5", None, None, REFUSED),
    ("regexp_like(t, 'a')", True, None, REFUSED),
]
LITE_DIFFERENCES = [
    ("nan IS NULL", False, 1),
    ("t LIKE 'A'", False, 1),
    ("t = 1", REFUSED, 0),
    ("i64 = 'a'", REFUSED, 0),
    ("9223372036854775807 + 1", REFUSED, 2.0**63),
    ("upper('ä')", "Ä", "ä"),
    ("1 < i8 < 3", REFUSED, 1),
    ("b + 1", REFUSED, 2),
    ("cast('a' as int)", REFUSED, 0),
]


@pytest.fixture(scope="module")
def one_row():
    duck, lite = duckdb.connect(), sqlite3.connect(":memory:")
    row = ONE_ROW
    duck.register("t", row)
    lite.execute("CREATE TABLE t (i8, i64, t, b, nan)")
    lite.execute("INSERT INTO t VALUES (127, 9007199254740993, 'a', 1, NULL)")
    return kith.connect("memory://").create_table("t", row), duck, lite


def answer(call):
    try:
        return call()
    except (kith.KithError, duckdb.Error, sqlite3.Error):
        return REFUSED


def kith_value(table, text):
    return answer(lambda: table.search().select({"x": text}).to_list()[0]["x"])


@pytest.mark.parametrize("text,mine,asked,theirs", DIFFERENCES)
def test_what_differs_from_duckdb_is_told(one_row, text, mine, asked, theirs):
    table, duck, _ = one_row
    assert kith_value(table, text) == mine
    assert answer(lambda: duck.execute(f"SELECT {asked or text} FROM t").fetchone()[0]) == theirs
    assert f"`{text}`" in documented(), "docs/FILTERS.md does not tell it"


@pytest.mark.parametrize("text,mine,theirs", LITE_DIFFERENCES)
def test_what_differs_from_sqlite_is_told(one_row, text, mine, theirs):
    table, _, lite = one_row
    assert kith_value(table, text) == mine
    assert answer(lambda: lite.execute(f"SELECT {text} FROM t").fetchone()[0]) == theirs
    assert f"`{text}`" in documented(), "docs/FILTERS.md does not tell it"


def documented():
    import pathlib

    return (pathlib.Path(__file__).resolve().parents[2] / "docs" / "FILTERS.md").read_text()
